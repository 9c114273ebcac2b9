//! The canonical form of data and its digest: what people approve is these bytes.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::Plan;

/// SHA-256 of a plan's canonical JSON, in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Digest(pub String);

impl Digest {
    /// The first twelve digits, for people.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// `value` as canonical JSON (RFC 8785): sorted keys, no spaces, one way to write each value.
///
/// # Errors
/// When the value holds something JSON cannot, such as a map whose keys are not text.
pub fn canonical<T: Serialize>(value: &T) -> Result<String, serde_json::Error> {
    serde_json_canonicalizer::to_string(value)
}

/// SHA-256 of `bytes`, in hexadecimal.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

impl Plan {
    /// The digest that approvals are bound to.
    ///
    /// # Errors
    /// As [`canonical`]; a plan read from JSON never fails.
    pub fn digest(&self) -> Result<Digest, serde_json::Error> {
        Ok(Digest(sha256_hex(canonical(self)?.as_bytes())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_json_sorts_and_tightens() {
        let value = serde_json::json!({ "b": [1, 2.50, "é\u{7}"], "a": { "z": null, "y": true } });
        assert_eq!(canonical(&value).unwrap(), "{\"a\":{\"y\":true,\"z\":null},\"b\":[1,2.5,\"é\\u0007\"]}");
    }

    #[test]
    fn the_hash_is_sha256() {
        assert_eq!(sha256_hex(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
