//! What the tests of Windlass share. Never shipped.
//!
//! - [`postgres`]: a real PostgreSQL server.
//! - [`prometheus`]: a real Prometheus, and a service whose counters it scrapes.
//! - [`repo`]: temporary git repositories that know nothing of the user's configuration.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot set its scene must fail where it stands"
)]

pub mod postgres;
pub mod prometheus;
pub mod repo;
