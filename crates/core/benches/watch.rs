//! `cargo bench -p windlass-core --bench watch`: the same simulated releases judged by Windlass and by the published
//! rules of Argo Rollouts, Flagger and Kayenta: false rollbacks, missed bad releases, time to detection.
//!
//! The rules of the peers are written anew from their documentation, with the values their examples have where a team
//! must choose:
//! - Argo Rollouts, <https://argo-rollouts.readthedocs.io/en/stable/features/analysis/>: a measurement each minute
//!   over the last minute, `successCondition: result[0] <= 0.01`, `failureLimit: 3`: the fourth failed measurement
//!   aborts. An empty result is an error; more than four in a row (`consecutiveErrorLimit`) abort.
//! - Flagger, <https://docs.flagger.app/usage/metrics> and <https://docs.flagger.app/usage/how-it-works>: a check each
//!   minute over the last minute, `request-success-rate` of at least 99, `threshold: 5`: the fifth failed check rolls
//!   back. A check without values is a failed check.
//! - Kayenta, <https://spinnaker.io/docs/guides/user/canary/> and the judge's source: each ten minutes the minutes so
//!   far are compared with a baseline of the old version by the Mann-Whitney test (confidence 0.98, tolerance 0.25);
//!   classified as high, the score is 0 and the canary fails. Without data nothing is classified, and it passes.

#![allow(clippy::print_stdout, reason = "a measurement is what it prints")]

use jiff::{SignedDuration, Timestamp};
use windlass_core::duration::Duration;
use windlass_core::verdict::bootstrap::Random;
use windlass_core::verdict::replay::replay;
use windlass_core::verdict::{
    Baseline, Criterion, Judge, MetricRule, Reading, Sample, Seen, Verdict, WatchRule, mann_whitney,
};

const WINDOW: usize = 1800;

/// What a release does at one second.
#[derive(Clone, Copy, Default)]
struct Second {
    total: f64,
    bad: f64,
}

/// A kind of release.
struct Scenario {
    name: &'static str,
    /// Requests each second.
    rate: f64,
    /// The share of errors at a second.
    errors: fn(usize) -> f64,
    /// The second from which it is bad; never when it is good.
    bad_from: Option<usize>,
    /// Whether it is silent: then nothing may pass it, and nothing should roll it back.
    silent: bool,
    releases: u64,
}

const SCENARIOS: [Scenario; 8] = [
    Scenario {
        name: "clean: 0.1 % errors, 100 req/s",
        rate: 100.0,
        errors: |_| 0.001,
        bad_from: None,
        silent: false,
        releases: 1000,
    },
    Scenario {
        name: "clean: 0.5 % errors, 20 req/s",
        rate: 20.0,
        errors: |_| 0.005,
        bad_from: None,
        silent: false,
        releases: 1000,
    },
    Scenario {
        name: "clean: 0.1 % errors, 1 req/s",
        rate: 1.0,
        errors: |_| 0.001,
        bad_from: None,
        silent: false,
        releases: 1000,
    },
    Scenario {
        name: "clean but for 10 s of 10 % errors at the start",
        rate: 100.0,
        errors: |second| if second < 10 { 0.1 } else { 0.001 },
        bad_from: None,
        silent: false,
        releases: 1000,
    },
    Scenario {
        name: "bad: 5 % errors, 100 req/s",
        rate: 100.0,
        errors: |_| 0.05,
        bad_from: Some(0),
        silent: false,
        releases: 1000,
    },
    Scenario {
        name: "bad: 2 % errors, 20 req/s",
        rate: 20.0,
        errors: |_| 0.02,
        bad_from: Some(0),
        silent: false,
        releases: 1000,
    },
    Scenario {
        name: "bad late: 5 % errors from minute 25",
        rate: 100.0,
        errors: |second| if second < 1500 { 0.001 } else { 0.05 },
        bad_from: Some(1500),
        silent: false,
        releases: 1000,
    },
    Scenario {
        name: "silent: the metrics are gone",
        rate: 0.0,
        errors: |_| 0.0,
        bad_from: None,
        silent: true,
        releases: 1,
    },
];

/// What a judge did.
enum Outcome {
    /// Rolled back after so many seconds.
    Stopped(usize),
    Passed,
    /// A person is asked.
    Asked,
}

type Judged = fn(&[Second], &[Second], bool) -> Outcome;

fn main() {
    let judges: [(&str, Judged); 5] = [
        ("Windlass, every 10 s", |release, _, silent| windlass(release, silent, 10)),
        ("Windlass, every 30 s", |release, _, silent| windlass(release, silent, 30)),
        ("Argo Rollouts", |release, _, silent| argo(release, silent)),
        ("Flagger", |release, _, silent| flagger(release, silent)),
        ("Kayenta", kayenta),
    ];
    println!(
        "| releases | judge | rolled back | passed | a person is asked | seconds to detection: median, worst |"
    );
    println!("|---|---|---|---|---|---|");
    for scenario in &SCENARIOS {
        for (name, judge) in &judges {
            let (mut stopped, mut passed, mut asked) = (Vec::new(), 0u64, 0u64);
            for seed in 0..scenario.releases {
                let mut random = Random::new(seed * 2 + 1);
                let release = simulate(scenario.rate, scenario.errors, &mut random);
                // The version before is as a clean release is: what is no news must not be held against it.
                let is_steady = scenario.bad_from.is_none() && (scenario.errors)(0) <= (scenario.errors)(100);
                let before = if is_steady { scenario.errors } else { |_| 0.001 };
                let baseline = simulate(scenario.rate, before, &mut random);
                match judge(&release, &baseline, scenario.silent) {
                    // What is stopped before it is bad was stopped by mistake, and counts as that by its time.
                    Outcome::Stopped(at) => stopped.push(at),
                    Outcome::Passed => passed += 1,
                    Outcome::Asked => asked += 1,
                }
            }
            stopped.sort_unstable();
            let count = stopped.len();
            let time = match (scenario.bad_from, stopped.get(count / 2), stopped.last()) {
                (Some(from), Some(median), Some(worst)) => {
                    format!("{}, {}", median.saturating_sub(from), worst.saturating_sub(from))
                }
                _ => String::new(),
            };
            println!("| {} | {name} | {count} | {passed} | {asked} | {time} |", scenario.name);
        }
    }
}

fn simulate(rate: f64, errors: fn(usize) -> f64, random: &mut Random) -> Vec<Second> {
    (0..WINDOW)
        .map(|second| {
            // Much traffic is even; little comes when it comes.
            let total = if rate >= 20.0 { rate } else { poisson(rate, random) };
            Second { total, bad: failed(total, errors(second), random) }
        })
        .collect()
}

/// How many of `total` requests fail when each does with probability `share`: from one failure to the next.
fn failed(total: f64, share: f64, random: &mut Random) -> f64 {
    let (mut at, mut failed) = (0.0, 0.0);
    if share <= 0.0 {
        return failed;
    }
    loop {
        at += ((1.0 - random.share()).ln() / (1.0 - share).ln()).floor() + 1.0;
        if at.is_nan() || at > total {
            return failed;
        }
        failed += 1.0;
    }
}

/// Knuth's, for small means.
fn poisson(mean: f64, random: &mut Random) -> f64 {
    let (end, mut product, mut count) = ((-mean).exp(), random.share(), 0.0);
    while product > end {
        product *= random.share();
        count += 1.0;
    }
    count
}

fn sum(seconds: &[Second]) -> Second {
    seconds.iter().fold(Second::default(), |sum, second| Second {
        total: sum.total + second.total,
        bad: sum.bad + second.bad,
    })
}

fn windlass(release: &[Second], silent: bool, every: usize) -> Outcome {
    let (Ok(soft), Ok(hard)) =
        (Criterion::parse("error_rate", "> 1%"), Criterion::parse("error_rate", "> 20%"))
    else {
        return Outcome::Asked;
    };
    let rule = MetricRule {
        criteria: vec![soft],
        trips: vec![hard],
        baseline: Baseline::Before,
        confidence: 0.95,
        persist: 2,
        min_requests: 100,
        judge: Judge::Bounds,
        extend: None,
    };
    let watch = WatchRule {
        window: Duration::from_secs(WINDOW as u64),
        every: Duration::from_secs(every as u64),
        tolerate: 0,
        early_stop: true,
        coverage: 50,
    };
    let rounds: Vec<(Timestamp, Vec<Sample>)> = release
        .chunks(every)
        .zip(1i64..)
        .map(|(seconds, look)| {
            let at = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(look * every as i64);
            let Second { total, bad } = sum(seconds);
            let reading = (!silent).then_some(Reading::Rate { bad, total });
            let seen = if silent { Seen::Nothing } else { Seen::Measured };
            (at, vec![Sample { reading, at: Some(at), ..Sample::of_probe("error_rate", seen, "") }])
        })
        .collect();
    let told = replay(&rule, &watch, &rounds, rounds.len() as u64, 1);
    match (told.judgement.verdict, told.stopped_at) {
        (Verdict::Fail, look) => Outcome::Stopped(look.map_or(WINDOW, |look| (look + 1) * every)),
        (Verdict::Pass, _) => Outcome::Passed,
        (Verdict::Inconclusive | Verdict::NoData, _) => Outcome::Asked,
    }
}

fn argo(release: &[Second], silent: bool) -> Outcome {
    let (mut failed, mut errors) = (0, 0);
    for (minute, seconds) in release.chunks(60).enumerate() {
        let Second { total, bad } = sum(seconds);
        if silent {
            errors += 1;
        } else {
            errors = 0;
            // A minute without requests divides by nothing: NaN meets no condition.
            failed += u32::from(total == 0.0 || bad / total > 0.01);
        }
        if failed > 3 || errors > 4 {
            return Outcome::Stopped((minute + 1) * 60);
        }
    }
    Outcome::Passed
}

fn flagger(release: &[Second], silent: bool) -> Outcome {
    let mut failed = 0;
    for (minute, seconds) in release.chunks(60).enumerate() {
        let Second { total, bad } = sum(seconds);
        failed += u32::from(silent || total == 0.0 || 100.0 - 100.0 * bad / total < 99.0);
        if failed >= 5 {
            return Outcome::Stopped((minute + 1) * 60);
        }
    }
    Outcome::Passed
}

fn kayenta(release: &[Second], baseline: &[Second], silent: bool) -> Outcome {
    if silent {
        return Outcome::Passed;
    }
    let minutes = |seconds: &[Second]| -> Vec<f64> {
        let shares = seconds.chunks(60).map(sum).filter(|minute| minute.total > 0.0);
        shares.map(|minute| minute.bad / minute.total).collect()
    };
    for end in [600, 1200, WINDOW] {
        let (own, other) = (
            minutes(release.get(..end).unwrap_or_default()),
            minutes(baseline.get(..end).unwrap_or_default()),
        );
        let shift = mann_whitney::shift(&own, &other, mann_whitney::CONFIDENCE);
        if own != other
            && shift.is_some_and(|shift| mann_whitney::classify(shift, mann_whitney::TOLERANCE) == Some(true))
        {
            return Outcome::Stopped(end);
        }
    }
    Outcome::Passed
}
