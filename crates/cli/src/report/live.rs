//! A run redrawn on a terminal.

use windlass_core::plan::StepPath;
use windlass_core::run::{Recorded, RunState};

use super::Report;
use super::view::Asked;
use crate::runner::Told;
use crate::runner::keys::Key;

/// A run redrawn on a terminal.
pub struct Live {
    told: Told,
}

impl Live {
    /// For the run that `told` tells of.
    pub fn new(told: &Told) -> Self {
        Self { told: told.clone() }
    }

    /// Takes an event into account.
    pub fn event(&mut self, recorded: &Recorded, state: &RunState) {
        self.told.history.push(recorded.clone());
        self.told.state = state.clone();
    }

    /// Takes a line of an item's log into account.
    pub fn line(&mut self, _path: &StepPath, _text: &str) {}

    /// Says something.
    pub fn note(&mut self, _note: String) {}

    /// A key was pressed.
    pub fn key(&mut self, key: Key, _interactive: bool) -> Option<Asked> {
        (key == Key::Interrupt).then_some(Asked::Interrupt)
    }

    /// Draws.
    pub fn draw(&mut self, _report: &mut Report) {}

    /// Leaves the last picture.
    pub fn finish(&mut self, _report: &mut Report) {}
}
