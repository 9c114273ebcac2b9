//! `windlass notes`: release notes from the changelog or the commits.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use windlass_core::changelog::Changelog;
use windlass_core::changelog::notes::{Notes, NotesInput};
use windlass_core::config::Unit;
use windlass_core::diagnostic::Diagnostic;
use windlass_core::version::{Channel, Version};
use windlass_history::HistoryError;

use crate::error::{CommandError, Located, Result};
use crate::exit::Exit;
use crate::planning::Warnings;
use crate::project::Project;
use crate::releases::{self, Releases};
use crate::session::Session;
use crate::{files, notes, report, versions};

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
    content: &'a Notes,
}

/// Prints or writes the notes.
///
/// # Errors
/// When neither the changelog nor the tags know the version.
pub fn run(arguments: &Arguments, session: &mut Session) -> Result<Exit> {
    let project = Project::find(session)?;
    let (unit, named) = match &arguments.version {
        Some(text) => {
            let (unit, version) = versions::meant(&project, arguments.package.as_deref(), text)?;
            (unit, Some(version))
        }
        None => (versions::unit(&project, arguments.package.as_deref())?, None),
    };
    let path = &unit.changelog;
    let source = files::read_if_there(&project.root.join(path), path, files::LARGEST_FILE)?;
    let read = source.as_deref().map(Changelog::parse).transpose().map_err(notes::refused)?;
    let from = arguments.from.as_deref();
    let version = match (named, arguments.unreleased) {
        (Some(version), _) => Some(version),
        (None, true) => None,
        (None, false) => Some(latest(&project, &unit, read.as_ref(), from == Some("commits"))?),
    };
    if let (Some(read), Some(version)) = (&read, &version) {
        read.require_one(Some(version)).map_err(notes::refused)?;
    }
    let here = Releases::here(&project, &unit);
    // Where nobody writes it, the words are those of whoever released it.
    let words = notes::words(read.as_ref(), version.as_ref(), here.as_ref().ok());
    let channel = match &version {
        Some(version) => versions::policy(&project, &unit)?.channel(version),
        None => Channel::Stable,
    };
    let releases = here.and_then(Releases::whole);
    // What nobody writes is told from the commits, as it was when it was released.
    let known = |version: &Version| releases.as_ref().is_ok_and(|releases| releases.of(version).is_some());
    let made = project.config.changelog.generated && version.as_ref().is_none_or(known);
    let from_commits = from == Some("commits") || (made && from.is_none());
    let words = match words {
        _ if from_commits => None,
        // A partial clone has the commits, and they tell of the release too.
        Err(error @ HistoryError::Partial { kind: "file", .. }) => {
            session.report.progress(&report::text::notes_without_words(&error.to_string()));
            None
        }
        words => words.map_err(versions::unreadable)?,
    };
    let section = words.as_deref();
    let subject = Subject { version: version.as_ref(), channel, section, read: read.as_ref(), from_commits };
    let plain = arguments.audience.is_none()
        && arguments.template.is_none()
        && project.config.notes.template.is_none();
    let collected = match releases {
        Ok(releases) => collect(session, &project, &unit, &releases, &subject, arguments)?,
        // The words are there all the same, such as in the shallow clone of a pipeline.
        Err(error) if section.is_some() && plain && !arguments.check => {
            session.report.progress(&report::text::notes_without_commits(&error.message));
            let input = NotesInput { version: version.as_ref(), channel, section, ..NotesInput::default() };
            Notes::collect(&input).map_err(notes::refused)?
        }
        Err(error) => return Err(error),
    };
    let text = match &arguments.template {
        Some(path) => {
            let template = releases::template(&project, path)?;
            collected.render(&template).map_err(|error| CommandError::invalid(error.to_string()))?
        }
        None => notes::render(&project, &collected, arguments.audience.as_deref())?,
    };
    let text = text.trim_end();
    if arguments.check {
        warn(session, path, &collected);
    }
    let shown = version.as_ref().map_or_else(|| "the next release".to_owned(), Version::to_string);
    if let Some(output) = &arguments.output {
        let place = session.directory.join(output);
        files::write_output(&place, output, &format!("{text}\n"))?;
        session.report.progress(&report::text::notes_written(&shown, output));
    }
    if session.report.is_json() {
        let version = version.as_ref().map(Version::to_string);
        session.report.object("notes", &Output { version, notes: text, content: &collected });
    } else if arguments.output.is_none() {
        session.report.line(text);
    }
    Ok(Exit::Done)
}

fn latest(
    project: &Project,
    unit: &Unit,
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

/// Whose notes are told, and what the changelog says of it.
struct Subject<'a> {
    version: Option<&'a Version>,
    channel: Channel,
    section: Option<&'a str>,
    read: Option<&'a Changelog<'a>>,
    from_commits: bool,
}

fn collect(
    session: &mut Session,
    project: &Project,
    unit: &Unit,
    releases: &Releases,
    subject: &Subject<'_>,
    arguments: &Arguments,
) -> Result<Notes> {
    let Subject { version, channel, section, read, .. } = *subject;
    let tagged = version.and_then(|version| releases.of(version));
    if let Some(version) = version.filter(|_| {
        tagged.is_none() && section.is_none() && (channel.is_released() || arguments.version.is_some())
    }) {
        return Err(unknown(unit, releases, version, subject));
    }
    let mut before = match version {
        Some(version) => releases.before(version),
        None => releases.released(project)?.last,
    };
    let higher = |version: &Version| {
        let written = read.and_then(Changelog::latest).map(|(_, release)| &release.version);
        releases.has_higher(version) || written.is_some_and(|latest| latest > version)
    };
    let mut commits = match (version, tagged) {
        // Written down already, but not tagged: which commits are its own cannot be told before it is.
        (Some(version), None) if channel.is_released() && (before.is_none() || higher(version)) => Vec::new(),
        _ => releases.commits(before, tagged)?,
    };
    if version.is_none()
        && commits.is_empty()
        && let Some(tried) = before.filter(|before| !releases.is_released(&before.version))
    {
        session.report.progress(&report::text::nothing_since(&tried.tag));
        before = releases.released(project)?.stable;
        commits = releases.commits(before, None)?;
    }
    if let Some(tagged) = tagged {
        commits.retain(|commit| !Releases::made(tagged, commit));
    }
    let date = match (version.zip(read).and_then(|(version, read)| notes::dated(read, version)), tagged) {
        (None, Some(tagged)) => releases.day(tagged)?,
        (date, _) => date,
    };
    let site = releases::site(project)?;
    let name = releases::name(project, unit)?;
    let input = NotesInput {
        version,
        channel,
        tag: tagged.map(|tagged| tagged.tag.as_str()),
        previous_tag: before.map(|before| before.tag.as_str()),
        date,
        project: name.as_deref(),
        site: site.as_ref(),
        section,
        commits: &commits,
        types: Some(&releases::types(project)),
        ..NotesInput::default()
    };
    Notes::collect(&input).map_err(notes::refused)
}

/// Neither the changelog nor a tag knows the version.
fn unknown(unit: &Unit, releases: &Releases, version: &Version, subject: &Subject<'_>) -> CommandError {
    let path = &unit.changelog;
    let tag = releases.tag(version);
    if subject.from_commits {
        let message = format!("there is no tag {tag}, so nothing tells which commits {version} holds");
        return CommandError::invalid(message).hint(
            "leave `--from commits` out for the changelog's words, or see what comes next with \
             `windlass notes --unreleased --from commits`",
        );
    }
    let known: Vec<String> = subject
        .read
        .into_iter()
        .flat_map(Changelog::releases)
        .map(|(_, release)| release.version.to_string())
        .take(12)
        .collect();
    let error =
        CommandError::invalid(format!("{path} has no section for {version}, and there is no tag {tag}"));
    if known.is_empty() { error } else { error.hint(format!("it has: {}", known.join(", "))) }
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
