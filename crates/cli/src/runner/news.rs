//! What the engine's side tells the terminal's side while a run is worked on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc::UnboundedSender;
use windlass_core::plan::StepPath;
use windlass_core::run::Recorded;
use windlass_engine::context::{LogSink, Stream};
use windlass_engine::embedded::Observer;

use crate::project::counted;

/// Log lines that wait to be shown; more are left to the log's file.
const MOST_LINES: usize = 4096;

/// What the engine's side tells the terminal's side.
pub(super) enum News {
    Event(Box<Recorded>),
    Line(String),
}

/// Tells the terminal's side what enters the history.
pub(super) struct Events {
    pub(super) sender: UnboundedSender<News>,
    /// Only what comes after the event of this number.
    pub(super) after: u64,
}

impl Observer for Events {
    fn event(&self, recorded: &Recorded) {
        if recorded.sequence > self.after {
            // Nobody listens any more: the history has it.
            let _ = self.sender.send(News::Event(Box::new(recorded.clone())));
        }
    }
}

/// Log lines on their way to the terminal.
#[derive(Default)]
pub(super) struct Backlog {
    pub(super) waiting: AtomicUsize,
    missed: AtomicUsize,
}

impl Backlog {
    /// Says how many lines were not shown, once.
    pub(super) fn missed(&self) -> Option<String> {
        let missed = self.missed.swap(0, Ordering::Relaxed);
        (missed > 0)
            .then(|| format!("… {} not shown here: the log has them", counted(missed, "line", "lines")))
    }
}

/// Tells the terminal's side what is logged, as long as it keeps up.
pub(super) struct Lines {
    pub(super) sender: UnboundedSender<News>,
    pub(super) backlog: Arc<Backlog>,
}

impl Lines {
    fn send(&self, line: String) {
        self.backlog.waiting.fetch_add(1, Ordering::Relaxed);
        if self.sender.send(News::Line(line)).is_err() {
            self.backlog.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl LogSink for Lines {
    fn line(&self, _: &StepPath, _: Stream, line: &str) {
        if self.backlog.waiting.load(Ordering::Relaxed) >= MOST_LINES {
            self.backlog.missed.fetch_add(1, Ordering::Relaxed);
            return;
        }
        if let Some(missed) = self.backlog.missed() {
            self.send(missed);
        }
        self.send(line.to_owned());
    }
}
