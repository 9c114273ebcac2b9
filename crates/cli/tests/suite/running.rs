//! Runs from start to end, answered, mended and taken back, in this process.

use windlass_cli::cli::Global;
use windlass_cli::runner::drive::{How, drive};
use windlass_cli::runner::{Runner, Several};
use windlass_cli::world::Hooks;
use windlass_cli::{Session, World};
use windlass_testkit::repo::RepoBuilder;

use crate::support::{expect, windlass, windlass_answering, windlass_with};

const PEOPLE: &str = "[roles]\nqa = [\"ada@example.com\", \"bob@example.com\"]\n";

/// A repository with the runbook `ship`, whose steps are `steps`.
pub fn repo(steps: &str) -> RepoBuilder {
    with(&format!("## Steps\n\n{steps}\n"), PEOPLE)
}

fn with(sections: &str, configuration: &str) -> RepoBuilder {
    let repo = RepoBuilder::new();
    repo.file("runbooks/ship.md", format!("---\nname: ship\nroles: [qa]\n---\n# Ship\n\n{sections}"));
    repo.file("windlass.toml", configuration).commit("feat: begin");
    repo
}

const GATED: &str = "### Build\n\n```sh\necho built\n```\n\n### Sign\n\n```yaml\nuses: approval\nwith: { role: qa, not: \
                     starter, refused: talk to Zoe }\n```\n\n### Look\n\n- [ ] It looks good\n";

const FAILING: &str = "### Build\n\n```sh {id=make}\ntest -e ok || { echo 'pods crash: no ok file' >&2; exit 3; }\n```\n\n\
                       ### After\n\n```sh\necho after\n```\n";

/// The name of the only run.
pub fn run_name(repo: &RepoBuilder) -> String {
    let listed = windlass(repo, &["runs", "--json"]).json();
    listed["runs"][0]["run"].as_str().unwrap().to_owned()
}

#[test]
fn a_run_goes_to_its_end_and_hides_secrets() {
    let configuration = "[secrets]\nTOKEN = { env = \"MY_TOKEN\" }\n";
    let steps = "## Steps\n\n### Build\n\n```sh {secrets=TOKEN}\necho \"the token is $TOKEN\"\n```\n";
    let repo = with(steps, configuration);
    expect(&windlass(&repo, &["runs"]), 0, &["nothing has been run here yet"]);
    assert!(!repo.path().join(".git/windlass").exists(), "looking makes nothing");
    expect(&windlass(&repo, &["status"]), 2, &["nothing has been run", "windlass run"]);
    expect(&windlass(&repo, &["run", "ship"]), 2, &["preflight found 1 thing", "MY_TOKEN"]);
    let secret = [("MY_TOKEN", "correct-horse-battery")];
    let ran = windlass_with(&repo, &["run", "ship"], &secret);
    expect(&ran, 0, &["the token is ***", "ship succeeded"]);
    assert!(!ran.err.contains("correct-horse"), "{}", ran.err);
    let logged = windlass(&repo, &["logs"]);
    expect(&logged, 0, &["the token is ***"]);
    expect(&windlass(&repo, &["status"]), 0, &["succeeded", "✓ Build"]);
    expect(&windlass(&repo, &["audit", "verify"]), 0, &["events fit, head "]);
    expect(&windlass(&repo, &["resume"]), 0, &["succeeded"]);
    expect(&windlass(&repo, &["cancel"]), 2, &["has ended already: it is succeeded"]);
    expect(&windlass(&repo, &["retry"]), 2, &["nothing of ship-", "failed: it is succeeded"]);
    assert_eq!(repo.git(&["status", "--porcelain"]), "");
}

#[test]
fn no_secret_gets_into_what_a_failure_says_or_the_journal_keeps() {
    let configuration = "[secrets]\nTOKEN = { env = \"MY_TOKEN\" }\n";
    let steps = "## Steps\n\n### Build\n\n```sh {secrets=TOKEN}\necho \"TOKEN=$TOKEN\"; echo \"gh: octo-cat-in-the-clear\"; echo \"bad: $TOKEN\" >&2; exit 1\n```\n";
    let repo = with(steps, configuration);
    let secret = [("MY_TOKEN", "correct-horse-battery")];
    let known = [secret[0], ("GITHUB_TOKEN", "octo-cat-in-the-clear")];
    let ran = windlass_with(&repo, &["run", "ship"], &known);
    expect(&ran, 1, &["bad: ***", "gh: ***"]);
    assert!(!ran.err.contains("correct-horse"), "{}", ran.err);
    let state = repo.path().join(".git/windlass");
    let kept = repo.command("grep").args(["-r", "correct-horse"]).arg(state).output().unwrap();
    assert!(kept.stdout.is_empty(), "{}", String::from_utf8_lossy(&kept.stdout));
    expect(&windlass(&repo, &["retry"]), 2, &["the secret `TOKEN` is missing", "MY_TOKEN is not set"]);
    expect(&windlass(&repo, &["rollback"]), 6, &["the secret `TOKEN` is missing"]);
}

#[test]
fn gates_are_left_off_a_terminal_and_answered_by_those_who_may() {
    let repo = repo(GATED);
    let ran = windlass(&repo, &["run", "ship"]);
    let run = run_name(&repo);
    let (approve, resume) =
        (format!("windlass approve {run} sign/approval"), format!("windlass resume {run}"));
    expect(&ran, 4, &["waits for qa", &approve, &resume]);
    expect(&windlass(&repo, &["run", "ship"]), 7, &["not finished", &resume]);
    expect(&windlass(&repo, &["status"]), 0, &["⧖", "still needed: 1 of qa", &approve]);
    let status = windlass(&repo, &["status", "--json"]).json();
    assert_eq!(status["schema"], "windlass/status/1");
    assert_eq!(status["gates"][0]["path"], "sign/approval");
    let digest = status["plan"].as_str().unwrap().to_owned();

    expect(&windlass(&repo, &["approve"]), 4, &["ada@example.com started the run", "ask somebody else"]);
    expect(&windlass(&repo, &["approve", "--as", "eve@example.com"]), 4, &["eve@example.com is not in qa"]);
    let bob = |args: &[&str]| windlass_with(&repo, args, &[("WINDLASS_PERSON", "bob@example.com")]);
    expect(&bob(&["approve", "--digest", "abcdef123"]), 4, &["decided for another plan (abcdef123)"]);
    expect(&bob(&["approve", "nothing"]), 2, &["`nothing` is neither a run nor an item"]);
    expect(&bob(&["approve", &run, "nothing"]), 2, &["there is no gate `nothing`", "sign/approval"]);
    expect(
        &bob(&["approve", &run[..6], "approval", "--digest", &digest[..12]]),
        0,
        &["bob@example.com", &resume],
    );
    expect(&windlass(&repo, &["confirm", "It looks good"]), 0, &["kept until the run gets there"]);
    expect(&windlass(&repo, &["confirm", "It looks good"]), 0, &["has said yes to", "nothing was added"]);
    expect(&windlass(&repo, &["resume", "--json"]), 0, &["\"status\":\"succeeded\"", "windlass/run/1"]);
    expect(&bob(&["approve", &run, "approval"]), 4, &["has ended"]);
}

#[test]
fn an_answer_after_the_deadline_does_not_count() {
    let steps = "## Steps\n\n### Sign\n\n```yaml\nuses: approval\nwith: { role: qa, within: 1s }\n```\n";
    let repo = with(steps, PEOPLE);
    expect(&windlass(&repo, &["run", "ship"]), 4, &["waits for qa"]);
    std::thread::sleep(std::time::Duration::from_millis(1200));
    expect(
        &windlass(&repo, &["approve"]),
        4,
        &["`sign/approval` could be answered until", "windlass resume"],
    );
    expect(&windlass(&repo, &["resume"]), 4, &["nobody decided in time"]);
}

#[test]
fn a_refusal_says_who_why_and_what_now() {
    let repo = repo(GATED);
    expect(&windlass(&repo, &["run", "ship"]), 4, &[]);
    expect(
        &windlass(&repo, &["reject", "--as", "bob@example.com", "--comment", "too early"]),
        0,
        &["rejected"],
    );
    let refused = ["bob@example.com refused: too early", "what now: talk to Zoe", "Sign ›"];
    expect(&windlass(&repo, &["resume"]), 4, &refused);
    expect(&windlass(&repo, &["resume"]), 4, &refused);
}

#[test]
fn a_failure_says_where_why_and_how_to_go_on() {
    let repo = with(
        &format!(
            "## Steps\n\n{FAILING}\n## Common errors\n\n| Error | Cause | Solution |\n|---|---|---|\n| Pods crash | No \
             file | `touch ok` |\n| Migrations failed | Bad data | restore |\n\n## Escalation\n\n- Failed deploy → `qa`\n"
        ),
        PEOPLE,
    );
    let ran = windlass(&repo, &["run", "ship"]);
    let run = run_name(&repo);
    let retry = format!("windlass retry {run}");
    expect(
        &ran,
        1,
        &[
            "✗ Build › test -e ok",
            "│ pods crash: no ok file",
            "build.make.log",
            "known error: Pods crash",
            "escalate: Failed deploy",
            &retry,
            &format!("windlass skip {run} build/make --reason WHY"),
            &format!("windlass rollback {run}"),
        ],
    );
    assert!(!ran.err.contains("Migrations"), "{}", ran.err);
    expect(&windlass(&repo, &["resume"]), 1, &[&retry]);
    expect(&windlass(&repo, &["run", "ship"]), 7, &["is failed", &retry]);
    expect(&windlass(&repo, &["retry"]), 1, &["attempt 2"]);
    repo.file("ok", "");
    expect(&windlass(&repo, &["retry", "make"]), 0, &["attempt 3", "succeeded"]);
}

#[test]
fn what_is_skipped_is_kept_with_its_reason() {
    let repo = repo(FAILING);
    expect(&windlass(&repo, &["run", "ship"]), 1, &[]);
    expect(&windlass(&repo, &["skip", "make", "--reason", " "]), 2, &["needs a reason"]);
    expect(
        &windlass(&repo, &["skip", "make", "--reason", "known"]),
        0,
        &["waived by ada@example.com: known"],
    );
    expect(
        &windlass(&repo, &["resume"]),
        0,
        &[
            "after",
            "waived: Build › test -e ok || { echo 'pods crash: no ok file' >&2; exit 3; }, by ada@example.com: known",
        ],
    );
    expect(&windlass(&repo, &["run", "ship", "--skip", "build"]), 2, &["--reason"]);
    expect(
        &windlass(&repo, &["run", "ship", "--skip", "nope", "--reason", "x"]),
        2,
        &["no step or item `nope`"],
    );
    expect(&windlass(&repo, &["run", "ship", "--skip", "Build", "--reason", "emergency"]), 0, &["emergency"]);
    expect(&windlass(&repo, &["status", &run_name(&repo)]), 0, &["– Build", "waived: emergency"]);
}

#[test]
fn a_rejected_confirmation_can_be_retried_or_skipped() {
    let repo = repo("### Look\n\n- [ ] It looks good\n");
    expect(&windlass(&repo, &["run", "ship"]), 4, &["It looks good"]);
    expect(&windlass(&repo, &["reject"]), 0, &["rejected"]);
    expect(&windlass(&repo, &["reject"]), 0, &["has said no to `look/check-1` already: nothing was added"]);
    expect(&windlass(&repo, &["resume"]), 1, &["ada@example.com said no"]);
    let again = ["reject", "check-1"];
    expect(&windlass(&repo, &again), 0, &["`look/check-1` is decided already, with no: nothing was added"]);
    expect(&windlass(&repo, &["confirm", "check-1"]), 4, &["`look/check-1` is decided already"]);
    expect(&windlass(&repo, &["retry"]), 4, &["waits for anyone"]);
    expect(&windlass(&repo, &["reject", "--comment", "ugly"]), 0, &[]);
    expect(&windlass(&repo, &["resume"]), 1, &["said no: ugly"]);
    expect(&windlass(&repo, &["skip", "check-1", "--reason", "taste"]), 0, &[]);
    expect(&windlass(&repo, &["resume"]), 0, &["waived: Look › It looks good, by ada@example.com: taste"]);
}

#[test]
fn a_cancelled_run_can_still_be_rolled_back() {
    let sections = format!(
        "## Steps\n\n{GATED}\n## Rollback\n\n### Put back\n\n```sh {{id=put-back}}\necho was put back > back.txt\n```\n"
    );
    let repo = with(&sections, PEOPLE);
    expect(&windlass(&repo, &["run", "ship"]), 4, &[]);
    expect(&windlass(&repo, &["cancel", "--reason", "rain"]), 0, &["is cancelled"]);
    expect(&windlass(&repo, &["resume"]), 1, &["cancelled by ada@example.com: rain"]);
    expect(&windlass(&repo, &["rollback", "--reason", "rain"]), 6, &["rolled back"]);
    assert_eq!(repo.read("back.txt"), "was put back\n");
    expect(&windlass(&repo, &["rollback"]), 6, &["rolled back"]);
    expect(&windlass(&repo, &["audit", "verify", "--all"]), 0, &[]);
}

#[test]
fn a_rollback_that_fails_is_tried_again() {
    let sections = format!(
        "## Steps\n\n### A\n\n```sh\necho a\n```\n\n## Rollback\n\n{}",
        FAILING.replace("Build", "Undo build").replace("After", "Undo after")
    );
    let repo = with(&sections, PEOPLE);
    expect(&windlass(&repo, &["run", "ship"]), 0, &[]);
    let run = run_name(&repo);
    let refused = windlass(&repo, &["rollback"]);
    expect(&refused, 2, &["has succeeded", &format!("windlass rollback {run}")]);
    let asked = windlass_answering(&repo, &["rollback"], "n\n");
    expect(&asked, 0, &[&format!("take back ship (run {run})? [y/N]"), "nothing was taken back"]);
    expect(&windlass(&repo, &["rollback", "--yes"]), 1, &["the rollback itself failed"]);
    repo.file("ok", "");
    expect(&windlass(&repo, &["rollback"]), 6, &["rolled back"]);
}

#[test]
fn what_cannot_be_taken_back_is_left_to_people() {
    let repo = repo("### A\n\n```sh\necho a\n```\n");
    expect(&windlass(&repo, &["run", "ship"]), 0, &[]);
    let run = run_name(&repo);
    expect(&windlass(&repo, &["rollback", &run]), 6, &["to be taken back by a person"]);
}

#[test]
fn a_plan_file_is_run_as_it_was_reviewed_or_not_at_all() {
    let repo = repo("### A\n\n```sh\necho a\n```\n");
    let file = repo.outside().join("plan.json");
    let file = file.to_str().unwrap();
    expect(&windlass(&repo, &["plan", "ship", "--out", file]), 0, &[]);
    expect(&windlass(&repo, &["run", file, "--version", "1.0.0"]), 2, &["is planned already"]);
    let stated = windlass(&repo, &["plan", "ship", "--json"]);
    let wrapped = repo.outside().join("wrapped.json");
    std::fs::write(&wrapped, stated.out.replace("echo a", "echo b")).unwrap();
    expect(&windlass(&repo, &["run", wrapped.to_str().unwrap()]), 2, &["its digest is", "plan again"]);
    for (text, expected) in
        [("{", "is no plan"), ("{}", "states no schema"), ("{\"schema\": 99}", "has schema 99")]
    {
        std::fs::write(&wrapped, text).unwrap();
        expect(&windlass(&repo, &["run", wrapped.to_str().unwrap()]), 2, &[expected]);
    }
    let hostile = std::fs::read_to_string(file).unwrap().replace("\"a/", "\"a\\u001b[2J/");
    std::fs::write(&wrapped, hostile).unwrap();
    expect(&windlass(&repo, &["run", wrapped.to_str().unwrap()]), 2, &["is no name of a step or item"]);
    std::fs::write(&wrapped, &stated.out).unwrap();
    let ran = windlass(&repo, &["run", wrapped.to_str().unwrap()]);
    expect(&ran, 0, &["succeeded"]);
    let digest = stated.json()["digest"].as_str().unwrap()[..12].to_owned();
    assert!(ran.err.contains(&digest), "{}", ran.err);
    expect(&windlass(&repo, &["run", file]), 0, &["succeeded"]);
    repo.file("other", "x").commit("feat: other");
    expect(&windlass(&repo, &["run", file]), 2, &["the world has changed", "HEAD moved"]);
}

fn journal(repo: &RepoBuilder) -> rusqlite::Connection {
    rusqlite::Connection::open(repo.path().join(".git/windlass/journal.db")).unwrap()
}

#[test]
fn a_changed_journal_is_told_from_an_honest_one() {
    let check = |change: &str, expected: &str| {
        let repo = repo("### A\n\n```sh\necho a\n```\n");
        expect(&windlass(&repo, &["run", "ship"]), 0, &[]);
        assert!(journal(&repo).execute(change, []).unwrap() > 0, "{change}");
        expect(&windlass(&repo, &["audit", "verify"]), 1, &["✗", expected]);
        let data = windlass(&repo, &["audit", "verify", "--all", "--json"]);
        assert_eq!((data.code, &data.json()["runs"][0]["fits"]), (1, &serde_json::Value::Bool(false)));
    };
    check(
        "UPDATE events SET event = replace(event, 'ada@', 'eve@') WHERE sequence = 1",
        "event 1 was changed",
    );
    check("DELETE FROM events WHERE sequence = 3", "event 3 is missing");
    check("UPDATE events SET event = '?' WHERE sequence = 2", "cannot be read");
    check("UPDATE runs SET plan = replace(plan, 'echo a', 'echo b')", "the plan was changed");
    check("UPDATE runs SET status = '\"failed\"'", "listed as failed, but its history ends as succeeded");
}

#[test]
fn a_journal_that_cannot_be_used_is_one_clear_message() {
    let repo = repo("### A\n\n```sh\necho a\n```\n");
    expect(&windlass(&repo, &["run", "ship"]), 0, &[]);
    journal(&repo).execute_batch("PRAGMA user_version = 99").unwrap();
    expect(&windlass(&repo, &["run", "ship"]), 1, &["newer Windlass"]);
    expect(&windlass(&repo, &["runs"]), 1, &["newer Windlass"]);

    let other = RepoBuilder::new();
    other.file("runbooks/ship.md", repo.read("runbooks/ship.md")).commit("feat: begin");
    std::fs::write(other.path().join(".git/windlass"), "in the way").unwrap();
    expect(&windlass(&other, &["run", "ship"]), 1, &["cannot be written", "check that"]);
}

#[test]
fn several_unfinished_runs_must_be_named() {
    let repo = repo(GATED);
    repo.file("runbooks/other.md", repo.read("runbooks/ship.md").replace("name: ship", "name: other"))
        .commit("feat: x");
    expect(&windlass(&repo, &["run", "ship"]), 4, &[]);
    expect(&windlass(&repo, &["run", "other"]), 4, &[]);
    expect(&windlass(&repo, &["cancel"]), 2, &["several runs are unfinished: other-", "name one of them"]);
    expect(&windlass(&repo, &["status"]), 0, &["other-"]);
    expect(&windlass(&repo, &["cancel", "ship"]), 0, &["is cancelled"]);
    expect(&windlass(&repo, &["cancel"]), 0, &["is cancelled"]);
}

#[test]
fn logs_are_printed_whole_or_in_part() {
    let repo = repo(
        "### A\n\n```sh {id=one}\nfor n in 1 2 3; do echo line $n; done\n```\n\n```sh {id=two}\necho two\n```\n",
    );
    expect(&windlass(&repo, &["run", "ship"]), 0, &[]);
    assert_eq!(windlass(&repo, &["logs", "one", "--tail", "2"]).out, "line 2\nline 3\n");
    assert_eq!(windlass(&repo, &["logs", &run_name(&repo), "a/two", "--follow"]).out, "two\n");
    assert_eq!(windlass(&repo, &["logs", "--tail", "1"]).out, "a/two | two\n");
    expect(&windlass(&repo, &["logs", "--json"]), 0, &["\"stream\":\"out\"", "windlass/log-line/1"]);
    expect(&windlass(&repo, &["logs", &run_name(&repo), "zzz"]), 2, &["there is no item `zzz`"]);
}

#[test]
fn github_gets_groups_and_errors_but_no_commands_of_others() {
    let repo = repo("### A, b\n\n```sh\necho '::error::x'; echo '##[error]y'; exit 1\n```\n");
    let ran = windlass_with(&repo, &["run", "ship"], &[("GITHUB_ACTIONS", "true")]);
    expect(&ran, 1, &["::group::A, b\n", "::endgroup::\n", "::error title=A%2C b::"]);
    assert!(!ran.err.contains("\n::error::x") && !ran.err.contains("##["), "{}", ran.err);
}

#[test]
fn a_run_goes_on_in_its_own_checkout() {
    let repo = repo(GATED);
    expect(&windlass(&repo, &["run", "ship"]), 4, &[]);
    let other = repo.outside().join("other");
    let other = other.to_str().unwrap();
    repo.git(&["worktree", "add", "-q", "--detach", other]);
    expect(&windlass(&repo, &["-C", other, "status"]), 0, &["waiting"]);
    expect(&windlass(&repo, &["-C", other, "resume"]), 2, &["works in another checkout", "-C "]);
    expect(&windlass(&repo, &["resume"]), 4, &[]);
}

#[test]
fn what_preflight_found_is_ignored_only_when_told_and_that_is_kept() {
    let repo = repo("### A\n\n```sh\nno-such-program || true\n```\n");
    expect(&windlass(&repo, &["run", "ship"]), 2, &["nothing was started", "--despite-preflight"]);
    expect(&windlass(&repo, &["runs"]), 0, &["nothing has been run"]);
    expect(&windlass(&repo, &["run", "ship", "--despite-preflight"]), 0, &["despite: ", "no-such-program"]);
    expect(&windlass(&repo, &["status"]), 0, &["started despite: "]);
}

#[test]
fn nobody_acts_without_a_name() {
    let repo = repo(GATED);
    let nobody = [("GIT_AUTHOR_EMAIL", ""), ("WINDLASS_PERSON", " ")];
    expect(&windlass_with(&repo, &["run", "ship"], &nobody), 2, &["nobody is named", "WINDLASS_PERSON"]);
}

#[test]
fn a_failure_that_leads_to_a_runbook_is_a_rollback() {
    let repo = RepoBuilder::new();
    repo.file(
        "runbooks/ship.md",
        "---\nname: ship\ncalls: [back]\n---\n# Ship\n\n## Steps\n\n### Deploy\n- On failure: [back](back.md)\n\n```sh\necho \
         broken; exit 4\n```\n",
    )
    .file("runbooks/back.md", "---\nname: back\n---\n# Back\n\n## Steps\n\n### Redeploy\n\n```sh\necho old\n```\n")
    .commit("feat: begin");
    let rolled = ["rolled back", "Deploy ›", "│ broken", "`back` was run in answer to it"];
    expect(&windlass(&repo, &["run", "ship"]), 6, &rolled);
    expect(&windlass(&repo, &["status"]), 0, &["✗ Deploy", "✓ Redeploy"]);
    expect(&windlass(&repo, &["resume"]), 6, &rolled);
}

#[test]
fn the_unfinished_attempt_at_a_version_is_meant() {
    let repo = repo(GATED);
    expect(&windlass(&repo, &["run", "ship"]), 4, &[]);
    expect(&windlass(&repo, &["cancel"]), 0, &[]);
    expect(&windlass(&repo, &["status", "shi"]), 0, &["cancelled"]);
    expect(&windlass(&repo, &["run", "ship"]), 4, &[]);
    expect(&windlass(&repo, &["status", "ship"]), 0, &["waiting"]);
    expect(&windlass(&repo, &["cancel", "ship"]), 0, &["is cancelled"]);
    expect(&windlass(&repo, &["status", "ship"]), 2, &["several runs start with `ship`"]);
}

#[test]
fn a_watch_that_fails_says_what_it_saw() {
    let repo = repo(
        "### Watch\n\n```yaml\nuses: watch\nwith: { for: 1s, every: 1s, probes: [{ name: front, script: \"echo down; exit 1\" }] }\n```\n",
    );
    expect(&windlass(&repo, &["run", "ship"]), 1, &["✗ Watch › watch 1s, every 1s\n", "front: "]);
    expect(&windlass(&repo, &["status"]), 0, &["1 bad", "Watch › watch 1s, every 1s: "]);
    let data = windlass(&repo, &["status", "--json"]).json();
    assert!(data["watches"][0]["bad"].as_u64().unwrap() > 0, "{data}");
}

#[test]
fn what_was_asked_of_another_state_is_not_done() {
    let repo = repo("### A\n\n```sh {id=once}\necho x >> times; test -e ok\n```\n");
    expect(&windlass(&repo, &["run", "ship"]), 1, &[]);
    let mut session = Session::new(Global::default(), quiet_world(&repo));
    let runner = Runner::open(&session).unwrap();
    let run = runner.find(None, Several::Ask).unwrap().id;
    let seen = runner.told(&run).unwrap();
    // A colleague is faster.
    repo.file("ok", "");
    expect(&windlass(&repo, &["retry"]), 0, &[]);
    let how = How {
        direction: seen.direction(),
        stay: false,
        reopen: seen
            .state
            .stopped_at
            .iter()
            .map(|path| (path.clone(), "bob@example.com".to_owned()))
            .collect(),
        from_start: false,
        person: None,
    };
    assert_eq!(drive(&mut session, &runner, &seen, &how).unwrap().code(), 0);
    assert_eq!(repo.read("times"), "x\nx\n", "not a third time");
    expect(&windlass(&repo, &["status"]), 0, &["succeeded"]);
}

fn quiet_world(repo: &RepoBuilder) -> World {
    World {
        directory: repo.path().to_owned(),
        environment: repo.environment(),
        stdout: Box::new(std::io::sink()),
        stderr: Box::new(std::io::sink()),
        stdin: Box::new(std::io::empty()),
        stdout_is_terminal: false,
        stderr_is_terminal: false,
        stdin_is_terminal: false,
        hooks: Hooks::default(),
    }
}

#[test]
fn a_retry_takes_all_that_failed_side_by_side() {
    let failing = |name: &str| {
        format!(
            "### {name}\n- Parallel: checks\n\n```sh\necho done >> {name}-1\n```\n\n```sh\ntest -e ok\n```\n\n"
        )
    };
    let repo = repo(&format!("{}{}### Last\n\n```sh\necho last\n```\n", failing("one"), failing("two")));
    expect(&windlass(&repo, &["run", "ship"]), 1, &["failed"]);
    expect(&windlass(&repo, &["retry"]), 1, &["one", "two"]);
    repo.file("ok", "");
    let ran = windlass(&repo, &["retry"]);
    expect(&ran, 0, &["succeeded"]);
    for name in ["one-1", "two-1"] {
        assert_eq!(repo.read(name), "done\n", "what was done is not done again");
    }
}

#[test]
fn a_route_is_told_in_the_words_of_its_runbook() {
    let repo = repo("### Deploy\n- On failure: [back](back.md)\n\n```sh\nexit 3\n```\n");
    let ship = repo.read("runbooks/ship.md").replace("roles: [qa]", "roles: [qa]\ncalls: [back]");
    repo.file("runbooks/ship.md", ship);
    repo.file(
        "runbooks/back.md",
        "---\nname: back\n---\n# Back\n\n## Steps\n\n### Put it back\n\n```sh {id=put}\necho back; exit 4\n```\n",
    );
    repo.commit("feat: a way back");
    let ran = windlass(&repo, &["run", "ship"]);
    expect(&ran, 1, &["  ▸ echo back; exit 4\n", "  ✗ Put it back › echo back; exit 4\n"]);
    for line in ran.err.lines().filter(|line| line.contains("on-failure/")) {
        assert!(line.contains("windlass skip"), "{line}");
    }
    let status = windlass(&repo, &["status"]);
    expect(&status, 0, &["failed at Put it back › echo back; exit 4\n"]);
}

#[test]
fn what_is_waited_for_fits_a_narrow_terminal() {
    let gate = "### Approve the deployment of everything to production\n\n```yaml\nuses: approval\nwith: { role: qa, count: 2, within: 24h }\n```\n";
    let repo = repo(gate);
    let ran = windlass(&repo, &["run", "ship"]);
    expect(&ran, 4, &["still needed: 2 of qa", "until ", "to approve:\n"]);
    for line in ran.err.lines().filter(|line| !line.contains("windlass ")) {
        assert!(line.chars().count() <= 80, "{line}");
    }
}
