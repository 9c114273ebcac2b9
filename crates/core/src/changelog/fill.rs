//! Entries made from commits, for a changelog nobody has written yet, or not to the end.

use std::collections::{HashMap, HashSet};

use super::edit::{Edit, apply};
use super::group::{Headings, rank};
use super::known::Known;
use super::links::Site;
use super::{Changelog, ChangelogError, Group, Section, entry, heading};
use crate::commit::{Commit, Conventional};

/// How entries are made from commits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EntryOptions {
    /// Which heading each type of commit goes under.
    pub headings: Headings,
    /// The entry where the commits hold nothing for users; a built-in one without.
    pub placeholder: Option<String>,
    /// The project's page, for links to issues.
    pub site: Option<Site>,
    /// It is a hotfix: what has no heading of its own was repaired.
    pub hotfix: bool,
}

/// What stands where the commits hold nothing for users.
const PLACEHOLDER: &str = "Maintenance release without changes for users";

/// `source` with entries made from `commits` (newest first) under an `Unreleased` that has none.
/// One that has some is somebody's work and stays as it is: see [`append_unreleased`].
pub fn fill_unreleased(
    source: &str,
    commits: &[Commit],
    options: &EntryOptions,
) -> Result<String, ChangelogError> {
    let changelog = Changelog::parse(source)?;
    let unreleased = changelog.unreleased().ok_or(ChangelogError::NoUnreleased)?;
    changelog.require_one(None)?;
    if unreleased.has_content {
        return Ok(source.to_owned());
    }
    let newline = match &source[unreleased.heading.end..unreleased.body.start] {
        "" => heading::newline(source),
        newline => newline,
    };
    let mut filled = source[..unreleased.heading.end].to_owned();
    filled.push_str(newline);
    let (open, closed): (Vec<&str>, Vec<&str>) =
        comments(changelog.body(unreleased)).into_iter().partition(|comment| !comment.ends_with("-->"));
    let add_comment = |filled: &mut String, comment: &str| {
        for part in [newline, comment, newline] {
            filled.push_str(part);
        }
    };
    closed.iter().for_each(|comment| add_comment(&mut filled, comment));
    let mark = "#".repeat(usize::from(unreleased.level) + 1);
    for (title, entries) in grouped(commits, options) {
        filled.push_str(&format!("{newline}{mark} {title}{newline}{newline}"));
        for told in entries {
            filled.push_str(&format!("- {}{newline}", told.text));
        }
    }
    // One that is never closed would swallow the entries after it.
    open.iter().for_each(|comment| add_comment(&mut filled, comment));
    let rest = &source[unreleased.body.end..];
    if !rest.is_empty() {
        filled.push_str(newline);
    }
    filled.push_str(rest);
    let again = Changelog::parse(&filled)?;
    if again.sections().len() != changelog.sections().len()
        || again.unreleased().is_none_or(|section| section.entries.is_empty())
    {
        return Err(ChangelogError::Incomplete {
            problem: "the entries from the commits cannot be read".to_owned(),
        });
    }
    Ok(filled)
}

/// `source` with those entries made from `commits` added that `Unreleased` does not have yet: by their words, or by
/// the issue or pull request they name. What is there stays as it is, byte for byte.
pub fn append_unreleased(
    source: &str,
    commits: &[Commit],
    options: &EntryOptions,
) -> Result<String, ChangelogError> {
    let changelog = Changelog::parse(source)?;
    let unreleased = changelog.unreleased().ok_or(ChangelogError::NoUnreleased)?;
    changelog.require_one(None)?;
    if !unreleased.has_content {
        return fill_unreleased(source, commits, options);
    }
    let newline = &source[unreleased.heading.end..unreleased.body.start];
    let known = Known::of(unreleased.entries.iter().map(|entry| entry.text.as_str()));
    let is_new = |told: &Told<'_>| !known.tells(&told.text, &told.names);
    let mut edits = Vec::new();
    let mut expected: Vec<String> = unreleased.entries.iter().map(|entry| entry.text.clone()).collect();
    for (title, entries) in grouped(commits, options) {
        let new: Vec<Told<'_>> =
            entries.into_iter().filter(|told| told.of.is_some() && is_new(told)).collect();
        expected.extend(new.iter().map(|told| told.text.clone()));
        if !new.is_empty() {
            edits.push(addition(source, unreleased, &title, &new, newline));
        }
    }
    let appended = apply(source, edits);
    let again = Changelog::parse(&appended)?;
    let has: Vec<&str> = again
        .unreleased()
        .map_or_else(Vec::new, |section| section.entries.iter().map(|entry| entry.text.as_str()).collect());
    // With a list's mark, or as they stand.
    let told: HashSet<&str> =
        has.iter().flat_map(|text| [Some(*text), text.trim_start().get(2..)]).flatten().collect();
    let is_there = |wanted: &String| told.contains(wanted.as_str());
    // Strange text around could swallow an entry, or be swallowed by one.
    if again.sections().len() != changelog.sections().len()
        || has.len() != expected.len()
        || !expected.iter().all(is_there)
    {
        return Err(ChangelogError::Incomplete {
            problem: "the entries from the commits cannot be read".to_owned(),
        });
    }
    Ok(appended)
}

/// Where the new entries of a group go: after its last entry, or in a group of their own at its place.
fn addition(source: &str, unreleased: &Section, title: &str, new: &[Told<'_>], newline: &str) -> Edit {
    let level = unreleased.groups.iter().map(|group| group.level).min().unwrap_or(unreleased.level + 1);
    let mut groups = unreleased.groups.iter().filter(|group| group.level == level);
    let list =
        |mark: &str| new.iter().map(|told| format!("{mark} {}", told.text)).collect::<Vec<_>>().join(newline);
    if let Some(group) =
        groups.clone().find(|group| group.title.trim_end_matches(':').eq_ignore_ascii_case(title))
    {
        let last = unreleased
            .entries
            .iter()
            .rfind(|entry| group.body.start <= entry.span.start && entry.span.end <= group.body.end);
        return match last {
            Some(last) => {
                let bullet = last.text.trim_start().chars().next().filter(|mark| "-*+".contains(*mark));
                let indent = &last.text[..last.text.len() - last.text.trim_start_matches(' ').len()];
                let mark = format!("{indent}{}", bullet.unwrap_or('-'));
                let after = apart(&source[last.span.end..], newline);
                Edit::insert(last.span.end, format!("{newline}{}{after}", list(&mark)))
            }
            // Under text of another kind, a blank line keeps the two apart.
            None if group.has_content => {
                let body = &source[group.body.start..group.body.end];
                let end = group.body.start + body.trim_end().len();
                let after = apart(&source[end..], newline);
                Edit::insert(end, format!("{newline}{newline}{}{after}", list("-")))
            }
            None => {
                let blank_after = source[group.body.start..].starts_with(['\r', '\n']);
                let after = if blank_after { "" } else { newline };
                Edit::insert(group.body.start, format!("{newline}{}{newline}{after}", list("-")))
            }
        };
    }
    let marks = "#".repeat(usize::from(level.min(6)));
    let group = format!("{marks} {title}{newline}{newline}{}", list("-"));
    match groups.find(|group| rank(&group.title) > rank(title)) {
        Some(later) => Edit::insert(later.span.start, format!("{group}{newline}{newline}")),
        None => {
            let body = &source[unreleased.body.start..unreleased.body.end];
            let end = unreleased.body.start + body.trim_end().len();
            let after = apart(&source[end..], newline);
            Edit::insert(end, format!("{newline}{newline}{group}{after}"))
        }
    }
}

/// A blank line for after a list, where a line of something else would become part of its last entry.
fn apart<'a>(rest: &str, newline: &'a str) -> &'a str {
    let below = rest.strip_prefix(newline).unwrap_or(rest);
    if below.is_empty() || below.starts_with(['\r', '\n', '#']) { "" } else { newline }
}

/// An entry made from a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told<'a> {
    /// Its text as Markdown, without a list's mark.
    pub(super) text: String,
    /// The commit and the change; nothing for what stands for the lack of any.
    pub(super) of: Option<(&'a Commit, Conventional<'a>)>,
    /// The issues and pull requests that its subject names: two entries with the same one tell the same.
    names: Vec<String>,
}

impl<'a> Told<'a> {
    pub(super) fn of(commit: &'a Commit, change: &Conventional<'a>, text: String) -> Self {
        Self { text, of: Some((commit, change.clone())), names: Vec::new() }
    }
}

/// The entries that `commits` (newest first) make, by heading.
pub(super) fn grouped<'a>(commits: &'a [Commit], options: &EntryOptions) -> Vec<(String, Vec<Told<'a>>)> {
    let told = options.headings.types().told(commits);
    let mut found: Vec<(String, Told<'a>)> = Vec::new();
    let other = if options.hotfix { Group::Fixed } else { Group::Changed }.as_str();
    let site = options.site.as_ref();
    let mut conventional = false;
    // Oldest first, as the work went.
    for (commit, message) in told.iter().rev().filter(|(_, message)| !message.merge) {
        for change in message.changes() {
            conventional |= change.kind.is_some();
            let Some(heading) = options.headings.of(change) else { continue };
            let mut text = String::new();
            if change.breaking.is_some() {
                text.push_str("**Breaking:** ");
            }
            if change.kind.as_deref() == Some("revert") {
                text.push_str("Reverted: ");
            }
            text.push_str(&entry::text(change, &message.references, site));
            let own = message.squashed.is_empty();
            let leading = message.references.iter().filter(|one| one.leading && own);
            let names = leading.map(|one| one.name.to_string()).collect();
            found.push((entry::inline(&heading), Told { text, names, of: Some((commit, change.clone())) }));
        }
    }
    if !conventional || (found.is_empty() && options.hotfix) {
        // A project without the convention still gets its subjects, for people to sort.
        found.clear();
        let plain =
            told.iter().rev().filter(|(_, message)| !message.merge && !message.description.is_empty());
        found.extend(plain.map(|(commit, message)| {
            let mark = if message.breaking.is_some() { "**Breaking:** " } else { "" };
            let text = format!("{mark}{}", entry::text(message, &message.references, site));
            (other.to_owned(), Told { text, names: Vec::new(), of: Some((commit, message.clone())) })
        }));
    }
    if found.is_empty() {
        let text = options.placeholder.as_deref().map(entry::inline).filter(|text| !text.is_empty());
        let text = text.unwrap_or_else(|| PLACEHOLDER.to_owned());
        found.push((other.to_owned(), Told { text, names: Vec::new(), of: None }));
    }
    // Stable: headings of the same rank keep the order in which they first come.
    let mut groups: Vec<(String, Vec<Told<'a>>)> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut seen: HashSet<(usize, String)> = HashSet::new();
    for (title, told) in found {
        let place = *places.entry(title.to_lowercase()).or_insert_with(|| {
            groups.push((title, Vec::new()));
            groups.len() - 1
        });
        if seen.insert((place, told.text.clone())) {
            groups[place].1.push(told);
        }
    }
    groups.sort_by_key(|(title, _)| rank(title));
    groups
}

/// The comments in a body that otherwise holds only headings.
fn comments(body: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = body;
    while let Some(start) = rest.find("<!--") {
        let end = rest[start..].find("-->").map_or(rest.len(), |length| start + length + "-->".len());
        found.push(rest[start..end].trim_end());
        rest = &rest[end..];
    }
    found
}
