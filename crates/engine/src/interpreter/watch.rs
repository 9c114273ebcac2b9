//! Watches: samples of probes and metrics at each moment of a window, and what they come to.
//!
//! The window is wall-clock and begins once. A moment that passed while no process was there is gone for probes; for
//! metrics the source is asked for all that was missed, as its store remembers.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use futures::future::join_all;
use jiff::Timestamp;
use serde_json::{Value, json};
use windlass_core::duration::Duration;
use windlass_core::plan::{
    ActionCall, ActionNode, ConfirmNode, MetricSource, MetricWatch, Node, Plan, PlannedStep, Policy,
    StepPath, WatchNode, WatchProbe,
};
use windlass_core::run::{Outcome, RunEvent};
use windlass_core::verdict::{
    self, Answer, Baseline, Judgement, Moment, Sample, Seen, Verdict, combine, failed_early, judge, metrics,
};

use super::pages::Silence as Outage;
use super::traffic::is_wanted;
use super::{Interpreter, Scope, later};
use crate::durable::{Completion, Durable, EffectRequest, Signal, Stop, Trace, WaitFor};

/// The instant at which a run began, or an item began to change an environment, is kept under this key, which no step or
/// item can have.
const BEGUN: &str = "@begun";

/// A watch while it goes on.
pub(super) struct Watching<'a> {
    pub(super) node: &'a WatchNode,
    pub(super) path: &'a StepPath,
    pub(super) scope: &'a Scope,
    pub(super) began: Timestamp,
    /// The end of the last interval that was measured.
    measured: Timestamp,
    samples: Vec<Sample>,
    seed: u64,
    /// What sources that count from the watch's beginning are told, by name.
    memories: BTreeMap<String, Value>,
    /// Sources that are silent, and what people were told of it.
    pub(super) outage: Outage,
}

impl<D: Durable> Interpreter<'_, D> {
    /// Keeps when the run began, where a watch compares with the time before.
    pub(super) async fn begin(&self) -> Result<(), Stop> {
        if compares_with_before(self.plan) {
            self.engine.now(&StepPath::new(BEGUN)).await?;
        }
        Ok(())
    }

    /// Keeps when the run first changed the environment that an item is about, for the same.
    pub(super) async fn changes(
        &self,
        node: &ActionNode,
        call: &ActionCall,
        path: &StepPath,
        scope: &Scope,
    ) -> Result<(), Stop> {
        let named = call.params.get("environment").and_then(Value::as_str);
        let locked = scope.fence.as_ref().map(|fence| fence.lock.as_str());
        let Some(environment) = named.or(locked) else { return Ok(()) };
        if node.effects.is_empty() || !compares_with_before(self.plan) {
            return Ok(());
        }
        let at = self.engine.now(&path.child(BEGUN)).await?;
        let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        let first = changed.entry(environment.to_owned()).or_insert(at);
        *first = at.min(*first);
        Ok(())
    }

    /// The end of the time before the release: until the run first changed the watch's environment, else until it began.
    async fn before(&self, metrics: &MetricWatch) -> Result<Timestamp, Stop> {
        let changed = || self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = metrics.environment.as_ref().and_then(|name| changed().get(name).copied());
        match changed {
            Some(at) => Ok(at),
            None => self.engine.now(&StepPath::new(BEGUN)).await,
        }
    }

    pub(super) async fn watch(&self, node: &WatchNode, path: &StepPath, scope: &Scope) -> Result<(), Stop> {
        let began = self.engine.now(path).await?;
        let until = later(began, node.rule.window);
        self.engine.record(RunEvent::WaitStarted { path: path.clone(), until }).await?;
        let seed = verdict::seed(&path.0);
        let mut watching = Watching {
            node,
            path,
            scope,
            began,
            measured: began,
            samples: Vec::new(),
            seed,
            memories: BTreeMap::new(),
            outage: Outage::default(),
        };
        let planned = node.rule.planned();
        let mut judgement = match self.rounds(&mut watching, 0, planned).await? {
            Some(judgement) => judgement,
            None => return Ok(()),
        };
        let extend = node.metrics.as_ref().and_then(|metrics| metrics.rule.extend);
        if let Some(extend) = extend
            && matches!(judgement.verdict, Verdict::Inconclusive | Verdict::NoData)
        {
            let more = extend.as_millis() / node.rule.every.as_millis().max(1);
            judgement = match self.rounds(&mut watching, planned, planned.saturating_add(more)).await? {
                Some(judgement) => judgement,
                None => return Ok(()),
            };
        }
        self.judged(node, path, scope, began, judgement).await
    }

    /// Takes the samples of rounds `from..to` and judges; nothing when a person let the watch pass.
    async fn rounds(
        &self,
        watching: &mut Watching<'_>,
        from: u64,
        to: u64,
    ) -> Result<Option<Judgement>, Stop> {
        let (node, path) = (watching.node, watching.path);
        let mut at = watching.began;
        for round in from..to {
            let every = node.rule.every.as_millis();
            at = later(watching.began, Duration::from_millis(every.saturating_mul(round)));
            match self.engine.wait(path, Some(at), WaitFor::Time).await? {
                Some(Signal::Waive { .. }) => return Ok(None),
                // Nobody is asked yet: what is said before the verdict does not count.
                Some(Signal::Decision(_) | Signal::Retry { .. }) | None => {}
            }
            self.round(watching, round, at, round + 1 == to).await?;
            if let Some(judgement) = watching.failed_early() {
                return Ok(Some(judgement));
            }
        }
        Ok(Some(watching.ended(to, at)))
    }

    /// One round: a sample of every probe and metric.
    async fn round(
        &self,
        watching: &mut Watching<'_>,
        round: u64,
        due: Timestamp,
        is_last: bool,
    ) -> Result<(), Stop> {
        let node = watching.node;
        let key = watching.path.child(format_args!("sample-{round}"));
        let now = self.engine.now(&key).await?;
        let late = u64::try_from(now.as_millisecond() - due.as_millisecond()).unwrap_or(0);
        let missed = late > node.rule.every.as_millis().max(1000);
        // What passed while no process was there is measured with the next moment that somebody is, the last at least.
        if missed && (!is_last || node.metrics.is_none()) {
            return Ok(());
        }
        let mut samples = Vec::new();
        if !missed {
            let probes = node.probes.iter().enumerate();
            let taken =
                join_all(probes.map(|(index, probe)| self.probed(watching, key.child(index), probe))).await;
            samples = taken.into_iter().collect::<Result<Vec<_>, Stop>>()?;
        }
        if let Some(metrics) = &node.metrics {
            samples.extend(self.measured(watching, metrics, &key, round, due).await?);
        }
        // Requests of our own take most of the time until the next look, so what is bad is said before.
        let before = watching.samples.len();
        watching.samples.extend(samples);
        if let Some(metrics) = &node.metrics
            && !missed
            && !is_last
            && watching.failed_early().is_none()
        {
            let traffic = self.traffic(watching, metrics, &key, before).await?;
            watching.samples.extend(traffic);
        }
        let samples = watching.samples.get(before..).unwrap_or_default().to_vec();
        let event = RunEvent::Sampled { path: watching.path.clone(), round, samples: samples.clone() };
        self.engine.record(event).await?;
        self.outage(watching, &samples).await
    }

    async fn probed(
        &self,
        watching: &Watching<'_>,
        key: StepPath,
        probe: &WatchProbe,
    ) -> Result<Sample, Stop> {
        let (seen, detail) = match self.look(watching, &key, &probe.call, probe.timeout).await? {
            Ok(_) => (Seen::Good, "as expected".to_owned()),
            Err(Silence::Waived(why)) => (Seen::Nothing, why),
            Err(Silence::Failed(why)) => (Seen::Bad, why),
        };
        Ok(Sample::of_probe(&probe.name, seen, detail))
    }

    /// What every source measured since the last time it was asked.
    async fn measured(
        &self,
        watching: &mut Watching<'_>,
        metrics: &MetricWatch,
        key: &StepPath,
        round: u64,
        due: Timestamp,
    ) -> Result<Vec<Sample>, Stop> {
        let every = watching.node.rule.every;
        if round == 0 {
            let sources = metrics.sources.iter().filter(|source| source.remembers).enumerate();
            let begun = join_all(sources.map(|(index, source)| {
                let key = key.child(format_args!("begin-{index}"));
                let interval = Interval { from: due, to: due, every, side: None, baseline: false };
                self.asked(watching, key, source, interval)
            }));
            watching.remember(begun.await.into_iter().collect::<Result<Vec<_>, Stop>>()?);
            // The release has no interval yet; what it is compared with has its whole window.
            if !is_compared_with_before(metrics) {
                return Ok(Vec::new());
            }
            let begun = self.before(metrics).await?;
            let from = earlier(begun, watching.node.rule.window);
            let from = later(from, every);
            let compared = |source: &&MetricSource| is_compared(metrics, &source.name);
            let sources = metrics.sources.iter().filter(compared).enumerate();
            let taken = join_all(sources.map(|(index, source)| {
                let key = key.child(format_args!("baseline-{index}"));
                self.asked(
                    watching,
                    key,
                    source,
                    Interval { from, to: begun, every, side: None, baseline: true },
                )
            }));
            return Ok(watching.remember(taken.await.into_iter().collect::<Result<Vec<_>, Stop>>()?));
        }
        let from = later(watching.measured, every);
        watching.measured = due;
        let sides: Vec<(Option<&str>, bool)> = match &metrics.rule.baseline {
            Baseline::Before => vec![(None, false)],
            Baseline::Concurrent { release, previous } => {
                vec![(Some(release.as_str()), false), (Some(previous.as_str()), true)]
            }
        };
        let mut asked = Vec::new();
        for (index, source) in metrics.sources.iter().enumerate() {
            for (side, baseline) in &sides {
                if *baseline && !is_compared(metrics, &source.name) {
                    continue;
                }
                let name = if *baseline { "previous" } else { "metric" };
                let key = key.child(format_args!("{name}-{index}"));
                let interval = Interval { from, to: due, every, side: *side, baseline: *baseline };
                asked.push(self.asked(watching, key, source, interval));
            }
        }
        let taken = join_all(asked).await.into_iter().collect::<Result<Vec<_>, Stop>>()?;
        Ok(watching.remember(taken))
    }

    /// One source's points of an interval. A source that does not answer says nothing about the release.
    async fn asked(
        &self,
        watching: &Watching<'_>,
        key: StepPath,
        source: &MetricSource,
        interval: Interval<'_>,
    ) -> Result<Told, Stop> {
        let Interval { from, to, every, side, baseline } = interval;
        let mut call = source.call.clone();
        if let Value::Object(params) = &mut call.params {
            let from = if source.is_present_only { to } else { from };
            params.insert("from".into(), json!(from));
            params.insert("to".into(), json!(to));
            params.insert("step".into(), json!(every));
            if let Some(side) = side {
                params.insert("side".into(), json!(side));
            }
            if let Some(memory) = watching.memories.get(&source.name) {
                params.insert("remembered".into(), memory.clone());
            }
        }
        let nothing = |why: String| Told {
            samples: vec![Sample {
                at: Some(to),
                baseline,
                ..Sample::of_probe(&source.name, Seen::Nothing, why)
            }],
            memory: None,
        };
        let output = match self.look(watching, &key, &call, source.timeout).await? {
            Ok(output) => output,
            Err(Silence::Waived(why) | Silence::Failed(why)) => return Ok(nothing(why)),
        };
        let Ok(answer) = serde_json::from_value::<Answer>(output) else {
            return Ok(nothing("its answer is no list of points".into()));
        };
        if answer.points.is_empty() {
            return Ok(nothing("it answered with nothing".into()));
        }
        let points = answer.points.into_iter().map(|point| {
            let seen = if point.reading.is_some() { Seen::Measured } else { Seen::Nothing };
            let reading = point.reading.and_then(|reading| reading.checked().ok());
            let why = point.why.unwrap_or_default();
            Sample { reading, at: Some(point.at), baseline, ..Sample::of_probe(&source.name, seen, why) }
        });
        let memory = answer.memory.map(|memory| (source.name.clone(), memory));
        Ok(Told { samples: points.collect(), memory })
    }

    /// Requests of our own while the customers make too few, in the hope that the next look sees enough. The samples of
    /// this round are those from `begin` on.
    async fn traffic(
        &self,
        watching: &Watching<'_>,
        metrics: &MetricWatch,
        key: &StepPath,
        begin: usize,
    ) -> Result<Option<Sample>, Stop> {
        let Some(traffic) = &metrics.traffic else { return Ok(None) };
        let (earlier, now) = watching.samples.split_at(begin.min(watching.samples.len()));
        let enough = metrics.rule.enough();
        if !is_wanted(earlier, now, &traffic.name, enough, watching.node.rule.planned()) {
            return Ok(None);
        }
        self.probed(watching, key.child("traffic"), traffic).await.map(Some)
    }

    /// Calls an action that only looks.
    async fn look(
        &self,
        watching: &Watching<'_>,
        key: &StepPath,
        call: &ActionCall,
        timeout: Duration,
    ) -> Result<Result<Value, Silence>, Stop> {
        let call = self.rendered(call, key)?;
        let outputs = self.outputs();
        let policy = Policy { timeout: Some(timeout), ..Policy::default() };
        let result = self
            .engine
            .effect(EffectRequest {
                key,
                call: &call,
                policy: &policy,
                effects: &[],
                deadline: None,
                fence: watching.scope.fence.as_ref(),
                outputs: outputs.environment(),
                matrix: &watching.scope.environment,
                trace: Trace::Look,
            })
            .await;
        match result {
            Ok(Completion::Output(output)) => Ok(Ok(output)),
            Ok(Completion::Waived(why)) => Ok(Err(Silence::Waived(why))),
            Ok(Completion::FailedOptional(why)) | Err(Stop::Failed { why, .. }) => {
                Ok(Err(Silence::Failed(why)))
            }
            Err(stop) => Err(stop),
        }
    }

    /// What follows a verdict.
    async fn judged(
        &self,
        node: &WatchNode,
        path: &StepPath,
        scope: &Scope,
        began: Timestamp,
        mut judgement: Judgement,
    ) -> Result<(), Stop> {
        for finding in &mut judgement.criteria {
            let mut sources = node.metrics.iter().flat_map(|metrics| &metrics.sources);
            let source = sources.find(|source| source.name == finding.metric);
            finding.query = source.map(|source| source.query.clone());
        }
        self.engine.record(RunEvent::Judged { path: path.clone(), judgement: judgement.clone() }).await?;
        match judgement.verdict {
            Verdict::Pass => {
                self.engine
                    .record(RunEvent::StepFinished { path: path.clone(), outcome: Outcome::Done })
                    .await
            }
            Verdict::Fail => {
                let why = format!("the watch failed: {}", judgement.why);
                let outcome = Outcome::Failed(why.clone());
                self.engine.record(RunEvent::StepFinished { path: path.clone(), outcome }).await?;
                Err(Stop::Failed { path: path.clone(), why })
            }
            Verdict::Inconclusive | Verdict::NoData => {
                self.page_verdict(node, path, scope, began, &judgement).await?;
                // Not knowing is neither good nor bad: it is for a person to say.
                let question = format!("the watch cannot tell ({}): go on?", judgement.why);
                let asked = ConfirmNode {
                    path: path.child("verdict"),
                    text: question,
                    deferred: false,
                    owner: node.owner.clone(),
                    within: None,
                };
                let scope = Scope { deadline: None, ..scope.clone() };
                let answer = self.confirm(&asked, &path.child("verdict"), &scope).await;
                // What the person said is how the watch ended.
                let outcome = match &answer {
                    Ok(()) => Outcome::Done,
                    Err(Stop::Failed { why, .. }) => Outcome::Failed(why.clone()),
                    Err(_) => return answer,
                };
                self.engine.record(RunEvent::StepFinished { path: path.clone(), outcome }).await?;
                answer
            }
        }
    }
}

/// Why a look gave nothing.
enum Silence {
    Waived(String),
    Failed(String),
}

/// What a source told.
struct Told {
    samples: Vec<Sample>,
    /// What it is told the next time, by its name.
    memory: Option<(String, Value)>,
}

/// What a source is asked for.
struct Interval<'a> {
    /// The end of the first interval.
    from: Timestamp,
    /// The end of the last interval.
    to: Timestamp,
    every: Duration,
    side: Option<&'a str>,
    baseline: bool,
}

impl Watching<'_> {
    /// Keeps what sources must be told the next time; gives what they measured.
    fn remember(&mut self, told: Vec<Told>) -> Vec<Sample> {
        let mut samples = Vec::new();
        for told in told {
            self.memories.extend(told.memory);
            samples.extend(told.samples);
        }
        samples
    }

    fn failed_early(&self) -> Option<Judgement> {
        let rule = &self.node.rule;
        let probes = failed_early(rule, &self.samples).then(|| self.probes()).flatten();
        let metrics = self
            .node
            .metrics
            .as_ref()
            .filter(|_| rule.early_stop)
            .map(|metrics| verdict::metrics(&metrics.rule, rule, &self.samples, Moment::Look, self.seed));
        let failed: Vec<Judgement> = [probes, metrics]
            .into_iter()
            .flatten()
            .filter(|judgement| judgement.verdict == Verdict::Fail)
            .collect();
        (!failed.is_empty()).then(|| combine(failed))
    }

    fn ended(&self, rounds: u64, at: Timestamp) -> Judgement {
        let measured = self.node.metrics.as_ref().map(|watch| {
            // The first round measures nothing: its interval would be before the watch.
            let moment = Moment::End { planned: rounds.saturating_sub(1), at };
            metrics(&watch.rule, &self.node.rule, &self.samples, moment, self.seed)
        });
        combine([self.probes(), measured].into_iter().flatten().collect())
    }

    fn probes(&self) -> Option<Judgement> {
        let names: Vec<String> = self.node.probes.iter().map(|probe| probe.name.clone()).collect();
        // Without probes only the requests of our own can have failed.
        let asked =
            !names.is_empty() || self.node.metrics.is_none() || failed_early(&self.node.rule, &self.samples);
        asked.then(|| judge(&self.node.rule, &names, &self.samples))
    }
}

fn is_compared(metrics: &MetricWatch, name: &str) -> bool {
    metrics.rule.criteria.iter().any(|criterion| criterion.metric == name && criterion.is_relative())
}

fn is_compared_with_before(metrics: &MetricWatch) -> bool {
    metrics.rule.baseline == Baseline::Before
        && metrics.rule.criteria.iter().any(|criterion| criterion.is_relative())
}

fn compares_with_before(plan: &Plan) -> bool {
    fn in_nodes(nodes: &[Node]) -> bool {
        nodes.iter().any(|node| match node {
            Node::Watch(node) => node.metrics.as_deref().is_some_and(is_compared_with_before),
            Node::Checklist(list) => in_nodes(&list.nodes),
            _ => false,
        })
    }
    let in_steps = |steps: &[PlannedStep]| steps.iter().any(|step| in_nodes(&step.nodes));
    in_steps(&plan.steps)
        || in_steps(&plan.rollback)
        || plan.routines.values().any(|routine| in_steps(&routine.steps))
}

fn earlier(instant: Timestamp, by: Duration) -> Timestamp {
    let by = jiff::SignedDuration::from_millis(i64::try_from(by.as_millis()).unwrap_or(i64::MAX));
    instant.saturating_sub(by).unwrap_or(Timestamp::MIN)
}
