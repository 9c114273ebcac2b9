//! `rollback.choose`: which way leads back in an environment, from what its hosts, its database and its backups say.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use windlass_core::config::Environment;
use windlass_core::duration::Duration;
use windlass_core::plan::{Effect, Facts};
use windlass_core::rollback::{self, Backup, Cause, Choice, Class, Migration, Situation, Way};
use windlass_core::text::sanitize_line;
use windlass_engine::action::{Action, ActionError, Probe, Result, Undone};
use windlass_engine::context::Context;

use crate::adapters::remote::Record;
use crate::database::BackupRef;
use crate::database::ledger::{self, Applied};
use crate::database::tools::Tools;
use crate::deploy::{Site, known};

mod target;

use target::{Known, Target};

/// Which way leads back in an environment.
#[derive(Debug, Clone, Copy)]
pub struct ChooseRollback;

/// Parameters of `rollback.choose`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The environment, as under `[environments]` in windlass.toml.
    pub environment: String,
    /// Why: `defect`, `data-loss`, `vulnerability`, `outage` and `breaking-change` lead back; with `credentials`, when they
    /// leaked, the same version is deployed again; for `minor`, `feature` and `documentation` it stays.
    #[serde(default)]
    pub cause: Cause,
    /// The version to go back to. When not given: what the environment has, while the release that is taken back did not
    /// get there; else the version before.
    #[serde(default)]
    pub to: Option<String>,
    /// The environment's configuration, as it was when this was planned.
    #[serde(default)]
    #[schemars(skip)]
    pub target: Environment,
}

/// What `rollback.choose` gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// The environment.
    pub environment: String,
    /// `nothing`, `application`, `database`, `same-version` or `forward`.
    pub way: Way,
    /// Why, in a sentence.
    pub why: String,
    /// What is going to be done, a sentence each.
    pub steps: Vec<String>,
    /// What is lost, in words; empty when nothing is.
    pub loss: String,
    /// The version that is there.
    pub from: String,
    /// The version that will be there.
    pub to: String,
    /// The backup that the database goes back to, as `database.restore` takes it; empty when it stays.
    pub backup: String,
    /// The images of that version by service, as the hosts remember them: with their digests.
    pub images: BTreeMap<String, String>,
}

impl Action for ChooseRollback {
    const NAME: &'static str = "rollback.choose";
    const SUMMARY: &'static str =
        "Chooses the way back from a bad release by what was deployed, migrated and backed up, and says why.";
    type Params = Params;
    type Output = Output;

    fn effects(&self, params: &Params, facts: &Facts) -> Result<Vec<Effect>> {
        known(facts, &params.environment)?;
        Ok(Vec::new())
    }

    fn label(&self, params: &Params, _: &Facts) -> String {
        format!("choose the way back for {}", params.environment)
    }

    async fn probe(&self, _: &Params, _: &Context) -> Result<Probe<Output>> {
        // What was true then may not be true now, and looking again costs nothing.
        Ok(Probe::Unknown)
    }

    async fn run(&self, params: &Params, context: &Context) -> Result<Output> {
        let (situation, backup, images) = situation(params, context).await?;
        let Choice { way, why, steps, loss } = rollback::choose(&situation);
        if way == Way::Person {
            return Err(ActionError::Final(format!(
                "there is no way back that could be gone by itself: {why}"
            )));
        }
        context.log(&why);
        for step in &steps {
            context.log(&format!("- {step}"));
        }
        if let Some(loss) = &loss {
            context.log(&format!("what is lost: {loss}"));
        }
        let stays = matches!(way, Way::SameVersion | Way::Nothing | Way::Forward);
        let from = situation.current.unwrap_or_default();
        Ok(Output {
            environment: params.environment.clone(),
            way,
            why,
            steps,
            loss: loss.unwrap_or_default(),
            to: if stays { from.clone() } else { situation.target.unwrap_or_default() },
            from,
            backup: backup.filter(|_| way == Way::Database).map(|backup| backup.id).unwrap_or_default(),
            images,
        })
    }

    async fn undo(&self, _: &Params, _: &Output, _: &Context) -> Result<Undone> {
        Ok(Undone::NothingToDo)
    }
}

/// What is known, the backup that leads back where one does, and the images of the version that will be there.
async fn situation(
    params: &Params,
    context: &Context,
) -> Result<(Situation, Option<BackupRef>, BTreeMap<String, String>)> {
    let site = Site::new(&params.environment, &params.target, context);
    let mut hosts: Vec<Known> = Vec::new();
    let mut silent = Vec::new();
    for (host, look) in site.hosts.iter().zip(site.look(context).await) {
        match look {
            Ok(kept) => hosts.push((host.name.clone(), kept)),
            Err(error) => {
                context.log(&format!("{} is not known: {error}", host.name));
                silent.push(host.name.clone());
            }
        }
    }
    let releasing = context.world.release.as_ref().map(|release| release.version.clone());
    let found = match params.cause.stays() {
        false => {
            target::target(&hosts, params.to.as_deref().filter(|to| !to.is_empty()), releasing.as_deref())
        }
        true => Ok(target::stays(&hosts)),
    };
    let found = found.map_err(|why| ActionError::Final(format!("{}: {why}", params.environment)))?;
    let Some(Target { current, record: target, is_there, is_hot }) = found else {
        return Err(ActionError::Failed(format!(
            "nothing is known to run in {}: look with `windlass env {0}`",
            params.environment
        )));
    };
    let is_empty = |known: &&Known| known.1.record.is_none();
    let empty = hosts.iter().filter(is_empty).map(|(name, _)| name.clone()).collect();
    let known = hosts.iter().filter_map(|(_, kept)| kept.record.as_ref());
    let images = match &target {
        Some(target) => Some(target),
        None => known.into_iter().find(|record| record.version == current),
    };
    let images = images.map(|record| record.images.clone()).unwrap_or_default();
    let (migrations, backup, written) = match (&params.target.database, &target) {
        (Some(_), Some(target)) => data(params, target, target::begin(target, &hosts), context).await,
        _ => (Ok(Vec::new()), Err("there is no database".to_owned()), None),
    };
    let reference = backup
        .as_ref()
        .ok()
        .map(|backup| BackupRef { id: backup.id.clone(), taken: backup.taken.to_string() });
    let situation = Situation {
        environment: params.environment.clone(),
        cause: params.cause,
        current: Some(current),
        is_there,
        silent,
        empty,
        is_hot,
        target: target.map(|target| target.version),
        migrations,
        backup,
        written,
        now: context.world.clock.now(),
    };
    Ok((situation, reference, images))
}

type Data =
    (std::result::Result<Vec<Migration>, String>, std::result::Result<Backup, String>, Option<String>);

/// What was done to the data since `begin`, but for what came with `target`, and the backup from before it.
async fn data(params: &Params, target: &Record, begin: Timestamp, context: &Context) -> Data {
    let unknown = |error: ActionError| (Err(error.to_string()), Err("it is not known".to_owned()), None);
    let tools = match Tools::new(&params.environment, &params.target, context) {
        Ok(tools) => tools,
        Err(error) => return unknown(error),
    };
    let applied = match ledger::since(&tools, &begin.to_string(), &target.version).await {
        Ok(applied) => applied,
        Err(error) => return unknown(error),
    };
    let Some(first) = applied.iter().find(|applied| applied.class == Class::Destructive) else {
        return (Ok(applied.iter().map(migration).collect()), Err("none is needed".to_owned()), None);
    };
    let backup = backup_before(&tools, first).await;
    let written = match &backup {
        Ok(backup) => {
            let reference = BackupRef { id: backup.id.clone(), taken: backup.taken.to_string() };
            match tools.loss(&reference).await {
                Ok(loss) => match (loss.rows, loss.unknown) {
                    (Some(rows), _) => Some(format!("{rows} by the `loss` query")),
                    (None, unknown) => unknown.map(|why| format!("how much is not known: {why}")),
                },
                Err(error) => Some(format!("how much is not known: {error}")),
            }
        }
        Err(_) => None,
    };
    (Ok(applied.iter().map(migration).collect()), backup, written)
}

/// The backup that was made for a destructive migration, else the newest one from before it.
async fn backup_before(tools: &Tools<'_>, first: &Applied) -> std::result::Result<Backup, String> {
    let catalogue =
        tools.catalogue().await.map_err(|error| format!("the backups cannot be read: {error}"))?;
    let entry = catalogue.before(first.began, first.backup.as_deref());
    let entry = entry.ok_or_else(|| "there is no good backup from before it".to_owned())?;
    let proof = catalogue.proof(Some(&entry.id));
    Ok(Backup {
        id: entry.id.clone(),
        taken: entry.taken,
        is_proven: proof.is_some(),
        recovery: proof.map(|proof| Duration::from_millis(proof.recovery)),
    })
}

fn migration(applied: &Applied) -> Migration {
    let version = applied.version.clone().unwrap_or_default();
    let name = match (&applied.schema, version.as_str()) {
        (Some(schema), _) => sanitize_line(schema),
        (None, "") => format!("of {}", sanitize_line(&applied.run)),
        (None, version) => format!("of {}", sanitize_line(version)),
    };
    Migration { name, class: applied.class, version, at: applied.began }
}

#[cfg(test)]
mod tests {
    use windlass_core::rollback::Cause;

    #[test]
    fn a_cause_is_written_as_in_runbooks() {
        for (text, cause) in [
            ("defect", Cause::Defect),
            ("data-loss", Cause::DataLoss),
            ("breaking-change", Cause::BreakingChange),
            ("credentials", Cause::Credentials),
            ("documentation", Cause::Documentation),
        ] {
            assert_eq!(serde_json::from_value::<Cause>(text.into()).unwrap(), cause);
        }
    }
}
