//! `deploy.blue_green`: a version beside the one that customers use, proven, and then the traffic to it.

use std::collections::BTreeMap;

use windlass_core::config::VersionAt;
use windlass_core::plan::{Effect, Facts, Reversibility};
use windlass_engine::action::{Action, ActionError, Probe, Result, Undone};
use windlass_engine::context::Context;

use crate::deploy::Request;
use crate::deploy::blue_green::{Order, Switched};
use crate::deploy::parameters::parameters;
use crate::deploy::tool::{Composing, Scripts, Tool};
use crate::script::{Language, Script};

/// A version beside the one that customers use, proven, and then the traffic to it.
#[derive(Debug, Clone, Copy)]
pub struct DeployBlueGreen;

parameters! {
    /// Parameters of `deploy.blue_green`.
    pub struct Params {
        /// What brings `$WINDLASS_VERSION` up in `$WINDLASS_COLOUR` on `$WINDLASS_PORT`, and leaves the other colour alone,
        /// where docker compose is not the tool. It is run for each host (`$WINDLASS_HOST`), again after a crash, and with
        /// the version before when that is not up any more: bringing up twice must be bringing up once.
        #[serde(default)]
        pub run: Option<String>,
        /// What stops `$WINDLASS_COLOUR`, where `run` brought it up.
        #[serde(default)]
        pub stop: Option<String>,
        /// A script that must succeed before the version gets traffic; it finds it on `$WINDLASS_PORT`.
        #[serde(default)]
        pub validate: Option<String>,
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
        /// The version before goes on running without traffic, so that the way back is one message; `deploy.cleanup` stops
        /// it. With `false` it is stopped once the new one has the traffic.
        #[serde(default = "yes")]
        pub keep: bool,
    }
}

impl Action for DeployBlueGreen {
    const NAME: &'static str = "deploy.blue_green";
    const SUMMARY: &'static str = "Brings a version up beside the one that customers use, proves it, and gives it the traffic, with a way back at once.";
    type Params = Params;
    type Output = Switched;

    fn effects(&self, params: &Params, facts: &Facts) -> Result<Vec<Effect>> {
        let how = How::of(params);
        how.request.check(facts)?;
        how.check(params)?;
        for text in [&params.run, &params.stop, &params.validate].into_iter().flatten() {
            let scripts = scripts(params, text);
            Script.effects(&scripts.call(text, BTreeMap::new()), facts)?;
        }
        Ok(vec![effect(params)])
    }

    fn label(&self, params: &Params, facts: &Facts) -> String {
        let weaker = match params.target.version {
            Some(VersionAt::Nowhere) => ", proven by its health alone",
            _ => "",
        };
        params.request().label(facts, &format!(" beside what is there, and switch{weaker}"))
    }

    async fn probe(&self, params: &Params, context: &Context) -> Result<Probe<Switched>> {
        How::of(params).order().probe(context).await
    }

    async fn run(&self, params: &Params, context: &Context) -> Result<Switched> {
        let how = How::of(params);
        how.check(params)?;
        how.order().run(context, effect(params)).await
    }

    async fn undo(&self, params: &Params, output: &Switched, context: &Context) -> Result<Undone> {
        How::of(params).order().undo(output, context).await
    }
}

struct How {
    request: Request,
    tool: Tool,
    validate: Option<Scripts>,
    keep: bool,
}

impl How {
    fn of(params: &Params) -> Self {
        Self {
            request: params.request(),
            tool: match &params.run {
                Some(run) => Tool::Script(scripts(params, run)),
                None => Tool::Compose(Composing { images: params.images.clone(), recreate: params.recreate }),
            },
            validate: params.validate.as_ref().map(|text| scripts(params, text)),
            keep: params.keep,
        }
    }

    fn order(&self) -> Order<'_> {
        let Self { request, tool, validate, keep } = self;
        Order { request, tool, validate: validate.as_ref(), keep: *keep }
    }

    /// Refuses an environment that says too little.
    fn check(&self, params: &Params) -> Result<()> {
        let target = &self.request.target;
        let has_ports = target.proxy.as_ref().is_some_and(|proxy| proxy.ports.is_some());
        let is_script = params.run.is_some();
        self.request.recreates(DeployBlueGreen::NAME, params.recreate, is_script)?;
        self.request.needs(
            DeployBlueGreen::NAME,
            &[
                ("proxy", target.proxy.is_some()),
                ("proxy.ports", has_ports),
                ("health", target.health.is_some()),
                ("hosts", is_script || !target.hosts.is_empty()),
                ("folder", target.hosts.is_empty() || target.folder.is_some()),
                ("compose", is_script || !target.compose.is_empty()),
            ],
        )?;
        if is_script && !params.keep && params.stop.is_none() {
            return Err(ActionError::Final(
                "with `run` and `keep: false` there must be a `stop`, which stops the colour before".into(),
            ));
        }
        if !is_script && params.stop.is_some() {
            return Err(ActionError::Final(
                "`stop` belongs to `run`: without it docker compose brings colours up and stops them".into(),
            ));
        }
        Ok(())
    }
}

fn scripts(params: &Params, run: &str) -> Scripts {
    Scripts {
        run: run.to_owned(),
        stop: params.stop.clone(),
        language: params.language,
        secrets: params.secrets.clone(),
    }
}

fn yes() -> bool {
    true
}

fn effect(params: &Params) -> Effect {
    Effect::new("deploy to", &params.environment, Reversibility::Compensable)
}
