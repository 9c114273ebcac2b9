//! Walks a plan over a durable engine. Reads like a runbook: steps in order, each one's items in order, gates wait
//! for people, watches for time, failures take their route.
//!
//! Nothing here remembers anything: after a crash the plan is walked again from its start, and the engine tells what
//! happened before instead of doing it again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::{BoxFuture, FutureExt, join, join_all};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use windlass_core::duration::Duration;
use windlass_core::gate::{self, Choice, Decision, GateState, People};
use windlass_core::plan::{
    ActionCall, ActionNode, ApprovalNode, CallNode, ChecklistNode, ConfirmNode, Digest, Node, Outputs, Plan,
    PlannedStep, Routine, StepPath, WaitNode, evaluate_guard, render_deferred,
};
use windlass_core::run::{GateKind, Outcome, RunEvent, RunStatus};
use windlass_core::runbook::{OnFailure, Owner};
use windlass_core::text::sanitize_line;

use crate::context::Fence;
use crate::durable::{Completion, Durable, EffectRequest, Signal, Stop, Suspension, Trace, WaitFor};

mod pages;
mod traffic;
mod watch;

use pages::{Failure, NOTHING};

/// Which way a run goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Through its steps.
    Forward,
    /// Through its rollback section.
    Rollback,
}

/// How the walk ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Ending {
    /// How the run stands now.
    pub status: RunStatus,
    /// The item it stopped at.
    pub path: Option<StepPath>,
    /// Why, in words.
    pub why: Option<String>,
    /// What stopped it.
    pub stop: Option<Stop>,
}

/// Walks `plan` and says how the run stands afterwards. Does not write the ending: the engine that owns the run does.
/// `outputs` is what items outside this walk gave: a rollback reads what the steps left.
pub async fn walk<D: Durable>(
    engine: &D,
    plan: &Plan,
    digest: &Digest,
    starter: &str,
    direction: Direction,
    outputs: Outputs,
) -> Ending {
    let interpreter = Interpreter {
        engine,
        plan,
        digest,
        starter,
        outputs: Mutex::new(Arc::new(outputs)),
        failures: Mutex::default(),
        changed: Mutex::default(),
    };
    let steps = match direction {
        Direction::Forward => &plan.steps,
        Direction::Rollback => &plan.rollback,
    };
    let result = match interpreter.begin().await {
        Ok(()) => interpreter.steps(steps, None, &Scope::default()).await,
        Err(stop) => Err(stop),
    };
    match result {
        Ok(()) if direction == Direction::Forward => ending(RunStatus::Succeeded, None, None, None),
        Ok(()) => ending(RunStatus::RolledBack, None, None, None),
        Err(stop) => Ending::from(stop),
    }
}

fn ending(status: RunStatus, path: Option<StepPath>, why: Option<String>, stop: Option<Stop>) -> Ending {
    Ending { status, path, why, stop }
}

impl From<Stop> for Ending {
    fn from(stop: Stop) -> Self {
        let (status, path, why) = match stop.clone() {
            Stop::Failed { path, why } => (RunStatus::Failed, Some(path), Some(why)),
            Stop::Refused { path, why, .. } => (RunStatus::Refused, Some(path), Some(why)),
            Stop::RolledBack { path, why } => (RunStatus::RolledBack, Some(path), Some(why)),
            Stop::Cancelled => (RunStatus::Cancelled, None, None),
            Stop::Suspend(Suspension::People(path)) => (RunStatus::Waiting, Some(path), None),
            Stop::Suspend(Suspension::Locked { lock, holder }) => (
                RunStatus::Suspended,
                None,
                Some(format!("{lock} is locked by {holder}, which no process works on")),
            ),
            Stop::Suspend(Suspension::Detached) => (RunStatus::Suspended, None, Some("detached".into())),
            Stop::Suspend(Suspension::Superseded) => {
                (RunStatus::Suspended, None, Some("another process took it over".into()))
            }
            Stop::Suspend(Suspension::Trouble(why)) => (RunStatus::Suspended, None, Some(why)),
        };
        ending(status, path, why, Some(stop))
    }
}

struct Interpreter<'a, D> {
    engine: &'a D,
    plan: &'a Plan,
    digest: &'a Digest,
    starter: &'a str,
    /// Shared, because every item reads it and few add to it.
    outputs: Mutex<Arc<Outputs>>,
    /// Of these people are told once it is known what is done about them.
    failures: Mutex<Vec<Failure>>,
    /// When the run began to change each environment.
    changed: Mutex<BTreeMap<String, Timestamp>>,
}

/// What holds around an item.
#[derive(Debug, Clone, Default)]
struct Scope {
    deadline: Option<Timestamp>,
    fence: Option<Fence>,
    environment: BTreeMap<String, String>,
    /// A step is around it, which says what is done when it fails.
    is_within: bool,
}

impl<D: Durable> Interpreter<'_, D> {
    fn steps<'b>(
        &'b self,
        steps: &'b [PlannedStep],
        under: Option<&'b StepPath>,
        scope: &'b Scope,
    ) -> BoxFuture<'b, Result<(), Stop>> {
        async move {
            for group in
                steps.chunk_by(|left, right| left.parallel.is_some() && left.parallel == right.parallel)
            {
                // All of a group are let finish: stopping a neighbour half-way would only make two problems of one.
                let results = join_all(group.iter().map(|step| self.step(step, under, scope))).await;
                worst(results)?;
            }
            Ok(())
        }
        .boxed()
    }

    async fn step(&self, step: &PlannedStep, under: Option<&StepPath>, scope: &Scope) -> Result<(), Stop> {
        let path = place(under, &step.path);
        let skipped = match (&step.skipped, &step.when) {
            (Some(why), _) => Some(why.clone()),
            (None, Some(when)) => {
                let holds = evaluate_guard(when, &self.plan.environment, &self.outputs())
                    .map_err(|why| Stop::Failed { path: path.clone(), why })?;
                (!holds).then(|| format!("{when} does not hold"))
            }
            (None, None) => None,
        };
        if let Some(why) = skipped {
            return self.engine.record(RunEvent::StepFinished { path, outcome: Outcome::Skipped(why) }).await;
        }
        self.engine.record(RunEvent::StepStarted { path: path.clone(), title: step.title.clone() }).await?;
        let mut inner = Scope { is_within: true, ..scope.clone() };
        inner.deadline = self.deadline(&path, step.within, scope.deadline).await?;
        inner
            .environment
            .extend(step.matrix.iter().map(|(name, value)| (matrix_variable(name), value.clone())));
        let guard = match &step.lock {
            Some(lock) => Some(self.engine.lock(&path, lock).await?),
            None => None,
        };
        if let Some(guard) = &guard {
            inner.fence = Some(guard.fence.clone());
        }
        let result = self.nodes(&step.nodes, under, &path, &inner).await;
        let result = match result {
            Ok(()) => {
                self.engine
                    .record(RunEvent::StepFinished { path: path.clone(), outcome: Outcome::Done })
                    .await
            }
            Err(stop) => self.route(step, &path, scope, stop).await,
        };
        match (result, guard) {
            (Err(stop @ Stop::Suspend(_)), _) => Err(stop),
            (result, Some(guard)) => self.engine.unlock(guard, result.is_ok()).await.and(result),
            (result, None) => result,
        }
    }

    /// What follows a step that stopped.
    async fn route(
        &self,
        step: &PlannedStep,
        path: &StepPath,
        scope: &Scope,
        stop: Stop,
    ) -> Result<(), Stop> {
        let (at, why, named) = match &stop {
            Stop::Failed { path, why } => (path.clone(), why.clone(), None),
            Stop::Refused { path, why, route } => (path.clone(), why.clone(), route.clone()),
            Stop::RolledBack { .. } if !scope.is_within => {
                self.page_failures(&self.failures_within(path), scope, NOTHING).await?;
                return Err(stop);
            }
            Stop::RolledBack { .. } | Stop::Cancelled | Stop::Suspend(_) => return Err(stop),
        };
        let refused = matches!(stop, Stop::Refused { .. });
        self.engine
            .record(RunEvent::StepFinished { path: path.clone(), outcome: Outcome::Failed(why.clone()) })
            .await?;
        // Somebody said no to a refused one, so people know.
        if !refused {
            self.failed(step, &at, &why);
        }
        if step.on_failure == OnFailure::Continue && !refused {
            let failures = self.failures_within(path);
            return self.page_failures(&failures, scope, "the run goes on without it").await;
        }
        let target = match (named, &step.on_failure) {
            (Some(named), _) if self.plan.routines.contains_key(&named) => Some(named),
            (_, OnFailure::Call(name)) => Some(name.clone()),
            _ => None,
        };
        let Some(target) = target else {
            // The step around it may know an answer.
            if !scope.is_within {
                self.page_failures(&self.failures_within(path), scope, NOTHING).await?;
            }
            return Err(stop);
        };
        let Some(routine) = self.plan.routines.get(&target) else {
            return Err(Stop::Failed {
                path: path.clone(),
                why: format!("the plan has no runbook `{target}`"),
            });
        };
        self.engine.record(RunEvent::Routed { path: path.clone(), to: target.clone() }).await?;
        // The answer waits for nobody: a page tries its ways in turn, and each may be slow to fail.
        let failures = self.failures_within(path);
        let then = format!("`{target}` is run in answer to it");
        let under = path.child("on-failure").child(&target);
        let (paged, answered) =
            join(self.page_failures(&failures, scope, &then), self.routine(routine, &under, scope)).await;
        worst(vec![paged, answered])?;
        self.page_answered(&failures, scope, &target).await?;
        // The refusal stays what stopped the run; a failure that was answered by a runbook is a rollback.
        if refused { Err(stop) } else { Err(Stop::RolledBack { path: at, why }) }
    }

    async fn routine(&self, routine: &Routine, under: &StepPath, scope: &Scope) -> Result<(), Stop> {
        let scope = Scope { deadline: None, ..scope.clone() };
        self.steps(&routine.steps, Some(under), &scope).await
    }

    fn nodes<'b>(
        &'b self,
        nodes: &'b [Node],
        under: Option<&'b StepPath>,
        step: &'b StepPath,
        scope: &'b Scope,
    ) -> BoxFuture<'b, Result<(), Stop>> {
        async move {
            for node in nodes {
                let path = place(under, node.path());
                match node {
                    Node::Action(node) => self.action(node, &path, step, scope).await?,
                    Node::Confirm(node) => self.confirm(node, &path, scope).await?,
                    Node::Approval(node) => self.approval(node, &path, scope).await?,
                    Node::Wait(node) => self.pause(node, &path).await?,
                    Node::Watch(node) => self.watch(node, &path, scope).await?,
                    Node::Call(node) => self.call(node, &path, scope).await?,
                    Node::Checklist(node) => self.checklist(node, &path, under, step, scope).await?,
                }
            }
            Ok(())
        }
        .boxed()
    }

    async fn action(
        &self,
        node: &ActionNode,
        path: &StepPath,
        step: &StepPath,
        scope: &Scope,
    ) -> Result<(), Stop> {
        let call = self.rendered(&node.call, path)?;
        self.changes(node, &call, path, scope).await?;
        let outputs = self.outputs();
        let completion = self
            .engine
            .effect(EffectRequest {
                key: path,
                call: &call,
                policy: &node.policy,
                effects: &node.effects,
                deadline: scope.deadline,
                fence: scope.fence.as_ref(),
                outputs: outputs.environment(),
                matrix: &scope.environment,
                trace: Trace::Item,
            })
            .await?;
        // Given back before it is added to: else the addition would copy all of it.
        drop(outputs);
        if let Completion::Output(output) = completion {
            let mut outputs = self.outputs.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::make_mut(&mut outputs).add(step, path, &output);
        }
        Ok(())
    }

    async fn checklist(
        &self,
        node: &ChecklistNode,
        path: &StepPath,
        under: Option<&StepPath>,
        step: &StepPath,
        scope: &Scope,
    ) -> Result<(), Stop> {
        let deadline = self.deadline(path, node.within, scope.deadline).await?;
        self.nodes(&node.nodes, under, step, &Scope { deadline, ..scope.clone() }).await
    }

    async fn call(&self, node: &CallNode, path: &StepPath, scope: &Scope) -> Result<(), Stop> {
        match self.plan.routines.get(&node.runbook) {
            Some(routine) => self.routine(routine, &path.child(&node.runbook), scope).await,
            None => Err(Stop::Failed {
                path: path.clone(),
                why: format!("the plan has no runbook `{}`", node.runbook),
            }),
        }
    }

    async fn pause(&self, node: &WaitNode, path: &StepPath) -> Result<(), Stop> {
        let until = later(self.engine.now(path).await?, node.duration);
        self.engine.record(RunEvent::WaitStarted { path: path.clone(), until }).await?;
        while let Some(signal) = self.engine.wait(path, Some(until), WaitFor::Time).await? {
            if matches!(signal, Signal::Waive { .. }) {
                return Ok(());
            }
        }
        self.engine.record(RunEvent::StepFinished { path: path.clone(), outcome: Outcome::Done }).await
    }

    async fn confirm(&self, node: &ConfirmNode, path: &StepPath, scope: &Scope) -> Result<(), Stop> {
        let deadline = self.deadline(path, node.within, scope.deadline).await?;
        let names = node.owner.as_ref().map(|owner| owner.names.clone()).unwrap_or_default();
        let text = self.question(&node.text, node.deferred, path)?;
        self.open(path, GateKind::Confirm, &text, &names, deadline).await?;
        let mut confirmed: Vec<String> = Vec::new();
        loop {
            match self.engine.wait(path, deadline, WaitFor::People).await? {
                Some(Signal::Decision(decision)) if self.may_confirm(&decision, node.owner.as_ref()) => {
                    if decision.choice == Choice::Reject {
                        let why = said(&decision, "said no");
                        self.close(path, false, why.clone()).await?;
                        return Err(Stop::Failed { path: path.clone(), why });
                    }
                    confirmed.push(decision.person.clone());
                    if self.is_confirmed(node.owner.as_ref(), &confirmed) {
                        let why = said(&decision, "confirmed");
                        return self.close(path, true, why).await;
                    }
                }
                Some(Signal::Waive { .. }) => return Ok(()),
                Some(Signal::Decision(_) | Signal::Retry { .. }) => {}
                None => {
                    let why = format!("nobody confirmed in time that {}", quoted(&text));
                    self.close(path, false, why.clone()).await?;
                    return Err(Stop::Failed { path: path.clone(), why });
                }
            }
        }
    }

    async fn approval(&self, node: &ApprovalNode, path: &StepPath, scope: &Scope) -> Result<(), Stop> {
        let deadline = self.deadline(path, node.rule.within, scope.deadline).await?;
        let roles: Vec<String> = node.rule.need.iter().map(|need| need.role.clone()).collect();
        let label = self.question(&node.label, node.deferred, path)?;
        self.open(path, GateKind::Approval, &label, &roles, deadline).await?;
        let mut decisions: Vec<Decision> = Vec::new();
        let refused = |why: String| Stop::Refused { path: path.clone(), why, route: node.refused.clone() };
        loop {
            match self.engine.wait(path, deadline, WaitFor::People).await? {
                Some(Signal::Decision(decision)) => {
                    decisions.push(decision);
                    match gate::evaluate(&node.rule, &decisions, self.people(), self.digest) {
                        GateState::Open(_) => {}
                        GateState::Granted(people) => {
                            return self
                                .close(path, true, format!("approved by {}", people.join(", ")))
                                .await;
                        }
                        GateState::Refused(decision) => {
                            let why = said(&decision, "refused");
                            self.close(path, false, why.clone()).await?;
                            return Err(refused(why));
                        }
                    }
                }
                Some(Signal::Waive { .. }) => return Ok(()),
                Some(Signal::Retry { .. }) => {}
                None => {
                    let why = "nobody decided in time, and silence is a refusal".to_owned();
                    self.close(path, false, why.clone()).await?;
                    return Err(refused(why));
                }
            }
        }
    }

    async fn open(
        &self,
        path: &StepPath,
        gate: GateKind,
        question: &str,
        who: &[String],
        deadline: Option<Timestamp>,
    ) -> Result<(), Stop> {
        self.engine
            .record(RunEvent::GateOpened {
                path: path.clone(),
                gate,
                question: question.to_owned(),
                who: who.to_vec(),
                deadline,
            })
            .await
    }

    async fn close(&self, path: &StepPath, granted: bool, why: String) -> Result<(), Stop> {
        self.engine.record(RunEvent::GateClosed { path: path.clone(), granted, why }).await
    }

    fn may_confirm(&self, decision: &Decision, owner: Option<&Owner>) -> bool {
        decision.plan == *self.digest
            && owner.is_none_or(|owner| gate::may_act(&decision.person, &owner.names, self.people()))
    }

    /// One owner is enough, unless the runbook joins them.
    fn is_confirmed(&self, owner: Option<&Owner>, confirmed: &[String]) -> bool {
        match owner {
            Some(owner) if owner.all => owner.names.iter().all(|name| {
                let name = std::slice::from_ref(name);
                confirmed.iter().any(|person| gate::may_act(person, name, self.people()))
            }),
            _ => !confirmed.is_empty(),
        }
    }

    fn people(&self) -> People<'_> {
        People { roles: &self.plan.roles, authors: &self.plan.authors, starter: self.starter }
    }

    fn outputs(&self) -> Arc<Outputs> {
        self.outputs.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn rendered(&self, call: &ActionCall, path: &StepPath) -> Result<ActionCall, Stop> {
        if !call.deferred {
            return Ok(call.clone());
        }
        let params = render_deferred(&call.params, &self.outputs())
            .map_err(|why| Stop::Failed { path: path.clone(), why })?;
        Ok(ActionCall { params, deferred: false, ..call.clone() })
    }

    /// What people are asked, with what earlier steps found out where that is wanted.
    fn question(&self, text: &str, deferred: bool, path: &StepPath) -> Result<String, Stop> {
        if !deferred {
            return Ok(text.to_owned());
        }
        let text = Value::String(text.to_owned());
        let rendered = render_deferred(&text, &self.outputs())
            .map_err(|why| Stop::Failed { path: path.clone(), why })?;
        Ok(rendered.as_str().map_or_else(|| rendered.to_string(), sanitize_line))
    }

    /// The end of a time box that begins now, or of the one around it when that is nearer.
    async fn deadline(
        &self,
        path: &StepPath,
        within: Option<Duration>,
        around: Option<Timestamp>,
    ) -> Result<Option<Timestamp>, Stop> {
        let Some(within) = within else { return Ok(around) };
        let own = later(self.engine.now(path).await?, within);
        Ok(Some(around.map_or(own, |around| around.min(own))))
    }
}

/// What stops a group of steps: the engine's own trouble before a cancellation, that before a failure.
fn worst(results: Vec<Result<(), Stop>>) -> Result<(), Stop> {
    let rank = |stop: &Stop| match stop {
        Stop::Suspend(Suspension::Superseded | Suspension::Trouble(_)) => 0,
        Stop::Cancelled => 1,
        Stop::Suspend(_) => 2,
        Stop::RolledBack { .. } => 3,
        Stop::Refused { .. } => 4,
        Stop::Failed { .. } => 5,
    };
    match results.into_iter().filter_map(Result::err).min_by_key(rank) {
        Some(stop) => Err(stop),
        None => Ok(()),
    }
}

fn place(under: Option<&StepPath>, path: &StepPath) -> StepPath {
    under.map_or_else(|| path.clone(), |under| under.child(path))
}

fn later(instant: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::from_millis(i64::try_from(by.as_millis()).unwrap_or(i64::MAX));
    instant.saturating_add(by).unwrap_or(Timestamp::MAX)
}

fn matrix_variable(name: &str) -> String {
    let name = name
        .chars()
        .map(|letter| if letter.is_ascii_alphanumeric() { letter.to_ascii_uppercase() } else { '_' });
    format!("WINDLASS_MATRIX_{}", name.collect::<String>())
}

fn said(decision: &Decision, verb: &str) -> String {
    match &decision.comment {
        Some(comment) => format!("{} {verb}: {comment}", decision.person),
        None => format!("{} {verb}", decision.person),
    }
}

fn quoted(text: &str) -> String {
    format!("\u{201c}{text}\u{201d}")
}
