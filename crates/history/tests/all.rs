//! What is read of a repository is what git says of it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation is the report"
)]

#[path = "suite/against_git.rs"]
mod against_git;
#[path = "suite/bad_input.rs"]
mod bad_input;
#[path = "suite/dag.rs"]
mod dag;
#[path = "suite/keeping.rs"]
mod keeping;
