//! `traffic.hold`: no requests reach an environment any more, until `traffic.release`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use windlass_core::config::Environment;
use windlass_core::plan::{Effect, Facts, Reversibility};
use windlass_engine::action::{Action, ActionError, Probe, Result, Undone};
use windlass_engine::context::Context;

use crate::adapters::proxy::{Admission, Proxy};
use crate::adapters::remote::Kept;
use crate::deploy::doors::Doors;
use crate::deploy::lock::{Away, holds_lock, locked, reach};
use crate::deploy::{Site, known};
use crate::traffic_release;

/// No requests reach an environment any more, until `traffic.release`.
#[derive(Debug, Clone, Copy)]
pub struct HoldTraffic;

/// Parameters of `traffic.hold` and `traffic.release`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The environment, as under `[environments]` in windlass.toml. It must have a `proxy`.
    pub environment: String,
    /// The environment's configuration, as it was when this was planned.
    #[serde(default)]
    #[schemars(skip)]
    pub target: Environment,
}

/// What `traffic.hold` and `traffic.release` give.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// The environment.
    pub environment: String,
    /// The proxies that were told.
    pub proxies: Vec<String>,
    /// The hosts that could not be reached; where each has a proxy of its own, that is as it was.
    #[serde(default)]
    pub unreachable: Vec<String>,
}

impl Action for HoldTraffic {
    const NAME: &'static str = "traffic.hold";
    const SUMMARY: &'static str =
        "Lets no requests through to an environment, so that nothing is written while its data is replaced.";
    type Params = Params;
    type Output = Output;

    fn effects(&self, params: &Params, facts: &Facts) -> Result<Vec<Effect>> {
        check(params, facts)?;
        Ok(vec![effect(params)])
    }

    fn label(&self, params: &Params, _: &Facts) -> String {
        format!("hold the traffic of {}", params.environment)
    }

    async fn probe(&self, params: &Params, context: &Context) -> Result<Probe<Output>> {
        let found = Found::of(params, Away::Back, context).await?;
        if found.is_left_locked(context) {
            return Ok(Probe::Absent);
        }
        for proxy in found.doors.proxies() {
            if proxy.held(context).await?.is_none() {
                return Ok(Probe::Absent);
            }
            let statuses = proxy.status(context).await?;
            if statuses.iter().any(|status| status.admission != Admission::Maintenance) {
                return Ok(Probe::Absent);
            }
        }
        Ok(Probe::Done(found.told()))
    }

    async fn run(&self, params: &Params, context: &Context) -> Result<Output> {
        if let Probe::Done(output) = self.probe(params, context).await? {
            return Ok(output);
        }
        let found = Found::of(params, Away::Back, context).await?;
        let doors = &found.doors;
        locked(&found.site, context, found.kept.clone(), |fence, _| async move {
            for proxy in doors.proxies() {
                proxy.hold(context, fence).await?;
                context.log(&format!("{} lets nothing through to {}", proxy.name(), params.environment));
            }
            Ok(())
        })
        .await?;
        context.changed(effect(params));
        if !found.unreachable.is_empty()
            && params.target.proxy.as_ref().is_some_and(|proxy| proxy.hosts.is_empty())
        {
            let hosts = found.unreachable.join(", ");
            context.log(&format!("{hosts} cannot be reached: what reaches it directly is not held there"));
        }
        Ok(found.told())
    }

    async fn undo(&self, params: &Params, _: &Output, context: &Context) -> Result<Undone> {
        Ok(match traffic_release::let_in(params, context).await?.1 {
            true => Undone::Reverted(format!("traffic reaches {} again", params.environment)),
            false => Undone::NothingToDo,
        })
    }
}

/// Refuses an environment whose traffic nothing here can hold.
pub(crate) fn check(params: &Params, facts: &Facts) -> Result<()> {
    known(facts, &params.environment)?;
    match params.target.proxy.is_some() {
        true => Ok(()),
        false => Err(ActionError::Final(format!(
            "the environment {0} has no proxy whose traffic could be held: add [environments.{0}.proxy]",
            params.environment
        ))),
    }
}

/// An environment whose traffic is held or released: its hosts and proxies, but for those that cannot be reached.
pub(crate) struct Found {
    pub(crate) site: Site,
    pub(crate) kept: Vec<Option<Kept>>,
    pub(crate) doors: Doors,
    pub(crate) unreachable: Vec<String>,
}

impl Found {
    pub(crate) async fn of(params: &Params, away: Away, context: &Context) -> Result<Self> {
        let site = Site::new(&params.environment, &params.target, context);
        let (kept, unreachable) = reach(&site, away, context).await?;
        let doors = Doors::of(&site, context, |index| kept[index].is_some()).await?;
        Ok(Self { site, kept, doors, unreachable })
    }

    /// Whether a killed process of this run left the environment's lock: then the work goes on, and gives it back.
    pub(crate) fn is_left_locked(&self, context: &Context) -> bool {
        holds_lock(self.kept.iter().flatten(), context)
    }

    pub(crate) fn told(&self) -> Output {
        Output {
            environment: self.site.name.clone(),
            proxies: self.doors.proxies().iter().map(Proxy::name).collect(),
            unreachable: self.unreachable.clone(),
        }
    }
}

fn effect(params: &Params) -> Effect {
    Effect::new("hold the traffic of", &params.environment, Reversibility::Compensable)
}
