//! The demo's service as the demo sees it: started as a process of its own, asked over HTTP, stopped in the end.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::error::{CommandError, Result};

/// The longest an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The largest answer that is read, in bytes.
const LARGEST: u64 = 64 << 10;

/// The running service. It stops when this is dropped or its process dies, unless it is to be kept.
#[derive(Debug)]
pub struct Production {
    child: Child,
    address: SocketAddr,
    keep: bool,
}

impl Production {
    /// Starts `program demo-service` on the folder `root`.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(program: &Path, root: &Path, keep: bool) -> Result<Self> {
        Self::begin(program, root, keep, None)
    }

    /// Starts it with two colours behind `haproxy`.
    ///
    /// # Errors
    /// When it does not start.
    pub fn behind(haproxy: &Path, program: &Path, root: &Path, keep: bool) -> Result<Self> {
        Self::begin(program, root, keep, Some(haproxy))
    }

    fn begin(program: &Path, root: &Path, keep: bool, haproxy: Option<&Path>) -> Result<Self> {
        let failed = |error: &dyn std::fmt::Display| {
            CommandError::failed(format!("the demo's service does not start: {error}"))
        };
        let mut command = Command::new(program);
        command.arg("demo-service").arg("--root").arg(root).stdout(Stdio::piped()).stderr(Stdio::null());
        if let Some(haproxy) = haproxy {
            command.arg("--haproxy").arg(haproxy);
        }
        // The end of this pipe is the end of the demo, however that comes.
        match keep {
            true => command.arg("--keep").stdin(Stdio::null()),
            false => command.stdin(Stdio::piped()),
        };
        // Ctrl-C is for the demo and the command it shows; the service follows the demo.
        command.process_group(0).current_dir(root);
        let mut child = command.spawn().map_err(|error| failed(&error))?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout.take(1024)).read_line(&mut line).map_err(|error| failed(&error))?;
        }
        match line.trim().parse() {
            Ok(address) => Ok(Self { child, address, keep }),
            Err(_) => {
                // It said no address, so it is of no use: whether it still ends by itself does not matter.
                let _ = child.kill();
                let _ = child.wait();
                Err(failed(&"it gave no address"))
            }
        }
    }

    /// Its base address, `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The id of its process.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// The status and the body of a path.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn get(&self, path: &str) -> std::io::Result<(u16, String)> {
        let mut stream = TcpStream::connect_timeout(&self.address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address)?;
        let mut text = String::new();
        stream.take(LARGEST).read_to_string(&mut text)?;
        let unfit = || std::io::Error::other("the answer is not HTTP");
        let (head, body) = text.split_once("\r\n\r\n").ok_or_else(unfit)?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(unfit)?;
        Ok((status, body.trim().to_owned()))
    }
}

impl Drop for Production {
    fn drop(&mut self) {
        if !self.keep {
            // Nothing to tell when it has already ended.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
