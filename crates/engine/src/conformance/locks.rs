//! Scenarios of locks: one run at a time, and for as long as its steps need.

use std::time::Duration;

use windlass_core::plan::StepPath;
use windlass_core::run::RunStatus;

use super::{Journals, Scene, make};
use crate::durable::{Durable as _, Stop, Suspension};

/// One run at a time holds an environment; tokens rise; a run that failed or ended loses it.
pub async fn locks_exclude(journals: Journals<'_>) {
    let journal = journals();
    let first = Scene::named("first", journal.clone(), make::approval(None));
    let second = Scene::named("second", journal.clone(), make::approval(None));
    let holder = first.open(Scene::living()).unwrap();
    let other = second.open(Scene::living()).unwrap();
    let step = StepPath::new("deploy");
    let guard = holder.lock(&step, "production").await.unwrap();
    assert_eq!(holder.lock(&step, "production").await.unwrap(), guard, "asked again, the same token");
    let wait = tokio::time::timeout(Duration::from_secs(5), other.lock(&step, "production")).await;
    assert!(wait.is_err(), "it waits while the holder lives");
    holder.unlock(guard.clone(), false).await.unwrap();
    let next = other.lock(&step, "production").await.unwrap();
    assert!(next.fence.token > guard.fence.token, "tokens rise");
    drop(other);
    second.clock.skip(Duration::from_secs(60));
    first.clock.skip(Duration::from_secs(60));
    let refused = holder.lock(&step, "production").await;
    assert!(
        matches!(refused, Err(Stop::Suspend(Suspension::Locked { .. }))),
        "nobody works on the holder: {refused:?}"
    );
    let other = second.open(Scene::living()).unwrap();
    assert_eq!(other.lock(&step, "production").await.unwrap(), next, "a resumed run still has it");
    other.finish(RunStatus::Failed, None, None).unwrap();
    assert!(holder.lock(&step, "production").await.unwrap().fence.token > next.fence.token);
}

/// A step and the runbook it leads to may want the same lock: the inner one does not give it away.
pub async fn a_lock_is_held_until_its_last_step_is_done(journals: Journals<'_>) {
    let journal = journals();
    let first = Scene::named("first", journal.clone(), make::approval(None));
    let other = Scene::named("second", journal, make::approval(None)).open(Scene::living()).unwrap();
    let (outer, inner) = (StepPath::new("deploy"), StepPath::new("deploy/on-failure/rollback/back"));
    let is_free = async || {
        let asked = other.lock(&outer, "production");
        tokio::time::timeout(Duration::from_secs(1), asked).await.is_ok_and(|guard| guard.is_ok())
    };
    let holder = first.open(Scene::gone()).unwrap();
    let guard = holder.lock(&outer, "production").await.unwrap();
    let within = holder.lock(&inner, "production").await.unwrap();
    holder.unlock(within, true).await.unwrap();
    assert!(!is_free().await, "the outer step is not done");
    drop((guard, holder));
    let holder = first.open(Scene::living()).unwrap();
    let guard = holder.lock(&outer, "production").await.unwrap();
    assert!(holder.lock(&inner, "production").await.unwrap().returned, "it was done with it before");
    assert!(!is_free().await, "and telling so gives nothing away");
    holder.unlock(guard, true).await.unwrap();
    assert!(is_free().await);
}

/// A step that is done gave its lock back for good: a run resumed later does not ask for it again.
pub async fn finished_steps_ask_for_no_lock(journals: Journals<'_>) {
    let journal = journals();
    let mut scene = Scene::named("first", journal.clone(), make::locked_then_asked());
    scene.settings.leave_for_people = true;
    assert_eq!(scene.drive().await.status, RunStatus::Waiting);
    let other = Scene::named("second", journal, make::approval(None)).open(Scene::living()).unwrap();
    let held = other.lock(&StepPath::new("deploy"), "production").await.unwrap();
    scene.approve("gate/approval");
    let ending = tokio::time::timeout(Duration::from_secs(600), scene.drive()).await;
    assert_eq!(ending.unwrap().status, RunStatus::Succeeded, "it waits for nobody");
    assert_eq!(
        other.lock(&StepPath::new("deploy"), "production").await.unwrap(),
        held,
        "and takes it from nobody"
    );
}
