//! `windlass notes`: release notes from the changelog or the commits.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use windlass_core::changelog::Changelog;
use windlass_core::changelog::notes::{Notes, NotesInput};
use windlass_core::diagnostic::Diagnostic;
use windlass_core::version::{Version, parse_version};

use crate::error::{CommandError, Located, Result};
use crate::exit::Exit;
use crate::planning::Warnings;
use crate::project::Project;
use crate::releases::{self, Releases};
use crate::session::Session;
use crate::{files, notes, report};

/// Print the release notes of a version
#[derive(Debug, Args)]
pub struct Arguments {
    /// The version, with or without `v`; the latest release when not given
    #[arg(value_name = "VERSION")]
    pub version: Option<String>,
    /// The latest release of the changelog
    #[arg(long, conflicts_with = "version")]
    pub latest: bool,
    /// What is not released yet
    #[arg(long, conflicts_with_all = ["version", "latest"])]
    pub unreleased: bool,
    /// Write them to a file
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// For whom: default, internal, users, short, email, or one of [notes.audiences]
    #[arg(long, value_name = "NAME", conflicts_with = "template")]
    pub audience: Option<String>,
    /// By this minijinja template, from the repository's root
    #[arg(long, value_name = "FILE")]
    pub template: Option<String>,
    /// Tell the changes in the words of the changelog, or from the commits alone
    #[arg(long, value_name = "SOURCE", value_parser = ["changelog", "commits"])]
    pub from: Option<String>,
    /// The notes of this package
    #[arg(long, value_name = "NAME")]
    pub package: Option<String>,
    /// Warn of breaking changes that nobody told how to get over
    #[arg(long)]
    pub check: bool,
}

#[derive(Serialize)]
struct Output<'a> {
    version: Option<String>,
    notes: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a Notes>,
}

/// Prints or writes the notes.
///
/// # Errors
/// When neither the changelog nor the tags know the version.
pub fn run(arguments: &Arguments, session: &mut Session) -> Result<Exit> {
    let project = Project::find(session)?;
    let unit = project
        .config
        .unit(arguments.package.as_deref())
        .map_err(|error| CommandError::invalid(error.to_string()))?;
    let path = &unit.changelog;
    let source = files::read_if_there(&project.root.join(path), path, files::LARGEST_FILE)?;
    let read = source.as_deref().map(Changelog::parse).transpose().map_err(notes::refused)?;
    let from_commits = arguments.from.as_deref() == Some("commits");
    let version = match (&arguments.version, arguments.unreleased) {
        (Some(text), _) => {
            Some(parse_version(text).map_err(|error| CommandError::invalid(error.to_string()))?)
        }
        (None, true) => None,
        (None, false) => Some(latest(&project, &unit, read.as_ref(), from_commits)?),
    };
    if let (Some(read), Some(version)) = (&read, &version) {
        read.require_one(Some(version)).map_err(notes::refused)?;
    }
    let section = read.as_ref().filter(|_| !from_commits).and_then(|read| match &version {
        Some(version) if read.release(version).is_none() && version.pre.is_empty() => None,
        version => notes::section(read, version.as_ref()),
    });
    let rendered = from_commits
        || section.is_none()
        || arguments.audience.is_some()
        || arguments.template.is_some()
        || arguments.check
        || project.config.notes.template.is_some();
    let collected = match rendered {
        true => Some(collect(&project, &unit, version.as_ref(), section, read.as_ref(), arguments)?),
        // Without a template the changelog's own words are the notes.
        false => None,
    };
    let text = match (&collected, &arguments.template) {
        (None, _) => windlass_core::text::sanitize(section.unwrap_or_default()).trim().to_owned(),
        (Some(notes), Some(path)) => {
            let template = releases::template(&project, path)?;
            notes.render(&template).map_err(|error| CommandError::invalid(error.to_string()))?
        }
        (Some(notes), None) => notes::render(&project, notes, arguments.audience.as_deref())?,
    };
    let text = text.trim_end();
    if arguments.check
        && let Some(notes) = &collected
    {
        warn(session, path, notes);
    }
    let shown = version.as_ref().map_or_else(|| "the next release".to_owned(), Version::to_string);
    if let Some(output) = &arguments.output {
        let place = session.directory.join(output);
        std::fs::write(&place, format!("{text}\n")).map_err(|error| {
            CommandError::failed(format!("{} cannot be written: {error}", output.display()))
        })?;
        session.report.progress(&report::text::notes_written(&shown, output));
    }
    if session.report.is_json() {
        let version = version.as_ref().map(Version::to_string);
        session.report.object("notes", &Output { version, notes: text, content: collected.as_ref() });
    } else if arguments.output.is_none() {
        session.report.line(text);
    }
    Ok(Exit::Done)
}

fn latest(
    project: &Project,
    unit: &windlass_core::config::Unit,
    read: Option<&Changelog<'_>>,
    from_commits: bool,
) -> Result<Version> {
    if let Some((_, release)) = read.filter(|_| !from_commits).and_then(Changelog::latest) {
        return Ok(release.version.clone());
    }
    let releases = Releases::open(project, unit)?;
    if let Some(stable) = releases.released(project)?.stable {
        return Ok(stable.version.clone());
    }
    let path = &unit.changelog;
    Err(match read {
        Some(_) => CommandError::invalid(format!("{path} has no release yet, and there is no tag of one")),
        None => CommandError::invalid(format!("there is no changelog {path}, and no tag of a release")),
    }
    .hint("see what the next release will hold with `windlass notes --unreleased`"))
}

fn collect(
    project: &Project,
    unit: &windlass_core::config::Unit,
    version: Option<&Version>,
    section: Option<&str>,
    read: Option<&Changelog<'_>>,
    arguments: &Arguments,
) -> Result<Notes> {
    let releases = Releases::open(project, unit)?;
    let tagged = version.and_then(|version| releases.of(version));
    let before = match version {
        Some(version) => releases.before(version),
        None => releases.released(project)?.last,
    };
    let unknown = version.is_some() && tagged.is_none();
    if let Some(version) = version.filter(|version| {
        unknown && section.is_none() && (version.pre.is_empty() || arguments.version.is_some())
    }) {
        let path = &unit.changelog;
        let known: Vec<String> = read
            .into_iter()
            .flat_map(Changelog::releases)
            .map(|(_, release)| release.version.to_string())
            .take(12)
            .collect();
        let tag = unit.tag.render(version);
        let error =
            CommandError::invalid(format!("{path} has no section for {version}, and there is no tag {tag}"));
        return Err(if known.is_empty() {
            error
        } else {
            error.hint(format!("it has: {}", known.join(", ")))
        });
    }
    let commits = match (version, tagged) {
        // Written down already, but not tagged: which commits are its own cannot be told before it is.
        (Some(version), None) if version.pre.is_empty() && before.is_none() => Vec::new(),
        _ => releases.commits(before, tagged)?,
    };
    let site = releases::site(project)?;
    let name = project.config.project.name.as_deref();
    let input = NotesInput {
        version,
        tag: tagged.map(|tagged| tagged.tag.as_str()),
        previous_tag: before.map(|before| before.tag.as_str()),
        project: arguments.package.as_deref().or(name),
        site: site.as_ref(),
        section,
        commits: &commits,
        ..NotesInput::default()
    };
    Notes::collect(&input).map_err(notes::refused)
}

fn warn(session: &mut Session, path: &str, notes: &Notes) {
    let located = notes
        .without_guide()
        .into_iter()
        .map(|one| Located {
            path: path.to_owned(),
            diagnostic: Diagnostic::warning(
                "no-migration",
                format!("nothing tells how to get over this breaking change: {}", one.text),
                None,
            )
            .help(
                "add a `Migration:` footer to its commit, or a group `Migration` to the changelog's section",
            )
            .showable(),
        })
        .collect();
    session.report.warnings(&Warnings { located, sources: std::collections::BTreeMap::new() });
}
