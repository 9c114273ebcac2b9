//! Judges numbers and quantiles against so many times the baseline's: by their ratio, or by their ranks.

use super::super::bootstrap::{self, Ratio};
use super::super::words::{Unit, plural};
use super::super::{Finding, Histogram, Reading, Verdict, bounds, mann_whitney};
use super::{BEGINNINGS, Baseline, Case, LEAST_LOOKS, LEAST_RANKS, MOST_BEGINNINGS, Moment};

impl Case<'_> {
    /// A quantile or a number against so many times the baseline's.
    pub(super) fn ratio(&self, times: f64) -> Finding {
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
    pub(super) fn ranks(&self, times: f64) -> Finding {
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

    fn part(&self, looks: &[&Reading], range: std::ops::Range<usize>) -> Vec<Reading> {
        let end = range.end.min(looks.len());
        looks.get(range.start.min(end)..end).unwrap_or_default().iter().map(|look| (*look).clone()).collect()
    }
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
