//! Words and marks that all reports of runs share.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use windlass_core::plan::{Found, Node, StepPath, WatchNode};
use windlass_core::run::{GateKind, Outcome, RunId, RunState, RunStatus, StepState, StepStatus};
use windlass_core::text::sanitize_line;
use windlass_core::verdict::words::Unit;
use windlass_core::verdict::{Judgement, Sample, Seen};
use windlass_engine::journal::RunRecord;

use super::Paint;
use crate::exit::Exit;
use crate::runner::Told;

/// The time from `from` to `to`, such as `1m05s`; never negative.
pub fn span(from: Timestamp, to: Timestamp) -> String {
    let seconds = to.as_second().saturating_sub(from.as_second()).max(0);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{:02}s", seconds % 60),
        (0, _, _) => format!("{hours}h{minutes:02}m"),
        _ => format!("{days}d{hours:02}h"),
    }
}

/// An instant as people read it here, with how far away it is.
pub fn moment(at: Timestamp, now: Timestamp) -> String {
    let shown = at.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M %Z").to_string();
    if at > now {
        format!("{shown}, in {}", span(now, at))
    } else {
        format!("{shown}, {} ago", span(at, now))
    }
}

/// What a sample of a watch saw, in a word or a number.
pub fn seen(sample: &Sample, node: Option<&WatchNode>) -> String {
    let quantile = 0.95;
    match (sample.seen, &sample.reading) {
        (Seen::Good, _) => "good".into(),
        (Seen::Bad, _) => "bad".into(),
        (Seen::Measured, Some(reading)) => {
            let rules = node.and_then(|node| node.metrics.as_deref()).map(|metrics| &metrics.rule);
            let criteria = rules.into_iter().flat_map(|rule| rule.criteria.iter().chain(&rule.trips));
            let unit = criteria
                .filter(|criterion| criterion.metric == sample.probe)
                .fold(Unit::of(Some(reading), &sample.probe), |unit, criterion| {
                    unit.against(criterion.limit)
                });
            reading.value(quantile).map_or_else(|| "no requests".into(), |value| unit.shown(value))
        }
        (Seen::Nothing | Seen::Measured, _) => "nothing".into(),
    }
}

/// A verdict; with its reason, unless charts say that below it.
pub fn judged(judgement: &Judgement, node: Option<&WatchNode>) -> String {
    let verdict = judgement.verdict.name();
    let is_charted = node.is_some_and(|node| node.metrics.is_some() && node.probes.is_empty());
    if is_charted { verdict.to_owned() } else { format!("{verdict}: {}", sanitize_line(&judgement.why)) }
}

/// A run's runbook and what it releases: `release api 1.2.0`.
pub fn what(run: &RunRecord) -> String {
    format!("{}{}", sanitize_line(&run.runbook), released(run))
}

/// What a run releases, after a blank: ` api 1.2.0`. Nothing where it releases nothing.
pub fn released(run: &RunRecord) -> String {
    let parts = [&run.package, &run.version].into_iter().flatten();
    parts.map(|part| format!(" {}", sanitize_line(part))).collect()
}

/// What people were paged for, and which way took the message.
pub fn page(message: &str, by: Option<&str>, why: Option<&str>, paint: Paint) -> String {
    let message = sanitize_line(message);
    let why = why.map(sanitize_line);
    match (by, why) {
        (Some(by), None) => format!("  ✉ paged through {}: {message}", sanitize_line(by)),
        (Some(by), Some(why)) => format!("  ✉ paged through {} ({why}): {message}", sanitize_line(by)),
        (None, why) => {
            let why = why.unwrap_or_else(|| "no way took it".into());
            format!("  {} nobody could be paged ({why}): {message}", paint.bad("!"))
        }
    }
}

/// How a run stands, in a word.
pub fn status(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Running => "running",
        RunStatus::Waiting => "waiting",
        RunStatus::Suspended => "suspended",
        RunStatus::Failed => "failed",
        RunStatus::Refused => "refused",
        RunStatus::Cancelled => "cancelled",
        RunStatus::RolledBack => "rolled back",
        RunStatus::Succeeded => "succeeded",
    }
}

/// A run's status in its colour.
pub fn painted(state: RunStatus, paint: Paint) -> String {
    let word = status(state);
    match state {
        RunStatus::Succeeded => paint.good(word),
        RunStatus::Failed | RunStatus::Refused => paint.bad(word),
        RunStatus::Running => paint.bold(word),
        _ => paint.warn(word),
    }
}

/// The exit code that the run leads to as it stands.
pub fn exit(told: &Told) -> Exit {
    let state = &told.state;
    match state.status {
        RunStatus::Succeeded if is_unheard(told) => Exit::MessageFailed,
        RunStatus::Succeeded => Exit::Done,
        RunStatus::Failed | RunStatus::Cancelled => Exit::Failed,
        RunStatus::Waiting | RunStatus::Refused => Exit::Waiting,
        RunStatus::RolledBack => Exit::RolledBack,
        // Left at the terminal while people were waited for: it is their move.
        RunStatus::Suspended if !state.gates.is_empty() => Exit::Waiting,
        RunStatus::Suspended | RunStatus::Running => Exit::Resumable,
    }
}

/// Whether people were to be told something, and were not.
fn is_unheard(told: &Told) -> bool {
    let unsent = |(path, step): (&StepPath, &StepState)| {
        let is_message = matches!(
            told.plan.find(path),
            Some(Found::Node(_, Node::Action(node))) if node.call.action.starts_with("notify.")
        );
        is_message && matches!(step.status, StepStatus::Ended(Outcome::FailedOptional(_)))
    };
    told.state.pages.iter().any(|page| page.by.is_none()) || told.state.steps.iter().any(unsent)
}

/// The mark of a step or item; nothing has begun when `None`. Never colour alone.
pub fn mark(status: Option<&StepStatus>, paint: Paint) -> String {
    match status {
        None => paint.dim("·"),
        Some(StepStatus::Running) => paint.bold("▸"),
        Some(StepStatus::Waiting) => paint.warn("⧖"),
        Some(StepStatus::Ended(outcome)) => match outcome {
            Outcome::Done => paint.good("✓"),
            Outcome::Skipped(_) => paint.dim("–"),
            Outcome::Waived(_) => paint.warn("–"),
            Outcome::Failed(_) => paint.bad("✗"),
            Outcome::FailedOptional(_) => paint.warn("!"),
            Outcome::Cancelled => paint.warn("✗"),
        },
    }
}

/// How a step or item stands, in a word and why where there is more to say.
pub fn outcome(status: Option<&StepStatus>) -> (&'static str, Option<&str>) {
    match status {
        None => ("pending", None),
        Some(StepStatus::Running) => ("running", None),
        Some(StepStatus::Waiting) => ("waiting", None),
        Some(StepStatus::Ended(outcome)) => match outcome {
            Outcome::Done => ("done", None),
            Outcome::Skipped(why) => ("skipped", Some(why)),
            Outcome::Waived(why) => ("waived", Some(why)),
            Outcome::Failed(why) => ("failed", Some(why)),
            Outcome::FailedOptional(why) => ("failed, which is allowed", Some(why)),
            Outcome::Cancelled => ("cancelled", None),
        },
    }
}

/// Why something failed, to be shown after the word that says it did, and after its name.
pub fn why(text: &str) -> String {
    let text = sanitize_line(text);
    text.strip_prefix("the watch failed: ").map_or(text.clone(), str::to_owned)
}

/// The widest line that is made where a line can be broken: terminals have at least this many columns.
pub const WIDTH: usize = 80;

/// How the step or item at `path` stands: what was let pass counts as such, whatever its step says of itself.
pub fn standing(state: &RunState, path: &StepPath) -> Option<StepStatus> {
    let known = state.steps.get(path).map(|step| step.status.clone());
    let waived = state.waivers.iter().find(|(waived, _, _)| path.is_within(waived));
    match (known, waived) {
        (None | Some(StepStatus::Running | StepStatus::Waiting), Some((_, _, reason))) => {
            Some(StepStatus::Ended(Outcome::Waived(reason.clone())))
        }
        // A step whose items were all let pass reports itself done.
        (Some(StepStatus::Ended(Outcome::Done)), Some((waived, _, reason))) if waived == path => {
            Some(StepStatus::Ended(Outcome::Waived(reason.clone())))
        }
        (known, _) => known,
    }
}

/// The people a gate asks.
pub fn asked(who: &[String]) -> String {
    if who.is_empty() { "anyone".to_owned() } else { sanitize_line(&who.join(" or ")) }
}

/// The command that answers a gate with yes.
pub fn answer(run: &RunId, kind: GateKind, path: &StepPath) -> String {
    let verb = match kind {
        GateKind::Approval => "approve",
        GateKind::Confirm | GateKind::Doubt => "confirm",
    };
    format!("windlass {verb} {run} {}", argument(&path.0))
}

/// `text` as one argument of a command that is shown to people to be copied.
pub fn argument(text: &str) -> String {
    let text = sanitize_line(text);
    let plain = |letter: char| letter.is_alphanumeric() || "/._-@:+".contains(letter);
    if !text.is_empty() && text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_short() {
        let check = |seconds: i64, expect: &str| {
            let from = Timestamp::UNIX_EPOCH;
            assert_eq!(span(from, Timestamp::from_second(seconds).unwrap()), expect);
        };
        check(-5, "0s");
        check(59, "59s");
        check(65, "1m05s");
        check(3660, "1h01m");
        check(90_000, "1d01h");
    }

    #[test]
    fn commands_can_be_copied() {
        let check = |text: &str, expect: &str| assert_eq!(argument(text), expect);
        check("approve/qa-1", "approve/qa-1");
        check("a b", "'a b'");
        check("it's $(id)\u{1b}", r"'it'\''s $(id)'");
    }
}
