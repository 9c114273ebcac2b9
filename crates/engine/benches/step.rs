//! What a journaled step costs: a plan of no-op actions over the SQLite journal with full sync, one after another.
//!
//! `cargo bench -p windlass-engine --features conformance --bench step -- [STEPS] [ROUNDS]`
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints, and stops at the first surprise"
)]

use std::sync::Arc;
use std::time::Instant;

use windlass_core::plan::Node;
use windlass_engine::conformance::{Scene, plans};
use windlass_engine::journal::SqliteJournal;

fn main() {
    let numbers: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let steps = numbers.first().copied().unwrap_or(1000);
    let rounds = numbers.get(1).copied().unwrap_or(7);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let folder = tempfile::Builder::new().prefix("windlass-bench").tempdir_in(".").unwrap();
    let plan = plans::plan(
        (0..steps)
            .map(|index| {
                let name = format!("step-{index}");
                plans::step(&name, vec![Node::Action(plans::append(&name, &name))])
            })
            .collect(),
    );
    let mut step_costs = Vec::new();
    let mut resume_costs = Vec::new();
    for round in 0..rounds {
        runtime.block_on(async {
            let journal = SqliteJournal::open(&folder.path().join(format!("{round}.db"))).unwrap();
            let scene = Scene::new(Arc::new(journal), plan.clone());
            let begin = Instant::now();
            let ending = scene.drive().await;
            assert!(ending.stop.is_none(), "{ending:?}");
            step_costs.push(begin.elapsed().as_secs_f64() * 1000.0 / steps as f64);
            let begin = Instant::now();
            scene.drive().await;
            resume_costs.push(begin.elapsed().as_secs_f64() * 1000.0);
        });
    }
    println!("journaled no-op step, {steps} steps: {}", summary(&mut step_costs));
    println!("open the journal and walk {steps} finished steps again: {}", summary(&mut resume_costs));
    println!("a sync of 4 KiB appended to a file, the floor: {}", summary(&mut floor(folder.path())));
}

/// What the disk asks for one sync, without any journal.
fn floor(folder: &std::path::Path) -> Vec<f64> {
    use std::io::Write as _;
    let mut file = std::fs::File::create(folder.join("floor")).unwrap();
    (0..500)
        .map(|_| {
            let begin = Instant::now();
            file.write_all(&[7; 4096]).unwrap();
            file.sync_data().unwrap();
            begin.elapsed().as_secs_f64() * 1000.0
        })
        .collect()
}

fn summary(costs: &mut [f64]) -> String {
    costs.sort_by(f64::total_cmp);
    let median = costs.get(costs.len() / 2).copied().unwrap_or_default();
    let (least, most) =
        (costs.first().copied().unwrap_or_default(), costs.last().copied().unwrap_or_default());
    format!("median {median:.3} ms, min {least:.3} ms, max {most:.3} ms")
}
