//! What is found in changelogs, and where.

use super::*;

/// Each finding as `line:column code message`.
fn found(source: &str) -> Vec<String> {
    let options = LintOptions { today: Some(DAY), ..LintOptions::default() };
    lint(source, &options)
        .into_iter()
        .map(|finding| {
            let (line, column) =
                finding.span.map_or((0, 0), |span| crate::diagnostic::line_and_column(source, span.start));
            format!("{line}:{column} {} {}", finding.code, finding.message)
        })
        .collect()
}

#[test]
fn findings_have_their_places() {
    let head = "## [Unreleased]\n\n";
    for (rest, expect) in [
        // Nothing wrong, templates and code included.
        (
            "## [1.1.0] - 2025-02-01\n\n### Added\n\n- A\n\n### Fixed\n\n- B\n\n## [1.0.0] - 2025-01-01 [YANKED]\n\n- C\n\n## [x.y.z] - YYYY-MM-DD\n",
            vec![],
        ),
        ("## 2.0.0 - 2025-03-01\n- A\n## 1.0.1 - 2025-02-01\n- A\n## 1.9.0 - 2025-01-01\n- A\n", vec![]),
        ("## 2.0.0 - 2025-03-01\n- A\n## 1.9.1 - 2025-04-01\n- A\n", vec![]),
        ("## 1.1.0 - 2025-03-01\n- A\n## 1.0.0 - 2025-03-01\n- A\n", vec![]),
        // Order.
        (
            "## 1.0.0 - 2025-03-01\n- A\n## 1.1.0 - 2025-04-01\n- A\n",
            vec!["5:1 order 1.1.0 stands below 1.0.0"],
        ),
        (
            "## 1.0.1 - 2025-03-01\n- A\n## 1.0.0 - 2025-04-01\n- A\n",
            vec!["3:1 date-order 1.0.1 is dated 2025-03-01, before 1.0.0 below it, which is of 2025-04-01"],
        ),
        ("## 1.0.0 - 2025-03-01\n- A\n## 1.1.0 - 2025-03-01\n- A\n", vec![]),
        (
            "## 1.0.0 - 2025-03-01\n- A\n## 1.0.1 - 2025-03-01\n- A\n",
            vec!["5:1 order 1.0.1 stands below 1.0.0"],
        ),
        // Dates.
        ("## 1.1.0\n- A\n\n## 1.0.0 - 2025-01-01\n- A\n", vec!["3:1 no-date the release 1.1.0 has no date"]),
        ("## 1.1.0\n- A\n\n## 1.0.0\n- A\n", vec!["3:1 no-date no release has a date"]),
        ("## 1.0.0\n- A\n", vec!["3:1 no-date no release has a date"]),
        ("## 1.0.0 - TBD\n- A\n", vec!["3:1 no-date no release has a date"]),
        ("## 1.0.0 - 2025-02-30\n- A\n", vec!["3:12 impossible-date there is no day 2025-02-30"]),
        ("## 1.0.0 (é 2025-13-01)\n- A\n", vec!["3:13 impossible-date there is no day 2025-13-01"]),
        (
            "## 1.0.0 (Jan 5, 2025) [yanked]\n- A\n",
            vec!["3:11 date-format `Jan 5, 2025` is not read as a date"],
        ),
        (
            "## 1.0.0 - 2025-10-16\n- A\n",
            vec!["3:12 future-date the release 1.0.0 is dated 2025-10-16, which is yet to come"],
        ),
        // Twice, empty, no version.
        (
            "## 1.0.0 - 2025-01-01\n- A\n## v1.0.0 - 2025-01-01\n- A\n",
            vec!["5:1 duplicate-heading `1.0.0` is here again: line 3 has it already"],
        ),
        (
            "## [unreleased]\n- A\n",
            vec!["3:1 duplicate-heading `Unreleased` is here again: line 1 has it already"],
        ),
        (
            "## 1.0.0 - 2025-01-01\n\n### Added\n",
            vec!["3:1 no-entry the release 1.0.0 has no entry", "5:1 empty-group `Added` has no entry"],
        ),
        (
            "## [1.2] - 2025-01-01\n- A\n",
            vec!["3:1 not-a-version `1.2` is not a version, so this is not read as a release"],
        ),
        // Groups.
        (
            "## 1.0.0 - 2025-01-01\n### Fixed\n- A\n### Added\n- B\n### Bug Fixes\n- C\n### fixed\n- D\n",
            vec![
                "6:1 group-order `Added` stands after `Fixed`",
                "8:1 unknown-group `Bug Fixes` is none of Keep a Changelog's groups",
                "10:1 duplicate-group the release 1.0.0 has `Fixed` twice",
            ],
        ),
        ("## 1.0.0 - 2025-01-01\n### Added\n#### Doors\n- A\n", vec![]),
        ("## 1.0.0 - 2025-01-01\n### Features\n- A\n", vec![]),
        ("## [1.0.0 Long Name](https://e.org) - 2025-01-01\n- A\n## 1.x.x\n", vec![]),
        // Conflicts.
        (
            "## 1.0.0 - 2025-01-01\n<<<<<<< HEAD\n- A\n=======\n- B\n>>>>>>> topic\n",
            vec![
                "4:1 conflict a merge was left unfinished here",
                "8:1 conflict a merge was left unfinished here",
            ],
        ),
    ] {
        let source = format!("{head}{rest}");
        assert_eq!(found(&source), expect, "{source}");
        let windows = source.replace('\n', "\r\n");
        assert_eq!(found(&windows), expect, "{windows:?}");
    }
    assert_eq!(
        found("# Changelog\n"),
        ["0:0 no-unreleased there is no section for what is not released yet"]
    );
    assert_eq!(
        found("## 1.0.0 - 2025-01-01\n- A\n## [Unreleased]\n"),
        ["3:1 order `Unreleased` stands below a release"]
    );
    let generated = LintOptions { generated: true, ..LintOptions::default() };
    assert_eq!(lint("# Changelog\n", &generated), []);
}

#[test]
fn links_are_checked() {
    let head = "## [Unreleased]\n\n## [1.1.0] - 2025-02-01\n- A\n\n## [1.0.0] - 2025-01-01\n- B\n\n";
    let (ten, last) =
        ("[1.0.0]: https://e.org/releases/tag/v1.0.0", "[Unreleased]: https://e.org/compare/v1.1.0...HEAD");
    let eleven = "[1.1.0]: https://e.org/compare/v1.0.0...v1.1.0";
    for (links, expect) in [
        (format!("{last}\n{eleven}\n{ten}\n"), vec![]),
        // Tags were named otherwise once.
        (format!("{last}\n[1.1.0]: https://e.org/compare/1.0.0...v1.1.0\n{ten}\n"), vec![]),
        (format!("{last}\n{eleven}\n[1.0.0]: https://e.org/compare/0a1b2c3...v1.0.0\n"), vec![]),
        (format!("{last}\n{ten}\n"), vec!["3:1 missing-link the link of `[1.1.0]` is not defined"]),
        (
            format!("[Unreleased]: https://e.org/compare/v1.0.0...HEAD\n{eleven}\n{ten}\n"),
            vec![
                "9:15 link-range the link of `Unreleased` compares from 1.0.0, but 1.1.0 is the last release",
            ],
        ),
        (
            format!("{last}\n[1.1.0]: https://e.org/compare/v1.0.0...v1.0.1\n{ten}\n"),
            vec!["10:10 link-range the link of 1.1.0 compares to 1.0.1"],
        ),
        (
            format!("{last}\n[1.1.0]: https://e.org/compare/v0.9.0...v1.1.0\n{ten}\n"),
            vec!["10:10 link-range the link of 1.1.0 compares from 0.9.0, which has no section"],
        ),
        (
            format!("{last}\n[1.1.0]: https://e.org/compare/v1.1.0...v1.1.0\n{ten}\n"),
            vec!["10:10 link-range the link of 1.1.0 compares from 1.1.0"],
        ),
        (
            format!("{last}\n[1.1.0]: https://e.org/compare/v1.0.0...HEAD\n{ten}\n"),
            vec!["10:10 link-range the link of 1.1.0 compares to something that is no version"],
        ),
        (
            format!("{last}\n{eleven}\n{ten}\n[0.9.0]: https://e.org/v0.9.0\n[1.0.0]: https://e.org\n"),
            vec![
                "12:1 unused-link nothing uses the link `[0.9.0]`",
                "13:1 duplicate-link the link `[1.0.0]` is defined on line 11 already",
            ],
        ),
    ] {
        let source = format!("{head}{links}");
        assert_eq!(found(&source), expect, "{source}");
    }
    // A file without any link has none missing.
    assert_eq!(found(head), Vec::<String>::new());
}
