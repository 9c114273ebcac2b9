//! A Markdown text's lines and top-level blocks, with their bytes.

use comrak::nodes::{Node, NodeValue};
use comrak::{Arena, Options, parse_document};

use crate::diagnostic::Span;

/// The lines of a text, ended as CommonMark ends them: by `\n`, `\r\n` or `\r`.
pub(super) struct Lines<'a> {
    pub(super) source: &'a str,
    /// Start, end without line end, end with it.
    bounds: Vec<(usize, usize, usize)>,
}

impl<'a> Lines<'a> {
    pub(super) fn of(source: &'a str) -> Self {
        let bytes = source.as_bytes();
        let mut bounds = Vec::new();
        let mut start = if source.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        let mut at = start;
        while at < bytes.len() {
            let width = match bytes[at] {
                b'\r' if bytes.get(at + 1) == Some(&b'\n') => 2,
                b'\r' | b'\n' => 1,
                _ => 0,
            };
            if width > 0 {
                bounds.push((start, at, at + width));
                start = at + width;
            }
            at += width.max(1);
        }
        if start < bytes.len() {
            bounds.push((start, bytes.len(), bytes.len()));
        }
        Self { source, bounds }
    }

    pub(super) fn text(&self, index: usize) -> &'a str {
        self.bounds.get(index).map_or("", |(start, end, _)| &self.source[*start..*end])
    }

    pub(super) fn bounds(&self, index: usize) -> (usize, usize, usize) {
        let end = self.source.len();
        self.bounds.get(index).copied().unwrap_or((end, end, end))
    }

    pub(super) fn len(&self) -> usize {
        self.bounds.len()
    }
}

/// A top-level block: its lines (from 0, last included) and what it is.
pub(super) struct Block {
    pub(super) first: usize,
    pub(super) last: usize,
    pub(super) kind: BlockKind,
}

pub(super) enum BlockKind {
    Heading {
        level: u8,
        setext: bool,
    },
    /// First and last line of each item.
    List(Vec<(usize, usize)>),
    Code,
    Html,
    Content,
}

impl Block {
    pub(super) fn of(node: Node<'_>, lines: &Lines<'_>) -> Self {
        let span = |node: Node<'_>| {
            let position = node.data().sourcepos;
            let last = position.end.line.saturating_sub(1).min(lines.len().saturating_sub(1));
            (position.start.line.saturating_sub(1).min(last), last)
        };
        let kind = match &node.data().value {
            NodeValue::Heading(heading) => {
                BlockKind::Heading { level: heading.level, setext: heading.setext }
            }
            NodeValue::List(_) => BlockKind::List(node.children().map(span).collect()),
            NodeValue::CodeBlock(_) => BlockKind::Code,
            NodeValue::HtmlBlock(_) => BlockKind::Html,
            _ => BlockKind::Content,
        };
        let (first, last) = span(node);
        Self { first, last, kind }
    }
}

/// Every top-level block of a text.
pub(super) fn blocks(lines: &Lines<'_>) -> Vec<Block> {
    let arena = Arena::new();
    let root = parse_document(&arena, lines.source, &Options::default());
    root.children().map(|node| Block::of(node, lines)).collect()
}

/// The bytes of the top-level blocks of code.
pub(super) fn code(source: &str) -> Vec<Span> {
    let lines = Lines::of(source);
    let of = |block: Block| Span::new(lines.bounds(block.first).0, lines.bounds(block.last).2);
    blocks(&lines).into_iter().filter(|block| matches!(block.kind, BlockKind::Code)).map(of).collect()
}
