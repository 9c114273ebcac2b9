//! `deploy.compose`: a version onto an environment's hosts with docker compose.

use std::collections::BTreeMap;

use windlass_core::plan::{Effect, Facts, Reversibility};
use windlass_engine::action::{Action, Probe, Result, Undone};
use windlass_engine::context::Context;

use crate::deploy::Request;
use crate::deploy::parameters::parameters;
use crate::deploy::rollout::{Order, Rolled};
use crate::deploy::tool::{Composing, Tool};

/// A version onto an environment's hosts with docker compose.
#[derive(Debug, Clone, Copy)]
pub struct DeployCompose;

parameters! {
    /// Parameters of `deploy.compose`.
    pub struct Params {
        /// The digest that the image of a service must have, by service: what the build gave, such as
        /// `{ web: "{{ outputs.build.DIGEST }}" }`. Another one in the registry is refused before anything is touched.
        #[serde(default)]
        pub images: BTreeMap<String, String>,
        /// Every container is made anew, also where nothing differs: what it reads only when it starts, such as a secret in a
        /// file that it mounts, is read again (`docker compose up --force-recreate`). Done once for each run.
        #[serde(default)]
        pub recreate: bool,
    }
}

impl Action for DeployCompose {
    const NAME: &'static str = "deploy.compose";
    const SUMMARY: &'static str = "Brings a version to an environment's hosts over SSH with docker compose, batch by batch, and back when it fails.";
    type Params = Params;
    type Output = Rolled;

    fn effects(&self, params: &Params, facts: &Facts) -> Result<Vec<Effect>> {
        let request = params.request();
        request.check(facts)?;
        complete(&request)?;
        Ok(vec![effect(params)])
    }

    fn label(&self, params: &Params, facts: &Facts) -> String {
        params.request().label(facts, &format!(" ({})", params.target.hosts.join(", ")))
    }

    async fn probe(&self, params: &Params, context: &Context) -> Result<Probe<Rolled>> {
        let (request, tool) = how(params);
        Order { request: &request, tool: &tool, through_proxies: false }.probe(context).await
    }

    async fn run(&self, params: &Params, context: &Context) -> Result<Rolled> {
        let (request, tool) = how(params);
        complete(&request)?;
        Order { request: &request, tool: &tool, through_proxies: false }.run(context, effect(params)).await
    }

    async fn undo(&self, params: &Params, output: &Rolled, context: &Context) -> Result<Undone> {
        let (request, tool) = how(params);
        Order { request: &request, tool: &tool, through_proxies: false }.undo(&output.version, context).await
    }
}

fn how(params: &Params) -> (Request, Tool) {
    (params.request(), Tool::Compose(Composing { images: params.images.clone(), recreate: params.recreate }))
}

fn effect(params: &Params) -> Effect {
    Effect::new("deploy to", &params.environment, Reversibility::Compensable)
}

/// Refuses an environment that says too little.
fn complete(request: &Request) -> Result<()> {
    let target = &request.target;
    request.needs(
        DeployCompose::NAME,
        &[
            ("hosts", !target.hosts.is_empty()),
            ("folder", target.folder.is_some()),
            ("compose", !target.compose.is_empty()),
        ],
    )
}
