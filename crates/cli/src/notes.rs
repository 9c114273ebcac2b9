//! Release notes: gathered from the changelog and the commits, rendered for those who read them.

use jiff::civil::Date;
use windlass_core::changelog::notes::{Notes, NotesInput, variants};
use windlass_core::changelog::{Changelog, Section};
use windlass_core::commit::Commit;
use windlass_core::diagnostic::nearest;
use windlass_core::text::sanitize_line;
use windlass_core::version::next::Decision;
use windlass_core::version::{Version, core};
use windlass_history::HistoryError;

use crate::error::{CommandError, Result};
use crate::facts::{Repository, today};
use crate::project::Project;
use crate::releases::{self, Releases};
use crate::versions::{Weighed, unreadable};

/// The notes that a plan carries, as [`render`] makes those of a release that is there.
///
/// # Errors
/// When the changelog or the template cannot be read.
pub fn planned(
    project: &Project,
    repository: &Repository,
    weighed: &Weighed,
    decision: &Decision,
    changelog: Option<&str>,
    commits: &[Commit],
) -> Result<String> {
    let version = &decision.version;
    let releases = Releases::at(project, repository.clone(), &weighed.unit, weighed.target)?;
    // What is promoted has the changelog of its own commit: today's has what came since.
    let then = if weighed.is_head { None } else { releases.changelog(weighed.target).map_err(unreadable)? };
    let changelog = if weighed.is_head { changelog } else { then.as_deref() };
    let read = changelog.map(Changelog::parse).transpose().map_err(refused)?;
    // Nobody writes it: its section will be made from the same commits.
    let read = read.filter(|_| !project.config.changelog.generated);
    let before = releases.before(version);
    let previous_tag = before.map(|before| before.tag.as_str());
    let since_stable;
    let commits = match previous_tag == decision.previous_tag.as_deref() {
        true => commits,
        false => {
            since_stable = releases.commits(before, None)?;
            &since_stable
        }
    };
    let site = releases::site(project)?;
    let name = releases::name(project, &weighed.unit)?;
    let input = NotesInput {
        version: Some(version),
        channel: decision.channel,
        tag: Some(&decision.tag),
        previous_tag,
        date: Some(today(project)),
        project: name.as_deref(),
        site: site.as_ref(),
        section: read.as_ref().and_then(|read| coming(read, version)),
        commits,
        types: Some(&releases::types(project)),
        ..NotesInput::default()
    };
    render(project, &Notes::collect(&input).map_err(refused)?, None)
}

/// The changelog's words for a version that is there, or for what is not released yet, where it has some.
///
/// A release without a section of its own is told as the changelog was when it was tagged: what stands under
/// `Unreleased` today came later.
///
/// # Errors
/// When the history cannot be read: [`HistoryError::Partial`] where only the changelog of then was left on the server.
pub fn words(
    read: Option<&Changelog<'_>>,
    version: Option<&Version>,
    releases: Option<&Releases>,
) -> Result<Option<String>, HistoryError> {
    let body =
        |read: &Changelog<'_>, section: &Section| section.has_content.then(|| read.body(section).to_owned());
    let Some(version) = version else {
        return Ok(read.and_then(|read| body(read, read.unreleased()?)));
    };
    if let Some((read, own)) = read.and_then(|read| Some((read, read.release(version)?))) {
        return Ok(body(read, own));
    }
    let Some(releases) = releases else { return Ok(None) };
    let is_candidate = !releases.is_released(version);
    let Some(tagged) = releases.of(version) else {
        // One that is about to be tried out is told as far as it is written down.
        let comes = is_candidate && !releases.has_higher(version);
        return Ok(read.filter(|_| comes).and_then(|read| coming(read, version)).map(str::to_owned));
    };
    let then = releases.changelog(tagged.commit)?;
    // One that cannot be read any more cannot be mended either: the commits tell.
    let Some(then) = then.as_deref().and_then(|text| Changelog::parse(text).ok()) else { return Ok(None) };
    Ok(match then.release(version) {
        Some(own) => body(&then, own),
        None if is_candidate || releases.is_promoted(tagged) => coming(&then, version).map(str::to_owned),
        None => None,
    })
}

/// The changelog's text for a version that is being released: its own, for a candidate else that of its release, else
/// what is not released yet; where it says anything.
fn coming<'a>(read: &Changelog<'a>, version: &Version) -> Option<&'a str> {
    let own = read.release(version).or_else(|| read.release(&core(version)));
    let found = own.or_else(|| read.unreleased());
    found.filter(|section| section.has_content).map(|section| read.body(section))
}

/// The day that the changelog gives a release.
pub fn dated(read: &Changelog<'_>, version: &Version) -> Option<Date> {
    read.releases().find(|(_, release)| release.version == *version)?.1.date
}

/// The notes for an audience: one of the configuration, else a built-in one. When none is given, by the configured
/// template; without one the changelog's own words are the notes, where it has some.
///
/// # Errors
/// When there is no such audience, and when its template cannot be rendered.
pub fn render(project: &Project, notes: &Notes, audience: Option<&str>) -> Result<String> {
    let config = &project.config.notes;
    let invalid = |error: &dyn std::fmt::Display| CommandError::invalid(error.to_string());
    let path = match audience {
        Some(name) => config.audiences.get(name),
        None => config.template.as_ref(),
    };
    if let Some(path) = path {
        return notes.render(&releases::template(project, path)?).map_err(|error| invalid(&error));
    }
    if let Some(words) = notes.in_words().filter(|_| audience.is_none()) {
        return Ok(words);
    }
    let name = audience.unwrap_or("default");
    notes.render_variant(name).map_err(|error| invalid(&error))?.ok_or_else(|| {
        let names: Vec<&str> =
            variants().map(|(name, _)| name).chain(config.audiences.keys().map(String::as_str)).collect();
        let error = CommandError::invalid(format!("there is no audience `{}`", sanitize_line(name)));
        match nearest(name, names.iter().copied()) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error.hint(format!("there is: {}", names.join(", "))),
        }
    })
}

/// An error of the changelog as a command's error.
pub fn refused(error: windlass_core::changelog::ChangelogError) -> CommandError {
    CommandError::invalid(error.to_string())
}
