//! `backup.create`: a backup of an environment's database, whole or not at all.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use windlass_core::config::Environment;

/// Parameters of `backup.create`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The environment whose database it is, as under `[environments.NAME.database]` in windlass.toml.
    pub environment: String,
    /// Its configuration, as it was when this was planned.
    #[serde(default)]
    #[schemars(skip)]
    pub target: Environment,
}

/// What `backup.create` gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// The environment.
    pub environment: String,
    /// The backup's name in its source's catalogue, as `database.restore` takes it.
    pub id: String,
    /// When it was begun: what it holds is as of then.
    pub taken: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256, where the source tells it.
    pub sha256: Option<String>,
    /// The schema's newest migration in it, where the configuration has a `schema` query.
    pub schema: Option<String>,
}
