//! The status of a run, as text and as data.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use windlass_core::plan::{Found, Node, StepPath};
use windlass_core::run::{Gate, Outcome, Page, RunEvent, RunStatus, StepState, StepStatus};
use windlass_core::runbook::CommonError;
use windlass_core::text::sanitize_line;
use windlass_core::verdict::{Judgement, Reading, Sample, Seen};
use windlass_engine::logs::LogFolder;

use super::{Paint, ending, words};
use crate::runner::items::{Item, items, place};
use crate::runner::{Told, worker};

/// A run as data.
#[derive(Debug, Serialize)]
pub struct Status {
    run: String,
    runbook: String,
    version: Option<String>,
    status: RunStatus,
    exit: u8,
    why: Option<String>,
    stopped_at: Option<String>,
    plan: String,
    commit: Option<String>,
    started: Option<Timestamp>,
    finished: Option<Timestamp>,
    by: String,
    worker: Option<String>,
    despite: Vec<String>,
    steps: Vec<Row>,
    gates: Vec<Gate>,
    watches: Vec<Watch>,
    waivers: Vec<Waiver>,
    undone: Vec<Taken>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pages: Vec<Page>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    known_errors: Vec<CommonError>,
    locks: Vec<String>,
    next: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Row {
    path: String,
    title: String,
    kind: &'static str,
    depth: usize,
    state: &'static str,
    why: Option<String>,
    started: Option<Timestamp>,
    finished: Option<Timestamp>,
    attempts: u32,
    owner: Option<Vec<String>>,
}

#[derive(Debug, Serialize)]
struct Watch {
    path: String,
    good: usize,
    bad: usize,
    nothing: usize,
    measured: usize,
    until: Option<Timestamp>,
    verdict: Option<Judgement>,
    /// What was measured, by metric.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metrics: BTreeMap<String, Vec<Measured>>,
}

#[derive(Debug, Serialize)]
struct Measured {
    at: Option<Timestamp>,
    reading: Option<Reading>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    baseline: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    why: String,
}

#[derive(Debug, Serialize)]
struct Waiver {
    path: String,
    by: String,
    reason: String,
}

#[derive(Debug, Serialize)]
struct Taken {
    path: String,
    result: String,
    needs_human: bool,
}

/// The run as data.
pub fn data(told: &Told, logs: &LogFolder) -> Status {
    let state = &told.state;
    let rollback = told.direction() == windlass_engine::interpreter::Direction::Rollback;
    Status {
        run: told.run().to_string(),
        runbook: told.plan.runbook.name.clone(),
        version: told.record.version.clone(),
        status: state.status,
        exit: words::exit(told).code(),
        why: state.why.clone(),
        stopped_at: state.stopped_at.as_ref().map(ToString::to_string),
        plan: told.digest.to_string(),
        commit: told.plan.pins.head.clone(),
        started: state.started,
        finished: state.finished,
        by: state.by.clone(),
        worker: worker(&told.record),
        despite: told.despite().to_vec(),
        steps: items(&told.plan, state, rollback).iter().map(|item| row(told, item)).collect(),
        gates: state.gates.clone(),
        watches: watches(told),
        waivers: state
            .waivers
            .iter()
            .map(|(path, by, reason)| Waiver {
                path: path.to_string(),
                by: by.clone(),
                reason: reason.clone(),
            })
            .collect(),
        undone: state
            .undone
            .iter()
            .map(|(path, result, needs_human)| Taken {
                path: path.to_string(),
                result: result.clone(),
                needs_human: *needs_human,
            })
            .collect(),
        pages: state.pages.clone(),
        known_errors: ending::known_errors(told, logs).into_iter().cloned().collect(),
        locks: state.locks.clone(),
        next: ending::next(told).into_iter().map(|(command, _)| command).collect(),
    }
}

fn row(told: &Told, item: &Item<'_>) -> Row {
    let state = told.state.steps.get(&item.path);
    let standing = words::standing(&told.state, &item.path);
    let (word, why) = words::outcome(standing.as_ref());
    let planned = item.step.and_then(|step| step.skipped.clone());
    let owner = match (item.step, item.node) {
        (Some(step), _) => step.owner.as_ref(),
        (_, Some(Node::Confirm(node))) => node.owner.as_ref(),
        _ => None,
    };
    Row {
        path: item.path.to_string(),
        title: item.title.clone(),
        kind: kind(item),
        depth: item.depth,
        state: if standing.is_none() && planned.is_some() { "skipped" } else { word },
        why: why.map(str::to_owned).or(planned),
        started: state.map(|state| state.started),
        finished: state.and_then(|state| state.finished),
        attempts: state.map_or(0, |state| state.attempts),
        owner: owner.map(|owner| owner.names.clone()),
    }
}

fn kind(item: &Item<'_>) -> &'static str {
    match item.node {
        None => "step",
        Some(Node::Action(_)) => "action",
        Some(Node::Confirm(_)) => "confirm",
        Some(Node::Approval(_)) => "approval",
        Some(Node::Wait(_)) => "wait",
        Some(Node::Watch(_)) => "watch",
        Some(Node::Call(_)) => "call",
        Some(Node::Checklist(_)) => "checklist",
    }
}

fn watches(told: &Told) -> Vec<Watch> {
    let mut paths: Vec<_> = told.state.samples.keys().chain(told.state.verdicts.keys()).collect();
    paths.sort();
    paths.dedup();
    paths
        .into_iter()
        .map(|path| {
            let samples = told.state.samples.get(path).map(Vec::as_slice).unwrap_or_default();
            let own = |sample: &&Sample| !sample.baseline;
            let count = |seen| samples.iter().filter(own).filter(|sample| sample.seen == seen).count();
            Watch {
                path: path.to_string(),
                good: count(Seen::Good),
                bad: count(Seen::Bad),
                nothing: count(Seen::Nothing),
                measured: count(Seen::Measured),
                metrics: series(samples),
                until: until(told, path),
                verdict: told.state.verdicts.get(path).cloned(),
            }
        })
        .collect()
}

/// What was measured, by metric. Samples of probes have no moment of their own.
fn series(samples: &[Sample]) -> BTreeMap<String, Vec<Measured>> {
    let mut series: BTreeMap<String, Vec<Measured>> = BTreeMap::new();
    for sample in samples.iter().filter(|sample| sample.at.is_some()) {
        let measured = Measured {
            at: sample.at,
            reading: sample.reading.clone(),
            baseline: sample.baseline,
            why: sample.detail.clone(),
        };
        series.entry(sample.probe.clone()).or_default().push(measured);
    }
    series
}

fn until(told: &Told, path: &StepPath) -> Option<Timestamp> {
    told.history.iter().rev().find_map(|recorded| match &recorded.event {
        RunEvent::WaitStarted { path: at, until } if at == path => Some(*until),
        _ => None,
    })
}

/// The run as lines.
pub fn lines(told: &Told, logs: &LogFolder, now: Timestamp, paint: Paint) -> Vec<String> {
    let state = &told.state;
    let title = sanitize_line(&told.plan.runbook.title);
    let version = words::released(&told.record);
    let mut lines = vec![format!(
        "{}{version}  {}  {}",
        paint.bold(&title),
        words::painted(state.status, paint),
        paint.dim(&told.run().0)
    )];
    if let Some(started) = state.started {
        let by = sanitize_line(&state.by);
        let elapsed = words::span(started, state.finished.unwrap_or(now));
        lines.push(format!("started {} by {by}, {elapsed}", words::moment(started, now)));
    }
    let head = told.plan.pins.head.as_deref().map(|head| head.get(..10).unwrap_or(head));
    let head = head.map(|head| format!(", commit {head}")).unwrap_or_default();
    lines.push(format!("plan {}{head}", told.digest.short()));
    match (worker(&told.record), state.status) {
        (Some(worker), _) => lines.push(format!("{worker} works on it")),
        (None, RunStatus::Running) => {
            lines.push("its process is gone: resume it to go on where it stopped".into());
        }
        _ => {}
    }
    for what in told.despite() {
        lines.push(format!("started despite: {}", sanitize_line(what)));
    }
    lines.push(String::new());
    let rollback = told.direction() == windlass_engine::interpreter::Direction::Rollback;
    lines.extend(step_lines(told, rollback, now, paint));
    lines.push(String::new());
    if let (Some(why), false) = (&state.why, state.status == RunStatus::Waiting) {
        let at = state.stopped_at.as_ref().map(|path| format!(" at {}", place(&told.plan, state, path)));
        lines.push(format!("{}{}", words::status(state.status), at.unwrap_or_default()));
        lines.push(format!("  {}", words::why(why)));
    }
    // A step that is done says nothing of an item of it that failed and was allowed to, such as a message.
    for (path, item) in &state.steps {
        if let StepStatus::Ended(Outcome::FailedOptional(why)) = &item.status
            && matches!(told.plan.find(path), Some(Found::Node(..)))
        {
            let mark = words::mark(Some(&item.status), paint);
            let (place, why) = (place(&told.plan, state, path), words::why(why));
            lines.push(format!("{mark} {place} failed, which is allowed: {why}"));
        }
    }
    for watch in watches(told) {
        let until = watch.until.filter(|_| watch.verdict.is_none());
        let until = until.map(|at| format!(", until {}", words::moment(at, now))).unwrap_or_default();
        let path = StepPath::new(&watch.path);
        let title = place(&told.plan, state, &path);
        let node = match told.plan.find(&path) {
            Some(Found::Node(_, Node::Watch(node))) => Some(node),
            _ => None,
        };
        let counts = match node {
            // Numbers are neither good nor bad by themselves: their charts follow.
            Some(node) if node.probes.is_empty() => {
                format!("{} measured, {} without data", watch.measured, watch.nothing)
            }
            _ => format!("{} good, {} bad, {} without data", watch.good, watch.bad, watch.nothing),
        };
        let verdict = watch.verdict.as_ref().map(|judgement| format!(": {}", words::judged(judgement, node)));
        lines.push(format!("{title}: {counts}{}{until}", verdict.unwrap_or_default()));
        let samples = state.samples.get(&path).map(Vec::as_slice).unwrap_or_default();
        lines.extend(
            node.into_iter()
                .flat_map(|node| super::chart::lines(node, samples, watch.verdict.as_ref(), paint)),
        );
    }
    lines.extend(ending::known_lines(told, logs));
    for page in &state.pages {
        let line = words::page(&page.message, page.by.as_deref(), page.why.as_deref(), paint);
        lines.push(format!("{}, {}", line.trim_start(), words::moment(page.at, now)));
    }
    lines.extend(
        ending::waiting(told, now).iter().map(|line| line.strip_prefix("  ").unwrap_or(line).to_owned()),
    );
    for (path, by, reason) in &state.waivers {
        let path = place(&told.plan, state, path);
        lines.push(format!("waived: {path}, by {}: {}", sanitize_line(by), sanitize_line(reason)));
    }
    for (path, result, needs_human) in &state.undone {
        let who = if *needs_human { "to be taken back by a person" } else { "taken back" };
        let path = place(&told.plan, state, path);
        lines.push(format!("{who}: {path}: {}", sanitize_line(result)));
    }
    if !state.locks.is_empty() && !state.status.is_final() {
        lines.push(format!("holds {}", sanitize_line(&state.locks.join(", "))));
    }
    lines.extend(ending::next_lines(told, paint));
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines
}

/// Steps, and the items of those that are not simply done.
fn step_lines(told: &Told, rollback: bool, now: Timestamp, paint: Paint) -> Vec<String> {
    let mut lines = Vec::new();
    let mut open = false;
    for item in items(&told.plan, &told.state, rollback) {
        let state = told.state.steps.get(&item.path);
        if item.step.is_some() && item.depth == 0 {
            open = words::standing(&told.state, &item.path).is_some_and(|status| is_interesting(&status));
        } else if !open {
            continue;
        }
        lines.push(line(&item, state, words::standing(&told.state, &item.path).as_ref(), now, paint));
    }
    lines
}

fn is_interesting(status: &StepStatus) -> bool {
    !matches!(status, StepStatus::Ended(Outcome::Done | Outcome::Skipped(_) | Outcome::Waived(_)))
}

/// One step or item.
fn line(
    item: &Item<'_>,
    state: Option<&StepState>,
    standing: Option<&StepStatus>,
    now: Timestamp,
    paint: Paint,
) -> String {
    let planned = item.step.and_then(|step| step.skipped.as_deref());
    let (word, why) = words::outcome(standing);
    let mark =
        if standing.is_none() && planned.is_some() { paint.dim("–") } else { words::mark(standing, paint) };
    let (word, why) = match (standing, planned) {
        (None, Some(planned)) => ("skipped", Some(planned)),
        _ => (word, why),
    };
    let mut line = format!("{}{mark} {}", "  ".repeat(item.depth), item.title);
    if let Some(state) = state {
        let to = state.finished.unwrap_or(now);
        line.push_str(&format!("  {}", paint.dim(&words::span(state.started, to))));
        if state.attempts > 1 {
            line.push_str(&paint.dim(&format!(", {} times", state.attempts)));
        }
    }
    if !matches!(word, "done" | "pending" | "running") {
        let why = why.map(|why| format!(": {}", words::why(why))).unwrap_or_default();
        line.push_str(&format!("  {word}{why}"));
    }
    line
}
