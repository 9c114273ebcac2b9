//! What is said when a process leaves a run: how it stands, why, and the commands to go on with.

use jiff::Timestamp;
use windlass_core::plan::{Found, Node};
use windlass_core::run::{GateKind, RunEvent, RunStatus};
use windlass_core::runbook::{CommonError, OnFailure};
use windlass_core::text::sanitize_line;
use windlass_core::verdict::Seen;
use windlass_engine::interpreter::Direction;
use windlass_engine::logs::LogFolder;

use super::{Paint, words};
use crate::runner::Told;
use crate::runner::gates;
use crate::runner::items::place;

/// Log lines that a failure shows.
const LINES: usize = 10;

/// What is said, line by line.
pub fn lines(told: &Told, logs: &LogFolder, paint: Paint) -> Vec<String> {
    let state = &told.state;
    let run = told.run();
    let mut lines = Vec::new();
    let took = match (state.started, state.finished) {
        (Some(from), Some(to)) => format!(" after {}", words::span(from, to)),
        _ => String::new(),
    };
    // A version alone does not say which package it is of; its tag does.
    let what = words::what(&told.record);
    let head = format!("{what} {}{took}  ({run})", words::painted(state.status, paint));
    lines.push(head);
    match state.status {
        RunStatus::Failed => failed(told, logs, paint, &mut lines),
        RunStatus::Refused => refused(told, &mut lines),
        RunStatus::RolledBack if state.stopped_at.is_some() => failed(told, logs, paint, &mut lines),
        RunStatus::Waiting => {}
        // Who left knows; who comes back sees what to do.
        RunStatus::Suspended if state.why.as_deref() == Some("detached") => {}
        _ => {
            if let Some(why) = &state.why {
                lines.push(format!("  {}", sanitize_line(why)));
            }
        }
    }
    if !state.status.is_final() && state.status != RunStatus::Failed {
        lines.extend(waiting(told, Timestamp::now()));
    }
    for (path, by, reason) in &state.waivers {
        let (path, by, reason) = (place(&told.plan, state, path), sanitize_line(by), sanitize_line(reason));
        lines.push(format!("  waived: {path}, by {by}: {reason}"));
    }
    for (path, result, _) in state.undone.iter().filter(|(_, _, needs_human)| *needs_human) {
        let path = place(&told.plan, state, path);
        lines.push(format!("  to be taken back by a person: {path}: {}", sanitize_line(result)));
    }
    let next = next_lines(told, paint);
    if !next.is_empty() {
        lines.push(String::new());
        lines.extend(next);
    }
    lines
}

/// Who must do what before the run goes on.
pub fn waiting(told: &Told, now: Timestamp) -> Vec<String> {
    let mut lines = Vec::new();
    for gate in &told.state.gates {
        let mut line = format!("  waits for {}: {}", words::asked(&gate.who), sanitize_line(&gate.question));
        let missing = gates::missing(told, &gate.path);
        let missing = missing.map(|missing| format!("still needed: {}", sanitize_line(&missing)));
        let until = gate.deadline.map(|deadline| format!("until {}", words::moment(deadline, now)));
        for more in missing.into_iter().chain(until) {
            if line.chars().count() + 2 + more.chars().count() > words::WIDTH {
                lines.push(std::mem::replace(&mut line, format!("    {more}")));
            } else {
                line.push_str(&format!(", {more}"));
            }
        }
        lines.push(line);
    }
    lines
}

/// The commands to go on with, as lines.
pub fn next_lines(told: &Told, paint: Paint) -> Vec<String> {
    let next = next(told);
    let width = next.iter().map(|(command, _)| command.chars().count()).max().unwrap_or_default();
    let words = next.iter().map(|(_, what)| what.chars().count()).max().unwrap_or_default();
    if width + words + 4 <= words::WIDTH {
        return next
            .iter()
            .map(|(command, what)| format!("  {command:<width$}  {}", paint.dim(what)))
            .collect();
    }
    // A command is copied whole: it is never broken, but has a line of its own.
    next.iter()
        .flat_map(|(command, what)| [format!("  {}:", paint.dim(what)), format!("    {command}")])
        .collect()
}

/// The commands to go on with, each with what it is for.
pub fn next(told: &Told) -> Vec<(String, &'static str)> {
    let run = told.run();
    let mut next = Vec::new();
    let mut add = |command: String, what| next.push((command, what));
    match told.state.status {
        RunStatus::Waiting | RunStatus::Suspended | RunStatus::Running => {
            for gate in &told.state.gates {
                let what = match gate.kind {
                    GateKind::Approval => "to approve",
                    GateKind::Confirm => "to say yes",
                    GateKind::Doubt => "if it took effect",
                };
                add(words::answer(run, gate.kind, &gate.path), what);
                if gate.kind == GateKind::Doubt {
                    add(format!("windlass retry {run} {}", words::argument(&gate.path.0)), "to run it again");
                }
            }
            let what = if told.state.gates.is_empty() { "to go on" } else { "then, to go on" };
            add(format!("windlass resume {run}"), what);
        }
        RunStatus::Failed => {
            let item =
                told.state.stopped_at.as_ref().map(|path| words::argument(&path.0)).unwrap_or_default();
            add(format!("windlass retry {run}"), "to try it again");
            add(format!("windlass skip {run} {item} --reason WHY"), "to let it pass, then resume");
            add(format!("windlass rollback {run}"), "to take back what was done");
            add(format!("windlass cancel {run}"), "to leave it as it is");
        }
        RunStatus::Refused | RunStatus::Cancelled if did_something(told) => {
            add(format!("windlass rollback {run}"), "to take back what was done");
        }
        _ => {}
    }
    next
}

fn did_something(told: &Told) -> bool {
    told.history.iter().any(|recorded| matches!(recorded.event, RunEvent::ActionFinished { .. }))
}

fn failed(told: &Told, logs: &LogFolder, paint: Paint, lines: &mut Vec<String>) {
    let why = words::why(told.state.why.as_deref().unwrap_or("it failed"));
    if let Some(path) = &told.state.stopped_at {
        lines.push(format!("  {} {}", paint.bad("✗"), place(&told.plan, &told.state, path)));
        lines.push(format!("    {why}"));
        let samples = told.state.samples.get(path).into_iter().flatten();
        for sample in samples.filter(|sample| sample.seen == Seen::Bad).take(LINES) {
            let (probe, detail) = (sanitize_line(&sample.probe), sanitize_line(&sample.detail));
            lines.push(format!("    {} {probe}: {detail}", paint.dim("│")));
        }
        let tail = logs.tail(path, LINES).unwrap_or_default();
        for line in &tail {
            lines.push(format!("    {} {}", paint.dim("│"), sanitize_line(&line.text)));
        }
        if !tail.is_empty() {
            lines.push(format!("    log: {}", sanitize_line(&logs.file(path).to_string_lossy())));
        }
    } else {
        lines.push(format!("  {why}"));
    }
    lines.extend(known_lines(told, logs).into_iter().map(|line| format!("  {line}")));
    for escalation in told.plan.escalations.iter().take(LINES) {
        let within = escalation.within.map(|within| format!(", within {within}")).unwrap_or_default();
        let note = if escalation.note.is_empty() { String::new() } else { format!(" ({})", escalation.note) };
        let line = format!("{} → {}{within}{note}", escalation.event, escalation.to.join(", "));
        lines.push(format!("  escalate: {}", sanitize_line(&line)));
    }
    for recorded in &told.history {
        if let RunEvent::Routed { to, .. } = &recorded.event {
            lines.push(format!("  `{}` was run in answer to it", sanitize_line(to)));
        }
    }
    if told.direction() == Direction::Rollback && told.state.status == RunStatus::Failed {
        lines.push("  the rollback itself failed: what it has not done yet is still to be done".into());
    }
}

fn refused(told: &Told, lines: &mut Vec<String>) {
    let why = sanitize_line(told.state.why.as_deref().unwrap_or("refused"));
    let Some(path) = &told.state.stopped_at else {
        lines.push(format!("  {why}"));
        return;
    };
    lines.push(format!("  {}: {why}", place(&told.plan, &told.state, path)));
    let Some(found) = told.plan.find(path) else { return };
    let (Found::Step(step) | Found::Node(step, _)) = found;
    let named = match found {
        Found::Node(_, Node::Approval(node)) => node.refused.clone(),
        _ => None,
    };
    let route = match (named, &step.on_failure) {
        (Some(named), _) => Some(named),
        (None, OnFailure::Call(name)) => Some(name.clone()),
        _ => None,
    };
    if let Some(route) = route {
        let ran = told
            .history
            .iter()
            .any(|recorded| matches!(&recorded.event, RunEvent::Routed { to, .. } if *to == route));
        let route = sanitize_line(&route);
        lines.push(if ran { format!("  `{route}` was run") } else { format!("  what now: {route}") });
    }
}

/// What the runbook's table of common errors says of what was seen, as lines.
pub fn known_lines(told: &Told, logs: &LogFolder) -> Vec<String> {
    let mut lines = Vec::new();
    for known in known_errors(told, logs) {
        let [error, cause, solution] =
            [&known.error, &known.cause, &known.solution].map(|text| sanitize_line(text));
        lines.push(format!("known error: {error}"));
        if !cause.is_empty() {
            lines.push(format!("  cause:    {cause}"));
        }
        if !solution.is_empty() {
            lines.push(format!("  solution: {solution}"));
        }
    }
    lines
}

/// Rows of the runbook's table of common errors that fit what stopped the run, best first.
pub fn known_errors<'a>(told: &'a Told, logs: &LogFolder) -> Vec<&'a CommonError> {
    let state = &told.state;
    if !matches!(state.status, RunStatus::Failed | RunStatus::RolledBack) {
        return Vec::new();
    }
    let tail = state.stopped_at.as_ref().map(|path| logs.tail(path, LINES).unwrap_or_default());
    let mut seen: Vec<String> = significant(state.why.as_deref().unwrap_or_default()).collect();
    seen.extend(tail.iter().flatten().flat_map(|line| significant(&line.text)));
    let mut fitting: Vec<(usize, &CommonError)> = told
        .plan
        .errors
        .iter()
        .filter_map(|known| {
            let words: Vec<String> = significant(&known.error).collect();
            let hits = words.iter().filter(|word| seen.iter().any(|other| fits(word, other))).count();
            // More than half of the row's words: one alone is chance when there are several.
            (hits > 0 && hits * 2 > words.len()).then_some((hits, known))
        })
        .collect();
    fitting.sort_by_key(|(hits, _)| std::cmp::Reverse(*hits));
    fitting.into_iter().take(3).map(|(_, known)| known).collect()
}

/// Whether two words are the same but for their endings, such as `migration` and `migrations`.
fn fits(left: &str, right: &str) -> bool {
    left == right
        || (left.len() >= 5 && right.len() >= 5 && (left.starts_with(right) || right.starts_with(left)))
}

fn significant(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| word.chars().count() >= 3)
        .map(str::to_lowercase)
        .filter(|word| {
            !["the", "and", "for", "with", "not", "les", "des", "une", "est", "pas"].contains(&word.as_str())
        })
}
