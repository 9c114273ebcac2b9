//! next, bump, changelog, notes.

use windlass_testkit::repo::RepoBuilder;

use crate::support::{package, runbook, windlass, windlass_with};

#[test]
fn the_next_version_and_why() {
    let repo = package();
    let check = |args: &[&str], expect: &str| {
        let ran = windlass(&repo, &[&["next"], args].concat());
        assert_eq!((ran.code, ran.out.trim()), (0, expect), "{args:?} {}", ran.err);
    };
    check(&[], "1.3.0");
    check(&["--bump", "patch"], "1.2.1");
    check(&["--bump", "major"], "2.0.0");
    check(&["--channel", "rc"], "1.3.0-rc.1");
    check(&["--set", "v4.5.6"], "4.5.6");
    check(&["--hotfix"], "1.2.1");
    insta::assert_snapshot!("next-explain", windlass(&repo, &["next", "--explain"]).shown(&repo));
    let json = windlass(&repo, &["next", "--json"]).json();
    assert_eq!(json["schema"], "windlass/next/1");
    assert_eq!(json["next"]["version"], "1.3.0");
    assert_eq!(json["next"]["bump"], "minor");
}

#[test]
fn a_bump_writes_every_holder_and_commits_exactly_them() {
    let repo = package();
    repo.file("notes.txt", "mine");
    repo.git(&["add", "notes.txt"]);
    let dry = windlass(&repo, &["bump", "--dry-run"]);
    assert_eq!((dry.code, dry.out.lines().next()), (0, Some("1.2.0 -> 1.3.0")));
    assert!(repo.read("Cargo.toml").contains("1.2.0"));
    let ran = windlass(&repo, &["bump", "--json"]).json();
    assert_eq!(ran["files"], serde_json::json!(["Cargo.toml", "Cargo.lock"]));
    assert!(repo.read("Cargo.toml").contains("version = \"1.3.0\""));
    assert!(repo.read("Cargo.lock").contains("version = \"1.3.0\""));
    assert_eq!(repo.git(&["log", "-1", "--format=%s"]), "chore(release): bump version to 1.3.0");
    assert_eq!(repo.git(&["show", "--format=", "--name-only", "HEAD"]), "Cargo.lock\nCargo.toml");
    assert_eq!(repo.git(&["status", "--porcelain"]), "A  notes.txt");

    let repo = package();
    repo.file("CHANGELOG.md", "# Changelog\n\n## [1.2.0] - 2025-12-01\n\n- x\n");
    let refused = windlass(&repo, &["bump", "major"]);
    assert_eq!(refused.code, 2);
    assert!(refused.err.contains("not committed: CHANGELOG.md"), "{}", refused.err);
    assert!(repo.read("Cargo.toml").contains("1.2.0"));
    let ran = windlass(&repo, &["bump", "major", "--no-commit"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(repo.read("Cargo.toml").contains("2.0.0"));
    assert!(repo.read("CHANGELOG.md").starts_with("# Changelog\n\n## [Unreleased]\n\n## [1.2.0]"));
    assert_eq!(repo.git(&["log", "-1", "--format=%s"]), "feat: hoist sails");
}

#[test]
fn the_changelog_is_shown_filled_promoted_and_checked() {
    let repo = package();
    assert_eq!(windlass(&repo, &["changelog"]).out, "### Added\n\n- Sails\n");
    assert_eq!(windlass(&repo, &["changelog", "lint"]).code, 0);
    let dry = windlass(&repo, &["changelog", "promote", "--dry-run"]);
    assert!(dry.out.contains("## [1.3.0] - 2026-01-01"), "{}{}", dry.out, dry.err);
    assert!(!repo.read("CHANGELOG.md").contains("1.3.0"));
    assert_eq!(windlass(&repo, &["changelog", "promote", "v1.3.0"]).code, 0);
    assert!(repo.read("CHANGELOG.md").contains("## [1.3.0] - 2026-01-01"));
    assert_eq!(windlass(&repo, &["changelog", "fill"]).code, 0);
    assert!(repo.read("CHANGELOG.md").contains("oist sails"), "{}", repo.read("CHANGELOG.md"));
    repo.file("CHANGELOG.md", "# Changelog\n\n## [1.0.0]\n");
    let lint = windlass(&repo, &["changelog", "lint"]);
    insta::assert_snapshot!("changelog-lint", lint.shown(&repo));
}

#[test]
fn notes_are_those_of_the_version() {
    let repo = package();
    for args in [&["notes"][..], &["notes", "1.2.0"], &["notes", "v1.2.0"], &["notes", "--latest"]] {
        let ran = windlass(&repo, args);
        assert_eq!((ran.code, ran.out.as_str()), (0, "### Fixed\n\n- A leak\n"), "{args:?} {}", ran.err);
    }
    let output = repo.outside().join("notes.md");
    let ran = windlass(&repo, &["notes", "--latest", "--output", &output.display().to_string()]);
    assert_eq!((ran.code, ran.out.as_str()), (0, ""));
    assert_eq!(std::fs::read_to_string(output).unwrap(), "### Fixed\n\n- A leak\n");
    let ran = windlass(&repo, &["notes", "9.9.9"]);
    assert!(ran.code == 2 && ran.err.contains("it has: 1.2.0"), "{}", ran.err);
}

#[test]
fn a_release_left_half_way_is_named_where_nothing_is_to_be_released() {
    let repo = RepoBuilder::with_commit();
    repo.tag("v1.0.0");
    repo.file("x", "1").commit("feat: x");
    let steps =
        "### Tag\n\n```sh {in-doubt=rerun}\ngit tag $WINDLASS_TAG\n```\n\n### Fail\n\n```sh\nexit 1\n```";
    runbook(&repo, "release", steps);
    assert_eq!(windlass(&repo, &["run"]).code, 1);
    let check = |args: &[&str], code: u8, says: &str| {
        let ran = windlass(&repo, args);
        assert_eq!(ran.code, code, "{args:?}: {}", ran.err);
        assert!(ran.err.contains(says), "{args:?}: {says}: {}", ran.err);
    };
    check(&["run"], 7, "`windlass rollback release-1.1.0-");
    check(&["next"], 3, "is not finished, it is failed: `windlass status release-1.1.0-");
    check(&["plan"], 3, "is not finished, it is failed: `windlass status release-1.1.0-");
    check(&["cancel"], 0, "");
    for command in ["run", "plan", "next"] {
        check(&[command], 3, "was cancelled half-way: `windlass status release-1.1.0-");
    }
    repo.tag("v1.1.1");
    let ran = windlass(&repo, &["next"]);
    assert!(ran.code == 3 && !ran.err.contains("half-way"), "{}", ran.err);
}

#[test]
fn a_release_that_was_rolled_back_spends_its_number() {
    let repo = RepoBuilder::with_commit();
    repo.tag("v1.0.0");
    repo.file("x", "1").commit("feat: x");
    runbook(
        &repo,
        "release",
        "### Tag\n\n```sh {in-doubt=rerun}\ngit tag $WINDLASS_TAG\n```\n\n### Fail\n\n```sh\nexit 1\n```",
    );
    assert_eq!(windlass(&repo, &["run"]).code, 1);
    let ran = windlass(&repo, &["rollback"]);
    assert_eq!(ran.code, 6, "{}", ran.err);
    repo.commit("fix: x");
    let ran = windlass(&repo, &["next", "--explain"]);
    assert!(ran.out.starts_with("1.1.1\n"), "{}{}", ran.out, ran.err);
    let reason = "1.1.0 was rolled back, so its number is spent, and the release counts from 1.0.0";
    assert!(ran.out.contains(reason), "{}", ran.out);
    let plan = windlass(&repo, &["plan", "--json"]).json();
    assert_eq!(plan["plan"]["release"]["previous"], "1.0.0");
    // What never got its tag was never out.
    repo.git(&["tag", "--delete", "v1.1.0"]);
    assert_eq!(windlass(&repo, &["next"]).out, "1.1.0\n");
    // What was released after all is out.
    runbook(&repo, "release", "### Tag\n\n```sh {in-doubt=rerun}\ngit tag $WINDLASS_TAG\n```");
    assert_eq!(windlass(&repo, &["run"]).code, 0);
    repo.commit("fix: y");
    let ran = windlass(&repo, &["next", "--explain"]);
    assert!(ran.out.starts_with("1.1.1\n") && !ran.out.contains("rolled back"), "{}", ran.out);
    let plan = windlass(&repo, &["plan", "--json"]).json();
    assert_eq!(plan["plan"]["release"]["previous"], "1.1.0");
    repo.file("windlass.toml", "[version]\nwithdrawn = [\"1.1.0\"]\n");
    let ran = windlass(&repo, &["next", "--explain"]);
    assert!(
        ran.out.starts_with("1.1.1\n") && ran.out.contains("withdrawn in the configuration"),
        "{}",
        ran.out
    );
}

#[test]
fn packages_are_bumped_together_or_one_by_one() {
    let repo = RepoBuilder::new();
    let manifest = |version: &str| format!("{{ \"name\": \"x\", \"version\": \"{version}\" }}\n");
    repo.file(
        "windlass.toml",
        "[packages.api]\npath = \"api\"\ndepends_on = [\"lib\"]\n[packages.lib]\npath = \"lib\"\n\
         [packages.site]\npath = \"site\"\n",
    );
    for package in ["api", "lib", "site"] {
        repo.file(&format!("{package}/package.json"), manifest("1.0.0"));
    }
    repo.commit("feat: begin");
    for package in ["api", "lib", "site"] {
        repo.tag(&format!("{package}-v1.0.0"));
    }
    let nothing = windlass(&repo, &["bump"]);
    assert_eq!(nothing.code, 3, "{}", nothing.err);
    repo.file("lib/x.js", "1").commit("feat: x");

    let dry = windlass(&repo, &["bump", "--dry-run"]);
    let told = "api 1.0.0 -> 1.0.1\nlib 1.0.0 -> 1.1.0\n  would write api/package.json\n  would write lib/package.json\n";
    assert_eq!((dry.code, dry.out.as_str()), (0, told), "{}", dry.err);
    let which = windlass(&repo, &["bump", "patch"]);
    assert!(which.code == 2 && which.err.contains("--package: api, lib, site"), "{}", which.err);
    let one = windlass(&repo, &["bump", "minor", "--package", "site", "--no-commit"]);
    assert_eq!((one.code, one.out.lines().next()), (0, Some("site 1.0.0 -> 1.1.0")), "{}", one.err);
    assert_eq!(repo.read("site/package.json"), manifest("1.1.0"));
    repo.git(&["checkout", "--quiet", "site/package.json"]);

    assert_eq!(windlass(&repo, &["bump"]).code, 0);
    assert_eq!(repo.git(&["log", "-1", "--format=%s"]), "chore(release): bump api to 1.0.1, lib to 1.1.0");
    assert_eq!(repo.read("lib/package.json"), manifest("1.1.0"));
    assert_eq!(repo.read("site/package.json"), manifest("1.0.0"));
}

#[test]
fn a_package_is_planned_with_its_own_files() {
    let repo = RepoBuilder::new();
    repo.file("windlass.toml", "[packages.api]\npath = \"api\"\n")
        .file("package.json", "{ \"name\": \"root\", \"version\": \"9.0.0\" }\n")
        .file("api/package.json", "{ \"name\": \"api\", \"version\": \"0.4.0\" }\n");
    repo.commit("feat: begin");
    // Nothing is released yet: the first version is the one the package states.
    assert_eq!(windlass(&repo, &["next", "--package", "api"]).out, "0.4.0\n");
    runbook(&repo, "release", "### Write\n\n```yaml\nuses: version.write\n```\n");
    let plan = windlass(&repo, &["plan", "--package", "api", "--bump", "minor"]);
    assert!(plan.out.contains("api/package.json"), "{}{}", plan.out, plan.err);
    assert!(!plan.out.contains(" package.json"), "{}", plan.out);
}

#[test]
fn a_bump_that_cannot_commit_leaves_everything_as_it_was_and_a_stopped_one_is_committed() {
    let repo = package();
    repo.file(".git/hooks/pre-commit", "#!/bin/sh\nexit 1\n");
    std::process::Command::new("chmod")
        .args(["+x", ".git/hooks/pre-commit"])
        .current_dir(repo.path())
        .status()
        .unwrap();
    let refused = windlass(&repo, &["bump"]);
    assert!(refused.code == 1 && refused.err.contains("the files are as they were"), "{}", refused.err);
    assert_eq!(repo.git(&["status", "--porcelain"]), "");
    std::fs::remove_file(repo.path().join(".git/hooks/pre-commit")).unwrap();

    // Stopped between the files and the commit.
    assert_eq!(windlass(&repo, &["bump", "--no-commit"]).code, 0);
    let ran = windlass(&repo, &["bump", "--set", "1.3.0"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(repo.git(&["log", "-1", "--format=%s"]), "chore(release): bump version to 1.3.0");
    assert_eq!(repo.git(&["status", "--porcelain"]), "");
}

#[test]
fn a_clone_without_its_tags_is_told_to_fetch_them() {
    let repo = package();
    repo.git(&["tag", "-d", "v1.2.0"]);
    let ran = windlass(&repo, &["next"]);
    assert!(ran.code == 2 && ran.err.contains("git fetch --tags"), "{}{}", ran.out, ran.err);
    assert_eq!(windlass(&repo, &["next", "--set", "1.3.0"]).out, "1.3.0\n");
}

#[test]
fn the_line_of_a_branch_holds_where_a_ci_checks_out_its_commit_alone() {
    let repo = package();
    repo.git(&["checkout", "--quiet", "--detach"]);
    assert_eq!(windlass(&repo, &["next"]).out, "1.3.0\n");
    for variables in [
        &[("CI_COMMIT_BRANCH", "1.2.x")][..],
        &[("GITHUB_REF_NAME", "1.2.x"), ("GITHUB_REF_TYPE", "branch")],
        &[("BUILD_SOURCEBRANCH", "refs/heads/1.2.x")],
    ] {
        assert_eq!(windlass_with(&repo, &["next"], variables).out, "1.2.1\n", "{variables:?}");
    }
}

/// Two packages, of which `web` has tags; and init's own runbook.
fn two_packages() -> RepoBuilder {
    let repo = RepoBuilder::new();
    repo.file("windlass.toml", "[packages.api]\npath = \"api\"\n[packages.web]\npath = \"web\"\n");
    for package in ["api", "web"] {
        repo.file(&format!("{package}/package.json"), "{ \"name\": \"x\", \"version\": \"0.4.2\" }\n");
    }
    repo.file("CHANGELOG.md", "# Changelog\n\n## [Unreleased]\n");
    repo.commit("feat: begin");
    repo.tag("web-v0.4.2").tag("retired-0.1.0");
    repo.file("web/x.js", "1").commit("feat: x");
    repo
}

#[test]
fn a_package_is_released_with_its_own_files() {
    let repo = two_packages();
    let ran = windlass(&repo, &["init", "--yes"]);
    assert!(ran.err.contains("found version 0.4.2 in api/package.json, web/package.json"), "{}", ran.err);
    let ran = windlass(&repo, &["plan"]);
    assert!(ran.code == 2 && ran.err.contains("name it with --package: api, web"), "{}", ran.err);
    let ran = windlass(&repo, &["plan", "--package", "web", "--json"]);
    assert!(ran.out.contains("there is no web/CHANGELOG.md, the changelog of web"), "{}{}", ran.out, ran.err);
    repo.file("web/CHANGELOG.md", "# Changelog\n\n## [Unreleased]\n").commit("docs: begin a changelog");
    let ran = windlass(&repo, &["run", "--package", "web", "--yes"]);
    assert!(ran.code == 0 && ran.err.contains("release web 0.5.0"), "{}{}", ran.out, ran.err);
    let read = |path: &str| std::fs::read_to_string(repo.path().join(path)).unwrap();
    assert!(read("web/package.json").contains("0.5.0") && read("web/CHANGELOG.md").contains("0.5.0"));
    assert!(read("api/package.json").contains("0.4.2") && !read("CHANGELOG.md").contains("0.5.0"));
    assert!(repo.git(&["log", "-1", "--format=%s"]).contains("web-v0.5.0"));
}

#[test]
fn what_is_asked_of_one_linked_package_moves_them_all_or_none() {
    let repo = RepoBuilder::new();
    repo.file(
        "windlass.toml",
        "[packages.api]\npath = \"api\"\nlinked = \"app\"\n[packages.web]\npath = \"web\"\nlinked = \"app\"\n\
         [packages.doc]\npath = \"doc\"\n",
    );
    repo.file("doc/page", "1");
    for package in ["api", "web"] {
        repo.file(&format!("{package}/package.json"), "{ \"name\": \"x\", \"version\": \"1.0.0\" }\n");
    }
    repo.commit("feat: begin");
    repo.tag("api-v1.0.0").tag("web-v1.0.0").tag("doc-v1.0.0");
    repo.file("api/a", "1").commit("fix: a leak");
    let bump = windlass(&repo, &["bump", "--package", "web", "--set", "2.0.0", "--dry-run"]);
    let both = "api 1.0.0 -> 2.0.0\nweb 1.0.0 -> 2.0.0\n";
    assert!(bump.out.starts_with(both), "{}{}", bump.out, bump.err);
    for args in [
        &["bump", "major", "--package", "web", "--dry-run"][..],
        &["next", "--package", "web", "--bump", "major"],
    ] {
        let ran = windlass(&repo, args);
        assert!(ran.out.starts_with(both) || ran.out == "2.0.0\n", "{args:?} {}{}", ran.out, ran.err);
    }
    // A release of one is followed by the other, by itself.
    repo.git(&["tag", "api-v2.0.0"]);
    let next = windlass(&repo, &["next"]);
    assert!(next.out.contains("\nweb 2.0.0 "), "{}{}", next.out, next.err);
    assert!(windlass(&repo, &["next", "--package", "api"]).err.contains("nothing to release"));
    // The one that has it already is left alone.
    let bump = windlass(&repo, &["bump", "--package", "web", "--set", "2.0.0", "--dry-run"]);
    assert!(bump.code == 0 && bump.out.starts_with("web 1.0.0 -> 2.0.0\n"), "{}{}", bump.out, bump.err);
    assert!(!bump.out.contains("api"), "{}", bump.out);
    let taken = windlass(&repo, &["bump", "--package", "api", "--set", "2.0.0", "--dry-run"]);
    assert!(taken.code == 2 && taken.err.contains("already exists as the tag `api-v2.0.0`"), "{}", taken.err);
    repo.file("web/x", "1").commit("feat: x");
    // Where one of them cannot have the version, none gets it.
    repo.git(&["checkout", "--quiet", "-b", "aside", "HEAD~1"]);
    repo.file("web/y", "1").commit("feat: y");
    repo.tag("web-v2.1.0");
    repo.git(&["checkout", "--quiet", "main"]);
    let refused = windlass(&repo, &["next", "--package", "api", "--set", "2.1.0"]);
    let says = "the packages of the group `app` share their version, and `web` cannot have this one: 2.1.0 already \
                exists as the tag `web-v2.1.0`\n  help: choose a higher version";
    assert!(refused.code == 2 && refused.err.contains(says), "{}{}", refused.out, refused.err);
    assert_eq!(windlass(&repo, &["bump", "--package", "api", "--set", "2.1.0"]).code, 2);
    assert_eq!(repo.git(&["status", "--porcelain"]), "");
}

#[test]
fn linked_packages_may_share_their_tag() {
    let repo = RepoBuilder::new();
    let tables = ["api", "web"].map(|name| {
        repo.file(&format!("{name}/package.json"), "{ \"name\": \"x\", \"version\": \"1.0.0\" }\n");
        repo.file(&format!("{name}/CHANGELOG.md"), format!("# Changelog\n\n## [1.0.0]\n\n- Of {name}\n"));
        format!("[packages.{name}]\npath = \"{name}\"\ntag = \"v{{version}}\"\nlinked = \"app\"\n")
    });
    repo.file("windlass.toml", tables.concat()).commit("feat: begin");
    repo.tag("v1.0.0");
    repo.file("api/a", "1").commit("fix: a leak");
    let bump = windlass(&repo, &["bump", "--package", "web"]);
    assert!(
        bump.code == 0 && bump.out.contains("api 1.0.0 -> 1.0.1\nweb 1.0.0 -> 1.0.1\n"),
        "{}{}",
        bump.out,
        bump.err
    );
    // One tag is the release of both.
    repo.tag("v1.0.1");
    let next = windlass(&repo, &["next"]);
    assert!(next.code == 3 && !next.out.contains("1.0.2"), "{} {}{}", next.code, next.out, next.err);
    // Whose notes they are must be said.
    let notes = windlass(&repo, &["notes", "v1.0.0"]);
    assert!(
        notes.code == 2 && notes.err.contains("`v1.0.0` is the tag of api, web"),
        "{}{}",
        notes.out,
        notes.err
    );
    let notes = windlass(&repo, &["notes", "v1.0.0", "--package", "web"]);
    assert!(notes.out.contains("Of web") && !notes.out.contains("Of api"), "{}{}", notes.out, notes.err);
}

#[test]
fn packages_at_one_version_are_released_beside_each_other() {
    let repo = two_packages();
    repo.git(&["tag", "--delete", "retired-0.1.0"]);
    repo.file("api/x.js", "1").commit("feat: y");
    repo.git(&["tag", "api-v0.4.2", "web-v0.4.2"]);
    runbook(&repo, "ship", "### Tag\n\n```yaml\nuses: git.tag\n```\n\n### Wait\n\n- [ ] It is there\n");
    let web = windlass(&repo, &["run", "ship", "--package", "web", "--no-wait", "--despite-preflight"]);
    assert!(web.code == 4 && web.err.contains("run ship-web-0.5.0-"), "{} {}{}", web.code, web.out, web.err);
    // Neither the other package nor its number is in the way; the same one is.
    let api = windlass(&repo, &["run", "ship", "--package", "api", "--no-wait", "--despite-preflight"]);
    assert!(api.code == 4 && api.err.contains("run ship-api-0.5.0-"), "{} {}{}", api.code, api.out, api.err);
    let again =
        windlass(&repo, &["run", "ship", "--package", "web", "--version", "0.5.0", "--despite-preflight"]);
    assert!(again.code == 7 && again.err.contains("ship web 0.5.0 is under way already"), "{}", again.err);
    let runs = windlass(&repo, &["runs", "--json"]).json();
    let listed: Vec<&str> =
        runs["runs"].as_array().unwrap().iter().map(|run| run["package"].as_str().unwrap()).collect();
    assert_eq!(listed, ["api", "web"]);
    // What is taken back of one spends no number of the other.
    let back = windlass(&repo, &["rollback", "ship-web", "--yes"]);
    assert_eq!(back.code, 6, "{}{}", back.out, back.err);
    repo.git(&["tag", "web-v0.5.0"]);
    let next = windlass(&repo, &["next", "--package", "api", "--explain"]);
    assert!(!next.out.contains("rolled back"), "{}", next.out);
    let spent = windlass(&repo, &["next", "--package", "web", "--explain"]);
    assert!(
        spent.out.contains("0.5.0 was rolled back, so its number is spent"),
        "{}{}",
        spent.out,
        spent.err
    );
}

#[test]
fn tags_of_others_do_not_keep_a_package_from_its_first_release() {
    let repo = two_packages();
    let ran = windlass(&repo, &["next", "--package", "api", "--explain"]);
    assert!(ran.out.starts_with("0.4.2\n") && ran.out.contains("are of others"), "{}{}", ran.out, ran.err);
    repo.tag("api-0.4.0");
    let ran = windlass(&repo, &["next", "--package", "api"]);
    assert!(ran.err.contains("set `tag = \"api-{version}\"` under [packages.api]"), "{}", ran.err);
    repo.file("windlass.toml", "[packages.api]\npath = \"gone\"\n");
    let ran = windlass(&repo, &["next", "--package", "api"]);
    assert!(ran.code == 2 && ran.err.contains("`path` under [packages.api]"), "{}", ran.err);
}

#[test]
fn only_a_changelog_in_the_form_gets_room_for_what_comes_next() {
    for (changelog, gets) in [
        ("# Changelog\n\n## [1.0.0] - 2024-01-02\n\n- a\n", true),
        ("# Changelog\n\n## [1.0.0](https://x) (2024-01-02)\n\n- a\n", false),
        ("# Changelog\n\n## master (unreleased)\n\n- b\n\n## 1.0.0 - 2024-01-02\n\n- a\n", false),
        ("# History\n\nNotes.\n", false),
    ] {
        let repo = RepoBuilder::new();
        repo.file("package.json", "{ \"name\": \"x\", \"version\": \"1.0.0\" }\n")
            .file("CHANGELOG.md", changelog);
        repo.commit("feat: begin");
        repo.tag("v1.0.0");
        repo.file("x.js", "1").commit("fix: x");
        let ran = windlass(&repo, &["bump"]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        let text = std::fs::read_to_string(repo.path().join("CHANGELOG.md")).unwrap();
        assert_eq!(text != changelog, gets, "{text}");
    }
}

#[test]
fn a_version_in_the_place_of_a_step_and_one_stated_already_are_told() {
    let repo = RepoBuilder::new();
    repo.file("package.json", "{ \"name\": \"x\", \"version\": \"1.1.0\" }\n");
    repo.commit("feat: begin");
    repo.tag("v1.0.0");
    repo.file("x.js", "1").commit("fix: x");
    let ran = windlass(&repo, &["bump", "9.0.0"]);
    assert!(ran.code == 2 && ran.err.contains("--version 9.0.0"), "{}", ran.err);
    let ran = windlass(&repo, &["bump", "--set", "1.1.0"]);
    assert!(ran.code == 0 && ran.out.contains("nothing was done"), "{}{}", ran.out, ran.err);
}

#[test]
fn a_promotion_that_would_tag_another_commit_is_found() {
    let repo = RepoBuilder::new();
    repo.file("package.json", "{ \"name\": \"x\", \"version\": \"1.2.0\" }\n");
    repo.file("CHANGELOG.md", "# Changelog\n\n## [Unreleased]\n");
    repo.commit("feat: begin");
    repo.tag("v1.1.0");
    repo.file("x.js", "1");
    repo.file(
        "runbooks/tag.md",
        "---\nname: tag\n---\n# Tag\n\n## Steps\n\n### 1. Tag\n\n```yaml\nuses: git.tag\n```\n",
    );
    repo.file(
        "runbooks/release.md",
        "---\nname: release\n---\n# R\n\n## Steps\n\n### 1. Write\n\n```yaml\nuses: changelog.promote\n```\n\
         ```yaml\nuses: git.commit\nwith: { message: m }\n```\n\n### 2. Tag\n\n```yaml\nuses: git.tag\n```\n",
    );
    repo.commit("feat: x");
    repo.tag("v1.2.0-rc.1");
    let finding = |runbook: &str, which: &[&str]| {
        let ran = windlass(&repo, &[&["plan", runbook, "--json"], which].concat());
        ran.json()["plan"]["preflight"].to_string()
    };
    let found = finding("release", &["--promote", "v1.2.0-rc.1"]);
    assert!(found.contains("`git.commit` comes before the tag"), "{found}");
    assert_eq!(finding("tag", &["--promote", "v1.2.0-rc.1"]), "[]");
    // Without a promotion: nothing writes the version that is tagged.
    let found = finding("tag", &["--version", "1.3.0"]);
    assert!(found.contains("package.json states 1.2.0, and no step writes 1.3.0"), "{found}");
}
