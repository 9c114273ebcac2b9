//! What is under a commit's subject: the text, and the trailers with their values.

use super::Footer;

/// Trailers whose text goes on over paragraphs, until the next trailer: they explain, the others name.
const EXPLAINING: [&str; 10] = [
    "migration",
    "migration-guide",
    "migrate",
    "upgrade",
    "upgrading",
    "upgrade-guide",
    "upgrade-instructions",
    "upgrade-notes",
    "known-issue",
    "known-issues",
];

/// Trailers that are believed anywhere at the start of a line, beside all that end in `-by`.
const SURE: [&str; 21] = [
    "refs",
    "ref",
    "references",
    "closes",
    "closed",
    "fixes",
    "fixed",
    "resolves",
    "resolved",
    "implements",
    "see",
    "see-also",
    "issue",
    "bug",
    "cc",
    "change-id",
    "release-as",
    "piperorigin-revid",
    "pr-url",
    "fixes-issue",
    "pr-close",
];

/// The token under which every spelling of a breaking change's note is kept.
pub(super) const BREAKING: &str = "BREAKING CHANGE";

/// The text and the trailers of `rest`, the message without its subject.
///
/// As git has it, any `Word: value` is a trailer in the last paragraph only. Those that nothing else looks like, a
/// breaking change's note before all, are trailers wherever a line begins with them.
pub(super) fn read(rest: &str) -> (Option<&str>, Vec<Footer<'_>>) {
    let rest = rest.trim_end();
    let last_paragraph = rest.rfind("\n\n").map_or(0, |at| at + 2);
    let mut footers: Vec<Footer<'_>> = Vec::new();
    // The trailer whose value is being read: what it is, and where its value begins.
    let mut open: Option<(Head<'_>, usize)> = None;
    let mut body_end = None;
    let (mut at, mut blank_before) = (0, true);
    for line in rest.split_inclusive('\n') {
        let start = at;
        at += line.len();
        let text = line.trim_end();
        if text.is_empty() {
            if let Some((head, from)) = open.take_if(|(head, _)| !head.explains()) {
                footers.push(head.footer(&rest[from..start]));
            }
            blank_before = true;
            continue;
        }
        let head = Head::of(text).filter(|head| {
            head.kind != Kind::Any || (start >= last_paragraph && (blank_before || open.is_some()))
        });
        blank_before = false;
        match head {
            Some(head) => {
                if let Some((before, from)) = open.take() {
                    footers.push(before.footer(&rest[from..start]));
                }
                body_end.get_or_insert(start);
                let value = start + head.value;
                open = Some((head, value));
            }
            // Text after the trailers of a paragraph in the middle: they were part of the text.
            None if open.is_none() => body_end = None,
            None => {}
        }
    }
    if let Some((head, from)) = open {
        footers.push(head.footer(&rest[from..]));
    }
    let body = rest[..body_end.unwrap_or(rest.len())].trim();
    (Some(body).filter(|body| !body.is_empty()), footers)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Breaking,
    Explaining,
    Sure,
    Any,
}

/// The start of a trailer: its token, and where in the line its value begins.
struct Head<'a> {
    kind: Kind,
    token: &'a str,
    value: usize,
}

impl<'a> Head<'a> {
    fn of(line: &'a str) -> Option<Self> {
        let first = *line.as_bytes().first()?;
        if matches!(first, b'B' | b'b' | b'*' | b'-')
            && let Some(value) = breaking(line)
        {
            return Some(Self { kind: Kind::Breaking, token: BREAKING, value });
        }
        if !first.is_ascii_alphabetic() {
            return None;
        }
        let end = line.bytes().position(|byte| !byte.is_ascii_alphanumeric() && byte != b'-')?;
        let (token, rest) = line.split_at(end);
        if let Some(value) = rest.strip_prefix(": ").filter(|value| !value.trim().is_empty()) {
            let kind = match token {
                token if is_one_of(token, &EXPLAINING) => Kind::Explaining,
                token if is_one_of(token, &SURE) || ends_in_by(token) => Kind::Sure,
                _ => Kind::Any,
            };
            return Some(Self { kind, token, value: line.len() - value.len() });
        }
        if let Some(number) = rest.strip_prefix(" #") {
            let kind = if is_one_of(token, &SURE) { Kind::Sure } else { Kind::Any };
            let numbered = number.starts_with(|character: char| character.is_ascii_digit());
            return numbered.then_some(Self { kind, token, value: end + 1 });
        }
        // `Migration:` alone, or `Migration guide: ...`.
        let first_letter = first.to_ascii_lowercase();
        if !matches!(first_letter, b'm' | b'u' | b'k') {
            return None;
        }
        let (words, _) = line.split_once(':').filter(|(words, _)| words.len() <= 24)?;
        let hyphened = words.replace(' ', "-");
        is_one_of(&hyphened, &EXPLAINING).then_some(Self {
            kind: Kind::Explaining,
            token: words,
            value: words.len() + 1,
        })
    }

    fn explains(&self) -> bool {
        matches!(self.kind, Kind::Breaking | Kind::Explaining)
    }

    fn footer(self, value: &'a str) -> Footer<'a> {
        Footer { token: self.token.into(), value: value.trim().into() }
    }
}

/// Whether this token is one of those that explain how to come to the new version.
pub(super) fn is_guide(token: &str) -> bool {
    let token = token.to_ascii_lowercase();
    token.starts_with("migrat") || token.starts_with("upgrad")
}

/// Whether a line begins the note of a breaking change.
pub(super) fn is_breaking(line: &str) -> bool {
    breaking(line).is_some()
}

/// Where the text after `BREAKING CHANGE:`, or after what people write for it, begins.
fn breaking(line: &str) -> Option<usize> {
    let marked = line.strip_prefix("* ").or_else(|| line.strip_prefix("- ")).unwrap_or(line);
    let words = marked.strip_prefix("**").unwrap_or(marked);
    let has = |text: &str, word: &str| {
        text.as_bytes().get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word.as_bytes()))
    };
    if !has(words, "breaking") || !matches!(words.as_bytes().get(8), Some(b' ' | b'-')) {
        return None;
    }
    let rest = words.get(9..).filter(|rest| has(rest, "change")).and_then(|rest| rest.get(6..))?;
    let rest = rest.strip_prefix(['s', 'S']).unwrap_or(rest);
    let rest = rest.strip_prefix("**").unwrap_or(rest).trim_start();
    let value = rest.strip_prefix(':')?;
    let value = if marked.len() > words.len() { value.strip_prefix("**").unwrap_or(value) } else { value };
    Some(line.len() - value.len())
}

fn is_one_of(token: &str, words: &[&str]) -> bool {
    words.iter().any(|word| word.eq_ignore_ascii_case(token))
}

fn ends_in_by(token: &str) -> bool {
    token.len() > 3 && token.as_bytes()[token.len() - 3..].eq_ignore_ascii_case(b"-by")
}
