//! The health check of an environment: it answers, and with the version that was deployed.

use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Method, Url};
use serde_json::Value;
use serde_json_path::JsonPath;
use windlass_core::config::{Environment, VersionAt};
use windlass_core::text::sanitize_line;
use windlass_engine::action::{ActionError, Result};
use windlass_engine::context::Context;

use super::pause;
use crate::adapters::http::{self, Answer, HttpError, Request};
use crate::adapters::remote::Host;

/// Where the version stands unless the configuration says it: in a body of JSON, else in a header.
const PATH: &str = "$.version";
const HEADER: &str = "X-Version";
/// The longest one answer may take, and the shortest that it is given.
pub(crate) const ONE: Duration = Duration::from_secs(5);
const LEAST: Duration = Duration::from_secs(1);
/// The time between two questions.
const EVERY: Duration = Duration::from_millis(500);
/// The same where only some of the answers are the version's.
const OFTEN: Duration = Duration::from_millis(25);

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

/// Asks until the answer is as it must be, for `ready` at the most. A version must be told where the configuration says
/// where it stands; one that is told must be right in any case.
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
    Check::new(environment, version).wait(address, ready, context).await
}

/// Asks once, as [`wait`] does; what is wrong with the answer, if anything.
///
/// # Errors
/// When it cannot be asked at all.
pub async fn ask(
    environment: &Environment,
    address: &str,
    version: &str,
    context: &Context,
) -> Result<Option<String>> {
    Check::new(environment, version).ask(address, context).await
}

/// What an answer says of the version that answers.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// It is no good answer: why.
    Bad(String),
    /// It is a good one without a version.
    Silent,
    /// It is a good one with this version.
    Version(Value),
}

/// What answers are held against.
#[derive(Debug, Clone, Copy)]
pub struct Check<'a> {
    environment: &'a Environment,
    version: &'a str,
    must_tell: bool,
}

impl<'a> Check<'a> {
    /// An answer must tell the version where the configuration says where it stands.
    pub fn new(environment: &'a Environment, version: &'a str) -> Self {
        let must_tell = matches!(environment.version, Some(VersionAt::Path(_) | VersionAt::Header(_)));
        Self { environment, version, must_tell }
    }

    /// An answer must tell the version.
    pub fn strict(environment: &'a Environment, version: &'a str) -> Self {
        Self { environment, version, must_tell: true }
    }

    /// Asks until the answer is as it must be, for so long at the most.
    ///
    /// # Errors
    /// The last thing that was wrong.
    pub async fn wait(&self, address: &str, limit: Duration, context: &Context) -> Result<()> {
        let begin = tokio::time::Instant::now();
        loop {
            let told = told(self.environment, address, left(begin, limit), context).await?;
            match self.problem(address, told) {
                None => return Ok(()),
                Some(problem) if begin.elapsed() >= limit => {
                    return Err(ActionError::Failed(format!("{problem} (asked for {} s)", limit.as_secs())));
                }
                Some(_) => pause(context, EVERY.min(limit / 10)).await?,
            }
        }
    }

    /// Asks once; what is wrong with the answer, if anything.
    ///
    /// # Errors
    /// When it cannot be asked at all.
    pub async fn ask(&self, address: &str, context: &Context) -> Result<Option<String>> {
        Ok(self.problem(address, told(self.environment, address, ONE, context).await?))
    }

    /// Asks until the version has answered, where `others` answer too, for so long at the most. Gives whether it has: with
    /// a small share it need not.
    ///
    /// # Errors
    /// When it has not, and an answer was neither its own nor that of one of the others, of which any is right when none is
    /// known.
    pub async fn shares(
        &self,
        address: &str,
        others: &[&str],
        limit: Duration,
        context: &Context,
    ) -> Result<bool> {
        let begin = tokio::time::Instant::now();
        let mut wrong = None;
        loop {
            let told = told(self.environment, address, left(begin, limit), context).await?;
            let is_other = match &told {
                Told::Version(Value::String(found)) => {
                    others.is_empty() || others.iter().any(|other| same(found, other))
                }
                // The version before need not tell itself.
                Told::Silent => true,
                Told::Version(_) | Told::Bad(_) => false,
            };
            let is_silent = told == Told::Silent;
            match self.problem(address, told) {
                None => return Ok(!is_silent),
                Some(_) if is_other => {}
                Some(problem) => wrong = Some(problem),
            }
            if begin.elapsed() >= limit {
                return match wrong {
                    Some(wrong) => Err(ActionError::Failed(wrong)),
                    None => Ok(false),
                };
            }
            pause(context, OFTEN).await?;
        }
    }

    /// What is wrong with what an address told, if anything.
    fn problem(&self, address: &str, told: Told) -> Option<String> {
        let shown = Url::parse(address).map_or_else(|_| sanitize_line(address), |url| http::shown(&url));
        let version = self.version;
        match told {
            Told::Bad(why) => Some(why),
            Told::Version(Value::String(found)) if same(&found, version) => None,
            Told::Version(found) => {
                Some(format!("{shown} answered with the version {}, not {version}", short(&found)))
            }
            Told::Silent if !self.must_tell => None,
            Told::Silent if self.environment.version == Some(VersionAt::Nowhere) => {
                Some(format!("{shown} answered, and cannot tell its version (`version = \"none\"`)"))
            }
            Told::Silent => Some(format!(
                "{shown} answered without its version: let it answer with {{\"version\": \"{version}\"}} or the header \
                 {HEADER}: {version}, or say where else it stands with `version` of the environment, and `version = \"none\"` \
                 where it cannot be told"
            )),
        }
    }
}

/// What an address says of the version that answers there.
///
/// # Errors
/// When it cannot be asked at all.
pub async fn told(
    environment: &Environment,
    address: &str,
    timeout: Duration,
    context: &Context,
) -> Result<Told> {
    let shown = sanitize_line(address);
    let url = Url::parse(address)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https"))
        .ok_or_else(|| ActionError::Final(format!("`{shown}` is no address of a health check")))?;
    let places = Places::of(environment)?;
    let request = Request {
        method: Method::GET,
        url: url.clone(),
        headers: HeaderMap::new(),
        timeout,
        is_secret: false,
    };
    let answer = tokio::select! {
        biased;
        () = context.cancel.cancelled() => return Err(ActionError::Cancelled),
        answer = http::send(&request) => answer,
    };
    Ok(match answer {
        Ok(answer) if !(200..300).contains(&answer.status) => {
            Told::Bad(format!("{} answered {}", http::shown(&url), answer.status))
        }
        Ok(answer) => places.version(&answer).map_or(Told::Silent, Told::Version),
        Err(HttpError::NoAnswer(why)) => Told::Bad(why),
        Err(HttpError::Unable(why)) => return Err(ActionError::Final(why)),
    })
}

/// A version as it is shown: it comes from another machine.
pub fn short(version: &Value) -> String {
    sanitize_line(&version.to_string()).chars().take(60).collect()
}

/// Where a version is looked for in an answer, one after the other.
#[derive(Debug, Default)]
struct Places {
    path: Option<JsonPath>,
    header: Option<String>,
}

impl Places {
    fn of(environment: &Environment) -> Result<Self> {
        let (path, header) = match &environment.version {
            None => (Some(PATH), Some(HEADER)),
            Some(VersionAt::Path(path)) => (Some(path.as_str()), None),
            Some(VersionAt::Header(name)) => (None, Some(name.as_str())),
            Some(VersionAt::Nowhere) => (None, None),
        };
        let parsed = |path: &str| {
            JsonPath::parse(path).map_err(|error| {
                ActionError::Final(format!("`{}` is no JSONPath: {error}", sanitize_line(path)))
            })
        };
        Ok(Self { path: path.map(parsed).transpose()?, header: header.map(str::to_owned) })
    }

    fn version(&self, answer: &Answer) -> Option<Value> {
        let in_body = || {
            let body: Value = serde_json::from_slice(&answer.body).ok()?;
            self.path.as_ref()?.query(&body).first().cloned()
        };
        let in_header = || {
            let value = answer.headers.get(self.header.as_deref()?)?;
            Some(Value::String(String::from_utf8_lossy(value.as_bytes()).trim().to_owned()))
        };
        in_body().or_else(in_header)
    }
}

/// How long the next answer may take: what is left, and not so short that none could come.
fn left(begin: tokio::time::Instant, limit: Duration) -> Duration {
    limit.saturating_sub(begin.elapsed()).clamp(LEAST, ONE)
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
        const BODY: &str = r#"{"status":"healthy","version":"1.1.0"}"#;
        const NONE: &str = r#"{"status":"healthy"}"#;
        for (at, body, header, strict, expect) in [
            (None, BODY, None, true, None),
            (None, r#"{"version":"v1.1.0"}"#, None, true, None),
            (None, "", None, false, None),
            (None, "fine", None, false, None),
            (None, NONE, None, false, None),
            (None, NONE, None, true, Some("without its version")),
            (None, "fine", None, true, Some("X-Version: 1.1.0")),
            (None, r#"{"version":"1.0.0"}"#, None, false, Some("\"1.0.0\", not 1.1.0")),
            (None, r#"{"version":null}"#, None, false, Some("null, not 1.1.0")),
            (None, r#"{"version":"1.1.0-rc.1"}"#, None, false, Some("not 1.1.0")),
            // A header tells it where the body does not.
            (None, "fine", Some(("X-Version", "1.1.0")), true, None),
            (None, NONE, Some(("x-version", " v1.1.0")), true, None),
            (None, "fine", Some(("X-Version", "1.0.0")), false, Some("\"1.0.0\", not 1.1.0")),
            (None, BODY, Some(("X-Version", "1.0.0")), true, None),
            (None, "fine", Some(("X-Build", "1.0.0")), false, None),
            // What is configured counts alone.
            (Some("$.version"), NONE, Some(("X-Version", "1.1.0")), false, Some("without its version")),
            (Some("$.status"), BODY, None, false, Some("\"healthy\", not")),
            (Some("header:X-Build"), BODY, Some(("X-Build", "1.1.0")), true, None),
            (Some("header:X-Build"), BODY, None, false, Some("without its version")),
            (Some("none"), r#"{"version":"api 3"}"#, Some(("X-Version", "3")), false, None),
            (Some("none"), BODY, None, true, Some("cannot tell")),
        ] {
            let version = at.map(|at| VersionAt::parse(at).unwrap());
            let environment = Environment { version, ..Environment::default() };
            let mut headers = HeaderMap::new();
            headers.extend(header.map(|(name, value)| {
                let name: reqwest::header::HeaderName = name.parse().unwrap();
                (name, value.parse().unwrap())
            }));
            let answer = Answer { status: 200, headers, body: body.into(), truncated: false };
            let told = Places::of(&environment).unwrap().version(&answer);
            let check = match strict {
                true => Check::strict(&environment, "1.1.0"),
                false => Check::new(&environment, "1.1.0"),
            };
            let found = check.problem("http://h:81/", told.map_or(Told::Silent, Told::Version));
            match (expect, &found) {
                (None, None) => {}
                (Some(expect), Some(found)) if found.contains(expect) => {}
                _ => panic!("{at:?} {body} {header:?}: {found:?}"),
            }
        }
    }
}
