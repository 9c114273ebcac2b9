//! The groups of Keep a Changelog, and where a commit belongs.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::commit::{Conventional, Types};

/// The groups of Keep a Changelog, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// New features.
    Added,
    /// Changes in what exists.
    Changed,
    /// What will go.
    Deprecated,
    /// What went.
    Removed,
    /// Repairs.
    Fixed,
    /// Vulnerabilities.
    Security,
}

impl Group {
    /// All of them, in order.
    pub const ALL: [Self; 6] =
        [Self::Added, Self::Changed, Self::Deprecated, Self::Removed, Self::Fixed, Self::Security];

    /// The heading's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "Added",
            Self::Changed => "Changed",
            Self::Deprecated => "Deprecated",
            Self::Removed => "Removed",
            Self::Fixed => "Fixed",
            Self::Security => "Security",
        }
    }

    /// The group of this heading.
    pub fn of_title(title: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|group| group.as_str().eq_ignore_ascii_case(title.trim().trim_end_matches(':')))
    }

    /// The group that somebody who wrote `title` may have meant.
    pub(super) fn meant_by(title: &str) -> Option<Self> {
        let word = title.to_lowercase();
        let has = |parts: &[&str]| parts.iter().any(|part| word.contains(part));
        match () {
            () if has(&["secur", "vulnerab"]) => Some(Self::Security),
            () if has(&["fix", "bug"]) => Some(Self::Fixed),
            () if has(&["deprecat"]) => Some(Self::Deprecated),
            () if has(&["remov", "delet"]) => Some(Self::Removed),
            () if has(&["add", "feature", "new"]) => Some(Self::Added),
            () if has(&["chang", "improv", "updat", "enhanc", "perf", "refactor", "internal", "depend"]) => {
                Some(Self::Changed)
            }
            () => None,
        }
    }

    /// Where a change belongs; `None` when its users would not notice it.
    fn of(change: &Conventional<'_>) -> Option<Self> {
        let scope = change.scope.as_deref().unwrap_or("");
        match change.kind.as_deref().unwrap_or_default() {
            "security" => Some(Self::Security),
            "fix" if scope.eq_ignore_ascii_case("security") => Some(Self::Security),
            "feat" | "feature" => Some(Self::Added),
            "fix" | "hotfix" => Some(Self::Fixed),
            "perf" | "revert" => Some(Self::Changed),
            "deprecate" | "deprecated" => Some(Self::Deprecated),
            "remove" | "removed" => Some(Self::Removed),
            _ => change.breaking.is_some().then_some(Self::Changed),
        }
    }
}

/// The heading a change goes under, by the type of its commit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Headings {
    own: BTreeMap<String, String>,
}

impl Headings {
    /// The built-in headings, and over them `own`: a heading, or `none`, by type or by `type(scope)`.
    pub fn new(own: &BTreeMap<String, String>) -> Self {
        let lower = own.iter().map(|(kind, heading)| (kind.to_lowercase(), heading.trim().to_owned()));
        Self { own: lower.collect() }
    }

    /// The known types of commits, and those that have a heading of their own.
    pub fn types(&self) -> Types {
        Types::with(self.own.keys().map(String::as_str))
    }

    /// The heading of a change; `None` when it is left out.
    pub fn of(&self, change: &Conventional<'_>) -> Option<Cow<'_, str>> {
        let Some(kind) = change.kind.as_deref() else {
            return Group::of(change).map(|group| group.as_str().into());
        };
        if !self.own.is_empty() {
            let scoped = change.scope.as_deref().map(|scope| format!("{kind}({})", scope.to_lowercase()));
            let own = scoped.and_then(|scoped| self.own.get(&scoped)).or_else(|| self.own.get(kind));
            if let Some(heading) = own {
                let told = !heading.eq_ignore_ascii_case("none") && !heading.is_empty();
                // What breaks is told, whatever its type.
                return match told {
                    true => Some(heading.as_str().into()),
                    false => change.breaking.is_some().then_some(Group::Changed.as_str().into()),
                };
            }
        }
        Group::of(change).map(|group| group.as_str().into())
    }
}

/// The place of a heading among others: Keep a Changelog's order, then the rest as they come.
pub(super) fn rank(title: &str) -> usize {
    Group::of_title(title).map_or(Group::ALL.len(), |group| group as usize)
}
