//! Takes back what a run did, last first, for runbooks without a rollback section.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use windlass_core::plan::{ActionNode, Found, Node, Outputs, Plan, Reversibility, StepPath, render_deferred};
use windlass_core::run::{Outcome, Recorded, RunEvent};

use crate::action::{ActionError, ErasedAction, Probe, Undone};
use crate::context::{Context, Fence};
use crate::durable::{Durable, EffectRequest, Stop, Trace};
use crate::embedded::Embedded;
use crate::journal::{Batch, EntryState};

/// Takes back every effect of the run that happened, last first. What cannot be taken back is left to people and
/// said, and so is what may have happened.
///
/// # Errors
/// [`Stop::Failed`] when an effect stands that what came after it must not be taken back without: nothing is taken back
/// then, and neither while that cannot be found out. [`Stop::Suspend`] for the engine's own trouble, [`Stop::Cancelled`]; what an action cannot undo is no error but
/// an event.
pub async fn undo_all(engine: &Embedded, plan: &Plan) -> Result<(), Stop> {
    let outputs = outputs_so_far(engine, plan)?;
    let begun = begun(&engine.history()?);
    let mut left = Vec::new();
    for path in begun.iter().rev() {
        let Some(Found::Node(step, Node::Action(node))) = plan.find(path) else { continue };
        let key = StepPath::new("undo").child(path);
        if !node.effects.is_empty() && !engine.done().contains_key(&key) {
            left.push((path, key, step, node));
        }
    }
    // All are asked before the first is touched: half a way back may be worse than none.
    for (path, key, _, node) in &left {
        let undo = Undo { engine, node, path, key, outputs: &outputs, fence: None, under: None };
        if let Some(why) = undo.barred().await? {
            return Err(Stop::Failed { path: key.clone(), why });
        }
    }
    for (path, key, step, node) in left {
        if let Some(stop) = engine.interrupted() {
            return Err(stop);
        }
        let guard = match &step.lock {
            Some(lock) => Some(engine.lock(&key, lock).await?),
            None => None,
        };
        let fence = guard.as_ref().map(|guard| guard.fence.clone());
        let under = stands_under(engine, plan, node)?;
        Undo { engine, node, path, key: &key, outputs: &outputs, fence, under }.once().await?;
        if let Some(guard) = guard {
            engine.unlock(guard, true).await?;
        }
    }
    Ok(())
}

/// The effect above `node` that only a person can take back. What can be taken back exactly, such as a commit and the
/// files in it, is left under a push that stands: taking it back would only leave the checkout between two versions.
fn stands_under(engine: &Embedded, plan: &Plan, node: &ActionNode) -> Result<Option<String>, Stop> {
    if node.effects.iter().any(|effect| effect.reversibility != Reversibility::Reversible) {
        return Ok(None);
    }
    Ok(engine.history()?.iter().find_map(|recorded| {
        let RunEvent::Undone { path, needs_human: true, .. } = &recorded.event else { return None };
        let Some(Found::Node(_, Node::Action(above))) = plan.find(path) else { return None };
        // Nothing stands on what people were told.
        if engine.actions().get(&above.call.action).is_some_and(|action| action.is_message()) {
            return None;
        }
        let is_known = above.effects.iter().any(|effect| effect.reversibility != Reversibility::Unknown);
        is_known.then(|| above.label.clone())
    }))
}

/// What the items that are done gave, as at the end of the walk that did them.
///
/// # Errors
/// [`Stop::Suspend`] when the history cannot be read.
pub fn outputs_so_far(engine: &Embedded, plan: &Plan) -> Result<Outputs, Stop> {
    let done = engine.done();
    let mut outputs = Outputs::default();
    for path in happened(&engine.history()?) {
        let (Some(output), Some(Found::Node(step, _))) = (done.get(&path), plan.find(&path)) else {
            continue;
        };
        outputs.add(&step.path, &path, output);
    }
    Ok(outputs)
}

/// One effect to take back.
struct Undo<'a> {
    engine: &'a Embedded,
    node: &'a ActionNode,
    path: &'a StepPath,
    key: &'a StepPath,
    outputs: &'a Outputs,
    fence: Option<Fence>,
    /// What stands on it and must be taken back by a person first.
    under: Option<String>,
}

impl Undo<'_> {
    async fn once(&self) -> Result<(), Stop> {
        let Self { engine, key, path, .. } = self;
        engine
            .commit(Batch { entries: vec![engine.entry(key, EntryState::Intent, 1)], ..Batch::default() })?;
        let told = match self.attempt().await {
            Ok(told) => told,
            Err(ActionError::Cancelled) => return Err(engine.interrupted().unwrap_or(Stop::Cancelled)),
            Err(why) => Some(Undone::NeedsHuman(format!("it could not be taken back: {why}"))),
        };
        let told = told.map(|undone| match undone {
            Undone::Reverted(what) => (what, false),
            Undone::NothingToDo => ("nothing to take back".to_owned(), false),
            Undone::NeedsHuman(what) => (what, true),
        });
        let event =
            told.map(|(result, needs_human)| RunEvent::Undone { path: (*path).clone(), result, needs_human });
        engine.commit(Batch {
            entries: vec![engine.entry(key, EntryState::Done(Value::Null), 1)],
            events: event.into_iter().collect(),
            ..Batch::default()
        })?;
        Ok(())
    }

    /// What came of it; nothing when there was no effect.
    async fn attempt(&self) -> Result<Option<Undone>, ActionError> {
        let Self { engine, .. } = self;
        if let Some(above) = &self.under {
            let why = format!("left as it is, because this stands on it: {above}");
            return Ok(Some(Undone::NeedsHuman(why)));
        }
        let (action, params) = (self.action()?, self.params()?);
        let context = self.context();
        let output = match engine.state(self.path) {
            Some(EntryState::Done(output)) => output,
            Some(state) => match (action.probe(&params, &context).await, state) {
                (Ok(Probe::Done(output)), _) => output,
                (Ok(Probe::Absent), _) => return Ok(None),
                // It failed because something else stands there, and that is not ours to take back.
                (Ok(Probe::Conflict(_)), EntryState::Failed(_)) => return Ok(None),
                (Err(ActionError::Cancelled), _) => return Err(ActionError::Cancelled),
                (Ok(Probe::Conflict(why)), _) => return Ok(Some(doubtful(&why))),
                (Ok(Probe::Unknown), _) => return Ok(Some(doubtful("look yourself"))),
                (Err(error), _) => return Ok(Some(doubtful(&error.to_string()))),
            },
            None => return Ok(None),
        };
        action.undo(&params, &output, &context).await.map(Some)
    }

    /// Why nothing may be taken back while this stands.
    async fn barred(&self) -> Result<Option<String>, Stop> {
        // What cannot even be asked is left to its own undo, which says so.
        let (Ok(action), Ok(params)) = (self.action(), self.params()) else { return Ok(None) };
        let output = match self.engine.state(self.path) {
            Some(EntryState::Done(output)) => Some(output),
            _ => None,
        };
        match action.bars(&params, output.as_ref(), &self.context()).await {
            Ok(why) => Ok(why),
            Err(ActionError::Cancelled) => Err(self.engine.interrupted().unwrap_or(Stop::Cancelled)),
            Err(error) => Ok(Some(format!(
                "nothing was taken back, because it is not known whether it may be: {error}"
            ))),
        }
    }

    fn action(&self) -> Result<&Arc<dyn ErasedAction>, ActionError> {
        let unknown = || ActionError::Final("this Windlass does not know the action".into());
        self.engine.actions().get(&self.node.call.action).ok_or_else(unknown)
    }

    fn params(&self) -> Result<Value, ActionError> {
        match self.node.call.deferred {
            true => render_deferred(&self.node.call.params, self.outputs).map_err(ActionError::Final),
            // A script may well hold braces of its own.
            false => Ok(self.node.call.params.clone()),
        }
    }

    fn context(&self) -> Context {
        // A script's matrix values are among its parameters.
        let matrix = BTreeMap::new();
        let request = EffectRequest {
            key: self.key,
            call: &self.node.call,
            policy: &self.node.policy,
            effects: &self.node.effects,
            deadline: None,
            fence: self.fence.as_ref(),
            outputs: self.outputs.environment(),
            matrix: &matrix,
            trace: Trace::Item,
        };
        self.engine.context(&request, 1, self.engine.stopping())
    }
}

fn doubtful(why: &str) -> Undone {
    Undone::NeedsHuman(format!(
        "it did not end as it should, and what it had done by then is not known: {why}"
    ))
}

/// The items that began to take effect, in the order they did, each once.
fn begun(history: &[Recorded]) -> Vec<StepPath> {
    let begun = history.iter().filter_map(|recorded| match &recorded.event {
        RunEvent::ActionStarted { path, .. } => Some(path),
        _ => None,
    });
    last_of_each(begun)
}

/// The items that took effect, in the order they did, each once.
fn happened(history: &[Recorded]) -> Vec<StepPath> {
    let done = history.iter().filter_map(|recorded| match &recorded.event {
        RunEvent::ActionFinished { path, outcome: Outcome::Done, .. } => Some(path),
        _ => None,
    });
    last_of_each(done)
}

fn last_of_each<'a>(paths: impl Iterator<Item = &'a StepPath>) -> Vec<StepPath> {
    let mut known: Vec<StepPath> = Vec::new();
    for path in paths {
        known.retain(|earlier| earlier != path);
        known.push(path.clone());
    }
    known
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
