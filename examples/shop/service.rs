//! The shop: sells what is in its database, and tells Prometheus how that goes.
//!
//! One file of plain Rust, compiled into a static program, the only file of its image. It answers `/health` with its
//! version, `GET /orders` with how many there are, `POST /orders` by taking one, and `/metrics`. What it needs stands in
//! its environment: `VERSION`, `PORT`, `COLOUR`, `DATABASE` (`HOST:PORT/NAME`), `COUNT` and `INSERT` (the SQL of this
//! version), and `ERRORS`, the percentage of requests to fail, for showing what a bad release does. `/service check` asks
//! the one that runs, for docker's health check.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::exit;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(2);

/// The upper bounds of the histogram of how long orders take, in milliseconds.
const BOUNDS: [u128; 7] = [5, 10, 50, 100, 250, 500, 1000];

/// How many orders took no longer than each bound; the last counts all.
static TOOK: [AtomicU64; 8] = [const { AtomicU64::new(0) }; 8];
/// Requests since the program began: begun, answered well, and failed.
static BEGUN: AtomicU64 = AtomicU64::new(0);
static GOOD: AtomicU64 = AtomicU64::new(0);
static BAD: AtomicU64 = AtomicU64::new(0);

fn value(name: &str, otherwise: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| otherwise.to_owned())
}

fn main() {
    let port: u16 = value("PORT", "8080").parse().expect("PORT is a number");
    if std::env::args().nth(1).as_deref() == Some("check") {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { exit(1) };
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        let mut answer = String::new();
        let request = b"GET /health HTTP/1.1\r\nConnection: close\r\n\r\n";
        let asked = stream.write_all(request).and_then(|()| stream.read_to_string(&mut answer));
        exit(i32::from(asked.is_err() || !answer.starts_with("HTTP/1.1 200")));
    }
    println!("the shop {} begins on port {port}", value("VERSION", "0.0.0"));
    let listener = TcpListener::bind(("0.0.0.0", port)).expect("the port is free");
    for stream in listener.incoming().flatten() {
        std::thread::spawn(move || serve(stream));
    }
}

/// Answers the requests of one connection, one after the other.
fn serve(stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    loop {
        let (mut first, mut length, mut closes) = (String::new(), 0usize, false);
        if reader.read_line(&mut first)? == 0 {
            return Ok(());
        }
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
                break;
            }
            let line = line.to_ascii_lowercase();
            if let Some(text) = line.strip_prefix("content-length:") {
                length = text.trim().parse().unwrap_or(0);
            }
            closes |= line.starts_with("connection:") && line.contains("close");
        }
        let mut body = vec![0; length.min(1 << 20)];
        reader.read_exact(&mut body)?;
        let mut words = first.split_ascii_whitespace();
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let (status, kind, text) = answer(method, path);
        let connection = if closes { "close" } else { "keep-alive" };
        write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nX-Version: {}\r\nConnection: {connection}\r\n\r\n{text}",
            text.len(),
            value("VERSION", "0.0.0"),
        )?;
        if closes {
            return Ok(());
        }
    }
}

fn answer(method: &str, path: &str) -> (&'static str, &'static str, String) {
    let version = value("VERSION", "0.0.0");
    match (method, path) {
        ("GET", "/health") => {
            ("200 OK", "application/json", format!(r#"{{"status":"healthy","version":"{version}"}}"#))
        }
        ("GET", "/metrics") => {
            let (good, bad) = (GOOD.load(Ordering::Relaxed), BAD.load(Ordering::Relaxed));
            let mut text = format!(
                "shop_requests_total{{good=\"true\"}} {good}\nshop_requests_total{{good=\"false\"}} {bad}\n"
            );
            let bounds = BOUNDS.iter().map(|bound| format!("{}", *bound as f64 / 1000.0));
            for (bound, took) in bounds.chain(["+Inf".to_owned()]).zip(&TOOK) {
                let took = took.load(Ordering::Relaxed);
                text += &format!("shop_request_seconds_bucket{{le=\"{bound}\"}} {took}\n");
            }
            ("200 OK", "text/plain; version=0.0.4", text)
        }
        ("GET" | "POST", "/orders") => {
            let (number, errors) = (BEGUN.fetch_add(1, Ordering::Relaxed), value("ERRORS", "0").parse().unwrap_or(0));
            // Spread evenly: of 100 requests every 20th for 5 %.
            let fails = number * errors / 100 != (number + 1) * errors / 100;
            let sql = if method == "POST" { value("INSERT", "") } else { value("COUNT", "") };
            let begin = Instant::now();
            let told = if fails { Err("this release loses some orders".to_owned()) } else { query(&sql) };
            let took = begin.elapsed().as_millis();
            let within = BOUNDS.iter().map(|bound| took <= *bound).chain([true]);
            TOOK.iter().zip(within).filter(|(_, is_within)| *is_within).for_each(|(count, _)| {
                count.fetch_add(1, Ordering::Relaxed);
            });
            match told {
                Ok(orders) => {
                    GOOD.fetch_add(1, Ordering::Relaxed);
                    ("200 OK", "application/json", format!(r#"{{"orders":"{orders}","version":"{version}"}}"#))
                }
                Err(why) => {
                    BAD.fetch_add(1, Ordering::Relaxed);
                    eprintln!("ERROR {why}");
                    ("500 Internal Server Error", "application/json", r#"{"orders":null}"#.to_owned())
                }
            }
        }
        _ => ("404 Not Found", "application/json", "{}".to_owned()),
    }
}

/// The first value that a query gives: PostgreSQL's protocol 3, without a password, one connection a query.
fn query(sql: &str) -> Result<String, String> {
    let database = value("DATABASE", "");
    let Some((address, name)) = database.split_once('/') else { return Ok("0".to_owned()) };
    let failed = |error: std::io::Error| format!("the database does not answer: {error}");
    let mut stream = TcpStream::connect(address).map_err(failed)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    let mut start = 196_608u32.to_be_bytes().to_vec();
    start.extend(format!("user\0{}\0database\0{name}\0\0", value("DATABASE_USER", "shop")).into_bytes());
    send(&mut stream, None, &start).map_err(failed)?;
    let (mut result, mut is_asked) = (Ok(String::new()), false);
    loop {
        let (kind, body) = receive(&mut stream).map_err(failed)?;
        match kind {
            b'R' if body.get(..4) != Some(&[0; 4]) => return Err("the database wants a password".to_owned()),
            b'Z' if is_asked => return result,
            b'Z' => {
                is_asked = true;
                send(&mut stream, Some(b'Q'), format!("{sql}\0").as_bytes()).map_err(failed)?;
            }
            b'D' => {
                let text = body.get(6..).unwrap_or_default();
                result = Ok(String::from_utf8_lossy(text).into_owned());
            }
            b'E' => {
                let text = String::from_utf8_lossy(&body).into_owned();
                let told = text.split('\0').find_map(|field| field.strip_prefix('M')).unwrap_or("an error");
                result = Err(told.to_owned());
                if !is_asked {
                    return result;
                }
            }
            _ => {}
        }
    }
}

fn send(stream: &mut TcpStream, kind: Option<u8>, body: &[u8]) -> std::io::Result<()> {
    let mut message: Vec<u8> = kind.into_iter().collect();
    message.extend((u32::try_from(body.len()).unwrap_or(0) + 4).to_be_bytes());
    message.extend(body);
    stream.write_all(&message)
}

fn receive(stream: &mut TcpStream) -> std::io::Result<(u8, Vec<u8>)> {
    let mut head = [0; 5];
    stream.read_exact(&mut head)?;
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
    let mut body = vec![0; (length as usize).saturating_sub(4).min(1 << 20)];
    stream.read_exact(&mut body)?;
    Ok((head[0], body))
}
