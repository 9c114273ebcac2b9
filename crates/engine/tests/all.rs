//! The engine under any sequence of what people, crashes and time do to it.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use windlass_core::plan::StepPath;
use windlass_core::run::{RunEvent, RunStatus, verify_chain};
use windlass_engine::conformance::{FaultyJournal, Moment, Scene, plans};
use windlass_engine::journal::MemoryJournal;

#[derive(Debug, Clone)]
enum Operation {
    /// A process drives the run and dies at a write, or gets as far as it can.
    Drive(Option<(u64, bool)>),
    Approve,
    Confirm,
    Reject,
    Waive,
    Retry,
    Cancel,
    /// Time passes and nobody is there.
    Skip(u64),
    /// A process takes the run and does nothing with it.
    Take,
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        8 => proptest::option::of((0u64..60, any::<bool>())).prop_map(Operation::Drive),
        3 => Just(Operation::Approve),
        3 => Just(Operation::Confirm),
        1 => Just(Operation::Reject),
        1 => Just(Operation::Waive),
        1 => Just(Operation::Retry),
        1 => Just(Operation::Cancel),
        2 => (0u64..2000).prop_map(Operation::Skip),
        1 => Just(Operation::Take),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, max_shrink_iters: 300, ..ProptestConfig::default() })]

    /// Whatever happens: no effect twice, the history whole, an end that stays the end, and success means all was done.
    #[test]
    fn no_sequence_of_operations_doubles_or_loses_an_effect(operations in prop::collection::vec(operation(), 1..25)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let faulty = Arc::new(FaultyJournal::new(Arc::new(MemoryJournal::new())));
            let mut scene = Scene::new(faulty.clone(), plans::everything());
            scene.settings.leave_for_people = true;
            let mut waived = false;
            let mut ended: Option<RunStatus> = None;
            for operation in &operations {
                match operation {
                    Operation::Drive(fault) => {
                        if let Some((point, after)) = fault {
                            faulty.die_at(*point, if *after { Moment::After } else { Moment::Before });
                        }
                        let ending = scene.drive().await;
                        let died = faulty.is_dead();
                        faulty.revive();
                        if !died && ending.status.is_final() {
                            if let Some(known) = ended {
                                assert_eq!(known, ending.status, "an end stays the end");
                            }
                            ended = Some(ending.status);
                        }
                    }
                    Operation::Approve => scene.approve("gate/approval"),
                    Operation::Confirm => scene.approve("gate/check-1"),
                    Operation::Reject if ended.is_none() => scene.reject("gate/check-1"),
                    Operation::Waive if ended.is_none() => {
                        waived = true;
                        let path = StepPath::new("deploy/locked");
                        scene.send(None, None, &RunEvent::Waived { path, by: "ann".into(), reason: "r".into() });
                    }
                    Operation::Retry if ended.is_none() => {
                        let engine = scene.open(Scene::gone()).unwrap();
                        engine.reopen(&StepPath::new("gate/check-1"), "ann").unwrap();
                    }
                    Operation::Cancel if ended.is_none() => {
                        scene.send(None, None, &RunEvent::CancelRequested { by: "ann".into() });
                    }
                    Operation::Skip(seconds) => scene.clock.skip(Duration::from_secs(*seconds)),
                    Operation::Take => drop(scene.open(Scene::gone()).unwrap()),
                    Operation::Reject | Operation::Waive | Operation::Retry | Operation::Cancel => {}
                }
                let counts = scene.ledger.counts();
                assert!(counts.values().all(|count| *count == 1), "{counts:?} after {operation:?}");
                verify_chain(&scene.run, &scene.journal.history(&scene.run, 1).unwrap()).unwrap();
            }
            if ended == Some(RunStatus::Succeeded) && !waived {
                assert_eq!(scene.ledger.counts().len(), plans::EVERYTHING.len());
            }
        });
    }
}
