//! A repository that has never seen Windlass: set up, planned and released with no file edited by hand, and killed in
//! the middle of it.

use std::time::{Duration, Instant};

use windlass_core::run::RunStatus;
use windlass_testkit::repo::RepoBuilder;

use crate::support::{Ran, newest, program, windlass};

/// A kind of project: its files, and the text that states its version.
struct Kind {
    files: &'static [(&'static str, &'static str)],
    holder: &'static str,
    states: &'static str,
}

const CARGO: Kind = Kind {
    files: &[
        ("Cargo.toml", "[package]\nname = \"sail\"\nversion = \"0.1.0\"\nedition = \"2021\"\n"),
        ("Cargo.lock", "version = 3\n\n[[package]]\nname = \"sail\"\nversion = \"0.1.0\"\n"),
        ("src/lib.rs", "//! Sails.\n\n#[test]\nfn it_sails() {}\n"),
        (".gitignore", "/target\n"),
    ],
    holder: "Cargo.toml",
    states: "version = \"VERSION\"",
};

const PYTHON: Kind = Kind {
    files: &[
        ("pyproject.toml", "[project]\nname = \"sail\"\nversion = \"0.1.0\"\n"),
        ("sail.py", "def hoist():\n    return True\n"),
    ],
    holder: "pyproject.toml",
    states: "version = \"VERSION\"",
};

const NODE: Kind = Kind {
    files: &[
        ("package.json", "{\n  \"name\": \"sail\",\n  \"version\": \"0.1.0\"\n}\n"),
        ("index.js", "module.exports = () => true\n"),
    ],
    holder: "package.json",
    states: "\"version\": \"VERSION\"",
};

const KINDS: [Kind; 3] = [CARGO, PYTHON, NODE];

fn repository(kind: &Kind) -> RepoBuilder {
    let repo = RepoBuilder::new();
    for (path, text) in kind.files {
        repo.file(path, text);
    }
    repo.commit("feat: begin");
    repo.remote();
    // The remote's own ledger: every change of every reference.
    repo.remote_git(&["config", "core.logAllRefUpdates", "always"]);
    windlass(&repo, &["init", "--yes"]).expect(0, &["committed"]);
    repo
}

#[test]
fn it_is_released_twice_with_no_file_edited_by_hand() {
    for kind in &KINDS {
        let repo = repository(kind);
        windlass(&repo, &["plan"]).expect(0, &["0.1.0, the first release"]);
        windlass(&repo, &["run"]).expect(0, &["release 0.1.0 succeeded"]);
        judge(&repo, kind, &["0.1.0"], &["Begin"]);

        windlass(&repo, &["run"]).expect(3, &["nothing to release"]);
        repo.file("more.txt", "more\n").commit("feat: hoist more sails");
        windlass(&repo, &["plan"]).expect(0, &["0.2.0, minor over 0.1.0"]);
        windlass(&repo, &["run"]).expect(0, &["release 0.2.0 succeeded"]);
        judge(&repo, kind, &["0.1.0", "0.2.0"], &["Hoist more sails"]);
    }
}

/// Fifteen kills for each kind of project, up to three in one release.
#[test]
fn killed_at_any_moment_it_is_resumed_and_nothing_is_doubled() {
    std::thread::scope(|scope| {
        for (number, kind) in KINDS.iter().enumerate() {
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(number as u64);
                let begin = Instant::now();
                let whole = repository(kind);
                let from = Instant::now();
                windlass(&whole, &["run"]).expect(0, &[]);
                let usual = from.elapsed();
                let (mut killed, mut releases) = (0, 0);
                while killed < 15 {
                    assert!(releases < 60, "{killed} kills in {releases} releases");
                    let repo = repository(kind);
                    killed += release(&repo, &mut random, usual, 3.min(15 - killed));
                    releases += 1;
                    judge(&repo, kind, &["0.1.0"], &["Begin"]);
                }
                println!("    {}: {killed} kills in {releases} releases, {:?}", kind.holder, begin.elapsed());
            });
        }
    });
}

/// Releases, killing at random moments up to `most` times; how often it was killed.
fn release(repo: &RepoBuilder, random: &mut fastrand::Rng, usual: Duration, most: u32) -> u32 {
    let mut killed = 0;
    for _ in 0..20 {
        let args = match newest(repo) {
            None => vec!["run".to_owned()],
            Some((run, _)) => vec!["resume".to_owned(), run.0],
        };
        let mut child = program(repo).args(args).spawn().unwrap();
        if killed < most {
            std::thread::sleep(usual.mul_f64(random.f64()));
            // It may have ended before: then there is nobody to kill.
            let _gone = child.kill();
        }
        let ran = Ran::from(child.wait_with_output().unwrap());
        match ran {
            Ran { killed: true, .. } => killed += 1,
            // Only its last words were missed: it is done.
            Ran { code: Some(0), .. } => return killed,
            _ => panic!("after {killed} kills: {}", ran.shown()),
        }
    }
    panic!("no end after {killed} kills");
}

/// Whether the repository and its remote are as after the releases of `versions`, the last of which has `notes`.
fn judge(repo: &RepoBuilder, kind: &Kind, versions: &[&str], notes: &[&str]) {
    let version = versions.last().unwrap();
    assert_eq!(newest(repo).unwrap().1.status, RunStatus::Succeeded);

    let tags: Vec<String> = versions.iter().map(|version| format!("v{version}")).collect();
    assert_eq!(repo.remote_git(&["tag", "--list"]).lines().collect::<Vec<_>>(), tags);
    assert_eq!(repo.git(&["tag", "--list"]).lines().collect::<Vec<_>>(), tags);
    let tag = &format!("v{version}");
    assert_eq!(repo.remote_git(&["cat-file", "-t", tag]), "tag", "it is annotated");
    let message = repo.remote_git(&["cat-file", "tag", tag]);
    assert!(message.contains(&format!("\n\nRelease {tag}\n")), "{message}");
    for note in notes {
        assert!(message.contains(&format!("- {note}")), "{message}");
    }

    let head = repo.head();
    assert_eq!(repo.git(&["symbolic-ref", "--short", "HEAD"]), "main");
    assert_eq!(repo.remote_git(&["rev-parse", "main"]), head);
    for place in [repo.git(&["rev-parse", tag]), repo.remote_git(&["rev-parse", tag])] {
        assert_eq!(repo.git(&["rev-parse", &format!("{place}^{{commit}}")]), head);
    }
    let log = repo.git(&["log", "--format=%s", "--grep", "^chore(release): "]);
    let commits: Vec<String> =
        versions.iter().rev().map(|version| format!("chore(release): bump version to {version}")).collect();
    assert_eq!(log.lines().collect::<Vec<_>>(), commits);
    assert_eq!(repo.git(&["log", "-1", "--format=%s"]), commits[0]);
    // The remote saw each reference change once a release; its branch was there before.
    let changes = |name: &str| {
        let log = std::fs::read_to_string(repo.remote_path().join("logs").join(name)).unwrap_or_default();
        let changes: std::collections::BTreeSet<&str> =
            log.lines().filter_map(|line| line.get(..81)).collect();
        changes.len()
    };
    assert_eq!(changes(&format!("refs/tags/{tag}")), 1);
    assert_eq!(changes("refs/heads/main"), versions.len());

    let holder = repo.git(&["show", &format!("HEAD:{}", kind.holder)]);
    assert!(holder.contains(&kind.states.replace("VERSION", version)), "{holder}");
    let changelog = repo.git(&["show", "HEAD:CHANGELOG.md"]);
    for version in versions {
        assert_eq!(changelog.matches(&format!("## [{version}] - ")).count(), 1, "{changelog}");
    }
    for note in notes {
        assert!(changelog.contains(&format!("- {note}")), "{changelog}");
    }
    // Nothing but the notes, which are for an announcement.
    assert_eq!(repo.git(&["status", "--porcelain"]), format!("?? .release_notes_{tag}.md"));
    windlass(repo, &["audit", "verify"]).expect(0, &["events fit"]);
}
