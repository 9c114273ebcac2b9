//! The embedded engine: durable execution in one process over a journal.
//!
//! Every effect is written as an intent before it happens and as an outcome after. After a crash an intent without
//! outcome is in doubt, and is settled by the action's probe, by running it again where that is safe, or by a person.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use windlass_core::plan::StepPath;
use windlass_core::run::{Recorded, RunEvent, RunId, RunStatus};

use self::shared::{Shared, keep_lease, watch_journal};
use crate::action::ActionSet;
use crate::context::{Context, Fence, World};
use crate::durable::{Completion, Durable, EffectRequest, Guard, Signal, Stop, Suspension, WaitFor};
use crate::journal::{Batch, Committed, Entry, EntryState, Journal, JournalError, LockAnswer};
use crate::owner::Owner;

mod attempt;
mod shared;

/// Told of everything that enters the run's history, in order.
pub trait Observer: Send + Sync {
    /// One event, durable already.
    fn event(&self, recorded: &Recorded);
}

/// An observer that looks away.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoObserver;

impl Observer for NoObserver {
    fn event(&self, _: &Recorded) {}
}

/// How the engine behaves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Leave a run that waits for people instead of staying.
    pub leave_for_people: bool,
    /// How long a claim on the run holds without being renewed.
    pub lease: Duration,
    /// How often other processes' writes are looked for.
    pub poll: Duration,
    /// The wait before the first retry; it doubles each time, up to a minute, with jitter.
    pub backoff: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            leave_for_people: false,
            lease: Duration::from_secs(30),
            poll: Duration::from_millis(50),
            backoff: Duration::from_secs(1),
        }
    }
}

/// Who opens a run, and how they take part.
#[derive(Clone)]
pub struct Session {
    /// This process.
    pub owner: Owner,
    /// Told of everything that happens.
    pub observer: Arc<dyn Observer>,
    /// Makes the engine leave at the next point where that is safe.
    pub detach: CancellationToken,
    /// How the engine behaves.
    pub settings: Settings,
}

/// A durable engine for one run in this process.
pub struct Embedded {
    shared: Arc<Shared>,
    actions: ActionSet,
    world: World,
    settings: Settings,
    epoch: u64,
    began: Timestamp,
    background: Vec<tokio::task::AbortHandle>,
}

impl Drop for Embedded {
    fn drop(&mut self) {
        for task in &self.background {
            task.abort();
        }
    }
}

impl Embedded {
    /// Takes the run for this process and learns its past.
    ///
    /// # Errors
    /// [`JournalError::Owned`] while another process works on the run; the store's.
    pub fn open(
        journal: Arc<dyn Journal>,
        run: RunId,
        actions: ActionSet,
        world: World,
        session: Session,
    ) -> Result<Self, JournalError> {
        let Session { owner, observer, detach, settings } = session;
        let now = world.clock.now();
        let epoch = journal.acquire(&run, &owner, now, after(now, settings.lease))?;
        let began = journal.run(&run)?.created;
        let shared = Arc::new(Shared::load(journal, run, observer, detach)?);
        let background = vec![
            tokio::spawn(watch_journal(shared.clone(), settings.poll)).abort_handle(),
            tokio::spawn(keep_lease(shared.clone(), world.clock.clone(), settings.lease, epoch))
                .abort_handle(),
        ];
        Ok(Self { shared, actions, world, settings, epoch, began, background })
    }

    /// The fencing epoch this process works under.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The outputs of everything done so far, by item.
    pub fn done(&self) -> BTreeMap<StepPath, Value> {
        let memory = self.shared.memory();
        let done = memory.entries.iter().filter_map(|(key, entry)| match &entry.state {
            EntryState::Done(value) => Some((key.clone(), value.clone())),
            _ => None,
        });
        done.collect()
    }

    /// Writes how the run stands and gives it back.
    ///
    /// # Errors
    /// [`Stop::Suspend`] when it could not be written.
    pub fn finish(&self, status: RunStatus, path: Option<StepPath>, why: Option<String>) -> Result<(), Stop> {
        let batch = Batch {
            events: vec![RunEvent::Finished { status, path, why }],
            status: Some(status),
            ..Batch::default()
        };
        self.commit(batch)?;
        self.shared.journal.release(&self.shared.run, self.epoch).map_err(trouble)
    }

    /// Makes a failed item new again, at a person's wish: its outcome, what it saw and the decisions that were made
    /// at it no longer count, and the time boxes around it start anew.
    ///
    /// # Errors
    /// [`Stop::Suspend`] when it could not be written.
    pub fn reopen(&self, path: &StepPath, by: &str) -> Result<(), Stop> {
        let mut entries: Vec<Entry> = {
            let memory = self.shared.memory();
            let anew = memory.entries.values().filter(|entry| {
                entry.key.is_within(path)
                    || entry
                        .key
                        .0
                        .strip_suffix("/now")
                        .is_some_and(|boxed| path.is_within(&StepPath::new(boxed)))
            });
            anew.map(|entry| Entry { state: EntryState::Reopened, ..entry.clone() }).collect()
        };
        for key in self.answered(path)? {
            let signals = self.shared.journal.signals(&self.shared.run, &key, 0).map_err(trouble)?;
            let since = signals.last().map_or(0, |received| received.sequence);
            entries.push(self.entry(&key.child("since"), EntryState::Done(Value::from(since)), 1));
        }
        let events = vec![RunEvent::Retried { path: path.clone(), by: by.to_owned() }];
        self.commit(Batch { entries, events, ..Batch::default() }).map(drop)
    }

    /// The item itself, and the gates within it: what a person said at one of them was about what is made anew.
    fn answered(&self, path: &StepPath) -> Result<BTreeSet<StepPath>, Stop> {
        let history = self.shared.journal.history(&self.shared.run, 1).map_err(trouble)?;
        let gates = history.into_iter().filter_map(|recorded| match recorded.event {
            RunEvent::GateOpened { path, .. } | RunEvent::Decided { path, .. } => Some(path),
            _ => None,
        });
        Ok(gates.filter(|gate| gate.is_within(path)).chain([path.clone()]).collect())
    }

    pub(crate) fn journal(&self) -> &Arc<dyn Journal> {
        &self.shared.journal
    }

    /// The actions it can call.
    pub fn actions(&self) -> &ActionSet {
        &self.actions
    }

    pub(crate) fn context(
        &self,
        request: &EffectRequest<'_>,
        attempt: u32,
        cancel: CancellationToken,
    ) -> Context {
        let mut context = Context::new(
            self.world.clone(),
            self.shared.run.clone(),
            request.key.clone(),
            attempt,
            self.epoch,
            cancel,
        );
        context.began = self.began;
        context.fence = request.fence.cloned();
        let mut outputs = request.outputs.clone();
        outputs.extend(request.matrix.iter().map(|(name, value)| (name.clone(), value.clone())));
        context.outputs = Arc::new(outputs);
        context
    }

    /// Writes `batch` together with what waits to be written, and tells the observer.
    pub(crate) fn commit(&self, mut batch: Batch) -> Result<Committed, Stop> {
        let now = self.world.clock.now();
        let mut memory = self.shared.memory();
        let mut events = std::mem::take(&mut memory.pending_events);
        let mut entries = std::mem::take(&mut memory.pending_entries);
        let waiting = (events.len(), entries.len());
        events.append(&mut batch.events);
        batch.events = events;
        entries.append(&mut batch.entries);
        batch.entries = entries;
        let committed = self.shared.journal.commit(&self.shared.run, self.epoch, &batch, now);
        if let Ok(Committed::Written(recorded)) = committed {
            for entry in batch.entries {
                memory.entries.insert(entry.key.clone(), entry);
            }
            drop(memory);
            self.shared.refresh().map_err(trouble)?;
            return Ok(Committed::Written(recorded));
        }
        // Nothing was written: what waited goes on waiting, and the batch's own is the caller's to write or not.
        batch.events.truncate(waiting.0);
        memory.pending_events = batch.events;
        batch.entries.truncate(waiting.1);
        memory.pending_entries = batch.entries;
        committed.map_err(trouble)
    }

    pub(crate) fn entry(&self, key: &StepPath, state: EntryState, attempt: u32) -> Entry {
        Entry { key: key.clone(), state, attempt, epoch: self.epoch, at: self.world.clock.now() }
    }

    /// What is known of an item.
    pub(crate) fn state(&self, key: &StepPath) -> Option<EntryState> {
        self.shared.memory().entries.get(key).map(|entry| entry.state.clone())
    }

    /// Fires when what runs must stop.
    pub(crate) fn stopping(&self) -> CancellationToken {
        self.shared.cancel.child_token()
    }

    /// Why the run goes no further now.
    pub(crate) fn interrupted(&self) -> Option<Stop> {
        if self.shared.superseded.is_cancelled() {
            Some(Stop::Suspend(Suspension::Superseded))
        } else if self.shared.cancel.is_cancelled() {
            Some(Stop::Cancelled)
        } else if self.shared.detach.is_cancelled() {
            Some(Stop::Suspend(Suspension::Detached))
        } else {
            None
        }
    }

    fn flush(&self) -> Result<(), Stop> {
        let waiting = {
            let memory = self.shared.memory();
            !memory.pending_events.is_empty() || !memory.pending_entries.is_empty()
        };
        if waiting { self.commit(Batch::default()).map(drop) } else { Ok(()) }
    }
}

impl Durable for Embedded {
    fn run_id(&self) -> &RunId {
        &self.shared.run
    }

    async fn effect(&self, request: EffectRequest<'_>) -> Result<Completion, Stop> {
        self.shared.refresh().map_err(trouble)?;
        let failed = |why: String| {
            if request.policy.optional {
                Ok(Completion::FailedOptional(why))
            } else {
                Err(Stop::Failed { path: request.key.clone(), why })
            }
        };
        let Some(action) = self.actions.get(&request.call.action) else {
            return failed(format!("this Windlass does not know the action `{}`", request.call.action));
        };
        let known = self.shared.memory().entries.get(request.key).cloned();
        let mut attempt = known.as_ref().map_or(0, |entry| entry.attempt);
        let mut state = known.map_or(EntryState::Reopened, |entry| entry.state);
        let mut tries = 0;
        loop {
            if let EntryState::Done(output) = state {
                return Ok(Completion::Output(output));
            }
            if let Some(reason) = self.shared.waived(request.key) {
                return Ok(Completion::Waived(reason));
            }
            state = match state {
                EntryState::Done(_) => continue,
                EntryState::Failed(why) => return failed(why),
                EntryState::Intent => self.settle(action, &request, attempt).await?,
                EntryState::Reopened => {
                    if tries > 0 {
                        self.pause_before_retry(tries - 1).await?;
                    }
                    tries += 1;
                    attempt += 1;
                    self.attempt(action, &request, attempt, tries).await?
                }
            };
        }
    }

    async fn wait(
        &self,
        key: &StepPath,
        until: Option<Timestamp>,
        whose: WaitFor,
    ) -> Result<Option<Signal>, Stop> {
        let timeout_key = until.map(|until| key.child(format_args!("until@{}", until.as_millisecond())));
        if let Some(timeout_key) = &timeout_key
            && self.shared.memory().is_done(timeout_key)
        {
            return Ok(None);
        }
        self.flush()?;
        loop {
            let changed = self.shared.changed.notified();
            let cursor = self.shared.memory().cursor(key);
            let signals = self.shared.journal.signals(&self.shared.run, key, cursor).map_err(trouble)?;
            let seen = signals.last().map_or(cursor, |received| received.sequence);
            // What came after the deadline came too late, also when nobody was there to see it pass.
            let next = signals.into_iter().find(|received| until.is_none_or(|until| received.at <= until));
            if let Some(received) = next {
                self.shared.memory().cursors.insert(key.clone(), received.sequence);
                return Ok(Some(received.signal));
            }
            self.shared.refresh().map_err(trouble)?;
            if let Some(reason) = self.shared.waived(key) {
                return Ok(Some(Signal::Waive { by: String::new(), reason }));
            }
            if let Some(stop) = self.interrupted() {
                return Err(stop);
            }
            if let (Some(until), Some(timeout_key)) = (until, &timeout_key)
                && self.world.clock.now() >= until
            {
                let batch = Batch {
                    entries: vec![self.entry(timeout_key, EntryState::Done(Value::Null), 1)],
                    unless_signal: Some((key.clone(), seen)),
                    ..Batch::default()
                };
                match self.commit(batch)? {
                    Committed::Written(_) => return Ok(None),
                    Committed::Preempted => continue,
                }
            }
            if whose == WaitFor::People && self.settings.leave_for_people {
                return Err(Stop::Suspend(Suspension::People(key.clone())));
            }
            let sleep = async {
                match until {
                    Some(until) => self.world.clock.sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = changed => {}
                () = sleep => {}
                () = self.shared.cancel.cancelled() => {}
                () = self.shared.detach.cancelled() => {}
                () = self.shared.superseded.cancelled() => {}
            }
        }
    }

    async fn record(&self, event: RunEvent) -> Result<(), Stop> {
        let mut memory = self.shared.memory();
        if let Some(identity) = event.identity()
            && !memory.told.insert(identity)
        {
            return Ok(());
        }
        // Written with the next intent or outcome: one disk sync serves both, and a crash in between only means that
        // the replay tells it again.
        memory.pending_events.push(event);
        Ok(())
    }

    async fn now(&self, key: &StepPath) -> Result<Timestamp, Stop> {
        let key = key.child("now");
        let mut memory = self.shared.memory();
        if let Some(Entry { state: EntryState::Done(Value::String(text)), .. }) = memory.entries.get(&key)
            && let Ok(instant) = text.parse()
        {
            return Ok(instant);
        }
        let now = self.world.clock.now();
        let entry = self.entry(&key, EntryState::Done(Value::String(now.to_string())), 1);
        memory.entries.insert(key, entry.clone());
        memory.pending_entries.push(entry);
        Ok(now)
    }

    async fn lock(&self, key: &StepPath, name: &str) -> Result<Guard, Stop> {
        let guard = |token, returned| Guard {
            key: key.clone(),
            fence: Fence { lock: name.to_owned(), token },
            returned,
        };
        let returned = match self.shared.memory().entries.get(&key.child("unlocked")) {
            Some(Entry { state: EntryState::Done(token), .. }) => token.as_u64(),
            _ => None,
        };
        if let Some(token) = returned {
            if self.shared.memory().held.contains_key(name) {
                // A step around this one has it still.
                return Ok(guard(token, true));
            }
            // A crash may have come between saying so and doing so.
            self.shared.journal.unlock(name, &self.shared.run, token).map_err(trouble)?;
            return Ok(guard(token, true));
        }
        self.flush()?;
        loop {
            if let Some(stop) = self.interrupted() {
                return Err(stop);
            }
            let changed = self.shared.changed.notified();
            let now = self.world.clock.now();
            match self.shared.journal.lock(name, &self.shared.run, self.epoch, now).map_err(trouble)? {
                LockAnswer::Held(token) => {
                    self.shared.memory().held.entry(name.to_owned()).or_default().insert(key.clone());
                    self.record(RunEvent::Locked { lock: name.to_owned(), token }).await?;
                    return Ok(guard(token, false));
                }
                LockAnswer::Busy(holder) => {
                    let record = self.shared.journal.run(&holder).map_err(trouble)?;
                    let works = record.lease.is_some_and(|lease| lease > now)
                        && record.owner.as_ref().is_some_and(|owner| !owner.is_dead());
                    if !works {
                        return Err(Stop::Suspend(Suspension::Locked { lock: name.to_owned(), holder }));
                    }
                    self.record(RunEvent::LockAwaited { lock: name.to_owned(), holder }).await?;
                    self.flush()?;
                    tokio::select! {
                        () = changed => {}
                        () = tokio::time::sleep(self.settings.lease / 2) => {}
                        () = self.shared.cancel.cancelled() => {}
                        () = self.shared.detach.cancelled() => {}
                    }
                }
            }
        }
    }

    async fn unlock(&self, guard: Guard, done: bool) -> Result<(), Stop> {
        if guard.returned {
            return Ok(());
        }
        let Fence { lock, token } = guard.fence;
        let key = guard.key.child("unlocked");
        let entry = done.then(|| self.entry(&key, EntryState::Done(Value::from(token)), 1));
        let is_last = {
            let mut memory = self.shared.memory();
            let others = memory.held.get_mut(&lock).is_some_and(|steps| {
                steps.remove(&guard.key);
                !steps.is_empty()
            });
            if !others {
                memory.held.remove(&lock);
            }
            !others
        };
        let unlocked = RunEvent::Unlocked { lock: lock.clone(), token };
        self.commit(Batch {
            entries: entry.into_iter().collect(),
            events: is_last.then_some(unlocked).into_iter().collect(),
            ..Batch::default()
        })?;
        if !is_last {
            return Ok(());
        }
        self.shared.journal.unlock(&lock, &self.shared.run, token).map_err(trouble)
    }
}

fn after(now: Timestamp, lease: Duration) -> Timestamp {
    now.saturating_add(SignedDuration::try_from(lease).unwrap_or(SignedDuration::MAX))
        .unwrap_or(Timestamp::MAX)
}

pub(crate) fn trouble(error: JournalError) -> Stop {
    match error {
        JournalError::Stale { .. } => Stop::Suspend(Suspension::Superseded),
        error => Stop::Suspend(Suspension::Trouble(error.to_string())),
    }
}
