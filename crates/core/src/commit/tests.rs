//! Messages as people, hosts and tools write them.

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
        assert_eq!((commit.kind.as_deref(), commit.reverts.as_deref()), (Some(kind), target), "{message:?}");
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
        assert_eq!(names(message), expect, "{message:?}");
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
    assert_eq!(told, [("feat".into(), false), ("fix".into(), true)]);
    assert_eq!(parse("feat: own (#7)\n\n* fix: inner").changes().len(), 1);
    assert_eq!(parse("feat: own (#7)\n\n* fix: inner").changes()[0].kind.as_deref(), Some("feat"));
}

#[test]
fn footers_are_kept() {
    let commit = parse("feat: a\n\nbody\n\nReviewed-by: Ann\nCo-authored-by: Bob <bob@example.com>");
    let footers: Vec<_> =
        commit.footers.iter().map(|footer| (footer.token.as_ref(), footer.value.as_ref())).collect();
    assert_eq!(footers, [("Reviewed-by", "Ann"), ("Co-authored-by", "Bob <bob@example.com>")]);
    assert_eq!(commit.body.as_deref(), Some("body"));
    let plain = parse("Not conventional\n\nCo-authored-by: Bob <bob@example.com>");
    assert_eq!(plain.footers.len(), 1);
}

fn names(message: &str) -> Vec<String> {
    parse(message).references.into_iter().map(|reference| reference.name.into_owned()).collect()
}

/// References as `action name`, one after the other.
fn acted(message: &str) -> String {
    let told: Vec<String> = parse(message)
        .references
        .iter()
        .map(|reference| format!("{} {}", reference.action.as_deref().unwrap_or("-"), reference.name))
        .collect();
    told.join(", ")
}

// The tables below state what the suite of conventional-commits-parser shows, in our words; what is configuration
// there, or another decision here, stands in docs/decisions/0010-commits.md.

#[test]
fn headers_as_other_parsers_read_them() {
    for (message, expect) in [
        ("feat(list): allow a separator\nno blank line\n\nCloses #1", "feat|list|-|allow a separator"),
        ("feat(doors/front): open", "feat|doors/front|-|open"),
        ("feat(@org/front-door): open", "feat|@org/front-door|-|open"),
        ("feat(ng:door): open", "feat|ng:door|-|open"),
        ("feat(a$b.c-d*e f): open", "feat|a$b.c-d*e f|-|open"),
        ("feat(doors/front)!: open", "feat|doors/front|open|open"),
        ("feat!(front): open", "feat|front|open|open"),
        ("ABC-12: feat(door): open", "feat|door|-|open"),
        ("ABC-12: open", "abc-12|-|-|open"),
        ("header", "-|-|-|header"),
        (" header ", "-|-|-|header"),
        ("\n\n\n\nfeat(door): open\n\n\n\n\nbody\n\n\n", "feat|door|-|open"),
        ("Merged PR 1: feat(door): open\r\n\r\nbody\r\n\r\nSee merge request !1", "feat|door|-|open"),
        ("Merge branch 'feature'\nHEADER", "-|-|-|Merge branch 'feature'"),
    ] {
        assert_eq!(summary(message), expect, "{message:?}");
    }
    for message in [
        "Merge pull request #1 from ann/feature/door\n\nfeat(door): open\n\nbody",
        "Merge branch 'feature/door' into 'main'\r\n\r\nfeat(door): open\r\n\r\nSee merge request !1",
        "Merge branch 'feature'",
    ] {
        let commit = parse(message);
        assert!(commit.merge && commit.kind.is_none() && commit.breaking.is_none(), "{message:?}");
    }
    assert_eq!(acted("Merge pull request #1 from ann/door\n\nfeat: open"), "- #1");
}

#[test]
fn bodies_and_footers_as_other_parsers_read_them() {
    for (message, body, footers, breaking) in [
        ("header", None, vec![], None),
        (
            "feat: a\nbla\n\nCloses #1\nCloses #2\nFixes #3\n",
            Some("bla"),
            vec!["Closes=#1", "Closes=#2", "Fixes=#3"],
            None,
        ),
        (
            "feat!: a\n\nBREAKING CHANGE: b.\n\nFixes #14.",
            None,
            vec!["BREAKING CHANGE=b.", "Fixes=#14."],
            Some("b."),
        ),
        (
            "feat!: a\n\nBREAKING CHANGE: b.\nThis fixes #14.\nMore.",
            None,
            vec!["BREAKING CHANGE=b.\nThis fixes #14.\nMore."],
            Some("b.\nThis fixes #14.\nMore."),
        ),
        (
            "feat!: a\n\nBREAKING CHANGE: b.\n\nReviewed-by: Z",
            None,
            vec!["BREAKING CHANGE=b.", "Reviewed-by=Z"],
            Some("b."),
        ),
        (
            "test: a\n\nthe body\n\nFoo: Foo: trailer\nBar: footer",
            Some("the body"),
            vec!["Foo=Foo: trailer", "Bar=footer"],
            None,
        ),
        (
            "feat: a\n\nBREAKING CHANGE: gone in\norder, see #4, so\nread it.",
            None,
            vec!["BREAKING CHANGE=gone in\norder, see #4, so\nread it."],
            Some("gone in\norder, see #4, so\nread it."),
        ),
        (
            "chore(deps): raise a\n\nRaises a.\n\n---\nupdated:\n- dependency-name: a\n  dependency-type: direct\n...\n\nSigned-off-by: bot <a@b.c>",
            Some("Raises a.\n\n---\nupdated:\n- dependency-name: a\n  dependency-type: direct\n..."),
            vec!["Signed-off-by=bot <a@b.c>"],
            None,
        ),
        // Words that a line break left at a line's start.
        (
            "docs: for 5.0.0\nbreaking changes #2\n\n- rewrite\n  breaking-change footers",
            Some("breaking changes #2\n\n- rewrite\n  breaking-change footers"),
            vec![],
            None,
        ),
        ("feat: a\n\nBREAKING CHANGE was discussed.", Some("BREAKING CHANGE was discussed."), vec![], None),
        ("feat: a\n\nThis is a breaking change: no.", Some("This is a breaking change: no."), vec![], None),
        ("feat: a\nb\n   BREAKING CHANGE: indented", Some("b\n   BREAKING CHANGE: indented"), vec![], None),
        // Several notes, blank lines and code in them, and what comes after.
        (
            "feat: a\n\nb\n\n\nc\n\n\nBREAKING CHANGE: one\n\n\nBREAKING-CHANGE: two\n\n\n```\ncode\n```\n\nCloses #1\n\n\ncloses #2\n\n",
            Some("b\n\n\nc"),
            vec!["BREAKING CHANGE=one", "BREAKING CHANGE=two\n\n\n```\ncode\n```", "Closes=#1", "closes=#2"],
            Some("one\n\ntwo\n\n\n```\ncode\n```"),
        ),
        (
            "fix: a\n\nFixes #7\n\n* BREAKING CHANGE:\n\nBefore\nit was.\nCloses #9",
            None,
            vec!["Fixes=#7", "BREAKING CHANGE=Before\nit was.", "Closes=#9"],
            Some("Before\nit was."),
        ),
        (
            "feat: a\nb\nBREAKING CHANGE:\none\ntwo\nCloses #1, #12\nclosed #2",
            Some("b"),
            vec!["BREAKING CHANGE=one\ntwo", "Closes=#1, #12", "closed=#2"],
            Some("one\ntwo"),
        ),
        (
            "feat: a\nb\nCloses #1\nBREAKING CHANGE: c\nd",
            Some("b"),
            vec!["Closes=#1", "BREAKING CHANGE=c\nd"],
            Some("c\nd"),
        ),
        ("feat!: a\nBREAKING CHANGE: c", None, vec!["BREAKING CHANGE=c"], Some("c")),
        (
            "feat: a\n\nbreaking change: said softly",
            None,
            vec!["BREAKING CHANGE=said softly"],
            Some("said softly"),
        ),
        ("feat: a\n\n**BREAKING CHANGE:** in bold", None, vec!["BREAKING CHANGE=in bold"], Some("in bold")),
        ("feat: a\n\nBREAKING CHANGE:", None, vec!["BREAKING CHANGE="], Some("a")),
        // Ours: how to come to the new version, over paragraphs.
        (
            "feat!: a\n\nBREAKING CHANGE: b\n\nBefore: x\nAfter: y\n\nMigration:\n\n1. Stop.\n2. Start.\n\nThen rest.\n\nRefs: #1",
            None,
            vec![
                "BREAKING CHANGE=b\n\nBefore: x\nAfter: y",
                "Migration=1. Stop.\n2. Start.\n\nThen rest.",
                "Refs=#1",
            ],
            Some("b\n\nBefore: x\nAfter: y"),
        ),
        ("feat: a\n\nNote: prose\n\nmore", Some("Note: prose\n\nmore"), vec![], None),
        ("feat: a\n\nFixes #7\n\nlong story", Some("Fixes #7\n\nlong story"), vec!["Fixes=#7"], None),
    ] {
        let commit = parse(message);
        let told: Vec<String> =
            commit.footers.iter().map(|footer| format!("{}={}", footer.token, footer.value)).collect();
        assert_eq!(commit.body.as_deref(), body, "{message:?}");
        assert_eq!(told, footers, "{message:?}");
        assert_eq!(commit.breaking.as_deref(), breaking, "{message:?}");
        let windows = message.replace('\n', "\r\n");
        assert_eq!(parse(&windows).footers, commit.footers, "{windows:?}");
    }
    let commit = parse("feat!: a\n\nMigration guide: run it\n\nUpgrade: then this");
    assert_eq!(commit.guides().collect::<Vec<_>>(), ["run it", "then this"]);
}

#[test]
fn references_as_other_parsers_read_them() {
    for (message, expect) in [
        ("feat: a\n\nCloses #1\nCloses #2\nFixes #3\n", "Closes #1, Closes #2, Fixes #3"),
        ("Subject #1", "- #1"),
        ("feat: a\n\nThis fixes #14.\n", "fixes #14"),
        ("feat: a\n\nwhether or not to do this in #4, so", "- #4"),
        ("feat: a\n\nCloses #1\nCloses #1\nFixes #1", "Closes #1"),
        ("closes ann/doors.js#1", "closes ann/doors.js#1"),
        ("closes doors.js#1", "closes doors.js#1"),
        ("feat: a\n\nCloses #1, #12", "Closes #1, Closes #12"),
        (
            "feat: a\n\nfixed #3, Closes #10, Resolved #4 fixes doors#7",
            "fixed #3, Closes #10, Resolved #4, fixes doors#7",
        ),
        ("feat: a\n\n* #2\n* #3, and not sure about #4", "- #2, - #3, - #4"),
        ("chore: a", ""),
        (
            "feat: a\nrelates to #1 \nas https://e.org/o/p#readme says, \nsee https://e.org/o/p/issues/1#comment-4",
            "relates #1",
        ),
        ("fix: a (#27), b (#30)", "- #27, - #30"),
        ("fix: a #JIRA-123, #MY-OTHER-12 and #CU-123abc", "- #JIRA-123, - #MY-OTHER-12, - #CU-123abc"),
        ("fix: a #MY-€#%#&-123, C#7 and #ff0000", ""),
        ("fix: fixes #3", "fixes #3"),
        ("a #1 #2, b #3; ann/doors#4", "- #1, - #2, - #3, - ann/doors#4"),
        ("feat: a (#1)\n\nFixes: #1", "Fixes #1"),
    ] {
        assert_eq!(acted(message), expect, "{message:?}");
    }
    let commit = parse("fix: a\n\nCloses ann/doors.js#12");
    let reference = &commit.references[0];
    assert_eq!(
        (reference.owner(), reference.repository(), reference.issue(), reference.leading),
        (Some("ann"), Some("doors.js"), "12", false)
    );
    assert_eq!(
        (parse("fix #1").references[0].repository(), parse("fix #1").references[0].leading),
        (None, true)
    );
}

#[test]
fn mentions_are_of_people() {
    for (text, expect) in [
        ("@Ann\n@release-crew @bob\n@this is", vec!["Ann", "release-crew", "bob", "this"]),
        ("by <@ann>, (@bob), [@cy], {@some_one}", vec!["ann", "bob", "cy", "some_one"]),
        ("Ann <ann@example.com>, a@b", vec![]),
        ("@ alone", vec![]),
    ] {
        assert_eq!(mentions(text).collect::<Vec<_>>(), expect, "{text:?}");
    }
}

#[test]
fn long_messages_are_cut_at_a_character() {
    assert!(parse(&"é".repeat(LONGEST)).description.len() <= LONGEST);
    assert_eq!(parse(&format!("feat: a\n\n{}", "x\n".repeat(LONGEST))).kind.as_deref(), Some("feat"));
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
