//! A run as plain lines, one per event: for logs of CI, files and pipes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use windlass_core::gate::Choice;
use windlass_core::plan::{Found, Node, Plan, StepPath, WatchNode};
use windlass_core::run::{Outcome, Recorded, RunEvent, RunId, RunState, StepStatus};
use windlass_core::text::{sanitize, sanitize_line};

use super::{Paint, Report, chart, words};
use crate::runner::Told;
use crate::runner::items::items;

/// Writes a run as plain lines.
#[derive(Debug)]
pub struct Plain {
    began: Timestamp,
    github: bool,
    plan: Arc<Plan>,
    titles: BTreeMap<StepPath, String>,
    steps: BTreeSet<StepPath>,
    grouped: bool,
    /// Why the last item failed.
    failure: Option<String>,
    /// The run, when this process stays at gates: then whoever reads must learn how they are answered.
    stays: Option<RunId>,
}

impl Plain {
    /// For the run that `told` tells of; `github` writes the commands that GitHub's log understands.
    pub fn new(told: &Told, github: bool, stays: bool) -> Self {
        let all = items(&told.plan, &told.state, true);
        Self {
            began: Timestamp::now(),
            github,
            plan: told.plan.clone(),
            steps: all.iter().filter(|item| item.step.is_some()).map(|item| item.path.clone()).collect(),
            titles: all.into_iter().map(|item| (item.path, item.title)).collect(),
            grouped: false,
            failure: None,
            stays: stays.then(|| told.run().clone()),
        }
    }

    /// Writes one event.
    pub fn event(&mut self, report: &mut Report, recorded: &Recorded, state: &RunState) {
        if let Some(path) = subject(&recorded.event)
            && !self.titles.contains_key(path)
        {
            // A route the run has taken just now.
            let all = items(&self.plan, state, true);
            self.titles.extend(all.into_iter().map(|item| (item.path, item.title)));
        }
        if let RunEvent::StepStarted { path, title } = &recorded.event {
            self.titles.insert(path.clone(), sanitize_line(title));
            self.steps.insert(path.clone());
        }
        let Some(text) = self.words(&recorded.event, report.err_paint) else { return };
        if let RunEvent::ActionFinished { outcome: Outcome::Failed(why), .. } = &recorded.event {
            self.failure = Some(why.clone());
        }
        if self.github {
            self.github(report, &recorded.event, &text);
        }
        let elapsed = words::span(self.began, recorded.at);
        let line = format!("{} {text}", report.err_paint.dim(&format!("[{elapsed:>6}]")));
        report.progress(&line);
        if let RunEvent::Judged { path, judgement } = &recorded.event
            && let Some(node) = self.watch(path)
        {
            let samples = state.samples.get(path).map(Vec::as_slice).unwrap_or_default();
            for line in chart::lines(node, samples, Some(judgement), report.err_paint) {
                report.progress(&format!("         {line}"));
            }
        }
        if let RunEvent::GateOpened { path, gate, deadline, .. } = &recorded.event {
            if let Some(deadline) = deadline {
                let until = words::moment(*deadline, Timestamp::now());
                report.progress(&format!("           until {until}"));
            }
            if let Some(run) = &self.stays {
                report.progress(&format!("           answer with: {}", words::answer(run, *gate, path)));
            }
        }
    }

    /// Writes one line of an item's log.
    pub fn line(&self, report: &mut Report, text: &str) {
        let text = sanitize(text).replace('\n', " ");
        let line = format!("         {} {text}", report.err_paint.dim("│"));
        report.progress(&line);
    }

    /// Writes what is still open.
    pub fn finish(&mut self, report: &mut Report) {
        if std::mem::take(&mut self.grouped) {
            report.progress("::endgroup::");
        }
    }

    fn github(&mut self, report: &mut Report, event: &RunEvent, text: &str) {
        match event {
            RunEvent::StepStarted { title, .. } => {
                self.finish(report);
                report.progress(&format!("::group::{}", escaped(&sanitize_line(title))));
                self.grouped = true;
            }
            RunEvent::StepFinished { path, outcome } if self.steps.contains(path) => {
                self.finish(report);
                if let Outcome::Failed(why) = outcome {
                    let title = escaped(&self.title(path)).replace(':', "%3A").replace(',', "%2C");
                    report.progress(&format!("::error title={title}::{}", escaped(&sanitize_line(why))));
                }
            }
            RunEvent::GateOpened { .. } => report.progress(&format!("::notice::{}", escaped(text))),
            _ => {}
        }
    }

    fn title(&self, path: &StepPath) -> String {
        self.titles.get(path).cloned().unwrap_or_else(|| sanitize_line(&path.0))
    }

    fn watch(&self, path: &StepPath) -> Option<&WatchNode> {
        match self.plan.find(path) {
            Some(Found::Node(_, Node::Watch(node))) => Some(node),
            _ => None,
        }
    }

    fn words(&self, event: &RunEvent, paint: Paint) -> Option<String> {
        let ended = |outcome: &Outcome| {
            let status = StepStatus::Ended(outcome.clone());
            let mark = words::mark(Some(&status), paint);
            let (word, why) = words::outcome(Some(&status));
            let why = why.map(|why| format!(": {}", words::why(why))).unwrap_or_default();
            (mark, if word == "done" { String::new() } else { format!(" {word}{why}") })
        };
        Some(match event {
            RunEvent::Started { plan, by, despite } => {
                let despite = if despite.is_empty() {
                    String::new()
                } else {
                    format!(", despite: {}", sanitize_line(&despite.join("; ")))
                };
                format!("run started by {}, plan {}{despite}", sanitize_line(by), plan.short())
            }
            RunEvent::Taken { owner, epoch } if *epoch > 1 => {
                format!("resumed by {}", sanitize_line(owner))
            }
            RunEvent::Taken { .. } => return None,
            RunEvent::StepStarted { title, .. } => {
                format!(
                    "{} {}",
                    words::mark(Some(&StepStatus::Running), paint),
                    paint.bold(&sanitize_line(title))
                )
            }
            RunEvent::StepFinished { path, outcome } => {
                let (mark, how) = match outcome {
                    // The item above has said why.
                    Outcome::Failed(why) if self.failure.as_ref() == Some(why) => {
                        (ended(outcome).0, " failed".to_owned())
                    }
                    outcome => ended(outcome),
                };
                let indent = if self.steps.contains(path) { "" } else { "  " };
                format!("{indent}{mark} {}{how}", self.title(path))
            }
            RunEvent::ActionStarted { path, attempt, .. } => {
                let again = if *attempt > 1 { format!(" (attempt {attempt})") } else { String::new() };
                format!("  {} {}{again}", words::mark(Some(&StepStatus::Running), paint), self.title(path))
            }
            RunEvent::ActionFinished { path, outcome, recovered, .. } => {
                let (mark, how) = ended(outcome);
                let found = if *recovered { " (found done after an interruption)" } else { "" };
                format!("  {mark} {}{how}{found}", self.title(path))
            }
            RunEvent::GateOpened { question, who, .. } => format!(
                "  {} waits for {}: {}",
                words::mark(Some(&StepStatus::Waiting), paint),
                words::asked(who),
                sanitize_line(question)
            ),
            RunEvent::Decided { path, decision } => {
                let said = match decision.choice {
                    Choice::Approve => "yes",
                    Choice::Reject => "no",
                };
                let comment = decision.comment.as_deref().map(|text| format!(": {}", sanitize_line(text)));
                let person = sanitize_line(&decision.person);
                format!("  {person} says {said} to {}{}", self.title(path), comment.unwrap_or_default())
            }
            RunEvent::GateClosed { path, granted, why } => {
                let outcome = if *granted { Outcome::Done } else { Outcome::Failed(why.clone()) };
                let mark = words::mark(Some(&StepStatus::Ended(outcome)), paint);
                format!("  {mark} {}: {}", self.title(path), sanitize_line(why))
            }
            RunEvent::WaitStarted { path, until } => {
                format!("  ⧖ {} until {}", self.title(path), words::moment(*until, Timestamp::now()))
            }
            RunEvent::Sampled { path, round, samples } => {
                let node = self.watch(path);
                let seen: Vec<String> = samples
                    .iter()
                    // What the release is compared with is many samples, and none of it.
                    .filter(|sample| !sample.baseline)
                    .map(|sample| format!("{} {}", sanitize_line(&sample.probe), words::seen(sample, node)))
                    .collect();
                if seen.is_empty() {
                    // The first moment of metrics: no interval is over yet.
                    return None;
                }
                format!("    {} sample {}: {}", self.title(path), round + 1, seen.join(", "))
            }
            RunEvent::Paged { message, by, why, .. } => {
                words::page(message, by.as_deref(), why.as_deref(), paint)
            }
            RunEvent::Judged { path, judgement } => {
                format!("  {}: {}", self.title(path), words::judged(judgement, self.watch(path)))
            }
            RunEvent::Waived { path, by, reason } => {
                format!("  – {} waived by {}: {}", self.title(path), sanitize_line(by), sanitize_line(reason))
            }
            RunEvent::Retried { path, by } => {
                format!("  {} asked for {} to be run again", sanitize_line(by), self.title(path))
            }
            RunEvent::LockAwaited { lock, holder } => {
                format!("  waits for {}, which {holder} holds", sanitize_line(lock))
            }
            RunEvent::Locked { lock, .. } => format!("  holds {}", sanitize_line(lock)),
            RunEvent::Unlocked { lock, .. } => format!("  gave {} back", sanitize_line(lock)),
            RunEvent::Routed { path, to } => {
                format!("  {} leads to `{}`", self.title(path), sanitize_line(to))
            }
            RunEvent::Undone { path, result, needs_human } => {
                let mark = if *needs_human { "!" } else { "↶" };
                format!("  {mark} {}: {}", self.title(path), sanitize_line(result))
            }
            RunEvent::CancelRequested { by } => format!("{} cancels the run", sanitize_line(by)),
            RunEvent::RollbackRequested { by, reason } => {
                let reason = reason.as_deref().map(|text| format!(": {}", sanitize_line(text)));
                format!("{} rolls the run back{}", sanitize_line(by), reason.unwrap_or_default())
            }
            // The summary says it.
            RunEvent::Finished { .. } => return None,
        })
    }
}

/// The item an event is about, where its title is shown.
fn subject(event: &RunEvent) -> Option<&StepPath> {
    match event {
        RunEvent::StepFinished { path, .. }
        | RunEvent::ActionStarted { path, .. }
        | RunEvent::ActionFinished { path, .. }
        | RunEvent::Decided { path, .. }
        | RunEvent::GateClosed { path, .. }
        | RunEvent::WaitStarted { path, .. }
        | RunEvent::Sampled { path, .. }
        | RunEvent::Judged { path, .. }
        | RunEvent::Waived { path, .. }
        | RunEvent::Retried { path, .. }
        | RunEvent::Routed { path, .. }
        | RunEvent::Undone { path, .. } => Some(path),
        _ => None,
    }
}

/// Text within one of GitHub's commands.
fn escaped(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}
