//! A run on a stage: a ledger that actions write to, and a clock that tests turn.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration as StdDuration;

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use windlass_core::gate::{Choice, Decision};
use windlass_core::plan::{Digest, Effect, Facts, Plan, Reversibility, StepPath};
use windlass_core::run::{RunEvent, RunId, RunState};

use crate::action::{Action, ActionError, ActionSet, Probe, Result, Undone};
use crate::context::{Clock, Context, NoLog, World};
use crate::drive::drive;
use crate::durable::Signal;
use crate::embedded::{Embedded, NoObserver, Session, Settings};
use crate::interpreter::{Direction, Ending};
use crate::journal::{Journal, JournalError, NewRun};
use crate::mask::Masker;
use crate::owner::Owner;

/// What actions did, kept by their target and not by the engine.
#[derive(Debug, Default)]
pub struct Ledger {
    lines: Mutex<Vec<(String, String)>>,
}

impl Ledger {
    /// How often each name was written.
    pub fn counts(&self) -> BTreeMap<String, u32> {
        let mut counts = BTreeMap::new();
        for (name, _) in self.lines().iter() {
            *counts.entry(name.clone()).or_default() += 1;
        }
        counts
    }

    /// The text last written under `name`.
    pub fn seen(&self, name: &str) -> String {
        self.lines()
            .iter()
            .rev()
            .find(|(known, _)| known == name)
            .map(|(_, text)| text.clone())
            .unwrap_or_default()
    }

    /// The names in the order they were written.
    pub fn order(&self) -> Vec<String> {
        self.lines().iter().map(|(name, _)| name.clone()).collect()
    }

    fn write(&self, name: &str, text: &str) {
        self.lines().push((name.to_owned(), text.to_owned()));
    }

    /// Takes a line out; whether it was there.
    pub fn erase(&self, name: &str) -> bool {
        let mut lines = self.lines();
        let before = lines.len();
        lines.retain(|(known, _)| known != name);
        lines.len() < before
    }

    fn lines(&self) -> std::sync::MutexGuard<'_, Vec<(String, String)>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A clock that runs with tokio's, which tests pause, and that can be moved while nothing runs.
#[derive(Debug)]
pub struct TestClock {
    begin: tokio::time::Instant,
    skipped: Mutex<StdDuration>,
}

impl TestClock {
    /// A clock that begins at 2001-09-09T01:46:40Z.
    pub fn new() -> Arc<Self> {
        Arc::new(Self { begin: tokio::time::Instant::now(), skipped: Mutex::default() })
    }

    /// Moves the hands: time passed and nobody was there.
    pub fn skip(&self, by: StdDuration) {
        *self.skipped.lock().unwrap_or_else(PoisonError::into_inner) += by;
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        let gone = self.begin.elapsed() + *self.skipped.lock().unwrap_or_else(PoisonError::into_inner);
        let begin = Timestamp::constant(1_000_000_000, 0);
        begin
            .saturating_add(SignedDuration::try_from(gone).unwrap_or(SignedDuration::MAX))
            .unwrap_or(Timestamp::MAX)
    }

    fn sleep_until(&self, until: Timestamp) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let left = until.as_millisecond().saturating_sub(self.now().as_millisecond());
        let left = StdDuration::from_millis(u64::try_from(left).unwrap_or(0));
        Box::pin(tokio::time::sleep(left))
    }
}

/// A run on a stage.
pub struct Scene {
    /// Where it is kept.
    pub journal: Arc<dyn Journal>,
    /// Its name.
    pub run: RunId,
    /// What it does.
    pub plan: Plan,
    /// The plan's digest.
    pub digest: Digest,
    /// What was done.
    pub ledger: Arc<Ledger>,
    /// The time.
    pub clock: Arc<TestClock>,
    /// How the engine behaves.
    pub settings: Settings,
    /// Makes the process leave.
    pub detach: CancellationToken,
    /// What is done to the actions before they are used.
    pub wrap: fn(&ActionSet) -> ActionSet,
}

impl Scene {
    /// A run of `plan`, created and not begun.
    pub fn new(journal: Arc<dyn Journal>, plan: Plan) -> Self {
        Self::named("run-1", journal, plan)
    }

    /// A run of that name.
    pub fn named(name: &str, journal: Arc<dyn Journal>, plan: Plan) -> Self {
        let digest = plan.digest().unwrap_or_else(|_| Digest(String::new()));
        let scene = Self {
            journal,
            run: RunId(name.into()),
            plan,
            digest,
            ledger: Arc::default(),
            clock: TestClock::new(),
            settings: Settings {
                leave_for_people: false,
                lease: StdDuration::from_secs(30),
                poll: StdDuration::from_millis(100),
                backoff: StdDuration::from_millis(10),
            },
            detach: CancellationToken::new(),
            wrap: Clone::clone,
        };
        // A journal that refuses is what some scenarios look for: they create the run again themselves.
        let _created = scene.create();
        scene
    }

    /// Creates the run.
    ///
    /// # Errors
    /// The journal's.
    pub fn create(&self) -> std::result::Result<(), JournalError> {
        let new = NewRun {
            id: self.run.clone(),
            plan: windlass_core::plan::canonical(&self.plan).unwrap_or_default(),
            runbook: "test".into(),
            package: Some("part".into()),
            version: Some("1.0.0".into()),
            started: RunEvent::Started {
                plan: self.digest.clone(),
                by: "starter".into(),
                despite: Vec::new(),
            },
        };
        self.journal.create(&new, self.clock.now())
    }

    /// The actions of the stage.
    pub fn actions(&self) -> ActionSet {
        (self.wrap)(
            &ActionSet::new()
                .with(Append { ledger: self.ledger.clone() })
                .with(Look { ledger: self.ledger.clone() })
                .with(Sleep { ledger: self.ledger.clone() }),
        )
    }

    /// Opens the run for a process.
    ///
    /// # Errors
    /// The journal's.
    pub fn open(&self, owner: Owner) -> std::result::Result<Embedded, JournalError> {
        let world = World {
            workspace: std::env::temp_dir(),
            state: std::env::temp_dir(),
            environment: Arc::default(),
            release: None,
            secrets: Arc::default(),
            masker: Arc::new(Masker::default()),
            log: Arc::new(NoLog),
            clock: self.clock.clone(),
        };
        let session = Session {
            owner,
            observer: Arc::new(NoObserver),
            detach: self.detach.clone(),
            settings: self.settings.clone(),
        };
        Embedded::open(self.journal.clone(), self.run.clone(), self.actions(), world, session)
    }

    /// A process that lives as long as this test.
    pub fn living() -> Owner {
        Owner::current()
    }

    /// A process that is gone already: whoever comes next takes its run at once.
    pub fn gone() -> Owner {
        let mut owner = Owner::current();
        owner.started = owner.started.wrapping_add(1);
        owner
    }

    /// Drives the run as a process that is gone afterwards.
    pub async fn drive(&self) -> Ending {
        self.drive_towards(Direction::Forward).await
    }

    /// The same, in a direction.
    pub async fn drive_towards(&self, direction: Direction) -> Ending {
        match self.open(Self::gone()) {
            Ok(engine) => drive(&engine, &self.plan, &self.digest, "starter", direction).await,
            Err(error) => Ending::from(crate::embedded::trouble(error)),
        }
    }

    /// How the run stands.
    pub fn state(&self) -> RunState {
        RunState::fold(&self.journal.history(&self.run, 1).unwrap_or_default())
    }

    /// Approves as `ann`.
    pub fn approve(&self, path: &str) {
        self.decide(path, Choice::Approve, &self.digest.0);
    }

    /// Rejects as `ann`.
    pub fn reject(&self, path: &str) {
        self.decide(path, Choice::Reject, &self.digest.0);
    }

    /// Decides as `ann`, having seen the plan of that digest.
    pub fn decide(&self, path: &str, choice: Choice, plan: &str) {
        let decision = Decision {
            person: "ann".into(),
            choice,
            comment: None,
            plan: Digest(plan.into()),
            at: self.clock.now(),
        };
        let path = StepPath::new(path);
        let event = RunEvent::Decided { path: path.clone(), decision: decision.clone() };
        self.send(Some(&path), Some(&Signal::Decision(decision)), &event);
    }

    /// Sends a signal.
    pub fn send(&self, path: Option<&StepPath>, signal: Option<&Signal>, event: &RunEvent) {
        if let Err(error) = self.journal.post(&self.run, path, signal, event, self.clock.now()) {
            self.ledger.write("lost signal", &error.to_string());
        }
    }
}

/// Parameters of the stage's actions.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// The line's name in the ledger.
    name: String,
    /// Its text.
    #[serde(default)]
    text: String,
    /// How many attempts fail first.
    #[serde(default)]
    failures: u32,
    /// The probe does not know.
    #[serde(default)]
    blind: bool,
    /// Only a person can take it back.
    #[serde(default)]
    stays: bool,
    /// Whether what came after it must stay too.
    #[serde(default)]
    bars: Bars,
}

/// What a line answers when all before it are to be taken back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Bars {
    /// Nothing.
    #[default]
    Never,
    /// While it is in the ledger, what came after it must stay too.
    Written,
    /// It cannot tell.
    Unknown,
    /// It looks until it is stopped.
    Slow,
}

/// What the stage's actions give.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
pub struct Written {
    text: String,
}

/// Writes a line to the ledger, and does it again when asked again: only a probe keeps it from doubling.
struct Append {
    ledger: Arc<Ledger>,
}

impl Action for Append {
    const NAME: &'static str = "test.append";
    const SUMMARY: &'static str = "Writes a line to the ledger.";
    type Params = Line;
    type Output = Written;

    fn effects(&self, params: &Line, _: &Facts) -> Result<Vec<Effect>> {
        Ok(vec![Effect::new("append", params.name.clone(), Reversibility::Reversible)])
    }

    async fn probe(&self, params: &Line, _: &Context) -> Result<Probe<Written>> {
        if params.blind {
            return Ok(Probe::Unknown);
        }
        let done = self.ledger.counts().contains_key(&params.name);
        Ok(if done { Probe::Done(Written { text: format!("from {}", params.name) }) } else { Probe::Absent })
    }

    async fn run(&self, params: &Line, context: &Context) -> Result<Written> {
        if context.attempt <= params.failures {
            return Err(ActionError::Failed(format!("attempt {} fails", context.attempt)));
        }
        self.ledger.write(&params.name, &params.text);
        Ok(Written { text: format!("from {}", params.name) })
    }

    async fn bars(&self, params: &Line, _: Option<&Written>, context: &Context) -> Result<Option<String>> {
        match params.bars {
            Bars::Never => Ok(None),
            Bars::Written => {
                let bars = self.ledger.counts().contains_key(&params.name);
                Ok(bars.then(|| format!("{} destroyed what was before", params.name)))
            }
            Bars::Unknown => Err(ActionError::Failed("nobody answers".into())),
            Bars::Slow => {
                context.cancel.cancelled().await;
                Err(ActionError::Cancelled)
            }
        }
    }

    async fn undo(&self, params: &Line, _: &Written, _: &Context) -> Result<Undone> {
        if params.stays {
            return Ok(Undone::NeedsHuman("it is published".into()));
        }
        Ok(if self.ledger.erase(&params.name) {
            Undone::Reverted(format!("erased {}", params.name))
        } else {
            Undone::NothingToDo
        })
    }
}

/// Looks whether a line stands in the ledger.
struct Look {
    ledger: Arc<Ledger>,
}

impl Action for Look {
    const NAME: &'static str = "test.look";
    const SUMMARY: &'static str = "Looks whether a line stands in the ledger.";
    type Params = Line;
    type Output = Written;

    fn effects(&self, _: &Line, _: &Facts) -> Result<Vec<Effect>> {
        Ok(Vec::new())
    }

    async fn probe(&self, _: &Line, _: &Context) -> Result<Probe<Written>> {
        Ok(Probe::Unknown)
    }

    async fn run(&self, params: &Line, _: &Context) -> Result<Written> {
        if self.ledger.counts().contains_key(&params.name) {
            Ok(Written { text: params.name.clone() })
        } else {
            Err(ActionError::Failed(format!("{} is not there", params.name)))
        }
    }

    async fn undo(&self, _: &Line, _: &Written, _: &Context) -> Result<Undone> {
        Ok(Undone::NothingToDo)
    }
}

/// Never ends by itself.
struct Sleep {
    ledger: Arc<Ledger>,
}

impl Action for Sleep {
    const NAME: &'static str = "test.sleep";
    const SUMMARY: &'static str = "Goes on until it is stopped.";
    type Params = Line;
    type Output = Written;

    fn effects(&self, params: &Line, _: &Facts) -> Result<Vec<Effect>> {
        Ok(vec![Effect::new("sleep", params.name.clone(), Reversibility::Unknown)])
    }

    async fn probe(&self, _: &Line, _: &Context) -> Result<Probe<Written>> {
        Ok(Probe::Unknown)
    }

    async fn run(&self, params: &Line, context: &Context) -> Result<Written> {
        self.ledger.write(&format!("{} began", params.name), "");
        context.cancel.cancelled().await;
        self.ledger.write(&format!("{} was stopped", params.name), "");
        Err(ActionError::Cancelled)
    }

    async fn undo(&self, _: &Line, _: &Written, _: &Context) -> Result<Undone> {
        Ok(Undone::NothingToDo)
    }
}
