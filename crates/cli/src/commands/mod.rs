//! The commands: one file each, `Arguments` and `run` in every one.

use clap::Args;

use crate::cli::Command;
use crate::error::Result;
use crate::exit::Exit;
use crate::facts::VersionRequest;
use crate::session::Session;

pub mod adoption;
pub mod audit;
pub mod bump;
pub mod cancel;
pub mod changelog;
pub mod check;
pub mod completions;
pub mod decide;
pub mod demo;
pub mod demo_service;
pub mod doctor;
pub mod env;
pub mod init;
pub mod lock;
pub mod logs;
pub mod man;
pub mod next;
pub mod notes;
pub mod plan;
pub mod resume;
pub mod retry;
pub mod rollback;
pub mod run;
pub mod runs;
pub mod skip;
pub mod status;
pub mod watch;

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
        Command::Run(arguments) => run::run(arguments, session),
        Command::Runs(arguments) => runs::run(arguments, session),
        Command::Status(arguments) => status::run(arguments, session),
        Command::Logs(arguments) => logs::run(arguments, session),
        Command::Approve(arguments) => decide::run(arguments, decide::Verb::Approve, session),
        Command::Reject(arguments) => decide::run(arguments, decide::Verb::Reject, session),
        Command::Confirm(arguments) => decide::run(arguments, decide::Verb::Confirm, session),
        Command::Skip(arguments) => skip::run(arguments, session),
        Command::Retry(arguments) => retry::run(arguments, session),
        Command::Resume(arguments) => resume::run(arguments, session),
        Command::Cancel(arguments) => cancel::run(arguments, session),
        Command::Rollback(arguments) => rollback::run(arguments, session),
        Command::Env(arguments) => env::run(arguments, session),
        Command::Lock(arguments) => lock::run(arguments, session),
        Command::Adoption(arguments) => adoption::run(arguments, session),
        Command::Audit(arguments) => audit::run(arguments, session),
        Command::Watch(arguments) => watch::run(arguments, session),
        Command::Demo(arguments) => demo::run(arguments, session),
        Command::DemoService(arguments) => demo_service::run(arguments, session),
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
    /// Release on this channel: alpha, beta, rc, stable, hotfix, or the project's own word
    #[arg(long, value_name = "CHANNEL")]
    pub channel: Option<String>,
    /// Make this pre-release stable, on the very commit that was tested
    #[arg(long, value_name = "TAG", conflicts_with_all = ["exact", "bump", "hotfix"])]
    pub promote: Option<String>,
    /// This package of the repository
    #[arg(long, value_name = "NAME")]
    pub package: Option<String>,
}

impl VersionOptions {
    /// As a request.
    pub fn request(&self) -> VersionRequest {
        VersionRequest {
            exact: self.exact.clone(),
            bump: self.bump.clone(),
            hotfix: self.hotfix,
            channel: self.channel.clone(),
            promote: self.promote.clone(),
            package: self.package.clone(),
            at: None,
        }
    }
}

/// Who acts.
#[derive(Debug, Clone, Default, Args)]
pub struct PersonOptions {
    /// Act as this person [default: WINDLASS_PERSON, then git's user.email]
    #[arg(long = "as", value_name = "PERSON")]
    pub person: Option<String>,
}

/// Whether to stay while people are waited for.
#[derive(Debug, Clone, Default, Args)]
pub struct WaitOptions {
    /// Stay while people are waited for [default: on a terminal]
    #[arg(long, overrides_with = "no_wait")]
    pub wait: bool,
    /// Leave with exit code 4 when people are waited for [default: off a terminal]
    #[arg(long, overrides_with = "wait")]
    pub no_wait: bool,
}

impl WaitOptions {
    /// Whether to stay.
    pub fn stay(&self, session: &Session) -> bool {
        self.wait || (!self.no_wait && session.is_interactive())
    }
}
