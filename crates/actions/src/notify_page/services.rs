//! What PagerDuty and Opsgenie are sent, and what they answer.
//!
//! - PagerDuty's Events API v2: <https://developer.pagerduty.com/docs/send-alert-event>, its answers
//!   <https://developer.pagerduty.com/docs/events-api-v2-overview#response-codes--retry-logic>, both as
//!   <https://github.com/PagerDuty/developer-docs/tree/main/docs/events-API-v2> has them
//! - Opsgenie's Alert API: <https://docs.opsgenie.com/docs/alert-api>, its answers <https://docs.opsgenie.com/docs/response>
//! - Jira Service Management, which takes the same requests:
//!   <https://developer.atlassian.com/cloud/jira/service-desk-ops/rest/v1/api-group-integration-events/>

use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use serde_json::{Value, json};
use windlass_core::config::{Priority, Severity};
use windlass_core::plan::sha256_hex;
use windlass_core::text::sanitize_line;
use windlass_engine::action::{ActionError, Result};

use super::message::Message;
use crate::adapters::http::Answer;

/// Where PagerDuty takes events; `https://events.eu.pagerduty.com` for accounts in the EU.
const PAGERDUTY: &str = "https://events.pagerduty.com";
/// Where Opsgenie takes alerts; `https://api.eu.opsgenie.com` for accounts in the EU.
const OPSGENIE: &str = "https://api.opsgenie.com";
/// The longest `dedup_key` of PagerDuty.
const LONGEST_KEY: usize = 255;
/// The longest `payload.summary` of PagerDuty, in characters.
const LONGEST_SUMMARY: usize = 1024;
/// The longest `message` of Opsgenie, in characters.
const LONGEST_MESSAGE: usize = 130;
/// The longest `description` of Opsgenie, and the longest `note` of a close here, in characters.
const LONGEST_DESCRIPTION: usize = 15_000;
/// The longest tag of Opsgenie, in characters.
const LONGEST_TAG: usize = 50;
/// How much of what a service says is repeated, in characters.
const LONGEST_ANSWER: usize = 300;

/// A service that calls people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    PagerDuty,
    /// Jira Service Management speaks the same.
    Opsgenie,
}

/// One request.
#[derive(Debug)]
pub(super) struct Call {
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Value,
}

/// Opens the incident, or resolves it. One that is open takes further events of the same key; one that is resolved or
/// was never there drops a `resolve`.
pub(super) fn pagerduty(message: &Message, key: &str, url: Option<&str>, severity: Severity) -> Result<Call> {
    let mut body = json!({
        "routing_key": key.trim(),
        "event_action": if message.resolved { "resolve" } else { "trigger" },
        "dedup_key": dedup_key(&message.id),
    });
    if !message.resolved {
        body["client"] = json!("Windlass");
        body["payload"] = json!({
            "summary": cut(&message.text, LONGEST_SUMMARY),
            "source": if message.project.is_empty() { "windlass" } else { &message.project },
            "severity": severity,
            "timestamp": message.at,
            "component": message.project,
            "group": "windlass",
            "class": "release",
            "custom_details": details(message),
        });
    }
    Ok(Call { url: at(url, PAGERDUTY, &["v2", "enqueue"])?, headers: HeaderMap::new(), body })
}

/// Opens the alert, or closes it.
pub(super) fn opsgenie(message: &Message, key: &str, url: Option<&str>, priority: Priority) -> Result<Call> {
    // A path holds it when it is closed, and servers do not agree on slashes in there.
    let alias = format!("windlass-{}", sha256_hex(message.id.as_bytes()));
    let mut authorization = HeaderValue::from_str(&format!("GenieKey {}", key.trim()))
        .map_err(|_| ActionError::Final("the key cannot be sent: it is more than one line".into()))?;
    authorization.set_sensitive(true);
    let headers = HeaderMap::from_iter([(AUTHORIZATION, authorization)]);
    if message.resolved {
        let mut url = at(url, OPSGENIE, &["v2", "alerts", &alias, "close"])?;
        url.query_pairs_mut().append_pair("identifierType", "alias");
        let body = json!({ "source": "Windlass", "note": cut(&message.text, LONGEST_DESCRIPTION) });
        return Ok(Call { url, headers, body });
    }
    let tags = ["windlass"].into_iter().chain(message.tag.as_deref());
    let body = json!({
        "message": cut(&message.text, LONGEST_MESSAGE),
        "alias": alias,
        "description": cut(&message.text, LONGEST_DESCRIPTION),
        "details": details(message),
        "entity": message.project,
        "source": "Windlass",
        "tags": tags.map(|tag| cut(tag, LONGEST_TAG)).collect::<Vec<_>>(),
        "priority": priority,
    });
    Ok(Call { url: at(url, OPSGENIE, &["v2", "alerts"])?, headers, body })
}

/// Whether the service took it: 202 and nothing else. What it says is repeated; the key is masked by whoever tells.
pub(super) fn accepted(service: Service, secret: &str, answer: &Answer) -> Result<()> {
    let status = answer.status;
    let said = words(&answer.body);
    let said = if said.is_empty() { String::new() } else { format!(": {said}") };
    let secret = sanitize_line(secret);
    let key = match service {
        Service::PagerDuty => format!(
            "the secret `{secret}` must hold the key of an integration with the Events API v2, and `url` must be that of \
             the account's region"
        ),
        Service::Opsgenie => format!(
            "the secret `{secret}` must hold the key of an API integration that may create alerts, and `url` must be that \
             of the account's region"
        ),
    };
    Err(ActionError::Failed(match status {
        202 => return Ok(()),
        400..=401 | 403 => format!("it refused the message or the key ({status}){said}; {key}"),
        404 => format!("nobody takes alerts at that address (404){said}; is `url` the right one?"),
        429 => format!("it has had too many messages (429){said}"),
        300..400 => format!(
            "it answered {status}, which leads elsewhere and is not followed: is `url` the right one?"
        ),
        500.. => format!("it is in trouble ({status}){said}"),
        _ => format!("it answered {status} and not 202{said}"),
    }))
}

fn at(url: Option<&str>, usual: &str, parts: &[&str]) -> Result<Url> {
    let base = url.unwrap_or(usual);
    let wrong = || ActionError::Final(format!("{} is no address", sanitize_line(base)));
    let mut url = Url::parse(base).map_err(|_| wrong())?;
    url.path_segments_mut().map_err(|()| wrong())?.pop_if_empty().extend(parts);
    Ok(url)
}

/// What PagerDuty knows an incident by: the message's id, or what stands for one that is too long.
fn dedup_key(id: &str) -> String {
    if id.len() <= LONGEST_KEY { id.to_owned() } else { format!("windlass-{}", sha256_hex(id.as_bytes())) }
}

/// What is told beside the message.
fn details(message: &Message) -> Value {
    let all = [
        ("id", Some(&message.id)),
        ("run", Some(&message.run)),
        ("version", message.version.as_ref()),
        ("tag", message.tag.as_ref()),
    ];
    let known = all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(cut(value?, 1000)))));
    Value::Object(known.collect())
}

/// `text`, no longer than so many characters.
fn cut(text: &str, longest: usize) -> String {
    if text.chars().count() <= longest {
        return text.to_owned();
    }
    text.chars().take(longest.saturating_sub(1)).chain(['…']).collect()
}

/// What a service says in its answer: `message` and `errors`.
fn words(body: &[u8]) -> String {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let errors = match &body["errors"] {
        Value::Array(errors) => errors.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Value::Object(errors) => errors.iter().map(|(name, why)| format!("{name}: {why}")).collect(),
        _ => Vec::new(),
    };
    let said = body["message"].as_str().map(str::to_owned).into_iter().chain(errors);
    cut(&sanitize_line(&said.collect::<Vec<_>>().join(": ")), LONGEST_ANSWER)
}
