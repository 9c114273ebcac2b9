//! changelog and notes: every way to make, check and tell them.

use windlass_testkit::repo::RepoBuilder;

use crate::support::{package, windlass, windlass_in};

/// Two releases and something since, in two packages.
fn history() -> RepoBuilder {
    let repo = RepoBuilder::new();
    repo.file("api/a", "1").commit("feat(api): begin");
    repo.tag("v1.0.0").tag("api-v1.0.0");
    repo.file("api/a", "2").commit("fix(api): a leak (#7)\n\nCloses #5");
    repo.file("lib/l", "1").commit("feat(lib)!: another lib\n\nBREAKING CHANGE: the old one is gone");
    repo.tag("v2.0.0");
    repo.file("lib/l", "2").commit("feat(lib): windows\n\nMigration: open them");
    repo.file("api/a", "3")
        .commit("fix!: doors\n\nBREAKING CHANGE: they are locked\n\nMigration: find the key");
    repo.file("x", "3").commit("docs: explain");
    repo
}

#[test]
fn a_changelog_is_generated_from_tags_and_commits() {
    let repo = history();
    let ran = windlass(&repo, &["changelog", "generate"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    for part in [
        "# Changelog\n\n## Unreleased\n\n### Added\n\n- **lib:** Windows\n\n### Fixed\n\n- **Breaking:** Doors\n\n## 2.0.0 - ",
        "\n- **Breaking:** **lib:** Another lib\n\n### Fixed\n\n- **api:** A leak (#7, #5)\n\n## 1.0.0 - ",
    ] {
        assert!(ran.out.contains(part), "{part}: {}", ran.out);
    }
    assert_eq!(windlass(&repo, &["changelog", "generate", "--json"]).json()["text"], ran.out.as_str());
    assert_eq!(windlass(&repo, &["changelog", "generate", "--output", "CHANGES.md"]).code, 0);
    assert_eq!(repo.read("CHANGES.md"), ran.out);
    let next = windlass(&repo, &["changelog", "generate", "--unreleased"]);
    assert!(
        next.out.starts_with("## Unreleased\n\n### Added") && !next.out.contains("2.0.0"),
        "{}",
        next.out
    );

    repo.file(
        "windlass.toml",
        "[changelog]\ntemplate = \"section.j2\"\n[notes]\nurl = \"https://github.com/acme/app\"\n\
         [packages.api]\npath = \"api\"\n",
    );
    repo.file("section.j2", "## {{ version or 'next' }} {{ compare_url }}\n{% for group in groups %}{% for entry in group.entries %}\n* {{ entry.description }}\n{% endfor %}{% endfor %}\n");
    let api = windlass(&repo, &["changelog", "generate", "--package", "api"]);
    assert_eq!(api.code, 0, "{}", api.err);
    assert!(
        api.out.contains("## next https://github.com/acme/app/compare/api-v1.0.0...HEAD\n"),
        "{}",
        api.out
    );
    assert!(api.out.contains("* doors") && !api.out.contains("indows"), "{}", api.out);
    repo.file("section.j2", "{{ nothing }}");
    let broken = windlass(&repo, &["changelog", "generate"]);
    assert!(broken.code != 0 && broken.err.contains("section.j2 line 1"), "{}", broken.err);
    let unknown = windlass(&repo, &["changelog", "--package", "apo", "generate"]);
    assert!(unknown.code == 2 && unknown.err.contains("did you mean `api`"), "{}", unknown.err);
}

#[test]
fn entries_are_appended_for_review() {
    let repo = history();
    repo.file(
        "CHANGELOG.md",
        "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- By hand\n\n## [2.0.0] - 2026-01-01\n\n- A\n",
    );
    repo.file("windlass.toml", "[changelog]\nheadings = { docs = \"Documentation\" }\n");
    assert!(windlass(&repo, &["changelog", "fill"]).err.contains("as it should be already"));
    let ran = windlass(&repo, &["changelog", "fill", "--append"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let expect = "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- By hand\n- **lib:** Windows\n\n### Fixed\n\n- **Breaking:** Doors\n\n### Documentation\n\n- Explain\n\n## [2.0.0] - 2026-01-01\n\n- A\n";
    assert_eq!(repo.read("CHANGELOG.md"), expect);
    assert!(windlass(&repo, &["changelog", "fill", "--append"]).err.contains("as it should be already"));
    repo.file("CHANGELOG.md", "# Changelog\n\n## [Unreleased]\n\n## [2.0.0] - 2026-01-01\n\n- A\n");
    assert_eq!(windlass(&repo, &["changelog", "promote", "2.1.0"]).code, 2);
    assert_eq!(windlass(&repo, &["changelog", "promote", "2.1.0", "--allow-empty"]).code, 0);
    assert!(repo.read("CHANGELOG.md").contains("## [Unreleased]\n\n## [2.1.0] - 2026-01-01\n\n## [2.0.0]"));
}

#[test]
fn every_finding_of_a_changelog_has_its_place() {
    let repo = history();
    let clean = "# Changelog\n\n## [Unreleased]\n\n## [1.0.0] - 2025-01-01\n\n- A\n";
    let warned = clean.replace("- A", "### Fixed\n\n- A\n\n### Added\n\n- B");
    let wrong = format!("{warned}\n## 1.1.0 - 2025-02-30\n\n- A\n\n## 1.0.0 - 2030-01-01\n\n- B\n");
    for (text, args, code) in [
        (clean, &["changelog", "lint"][..], 0),
        (&warned, &["changelog", "lint"], 0),
        (&warned, &["changelog", "lint", "--strict"], 2),
        (&wrong, &["changelog", "lint"], 2),
    ] {
        repo.file("CHANGELOG.md", text);
        assert_eq!(windlass(&repo, args).code, code, "{text}");
    }
    let ran = windlass(&repo, &["changelog", "lint"]);
    for place in ["CHANGELOG.md:11:1", "CHANGELOG.md:15:12", "CHANGELOG.md:19:1", "CHANGELOG.md:19:12"] {
        assert!(ran.err.contains(place), "{place}: {}", ran.err);
    }
    let json = windlass(&repo, &["changelog", "lint", "--json"]).json();
    let codes: Vec<&str> =
        json["diagnostics"].as_array().unwrap().iter().map(|one| one["code"].as_str().unwrap()).collect();
    repo.file("CHANGELOG.md", clean);
    let none = windlass(&repo, &["changelog", "lint", "--json"]).json();
    assert_eq!((&none["schema"], &none["diagnostics"]), (&json["schema"], &serde_json::json!([])));
    let unused: String = (0..20).map(|at| format!("[{at}.x]: https://e.org\n")).collect();
    repo.file("CHANGELOG.md", format!("{}\n{unused}", clean.replace("- A", "- A\n\n<<<<<<< HEAD")));
    let many = windlass(&repo, &["changelog", "lint"]);
    for part in ["error[conflict]", "15 more of this kind, on lines 16, 17,", "1 error, 20 warnings"] {
        assert!(many.err.contains(part), "{part}: {}", many.err);
    }
    assert_eq!(codes, ["group-order", "order", "impossible-date", "duplicate-heading", "future-date"]);
}

#[test]
fn notes_are_told_to_their_readers() {
    let repo = history();
    repo.file(
        "CHANGELOG.md",
        "# Changelog\n\n## [Unreleased]\n\n## [2.0.0] - 2026-01-01\n\n### Added\n\n- In our words\n",
    );
    repo.file(
        "windlass.toml",
        "[notes]\naudiences = { support = \"support.j2\" }\nurl = \"https://github.com/acme/app\"\n",
    );
    repo.file(
        "support.j2",
        "{{ version }} {% for one in breaking %}{{ one.text }}: {{ one.guide or 'ask us' }}{% endfor %}\n",
    );
    for (args, has, has_not) in [
        (
            &["notes"][..],
            "### Breaking Changes\n\n- **lib:** Another lib\n\n  the old one is gone\n\n### Added\n\n- In our words",
            "None",
        ),
        (&["notes", "--check"], "- **lib:** Another lib\n\n  the old one is gone\n\n### Added", "None"),
        (&["notes", "--audience", "internal"], "2 commits since v1.0.0, by 1 person.", "Windows"),
        (&["notes", "--audience", "internal"], "- **api:** A leak ([#7]", "Windows"),
        (&["notes", "9.0.0", "--from", "commits"], "there is no tag v9.0.0", "section"),
        (&["notes", "-o", "out/notes.md"], "wrote the notes of 2.0.0 to out/notes.md", "x"),
        (
            &["notes", "v2.0.0", "--audience", "default"],
            "## Breaking Changes\n\n- **lib:** Another lib\n\n  the old one is gone",
            "Windows",
        ),
        (&["notes", "2.0.0", "--from", "commits"], "## Bug Fixes\n\n- **api:** A leak ([#7]", "our words"),
        (&["notes", "--audience", "support"], "2.0.0 **lib:** Another lib: ask us\n", "leak"),
        (&["notes", "--template", "support.j2", "2.0.0"], "2.0.0 **lib:** Another lib: ask us\n", "leak"),
        (&["notes", "1.0.0"], "## New Features\n\n- **api:** Begin", "leak"),
        (&["notes", "--unreleased"], "**Migration:** find the key", "Another lib"),
        (
            &["notes", "--unreleased", "--audience", "short"],
            "Breaking: Doors. https://github.com/acme/app/compare/v2.0.0...HEAD\n",
            "lib",
        ),
        (
            &["notes", "3.0.0-rc.1", "--audience", "default"],
            "no section for 3.0.0-rc.1, and there is no tag v3.0.0-rc.1",
            "Doors",
        ),
        (&["notes", "--audience", "suport"], "did you mean `support`?", "leak"),
        (&["notes", "--check"], "no-migration", "x"),
    ] {
        let ran = windlass(&repo, args);
        let all = format!("{}{}", ran.out, ran.err);
        assert!(all.contains(has), "{args:?} {has}: {all}");
        assert!(has_not == "x" || !all.contains(has_not), "{args:?} {has_not}: {all}");
    }
    // A candidate's notes are a draft, and hold everything since the last stable release.
    repo.tag("v3.0.0-rc.1");
    repo.file("y", "1").commit("fix: late");
    repo.tag("v3.0.0-rc.2");
    let draft = windlass(&repo, &["notes", "3.0.0-rc.2"]);
    assert!(
        draft.out.starts_with("> **Draft** of the notes of 3.0.0, as of 3.0.0-rc.2."),
        "{}{}",
        draft.out,
        draft.err
    );
    assert!(draft.out.contains("- Late") && draft.out.contains("Windows"), "{}", draft.out);
    repo.tag("v3.0.0");
    let last = windlass(&repo, &["notes", "v3.0.0"]);
    assert!(!last.out.contains("Draft") && last.out.contains("- Late"), "{}", last.out);
    let json = windlass(&repo, &["notes", "3.0.0", "--json"]).json();
    assert_eq!(json["content"]["breaking"][0]["guide"], "find the key");
}

#[test]
fn a_package_tells_nothing_of_releases_that_others_called_for() {
    let repo = RepoBuilder::new();
    repo.file(
        "windlass.toml",
        "[packages.api]\npath = \"api\"\ndepends_on = [\"lib\"]\n[packages.lib]\npath = \"lib\"\n\
         [changelog]\ngenerated = true\n",
    );
    repo.file("api/CHANGELOG.md", "# Changelog\n").file("lib/l", "1").commit("feat: begin");
    repo.tag("api-v1.0.0").tag("lib-v1.0.0");
    repo.file("lib/l", "2").commit("fix: a leak");
    repo.tag("lib-v1.0.1").tag("api-v1.0.1");
    repo.file("api/a", "2").commit("feat: doors");
    repo.tag("api-v1.1.0");
    let ran = windlass(&repo, &["changelog", "generate", "--package", "api"]);
    let headings: Vec<&str> = ran.out.lines().filter(|line| line.starts_with("## ")).collect();
    assert!(
        matches!(headings[..], [one, other] if one.starts_with("## 1.1.0 - ") && other.starts_with("## 1.0.0 - ")),
        "{}{}",
        ran.out,
        ran.err
    );
    let promoted = windlass(&repo, &["changelog", "promote", "api-v1.1.1"]);
    assert!(promoted.err.contains("so api/CHANGELOG.md stays as it is"), "{}{}", promoted.out, promoted.err);
    assert_eq!((promoted.code, repo.read("api/CHANGELOG.md").as_str()), (0, "# Changelog\n"));
}

#[test]
fn a_project_without_the_convention_is_told_by_its_subjects() {
    let repo = RepoBuilder::new();
    repo.file("CHANGELOG.md", unreleased("")).commit("first");
    repo.tag("v1.0.0");
    repo.file("a", "1").commit("daemon: fix a leak");
    repo.file("a", "2").commit("gui: add a door");
    let next = windlass(&repo, &["next", "--explain"]);
    assert!(next.out.contains("since    2 commits: 2 other\n"), "{}", next.out);
    assert!(next.err.contains("ask for no release (2 without a conventional type)"), "{}", next.err);
    let generated = windlass(&repo, &["changelog", "generate", "--unreleased"]);
    let expect = "## Unreleased\n\n### Changed\n\n- Daemon: fix a leak\n- Gui: add a door\n";
    assert_eq!(generated.out, expect, "{}", generated.err);
    repo.file("windlass.toml", "[changelog]\nheadings = { gui = \"Interface\" }\n");
    let configured = windlass(&repo, &["changelog", "generate", "--unreleased"]);
    assert_eq!(configured.out, "## Unreleased\n\n### Interface\n\n- Add a door\n", "{}", configured.err);
    assert!(windlass(&repo, &["next", "--explain"]).out.contains("2 commits: 1 gui, 1 other\n"));
}

#[test]
fn tags_in_another_format_are_refused_as_the_next_version_is() {
    let repo = RepoBuilder::new();
    repo.file("CHANGELOG.md", unreleased("")).commit("feat: first");
    repo.tag("rel_1.0.0");
    repo.file("a", "1").commit("feat: doors");
    for args in [
        &["next"][..],
        &["changelog", "generate"],
        &["changelog", "generate", "--unreleased"],
        &["changelog", "fill"],
        &["notes", "--unreleased"],
    ] {
        let ran = windlass(&repo, args);
        let says = "no tag follows the format `v{version}`, but `rel_1.0.0` looks like a release";
        assert!(ran.code == 2 && ran.err.contains(says), "{args:?} {}: {}{}", ran.code, ran.out, ran.err);
        assert!(ran.err.contains("set `tag = \"rel_{version}\"` under [version]"), "{args:?}: {}", ran.err);
    }
    repo.git(&["tag", "--delete", "rel_1.0.0"]);
    repo.git(&["tag", "v1.0.0", "HEAD~1"]);
    repo.git(&["tag", "1.1.0"]);
    let ran = windlass(&repo, &["changelog", "generate"]);
    assert!(ran.code == 2 && ran.err.contains("`1.1.0` is above `v1.0.0`"), "{}{}", ran.out, ran.err);
    // Releases beside the branch: nothing is guessed of what comes next, and the whole is told as it is.
    repo.git(&["tag", "--delete", "1.1.0", "v1.0.0"]);
    repo.git(&["checkout", "--quiet", "-b", "side", "HEAD~1"]);
    repo.file("b", "1").commit("feat: aside");
    repo.tag("v1.0.0");
    repo.git(&["checkout", "--quiet", "main"]);
    for (args, code) in [
        (&["notes", "--unreleased"][..], 2),
        (&["changelog", "generate", "--unreleased"], 2),
        (&["changelog", "generate"], 0),
    ] {
        let ran = windlass(&repo, args);
        assert_eq!(ran.code, code, "{args:?}: {}{}", ran.out, ran.err);
    }
}

/// A changelog whose unreleased part has these entries.
fn unreleased(entries: &str) -> String {
    format!("# Changelog\n\n## [Unreleased]\n\n{entries}## [1.0.0] - 2026-01-01\n\n- First\n")
}

#[test]
fn notes_of_a_tag_tell_what_the_tag_had() {
    let repo = RepoBuilder::new();
    repo.file("CHANGELOG.md", unreleased("")).commit("feat: first");
    repo.tag("v1.0.0");
    repo.file("CHANGELOG.md", unreleased("- Doors\n\n")).commit("feat: doors");
    repo.tag("v1.1.0-rc.1");
    repo.file("CHANGELOG.md", unreleased("- Doors\n- Windows\n\n")).commit("feat: windows");
    repo.tag("v1.1.0-rc.2");
    repo.file("CHANGELOG.md", "<<<<<<< HEAD\n").commit("feat: roofs");
    repo.tag("v1.1.0-rc.3");
    repo.file("CHANGELOG.md", unreleased("- Doors\n- Windows\n- Cellars\n\n")).commit("feat: cellars");
    let draft = |version: &str| format!("> **Draft** of the notes of 1.1.0, as of {version}.\n\n");
    let check = |version: &str, expect: &str| {
        let ran = windlass(&repo, &["notes", version]);
        assert_eq!(ran.out, expect, "{version} {}", ran.err);
    };
    check("1.1.0-rc.1", &format!("{}- Doors\n", draft("1.1.0-rc.1")));
    check("v1.1.0-rc.2", &format!("{}- Doors\n- Windows\n", draft("1.1.0-rc.2")));
    // Where the changelog of then says nothing that can be read, the commits tell.
    let broken = windlass(&repo, &["notes", "1.1.0-rc.3"]);
    assert!(broken.out.contains("- Roofs") && !broken.out.contains("ellars"), "{}{}", broken.out, broken.err);
    // The next one is told as far as it is written down; one that never was has nothing.
    check("1.1.0-rc.4", &format!("{}- Doors\n- Windows\n- Cellars\n", draft("1.1.0-rc.4")));
    assert_eq!(windlass(&repo, &["notes", "1.1.0-beta.1"]).code, 2);

    repo.file("CHANGELOG.md", unreleased("## [1.1.0] - 2026-02-01\n\n- All\n\n"))
        .commit("chore: release 1.1.0");
    repo.tag("v1.1.0");
    repo.file("CHANGELOG.md", unreleased("- Later\n\n")).commit("docs: an accident");
    check("1.1.0-rc.1", &format!("{}- Doors\n", draft("1.1.0-rc.1")));
    check("1.1.0", "- All\n");
    // In the shallow clone of a pipeline, too.
    let shallow = repo.outside().join("shallow");
    let from = format!("file://{}", repo.path().display());
    repo.git(&["clone", "-q", "--depth", "1", "--branch", "v1.1.0-rc.1", &from, &shallow.to_string_lossy()]);
    let there =
        repo.command("git").current_dir(&shallow).args(["rev-parse", "--is-shallow-repository"]).output();
    assert_eq!(String::from_utf8(there.unwrap().stdout).unwrap(), "true\n");
    let ran = windlass_in(&repo, &shallow, &["notes", "v1.1.0-rc.1"]);
    assert_eq!(ran.out, format!("{}- Doors\n", draft("1.1.0-rc.1")), "{}", ran.err);
    // A partial clone has the commits, which tell of it too.
    repo.remote();
    repo.git(&["push", "--quiet", "--tags", "origin", "main"]);
    repo.remote_git(&["config", "uploadpack.allowFilter", "true"]);
    let partial = repo.outside().join("partial");
    let from = format!("file://{}", repo.remote_path().display());
    repo.git(&["clone", "-q", "--filter", "blob:none", &from, &partial.to_string_lossy()]);
    let ran = windlass_in(&repo, &partial, &["notes", "v1.1.0-rc.1"]);
    assert!(ran.code == 0 && ran.out.contains("- Doors"), "{}{}", ran.out, ran.err);
    let says =
        "these are told from the commits, without the words of the changelog of then: this clone is partial";
    assert!(ran.err.contains(says) && ran.err.contains("clone without --filter\n"), "{}", ran.err);
}

#[test]
fn a_promotion_is_planned_with_the_changelog_of_its_commit() {
    let repo = RepoBuilder::new();
    repo.file("CHANGELOG.md", unreleased("")).commit("feat: first");
    repo.tag("v1.0.0");
    let steps = "### Tag\n\n```yaml\nuses: git.tag\n```\n";
    repo.file("runbooks/release.md", format!("---\nname: release\n---\n# Release\n\n## Steps\n\n{steps}"));
    repo.file("CHANGELOG.md", unreleased("- Doors\n\n")).commit("feat: doors");
    repo.tag("v1.1.0-rc.1");
    repo.file("CHANGELOG.md", unreleased("- Doors\n- Windows\n\n")).commit("feat: windows");
    let plan = windlass(&repo, &["plan", "release", "--promote", "v1.1.0-rc.1", "--json"]);
    assert_eq!(plan.code, 0, "{}", plan.err);
    assert_eq!(plan.json()["plan"]["release"]["notes"], "- Doors\n", "{}", plan.err);
    // The notes of the release are those that it was planned with.
    let ran = windlass(&repo, &["run", "release", "--promote", "v1.1.0-rc.1", "--yes"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(repo.git(&["cat-file", "-p", "v1.1.0"]).ends_with("Release v1.1.0\n\n- Doors"));
    assert_eq!(windlass(&repo, &["notes", "1.1.0"]).out, "- Doors\n");
}

#[test]
fn a_hotfix_with_a_suffix_is_for_production() {
    let repo = RepoBuilder::new();
    repo.file("windlass.toml", "[version]\nhotfix_suffix = true\n").commit("feat: first");
    repo.tag("v1.2.2");
    repo.file("a", "1").commit("fix: a leak");
    repo.tag("v1.2.3-hotfix.1");
    repo.file("a", "2").commit("feat: doors");
    repo.tag("v1.3.0");
    let hotfix = windlass(&repo, &["notes", "1.2.3-hotfix.1"]);
    assert!(hotfix.out.starts_with("Version 1.2.3-hotfix.1: 1 bug fix since v1.2.2."), "{}", hotfix.out);
    // What follows it counts from it, as the next version does.
    let next = windlass(&repo, &["notes", "1.3.0"]);
    assert!(next.out.contains("since v1.2.3-hotfix.1.") && !next.out.contains("leak"), "{}", next.out);
    // Tested under that word before it is out, it is a candidate.
    repo.file("windlass.toml", "[version]\nlabels = { rc = \"hotfix\" }\n");
    let tried = windlass(&repo, &["notes", "1.2.3-hotfix.1"]);
    assert!(
        tried.out.starts_with("> **Draft** of the notes of 1.2.3, as of 1.2.3-hotfix.1."),
        "{}",
        tried.out
    );
}

#[test]
fn a_version_is_named_by_its_tag() {
    let repo = history();
    repo.file("windlass.toml", "[packages.api]\npath = \"api\"\n[packages.lib]\npath = \"lib\"\n");
    for (args, expect) in [
        (&["notes", "api-v1.0.0"][..], "Version 1.0.0: 1 new feature.\n"),
        (&["notes", "api-v1.0.0", "--package", "api"], "Version 1.0.0: 1 new feature.\n"),
        (&["notes", "v1.0.0", "--package", "api"], "Version 1.0.0: 1 new feature.\n"),
        (&["notes", "v2.0.0"], "Version 2.0.0: "),
        (&["notes", "api-v1.0.0", "--package", "lib"], "`api-v1.0.0` is not a version"),
        (&["notes", "api-v9.0.0"], "there is no tag api-v9.0.0"),
    ] {
        let ran = windlass(&repo, args);
        assert!(format!("{}{}", ran.out, ran.err).contains(expect), "{args:?}: {}{}", ran.out, ran.err);
    }
    let dated = RepoBuilder::new();
    dated.file("windlass.toml", "[version]\ncalendar = \"YYYY.0M.MICRO\"\n").commit("feat: first");
    dated.tag("v2026.09.3");
    for name in ["v2026.09.3", "2026.09.3", "2026.9.3"] {
        let ran = windlass(&dated, &["notes", name]);
        assert!(ran.out.starts_with("Version 2026.9.3: 1 new feature."), "{name}: {}{}", ran.out, ran.err);
    }
    let none = windlass(&dated, &["notes", "2026.10.1"]);
    assert!(none.err.contains("there is no tag v2026.10.1"), "{}", none.err);
    dated.file("CHANGELOG.md", "# Changelog\n\n## [Unreleased]\n\n- A\n");
    let promoted = windlass(&dated, &["changelog", "promote", "v2026.09.4", "--dry-run"]);
    assert!(promoted.out.contains("## [2026.9.4] - "), "{}{}", promoted.out, promoted.err);
}

/// Releases with what the changelog says, and asks for the notes of it again.
#[test]
fn a_runs_notes_are_those_that_the_command_prints() {
    for (configuration, unreleased, expect) in [
        (
            "",
            "### Removed\n\n- Old door\n\n",
            "### Breaking Changes\n\n- New door\n\n  the old is gone\n\n  **Migration:** turn it\n\n### Removed\n\n- Old door\n",
        ),
        (
            "[changelog]\ngenerated = true\n",
            "",
            "Version 2.0.0: 1 new feature since v1.0.0.\n\n## Breaking Changes\n\n- New door",
        ),
    ] {
        let repo = RepoBuilder::new();
        let text = |unreleased: &str| {
            format!("# Changelog\n\n## [Unreleased]\n\n{unreleased}## [1.0.0] - 2026-01-01\n\n- First\n")
        };
        let steps = "### Notes\n\n```yaml\nuses: notes.write\nwith: { output: NOTES.md }\n```\n\n\
                     ### Changelog\n\n```yaml\nuses: changelog.promote\n```\n\n\
                     ### Commit\n\n```yaml\nuses: git.commit\nwith: { message: \"chore: release\", paths: [CHANGELOG.md, NOTES.md] }\n```\n\n\
                     ### Tag\n\n```yaml\nuses: git.tag\n```\n";
        repo.file(
            "runbooks/release.md",
            format!("---\nname: release\n---\n# Release\n\n## Steps\n\n{steps}"),
        );
        repo.file("windlass.toml", configuration).file("package.json", "{\"name\": \"doors\"}");
        repo.file("CHANGELOG.md", text("")).commit("feat: first");
        repo.tag("v1.0.0");
        repo.file("CHANGELOG.md", text(unreleased));
        repo.commit("feat!: new door\n\nBREAKING CHANGE: the old is gone\n\nMigration: turn it");
        let ran = windlass(&repo, &["run", "release", "--yes", "--despite-preflight"]);
        assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
        let notes = windlass(&repo, &["notes", "2.0.0"]);
        assert_eq!(repo.read("NOTES.md"), notes.out, "{}", notes.err);
        assert!(notes.out.starts_with(expect), "{}", notes.out);
        assert_eq!(windlass(&repo, &["notes", "2.0.0", "--check"]).out, notes.out);
        let json = windlass(&repo, &["notes", "2.0.0", "--json"]).json();
        assert_eq!(json["content"]["project"], "doors");
        assert!(json["content"]["date"].is_string(), "{json}");
        // Nothing came since.
        let fill = windlass(&repo, &["changelog", "fill"]);
        assert!(fill.code == 0 && fill.err.contains("nothing to fill"), "{}", fill.err);
        let promote = windlass(&repo, &["changelog", "promote", "2.0.1"]);
        assert!(promote.code == 0 || promote.err.contains("`windlass changelog fill`"), "{}", promote.err);
    }
}

#[test]
fn a_generated_changelog_is_shown_and_promoted_from_commits() {
    let repo = history();
    let guide = include_str!("../../../../docs/guide/changelog.md");
    let template = guide.split("```jinja\n").nth(1).unwrap().split("```").next().unwrap();
    repo.file("windlass.toml", "[changelog]\ngenerated = true\ntemplate = \"section.j2\"\n");
    repo.file("section.j2", template).file("CHANGELOG.md", "# Changelog\n\n## 2.0.0 - 2026-01-01\n\n- A\n");
    let shown = windlass(&repo, &["changelog"]);
    assert!(shown.out.starts_with("## Unreleased\n\n### Added\n\n* windows ["), "{}{}", shown.out, shown.err);
    assert!(shown.out.contains("]\n\n### Fixed\n\n* doors ["), "{}", shown.out);
    assert!(windlass(&repo, &["changelog", "fill"]).err.contains("is generated"));
    let ran = windlass(&repo, &["changelog", "promote", "3.0.0"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let text = repo.read("CHANGELOG.md");
    assert!(text.starts_with("# Changelog\n\n## 3.0.0 (2026-01-01)\n\n### Added\n\n* windows"), "{text}");
    assert!(text.ends_with("\n\n## 2.0.0 - 2026-01-01\n\n- A\n"), "{text}");
}

#[test]
fn on_a_pre_release_the_next_stable_one_is_told() {
    let repo = history();
    repo.tag("v3.0.0-beta.1");
    let ran = windlass(&repo, &["notes", "--unreleased"]);
    assert!(ran.err.contains("nothing came since v3.0.0-beta.1"), "{}", ran.err);
    assert!(ran.out.contains("- **lib:** Windows") && ran.out.contains("since v2.0.0"), "{}", ran.out);
}

#[test]
fn an_output_that_cannot_be_finished_leaves_what_was_there() {
    let repo = package();
    repo.file("windlass.toml", "[changelog]\ntemplate = \"section.md.j2\"\n")
        .file("section.md.j2", "{{ nope() }}\n");
    repo.file("C.md", "mine\n").commit("docs: a template");
    let ran = windlass(&repo, &["changelog", "generate", "--output", "C.md"]);
    assert_ne!(ran.code, 0, "{}", ran.out);
    assert_eq!(repo.read("C.md"), "mine\n");
    assert_eq!(repo.git(&["status", "--porcelain"]), "");
}
