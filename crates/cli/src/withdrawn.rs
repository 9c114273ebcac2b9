//! Versions taken back: nothing counts from them, and their numbers are never used again.

use std::collections::BTreeMap;

use windlass_core::config::Unit;
use windlass_core::run::RunStatus;
use windlass_core::version::next::Decision;
use windlass_core::version::{Policy, Version, parse_version};
use windlass_engine::journal::{Journal as _, RunRecord, SqliteJournal};

use crate::error::Result;
use crate::facts::Repository;
use crate::project::Project;
use crate::runner::journal_error;

/// Why a version is withdrawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Its run was rolled back.
    RolledBack,
    /// The configuration says so.
    Configured,
}

/// The versions of a unit that were withdrawn, by the configuration and by the journal of this repository.
///
/// # Errors
/// When there is a journal that cannot be read: nobody knows then which numbers are spent.
pub fn read(
    project: &Project,
    repository: &Repository,
    unit: &Unit,
    policy: &Policy,
) -> Result<BTreeMap<Version, Why>> {
    let configured = project.config.version.withdrawn.iter().filter_map(|text| parse_version(text).ok());
    let mut withdrawn: BTreeMap<Version, Why> =
        configured.map(|version| (version, Why::Configured)).collect();
    let place = project.state.join("journal.db");
    if !place.exists() {
        return Ok(withdrawn);
    }
    let runs = SqliteJournal::open(&place).and_then(|journal| journal.runs()).map_err(journal_error)?;
    // Another package's number says nothing of this one's. Old journals name no package.
    let is_own = |run: &&RunRecord| run.package.is_none() || run.package == unit.package;
    // The newest is first. Who released it once more, to the end, did not leave it withdrawn.
    let mut last: BTreeMap<(&str, &str), RunStatus> = BTreeMap::new();
    for run in runs.iter().filter(is_own) {
        let is_decided = matches!(run.status, RunStatus::RolledBack | RunStatus::Succeeded);
        if let Some(version) = run.version.as_deref().filter(|_| is_decided) {
            last.entry((&run.runbook, version)).or_insert(run.status);
        }
    }
    let rolled_back = last.iter().filter(|(_, status)| **status == RunStatus::RolledBack);
    // Without its tag it was never out, or is not any more: its number is free.
    let is_tagged = |version: &Version| repository.tags.contains_key(&policy.tag(version));
    withdrawn.extend(
        rolled_back
            .filter_map(|((_, version), _)| parse_version(version).ok())
            .filter(is_tagged)
            .map(|version| (version, Why::RolledBack)),
    );
    Ok(withdrawn)
}

/// The versions alone.
pub fn versions(withdrawn: &BTreeMap<Version, Why>) -> Vec<Version> {
    withdrawn.keys().cloned().collect()
}

/// What they change in the decision, a sentence each: those above the release that is counted from.
pub fn reasons(withdrawn: &BTreeMap<Version, Why>, decision: &Decision) -> Vec<String> {
    let from = match &decision.previous {
        Some(previous) => format!("the release counts from {previous}"),
        None => "no release is counted from".to_owned(),
    };
    withdrawn
        .iter()
        .filter(|(version, _)| decision.previous.as_ref().is_none_or(|previous| *version > previous))
        .map(|(version, why)| match why {
            Why::RolledBack => format!("{version} was rolled back, so its number is spent, and {from}"),
            Why::Configured => {
                format!("{version} is withdrawn in the configuration, so its number is spent, and {from}")
            }
        })
        .collect()
}
