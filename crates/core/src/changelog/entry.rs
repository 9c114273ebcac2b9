//! Commit text as Markdown list items: it can neither start a block, nor a comment, nor a tag.

use crate::commit::{Conventional, Reference};
use crate::text::{sanitize, sanitize_line};

/// `**scope:** Description (#12)`.
pub(super) fn text(change: &Conventional<'_>, references: &[Reference<'_>]) -> String {
    let mut text = String::new();
    if let Some(scope) = &change.scope {
        text.push_str(&format!("**{}:** ", inline(scope)));
    }
    text.push_str(&capitalized(&inline(&change.description)));
    let more: Vec<&str> = references
        .iter()
        .filter(|one| (one.leading || one.action.is_some()) && !mentions(&change.description, &one.name))
        .map(|one| one.name.as_ref())
        .collect();
    if !more.is_empty() {
        text.push_str(&format!(" ({})", more.join(", ")));
    }
    text
}

/// One line of Markdown text that stays inside the block it is put in.
pub(super) fn inline(text: &str) -> String {
    let line = sanitize_line(text);
    // Only plainly paired single backticks are trusted to be code, where escapes would show.
    let paired = line.matches('`').count().is_multiple_of(2) && !line.contains("``");
    let mut safe = String::with_capacity(line.len() + 8);
    for (at, part) in line.split('`').enumerate() {
        let code = paired && at % 2 == 1;
        if at > 0 {
            safe.push_str(if paired { "`" } else { "\\`" });
        }
        safe.push_str(&if code { part.to_owned() } else { part.replace('<', "\\<") });
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

/// Text of several lines as paragraphs of a list item.
pub(super) fn block(text: &str) -> String {
    let lines: Vec<String> = sanitize(text).lines().map(inline).collect();
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
fn mentions(text: &str, reference: &str) -> bool {
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
            ("a\n## [9.9.9]\u{1b}[31m", "a ## [9.9.9][31m"),
        ] {
            assert_eq!(inline(text), expect, "{text:?}");
        }
        assert_eq!(block("one\n\n# two\nthree"), "one\n\n  \\# two\n  three");
    }
}
