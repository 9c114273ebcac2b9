//! The example `examples/shop` as its README runs it: from a commit to a watched production, and back by itself with its
//! database when a release was bad and its migration destructive.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{HOSTS, Lab, lab, said};
use crate::support::{Ran, program};
use windlass_testkit::repo::RepoBuilder;

const FRONT: &str = "10.231.7.11:8000";
const REQUESTS_PER_SECOND: u64 = 100;

#[test]
fn a_bad_release_goes_back_with_its_database() {
    let Some((lab, _turn)) = lab("a_bad_release_goes_back_with_its_database") else { return };
    let shop = Example::begin(lab);
    shop.windlass(&["check"]).expect(0, &[]);

    // A good one, as the runbook has it: staging, a gate, production, a watch of two minutes, done.
    let run = shop.release("release", &[], 4, &["waits for release-manager: 0.1.0 passed staging"]);
    shop.windlass(&["approve", &run, "--as", "rita@shop.example"]).expect(0, &[]);
    shop.resume_with_customers(&run)
        .expect(0, &["the traffic to blue, 0.1.0", "watch 2m, every 5s: Pass", "is stopped"]);
    shop.expect("0.1.0");

    // Another one whose migration the version before can live with.
    shop.write("migrations/002-price.sql", "alter table orders add price int;\n");
    shop.commit("feat: prices");
    let run = shop.release(
        "release",
        &["--input", "watch=20s", "--input", "migration=backward-compatible"],
        4,
        &["0.2.0 passed staging"],
    );
    shop.windlass(&["approve", &run, "--as", "rita@shop.example"]).expect(0, &[]);
    shop.resume_with_customers(&run).expect(0, &["watch 20s, every 5s: Pass"]);
    shop.expect("0.2.0");

    // A bad one: 5 % errors, and the version before does not work with what its migration left.
    shop.write("migrations/003-comment.sql", "alter table orders rename note to comment;\n");
    let compose = std::fs::read_to_string(shop.folder().join("compose.yml")).unwrap();
    shop.write(
        "compose.yml",
        &compose.replace("count(note)", "count(comment)").replace("(note)", "(comment)"),
    );
    shop.write("errors", "5\n");
    shop.commit("feat: comments");
    let options = ["--input", "watch=2m", "--input", "migration=destructive"];
    let run = shop.release("release", &options, 4, &["0.3.0 passed staging"]);
    shop.windlass(&["approve", &run, "--as", "rita@shop.example"]).expect(0, &[]);
    let customers = Customers::begin();
    // Going back loses orders, so somebody who did not start it must agree.
    let ran = shop.windlass(&["resume", &run, "--no-wait"]).expect(
        4,
        &[
            "error_rate",
            "Watch leads to `rollback`",
            "the migration 003-comment destroyed what 0.2.0 needs",
            "lets nothing through to production",
            "waits for operator: Going back loses all that was written since",
        ],
    );
    println!("{}", last(&ran.out, 12));
    shop.windlass(&["approve", &run, "--as", "omar@shop.example"]).expect(4, &[]);
    shop.windlass(&["approve", &run, "--as", "olga@shop.example"]).expect(0, &[]);
    let ran = shop
        .windlass(&["resume", &run, "--no-wait"])
        .expect(6, &["the traffic back to green, 0.2.0", "OK POST /orders", "rolled back"]);
    println!("{}", last(&ran.out, 30));
    shop.expect("0.2.0");
    assert_eq!(shop.sql("select count(*) from information_schema.columns where column_name = 'note'"), "1");
    assert_eq!(shop.sql("select count(*) from windlass_migrations where class = 'destructive'"), "0");
    let told = shop.windlass(&["status", &run]);
    assert!(told.out.contains("error_rate was"), "the report says why: {}", told.shown());
    println!("{:?}", customers.end());
}

/// A correction from the last good tag, the same version again with new credentials, and the way back from both.
#[test]
fn a_correction_and_new_credentials_reach_production() {
    let Some((lab, _turn)) = lab("a_correction_and_new_credentials_reach_production") else { return };
    let shop = Example::begin(lab);
    let run = shop.release("release", &["--input", "watch=20s"], 4, &[]);
    shop.windlass(&["approve", &run, "--as", "rita@shop.example"]).expect(0, &[]);
    shop.resume_with_customers(&run).expect(0, &[]);

    // Work has gone on since.
    shop.commit("feat: not for today");
    shop.git(&["switch", "--quiet", "--create", "hotfix", "v0.1.0"]);
    shop.commit("fix: bread is sold again");
    let run = shop.release(
        "hotfix",
        &["--channel", "hotfix", "--input", "watch=20s"],
        4,
        &["0.1.1 corrects production now"],
    );
    shop.windlass(&["approve", &run, "--as", "omar@shop.example"]).expect(4, &[]);
    shop.windlass(&["approve", &run, "--as", "olga@shop.example"]).expect(0, &[]);
    shop.resume_with_customers(&run).expect(0, &["the traffic to green, 0.1.1", "Pass"]);
    shop.expect("0.1.1");

    // The same version in the other colour, with whatever its containers read when they begin.
    let run =
        shop.release("rollback", &["--input", "cause=credentials"], 4, &["The credentials are replaced"]);
    shop.windlass(&["confirm", &run, "--as", "omar@shop.example"]).expect(0, &[]);
    shop.resume_with_customers(&run).expect(0, &["the traffic to blue, 0.1.1"]);
    shop.expect("0.1.1");

    // By hand, to the version before, whose colour was taken meanwhile.
    let run = shop
        .windlass(&["run", "rollback", "--no-wait"])
        .expect(0, &["to green, 0.1.0", "begun: docs/post-mortems"]);
    println!("{}", last(&run.out, 12));
    shop.expect("0.1.0");
    let tagged = |name: &str| shop.git(&["rev-parse", &format!("{name}^{{commit}}")]);
    assert_eq!(tagged("v0.1.0-rollback"), tagged("v0.1.0"));
    let digest = |tag: &str| {
        let image = format!("docker://10.231.7.1:5000/shop:{tag}");
        let format = ["inspect", "--tls-verify=false", "--format", "{{.Digest}}"];
        said(Command::new("skopeo").args(format).arg(image))
    };
    assert_eq!(digest("latest"), digest("0.1.0"));
    let pages = std::fs::read_to_string(shop.place.path().join("pages.jsonl")).unwrap();
    assert!(pages.contains("The shop is back from 0.1.1 to 0.1.0"), "{pages}");
}

/// Going back to an earlier version of its own accord is a run of its own: no gate, because nothing is lost.
#[test]
fn a_bad_release_of_the_application_alone_is_back_in_half_a_minute() {
    let Some((lab, _turn)) = lab("a_bad_release_of_the_application_alone_is_back_in_half_a_minute") else {
        return;
    };
    let shop = Example::begin(lab);
    let run = shop.release("release", &["--input", "watch=20s"], 4, &[]);
    shop.windlass(&["approve", &run, "--as", "rita@shop.example"]).expect(0, &[]);
    shop.resume_with_customers(&run).expect(0, &[]);
    shop.write("errors", "5\n");
    shop.commit("feat: faster");
    let run = shop.release("release", &["--input", "watch=2m"], 4, &[]);
    shop.windlass(&["approve", &run, "--as", "rita@shop.example"]).expect(0, &[]);
    let customers = Customers::begin();
    shop.windlass(&["resume", &run, "--no-wait"]).expect(
        6,
        &[
            "nothing was migrated since 0.1.0: the application alone goes back",
            "the traffic back to blue, 0.1.0",
        ],
    );
    shop.expect("0.1.0");
    let seen = customers.end();
    let on_bad: Vec<Instant> =
        seen.answers.iter().filter(|answer| answer.version == "0.2.0").map(|answer| answer.at).collect();
    let (first, last) = (on_bad.iter().min().unwrap(), on_bad.iter().max().unwrap());
    println!("{seen}; on the bad version from its first answer to its last: {:?}", *last - *first);
    assert!(*last - *first <= Duration::from_secs(30), "{:?} on a bad version", *last - *first);
    let unanswered = seen.answers.iter().filter(|answer| answer.status == 0).count();
    assert_eq!(unanswered, 0, "no request is lost by the switches: {seen}");
}

/// A repository of the example, with its proxy and its database.
struct Example {
    /// Where programs are found, and who runs them.
    repo: RepoBuilder,
    place: tempfile::TempDir,
    lab: &'static Lab,
    // One proxy and one database: one example at a time.
    _only: MutexGuard<'static, ()>,
}

/// Removes what runs of the example on a host.
const REMOVE: &str =
    "docker ps -aq --filter label=com.docker.compose.service=web --filter name=shop- | xargs -r docker rm -f";

impl Example {
    fn begin(lab: &'static Lab) -> Self {
        static ONLY: Mutex<()> = Mutex::new(());
        let only = ONLY.lock().unwrap_or_else(PoisonError::into_inner);
        let example =
            Self { repo: RepoBuilder::new(), place: tempfile::tempdir().unwrap(), lab, _only: only };
        for host in HOSTS {
            lab.on(host, &format!("{REMOVE}; rm -rf /srv/shop /srv/shop-staging"));
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/shop/begin.sh");
        let mut begin = Command::new(script);
        said(begin.arg(example.folder()).env("WINDLASS_LAB", &lab.folder).stdin(Stdio::null()));
        example
    }

    fn folder(&self) -> PathBuf {
        self.place.path().join("shop")
    }

    fn windlass(&self, args: &[&str]) -> Ran {
        let mut command = program(&self.repo);
        let programs =
            std::fs::read_dir("/usr/lib/postgresql").unwrap().flatten().map(|entry| entry.path().join("bin"));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(std::env::split_paths(&path).chain(programs)).unwrap();
        command.env("PATH", path).env("WINDLASS_PERSON", "omar@shop.example");
        command.current_dir(self.folder()).args(args).output().unwrap().into()
    }

    /// Begins a run that waits for somebody, and gives its name.
    fn release(&self, runbook: &str, options: &[&str], code: i32, texts: &[&str]) -> String {
        let args: Vec<&str> =
            ["run", runbook, "--no-wait"].into_iter().chain(options.iter().copied()).collect();
        let ran = self.windlass(&args).expect(code, texts);
        let shown = ran.shown();
        let at = shown.rfind(&format!("({runbook}-")).unwrap_or_else(|| panic!("no run in {shown}"));
        shown[at + 1..].split(')').next().unwrap().to_owned()
    }

    /// Goes on with a run while customers order: enough of them for a verdict.
    fn resume_with_customers(&self, run: &str) -> Ran {
        let customers = Customers::begin();
        let ran = self.windlass(&["resume", run, "--no-wait"]);
        customers.end();
        ran
    }

    fn write(&self, path: &str, text: &str) {
        std::fs::write(self.folder().join(path), text).unwrap();
    }

    fn git(&self, args: &[&str]) -> String {
        said(self.repo.command("git").current_dir(self.folder()).args(args))
    }

    fn commit(&self, message: &str) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message]);
        self.git(&["push", "--quiet", "origin", "HEAD"]);
    }

    fn sql(&self, query: &str) -> String {
        let mut psql = Command::new("psql");
        psql.args(["-h", "10.231.7.1", "-U", "postgres", "-d", "shop", "-tA", "-c", query]);
        said(&mut psql).trim().to_owned()
    }

    /// One version on both hosts, as it was deployed, healthy, and no lock.
    fn expect(&self, version: &str) {
        let mut told = self.windlass(&["env", "production", "--json"]).expect(0, &[]).json();
        let told = told["environments"][0].take();
        let found = (&told["version"], &told["drift"], &told["lock"]);
        assert_eq!(found, (&version.into(), &false.into(), &serde_json::Value::Null), "{told:#}");
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        // Prometheus would go on asking what is not there any more.
        let _ = std::fs::remove_file(self.lab.folder.join("targets/shop.json"));
        // Its health checks would slow down the tests that follow.
        for host in HOSTS {
            let _ = self.lab.ssh(host, REMOVE).output();
        }
    }
}

/// What one request got; status 0 when it got no answer.
#[derive(Debug, Clone)]
struct Answer {
    at: Instant,
    status: u16,
    version: String,
}

/// Customers that order, [`REQUESTS_PER_SECOND`] in all, over connections that stay open.
struct Customers {
    threads: Vec<JoinHandle<Vec<Answer>>>,
    ends: Arc<AtomicBool>,
}

struct Seen {
    answers: Vec<Answer>,
}

impl std::fmt::Display for Seen {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut counts: BTreeMap<(String, u16), usize> = BTreeMap::new();
        for answer in &self.answers {
            *counts.entry((answer.version.clone(), answer.status)).or_default() += 1;
        }
        write!(formatter, "{counts:?}")
    }
}

impl std::fmt::Debug for Seen {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, formatter)
    }
}

impl Customers {
    fn begin() -> Self {
        const THREADS: u64 = 4;
        let ends = Arc::new(AtomicBool::new(false));
        let pause = Duration::from_micros(1_000_000 * THREADS / REQUESTS_PER_SECOND);
        let threads = (0..THREADS).map(|_| {
            let ends = ends.clone();
            std::thread::spawn(move || {
                let (mut answers, mut connection, mut due) = (Vec::new(), None, Instant::now());
                while !ends.load(Ordering::Relaxed) {
                    let (status, version) = order(&mut connection).unwrap_or_else(|_| {
                        connection = None;
                        (0, String::new())
                    });
                    answers.push(Answer { at: Instant::now(), status, version });
                    due += pause;
                    std::thread::sleep(due.saturating_duration_since(Instant::now()));
                }
                answers
            })
        });
        Self { threads: threads.collect(), ends }
    }

    fn end(self) -> Seen {
        self.ends.store(true, Ordering::Relaxed);
        let answers = self.threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        Seen { answers }
    }
}

/// One order over the connection, which is opened when it is not.
fn order(connection: &mut Option<BufReader<TcpStream>>) -> std::io::Result<(u16, String)> {
    if connection.is_none() {
        let stream = TcpStream::connect(FRONT)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.set_nodelay(true)?;
        *connection = Some(BufReader::new(stream));
    }
    let Some(reader) = connection.as_mut() else { return Err(std::io::ErrorKind::NotConnected.into()) };
    reader.get_mut().write_all(b"POST /orders HTTP/1.1\r\nHost: shop\r\nContent-Length: 1\r\n\r\nx")?;
    let (mut status, mut version, mut length, mut closes) = (0, String::new(), 0, false);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if line.starts_with("http/1.") {
            status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        }
        let value = |name: &str| line.strip_prefix(name).map(|value| value.trim().to_owned());
        version = value("x-version:").unwrap_or(version);
        length = value("content-length:").and_then(|length| length.parse().ok()).unwrap_or(length);
        closes |= value("connection:").is_some_and(|value| value == "close");
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    if closes {
        *connection = None;
    }
    Ok((status, version))
}

fn last(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
