//! A changelog's sections, entries and links, with their bytes.

use comrak::nodes::{Node, NodeValue};
use comrak::{Arena, Options, parse_document};
use jiff::civil::Date;
use serde::Serialize;

use super::{ChangelogError, LARGEST, heading};
use crate::diagnostic::Span;
use crate::text::sanitize_line;
use crate::version::Version;

/// A changelog read. Spans are byte ranges of the text as given, byte order mark included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changelog<'a> {
    source: &'a str,
    sections: Vec<Section>,
    links: Vec<Link>,
}

/// A heading that starts a release (or the unreleased part, or something else) and what is under it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Section {
    /// What the heading announces.
    pub kind: SectionKind,
    /// The heading's level, from 1.
    pub level: u8,
    /// The heading's line, from 1.
    pub line: usize,
    /// The heading, without its line end.
    pub heading: Span,
    /// The heading's text without its marks.
    pub title: String,
    /// From after the heading's line end to the next section, the closing links or the end.
    pub body: Span,
    /// The list items of the body.
    pub entries: Vec<Entry>,
    /// Whether the body has more than headings and comments.
    pub has_content: bool,
}

/// What a heading announces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SectionKind {
    /// What the next release will hold.
    Unreleased,
    /// A release.
    Release(Release),
    /// Neither: the title, a template such as `[x.y.z] - YYYY-MM-DD`, a remark.
    Other,
}

/// A release's heading understood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Release {
    /// The version.
    pub version: Version,
    /// The date, when given as YYYY-MM-DD.
    pub date: Option<Date>,
    /// Whether it was withdrawn.
    pub yanked: bool,
    /// The version as written: `1.2.0` or `v1.2.0`.
    pub label: String,
    /// What stands before the version in the label.
    pub prefix: String,
}

/// A list item under a section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// The sub-heading it stands under, such as `Added`.
    pub group: Option<String>,
    /// Its text as written, mark included.
    pub text: String,
    /// Its bytes.
    pub span: Span,
}

/// A link reference definition: `[1.2.0]: https://...`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Link {
    /// The name in the brackets.
    pub label: String,
    /// The address.
    pub url: String,
    /// The address's bytes.
    pub url_span: Span,
    /// The line's bytes, without its line end.
    pub span: Span,
    /// The line, from 1.
    pub line: usize,
}

impl<'a> Changelog<'a> {
    /// Reads a changelog. Headings inside code or comments are not headings.
    pub fn parse(source: &'a str) -> Result<Self, ChangelogError> {
        if source.len() > LARGEST {
            return Err(ChangelogError::TooLarge { size: source.len() });
        }
        let lines = Lines::of(source);
        refuse_conflict(&lines)?;
        let arena = Arena::new();
        let root = parse_document(&arena, source, &Options::default());
        let blocks: Vec<Block> = root.children().map(|node| Block::of(node, &lines)).collect();
        let links = links(&lines, &blocks);
        let sections = sections(&lines, &blocks, &links);
        refuse_duplicates(&sections)?;
        Ok(Self { source, sections, links })
    }

    /// The text it was read from.
    pub fn source(&self) -> &'a str {
        self.source
    }

    /// Every section, in order.
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// Every link definition, in order.
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// The section of what is not released yet.
    pub fn unreleased(&self) -> Option<&Section> {
        self.sections.iter().find(|section| section.kind == SectionKind::Unreleased)
    }

    /// The section of `version`.
    pub fn release(&self, version: &Version) -> Option<&Section> {
        self.releases().find(|(_, release)| release.version == *version).map(|(section, _)| section)
    }

    /// The topmost release.
    pub fn latest(&self) -> Option<(&Section, &Release)> {
        self.releases().next()
    }

    /// Every release, from the top.
    pub fn releases(&self) -> impl Iterator<Item = (&Section, &Release)> {
        self.sections.iter().filter_map(|section| match &section.kind {
            SectionKind::Release(release) => Some((section, release)),
            _ => None,
        })
    }

    /// The text under a section's heading.
    pub fn body(&self, section: &Section) -> &'a str {
        &self.source[section.body.start..section.body.end]
    }
}

/// The lines of a text, ended as CommonMark ends them: by `\n`, `\r\n` or `\r`.
struct Lines<'a> {
    source: &'a str,
    /// Start, end without line end, end with it.
    bounds: Vec<(usize, usize, usize)>,
}

impl<'a> Lines<'a> {
    fn of(source: &'a str) -> Self {
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

    fn text(&self, index: usize) -> &'a str {
        self.bounds.get(index).map_or("", |(start, end, _)| &self.source[*start..*end])
    }

    fn bounds(&self, index: usize) -> (usize, usize, usize) {
        let end = self.source.len();
        self.bounds.get(index).copied().unwrap_or((end, end, end))
    }

    fn len(&self) -> usize {
        self.bounds.len()
    }
}

/// A top-level block: its lines (from 0, last included) and what it is.
struct Block {
    first: usize,
    last: usize,
    kind: BlockKind,
}

enum BlockKind {
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
    fn of(node: Node<'_>, lines: &Lines<'_>) -> Self {
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

fn refuse_conflict(lines: &Lines<'_>) -> Result<(), ChangelogError> {
    let find = |mark: &str| (0..lines.len()).find(|index| lines.text(*index).starts_with(mark));
    // Both ends are asked for: a lone one may be an example.
    match (find("<<<<<<< "), find(">>>>>>> ")) {
        (Some(line), Some(_)) => Err(ChangelogError::Conflict { line: line + 1 }),
        _ => Ok(()),
    }
}

fn refuse_duplicates(sections: &[Section]) -> Result<(), ChangelogError> {
    let mut seen: Vec<(String, usize)> = sections
        .iter()
        .filter_map(|section| match &section.kind {
            SectionKind::Unreleased => Some(("Unreleased".to_owned(), section.line)),
            SectionKind::Release(release) => Some((release.version.to_string(), section.line)),
            SectionKind::Other => None,
        })
        .collect();
    seen.sort();
    match seen.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some(pair) => {
            Err(ChangelogError::Duplicate { title: pair[0].0.clone(), first: pair[0].1, line: pair[1].1 })
        }
        None => Ok(()),
    }
}

fn links(lines: &Lines<'_>, blocks: &[Block]) -> Vec<Link> {
    let mut opaque = vec![false; lines.len()];
    for block in blocks.iter().filter(|block| matches!(block.kind, BlockKind::Code | BlockKind::Html)) {
        opaque[block.first..=block.last].fill(true);
    }
    (0..lines.len()).filter(|index| !opaque[*index]).filter_map(|index| link(lines, index)).collect()
}

fn link(lines: &Lines<'_>, index: usize) -> Option<Link> {
    let (start, end, _) = lines.bounds(index);
    let text = lines.text(index);
    let indent = text.len() - text.trim_start_matches(' ').len();
    let (label, after) = text[indent..].strip_prefix('[')?.split_once("]:")?;
    let url = after.split_whitespace().next()?;
    if indent > 3 || label.trim().is_empty() || label.contains(['[', ']']) {
        return None;
    }
    let url_start = end - after.len() + after.find(url)?;
    Some(Link {
        label: label.trim().to_owned(),
        url: url.to_owned(),
        url_span: Span::new(url_start, url_start + url.len()),
        span: Span::new(start, end),
        line: index + 1,
    })
}

fn sections(lines: &Lines<'_>, blocks: &[Block], links: &[Link]) -> Vec<Section> {
    let mut starts: Vec<(usize, u8, String, SectionKind)> = Vec::new();
    for (at, block) in blocks.iter().enumerate() {
        let BlockKind::Heading { level, setext } = block.kind else { continue };
        let title = title(lines, block, setext);
        let kind = heading::kind(&title);
        let other = kind == SectionKind::Other;
        // A heading below a release's own is a group of it. Older generators write patch releases one
        // level lower than the others, so a version starts a section there too.
        let group =
            starts.last().is_some_and(|(_, above, _, kind)| *kind != SectionKind::Other && level > *above);
        if (other && level <= 2 && !group) || (!other && level <= 3) {
            starts.push((at, level, title, kind));
        }
    }
    let next_starts: Vec<usize> = starts.iter().skip(1).map(|start| start.0).chain([blocks.len()]).collect();
    starts
        .into_iter()
        .zip(next_starts)
        .map(|((at, level, title, kind), next)| {
            let (first, last) = (blocks[at].first, blocks[at].last);
            let end_line = blocks.get(next).map_or(lines.len(), |block| block.first);
            let end_line = before_closing_links(lines, links, last + 1, end_line);
            let body = Span::new(lines.bounds(last).2, lines.bounds(end_line).0.max(lines.bounds(last).2));
            let inside = &blocks[at + 1..next];
            Section {
                kind,
                level,
                line: first + 1,
                heading: Span::new(lines.bounds(first).0, lines.bounds(last).1),
                title,
                body,
                entries: entries(lines, inside),
                has_content: inside.iter().any(|block| is_content(lines, block)),
            }
        })
        .collect()
}

fn title(lines: &Lines<'_>, block: &Block, setext: bool) -> String {
    if setext {
        let above: Vec<&str> = (block.first..block.last).map(|index| lines.text(index).trim()).collect();
        return above.join(" ");
    }
    let text = lines.text(block.first).trim().trim_start_matches('#').trim();
    let open = text.trim_end_matches('#');
    // Closing marks count only after a blank: `C#` keeps its own.
    if open.len() < text.len() && (open.is_empty() || open.ends_with([' ', '\t'])) {
        open.trim().to_owned()
    } else {
        text.to_owned()
    }
}

/// The line where the run of link definitions that closes `first..end` begins; `end` without one.
fn before_closing_links(lines: &Lines<'_>, links: &[Link], first: usize, end: usize) -> usize {
    let mut begin = end;
    for index in (first..end).rev() {
        if links.binary_search_by_key(&(index + 1), |link| link.line).is_ok() {
            begin = index;
        } else if !lines.text(index).trim().is_empty() {
            break;
        }
    }
    begin
}

fn entries(lines: &Lines<'_>, blocks: &[Block]) -> Vec<Entry> {
    let mut group = None;
    let mut entries = Vec::new();
    for block in blocks {
        match &block.kind {
            BlockKind::Heading { setext, .. } => group = Some(sanitize_line(&title(lines, block, *setext))),
            BlockKind::List(items) => entries.extend(items.iter().map(|(first, last)| {
                let start = lines.bounds(*first).0;
                let text = lines.source[start..lines.bounds(*last).1.max(start)].trim_end();
                Entry {
                    group: group.clone(),
                    text: text.to_owned(),
                    span: Span::new(start, start + text.len()),
                }
            })),
            _ => {}
        }
    }
    entries
}

fn is_content(lines: &Lines<'_>, block: &Block) -> bool {
    match block.kind {
        BlockKind::Heading { .. } => false,
        BlockKind::Html => !lines.text(block.first).trim_start().starts_with("<!--"),
        _ => true,
    }
}
