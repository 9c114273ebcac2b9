//! A [`super::Runbook`] back into Markdown.

use super::Runbook;

/// The canonical Markdown.
pub fn print(_runbook: &Runbook) -> String {
    String::new()
}
