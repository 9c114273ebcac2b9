//! How a run is shown while it is worked on: as events in JSON, as plain lines, or live.

use serde_json::json;
use windlass_core::plan::StepPath;
use windlass_core::run::{Recorded, RunState};
use windlass_core::text::sanitize_line;
use windlass_engine::logs::LogFolder;

use super::live::Live;
use super::plain::Plain;
use super::{Report, ending};
use crate::exit::Exit;
use crate::runner::Told;
use crate::runner::drive::How;
use crate::runner::keys::Key;
use crate::session::Session;

/// A run being shown.
pub enum View {
    /// One JSON object per event.
    Json,
    /// Lines.
    Plain(Plain),
    /// Redrawn on a terminal.
    Live(Box<Live>),
}

/// What the person at the terminal wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// To leave.
    Interrupt,
    /// To answer a gate.
    Answer(KeyAnswer),
}

/// An answer to an open gate, given by keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyAnswer {
    /// Yes.
    Yes(StepPath),
    /// No.
    No(StepPath),
    /// Let it pass, and why.
    Skip(StepPath, String),
    /// Run it again.
    Retry(StepPath),
}

impl View {
    /// The view that fits the streams.
    pub fn new(session: &Session, told: &Told, how: &How) -> Self {
        if session.report.is_json() {
            Self::Json
        } else if session.report.live {
            let person = how.person.clone().filter(|_| session.is_interactive());
            Self::Live(Box::new(Live::new(told, person)))
        } else {
            Self::Plain(Plain::new(told, session.report.is_github(), how.stay))
        }
    }

    /// Whether it is redrawn on a terminal.
    pub fn is_live(&self) -> bool {
        matches!(self, Self::Live(_))
    }

    /// Shows an event; `state` has it already.
    pub fn event(&mut self, session: &mut Session, recorded: &Recorded, state: &RunState) {
        match self {
            Self::Json => {
                let text = serde_json::to_string(recorded).unwrap_or_default();
                session.report.line(&text);
            }
            Self::Plain(plain) => plain.event(&mut session.report, recorded, state),
            Self::Live(live) => live.event(recorded, state),
        }
    }

    /// Shows a line of an item's log.
    pub fn line(&mut self, session: &mut Session, text: &str) {
        match self {
            Self::Json => {}
            Self::Plain(plain) => plain.line(&mut session.report, text),
            Self::Live(live) => live.line(text),
        }
    }

    /// Says something to the person at the terminal.
    pub fn note(&mut self, session: &mut Session, note: &str) {
        match self {
            Self::Json => {}
            Self::Plain(_) => session.report.progress(&sanitize_line(note)),
            Self::Live(live) => live.note(note),
        }
    }

    /// A key was pressed.
    pub fn key(&mut self, key: Key) -> Option<Asked> {
        match self {
            Self::Live(live) => live.key(key),
            _ => None,
        }
    }

    /// Time to draw.
    pub fn frame(&mut self, session: &mut Session) {
        if let Self::Live(live) = self {
            live.draw(&mut session.report);
        }
    }

    /// The process leaves the run.
    pub fn finish(&mut self, session: &mut Session) {
        match self {
            Self::Json => {}
            Self::Plain(plain) => plain.finish(&mut session.report),
            Self::Live(live) => live.finish(&mut session.report),
        }
    }
}

impl Report {
    /// Says how a run stands when a process leaves it.
    pub fn run_ended(&mut self, told: &Told, logs: &LogFolder, exit: Exit) {
        if self.is_json() {
            let next: Vec<String> = ending::next(told).into_iter().map(|(command, _)| command).collect();
            let object = json!({
                "schema": "windlass/run/1",
                "run": told.run(),
                "runbook": told.plan.runbook.name,
                "version": told.record.version,
                "plan": told.digest,
                "status": told.state.status,
                "exit": exit.code(),
                "path": told.state.stopped_at,
                "why": told.state.why,
                "gates": told.state.gates,
                "next": next,
            });
            self.line(&object.to_string());
            return;
        }
        let lines = ending::lines(told, logs, self.err_paint);
        for line in lines {
            self.progress(&line);
        }
    }
}
