//! Commits read as Conventional Commits, leniently: whatever people wrote, something is understood.

mod lenient;
mod reverts;

pub use reverts::without_reverted;

use serde::{Deserialize, Serialize};

/// A commit as git gives it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Commit {
    /// The full hexadecimal object id.
    pub id: String,
    /// The author's name.
    pub author_name: String,
    /// The author's address. Never shown in notes.
    pub author_email: String,
    /// The whole message: subject, blank line, body.
    pub message: String,
    /// When it was committed, in seconds since 1970; 0 where nobody said.
    #[serde(default)]
    pub committed_at: i64,
}

impl Commit {
    /// The first line of the message.
    pub fn subject(&self) -> &str {
        self.message.trim_start().lines().next().unwrap_or("").trim_end()
    }

    /// The message understood.
    pub fn parse(&self) -> Conventional {
        parse(&self.message)
    }
}

/// A commit message understood.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Conventional {
    /// The type in lower case (`feat`); `None` where the message does not follow the convention.
    pub kind: Option<String>,
    /// The scope: `api` in `feat(api): ...`.
    pub scope: Option<String>,
    /// What breaks, when something does: the footer's text, else the description.
    pub breaking: Option<String>,
    /// The subject without type and scope.
    pub description: String,
    /// The text between subject and footers.
    pub body: Option<String>,
    /// The trailers, such as `Reviewed-by: Ann`.
    pub footers: Vec<Footer>,
    /// Issues and pull requests named, such as `#123` or `owner/project#5`, without repeats.
    pub references: Vec<String>,
    /// The id, maybe abbreviated, of the commit that this one takes back.
    pub reverts: Option<String>,
    /// Whether it joins branches. Its content is in the commits it joins, so it asks for nothing itself.
    pub merge: bool,
    /// The conventional lines of a squashed list, where the subject itself is not conventional.
    pub squashed: Vec<Conventional>,
}

impl Conventional {
    /// The changes told: the squashed ones, or this one.
    pub fn changes(&self) -> Vec<&Self> {
        if self.squashed.is_empty() { vec![self] } else { self.squashed.iter().collect() }
    }
}

/// A trailer of a commit message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Footer {
    /// The word before the separator.
    pub token: String,
    /// The text after it.
    pub value: String,
}

/// Reads a commit message. Never fails: an unconventional one has no `kind`.
pub fn parse(message: &str) -> Conventional {
    let text = lenient::normalize(message);
    let subject = text.lines().next().unwrap_or("");
    let mut commit = if lenient::is_merge(subject) {
        Conventional { merge: true, ..lenient::plain(&text) }
    } else if let Some(revert) = lenient::git_revert(&text) {
        revert
    } else {
        lenient::conventional(&text).unwrap_or_else(|| lenient::unconventional(&text))
    };
    if commit.breaking.is_none() && !commit.merge {
        commit.breaking = lenient::breaking_paragraph(&text);
    }
    if commit.reverts.is_none() && commit.kind.as_deref() == Some("revert") {
        commit.reverts = lenient::reverted_id(&text);
    }
    commit.references = lenient::references(&text, &commit);
    commit
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn summary(message: &str) -> String {
        let commit = parse(message);
        format!(
            "{}|{}|{}|{}",
            commit.kind.as_deref().unwrap_or("-"),
            commit.scope.as_deref().unwrap_or("-"),
            commit.breaking.as_deref().unwrap_or("-"),
            commit.description
        )
    }

    #[test]
    fn messages_are_understood() {
        for (message, expect) in [
            ("feat: add a door", "feat|-|-|add a door"),
            ("fix(api): close it", "fix|api|-|close it"),
            ("feat!: change", "feat|-|change|change"),
            ("Feat(API)!: change", "feat|API|change|change"),
            ("feat: a\n\nbody\n\nBREAKING CHANGE: the door moved", "feat|-|the door moved|a"),
            ("fix: a\n\nBREAKING-CHANGE: moved", "fix|-|moved|a"),
            ("feat: a\r\n\r\nbody\r\n\r\nBREAKING CHANGE: moved\r\n", "feat|-|moved|a"),
            // Leniencies.
            ("feat: a\nno blank line", "feat|-|-|a"),
            ("feat : spaced", "feat|-|-|spaced"),
            ("fix (api) : spaced", "fix|api|-|spaced"),
            ("feat(api):tight", "feat|api|-|tight"),
            ("fix(): empty scope", "fix|-|-|empty scope"),
            ("✨ feat: sparkle", "feat|-|-|sparkle"),
            (":bug: fix(ui): beetle", "fix|ui|-|beetle"),
            ("[ABC-12] feat: ticket", "feat|-|-|ticket"),
            ("\n\n  feat: late", "feat|-|-|late"),
            ("Merged PR 12: fix: squash of Azure", "fix|-|-|squash of Azure"),
            ("Change all\n\nBREAKING CHANGE: old clients stop", "-|-|old clients stop|Change all"),
            ("docs: x\n\nBREAKING CHANGES: plural", "docs|-|plural|x"),
            // Not conventional.
            ("Add a door", "-|-|-|Add a door"),
            ("Update README: the first part", "-|-|-|Update README: the first part"),
            ("https://example.com is down", "-|-|-|https://example.com is down"),
            ("fixup! feat: add a door", "-|-|-|fixup! feat: add a door"),
            ("Merge branch 'feat: x' into main", "-|-|-|Merge branch 'feat: x' into main"),
            ("", "-|-|-|"),
            ("feat:", "-|-|-|feat:"),
            ("feat(api: x", "-|-|-|feat(api: x"),
        ] {
            assert_eq!(summary(message), expect, "{message:?}");
        }
        assert!(parse("Merge pull request #12 from a/b\n\nfeat: title").merge);
        assert!(!parse("feat: merge two lists").merge);
    }

    #[test]
    fn reverts_name_their_target() {
        let id = "0123456789abcdef0123456789abcdef01234567";
        for (message, kind, target) in [
            (format!("Revert \"feat: a\"\n\nThis reverts commit {id}."), "revert", Some(id)),
            (format!("revert: feat: a\n\nThis reverts commit {id}."), "revert", Some(id)),
            ("revert: let us never\n\nRefs: 676104e, a215868".to_owned(), "revert", Some("676104e")),
            (format!("Reapply \"feat: a\"\n\nThis reverts commit {id}."), "feat", Some(id)),
            ("Revert \"feat: a\" (#5)".to_owned(), "revert", None),
            ("revert: x\n\nThis reverts commit zz.".to_owned(), "revert", None),
        ] {
            let commit = parse(&message);
            assert_eq!(
                (commit.kind.as_deref(), commit.reverts.as_deref()),
                (Some(kind), target),
                "{message:?}"
            );
        }
        assert_eq!(parse("Revert \"feat: a\" (#5)").description, "feat: a");
    }

    #[test]
    fn references_are_gathered_once() {
        for (message, expect) in [
            ("fix: a (#12)", vec!["#12"]),
            ("fix: a\n\nFixes #123", vec!["#123"]),
            ("fix: a\n\nFixes: #3, o/p#4\nRefs #3", vec!["#3", "o/p#4"]),
            ("fix: a\n\nthis closes #9 for good", vec!["#9"]),
            ("fix: a (#12)\n\nsee colour #ff0000 and x#y and #", vec!["#12"]),
            ("Merge pull request #12 from a/b", vec!["#12"]),
        ] {
            assert_eq!(parse(message).references, expect, "{message:?}");
        }
    }

    #[test]
    fn squashed_lists_are_opened() {
        let commit = parse(
            "Doors and windows (#7)\n\n* feat(door): add\n\n  body\n* fix!: close\n* note: not a type\n* tidy",
        );
        let told: Vec<_> = commit
            .changes()
            .iter()
            .map(|change| (change.kind.clone().unwrap(), change.breaking.is_some()))
            .collect();
        assert_eq!(told, [("feat".to_owned(), false), ("fix".to_owned(), true)]);
        assert_eq!(parse("feat: own (#7)\n\n* fix: inner").changes().len(), 1);
        assert_eq!(parse("feat: own (#7)\n\n* fix: inner").changes()[0].kind.as_deref(), Some("feat"));
    }

    #[test]
    fn footers_are_kept() {
        let commit = parse("feat: a\n\nbody\n\nReviewed-by: Ann\nCo-authored-by: Bob <bob@example.com>");
        let footers: Vec<_> =
            commit.footers.iter().map(|footer| (footer.token.as_str(), footer.value.as_str())).collect();
        assert_eq!(footers, [("Reviewed-by", "Ann"), ("Co-authored-by", "Bob <bob@example.com>")]);
        assert_eq!(commit.body.as_deref(), Some("body"));
        let plain = parse("Not conventional\n\nCo-authored-by: Bob <bob@example.com>");
        assert_eq!(plain.footers.len(), 1);
    }

    proptest! {
        #[test]
        fn nothing_panics(message in "(?s).{0,200}") {
            let _ = parse(&message);
        }

        #[test]
        fn nearly_conventional_text_does_not_panic(message in "[a-z]{0,4}(\\([a-zé ]{0,3}\\)?)?!?:? ?[a-zé\r\n#:*!-]{0,40}") {
            let _ = parse(&message);
        }
    }
}
