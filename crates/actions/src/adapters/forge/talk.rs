//! Requests to a forge: where they go, what they carry, how long they wait, and what is told when they are refused.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use serde_json::Value;
use windlass_core::forge::{Kind, Project};
use windlass_core::text::sanitize_line;
use windlass_engine::action::{ActionError, Result};
use windlass_engine::context::Context;

use crate::adapters::http::{self, Answer, HttpError, Request};

/// The longest one answer may take.
const ONE: Duration = Duration::from_secs(30);
/// The longest that is waited for a forge that has had too many requests, all in all, in seconds.
const PATIENCE: i64 = 120;
/// The wait where the forge says none, in seconds: what GitHub asks for.
const UNSAID: i64 = 60;
/// The most that is read of an answer: a page of releases with their texts.
const LARGEST: usize = 64 << 20;

/// The talk with one repository's API.
pub(super) struct Talk {
    project: Project,
    api: Url,
    headers: HeaderMap,
    access: Access,
    context: Context,
}

/// What is wanted of the forge, and as whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// To change releases, with a token.
    Write,
    /// To look, with a token.
    Read,
    /// To look at what everybody may see, without a token.
    Public,
}

impl Talk {
    /// The talk for `access`, with a token unless that is [`Access::Public`].
    pub(super) fn new(project: &Project, token: &str, access: Access, context: &Context) -> Result<Self> {
        let api = api(project).ok_or_else(|| {
            ActionError::Final(format!("`{}` is no address of a forge", sanitize_line(&project.url)))
        })?;
        let authorization = match project.kind {
            Kind::GitHub | Kind::GitLab => format!("Bearer {}", token.trim()),
            Kind::Forgejo | Kind::Gitea => format!("token {}", token.trim()),
        };
        let mut authorization = HeaderValue::from_str(&authorization)
            .map_err(|_| ActionError::Final(format!("the token for {} is none", project.host())))?;
        authorization.set_sensitive(true);
        let mut headers = HeaderMap::new();
        if access != Access::Public {
            headers.insert(AUTHORIZATION, authorization);
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if project.kind == Kind::GitHub {
            // https://docs.github.com/en/rest/about-the-rest-api/api-versions
            headers.insert(ACCEPT, HeaderValue::from_static("application/vnd.github+json"));
            let version = HeaderName::from_static("x-github-api-version");
            headers.insert(version, HeaderValue::from_static("2022-11-28"));
        }
        Ok(Self { project: project.clone(), api, headers, access, context: context.clone() })
    }

    /// What is there; nothing when nothing is.
    pub(super) async fn get(
        &self,
        doing: &str,
        parts: &[&str],
        query: &[(&str, String)],
    ) -> Result<Option<Value>> {
        let mut url = self.at(parts)?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let answer = self.ask(doing, Method::GET, url, None).await?;
        match answer.status {
            // Gone is what GitHub answers for issues that are turned off.
            404 | 410 => Ok(None),
            200..300 => self.json(&answer).map(Some),
            _ => Err(self.refusal(doing, &answer)),
        }
    }

    /// What came of a change.
    pub(super) async fn send(
        &self,
        doing: &str,
        method: Method,
        parts: &[&str],
        body: Option<&Value>,
    ) -> Result<Value> {
        let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        let answer = self.ask(doing, method, self.at(parts)?, Some(body)).await?;
        match answer.status {
            204 => Ok(Value::Null),
            200..300 => self.json(&answer),
            _ => Err(self.refusal(doing, &answer)),
        }
    }

    /// The repository and its forge, for people.
    pub(super) fn place(&self) -> String {
        place(&self.project)
    }

    /// A page of the repository.
    pub(super) fn page(&self, name: &str) -> String {
        let middle = if self.project.kind == Kind::GitLab { "/-" } else { "" };
        format!("{}/{}{middle}/{name}", self.project.url, self.project.repository)
    }

    pub(super) fn no_repository(&self) -> ActionError {
        let (place, rights) = (self.place(), rights(self.project.kind, self.access));
        ActionError::Final(match self.access {
            Access::Public => format!(
                "{place} is not there, or not everybody may see it: check [forge] and the remote's address, or set {} to \
                 a token that {rights}",
                self.project.kind.variable()
            ),
            _ => format!(
                "{place} is not there, or the token may not see it: check [forge] and the remote's address, and that the \
                 token {rights}"
            ),
        })
    }

    fn at(&self, parts: &[&str]) -> Result<Url> {
        let mut url = self.api.clone();
        url.path_segments_mut()
            .map_err(|()| ActionError::Final(format!("{} is no address of a forge", http::shown(&self.api))))?
            .extend(parts);
        Ok(url)
    }

    /// Asks, and asks again when the forge says when.
    async fn ask(&self, doing: &str, method: Method, url: Url, body: Option<Vec<u8>>) -> Result<Answer> {
        let request = Request { method, url, headers: self.headers.clone(), timeout: ONE, is_secret: true };
        let cancel = &self.context.cancel;
        let mut waited = 0;
        loop {
            let answer = tokio::select! {
                biased;
                () = cancel.cancelled() => return Err(ActionError::Cancelled),
                answer = http::exchange(&request, body.clone(), LARGEST) => answer,
            };
            let answer = match answer {
                Ok(answer) => answer,
                Err(HttpError::NoAnswer(why)) => return Err(ActionError::Failed(self.masked(&why))),
                Err(HttpError::Unable(why)) => return Err(ActionError::Final(self.masked(&why))),
            };
            let now = self.context.world.clock.now();
            let Some(seconds) = must_wait(&answer, now) else { return Ok(answer) };
            if waited + seconds > PATIENCE {
                let more = match self.access {
                    Access::Public => {
                        format!(", or set {}: with a token it answers more", self.project.kind.variable())
                    }
                    _ => String::new(),
                };
                return Err(ActionError::Failed(format!(
                    "{} has had too many requests and answers again in {seconds} s: try again then{more}",
                    self.place()
                )));
            }
            waited += seconds;
            self.context
                .log(&format!("{} has had too many requests: {doing} again in {seconds} s", self.place()));
            let until =
                Timestamp::from_second(now.as_second().saturating_add(seconds)).unwrap_or(Timestamp::MAX);
            tokio::select! {
                biased;
                () = cancel.cancelled() => return Err(ActionError::Cancelled),
                () = self.context.world.clock.sleep_until(until) => {}
            }
        }
    }

    fn json(&self, answer: &Answer) -> Result<Value> {
        if answer.truncated {
            return Err(ActionError::Failed(format!("{} answered with more than 64 MiB", self.place())));
        }
        serde_json::from_slice(&answer.body).map_err(|_| {
            let host = self.project.host();
            ActionError::Failed(format!("{host} answered with no JSON: is it a {}?", self.project.kind))
        })
    }

    /// What an answer that is no success is told as.
    fn refusal(&self, doing: &str, answer: &Answer) -> ActionError {
        let (kind, place) = (self.project.kind, self.place());
        let said = self.masked(&words(&answer.body));
        let said = if said.is_empty() { String::new() } else { format!(": {said}") };
        let (status, rights) = (answer.status, rights(kind, self.access));
        let told = format!("{place} does not let us {doing} ({status}){said}");
        match status {
            401 | 403 if self.access == Access::Public => {
                ActionError::Final(format!("{told}; set {} to a token that {rights}", kind.variable()))
            }
            401 => ActionError::Final(format!(
                "{told}; the token is not valid, or is over: make a new one that {rights}"
            )),
            // Forges answer 404 to what a token may not do where telling more would show that there is something.
            403 | 404 => ActionError::Final(format!("{told}; the token must be one that {rights}")),
            300..400 => ActionError::Final(format!(
                "{place} has moved ({status}): set the remote, or [forge] repository, to where it is now"
            )),
            // Made by somebody in this moment, or by a request of ours that was thought lost: the next look tells.
            409 | 422 if is_double(&answer.body) => ActionError::Failed(told),
            400..500 => ActionError::Final(told),
            _ => ActionError::Failed(format!("{place} failed to {doing} ({status}){said}")),
        }
    }

    fn masked(&self, text: &str) -> String {
        self.context.world.masker.mask(text)
    }
}

/// A repository and its forge, for people.
pub(super) fn place(project: &Project) -> String {
    format!("{} on {}", sanitize_line(&project.repository), sanitize_line(project.host()))
}

/// Where the repository's API is.
///
/// - <https://docs.github.com/en/enterprise-server@latest/rest/enterprise-admin#endpoint-urls>
/// - <https://docs.gitlab.com/api/rest/#namespaced-paths>
fn api(project: &Project) -> Option<Url> {
    let mut url = Url::parse(&project.url).ok()?;
    let host = url.host_str()?.to_owned();
    let base: &[&str] = match project.kind {
        Kind::GitHub if host == "github.com" || host.ends_with(".ghe.com") => {
            url.set_host(Some(&format!("api.{host}"))).ok()?;
            &["repos"]
        }
        Kind::GitHub => &["api", "v3", "repos"],
        Kind::Forgejo | Kind::Gitea => &["api", "v1", "repos"],
        Kind::GitLab => &["api", "v4", "projects"],
    };
    let repository: Vec<&str> = match project.kind {
        Kind::GitLab => vec![&project.repository],
        _ => project.repository.split('/').collect(),
    };
    url.path_segments_mut().ok()?.pop_if_empty().extend(base).extend(repository);
    Some(url)
}

/// What a token needs, as the end of a sentence.
fn rights(kind: Kind, access: Access) -> &'static str {
    match kind {
        Kind::GitHub if access != Access::Write => {
            "may read the repository's contents and issues (`Contents: read` and `Issues: read`, or scope `repo`)"
        }
        Kind::Forgejo | Kind::Gitea if access != Access::Write => {
            "has the scopes `read:repository` and `read:issue`"
        }
        Kind::GitLab if access != Access::Write => "has the scope `read_api`",
        Kind::GitHub => {
            "may write the repository's contents (`Contents: write`, scope `repo`, or `permissions: contents: write` in a workflow)"
        }
        Kind::Forgejo | Kind::Gitea => {
            "has the scope `write:repository`, of somebody who may write its releases"
        }
        Kind::GitLab => "has the scope `api` and at least the role Developer",
    }
}

/// For how many seconds the forge wants to be left alone.
///
/// <https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#exceeding-the-rate-limit>: 403 or
/// 429, and one of `retry-after`, `x-ratelimit-reset` with nothing remaining, or neither. GitLab says `Retry-After` and
/// `RateLimit-Reset`, RFC 9110 the former.
fn must_wait(answer: &Answer, now: Timestamp) -> Option<i64> {
    let header = |name: &str| answer.headers.get(name)?.to_str().ok()?.trim().parse::<i64>().ok();
    let after = header("retry-after");
    let is_spent = header("x-ratelimit-remaining") == Some(0);
    let is_limit = match answer.status {
        429 => true,
        403 => after.is_some() || is_spent || words(&answer.body).to_lowercase().contains("rate limit"),
        503 => after.is_some(),
        _ => false,
    };
    if !is_limit {
        return None;
    }
    let reset = header("x-ratelimit-reset").filter(|_| is_spent).or_else(|| header("ratelimit-reset"));
    let until = reset.map(|reset| reset.saturating_sub(now.as_second()));
    Some(after.or(until).unwrap_or(UNSAID).max(1))
}

/// What a forge says about a refusal, in a line: `message` and `errors` of GitHub, `message` of Forgejo, `message` or
/// `error` of GitLab.
fn words(body: &[u8]) -> String {
    let Ok(body) = serde_json::from_slice::<Value>(body) else { return String::new() };
    let mut words = Vec::new();
    ["message", "error", "error_description"].iter().for_each(|key| tell(&body[*key], &mut words));
    for error in body["errors"].as_array().into_iter().flatten() {
        match (&error["message"], &error["field"], &error["code"]) {
            (Value::String(_), ..) => tell(&error["message"], &mut words),
            (_, Value::String(field), Value::String(code)) => words.push(format!("{field} {code}")),
            _ => tell(error, &mut words),
        }
    }
    sanitize_line(&words.join("; ")).chars().take(300).collect()
}

fn tell(value: &Value, words: &mut Vec<String>) {
    match value {
        Value::String(text) => words.push(text.clone()),
        Value::Array(values) => values.iter().for_each(|value| tell(value, words)),
        Value::Object(fields) => fields.iter().for_each(|(name, value)| {
            let mut inner = Vec::new();
            tell(value, &mut inner);
            words.push(format!("{name} {}", inner.join(", ")));
        }),
        _ => {}
    }
}

/// Whether the refusal says that there is such a release: `already_exists` of GitHub, `Release is has no Tag` and
/// `Release already exists` of Gitea, `Release already exists` of GitLab.
fn is_double(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body).to_lowercase();
    ["already_exists", "already exist", "has no tag"].iter().any(|words| text.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apis_are_where_the_forges_have_them() {
        for (kind, url, repository, expect) in [
            (Kind::GitHub, "https://github.com", "a/b", "https://api.github.com/repos/a/b"),
            (Kind::GitHub, "https://acme.ghe.com", "a/b", "https://api.acme.ghe.com/repos/a/b"),
            (Kind::GitHub, "https://git.acme.org:8443", "a/b", "https://git.acme.org:8443/api/v3/repos/a/b"),
            (Kind::Forgejo, "https://codeberg.org", "a/b", "https://codeberg.org/api/v1/repos/a/b"),
            (Kind::Gitea, "https://acme.org/git/", "a/b", "https://acme.org/git/api/v1/repos/a/b"),
            (Kind::GitLab, "https://gitlab.com", "a/b/c", "https://gitlab.com/api/v4/projects/a%2Fb%2Fc"),
        ] {
            let project = Project { kind, url: url.into(), repository: repository.into() };
            assert_eq!(api(&project).unwrap().as_str(), expect);
        }
    }

    #[test]
    fn forges_say_how_long_they_want_to_be_left_alone() {
        let now = Timestamp::from_second(1000).unwrap();
        for (status, headers, expect) in [
            (429, vec![], Some(60)),
            (429, vec![("retry-after", "7")], Some(7)),
            (429, vec![("retry-after", "0")], Some(1)),
            (429, vec![("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT")], Some(60)),
            (429, vec![("ratelimit-reset", "1030")], Some(30)),
            (403, vec![("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "4600")], Some(3600)),
            (403, vec![("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1")], Some(1)),
            (403, vec![("retry-after", "5")], Some(5)),
            (403, vec![("x-ratelimit-remaining", "12"), ("x-ratelimit-reset", "4600")], None),
            (503, vec![("retry-after", "5")], Some(5)),
            (503, vec![], None),
            (200, vec![("x-ratelimit-remaining", "0"), ("retry-after", "5")], None),
        ] {
            let headers = headers
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
                .collect();
            let answer = Answer { status, headers, body: Vec::new(), truncated: false };
            assert_eq!(must_wait(&answer, now), expect, "{answer:?}");
        }
        for (said, expect) in [("You have exceeded a secondary rate limit.", Some(60)), ("Forbidden", None)] {
            let body = serde_json::json!({ "message": said }).to_string().into_bytes();
            let answer = Answer { status: 403, headers: HeaderMap::new(), body, truncated: false };
            assert_eq!(must_wait(&answer, now), expect, "{said}");
        }
    }

    #[test]
    fn refusals_are_told_in_the_forges_words() {
        for (body, expect) in [
            (
                r#"{"message":"Validation Failed","errors":[{"resource":"Release","code":"already_exists","field":"tag_name"}]}"#,
                "Validation Failed; tag_name already_exists",
            ),
            (
                r#"{"message":"Validation Failed","errors":[{"code":"custom","field":"body","message":"body is too long"}]}"#,
                "Validation Failed; body is too long",
            ),
            (r#"{"message":"Validation Failed","errors":["plain"]}"#, "Validation Failed; plain"),
            (r#"{"message":{"name":["is too long","is odd"]}}"#, "name is too long, is odd"),
            (r#"{"error":"insufficient_scope","error_description":"more"}"#, "insufficient_scope; more"),
            ("{\"message\":\"a\\u001b[31m\\nb\"}", "a[31m b"),
            ("<html>", ""),
            ("[]", ""),
        ] {
            assert_eq!(words(body.as_bytes()), expect, "{body}");
        }
        let long = serde_json::json!({ "message": "x".repeat(1000) }).to_string();
        assert_eq!(words(long.as_bytes()).len(), 300);
        for (body, expect) in [
            (r#"{"errors":[{"code":"already_exists"}]}"#, true),
            (r#"{"message":"Release already exists"}"#, true),
            (r#"{"message":"Release is has no Tag"}"#, true),
            (r#"{"message":"body is too long"}"#, false),
        ] {
            assert_eq!(is_double(body.as_bytes()), expect, "{body}");
        }
    }
}
