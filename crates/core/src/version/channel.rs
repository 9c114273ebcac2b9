//! Channels: the maturity a version announces by its suffix.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

use super::{Suffix, Version, shown};

/// How mature a release is, from least to most; a hotfix is stable, but hurried.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// For testing, under any other word: `1.0.0-next.4`, `1.0.0-canary.1`, `1.0.0-M1`.
    Preview,
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
    pub const ALL: [Self; 6] = [Self::Preview, Self::Alpha, Self::Beta, Self::Rc, Self::Stable, Self::Hotfix];

    /// The channel that the suffix of `version` names, with or without an ordinal. Whatever the suffix, a version
    /// with one is never taken for stable.
    pub fn of(version: &Version) -> Self {
        if version.pre.is_empty() {
            return Self::Stable;
        }
        let label = Suffix::of(version).map(|suffix| suffix.label.to_ascii_lowercase());
        match label.as_deref() {
            Some("alpha") => Self::Alpha,
            Some("beta") => Self::Beta,
            Some("rc") => Self::Rc,
            Some("hotfix") => Self::Hotfix,
            _ => Self::Preview,
        }
    }

    /// Whether its releases are for production: a version to count on from.
    pub fn is_released(self) -> bool {
        matches!(self, Self::Stable | Self::Hotfix)
    }

    /// Whether its releases are for testing. A hotfix is not: it goes to production.
    pub fn is_prerelease(self) -> bool {
        !self.is_released()
    }

    /// Whether its releases may be called the latest one. A suffixed hotfix sorts below its patch, so it may not.
    pub fn is_latest(self) -> bool {
        self == Self::Stable
    }

    /// The channel's word, as suffixes and settings write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Preview => "preview",
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
#[error(
    "`{0}` is not a channel; use alpha, beta, rc, stable, hotfix, or a word of [version] labels or of a tag that is there"
)]
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
            ("1.0.0", Channel::Stable),
            ("1.0.0+build.5", Channel::Stable),
            ("1.0.0-alpha.1", Channel::Alpha),
            ("1.0.0-beta", Channel::Beta),
            ("1.0.0-rc.12", Channel::Rc),
            ("1.0.0-RC.1", Channel::Rc),
            ("2.51.0-rc2", Channel::Rc),
            ("0.0.1-hotfix", Channel::Hotfix),
            ("1.0.0-hotfix.2", Channel::Hotfix),
            ("22.2.0-next.4", Channel::Preview),
            ("1.0.0-M1", Channel::Preview),
            ("1.0.0-rc.1.2", Channel::Preview),
            ("1.0.0-alpha.beta", Channel::Preview),
            ("1.0.0-0", Channel::Preview),
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
