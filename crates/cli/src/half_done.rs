//! A release that was left half-way: then "nothing to release" is not the whole truth.

use windlass_core::run::{RunState, RunStatus};
use windlass_core::version::{Version, parse_version};
use windlass_engine::journal::{Journal as _, RunRecord, SqliteJournal};

use crate::error::Result;
use crate::project::Project;
use crate::report::words;
use crate::runner::journal_error;

/// Advice that names the last run of a release of this package when that was left half-way and nothing newer than `released` is out.
///
/// # Errors
/// When there is a journal that cannot be read.
pub fn advice(
    project: &Project,
    package: Option<&str>,
    released: Option<&Version>,
) -> Result<Option<String>> {
    let place = project.state.join("journal.db");
    if !place.exists() {
        return Ok(None);
    }
    let journal = SqliteJournal::open(&place).map_err(journal_error)?;
    let runs = journal.runs().map_err(journal_error)?;
    let is_own = |run: &&RunRecord| run.version.is_some() && run.package.as_deref() == package;
    let Some(last) = runs.iter().find(is_own) else { return Ok(None) };
    let version = last.version.as_deref().and_then(|version| parse_version(version).ok());
    // Another release has gone out since, by whatever means.
    if version.as_ref().is_some_and(|version| released.is_some_and(|released| version < released)) {
        return Ok(None);
    }
    let run = &last.id;
    let how = match last.status {
        RunStatus::Succeeded => return Ok(None),
        RunStatus::Cancelled => "was cancelled half-way".to_owned(),
        RunStatus::Refused => "was refused half-way".to_owned(),
        RunStatus::RolledBack => {
            let history = journal.history(run, 1).map_err(journal_error)?;
            if !RunState::fold(&history).undone.iter().any(|(_, _, needs_human)| *needs_human) {
                return Ok(None);
            }
            "was rolled back, and left something for a person to take back".to_owned()
        }
        status => format!("is not finished, it is {}", words::status(status)),
    };
    Ok(Some(format!("the last run {run} {how}: `windlass status {run}`")))
}
