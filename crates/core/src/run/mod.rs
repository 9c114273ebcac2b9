//! A run: its history of events, and its state folded from them.

mod event;
mod state;

pub use event::{Link, Outcome, Recorded, RunEvent, RunId, chain, verify_chain};
pub use state::{Gate, GateKind, Page, RunState, RunStatus, StepState, StepStatus};
