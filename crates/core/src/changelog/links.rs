//! Addresses on forges: those that compare two tags taken apart, and new ones made.

use std::borrow::Cow;

/// An address that compares two tags, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Compare<'a> {
    /// Everything before the first tag.
    base: &'a str,
    first: &'a str,
    between: &'a str,
    second: &'a str,
    /// Bitbucket names the new tag first.
    new_first: bool,
}

impl<'a> Compare<'a> {
    /// Takes `https://.../compare/OLD...NEW` apart, as GitHub, GitLab, Gitea, Forgejo and Bitbucket shape it.
    pub(super) fn of(url: &'a str) -> Option<Self> {
        let mark = "/compare/";
        let at = url.find(mark)? + mark.len();
        let new_first = url[..at].ends_with("/branches/compare/");
        let between = ["...", "..", "%0D"].into_iter().find(|between| url[at..].contains(between))?;
        let (first, second) = url[at..].split_once(between)?;
        (!first.is_empty() && !second.is_empty()).then_some(Self {
            base: &url[..at],
            first,
            between,
            second,
            new_first,
        })
    }

    /// The tag compared from.
    pub(super) fn older(&self) -> &'a str {
        if self.new_first { self.second } else { self.first }
    }

    /// The tag compared to.
    pub(super) fn newer(&self) -> &'a str {
        if self.new_first { self.first } else { self.second }
    }

    /// Where in the address the old tag stands.
    pub(super) fn older_start(&self) -> usize {
        match self.new_first {
            true => self.base.len() + self.first.len() + self.between.len(),
            false => self.base.len(),
        }
    }

    /// The same address for two other tags.
    pub(super) fn with(&self, old: &str, new: &str) -> String {
        let (first, second) = if self.new_first { (new, old) } else { (old, new) };
        format!("{}{first}{}{second}", self.base, self.between)
    }
}

/// A project's page on its forge, for links to releases, comparisons and issues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    url: String,
    forge: Forge,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Forge {
    /// GitHub, Gitea and Forgejo.
    Plain,
    GitLab,
    Bitbucket,
}

impl Site {
    /// The site at this address, such as `https://github.com/acme/app`. A remote of git will do as well: `None` when
    /// it names no host.
    pub fn new(address: &str) -> Option<Self> {
        let address = address.trim().trim_end_matches('/');
        let address = address.strip_suffix(".git").unwrap_or(address);
        let url = match address.split_once("://") {
            Some(("https" | "http", _)) => Cow::from(address),
            Some(("ssh" | "git", rest)) => {
                let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
                let (host, path) = rest.split_once('/')?;
                let host = host.split_once(':').map_or(host, |(host, _)| host);
                format!("https://{host}/{path}").into()
            }
            Some(_) => return None,
            // `git@host:owner/project`.
            None => {
                let (host, path) =
                    address.rsplit_once('@').map_or(address, |(_, rest)| rest).split_once(':')?;
                let is_host = host.contains('.') && !host.contains('/');
                is_host.then(|| format!("https://{host}/{}", path.trim_start_matches('/')))?.into()
            }
        };
        let (scheme, rest) = url.split_once("://")?;
        let (host, path) = rest.split_once('/')?;
        // Somebody's name or token in an address is nobody else's business.
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
        let legal = |text: &str| {
            !text.is_empty()
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~:/%+".contains(&byte))
        };
        if !legal(host) || !legal(path) {
            return None;
        }
        let lower = host.to_ascii_lowercase();
        let forge = match () {
            () if lower.contains("gitlab") => Forge::GitLab,
            () if lower.contains("bitbucket") => Forge::Bitbucket,
            () => Forge::Plain,
        };
        Some(Self { url: format!("{scheme}://{host}/{path}"), forge })
    }

    /// The project's page.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What changed between two tags.
    pub fn compare(&self, old: &str, new: &str) -> String {
        let (url, old, new) = (&self.url, encoded(old), encoded(new));
        match self.forge {
            Forge::Plain => format!("{url}/compare/{old}...{new}"),
            Forge::GitLab => format!("{url}/-/compare/{old}...{new}"),
            Forge::Bitbucket => format!("{url}/branches/compare/{new}..{old}"),
        }
    }

    /// A tag's page.
    pub fn tag(&self, tag: &str) -> String {
        let (url, tag) = (&self.url, encoded(tag));
        match self.forge {
            Forge::Plain => format!("{url}/releases/tag/{tag}"),
            Forge::GitLab => format!("{url}/-/tags/{tag}"),
            Forge::Bitbucket => format!("{url}/src/{tag}"),
        }
    }

    /// A commit's page.
    pub fn commit(&self, id: &str) -> String {
        let (url, id) = (&self.url, encoded(id));
        match self.forge {
            Forge::Plain => format!("{url}/commit/{id}"),
            Forge::GitLab => format!("{url}/-/commit/{id}"),
            Forge::Bitbucket => format!("{url}/commits/{id}"),
        }
    }

    /// The page of an issue written as `#12`; `None` for one of another project and for what is no number.
    pub fn issue(&self, name: &str) -> Option<String> {
        let number = name.strip_prefix('#')?;
        let numbered = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let between = if self.forge == Forge::GitLab { "/-" } else { "" };
        numbered.then(|| format!("{}{between}/issues/{number}", self.url))
    }
}

/// A tag as it stands in an address.
fn encoded(tag: &str) -> Cow<'_, str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/@+".contains(&byte);
    if tag.bytes().all(plain) {
        return tag.into();
    }
    let mut text = String::with_capacity(tag.len() + 8);
    for byte in tag.bytes() {
        match plain(byte) {
            true => text.push(char::from(byte)),
            false => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparisons_of_every_forge_are_taken_apart_and_made_anew() {
        for (url, old, new, other) in [
            (
                "https://github.com/a/b/compare/v1...HEAD",
                "v1",
                "HEAD",
                "https://github.com/a/b/compare/x...y",
            ),
            (
                "https://gitlab.com/a/b/-/compare/v1..main",
                "v1",
                "main",
                "https://gitlab.com/a/b/-/compare/x..y",
            ),
            (
                "https://codeberg.org/a/b/compare/1.0...1.1",
                "1.0",
                "1.1",
                "https://codeberg.org/a/b/compare/x...y",
            ),
            (
                "https://bitbucket.org/a/b/branches/compare/v2..v1",
                "v1",
                "v2",
                "https://bitbucket.org/a/b/branches/compare/y..x",
            ),
            (
                "https://bitbucket.org/a/b/branches/compare/v2%0Dv1#diff",
                "v1#diff",
                "v2",
                "https://bitbucket.org/a/b/branches/compare/y%0Dx",
            ),
        ] {
            let parts = Compare::of(url).unwrap();
            assert_eq!((parts.older(), parts.newer()), (old, new), "{url}");
            assert_eq!(parts.with("x", "y"), other, "{url}");
            assert_eq!(&url[parts.older_start()..][..old.len()], old, "{url}");
        }
        for url in [
            "https://e.org/releases/v1",
            "https://e.org/compare/v1",
            "https://e.org/compare/...v1",
            "/compare/a...",
        ] {
            assert_eq!(Compare::of(url), None, "{url}");
        }
    }

    #[test]
    fn a_site_is_known_by_its_page_or_its_remote() {
        for (address, expect) in [
            ("https://github.com/acme/app/", Some("https://github.com/acme/app")),
            ("https://ann:secret@github.com/acme/app.git", Some("https://github.com/acme/app")),
            ("git@github.com:acme/app.git", Some("https://github.com/acme/app")),
            ("ssh://git@git.acme.org:2222/acme/app.git", Some("https://git.acme.org/acme/app")),
            ("github.com:acme/app", Some("https://github.com/acme/app")),
            ("/srv/git/app.git", None),
            ("../app", None),
            ("file:///srv/app", None),
            ("https://github.com", None),
            ("https://e.org/a) [x](javascript:b", None),
            ("C:\\app", None),
        ] {
            assert_eq!(Site::new(address).as_ref().map(Site::url), expect, "{address}");
        }
        let lab = Site::new("https://gitlab.acme.org/a/b").unwrap();
        let bucket = Site::new("git@bitbucket.org:a/b.git").unwrap();
        let hub = Site::new("https://github.com/a/b").unwrap();
        for (made, expect) in [
            (hub.compare("v1", "v2"), "https://github.com/a/b/compare/v1...v2"),
            (lab.compare("v1", "v2"), "https://gitlab.acme.org/a/b/-/compare/v1...v2"),
            (bucket.compare("v1", "v2"), "https://bitbucket.org/a/b/branches/compare/v2..v1"),
            (hub.tag("@a/b v)1"), "https://github.com/a/b/releases/tag/@a/b%20v%291"),
            (lab.tag("v1"), "https://gitlab.acme.org/a/b/-/tags/v1"),
            (bucket.commit("abc"), "https://bitbucket.org/a/b/commits/abc"),
            (hub.issue("#12").unwrap(), "https://github.com/a/b/issues/12"),
            (lab.issue("#12").unwrap(), "https://gitlab.acme.org/a/b/-/issues/12"),
        ] {
            assert_eq!(made, expect);
        }
        assert_eq!((hub.issue("o/p#1"), hub.issue("#JIRA-1")), (None, None));
    }
}
