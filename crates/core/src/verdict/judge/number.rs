//! Judges a number against a limit.

use super::super::words::{Unit, plural};
use super::super::{Finding, Limit, Reading, Verdict};
use super::{Case, Moment};

impl Case<'_> {
    /// A number against a limit. Nobody knows from how many requests it came, so it is taken at its word, but only
    /// when it stays.
    pub(super) fn number(&self, limit: f64) -> Finding {
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
}
