//! Runs the program in a repository as a person or a pipeline does, and reads what its journal kept.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use windlass_core::run::{Recorded, RunId, RunState};
use windlass_engine::journal::{Journal as _, SqliteJournal};
use windlass_testkit::repo::RepoBuilder;

/// What a command did.
pub struct Ran {
    /// Its exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// Whether SIGKILL ended it.
    pub killed: bool,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Ran {
    /// Both streams and how it ended.
    pub fn shown(&self) -> String {
        format!("exit {:?}\n--- stdout\n{}\n--- stderr\n{}", self.code, self.out, self.err)
    }

    /// Expects the exit code, and texts in what was said.
    pub fn expect(self, code: i32, texts: &[&str]) -> Self {
        let shown = self.shown();
        assert_eq!(self.code, Some(code), "{shown}");
        for text in texts {
            assert!(shown.contains(text), "no `{text}` in:\n{shown}");
        }
        self
    }

    /// Standard output as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.shown()))
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            killed: output.status.signal() == Some(9),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// The program, to be run in the repository off a terminal. Without its switches it is Windlass.
pub fn program(repo: &RepoBuilder) -> Command {
    let mut command = repo.command(env!("CARGO_BIN_EXE_windlass-mortal"));
    // The tools of languages look for their own homes under `HOME`, which is another one here.
    for (name, folder) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
        if std::env::var_os(name).is_none()
            && let Some(home) = std::env::var_os("HOME")
            && Path::new(&home).join(folder).is_dir()
        {
            command.env(name, Path::new(&home).join(folder));
        }
    }
    command.env_remove("CARGO_TARGET_DIR").env_remove("WINDLASS_PERSON");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs `windlass ARGS` in the repository.
pub fn windlass(repo: &RepoBuilder, args: &[&str]) -> Ran {
    program(repo).args(args).output().unwrap().into()
}

/// The only run, and its history.
pub fn history(repo: &RepoBuilder) -> (RunId, Vec<Recorded>) {
    let journal = journal(repo).expect("there is a journal");
    let runs = journal.runs().unwrap();
    assert_eq!(runs.len(), 1, "{runs:?}");
    let history = journal.history(&runs[0].id, 1).unwrap();
    (runs[0].id.clone(), history)
}

/// The newest run's name and state, when there is one.
pub fn newest(repo: &RepoBuilder) -> Option<(RunId, RunState)> {
    let journal = journal(repo)?;
    let run = journal.runs().unwrap().first()?.id.clone();
    let state = RunState::fold(&journal.history(&run, 1).unwrap());
    Some((run, state))
}

fn journal(repo: &RepoBuilder) -> Option<SqliteJournal> {
    let path = repo.path().join(".git/windlass/journal.db");
    path.exists().then(|| SqliteJournal::open(&path).unwrap())
}

/// A folder that holds `tools` and nothing else, to be a `PATH`.
pub fn only(repo: &RepoBuilder, tools: &[&str]) -> PathBuf {
    let folder = repo.outside().join("bin");
    std::fs::create_dir_all(&folder).unwrap();
    let path = std::env::var_os("PATH").unwrap();
    for tool in tools {
        let found = std::env::split_paths(&path).map(|folder| folder.join(tool)).find(|file| file.is_file());
        let found = found.unwrap_or_else(|| panic!("the tests need {tool}"));
        std::os::unix::fs::symlink(found, folder.join(tool)).unwrap();
    }
    folder
}

/// Every file of the checkout and of the git directory with its bytes, but for what git rewrites when it only looks.
pub fn files(repo: &RepoBuilder) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![repo.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.ends_with(".git/index") {
                continue;
            }
            if path.is_dir() && !path.is_symlink() {
                found.insert(path.clone(), Vec::new());
                folders.push(path);
            } else {
                let bytes = std::fs::read(&path).unwrap();
                found.insert(path, bytes);
            }
        }
    }
    found
}
