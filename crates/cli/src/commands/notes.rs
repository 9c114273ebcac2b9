//! `windlass notes`: release notes from the changelog.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use windlass_core::changelog::{Changelog, extract};
use windlass_core::version::{Version, parse_version};

use crate::error::{CommandError, Result};
use crate::exit::Exit;
use crate::facts;
use crate::project::Project;
use crate::report;
use crate::session::Session;

/// Print the release notes of a version
#[derive(Debug, Args)]
pub struct Arguments {
    /// The version, with or without `v`; the latest release when not given
    #[arg(value_name = "VERSION")]
    pub version: Option<String>,
    /// The latest release of the changelog
    #[arg(long, conflicts_with = "version")]
    pub latest: bool,
    /// Write them to a file
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

#[derive(Serialize)]
struct Output<'a> {
    version: String,
    notes: &'a str,
}

/// Prints or writes the notes.
///
/// # Errors
/// When the changelog has no section for the version.
pub fn run(arguments: &Arguments, session: &mut Session) -> Result<Exit> {
    let project = Project::find(session)?;
    let path = &project.config.changelog.path;
    let refused = |error: windlass_core::changelog::ChangelogError| CommandError::invalid(error.to_string());
    let source = facts::changelog(&project)?
        .ok_or_else(|| CommandError::invalid(format!("there is no changelog {path}")))?;
    let read = Changelog::parse(&source).map_err(refused)?;
    let version: Version = match &arguments.version {
        Some(text) => parse_version(text).map_err(|error| CommandError::invalid(error.to_string()))?,
        None => match read.latest() {
            Some((_, release)) => release.version.clone(),
            None => return Err(CommandError::invalid(format!("{path} has no release yet"))),
        },
    };
    let notes = extract(&source, &version).map_err(refused)?.ok_or_else(|| {
        let known: Vec<String> =
            read.releases().map(|(_, release)| release.version.to_string()).take(12).collect();
        let error = CommandError::invalid(format!("{path} has no section for {version}"));
        if known.is_empty() { error } else { error.hint(format!("it has: {}", known.join(", "))) }
    })?;
    if let Some(output) = &arguments.output {
        let place = session.directory.join(output);
        std::fs::write(&place, format!("{notes}\n")).map_err(|error| {
            CommandError::failed(format!("{} cannot be written: {error}", output.display()))
        })?;
        session.report.progress(&report::text::notes_written(&version.to_string(), output));
    }
    if session.report.is_json() {
        session.report.object("notes", &Output { version: version.to_string(), notes: &notes });
    } else if arguments.output.is_none() {
        let text = windlass_core::text::sanitize(&notes);
        session.report.line(&text);
    }
    Ok(Exit::Done)
}
