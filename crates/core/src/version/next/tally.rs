//! What the commits since the baseline amount to.

use super::super::Bump;
use super::NextInput;
use crate::commit::without_reverted;
use crate::text::sanitize_line;

/// What the commits amount to.
#[derive(Default)]
pub(super) struct Tally {
    /// The largest step any of them asks for.
    pub(super) level: Option<Bump>,
    breaking: usize,
    features: usize,
    repairs: usize,
    other: usize,
    unconventional: usize,
    total: usize,
}

impl Tally {
    /// Counts the commits that still stand.
    pub(super) fn of(input: &NextInput<'_>) -> Self {
        let mut tally = Self { total: input.commits.len(), ..Self::default() };
        for (_, told) in without_reverted(input.commits) {
            if told.merge {
                continue;
            }
            for change in told.changes() {
                let kind = change.kind.as_deref();
                let level = input.policy.bump_for(kind, change.breaking.is_some());
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
