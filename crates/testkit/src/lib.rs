//! What the tests of Windlass share. Never shipped.
//!
//! - [`forges`]: an emulator of the releases of GitHub, Forgejo and GitLab over a bare repository.
//! - [`grafana`]: an emulator of Grafana's annotations.
//! - [`data_sources`]: an emulator of Grafana's data source proxy.
//! - [`logs`]: an emulator of Loki and Elasticsearch over the same lines.
//! - [`pagers`]: an emulator of the services that call people.
//! - [`postgres`]: a real PostgreSQL server.
//! - [`prometheus`]: a real Prometheus, and a service whose counters it scrapes.
//! - [`proxies`]: a real HAProxy, nginx or Caddy in front of two servers.
//! - [`repo`]: temporary git repositories that know nothing of the user's configuration.
//! - [`serve`]: the small HTTP server of emulators.
//! - [`versions`]: servers that tell a version, and customers who never stop asking.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot set its scene must fail where it stands"
)]

pub mod data_sources;
mod emulator;
pub mod forges;
pub mod grafana;
pub mod logs;
pub mod pagers;
pub mod ports;
pub mod postgres;
pub mod prometheus;
pub mod proxies;
pub mod repo;
pub mod serve;
pub mod versions;
