//! HTTP: one request, bounded in time and size.

use std::sync::Once;
use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Url};

/// The most that is read of an answer's body, in bytes.
pub const BODY: usize = 1 << 20;
/// How many redirects are followed.
const REDIRECTS: usize = 5;

/// A request.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Where to.
    pub url: Url,
    /// Its headers.
    pub headers: HeaderMap,
    /// The longest it may take, from the first byte to the last.
    pub timeout: Duration,
    /// It carries secrets, so a redirect to another host is not followed.
    pub is_secret: bool,
}

/// A server that is asked again and again.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Its address, with a path where it has one.
    pub url: Url,
    /// What every request carries.
    pub headers: HeaderMap,
    /// The headers hold secrets.
    pub is_secret: bool,
    /// The longest one answer may take.
    pub timeout: Duration,
}

impl Endpoint {
    /// The request for what is at `path` below its address, such as `api/v1/query`.
    pub fn request(&self, method: Method, path: &str) -> Request {
        let mut url = self.url.clone();
        url.set_path(&format!("{}/{path}", url.path().trim_end_matches('/')));
        url.set_query(None);
        Request {
            method,
            url,
            headers: self.headers.clone(),
            timeout: self.timeout,
            is_secret: self.is_secret,
        }
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// The body, or as much of it as was wanted.
    pub body: Vec<u8>,
    /// The body was longer.
    pub truncated: bool,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// Nothing could be asked: our side.
    #[error("{0}")]
    Unable(String),
    /// It did not answer: the other side, or the way to it.
    #[error("{0}")]
    NoAnswer(String),
}

/// Sends `request` once.
///
/// # Errors
/// When there is no answer. A status of 404 or 500 is one.
pub async fn send(request: &Request) -> Result<Answer, HttpError> {
    exchange(request, None, BODY).await
}

/// Sends `request` with a body, once. A redirect is an answer: following it would lose the body.
///
/// # Errors
/// As [`send`].
pub async fn post(request: &Request, body: Vec<u8>) -> Result<Answer, HttpError> {
    exchange(request, Some(body), BODY).await
}

/// As [`send`] without a body and [`post`] with one, keeping up to `most` bytes of the answer's.
///
/// # Errors
/// As [`send`].
pub async fn exchange(request: &Request, body: Option<Vec<u8>>, most: usize) -> Result<Answer, HttpError> {
    let mut kept = Vec::new();
    let mut truncated = false;
    let (status, headers) = stream(request, body, |chunk| {
        let room = most.saturating_sub(kept.len());
        kept.extend_from_slice(chunk.get(..room.min(chunk.len())).unwrap_or_default());
        truncated = chunk.len() > room;
        !truncated
    })
    .await?;
    Ok(Answer { status, headers, body: kept, truncated })
}

/// Sends `request` once, with a body when there is one, and gives the answer's own to `each` as it comes, however long it
/// is, until that says to stop. A redirect of a request with a body is an answer.
///
/// # Errors
/// As [`send`], and when the answer breaks off.
pub async fn stream(
    request: &Request,
    body: Option<Vec<u8>>,
    mut each: impl FnMut(&[u8]) -> bool + Send,
) -> Result<(u16, HeaderMap), HttpError> {
    let client = client(request, body.is_none())?;
    let mut sent =
        client.request(request.method.clone(), request.url.clone()).headers(request.headers.clone());
    if let Some(body) = body {
        sent = sent.body(body);
    }
    let mut response = sent.send().await.map_err(|error| no_answer(&error, request))?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    while let Some(chunk) = response.chunk().await.map_err(|error| no_answer(&error, request))? {
        if !each(&chunk) {
            break;
        }
    }
    Ok((status, headers))
}

fn client(request: &Request, follow: bool) -> Result<Client, HttpError> {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        // Already set by somebody else is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    let is_secret = request.is_secret;
    let redirects = Policy::custom(move |attempt| {
        let origin = |url: &Url| {
            (url.scheme().to_owned(), url.host_str().map(str::to_owned), url.port_or_known_default())
        };
        let first = attempt.previous().first().map(origin);
        if attempt.previous().len() > REDIRECTS {
            attempt.error("too many redirects")
        } else if is_secret && first != Some(origin(attempt.url())) {
            attempt.error("it redirects to another host, which must not see the secret headers")
        } else {
            attempt.follow()
        }
    });
    let mut builder = Client::builder()
        .user_agent(concat!("windlass/", env!("CARGO_PKG_VERSION")))
        .timeout(request.timeout)
        .connect_timeout(request.timeout)
        .redirect(if follow { redirects } else { Policy::none() });
    if is_loopback(&request.url) {
        // A proxy's localhost is another machine's.
        builder = builder.no_proxy();
    }
    builder
        .build()
        .map_err(|error| HttpError::Unable(format!("no HTTP client can be made: {}", causes(&error))))
}

/// Whether it is on this machine.
pub fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || host.ends_with(".localhost") || address.is_ok_and(|address| address.is_loopback())
}

fn no_answer(error: &reqwest::Error, request: &Request) -> HttpError {
    if error.is_builder() {
        return HttpError::Unable(format!("{} cannot be asked: {}", shown(&request.url), causes(error)));
    }
    let why = match error.is_timeout() {
        true => format!("no answer within {} ms", request.timeout.as_millis()),
        false => causes(error),
    };
    HttpError::NoAnswer(format!("{} did not answer: {why}", shown(&request.url)))
}

/// The URL without what may be secret in it: user, password and query.
pub fn shown(url: &Url) -> String {
    let mut shown = url.clone();
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    shown.set_query(None);
    shown.set_fragment(None);
    windlass_core::text::sanitize_line(shown.as_str())
}

/// The innermost causes, which say what happened; the outer ones only that something did.
fn causes(error: &dyn std::error::Error) -> String {
    let mut words = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        words.push(windlass_core::text::sanitize_line(&cause.to_string()));
        next = cause.source();
    }
    match words.as_slice() {
        [] => windlass_core::text::sanitize_line(&error.to_string()),
        [.., before, last] if !before.contains(last.as_str()) => format!("{before}: {last}"),
        [.., last] => last.clone(),
    }
}
