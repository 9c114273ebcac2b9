//! Entries made from commits, for a changelog nobody has written yet.

use super::{Changelog, ChangelogError, entry};
use crate::commit::{Commit, Conventional, without_reverted};

/// The groups of Keep a Changelog, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// New features.
    Added,
    /// Changes in what exists.
    Changed,
    /// What will go.
    Deprecated,
    /// What went.
    Removed,
    /// Repairs.
    Fixed,
    /// Vulnerabilities.
    Security,
}

impl Group {
    /// The heading's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "Added",
            Self::Changed => "Changed",
            Self::Deprecated => "Deprecated",
            Self::Removed => "Removed",
            Self::Fixed => "Fixed",
            Self::Security => "Security",
        }
    }

    /// Where a change belongs; `None` when its users would not notice it.
    fn of(change: &Conventional<'_>) -> Option<Self> {
        let scope = change.scope.as_deref().unwrap_or("").to_ascii_lowercase();
        match change.kind.as_deref()? {
            "security" => Some(Self::Security),
            "fix" if scope == "security" => Some(Self::Security),
            "feat" | "feature" => Some(Self::Added),
            "fix" => Some(Self::Fixed),
            "perf" | "revert" => Some(Self::Changed),
            "deprecate" | "deprecated" => Some(Self::Deprecated),
            "remove" | "removed" => Some(Self::Removed),
            _ => change.breaking.is_some().then_some(Self::Changed),
        }
    }
}

/// What stands where the commits hold nothing for users.
const PLACEHOLDER: &str = "Maintenance release without changes for users";

/// `source` with entries made from `commits` (newest first) under an `Unreleased` that has none.
/// One that has some is somebody's work and stays as it is.
pub fn fill_unreleased(source: &str, commits: &[Commit]) -> Result<String, ChangelogError> {
    let changelog = Changelog::parse(source)?;
    let unreleased = changelog.unreleased().ok_or(ChangelogError::NoUnreleased)?;
    if unreleased.has_content {
        return Ok(source.to_owned());
    }
    let newline = match &source[unreleased.heading.end..unreleased.body.start] {
        "" if source.contains("\r\n") => "\r\n",
        "" => "\n",
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
    for (group, entries) in grouped(commits) {
        filled.push_str(&format!("{newline}{mark} {}{newline}{newline}", group.as_str()));
        for entry in entries {
            filled.push_str(&format!("- {entry}{newline}"));
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

fn grouped(commits: &[Commit]) -> Vec<(Group, Vec<String>)> {
    let told = without_reverted(commits);
    let mut found: Vec<(Group, String)> = Vec::new();
    // Oldest first, as the work went.
    for (_, commit) in told.iter().rev().filter(|(_, commit)| !commit.merge) {
        for change in commit.changes() {
            let Some(group) = Group::of(change) else { continue };
            let text = entry::text(change, &commit.references);
            let breaking = if change.breaking.is_some() { "**Breaking:** " } else { "" };
            let reverted = if change.kind.as_deref() == Some("revert") { "Reverted: " } else { "" };
            found.push((group, format!("{breaking}{reverted}{text}")));
        }
    }
    let conventional =
        told.iter().any(|(_, commit)| commit.changes().iter().any(|change| change.kind.is_some()));
    if found.is_empty() && !conventional {
        // A project without the convention still gets its subjects, for people to sort.
        let plain = told.iter().rev().filter(|(_, commit)| !commit.merge && !commit.description.is_empty());
        found.extend(plain.map(|(_, commit)| (Group::Changed, entry::text(commit, &commit.references))));
    }
    if found.is_empty() {
        found.push((Group::Changed, PLACEHOLDER.to_owned()));
    }
    found.sort_by_key(|(group, _)| *group);
    let mut groups: Vec<(Group, Vec<String>)> = Vec::new();
    for (group, text) in found {
        match groups.last_mut() {
            Some((last, texts)) if *last == group => {
                if !texts.contains(&text) {
                    texts.push(text);
                }
            }
            _ => groups.push((group, vec![text])),
        }
    }
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
