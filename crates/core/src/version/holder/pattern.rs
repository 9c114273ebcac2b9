//! Holders of free text: a pattern's match, or the whole file.

use regex::{Regex, RegexBuilder};

use super::super::shown;
use super::{HolderError, Spelling, line_of};
use crate::diagnostic::Span;

/// The longest pattern, in bytes, and the largest program it may compile to.
const LONGEST_PATTERN: usize = 4096;
const LARGEST_PROGRAM: usize = 1024 * 1024;

pub(super) fn plain_text(source: &str) -> Result<Vec<Span>, HolderError> {
    let start = source.len() - source.trim_start().len();
    let text = source.trim();
    let bare = text.strip_prefix('v').unwrap_or(text);
    if bare.is_empty() || bare.contains(char::is_whitespace) {
        return Err(HolderError::Missing {
            expected: "the file should hold one version and nothing else".to_owned(),
            help: "write one such as 0.1.0 there, or give a pattern".to_owned(),
        });
    }
    let start = start + text.len() - bare.len();
    Ok(vec![Span::new(start, start + bare.len())])
}

/// The matches, when there are as many as stated.
pub(super) fn counted(
    source: &str,
    what: &'static str,
    spans: Vec<Span>,
    expected: usize,
) -> Result<Vec<Span>, HolderError> {
    if spans.is_empty() {
        return Err(HolderError::Missing {
            expected: format!("{what} is nowhere in the file"),
            help: "write it as the file does".to_owned(),
        });
    }
    if spans.len() != expected {
        let lines = super::lines(source, &spans);
        return Err(HolderError::Ambiguous { what, found: spans.len(), expected, lines });
    }
    Ok(spans)
}

pub(super) fn find(
    source: &str,
    pattern: &str,
    expected: usize,
    spelling: Spelling,
) -> Result<Vec<Span>, HolderError> {
    let regex = compile(pattern)?;
    let group = regex.capture_names().position(|name| name == Some("version"));
    let group = match (group, regex.captures_len()) {
        (Some(named), _) => named,
        (None, 1) => 0,
        (None, 2) => 1,
        (None, _) => {
            return Err(refuse(pattern, "it has several groups; name the version's `(?P<version>...)`"));
        }
    };
    let mut spans = Vec::new();
    let mut found = 0;
    let mut lines: Vec<String> = Vec::new();
    for captures in regex.captures_iter(source) {
        found += 1;
        let Some(matched) = captures.get(group).or_else(|| captures.get(0)) else { continue };
        let line = line_of_match(source, matched.start(), &lines);
        if let Some(line) = line {
            lines.push(line);
        }
        if found <= expected {
            spans.push(version_in(source, matched.start(), matched.as_str(), spelling)?);
        }
    }
    if found == 0 {
        return Err(HolderError::Missing {
            expected: format!("the pattern `{}` matches nothing", shown(pattern)),
            help: "adapt the pattern to the line that states it".to_owned(),
        });
    }
    if found != expected {
        let what = "the pattern";
        return Err(HolderError::Ambiguous { what, found, expected, lines: lines.join(", ") });
    }
    Ok(spans)
}

/// The line to name for a match; only for the first ones, so that thousands of matches stay cheap.
fn line_of_match(source: &str, offset: usize, lines: &[String]) -> Option<String> {
    (lines.len() < 10).then(|| line_of(source, offset).to_string())
}

fn compile(pattern: &str) -> Result<Regex, HolderError> {
    if pattern.len() > LONGEST_PATTERN {
        return Err(refuse(pattern, "it is longer than 4096 bytes"));
    }
    RegexBuilder::new(pattern).size_limit(LARGEST_PROGRAM).dfa_size_limit(LARGEST_PROGRAM).build().map_err(
        |error| match error {
            regex::Error::CompiledTooBig(_) => refuse(pattern, "it is too large once compiled"),
            // The last line of the parser's drawing is its verdict.
            error => {
                refuse(pattern, error.to_string().lines().last().unwrap_or("").trim_start_matches("error: "))
            }
        },
    )
}

/// The version inside `text`, which starts at the byte `offset`: all of it, or the only one in it.
fn version_in(source: &str, offset: usize, text: &str, spelling: Spelling) -> Result<Span, HolderError> {
    let bare = text.strip_prefix('v').unwrap_or(text);
    if bare.len() <= 256 && spelling.read(bare).is_ok() && bare.trim() == bare {
        return Ok(Span::new(offset + text.len() - bare.len(), offset + text.len()));
    }
    let mut inside = candidates(text, spelling);
    match (inside.pop(), inside.is_empty()) {
        (Some((start, end)), true) => Ok(Span::new(offset + start, offset + end)),
        (Some(_), false) => Err(HolderError::Unsupported {
            line: line_of(source, offset),
            problem: format!("`{}` holds several versions; put the one meant in a group", shown(text)),
        }),
        (None, _) => Err(HolderError::Unsupported {
            line: line_of(source, offset),
            problem: format!("`{}` holds no version", shown(text)),
        }),
    }
}

/// Every version standing by itself in `text`, as byte ranges.
fn candidates(text: &str, spelling: Spelling) -> Vec<(usize, usize)> {
    let part = |character: char| character.is_ascii_alphanumeric() || ".-+".contains(character);
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(skip) = text[at..].find(part) {
        let start = at + skip;
        let end =
            text[start..].find(|character| !part(character)).map_or(text.len(), |length| start + length);
        let word = text[start..end].trim_end_matches(['.', '-', '+']);
        let bare = word.strip_prefix('v').unwrap_or(word);
        if bare.len() <= 256 && spelling.read(bare).is_ok() {
            let first = start + word.len() - bare.len();
            found.push((first, first + bare.len()));
        }
        at = end;
    }
    found
}

fn refuse(pattern: &str, problem: &str) -> HolderError {
    HolderError::Pattern { pattern: shown(pattern), problem: problem.to_owned() }
}
