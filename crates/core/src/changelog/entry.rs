//! Commit text as Markdown list items: it can neither start a block, nor a comment, nor a tag.

use super::links::Site;
use crate::commit::{Conventional, Reference};
use crate::text::{sanitize, sanitize_line};

/// `**scope:** Description (#12)`, the issue with its address where the site is known.
pub(super) fn text(change: &Conventional<'_>, references: &[Reference<'_>], site: Option<&Site>) -> String {
    let mut text = String::with_capacity(change.description.len() + 32);
    if let Some(scope) = &change.scope {
        text.push_str("**");
        text.push_str(&inline(scope));
        text.push_str(":** ");
    }
    let (description, closing) = closing_references(&change.description);
    text.push_str(&capitalized(&inline(description)));
    let mut names: Vec<&str> = closing;
    let more = references
        .iter()
        .filter(|one| (one.leading || one.action.is_some()) && !mentions(description, &one.name))
        .map(|one| one.name.as_ref());
    for name in more {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if !names.is_empty() {
        let linked: Vec<String> = names
            .into_iter()
            .map(|name| match site.and_then(|site| site.issue(name)) {
                Some(url) => format!("[{name}]({url})"),
                None => name.to_owned(),
            })
            .collect();
        text.push_str(&format!(" ({})", linked.join(", ")));
    }
    text
}

/// What comes before a closing `(#12)`, and the names in it.
fn closing_references(description: &str) -> (&str, Vec<&str>) {
    let inside = description.strip_suffix(')').and_then(|open| open.rsplit_once(" ("));
    let Some((before, inside)) = inside else { return (description, Vec::new()) };
    let names: Vec<&str> = inside.split(", ").collect();
    let are_numbers = names.iter().all(|name| {
        let number = name.strip_prefix('#').unwrap_or_default();
        (1..=9).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit())
    });
    if are_numbers && !before.trim().is_empty() { (before, names) } else { (description, Vec::new()) }
}

/// One line of Markdown text that stays inside the block it is put in.
pub(super) fn inline(text: &str) -> String {
    if is_plain(text) {
        return text.to_owned();
    }
    let line = sanitize_line(text);
    // Only plainly paired single backticks are trusted to be code, where escapes would show.
    let paired = line.matches('`').count().is_multiple_of(2) && !line.contains("``");
    let mut safe = String::with_capacity(line.len() + 8);
    for (at, part) in line.split('`').enumerate() {
        let code = paired && at % 2 == 1;
        if at > 0 {
            safe.push_str(if paired { "`" } else { "\\`" });
        }
        match code {
            true => safe.push_str(part),
            false => escape(part, &mut safe),
        }
    }
    // What would start a block at the beginning of a list item.
    let numbered = safe.trim_start_matches(|c: char| c.is_ascii_digit());
    if safe.starts_with(['#', '>', '-', '+', '*', '=', '~', '[', '|']) && !safe.starts_with("**") {
        safe.insert(0, '\\');
    } else if numbered.len() < safe.len() && numbered.starts_with(['.', ')']) {
        safe.insert(safe.len() - numbered.len(), '\\');
    }
    safe
}

/// Whether nothing in a text could mean anything but itself. Most commits' subjects are such.
fn is_plain(text: &str) -> bool {
    let bytes = text.as_bytes();
    let blank = |byte: Option<&u8>| byte.is_none_or(|byte| *byte == b' ');
    bytes.first().is_some_and(u8::is_ascii_alphabetic)
        && !blank(bytes.last())
        && bytes.iter().zip(bytes.iter().skip(1).chain([&b'.'])).all(|(byte, next)| {
            matches!(byte, b' '..=b'~') && !b"`<!]\\".contains(byte) && (*byte != b' ' || *next != b' ')
        })
}

/// `part`, without tags, images and links to anything but pages.
fn escape(part: &str, safe: &mut String) {
    let mut rest = part;
    while let Some(at) = rest.find(['<', '!', ']']) {
        let (before, after) = rest.split_at(at);
        safe.push_str(before);
        let mark = &after[..1];
        rest = &after[1..];
        let page = |text: &str| {
            ["https://", "http://"].iter().any(|scheme| {
                text.as_bytes()
                    .get(..scheme.len())
                    .is_some_and(|start| start.eq_ignore_ascii_case(scheme.as_bytes()))
            })
        };
        let escaped = match mark {
            "<" => true,
            "!" => {
                safe.push('!');
                if rest.starts_with('[') {
                    safe.push('\\');
                }
                continue;
            }
            _ => rest.strip_prefix('(').is_some_and(|target| !page(target)),
        };
        if escaped {
            safe.push('\\');
        }
        safe.push_str(mark);
    }
    safe.push_str(rest);
}

/// Text of several lines as paragraphs of a list item. Code between fences stays code, and is closed where it is not.
pub(super) fn block(text: &str) -> String {
    let clean = sanitize(text);
    let mut lines: Vec<String> = Vec::new();
    let mut open: Option<usize> = None;
    for line in clean.lines() {
        let bare = line.trim();
        let ticks = bare.len() - bare.trim_start_matches('`').len();
        match open {
            Some(width) => {
                lines.push(line.trim_end().to_owned());
                open = Some(width).filter(|width| ticks < *width || ticks < bare.len());
            }
            None if ticks >= 3 && !bare[ticks..].contains('`') => {
                let language: String =
                    bare[ticks..].chars().filter(|one| one.is_ascii_alphanumeric()).collect();
                lines.push(format!("{}{language}", "`".repeat(ticks)));
                open = Some(ticks);
            }
            None => lines.push(inline(line)),
        }
    }
    if let Some(width) = open {
        lines.push("`".repeat(width));
    }
    lines.join("\n  ").replace("\n  \n", "\n\n").trim().to_owned()
}

fn capitalized(text: &str) -> String {
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => first.to_uppercase().chain(characters).collect(),
        None => String::new(),
    }
}

/// Whether `text` names `reference` itself, not a longer number that starts like it.
pub(super) fn mentions(text: &str, reference: &str) -> bool {
    text.match_indices(reference)
        .any(|(at, _)| !text[at + reference.len()..].starts_with(|next: char| next.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commit_text_cannot_leave_its_item() {
        for (text, expect) in [
            ("plain", "plain"),
            ("use `a<b>` and <b>", "use `a<b>` and \\<b>"),
            ("one ` tick <!--", "one \\` tick \\<!--"),
            ("```sh", "\\`\\`\\`sh"),
            ("# title", "\\# title"),
            ("- item", "\\- item"),
            ("1. first", "1\\. first"),
            ("[x]: https://a", "\\[x]: https://a"),
            (
                "see [a](https://e.org) and [b](JavaScript:x)",
                "see [a](https://e.org) and [b\\](JavaScript:x)",
            ),
            (
                "![pixel](https://e.org/p.png) <javascript:x>",
                "!\\[pixel](https://e.org/p.png) \\<javascript:x>",
            ),
            ("a\n## [9.9.9]\u{1b}[31m", "a ## [9.9.9][31m"),
        ] {
            assert_eq!(inline(text), expect, "{text:?}");
        }
        for (text, expect) in [
            ("one\n\n# two\nthree", "one\n\n  \\# two\n  three"),
            ("Before:\n```ts {x}\n# <a>\n```\nAfter", "Before:\n  ```tsx\n  # <a>\n  ```\n  After"),
            ("```\n# open\n``", "```\n  # open\n  ``\n  ```"),
            ("````\n```\n# x\n````\n# y", "````\n  ```\n  # x\n  ````\n  \\# y"),
        ] {
            assert_eq!(block(text), expect, "{text:?}");
        }
    }
}
