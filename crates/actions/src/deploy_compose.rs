//! `deploy.compose`: a version onto an environment's hosts with docker compose.

use std::collections::BTreeMap;

use futures::future::join_all;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use windlass_core::config::Environment;
use windlass_core::duration::Duration;
use windlass_core::plan::{Effect, Facts, Reversibility};
use windlass_engine::action::{Action, ActionError, Probe, Result, Undone};
use windlass_engine::context::Context;
use windlass_engine::owner::Owner;

use crate::adapters::remote::{Kept, Lease, Record, RemoteError, State};
use crate::deploy::drift::drift;
use crate::deploy::rollout::Rollout;
use crate::deploy::{Site, Wanted, known, promotion, together};

/// A version onto an environment's hosts with docker compose.
#[derive(Debug, Clone, Copy)]
pub struct DeployCompose;

/// Parameters of `deploy.compose`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The environment, as under `[environments]` in windlass.toml.
    pub environment: String,
    /// The version; the release's when not given.
    #[serde(default)]
    pub version: Option<String>,
    /// The tag whose compose files are deployed; the release's when not given.
    #[serde(default)]
    pub tag: Option<String>,
    /// The digest that the image of a service must have, by service: what the build gave, such as
    /// `{ web: "{{ outputs.build.DIGEST }}" }`. Another one in the registry is refused before anything is touched.
    #[serde(default)]
    pub images: BTreeMap<String, String>,
    /// How long a host, and the health check after all of them, may take to become healthy.
    #[serde(default = "two_minutes")]
    #[schemars(with = "String")]
    pub ready: Duration,
    /// The environment's configuration, as it was when this was planned.
    #[serde(default)]
    #[schemars(skip)]
    pub target: Environment,
    /// The configurations of the environments it comes after.
    #[serde(default)]
    #[schemars(skip)]
    pub after: BTreeMap<String, Environment>,
}

/// What `deploy.compose` gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// The environment.
    pub environment: String,
    /// The version that it has now.
    pub version: String,
    /// The version it had before.
    pub previous: Option<String>,
    /// The hosts that have the version.
    pub hosts: Vec<String>,
    /// The hosts where it did not come up and that were let pass.
    #[serde(default)]
    pub failed: Vec<String>,
    /// The hosts that could not be reached and were let pass.
    pub unreachable: Vec<String>,
    /// The image of each service, by digest.
    pub images: BTreeMap<String, String>,
    /// Something was changed; nothing when every host ran this very version already.
    pub changed: bool,
}

impl Action for DeployCompose {
    const NAME: &'static str = "deploy.compose";
    const SUMMARY: &'static str = "Brings a version to an environment's hosts over SSH with docker compose, batch by batch, and back when it fails.";
    type Params = Params;
    type Output = Output;

    fn effects(&self, params: &Params, facts: &Facts) -> Result<Vec<Effect>> {
        known(facts, &params.environment)?;
        let wanted = Wanted::of(params.version.as_ref(), params.tag.as_ref(), facts.release.as_ref())?;
        complete(params)?;
        if let Some(why) = promotion::refused(&params.environment, &params.target, &wanted.version) {
            return Err(ActionError::Final(why));
        }
        Ok(vec![effect(params)])
    }

    fn label(&self, params: &Params, facts: &Facts) -> String {
        let wanted = Wanted::of(params.version.as_ref(), params.tag.as_ref(), facts.release.as_ref());
        let version = wanted.map_or_else(|_| "a version".to_owned(), |wanted| wanted.version);
        format!("deploy {version} to {} ({})", params.environment, params.target.hosts.join(", "))
    }

    async fn probe(&self, params: &Params, context: &Context) -> Result<Probe<Output>> {
        let wanted = wanted(params, context)?;
        let site = Site::new(&params.environment, &params.target, context);
        let (kept, unreachable) = reach(&site, context).await?;
        // Killed between its last word and giving the lock back: it goes on, and does that.
        if holds_lock(kept.first().and_then(Option::as_ref), context) {
            return Ok(Probe::Absent);
        }
        let mut images = BTreeMap::new();
        let mut previous = None;
        let mut hosts = Vec::new();
        for (host, kept) in site.hosts.iter().zip(&kept) {
            let Some(kept) = kept else { continue };
            let Some(record) = kept.record.as_ref() else { return Ok(Probe::Absent) };
            if !is_live(record, &wanted, context) {
                return Ok(Probe::Absent);
            }
            let found = host.containers(context, &record.project).await?;
            if !drift(record, &found).is_empty() {
                return Ok(Probe::Absent);
            }
            images.clone_from(&record.images);
            previous = record.previous.as_ref().map(|previous| previous.version.clone());
            hosts.push(host.name.clone());
        }
        Ok(Probe::Done(Output {
            environment: params.environment.clone(),
            version: wanted.version,
            previous,
            hosts,
            failed: Vec::new(),
            unreachable,
            images,
            changed: true,
        }))
    }

    async fn run(&self, params: &Params, context: &Context) -> Result<Output> {
        complete(params)?;
        let wanted = wanted(params, context)?;
        // Done by this very item already: then there is nothing to lock.
        if let Probe::Done(output) = self.probe(params, context).await? {
            return Ok(Output { changed: false, ..output });
        }
        let site = Site::new(&params.environment, &params.target, context);
        let (kept, unreachable) = reach(&site, context).await?;
        let site = &site;
        let work = |fence, kept| async move {
            let rollout = Rollout { context, site, params, wanted, fence, kept };
            rollout.forward(&unreachable).await
        };
        let output = locked(site, context, kept, work).await;
        if let Ok(output) = &output
            && output.changed
        {
            context.changed(effect(params));
        }
        output
    }

    async fn undo(&self, params: &Params, output: &Output, context: &Context) -> Result<Undone> {
        let site = Site::new(&params.environment, &params.target, context);
        let looks = site.look(context).await;
        let unreachable: Vec<&RemoteError> = looks.iter().filter_map(|look| look.as_ref().err()).collect();
        let told = together(unreachable.iter().copied());
        let kept: Vec<Option<Kept>> = looks.iter().map(|look| look.as_ref().ok().cloned()).collect();
        let ours = |kept: &Option<Kept>| {
            let record = kept.as_ref().and_then(|kept| kept.record.clone());
            record.filter(|record| {
                record.version == output.version && record.is_of(&context.run.0, &item(context))
            })
        };
        let targets: Vec<(usize, Record)> =
            kept.iter().enumerate().filter_map(|(index, kept)| Some((index, ours(kept)?))).collect();
        if targets.is_empty() {
            let_go(&site, kept.first().and_then(Option::as_ref), context).await?;
            return Ok(match unreachable.is_empty() {
                true => Undone::NothingToDo,
                false => Undone::NeedsHuman(format!("it is not known what runs: {told}")),
            });
        }
        let wanted = Wanted { version: output.version.clone(), tag: String::new() };
        let (site, targets) = (&site, &targets);
        let work = |fence, kept| async move {
            let rollout = Rollout { context, site, params, wanted, fence, kept };
            let (rollout, results) = (&rollout, targets.iter());
            let results = join_all(results.map(|(index, record)| async move {
                // Everyone who asks whether it passed here must hear that it did not stay.
                let withdrawn = Record { state: State::Withdrawn, fence, ..record.clone() };
                site.hosts[*index].write(context, &withdrawn, true).await?;
                rollout.revert(*index, record).await
            }));
            Ok(results.await)
        };
        let back = locked(site, context, kept, work).await?;
        let mut reverted = Vec::new();
        let mut stuck: Vec<String> = unreachable.iter().map(ToString::to_string).collect();
        for ((index, _), result) in targets.iter().zip(back) {
            match result {
                Ok(what) => reverted.push(format!("{}: {what}", site.hosts[*index].name)),
                Err(ActionError::Cancelled) => return Err(ActionError::Cancelled),
                Err(error) => {
                    stuck.push(format!("{} could not be put back: {error}", site.hosts[*index].name))
                }
            }
        }
        let done = reverted.join("; ");
        Ok(match stuck.is_empty() {
            true => Undone::Reverted(done),
            false if done.is_empty() => Undone::NeedsHuman(stuck.join("; ")),
            false => Undone::NeedsHuman(format!("{}; {done}", stuck.join("; "))),
        })
    }
}

pub(crate) fn two_minutes() -> Duration {
    Duration::from_secs(120)
}

fn effect(params: &Params) -> Effect {
    Effect::new("deploy to", &params.environment, Reversibility::Compensable)
}

/// The item whose records these are: an undo is done under a path of its own.
pub(crate) fn item(context: &Context) -> String {
    let path = context.path.0.as_str();
    path.strip_prefix("undo/").unwrap_or(path).to_owned()
}

fn wanted(params: &Params, context: &Context) -> Result<Wanted> {
    Wanted::of(params.version.as_ref(), params.tag.as_ref(), context.world.release.as_deref())
}

/// Refuses an environment that says too little.
fn complete(params: &Params) -> Result<()> {
    let Params { environment, target, .. } = params;
    let missing = [
        ("hosts", target.hosts.is_empty()),
        ("folder", target.folder.is_none()),
        ("compose", target.compose.is_empty()),
    ];
    match missing.iter().find(|(_, is_missing)| *is_missing) {
        Some((key, _)) => Err(ActionError::Final(format!(
            "deploy.compose needs `{key}` of the environment {environment}: add it under [environments.{environment}]"
        ))),
        None => Ok(()),
    }
}

fn is_live(record: &Record, wanted: &Wanted, context: &Context) -> bool {
    record.state == State::Live
        && record.version == wanted.version
        && record.is_of(&context.run.0, &item(context))
}

/// Whether the lock is this run's, left by a process that was killed.
pub(crate) fn holds_lock(first: Option<&Kept>, context: &Context) -> bool {
    first.and_then(|kept| kept.lock.as_ref()).is_some_and(|lock| lock.run == context.run.0)
}

/// Gives back a lock that a killed process of this run left, when nothing else is to be done under it.
pub(crate) async fn let_go(site: &Site, first: Option<&Kept>, context: &Context) -> Result<()> {
    if let Some(host) = site.first()
        && holds_lock(first, context)
    {
        let above = first.map_or(0, |kept| kept.fence);
        host.lock(context, &Owner::current().to_string(), 10, above).await?;
        host.unlock(context).await?;
    }
    Ok(())
}

/// What every host keeps, and the names of those that cannot be reached: more than may fail is an error, and so is
/// anything else than a host that does not answer.
pub(crate) async fn reach(site: &Site, context: &Context) -> Result<(Vec<Option<Kept>>, Vec<String>)> {
    let looks = site.look(context).await;
    let mut unreachable = Vec::new();
    let mut kept = Vec::new();
    let errors: Vec<&RemoteError> = looks.iter().filter_map(|look| look.as_ref().err()).collect();
    let all_silent = errors.iter().all(|error| error.is_unreachable());
    let first_is_there = looks.first().is_none_or(std::result::Result::is_ok);
    if !all_silent || !first_is_there || errors.len() > site.environment.max_failures as usize {
        let told = together(errors.iter().copied());
        return match errors.first() {
            Some(error) if errors.len() == 1 => {
                let error = ActionError::from((*error).clone());
                Err(match error {
                    ActionError::Failed(why) => ActionError::Failed(format!("{why}; nothing was touched")),
                    ActionError::Final(why) => ActionError::Final(format!("{why}; nothing was touched")),
                    other => other,
                })
            }
            _ => Err(ActionError::Failed(format!("{told}; nothing was touched"))),
        };
    }
    for (host, look) in site.hosts.iter().zip(looks) {
        match look {
            Ok(look) => kept.push(Some(look)),
            Err(error) => {
                context.log(&format!("{} is let pass: {error}", host.name));
                unreachable.push(host.name.clone());
                kept.push(None);
            }
        }
    }
    Ok((kept, unreachable))
}

/// Does `work` under the environment's lock, with a fence that every reachable host has seen before it begins.
pub(crate) async fn locked<T, F: Future<Output = Result<T>>>(
    site: &Site,
    context: &Context,
    kept: Vec<Option<Kept>>,
    work: impl FnOnce(u64, Vec<Option<Kept>>) -> F,
) -> Result<T> {
    let Some(first) = site.first() else {
        return Err(ActionError::Final(format!("the environment {} has no hosts", site.name)));
    };
    let above = kept.iter().flatten().map(|kept| kept.fence).max().unwrap_or_default();
    let lease = Lease::take(context, first, &Owner::current().to_string(), above).await?;
    let fence = lease.fence;
    lease
        .around(context, async move {
            // Looked at again, now that nobody else changes it, and fenced, so that nobody overtaken changes it later.
            let again = join_all(site.hosts.iter().zip(&kept).map(|(host, before)| async move {
                if before.is_none() {
                    return Ok(None);
                }
                host.raise(context, fence).await?;
                host.look(context).await.map(Some)
            }))
            .await;
            let kept: std::result::Result<Vec<Option<Kept>>, RemoteError> = again.into_iter().collect();
            work(fence, kept?).await
        })
        .await
}
