//! The demo's runbook killed at every write of its journal and at random moments: the good release and the bad one
//! that is rolled back, judged by the remote's log of references, the service's own ledger and the journal.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use windlass_cli::demo::production::Production;
use windlass_cli::demo::sample::{BAD, GOOD, Sample};
use windlass_core::run::{GateKind, RunEvent, RunId, RunState, RunStatus, verify_chain};
use windlass_engine::journal::{Journal as _, SqliteJournal};

use super::stage::{Death, run_git, shown};

const PROGRAM: &str = env!("CARGO_BIN_EXE_windlass-mortal");

/// How many demos go on at a time.
const WORKERS: u32 = 3;

/// The most kills in one release; then it is let finish.
const MOST: u32 = 16;

/// Every event of both releases must have been the last one before a kill by then.
const LONGEST: Duration = Duration::from_secs(90);

#[test]
fn the_demo_survives_kills_at_each_of_its_writes() {
    let begin = Instant::now();
    // What is written when nobody is killed: each of these writes is to be followed by a death.
    let untouched = Demo::new();
    let mut wanted = BTreeSet::new();
    for story in ["good", "bad"] {
        untouched.play(story, |_, _| Death::Never, &mut BTreeSet::new());
        wanted.extend(untouched.writes().into_iter().map(|event| format!("{story} {event}")));
    }
    untouched.judge().unwrap();
    // After the last event the process only says goodbye, and a decision is written by another process.
    wanted.retain(|event| !event.ends_with(" finished ") && !event.contains(" decided "));

    let covered = Mutex::new(BTreeSet::new());
    let (seed, killed) = (AtomicU64::new(0), AtomicU64::new(0));
    let missing = || wanted.difference(&covered.lock().unwrap()).cloned().collect::<Vec<_>>();
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while !missing().is_empty() && begin.elapsed() < LONGEST {
                    let seed = seed.fetch_add(1, Ordering::Relaxed);
                    let mut random = fastrand::Rng::with_seed(seed);
                    let demo = Demo::new();
                    for story in ["good", "bad"] {
                        let mut points = BTreeSet::new();
                        let kills = demo.play(
                            story,
                            |kills, watching| death(&mut random, kills, watching),
                            &mut points,
                        );
                        killed.fetch_add(kills.into(), Ordering::Relaxed);
                        covered.lock().unwrap().extend(points.iter().map(|point| format!("{story} {point}")));
                    }
                    demo.judge().unwrap_or_else(|wrong| panic!("demo {seed}: {wrong}"));
                }
            });
        }
    });
    let missing = missing();
    println!(
        "{} kills over {} demos of two releases in {:?}; never killed after: {missing:?}",
        killed.into_inner(),
        seed.into_inner(),
        begin.elapsed()
    );
    assert!(missing.is_empty(), "never killed after {missing:?}");
}

/// At a write further on, or at any moment, inside an effect for example. A watch that is killed again and again sees
/// too little to judge and asks a person, as it should: here it is to come to its end.
fn death(random: &mut fastrand::Rng, kills: u32, watching: u32) -> Death {
    match random.u32(0..8) {
        _ if kills >= MOST || watching > 2 => Death::Never,
        _ if watching > 0 => Death::Write { point: random.u32(5..16), after: random.bool() },
        0 => Death::Moment(Duration::from_micros(random.u64(2_000..400_000))),
        _ => Death::Write { point: random.u32(0..9), after: random.bool() },
    }
}

/// The demo's project, remote and service.
struct Demo {
    // Before the folder it works in: the first is dropped first.
    _production: Production,
    sample: Sample,
    _folder: tempfile::TempDir,
}

impl Demo {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sample = Sample::create(folder.path()).unwrap();
        let production = Production::start(Path::new(PROGRAM), &sample.service, false).unwrap();
        sample.commit_history(&production.url()).unwrap();
        // The same watch, ten times as fast.
        let runbook = sample.project.join("runbooks/release.md");
        let text = std::fs::read_to_string(&runbook).unwrap();
        assert_eq!(text.matches("every: 1s").count(), 1);
        std::fs::write(&runbook, text.replace("every: 1s", "every: 100ms")).unwrap();
        run_git(&sample.project, &["commit", "--quiet", "--all", "--message", "chore: watch faster"]);
        run_git(&sample.remote, &["config", "core.logAllRefUpdates", "always"]);
        Self { _production: production, sample, _folder: folder }
    }

    /// Releases, each process dying as `death` says by the number of kills so far. Gives the number of kills, and
    /// notes the last events before them.
    fn play(
        &self,
        story: &str,
        mut death: impl FnMut(u32, u32) -> Death,
        points: &mut BTreeSet<String>,
    ) -> u32 {
        let (changes, before, code) = if story == "good" { (&GOOD[..], 0, 0) } else { (&BAD[..], 1, 6) };
        self.sample.commit(changes).unwrap();
        let begin = Instant::now();
        let (mut kills, mut watching, mut approved) = (0, 0, false);
        loop {
            assert!(
                begin.elapsed() < Duration::from_secs(60),
                "no end after {kills} kills: {:?}",
                self.newest()
            );
            let run = self.newest().filter(|_| self.runs() > before).map(|(run, _)| run);
            let output = self.process(run.as_ref(), death(kills, watching));
            if output.status.signal() == Some(9) {
                kills += 1;
                if self.runs() > before {
                    let last = self.writes().pop();
                    watching += u32::from(self.is_watching());
                    points.extend(last);
                }
            } else if output.status.code() == Some(code) {
                return kills;
            } else {
                assert_eq!(output.status.code(), Some(4), "after {kills} kills: {}", shown(&output));
                assert!(!approved, "asked again for what was answered: {}", shown(&output));
            }
            approved |= self.approve(before);
        }
    }

    /// Approves when that is what is waited for.
    fn approve(&self, before: usize) -> bool {
        let Some((run, state)) = self.newest().filter(|_| self.runs() > before) else { return false };
        let [gate] = state.gates.as_slice() else { return false };
        assert_eq!(gate.kind, GateKind::Approval, "a person was asked what a probe knows: {}", gate.question);
        let decided =
            |event: &RunEvent| matches!(event, RunEvent::Decided { path, .. } if *path == gate.path);
        if self.journal().unwrap().history(&run, 1).unwrap().iter().any(|event| decided(&event.event)) {
            return false;
        }
        let output = self.windlass(&["approve", &run.0, "--as", "rita@demo.example"]).output().unwrap();
        assert!(output.status.success(), "{}", shown(&output));
        true
    }

    fn process(&self, run: Option<&RunId>, death: Death) -> Output {
        let mut command = match run {
            None => self.windlass(&["run", "--no-wait", "--input", "watch=1s"]),
            Some(run) => self.windlass(&["resume", "--no-wait", &run.0]),
        };
        if let Death::Write { point, after } = death {
            command.env("WINDLASS_TEST_DIE", format!("{}:{point}", if after { "after" } else { "before" }));
        }
        let child = command.spawn().unwrap();
        if let Death::Moment(after) = death {
            std::thread::sleep(after);
            // It may have ended before: then there is nobody to kill.
            let _gone = kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGKILL);
        }
        child.wait_with_output().unwrap()
    }

    fn windlass(&self, args: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command
            .args(args)
            .current_dir(&self.sample.project)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn journal(&self) -> Option<SqliteJournal> {
        let path = self.sample.project.join(".git/windlass/journal.db");
        path.exists().then(|| SqliteJournal::open(&path).unwrap())
    }

    fn runs(&self) -> usize {
        self.journal().map_or(0, |journal| journal.runs().unwrap().len())
    }

    fn newest(&self) -> Option<(RunId, RunState)> {
        let journal = self.journal()?;
        let run = journal.runs().unwrap().first()?.id.clone();
        let state = RunState::fold(&journal.history(&run, 1).unwrap());
        Some((run, state))
    }

    /// The writes of the newest run: the kind of the last event of each, and the item it is about.
    fn writes(&self) -> Vec<String> {
        let journal = self.journal().unwrap();
        let run = journal.runs().unwrap()[0].id.clone();
        let history = journal.history(&run, 1).unwrap();
        let name = |event: &RunEvent| {
            let event = serde_json::to_value(event).unwrap();
            let (kind, fields) = event.as_object().unwrap().iter().next().unwrap();
            format!("{kind} {}", fields["path"].as_str().unwrap_or_default())
        };
        // Events of one write have its moment.
        history
            .chunk_by(|one, next| one.at == next.at)
            .map(|write| name(&write[write.len() - 1].event))
            .collect()
    }

    /// Whether the newest run is in its watch.
    fn is_watching(&self) -> bool {
        let Some((run, _)) = self.newest() else { return false };
        let history = self.journal().unwrap().history(&run, 1).unwrap();
        let (mut sampled, mut judged) = (false, false);
        for event in history {
            sampled |= matches!(event.event, RunEvent::Sampled { .. });
            judged |= matches!(event.event, RunEvent::Judged { .. });
        }
        sampled && !judged
    }

    /// Whether both releases happened once, by the ledgers of those they happened to.
    fn judge(&self) -> Result<(), String> {
        let expect = |what: &str, found: &dyn std::fmt::Debug, wanted: &dyn std::fmt::Debug| {
            let (found, wanted) = (format!("{found:?}"), format!("{wanted:?}"));
            if found == wanted { Ok(()) } else { Err(format!("{what}: {found}, not {wanted}")) }
        };
        let journal = self.journal().ok_or("there is no journal")?;
        let mut runs = BTreeMap::new();
        for run in journal.runs().map_err(|error| error.to_string())? {
            let history = journal.history(&run.id, 1).map_err(|error| error.to_string())?;
            verify_chain(&run.id, &history)?;
            let count = |wanted: fn(&RunEvent) -> bool| history.iter().filter(|at| wanted(&at.event)).count();
            expect("approvals", &count(|event| matches!(event, RunEvent::Decided { .. })), &1)?;
            let granted = count(|event| matches!(event, RunEvent::GateClosed { granted: true, .. }));
            expect("gates granted", &granted, &1)?;
            runs.insert(run.version.unwrap_or_default(), run.status);
        }
        let wanted = BTreeMap::from([("0.2.0", RunStatus::Succeeded), ("0.3.0", RunStatus::RolledBack)]);
        expect("the runs", &runs, &wanted)?;

        let ledger = std::fs::read_to_string(self.sample.service.join("ledger.log")).unwrap_or_default();
        let deployed: Vec<&str> = ledger.lines().filter_map(|line| Some(line.split_once(' ')?.1)).collect();
        expect("the deployments", &deployed, &["0.1.0", "0.2.0", "0.3.0", "0.2.0"])?;
        let current = std::fs::read_to_string(self.sample.service.join("current")).unwrap_or_default();
        expect("what is live", &current.trim(), &"0.2.0")?;

        // Each release pushes its branch and its tag once, together; the commits before it were pushed by people.
        for (name, wanted) in [("refs/heads/main", 4), ("refs/tags/v0.2.0", 1), ("refs/tags/v0.3.0", 1)] {
            let log = std::fs::read_to_string(self.sample.remote.join("logs").join(name)).unwrap_or_default();
            // The same change twice is a change that git announced, was killed at, and made later.
            let changes: BTreeSet<&str> = log.lines().filter_map(|line| line.get(..81)).collect();
            expect(&format!("changes of {name}"), &changes.len(), &wanted)?;
        }
        let project = &self.sample.project;
        let commits = run_git(project, &["log", "--format=%s", "--grep", "^chore(release): "]);
        expect(
            "the release commits",
            &commits.lines().collect::<Vec<_>>(),
            &["chore(release): 0.3.0", "chore(release): 0.2.0"],
        )?;
        for tag in ["v0.2.0", "v0.3.0"] {
            let message =
                run_git(&self.sample.remote, &["tag", "--list", "--format=%(contents:subject)", tag]);
            expect("the tag's message", &message, &format!("Release {tag}"))?;
        }
        expect("what differs", &run_git(project, &["status", "--porcelain"]), &"")?;
        let tip = run_git(&self.sample.remote, &["rev-parse", "main", "v0.3.0^{commit}"]);
        let oids: BTreeSet<&str> = tip.lines().collect();
        expect("the tag is on the branch's tip", &oids.len(), &1)
    }
}
