//! Annotations of one Grafana: found by tag, made, deleted.
//!
//! <https://grafana.com/docs/grafana/latest/developers/http_api/annotations/>. Grafana 13 calls `/api` legacy and keeps it.

use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, Url};
use serde_json::Value;
use windlass_core::text::sanitize_line;
use windlass_engine::action::{ActionError, Result};
use windlass_engine::context::Context;

use super::{Params, host, told};
use crate::adapters::http::{self, Answer, HttpError, Request};

/// The longest one answer may take.
const ONE: Duration = Duration::from_secs(10);
/// How many annotations of a tag are asked for. There is one; more would be somebody's copies.
const MOST: &str = "100";

/// An annotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Annotation {
    pub id: u64,
    pub tags: Vec<String>,
}

/// The door to one Grafana.
pub(super) struct Board<'a> {
    params: &'a Params,
    context: &'a Context,
    base: Url,
    headers: HeaderMap,
}

impl<'a> Board<'a> {
    /// # Errors
    /// [`ActionError::Final`] when the address is none, or there is no token that could be sent.
    pub(super) fn new(params: &'a Params, context: &'a Context) -> Result<Self> {
        let wrong = || ActionError::Final(format!("{} is no address", sanitize_line(&params.url)));
        let mut base = Url::parse(&params.url).map_err(|_| wrong())?;
        base.path_segments_mut().map_err(|()| wrong())?.pop_if_empty().extend(["api", "annotations"]);
        let token = context.secret(&params.token)?.trim();
        let mut authorization = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| {
            ActionError::Final(format!("the secret `{}` holds no token", sanitize_line(&params.token)))
        })?;
        authorization.set_sensitive(true);
        let json = HeaderValue::from_static("application/json");
        let headers = HeaderMap::from_iter([
            (AUTHORIZATION, authorization),
            (CONTENT_TYPE, json.clone()),
            (ACCEPT, json),
        ]);
        Ok(Self { params, context, base, headers })
    }

    /// The oldest annotation with the tag.
    ///
    /// # Errors
    /// When Grafana does not answer, or does not let us look.
    pub(super) async fn find(&self, tag: &str) -> Result<Option<Annotation>> {
        let mut url = self.base.clone();
        url.query_pairs_mut()
            .append_pair("tags", tag)
            .append_pair("type", "annotation")
            .append_pair("limit", MOST);
        let doing = "look for the mark";
        let found = json(&self.success(doing, self.ask(Method::GET, url, None).await?)?, self.params)?;
        let all = found.as_array().map(Vec::as_slice).unwrap_or_default().iter().filter_map(told);
        Ok(all.filter(|one| one.tags.iter().any(|known| known == tag)).min_by_key(|one| one.id))
    }

    /// Makes an annotation; gives what Grafana calls it.
    ///
    /// # Errors
    /// When Grafana does not answer, or refuses it.
    pub(super) async fn make(&self, sent: &Value) -> Result<u64> {
        let answer = self.ask(Method::POST, self.base.clone(), Some(sent)).await?;
        let made = json(&self.success("set the mark", answer)?, self.params)?;
        made["id"].as_u64().ok_or_else(|| strange(self.params))
    }

    /// Deletes an annotation. One that is gone already is as good.
    ///
    /// # Errors
    /// When Grafana does not answer, or refuses it.
    pub(super) async fn delete(&self, id: u64) -> Result<()> {
        let mut url = self.base.clone();
        url.path_segments_mut().map_err(|()| strange(self.params))?.push(&id.to_string());
        let answer = self.ask(Method::DELETE, url, Some(&Value::Null)).await?;
        if answer.status == 404 {
            return Ok(());
        }
        self.success("delete the mark", answer).map(drop)
    }

    async fn ask(&self, method: Method, url: Url, body: Option<&Value>) -> Result<Answer> {
        // A request with a body is never sent on to where a redirect leads.
        let body = body.map(|body| if body.is_null() { Vec::new() } else { body.to_string().into_bytes() });
        let request = Request { method, url, headers: self.headers.clone(), timeout: ONE, is_secret: true };
        let answer = tokio::select! {
            biased;
            () = self.context.cancel.cancelled() => return Err(ActionError::Cancelled),
            answer = http::exchange(&request, body, http::BODY) => answer,
        };
        let masked = |why: &str| self.context.world.masker.mask(why);
        answer.map_err(|error| match error {
            HttpError::NoAnswer(why) => ActionError::Failed(masked(&why)),
            HttpError::Unable(why) => ActionError::Final(masked(&why)),
        })
    }

    fn success(&self, doing: &str, answer: Answer) -> Result<Answer> {
        let (host, status) = (host(&self.params.url), answer.status);
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let said: String =
            sanitize_line(body["message"].as_str().unwrap_or_default()).chars().take(300).collect();
        let said = self.context.world.masker.mask(&said);
        let said = if said.is_empty() { said } else { format!(": {said}") };
        let told = format!("{host} does not let us {doing} ({status}){said}");
        let secret = sanitize_line(&self.params.token);
        Err(match status {
            200..300 => return Ok(answer),
            401 => ActionError::Final(format!(
                "{told}; the token in the secret `{secret}` is not valid, or is over: make a new one for the service account"
            )),
            403 => ActionError::Final(format!(
                "{told}; the service account of the secret `{secret}` needs the role Editor, or the permissions \
                 annotations:read, annotations:create and annotations:delete"
            )),
            300..=399 => {
                ActionError::Final(format!("{host} has moved ({status}): write its address as `url`"))
            }
            429 | 500..600 => ActionError::Failed(format!("{host} failed to {doing} ({status}){said}")),
            _ => ActionError::Final(told),
        })
    }
}

fn json(answer: &Answer, params: &Params) -> Result<Value> {
    serde_json::from_slice(&answer.body).map_err(|_| strange(params))
}

fn strange(params: &Params) -> ActionError {
    ActionError::Final(format!(
        "{} does not answer as Grafana does: is `url` its address?",
        host(&params.url)
    ))
}
