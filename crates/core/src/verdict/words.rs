//! Numbers of a verdict in words: shares, times, counts.

use super::{Limit, Reading};

/// The unit of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// None.
    Number,
    /// A share from 0 to 1, shown in percent.
    Share,
    /// Seconds.
    Seconds,
}

impl Unit {
    /// The unit of a query's readings, as far as they and its name tell.
    pub fn of(reading: Option<&Reading>, metric: &str) -> Self {
        match reading {
            Some(Reading::Rate { .. }) => Self::Share,
            Some(Reading::Buckets(_)) => Self::Seconds,
            _ if metric.contains("latency") || metric.contains("duration") => Self::Seconds,
            _ => Self::Number,
        }
    }

    /// The same where a limit says more: a bare number that is held against `80%` is a share.
    pub fn against(self, limit: Limit) -> Self {
        match (self, limit) {
            (Self::Number, Limit::Share(_)) => Self::Share,
            (Self::Number, Limit::Seconds(_)) => Self::Seconds,
            (unit, _) => unit,
        }
    }

    /// A number in this unit.
    pub fn shown(self, number: f64) -> String {
        match self {
            Self::Number => count(number),
            Self::Share => format!("{} %", digits(number * 100.0)),
            Self::Seconds if number.abs() < 1.0 => format!("{} ms", digits(number * 1000.0)),
            Self::Seconds => format!("{} s", digits(number)),
        }
    }
}

/// A count with its thousands apart: `180,000`; up to two decimals when it is not whole.
pub fn count(number: f64) -> String {
    if !number.is_finite() || number.abs() >= 1e15 {
        return number.to_string();
    }
    if number.fract().abs() > 0.005 && number.abs() < 100.0 {
        return digits(number);
    }
    let whole = format!("{:.0}", number.abs());
    let grouped: Vec<String> =
        whole.as_bytes().rchunks(3).rev().map(|group| String::from_utf8_lossy(group).into_owned()).collect();
    let sign = if number < -0.5 { "-" } else { "" };
    format!("{sign}{}", grouped.join(","))
}

/// `1 request`, `2 requests`.
pub fn plural(number: f64, word: &str) -> String {
    let one = (number - 1.0).abs() < 0.005;
    format!("{} {word}{}", count(number), if one { "" } else { "s" })
}

/// A number with as many decimals as it needs: `0.012`, `1.3`, `120`.
fn digits(number: f64) -> String {
    let size = number.abs();
    let text = match size {
        _ if size == 0.0 => return "0".into(),
        _ if size < 0.001 => return format!("{number:.1e}"),
        _ if size < 0.1 => format!("{number:.3}"),
        _ if size < 10.0 => format!("{number:.2}"),
        _ if size < 100.0 => format!("{number:.1}"),
        _ => return count(number),
    };
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shown_as_short_as_they_may_be() {
        for (unit, number, expect) in [
            (Unit::Share, 0.01, "1 %"),
            (Unit::Share, 0.0123, "1.23 %"),
            (Unit::Share, 0.000_52, "0.052 %"),
            (Unit::Share, 0.0, "0 %"),
            (Unit::Share, 1.0, "100 %"),
            (Unit::Seconds, 0.25, "250 ms"),
            (Unit::Seconds, 1.5, "1.5 s"),
            (Unit::Number, 180_000.0, "180,000"),
            (Unit::Number, 1234.4, "1,234"),
            (Unit::Number, 2.5, "2.5"),
            (Unit::Number, -3.0, "-3"),
        ] {
            assert_eq!(unit.shown(number), expect);
        }
        assert_eq!((plural(1.0, "look"), plural(0.0, "look")), ("1 look".into(), "0 looks".into()));
    }
}
