//! What the tests of Windlass share. Never shipped.
//!
//! - [`repo`]: temporary git repositories that know nothing of the user's configuration.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot set its scene must fail where it stands"
)]

pub mod repo;
