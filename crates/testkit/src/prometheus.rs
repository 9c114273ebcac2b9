//! A real Prometheus on a loopback port, and a service whose counters it scrapes.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often the service is scraped, as Prometheus writes it.
const SCRAPE: &str = "200ms";
/// Upper bounds of the service's histogram, in seconds.
const BOUNDS: [f64; 6] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5];

/// An alert while requests fail.
const ALERTS: &str = "groups: [{ name: shop, rules: [{ alert: RequestsFail, labels: { severity: page }, expr: \
                      'sum(increase(http_requests_total{code=\"500\"}[2s])) > 20' }] }]\n";

/// What the service does with its requests.
#[derive(Debug, Clone, Copy)]
pub struct Behaviour {
    /// Requests each second.
    pub requests: f64,
    /// The share that fails.
    pub errors: f64,
    /// How long a request takes, in seconds; one in ten takes half as long again.
    pub time: f64,
}

impl Behaviour {
    /// A hundred requests a second, none of which fails.
    pub const GOOD: Self = Self { requests: 100.0, errors: 0.0, time: 0.04 };
}

#[derive(Debug)]
struct Counters {
    behaviour: Behaviour,
    since: Instant,
    good: f64,
    bad: f64,
    buckets: Vec<f64>,
}

impl Counters {
    /// Counts what happened since the last time.
    fn advance(&mut self) {
        let requests = self.since.elapsed().as_secs_f64() * self.behaviour.requests;
        self.since = Instant::now();
        self.bad += requests * self.behaviour.errors;
        self.good += requests * (1.0 - self.behaviour.errors);
        for (count, bound) in self.buckets.iter_mut().zip(BOUNDS.iter().chain(&[f64::INFINITY])) {
            let share = [(0.9, 1.0), (0.1, 1.5)]
                .iter()
                .filter(|(_, longer)| self.behaviour.time * longer <= *bound)
                .map(|(share, _)| share)
                .sum::<f64>();
            *count += requests * share;
        }
    }

    fn text(&self) -> String {
        let mut text = format!(
            "# TYPE http_requests_total counter\nhttp_requests_total{{code=\"200\"}} {}\nhttp_requests_total{{code=\"500\"}} {}\n\
             # TYPE http_request_duration_seconds histogram\n",
            self.good, self.bad
        );
        for (count, bound) in
            self.buckets.iter().zip(BOUNDS.iter().map(f64::to_string).chain(["+Inf".to_owned()]))
        {
            text.push_str(&format!("http_request_duration_seconds_bucket{{le=\"{bound}\"}} {count}\n"));
        }
        text
    }
}

/// A service with counters, scraped by a Prometheus. Both end with it.
#[derive(Debug)]
pub struct Monitored {
    counters: Arc<Mutex<Counters>>,
    prometheus: Child,
    folder: tempfile::TempDir,
    arguments: Vec<String>,
    url: String,
}

impl Monitored {
    /// Starts both, and waits until Prometheus answers.
    ///
    /// # Errors
    /// When Prometheus is not installed or does not come up.
    pub fn start(behaviour: Behaviour) -> std::io::Result<Self> {
        let counters = Counters {
            behaviour,
            since: Instant::now(),
            good: 0.0,
            bad: 0.0,
            buckets: vec![0.0; BOUNDS.len() + 1],
        };
        let counters = Arc::new(Mutex::new(counters));
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let service = listener.local_addr()?;
        let shared = Arc::clone(&counters);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A connection that ends early is the other side's business.
                let _ = answer(stream, &shared);
            }
        });
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("alerts.yml"), ALERTS)?;
        std::fs::write(
            folder.path().join("prometheus.yml"),
            format!(
                "global: {{ scrape_interval: {SCRAPE}, scrape_timeout: {SCRAPE}, evaluation_interval: {SCRAPE} }}\n\
                 rule_files: [alerts.yml]\nscrape_configs:\n  - job_name: service\n    static_configs: [{{ targets: [\"{service}\"] }}]\n"
            ),
        )?;
        let port = crate::ports::free()?;
        let arguments = vec![
            format!("--config.file={}", folder.path().join("prometheus.yml").display()),
            format!("--storage.tsdb.path={}", folder.path().join("data").display()),
            format!("--web.listen-address=127.0.0.1:{port}"),
            "--log.level=error".to_owned(),
        ];
        let prometheus = spawn(&arguments)?;
        let monitored =
            Self { counters, prometheus, folder, arguments, url: format!("http://127.0.0.1:{port}") };
        monitored.wait_until_ready()?;
        Ok(monitored)
    }

    /// The address of Prometheus.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Changes what the service does from now on.
    pub fn behave(&self, behaviour: Behaviour) {
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        counters.advance();
        counters.behaviour = behaviour;
    }

    /// Stops Prometheus: an outage of the metrics, not of the service.
    ///
    /// # Errors
    /// When it cannot be stopped.
    pub fn stop_prometheus(&mut self) -> std::io::Result<()> {
        self.prometheus.kill()?;
        self.prometheus.wait().map(drop)
    }

    /// Starts Prometheus again, with what it had stored.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn restart_prometheus(&mut self) -> std::io::Result<()> {
        self.prometheus = spawn(&self.arguments)?;
        self.wait_until_ready()
    }

    /// Waits until Prometheus has samples that are this many seconds old: a time to compare with.
    ///
    /// # Errors
    /// When there are none in a minute more.
    pub fn wait_for_history(&self, seconds: u64) -> std::io::Result<()> {
        let query = format!("/api/v1/query?query=http_requests_total%20offset%20{seconds}s");
        self.wait(seconds + 60, "has no samples that old", |port| {
            get(port, &query).is_ok_and(|text| text.contains("\"value\":"))
        })
    }

    fn wait_until_ready(&self) -> std::io::Result<()> {
        self.wait(60, "did not come up", is_ready)
    }

    fn wait(&self, seconds: u64, problem: &str, is_so: impl Fn(u16) -> bool) -> std::io::Result<()> {
        let port = self.url.rsplit(':').next().and_then(|port| port.parse().ok()).unwrap_or(0);
        let end = Instant::now() + Duration::from_secs(seconds);
        while Instant::now() < end {
            if is_so(port) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let folder = self.folder.path().display();
        Err(std::io::Error::other(format!("prometheus {problem} in {seconds} s, with its files in {folder}")))
    }
}

impl Drop for Monitored {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.stop_prometheus();
    }
}

fn spawn(arguments: &[String]) -> std::io::Result<Child> {
    Command::new("prometheus")
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| {
            std::io::Error::other(format!("prometheus cannot be started; is it installed? {error}"))
        })
}

fn is_ready(port: u16) -> bool {
    get(port, "/-/ready").is_ok_and(|text| text.contains(" 200 "))
}

fn get(port: u16, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

fn answer(mut stream: TcpStream, counters: &Mutex<Counters>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && head.len() < 16 << 10 {
        if stream.read(&mut byte)? == 0 {
            return Ok(());
        }
        head.push(byte[0]);
    }
    let body = {
        let mut counters = counters.lock().unwrap_or_else(PoisonError::into_inner);
        counters.advance();
        counters.text()
    };
    write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}
