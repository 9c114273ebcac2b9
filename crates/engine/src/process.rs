//! Processes: argv only, their own process group, a minimal environment, output streamed to the item's log, and
//! stopped as a group when the run is cancelled.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{ErrorKind, Seek as _, Write as _};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Child;

use crate::action::{ActionError, Result};
use crate::context::{Context, Stream};

mod group;
mod lines;

use group::Group;
pub use group::stop_leftovers;
use lines::Lines;

/// How much of a process's standard output is kept, from its start, unless told otherwise.
pub const STDOUT_KEPT: usize = 16 << 20;
/// How much of a process's standard error is kept, from its end.
pub const STDERR_KEPT: usize = 64 << 10;

/// How long a process that is told to stop may take before it is killed.
const GRACE: Duration = if cfg!(test) { Duration::from_millis(800) } else { Duration::from_secs(5) };
/// How long output is read after the process ended: something it started may hold the pipe open for ever.
const DRAIN: Duration = if cfg!(test) { Duration::from_millis(300) } else { Duration::from_secs(1) };

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
    /// The folder it starts in; the workspace when `None`.
    pub cwd: Option<PathBuf>,
    /// Its output is not logged.
    pub quiet: bool,
    /// How much of its standard output is kept, from its start, in bytes.
    pub keep: usize,
}

impl Command {
    /// `program` without arguments.
    pub fn new(program: impl Into<String>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            stdin: None,
            cwd: None,
            quiet: false,
            keep: STDOUT_KEPT,
        }
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

    /// Started in another folder than the workspace.
    #[must_use]
    pub fn cwd(mut self, folder: impl Into<PathBuf>) -> Self {
        self.cwd = Some(folder.into());
        self
    }

    /// With another limit on how much of its standard output is kept than [`STDOUT_KEPT`].
    #[must_use]
    pub fn keep(mut self, bytes: usize) -> Self {
        self.keep = bytes;
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
    /// Its standard output, or the first [`Command::keep`] bytes of it.
    pub stdout: Vec<u8>,
    /// The last 64 KiB of its standard error.
    pub stderr: Vec<u8>,
}

impl Finished {
    /// It ended with exit code 0.
    pub fn success(&self) -> bool {
        self.code == Some(0)
    }
}

/// Runs `command` for `context`. What it leaves running in the background is not waited for.
///
/// # Errors
/// When it cannot be started, and when the run is cancelled: then its whole group was stopped first.
pub async fn run(context: &Context, command: &Command) -> Result<Finished> {
    if context.cancel.is_cancelled() {
        return Err(ActionError::Cancelled);
    }
    let mut child = spawn(context, command)?;
    let group = Group::of(child.id());
    let mut out =
        Intake::start(child.stdout.take(), Keep::First(command.keep), context, command, Stream::Out);
    let mut err = Intake::start(child.stderr.take(), Keep::Last(STDERR_KEPT), context, command, Stream::Err);
    let status = tokio::select! {
        biased;
        () = context.cancel.cancelled() => {
            group.stop(&mut child, GRACE).await;
            out.finish(DRAIN).await;
            err.finish(DRAIN).await;
            return Err(ActionError::Cancelled);
        }
        status = child.wait() => status,
    };
    group.leave();
    let until = tokio::time::Instant::now() + DRAIN;
    let stdout = out.finish(until - tokio::time::Instant::now()).await;
    let stderr = err.finish(until.saturating_duration_since(tokio::time::Instant::now())).await;
    let status = status.map_err(|error| {
        ActionError::Failed(format!("`{}` cannot be waited for: {error}", command.program))
    })?;
    Ok(Finished { code: status.code(), stdout, stderr })
}

fn spawn(context: &Context, command: &Command) -> Result<Child> {
    let program = windlass_core::text::sanitize_line(&command.program);
    let folder = command.cwd.as_ref().unwrap_or(&context.world.workspace);
    if !folder.is_dir() {
        return Err(ActionError::Final(format!(
            "`{program}` cannot be run: there is no folder {}",
            folder.display()
        )));
    }
    let environment = environment(context, command);
    if let Some((name, _)) = environment
        .iter()
        .find(|(name, value)| name.is_empty() || name.contains(['=', '\0']) || as_bytes(value).contains(&0))
    {
        return Err(ActionError::Final(format!(
            "`{program}` cannot be run: `{}` cannot be an environment variable, or its value holds a zero byte",
            windlass_core::text::sanitize_line(name)
        )));
    }
    let stdin = input(command).map_err(|error| {
        ActionError::Failed(format!("the input of `{program}` cannot be kept in a temporary file: {error}"))
    })?;
    tokio::process::Command::new(&command.program)
        .args(&command.args)
        .env_clear()
        .envs(environment)
        .current_dir(folder)
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| match error.kind() {
            ErrorKind::NotFound if program.contains('/') => {
                ActionError::Final(format!("there is no program {program}, or none that can run it: {error}"))
            }
            ErrorKind::NotFound => {
                ActionError::Final(format!("`{program}` is not installed or not in PATH: {error}"))
            }
            ErrorKind::PermissionDenied => {
                ActionError::Final(format!("`{program}` may not be executed: {error}"))
            }
            ErrorKind::ArgumentListTooLong | ErrorKind::InvalidInput => {
                ActionError::Final(format!("`{program}` cannot take these arguments: {error}"))
            }
            _ => ActionError::Failed(format!("`{program}` cannot be started: {error}")),
        })
}

/// A file, not a pipe: a program whose starter is killed would read the half that came through a pipe as the whole,
/// and git would make a tag with half a message, or none.
fn input(command: &Command) -> std::io::Result<Stdio> {
    let Some(bytes) = &command.stdin else { return Ok(Stdio::null()) };
    let mut file = tempfile::tempfile()?;
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file.into())
}

fn as_bytes(value: &OsString) -> &[u8] {
    use std::os::unix::ffi::OsStrExt as _;
    value.as_bytes()
}

/// Variables of our own environment that processes see. Everything else stays here: what is not passed cannot leak.
const PASSED: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "TZ",
    "TMPDIR",
    "TERM",
    "GNUPGHOME",
    "GPG_TTY",
    "KUBECONFIG",
    "JAVA_HOME",
    "GOPATH",
    "NVM_DIR",
    "VIRTUAL_ENV",
    "CI",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];
const PASSED_PREFIXES: &[&str] = &[
    "LC_",
    "SSH_",
    "GIT_",
    "XDG_",
    "DOCKER_",
    "CARGO_",
    "RUSTUP_",
    "PYENV_",
    "GITHUB_",
    "GITLAB_",
    "WINDLASS_DEMO",
];
/// What a git hook sets for the repository it runs in: it would turn every git command to that repository.
const HELD_BACK: &[&str] = &[
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_COMMON_DIR",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
];

fn is_passed(name: &str) -> bool {
    (PASSED.contains(&name) || PASSED_PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
        && !HELD_BACK.contains(&name)
}

/// Later ones win: the minimal environment, the run's, outputs of earlier steps, the command's own.
fn environment(context: &Context, command: &Command) -> BTreeMap<String, OsString> {
    let mut environment: BTreeMap<String, OsString> =
        BTreeMap::from([("PATH".to_owned(), "/usr/local/bin:/usr/bin:/bin".into())]);
    environment.extend(std::env::vars_os().filter_map(|(name, value)| {
        name.into_string().ok().filter(|name| is_passed(name)).map(|name| (name, value))
    }));
    let given = context.world.environment.iter().chain(context.outputs.iter());
    environment.extend(given.map(|(name, value)| (name.clone(), value.into())));
    environment.extend(command.env.iter().map(|(name, value)| (name.clone(), value.into())));
    // By these, what a killed windlass left behind is found again.
    environment.insert("WINDLASS_RUN_ID".into(), context.run.0.clone().into());
    environment.insert("WINDLASS_STEP".into(), context.path.0.clone().into());
    environment
}

/// Which end of a stream is kept.
#[derive(Debug, Clone, Copy)]
enum Keep {
    First(usize),
    Last(usize),
}

/// Reads one stream while the process runs.
struct Intake {
    state: Arc<Mutex<Taken>>,
    task: Option<tokio::task::JoinHandle<()>>,
    keep: Keep,
}

struct Taken {
    kept: Vec<u8>,
    lines: Option<Lines>,
}

impl Intake {
    fn start<R: AsyncRead + Unpin + Send + 'static>(
        reader: Option<R>,
        keep: Keep,
        context: &Context,
        command: &Command,
        stream: Stream,
    ) -> Self {
        let lines = (!command.quiet).then(|| Lines::new(context, stream));
        let state = Arc::new(Mutex::new(Taken { kept: Vec::new(), lines }));
        let task = reader.map(|mut reader| {
            let state = Arc::clone(&state);
            tokio::spawn(async move {
                let mut buffer = vec![0; 16 << 10];
                while let Ok(count @ 1..) = reader.read(&mut buffer).await {
                    let bytes = buffer.get(..count).unwrap_or_default();
                    state.lock().unwrap_or_else(PoisonError::into_inner).take(bytes, keep);
                }
            })
        });
        Self { state, task, keep }
    }

    /// What was kept, once the stream ended or `patience` is over.
    async fn finish(&mut self, patience: Duration) -> Vec<u8> {
        if let Some(mut task) = self.task.take()
            && tokio::time::timeout(patience, &mut task).await.is_err()
        {
            task.abort();
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mut lines) = state.lines.take() {
            lines.finish();
        }
        let mut kept = std::mem::take(&mut state.kept);
        if let Keep::Last(most) = self.keep {
            kept.drain(..kept.len().saturating_sub(most));
        }
        kept
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Taken {
    fn take(&mut self, bytes: &[u8], keep: Keep) {
        match keep {
            Keep::First(most) => {
                let room = most.saturating_sub(self.kept.len()).min(bytes.len());
                self.kept.extend_from_slice(bytes.get(..room).unwrap_or_default());
            }
            Keep::Last(most) => {
                self.kept.extend_from_slice(bytes);
                // Trimmed only now and then, so that each byte is moved once.
                if self.kept.len() > most * 2 {
                    self.kept.drain(..self.kept.len() - most);
                }
            }
        }
        if let Some(lines) = &mut self.lines {
            lines.take(bytes);
        }
    }
}

#[cfg(test)]
mod tests;
