//! The steps section: a heading per step, its settings, its items.

use std::collections::BTreeMap;

use super::document::{Block, Kind, ListItem, Segment, plain};
use super::items::{self, Items, Place};
use super::sections::first_line;
use super::words::{self, SETTINGS, Setting};
use super::{Findings, Mentions, Owners, attributes, sequence, templates};
use crate::diagnostic::{Diagnostic, Span, line_and_column};
use crate::duration::Duration;
use crate::runbook::{Item, OnFailure, Owner, Runbook, Settings, Spanned, Step};

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
    let mut reader = SettingsReader { source, owners, findings, settings: Settings::default() };
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

struct SettingsReader<'a> {
    source: &'a str,
    owners: &'a mut Owners,
    findings: &'a mut Findings,
    settings: Settings,
}

/// A list item written `Key: value`.
struct Line<'a> {
    key: &'a str,
    key_span: Span,
    value: &'a str,
    value_span: Span,
}

impl<'a> SettingsReader<'a> {
    /// Reads the settings that open `list`; how many items they are, 0 when it is an ordinary list.
    fn read(&mut self, list: &[ListItem]) -> usize {
        let count = list.iter().take_while(|item| item.task.is_none()).count();
        let leading = &list[..count];
        if !self.are_settings(leading) {
            return 0;
        }
        let mut seen: Vec<(Setting, Span)> = Vec::new();
        for item in leading {
            let place = first_line(self.source, item.span);
            let Some(line) = self.line(item) else {
                self.findings.push(
                    Diagnostic::error("bad-setting", "this is not a setting", place)
                        .help("write `Key: value` on one line, or move it out of the settings"),
                );
                continue;
            };
            let Some(setting) = words::setting(line.key) else {
                self.unknown(&line);
                continue;
            };
            if seen.iter().any(|(known, _)| *known == setting) {
                self.findings.push(Diagnostic::error(
                    "duplicate-setting",
                    format!("`{}` is set twice", line.key),
                    line.key_span,
                ));
                continue;
            }
            seen.push((setting, line.key_span));
            if line.value.is_empty() {
                self.findings.push(Diagnostic::error(
                    "bad-setting",
                    format!("`{}` has no value", line.key),
                    line.key_span,
                ));
            } else if item.blocks.len() > 1 {
                self.findings.push(
                    Diagnostic::error("bad-setting", "nothing can be nested under a setting", place)
                        .help("put a blank line and a paragraph between the settings and what follows"),
                );
            } else {
                self.set(setting, &line);
            }
        }
        count
    }

    /// A list is settings when its first key is one or nearly, or when every item is `Word: value` and one
    /// word is a setting. `Output` alone does not make it so: people end lists of what they do with it.
    fn are_settings(&self, list: &[ListItem]) -> bool {
        let lines: Vec<Option<Line<'_>>> = list.iter().map(|item| self.line(item)).collect();
        let Some(Some(first)) = lines.first() else { return false };
        let known = |line: &Line<'_>| words::setting(line.key);
        let word = |line: &Line<'_>| known(line).is_some() || !line.key.contains(char::is_whitespace);
        known(first).is_some()
            || words::setting_meant(first.key).is_some()
            || (lines.iter().all(|line| line.as_ref().is_some_and(word))
                && lines.iter().flatten().filter_map(known).any(|setting| setting != Setting::Output))
    }

    fn unknown(&mut self, line: &Line<'_>) {
        let advised = words::setting_meant(line.key).map(|near| format!("did you mean `{near}`?"));
        let finding =
            Diagnostic::error("unknown-setting", format!("unknown setting `{}`", line.key), line.key_span);
        self.findings.push(match advised {
            Some(help) => finding.help(help),
            None => finding.suggest(line.key, SETTINGS.iter().map(|(_, advised, _)| *advised)),
        });
    }

    /// Warns about a list of settings that stands where settings are not read.
    fn misplaced(&mut self, list: &[ListItem]) {
        let leading: Vec<&ListItem> = list.iter().take_while(|item| item.task.is_none()).collect();
        let all_settings = !leading.is_empty()
            && leading
                .iter()
                .all(|item| self.line(item).is_some_and(|line| words::setting(line.key).is_some()));
        let Some(first) = leading.first().filter(|_| all_settings) else { return };
        self.findings.push(
            Diagnostic::warning(
                "misplaced-setting",
                "this sets nothing: settings stand right under the step's heading",
                first_line(self.source, first.span),
            )
            .help("move the list up, above the prose"),
        );
    }

    fn line(&self, item: &ListItem) -> Option<Line<'a>> {
        let block = item.blocks.first()?;
        if !matches!(block.kind, Kind::Paragraph(_)) {
            return None;
        }
        let text = self.source.get(block.span.start..block.span.end)?;
        let colon = text.find(':')?;
        let part = |start: usize, end: usize| {
            let raw = &text[start..end];
            let trimmed = raw.trim();
            let at = block.span.start + start + (raw.len() - raw.trim_start().len());
            (trimmed, Span::new(at, at + trimmed.len()))
        };
        let (key, key_span) = part(0, colon);
        // `- **Owner**: x` and `- **Owner:** x` are settings too.
        let value_start = if text[colon + 1..].starts_with("**") { colon + 3 } else { colon + 1 };
        let (value, value_span) = part(value_start, text.len());
        let bare = key.trim_matches('*').trim();
        if bare.is_empty() || bare.contains('\n') || key.contains('`') {
            return None;
        }
        let start = key_span.start + key.find(bare)?;
        Some(Line { key: bare, key_span: Span::new(start, start + bare.len()), value, value_span })
    }

    fn set(&mut self, setting: Setting, line: &Line<'_>) {
        let text = unquoted(&crate::text::sanitize_line(line.value)).to_owned();
        match setting {
            Setting::Owner => self.settings.owner = self.owner(line),
            Setting::When => {
                if let Some(problem) = templates::expression_problem(&text) {
                    let message = format!("`{text}` is not an expression: {problem}");
                    self.bad(line, &message, "such as `When: channel == \"stable\"`, without braces");
                }
                self.settings.when = Some(Spanned { value: text, span: line.value_span });
            }
            Setting::Within => match Duration::parse(&text) {
                Ok(within) => self.settings.within = Some(within),
                Err(error) => self.bad(line, &error.to_string(), "such as `Within: 20m`"),
            },
            Setting::Lock => self.settings.lock = Some(text),
            Setting::Parallel => self.settings.parallel = Some(text),
            Setting::OnFailure => self.settings.on_failure = self.on_failure(line),
            Setting::Matrix => match matrix(&text) {
                Some(matrix) => self.settings.matrix = matrix,
                None => self.bad(
                    line,
                    &format!("`{text}` is not a matrix"),
                    "such as `Matrix: python = 3.8, 3.9; os = linux, mac`",
                ),
            },
            Setting::Output => {
                self.settings.outputs = sequence::comma_separated(&text);
            }
        }
    }

    fn bad(&mut self, line: &Line<'_>, message: &str, help: &str) {
        self.findings.push(Diagnostic::error("bad-setting", message, line.value_span).help(help));
    }

    fn owner(&mut self, line: &Line<'_>) -> Option<Owner> {
        match sequence::owner(line.value, line.value_span.start, self.owners) {
            Some(owner) => Some(owner),
            None => {
                self.bad(
                    line,
                    &format!("`{}` does not say who owns the step", line.value),
                    "write one name, `a or b` for either of them, or `a + b` for both",
                );
                None
            }
        }
    }

    fn on_failure(&mut self, line: &Line<'_>) -> Option<Spanned<OnFailure>> {
        let spanned = |value, span| Some(Spanned { value, span });
        match words::fold(unquoted(line.value)).as_str() {
            "stop" | "arret" | "arreter" => return spanned(OnFailure::Stop, line.value_span),
            "continue" | "continuer" => return spanned(OnFailure::Continue, line.value_span),
            _ => {}
        }
        let plain_words = line.value.split_whitespace().count();
        match items::name(line.value) {
            Some((name, start))
                if attributes::is_name(name) && (plain_words == 1 || line.value.starts_with('[')) =>
            {
                let start = line.value_span.start + start;
                spanned(OnFailure::Call(name.to_owned()), Span::new(start, start + name.len()))
            }
            _ => {
                self.bad(
                    line,
                    &format!("`{}` does not say what follows a failure", line.value),
                    "write `stop`, `continue` or a runbook, such as `[rollback](rollback.md)`",
                );
                None
            }
        }
    }
}

/// A value without the backticks around all of it.
fn unquoted(value: &str) -> &str {
    match value.strip_prefix('`').and_then(|value| value.strip_suffix('`')) {
        Some(inside) if !inside.contains('`') => inside.trim(),
        _ => value,
    }
}

fn matrix(text: &str) -> Option<Vec<(String, Vec<String>)>> {
    let mut axes: Vec<(String, Vec<String>)> = Vec::new();
    for axis in text.split(';').filter(|axis| !axis.trim().is_empty()) {
        let (name, values) = axis.split_once('=')?;
        let name = name.trim();
        let values = sequence::comma_separated(values);
        if !attributes::is_variable(name) || values.is_empty() || axes.iter().any(|(known, _)| known == name)
        {
            return None;
        }
        axes.push((name.to_owned(), values));
    }
    (!axes.is_empty()).then_some(axes)
}
