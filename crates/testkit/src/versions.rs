//! Servers that answer their health check with a version, and customers who never stop asking.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// A server that has the version that stands in a file: it answers 503 while there is none, and 500 for one that ends in
/// `-broken`. It tells the version in a body of JSON; one after `header-` in the header `X-Version` alone, and one after
/// `silent-` nowhere.
#[derive(Debug)]
pub struct Versioned {
    /// Where it answers.
    pub port: u16,
}

impl Versioned {
    /// Starts it. It ends with the process.
    ///
    /// # Errors
    /// When there is no port for it.
    pub fn start(file: &Path) -> std::io::Result<Self> {
        Self::at(([127, 0, 0, 1], 0).into(), file)
    }

    /// Starts it at an address.
    ///
    /// # Errors
    /// When the address is taken.
    pub fn at(address: SocketAddr, file: &Path) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let port = listener.local_addr()?.port();
        let file = file.to_owned();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let file = file.clone();
                // A connection that ends early is the other side's business.
                std::thread::spawn(move || serve(stream, &file));
            }
        });
        Ok(Self { port })
    }
}

fn serve(stream: TcpStream, file: &PathBuf) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    loop {
        let (mut first, mut line, mut length) = (String::new(), String::new(), 0);
        if reader.read_line(&mut first)? == 0 {
            return Ok(());
        }
        while reader.read_line(&mut line)? > 2 {
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
            line.clear();
        }
        std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink())?;
        let version = std::fs::read_to_string(file).unwrap_or_default();
        let version = version.trim();
        let status = match version {
            "" => "503 Service Unavailable",
            version if version.ends_with("-broken") => "500 Internal Server Error",
            _ => "200 OK",
        };
        let (body, header) = if version.starts_with("silent-") {
            ("healthy".to_owned(), String::new())
        } else if let Some(version) = version.strip_prefix("header-") {
            ("healthy".to_owned(), format!("X-Version: {version}\r\n"))
        } else {
            (format!("{{\"status\":\"healthy\",\"version\":\"{version}\"}}"), String::new())
        };
        let head = format!("HTTP/1.1 {status}\r\n{header}Content-Length: {}\r\n\r\n", body.len());
        reader.get_mut().write_all(format!("{head}{body}").as_bytes())?;
    }
}

/// Customers who post one request after the other.
#[derive(Debug)]
pub struct Customers {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Tally>>,
}

/// What customers were answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many answers were good.
    pub good: u64,
    /// What was not.
    pub bad: Vec<String>,
    /// The good ones by version.
    pub versions: BTreeMap<String, u64>,
}

impl Customers {
    /// So many begin to post to the front door, over connections that they keep.
    pub fn begin(front: SocketAddr, customers: usize) -> Self {
        Self::posting(front, customers, true)
    }

    /// The same over a new connection for each request: proxies that begin anew with a switch close those that are kept,
    /// and a client that has just written to one sees an error.
    pub fn begin_anew(front: SocketAddr, customers: usize) -> Self {
        Self::posting(front, customers, false)
    }

    fn posting(front: SocketAddr, customers: usize, keep: bool) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let threads = (0..customers)
            .map(|_| {
                let stop = Arc::clone(&stop);
                std::thread::spawn(move || shop(front, keep, &stop))
            })
            .collect();
        Self { stop, threads }
    }

    /// They stop; what they were answered.
    pub fn end(self) -> Tally {
        self.stop.store(true, Ordering::SeqCst);
        let mut all = Tally::default();
        for thread in self.threads {
            let Ok(tally) = thread.join() else {
                all.bad.push("a customer panicked".into());
                continue;
            };
            all.good += tally.good;
            all.bad.extend(tally.bad);
            for (version, count) in tally.versions {
                *all.versions.entry(version).or_default() += count;
            }
        }
        all
    }
}

fn shop(front: SocketAddr, keep: bool, stop: &AtomicBool) -> Tally {
    let mut tally = Tally::default();
    let mut connection: Option<BufReader<TcpStream>> = None;
    while !stop.load(Ordering::SeqCst) {
        let answered = match connection.take() {
            Some(connection) => post(connection, keep),
            None => open(front).and_then(|connection| post(connection, keep)),
        };
        match answered {
            Ok((kept, status, body)) => {
                connection = Some(kept).filter(|_| keep);
                if status == 200 {
                    tally.good += 1;
                    let version = body.split('"').nth(7).unwrap_or("none").to_owned();
                    *tally.versions.entry(version).or_default() += 1;
                } else {
                    tally.bad.push(format!("{status}: {body}"));
                }
            }
            Err(error) => tally.bad.push(error.to_string()),
        }
        // A few hundred a second and customer are enough, and leave something of the machine to others.
        std::thread::sleep(Duration::from_millis(4));
    }
    tally
}

fn open(front: SocketAddr) -> std::io::Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect(front)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    Ok(BufReader::new(stream))
}

fn post(
    mut connection: BufReader<TcpStream>,
    keep: bool,
) -> std::io::Result<(BufReader<TcpStream>, u16, String)> {
    let how = if keep { "keep-alive" } else { "close" };
    let request =
        format!("POST /health HTTP/1.1\r\nHost: shop\r\nConnection: {how}\r\nContent-Length: 5\r\n\r\norder");
    connection.get_mut().write_all(request.as_bytes())?;
    let (mut first, mut line, mut length) = (String::new(), String::new(), 0);
    if connection.read_line(&mut first)? == 0 {
        return Err(std::io::Error::other("the connection ended without an answer"));
    }
    while connection.read_line(&mut line)? > 2 {
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        line.clear();
    }
    let mut body = vec![0; length];
    connection.read_exact(&mut body)?;
    let status = first.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Ok((connection, status, String::from_utf8_lossy(&body).into_owned()))
}
