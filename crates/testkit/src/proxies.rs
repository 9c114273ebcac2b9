//! A real HAProxy, nginx or Caddy on loopback ports, in front of a blue and a green server.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::ports::free;

/// Which proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// HAProxy.
    Haproxy,
    /// nginx.
    Nginx,
    /// Caddy.
    Caddy,
}

impl Kind {
    /// All.
    pub const ALL: [Self; 3] = [Self::Haproxy, Self::Nginx, Self::Caddy];

    /// Its name, as the configuration of Windlass has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Haproxy => "haproxy",
            Self::Nginx => "nginx",
            Self::Caddy => "caddy",
        }
    }
}

/// A proxy that runs, with its files in a folder of its own. It ends with this.
#[derive(Debug)]
pub struct Running {
    /// Which.
    pub kind: Kind,
    /// Where it takes requests.
    pub front: u16,
    /// The ports of blue and green.
    pub servers: (u16, u16),
    folder: tempfile::TempDir,
    admin: u16,
    child: Option<Child>,
}

impl Running {
    /// Starts one in front of two servers: blue gets the traffic.
    ///
    /// # Errors
    /// When it is not installed or does not come up.
    pub fn start(kind: Kind, blue: u16, green: u16) -> std::io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut running =
            Self { kind, front: free()?, servers: (blue, green), admin: free()?, folder, child: None };
        for (name, text) in running.files() {
            std::fs::write(running.path(name), text)?;
        }
        running.up()?;
        Ok(running)
    }

    /// A path in its folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The file that has the servers.
    pub fn config(&self) -> PathBuf {
        self.path(match self.kind {
            Kind::Haproxy => "haproxy.cfg",
            Kind::Nginx => "upstream.conf",
            Kind::Caddy => "caddy.json",
        })
    }

    /// HAProxy's socket, Caddy's admin address.
    pub fn socket(&self) -> String {
        match self.kind {
            Kind::Caddy => format!("127.0.0.1:{}", self.admin),
            Kind::Haproxy | Kind::Nginx => self.path("admin.sock").display().to_string(),
        }
    }

    /// The commands that test and reload its configuration, where they are not the usual ones.
    pub fn commands(&self) -> (Vec<String>, Vec<String>) {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let main = self.path("nginx.conf").display().to_string();
        let nginx = program("nginx");
        match self.kind {
            Kind::Nginx => {
                (words(&[&nginx, "-q", "-t", "-c", &main]), words(&[&nginx, "-c", &main, "-s", "reload"]))
            }
            Kind::Haproxy => {
                (words(&[&program("haproxy"), "-c", "-f", &self.config().display().to_string()]), Vec::new())
            }
            Kind::Caddy => (Vec::new(), Vec::new()),
        }
    }

    /// Starts it with the files it has, and waits until it takes requests.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn up(&mut self) -> std::io::Result<()> {
        let config = self.config().display().to_string();
        let main = self.path("nginx.conf").display().to_string();
        let mut command = Command::new(program(self.kind.name()));
        match self.kind {
            Kind::Haproxy => command.args(["-db", "-f", &config]),
            Kind::Nginx => command.args(["-c", &main]),
            Kind::Caddy => command.args(["run", "--config", &config]),
        };
        let log = std::fs::File::create(self.path("log"))?;
        command.env("HOME", self.folder.path()).env_remove("XDG_CONFIG_HOME").env_remove("XDG_DATA_HOME");
        // A process group of its own: nginx leaves its workers behind when it is killed.
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
        self.child = Some(command.spawn().map_err(|error| {
            std::io::Error::other(format!("{} cannot be started; is it installed? {error}", self.kind.name()))
        })?);
        let end = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(("127.0.0.1", self.front)).is_err() {
            if Instant::now() > end {
                let said = std::fs::read_to_string(self.path("log")).unwrap_or_default();
                return Err(std::io::Error::other(format!("{} did not come up: {said}", self.kind.name())));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Ends it at once, and waits until nobody listens any more: killed workers may take connections for a moment yet.
    pub fn down(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        // The standard library knows no groups; the negative number is the whole group.
        let group = format!("-{}", child.id());
        let _ended = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
        let _ended = child.wait();
        let end = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", self.front)).is_ok() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// What the front door answers.
    ///
    /// # Errors
    /// When it does not.
    pub fn ask(&self) -> std::io::Result<String> {
        ask(self.front, "/")
    }

    fn files(&self) -> Vec<(&'static str, String)> {
        let (front, (blue, green), folder) = (self.front, self.servers, self.folder.path().display());
        match self.kind {
            Kind::Haproxy => vec![(
                "haproxy.cfg",
                format!(
                    "# The shop's.\nglobal\n    maxconn 4096\n    stats socket {folder}/admin.sock mode 600 level admin\n\n\
                     defaults\n    mode http\n    timeout connect 5s\n    timeout client 60s\n    timeout server 60s\n\n\
                     frontend front\n    bind 127.0.0.1:{front}\n    default_backend shop\n\n\
                     backend shop\n    balance roundrobin\n    server blue  127.0.0.1:{blue} check inter 500ms # first\n    \
                     server green 127.0.0.1:{green} check inter 500ms disabled\n\nbackend other\n    \
                     server blue 127.0.0.1:{blue}\n"
                ),
            )],
            Kind::Nginx => vec![
                (
                    "nginx.conf",
                    format!(
                        "daemon off;\nmaster_process on;\nworker_processes 1;\npid {folder}/nginx.pid;\nerror_log \
                         {folder}/error.log;\n{}events {{ worker_connections 2048; }}\nhttp {{\n    access_log off;\n    \
                         client_body_temp_path {folder}/t1;\n    proxy_temp_path {folder}/t2;\n    fastcgi_temp_path \
                         {folder}/t3;\n    uwsgi_temp_path {folder}/t4;\n    scgi_temp_path {folder}/t5;\n    include \
                         {folder}/upstream.conf;\n    server {{\n        listen 127.0.0.1:{front};\n        \
                         keepalive_requests 1000000;\n        location / {{\n            proxy_pass http://shop;\n            \
                         proxy_http_version 1.1;\n            proxy_set_header Connection \"\";\n        }}\n    }}\n}}\n",
                        if is_root() { "user root;\n" } else { "" }
                    ),
                ),
                (
                    "upstream.conf",
                    format!(
                        "# The shop's.\nupstream shop {{\n    server 127.0.0.1:{blue}; # first\n    server 127.0.0.1:{green} \
                         down;\n    keepalive 64;\n}}\nupstream other {{ server 127.0.0.1:{blue}; }}\n"
                    ),
                ),
            ],
            Kind::Caddy => vec![(
                "caddy.json",
                format!(
                    "{{\"admin\":{{\"listen\":\"127.0.0.1:{}\",\"config\":{{\"persist\":false}}}},\"logging\":{{\"logs\":{{\
                     \"default\":{{\"level\":\"ERROR\"}}}}}},\"apps\":{{\"http\":{{\"servers\":{{\"shop\":{{\"listen\":\
                     [\"127.0.0.1:{front}\"],\"automatic_https\":{{\"disable\":true}},\"routes\":[{{\"handle\":[{{\"@id\":\
                     \"shop\",\"handler\":\"reverse_proxy\",\"upstreams\":[{{\"dial\":\"127.0.0.1:{blue}\"}}]}}]}}]}}}}}}}}}}",
                    self.admin
                ),
            )],
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.down();
    }
}

/// A server that answers its name to every request, and to `/slow` not before it is let go.
#[derive(Debug)]
pub struct Named {
    /// Where it answers.
    pub port: u16,
    is_let_go: Arc<AtomicBool>,
}

impl Named {
    /// Starts it.
    ///
    /// # Errors
    /// When there is no port for it.
    pub fn start(name: &'static str) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let named = Self { port: listener.local_addr()?.port(), is_let_go: Arc::default() };
        let is_let_go = Arc::clone(&named.is_let_go);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let is_let_go = Arc::clone(&is_let_go);
                // A connection that ends early is the other side's business.
                std::thread::spawn(move || serve(stream, name, &is_let_go));
            }
        });
        Ok(named)
    }

    /// Answers what waits.
    pub fn let_go(&self) {
        self.is_let_go.store(true, Ordering::SeqCst);
    }
}

fn serve(stream: TcpStream, name: &str, is_let_go: &AtomicBool) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let (mut first, mut line) = (String::new(), String::new());
        if reader.read_line(&mut first)? == 0 {
            return Ok(());
        }
        while reader.read_line(&mut line)? > 2 {
            line.clear();
        }
        while first.contains("/slow") && !is_let_go.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(5));
        }
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}", name.len());
        reader.get_mut().write_all(answer.as_bytes())?;
    }
}

/// The body of an answer of a port on this machine; its status line when it is not 200.
///
/// # Errors
/// When there is no answer.
pub fn ask(port: u16, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let first = answer.lines().next().unwrap_or_default().to_owned();
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    Ok(if first.contains(" 200 ") { body.to_owned() } else { first })
}

/// A program, also where only the administrator's path has it.
fn program(name: &str) -> String {
    let path = Path::new("/usr/sbin").join(name);
    if path.is_file() { path.display().to_string() } else { name.to_owned() }
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|data| std::os::unix::fs::MetadataExt::uid(&data) == 0)
}
