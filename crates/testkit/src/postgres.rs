//! A real PostgreSQL, reachable by a socket in a folder of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

/// The password of the cluster's user `postgres`: every connection needs it.
pub const PASSWORD: &str = "a-password-of-tests";

/// A server with its data, which ends with it. Never as root: PostgreSQL refuses that, so it is `postgres`'s then.
#[derive(Debug)]
pub struct Cluster {
    folder: tempfile::TempDir,
    programs: PathBuf,
    account: Option<&'static str>,
}

impl Cluster {
    /// Makes a cluster and starts it.
    ///
    /// # Errors
    /// When PostgreSQL is not installed or does not come up.
    pub fn start() -> std::io::Result<Self> {
        let programs = programs()?;
        // Short, because a socket's path may have 107 bytes only.
        let folder = tempfile::Builder::new().prefix("pg").tempdir_in("/tmp")?;
        let is_root = user_id("-u")? == "0";
        let cluster = Self { folder, programs, account: is_root.then_some("postgres") };
        let password = cluster.path().join("password");
        std::fs::write(&password, PASSWORD)?;
        cluster.give(cluster.path())?;
        cluster.give(&password)?;
        let (data, password) = (cluster.data(), password.display().to_string());
        let arguments = [
            "-D",
            &data,
            "-U",
            "postgres",
            "--auth=scram-sha-256",
            "--pwfile",
            &password,
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        ];
        succeeded("initdb", &cluster.run("initdb", &arguments)?)?;
        let settings = format!(
            "listen_addresses = ''\nunix_socket_directories = '{}'\nfsync = off\nautovacuum = off\n",
            cluster.path().display()
        );
        let file = cluster.path().join("data/postgresql.auto.conf");
        std::fs::write(&file, settings)?;
        cluster.give(&file)?;
        cluster.up()?;
        Ok(cluster)
    }

    /// One cluster for all tests of this process.
    ///
    /// # Panics
    /// As [`Self::lasting`].
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<&'static Cluster> = OnceLock::new();
        SHARED.get_or_init(Self::lasting)
    }

    /// A cluster that ends soon after this process.
    ///
    /// # Panics
    /// When PostgreSQL is not installed or does not come up, with what to do.
    #[expect(clippy::zombie_processes, reason = "what ends the server outlives this process")]
    pub fn lasting() -> &'static Self {
        // What lasts as long as the process is never dropped.
        const WATCH: &str = "while [ -e /proc/$1 ]; do sleep 0.5; done; \"$2\" -D \"$3/data\" -m immediate stop; rm -rf \"$3\"";
        let cluster = Self::start().unwrap();
        let stop = cluster.programs.join("pg_ctl").display().to_string();
        let (process, folder) = (std::process::id().to_string(), cluster.path().display().to_string());
        let mut command = Command::new("setsid");
        if let Some(account) = cluster.account {
            command.args(["runuser", "-u", account, "--"]);
        }
        let command = command.args(["sh", "-c", WATCH, "sh", &process, &stop, &folder]).current_dir("/");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Box::leak(Box::new(cluster))
    }

    /// Adds lines to the server's configuration, and starts it again.
    ///
    /// # Errors
    /// When it does not come up with them.
    pub fn configure(&self, lines: &str) -> std::io::Result<()> {
        let file = self.path().join("data/postgresql.auto.conf");
        let text = std::fs::read_to_string(&file)? + lines;
        std::fs::write(&file, text)?;
        self.down("fast")?;
        self.up()
    }

    /// Starts the server.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn up(&self) -> std::io::Result<()> {
        let log = self.path().join("log").display().to_string();
        let output = self.run("pg_ctl", &["-D", &self.data(), "-l", &log, "-w", "-t", "60", "start"])?;
        succeeded("pg_ctl start", &output)
    }

    /// Stops the server: `fast`, or `immediate` as if it were killed.
    ///
    /// # Errors
    /// When it cannot be stopped.
    pub fn down(&self, how: &str) -> std::io::Result<()> {
        succeeded("pg_ctl stop", &self.run("pg_ctl", &["-D", &self.data(), "-m", how, "-w", "stop"])?)
    }

    /// The folder of its socket, with its data in `data`.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The folder of PostgreSQL's programs.
    pub fn programs(&self) -> &Path {
        &self.programs
    }

    /// The account that its programs must run under, where that is not the one of the tests.
    pub fn account(&self) -> Option<&'static str> {
        self.account
    }

    /// A folder that its account may write in, made new.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn folder(&self, name: &str) -> std::io::Result<PathBuf> {
        let folder = self.path().join(name);
        std::fs::create_dir(&folder)?;
        self.give(&folder)?;
        Ok(folder)
    }

    /// Lets its account have a file.
    ///
    /// # Errors
    /// When it cannot be given.
    pub fn give(&self, path: &Path) -> std::io::Result<()> {
        let Some(account) = self.account else { return Ok(()) };
        succeeded("chown", &Command::new("chown").arg(account).arg(path).output()?)
    }

    /// What SQL gives: values separated by `|`, rows by line breaks.
    ///
    /// # Errors
    /// What psql said.
    pub fn sql(&self, database: &str, sql: &str) -> std::io::Result<String> {
        let mut command = Command::new(self.programs.join("psql"));
        command.args([
            "-X",
            "-q",
            "-A",
            "-t",
            "-v",
            "ON_ERROR_STOP=1",
            "-U",
            "postgres",
            "-d",
            database,
            "-c",
            sql,
        ]);
        command.env("PGHOST", self.path()).env("PGPASSWORD", PASSWORD).stdin(Stdio::null());
        let output = command.output()?;
        succeeded("psql", &output)?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Runs one of PostgreSQL's programs, or another one by its path, under the cluster's account.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn run(&self, program: &str, arguments: &[&str]) -> std::io::Result<Output> {
        let program = self.programs.join(program);
        let mut command = match self.account {
            Some(account) => {
                let mut command = Command::new("runuser");
                command.args(["-u", account, "--"]).arg(program);
                command
            }
            None => Command::new(program),
        };
        // What the server inherits must not hold a pipe open that somebody reads to its end.
        let errors = tempfile::NamedTempFile::new()?;
        let (out, err) = (errors.reopen()?, errors.reopen()?);
        let status =
            command.args(arguments).current_dir("/").stdin(Stdio::null()).stdout(out).stderr(err).status()?;
        Ok(Output { status, stdout: Vec::new(), stderr: std::fs::read(errors.path())? })
    }

    fn data(&self) -> String {
        self.path().join("data").display().to_string()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.down("immediate");
    }
}

/// Where PostgreSQL's programs are: the newest ones that Debian keeps apart, else those in `PATH`.
fn programs() -> std::io::Result<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let number = |path: &Path| path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok());
    let newest = versions.map(|entry| entry.path()).max_by_key(|path| number(path).unwrap_or(0));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = newest.map(|version| version.join("bin")).into_iter().chain(std::env::split_paths(&path));
    folders.into_iter().find(|folder| folder.join("initdb").is_file()).ok_or_else(|| {
        std::io::Error::other(
            "PostgreSQL's server is not installed, and these tests use a real one: apt-get install postgresql",
        )
    })
}

fn user_id(which: &str) -> std::io::Result<String> {
    let output = Command::new("id").arg(which).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn succeeded(what: &str, output: &Output) -> std::io::Result<()> {
    if output.status.success() {
        return Ok(());
    }
    let told = String::from_utf8_lossy(&output.stderr);
    Err(std::io::Error::other(format!("{what} failed: {}", told.trim())))
}
