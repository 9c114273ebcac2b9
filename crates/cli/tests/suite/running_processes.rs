//! Runs as several processes see them: the real program, signals, and one that is killed.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStderr, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use windlass_testkit::repo::RepoBuilder;

use crate::running::{repo, run_name};
use crate::support::windlass;

/// Waits for a file that the test makes.
const PATIENT: &str =
    "### Build\n\n```sh {id=make}\necho working\nwhile [ ! -e go ]; do sleep 0.02; done\necho made\n```\n";
const GATE: &str = "### Look\n\n- [ ] It looks good\n";

struct Program {
    child: Child,
    lines: BufReader<ChildStderr>,
    seen: String,
}

impl Program {
    fn start(repo: &RepoBuilder, args: &[&str]) -> Self {
        let mut child = repo
            .command(env!("CARGO_BIN_EXE_windlass"))
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap());
        Self { child, lines, seen: String::new() }
    }

    /// Reads until a line holds `text`.
    fn until(&mut self, text: &str) {
        loop {
            let mut line = String::new();
            assert!(self.lines.read_line(&mut line).unwrap() > 0, "it ended before `{text}`:\n{}", self.seen);
            self.seen.push_str(&line);
            if line.contains(text) {
                return;
            }
        }
    }

    fn send(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    fn ends(mut self, code: i32, texts: &[&str]) {
        self.lines.read_to_string(&mut self.seen).unwrap();
        let ended = self.child.wait().unwrap().code();
        assert_eq!(ended, Some(code), "{}", self.seen);
        for text in texts {
            assert!(self.seen.contains(text), "no `{text}` in:\n{}", self.seen);
        }
    }
}

#[test]
fn one_process_works_on_a_run_and_others_answer_it() {
    let repo = repo(GATE);
    let mut program = Program::start(&repo, &["run", "ship", "--wait"]);
    program.until("answer with: windlass confirm");
    let second = windlass(&repo, &["resume"]);
    assert_eq!(second.code, 1, "{}", second.err);
    let who = format!("process {} on", program.child.id());
    assert!(second.err.contains(&who) && second.err.contains("is working on"), "{}", second.err);
    assert!(windlass(&repo, &["status"]).out.contains(&who));
    let answered = windlass(&repo, &["confirm"]);
    assert!(answered.out.contains("goes on"), "{}{}", answered.out, answered.err);
    program.ends(0, &["ada@example.com confirmed", "succeeded"]);
}

#[test]
fn ctrl_c_leaves_when_what_runs_is_done() {
    let repo = repo(&format!("{PATIENT}\n### Then\n\n```sh\necho then\n```\n"));
    let mut program = Program::start(&repo, &["run", "ship"]);
    program.until("│ working");
    program.send(Signal::SIGINT);
    program.until("leaving as soon as");
    repo.file("go", "");
    program.ends(7, &["│ made", "windlass resume"]);
    assert!(windlass(&repo, &["status"]).out.contains("suspended"));
    let resumed = windlass(&repo, &["resume"]);
    assert_eq!(resumed.code, 0, "{}", resumed.err);
    assert!(!resumed.err.contains("│ made"), "done is done: {}", resumed.err);
}

#[test]
fn ctrl_c_twice_cancels() {
    let repo = repo(PATIENT);
    let mut program = Program::start(&repo, &["run", "ship"]);
    program.until("│ working");
    program.send(Signal::SIGINT);
    program.until("leaving as soon as");
    program.send(Signal::SIGINT);
    program.ends(1, &["cancelled"]);
}

#[test]
fn a_program_that_talks_without_end_can_be_stopped() {
    let repo = repo("### Talk\n\n```sh\nyes\n```\n");
    let mut program = Program::start(&repo, &["run", "ship"]);
    program.until("│ y");
    program.send(Signal::SIGINT);
    program.until("leaving as soon as");
    program.send(Signal::SIGINT);
    program.ends(1, &["not shown here", "cancelled"]);
}

#[test]
fn leaving_a_gate_is_waiting_for_people() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let repo = repo(GATE);
        let mut program = Program::start(&repo, &["run", "ship", "--wait"]);
        program.until("waits for anyone");
        program.send(signal);
        program.ends(4, &["windlass confirm", "windlass resume"]);
    }
}

#[test]
fn others_cancel_and_roll_back_what_is_running() {
    let repo = repo(PATIENT);
    let mut program = Program::start(&repo, &["run", "ship"]);
    program.until("│ working");
    let cancelled = windlass(&repo, &["cancel"]);
    assert_eq!(cancelled.code, 0, "{}", cancelled.err);
    assert!(cancelled.err.contains("waiting for it to stop"), "{}", cancelled.err);
    program.ends(1, &["cancelled"]);

    let mut program = Program::start(&repo, &["run", "ship"]);
    program.until("│ working");
    let back = windlass(&repo, &["rollback"]);
    assert_eq!(back.code, 6, "{}", back.err);
    program.ends(1, &["cancelled"]);
}

#[test]
fn a_killed_process_leaves_a_doubt_that_people_settle() {
    let repo = repo(PATIENT);
    let mut program = Program::start(&repo, &["run", "ship"]);
    program.until("│ working");
    program.send(Signal::SIGKILL);
    program.child.wait().unwrap();
    let run = run_name(&repo);
    assert!(windlass(&repo, &["runs"]).out.contains("interrupted"));
    let asked = windlass(&repo, &["resume"]);
    assert_eq!(asked.code, 4, "{}", asked.err);
    assert!(
        asked.err.contains("stopped 2 processes") || asked.err.contains("stopped 1 process"),
        "{}",
        asked.err
    );
    for command in ["confirm", "retry"] {
        let command = format!("windlass {command} {run} build/make");
        assert!(asked.err.contains(&command), "no {command}: {}", asked.err);
    }
    let approved = windlass(&repo, &["approve"]);
    assert_eq!(approved.code, 2, "{}", approved.err);
    repo.file("go", "");
    let again = windlass(&repo, &["retry"]);
    assert_eq!(again.code, 0, "{}", again.err);
}

#[test]
fn a_log_is_followed_until_the_run_stops() {
    let repo = repo(PATIENT);
    let mut program = Program::start(&repo, &["run", "ship"]);
    program.until("│ working");
    let mut follower = repo
        .command(env!("CARGO_BIN_EXE_windlass"))
        .args(["logs", "--follow"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap());
    let mut text = String::new();
    lines.read_line(&mut text).unwrap();
    assert_eq!(text, "build/make | working\n");
    repo.file("go", "");
    program.ends(0, &[]);
    lines.read_to_string(&mut text).unwrap();
    assert_eq!(text, "build/make | working\nbuild/make | made\n");
    assert!(follower.wait().unwrap().success());
}

#[test]
fn a_full_disk_suspends_the_run() {
    let steps: String = (1..=40)
        .map(|number| format!("### Step {number}\n\n```sh {{in-doubt=rerun}}\necho {number}\n```\n\n"))
        .collect();
    let repo = repo(&steps);
    let program = env!("CARGO_BIN_EXE_windlass");
    // Files may not grow beyond 200 KiB: the journal's log reaches that half-way.
    let limited = format!("trap '' XFSZ; ulimit -f 200; exec {program} run ship");
    let output = repo.command("bash").args(["-c", &limited]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(7), "{text}");
    assert!(
        text.contains("error: the journal") && text.contains("when that is mended: `windlass resume"),
        "{text}"
    );
    let resumed = windlass(&repo, &["resume"]);
    assert_eq!(resumed.code, 0, "{}", resumed.err);
    assert_eq!(windlass(&repo, &["audit", "verify"]).code, 0);
}

#[test]
fn a_gate_is_answered_with_a_key_on_a_terminal() {
    let repo = repo(GATE);
    // script(1) gives the program a terminal; its own input goes there.
    let mut child = repo
        .command("script")
        .args(["-qec", &format!("{} run ship", env!("CARGO_BIN_EXE_windlass")), "/dev/null"])
        .env("TERM", "xterm")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the tests need script, of util-linux");
    let (mut keyboard, mut screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut seen = String::new();
    let mut buffer = [0; 4096];
    loop {
        let count = screen.read(&mut buffer).unwrap();
        if count == 0 {
            break;
        }
        let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
        // Drawn again each second; a key that comes too soon after the question is not taken.
        if text.contains("y yes") {
            keyboard.write_all(b"y").unwrap();
        }
        seen.push_str(&text);
    }
    assert!(child.wait().unwrap().success(), "{seen}");
    assert!(seen.contains("\u{1b}[?25h"), "the cursor is back: {seen}");
    assert!(seen.contains("succeeded"), "{seen}");
}
