//! The bench proves itself: it catches planted tools that are slow, large or wrong, and its histories are the same
//! each time.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is the report")]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use windlass_peers::generate::{Scale, generate};
use windlass_peers::measure::{Invocation, Usage, measure};
use windlass_peers::peers::GOAL;
use windlass_peers::rows::{Extract, Kind, Row, Task};
use windlass_peers::session::{Cache, Plan, Sheet, run};
use windlass_peers::subject::{Subject, Variant, copy, pack};
use windlass_peers::{git, goals, report};

fn meter() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_windlass-peers"))
}

fn small(folder: &Path, seed: u64) -> Subject {
    generate(folder, Scale { commits: 300, tags: 12, seed }).unwrap();
    pack(folder).unwrap();
    Subject::read("small", folder, 8).unwrap()
}

fn plan(scratch: &Path) -> Plan {
    Plan {
        meter: meter(),
        rounds: 1,
        limit: Duration::from_secs(20),
        slow: Duration::from_secs(5),
        scratch: scratch.to_owned(),
    }
}

fn script(text: &str) -> Vec<Vec<String>> {
    vec![["bash", "-c", text].map(str::to_owned).to_vec()]
}

fn fake(task: Task, tool: &str, kind: Kind, text: &str) -> Row {
    let extracts = vec![Extract::Lines("~ ")];
    Row { task, tool: tool.to_owned(), kind, steps: script(text), extracts, codes: &[0], cache: None }
}

fn cost(text: &str, limit: u64) -> Usage {
    let folder = tempfile::tempdir().unwrap();
    let (stdout, stderr) = (folder.path().join("out"), folder.path().join("err"));
    let argv = script(text).remove(0);
    let environment = vec![("PATH".to_owned(), std::env::var("PATH").unwrap())];
    let invocation = Invocation {
        argv: &argv,
        folder: folder.path(),
        environment: &environment,
        limit: Duration::from_millis(limit),
        stdout: &stdout,
        stderr: &stderr,
    };
    measure(&meter(), &invocation).unwrap()
}

#[test]
fn a_command_costs_what_it_and_its_children_use() {
    let idle = cost("sleep 0.3", 20_000);
    assert!(idle.wall >= 0.3 && idle.cpu < 0.2, "{idle:?}");
    let busy = cost("(for ((i = 0; i < 200000; i++)); do :; done); exit 7", 20_000);
    assert!(busy.cpu > 0.05 && busy.code == Some(7), "{busy:?}");
    let large = cost("x=$(head -c 40000000 /dev/zero | tr '\\0' x); echo ${#x}", 20_000);
    assert!(large.memory > 38.0, "{large:?}");
    assert!(idle.memory < 16.0, "the bench itself counts into what it measures: {idle:?}");
    let long = cost("sleep 30", 200);
    assert!(long.is_over_time && long.code.is_none() && long.wall < 10.0, "{long:?}");
}

#[test]
fn the_same_seed_is_the_same_history() {
    let folder = tempfile::tempdir().unwrap();
    let head = |name: &str, seed| {
        let path = folder.path().join(name);
        let subject = small(&path, seed);
        assert_eq!(subject.full.all(), 300);
        assert_eq!(subject.tags.1, 12);
        assert_eq!(subject.packages.len(), 6);
        assert!(subject.baseline.is_some() && subject.unreleased.all() > 0);
        git::output(&path, &["rev-parse", "HEAD", "--tags"]).unwrap()
    };
    assert_eq!(head("first", 1), head("second", 1));
    assert_ne!(head("third", 2), head("fourth", 3));
}

#[test]
fn a_copy_leaves_its_source_alone() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source");
    small(&source, 1);
    let state = || {
        let listing = Command::new("find").arg(&source).args(["-printf", "%p %T@ %s\n"]).output().unwrap();
        String::from_utf8_lossy(&listing.stdout).into_owned()
    };
    let before = state();
    let under = folder.path().join("copies");
    let first = copy(&source, &under).unwrap();
    windlass_peers::subject::prepare(&first, Variant::Graph).unwrap();
    assert!(first.join(".git/objects/info/commit-graph").exists());
    windlass_peers::subject::prepare(&first, Variant::Plain).unwrap();
    assert!(!first.join(".git/objects/info/commit-graph").exists());
    assert_eq!(copy(&source, &under).unwrap(), first);
    assert_eq!(state(), before);
}

/// The sheet of a fake windlass and a fake peer, both asked for the full changelog.
fn sheet(subject: &Subject, windlass: &str, peer: &str) -> Sheet {
    let scratch = subject.folder.with_extension("scratch");
    let rows =
        [fake(Task::Full, "windlass", Kind::Windlass, windlass), fake(Task::Full, GOAL, Kind::Peer, peer)];
    let _ = std::fs::remove_file(subject.folder.join(".git/seen"));
    run(&plan(&scratch), subject, Variant::Plain, &rows).unwrap()
}

#[test]
fn planted_faults_are_caught() {
    const RIGHT: &str = "git log --format='~ %s'";
    const BUSY: &str = "for ((i = 0; i < 400000; i++)); do :; done; git log --format='~ %s'";
    const WRONG: &str = "git log --format='~ %s' | tail -n +2";
    const LARGE: &str = "x=$(head -c 120000000 /dev/zero | tr '\\0' x); : ${#x}; git log --format='~ %s'";
    const FICKLE: &str = "git log --format='~ %s'; if test -e .git/seen; then echo '~ '; fi; touch .git/seen";
    let folder = tempfile::tempdir().unwrap();
    let subject = small(&folder.path().join("small"), 1);
    for (windlass, peer, expect) in [
        (RIGHT, BUSY, None),
        (RIGHT, RIGHT, Some("the goal is 8x")),
        (BUSY, RIGHT, Some("slower than git-cliff")),
        (WRONG, BUSY, Some("windlass is wrong: it says 299, git says 300")),
        (LARGE, BUSY, Some("MiB; the goal is 100")),
        ("exit 9", BUSY, Some("windlass failed: exit 9")),
        ("kill -9 $$", BUSY, Some("windlass failed: a signal")),
        (FICKLE, BUSY, Some("windlass failed: answered")),
    ] {
        let missed = goals::missed(&sheet(&subject, windlass, peer));
        match expect {
            None => assert_eq!(missed, Vec::<String>::new()),
            Some(expect) => assert!(missed.iter().any(|text| text.contains(expect)), "{expect}: {missed:?}"),
        }
    }
}

#[test]
fn a_wrong_peer_is_shown_with_its_number() {
    let folder = tempfile::tempdir().unwrap();
    let subject = small(&folder.path().join("small"), 1);
    let sheet = sheet(&subject, "git log --format='~ %s'", "echo '~ one'; echo '~ two'");
    let table = report::table(&sheet);
    let row = table.lines().find(|line| line.contains(GOAL)).unwrap();
    assert!(row.contains("**wrong: 2**, git says 300"), "{row}");
    assert_eq!(table.lines().filter(|line| line.contains("wrong")).count(), 1, "{table}");
}

#[test]
fn a_cache_is_cold_once_and_warm_later_and_each_tool_s_own() {
    let folder = tempfile::tempdir().unwrap();
    let subject = small(&folder.path().join("small"), 1);
    let text = |mark: &str| {
        format!(
            "mkdir -p .git/cache; test -z \"$(ls .git/cache)\" -o -e .git/cache/{mark} || exit 3; \
             test -e .git/cache/{mark} && touch seen-warm-{mark} || touch seen-cold-{mark}; \
             touch .git/cache/{mark}; git log --full-history --no-merges --format='~ %s' -- {}",
            subject.package().unwrap().path
        )
    };
    let row =
        |tool: &str| Row { cache: Some(".git/cache"), ..fake(Task::Package, tool, Kind::Peer, &text(tool)) };
    let rows = [row("first"), row("second")];
    let sheet = run(&plan(&folder.path().join("scratch")), &subject, Variant::Plain, &rows).unwrap();
    let caches: Vec<Cache> = sheet.outcomes.iter().map(|outcome| outcome.cache).collect();
    assert_eq!(caches, [Cache::Cold, Cache::Warm, Cache::Cold, Cache::Warm]);
    for outcome in &sheet.outcomes {
        assert_eq!(outcome.answer.as_ref().map(|answer| answer.wrong.clone()), Ok(None), "{outcome:?}");
    }
    for seen in ["seen-cold-first", "seen-warm-first", "seen-cold-second", "seen-warm-second"] {
        assert!(subject.folder.join(seen).exists(), "{seen}");
    }
}

/// The whole command, with a fake binary in place of Windlass.
fn command(windlass: &str, more: &[&str]) -> (Option<i32>, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("fake");
    std::fs::write(&program, format!("#!/bin/bash\n{windlass}\n")).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let output = Command::new(meter())
        .args([
            "--only",
            "windlass,git",
            "--commits",
            "200",
            "--tags",
            "8",
            "--rounds",
            "1",
            "--variants",
            "plain",
        ])
        .args(["--folder", &folder.path().join("peers").to_string_lossy()])
        .args(["--windlass", &program.to_string_lossy()])
        .args(more)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn the_command_fails_when_windlass_is_wrong_and_does_not_when_it_only_prints() {
    let (code, out, err) = command("echo '{}'", &[]);
    assert_eq!(code, Some(1), "{err}");
    assert!(
        err.contains(
            "MISSED: generated from seed 1, without a commit-graph: next version: windlass is wrong"
        ),
        "{err}"
    );
    assert!(out.contains("| next version | **windlass** |") && out.contains("| git log |"), "{out}");
    assert_eq!(command("echo '{}'", &["--no-goals", "--markdown"]).0, Some(0));
    assert_eq!(command("echo", &["--no-such-option"]).0, Some(2));
}
