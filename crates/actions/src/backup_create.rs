//! `backup.create`: a backup of an environment's database, whole or not at all.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use windlass_core::config::Environment;
use windlass_core::plan::{Effect, Facts, Reversibility};
use windlass_engine::action::{Action, Probe, Result, Undone};
use windlass_engine::context::Context;

use crate::database::catalogue::Entry;
use crate::database::tools::Tools;
use crate::database::{configured, key};
use crate::deploy;

/// A backup of an environment's database.
#[derive(Debug, Clone, Copy)]
pub struct CreateBackup;

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

impl Action for CreateBackup {
    const NAME: &'static str = "backup.create";
    const SUMMARY: &'static str =
        "Makes a backup of an environment's database, whole or not at all. Taking a run back keeps it.";
    type Params = Params;
    type Output = Output;

    fn effects(&self, params: &Params, facts: &Facts) -> Result<Vec<Effect>> {
        deploy::known(facts, &params.environment)?;
        configured(&params.environment, &params.target)?;
        Ok(vec![effect(params)])
    }

    fn label(&self, params: &Params, _: &Facts) -> String {
        format!("back up the database of {}", params.environment)
    }

    async fn probe(&self, params: &Params, context: &Context) -> Result<Probe<Output>> {
        let tools = Tools::new(&params.environment, &params.target, context)?;
        let made = tools.catalogue().await?;
        let made = made.made(&name(&tools, context));
        Ok(made.map_or(Probe::Absent, |entry| Probe::Done(output(params, entry))))
    }

    async fn run(&self, params: &Params, context: &Context) -> Result<Output> {
        if let Probe::Done(output) = self.probe(params, context).await? {
            return Ok(output);
        }
        let tools = Tools::new(&params.environment, &params.target, context)?;
        let entry = create(&tools, context).await?;
        context.changed(effect(params));
        Ok(output(params, &entry))
    }

    /// What leads back is kept above all when something is taken back.
    async fn undo(&self, _: &Params, _: &Output, _: &Context) -> Result<Undone> {
        Ok(Undone::NothingToDo)
    }
}

/// Makes the backup of this item, or gives the one it made already.
pub(crate) async fn create(tools: &Tools<'_>, context: &Context) -> Result<Entry> {
    let version = context.world.release.as_ref().map(|release| release.version.as_str());
    tools.make(&name(tools, context), version, &context.run.0).await
}

/// The name of this item's backup, always the same.
fn name(tools: &Tools<'_>, context: &Context) -> String {
    let plain =
        |letter: char| if letter.is_ascii_alphanumeric() || "._-".contains(letter) { letter } else { '_' };
    format!("{}-{}", tools.database.name, key(context)).chars().map(plain).collect()
}

fn output(params: &Params, entry: &Entry) -> Output {
    Output {
        environment: params.environment.clone(),
        id: entry.id.clone(),
        taken: entry.taken.to_string(),
        size: entry.size,
        sha256: entry.sha256.clone(),
        schema: entry.schema.clone(),
    }
}

fn effect(params: &Params) -> Effect {
    Effect::new("back up the database of", &params.environment, Reversibility::Compensable)
}
