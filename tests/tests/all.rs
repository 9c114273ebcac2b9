//! End-to-end tests on the real binary and real git.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests must fail where they stand; clippy only knows functions marked as tests"
)]

mod crash;
