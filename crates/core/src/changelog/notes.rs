//! Release notes and tag messages, for people.

use super::entry;
use crate::commit::{Commit, Conventional, Reference, without_reverted};
use crate::text::{sanitize, sanitize_line};
use crate::version::Version;

/// What the notes say beside the changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotesFacts<'a> {
    /// The version released.
    pub version: &'a Version,
    /// The release before, when there is one.
    pub previous_tag: Option<&'a str>,
    /// A person's summary; without one, the changes are counted.
    pub summary: Option<&'a str>,
    /// Where the whole changelog or comparison can be read.
    pub changelog_url: Option<&'a str>,
}

/// Release notes in Markdown: summary, breaking changes, changes, contributors.
///
/// The changes are `section`, the changelog's text for the release, when it is given: people wrote or
/// reviewed it. Otherwise they are made from `commits` (newest first), which also tell what breaks and who
/// contributed.
pub fn render(facts: &NotesFacts<'_>, section: Option<&str>, commits: &[Commit]) -> String {
    let told = without_reverted(commits);
    let changes: Vec<(&Conventional<'_>, &[Reference<'_>])> = told
        .iter()
        .rev()
        .filter(|(_, commit)| !commit.merge)
        .flat_map(|(_, commit)| commit.changes().iter().map(|change| (change, commit.references.as_slice())))
        .collect();
    let mut parts = vec![summary(facts, &changes)];
    let breaking = breaking(&changes);
    parts.push(format!(
        "## Breaking Changes\n\n{}",
        if breaking.is_empty() { "None.".to_owned() } else { breaking.join("\n") }
    ));
    match section.map(str::trim).filter(|section| !section.is_empty()) {
        Some(section) => parts.push(format!("## Changes\n\n{}", sanitize(section))),
        None => parts.extend(Topic::ALL.into_iter().filter_map(|topic| topic.render(&changes))),
    }
    let contributors = contributors(&told);
    if !contributors.is_empty() {
        let list: Vec<String> =
            contributors.iter().map(|name| format!("- {}", entry::inline(name))).collect();
        parts.push(format!("## Contributors\n\n{}", list.join("\n")));
    }
    if let Some(url) = facts.changelog_url {
        parts.push(format!("Full changelog: {}", sanitize_line(url)));
    }
    parts.join("\n\n") + "\n"
}

/// The message of an annotated tag: `Release v1.2.0`, the summary after a dash when given, then `notes`.
///
/// The text is kept as it is, `#` headings included: pass it to git with `--cleanup=verbatim`.
pub fn tag_message(version: &Version, summary: Option<&str>, notes: &str) -> String {
    let subject = match summary.map(sanitize_line).filter(|summary| !summary.is_empty()) {
        Some(summary) => format!("Release v{version} — {summary}"),
        None => format!("Release v{version}"),
    };
    let notes = sanitize(notes);
    match notes.trim() {
        "" => format!("{subject}\n"),
        notes => format!("{subject}\n\n{notes}\n"),
    }
}

/// A heading of notes made from commits.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Topic {
    Features,
    Fixes,
    Improvements,
    Dependencies,
    Testing,
    Documentation,
    Other,
}

impl Topic {
    const ALL: [Self; 7] = [
        Self::Features,
        Self::Fixes,
        Self::Improvements,
        Self::Dependencies,
        Self::Testing,
        Self::Documentation,
        Self::Other,
    ];

    fn of(change: &Conventional<'_>) -> Option<Self> {
        let scope = change.scope.as_deref().unwrap_or("");
        match change.kind.as_deref() {
            None => Some(Self::Other),
            Some("feat" | "feature") => Some(Self::Features),
            Some("deps") => Some(Self::Dependencies),
            Some("chore" | "build" | "fix") if matches!(scope, "deps" | "deps-dev") => {
                Some(Self::Dependencies)
            }
            Some("fix" | "security") => Some(Self::Fixes),
            Some("perf" | "refactor" | "revert" | "deprecate" | "deprecated" | "remove" | "removed") => {
                Some(Self::Improvements)
            }
            Some("test" | "tests") => Some(Self::Testing),
            Some("docs" | "doc") => Some(Self::Documentation),
            Some(_) => None,
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Features => "New Features",
            Self::Fixes => "Bug Fixes",
            Self::Improvements => "Improvements",
            Self::Dependencies => "Dependencies",
            Self::Testing => "Testing",
            Self::Documentation => "Documentation",
            Self::Other => "Other Changes",
        }
    }

    fn render(self, changes: &[(&Conventional<'_>, &[Reference<'_>])]) -> Option<String> {
        let items: Vec<String> = changes
            .iter()
            .filter(|(change, _)| Self::of(change) == Some(self) && !change.description.is_empty())
            .map(|(change, references)| format!("- {}", entry::text(change, references, None)))
            .collect();
        (!items.is_empty()).then(|| format!("## {}\n\n{}", self.title(), items.join("\n")))
    }
}

fn summary(facts: &NotesFacts<'_>, changes: &[(&Conventional<'_>, &[Reference<'_>])]) -> String {
    if let Some(summary) = facts.summary.map(sanitize).filter(|summary| !summary.trim().is_empty()) {
        return summary.trim().to_owned();
    }
    let count = |topic: Topic| changes.iter().filter(|(change, _)| Topic::of(change) == Some(topic)).count();
    let plural =
        |count: usize, one: &str, many: &str| format!("{count} {}", if count == 1 { one } else { many });
    let mut counted = Vec::new();
    for (topic, one, many) in
        [(Topic::Features, "new feature", "new features"), (Topic::Fixes, "bug fix", "bug fixes")]
    {
        if count(topic) > 0 {
            counted.push(plural(count(topic), one, many));
        }
    }
    let since = facts.previous_tag.map_or(String::new(), |tag| format!(" since {}", sanitize_line(tag)));
    let told = match (counted.is_empty(), changes.is_empty()) {
        (false, _) => format!(": {}{since}", counted.join(", ")),
        (true, false) => format!(": {}{since}", plural(changes.len(), "change", "changes")),
        (true, true) => String::new(),
    };
    format!("Version {}{told}.", facts.version)
}

fn breaking(changes: &[(&Conventional<'_>, &[Reference<'_>])]) -> Vec<String> {
    changes
        .iter()
        .filter_map(|(change, references)| {
            let told = change.breaking.as_deref()?;
            let title = entry::text(change, references, None);
            Some(match told.trim() == change.description {
                true => format!("- {title}"),
                false => format!("- {title}\n\n  {}", entry::block(told)),
            })
        })
        .collect()
}

/// Everyone named as author or co-author, in order of appearance; machines and addresses are left out.
fn contributors(told: &[(&Commit, Conventional<'_>)]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (commit, understood) in told.iter().rev() {
        let co_authors = understood
            .footers
            .iter()
            .filter(|footer| footer.token.eq_ignore_ascii_case("co-authored-by"))
            .map(|footer| footer.value.split('<').next().unwrap_or(""));
        for name in std::iter::once(commit.author_name.as_str()).chain(co_authors) {
            let name = sanitize_line(name);
            if !name.is_empty() && !name.ends_with("[bot]") && !names.contains(&name) {
                names.push(name);
            }
        }
    }
    names
}
