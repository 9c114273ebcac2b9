//! One command being run: its global options, where it runs, and what reports for it.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::path::PathBuf;

use crate::cli::Global;
use crate::report::Report;
use crate::world::{Hooks, World};

/// One command being run.
pub struct Session {
    /// Options that every command takes.
    pub global: Global,
    /// The folder the command works in: where it was started, or `--directory`.
    pub directory: PathBuf,
    /// The environment variables that are text.
    pub environment: BTreeMap<String, String>,
    /// The only thing that writes to the terminal.
    pub report: Report,
    /// What is wrapped around the engine; nothing but in tests.
    pub hooks: Hooks,
    stdin: Box<dyn BufRead + Send>,
    interactive: bool,
}

impl Session {
    /// A command with `global` options in `world`.
    pub fn new(global: Global, world: World) -> Self {
        let directory = match &global.directory {
            Some(directory) => world.directory.join(directory),
            None => world.directory.clone(),
        };
        let interactive =
            world.stdin_is_terminal && world.stderr_is_terminal && !global.no_input && !global.json;
        let report = Report::new(
            global.json,
            global.color,
            &world.environment,
            (world.stdout, world.stdout_is_terminal),
            (world.stderr, world.stderr_is_terminal),
        );
        Self {
            global,
            directory,
            environment: world.environment,
            report,
            hooks: world.hooks,
            stdin: world.stdin,
            interactive,
        }
    }

    /// Whether a person can be asked: both ends are a terminal and nothing forbids it.
    pub fn is_interactive(&self) -> bool {
        self.interactive
    }

    /// Asks a person a yes-or-no question; `--yes` answers yes, and nobody is asked off a terminal (then `None`).
    pub fn confirm(&mut self, question: &str) -> Option<bool> {
        if self.global.yes {
            return Some(true);
        }
        if !self.interactive {
            return None;
        }
        self.report.question(question);
        let mut answer = String::new();
        self.stdin.read_line(&mut answer).ok()?;
        Some(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes" | "o" | "oui"))
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Session").field("directory", &self.directory).finish_non_exhaustive()
    }
}
