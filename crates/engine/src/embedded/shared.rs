//! What an embedded engine knows of its run, kept up to date with what other processes write.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use windlass_core::plan::StepPath;
use windlass_core::run::{RunEvent, RunId};

use super::{Observer, after};
use crate::context::Clock;
use crate::journal::{Entry, EntryState, Journal, JournalError};

/// What the engine and its background tasks both use.
pub(super) struct Shared {
    pub(super) journal: Arc<dyn Journal>,
    pub(super) run: RunId,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) memory: Mutex<Memory>,
    pub(super) changed: Notify,
    pub(super) cancel: CancellationToken,
    pub(super) detach: CancellationToken,
    pub(super) superseded: CancellationToken,
}

/// What the process knows of the run's past.
#[derive(Default)]
pub(super) struct Memory {
    pub(super) entries: BTreeMap<StepPath, Entry>,
    pub(super) told: HashSet<String>,
    pub(super) pending_events: Vec<RunEvent>,
    pub(super) pending_entries: Vec<Entry>,
    pub(super) waivers: Vec<(StepPath, String)>,
    pub(super) cursors: BTreeMap<StepPath, u64>,
    /// The steps that are under each lock now: a step's runbook may ask for what the step holds.
    pub(super) held: BTreeMap<String, BTreeSet<StepPath>>,
    pub(super) last_event: u64,
    pub(super) last_generation: Option<u64>,
}

impl Memory {
    pub(super) fn is_done(&self, key: &StepPath) -> bool {
        self.entries.get(key).is_some_and(|entry| matches!(entry.state, EntryState::Done(_)))
    }

    /// The last signal to `key` that counts no more: taken by this process, or from before a retry.
    pub(super) fn cursor(&self, key: &StepPath) -> u64 {
        self.cursors.get(key).copied().unwrap_or_else(|| match self.entries.get(&key.child("since")) {
            Some(Entry { state: EntryState::Done(since), .. }) => since.as_u64().unwrap_or_default(),
            _ => 0,
        })
    }
}

impl Shared {
    /// What the journal knows of the run.
    pub(super) fn load(
        journal: Arc<dyn Journal>,
        run: RunId,
        observer: Arc<dyn Observer>,
        detach: CancellationToken,
    ) -> Result<Self, JournalError> {
        let entries = journal.entries(&run)?.into_iter().map(|entry| (entry.key.clone(), entry)).collect();
        let shared = Self {
            journal,
            run,
            observer,
            memory: Mutex::new(Memory { entries, ..Memory::default() }),
            changed: Notify::new(),
            cancel: CancellationToken::new(),
            detach,
            superseded: CancellationToken::new(),
        };
        shared.refresh()?;
        Ok(shared)
    }

    pub(super) fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn waived(&self, key: &StepPath) -> Option<String> {
        let memory = self.memory();
        memory.waivers.iter().find(|(path, _)| key.is_within(path)).map(|(_, reason)| reason.clone())
    }

    /// Learns what the history has that this process has not seen, its own writes included.
    pub(super) fn refresh(&self) -> Result<(), JournalError> {
        let mut memory = self.memory();
        let generation = self.journal.generation()?;
        if memory.last_generation == Some(generation) {
            return Ok(());
        }
        let mut cancelled = false;
        for recorded in self.journal.history(&self.run, memory.last_event + 1)? {
            memory.last_event = recorded.sequence;
            if let Some(identity) = recorded.event.identity() {
                memory.told.insert(identity);
            }
            match &recorded.event {
                RunEvent::Waived { path, by, reason } => {
                    memory.waivers.push((path.clone(), format!("{by}: {reason}")));
                }
                RunEvent::CancelRequested { .. } => cancelled = true,
                // Whoever asks for a rollback after a cancellation does not want that cancelled.
                RunEvent::RollbackRequested { .. } => cancelled = false,
                // A new attempt that is interrupted is a new doubt, with a gate of its own.
                RunEvent::ActionStarted { path, .. } => {
                    memory.told.remove(&format!("gate-opened {path}"));
                    memory.told.remove(&format!("gate-closed {path}"));
                }
                RunEvent::Retried { path, .. } => memory
                    .told
                    .retain(|identity| !identity.split(' ').any(|word| StepPath::new(word).is_within(path))),
                _ => {}
            }
            self.observer.event(&recorded);
        }
        // Only now: what could not be read is looked for again.
        memory.last_generation = Some(generation);
        if cancelled {
            self.cancel.cancel();
        }
        Ok(())
    }
}

pub(super) async fn watch_journal(shared: Arc<Shared>, poll: Duration) {
    let mut last = None;
    loop {
        tokio::time::sleep(poll).await;
        if let Ok(generation) = shared.journal.generation()
            && last.replace(generation) != Some(generation)
        {
            // A journal that cannot be read now is reported by whoever needs it next.
            let _unread = shared.refresh();
            shared.changed.notify_waiters();
        }
    }
}

pub(super) async fn keep_lease(shared: Arc<Shared>, clock: Arc<dyn Clock>, lease: Duration, epoch: u64) {
    loop {
        tokio::time::sleep(lease / 3).await;
        // Any other trouble may pass before the lease does.
        if let Err(JournalError::Stale { .. }) =
            shared.journal.renew(&shared.run, epoch, after(clock.now(), lease))
        {
            shared.superseded.cancel();
            // What runs must not go on beside the process that has the run now.
            shared.cancel.cancel();
            shared.changed.notify_waiters();
            return;
        }
    }
}
