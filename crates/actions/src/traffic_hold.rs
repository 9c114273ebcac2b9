//! `traffic.hold`: no requests reach an environment any more, until `traffic.release`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use windlass_core::config::Environment;
use windlass_core::plan::{Effect, Facts, Reversibility};
use windlass_engine::action::{Action, ActionError, Probe, Result, Undone};
use windlass_engine::context::Context;

use crate::adapters::proxy::{Admission, Proxy};
use crate::deploy::lock::{holds_lock, locked, reach};
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
        let site = Site::new(&params.environment, &params.target, context);
        let proxies = Proxy::all(&site, context).await?;
        if is_left_locked(&site, context).await? {
            return Ok(Probe::Absent);
        }
        for proxy in &proxies {
            if proxy.held(context).await?.is_none() {
                return Ok(Probe::Absent);
            }
            let statuses = proxy.status(context).await?;
            if statuses.iter().any(|status| status.admission != Admission::Maintenance) {
                return Ok(Probe::Absent);
            }
        }
        Ok(Probe::Done(told(params, &proxies)))
    }

    async fn run(&self, params: &Params, context: &Context) -> Result<Output> {
        if let Probe::Done(output) = self.probe(params, context).await? {
            return Ok(output);
        }
        let site = Site::new(&params.environment, &params.target, context);
        let proxies = Proxy::all(&site, context).await?;
        let (kept, _) = reach(&site, context).await?;
        let held = &proxies;
        locked(&site, context, kept, |fence, _| async move {
            for proxy in held {
                proxy.hold(context, fence).await?;
                context.log(&format!("{} lets nothing through to {}", proxy.name(), params.environment));
            }
            Ok(())
        })
        .await?;
        context.changed(effect(params));
        Ok(told(params, &proxies))
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

/// Whether a killed process of this run left the environment's lock: then the work goes on, and gives it back.
pub(crate) async fn is_left_locked(site: &Site, context: &Context) -> Result<bool> {
    match site.first() {
        Some(host) => Ok(holds_lock(Some(&host.look(context).await?), context)),
        None => Ok(false),
    }
}

pub(crate) fn told(params: &Params, proxies: &[Proxy]) -> Output {
    Output { environment: params.environment.clone(), proxies: proxies.iter().map(Proxy::name).collect() }
}

fn effect(params: &Params) -> Effect {
    Effect::new("hold the traffic of", &params.environment, Reversibility::Compensable)
}
