//! What can go wrong with a repository, and the command that puts it right.

use std::path::PathBuf;

use crate::Id;

/// What reading gives.
pub type Result<T, E = HistoryError> = std::result::Result<T, E>;

/// Why a repository could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// There is no repository here or above.
    #[error("`{}` is in no git repository: run `git init` first, or go into a clone", .0.display())]
    NoRepository(PathBuf),
    /// The clone ends before the answer.
    #[error(
        "this clone is shallow: its history ends at {at}, which is too early to tell {what}; run `git fetch --unshallow --tags`"
    )]
    Shallow {
        /// The commit at the boundary.
        at: Id,
        /// What was asked.
        what: &'static str,
    },
    /// A partial clone left the object on the server.
    #[error(
        "this clone is partial and has not the {kind} {id}; run `git fetch --refetch --no-filter`, or clone without {}",
        filter(kind)
    )]
    Partial {
        /// `commit`, `tree`, `file` or `object`.
        kind: &'static str,
        /// The object.
        id: Id,
    },
    /// An object that must be here is not.
    #[error(
        "the {kind} {id} is missing: this repository is damaged; run `git fsck`, then clone it again or `git fetch --refetch`"
    )]
    Missing {
        /// `commit`, `tree`, `file` or `object`.
        kind: &'static str,
        /// The object.
        id: Id,
    },
    /// A tag that leads nowhere.
    #[error(
        "the tag `{name}` leads to {id}, which is missing; run `git fetch --force origin tag {name}`, or remove it with `git tag --delete {name}`"
    )]
    BrokenTag {
        /// Its name without `refs/tags/`.
        name: String,
        /// The object that is not there.
        id: Id,
    },
    /// An id that names something else than was asked for.
    #[error("{id} is not a {kind}")]
    OtherKind {
        /// `commit` or `tree`.
        kind: &'static str,
        /// The object.
        id: Id,
    },
    /// A file of the repository cannot be understood.
    #[error("{what} cannot be read: {why}; {help}")]
    Damaged {
        /// What was read.
        what: String,
        /// What is wrong with it.
        why: String,
        /// What to do.
        help: &'static str,
    },
}

/// What left objects of this kind on the server.
fn filter(kind: &str) -> &'static str {
    match kind {
        "file" => "--filter",
        _ => "--filter=tree:0",
    }
}

/// What to do about a file that git itself keeps.
pub(crate) const CHECK: &str = "run `git fsck`, it says more";

/// What to do about refs.
pub(crate) const REFS: &str =
    "run `git for-each-ref`, it names the line; mend or remove it, then `git fetch --tags`";

impl HistoryError {
    pub(crate) fn damaged(what: impl Into<String>, why: impl std::fmt::Display, help: &'static str) -> Self {
        let why = windlass_core::text::sanitize_line(&why.to_string());
        Self::Damaged { what: what.into(), why, help }
    }
}
