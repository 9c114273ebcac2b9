//! Issues and pull requests that a commit names, and the people it mentions.

use std::borrow::Cow;

use serde::Serialize;

/// No commit is about more issues than this.
const MOST: usize = 100;

/// Words that say what a commit does to the issues named after them.
const ACTIONS: [&str; 22] = [
    "close",
    "closes",
    "closed",
    "closing",
    "fix",
    "fixes",
    "fixed",
    "fixing",
    "resolve",
    "resolves",
    "resolved",
    "resolving",
    "implement",
    "implements",
    "implemented",
    "refs",
    "ref",
    "references",
    "see",
    "relates",
    "part",
    "addresses",
];

/// An issue or a pull request that a commit names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reference<'a> {
    /// As written: `#12`, `project#12` or `owner/project#12`.
    pub name: Cow<'a, str>,
    /// The word before it that says what happens to it, as written, such as `Closes`.
    pub action: Option<Cow<'a, str>>,
    /// It stands in the subject.
    pub leading: bool,
}

impl Reference<'_> {
    /// The issue: `12` in `owner/project#12`.
    pub fn issue(&self) -> &str {
        self.name.split_once('#').map_or("", |(_, issue)| issue)
    }

    /// The project, where it is named: `project` in `owner/project#12`.
    pub fn repository(&self) -> Option<&str> {
        let place = self.name.split_once('#').map_or("", |(place, _)| place);
        let project = place.split_once('/').map_or(place, |(_, project)| project);
        Some(project).filter(|project| !project.is_empty())
    }

    /// The project's owner, where it is named.
    pub fn owner(&self) -> Option<&str> {
        let place = self.name.split_once('#').map_or("", |(place, _)| place);
        place.split_once('/').map(|(owner, _)| owner)
    }

    /// The same with its own text.
    pub fn into_owned(self) -> Reference<'static> {
        Reference {
            name: self.name.into_owned().into(),
            action: self.action.map(|action| action.into_owned().into()),
            leading: self.leading,
        }
    }
}

/// Every issue named in a message, each once, with the first action told for it.
pub(super) fn references(text: &str) -> Vec<Reference<'_>> {
    let mut found: Vec<Reference<'_>> = Vec::new();
    let subject_end = text.find('\n').unwrap_or(text.len());
    let mut from = 0;
    // Most lines name nothing: only those with the mark are looked at.
    while let Some(mark) = text[from..].find('#').map(|at| from + at) {
        let start = text[from..mark].rfind('\n').map_or(from, |at| from + at + 1);
        let end = text[mark..].find('\n').map_or(text.len(), |at| mark + at);
        for reference in line(&text[start..end], start < subject_end) {
            match found.iter_mut().find(|known| known.name == reference.name) {
                Some(known) if known.action.is_none() => known.action = reference.action,
                Some(_) => {}
                None => found.push(reference),
            }
            if found.len() >= MOST {
                return found;
            }
        }
        from = end;
    }
    found
}

/// The people that `@name` mentions, in order; addresses mention nobody.
pub fn mentions(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices('@').filter_map(|(at, _)| {
        let part_of_word =
            |character: char| character.is_alphanumeric() || matches!(character, '-' | '_' | '.');
        let rest = &text[at + 1..];
        let end = rest
            .find(|character: char| !character.is_ascii_alphanumeric() && !matches!(character, '-' | '_'))
            .unwrap_or(rest.len());
        (end > 0 && !text[..at].ends_with(part_of_word)).then(|| &rest[..end])
    })
}

fn line(line: &str, leading: bool) -> impl Iterator<Item = Reference<'_>> {
    let mut action = None;
    line.split(|character: char| character.is_whitespace() || "()[]{},;<>\"'`".contains(character))
        .filter_map(move |word| {
            let bare = word.trim_start_matches(['*', '_']).trim_end_matches(['.', ':', '!', '?', '*', '_']);
            if !bare.contains('#') {
                // `fix:` of a subject is its type; what closes is written as a word or at a line's start.
                if (!leading || bare.len() == word.len())
                    && ACTIONS.iter().any(|known| known.eq_ignore_ascii_case(bare))
                {
                    action = Some(bare);
                }
                return None;
            }
            is_reference(bare, action.is_some()).then(|| Reference {
                name: bare.into(),
                action: action.map(Cow::from),
                leading,
            })
        })
}

/// `#12`, `owner/project#12`, and after an action `project#12`, which is too near to `C#7` elsewhere.
fn is_reference(word: &str, acted_on: bool) -> bool {
    let Some((place, issue)) = word.split_once('#') else { return false };
    let part = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    let placed = match place.split_once('/') {
        None => place.is_empty() || (acted_on && part(place)),
        Some((owner, project)) => part(owner) && part(project),
    };
    placed && is_issue(issue)
}

/// A number, or a ticket such as `JIRA-123`.
fn is_issue(issue: &str) -> bool {
    let digits = |text: &str| (1..=9).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if issue.starts_with(|character: char| character.is_ascii_digit()) {
        return digits(issue);
    }
    let Some((project, number)) = issue.rsplit_once('-') else { return false };
    issue.len() <= 64
        && project.starts_with(|character: char| character.is_ascii_uppercase())
        && project.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'-')
        && number.starts_with(|character: char| character.is_ascii_digit())
        && number.bytes().all(|byte| byte.is_ascii_alphanumeric())
}
