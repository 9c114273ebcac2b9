//! Spans of time as people write them in a runbook: `90s`, `30m`, `1h30m`, `2 days`.

use std::fmt;

use serde::{Deserialize, Serialize, de};

/// A span of time of whole milliseconds, never negative. Written and read as `1h30m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Duration(u64);

/// Why a text is not a span of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a duration: write it like 90s, 30m, 1h30m or 2d")]
pub struct NotADuration(pub String);

impl Duration {
    /// A span of `milliseconds`.
    pub const fn from_millis(milliseconds: u64) -> Self {
        Self(milliseconds)
    }

    /// A span of `seconds`.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds * 1000)
    }

    /// Its length in milliseconds.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The same as the standard library's type.
    pub const fn to_std(self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0)
    }

    /// Reads `90s`, `30m`, `1h30m`, `5 min`, `2 days`, `1 h`, `250ms`, `1w`.
    ///
    /// # Errors
    /// [`NotADuration`] for anything else, for no unit, and for what does not fit 10,000 days.
    pub fn parse(text: &str) -> Result<Self, NotADuration> {
        let refused = || NotADuration(text.to_owned());
        let compact: String = text.chars().filter(|character| !character.is_whitespace()).collect();
        let mut rest = compact.as_str();
        let mut total: u64 = 0;
        if rest.is_empty() {
            return Err(refused());
        }
        while !rest.is_empty() {
            let digits = rest.find(|character: char| !character.is_ascii_digit()).ok_or_else(refused)?;
            let amount: u64 = rest[..digits].parse().map_err(|_| refused())?;
            rest = &rest[digits..];
            let letters = rest.find(|character: char| character.is_ascii_digit()).unwrap_or(rest.len());
            let unit = match &rest[..letters] {
                "ms" => 1,
                "s" | "sec" | "second" | "seconds" | "seconde" | "secondes" => 1000,
                "m" | "min" | "mins" | "mn" | "minute" | "minutes" => 60_000,
                "h" | "hour" | "hours" | "heure" | "heures" => 3_600_000,
                "d" | "j" | "day" | "days" | "jour" | "jours" => 86_400_000,
                "w" | "week" | "weeks" | "semaine" | "semaines" => 604_800_000,
                _ => return Err(refused()),
            };
            rest = &rest[letters..];
            total = amount.checked_mul(unit).and_then(|part| total.checked_add(part)).ok_or_else(refused)?;
        }
        if total > 10_000 * 86_400_000 { Err(refused()) } else { Ok(Self(total)) }
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        let mut written = false;
        for (unit, length) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)] {
            if rest >= length {
                write!(formatter, "{}{unit}", rest / length)?;
                rest %= length;
                written = true;
            }
        }
        if written { Ok(()) } else { formatter.write_str("0s") }
    }
}

impl Serialize for Duration {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

impl schemars::JsonSchema for Duration {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "examples": ["90s", "30m", "1h30m", "2d"] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_and_printed() {
        let check = |text: &str, expect: Option<&str>| {
            assert_eq!(Duration::parse(text).ok().map(|span| span.to_string()).as_deref(), expect, "{text}");
        };
        check("90s", Some("1m30s"));
        check("30m", Some("30m"));
        check("5 min", Some("5m"));
        check("1h30m", Some("1h30m"));
        check("2 days", Some("2d"));
        check("24h", Some("1d"));
        check("2 heures", Some("2h"));
        check("250ms", Some("250ms"));
        check("0s", Some("0s"));
        check("", None);
        check("30", None);
        check("-5m", None);
        check("1.5h", None);
        check("99999999999999999999s", None);
        check("99999999d", None);
    }

    proptest::proptest! {
        #[test]
        fn printing_then_parsing_gives_the_same(milliseconds in 0u64..10_000 * 86_400_000) {
            let span = Duration::from_millis(milliseconds);
            proptest::prop_assert_eq!(Duration::parse(&span.to_string()).unwrap(), span);
        }
    }
}
