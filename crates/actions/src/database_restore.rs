//! `database.restore`: a backup in the database's place, with the database of before kept beside it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use windlass_core::config::Environment;
use windlass_core::plan::{Effect, Facts, Reversibility};
use windlass_core::text::sanitize_line;
use windlass_engine::action::{Action, ActionError, Probe, Result, Undone};
use windlass_engine::context::Context;

use crate::database::catalogue::Entry;
use crate::database::swap::{Marker, Place, Swap};
use crate::database::tools::Tools;
use crate::database::{BackupRef, Fence, Loss, alone, configured, is_held};
use crate::deploy;
use crate::deploy::lock::is_undo;

/// A backup in the place of an environment's database.
#[derive(Debug, Clone, Copy)]
pub struct RestoreDatabase;

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
    /// What the database of before is called now. Nobody can connect to it. Nothing when there was none.
    pub before: Option<String>,
    /// What was lost by it, as far as it is known.
    pub loss: Option<Loss>,
}

impl Action for RestoreDatabase {
    const NAME: &'static str = "database.restore";
    const SUMMARY: &'static str = "Restores a backup beside an environment's database, checks it, and lets them change places; the other one is kept.";
    type Params = Params;
    type Output = Output;

    fn effects(&self, params: &Params, facts: &Facts) -> Result<Vec<Effect>> {
        deploy::known(facts, &params.environment)?;
        configured(&params.environment, &params.target)?;
        Ok(vec![effect(params)])
    }

    fn label(&self, params: &Params, _: &Facts) -> String {
        let what = params.backup.as_deref().map_or("its newest backup".to_owned(), sanitize_line);
        format!("restore the database of {} from {what}", params.environment)
    }

    async fn probe(&self, params: &Params, context: &Context) -> Result<Probe<Output>> {
        if is_held(&params.environment, &params.target, context).await? && !is_undo(context) {
            return Ok(Probe::Absent);
        }
        let tools = Tools::new(&params.environment, &params.target, context)?;
        let swap = Swap::look(&tools, context).await?;
        Ok(match swap.place() {
            Place::Restored(marker, true) => Probe::Done(output(params, &tools, &swap, &marker)),
            // Half-way, it goes on, and is to be taken back.
            Place::Restored(marker, false) | Place::Ready(marker) if is_undo(context) => {
                Probe::Done(output(params, &tools, &swap, &marker))
            }
            Place::Restored(_, false) | Place::Ready(_) | Place::Before => Probe::Absent,
        })
    }

    async fn run(&self, params: &Params, context: &Context) -> Result<Output> {
        if let Probe::Done(output) = self.probe(params, context).await? {
            return Ok(output);
        }
        let tools = Tools::new(&params.environment, &params.target, context)?;
        let tools = &tools;
        alone(&params.environment, &params.target, context, |fence| forward(params, tools, fence, context))
            .await
    }

    async fn undo(&self, params: &Params, _: &Output, context: &Context) -> Result<Undone> {
        let tools = Tools::new(&params.environment, &params.target, context)?;
        let tools = &tools;
        alone(&params.environment, &params.target, context, |fence| back(params, tools, fence, context)).await
    }
}

async fn forward(params: &Params, tools: &Tools<'_>, fence: Fence, context: &Context) -> Result<Output> {
    let swap = Swap::look(tools, context).await?;
    let marker = match swap.place() {
        Place::Restored(marker, is_open) => {
            if !is_open {
                fence.hold(context).await?;
                swap.open().await?;
            }
            return Ok(output(params, tools, &swap, &marker));
        }
        Place::Ready(marker) => marker,
        Place::Before => {
            if swap.has_before() {
                return Err(ActionError::Final(format!(
                    "there is a database {} already, and {} is not what this step restored: look at both, and rename \
                     or drop the first",
                    swap.before, tools.database.name
                )));
            }
            let entry = chosen(params, tools).await?;
            context.log(&format!("{}: restoring {} to {}", tools.place(), entry.id, swap.new));
            swap.prepare(&entry, context).await?
        }
    };
    context.log(&format!("{}: {} takes the place of {}", tools.place(), swap.new, tools.database.name));
    // Restoring may have taken hours.
    fence.hold(context).await?;
    swap.switch().await?;
    context.changed(effect(params));
    Ok(output(params, tools, &swap, &marker))
}

async fn back(params: &Params, tools: &Tools<'_>, fence: Fence, context: &Context) -> Result<Undone> {
    let swap = Swap::look(tools, context).await?;
    let name = &tools.database.name;
    match swap.place() {
        Place::Before if !swap.has_new() => Ok(Undone::NothingToDo),
        Place::Before | Place::Ready(_) => {
            fence.hold(context).await?;
            swap.open().await?;
            swap.drop_new().await?;
            Ok(Undone::Reverted(format!(
                "{name} was never replaced, and is open; what was restored beside it is gone"
            )))
        }
        Place::Restored(..) if !swap.has_before() => Ok(Undone::NeedsHuman(format!(
            "the database {} of before is not there any more, so {} stays what was restored in {}",
            swap.before, name, params.environment
        ))),
        Place::Restored(..) => {
            fence.hold(context).await?;
            let aside = swap.switch_back().await?;
            Ok(Undone::Reverted(format!(
                "{name} is the database of before again; what was restored is kept as {aside}, closed"
            )))
        }
    }
}

/// The backup to restore.
async fn chosen(params: &Params, tools: &Tools<'_>) -> Result<Entry> {
    let catalogue = tools.catalogue().await?;
    let Some(id) = &params.backup else {
        return catalogue.entries.last().cloned().ok_or_else(|| {
            ActionError::Final(format!("there is no backup in {}: nothing can be restored", tools.store()))
        });
    };
    catalogue.made(id).cloned().ok_or_else(|| {
        let known: Vec<&str> =
            catalogue.entries.iter().rev().take(3).map(|entry| entry.id.as_str()).collect();
        let help = match known.is_empty() {
            true => "there is none at all".to_owned(),
            false => format!("the newest ones are {}", sanitize_line(&known.join(", "))),
        };
        ActionError::Final(format!("there is no backup {} in {}: {help}", sanitize_line(id), tools.store()))
    })
}

fn output(params: &Params, tools: &Tools<'_>, swap: &Swap<'_>, marker: &Marker) -> Output {
    Output {
        environment: params.environment.clone(),
        database: tools.database.name.clone(),
        backup: marker.backup.clone(),
        before: marker.loss.is_some().then(|| swap.before.clone()),
        loss: marker.loss.clone(),
    }
}

fn effect(params: &Params) -> Effect {
    Effect::new("restore the database of", &params.environment, Reversibility::Compensable)
}
