//! `backup.verify`: the newest backup is young, whole, of a likely size, and was restored.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use windlass_core::config::Environment;
use windlass_core::plan::{Effect, Facts};
use windlass_engine::action::{Action, Probe, Result, Undone};
use windlass_engine::context::Context;

use crate::database::configured;
use crate::database::proof::verify;
use crate::database::tools::Tools;
use crate::deploy;

/// The newest backup is young, whole, of a likely size, and was restored.
#[derive(Debug, Clone, Copy)]
pub struct VerifyBackup;

/// Parameters of `backup.verify`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The environment whose database it is, as under `[environments.NAME.database]` in windlass.toml.
    pub environment: String,
    /// Whether the backup is restored to prove it.
    #[serde(default)]
    pub restore: Restore,
    /// Its configuration, as it was when this was planned.
    #[serde(default)]
    #[schemars(skip)]
    pub target: Environment,
}

/// When a backup is restored to prove it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Restore {
    /// This very backup, now, unless it has been proven already.
    #[default]
    Always,
    /// When no backup of this database was proven within `proven_within`.
    WhenDue,
    /// Never: only what the catalogue tells is looked at.
    Never,
}

/// What `backup.verify` gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// The environment.
    pub environment: String,
    /// The backup's name in its source's catalogue, as `database.restore` takes it.
    pub id: String,
    /// When it was begun: what it holds is as of then.
    pub taken: String,
    /// How old it is, in seconds.
    pub age: u64,
    /// Its size in bytes.
    pub size: u64,
    /// The median size of those before it; nothing when there are none.
    pub median: Option<u64>,
    /// The backup that was restored, and how that went; nothing when none was and none had to be.
    pub proof: Option<Proof>,
}

/// That a backup was restored and found right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Proof {
    /// The backup.
    pub id: String,
    /// When it was restored.
    pub at: String,
    /// How long it took until the restored database answered and its checks were true, in milliseconds.
    pub recovery: u64,
    /// How many queries were true in it.
    pub checks: u64,
}

impl Action for VerifyBackup {
    const NAME: &'static str = "backup.verify";
    const SUMMARY: &'static str = "Fails unless the newest backup is young, whole and of a likely size, and a database was restored from it.";
    type Params = Params;
    type Output = Output;

    fn effects(&self, params: &Params, facts: &Facts) -> Result<Vec<Effect>> {
        deploy::known(facts, &params.environment)?;
        configured(&params.environment, &params.target)?;
        Ok(Vec::new())
    }

    fn label(&self, params: &Params, _: &Facts) -> String {
        format!("verify the newest backup of {}", params.environment)
    }

    async fn probe(&self, _: &Params, _: &Context) -> Result<Probe<Output>> {
        Ok(Probe::Unknown)
    }

    async fn run(&self, params: &Params, context: &Context) -> Result<Output> {
        let tools = Tools::new(&params.environment, &params.target, context)?;
        let verified = verify(&tools, params.restore, context).await?;
        Ok(Output {
            environment: params.environment.clone(),
            id: verified.entry.id.clone(),
            taken: verified.entry.taken.to_string(),
            age: verified.age,
            size: verified.entry.size,
            median: verified.median,
            proof: verified.proof.map(|proof| Proof {
                id: proof.id,
                at: proof.at.to_string(),
                recovery: proof.recovery,
                checks: proof.checks,
            }),
        })
    }

    async fn undo(&self, _: &Params, _: &Output, _: &Context) -> Result<Undone> {
        Ok(Undone::NothingToDo)
    }
}
