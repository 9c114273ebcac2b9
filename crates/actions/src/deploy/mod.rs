//! What every way of deploying shares: the environment's hosts, their records, promotion, health.

use std::path::{Path, PathBuf};

use futures::stream::{self, Buffered, Collect, StreamExt as _};
use jiff::Timestamp;
use windlass_core::config::{Colour, Environment};
use windlass_core::diagnostic::nearest;
use windlass_core::plan::Facts;
use windlass_core::text::sanitize_line;
use windlass_engine::action::{ActionError, Result};
use windlass_engine::context::Context;

use crate::adapters::proxy::Admission;
use crate::adapters::remote::{self, Host, Kept, RemoteError};
use crate::adapters::ssh::Target;

pub(crate) mod blue_green;
pub(crate) mod doors;
pub mod drift;
pub mod health;
pub mod lock;
pub(crate) mod parameters;
pub mod promotion;
pub(crate) mod release;
pub(crate) mod rollout;
pub(crate) mod targets;
pub(crate) mod there;
pub(crate) mod tool;
pub(crate) mod work;

pub use parameters::Request;

/// How many hosts are asked something at the same time.
const AT_ONCE: usize = 32;

/// Many questions, so many at a time that this machine bears them; the answers in their order.
pub(crate) fn at_once<F: Future>(
    work: impl IntoIterator<Item = F>,
) -> Collect<Buffered<stream::Iter<std::vec::IntoIter<F>>>, Vec<F::Output>> {
    let work: Vec<F> = work.into_iter().collect();
    stream::iter(work).buffered(AT_ONCE).collect()
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
        let environment = &self.environment;
        let config = ssh_config(environment, context);
        Host {
            name: host.to_owned(),
            folder: environment.folder.clone().unwrap_or_else(|| format!("/srv/{}", self.name)),
            ssh: Some(Target { host: host.to_owned(), user: environment.user.clone(), config }),
        }
    }

    /// What every host keeps, asked at the same time.
    pub async fn look(&self, context: &Context) -> Vec<remote::Result<Kept>> {
        at_once(self.hosts.iter().map(|host| host.look(context))).await
    }

    /// The host that keeps the environment's lock.
    pub fn first(&self) -> Option<&Host> {
        self.hosts.first()
    }
}

/// The environment's ssh configuration, where it is not the user's own.
pub(crate) fn ssh_config(environment: &Environment, context: &Context) -> Option<PathBuf> {
    let world = &context.world;
    let home = world.environment.get("HOME").cloned().or_else(|| std::env::var("HOME").ok());
    environment.ssh_config.as_deref().map(|path| match (path.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => Path::new(&home).join(rest),
        _ => world.workspace.join(path),
    })
}

/// What the proxies say of the traffic of an environment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Which colours have it on each host that can be reached; nothing where there are no colours.
    pub colours: Vec<(usize, Vec<Colour>)>,
    /// Why a host gets no requests, or not by every proxy, where there are no colours.
    pub out: Vec<(usize, String)>,
    /// The proxies that let nothing through, and since when, where that is known.
    pub held: Vec<(String, Option<Timestamp>)>,
}

/// What the proxies say of the hosts that can be reached; nothing without proxies.
///
/// # Errors
/// When a proxy cannot be asked.
pub async fn traffic(site: &Site, context: &Context, is_there: impl Fn(usize) -> bool) -> Result<Traffic> {
    let doors = doors::Doors::of(site, context, &is_there).await?;
    let held = at_once(doors.proxies().iter().map(|proxy| proxy.held(context))).await;
    let held = held.into_iter().collect::<remote::Result<Vec<_>>>()?;
    let statuses = doors.look_at_each(context).await?;
    let mut traffic = Traffic::default();
    let mut colours = Vec::new();
    for ((proxy, statuses), held) in doors.proxies().iter().zip(statuses).zip(held) {
        // What is held is told once, and not of each server.
        let is_held = held.is_some();
        traffic.held.extend(held.map(|held| (proxy.name(), held.since)));
        for (server, status) in statuses {
            let how = match status.admission {
                _ if server.colour.is_some() || is_held || !is_there(server.host) => None,
                Admission::Ready => None,
                Admission::Drain => Some("drained"),
                Admission::Maintenance => Some("in maintenance"),
            };
            traffic.out.extend(how.map(|how| (server.host, format!("{how} in {}", proxy.name()))));
            if server.colour.is_some() {
                colours.push((server, status));
            }
        }
    }
    if !colours.is_empty() {
        let of_host = |index: usize| {
            let own = colours.iter().filter(|(server, _)| server.host == index);
            (index, doors::ready(&own.cloned().collect::<Vec<_>>()))
        };
        traffic.colours = (0..site.hosts.len()).filter(|index| is_there(*index)).map(of_host).collect();
    }
    traffic.out.sort();
    Ok(traffic)
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
