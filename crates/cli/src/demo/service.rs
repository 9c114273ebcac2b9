//! The production of the demo: a small HTTP service that serves whichever version `current` names.
//!
//! It keeps a ledger of every deployment it sees, so that what happened can be told without believing Windlass.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};

/// The file with the service's address, `127.0.0.1:PORT`.
pub const ADDRESS: &str = "address";
/// The file that names the live version.
pub const CURRENT: &str = "current";
/// The folder of deployed versions.
pub const RELEASES: &str = "releases";
/// The file with every deployment seen: its moment and the version, a line each.
pub const LEDGER: &str = "ledger.log";

/// How often `current` is looked at. A deployment is a process started: two never come closer than this.
const LOOK: Duration = Duration::from_millis(10);
/// The longest a client may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The largest request head, in bytes.
const LARGEST_HEAD: usize = 8 << 10;
/// Clients served at once.
const CLIENTS: usize = 64;

/// Serves the folder `root` until `stop` resolves or the folder is gone. `ready` is told the address.
///
/// # Errors
/// When no address can be taken, or the address or the ledger cannot be written.
pub async fn serve(
    root: PathBuf,
    mut stop: watch::Receiver<bool>,
    ready: impl FnOnce(SocketAddr),
) -> std::io::Result<()> {
    let listener = listen(&root).await?;
    let address = listener.local_addr()?;
    replace(&root.join(ADDRESS), &format!("{address}\n"))?;
    ready(address);
    let root: Arc<Path> = root.into();
    let clients = Arc::new(Semaphore::new(CLIENTS));
    let mut ledger = Ledger { root: root.clone(), seen: None };
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = stop.changed() => return Ok(()),
            _ = look.tick() => {
                if !root.is_dir() {
                    return Ok(());
                }
                ledger.look()?;
            }
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                // Too many at once are let go: this is a demo, not a web server.
                let Ok(permit) = clients.clone().try_acquire_owned() else { continue };
                let root = root.clone();
                tokio::spawn(async move {
                    let _permit = permit;
                    // A client that goes away is its own affair.
                    let _ = timeout(PATIENCE, answer(stream, &root)).await;
                });
            }
        }
    }
}

/// The address used last time, so that runbooks that name it stay true; any free one otherwise.
async fn listen(root: &Path) -> std::io::Result<TcpListener> {
    let before = std::fs::read_to_string(root.join(ADDRESS)).ok();
    if let Some(before) = before.and_then(|text| text.trim().parse::<SocketAddr>().ok())
        && before.ip().is_loopback()
        && let Ok(listener) = TcpListener::bind(before).await
    {
        return Ok(listener);
    }
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await
}

/// Writes a file whole or not at all.
///
/// # Errors
/// When it cannot be written.
pub fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let new = path.with_extension("new");
    std::fs::write(&new, text)?;
    std::fs::rename(new, path)
}

/// What the service has seen deployed.
struct Ledger {
    root: Arc<Path>,
    /// The `current` file seen last: its inode and time, which differ even when the same version is deployed again.
    seen: Option<(u64, SystemTime)>,
}

impl Ledger {
    fn look(&mut self) -> std::io::Result<()> {
        use std::os::unix::fs::MetadataExt as _;
        let Ok(metadata) = std::fs::metadata(self.root.join(CURRENT)) else { return Ok(()) };
        let is = (metadata.ino(), metadata.modified()?);
        if self.seen == Some(is) {
            return Ok(());
        }
        let Some(version) = live(&self.root) else { return Ok(()) };
        self.seen = Some(is);
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(self.root.join(LEDGER))?;
        writeln!(file, "{} {version}", jiff::Timestamp::now())
    }
}

/// The live version, when there is one and its name cannot lead out of the folder.
pub fn live(root: &Path) -> Option<String> {
    let text = std::fs::read_to_string(root.join(CURRENT)).ok()?;
    let version = text.trim();
    let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '+');
    (!version.is_empty()
        && version.starts_with(|first: char| first.is_ascii_digit())
        && version.chars().all(plain))
    .then(|| version.to_owned())
}

/// `app.json`: all there is to the shop.
#[derive(Debug, Deserialize)]
struct App {
    catalogue: String,
    checkout: String,
}

fn app(root: &Path, version: &str) -> Option<App> {
    let text = std::fs::read_to_string(root.join(RELEASES).join(version).join("app.json")).ok()?;
    serde_json::from_str(&text).ok()
}

async fn answer(mut stream: TcpStream, root: &Path) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() > LARGEST_HEAD || stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let head = String::from_utf8_lossy(&head);
    let mut words = head.split_ascii_whitespace();
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (status, body) = match method {
        "GET" | "HEAD" => page(root, target.split('?').next().unwrap_or_default()),
        _ => ("405 Method Not Allowed", json!({ "error": "this service is only asked" })),
    };
    let body = format!("{body}\n");
    let length = body.len();
    let body = if method == "HEAD" { String::new() } else { body };
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
         Cache-Control: no-store\r\nConnection: close\r\n\r\n{body}"
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

/// The status line and body for a path.
fn page(root: &Path, path: &str) -> (&'static str, Value) {
    const OK: &str = "200 OK";
    let Some((version, app)) = live(root).and_then(|version| app(root, &version).map(|app| (version, app)))
    else {
        return ("503 Service Unavailable", json!({ "status": "nothing is deployed" }));
    };
    match path {
        "/" => (OK, json!({ "shop": "the corner shop", "version": version, "catalogue": app.catalogue })),
        "/health" => (OK, json!({ "status": "healthy", "version": version })),
        "/checkout" if app.checkout == "works" => (OK, json!({ "order": app.catalogue, "paid": true })),
        "/checkout" => ("500 Internal Server Error", json!({ "error": "the till does not open" })),
        _ => ("404 Not Found", json!({ "error": "there is no such page" })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deploy(root: &Path, version: &str, checkout: &str) {
        let folder = root.join(RELEASES).join(version);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(
            folder.join("app.json"),
            format!(r#"{{"catalogue":"bread","checkout":"{checkout}"}}"#),
        )
        .unwrap();
        replace(&root.join(CURRENT), version).unwrap();
    }

    #[test]
    fn pages_say_what_the_deployed_version_does() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        assert!(page(root, "/health").0.starts_with("503"));
        deploy(root, "0.1.0", "works");
        assert_eq!(page(root, "/health").1, json!({ "status": "healthy", "version": "0.1.0" }));
        assert!(page(root, "/checkout").0.starts_with("200"));
        deploy(root, "0.2.0", "broken");
        assert_eq!(page(root, "/health").1["version"], "0.2.0");
        assert!(page(root, "/checkout").0.starts_with("500"));
        assert!(page(root, "/../secret").0.starts_with("404"));
    }

    #[test]
    fn a_version_never_leads_out_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        for (text, expect) in [
            ("0.2.0\n", Some("0.2.0")),
            ("1.0.0-rc.1+5", Some("1.0.0-rc.1+5")),
            ("../../etc", None),
            ("..", None),
            ("", None),
            ("1/2", None),
        ] {
            std::fs::write(folder.path().join(CURRENT), text).unwrap();
            assert_eq!(live(folder.path()).as_deref(), expect, "{text}");
        }
    }

    #[test]
    fn the_ledger_has_every_deployment_also_of_the_same_version() {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = Ledger { root: folder.path().into(), seen: None };
        ledger.look().unwrap();
        for version in ["0.1.0", "0.2.0", "0.2.0"] {
            deploy(folder.path(), version, "works");
            ledger.look().unwrap();
            ledger.look().unwrap();
        }
        let text = std::fs::read_to_string(folder.path().join(LEDGER)).unwrap();
        let versions: Vec<&str> = text.lines().filter_map(|line| line.split(' ').nth(1)).collect();
        assert_eq!(versions, ["0.1.0", "0.2.0", "0.2.0"]);
    }
}
