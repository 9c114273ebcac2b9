//! Registries of images: what a tag names, another tag for it, and whether all of it can be had.
//!
//! By the distribution API (<https://github.com/opencontainers/distribution-spec/blob/main/spec.md>), without docker. A
//! registry is not believed: what has a digest is hashed. An image gets another tag by the very bytes of its manifest, so
//! nothing is pulled or pushed for it, and its digest stays.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Method, Url};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use windlass_core::text::sanitize_line;

use super::http::{self, HttpError, Request};

mod challenge;
mod name;

pub use challenge::Challenge;
pub use name::{Name, is_digest, is_tag};

/// The most that a manifest, or an answer that is looked into, may have; as much as registries must take.
const LARGEST: usize = 4 << 20;
/// The longest one question may take. What is read through has a limit of its own.
const QUESTION: Duration = Duration::from_secs(30);
/// What an image's manifest can be: for one platform, or for several.
const KINDS: [&str; 4] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];

/// Why a registry could not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// It would be the same again: no rights, a wrong digest, an answer that makes no sense.
    #[error("{0}")]
    Refused(String),
    /// Another attempt may help.
    #[error("{0}")]
    Away(String),
}

type Result<T, E = RegistryError> = std::result::Result<T, E>;

/// Who we are to a registry.
#[derive(Clone)]
pub struct Credentials {
    /// The account.
    pub user: String,
    /// Its password or token.
    pub password: String,
}

/// A manifest, as the registry has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The digest of its bytes.
    pub digest: String,
    /// Its media type.
    pub kind: String,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// One repository of a registry.
pub struct Registry {
    base: Url,
    repository: String,
    credentials: Option<Credentials>,
    authorization: Option<HeaderValue>,
}

/// An answer: its body while it is short, and what all of it is.
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
    digest: String,
    length: u64,
}

impl Registry {
    /// The repository of `name`. Without encryption only where `plain` says so, and on this machine.
    ///
    /// # Errors
    /// When the registry's name makes no address.
    pub fn new(name: &Name, plain: bool, credentials: Option<Credentials>) -> Result<Self> {
        let host = match name.registry.as_str() {
            // The name that people write is not where it answers.
            "docker.io" => "registry-1.docker.io",
            other => other,
        };
        let address = |scheme: &str| {
            Url::parse(&format!("{scheme}://{host}/v2/"))
                .map_err(|error| RegistryError::Refused(format!("{host} is no registry's address: {error}")))
        };
        let secure = address("https")?;
        let base = if plain || http::is_loopback(&secure) { address("http")? } else { secure };
        Ok(Self { base, repository: name.repository.clone(), credentials, authorization: None })
    }

    /// What a tag or a digest names; nothing when there is no such one.
    ///
    /// # Errors
    /// When the registry does not answer, lets nobody in, or gives something else than it says.
    pub async fn manifest(&mut self, reference: &str) -> Result<Option<Manifest>> {
        let path = format!("{}/manifests/{reference}", self.repository);
        let accept = (ACCEPT, value(&KINDS.join(", "))?);
        let answer = self.ask(Method::GET, &path, &[accept], None, QUESTION).await?;
        match answer.status {
            200 => {}
            404 => return Ok(None),
            _ => return Err(self.problem(&answer, &format!("asked for {reference}"))),
        }
        let shown = format!("{}{}:{reference}", self.host(), self.repository);
        if answer.length > answer.body.len() as u64 {
            return Err(RegistryError::Refused(format!("the manifest of {shown} is larger than 4 MiB")));
        }
        let text = |name: &str| answer.headers.get(name).and_then(|value| value.to_str().ok());
        let told = text("docker-content-digest").filter(|told| told.starts_with("sha256:"));
        let asked = is_digest(reference).then_some(reference);
        if let Some(other) = told.into_iter().chain(asked).find(|other| *other != answer.digest) {
            return Err(RegistryError::Refused(format!(
                "the manifest of {shown} is {} and not {}: what the registry gives is not what it says",
                answer.digest,
                sanitize_line(other)
            )));
        }
        let kind = text("content-type").unwrap_or_default().split(';').next().unwrap_or_default().trim();
        if !KINDS.contains(&kind) {
            let kind = sanitize_line(kind);
            return Err(RegistryError::Refused(format!("{shown} is no image but `{kind}`")));
        }
        Ok(Some(Manifest { digest: answer.digest.clone(), kind: kind.to_owned(), bytes: answer.body }))
    }

    /// Lets `tag` name this manifest, which the repository has already.
    ///
    /// # Errors
    /// As [`Self::manifest`], and when it may not be written.
    pub async fn tag(&mut self, tag: &str, manifest: &Manifest) -> Result<()> {
        let path = format!("{}/manifests/{tag}", self.repository);
        let kind = (CONTENT_TYPE, value(&manifest.kind)?);
        let answer = self.ask(Method::PUT, &path, &[kind], Some(manifest.bytes.clone()), QUESTION).await?;
        match answer.status {
            200..=299 => Ok(()),
            _ => Err(self.problem(&answer, &format!("was told to tag {tag}"))),
        }
    }

    /// Reads a blob through, within `limit`: its bytes while they are few, and how many there are.
    ///
    /// # Errors
    /// As [`Self::manifest`], when it is not there, and when it is another one.
    pub async fn blob(&mut self, digest: &str, limit: Duration) -> Result<(Vec<u8>, u64)> {
        let path = format!("{}/blobs/{digest}", self.repository);
        let answer = self.ask(Method::GET, &path, &[], None, limit).await?;
        match answer.status {
            200 if answer.digest == digest => Ok((answer.body, answer.length)),
            200 => Err(RegistryError::Refused(format!(
                "what {}{} has as {digest} is {}: it is damaged",
                self.host(),
                self.repository,
                answer.digest
            ))),
            _ => Err(self.problem(&answer, &format!("was asked for {digest}"))),
        }
    }

    /// Whether a blob is there, without reading it.
    ///
    /// # Errors
    /// As [`Self::manifest`].
    pub async fn has_blob(&mut self, digest: &str) -> Result<bool> {
        let path = format!("{}/blobs/{digest}", self.repository);
        let answer = self.ask(Method::HEAD, &path, &[], None, QUESTION).await?;
        match answer.status {
            200 => Ok(true),
            404 => Ok(false),
            _ => Err(self.problem(&answer, &format!("was asked for {digest}"))),
        }
    }

    /// One question, and once more as somebody when it wants to know who asks.
    async fn ask(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(reqwest::header::HeaderName, HeaderValue)],
        body: Option<Vec<u8>>,
        limit: Duration,
    ) -> Result<Answer> {
        let url = self.base.join(path).map_err(|error| {
            RegistryError::Refused(format!("`{}` makes no address: {error}", sanitize_line(path)))
        })?;
        let mut all = HeaderMap::new();
        all.extend(headers.iter().cloned());
        all.extend(self.authorization.clone().map(|value| (AUTHORIZATION, value)));
        // Whose layers are kept elsewhere sends there; the HTTP client keeps the authorization from another host.
        let request = Request { method, url, headers: all, timeout: limit, is_secret: false };
        let answer = read(&request, body.clone()).await?;
        if answer.status != 401 {
            return Ok(answer);
        }
        let write = request.method == Method::PUT;
        let authorization = self.authorize(&answer.headers, write).await?;
        self.authorization = Some(authorization.clone());
        let mut again = request;
        again.headers.insert(AUTHORIZATION, authorization);
        read(&again, body).await
    }

    /// What answers the registry's question who we are.
    async fn authorize(&self, headers: &HeaderMap, write: bool) -> Result<HeaderValue> {
        let asked = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let challenge = asked.filter_map(Challenge::parse).next();
        match (challenge, &self.credentials) {
            (Some(Challenge::Bearer { realm, service, scope }), credentials) => {
                let actions = if write { "pull,push" } else { "pull" };
                let scope = scope.unwrap_or_else(|| format!("repository:{}:{actions}", self.repository));
                self.token(&realm, service.as_deref(), &scope, credentials.as_ref()).await
            }
            (Some(Challenge::Basic), Some(credentials)) => basic(credentials),
            (Some(Challenge::Basic), None) => Err(RegistryError::Refused(format!(
                "{} lets in only those it knows: give the step `user` and `password`",
                self.host()
            ))),
            (None, _) => {
                Err(RegistryError::Refused(format!("{} wants to know who asks in no known way", self.host())))
            }
        }
    }

    async fn token(
        &self,
        realm: &str,
        service: Option<&str>,
        scope: &str,
        credentials: Option<&Credentials>,
    ) -> Result<HeaderValue> {
        let shown = sanitize_line(realm);
        let mut url =
            Url::parse(realm).ok().filter(|url| matches!(url.scheme(), "http" | "https")).ok_or_else(
                || RegistryError::Refused(format!("{} sends to `{shown}` for a token", self.host())),
            )?;
        // A registry that is asked under encryption must not send our password through the open.
        if url.scheme() == "http" && self.base.scheme() == "https" && credentials.is_some() {
            return Err(RegistryError::Refused(format!(
                "{} sends to {} for a token, where the password would be sent without encryption",
                self.host(),
                http::shown(&url)
            )));
        }
        url.query_pairs_mut().extend_pairs(service.map(|service| ("service", service)));
        url.query_pairs_mut().append_pair("scope", scope);
        let mut headers = HeaderMap::new();
        if let Some(credentials) = credentials {
            headers.insert(AUTHORIZATION, basic(credentials)?);
        }
        let place = http::shown(&url);
        let request = Request { method: Method::GET, url, headers, timeout: QUESTION, is_secret: true };
        let answer = read(&request, None).await?;
        if answer.status != 200 {
            return Err(RegistryError::Refused(format!(
                "{place} gives no token ({}): {}",
                answer.status,
                match credentials {
                    Some(_) => "check `user` and `password`",
                    None => "give the step `user` and `password`",
                }
            )));
        }
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let token = ["token", "access_token"].iter().find_map(|key| body[key].as_str());
        let token =
            token.ok_or_else(|| RegistryError::Refused(format!("{place} answered without a token")))?;
        secret(&format!("Bearer {token}"))
    }

    /// `registry.example.com/`
    fn host(&self) -> String {
        let port = self.base.port().map(|port| format!(":{port}")).unwrap_or_default();
        format!("{}{port}/", self.base.host_str().unwrap_or_default())
    }

    fn problem(&self, answer: &Answer, when: &str) -> RegistryError {
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let error = &body["errors"][0];
        let words = [error["code"].as_str(), error["message"].as_str()];
        let told: Vec<String> = words.into_iter().flatten().map(sanitize_line).collect();
        let told: String = told.join(": ").chars().take(200).collect();
        let told = if told.is_empty() { told } else { format!(" ({told})") };
        let place = format!("{}{}", self.host(), self.repository);
        match answer.status {
            401 | 403 => RegistryError::Refused(format!(
                "{place} does not let us in when it {when}: it answered {}{told}; check `user`, `password` and their rights",
                answer.status
            )),
            status @ (429 | 500..=599) => {
                RegistryError::Away(format!("{place} answered {status}{told} when it {when}"))
            }
            status => RegistryError::Refused(format!("{place} answered {status}{told} when it {when}")),
        }
    }
}

async fn read(request: &Request, body: Option<Vec<u8>>) -> Result<Answer> {
    let (mut kept, mut hash, mut length) = (Vec::new(), Sha256::new(), 0_u64);
    let asked = http::stream(request, body, |chunk| {
        hash.update(chunk);
        length += chunk.len() as u64;
        let room = LARGEST - kept.len();
        kept.extend_from_slice(chunk.get(..room.min(chunk.len())).unwrap_or_default());
        true
    });
    let (status, headers) = asked.await.map_err(|error| match error {
        HttpError::Unable(why) => RegistryError::Refused(why),
        HttpError::NoAnswer(why) => RegistryError::Away(why),
    })?;
    let digest = format!("sha256:{}", hex::encode(hash.finalize()));
    Ok(Answer { status, headers, body: kept, digest, length })
}

fn basic(credentials: &Credentials) -> Result<HeaderValue> {
    secret(&format!("Basic {}", STANDARD.encode(format!("{}:{}", credentials.user, credentials.password))))
}

fn secret(text: &str) -> Result<HeaderValue> {
    let mut value = value(text)?;
    value.set_sensitive(true);
    Ok(value)
}

fn value(text: &str) -> Result<HeaderValue> {
    HeaderValue::from_str(text).map_err(|_| RegistryError::Refused("a header cannot be sent".into()))
}
