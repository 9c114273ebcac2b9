//! What remote repositories hold, and the talk with them.

use std::collections::{BTreeMap, BTreeSet};

use windlass_core::text::sanitize_line;
use windlass_engine::action::{ActionError, Result};
use windlass_engine::process::Command;

use super::{Git, git, names};

/// A tag on a remote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteTag {
    /// The tag object's id, or the commit's when the tag is a plain name for it.
    pub object: String,
    /// What it names in the end.
    pub commit: String,
}

impl Git {
    /// The names of the remotes.
    ///
    /// # Errors
    /// When git fails.
    pub async fn remotes(&self) -> Result<Vec<String>> {
        Ok(self.read(["remote"]).await?.lines().map(str::to_owned).collect())
    }

    /// Where a remote is, without credentials; nothing when there is no such remote.
    ///
    /// # Errors
    /// When git fails.
    pub async fn remote_url(&self, remote: &str) -> Result<Option<String>> {
        names::remote(remote)?;
        let url = self.config(&format!("remote.{remote}.url")).await?;
        Ok(url.map(|url| without_credentials(&sanitize_line(&url))))
    }

    /// The refs of `remote` that `patterns` name in full (all without any), with the object of each. A tag's peeled
    /// object stands under its name with `^{}`.
    ///
    /// # Errors
    /// [`ActionError::Final`] when there is no such remote, [`ActionError::Failed`] when it does not answer.
    pub async fn remote_refs(&self, remote: &str, patterns: &[String]) -> Result<BTreeMap<String, String>> {
        names::remote(remote)?;
        if self.remote_url(remote).await?.is_none() {
            return Err(ActionError::Final(format!(
                "this repository has no remote `{remote}`: add it with `git remote add {remote} URL`"
            )));
        }
        let mut command =
            self.to_remote(git()).await?.args(["ls-remote", "--quiet", "--end-of-options", remote]);
        for pattern in patterns {
            names::revision(pattern)?;
            command = command.arg(pattern).arg(format!("{pattern}^{{}}"));
        }
        let finished = self.finish(command.clone().quiet()).await?;
        if !finished.success() {
            return Err(self.failure(&command, &finished));
        }
        let text = String::from_utf8_lossy(&finished.stdout).into_owned();
        let refs = text.lines().filter_map(|line| line.split_once('\t'));
        // A pattern matches at the end of longer names too.
        let wanted = |name: &str| {
            patterns.is_empty()
                || patterns.iter().any(|pattern| pattern == name.strip_suffix("^{}").unwrap_or(name))
        };
        Ok(refs.filter(|(_, name)| wanted(name)).map(|(id, name)| (name.to_owned(), id.to_owned())).collect())
    }

    /// The tags of `remote`, by name.
    ///
    /// # Errors
    /// As [`Self::remote_refs`].
    pub async fn remote_tags(&self, remote: &str) -> Result<BTreeMap<String, RemoteTag>> {
        let refs = self.remote_refs(remote, &[]).await?;
        Ok(refs
            .iter()
            .filter(|(name, _)| !name.ends_with("^{}"))
            .filter_map(|(name, object)| {
                let commit = refs.get(&format!("{name}^{{}}")).unwrap_or(object);
                let tag = RemoteTag { object: object.clone(), commit: commit.clone() };
                name.strip_prefix("refs/tags/").map(|short| (short.to_owned(), tag))
            })
            .collect())
    }

    /// Where the commit has been published: the first remote that has it in one of its branches or tags.
    ///
    /// # Errors
    /// When a remote does not answer, so that nobody knows.
    pub async fn published(&self, commit: &str) -> Result<Option<String>> {
        let ours = self.branch().await?.map(|branch| format!("refs/heads/{branch}"));
        for remote in self.remotes().await? {
            let refs = self.remote_refs(&remote, &[]).await?;
            let known = self.known_commits(refs.values().map(String::as_str)).await?;
            // What is not here cannot be judged, unless it is our own branch that went on elsewhere.
            let went_on =
                ours.as_ref().and_then(|ours| refs.get(ours)).is_some_and(|tip| !known.contains(tip));
            if went_on || self.contained(commit, &known).await? {
                return Ok(Some(remote));
            }
        }
        Ok(None)
    }

    /// Whether one of `tips` (ids of commits that are here) is `commit` or comes after it.
    ///
    /// # Errors
    /// When git fails.
    pub async fn contained(&self, commit: &str, tips: &BTreeSet<String>) -> Result<bool> {
        // Everything that the tips do not reach, of which there is nothing when they reach the commit.
        let mut input = format!("{commit}\n");
        tips.iter().for_each(|tip| input.extend(["^", tip, "\n"]));
        Ok(self.feed(["rev-list", "--max-count=1", "--stdin"], input).await?.trim().is_empty())
    }

    /// Those of `ids` that are commits and are here.
    ///
    /// # Errors
    /// When git fails.
    pub async fn known_commits(&self, ids: impl IntoIterator<Item = &str>) -> Result<BTreeSet<String>> {
        let input: String = ids.into_iter().flat_map(|id| [id, "\n"]).collect();
        let text = self.feed(["cat-file", "--batch-check=%(objecttype) %(objectname)"], input).await?;
        Ok(text.lines().filter_map(|line| line.strip_prefix("commit ")).map(str::to_owned).collect())
    }

    /// The standard output of a git command that reads `input`, out of the log.
    async fn feed<const N: usize>(&self, args: [&str; N], input: String) -> Result<String> {
        let command = git().args(args).stdin(input).quiet();
        let finished = self.finish(command.clone()).await?;
        if !finished.success() {
            return Err(self.failure(&command, &finished));
        }
        Ok(String::from_utf8_lossy(&finished.stdout).into_owned())
    }

    /// `command` for talking to a remote: ssh must not ask for a passphrase, unless the user chose their own ssh.
    ///
    /// # Errors
    /// When git fails.
    pub async fn to_remote(&self, command: Command) -> Result<Command> {
        let chosen = ["GIT_SSH_COMMAND", "GIT_SSH"].iter().any(|name| {
            std::env::var_os(name).is_some() || self.context.world.environment.contains_key(*name)
        });
        if chosen || self.config("core.sshCommand").await?.is_some() {
            return Ok(command);
        }
        Ok(command.env("GIT_SSH_COMMAND", "ssh -o BatchMode=yes"))
    }
}

/// `text` without the user and password in its URLs.
pub fn without_credentials(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        shown.push_str(before);
        shown.push_str("://");
        let end = after.find(|letter: char| letter == '/' || letter.is_whitespace()).unwrap_or(after.len());
        let (authority, tail) = after.split_at(end);
        shown.push_str(authority.rsplit_once('@').map_or(authority, |(_, host)| host));
        rest = tail;
    }
    shown.push_str(rest);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_lose_their_credentials() {
        for (url, expect) in [
            ("https://user:token@host/path", "https://host/path"),
            ("fatal: 'https://t@h' and ssh://git@h/x@y", "fatal: 'https://h' and ssh://h/x@y"),
            ("git@host:path", "git@host:path"),
            ("https://a@b@c/", "https://c/"),
            ("/plain/path", "/plain/path"),
        ] {
            assert_eq!(without_credentials(url), expect);
        }
    }
}
