//! Takes back what a run did, last first, for runbooks without a rollback section.

use std::collections::BTreeMap;

use serde_json::Value;
use tokio_util::sync::CancellationToken;
use windlass_core::plan::{ActionNode, Found, Node, Outputs, Plan, StepPath, render_deferred};
use windlass_core::run::{Outcome, Recorded, RunEvent};

use crate::action::Undone;
use crate::durable::{Durable, EffectRequest, Stop};
use crate::embedded::Embedded;
use crate::journal::{Batch, EntryState};

/// Takes back every effect of the run that happened, last first. What cannot be taken back is left to people and said.
///
/// # Errors
/// [`Stop::Suspend`] for the engine's own trouble; what an action cannot undo is no error but an event.
pub async fn undo_all(engine: &Embedded, plan: &Plan) -> Result<(), Stop> {
    let done = engine.done();
    let mut outputs = Outputs::default();
    for path in happened(&engine.history()?) {
        let (Some(output), Some(Found::Node(step, _))) = (done.get(&path), plan.find(&path)) else {
            continue;
        };
        outputs.add(&step.path, &path, output);
    }
    for path in happened(&engine.history()?).into_iter().rev() {
        let Some(Found::Node(_, Node::Action(node))) = plan.find(&path) else { continue };
        let Some(output) = done.get(&path) else { continue };
        if !node.effects.is_empty() {
            undo(engine, node, &path, output, &outputs).await?;
        }
    }
    Ok(())
}

async fn undo(
    engine: &Embedded,
    node: &ActionNode,
    path: &StepPath,
    output: &Value,
    outputs: &Outputs,
) -> Result<(), Stop> {
    let key = StepPath::new("undo").child(path);
    if engine.done().contains_key(&key) {
        return Ok(());
    }
    engine.commit(Batch { entries: vec![engine.entry(&key, EntryState::Intent, 1)], ..Batch::default() })?;
    let (result, needs_human) = match attempt(engine, node, &key, output, outputs).await {
        Ok(Undone::Reverted(what)) => (what, false),
        Ok(Undone::NothingToDo) => ("nothing to take back".to_owned(), false),
        Ok(Undone::NeedsHuman(what)) => (what, true),
        Err(why) => (format!("it could not be taken back: {why}"), true),
    };
    engine.commit(Batch {
        entries: vec![engine.entry(&key, EntryState::Done(Value::Null), 1)],
        events: vec![RunEvent::Undone { path: path.clone(), result, needs_human }],
        ..Batch::default()
    })?;
    Ok(())
}

async fn attempt(
    engine: &Embedded,
    node: &ActionNode,
    key: &StepPath,
    output: &Value,
    outputs: &Outputs,
) -> Result<Undone, String> {
    let action = engine.actions().get(&node.call.action).ok_or("this Windlass does not know the action")?;
    let params = render_deferred(&node.call.params, outputs)?;
    let matrix = BTreeMap::new();
    let request = EffectRequest {
        key,
        call: &node.call,
        policy: &node.policy,
        effects: &node.effects,
        deadline: None,
        fence: None,
        outputs: outputs.environment(),
        matrix: &matrix,
        quiet: false,
    };
    let context = engine.context(&request, 1, CancellationToken::new());
    action.undo(&params, output, &context).await.map_err(|error| error.to_string())
}

/// The items that took effect, in the order they did, each once.
fn happened(history: &[Recorded]) -> Vec<StepPath> {
    let mut paths: Vec<StepPath> = Vec::new();
    for recorded in history {
        if let RunEvent::ActionFinished { path, outcome: Outcome::Done, .. } = &recorded.event {
            paths.retain(|known| known != path);
            paths.push(path.clone());
        }
    }
    paths
}

/// Runs the rollback of a plan that has none of its own, and tells whether people must finish it.
///
/// # Errors
/// As [`undo_all`].
pub async fn undo_and_tell(engine: &Embedded, plan: &Plan) -> Result<Option<String>, Stop> {
    undo_all(engine, plan).await?;
    let left = engine
        .history()?
        .iter()
        .filter(|recorded| matches!(recorded.event, RunEvent::Undone { needs_human: true, .. }))
        .count();
    Ok((left > 0).then(|| format!("{left} of its effects must be taken back by a person")))
}

impl Embedded {
    /// The whole history of the run.
    ///
    /// # Errors
    /// [`Stop::Suspend`] when it cannot be read.
    pub fn history(&self) -> Result<Vec<Recorded>, Stop> {
        self.journal().history(self.run_id(), 1).map_err(crate::embedded::trouble)
    }
}
