//! `deploy.previous`: an environment back to a version it had, by what its own hosts remember of it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use windlass_core::config::{Colour, Environment};
use windlass_core::duration::Duration;
use windlass_core::plan::{Effect, Facts, Reversibility};
use windlass_core::text::sanitize_line;
use windlass_engine::action::{Action, ActionError, Probe, Result, Undone};
use windlass_engine::context::Context;

use crate::adapters::remote::{Kept, Record, RemoteError, State};
use crate::deploy::lock::{holds_lock, let_go};
use crate::deploy::targets::{Targets, sorted, targets};
use crate::deploy::tool::{Composing, Scripts, Tool};
use crate::deploy::{Request, Site, blue_green, known, parameters, rollout};
use crate::script::{Language, Script};

/// The action's name.
pub(crate) const NAME: &str = "deploy.previous";

/// An environment back to a version it had.
#[derive(Debug, Clone, Copy)]
pub struct DeployPrevious;

/// Parameters of `deploy.previous`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The environment, as under `[environments]` in windlass.toml.
    pub environment: String,
    /// The version to go back to, such as `{{ outputs.choose.to }}`. The environment must have had it. Going back to what
    /// is there already changes nothing.
    pub version: String,
    /// What brings `$WINDLASS_VERSION` up, where a script deployed it, as for `deploy.blue_green`, `deploy.rolling` and
    /// `deploy.script`. With compose the files and images are those that the hosts remember.
    #[serde(default)]
    pub run: Option<String>,
    /// What the script is written in.
    #[serde(default = "crate::script::bash")]
    pub language: Language,
    /// Names of secrets that the script gets as environment variables.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// How long a host, and the health check after all of them, may take to become healthy.
    #[serde(default = "parameters::two_minutes")]
    #[schemars(with = "String")]
    pub ready: Duration,
    /// The environment's configuration, as it was when this was planned.
    #[serde(default)]
    #[schemars(skip)]
    pub target: Environment,
    /// The configurations of the environments it comes after; not looked at, because a way back is barred by nothing.
    #[serde(default)]
    #[schemars(skip)]
    pub after: BTreeMap<String, Environment>,
}

/// What `deploy.previous` gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// The environment.
    pub environment: String,
    /// The version that it has now.
    pub version: String,
    /// The version that was taken back; nothing when that was done already.
    pub from: Option<String>,
    /// The hosts that could not be reached: they stay as they are.
    #[serde(default)]
    pub unreachable: Vec<String>,
    /// What was done, in words.
    pub done: String,
}

impl Action for DeployPrevious {
    const NAME: &'static str = NAME;
    const SUMMARY: &'static str = "Brings an environment back to a version it had: the traffic to the colour that still runs it, else the images it had, else the script.";
    type Params = Params;
    type Output = Output;

    fn effects(&self, params: &Params, facts: &Facts) -> Result<Vec<Effect>> {
        known(facts, &params.environment)?;
        if let Some(run) = &params.run {
            Script.effects(&scripts(params, run).call(run, BTreeMap::new()), facts)?;
        } else if let Some(environment) = facts.environments.get(&params.environment)
            && environment.compose.is_empty()
            && environment.proxy.as_ref().is_none_or(|proxy| proxy.ports.is_none())
        {
            return Err(ActionError::Final(format!(
                "{} has no `compose` and no colours, so only a script leads back there: give {NAME} the `run` that brings \
                 $WINDLASS_VERSION up",
                params.environment
            )));
        }
        Ok(vec![effect(params)])
    }

    fn label(&self, params: &Params, _: &Facts) -> String {
        // Which version that is, only the run may know.
        match params.version.contains("{{") {
            true => format!("{} back to the version before", params.environment),
            false => format!("{} back to {}", params.environment, params.version),
        }
    }

    async fn probe(&self, params: &Params, context: &Context) -> Result<Probe<Output>> {
        let site = Site::new(&params.environment, &params.target, context);
        let looks = site.look(context).await;
        let is_back = |kept: &Kept| {
            let record = kept.record.as_ref();
            record.is_some_and(|record| record.version == params.version && record.state == State::Live)
        };
        let all = looks.iter().flatten().all(is_back) && !holds_lock(looks.iter().flatten(), context);
        let mut targets = sorted(looks, &|_| false);
        let passed = targets.let_pass(&site);
        Ok(match all && targets.errors.is_empty() {
            true => Probe::Done(output(params, None, "it was there already", &stay(&site, &passed))),
            false => Probe::Absent,
        })
    }

    async fn run(&self, params: &Params, context: &Context) -> Result<Output> {
        if let Probe::Done(output) = self.probe(params, context).await? {
            return Ok(output);
        }
        let site = Site::new(&params.environment, &params.target, context);
        // A version that did not come to its end is not there, even if it is the one that is wanted.
        let is_away = |record: &Record| record.version != params.version || record.state != State::Live;
        let mut targets = targets(&site, &is_away, context).await;
        for (index, record) in &mut targets.records {
            let kept = targets.kept.get(*index).and_then(Option::as_ref);
            record.previous = Some(Box::new(
                before(record, &params.version, kept)
                    .map_err(|why| ActionError::Final(format!("{}: {why}", site.hosts[*index].name)))?,
            ));
        }
        let from = targets.records.first().map(|(_, record)| record.version.clone());
        let passed = stay(&site, &targets.let_pass(&site));
        let undone = back(params, &site, targets, context).await?;
        context.changed(effect(params));
        match undone {
            Undone::Reverted(done) => {
                let output = output(params, from, &done, &passed);
                context.log(&output.done);
                Ok(output)
            }
            Undone::NothingToDo => Ok(output(params, None, "it was there already", &passed)),
            Undone::NeedsHuman(why) => Err(ActionError::Final(why)),
        }
    }

    async fn undo(&self, params: &Params, output: &Output, _: &Context) -> Result<Undone> {
        Ok(match &output.from {
            None => Undone::NothingToDo,
            Some(from) => Undone::NeedsHuman(format!(
                "{} was brought back from {from} to {}: to have {from} again, deploy it",
                params.environment, output.version
            )),
        })
    }
}

/// What a host had of a version, by its record or its history.
pub(crate) fn before(
    record: &Record,
    version: &str,
    kept: Option<&Kept>,
) -> std::result::Result<Record, String> {
    let shown = sanitize_line(version);
    let mut known = record.previous.iter().map(|previous| &**previous);
    if let Some(previous) = known.find(|previous| previous.version == version) {
        return Ok(previous.clone());
    }
    let mut history = kept.into_iter().flat_map(|kept| kept.history.iter().rev());
    let found =
        history.find(|known| known.version == version && known.state == State::Live).ok_or_else(|| {
            format!(
                "it has {} and never had {shown}: deploy that with the runbook of a release",
                record.version
            )
        })?;
    if found.colour.is_none() || found.colour != record.colour {
        return Ok(found.alone());
    }
    // Its colour has the traffic now; the other one is as good.
    found.in_the_other_colour().ok_or_else(|| {
        format!(
            "{shown} was in the colour that {} has now: deploy it again with the runbook of a release",
            record.version
        )
    })
}

/// The way that the version came is the way it goes back.
async fn back(params: &Params, site: &Site, targets: Targets, context: &Context) -> Result<Undone> {
    let Some((_, record)) = targets.records.first() else {
        let_go(site, targets.kept.iter().map(Option::as_ref), context).await?;
        return Ok(match targets.errors.is_empty() {
            true => Undone::NothingToDo,
            false => Undone::NeedsHuman(format!("it is not known what runs: {}", targets.told().join("; "))),
        });
    };
    let tool = match &params.run {
        Some(run) => Tool::Script(scripts(params, run)),
        None if record.files.is_empty() => {
            return Err(ActionError::Final(format!(
                "{} has {} by a script, so only a script leads back: give deploy.previous a `run`",
                params.environment, record.version
            )));
        }
        None => Tool::Compose(Composing::default()),
    };
    let request = Request {
        environment: params.environment.clone(),
        version: Some(params.version.clone()),
        tag: None,
        ready: params.ready,
        target: params.target.clone(),
        after: BTreeMap::new(),
    };
    let version = record.version.clone();
    let colours: Vec<Option<Colour>> = targets.records.iter().map(|(_, record)| record.colour).collect();
    match colours.as_slice() {
        [Some(from), rest @ ..] if rest.iter().all(|colour| *colour == Some(*from)) => {
            let order = blue_green::Order { request: &request, tool: &tool, validate: None, keep: true };
            order.put_back(&version, *from, site, targets, context).await
        }
        colours if colours.iter().all(Option::is_none) => {
            let through_proxies = params.target.proxy.is_some();
            let order = rollout::Order { request: &request, tool: &tool, through_proxies };
            order.put_back(&version, site, targets, context).await
        }
        _ => Ok(Undone::NeedsHuman(format!(
            "the hosts of {} have different colours: look with `windlass env`, and deploy again",
            params.environment
        ))),
    }
}

/// The hosts that are let pass, and what is said of each.
fn stay(site: &Site, passed: &[(usize, RemoteError)]) -> Vec<(String, String)> {
    let told = |(index, error): &(usize, RemoteError)| {
        let name = site.hosts[*index].name.clone();
        let told = format!("{name} stays as it is: {error}");
        (name, told)
    };
    passed.iter().map(told).collect()
}

fn output(params: &Params, from: Option<String>, done: &str, passed: &[(String, String)]) -> Output {
    let told = passed.iter().map(|(_, told)| told.as_str());
    Output {
        environment: params.environment.clone(),
        version: params.version.clone(),
        from,
        unreachable: passed.iter().map(|(name, _)| name.clone()).collect(),
        done: std::iter::once(done).chain(told).collect::<Vec<_>>().join("; "),
    }
}

fn scripts(params: &Params, run: &str) -> Scripts {
    Scripts { run: run.to_owned(), stop: None, language: params.language, secrets: params.secrets.clone() }
}

fn effect(params: &Params) -> Effect {
    Effect::new("bring back a version in", &params.environment, Reversibility::Compensable)
}
