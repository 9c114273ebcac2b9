//! `windlass runs`: lists runs.

use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};
use windlass_core::run::RunStatus;
use windlass_core::text::sanitize_line;
use windlass_engine::journal::RunRecord;

use crate::error::Result;
use crate::exit::Exit;
use crate::report::words;
use crate::runner::{Runner, journal_error, worker};
use crate::session::Session;

/// How many ended runs are listed unless all are asked for.
const SHOWN: usize = 10;

/// List runs
#[derive(Debug, Args)]
pub struct Arguments {
    /// All of them, not only unfinished ones and the last ten
    #[arg(long)]
    pub all: bool,
}

/// Lists runs, newest first.
///
/// # Errors
/// When the journal cannot be read.
pub fn run(arguments: &Arguments, session: &mut Session) -> Result<Exit> {
    let runs = match Runner::existing(session)? {
        Some(runner) => runner.journal.runs().map_err(journal_error)?,
        None => Vec::new(),
    };
    let mut ended = 0;
    let shown: Vec<&RunRecord> = runs
        .iter()
        .filter(|run| {
            ended += usize::from(run.status.is_final());
            arguments.all || !run.status.is_final() || ended <= SHOWN
        })
        .collect();
    if session.report.is_json() {
        let listed: Vec<Value> = shown.iter().map(|run| data(run)).collect();
        session.report.object("runs", &json!({ "runs": listed, "total": runs.len() }));
        return Ok(Exit::Done);
    }
    if runs.is_empty() {
        session.report.progress("nothing has been run here yet: start with `windlass run`");
        return Ok(Exit::Done);
    }
    let width = shown.iter().map(|run| run.id.0.len()).max().unwrap_or_default();
    for run in &shown {
        let paint = session.report.out_paint;
        let word = if is_interrupted(run) { "interrupted" } else { words::status(run.status) };
        let worker = worker(run).map(|worker| format!("  {worker}")).unwrap_or_default();
        let began = words::moment(run.created, Timestamp::now());
        session.report.line(&format!(
            "{:<width$}  {word:<11}  {}{}",
            run.id.0,
            paint.dim(&began),
            sanitize_line(&worker)
        ));
    }
    let hidden = runs.len() - shown.len();
    if hidden > 0 {
        session.report.progress(&format!("{hidden} more: --all"));
    }
    Ok(Exit::Done)
}

fn data(run: &RunRecord) -> Value {
    json!({
        "run": run.id,
        "runbook": run.runbook,
        "package": run.package,
        "version": run.version,
        "status": run.status,
        "interrupted": is_interrupted(run),
        "worker": worker(run),
        "created": run.created,
    })
}

fn is_interrupted(run: &RunRecord) -> bool {
    run.status == RunStatus::Running && worker(run).is_none()
}
