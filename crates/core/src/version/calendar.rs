//! Calendar versions: numbers taken from the day of the release.

use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Bump, Version, shown};

/// A pattern of two or three parts, such as `YYYY.0M.MICRO`. The parts are the three numbers of the version, the last
/// one 0 where there are two; zeros before a number are written in tags only, because no version may have them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Calendar {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Year,
    ShortYear { padded: bool },
    Month { padded: bool },
    Week { padded: bool },
    Day { padded: bool },
    Count(Bump),
}

const PARTS: [(&str, Part); 13] = [
    ("YYYY", Part::Year),
    ("YY", Part::ShortYear { padded: false }),
    ("0Y", Part::ShortYear { padded: true }),
    ("MM", Part::Month { padded: false }),
    ("0M", Part::Month { padded: true }),
    ("WW", Part::Week { padded: false }),
    ("0W", Part::Week { padded: true }),
    ("DD", Part::Day { padded: false }),
    ("0D", Part::Day { padded: true }),
    ("MAJOR", Part::Count(Bump::Major)),
    ("MINOR", Part::Count(Bump::Minor)),
    ("MICRO", Part::Count(Bump::Patch)),
    ("PATCH", Part::Count(Bump::Patch)),
];

impl Calendar {
    /// Reads a pattern.
    ///
    /// # Errors
    /// When it cannot number releases.
    pub fn parse(pattern: &str) -> Result<Self, CalendarError> {
        let refuse = |problem: String| CalendarError { pattern: shown(pattern), problem };
        let mut parts = Vec::new();
        for word in pattern.split('.') {
            let part = PARTS.iter().find(|(known, _)| *known == word).map(|(_, part)| *part);
            parts.push(part.ok_or_else(|| refuse(format!("`{}` is no part of a calendar", shown(word))))?);
        }
        if !(2..=3).contains(&parts.len()) {
            return Err(refuse("it needs two or three parts between dots".to_owned()));
        }
        if parts.iter().enumerate().any(|(at, part)| parts[..at].contains(part)) {
            return Err(refuse("it has a part twice".to_owned()));
        }
        if !parts.iter().any(|part| matches!(part, Part::Year | Part::ShortYear { .. })) {
            return Err(refuse("it has no year".to_owned()));
        }
        Ok(Self { parts })
    }

    /// The first version of `today`, or the one that follows `last` by a step of `bump` when that is of the same date.
    /// Where the pattern counts nothing, the date alone is the version.
    pub fn next(&self, last: Option<&Version>, bump: Bump, today: Date) -> Version {
        let by_week = self.parts.iter().any(|part| matches!(part, Part::Week { .. }));
        let first: Vec<u64> = self.parts.iter().map(|part| part.of(today, by_week).unwrap_or(0)).collect();
        let Some(last) = last.map(|last| [last.major, last.minor, last.patch]) else {
            return version(&first);
        };
        let dated =
            |(at, part): (usize, &Part)| part.of(today, by_week).is_none_or(|number| number == last[at]);
        if !self.parts.iter().enumerate().all(dated) {
            return version(&first);
        }
        // The counter that the step asks for, else the next smaller one, else the next larger.
        let counters = || {
            self.parts.iter().enumerate().filter_map(|(at, part)| match part {
                Part::Count(step) => Some((at, *step)),
                _ => None,
            })
        };
        let smaller = counters().filter(|(_, step)| *step <= bump).max_by_key(|(_, step)| *step);
        let Some((raised, step)) = smaller.or_else(|| counters().min_by_key(|(_, step)| *step)) else {
            return version(&first);
        };
        let mut numbers = last;
        numbers[raised] = numbers[raised].saturating_add(1);
        for (at, _) in counters().filter(|(_, other)| *other < step) {
            numbers[at] = 0;
        }
        version(&numbers)
    }

    /// Whether two releases of one date can have different numbers.
    pub fn counts(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Count(_)))
    }

    /// `version` as a tag writes it: `2026.04.1`.
    pub fn spell(&self, version: &Version) -> String {
        let numbers = [version.major, version.minor, version.patch];
        let parts: Vec<String> =
            self.parts.iter().zip(numbers).map(|(part, number)| part.spell(number)).collect();
        let mut text = parts.join(".");
        for (mark, suffix) in [('-', version.pre.as_str()), ('+', version.build.as_str())] {
            if !suffix.is_empty() {
                text.push(mark);
                text.push_str(suffix);
            }
        }
        text
    }

    /// The version that a tag's text means, its date padded or not.
    pub fn read(&self, text: &str) -> Option<Version> {
        let end = text.find(['-', '+']).unwrap_or(text.len());
        let (numbers, suffix) = text.split_at(end);
        let mut plain: Vec<&str> = Vec::new();
        for number in numbers.split('.') {
            if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            let bare = number.trim_start_matches('0');
            plain.push(if bare.is_empty() { "0" } else { bare });
        }
        if plain.len() != self.parts.len() {
            return None;
        }
        plain.resize(3, "0");
        Version::parse(&format!("{}{suffix}", plain.join("."))).ok()
    }
}

impl Part {
    /// Its number on a day; `None` for a counter. Where weeks are counted the year is the week's: the last days of
    /// December may be in the first week of the next.
    fn of(self, today: Date, by_week: bool) -> Option<u64> {
        let week = today.iso_week_date();
        let year = i64::from(if by_week { week.year() } else { today.year() });
        let number = match self {
            Self::Year => year,
            // Counted from 2000, as calver.org does, so that it goes on rising after 2099.
            Self::ShortYear { .. } => year - 2000,
            Self::Month { .. } => i64::from(today.month()),
            Self::Week { .. } => i64::from(week.week()),
            Self::Day { .. } => i64::from(today.day()),
            Self::Count(_) => return None,
        };
        Some(u64::try_from(number).unwrap_or(0))
    }

    fn spell(self, number: u64) -> String {
        match self {
            Self::ShortYear { padded: true }
            | Self::Month { padded: true }
            | Self::Week { padded: true }
            | Self::Day { padded: true } => format!("{number:02}"),
            _ => number.to_string(),
        }
    }
}

fn version(numbers: &[u64]) -> Version {
    let number = |at: usize| numbers.get(at).copied().unwrap_or(0);
    Version::new(number(0), number(1), number(2))
}

impl fmt::Display for Calendar {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, part) in self.parts.iter().enumerate() {
            let word = PARTS.iter().find(|(_, known)| known == part).map_or("", |(word, _)| *word);
            write!(formatter, "{}{word}", if at > 0 { "." } else { "" })?;
        }
        Ok(())
    }
}

impl FromStr for Calendar {
    type Err = CalendarError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Calendar {
    type Error = CalendarError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<Calendar> for String {
    fn from(calendar: Calendar) -> Self {
        calendar.to_string()
    }
}

/// A pattern that cannot number releases.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{pattern}` is not a calendar: {problem}; write two or three of YYYY, YY, 0Y, MM, 0M, WW, 0W, DD, 0D, MAJOR, \
     MINOR and MICRO with dots between, such as `YYYY.0M.MICRO`"
)]
pub struct CalendarError {
    /// The pattern as given, made safe to show and shortened.
    pub pattern: String,
    /// What is wrong with it.
    pub problem: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_day_and_the_last_release_give_the_number() {
        for (pattern, last, bump, today, version, tag) in [
            ("YYYY.0M.MICRO", "", Bump::Patch, "2026-04-09", "2026.4.0", "2026.04.0"),
            ("YYYY.0M.MICRO", "2026.4.0", Bump::Minor, "2026-04-30", "2026.4.1", "2026.04.1"),
            ("YYYY.0M.MICRO", "2026.4.7", Bump::Patch, "2026-05-01", "2026.5.0", "2026.05.0"),
            ("YYYY.MM.MICRO", "2025.12.3", Bump::Patch, "2026-01-01", "2026.1.0", "2026.1.0"),
            ("YY.MINOR.MICRO", "26.1.4", Bump::Minor, "2026-03-01", "26.2.0", "26.2.0"),
            ("YY.MINOR.MICRO", "26.1.4", Bump::Patch, "2026-03-01", "26.1.5", "26.1.5"),
            ("YY.MINOR.MICRO", "26.1.4", Bump::Major, "2026-03-01", "26.2.0", "26.2.0"),
            ("YY.MINOR.MICRO", "25.9.4", Bump::Patch, "2026-03-01", "26.0.0", "26.0.0"),
            ("0Y.0M", "", Bump::Patch, "2026-04-09", "26.4.0", "26.04"),
            ("0Y.0M", "26.4.0", Bump::Patch, "2026-04-09", "26.4.0", "26.04"),
            ("YYYY.0W.MICRO", "", Bump::Patch, "2026-01-05", "2026.2.0", "2026.02.0"),
            ("YYYY.0W.MICRO", "2025.52.1", Bump::Patch, "2025-12-29", "2026.1.0", "2026.01.0"),
            ("YYYY.MM.0D", "", Bump::Patch, "2026-11-07", "2026.11.7", "2026.11.07"),
            ("MAJOR.YYYY.MICRO", "3.2026.4", Bump::Major, "2026-11-07", "4.2026.0", "4.2026.0"),
        ] {
            let calendar = Calendar::parse(pattern).unwrap();
            let last = Version::parse(last).ok();
            let next = calendar.next(last.as_ref(), bump, today.parse().unwrap());
            assert_eq!(next.to_string(), version, "{pattern} {last:?} {today}");
            assert_eq!(calendar.spell(&next), tag);
            assert_eq!(calendar.read(tag), Some(next));
            assert_eq!(calendar.to_string(), pattern);
        }
    }

    #[test]
    fn suffixes_stay_and_other_texts_are_no_versions() {
        let calendar = Calendar::parse("YYYY.0M.MICRO").unwrap();
        let rc = calendar.read("2026.04.1-rc.2+x").unwrap();
        assert_eq!(
            (rc.to_string().as_str(), calendar.spell(&rc).as_str()),
            ("2026.4.1-rc.2+x", "2026.04.1-rc.2+x")
        );
        assert_eq!(calendar.read("2026.4.1"), calendar.read("2026.04.01"));
        for text in
            ["2026.04", "2026.04.1.2", "2026..1", "", "v2026.4.1", "2026.4.1-", "99999999999999999999.1.1"]
        {
            assert_eq!(calendar.read(text), None, "{text}");
        }
    }

    #[test]
    fn patterns_that_cannot_number_are_refused() {
        for (pattern, expect) in [
            ("", "no part"),
            ("YYYY", "two or three"),
            ("YYYY.MM.DD.MICRO", "two or three"),
            ("MAJOR.MINOR.MICRO", "no year"),
            ("YYYY.MICRO.PATCH", "twice"),
            ("yyyy.mm", "`yyyy` is no part"),
            ("YYYY.\u{1b}", "no part"),
        ] {
            let error = Calendar::parse(pattern).unwrap_err().to_string();
            assert!(error.contains(expect) && !error.contains('\u{1b}'), "{pattern}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = Calendar::parse(&text);
            let _ = Calendar::parse("YYYY.0M.MICRO").unwrap().read(&text);
        }

        #[test]
        fn the_next_is_above_on_this_day_and_later(days in 0i64..4000, later in 0i64..400, count in 0u64..50, step in 0usize..3) {
            let first: Date = "2020-01-01".parse().unwrap();
            let today = first.checked_add(jiff::Span::new().days(days)).unwrap();
            let bump = [Bump::Patch, Bump::Minor, Bump::Major][step];
            for pattern in ["YYYY.MM.MICRO", "YY.MINOR.MICRO", "YYYY.WW.MICRO"] {
                let calendar = Calendar::parse(pattern).unwrap();
                let mut last = calendar.next(None, bump, today);
                last.patch = count;
                prop_assert!(calendar.next(Some(&last), bump, today) > last);
                let later = today.checked_add(jiff::Span::new().days(later)).unwrap();
                prop_assert!(calendar.next(Some(&last), bump, later) > last, "{pattern} {last} {later}");
            }
        }
    }
}
