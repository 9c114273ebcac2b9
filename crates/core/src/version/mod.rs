//! Versions: what they are, how they rise, and where they are written.

mod calendar;
mod channel;
pub mod holder;
pub mod next;
pub mod package;
pub mod pep440;
mod policy;
mod suffix;
mod tag;

pub use calendar::{Calendar, CalendarError};
pub use channel::{Channel, UnknownChannel};
pub use policy::{Impact, Policy};
pub use semver::Version;
pub use suffix::{Suffix, order};
pub use tag::{TagFormat, TagFormatError};

use schemars::JsonSchema;
use semver::{BuildMetadata, Prerelease};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

use crate::text::sanitize_line;

/// Text that is not a version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a version: {problem}; write MAJOR.MINOR.PATCH, such as 1.4.0 or 1.4.0-rc.1")]
pub struct VersionError {
    /// The text as given, made safe to show and shortened.
    pub text: String,
    /// What is wrong with it.
    pub problem: String,
}

/// Reads `1.2.3` or `v1.2.3` as Semantic Versioning 2.0.0 defines it.
pub fn parse_version(text: &str) -> Result<Version, VersionError> {
    let refuse = |problem: String| VersionError { text: shown(text), problem };
    if text.len() > 256 {
        return Err(refuse(format!("it has {} bytes, the most is 256", text.len())));
    }
    let trimmed = text.trim();
    let bare = trimmed.strip_prefix(['v', 'V']).unwrap_or(trimmed);
    Version::parse(bare).map_err(|error| refuse(problem(bare).unwrap_or_else(|| error.to_string())))
}

/// How far a version rises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Bump {
    /// Compatible repairs: 1.2.3 to 1.2.4.
    Patch,
    /// Compatible additions: 1.2.3 to 1.3.0.
    Minor,
    /// Incompatible changes: 1.2.3 to 2.0.0.
    Major,
}

impl fmt::Display for Bump {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Patch => "patch",
            Self::Minor => "minor",
            Self::Major => "major",
        })
    }
}

impl FromStr for Bump {
    type Err = UnknownBump;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.to_ascii_lowercase().as_str() {
            "patch" => Ok(Self::Patch),
            "minor" => Ok(Self::Minor),
            "major" => Ok(Self::Major),
            _ => Err(UnknownBump(shown(text))),
        }
    }
}

/// A word that is not a kind of bump.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a kind of bump; use patch, minor or major")]
pub struct UnknownBump(pub String);

/// `version` raised, with the lower numbers reset and no pre-release or build suffix.
///
/// A pre-release whose core already is such a step becomes that core: 1.3.0-rc.1 raised by a minor is 1.3.0.
pub fn bump(version: &Version, bump: Bump) -> Version {
    let pending = !version.pre.is_empty();
    let (major, minor, patch) = (version.major, version.minor, version.patch);
    match bump {
        Bump::Patch if pending => core(version),
        Bump::Minor if pending && patch == 0 => core(version),
        Bump::Major if pending && patch == 0 && minor == 0 => core(version),
        // Saturating, because a hostile tag may carry u64::MAX; the result then collides with that tag
        // and is refused as existing.
        Bump::Patch => Version::new(major, minor, patch.saturating_add(1)),
        Bump::Minor => Version::new(major, minor.saturating_add(1), 0),
        Bump::Major => Version::new(major.saturating_add(1), 0, 0),
    }
}

/// `version` without its pre-release and build suffixes.
pub fn core(version: &Version) -> Version {
    Version {
        pre: Prerelease::EMPTY,
        build: BuildMetadata::EMPTY,
        ..Version::new(version.major, version.minor, version.patch)
    }
}

fn shown(text: &str) -> String {
    let line = sanitize_line(text);
    match line.char_indices().nth(60) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}

/// The plain-words account of the commonest mistakes; `None` leaves the parser's own words.
fn problem(bare: &str) -> Option<String> {
    if bare.is_empty() {
        return Some("it is empty".to_owned());
    }
    let end = bare.find(['-', '+']).unwrap_or(bare.len());
    let numbers: Vec<&str> = bare[..end].split('.').collect();
    if let Some(number) =
        numbers.iter().find(|number| number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()))
    {
        return Some(match number.is_empty() {
            true => "a number is missing between its dots".to_owned(),
            false => format!("`{}` is not a number", shown(number)),
        });
    }
    if numbers.len() != 3 {
        let plural = if numbers.len() == 1 { "" } else { "s" };
        return Some(format!("it has {} number{plural} where three are needed", numbers.len()));
    }
    if let Some(number) = numbers.iter().find(|number| number.len() > 1 && number.starts_with('0')) {
        return Some(format!("`{}` has a leading zero", shown(number)));
    }
    if let Some(number) = numbers.iter().find(|number| number.parse::<u64>().is_err()) {
        return Some(format!("`{}` is too large", shown(number)));
    }
    let suffix = &bare[end..];
    if suffix == "-" || suffix == "+" || suffix.starts_with("-+") || suffix.ends_with('+') {
        return Some("its suffix is empty".to_owned());
    }
    let (pre, build) = suffix.split_once('+').unwrap_or((suffix, ""));
    let identifiers = || pre.trim_start_matches('-').split('.').chain(build.split('.'));
    if let Some(identifier) = identifiers()
        .find(|identifier| !identifier.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'))
    {
        return Some(format!(
            "its suffix part `{}` may hold only letters, digits and hyphens",
            shown(identifier)
        ));
    }
    let zero = pre.trim_start_matches('-').split('.').find(|identifier| {
        identifier.len() > 1
            && identifier.starts_with('0')
            && identifier.bytes().all(|byte| byte.is_ascii_digit())
    });
    zero.map(|identifier| format!("its suffix part `{}` has a leading zero", shown(identifier)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn v(text: &str) -> Version {
        Version::parse(text).unwrap()
    }

    #[test]
    fn versions_are_accepted_with_or_without_a_v() {
        for (text, expect) in [
            ("1.2.3", "1.2.3"),
            ("v1.2.3", "1.2.3"),
            ("V1.2.3", "1.2.3"),
            (" 2.5.3\n", "2.5.3"),
            ("0.0.4", "0.0.4"),
            ("1.1.2-prerelease+meta", "1.1.2-prerelease+meta"),
            ("1.0.0-alpha", "1.0.0-alpha"),
            ("1.0.0-alpha.beta.1", "1.0.0-alpha.beta.1"),
            ("1.0.0-alpha0.valid", "1.0.0-alpha0.valid"),
            (
                "1.0.0-alpha-a.b-c-somethinglong+build.1-aef.1-its-okay",
                "1.0.0-alpha-a.b-c-somethinglong+build.1-aef.1-its-okay",
            ),
            ("2.0.0+build.1848", "2.0.0+build.1848"),
            ("1.2.3----RC-SNAPSHOT.12.9.1--.12", "1.2.3----RC-SNAPSHOT.12.9.1--.12"),
            ("1.0.0+0.build.1-rc.10000aaa-kk-0.1", "1.0.0+0.build.1-rc.10000aaa-kk-0.1"),
            ("1.0.0-0A.is.legal", "1.0.0-0A.is.legal"),
            ("18446744073709551615.0.0", "18446744073709551615.0.0"),
        ] {
            assert_eq!(
                parse_version(text).map(|version| version.to_string()).as_deref(),
                Ok(expect),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_not_a_version_is_refused_in_plain_words() {
        for (text, expect) in [
            ("", "empty"),
            ("v", "empty"),
            ("1", "1 number where"),
            ("1.2", "2 numbers where"),
            ("1.2.3.4", "4 numbers where"),
            ("1..3", "missing"),
            ("01.1.1", "`01` has a leading zero"),
            ("1.2.3-0123", "`0123` has a leading zero"),
            ("1.2.3-", "suffix is empty"),
            ("1.2.3+", "suffix is empty"),
            ("1.2.3-a..b", "empty"),
            ("1.2.3-alpha_beta", "`alpha_beta` may hold only"),
            ("1.2.3+a+b", "may hold only"),
            ("alpha", "`alpha` is not a number"),
            ("1.2.x", "`x` is not a number"),
            ("vv1.2.3", "`v1` is not a number"),
            ("99999999999999999999.0.0", "too large"),
            ("1.2.3\u{1b}[31m", "is not a"),
        ] {
            let error = parse_version(text).unwrap_err().to_string();
            assert!(error.contains(expect), "{text}: {error}");
            assert!(!error.contains('\u{1b}'));
        }
        assert!(parse_version(&"1".repeat(9999)).unwrap_err().to_string().len() < 300);
    }

    #[test]
    fn precedence_follows_semver() {
        let rising = [
            "0.9.9",
            "1.0.0-0",
            "1.0.0-2",
            "1.0.0-11",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-hotfix",
            "1.0.0-rc.1",
            "1.0.0",
            "1.0.1",
            "1.10.0",
            "2.0.0",
        ];
        for pair in rising.windows(2) {
            assert!(v(pair[0]) < v(pair[1]), "{pair:?}");
        }
        assert!(v("1.0.0+a").cmp_precedence(&v("1.0.0+b")).is_eq());
    }

    #[test]
    fn bumps_reset_what_is_below() {
        for (from, by, expect) in [
            ("1.0.0", Bump::Patch, "1.0.1"),
            ("1.0.1", Bump::Minor, "1.1.0"),
            ("1.1.0", Bump::Major, "2.0.0"),
            ("1.2.9", Bump::Patch, "1.2.10"),
            ("0.3.4", Bump::Major, "1.0.0"),
            ("1.2.3+meta", Bump::Patch, "1.2.4"),
            ("1.3.0-rc.1", Bump::Patch, "1.3.0"),
            ("1.3.0-rc.1", Bump::Minor, "1.3.0"),
            ("1.3.1-rc.1", Bump::Minor, "1.4.0"),
            ("2.0.0-rc.1", Bump::Major, "2.0.0"),
            ("2.1.0-rc.1", Bump::Major, "3.0.0"),
        ] {
            assert_eq!(bump(&v(from), by).to_string(), expect, "{from} {by}");
        }
        assert!(Bump::Patch < Bump::Minor && Bump::Minor < Bump::Major);
        assert_eq!("Minor".parse(), Ok(Bump::Minor));
        assert!("huge".parse::<Bump>().is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = parse_version(&text);
        }

        #[test]
        fn a_bump_is_always_above(major in 0u64..99, minor in 0u64..99, patch in 0u64..99, suffix in "(-(alpha|rc)\\.[1-9])?") {
            let from = v(&format!("{major}.{minor}.{patch}{suffix}"));
            for by in [Bump::Patch, Bump::Minor, Bump::Major] {
                prop_assert!(bump(&from, by) > from);
            }
        }
    }
}
