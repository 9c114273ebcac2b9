//! Channels: the maturity a version announces by its suffix.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

use super::{Version, shown};

/// How mature a release is, from least to most; a hotfix is stable, but hurried.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// Early: `1.0.0-alpha.1`.
    Alpha,
    /// Feature complete, under test: `1.0.0-beta.1`.
    Beta,
    /// Believed ready for production: `1.0.0-rc.1`.
    Rc,
    /// No suffix: `1.0.0`.
    #[default]
    Stable,
    /// An urgent repair, where the policy marks it: `1.0.1-hotfix`.
    Hotfix,
}

impl Channel {
    /// Every channel.
    pub const ALL: [Self; 5] = [Self::Alpha, Self::Beta, Self::Rc, Self::Stable, Self::Hotfix];

    /// The channel that the suffix of `version` names, with or without an ordinal;
    /// `None` for a suffix that is none of ours, such as `-next.4`.
    pub fn of(version: &Version) -> Option<Self> {
        if version.pre.is_empty() {
            return Some(Self::Stable);
        }
        let (label, rest) = version.pre.split_once('.').unwrap_or((version.pre.as_str(), "1"));
        let ordinal = !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit());
        match label.to_ascii_lowercase().as_str() {
            "alpha" if ordinal => Some(Self::Alpha),
            "beta" if ordinal => Some(Self::Beta),
            "rc" if ordinal => Some(Self::Rc),
            "hotfix" if ordinal => Some(Self::Hotfix),
            _ => None,
        }
    }

    /// Whether its releases are for testing. A hotfix is not: it goes to production.
    pub fn is_prerelease(self) -> bool {
        matches!(self, Self::Alpha | Self::Beta | Self::Rc)
    }

    /// Whether its releases may be called the latest one. A suffixed hotfix sorts below its patch, so it may not.
    pub fn is_latest(self) -> bool {
        self == Self::Stable
    }

    /// The channel's word, as suffixes and settings write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Alpha => "alpha",
            Self::Beta => "beta",
            Self::Rc => "rc",
            Self::Stable => "stable",
            Self::Hotfix => "hotfix",
        }
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A word that is not a channel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a channel; use alpha, beta, rc, stable or hotfix")]
pub struct UnknownChannel(pub String);

impl FromStr for Channel {
    type Err = UnknownChannel;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let lower = text.to_ascii_lowercase();
        Self::ALL
            .into_iter()
            .find(|channel| channel.as_str() == lower)
            .ok_or_else(|| UnknownChannel(shown(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_suffix_names_the_channel() {
        for (version, expect) in [
            ("1.0.0", Some(Channel::Stable)),
            ("1.0.0+build.5", Some(Channel::Stable)),
            ("1.0.0-alpha.1", Some(Channel::Alpha)),
            ("1.0.0-beta", Some(Channel::Beta)),
            ("1.0.0-rc.12", Some(Channel::Rc)),
            ("1.0.0-RC.1", Some(Channel::Rc)),
            ("0.0.1-hotfix", Some(Channel::Hotfix)),
            ("1.0.0-hotfix.2", Some(Channel::Hotfix)),
            ("22.2.0-next.4", None),
            ("1.0.0-rc.1.2", None),
            ("1.0.0-alpha.beta", None),
            ("1.0.0-0", None),
        ] {
            assert_eq!(Channel::of(&Version::parse(version).unwrap()), expect, "{version}");
        }
    }

    #[test]
    fn words_round_trip() {
        for channel in Channel::ALL {
            assert_eq!(channel.to_string().parse(), Ok(channel));
            assert_eq!(serde_json::to_value(channel).unwrap(), channel.as_str());
        }
        assert_eq!("Beta".parse(), Ok(Channel::Beta));
        assert!("nightly".parse::<Channel>().unwrap_err().to_string().contains("alpha, beta"));
        assert!(!Channel::Hotfix.is_prerelease() && !Channel::Hotfix.is_latest());
    }
}
