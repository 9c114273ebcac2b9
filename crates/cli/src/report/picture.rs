//! The lines of a live picture: their tones, their width, and what they say of a run.

use jiff::Timestamp;
use unicode_width::UnicodeWidthChar as _;
use windlass_core::plan::{Found, Node};
use windlass_core::run::{Outcome, RunEvent, StepStatus};
use windlass_core::text::sanitize_line;
use windlass_core::verdict::Seen;
use windlass_engine::interpreter::Direction;

use super::{Paint, words};
use crate::runner::Told;
use crate::runner::items::{items, place};

/// How wide the bar of a watch is.
const BAR: u64 = 20;

/// How a piece of a line is painted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// As it is.
    Plain,
    /// To be seen first.
    Bold,
    /// Less important.
    Dim,
    /// Good news.
    Good,
    /// To look at.
    Warn,
    /// Bad news.
    Bad,
}

/// A line of the picture.
#[derive(Debug, Clone, Default)]
pub struct Line {
    pieces: Vec<(Tone, String)>,
    /// What goes on now is here.
    pub current: bool,
}

impl Line {
    /// A line of one piece.
    pub fn of(tone: Tone, text: impl Into<String>) -> Self {
        Self::default().with(tone, text)
    }

    /// The line with one more piece.
    #[must_use]
    pub fn with(mut self, tone: Tone, text: impl Into<String>) -> Self {
        self.pieces.push((tone, text.into()));
        self
    }

    /// The line in at most `width` columns, without colour.
    pub fn plain(&self, width: usize) -> String {
        self.painted(width, Paint { color: false })
    }

    /// The line in at most `width` columns; one that is longer ends in `…`.
    pub fn painted(&self, width: usize, paint: Paint) -> String {
        let columns = |text: &str| text.chars().map(|letter| letter.width().unwrap_or(0)).sum::<usize>();
        let whole: usize = self.pieces.iter().map(|(_, text)| columns(text)).sum();
        let mut left = if whole > width { width.saturating_sub(1) } else { width };
        let mut painted = String::new();
        for (tone, text) in &self.pieces {
            let mut shown = String::new();
            let mut cut = false;
            for letter in text.chars() {
                let needs = letter.width().unwrap_or(0);
                if needs > left {
                    cut = true;
                    break;
                }
                left -= needs;
                shown.push(letter);
            }
            painted.push_str(&toned(*tone, &shown, paint));
            if cut {
                break;
            }
        }
        if whole > width {
            painted.push('…');
        }
        painted
    }
}

fn toned(tone: Tone, text: &str, paint: Paint) -> String {
    match tone {
        Tone::Plain => text.to_owned(),
        Tone::Bold => paint.bold(text),
        Tone::Dim => paint.dim(text),
        Tone::Good => paint.good(text),
        Tone::Warn => paint.warn(text),
        Tone::Bad => paint.bad(text),
    }
}

/// What runs, for how long.
pub fn head(told: &Told, now: Timestamp) -> Line {
    let version = words::released(&told.record);
    let title = sanitize_line(&told.plan.runbook.title);
    let began = told.state.started.unwrap_or(now);
    let back = if told.direction() == Direction::Rollback { " · rolling back" } else { "" };
    Line::of(Tone::Bold, format!("{title}{version}{back}"))
        .with(Tone::Dim, format!("  {}  {}", told.run(), words::span(began, now)))
}

/// The steps, and the items of those that are not simply done.
pub fn steps(told: &Told, now: Timestamp) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut open = false;
    for item in items(&told.plan, &told.state, told.direction() == Direction::Rollback) {
        let state = told.state.steps.get(&item.path);
        let standing = words::standing(&told.state, &item.path);
        let status = standing.as_ref();
        if item.step.is_some() && item.depth == 0 {
            let done = |status: &StepStatus| {
                matches!(status, StepStatus::Ended(Outcome::Done | Outcome::Skipped(_) | Outcome::Waived(_)))
            };
            open = status.is_some_and(|status| !done(status));
        } else if !open {
            continue;
        }
        let planned = item.step.and_then(|step| step.skipped.as_deref());
        let tone = match status {
            None => Tone::Dim,
            Some(StepStatus::Running) => Tone::Bold,
            Some(StepStatus::Waiting) => Tone::Warn,
            Some(StepStatus::Ended(Outcome::Done)) => Tone::Good,
            Some(StepStatus::Ended(Outcome::Failed(_))) => Tone::Bad,
            Some(StepStatus::Ended(Outcome::Skipped(_))) => Tone::Dim,
            Some(StepStatus::Ended(_)) => Tone::Warn,
        };
        let mark = if status.is_none() && planned.is_some() {
            "–".to_owned()
        } else {
            words::mark(status, Paint { color: false })
        };
        let mut line = Line::of(tone, format!("{}{mark} ", "  ".repeat(item.depth)))
            .with(if tone == Tone::Dim { Tone::Dim } else { Tone::Plain }, item.title.clone());
        if let Some(state) = state {
            let to = state.finished.unwrap_or(now);
            line = line.with(Tone::Dim, format!("  {}", words::span(state.started, to)));
            line.current = !matches!(status, Some(StepStatus::Ended(_)));
        }
        let (word, why) = words::outcome(status);
        let (word, why) =
            if status.is_none() && planned.is_some() { ("skipped", planned) } else { (word, why) };
        if !matches!(word, "done" | "pending" | "running" | "waiting") {
            let why = why.map(|why| format!(": {}", sanitize_line(why))).unwrap_or_default();
            line = line.with(tone, format!("  {word}{why}"));
        }
        lines.push(line);
    }
    for (path, result, needs_human) in &told.state.undone {
        let (tone, mark) = if *needs_human { (Tone::Warn, "! ") } else { (Tone::Good, "↶ ") };
        let what = format!("{}: {}", place(&told.plan, &told.state, path), sanitize_line(result));
        lines.push(Line { current: true, ..Line::of(tone, mark).with(Tone::Plain, what) });
    }
    lines
}

/// How far the watches and waits are that go on now.
pub fn watches(told: &Told, now: Timestamp) -> Vec<Line> {
    let mut lines = Vec::new();
    for recorded in &told.history {
        let RunEvent::WaitStarted { path, until } = &recorded.event else { continue };
        let goes_on = told.state.steps.get(path).is_some_and(|step| step.status == StepStatus::Running);
        if !goes_on || told.state.verdicts.contains_key(path) {
            continue;
        }
        let left = format!(", {} left", words::span(now, *until));
        let Some(Found::Node(_, node)) = told.plan.find(path) else { continue };
        let title = sanitize_line(&node.label());
        let Node::Watch(watch) = node else {
            lines.push(Line::of(Tone::Plain, format!("⧖ {title}{left}")));
            continue;
        };
        let rounds = told
            .history
            .iter()
            .filter(|recorded| matches!(&recorded.event, RunEvent::Sampled { path: at, .. } if at == path));
        let (rounds, planned) = (rounds.count() as u64, watch.rule.planned().max(1));
        let full = (rounds * BAR / planned).min(BAR);
        let bar: String = (0..BAR).map(|at| if at < full { '█' } else { '░' }).collect();
        let samples = told.state.samples.get(path).map(Vec::as_slice).unwrap_or_default();
        let count = |seen| samples.iter().filter(|sample| sample.seen == seen).count();
        let (good, bad) = (count(Seen::Good), count(Seen::Bad));
        let last_bad = samples.iter().rev().find(|sample| sample.seen == Seen::Bad);
        let mut line = Line::of(Tone::Plain, format!("{title} {bar} {rounds}/{planned}"));
        if !watch.probes.is_empty() {
            line = line
                .with(Tone::Plain, format!("  {good} good "))
                .with(if bad > 0 { Tone::Bad } else { Tone::Plain }, format!("{bad} bad"));
        }
        lines.push(line.with(Tone::Dim, left));
        if let Some(metrics) = &watch.metrics {
            lines.extend(super::chart::live(metrics, samples));
        }
        if let Some(sample) = last_bad {
            let text = format!("  {}: {}", sanitize_line(&sample.probe), sanitize_line(&sample.detail));
            lines.push(Line::of(Tone::Bad, text));
        }
    }
    if !lines.is_empty() {
        lines.insert(0, Line::default());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_fit_their_width() {
        let check = |width: usize, expect: &str| {
            let line = Line::of(Tone::Good, "ab").with(Tone::Plain, "漢字c");
            assert_eq!(line.plain(width), expect);
        };
        check(7, "ab漢字c");
        check(6, "ab漢…");
        check(4, "ab…");
        check(1, "…");
        assert_eq!(Line::of(Tone::Bad, "abc").painted(9, Paint { color: true }).matches("abc").count(), 1);
    }
}
