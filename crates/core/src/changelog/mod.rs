//! Changelogs as Keep a Changelog 1.1 lays them out: read, filled, promoted, extracted.

mod blocks;
mod edit;
mod entry;
mod fill;
mod generate;
mod group;
mod heading;
mod known;
mod links;
mod lint;
pub mod notes;
mod parse;
mod promote;
mod template;
#[cfg(test)]
mod tests;

pub use fill::{EntryOptions, append_unreleased, fill_unreleased};
pub use generate::{
    GenerateError, GenerateOptions, GeneratedRelease, generate, insert_section, inserted_section, section,
};
pub use group::{Group, Headings};
pub use links::Site;
pub use lint::{LintOptions, grouped, lint};
pub use parse::{Changelog, Entry, GroupHeading, Link, Release, Section, SectionKind};
pub use promote::{PromoteOptions, demote, promote};
pub use template::{Template, TemplateError};

use crate::version::Version;

/// The largest changelog read, in bytes.
pub const LARGEST: usize = 16 * 1024 * 1024;

/// A changelog to begin with.
pub const NEW_FILE: &str = "\
# Changelog

All notable changes to this project will be documented in this file.

The format is based on [Keep a Changelog](https://keepachangelog.com/en/1.1.0/),
and this project adheres to [Semantic Versioning](https://semver.org/spec/v2.0.0.html).

## [Unreleased]
";

/// Why a changelog cannot be read or changed. Lines count from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangelogError {
    /// Too much to read.
    #[error("the changelog has {size} bytes, the most is {LARGEST}")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
    },
    /// A merge was left unfinished.
    #[error("line {line} of the changelog is a merge conflict marker; resolve the conflict first")]
    Conflict {
        /// Where.
        line: usize,
    },
    /// Two sections claim to be the same.
    #[error("the changelog has `{title}` twice, on lines {first} and {line}; join the two sections")]
    Duplicate {
        /// The heading's name.
        title: String,
        /// The first one's line.
        first: usize,
        /// The second one's line.
        line: usize,
    },
    /// There is nothing to promote from.
    #[error("the changelog has no `Unreleased` heading; add `## [Unreleased]` above the latest release")]
    NoUnreleased,
    /// The section is empty.
    #[error(
        "line {line}: `Unreleased` holds no entry, so there is nothing to release; \
         write one, or let them be made from the commits"
    )]
    EmptyUnreleased {
        /// The heading's line.
        line: usize,
    },
    /// The version has its section already.
    #[error(
        "the changelog already has a section for {version} on line {line}; choose another version or remove it"
    )]
    AlreadyReleased {
        /// The version.
        version: Version,
        /// The heading's line.
        line: usize,
    },
    /// A link of that name exists although the section does not.
    #[error("line {line} already defines the link `[{label}]`, which has no section; remove that line")]
    LinkExists {
        /// The link's label.
        label: String,
        /// Where.
        line: usize,
    },
    /// The version has no section.
    #[error("the changelog has no section for {version}")]
    NotReleased {
        /// The version.
        version: Version,
    },
    /// The promotion cannot be taken back mechanically.
    #[error(
        "the section of {version} on line {line} cannot be moved back: {problem}; edit the changelog by hand"
    )]
    NotDemotable {
        /// The version.
        version: Version,
        /// The heading's line.
        line: usize,
        /// Why not.
        problem: String,
    },
    /// Read back, the changed text is not what it should be.
    #[error("after the change {problem}; nothing was kept, make this change by hand")]
    Incomplete {
        /// What is missing or different.
        problem: String,
    },
}

/// The text of a release's section, without its heading and the blank lines around; `None` without such a section.
pub fn extract(source: &str, version: &Version) -> Result<Option<String>, ChangelogError> {
    let changelog = Changelog::parse(source)?;
    changelog.require_one(Some(version))?;
    Ok(changelog.release(version).map(|section| changelog.body(section).trim().to_owned()))
}
