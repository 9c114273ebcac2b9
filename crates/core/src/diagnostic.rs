//! What is wrong with something a person wrote, and where.

use serde::{Deserialize, Serialize};

/// A half-open range of bytes in a source text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl Span {
    /// The range `start..end`.
    pub fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing runs until it is mended.
    Error,
    /// It runs, but probably not as meant.
    Warning,
}

/// One finding about a source text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// A stable name of the kind of finding, such as `unknown-action`. Never translated.
    pub code: String,
    /// What happened, in a sentence without a final full stop.
    pub message: String,
    /// The place, when there is one.
    pub span: Option<Span>,
    /// What to do next.
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error at `span`.
    pub fn error(code: &str, message: impl Into<String>, span: impl Into<Option<Span>>) -> Self {
        Self {
            severity: Severity::Error,
            code: code.into(),
            message: message.into(),
            span: span.into(),
            help: None,
        }
    }

    /// A warning at `span`.
    pub fn warning(code: &str, message: impl Into<String>, span: impl Into<Option<Span>>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, message, span) }
    }

    /// The same finding with advice on what to do next.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same finding, safe to show: what it quotes from a hostile source is sanitized and cut to a readable length.
    #[must_use]
    pub fn showable(mut self) -> Self {
        self.message = readable(&self.message);
        self.help = self.help.as_deref().map(readable);
        self
    }

    /// The same finding, advising the valid name nearest to `name`, or all of them when few.
    #[must_use]
    pub fn suggest<'a>(self, name: &str, valid: impl IntoIterator<Item = &'a str>) -> Self {
        let valid: Vec<&str> = valid.into_iter().collect();
        match nearest(name, valid.iter().copied()) {
            Some(near) => self.help(format!("did you mean `{near}`?")),
            None if valid.is_empty() => self,
            None if valid.len() <= 24 => self.help(format!("valid names: {}", valid.join(", "))),
            None => self,
        }
    }
}

/// Line and column of a byte, both counted from 1; the column counts characters.
pub fn line_and_column(source: &str, offset: usize) -> (usize, usize) {
    let mut offset = offset.min(source.len());
    while !source.is_char_boundary(offset) {
        offset -= 1;
    }
    let before = &source[..offset];
    // Counted in bytes over runs that one cannot overflow: a plan asks for thousands of places of one document.
    let newlines = |run: &[u8]| usize::from(run.iter().map(|byte| u8::from(*byte == b'\n')).sum::<u8>());
    let line = before.as_bytes().chunks(255).map(newlines).sum::<usize>() + 1;
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (line, before[start..].chars().count() + 1)
}

fn readable(text: &str) -> String {
    const LONGEST: usize = 600;
    let line = crate::text::sanitize_line(text);
    match line.char_indices().nth(LONGEST) {
        Some((cut, _)) => format!("{}...", &line[..cut]),
        None => line,
    }
}

/// The candidate most like `name`, when one is near enough to be what was meant.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Comparing takes time and memory by the product of the lengths, and names come from hostile sources.
    const LONGEST: usize = 80;
    const MOST: usize = 2000;
    let length = name.chars().take(LONGEST + 1).count();
    if length > LONGEST {
        return None;
    }
    let folded = name.to_lowercase();
    candidates
        .into_iter()
        .filter(|candidate| {
            let other = candidate.chars().take(LONGEST + 1).count();
            other <= LONGEST && other.abs_diff(length) <= 1 + other.max(length) / 4
        })
        .take(MOST)
        .map(|candidate| (strsim::damerau_levenshtein(&folded, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| {
            *distance <= 1 + candidate.chars().count().max(name.chars().count()) / 4
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_lines_count_from_one() {
        let source = "é: x\n→ b";
        assert_eq!(line_and_column(source, 0), (1, 1));
        assert_eq!(line_and_column(source, 2), (1, 2));
        assert_eq!(line_and_column(source, source.find('b').unwrap()), (2, 3));
        assert_eq!(line_and_column(source, 1), (1, 1), "inside a character");
        assert_eq!(line_and_column(source, 999), (2, 4), "past the end");
    }

    #[test]
    fn the_nearest_name_is_near() {
        assert_eq!(nearest("git.tga", ["git.tag", "git.push"]), Some("git.tag"));
        assert_eq!(nearest("Ownr", ["Owner", "When"]), Some("Owner"));
        assert_eq!(nearest("kubernetes", ["git", "http"]), None);
    }
}
