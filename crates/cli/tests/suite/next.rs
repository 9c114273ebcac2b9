//! Which tag counts: next --explain, --at, --promote, --package, and what plans make of it.

use windlass_testkit::repo::RepoBuilder;

use crate::support::{runbook, windlass};

/// Pre-releases on main, a stable release on a branch of its own.
fn release_branches() -> RepoBuilder {
    let repo = RepoBuilder::with_commit();
    repo.tag("v1.0.0").commit("feat: a");
    repo.tag("v1.1.0-next.0").commit("fix: b");
    repo.tag("v1.1.0-next.1");
    repo.git(&["switch", "--quiet", "-c", "1.1.x"]);
    repo.commit("fix: c");
    repo.tag("v1.1.0");
    repo.git(&["switch", "--quiet", "main"]);
    repo.commits(&["feat: d", "docs: e", "chore(deps): f"]);
    repo
}

#[test]
fn the_baseline_explains_itself() {
    let repo = release_branches();
    let ran = windlass(&repo, &["next", "--channel", "next", "--json"]).json();
    let next = &ran["next"];
    assert_eq!((&next["version"], &next["channel"]), (&"1.2.0-next.0".into(), &"preview".into()));
    assert_eq!(next["baseline"]["tag"], "v1.1.0-next.1");
    assert_eq!(next["baseline"]["commits_since"], 3);
    assert_eq!(next["baseline"]["commit"], repo.git(&["rev-parse", "v1.1.0-next.1^{commit}"]));
    assert_eq!(
        next["runner_up"],
        serde_json::json!({"tag": "v1.1.0", "version": "1.1.0", "why": "is higher, but HEAD does not contain it"})
    );
    assert_eq!(next["commits_by_type"], serde_json::json!({"chore": 1, "docs": 1, "feat": 1}));
    assert_eq!(next["lead_time"]["first_commit_at"], "2026-01-01T00:05:00Z");
    assert_eq!(next["target"], repo.head());
    insta::assert_snapshot!(
        "next-explain-branches",
        windlass(&repo, &["next", "--explain", "--channel", "next"]).shown(&repo)
    );
}

#[test]
fn why_there_is_no_version_is_explained_too() {
    let repo = RepoBuilder::with_commit();
    repo.tag("v1.0.0").commit("docs: a");
    let ran = windlass(&repo, &["next", "--explain"]);
    assert_eq!(ran.code, 3);
    assert!(
        ran.out.contains("baseline v1.0.0") && ran.out.contains("since    1 commit: 1 docs"),
        "{}",
        ran.out
    );
    let ran = windlass(&repo, &["next"]);
    assert_eq!((ran.code, ran.out.as_str()), (3, ""));
    let ran = windlass(&repo, &["next", "--json"]);
    let json = ran.json();
    assert_eq!((ran.code, &json["schema"]), (3, &"windlass/error/1".into()));
    assert_eq!(json["next"]["baseline"]["tag"], "v1.0.0");
    assert_eq!(json["next"]["baseline"]["commits_since"], 1);
    assert!(json["next"]["problem"].as_str().unwrap().starts_with("nothing to release"));
}

#[test]
fn another_commit_stands_for_head() {
    let repo = release_branches();
    let check = |at: &str, more: &[&str], expect: &str| {
        let ran = windlass(&repo, &[&["next", "--at", at], more].concat());
        let said = format!("{}{}", ran.out, ran.err);
        assert!(said.contains(expect), "{at} {more:?}: {said}");
    };
    // v1.1.0 is newer than that commit: it was not there yet.
    check("v1.1.0-next.1^", &["--channel", "next"], "HEAD is `v1.1.0-next.0` itself");
    check("v1.1.0^", &[], "1.1.0\n");
    check("v1.1.0-next.0^", &[], "no commits since `v1.0.0`");
    check("1.1.x", &[], "no commits since `v1.1.0`");
    check("nowhere", &[], "`nowhere` names no commit");
    check("HEAD", &["--channel", "next"], "1.2.0-next.0\n");
    let ran = windlass(&repo, &["next", "--at", "HEAD", "--promote", "v1.1.0-next.1"]);
    assert_eq!(ran.code, 2);
}

#[test]
fn a_candidate_is_promoted_on_the_commit_that_was_tested() {
    let repo = RepoBuilder::with_commit();
    repo.tag("v1.0.0").commit("feat: a");
    repo.tag("v1.1.0-rc.1").commit("fix: b");
    repo.tag("v1.1.0-rc.2");
    let tested = repo.head();
    repo.file(
        "runbooks/promote.md",
        "---\nname: promote\n---\n# P\n\n## Steps\n\n### Tag\n\n```yaml\nuses: git.tag\n```\n",
    );
    repo.commit("feat: not tested");
    assert_eq!(windlass(&repo, &["next", "--promote", "v1.1.0-rc.2"]).out, "1.1.0\n");
    assert_eq!(windlass(&repo, &["next", "--promote", "1.1.0-rc.1"]).out, "1.1.0\n");
    for (tag, expect) in [
        ("v1.0.0", "`v1.0.0` cannot be promoted: it is stable already"),
        ("v9.0.0-rc.1", "there is no release `v9.0.0-rc.1` to promote"),
    ] {
        let ran = windlass(&repo, &["next", "--promote", tag]);
        assert!(ran.code == 2 && ran.err.contains(expect), "{tag}: {}", ran.err);
    }
    let plan = windlass(&repo, &["plan", "promote", "--promote", "v1.1.0-rc.2", "--json"]).json();
    let release = &plan["plan"]["release"];
    assert_eq!((&release["version"], &release["target"]), (&"1.1.0".into(), &tested.as_str().into()));
    assert_eq!(release["previous_tag"], "v1.0.0");
    let subjects: Vec<&str> = release["commits"]
        .as_array()
        .unwrap()
        .iter()
        .map(|commit| commit["subject"].as_str().unwrap())
        .collect();
    assert_eq!(subjects, ["fix: b", "feat: a"]);
    assert_eq!(plan["plan"]["preflight"], serde_json::json!([]));
    let ran = windlass(&repo, &["run", "promote", "--promote", "v1.1.0-rc.2"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(repo.git(&["rev-parse", "v1.1.0^{commit}"]), tested);
    let again = windlass(&repo, &["next", "--promote", "v1.1.0-rc.1"]);
    assert!(again.code == 2 && again.err.contains("already exists as the tag `v1.1.0`"), "{}", again.err);
}

#[test]
fn head_does_not_leak_into_a_promotion() {
    let repo = RepoBuilder::with_commit();
    repo.tag("v1.0.0").commit("feat: a");
    repo.file(
        "runbooks/release.md",
        "---\nname: release\n---\n# R\n\n## Steps\n\n### Write\n\n```yaml\nuses: git.commit\nwith: { paths: [x], message: m }\n```\n\n\
         ### Build\n\n```sh\ntrue\n```\n\n### Tag\n\n```yaml\nuses: git.tag\n```\n",
    );
    repo.commit("docs: a runbook");
    repo.tag("v1.1.0-rc.1");
    let found = || {
        let plan = windlass(&repo, &["plan", "--promote", "v1.1.0-rc.1", "--json"]).json();
        let findings = plan["plan"]["preflight"].as_array().cloned().unwrap_or_default();
        let leaks = findings.iter().filter(|finding| finding["kind"] == "promotion");
        leaks.map(|finding| finding["path"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(found(), ["write/git.commit"], "HEAD is the candidate, and would not be what is tagged");
    repo.commit("feat: not tested");
    assert_eq!(found(), ["write/git.commit", "build/script-1"]);
    let ran = windlass(&repo, &["run", "--promote", "v1.1.0-rc.1"]);
    assert!(ran.code == 2 && ran.err.contains("git switch --detach"), "{}", ran.err);
    // With the candidate checked out scripts work on it, though no branch is checked out.
    repo.git(&["switch", "--quiet", "--detach", "v1.1.0-rc.1"]);
    assert_eq!(found(), ["write/git.commit"]);
}

#[test]
fn packages_have_versions_of_their_own() {
    let repo = RepoBuilder::with_commit();
    repo.file(
        "windlass.toml",
        "[packages.api]\npath = \"api\"\ndepends_on = [\"lib\"]\n[packages.lib]\npath = \"lib\"\n\
         [packages.web]\npath = \"web\"\nalso = [\"shared\"]\n",
    );
    repo.file("api/a", "1").file("lib/a", "1").file("web/a", "1").commit("feat: begin");
    repo.tag("api-v1.0.0").tag("lib-v0.2.0").tag("web-v2.0.0");
    repo.file("lib/a", "2").commit("feat: a door");
    repo.file("README.md", "x").commit("feat: nobody's");
    let versions = |args: &[&str]| {
        let ran = windlass(&repo, &[&["next", "--json"], args].concat()).json();
        let packages = ran["packages"].as_array().unwrap().clone();
        let told = packages.iter().map(|package| {
            format!("{} {}", package["package"].as_str().unwrap(), package["version"].as_str().unwrap_or("-"))
        });
        told.collect::<Vec<_>>()
    };
    assert_eq!(versions(&[]), ["api 1.0.1", "lib 0.3.0", "web -"]);
    assert_eq!(versions(&["--channel", "rc"]), ["api 1.0.1-rc.1", "lib 0.3.0-rc.1", "web -"]);
    insta::assert_snapshot!("next-packages", windlass(&repo, &["next"]).shown(&repo));
    let check = |args: &[&str], code: u8, expect: &str| {
        let ran = windlass(&repo, &[&["next"], args].concat());
        let said = format!("{}{}", ran.out, ran.err);
        assert!(ran.code == code && said.contains(expect), "{args:?} {}: {said}", ran.code);
    };
    check(&["--package", "lib"], 0, "0.3.0\n");
    check(&["--package", "api"], 0, "1.0.1\n");
    check(&["--package", "web"], 3, "no commits since `web-v2.0.0`");
    check(&["--package", "web", "--bump", "major"], 0, "3.0.0\n");
    check(&["--package", "wbe"], 2, "did you mean `web`?");
    check(&["--bump", "major"], 2, "name it with --package: api, lib, web");
    repo.file("shared/x", "1").commit("fix: shared");
    check(&["--package", "web"], 0, "2.0.1\n");

    runbook(&repo, "release", "### Tag\n\n```yaml\nuses: git.tag\n```");
    let ran = windlass(&repo, &["run", "--package", "lib"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(repo.git(&["tag", "--points-at", "HEAD"]), "lib-v0.3.0");
    assert_eq!(versions(&[]), ["api 1.0.1", "lib -", "web 2.0.1"]);
}

#[test]
fn a_branch_that_is_a_line_keeps_its_versions() {
    let repo = RepoBuilder::with_commit();
    repo.tag("v1.0.0");
    repo.git(&["switch", "--quiet", "-c", "1.x"]);
    repo.commit("feat!: a");
    let ran = windlass(&repo, &["next"]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.err.contains("a breaking change would make this 2.0.0, but the branch is the line 1.x"),
        "{}",
        ran.err
    );
    assert_eq!(windlass(&repo, &["next", "--version", "2.0.0"]).out, "2.0.0\n");
    repo.git(&["switch", "--quiet", "main"]);
    repo.git(&["merge", "--quiet", "1.x"]);
    assert_eq!(windlass(&repo, &["next"]).out, "2.0.0\n");
}

#[test]
fn the_calendar_numbers_releases_and_tags() {
    let repo = RepoBuilder::with_commit();
    repo.file("windlass.toml", "[version]\ncalendar = \"YYYY.0M.MICRO\"\n").commit("feat: begin");
    let tag = |expect: &str| {
        let ran = windlass(&repo, &["next", "--json"]).json();
        assert_eq!(ran["next"]["tag"], expect);
    };
    tag("v2026.01.0");
    repo.tag("v2026.01.0").commit("fix: a");
    tag("v2026.01.1");
    repo.file("windlass.toml", "[version]\ncalendar = \"YYYY.0X\"\n");
    let ran = windlass(&repo, &["next"]);
    assert!(ran.code == 2 && ran.err.contains("`0X` is no part of a calendar"), "{}", ran.err);
}
