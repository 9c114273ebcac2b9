//! `windlass man`: the manual pages.

use std::path::PathBuf;

use clap::{Args, CommandFactory as _};

use crate::cli::Cli;
use crate::error::{CommandError, Result};
use crate::exit::Exit;
use crate::report;
use crate::session::Session;

/// Write the manual pages
#[derive(Debug, Args)]
pub struct Arguments {
    /// The folder to write them to
    #[arg(long, value_name = "FOLDER")]
    pub out: PathBuf,
}

/// Writes one page per command.
///
/// # Errors
/// When a page cannot be written.
pub fn run(arguments: &Arguments, session: &mut Session) -> Result<Exit> {
    let folder = session.directory.join(&arguments.out);
    let failed = |error: std::io::Error| {
        CommandError::failed(format!("{} cannot be written: {error}", arguments.out.display()))
    };
    std::fs::create_dir_all(&folder).map_err(failed)?;
    clap_mangen::generate_to(Cli::command(), &folder).map_err(failed)?;
    session.report.progress(&report::text::manual_written(&arguments.out));
    if session.report.is_json() {
        session.report.object("man", &serde_json::json!({ "folder": arguments.out }));
    }
    Ok(Exit::Done)
}
