//! `windlass rollback`: takes back what a run did.

use clap::Args;
use jiff::Timestamp;
use windlass_core::run::{RunEvent, RunStatus};
use windlass_core::text::sanitize_line;
use windlass_engine::interpreter::Direction;

use crate::commands::{PersonOptions, WaitOptions};
use crate::error::{CommandError, Result};
use crate::exit::Exit;
use crate::report::words;
use crate::runner::drive::{How, drive, wait_for_worker};
use crate::runner::person::person;
use crate::runner::{Runner, Several, Told, journal_error, worker};
use crate::session::Session;

/// Take back what a run did
#[derive(Debug, Args)]
pub struct Arguments {
    /// The run's name or its start [default: the only unfinished one, else the newest]
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Whether to stay at gates.
    #[command(flatten)]
    pub wait: WaitOptions,
    /// Who rolls back.
    #[command(flatten)]
    pub person: PersonOptions,
}

/// Rolls the run back: by its runbook's rollback section, else by taking back each effect, last first.
///
/// # Errors
/// When another process works on the run and does not stop.
pub fn run(arguments: &Arguments, session: &mut Session) -> Result<Exit> {
    let runner = Runner::require(session)?;
    let found = runner.find(arguments.run.as_deref(), Several::Ask)?;
    let told = runner.told(&found.id)?;
    let run = told.run();
    if told.state.status == RunStatus::RolledBack {
        let exit = words::exit(&told);
        session.report.run_ended(&told, &runner.logs(run), exit);
        return Ok(exit);
    }
    if arguments.run.is_none() && told.state.status == RunStatus::Succeeded && !is_meant(&told, session)? {
        session.report.line("nothing was taken back");
        return Ok(Exit::Done);
    }
    let by = person(&runner.project, arguments.person.person.as_deref())?;
    let reason = arguments.reason.as_deref().map(sanitize_line).filter(|reason| !reason.is_empty());
    let post = |event: &RunEvent| {
        runner.journal.post(run, None, None, event, Timestamp::now()).map(drop).map_err(journal_error)
    };
    if worker(&told.record).is_some() {
        post(&RunEvent::CancelRequested { by: by.clone() })?;
        wait_for_worker(session, &runner, run)?;
    }
    // An item of an earlier rollback that failed is tried again.
    let before = runner.told(run)?;
    let failed = before.direction() == Direction::Rollback && before.state.status == RunStatus::Failed;
    let stopped = before.state.stopped_at.clone().filter(|_| failed);
    let reopen = stopped.map(|path| (path, by.clone())).into_iter().collect();
    post(&RunEvent::RollbackRequested { by: by.clone(), reason })?;
    let how = How {
        direction: Direction::Rollback,
        stay: arguments.wait.stay(session),
        reopen,
        from_start: false,
        person: Some(by),
    };
    let told = runner.told(run)?;
    drive(session, &runner, &told, &how)
}

/// Whether a release that went well is to be taken back: nobody named it, so it may be a slip.
fn is_meant(told: &Told, session: &mut Session) -> Result<bool> {
    let run = told.run();
    let what = words::what(&told.record);
    session.confirm(&format!("take back {what} (run {run})?")).ok_or_else(|| {
        CommandError::invalid(format!("{what} has succeeded, and nobody named it: nothing was taken back"))
            .hint(format!("to take it back: `windlass rollback {run}`"))
    })
}
