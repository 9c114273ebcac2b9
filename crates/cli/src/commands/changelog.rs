//! `windlass changelog`: shows, fills, promotes, checks and generates the changelog.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::Value;
use windlass_actions::adapters::files as workspace;
use windlass_core::changelog::{
    Changelog, ChangelogError, GenerateOptions, LintOptions, PromoteOptions, append_unreleased,
    fill_unreleased, generate, lint, promote,
};
use windlass_core::config::Unit;
use windlass_core::diagnostic::Severity;
use windlass_core::version::parse_version;

use crate::error::{CommandError, Located, Result};
use crate::exit::Exit;
use crate::facts::{self, Repository, VersionRequest};
use crate::files;
use crate::planning::Warnings;
use crate::project::Project;
use crate::releases::{self, Releases};
use crate::session::Session;
use crate::{report, versions};

/// Show, fill, promote, check or generate the changelog
#[derive(Debug, Args)]
pub struct Arguments {
    /// What to do; `show` when not given
    #[command(subcommand)]
    pub command: Option<Verb>,
    /// The changelog of this package
    #[arg(long, value_name = "NAME", global = true)]
    pub package: Option<String>,
}

/// What to do with the changelog.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Print what is not released yet
    Show,
    /// Fill the unreleased section from the commits, when it is empty
    Fill {
        /// Add what is missing where it is not empty; what is there stays as it is
        #[arg(long)]
        append: bool,
        /// Print the result, and change nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Move the unreleased section under the version
    Promote {
        /// The version; the next one when not given
        #[arg(value_name = "VERSION")]
        version: Option<String>,
        /// A release without any entry is meant
        #[arg(long)]
        allow_empty: bool,
        /// Print the result, and change nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Check order, dates, links, groups, and what is missing or there twice
    Lint {
        /// Warnings fail too
        #[arg(long)]
        strict: bool,
    },
    /// Print a whole changelog made from commits and tags
    Generate {
        /// What is not released yet only
        #[arg(long)]
        unreleased: bool,
        /// Write it to a file
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

#[derive(Serialize)]
struct Output<'a> {
    path: &'a str,
    changed: bool,
    text: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    diagnostics: Vec<Value>,
}

/// Does what was asked.
///
/// # Errors
/// When there is no changelog, or it cannot be read or changed.
pub fn run(arguments: &Arguments, session: &mut Session) -> Result<Exit> {
    let project = Project::find(session)?;
    let unit = project
        .config
        .unit(arguments.package.as_deref())
        .map_err(|error| CommandError::invalid(error.to_string()))?;
    if let Some(Verb::Generate { unreleased, output }) = &arguments.command {
        return whole(session, &project, &unit, *unreleased, output.as_ref());
    }
    let path = unit.changelog.clone();
    let source = files::read_if_there(&project.root.join(&path), &path, files::LARGEST_FILE)?;
    let source = source.ok_or_else(|| {
        CommandError::invalid(format!("there is no changelog {path}"))
            .hint("make one with `windlass init`, or name it under [changelog] path in windlass.toml")
    })?;
    match arguments.command.as_ref().unwrap_or(&Verb::Show) {
        Verb::Fill { append, dry_run } => {
            let commits = unreleased_commits(&project, &unit)?;
            let options = releases::entry_options(&project);
            let filled = match append {
                true => append_unreleased(&source, &commits, &options),
                false => fill_unreleased(&source, &commits, &options),
            };
            write(session, &project, &path, &source, &filled.map_err(refused)?, *dry_run)?;
        }
        Verb::Promote { version, allow_empty, dry_run } => {
            let options = PromoteOptions {
                tag_format: unit.tag.clone(),
                site: project.config.notes.url.as_deref().and_then(windlass_core::changelog::Site::new),
                allow_empty: *allow_empty,
            };
            let version = match version {
                Some(text) => {
                    parse_version(text).map_err(|error| CommandError::invalid(error.to_string()))?
                }
                None => {
                    let repository = Repository::read_history(&project)?;
                    let stated = versions::stated(&project, &unit)?;
                    let package = unit.package.clone();
                    let request = VersionRequest { package, ..VersionRequest::default() };
                    facts::next(&project, &repository, stated.as_ref(), &request)?.decision.version
                }
            };
            let promoted = promote(&source, &version, facts::today(&project), &options).map_err(refused)?;
            write(session, &project, &path, &source, &promoted, *dry_run)?;
        }
        Verb::Lint { strict } => return check(session, &project, &unit, source, *strict),
        Verb::Show | Verb::Generate { .. } => {
            let read = Changelog::parse(&source).map_err(refused)?;
            let text = read.unreleased().map_or("", |section| read.body(section).trim());
            show(session, &path, text, false);
        }
    }
    Ok(Exit::Done)
}

fn unreleased_commits(project: &Project, unit: &Unit) -> Result<Vec<windlass_core::commit::Commit>> {
    // A stable release's section tells what its candidates brought, too.
    let releases = Releases::open(project, unit)?;
    releases.commits(releases.released(project)?.stable, None)
}

fn whole(
    session: &mut Session,
    project: &Project,
    unit: &Unit,
    unreleased: bool,
    output: Option<&PathBuf>,
) -> Result<Exit> {
    let releases = Releases::open(project, unit)?;
    let mut entries = releases::entry_options(project);
    entries.site = releases::site(project)?;
    let template = project.config.changelog.template.as_deref();
    let template = template.map(|path| releases::template(project, path)).transpose()?;
    let options = GenerateOptions { entries, template };
    let told = |error: &dyn std::fmt::Display| CommandError::failed(error.to_string());
    if unreleased {
        let last = releases.released(project)?.last;
        let release = windlass_core::changelog::GeneratedRelease {
            previous_tag: last.map(|last| last.tag.clone()),
            commits: releases.commits(last, None)?,
            ..Default::default()
        };
        let text = windlass_core::changelog::section(&release, &options)
            .map_err(|error| CommandError::invalid(error.to_string()))?;
        return finish(session, &unit.changelog, output, &text);
    }
    if session.report.is_json() {
        let mut text = String::new();
        generate(releases.all()?, &options, &mut text).map_err(|error| told(&error))?;
        return finish(session, &unit.changelog, output, &text);
    }
    match output {
        // Written as it comes: a long history is never whole in memory.
        Some(path) => {
            let place = session.directory.join(path);
            let shown = path.display();
            let cannot =
                |error: std::io::Error| CommandError::failed(format!("{shown} cannot be written: {error}"));
            let file = std::fs::File::create(&place).map_err(cannot)?;
            let mut sink = FileSink { file: std::io::BufWriter::new(file), error: None };
            let done = generate(releases.all()?, &options, &mut sink);
            if let Some(error) = sink.error.take() {
                return Err(cannot(error));
            }
            done.map_err(|error| told(&error))?;
            std::io::Write::flush(&mut sink.file).map_err(cannot)?;
            session.report.progress(&report::text::changelog_generated(path));
        }
        None => {
            let mut sink = ReportSink { session, held: String::new() };
            generate(releases.all()?, &options, &mut sink).map_err(|error| told(&error))?;
            let rest = std::mem::take(&mut sink.held);
            if !rest.is_empty() {
                session.report.line(&rest);
            }
        }
    }
    Ok(Exit::Done)
}

fn finish(session: &mut Session, path: &str, output: Option<&PathBuf>, text: &str) -> Result<Exit> {
    if let Some(output) = output {
        std::fs::write(session.directory.join(output), text).map_err(|error| {
            CommandError::failed(format!("{} cannot be written: {error}", output.display()))
        })?;
        session.report.progress(&report::text::changelog_generated(output));
    }
    if session.report.is_json() || output.is_none() {
        show(session, path, text, false);
    }
    Ok(Exit::Done)
}

/// A file as the core writes to it.
struct FileSink {
    file: std::io::BufWriter<std::fs::File>,
    error: Option<std::io::Error>,
}

impl std::fmt::Write for FileSink {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        std::io::Write::write_all(&mut self.file, text.as_bytes()).map_err(|error| {
            self.error = Some(error);
            std::fmt::Error
        })
    }
}

/// The terminal as the core writes to it: whole lines, a section at a time.
struct ReportSink<'a> {
    session: &'a mut Session,
    held: String,
}

impl std::fmt::Write for ReportSink<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.held.push_str(text);
        if let Some(end) = self.held.rfind('\n') {
            let rest = self.held.split_off(end + 1);
            self.held.truncate(end);
            let lines = windlass_core::text::sanitize(&std::mem::replace(&mut self.held, rest));
            self.session.report.line(&lines);
        }
        Ok(())
    }
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
        session.report.object("changelog", &Output { path, changed, text, diagnostics: Vec::new() });
    } else {
        let text = windlass_core::text::sanitize(text.trim_end());
        session.report.line(&text);
    }
}

fn check(
    session: &mut Session,
    project: &Project,
    unit: &Unit,
    source: String,
    strict: bool,
) -> Result<Exit> {
    let path = &unit.changelog;
    let options = LintOptions {
        today: Some(facts::today(project)),
        tag_format: unit.tag.clone(),
        generated: project.config.changelog.generated,
    };
    let findings = lint(&source, &options);
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
    let count = findings.len();
    let located = findings.into_iter().map(|diagnostic| Located { path: path.clone(), diagnostic }).collect();
    let sources = [(path.clone(), source.into())].into();
    if errors > 0 || (strict && count > 0) {
        let message = report::text::check_failed(errors, count - errors);
        return Err(CommandError::invalid(message).with_diagnostics(located, sources));
    }
    let warnings = Warnings { located, sources };
    let diagnostics = report::diagnostics_object(&warnings.located, &warnings.sources);
    session.report.warnings(&warnings);
    if session.report.is_json() {
        session.report.object("changelog", &Output { path, changed: false, text: "", diagnostics });
    } else if count == 0 {
        session.report.progress(&report::text::changelog_clean(path));
    } else {
        let mut text = report::text::findings(count);
        let _ = write!(text, " in {}, none an error", windlass_core::text::sanitize_line(path));
        session.report.progress(&text);
    }
    Ok(Exit::Done)
}

fn refused(error: ChangelogError) -> CommandError {
    CommandError::invalid(error.to_string())
}
