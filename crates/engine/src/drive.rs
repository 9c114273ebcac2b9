//! Drives a run from where it stands to its next stop, and writes how it stands then.

use windlass_core::plan::{Digest, Plan};
use windlass_core::run::RunStatus;

use crate::durable::{Stop, Suspension};
use crate::embedded::Embedded;
use crate::interpreter::{Direction, Ending, walk};
use crate::undo::undo_and_tell;

/// Drives the run that `engine` owns, through its steps or through its rollback.
pub async fn drive(
    engine: &Embedded,
    plan: &Plan,
    digest: &Digest,
    starter: &str,
    direction: Direction,
) -> Ending {
    let mut ending = if direction == Direction::Rollback && plan.rollback.is_empty() {
        match undo_and_tell(engine, plan).await {
            Ok(why) => Ending { status: RunStatus::RolledBack, path: None, why, stop: None },
            Err(stop) => Ending::from(stop),
        }
    } else {
        walk(engine, plan, digest, starter, direction).await
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
