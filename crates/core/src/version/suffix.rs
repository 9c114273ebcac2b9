//! Suffixes: the label and the ordinal a pre-release carries, and the order people count them in.

use std::cmp::Ordering;

use super::Version;

/// The suffix of a version, as far as it is a word and maybe a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suffix<'a> {
    /// The word: `rc` in `1.0.0-rc.1`.
    pub label: &'a str,
    /// What stands between word and number: `.`, `-` or nothing.
    pub separator: &'a str,
    /// The number, where there is one.
    pub ordinal: Option<u64>,
}

impl<'a> Suffix<'a> {
    /// The suffix of `version`; `None` for a version without one and for one that is not a word and a number,
    /// such as `-0` or `-rc.1.2`.
    pub fn of(version: &'a Version) -> Option<Self> {
        let text = version.pre.as_str();
        let word = text.trim_end_matches(|last: char| last.is_ascii_digit());
        let digits = &text[word.len()..];
        let (label, separator) = match word.strip_suffix(['.', '-']) {
            _ if digits.is_empty() => (word, ""),
            Some(label) => (label, &word[label.len()..]),
            None => (word, ""),
        };
        let is_word = label.starts_with(|first: char| first.is_ascii_alphabetic())
            && label.split('.').all(|part| !part.bytes().all(|byte| byte.is_ascii_digit()))
            && !label.ends_with('-');
        // A number too large to count on counts as the largest.
        let ordinal = (!digits.is_empty()).then(|| digits.parse().unwrap_or(u64::MAX));
        is_word.then_some(Self { label, separator, ordinal })
    }
}

/// The order in which releases are counted: that of Semantic Versioning, but a number counts as a number also where
/// it follows a word directly. `1.0.0-rc10` comes after `1.0.0-rc9` here, as whoever tagged them meant.
pub fn order(one: &Version, other: &Version) -> Ordering {
    let core = |version: &Version| (version.major, version.minor, version.patch);
    let released = |version: &Version| version.pre.is_empty();
    core(one).cmp(&core(other)).then(released(one).cmp(&released(other))).then_with(|| {
        let (mut ones, mut others) = (one.pre.split('.'), other.pre.split('.'));
        loop {
            let ordering = match (ones.next(), others.next()) {
                (None, None) => return Ordering::Equal,
                (one, None) => return one.is_some().cmp(&false),
                (None, Some(_)) => return Ordering::Less,
                (Some(one), Some(other)) => identifiers(one, other),
            };
            if ordering.is_ne() {
                return ordering;
            }
        }
    })
}

fn identifiers(mut one: &str, mut other: &str) -> Ordering {
    let numeric = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    // Numbers alone are lower than words.
    let kinds = numeric(other).cmp(&numeric(one));
    if kinds.is_ne() {
        return kinds;
    }
    while !one.is_empty() || !other.is_empty() {
        let ((word, number, rest), (other_word, other_number, other_rest)) = (chunk(one), chunk(other));
        let ordering = word
            .cmp(other_word)
            .then_with(|| (number.len(), number).cmp(&(other_number.len(), other_number)))
            // `rc01` and `rc1` are one number; the text tells them apart.
            .then_with(|| (one.len() - rest.len()).cmp(&(other.len() - other_rest.len())));
        if ordering.is_ne() {
            return ordering;
        }
        (one, other) = (rest, other_rest);
    }
    Ordering::Equal
}

/// The word a text starts with, the number that follows it, without zeros before it, and the rest.
fn chunk(text: &str) -> (&str, &str, &str) {
    let word = text.find(|character: char| character.is_ascii_digit()).unwrap_or(text.len());
    let (word, rest) = text.split_at(word);
    let digits = rest.find(|character: char| !character.is_ascii_digit()).unwrap_or(rest.len());
    let (digits, rest) = rest.split_at(digits);
    (word, digits.trim_start_matches('0'), rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn v(text: &str) -> Version {
        Version::parse(text).unwrap()
    }

    #[test]
    fn suffixes_are_a_word_and_a_number() {
        for (version, expect) in [
            ("1.0.0-rc.1", Some(("rc", ".", Some(1)))),
            ("1.0.0-rc1", Some(("rc", "", Some(1)))),
            ("1.0.0-rc-1", Some(("rc", "-", Some(1)))),
            ("1.0.0-beta", Some(("beta", "", None))),
            ("1.0.0-M1", Some(("M", "", Some(1)))),
            ("22.2.0-next.0", Some(("next", ".", Some(0)))),
            ("1.0.0-alpha.beta", Some(("alpha.beta", "", None))),
            ("1.0.0-alpha.beta.3", Some(("alpha.beta", ".", Some(3)))),
            ("1.0.0-rc.99999999999999999999", Some(("rc", ".", Some(u64::MAX)))),
            ("1.0.0-rc.1.2", None),
            ("1.0.0-0", None),
            ("1.0.0-2024-01", None),
            ("1.0.0--", None),
            ("1.0.0", None),
        ] {
            let version = v(version);
            let suffix = Suffix::of(&version).map(|suffix| (suffix.label, suffix.separator, suffix.ordinal));
            assert_eq!(suffix, expect, "{version}");
        }
    }

    #[test]
    fn releases_are_counted_as_people_count() {
        let rising = [
            "0.9.9",
            "1.0.0-0",
            "1.0.0-2",
            "1.0.0-11",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.2",
            "1.0.0-alpha.10",
            "1.0.0-alpha.beta",
            "1.0.0-rc",
            "1.0.0-rc.1",
            "1.0.0-rc1",
            "1.0.0-rc1a",
            "1.0.0-rc2",
            "1.0.0-rc10",
            "1.0.0",
        ];
        for pair in rising.windows(2) {
            assert_eq!(order(&v(pair[0]), &v(pair[1])), Ordering::Less, "{pair:?}");
        }
    }

    proptest! {
        #[test]
        fn the_order_is_total(texts in prop::collection::vec("1\\.0\\.0(-[a0.1-]{1,6})?", 3)) {
            let versions: Vec<Version> = texts.iter().filter_map(|text| Version::parse(text).ok()).collect();
            for one in &versions {
                for two in &versions {
                    prop_assert_eq!(order(one, two), order(two, one).reverse());
                    prop_assert_eq!(order(one, two).is_eq(), one == two);
                    for three in &versions {
                        if order(one, two).is_lt() && order(two, three).is_lt() {
                            prop_assert!(order(one, three).is_lt(), "{one} {two} {three}");
                        }
                    }
                }
            }
        }
    }
}
