//! A host of an environment, and Windlass's own program on it: what it keeps there, its fence, its lock.
//!
//! The program is fixed, and everything else reaches it as a quoted argument or on standard input. An environment
//! without hosts (another tool deploys it) is kept in Windlass's folder on this machine, by the same program.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use windlass_core::plan::StepPath;
use windlass_core::run::RunId;
use windlass_core::text::sanitize_line;
use windlass_engine::action::ActionError;
use windlass_engine::context::{Context, NoLog, SystemClock, World};
use windlass_engine::mask::Masker;
use windlass_engine::process::{Command, Finished};

use super::ssh::{SshError, Target, Trouble};

mod compose;
mod edge;
mod lease;
mod record;
mod service;
#[cfg(test)]
mod tests;
mod usage;

pub use compose::{Compose, File, Resolved, Running};
pub use edge::Around;
pub use lease::{LEASE, Lease};
pub use record::{Container, Idle, Kept, Lock, Record, SCHEMA, State};
pub use service::{Lines, Restarted};
pub use usage::Used;

const PROGRAM: &str = concat!(
    include_str!("program/keep.sh"),
    include_str!("program/compose.sh"),
    include_str!("program/edge.sh"),
    include_str!("program/service.sh"),
    include_str!("program/begin.sh"),
);

/// A host, or this machine, and the folder there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Its name for people.
    pub name: String,
    /// The service's folder on it.
    pub folder: String,
    /// How to get there; `None` for this machine.
    pub ssh: Option<Target>,
}

/// Why something did not work on a host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RemoteError {
    /// It could not be talked to.
    #[error("{0}")]
    Ssh(SshError),
    /// It has seen a higher fence: somebody else has the environment now.
    #[error(
        "{host} refused this step: it acts under fence {given}, and {highest} was seen there; another run has taken the \
         environment over, or its lock was broken: look with `windlass env`"
    )]
    Fenced {
        /// The host.
        host: String,
        /// The fence of the step.
        given: u64,
        /// The highest one seen.
        highest: u64,
    },
    /// Another run has the lock.
    #[error(
        "the environment is locked by {} ({}) until {}; wait for it, look with `windlass lock status`, or, when nobody \
         works on that run any more, `windlass lock break`", .0.run, .0.person, .0.until
    )]
    Locked(Box<Lock>),
    /// A later process of the same run, or somebody who broke the lock, has it now.
    #[error("the lock of the environment is not this process's any more: another process has taken it over")]
    NotOurs,
    /// It failed.
    #[error("{0}")]
    Failed(String),
    /// It failed, and will again until somebody mends it.
    #[error("{0}")]
    Unfit(String),
}

impl RemoteError {
    /// The host could not be talked to at all.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Ssh(error) if error.kind != Trouble::Cancelled)
    }
}

impl From<SshError> for RemoteError {
    fn from(error: SshError) -> Self {
        Self::Ssh(error)
    }
}

impl From<RemoteError> for ActionError {
    fn from(error: RemoteError) -> Self {
        match error {
            RemoteError::Ssh(error) => error.into(),
            RemoteError::Failed(_) | RemoteError::Locked(_) => Self::Failed(error.to_string()),
            RemoteError::Fenced { .. } | RemoteError::NotOurs | RemoteError::Unfit(_) => {
                Self::Final(error.to_string())
            }
        }
    }
}

/// What an operation on a host gives.
pub type Result<T> = std::result::Result<T, RemoteError>;

/// A door outside for looking at hosts from a command, outside any run.
pub fn looking(
    workspace: PathBuf,
    state: PathBuf,
    environment: std::collections::BTreeMap<String, String>,
) -> Context {
    let world = World {
        workspace,
        state,
        environment: Arc::new(environment),
        release: None,
        secrets: Arc::default(),
        masker: Arc::new(Masker::default()),
        log: Arc::new(NoLog),
        clock: Arc::new(SystemClock),
    };
    let run = RunId(format!("look-{}", std::process::id()));
    Context::new(world, run, StepPath::new("look"), 1, 0, CancellationToken::new())
}

impl Host {
    /// This machine, for an environment without hosts.
    pub fn here(state: &Path, environment: &str) -> Self {
        let folder = state.join("environments").join(environment);
        Self { name: "this machine".into(), folder: folder.to_string_lossy().into_owned(), ssh: None }
    }

    /// Its address, as ssh's configuration has it.
    ///
    /// # Errors
    /// When ssh cannot read its configuration.
    pub async fn address(&self, context: &Context) -> Result<String> {
        match &self.ssh {
            Some(target) => Ok(target.address(context).await?),
            None => Ok("127.0.0.1".to_owned()),
        }
    }

    /// Opens the connection.
    ///
    /// # Errors
    /// When the host cannot be reached.
    pub async fn open(&self, context: &Context) -> Result<()> {
        match &self.ssh {
            Some(target) => Ok(target.open(context).await?),
            None => Ok(()),
        }
    }

    /// All that is kept there; nothing is changed.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn look(&self, context: &Context) -> Result<Kept> {
        self.read(&self.call(context, "look", &[], None, true).await?)
    }

    /// Lets the host see a fence, so that it refuses lower ones.
    ///
    /// # Errors
    /// [`RemoteError::Fenced`] when it has seen a higher one.
    pub async fn raise(&self, context: &Context, fence: u64) -> Result<()> {
        self.fenced(context, fence, "raise", &[], None, true).await.map(drop)
    }

    /// Lets the host see a fence, and gives all that is kept there then.
    ///
    /// # Errors
    /// As [`Self::raise`] and [`Self::look`].
    pub async fn raise_and_look(&self, context: &Context, fence: u64) -> Result<Kept> {
        self.read(&self.fenced(context, fence, "raise", &["look"], None, true).await?)
    }

    /// Writes what is there, in the history too when `keep`.
    ///
    /// # Errors
    /// [`RemoteError::Fenced`] when the host has seen a higher fence.
    pub async fn write(&self, context: &Context, record: &Record, keep: bool) -> Result<()> {
        let keep = if keep { "keep" } else { "" };
        self.fenced(context, record.fence, "record", &[keep], Some(record.line()?), true).await.map(drop)
    }

    /// Forgets what is there.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub async fn forget(&self, context: &Context, fence: u64) -> Result<()> {
        self.fenced(context, fence, "forget", &[], None, true).await.map(drop)
    }

    /// Keeps a text under a name, or forgets it.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub async fn keep(&self, context: &Context, fence: u64, name: &str, text: Option<Vec<u8>>) -> Result<()> {
        let how = if text.is_some() { "write" } else { "forget" };
        self.fenced(context, fence, "keep", &[name, how], text, true).await.map(drop)
    }

    /// The text that is kept under a name; empty when there is none.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn kept(&self, context: &Context, name: &str) -> Result<String> {
        self.call(context, "kept", &[name], None, true).await
    }

    /// What the program told of all that is kept.
    fn read(&self, text: &str) -> Result<Kept> {
        Kept::parse(text).map_err(|why| {
            RemoteError::Unfit(format!("{}: {why}; look at {}/.windlass", self.name, self.folder))
        })
    }

    async fn fenced(
        &self,
        context: &Context,
        fence: u64,
        operation: &str,
        words: &[&str],
        stdin: Option<Vec<u8>>,
        quiet: bool,
    ) -> Result<String> {
        let given = fence.to_string();
        let mut all = vec![given.as_str()];
        all.extend(words);
        let finished = self.process(context, &[], operation, &all, stdin, quiet).await?;
        self.judge(context, operation, Some((fence, operation)), finished)
    }

    async fn call(
        &self,
        context: &Context,
        operation: &str,
        words: &[&str],
        stdin: Option<Vec<u8>>,
        quiet: bool,
    ) -> Result<String> {
        let finished = self.process(context, &[], operation, words, stdin, quiet).await?;
        self.judge(context, operation, None, finished)
    }

    /// An operation that names its fence in a place of its own.
    async fn call_under(&self, context: &Context, fence: u64, words: &[&str]) -> Result<String> {
        let (operation, words) = words.split_first().unwrap_or((&"", &[]));
        let finished = self.process(context, &[], operation, words, None, true).await?;
        self.judge(context, operation, Some((fence, operation)), finished)
    }

    async fn process(
        &self,
        context: &Context,
        before: &[String],
        operation: &str,
        words: &[&str],
        stdin: Option<Vec<u8>>,
        quiet: bool,
    ) -> Result<Finished> {
        let bytes = stdin.as_ref().map_or(0, Vec::len).to_string();
        let mut line: Vec<&str> = before.iter().map(String::as_str).collect();
        line.extend(["sh", "-c", PROGRAM, "windlass", operation, &self.folder, &bytes]);
        line.extend(words);
        match &self.ssh {
            Some(target) => Ok(target.run(context, &line, stdin, quiet).await?),
            None => {
                let (program, rest) = line.split_first().unwrap_or((&"sh", &[]));
                let mut command = Command::new(*program).args(rest.iter().copied());
                command.stdin = stdin;
                command.quiet = quiet;
                context.process(&command).await.map_err(|error| match error {
                    ActionError::Cancelled => {
                        RemoteError::Ssh(SshError { kind: Trouble::Cancelled, message: "cancelled".into() })
                    }
                    error => RemoteError::Failed(error.to_string()),
                })
            }
        }
    }

    fn judge(
        &self,
        context: &Context,
        operation: &str,
        fenced: Option<(u64, &str)>,
        finished: Finished,
    ) -> Result<String> {
        let text = String::from_utf8_lossy(&finished.stdout).into_owned();
        let told = || {
            let stderr = String::from_utf8_lossy(&finished.stderr);
            let lines: Vec<String> =
                stderr.lines().map(sanitize_line).filter(|line| !line.is_empty()).collect();
            let last = lines.get(lines.len().saturating_sub(3)..).unwrap_or_default().join("; ");
            let last: String = context.world.masker.mask(&last).chars().take(600).collect();
            if last.is_empty() { "it did not say why".to_owned() } else { last }
        };
        match finished.code {
            Some(0) => Ok(text),
            Some(71 | 73) => Err(RemoteError::Unfit(format!("{}: {}", self.name, told()))),
            Some(77) => Err(RemoteError::Unfit(format!(
                "{}: the configuration was refused, and is what it was before: {}",
                self.name,
                told()
            ))),
            Some(74) => Err(RemoteError::NotOurs),
            Some(75) => Err(RemoteError::Fenced {
                host: self.name.clone(),
                given: fenced.map_or(0, |(fence, _)| fence),
                highest: text.trim().parse().unwrap_or_default(),
            }),
            Some(76) => match Kept::parse(&text).ok().and_then(|kept| kept.lock) {
                Some(lock) => Err(RemoteError::Locked(Box::new(lock))),
                None => Err(RemoteError::Failed(format!("{}: the environment is locked", self.name))),
            },
            code => {
                let what = fenced.map_or(operation, |(_, what)| what);
                let ended =
                    code.map_or("was ended by a signal".to_owned(), |code| format!("failed ({code})"));
                Err(RemoteError::Failed(format!("{what} {ended} on {}: {}", self.name, told())))
            }
        }
    }
}
