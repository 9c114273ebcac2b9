//! Processes: argv only, their own process group, a minimal environment, output streamed to the item's log, and
//! stopped as a group when the run is cancelled.

use crate::action::{ActionError, Result};
use crate::context::Context;

/// A process to run. There is no way to give it a shell string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The program: a name looked up in `PATH`, or a path.
    pub program: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Environment beside the minimal one and the run's.
    pub env: Vec<(String, String)>,
    /// Bytes for its standard input; nothing when `None`.
    pub stdin: Option<Vec<u8>>,
    /// Its output is not logged.
    pub quiet: bool,
}

impl Command {
    /// `program` without arguments.
    pub fn new(program: impl Into<String>) -> Self {
        Self { program: program.into(), args: Vec::new(), env: Vec::new(), stdin: None, quiet: false }
    }

    /// With one more argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// With more arguments.
    #[must_use]
    pub fn args<T: Into<String>>(mut self, args: impl IntoIterator<Item = T>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// With one more environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// With bytes on its standard input.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(bytes.into());
        self
    }

    /// Its output is kept out of the item's log.
    #[must_use]
    pub fn quiet(mut self) -> Self {
        self.quiet = true;
        self
    }
}

/// A process that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// The first 16 MiB of its standard output.
    pub stdout: Vec<u8>,
    /// The last 64 KiB of its standard error.
    pub stderr: Vec<u8>,
}

/// Runs `command` for `context`.
///
/// # Errors
/// When it cannot be started, and when the run is cancelled: then its whole group was stopped first.
pub async fn run(_context: &Context, command: &Command) -> Result<Finished> {
    Err(ActionError::Final(format!("{} cannot be run", command.program)))
}
