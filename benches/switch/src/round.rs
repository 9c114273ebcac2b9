//! One round for each way of switching: load, switches, and what became of the requests.

use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use windlass_core::config::Colour;
use windlass_testkit::proxies::{Kind, Running};

use crate::Result;
use crate::load::{Counts, Load};
use crate::orchestrate::Orchestrator;
use crate::service::Service;

/// What is measured.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Requests through HAProxy, at least.
    pub requests: u64,
    /// Switches of HAProxy.
    pub switches: u64,
    /// Every so-manieth of them is killed in the middle.
    pub kill: u64,
    /// Switches of each of the others.
    pub others: u64,
    /// Connections.
    pub connections: u64,
    /// Requests each second.
    pub rate: u64,
    /// Milliseconds that a server takes to start.
    pub start: u64,
    /// Decides when orchestrators are killed.
    pub seed: u64,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            requests: 20_000,
            switches: 20,
            kill: 5,
            others: 5,
            connections: 64,
            rate: 4000,
            start: 200,
            seed: 1,
        }
    }
}

/// What a way of switching did.
#[derive(Debug)]
pub struct Round {
    /// The way, for people.
    pub name: String,
    /// Whether none of its requests may fail.
    pub is_ours: bool,
    /// Switches.
    pub switches: u64,
    /// Those whose orchestrator was killed before it was done.
    pub killed: u64,
    /// How the requests ended.
    pub counts: Arc<Counts>,
    /// Milliseconds from each command to the last request that began on the old server; without the killed ones.
    pub last_on_old: Vec<f64>,
    /// How long it took.
    pub took: Duration,
}

impl Round {
    /// Whether nothing failed that must not.
    pub fn is_good(&self) -> bool {
        !self.is_ours || self.counts.failures().iter().all(|(_, count)| *count == 0)
    }
}

/// Every way, one after another.
///
/// # Errors
/// When a part cannot be started, or a switch did not happen.
pub async fn all(plan: &Plan) -> Result<Vec<Round>> {
    let each = plan.requests / plan.switches.max(1);
    let mut rounds = Vec::new();
    for kind in Kind::ALL {
        let (switches, kill) = match kind {
            Kind::Haproxy => (plan.switches, plan.kill),
            Kind::Nginx | Kind::Caddy => (plan.others, 0),
        };
        rounds.push(proxied(plan, kind, switches, each, kill).await?);
    }
    rounds.push(restarted(plan, each).await?);
    Ok(rounds)
}

async fn proxied(plan: &Plan, kind: Kind, switches: u64, each: u64, kill: u64) -> Result<Round> {
    let origin = Instant::now();
    let services = [Service::start("blue", 0, origin).await?, Service::start("green", 0, origin).await?];
    let [blue, green] = &services;
    let failed = |error: std::io::Error| error.to_string();
    let running = Running::start(kind, blue.port, green.port).map_err(failed)?;
    let state = tempfile::tempdir().map_err(failed)?;
    let mut orchestrator = Orchestrator::start(&running, state.path()).await?;
    let mut random = fastrand::Rng::with_seed(plan.seed);
    let load = Load::begin(running.front, plan.connections, plan.rate);
    load.until(each).await;
    let (mut killed, mut last_on_old) = (0, Vec::new());
    let (mut longest, mut new) = (Duration::from_millis(50), Colour::Green);
    for number in 1..=switches {
        let old = if new == Colour::Green { blue } else { green };
        let ready = if new == Colour::Green { green } else { blue };
        let before = ready.count();
        let command = origin.elapsed();
        orchestrator.tell(new).await?;
        let is_killed = kill > 0 && number % kill == 0;
        if is_killed {
            tokio::time::sleep(longest.mul_f64(random.f64())).await;
            let was_at_work = orchestrator.kill().await?;
            orchestrator = Orchestrator::start(&running, state.path()).await?;
            killed += u64::from(was_at_work);
            if was_at_work {
                orchestrator.tell(new).await?;
                orchestrator.hear("done").await?;
            }
        } else {
            orchestrator.hear("done").await?;
            longest = origin.elapsed() - command;
        }
        load.until(each * (number + 1)).await;
        if ready.count() == before {
            return Err(format!("{}: switch {number} brought no request to {}", kind.name(), new.as_str()));
        }
        if !is_killed {
            // What came to the old server until now, although the switch is long over, would count in full.
            last_on_old.push(late(old, command));
        }
        new = new.other();
        progress(kind.name(), number, switches, &load);
    }
    let took = origin.elapsed();
    let name = match kind {
        Kind::Haproxy => "HAProxy, runtime socket",
        Kind::Nginx => "nginx, reload",
        Kind::Caddy => "Caddy, PATCH",
    };
    let counts = load.end().await;
    Ok(Round {
        name: name.into(),
        is_ours: kind == Kind::Haproxy,
        switches,
        killed,
        counts,
        last_on_old,
        took,
    })
}

/// Stop and start, with nothing in front: the old server ends, and the new one takes its port a while later.
async fn restarted(plan: &Plan, each: u64) -> Result<Round> {
    let origin = Instant::now();
    let mut old = Service::start("blue", 0, origin).await?;
    let port = old.port;
    let load = Load::begin(port, plan.connections, plan.rate);
    load.until(each).await;
    let mut last_on_old = Vec::new();
    for number in 1..=plan.others {
        let command = origin.elapsed();
        let stopped = old.last();
        drop(old);
        last_on_old.push((stopped as f64 / 1e6 - command.as_secs_f64() * 1e3).max(0.0));
        tokio::time::sleep(Duration::from_millis(plan.start)).await;
        let name = if number % 2 == 0 { "blue" } else { "green" };
        old = Service::start(name, port, origin).await?;
        load.until(each * (number + 1)).await;
        progress("stop and start", number, plan.others, &load);
    }
    let took = origin.elapsed();
    let counts = load.end().await;
    let name = format!("stop and start ({} ms)", plan.start);
    Ok(Round { name, is_ours: false, switches: plan.others, killed: 0, counts, last_on_old, took })
}

/// Milliseconds from the command to the last request that began on the old server.
fn late(old: &Service, command: Duration) -> f64 {
    (old.last() as f64 / 1e6 - command.as_secs_f64() * 1e3).max(0.0)
}

/// For whoever waits.
fn progress(name: &str, number: u64, of: u64, load: &Load) {
    if number.is_multiple_of(25) || number == of {
        let failed: u64 = load.counts.failures().iter().map(|(_, count)| count).sum();
        let all = load.counts.all();
        let _closed =
            writeln!(std::io::stderr(), "{name}: {number} of {of}, {all} requests, {failed} failed");
    }
}
