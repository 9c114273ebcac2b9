//! `database.migrate`: a migration by any command, of a class that is recorded where a rollback finds it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use windlass_core::config::Environment;
use windlass_core::plan::{Effect, Facts, Reversibility};
use windlass_core::rollback::Class;
use windlass_engine::action::{Action, ActionError, Probe, Result, Undone};
use windlass_engine::context::Context;

use crate::backup_create;
use crate::backup_verify::Restore;
use crate::database::ledger::{Begun, Ledger, Row, State};
use crate::database::proof::{prove, verify};
use crate::database::tools::{Tools, connection};
use crate::database::{BackupRef, Fence, alone, configured, is_held, known};
use crate::deploy;
use crate::deploy::lock::{is_undo, item};
use crate::script::{self, Language, Script};

/// A migration of an environment's database.
#[derive(Debug, Clone, Copy)]
pub struct Migrate;

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

impl Action for Migrate {
    const NAME: &'static str = "database.migrate";
    const SUMMARY: &'static str = "Migrates an environment's database with a script; a destructive migration has a proven backup first.";
    type Params = Params;
    type Output = Output;

    fn effects(&self, params: &Params, facts: &Facts) -> Result<Vec<Effect>> {
        deploy::known(facts, &params.environment)?;
        known(&params.environment, &params.target)?;
        for text in [Some(&params.run), params.undo.as_ref()].into_iter().flatten() {
            Script.effects(&call(params, text, Vec::new()), facts)?;
        }
        if params.class == Class::Destructive {
            configured(&params.environment, &params.target)?;
            if params.undo.is_some() {
                return Err(ActionError::Final(
                    "a destructive migration is taken back by its backup: leave `undo` out, or see whether it is \
                     `backward-compatible`"
                        .into(),
                ));
            }
        }
        Ok(effects(params))
    }

    fn label(&self, params: &Params, _: &Facts) -> String {
        format!("migrate the database of {} ({})", params.environment, params.class.word())
    }

    async fn probe(&self, params: &Params, context: &Context) -> Result<Probe<Output>> {
        if is_held(&params.environment, &params.target, context).await? && !is_undo(context) {
            return Ok(Probe::Absent);
        }
        let tools = Tools::new(&params.environment, &params.target, context)?;
        Ok(match ledger(&tools, context).read().await? {
            Some(row) if row.state == State::Done => Probe::Done(output(params, &row)),
            // Half-way, it is run again, and is to be taken back.
            Some(row) if row.state != State::Undone && is_undo(context) => Probe::Done(output(params, &row)),
            _ => Probe::Absent,
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

    async fn bars(
        &self,
        params: &Params,
        output: Option<&Output>,
        context: &Context,
    ) -> Result<Option<String>> {
        if params.class != Class::Destructive {
            return Ok(None);
        }
        let tools = Tools::new(&params.environment, &params.target, context)?;
        // A database that was restored from before it knows nothing of it, and bars nothing.
        let Some(row) = ledger(&tools, context).read().await?.filter(|row| row.state != State::Undone) else {
            return Ok(None);
        };
        let own = self::output(params, &row);
        Ok(Some(format!(
            "nothing was taken back, because the version before could not work with the data: {}; a runbook with \
             rollback.choose, database.restore and deploy.previous does both",
            way_back(params, output.unwrap_or(&own))
        )))
    }

    async fn undo(&self, params: &Params, output: &Output, context: &Context) -> Result<Undone> {
        let tools = Tools::new(&params.environment, &params.target, context)?;
        let ledger = ledger(&tools, context);
        // A database that was restored from before it knows nothing of it.
        let Some(row) = ledger.read().await?.filter(|row| row.state != State::Undone) else {
            return Ok(Undone::NothingToDo);
        };
        let is_half = row.state != State::Done;
        match (&params.undo, params.class) {
            (_, Class::Destructive) => Ok(Undone::NeedsHuman(way_back(params, output))),
            (Some(undo), _) => {
                let (tools, ledger) = (&tools, &ledger);
                let back = |fence: Fence| async move {
                    fence.hold(context).await?;
                    execute(params, undo, tools, context).await?;
                    let after = tools.schema().await?;
                    ledger.end(State::Undone, after.as_deref()).await?;
                    let at = after.map(|head| format!(", its schema is at {head}")).unwrap_or_default();
                    Ok(Undone::Reverted(format!(
                        "the migration of {} was taken back{at}",
                        params.environment
                    )))
                };
                alone(&params.environment, &params.target, context, back).await
            }
            (None, class) if is_half => Ok(Undone::NeedsHuman(format!(
                "the {} migration of {} ended half-way, and has no `undo`: look at what it did, and end it or take it \
                 back yourself",
                class.word(),
                params.environment
            ))),
            // The version before works with it: it is no reason to touch data.
            (None, class) => Ok(Undone::Reverted(format!(
                "the migration of {} was left: it is {}, and the version before works with it",
                params.environment,
                class.word()
            ))),
        }
    }
}

async fn forward(params: &Params, tools: &Tools<'_>, fence: Fence, context: &Context) -> Result<Output> {
    let ledger = ledger(tools, context);
    let known = ledger.read().await?;
    if let Some(row) = known.as_ref().filter(|row| row.state == State::Done) {
        return Ok(output(params, row));
    }
    let backup = match (&known, params.class) {
        // Begun before: the backup is of before it, and another one would not be.
        (Some(Row { state, backup: Some(id), backup_taken: Some(taken), .. }), _)
            if *state != State::Undone =>
        {
            Some(BackupRef { id: id.clone(), taken: taken.clone() })
        }
        (_, Class::Destructive) => Some(fresh(params, tools, context).await?),
        _ => None,
    };
    let before = match &known {
        Some(row) if row.state != State::Undone => row.schema_before.clone(),
        _ => tools.schema().await?,
    };
    let version = context.world.release.as_ref().map(|release| release.version.clone());
    let begun = Begun {
        class: params.class.word(),
        version: version.as_deref().unwrap_or_default(),
        before: before.as_deref().unwrap_or_default(),
        backup: backup.as_ref().map_or(("", ""), |backup| (&backup.id, &backup.taken)),
    };
    // A backup may have taken hours.
    fence.hold(context).await?;
    ledger.begin(begun).await?;
    context.changed(effect(params));
    fence.hold(context).await?;
    match execute(params, &params.run, tools, context).await {
        Ok(()) => {
            let after = tools.schema().await?;
            ledger.end(State::Done, after.as_deref()).await?;
            let row = ledger.read().await?.filter(|row| row.state == State::Done);
            let row = row.ok_or_else(|| {
                ActionError::Final(format!(
                    "the migration of {} ended well, and its row in windlass_migrations is gone: does the script replace \
                     the whole database?",
                    params.environment
                ))
            })?;
            Ok(output(params, &row))
        }
        Err(ActionError::Cancelled) => Err(ActionError::Cancelled),
        Err(error) => {
            let after = tools.schema().await.unwrap_or(None);
            ledger.end(State::Failed, after.as_deref()).await?;
            Err(half_way(params, &error, before.as_deref(), after.as_deref(), backup.as_ref()))
        }
    }
}

/// A backup that leads back: made and proven now, or the newest one when it is good.
async fn fresh(params: &Params, tools: &Tools<'_>, context: &Context) -> Result<BackupRef> {
    let refused = |error| match error {
        ActionError::Final(why) => ActionError::Final(format!(
            "a destructive migration needs a good backup, and nothing was migrated: {why}"
        )),
        error => error,
    };
    if !params.backup {
        let verified = verify(tools, Restore::WhenDue, context).await.map_err(refused)?;
        return Ok(verified.entry.reference());
    }
    let entry = backup_create::create(tools, context).await.map_err(refused)?;
    context.changed(backup_effect(params));
    let catalogue = tools.catalogue().await?;
    if catalogue.proof(Some(&entry.id)).is_none() {
        prove(tools, &entry, context).await.map_err(refused)?;
    }
    Ok(entry.reference())
}

/// What became of a migration that failed, and what leads on and back from there.
fn half_way(
    params: &Params,
    error: &ActionError,
    before: Option<&str>,
    after: Option<&str>,
    backup: Option<&BackupRef>,
) -> ActionError {
    let name = &params.environment;
    let state = match (before, after) {
        (Some(before), Some(after)) if before == after => format!("its schema is still at {after}"),
        (Some(before), Some(after)) => format!("its schema was at {before} and is at {after}"),
        (before, after) => match (before, after) {
            (None, None)
                if params.target.database.as_ref().is_none_or(|database| database.schema.is_none()) =>
            {
                "how far it came is not known, because there is no `schema` query".to_owned()
            }
            (before, after) => {
                format!(
                    "its schema was at {} and is at {}",
                    before.unwrap_or("nothing"),
                    after.unwrap_or("nothing")
                )
            }
        },
    };
    let back = match (params.class, backup, &params.undo) {
        (Class::Destructive, Some(backup), _) => way_back_to(name, backup),
        (_, _, Some(_)) => "a rollback runs its `undo`".to_owned(),
        _ => "the version before works with what it may have done".to_owned(),
    };
    let told = format!(
        "the {} migration of {name} failed half-way: {error}; {state}; run it again when it is mended, or: {back}",
        params.class.word()
    );
    match params.class {
        Class::Destructive => ActionError::Final(told),
        _ if error.is_retryable() => ActionError::Failed(told),
        _ => ActionError::Final(told),
    }
}

fn way_back(params: &Params, output: &Output) -> String {
    match &output.backup {
        Some(backup) => {
            format!("the migration was destructive: {}", way_back_to(&params.environment, backup))
        }
        None => {
            "the migration was destructive, and no backup is known: look at windlass_migrations".to_owned()
        }
    }
}

fn way_back_to(environment: &str, backup: &BackupRef) -> String {
    format!(
        "`database.restore` with {{ environment: {environment}, backup: {} }} goes back to {}; what was written since is \
         lost by that",
        backup.id, backup.taken
    )
}

fn ledger<'a>(tools: &'a Tools<'a>, context: &Context) -> Ledger<'a> {
    Ledger { tools, run: context.run.0.clone(), step: item(context) }
}

fn output(params: &Params, row: &Row) -> Output {
    let backup = row.backup.clone().zip(row.backup_taken.clone());
    Output {
        environment: params.environment.clone(),
        class: params.class,
        version: row.version.clone(),
        before: row.schema_before.clone(),
        after: row.schema_after.clone(),
        at: row.ended.clone().unwrap_or_default(),
        backup: backup.map(|(id, taken)| BackupRef { id, taken }),
    }
}

async fn execute(params: &Params, text: &str, tools: &Tools<'_>, context: &Context) -> Result<()> {
    let variables = connection(tools.database, context)?;
    // Its effect is this action's, which tells it itself.
    let mut apart = context.clone();
    apart.forget_changes();
    Script.run(&call(params, text, variables), &apart).await.map(drop)
}

fn call(params: &Params, text: &str, variables: Vec<(String, String)>) -> script::Params {
    let mut env: BTreeMap<String, String> = variables.into_iter().collect();
    env.insert("WINDLASS_ENVIRONMENT".into(), params.environment.clone());
    script::Params {
        language: params.language,
        text: text.to_owned(),
        env,
        secrets: params.secrets.clone(),
        probe: None,
        undo: None,
        read_only: false,
        label: None,
    }
}

fn effects(params: &Params) -> Vec<Effect> {
    match params.class == Class::Destructive && params.backup {
        true => vec![backup_effect(params), effect(params)],
        false => vec![effect(params)],
    }
}

fn effect(params: &Params) -> Effect {
    let reversibility = match (params.class, &params.undo) {
        (Class::Destructive, _) | (_, Some(_)) => Reversibility::Compensable,
        _ => Reversibility::Unknown,
    };
    Effect::new("migrate the database of", &params.environment, reversibility)
}

fn backup_effect(params: &Params) -> Effect {
    Effect::new("back up the database of", &params.environment, Reversibility::Compensable)
}

fn bash() -> Language {
    Language::Bash
}

fn yes() -> bool {
    true
}
