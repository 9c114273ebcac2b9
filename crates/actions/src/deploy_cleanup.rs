//! `deploy.cleanup`: stops the colour that has no traffic, once nobody wants to go back to it at once.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use windlass_core::config::{Colour, Environment};
use windlass_core::plan::{Effect, Facts, Reversibility};
use windlass_engine::action::{Action, ActionError, Probe, Result, Undone};
use windlass_engine::context::Context;

use crate::adapters::proxy::{Admission, Server};
use crate::adapters::remote::{Idle, Kept, Record, State};
use crate::deploy::doors::{self, Doors};
use crate::deploy::lock::{Away, holds_lock, is_undo, let_go, locked, reach};
use crate::deploy::tool::{Composing, Scripts, Tool};
use crate::deploy::work::Work;
use crate::deploy::{Request, Site, Wanted, at_once, known, parameters};
use crate::script::{Language, Script};

/// The action's name.
pub(crate) const NAME: &str = "deploy.cleanup";

/// Stops the colour that has no traffic.
#[derive(Debug, Clone, Copy)]
pub struct DeployCleanup;

/// Parameters of `deploy.cleanup`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The environment, as under `[environments]` in windlass.toml.
    pub environment: String,
    /// The colour that is to be stopped, `blue` or `green`; the one without traffic when not given. The one with traffic
    /// is refused.
    #[serde(default)]
    pub colour: Option<Colour>,
    /// What stops `$WINDLASS_COLOUR` on the host `$WINDLASS_HOST`, where a script brought it up.
    #[serde(default)]
    pub stop: Option<String>,
    /// What brings `$WINDLASS_VERSION` up in `$WINDLASS_COLOUR` again, to take this back, where `stop` stopped it.
    #[serde(default)]
    pub run: Option<String>,
    /// What the scripts are written in.
    #[serde(default = "crate::script::bash")]
    pub language: Language,
    /// Names of secrets that the scripts get as environment variables.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// The environment's configuration, as it was when this was planned.
    #[serde(default)]
    #[schemars(skip)]
    pub target: Environment,
    /// The configurations of the environments it comes after; not looked at.
    #[serde(default)]
    #[schemars(skip)]
    pub after: BTreeMap<String, Environment>,
}

/// What `deploy.cleanup` gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// The environment.
    pub environment: String,
    /// The colour that was stopped; nothing when none ran.
    pub stopped: Option<Colour>,
    /// The version that it had.
    pub version: Option<String>,
    /// The hosts it was stopped on.
    pub hosts: Vec<String>,
}

impl Action for DeployCleanup {
    const NAME: &'static str = NAME;
    const SUMMARY: &'static str =
        "Stops the colour that has no traffic, once nobody wants to go back to it at once.";
    type Params = Params;
    type Output = Output;

    fn effects(&self, params: &Params, facts: &Facts) -> Result<Vec<Effect>> {
        known(facts, &params.environment)?;
        complete(params)?;
        for text in [&params.stop, &params.run].into_iter().flatten() {
            Script.effects(&scripts(params, text).call(text, BTreeMap::new()), facts)?;
        }
        Ok(vec![effect(params)])
    }

    fn label(&self, params: &Params, _: &Facts) -> String {
        let colour = params.colour.map_or("the colour without traffic", Colour::as_str);
        format!("stop {colour} in {}", params.environment)
    }

    async fn probe(&self, params: &Params, context: &Context) -> Result<Probe<Output>> {
        let site = Site::new(&params.environment, &params.target, context);
        let away = if is_undo(context) { Away::Back } else { Away::Forward };
        let (kept, _) = reach(&site, away, context).await?;
        if holds_lock(kept.iter().flatten(), context) {
            return Ok(Probe::Absent);
        }
        let records: Vec<&Record> = kept.iter().flatten().filter_map(|kept| kept.record.as_ref()).collect();
        let is_done = |record: &&Record| {
            record.state == State::Live && record.idle.as_ref().is_some_and(|idle| !idle.hot)
        };
        match records.first().and_then(|record| record.idle.as_ref()) {
            Some(idle) if records.iter().all(is_done) => Ok(Probe::Done(Output {
                environment: params.environment.clone(),
                stopped: Some(idle.colour),
                version: Some(idle.version.clone()),
                hosts: site.hosts.iter().map(|host| host.name.clone()).collect(),
            })),
            _ => Ok(Probe::Absent),
        }
    }

    async fn run(&self, params: &Params, context: &Context) -> Result<Output> {
        complete(params)?;
        if let Probe::Done(output) = self.probe(params, context).await?
            && params.colour.is_none_or(|colour| Some(colour) == output.stopped)
        {
            return Ok(output);
        }
        let site = Site::new(&params.environment, &params.target, context);
        let (kept, _) = reach(&site, Away::Forward, context).await?;
        let (site, request) = (&site, &request(params));
        let tool = &tool(params);
        let work = |fence, kept: Vec<Option<Kept>>| async move {
            let wanted = Wanted { version: String::new(), tag: String::new() };
            stop(params, &Work { context, site, request, tool, wanted, fence, kept }).await
        };
        let output = locked(site, context, kept, work).await?;
        if output.stopped.is_some() {
            context.changed(effect(params));
        }
        Ok(output)
    }

    async fn undo(&self, params: &Params, output: &Output, context: &Context) -> Result<Undone> {
        let site = Site::new(&params.environment, &params.target, context);
        let (kept, unreachable) = reach(&site, Away::Back, context).await?;
        // Where nobody says how a colour is brought up, the deployment's own way back does it.
        let is_stopped = |record: &Record| {
            (params.stop.is_none() || params.run.is_some())
                && record.state == State::Live
                && record.idle.as_ref().is_some_and(|idle| !idle.hot && Some(idle.colour) == output.stopped)
                && record.previous.as_ref().is_some_and(|previous| previous.colour == output.stopped)
        };
        let targets: Vec<usize> = kept
            .iter()
            .enumerate()
            .filter(|(_, kept)| kept.as_ref().and_then(|kept| kept.record.as_ref()).is_some_and(is_stopped))
            .map(|(index, _)| index)
            .collect();
        if targets.is_empty() {
            let_go(&site, kept.iter().map(Option::as_ref), context).await?;
            return Ok(Undone::NothingToDo);
        }
        let (site, request, targets) = (&site, &request(params), &targets);
        let tool = &tool(params);
        let work = |fence, kept: Vec<Option<Kept>>| async move {
            let wanted = Wanted { version: String::new(), tag: String::new() };
            let work = &Work { context, site, request, tool, wanted, fence, kept };
            let started = targets.iter().map(|index| async move {
                let Some(record) = work.found(*index) else { return Ok(()) };
                let Some(previous) = record.previous.as_deref() else { return Ok(()) };
                work.put_back(*index, previous).await?;
                mark(work, *index, record, true).await
            });
            at_once(started).await.into_iter().collect::<Result<Vec<()>>>()
        };
        locked(site, context, kept, work).await?;
        let colour = output.stopped.map_or("it", Colour::as_str);
        let done = format!("{colour} runs again, without traffic");
        Ok(match unreachable.is_empty() {
            true => Undone::Reverted(done),
            false => Undone::NeedsHuman(format!(
                "{} cannot be reached, and stays as it is; on the others {done}",
                unreachable.join(", ")
            )),
        })
    }
}

/// Stops the colour on every host.
async fn stop(params: &Params, work: &Work<'_>) -> Result<Output> {
    let environment = &params.environment;
    let nothing =
        Output { environment: environment.clone(), stopped: None, version: None, hosts: Vec::new() };
    let hosts: Vec<usize> = work.reached().into_iter().filter(|index| work.found(*index).is_some()).collect();
    let Some(first) = hosts.first().and_then(|index| work.found(*index)) else { return Ok(nothing) };
    let Some(live) = first.colour else {
        return Err(ActionError::Final(format!(
            "what {environment} has is in no colour: only deploy.blue_green leaves one that could be stopped"
        )));
    };
    for index in &hosts {
        let Some(record) = work.found(*index) else { continue };
        let name = &work.host(*index).name;
        if record.state != State::Live {
            return Err(ActionError::Final(format!(
                "a deployment to {name} did not come to its end, so both colours stay: look with `windlass env {environment}`"
            )));
        }
        let wanted = params.colour.unwrap_or(live.other());
        if record.colour == Some(wanted) {
            return Err(ActionError::Final(format!(
                "{} has the traffic, by the record of {name}: it is not stopped",
                wanted.as_str()
            )));
        }
    }
    let by_script = |index: &&usize| work.found(**index).is_some_and(|record| record.project.is_empty());
    if params.stop.is_none()
        && let Some(index) = hosts.iter().find(by_script)
    {
        return Err(ActionError::Final(format!(
            "a script brought up the colours on {}, and only a script can stop one: give deploy.cleanup a `stop`; nothing \
             was stopped",
            work.host(*index).name
        )));
    }
    let idle = live.other();
    let doors = Doors::of(work.site, work.context, |index| work.kept[index].is_some()).await?;
    if doors::ready(&doors.look(work.context).await?).contains(&idle) {
        return Err(ActionError::Final(format!(
            "a proxy gives {} traffic, though the record says that {} has it: look with `windlass env {environment}`; \
             nothing was stopped",
            idle.as_str(),
            live.as_str()
        )));
    }
    let is_idle = |server: &Server| server.colour == Some(idle);
    doors.steer(work, |server| is_idle(server).then_some((Admission::Maintenance, None))).await?;
    let stopped = hosts.iter().map(|index| async move {
        let Some(record) = work.found(*index) else { return Ok(None) };
        let version = record.idle.as_ref().map(|idle| idle.version.clone());
        let previous = record.previous.as_ref().map(|previous| previous.version.clone());
        let project = record.project.strip_suffix(&format!("-{}", live.as_str()));
        let what = Record {
            version: version.clone().or(previous).unwrap_or_default(),
            project: project.map(|project| format!("{project}-{}", idle.as_str())).unwrap_or_default(),
            colour: Some(idle),
            files: Vec::new(),
            previous: None,
            ..record.clone()
        };
        work.take_down(*index, &what).await?;
        mark(work, *index, record, false).await?;
        Ok(Some(what.version))
    });
    let versions: Vec<Option<String>> = at_once(stopped).await.into_iter().collect::<Result<_>>()?;
    work.context.log(&format!("{} is stopped", idle.as_str()));
    Ok(Output {
        stopped: Some(idle),
        version: versions.into_iter().flatten().find(|version| !version.is_empty()),
        hosts: work.names(&hosts),
        ..nothing
    })
}

/// Writes whether the other colour runs; all else in the record is as it was, and its deployment's.
async fn mark(work: &Work<'_>, index: usize, record: &Record, hot: bool) -> Result<()> {
    let Some(live) = record.colour else { return Ok(()) };
    let version = match (&record.idle, &record.previous) {
        (Some(idle), _) => idle.version.clone(),
        (None, Some(previous)) => previous.version.clone(),
        (None, None) => return Ok(()),
    };
    let idle = Some(Idle { colour: live.other(), version, hot });
    let record = Record { fence: work.fence, idle, ..record.clone() };
    Ok(work.host(index).write(work.context, &record, false).await?)
}

fn request(params: &Params) -> Request {
    Request {
        environment: params.environment.clone(),
        version: None,
        tag: None,
        ready: parameters::two_minutes(),
        target: params.target.clone(),
        after: BTreeMap::new(),
    }
}

fn tool(params: &Params) -> Tool {
    match &params.stop {
        Some(stop) => Tool::Script(scripts(params, stop)),
        None => Tool::Compose(Composing::default()),
    }
}

fn scripts(params: &Params, stop: &str) -> Scripts {
    Scripts {
        run: params.run.clone().unwrap_or_default(),
        stop: Some(stop.to_owned()),
        language: params.language,
        secrets: params.secrets.clone(),
    }
}

fn effect(params: &Params) -> Effect {
    Effect::new("stop the colour without traffic in", &params.environment, Reversibility::Compensable)
}

/// Refuses an environment that says too little.
fn complete(params: &Params) -> Result<()> {
    let target = &params.target;
    let is_script = params.stop.is_some();
    if !is_script && target.hosts.is_empty() {
        return Err(ActionError::Final(format!(
            "the environment {} has no hosts, so a script brought its colours up: say how one is stopped with `stop`",
            params.environment
        )));
    }
    request(params).needs(
        NAME,
        &[("proxy", target.proxy.is_some()), ("folder", target.hosts.is_empty() || target.folder.is_some())],
    )
}
