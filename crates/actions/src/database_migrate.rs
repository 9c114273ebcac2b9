//! `database.migrate`: a migration by any command, of a class that is recorded where a rollback finds it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use windlass_core::config::Environment;

use crate::database::BackupRef;
use crate::script::Language;

/// Parameters of `database.migrate`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The environment whose database it is, as under `[environments.NAME.database]` in windlass.toml.
    pub environment: String,
    /// What migrates. It gets `PGHOST`, `PGPORT`, `PGUSER`, `PGDATABASE` and `PGPASSWORD` as they are configured, runs on
    /// this machine, and is run again after a crash: as migration tools do, it must know what it has done.
    pub run: String,
    /// What it does to those that use the database.
    pub class: Class,
    /// What takes a migration back that is `backward-compatible` or `none`.
    #[serde(default)]
    pub undo: Option<String>,
    /// A destructive migration makes a backup first. Without, the newest one must be as `backup.verify` wants it.
    #[serde(default = "yes")]
    pub backup: bool,
    /// What the scripts are written in.
    #[serde(default = "bash")]
    pub language: Language,
    /// Names of secrets that the scripts get as environment variables.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// Its configuration, as it was when this was planned.
    #[serde(default)]
    #[schemars(skip)]
    pub target: Environment,
}

/// What a migration does to those that use the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Nothing that any version could notice.
    None,
    /// The version before works with it too.
    BackwardCompatible,
    /// The version before does not work with it, or data is lost: the way back is a backup.
    Destructive,
}

/// What `database.migrate` gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// The environment.
    pub environment: String,
    /// What it did to those that use the database.
    pub class: Class,
    /// The version it came with, when the runbook releases one.
    pub version: Option<String>,
    /// The schema's newest migration before, where the configuration has a `schema` query.
    pub before: Option<String>,
    /// The same after it.
    pub after: Option<String>,
    /// When it was done.
    pub at: String,
    /// The backup that leads back from a destructive one.
    pub backup: Option<BackupRef>,
}

fn bash() -> Language {
    Language::Bash
}

fn yes() -> bool {
    true
}
