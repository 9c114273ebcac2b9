//! The forms a commit message takes in the wild: strict first, then what hosts and habits make of it.

use super::{Conventional, Footer};

/// Past this a message says nothing more about the release, and hostile ones stop costing time.
const LONGEST: usize = 64 * 1024;

/// Types believed where prose could look alike: behind decorations and in squashed lists.
const KNOWN: [&str; 20] = [
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

/// The message with `\n` line ends, without blank lines around it, bounded.
pub(super) fn normalize(message: &str) -> String {
    let mut end = message.len().min(LONGEST);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    let text = message[..end].replace("\r\n", "\n").replace(['\r', '\0'], "\n");
    text.trim_matches(|character: char| character.is_whitespace() || character == '\u{feff}').to_owned()
}

/// Whether git or a host wrote this subject when it joined branches.
pub(super) fn is_merge(subject: &str) -> bool {
    [
        "Merge branch ",
        "Merge branches ",
        "Merge remote-tracking branch ",
        "Merge pull request #",
        "Merge tag ",
    ]
    .iter()
    .chain(&["Merge commit ", "Merged in ", "Merge remote branch "])
    .any(|start| subject.starts_with(start))
}

/// A message that is read as it stands: subject, body, trailers.
pub(super) fn plain(text: &str) -> Conventional {
    let (subject, rest) = text.split_once('\n').unwrap_or((text, ""));
    let (body, footers) = trailers(rest.trim());
    Conventional { description: subject.trim().to_owned(), body, footers, ..Conventional::default() }
}

/// A message without a type of its own; the lines of its squashed list may have some.
pub(super) fn unconventional(text: &str) -> Conventional {
    let mut commit = plain(text);
    commit.squashed = text
        .lines()
        .skip(1)
        .filter_map(|line| line.strip_prefix("* ").or_else(|| line.strip_prefix("- ")))
        .filter_map(|item| header(item.trim()).filter(known))
        .collect();
    commit
}

/// A message that follows the convention, strictly or nearly.
pub(super) fn conventional(text: &str) -> Option<Conventional> {
    if let Some(commit) = strict(text) {
        return Some(commit);
    }
    let (subject, rest) = text.split_once('\n').unwrap_or((text, ""));
    let found = header(subject.trim()).or_else(|| header(undecorated(subject)?).filter(known))?;
    let (body, footers) = trailers(rest.trim());
    Some(Conventional { body, footers, ..found })
}

/// `Revert "subject"` and `Reapply "subject"`, as git writes them.
pub(super) fn git_revert(text: &str) -> Option<Conventional> {
    let subject = text.lines().next()?;
    let quoted = |start: &str| {
        let rest = subject.strip_prefix(start)?;
        Some(rest[..rest.rfind('"')?].trim().to_owned()).filter(|inner| !inner.is_empty())
    };
    let reverts = reverted_id(text);
    if let Some(inner) = quoted("Revert \"") {
        return Some(Conventional {
            kind: Some("revert".to_owned()),
            description: inner,
            reverts,
            ..plain(text)
        });
    }
    // Its target is the revert: where that is in the range too, both vanish and the original stands.
    // Where it is not, the original change comes back, so it counts as what it was.
    let inner = quoted("Reapply \"")?;
    let (body, footers) = trailers(text.split_once('\n').map_or("", |(_, rest)| rest).trim());
    let original = header(&inner).unwrap_or(Conventional { description: inner, ..Conventional::default() });
    Some(Conventional { reverts, body, footers, ..original })
}

/// The id after "This reverts commit", or in a `Refs:` footer.
pub(super) fn reverted_id(text: &str) -> Option<String> {
    let after = text
        .split_once("This reverts commit ")
        .map(|(_, after)| after)
        .or_else(|| text.lines().skip(1).find_map(|line| line.strip_prefix("Refs: ")))?;
    let id: String = after.chars().take_while(char::is_ascii_hexdigit).collect();
    (7..=64).contains(&id.len()).then(|| id.to_ascii_lowercase())
}

/// The text of a `BREAKING CHANGE:` paragraph that the strict reading missed.
pub(super) fn breaking_paragraph(text: &str) -> Option<String> {
    let mut lines = text.lines().skip(1);
    let first = lines.by_ref().find_map(|line| {
        let rest = line.strip_prefix("BREAKING CHANGE").or_else(|| line.strip_prefix("BREAKING-CHANGE"))?;
        rest.strip_prefix('S').unwrap_or(rest).trim_start().strip_prefix(':')
    })?;
    let more = lines.take_while(|line| !line.trim().is_empty() && trailer(line).is_none());
    let told: Vec<&str> = std::iter::once(first).chain(more).map(str::trim).collect();
    let told = told.join("\n").trim().to_owned();
    Some(if told.is_empty() { "see the commit".to_owned() } else { told })
}

/// `#12` and `owner/project#12` in the subject, the trailers and after closing words in the body.
pub(super) fn references(text: &str, commit: &Conventional) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut gather = |line: &str| {
        for reference in line
            .split(|c: char| c.is_whitespace() || "()[],;.:".contains(c))
            .filter(|word| is_reference(word))
        {
            if found.len() < 100 && !found.iter().any(|known| known == reference) {
                found.push(reference.to_owned());
            }
        }
    };
    gather(text.lines().next().unwrap_or(""));
    for line in text.lines().skip(1) {
        let lower = line.to_ascii_lowercase();
        let closing =
            ["close", "fix", "resolve", "refs", "ref:", "see "].iter().any(|word| lower.contains(word));
        if closing {
            gather(line);
        }
    }
    for footer in &commit.footers {
        gather(&footer.value);
    }
    found
}

fn strict(text: &str) -> Option<Conventional> {
    let parsed = git_conventional::Commit::parse(text).ok()?;
    let scope =
        parsed.scope().map(|scope| scope.as_str().trim().to_owned()).filter(|scope| !scope.is_empty());
    Some(Conventional {
        kind: Some(parsed.type_().as_str().to_lowercase()),
        scope,
        breaking: parsed.breaking_description().map(|text| text.trim().to_owned()),
        description: parsed.description().trim().to_owned(),
        body: parsed.body().map(|body| body.trim().to_owned()).filter(|body| !body.is_empty()),
        footers: parsed
            .footers()
            .iter()
            .map(|footer| Footer {
                token: footer.token().as_str().to_owned(),
                value: match footer.separator() {
                    git_conventional::FooterSeparator::Ref => format!("#{}", footer.value().trim()),
                    _ => footer.value().trim().to_owned(),
                },
            })
            .collect(),
        ..Conventional::default()
    })
    .filter(|commit| !commit.description.is_empty() && !commit.description.starts_with("//"))
}

/// `type(scope)!: description` with blanks where people put them.
fn header(subject: &str) -> Option<Conventional> {
    let word = |character: char| character.is_alphanumeric() || "-_/".contains(character);
    let end = subject.find(|character| !word(character))?;
    let kind = subject[..end].to_lowercase();
    let mut rest = subject[end..].trim_start();
    let mut scope = None;
    if let Some(inner) = rest.strip_prefix('(') {
        let (inside, after) = inner.split_once(')')?;
        scope = Some(inside.trim().to_owned()).filter(|inside| !inside.is_empty());
        rest = after.trim_start();
    }
    let breaking = rest.strip_prefix('!');
    let description = breaking.unwrap_or(rest).trim_start().strip_prefix(':')?.trim();
    if kind.is_empty() || description.is_empty() || description.starts_with("//") {
        return None;
    }
    Some(Conventional {
        kind: Some(kind),
        scope,
        breaking: breaking.map(|_| description.to_owned()),
        description: description.to_owned(),
        ..Conventional::default()
    })
}

fn known(commit: &Conventional) -> bool {
    commit.kind.as_deref().is_some_and(|kind| KNOWN.contains(&kind))
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

/// The last paragraph's trailers, when every one of its lines is one, and the text before.
fn trailers(rest: &str) -> (Option<String>, Vec<Footer>) {
    let (before, last) = rest.rsplit_once("\n\n").unwrap_or(("", rest));
    let footers: Option<Vec<Footer>> = last.lines().map(trailer).collect();
    let (body, footers) = match footers {
        Some(footers) => (before, footers),
        None => (rest, Vec::new()),
    };
    (Some(body.trim().to_owned()).filter(|body| !body.is_empty()), footers)
}

fn trailer(line: &str) -> Option<Footer> {
    let (token, value) = line.split_once(": ")?;
    let legal = !token.is_empty()
        && token.starts_with(|c: char| c.is_ascii_alphabetic())
        && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    legal.then(|| Footer { token: token.to_owned(), value: value.trim().to_owned() })
}

fn is_reference(word: &str) -> bool {
    let Some((project, number)) = word.split_once('#') else { return false };
    let numbered = (1..=9).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit());
    let named = match project.split_once('/') {
        None => project.is_empty(),
        Some((owner, name)) => [owner, name].iter().all(|part| {
            !part.is_empty()
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        }),
    };
    numbered && named
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    #[test]
    fn long_messages_are_cut_at_a_character() {
        assert!(normalize(&"é".repeat(LONGEST)).len() <= LONGEST);
        assert_eq!(parse(&format!("feat: a\n\n{}", "x\n".repeat(LONGEST))).kind.as_deref(), Some("feat"));
    }
}
