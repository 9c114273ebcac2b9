//! `windlass env`: what each environment has, asked of its hosts, and whether that is what really runs.

use std::collections::BTreeMap;

use clap::Args;
use futures::future::join_all;
use jiff::Timestamp;
use serde::Serialize;
use windlass_actions::adapters::remote::{Host, Idle, Lock, Record, State};
use windlass_actions::adapters::{remote, ssh};
use windlass_actions::deploy::{Site, drift, health, lock, traffic};
use windlass_core::config::{Colour, Environment};
use windlass_core::diagnostic::nearest;
use windlass_core::text::sanitize_line;
use windlass_engine::context::Context;

use crate::error::{CommandError, Result};
use crate::exit::Exit;
use crate::project::Project;
use crate::report;
use crate::session::Session;

/// Show what each environment has, and what really runs there
#[derive(Debug, Args)]
pub struct Arguments {
    /// This environment; every one when not given
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
}

/// What was found.
#[derive(Debug, Serialize)]
pub struct Output {
    /// The environments, by name.
    pub environments: Vec<Told>,
}

/// What is known of an environment.
#[derive(Debug, Serialize)]
pub struct Told {
    /// Its name.
    pub name: String,
    /// Where it answers.
    pub url: Option<String>,
    /// What it is for.
    pub purpose: Option<String>,
    /// The version that every host has; nothing when they differ or one cannot be asked.
    pub version: Option<String>,
    /// Something is not as it was deployed, or cannot be asked.
    pub drift: bool,
    /// What its health check says, when it has one: nothing when all is well.
    pub health: Option<Health>,
    /// Who holds its lock.
    pub lock: Option<Lock>,
    /// Every lock on its hosts: more than one when somebody went back without the first host.
    pub locks: Vec<lock::Held>,
    /// The proxies whose traffic is held, and since when, where that is known.
    pub held: Vec<(String, Option<Timestamp>)>,
    /// The last locks that were broken: when, by whom and why.
    pub breaks: Vec<String>,
    /// Its hosts.
    pub hosts: Vec<HostTold>,
}

/// What a health check says.
#[derive(Debug, Serialize)]
pub struct Health {
    /// The address.
    pub address: String,
    /// What is wrong with its answer.
    pub problem: Option<String>,
}

/// What is known of a host.
#[derive(Debug, Serialize)]
pub struct HostTold {
    /// Its name.
    pub host: String,
    /// Why it could not be asked.
    pub unreachable: Option<String>,
    /// The version it has.
    pub version: Option<String>,
    /// Its tag.
    pub tag: Option<String>,
    /// The colour that has the traffic, where there are two.
    pub colour: Option<Colour>,
    /// What the other colour holds.
    pub idle: Option<Idle>,
    /// How far the version is.
    pub state: Option<State>,
    /// Since when.
    pub since: Option<Timestamp>,
    /// The run that deployed it.
    pub run: Option<String>,
    /// The image of each service, by digest.
    pub images: BTreeMap<String, String>,
    /// What is not as it was deployed.
    pub drift: Vec<String>,
}

/// Asks the hosts and tells.
///
/// # Errors
/// For an environment that is not there.
pub fn run(arguments: &Arguments, session: &mut Session) -> Result<Exit> {
    let project = Project::find(session)?;
    let chosen = chosen(&project, arguments.name.as_deref())?;
    let context = context(&project);
    let environments = project
        .block_on(join_all(chosen.iter().map(|(name, environment)| tell(name, environment, &context))))?;
    ssh::close(&context.world.state, &context.run);
    let output = Output { environments };
    if session.report.is_json() {
        session.report.object("env", &output);
    } else if output.environments.is_empty() {
        session.report.progress("windlass.toml has no environments: add one as [environments.NAME]");
    } else {
        let text = report::environments::text(&output, session.report.out_paint, Timestamp::now());
        session.report.data(&text);
    }
    Ok(Exit::Done)
}

/// The environments that are meant.
///
/// # Errors
/// When there is none of that name.
pub fn chosen<'a>(project: &'a Project, name: Option<&str>) -> Result<Vec<(&'a String, &'a Environment)>> {
    let environments = &project.config.environments;
    let Some(name) = name else { return Ok(environments.iter().collect()) };
    if let Some(found) = environments.get_key_value(name) {
        return Ok(vec![found]);
    }
    let error = CommandError::invalid(format!("there is no environment `{}`", sanitize_line(name)));
    Err(match nearest(name, environments.keys().map(String::as_str)) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error.hint("add it to windlass.toml as [environments.NAME]"),
    })
}

/// A door outside for looking at hosts.
pub fn context(project: &Project) -> Context {
    // Of what surrounds this process only what the process adapter passes on itself.
    remote::looking(project.root.clone(), project.state.clone(), BTreeMap::new())
}

async fn tell(name: &str, environment: &Environment, context: &Context) -> Told {
    let site = Site::new(name, environment, context);
    let looks = site.look(context).await;
    let locks = lock::held(&site, &looks);
    let breaks = looks.iter().flatten().find(|kept| !kept.breaks.is_empty());
    let breaks = breaks.map(|kept| kept.breaks.clone()).unwrap_or_default();
    let reached: Vec<bool> = looks.iter().map(std::result::Result::is_ok).collect();
    let mut hosts = join_all(site.hosts.iter().zip(looks).map(|(host, look)| async move {
        match look {
            Ok(kept) => of_host(host, kept.record, environment, context).await,
            Err(error) => HostTold { unreachable: Some(sanitize_line(&error.to_string())), ..blank(host) },
        }
    }))
    .await;
    let held = match environment.proxy.is_some() && hosts.iter().any(|host| host.version.is_some()) {
        true => compare(&mut hosts, &site, &reached, context).await,
        false => Vec::new(),
    };
    let mut version = hosts.first().and_then(|host| host.version.clone());
    if hosts.iter().any(|host| host.version != version) {
        version = None;
    }
    let health = match (health::address(environment), &version) {
        (Some(address), Some(version)) => {
            let asked = health::ask(environment, &address, version, context).await;
            Some(Health { address, problem: asked.unwrap_or_else(|error| Some(error.to_string())) })
        }
        _ => None,
    };
    let drift = hosts.iter().any(|host| host.unreachable.is_some() || !host.drift.is_empty())
        || health.as_ref().is_some_and(|health| health.problem.is_some())
        || !held.is_empty()
        || hosts.windows(2).any(|pair| matches!(pair, [left, right] if left.version != right.version));
    Told {
        name: name.to_owned(),
        url: environment.url.clone(),
        purpose: environment.purpose.clone(),
        version,
        drift,
        health,
        lock: locks.first().map(|held| held.lock.clone()),
        locks,
        held,
        breaks,
        hosts,
    }
}

fn blank(host: &Host) -> HostTold {
    HostTold {
        host: host.name.clone(),
        unreachable: None,
        version: None,
        tag: None,
        colour: None,
        idle: None,
        state: None,
        since: None,
        run: None,
        images: BTreeMap::new(),
        drift: Vec::new(),
    }
}

async fn of_host(
    host: &Host,
    record: Option<Record>,
    environment: &Environment,
    context: &Context,
) -> HostTold {
    let Some(record) = record else { return blank(host) };
    let mut told = Vec::new();
    // Customers do not get what was being brought up beside what they have.
    let (record, state) = match record.serving().cloned() {
        Some(serving) => {
            let colour = record.colour.map_or("its colour", Colour::as_str);
            told.push(format!(
                "{} was being brought up in {colour}, without traffic, and that did not come to its end",
                record.version
            ));
            (serving, record.state)
        }
        None => {
            let state = record.state;
            (record, state)
        }
    };
    if record.project.is_empty() {
        // Another tool deployed it, so only its health check can tell more.
        told.extend(drift::unfinished(&record));
    } else {
        match host.containers(context, &record.project).await {
            Ok(found) => told.extend(drift::drift(&record, &found)),
            Err(error) => told.push(format!("what runs cannot be asked: {error}")),
        }
    }
    told.extend(cold(host, &record, context).await);
    if let Ok(Some(address)) = health::address_of(environment, host, context).await {
        match health::ask(environment, &address, &record.version, context).await {
            Ok(problem) => told.extend(problem),
            Err(error) => told.push(error.to_string()),
        }
    }
    HostTold {
        version: Some(record.version),
        tag: Some(record.tag),
        colour: record.colour,
        idle: record.idle,
        state: Some(state),
        since: Some(record.at),
        run: Some(record.run),
        images: record.images,
        drift: told.iter().map(|line| sanitize_line(line)).collect(),
        ..blank(host)
    }
}

/// Why the traffic could not be given back at once, though it should be possible.
async fn cold(host: &Host, record: &Record, context: &Context) -> Option<String> {
    let idle = record.idle.as_ref().filter(|idle| idle.hot)?;
    let previous = record.previous.as_ref().filter(|previous| previous.colour == Some(idle.colour))?;
    if previous.project.is_empty() || previous.version != idle.version {
        return None;
    }
    let found = host.containers(context, &previous.project).await.ok()?;
    let drift = drift::drift(previous, &found);
    let why = drift.first()?;
    Some(format!("{} should be ready to take the traffic back: {why}", idle.colour.as_str()))
}

/// Holds what the proxies say against what the hosts' records do. Gives the proxies whose traffic is held.
async fn compare(
    hosts: &mut [HostTold],
    site: &Site,
    reached: &[bool],
    context: &Context,
) -> Vec<(String, Option<Timestamp>)> {
    let asked = traffic(site, context, |index| reached.get(index).copied().unwrap_or_default()).await;
    let found = match asked {
        Ok(found) => found,
        Err(error) => {
            let why = sanitize_line(&format!("who gets the traffic cannot be asked: {error}"));
            if let Some(first) = hosts.iter_mut().find(|host| host.version.is_some()) {
                first.drift.push(why);
            }
            return Vec::new();
        }
    };
    for (index, how) in found.out {
        if let Some(host) = hosts.get_mut(index).filter(|host| host.version.is_some()) {
            host.drift.push(sanitize_line(&format!("{} gets no requests: {how}", host.host)));
        }
    }
    for (index, ready) in found.colours {
        let Some(host) = hosts.get_mut(index) else { continue };
        let Some(colour) = host.colour.filter(|colour| ready != [*colour]) else { continue };
        let colour = colour.as_str();
        let ready: Vec<&str> = ready.into_iter().map(Colour::as_str).collect();
        host.drift.push(match ready.as_slice() {
            [] => format!("no colour gets traffic; {colour} should"),
            ready => format!("the traffic goes to {}, not to {colour}", ready.join(" and ")),
        });
    }
    found.held
}
