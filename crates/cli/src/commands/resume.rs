//! `windlass resume`: goes on with a run where it stopped.

use clap::Args;
use windlass_core::plan::{Found, Node, StepPath};
use windlass_core::run::{RunEvent, RunStatus};

use crate::commands::{PersonOptions, WaitOptions};
use crate::error::Result;
use crate::exit::Exit;
use crate::report::words;
use crate::runner::drive::{How, drive};
use crate::runner::person::person;
use crate::runner::{Runner, Several, Told};
use crate::session::Session;

/// Go on with a run where it stopped
#[derive(Debug, Args)]
pub struct Arguments {
    /// The run's name or its start [default: the only unfinished one]
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
    /// Whether to stay at gates.
    #[command(flatten)]
    pub wait: WaitOptions,
    /// Who is at the terminal.
    #[command(flatten)]
    pub person: PersonOptions,
}

/// Goes on with a run, or says why there is nothing to go on with.
///
/// # Errors
/// When there is no such run, or another process works on it.
pub fn run(arguments: &Arguments, session: &mut Session) -> Result<Exit> {
    let runner = Runner::require(session)?;
    let found = runner.find(arguments.run.as_deref(), Several::Ask)?;
    let told = runner.told(&found.id)?;
    let waived = waived_since(&told);
    if told.state.status.is_final() || (told.state.status == RunStatus::Failed && waived.is_none()) {
        let exit = words::exit(&told);
        session.report.run_ended(&told, &runner.logs(told.run()), exit);
        return Ok(exit);
    }
    // Without a name, nobody can answer gates with keys; the run itself goes on.
    let person = person(&runner.project, arguments.person.person.as_deref()).ok();
    let how = How {
        direction: told.direction(),
        stay: arguments.wait.stay(session),
        reopen: waived
            .filter(|path| !is_action(&told, path))
            .zip(person.clone().or(Some(told.state.by.clone())))
            .into_iter()
            .collect(),
        from_start: false,
        person,
    };
    drive(session, &runner, &told, &how)
}

/// The item that failed, when somebody let it pass since.
fn waived_since(told: &Told) -> Option<StepPath> {
    let failed = told.state.stopped_at.as_ref().filter(|_| told.state.status == RunStatus::Failed)?;
    let since = told.history.iter().rev().take_while(|recorded| {
        !matches!(recorded.event, RunEvent::Finished { status: RunStatus::Failed, .. })
    });
    let mut waived = since.filter_map(|recorded| match &recorded.event {
        RunEvent::Waived { path, .. } => Some(path),
        _ => None,
    });
    waived.any(|path| failed.is_within(path)).then(|| failed.clone())
}

/// An action that is let pass is not asked again; what waited must forget the answer it had.
fn is_action(told: &Told, path: &StepPath) -> bool {
    matches!(told.plan.find(path), Some(Found::Node(_, Node::Action(_))))
}
