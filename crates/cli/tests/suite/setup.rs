//! init and doctor.

use windlass_testkit::repo::RepoBuilder;

use crate::support::{windlass, windlass_answering, windlass_with};

#[test]
fn a_repository_of_each_kind_is_set_up_and_can_be_planned() {
    let check = |files: &[(&str, &str)], test: Option<&str>| {
        let repo = RepoBuilder::new();
        for (path, text) in files {
            repo.file(path, text);
        }
        repo.commit("feat: begin");
        repo.remote();
        let ran = windlass(&repo, &["init", "--yes"]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        assert_eq!(repo.git(&["log", "-1", "--format=%s"]), "chore: add windlass");
        assert_eq!(
            repo.git(&["show", "--format=", "--name-only", "HEAD"]),
            "CHANGELOG.md\nrunbooks/release.md\nwindlass.toml"
        );
        let runbook = repo.read("runbooks/release.md");
        match test {
            Some(test) => assert!(runbook.contains(&format!("\n{test}\n```")), "{runbook}"),
            None => assert!(!runbook.contains("id=test"), "{runbook}"),
        }
        let check = windlass(&repo, &["check"]);
        assert_eq!((check.code, check.err.as_str()), (0, ""), "{}", check.err);
        let plan = windlass(&repo, &["plan", "--json"]).json();
        assert_eq!(plan["plan"]["preflight"], serde_json::json!([]), "{plan:#}");
        assert_eq!(plan["plan"]["release"]["version"], "0.1.0");
        // A second time, nothing is left to do and nothing is touched.
        let again = windlass(&repo, &["init"]);
        assert_eq!(again.code, 0, "{}", again.err);
        assert_eq!(repo.git(&["status", "--porcelain"]), "");
        repo
    };
    let cargo = "[package]\nname = \"demo\"\nversion = \"0.1.0\"\nedition = \"2024\"\n";
    let repo = check(&[("Cargo.toml", cargo), ("src/lib.rs", "")], Some("cargo test"));
    insta::assert_snapshot!("starter-runbook", repo.read("runbooks/release.md"));
    insta::assert_snapshot!("starter-config", repo.read("windlass.toml"));
    let project = "[project]\nname = \"demo\"\nversion = \"0.1.0\"\n";
    let test = "import unittest\n\nclass A(unittest.TestCase):\n    def test_a(self): pass\n";
    check(&[("pyproject.toml", project), ("demo.py", "")], None);
    // pytest runs these too, where it is installed.
    let python = RepoBuilder::new();
    python.file("pyproject.toml", project).file("tests/test_a.py", test).commit("feat: begin");
    assert_eq!(windlass(&python, &["init", "--yes"]).code, 0);
    assert!(python.read("runbooks/release.md").contains("\npython3 -m "));
    let node = r#"{ "name": "demo", "version": "0.1.0", "scripts": { "test": "node --version" } }"#;
    check(&[("package.json", node)], Some("npm test"));
    let bare = r#"{ "name": "demo", "version": "0.1.0", "scripts": { "test": "echo \"Error: no test specified\"" } }"#;
    check(&[("package.json", bare)], None);
}

#[test]
fn nothing_that_is_there_is_overwritten() {
    let repo = RepoBuilder::with_commit();
    repo.file("CHANGELOG.md", "mine\n").file("staged.txt", "x");
    repo.git(&["add", "staged.txt"]);
    let ran = windlass(&repo, &["init", "--yes", "--no-commit"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(repo.read("CHANGELOG.md"), "mine\n");
    assert!(ran.out.contains("wrote windlass.toml"));
    assert_eq!(repo.git(&["log", "-1", "--format=%s"]), "feat: begin");
    // No holder and no remote: the runbook asks for neither.
    let runbook = repo.read("runbooks/release.md");
    assert!(!runbook.contains("version.write") && !runbook.contains("git.push"), "{runbook}");
}

#[test]
fn a_person_is_asked_only_on_a_terminal_and_only_when_it_is_allowed() {
    let ask = |answer: &str, args: &[&str]| {
        let repo = RepoBuilder::with_commit();
        let ran = windlass_answering(&repo, args, answer);
        (ran.code, repo.path().join("windlass.toml").exists(), ran.err.contains("[y/N]"))
    };
    assert_eq!(ask("y\n", &["init"]), (0, true, true));
    assert_eq!(ask("n\n", &["init"]), (4, false, true));
    assert_eq!(ask("", &["init"]), (4, false, true));
    assert_eq!(ask("y\n", &["init", "--no-input"]), (2, false, false));
    assert_eq!(ask("y\n", &["init", "--json"]), (2, false, false));
    assert_eq!(ask("n\n", &["init", "--yes"]), (0, true, false));
}

#[test]
fn the_doctor_looks_at_everything() {
    let repo = RepoBuilder::with_commit();
    repo.remote();
    let ran = windlass(&repo, &["doctor"]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    assert!(
        ran.out.contains("origin answers")
            && ran.out.contains("carl@example.com") == ran.out.contains("carl")
    );
    repo.git(&["remote", "set-url", "origin", "/nowhere"]);
    repo.file("windlass.toml", "x = 1\n");
    repo.file(
        "runbooks/a.md",
        "---\nname: a\n---\n# A\n\n## Steps\n\n### A\n\n```sh\nno-such-tool-here x\n```\n",
    );
    let ran = windlass(&repo, &["doctor", "--json"]);
    assert_eq!(ran.code, 1);
    let bad: Vec<String> = ran.json()["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|check| check["state"] == "bad")
        .map(|check| check["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(bad, ["remote", "configuration", "tools"]);
    let ran = windlass_with(&repo, &["doctor", "--offline"], &[("GIT_AUTHOR_EMAIL", "")]);
    assert_eq!(ran.code, 1);
}

#[test]
fn the_doctor_advises_a_commit_graph_for_a_long_history() {
    let repo = RepoBuilder::with_commit();
    repo.remote();
    let speed = |repo: &RepoBuilder| {
        let told = windlass(repo, &["doctor", "--offline", "--json"]).json();
        let checks = told["checks"].as_array().unwrap().clone();
        checks.into_iter().find(|check| check["name"] == "speed")
    };
    assert_eq!(speed(&repo), None);
    let mut stream = String::new();
    for at in 0..5000 {
        let from = if at == 0 { "from refs/heads/main^0\n" } else { "" };
        stream +=
            "commit refs/heads/main\ncommitter Carl <carl@example.com> 1700000000 +0000\ndata 6\nfix: x\n";
        stream += from;
    }
    let file = repo.outside().join("stream");
    std::fs::write(&file, stream).unwrap();
    let mut import = repo.command("git");
    import.args(["fast-import", "--quiet"]).stdin(std::fs::File::open(&file).unwrap());
    assert!(import.status().unwrap().success());
    let found = speed(&repo).unwrap();
    assert_eq!(found["state"], "warning");
    assert!(found["help"].as_str().unwrap().contains("git commit-graph write --reachable --changed-paths"));
    repo.git(&["commit-graph", "write", "--reachable", "--changed-paths", "--no-progress"]);
    assert_eq!(speed(&repo), None);
}
