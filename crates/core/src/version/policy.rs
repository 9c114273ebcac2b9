//! The rules a project sets for its version numbers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use super::{
    Bump, Calendar, Channel, Suffix, TagFormat, UnknownChannel, Version, VersionError, parse_version, shown,
};
use crate::config::Ordinals;

/// How a project numbers its releases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// How tags are named.
    pub tag_format: TagFormat,
    /// While the major number is 0, a breaking change raises the minor number instead of the major one.
    pub initial_development: bool,
    /// What a commit of each type asks for, over the defaults: feat is minor; fix, perf and revert are
    /// patch; every other type is none. A breaking change always asks for major.
    pub bump_rules: BTreeMap<String, Impact>,
    /// Hotfixes carry a `-hotfix` suffix instead of being a plain patch. Such a version sorts below the
    /// patch of the same number and is never the latest.
    pub hotfix_suffix: bool,
    /// The word of a channel's suffix, where it is not the channel's own.
    pub labels: BTreeMap<Channel, String>,
    /// How the releases of a pre-release channel are counted.
    pub ordinals: Ordinals,
    /// The calendar that numbers are taken from.
    pub calendar: Option<Calendar>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            tag_format: TagFormat::default(),
            initial_development: true,
            bump_rules: BTreeMap::new(),
            hotfix_suffix: false,
            labels: BTreeMap::new(),
            ordinals: Ordinals::Auto,
            calendar: None,
        }
    }
}

/// What one type of commit asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Impact {
    /// No release.
    None,
    /// A patch release.
    Patch,
    /// A minor release.
    Minor,
    /// A major release.
    Major,
}

impl Impact {
    /// The bump asked for, if any.
    pub fn bump(self) -> Option<Bump> {
        match self {
            Self::None => None,
            Self::Patch => Some(Bump::Patch),
            Self::Minor => Some(Bump::Minor),
            Self::Major => Some(Bump::Major),
        }
    }
}

impl Policy {
    /// What a commit of the type `kind` asks for; a breaking one asks for major whatever its type.
    pub fn bump_for(&self, kind: Option<&str>, breaking: bool) -> Option<Bump> {
        if breaking {
            return Some(Bump::Major);
        }
        let kind = kind?;
        match self.bump_rules.get(kind) {
            Some(impact) => impact.bump(),
            None => match kind {
                "feat" | "feature" => Some(Bump::Minor),
                "fix" | "perf" | "revert" => Some(Bump::Patch),
                _ => None,
            },
        }
    }

    /// The tag of `version`.
    pub fn tag(&self, version: &Version) -> String {
        match &self.calendar {
            Some(calendar) => self.tag_format.around(&calendar.spell(version)),
            None => self.tag_format.render(version),
        }
    }

    /// The version that `tag` stands for; `None` for other tags, such as `v2` or `vnext`.
    pub fn version_of(&self, tag: &str) -> Option<Version> {
        match &self.calendar {
            Some(calendar) => calendar.read(self.tag_format.within(tag)?),
            None => self.tag_format.version_of(tag),
        }
    }

    /// The version that somebody means by `text`: its tag, or the version with or without `v`; of a calendar with or
    /// without the zeros before its numbers.
    ///
    /// # Errors
    /// When it is none of these.
    pub fn version_meant(&self, text: &str) -> Result<Version, VersionError> {
        let text = text.trim();
        let dated = || self.calendar.as_ref()?.read(text.strip_prefix(['v', 'V']).unwrap_or(text));
        self.version_of(text).or_else(dated).map_or_else(|| parse_version(text), Ok)
    }

    /// The channel of `version`, by its suffix and the project's own words.
    pub fn channel(&self, version: &Version) -> Channel {
        let own = Suffix::of(version).and_then(|suffix| self.labelled(suffix.label));
        own.unwrap_or_else(|| Channel::of(version))
    }

    /// The word that the suffix of a channel carries.
    pub fn label(&self, channel: Channel) -> &str {
        self.labels.get(&channel).map_or(channel.as_str(), String::as_str)
    }

    /// The channel that is asked for by a word: a channel's own, one of the project's, or one that a version
    /// in `released` carries; then also the word as it is to be written.
    ///
    /// # Errors
    /// When nothing knows the word.
    pub fn channel_named<'a>(
        &self,
        word: &str,
        released: impl IntoIterator<Item = &'a Version>,
    ) -> Result<(Channel, Option<String>), UnknownChannel> {
        if let Some(channel) = self.labelled(word) {
            return Ok((channel, None));
        }
        if let Ok(channel) = word.parse() {
            return Ok((channel, None));
        }
        let seen = released
            .into_iter()
            .filter_map(Suffix::of)
            .find(|suffix| suffix.label.eq_ignore_ascii_case(word))
            .map(|suffix| suffix.label.to_owned());
        seen.map(|label| (Channel::Preview, Some(label))).ok_or_else(|| UnknownChannel(shown(word)))
    }

    fn labelled(&self, word: &str) -> Option<Channel> {
        self.labels.iter().find(|(_, label)| label.eq_ignore_ascii_case(word)).map(|(channel, _)| *channel)
    }

    /// What `bump` amounts to above `version`: in initial development a breaking change is a minor step.
    pub fn tempered(&self, version: &Version, bump: Bump) -> Bump {
        match bump {
            Bump::Major if self.initial_development && version.major == 0 => Bump::Minor,
            bump => bump,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_lie_over_the_defaults() {
        let policy: Policy =
            serde_json::from_str(r#"{"bump_rules": {"docs": "patch", "perf": "none", "feat": "patch"}}"#)
                .unwrap();
        for (kind, breaking, expect) in [
            (Some("docs"), false, Some(Bump::Patch)),
            (Some("perf"), false, None),
            (Some("feat"), false, Some(Bump::Patch)),
            (Some("fix"), false, Some(Bump::Patch)),
            (Some("chore"), false, None),
            (Some("chore"), true, Some(Bump::Major)),
            (None, false, None),
            (None, true, Some(Bump::Major)),
        ] {
            assert_eq!(policy.bump_for(kind, breaking), expect, "{kind:?} {breaking}");
        }
        assert!(serde_json::from_str::<Policy>(r#"{"tagformat": "x"}"#).is_err());
    }

    #[test]
    fn a_version_is_meant_by_its_tag_or_by_itself() {
        let api = Policy { tag_format: "api-v{version}".parse().unwrap(), ..Policy::default() };
        let dated = Policy { calendar: Some(Calendar::parse("YYYY.0M.MICRO").unwrap()), ..Policy::default() };
        for (policy, text, expect) in [
            (&api, "api-v1.0.0", Some("1.0.0")),
            (&api, " v1.0.0-rc.1", Some("1.0.0-rc.1")),
            (&api, "1.0.0", Some("1.0.0")),
            (&api, "lib-v1.0.0", None),
            (&api, "2026.09.3", None),
            (&dated, "v2026.09.3", Some("2026.9.3")),
            (&dated, "2026.09.3", Some("2026.9.3")),
            (&dated, "2026.9.3-rc.1", Some("2026.9.3-rc.1")),
            (&dated, "api-v2026.09.3", None),
            (&dated, "", None),
        ] {
            let meant = policy.version_meant(text).ok().map(|version| version.to_string());
            assert_eq!(meant.as_deref(), expect, "{text}");
        }
    }

    #[test]
    fn channels_have_the_words_of_the_project() {
        let policy = Policy { labels: [(Channel::Alpha, "next".to_owned())].into(), ..Policy::default() };
        let v = |text| Version::parse(text).unwrap();
        let released = [v("1.0.0-canary.3"), v("1.0.0-0")];
        for (word, expect) in [
            ("next", Some((Channel::Alpha, None))),
            ("NEXT", Some((Channel::Alpha, None))),
            ("alpha", Some((Channel::Alpha, None))),
            ("rc", Some((Channel::Rc, None))),
            ("Canary", Some((Channel::Preview, Some("canary".to_owned())))),
            ("nightly", None),
            ("", None),
        ] {
            assert_eq!(policy.channel_named(word, &released).ok(), expect, "{word}");
        }
        assert_eq!((policy.label(Channel::Alpha), policy.label(Channel::Rc)), ("next", "rc"));
        for (version, expect) in [
            ("1.0.0-next.1", Channel::Alpha),
            ("1.0.0-alpha.1", Channel::Alpha),
            ("1.0.0-canary.1", Channel::Preview),
            ("1.0.0", Channel::Stable),
        ] {
            assert_eq!(policy.channel(&v(version)), expect, "{version}");
        }
    }
}
