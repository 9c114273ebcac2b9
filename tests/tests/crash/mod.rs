//! The crash harness: releases killed with SIGKILL at every write of the journal and at random moments inside
//! effects, resumed until done, and judged by ledgers that the targets keep: the remote, a service, a file.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

mod demo;
mod ledger;
mod stage;
mod strategies;

use stage::{Death, Stage};

/// How many kills a full run of the harness makes at the least.
const KILLS: u32 = 2000;

/// How many releases go on at a time.
const WORKERS: u32 = 3;

/// Kills at every write, before and after it, and between writes; no effect lost, none doubled, approvals kept.
#[test]
fn a_release_survives_two_thousand_kills() {
    let kills: u32 = std::env::var("WINDLASS_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS);
    let begin = Instant::now();
    let template = Stage::template();
    let share = kills.div_ceil(WORKERS);
    let tallies: Vec<(u32, u32, BTreeMap<String, u32>)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..WORKERS)
            .map(|worker| {
                let template = &template;
                scope.spawn(move || {
                    let mut random = fastrand::Rng::with_seed(worker.into());
                    let (mut killed, mut releases, mut where_killed) = (0, 0, BTreeMap::new());
                    while killed < share {
                        let stage = Stage::new(template, "");
                        // Alternately at writes only, and at writes and at any moment between them.
                        let deaths = if releases % 2 == 0 { Death::at_writes } else { Death::anywhere };
                        killed += stage.release(|count| deaths(&mut random, count), &mut where_killed);
                        releases += 1;
                        stage
                            .judge()
                            .unwrap_or_else(|wrong| panic!("worker {worker}, release {releases}: {wrong}"));
                    }
                    (killed, releases, where_killed)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let killed: u32 = tallies.iter().map(|(killed, ..)| killed).sum();
    let releases: u32 = tallies.iter().map(|(_, releases, _)| releases).sum();
    let mut points: BTreeMap<String, u32> = BTreeMap::new();
    for (_, _, tally) in tallies {
        for (point, count) in tally {
            *points.entry(point).or_default() += count;
        }
    }
    println!(
        "{killed} kills over {releases} releases in {:?}, by the last event before them:",
        begin.elapsed()
    );
    for (point, count) in &points {
        println!("  {count:5} {point}");
    }
    assert!(killed >= kills);
}

/// Killed at one write and nowhere else, for every write of a release, before and after it is written.
#[test]
fn every_write_is_a_point_of_death() {
    let template = Stage::template();
    let untouched = Stage::new(&template, "");
    untouched.release(|_| Death::Never, &mut BTreeMap::new());
    untouched.judge().unwrap();
    let writes = untouched.writes();
    assert!(writes > 60, "a release makes more than {writes} writes");
    let next = AtomicU32::new(0);
    let points = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= writes * 2 {
                        return;
                    }
                    let (write, after) = (number / 2, number % 2 == 1);
                    let stage = Stage::new(&template, "");
                    let mut hit = BTreeMap::new();
                    let killed = stage.release(
                        |kills| if kills == 0 { stage.at_write(write, after) } else { Death::Never },
                        &mut hit,
                    );
                    let place = format!("killed {} write {write}", if after { "after" } else { "before" });
                    stage.judge().unwrap_or_else(|wrong| panic!("{place}: {wrong}"));
                    // Parallel steps and waits share writes now and then, so the last few may not be reached.
                    assert!(killed == 1 || write + 8 > writes, "{place}: it was not, of {writes} writes");
                    points.lock().unwrap().extend(hit);
                }
            });
        }
    });
    let points = points.into_inner().unwrap();
    let mut uncovered: Vec<&str> =
        ["taken", "step-started", "action-started", "action-finished", "gate-opened", "sampled", "unlocked"]
            .into();
    uncovered.retain(|kind| !points.keys().any(|point| point.starts_with(kind)));
    assert!(uncovered.is_empty(), "never killed after {uncovered:?}: {points:?}");
    println!("killed before and after each of {writes} writes");
}

/// A harness that does not see a planted bug proves nothing.
#[test]
fn planted_bugs_are_caught() {
    let template = Stage::template();
    for bug in ["outcome-before-intent", "no-probe"] {
        let mut random = fastrand::Rng::with_seed(7);
        let caught = (0..40).find_map(|_| {
            let stage = Stage::new(&template, bug);
            let finished =
                stage.try_release(|count| Death::at_writes(&mut random, count), &mut BTreeMap::new());
            finished.err().or_else(|| stage.judge().err())
        });
        let caught = caught.unwrap_or_else(|| panic!("{bug} was not caught in 40 releases"));
        println!("{bug}: {caught}");
    }
}

/// A process that is stopped past its lease and wakes up finds the run taken over: it changes nothing. Without the
/// fence it does, and the harness sees it.
#[test]
fn a_process_that_slept_through_its_lease_is_fenced_off() {
    let template = Stage::template();
    for (bug, expect_caught) in [("", false), ("no-fence", true)] {
        let caught = (0..if expect_caught { 40 } else { 4 }).find_map(|round| {
            let stage = Stage::new(&template, bug);
            stage.overtaken(Duration::from_millis(30 + 35 * (round % 14))).and_then(|()| stage.judge()).err()
        });
        match (caught, expect_caught) {
            (Some(wrong), false) => panic!("without a bug: {wrong}"),
            (None, true) => panic!("the missing fence was not caught"),
            (Some(wrong), true) => println!("{bug}: {wrong}"),
            (None, false) => {}
        }
    }
}
