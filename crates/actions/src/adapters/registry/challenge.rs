//! How a registry asks who is there: `WWW-Authenticate` (RFC 9110, 11.6.1), `Basic` or the distribution project's `Bearer`
//! (<https://distribution.github.io/distribution/spec/auth/token/>).

use std::collections::BTreeMap;

/// What a registry asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Challenge {
    /// The name and the password themselves.
    Basic,
    /// A token, which is had at `realm`.
    Bearer {
        /// The address that gives tokens.
        realm: String,
        /// Whom the token is for.
        service: Option<String>,
        /// What it must allow.
        scope: Option<String>,
    },
}

impl Challenge {
    /// Reads one header; nothing where it asks for something else.
    pub fn parse(header: &str) -> Option<Self> {
        let (scheme, rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let mut fields = fields(rest);
        let realm = fields.remove("realm")?;
        Some(Self::Bearer { realm, service: fields.remove("service"), scope: fields.remove("scope") })
    }
}

/// `key="value", key=value`. A comma in quotes belongs to the value.
fn fields(text: &str) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    let mut rest = text;
    while let Some((key, after)) = rest.split_once('=') {
        let (value, left) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after.split_once(',').unwrap_or((after, "")),
        };
        let key = key.trim_matches(|letter: char| letter == ',' || letter.is_whitespace());
        fields.insert(key.to_ascii_lowercase(), value.trim().to_owned());
        rest = left;
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read() {
        let bearer = |realm: &str, service: Option<&str>, scope: Option<&str>| {
            let own = |text: Option<&str>| text.map(str::to_owned);
            Some(Challenge::Bearer { realm: realm.into(), service: own(service), scope: own(scope) })
        };
        for (text, expect) in [
            ("Basic realm=\"here\"", Some(Challenge::Basic)),
            ("basic", Some(Challenge::Basic)),
            (
                "Bearer realm=\"https://auth.example/token\",service=\"r.example\",scope=\"repository:a/b:pull,push\"",
                bearer("https://auth.example/token", Some("r.example"), Some("repository:a/b:pull,push")),
            ),
            ("bearer  Realm=https://x/t , service=y", bearer("https://x/t", Some("y"), None)),
            ("Bearer realm=\"https://x", bearer("https://x", None, None)),
            ("Bearer service=\"y\"", None),
            ("Negotiate", None),
            ("", None),
        ] {
            assert_eq!(Challenge::parse(text), expect, "{text}");
        }
    }
}
