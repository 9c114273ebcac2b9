//! Judges what queries measured against criteria: at every look whether it is bad already, at the end what it came to.
//!
//! The level (1 - confidence) is divided among the criteria; each one's is divided again, half for all looks on the
//! way together and half for the one at the end, so that a release at its limits is stopped by mistake no more often
//! than the level says. A pass is decided once, at the end, at the whole confidence.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::words::Unit;
use super::{Criterion, Finding, Judgement, Limit, Reading, Sample, Verdict, WatchRule, bounds};
use crate::duration::Duration;

mod number;
mod ratio;
mod share;

use share::{rates, slower};

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
    /// The window of the same length before the run first changed the watched environment; before the run where none is
    /// named.
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
