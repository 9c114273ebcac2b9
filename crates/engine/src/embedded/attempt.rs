//! One effect: its attempts, its time box, and what becomes of it when a crash hid its outcome.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use windlass_core::gate::Choice;
use windlass_core::plan::Policy;
use windlass_core::run::{GateKind, Outcome, RunEvent};
use windlass_core::runbook::InDoubt;

use super::Embedded;
use crate::action::{ActionError, ErasedAction, Probe};
use crate::durable::{Durable, EffectRequest, Signal, Stop, Suspension, WaitFor};
use crate::journal::{Batch, EntryState};

impl Embedded {
    /// Settles an effect whose outcome a crash swallowed; gives the state to go on from.
    pub(super) async fn settle(
        &self,
        action: &Arc<dyn ErasedAction>,
        request: &EffectRequest<'_>,
        attempt: u32,
    ) -> Result<EntryState, Stop> {
        let in_doubt = if request.effects.is_empty() { InDoubt::Rerun } else { request.policy.in_doubt };
        let probed = match in_doubt {
            InDoubt::Rerun => return Ok(EntryState::Reopened),
            InDoubt::Ask => Probe::Unknown,
            InDoubt::Probe => {
                let cancel = self.shared.cancel.child_token();
                let context = self.context(request, attempt, cancel.clone());
                let limit = time_limit(request.policy, None, self.world.clock.now());
                match self.within(limit, &cancel, action.probe(&request.call.params, &context)).await {
                    Ok(probed) => probed,
                    Err(ActionError::Cancelled) => return Err(Stop::Cancelled),
                    Err(error) => {
                        // Not knowing is no verdict on the release: leave, and ask the world again later.
                        return Err(Stop::Suspend(Suspension::Trouble(format!(
                            "{} was interrupted, and whether it happened cannot be found out now: {error}",
                            request.key
                        ))));
                    }
                }
            }
        };
        let state = match probed {
            Probe::Absent => return Ok(EntryState::Reopened),
            Probe::Done(output) => EntryState::Done(output),
            Probe::Conflict(why) => EntryState::Failed(why),
            Probe::Unknown => return self.ask(request, attempt).await,
        };
        self.conclude(request, attempt, state.clone(), true)?;
        Ok(state)
    }

    /// Asks a person what became of an effect.
    async fn ask(&self, request: &EffectRequest<'_>, attempt: u32) -> Result<EntryState, Stop> {
        let question = format!(
            "{} was interrupted and it is not known whether it took effect: confirm that it did, or retry it",
            request.key
        );
        self.record(RunEvent::GateOpened {
            path: request.key.clone(),
            gate: GateKind::Doubt,
            question,
            who: Vec::new(),
            deadline: None,
        })
        .await?;
        loop {
            let Some(signal) = self.wait(request.key, None, WaitFor::People).await? else { continue };
            let (state, why) = match signal {
                Signal::Decision(decision) if decision.choice == Choice::Approve => (
                    EntryState::Done(Value::Null),
                    format!("{} confirmed that it took effect", decision.person),
                ),
                Signal::Decision(decision) => {
                    let why = format!("{} said that it did not take effect as it should", decision.person);
                    (EntryState::Failed(why.clone()), why)
                }
                Signal::Retry { by } => (EntryState::Reopened, format!("{by} asked for it to be run again")),
                Signal::Waive { by, reason } => (EntryState::Reopened, format!("{by} waived it: {reason}")),
            };
            self.record(RunEvent::GateClosed {
                path: request.key.clone(),
                granted: !matches!(state, EntryState::Failed(_)),
                why,
            })
            .await?;
            match &state {
                EntryState::Reopened => {
                    // The answer is spent: should this attempt be interrupted too, it is asked for anew.
                    let since = Value::from(self.shared.memory().cursor(request.key));
                    let entries = vec![
                        self.entry(request.key, EntryState::Reopened, attempt),
                        self.entry(&request.key.child("since"), EntryState::Done(since), 1),
                    ];
                    self.commit(Batch { entries, ..Batch::default() }).map(drop)?;
                }
                _ => self.conclude(request, attempt, state.clone(), true)?,
            }
            return Ok(state);
        }
    }

    /// One attempt: intent, effect, outcome.
    pub(super) async fn attempt(
        &self,
        action: &Arc<dyn ErasedAction>,
        request: &EffectRequest<'_>,
        attempt: u32,
        tries: u32,
    ) -> Result<EntryState, Stop> {
        if let Some(stop) = self.interrupted() {
            return Err(stop);
        }
        let now = self.world.clock.now();
        if request.deadline.is_some_and(|deadline| deadline <= now) {
            let state = EntryState::Failed("its time box was over before it began".into());
            self.conclude(request, attempt, state.clone(), false)?;
            return Ok(state);
        }
        if request.trace.has_intent() {
            let started = RunEvent::ActionStarted {
                path: request.key.clone(),
                action: request.call.action.clone(),
                attempt,
            };
            self.commit(Batch {
                entries: vec![self.entry(request.key, EntryState::Intent, attempt)],
                events: told(request, started),
                ..Batch::default()
            })?;
        }
        let cancel = self.shared.cancel.child_token();
        let context = self.context(request, attempt, cancel.clone());
        let limit = time_limit(request.policy, request.deadline, now);
        let result = self.within(limit, &cancel, action.run(&request.call.params, &context)).await;
        if self.shared.superseded.is_cancelled() {
            return Err(Stop::Suspend(Suspension::Superseded));
        }
        let state = match result {
            Ok(output) => EntryState::Done(output),
            Err(ActionError::Cancelled) => {
                self.cancelled(request, attempt)?;
                return Err(Stop::Cancelled);
            }
            Err(error) => {
                if error.is_retryable()
                    && tries <= request.policy.retry
                    && request.deadline.is_none_or(|deadline| deadline > self.world.clock.now())
                {
                    self.failed_attempt(request, attempt, &error)?;
                    return Ok(EntryState::Reopened);
                }
                // Actions hide secrets in what they say; one that forgets must not put them into the journal.
                EntryState::Failed(self.world.masker.mask(&error.to_string()))
            }
        };
        self.conclude(request, attempt, state.clone(), false)?;
        Ok(state)
    }

    /// Runs `work` for at most `limit`; what outlives it is told to stop, and waited for.
    async fn within<T>(
        &self,
        limit: Option<Duration>,
        cancel: &CancellationToken,
        work: impl Future<Output = crate::action::Result<T>> + Send,
    ) -> crate::action::Result<T> {
        let mut work = std::pin::pin!(work);
        let Some(limit) = limit else { return work.await };
        tokio::select! {
            biased;
            result = &mut work => result,
            () = tokio::time::sleep(limit) => {
                cancel.cancel();
                match work.await {
                    Err(ActionError::Cancelled) if !self.shared.cancel.is_cancelled() => {
                        let limit = windlass_core::duration::Duration::from_millis(
                            u64::try_from(limit.as_millis()).unwrap_or(u64::MAX),
                        );
                        Err(ActionError::TimedOut(format!("it took longer than {limit} and was stopped")))
                    }
                    other => other,
                }
            }
        }
    }

    fn conclude(
        &self,
        request: &EffectRequest<'_>,
        attempt: u32,
        state: EntryState,
        recovered: bool,
    ) -> Result<(), Stop> {
        let outcome = match &state {
            EntryState::Failed(why) if request.policy.optional => Outcome::FailedOptional(why.clone()),
            EntryState::Failed(why) => Outcome::Failed(why.clone()),
            _ => Outcome::Done,
        };
        let finished = RunEvent::ActionFinished { path: request.key.clone(), attempt, outcome, recovered };
        self.commit(Batch {
            entries: vec![self.entry(request.key, state, attempt)],
            events: told(request, finished),
            ..Batch::default()
        })
        .map(drop)
    }

    fn failed_attempt(
        &self,
        request: &EffectRequest<'_>,
        attempt: u32,
        error: &ActionError,
    ) -> Result<(), Stop> {
        let outcome = Outcome::Failed(self.world.masker.mask(&error.to_string()));
        let finished =
            RunEvent::ActionFinished { path: request.key.clone(), attempt, outcome, recovered: false };
        self.commit(Batch {
            entries: vec![self.entry(request.key, EntryState::Reopened, attempt)],
            events: told(request, finished),
            ..Batch::default()
        })
        .map(drop)
    }

    fn cancelled(&self, request: &EffectRequest<'_>, attempt: u32) -> Result<(), Stop> {
        let finished = RunEvent::ActionFinished {
            path: request.key.clone(),
            attempt,
            outcome: Outcome::Cancelled,
            recovered: false,
        };
        // The effect may have happened in part: the entry stays an intent, as after a crash.
        self.commit(Batch { events: told(request, finished), ..Batch::default() }).map(drop)
    }

    pub(super) async fn pause_before_retry(&self, attempt: u32) -> Result<(), Stop> {
        let doubled = self.settings.backoff.saturating_mul(1 << attempt.min(6));
        let capped = doubled.min(Duration::from_secs(60)).max(Duration::from_millis(1));
        // Full jitter: many runs that failed together must not come back together.
        let pause = capped.mul_f64(0.5 + fastrand::f64() / 2.0);
        tokio::select! {
            () = tokio::time::sleep(pause) => Ok(()),
            () = self.shared.cancel.cancelled() => Err(Stop::Cancelled),
            () = self.shared.detach.cancelled() => Err(Stop::Suspend(Suspension::Detached)),
        }
    }
}

/// The event, where events tell of the effect.
fn told(request: &EffectRequest<'_>, event: RunEvent) -> Vec<RunEvent> {
    if request.trace.has_events() { vec![event] } else { Vec::new() }
}

fn time_limit(policy: &Policy, deadline: Option<Timestamp>, now: Timestamp) -> Option<Duration> {
    let left = deadline.map(|deadline| {
        Duration::from_millis(u64::try_from(deadline.as_millisecond() - now.as_millisecond()).unwrap_or(0))
    });
    let timeout = policy.timeout.map(windlass_core::duration::Duration::to_std);
    match (left, timeout) {
        (Some(left), Some(timeout)) => Some(left.min(timeout)),
        (left, timeout) => left.or(timeout),
    }
}
