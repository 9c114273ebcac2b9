//! `windlass demo`: a sample project released, released badly, and rolled back.

use clap::Args;

use crate::demo::{self, Options};
use crate::error::Result;
use crate::exit::Exit;
use crate::session::Session;

/// Show a release and a rollback in a sample project.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Makes a git repository, a bare remote and a small HTTP service in a new folder, and releases \
    twice: a good version, and a bad one that the watch catches and the runbook rolls back. Needs git and bash, and \
    touches nothing outside the folder. The folder stays, to be explored; --directory names it, and then it must be \
    empty or not there yet."
)]
pub struct Arguments {
    /// Watch for 3 seconds instead of 12
    #[arg(long)]
    pub fast: bool,
    /// Leave the service running
    #[arg(long)]
    pub keep: bool,
}

/// Shows it.
///
/// # Errors
/// When it did not go as it should.
pub fn run(arguments: &Arguments, session: &mut Session) -> Result<Exit> {
    demo::run(session, &Options { fast: arguments.fast, keep: arguments.keep })
}
