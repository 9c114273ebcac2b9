//! What the hosts of an environment tell: lines in the logs of a service's containers, how often these restarted, and how
//! much they use of what they may.
//!
//! All hosts are asked at the same time. One that cannot be asked makes the reading nothing, with the reason: what is not
//! seen is not good. With two colours those containers are asked that the host's record says have the traffic.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use windlass_core::duration::Duration;
use windlass_core::plan::Facts;
use windlass_core::text::sanitize_line;
use windlass_core::verdict::{Answer, Point, Reading};
use windlass_engine::action::{ActionError, Result};
use windlass_engine::context::Context;

use super::Params;
use crate::adapters::prometheus::Range;
use crate::adapters::remote::{self, Host, Lines, Restarted, Used};
use crate::deploy::{Site, at_once, known};

/// How much a host may tell of its logs at once.
const LOGGED: usize = 4 << 20;
/// Lines are counted so long after they were written: docker writes them down a moment later, and clocks are a little
/// apart.
const LATER: SignedDuration = SignedDuration::from_secs(1);
/// So much more is asked of a host than is counted.
const MARGIN: u64 = 5;
/// How long a host may take to answer when nobody says.
const PATIENCE: Duration = Duration::from_secs(8);

/// Refuses what cannot be asked.
///
/// # Errors
/// When the environment is not named, is not known, or has no hosts.
pub(super) fn check(params: &Params, facts: &Facts) -> Result<()> {
    let Some(name) = &params.environment else {
        return Err(ActionError::Final(
            "metrics.query: `logs`, `restarts`, `cpu` and `memory` are asked of hosts: name their `environment`".into(),
        ));
    };
    known(facts, name)?;
    if params.target.hosts.is_empty() {
        return Err(ActionError::Final(format!(
            "metrics.query: the environment {} has no `hosts`, which are asked",
            sanitize_line(name)
        )));
    }
    Ok(())
}

/// How many lines of the service's logs match, in each interval of the range.
///
/// # Errors
/// When the run is cancelled.
pub(super) async fn logs(
    params: &Params,
    service: &str,
    range: Range,
    context: &Context,
) -> Result<Vec<Point>> {
    let Some(pattern) = params.regex()? else {
        return Err(ActionError::Final("metrics.query: `logs` need a `pattern`".into()));
    };
    let step = SignedDuration::from_millis(i64::try_from(range.step.as_millis()).unwrap_or(i64::MAX));
    let begin = range.from.saturating_sub(step).unwrap_or(Timestamp::MIN);
    let past = context.world.clock.now().duration_since(begin).saturating_add(LATER);
    let seconds = u64::try_from(past.as_secs()).unwrap_or_default().saturating_add(1 + MARGIN);
    let ask = |host: Host, context: Context| async move {
        let project = project(&host, &context).await?;
        let lines = host.lines(&context, &project, service, seconds, LOGGED).await?;
        if lines.made.is_empty() { Err(no_container(&host, service, "")) } else { Ok(lines) }
    };
    let told = each(params, context, ask).await;
    let lines = match all(told) {
        Ok(lines) => lines,
        Err(why) => return Ok(range_points(range, |_| Err(why.clone()))),
    };
    Ok(range_points(range, |at| {
        let end = at.saturating_sub(LATER).unwrap_or(Timestamp::MIN);
        let interval = end.saturating_sub(step).unwrap_or(Timestamp::MIN)..end;
        let (mut total, mut matching) = (0u64, 0u64);
        for (host, Lines { made, lines }) in &lines {
            // Its containers were made later, so what was there then is not remembered.
            if made.iter().all(|made| *made >= end) {
                return Err(format!("{host} had none of its containers of {service} at that time"));
            }
            for (_, line) in lines.iter().filter(|(at, _)| interval.contains(at)) {
                total += 1;
                matching += u64::from(pattern.is_match(line.as_bytes()));
            }
        }
        let (bad, total) = (matching as f64, total as f64);
        Ok(if params.share { Reading::Rate { bad, total } } else { Reading::Number(bad) })
    }))
}

/// How often the service's containers were restarted since they were asked about first.
///
/// # Errors
/// When the run is cancelled.
pub(super) async fn restarts(
    params: &Params,
    service: &str,
    at: Timestamp,
    context: &Context,
) -> Result<Answer> {
    let memory: Option<Memory> =
        params.remembered.clone().and_then(|memory| serde_json::from_value(memory).ok());
    let mut memory = memory.unwrap_or_else(|| Memory { began: at, hosts: BTreeMap::new() });
    let ask = |host: Host, context: Context| async move {
        let project = project(&host, &context).await?;
        let found = host.restarts(&context, &project, service).await?;
        if found.is_empty() { Err(no_container(&host, service, "")) } else { Ok(found) }
    };
    let told = each(params, context, ask).await;
    for (host, found) in &told {
        if let Ok(found) = found {
            memory.count(host, found);
        }
    }
    let reading = all(told).map(|_| Reading::Number(memory.total() as f64));
    let memory = serde_json::to_value(&memory).ok();
    let point = match reading {
        Ok(reading) => Point { at, reading: Some(reading), why: None },
        Err(why) => Point { at, reading: None, why: Some(why) },
    };
    Ok(Answer { points: vec![point], memory })
}

/// The share of the CPUs, or of the memory, that the service's containers may use and the hungriest of them does use, on
/// all hosts: an average would hide the one that is full.
///
/// # Errors
/// When the run is cancelled.
pub(super) async fn usage(
    params: &Params,
    service: &str,
    at: Timestamp,
    context: &Context,
) -> Result<Vec<Point>> {
    let ask = |host: Host, context: Context| async move {
        let project = project(&host, &context).await?;
        let used = host.usage(&context, &project, service).await?;
        if used.is_empty() { Err(no_container(&host, service, "running ")) } else { Ok(used) }
    };
    let share = |used: &Used| if params.cpu.is_some() { used.cpu } else { used.memory };
    Ok(vec![match all(each(params, context, ask).await) {
        Ok(told) => {
            let most = told.iter().flat_map(|(_, used)| used).map(share).fold(0.0, f64::max);
            Point { at, reading: Some(Reading::Number(most)), why: None }
        }
        Err(why) => Point { at, reading: None, why: Some(why) },
    }])
}

/// What was seen of restarts so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Memory {
    /// Since when they are counted.
    began: Timestamp,
    hosts: BTreeMap<String, Counted>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Counted {
    /// How often any container was restarted, those that are gone included.
    total: u64,
    /// How often docker had restarted each container when it was seen last, and when it was started.
    containers: BTreeMap<String, (u64, String)>,
}

impl Memory {
    fn count(&mut self, host: &str, found: &[Restarted]) {
        let is_new = !self.hosts.contains_key(host);
        let counted = self.hosts.entry(host.to_owned()).or_default();
        let mut containers = BTreeMap::new();
        for container in found {
            let now = container.restarts;
            let more = match counted.containers.get(&container.id) {
                // Started by somebody rather than by docker, which then counts anew.
                Some((before, _)) if now < *before => now.saturating_add(1),
                // The same, where docker had nothing counted. It counts a restart before it starts the container, so
                // with any other count this is one that was seen already.
                Some((0, started)) if now == 0 && *started != container.started => 1,
                Some((before, _)) => now.saturating_sub(*before),
                // Nobody saw it before the watch began, and what it did then does not count.
                None if is_new && container.made < self.began => 0,
                None => now,
            };
            counted.total = counted.total.saturating_add(more);
            containers.insert(container.id.clone(), (now, container.started.clone()));
        }
        counted.containers = containers;
    }

    fn total(&self) -> u64 {
        self.hosts.values().map(|host| host.total).sum()
    }
}

/// The compose project that has the traffic on a host.
async fn project(host: &Host, context: &Context) -> remote::Result<String> {
    let kept = host.look(context).await?;
    match kept.record.map(|record| record.project) {
        Some(project) if !project.is_empty() => Ok(project),
        _ => Err(remote::RemoteError::Failed(format!(
            "{}: nothing was deployed there with compose, so its containers are not known",
            host.name
        ))),
    }
}

fn no_container(host: &Host, service: &str, what: &str) -> remote::RemoteError {
    let of = if service == "*" { "any service".to_owned() } else { format!("the service {service}") };
    remote::RemoteError::Failed(format!("{}: there is no {what}container of {of}", host.name))
}

/// Asks every host at the same time, each for so long at the most.
async fn each<T, F: Future<Output = remote::Result<T>> + Send>(
    params: &Params,
    context: &Context,
    ask: impl Fn(Host, Context) -> F + Sync,
) -> Vec<(String, std::result::Result<T, String>)> {
    let site = Site::new(params.environment.as_deref().unwrap_or_default(), &params.target, context);
    let patience = params.patience.unwrap_or(PATIENCE);
    let ask = &ask;
    at_once(site.hosts.into_iter().map(|host| async move {
        let name = host.name.clone();
        let mut own = context.clone();
        own.cancel = context.cancel.child_token();
        let (cancel, mut work) = (own.cancel.clone(), std::pin::pin!(ask(host, own)));
        let told = tokio::select! {
            biased;
            told = &mut work => told.map_err(|error| error.to_string()),
            () = tokio::time::sleep(patience.to_std()) => {
                cancel.cancel();
                // What runs is stopped before it is left.
                let _stopped = work.await;
                Err(format!("{name} did not answer within {patience}"))
            }
        };
        (name, told)
    }))
    .await
}

/// What every host told, or why some did not.
fn all<T>(
    told: Vec<(String, std::result::Result<T, String>)>,
) -> std::result::Result<Vec<(String, T)>, String> {
    let mut found = Vec::new();
    let mut silent = Vec::new();
    for (host, told) in told {
        match told {
            Ok(told) => found.push((host, told)),
            Err(why) => silent.push(why),
        }
    }
    if silent.is_empty() { Ok(found) } else { Err(silent.join("; ")) }
}

fn range_points(
    range: Range,
    read: impl Fn(Timestamp) -> std::result::Result<Reading, String>,
) -> Vec<Point> {
    super::points(range, |at| read(Timestamp::from_millisecond(at).unwrap_or(range.to)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    fn container(id: &str, made: i64, started: &str, restarts: u64) -> Restarted {
        Restarted { id: id.into(), made: at(made), started: started.into(), restarts }
    }

    #[test]
    fn restarts_count_from_the_watchs_beginning() {
        type Look<'a> = (&'a str, Vec<Restarted>, u64);
        let check = |looks: Vec<Look<'_>>| {
            let mut memory = Memory { began: at(0), hosts: BTreeMap::new() };
            for (host, found, expect) in looks {
                memory.count(host, &found);
                let told = serde_json::to_value(&memory).unwrap();
                assert_eq!(memory.total(), expect, "{host} {found:?} {told}");
                memory = serde_json::from_value(told).unwrap();
            }
        };
        // What it did on earlier days does not count; what it does now counts.
        check(vec![
            ("a", vec![container("1", -9000, "m", 7)], 0),
            ("a", vec![container("1", -9000, "n", 8)], 1),
            ("a", vec![container("1", -9000, "o", 10)], 3),
        ]);
        // A new container counts from when it was made, and stays counted when it is gone.
        check(vec![
            ("a", vec![container("1", -5, "m", 0)], 0),
            ("a", vec![container("2", 5, "n", 2)], 2),
            ("a", vec![container("3", 8, "o", 0)], 2),
        ]);
        // Each host counts; one that is asked late counts what began after the watch.
        check(vec![
            ("a", vec![container("1", -5, "m", 1)], 0),
            ("b", vec![container("2", 3, "m", 2), container("3", -3, "m", 9)], 2),
            ("a", vec![container("1", -5, "m", 2)], 3),
        ]);
        // Started by a person: docker counts anew, and it is a restart all the same.
        check(vec![
            ("a", vec![container("1", -5, "m", 4)], 0),
            ("a", vec![container("1", -5, "n", 0)], 1),
            ("a", vec![container("1", -5, "o", 0)], 2),
            ("a", vec![container("1", -5, "p", 2)], 4),
            ("a", vec![container("1", -5, "p", 2)], 4),
            ("a", vec![container("1", -5, "q", 1)], 6),
        ]);
        // Docker counts a restart first and starts the container then: one restart, seen in its middle.
        check(vec![
            ("a", vec![container("1", -5, "m", 0)], 0),
            ("a", vec![container("1", -5, "m", 1)], 1),
            ("a", vec![container("1", -5, "n", 1)], 1),
        ]);
    }

    #[test]
    fn a_silent_host_is_named() {
        let told = vec![
            ("a".into(), Ok(1)),
            ("b".into(), Err("b is away".into())),
            ("c".into(), Err("c too".into())),
        ];
        assert_eq!(all(told), Err("b is away; c too".to_owned()));
        assert_eq!(all(vec![("a".to_owned(), Ok(1))]), Ok(vec![("a".to_owned(), 1)]));
    }
}
