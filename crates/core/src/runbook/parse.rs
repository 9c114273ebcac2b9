//! Markdown into a [`Runbook`].

use super::Runbook;
use crate::diagnostic::Diagnostic;

/// What reading gave: a runbook as far as it could be read, and every finding.
#[derive(Debug)]
pub struct Parsed {
    /// The runbook.
    pub runbook: Runbook,
    /// Every finding, in the order of the source.
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads a runbook.
pub fn parse(_source: &str) -> Parsed {
    Parsed { runbook: Runbook::default(), diagnostics: Vec::new() }
}
