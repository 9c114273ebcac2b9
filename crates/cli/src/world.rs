//! What surrounds a command: folder, environment, streams. A test gives its own.

use std::collections::BTreeMap;
use std::io::{BufRead, IsTerminal as _, Write};
use std::path::PathBuf;
use std::sync::Arc;

use windlass_engine::action::ActionSet;
use windlass_engine::embedded::Settings;
use windlass_engine::journal::Journal;

/// Puts another journal in front of the one it is given.
pub type WrapJournal = fn(Arc<dyn Journal>) -> Arc<dyn Journal>;

/// What a test program wraps around the engine, to stop it at points of its choice.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hooks {
    /// Around the journal.
    pub journal: Option<WrapJournal>,
    /// Around the actions.
    pub actions: Option<fn(ActionSet) -> ActionSet>,
    /// Instead of how the engine behaves.
    pub settings: Option<fn(Settings) -> Settings>,
}

/// What surrounds a command.
pub struct World {
    /// The folder it was started in.
    pub directory: PathBuf,
    /// The environment variables that are text.
    pub environment: BTreeMap<String, String>,
    /// Where data goes.
    pub stdout: Box<dyn Write + Send>,
    /// Where progress and errors go.
    pub stderr: Box<dyn Write + Send>,
    /// Where answers come from.
    pub stdin: Box<dyn BufRead + Send>,
    /// Standard output is a terminal.
    pub stdout_is_terminal: bool,
    /// Standard error is a terminal.
    pub stderr_is_terminal: bool,
    /// Standard input is a terminal.
    pub stdin_is_terminal: bool,
    /// What is wrapped around the engine; nothing but in tests.
    pub hooks: Hooks,
}

impl World {
    /// The world of this process.
    pub fn real() -> Self {
        Self {
            directory: std::env::current_dir().unwrap_or_else(|_| PathBuf::from(".")),
            environment: std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
                .collect(),
            stdout: Box::new(std::io::stdout()),
            stderr: Box::new(std::io::stderr()),
            stdin: Box::new(std::io::BufReader::new(std::io::stdin())),
            stdout_is_terminal: std::io::stdout().is_terminal(),
            stderr_is_terminal: std::io::stderr().is_terminal(),
            stdin_is_terminal: std::io::stdin().is_terminal(),
            hooks: Hooks::default(),
        }
    }
}

impl std::fmt::Debug for World {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("World").field("directory", &self.directory).finish_non_exhaustive()
    }
}
