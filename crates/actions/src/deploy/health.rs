//! The health check of an environment: it answers, and with the version that was deployed.

use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Method, Url};
use serde_json::Value;
use serde_json_path::JsonPath;
use windlass_core::config::Environment;
use windlass_core::text::sanitize_line;
use windlass_engine::action::{ActionError, Result};
use windlass_engine::context::Context;

use super::pause;
use crate::adapters::http::{self, Answer, HttpError, Request};
use crate::adapters::remote::Host;

/// Where the version stands unless the configuration says it.
pub(crate) const VERSION: &str = "$.version";
/// The longest one answer may take.
const ONE: Duration = Duration::from_secs(5);
/// The time between two questions.
const EVERY: Duration = Duration::from_millis(500);

/// The address that is asked for a host, when every host is asked.
///
/// # Errors
/// When ssh does not know the host's address.
pub async fn address_of(environment: &Environment, host: &Host, context: &Context) -> Result<Option<String>> {
    let Some(address) = environment.health_address().filter(|address| address.contains("{host}")) else {
        return Ok(None);
    };
    Ok(Some(address.replace("{host}", &host.address(context).await?)))
}

/// The path of the health check.
pub fn path(environment: &Environment) -> Option<String> {
    let address = environment.health_address()?;
    let rest = address.split_once("://").map_or(address.as_str(), |(_, rest)| rest);
    Some(rest.find('/').and_then(|slash| rest.get(slash..)).unwrap_or("/").to_owned())
}

/// The address of the health check behind `server`, which is `HOST:PORT`.
pub fn address_at(environment: &Environment, server: &str) -> Option<String> {
    path(environment).map(|path| format!("http://{server}{path}"))
}

/// The address that is asked for the whole environment.
pub fn address(environment: &Environment) -> Option<String> {
    environment.health_address().filter(|address| !address.contains("{host}"))
}

/// Asks until the answer is as it must be, for `ready` at the most.
///
/// # Errors
/// The last thing that was wrong.
pub async fn wait(
    environment: &Environment,
    address: &str,
    version: &str,
    ready: Duration,
    context: &Context,
) -> Result<()> {
    let begin = tokio::time::Instant::now();
    loop {
        match ask(environment, address, version, context).await? {
            None => return Ok(()),
            Some(problem) if begin.elapsed() >= ready => {
                return Err(ActionError::Failed(format!("{problem} (asked for {} s)", ready.as_secs())));
            }
            Some(_) => pause(context, EVERY).await?,
        }
    }
}

/// Asks once; what is wrong with the answer, if anything.
///
/// # Errors
/// When it cannot be asked at all.
pub async fn ask(
    environment: &Environment,
    address: &str,
    version: &str,
    context: &Context,
) -> Result<Option<String>> {
    let shown = sanitize_line(address);
    let url = Url::parse(address)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https"))
        .ok_or_else(|| ActionError::Final(format!("`{shown}` is no address of a health check")))?;
    let path = environment.version.as_deref().unwrap_or(VERSION);
    let path = JsonPath::parse(path)
        .map_err(|error| ActionError::Final(format!("`{}` is no JSONPath: {error}", sanitize_line(path))))?;
    let request = Request {
        method: Method::GET,
        url: url.clone(),
        headers: HeaderMap::new(),
        timeout: ONE,
        is_secret: false,
    };
    let answer = tokio::select! {
        biased;
        () = context.cancel.cancelled() => return Err(ActionError::Cancelled),
        answer = http::send(&request) => answer,
    };
    Ok(match answer {
        Ok(answer) => problem(&answer, &path, environment.version.is_some(), version)
            .map(|why| format!("{} {why}", http::shown(&url))),
        Err(HttpError::NoAnswer(why)) => Some(why),
        Err(HttpError::Unable(why)) => return Err(ActionError::Final(why)),
    })
}

/// What is wrong with an answer. A version it does not tell is wrong only where it was said to.
fn problem(answer: &Answer, path: &JsonPath, must_tell: bool, version: &str) -> Option<String> {
    if !(200..300).contains(&answer.status) {
        return Some(format!("answered {}", answer.status));
    }
    let body: Option<Value> = serde_json::from_slice(&answer.body).ok();
    let found = body.as_ref().and_then(|body| path.query(body).first().cloned());
    match found {
        Some(Value::String(found)) if same(&found, version) => None,
        Some(found) => {
            let found: String = sanitize_line(&found.to_string()).chars().take(60).collect();
            Some(format!("answered with the version {found}, not {version}"))
        }
        None if must_tell => Some("answered without its version".to_owned()),
        None => None,
    }
}

fn same(found: &str, version: &str) -> bool {
    found == version || found.strip_prefix('v') == Some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_asked_for_the_same_path() {
        for (url, health, expect) in [
            (Some("https://x.example/"), "/health?deep=1", Some("http://h:81/health?deep=1")),
            (None, "http://{host}:8080/h", Some("http://h:81/h")),
            (None, "https://x.example", Some("http://h:81/")),
        ] {
            let (url, health) = (url.map(str::to_owned), Some(health.to_owned()));
            let environment = Environment { url, health, ..Environment::default() };
            assert_eq!(address_at(&environment, "h:81").as_deref(), expect);
        }
        assert_eq!(address_at(&Environment::default(), "h:81"), None);
    }

    #[test]
    fn an_answer_must_tell_the_version_that_was_deployed() {
        for (status, body, must_tell, expect) in [
            (200, r#"{"status":"healthy","version":"1.1.0"}"#, true, None),
            (200, r#"{"version":"v1.1.0"}"#, true, None),
            (204, "", false, None),
            (200, "fine", false, None),
            (200, r#"{"status":"healthy"}"#, false, None),
            (200, r#"{"status":"healthy"}"#, true, Some("without its version")),
            (200, "fine", true, Some("without its version")),
            (200, r#"{"version":"1.0.0"}"#, false, Some("\"1.0.0\", not 1.1.0")),
            (200, r#"{"version":null}"#, false, Some("null, not 1.1.0")),
            (200, r#"{"version":"1.1.0-rc.1"}"#, false, Some("not 1.1.0")),
            (503, r#"{"version":"1.1.0"}"#, true, Some("answered 503")),
            (302, "", false, Some("answered 302")),
        ] {
            let answer = Answer { status, headers: Default::default(), body: body.into(), truncated: false };
            let found = problem(&answer, &JsonPath::parse(VERSION).unwrap(), must_tell, "1.1.0");
            match (expect, &found) {
                (None, None) => {}
                (Some(expect), Some(found)) if found.contains(expect) => {}
                _ => panic!("{status} {body}: {found:?}"),
            }
        }
    }
}
