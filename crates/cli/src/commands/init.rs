//! `windlass init`: sets up a repository, and never overwrites a file.

use clap::Args;
use serde::Serialize;
use windlass_actions::adapters::files as workspace;

use crate::error::{CommandError, Result};
use crate::exit::Exit;
use crate::facts::{self, Repository};
use crate::project::{CONFIG, Project};
use crate::session::Session;
use crate::{report, starter};

/// Set up a repository: configuration, runbook, changelog
#[derive(Debug, Args)]
pub struct Arguments {
    /// Write the files, and do not commit
    #[arg(long)]
    pub no_commit: bool,
}

/// What was done.
#[derive(Debug, Default, Serialize)]
pub struct Output {
    /// What was found, in a sentence.
    pub found: String,
    /// Files that were written.
    pub written: Vec<String>,
    /// Files that were there and stay as they are.
    pub kept: Vec<String>,
    /// The commit, when one was made.
    pub commit: Option<String>,
}

/// Writes what is missing.
///
/// # Errors
/// When nobody says yes, and when a file cannot be written; then none was.
pub fn run(arguments: &Arguments, session: &mut Session) -> Result<Exit> {
    let project = Project::open(session)?;
    let repository = Repository::read(&project)?;
    let starter = starter::files(&project, &repository)?;
    let mut output = Output { found: starter.found, ..Output::default() };
    let mut texts = Vec::new();
    for (path, text) in starter.files {
        match project.root.join(&path).symlink_metadata() {
            Ok(_) => output.kept.push(path),
            Err(_) => texts.push((path, text)),
        }
    }
    let commits = !arguments.no_commit && !texts.is_empty();
    if !session.report.is_json() {
        let text = report::text::init_plan(&output, &texts, session.report.err_paint);
        session.report.stderr(&text);
    }
    if !texts.is_empty() {
        match session.confirm(report::text::init_question(commits)) {
            Some(true) => {}
            Some(false) => return Err(CommandError::new(Exit::Waiting, "nothing was written")),
            None => {
                return Err(CommandError::invalid("nobody can be asked here, so nothing was written")
                    .hint("answer yes with --yes"));
            }
        }
        workspace::replace(&project.root, &texts).map_err(facts::failed)?;
        output.written = texts.into_iter().map(|(path, _)| path).collect();
    }
    if commits {
        output.commit = Some(
            crate::commit::paths(&project, &output.written, "chore: add windlass").map_err(|error| {
                error.hint(format!(
                    "the files are written; commit them yourself: {}",
                    output.written.join(", ")
                ))
            })?,
        );
    }
    debug_assert!(output.kept.iter().chain(&output.written).any(|path| path == CONFIG));
    if session.report.is_json() {
        session.report.object("init", &output);
    } else {
        let text = report::text::init_done(&output);
        session.report.data(&text);
    }
    Ok(Exit::Done)
}
