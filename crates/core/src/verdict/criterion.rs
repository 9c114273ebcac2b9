//! Criteria as people write them: `> 1%`, `> 500ms`, `> 2x`, `> 2x, at least 50ms`, `< 0.5x`, `> 5`.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::text::sanitize_line;

/// A condition under which a release is bad.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Criterion {
    /// The query it is about.
    pub metric: String,
    /// On which side of the limit it is bad.
    pub comparison: Comparison,
    /// The limit.
    pub limit: Limit,
    /// A change of less than this is none, however large it is in proportion. A share or seconds, as the query has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<f64>,
    /// As it was written.
    pub text: String,
}

/// On which side of its limit a number is bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Comparison {
    /// `>`.
    #[serde(rename = ">")]
    Above,
    /// `>=`.
    #[serde(rename = ">=")]
    AtLeast,
    /// `<`.
    #[serde(rename = "<")]
    Below,
    /// `<=`.
    #[serde(rename = "<=")]
    AtMost,
}

/// A limit and its unit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Limit {
    /// A number as the query gives it.
    Number(f64),
    /// A share from 0 to 1, written in percent.
    Share(f64),
    /// A time in seconds, written with its unit.
    Seconds(f64),
    /// So many times the baseline.
    Times(f64),
}

/// Why a text is no criterion.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a criterion: write when the release is bad, such as `> 1%`, `> 500ms`, `> 2x` or `> 2x, at least 50ms`"
)]
pub struct NotACriterion(pub String);

impl Criterion {
    /// Reads a criterion of the query `metric`.
    ///
    /// # Errors
    /// [`NotACriterion`] for anything else.
    pub fn parse(metric: &str, text: &str) -> Result<Self, NotACriterion> {
        let refused = || NotACriterion(sanitize_line(text).chars().take(80).collect());
        if text.len() > 200 {
            return Err(refused());
        }
        let (main, floor) = match text.split_once(',') {
            Some((main, floor)) => (main, Some(floor)),
            None => (text, None),
        };
        let main = main.trim();
        let (comparison, rest) = [
            (">=", Comparison::AtLeast),
            ("≥", Comparison::AtLeast),
            ("<=", Comparison::AtMost),
            ("≤", Comparison::AtMost),
            (">", Comparison::Above),
            ("<", Comparison::Below),
        ]
        .into_iter()
        .find_map(|(sign, comparison)| main.strip_prefix(sign).map(|rest| (comparison, rest)))
        .ok_or_else(refused)?;
        let limit = limit(rest).ok_or_else(refused)?;
        let at_least = match floor {
            None => None,
            Some(floor) => {
                let floor = floor.trim().strip_prefix("at least").ok_or_else(refused)?;
                match self::limit(floor).ok_or_else(refused)? {
                    Limit::Number(number) | Limit::Share(number) | Limit::Seconds(number) => Some(number),
                    Limit::Times(_) => return Err(refused()),
                }
            }
        };
        if at_least.is_some() && !matches!(limit, Limit::Times(_)) {
            return Err(refused());
        }
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        Ok(Self { metric: metric.to_owned(), comparison, limit, at_least, text })
    }

    /// Whether it compares with a baseline.
    pub fn is_relative(&self) -> bool {
        matches!(self.limit, Limit::Times(_))
    }

    /// The quantile that the query's name says: `latency_p95` is 0.95, `p999` is 0.999; 0.95 when it says none.
    pub fn quantile(&self) -> f64 {
        quantile(&self.metric)
    }
}

impl fmt::Display for Criterion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.metric, self.text)
    }
}

impl Comparison {
    /// More is bad.
    pub fn is_above(self) -> bool {
        matches!(self, Self::Above | Self::AtLeast)
    }

    /// Whether `number` is bad against `limit`.
    pub fn holds(self, number: f64, limit: f64) -> bool {
        match self {
            Self::Above => number > limit,
            Self::AtLeast => number >= limit,
            Self::Below => number < limit,
            Self::AtMost => number <= limit,
        }
    }
}

/// The quantile that a query's name says, 0.95 when it says none.
pub(super) fn quantile(metric: &str) -> f64 {
    let digits =
        metric.rsplit('_').next().and_then(|last| last.strip_prefix('p')).filter(|digits| {
            matches!(digits.len(), 2..=4) && digits.chars().all(|digit| digit.is_ascii_digit())
        });
    let share: Option<f64> = digits.and_then(|digits| format!("0.{digits}").parse().ok());
    share.filter(|share| *share > 0.0).unwrap_or(0.95)
}

fn limit(text: &str) -> Option<Limit> {
    let text = text.trim();
    let digits = text
        .find(|letter: char| !letter.is_ascii_digit() && letter != '.' && letter != '_')
        .unwrap_or(text.len());
    let number: f64 = text[..digits].replace('_', "").parse().ok()?;
    // A limit of nothing is meant for counts: `> 0`.
    let positive = number > 0.0;
    match text[digits..].trim() {
        "" => Some(Limit::Number(number)),
        "%" if number <= 100.0 => Some(Limit::Share(number / 100.0)),
        "x" | "×" if positive => Some(Limit::Times(number)),
        "ms" if positive => Some(Limit::Seconds(number / 1000.0)),
        "s" if positive => Some(Limit::Seconds(number)),
        "m" | "min" if positive => Some(Limit::Seconds(number * 60.0)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn criteria_are_read_as_people_write_them() {
        use Comparison::{Above, AtLeast, AtMost, Below};
        for (text, expect) in [
            ("> 1%", Some((Above, Limit::Share(0.01), None))),
            (">1 %", Some((Above, Limit::Share(0.01), None))),
            ("> 2x", Some((Above, Limit::Times(2.0), None))),
            ("> 2×", Some((Above, Limit::Times(2.0), None))),
            ("> 500ms", Some((Above, Limit::Seconds(0.5), None))),
            ("> 1.5 s", Some((Above, Limit::Seconds(1.5), None))),
            ("> 2x, at least 50ms", Some((Above, Limit::Times(2.0), Some(0.05)))),
            ("> 2x, at least 0.5%", Some((Above, Limit::Times(2.0), Some(0.005)))),
            ("> 5", Some((Above, Limit::Number(5.0), None))),
            (">= 3", Some((AtLeast, Limit::Number(3.0), None))),
            ("≥ 3", Some((AtLeast, Limit::Number(3.0), None))),
            ("< 0.5x", Some((Below, Limit::Times(0.5), None))),
            ("<= 10", Some((AtMost, Limit::Number(10.0), None))),
            ("> 0", Some((Above, Limit::Number(0.0), None))),
            ("> 1_000", Some((Above, Limit::Number(1000.0), None))),
            ("", None),
            ("1%", None),
            ("> ", None),
            ("> -1", None),
            ("> 1 apple", None),
            ("> 101%", None),
            ("> 0x", None),
            ("> NaN", None),
            ("> inf", None),
            ("> 1.2.3", None),
            ("> 1%, at least 50ms", None),
            ("> 2x, 50ms", None),
            ("> 2x, at least 3x", None),
            ("== 1", None),
        ] {
            let read = Criterion::parse("m", text).ok();
            assert_eq!(read.map(|read| (read.comparison, read.limit, read.at_least)), expect, "{text}");
        }
    }

    #[test]
    fn names_say_the_quantile() {
        for (name, expect) in [
            ("latency_p95", 0.95),
            ("p99", 0.99),
            ("x_p999", 0.999),
            ("latency", 0.95),
            ("map", 0.95),
            ("a_p00", 0.95),
        ] {
            assert_eq!(quantile(name), expect, "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_criterion_or_none(text in ".{0,300}") {
            if let Ok(read) = Criterion::parse("m", &text) {
                prop_assert_eq!(Criterion::parse("m", &read.text), Ok(read));
            }
        }
    }
}
