//! SSH, through the user's own `ssh`: it honours their configuration, keys, agents and known hosts.
//!
//! One connection per host is opened by the first command of a run and kept for the others (a control socket). No
//! check of a host's key is ever turned off, nobody is ever asked for a password, and every argument is quoted by one
//! function.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use windlass_core::plan::sha256_hex;
use windlass_core::run::RunId;
use windlass_core::text::sanitize_line;
use windlass_engine::action::ActionError;
use windlass_engine::context::Context;
use windlass_engine::process::{Command, Finished};

use super::shell;

/// Seconds until a host that does not answer is given up.
const CONNECT: u32 = 10;
/// A connection is dead when so many questions, one each this many seconds, found no answer.
const ALIVE: (u32, u32) = (3, 5);
/// One that took longer than this to be found unreachable is not asked again for [`SILENCE`].
const LONG: Duration = Duration::from_secs(1);
const SILENCE: Duration = Duration::from_secs(30);
/// Seconds an unused connection stays, should nobody close it.
const PERSIST: u32 = 120;
/// A socket's path may have 107 bytes, and ssh adds 17 while it makes one.
const LONGEST: usize = 88;
/// The longest command line: what Linux takes as one argument, less a margin.
const LINE: usize = 120 << 10;

/// A host, and how ssh gets there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its name, as ssh knows it.
    pub host: String,
    /// The user there, where ssh's configuration does not say it.
    pub user: Option<String>,
    /// The configuration, where it is not the user's own.
    pub config: Option<PathBuf>,
}

/// Why a host could not be talked to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SshError {
    /// What kind of trouble it is.
    pub kind: Trouble,
    /// What happened and what to do.
    pub message: String,
}

/// What kind of trouble it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// It does not answer; later it may.
    Unreachable,
    /// It does not let us in.
    Denied,
    /// It is not known to be the host it should be.
    HostKey,
    /// The connection ended in the middle of a command: what the command did is not known.
    Cut,
    /// Something is wrong on this side.
    Setup,
    /// The run was cancelled.
    Cancelled,
}

impl From<SshError> for ActionError {
    fn from(error: SshError) -> Self {
        match error.kind {
            Trouble::Unreachable | Trouble::Cut => Self::Failed(error.message),
            Trouble::Denied | Trouble::HostKey | Trouble::Setup => Self::Final(error.message),
            Trouble::Cancelled => Self::Cancelled,
        }
    }
}

impl Target {
    /// Opens the connection unless it is open already. One that a killed process left dead is replaced.
    ///
    /// # Errors
    /// When the host cannot be reached, does not let us in, or is not the one it should be.
    pub async fn open(&self, context: &Context) -> Result<(), SshError> {
        let socket = self.socket(context)?;
        if socket.exists() {
            // Asked once: a connection that ends takes its socket with it, and what is left of one that was killed since
            // only makes ssh connect anew for each command.
            if is_known(&socket) || self.lives(context).await? {
                know(&socket);
                return Ok(());
            }
            context.log(&format!("{}: the connection is dead, and is opened again", self.host));
            let _gone = std::fs::remove_file(&socket);
        }
        if let Some(error) = silent(&socket) {
            return Err(error);
        }
        let begin = Instant::now();
        let command = self
            .ssh(context)?
            .args(["-M", "-N", "-f", "-o", &format!("ControlPersist={PERSIST}")])
            .args(["--", &self.host])
            .quiet();
        let finished = self.process(context, &command).await?;
        if finished.success() {
            know(&socket);
            return Ok(());
        }
        // Another process of the run may have been quicker.
        if socket.exists() && self.lives(context).await? {
            know(&socket);
            return Ok(());
        }
        let error = self.explain(&finished.stderr, context);
        if error.kind == Trouble::Unreachable && begin.elapsed() >= LONG {
            SILENT
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(socket, (Instant::now(), error.clone()));
        }
        Err(error)
    }

    /// Runs the program `words` on the host with `stdin`. An exit code other than 0 is no error here.
    ///
    /// # Errors
    /// As [`Self::open`], and when the connection is cut.
    pub async fn run<T: AsRef<str>>(
        &self,
        context: &Context,
        words: &[T],
        stdin: Option<Vec<u8>>,
        quiet: bool,
    ) -> Result<Finished, SshError> {
        if words.iter().any(|word| word.as_ref().contains('\0')) {
            return Err(self.setup("a zero byte cannot be sent to a host".into()));
        }
        let line = shell::line(words);
        if line.len() > LINE {
            return Err(self.setup(format!("a command line of {} bytes is too long to be sent", line.len())));
        }
        self.open(context).await?;
        let mut command =
            self.ssh(context)?.args(["-o", "ControlMaster=no", "-T", "--", &self.host]).arg(line);
        command.stdin = stdin;
        command.quiet = quiet;
        let finished = self.process(context, &command).await?;
        let says = |words: &str| String::from_utf8_lossy(&finished.stderr).contains(words);
        if finished.code == Some(255) || says("Control socket connect(") {
            forget(&self.socket(context)?);
        }
        match finished.code {
            // By this code ssh itself speaks. It had to connect anew, and could not.
            Some(255) if says("ssh: connect to host ") => Err(self.explain(&finished.stderr, context)),
            Some(255) => {
                let explained = self.explain(&finished.stderr, context);
                if says("Control socket connect(")
                    && matches!(explained.kind, Trouble::Denied | Trouble::HostKey)
                {
                    return Err(explained);
                }
                let told = words_of(&finished.stderr, context);
                let why = if told.is_empty() { String::new() } else { format!(" ({told})") };
                Err(SshError {
                    kind: Trouble::Cut,
                    message: format!(
                        "the connection to {} was cut in the middle of a command{why}; what the command did will be \
                         looked up on the host when the run is resumed or retried",
                        self.host
                    ),
                })
            }
            _ => Ok(finished),
        }
    }

    /// The host's address, as ssh's configuration has it.
    ///
    /// # Errors
    /// When ssh cannot read its configuration.
    pub async fn address(&self, context: &Context) -> Result<String, SshError> {
        let command = self.ssh(context)?.args(["-G", "--", &self.host]).quiet();
        let finished = self.process(context, &command).await?;
        let text = String::from_utf8_lossy(&finished.stdout);
        let address = text.lines().find_map(|line| line.strip_prefix("hostname "));
        match address {
            Some(address) if finished.success() => Ok(address.trim().to_owned()),
            _ => Err(self.explain(&finished.stderr, context)),
        }
    }

    async fn lives(&self, context: &Context) -> Result<bool, SshError> {
        let command = self.ssh(context)?.args(["-O", "check", "--", &self.host]).quiet();
        Ok(self.process(context, &command).await?.success())
    }

    fn ssh(&self, context: &Context) -> Result<Command, SshError> {
        let mut command = Command::new("ssh");
        if let Some(config) = &self.config {
            command = command.arg("-F").arg(config.to_string_lossy());
        }
        let socket = self.socket(context)?;
        let path = socket.to_string_lossy().replace('%', "%%");
        command = command.args(["-o", "BatchMode=yes", "-o", &format!("ControlPath={path}")]);
        command = command.args(["-o", &format!("ConnectTimeout={CONNECT}")]);
        command = command.args(["-o", &format!("ServerAliveInterval={}", ALIVE.1)]);
        command = command.args(["-o", &format!("ServerAliveCountMax={}", ALIVE.0)]);
        if let Some(user) = &self.user {
            command = command.args(["-l", user]);
        }
        Ok(command.env("LC_ALL", "C"))
    }

    async fn process(&self, context: &Context, command: &Command) -> Result<Finished, SshError> {
        context.process(command).await.map_err(|error| match error {
            ActionError::Cancelled => SshError { kind: Trouble::Cancelled, message: "cancelled".into() },
            error => self.setup(error.to_string()),
        })
    }

    fn socket(&self, context: &Context) -> Result<PathBuf, SshError> {
        let folder = folder(&context.world.state).map_err(|why| self.setup(why))?;
        let config = self.config.as_deref().unwrap_or(Path::new("")).display().to_string();
        let user = self.user.as_deref().unwrap_or_default();
        let name = sha256_hex(format!("{}\n{user}\n{config}", self.host).as_bytes());
        Ok(folder.join(format!("{}-{}", mark(&context.run), name.get(..8).unwrap_or(&name))))
    }

    fn setup(&self, why: String) -> SshError {
        SshError { kind: Trouble::Setup, message: format!("{}: {why}", self.host) }
    }

    fn explain(&self, stderr: &[u8], context: &Context) -> SshError {
        let text = String::from_utf8_lossy(stderr);
        let (kind, what) = explain(&self.host, &text);
        let told = words_of(stderr, context);
        let message = if told.is_empty() { what } else { format!("{what} (ssh: {told})") };
        SshError { kind, message }
    }
}

/// The connections that this process has found alive.
static KNOWN: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// The hosts that let us wait and did not answer, since when, and what is said of each: everything that is asked of one
/// soon after hears that at once, and does not wait again.
static SILENT: Mutex<BTreeMap<PathBuf, (Instant, SshError)>> = Mutex::new(BTreeMap::new());

fn silent(socket: &Path) -> Option<SshError> {
    let mut all = SILENT.lock().unwrap_or_else(PoisonError::into_inner);
    all.retain(|_, (since, _)| since.elapsed() < SILENCE);
    all.get(socket).map(|(_, error)| error.clone())
}

fn is_known(socket: &Path) -> bool {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner).contains(socket)
}

fn know(socket: &Path) {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner).insert(socket.to_owned());
}

fn forget(socket: &Path) {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner).remove(socket);
}

/// Closes every connection of the run, all at the same time. One that cannot be closed closes itself when nobody uses it.
pub fn close(state: &Path, run: &RunId) {
    let Ok(folder) = folder(state) else { return };
    let begin = format!("{}-", mark(run));
    let mut closing = Vec::new();
    for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
        if !entry.file_name().to_string_lossy().starts_with(&begin) {
            continue;
        }
        let path = entry.path().to_string_lossy().replace('%', "%%");
        forget(&entry.path());
        let closes = std::process::Command::new("ssh")
            .args(["-F", "/dev/null", "-o", &format!("ControlPath={path}"), "-O", "exit", "--", "windlass"])
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn();
        closing.push((entry.path(), closes));
    }
    for (path, closes) in closing {
        if !closes.and_then(|mut child| child.wait()).is_ok_and(|status| status.success()) {
            let _gone = std::fs::remove_file(path);
        }
    }
}

/// Where control sockets live: in the state folder where its path is short enough for one, else in a folder of the
/// same owner's, closed to others, in the folder for temporary files.
fn folder(state: &Path) -> Result<PathBuf, String> {
    let own = state.join("ssh");
    let length = own.as_os_str().len() + "/12345678-12345678".len();
    let mark = sha256_hex(state.to_string_lossy().as_bytes());
    let folder = match length <= LONGEST {
        true => own,
        false => std::env::temp_dir().join(format!("windlass-{}", mark.get(..12).unwrap_or(&mark))),
    };
    let failed = |why: std::io::Error| {
        format!("no folder for ssh's sockets can be made at {}: {why}", folder.display())
    };
    std::fs::create_dir_all(state).map_err(failed)?;
    match std::fs::DirBuilder::new().mode(0o700).create(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(failed(error)),
        _ => {}
    }
    let data = std::fs::symlink_metadata(&folder).map_err(failed)?;
    let owner = std::fs::metadata(state).map_err(failed)?.uid();
    if !data.is_dir() || data.uid() != owner || data.mode() & 0o077 != 0 {
        let shown = folder.display();
        return Err(format!(
            "{shown} is open to others, so no connection is kept there: remove it, or close it with chmod 700"
        ));
    }
    Ok(folder)
}

fn mark(run: &RunId) -> String {
    let digest = sha256_hex(run.0.as_bytes());
    digest.get(..8).unwrap_or(&digest).to_owned()
}

fn words_of(stderr: &[u8], context: &Context) -> String {
    let text = String::from_utf8_lossy(stderr);
    let lines: Vec<String> = text
        .lines()
        .map(sanitize_line)
        .filter(|line| {
            !line.is_empty() && !line.starts_with('@') && !line.starts_with("Warning: Permanently")
        })
        .collect();
    let last = lines.get(lines.len().saturating_sub(2)..).unwrap_or_default().join("; ");
    context.world.masker.mask(&last).chars().take(300).collect()
}

/// What ssh's words mean, and what to do about it.
fn explain(host: &str, stderr: &str) -> (Trouble, String) {
    let says = |words: &[&str]| words.iter().any(|word| stderr.contains(word));
    if says(&["REMOTE HOST IDENTIFICATION HAS CHANGED", "Offending "]) {
        return (
            Trouble::HostKey,
            format!(
                "{host} shows another host key than the one ssh knows: it was set up anew, or somebody stands in between; \
                 when you know why, forget the old key with `ssh-keygen -R {host}` and accept the new one with `ssh {host}`"
            ),
        );
    }
    if says(&["Host key verification failed", "host key is known for"]) {
        return (
            Trouble::HostKey,
            format!("the host key of {host} is not known: compare and accept it once with `ssh {host}`"),
        );
    }
    if says(&["Permission denied", "Too many authentication failures", "no such identity", "Load key"]) {
        return (
            Trouble::Denied,
            format!(
                "{host} does not let us in: put the public key into its authorized_keys, and check `user` and \
                 `ssh_config` of the environment with `ssh -o BatchMode=yes {host} true`"
            ),
        );
    }
    if says(&["Could not resolve hostname"]) {
        return (
            Trouble::Unreachable,
            format!("{host} has no address: check its name under `hosts`, and in your ssh configuration"),
        );
    }
    if says(&[
        "Bad configuration option",
        "Bad owner or permissions",
        "Can't open user config file",
        "terminating,",
    ]) {
        return (Trouble::Setup, format!("ssh cannot use its configuration for {host}: mend it"));
    }
    let why = if says(&["timed out", "Timeout"]) {
        format!("did not answer within {CONNECT} s")
    } else if says(&["Connection refused"]) {
        "refuses connections: sshd is not running there, or on another port".to_owned()
    } else if says(&["No route to host", "Network is unreachable"]) {
        "cannot be reached from here: there is no route".to_owned()
    } else {
        "cannot be reached".to_owned()
    };
    (Trouble::Unreachable, format!("{host} {why}; check that it is up with `ssh {host} true`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ssh_says_is_understood() {
        for (stderr, kind, expect) in [
            (
                "@@@@\n@  WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!  @\nHost key verification failed.",
                Trouble::HostKey,
                "ssh-keygen -R web1",
            ),
            (
                "No ED25519 host key is known for web1 and you have requested strict checking.\nHost key verification failed.",
                Trouble::HostKey,
                "not known",
            ),
            ("root@10.0.0.1: Permission denied (publickey).", Trouble::Denied, "authorized_keys"),
            (
                "ssh: Could not resolve hostname web1: Name or service not known",
                Trouble::Unreachable,
                "no address",
            ),
            (
                "ssh: connect to host 10.0.0.1 port 22: Connection timed out",
                Trouble::Unreachable,
                "within 10 s",
            ),
            (
                "ssh: connect to host 10.0.0.1 port 22: Connection refused",
                Trouble::Unreachable,
                "sshd is not running",
            ),
            ("ssh: connect to host 10.0.0.1 port 22: No route to host", Trouble::Unreachable, "no route"),
            (
                "/x/config: line 1: Bad configuration option: foo\n/x/config: terminating, 1 bad",
                Trouble::Setup,
                "mend it",
            ),
            (
                "kex_exchange_identification: Connection closed by remote host",
                Trouble::Unreachable,
                "cannot be reached",
            ),
            ("", Trouble::Unreachable, "cannot be reached"),
        ] {
            let (found, message) = explain("web1", stderr);
            assert_eq!(found, kind, "{stderr}");
            assert!(message.contains(expect), "{message}");
        }
    }

    #[test]
    fn sockets_fit_and_are_closed_to_others() {
        use std::os::unix::fs::PermissionsExt as _;
        let place = tempfile::tempdir().unwrap();
        let short = folder(&place.path().join("state")).unwrap();
        assert!(short.starts_with(place.path()));
        let long = folder(&place.path().join("a-very-long-name-of-a-folder".repeat(4))).unwrap();
        assert!(!long.starts_with(place.path()) && long.as_os_str().len() < LONGEST);
        std::fs::remove_dir(&long).unwrap();
        std::fs::set_permissions(&short, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert!(folder(&place.path().join("state")).unwrap_err().contains("open to others"));
    }
}
