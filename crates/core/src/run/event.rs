//! What happens in a run, and the hash chain that makes its history tamper-evident.

use std::fmt;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::state::{GateKind, RunStatus};
use crate::gate::Decision;
use crate::plan::{Digest, StepPath, canonical, sha256_hex};
use crate::verdict::{Judgement, Sample};

/// The name of a run, such as `release-1.2.0-k3f9`: letters, digits, `.`, `-` and `_` only.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct RunId(pub String);

impl RunId {
    /// A run's name from a runbook, what it releases and a few random letters.
    pub fn compose(runbook: &str, package: Option<&str>, version: Option<&str>, nonce: &str) -> Self {
        let parts = [Some(runbook), package, version, Some(nonce)];
        let joined = parts.into_iter().flatten().collect::<Vec<_>>().join("-");
        Self(
            joined
                .chars()
                .map(
                    |letter| {
                        if letter.is_ascii_alphanumeric() || ".-_".contains(letter) { letter } else { '-' }
                    },
                )
                .collect(),
        )
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// How a step or an item ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// As it should.
    Done,
    /// Left out, and why.
    Skipped(String),
    /// A person let it pass.
    Waived(String),
    /// It failed, and why.
    Failed(String),
    /// It failed, which its plan allows.
    FailedOptional(String),
    /// The run was cancelled while it ran.
    Cancelled,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum RunEvent {
    /// The run was created.
    Started {
        /// What it executes.
        plan: Digest,
        /// Who started it.
        by: String,
        /// Findings of preflight it was told to ignore, and other recorded waivers of the start.
        despite: Vec<String>,
    },
    /// A process took the run.
    Taken {
        /// `host pid`.
        owner: String,
        /// Its fencing epoch.
        epoch: u64,
    },
    /// A step began.
    StepStarted {
        /// Which.
        path: StepPath,
        /// Its title.
        title: String,
    },
    /// A step ended.
    StepFinished {
        /// Which.
        path: StepPath,
        /// How.
        outcome: Outcome,
    },
    /// An action is about to run: the intent.
    ActionStarted {
        /// Which item.
        path: StepPath,
        /// The action.
        action: String,
        /// From 1.
        attempt: u32,
    },
    /// An action ended.
    ActionFinished {
        /// Which item.
        path: StepPath,
        /// Which attempt.
        attempt: u32,
        /// How.
        outcome: Outcome,
        /// Found done by its probe after a crash, not run again.
        recovered: bool,
    },
    /// A person is waited for.
    GateOpened {
        /// Which item.
        path: StepPath,
        /// What is asked.
        gate: GateKind,
        /// The question, in words.
        question: String,
        /// Roles or people who may answer; anyone when empty.
        who: Vec<String>,
        /// Answered by then, or refused.
        deadline: Option<Timestamp>,
    },
    /// A person answered.
    Decided {
        /// Which item.
        path: StepPath,
        /// What.
        decision: Decision,
    },
    /// The gate is decided.
    GateClosed {
        /// Which item.
        path: StepPath,
        /// Whether the run goes on.
        granted: bool,
        /// Who or what decided, in words.
        why: String,
    },
    /// Time is waited for.
    WaitStarted {
        /// Which item.
        path: StepPath,
        /// Until when.
        until: Timestamp,
    },
    /// A watch took samples.
    Sampled {
        /// Which item.
        path: StepPath,
        /// Which round, from 0.
        round: u64,
        /// What was seen.
        samples: Vec<Sample>,
    },
    /// People were paged, or it was tried.
    Paged {
        /// The page's item, under what it is about.
        path: StepPath,
        /// What they were told.
        message: String,
        /// That what they were paged for before is over.
        resolved: bool,
        /// The way that took the message; nothing when none did.
        by: Option<String>,
        /// Why those that were tried did not take it.
        why: Option<String>,
    },
    /// A watch was judged.
    Judged {
        /// Which item.
        path: StepPath,
        /// The verdict and why.
        judgement: Judgement,
    },
    /// A person let an item or a step pass without doing it.
    Waived {
        /// Which.
        path: StepPath,
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// A person asked for a failed or doubtful item to be run again.
    Retried {
        /// Which.
        path: StepPath,
        /// Who.
        by: String,
    },
    /// Another run holds the environment; this one waits for it.
    LockAwaited {
        /// The lock's name.
        lock: String,
        /// Who holds it.
        holder: RunId,
    },
    /// The run holds an environment.
    Locked {
        /// The lock's name.
        lock: String,
        /// Its fencing token.
        token: u64,
    },
    /// The run gave an environment back.
    Unlocked {
        /// The lock's name.
        lock: String,
        /// Its fencing token.
        token: u64,
    },
    /// A failure or refusal leads to a runbook.
    Routed {
        /// From which item or step.
        path: StepPath,
        /// To which runbook.
        to: String,
    },
    /// An effect was taken back.
    Undone {
        /// Which item.
        path: StepPath,
        /// What came of it, in words.
        result: String,
        /// Whether a person must finish it.
        needs_human: bool,
    },
    /// Somebody asked for the run to be cancelled.
    CancelRequested {
        /// Who.
        by: String,
    },
    /// Somebody asked for the run to be rolled back.
    RollbackRequested {
        /// Who.
        by: String,
        /// Why.
        reason: Option<String>,
    },
    /// The run stopped, for now or for good.
    Finished {
        /// How it stands.
        status: RunStatus,
        /// The item it stopped at.
        path: Option<StepPath>,
        /// Why, in words.
        why: Option<String>,
    },
}

impl RunEvent {
    /// A name under which the event happens once in a run, for events that a replay would tell again.
    pub fn identity(&self) -> Option<String> {
        match self {
            Self::StepStarted { path, .. } => Some(format!("step-started {path}")),
            Self::StepFinished {
                path,
                outcome: Outcome::Done | Outcome::Skipped(_) | Outcome::Waived(_),
            } => Some(format!("step-finished {path}")),
            Self::GateOpened { path, .. } => Some(format!("gate-opened {path}")),
            Self::GateClosed { path, .. } => Some(format!("gate-closed {path}")),
            Self::WaitStarted { path, .. } => Some(format!("wait-started {path}")),
            Self::Sampled { path, round, .. } => Some(format!("sampled {path} {round}")),
            Self::Paged { path, .. } => Some(format!("paged {path}")),
            Self::Judged { path, .. } => Some(format!("judged {path}")),
            Self::LockAwaited { lock, holder } => Some(format!("lock-awaited {lock} {holder}")),
            Self::Locked { lock, token } => Some(format!("locked {lock} {token}")),
            Self::Unlocked { lock, token } => Some(format!("unlocked {lock} {token}")),
            Self::Routed { path, to } => Some(format!("routed {path} {to}")),
            _ => None,
        }
    }
}

/// An event as the history keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Recorded {
    /// Its place in the run's history, from 1.
    pub sequence: u64,
    /// When.
    pub at: Timestamp,
    /// What.
    pub event: RunEvent,
    /// The hash of this event chained to all before it.
    pub hash: String,
}

/// What is hashed of an event.
#[derive(Debug, Serialize)]
pub struct Link<'a> {
    run: &'a RunId,
    sequence: u64,
    at: Timestamp,
    event: &'a RunEvent,
    previous: &'a str,
}

/// The hash that chains `event` to the one whose hash is `previous` (empty for the first): SHA-256 of the canonical
/// JSON of run, sequence, time, event and previous hash.
///
/// # Errors
/// When the event cannot be written as JSON, which none can cause.
pub fn chain(
    run: &RunId,
    sequence: u64,
    at: Timestamp,
    event: &RunEvent,
    previous: &str,
) -> Result<String, serde_json::Error> {
    Ok(sha256_hex(canonical(&Link { run, sequence, at, event, previous })?.as_bytes()))
}

/// Checks a whole history; gives the hash of its last event.
///
/// # Errors
/// The first event that does not fit, in words.
pub fn verify_chain(run: &RunId, history: &[Recorded]) -> Result<String, String> {
    let mut previous = String::new();
    for (index, recorded) in history.iter().enumerate() {
        let expected = index as u64 + 1;
        if recorded.sequence != expected {
            return Err(format!("event {expected} is missing: event {} follows", recorded.sequence));
        }
        let hash = chain(run, recorded.sequence, recorded.at, &recorded.event, &previous)
            .map_err(|error| format!("event {expected} cannot be hashed: {error}"))?;
        if hash != recorded.hash {
            return Err(format!("event {expected} was changed after it was written: its hash does not fit"));
        }
        previous = hash;
    }
    Ok(previous)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(run: &RunId) -> Vec<Recorded> {
        let mut previous = String::new();
        (1..=4u64)
            .map(|sequence| {
                let event = RunEvent::CancelRequested { by: format!("person {sequence}") };
                let at = Timestamp::from_second(i64::try_from(sequence).unwrap()).unwrap();
                let hash = chain(run, sequence, at, &event, &previous).unwrap();
                previous.clone_from(&hash);
                Recorded { sequence, at, event, hash }
            })
            .collect()
    }

    #[test]
    fn a_changed_history_does_not_verify() {
        let run = RunId("r".into());
        let whole = history(&run);
        assert_eq!(verify_chain(&run, &whole), Ok(whole[3].hash.clone()));
        let check = |change: &dyn Fn(&mut Vec<Recorded>), expect: &str| {
            let mut changed = whole.clone();
            change(&mut changed);
            let error = verify_chain(&run, &changed).unwrap_err();
            assert!(error.contains(expect), "{error}");
        };
        check(
            &|events| events[1].event = RunEvent::CancelRequested { by: "eve".into() },
            "event 2 was changed",
        );
        check(&|events| events[2].at = Timestamp::UNIX_EPOCH, "event 3 was changed");
        check(&|events| drop(events.remove(1)), "event 2 is missing");
        check(&|events| events.swap(0, 1), "event 1 is missing");
        assert!(verify_chain(&RunId("other".into()), &whole).is_err());
    }

    #[test]
    fn run_names_are_safe_in_paths() {
        for (runbook, package, version, expect) in [
            ("re/le ase", None, Some("1.0.0-rc.1"), "re-le-ase-1.0.0-rc.1-ab"),
            ("release", Some("@acme/api"), Some("1.0.0"), "release--acme-api-1.0.0-ab"),
            ("check", None, None, "check-ab"),
        ] {
            assert_eq!(RunId::compose(runbook, package, version, "ab").0, expect);
        }
    }
}
