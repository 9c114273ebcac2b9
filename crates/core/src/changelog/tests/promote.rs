//! Promotions that other tools' suites show, and those of every forge's links.

use super::*;
use crate::version::TagFormat;

const INTRO: &str = "# Changelog\n\nAll changes.\n\n";

fn promoted(source: &str, version: &str, options: &PromoteOptions) -> String {
    let promoted = promote(source, &v(version), DAY, options).unwrap();
    assert_eq!(demote(&promoted, &v(version)).unwrap(), source, "{promoted}");
    promoted
}

/// The six promotions of keep-a-changelog-new-release's suite, in our words.
#[test]
fn promotions_as_other_tools_make_them() {
    let tagged = |format: &str| PromoteOptions {
        tag_format: TagFormat::parse(format).unwrap(),
        ..PromoteOptions::default()
    };
    let links = |rows: &[(&str, &str, &str)]| {
        rows.iter()
            .map(|(label, old, new)| format!("[{label}]: https://github.com/a/b/compare/{old}...{new}\n"))
            .collect::<String>()
    };
    let genesis = "1625533e04119e8496b14d5e18786f150b4fce4d";
    let old = "## [0.2.0] - 2019-09-13\n\n### Added\n\n- First.\n\n## [0.1.0] - 2019-09-05\n\n- Begin\n\n";
    let change = "### Changed\n\n- The theme is blue.\n\n";
    for (change, format, before, after) in [
        // A release with entries; the tags have no `v`, and the link's name is in lower case.
        (
            change,
            "{version}",
            vec![("unreleased", "0.2.0", "HEAD"), ("0.2.0", "0.1.0", "0.2.0"), ("0.1.0", genesis, "0.1.0")],
            vec![
                ("unreleased", "0.3.0", "HEAD"),
                ("0.3.0", "0.2.0", "0.3.0"),
                ("0.2.0", "0.1.0", "0.2.0"),
                ("0.1.0", genesis, "0.1.0"),
            ],
        ),
        // Tags get a `v` with this release, or got it with the one before.
        (
            change,
            "v{version}",
            vec![("unreleased", "0.2.0", "HEAD"), ("0.2.0", "0.1.0", "0.2.0")],
            vec![("unreleased", "v0.3.0", "HEAD"), ("0.3.0", "0.2.0", "v0.3.0"), ("0.2.0", "0.1.0", "0.2.0")],
        ),
        (
            change,
            "v{version}",
            vec![("unreleased", "v0.2.0", "HEAD"), ("0.2.0", "0.1.0", "v0.2.0")],
            vec![
                ("unreleased", "v0.3.0", "HEAD"),
                ("0.3.0", "v0.2.0", "v0.3.0"),
                ("0.2.0", "0.1.0", "v0.2.0"),
            ],
        ),
        // A release without entries, which must be asked for here.
        (
            "",
            "{version}",
            vec![("unreleased", "0.2.0", "HEAD"), ("0.2.0", "0.1.0", "0.2.0")],
            vec![("unreleased", "0.3.0", "HEAD"), ("0.3.0", "0.2.0", "0.3.0"), ("0.2.0", "0.1.0", "0.2.0")],
        ),
    ] {
        let source = format!("{INTRO}## [Unreleased]\n\n{change}{old}{}", links(&before));
        let options = PromoteOptions { allow_empty: change.is_empty(), ..tagged(format) };
        let expect =
            format!("{INTRO}## [Unreleased]\n\n## [0.3.0] - 2025-10-15\n\n{change}{old}{}", links(&after));
        assert_eq!(promoted(&source, "0.3.0", &options), expect);
        let notes = extract(&expect, &v("0.3.0")).unwrap().unwrap();
        assert_eq!(notes, change.trim());
    }
    // The first release. Theirs compares with the first commit; nothing is before it, so ours links to its tag.
    let source = format!("{INTRO}## [Unreleased]\n\n### Added\n\n- Everything!");
    for (source, end) in [(source.clone(), ""), (format!("{source}\n"), "\n")] {
        let options = PromoteOptions { site: Site::new("https://github.com/a/b"), ..tagged("{version}") };
        assert_eq!(
            promoted(&source, "0.1.0", &options),
            format!(
                "{INTRO}## [Unreleased]\n\n## [0.1.0] - 2025-10-15\n\n### Added\n\n- Everything!\n\n\
                 [Unreleased]: https://github.com/a/b/compare/0.1.0...HEAD\n\
                 [0.1.0]: https://github.com/a/b/releases/tag/0.1.0{end}"
            )
        );
        let windows = source.replace('\n', "\r\n");
        let told = promoted(&windows, "0.1.0", &options);
        assert_eq!(told.matches('\n').count(), told.matches("\r\n").count());
    }
}

#[test]
fn links_are_those_of_the_forge() {
    let body = "## [Unreleased]\n- A\n\n## [1.1.0] - 2025-01-01\n- B\n\n";
    for (before, after) in [
        (
            "[Unreleased]: https://gitlab.com/a/b/-/compare/v1.1.0...HEAD\n",
            "[Unreleased]: https://gitlab.com/a/b/-/compare/v1.2.0...HEAD\n[1.2.0]: https://gitlab.com/a/b/-/compare/v1.1.0...v1.2.0\n",
        ),
        (
            "[Unreleased]: https://codeberg.org/a/b/compare/v1.1.0...main\n",
            "[Unreleased]: https://codeberg.org/a/b/compare/v1.2.0...main\n[1.2.0]: https://codeberg.org/a/b/compare/v1.1.0...v1.2.0\n",
        ),
        (
            "[Unreleased]: https://bitbucket.org/a/b/branches/compare/HEAD..v1.1.0\n",
            "[Unreleased]: https://bitbucket.org/a/b/branches/compare/HEAD..v1.2.0\n[1.2.0]: https://bitbucket.org/a/b/branches/compare/v1.2.0..v1.1.0\n",
        ),
        (
            "[1.1.0]: https://gitlab.com/a/b/-/tags/v1.1.0\n",
            "[1.2.0]: https://gitlab.com/a/b/-/tags/v1.2.0\n[1.1.0]: https://gitlab.com/a/b/-/tags/v1.1.0\n",
        ),
    ] {
        let source = format!("{body}{before}");
        let promoted = promoted(&source, "1.2.0", &PromoteOptions::default());
        assert!(promoted.ends_with(after), "{promoted}");
    }
}

#[test]
fn a_heading_that_is_there_twice_stops_only_what_needs_it() {
    let source = "## [Unreleased]\n- A\n## [1.1.0]\n- B\n## 1.0.0\n- C\n## 1.0.0\n- D\n";
    promoted(source, "1.2.0", &PromoteOptions::default());
    assert_eq!(extract(source, &v("1.1.0")).unwrap().as_deref(), Some("- B"));
    let refused = extract(source, &v("1.0.0")).unwrap_err().to_string();
    assert!(refused.contains("`1.0.0` twice, on lines 5 and 7"), "{refused}");
}
