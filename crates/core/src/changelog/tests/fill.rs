//! Entries made from commits: under which heading, with which links, beside which others.

use super::*;
use std::collections::BTreeMap;

fn options(headings: &[(&str, &str)]) -> EntryOptions {
    let own: BTreeMap<String, String> =
        headings.iter().map(|(kind, heading)| ((*kind).to_owned(), (*heading).to_owned())).collect();
    EntryOptions { headings: Headings::new(&own), ..EntryOptions::default() }
}

fn body(history: &[&str], options: &EntryOptions) -> String {
    let filled = fill_unreleased("## [Unreleased]\n", &commits(history), options).unwrap();
    filled.trim_start_matches("## [Unreleased]\n\n").to_owned()
}

#[test]
fn headings_placeholder_and_links_are_configured() {
    let site = Site::new("https://github.com/acme/app");
    for (history, options, expect) in [
        (
            vec!["perf: a", "chore: b"],
            options(&[("chore", "Changed"), ("perf", "none")]),
            "### Changed\n\n- B\n",
        ),
        (
            vec!["docs: b", "fix(deps): c", "feat: a"],
            options(&[("docs", "Documentation"), ("fix(deps)", "Dependencies")]),
            "### Added\n\n- A\n\n### Dependencies\n\n- **deps:** C\n\n### Documentation\n\n- B\n",
        ),
        // What breaks is told in any case.
        (vec!["chore!: drop it"], options(&[("chore", "none")]), "### Changed\n\n- **Breaking:** Drop it\n"),
        (
            vec!["docs: a"],
            EntryOptions { placeholder: Some("To be written".into()), ..EntryOptions::default() },
            "### Changed\n\n- To be written\n",
        ),
        // A hotfix is a repair.
        (
            vec!["Patch the hull", "docs: a"],
            EntryOptions { hotfix: true, ..EntryOptions::default() },
            "### Fixed\n\n- A\n- Patch the hull\n",
        ),
        // A part of the project before the colon is no type: such a project's subjects are told as they stand.
        (
            vec!["gui: add a door (#3)", "daemon: fix a leak"],
            EntryOptions::default(),
            "### Changed\n\n- Daemon: fix a leak\n- Gui: add a door (#3)\n",
        ),
        (vec!["gui: add a door", "feat: b"], EntryOptions::default(), "### Added\n\n- B\n"),
        (vec!["gui: add a door", "b"], options(&[("gui", "Interface")]), "### Interface\n\n- Add a door\n"),
        (
            vec!["b", "gui: drop it\n\nBREAKING CHANGE: it is gone"],
            EntryOptions::default(),
            "### Changed\n\n- **Breaking:** Gui: drop it\n- B\n",
        ),
        // What breaks is told in any case.
        (
            vec!["fix: b", "Drop it\n\nBREAKING CHANGE: it is gone", "c"],
            EntryOptions::default(),
            "### Changed\n\n- **Breaking:** Drop it\n\n### Fixed\n\n- B\n",
        ),
        (vec!["gui!: drop it"], EntryOptions::default(), "### Changed\n\n- **Breaking:** Gui!: drop it\n"),
        (vec!["hotfix: patch the hull"], EntryOptions::default(), "### Fixed\n\n- Patch the hull\n"),
        (
            vec!["fix: a leak (#7)\n\nCloses #5, o/p#6, see #8. Not #9: that is\nmore #10"],
            EntryOptions { site, ..EntryOptions::default() },
            "### Fixed\n\n- A leak ([#7](https://github.com/acme/app/issues/7), [#5](https://github.com/acme/app/issues/5), o/p#6, [#8](https://github.com/acme/app/issues/8), [#9](https://github.com/acme/app/issues/9))\n",
        ),
        (
            vec!["feat: see [x](javascript:alert(1)) and ![y](https://e.org/y.png)"],
            EntryOptions::default(),
            "### Added\n\n- See [x\\](javascript:alert(1)) and !\\[y](https://e.org/y.png)\n",
        ),
    ] {
        assert_eq!(body(&history, &options), expect, "{history:?}");
    }
}

#[test]
fn appended_entries_find_their_places() {
    let history =
        commits(&["fix: a leak (#7)", "feat: a door", "security: lock it", "deprecate: the old key"]);
    for (source, expect) in [
        (
            "## [Unreleased]\n\n### Added\n\n* By hand\n  more\n\n### Fixed\n\n- Leak under the door closed, [#7](https://e.org/7)\n\n## [1.0.0]\n- A\n",
            "## [Unreleased]\n\n### Added\n\n* By hand\n  more\n* A door\n\n### Deprecated\n\n- The old key\n\n### Fixed\n\n- Leak under the door closed, [#7](https://e.org/7)\n\n### Security\n\n- Lock it\n\n## [1.0.0]\n- A\n",
        ),
        (
            "## [Unreleased]\r\n\r\nProse.",
            "## [Unreleased]\r\n\r\nProse.\r\n\r\n### Added\r\n\r\n- A door\r\n\r\n### Deprecated\r\n\r\n- The old key\r\n\r\n### Fixed\r\n\r\n- A leak (#7)\r\n\r\n### Security\r\n\r\n- Lock it",
        ),
        (
            "## [Unreleased]\n### Added\n### Fixed\n- [A leak](https://e.org).\n- the old key\n- a DOOR.\n- Lock it\n- x (#7)\n\n[1.0.0]: https://e.org\n",
            "## [Unreleased]\n### Added\n### Fixed\n- [A leak](https://e.org).\n- the old key\n- a DOOR.\n- Lock it\n- x (#7)\n\n[1.0.0]: https://e.org\n",
        ),
    ] {
        let scoped = commits(&["feat(door)!: a bell", "fix(door): it"]);
        let first = append_unreleased(source, &scoped, &EntryOptions::default()).unwrap();
        assert_eq!(append_unreleased(&first, &scoped, &EntryOptions::default()).unwrap(), first);
        let appended = append_unreleased(source, &history, &EntryOptions::default()).unwrap();
        assert_eq!(appended, expect);
        assert_eq!(append_unreleased(&appended, &history, &EntryOptions::default()).unwrap(), appended);
    }
}
