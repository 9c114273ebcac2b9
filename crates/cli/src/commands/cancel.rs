//! `windlass cancel`: stops a run for good.

use clap::Args;
use jiff::Timestamp;
use serde_json::json;
use windlass_core::run::RunEvent;
use windlass_core::text::sanitize_line;

use crate::commands::PersonOptions;
use crate::error::{CommandError, Result};
use crate::exit::Exit;
use crate::report::words;
use crate::runner::drive::{finish_cancelled, wait_for_worker};
use crate::runner::person::person;
use crate::runner::{Runner, Several, journal_error};
use crate::session::Session;

/// Stop a run for good
#[derive(Debug, Args)]
pub struct Arguments {
    /// The run's name or its start [default: the only unfinished one]
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Who cancels.
    #[command(flatten)]
    pub person: PersonOptions,
}

/// Cancels the run: whoever works on it stops, else it is ended here.
///
/// # Errors
/// When it has ended already.
pub fn run(arguments: &Arguments, session: &mut Session) -> Result<Exit> {
    let runner = Runner::require(session)?;
    let found = runner.find(arguments.run.as_deref(), Several::Ask)?;
    let told = runner.told(&found.id)?;
    let run = told.run();
    if told.state.status.is_final() {
        return Err(CommandError::invalid(format!(
            "{run} has ended already: it is {}",
            words::status(told.state.status)
        )));
    }
    let by = person(&runner.project, arguments.person.person.as_deref())?;
    let reason = arguments.reason.as_deref().map(sanitize_line).filter(|reason| !reason.is_empty());
    let said = reason.map_or(by.clone(), |reason| format!("{by}: {reason}"));
    runner
        .journal
        .post(run, None, None, &RunEvent::CancelRequested { by: said.clone() }, Timestamp::now())
        .map_err(journal_error)?;
    wait_for_worker(session, &runner, run)?;
    if !runner.told(run)?.state.status.is_final() {
        finish_cancelled(&runner, run, format!("cancelled by {said}"))?;
    }
    let now = runner.told(run)?;
    if session.report.is_json() {
        session.report.object("cancel", &json!({ "run": run, "status": now.state.status, "by": by }));
    } else {
        session.report.line(&format!("{run} is {}", words::status(now.state.status)));
        session.report.line(&format!("to take back what it did: windlass rollback {run}"));
    }
    Ok(Exit::Done)
}
