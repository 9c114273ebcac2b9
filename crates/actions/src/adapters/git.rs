//! Git, through the user's own `git`: it honours their configuration, hooks, credentials and signing keys.
//!
//! Arguments only, never a shell. Names of refs are checked before they are used and used in full
//! (`refs/heads/main`), so that no name is taken for an option or for something else of the same name.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use windlass_core::plan::StepPath;
use windlass_core::run::RunId;
use windlass_core::text::sanitize_line;
use windlass_engine::action::{ActionError, Result};
use windlass_engine::context::{Context, NoLog, SystemClock, World};
use windlass_engine::mask::Masker;
use windlass_engine::process::{Command, Finished};

pub mod names;
mod read;
mod remote;
pub mod sign;

pub use read::{Commits, Person, Tag};
pub use remote::{RemoteTag, without_credentials};

/// The most that is kept of one answer of git, in bytes.
const ANSWER: usize = 256 << 20;

/// A repository, as seen from one folder in it.
#[derive(Clone)]
pub struct Git {
    context: Context,
}

impl Git {
    /// The repository that an action works in.
    pub fn of(context: &Context) -> Self {
        Self { context: context.clone() }
    }

    /// The repository that `folder` is in, outside any run: for planning. `environment` is given to git beside the
    /// minimal one.
    pub fn at(folder: impl Into<PathBuf>, environment: BTreeMap<String, String>) -> Self {
        let folder = folder.into();
        let world = World {
            state: folder.clone(),
            workspace: folder,
            environment: Arc::new(environment),
            release: None,
            secrets: Arc::default(),
            masker: Arc::new(Masker::default()),
            log: Arc::new(NoLog),
            clock: Arc::new(SystemClock),
        };
        let (run, path) = (RunId("planning".into()), StepPath::new("planning"));
        Self { context: Context::new(world, run, path, 1, 0, CancellationToken::new()) }
    }

    /// Runs `git` with `args`; its output is logged. An exit code other than 0 is no error here.
    ///
    /// # Errors
    /// When git cannot be run.
    pub async fn run<T: Into<String>>(&self, args: impl IntoIterator<Item = T>) -> Result<Finished> {
        self.finish(git().args(args)).await
    }

    /// The standard output of `git ARGS`, out of the log.
    ///
    /// # Errors
    /// When it cannot be run or fails.
    pub async fn read<T: Into<String>>(&self, args: impl IntoIterator<Item = T>) -> Result<String> {
        let command = git().args(args).env("GIT_OPTIONAL_LOCKS", "0").quiet();
        let finished = self.finish(command.clone()).await?;
        if !finished.success() {
            return Err(self.failure(&command, &finished));
        }
        Ok(String::from_utf8_lossy(&finished.stdout).into_owned())
    }

    /// As [`Self::read`], but nothing when git answers with exit code 1: how it says "there is none".
    ///
    /// # Errors
    /// When it cannot be run, or fails in another way.
    pub async fn ask<T: Into<String>>(&self, args: impl IntoIterator<Item = T>) -> Result<Option<String>> {
        let command = git().args(args).env("GIT_OPTIONAL_LOCKS", "0").quiet();
        let finished = self.finish(command.clone()).await?;
        match finished.code {
            Some(0) => Ok(Some(String::from_utf8_lossy(&finished.stdout).into_owned())),
            Some(1) => Ok(None),
            _ => Err(self.failure(&command, &finished)),
        }
    }

    /// Runs `git` with `args` and, on its standard input, `input`; its output is logged.
    ///
    /// # Errors
    /// When it cannot be run or fails.
    pub async fn act<T: Into<String>>(
        &self,
        args: impl IntoIterator<Item = T>,
        input: Option<&str>,
    ) -> Result<Finished> {
        let mut command = git().args(args);
        command.stdin = input.map(|text| text.as_bytes().to_vec());
        let finished = self.finish(command.clone()).await?;
        if finished.success() { Ok(finished) } else { Err(self.failure(&command, &finished)) }
    }

    /// Runs a command made by [`git`].
    ///
    /// # Errors
    /// When it cannot be run.
    pub async fn finish(&self, command: Command) -> Result<Finished> {
        self.context.process(&command).await
    }

    /// The error that a failed command is told as: git's own last words, made safe to show.
    pub fn failure(&self, command: &Command, finished: &Finished) -> ActionError {
        let verb = command.args.iter().find(|arg| !arg.starts_with('-') && !arg.contains('=')).cloned();
        let told = self.words(&finished.stderr);
        let told = match (told.is_empty(), finished.code) {
            (false, _) => told,
            (true, Some(code)) => format!("exit code {code}"),
            (true, None) => "it was ended by a signal".to_owned(),
        };
        let told = match told.contains("index.lock") || told.contains(".lock': File exists") {
            true => format!("{told}; if no other git is at work here, remove the lock file"),
            false => told,
        };
        ActionError::Failed(format!("git {} failed: {told}", sanitize_line(&verb.unwrap_or_default())))
    }

    /// The last lines of what a program said, on one line, without control characters, secrets and credentials.
    pub fn words(&self, stderr: &[u8]) -> String {
        let text = String::from_utf8_lossy(stderr);
        let lines: Vec<String> = text
            .lines()
            .map(sanitize_line)
            .filter(|line| !line.is_empty() && !line.starts_with("hint:"))
            .collect();
        let last = lines.get(lines.len().saturating_sub(6)..).unwrap_or_default().join("; ");
        let last: String = without_credentials(&last).chars().take(1000).collect();
        self.context.world.masker.mask(&last)
    }

    /// Gives the item's log a line.
    pub fn log(&self, line: &str) {
        self.context.log(&sanitize_line(line));
    }

    /// The folder that git is run in.
    pub fn workspace(&self) -> &std::path::Path {
        &self.context.world.workspace
    }
}

/// A git command: no prompts, no pager, English for reading, file names as they are.
pub fn git() -> Command {
    Command::new("git")
        .args(["--no-pager", "-c", "core.quotePath=false", "-c", "advice.detachedHead=false"])
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_EDITOR", "true")
        .env("LC_ALL", "C")
        .keep(ANSWER)
}
