//! Tag names: how a version is spelt in git.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use super::{Version, shown};

/// The name of a version's tag: text around `{version}`, such as `v{version}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct TagFormat {
    prefix: String,
    suffix: String,
}

const PLACE: &str = "{version}";

impl TagFormat {
    /// Reads a pattern that holds `{version}` once and makes legal tag names.
    pub fn parse(pattern: &str) -> Result<Self, TagFormatError> {
        let refuse = |problem: &str| TagFormatError { pattern: shown(pattern), problem: problem.to_owned() };
        if pattern.len() > 200 {
            return Err(refuse("it is longer than 200 bytes"));
        }
        let Some((prefix, suffix)) = pattern.split_once(PLACE) else {
            return Err(refuse("it does not hold `{version}`"));
        };
        if suffix.contains(PLACE) {
            return Err(refuse("it holds `{version}` more than once"));
        }
        // git-check-ref-format(1), plus a leading hyphen: git commands would read it as an option.
        let forbidden = |character: char| {
            character.is_whitespace() || character.is_control() || r"~^:?*[\{}".contains(character)
        };
        let name = format!("{prefix}0{suffix}");
        if name.contains(forbidden) {
            return Err(refuse(
                r"a tag name may not hold blanks, control characters or any of ~ ^ : ? * [ \ { }",
            ));
        }
        if name.starts_with(['-', '/', '.']) || name.ends_with(['/', '.']) || name.ends_with(".lock") {
            return Err(refuse("a tag name may not start with - / . nor end with / . or .lock"));
        }
        if ["..", "//", "@{", "/."].iter().any(|part| name.contains(part)) || name.contains(".lock/") {
            return Err(refuse("a tag name may not hold .. // /. @{ or .lock/"));
        }
        Ok(Self { prefix: prefix.to_owned(), suffix: suffix.to_owned() })
    }

    /// The tag of `version`.
    pub fn render(&self, version: &Version) -> String {
        self.around(&version.to_string())
    }

    /// The tag that has `text` in the place of the version.
    pub(super) fn around(&self, text: &str) -> String {
        format!("{}{text}{}", self.prefix, self.suffix)
    }

    /// What `tag` has in the place of the version.
    pub(super) fn within<'a>(&self, tag: &'a str) -> Option<&'a str> {
        let text = tag.strip_prefix(self.prefix.as_str())?.strip_suffix(self.suffix.as_str())?;
        (text.len() <= 256).then_some(text)
    }

    /// The version that `tag` stands for; `None` for other tags, such as `v2` or `vnext`, and for one that marks a way back:
    /// `v1.2.0-rollback` has the form of a pre-release, and no version was released by it.
    pub fn version_of(&self, tag: &str) -> Option<Version> {
        let version = Version::parse(self.within(tag)?).ok()?;
        (version.pre.split('.').next() != Some("rollback")).then_some(version)
    }

    /// The same format with or without the `v` before the number, where that is all there is before it.
    pub fn twin(&self) -> Option<Self> {
        let prefix = match self.prefix.as_str() {
            "" => "v",
            "v" => "",
            _ => return None,
        };
        Some(Self { prefix: prefix.to_owned(), suffix: self.suffix.clone() })
    }

    /// The format that `tag` would follow, when it holds a version at its end: `api-1.2.0` follows `api-{version}`.
    pub fn guess(tag: &str) -> Option<Self> {
        if tag.len() > 256 {
            return None;
        }
        let start = tag
            .char_indices()
            .filter(|(at, character)| {
                character.is_ascii_digit() && !tag[..*at].ends_with(|before: char| before.is_ascii_digit())
            })
            .map(|(at, _)| at)
            .find(|at| Version::parse(&tag[*at..]).is_ok())?;
        Self::parse(&format!("{}{PLACE}", &tag[..start])).ok()
    }
}

impl TagFormat {
    /// The formats that `tags` would follow, the most frequent first, each with how many do and the first that does.
    pub fn guess_all<'a>(tags: impl Iterator<Item = &'a str>) -> Vec<(Self, usize, &'a str)> {
        let mut found: HashMap<Self, (usize, &str)> = HashMap::new();
        for tag in tags {
            if let Some(format) = Self::guess(tag) {
                found.entry(format).or_insert((0, tag)).0 += 1;
            }
        }
        let mut found: Vec<_> =
            found.into_iter().map(|(format, (count, example))| (format, count, example)).collect();
        found.sort_by(|(one, most, _), (other, fewer, _)| {
            fewer.cmp(most).then_with(|| one.prefix.cmp(&other.prefix))
        });
        found
    }

    /// The package whose tags these would be: `api` for `api-v{version}`, `api/{version}` and `api@{version}`. `None`
    /// where nothing but a word such as `release` stands before the version.
    pub fn package(&self) -> Option<&str> {
        let bare = self.prefix.strip_suffix(['v', 'V']).unwrap_or(&self.prefix);
        let name = bare.strip_suffix(['-', '/', '@', '_'])?;
        let is_name = !name.is_empty() && !name.ends_with(|last: char| !last.is_alphanumeric());
        let is_word = ["release", "releases", "version", "ver", "rel", "v"].contains(&name);
        (is_name && !is_word && self.suffix.is_empty()).then_some(name)
    }
}

impl Default for TagFormat {
    fn default() -> Self {
        Self { prefix: "v".to_owned(), suffix: String::new() }
    }
}

impl fmt::Display for TagFormat {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}{PLACE}{}", self.prefix, self.suffix)
    }
}

impl FromStr for TagFormat {
    type Err = TagFormatError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl TryFrom<String> for TagFormat {
    type Error = TagFormatError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<TagFormat> for String {
    fn from(format: TagFormat) -> Self {
        format.to_string()
    }
}

/// A pattern that cannot name tags.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{pattern}` is not a tag format: {problem}; write one such as `v{{version}}`")]
pub struct TagFormatError {
    /// The pattern as given, made safe to show and shortened.
    pub pattern: String,
    /// What is wrong with it.
    pub problem: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_rendered_and_read_back() {
        for (pattern, tag, expect) in [
            ("v{version}", "v1.2.3", Some("1.2.3")),
            ("v{version}", "v1.2.3-rc.1", Some("1.2.3-rc.1")),
            ("v{version}", "1.2.3", None),
            ("v{version}", "v1.2.3-rollback", None),
            ("v{version}", "v1.2.3-rollback.2", None),
            ("v{version}", "v1.2.3-rollbacks", Some("1.2.3-rollbacks")),
            ("v{version}", "v2", None),
            ("v{version}", "vnext", None),
            ("v{version}", "v1.2.3.4", None),
            ("v{version}", "", None),
            ("{version}", "1.2.3", Some("1.2.3")),
            ("{version}", "v1.2.3", None),
            ("api/v{version}", "api/v0.1.0", Some("0.1.0")),
            ("v{version}-web", "v1.0.0-web", Some("1.0.0")),
            ("release-{version}", "release-", None),
        ] {
            let format = TagFormat::parse(pattern).unwrap();
            let version = format.version_of(tag);
            assert_eq!(version.as_ref().map(Version::to_string).as_deref(), expect, "{pattern} {tag}");
            if let Some(version) = version {
                assert_eq!(format.render(&version), tag);
            }
            assert_eq!(format.to_string(), pattern);
        }
        assert_eq!(TagFormat::default().to_string(), "v{version}");
    }

    #[test]
    fn patterns_that_cannot_name_tags_are_refused() {
        for pattern in [
            "",
            "v",
            "{version}{version}",
            "-{version}",
            "--upload-pack={version}",
            "a b{version}",
            "v{version}.lock",
            "v{version}/",
            "..{version}",
            "a..{version}",
            "v{version}^{}",
            "\u{1b}{version}",
            "x:{version}",
            "/{version}",
            "a/.{version}",
            "{tag}{version}",
        ] {
            let error = TagFormat::parse(pattern).unwrap_err();
            assert!(!error.to_string().contains('\u{1b}'), "{pattern}: {error}");
        }
        assert!(serde_json::from_str::<TagFormat>("\"v\"").is_err());
        assert_eq!(serde_json::to_string(&TagFormat::default()).unwrap(), "\"v{version}\"");
    }

    #[test]
    fn the_most_frequent_format_comes_first() {
        for (tags, expect) in [
            (vec!["a/-0.1.0", "a-0.1.0", "a-0.2.0"], "a-{version} 2 a, a/-{version} 1 -"),
            (vec!["@x/y@1.0.0", "api-v1.0.0", "nightly"], "@x/y@{version} 1 @x/y, api-v{version} 1 api"),
            (vec!["release-1.0.0", "1.0.0", "1.1.0"], "{version} 2 -, release-{version} 1 -"),
        ] {
            let found = TagFormat::guess_all(tags.iter().copied());
            let told: Vec<String> = found
                .iter()
                .map(|(format, count, _)| format!("{format} {count} {}", format.package().unwrap_or("-")))
                .collect();
            assert_eq!(told.join(", "), expect, "{tags:?}");
        }
    }

    #[test]
    fn the_format_of_a_foreign_tag_is_guessed() {
        for (tag, expect) in [
            ("1.2.0", Some("{version}")),
            ("release-1.2.0", Some("release-{version}")),
            ("py3-v1.2.0-rc.1", Some("py3-v{version}")),
            ("nightly", None),
            ("2024-01", None),
        ] {
            assert_eq!(TagFormat::guess(tag).map(|format| format.to_string()).as_deref(), expect, "{tag}");
        }
    }
}
