//! What a repository says about itself. Nothing here changes it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use windlass_core::plan::CommitFact;
use windlass_core::text::{sanitize, sanitize_line};
use windlass_engine::action::{ActionError, Result};

use super::{ANSWER, Git, names};

/// The longest commit message that is read whole, in bytes.
const MESSAGE: usize = 64 << 10;

/// A tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// The tag object's id, or the commit's when the tag is a plain name for it.
    pub object: String,
    /// The commit it names in the end.
    pub commit: String,
    /// It is an object of its own, with author, date and message.
    pub annotated: bool,
    /// HEAD is that commit or one after it.
    pub reachable: bool,
}

/// Commits of a range.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Commits {
    /// Newest first, made safe to show.
    pub commits: Vec<CommitFact>,
    /// There are more than were asked for, or than can be read at once.
    pub truncated: bool,
}

/// A person as git names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Their name.
    pub name: String,
    /// Their e-mail address.
    pub email: String,
}

impl Git {
    /// The root of the checkout.
    ///
    /// # Errors
    /// [`ActionError::Final`] outside a repository and in a bare one.
    pub async fn top_level(&self) -> Result<PathBuf> {
        self.place("--show-toplevel").await
    }

    /// The git directory that all checkouts of the repository share.
    ///
    /// # Errors
    /// [`ActionError::Final`] outside a repository.
    pub async fn common_dir(&self) -> Result<PathBuf> {
        self.place("--git-common-dir").await
    }

    async fn place(&self, which: &str) -> Result<PathBuf> {
        let answer = self.read(["rev-parse", "--path-format=absolute", which]).await;
        answer.map(|path| PathBuf::from(path.trim_end_matches('\n'))).map_err(|error| {
            let text = error.to_string();
            if text.contains("not a git repository") {
                return ActionError::Final(
                    "this folder is in no git repository: run `git init` first".into(),
                );
            }
            if text.contains("work tree") {
                return ActionError::Final("this repository is bare: work in a clone of it".into());
            }
            ActionError::Final(text)
        })
    }

    /// The commit HEAD names; nothing before the first commit.
    ///
    /// # Errors
    /// When git fails.
    pub async fn head(&self) -> Result<Option<String>> {
        self.commit("HEAD").await
    }

    /// The branch checked out, without `refs/heads/`; nothing when HEAD is detached.
    ///
    /// # Errors
    /// When git fails.
    pub async fn branch(&self) -> Result<Option<String>> {
        let full = self.ask(["symbolic-ref", "--quiet", "HEAD"]).await?;
        Ok(full.map(|full| names::short(full.trim_end()).to_owned()))
    }

    /// The branch that was checked out before the present one, if git remembers and it still exists.
    ///
    /// # Errors
    /// When git cannot be run.
    pub async fn previous_branch(&self) -> Result<Option<String>> {
        let command = super::git().args(["rev-parse", "--symbolic-full-name", "@{-1}"]).quiet();
        let finished = self.finish(command).await?;
        let full = String::from_utf8_lossy(&finished.stdout).trim_end().to_owned();
        Ok(full.strip_prefix("refs/heads/").filter(|_| finished.success()).map(str::to_owned))
    }

    /// The commit that `revision` names, if any.
    ///
    /// # Errors
    /// When `revision` is not safe to ask for, and when git fails.
    pub async fn commit(&self, revision: &str) -> Result<Option<String>> {
        names::revision(revision)?;
        self.resolve(&format!("{revision}^{{commit}}")).await
    }

    /// As [`Self::commit`], when there must be one.
    ///
    /// # Errors
    /// Also [`ActionError::Final`] when there is none.
    pub async fn require_commit(&self, revision: &str) -> Result<String> {
        self.commit(revision).await?.ok_or_else(|| {
            ActionError::Final(format!("there is no commit `{}` in this repository", sanitize_line(revision)))
        })
    }

    /// The id of the object that the ref of this full name holds, if any.
    ///
    /// # Errors
    /// When git fails.
    pub async fn object(&self, full_ref: &str) -> Result<Option<String>> {
        names::revision(full_ref)?;
        self.resolve(full_ref).await
    }

    async fn resolve(&self, expression: &str) -> Result<Option<String>> {
        let answer = self.ask(["rev-parse", "--verify", "--quiet", "--end-of-options", expression]).await?;
        Ok(answer.map(|id| id.trim_end().to_owned()).filter(|id| !id.is_empty()))
    }

    /// Whether `ancestor` is `descendant` or comes before it. Both are ids of commits.
    ///
    /// # Errors
    /// When git fails, or one of them is not here.
    pub async fn is_ancestor(&self, ancestor: &str, descendant: &str) -> Result<bool> {
        names::revision(ancestor)?;
        names::revision(descendant)?;
        Ok(self.ask(["merge-base", "--is-ancestor", ancestor, descendant]).await?.is_some())
    }

    /// Whether this clone has only the newest part of the history.
    ///
    /// # Errors
    /// When git fails.
    pub async fn is_shallow(&self) -> Result<bool> {
        Ok(self.read(["rev-parse", "--is-shallow-repository"]).await?.trim() == "true")
    }

    /// Tracked paths that differ from HEAD, from the repository's root.
    ///
    /// # Errors
    /// When git fails.
    pub async fn dirty(&self) -> Result<Vec<String>> {
        self.status(&["--untracked-files=no"]).await
    }

    /// Of `paths`, those that differ from HEAD, untracked ones included.
    ///
    /// # Errors
    /// When git fails.
    pub async fn dirty_among(&self, paths: &[String]) -> Result<Vec<String>> {
        let mut args = vec!["--untracked-files=all", "--"];
        args.extend(paths.iter().map(String::as_str));
        self.status(&args).await
    }

    async fn status(&self, args: &[&str]) -> Result<Vec<String>> {
        let fixed = [
            "--literal-pathspecs",
            "status",
            "--porcelain=v1",
            "-z",
            "--no-renames",
            "--ignore-submodules=none",
        ];
        let text = self.read(fixed.iter().chain(args).copied()).await?;
        Ok(text.split('\0').filter_map(|entry| entry.get(3..)).map(str::to_owned).collect())
    }

    /// All tags that name a commit, by name.
    ///
    /// # Errors
    /// When git fails.
    pub async fn tags(&self) -> Result<BTreeMap<String, Tag>> {
        let format = "--format=%(refname)%00%(objecttype)%00%(objectname)%00%(*objecttype)%00%(*objectname)";
        let listed = self.read(["for-each-ref", format, "refs/tags/"]).await?;
        let merged = match self.head().await? {
            Some(head) => {
                self.read(["for-each-ref", "--merged", &head, "--format=%(refname)", "refs/tags/"]).await?
            }
            None => String::new(),
        };
        let merged: BTreeSet<&str> = merged.lines().collect();
        let mut tags = BTreeMap::new();
        for line in listed.lines() {
            let fields: Vec<&str> = line.split('\0').collect();
            let [full, kind, object, peeled_kind, peeled] = fields.as_slice() else { continue };
            let commit = match (*kind, *peeled_kind) {
                ("commit", _) => Some((*object).to_owned()),
                ("tag", "commit") => Some((*peeled).to_owned()),
                // A tag of a tag.
                ("tag", "tag") => self.commit(full).await?,
                _ => None,
            };
            let Some(commit) = commit else { continue };
            let tag = Tag {
                object: (*object).to_owned(),
                commit,
                annotated: *kind == "tag",
                reachable: merged.contains(full),
            };
            tags.insert(names::short(full).to_owned(), tag);
        }
        Ok(tags)
    }

    /// Commits that `to` contains and `from` does not (all when there is no `from`), at most `most`, newest first.
    ///
    /// # Errors
    /// When one of the revisions is not there, and when git fails.
    pub async fn commits(&self, from: Option<&str>, to: &str, most: usize) -> Result<Commits> {
        let to = self.require_commit(to).await?;
        let range = match from {
            Some(from) => format!("{}..{to}", self.require_commit(from).await?),
            None => to,
        };
        let count = format!("--max-count={}", most.saturating_add(1));
        let text = self
            .read([
                "log",
                "-z",
                "--no-color",
                "--no-show-signature",
                "--encoding=UTF-8",
                &count,
                "--format=%H%x00%ae%x00%an%x00%B",
                "--end-of-options",
                &range,
                "--",
            ])
            .await?;
        let cut = text.len() >= ANSWER;
        let fields: Vec<&str> = text.split('\0').collect();
        let mut commits: Vec<CommitFact> = fields
            .chunks_exact(4)
            .filter_map(|record| match record {
                [id, email, name, message] => Some(fact(id, email, name, message)),
                _ => None,
            })
            .collect();
        let truncated = cut || commits.len() > most;
        commits.truncate(most);
        Ok(Commits { commits, truncated })
    }

    /// How many commits `to` contains and `from` does not.
    ///
    /// # Errors
    /// When one of the revisions is not there, and when git fails.
    pub async fn count(&self, from: &str, to: &str) -> Result<usize> {
        let range = format!("{}..{}", self.require_commit(from).await?, self.require_commit(to).await?);
        let text = self.read(["rev-list", "--count", "--end-of-options", &range, "--"]).await?;
        text.trim().parse().map_err(|_| ActionError::Failed("git rev-list told no number".into()))
    }

    /// Whom git would name as the author of a commit made now; nothing when it knows nobody.
    ///
    /// # Errors
    /// When git cannot be run.
    pub async fn person(&self) -> Result<Option<Person>> {
        let finished = self.finish(super::git().args(["var", "GIT_AUTHOR_IDENT"]).quiet()).await?;
        let text = sanitize_line(&String::from_utf8_lossy(&finished.stdout));
        Ok(text
            .rsplit_once('>')
            .and_then(|(person, _)| person.rsplit_once('<'))
            .map(|(name, email)| Person { name: name.trim().to_owned(), email: email.trim().to_owned() }))
    }

    /// The value of a configuration key.
    ///
    /// # Errors
    /// When git fails.
    pub async fn config(&self, key: &str) -> Result<Option<String>> {
        Ok(self.ask(["config", "--get", key]).await?.map(|value| value.trim_end_matches('\n').to_owned()))
    }

    /// The message of a commit, as it is: not made safe to show.
    ///
    /// # Errors
    /// When it is not there, and when git fails.
    pub async fn message(&self, revision: &str) -> Result<String> {
        let commit = self.require_commit(revision).await?;
        self.read(["log", "-1", "--no-show-signature", "--encoding=UTF-8", "--format=%B", &commit, "--"])
            .await
    }
}

fn fact(id: &str, email: &str, name: &str, message: &str) -> CommitFact {
    let end = (0..=MESSAGE.min(message.len())).rev().find(|end| message.is_char_boundary(*end));
    let message = sanitize(message.get(..end.unwrap_or_default()).unwrap_or_default()).trim_end().to_owned();
    CommitFact {
        id: id.trim().to_owned(),
        subject: sanitize_line(message.lines().next().unwrap_or_default()),
        author: sanitize_line(email),
        message,
        author_name: sanitize_line(name),
    }
}
