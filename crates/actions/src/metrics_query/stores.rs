//! Where a store of metrics or logs is, and the headers that it is asked with.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use windlass_core::config::Store;
use windlass_core::text::sanitize_line;
use windlass_engine::action::{ActionError, Result};
use windlass_engine::context::Context;

use super::Params;
use crate::adapters::http::{Endpoint, HttpError};

/// The store's address.
///
/// # Errors
/// When it is none of HTTP.
pub(super) fn url(params: &Params, store: Store) -> Result<Url> {
    let text = match store {
        Store::Prometheus => params.prometheus.as_deref(),
        Store::Loki => params.loki.as_ref().map(|loki| loki.url.as_str()),
        Store::Elasticsearch => params.elasticsearch.as_ref().map(|table| table.url.as_str()),
    };
    let text = text.unwrap_or_default();
    let is_http = |url: &Url| {
        matches!(url.scheme(), "http" | "https") && url.host_str().is_some_and(|host| !host.is_empty())
    };
    Url::parse(text).ok().filter(is_http).ok_or_else(|| {
        let (text, article) = (sanitize_line(text), if store == Store::Elasticsearch { "an" } else { "a" });
        ActionError::Final(format!("metrics.query: `{text}` is no address of {article} {}", store.name()))
    })
}

/// The store with its headers, secrets filled in.
///
/// # Errors
/// When a secret is not to be had, or a header cannot be sent.
pub(super) fn endpoint(params: &Params, store: Store, context: &Context) -> Result<Endpoint> {
    let none = BTreeMap::new();
    let written = match store {
        Store::Prometheus => &params.headers,
        Store::Loki => params.loki.as_ref().map_or(&none, |loki| &loki.headers),
        Store::Elasticsearch => params.elasticsearch.as_ref().map_or(&none, |table| &table.headers),
    };
    let mut headers = HeaderMap::new();
    let mut is_secret = false;
    for (name, value) in written {
        let wrong = || {
            let name = sanitize_line(name);
            ActionError::Final(format!("metrics.query: the header `{name}` cannot be sent"))
        };
        let secret = value.strip_prefix("secret:").map(|name| context.secret(name.trim())).transpose()?;
        let mut sent =
            HeaderValue::from_str(secret.map_or(value.as_str(), str::trim)).map_err(|_| wrong())?;
        sent.set_sensitive(secret.is_some());
        is_secret = is_secret || secret.is_some();
        headers.insert(HeaderName::try_from(name.as_str()).map_err(|_| wrong())?, sent);
    }
    // The watch's own time limit ends it sooner.
    let timeout = Duration::from_secs(60);
    Ok(Endpoint { url: url(params, store)?, headers, is_secret, timeout })
}

/// Why a store gave nothing, without secrets.
pub(super) fn failed(error: HttpError, context: &Context) -> ActionError {
    let mask = |why: &str| context.world.masker.mask(why);
    match error {
        HttpError::Unable(why) => ActionError::Final(mask(&why)),
        HttpError::NoAnswer(why) => ActionError::Failed(mask(&why)),
    }
}
