//! Notes: what they hold, from where, and for whom.

use super::*;
use crate::changelog::notes::{Notes, NotesInput, tag_message, variants};
use crate::commit::Types;
use crate::version::Channel;

const HISTORY: [&str; 6] = [
    "fix: b (#3)",
    "feat(door)!: move it\n\nBREAKING CHANGE: knock first\n\nthen enter\n\nMigration: call `knock()`\nbefore `enter()`.\n\nKnown issues: the bell is mute\n\nCo-authored-by: Eve <eve@example.com>",
    "chore(deps): raise serde",
    "docs: explain",
    "ci: faster",
    "feat: windows\n\nUpgrade: run `open --all`",
];

fn told(input: &NotesInput<'_>, variant: &str) -> String {
    let text = Notes::collect(input).unwrap().render_variant(variant).unwrap().unwrap();
    assert!(!text.contains("secret@") && !text.contains("eve@"), "{text}");
    text
}

#[test]
fn every_variant_tells_what_its_readers_need() {
    let version = v("1.2.0");
    let history = commits(&HISTORY);
    let site = Site::new("https://github.com/acme/app");
    let input = NotesInput {
        version: Some(&version),
        tag: Some("v1.2.0"),
        previous_tag: Some("v1.1.0"),
        date: Some(DAY),
        project: Some("app"),
        site: site.as_ref(),
        commits: &history,
        ..NotesInput::default()
    };
    for (name, _) in variants() {
        insta::assert_snapshot!(format!("notes-{name}"), told(&input, name));
    }
    assert_eq!(Notes::collect(&input).unwrap().render_variant("nobody"), Ok(None));
    // In one paragraph.
    assert_eq!(told(&input, "short").trim().lines().count(), 1);
    let candidate = v("1.2.0-rc.1");
    let draft = NotesInput { version: Some(&candidate), channel: Channel::Rc, ..input };
    assert!(told(&draft, "default").starts_with("> **Draft** of the notes of 1.2.0, as of 1.2.0-rc.1.\n\n"));
    assert!(!told(&input, "default").contains("Draft"));
    // With a suffix, and for production all the same.
    let hotfix = v("1.2.1-hotfix.1");
    let repaired = NotesInput { version: Some(&hotfix), channel: Channel::Hotfix, ..input };
    assert!(told(&repaired, "default").starts_with("Version 1.2.1-hotfix.1: "));
    assert_eq!(Notes::collect(&repaired).unwrap().draft_of, None);
}

#[test]
fn the_changelogs_words_come_first() {
    let version = v("1.2.0");
    let section = "Doors for all.\n\n### Added\n\n- A\n\n### Breaking Changes\n\n- **door:** Move it, and more\n- Second\n\n\
                   ### Upgrading\n\nStop, then start.\n\n#### Slowly\n\nWait.\n\n### Known issues\n\n- Draughts\n\n### Fixed\n- **BREAKING**: third\n- B\n";
    let history = commits(&HISTORY);
    let input = NotesInput {
        version: Some(&version),
        section: Some(section),
        commits: &history,
        changelog_url: Some("https://e.org"),
        ..NotesInput::default()
    };
    insta::assert_snapshot!("notes-from-changelog", told(&input, "default"));
    let plain = NotesInput {
        section: Some("### Added\n\n- A\n"),
        summary: Some("Doors."),
        commits: &[],
        changelog_url: None,
        ..input
    };
    assert_eq!(
        told(&plain, "default"),
        "Doors.\n\n## Breaking Changes\n\nNone.\n\n## Changes\n\n### Added\n\n- A\n"
    );
    assert_eq!(told(&plain, "users"), "Doors.\n\n### Added\n\n- A\n");
}

#[test]
fn the_changelogs_words_stand_with_what_only_the_commits_know() {
    let breaks = "feat!: new door\n\nBREAKING CHANGE: the old one is gone\n\nMigration: use the new one";
    let added =
        "### Breaking Changes\n\n- New door\n\n  the old one is gone\n\n  **Migration:** use the new one\n\n";
    let candidate = v("2.0.0-rc.1");
    let stable = v("2.0.0");
    for (version, section, history, expect) in [
        // Nothing to add: byte for byte.
        (&stable, "\n### Added\n\n* A\n\n\n* B\n\n", vec!["feat: a"], "### Added\n\n* A\n\n\n* B\n".to_owned()),
        (&stable, "### Removed\n\n- Old door\n", vec![breaks], format!("{added}### Removed\n\n- Old door\n")),
        (&stable, "Doors.\n\n#### Removed\n\n- Old\n", vec![breaks], format!("Doors.\n\n#{added}#### Removed\n\n- Old\n")),
        (&stable, "### Breaking\n\n- Doors\n", vec![breaks], "### Breaking\n\n- Doors\n".to_owned()),
        (&stable, "- A\n\n### Migration\n\nDo it.\n", vec![breaks], "- A\n\n### Migration\n\nDo it.\n".to_owned()),
        // An entry of one line has said what breaks, but not how to get over it.
        (&stable, "- **Breaking:** New door\n", vec!["feat!: new door"], "- **Breaking:** New door\n".to_owned()),
        (&stable, "- **Breaking:** New door\n", vec![breaks], format!("{added}- **Breaking:** New door\n")),
        (
            &stable,
            "- A\n",
            vec!["feat!: b", "fix!: c", "feat: d\n\nUpgrade: run it\n\nKnown issues: mute"],
            "### Breaking Changes\n\n- C\n- B\n\n### Upgrade Instructions\n\nrun it\n\n- A\n\n### Known Issues\n\n- mute\n".to_owned(),
        ),
        (&candidate, "- A\n", vec![], "> **Draft** of the notes of 2.0.0, as of 2.0.0-rc.1.\n\n- A\n".to_owned()),
    ] {
        let history = commits(&history);
        let input = NotesInput {
            version: Some(version),
            channel: Channel::of(version),
            section: Some(section),
            commits: &history,
            ..NotesInput::default()
        };
        assert_eq!(Notes::collect(&input).unwrap().in_words(), Some(expect), "{section:?}");
    }
    assert_eq!(Notes::collect(&NotesInput::default()).unwrap().in_words(), None);
}

#[test]
fn those_who_built_it_see_every_commit_beside_the_changelogs_words() {
    let history = commits(&["security: a", "fix(security): b", "fix: c"]);
    let input = NotesInput { section: Some("- A"), commits: &history, ..NotesInput::default() };
    let text = told(&input, "internal");
    for part in
        ["3 commits, by 2 people.", "## Security\n\n- **security:** B (", "- A (", "## Bug Fixes\n\n- C ("]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!told(&input, "default").contains("Bug Fixes"));
    let one = NotesInput { commits: &history[1..2], ..input };
    assert!(told(&one, "internal").contains("\n1 commit, by 1 person.\n"));
    let mut many = commits(&["fix: a"; 100]);
    for (at, commit) in many.iter_mut().enumerate() {
        commit.author_name = format!("Person {at}");
    }
    let input = NotesInput { commits: &many, ..NotesInput::default() };
    let text = told(&input, "default");
    assert!(text.contains("- and 60 more\n") && !text.contains("Person 50"), "{text}");
}

#[test]
fn a_part_of_the_project_is_no_type() {
    let history = commits(&["gui: add a door", "ci: faster", "gate: repair it"]);
    let input = NotesInput { commits: &history, ..NotesInput::default() };
    let titles = |input: &NotesInput<'_>| -> Vec<String> {
        let notes = Notes::collect(input).unwrap();
        notes.sections.iter().map(|section| section.title.clone()).collect()
    };
    assert_eq!(titles(&input), ["Other Changes", "Maintenance"]);
    assert!(told(&input, "default").contains("- Gate: repair it\n- Gui: add a door\n"));
    let own = Types::with(["gui", "gate"]);
    assert_eq!(titles(&NotesInput { types: Some(&own), ..input }), ["Maintenance"]);
}

#[test]
fn a_breaking_change_without_a_guide_is_found() {
    for (history, section, expect) in [
        (vec!["feat!: a", "fix!: b\n\nMigration: do c"], None, vec!["A"]),
        (vec!["feat!: a"], Some("### Migration\n\nDo it."), vec![]),
        (vec![], Some("- **Breaking:** x"), vec!["**Breaking:** x"]),
        (vec!["feat: a"], None, vec![]),
    ] {
        let history = commits(&history);
        let input = NotesInput { section, commits: &history, ..NotesInput::default() };
        let notes = Notes::collect(&input).unwrap();
        let found: Vec<&str> = notes.without_guide().iter().map(|one| one.text.as_str()).collect();
        assert_eq!(found, expect);
    }
}

#[test]
fn templates_of_ones_own_get_the_same_content() {
    let history = commits(&HISTORY);
    let version = v("1.2.0");
    let input = NotesInput { version: Some(&version), commits: &history, ..NotesInput::default() };
    let notes = Notes::collect(&input).unwrap();
    let template = Template::new("support.j2", "{{ version }}: {% for one in breaking %}{{ one.text }} -> {{ one.guide }}{% endfor %}\n\n{% for section in sections %}{{ section.title }}={{ section.entries | length }} {% endfor %}").unwrap();
    assert_eq!(
        notes.render(&template).unwrap(),
        "1.2.0: **door:** Move it -> call `knock()`\n  before `enter()`.\nNew Features=2 Bug Fixes=1 Dependencies=1 Documentation=1 Maintenance=1\n"
    );
}

#[test]
fn hostile_commits_stay_in_their_items() {
    let history = commits(&[
        "feat: <script>alert(1)</script>",
        "feat: # heading",
        "fix!: x\n\nBREAKING CHANGE: # heading\n\n<!-- comment\n\n[a](javascript:b)\n\n```\nopen",
        "feat: {{ version }} {% raw %}",
        "fix: \u{1b}[31mred\u{202e}",
    ]);
    let input = NotesInput { commits: &history, ..NotesInput::default() };
    for (name, _) in variants() {
        let text = told(&input, name);
        for bad in ["<script", "\n# ", "<!--", "](javascript:", "\u{1b}", "\u{202e}"] {
            assert!(!text.replace("\\<", "").replace("\\]", "").contains(bad), "{name} {bad}: {text}");
        }
    }
}

#[test]
fn a_tags_message_has_a_subject() {
    let version = v("1.2.0");
    assert_eq!(tag_message(&version, None, "## Fixed\n- A\n\n"), "Release v1.2.0\n\n## Fixed\n- A\n");
    assert_eq!(tag_message(&version, Some("Doors\n"), ""), "Release v1.2.0 — Doors\n");
}
