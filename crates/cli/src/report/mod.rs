//! The only place that writes to the terminal: data on standard output, progress and errors on standard error.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write;
use std::sync::Arc;

use anstyle::{AnsiColor, Style};
use serde::Serialize;
use serde_json::{Value, json};
use windlass_core::diagnostic::line_and_column;
use windlass_core::text::sanitize;

use crate::cli::ColorChoice;
use crate::error::{CommandError, Located};
use crate::exit::Exit;
use crate::planning::Warnings;
use crate::world::World;

pub mod adoption;
pub mod chart;
pub mod ending;
pub mod environments;
pub mod live;
pub mod picture;
pub mod plain;
pub mod plan;
mod snippet;
pub mod status;
pub mod text;
pub mod view;
pub mod words;

pub use snippet::render as render_diagnostic;

/// Writes for one command.
pub struct Report {
    json: bool,
    /// GitHub reads the log: its older commands are found anywhere in a line, so none of others' may get there.
    github: bool,
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    /// How standard output is painted.
    pub out_paint: Paint,
    /// How standard error is painted.
    pub err_paint: Paint,
    /// Standard error is a terminal: progress may be redrawn.
    pub live: bool,
}

/// Paints text, or leaves it plain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paint {
    /// Whether colour is used.
    pub color: bool,
}

impl Paint {
    /// `text` in `style`.
    pub fn styled(self, style: Style, text: &str) -> String {
        if self.color { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    /// A title.
    pub fn bold(self, text: &str) -> String {
        self.styled(Style::new().bold(), text)
    }

    /// Something less important.
    pub fn dim(self, text: &str) -> String {
        self.styled(Style::new().dimmed(), text)
    }

    /// Good news.
    pub fn good(self, text: &str) -> String {
        self.styled(Style::new().fg_color(Some(AnsiColor::Green.into())), text)
    }

    /// Something to look at.
    pub fn warn(self, text: &str) -> String {
        self.styled(Style::new().fg_color(Some(AnsiColor::Yellow.into())), text)
    }

    /// Bad news.
    pub fn bad(self, text: &str) -> String {
        self.styled(Style::new().bold().fg_color(Some(AnsiColor::Red.into())), text)
    }
}

impl Report {
    /// A report onto streams, each with whether it is a terminal.
    pub fn new(
        json: bool,
        color: ColorChoice,
        environment: &BTreeMap<String, String>,
        out: (Box<dyn Write + Send>, bool),
        err: (Box<dyn Write + Send>, bool),
    ) -> Self {
        let plain = environment.get("NO_COLOR").is_some_and(|value| !value.is_empty())
            || environment.get("TERM").is_some_and(|value| value == "dumb");
        let paint = |terminal: bool| Paint {
            color: match color {
                ColorChoice::Always => true,
                ColorChoice::Never => false,
                ColorChoice::Auto => terminal && !plain,
            },
        };
        Self {
            json,
            github: environment.get("GITHUB_ACTIONS").is_some_and(|value| value == "true"),
            out_paint: paint(out.1),
            err_paint: paint(err.1),
            live: err.1 && !json && environment.get("TERM").is_none_or(|value| value != "dumb"),
            out: out.0,
            err: err.0,
        }
    }

    /// Whether GitHub reads the log.
    pub fn is_github(&self) -> bool {
        self.github
    }

    /// Whether one JSON object is asked for instead of text.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Writes text as it is to standard output. A reader that went away is not an error.
    pub fn data(&mut self, text: &str) {
        let _ = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush());
    }

    /// Writes a line of data.
    pub fn line(&mut self, text: &str) {
        self.data(&format!("{text}\n"));
    }

    /// Writes one JSON object whose `schema` is `windlass/NAME/1`.
    pub fn object<T: Serialize>(&mut self, name: &str, value: &T) {
        let mut object = serde_json::to_value(value).unwrap_or(Value::Null);
        if let Value::Object(fields) = &mut object {
            fields.insert("schema".into(), format!("windlass/{name}/1").into());
        }
        self.line(&format!("{object:#}"));
    }

    /// Writes a line of progress; nothing when JSON is asked for.
    pub fn progress(&mut self, text: &str) {
        if !self.json {
            self.stderr(&format!("{}\n", sanitize_painted(text, self.err_paint)));
        }
    }

    /// Writes a question without a newline.
    pub fn question(&mut self, text: &str) {
        self.stderr(&format!("{} [y/N] ", sanitize(text)));
    }

    /// Writes text as it is to standard error.
    pub fn stderr(&mut self, text: &str) {
        let text = if self.github { &text.replace("##[", "# #[") } else { text };
        let _ = self.err.write_all(text.as_bytes()).and_then(|()| self.err.flush());
    }

    /// Writes findings that do not stop the command; nothing when JSON is asked for.
    pub fn warnings(&mut self, warnings: &Warnings) {
        if !self.json {
            let text = self.snippets(&warnings.located, &warnings.sources);
            self.stderr(&text);
        }
    }

    fn snippets(&self, diagnostics: &[Located], sources: &BTreeMap<String, Arc<str>>) -> String {
        let mut text = String::new();
        for located in diagnostics {
            let source = sources.get(&located.path).map(AsRef::as_ref);
            text.push_str(&snippet::render(&located.path, source, &located.diagnostic, self.err_paint));
            text.push('\n');
        }
        text
    }

    /// Writes an error: findings first, then what happened, then what to do next.
    pub fn error(&mut self, error: &CommandError) {
        if self.json {
            let object = error_object(error);
            self.object("error", &object);
            return;
        }
        let mut text = self.snippets(&error.diagnostics, &error.sources);
        text.push_str(&format!("{} {}\n", self.err_paint.bad("error:"), sanitize(&error.message)));
        for hint in &error.hints {
            text.push_str(&format!("  {} {}\n", self.err_paint.bold("help:"), sanitize(hint)));
        }
        self.stderr(&text);
    }
}

impl std::fmt::Debug for Report {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Report").field("json", &self.json).finish_non_exhaustive()
    }
}

/// What clap says: help and version on standard output, refusals on standard error.
pub fn arguments(refused: &clap::Error, args: &[OsString], mut world: World) -> Exit {
    let terminal = if refused.use_stderr() { world.stderr_is_terminal } else { world.stdout_is_terminal };
    let plain = world.environment.get("NO_COLOR").is_some_and(|value| !value.is_empty());
    let rendered = refused.render();
    let text = if terminal && !plain { rendered.ansi().to_string() } else { rendered.to_string() };
    if refused.use_stderr() {
        if args.iter().any(|argument| argument == "--json") {
            let message = text.trim().trim_start_matches("error: ").to_owned();
            let mut report = Report::new(
                true,
                ColorChoice::Never,
                &world.environment,
                (world.stdout, false),
                (world.stderr, false),
            );
            report.error(&CommandError::invalid(message));
        } else {
            let _ = world.stderr.write_all(text.as_bytes());
        }
        return Exit::Invalid;
    }
    let _ = world.stdout.write_all(text.as_bytes());
    Exit::Done
}

/// Findings as data.
pub fn diagnostics_object(diagnostics: &[Located], sources: &BTreeMap<String, Arc<str>>) -> Vec<Value> {
    diagnostics
        .iter()
        .map(|located| {
            let finding = &located.diagnostic;
            let place = finding
                .span
                .zip(sources.get(&located.path))
                .map(|(span, source)| line_and_column(source, span.start));
            json!({
                "file": located.path,
                "line": place.map(|place| place.0),
                "column": place.map(|place| place.1),
                "severity": finding.severity,
                "code": finding.code,
                "message": sanitize(&finding.message),
                "help": finding.help.as_deref().map(sanitize),
            })
        })
        .collect()
}

fn error_object(error: &CommandError) -> Value {
    let mut object = json!({
        "exit": error.exit.code(),
        "kind": error.exit,
        "message": sanitize(&error.message),
        "hints": error.hints.iter().map(|hint| sanitize(hint)).collect::<Vec<_>>(),
        "diagnostics": diagnostics_object(&error.diagnostics, &error.sources),
    });
    if let (Value::Object(fields), Some(found)) = (&mut object, &error.found) {
        fields.extend((**found).clone());
    }
    object
}

/// Text that Windlass may have painted itself: escapes are only stripped where none of ours can be.
fn sanitize_painted(text: &str, paint: Paint) -> String {
    if paint.color { text.to_owned() } else { sanitize(text) }
}
