//! The only door outside that an action has.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use windlass_core::plan::{Effect, ReleaseFact, StepPath};
use windlass_core::run::RunId;

use crate::action::{ActionError, Result};
use crate::mask::Masker;
use crate::process::{self, Command, Finished};

/// What the time is. A trait so that tests can turn the hands.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;
    /// Returns once `until` has come.
    fn sleep_until(&self, until: Timestamp) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// The computer's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn sleep_until(&self, until: Timestamp) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            // Asked again after each nap: the wall clock may be set while we sleep, and deadlines are wall-clock.
            loop {
                let left = until.as_millisecond() - self.now().as_millisecond();
                let Ok(left @ 1..) = u64::try_from(left) else { return };
                tokio::time::sleep(std::time::Duration::from_millis(left.min(1000))).await;
            }
        })
    }
}

/// Which stream a log line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
    /// Windlass itself.
    Note,
}

/// Where log lines go, already masked.
pub trait LogSink: Send + Sync {
    /// Takes one line of `path`'s log, without its newline.
    fn line(&self, path: &StepPath, stream: Stream, line: &str);
}

/// A sink that keeps nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoLog;

impl LogSink for NoLog {
    fn line(&self, _: &StepPath, _: Stream, _: &str) {}
}

/// A lock that an action acts under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence {
    /// The environment's lock.
    pub lock: String,
    /// Higher than any token given before. A target that has seen a higher one refuses.
    pub token: u64,
}

/// What stays the same for every action of a run.
#[derive(Clone)]
pub struct World {
    /// The repository's root.
    pub workspace: PathBuf,
    /// Windlass's own folder in the git directory.
    pub state: PathBuf,
    /// Environment of every process: `WINDLASS_*`, the front matter's `env`, inputs.
    pub environment: Arc<BTreeMap<String, String>>,
    /// What is released.
    pub release: Option<Arc<ReleaseFact>>,
    /// Values of secrets by name.
    pub secrets: Arc<BTreeMap<String, String>>,
    /// Hides the values of secrets.
    pub masker: Arc<Masker>,
    /// Where log lines go.
    pub log: Arc<dyn LogSink>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// The door outside, made for one attempt of one action.
#[derive(Clone)]
pub struct Context {
    /// What stays the same for every action of the run.
    pub world: World,
    /// The run.
    pub run: RunId,
    /// What is done: the item, or what takes it back.
    pub path: StepPath,
    /// When the run was created.
    pub began: Timestamp,
    /// The attempt, from 1.
    pub attempt: u32,
    /// The fencing epoch of the process that owns the run.
    pub epoch: u64,
    /// The lock the step holds.
    pub fence: Option<Fence>,
    /// Outputs of earlier steps that are text, as environment: `WINDLASS_OUTPUT_STEP_KEY`.
    pub outputs: Arc<BTreeMap<String, String>>,
    /// Fires when the run is cancelled or the attempt timed out: stop what runs.
    pub cancel: CancellationToken,
    changes: Arc<Mutex<Vec<Effect>>>,
}

impl Context {
    /// A door for one attempt, of a run that begins now.
    pub fn new(
        world: World,
        run: RunId,
        path: StepPath,
        attempt: u32,
        epoch: u64,
        cancel: CancellationToken,
    ) -> Self {
        Self {
            began: world.clock.now(),
            world,
            run,
            path,
            attempt,
            epoch,
            fence: None,
            outputs: Arc::default(),
            cancel,
            changes: Arc::default(),
        }
    }

    /// Writes a line to the item's log, masked.
    pub fn log(&self, line: &str) {
        self.world.log.line(&self.path, Stream::Note, &self.world.masker.mask(line));
    }

    /// Tells that something outside was changed, so that it can be held against what was planned.
    pub fn changed(&self, effect: Effect) {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).push(effect);
    }

    /// Keeps what is changed from here on apart from what was told before: for an action that uses another one.
    pub fn forget_changes(&mut self) {
        self.changes = Arc::default();
    }

    /// The item whose effect this is: it is taken back under a path of its own, `undo/ITEM`.
    pub fn item(&self) -> &str {
        self.path.0.strip_prefix("undo/").unwrap_or(&self.path.0)
    }

    /// Whether what the item did is being taken back.
    pub fn is_undo(&self) -> bool {
        self.item().len() < self.path.0.len()
    }

    /// What was changed so far.
    pub fn changes(&self) -> Vec<Effect> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The value of a secret.
    ///
    /// # Errors
    /// When no secret of that name is configured.
    pub fn secret(&self, name: &str) -> Result<&str> {
        self.world.secrets.get(name).map(String::as_str).ok_or_else(|| {
            ActionError::Final(format!(
                "the secret `{name}` is not configured: add it under [secrets] in windlass.toml"
            ))
        })
    }

    /// What is released.
    ///
    /// # Errors
    /// When the runbook releases nothing.
    pub fn release(&self) -> Result<&ReleaseFact> {
        self.world.release.as_deref().ok_or_else(|| {
            ActionError::Final(
                "this run releases no version, so there is nothing this action could work on".into(),
            )
        })
    }

    /// Runs a process in its own process group, its output streamed to the item's log. The group is stopped when
    /// the run is cancelled.
    ///
    /// # Errors
    /// When it cannot be started or was cancelled. An exit code other than 0 is no error here.
    pub async fn process(&self, command: &Command) -> Result<Finished> {
        process::run(self, command).await
    }
}
