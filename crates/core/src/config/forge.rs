//! `[forge]`: where releases are shown, where the remote's address does not tell it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::forge::Kind;

/// `[forge]`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Forge {
    /// The kind of forge; known by the host for github.com, codeberg.org, gitea.com and gitlab.com.
    pub kind: Option<Kind>,
    /// The address of the forge's page, such as `https://git.example.com`; the remote's host when not given.
    pub url: Option<String>,
    /// The repository there, such as `owner/name`; the remote's path when not given.
    pub repository: Option<String>,
}

impl Forge {
    /// Whether a token may be sent to `url`: encrypted, or to this very machine.
    ///
    /// # Errors
    /// What is wrong with it, as the end of a sentence.
    pub fn check_url(url: &str) -> Result<(), &'static str> {
        let (scheme, rest) = url.split_once("://").ok_or("is no address")?;
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let name = match authority.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => authority.split(':').next().unwrap_or_default(),
        };
        match scheme {
            _ if name.is_empty()
                || url.contains(|letter: char| letter.is_whitespace() || letter.is_control()) =>
            {
                Err("is no address")
            }
            _ if authority.contains('@') => Err("holds a user or a password, which belong in a secret"),
            _ if rest.contains(['?', '#']) => Err("has more than a path behind its host"),
            "https" => Ok(()),
            "http" if name == "localhost" || is_loopback(name) => Ok(()),
            "http" => Err("would send the token for everybody to read: write https://"),
            _ => Err("is no address"),
        }
    }
}

fn is_loopback(name: &str) -> bool {
    name.parse::<core::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use crate::config::Config;
    use crate::forge::Kind;

    #[test]
    fn forges_are_read() {
        for (text, expect) in [
            ("[forge]\nkind = \"github\"", ""),
            ("[forge]\nkind = \"gitea\"\nurl = \"https://git.example.com/x\"\nrepository = \"a/b\"", ""),
            ("[forge]\nurl = \"http://127.0.0.1:3000\"", ""),
            ("[forge]\nurl = \"http://[::1]:3000\"", ""),
            ("[forge]\nkind = \"githab\"", "`githab` is not a value of `forge.kind`"),
            ("[forge]\nurl = \"http://git.example.com\"", "for everybody to read"),
            ("[forge]\nurl = \"http://127.example.com\"", "for everybody to read"),
            ("[forge]\nurl = \"http://127.example.com@git.example.com\"", "holds a user"),
            ("[forge]\nurl = \"git.example.com\"", "is no address"),
            ("[forge]\nurl = \"https://\"", "is no address"),
            ("[forge]\nurl = \"ftp://x\"", "is no address"),
            ("[forge]\nurl = \"https://x/?a\"", "more than a path"),
            ("[forge]\ntoken = \"x\"", "unknown key `forge.token`"),
            ("[forge]\nrepository = 1", "must be a text"),
        ] {
            let (_, findings) = Config::parse(text);
            let told: Vec<&str> = findings.iter().map(|finding| finding.message.as_str()).collect();
            match expect {
                "" => assert!(told.is_empty(), "{text}: {told:?}"),
                expect => assert!(told.iter().any(|told| told.contains(expect)), "{text}: {told:?}"),
            }
        }
        let (config, _) = Config::parse("[forge]\nkind = \"gitlab\"\nrepository = \"a/b/c\"");
        assert_eq!(
            (config.forge.kind, config.forge.repository.as_deref()),
            (Some(Kind::GitLab), Some("a/b/c"))
        );
    }
}
