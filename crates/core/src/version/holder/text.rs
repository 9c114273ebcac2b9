//! Holders of plain text: a Dockerfile's labels, images in scripts, badges.

use super::{HolderError, Place, Spelling, line_of};
use crate::diagnostic::Span;
use crate::version::shown;

/// The labels that state an image's version.
const LABELS: [&str; 3] = ["version", "org.opencontainers.image.version", "org.label-schema.version"];

/// No tag and no badge is longer, in bytes.
const LONGEST: usize = 200;

/// A label, its value's bytes, and whether the value is written as it is.
type Label<'a> = (&'a str, Span, bool);

/// The labels of a Dockerfile that state the version.
pub(super) fn dockerfile(source: &str) -> Result<Vec<Place>, HolderError> {
    let mut places = Vec::new();
    let mut seen: Vec<(&str, Span)> = Vec::new();
    let mut dynamic = None;
    for instruction in instructions(source) {
        let (word, rest) = head(source, instruction);
        if word.eq_ignore_ascii_case("FROM") {
            // Each stage has labels of its own.
            seen.clear();
        }
        if !word.eq_ignore_ascii_case("LABEL") {
            continue;
        }
        for (name, span, plain) in labels(source, rest) {
            let Some(label) = LABELS.iter().find(|label| **label == name) else { continue };
            if let Some((_, before)) = seen.iter().find(|(name, _)| name == label) {
                return Err(HolderError::Several {
                    what: format!("the label `{label}`"),
                    found: 2,
                    lines: super::lines(source, &[*before, span]),
                });
            }
            seen.push((*label, span));
            let text = &source[span.start..span.end];
            if text.contains('$') {
                dynamic = Some(span);
            } else if plain {
                places.push(Place { span, spelling: Spelling::SemVer });
            } else {
                return Err(HolderError::Unsupported {
                    line: line_of(source, span.start),
                    problem: "the version is written with escapes".to_owned(),
                });
            }
        }
    }
    match (places.is_empty(), dynamic) {
        (false, _) => Ok(places),
        (true, Some(span)) => Err(HolderError::Dynamic {
            line: line_of(source, span.start),
            help: "it comes from a build argument: leave it to the build, or name the argument's default by `pattern`"
                .to_owned(),
        }),
        (true, None) => Err(HolderError::Missing {
            expected: "no LABEL states `version` or `org.opencontainers.image.version`".to_owned(),
            help: "add `LABEL org.opencontainers.image.version=\"0.1.0\"`".to_owned(),
        }),
    }
}

/// The instructions of a Dockerfile: each its lines, joined by a backslash (or what the `escape` directive says), with
/// comments between them left out.
fn instructions(source: &str) -> Vec<Vec<Span>> {
    let mut escape = '\\';
    let mut all = Vec::new();
    let mut current: Vec<Span> = Vec::new();
    let mut start = 0;
    let mut directives = true;
    for line in source.split_inclusive('\n') {
        let begin = start;
        start += line.len();
        let text = line.trim();
        if directives
            && let Some(value) = text.strip_prefix('#')
            && let Some((name, value)) = value.split_once('=')
        {
            if name.trim().eq_ignore_ascii_case("escape") && value.trim() == "`" {
                escape = '`';
            }
            continue;
        }
        directives = false;
        if text.starts_with('#') || (text.is_empty() && !current.is_empty()) {
            continue;
        }
        let kept = line.trim_end();
        match kept.strip_suffix(escape) {
            Some(kept) => current.push(Span::new(begin, begin + kept.len())),
            None => {
                current.push(Span::new(begin, begin + kept.len()));
                all.push(std::mem::take(&mut current));
            }
        }
    }
    if !current.is_empty() {
        all.push(current);
    }
    all
}

/// The instruction's first word, and the rest of its lines.
fn head(source: &str, mut lines: Vec<Span>) -> (&str, Vec<Span>) {
    let Some(first) = lines.first_mut() else { return ("", lines) };
    let text = &source[first.start..first.end];
    let word = text.split_whitespace().next().unwrap_or("");
    let end = text.find(word).map_or(0, |at| at + word.len());
    first.start += end;
    (word, lines)
}

fn labels(source: &str, lines: Vec<Span>) -> Vec<Label<'_>> {
    let mut found = Vec::new();
    for line in lines {
        let mut at = line.start;
        while at < line.end {
            let text = &source[at..line.end];
            at += text.len() - text.trim_start().len();
            let text = &source[at..line.end];
            if text.is_empty() {
                break;
            }
            let (name, after) = word(text);
            let key = text[..after].trim_matches(['"', '\'']);
            match text[after..].strip_prefix('=') {
                Some(value) => {
                    let begin = at + after + 1;
                    let (plain, length) = word(value);
                    let raw = &value[..length];
                    let quoted = ["\"", "'"]
                        .into_iter()
                        .any(|quote| raw.len() > 1 && raw.starts_with(quote) && raw.ends_with(quote));
                    let inset = usize::from(quoted);
                    let span = Span::new(begin + inset, begin + length - inset);
                    found.push((key, span, plain));
                    at = begin + length;
                }
                // The old form: the rest of the line is the value.
                None => {
                    let rest = text[after..].trim();
                    let begin = at + after + text[after..].find(rest).unwrap_or(0);
                    if !rest.is_empty() {
                        found.push((key, Span::new(begin, begin + rest.len()), name));
                    }
                    break;
                }
            }
        }
    }
    found
}

/// How far a word goes that ends at a blank or `=` outside of quotes, and whether its quotes are nothing odd.
fn word(text: &str) -> (bool, usize) {
    let mut quote = None;
    let mut escaped = false;
    let mut plain = true;
    let mut quotes = 0;
    for (index, character) in text.char_indices() {
        if escaped {
            escaped = false;
            plain = false;
            continue;
        }
        match (character, quote) {
            ('\\', _) => escaped = true,
            (_, Some(open)) if character == open => quote = None,
            ('"' | '\'', None) => {
                // Quotes inside of a word are taken away by Docker.
                plain &= index == 0;
                quotes += 1;
                quote = Some(character);
            }
            (_, None) if character.is_whitespace() || character == '=' => {
                return (plain && quotes < 2, index);
            }
            _ => {}
        }
    }
    (plain && quote.is_none() && quotes < 2, text.len())
}

/// The version in an image's tag that starts at the byte `start`: all of it, or the default of a variable.
pub(super) fn image_tag(source: &str, start: usize, tag: &str) -> Result<Span, HolderError> {
    let refuse = |problem: &str| HolderError::Unsupported {
        line: line_of(source, start),
        problem: format!("`{}`: {problem}", shown(tag)),
    };
    if tag.contains("@sha256:") {
        return Err(refuse("the image is pinned by its digest, which a version cannot move"));
    }
    if let Some(variable) = tag.strip_prefix("${") {
        let default = variable
            .strip_suffix('}')
            .and_then(|inside| inside.split_once(":-").or_else(|| inside.split_once('-')))
            .map(|(_, default)| default)
            .ok_or_else(|| refuse("the tag is a variable without a default"))?;
        let begin = start + tag.len() - 1 - default.len();
        return Ok(Span::new(begin, begin + default.len()));
    }
    Ok(Span::new(start, start + without_flavour(tag).len()))
}

/// An image's tag without what it is built on: `1.2.3-rc.1-alpine3.19` is `1.2.3-rc.1`. What is no known word of a
/// pre-release is a flavour, and stays as it is.
fn without_flavour(tag: &str) -> &str {
    const PRE_RELEASES: [&str; 14] = [
        "a", "alpha", "b", "beta", "c", "rc", "pre", "preview", "dev", "next", "canary", "nightly", "hotfix",
        "m",
    ];
    let mut rest = tag;
    while let Some((front, last)) = rest.rsplit_once('-') {
        let end = last.find(|character: char| !character.is_ascii_alphabetic()).unwrap_or(last.len());
        let word = last.get(..end).unwrap_or_default().to_ascii_lowercase();
        if word.is_empty() || PRE_RELEASES.contains(&word.as_str()) {
            break;
        }
        rest = front;
    }
    rest
}

/// The tags of `image` in a file that is no YAML.
pub(super) fn images(source: &str, image: &str) -> Result<Vec<Span>, HolderError> {
    let mut spans = Vec::new();
    let inside = |character: char| character.is_ascii_alphanumeric() || "._-/:".contains(character);
    for (at, _) in source.match_indices(image) {
        let named = at.checked_sub(1).is_none_or(|_| !source[..at].ends_with(inside));
        let Some(rest) = source[at + image.len()..].strip_prefix(':').filter(|_| named) else { continue };
        let rest = within(rest, LONGEST);
        let end = match rest.starts_with("${") {
            true => rest.find('}').map_or(rest.len(), |end| end + 1),
            false => rest
                .find(|character: char| !(character.is_ascii_alphanumeric() || "._-@:".contains(character)))
                .unwrap_or(rest.len()),
        };
        let tag = rest[..end].trim_end_matches(['.', ':']);
        if !tag.is_empty() {
            spans.push(image_tag(source, at + image.len() + 1, tag)?);
        }
    }
    Ok(spans)
}

/// The messages of static badges that tell the version: `img.shields.io/badge/version-1.2.3-blue`.
pub(super) fn badges(source: &str) -> Vec<Span> {
    const ADDRESS: &str = "img.shields.io/badge/";
    const TOLD: [&str; 7] =
        ["version", "release", "latest", "latest release", "stable", "current version", "v"];
    let mut spans = Vec::new();
    for (at, _) in source.match_indices(ADDRESS) {
        let start = at + ADDRESS.len();
        let rest = within(&source[start..], LONGEST);
        let end =
            rest.find(|end: char| end.is_whitespace() || "?#)\"'<>]".contains(end)).unwrap_or(rest.len());
        let content = &rest[..end];
        let Some((label, message)) = badge_parts(content) else { continue };
        let label =
            content[label.start..label.end].replace("%20", " ").replace('_', " ").to_ascii_lowercase();
        if TOLD.contains(&label.trim()) {
            spans.push(Span::new(start + message.start, start + message.end));
        }
    }
    spans
}

/// The label and the message of `label-message-color`, where `--` is no separator.
fn badge_parts(content: &str) -> Option<(Span, Span)> {
    let bytes = content.as_bytes();
    let mut cuts = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b'-' {
            if bytes.get(at + 1) == Some(&b'-') {
                at += 1;
            } else {
                cuts.push(at);
            }
        }
        at += 1;
    }
    let (first, last) = (*cuts.first()?, *cuts.get(1)?);
    (cuts.len() == 2).then(|| (Span::new(0, first), Span::new(first + 1, last)))
}

/// The first bytes of `text`, at most `most`.
fn within(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flavour_of_an_image_stays() {
        for (tag, expect) in [
            ("1.2.3", "1.2.3"),
            ("v1.2.3-alpine", "v1.2.3"),
            ("1.2.3-rc.1-alpine3.19", "1.2.3-rc.1"),
            ("1.2.3-slim-bookworm", "1.2.3"),
            ("1.2.3-beta", "1.2.3-beta"),
            ("1.2.3-0", "1.2.3-0"),
        ] {
            assert_eq!(without_flavour(tag), expect);
            let source = format!("image: app:{tag}\n");
            let span = image_tag(&source, 11, tag).unwrap();
            assert_eq!(&source[span.start..span.end], expect);
        }
    }
}
