//! PEP 440: how Python spells a version, and the version that a Python spelling means.

use semver::{BuildMetadata, Prerelease};

use super::{Version, shown};

/// A version that cannot cross between Semantic Versioning and PEP 440.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Pep440Error {
    /// A suffix that PEP 440 has no word for.
    #[error(
        "{version} has no spelling in Python: PEP 440 knows alpha, beta, rc, dev and post (a hotfix) with one \
         number each, not `{part}`; use these channels, or keep the suffix out of Python's files with \
         `suffix_in_holders = false` under [version]"
    )]
    NoSpelling {
        /// The version.
        version: String,
        /// The part of it that has no spelling.
        part: String,
    },
    /// A text that PEP 440 does not allow, or that says more than a version of three numbers can.
    #[error(
        "`{text}` is not a version of three numbers as PEP 440 spells them: {problem}; such as 1.2.0 or 1.2.0rc1"
    )]
    NotAVersion {
        /// The text, made safe to show and shortened.
        text: String,
        /// What is wrong with it.
        problem: &'static str,
    },
}

/// How Python spells `version`, in PEP 440's normal form: `1.2.0-rc.1` is `1.2.0rc1`.
///
/// A suffix without a number has the number 0 there (`1.2.0-rc` is `1.2.0rc0`), and a hotfix is a post-release.
///
/// # Errors
/// When the suffix has no spelling there, such as `-next.3`.
pub fn spelling(version: &Version) -> Result<String, Pep440Error> {
    let refuse =
        |part: &str| Pep440Error::NoSpelling { version: shown(&version.to_string()), part: shown(part) };
    let mut text = format!("{}.{}.{}", version.major, version.minor, version.patch);
    let mut stage = None;
    let mut parts = version.pre.as_str().split('.').filter(|part| !part.is_empty()).peekable();
    while let Some(part) = parts.next() {
        // `rc1`, `rc.1` and `rc-1` are the same to Python.
        let word = part.trim_end_matches(|last: char| last.is_ascii_digit());
        let mut number = &part[word.len()..];
        if number.is_empty()
            && let Some(next) = parts.next_if(|next| next.bytes().all(|byte| byte.is_ascii_digit()))
        {
            number = next;
        }
        let suffix = Suffix::named(word.trim_end_matches('-')).ok_or_else(|| refuse(part))?;
        if stage.is_some_and(|stage| stage >= suffix.stage()) {
            return Err(refuse(part));
        }
        stage = Some(suffix.stage());
        text.push_str(suffix.spelling());
        text.push_str(without_zeros(number));
    }
    if !version.build.is_empty() {
        let build = version.build.as_str().to_ascii_lowercase().replace('-', ".");
        let segments: Vec<&str> = build.split('.').collect();
        if segments.iter().any(|segment| segment.is_empty()) {
            return Err(refuse(version.build.as_str()));
        }
        let numeric = |segment: &&str| segment.bytes().all(|byte| byte.is_ascii_digit());
        let normal: Vec<&str> = segments
            .into_iter()
            .map(|segment| if numeric(&segment) { without_zeros(segment) } else { segment })
            .collect();
        text = format!("{text}+{}", normal.join("."));
    }
    Ok(text)
}

/// The version that a Python spelling means, whether in normal form or not: `1.2.0rc1`, `1.2.0-RC_1` and `v1.2rc1`
/// are all `1.2.0-rc.1`.
///
/// # Errors
/// When PEP 440 does not allow the text, and when it has an epoch or more than three numbers.
pub fn parse(text: &str) -> Result<Version, Pep440Error> {
    let refuse = |problem| Pep440Error::NotAVersion { text: shown(text), problem };
    if text.len() > 256 {
        return Err(refuse("it is too long"));
    }
    let lower = text.trim().to_ascii_lowercase();
    let bare = lower.strip_prefix('v').unwrap_or(&lower);
    if bare.contains('!') {
        return Err(refuse("its epoch has no place there"));
    }
    let (public, local) = match bare.split_once('+') {
        Some((public, local)) => (public, Some(local)),
        None => (bare, None),
    };
    let mut cursor = Cursor { rest: public };
    let mut numbers = [0u64; 3];
    let mut count = 0;
    loop {
        let number = cursor.digits().ok_or_else(|| refuse("a number is missing"))?;
        let number = number.parse().map_err(|_| refuse("a number of it is too large"))?;
        match numbers.get_mut(count) {
            Some(place) => *place = number,
            None if number == 0 => {}
            None => return Err(refuse("it has more than three numbers")),
        }
        count += 1;
        if !cursor.next_is_number() {
            break;
        }
        cursor.skip('.');
    }
    let pre = cursor.suffixes().ok_or_else(|| refuse("its suffix is none that PEP 440 knows"))?;
    let pre = Prerelease::new(&pre).map_err(|_| refuse("its suffix is none that PEP 440 knows"))?;
    let build = match local {
        None => BuildMetadata::EMPTY,
        Some(local) => {
            let local = local.replace(['-', '_'], ".");
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.';
            if local.split('.').any(str::is_empty) || !local.bytes().all(plain) {
                return Err(refuse("what follows its + may hold only letters, digits and dots between them"));
            }
            BuildMetadata::new(&local).map_err(|_| refuse("what follows its + is not allowed"))?
        }
    };
    Ok(Version { pre, build, ..Version::new(numbers[0], numbers[1], numbers[2]) })
}

/// Whether Python reads `text` as `version`: `1.2.0rc0` and `1.2.0-rc` are the same to it.
pub fn is_same(version: &Version, text: &str) -> bool {
    let read = parse(text).and_then(|read| spelling(&read));
    read.is_ok_and(|read| spelling(version).is_ok_and(|spelt| spelt == read))
}

/// The suffixes PEP 440 has, in the order it writes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Suffix {
    Alpha,
    Beta,
    Candidate,
    Post,
    Dev,
}

impl Suffix {
    const WORDS: [(&'static str, Self); 13] = [
        // Longer words first: `alpha` must not be read as `a`.
        ("preview", Self::Candidate),
        ("hotfix", Self::Post),
        ("alpha", Self::Alpha),
        ("beta", Self::Beta),
        ("post", Self::Post),
        ("pre", Self::Candidate),
        ("rev", Self::Post),
        ("dev", Self::Dev),
        ("rc", Self::Candidate),
        ("a", Self::Alpha),
        ("b", Self::Beta),
        ("c", Self::Candidate),
        ("r", Self::Post),
    ];

    fn named(word: &str) -> Option<Self> {
        let word = word.to_ascii_lowercase();
        Self::WORDS.iter().find(|(known, _)| *known == word).map(|(_, suffix)| *suffix)
    }

    fn spelling(self) -> &'static str {
        match self {
            Self::Alpha => "a",
            Self::Beta => "b",
            Self::Candidate => "rc",
            Self::Post => ".post",
            Self::Dev => ".dev",
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Alpha => "alpha",
            Self::Beta => "beta",
            Self::Candidate => "rc",
            Self::Post => "hotfix",
            Self::Dev => "dev",
        }
    }

    /// Alpha, beta and candidate exclude each other; each of the others may follow.
    fn stage(self) -> u8 {
        match self {
            Self::Alpha | Self::Beta | Self::Candidate => 0,
            Self::Post => 1,
            Self::Dev => 2,
        }
    }
}

/// A place in a text that is being read.
struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    fn digits(&mut self) -> Option<&'a str> {
        let end = self.rest.find(|next: char| !next.is_ascii_digit()).unwrap_or(self.rest.len());
        let (digits, rest) = self.rest.split_at(end);
        self.rest = rest;
        (!digits.is_empty()).then_some(digits)
    }

    fn skip(&mut self, character: char) -> bool {
        let after = self.rest.strip_prefix(character);
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }

    fn next_is_number(&self) -> bool {
        self.rest.strip_prefix('.').is_some_and(|after| after.starts_with(|next: char| next.is_ascii_digit()))
    }

    fn separator(&mut self) -> bool {
        ['.', '-', '_'].into_iter().any(|separator| self.skip(separator))
    }

    /// The suffixes as Semantic Versioning writes them, without the hyphen; `None` when there is something else.
    fn suffixes(&mut self) -> Option<String> {
        let mut parts: Vec<String> = Vec::new();
        let mut stage = None;
        while !self.rest.is_empty() {
            let separated = self.separator();
            let (suffix, number) = match Suffix::WORDS.iter().find(|(word, _)| self.rest.starts_with(word)) {
                Some((word, suffix)) => {
                    self.rest = &self.rest[word.len()..];
                    let before = self.rest;
                    self.separator();
                    let number = self.digits();
                    if number.is_none() {
                        // The separator was not before a number, so it belongs to what follows.
                        self.rest = before;
                    }
                    (*suffix, number.unwrap_or("0"))
                }
                // `1.0-1` is PEP 440's other way to write a post-release.
                None if separated => (Suffix::Post, self.digits()?),
                None => return None,
            };
            if stage.is_some_and(|stage| stage >= suffix.stage()) {
                return None;
            }
            stage = Some(suffix.stage());
            parts.push(format!("{}.{}", suffix.word(), without_zeros(number)));
        }
        Some(parts.join("."))
    }
}

/// A number without the zeros before it; 0 for no number.
fn without_zeros(number: &str) -> &str {
    match number.trim_start_matches('0') {
        "" => "0",
        number => number,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn v(text: &str) -> Version {
        Version::parse(text).unwrap()
    }

    #[test]
    fn versions_have_one_spelling_and_come_back() {
        for (version, expect) in [
            ("1.2.0", "1.2.0"),
            ("1.2.0-alpha.1", "1.2.0a1"),
            ("1.2.0-beta.0", "1.2.0b0"),
            ("1.2.0-rc.12", "1.2.0rc12"),
            ("1.2.0-dev.3", "1.2.0.dev3"),
            ("1.2.1-hotfix.2", "1.2.1.post2"),
            ("1.2.0-rc.1.dev.4", "1.2.0rc1.dev4"),
            ("1.2.0-rc.1.hotfix.2.dev.4", "1.2.0rc1.post2.dev4"),
            ("1.2.0+linux.5", "1.2.0+linux.5"),
            ("2026.11.0-rc.1+a", "2026.11.0rc1+a"),
        ] {
            assert_eq!(spelling(&v(version)).as_deref(), Ok(expect), "{version}");
            assert_eq!(parse(expect), Ok(v(version)), "{expect}");
            assert!(is_same(&v(version), expect), "{expect}");
        }
    }

    #[test]
    fn spellings_that_are_not_normal_are_understood() {
        for (text, expect) in [
            ("1.2", "1.2.0"),
            ("1", "1.0.0"),
            ("1.2.0.0", "1.2.0"),
            ("2024.01.0", "2024.1.0"),
            ("v1.2.0", "1.2.0"),
            (" 1.2.0RC1\n", "1.2.0-rc.1"),
            ("1.2.0-rc_1", "1.2.0-rc.1"),
            ("1.2.0.rc.1", "1.2.0-rc.1"),
            ("1.2.0c1", "1.2.0-rc.1"),
            ("1.2.0preview1", "1.2.0-rc.1"),
            ("1.2.0pre", "1.2.0-rc.0"),
            ("1.2.0alpha", "1.2.0-alpha.0"),
            ("1.2.0rc007", "1.2.0-rc.7"),
            ("1.2.0-1", "1.2.0-hotfix.1"),
            ("1.2.0.rev2", "1.2.0-hotfix.2"),
            ("1.2.0dev", "1.2.0-dev.0"),
            ("1.2.0rc.dev2", "1.2.0-rc.0.dev.2"),
            ("1.2.0+ubuntu-1_2", "1.2.0+ubuntu.1.2"),
        ] {
            assert_eq!(parse(text), Ok(v(expect)), "{text}");
        }
        for (version, expect) in [
            ("1.2.0-rc", "1.2.0rc0"),
            ("1.2.0-rc1", "1.2.0rc1"),
            ("1.2.0-RC.1", "1.2.0rc1"),
            ("1.2.0-pre.1", "1.2.0rc1"),
            ("1.2.1-hotfix", "1.2.1.post0"),
            ("1.2.0+A-b.007", "1.2.0+a.b.7"),
        ] {
            assert_eq!(spelling(&v(version)).as_deref(), Ok(expect), "{version}");
            assert!(is_same(&v(version), expect), "{version}");
        }
        assert!(!is_same(&v("1.2.0"), "1.2.0rc1") && !is_same(&v("1.2.0"), "junk"));
    }

    #[test]
    fn what_cannot_cross_is_refused() {
        for version in [
            "1.2.0-next.1",
            "1.2.0-0",
            "1.2.0-rc.1.2",
            "1.2.0-rc.1.beta.2",
            "1.2.0-alpha.1.beta.2",
            "1.2.0-dev.1.rc.1",
            "1.2.0+a--b",
        ] {
            let error = spelling(&v(version)).unwrap_err().to_string();
            assert!(error.contains("has no spelling in Python"), "{version}: {error}");
        }
        for (text, expect) in [
            ("", "number is missing"),
            ("1..2", "none that PEP 440 knows"),
            ("1!1.2.0", "epoch"),
            ("1.2.3.4", "more than three"),
            ("1.2.0-next.1", "none that PEP 440 knows"),
            ("1.2.0rc1b2", "none that PEP 440 knows"),
            ("1.2.0-", "none that PEP 440 knows"),
            ("1.2.0+", "follows its +"),
            ("99999999999999999999.0", "too large"),
            ("1.2.0\u{1b}[31m", "none that PEP 440 knows"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(expect) && !error.contains('\u{1b}'), "{text}: {error}");
        }
        assert!(parse(&"1".repeat(9999)).is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = parse(&text);
        }

        #[test]
        fn nearly_right_text_does_not_panic(text in "[0-9.]{0,8}[-_.]?(a|rc|post|dev|é)?[-_.]?[0-9]{0,25}(\\+[a-z0-9._-]{0,5})?") {
            if let Ok(version) = parse(&text) {
                prop_assert!(is_same(&version, &text), "{text} {version}");
            }
        }

        #[test]
        fn a_spelling_comes_back(version in "[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}(-(alpha|beta|rc|dev|hotfix)\\.(0|[1-9][0-9]{0,3}))?") {
            if let Ok(version) = Version::parse(&version) {
                prop_assert_eq!(parse(&spelling(&version).unwrap()), Ok(version));
            }
        }
    }
}
