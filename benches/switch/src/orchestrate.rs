//! The orchestrator: a process of its own that switches as it is told on standard input, and can be killed.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines, stdin, stdout};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use windlass_actions::adapters::proxy::{Admission, Proxy};
use windlass_actions::adapters::remote::looking;
use windlass_actions::deploy::Site;
use windlass_core::config::{Colour, Environment};
use windlass_testkit::proxies::{Kind, Running};

use crate::Result;

/// The first argument of the program as an orchestrator.
pub const WORD: &str = "orchestrate";
/// How long requests on the old server may last.
const DRAIN: Duration = Duration::from_secs(10);

/// An orchestrator, seen from the bench.
#[derive(Debug)]
pub struct Orchestrator {
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Orchestrator {
    /// Starts one for a proxy.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start(running: &Running, state: &Path) -> Result<Self> {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut child = Command::new(program)
            .args([WORD, &table(running).to_string(), &state.display().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| error.to_string())?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("the orchestrator has no pipes".into());
        };
        let mut started = Self { child, stdin, lines: BufReader::new(stdout).lines() };
        started.hear("ready").await?;
        Ok(started)
    }

    /// Tells it to switch; it says `done` when it has.
    ///
    /// # Errors
    /// When it is gone.
    pub async fn tell(&mut self, colour: Colour) -> Result<()> {
        let line = format!("{}\n", colour.as_str());
        self.stdin.write_all(line.as_bytes()).await.map_err(|error| error.to_string())
    }

    /// Waits until it says so.
    ///
    /// # Errors
    /// When it says something else, or ends.
    pub async fn hear(&mut self, word: &str) -> Result<()> {
        match self.lines.next_line().await {
            Ok(Some(line)) if line == word => Ok(()),
            Ok(line) => Err(format!("the orchestrator said {line:?} instead of {word}")),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Kills it with SIGKILL; whether it had not said `done` yet.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub async fn kill(mut self) -> Result<bool> {
        self.child.kill().await.map_err(|error| error.to_string())?;
        Ok(self.hear("done").await.is_err())
    }
}

/// Works as an orchestrator until standard input ends.
///
/// # Errors
/// When it cannot switch.
pub async fn obey(arguments: &[String]) -> Result<()> {
    let [table, state] = arguments else { return Err(format!("{WORD} TABLE STATE")) };
    let proxy = serde_json::from_str(table).map_err(|error| error.to_string())?;
    let environment = Environment { proxy: Some(proxy), ..Environment::default() };
    let state = Path::new(state).to_owned();
    let context = looking(state.clone(), state, std::env::vars().collect());
    let site = Site::new("production", &environment, &context);
    let proxies = Proxy::all(&site, &context).await.map_err(|error| error.to_string())?;
    let proxy = proxies.first().ok_or("there is no proxy")?;
    let mut lines = BufReader::new(stdin()).lines();
    say("ready").await?;
    while let Ok(Some(line)) = lines.next_line().await {
        let new = Colour::parse(&line).ok_or_else(|| format!("there is no colour {line}"))?;
        let course = |colour, admission| {
            let server = proxy.server(0, Some(colour));
            server.map(|server| server.course(admission, None)).ok_or("there is no server")
        };
        let old = new.other();
        let courses = [course(new, Admission::Ready)?, course(old, Admission::Drain)?];
        let failed = |error: windlass_actions::adapters::remote::RemoteError| error.to_string();
        proxy.steer(&context, 1, &courses).await.map_err(failed)?;
        let name = courses.iter().map(|course| course.server.clone()).skip(1).collect::<Vec<_>>();
        let left = proxy.drained(&context, &name, DRAIN).await.map_err(failed)?;
        if left > 0 {
            return Err(format!("{left} requests did not end in {} s", DRAIN.as_secs()));
        }
        proxy.steer(&context, 1, &[course(old, Admission::Maintenance)?]).await.map_err(failed)?;
        say("done").await?;
    }
    Ok(())
}

async fn say(word: &str) -> Result<()> {
    let mut out = stdout();
    out.write_all(format!("{word}\n").as_bytes()).await.map_err(|error| error.to_string())?;
    out.flush().await.map_err(|error| error.to_string())
}

/// The proxy as `windlass.toml` would have it.
fn table(running: &Running) -> Value {
    let (test, reload) = running.commands();
    let (blue, green) = running.servers;
    let mut table = json!({
        "kind": running.kind.name(), "backend": "shop", "config": running.config(), "test": test, "reload": reload,
        "ports": { "blue": blue, "green": green },
    });
    if running.kind != Kind::Nginx {
        table["socket"] = running.socket().into();
    }
    table
}
