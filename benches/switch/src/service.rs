//! A server that answers its name and what it was sent, and remembers when the last request began.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

use crate::Result;

/// It runs until it is dropped; then its connections end at once.
#[derive(Debug)]
pub struct Service {
    /// Where it answers.
    pub port: u16,
    seen: Arc<Seen>,
    task: AbortHandle,
}

#[derive(Debug)]
struct Seen {
    origin: Instant,
    /// Nanoseconds after `origin` at which the last request began.
    last: AtomicU64,
    count: AtomicU64,
}

impl Service {
    /// Starts one on a port; on any one when it is 0.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn start(name: &'static str, port: u16, origin: Instant) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.map_err(|error| error.to_string())?;
        let port = listener.local_addr().map_err(|error| error.to_string())?.port();
        let seen = Arc::new(Seen { origin, last: AtomicU64::new(0), count: AtomicU64::new(0) });
        let shared = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                open.spawn(serve(stream, name, Arc::clone(&shared)));
                while open.try_join_next().is_some() {}
            }
        });
        Ok(Self { port, seen, task: task.abort_handle() })
    }

    /// When the last request began, in nanoseconds after the origin; 0 before the first one.
    pub fn last(&self) -> u64 {
        self.seen.last.load(Ordering::SeqCst)
    }

    /// How many requests began.
    pub fn count(&self) -> u64 {
        self.seen.count.load(Ordering::SeqCst)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Answers until the other side ends; that it does is its business.
async fn serve(stream: TcpStream, name: &'static str, seen: Arc<Seen>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    loop {
        let (mut line, mut length) = (String::new(), 0);
        loop {
            line.clear();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            let lower = line.to_ascii_lowercase();
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
            if line == "\r\n" {
                break;
            }
        }
        let now = u64::try_from(seen.origin.elapsed().as_nanos()).unwrap_or(u64::MAX);
        seen.last.fetch_max(now, Ordering::SeqCst);
        seen.count.fetch_add(1, Ordering::SeqCst);
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        let mut answer =
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name} ", name.len() + 1 + length)
                .into_bytes();
        answer.extend(body);
        stream.get_mut().write_all(&answer).await?;
    }
}
