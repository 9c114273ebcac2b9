//! The part that all emulators of services share: a strict little HTTP server on a loopback port.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use serde_json::Value;

/// A request.
pub(crate) struct Asked {
    pub method: String,
    /// The parts of the path, decoded.
    pub parts: Vec<String>,
    /// The query, decoded, in its order.
    pub query: Vec<(String, String)>,
    /// The headers, their names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body; null when it is no JSON.
    pub body: Value,
}

/// What is answered.
pub(crate) enum Answer {
    /// A status and a body.
    Json(u16, Value),
    /// A status and headers, each with its line's end.
    Head(u16, String),
    /// The connection breaks.
    Nothing,
}

/// Answers on a port of this machine until the process ends; gives the port.
pub(crate) fn serve(answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = Arc::clone(&answer);
            // A connection that ends early is the other side's business.
            std::thread::spawn(move || drop(talk(stream, &*answer)));
        }
    });
    port
}

fn talk(stream: TcpStream, answer: &(impl Fn(&Asked) -> Answer + ?Sized)) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let (mut first, mut line, mut headers) = (String::new(), String::new(), BTreeMap::new());
        if reader.read_line(&mut first)? == 0 {
            return Ok(());
        }
        while reader.read_line(&mut line)? > 2 {
            if let Some((name, value)) = line.split_once(':') {
                headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
            }
            line.clear();
        }
        let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let mut words = first.split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let asked = Asked {
            method: method.into(),
            parts: path.split('/').filter(|part| !part.is_empty()).map(decoded).collect(),
            query: pairs.map(|(name, value)| (decoded(name), decoded(value))).collect(),
            headers,
            body: serde_json::from_slice(&body).unwrap_or_default(),
        };
        let (status, headers, text) = match answer(&asked) {
            Answer::Json(status, body) => (status, String::new(), body.to_string()),
            Answer::Head(status, headers) => (status, headers, String::new()),
            Answer::Nothing => return Ok(()),
        };
        let head = format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {}\r\n\r\n", text.len());
        reader.get_mut().write_all(format!("{head}{text}").as_bytes())?;
    }
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits: String = rest.by_ref().take(2).map(char::from).collect();
                u8::from_str_radix(&digits, 16).unwrap_or(b'?')
            }
            b'+' => b' ',
            byte => byte,
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
