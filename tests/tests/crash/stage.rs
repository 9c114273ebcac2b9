//! One release on a stage of its own, and the processes that die on it.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use windlass_core::run::{GateKind, RunEvent, RunId, RunState, RunStatus, verify_chain};
use windlass_engine::journal::{Journal, SqliteJournal};

use super::ledger::Service;

/// How a process dies.
#[derive(Debug, Clone, Copy)]
pub enum Death {
    /// It does not.
    Never,
    /// By its own hand at a write of the journal.
    Write {
        /// Which, from 0.
        point: u32,
        /// Once it has been written.
        after: bool,
    },
    /// By ours, so long after it started.
    Moment(Duration),
}

impl Death {
    /// At one of the next writes.
    pub fn at_writes(random: &mut fastrand::Rng, _: u32) -> Self {
        Self::Write { point: random.u32(0..7), after: random.bool() }
    }

    /// At one of the next writes or at any moment, inside an effect for example.
    pub fn anywhere(random: &mut fastrand::Rng, count: u32) -> Self {
        if random.bool() {
            Self::at_writes(random, count)
        } else {
            Self::Moment(Duration::from_micros(random.u64(2_000..90_000)))
        }
    }
}

/// A repository, its remote, a service and a file: the places a release changes.
pub struct Stage {
    folder: tempfile::TempDir,
    service: Service,
    bug: &'static str,
}

impl Stage {
    /// A repository and its remote, ready to be copied.
    pub fn template() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/everything");
        let git = |arguments: &[&str], inside: &Path| run_git(inside, arguments);
        let (remote, repository) = (folder.path().join("remote.git"), folder.path().join("repository"));
        git(&["init", "-q", "--bare", "-b", "main", "remote.git"], folder.path());
        copy(&fixture, &repository);
        git(&["init", "-q", "-b", "main"], &repository);
        for (name, value) in
            [("user.name", "Rita"), ("user.email", "rita@example.com"), ("commit.gpgsign", "false")]
        {
            git(&["config", name, value], &repository);
        }
        git(&["remote", "add", "origin", "../remote.git"], &repository);
        git(&["add", "."], &repository);
        git(&["commit", "-qm", "feat: begin"], &repository);
        git(&["tag", "-am", "Release v1.0.0", "v1.0.0"], &repository);
        std::fs::write(repository.join("feature.txt"), "new\n").unwrap();
        git(&["add", "."], &repository);
        git(&["commit", "-qm", "feat: add a feature"], &repository);
        git(&["push", "-q", "origin", "main", "v1.0.0"], &repository);
        // The remote keeps a ledger of its own: every change of every reference, written with the change itself. A
        // hook would not do: it runs after the change, and dies with the push that it belongs to.
        git(&["config", "core.logAllRefUpdates", "always"], &remote);
        folder
    }

    /// A copy of the template; `bug` is planted in every process on it.
    pub fn new(template: &tempfile::TempDir, bug: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        copy(template.path(), folder.path());
        Self { folder, service: Service::start(), bug }
    }

    /// Releases, each process dying as `death` says by the number of kills so far. Gives the number of kills.
    pub fn release(&self, death: impl FnMut(u32) -> Death, points: &mut BTreeMap<String, u32>) -> u32 {
        self.try_release(death, points).unwrap_or_else(|wrong| panic!("{wrong}"))
    }

    /// As [`Self::release`], telling what went wrong.
    pub fn try_release(
        &self,
        mut death: impl FnMut(u32) -> Death,
        points: &mut BTreeMap<String, u32>,
    ) -> Result<u32, String> {
        let begin = Instant::now();
        let mut kills = 0;
        let mut approved: Vec<String> = Vec::new();
        loop {
            if begin.elapsed() > Duration::from_secs(120) {
                return Err(format!(
                    "no end after {kills} kills: {:?}",
                    self.state().map(|(_, state)| state)
                ));
            }
            let output = self.process(death(kills), &[])?;
            if output.status.signal() == Some(9) {
                kills += 1;
                *points.entry(self.last_event()).or_default() += 1;
                self.answer(&mut approved)?;
                continue;
            }
            match output.status.code() {
                Some(0) => return Ok(kills),
                Some(4) if self.answer(&mut approved)? == 0 => {
                    return Err(format!("asked again for what was answered: {}", shown(&output)));
                }
                Some(4) => {}
                Some(7) => {}
                _ => return Err(format!("after {kills} kills: {}", shown(&output))),
            }
        }
    }

    /// A process is stopped in its tracks past its lease, another one finishes the release, the first wakes up.
    pub fn overtaken(&self, after: Duration) -> Result<(), String> {
        let lease = ("WINDLASS_TEST_LEASE", "300");
        let mut sleeper = self.spawn(Death::Never, &[lease]);
        let pid = Pid::from_raw(i32::try_from(sleeper.id()).unwrap());
        let begin = Instant::now();
        while self.state().is_none() && begin.elapsed() < Duration::from_secs(20) {
            std::thread::yield_now();
        }
        std::thread::sleep(after);
        // It may have come to its gate and left by now: then nobody is overtaken in this round.
        let _gone = kill(pid, Signal::SIGSTOP);
        std::thread::sleep(Duration::from_millis(400));
        let result = self.finish_as_another(lease);
        let _gone = kill(pid, Signal::SIGCONT);
        sleeper.wait().map_err(|error| error.to_string())?;
        match result {
            // It was stopped in the middle of a write and nobody could write beside it: nobody overtook it either.
            Err(wrong) if wrong.contains("database is locked") => self.finish_as_another(lease),
            result => result,
        }
    }

    fn finish_as_another(&self, lease: (&str, &str)) -> Result<(), String> {
        let mut approved = Vec::new();
        let mut last = String::new();
        for _ in 0..20 {
            let output = self.process(Death::Never, &[lease])?;
            last = shown(&output);
            match output.status.code() {
                Some(0) => return Ok(()),
                Some(4) => drop(self.answer(&mut approved)?),
                Some(7) if !last.contains("database is locked") => {}
                _ => return Err(format!("the second process: {}", shown(&output))),
            }
        }
        Err(format!("the second process came to no end, at last: {last}"))
    }

    /// Whether every effect happened once, by the ledgers of those it happened to.
    pub fn judge(&self) -> Result<(), String> {
        let (run, state) = self.state().ok_or("there is no run")?;
        let expect = |what: &str, found: &dyn std::fmt::Debug, wanted: &dyn std::fmt::Debug| {
            let (found, wanted) = (format!("{found:?}"), format!("{wanted:?}"));
            if found == wanted { Ok(()) } else { Err(format!("{what}: {found}, not {wanted}")) }
        };
        expect("the run", &state.status, &RunStatus::Succeeded)?;
        let file = std::fs::read_to_string(self.folder.path().join("ledger.txt")).unwrap_or_default();
        let mut lines: Vec<&str> = file.lines().collect();
        lines.sort_unstable();
        let wanted =
            ["build 1.1.0", "called 1.1.0", "left 1.1.0", "matrix a 1.1.0", "matrix b 1.1.0", "right 1.1.0"];
        expect("the file", &lines, &wanted)?;
        expect("the service", &self.service.deployed(), &["1.1.0"])?;
        let mut references = Vec::new();
        for name in ["refs/heads/main", "refs/tags/v1.1.0"] {
            let log = self.folder.path().join("remote.git/logs").join(name);
            let log = std::fs::read_to_string(log).unwrap_or_default();
            // The same change twice is a change that git announced, was killed at, and made later.
            let changes: BTreeSet<&str> = log.lines().filter_map(|line| line.get(..81)).collect();
            references.extend(changes.iter().map(|_| name));
        }
        expect("the remote", &references, &["refs/heads/main", "refs/tags/v1.1.0"])?;
        let repository = self.folder.path().join("repository");
        let commits = run_git(&repository, &["log", "--format=%s", "v1.0.0..main"]);
        expect(
            "the commits",
            &commits.lines().collect::<Vec<_>>(),
            &["chore(release): 1.1.0", "feat: add a feature"],
        )?;
        let tagged = run_git(&repository, &["ls-remote", "origin", "refs/tags/v1.1.0^{}", "refs/heads/main"]);
        let mut oids: Vec<&str> = tagged.lines().filter_map(|line| line.split('\t').next()).collect();
        oids.dedup();
        expect("the tag is on the branch's tip", &oids.len(), &1)?;
        let scratch = repository.join(".git/windlass/scratch");
        let folders = std::fs::read_dir(scratch).into_iter().flatten().flatten();
        let left = folders.flat_map(|run| std::fs::read_dir(run.path())).flatten().count();
        expect("what scripts left in the scratch folder", &left, &0)?;
        expect("what differs", &run_git(&repository, &["status", "--porcelain", "-uno"]), &"")?;
        let changelog = std::fs::read_to_string(repository.join("CHANGELOG.md")).unwrap_or_default();
        expect("sections of the changelog", &changelog.matches("## [1.1.0]").count(), &1)?;
        let history = self
            .journal()
            .ok_or("there is no journal")?
            .history(&run, 1)
            .map_err(|error| error.to_string())?;
        verify_chain(&run, &history)?;
        let granted =
            history.iter().filter(|event| matches!(event.event, RunEvent::GateClosed { granted: true, .. }));
        expect("gates granted", &granted.count(), &2)?;
        let decided = history.iter().filter(|event| matches!(event.event, RunEvent::Decided { .. }));
        expect("decisions asked for", &decided.count(), &2)
    }

    /// How often the journal was written by processes that lived to their end.
    pub fn writes(&self) -> u32 {
        let counts = std::fs::read_to_string(self.count_file()).unwrap_or_default();
        counts.lines().map(|line| line.parse::<u32>().unwrap()).sum()
    }

    /// Death at a write of the release, counted over its processes.
    pub fn at_write(&self, write: u32, after: bool) -> Death {
        // A process that comes to its end before that write lives, and the next one is asked again.
        Death::Write { point: write - self.writes().min(write), after }
    }

    fn count_file(&self) -> PathBuf {
        self.folder.path().join("writes.txt")
    }

    fn process(&self, death: Death, environment: &[(&str, &str)]) -> Result<Output, String> {
        let child = self.spawn(death, environment);
        if let Death::Moment(after) = death {
            std::thread::sleep(after);
            // It may have ended before: then there is nobody to kill.
            let _gone = kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGKILL);
        }
        child.wait_with_output().map_err(|error| error.to_string())
    }

    fn spawn(&self, death: Death, environment: &[(&str, &str)]) -> Child {
        let ledger = format!("ledger={}", self.folder.path().join("ledger.txt").display());
        let port = format!("port={}", self.service.address.port());
        let mut command = match self.state() {
            None => self.windlass(&["run", "release", "--input", &ledger, "--input", &port]),
            Some((run, _)) => self.windlass(&["resume", &run.0]),
        };
        if let Death::Write { point, after } = death {
            command.env("WINDLASS_TEST_DIE", format!("{}:{point}", if after { "after" } else { "before" }));
        }
        command.envs(environment.iter().copied()).spawn().unwrap()
    }

    /// Answers the gates that are open, each once; how many that were.
    fn answer(&self, approved: &mut Vec<String>) -> Result<usize, String> {
        let Some((run, state)) = self.state() else { return Ok(0) };
        let before = approved.len();
        for gate in &state.gates {
            if approved.contains(&gate.path.0) {
                continue;
            }
            if gate.kind == GateKind::Doubt {
                return Err(format!("a person was asked what a probe knows: {}", gate.question));
            }
            approved.push(gate.path.0.clone());
            let verb = if gate.kind == GateKind::Approval { "approve" } else { "confirm" };
            let output =
                self.windlass(&[verb, &run.0, &gate.path.0]).output().map_err(|error| error.to_string())?;
            if !output.status.success() {
                return Err(format!("answering {}: {}", gate.path, shown(&output)));
            }
        }
        Ok(approved.len() - before)
    }

    fn windlass(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_windlass-mortal"));
        command
            .args(arguments)
            .current_dir(self.folder.path().join("repository"))
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .env("WINDLASS_TEST_BUG", self.bug)
            .env("WINDLASS_TEST_COUNT", self.count_file())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn journal(&self) -> Option<SqliteJournal> {
        let path: PathBuf = self.folder.path().join("repository/.git/windlass/journal.db");
        path.exists().then(|| SqliteJournal::open(&path).unwrap())
    }

    fn state(&self) -> Option<(RunId, RunState)> {
        let journal = self.journal()?;
        let run = journal.runs().unwrap().first()?.id.clone();
        let state = RunState::fold(&journal.history(&run, 1).unwrap());
        Some((run, state))
    }

    fn last_event(&self) -> String {
        let last = self.journal().and_then(|journal| {
            let run = journal.runs().unwrap().first()?.id.clone();
            journal.history(&run, 1).unwrap().pop()
        });
        // The name of the event in its JSON, and of the item it is about.
        let Some(last) = last else { return "before the run".into() };
        let event = serde_json::to_value(&last.event).unwrap();
        let Some((kind, fields)) = event.as_object().and_then(|object| object.iter().next()) else {
            return event.to_string();
        };
        format!("{kind} {}", fields["path"].as_str().unwrap_or_default())
    }
}

/// What git says, without the last newline.
pub fn run_git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(arguments)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .output()
        .unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", shown(&output));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from.join(".")).arg(to).status().unwrap();
    assert!(copied.success());
}

/// What a process said, and how it ended.
pub fn shown(output: &Output) -> String {
    format!(
        "{}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}
