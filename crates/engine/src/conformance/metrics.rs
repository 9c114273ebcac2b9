//! Watches of metrics: what was missed is measured from the store's past, and a store that is away is no bad release.

use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use windlass_core::plan::{Effect, Facts, MetricSource, MetricWatch, Node, Plan, StepPath, WaitNode};
use windlass_core::run::RunStatus;
use windlass_core::verdict::{
    Answer, Baseline, Criterion, Judge, MetricRule, Point, Reading, Sample, Verdict,
};

use super::Journals;
use super::plans as make;
use super::scene::Scene;
use crate::action::{Action, ActionError, ActionSet, Probe, Result, Undone};
use crate::context::{Clock as _, Context};
use crate::durable::{Stop, Suspension};

/// A store of metrics that knows what was measured at every moment.
pub(super) struct Measure;

#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Asked {
    /// How many of a thousand requests fail.
    bad: f64,
    /// The store is away.
    down: bool,
    /// It knows nothing of these seconds, counted from the clock's beginning.
    gaps: Vec<(i64, i64)>,
    /// How often it was asked before.
    remembered: Option<u64>,
    /// The version before, when its side is asked for.
    previous: f64,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    #[schemars(with = "Option<String>")]
    step: Option<windlass_core::duration::Duration>,
    side: Option<String>,
}

impl Action for Measure {
    const NAME: &'static str = "test.measure";
    const SUMMARY: &'static str = "Tells what was measured.";
    type Params = Asked;
    type Output = Answer;

    fn effects(&self, _: &Asked, _: &Facts) -> Result<Vec<Effect>> {
        Ok(Vec::new())
    }

    async fn probe(&self, _: &Asked, _: &Context) -> Result<Probe<Answer>> {
        Ok(Probe::Unknown)
    }

    async fn run(&self, params: &Asked, context: &Context) -> Result<Answer> {
        if params.down {
            return Err(ActionError::Failed("the store is away".into()));
        }
        let now = context.world.clock.now();
        let (from, to) = (params.from.unwrap_or(now), params.to.unwrap_or(now));
        let step = params.step.map_or(1000, |step| i64::try_from(step.as_millis()).unwrap_or(1000));
        let bad = if params.side.as_deref() == Some("old") { params.previous } else { params.bad };
        let mut points = Vec::new();
        let mut at = from.as_millisecond();
        while at <= to.as_millisecond() {
            let at_instant = Timestamp::from_millisecond(at).unwrap_or(to);
            let second = at / 1000 - 1_000_000_000;
            let is_known = !params.gaps.iter().any(|(from, to)| (*from..*to).contains(&second));
            points.push(Point {
                at: at_instant,
                reading: is_known.then_some(Reading::Rate { bad, total: 1000.0 }),
                why: (!is_known)
                    .then(|| format!("asked {} times before", params.remembered.unwrap_or_default())),
            });
            at += step.max(1);
        }
        Ok(Answer { points, memory: Some(json!(params.remembered.unwrap_or_default() + 1)) })
    }

    async fn undo(&self, _: &Asked, _: &Answer, _: &Context) -> Result<Undone> {
        Ok(Undone::NothingToDo)
    }
}

/// A watch of ten seconds that measures every second.
pub(super) fn measured(params: serde_json::Value, criterion: &str, baseline: Baseline) -> Plan {
    let Node::Watch(mut node) = make::watch("watch", "first", 0) else { return make::plan(Vec::new()) };
    let criteria: Vec<Criterion> = Criterion::parse("error_rate", criterion).into_iter().collect();
    node.probes.clear();
    node.metrics = Some(Box::new(MetricWatch {
        rule: MetricRule {
            criteria,
            trips: Vec::new(),
            baseline,
            confidence: 0.95,
            persist: 2,
            min_requests: 100,
            judge: Judge::Bounds,
            extend: Some(windlass_core::duration::Duration::from_secs(5)),
        },
        environment: None,
        sources: vec![MetricSource {
            name: "error_rate".into(),
            call: make::call("test.measure", params),
            timeout: windlass_core::duration::Duration::from_secs(1),
            query: "errors / requests".into(),
            is_present_only: false,
            remembers: false,
        }],
        traffic: None,
    }));
    let first = make::step("before", vec![Node::Action(make::append("before", "first"))]);
    make::plan(vec![first, make::step("watch", vec![Node::Watch(node)])])
}

fn scene(journals: Journals<'_>, plan: Plan) -> Scene {
    let mut scene = Scene::new(journals(), plan);
    scene.wrap = |actions: &ActionSet| actions.clone().with(Measure);
    scene.settings.leave_for_people = true;
    scene
}

fn samples(scene: &Scene) -> Vec<Sample> {
    scene.state().samples.remove(&StepPath::new("watch/watch")).unwrap_or_default()
}

/// What a watch of metrics comes to, in one go and across a death in its middle.
pub async fn watches_measure(journals: Journals<'_>) {
    let concurrent = Baseline::Concurrent { release: "new".into(), previous: "old".into() };
    for (params, criterion, baseline, status, looks) in [
        (json!({ "bad": 1.0 }), "> 1%", Baseline::Before, RunStatus::Succeeded, 10),
        (json!({ "bad": 50.0 }), "> 1%", Baseline::Before, RunStatus::Failed, 2),
        // Asked for once more after its extension.
        (json!({ "bad": 10.0 }), "> 1%", Baseline::Before, RunStatus::Waiting, 15),
        (json!({ "down": true }), "> 1%", Baseline::Before, RunStatus::Waiting, 0),
        (json!({ "bad": 10.0 }), "> 2x", Baseline::Before, RunStatus::Succeeded, 20),
        (json!({ "bad": 50.0, "previous": 5.0 }), "> 2x", concurrent.clone(), RunStatus::Failed, 6),
        (json!({ "bad": 5.0, "previous": 5.0 }), "> 2x", concurrent, RunStatus::Succeeded, 20),
    ] {
        let scene = scene(journals, measured(params.clone(), criterion, baseline));
        let ending = scene.drive().await;
        assert_eq!(ending.status, status, "{params} {criterion}: {ending:?}");
        let measured = samples(&scene).iter().filter(|sample| sample.reading.is_some()).count();
        assert_eq!(measured, looks, "{params} {criterion}");
        let judgement = &scene.state().verdicts[&StepPath::new("watch/watch")];
        assert_eq!(judgement.criteria[0].query.as_deref(), Some("errors / requests"));
        let again = scene.drive().await;
        assert_eq!(again.status, status, "told again: {again:?}");
    }
    for (bad, verdict, status) in
        [(1.0, Verdict::Pass, RunStatus::Succeeded), (50.0, Verdict::Fail, RunStatus::Failed)]
    {
        // Gone before the first look at the release, back long after the end: the deadline held, and the store tells
        // what was missed.
        let mut scene = scene(journals, measured(json!({ "bad": bad }), "> 1%", Baseline::Before));
        let leave = async {
            tokio::time::sleep(Duration::from_millis(1500)).await;
            scene.detach.cancel();
        };
        let (ending, ()) = tokio::join!(scene.drive(), leave);
        assert_eq!(ending.stop, Some(Stop::Suspend(Suspension::Detached)), "{ending:?}");
        scene.detach = CancellationToken::new();
        scene.clock.skip(Duration::from_secs(3600));
        assert_eq!(scene.drive().await.status, status);
        let samples = samples(&scene);
        let moments: Vec<i64> =
            samples.iter().filter_map(|sample| Some(sample.at?.as_millisecond())).collect();
        assert_eq!(moments.len(), 10, "every moment of the window is measured once: {moments:?}");
        assert!(moments.windows(2).all(|pair| pair[1] - pair[0] == 1000), "{moments:?}");
        assert_eq!(scene.state().verdicts[&StepPath::new("watch/watch")].verdict, verdict);
    }
}

/// What a release is compared with ends where the run first changed the watch's environment, however long it had waited
/// before, and also when it was gone meanwhile.
pub async fn watches_compare_with_the_time_before_the_change(journals: Journals<'_>) {
    const HOUR: i64 = 3600;
    for (environment, before) in [(Some("production"), HOUR), (Some("staging"), 0), (None, 0)] {
        let mut plan = measured(json!({ "bad": 5.0 }), "> 2x", Baseline::Before);
        for node in plan.steps.iter_mut().flat_map(|step| &mut step.nodes) {
            if let Node::Watch(watch) = node
                && let Some(metrics) = &mut watch.metrics
            {
                metrics.environment = environment.map(str::to_owned);
            }
        }
        for step in plan.steps.iter_mut().take(1) {
            step.lock = Some("production".into());
        }
        let pause = WaitNode {
            path: StepPath::new("pause/wait"),
            label: "wait".into(),
            duration: windlass_core::duration::Duration::from_secs(HOUR as u64),
        };
        plan.steps.insert(0, make::step("pause", vec![Node::Wait(pause)]));
        let mut scene = scene(journals, plan);
        let begin = scene.clock.now();
        // Gone in the middle of the watch.
        let leave = async {
            tokio::time::sleep(Duration::from_secs(HOUR as u64 + 4)).await;
            scene.detach.cancel();
        };
        let (ending, ()) = tokio::join!(scene.drive(), leave);
        assert_eq!(ending.stop, Some(Stop::Suspend(Suspension::Detached)), "{ending:?}");
        scene.detach = CancellationToken::new();
        assert_eq!(scene.drive().await.status, RunStatus::Succeeded);
        let samples = samples(&scene);
        let last = samples.iter().filter(|sample| sample.baseline).filter_map(|sample| sample.at).max();
        let apart = last.map(|last| last.duration_since(begin).as_secs());
        assert_eq!(apart, Some(before), "{environment:?}: {samples:?}");
    }
}
