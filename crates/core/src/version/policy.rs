//! The rules a project sets for its version numbers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use super::{Bump, TagFormat, Version};

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
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            tag_format: TagFormat::default(),
            initial_development: true,
            bump_rules: BTreeMap::new(),
            hotfix_suffix: false,
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
}
