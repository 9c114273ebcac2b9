//! The YAML between the `---` lines at the top of a runbook.

use std::collections::BTreeMap;

use super::attributes::{is_name, is_variable};
use super::{Findings, templates, yaml};
use crate::diagnostic::{Diagnostic, Span};
use crate::duration::Duration;
use crate::runbook::{Input, InputKind, Runbook, Spanned};

/// Where the front matter and the body of a source are.
pub(super) struct Split {
    /// The YAML, when there is a front matter that is closed.
    pub yaml: Option<Span>,
    /// The first byte of the Markdown.
    pub body: usize,
    /// The opening line of a front matter that is never closed.
    pub unclosed: Option<Span>,
}

/// Finds the front matter.
pub(super) fn split(source: &str) -> Split {
    let base = if source.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let mut lines = source[base..].split_inclusive('\n').scan(base, |offset, line| {
        let start = *offset;
        *offset += line.len();
        Some((start, line))
    });
    let first = lines.next().filter(|(_, line)| line.trim_end() == "---");
    let Some((start, opening)) = first else {
        return Split { yaml: None, body: base, unclosed: None };
    };
    let yaml_start = start + opening.len();
    for (offset, line) in lines {
        if matches!(line.trim_end(), "---" | "...") {
            return Split {
                yaml: Some(Span::new(yaml_start, offset)),
                body: offset + line.len(),
                unclosed: None,
            };
        }
    }
    Split { yaml: None, body: yaml_start, unclosed: Some(Span::new(start, start + "---".len())) }
}

const KEYS: &[&str] = &["name", "description", "triggers", "skills", "calls", "roles", "env", "inputs"];

/// Reads the YAML at `place` into `runbook`.
pub(super) fn read(source: &str, place: Span, runbook: &mut Runbook, findings: &mut Findings) {
    let text = source.get(place.start..place.end).unwrap_or_default();
    let root = match yaml::read(text) {
        Ok(root) => root,
        Err(error) => {
            let span = error.span.map_or(place, |span| shifted(span, place.start));
            findings.push(Diagnostic::error(
                "bad-yaml",
                format!("the front matter: {}", error.message),
                span,
            ));
            return;
        }
    };
    let mut reader = Reader { text, base: place.start, findings };
    let pairs = match &root.value {
        yaml::Value::Null => return,
        yaml::Value::Map(pairs) => pairs,
        _ => return reader.wrong(&root, "the front matter", "a mapping of keys to values"),
    };
    for (key, value) in pairs {
        let name = key.scalar(text).unwrap_or_default();
        match name.as_str() {
            "name" => runbook.name = reader.name(value),
            "description" => runbook.description = reader.text(value, "description"),
            "triggers" => runbook.triggers = reader.texts(value, "triggers").unwrap_or_default(),
            "skills" => runbook.skills = reader.texts(value, "skills"),
            "calls" => runbook.calls = reader.texts(value, "calls"),
            "roles" => runbook.roles = reader.texts(value, "roles"),
            "env" => runbook.env = reader.env(value),
            "inputs" => runbook.inputs = reader.inputs(value),
            _ => reader.unknown(key, &name, "key of the front matter", KEYS),
        }
    }
}

fn shifted(span: Span, base: usize) -> Span {
    Span::new(base + span.start, base + span.end)
}

struct Reader<'a> {
    text: &'a str,
    base: usize,
    findings: &'a mut Findings,
}

impl Reader<'_> {
    fn place(&self, node: &yaml::Node) -> Span {
        shifted(node.span, self.base)
    }

    fn wrong(&mut self, node: &yaml::Node, what: &str, expected: &str) {
        let message = format!("{what} must be {expected}, not {}", node.kind());
        self.findings.push(Diagnostic::error("wrong-type", message, self.place(node)));
    }

    fn unknown(&mut self, key: &yaml::Node, name: &str, what: &str, valid: &[&str]) {
        self.findings.push(
            Diagnostic::error("unknown-key", format!("unknown {what}: `{name}`"), self.place(key))
                .suggest(name, valid.iter().copied()),
        );
    }

    fn text(&mut self, node: &yaml::Node, what: &str) -> String {
        match node.as_str() {
            Some(text) => crate::text::sanitize_line(text),
            None => {
                self.wrong(node, &format!("`{what}`"), "a text");
                String::new()
            }
        }
    }

    fn name(&mut self, node: &yaml::Node) -> String {
        let name = self.text(node, "name");
        if !name.is_empty() && !is_name(&name) {
            self.findings.push(
                Diagnostic::error("bad-name", format!("`{name}` cannot name a runbook"), self.place(node))
                    .help("use letters, digits, `-`, `_` and `.`, such as `release`"),
            );
        }
        name
    }

    fn texts(&mut self, node: &yaml::Node, what: &str) -> Option<Vec<Spanned<String>>> {
        let yaml::Value::List(nodes) = &node.value else {
            self.wrong(node, &format!("`{what}`"), "a list of texts, such as `[a, b]`");
            return None;
        };
        let mut texts = Vec::new();
        for node in nodes {
            match node.as_str() {
                Some(text) => {
                    let value = crate::text::sanitize_line(text);
                    texts.push(Spanned { value, span: self.place(node) });
                }
                None => self.wrong(node, &format!("each of `{what}`"), "a text"),
            }
        }
        Some(texts)
    }

    fn map<'n>(&mut self, node: &'n yaml::Node, what: &str) -> &'n [(yaml::Node, yaml::Node)] {
        match &node.value {
            yaml::Value::Map(pairs) => pairs,
            yaml::Value::Null => &[],
            _ => {
                self.wrong(node, what, "a mapping");
                &[]
            }
        }
    }

    fn scalar(&mut self, node: &yaml::Node, what: &str) -> Option<String> {
        let text = node.scalar(self.text);
        if text.is_none() {
            self.wrong(node, what, "a text, a number or a boolean");
        }
        text
    }

    fn env(&mut self, node: &yaml::Node) -> BTreeMap<String, String> {
        let mut env = BTreeMap::new();
        for (key, value) in self.map(node, "`env`") {
            let name = key.scalar(self.text).unwrap_or_default();
            if !is_variable(&name) {
                self.findings.push(
                    Diagnostic::error(
                        "bad-name",
                        format!("`{name}` cannot name an environment variable"),
                        self.place(key),
                    )
                    .help("use letters, digits and `_`"),
                );
            } else if let Some(text) = self.scalar(value, &format!("`env.{name}`")) {
                if let Some(problem) = templates::template_problem(&text) {
                    let message = format!("`env.{name}` is not a template: {problem}");
                    self.findings.push(
                        Diagnostic::error("bad-template", message, self.place(value))
                            .help("such as \"{{ version }}\""),
                    );
                }
                env.insert(name, text);
            }
        }
        env
    }

    fn inputs(&mut self, node: &yaml::Node) -> BTreeMap<String, Input> {
        let mut inputs = BTreeMap::new();
        for (key, value) in self.map(node, "`inputs`") {
            let name = key.scalar(self.text).unwrap_or_default();
            if !is_name(&name) {
                self.findings.push(
                    Diagnostic::error("bad-name", format!("`{name}` cannot name an input"), self.place(key))
                        .help("use letters, digits, `-` and `_`"),
                );
                continue;
            }
            let input = self.input(&name, value);
            inputs.insert(name, input);
        }
        inputs
    }

    fn input(&mut self, name: &str, node: &yaml::Node) -> Input {
        let mut input =
            Input { kind: InputKind::String, description: String::new(), default: None, options: Vec::new() };
        let pairs = match &node.value {
            yaml::Value::Null => return input,
            yaml::Value::Map(pairs) => pairs,
            // The short form `name: value` gives the default; its type is what the value looks like.
            yaml::Value::Boolean(_) => {
                input.kind = InputKind::Boolean;
                input.default = node.scalar(self.text);
                return input;
            }
            yaml::Value::Integer(_) => {
                input.kind = InputKind::Integer;
                input.default = node.scalar(self.text);
                return input;
            }
            _ => {
                input.default = self.scalar(node, &format!("input `{name}`"));
                return input;
            }
        };
        let mut default_place = None;
        for (key, value) in pairs {
            let field = key.scalar(self.text).unwrap_or_default();
            match field.as_str() {
                "type" => input.kind = self.kind(value),
                "description" => input.description = self.text(value, &format!("inputs.{name}.description")),
                "default" => {
                    input.default = self.scalar(value, &format!("the default of `{name}`"));
                    default_place = Some(self.place(value));
                }
                "options" => input.options = self.options(name, value),
                _ => self.unknown(
                    key,
                    &field,
                    "key of an input",
                    &["type", "default", "options", "description"],
                ),
            }
        }
        if let (Some(default), Some(place)) = (&input.default, default_place) {
            self.check_default(&input, default, place);
        }
        input
    }

    fn kind(&mut self, node: &yaml::Node) -> InputKind {
        const KINDS: &[(&str, InputKind)] = &[
            ("string", InputKind::String),
            ("boolean", InputKind::Boolean),
            ("integer", InputKind::Integer),
            ("version", InputKind::Version),
            ("duration", InputKind::Duration),
        ];
        let name = node.scalar(self.text).unwrap_or_default();
        match KINDS.iter().find(|(known, _)| *known == name) {
            Some((_, kind)) => *kind,
            None => {
                let names = KINDS.iter().map(|(known, _)| *known);
                self.findings.push(
                    Diagnostic::error(
                        "wrong-type",
                        format!("unknown type of input: `{name}`"),
                        self.place(node),
                    )
                    .suggest(&name, names),
                );
                InputKind::String
            }
        }
    }

    fn options(&mut self, name: &str, node: &yaml::Node) -> Vec<String> {
        let what = format!("the options of `{name}`");
        match &node.value {
            yaml::Value::List(nodes) => nodes.iter().filter_map(|node| self.scalar(node, &what)).collect(),
            _ => {
                self.wrong(node, &what, "a list");
                Vec::new()
            }
        }
    }

    fn check_default(&mut self, input: &Input, default: &str, place: Span) {
        let fits = match input.kind {
            InputKind::String => true,
            InputKind::Boolean => matches!(default, "true" | "false"),
            InputKind::Integer => default.parse::<i64>().is_ok(),
            InputKind::Version => {
                semver::Version::parse(default.strip_prefix('v').unwrap_or(default)).is_ok()
            }
            InputKind::Duration => Duration::parse(default).is_ok(),
        };
        if default.contains("{{") {
            return;
        }
        if !fits {
            let message = format!("the default `{default}` is not of its own type");
            self.findings.push(Diagnostic::error("bad-default", message, place));
        } else if !input.options.is_empty() && !input.options.iter().any(|option| option == default) {
            let message = format!("the default `{default}` is not one of the options");
            self.findings.push(
                Diagnostic::error("bad-default", message, place)
                    .suggest(default, input.options.iter().map(String::as_str)),
            );
        }
    }
}
