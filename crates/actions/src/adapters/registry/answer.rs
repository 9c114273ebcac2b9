//! What a registry answers to one question, hashed as it comes and bounded.

use reqwest::Url;
use reqwest::header::{HeaderMap, LOCATION};
use sha2::{Digest as _, Sha256};

use super::{LARGEST, RegistryError, Result};
use crate::adapters::http::{self, HttpError, Request};

/// An answer: its body while it is short, and what all of it is.
pub(super) struct Answer {
    /// Who answered, after redirects.
    pub(super) url: Url,
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    pub(super) digest: String,
    pub(super) length: u64,
}

impl Answer {
    /// Where it sends.
    pub(super) fn next(&self) -> Option<Url> {
        let place =
            self.headers.get(LOCATION).filter(|_| matches!(self.status, 301 | 302 | 303 | 307 | 308))?;
        let next = self.url.join(place.to_str().ok()?).ok()?;
        matches!(next.scheme(), "http" | "https").then_some(next)
    }
}

/// Asks once, and reads until the answer has more than `most` bytes.
pub(super) async fn read(request: &Request, body: Option<Vec<u8>>, most: u64) -> Result<Answer> {
    let (mut kept, mut hash, mut length) = (Vec::new(), Sha256::new(), 0_u64);
    // With a body, be it empty, a redirect is an answer.
    let asked = http::stream(request, Some(body.unwrap_or_default()), |chunk| {
        hash.update(chunk);
        length += chunk.len() as u64;
        let room = LARGEST - kept.len();
        kept.extend_from_slice(chunk.get(..room.min(chunk.len())).unwrap_or_default());
        length <= most
    });
    let (status, headers) = asked.await.map_err(no_answer)?;
    let digest = format!("sha256:{}", hex::encode(hash.finalize()));
    Ok(Answer { url: request.url.clone(), status, headers, body: kept, digest, length })
}

/// What it means that a registry was not heard.
pub(super) fn no_answer(error: HttpError) -> RegistryError {
    match error {
        HttpError::Unable(why) => RegistryError::Refused(why),
        HttpError::NoAnswer(why) => RegistryError::Away(why),
    }
}
