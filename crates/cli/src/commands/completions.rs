//! `windlass completions`: the completion script of a shell.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::cli::Cli;
use crate::error::Result;
use crate::exit::Exit;
use crate::session::Session;

/// Print the completion script of a shell.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The shell
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Prints the script.
///
/// # Errors
/// Never.
pub fn run(arguments: &Arguments, session: &mut Session) -> Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "windlass", &mut script);
    session.report.data(&String::from_utf8_lossy(&script));
    Ok(Exit::Done)
}
