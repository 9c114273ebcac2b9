//! Markdown into blocks that know their exact place in the source; the only file that knows comrak.

use comrak::nodes::{AstNode, LineColumn, NodeCodeBlock, NodeValue, Sourcepos};
use comrak::{Arena, Options};

use crate::diagnostic::Span;

/// Containers nested deeper than this are kept as [`Kind::TooDeep`]: recursion stays bounded.
const DEEPEST: usize = 32;

/// One block of the document.
#[derive(Debug)]
pub(super) struct Block {
    pub span: Span,
    pub kind: Kind,
}

/// What a block is.
#[derive(Debug)]
pub(super) enum Kind {
    Heading {
        level: u8,
        text: Vec<Segment>,
    },
    Paragraph(Vec<Segment>),
    List(Vec<ListItem>),
    Fence(Fence),
    /// Rows of cells, the header first.
    Table(Vec<Vec<Vec<Segment>>>),
    Quote(Vec<Block>),
    /// A comment never closed, which hides the rest of the document.
    OpenComment,
    /// Nested deeper than anybody reads.
    TooDeep,
    Other,
}

/// An item of a list.
#[derive(Debug)]
pub(super) struct ListItem {
    pub span: Span,
    /// `Some(ticked)` for `- [ ]` and `- [x]`.
    pub task: Option<bool>,
    pub blocks: Vec<Block>,
}

/// A fenced code block.
#[derive(Debug)]
pub(super) struct Fence {
    /// The rest of the opening line, after the fence's characters.
    pub info: Span,
    /// The opening line.
    pub opening: Span,
    pub text: String,
    /// Where the text stands, whole source lines.
    pub span: Span,
    pub closed: bool,
    /// Where each line of `text` starts: in it, and in the source.
    lines: Vec<(usize, usize)>,
}

impl Fence {
    /// The place in the source of the bytes `start..end` of the text.
    pub fn source_span(&self, start: usize, end: usize) -> Span {
        let from = self.source_offset(start);
        // An end at the first byte of a line belongs to the line before it.
        let to = if end > start { self.source_offset(end - 1) + 1 } else { from };
        Span::new(from, to.max(from))
    }

    fn source_offset(&self, offset: usize) -> usize {
        let line = self.lines.partition_point(|(start, _)| *start <= offset).saturating_sub(1);
        match self.lines.get(line) {
            Some((start, source)) => source + (offset - start),
            None => self.span.start,
        }
    }
}

/// A piece of inline text.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    pub kind: SegmentKind,
    pub text: String,
    pub span: Span,
}

/// What a piece of inline text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SegmentKind {
    Text,
    Code,
    Strong,
    Break,
}

/// The text of `segments` on one line, without markup.
pub(super) fn plain(segments: &[Segment]) -> String {
    let text: String = segments.iter().map(|segment| segment.text.as_str()).collect();
    crate::text::sanitize_line(&text)
}

/// The source cut into lines as comrak cuts it: at `\n`, `\r\n` and a lone `\r`.
pub(super) struct Lines {
    /// The first byte of each line, and one past its last byte without its end.
    bounds: Vec<(usize, usize)>,
}

impl Lines {
    fn new(source: &str, base: usize) -> Self {
        let bytes = source.as_bytes();
        let mut bounds = Vec::new();
        let mut start = 0;
        let mut at = 0;
        while at < bytes.len() {
            let end = at;
            match bytes[at] {
                b'\r' if bytes.get(at + 1) == Some(&b'\n') => at += 2,
                b'\r' | b'\n' => at += 1,
                _ => {
                    at += 1;
                    continue;
                }
            }
            bounds.push((base + start, base + end));
            start = at;
        }
        bounds.push((base + start, base + bytes.len()));
        Self { bounds }
    }

    fn line(&self, number: usize) -> (usize, usize) {
        let index = number.saturating_sub(1).min(self.bounds.len().saturating_sub(1));
        self.bounds.get(index).copied().unwrap_or_default()
    }

    fn offset(&self, place: LineColumn) -> usize {
        let (start, end) = self.line(place.line);
        (start + place.column.saturating_sub(1)).min(end)
    }
}

/// Reads the Markdown that starts at byte `base` of `source`.
pub(super) fn read(source: &str, base: usize) -> Vec<Block> {
    let body = source.get(base..).unwrap_or_default();
    let mut options = Options::default();
    options.extension.table = true;
    options.extension.tasklist = true;
    let arena = Arena::new();
    let root = comrak::parse_document(&arena, body, &options);
    let reader = Reader { source, lines: Lines::new(body, base) };
    reader.blocks(root, 0)
}

/// The lines of a fence's text without their ends, cut where comrak cuts lines.
fn code_lines(literal: &str) -> impl Iterator<Item = &str> {
    let mut rest = literal;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (line, after) = rest.split_at(rest.find(['\n', '\r']).unwrap_or(rest.len()));
        rest = after.strip_prefix("\r\n").or_else(|| after.strip_prefix(['\n', '\r'])).unwrap_or(after);
        Some(line)
    })
}

struct Reader<'a> {
    source: &'a str,
    lines: Lines,
}

impl Reader<'_> {
    fn blocks<'n>(&self, parent: &'n AstNode<'n>, depth: usize) -> Vec<Block> {
        parent.children().map(|node| self.block(node, depth)).collect()
    }

    fn block<'n>(&self, node: &'n AstNode<'n>, depth: usize) -> Block {
        let data = node.data();
        let span = self.span(data.sourcepos);
        let kind = match &data.value {
            _ if depth > DEEPEST => Kind::TooDeep,
            NodeValue::Heading(heading) => {
                Kind::Heading { level: heading.level, text: self.segments(node, span) }
            }
            NodeValue::Paragraph => Kind::Paragraph(self.segments(node, span)),
            NodeValue::CodeBlock(code) if code.fenced => Kind::Fence(self.fence(code, data.sourcepos)),
            NodeValue::List(_) => {
                Kind::List(node.children().map(|item| self.list_item(item, depth)).collect())
            }
            NodeValue::HtmlBlock(html)
                if html.literal.trim_start().starts_with("<!--") && !html.literal.contains("-->") =>
            {
                Kind::OpenComment
            }
            NodeValue::BlockQuote => Kind::Quote(self.blocks(node, depth + 1)),
            NodeValue::Table(_) => Kind::Table(
                node.children()
                    .map(|row| row.children().map(|cell| self.segments(cell, span)).collect())
                    .collect(),
            ),
            _ => Kind::Other,
        };
        Block { span, kind }
    }

    fn list_item<'n>(&self, node: &'n AstNode<'n>, depth: usize) -> ListItem {
        let data = node.data();
        let task = match &data.value {
            NodeValue::TaskItem(task) => Some(task.symbol.is_some()),
            _ => None,
        };
        ListItem { span: self.span(data.sourcepos), task, blocks: self.blocks(node, depth + 1) }
    }

    fn fence(&self, code: &NodeCodeBlock, place: Sourcepos) -> Fence {
        let (line_start, line_end) = self.lines.line(place.start.line);
        let opening = Span::new(self.lines.offset(place.start).max(line_start), line_end);
        let marker = char::from(code.fence_char);
        let text = self.source.get(opening.start..opening.end).unwrap_or_default();
        let info_start = opening.start + (text.len() - text.trim_start_matches(marker).len());
        let mut lines = Vec::new();
        let mut literal = String::with_capacity(code.literal.len());
        let mut end = line_end;
        for (index, line) in code_lines(&code.literal).enumerate() {
            let (source_start, source_end) = self.lines.line(place.start.line + 1 + index);
            // Containers strip indentation from the left: what remains is the end of the source line.
            lines.push((literal.len(), source_end.saturating_sub(line.len()).max(source_start)));
            // A carriage return would be part of the last word of every command.
            literal.push_str(line);
            literal.push('\n');
            end = source_end;
        }
        let start = self.lines.line(place.start.line + 1).0.min(end.max(line_end));
        Fence {
            info: Span::new(info_start, line_end),
            opening,
            text: literal,
            span: Span::new(start.min(end), end),
            closed: code.closed,
            lines,
        }
    }

    /// The inline text under `node`, which stands within `around`.
    fn segments<'n>(&self, node: &'n AstNode<'n>, around: Span) -> Vec<Segment> {
        let mut segments = Vec::new();
        let mut open = vec![(node.first_child(), false)];
        while let Some((next, strong)) = open.pop() {
            let Some(child) = next else { continue };
            open.push((child.next_sibling(), strong));
            let data = child.data();
            let mut push = |kind, text: String| {
                let span = self.span(data.sourcepos);
                segments.push(Segment { kind, text, span });
            };
            let text_kind = if strong { SegmentKind::Strong } else { SegmentKind::Text };
            match &data.value {
                NodeValue::Text(text) => push(text_kind, text.to_string()),
                NodeValue::Code(code) => {
                    push(SegmentKind::Code, code.literal.clone());
                    if let Some(last) = segments.last_mut() {
                        last.span = self.code_span(last.span, around, &last.text);
                    }
                }
                NodeValue::SoftBreak | NodeValue::LineBreak => push(SegmentKind::Break, " ".to_owned()),
                NodeValue::HtmlInline(html) if html.starts_with("<!--") => {}
                NodeValue::HtmlInline(html) => push(text_kind, html.clone()),
                NodeValue::Strong => open.push((child.first_child(), true)),
                _ => open.push((child.first_child(), strong)),
            }
        }
        segments
    }

    /// Where the text of a code span stands inside its backticks.
    fn code_span(&self, span: Span, around: Span, text: &str) -> Span {
        let find = |within: Span| {
            let found = self.source.get(within.start..within.end)?.find(text)?;
            Some(Span::new(within.start + found, within.start + found + text.len()))
        };
        find(span).or_else(|| find(around)).unwrap_or(span)
    }

    fn span(&self, place: Sourcepos) -> Span {
        let start = self.floor(self.lines.offset(place.start));
        let (line_start, line_end) = self.lines.line(place.end.line);
        let end = self.floor((line_start + place.end.column).min(line_end));
        Span::new(start, end.max(start))
    }

    fn floor(&self, mut offset: usize) -> usize {
        offset = offset.min(self.source.len());
        while !self.source.is_char_boundary(offset) {
            offset -= 1;
        }
        offset
    }
}
