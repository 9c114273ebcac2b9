//! Simulated watches: how often a clean release is stopped, how soon a bad one is, and that silence never passes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests are tests")]

use jiff::{SignedDuration, Timestamp};
use windlass_core::duration::Duration;
use windlass_core::verdict::bootstrap::Random;
use windlass_core::verdict::replay::{Replayed, replay};
use windlass_core::verdict::{
    Baseline, Criterion, Judge, MetricRule, Reading, Sample, Seen, Verdict, WatchRule,
};

const WINDOW: u64 = 1800;
const PER_SECOND: u64 = 100;

/// How many of `total` requests fail when each does with probability `share`.
fn errors(random: &mut Random, total: u64, share: f64) -> u64 {
    // From one error to the next, rather than request by request.
    let mut at = 0u64;
    let mut errors = 0;
    loop {
        let gap = ((1.0 - random.share()).ln() / (1.0 - share).ln()).floor();
        at = at.saturating_add(gap as u64).saturating_add(1);
        if at > total {
            return errors;
        }
        errors += 1;
    }
}

fn rules(every: u64) -> (MetricRule, WatchRule) {
    let rule = MetricRule {
        criteria: vec![Criterion::parse("error_rate", "> 1%").unwrap()],
        trips: vec![Criterion::parse("error_rate", "> 20%").unwrap()],
        baseline: Baseline::Before,
        confidence: 0.95,
        persist: 2,
        min_requests: 100,
        judge: Judge::Bounds,
        extend: None,
    };
    let watch = WatchRule {
        window: Duration::from_secs(WINDOW),
        every: Duration::from_secs(every),
        tolerate: 0,
        early_stop: true,
        coverage: 50,
    };
    (rule, watch)
}

/// A watch of a release whose errors are `share` from second `from` on, and 0.1 % before.
fn watched(seed: u64, every: u64, share: f64, from: u64) -> Replayed {
    let mut random = Random::new(seed);
    let (rule, watch) = rules(every);
    let looks = WINDOW / every;
    let rounds: Vec<(Timestamp, Vec<Sample>)> = (1..=looks)
        .map(|look| {
            let share = if look * every > from { share } else { 0.001 };
            let total = PER_SECOND * every;
            let bad = errors(&mut random, total, share);
            let at = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(i64::try_from(look * every).unwrap());
            let reading = Some(Reading::Rate { bad: bad as f64, total: total as f64 });
            let sample =
                Sample { reading, at: Some(at), ..Sample::of_probe("error_rate", Seen::Measured, "") };
            (at, vec![sample])
        })
        .collect();
    replay(&rule, &watch, &rounds, looks, seed)
}

#[test]
fn of_a_thousand_clean_watches_none_is_rolled_back_and_all_pass() {
    for (watches, every) in [(500u64, 10u64), (250, 15), (250, 30)] {
        for seed in 0..watches {
            let told = watched(seed * 31 + every, every, 0.001, 0);
            assert_eq!(told.judgement.verdict, Verdict::Pass, "seed {seed}: {}", told.judgement.why);
        }
    }
}

#[test]
fn a_release_with_five_percent_errors_is_caught_within_three_looks() {
    for (every, from) in [(10, 0), (30, 0), (5, 0), (10, 1200)] {
        let mut slowest = 0;
        for seed in 0..100 {
            let told = watched(seed, every, 0.05, from);
            let look = told.stopped_at.unwrap_or_else(|| panic!("not caught: {}", told.judgement.why));
            let seconds = (look as u64 + 1) * every - from;
            slowest = slowest.max(seconds);
        }
        assert!(slowest <= 3 * every, "{slowest} s with a look every {every} s");
    }
}

#[test]
fn a_release_at_its_limit_is_stopped_no_more_often_than_the_level_says() {
    let stopped =
        (0..200).filter(|seed| watched(*seed, 30, 0.01, 0).judgement.verdict == Verdict::Fail).count();
    assert!(stopped <= 10, "{stopped} of 200 at a level of 5 %");
    // And it does not pass by itself either.
    let passed =
        (0..200).filter(|seed| watched(*seed, 30, 0.01, 0).judgement.verdict == Verdict::Pass).count();
    assert!(passed <= 20, "{passed} of 200");
}

#[test]
fn silence_never_passes() {
    let (rule, watch) = rules(30);
    for missing in [1.0, 0.9, 0.6] {
        for seed in 0..50 {
            let mut random = Random::new(seed);
            let rounds: Vec<(Timestamp, Vec<Sample>)> = (1..=60)
                .map(|look| {
                    let at = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(look * 30);
                    let reading =
                        (random.share() >= missing).then_some(Reading::Rate { bad: 0.0, total: 3000.0 });
                    let seen = if reading.is_some() { Seen::Measured } else { Seen::Nothing };
                    let sample =
                        Sample { reading, at: Some(at), ..Sample::of_probe("error_rate", seen, "down") };
                    (at, vec![sample])
                })
                .collect();
            let told = replay(&rule, &watch, &rounds, 60, 1);
            let looks =
                rounds.iter().flat_map(|(_, samples)| samples).filter(|sample| sample.reading.is_some());
            if looks.count() < 30 {
                assert!(
                    matches!(told.judgement.verdict, Verdict::NoData | Verdict::Inconclusive),
                    "{}: {}",
                    told.judgement.verdict.name(),
                    told.judgement.why
                );
            }
        }
    }
}
