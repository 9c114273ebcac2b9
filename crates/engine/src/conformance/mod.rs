//! The suite every engine passes: the same plans, on any journal, killed, resumed and raced.
//!
//! A test calls [`all`] with a way to make empty journals. It is compiled for tests and with the feature
//! `conformance` only.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is how a suite reports")]

use std::sync::Arc;
use std::time::Duration;

use windlass_core::plan::{ConfirmNode, Node, PlannedStep, StepPath};
use windlass_core::run::{GateKind, Outcome, RunEvent, RunStatus, StepStatus, verify_chain};
use windlass_core::runbook::{InDoubt, OnFailure};
use windlass_core::verdict::Verdict;

use crate::action::ActionSet;
use crate::durable::{Signal, Stop, Suspension};
use crate::interpreter::Direction;
use crate::journal::{Batch, Committed, EntryState, Journal, JournalError};

mod faults;
mod locks;
mod metrics;
mod pages;
pub mod plans;
pub mod planted;
mod scene;
mod undo;

pub use faults::{Fault, FaultyJournal, Moment};
pub use scene::{Ledger, Scene, TestClock};

use plans as make;

/// Makes empty journals.
pub type Journals<'a> = &'a (dyn Fn() -> Arc<dyn Journal> + Sync);

/// Every scenario, in order. Wants a paused tokio clock: hours pass in it.
pub async fn all(journals: Journals<'_>) {
    happy_path(journals).await;
    kill_at_each_point(journals, Clone::clone).await;
    early_signals_are_kept(journals).await;
    cancel_anywhere(journals).await;
    double_start_and_two_processes(journals).await;
    deadlines_hold_across_downtime(journals).await;
    a_signal_beats_its_deadline_for_good(journals).await;
    a_stale_owner_changes_nothing(journals).await;
    an_overtaken_owner_stops_what_runs(journals).await;
    doubt_is_settled(journals).await;
    each_doubt_is_asked_anew(journals).await;
    failures_take_their_route(journals).await;
    attempts_are_limited(journals).await;
    watches_judge(journals).await;
    metrics::watches_measure(journals).await;
    metrics::watches_compare_with_the_time_before_the_change(journals).await;
    pages::watches_page(journals).await;
    pages::failures_page(journals).await;
    waivers_and_retries(journals).await;
    questions_tell_what_was_found(journals).await;
    locks::locks_exclude(journals).await;
    locks::a_lock_is_held_until_its_last_step_is_done(journals).await;
    locks::finished_steps_ask_for_no_lock(journals).await;
    leaving_is_no_failure(journals).await;
    undo::effects_are_taken_back(journals).await;
    undo::nothing_is_pulled_from_under_what_stays(journals).await;
    undo::nothing_is_taken_back_without_what_bars_it(journals).await;
    undo::interrupted_effects_are_taken_back(journals).await;
    undo::a_rollback_reads_what_the_steps_gave(journals).await;
}

/// A plan with every kind of node runs to its end, each effect once, outputs passed on, the history whole.
pub async fn happy_path(journals: Journals<'_>) {
    let scene = Scene::new(journals(), make::everything());
    scene.approve("gate/approval");
    scene.approve("gate/check-1");
    let ending = scene.drive().await;
    assert_eq!(ending.status, RunStatus::Succeeded, "{ending:?}");
    assert_each_once(&scene, "happy path");
    assert_eq!(scene.ledger.seen("deferred"), "from first", "outputs reach later items");
    let again = scene.drive().await;
    assert_eq!(again.status, RunStatus::Succeeded, "walking a finished run again only tells it");
    assert_each_once(&scene, "walked again");
}

/// Killed before and after every write in turn, resumed once: each effect happened once.
pub async fn kill_at_each_point(journals: Journals<'_>, actions: fn(&ActionSet) -> ActionSet) {
    for moment in [Moment::Before, Moment::After] {
        for point in 0.. {
            let faulty = Arc::new(FaultyJournal::new(journals()));
            let mut scene = Scene::new(faulty.clone(), make::everything());
            scene.wrap = actions;
            scene.approve("gate/approval");
            scene.approve("gate/check-1");
            faulty.die_at(point, moment);
            let first = scene.drive().await;
            let died = faulty.is_dead();
            faulty.revive();
            if died && first.status != RunStatus::Succeeded {
                assert!(matches!(first.stop, Some(Stop::Suspend(_))), "{moment:?} {point}: {first:?}");
                let ending = scene.drive().await;
                assert_eq!(ending.status, RunStatus::Succeeded, "{moment:?} {point}: {ending:?}");
            }
            assert_each_once(&scene, &format!("killed {moment:?} write {point}"));
            if !died {
                assert!(point > 20, "the plan makes more than {point} writes");
                break;
            }
        }
    }
}

/// Approvals that come before their gate count; those for another plan do not; a refusal is final.
pub async fn early_signals_are_kept(journals: Journals<'_>) {
    let mut scene = Scene::new(journals(), make::approval(None));
    scene.settings.leave_for_people = true;
    scene.approve("gate/approval");
    assert_eq!(scene.drive().await.status, RunStatus::Succeeded);

    let mut scene = Scene::new(journals(), make::approval(None));
    scene.settings.leave_for_people = true;
    let ending = scene.drive().await;
    assert_eq!(ending.stop, Some(Stop::Suspend(Suspension::People(StepPath::new("gate/approval")))));
    assert_eq!(scene.state().gates[0].kind, GateKind::Approval);
    assert_eq!(scene.journal.run(&scene.run).unwrap().status, RunStatus::Waiting);
    scene.decide("gate/approval", windlass_core::gate::Choice::Approve, "the digest of another plan");
    assert_eq!(scene.drive().await.status, RunStatus::Waiting, "an approval of another plan is void");
    scene.reject("gate/approval");
    let ending = scene.drive().await;
    assert_eq!(ending.status, RunStatus::Refused);
    assert!(ending.why.unwrap().contains("refused"));
    assert!(scene.ledger.counts().is_empty(), "nothing after a refusal");
}

/// A run is cancelled at a gate, in a watch and in a running action, which is stopped.
pub async fn cancel_anywhere(journals: Journals<'_>) {
    for plan in [make::approval(None), make::long_watch(), make::slow()] {
        let scene = Scene::new(journals(), plan);
        let cancel = async {
            // The paused clock moves only when the run waits: at its gate, in its watch, in its action.
            tokio::time::sleep(Duration::from_millis(1500)).await;
            scene.send(None, None, &RunEvent::CancelRequested { by: "ann".into() });
        };
        let (ending, ()) = tokio::join!(scene.drive(), cancel);
        assert_eq!(ending.status, RunStatus::Cancelled, "{ending:?}");
        assert_eq!(scene.journal.run(&scene.run).unwrap().status, RunStatus::Cancelled);
        let order = scene.ledger.order();
        if order.contains(&"slow began".to_owned()) {
            assert!(order.contains(&"slow was stopped".to_owned()), "{order:?}");
        }
        assert!(!order.contains(&"after".to_owned()), "{order:?}");
    }
}

/// A run is created once, and one process at a time works on it; a dead one loses it at once.
pub async fn double_start_and_two_processes(journals: Journals<'_>) {
    let scene = Scene::new(journals(), make::approval(None));
    assert_eq!(scene.create(), Err(JournalError::Exists(scene.run.clone())));
    let first = scene.open(Scene::living()).unwrap();
    let second = scene.open(Scene::gone());
    assert!(matches!(second, Err(JournalError::Owned { .. })), "the first one lives");
    drop(first);
    scene.clock.skip(Duration::from_secs(31));
    let third = scene.open(Scene::gone());
    assert!(third.is_ok(), "the lease is over");
    let fourth = scene.open(Scene::living());
    assert!(fourth.is_ok(), "a dead owner on this host loses the run at once");
}

/// A deadline is a moment on the wall clock: it passes while nobody is there, and what came before it counts.
pub async fn deadlines_hold_across_downtime(journals: Journals<'_>) {
    let hour = windlass_core::duration::Duration::from_secs(3600);
    for (approved_in_time, expect) in [(false, RunStatus::Refused), (true, RunStatus::Succeeded)] {
        let mut scene = Scene::new(journals(), make::approval(Some(hour)));
        scene.settings.leave_for_people = true;
        assert_eq!(scene.drive().await.status, RunStatus::Waiting);
        scene.clock.skip(Duration::from_secs(1800));
        if approved_in_time {
            scene.approve("gate/approval");
        }
        scene.clock.skip(Duration::from_secs(1801));
        if !approved_in_time {
            scene.approve("gate/approval");
        }
        assert_eq!(scene.drive().await.status, expect, "what comes after the deadline does not count");
        if !approved_in_time {
            scene.approve("gate/approval");
            assert_eq!(scene.drive().await.status, RunStatus::Refused, "too late stays too late");
        }
    }
    let step = PlannedStep {
        within: Some(windlass_core::duration::Duration::from_secs(60)),
        ..make::step("one", vec![Node::Action(make::sleep("one", "slow"))])
    };
    let scene = Scene::new(journals(), make::plan(vec![step]));
    let ending = scene.drive().await;
    assert_eq!(ending.status, RunStatus::Failed);
    assert!(ending.why.as_deref().unwrap().contains("took longer than 1m"), "{ending:?}");
    assert_eq!(scene.ledger.order(), ["slow began", "slow was stopped"]);
}

/// A deadline that lost against a signal was never reached: no later write may say that it was.
pub async fn a_signal_beats_its_deadline_for_good(journals: Journals<'_>) {
    let scene = Scene::new(journals(), make::approval(None));
    let engine = scene.open(Scene::living()).unwrap();
    let (gate, passed) = (StepPath::new("gate/approval"), StepPath::new("gate/approval/until@1"));
    scene.approve(&gate.0);
    let batch = Batch {
        entries: vec![engine.entry(&passed, EntryState::Done(serde_json::Value::Null), 1)],
        unless_signal: Some((gate, 0)),
        ..Batch::default()
    };
    assert_eq!(engine.commit(batch).unwrap(), Committed::Preempted);
    engine.commit(Batch::default()).unwrap();
    assert_eq!(scene.journal.entry(&scene.run, &passed).unwrap(), None);
}

/// A process that slept through its lease writes nothing and starts no effect.
pub async fn a_stale_owner_changes_nothing(journals: Journals<'_>) {
    let scene = Scene::new(journals(), make::long_watch());
    let stale = scene.open(Scene::gone()).unwrap();
    let awake = scene.open(Scene::living()).unwrap();
    assert!(awake.epoch() > stale.epoch());
    let ending = crate::drive::drive(&stale, &scene.plan, &scene.digest, "starter", Direction::Forward).await;
    assert_eq!(ending.stop, Some(Stop::Suspend(Suspension::Superseded)), "{ending:?}");
    assert!(scene.ledger.counts().is_empty(), "no effect without an intent of the current epoch");
    let ending = crate::drive::drive(&awake, &scene.plan, &scene.digest, "starter", Direction::Forward).await;
    assert_eq!(ending.status, RunStatus::Succeeded);
}

/// A process that learns in the middle of an action that it was overtaken stops the action, and writes nothing.
pub async fn an_overtaken_owner_stops_what_runs(journals: Journals<'_>) {
    let scene = Scene::new(journals(), make::slow());
    let overtake = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        scene.open(Scene::living()).unwrap()
    };
    let both = async { tokio::join!(scene.drive(), overtake) };
    let (ending, awake) = tokio::time::timeout(Duration::from_secs(60), both).await.unwrap();
    assert_eq!(ending.stop, Some(Stop::Suspend(Suspension::Superseded)), "{ending:?}");
    assert_eq!(scene.ledger.order(), ["slow began", "slow was stopped"]);
    assert_eq!(scene.journal.run(&scene.run).unwrap().epoch, awake.epoch());
    assert_eq!(scene.state().status, RunStatus::Running, "the run is the other's");
}

/// An effect whose outcome a crash hid is asked of its probe, run again where that is allowed, or asked of a person.
pub async fn doubt_is_settled(journals: Journals<'_>) {
    for in_doubt in [InDoubt::Ask, InDoubt::Probe, InDoubt::Rerun] {
        for answer in ["confirm", "retry", "reject"] {
            let faulty = Arc::new(FaultyJournal::new(journals()));
            let mut scene = Scene::new(faulty.clone(), make::blind(in_doubt));
            scene.settings.leave_for_people = true;
            // Writes are: take, intent, outcome. Killed at the outcome the effect has happened.
            faulty.die_at(2, Moment::Before);
            assert!(matches!(scene.drive().await.stop, Some(Stop::Suspend(Suspension::Trouble(_)))));
            faulty.revive();
            assert_eq!(scene.ledger.counts()["first"], 1);
            let ending = scene.drive().await;
            if in_doubt == InDoubt::Rerun {
                assert_eq!(ending.status, RunStatus::Succeeded);
                assert_eq!(scene.ledger.counts()["first"], 2, "it was allowed to");
                continue;
            }
            assert_eq!(ending.status, RunStatus::Waiting, "{ending:?}");
            assert_eq!(scene.state().gates[0].kind, GateKind::Doubt);
            let path = StepPath::new("one/first");
            let (status, count) = match answer {
                "confirm" => {
                    scene.approve("one/first");
                    (RunStatus::Succeeded, 1)
                }
                "retry" => {
                    let retried = RunEvent::Retried { path: path.clone(), by: "ann".into() };
                    scene.send(Some(&path), Some(&Signal::Retry { by: "ann".into() }), &retried);
                    (RunStatus::Succeeded, 2)
                }
                _ => {
                    scene.reject("one/first");
                    (RunStatus::Failed, 1)
                }
            };
            assert_eq!(scene.drive().await.status, status, "{answer}");
            assert_eq!(scene.ledger.counts()["first"], count, "{answer}");
        }
    }
}

/// An answer settles one interruption: an effect that is interrupted again is asked about again.
pub async fn each_doubt_is_asked_anew(journals: Journals<'_>) {
    let faulty = Arc::new(FaultyJournal::new(journals()));
    let mut scene = Scene::new(faulty.clone(), make::blind(InDoubt::Ask));
    scene.settings.leave_for_people = true;
    let path = StepPath::new("one/first");
    faulty.die_at(2, Moment::Before);
    assert!(matches!(scene.drive().await.stop, Some(Stop::Suspend(Suspension::Trouble(_)))));
    faulty.revive();
    assert_eq!(scene.drive().await.status, RunStatus::Waiting);
    let retried = RunEvent::Retried { path: path.clone(), by: "ann".into() };
    scene.send(Some(&path), Some(&Signal::Retry { by: "ann".into() }), &retried);
    // Writes are: take, the gate, reopened, intent, outcome.
    faulty.die_at(4, Moment::Before);
    assert!(matches!(scene.drive().await.stop, Some(Stop::Suspend(Suspension::Trouble(_)))));
    faulty.revive();
    assert_eq!(scene.ledger.counts()["first"], 2);
    let ending = scene.drive().await;
    assert_eq!(ending.status, RunStatus::Waiting, "asked again, not run again: {ending:?}");
    assert_eq!(scene.ledger.counts()["first"], 2);
    scene.approve("one/first");
    assert_eq!(scene.drive().await.status, RunStatus::Succeeded);
    assert_eq!(scene.ledger.counts()["first"], 2);
    let closed = |event: &RunEvent| matches!(event, RunEvent::GateClosed { .. });
    let history = scene.journal.history(&scene.run, 1).unwrap();
    assert_eq!(history.iter().filter(|recorded| closed(&recorded.event)).count(), 2);
}

/// A failed step stops the run, is passed over, or leads to a runbook; a refusal too.
pub async fn failures_take_their_route(journals: Journals<'_>) {
    let failing = |on_failure: OnFailure| {
        let step = PlannedStep { on_failure, ..make::step("one", vec![Node::Action(make::flaky(9, 0))]) };
        let mut plan =
            make::plan(vec![step, make::step("two", vec![Node::Action(make::append("two", "after"))])]);
        plan.routines.extend([make::routine("rollback", "back", "rolled back")]);
        plan
    };
    for (on_failure, status, ledger) in [
        (OnFailure::Stop, RunStatus::Failed, vec![]),
        (OnFailure::Continue, RunStatus::Succeeded, vec!["after"]),
        (OnFailure::Call("rollback".into()), RunStatus::RolledBack, vec!["rolled back"]),
    ] {
        let scene = Scene::new(journals(), failing(on_failure.clone()));
        let ending = scene.drive().await;
        assert_eq!(ending.status, status, "{on_failure:?}: {ending:?}");
        assert_eq!(scene.ledger.order(), ledger, "{on_failure:?}");
    }
    let mut plan = make::plan(vec![make::step("gate", vec![make::gate("gate", None, Some("rollback"))])]);
    plan.routines.extend([make::routine("rollback", "back", "rolled back")]);
    let scene = Scene::new(journals(), plan);
    scene.reject("gate/approval");
    assert_eq!(scene.drive().await.status, RunStatus::Refused);
    assert_eq!(scene.ledger.order(), ["rolled back"]);

    let parallel = |id: &str, node| PlannedStep { parallel: Some("p".into()), ..make::step(id, vec![node]) };
    let plan = make::plan(vec![
        parallel("one", Node::Action(make::flaky(9, 0))),
        parallel("two", Node::Action(make::append("two", "neighbour"))),
    ]);
    let scene = Scene::new(journals(), plan);
    assert_eq!(scene.drive().await.status, RunStatus::Failed);
    assert_eq!(scene.ledger.order(), ["neighbour"], "a neighbour is let finish");
}

/// Retries are counted; an optional failure is a warning; an unknown action fails by name.
pub async fn attempts_are_limited(journals: Journals<'_>) {
    for (failures, retry, status) in
        [(0, 0, RunStatus::Succeeded), (2, 2, RunStatus::Succeeded), (3, 2, RunStatus::Failed)]
    {
        let plan = make::plan(vec![make::step("one", vec![Node::Action(make::flaky(failures, retry))])]);
        let scene = Scene::new(journals(), plan);
        assert_eq!(scene.drive().await.status, status, "{failures} failures, {retry} retries");
        assert_eq!(scene.state().steps[&StepPath::new("one/first")].attempts, failures.min(retry) + 1);
    }
    let mut node = make::flaky(9, 0);
    node.policy.optional = true;
    let scene = Scene::new(journals(), make::plan(vec![make::step("one", vec![Node::Action(node)])]));
    assert_eq!(scene.drive().await.status, RunStatus::Succeeded);

    let mut node = make::append("one", "first");
    node.call.action = "test.unheard".into();
    let scene = Scene::new(journals(), make::plan(vec![make::step("one", vec![Node::Action(node)])]));
    let ending = scene.drive().await;
    assert!(ending.why.unwrap().contains("test.unheard"));
}

/// A watch passes what is good, fails what is bad at once, and asks a person when it cannot tell.
pub async fn watches_judge(journals: Journals<'_>) {
    let scene = Scene::new(journals(), make::long_watch());
    assert_eq!(scene.drive().await.status, RunStatus::Succeeded);
    let verdict = scene.state().verdicts[&StepPath::new("watch/watch")].verdict;
    assert_eq!((verdict, scene.state().samples[&StepPath::new("watch/watch")].len()), (Verdict::Pass, 11));

    let scene =
        Scene::new(journals(), make::plan(vec![make::step("watch", vec![make::watch("watch", "gone", 1)])]));
    let ending = scene.drive().await;
    assert_eq!(ending.status, RunStatus::Failed);
    assert_eq!(scene.state().samples[&StepPath::new("watch/watch")].len(), 2, "it stops early");

    for (answer, status) in [(true, RunStatus::Succeeded), (false, RunStatus::Failed)] {
        let mut scene = Scene::new(journals(), make::long_watch());
        scene.settings.leave_for_people = true;
        scene.detach.cancel();
        assert_eq!(scene.drive().await.stop, Some(Stop::Suspend(Suspension::Detached)));
        left_too_early(&mut scene).await;
        if answer {
            scene.approve("watch/watch/verdict");
        } else {
            scene.reject("watch/watch/verdict");
        }
        assert_eq!(scene.drive().await.status, status);
        if !answer {
            // What was said is about the watch that was: the one that is made again has a verdict of its own.
            reopen(&scene, "watch/watch");
            left_too_early(&mut scene).await;
            scene.approve("watch/watch/verdict");
            assert_eq!(scene.drive().await.status, RunStatus::Succeeded);
        }
        let steps = scene.state().steps;
        let watch = &steps[&StepPath::new("watch/watch")].status;
        assert_eq!(watch, &StepStatus::Ended(Outcome::Done));
    }
}

/// A watch is left after a few samples and found again long after its end: a person is asked.
async fn left_too_early(scene: &mut Scene) {
    scene.detach = tokio_util::sync::CancellationToken::new();
    let leave = async {
        tokio::time::sleep(Duration::from_millis(2500)).await;
        scene.detach.cancel();
    };
    let (ending, ()) = tokio::join!(scene.drive(), leave);
    assert_eq!(ending.stop, Some(Stop::Suspend(Suspension::Detached)), "{ending:?}");
    scene.detach = tokio_util::sync::CancellationToken::new();
    scene.clock.skip(Duration::from_secs(3600));
    let ending = scene.drive().await;
    assert_eq!(ending.status, RunStatus::Waiting, "too few samples say nothing: {ending:?}");
    assert_eq!(scene.state().verdicts[&StepPath::new("watch/watch")].verdict, Verdict::Inconclusive);
}

/// A question holds what an earlier step found out, and is the same one after a restart.
pub async fn questions_tell_what_was_found(journals: Journals<'_>) {
    let asked = |node| match node {
        Node::Confirm(node) => Node::Confirm(ConfirmNode {
            text: "{{ outputs.first.text }} is lost".into(),
            deferred: true,
            ..node
        }),
        node => node,
    };
    let plan = make::plan(vec![
        make::step("one", vec![Node::Action(make::append("one", "first"))]),
        make::step("two", vec![asked(make::confirm("two", "check-1", None))]),
    ]);
    let mut scene = Scene::new(journals(), plan);
    scene.settings.leave_for_people = true;
    for _ in 0..2 {
        assert_eq!(scene.drive().await.status, RunStatus::Waiting);
        let gates = scene.state().gates;
        let questions: Vec<&str> = gates.iter().map(|gate| gate.question.as_str()).collect();
        assert_eq!(questions, ["from first is lost"]);
    }
    scene.approve("two/check-1");
    assert_eq!(scene.drive().await.status, RunStatus::Succeeded);
}

/// People let an item pass or ask for it again, and both are kept.
pub async fn waivers_and_retries(journals: Journals<'_>) {
    let plan = make::plan(vec![
        make::step("one", vec![Node::Action(make::flaky(1, 0))]),
        make::step(
            "two",
            vec![make::confirm("two", "check-1", None), Node::Action(make::append("two", "after"))],
        ),
    ]);
    let mut scene = Scene::new(journals(), plan.clone());
    scene.settings.leave_for_people = true;
    assert_eq!(scene.drive().await.status, RunStatus::Failed);
    assert_eq!(scene.state().stopped_at, Some(StepPath::new("one/first")));
    let waive =
        |path: &str| RunEvent::Waived { path: StepPath::new(path), by: "ann".into(), reason: "known".into() };
    scene.send(None, None, &waive("one/first"));
    assert_eq!(scene.drive().await.status, RunStatus::Waiting);
    scene.send(None, None, &waive("two"));
    assert_eq!(scene.drive().await.status, RunStatus::Succeeded);
    assert!(scene.ledger.counts().is_empty(), "waived is not done");
    assert_eq!(scene.state().waivers.len(), 2);

    let mut scene = Scene::new(journals(), plan);
    scene.settings.leave_for_people = true;
    assert_eq!(scene.drive().await.status, RunStatus::Failed);
    assert_eq!(scene.drive().await.status, RunStatus::Failed, "resuming alone repeats no failure");
    reopen(&scene, "one/first");
    assert_eq!(scene.drive().await.status, RunStatus::Waiting);
    scene.reject("two/check-1");
    assert_eq!(scene.drive().await.status, RunStatus::Failed);
    reopen(&scene, "two/check-1");
    let ending = scene.drive().await;
    assert_eq!(ending.status, RunStatus::Waiting, "the question is asked again: {ending:?}");
    assert_eq!(scene.state().gates.len(), 1);
    scene.approve("two/check-1");
    assert_eq!(scene.drive().await.status, RunStatus::Succeeded);
    assert_eq!(scene.ledger.order(), ["first", "after"]);
    let steps = scene.state().steps;
    assert!(steps.values().all(|step| matches!(step.status, StepStatus::Ended(_))), "{steps:?}");
}

/// A person leaves the terminal, the store fails: the run stops half-way and can be resumed as it is.
pub async fn leaving_is_no_failure(journals: Journals<'_>) {
    let scene = Scene::new(journals(), make::approval(None));
    let leave = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        scene.detach.cancel();
    };
    let (ending, ()) = tokio::join!(scene.drive(), leave);
    assert_eq!(
        (ending.status, ending.stop),
        (RunStatus::Suspended, Some(Stop::Suspend(Suspension::Detached)))
    );
    assert_eq!(scene.journal.run(&scene.run).unwrap().owner, None, "the claim is given back");
}

fn reopen(scene: &Scene, path: &str) {
    let engine = scene.open(Scene::gone()).unwrap();
    engine.reopen(&StepPath::new(path), "ann").unwrap();
    engine.finish(RunStatus::Suspended, None, None).unwrap();
}

fn assert_each_once(scene: &Scene, when: &str) {
    let expect = make::EVERYTHING.map(|name| (name.to_owned(), 1)).into();
    assert_eq!(scene.ledger.counts(), expect, "{when}");
    let history = scene.journal.history(&scene.run, 1).unwrap();
    if let Err(error) = verify_chain(&scene.run, &history) {
        panic!("{when}: {error}");
    }
}
