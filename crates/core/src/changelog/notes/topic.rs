//! What a commit is about, for notes made from commits.

use crate::commit::Conventional;

/// A heading of notes made from commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Topic {
    Features,
    Security,
    Fixes,
    Improvements,
    Dependencies,
    Testing,
    Documentation,
    Other,
    Internal,
}

impl Topic {
    pub(super) const ALL: [Self; 9] = [
        Self::Features,
        Self::Security,
        Self::Fixes,
        Self::Improvements,
        Self::Dependencies,
        Self::Testing,
        Self::Documentation,
        Self::Other,
        Self::Internal,
    ];

    pub(super) fn of(change: &Conventional<'_>) -> Self {
        let scope = change.scope.as_deref().unwrap_or("");
        match change.kind.as_deref() {
            None => Self::Other,
            Some("feat" | "feature") => Self::Features,
            Some("deps") => Self::Dependencies,
            Some("chore" | "build" | "fix") if matches!(scope, "deps" | "deps-dev") => Self::Dependencies,
            Some("security") => Self::Security,
            Some("fix" | "hotfix") if scope == "security" => Self::Security,
            Some("fix" | "hotfix") => Self::Fixes,
            Some("perf" | "refactor" | "revert" | "deprecate" | "deprecated" | "remove" | "removed") => {
                Self::Improvements
            }
            Some("test" | "tests") => Self::Testing,
            Some("docs" | "doc") => Self::Documentation,
            Some(_) => Self::Internal,
        }
    }

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Features => "New Features",
            Self::Security => "Security",
            Self::Fixes => "Bug Fixes",
            Self::Improvements => "Improvements",
            Self::Dependencies => "Dependencies",
            Self::Testing => "Testing",
            Self::Documentation => "Documentation",
            Self::Other => "Other Changes",
            Self::Internal => "Maintenance",
        }
    }

    /// Whether it is about what users see.
    pub(super) fn is_for_users(self) -> bool {
        matches!(self, Self::Features | Self::Security | Self::Fixes | Self::Improvements)
    }
}
