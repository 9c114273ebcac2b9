//! Scenarios of taking back: last first, each once, and nothing that others stand on.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use windlass_core::plan::{ActionNode, Effect, Facts, Node, PlannedStep, Reversibility, StepPath};
use windlass_core::run::{RunEvent, RunStatus};
use windlass_core::runbook::InDoubt;

use super::{FaultyJournal, Journals, Moment, Scene, make};
use crate::action::{Action, Probe, Result, Undone};
use crate::context::Context;
use crate::durable::{Stop, Suspension};
use crate::interpreter::{Direction, Ending};

/// Without a rollback section effects are taken back last first, each once, also after a kill.
pub async fn effects_are_taken_back(journals: Journals<'_>) {
    let plan = make::plan(vec![make::step(
        "one",
        vec![
            Node::Action(make::append("one", "first")),
            Node::Action(make::append("one", "second")),
            Node::Action(failing()),
        ],
    )]);
    for point in 0.. {
        let faulty = Arc::new(FaultyJournal::new(journals()));
        let scene = Scene::new(faulty.clone(), plan.clone());
        assert_eq!(scene.drive().await.status, RunStatus::Failed);
        faulty.die_at(point, Moment::After);
        let ending: Ending = scene.drive_towards(Direction::Rollback).await;
        let died = faulty.is_dead();
        faulty.revive();
        if died {
            let ending = scene.drive_towards(Direction::Rollback).await;
            assert_eq!(ending.status, RunStatus::RolledBack, "killed at {point}: {ending:?}");
        } else {
            assert_eq!(ending.status, RunStatus::RolledBack);
        }
        assert!(scene.ledger.counts().is_empty(), "killed at {point}");
        let undone: Vec<String> = scene.state().undone.iter().map(|(path, ..)| path.0.clone()).collect();
        assert_eq!(undone, ["one/second", "one/first"], "killed at {point}");
        if !died {
            break;
        }
    }
}

/// An effect whose outcome a crash hid is looked for: taken back when it happened, left to a person when nobody knows.
pub async fn interrupted_effects_are_taken_back(journals: Journals<'_>) {
    let with_braces = || {
        let mut node = make::append("one", "first");
        node.call.params["text"] = "docker ps --format '{{.Names}}'".into();
        make::plan(vec![PlannedStep {
            lock: Some("production".into()),
            ..make::step("one", vec![Node::Action(node)])
        }])
    };
    for (plan, is_known) in [(with_braces(), true), (make::blind(InDoubt::Ask), false)] {
        let faulty = Arc::new(FaultyJournal::new(journals()));
        let scene = Scene::new(faulty.clone(), plan);
        // Killed at its outcome, the effect has happened.
        faulty.die_at(if is_known { 4 } else { 2 }, Moment::Before);
        assert!(matches!(scene.drive().await.stop, Some(Stop::Suspend(Suspension::Trouble(_)))));
        faulty.revive();
        assert_eq!(scene.ledger.counts()["first"], 1);
        let ending = scene.drive_towards(Direction::Rollback).await;
        assert_eq!(ending.status, RunStatus::RolledBack, "{ending:?}");
        assert_eq!(scene.ledger.counts().is_empty(), is_known);
        let (path, result, needs_human) = scene.state().undone[0].clone();
        assert_eq!((path.0.as_str(), needs_human), ("one/first", !is_known), "{result}");
        assert!(scene.state().locks.is_empty());
    }
}

/// A rollback section has the outputs of the steps that were done.
pub async fn a_rollback_reads_what_the_steps_gave(journals: Journals<'_>) {
    let mut back = make::append("rollback", "back");
    back.call = make::call("test.append", json!({ "name": "back", "text": "{{ outputs.one.text }}" }));
    let mut plan = make::plan(vec![make::step("one", vec![Node::Action(make::append("one", "first"))])]);
    plan.rollback = vec![make::step("rollback", vec![Node::Action(back)])];
    let scene = Scene::new(journals(), plan);
    assert_eq!(scene.drive().await.status, RunStatus::Succeeded);
    let ending = scene.drive_towards(Direction::Rollback).await;
    assert_eq!(ending.status, RunStatus::RolledBack, "{ending:?}");
    assert_eq!(scene.ledger.seen("back"), "from first");
}

/// Tells people something, which cannot be unsaid.
struct Tell;

impl Action for Tell {
    const NAME: &'static str = "test.tell";
    const SUMMARY: &'static str = "Tells people something.";
    const IS_MESSAGE: bool = true;
    type Params = Value;
    type Output = Value;

    fn effects(&self, _: &Value, _: &Facts) -> Result<Vec<Effect>> {
        Ok(Vec::new())
    }

    async fn probe(&self, _: &Value, _: &Context) -> Result<Probe<Value>> {
        Ok(Probe::Unknown)
    }

    async fn run(&self, _: &Value, _: &Context) -> Result<Value> {
        Ok(Value::Null)
    }

    async fn undo(&self, _: &Value, _: &Value, _: &Context) -> Result<Undone> {
        Ok(Undone::NeedsHuman("it was said".into()))
    }
}

/// What can be taken back exactly is left under an effect that only a person can take back.
pub async fn nothing_is_pulled_from_under_what_stays(journals: Journals<'_>) {
    let mut published = make::append("one", "published");
    published.call.params["stays"] = true.into();
    published.effects[0].reversibility = Reversibility::Permanent;
    let nodes = vec![
        Node::Action(make::append("one", "first")),
        Node::Action(published),
        Node::Action(make::append("one", "later")),
    ];
    let scene = Scene::new(journals(), make::plan(vec![make::step("one", nodes)]));
    assert_eq!(scene.drive().await.status, RunStatus::Succeeded);
    let ending = scene.drive_towards(Direction::Rollback).await;
    assert_eq!(ending.status, RunStatus::RolledBack);
    assert!(ending.why.unwrap().contains('2'), "two effects are left to a person");
    assert_eq!(scene.ledger.order(), ["first", "published"]);
    // On what only told people something, nothing stands.
    let told = ActionNode { call: make::call("test.tell", json!({})), ..make::append("one", "told") };
    let nodes = vec![Node::Action(make::append("one", "first")), Node::Action(told)];
    let mut scene = Scene::new(journals(), make::plan(vec![make::step("one", nodes)]));
    scene.wrap = |actions| actions.clone().with(Tell);
    assert_eq!(scene.drive().await.status, RunStatus::Succeeded);
    let ending = scene.drive_towards(Direction::Rollback).await;
    assert_eq!(ending.status, RunStatus::RolledBack);
    assert!(ending.why.unwrap().contains('1'), "the message is left to a person");
    assert!(scene.ledger.order().is_empty(), "what came before the message is taken back");
}

/// While an effect stands that what came after it cannot do without, nothing is taken back at all; once it is gone,
/// everything is.
pub async fn nothing_is_taken_back_without_what_bars_it(journals: Journals<'_>) {
    let barred = |bars: &str| {
        let mut migrated = make::append("one", "migrated");
        migrated.call.params["bars"] = bars.into();
        let nodes = vec![
            Node::Action(make::append("one", "first")),
            Node::Action(migrated),
            Node::Action(make::append("one", "later")),
        ];
        Scene::new(journals(), make::plan(vec![make::step("one", nodes)]))
    };
    let unknown = "nothing was taken back, because it is not known whether it may be: nobody answers";
    for (bars, expect) in [("written", "migrated destroyed what was before"), ("unknown", unknown)] {
        let scene = barred(bars);
        assert_eq!(scene.drive().await.status, RunStatus::Succeeded);
        for _ in 0..2 {
            let ending = scene.drive_towards(Direction::Rollback).await;
            assert_eq!(ending.status, RunStatus::Failed);
            assert_eq!(ending.why.as_deref(), Some(expect));
            assert_eq!(scene.ledger.order(), ["first", "migrated", "later"]);
        }
        scene.ledger.erase("migrated");
        if bars == "written" {
            assert_eq!(scene.drive_towards(Direction::Rollback).await.status, RunStatus::RolledBack);
            assert!(scene.ledger.order().is_empty());
        }
    }
    // Cancelled while it is asked: that is no failure, and nothing was touched.
    let scene = barred("slow");
    assert_eq!(scene.drive().await.status, RunStatus::Succeeded);
    let cancel = async {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        scene.send(None, None, &RunEvent::CancelRequested { by: "ann".into() });
    };
    let (ending, ()) = tokio::join!(scene.drive_towards(Direction::Rollback), cancel);
    assert_eq!(ending.status, RunStatus::Cancelled, "{ending:?}");
    assert_eq!(scene.ledger.order(), ["first", "migrated", "later"]);
}

/// An action that always fails, under a name of its own.
fn failing() -> ActionNode {
    let mut node = make::flaky(9, 0);
    node.path = StepPath::new("one/failing");
    node.call.params["name"] = "failing".into();
    node
}
