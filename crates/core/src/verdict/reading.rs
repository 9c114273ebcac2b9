//! What a query measured at one look: a number, a rate with its counts, or the buckets of a histogram.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// More buckets than this are no histogram of response times.
const MOST_BUCKETS: usize = 200;

/// What was measured over one interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Reading {
    /// A number whose sample size is not known.
    Number(f64),
    /// So many of so many.
    Rate {
        /// Those that count against the release.
        bad: f64,
        /// All.
        total: f64,
    },
    /// How many took how long.
    Buckets(Histogram),
}

/// Counts by upper bound.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Histogram {
    /// The upper bounds in seconds, ascending; one bucket more is above the last.
    pub bounds: Vec<f64>,
    /// How many are in each bucket; one more than there are bounds.
    pub counts: Vec<f64>,
}

/// One point of a query's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Point {
    /// The end of the interval.
    pub at: Timestamp,
    /// What was measured; nothing when the source had nothing to say.
    pub reading: Option<Reading>,
    /// Why there is nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// What a query answers: one point for every look that was asked for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Answer {
    /// The points, by time.
    pub points: Vec<Point>,
    /// What the source is told when it is asked the next time: what a count since the watch's beginning is held against.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Value>,
}

/// Why a value is no reading.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotAReading(pub String);

impl Reading {
    /// A reading whose numbers can be judged.
    ///
    /// # Errors
    /// When a number is infinite, not a number, or a count is negative or more than the whole.
    pub fn checked(self) -> Result<Self, NotAReading> {
        let wrong = |why: &str| Err(NotAReading(why.to_owned()));
        let count = |number: f64| number.is_finite() && number >= 0.0;
        match &self {
            Self::Number(number) if !number.is_finite() => wrong("it is not a finite number"),
            Self::Rate { bad, total } if !count(*bad) || !count(*total) => {
                wrong("a count is negative or not a finite number")
            }
            // Extrapolated counts of one moment may differ in their last digits.
            Self::Rate { bad, total } if *bad > total * 1.000_001 + 1e-9 => {
                wrong("the part is more than the whole")
            }
            Self::Rate { bad, total } => Ok(Self::Rate { bad: bad.min(*total), total: *total }),
            Self::Buckets(histogram) => histogram.check().map(|()| self),
            Self::Number(_) => Ok(self),
        }
    }

    /// A reading from what a program prints: a number, `{"bad": 1, "total": 10}`, `{"value": 0.2}` or
    /// `{"buckets": [[0.1, 20], [0.5, 3], [null, 1]]}` with the count of each bucket, the last one without a bound.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_value(value: &Value) -> Result<Self, NotAReading> {
        let wrong = || {
            NotAReading(
                "it is neither a number nor {\"value\": ..}, {\"bad\": .., \"total\": ..} or {\"buckets\": ..}"
                    .into(),
            )
        };
        let number = |key: &str| value.get(key).and_then(Value::as_f64);
        if let Some(number) = value.as_f64().or_else(|| number("value")) {
            return Self::Number(number).checked();
        }
        if let (Some(bad), Some(total)) = (number("bad"), number("total")) {
            return Self::Rate { bad, total }.checked();
        }
        let Some(rows) = value.get("buckets").and_then(Value::as_array) else { return Err(wrong()) };
        let mut histogram = Histogram::default();
        for (index, row) in rows.iter().enumerate() {
            let Some([bound, count]) = row.as_array().map(Vec::as_slice) else { return Err(wrong()) };
            let count = count.as_f64().ok_or_else(wrong)?;
            match bound.as_f64() {
                Some(bound) => histogram.bounds.push(bound),
                None if bound.is_null() && index + 1 == rows.len() => {}
                None => return Err(wrong()),
            }
            histogram.counts.push(count);
        }
        if histogram.counts.len() == histogram.bounds.len() {
            histogram.counts.push(0.0);
        }
        Self::Buckets(histogram).checked()
    }

    /// The number it comes to for a person or a chart: a share, or the quantile of a histogram.
    pub fn value(&self, quantile: f64) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Rate { bad, total } => (*total > 0.0).then(|| bad / total),
            Self::Buckets(histogram) => histogram.quantile(quantile),
        }
    }

    /// How many requests it counts.
    pub fn requests(&self) -> Option<f64> {
        match self {
            Self::Number(_) => None,
            Self::Rate { total, .. } => Some(*total),
            Self::Buckets(histogram) => Some(histogram.total()),
        }
    }
}

impl Histogram {
    /// A histogram from cumulative counts by upper bound, as Prometheus keeps them (`le`); `f64::INFINITY` is the
    /// whole. Counts that fall, which extrapolation can make, are taken as level.
    ///
    /// # Errors
    /// When the whole (`+Inf`) is missing or a number is not one.
    pub fn from_cumulative(mut rows: Vec<(f64, f64)>) -> Result<Self, NotAReading> {
        rows.sort_by(|left, right| left.0.total_cmp(&right.0));
        if rows.last().is_none_or(|(bound, _)| *bound != f64::INFINITY) {
            return Err(NotAReading("the histogram has no bucket `le=\"+Inf\"`".into()));
        }
        let mut histogram = Self::default();
        let mut before = 0.0_f64;
        for (bound, count) in rows {
            if !count.is_finite() {
                return Err(NotAReading("a bucket's count is not a finite number".into()));
            }
            histogram.counts.push((count - before).max(0.0));
            before = before.max(count);
            if bound.is_finite() {
                histogram.bounds.push(bound);
            }
        }
        histogram.check().map(|()| histogram)
    }

    /// How many it counts.
    pub fn total(&self) -> f64 {
        self.counts.iter().sum()
    }

    /// The `quantile`, by linear interpolation within its bucket, as Prometheus's `histogram_quantile` does
    /// (<https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile>): in the bucket above
    /// the last bound it is that bound. Nothing without counts.
    pub fn quantile(&self, quantile: f64) -> Option<f64> {
        let total = self.total();
        if total <= 0.0 {
            return None;
        }
        let rank = quantile.clamp(0.0, 1.0) * total;
        let mut before = 0.0;
        for (index, count) in self.counts.iter().enumerate() {
            let Some(upper) = self.bounds.get(index) else { break };
            if before + count >= rank && *count > 0.0 {
                let lower = self.lower(index);
                return Some(lower + (upper - lower) * ((rank - before) / count).clamp(0.0, 1.0));
            }
            before += count;
        }
        self.bounds.last().copied()
    }

    /// How many took longer than `seconds`, by the same interpolation. Those above the last bound are taken as
    /// longer only when `seconds` is not above it too.
    pub fn slower(&self, seconds: f64) -> f64 {
        let mut slower = 0.0;
        for (index, count) in self.counts.iter().enumerate() {
            let lower = self.lower(index);
            match self.bounds.get(index) {
                Some(upper) if seconds >= *upper => {}
                Some(upper) if seconds > lower => slower += count * (upper - seconds) / (upper - lower),
                None if seconds > lower => {}
                _ => slower += count,
            }
        }
        slower
    }

    /// Whether the `quantile` is above the last bound, so that nobody knows how far.
    pub fn is_beyond(&self, quantile: f64) -> bool {
        self.counts.last().is_some_and(|over| *over > 0.0 && *over >= (1.0 - quantile) * self.total())
    }

    /// Adds another's counts; whether it has the same bounds.
    pub fn add(&mut self, other: &Self) -> bool {
        if self.counts.is_empty() {
            self.clone_from(other);
            return true;
        }
        if self.bounds != other.bounds {
            return false;
        }
        self.counts.iter_mut().zip(&other.counts).for_each(|(own, other)| *own += other);
        true
    }

    fn lower(&self, index: usize) -> f64 {
        // Below the first bound of response times is zero.
        index.checked_sub(1).and_then(|before| self.bounds.get(before)).copied().unwrap_or(0.0)
    }

    fn check(&self) -> Result<(), NotAReading> {
        let wrong = |why: &str| Err(NotAReading(why.to_owned()));
        let is_ascending = self.bounds.windows(2).all(|pair| matches!(pair, [left, right] if left < right));
        if self.bounds.is_empty() || self.counts.len() != self.bounds.len() + 1 {
            return wrong("a histogram needs a bound and one count more than bounds");
        }
        if self.bounds.len() > MOST_BUCKETS {
            return wrong("a histogram has at most 200 buckets");
        }
        if !is_ascending || self.bounds.iter().any(|bound| !bound.is_finite() || *bound <= 0.0) {
            return wrong("the bounds of a histogram are positive and ascend");
        }
        if self.counts.iter().any(|count| !count.is_finite() || *count < 0.0) {
            return wrong("a bucket's count is negative or not a finite number");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn histogram(counts: &[f64]) -> Histogram {
        Histogram { bounds: vec![0.1, 0.5, 1.0], counts: counts.to_vec() }
    }

    #[test]
    fn programs_print_numbers_rates_and_buckets_and_nothing_else() {
        let rate = |bad, total| Some(Reading::Rate { bad, total });
        for (value, expect) in [
            (json!(3), Some(Reading::Number(3.0))),
            (json!({ "value": 0.25 }), Some(Reading::Number(0.25))),
            (json!({ "bad": 1, "total": 10 }), rate(1.0, 10.0)),
            (json!({ "bad": 0, "total": 0 }), rate(0.0, 0.0)),
            (json!({ "bad": 11, "total": 10 }), None),
            (json!({ "bad": -1, "total": 10 }), None),
            (json!({ "bad": 1 }), None),
            (json!("3"), None),
            (json!(null), None),
            (json!({ "buckets": [] }), None),
            (json!({ "buckets": [[null, 1]] }), None),
            (json!({ "buckets": [[0.5, 1], [0.1, 1]] }), None),
            (
                json!({ "buckets": [[0.1, 2], [null, 1]] }),
                Some(Reading::Buckets(Histogram { bounds: vec![0.1], counts: vec![2.0, 1.0] })),
            ),
            (
                json!({ "buckets": [[0.1, 2]] }),
                Some(Reading::Buckets(Histogram { bounds: vec![0.1], counts: vec![2.0, 0.0] })),
            ),
        ] {
            assert_eq!(Reading::from_value(&value).ok(), expect, "{value}");
        }
        for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(Reading::Number(number).checked().is_err());
            assert!(Reading::Rate { bad: 0.0, total: number }.checked().is_err());
            assert!(Histogram::from_cumulative(vec![(0.1, number), (f64::INFINITY, 1.0)]).is_err());
        }
    }

    #[test]
    fn quantiles_are_those_of_prometheus() {
        for (counts, quantile, expect) in [
            ([100.0, 0.0, 0.0, 0.0], 0.95, Some(0.095)),
            ([90.0, 10.0, 0.0, 0.0], 0.95, Some(0.3)),
            ([0.0, 0.0, 0.0, 10.0], 0.95, Some(1.0)),
            ([0.0, 0.0, 0.0, 0.0], 0.95, None),
        ] {
            let found = histogram(&counts).quantile(quantile);
            let is_near = found.zip(expect).is_none_or(|(found, expect)| (found - expect).abs() < 1e-12);
            assert!(is_near && found.is_some() == expect.is_some(), "{counts:?}: {found:?}");
        }
        let cumulative = vec![(f64::INFINITY, 100.0), (0.1, 90.0), (0.5, 100.0), (1.0, 99.9)];
        assert_eq!(Histogram::from_cumulative(cumulative).unwrap(), histogram(&[90.0, 10.0, 0.0, 0.0]));
        assert!(Histogram::from_cumulative(vec![(0.1, 1.0)]).is_err());
    }

    proptest! {
        #[test]
        fn as_many_are_slower_than_a_quantile_as_it_says(
            counts in prop::collection::vec(0.1f64..1000.0, 3),
            quantile in 0.01f64..0.99,
        ) {
            // Without those above the last bound, whose times are not known.
            let histogram = histogram(&[counts[0], counts[1], counts[2], 0.0]);
            let at = histogram.quantile(quantile).unwrap();
            let share = histogram.slower(at) / histogram.total();
            prop_assert!((share - (1.0 - quantile)).abs() < 1e-9, "{share} {quantile}");
        }
    }
}
