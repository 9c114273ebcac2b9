//! `notify.page`: calls the people on call, through the first way that takes the message.
//!
//! The same occasion has the same `id` in every message, by which a pager closes a page when it is over.

use reqwest::Url;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use windlass_core::config::{PageChannel, PageWay};
use windlass_core::plan::{Effect, Facts};
use windlass_core::text::sanitize_line;
use windlass_engine::action::{Action, ActionError, Probe, Result, Undone};
use windlass_engine::context::Context;

use message::Message;

mod message;
mod send;
mod services;

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
    const IS_MESSAGE: bool = true;
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
            way(channel)?;
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
        let opened_by = message.opened_by(context);
        let mut channels: Vec<(usize, &PageChannel)> = params.channels.iter().enumerate().collect();
        channels.sort_by_key(|(index, _)| Some(*index) != opened_by);
        for (index, channel) in channels {
            let way = way(channel)?;
            let name = name(&way);
            match send::send(&message, &way, context).await {
                Ok(()) => {
                    let refused = (!refused.is_empty()).then(|| refused.join("; "));
                    let output = Output { by: name, refused };
                    message.keep(&output, index, context);
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

/// What a channel is.
fn way(channel: &PageChannel) -> Result<PageWay<'_>> {
    channel.way().map_err(|why| ActionError::Final(format!("`notify.page` {why}")))
}

/// A way as people know it. An address can be a secret from its path on, so only its host is shown.
fn name(way: &PageWay<'_>) -> String {
    let host = |url: &str| match Url::parse(url).ok().as_ref().and_then(Url::host_str) {
        Some(host) => sanitize_line(host),
        None => sanitize_line(url),
    };
    let service = |name: &str, url: &Option<&str>| match url {
        Some(url) => format!("{name} at {}", host(url)),
        None => name.to_owned(),
    };
    match way {
        PageWay::Command(words) => sanitize_line(words.first().map_or("", String::as_str)),
        PageWay::Url(url, _) => host(url),
        PageWay::PagerDuty(_, url, _) => service("PagerDuty", url),
        PageWay::Opsgenie(_, url, _) => service("Opsgenie", url),
    }
}
