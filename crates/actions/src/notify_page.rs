//! `notify.page`: calls the people on call, through the first way that takes the message.
//!
//! The message goes out as JSON and, to a program, as environment: never through a shell. That it was taken is kept in
//! Windlass's own folder, so that a run that was killed does not page again. The same occasion has the same `id` in every
//! message, by which a pager closes a page when it is over.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use windlass_core::config::PageChannel;
use windlass_core::plan::{Effect, Facts, sha256_hex};
use windlass_core::text::sanitize_line;
use windlass_engine::action::{Action, ActionError, Probe, Result, Undone};
use windlass_engine::context::Context;
use windlass_engine::process::Command;

use crate::adapters::http::{self, HttpError, Request};

/// The version of the message's JSON.
const SCHEMA: u32 = 1;
/// The longest one way may take.
const ONE: Duration = Duration::from_secs(10);

/// Calls the people on call.
#[derive(Debug, Clone, Copy)]
pub struct Page;

/// Parameters of `notify.page`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// What they are told.
    pub message: String,
    /// What it is about: the same for a page and the message that it is over. The item's own name when not given.
    #[serde(default)]
    pub occasion: Option<String>,
    /// What they were paged for is over.
    #[serde(default)]
    pub resolved: bool,
    /// The ways, in the order they are tried.
    #[serde(default)]
    #[schemars(skip)]
    pub channels: Vec<PageChannel>,
}

/// What `notify.page` gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// The way that took the message.
    pub by: String,
    /// Why the ways before it did not.
    pub refused: Option<String>,
}

impl Action for Page {
    const NAME: &'static str = "notify.page";
    const SUMMARY: &'static str = "Calls the people on call, through the first way of `[notify]` that takes the message. When none does, the run goes \
                                   on and ends with exit code 8.";
    type Params = Params;
    type Output = Output;

    fn effects(&self, params: &Params, _: &Facts) -> Result<Vec<Effect>> {
        if params.channels.is_empty() {
            return Err(ActionError::Final(
                "nobody says how people are paged: write [notify] page = [{ command = [\"./page.sh\"] }] in windlass.toml"
                    .into(),
            ));
        }
        for channel in &params.channels {
            channel.check().map_err(|why| ActionError::Final(format!("`notify.page` {why}")))?;
        }
        // Nothing that could be taken back is changed by telling people something.
        Ok(Vec::new())
    }

    fn label(&self, params: &Params, _: &Facts) -> String {
        sanitize_line(&format!("page: {}", params.message)).chars().take(120).collect()
    }

    async fn probe(&self, params: &Params, context: &Context) -> Result<Probe<Output>> {
        let taken = Message::of(params, context).taken(context);
        Ok(taken.map_or(Probe::Absent, Probe::Done))
    }

    async fn run(&self, params: &Params, context: &Context) -> Result<Output> {
        let message = Message::of(params, context);
        if let Some(output) = message.taken(context) {
            return Ok(output);
        }
        let mut refused: Vec<String> = Vec::new();
        for channel in &params.channels {
            let name = name(channel);
            let sent = match &channel.url {
                Some(url) => message.post(url, channel, context).await,
                None => message.tell(&channel.command, context).await,
            };
            match sent {
                Ok(()) => {
                    let refused = (!refused.is_empty()).then(|| refused.join("; "));
                    let output = Output { by: name, refused };
                    message.keep(&output, context);
                    return Ok(output);
                }
                Err(ActionError::Cancelled) if context.cancel.is_cancelled() => {
                    return Err(ActionError::Cancelled);
                }
                Err(error) => {
                    let why = context.world.masker.mask(&format!("{name}: {error}"));
                    context.log(&why);
                    refused.push(why);
                }
            }
        }
        Err(ActionError::Failed(format!("no way took the message: {}", refused.join("; "))))
    }

    async fn undo(&self, _: &Params, _: &Output, _: &Context) -> Result<Undone> {
        Ok(Undone::NothingToDo)
    }
}

/// A way as people know it. An address can be a secret from its path on, so only its host is shown.
fn name(channel: &PageChannel) -> String {
    let Some(url) = &channel.url else {
        return sanitize_line(channel.command.first().map_or("", String::as_str));
    };
    match Url::parse(url).ok().as_ref().and_then(Url::host_str) {
        Some(host) => sanitize_line(host),
        None => sanitize_line(url),
    }
}

struct Message {
    id: String,
    kind: &'static str,
    text: String,
    json: Vec<u8>,
}

impl Message {
    fn of(params: &Params, context: &Context) -> Self {
        let occasion = params.occasion.clone().unwrap_or_else(|| context.path.to_string());
        let id = sanitize_line(&format!("{}/{occasion}", context.run));
        let kind = if params.resolved { "resolved" } else { "page" };
        let text = context.world.masker.mask(&sanitize_line(&params.message));
        let release = context.world.release.as_deref();
        let json = json!({
            "schema": SCHEMA,
            "id": id,
            "kind": kind,
            "message": text,
            "run": context.run,
            "version": release.map(|release| &release.version),
            "tag": release.map(|release| &release.tag),
            "at": context.world.clock.now(),
        });
        Self { id, kind, text, json: json.to_string().into_bytes() }
    }

    /// Where it is kept that the message was taken.
    fn file(&self, context: &Context) -> PathBuf {
        let name = sha256_hex(format!("{} {}", self.kind, self.id).as_bytes());
        context.world.state.join("pages").join(name)
    }

    /// Who took it, when somebody did before.
    fn taken(&self, context: &Context) -> Option<Output> {
        serde_json::from_slice(&std::fs::read(self.file(context)).ok()?).ok()
    }

    /// Keeps that it was taken. Where that cannot be written it was taken all the same.
    fn keep(&self, output: &Output, context: &Context) {
        let file = self.file(context);
        let kept = file.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| {
            let new = file.with_extension("new");
            std::fs::write(&new, serde_json::to_vec(output).unwrap_or_default())?;
            std::fs::rename(&new, &file)
        });
        if let Err(error) = kept {
            context.log(&format!("that people were paged cannot be kept: {error}"));
        }
    }

    /// Gives it to a program.
    async fn tell(&self, words: &[String], context: &Context) -> Result<()> {
        let (program, rest) = words.split_first().map_or(("", &[][..]), |(first, rest)| (first, rest));
        let command = Command::new(program)
            .args(rest.iter().cloned())
            .env("WINDLASS_MESSAGE", &self.text)
            .env("WINDLASS_MESSAGE_KIND", self.kind)
            .env("WINDLASS_MESSAGE_ID", &self.id)
            .env("WINDLASS_RUN", &context.run.0)
            .stdin(self.json.clone());
        let mut own = context.clone();
        own.cancel = context.cancel.child_token();
        let cancel = own.cancel.clone();
        let mut work = std::pin::pin!(own.process(&command));
        let finished = tokio::select! {
            biased;
            finished = &mut work => finished?,
            () = tokio::time::sleep(ONE) => {
                cancel.cancel();
                let _stopped = work.await;
                return Err(ActionError::Failed(format!("it did not end within {} s", ONE.as_secs())));
            }
        };
        if finished.success() { Ok(()) } else { Err(crate::script::failure("it", &finished, context)) }
    }

    /// Posts it to an address.
    async fn post(&self, address: &str, channel: &PageChannel, context: &Context) -> Result<()> {
        let wrong = |what: &str| ActionError::Final(format!("{what} cannot be sent"));
        let url = Url::parse(address).map_err(|error| ActionError::Final(format!("no address: {error}")))?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in &channel.headers {
            let secret = value.strip_prefix("secret:").map(|name| context.secret(name.trim())).transpose()?;
            let shown = format!("the header `{}`", sanitize_line(name));
            let mut sent =
                HeaderValue::from_str(secret.map_or(value.as_str(), str::trim)).map_err(|_| wrong(&shown))?;
            sent.set_sensitive(secret.is_some());
            headers.insert(HeaderName::try_from(name.as_str()).map_err(|_| wrong(&shown))?, sent);
        }
        let request = Request { method: Method::POST, url, headers, timeout: ONE, is_secret: true };
        let answer = tokio::select! {
            biased;
            () = context.cancel.cancelled() => return Err(ActionError::Cancelled),
            answer = http::post(&request, self.json.clone()) => answer,
        };
        match answer {
            Ok(answer) if (200..300).contains(&answer.status) => Ok(()),
            Ok(answer) => Err(ActionError::Failed(format!("it answered {}", answer.status))),
            Err(HttpError::NoAnswer(why)) => Err(ActionError::Failed(why)),
            Err(HttpError::Unable(why)) => Err(ActionError::Final(why)),
        }
    }
}
