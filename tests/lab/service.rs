//! The sample service of the lab: answers /health with its version, and behaves as it is told.
//!
//! Compiled alone into a static program, the only file of its image. `VERSION` is its version; `BEHAVIOUR` is `good`,
//! `failing` (the health check says 500), `silent` (it never answers), `slow` (a second per answer), `crash` (it ends
//! at once) or `other` (it tells another version). `/service check` asks the one that runs, for docker's health check.
//! Asked for `/busy` it uses a CPU until it ends, and for `/full` 56 MiB of memory.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::exit;
use std::time::Duration;

fn main() {
    let value = |name: &str, otherwise: &str| std::env::var(name).unwrap_or_else(|_| otherwise.to_owned());
    let port: u16 = value("PORT", "8080").parse().expect("PORT is a number");
    if std::env::args().nth(1).as_deref() == Some("check") {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { exit(1) };
        stream.set_read_timeout(Some(Duration::from_secs(2))).expect("a timeout can be set");
        let mut answer = String::new();
        let asked = stream.write_all(b"GET /health HTTP/1.0\r\n\r\n").and_then(|()| stream.read_to_string(&mut answer));
        exit(i32::from(asked.is_err() || !answer.starts_with("HTTP/1.1 200")));
    }
    let (version, behaviour) = (value("VERSION", "0.0.0"), value("BEHAVIOUR", "good"));
    println!("{version} begins, {behaviour}");
    if behaviour == "crash" {
        eprintln!("the sample service was told to crash");
        exit(3);
    }
    let listener = TcpListener::bind(("0.0.0.0", port)).expect("the port is free");
    for stream in listener.incoming().flatten() {
        let (version, behaviour) = (version.clone(), behaviour.clone());
        std::thread::spawn(move || answer(stream, &version, &behaviour));
    }
}

fn answer(mut stream: TcpStream, version: &str, behaviour: &str) -> std::io::Result<()> {
    let mut head = [0; 4096];
    let length = stream.read(&mut head)?;
    let head = String::from_utf8_lossy(&head[..length]).into_owned();
    let path = head.split_ascii_whitespace().nth(1).unwrap_or_default();
    match behaviour {
        "silent" => std::thread::sleep(Duration::from_secs(3600)),
        "slow" => std::thread::sleep(Duration::from_secs(1)),
        _ => {}
    }
    match path {
        "/busy" => drop(std::thread::spawn(|| loop {
            std::hint::spin_loop();
        })),
        // Written, so that it is memory and no promise of it.
        "/full" => std::mem::forget(std::hint::black_box(vec![1u8; 56 << 20])),
        _ => {}
    }
    let version = if behaviour == "other" { "9.9.9" } else { version };
    let (status, body) = match (path, behaviour) {
        ("/health", "failing") => ("500 Internal Server Error", r#"{"status":"failing"}"#.to_owned()),
        ("/health", _) => ("200 OK", format!(r#"{{"status":"healthy","version":"{version}"}}"#)),
        ("/busy" | "/full", _) => ("200 OK", "{}".to_owned()),
        _ => ("404 Not Found", "{}".to_owned()),
    };
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}
