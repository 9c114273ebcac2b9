//! Gives a message to one way: as JSON and, to a program, as environment, never through a shell.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use serde_json::Value;
use windlass_core::config::PageWay;
use windlass_core::text::sanitize_line;
use windlass_engine::action::{ActionError, Result};
use windlass_engine::context::Context;
use windlass_engine::process::Command;

use super::message::Message;
use super::services::{self, Service};
use crate::adapters::http::{self, Answer, HttpError, Request};

/// The longest one way may take.
const ONE: Duration = Duration::from_secs(10);

/// Gives it to one way; an error when that did not take it.
pub(super) async fn send(message: &Message, way: &PageWay<'_>, context: &Context) -> Result<()> {
    match *way {
        PageWay::Command(words) => tell(message, words, context).await,
        PageWay::Url(url, headers) => {
            let url = Url::parse(url).map_err(|error| ActionError::Final(format!("no address: {error}")))?;
            let answer = post(url, own(headers, context)?, &message.json(), context).await?;
            if (200..300).contains(&answer.status) {
                return Ok(());
            }
            Err(ActionError::Failed(format!("it answered {}", answer.status)))
        }
        PageWay::PagerDuty(secret, url, severity) => {
            let call = services::pagerduty(message, context.secret(secret)?, url, severity)?;
            let answer = post(call.url, call.headers, &call.body, context).await?;
            services::accepted(Service::PagerDuty, secret, &answer)
        }
        PageWay::Opsgenie(secret, url, priority) => {
            let call = services::opsgenie(message, context.secret(secret)?, url, priority)?;
            let answer = post(call.url, call.headers, &call.body, context).await?;
            services::accepted(Service::Opsgenie, secret, &answer)
        }
    }
}

/// Gives it to a program.
async fn tell(message: &Message, words: &[String], context: &Context) -> Result<()> {
    let (program, rest) = words.split_first().map_or(("", &[][..]), |(first, rest)| (first, rest));
    let command = Command::new(program)
        .args(rest.iter().cloned())
        .env("WINDLASS_MESSAGE", &message.text)
        .env("WINDLASS_MESSAGE_KIND", message.kind())
        .env("WINDLASS_MESSAGE_ID", &message.id)
        .env("WINDLASS_RUN", &message.run)
        .stdin(message.json().to_string().into_bytes());
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

/// The headers of an address of one's own.
fn own(headers: &BTreeMap<String, String>, context: &Context) -> Result<HeaderMap> {
    let mut sent = HeaderMap::new();
    for (name, value) in headers {
        let wrong = || ActionError::Final(format!("the header `{}` cannot be sent", sanitize_line(name)));
        let secret = value.strip_prefix("secret:").map(|name| context.secret(name.trim())).transpose()?;
        let mut value =
            HeaderValue::from_str(secret.map_or(value.as_str(), str::trim)).map_err(|_| wrong())?;
        value.set_sensitive(secret.is_some());
        sent.insert(HeaderName::try_from(name.as_str()).map_err(|_| wrong())?, value);
    }
    Ok(sent)
}

/// Posts `body` once. A redirect is an answer: following it would ask instead of tell.
async fn post(url: Url, mut headers: HeaderMap, body: &Value, context: &Context) -> Result<Answer> {
    headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
    let request = Request { method: Method::POST, url, headers, timeout: ONE, is_secret: true };
    let answer = tokio::select! {
        biased;
        () = context.cancel.cancelled() => return Err(ActionError::Cancelled),
        answer = http::post(&request, body.to_string().into_bytes()) => answer,
    };
    answer.map_err(|error| match error {
        HttpError::NoAnswer(why) => ActionError::Failed(why),
        HttpError::Unable(why) => ActionError::Final(why),
    })
}
