//! The command line of Windlass: reads arguments, gathers what a command needs, renders what came of it.
//!
//! Invariants of absence: nothing but [`report`] writes to the terminal, and no human text of a command is written
//! elsewhere. Commands return data and [`exit::Exit`]; they never exit the process themselves.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser as _;

pub mod catalogue;
pub mod checking;
pub mod cli;
pub mod commands;
pub mod commit;
pub mod defaults;
pub mod demo;
pub mod error;
pub mod exit;
pub mod facts;
pub mod files;
pub mod forge;
mod half_done;
pub mod holders;
pub mod looks;
pub mod notes;
pub mod planning;
pub mod preflight;
pub mod project;
pub mod releases;
pub mod report;
pub mod runner;
pub mod session;
pub mod starter;
pub mod versions;
mod withdrawn;
pub mod world;

pub use session::Session;
pub use world::World;

use exit::Exit;

/// Runs the command that `args` name (the program's name first) in `world`.
pub fn run(args: impl IntoIterator<Item = OsString>, world: World) -> ExitCode {
    ExitCode::from(run_to_exit(args, world).code())
}

/// The command line itself, for the generated reference.
pub fn command() -> clap::Command {
    <cli::Cli as clap::CommandFactory>::command()
}

/// As [`run`], with the exit as data.
pub fn run_to_exit(args: impl IntoIterator<Item = OsString>, world: World) -> Exit {
    let args: Vec<OsString> = args.into_iter().collect();
    match cli::Cli::try_parse_from(&args) {
        Ok(cli) => {
            let mut session = Session::new(cli.global, world);
            match commands::run(&cli.command, &mut session) {
                Ok(exit) => exit,
                Err(error) => {
                    session.report.error(&error);
                    error.exit
                }
            }
        }
        Err(refused) => report::arguments(&refused, &args, world),
    }
}
