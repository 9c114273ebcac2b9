//! `windlass skip`: lets an item pass without doing it. A waiver: who and why are kept.

use clap::Args;
use serde_json::json;
use windlass_core::run::{Outcome, StepStatus};
use windlass_core::text::sanitize_line;

use crate::commands::PersonOptions;
use crate::error::{CommandError, Result};
use crate::exit::Exit;
use crate::runner::person::person;
use crate::runner::{Runner, Several, gates, items, worker};
use crate::session::Session;

/// Let an item pass without doing it; the reason is kept
#[derive(Debug, Args)]
pub struct Arguments {
    /// The run [default: the only unfinished one], then the item or step
    #[arg(value_name = "RUN|ITEM", required = true, num_args = 1..=2)]
    pub target: Vec<String>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// Who lets it pass.
    #[command(flatten)]
    pub person: PersonOptions,
}

/// Keeps the waiver.
///
/// # Errors
/// When there is no such item, it is done already, or the run has ended.
pub fn run(arguments: &Arguments, session: &mut Session) -> Result<Exit> {
    let reason = sanitize_line(&arguments.reason);
    if reason.is_empty() {
        return Err(CommandError::invalid("a skip needs a reason").hint("say why with --reason"));
    }
    let runner = Runner::require(session)?;
    let (told, wanted) = runner.target(&arguments.target, Several::Ask)?;
    let run = told.run();
    let [wanted] = wanted.as_slice() else {
        return Err(CommandError::invalid("which item is to be skipped?")
            .hint(format!("`windlass status {run}` lists them")));
    };
    if told.state.status.is_final() {
        return Err(CommandError::invalid(format!("{run} has ended, so nothing in it can be skipped")));
    }
    let by = person(&runner.project, arguments.person.person.as_deref())?;
    let known: Vec<_> = items::items(&told.plan, &told.state, true)
        .into_iter()
        .map(|item| (item.path, item.title))
        .chain(told.state.gates.iter().map(|gate| (gate.path.clone(), gate.question.clone())))
        .collect();
    let path = items::find(&known, wanted, "step or item")?;
    let status = told.state.steps.get(&path).map(|step| &step.status);
    if matches!(status, Some(StepStatus::Ended(Outcome::Done | Outcome::Skipped(_) | Outcome::Waived(_)))) {
        return Err(CommandError::invalid(format!("`{path}` is past already, so it cannot be skipped")));
    }
    gates::waive(&runner, &told, &path, &by, &reason)?;
    let next = match worker(&told.record) {
        Some(worker) => format!("{worker} goes on"),
        None => format!("go on with `windlass resume {run}`"),
    };
    if session.report.is_json() {
        let object = json!({ "run": run, "path": path, "by": by, "reason": reason, "next": next });
        session.report.object("waiver", &object);
    } else {
        let place = items::place(&told.plan, &told.state, &path);
        session.report.line(&format!("{place}: waived by {by}: {reason}"));
        session.report.line(&next);
    }
    Ok(Exit::Done)
}
