//! The load: POST requests on connections that are kept open, each with a body of its own that must come back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a request failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// No connection could be opened.
    Connect,
    /// The connection ended before the answer did.
    Reset,
    /// The answer was not 200.
    Status,
    /// The answer was not what was sent.
    Body,
    /// There was no answer in 10 s.
    Time,
}

/// How the requests ended.
#[derive(Debug, Default)]
pub struct Counts {
    good: AtomicU64,
    failed: [AtomicU64; 5],
}

impl Counts {
    /// All requests that ended.
    pub fn all(&self) -> u64 {
        self.good.load(Ordering::SeqCst) + self.failures().iter().map(|(_, count)| count).sum::<u64>()
    }

    /// How many failed, by the reason.
    pub fn failures(&self) -> Vec<(Failure, u64)> {
        use Failure::{Body, Connect, Reset, Status, Time};
        [Connect, Reset, Status, Body, Time]
            .into_iter()
            .zip(&self.failed)
            .map(|(why, count)| (why, count.load(Ordering::SeqCst)))
            .collect()
    }

    fn count(&self, result: Result<(), Failure>) {
        let counter = match result {
            Ok(()) => Some(&self.good),
            Err(failure) => self.failed.get(failure as usize),
        };
        if let Some(counter) = counter {
            counter.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// A load that runs until it is stopped.
#[derive(Debug)]
pub struct Load {
    /// How the requests ended so far.
    pub counts: Arc<Counts>,
    is_over: Arc<AtomicBool>,
    clients: JoinSet<()>,
}

impl Load {
    /// Begins it. A `rate` of 0 is as many requests as go.
    pub fn begin(front: u16, connections: u64, rate: u64) -> Self {
        let (counts, is_over) = (Arc::new(Counts::default()), Arc::new(AtomicBool::new(false)));
        let mut clients = JoinSet::new();
        for id in 0..connections {
            let every = (rate > 0).then(|| Duration::from_nanos(1_000_000_000 * connections / rate));
            clients.spawn(client(id, front, every, Arc::clone(&counts), Arc::clone(&is_over)));
        }
        Self { counts, is_over, clients }
    }

    /// Waits until so many requests have ended.
    pub async fn until(&self, requests: u64) {
        while self.counts.all() < requests {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Lets every request end that has begun, and begins no other one.
    pub async fn end(mut self) -> Arc<Counts> {
        self.is_over.store(true, Ordering::SeqCst);
        while self.clients.join_next().await.is_some() {}
        self.counts
    }
}

async fn client(id: u64, front: u16, every: Option<Duration>, counts: Arc<Counts>, is_over: Arc<AtomicBool>) {
    let mut pace = every.map(|every| {
        let mut pace = interval(every);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        pace
    });
    if let Some(every) = every {
        // Not all at the same moment.
        tokio::time::sleep(every.mul_f64(fastrand::f64())).await;
    }
    let mut open: Option<BufReader<TcpStream>> = None;
    for number in 0_u64.. {
        if is_over.load(Ordering::SeqCst) {
            return;
        }
        if let Some(pace) = &mut pace {
            pace.tick().await;
        }
        let asked = timeout(PATIENCE, request(&mut open, front, &format!("{id} {number}"))).await;
        let result = asked.unwrap_or(Err(Failure::Time));
        if result.is_err() {
            open = None;
        }
        counts.count(result);
    }
}

async fn request(open: &mut Option<BufReader<TcpStream>>, front: u16, body: &str) -> Result<(), Failure> {
    // What every client does: a connection that the other side has ended meanwhile is not used again.
    if open.as_ref().is_some_and(|stream| {
        !matches!(stream.get_ref().try_read(&mut [0; 1]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
    }) {
        *open = None;
    }
    let stream = match open {
        Some(stream) => stream,
        None => {
            let stream = TcpStream::connect(("127.0.0.1", front)).await.map_err(|_| Failure::Connect)?;
            stream.set_nodelay(true).map_err(|_| Failure::Connect)?;
            open.insert(BufReader::new(stream))
        }
    };
    let message =
        format!("POST /order HTTP/1.1\r\nHost: shop\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    stream.get_mut().write_all(message.as_bytes()).await.map_err(|_| Failure::Reset)?;
    let (mut line, mut length, mut is_last, mut status) = (String::new(), 0, false, String::new());
    loop {
        line.clear();
        if stream.read_line(&mut line).await.map_err(|_| Failure::Reset)? == 0 {
            return Err(Failure::Reset);
        }
        let lower = line.to_ascii_lowercase();
        if status.is_empty() {
            status = lower.split(' ').nth(1).unwrap_or("none").to_owned();
        } else if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(|_| Failure::Body)?;
        } else if lower.starts_with("connection:") && lower.contains("close") {
            is_last = true;
        } else if line == "\r\n" {
            break;
        }
    }
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer).await.map_err(|_| Failure::Reset)?;
    if is_last {
        *open = None;
    }
    match status.as_str() {
        "200"
            if answer == format!("blue {body}").as_bytes()
                || answer == format!("green {body}").as_bytes() =>
        {
            Ok(())
        }
        "200" => Err(Failure::Body),
        _ => Err(Failure::Status),
    }
}
