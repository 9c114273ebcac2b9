//! Tests of the judge: tables of what was measured against what it comes to.

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::*;

const EVERY: i64 = 10;

fn watch(looks: u64) -> WatchRule {
    WatchRule {
        window: Duration::from_secs(EVERY.unsigned_abs() * looks),
        every: Duration::from_secs(EVERY.unsigned_abs()),
        tolerate: 0,
        early_stop: true,
        coverage: 50,
    }
}

fn rule(criteria: &[(&str, &str)]) -> MetricRule {
    let criteria = criteria.iter().map(|(metric, text)| Criterion::parse(metric, text).unwrap()).collect();
    MetricRule {
        criteria,
        trips: Vec::new(),
        baseline: Baseline::Before,
        confidence: 0.95,
        persist: 2,
        min_requests: 100,
        judge: Judge::Bounds,
        extend: None,
    }
}

fn at(look: usize) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(EVERY * i64::try_from(look).unwrap())
}

fn sample(metric: &str, look: usize, reading: Option<Reading>) -> Sample {
    let seen = if reading.is_some() { Seen::Measured } else { Seen::Nothing };
    Sample { reading, at: Some(at(look)), ..Sample::of_probe(metric, seen, "no answer") }
}

fn series(metric: &str, readings: impl IntoIterator<Item = Option<Reading>>) -> Vec<Sample> {
    readings.into_iter().enumerate().map(|(look, reading)| sample(metric, look + 1, reading)).collect()
}

fn before(metric: &str, readings: impl IntoIterator<Item = Reading>) -> Vec<Sample> {
    let readings = readings.into_iter().map(Some);
    series(metric, readings).into_iter().map(|sample| Sample { baseline: true, ..sample }).collect()
}

fn rate(bad: f64, total: f64) -> Reading {
    Reading::Rate { bad, total }
}

/// Times around `middle`: as many below it as above, few twice as long.
fn times(middle: f64) -> Reading {
    let bounds: Vec<f64> = (1..=60).map(|step| f64::from(step) * 0.025).collect();
    let mut counts = vec![0.0; bounds.len() + 1];
    for (part, count) in [(0.5, 20.0), (0.8, 50.0), (1.2, 50.0), (1.9, 10.0)] {
        let place = bounds.iter().position(|bound| part * middle <= *bound).unwrap_or(bounds.len());
        counts[place] += count;
    }
    Reading::Buckets(Histogram { bounds, counts })
}

fn end(looks: u64) -> Moment {
    Moment::End { planned: looks, at: at(usize::try_from(looks).unwrap()) }
}

fn verdict(rule: &MetricRule, looks: u64, samples: &[Sample]) -> (Verdict, String) {
    let judgement = metrics(rule, &watch(looks), samples, end(looks), 1);
    (judgement.verdict, judgement.why)
}

#[test]
fn shares_are_judged_by_how_much_was_seen() {
    for (bad, total, expect) in [
        // Twenty looks of so many requests each.
        (0.0, 13.0, Verdict::Inconclusive),
        (0.0, 14.0, Verdict::Pass),
        (0.0, 4.0, Verdict::Inconclusive),
        (0.0, 0.0, Verdict::NoData),
        (1.0, 1000.0, Verdict::Pass),
        (10.0, 1000.0, Verdict::Inconclusive),
        (50.0, 1000.0, Verdict::Fail),
    ] {
        let samples = series("error_rate", vec![Some(rate(bad, total)); 20]);
        let (found, why) = verdict(&rule(&[("error_rate", "> 1%")]), 20, &samples);
        assert_eq!(found, expect, "{bad}/{total}: {why}");
        // The same, said of what is good.
        let samples = series("success", vec![Some(rate(total - bad, total)); 20]);
        let (found, why) = verdict(&rule(&[("success", "< 99%")]), 20, &samples);
        assert_eq!(found, expect, "{bad}/{total}: {why}");
    }
}

#[test]
fn silence_and_nonsense_never_pass() {
    let share = rule(&[("error_rate", "> 1%")]);
    let good = || Some(rate(0.0, 1000.0));
    for (case, readings, expect) in [
        ("nothing at all", vec![], Verdict::NoData),
        ("no answer ever", vec![None; 20], Verdict::NoData),
        ("too few looks", [vec![good(); 9], vec![None; 11]].concat(), Verdict::Inconclusive),
        ("silent at the end", [vec![good(); 15], vec![None; 5]].concat(), Verdict::Inconclusive),
        ("a gap in the middle", [vec![good(); 8], vec![None; 4], vec![good(); 8]].concat(), Verdict::Pass),
        ("numbers without counts", vec![Some(Reading::Number(0.001)); 20], Verdict::Pass),
        ("times for a share", vec![Some(times(0.1)); 20], Verdict::NoData),
    ] {
        let (found, why) = verdict(&share, 20, &series("error_rate", readings));
        assert_eq!(found, expect, "{case}: {why}");
    }
    let named = series("eror_rate", vec![good(); 20]);
    assert_eq!(verdict(&share, 20, &named).0, Verdict::NoData, "a query of another name");
    let (found, why) = verdict(&rule(&[("error_rate", "> 2x")]), 20, &series("error_rate", vec![good(); 20]));
    assert_eq!(found, Verdict::NoData, "{why}");
    assert_eq!(verdict(&rule(&[]), 20, &series("error_rate", vec![good(); 20])).0, Verdict::NoData);
    // The worst counts.
    let two = rule(&[("error_rate", "> 1%"), ("other", "> 1%")]);
    assert_eq!(verdict(&two, 20, &series("error_rate", vec![good(); 20])).0, Verdict::NoData);
}

#[test]
fn times_are_judged_against_a_limit_and_against_before() {
    let relative = rule(&[("latency_p95", "> 2x")]);
    let floored = rule(&[("latency_p95", "> 2x, at least 50ms")]);
    let ranks = MetricRule { judge: Judge::MannWhitney, ..relative.clone() };
    let absolute = rule(&[("latency_p95", "> 500ms")]);
    for (case, rule, middle, base, expect) in [
        ("fast enough", &absolute, 0.1, 0.1, Verdict::Pass),
        ("too slow", &absolute, 0.4, 0.4, Verdict::Fail),
        ("beyond the last bucket", &rule_of("> 2s"), 0.1, 0.1, Verdict::NoData),
        ("as before", &relative, 0.1, 0.1, Verdict::Pass),
        ("three times", &relative, 0.3, 0.1, Verdict::Fail),
        ("one and a half times", &relative, 0.15, 0.1, Verdict::Pass),
        ("three times, but small", &floored, 0.0375, 0.0125, Verdict::Pass),
        ("three times and large", &floored, 0.3, 0.1, Verdict::Fail),
        ("off every bucket", &relative, 2.0, 0.1, Verdict::Fail),
        ("off every bucket before", &relative, 0.1, 2.0, Verdict::Inconclusive),
        ("ranks as before", &ranks, 0.1, 0.1, Verdict::Pass),
        ("ranks three times", &ranks, 0.3, 0.1, Verdict::Fail),
    ] {
        let mut samples = before("latency_p95", vec![times(base); 30]);
        samples.extend(series(
            "latency_p95",
            (0..20).map(|look| {
                // Some noise: looks are never all the same.
                Some(times(middle * (1.0 + 0.02 * f64::from(look % 3))))
            }),
        ));
        let (found, why) = verdict(rule, 20, &samples);
        assert_eq!(found, expect, "{case}: {why}");
    }
    let few = [before("latency_p95", vec![times(0.1); 3]), series("latency_p95", vec![Some(times(0.3)); 20])]
        .concat();
    assert_eq!(verdict(&relative, 20, &few).0, Verdict::Inconclusive);
}

fn rule_of(text: &str) -> MetricRule {
    rule(&[("latency_p95", text)])
}

#[test]
fn a_number_is_bad_when_it_stays_bad() {
    let number = |value: f64| Some(Reading::Number(value));
    let make = |values: &[f64]| series("checkout_failures", values.iter().map(|value| number(*value)));
    for (values, text, expect) in [
        (&[0.0, 1.0, 0.0, 2.0][..], "> 5", Verdict::Pass),
        (&[0.0, 6.0, 0.0, 2.0], "> 5", Verdict::Pass),
        (&[0.0, 6.0, 7.0, 2.0], "> 5", Verdict::Fail),
        (&[0.0, 0.0, 0.0, 6.0], "> 5", Verdict::Inconclusive),
        (&[5.0, 5.0, 5.0, 5.0], "> 5", Verdict::Pass),
        (&[5.0, 5.0, 5.0, 5.0], ">= 5", Verdict::Fail),
        (&[9.0, 9.0, 3.0, 2.0], "< 5", Verdict::Fail),
    ] {
        let (found, why) = verdict(&rule(&[("checkout_failures", text)]), 4, &make(values));
        assert_eq!(found, expect, "{values:?} {text}: {why}");
    }
    // One look is enough for what trips.
    let mut rule = rule(&[("checkout_failures", "> 100")]);
    rule.trips = vec![Criterion::parse("checkout_failures", ">= 6").unwrap()];
    let judgement = metrics(&rule, &watch(4), &make(&[0.0, 6.0]), Moment::Look, 1);
    assert_eq!(judgement.verdict, Verdict::Fail, "{judgement:?}");
    assert_eq!(metrics(&rule, &watch(4), &make(&[0.0, 5.0]), Moment::Look, 1).verdict, Verdict::Inconclusive);
}

#[test]
fn trouble_is_seen_soon_and_also_when_it_comes_late() {
    let rule = rule(&[("error_rate", "> 1%")]);
    let stopped = |readings: Vec<Reading>| {
        let planned = readings.len() as u64;
        let rounds: Vec<(Timestamp, Vec<Sample>)> = readings
            .into_iter()
            .enumerate()
            .map(|(look, reading)| (at(look + 1), vec![sample("error_rate", look + 1, Some(reading))]))
            .collect();
        replay::replay(&rule, &watch(planned), &rounds, planned, 1)
    };
    let (clean, bad) = (rate(1.0, 1000.0), rate(50.0, 1000.0));
    assert_eq!(stopped(vec![bad.clone(); 180]).stopped_at, Some(1));
    let late = stopped([vec![clean.clone(); 170], vec![bad.clone(); 10]].concat());
    assert_eq!(late.stopped_at, Some(171), "{late:?}");
    assert!(late.judgement.why.contains("since look 171"), "{}", late.judgement.why);
    assert_eq!(stopped(vec![clean.clone(); 180]).judgement.verdict, Verdict::Pass);
    // A hiccup of one look does not persist, and is too little to fail at the end.
    let blip = stopped([vec![clean.clone(); 5], vec![bad], vec![clean; 174]].concat());
    assert_eq!((blip.stopped_at, blip.judgement.verdict), (None, Verdict::Pass), "{blip:?}");
}

#[test]
fn a_share_is_compared_with_before() {
    let rule = rule(&[("error_rate", "> 2x, at least 0.5%")]);
    for (own, base, expect) in [
        (1.0, 1.0, Verdict::Pass),
        (60.0, 10.0, Verdict::Fail),
        (3.0, 0.0, Verdict::Pass),
        (12.0, 10.0, Verdict::Pass),
    ] {
        let samples = [
            before("error_rate", vec![rate(base, 1000.0); 20]),
            series("error_rate", vec![Some(rate(own, 1000.0)); 20]),
        ]
        .concat();
        let (found, why) = verdict(&rule, 20, &samples);
        assert_eq!(found, expect, "{own} against {base}: {why}");
    }
    let users = rule_users();
    for (own, expect) in [(100.0, Verdict::Pass), (20.0, Verdict::Fail)] {
        let number = |value: f64| Reading::Number(value);
        let samples = [
            before("active_users", (0..20).map(|look| number(100.0 + f64::from(look % 5)))),
            series("active_users", (0..20).map(|look| Some(number(own + f64::from(look % 3))))),
        ]
        .concat();
        let (found, why) = verdict(&users, 20, &samples);
        assert_eq!(found, expect, "{why}");
    }
}

fn rule_users() -> MetricRule {
    rule(&[("active_users", "< 0.5x")])
}

#[test]
fn verdicts_are_explained() {
    let mut told = String::new();
    for (rule, samples) in [
        (rule(&[("error_rate", "> 1%")]), series("error_rate", vec![Some(rate(1.0, 1000.0)); 20])),
        (rule(&[("error_rate", "> 1%")]), series("error_rate", vec![Some(rate(50.0, 1000.0)); 20])),
        (rule(&[("error_rate", "> 1%")]), series("error_rate", vec![Some(rate(10.0, 1000.0)); 20])),
        (rule(&[("latency_p95", "> 500ms")]), series("latency_p95", vec![Some(times(0.1)); 20])),
        (
            rule(&[("latency_p95", "> 2x")]),
            [before("latency_p95", vec![times(0.1); 20]), series("latency_p95", vec![Some(times(0.3)); 20])]
                .concat(),
        ),
        (rule(&[("restarts", "> 2")]), series("restarts", vec![Some(Reading::Number(0.0)); 20])),
    ] {
        let judgement = metrics(&rule, &watch(20), &samples, end(20), 1);
        told.push_str(&format!("{}: {}\n", judgement.verdict.name(), judgement.why));
    }
    insta::assert_snapshot!(told);
}

fn any_reading() -> impl Strategy<Value = Option<Reading>> {
    let number = any::<f64>().prop_map(|number| Reading::Number(number).checked().ok());
    let rate = (0.0f64..1e9, 0.0f64..=1.0)
        .prop_map(|(total, part)| Reading::Rate { bad: total * part, total }.checked().ok());
    let buckets = prop::collection::vec(0.0f64..1e6, 4).prop_map(|counts| {
        Reading::Buckets(Histogram { bounds: vec![0.1, 0.5, 1.0], counts }).checked().ok()
    });
    prop_oneof![number, rate, buckets, Just(None)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn any_measurements_are_judged_and_silence_never_passes(
        own in prop::collection::vec(any_reading(), 0..30),
        other in prop::collection::vec(any_reading(), 0..10),
        text in prop_oneof![Just("> 1%"), Just("< 99%"), Just("> 2x"), Just("< 0.5x, at least 1"), Just("> 500ms"), Just("> 5")],
        ranks in any::<bool>(),
    ) {
        let mut rule = rule(&[("m_p95", text)]);
        if ranks { rule.judge = Judge::MannWhitney }
        let mut samples = before("m_p95", other.into_iter().flatten());
        samples.extend(series("m_p95", own.clone()));
        for moment in [Moment::Look, end(30)] {
            let judgement = metrics(&rule, &watch(30), &samples, moment, 1);
            let looks = own.iter().flatten().count();
            if looks < 15 {
                prop_assert!(judgement.verdict != Verdict::Pass, "{judgement:?}");
            }
            if moment == Moment::Look {
                prop_assert!(judgement.verdict != Verdict::Pass, "{judgement:?}");
            }
            // What is judged is kept as JSON, which has no NaN.
            let json = serde_json::to_string(&judgement).unwrap();
            prop_assert_eq!(serde_json::from_str::<Judgement>(&json).unwrap().verdict, judgement.verdict);
            for number in judgement.criteria.iter().flat_map(|found| [found.low, found.high, found.estimate, found.threshold, found.baseline]).flatten() {
                prop_assert!(number.is_finite(), "{judgement:?}");
            }
        }
    }
}

#[test]
fn as_many_requests_as_a_pass_takes_are_enough() {
    for (criterion, least, expect) in
        [("> 1%", 100, 335), ("> 10%", 100, 100), ("> 0.1%", 100, 3379), ("> 1%", 1000, 1000)]
    {
        let criteria = vec![Criterion::parse("error_rate", criterion).unwrap()];
        let rule = MetricRule { min_requests: least, criteria, ..rule(&[]) };
        let enough = rule.enough();
        assert_eq!(enough.ceil() as u64, expect, "{criterion}");
        assert!(bounds::wilson(0.0, enough, rule.confidence).1 <= criterion_limit(criterion), "{criterion}");
    }
}

fn criterion_limit(text: &str) -> f64 {
    text.trim_start_matches("> ").trim_end_matches('%').parse::<f64>().unwrap() / 100.0
}
