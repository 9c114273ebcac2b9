//! The steps section: a heading per step, its id, its items.

use std::collections::BTreeMap;

use super::document::{Block, Kind, ListItem, Segment, plain};
use super::items::{Items, Place};
use super::settings::SettingsReader;
use super::{Findings, Mentions, Owners, attributes, fences, sequence, words};
use crate::diagnostic::{Diagnostic, Span, line_and_column};
use crate::runbook::{Item, Runbook, Spanned, Step};

/// Reads the blocks under a steps heading.
pub(super) fn read(
    source: &str,
    blocks: &[Block],
    runbook: &mut Runbook,
    mentions: &mut Mentions,
    findings: &mut Findings,
) {
    let levels = blocks.iter().filter_map(|block| match &block.kind {
        Kind::Heading { level, .. } => Some(*level),
        _ => None,
    });
    // One level under the section; a document that skips a level means the first one it uses.
    let step_level = levels.min();
    let mut rest = blocks;
    let first = rest.iter().position(|block| is_step(block, step_level)).unwrap_or(rest.len());
    before_steps(source, &rest[..first], runbook, mentions, findings);
    rest = &rest[first..];
    while let Some((heading, after)) = rest.split_first() {
        let end = after.iter().position(|block| is_step(block, step_level)).unwrap_or(after.len());
        let step = step(source, heading, &after[..end], &mut mentions.owners, findings);
        runbook.steps.push(step);
        rest = &after[end..];
    }
}

fn is_step(block: &Block, step_level: Option<u8>) -> bool {
    matches!(&block.kind, Kind::Heading { level, .. } if Some(*level) == step_level)
}

/// What stands before the first step: checks are preconditions, a `[n] Title` fence is a sequence of steps.
fn before_steps(
    source: &str,
    blocks: &[Block],
    runbook: &mut Runbook,
    mentions: &mut Mentions,
    findings: &mut Findings,
) {
    for block in blocks {
        if let Kind::Fence(fence) = &block.kind
            && fences::is_plain(source, fence)
            && let Some(steps) = sequence::read(fence, &mut mentions.owners)
        {
            runbook.steps.extend(steps);
        }
    }
    let mut items = Items::new(source, findings, Place::Preconditions);
    let read = items.read(blocks);
    mentions.skills.append(&mut items.skills);
    for item in read {
        let place = match &item {
            Item::Check(_) | Item::Checklist(_) => {
                runbook.preconditions.push(item);
                continue;
            }
            Item::Script(script) if script.attributes.skip => continue,
            Item::Script(script) => script.span,
            Item::Action(action) => action.span,
            Item::Call(call) => call.span,
        };
        findings.push(
            Diagnostic::error(
                "outside-step",
                "this stands before the first step: nothing would run it",
                place,
            )
            .help("put it under a step's heading, such as `### 1. Prepare`"),
        );
    }
}

/// Points at every id that another step, or another item of the same step, already has.
pub(super) fn check_ids(source: &str, runbook: &Runbook, findings: &mut Findings) {
    let mut steps: BTreeMap<&str, Span> = BTreeMap::new();
    for step in &runbook.steps {
        if let Some(first) = steps.get(step.id.as_str()).filter(|_| !findings.is_full()) {
            let (line, _) = line_and_column(source, first.start);
            findings.push(
                Diagnostic::error(
                    "duplicate-id",
                    format!("step `{}` has the id of the step on line {line}", step.id),
                    step.span,
                )
                .help(format!("pin another id after its title: {{id={}-2}}", step.id)),
            );
        }
        if step.id == words::UNDO {
            let message = "the id `undo` is kept for what is taken back";
            findings.push(Diagnostic::error("duplicate-id", message, step.span).help("pin another id"));
        }
        steps.entry(&step.id).or_insert(step.span);
        let mut items: BTreeMap<&str, Span> = BTreeMap::new();
        for item in &step.items {
            let id = match item {
                Item::Script(script) => &script.attributes.id,
                Item::Action(action) => &action.attributes.id,
                _ => continue,
            };
            let Some(id) = id else { continue };
            if let Some(first) = items.get(id.value.as_str()).filter(|_| !findings.is_full()) {
                let (line, _) = line_and_column(source, first.start);
                let message = format!("`{}` is already the id of the item on line {line}", id.value);
                findings.push(Diagnostic::error("duplicate-id", message, id.span));
            }
            items.entry(&id.value).or_insert(id.span);
        }
    }
}

fn step(
    source: &str,
    heading: &Block,
    blocks: &[Block],
    owners: &mut Owners,
    findings: &mut Findings,
) -> Step {
    let Kind::Heading { text, .. } = &heading.kind else {
        return sequence::titled(String::new(), None, heading.span);
    };
    let mut step = title(source, heading.span, text, findings);
    let mut reader = SettingsReader::new(source, owners, findings);
    let mut items = Vec::new();
    let mut rest = blocks;
    let mut leading: &[ListItem] = &[];
    if let Some((Block { kind: Kind::List(list), .. }, after)) = blocks.split_first() {
        let count = reader.read(list);
        if count > 0 {
            leading = &list[count..];
            rest = after;
        }
    }
    for block in rest {
        if let Kind::List(list) = &block.kind {
            reader.misplaced(list);
        }
    }
    step.settings = reader.settings;
    let mut reader = Items::new(source, findings, Place::Step);
    reader.list(leading, &mut items);
    items.extend(reader.read(rest));
    step.skills = std::mem::take(&mut reader.skills);
    step.items = items;
    step
}

/// The step a heading names: `1. Title {id=x}`.
fn title(source: &str, span: Span, text: &[Segment], findings: &mut Findings) -> Step {
    let raw = source.get(span.start..span.end).unwrap_or_default();
    let raw = raw.split(['\n', '\r']).next().unwrap_or_default();
    let (raw, raw_start) = strip_hashes(raw);
    let mut title = plain(text);
    let mut pinned = None;
    if let Some((inside, at)) = braces(raw) {
        if let Some(open) = title.rfind('{') {
            title.truncate(open);
        }
        let base = span.start + raw_start + at;
        pinned = pinned_id(inside, base, findings);
    }
    let mut number = None;
    if let Some((digits, rest)) = number_of(raw)
        && let Some(without) = title.strip_prefix(&raw[..raw.len() - rest.len()])
    {
        number = digits.parse().ok();
        title = without.to_owned();
    }
    let title = title.trim().to_owned();
    let mut step = sequence::titled(title, number, span);
    if let Some(id) = pinned {
        step.id = id;
    }
    step
}

/// A heading's text without its number signs, and where it starts.
fn strip_hashes(raw: &str) -> (&str, usize) {
    let text = raw.trim_start_matches('#');
    let text = text.trim_start();
    let start = raw.len() - text.len();
    let text = text.trim_end();
    let without = text.trim_end_matches('#');
    (if without.ends_with([' ', '\t']) { without.trim_end() } else { text }, start)
}

/// The inside of the braces that end a heading, when they look like attributes, and where it starts.
fn braces(raw: &str) -> Option<(&str, usize)> {
    let inner = raw.strip_suffix('}')?;
    let open = inner.rfind('{')?;
    let inside = &inner[open + 1..];
    let escaped = inner[..open].ends_with(['\\', '{']) || inside.contains('}');
    let looks = inside.trim_start().starts_with(|first: char| first.is_alphabetic() || first == '#')
        && (inside.contains('=') || inside.trim_start().starts_with('#'));
    (looks && !escaped).then_some((inside, open + 1))
}

fn pinned_id(inside: &str, base: usize, findings: &mut Findings) -> Option<String> {
    let mut pinned = None;
    for pair in attributes::pairs(inside, base, findings) {
        let key = pair.key.value.as_str();
        let id = match (key.strip_prefix('#'), &pair.value) {
            (Some(id), None) => Some(Spanned { value: id.to_owned(), span: pair.key.span }),
            (None, Some(value)) if key == "id" => Some(value.clone()),
            _ => None,
        };
        match id {
            Some(id) if attributes::is_name(&id.value) => pinned = Some(id.value),
            Some(id) => findings.push(
                Diagnostic::error("bad-attribute", format!("`{}` cannot be an id", id.value), id.span)
                    .help("use letters, digits, `-`, `_` and `.`"),
            ),
            None => findings.push(
                Diagnostic::error(
                    "unknown-attribute",
                    format!("unknown attribute `{key}` of a step"),
                    pair.key.span,
                )
                .help("a heading takes {id=...}; everything else is a list of settings under it"),
            ),
        }
    }
    pinned
}

/// The digits of `1. Title` or `1) Title`, and the text after.
fn number_of(raw: &str) -> Option<(&str, &str)> {
    let digits = raw.len() - raw.trim_start_matches(|character: char| character.is_ascii_digit()).len();
    let rest = raw[digits..].strip_prefix(['.', ')'])?;
    ((1..=6).contains(&digits) && rest.starts_with(' ')).then(|| (&raw[..digits], rest.trim_start()))
}
