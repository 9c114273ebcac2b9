//! The domain of Windlass: versions, commits, changelogs, runbooks, plans and runs.
//!
//! Invariants of absence: nothing here does I/O, reads a clock, draws a random number or awaits.
//! The world comes in as arguments and goes out as data.

pub mod changelog;
pub mod commit;
pub mod config;
pub mod diagnostic;
pub mod duration;
pub mod forge;
pub mod gate;
pub mod plan;
pub mod rollback;
pub mod run;
pub mod runbook;
pub mod text;
pub mod verdict;
pub mod version;
