//! A real registry on this machine, and a door in front of it that asks who is there.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use windlass_core::plan::sha256_hex;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// `docker` with the password `open-sesame-7`, as htpasswd writes it.
const HTPASSWD: &str = "docker:$2b$05$abcdefghijklmnopqrstuuYhafDARXY0KToV89BBvM5ig95pRHC2G\n";
/// The same, as it is sent.
const BASIC: &str = "Basic ZG9ja2VyOm9wZW4tc2VzYW1lLTc=";

/// docker-registry, which Debian's package of that name brings.
pub struct Registry {
    pub address: String,
    process: Child,
    pub folder: tempfile::TempDir,
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _gone = self.process.wait();
    }
}

impl Registry {
    pub fn start() -> Self {
        Self::with("")
    }

    /// One that lets in only `docker`.
    pub fn guarded() -> Self {
        Self::with("auth:\n  htpasswd: { realm: here, path: FOLDER/htpasswd }\n")
    }

    fn with(more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().display().to_string();
        std::fs::write(folder.path().join("htpasswd"), HTPASSWD).unwrap();
        let config = format!(
            "version: 0.1\nlog: {{ level: info }}\nstorage:\n  filesystem: {{ rootdirectory: {root}/data }}\nhttp: {{ addr: \
             \"127.0.0.1:0\" }}\n{}",
            more.replace("FOLDER", &root)
        );
        std::fs::write(folder.path().join("config.yml"), config).unwrap();
        let mut process = Command::new("docker-registry")
            .args(["serve", &format!("{root}/config.yml")])
            .env_clear()
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("docker-registry is needed: apt-get install docker-registry");
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let address = loop {
            let line = lines.next().expect("docker-registry ended").unwrap();
            if let Some((_, rest)) = line.split_once("listening on ") {
                break rest.chars().take_while(|letter| !" \",".contains(*letter)).collect();
            }
        };
        // What it writes later must not stop it.
        std::thread::spawn(move || lines.for_each(drop));
        Self { address, process, folder }
    }

    async fn send(&self, method: reqwest::Method, path: &str, kind: &str, body: Vec<u8>) -> u16 {
        let client = client();
        let url =
            if path.starts_with("http") { path.to_owned() } else { format!("http://{}{path}", self.address) };
        let sent = client.request(method, url).header("authorization", BASIC).header(CONTENT_TYPE, kind);
        sent.body(body).send().await.unwrap().status().as_u16()
    }

    async fn blob(&self, repository: &str, bytes: &[u8]) -> Value {
        let digest = format!("sha256:{}", sha256_hex(bytes));
        let begin = client().post(format!("http://{}/v2/{repository}/blobs/uploads/", self.address));
        let begun = begin.header("authorization", BASIC).send().await.unwrap();
        let place = begun.headers()["location"].to_str().unwrap().to_owned();
        let place = format!("{place}&digest={digest}");
        let status =
            self.send(reqwest::Method::PUT, &place, "application/octet-stream", bytes.to_vec()).await;
        assert_eq!(status, 201, "{place}");
        json!({ "digest": digest, "size": bytes.len() })
    }

    async fn put(&self, repository: &str, tag: &str, kind: &str, manifest: &Value) -> Value {
        let bytes = manifest.to_string().into_bytes();
        let digest = format!("sha256:{}", sha256_hex(&bytes));
        let size = bytes.len();
        let tag = if tag.is_empty() { digest.as_str() } else { tag };
        let path = format!("/v2/{repository}/manifests/{tag}");
        assert_eq!(self.send(reqwest::Method::PUT, &path, kind, bytes).await, 201);
        json!({ "mediaType": kind, "digest": digest, "size": size })
    }

    /// Pushes an image of two layers that says its version, and gives its descriptor.
    pub async fn push(&self, repository: &str, tag: &str, version: &str) -> Value {
        let label = BTreeMap::from([("org.opencontainers.image.version", version)]);
        let config = json!({ "os": "linux", "rootfs": {}, "config": { "Labels": label }, "made": tag });
        let mut config = self.blob(repository, config.to_string().as_bytes()).await;
        config["mediaType"] = "application/vnd.oci.image.config.v1+json".into();
        let mut layers = Vec::new();
        for part in ["base".to_owned(), format!("layer of {version}")] {
            let mut layer = self.blob(repository, part.as_bytes()).await;
            layer["mediaType"] = "application/vnd.oci.image.layer.v1.tar".into();
            layers.push(layer);
        }
        let manifest =
            json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers });
        self.put(repository, tag, MANIFEST, &manifest).await
    }

    /// Pushes an image for several platforms.
    pub async fn push_index(&self, repository: &str, tag: &str, parts: &[Value]) -> Value {
        let manifest = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": parts });
        self.put(repository, tag, INDEX, &manifest).await
    }

    /// What a tag names; nothing when it is not there.
    pub async fn digest(&self, repository: &str, tag: &str) -> Option<String> {
        let url = format!("http://{}/v2/{repository}/manifests/{tag}", self.address);
        let asked = client().get(url).header("authorization", BASIC);
        let answer = asked.header("accept", format!("{MANIFEST}, {INDEX}")).send().await.unwrap();
        let digest = answer.headers().get("docker-content-digest").filter(|_| answer.status() == 200)?;
        Some(digest.to_str().unwrap().to_owned())
    }

    /// Where a blob's bytes are.
    pub fn file(&self, digest: &str) -> std::path::PathBuf {
        let hex = digest.trim_start_matches("sha256:");
        let blobs = self.folder.path().join("data/docker/registry/v2/blobs/sha256");
        blobs.join(&hex[..2]).join(hex).join("data")
    }
}

fn client() -> reqwest::Client {
    // The provider of TLS is one for the process; already set is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// A door before a registry: it asks for a token, which it gives for the password, and keeps what it was asked.
pub struct Door {
    pub address: String,
    heads: Arc<Mutex<Vec<String>>>,
}

/// How a door behaves.
#[derive(Clone, Default)]
pub struct Manners {
    /// It wants `Bearer`.
    pub wants_token: bool,
    /// Where it sends those who ask for blobs.
    pub blobs_at: Option<String>,
}

impl Door {
    pub async fn before(registry: &Registry, manners: Manners) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let (own, target, shared) = (address.clone(), registry.address.clone(), Arc::clone(&heads));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(
                    stream,
                    own.clone(),
                    target.clone(),
                    manners.clone(),
                    Arc::clone(&shared),
                ));
            }
        });
        Self { address, heads }
    }

    /// What it was asked.
    pub fn heads(&self) -> String {
        self.heads.lock().unwrap().join("\n")
    }
}

async fn serve(
    mut stream: TcpStream,
    own: String,
    target: String,
    manners: Manners,
    heads: Arc<Mutex<Vec<String>>>,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        head.push(byte);
    }
    let head = String::from_utf8(head).unwrap();
    heads.lock().unwrap().push(head.clone());
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await.unwrap();
    let path = head.split(' ').nth(1).unwrap();
    let own_answer = |status: u16, header: String, body: &str| {
        let length = body.len();
        format!("HTTP/1.1 {status} X\r\n{header}content-length: {length}\r\nconnection: close\r\n\r\n{body}")
    };
    let answer = if path.starts_with("/token?") {
        match head.contains(&format!("authorization: {BASIC}")) {
            true => own_answer(200, String::new(), "{\"token\":\"ticket-for-one\"}"),
            false => own_answer(401, String::new(), ""),
        }
    } else if manners.wants_token && !head.contains("authorization: Bearer ticket-for-one") {
        let ask = format!("www-authenticate: Bearer realm=\"http://{own}/token\",service=\"{own}\"\r\n");
        own_answer(401, ask, "")
    } else if let Some(place) = manners.blobs_at.as_ref().filter(|_| path.contains("/blobs/")) {
        own_answer(307, format!("location: http://{place}{path}\r\n"), "")
    } else {
        let mut inner = TcpStream::connect(&target).await.unwrap();
        let head = head.replacen("\r\n", "\r\nconnection: close\r\n", 1);
        inner.write_all(head.as_bytes()).await.unwrap();
        inner.write_all(&body).await.unwrap();
        let mut answer = Vec::new();
        inner.read_to_end(&mut answer).await.unwrap();
        let _gone = stream.write_all(&answer).await;
        let _gone = stream.shutdown().await;
        return;
    };
    let _gone = stream.write_all(answer.as_bytes()).await;
    let _gone = stream.shutdown().await;
}
