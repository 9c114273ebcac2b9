//! `windlass changelog`: shows, fills, promotes and checks the changelog.

use clap::{Args, Subcommand};
use serde::Serialize;
use windlass_actions::adapters::files as workspace;
use windlass_core::changelog::{Changelog, ChangelogError, PromoteOptions, fill_unreleased, promote};
use windlass_core::commit::Commit;
use windlass_core::diagnostic::Diagnostic;
use windlass_core::version::parse_version;

use crate::error::{CommandError, Located, Result};
use crate::exit::Exit;
use crate::facts::{self, Repository, VersionRequest};
use crate::project::Project;
use crate::session::Session;
use crate::{holders, report};

/// Show, fill, promote or check the changelog
#[derive(Debug, Args)]
pub struct Arguments {
    /// What to do; `show` when not given
    #[command(subcommand)]
    pub command: Option<Verb>,
}

/// What to do with the changelog.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Print what is not released yet
    Show,
    /// Fill the unreleased section from the commits, when it is empty
    Fill {
        /// Print the result, and change nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Move the unreleased section under the version
    Promote {
        /// The version; the next one when not given
        #[arg(value_name = "VERSION")]
        version: Option<String>,
        /// Print the result, and change nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Check that it can be read and that every release has its entries
    Lint,
}

#[derive(Serialize)]
struct Output<'a> {
    path: &'a str,
    changed: bool,
    text: &'a str,
}

/// Does what was asked.
///
/// # Errors
/// When there is no changelog, or it cannot be read or changed.
pub fn run(arguments: &Arguments, session: &mut Session) -> Result<Exit> {
    let project = Project::find(session)?;
    let path = project.config.changelog.path.clone();
    let source = facts::changelog(&project)?.ok_or_else(|| {
        CommandError::invalid(format!("there is no changelog {path}"))
            .hint("make one with `windlass init`, or name it under [changelog] path in windlass.toml")
    })?;
    match arguments.command.as_ref().unwrap_or(&Verb::Show) {
        Verb::Show => {
            let read = Changelog::parse(&source).map_err(refused)?;
            let text = read.unreleased().map_or("", |section| read.body(section).trim());
            show(session, &path, text, false);
        }
        Verb::Fill { dry_run } => {
            let filled = fill_unreleased(&source, &unreleased_commits(&project)?).map_err(refused)?;
            write(session, &project, &path, &source, &filled, *dry_run)?;
        }
        Verb::Promote { version, dry_run } => {
            let options = PromoteOptions { tag_format: facts::policy(&project)?.tag_format };
            let version = match version {
                Some(text) => {
                    parse_version(text).map_err(|error| CommandError::invalid(error.to_string()))?
                }
                None => {
                    let repository = Repository::read(&project)?;
                    let stated = holders::agreed(&holders::read(&project)?)?;
                    facts::next(&project, &repository, stated.as_ref(), &VersionRequest::default())?
                        .decision
                        .version
                }
            };
            let promoted = promote(&source, &version, facts::today(&project), &options).map_err(refused)?;
            write(session, &project, &path, &source, &promoted, *dry_run)?;
        }
        Verb::Lint => return lint(session, &path, source),
    }
    Ok(Exit::Done)
}

fn unreleased_commits(project: &Project) -> Result<Vec<Commit>> {
    let repository = Repository::read(project)?;
    repository.require_history()?;
    let policy = facts::policy(project)?;
    facts::commits_since_release(project, &repository, &policy)
}

fn write(
    session: &mut Session,
    project: &Project,
    path: &str,
    source: &str,
    text: &str,
    dry_run: bool,
) -> Result<()> {
    let changed = source != text;
    if changed && !dry_run {
        workspace::replace(&project.root, &[(path.to_owned(), text.to_owned())]).map_err(facts::failed)?;
    }
    match session.report.is_json() || dry_run {
        true => show(session, path, text, changed),
        false => session.report.progress(&report::text::changelog_written(path, changed)),
    }
    Ok(())
}

fn show(session: &mut Session, path: &str, text: &str, changed: bool) {
    if session.report.is_json() {
        session.report.object("changelog", &Output { path, changed, text });
    } else {
        let text = windlass_core::text::sanitize(text.trim_end());
        session.report.line(&text);
    }
}

fn lint(session: &mut Session, path: &str, source: String) -> Result<Exit> {
    let read = match Changelog::parse(&source) {
        Ok(read) => read,
        Err(error) => return Err(refused(error)),
    };
    let mut findings = Vec::new();
    if read.unreleased().is_none() {
        findings.push(
            Diagnostic::error("no-unreleased", "there is no section for what is not released yet", None)
                .help("add `## [Unreleased]` above the latest release"),
        );
    }
    for (section, release) in read.releases() {
        if release.date.is_none() {
            let message = format!("the release {} has no date", release.version);
            findings.push(
                Diagnostic::error("no-date", message, section.heading)
                    .help("write it as `## [1.2.3] - 2026-01-31`"),
            );
        }
        if !section.has_content {
            let message = format!("the release {} has no entry", release.version);
            findings.push(Diagnostic::error("no-entry", message, section.heading));
        }
    }
    if findings.is_empty() {
        session.report.progress(&report::text::changelog_clean(path));
        if session.report.is_json() {
            session.report.object("changelog", &Output { path, changed: false, text: "" });
        }
        return Ok(Exit::Done);
    }
    let message = report::text::findings(findings.len());
    let located = |diagnostic| Located { path: path.to_owned(), diagnostic };
    let sources = [(path.to_owned(), source.into())].into();
    Err(CommandError::failed(message).with_diagnostics(findings.into_iter().map(located).collect(), sources))
}

fn refused(error: ChangelogError) -> CommandError {
    CommandError::invalid(error.to_string())
}
