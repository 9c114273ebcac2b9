//! The state of a run, folded from its events.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::event::{Outcome, Recorded, RunEvent};
use crate::plan::{Digest, Plan, StepPath};
use crate::verdict::{Judgement, Sample};

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RunStatus {
    /// A process works on it, or died while it did.
    Running,
    /// It waits for people; no process needs to be there.
    Waiting,
    /// It stopped half-way and can be resumed as it is.
    Suspended,
    /// A step failed. It can be retried, skipped, rolled back or cancelled.
    Failed,
    /// People said no.
    Refused,
    /// People stopped it.
    Cancelled,
    /// It was rolled back.
    RolledBack,
    /// All done.
    Succeeded,
}

impl RunStatus {
    /// Nothing can be added to it.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Refused | Self::Cancelled | Self::RolledBack | Self::Succeeded)
    }
}

/// What a gate asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum GateKind {
    /// Approvals under a rule.
    Approval,
    /// A confirmation that something is true; that a run may go on after a watch that could not tell, for one.
    Confirm,
    /// A crash hid whether an effect happened: confirm it did, or retry it.
    Doubt,
}

/// How a step or item stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StepStatus {
    /// Begun.
    Running,
    /// Waits for people.
    Waiting,
    /// Ended.
    Ended(Outcome),
}

/// A step or item and how it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StepState {
    /// How it stands.
    pub status: StepStatus,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Option<Timestamp>,
    /// How often it was begun.
    pub attempts: u32,
}

/// An open gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Gate {
    /// The item.
    pub path: StepPath,
    /// What is asked for.
    pub kind: GateKind,
    /// The question.
    pub question: String,
    /// Who may answer; anyone when empty.
    pub who: Vec<String>,
    /// Answered by then, or refused.
    pub deadline: Option<Timestamp>,
    /// When it opened.
    pub opened: Timestamp,
}

/// People were paged, or it was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Page {
    /// The page's item.
    pub path: StepPath,
    /// When.
    pub at: Timestamp,
    /// What they were told.
    pub message: String,
    /// The way that took the message; nothing when none did.
    pub by: Option<String>,
    /// Why those that were tried did not take it.
    pub why: Option<String>,
}

/// The state of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunState {
    /// How it stands.
    pub status: RunStatus,
    /// Why, when there is more to say.
    pub why: Option<String>,
    /// The item it stopped at.
    pub stopped_at: Option<StepPath>,
    /// The plan it executes.
    pub plan: Option<Digest>,
    /// Who started it.
    pub by: String,
    /// When.
    pub started: Option<Timestamp>,
    /// When it stopped.
    pub finished: Option<Timestamp>,
    /// Steps and items begun, by path.
    pub steps: BTreeMap<StepPath, StepState>,
    /// Gates that wait.
    pub gates: Vec<Gate>,
    /// What was let pass: path, who and why.
    pub waivers: Vec<(StepPath, String, String)>,
    /// Samples of watches, by path.
    pub samples: BTreeMap<StepPath, Vec<Sample>>,
    /// Verdicts of watches, by path.
    pub verdicts: BTreeMap<StepPath, Judgement>,
    /// What people were paged for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pages: Vec<Page>,
    /// What was taken back: path, result, whether a person must finish it.
    pub undone: Vec<(StepPath, String, bool)>,
    /// The locks it holds.
    pub locks: Vec<String>,
    /// Somebody asked for it to be cancelled.
    pub cancel_requested: bool,
}

impl Default for RunState {
    fn default() -> Self {
        Self {
            status: RunStatus::Running,
            why: None,
            stopped_at: None,
            plan: None,
            by: String::new(),
            started: None,
            finished: None,
            steps: BTreeMap::new(),
            gates: Vec::new(),
            waivers: Vec::new(),
            samples: BTreeMap::new(),
            verdicts: BTreeMap::new(),
            pages: Vec::new(),
            undone: Vec::new(),
            locks: Vec::new(),
            cancel_requested: false,
        }
    }
}

impl RunState {
    /// The state after `history`.
    pub fn fold<'a>(history: impl IntoIterator<Item = &'a Recorded>) -> Self {
        let mut state = Self::default();
        for recorded in history {
            state.apply(recorded);
        }
        state
    }

    /// Takes one more event into account.
    pub fn apply(&mut self, recorded: &Recorded) {
        let at = recorded.at;
        match &recorded.event {
            RunEvent::Started { plan, by, .. } => {
                self.plan = Some(plan.clone());
                self.by.clone_from(by);
                self.started = Some(at);
            }
            RunEvent::Taken { .. } => {
                self.status = RunStatus::Running;
                self.why = None;
                self.finished = None;
            }
            RunEvent::StepStarted { path, .. } => self.begin(path, at),
            RunEvent::ActionStarted { path, .. } => self.begin(path, at),
            RunEvent::StepFinished { path, outcome } | RunEvent::ActionFinished { path, outcome, .. } => {
                self.end(path, outcome.clone(), at);
            }
            RunEvent::GateOpened { path, gate, question, who, deadline } => {
                self.begin(path, at);
                if let Some(step) = self.steps.get_mut(path) {
                    step.status = StepStatus::Waiting;
                }
                self.gates.retain(|known| known.path != *path);
                self.gates.push(Gate {
                    path: path.clone(),
                    kind: *gate,
                    question: question.clone(),
                    who: who.clone(),
                    deadline: *deadline,
                    opened: at,
                });
            }
            RunEvent::GateClosed { path, granted, why } => {
                self.gates.retain(|known| known.path != *path);
                self.end(path, if *granted { Outcome::Done } else { Outcome::Failed(why.clone()) }, at);
            }
            RunEvent::WaitStarted { path, .. } => self.begin(path, at),
            RunEvent::Sampled { path, samples, .. } => {
                if !self.steps.contains_key(path) {
                    self.begin(path, at);
                }
                self.samples.entry(path.clone()).or_default().extend(samples.iter().cloned());
            }
            RunEvent::Paged { path, message, by, why, .. } => self.pages.push(Page {
                path: path.clone(),
                at,
                message: message.clone(),
                by: by.clone(),
                why: why.clone(),
            }),
            RunEvent::Judged { path, judgement } => {
                self.verdicts.insert(path.clone(), judgement.clone());
            }
            RunEvent::Waived { path, by, reason } => {
                self.gates.retain(|known| !known.path.is_within(path));
                self.waivers.push((path.clone(), by.clone(), reason.clone()));
                let waived: Vec<StepPath> =
                    self.steps.keys().filter(|step| step.is_within(path)).cloned().collect();
                for step in waived {
                    if !matches!(
                        self.steps.get(&step).map(|state| &state.status),
                        Some(StepStatus::Ended(Outcome::Done))
                    ) {
                        self.end(&step, Outcome::Waived(reason.clone()), at);
                    }
                }
            }
            RunEvent::Retried { path, .. } => {
                // The history keeps what was; what is made again has its own.
                self.gates.retain(|known| !known.path.is_within(path));
                self.samples.retain(|known, _| !known.is_within(path));
                self.verdicts.retain(|known, _| !known.is_within(path));
                self.pages.retain(|page| !page.path.is_within(path));
                self.steps.retain(|known, _| known == path || !known.is_within(path));
                for (step, state) in &mut self.steps {
                    if path.is_within(step) {
                        state.status = StepStatus::Running;
                        state.finished = None;
                    }
                }
            }
            RunEvent::Locked { lock, .. } => {
                if !self.locks.contains(lock) {
                    self.locks.push(lock.clone());
                }
            }
            RunEvent::Unlocked { lock, .. } => self.locks.retain(|known| known != lock),
            RunEvent::Undone { path, result, needs_human } => {
                self.undone.push((path.clone(), result.clone(), *needs_human));
            }
            RunEvent::CancelRequested { .. } => self.cancel_requested = true,
            RunEvent::Finished { status, path, why } => {
                self.status = *status;
                self.stopped_at.clone_from(path);
                self.why.clone_from(why);
                self.finished = Some(at);
                if status.is_final() {
                    self.gates.clear();
                }
            }
            RunEvent::LockAwaited { .. }
            | RunEvent::Decided { .. }
            | RunEvent::Routed { .. }
            | RunEvent::RollbackRequested { .. } => {}
        }
    }

    /// The last step of `plan` that began, for a one-line status.
    pub fn current<'a>(&self, plan: &'a Plan) -> Option<&'a str> {
        plan.steps
            .iter()
            .rev()
            .find(|step| self.steps.contains_key(&step.path))
            .map(|step| step.title.as_str())
    }

    fn begin(&mut self, path: &StepPath, at: Timestamp) {
        let step = self.steps.entry(path.clone()).or_insert(StepState {
            status: StepStatus::Running,
            started: at,
            finished: None,
            attempts: 0,
        });
        step.status = StepStatus::Running;
        step.finished = None;
        step.attempts += 1;
    }

    fn end(&mut self, path: &StepPath, outcome: Outcome, at: Timestamp) {
        let step = self.steps.entry(path.clone()).or_insert(StepState {
            status: StepStatus::Running,
            started: at,
            finished: None,
            attempts: 0,
        });
        step.status = StepStatus::Ended(outcome);
        step.finished = Some(at);
    }
}
