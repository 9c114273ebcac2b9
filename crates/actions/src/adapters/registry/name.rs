//! Names of images: `registry.example.com/shop:1.2.0`, read as docker reads them.

use std::fmt;

/// Where docker looks when a name has no registry.
const HUB: &str = "docker.io";

/// An image's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The registry, with its port where there is one.
    pub registry: String,
    /// The repository in it.
    pub repository: String,
    /// A tag, or a digest as `sha256:` and 64 digits.
    pub reference: Option<String>,
}

impl Name {
    /// Reads a name. Without a registry it is docker's own, as for docker; with a tag and a digest the digest counts.
    ///
    /// # Errors
    /// What is wrong with it, as a sentence's end.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (text, None),
        };
        // A colon after the last slash is a tag's, one before it a port's.
        let (path, tag) = match rest.rsplit_once(':') {
            Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
            _ => (rest, None),
        };
        let is_host = |part: &str| part.contains(['.', ':']) || part == "localhost";
        let (registry, repository) = match path.split_once('/') {
            Some((host, repository)) if is_host(host) => (host, repository.to_owned()),
            Some(_) => (HUB, path.to_owned()),
            None => (HUB, format!("library/{path}")),
        };
        if !registry.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".:-".contains(&byte)) {
            return Err(format!("has `{}`, which is no registry", sanitized(registry)));
        }
        if !repository.split('/').all(is_part) {
            return Err("is no name of an image: write it like registry.example.com/shop:1.2.0".into());
        }
        if let Some(tag) = tag.filter(|tag| !is_tag(tag)) {
            return Err(format!("has `{}`, which is no tag", sanitized(tag)));
        }
        if let Some(digest) = digest.filter(|digest| !is_digest(digest)) {
            return Err(format!(
                "has `{}`, which is no digest: write sha256: and 64 digits",
                sanitized(digest)
            ));
        }
        let reference = digest.or(tag).map(str::to_owned);
        Ok(Self { registry: registry.to_owned(), repository, reference })
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        match &self.reference {
            Some(digest) if digest.contains(':') => write!(f, "@{digest}"),
            Some(tag) => write!(f, ":{tag}"),
            None => Ok(()),
        }
    }
}

/// Whether it can be a tag.
pub fn is_tag(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    text.len() <= 128 && !text.is_empty() && !text.starts_with(['.', '-']) && text.bytes().all(is_inner)
}

/// Whether it is a digest of SHA-256.
pub fn is_digest(text: &str) -> bool {
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    text.strip_prefix("sha256:").is_some_and(|hex| hex.len() == 64 && hex.bytes().all(is_hex))
}

/// Lower-case words with single separators between them.
fn is_part(part: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends = part.bytes().next().is_some_and(is_word) && part.bytes().last().is_some_and(is_word);
    ends && part.bytes().all(|byte| is_word(byte) || b"._-".contains(&byte)) && !part.contains("..")
}

fn sanitized(text: &str) -> String {
    windlass_core::text::sanitize_line(text).chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_docker_reads_them() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        let with_digest = format!("r.example/shop:1@{digest}");
        for (text, expect) in [
            ("shop", "docker.io/library/shop"),
            ("user/shop:1.2.0", "docker.io/user/shop:1.2.0"),
            ("localhost/shop", "localhost/shop"),
            ("localhost:5000/team/shop:v1_2-rc.1", "localhost:5000/team/shop:v1_2-rc.1"),
            ("10.0.0.1:5000/shop", "10.0.0.1:5000/shop"),
            ("r.example/a.b__c-d/e", "r.example/a.b__c-d/e"),
            (with_digest.as_str(), &format!("r.example/shop@{digest}")),
        ] {
            assert_eq!(Name::parse(text).unwrap().to_string(), expect);
        }
        for (text, expect) in [
            ("", "no name of an image"),
            ("Shop", "no name of an image"),
            ("a..b", "no name of an image"),
            ("r.example/", "no name of an image"),
            ("r.example//x", "no name of an image"),
            ("r.example/x/../y", "no name of an image"),
            ("https://r.example/shop", "no name of an image"),
            ("shop:-1", "`-1`, which is no tag"),
            ("shop:", "``, which is no tag"),
            ("shop@sha256:12", "which is no digest"),
            ("r.ex\u{1b}ample/shop", "which is no registry"),
        ] {
            let told = Name::parse(text).unwrap_err();
            assert!(told.contains(expect) && !told.contains('\u{1b}'), "{text}: {told}");
        }
    }
}
