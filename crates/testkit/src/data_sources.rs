//! An emulator of Grafana's data source proxy: not a Grafana, but what its documentation says of this one way in,
//! <https://grafana.com/docs/grafana/latest/developers/http_api/data_source/#data-source-proxy-calls>. Behind it is
//! whatever a test has, such as a real Prometheus.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::serve::{Asked, serve};

/// Starts it in front of `upstream`, a port of this machine, for whoever has `token`; its address. The data source's name
/// is `uid`.
pub fn start(upstream: u16, uid: &str, token: &str) -> String {
    let prefix = format!("/api/datasources/proxy/uid/{uid}/");
    let bearer = format!("Bearer {token}");
    let port = serve(move |asked| {
        if asked.headers.get("authorization") != Some(&bearer) {
            return Some((401, r#"{"message":"Unauthorized","messageId":"auth.unauthorized"}"#.into()));
        }
        match asked.path.strip_prefix(&prefix) {
            Some(path) => forwarded(upstream, path, &asked),
            None => Some((404, r#"{"message":"Unable to find datasource"}"#.into())),
        }
    });
    format!("http://127.0.0.1:{port}/api/datasources/proxy/uid/{uid}")
}

/// What is behind it answers; whoever asked is not told to it.
fn forwarded(upstream: u16, path: &str, asked: &Asked) -> Option<(u16, String)> {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", upstream))?;
        let (method, query, body) = (&asked.method, &asked.query, &asked.body);
        let length = body.len();
        write!(stream, "{method} /{path}?{query} HTTP/1.0\r\ncontent-length: {length}\r\n\r\n{body}")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    };
    let Ok(text) = ask() else { return Some((502, r#"{"message":"Bad Gateway"}"#.into())) };
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}
