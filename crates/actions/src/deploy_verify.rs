//! `deploy.verify`: whether an environment really has the version: every host, what runs there, and the front door.
//!
//! It only looks. Everything that is wrong is told at once.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use windlass_core::config::Environment;
use windlass_core::duration::Duration;
use windlass_core::plan::{Effect, Facts};
use windlass_engine::action::{Action, ActionError, Probe, Result, Undone};
use windlass_engine::context::Context;

use crate::adapters::remote::{self, Host, Kept, Record};
use crate::deploy::{Site, Wanted, at_once, drift, health, known, pause};

/// The time between two looks.
const EVERY: std::time::Duration = std::time::Duration::from_secs(1);

/// Whether an environment really has the version.
#[derive(Debug, Clone, Copy)]
pub struct Verify;

/// Parameters of `deploy.verify`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The environment, as under `[environments]` in windlass.toml.
    pub environment: String,
    /// The version; the release's when not given.
    #[serde(default)]
    pub version: Option<String>,
    /// How long it may take until all is as it must be; one look is taken when not given.
    #[serde(default = "no_time")]
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

/// What `deploy.verify` gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// The environment.
    pub environment: String,
    /// The version that it has.
    pub version: String,
    /// The hosts that were asked.
    pub hosts: Vec<String>,
    /// The addresses that answered with the version.
    pub addresses: Vec<String>,
}

impl Action for Verify {
    const NAME: &'static str = "deploy.verify";
    const SUMMARY: &'static str = "Checks that an environment really has the version: every host's record and containers, and every health check.";
    type Params = Params;
    type Output = Output;

    fn effects(&self, params: &Params, facts: &Facts) -> Result<Vec<Effect>> {
        known(facts, &params.environment)?;
        wanted(params, facts.release.as_ref())?;
        let target = &params.target;
        if target.hosts.is_empty() && target.health_address().is_none() {
            return Err(ActionError::Final(format!(
                "nothing of {} can be verified: it has neither `hosts` nor `health`",
                params.environment
            )));
        }
        Ok(Vec::new())
    }

    fn label(&self, params: &Params, facts: &Facts) -> String {
        let version = wanted(params, facts.release.as_ref()).unwrap_or_else(|_| "the version".into());
        format!("verify {version} in {}", params.environment)
    }

    async fn probe(&self, _: &Params, _: &Context) -> Result<Probe<Output>> {
        Ok(Probe::Unknown)
    }

    async fn run(&self, params: &Params, context: &Context) -> Result<Output> {
        let version = wanted(params, context.world.release.as_deref())?;
        let begin = tokio::time::Instant::now();
        loop {
            let mut looked = Looked::default();
            looked.at_hosts(params, &version, context).await?;
            looked.at_the_front_door(params, &version, context).await?;
            if looked.problems.is_empty() {
                let (environment, addresses) = (params.environment.clone(), looked.addresses);
                return Ok(Output { environment, version, hosts: params.target.hosts.clone(), addresses });
            }
            let told = looked.problems.join("; ");
            if begin.elapsed() >= params.ready.to_std() {
                let what = format!("{} is not {version} as deployed: {told}", params.environment);
                return Err(ActionError::Failed(context.world.masker.mask(&what)));
            }
            context.log(&told);
            pause(context, EVERY).await?;
        }
    }

    async fn undo(&self, _: &Params, _: &Output, _: &Context) -> Result<Undone> {
        Ok(Undone::NothingToDo)
    }
}

fn no_time() -> Duration {
    Duration::from_secs(0)
}

fn wanted(params: &Params, release: Option<&windlass_core::plan::ReleaseFact>) -> Result<String> {
    // A tag changes nothing about what is asked.
    Wanted::of(params.version.as_ref(), params.version.as_ref(), release).map(|wanted| wanted.version)
}

/// What was found.
#[derive(Debug, Default)]
struct Looked {
    problems: Vec<String>,
    addresses: Vec<String>,
}

impl Looked {
    /// Every host at the same time: its record, its containers, and its own health check.
    async fn at_hosts(&mut self, params: &Params, version: &str, context: &Context) -> Result<()> {
        if params.target.hosts.is_empty() {
            return Ok(());
        }
        let site = Site::new(&params.environment, &params.target, context);
        let looks = site.look(context).await;
        let first = looks.first().and_then(|look| look.as_ref().ok()).and_then(|kept| kept.record.as_ref());
        let is_by_script = first.is_some_and(|record| record.project.is_empty() && record.colour.is_none());
        let found = at_once(site.hosts.iter().zip(&looks).enumerate().map(|(index, (host, look))| {
            // deploy.script keeps one record for all hosts, on the first.
            let needs_record = index == 0 || !is_by_script;
            at_host(&site, host, look, needs_record, version, context)
        }))
        .await;
        for found in found {
            let found = found?;
            self.problems.extend(found.problems);
            self.addresses.extend(found.addresses);
        }
        Ok(())
    }

    /// A host's record, and what runs there.
    async fn at_record(&mut self, host: &Host, record: &Record, version: &str, context: &Context) {
        let name = &host.name;
        if record.version != version {
            self.problems.push(format!("{name} has {}", record.version));
        }
        if record.project.is_empty() {
            self.problems.extend(drift::unfinished(record).map(|why| format!("{name}: {why}")));
        } else {
            match host.containers(context, &record.project).await {
                Ok(found) => {
                    let drift = drift::drift(record, &found);
                    self.problems.extend(drift.into_iter().map(|why| format!("{name}: {why}")));
                }
                Err(error) => self.problems.push(error.to_string()),
            }
        }
    }

    async fn at_the_front_door(&mut self, params: &Params, version: &str, context: &Context) -> Result<()> {
        let Some(address) = health::address(&params.target) else { return Ok(()) };
        let check = match params.target.hosts.is_empty() {
            // Nothing else says which version it is.
            true => health::Check::strict(&params.target, version),
            false => health::Check::new(&params.target, version),
        };
        self.ask(&check, address, context).await
    }

    /// A health check: a version it tells must be this one.
    async fn ask(&mut self, check: &health::Check<'_>, address: String, context: &Context) -> Result<()> {
        match check.ask(&address, context).await? {
            None => self.addresses.push(address),
            Some(problem) => self.problems.push(problem),
        }
        Ok(())
    }
}

async fn at_host(
    site: &Site,
    host: &Host,
    look: &remote::Result<Kept>,
    needs_record: bool,
    version: &str,
    context: &Context,
) -> Result<Looked> {
    let mut looked = Looked::default();
    match look {
        Ok(Kept { record: Some(record), .. }) => looked.at_record(host, record, version, context).await,
        Ok(_) if needs_record => {
            looked.problems.push(format!("{}: nothing was deployed there", host.name));
            return Ok(looked);
        }
        Ok(_) => {}
        Err(error) => {
            looked.problems.push(error.to_string());
            return Ok(looked);
        }
    }
    if let Some(address) = health::address_of(&site.environment, host, context).await? {
        let check = health::Check::new(&site.environment, version);
        looked.ask(&check, address, context).await?;
    }
    Ok(looked)
}
