//! Tests of processes on real ones.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use tokio_util::sync::CancellationToken;
use windlass_core::plan::StepPath;
use windlass_core::run::RunId;

use super::*;
use crate::context::{LogSink, SystemClock, World};
use crate::mask::Masker;

#[derive(Default)]
struct Kept(Mutex<Vec<(Stream, String)>>);

impl LogSink for Kept {
    fn line(&self, _: &StepPath, stream: Stream, line: &str) {
        self.0.lock().unwrap().push((stream, line.to_owned()));
    }
}

fn context(folder: &Path) -> (Context, Arc<Kept>) {
    let log = Arc::new(Kept::default());
    let secrets = BTreeMap::from([("TOKEN".to_owned(), "correct-horse".to_owned())]);
    let world = World {
        workspace: folder.to_owned(),
        state: folder.to_owned(),
        environment: Arc::new(BTreeMap::from([
            ("A".to_owned(), "run".to_owned()),
            ("B".to_owned(), "run".to_owned()),
        ])),
        release: None,
        masker: Arc::new(Masker::new(&secrets).unwrap()),
        secrets: Arc::new(secrets),
        log: Arc::clone(&log) as Arc<dyn LogSink>,
        clock: Arc::new(SystemClock),
    };
    let run = RunId(format!("test-{}-{}", std::process::id(), fastrand::u64(..)));
    (Context::new(world, run, StepPath::new("step/1"), 1, 1, CancellationToken::new()), log)
}

fn bash(script: &str) -> Command {
    Command::new("bash").arg("-c").arg(script)
}

#[tokio::test]
async fn input_is_there_whole_before_the_program_starts() {
    let folder = tempfile::tempdir().unwrap();
    let (context, _) = context(folder.path());
    // Longer than a pipe holds; nobody has to live to write the rest.
    let text = "notes\n".repeat(100_000);
    let finished = run(&context, &bash("test -f /dev/stdin && wc -c").stdin(text)).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&finished.stdout).trim(), "600000");
}

#[tokio::test]
async fn output_is_captured_logged_and_masked() {
    let folder = tempfile::tempdir().unwrap();
    let (context, log) = context(folder.path());
    let script = "cat; echo correct-horse; printf 'no newline'; echo oops >&2; exit 3";
    let finished = run(&context, &bash(script).stdin("fed\r\n")).await.unwrap();
    assert_eq!(finished.code, Some(3));
    assert!(!finished.success());
    assert_eq!(finished.stdout, b"fed\r\ncorrect-horse\nno newline");
    assert_eq!(finished.stderr, b"oops\n");
    let mut lines = log.0.lock().unwrap().clone();
    lines.sort_by_key(|(stream, _)| *stream == Stream::Err);
    let out = |line: &str| (Stream::Out, line.to_owned());
    assert_eq!(lines, [out("fed"), out("***"), out("no newline"), (Stream::Err, "oops".to_owned())]);

    let before = log.0.lock().unwrap().len();
    run(&context, &bash("echo x").quiet()).await.unwrap();
    assert_eq!(log.0.lock().unwrap().len(), before);
}

#[tokio::test]
async fn a_line_without_end_is_logged_in_pieces_that_leak_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (context, log) = context(folder.path());
    let script = "for i in {1..30000}; do printf correct-horse; done";
    let finished = run(&context, &bash(script)).await.unwrap();
    assert_eq!(finished.stdout.len(), 390_000);
    let lines = log.0.lock().unwrap();
    assert!(lines.len() > 2);
    assert!(lines.iter().all(|(_, line)| !line.contains("correct") && !line.contains("horse")), "{lines:?}");
}

#[tokio::test]
async fn the_environment_is_minimal_and_layered() {
    let folder = tempfile::tempdir().unwrap();
    let (mut context, _) = context(folder.path());
    context.outputs = Arc::new(BTreeMap::from([("B".to_owned(), "output".to_owned())]));
    let command = Command::new("env").env("C", "command").env("WINDLASS_RUN_ID", "forged");
    let finished = run(&context, &command).await.unwrap();
    let text = String::from_utf8(finished.stdout).unwrap();
    let seen: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.split_once('=')).collect();
    assert_eq!((seen["A"], seen["B"], seen["C"]), ("run", "output", "command"));
    assert_eq!(seen["WINDLASS_RUN_ID"], context.run.0);
    assert_eq!(seen["WINDLASS_STEP"], "step/1");
    // Cargo sets it for tests, and it is on no list.
    assert!(std::env::var_os("LD_LIBRARY_PATH").is_some() && !seen.contains_key("LD_LIBRARY_PATH"));
    for (name, expect) in [
        ("PATH", true),
        ("LC_ALL", true),
        ("GIT_AUTHOR_NAME", true),
        ("GIT_DIR", false),
        ("GIT_INDEX_FILE", false),
        ("AWS_SECRET_ACCESS_KEY", false),
        ("LD_PRELOAD", false),
        ("BASH_ENV", false),
    ] {
        assert_eq!(is_passed(name), expect, "{name}");
    }
}

#[tokio::test]
async fn what_cannot_be_started_is_told_in_words() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("plain"), "text").unwrap();
    let (context, _) = context(folder.path());
    for (command, expect) in [
        (Command::new("no-such-program-here"), "`no-such-program-here` is not installed or not in PATH"),
        (Command::new("./missing"), "there is no program ./missing"),
        (Command::new("./plain"), "`./plain` may not be executed"),
        (Command::new("true").arg("a\0b"), "cannot take these arguments"),
        (Command::new("true").env("a=b", "c"), "`a=b` cannot be an environment variable"),
        (Command::new("true").cwd("/no/such/folder"), "there is no folder /no/such/folder"),
    ] {
        match run(&context, &command).await {
            Err(ActionError::Final(message)) => assert!(message.contains(expect), "{message}"),
            other => panic!("{command:?}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn what_stays_in_the_background_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let (context, _) = context(folder.path());
    let start = Instant::now();
    let finished = run(&context, &bash("sleep 60 & echo $!")).await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    assert!(finished.stdout.ends_with(b"\n"));
    assert_eq!(stop_leftovers(&context.run), 1);
}

#[tokio::test]
async fn a_cancelled_run_stops_the_whole_group() {
    let folder = tempfile::tempdir().unwrap();
    for script in [
        "echo ready; sleep 100 & sleep 100",
        // Deaf to SIGTERM, with a deaf child.
        "trap '' TERM; echo ready; (while :; do sleep 1; done) & while :; do sleep 1; done",
    ] {
        let (context, log) = context(folder.path());
        let started = async {
            while log.0.lock().unwrap().is_empty() {
                tokio::task::yield_now().await;
            }
            context.cancel.cancel();
        };
        let command = bash(script);
        let (result, ()) = tokio::join!(run(&context, &command), started);
        assert_eq!(result, Err(ActionError::Cancelled));
        assert_eq!(stop_leftovers(&context.run), 0, "{script}");
        assert_eq!(run(&context, &bash("true")).await, Err(ActionError::Cancelled));
    }
}

#[tokio::test]
async fn a_dropped_attempt_leaves_nothing_running() {
    let folder = tempfile::tempdir().unwrap();
    let (context, log) = context(folder.path());
    let command = bash("echo ready; sleep 100 & sleep 100");
    let attempt = run(&context, &command);
    let started = async {
        while log.0.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = attempt => panic!("it ended"),
        () = started => {}
    }
    // Killed already, though it may take a moment to vanish.
    let start = Instant::now();
    stop_leftovers(&context.run);
    assert!(start.elapsed() < Duration::from_secs(3), "nothing had to be killed");
}

#[cfg(target_os = "linux")]
#[test]
fn leftovers_of_a_run_are_stopped_and_nothing_else() {
    use std::process::Command as Plain;
    let run = RunId(format!("left-{}-{}", std::process::id(), fastrand::u64(..)));
    let start = |program: &str, args: &[&str], id: &str| {
        Plain::new(program).args(args).env("WINDLASS_RUN_ID", id).spawn().unwrap()
    };
    let mut left = start("bash", &["-c", "sleep 100; true"], &run.0);
    let mut deaf = start("bash", &["-c", "trap '' TERM; while :; do sleep 0.2; done"], &run.0);
    let mut other = start("sleep", &["100"], "another");
    let mut stays = start("setsid", &["sleep", "100"], &run.0);
    let is_exec = |child: &std::process::Child, name: &str| {
        std::fs::read_to_string(format!("/proc/{}/comm", child.id())).is_ok_and(|comm| comm.trim() == name)
    };
    while !(is_exec(&stays, "sleep") && is_exec(&left, "bash") && is_exec(&deaf, "bash")) {
        std::thread::yield_now();
    }
    // The deaf one has to be killed: a short grace is enough to see it.
    assert!(group::leftovers::stop(&run, Duration::from_millis(300)) >= 2);
    assert_eq!(stop_leftovers(&run), 0);
    assert!(!left.wait().unwrap().success());
    assert!(!deaf.wait().unwrap().success());
    for child in [&mut other, &mut stays] {
        assert!(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn the_end_of_stderr_and_the_start_of_stdout_are_kept() {
    let mut taken = Taken { kept: Vec::new(), lines: None };
    for byte in 0..10u8 {
        taken.take(&[byte; 3], Keep::First(8));
    }
    assert_eq!(taken.kept, [0, 0, 0, 1, 1, 1, 2, 2]);
    let mut taken = Taken { kept: Vec::new(), lines: None };
    for byte in 0..10u8 {
        taken.take(&[byte; 3], Keep::Last(4));
    }
    assert!(taken.kept.len() <= 8 && taken.kept.ends_with(&[8, 9, 9, 9]));
}
