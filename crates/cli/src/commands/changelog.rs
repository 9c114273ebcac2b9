//! `windlass changelog`: shows, fills, promotes, checks and generates the changelog.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::Value;
use windlass_actions::adapters::files as workspace;
use windlass_core::changelog::{
    Changelog, ChangelogError, GenerateOptions, GeneratedRelease, LintOptions, PromoteOptions,
    append_unreleased, fill_unreleased, generate, grouped, insert_section, lint, promote, section,
};
use windlass_core::config::Unit;
use windlass_core::diagnostic::Severity;
use windlass_core::version::Version;

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
    /// What `lint` found; nothing of the other commands.
    #[serde(skip_serializing_if = "Option::is_none")]
    diagnostics: Option<Vec<Value>>,
}

/// More findings of one kind than this are shown as one.
const MOST_OF_A_KIND: usize = 5;

/// Does what was asked.
///
/// # Errors
/// When there is no changelog, or it cannot be read or changed.
pub fn run(arguments: &Arguments, session: &mut Session) -> Result<Exit> {
    let project = Project::find(session)?;
    let package = arguments.package.as_deref();
    let (unit, asked) = match &arguments.command {
        Some(Verb::Promote { version: Some(text), .. }) => {
            let (unit, version) = versions::meant(&project, package, text)?;
            (unit, Some(version))
        }
        _ => (versions::unit(&project, package)?, None),
    };
    let generated = project.config.changelog.generated;
    match &arguments.command {
        Some(Verb::Generate { unreleased, output }) => {
            return whole(session, &project, &unit, *unreleased, output.as_ref());
        }
        // Nobody writes what is not released yet: it is what the commits say.
        None | Some(Verb::Show) if generated => return whole(session, &project, &unit, true, None),
        _ => {}
    }
    let path = unit.changelog.clone();
    let source = files::read_if_there(&project.root.join(&path), &path, files::LARGEST_FILE)?;
    let source = source.ok_or_else(|| {
        CommandError::invalid(format!("there is no changelog {path}"))
            .hint("make one with `windlass init`, or name it under [changelog] path in windlass.toml")
    })?;
    match arguments.command.as_ref().unwrap_or(&Verb::Show) {
        Verb::Fill { dry_run, .. } if generated => {
            session.report.progress(&report::text::changelog_is_generated(&path));
            if session.report.is_json() || *dry_run {
                show(session, &path, &source, false);
            }
        }
        Verb::Fill { append, dry_run } => {
            let commits = unreleased_commits(&project, &unit)?;
            if commits.is_empty() {
                session.report.progress(&report::text::nothing_to_fill(&path));
                if session.report.is_json() || *dry_run {
                    show(session, &path, &source, false);
                }
                return Ok(Exit::Done);
            }
            let options = releases::entry_options(&project);
            let filled = match append {
                true => append_unreleased(&source, &commits, &options),
                false => fill_unreleased(&source, &commits, &options),
            };
            write(session, &project, &path, &source, &filled.map_err(refused)?, *dry_run)?;
        }
        Verb::Promote { allow_empty, dry_run, .. } => {
            let options = PromoteOptions {
                tag_format: unit.tag.clone(),
                site: project.config.notes.url.as_deref().and_then(windlass_core::changelog::Site::new),
                allow_empty: *allow_empty,
            };
            let release = match asked {
                Some(version) if generated => since_last(&project, &unit, version)?,
                Some(version) => GeneratedRelease { version: Some(version), ..GeneratedRelease::default() },
                None => next(&project, &unit)?,
            };
            if generated && unit.package.is_some() && release.commits.is_empty() {
                session.report.progress(&report::text::nothing_to_tell(&path));
                if session.report.is_json() || *dry_run {
                    show(session, &path, &source, false);
                }
                return Ok(Exit::Done);
            }
            let promoted = match (generated, &release.version) {
                (true, Some(version)) => {
                    let section = section(&release, &generate_options(&project, false)?)
                        .map_err(|error| CommandError::invalid(error.to_string()))?;
                    insert_section(&source, version, &section).map(|(promoted, _)| promoted)
                }
                (false, Some(version)) => promote(&source, version, facts::today(&project), &options),
                (_, None) => return Err(CommandError::failed("there is no version to promote to")),
            };
            let promoted = promoted.map_err(|error| {
                let empty = matches!(error, ChangelogError::EmptyUnreleased { .. });
                let error = refused(error);
                if !empty {
                    return error;
                }
                error.hint(
                    "have the commits make them with `windlass changelog fill`, or release without any with \
                     `--allow-empty`",
                )
            })?;
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

/// The next release.
fn next(project: &Project, unit: &Unit) -> Result<GeneratedRelease> {
    let repository = Repository::read_history(project)?;
    let stated = versions::stated(project, unit)?;
    let request = VersionRequest { package: unit.package.clone(), ..VersionRequest::default() };
    let next = facts::next(project, &repository, stated.as_ref(), &request)?;
    Ok(GeneratedRelease {
        tag: Some(next.decision.tag.clone()),
        previous_tag: next.decision.previous_tag.clone(),
        date: Some(facts::today(project)),
        commits: next.weighed.release_commits(&repository)?,
        version: Some(next.decision.version),
    })
}

/// The release of this version, with everything since the one before.
fn since_last(project: &Project, unit: &Unit, version: Version) -> Result<GeneratedRelease> {
    let releases = Releases::open(project, unit)?;
    let released = releases.released_so_far(project)?;
    let last = if releases.is_released(&version) { released.stable } else { released.last };
    Ok(GeneratedRelease {
        tag: Some(releases.tag(&version)),
        previous_tag: last.map(|last| last.tag.clone()),
        date: Some(facts::today(project)),
        commits: releases.commits(last, None)?,
        version: Some(version),
    })
}

/// How the configuration has sections made from commits.
fn generate_options(project: &Project, any_site: bool) -> Result<GenerateOptions> {
    let mut entries = releases::entry_options(project);
    if any_site {
        entries.site = releases::site(project)?;
    }
    let template = project.config.changelog.template.as_deref();
    let template = template.map(|path| releases::template(project, path)).transpose()?;
    Ok(GenerateOptions { entries, template })
}

fn whole(
    session: &mut Session,
    project: &Project,
    unit: &Unit,
    unreleased: bool,
    output: Option<&PathBuf>,
) -> Result<Exit> {
    let releases = Releases::open(project, unit)?;
    let options = generate_options(project, true)?;
    let told = |error: &dyn std::fmt::Display| CommandError::failed(error.to_string());
    if unreleased {
        let last = releases.released(project)?.last;
        let release = GeneratedRelease {
            previous_tag: last.map(|last| last.tag.clone()),
            commits: releases.commits(last, None)?,
            ..Default::default()
        };
        if release.commits.is_empty() && output.is_none() {
            session.report.progress(&report::text::nothing_unreleased(&unit.changelog));
            if session.report.is_json() {
                show(session, &unit.changelog, "", false);
            }
            return Ok(Exit::Done);
        }
        let text = section(&release, &options).map_err(|error| CommandError::invalid(error.to_string()))?;
        return finish(session, &unit.changelog, output, &text);
    }
    if session.report.is_json() {
        let mut text = String::new();
        generate(releases.all(project)?, &options, &mut text).map_err(|error| told(&error))?;
        return finish(session, &unit.changelog, output, &text);
    }
    match output {
        // Written as it comes: a long history is never whole in memory.
        Some(path) => {
            let place = session.directory.join(path);
            let shown = path.as_path();
            let cannot = |error: std::io::Error| files::not_written(shown, &error);
            let mut sink = FileSink { file: files::Output::create(&place).map_err(cannot)?, error: None };
            let done = generate(releases.all(project)?, &options, &mut sink);
            if let Some(error) = sink.error.take() {
                return Err(cannot(error));
            }
            done.map_err(|error| told(&error))?;
            sink.file.finish().map_err(cannot)?;
            session.report.progress(&report::text::changelog_generated(path));
        }
        None => {
            let mut sink = ReportSink { session, held: String::new() };
            generate(releases.all(project)?, &options, &mut sink).map_err(|error| told(&error))?;
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
        files::write_output(&session.directory.join(output), output, text)?;
        session.report.progress(&report::text::changelog_generated(output));
    }
    if session.report.is_json() || output.is_none() {
        show(session, path, text, false);
    }
    Ok(Exit::Done)
}

/// A file as the core writes to it.
struct FileSink {
    file: files::Output,
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
        session.report.object("changelog", &Output { path, changed, text, diagnostics: None });
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
    let json = session.report.is_json();
    // Programs get every one of them; people lose sight of the others behind a hundred of a kind.
    let findings = if json { findings } else { grouped(&source, findings, MOST_OF_A_KIND) };
    let located = findings.into_iter().map(|diagnostic| Located { path: path.clone(), diagnostic }).collect();
    let sources = [(path.clone(), source.into())].into();
    let failed = errors > 0 || (strict && count > 0);
    if failed && !json {
        let message = report::text::check_failed(errors, count - errors);
        return Err(CommandError::invalid(message).with_diagnostics(located, sources));
    }
    let warnings = Warnings { located, sources };
    session.report.warnings(&warnings);
    if json {
        let diagnostics = Some(report::diagnostics_object(&warnings.located, &warnings.sources));
        session.report.object("changelog", &Output { path, changed: false, text: "", diagnostics });
        if failed {
            return Ok(Exit::Invalid);
        }
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
