//! Types of commits: which words before a colon say what kind of change it is.

use std::collections::BTreeSet;

use super::{Commit, Conventional, header, listed, without_reverted};

/// Types in use beside those of the convention, on their own too seldom to be believed anywhere else.
const MORE: [&str; 12] = [
    "hotfix",
    "bugfix",
    "improvement",
    "release",
    "wip",
    "bench",
    "i18n",
    "l10n",
    "types",
    "dx",
    "workflow",
    "ops",
];

/// The known types, and a project's own. Any other word before a colon is a part of the project: `daemon: fix a leak`,
/// as git's own commits are written, follows no convention.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Types {
    own: BTreeSet<String>,
}

impl Types {
    /// The known types, and `own`, each with or without a scope in parentheses.
    pub fn with<'a>(own: impl IntoIterator<Item = &'a str>) -> Self {
        let kind = |text: &str| text.split('(').next().unwrap_or_default().trim().to_lowercase();
        Self { own: own.into_iter().map(kind).collect() }
    }

    /// Whether this word, in lower case, is a type.
    pub fn knows(&self, word: &str) -> bool {
        header::KNOWN.contains(&word) || MORE.contains(&word) || self.own.contains(word)
    }

    /// The commits that still count, newest first as given, each with its message understood by these types.
    pub fn told<'a>(&self, commits: &'a [Commit]) -> Vec<(&'a Commit, Conventional<'a>)> {
        let mut told = without_reverted(commits);
        for (commit, message) in &mut told {
            if message.kind.as_deref().is_some_and(|kind| !self.knows(kind)) {
                unconventional(commit, message);
            }
        }
        told
    }
}

/// Takes the subject as it stands, and opens the squashed list under it as under any such subject. What breaks still
/// does: nobody writes that by chance.
fn unconventional<'a>(commit: &'a Commit, message: &mut Conventional<'a>) {
    let subject = commit.subject();
    if message.breaking.as_ref() == Some(&message.description) {
        message.breaking = Some(subject.into());
    } else {
        // Where the subject itself breaks something, that must not be lost behind the list.
        message.squashed = listed(&commit.message);
    }
    message.kind = None;
    message.scope = None;
    message.description = subject.into();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_the_project_is_no_type() {
        let own = Types::with(["Motor", "gear(left)"]);
        for (message, types, expect) in [
            ("feat(api): a", &Types::default(), "feat/api/a/-"),
            ("hotfix: a", &Types::default(), "hotfix/-/a/-"),
            ("daemon: fix a leak", &Types::default(), "-/-/daemon: fix a leak/-"),
            ("git-gui(left): a", &Types::default(), "-/-/git-gui(left): a/-"),
            ("daemon!: drop v1", &Types::default(), "-/-/daemon!: drop v1/daemon!: drop v1"),
            ("daemon: a\n\nBREAKING CHANGE: b", &Types::default(), "-/-/daemon: a/b"),
            ("motor: a", &Types::default(), "-/-/motor: a/-"),
            ("motor: a", &own, "motor/-/a/-"),
            ("gear(right): a", &own, "gear/right/a/-"),
            ("plain", &own, "-/-/plain/-"),
        ] {
            let commits = [Commit { message: message.to_owned(), ..Commit::default() }];
            let told = types.told(&commits);
            let of = |text: &Option<std::borrow::Cow<'_, str>>| text.as_deref().unwrap_or("-").to_owned();
            let (_, one) = &told[0];
            let found =
                format!("{}/{}/{}/{}", of(&one.kind), of(&one.scope), one.description, of(&one.breaking));
            assert_eq!(found, expect, "{message}");
        }
    }
    #[test]
    fn a_squashed_list_is_opened_under_a_part_of_the_project() {
        for (message, expect) in [
            ("Work on doors (#7)\n\n* feat: a\n* fix!: b", "feat/a/- fix/b/b"),
            ("daemon: work on doors (#7)\n\n* feat: a\n* fix!: b", "feat/a/- fix/b/b"),
            ("daemon: work on doors (#7)\r\n\r\n* feat: a\r\n\r\nBREAKING CHANGE: b", "feat/a/b"),
            ("daemon: work on doors\n\n* daemon: a", "-/daemon: work on doors/-"),
            ("daemon!: drop v1\n\n* fix: a", "-/daemon!: drop v1/daemon!: drop v1"),
            ("feat: own\n\n* fix: a", "feat/own/-"),
        ] {
            let commits = [Commit { message: message.to_owned(), ..Commit::default() }];
            let told = Types::default().told(&commits);
            let of = |text: &Option<std::borrow::Cow<'_, str>>| text.as_deref().unwrap_or("-").to_owned();
            let changes = told[0].1.changes().iter();
            let found: Vec<String> = changes
                .map(|one| format!("{}/{}/{}", of(&one.kind), one.description, of(&one.breaking)))
                .collect();
            assert_eq!(found.join(" "), expect, "{message}");
        }
    }
}
