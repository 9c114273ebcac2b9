//! Release notes: gathered from the changelog and the commits, rendered for those who read them.

use windlass_core::changelog::notes::{Notes, NotesInput, variants};
use windlass_core::changelog::{Changelog, Site};
use windlass_core::commit::Commit;
use windlass_core::diagnostic::nearest;
use windlass_core::text::sanitize_line;
use windlass_core::version::Version;

use crate::error::{CommandError, Result};
use crate::project::Project;
use crate::releases;

/// The notes that a plan carries: the changelog's own words where it has some, made from the commits otherwise; by
/// the configured template, when there is one.
///
/// # Errors
/// When the changelog or the template cannot be read.
pub fn planned(
    project: &Project,
    version: &Version,
    previous_tag: Option<&str>,
    changelog: Option<&str>,
    commits: &[Commit],
) -> Result<String> {
    let read = changelog.map(Changelog::parse).transpose().map_err(refused)?;
    let section = read.as_ref().and_then(|read| section(read, Some(version)));
    let site = project.config.notes.url.as_deref().and_then(Site::new);
    let input = NotesInput {
        version: Some(version),
        previous_tag,
        site: site.as_ref(),
        section,
        commits,
        ..NotesInput::default()
    };
    render(project, &Notes::collect(&input).map_err(refused)?, None)
}

/// The changelog's text for a version, else what is not released yet, where either says anything.
pub fn section<'a>(read: &Changelog<'a>, version: Option<&Version>) -> Option<&'a str> {
    let found = version.and_then(|version| read.release(version)).or_else(|| read.unreleased());
    found.filter(|section| section.has_content).map(|section| read.body(section))
}

/// The notes for an audience: one of the configuration, else a built-in one; the configured default when not given.
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
