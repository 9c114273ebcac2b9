//! Why a holder cannot be read or written.

use super::LARGEST;
use crate::version::{Version, VersionError};

/// Why a holder cannot be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HolderError {
    /// Too much to read.
    #[error("the file has {size} bytes, the most for a version holder is {LARGEST}")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
    },
    /// Nothing says where in the file the version stands.
    #[error("{problem}; {help}")]
    UnknownKind {
        /// What is not known.
        problem: String,
        /// What to do.
        help: String,
    },
    /// It does not follow its format.
    #[error("line {line}, column {column}: this is not valid {format}: {problem}")]
    Syntax {
        /// The format's name.
        format: &'static str,
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// The parser's words.
        problem: String,
    },
    /// Two people's changes meet in it.
    #[error("line {line}: a merge conflict is not resolved here; resolve it first")]
    Conflict {
        /// From 1.
        line: usize,
    },
    /// It states no version where one belongs.
    #[error("no version is stated: {expected}; {help}")]
    Missing {
        /// Where it was looked for.
        expected: String,
        /// What to do.
        help: String,
    },
    /// The version is made by a tool, not stated.
    #[error("line {line}: the version is dynamic, made by the build tool; {help}")]
    Dynamic {
        /// From 1.
        line: usize,
        /// What to do.
        help: String,
    },
    /// The version is written in a way that cannot be spliced.
    #[error("line {line}: {problem}; write it as a plain string such as \"1.2.3\"")]
    Unsupported {
        /// From 1.
        line: usize,
        /// What is odd about it.
        problem: String,
    },
    /// It is stated more than once, and which one is meant is not clear.
    #[error("{what} is stated {found} times (lines {lines}); keep one, or say which by `key` or `pattern`")]
    Several {
        /// What was looked for.
        what: String,
        /// How often it is there.
        found: usize,
        /// The lines of the first ones.
        lines: String,
    },
    /// A stated number of matches is not the one found.
    #[error(
        "{what} matches {found} times (lines {lines}) where {expected} was stated; \
         narrow it or state `matches`"
    )]
    Ambiguous {
        /// What matches: the pattern, the image, the badge.
        what: &'static str,
        /// How often it matches.
        found: usize,
        /// How often it should.
        expected: usize,
        /// The lines of the first matches.
        lines: String,
    },
    /// The pattern itself is wrong.
    #[error("the pattern `{pattern}` cannot be used: {problem}")]
    Pattern {
        /// The pattern, shortened.
        pattern: String,
        /// What is wrong.
        problem: String,
    },
    /// The version is legal, but not in this kind of file.
    #[error("{version} cannot be written here: {problem}")]
    Unsuitable {
        /// The version to write.
        version: Version,
        /// Why not.
        problem: String,
    },
    /// One file states several versions.
    #[error("line {line} states {text}, but line {first} states {other}; make them agree")]
    Disagree {
        /// The line of the one that differs, from 1.
        line: usize,
        /// What it states.
        text: String,
        /// The first one's line, from 1.
        first: usize,
        /// What that states.
        other: String,
    },
    /// What is stated is no version.
    #[error("line {line}: {error}")]
    NotAVersion {
        /// From 1.
        line: usize,
        /// What is wrong with it.
        error: VersionError,
    },
    /// Read back, the edited text does not state the new version.
    #[error("after the edit line {line} states `{text}` instead of {version}; nothing was kept, {help}")]
    NotWritten {
        /// The version to write.
        version: Version,
        /// From 1.
        line: usize,
        /// What was read back.
        text: String,
        /// What to do.
        help: String,
    },
    /// Places that state the version would not be told apart from others any more.
    #[error(
        "once it states {version}, {found} places of this file would state it where {expected} do now; \
         name the one that is meant by `key` or `pattern`"
    )]
    Blurred {
        /// The version to write.
        version: Version,
        /// How many places there would be.
        found: usize,
        /// How many there are.
        expected: usize,
    },
}
