//! What a durable engine remembers: runs, entries keyed by step path, signals, locks and histories.
//!
//! Two stores pass the same conformance suite: [`SqliteJournal`] for real runs, [`MemoryJournal`] for tests.
//! Every write of an owner carries its epoch, and is refused once another process has a higher one.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use windlass_core::plan::StepPath;
use windlass_core::run::{Recorded, RunEvent, RunId, RunStatus};

use crate::durable::Signal;
use crate::owner::Owner;

mod memory;
mod sqlite;

pub use memory::MemoryJournal;
pub use sqlite::SqliteJournal;

/// A run as it is created.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// Its name.
    pub id: RunId,
    /// The plan's canonical JSON.
    pub plan: String,
    /// The runbook's name.
    pub runbook: String,
    /// The package that it releases, where the repository has several.
    pub package: Option<String>,
    /// The version that it releases.
    pub version: Option<String>,
    /// Its first event.
    pub started: RunEvent,
}

/// A run as the journal lists it.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRecord {
    /// Its name.
    pub id: RunId,
    /// The runbook's name.
    pub runbook: String,
    /// The package that it releases, where the repository has several.
    pub package: Option<String>,
    /// The version that it releases.
    pub version: Option<String>,
    /// How it stands.
    pub status: RunStatus,
    /// Who works on it.
    pub owner: Option<Owner>,
    /// Until when its owner's claim holds unless renewed.
    pub lease: Option<Timestamp>,
    /// The highest epoch given.
    pub epoch: u64,
    /// When it was created.
    pub created: Timestamp,
}

/// What is known of an item.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The item.
    pub key: StepPath,
    /// How it stands.
    pub state: EntryState,
    /// The attempt, from 1.
    pub attempt: u32,
    /// The epoch that wrote it.
    pub epoch: u64,
    /// When it was written.
    pub at: Timestamp,
}

/// How an item stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EntryState {
    /// About to happen: if this is the last word after a crash, the effect is in doubt.
    Intent,
    /// Happened, with its output.
    Done(Value),
    /// Did not happen as it should, and why.
    Failed(String),
    /// To be run again: a person said so.
    Reopened,
}

/// What an owner writes at once.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// New states of items.
    pub entries: Vec<Entry>,
    /// What happened.
    pub events: Vec<RunEvent>,
    /// The run's new status.
    pub status: Option<RunStatus>,
    /// Written only when no signal numbered higher has come to this item.
    pub unless_signal: Option<(StepPath, u64)>,
}

/// What came of a batch.
#[derive(Debug, Clone, PartialEq)]
pub enum Committed {
    /// Written; the events as the history has them.
    Written(Vec<Recorded>),
    /// Not written: a signal came first.
    Preempted,
}

/// A signal as it was kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Received {
    /// Its number, rising through the run.
    pub sequence: u64,
    /// What.
    pub signal: Signal,
    /// When.
    pub at: Timestamp,
}

/// What came of asking for a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockAnswer {
    /// It is held, with this token.
    Held(u64),
    /// Another run holds it.
    Busy(RunId),
}

/// What a journal cannot do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// There is no such run.
    #[error("there is no run `{0}`: `windlass runs` lists them")]
    NoSuchRun(RunId),
    /// A run of that name exists.
    #[error("a run named `{0}` exists already")]
    Exists(RunId),
    /// Another living process works on it.
    #[error(
        "{owner} is working on this run until it ends or its lease runs out at {lease}: wait, or stop that process"
    )]
    Owned {
        /// Who.
        owner: Owner,
        /// Until when.
        lease: Timestamp,
    },
    /// The writer's epoch is no longer the highest: another process took the run over.
    #[error("another process took this run over (its epoch is {current}, ours {ours}): nothing was written")]
    Stale {
        /// The writer's.
        ours: u64,
        /// The highest.
        current: u64,
    },
    /// The journal was written by a newer Windlass.
    #[error(
        "this journal has format {found}, written by a newer Windlass; this one reads up to {known}: upgrade Windlass"
    )]
    Newer {
        /// Its format.
        found: i64,
        /// The newest this program knows.
        known: i64,
    },
    /// The store failed.
    #[error("the journal {place} cannot be {doing}: {why}")]
    Store {
        /// Where it is.
        place: String,
        /// `read` or `written`.
        doing: &'static str,
        /// Why.
        why: String,
    },
}

/// A journal. Its calls block for the time of one disk sync at most.
pub trait Journal: Send + Sync {
    /// Adds a run and its first event.
    ///
    /// # Errors
    /// [`JournalError::Exists`], or the store's.
    fn create(&self, run: &NewRun, at: Timestamp) -> Result<(), JournalError>;

    /// The plan of a run, as canonical JSON.
    ///
    /// # Errors
    /// [`JournalError::NoSuchRun`], or the store's.
    fn plan(&self, run: &RunId) -> Result<String, JournalError>;

    /// A run.
    ///
    /// # Errors
    /// [`JournalError::NoSuchRun`], or the store's.
    fn run(&self, run: &RunId) -> Result<RunRecord, JournalError>;

    /// All runs, newest first.
    ///
    /// # Errors
    /// The store's.
    fn runs(&self) -> Result<Vec<RunRecord>, JournalError>;

    /// Makes `owner` the run's owner until `lease`; gives the new epoch. A dead owner on this host loses the run at
    /// once, one elsewhere when its lease is over.
    ///
    /// # Errors
    /// [`JournalError::Owned`] while another lives.
    fn acquire(
        &self,
        run: &RunId,
        owner: &Owner,
        now: Timestamp,
        lease: Timestamp,
    ) -> Result<u64, JournalError>;

    /// Extends the owner's lease.
    ///
    /// # Errors
    /// [`JournalError::Stale`] when the run has been taken over.
    fn renew(&self, run: &RunId, epoch: u64, lease: Timestamp) -> Result<(), JournalError>;

    /// Ends the owner's claim; a stale one changes nothing.
    ///
    /// # Errors
    /// The store's.
    fn release(&self, run: &RunId, epoch: u64) -> Result<(), JournalError>;

    /// All entries of a run.
    ///
    /// # Errors
    /// The store's.
    fn entries(&self, run: &RunId) -> Result<Vec<Entry>, JournalError>;

    /// One entry of a run.
    ///
    /// # Errors
    /// The store's.
    fn entry(&self, run: &RunId, key: &StepPath) -> Result<Option<Entry>, JournalError>;

    /// Writes a batch as the owner of `epoch`: all of it, durably, or nothing.
    ///
    /// # Errors
    /// [`JournalError::Stale`], or the store's.
    fn commit(
        &self,
        run: &RunId,
        epoch: u64,
        batch: &Batch,
        at: Timestamp,
    ) -> Result<Committed, JournalError>;

    /// Keeps a signal of anybody for `key` (for the run itself when `None`), with the event that tells of it.
    ///
    /// # Errors
    /// [`JournalError::NoSuchRun`], or the store's.
    fn post(
        &self,
        run: &RunId,
        key: Option<&StepPath>,
        signal: Option<&Signal>,
        event: &RunEvent,
        at: Timestamp,
    ) -> Result<Recorded, JournalError>;

    /// Signals for `key` after the one numbered `after`, in the order they came.
    ///
    /// # Errors
    /// The store's.
    fn signals(&self, run: &RunId, key: &StepPath, after: u64) -> Result<Vec<Received>, JournalError>;

    /// The run's history from the event numbered `from`.
    ///
    /// # Errors
    /// The store's.
    fn history(&self, run: &RunId, from: u64) -> Result<Vec<Recorded>, JournalError>;

    /// Takes a lock for a run, or tells who has it. A run that has it gets its token again; one that has ended or
    /// failed loses it.
    ///
    /// # Errors
    /// [`JournalError::Stale`], or the store's.
    fn lock(&self, name: &str, run: &RunId, epoch: u64, at: Timestamp) -> Result<LockAnswer, JournalError>;

    /// Gives a lock back, when the run still has it with this token.
    ///
    /// # Errors
    /// The store's.
    fn unlock(&self, name: &str, run: &RunId, token: u64) -> Result<(), JournalError>;

    /// A number that changes when any process has written.
    ///
    /// # Errors
    /// The store's.
    fn generation(&self) -> Result<u64, JournalError>;
}

/// Whether `owner` may take a run from the owner it has.
fn may_take(known: &RunRecord, owner: &Owner, now: Timestamp) -> Result<(), JournalError> {
    match (&known.owner, known.lease) {
        (Some(other), Some(lease)) if other != owner && lease > now && !other.is_dead() => {
            Err(JournalError::Owned { owner: other.clone(), lease })
        }
        _ => Ok(()),
    }
}

/// Whether a run of this status loses its locks to whoever asks: it has ended, or it failed, and whoever mends the
/// environment must get in.
fn loses_lock(status: RunStatus) -> bool {
    status.is_final() || status == RunStatus::Failed
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::conformance;
    use crate::conformance::planted::{Bug, Planted, without_probes};

    #[tokio::test(start_paused = true)]
    async fn memory_passes_the_suite() {
        conformance::all(&|| Arc::new(MemoryJournal::new())).await;
    }

    #[tokio::test(start_paused = true)]
    async fn sqlite_passes_the_suite() {
        // In memory where the system has such a folder: the suite kills between writes, never cuts the power, so
        // what it would wait for is only the disk.
        let memory = std::path::Path::new("/dev/shm");
        let folder =
            if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
        let count = std::sync::atomic::AtomicU32::new(0);
        conformance::all(&|| {
            let number = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Arc::new(SqliteJournal::open(&folder.path().join(format!("{number}.db"))).unwrap())
        })
        .await;
    }

    fn planted(bug: Bug) -> impl Fn() -> Arc<dyn Journal> + Sync {
        move || Arc::new(Planted { inner: Arc::new(MemoryJournal::new()), bug })
    }

    async fn is_caught(suite: impl Future<Output = ()> + Send + 'static) -> bool {
        tokio::spawn(suite).await.is_err_and(|error| error.is_panic())
    }

    #[tokio::test(start_paused = true)]
    async fn the_suite_catches_planted_bugs() {
        let honest = async { conformance::kill_at_each_point(&planted_none, Clone::clone).await };
        assert!(!is_caught(honest).await, "no bug, no catch");
        let hasty =
            async { conformance::kill_at_each_point(&planted(Bug::OutcomeBeforeIntent), Clone::clone).await };
        assert!(is_caught(hasty).await, "an outcome written before its effect");
        let blind = async { conformance::kill_at_each_point(&planted_none, without_probes).await };
        assert!(is_caught(blind).await, "an effect in doubt that is not asked for");
        let unfenced = async { conformance::a_stale_owner_changes_nothing(&planted(Bug::NoFence)).await };
        assert!(is_caught(unfenced).await, "a writer that was overtaken");
    }

    fn planted_none() -> Arc<dyn Journal> {
        Arc::new(MemoryJournal::new())
    }
}
