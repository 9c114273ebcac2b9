//! What the commits since the baseline amount to.

use std::collections::BTreeMap;

use super::super::{Bump, Policy};
use crate::commit::{Commit, Types};
use crate::text::sanitize_line;

/// More types than this are not told apart: their names come from commit messages.
const MOST_TYPES: usize = 50;

/// What the commits amount to.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// The largest step any of them asks for.
    pub level: Option<Bump>,
    /// How many changes there are of each type, those taken back left out; `other` for those without one.
    pub by_type: BTreeMap<String, usize>,
    breaking: usize,
    features: usize,
    repairs: usize,
    other: usize,
    unconventional: usize,
    total: usize,
}

impl Tally {
    /// Counts the commits that still stand.
    pub fn of(commits: &[Commit], policy: &Policy) -> Self {
        let mut tally = Self { total: commits.len(), ..Self::default() };
        let types = Types::with(policy.bump_rules.keys().map(String::as_str));
        for (_, told) in types.told(commits) {
            if told.merge {
                continue;
            }
            for change in told.changes() {
                let kind = change.kind.as_deref();
                tally.count(kind);
                let level = policy.bump_for(kind, change.breaking.is_some());
                match level {
                    Some(Bump::Major) => tally.breaking += 1,
                    Some(Bump::Minor) => tally.features += 1,
                    Some(Bump::Patch) => tally.repairs += 1,
                    None if kind.is_none() => tally.unconventional += 1,
                    None => tally.other += 1,
                }
                tally.level = tally.level.max(level);
            }
        }
        tally
    }

    /// How many changes are breaking ones.
    pub fn breaking(&self) -> usize {
        self.breaking
    }

    fn count(&mut self, kind: Option<&str>) {
        let kind = kind.unwrap_or("other");
        let known = self.by_type.contains_key(kind) || self.by_type.len() < MOST_TYPES;
        *self.by_type.entry(if known { kind } else { "other" }.to_owned()).or_default() += 1;
    }

    /// What asks for the release: `2 features, 1 fix`.
    pub(super) fn told(&self) -> String {
        let parts = [
            (self.breaking, "breaking change", "breaking changes"),
            (self.features, "feature", "features"),
            (self.repairs, "fix", "fixes"),
        ];
        let told: Vec<String> = parts
            .iter()
            .filter(|(count, ..)| *count > 0)
            .map(|(count, one, many)| format!("{count} {}", if *count == 1 { one } else { many }))
            .collect();
        told.join(", ")
    }

    /// Why nothing asks for one.
    pub(super) fn nothing(&self, tag: &str) -> String {
        let tag = sanitize_line(tag);
        if self.total == 0 {
            return format!("there are no commits since `{tag}`");
        }
        let mut parts = Vec::new();
        if self.other > 0 {
            parts.push(format!("{} of types that ask for none", self.other));
        }
        if self.unconventional > 0 {
            parts.push(format!("{} without a conventional type", self.unconventional));
        }
        if parts.is_empty() {
            parts.push("merges or changes taken back".to_owned());
        }
        let plural = if self.total == 1 { "" } else { "s" };
        format!("the {} commit{plural} since `{tag}` ask for no release ({})", self.total, parts.join(", "))
    }
}
