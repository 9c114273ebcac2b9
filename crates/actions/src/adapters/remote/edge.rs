//! What a proxy's host does for it: talks to its socket, and writes its configuration whole or not at all.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use windlass_core::plan::sha256_hex;
use windlass_engine::context::Context;

use super::{Host, RemoteError, Result};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long another process may be at work in the folder.
const BUSY: Duration = Duration::from_secs(20);
/// The longest answer that is read: a backend of some thousand servers.
const LONGEST: u64 = 16 << 20;

/// The commands around a configuration that is written.
#[derive(Debug, Clone, Copy)]
pub struct Around<'a> {
    /// Tests it; nothing when empty.
    pub test: &'a [String],
    /// Makes the proxy read it; nothing when empty.
    pub reload: &'a [String],
}

impl Host {
    /// What is answered at a socket (`/PATH`) or an address (`HOST:PORT`) to a question that changes nothing.
    ///
    /// # Errors
    /// When nobody answers there.
    pub async fn ask(&self, context: &Context, address: &str, message: &str) -> Result<String> {
        match &self.ssh {
            Some(_) => self.call(context, "ask", &[address], Some(message.into()), true).await,
            None => self.talk(address, message).await,
        }
    }

    /// What is answered to a message that changes something.
    ///
    /// # Errors
    /// When nobody answers there; [`RemoteError::Fenced`] when the host has seen a higher fence.
    pub async fn tell(&self, context: &Context, fence: u64, address: &str, message: &str) -> Result<String> {
        match &self.ssh {
            Some(_) => self.fenced(context, fence, "tell", &[address], Some(message.into()), true).await,
            // Without a shell: this is the moment that traffic waits for.
            None => {
                let _alone = self.alone(context, fence).await?;
                self.talk(address, message).await
            }
        }
    }

    /// A file, as it is.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn show(&self, context: &Context, file: &str) -> Result<String> {
        self.call(context, "show", &[file], None, true).await
    }

    /// Writes a file that `edit` makes from what it is, between its test and the reload. Nothing is done when `edit`
    /// changes nothing, but for the test when `always`.
    ///
    /// # Errors
    /// [`RemoteError::Unfit`] with the words of the test or the reload that failed; the file is then what it was.
    pub async fn render(
        &self,
        context: &Context,
        fence: u64,
        file: &str,
        around: Around<'_>,
        always: bool,
        edit: impl Fn(&str) -> Result<String>,
    ) -> Result<()> {
        const CHANGED: i32 = 78;
        let given = fence.to_string();
        let mut rounds = 0;
        loop {
            let before = self.fenced(context, fence, "settle", &[file], None, true).await?;
            let after = edit(&before)?;
            if after == before && !always {
                return Ok(());
            }
            let sum = sha256_hex(before.as_bytes());
            let count = around.test.len().to_string();
            let mut words = vec![given.as_str(), file, &sum, &count];
            words.extend(around.test.iter().chain(around.reload).map(String::as_str));
            let finished =
                self.process(context, &[], "render", &words, Some(after.into_bytes()), true).await?;
            rounds += 1;
            if finished.code != Some(CHANGED) || rounds == 3 {
                return self.judge(context, "render", Some((fence, "render")), finished).map(drop);
            }
        }
    }

    /// How many workers of nginx there end what they have.
    ///
    /// # Errors
    /// When the host cannot be asked.
    pub async fn leaving(&self, context: &Context) -> Result<u64> {
        let told = self.call(context, "leaving", &[], None, true).await?;
        let number = told.trim().parse();
        number.map_err(|_| RemoteError::Failed(format!("{} gave no number but `{told}`", self.name)))
    }

    /// The mutex of the program on this machine, under a fence that is high enough. It lasts until it is dropped.
    async fn alone(&self, context: &Context, fence: u64) -> Result<std::fs::File> {
        let home = Path::new(&self.folder).join(".windlass");
        if self.seen(&home)? < fence {
            self.raise(context, fence).await?;
        }
        let path = home.join("mutex");
        let opened = std::fs::OpenOptions::new().create(true).append(true).open(&path);
        let file = opened.map_err(|error| self.unfit(&path, &error))?;
        let begin = tokio::time::Instant::now();
        while let Err(error) = file.try_lock() {
            if let std::fs::TryLockError::Error(error) = error {
                return Err(self.unfit(&path, &error));
            }
            if begin.elapsed() > BUSY {
                let message = format!("{}: another Windlass is at work in {}", self.name, self.folder);
                return Err(RemoteError::Failed(message));
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let highest = self.seen(&home)?;
        match highest > fence {
            true => Err(RemoteError::Fenced { host: self.name.clone(), given: fence, highest }),
            false => Ok(file),
        }
    }

    /// The highest fence ever seen on this machine.
    fn seen(&self, home: &Path) -> Result<u64> {
        let path = home.join("fence");
        match std::fs::read_to_string(&path) {
            Ok(text) => text.trim().parse().map_err(|_| {
                let path = path.display();
                RemoteError::Unfit(format!("{path} holds no number: look at it, and remove the file"))
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(self.unfit(&path, &error)),
        }
    }

    fn unfit(&self, path: &Path, error: &std::io::Error) -> RemoteError {
        RemoteError::Unfit(format!("{}: {}: {error}", self.name, path.display()))
    }

    async fn talk(&self, address: &str, message: &str) -> Result<String> {
        let work = async {
            match address.starts_with('/') {
                true => exchange(UnixStream::connect(PathBuf::from(address)).await?, message).await,
                false => exchange(TcpStream::connect(address).await?, message).await,
            }
        };
        let problem = match tokio::time::timeout(PATIENCE, work).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => match error.kind() {
                std::io::ErrorKind::NotFound => {
                    format!("there is no socket {address}: the proxy is not running, or does not make it")
                }
                std::io::ErrorKind::PermissionDenied => format!("the socket {address} may not be used"),
                std::io::ErrorKind::ConnectionRefused => {
                    format!("nobody answers at {address}: the proxy is not running")
                }
                _ => format!("{address} cannot be talked to: {error}"),
            },
            Err(_) => {
                let message = format!("{}: no answer from {address} in {} s", self.name, PATIENCE.as_secs());
                return Err(RemoteError::Failed(message));
            }
        };
        Err(RemoteError::Unfit(format!("{}: {problem}", self.name)))
    }
}

async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    message: &str,
) -> std::io::Result<String> {
    stream.write_all(message.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(LONGEST).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
