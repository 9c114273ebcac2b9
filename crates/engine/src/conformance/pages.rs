//! Pages: once for each outage of a watch's metrics and once when it is over, also across deaths; for a verdict that only
//! people can give; and for failures, once it is known what is done about them.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use windlass_core::plan::{CallNode, Effect, Facts, Node, Plan, PlannedStep, Routine, StepPath, WatchPage};
use windlass_core::run::RunStatus;
use windlass_core::runbook::OnFailure;
use windlass_core::verdict::Baseline;

use super::Journals;
use super::faults::{FaultyJournal, Moment};
use super::metrics::{Measure, measured};
use super::plans as make;
use super::scene::Scene;
use crate::action::{Action, ActionError, ActionSet, Probe, Result, Undone};
use crate::context::Context;
use crate::journal::Journal;

/// Who was told what and in which words, by run: what is on a pager and not in a journal.
static TOLD: Mutex<Vec<(String, String, String)>> = Mutex::new(Vec::new());
static SCENES: AtomicUsize = AtomicUsize::new(0);

struct Page;

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Said {
    message: String,
    #[serde(default)]
    occasion: String,
    #[serde(default)]
    resolved: bool,
    /// Nobody takes it.
    #[serde(default)]
    deaf: bool,
    /// It is taken after so many seconds.
    #[serde(default)]
    slow: u64,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Heard {
    by: String,
}

impl Action for Page {
    const NAME: &'static str = "test.page";
    const SUMMARY: &'static str = "Tells people something.";
    type Params = Said;
    type Output = Heard;

    fn effects(&self, _: &Said, _: &Facts) -> Result<Vec<Effect>> {
        Ok(Vec::new())
    }

    async fn probe(&self, _: &Said, _: &Context) -> Result<Probe<Heard>> {
        Ok(Probe::Unknown)
    }

    async fn run(&self, params: &Said, context: &Context) -> Result<Heard> {
        if params.deaf {
            return Err(ActionError::Failed("nobody listens".into()));
        }
        tokio::time::sleep(Duration::from_secs(params.slow)).await;
        let over = if params.resolved { " is over" } else { "" };
        let occasion = &params.occasion;
        let told = (context.run.to_string(), format!("{occasion}{over}"), params.message.clone());
        TOLD.lock().unwrap_or_else(PoisonError::into_inner).push(told);
        Ok(Heard { by: "pager".into() })
    }

    async fn undo(&self, _: &Said, _: &Heard, _: &Context) -> Result<Undone> {
        Ok(Undone::NothingToDo)
    }
}

fn paging(params: serde_json::Value, deaf: bool) -> Plan {
    let mut plan = measured(params, "> 1%", Baseline::Before);
    for node in plan.steps.iter_mut().flat_map(|step| &mut step.nodes) {
        if let Node::Watch(node) = node {
            let call = make::call("test.page", json!({ "message": "", "deaf": deaf }));
            node.page = Some(WatchPage { call, outage: 3 });
            for source in node.metrics.iter_mut().flat_map(|metrics| &mut metrics.sources) {
                source.remembers = true;
            }
        }
    }
    plan
}

fn scene(journals: Journals<'_>, plan: Plan) -> Scene {
    let name = format!("page-{}", SCENES.fetch_add(1, Ordering::SeqCst));
    let mut scene = Scene::named(&name, journals(), plan);
    scene.wrap = |actions: &ActionSet| actions.clone().with(Measure).with(Page);
    scene.settings.leave_for_people = true;
    scene
}

/// What people were told, each with the instant at which its watch began.
fn occasions(scene: &Scene) -> Vec<String> {
    let told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    let own = told.iter().filter(|(run, ..)| *run == scene.run.0);
    own.map(|(_, what, _)| what.trim_start_matches("watch/watch/").to_owned()).collect()
}

/// The same without instants.
fn told(scene: &Scene) -> Vec<String> {
    let over = |what: &str| if what.ends_with(" is over") { " is over" } else { "" };
    let told = |what: &String| {
        format!("{}{}", what.split_once('@').map_or(what.as_str(), |(name, _)| name), over(what))
    };
    occasions(scene).iter().map(told).collect()
}

/// The words people were told.
fn words(scene: &Scene) -> Vec<String> {
    let told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    told.iter().filter(|(run, ..)| *run == scene.run.0).map(|(.., words)| words.clone()).collect()
}

/// A step that pages when it fails, and calls a runbook whose step fails, and pages when `inner` says so.
fn failing(on_failure: OnFailure, inner: bool, slow: u64) -> Plan {
    let page = make::call("test.page", json!({ "message": "", "slow": slow }));
    let bring = PlannedStep {
        page: inner.then(|| page.clone()),
        ..make::step("bring", vec![Node::Action(make::flaky(9, 0))])
    };
    let call = CallNode { path: StepPath::new("ship").child("call-deploy"), runbook: "deploy".into() };
    let mut plan = make::plan(vec![PlannedStep {
        on_failure,
        page: Some(page),
        ..make::step("ship", vec![Node::Call(call)])
    }]);
    let (name, rollback) = make::routine("rollback", "back", "rolled back");
    let deploy = Routine { runbook: rollback.runbook.clone(), steps: vec![bring] };
    plan.routines.extend([(name, rollback), ("deploy".to_owned(), deploy)]);
    plan
}

/// Of a failure people are told once, by the step that knows what is done about it.
pub async fn failures_page(journals: Journals<'_>) {
    let rollback = || OnFailure::Call("rollback".into());
    for (on_failure, status, expect) in [
        (
            rollback(),
            RunStatus::RolledBack,
            &["`rollback` is run in answer to it", "`rollback` was run to its end"][..],
        ),
        (OnFailure::Stop, RunStatus::Failed, &["nothing is done about it: a person must look"]),
        (OnFailure::Continue, RunStatus::Succeeded, &["the run goes on without it"]),
    ] {
        for inner in [true, false] {
            let scene = scene(journals, failing(on_failure.clone(), inner, 0));
            assert_eq!(scene.drive().await.status, status, "{on_failure:?}");
            scene.drive().await;
            let title = if inner { "bring failed in test" } else { "ship failed in test" };
            let said = words(&scene);
            assert!(said.iter().all(|words| words.starts_with(title)), "{on_failure:?}: {said:?}");
            let ends = said.iter().zip(expect).all(|(words, end)| words.ends_with(end));
            assert!(said.len() == expect.len() && ends, "{on_failure:?}: {said:?}");
            let recorded: Vec<String> = scene.state().pages.into_iter().map(|page| page.message).collect();
            assert_eq!(recorded, said, "{on_failure:?}: what is written down is what was sent");
        }
    }
    an_answer_waits_for_no_page(&scene(journals, failing(rollback(), true, 60))).await;
    // Killed at any write, the page and the answer come to the same end.
    for moment in [Moment::Before, Moment::After] {
        for point in 0.. {
            let faulty = Arc::new(FaultyJournal::new(journals()));
            let journal: Arc<dyn Journal> = faulty.clone();
            let scene = scene(&move || journal.clone(), failing(rollback(), true, 1));
            faulty.die_at(point, moment);
            let first = scene.drive().await;
            let died = faulty.is_dead();
            faulty.revive();
            if first.status != RunStatus::RolledBack {
                assert_eq!(scene.drive().await.status, RunStatus::RolledBack, "{moment:?} {point}");
            }
            // What was sent and not written down may be sent again, and is about the same then: for a pager it is one.
            let sent = occasions(&scene);
            let each: BTreeSet<&String> = sent.iter().collect();
            assert!(each.len() == 2 && sent.len() <= 3, "{moment:?} {point}: {sent:?}");
            assert_eq!(scene.ledger.order(), ["rolled back"], "{moment:?} {point}");
            if !died {
                assert!(point > 5, "the plan makes more than {point} writes");
                break;
            }
        }
    }
}

/// Ways to people that are slow to fail do not keep the old version away.
async fn an_answer_waits_for_no_page(scene: &Scene) {
    let look = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(scene.ledger.order(), ["rolled back"], "while the page is under way");
        assert!(words(scene).is_empty(), "the page is under way");
    };
    let (ending, ()) = tokio::join!(scene.drive(), look);
    assert_eq!(ending.status, RunStatus::RolledBack);
    let said = words(scene);
    assert!(said.len() == 2 && said[1].ends_with("was run to its end"), "{said:?}");
}

/// What people are told of outages and open verdicts.
pub async fn watches_page(journals: Journals<'_>) {
    let once = ["outage-1", "outage-1 is over"];
    for (gaps, status, expect) in [
        (json!([[4, 6]]), RunStatus::Succeeded, &[][..]),
        (json!([[4, 7]]), RunStatus::Succeeded, &once),
        (
            json!([[1, 4], [6, 9]]),
            RunStatus::Succeeded,
            &["outage-1", "outage-1 is over", "outage-2", "outage-2 is over"],
        ),
        (json!([[1, 99]]), RunStatus::Waiting, &["outage-1", "page"]),
    ] {
        let scene = scene(journals, paging(json!({ "bad": 1.0, "gaps": gaps }), false));
        assert_eq!(scene.drive().await.status, status, "{gaps}");
        assert_eq!(told(&scene), expect, "{gaps}");
        let pages = scene.state().pages;
        assert!(
            pages.len() == expect.len() && pages.iter().all(|page| page.by.as_deref() == Some("pager")),
            "{pages:?}"
        );
        scene.drive().await;
        assert_eq!(told(&scene), expect, "{gaps}: nobody is told again");
        if let Some(page) = pages.first().filter(|_| expect.len() > 1) {
            // A source that remembers is asked at the beginning too, and told what it said last.
            assert!(page.message.contains("gave nothing at 3 looks: asked "), "{}", page.message);
            assert!(!page.message.contains("asked 0 times"), "{}", page.message);
        }
    }
    // Gone at every moment of it, and back.
    for leave_after in (500..10_000).step_by(1000) {
        let mut scene = scene(journals, paging(json!({ "bad": 1.0, "gaps": [[4, 7]] }), false));
        let leave = async {
            tokio::time::sleep(Duration::from_millis(leave_after)).await;
            scene.detach.cancel();
        };
        tokio::join!(scene.drive(), leave);
        scene.detach = CancellationToken::new();
        assert_eq!(scene.drive().await.status, RunStatus::Succeeded, "left after {leave_after} ms");
        assert_eq!(told(&scene), once, "left after {leave_after} ms");
    }
    let gaps = json!([[1, 5], [7, 11]]);
    made_again_it_pages_again(&scene(journals, paging(json!({ "bad": 50.0, "gaps": gaps }), false))).await;
    missed_looks_are_no_outage(scene(journals, paging(json!({ "bad": 1.0, "gaps": [[8, 99]] }), false)))
        .await;
    // Nobody listens: that is told, and is no failure of the release.
    let scene = scene(journals, paging(json!({ "bad": 1.0, "gaps": [[4, 7]] }), true));
    assert_eq!(scene.drive().await.status, RunStatus::Succeeded);
    let pages = scene.state().pages;
    assert!(pages.len() == 2 && pages.iter().all(|page| page.by.is_none()), "{pages:?}");
    assert!(pages[0].why.as_deref().is_some_and(|why| why.contains("nobody listens")), "{pages:?}");
}

/// A watch that is made again is another one: people are told of it, and the record shows only that.
async fn made_again_it_pages_again(scene: &Scene) {
    let once = ["outage-1", "outage-1 is over"];
    assert_eq!(scene.drive().await.status, RunStatus::Failed);
    assert_eq!(told(scene), once);
    assert_eq!(scene.state().pages.len(), 2);
    super::reopen(scene, "watch/watch");
    assert!(scene.state().pages.is_empty(), "{:?}", scene.state().pages);
    assert_eq!(scene.drive().await.status, RunStatus::Failed);
    assert_eq!(told(scene), [once, once].concat());
    assert_eq!(scene.state().pages.len(), 2);
    // By the occasion a pager knows what it was told already.
    let each_once: BTreeSet<String> = occasions(scene).into_iter().collect();
    assert_eq!(each_once.len(), 4, "{each_once:?}");
}

/// What was missed while no process was there is made up for in one look, however many moments it tells of.
async fn missed_looks_are_no_outage(mut scene: Scene) {
    let leave = async {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        scene.detach.cancel();
    };
    tokio::join!(scene.drive(), leave);
    scene.detach = CancellationToken::new();
    scene.clock.skip(Duration::from_secs(3600));
    assert_eq!(scene.drive().await.status, RunStatus::Waiting);
    assert_eq!(told(&scene), ["page"]);
}
