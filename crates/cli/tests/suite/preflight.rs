//! What a plan finds missing before anything is done.

use windlass_testkit::repo::RepoBuilder;

use crate::support::{runbook, windlass, windlass_with};

fn findings(repo: &RepoBuilder, more: &[(&str, &str)]) -> Vec<String> {
    let ran = windlass_with(repo, &["plan", "r", "--json"], more);
    ran.json()["plan"]["preflight"]
        .as_array()
        .unwrap_or_else(|| panic!("{}{}", ran.out, ran.err))
        .iter()
        .map(|finding| {
            let text = |key: &str| finding[key].as_str().unwrap().to_owned();
            format!("{} {} {}: {}", text("kind"), text("path"), text("place"), text("message"))
        })
        .collect()
}

#[test]
fn what_scripts_need_and_is_not_there() {
    let repo = RepoBuilder::with_commit();
    repo.file("Makefile", "build:\n\ttrue\n");
    repo.file("here.sh", "");
    repo.file("windlass.toml", "[secrets]\nTOKEN = { env = \"CI_TOKEN\" }\n");
    runbook(
        &repo,
        "r",
        "### A\n\n```sh\nmake build\nmake biuld\n./here.sh\n./gone.sh\n```\n\n```bash\nno-such-tool | cat\nif true; then\n```\n\n\
         ```bash\nno-such-tool | cat\n```\n\n```python\nprint('a'\n```\n\n```sh {secrets=TOKEN}\ntrue\n```\n\n\
         - [ ] works: `no-such-check --all`\n\n### B\n- When: 1 == 2\n\n```sh\nnever-needed\n```",
    );
    assert_eq!(
        findings(&repo, &[]),
        [
            "make-target a/script-1 runbooks/r.md:12: the Makefile has no target `biuld`; did you mean `build`?",
            "file a/script-1 runbooks/r.md:14: there is no file `./gone.sh`",
            "syntax a/script-2 runbooks/r.md:20: syntax error: unexpected end of file",
            "command a/script-3 runbooks/r.md:23: the command `no-such-tool` is not installed here",
            "syntax a/script-4 runbooks/r.md:27: '(' was never closed",
            "secret a/script-5 runbooks/r.md:31: the secret `TOKEN` has no value: set the variable CI_TOKEN",
            "command a/check-1 runbooks/r.md:34: the command `no-such-check` is not installed here",
        ]
    );
    assert_eq!(findings(&repo, &[("CI_TOKEN", "x")]).len(), 6);
}

#[test]
fn uncommitted_changes_are_told_before_a_release() {
    let repo = RepoBuilder::with_commit();
    runbook(&repo, "release", "### A\n\n```sh\ntrue\n```");
    repo.file("README.md", "changed");
    let ran = windlass(&repo, &["plan"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains("1 change is not committed: README.md; commit or stash them"), "{}", ran.out);
}

#[test]
fn two_open_quotes_do_not_close_each_other() {
    let repo = RepoBuilder::with_commit();
    runbook(&repo, "r", "### A\n\n```sh\necho 'a\n```\n\n```sh\necho b'\n```\n\n```sh\ntrue\n```");
    let found = findings(&repo, &[]);
    assert_eq!(found.iter().filter(|finding| finding.starts_with("syntax")).count(), 2, "{found:?}");
}

#[test]
fn a_remote_that_is_not_there_is_told_and_refused() {
    let repo = RepoBuilder::with_commit();
    runbook(
        &repo,
        "r",
        "### A\n\n```yaml\nuses: git.push\n```\n\n```yaml\nuses: git.push\nwith: { remote: mirror, refs: [main] }\n```\n\n\
         ### B\n- When: 1 == 2\n\n```yaml\nuses: git.push\nwith: { remote: never }\n```",
    );
    assert_eq!(
        findings(&repo, &[]),
        [
            "remote a/git.push : there is no remote `origin`; add it with `git remote add origin URL`",
            "remote a/git.push-2 : there is no remote `mirror`; add it with `git remote add mirror URL`",
        ]
    );
    let ran = windlass(&repo, &["run", "r"]);
    assert_eq!(ran.code, 2, "{}", ran.err);
    assert!(ran.err.contains("git remote add origin URL"), "{}", ran.err);
    repo.git(&["remote", "add", "origin", "/nowhere"]);
    assert_eq!(findings(&repo, &[]).len(), 1);
}

#[test]
fn a_release_from_another_branch_is_told() {
    let repo = RepoBuilder::with_commit();
    repo.tag("v1.0.0");
    repo.file("windlass.toml", "[git]\nbranch = \"main\"\n");
    runbook(&repo, "release", "### A\n\n```sh\necho $WINDLASS_VERSION\n```");
    repo.commit("fix: a leak");
    let check = |branch: &str, args: &[&str], expect: bool| {
        repo.git(&["switch", "--quiet", "-C", branch]);
        let ran = windlass(&repo, &[&["plan", "--json"], args].concat()).json();
        let found = ran["plan"]["preflight"].as_array().unwrap().clone();
        assert_eq!(found.iter().any(|finding| finding["kind"] == "branch"), expect, "{branch} {args:?}");
        found.first().map(|finding| finding["message"].as_str().unwrap().to_owned()).unwrap_or_default()
    };
    check("main", &[], false);
    let message = check("topic", &[], true);
    assert_eq!(
        message,
        "1.0.1 would be released from the branch topic, not from main; switch with `git switch main`"
    );
    check("topic", &["--channel", "rc"], false);
    check("topic", &["--hotfix"], false);
    check("release/1.0", &[], false);
    check("1.x", &[], false);
}
