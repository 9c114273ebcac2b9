//! A server of a few answers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

#[derive(Default)]
struct State {
    asked: AtomicUsize,
    heads: Mutex<Vec<String>>,
    elsewhere: Mutex<String>,
}

pub struct Server {
    address: String,
    state: Arc<State>,
}

impl Server {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, Arc::clone(&shared)));
            }
        });
        Self { address, state }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.state.asked.load(Ordering::SeqCst)
    }

    /// What it was asked, headers included.
    pub fn heads(&self) -> String {
        self.state.heads.lock().unwrap().join("\n")
    }

    /// Where `/elsewhere` redirects to.
    pub fn redirect_to(&self, url: String) {
        *self.state.elsewhere.lock().unwrap() = url;
    }
}

async fn answer(mut stream: TcpStream, state: Arc<State>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    if stream.read_exact(&mut body).await.is_err() {
        return;
    }
    let head = head + &String::from_utf8_lossy(&body);
    let asked = state.asked.fetch_add(1, Ordering::SeqCst) + 1;
    let path = head.split(' ').nth(1).unwrap().to_owned();
    state.heads.lock().unwrap().push(head);
    let (status, location, body) = match path.as_str() {
        "/ok" => (
            200,
            String::new(),
            r#"{"status":"healthy","n":1.0,"parts":[{"up":true},{"up":true}]}"#.to_owned(),
        ),
        "/sick" => (
            200,
            String::new(),
            r#"{"status":"si\u001b[31mck","parts":[{"up":true},{"up":false}]}"#.to_owned(),
        ),
        "/text" => (200, String::new(), "version 0.2.0 is up".to_owned()),
        "/flaky" if asked < 3 => (503, String::new(), "wait".to_owned()),
        "/flaky" => (200, String::new(), "here".to_owned()),
        "/big" => (200, String::new(), "x".repeat(3 << 20)),
        "/loop" => (302, "/loop".to_owned(), String::new()),
        "/elsewhere" => (302, state.elsewhere.lock().unwrap().clone(), String::new()),
        "/slow" => std::future::pending().await,
        "/broken" => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort").await;
            return;
        }
        _ => (404, String::new(), "none".to_owned()),
    };
    let location = if location.is_empty() { location } else { format!("location: {location}\r\n") };
    let head = format!(
        "HTTP/1.1 {status} X\r\n{location}content-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all(head.as_bytes()).await;
    let _ = stream.write_all(body.as_bytes()).await;
    let _ = stream.shutdown().await;
}
