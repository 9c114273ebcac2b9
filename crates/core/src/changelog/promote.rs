//! Promotion: what was unreleased becomes a release, and back. Only insertions, so that it inverts exactly.

use jiff::civil::Date;

use super::compare::{Compare, compare};
use super::heading::Style;
use super::{Changelog, ChangelogError, Link, Section, SectionKind};
use crate::text::sanitize_line;
use crate::version::{TagFormat, Version};

/// What promotion needs beyond version and date.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PromoteOptions {
    /// How tags are named, for the links that compare them.
    pub tag_format: TagFormat,
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
    if let Some(section) = changelog.release(version) {
        return Err(ChangelogError::AlreadyReleased { version: version.clone(), line: section.line });
    }
    if !unreleased.has_content {
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
    edits.extend(link_edits(&changelog, &label, &tag, version, newline));
    let promoted = apply(source, edits);
    verify(&changelog, unreleased, version, &promoted)?;
    Ok(promoted)
}

/// The exact inverse of [`promote`]: the section of `version` goes back under `Unreleased`.
pub fn demote(source: &str, version: &Version) -> Result<String, ChangelogError> {
    let changelog = Changelog::parse(source)?;
    let unreleased = changelog.unreleased().ok_or(ChangelogError::NoUnreleased)?;
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
    let mut edits = vec![Edit { start: unreleased.body.start, end: section.body.start, text: String::new() }];
    if let SectionKind::Release(release) = &section.kind {
        edits.extend(link_removals(&changelog, &release.label));
    }
    Ok(apply(source, edits))
}

/// Bytes `start..end` replaced by `text`.
struct Edit {
    start: usize,
    end: usize,
    text: String,
}

impl Edit {
    fn insert(at: usize, text: String) -> Self {
        Self { start: at, end: at, text }
    }
}

fn apply(source: &str, mut edits: Vec<Edit>) -> String {
    edits.sort_by_key(|edit| edit.start);
    let mut result = String::with_capacity(source.len() + 256);
    let mut copied = 0;
    for edit in edits {
        result.push_str(&source[copied..edit.start]);
        result.push_str(&edit.text);
        copied = edit.end;
    }
    result.push_str(&source[copied..]);
    result
}

fn find<'c>(changelog: &'c Changelog<'_>, label: &str) -> Option<&'c Link> {
    changelog.links().iter().find(|link| link.label.to_lowercase() == label.to_lowercase())
}

/// The link of the Unreleased heading, where it compares the last tag with a branch.
fn unreleased_link<'c>(changelog: &'c Changelog<'_>) -> Option<(&'c Link, Compare<'c>)> {
    let title = &changelog.unreleased()?.title;
    let label = title
        .trim()
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
        .map_or(title.as_str(), |it| it.0);
    let link = find(changelog, label)?;
    Some((link, compare(&link.url)?))
}

fn link_edits(
    changelog: &Changelog<'_>,
    label: &str,
    tag: &str,
    version: &Version,
    newline: &str,
) -> Vec<Edit> {
    if let Some((link, parts)) = unreleased_link(changelog) {
        let old_start = link.url_span.start + parts.base.len();
        let own = format!("{newline}[{label}]: {}{}{}{tag}", parts.base, parts.old, parts.dots);
        return vec![
            Edit { start: old_start, end: old_start + parts.old.len(), text: tag.to_owned() },
            Edit::insert(link.span.end, own),
        ];
    }
    let beside =
        changelog.latest().and_then(|(_, release)| Some((find(changelog, &release.label)?, release)));
    let Some((link, release)) = beside else { return Vec::new() };
    let before = release.version.to_string();
    let url = match compare(&link.url) {
        Some(parts) => format!("{}{}{}{tag}", parts.base, parts.new, parts.dots),
        None if link.url.matches(&before).count() == 1 => link.url.replace(&before, &version.to_string()),
        None => return Vec::new(),
    };
    vec![Edit::insert(link.span.start, format!("[{label}]: {url}{newline}"))]
}

fn link_removals(changelog: &Changelog<'_>, label: &str) -> Vec<Edit> {
    let Some(own) = find(changelog, label) else { return Vec::new() };
    let removed = |start, end| Edit { start, end, text: String::new() };
    if let (Some((link, outer)), Some(inner)) = (unreleased_link(changelog), compare(&own.url))
        && own.line == link.line + 1
        && outer.old == inner.new
    {
        let old_start = link.url_span.start + outer.base.len();
        return vec![
            Edit { start: old_start, end: old_start + outer.old.len(), text: inner.old.to_owned() },
            removed(link.span.end, own.span.end),
        ];
    }
    let source = changelog.source();
    let rest = &source[own.span.end..];
    let width = if rest.starts_with("\r\n") { 2 } else { usize::from(!rest.is_empty()) };
    vec![removed(own.span.start, own.span.end + width)]
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
    if let Some((_, missing)) = had.iter().find(|entry| !has.contains(entry)) {
        return Err(incomplete(format!("the entry `{}` did not arrive", sanitize_line(missing))));
    }
    if had != has || before.body(unreleased) != after.body(section) {
        return Err(incomplete(format!("the section of {version} differs from what was unreleased")));
    }
    if emptied.has_content || after.sections().len() != before.sections().len() + 1 {
        return Err(incomplete("other sections changed".to_owned()));
    }
    Ok(())
}
