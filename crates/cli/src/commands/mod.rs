//! The commands: one file each, `Arguments` and `run` in every one.

use clap::Args;

use crate::cli::Command;
use crate::error::Result;
use crate::exit::Exit;
use crate::facts::VersionRequest;
use crate::session::Session;

pub mod bump;
pub mod changelog;
pub mod check;
pub mod completions;
pub mod doctor;
pub mod init;
pub mod man;
pub mod next;
pub mod notes;
pub mod plan;

/// Runs a command.
///
/// # Errors
/// Why it did not do what it was asked.
pub fn run(command: &Command, session: &mut Session) -> Result<Exit> {
    match command {
        Command::Init(arguments) => init::run(arguments, session),
        Command::Check(arguments) => check::run(arguments, session),
        Command::Next(arguments) => next::run(arguments, session),
        Command::Bump(arguments) => bump::run(arguments, session),
        Command::Changelog(arguments) => changelog::run(arguments, session),
        Command::Notes(arguments) => notes::run(arguments, session),
        Command::Plan(arguments) => plan::run(arguments, session),
        Command::Doctor(arguments) => doctor::run(arguments, session),
        Command::Completions(arguments) => completions::run(arguments, session),
        Command::Man(arguments) => man::run(arguments, session),
    }
}

/// Which version: the options that every command about versions takes.
#[derive(Debug, Clone, Default, Args)]
pub struct VersionOptions {
    /// This very version, with or without `v`
    #[arg(long = "version", visible_alias = "set", value_name = "X.Y.Z", conflicts_with_all = ["bump", "hotfix"])]
    pub exact: Option<String>,
    /// This step above the last release, whatever the commits say
    #[arg(long, value_name = "KIND", value_parser = ["patch", "minor", "major"], conflicts_with = "hotfix")]
    pub bump: Option<String>,
    /// An urgent repair of the last release
    #[arg(long)]
    pub hotfix: bool,
    /// Release on this channel: alpha, beta, rc, stable or hotfix
    #[arg(long, value_name = "CHANNEL")]
    pub channel: Option<String>,
}

impl VersionOptions {
    /// As a request.
    pub fn request(&self) -> VersionRequest {
        VersionRequest {
            exact: self.exact.clone(),
            bump: self.bump.clone(),
            hotfix: self.hotfix,
            channel: self.channel.clone(),
        }
    }
}
