//! Judges what queries measured against criteria: at every look whether it is bad already, at the end what it came to.
//!
//! The level (1 - confidence) is divided among the criteria; each one's is divided again, half for all looks on the
//! way together and half for the one at the end, so that a release at its limits is stopped by mistake no more often
//! than the level says. A pass is decided once, at the end, at the whole confidence.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::bootstrap::{self, Ratio};
use super::words::{Unit, count, plural};
use super::{
    Comparison, Criterion, Finding, Histogram, Judgement, Limit, Reading, Sample, Verdict, WatchRule, bounds,
    mann_whitney,
};
use crate::duration::Duration;

/// Fewer looks than this on either side give no ratio.
const LEAST_LOOKS: usize = 5;
/// Fewer looks than this on either side give no ranks.
const LEAST_RANKS: usize = 8;
/// How many of the last looks a trouble may have begun at; and at the first one.
const MOST_BEGINNINGS: usize = 240;
/// A ratio's trouble may have begun at every so many looks.
const BEGINNINGS: usize = 10;

/// How metrics are judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MetricRule {
    /// When the release is bad.
    pub criteria: Vec<Criterion>,
    /// When it is so bad that one look is enough.
    pub trips: Vec<Criterion>,
    /// What the release is compared with.
    pub baseline: Baseline,
    /// How sure a verdict must be, as a share.
    pub confidence: f64,
    /// How many looks one after another must be bad.
    pub persist: u32,
    /// Fewer requests than this say nothing.
    pub min_requests: u64,
    /// How the release is compared with its baseline.
    pub judge: Judge,
    /// How much longer to watch while there is too little to tell.
    pub extend: Option<Duration>,
}

impl MetricRule {
    /// How many requests a pass takes when none of them fails, and a fourth more: fewer leave room for a bad release
    /// within the Wilson bound, whose upper end at none of `n` is `z² / (n + z²)`.
    pub fn enough(&self) -> f64 {
        let squared = bounds::normal_quantile(self.confidence).powi(2);
        let needed = self.criteria.iter().filter_map(|criterion| match criterion.limit {
            Limit::Share(limit) if limit > 0.0 => Some(1.25 * squared * (1.0 - limit) / limit),
            _ => None,
        });
        needed.fold(self.min_requests as f64, f64::max)
    }
}

/// What a release is compared with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Baseline {
    /// The window of the same length before the run began.
    Before,
    /// The version before, which serves at the same time: what stands for `$side` in the queries.
    Concurrent {
        /// For the release.
        release: String,
        /// For the version before.
        previous: String,
    },
}

/// How a release is compared with its baseline.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Judge {
    /// Confidence bounds of the ratio.
    #[default]
    Bounds,
    /// The Mann-Whitney test over looks, as Kayenta does it; only at the end.
    MannWhitney,
}

/// When a verdict is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// After some look: bad already, or not yet known.
    Look,
    /// After so many looks, the last.
    End {
        /// How many looks there should have been.
        planned: u64,
        /// When it ended.
        at: Timestamp,
    },
}

/// The verdict of all criteria on `samples`. `seed` is where the bootstrap begins.
pub fn metrics(
    rule: &MetricRule,
    watch: &WatchRule,
    samples: &[Sample],
    moment: Moment,
    seed: u64,
) -> Judgement {
    let level = (1.0 - rule.confidence) / (rule.criteria.len() + rule.trips.len()).max(1) as f64;
    let judged = |criterion: &Criterion, persist: usize| {
        Case {
            rule,
            watch,
            criterion,
            moment,
            seed,
            level,
            persist,
            series: Series::of(samples, &criterion.metric),
        }
        .judge()
    };
    let trips = rule.trips.iter().map(|criterion| judged(criterion, 1));
    let mut criteria: Vec<Finding> = trips.filter(|finding| finding.verdict == Verdict::Fail).collect();
    let persist = (rule.persist as usize).max(1);
    criteria.extend(rule.criteria.iter().map(|criterion| judged(criterion, persist)));
    let Some(verdict) = criteria.iter().map(|finding| finding.verdict).max() else {
        return Judgement::new(Verdict::NoData, "no metric was watched");
    };
    let why: Vec<&str> = criteria
        .iter()
        .filter(|finding| finding.verdict == verdict)
        .map(|finding| finding.why.as_str())
        .collect();
    Judgement { verdict, why: why.join("; "), criteria }
}

/// What was measured for one query, in the order it was.
struct Series<'a> {
    release: Vec<&'a Reading>,
    baseline: Vec<&'a Reading>,
    /// When the last reading of the release was taken.
    last: Option<Timestamp>,
    /// Why the last look without a reading has none.
    silence: Option<&'a str>,
}

impl<'a> Series<'a> {
    fn of(samples: &'a [Sample], metric: &str) -> Self {
        let mut series = Self { release: Vec::new(), baseline: Vec::new(), last: None, silence: None };
        for sample in samples.iter().filter(|sample| sample.probe == metric) {
            match (&sample.reading, sample.baseline) {
                (Some(reading), true) => series.baseline.push(reading),
                (Some(reading), false) => {
                    series.release.push(reading);
                    series.last = sample.at.or(series.last);
                }
                (None, _) => series.silence = Some(&sample.detail),
            }
        }
        series
    }
}

/// One criterion at one moment.
struct Case<'a> {
    rule: &'a MetricRule,
    watch: &'a WatchRule,
    criterion: &'a Criterion,
    moment: Moment,
    seed: u64,
    /// The level this criterion may use.
    level: f64,
    persist: usize,
    series: Series<'a>,
}

impl Case<'_> {
    fn judge(&self) -> Finding {
        let metric = &self.criterion.metric;
        let Some(first) = self.series.release.first() else {
            let why = match self.series.silence {
                Some(why) => format!("{metric} saw nothing: {why}"),
                None => format!("{metric} saw nothing"),
            };
            return self.finding(Verdict::NoData, why);
        };
        if self.criterion.is_relative() && self.series.baseline.is_empty() {
            let why = match self.series.silence {
                Some(why) => format!("{metric} has nothing to be compared with: {why}"),
                None => format!("{metric} has nothing to be compared with"),
            };
            return self.finding(Verdict::NoData, why);
        }
        let above = self.criterion.comparison.is_above();
        match (first, self.criterion.limit) {
            (Reading::Rate { .. }, Limit::Share(limit)) => {
                let (looks, limit) = self.turned(rates(&self.series.release), limit);
                self.share(&looks, limit, self.level / 2.0, Unit::Share, None)
            }
            (Reading::Buckets(histogram), Limit::Seconds(limit))
                if histogram.bounds.last().is_none_or(|last| limit > *last) =>
            {
                let last = histogram.bounds.last().copied().unwrap_or_default();
                let why = format!(
                    "{metric}: the histogram's last bucket ends at {}, so nobody knows how many are above {}",
                    Unit::Seconds.shown(last),
                    Unit::Seconds.shown(limit)
                );
                self.finding(Verdict::NoData, why)
            }
            (Reading::Buckets(_), Limit::Seconds(limit)) => {
                // A quantile is above a time when more than the rest of the requests take longer.
                let slower = slower(&self.series.release, limit);
                let rest = 1.0 - self.criterion.quantile();
                let (looks, rest) = self.turned(slower, if above { rest } else { rest.min(1.0) });
                self.share(&looks, rest, self.level / 2.0, Unit::Seconds, None)
            }
            (_, Limit::Times(times)) if self.rule.judge == Judge::MannWhitney => self.ranks(times),
            (Reading::Rate { .. }, Limit::Times(times)) => self.share_of_baseline(times),
            (Reading::Number(_) | Reading::Buckets(_), Limit::Times(times)) => self.ratio(times),
            (Reading::Number(_), Limit::Number(limit) | Limit::Share(limit) | Limit::Seconds(limit)) => {
                self.number(limit)
            }
            (reading, _) => {
                let (what, limit) = match reading {
                    Reading::Rate { .. } => ("a share of requests", "`> 1%` or `> 2x`"),
                    _ => ("response times", "`> 500ms` or `> 2x`"),
                };
                let text = &self.criterion.text;
                let why =
                    format!("{metric} measures {what}, which `{text}` cannot be held against: write {limit}");
                self.finding(Verdict::NoData, why)
            }
        }
    }

    /// A share against a limit, bad above it.
    fn share(
        &self,
        looks: &[(f64, f64)],
        limit: f64,
        level: f64,
        unit: Unit,
        compared: Option<f64>,
    ) -> Finding {
        let looks: Vec<(f64, f64)> = looks.iter().copied().filter(|(_, total)| *total > 0.0).collect();
        let (bad, total) = sum(&looks);
        let metric = &self.criterion.metric;
        let mut finding = self.finding(Verdict::Inconclusive, String::new());
        finding.requests = Some(total);
        finding.baseline = compared;
        if total <= 0.0 {
            let why = format!("{metric} saw no requests");
            return Finding { verdict: Verdict::NoData, why, ..finding };
        }
        let least = self.rule.min_requests as f64;
        let began =
            self.persisted(looks.len(), |end| beyond(looks.get(..end)?, limit, level, least, self.persist));
        let is_end = matches!(self.moment, Moment::End { .. });
        if !is_end && began.is_none() {
            return Finding {
                why: format!("{metric} is not shown to be {}", self.criterion.text),
                ..finding
            };
        }
        let (low, high) =
            (bounds::wilson(bad, total, 1.0 - level).0, bounds::wilson(bad, total, self.rule.confidence).1);
        let told = Told { case: self, unit, limit, bad, total, low, high };
        told.numbers(&mut finding);
        if let Some(began) = began {
            let (bad, total) = sum(looks.get(began..).unwrap_or_default());
            let since = if began == 0 { String::new() } else { format!(" since look {}", began + 1) };
            let (low, high) = bounds::sequence(bad, total, bounds::share_of_level(level, began));
            let told = Told { bad, total, low, high, ..told };
            told.numbers(&mut finding);
            let why = format!("{}{since}", told.bad());
            return Finding { verdict: Verdict::Fail, why, ..finding };
        }
        if low > limit && total >= least {
            return Finding { verdict: Verdict::Fail, why: told.bad(), ..finding };
        }
        if let Some(why) = self.uncovered() {
            return Finding { why, ..finding };
        }
        if total < least {
            let why = format!(
                "{metric} saw {}, and fewer than {} say nothing",
                plural(total, "request"),
                count(least)
            );
            return Finding { why, ..finding };
        }
        let (verdict, why) =
            if high <= limit { (Verdict::Pass, told.good()) } else { (Verdict::Inconclusive, told.open()) };
        Finding { verdict, why, ..finding }
    }

    /// A share against so many times the baseline's: the limit is that many times what the baseline may at most be.
    fn share_of_baseline(&self, times: f64) -> Finding {
        let before = rates(&self.series.baseline);
        let (looks, before, times) = if self.criterion.comparison.is_above() {
            (rates(&self.series.release), before, times)
        } else {
            // Fewer than a part of the good ones of before.
            let turn = |looks: Vec<(f64, f64)>| -> Vec<(f64, f64)> {
                looks.into_iter().map(|(bad, total)| (total - bad, total)).collect()
            };
            (turn(rates(&self.series.release)), turn(before), 1.0 / times)
        };
        let (bad, total) = sum(&before);
        let metric = &self.criterion.metric;
        if total < self.rule.min_requests as f64 {
            let why = format!("{metric} has only {} to be compared with", plural(total, "request"));
            return self.finding(Verdict::Inconclusive, why);
        }
        let level = self.level / 4.0;
        let most = match self.rule.baseline {
            Baseline::Before => bounds::wilson(bad, total, 1.0 - level).1,
            Baseline::Concurrent { .. } => bounds::sequence(bad, total, level).1,
        };
        let floor = bad / total + self.criterion.at_least.unwrap_or(0.0);
        let limit = (times * most).max(floor).min(1.0);
        self.share(&looks, limit, level, Unit::Share, Some(bad / total))
    }

    /// A quantile or a number against so many times the baseline's.
    fn ratio(&self, times: f64) -> Finding {
        let quantile = self.criterion.quantile();
        let own = |range: std::ops::Range<usize>| self.part(&self.series.release, range);
        let concurrent = matches!(self.rule.baseline, Baseline::Concurrent { .. });
        let other = |range: std::ops::Range<usize>| {
            let all = 0..self.series.baseline.len();
            self.part(&self.series.baseline, if concurrent { range } else { all })
        };
        let above = self.criterion.comparison.is_above();
        let limit = if above { times } else { 1.0 / times };
        let compare = |range: std::ops::Range<usize>, confidence: f64| -> Option<Ratio> {
            let (release, baseline) = (own(range.clone()), other(range));
            if release.len() < LEAST_LOOKS || baseline.len() < LEAST_LOOKS {
                return None;
            }
            let (release, baseline) = if above { (release, baseline) } else { (baseline, release) };
            bootstrap::ratio(&release, &baseline, quantile, confidence, self.seed)
        };
        let is_large = |ratio: &Ratio| {
            ratio.estimate > limit
                && self.criterion.at_least.is_none_or(|floor| ratio.release - ratio.baseline >= floor)
        };
        let looks = self.series.release.len();
        let early = |end: usize| {
            let newest = own(end.checked_sub(1)?..end).first()?.value(quantile)?;
            let whole = bootstrap::point(&other(0..end), quantile)?;
            let newest = if above { newest / whole } else { whole / newest };
            if newest.is_nan() || newest <= limit {
                return None;
            }
            let begins = (0..end).step_by(BEGINNINGS);
            let begins = begins.enumerate().filter(|(_, begin)| *begin == 0 || begin + MOST_BEGINNINGS > end);
            begins.into_iter().find_map(|(index, begin)| {
                let level = bounds::share_of_level(self.level / 2.0, index);
                let point = |looks: &[Reading]| bootstrap::point(looks, quantile);
                let (release, baseline) = (point(&own(begin..end))?, point(&other(begin..end))?);
                let quick = if above { release / baseline } else { baseline / release };
                // Only what looks bad is worth drawing again.
                let ratio = (quick > limit).then(|| compare(begin..end, self.rule.confidence)).flatten()?;
                let off = bounds::standard_errors((end - begin) as f64, level) * ratio.error;
                (is_large(&ratio) && ratio.estimate.ln() - off > limit.ln()).then_some(begin)
            })
        };
        let began = self.persisted(looks, early);
        let mut finding = self.finding(Verdict::Inconclusive, String::new());
        finding.requests =
            self.series.release.iter().filter_map(|reading| reading.requests()).reduce(|a, b| a + b);
        finding.threshold = Some(times);
        let metric = &self.criterion.metric;
        let is_end = matches!(self.moment, Moment::End { .. });
        // On the way a picture of healthy looks is not worth drawing them again.
        let whole =
            (is_end || began.is_some()).then(|| compare(began.unwrap_or(0)..looks, 1.0 - self.level / 2.0));
        let Some(ratio) = whole.flatten() else {
            let others = self.series.baseline.len();
            let why = if looks.min(others) < LEAST_LOOKS {
                format!(
                    "{metric} has {} and {others} to compare with; {LEAST_LOOKS} each are needed",
                    plural(looks as f64, "look")
                )
            } else if is_end {
                format!("{metric} cannot be compared: one side is zero")
            } else {
                format!("{metric} is not shown to be {}", self.criterion.text)
            };
            return Finding { why, ..finding };
        };
        let unit = Unit::of(self.series.release.first().copied(), metric);
        let high = match compare(0..looks, self.rule.confidence) {
            Some(ratio) => ratio.high,
            None => ratio.high,
        };
        let beyond = [&self.series.release, &self.series.baseline].map(|looks| is_beyond(looks, quantile));
        if beyond.iter().any(|beyond| *beyond) {
            let fails = began.is_some() && !beyond[usize::from(above)];
            let why = format!(
                "{metric} is above the histogram's last bucket{}",
                if fails {
                    format!(", and {} is bad", self.criterion.text)
                } else {
                    ", so it cannot be compared".into()
                }
            );
            let verdict = if fails { Verdict::Fail } else { Verdict::Inconclusive };
            return Finding { verdict, why, ..finding };
        }
        let turned = |ratio: f64| if above { ratio } else { 1.0 / ratio };
        finding.estimate = Some(turned(ratio.estimate));
        let (low, most) = (turned(ratio.low), turned(high));
        (finding.low, finding.high) = (Some(low.min(most)), Some(low.max(most)));
        let (release, baseline) =
            if above { (ratio.release, ratio.baseline) } else { (ratio.baseline, ratio.release) };
        finding.baseline = Some(baseline);
        let told = format!(
            "{metric} was {}, {:.2} times the {} {} (from {:.2} to {:.2} times)",
            unit.shown(release),
            turned(ratio.estimate),
            unit.shown(baseline),
            if concurrent { "of the version before" } else { "before the release" },
            low.min(most),
            low.max(most),
        );
        if began.is_some() || (is_large(&ratio) && ratio.low > limit) {
            let since = began.filter(|began| *began > 0).map(|began| format!(" since look {}", began + 1));
            let why = format!("{told}, and {} is bad{}", self.criterion.text, since.unwrap_or_default());
            return Finding { verdict: Verdict::Fail, why, ..finding };
        }
        if let Some(why) = self.uncovered() {
            return Finding { why, ..finding };
        }
        let is_small = self.criterion.at_least.is_some_and(|floor| (high - 1.0) * ratio.baseline < floor);
        if high <= limit || is_small {
            let why = format!("{told}; {} would be bad", self.criterion.text);
            return Finding { verdict: Verdict::Pass, why, ..finding };
        }
        Finding {
            why: format!("{told}, which neither shows {} nor rules it out", self.criterion.text),
            ..finding
        }
    }

    /// The ranks of looks against the baseline's, as Kayenta judges; at the end only.
    fn ranks(&self, times: f64) -> Finding {
        let quantile = self.criterion.quantile();
        let values = |looks: &[&Reading]| -> Vec<f64> {
            looks.iter().filter_map(|look| look.value(quantile)).collect()
        };
        let (own, other) = (values(&self.series.release), values(&self.series.baseline));
        let metric = &self.criterion.metric;
        let finding =
            Finding { threshold: Some(times), ..self.finding(Verdict::Inconclusive, String::new()) };
        if !matches!(self.moment, Moment::End { .. }) {
            return Finding { why: format!("{metric} is compared at the end"), ..finding };
        }
        let medians = bootstrap::median(&own).zip(bootstrap::median(&other));
        let shift = mann_whitney::shift(&own, &other, mann_whitney::CONFIDENCE);
        let (Some((release, baseline)), Some(shift)) = (medians, shift) else {
            return Finding {
                verdict: Verdict::NoData,
                why: format!("{metric} saw nothing to compare"),
                ..finding
            };
        };
        if own.len().min(other.len()) < LEAST_RANKS {
            let looks = plural(own.len() as f64, "look");
            let why = format!(
                "{metric} has {looks} and {} to compare with; {LEAST_RANKS} each are needed",
                other.len()
            );
            return Finding { why, ..finding };
        }
        let ratio = release / baseline;
        let unit = Unit::of(self.series.release.first().copied(), metric);
        let finding = Finding {
            estimate: Some(ratio).filter(|ratio| ratio.is_finite()),
            low: Some((baseline + shift.low) / baseline).filter(|ratio| ratio.is_finite()),
            high: Some((baseline + shift.high) / baseline).filter(|ratio| ratio.is_finite()),
            baseline: Some(baseline),
            ..finding
        };
        let side = mann_whitney::classify(shift, mann_whitney::TOLERANCE);
        let told = format!(
            "{metric} was {} against {} (Mann-Whitney: shifted by {} to {})",
            unit.shown(release),
            unit.shown(baseline),
            unit.shown(shift.low),
            unit.shown(shift.high),
        );
        let change = (release - baseline).abs();
        let is_bad = side == Some(self.criterion.comparison.is_above())
            && self.criterion.comparison.holds(release, times * baseline)
            && self.criterion.at_least.is_none_or(|floor| change >= floor);
        if is_bad {
            let why = format!("{told}, and {} is bad", self.criterion.text);
            return Finding { verdict: Verdict::Fail, why, ..finding };
        }
        match self.uncovered() {
            Some(why) => Finding { why, ..finding },
            None => Finding {
                verdict: Verdict::Pass,
                why: format!("{told}; {} would be bad", self.criterion.text),
                ..finding
            },
        }
    }

    /// A number against a limit. Nobody knows from how many requests it came, so it is taken at its word, but only
    /// when it stays.
    fn number(&self, limit: f64) -> Finding {
        let values: Vec<f64> = self
            .series
            .release
            .iter()
            .filter_map(|reading| match reading {
                Reading::Number(number) => Some(*number),
                _ => None,
            })
            .collect();
        let metric = &self.criterion.metric;
        let unit = match self.criterion.limit {
            Limit::Share(_) => Unit::Share,
            Limit::Seconds(_) => Unit::Seconds,
            _ => Unit::Number,
        };
        let is_bad = |value: &f64| self.criterion.comparison.holds(*value, limit);
        let last = values.last().copied().unwrap_or_default();
        let worst = values.iter().copied().reduce(|left, right| {
            if self.criterion.comparison.is_above() { left.max(right) } else { left.min(right) }
        });
        let finding = Finding {
            estimate: Some(last),
            low: values.iter().copied().reduce(f64::min),
            high: values.iter().copied().reduce(f64::max),
            threshold: Some(limit),
            ..self.finding(Verdict::Inconclusive, String::new())
        };
        let bad = values.windows(self.persist).rfind(|looks| looks.iter().all(is_bad));
        if let Some(looks) = bad {
            let shown: Vec<String> = looks.iter().map(|value| unit.shown(*value)).collect();
            let why = format!("{metric} was {}, and {} is bad", shown.join(", then "), self.criterion.text);
            return Finding { verdict: Verdict::Fail, why, ..finding };
        }
        let worst = unit.shown(worst.unwrap_or_default());
        if !matches!(self.moment, Moment::End { .. }) {
            return Finding { why: format!("{metric} is {}", unit.shown(last)), ..finding };
        }
        if let Some(why) = self.uncovered() {
            return Finding { why, ..finding };
        }
        if is_bad(&last) {
            let why = format!(
                "{metric} was {} at the last look, and {} is bad when it stays for {}",
                unit.shown(last),
                self.criterion.text,
                plural(self.persist as f64, "look")
            );
            return Finding { why, ..finding };
        }
        let looks = plural(values.len() as f64, "look");
        let why = format!(
            "{metric} was {} at last, {worst} at worst in {looks}; {} would be bad",
            unit.shown(last),
            self.criterion.text
        );
        Finding { verdict: Verdict::Pass, why, ..finding }
    }

    /// Where the trouble began when `test` found it at each of the last looks, looked at one by one.
    fn persisted(&self, looks: usize, test: impl Fn(usize) -> Option<usize>) -> Option<usize> {
        if looks < self.persist || !self.watch.early_stop && matches!(self.moment, Moment::Look) {
            return None;
        }
        let mut began = None;
        for back in 0..self.persist {
            let at = test(looks - back)?;
            began = began.or(Some(at));
        }
        began
    }

    /// Why there were too few looks to say that it is good.
    fn uncovered(&self) -> Option<String> {
        let Moment::End { planned, at } = self.moment else { return None };
        let looks = self.series.release.len() as u64;
        let metric = &self.criterion.metric;
        let silence = self.series.silence.map(|why| format!(" ({why})")).unwrap_or_default();
        if looks * 100 < planned * u64::from(self.watch.coverage) {
            return Some(format!(
                "{metric} gave {looks} of {planned} planned looks{silence}; at least {} % are needed for a verdict",
                self.watch.coverage
            ));
        }
        // A release may turn bad while nobody sees it.
        let every = self.watch.every.as_millis();
        let longest = (self.watch.window.as_millis() / 10).max(every.saturating_mul(2));
        let silent = at.as_millisecond().saturating_sub(self.series.last?.as_millisecond());
        let silent = u64::try_from(silent).unwrap_or(0);
        (silent > longest).then(|| {
            format!(
                "{metric} saw nothing in the last {}{silence}",
                Duration::from_millis(silent / 1000 * 1000)
            )
        })
    }

    /// `(bad, total)` and the limit, or the other way round where less is bad.
    fn turned(&self, looks: Vec<(f64, f64)>, limit: f64) -> (Vec<(f64, f64)>, f64) {
        if self.criterion.comparison.is_above() {
            return (looks, limit);
        }
        (looks.into_iter().map(|(bad, total)| (total - bad, total)).collect(), 1.0 - limit)
    }

    fn part(&self, looks: &[&Reading], range: std::ops::Range<usize>) -> Vec<Reading> {
        let end = range.end.min(looks.len());
        looks.get(range.start.min(end)..end).unwrap_or_default().iter().map(|look| (*look).clone()).collect()
    }

    fn finding(&self, verdict: Verdict, why: String) -> Finding {
        Finding {
            metric: self.criterion.metric.clone(),
            criterion: self.criterion.text.clone(),
            verdict,
            why,
            query: None,
            looks: self.series.release.len() as u64,
            requests: None,
            estimate: None,
            low: None,
            high: None,
            threshold: None,
            baseline: None,
        }
    }
}

/// A share in words.
struct Told<'a> {
    case: &'a Case<'a>,
    unit: Unit,
    limit: f64,
    bad: f64,
    total: f64,
    low: f64,
    high: f64,
}

impl Told<'_> {
    fn numbers(&self, finding: &mut Finding) {
        let turn = |share: f64| if self.is_turned() { 1.0 - share } else { share };
        let (low, high) = (turn(self.low), turn(self.high));
        finding.estimate = Some(turn(self.bad / self.total));
        (finding.low, finding.high) = (Some(low.min(high)), Some(low.max(high)));
        finding.threshold = Some(turn(self.limit));
    }

    fn is_turned(&self) -> bool {
        self.case.criterion.comparison == Comparison::Below
            || self.case.criterion.comparison == Comparison::AtMost
    }

    fn bad(&self) -> String {
        format!("{}, at least {}; {}", self.seen(), self.shown(self.low), self.rule("is bad"))
    }

    fn good(&self) -> String {
        format!("{}, at most {}; {}", self.seen(), self.shown(self.high), self.rule("would be bad"))
    }

    fn open(&self) -> String {
        let range = format!("between {} and {}", self.shown(self.low), self.shown(self.high));
        format!("{}, {range}, which neither shows nor rules out that {}", self.seen(), self.rule("is bad"))
    }

    fn seen(&self) -> String {
        let metric = &self.case.criterion.metric;
        let (bad, total) = (count(self.bad), plural(self.total, "request"));
        let share = self.shown(self.bad / self.total);
        match (self.unit, self.is_turned()) {
            (Unit::Seconds, turned) => {
                let side = if turned { "no slower" } else { "slower" };
                let limit = self.case.criterion.text.trim_start_matches(['<', '>', '=', '≤', '≥', ' ']);
                format!("{metric}: {bad} of {total} took {side} than {limit} ({share})")
                    .replace("took no slower than", "took no more than")
                    .replace("took slower than", "took longer than")
            }
            (_, false) => format!("{metric} was {share} ({bad} of {total})"),
            (_, true) => format!("{metric} missed {share} ({bad} of {total})"),
        }
    }

    fn rule(&self, is_bad: &str) -> String {
        let text = &self.case.criterion.text;
        match self.unit {
            Unit::Seconds => format!("more than {} {is_bad} ({text})", self.shown(self.limit)),
            _ if self.case.criterion.is_relative() => {
                format!("more than {} {is_bad} ({text} of before)", self.shown(self.limit))
            }
            _ => format!("{text} {is_bad}"),
        }
    }

    fn shown(&self, share: f64) -> String {
        Unit::Share.shown(share)
    }
}

fn rates(looks: &[&Reading]) -> Vec<(f64, f64)> {
    looks
        .iter()
        .filter_map(|look| match look {
            Reading::Rate { bad, total } => Some((*bad, *total)),
            _ => None,
        })
        .collect()
}

fn slower(looks: &[&Reading], seconds: f64) -> Vec<(f64, f64)> {
    looks
        .iter()
        .filter_map(|look| match look {
            Reading::Buckets(histogram) => Some((histogram.slower(seconds), histogram.total())),
            _ => None,
        })
        .collect()
}

/// Whether the quantile of all looks together is above the last bucket.
fn is_beyond(looks: &[&Reading], quantile: f64) -> bool {
    let mut whole = Histogram::default();
    for look in looks {
        if let Reading::Buckets(histogram) = look {
            let _ = whole.add(histogram);
        }
    }
    whole.is_beyond(quantile)
}

fn sum(looks: &[(f64, f64)]) -> (f64, f64) {
    looks.iter().fold((0.0, 0.0), |(bads, totals), (bad, total)| (bads + bad, totals + total))
}

/// The look at which a trouble began that the counts since then show, however often one looks: a release that turns
/// bad late is seen too, because each look may be the beginning, with its own part of the level. The newest look
/// must be bad by itself: what is over already is for the verdict at the end.
fn beyond(looks: &[(f64, f64)], limit: f64, level: f64, least: f64, persist: usize) -> Option<usize> {
    let (newest, all) = *looks.last()?;
    if newest / all <= limit {
        return None;
    }
    // What acts at once must not wait for as many requests as what persists.
    let least = if persist == 1 { least.min(20.0) } else { least };
    // How much the requests since `begin` show, above what is needed.
    let shown = |begin: usize, bad: f64, total: f64| {
        let spare = bounds::evidence(bad, total, limit) + bounds::share_of_level(level, begin).ln();
        (total >= least && spare >= 0.0).then_some((begin, spare))
    };
    let (bad, total) = sum(looks);
    let mut most = shown(0, bad, total);
    let (mut bad, mut total) = (0.0, 0.0);
    for (begin, look) in looks.iter().enumerate().rev().take(MOST_BEGINNINGS) {
        bad += look.0;
        total += look.1;
        if begin > 0
            && let Some((begin, spare)) = shown(begin, bad, total)
            && most.is_none_or(|(_, most)| spare > most)
        {
            most = Some((begin, spare));
        }
    }
    most.map(|(begin, _)| begin)
}
