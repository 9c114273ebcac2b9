//! `deploy.rolling`: a version onto an environment's hosts, each out of the traffic while it is changed.

use std::collections::BTreeMap;

use windlass_core::plan::{Effect, Facts, Reversibility};
use windlass_engine::action::{Action, ActionError, Probe, Result, Undone};
use windlass_engine::context::Context;

use crate::deploy::Request;
use crate::deploy::parameters::parameters;
use crate::deploy::rollout::{Order, Rolled};
use crate::deploy::tool::{Composing, Scripts, Tool};
use crate::script::{Language, Script};

/// A version onto an environment's hosts, each out of the traffic while it is changed.
#[derive(Debug, Clone, Copy)]
pub struct DeployRolling;

parameters! {
    /// Parameters of `deploy.rolling`.
    pub struct Params {
        /// What brings `$WINDLASS_VERSION` to the host `$WINDLASS_HOST`, where docker compose is not the tool. It is run
        /// for each host, again after a crash, and with the version before to go back: deploying twice must be deploying
        /// once.
        #[serde(default)]
        pub run: Option<String>,
        /// What takes a first deployment away from `$WINDLASS_HOST` again, where `run` brought it.
        #[serde(default)]
        pub stop: Option<String>,
        /// What the scripts are written in.
        #[serde(default = "crate::script::bash")]
        pub language: Language,
        /// Names of secrets that the scripts get as environment variables.
        #[serde(default)]
        pub secrets: Vec<String>,
        /// The digest that the image of a service must have, by service, as for `deploy.compose`.
        #[serde(default)]
        pub images: BTreeMap<String, String>,
        /// Every container is made anew, also where nothing differs: what it reads only when it starts, such as a secret in a
        /// file that it mounts, is read again (`docker compose up --force-recreate`). Done once for each run.
        #[serde(default)]
        pub recreate: bool,
    }
}

impl Action for DeployRolling {
    const NAME: &'static str = "deploy.rolling";
    const SUMMARY: &'static str = "Brings a version to an environment's hosts batch by batch, each out of the traffic while it is changed.";
    type Params = Params;
    type Output = Rolled;

    fn effects(&self, params: &Params, facts: &Facts) -> Result<Vec<Effect>> {
        let (request, tool) = how(params);
        request.check(facts)?;
        complete(params, &request)?;
        if let Tool::Script(scripts) = &tool {
            for text in [Some(&scripts.run), scripts.stop.as_ref()].into_iter().flatten() {
                Script.effects(&scripts.call(text, BTreeMap::new()), facts)?;
            }
        }
        Ok(vec![effect(params)])
    }

    fn label(&self, params: &Params, facts: &Facts) -> String {
        params.request().label(facts, &format!(" host by host ({})", params.target.hosts.join(", ")))
    }

    async fn probe(&self, params: &Params, context: &Context) -> Result<Probe<Rolled>> {
        let (request, tool) = how(params);
        Order { request: &request, tool: &tool, through_proxies: true }.probe(context).await
    }

    async fn run(&self, params: &Params, context: &Context) -> Result<Rolled> {
        let (request, tool) = how(params);
        complete(params, &request)?;
        Order { request: &request, tool: &tool, through_proxies: true }.run(context, effect(params)).await
    }

    async fn undo(&self, params: &Params, output: &Rolled, context: &Context) -> Result<Undone> {
        let (request, tool) = how(params);
        Order { request: &request, tool: &tool, through_proxies: true }.undo(&output.version, context).await
    }
}

fn how(params: &Params) -> (Request, Tool) {
    let tool = match &params.run {
        Some(run) => Tool::Script(Scripts {
            run: run.clone(),
            stop: params.stop.clone(),
            language: params.language,
            secrets: params.secrets.clone(),
        }),
        None => Tool::Compose(Composing { images: params.images.clone(), recreate: params.recreate }),
    };
    (params.request(), tool)
}

fn effect(params: &Params) -> Effect {
    Effect::new("deploy to", &params.environment, Reversibility::Compensable)
}

/// Refuses an environment that says too little.
fn complete(params: &Params, request: &Request) -> Result<()> {
    let target = &request.target;
    let is_script = params.run.is_some();
    request.recreates(DeployRolling::NAME, params.recreate, is_script)?;
    request.needs(
        DeployRolling::NAME,
        &[
            ("hosts", !target.hosts.is_empty()),
            ("folder", target.folder.is_some()),
            ("compose", is_script || !target.compose.is_empty()),
        ],
    )?;
    if target.proxy.as_ref().is_some_and(|proxy| proxy.ports.is_some()) {
        return Err(ActionError::Final(format!(
            "the proxy of the environment {} has `ports`, so its servers have colours: use deploy.blue_green, or take them \
             out",
            params.environment
        )));
    }
    // A host that gets traffic again unseen is no better than one that never left it.
    let has_own_address = target.health.as_deref().is_some_and(|health| health.contains("{host}"))
        || target.health.is_some() && target.proxy.as_ref().is_some_and(|proxy| proxy.address.is_some());
    if is_script && !has_own_address {
        return Err(ActionError::Final(format!(
            "deploy.rolling with `run` must be able to ask each host for its health: put {{host}} into `health` of the \
             environment {}, or give its proxy an `address`",
            params.environment
        )));
    }
    Ok(())
}
