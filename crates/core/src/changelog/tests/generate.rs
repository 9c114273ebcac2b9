//! Changelogs made from commits alone.

use super::*;

fn release(version: Option<&str>, previous: Option<&str>, messages: &[&str]) -> GeneratedRelease {
    GeneratedRelease {
        version: version.map(v),
        tag: version.map(|version| format!("v{version}")),
        previous_tag: previous.map(str::to_owned),
        date: version.map(|_| DAY),
        commits: commits(messages),
    }
}

fn whole(releases: Vec<GeneratedRelease>, options: &GenerateOptions) -> String {
    let mut text = String::new();
    generate(releases.into_iter().map(Ok::<_, String>), options, &mut text).unwrap();
    text
}

#[test]
fn a_changelog_is_made_of_its_releases() {
    let releases = || {
        vec![
            release(None, Some("v1.1.0"), &["feat: c (#3)"]),
            release(Some("1.1.0"), Some("v1.0.0"), &["fix!: b", "Merge branch 'x'", "docs: d"]),
            release(Some("1.0.0"), None, &["chore: nothing"]),
        ]
    };
    let plain = whole(releases(), &GenerateOptions::default());
    assert_eq!(
        plain,
        "# Changelog\n\n## Unreleased\n\n### Added\n\n- C (#3)\n\n## 1.1.0 - 2025-10-15\n\n### Fixed\n\n- **Breaking:** B\n\n\
         ## 1.0.0 - 2025-10-15\n\n### Changed\n\n- Maintenance release without changes for users\n"
    );
    assert_eq!(lint(&plain, &LintOptions::default()), []);
    let site = Site::new("https://github.com/a/b");
    let entries = EntryOptions { site, ..EntryOptions::default() };
    let linked = whole(releases(), &GenerateOptions { entries, template: None });
    for expect in [
        "## [Unreleased](https://github.com/a/b/compare/v1.1.0...HEAD)\n",
        "## [1.1.0](https://github.com/a/b/compare/v1.0.0...v1.1.0) - 2025-10-15\n",
        "## [1.0.0](https://github.com/a/b/releases/tag/v1.0.0) - 2025-10-15\n",
        "- C ([#3](https://github.com/a/b/issues/3))\n",
    ] {
        assert!(linked.contains(expect), "{expect}: {linked}");
    }
    assert_eq!(lint(&linked, &LintOptions::default()), []);
    assert_eq!(Changelog::parse(&linked).unwrap().releases().count(), 2);
}

#[test]
fn a_template_makes_the_sections() {
    let template = Template::new(
        "section.j2",
        "## {{ version or 'Next' }}{% if date %} ({{ date }}){% endif %}\n\n\n{% for group in groups %}\n{% for entry in group.entries %}\n* {{ group.title }}: {{ entry.description }} [{{ entry.short_id }}] {{ entry.author }}\n{% endfor %}\n{% endfor %}\n",
    );
    let options = GenerateOptions { template: Some(template.unwrap()), ..GenerateOptions::default() };
    assert_eq!(
        whole(vec![release(Some("1.0.0"), None, &["feat: a", "fix: b"])], &options),
        "# Changelog\n\n## 1.0.0 (2025-10-15)\n\n* Added: a [00000000] Ann\n* Fixed: b [00000000] Bob\n"
    );
    let broken = GenerateOptions {
        template: Some(Template::new("t", "{{ nope }}").unwrap()),
        ..GenerateOptions::default()
    };
    assert!(section(&release(None, None, &["a"]), &broken).unwrap_err().to_string().contains("t line 1"));
    let failing: Result<GeneratedRelease, String> = Err("no such commit".to_owned());
    let error = generate([failing], &GenerateOptions::default(), &mut String::new()).unwrap_err();
    assert_eq!(error.to_string(), "no such commit");
}

#[test]
fn a_section_goes_where_it_belongs() {
    let new = "## 1.2.0\n\n- N\n";
    for (source, expect) in [
        ("# C\n\n## 1.1.0\n\n- A\n", "# C\n\n## 1.2.0\n\n- N\n\n## 1.1.0\n\n- A\n"),
        (
            "# C\n\n## Unreleased\n\n- N\n\n## 1.1.0\n",
            "# C\n\n## Unreleased\n\n## 1.2.0\n\n- N\n\n## 1.1.0\n",
        ),
        ("# C\n", "# C\n\n## 1.2.0\n\n- N\n"),
        ("# C", "# C\n\n## 1.2.0\n\n- N\n"),
        ("", "## 1.2.0\n\n- N\n"),
        ("# C\r\n\r\n## 1.1.0\r\n", "# C\r\n\r\n## 1.2.0\r\n\r\n- N\r\n\r\n## 1.1.0\r\n"),
    ] {
        let (text, inserted) = insert_section(source, &v("1.2.0"), new).unwrap();
        assert_eq!(text, expect);
        assert_eq!(text.matches(&inserted).count(), 1);
        let (found, stays) = inserted_section(&text, &v("1.2.0"), new).unwrap();
        let restored = text.replacen(&found, &stays, 1);
        let ambiguous = source.contains("- N") || !source.ends_with('\n');
        assert!(ambiguous || (found == inserted && restored == source), "{restored:?}");
        assert_eq!(insert_section(&restored, &v("1.2.0"), new).unwrap().0, text);
    }
    let refused = insert_section("## 1.2.0\n- A\n", &v("1.2.0"), new).unwrap_err();
    assert!(matches!(refused, ChangelogError::AlreadyReleased { .. }));
    let refused = insert_section("# C\n", &v("1.2.0"), "no heading\n").unwrap_err().to_string();
    assert!(refused.contains("begin with a heading"), "{refused}");
}
