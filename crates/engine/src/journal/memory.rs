//! The journal in memory: what the SQLite one does, without surviving the process. For tests.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use windlass_core::plan::StepPath;
use windlass_core::run::{Recorded, RunEvent, RunId, RunStatus, chain};

use super::{
    Batch, Committed, Entry, Journal, JournalError, LockAnswer, NewRun, Received, RunRecord, loses_lock,
    may_take,
};
use crate::durable::Signal;
use crate::owner::Owner;

/// A journal in memory.
#[derive(Debug, Default)]
pub struct MemoryJournal {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    runs: BTreeMap<RunId, Run>,
    locks: BTreeMap<String, (Option<RunId>, u64)>,
    signals: u64,
    generation: u64,
}

#[derive(Debug)]
struct Run {
    record: RunRecord,
    plan: String,
    entries: BTreeMap<StepPath, Entry>,
    signals: Vec<(StepPath, Received)>,
    history: Vec<Recorded>,
}

impl MemoryJournal {
    /// An empty journal.
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn run(&mut self, run: &RunId) -> Result<&mut Run, JournalError> {
        self.runs.get_mut(run).ok_or_else(|| JournalError::NoSuchRun(run.clone()))
    }

    fn owned(&mut self, run: &RunId, ours: u64) -> Result<&mut Run, JournalError> {
        self.generation += 1;
        let run = self.run(run)?;
        let current = run.record.epoch;
        if current == ours { Ok(run) } else { Err(JournalError::Stale { ours, current }) }
    }
}

impl Run {
    fn append(&mut self, events: &[RunEvent], at: Timestamp) -> Result<Vec<Recorded>, JournalError> {
        let from = self.history.len();
        for event in events {
            let sequence = self.history.len() as u64 + 1;
            let previous = self.history.last().map_or("", |last| last.hash.as_str());
            let hash = chain(&self.record.id, sequence, at, event, previous).map_err(|error| {
                JournalError::Store { place: "in memory".into(), doing: "written", why: error.to_string() }
            })?;
            self.history.push(Recorded { sequence, at, event: event.clone(), hash });
        }
        Ok(self.history[from..].to_vec())
    }
}

impl Journal for MemoryJournal {
    fn create(&self, run: &NewRun, at: Timestamp) -> Result<(), JournalError> {
        let mut state = self.state();
        if state.runs.contains_key(&run.id) {
            return Err(JournalError::Exists(run.id.clone()));
        }
        let mut new = Run {
            record: RunRecord {
                id: run.id.clone(),
                runbook: run.runbook.clone(),
                package: run.package.clone(),
                version: run.version.clone(),
                status: RunStatus::Suspended,
                owner: None,
                lease: None,
                epoch: 0,
                created: at,
            },
            plan: run.plan.clone(),
            entries: BTreeMap::new(),
            signals: Vec::new(),
            history: Vec::new(),
        };
        new.append(std::slice::from_ref(&run.started), at)?;
        state.runs.insert(run.id.clone(), new);
        state.generation += 1;
        Ok(())
    }

    fn plan(&self, run: &RunId) -> Result<String, JournalError> {
        Ok(self.state().run(run)?.plan.clone())
    }

    fn run(&self, run: &RunId) -> Result<RunRecord, JournalError> {
        Ok(self.state().run(run)?.record.clone())
    }

    fn runs(&self) -> Result<Vec<RunRecord>, JournalError> {
        let mut runs: Vec<RunRecord> = self.state().runs.values().map(|run| run.record.clone()).collect();
        runs.sort_by(|left, right| right.created.cmp(&left.created).then_with(|| left.id.cmp(&right.id)));
        Ok(runs)
    }

    fn acquire(
        &self,
        run: &RunId,
        owner: &Owner,
        now: Timestamp,
        lease: Timestamp,
    ) -> Result<u64, JournalError> {
        let mut state = self.state();
        state.generation += 1;
        let run = state.run(run)?;
        may_take(&run.record, owner, now)?;
        run.record.epoch += 1;
        run.record.owner = Some(owner.clone());
        run.record.lease = Some(lease);
        run.record.status = RunStatus::Running;
        let epoch = run.record.epoch;
        run.append(&[RunEvent::Taken { owner: owner.to_string(), epoch }], now)?;
        Ok(epoch)
    }

    fn renew(&self, run: &RunId, epoch: u64, lease: Timestamp) -> Result<(), JournalError> {
        self.state().owned(run, epoch)?.record.lease = Some(lease);
        Ok(())
    }

    fn release(&self, run: &RunId, epoch: u64) -> Result<(), JournalError> {
        let mut state = self.state();
        if let Ok(run) = state.owned(run, epoch) {
            run.record.owner = None;
            run.record.lease = None;
        }
        Ok(())
    }

    fn entries(&self, run: &RunId) -> Result<Vec<Entry>, JournalError> {
        Ok(self.state().run(run)?.entries.values().cloned().collect())
    }

    fn entry(&self, run: &RunId, key: &StepPath) -> Result<Option<Entry>, JournalError> {
        Ok(self.state().run(run)?.entries.get(key).cloned())
    }

    fn commit(
        &self,
        run: &RunId,
        epoch: u64,
        batch: &Batch,
        at: Timestamp,
    ) -> Result<Committed, JournalError> {
        let mut state = self.state();
        let run = state.owned(run, epoch)?;
        if let Some((key, after)) = &batch.unless_signal
            && run.signals.iter().any(|(known, received)| known == key && received.sequence > *after)
        {
            return Ok(Committed::Preempted);
        }
        for entry in &batch.entries {
            run.entries.insert(entry.key.clone(), Entry { epoch, at, ..entry.clone() });
        }
        if let Some(status) = batch.status {
            run.record.status = status;
        }
        Ok(Committed::Written(run.append(&batch.events, at)?))
    }

    fn post(
        &self,
        run: &RunId,
        key: Option<&StepPath>,
        signal: Option<&Signal>,
        event: &RunEvent,
        at: Timestamp,
    ) -> Result<Recorded, JournalError> {
        let mut state = self.state();
        state.signals += 1;
        state.generation += 1;
        let sequence = state.signals;
        let run = state.run(run)?;
        if let (Some(key), Some(signal)) = (key, signal) {
            run.signals.push((key.clone(), Received { sequence, signal: signal.clone(), at }));
        }
        run.append(std::slice::from_ref(event), at)?.pop().ok_or_else(|| JournalError::Store {
            place: "in memory".into(),
            doing: "written",
            why: "nothing was written".into(),
        })
    }

    fn signals(&self, run: &RunId, key: &StepPath, after: u64) -> Result<Vec<Received>, JournalError> {
        let mut state = self.state();
        let signals = &state.run(run)?.signals;
        Ok(signals
            .iter()
            .filter(|(known, received)| known == key && received.sequence > after)
            .map(|(_, received)| received.clone())
            .collect())
    }

    fn history(&self, run: &RunId, from: u64) -> Result<Vec<Recorded>, JournalError> {
        let mut state = self.state();
        Ok(state.run(run)?.history.iter().filter(|recorded| recorded.sequence >= from).cloned().collect())
    }

    fn lock(&self, name: &str, run: &RunId, epoch: u64, _: Timestamp) -> Result<LockAnswer, JournalError> {
        let mut state = self.state();
        state.owned(run, epoch)?;
        let (holder, token) = state.locks.get(name).cloned().unwrap_or_default();
        if let Some(holder) = holder {
            if holder == *run {
                return Ok(LockAnswer::Held(token));
            }
            if !loses_lock(state.run(&holder)?.record.status) {
                return Ok(LockAnswer::Busy(holder));
            }
        }
        state.locks.insert(name.to_owned(), (Some(run.clone()), token + 1));
        Ok(LockAnswer::Held(token + 1))
    }

    fn unlock(&self, name: &str, run: &RunId, token: u64) -> Result<(), JournalError> {
        let mut state = self.state();
        state.generation += 1;
        if let Some(lock) = state.locks.get_mut(name)
            && lock.0.as_ref() == Some(run)
            && lock.1 == token
        {
            lock.0 = None;
        }
        Ok(())
    }

    fn generation(&self) -> Result<u64, JournalError> {
        Ok(self.state().generation)
    }
}
