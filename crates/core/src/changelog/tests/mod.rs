//! Changelogs as people and tools write them.

mod fill;
mod generate;
mod lint;
mod notes;
mod promote;

use super::*;
use crate::commit::Commit;
use jiff::civil::{Date, date};
use proptest::prelude::*;

const DAY: Date = date(2025, 10, 15);

fn v(text: &str) -> Version {
    Version::parse(text).unwrap()
}

fn commits(messages: &[&str]) -> Vec<Commit> {
    messages
        .iter()
        .enumerate()
        .map(|(at, message)| Commit {
            id: format!("{at:040}"),
            author_name: ["Ann", "Bob", "renovate[bot]"][at % 3].to_owned(),
            author_email: "secret@example.com".to_owned(),
            message: (*message).to_owned(),
            ..Commit::default()
        })
        .collect()
}

/// Promotes 1.2.0, compares, and demotes back to the same bytes, with every line end and a byte order mark.
fn check(source: &str, expect: &str) {
    for (from, to) in [("\n", "\n"), ("\n", "\r\n"), ("\n", "\r")] {
        for mark in ["", "\u{feff}"] {
            let source = format!("{mark}{}", source.replace(from, to));
            let expect = format!("{mark}{}", expect.replace(from, to));
            let promoted = promote(&source, &v("1.2.0"), DAY, &PromoteOptions::default()).unwrap();
            assert_eq!(promoted, expect);
            assert_eq!(demote(&promoted, &v("1.2.0")).unwrap(), source);
        }
    }
}

#[test]
fn promotion_moves_the_content_and_nothing_else() {
    for (source, expect) in [
        (
            "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- A\n  more\n\n### Fixed\n- B\n\n## [1.1.0] - 2025-01-01\n\n- C\n",
            "# Changelog\n\n## [Unreleased]\n\n## [1.2.0] - 2025-10-15\n\n### Added\n\n- A\n  more\n\n### Fixed\n- B\n\n## [1.1.0] - 2025-01-01\n\n- C\n",
        ),
        // The file's own style: a v, no brackets, round brackets, a long dash, another level, no final newline.
        (
            "## [Unreleased]\n- A\n## [v1.1.0] - 2025-01-01\n",
            "## [Unreleased]\n\n## [v1.2.0] - 2025-10-15\n- A\n## [v1.1.0] - 2025-01-01\n",
        ),
        (
            "## Unreleased\n\n- A\n\n## 1.1.0 (2025-01-01)\n",
            "## Unreleased\n\n## 1.2.0 (2025-10-15)\n\n- A\n\n## 1.1.0 (2025-01-01)\n",
        ),
        (
            "## Unreleased\n\n- A\n\n## v1.1.0 – 2025-01-01\n",
            "## Unreleased\n\n## v1.2.0 – 2025-10-15\n\n- A\n\n## v1.1.0 – 2025-01-01\n",
        ),
        (
            "# Unreleased\n\n- A\n\n# Version 1.1.0\n",
            "# Unreleased\n\n# Version 1.2.0 - 2025-10-15\n\n- A\n\n# Version 1.1.0\n",
        ),
        (
            "# Unreleased\n\n## Added\n\n- A\n\n# 1.1.0\n\n## Fixed\n",
            "# Unreleased\n\n# 1.2.0 - 2025-10-15\n\n## Added\n\n- A\n\n# 1.1.0\n\n## Fixed\n",
        ),
        ("## Unreleased\n\n- A", "## Unreleased\n\n## 1.2.0 - 2025-10-15\n\n- A"),
        ("## [Non publié]\n\n- A\n", "## [Non publié]\n\n## [1.2.0] - 2025-10-15\n\n- A\n"),
        ("## [Unreleased] ##\n\n- A\n", "## [Unreleased] ##\n\n## [1.2.0] - 2025-10-15\n\n- A\n"),
        (
            "Unreleased\n---\n\n- A\n\n1.1.0 - 2025-01-01\n---\n",
            "Unreleased\n---\n\n## 1.2.0 - 2025-10-15\n\n- A\n\n1.1.0 - 2025-01-01\n---\n",
        ),
        (
            "## [Unreleased]\n- A\n## [1.1.0](https://e.org/compare/v1.0.0...v1.1.0) (2025-01-01)\n",
            "## [Unreleased]\n\n## [1.2.0](https://e.org/compare/v1.1.0...v1.2.0) (2025-10-15)\n- A\n## [1.1.0](https://e.org/compare/v1.0.0...v1.1.0) (2025-01-01)\n",
        ),
        (
            "## Unreleased\n- A\n## [1.1.0](https://e.org/x)\n",
            "## Unreleased\n\n## 1.2.0 - 2025-10-15\n- A\n## [1.1.0](https://e.org/x)\n",
        ),
        // Prose counts as content.
        ("## [Unreleased]\n\nRewritten.\n", "## [Unreleased]\n\n## [1.2.0] - 2025-10-15\n\nRewritten.\n"),
        // Templates, code and comments hold no releases.
        (
            "<!--\n## [1.2.0] - 2020-01-01\n-->\n\n```\n## [1.2.0]\n```\n\n## [Unreleased]\n\n- A\n  ```\n  ## [1.2.0]\n  ```\n\n## [x.y.z] - YYYY-MM-DD\n",
            "<!--\n## [1.2.0] - 2020-01-01\n-->\n\n```\n## [1.2.0]\n```\n\n## [Unreleased]\n\n## [1.2.0] - 2025-10-15\n\n- A\n  ```\n  ## [1.2.0]\n  ```\n\n## [x.y.z] - YYYY-MM-DD\n",
        ),
        // Links that compare tags.
        (
            "## [Unreleased]\n- A\n\n## [1.1.0] - 2025-01-01\n- B\n\n[unreleased]: https://e.org/compare/v1.1.0...HEAD\n[1.1.0]: https://e.org/compare/v1.0.0...v1.1.0\n",
            "## [Unreleased]\n\n## [1.2.0] - 2025-10-15\n- A\n\n## [1.1.0] - 2025-01-01\n- B\n\n[unreleased]: https://e.org/compare/v1.2.0...HEAD\n[1.2.0]: https://e.org/compare/v1.1.0...v1.2.0\n[1.1.0]: https://e.org/compare/v1.0.0...v1.1.0\n",
        ),
        (
            "## [Unreleased]\n- A\n\n[Unreleased]: https://e.org/-/compare/v1.1.0...main",
            "## [Unreleased]\n\n## [1.2.0] - 2025-10-15\n- A\n\n[Unreleased]: https://e.org/-/compare/v1.2.0...main\n[1.2.0]: https://e.org/-/compare/v1.1.0...v1.2.0",
        ),
        // Links to releases.
        (
            "## [Unreleased]\n- A\n\n## [1.1.0] - 2025-01-01\n- B\n\n[1.1.0]: https://e.org/releases/tag/v1.1.0",
            "## [Unreleased]\n\n## [1.2.0] - 2025-10-15\n- A\n\n## [1.1.0] - 2025-01-01\n- B\n\n[1.2.0]: https://e.org/releases/tag/v1.2.0\n[1.1.0]: https://e.org/releases/tag/v1.1.0",
        ),
        (
            "## [Unreleased]\n- A\n\n## [1.1.0]\n\n[1.1.0]: https://e.org/compare/v1.0.0...v1.1.0\n",
            "## [Unreleased]\n\n## [1.2.0] - 2025-10-15\n- A\n\n## [1.1.0]\n\n[1.2.0]: https://e.org/compare/v1.1.0...v1.2.0\n[1.1.0]: https://e.org/compare/v1.0.0...v1.1.0\n",
        ),
    ] {
        check(source, expect);
    }
}

#[test]
fn what_cannot_be_promoted_says_why() {
    for (source, expect) in [
        ("", "no `Unreleased` heading"),
        ("# Changelog\n\n```\n## [Unreleased]\n- A\n```\n", "no `Unreleased` heading"),
        ("<!--\n## [Unreleased]\n- A\n-->\n", "no `Unreleased` heading"),
        ("## [Unreleased]\n", "line 1: `Unreleased` holds no entry"),
        ("## [Unreleased]", "holds no entry"),
        (
            "# C\n\n## [Unreleased]\n\n<!-- write here -->\n\n### Added\n\n### Fixed\n\n## [1.1.0]\n- A\n",
            "line 3: `Unreleased` holds no entry",
        ),
        ("## [Unreleased]\n\n[Unreleased]: https://e.org/compare/a...b\n", "holds no entry"),
        ("## [Unreleased]\n- A\n## [1.2.0]\n", "already has a section for 1.2.0 on line 3"),
        ("## [Unreleased]\n- A\n## v1.2.0 (2020-01-01)\n", "already has a section for 1.2.0"),
        ("## [Unreleased]\n- A\n## [Unreleased]\n- B\n", "`Unreleased` twice, on lines 1 and 3"),
        (
            "## [Unreleased]\n<<<<<<< HEAD\n- A\n=======\n- B\n>>>>>>> topic\n",
            "line 2 of the changelog is a merge conflict",
        ),
        ("## [Unreleased]\n- A\n\n[1.2.0]: https://e.org\n", "line 4 already defines the link `[1.2.0]`"),
    ] {
        let error = promote(source, &v("1.2.0"), DAY, &PromoteOptions::default()).unwrap_err().to_string();
        assert!(error.contains(expect), "{source}\n{error}");
    }
    let huge = "x".repeat(LARGEST + 1);
    assert!(matches!(Changelog::parse(&huge), Err(ChangelogError::TooLarge { .. })));
}

#[test]
fn a_promotion_is_taken_back_only_when_nothing_came_since() {
    for (source, expect) in [
        ("## [Unreleased]\n- new\n\n## [1.2.0] - 2025-10-15\n- A\n", "line 4 cannot be moved back"),
        ("## [Unreleased]\n\n## [1.3.0]\n- B\n## [1.2.0]\n- A\n", "does not directly follow"),
        ("## [Unreleased]\n\n## [1.2.0]", "nothing is under it"),
        ("## [Unreleased]\n- A\n", "no section for 1.2.0"),
        ("## [1.2.0]\n- A\n", "no `Unreleased`"),
    ] {
        let error = demote(source, &v("1.2.0")).unwrap_err().to_string();
        assert!(error.contains(expect), "{source}\n{error}");
    }
}

#[test]
fn sections_are_read() {
    let source = "# Changelog\n\n## [Unreleased]\n\n## [v1.1.0] - 2025-01-02 [YANKED]\n\n### Added\n\n- A\n  more\n* B\n\n### Fixed\n1. C\n\n## 1.0.0\n\nFirst.\n\n[v1.1.0]: https://e.org/v1.1.0\n";
    let changelog = Changelog::parse(source).unwrap();
    let (section, release) = changelog.latest().unwrap();
    assert_eq!(
        (release.version.to_string(), release.date, release.yanked),
        ("1.1.0".to_owned(), Some(date(2025, 1, 2)), true)
    );
    assert_eq!(section.line, 5);
    let entries: Vec<_> =
        section.entries.iter().map(|entry| (entry.group.as_deref().unwrap(), entry.text.as_str())).collect();
    assert_eq!(entries, [("Added", "- A\n  more"), ("Added", "* B"), ("Fixed", "1. C")]);
    for entry in &section.entries {
        assert_eq!(source[entry.span.start..entry.span.end], entry.text);
    }
    assert_eq!(changelog.body(changelog.release(&v("1.0.0")).unwrap()), "\nFirst.\n\n");
    assert_eq!(extract(source, &v("1.0.0")).unwrap().as_deref(), Some("First."));
    assert_eq!(
        extract(source, &v("1.1.0")).unwrap().unwrap(),
        "### Added\n\n- A\n  more\n* B\n\n### Fixed\n1. C"
    );
    assert_eq!(extract(source, &v("9.0.0")).unwrap(), None);
    assert_eq!(changelog.links()[0].url, "https://e.org/v1.1.0");
}

#[test]
fn headings_of_many_styles_are_releases_or_not() {
    for (heading, expect) in [
        ("## [1.2.0] - 2025-10-15", Some("1.2.0")),
        ("## v1.2.0", Some("1.2.0")),
        ("## [1.2.0](https://e.org/compare/a...b) (2025-10-15)", Some("1.2.0")),
        ("### 1.2.1 (2025-10-15)", Some("1.2.1")),
        ("# Release 1.2.0-rc.1", Some("1.2.0-rc.1")),
        ("   ## 1.2.0", Some("1.2.0")),
        ("## 1.2.0, 2025-10-15", Some("1.2.0")),
        ("## [x.y.z] - YYYY-MM-DD", None),
        ("## [vX.Y.Z]", None),
        ("## Versioning", None),
        ("#### 1.2.0", None),
        ("    ## 1.2.0", None),
        ("##1.2.0", None),
        ("## 1.2", None),
    ] {
        let changelog = Changelog::parse(heading).unwrap();
        let found = changelog.latest().map(|(_, release)| release.version.to_string());
        assert_eq!(found.as_deref(), expect, "{heading}");
    }
}

#[test]
fn an_empty_unreleased_is_filled_from_commits() {
    let history = commits(&[
        "docs: nothing for users",
        "fix(api): close #4 in `a<b>`\n\nFixes #12",
        "feat!: move the door\n\nBREAKING CHANGE: knock first",
        "feat: add a <script> (#7)",
        "fix(security): check the lock",
        "perf: faster",
        "Merge branch 'topic'",
    ]);
    let source = "# Changelog\n\n## [Unreleased]\n\n### Added\n\n<!-- notes -->\n\n## [1.1.0] - 2025-01-01\n";
    let filled = fill_unreleased(source, &history, &EntryOptions::default()).unwrap();
    assert_eq!(
        filled,
        "# Changelog\n\n## [Unreleased]\n\n<!-- notes -->\n\n### Added\n\n- Add a \\<script> (#7)\n- **Breaking:** Move the door\n\n\
         ### Changed\n\n- Faster\n\n### Fixed\n\n- **api:** Close #4 in `a<b>` (#12)\n\n### Security\n\n- **security:** Check the lock\n\n\
         ## [1.1.0] - 2025-01-01\n"
    );
    assert_eq!(
        fill_unreleased(&filled, &commits(&["feat: late"]), &EntryOptions::default()).unwrap(),
        filled,
        "people's work stays"
    );
    assert_eq!(
        fill_unreleased(NEW_FILE, &commits(&["docs: a"]), &EntryOptions::default()).unwrap(),
        format!("{NEW_FILE}\n### Changed\n\n- Maintenance release without changes for users\n")
    );
    assert_eq!(
        fill_unreleased("## [Unreleased]", &commits(&["Tidy up", "Begin"]), &EntryOptions::default())
            .unwrap(),
        "## [Unreleased]\n\n### Changed\n\n- Begin\n- Tidy up\n"
    );
    assert_eq!(
        fill_unreleased(
            "# Unreleased\n\n## Added\n\n# 1.0.0\n",
            &commits(&["fix: a"]),
            &EntryOptions::default()
        )
        .unwrap(),
        "# Unreleased\n\n## Fixed\n\n- A\n\n# 1.0.0\n"
    );
    assert_eq!(
        fill_unreleased(
            "## Unreleased\n<!-- open\n## 1.0.0\n",
            &commits(&["fix: a"]),
            &EntryOptions::default()
        )
        .unwrap(),
        "## Unreleased\n\n### Fixed\n\n- A\n\n<!-- open\n## 1.0.0\n"
    );
    let windows = NEW_FILE.replace('\n', "\r\n");
    let filled = fill_unreleased(&windows, &commits(&["feat: a"]), &EntryOptions::default()).unwrap();
    assert_eq!(filled.matches('\n').count(), filled.matches("\r\n").count());
    assert_eq!(fill_unreleased("# C\n", &[], &EntryOptions::default()), Err(ChangelogError::NoUnreleased));
}

#[test]
fn hostile_commits_cannot_break_the_changelog() {
    let source = "## [Unreleased]\n\n## [1.0.0]\n\n- A\n";
    for message in [
        "feat: <!-- swallow",
        "feat: ```",
        "feat: x\u{1b}[2J",
        "feat: [1.0.0]: https://evil",
        "feat: ~~~",
        "feat: # [9.9.9]",
    ] {
        let filled = fill_unreleased(source, &commits(&[message]), &EntryOptions::default()).unwrap();
        let changelog = Changelog::parse(&filled).unwrap();
        assert_eq!(changelog.unreleased().unwrap().entries.len(), 1, "{filled}");
        assert_eq!(changelog.latest().unwrap().0.entries.len(), 1, "{filled}");
        assert!(!filled.contains('\u{1b}'));
        promote(&filled, &v("1.2.0"), DAY, &PromoteOptions::default()).unwrap();
    }
}

/// Changelogs of many habits, as text.
fn changelog() -> impl Strategy<Value = String> {
    let unreleased =
        prop::sample::select(vec!["## [Unreleased]", "## Unreleased", "# [unreleased]", "Unreleased\n---"]);
    let release = prop::sample::select(vec![
        "",
        "## [1.1.0] - 2025-01-01",
        "## v1.1.0 (2025-01-01)",
        "## [v1.1.0]",
        "## 1.1.0",
        "### 1.1.0 – 2025-01-01",
        "## [1.1.0](https://e.org/compare/a...b) (2025-01-01)",
        "## Other",
    ]);
    let links = prop::sample::select(vec![
        "",
        "[Unreleased]: https://e.org/compare/v1.1.0...HEAD",
        "[unreleased]: <https://e.org/compare/1.1.0..main> \"t\"\n[1.1.0]: https://e.org/compare/v1.0.0...v1.1.0",
        "[1.1.0]: https://e.org/releases/v1.1.0",
        "[v1.1.0]: https://e.org/compare/v1.0.0...v1.1.0",
        "[1.1.0]: https://e.org/1.1.0/1.1.0",
        "[Unreleased]: https://e.org/compare/...HEAD",
        "[other]: https://e.org\n[1.1.0]: https://e.org/tag/1.1.0\n",
    ]);
    let line = prop::sample::select(vec![
        "- A",
        "* B é",
        "  more",
        "",
        "",
        "### Added",
        "### Fixed",
        "Prose.",
        "```",
        "## [9.9.9]",
        "<!-- x -->",
        "<!--",
        "-->",
        "> quote",
        "    code",
        "---",
        "===",
        "1. C",
        "\t- tab",
        "[x]: https://e.org",
        "~~~",
        "- ```",
        "<div>",
        "#",
        "- ",
    ]);
    let lines = || prop::collection::vec(line.clone(), 0..8).prop_map(|lines| lines.join("\n"));
    let newline = prop::sample::select(vec!["\n", "\r\n", "\r"]);
    (lines(), unreleased, lines(), release, lines(), links, newline, any::<bool>(), any::<bool>()).prop_map(
        |(intro, unreleased, body, release, rest, links, newline, mark, end)| {
            let text = [intro.as_str(), unreleased, &body, release, &rest, "", links].join("\n");
            let text = format!("{}{text}{}", if mark { "\u{feff}" } else { "" }, if end { "\n" } else { "" });
            text.replace('\n', newline)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn promoted_and_demoted_is_the_same_bytes(source in changelog()) {
        let site = Site::new("https://github.com/acme/app");
        for options in [
            PromoteOptions::default(),
            PromoteOptions { site, allow_empty: true, ..PromoteOptions::default() },
        ] {
            if let Ok(promoted) = promote(&source, &v("1.2.0"), DAY, &options) {
                prop_assert!(promoted.len() > source.len());
                prop_assert_eq!(demote(&promoted, &v("1.2.0")).unwrap(), source.as_str());
            }
        }
    }

    #[test]
    fn filled_then_promoted_holds_an_entry(source in changelog()) {
        if let Ok(filled) = fill_unreleased(&source, &commits(&["feat: a"]), &EntryOptions::default()) {
            let again = Changelog::parse(&filled).unwrap();
            prop_assert!(again.unreleased().unwrap().has_content);
        }
        let history = commits(&["feat: a", "fix(door): b (#3)", "deprecate: c"]);
        if let Ok(appended) = append_unreleased(&source, &history, &EntryOptions::default()) {
            // Once more adds nothing, and what was there still is.
            let again = append_unreleased(&appended, &history, &EntryOptions::default());
            prop_assert_eq!(again.as_deref(), Ok(appended.as_str()));
            let mut kept = appended.chars();
            let read = Changelog::parse(&source).unwrap();
            let had_content = read.unreleased().unwrap().has_content;
            prop_assert!(!had_content || source.chars().all(|one| kept.any(|other| other == one)));
        }
    }

    #[test]
    fn nothing_panics(source in "(?s).{0,300}", lines in prop::collection::vec("(## )?\\[?(Unreleased|v?1\\.[12]\\.0)?\\]?[-:(#` <>!\r\n]{0,8}", 0..12)) {
        for source in [source, lines.join("\n")] {
            let _ = promote(&source, &v("1.2.0"), DAY, &PromoteOptions::default());
            let _ = demote(&source, &v("1.2.0"));
            let _ = fill_unreleased(&source, &commits(&["feat: a"]), &EntryOptions::default());
            let _ = append_unreleased(&source, &commits(&["feat: a"]), &EntryOptions::default());
            let options = LintOptions { today: Some(DAY), ..LintOptions::default() };
            for finding in lint(&source, &options) {
                let span = finding.span.unwrap_or_default();
                assert!(source.get(span.start..span.end).is_some(), "{finding:?}");
            }
        }
    }
}
