//! What every way of deploying shares: the environment's hosts, their records, promotion, health.

use std::collections::BTreeMap;
use std::path::Path;

use futures::future::join_all;
use serde::Deserialize;
use serde_json::Value;
use windlass_core::config::Environment;
use windlass_core::diagnostic::nearest;
use windlass_core::plan::Facts;
use windlass_core::text::sanitize_line;
use windlass_engine::action::{ActionError, Result};
use windlass_engine::context::Context;

use crate::adapters::remote::{self, Host, Kept, RemoteError};
use crate::adapters::ssh::Target;

pub mod drift;
pub mod health;
pub mod promotion;
pub(crate) mod rollout;

/// What every action that deploys is told: the parameters that all of them have.
#[derive(Debug, Clone, Deserialize)]
pub struct Request {
    /// The environment.
    pub environment: String,
    /// The version, where it is not the release's.
    #[serde(default)]
    pub version: Option<String>,
    /// Its configuration.
    #[serde(default)]
    pub target: Environment,
    /// The configurations of those it comes after.
    #[serde(default)]
    pub after: BTreeMap<String, Environment>,
}

impl Request {
    /// What a call of an action deploys, when it is one that does: `deploy.verify` only looks.
    pub fn of_call(action: &str, params: &Value) -> Option<Self> {
        (action.starts_with("deploy.") && action != "deploy.verify")
            .then(|| Self::deserialize(params).ok())
            .flatten()
    }
}

/// What is deployed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The version.
    pub version: String,
    /// Its tag.
    pub tag: String,
}

impl Wanted {
    /// What the parameters say, and the release where they say nothing.
    ///
    /// # Errors
    /// When neither does.
    pub fn of(
        version: Option<&String>,
        tag: Option<&String>,
        release: Option<&windlass_core::plan::ReleaseFact>,
    ) -> Result<Self> {
        let missing = || {
            ActionError::Final(
                "there is no version to deploy: this runbook releases none, so name one with `version` and `tag`".into(),
            )
        };
        if version.is_some() != tag.is_some() {
            return Err(ActionError::Final("`version` and `tag` belong together: give both, or none".into()));
        }
        let version = version.cloned().or_else(|| release.map(|release| release.version.clone()));
        let tag = tag.cloned().or_else(|| release.map(|release| release.tag.clone()));
        Ok(Self { version: version.ok_or_else(missing)?, tag: tag.ok_or_else(missing)? })
    }
}

/// Refuses an environment that the configuration does not have.
///
/// # Errors
/// When it has not.
pub fn known(facts: &Facts, name: &str) -> Result<()> {
    if facts.environments.contains_key(name) {
        return Ok(());
    }
    let shown = sanitize_line(name);
    let help = match nearest(name, facts.environments.keys().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "add it to windlass.toml as [environments.NAME]".to_owned(),
    };
    Err(ActionError::Final(format!("there is no environment `{shown}`: {help}")))
}

/// An environment's hosts, as they are reached from here.
#[derive(Debug, Clone)]
pub struct Site {
    /// The environment's name.
    pub name: String,
    /// Its configuration.
    pub environment: Environment,
    /// Its hosts; this machine where it has none, for the record and the lock.
    pub hosts: Vec<Host>,
}

impl Site {
    /// The hosts of an environment.
    pub fn new(name: &str, environment: &Environment, context: &Context) -> Self {
        let mut site = Self { name: name.to_owned(), environment: environment.clone(), hosts: Vec::new() };
        site.hosts = match environment.hosts.as_slice() {
            [] => vec![Host::here(&context.world.state, name)],
            hosts => hosts.iter().map(|host| site.host(host, context)).collect(),
        };
        site
    }

    /// A host that ssh knows by this name, reached as the environment's own are.
    pub fn host(&self, host: &str, context: &Context) -> Host {
        let (world, environment) = (&context.world, &self.environment);
        let home = world.environment.get("HOME").cloned().or_else(|| std::env::var("HOME").ok());
        let config = environment.ssh_config.as_deref().map(|path| match (path.strip_prefix("~/"), home) {
            (Some(rest), Some(home)) => Path::new(&home).join(rest),
            _ => world.workspace.join(path),
        });
        Host {
            name: host.to_owned(),
            folder: environment.folder.clone().unwrap_or_else(|| format!("/srv/{}", self.name)),
            ssh: Some(Target { host: host.to_owned(), user: environment.user.clone(), config }),
        }
    }

    /// What every host keeps, asked at the same time.
    pub async fn look(&self, context: &Context) -> Vec<remote::Result<Kept>> {
        join_all(self.hosts.iter().map(|host| host.look(context))).await
    }

    /// The host that keeps the environment's lock.
    pub fn first(&self) -> Option<&Host> {
        self.hosts.first()
    }
}

/// Everything that went wrong, in one sentence each.
pub(crate) fn together<'a>(errors: impl IntoIterator<Item = &'a RemoteError>) -> String {
    let told: Vec<String> = errors.into_iter().map(ToString::to_string).collect();
    told.join("; ")
}

/// Waits, unless the run is cancelled.
pub(crate) async fn pause(context: &Context, time: std::time::Duration) -> Result<()> {
    tokio::select! {
        biased;
        () = context.cancel.cancelled() => Err(ActionError::Cancelled),
        () = tokio::time::sleep(time) => Ok(()),
    }
}
