//! The baseline: the release that the next one is counted from, and why that one.

use serde::{Deserialize, Serialize};
use std::cmp::Reverse;

use super::super::{Channel, Policy, TagFormat, Version};
use crate::text::sanitize_line;

/// What git knows of one tag. All of a repository's tags fit two git calls: `git tag --list` for the names
/// and `git tag --merged HEAD` for those HEAD contains.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TagFact {
    /// The tag's short name.
    pub name: String,
    /// Whether HEAD contains the tagged commit.
    pub reachable: bool,
    /// How many commits HEAD has that the tag has not, where counted. Zero means HEAD is the tagged commit;
    /// that alone is worth filling for every reachable tag (`git tag --points-at HEAD`).
    pub commits_since: Option<usize>,
}

/// A tag that stands for a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tagged {
    /// The version.
    pub version: Version,
    /// The tag's name.
    pub tag: String,
    /// Whether HEAD contains it.
    pub reachable: bool,
    /// As in [`TagFact::commits_since`].
    pub commits_since: Option<usize>,
}

/// What has been released so far, seen from HEAD.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Baseline {
    /// The highest stable release (or marked hotfix) that HEAD contains. Commits are counted from here.
    pub stable: Option<Tagged>,
    /// The highest pre-release above `stable` that HEAD contains.
    pub prerelease: Option<Tagged>,
    /// Every tag that follows the format, highest first.
    pub all: Vec<Tagged>,
    /// Why `stable` was chosen, and the runner-up.
    pub reasons: Vec<String>,
    /// Where no tag follows the format: one that looks like a version all the same, and its format.
    pub(super) foreign: Option<(String, TagFormat)>,
    /// The format in force.
    pub(super) format: TagFormat,
}

/// Chooses the release to count from among `tags`. Withdrawn ones are passed over.
pub fn baseline(tags: &[TagFact], policy: &Policy, withdrawn: &[Version]) -> Baseline {
    let mut all: Vec<Tagged> = tags
        .iter()
        .filter_map(|fact| {
            Some(Tagged {
                version: policy.tag_format.version_of(&fact.name)?,
                tag: fact.name.clone(),
                reachable: fact.reachable,
                commits_since: fact.commits_since,
            })
        })
        .collect();
    // Highest, not nearest: merging a hotfix of an old line back makes its tag nearer than the last release.
    all.sort_by(|one, other| {
        other.version.cmp_precedence(&one.version).then_with(|| {
            (Reverse(one.reachable), one.commits_since, &one.tag).cmp(&(
                Reverse(other.reachable),
                other.commits_since,
                &other.tag,
            ))
        })
    });
    let contained = || all.iter().filter(|tagged| tagged.reachable && !withdrawn.contains(&tagged.version));
    let mut released = contained().filter(|tagged| is_released(&tagged.version));
    let stable = released.next().cloned();
    let runner_up = released.next();
    let prerelease = contained()
        .find(|tagged| !is_released(&tagged.version))
        .filter(|tagged| stable.as_ref().is_none_or(|stable| tagged.version > stable.version))
        .cloned();
    let mut reasons = Vec::new();
    if let Some(stable) = &stable {
        let count = match stable.commits_since {
            Some(1) => ", 1 commit back".to_owned(),
            Some(count) => format!(", {count} commits back"),
            None => String::new(),
        };
        let next = match runner_up {
            Some(tagged) => format!("; the one before is `{}`", sanitize_line(&tagged.tag)),
            None => String::new(),
        };
        reasons.push(format!(
            "`{}` is the highest release that HEAD contains{count}{next}",
            sanitize_line(&stable.tag)
        ));
    }
    let foreign = match all.is_empty() {
        true => tags.iter().find_map(|fact| Some((fact.name.clone(), TagFormat::guess(&fact.name)?))),
        false => None,
    };
    Baseline { stable, prerelease, all, reasons, foreign, format: policy.tag_format.clone() }
}

fn is_released(version: &Version) -> bool {
    matches!(Channel::of(version), Some(Channel::Stable | Channel::Hotfix))
}
