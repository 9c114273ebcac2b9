//! Blocks into what a step does: scripts, actions, checks, calls, checklists, in the order written.

use super::document::{Block, Kind, ListItem, Segment, SegmentKind, plain};
use super::sections::{bold_title, first_line, item_text};
use super::{Findings, fences, tables, words};
use crate::diagnostic::{Diagnostic, Span, nearest};
use crate::duration::Duration;
use crate::runbook::{Check, Checklist, Criterion, Item, Spanned};

/// The section the items stand in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Preconditions,
    Step,
    Rollback,
}

/// Reads items; what is not an item but declared among them is left in its fields.
pub(super) struct Items<'a> {
    source: &'a str,
    findings: &'a mut Findings,
    place: Place,
    /// The skills named by `→ **skill**` lines.
    pub skills: Vec<Spanned<String>>,
    /// The criteria of a rollback section.
    pub criteria: Vec<Criterion>,
}

impl<'a> Items<'a> {
    pub fn new(source: &'a str, findings: &'a mut Findings, place: Place) -> Self {
        Self { source, findings, place, skills: Vec::new(), criteria: Vec::new() }
    }

    /// The items of `blocks`.
    pub fn read(&mut self, blocks: &[Block]) -> Vec<Item> {
        let mut items = Vec::new();
        let mut title: Option<(String, Span)> = None;
        for block in blocks {
            let titled = title.take();
            match &block.kind {
                Kind::Fence(fence) => items.extend(fences::item(self.source, fence, self.findings)),
                Kind::Heading { text, .. } => {
                    title = Some((plain(text), block.span)).filter(|(title, _)| {
                        // A sub-heading is documentation, unless it announces the criteria.
                        self.place == Place::Rollback && words::is_criteria(title)
                    })
                }
                Kind::Paragraph(segments) => {
                    self.arrows(block.span, &mut items);
                    title = bold_title(segments).map(|title| (title, block.span));
                }
                Kind::List(list) => match titled {
                    Some((title, _)) if self.place == Place::Rollback && words::is_criteria(&title) => {
                        let texts = list.iter().map(item_text).filter(|text| !text.is_empty());
                        self.criteria.extend(texts.map(tables::criterion));
                    }
                    Some((title, span)) if list.iter().any(|item| item.task.is_some()) => {
                        let mut read = Vec::new();
                        self.list(list, &mut read);
                        let (checks, others) = split_checks(read);
                        items.extend(others);
                        items.push(Item::Checklist(checklist(&title, checks, span)));
                    }
                    _ => {
                        self.unticked(list);
                        self.list(list, &mut items);
                    }
                },
                Kind::Quote(_) | Kind::Table(_) | Kind::Other | Kind::OpenComment | Kind::TooDeep => {}
            }
        }
        items
    }

    /// The items of a list, or of what is left of one.
    pub fn list(&mut self, list: &[ListItem], items: &mut Vec<Item>) {
        for item in list {
            if let Some(ticked) = item.task {
                let check = self.check(item, ticked, items);
                items.push(Item::Check(check));
            } else {
                self.malformed(item);
                let nested = self.read(&item.blocks);
                items.extend(nested);
            }
        }
    }

    /// A check. Scripts and other items nested in it come before it: they are how it becomes true.
    fn check(&mut self, item: &ListItem, ticked: bool, items: &mut Vec<Item>) -> Check {
        let mut children = Vec::new();
        let mut text = String::new();
        let mut command = None;
        for (index, block) in item.blocks.iter().enumerate() {
            match &block.kind {
                Kind::Paragraph(segments) if index == 0 => (text, command) = text_and_command(segments),
                Kind::List(list) => {
                    let mut read = Vec::new();
                    self.list(list, &mut read);
                    let (checks, others) = split_checks(read);
                    children.extend(checks);
                    items.extend(others);
                }
                _ => items.extend(self.read(std::slice::from_ref(block))),
            }
        }
        Check { text, command, children, ticked, span: first_line(self.source, item.span) }
    }

    /// Preconditions written as plain points are read by nobody.
    fn unticked(&mut self, list: &[ListItem]) {
        if self.place != Place::Preconditions || list.iter().any(|item| item.task.is_some()) {
            return;
        }
        // A list that is only the frame of something that runs is fine.
        let frames =
            list.iter().any(|item| item.blocks.iter().any(|block| !matches!(block.kind, Kind::Paragraph(_))));
        if let Some(first) = list.first().filter(|_| !frames) {
            self.findings.push(
                Diagnostic::warning(
                    "not-a-check",
                    "nobody is asked about this list of preconditions",
                    first_line(self.source, first.span),
                )
                .help("write each as `- [ ] text`"),
            );
        }
    }

    /// `- [] text` is not a check in Markdown, though it is meant as one.
    fn malformed(&mut self, item: &ListItem) {
        let text = self.source.get(item.span.start..item.span.end).unwrap_or_default();
        let text = text.trim_start_matches(['-', '*', '+']).trim_start();
        let inside = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        if let Some((inside, rest)) = inside
            && matches!(inside.trim(), "" | "x" | "X")
            && !rest.starts_with(['(', '['])
        {
            self.findings.push(
                Diagnostic::warning("not-a-check", "this is not a check", first_line(self.source, item.span))
                    .help("write `- [ ] text`, with one space between the brackets and one after"),
            );
        }
    }

    /// The `→ **skill**: name` and `→ **workflow**: name` lines of a paragraph.
    fn arrows(&mut self, span: Span, items: &mut Vec<Item>) {
        let mut offset = span.start;
        for line in self.source.get(span.start..span.end).unwrap_or_default().split_inclusive('\n') {
            if let Some(arrow) = arrow(line) {
                self.arrow(&arrow, offset, items);
            }
            offset += line.len();
        }
    }

    fn arrow(&mut self, arrow: &Arrow<'_>, base: usize, items: &mut Vec<Item>) {
        let word_span = Span::new(base + arrow.word_start, base + arrow.word_start + arrow.word.len());
        match words::fold(arrow.word).as_str() {
            "skill" | "skills" => {
                let names = names(arrow.value, base + arrow.value_start);
                if names.is_empty() {
                    self.empty_arrow("skill", word_span);
                }
                self.skills.extend(names);
            }
            "workflow" | "workflows" | "runbook" | "runbooks" => {
                let names = names(arrow.value, base + arrow.value_start);
                if names.is_empty() {
                    self.empty_arrow("runbook", word_span);
                }
                items.extend(names.into_iter().map(Item::Call));
            }
            other => {
                if let Some(near) = nearest(other, ["skill", "workflow", "runbook"]) {
                    self.findings.push(
                        Diagnostic::error(
                            "unknown-key",
                            format!("unknown reference `{}`", arrow.word),
                            word_span,
                        )
                        .help(format!("did you mean `{near}`?")),
                    );
                }
            }
        }
    }

    fn empty_arrow(&mut self, what: &str, span: Span) {
        let message = format!("this line names no {what}");
        self.findings
            .push(Diagnostic::error("missing-name", message, span).help("write it as → **skill**: `git`"));
    }
}

fn split_checks(items: Vec<Item>) -> (Vec<Check>, Vec<Item>) {
    let mut checks = Vec::new();
    let mut others = Vec::new();
    for item in items {
        match item {
            Item::Check(check) => checks.push(check),
            other => others.push(other),
        }
    }
    (checks, others)
}

fn checklist(title: &str, checks: Vec<Check>, span: Span) -> Checklist {
    if let Some((name, inside)) = title.strip_suffix(')').and_then(|title| title.rsplit_once('('))
        && let Ok(within) = Duration::parse(inside)
    {
        return Checklist { title: name.trim().to_owned(), within: Some(within), checks, span };
    }
    Checklist { title: title.to_owned(), within: None, checks, span }
}

/// An item's text and, when a code span after a colon ends it, its command.
fn text_and_command(segments: &[Segment]) -> (String, Option<Spanned<String>>) {
    let filled = segments.iter().rposition(|segment| !segment.text.trim().is_empty());
    if let Some(last) = filled
        && segments[last].kind == SegmentKind::Code
        && let Some(text) = plain(&segments[..last]).strip_suffix(':')
    {
        let command = Spanned { value: segments[last].text.trim().to_owned(), span: segments[last].span };
        return (text.trim_end().to_owned(), Some(command));
    }
    (plain(segments), None)
}

struct Arrow<'a> {
    word: &'a str,
    word_start: usize,
    value: &'a str,
    value_start: usize,
}

/// `→ **word**: value`; the arrow may be `->`, the bold may be missing.
fn arrow(line: &str) -> Option<Arrow<'_>> {
    let start = line.len() - line.trim_start().len();
    let after = ["→", "->", "=>"].iter().find_map(|arrow| line[start..].strip_prefix(arrow))?;
    let (head, value) = after.split_once(':')?;
    let word = head.trim().trim_matches('*').trim();
    if word.is_empty() || !word.chars().all(char::is_alphabetic) {
        return None;
    }
    let head_start = line.len() - after.len();
    let word_start = head_start + head.find(word)?;
    // `→ **skill:** name` closes the bold after the colon.
    let value_start = head_start + head.len() + 1;
    let value = value.strip_prefix("**").unwrap_or(value);
    Some(Arrow { word, word_start, value, value_start: value_start.max(line.len() - value.len()) })
}

/// The names in `value`: code spans, links or plain words, separated by commas.
fn names(value: &str, base: usize) -> Vec<Spanned<String>> {
    let mut names = Vec::new();
    let mut offset = 0;
    for part in value.split(',') {
        if let Some((name, start)) = name(part) {
            let start = base + offset + start;
            let span = Span::new(start, start + name.len());
            names.push(Spanned { value: crate::text::sanitize_line(name), span });
        }
        offset += part.len() + 1;
    }
    names
}

/// A name written plainly, in backticks or as a link to its file, and where it starts in `text`.
pub(super) fn name(text: &str) -> Option<(&str, usize)> {
    let trimmed = text.trim().trim_end_matches('.');
    let from = |part: &str| (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
    if let Some((label, rest)) = trimmed.strip_prefix('[').and_then(|rest| rest.split_once("](")) {
        let target = rest.split([')', ' ', '#']).next().unwrap_or_default();
        let file = target.rsplit('/').next().unwrap_or_default();
        let stem = file.strip_suffix(".md").unwrap_or(label.trim_matches('`'));
        return Some((stem, from(stem))).filter(|(stem, _)| !stem.is_empty());
    }
    let name = match trimmed.strip_prefix('`') {
        Some(rest) => rest.split('`').next().unwrap_or_default().trim(),
        None => trimmed.split_whitespace().next().unwrap_or_default(),
    };
    let name = name.strip_suffix(".md").unwrap_or(name);
    Some((name, from(name))).filter(|(name, _)| !name.is_empty())
}
