//! `windlass retry`: runs a failed item again, and goes on.

use clap::Args;
use windlass_core::run::{GateKind, Outcome, RunStatus, StepStatus};

use crate::commands::{PersonOptions, WaitOptions};
use crate::error::{CommandError, Result};
use crate::exit::Exit;
use crate::report::words;
use crate::runner::drive::{How, drive};
use crate::runner::person::person;
use crate::runner::{Runner, Several, gates, items, worker};
use crate::session::Session;

/// Run a failed item again, and go on
#[derive(Debug, Args)]
pub struct Arguments {
    /// The run [default: the only unfinished one], then the item [default: what failed]
    #[arg(value_name = "RUN|ITEM", num_args = 0..=2)]
    pub target: Vec<String>,
    /// Whether to stay at gates.
    #[command(flatten)]
    pub wait: WaitOptions,
    /// Who asks for it.
    #[command(flatten)]
    pub person: PersonOptions,
}

/// Makes the failed item new and goes on.
///
/// # Errors
/// When nothing failed, or another process works on the run.
pub fn run(arguments: &Arguments, session: &mut Session) -> Result<Exit> {
    let runner = Runner::require(session)?;
    let (told, wanted) = runner.target(&arguments.target, Several::Ask)?;
    let by = person(&runner.project, arguments.person.person.as_deref())?;
    let mut how = How {
        direction: told.direction(),
        stay: arguments.wait.stay(session),
        reopen: Vec::new(),
        from_start: false,
        person: Some(by.clone()),
    };
    let doubts: Vec<_> = told
        .state
        .gates
        .iter()
        .filter(|gate| gate.kind == GateKind::Doubt)
        .map(|gate| (gate.path.clone(), gate.question.clone()))
        .collect();
    let doubt = match (wanted.first(), doubts.as_slice()) {
        (None, [(only, _)]) => Some(only.clone()),
        (Some(wanted), [_, ..]) => items::find(&doubts, wanted, "item in doubt").ok(),
        _ => None,
    };
    if let Some(path) = doubt {
        gates::retry(&runner, &told, &path, &by)?;
        if let Some(worker) = worker(&told.record) {
            session.report.progress(&format!("{worker} runs `{path}` again"));
            return Ok(Exit::Done);
        }
        return drive(session, &runner, &runner.told(told.run())?, &how);
    }
    if told.state.status != RunStatus::Failed {
        return Err(CommandError::invalid(format!(
            "nothing of {} failed: it is {}",
            told.run(),
            words::status(told.state.status)
        ))
        .hint(format!("look at it with `windlass status {}`", told.run())));
    }
    let failed: Vec<_> = items::items(&told.plan, &told.state, true)
        .into_iter()
        .filter(|item| {
            let status = told.state.steps.get(&item.path).map(|step| &step.status);
            matches!(status, Some(StepStatus::Ended(Outcome::Failed(_)))) && item.step.is_none()
        })
        .map(|item| (item.path, item.title))
        .collect();
    let paths = match (wanted.first(), &told.state.stopped_at) {
        (Some(wanted), _) => vec![items::find(&failed, wanted, "failed item")?],
        (None, Some(path)) => {
            let beside = items::beside(&told.plan, &told.state, path);
            let mut paths = vec![path.clone()];
            paths.extend(failed.into_iter().map(|(path, _)| path).filter(|path| beside(path)));
            paths
        }
        (None, None) => {
            return Err(CommandError::invalid(format!(
                "it is not known which item of {} failed",
                told.run()
            ))
            .hint("name the item"));
        }
    };
    how.reopen = paths.into_iter().map(|path| (path, by.clone())).collect();
    drive(session, &runner, &told, &how)
}
