//! A [`super::Runbook`] back into Markdown.
