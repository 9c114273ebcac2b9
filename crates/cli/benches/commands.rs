//! How long a person waits for a command: start, check, plan, and the next action after `kill -9`.
//!
//! `cargo bench -p windlass-cli --bench commands`
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints, and stops at the first surprise"
)]

use std::fmt::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use windlass_testkit::repo::RepoBuilder;

const ROUNDS: usize = 21;

fn main() {
    let small = repository(&release(3));
    let large = repository(&release(1000));
    let row = |what: &str, times: Vec<f64>| println!("{what:45} {}", summary(times));
    row("--version", times(|| timed(&small, &["--version"])));
    row("check, a small runbook", times(|| timed(&small, &["check"])));
    row("check, 1,000 steps", times(|| timed(&large, &["check"])));
    row("plan, a small runbook", times(|| timed(&small, &["plan"])));
    row("plan, 1,000 steps", times(|| timed(&large, &["plan"])));
    row("next action after kill -9", (0..7).map(|_| resumed()).collect());
}

fn release(steps: usize) -> String {
    let mut text = String::from("---\nname: release\ndescription: Many steps\n---\n# Release\n\n## Steps\n");
    for number in 0..steps {
        let _ = write!(
            text,
            "\n### Step {number}\n- Within: 5m\n\n```sh {{effects=none}}\ntest \"$WINDLASS_VERSION\" != {number}\n```\n"
        );
    }
    text
}

fn repository(runbook: &str) -> RepoBuilder {
    let repo = RepoBuilder::new();
    repo.file("package.json", "{\n  \"name\": \"bench\",\n  \"version\": \"0.1.0\"\n}\n")
        .file("runbooks/release.md", runbook)
        .file("CHANGELOG.md", "# Changelog\n\n## [Unreleased]\n\n- Something\n")
        .commit("feat: begin");
    repo.tag("v0.1.0").remote();
    repo.file("new", "x").commit("feat: more");
    repo
}

fn windlass(repo: &RepoBuilder, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_windlass"));
    command.args(arguments).current_dir(repo.path()).envs(repo.environment());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn timed(repo: &RepoBuilder, arguments: &[&str]) -> f64 {
    let begin = Instant::now();
    let status = windlass(repo, arguments).status().unwrap();
    let time = milliseconds(begin.elapsed());
    assert!(status.success(), "{arguments:?}: {status}");
    time
}

fn times(mut once: impl FnMut() -> f64) -> Vec<f64> {
    once();
    (0..ROUNDS).map(|_| once()).collect()
}

/// A run is killed in its second step; the time from `resume` to the moment its third step acts.
fn resumed() -> f64 {
    let runbook = "---\nname: release\n---\n# Release\n\n## Steps\n\n### One\n```sh {effects=none}\ntrue\n```\n\n\
                   ### Two\n```sh {effects=none}\ntest -e two || { touch two; sleep 60; }\n```\n\n\
                   ### Three\n```sh {effects=none}\ntouch three\n```\n";
    let repo = repository(runbook);
    let mut child = windlass(&repo, &["run"]).spawn().unwrap();
    while !repo.path().join("two").exists() {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let begin = Instant::now();
    let mut child = windlass(&repo, &["resume"]).spawn().unwrap();
    while !repo.path().join("three").exists() {
        assert!(begin.elapsed() < Duration::from_secs(20), "it never went on");
        std::thread::yield_now();
    }
    let time = milliseconds(begin.elapsed());
    assert!(child.wait().unwrap().success());
    time
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn summary(mut times: Vec<f64>) -> String {
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    format!("median {:7.1} ms, min {:7.1} ms, max {:7.1} ms", at(0.5), at(0.0), at(1.0))
}
