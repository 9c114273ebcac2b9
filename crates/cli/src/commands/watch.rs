//! `windlass watch replay`: judges what watches measured again, with the same criteria or others.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::{Value, json};
use windlass_core::duration::Duration;
use windlass_core::plan::{Found, Node, StepPath};
use windlass_core::run::{Recorded, RunEvent};
use windlass_core::text::sanitize_line;
use windlass_core::verdict::replay::{Replayed, replay};
use windlass_core::verdict::{
    self, Baseline, Criterion, Judge, Judgement, MetricRule, Sample, Verdict, WatchRule,
};

use crate::error::{CommandError, Result};
use crate::exit::Exit;
use crate::report::words;
use crate::runner::{Runner, Several, journal_error};
use crate::session::Session;

/// A file of events longer than this is no history of runs.
const LONGEST: u64 = 512 << 20;

/// Judge again what watches measured
#[derive(Debug, Args)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: WatchCommand,
}

/// What to do with watches.
#[derive(Debug, Subcommand)]
pub enum WatchCommand {
    /// Judge stored samples again, with the same criteria or others
    Replay(Replay),
}

/// Judge stored samples again, with the same criteria or others
#[derive(Debug, Args)]
pub struct Replay {
    /// Runs, or files of events that `windlass audit show --json` printed [default: every run]
    #[arg(value_name = "RUN|FILE")]
    pub what: Vec<String>,
    /// When a release is bad, such as "error_rate > 1%"; may be given several times [default: as it was]
    #[arg(long, value_name = "CRITERION")]
    pub criteria: Vec<String>,
    /// How many looks one after another must be bad [default: as it was]
    #[arg(long, value_name = "LOOKS", value_parser = clap::value_parser!(u32).range(1..=20))]
    pub persist: Option<u32>,
    /// How sure a verdict must be, in percent [default: as it was]
    #[arg(long, value_name = "PERCENT")]
    pub confidence: Option<f64>,
}

/// A watch as it was.
struct Watched {
    run: String,
    path: StepPath,
    title: String,
    watch: WatchRule,
    rule: MetricRule,
    rounds: Vec<(Timestamp, Vec<Sample>)>,
    recorded: Option<Judgement>,
}

/// Judges again.
///
/// # Errors
/// When there is nothing to judge, or a criterion is none.
pub fn run(arguments: &Arguments, session: &mut Session) -> Result<Exit> {
    let WatchCommand::Replay(arguments) = &arguments.command;
    let criteria = arguments.criteria.iter().map(|text| criterion(text)).collect::<Result<Vec<_>>>()?;
    if let Some(confidence) = arguments.confidence.filter(|percent| !(50.0..=99.99).contains(percent)) {
        return Err(CommandError::invalid(format!("the confidence {confidence} is not from 50 to 99.99")));
    }
    let mut watched = gather(&arguments.what, session)?;
    were_measured(&criteria, &watched)?;
    for watched in &mut watched {
        if !criteria.is_empty() {
            watched.rule.criteria.clone_from(&criteria);
            // What trips at once belonged to the criteria that are replaced.
            watched.rule.trips.clear();
        }
        watched.rule.persist = arguments.persist.unwrap_or(watched.rule.persist);
        let confidence = arguments.confidence.map(|percent| percent / 100.0);
        watched.rule.confidence = confidence.unwrap_or(watched.rule.confidence);
    }
    watched.retain(|watched| !watched.rule.criteria.is_empty());
    if watched.is_empty() {
        return Err(CommandError::invalid("no watch measured anything that could be judged again")
            .hint("a watch keeps what it measures when it has `criteria:`"));
    }
    show(&watched, session);
    Ok(Exit::Done)
}

fn criterion(text: &str) -> Result<Criterion> {
    let at = text.find(['>', '<', '≥', '≤']).unwrap_or(text.len());
    let (metric, limit) = (text[..at].trim(), &text[at..]);
    let wrong = |why: String| CommandError::invalid(why).hint("such as --criteria \"error_rate > 1%\"");
    if metric.is_empty() || at == text.len() {
        return Err(wrong(format!("`{}` does not say of which metric, and its limit", sanitize_line(text))));
    }
    Criterion::parse(metric, limit).map_err(|error| wrong(error.to_string()))
}

/// Refuses criteria of what no watch measured: it would look as if nothing had been seen.
fn were_measured(criteria: &[Criterion], watched: &[Watched]) -> Result<()> {
    let samples = watched.iter().flat_map(|watched| &watched.rounds).flat_map(|(_, samples)| samples);
    let measured: BTreeSet<&str> =
        samples.filter(|sample| sample.at.is_some()).map(|sample| sample.probe.as_str()).collect();
    match criteria.iter().find(|criterion| !measured.contains(criterion.metric.as_str())) {
        Some(criterion) if !measured.is_empty() => {
            let names: Vec<String> = measured.iter().map(|name| sanitize_line(name)).collect();
            let error =
                CommandError::invalid(format!("no watch measured `{}`", sanitize_line(&criterion.metric)));
            Err(error.hint(format!("they measured {}", names.join(", "))))
        }
        _ => Ok(()),
    }
}

fn gather(what: &[String], session: &Session) -> Result<Vec<Watched>> {
    let mut watched = Vec::new();
    let mut names: Vec<Option<&str>> = Vec::new();
    for name in what {
        let path = session.directory.join(name);
        if path.is_file() {
            watched.extend(from_file(name, &path)?);
        } else {
            names.push(Some(name));
        }
    }
    if what.is_empty() || !names.is_empty() {
        let runner = Runner::require(session)?;
        let runs = if what.is_empty() {
            runner.journal.runs().map_err(journal_error)?.into_iter().map(|run| run.id).collect()
        } else {
            let found = names.iter().map(|name| Ok(runner.find(*name, Several::Newest)?.id));
            found.collect::<Result<Vec<_>>>()?
        };
        for run in runs {
            let told = runner.told(&run)?;
            for (path, trace) in traces(&told.history) {
                let Some(Found::Node(step, Node::Watch(node))) = told.plan.find(&path) else { continue };
                let Some(metrics) = &node.metrics else { continue };
                watched.push(Watched {
                    run: run.to_string(),
                    title: sanitize_line(&step.title),
                    watch: node.rule.clone(),
                    rule: metrics.rule.clone(),
                    rounds: trace.rounds,
                    recorded: trace.judgement,
                    path,
                });
            }
        }
    }
    Ok(watched)
}

/// What a history tells of one watch.
#[derive(Default)]
struct Trace {
    rounds: Vec<(Timestamp, Vec<Sample>)>,
    judgement: Option<Judgement>,
    began: Option<Timestamp>,
    until: Option<Timestamp>,
}

/// The watches of a history that measured something.
fn traces(history: &[Recorded]) -> BTreeMap<StepPath, Trace> {
    let mut traces: BTreeMap<StepPath, Trace> = BTreeMap::new();
    for recorded in history {
        match &recorded.event {
            RunEvent::WaitStarted { path, until } => {
                let trace = traces.entry(path.clone()).or_default();
                (trace.began, trace.until) = (Some(recorded.at), Some(*until));
            }
            RunEvent::Sampled { path, samples, .. } => {
                let at = samples.iter().rev().find_map(|sample| sample.at).unwrap_or(recorded.at);
                traces.entry(path.clone()).or_default().rounds.push((at, samples.clone()));
            }
            RunEvent::Judged { path, judgement } => {
                traces.entry(path.clone()).or_default().judgement = Some(judgement.clone());
            }
            // What was watched before counts no more.
            RunEvent::Retried { path, .. } => drop(traces.remove(path)),
            _ => {}
        }
    }
    traces.retain(|_, trace| {
        trace.rounds.iter().any(|(_, samples)| samples.iter().any(|sample| sample.at.is_some()))
    });
    traces
}

/// Watches from a file of events. It has no plan, so the rule is what the events themselves tell.
fn from_file(name: &str, path: &Path) -> Result<Vec<Watched>> {
    let shown = sanitize_line(name);
    let unread = |why: String| CommandError::invalid(format!("{shown} cannot be read: {why}"));
    let size = std::fs::metadata(path).map_err(|error| unread(error.to_string()))?.len();
    if size > LONGEST {
        return Err(unread(format!("it has {size} bytes, and {LONGEST} are the most")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| unread(error.to_string()))?;
    let mut history: Vec<Recorded> = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let recorded = serde_json::from_str(line).map_err(|error| {
            unread(format!("line {} is no event of a run: {error}", number + 1))
                .hint("write it with `windlass audit show RUN --json`")
        })?;
        history.push(recorded);
    }
    let watched = traces(&history).into_iter().map(|(path, trace)| {
        let moments: Vec<i64> = trace
            .rounds
            .iter()
            .flat_map(|(_, samples)| samples)
            .filter(|sample| !sample.baseline)
            .filter_map(|sample| Some(sample.at?.as_millisecond()))
            .collect();
        let every =
            moments.windows(2).filter_map(|pair| u64::try_from(pair[1] - pair[0]).ok()).find(|gap| *gap > 0);
        let window = trace
            .began
            .zip(trace.until)
            .map(|(began, until)| until.as_millisecond() - began.as_millisecond());
        let findings = trace.judgement.iter().flat_map(|judgement| &judgement.criteria);
        let criteria = findings.filter_map(|found| Criterion::parse(&found.metric, &found.criterion).ok());
        let is_concurrent =
            trace.rounds.iter().filter(|(_, samples)| samples.iter().any(|sample| sample.baseline));
        let baseline = if is_concurrent.count() > 1 {
            Baseline::Concurrent { release: String::new(), previous: String::new() }
        } else {
            Baseline::Before
        };
        Watched {
            run: shown.clone(),
            title: sanitize_line(&path.0),
            watch: WatchRule {
                window: Duration::from_millis(u64::try_from(window.unwrap_or(0)).unwrap_or(0)),
                every: Duration::from_millis(every.unwrap_or(1000)),
                tolerate: 0,
                early_stop: true,
                coverage: 50,
            },
            rule: MetricRule {
                criteria: criteria.collect(),
                trips: Vec::new(),
                baseline,
                confidence: 0.95,
                persist: 2,
                min_requests: 100,
                judge: Judge::Bounds,
                extend: None,
            },
            rounds: trace.rounds,
            recorded: trace.judgement,
            path,
        }
    });
    Ok(watched.collect())
}

fn show(watched: &[Watched], session: &mut Session) {
    let mut rows: Vec<Value> = Vec::new();
    let mut counts: BTreeMap<Verdict, usize> = BTreeMap::new();
    let mut before = 0;
    for watched in watched {
        let Replayed { judgement, stopped_at } = again(watched);
        *counts.entry(judgement.verdict).or_default() += 1;
        let was = watched.recorded.as_ref().map(|judgement| judgement.verdict);
        before += usize::from(was == Some(Verdict::Fail));
        let after = stopped_at.and_then(|look| {
            let (at, _) = watched.rounds.get(look)?;
            let first =
                watched.rounds.first()?.1.iter().find(|sample| !sample.baseline).and_then(|sample| sample.at);
            Some(words::span(first.unwrap_or(watched.rounds.first()?.0), *at))
        });
        if !session.report.is_json() {
            let paint = session.report.out_paint;
            let mark = match judgement.verdict {
                Verdict::Pass => paint.good("✓"),
                Verdict::Fail => paint.bad("✗"),
                Verdict::Inconclusive | Verdict::NoData => paint.warn("?"),
            };
            let was = was.map_or("not judged", Verdict::name);
            let early = after.as_ref().map(|after| format!(" after {after}")).unwrap_or_default();
            let verdict = judgement.verdict.name();
            let (run, title) = (&watched.run, &watched.title);
            session.report.line(&format!("{mark} {run} › {title}: {verdict}{early} (was {was})"));
            session.report.line(&format!("    {}", sanitize_line(&judgement.why)));
        }
        rows.push(json!({
            "run": watched.run, "path": watched.path, "was": was, "judgement": judgement, "stopped_at": stopped_at,
        }));
    }
    let count = |verdict| counts.get(&verdict).copied().unwrap_or_default();
    let (stopped, passed) = (count(Verdict::Fail), count(Verdict::Pass));
    let open = count(Verdict::Inconclusive) + count(Verdict::NoData);
    if session.report.is_json() {
        let object = json!({
            "watches": rows, "stopped": stopped, "passed": passed, "open": open, "stopped_before": before,
        });
        session.report.object("watch-replay", &object);
        return;
    }
    let all = watched.len();
    session.report.line(&format!(
        "these criteria would have stopped {stopped} of {all} ({before} were stopped), passed {passed} and left {open} to people"
    ));
}

fn again(watched: &Watched) -> Replayed {
    let planned = watched.watch.planned().saturating_sub(1);
    // Extended, it had more rounds than planned.
    let planned = planned.max((watched.rounds.len() as u64).saturating_sub(1));
    let seed = verdict::seed(&watched.path.0);
    replay(&watched.rule, &watched.watch, &watched.rounds, planned, seed)
}
