//! `http.check`: asks a URL and looks at the answer.

use std::collections::BTreeMap;

use jiff::Timestamp;
use regex::RegexBuilder;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json_path::JsonPath;
use windlass_core::duration::Duration;
use windlass_core::plan::{Effect, Facts};
use windlass_core::text::sanitize_line;
use windlass_engine::action::{Action, ActionError, Probe, Result, Undone};
use windlass_engine::context::Context;

use crate::adapters::http::{self, Answer, HttpError, Request};

/// The most further attempts: a watch is the tool for more.
const RETRIES: u32 = 100;

/// Asks a URL and looks at the answer.
#[derive(Debug, Clone, Copy)]
pub struct HttpCheck;

/// Parameters of `http.check`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The address, `http://` or `https://`.
    pub url: String,
    /// The method: `GET`, `HEAD` or `OPTIONS`, which change nothing.
    #[serde(default)]
    pub method: Verb,
    /// Headers by name. `secret:NAME` stands for the value of a secret.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// What the answer must be.
    #[serde(default)]
    pub expect: Expect,
    /// How many further attempts follow a failed one.
    #[serde(default)]
    pub retries: u32,
    /// The time between two attempts, such as `2s`.
    #[serde(default = "second")]
    #[schemars(with = "String")]
    pub delay: Duration,
    /// The longest one attempt may take, such as `10s`.
    #[serde(default = "ten_seconds")]
    #[schemars(with = "String")]
    pub timeout: Duration,
}

/// A method that changes nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verb {
    /// The whole answer.
    #[default]
    Get,
    /// The answer without its body.
    Head,
    /// What the server can do.
    Options,
}

/// What an answer must be.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// The status code.
    #[serde(default = "ok")]
    pub status: u16,
    /// What must stand where in a JSON body: JSONPath (RFC 9535) and value, such as `$.status: healthy`.
    #[serde(default)]
    pub json: BTreeMap<String, Value>,
    /// A regular expression that must match somewhere in the body.
    #[serde(default)]
    pub body: Option<String>,
}

impl Default for Expect {
    fn default() -> Self {
        Self { status: ok(), json: BTreeMap::new(), body: None }
    }
}

/// What `http.check` gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// The status code.
    pub status: u16,
    /// How many attempts it took.
    pub attempts: u32,
}

impl Action for HttpCheck {
    const NAME: &'static str = "http.check";
    const SUMMARY: &'static str = "Asks a URL and looks at the answer: status, JSON values, text.";
    type Params = Params;
    type Output = Output;

    fn effects(&self, params: &Params, _: &Facts) -> Result<Vec<Effect>> {
        Prepared::new(params).map(|_| Vec::new())
    }

    fn label(&self, params: &Params, _: &Facts) -> String {
        let url =
            Url::parse(&params.url).map_or_else(|_| sanitize_line(&params.url), |url| http::shown(&url));
        format!("check {url}")
    }

    async fn probe(&self, _: &Params, _: &Context) -> Result<Probe<Output>> {
        Ok(Probe::Unknown)
    }

    async fn run(&self, params: &Params, context: &Context) -> Result<Output> {
        let prepared = Prepared::new(params)?;
        let request = prepared.request(params, context)?;
        let mut attempt = 1;
        loop {
            let answer = tokio::select! {
                biased;
                () = context.cancel.cancelled() => return Err(ActionError::Cancelled),
                answer = http::send(&request) => answer,
            };
            let why = match answer {
                Ok(answer) => match prepared.problem(&answer, params) {
                    None => return Ok(Output { status: answer.status, attempts: attempt }),
                    Some(problem) => format!("{} {problem}", http::shown(&request.url)),
                },
                Err(HttpError::NoAnswer(why)) => why,
                Err(HttpError::Unable(why)) => return Err(ActionError::Final(why)),
            };
            let why = context.world.masker.mask(&why);
            context.log(&format!("attempt {attempt}: {why}"));
            if attempt > params.retries {
                return Err(ActionError::Failed(why));
            }
            attempt += 1;
            let until =
                context.world.clock.now().as_millisecond().saturating_add_unsigned(params.delay.as_millis());
            let until = Timestamp::from_millisecond(until).unwrap_or(Timestamp::MAX);
            tokio::select! {
                biased;
                () = context.cancel.cancelled() => return Err(ActionError::Cancelled),
                () = context.world.clock.sleep_until(until) => {}
            }
        }
    }

    async fn undo(&self, _: &Params, _: &Output, _: &Context) -> Result<Undone> {
        Ok(Undone::NothingToDo)
    }
}

fn second() -> Duration {
    Duration::from_secs(1)
}

fn ten_seconds() -> Duration {
    Duration::from_secs(10)
}

fn ok() -> u16 {
    200
}

/// Parameters that were found to make sense.
pub(crate) struct Prepared {
    url: Url,
    json: Vec<(String, JsonPath, Value)>,
    body: Option<regex::Regex>,
}

impl Prepared {
    pub(crate) fn new(params: &Params) -> Result<Self> {
        let wrong = |why: String| ActionError::Final(format!("http.check: {why}"));
        let shown = sanitize_line(&params.url);
        let url =
            Url::parse(&params.url).map_err(|error| wrong(format!("`{shown}` is no address: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
            return Err(wrong(format!("`{shown}` is no address: write http:// or https:// and a host")));
        }
        if params.retries > RETRIES {
            return Err(wrong(format!("`retries` is more than {RETRIES}: use a watch")));
        }
        if !(100..600).contains(&params.expect.status) {
            return Err(wrong(format!("{} is no status code", params.expect.status)));
        }
        if params.timeout.as_millis() == 0 {
            return Err(wrong("`timeout` is zero".into()));
        }
        for name in params.headers.keys() {
            HeaderName::try_from(name.as_str())
                .map_err(|_| wrong(format!("`{}` is no name of a header", sanitize_line(name))))?;
        }
        let json = params.expect.json.iter().map(|(text, value)| {
            let path = JsonPath::parse(text)
                .map_err(|error| wrong(format!("`{}` is no JSONPath: {error}", sanitize_line(text))))?;
            Ok((text.clone(), path, value.clone()))
        });
        let body = params.expect.body.as_deref().map(|pattern| {
            // Bounded, so that a pattern from a repository cannot fill the memory.
            RegexBuilder::new(pattern).size_limit(1 << 20).dfa_size_limit(1 << 20).build().map_err(|error| {
                wrong(format!("`body` is no regular expression: {}", sanitize_line(&error.to_string())))
            })
        });
        Ok(Self { url, json: json.collect::<Result<_>>()?, body: body.transpose()? })
    }

    pub(crate) fn request(&self, params: &Params, context: &Context) -> Result<Request> {
        let mut headers = HeaderMap::new();
        let mut is_secret = false;
        for (name, value) in &params.headers {
            let wrong = || {
                ActionError::Final(format!("http.check: the header `{}` cannot be sent", sanitize_line(name)))
            };
            let secret = value.strip_prefix("secret:").map(|name| context.secret(name.trim())).transpose()?;
            let mut sent =
                HeaderValue::from_str(secret.map_or(value.as_str(), str::trim)).map_err(|_| wrong())?;
            sent.set_sensitive(secret.is_some());
            is_secret = is_secret || secret.is_some();
            headers.insert(HeaderName::try_from(name.as_str()).map_err(|_| wrong())?, sent);
        }
        let method = match params.method {
            Verb::Get => Method::GET,
            Verb::Head => Method::HEAD,
            Verb::Options => Method::OPTIONS,
        };
        Ok(Request { method, url: self.url.clone(), headers, timeout: params.timeout.to_std(), is_secret })
    }

    /// What is wrong with the answer, if anything, as a sentence's end.
    pub(crate) fn problem(&self, answer: &Answer, params: &Params) -> Option<String> {
        if answer.status != params.expect.status {
            return Some(format!("answered {}, not {}", answer.status, params.expect.status));
        }
        let text = String::from_utf8_lossy(&answer.body);
        if let Some(pattern) = self.body.as_ref().filter(|pattern| !pattern.is_match(&text)) {
            return Some(format!("answered without a match of `{}`", sanitize_line(pattern.as_str())));
        }
        if self.json.is_empty() {
            return None;
        }
        if answer.truncated {
            return Some("answered with more than 1 MiB of JSON".into());
        }
        let Ok(body) = serde_json::from_slice::<Value>(&answer.body) else {
            return Some("answered with no JSON".into());
        };
        self.json.iter().find_map(|(text, path, expected)| {
            let found = path.query(&body).all();
            let text = sanitize_line(text);
            match found.iter().find(|found| !same(found, expected)) {
                Some(found) => {
                    Some(format!("answered with {} at {text}, not {}", brief(found), brief(expected)))
                }
                None => found.is_empty().then(|| format!("answered with nothing at {text}")),
            }
        })
    }
}

/// `1` and `1.0` are one number in JSON.
fn same(one: &Value, other: &Value) -> bool {
    one == other || one.as_f64().is_some_and(|number| Some(number) == other.as_f64())
}

fn brief(value: &Value) -> String {
    sanitize_line(&value.to_string()).chars().take(100).collect()
}
