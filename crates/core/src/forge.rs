//! Forges: which one keeps a repository, told from the address of its remote and from `[forge]`.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config;
use crate::text::sanitize_line;

/// A program that keeps repositories and their releases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// github.com and GitHub Enterprise.
    GitHub,
    /// Forgejo, such as codeberg.org.
    Forgejo,
    /// Gitea.
    Gitea,
    /// gitlab.com and GitLab of one's own.
    GitLab,
}

impl Kind {
    /// All kinds as `[forge]` writes them.
    pub const NAMES: &[&str] = &["github", "forgejo", "gitea", "gitlab"];

    /// The kind that `[forge]` writes so.
    pub fn of(name: &str) -> Option<Self> {
        [Self::GitHub, Self::Forgejo, Self::Gitea, Self::GitLab].into_iter().find(|kind| kind.key() == name)
    }

    /// How `[forge]` writes it.
    pub fn key(self) -> &'static str {
        match self {
            Self::GitHub => "github",
            Self::Forgejo => "forgejo",
            Self::Gitea => "gitea",
            Self::GitLab => "gitlab",
        }
    }

    /// The environment variable that its own tools take a token from.
    pub fn variable(self) -> &'static str {
        match self {
            Self::GitHub => "GITHUB_TOKEN",
            Self::Forgejo => "FORGEJO_TOKEN",
            Self::Gitea => "GITEA_TOKEN",
            Self::GitLab => "GITLAB_TOKEN",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::GitHub => "GitHub",
            Self::Forgejo => "Forgejo",
            Self::Gitea => "Gitea",
            Self::GitLab => "GitLab",
        })
    }
}

/// A repository on a forge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Project {
    /// The kind of forge.
    pub kind: Kind,
    /// The forge's page, without a slash at its end: `https://github.com`.
    pub url: String,
    /// The repository's path there: `acme/app`; on GitLab with all its groups.
    pub repository: String,
}

impl Project {
    /// The repository that a remote's address and `[forge]` name together; what `[forge]` says comes first.
    ///
    /// Known by their hosts are github.com, codeberg.org, gitea.com and gitlab.com.
    ///
    /// # Errors
    /// What must be said in `[forge]`, as a sentence.
    pub fn of(said: &config::Forge, remote: Option<&str>) -> Result<Self, String> {
        const SAY: &str = "say it in windlass.toml: [forge] kind = \"forgejo\", url = \"https://git.example.com\", \
                           repository = \"owner/name\"";
        let shown = remote.map_or_else(
            || "there is no remote".to_owned(),
            |remote| format!("the remote is {}", sanitize_line(remote)),
        );
        let address = remote.and_then(Address::of);
        let url = match (&said.url, &address) {
            (Some(url), _) => url.trim_end_matches('/').to_owned(),
            (None, Some(address)) => address.url.clone(),
            (None, None) => return Err(format!("{shown}, which names no forge: {SAY}")),
        };
        let known = host(&url).and_then(kind_of);
        let kind = said.kind.or(known).ok_or_else(|| {
            format!("{shown}, and nobody knows what forge is at {}: {SAY}", sanitize_line(&url))
        })?;
        let repository = match (&said.repository, address) {
            (Some(repository), _) => repository.clone(),
            (None, Some(address)) => address.below(&url),
            (None, None) => return Err(format!("{shown}, which names no repository of a forge: {SAY}")),
        };
        let project = Self { kind, url, repository };
        project.check().map_err(|why| format!("{why}: {SAY}"))?;
        Ok(project)
    }

    /// Its host, with the port where it has one: what people call the forge.
    pub fn host(&self) -> &str {
        host(&self.url).unwrap_or(&self.url)
    }

    /// Whether it can be a repository of its forge.
    fn check(&self) -> Result<(), String> {
        config::Forge::check_url(&self.url).map_err(|why| format!("`{}` {why}", sanitize_line(&self.url)))?;
        let parts: Vec<&str> = self.repository.split('/').collect();
        let legal = |part: &&str| {
            !part.is_empty()
                && !matches!(*part, "." | "..")
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+".contains(&byte))
        };
        let is_path = parts.iter().all(legal)
            && match self.kind {
                Kind::GitLab => parts.len() >= 2,
                _ => parts.len() == 2,
            };
        match is_path {
            true => Ok(()),
            false => Err(format!("`{}` is no repository of {}", sanitize_line(&self.repository), self.kind)),
        }
    }
}

fn host(url: &str) -> Option<&str> {
    url.split_once("://")?.1.split('/').next()
}

fn kind_of(host: &str) -> Option<Kind> {
    let name = host.split(':').next().unwrap_or(host);
    match name {
        "github.com" => Some(Kind::GitHub),
        _ if name.ends_with(".ghe.com") => Some(Kind::GitHub),
        "codeberg.org" => Some(Kind::Forgejo),
        "gitea.com" => Some(Kind::Gitea),
        "gitlab.com" => Some(Kind::GitLab),
        _ => None,
    }
}

/// The address of a remote, taken apart: the forms of git-clone(1).
struct Address {
    /// The page that is probably there.
    url: String,
    /// The path, without slashes around it and without `.git`.
    path: String,
}

impl Address {
    fn of(remote: &str) -> Option<Self> {
        let remote = remote.trim();
        let (scheme, authority, path) = match remote.split_once("://") {
            Some((scheme, rest)) => {
                let (authority, path) = rest.split_once('/')?;
                (scheme.to_ascii_lowercase(), authority, path)
            }
            // `user@host:path`; a host without a dot is a name of one's own ssh configuration, or a drive.
            None => {
                let (authority, path) = remote.split_once(':')?;
                if authority.contains('/') || !authority.contains('.') {
                    return None;
                }
                ("ssh".to_owned(), authority, path)
            }
        };
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host).to_ascii_lowercase();
        let name = host.split(':').next().unwrap_or_default();
        let url = match scheme.as_str() {
            "https" | "http" => format!("{scheme}://{}", host.strip_prefix("www.").unwrap_or(&host)),
            // The port is that of ssh, not of the page. Two forges take ssh on the port of https under another name.
            "ssh" | "git" | "git+ssh" => match name {
                "ssh.github.com" => "https://github.com".to_owned(),
                "altssh.gitlab.com" => "https://gitlab.com".to_owned(),
                name => format!("https://{name}"),
            },
            _ => return None,
        };
        let path = path.trim_matches('/');
        let path = path.strip_suffix(".git").unwrap_or(path);
        (!name.is_empty() && !path.is_empty()).then(|| Self { url, path: path.to_owned() })
    }

    /// The repository's path below the forge's page, which may have a path of its own.
    fn below(self, url: &str) -> String {
        let folder = url.split_once("://").and_then(|(_, rest)| rest.split_once('/'));
        let below = folder.and_then(|(_, folder)| self.path.strip_prefix(folder)?.strip_prefix('/'));
        below.unwrap_or(&self.path).to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(said: &str, remote: &str, expect: &str) {
        let (config, findings) = config::Config::parse(said);
        assert!(findings.is_empty(), "{said}: {findings:?}");
        let told = match Project::of(&config.forge, Some(remote).filter(|remote| !remote.is_empty())) {
            Ok(project) => format!("{} {} {}", project.kind.key(), project.url, project.repository),
            Err(why) => why,
        };
        let is_project = Kind::NAMES.iter().any(|kind| expect.starts_with(&format!("{kind} ")));
        let fits = if is_project { told == expect } else { told.contains(expect) };
        assert!(fits, "{said} {remote}: {told}");
        assert!(!told.contains("hunter2") && !told.contains('\u{1b}'), "{told}");
    }

    #[test]
    fn the_forge_is_known_by_the_address_of_the_remote() {
        for remote in [
            "https://github.com/acme/app.git",
            "https://github.com/acme/app",
            "https://github.com/acme/app/",
            "https://www.github.com/acme/app.git",
            "https://ada:hunter2@github.com/acme/app.git",
            "HTTPS://GitHub.com/acme/app.git",
            "git@github.com:acme/app.git",
            "github.com:acme/app",
            "git@github.com:/acme/app.git",
            "ssh://git@github.com/acme/app.git",
            "ssh://git@github.com:22/acme/app.git",
            "ssh://git@ssh.github.com:443/acme/app.git",
            "git+ssh://git@github.com/acme/app",
            "git://github.com/acme/app.git",
        ] {
            check("", remote, "github https://github.com acme/app");
        }
        for (remote, expect) in [
            ("https://codeberg.org/acme/app.git", "forgejo https://codeberg.org acme/app"),
            ("git@codeberg.org:acme/app.git", "forgejo https://codeberg.org acme/app"),
            ("https://gitea.com/acme/app", "gitea https://gitea.com acme/app"),
            ("https://gitlab.com/acme/team/app.git", "gitlab https://gitlab.com acme/team/app"),
            ("git@gitlab.com:acme/app.git", "gitlab https://gitlab.com acme/app"),
            ("ssh://git@altssh.gitlab.com:443/acme/app.git", "gitlab https://gitlab.com acme/app"),
            ("git@acme.ghe.com:acme/app.git", "github https://acme.ghe.com acme/app"),
            (
                "https://github.com.example.com/acme/app",
                "nobody knows what forge is at https://github.com.ex",
            ),
            (
                "https://git.example.com:3000/acme/app",
                "nobody knows what forge is at https://git.example.com:3000",
            ),
            ("http://github.com/acme/app", "for everybody to read"),
            ("/srv/git/app.git", "names no forge"),
            ("../app", "names no forge"),
            ("file:///srv/git/app.git", "names no forge"),
            ("C:/git/app", "names no forge"),
            ("forge:acme/app.git", "names no forge"),
            ("", "there is no remote"),
            ("https://github.com/acme", "`acme` is no repository of GitHub"),
            ("https://github.com/acme/app/more", "`acme/app/more` is no repository of GitHub"),
            ("https://github.com/acme/..", "is no repository of GitHub"),
            ("https://github.com/acme/a\u{1b}[31m?b", "is no repository of GitHub"),
            ("https://github.com/", "names no forge"),
        ] {
            check("", remote, expect);
        }
    }

    #[test]
    fn what_the_configuration_says_comes_first() {
        let own = "[forge]\nkind = \"forgejo\"\n";
        for (said, remote, expect) in [
            (own, "ssh://git@git.example.com:2222/acme/app.git", "forgejo https://git.example.com acme/app"),
            (own, "https://git.example.com:3000/acme/app", "forgejo https://git.example.com:3000 acme/app"),
            (
                "[forge]\nkind = \"gitea\"\nurl = \"https://example.com/git/\"",
                "https://example.com/git/acme/app.git",
                "gitea https://example.com/git acme/app",
            ),
            (
                "[forge]\nkind = \"gitea\"\nurl = \"https://example.com/git\"",
                "git@example.com:acme/app.git",
                "gitea https://example.com/git acme/app",
            ),
            (
                "[forge]\nkind = \"github\"\nurl = \"https://github.example.com\"\nrepository = \"acme/app\"",
                "/srv/git/app.git",
                "github https://github.example.com acme/app",
            ),
            (
                "[forge]\nrepository = \"acme/other\"",
                "git@github.com:me/app",
                "github https://github.com acme/other",
            ),
            ("[forge]\nurl = \"https://gitlab.com\"", "forge:acme/app", "names no repository of a forge"),
            ("[forge]\nkind = \"gitlab\"\nurl = \"https://g.example.com\"", "", "names no repository"),
            ("[forge]\nkind = \"gitlab\"\nrepository = \"a/b\"", "", "names no forge"),
        ] {
            check(said, remote, expect);
        }
    }
}
