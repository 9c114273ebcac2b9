//! Why there is no next version, in sentences that say what to do.

use super::super::{TagFormat, Version};
use super::Line;

/// Why there is no next version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NextError {
    /// Nothing since the baseline calls for a release.
    #[error(
        "nothing to release: {what}; ask for one with an explicit bump (patch, minor, major) or an exact version"
    )]
    NothingToRelease {
        /// The tag counted from.
        baseline: Option<String>,
        /// How many commits there are since.
        commits: usize,
        /// The account of them.
        what: String,
    },
    /// The version is taken.
    #[error("{version} already exists as the tag `{tag}`; {help}")]
    Exists {
        /// The version chosen or asked for.
        version: Version,
        /// The tag that holds it.
        tag: String,
        /// What to do.
        help: String,
    },
    /// The version would not be the newest of its line.
    #[error("{version} would not be above `{tag}`, {relation}; choose a version above {other}")]
    Below {
        /// The version chosen or asked for.
        version: Version,
        /// The tag that is above it.
        tag: String,
        /// That tag's version.
        other: Version,
        /// How that tag matters.
        relation: &'static str,
    },
    /// The version was withdrawn.
    #[error("{version} was withdrawn and its number is not used again; choose a higher one")]
    Withdrawn {
        /// The version asked for.
        version: Version,
    },
    /// The version would leave the line of the branch.
    #[error("{what}, but the branch is the line {line}; {help}")]
    OutOfLine {
        /// What was to be released.
        what: String,
        /// The line of the branch.
        line: Line,
        /// What to do.
        help: String,
    },
    /// Two commits ask for different versions.
    #[error("two commits ask for different versions, {one} and {other}; choose with an exact version")]
    TwoReleaseAs {
        /// The newer commit, and the version it asks for.
        one: String,
        /// The older commit, and the version it asks for.
        other: String,
    },
    /// A commit asks for something that is no version.
    #[error(
        "the footer Release-As of {commit} cannot be followed, {problem}; or choose with an exact version"
    )]
    UnclearReleaseAs {
        /// The commit.
        commit: String,
        /// What is wrong with it.
        problem: String,
    },
    /// What is to be promoted cannot be.
    #[error("`{tag}` cannot be promoted: {problem}; {help}")]
    Promote {
        /// What was asked for.
        tag: String,
        /// Why not.
        problem: String,
        /// What to do.
        help: String,
    },
    /// The packages of a group are released together or not at all.
    #[error(
        "the packages of the group `{group}` share their version, and `{package}` cannot have this one: {problem}"
    )]
    Group {
        /// The group.
        group: String,
        /// The package that cannot.
        package: String,
        /// Why not, and what to do.
        problem: String,
    },
    /// There are releases, but HEAD contains none of them.
    #[error(
        "HEAD contains none of the {count} release tags (the highest is `{highest}`), so they were made on commits \
         beside this branch; switch to the branch that does, make this one contain the last release with \
         `git merge --strategy=ours TAG`, or give an exact version"
    )]
    NoReachableTag {
        /// How many tags follow the format.
        count: usize,
        /// The highest of them.
        highest: String,
    },
    /// There are tags that look like releases, but none follows the format.
    #[error(
        "no tag follows the format `{format}`, but `{example}` looks like a release; \
         {help}, or give an exact version for a first release"
    )]
    TagFormatMismatch {
        /// The format in force.
        format: TagFormat,
        /// A tag that looks like a version.
        example: String,
        /// What to write into the configuration.
        help: String,
    },
    /// The same releases seem to be tagged in two ways.
    #[error(
        "`{example}` is above `{current}` and HEAD contains it, but it does not follow the format `{format}`: which of \
         them is the last release is not clear; set `tag = \"{suggestion}\"` if that is the format, tag that release \
         again in the right one, or give an exact version"
    )]
    HigherForeign {
        /// The format in force.
        format: String,
        /// The highest release in the format.
        current: String,
        /// The higher one in another.
        example: String,
        /// The format that follows.
        suggestion: String,
    },
}
