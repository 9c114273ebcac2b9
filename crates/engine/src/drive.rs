//! Drives a run from where it stands to its next stop, and writes how it stands then.

use windlass_core::plan::{Digest, Outputs, Plan};
use windlass_core::run::RunStatus;

use crate::durable::{Stop, Suspension};
use crate::embedded::Embedded;
use crate::interpreter::{Direction, Ending, walk};
use crate::undo::{outputs_so_far, undo_and_tell};

/// Drives the run that `engine` owns, through its steps or through its rollback.
pub async fn drive(
    engine: &Embedded,
    plan: &Plan,
    digest: &Digest,
    starter: &str,
    direction: Direction,
) -> Ending {
    let mut ending = match direction {
        Direction::Forward => walk(engine, plan, digest, starter, direction, Outputs::default()).await,
        Direction::Rollback if plan.rollback.is_empty() => match undo_and_tell(engine, plan).await {
            Ok(why) => Ending { status: RunStatus::RolledBack, path: None, why, stop: None },
            Err(stop) => Ending::from(stop),
        },
        Direction::Rollback => match outputs_so_far(engine, plan) {
            Ok(outputs) => walk(engine, plan, digest, starter, direction, outputs).await,
            Err(stop) => Ending::from(stop),
        },
    };
    if matches!(ending.stop, Some(Stop::Suspend(Suspension::Superseded))) {
        return ending;
    }
    if let Err(stop) = engine.finish(ending.status, ending.path.clone(), ending.why.clone()) {
        // What was not written has not ended: the next process finds the run as the journal has it.
        let untold = Ending::from(stop);
        ending = Ending { path: ending.path, ..untold };
    }
    ending
}
