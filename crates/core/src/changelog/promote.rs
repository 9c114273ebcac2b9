//! Promotion: what was unreleased becomes a release, and back. Only insertions, so that it inverts exactly.

use std::collections::HashSet;

use jiff::civil::Date;

use super::edit::{Edit, apply};
use super::heading::{self, Style};
use super::links::{Compare, Site};
use super::{Changelog, ChangelogError, Link, Section, SectionKind};
use crate::text::sanitize_line;
use crate::version::{TagFormat, Version};

/// What promotion needs beyond version and date.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PromoteOptions {
    /// How tags are named, for the links that compare them.
    pub tag_format: TagFormat,
    /// The project's page, for the links of a changelog's first release.
    pub site: Option<Site>,
    /// A release without any entry is meant.
    pub allow_empty: bool,
}

/// `source` with the content of `Unreleased` under a new heading for `version`, and `Unreleased` empty above it.
///
/// The heading is written as the file writes its releases. Where links at the end compare tags, they are
/// brought up to date. Every other byte stays; the result is read again and refused unless every entry arrived.
pub fn promote(
    source: &str,
    version: &Version,
    date: Date,
    options: &PromoteOptions,
) -> Result<String, ChangelogError> {
    let changelog = Changelog::parse(source)?;
    let unreleased = changelog.unreleased().ok_or(ChangelogError::NoUnreleased)?;
    changelog.require_one(None)?;
    if let Some(section) = changelog.release(version) {
        return Err(ChangelogError::AlreadyReleased { version: version.clone(), line: section.line });
    }
    if !unreleased.has_content && !options.allow_empty {
        return Err(ChangelogError::EmptyUnreleased { line: unreleased.line });
    }
    let latest = changelog.latest();
    let style =
        Style::of(latest.map(|(section, release)| (section.title.as_str(), release)), &unreleased.title);
    let label = style.label(version);
    if let Some(link) = find(&changelog, &label) {
        return Err(ChangelogError::LinkExists { label, line: link.line });
    }
    let tag = options.tag_format.render(version);
    let newline = &source[unreleased.heading.end..unreleased.body.start];
    let marks = "#".repeat(usize::from(unreleased.level));
    let mut edits = vec![Edit::insert(
        unreleased.body.start,
        format!("{newline}{marks} {}{newline}", style.title(version, date, &tag)),
    )];
    let links = link_edits(&changelog, &label, &tag, version, newline);
    if links.is_empty()
        && latest.is_none()
        && let Some(edit) = options.site.as_ref().and_then(|site| first_links(&changelog, site, &label, &tag))
    {
        let with_links = apply(source, [edits.clone(), vec![edit]].concat());
        // Where the text ends in code or a comment they would be part of it, and no links.
        let read = Changelog::parse(&with_links)?;
        if find(&read, &label).is_some() && unreleased_link(&read).is_some() {
            verify(&changelog, unreleased, version, &with_links)?;
            return Ok(with_links);
        }
    }
    edits.extend(links);
    let promoted = apply(source, edits);
    verify(&changelog, unreleased, version, &promoted)?;
    Ok(promoted)
}

/// The exact inverse of [`promote`]: the section of `version` goes back under `Unreleased`.
pub fn demote(source: &str, version: &Version) -> Result<String, ChangelogError> {
    let changelog = Changelog::parse(source)?;
    let unreleased = changelog.unreleased().ok_or(ChangelogError::NoUnreleased)?;
    changelog.require_one(None)?;
    changelog.require_one(Some(version))?;
    let section =
        changelog.release(version).ok_or_else(|| ChangelogError::NotReleased { version: version.clone() })?;
    let refuse = |problem: &str| ChangelogError::NotDemotable {
        version: version.clone(),
        line: section.line,
        problem: problem.to_owned(),
    };
    let newline = &source[unreleased.heading.end..unreleased.body.start];
    if source.get(unreleased.body.start..section.heading.start) != Some(newline) {
        return Err(refuse("it does not directly follow an empty `Unreleased`"));
    }
    if newline.is_empty() || section.body.start == section.heading.end {
        return Err(refuse("nothing is under it"));
    }
    let mut edits = vec![Edit::remove(unreleased.body.start, section.body.start)];
    if let SectionKind::Release(release) = &section.kind {
        edits.extend(link_removals(&changelog, &release.label));
    }
    Ok(apply(source, edits))
}

fn find<'c>(changelog: &'c Changelog<'_>, label: &str) -> Option<&'c Link> {
    changelog.links().iter().find(|link| link.label.to_lowercase() == label.to_lowercase())
}

/// The link of the Unreleased heading, where it compares the last tag with a branch.
fn unreleased_link<'c>(changelog: &'c Changelog<'_>) -> Option<(&'c Link, Compare<'c>)> {
    let link = find(changelog, heading::label(&changelog.unreleased()?.title))?;
    Some((link, Compare::of(&link.url)?))
}

/// The links that a changelog begins with: nothing can be compared with the first release yet.
fn first_links(changelog: &Changelog<'_>, site: &Site, label: &str, tag: &str) -> Option<Edit> {
    let title = &changelog.unreleased()?.title;
    if !title.trim_start().starts_with('[') || !changelog.links().is_empty() {
        return None;
    }
    let source = changelog.source();
    let newline = heading::newline(source);
    let unreleased = heading::label(title);
    let links = format!("[{unreleased}]: {}{newline}[{label}]: {}", site.compare(tag, "HEAD"), site.tag(tag));
    Some(Edit::insert(
        source.len(),
        match source.ends_with(newline) {
            true => format!("{newline}{links}{newline}"),
            false => format!("{newline}{newline}{links}"),
        },
    ))
}

fn link_edits(
    changelog: &Changelog<'_>,
    label: &str,
    tag: &str,
    version: &Version,
    newline: &str,
) -> Vec<Edit> {
    if let Some((link, parts)) = unreleased_link(changelog) {
        let old_start = link.url_span.start + parts.older_start();
        let own = format!("{newline}[{label}]: {}", parts.with(parts.older(), tag));
        return vec![
            Edit { start: old_start, end: old_start + parts.older().len(), text: tag.to_owned() },
            Edit::insert(link.span.end, own),
        ];
    }
    let beside =
        changelog.latest().and_then(|(_, release)| Some((find(changelog, &release.label)?, release)));
    let Some((link, release)) = beside else { return Vec::new() };
    let before = release.version.to_string();
    let url = match Compare::of(&link.url) {
        Some(parts) => parts.with(parts.newer(), tag),
        None if link.url.matches(&before).count() == 1 => link.url.replace(&before, &version.to_string()),
        None => return Vec::new(),
    };
    vec![Edit::insert(link.span.start, format!("[{label}]: {url}{newline}"))]
}

fn link_removals(changelog: &Changelog<'_>, label: &str) -> Vec<Edit> {
    let Some(own) = find(changelog, label) else { return Vec::new() };
    let source = changelog.source();
    if let Some((link, outer)) = unreleased_link(changelog)
        && own.line == link.line + 1
    {
        if let Some(inner) = Compare::of(&own.url).filter(|inner| inner.newer() == outer.older()) {
            let old_start = link.url_span.start + outer.older_start();
            let old_end = old_start + outer.older().len();
            return vec![
                Edit { start: old_start, end: old_end, text: inner.older().to_owned() },
                Edit::remove(link.span.end, own.span.end),
            ];
        }
        // Both came with the first release, as `first_links` writes them.
        let newline = heading::newline(source);
        let before = if source.ends_with(newline) { newline.len() } else { 2 * newline.len() };
        let ends = own.span.end + newline.len() >= source.len();
        if ends && changelog.links().len() == 2 && own.url.ends_with(outer.older()) {
            return vec![Edit::remove(link.span.start.saturating_sub(before), source.len())];
        }
    }
    let rest = &source[own.span.end..];
    let width = if rest.starts_with("\r\n") { 2 } else { usize::from(!rest.is_empty()) };
    vec![Edit::remove(own.span.start, own.span.end + width)]
}

/// Reads the promoted text again: every entry is there, the order is kept, nothing else moved.
fn verify(
    before: &Changelog<'_>,
    unreleased: &Section,
    version: &Version,
    promoted: &str,
) -> Result<(), ChangelogError> {
    let incomplete = |problem: String| ChangelogError::Incomplete { problem };
    let after = Changelog::parse(promoted)?;
    let (Some(section), Some(emptied)) = (after.release(version), after.unreleased()) else {
        return Err(incomplete(format!("the section of {version} cannot be found")));
    };
    let texts = |section: &Section| {
        section.entries.iter().map(|entry| (entry.group.clone(), entry.text.clone())).collect::<Vec<_>>()
    };
    let (had, has) = (texts(unreleased), texts(section));
    let arrived: HashSet<_> = has.iter().collect();
    if let Some((_, missing)) = had.iter().find(|entry| !arrived.contains(entry)) {
        return Err(incomplete(format!("the entry `{}` did not arrive", sanitize_line(missing))));
    }
    // The links of a first release may have brought a blank line.
    if had != has || before.body(unreleased).trim_end() != after.body(section).trim_end() {
        return Err(incomplete(format!("the section of {version} differs from what was unreleased")));
    }
    if emptied.has_content || after.sections().len() != before.sections().len() + 1 {
        return Err(incomplete("other sections changed".to_owned()));
    }
    Ok(())
}
