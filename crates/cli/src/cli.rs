//! The arguments that every command shares, and the list of commands.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::commands;

/// Releases from a Markdown runbook: planned, approved, durable, and undone when it must be.
#[derive(Debug, Parser)]
#[command(name = "windlass", version, propagate_version = false, disable_help_subcommand = true)]
#[command(
    after_help = "Exit codes: 0 done, 1 failed, 2 usage or invalid, 3 nothing to release, 4 waiting or \
    refused, 5 frozen, 6 rolled back, 7 resumable, 8 a message failed."
)]
pub struct Cli {
    /// Options that every command takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options that every command takes.
#[derive(Debug, Clone, Default, Args)]
pub struct Global {
    /// Print one JSON object on standard output instead of text
    #[arg(long, global = true, help_heading = "Global options")]
    pub json: bool,
    /// Never ask a question
    #[arg(long, global = true, help_heading = "Global options")]
    pub no_input: bool,
    /// Answer yes to every question
    #[arg(short, long, global = true, help_heading = "Global options")]
    pub yes: bool,
    /// Work in this folder
    #[arg(short = 'C', long, global = true, value_name = "FOLDER", help_heading = "Global options")]
    pub directory: Option<PathBuf>,
    /// When to use colour
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "WHEN",
        help_heading = "Global options"
    )]
    pub color: ColorChoice,
    /// Read this configuration instead of windlass.toml
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options")]
    pub config: Option<PathBuf>,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Set up a repository: configuration, runbook, changelog
    Init(commands::init::Arguments),
    /// Check runbooks and configuration
    Check(commands::check::Arguments),
    /// Print the next version
    Next(commands::next::Arguments),
    /// Write the next version into every file that states it, and commit
    Bump(commands::bump::Arguments),
    /// Show, fill, promote or check the changelog
    Changelog(commands::changelog::Arguments),
    /// Print the release notes of a version
    Notes(commands::notes::Arguments),
    /// Show exactly what a run would do
    Plan(commands::plan::Arguments),
    /// Execute a runbook, or a plan that was written to a file
    Run(commands::run::Arguments),
    /// List runs
    Runs(commands::runs::Arguments),
    /// Show how a run stands, and who must do what
    Status(commands::status::Arguments),
    /// Print what the items of a run logged
    Logs(commands::logs::Arguments),
    /// Say yes at a gate
    Approve(commands::decide::Arguments),
    /// Say no at a gate
    Reject(commands::decide::Arguments),
    /// Confirm that something is true, or that it took effect
    Confirm(commands::decide::Arguments),
    /// Let an item pass without doing it; the reason is kept
    Skip(commands::skip::Arguments),
    /// Run a failed item again, and go on
    Retry(commands::retry::Arguments),
    /// Go on with a run where it stopped
    Resume(commands::resume::Arguments),
    /// Stop a run for good
    Cancel(commands::cancel::Arguments),
    /// Take back what a run did
    Rollback(commands::rollback::Arguments),
    /// Show what each environment has, and what really runs there
    Env(commands::env::Arguments),
    /// Show or break the lock of an environment
    Lock(commands::lock::Arguments),
    /// Show how often releases were downloaded, and the issues about them
    Adoption(commands::adoption::Arguments),
    /// Check or print the history of runs
    Audit(commands::audit::Arguments),
    /// Judge again what watches measured
    Watch(commands::watch::Arguments),
    /// Show a release and a rollback in a sample project
    Demo(commands::demo::Arguments),
    /// Serve the folder of the demo's service
    #[command(hide = true)]
    DemoService(commands::demo_service::Arguments),
    /// Look for what could keep a release from working
    Doctor(commands::doctor::Arguments),
    /// Print the completion script of a shell
    Completions(commands::completions::Arguments),
    /// Write the manual pages
    Man(commands::man::Arguments),
}
