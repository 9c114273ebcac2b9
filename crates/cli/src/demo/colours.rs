//! The production of the demo where HAProxy is installed: the service twice, blue and green, behind a proxy of its own.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::sync::{oneshot, watch};

use super::service::{self, replace};

/// The proxy's configuration, in the service's folder.
pub const CONFIG: &str = "haproxy.cfg";
/// The proxy's runtime socket, in the service's folder.
pub const SOCKET: &str = "haproxy.sock";
/// The longest path that a Unix socket may have, in bytes, less the names that HAProxy gives it while it makes one.
const LONGEST: usize = 90;

/// Ends the proxy with the process that started it: then standard input ends.
const KEEPER: &str =
    r#""$0" -db -q -f haproxy.cfg </dev/null >haproxy.log 2>&1 & proxy=$!; cat >/dev/null; kill "$proxy""#;

/// HAProxy, where a shell finds it and its socket's path in `folder` is short enough.
pub fn haproxy(path: &str, folder: &Path) -> Option<PathBuf> {
    if folder.join("service").join(SOCKET).as_os_str().len() > LONGEST {
        return None;
    }
    std::env::split_paths(path).map(|folder| folder.join("haproxy")).find(|program| program.is_file())
}

/// Serves `root/blue` and `root/green` behind `haproxy`, until `stop` changes or a folder is gone. `ready` is told the
/// proxy's address.
///
/// # Errors
/// As [`service::serve`], and when the proxy does not come up.
pub async fn serve(
    root: PathBuf,
    haproxy: &Path,
    stop: watch::Receiver<bool>,
    ready: impl FnOnce(SocketAddr),
) -> std::io::Result<()> {
    let begin = |colour: &str| {
        let (told, address) = oneshot::channel();
        let ready = |address| {
            // Nobody listens any more when the other colour did not come up.
            let _ = told.send(address);
        };
        (service::serve(root.join(colour), stop.clone(), ready), address)
    };
    let ((blue, blue_is), (green, green_is)) = (begin("blue"), begin("green"));
    let front = async {
        let failed = |_| std::io::Error::other("a colour did not come up");
        let (blue, green) = (blue_is.await.map_err(failed)?, green_is.await.map_err(failed)?);
        // Free now; whoever takes it in between makes HAProxy fail, which is told.
        let front = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        if !root.join(CONFIG).is_file() {
            replace(&root.join(CONFIG), &config(front, blue, green))?;
        }
        let mut proxy = tokio::process::Command::new("bash");
        proxy.args(["-c", KEEPER]).arg(haproxy).current_dir(&root).stdin(Stdio::piped());
        let proxy = proxy.spawn()?;
        for _ in 0..500 {
            if tokio::net::TcpStream::connect(front).await.is_ok() {
                ready(front);
                return Ok(proxy);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let said = std::fs::read_to_string(root.join("haproxy.log")).unwrap_or_default();
        Err(std::io::Error::other(format!("HAProxy did not come up: {said}")))
    };
    let fronted = async {
        let _proxy = front.await?;
        // It stays until the colours end.
        std::future::pending::<std::io::Result<()>>().await
    };
    tokio::select! {
        ended = blue => ended,
        ended = green => ended,
        failed = fronted => failed,
    }
}

fn config(front: SocketAddr, blue: SocketAddr, green: SocketAddr) -> String {
    format!(
        "global\n    stats socket unix@{SOCKET} mode 600 level admin\n\ndefaults\n    mode http\n    timeout connect 5s\n    \
         timeout client 30s\n    timeout server 30s\n\nfrontend shop\n    bind {front}\n    default_backend shop\n\n\
         backend shop\n    server blue {blue}\n    server green {green} disabled\n"
    )
}
