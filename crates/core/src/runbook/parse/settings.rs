//! The settings of a step: the list of `Key: value` right under its heading.

use super::document::{Kind, ListItem};
use super::sections::first_line;
use super::words::{self, SETTINGS, Setting};
use super::{Findings, Owners, attributes, items, sequence, templates};
use crate::diagnostic::{Diagnostic, Span};
use crate::duration::Duration;
use crate::runbook::{OnFailure, Owner, Settings, Spanned};

/// Reads the settings of one step.
pub(super) struct SettingsReader<'a> {
    source: &'a str,
    owners: &'a mut Owners,
    findings: &'a mut Findings,
    /// What has been set so far.
    pub settings: Settings,
}

/// A list item written `Key: value`.
struct Line<'a> {
    key: &'a str,
    key_span: Span,
    value: &'a str,
    value_span: Span,
}

impl<'a> SettingsReader<'a> {
    pub fn new(source: &'a str, owners: &'a mut Owners, findings: &'a mut Findings) -> Self {
        Self { source, owners, findings, settings: Settings::default() }
    }

    /// Reads the settings that open `list`; how many items they are, 0 when it is an ordinary list.
    pub fn read(&mut self, list: &[ListItem]) -> usize {
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
    pub fn misplaced(&mut self, list: &[ListItem]) {
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
