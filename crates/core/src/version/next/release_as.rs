//! `Release-As: 2.0.0`: a commit that says which version it wants.

use super::super::{Version, parse_version};
use super::{NextError, NextInput};
use crate::commit::{Commit, Conventional, without_reverted};
use crate::text::sanitize_line;

/// The version that the commits ask for in so many words, and the commit that does.
pub(super) fn asked(input: &NextInput<'_>) -> Result<Option<(Version, String)>, NextError> {
    let mut found: Option<(Version, String)> = None;
    for (commit, told) in without_reverted(input.commits) {
        for value in values(&told) {
            let version = parse_version(value).map_err(|error| NextError::UnclearReleaseAs {
                commit: described(commit),
                problem: error.to_string(),
            })?;
            match &found {
                Some((first, first_commit)) if *first != version => {
                    return Err(NextError::TwoReleaseAs {
                        one: format!("{first_commit} for {first}"),
                        other: format!("{} for {version}", described(commit)),
                    });
                }
                Some(_) => {}
                None => found = Some((version, described(commit))),
            }
        }
    }
    Ok(found)
}

fn values<'a>(told: &'a Conventional<'_>) -> impl Iterator<Item = &'a str> {
    let footers = told.changes().iter().chain([told]).flat_map(|change| &change.footers);
    footers
        .filter(|footer| footer.token.eq_ignore_ascii_case("release-as"))
        .map(|footer| footer.value.as_ref())
}

fn described(commit: &Commit) -> String {
    let id = commit.id.get(..10).unwrap_or(&commit.id);
    let subject: String = sanitize_line(commit.subject()).chars().take(60).collect();
    format!("{id} ({subject})")
}
