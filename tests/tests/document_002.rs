//! Document 002 as a team wrote it: checked, planned and refused where its tools are missing; and with its release
//! commands on this repository's tools, run to the end, its items confirmed one by one.

use std::collections::BTreeSet;

use windlass_core::run::{GateKind, RunEvent, RunStatus};
use windlass_testkit::repo::RepoBuilder;

use crate::support::{Ran, history, newest, only, program, windlass};

const DOCUMENT: &str = include_str!("../../crates/core/tests/fixtures/002-release-front-matter.md");

const ROLLBACK: &str = "---\nname: rollback\ndescription: Bring the last version back\n---\n# Rollback\n\n## Steps\n\n\
                        ### 1. Redeploy\n\n```sh\ngit log --oneline -1 \"$WINDLASS_PREVIOUS_TAG\"\n```\n";

/// The people of the document's roles. Ada, who commits and starts the run, is in none.
const PEOPLE: [(&str, &str); 2] =
    [("devops-engineer", "dora@example.com"), ("tech-lead", "tina@example.com")];

fn repository(document: &str) -> RepoBuilder {
    let repo = RepoBuilder::new();
    let roles: String = PEOPLE.iter().map(|(role, person)| format!("{role} = [\"{person}\"]\n")).collect();
    repo.file("runbooks/release.md", document)
        .file("runbooks/rollback.md", ROLLBACK)
        .file("windlass.toml", format!("[roles]\n{roles}"))
        .commit("feat: begin");
    repo.tag("v1.1.0");
    repo.file("feature.txt", "new\n").commit("feat: add a feature");
    repo.remote();
    repo
}

/// As [`windlass`], where neither `gh` nor `kubectl` is installed.
fn without_tools(repo: &RepoBuilder, args: &[&str]) -> Ran {
    let path = repo.outside().join("bin");
    program(repo).env("PATH", path).args(args).output().unwrap().into()
}

#[test]
fn it_is_checked_without_an_error() {
    let repo = repository(DOCUMENT);
    let checked = windlass(&repo, &["check"]).expect(
        0,
        &[
            "8 steps, 32 items, 5 preconditions, 6 scripts, 1 call, 4 criteria of rollback, 3 common errors, 3 escalations",
            "runbooks/release.md:48:12",
        ],
    );
    assert!(!checked.err.contains("error"), "{}", checked.shown());
    let found = windlass(&repo, &["check", "--json"]).expect(0, &[]).json();
    let literal: Vec<(u64, &str, &str)> = found["diagnostics"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding["code"] == "literal-version")
        .map(|finding| {
            let text = |key: &str| finding[key].as_str().unwrap();
            assert!(text("message").contains("`v1.2.0`"), "{finding}");
            (finding["line"].as_u64().unwrap(), text("severity"), text("help"))
        })
        .collect();
    let use_variable = "use \"$WINDLASS_TAG\"";
    assert_eq!(
        literal,
        [48, 48, 62, 72, 92, 94, 156].map(|line| (line, "warning", use_variable)),
        "{found:#}"
    );
}

#[test]
fn it_is_planned_and_what_is_missing_stops_its_run() {
    let repo = repository(DOCUMENT);
    only(&repo, &["git", "bash", "sh"]);
    let plan = without_tools(&repo, &["plan"]).expect(0, &["Waits for 32 confirmations"]);
    let steps: Vec<&str> = DOCUMENT.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    assert_eq!(steps.len(), 8);
    for text in steps {
        // With the number that it has in the document: people look it up there.
        assert!(plan.out.contains(&format!("\n  {text}\n")), "no step `{text}` in {}", plan.shown());
    }
    let items: Vec<&str> = DOCUMENT.lines().filter_map(|line| line.strip_prefix("- [ ] ")).collect();
    assert_eq!(items.len(), 32);
    for item in items {
        assert!(plan.out.contains(&format!("[ ] {item} (anyone confirms)")), "no item {item}");
    }
    for text in [
        "Checklist critique (within 5m)",
        "Checklist complète (within 30m)",
        "when Taux d'erreur > 1% (error_rate > 1%)",
        "when Latence x2 (latency_p95 > 2x)",
        "when Fonctionnalité critique cassée (a person judges)",
        "when Bug sécurité (a person judges)",
        "run the runbook rollback",
        "Runbook rollback (runbooks/rollback.md)",
        "Migrations échouent: Script incompatible → Tester en staging d'abord",
        "Pods crashent: Config manquante → Vérifier les env vars",
        "Performance dégradée: Code non optimisé → Profiling + rollback si critique",
        "Échec déploiement → devops-engineer",
        "Bug critique post-deploy → tech-lead + rollback",
        "Impact utilisateur majeur → project-manager + communication",
        "the command `gh` is not installed here  runbooks/release.md:72",
        "the command `kubectl` is not installed here  runbooks/release.md:92",
    ] {
        assert!(plan.out.contains(text), "no `{text}` in {}", plan.shown());
    }
    let data = without_tools(&repo, &["plan", "--json"]).expect(0, &[]).json();
    let missing: BTreeSet<&str> = data["plan"]["preflight"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| finding["message"].as_str().unwrap())
        .collect();
    assert_eq!(
        missing.into_iter().collect::<Vec<_>>(),
        ["the command `gh` is not installed here", "the command `kubectl` is not installed here"]
    );

    let refused = without_tools(&repo, &["run"]);
    let refused = refused.expect(2, &["nothing was started", "`gh` is not", "`kubectl` is not"]);
    assert_eq!(refused.err.matches("error: ").count(), 1, "{}", refused.shown());
    assert!(newest(&repo).is_none());
    assert_eq!(repo.git(&["tag", "--list"]), "v1.1.0");
}

/// The document with its release commands on this repository's tools, and owners: what differs is listed here.
fn on_these_tools() -> String {
    let changes = [
        (
            "git tag -a v1.2.0 -m \"Release v1.2.0\n",
            "git tag -a \"$WINDLASS_TAG\" -m \"Release $WINDLASS_TAG\n",
        ),
        ("git push origin v1.2.0\n", "git push origin \"$WINDLASS_TAG\"\n"),
        ("gh workflow run deploy.yml --ref v1.2.0\n", "./deploy staging \"$WINDLASS_TAG\"\n"),
        (
            "kubectl set image deployment/app app=myapp:v1.2.0\n# ou\ngh workflow run deploy-prod.yml --ref v1.2.0\n",
            "./deploy production \"$WINDLASS_TAG\"\n",
        ),
        ("kubectl logs -f deployment/app\n", "cat ../deployed.txt\n"),
        (
            "kubectl rollout undo deployment/app\n# ou\ngit revert v1.2.0\n",
            "./deploy production \"$WINDLASS_PREVIOUS_TAG\"\n",
        ),
    ];
    let mut text = DOCUMENT.to_owned();
    for (from, to) in changes {
        assert_eq!(text.matches(from).count(), 1, "{from}");
        text = text.replace(from, to);
    }
    let mut step = 0;
    let lines: Vec<String> = text
        .lines()
        .map(|line| {
            let Some(title) = line.strip_prefix("### ") else { return line.to_owned() };
            step += 1;
            format!("### {title}\n\n- Owner: {}", PEOPLE[step % 2].0)
        })
        .collect();
    lines.join("\n") + "\n"
}

#[test]
fn with_these_tools_it_runs_to_the_end_each_item_confirmed_by_its_owner() {
    let repo = repository(DOCUMENT);
    let deploy = "#!/bin/sh\nset -eu\ngit rev-parse --verify --quiet \"$2^{commit}\"\necho \"$1 $2\" >> ../deployed.txt\n";
    repo.file("deploy", deploy).file("runbooks/release.md", on_these_tools());
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(repo.path().join("deploy"), executable).unwrap();
    repo.commit("docs: release with our tools");
    repo.git(&["push", "--quiet", "origin", "main"]);

    let checked = windlass(&repo, &["check"]).expect(0, &[]);
    assert_eq!(checked.err, "", "nothing is left to warn about");
    let mut ran = windlass(&repo, &["run"]);
    let mut asked: Vec<(String, String)> = Vec::new();
    while ran.code == Some(4) {
        let (run, state) = newest(&repo).unwrap();
        let [gate] = state.gates.as_slice() else { panic!("{:?}: {}", state.gates, ran.shown()) };
        assert_eq!(gate.kind, GateKind::Confirm, "{}", ran.shown());
        let path = gate.path.0.clone();
        for told in [&format!("windlass confirm {run} {path}"), &format!("windlass resume {run}")] {
            assert!(ran.err.contains(told), "no `{told}` in {}", ran.shown());
        }
        // Nobody but the step's owner; the preconditions have none.
        let owner = gate.who.first().cloned();
        let person = match &owner {
            None => "ada@example.com",
            Some(role) => {
                for (_, other) in PEOPLE.iter().filter(|(name, _)| name != role) {
                    windlass(&repo, &["confirm", &run.0, &path, "--as", other])
                        .expect(4, &[&format!("{other} is not in {role}")]);
                }
                PEOPLE.iter().find(|(name, _)| name == role).unwrap().1
            }
        };
        windlass(&repo, &["confirm", &run.0, &path, "--as", person]).expect(0, &["confirmed"]);
        asked.push((path, person.to_owned()));
        assert!(asked.len() <= 32, "{asked:?}");
        ran = windlass(&repo, &["resume"]);
    }
    ran.expect(0, &["succeeded"]);
    assert_eq!(newest(&repo).unwrap().1.status, RunStatus::Succeeded);

    // Every item, each by itself, in the order of the document, once.
    let (_, history) = history(&repo);
    let mut opened: Vec<(&str, &str)> = Vec::new();
    let (mut decided, mut granted) = (Vec::new(), Vec::new());
    for event in &history {
        match &event.event {
            RunEvent::GateOpened { path, question, .. } => opened.push((&path.0, question.as_str())),
            RunEvent::Decided { path, decision } => decided.push((path.0.clone(), decision.person.clone())),
            RunEvent::GateClosed { path, granted: true, .. } => granted.push(path.0.clone()),
            _ => {}
        }
    }
    let items: Vec<&str> = DOCUMENT.lines().filter_map(|line| line.strip_prefix("- [ ] ")).collect();
    assert_eq!(items.len(), 32);
    assert_eq!(opened.iter().map(|(_, question)| *question).collect::<Vec<_>>(), items);
    assert_eq!(opened.iter().map(|(path, _)| *path).collect::<BTreeSet<_>>().len(), 32);
    assert_eq!(decided, asked);
    assert_eq!(granted, asked.iter().map(|(path, _)| path.clone()).collect::<Vec<_>>());
    let persons: BTreeSet<&str> = asked.iter().map(|(_, person)| person.as_str()).collect();
    assert_eq!(persons.len(), 3, "Ada, Dora and Tina: {persons:?}");

    let message = repo.remote_git(&["cat-file", "tag", "v1.2.0"]);
    assert!(message.contains("Release v1.2.0") && message.contains("- feat: amélioration Y"), "{message}");
    assert_eq!(repo.remote_git(&["rev-parse", "v1.2.0^{commit}"]), repo.head());
    let deployed = std::fs::read_to_string(repo.outside().join("deployed.txt")).unwrap();
    assert_eq!(deployed, "staging v1.2.0\nproduction v1.2.0\n");
    windlass(&repo, &["audit", "verify"]).expect(0, &["events fit"]);
}
