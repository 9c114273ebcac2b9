//! `windlass audit`: checks and prints the history of runs.

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use windlass_core::plan::sha256_hex;
use windlass_core::run::{RunEvent, RunId, RunState, verify_chain};
use windlass_core::text::sanitize_line;

use crate::error::Result;
use crate::exit::Exit;
use crate::report::words;
use crate::runner::{Runner, Several, journal_error};
use crate::session::Session;

/// Check or print the history of runs
#[derive(Debug, Args)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: AuditCommand,
}

/// What to do with histories.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Check that nothing was changed after it was written
    Verify(Verify),
    /// Print every event
    Show(Show),
}

/// Check that nothing was changed after it was written
#[derive(Debug, Args)]
pub struct Verify {
    /// The run's name or its start [default: the only unfinished one, else the newest]
    #[arg(value_name = "RUN", conflicts_with = "all")]
    pub run: Option<String>,
    /// Every run
    #[arg(long)]
    pub all: bool,
}

/// Print every event
#[derive(Debug, Args)]
pub struct Show {
    /// The run's name or its start [default: the only unfinished one, else the newest]
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
}

/// Checks or prints.
///
/// # Errors
/// When there is no such run, or the journal cannot be read.
pub fn run(arguments: &Arguments, session: &mut Session) -> Result<Exit> {
    match &arguments.command {
        AuditCommand::Verify(arguments) => verify(arguments, session),
        AuditCommand::Show(arguments) => show(arguments, session),
    }
}

fn verify(arguments: &Verify, session: &mut Session) -> Result<Exit> {
    let runner = Runner::require(session)?;
    let runs: Vec<RunId> = if arguments.all {
        runner.journal.runs().map_err(journal_error)?.into_iter().map(|run| run.id).collect()
    } else {
        vec![runner.find(arguments.run.as_deref(), Several::Newest)?.id]
    };
    let mut results: Vec<Value> = Vec::new();
    let mut exit = Exit::Done;
    for run in runs {
        let checked = check(&runner, &run);
        if checked.is_err() {
            exit = Exit::Failed;
        }
        if !session.report.is_json() {
            let paint = session.report.out_paint;
            session.report.line(&match &checked {
                Ok((events, head)) => format!("{} {run}: {events} events fit, head {head}", paint.good("✓")),
                Err(why) => format!("{} {run}: {}", paint.bad("✗"), sanitize_line(why)),
            });
        }
        results.push(match checked {
            Ok((events, head)) => json!({ "run": run, "fits": true, "events": events, "head": head }),
            Err(why) => json!({ "run": run, "fits": false, "why": sanitize_line(&why) }),
        });
    }
    if session.report.is_json() {
        session.report.object("audit", &json!({ "runs": results }));
    }
    Ok(exit)
}

/// The number of events and the hash of the last one; what does not fit otherwise.
fn check(runner: &Runner, run: &RunId) -> std::result::Result<(usize, String), String> {
    let history = runner.journal.history(run, 1).map_err(|error| error.to_string())?;
    let head = verify_chain(run, &history)?;
    let Some(RunEvent::Started { plan, .. }) = history.first().map(|recorded| &recorded.event) else {
        return Err("event 1 is missing: the history does not begin with the run's start".into());
    };
    let text = runner.journal.plan(run).map_err(|error| error.to_string())?;
    let digest = sha256_hex(text.as_bytes());
    if digest != plan.0 {
        return Err(format!(
            "the plan was changed after the run started: its digest is {digest}, not {plan}"
        ));
    }
    let record = runner.journal.run(run).map_err(|error| error.to_string())?;
    let told = RunState::fold(&history).status;
    if record.status != told {
        let (stated, told) = (words::status(record.status), words::status(told));
        return Err(format!("the run is listed as {stated}, but its history ends as {told}"));
    }
    Ok((history.len(), head))
}

fn show(arguments: &Show, session: &mut Session) -> Result<Exit> {
    let runner = Runner::require(session)?;
    let run = runner.find(arguments.run.as_deref(), Several::Newest)?.id;
    for recorded in runner.journal.history(&run, 1).map_err(journal_error)? {
        let line = if session.report.is_json() {
            serde_json::to_string(&recorded).unwrap_or_default()
        } else {
            let event = serde_json::to_string(&recorded.event).unwrap_or_default();
            sanitize_line(&format!("{:>4} {} {event}", recorded.sequence, recorded.at))
        };
        session.report.line(&line);
    }
    Ok(Exit::Done)
}
