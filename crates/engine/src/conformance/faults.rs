//! A journal that dies at a chosen write, as a process does.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use jiff::Timestamp;
use windlass_core::plan::StepPath;
use windlass_core::run::{Recorded, RunEvent, RunId};

use crate::durable::Signal;
use crate::journal::{
    Batch, Committed, Entry, Journal, JournalError, LockAnswer, NewRun, Received, RunRecord,
};
use crate::owner::Owner;

/// On which side of a write to die.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// It is not written.
    Before,
    /// It is written, and nobody hears of it.
    After,
}

/// Called at the chosen write; a process that tests its own death kills itself here.
pub type Fault = Arc<dyn Fn() + Send + Sync>;

/// A journal in front of another that fails at a chosen write and at every one after it.
pub struct FaultyJournal {
    inner: Arc<dyn Journal>,
    writes: AtomicU64,
    die_at: AtomicI64,
    after: AtomicI64,
    fault: Option<Fault>,
}

impl FaultyJournal {
    /// A journal that does not fail yet.
    pub fn new(inner: Arc<dyn Journal>) -> Self {
        Self {
            inner,
            writes: AtomicU64::new(0),
            die_at: AtomicI64::new(i64::MAX),
            after: AtomicI64::new(0),
            fault: None,
        }
    }

    /// The same, calling `fault` at the chosen write.
    #[must_use]
    pub fn with_fault(mut self, fault: Fault) -> Self {
        self.fault = Some(fault);
        self
    }

    /// Dies at the write numbered `point` from now, from 0.
    pub fn die_at(&self, point: u64, moment: Moment) {
        self.writes.store(0, Ordering::SeqCst);
        self.after.store(i64::from(moment == Moment::After), Ordering::SeqCst);
        self.die_at.store(i64::try_from(point).unwrap_or(i64::MAX), Ordering::SeqCst);
    }

    /// Whether the chosen write has come.
    pub fn is_dead(&self) -> bool {
        self.writes.load(Ordering::SeqCst)
            > u64::try_from(self.die_at.load(Ordering::SeqCst)).unwrap_or(u64::MAX)
    }

    /// How many writes there were.
    pub fn writes(&self) -> u64 {
        self.writes.load(Ordering::SeqCst)
    }

    /// Works again, as for the next process.
    pub fn revive(&self) {
        self.die_at.store(i64::MAX, Ordering::SeqCst);
    }

    fn write<T>(
        &self,
        work: impl FnOnce(&dyn Journal) -> Result<T, JournalError>,
    ) -> Result<T, JournalError> {
        let number = i64::try_from(self.writes.fetch_add(1, Ordering::SeqCst)).unwrap_or(i64::MAX);
        let die_at = self.die_at.load(Ordering::SeqCst);
        let after = self.after.load(Ordering::SeqCst) == 1;
        if number < die_at {
            return work(&*self.inner);
        }
        if number == die_at {
            if after {
                work(&*self.inner)?;
            }
            if let Some(fault) = &self.fault {
                fault();
            }
        }
        Err(JournalError::Store {
            place: "of a dead process".into(),
            doing: "written",
            why: "it died".into(),
        })
    }
}

impl Journal for FaultyJournal {
    fn create(&self, run: &NewRun, at: Timestamp) -> Result<(), JournalError> {
        self.write(|inner| inner.create(run, at))
    }

    fn plan(&self, run: &RunId) -> Result<String, JournalError> {
        self.inner.plan(run)
    }

    fn run(&self, run: &RunId) -> Result<RunRecord, JournalError> {
        self.inner.run(run)
    }

    fn runs(&self) -> Result<Vec<RunRecord>, JournalError> {
        self.inner.runs()
    }

    fn acquire(
        &self,
        run: &RunId,
        owner: &Owner,
        now: Timestamp,
        lease: Timestamp,
    ) -> Result<u64, JournalError> {
        self.write(|inner| inner.acquire(run, owner, now, lease))
    }

    fn renew(&self, run: &RunId, epoch: u64, lease: Timestamp) -> Result<(), JournalError> {
        // Not counted: it comes by the clock, and would move every point after it.
        self.inner.renew(run, epoch, lease)
    }

    fn release(&self, run: &RunId, epoch: u64) -> Result<(), JournalError> {
        self.write(|inner| inner.release(run, epoch))
    }

    fn entries(&self, run: &RunId) -> Result<Vec<Entry>, JournalError> {
        self.inner.entries(run)
    }

    fn entry(&self, run: &RunId, key: &StepPath) -> Result<Option<Entry>, JournalError> {
        self.inner.entry(run, key)
    }

    fn commit(
        &self,
        run: &RunId,
        epoch: u64,
        batch: &Batch,
        at: Timestamp,
    ) -> Result<Committed, JournalError> {
        self.write(|inner| inner.commit(run, epoch, batch, at))
    }

    fn post(
        &self,
        run: &RunId,
        key: Option<&StepPath>,
        signal: Option<&Signal>,
        event: &RunEvent,
        at: Timestamp,
    ) -> Result<Recorded, JournalError> {
        // Somebody else's process.
        self.inner.post(run, key, signal, event, at)
    }

    fn signals(&self, run: &RunId, key: &StepPath, after: u64) -> Result<Vec<Received>, JournalError> {
        self.inner.signals(run, key, after)
    }

    fn history(&self, run: &RunId, from: u64) -> Result<Vec<Recorded>, JournalError> {
        self.inner.history(run, from)
    }

    fn lock(&self, name: &str, run: &RunId, epoch: u64, at: Timestamp) -> Result<LockAnswer, JournalError> {
        self.write(|inner| inner.lock(name, run, epoch, at))
    }

    fn unlock(&self, name: &str, run: &RunId, token: u64) -> Result<(), JournalError> {
        self.write(|inner| inner.unlock(name, run, token))
    }

    fn generation(&self) -> Result<u64, JournalError> {
        self.inner.generation()
    }
}
