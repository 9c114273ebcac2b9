//! The ledgers that targets keep for themselves, and a small service that keeps one.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A service that versions are deployed to by POST, and that counts how often.
pub struct Service {
    /// Where it listens.
    pub address: SocketAddr,
    deployed: Arc<Mutex<Vec<String>>>,
}

impl Service {
    /// Starts it on a free port. It ends with the test process.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let deployed: Arc<Mutex<Vec<String>>> = Arc::default();
        let ledger = deployed.clone();
        std::thread::spawn(move || {
            // One after another: a probe that comes after a deployment sees it.
            for stream in listener.incoming().flatten() {
                // A client that was killed in the middle is nothing to tell.
                let _gone = answer(stream, &ledger);
            }
        });
        Self { address, deployed }
    }

    /// The versions that were deployed, in order.
    pub fn deployed(&self) -> Vec<String> {
        self.deployed.lock().unwrap().clone()
    }
}

fn answer(mut stream: TcpStream, ledger: &Mutex<Vec<String>>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut request = String::new();
    reader.read_line(&mut request)?;
    let mut line = String::new();
    while reader.read_line(&mut line)? > 0 && line.trim() != "" {
        line.clear();
    }
    let mut words = request.split_whitespace();
    let body = match (words.next(), words.next()) {
        (Some("POST"), Some(path)) if path.starts_with("/deploy/") => {
            // Slow enough that a kill falls into the middle of it.
            std::thread::sleep(Duration::from_millis(10));
            ledger.lock().unwrap().push(path.trim_start_matches("/deploy/").to_owned());
            "{}".to_owned()
        }
        _ => {
            let version = ledger.lock().unwrap().last().cloned().unwrap_or_else(|| "none".to_owned());
            format!("{{\"status\":\"healthy\",\"version\":\"{version}\"}}")
        }
    };
    write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}
