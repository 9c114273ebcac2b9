//! `database.restore`: a backup in the database's place, with the database of before kept beside it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use windlass_core::config::Environment;

use crate::database::{BackupRef, Loss};

/// Parameters of `database.restore`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The environment whose database it is, as under `[environments.NAME.database]` in windlass.toml.
    pub environment: String,
    /// The backup's name in its source's catalogue; the newest one when not given.
    #[serde(default)]
    pub backup: Option<String>,
    /// Its configuration, as it was when this was planned.
    #[serde(default)]
    #[schemars(skip)]
    pub target: Environment,
}

/// What `database.restore` gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// The environment.
    pub environment: String,
    /// The database.
    pub database: String,
    /// The backup that it is now.
    pub backup: BackupRef,
    /// What the database of before is called now. Nobody can connect to it.
    pub before: String,
    /// What was lost by it, as far as it is known.
    pub loss: Option<Loss>,
}
