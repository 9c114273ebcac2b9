//! A changelog's sections, entries and links, with their bytes.

use jiff::civil::Date;
use serde::Serialize;

use super::blocks::{Block, BlockKind, Lines, blocks};
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
    /// The headings inside the body, such as `Added`.
    pub groups: Vec<GroupHeading>,
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

/// A heading inside a section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupHeading {
    /// Its text without its marks, made safe to show.
    pub title: String,
    /// Its level, from 1.
    pub level: u8,
    /// Its bytes, without its line end.
    pub span: Span,
    /// From after its line end to the next heading or the section's end.
    pub body: Span,
    /// Whether anything but comments stands under it before the next heading.
    pub has_content: bool,
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
    /// Reads a changelog. Headings inside code or comments are not headings. Two sections of one name are no error
    /// here: whoever changes or takes one of them asks with [`Self::require_one`].
    pub fn parse(source: &'a str) -> Result<Self, ChangelogError> {
        let read = Self::read(source)?;
        match conflict(source) {
            Some(line) => Err(ChangelogError::Conflict { line }),
            None => Ok(read),
        }
    }

    /// As [`Self::parse`], conflict markers and all.
    pub(super) fn read(source: &'a str) -> Result<Self, ChangelogError> {
        if source.len() > LARGEST {
            return Err(ChangelogError::TooLarge { size: source.len() });
        }
        let lines = Lines::of(source);
        let blocks = blocks(&lines);
        let links = links(&lines, &blocks);
        let sections = sections(&lines, &blocks, &links);
        Ok(Self { source, sections, links })
    }

    /// Refuses when there are two sections of this kind: nobody could say which is meant.
    pub fn require_one(&self, wanted: Option<&Version>) -> Result<(), ChangelogError> {
        let mut found = self.sections.iter().filter(|section| match (&section.kind, wanted) {
            (SectionKind::Unreleased, None) => true,
            (SectionKind::Release(release), Some(version)) => release.version == *version,
            _ => false,
        });
        let (Some(first), Some(second)) = (found.next(), found.next()) else { return Ok(()) };
        Err(ChangelogError::Duplicate {
            title: wanted.map_or_else(|| "Unreleased".to_owned(), Version::to_string),
            first: first.line,
            line: second.line,
        })
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

/// The line, from 1, where an unfinished merge begins.
pub(super) fn conflict(source: &str) -> Option<usize> {
    let find = |mark: &str| source.lines().position(|line| line.starts_with(mark));
    // Both ends are asked for: a lone one may be an example.
    let begin = find("<<<<<<< ")?;
    find(">>>>>>> ").map(|_| begin + 1)
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
                groups: groups(lines, inside, body.end),
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

fn groups(lines: &Lines<'_>, blocks: &[Block], end: usize) -> Vec<GroupHeading> {
    let mut groups: Vec<GroupHeading> = Vec::new();
    for block in blocks {
        let start = lines.bounds(block.first).0;
        let BlockKind::Heading { level, setext } = block.kind else {
            if let Some(group) = groups.last_mut() {
                group.has_content |= is_content(lines, block);
            }
            continue;
        };
        if let Some(before) = groups.last_mut() {
            before.body.end = start.max(before.body.start);
        }
        let (_, line_end, next) = lines.bounds(block.last);
        groups.push(GroupHeading {
            title: sanitize_line(&title(lines, block, setext)),
            level,
            span: Span::new(start, line_end),
            body: Span::new(next, end.max(next)),
            has_content: false,
        });
    }
    groups
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
