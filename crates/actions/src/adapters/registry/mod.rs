//! Registries of images: what a tag names, another tag for it, and whether all of it can be had.
//!
//! By the distribution API (<https://github.com/opencontainers/distribution-spec/blob/main/spec.md>), without docker. A
//! registry is not believed: what has a digest is hashed. An image gets another tag by the very bytes of its manifest, so
//! nothing is pulled or pushed for it, and its digest stays.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Method, Url};
use serde_json::Value;
use windlass_core::text::sanitize_line;
use windlass_engine::mask::Masker;

use super::http::{self, Request};

mod answer;
mod challenge;
mod name;

use answer::{Answer, no_answer, read};
pub use challenge::Challenge;
pub use name::{Name, is_digest, is_tag};

/// The most that a manifest, or an answer that is looked into, may have; as much as registries must take.
const LARGEST: usize = 4 << 20;
/// The most that an answer with a token may have: a token is sent in a header, which is shorter.
const TOKEN: usize = 64 << 10;
/// How many redirects are followed.
const REDIRECTS: usize = 5;
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
    hidden: BTreeMap<&'static str, String>,
    masker: Masker,
}

impl Registry {
    /// The repository of `name`. Without encryption only where `plain` says so, and on this machine.
    ///
    /// # Errors
    /// When the registry's name makes no address, and when the password is too short to be hidden.
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
        let repository = name.repository.clone();
        let (hidden, masker) = (BTreeMap::new(), Masker::default());
        let mut registry = Self { base, repository, credentials, authorization: None, hidden, masker };
        if let Some(Credentials { user, password }) = registry.credentials.clone() {
            registry.hide("user and password", STANDARD.encode(format!("{user}:{password}")))?;
            registry.hide("password", password)?;
        }
        Ok(registry)
    }

    /// The text without the password and the tokens. An error's text is still to be given to it: a registry may send back
    /// what it was told.
    pub fn mask(&self, text: &str) -> String {
        self.masker.mask(text)
    }

    /// What a tag or a digest names; nothing when there is no such one.
    ///
    /// # Errors
    /// When the registry does not answer, lets nobody in, or gives something else than it says.
    pub async fn manifest(&mut self, reference: &str) -> Result<Option<Manifest>> {
        let path = format!("{}/manifests/{reference}", self.repository);
        let accept = (ACCEPT, value(&KINDS.join(", "))?);
        let answer = self.ask(Method::GET, &path, &[accept], None, QUESTION, LARGEST as u64).await?;
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
        let bytes = Some(manifest.bytes.clone());
        let answer = self.ask(Method::PUT, &path, &[kind], bytes, QUESTION, LARGEST as u64).await?;
        match answer.status {
            200..=299 => Ok(()),
            _ => Err(self.problem(&answer, &format!("was told to tag {tag}"))),
        }
    }

    /// Reads a blob of `size` bytes through, within `limit`: its bytes while they are few.
    ///
    /// # Errors
    /// As [`Self::manifest`], when it is not there, when it is another one, and when its size is another.
    pub async fn blob(&mut self, digest: &str, size: u64, limit: Duration) -> Result<Vec<u8>> {
        let path = format!("{}/blobs/{digest}", self.repository);
        // What goes on is not read on: short answers are, because the registry may say there what is wrong.
        let most = size.max(LARGEST as u64);
        let answer = self.ask(Method::GET, &path, &[], None, limit, most).await?;
        match answer.status {
            200 if answer.length > size => Err(RegistryError::Refused(format!(
                "what {}{} has as {digest} is longer than the {size} bytes that the image says: it is damaged",
                self.host(),
                self.repository
            ))),
            200 if answer.digest == digest && answer.length == size => Ok(answer.body),
            200 if answer.digest == digest => Err(RegistryError::Refused(format!(
                "{digest} in {}{} has {} bytes, and the image says {size}",
                self.host(),
                self.repository,
                answer.length
            ))),
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
        let answer = self.ask(Method::HEAD, &path, &[], None, QUESTION, LARGEST as u64).await?;
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
        most: u64,
    ) -> Result<Answer> {
        let url = self.base.join(path).map_err(|error| {
            RegistryError::Refused(format!("`{}` makes no address: {error}", sanitize_line(path)))
        })?;
        let mut all = HeaderMap::new();
        all.extend(headers.iter().cloned());
        all.extend(self.authorization.clone().map(|value| (AUTHORIZATION, value)));
        let request = Request { method, url, headers: all, timeout: limit, is_secret: false };
        let answer = self.follow(&request, body.clone(), most).await?;
        // Only the registry itself may ask who we are: whoever keeps its layers could name a place for the password.
        if answer.status != 401 || !self.is_own(&answer) {
            return Ok(answer);
        }
        let write = request.method == Method::PUT;
        let authorization = self.authorize(&answer.headers, write).await?;
        self.authorization = Some(authorization.clone());
        let mut again = request;
        again.headers.insert(AUTHORIZATION, authorization);
        self.follow(&again, body, most).await
    }

    /// Asks, and goes where a question without a body is sent: layers may be kept elsewhere. Nobody elsewhere sees who we
    /// are.
    async fn follow(&self, request: &Request, body: Option<Vec<u8>>, most: u64) -> Result<Answer> {
        let mut request = request.clone();
        let redirects = if body.is_none() { REDIRECTS } else { 0 };
        for _ in 0..redirects {
            let answer = read(&request, None, most).await?;
            let Some(next) = answer.next() else { return Ok(answer) };
            if next.origin() != self.base.origin() {
                request.headers.remove(AUTHORIZATION);
            }
            request.url = next;
        }
        read(&request, body, most).await
    }

    fn is_own(&self, answer: &Answer) -> bool {
        answer.url.origin() == self.base.origin()
    }

    /// Lets no error tell `secret`.
    fn hide(&mut self, name: &'static str, secret: String) -> Result<()> {
        self.hidden.insert(name, secret);
        self.masker = Masker::new(
            &self.hidden.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
        )
        .map_err(|error| RegistryError::Refused(error.to_string()))?;
        Ok(())
    }

    /// What answers the registry's question who we are.
    async fn authorize(&mut self, headers: &HeaderMap, write: bool) -> Result<HeaderValue> {
        let asked = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let challenge = asked.filter_map(Challenge::parse).next();
        match (challenge, self.credentials.clone()) {
            (Some(Challenge::Bearer { realm, service, scope }), credentials) => {
                let actions = if write { "pull,push" } else { "pull" };
                let scope = scope.unwrap_or_else(|| format!("repository:{}:{actions}", self.repository));
                self.token(&realm, service.as_deref(), &scope, credentials.as_ref()).await
            }
            (Some(Challenge::Basic), Some(credentials)) => basic(&credentials),
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
        &mut self,
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
        let answer = http::exchange(&request, None, TOKEN).await.map_err(no_answer)?;
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
        if answer.truncated {
            return Err(RegistryError::Refused(format!(
                "{place} answered with more than {TOKEN} bytes for a token"
            )));
        }
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let token = ["token", "access_token"].iter().find_map(|key| body[key].as_str());
        let token =
            token.ok_or_else(|| RegistryError::Refused(format!("{place} answered without a token")))?;
        // The one before may still be sent back by what was asked with it.
        if let Some(before) = self.hidden.remove("token") {
            self.hidden.insert("token before", before);
        }
        self.hide("token", token.to_owned())?;
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
        // A secret that is cut is not known any more, so it is hidden before.
        let told: String = self.mask(&told.join(": ")).chars().take(200).collect();
        let told = if told.is_empty() { told } else { format!(" ({told})") };
        let mut place = format!("{}{}", self.host(), self.repository);
        let is_own = self.is_own(answer);
        if !is_own {
            place = format!("{}, where {place} sends to,", http::shown(&answer.url));
        }
        match answer.status {
            401 | 403 if is_own => RegistryError::Refused(format!(
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
