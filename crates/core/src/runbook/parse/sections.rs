//! The document cut into its sections, each read by what its title means.

use super::document::{Block, Kind, ListItem, Segment, SegmentKind, plain};
use super::items::{Items, Place};
use super::words::{self, Section};
use super::{Findings, Mentions, steps, tables};
use crate::diagnostic::{Diagnostic, Span};
use crate::runbook::{Rollback, Runbook};

/// A heading and the blocks under it, up to the next heading of its rank.
struct Part<'a> {
    /// `None` when the title is not in the dictionary.
    section: Option<Section>,
    title: String,
    heading: Option<Span>,
    blocks: &'a [Block],
    /// The Markdown under the heading.
    body: Span,
}

/// Reads every section into `runbook`; what must be declared is given back with its place.
pub(super) fn read(
    source: &str,
    base: usize,
    blocks: &[Block],
    runbook: &mut Runbook,
    findings: &mut Findings,
) -> Mentions {
    whole_document(source, blocks, findings);
    let mut mentions = Mentions::default();
    let mut has_steps_section = false;
    for part in parts(source, base, blocks, runbook) {
        match part.section {
            Some(Section::Steps) => {
                has_steps_section = true;
                steps::read(source, part.blocks, runbook, &mut mentions, findings);
            }
            Some(Section::Preconditions) => {
                let mut items = Items::new(source, findings, Place::Preconditions);
                runbook.preconditions.extend(items.read(part.blocks));
                mentions.skills.append(&mut items.skills);
            }
            Some(Section::Rollback) => {
                let mut items = Items::new(source, findings, Place::Rollback);
                let read = items.read(part.blocks);
                let criteria = std::mem::take(&mut items.criteria);
                mentions.skills.append(&mut items.skills);
                let rollback = runbook.rollback.get_or_insert_with(Rollback::default);
                rollback.items.extend(read);
                rollback.criteria.extend(criteria);
            }
            Some(Section::Outputs) => outputs(part.blocks, &mut runbook.outputs),
            Some(Section::Errors) => tables::errors(part.blocks, &mut runbook.errors, findings),
            Some(Section::Escalation) => tables::escalations(part.blocks, &mut runbook.escalations),
            Some(Section::Objective) => {
                never_runs(source, &part, findings);
                let prose = prose(source, part.body);
                if !runbook.objective.is_empty() && !prose.is_empty() {
                    runbook.objective.push_str("\n\n");
                }
                runbook.objective.push_str(&prose);
            }
            Some(Section::Documentation) | None => {
                misspelt(&part, findings);
                never_runs(source, &part, findings);
                let prose = prose(source, part.body);
                if part.heading.is_some() || !prose.is_empty() {
                    runbook.notes.push((part.title, prose));
                }
            }
        }
    }
    if runbook.steps.is_empty() {
        let place = blocks.first().map(|block| block.span);
        findings.push(if has_steps_section {
            Diagnostic::error("no-steps", "the steps section has no step", place)
                .help("write each step as a heading one level below, such as `### 1. Build`")
        } else {
            Diagnostic::error("no-steps", "the runbook has no steps section", place)
                .help("add a heading `## Steps`, with a heading `### 1. Title` for each step")
        });
    }
    mentions
}

/// What is wrong anywhere in the document: fences never closed, lists nobody can read.
fn whole_document(source: &str, blocks: &[Block], findings: &mut Findings) {
    for block in blocks {
        match &block.kind {
            Kind::Fence(fence) if !fence.closed => findings.push(
                Diagnostic::error("unclosed-fence", "this fence is never closed", fence.opening)
                    .help("end it with a line of the same characters: everything below is inside it"),
            ),
            Kind::List(items) => items.iter().for_each(|item| whole_document(source, &item.blocks, findings)),
            Kind::Quote(inner) => whole_document(source, inner, findings),
            Kind::OpenComment => findings.push(
                Diagnostic::error(
                    "unclosed-comment",
                    "this comment is never closed",
                    first_line(source, block.span),
                )
                .help("end it with -->: everything below is inside it"),
            ),
            Kind::TooDeep => findings.push(
                Diagnostic::error(
                    "too-deep",
                    "lists and quotes are nested too deeply to be read",
                    block.span,
                )
                .help("write it flat"),
            ),
            _ => {}
        }
    }
}

fn parts<'a>(source: &str, base: usize, blocks: &'a [Block], runbook: &mut Runbook) -> Vec<Part<'a>> {
    let mut parts: Vec<Part<'a>> = Vec::new();
    let mut level = 0;
    let mut start = 0;
    let mut open =
        Part { section: None, title: String::new(), heading: None, blocks: &[], body: Span::new(base, base) };
    let title_is_section = title_is_section(blocks);
    for (index, block) in blocks.iter().enumerate() {
        let Kind::Heading { level: rank, text } = &block.kind else { continue };
        let is_title = *rank == 1 && runbook.title.is_empty() && parts.is_empty() && open.heading.is_none();
        let known = words::section(&plain(text));
        if is_title && (known.is_none() || !title_is_section) {
            runbook.title = plain(text);
            // What stands before and after the title, up to the first section, is one introduction.
            if start == index {
                start = index + 1;
                open.body.start = block.span.end;
            }
            continue;
        }
        if level != 0 && *rank > level {
            continue;
        }
        open.blocks = blocks.get(start..index).unwrap_or_default();
        open.body.end = line_start(source, block.span.start).max(open.body.start);
        parts.push(open);
        level = *rank;
        start = index + 1;
        open = Part {
            section: known,
            title: plain(text),
            heading: Some(block.span),
            blocks: &[],
            body: Span::new(block.span.end, block.span.end),
        };
    }
    open.blocks = blocks.get(start..).unwrap_or_default();
    open.body.end = source.len().max(open.body.start);
    parts.push(open);
    parts
}

/// A first heading `# Steps` opens the section; `# Rollback` above `## Steps` is the title of a runbook.
fn title_is_section(blocks: &[Block]) -> bool {
    !blocks.iter().any(|block| match &block.kind {
        Kind::Heading { level: 2, text } => words::section(&plain(text)).is_some(),
        _ => false,
    })
}

fn line_start(source: &str, offset: usize) -> usize {
    source.get(..offset).and_then(|before| before.rfind(['\n', '\r'])).map_or(0, |newline| newline + 1)
}

fn prose(source: &str, body: Span) -> String {
    crate::text::sanitize(source.get(body.start..body.end).unwrap_or_default()).trim().to_owned()
}

/// Warns about a title that is nearly one with a meaning: its section would be documentation.
fn misspelt(part: &Part<'_>, findings: &mut Findings) {
    if part.section.is_none()
        && let (Some(place), Some(near)) = (part.heading, words::section_meant(&part.title))
    {
        findings.push(
            Diagnostic::warning(
                "unknown-section",
                format!("`{}` is no section with a meaning", part.title),
                place,
            )
            .help(format!("did you mean `{near}`?")),
        );
    }
}

/// Warns when a section that nobody runs holds what looks meant to run.
fn never_runs(source: &str, part: &Part<'_>, findings: &mut Findings) {
    let Some((place, what)) = first_runnable(source, part.blocks) else { return };
    let title =
        if part.title.is_empty() { "the introduction".to_owned() } else { format!("`{}`", part.title) };
    findings.push(
        Diagnostic::warning("never-runs", format!("this {what} never runs: {title} is documentation"), place)
            .help("move it under Preconditions, Steps or Rollback, or write it as prose"),
    );
}

fn first_runnable(source: &str, blocks: &[Block]) -> Option<(Span, &'static str)> {
    let in_item = |item: &ListItem| match item.task {
        Some(_) => Some((first_line(source, item.span), "item")),
        None => first_runnable(source, &item.blocks),
    };
    blocks.iter().find_map(|block| match &block.kind {
        Kind::Fence(fence) if super::fences::is_action(source, fence) => Some((fence.opening, "action")),
        Kind::List(items) => items.iter().find_map(in_item),
        Kind::Quote(inner) => first_runnable(source, inner),
        _ => None,
    })
}

/// The part of `span` on its first line.
pub(super) fn first_line(source: &str, span: Span) -> Span {
    let text = source.get(span.start..span.end).unwrap_or_default();
    Span::new(span.start, span.start + text.find(['\n', '\r']).unwrap_or(text.len()))
}

/// The text of a list item's first paragraph, without markup.
pub(super) fn item_text(item: &ListItem) -> String {
    match item.blocks.first().map(|block| &block.kind) {
        Some(Kind::Paragraph(segments)) => plain(segments),
        _ => String::new(),
    }
}

fn outputs(blocks: &[Block], outputs: &mut Vec<String>) {
    for block in blocks {
        if let Kind::List(items) = &block.kind {
            outputs.extend(items.iter().map(item_text).filter(|text| !text.is_empty()));
        }
    }
}

/// The title of a paragraph that is nothing but bold text and a colon: `**Critical checks (5 min)** :`.
pub(super) fn bold_title(segments: &[Segment]) -> Option<String> {
    let (rest, strong): (Vec<&Segment>, Vec<&Segment>) = segments
        .iter()
        .partition(|segment| segment.kind != SegmentKind::Strong && segment.kind != SegmentKind::Code);
    let first = segments.first()?;
    let rest: String = rest.iter().map(|segment| segment.text.as_str()).collect();
    if first.kind != SegmentKind::Strong || !matches!(rest.trim(), "" | ":") {
        return None;
    }
    let title: String = strong.iter().map(|segment| segment.text.as_str()).collect();
    let title = crate::text::sanitize_line(&title);
    Some(title.trim_end_matches([':', ' ']).to_owned())
}
