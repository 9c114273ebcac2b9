//! A changelog's section taken apart for notes: what breaks, how to upgrade, known issues, and the rest.

use super::Breaking;
use crate::changelog::{Changelog, ChangelogError, GroupHeading, Section};
use crate::text::sanitize;

/// What people wrote under a release's heading.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Written {
    /// The paragraph it begins with, where it begins with one.
    pub(super) summary: Option<String>,
    pub(super) breaking: Vec<Breaking>,
    pub(super) upgrade: Vec<String>,
    pub(super) known_issues: Vec<String>,
    /// Everything else, as it stands.
    pub(super) changes: String,
    /// A group is about what breaks or how to upgrade.
    pub(super) tells_of_breaking: bool,
    /// A group is about how to upgrade.
    pub(super) tells_of_upgrade: bool,
    /// The level of its groups.
    pub(super) level: Option<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Special {
    Breaking,
    Upgrade,
    KnownIssues,
}

impl Special {
    fn of(title: &str) -> Option<Self> {
        let title = title.to_lowercase();
        match () {
            () if title.contains("breaking") => Some(Self::Breaking),
            () if title.contains("upgrad") || title.contains("migrat") => Some(Self::Upgrade),
            () if title.starts_with("known ") => Some(Self::KnownIssues),
            () => None,
        }
    }
}

/// Takes `body`, the text under a release's heading, apart.
pub(super) fn read(body: &str) -> Result<Written, ChangelogError> {
    let source = format!("# 0.0.0\n\n{}", sanitize(body).trim());
    let changelog = Changelog::parse(&source)?;
    let mut written = Written::default();
    let Some((section, _)) = changelog.latest() else { return Ok(written) };
    written.level = section.groups.iter().map(|group| group.level).min();
    let mut kept = String::new();
    let mut from = section.body.start;
    for (at, group) in section.groups.iter().enumerate() {
        let Some(special) = Special::of(&group.title) else { continue };
        if group.span.start < from {
            continue;
        }
        let end = end_of(section, at);
        kept.push_str(&source[from..group.span.start]);
        from = end;
        let text = source[group.body.start..end].trim().to_owned();
        written.tells_of_upgrade |= special == Special::Upgrade;
        written.tells_of_breaking |= special != Special::KnownIssues;
        match special {
            Special::Breaking => written.breaking.extend(breaking(section, group, &text)),
            Special::Upgrade if !text.is_empty() => written.upgrade.push(text),
            Special::KnownIssues if !text.is_empty() => written.known_issues.push(text),
            _ => {}
        }
    }
    kept.push_str(&source[from..]);
    for entry in &section.entries {
        let text = without_mark(&entry.text);
        let bare = text.trim_start_matches(['*', '_', '`', '[', '(']);
        let marked = bare.get(..8).is_some_and(|word| word.eq_ignore_ascii_case("breaking"));
        let under_special = entry.group.as_deref().is_some_and(|group| Special::of(group).is_some());
        if marked && !under_special {
            written.breaking.push(Breaking { text, details: None, guide: None });
        }
    }
    let kept = kept.trim();
    let (first, rest) = kept.split_once("\n\n").unwrap_or((kept, ""));
    let is_prose = first.starts_with(char::is_alphabetic) && !first.lines().skip(1).any(is_item);
    if is_prose {
        written.summary = Some(first.trim().to_owned());
    }
    written.changes = if is_prose { rest } else { kept }.trim().to_owned();
    Ok(written)
}

fn is_item(line: &str) -> bool {
    ["- ", "* ", "+ ", "#", "==", "--"].iter().any(|mark| line.starts_with(mark))
}

/// Where the group ends: at the next heading that is not below it.
fn end_of(section: &Section, at: usize) -> usize {
    let level = section.groups[at].level;
    section.groups[at + 1..]
        .iter()
        .find(|group| group.level <= level)
        .map_or(section.body.end, |group| group.span.start)
}

fn breaking(section: &Section, group: &GroupHeading, text: &str) -> Vec<Breaking> {
    let entries: Vec<Breaking> = section
        .entries
        .iter()
        .filter(|entry| group.body.start <= entry.span.start && entry.span.end <= group.body.end)
        .map(|entry| Breaking { text: without_mark(&entry.text), details: None, guide: None })
        .collect();
    match entries.is_empty() && !text.is_empty() {
        true => vec![Breaking { text: text.to_owned(), details: None, guide: None }],
        false => entries,
    }
}

fn without_mark(entry: &str) -> String {
    let text = entry.trim_start();
    let text = text.strip_prefix(['-', '*', '+']).map_or(text, str::trim_start);
    text.trim_end().to_owned()
}
