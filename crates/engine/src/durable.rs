//! The trait of engines: all that the interpreter asks of durable execution.
//!
//! Everything is keyed by step path, so that a plan is walked again from its start after a crash and what happened
//! before is told, not done again. Differences from the first design: [`Durable::now`] takes a key, because an
//! instant that differs in a replay would move deadlines; [`Durable::wait`] says whether people or time end it,
//! because a process need not stay for people; a lock is given back explicitly, because releasing is a journaled act.

use std::collections::BTreeMap;
use std::future::Future;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use windlass_core::gate::Decision;
use windlass_core::plan::{ActionCall, Effect, Policy, StepPath};
use windlass_core::run::{RunEvent, RunId};

use crate::context::Fence;

/// A call of an action as the interpreter asks for it.
#[derive(Debug, Clone, Copy)]
pub struct EffectRequest<'a> {
    /// The item.
    pub key: &'a StepPath,
    /// What to call, its templates rendered.
    pub call: &'a ActionCall,
    /// Retries, timeout, doubt.
    pub policy: &'a Policy,
    /// What it is planned to change; nothing means that running it again is always safe.
    pub effects: &'a [Effect],
    /// The end of the step's or list's time box.
    pub deadline: Option<Timestamp>,
    /// The lock the step holds.
    pub fence: Option<&'a Fence>,
    /// Outputs of earlier steps as environment.
    pub outputs: &'a BTreeMap<String, String>,
    /// The step's matrix values as environment.
    pub matrix: &'a BTreeMap<String, String>,
    /// What is written of it.
    pub trace: Trace,
}

/// What of an effect is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trace {
    /// An item of the plan: its intent before it happens, its outcome after, and an event of each.
    Item,
    /// Something that people are told: its intent and its outcome. The event is the caller's, in words of its own. What it
    /// is about is known again after a crash, because the intent takes along all that waits to be written.
    Message,
    /// A look, such as a watch's sample: its outcome alone. Nothing is lost when a crash forgets that it was about to.
    Look,
}

impl Trace {
    /// Whether the intent is written before it happens.
    pub fn has_intent(self) -> bool {
        self != Self::Look
    }

    /// Whether events tell of it.
    pub fn has_events(self) -> bool {
        self == Self::Item
    }
}

/// How an effect came out when the run can go on.
#[derive(Debug, Clone, PartialEq)]
pub enum Completion {
    /// Done, with its output.
    Output(Value),
    /// A person let it pass, and why.
    Waived(String),
    /// It failed, which the plan allows.
    FailedOptional(String),
}

/// Something a person sent to an item.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Signal {
    /// An approval, a confirmation, a rejection.
    Decision(Decision),
    /// Let it pass.
    Waive {
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// Run it again.
    Retry {
        /// Who.
        by: String,
    },
}

/// Whose move a wait waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitFor {
    /// People: the process may leave and come back.
    People,
    /// Time: the process stays.
    Time,
}

/// A lock that is held, or that was held by a step that is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guard {
    /// The step that asked for it.
    pub key: StepPath,
    /// The lock's name and fencing token.
    pub fence: Fence,
    /// The step was done with it before: a replay only tells so, and holds nothing.
    pub returned: bool,
}

/// Why the walk of a plan stopped.
#[derive(Debug, Clone, PartialEq)]
pub enum Stop {
    /// An item failed.
    Failed {
        /// Which.
        path: StepPath,
        /// Why.
        why: String,
    },
    /// People said no, or nobody said yes in time.
    Refused {
        /// Which gate.
        path: StepPath,
        /// Who or what refused.
        why: String,
        /// What a refusal leads to.
        route: Option<String>,
    },
    /// A failure led to a runbook, which ran to its end.
    RolledBack {
        /// What failed.
        path: StepPath,
        /// Why.
        why: String,
    },
    /// The run was cancelled.
    Cancelled,
    /// The process leaves; the run can be resumed as it is. Never a failed release.
    Suspend(Suspension),
}

/// Why a process leaves a run that is not at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Suspension {
    /// People are waited for.
    People(StepPath),
    /// Another run holds a lock.
    Locked {
        /// The lock.
        lock: String,
        /// Who holds it.
        holder: RunId,
    },
    /// The person at the terminal left.
    Detached,
    /// Another process took the run over.
    Superseded,
    /// The engine's own trouble, in words: a full disk, a journal that cannot be read.
    Trouble(String),
}

/// A durable engine for one run.
pub trait Durable: Send + Sync {
    /// The run.
    fn run_id(&self) -> &RunId;

    /// Calls an action once and for all: its result is journaled, and told when asked again.
    fn effect(&self, request: EffectRequest<'_>) -> impl Future<Output = Result<Completion, Stop>> + Send;

    /// The next signal sent to `key`, or nothing once `until` has come. Signals that arrived before count.
    fn wait(
        &self,
        key: &StepPath,
        until: Option<Timestamp>,
        whose: WaitFor,
    ) -> impl Future<Output = Result<Option<Signal>, Stop>> + Send;

    /// Adds an event to the run's history; one with an identity is added once.
    fn record(&self, event: RunEvent) -> impl Future<Output = Result<(), Stop>> + Send;

    /// The instant at which `key` was first asked for.
    fn now(&self, key: &StepPath) -> impl Future<Output = Result<Timestamp, Stop>> + Send;

    /// Takes a lock for the step `key`, waiting while a living run holds it.
    fn lock(&self, key: &StepPath, name: &str) -> impl Future<Output = Result<Guard, Stop>> + Send;

    /// Gives a lock back; for good when the step is `done`, so that no replay asks for it again.
    fn unlock(&self, guard: Guard, done: bool) -> impl Future<Output = Result<(), Stop>> + Send;
}
