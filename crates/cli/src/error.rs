//! Why a command did not do what it was asked, for people and as data.

use std::collections::BTreeMap;
use std::sync::Arc;

pub use windlass_core::plan::bind::Located;

use crate::exit::Exit;

/// What commands give.
pub type Result<T, E = CommandError> = std::result::Result<T, E>;

/// Why a command did not do what it was asked.
#[derive(Debug, Clone, PartialEq)]
pub struct CommandError {
    /// The exit code it leads to.
    pub exit: Exit,
    /// What happened, in a sentence without a final full stop.
    pub message: String,
    /// What to do next, each in a sentence.
    pub hints: Vec<String>,
    /// Findings in files, shown before the message.
    pub diagnostics: Vec<Located>,
    /// Texts of the files that findings are about, by path.
    pub sources: BTreeMap<String, Arc<str>>,
    /// What was found out all the same, for programs that read the error: fields by name.
    pub found: Option<Box<serde_json::Map<String, serde_json::Value>>>,
}

impl CommandError {
    /// An error with an exit code.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            hints: Vec::new(),
            diagnostics: Vec::new(),
            sources: BTreeMap::new(),
            found: None,
        }
    }

    /// It failed (exit code 1).
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, message)
    }

    /// What was asked cannot be done as asked (exit code 2).
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Exit::Invalid, message)
    }

    /// The same error with advice on what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The same error with findings in files.
    #[must_use]
    pub fn with_diagnostics(
        mut self,
        diagnostics: Vec<Located>,
        sources: BTreeMap<String, Arc<str>>,
    ) -> Self {
        self.diagnostics.extend(diagnostics);
        self.sources.extend(sources);
        self
    }
}

impl std::fmt::Display for CommandError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for CommandError {}
