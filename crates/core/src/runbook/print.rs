//! A [`Runbook`] back into canonical Markdown, which [`super::parse`] reads as the same runbook.

use std::fmt::Write;

use serde_json::Value;

mod escape;

use self::escape::{escape, escape_title, escape_where, yaml_quoted, yaml_text, yaml_value};
use super::parse::slug;
use super::{
    ActionUse, Attributes, Check, Checklist, Escalation, InDoubt, InputKind, Item, Language, OnFailure,
    Owner, Runbook, Script, Settings, Spanned, Step,
};

/// The canonical Markdown of `runbook`.
pub fn print(runbook: &Runbook) -> String {
    let mut page = Page::default();
    page.front_matter(runbook);
    if !runbook.title.is_empty() {
        page.block(&format!("# {}", escape_title(&runbook.title)));
    }
    let (introductions, notes): (Vec<_>, Vec<_>) =
        runbook.notes.iter().partition(|(title, _)| title.is_empty());
    for (_, text) in introductions {
        page.block(text);
    }
    if !runbook.objective.is_empty() {
        page.block("## Objective");
        page.block(&runbook.objective);
    }
    if !runbook.preconditions.is_empty() {
        page.block("## Preconditions");
        page.items(&runbook.preconditions);
    }
    if !runbook.steps.is_empty() {
        page.block("## Steps");
        runbook.steps.iter().for_each(|step| page.step(step));
    }
    if let Some(rollback) = &runbook.rollback {
        page.block("## Rollback");
        page.items(&rollback.items);
        if !rollback.criteria.is_empty() {
            page.block("**Rollback criteria**:");
            page.list(rollback.criteria.iter().map(|criterion| escape(&criterion.text)));
        }
    }
    if !runbook.outputs.is_empty() {
        page.block("## Outputs");
        page.list(runbook.outputs.iter().map(|output| escape(output)));
    }
    if !runbook.errors.is_empty() {
        page.block("## Common errors");
        let mut table = "| Error | Cause | Solution |\n|---|---|---|".to_owned();
        for row in &runbook.errors {
            let cell = |text: &str| escape_where(text, |character| character == '|');
            let _ =
                write!(table, "\n| {} | {} | {} |", cell(&row.error), cell(&row.cause), cell(&row.solution));
        }
        page.block(&table);
    }
    if !runbook.escalations.is_empty() {
        page.block("## Escalation");
        page.list(runbook.escalations.iter().map(escalation));
    }
    for (title, text) in notes {
        page.block(&format!("## {}", escape_title(title)));
        page.block(text);
    }
    page.text
}

/// Blocks separated by blank lines.
#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn block(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(text);
        self.text.push('\n');
    }

    fn list(&mut self, lines: impl Iterator<Item = String>) {
        self.block(&lines.map(|line| format!("- {line}")).collect::<Vec<_>>().join("\n"));
    }

    fn front_matter(&mut self, runbook: &Runbook) {
        let mut lines = Vec::new();
        if !runbook.name.is_empty() {
            lines.push(format!("name: {}", yaml_text(&runbook.name)));
        }
        if !runbook.description.is_empty() {
            lines.push(format!("description: {}", yaml_text(&runbook.description)));
        }
        let triggers = Some(&runbook.triggers).filter(|triggers| !triggers.is_empty());
        for (key, names) in [
            ("triggers", triggers),
            ("skills", runbook.skills.as_ref()),
            ("calls", runbook.calls.as_ref()),
            ("roles", runbook.roles.as_ref()),
        ] {
            lines.extend(names.map(|names| format!("{key}: {}", yaml_names(names))));
        }
        if !runbook.env.is_empty() {
            lines.push("env:".to_owned());
            lines.extend(runbook.env.iter().map(|(name, value)| format!("  {name}: {}", yaml_quoted(value))));
        }
        if !runbook.inputs.is_empty() {
            lines.push("inputs:".to_owned());
        }
        for (name, input) in &runbook.inputs {
            lines.push(format!("  {}:", yaml_text(name)));
            lines.push(format!("    type: {}", kind(input.kind)));
            if !input.description.is_empty() {
                lines.push(format!("    description: {}", yaml_text(&input.description)));
            }
            lines
                .extend(input.default.iter().map(|default| format!("    default: {}", yaml_quoted(default))));
            if !input.options.is_empty() {
                let options: Vec<String> = input.options.iter().map(|option| yaml_quoted(option)).collect();
                lines.push(format!("    options: [{}]", options.join(", ")));
            }
        }
        if !lines.is_empty() {
            self.text = format!("---\n{}\n---\n", lines.join("\n"));
        }
    }

    fn step(&mut self, step: &Step) {
        let mut heading = "### ".to_owned();
        if let Some(number) = step.number {
            let _ = write!(heading, "{number}. ");
        }
        heading.push_str(&escape_title(&step.title));
        if step.id != slug(&step.title) {
            let _ = write!(heading, " {{id={}}}", step.id);
        }
        self.block(&heading);
        self.list(settings(&step.settings).into_iter());
        if !step.skills.is_empty() {
            let skills: Vec<String> = step.skills.iter().map(|skill| format!("`{}`", skill.value)).collect();
            self.block(&format!("→ **skill**: {}", skills.join(", ")));
        }
        self.items(&step.items);
    }

    fn items(&mut self, items: &[Item]) {
        let mut after_checklist = false;
        let mut checks = Vec::new();
        for item in items {
            if let Item::Check(check) = item {
                checks.push(check);
                continue;
            }
            self.checks(&mut checks, after_checklist);
            after_checklist = false;
            match item {
                Item::Script(script) => self.script(script),
                Item::Action(action) => self.action(action),
                Item::Call(name) => self.block(&format!("→ **workflow**: `{}`", name.value)),
                Item::Checklist(list) => {
                    self.checklist(list);
                    after_checklist = !list.checks.is_empty();
                }
                Item::Check(_) => {}
            }
        }
        self.checks(&mut checks, after_checklist);
    }

    fn checks(&mut self, checks: &mut Vec<&Check>, after_checklist: bool) {
        if checks.is_empty() {
            return;
        }
        if after_checklist {
            // Without something between them, two lists are one.
            self.block("<!-- end of the checklist -->");
        }
        self.check_list(checks.drain(..));
    }

    fn check_list<'a>(&mut self, checks: impl Iterator<Item = &'a Check>) {
        let mut lines = Vec::new();
        checks.for_each(|check| check_lines(check, 0, &mut lines));
        self.block(&lines.join("\n"));
    }

    fn checklist(&mut self, list: &Checklist) {
        let within = list.within.map(|within| format!(" ({within})")).unwrap_or_default();
        self.block(&format!("**{}{within}**:", escape(&list.title)));
        self.check_list(list.checks.iter());
    }

    fn script(&mut self, script: &Script) {
        let language = match script.language {
            Language::Sh => "sh",
            Language::Bash => "bash",
            Language::Python => "python",
        };
        self.fence(language, &script.attributes, &script.text);
    }

    fn action(&mut self, action: &ActionUse) {
        let mut text = format!("uses: {}\n", yaml_text(&action.uses.value));
        match &action.with {
            Value::Object(parameters) if parameters.is_empty() => {}
            Value::Object(parameters) => {
                text.push_str("with:\n");
                for (name, value) in parameters {
                    let _ = writeln!(text, "  {}: {}", yaml_text(name), yaml_value(value));
                }
            }
            other => {
                let _ = writeln!(text, "with: {}", yaml_value(other));
            }
        }
        self.fence("yaml", &action.attributes, &text);
    }

    fn fence(&mut self, language: &str, attributes: &Attributes, text: &str) {
        let mut info = language.to_owned();
        let attributes = attribute_list(attributes);
        if !attributes.is_empty() {
            let _ = write!(info, " {{{}}}", attributes.join(" "));
        }
        // The information after backticks cannot hold one.
        let marker = if info.contains('`') { '~' } else { '`' };
        let fence = marker.to_string().repeat(longest_run(text, marker).max(2) + 1);
        let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        self.block(&format!("{fence}{info}\n{text}{end}{fence}"));
    }
}

fn longest_run(text: &str, marker: char) -> usize {
    let mut longest = 0;
    let mut run = 0;
    for character in text.chars() {
        run = if character == marker { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}

fn settings(settings: &Settings) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(Owner { names, all }) = &settings.owner {
        lines.push(format!("Owner: {}", names.join(if *all { " + " } else { " or " })));
    }
    lines.extend(settings.when.iter().map(|when| format!("When: {}", when.value)));
    lines.extend(settings.within.iter().map(|within| format!("Within: {within}")));
    lines.extend(settings.lock.iter().map(|lock| format!("Lock: {lock}")));
    lines.extend(settings.on_failure.iter().map(|on_failure| match &on_failure.value {
        OnFailure::Stop => "On failure: stop".to_owned(),
        OnFailure::Continue => "On failure: continue".to_owned(),
        OnFailure::Call(name) => format!("On failure: [{name}]({name}.md)"),
    }));
    lines.extend(settings.parallel.iter().map(|group| format!("Parallel: {group}")));
    if !settings.matrix.is_empty() {
        let axes: Vec<String> =
            settings.matrix.iter().map(|(name, values)| format!("{name} = {}", values.join(", "))).collect();
        lines.push(format!("Matrix: {}", axes.join("; ")));
    }
    if !settings.outputs.is_empty() {
        lines.push(format!("Output: {}", settings.outputs.join(", ")));
    }
    lines
}

fn check_lines(check: &Check, depth: usize, lines: &mut Vec<String>) {
    let mark = if check.ticked { 'x' } else { ' ' };
    let mut line = format!("{}- [{mark}] {}", "  ".repeat(depth), escape(&check.text));
    if let Some(command) = &check.command {
        let _ = write!(line, ": {}", code(&command.value));
    }
    lines.push(line);
    check.children.iter().for_each(|child| check_lines(child, depth + 1, lines));
}

fn code(text: &str) -> String {
    let ticks = "`".repeat(longest_run(text, '`') + 1);
    let pad = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{ticks}{pad}{text}{pad}{ticks}")
}

fn escalation(escalation: &Escalation) -> String {
    let mut line = format!("**{}**", escape(&escalation.event));
    if !escalation.to.is_empty() || !escalation.note.is_empty() {
        line.push_str(" →");
    }
    let names: Vec<String> = escalation.to.iter().map(|name| code(name)).collect();
    for part in [names.join(", "), escape(&escalation.note)] {
        if !part.is_empty() {
            line.push(' ');
            line.push_str(&part);
        }
    }
    if let Some(within) = escalation.within {
        let _ = write!(line, " (\\< {within})");
    }
    line
}

fn attribute_list(attributes: &Attributes) -> Vec<String> {
    let mut list = Vec::new();
    list.extend(attributes.id.iter().map(|Spanned { value, .. }| attribute("id", value)));
    if attributes.retry > 0 {
        list.push(format!("retry={}", attributes.retry));
    }
    list.extend(attributes.timeout.iter().map(|timeout| format!("timeout={timeout}")));
    if !attributes.env.is_empty() {
        let pairs: Vec<String> =
            attributes.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        list.push(attribute("env", &pairs.join(",")));
    }
    if !attributes.secrets.is_empty() {
        list.push(attribute("secrets", &attributes.secrets.join(",")));
    }
    list.extend(attributes.in_doubt.iter().map(|in_doubt| {
        let policy = match in_doubt {
            InDoubt::Probe => "probe",
            InDoubt::Rerun => "rerun",
            InDoubt::Ask => "ask",
        };
        format!("in-doubt={policy}")
    }));
    list.extend(attributes.probe.iter().map(|probe| attribute("probe", probe)));
    list.extend(attributes.undo.iter().map(|undo| attribute("undo", undo)));
    for (set, text) in [
        (attributes.read_only, "effects=none"),
        (attributes.optional, "optional"),
        (attributes.skip, "run=false"),
    ] {
        if set {
            list.push(text.to_owned());
        }
    }
    list
}

fn attribute(key: &str, value: &str) -> String {
    let simple = value
        .chars()
        .all(|character| character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.' | '/'));
    if simple && !value.is_empty() {
        return format!("{key}={value}");
    }
    let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace(['\n', '\r'], " ");
    format!("{key}=\"{value}\"")
}

fn kind(kind: InputKind) -> &'static str {
    match kind {
        InputKind::String => "string",
        InputKind::Boolean => "boolean",
        InputKind::Integer => "integer",
        InputKind::Version => "version",
        InputKind::Duration => "duration",
    }
}

fn yaml_names(names: &[Spanned<String>]) -> String {
    let names: Vec<String> = names.iter().map(|name| yaml_text(&name.value)).collect();
    format!("[{}]", names.join(", "))
}
