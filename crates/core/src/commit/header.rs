//! Subjects of commits: strict ones first, then what hosts and habits make of them.

use std::borrow::Cow;

use super::Conventional;

/// Types believed where prose could look alike: behind decorations and in squashed lists.
pub(super) const KNOWN: [&str; 20] = [
    "feat",
    "feature",
    "fix",
    "docs",
    "doc",
    "style",
    "refactor",
    "perf",
    "test",
    "tests",
    "build",
    "ci",
    "chore",
    "revert",
    "deps",
    "security",
    "deprecate",
    "deprecated",
    "remove",
    "removed",
];

/// How the subjects of merges begin, as git and hosts write them.
const MERGES: [&str; 8] = [
    "Merge branch ",
    "Merge branches ",
    "Merge remote-tracking branch ",
    "Merge pull request #",
    "Merge tag ",
    "Merge commit ",
    "Merged in ",
    "Merge remote branch ",
];

/// Whether git or a host wrote this subject when it joined branches.
pub(super) fn is_merge(subject: &str) -> bool {
    subject.starts_with("Merge") && MERGES.iter().any(|start| subject.starts_with(start))
}

/// A subject that follows the convention, strictly or nearly.
pub(super) fn conventional(subject: &str) -> Option<Conventional<'_>> {
    match header(subject) {
        // `ABC-12: feat: a`: the ticket is no type where a type comes after it.
        Some(found) if found.scope.is_none() && is_ticket(subject) => {
            known_header(subject.split_once(':')?.1.trim()).or(Some(found))
        }
        Some(found) => Some(found),
        None => known_header(undecorated(subject)?),
    }
}

/// As [`header`], for a type that is known.
pub(super) fn known_header(subject: &str) -> Option<Conventional<'_>> {
    header(subject).filter(|commit| commit.kind.as_deref().is_some_and(|kind| KNOWN.contains(&kind)))
}

/// What `Revert "subject"` and `Reapply "subject"`, as git writes them, tell.
pub(super) fn git_revert(subject: &str) -> Option<Conventional<'_>> {
    let quoted = |start: &str| {
        let rest = subject.strip_prefix(start)?;
        Some(rest[..rest.rfind('"')?].trim()).filter(|inner| !inner.is_empty())
    };
    if let Some(inner) = quoted("Revert \"") {
        return Some(Conventional {
            kind: Some("revert".into()),
            description: inner.into(),
            ..Conventional::default()
        });
    }
    // Its target is the revert: where that is in the range too, both vanish and the original stands.
    // Where it is not, the original change comes back, so it counts as what it was.
    let inner = quoted("Reapply \"")?;
    Some(
        header(inner)
            .unwrap_or_else(|| Conventional { description: inner.into(), ..Conventional::default() }),
    )
}

/// `type(scope)!: description` with blanks where people put them.
fn header(subject: &str) -> Option<Conventional<'_>> {
    let word = |character: char| character.is_alphanumeric() || matches!(character, '-' | '_' | '/');
    let end = subject.find(|character| !word(character))?;
    let kind = &subject[..end];
    let mut rest = subject[end..].trim_start();
    let mut breaks = false;
    let mut scope = None;
    // `feat!(api): ` is not the convention's order, but there is no doubt what it says.
    for _ in 0..2 {
        if let Some(after) = rest.strip_prefix('!') {
            breaks = true;
            rest = after.trim_start();
        }
        if scope.is_none()
            && let Some(inner) = rest.strip_prefix('(')
        {
            let (inside, after) = inner.split_once(')')?;
            scope = Some(inside.trim());
            rest = after.trim_start();
        }
    }
    let description = rest.strip_prefix(':')?.trim();
    if kind.is_empty() || description.is_empty() || description.starts_with("//") {
        return None;
    }
    Some(Conventional {
        kind: Some(lower(kind)),
        scope: scope.filter(|scope| !scope.is_empty()).map(Cow::from),
        breaking: breaks.then(|| description.into()),
        description: description.into(),
        ..Conventional::default()
    })
}

fn lower(text: &str) -> Cow<'_, str> {
    match text.bytes().all(|byte| byte.is_ascii_lowercase()) {
        true => text.into(),
        false => text.to_lowercase().into(),
    }
}

/// Whether a subject begins with something like `ABC-12:`.
fn is_ticket(subject: &str) -> bool {
    let Some((project, rest)) = subject.split_once('-') else { return false };
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    !project.is_empty()
        && project.bytes().all(|byte| byte.is_ascii_uppercase())
        && digits > 0
        && rest[digits..].starts_with(':')
}

/// The subject behind an emoji, a `[TICKET-1]` or the words Azure puts before a squashed subject.
fn undecorated(subject: &str) -> Option<&str> {
    if let Some((number, rest)) = subject.strip_prefix("Merged PR ").and_then(|rest| rest.split_once(": ")) {
        return number.bytes().all(|byte| byte.is_ascii_digit()).then_some(rest.trim());
    }
    let (first, rest) = subject.split_once(' ')?;
    let ticket = first.starts_with('[') && first.ends_with(']');
    let shortcode = first.len() > 2 && first.starts_with(':') && first.ends_with(':');
    let emoji = first.chars().all(|character| !character.is_ascii() && !character.is_alphanumeric());
    (ticket || shortcode || emoji).then_some(rest.trim())
}
