//! Whole changelogs and single sections made from commits, for projects that write none.

use std::fmt::{Display, Write};

use jiff::civil::Date;
use serde::Serialize;

use super::fill::{Told, grouped};
use super::heading;
use super::{Changelog, ChangelogError, EntryOptions, Template, TemplateError, entry};
use crate::commit::Commit;
use crate::text::sanitize_line;
use crate::version::Version;

/// A release to be told from its commits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GeneratedRelease {
    /// Its version; `None` for what is not released yet.
    pub version: Option<Version>,
    /// Its tag, when it has one.
    pub tag: Option<String>,
    /// The tag of the release before it.
    pub previous_tag: Option<String>,
    /// The day it was made.
    pub date: Option<Date>,
    /// Its commits, newest first.
    pub commits: Vec<Commit>,
}

/// How releases are told.
#[derive(Debug, Default)]
pub struct GenerateOptions {
    /// How entries are made from commits.
    pub entries: EntryOptions,
    /// The template of one section; the built-in one without.
    pub template: Option<Template>,
}

/// Why a changelog cannot be generated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GenerateError<E> {
    /// A release could not be read.
    #[error("{0}")]
    Release(E),
    /// The template cannot be rendered.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The text could not be written.
    #[error("the changelog cannot be written")]
    Write,
}

/// What a template of one section is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct SectionContext<'a> {
    version: Option<String>,
    tag: Option<&'a str>,
    previous_tag: Option<&'a str>,
    date: Option<String>,
    compare_url: Option<String>,
    groups: Vec<GroupContext>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct GroupContext {
    title: String,
    entries: Vec<EntryContext>,
}

/// An entry as templates see it. Every text is Markdown that stays on its line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct EntryContext {
    pub(super) text: String,
    kind: Option<String>,
    scope: Option<String>,
    description: String,
    breaking: Option<String>,
    references: Vec<String>,
    id: Option<String>,
    short_id: Option<String>,
    commit_url: Option<String>,
    author: Option<String>,
}

/// Writes the whole changelog: a title, and a section for each release as it comes, newest first. Nothing but the
/// release at hand is kept.
pub fn generate<E: Display>(
    releases: impl IntoIterator<Item = Result<GeneratedRelease, E>>,
    options: &GenerateOptions,
    output: &mut impl Write,
) -> Result<(), GenerateError<E>> {
    let mut write = |text: &str| output.write_str(text).map_err(|_| GenerateError::Write);
    write("# Changelog\n")?;
    for release in releases {
        let release = release.map_err(GenerateError::Release)?;
        if release.version.is_none() && release.commits.is_empty() {
            continue;
        }
        write("\n")?;
        write(&section(&release, options)?)?;
    }
    Ok(())
}

/// The section of one release, heading included, with one line end after it.
pub fn section(release: &GeneratedRelease, options: &GenerateOptions) -> Result<String, TemplateError> {
    let mut text = match &options.template {
        Some(template) => template.render(&context(release, options))?,
        None => built_in(release, options),
    };
    text.truncate(text.trim_end().len());
    text.push('\n');
    Ok(text)
}

/// Puts the text of a release's section into a changelog: where unreleased changes stand, else above the latest
/// release, else at the end. Gives the whole, and what was put in. Every other byte stays, but for the text under
/// `Unreleased`, which was generated from the same commits.
pub fn insert_section(
    source: &str,
    version: &Version,
    section: &str,
) -> Result<(String, String), ChangelogError> {
    let changelog = Changelog::parse(source)?;
    changelog.require_one(None)?;
    if let Some(there) = changelog.release(version) {
        return Err(ChangelogError::AlreadyReleased { version: version.clone(), line: there.line });
    }
    let newline = heading::newline(source);
    let section = section.trim_end().replace('\n', newline);
    let (start, end) = match (changelog.unreleased(), changelog.latest()) {
        (Some(unreleased), _) => (unreleased.heading.end, unreleased.body.end),
        (None, Some((latest, _))) => (latest.heading.start, latest.heading.start),
        (None, None) => (source.len(), source.len()),
    };
    let (before, after) = (&source[..start], &source[end..]);
    let blank = format!("{newline}{newline}");
    let lead = match () {
        () if before.trim().is_empty() || before.ends_with(&blank) => "",
        () if before.ends_with(newline) => newline,
        () => &blank,
    };
    let tail = if after.is_empty() { newline } else { &blank };
    let inserted = format!("{lead}{section}{tail}");
    let text = format!("{before}{inserted}{after}");
    match Changelog::parse(&text)?.release(version) {
        Some(found) if found.has_content => Ok((text, inserted)),
        _ => Err(ChangelogError::Incomplete {
            problem: format!(
                "the section of {version} cannot be found: does its template begin with a heading?"
            ),
        }),
    }
}

/// The text that [`insert_section`] put into `text` for this section, and what can stand in its place, when it is
/// there once and as it was put.
pub fn inserted_section(text: &str, version: &Version, section: &str) -> Option<(String, String)> {
    let newline = heading::newline(text);
    let own = section.trim_end().replace('\n', newline);
    let blank = format!("{newline}{newline}");
    // Several texts may have been there before: the one that files usually are is believed.
    let at_end = text.trim_end().ends_with(&own);
    let leads = if at_end { [newline, "", &blank] } else { ["", newline, &blank] };
    for lead in leads {
        for tail in [blank.as_str(), newline] {
            let inserted = format!("{lead}{own}{tail}");
            let Some((before, after)) = text.split_once(&inserted) else { continue };
            // Under an unreleased heading something must stay, or it would run into the next one.
            for stays in ["", &blank] {
                let again = insert_section(&format!("{before}{stays}{after}"), version, section);
                if again.is_ok_and(|(again, told)| told == inserted && again == text) {
                    return Some((inserted, stays.to_owned()));
                }
            }
        }
    }
    None
}

fn built_in(release: &GeneratedRelease, options: &GenerateOptions) -> String {
    let mut text = format!("## {}\n", title(release, options));
    for (heading, entries) in grouped(&release.commits, &options.entries) {
        text.push_str("\n### ");
        text.push_str(&heading);
        text.push_str("\n\n");
        for told in entries {
            text.push_str("- ");
            text.push_str(&told.text);
            text.push('\n');
        }
    }
    text
}

fn title(release: &GeneratedRelease, options: &GenerateOptions) -> String {
    let name = release.version.as_ref().map_or_else(|| "Unreleased".to_owned(), Version::to_string);
    let date = release.date.map_or_else(String::new, |date| format!(" - {date}"));
    match compare_url(release, options) {
        Some(url) => format!("[{name}]({url}){date}"),
        None => format!("{name}{date}"),
    }
}

fn compare_url(release: &GeneratedRelease, options: &GenerateOptions) -> Option<String> {
    let site = options.entries.site.as_ref()?;
    Some(match (&release.previous_tag, &release.tag) {
        (Some(previous), tag) => site.compare(previous, tag.as_deref().unwrap_or("HEAD")),
        (None, Some(tag)) => site.tag(tag),
        (None, None) => return None,
    })
}

fn context<'a>(release: &'a GeneratedRelease, options: &GenerateOptions) -> SectionContext<'a> {
    SectionContext {
        version: release.version.as_ref().map(Version::to_string),
        tag: release.tag.as_deref(),
        previous_tag: release.previous_tag.as_deref(),
        date: release.date.map(|date| date.to_string()),
        compare_url: compare_url(release, options),
        groups: grouped(&release.commits, &options.entries)
            .into_iter()
            .map(|(title, told)| GroupContext {
                title,
                entries: told.into_iter().map(|told| entry_context(told, &options.entries)).collect(),
            })
            .collect(),
    }
}

pub(super) fn entry_context(told: Told<'_>, options: &EntryOptions) -> EntryContext {
    let (commit, change) = match &told.of {
        Some((commit, change)) => (Some(*commit), Some(change)),
        None => (None, None),
    };
    let id = commit.map(|commit| sanitize_line(&commit.id)).filter(|id| !id.is_empty());
    EntryContext {
        kind: change.and_then(|change| change.kind.as_deref()).map(entry::inline),
        scope: change.and_then(|change| change.scope.as_deref()).map(entry::inline),
        description: change.map_or_else(|| told.text.clone(), |change| entry::inline(&change.description)),
        breaking: change.and_then(|change| change.breaking.as_deref()).map(entry::inline),
        references: change
            .map(|change| change.references.iter().map(|one| one.name.to_string()).collect())
            .unwrap_or_default(),
        short_id: id.as_deref().map(|id| id.chars().take(8).collect()),
        commit_url: id.as_deref().and_then(|id| Some(options.site.as_ref()?.commit(id))),
        author: commit.map(|commit| entry::inline(&commit.author_name)),
        id,
        text: told.text,
    }
}
