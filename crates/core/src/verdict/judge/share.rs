//! Judges a share of requests: against a limit, and against so many times the baseline's.

use super::super::words::{Unit, count, plural};
use super::super::{Comparison, Finding, Reading, Verdict, bounds};
use super::{Baseline, Case, MOST_BEGINNINGS, Moment};

impl Case<'_> {
    /// A share against a limit, bad above it.
    pub(super) fn share(
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
    pub(super) fn share_of_baseline(&self, times: f64) -> Finding {
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

    /// `(bad, total)` and the limit, or the other way round where less is bad.
    pub(super) fn turned(&self, looks: Vec<(f64, f64)>, limit: f64) -> (Vec<(f64, f64)>, f64) {
        if self.criterion.comparison.is_above() {
            return (looks, limit);
        }
        (looks.into_iter().map(|(bad, total)| (total - bad, total)).collect(), 1.0 - limit)
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

pub(super) fn rates(looks: &[&Reading]) -> Vec<(f64, f64)> {
    looks
        .iter()
        .filter_map(|look| match look {
            Reading::Rate { bad, total } => Some((*bad, *total)),
            _ => None,
        })
        .collect()
}

pub(super) fn slower(looks: &[&Reading], seconds: f64) -> Vec<(f64, f64)> {
    looks
        .iter()
        .filter_map(|look| match look {
            Reading::Buckets(histogram) => Some((histogram.slower(seconds), histogram.total())),
            _ => None,
        })
        .collect()
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
