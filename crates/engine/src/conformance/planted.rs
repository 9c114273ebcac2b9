//! Bugs planted on purpose: a suite that does not catch them proves nothing.

use std::sync::Arc;

use jiff::Timestamp;
use schemars::Schema;
use serde_json::Value;
use windlass_core::plan::{Effect, Facts, StepPath};
use windlass_core::run::{Recorded, RunEvent, RunId};

use crate::action::{ActionSet, Boxed, ErasedAction, Probe, Result, Undone};
use crate::context::Context;
use crate::durable::Signal;
use crate::journal::{
    Batch, Committed, Entry, EntryState, Journal, JournalError, LockAnswer, NewRun, Received, RunRecord,
};
use crate::owner::Owner;

/// What a [`Planted`] journal does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// The outcome is written with the intent, before the effect.
    OutcomeBeforeIntent,
    /// A writer's epoch is not looked at.
    NoFence,
}

/// A journal with a bug.
pub struct Planted {
    /// The journal without.
    pub inner: Arc<dyn Journal>,
    /// The bug.
    pub bug: Bug,
}

impl Planted {
    fn epoch(&self, run: &RunId, epoch: u64) -> std::result::Result<u64, JournalError> {
        if self.bug == Bug::NoFence { Ok(self.inner.run(run)?.epoch) } else { Ok(epoch) }
    }
}

impl Journal for Planted {
    fn create(&self, run: &NewRun, at: Timestamp) -> std::result::Result<(), JournalError> {
        self.inner.create(run, at)
    }

    fn plan(&self, run: &RunId) -> std::result::Result<String, JournalError> {
        self.inner.plan(run)
    }

    fn run(&self, run: &RunId) -> std::result::Result<RunRecord, JournalError> {
        self.inner.run(run)
    }

    fn runs(&self) -> std::result::Result<Vec<RunRecord>, JournalError> {
        self.inner.runs()
    }

    fn acquire(
        &self,
        run: &RunId,
        owner: &Owner,
        now: Timestamp,
        lease: Timestamp,
    ) -> std::result::Result<u64, JournalError> {
        self.inner.acquire(run, owner, now, lease)
    }

    fn renew(&self, run: &RunId, epoch: u64, lease: Timestamp) -> std::result::Result<(), JournalError> {
        self.inner.renew(run, self.epoch(run, epoch)?, lease)
    }

    fn release(&self, run: &RunId, epoch: u64) -> std::result::Result<(), JournalError> {
        self.inner.release(run, epoch)
    }

    fn entries(&self, run: &RunId) -> std::result::Result<Vec<Entry>, JournalError> {
        self.inner.entries(run)
    }

    fn entry(&self, run: &RunId, key: &StepPath) -> std::result::Result<Option<Entry>, JournalError> {
        self.inner.entry(run, key)
    }

    fn commit(
        &self,
        run: &RunId,
        epoch: u64,
        batch: &Batch,
        at: Timestamp,
    ) -> std::result::Result<Committed, JournalError> {
        let mut batch = batch.clone();
        if self.bug == Bug::OutcomeBeforeIntent {
            for entry in &mut batch.entries {
                if entry.state == EntryState::Intent {
                    entry.state = EntryState::Done(Value::Null);
                }
            }
        }
        self.inner.commit(run, self.epoch(run, epoch)?, &batch, at)
    }

    fn post(
        &self,
        run: &RunId,
        key: Option<&StepPath>,
        signal: Option<&Signal>,
        event: &RunEvent,
        at: Timestamp,
    ) -> std::result::Result<Recorded, JournalError> {
        self.inner.post(run, key, signal, event, at)
    }

    fn signals(
        &self,
        run: &RunId,
        key: &StepPath,
        after: u64,
    ) -> std::result::Result<Vec<Received>, JournalError> {
        self.inner.signals(run, key, after)
    }

    fn history(&self, run: &RunId, from: u64) -> std::result::Result<Vec<Recorded>, JournalError> {
        self.inner.history(run, from)
    }

    fn lock(
        &self,
        name: &str,
        run: &RunId,
        epoch: u64,
        at: Timestamp,
    ) -> std::result::Result<LockAnswer, JournalError> {
        self.inner.lock(name, run, self.epoch(run, epoch)?, at)
    }

    fn unlock(&self, name: &str, run: &RunId, token: u64) -> std::result::Result<(), JournalError> {
        self.inner.unlock(name, run, token)
    }

    fn generation(&self) -> std::result::Result<u64, JournalError> {
        self.inner.generation()
    }
}

/// The same actions, their probes replaced by one that always says "not done".
pub fn without_probes(actions: &ActionSet) -> ActionSet {
    actions.iter().fold(ActionSet::new(), |set, action| set.with_erased(Arc::new(Unprobed(action.clone()))))
}

struct Unprobed(Arc<dyn ErasedAction>);

impl ErasedAction for Unprobed {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn summary(&self) -> &'static str {
        self.0.summary()
    }

    fn retries(&self) -> u32 {
        self.0.retries()
    }

    fn is_message(&self) -> bool {
        self.0.is_message()
    }

    fn params_schema(&self) -> Schema {
        self.0.params_schema()
    }

    fn output_schema(&self) -> Schema {
        self.0.output_schema()
    }

    fn accepts(&self, params: &Value) -> Result<()> {
        self.0.accepts(params)
    }

    fn effects(&self, params: &Value, facts: &Facts) -> Result<Vec<Effect>> {
        self.0.effects(params, facts)
    }

    fn label(&self, params: &Value, facts: &Facts) -> String {
        self.0.label(params, facts)
    }

    fn probe<'a>(&'a self, _: &'a Value, _: &'a Context) -> Boxed<'a, Probe<Value>> {
        Box::pin(async { Ok(Probe::Absent) })
    }

    fn run<'a>(&'a self, params: &'a Value, context: &'a Context) -> Boxed<'a, Value> {
        self.0.run(params, context)
    }

    fn bars<'a>(
        &'a self,
        params: &'a Value,
        output: Option<&'a Value>,
        context: &'a Context,
    ) -> Boxed<'a, Option<String>> {
        self.0.bars(params, output, context)
    }

    fn undo<'a>(&'a self, params: &'a Value, output: &'a Value, context: &'a Context) -> Boxed<'a, Undone> {
        self.0.undo(params, output, context)
    }
}
