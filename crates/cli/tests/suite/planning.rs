//! plan: what it shows, what it pins, and what it refuses.

use std::collections::BTreeMap;

use windlass_cli::cli::Global;
use windlass_cli::facts::VersionRequest;
use windlass_cli::planning::{PlanRequest, drift, make_plan};
use windlass_cli::project::Project;
use windlass_cli::{Session, World};
use windlass_testkit::repo::RepoBuilder;

use crate::support::{package, runbook, windlass};

const RELEASE: &str = "---
name: release
description: Ship it
roles: [release-manager, devops]
calls: [rollback]
inputs:
  where: { default: eu, options: [eu, us] }
---
# Ship it

## Preconditions

- [ ] CI is green

## Steps

### 1. Write
- Owner: release-manager

```yaml
uses: version.write
```
```yaml
uses: changelog.promote
```

### 2. Build
- Within: 20m
- Matrix: os = linux, mac

```sh {id=build retry=2 timeout=5m effects=none}
true \"$WINDLASS_VERSION\" \"$WINDLASS_MATRIX_OS\"
```

### 3. Approve

```yaml
uses: approval
with: { role: release-manager, within: 24h, not: author, refused: rollback }
```

### 4. Stable only
- When: channel == \"stable\" and inputs.where == \"us\"

```sh
true
```

### 5. Publish
- Owner: devops
- Lock: production
- On failure: [rollback](rollback.md)

```yaml
uses: git.push
```
```yaml
uses: watch
with: { for: 30m, every: 30s, tolerate: 1, probes: [{ name: home, http: { url: \"https://{{ inputs.where }}.example.com\" } }] }
```

## Rollback

→ **workflow**: `rollback`

**Criteria**:

- Error rate > 1%
- Users complain
";

fn shipping() -> RepoBuilder {
    let repo = package();
    repo.remote();
    repo.file("runbooks/release.md", RELEASE);
    repo.file(
        "runbooks/rollback.md",
        "---\nname: rollback\n---\n# Back\n\n## Steps\n\n### Back\n\n```sh {undo=\"true\"}\ntrue\n```\n",
    );
    repo.commit("docs: runbooks");
    repo
}

/// The project as a command sees it, for calling planning itself.
fn project(repo: &RepoBuilder) -> Project {
    let mut environment = repo.environment();
    environment.insert("PATH".into(), std::env::var("PATH").unwrap());
    let world = World {
        directory: repo.path().to_owned(),
        environment,
        stdout: Box::new(std::io::sink()),
        stderr: Box::new(std::io::sink()),
        stdin: Box::new(std::io::empty()),
        stdout_is_terminal: false,
        stderr_is_terminal: false,
        stdin_is_terminal: false,
        hooks: Default::default(),
    };
    Project::find(&Session::new(Global::default(), world)).unwrap()
}

#[test]
fn a_plan_shows_everything_that_would_happen() {
    let repo = shipping();
    insta::assert_snapshot!("plan", windlass(&repo, &["plan"]).shown(&repo));
    let json = windlass(&repo, &["plan", "--json"]).json();
    assert_eq!(json["schema"], "windlass/plan/1");
    assert_eq!(json["plan"]["pins"]["absent_tag"], "v1.3.0");
    let pinned: Vec<&String> = json["plan"]["pins"]["files"].as_object().unwrap().keys().collect();
    assert_eq!(
        pinned,
        ["CHANGELOG.md", "Cargo.lock", "Cargo.toml", "runbooks/release.md", "runbooks/rollback.md"]
    );
}

#[test]
fn the_same_world_gives_the_same_plan() {
    let repo = shipping();
    let digest = |args: &[&str]| windlass(&repo, args).json()["digest"].as_str().unwrap().to_owned();
    let one = digest(&["plan", "--json"]);
    assert_eq!(one, digest(&["plan", "runbooks/release.md", "--json"]));
    assert_ne!(one, digest(&["plan", "--json", "--input", "where=us"]));
    assert_ne!(one, digest(&["plan", "--json", "--channel", "rc"]));
    let file = repo.outside().join("plan.json");
    assert_eq!(windlass(&repo, &["plan", "--out", &file.display().to_string()]).code, 0);
    let plan: windlass_core::plan::Plan =
        serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    assert_eq!(plan.digest().unwrap().0, one);
}

#[test]
fn what_moved_since_the_plan_is_told() {
    let repo = shipping();
    let project = project(&repo);
    let plan =
        make_plan(&project, &PlanRequest { directory: repo.path().into(), ..Default::default() }).unwrap();
    assert_eq!(drift(&project, &plan), Vec::<String>::new());
    repo.file("Cargo.toml", "[package]\nname = \"x\"\nversion = \"1.2.0\"\n");
    std::fs::remove_file(repo.path().join("CHANGELOG.md")).unwrap();
    repo.git(&["tag", "v1.3.0"]);
    repo.git(&["switch", "--quiet", "-c", "other"]);
    let was = repo.head();
    repo.git(&["commit", "--quiet", "--allow-empty", "-m", "fix: x"]);
    let is = repo.head();
    assert_eq!(
        drift(&project, &plan),
        [
            format!("HEAD moved from {} to {}", &was[..10], &is[..10]),
            "the checkout went from branch main to branch other".into(),
            "the tag v1.3.0 exists now".into(),
            "CHANGELOG.md is gone".into(),
            "Cargo.toml has changed".into(),
        ]
    );
}

#[test]
fn a_runbook_that_releases_nothing_needs_no_version() {
    let repo = package();
    repo.git(&["tag", "v1.3.0"]);
    runbook(&repo, "clean", "### A\n\n```sh\ntrue\n```");
    let request = |version| PlanRequest {
        runbook: Some("clean".into()),
        directory: repo.path().into(),
        version,
        inputs: BTreeMap::new(),
    };
    let project = project(&repo);
    let plan = make_plan(&project, &request(VersionRequest::default())).unwrap();
    assert_eq!(plan.release, None);
    assert!(!plan.environment.contains_key("WINDLASS_VERSION"));
    let exact = VersionRequest { exact: Some("1.4.0".into()), ..VersionRequest::default() };
    assert_eq!(make_plan(&project, &request(exact)).unwrap().environment["WINDLASS_VERSION"], "1.4.0");
}

#[test]
fn runbooks_are_found_by_name_and_missing_ones_are_told() {
    let repo = shipping();
    for (args, message) in [
        (&["plan", "relaese"][..], "did you mean `release`?"),
        (&["plan", "--input", "where"], "--input NAME=VALUE"),
        (&["plan", "--input", "where=mars"], "`mars` is not one of eu, us"),
        (&["plan", "--input", "wher=eu"], "did you mean `where`?"),
        (&["plan", "missing.md"], "there is no file missing.md"),
    ] {
        let ran = windlass(&repo, args);
        assert_eq!(ran.code, 2, "{args:?}");
        assert!(ran.err.contains(message), "{args:?}: {}", ran.err);
    }
    std::fs::remove_file(repo.path().join("runbooks/rollback.md")).unwrap();
    let ran = windlass(&repo, &["plan"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("there is no runbook `rollback`"), "{}", ran.err);
}

#[test]
fn document_002_is_planned_as_it_stands() {
    let repo = RepoBuilder::with_commit();
    let document = include_str!("../../../core/tests/fixtures/002-release-front-matter.md");
    repo.file("runbooks/release.md", document);
    repo.file(
        "runbooks/rollback.md",
        "---\nname: rollback\n---\n# Back\n\n## Steps\n\n### Back\n\n```sh\ntrue\n```\n",
    );
    repo.commit("docs: the document");
    let check = windlass(&repo, &["check"]);
    assert_eq!(check.code, 0, "{}", check.err);
    assert!(check.out.contains(
        "8 steps, 32 items, 5 preconditions, 6 scripts, 1 call, 4 criteria of rollback, 3 common errors, 3 escalations"
    ));
    assert!(check.err.contains("use \"$WINDLASS_TAG\""));
    // Git is there, `gh` and `kubectl` are not.
    let bin = repo.outside().join("bin");
    std::fs::create_dir(&bin).unwrap();
    for tool in ["git", "bash", "sh"] {
        let found = std::env::split_paths(&std::env::var("PATH").unwrap())
            .map(|folder| folder.join(tool))
            .find(|path| path.exists());
        std::os::unix::fs::symlink(found.unwrap(), bin.join(tool)).unwrap();
    }
    let ran =
        crate::support::windlass_with(&repo, &["plan", "--json"], &[("PATH", &bin.display().to_string())]);
    let missing: Vec<String> = ran.json()["plan"]["preflight"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| {
            format!("{} {}", finding["place"].as_str().unwrap(), finding["message"].as_str().unwrap())
        })
        .collect();
    assert_eq!(
        missing,
        [
            "runbooks/release.md:72 the command `gh` is not installed here",
            "runbooks/release.md:92 the command `kubectl` is not installed here",
            "runbooks/release.md:94 the command `gh` is not installed here",
            "runbooks/release.md:122 the command `kubectl` is not installed here",
            "runbooks/release.md:154 the command `kubectl` is not installed here",
        ]
    );
}
