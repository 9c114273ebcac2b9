//! The values of a runbook: its inputs checked, its environment made, the names that templates may use.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::template::Scope;
use super::{Document, Located, find};
use crate::diagnostic::Diagnostic;
use crate::duration::Duration;
use crate::plan::Facts;
use crate::runbook::{Input, InputKind};

/// Checks what was given against what `document` asks for, and fills in defaults.
pub(super) fn values(
    document: Document<'_>,
    given: &BTreeMap<String, String>,
    findings: &mut Vec<Located>,
) -> BTreeMap<String, Value> {
    let inputs = &document.runbook.inputs;
    let mut report = |diagnostic: Diagnostic| {
        findings.push(Located { path: document.path.into(), diagnostic });
    };
    for name in given.keys().filter(|name| !inputs.contains_key(*name)) {
        let diagnostic =
            Diagnostic::error("unknown-input", format!("this runbook has no input `{name}`"), None);
        report(match inputs.is_empty() {
            true => diagnostic.help("leave it out, or declare it under `inputs:` in the front matter"),
            false => diagnostic.suggest(name, inputs.keys().map(String::as_str)),
        });
    }
    let mut values = BTreeMap::new();
    for (name, input) in inputs {
        let span = find(document.source, None, &format!("{name}:"));
        let Some(text) = given.get(name).or(input.default.as_ref()) else {
            report(
                Diagnostic::error("missing-input", format!("the input `{name}` has no value"), span)
                    .help(format!("give it with --input {name}=VALUE, or give it a default")),
            );
            continue;
        };
        match typed(input, text) {
            Ok(value) => {
                values.insert(name.clone(), value);
            }
            Err(why) => report(Diagnostic::error("wrong-input", format!("the input `{name}`: {why}"), span)),
        }
    }
    values
}

fn typed(input: &Input, text: &str) -> Result<Value, String> {
    if !input.options.is_empty() && !input.options.iter().any(|option| option == text) {
        return Err(format!("`{text}` is not one of {}", input.options.join(", ")));
    }
    match input.kind {
        InputKind::String => Ok(json!(text)),
        InputKind::Boolean => match text.trim() {
            "true" | "yes" => Ok(json!(true)),
            "false" | "no" => Ok(json!(false)),
            _ => Err(format!("`{text}` is neither true nor false")),
        },
        InputKind::Integer => match text.trim().parse::<i64>() {
            Ok(number) => Ok(json!(number)),
            Err(_) => Err(format!("`{text}` is not a whole number")),
        },
        InputKind::Version => {
            let bare = text.trim();
            let bare = bare.strip_prefix('v').unwrap_or(bare);
            match semver::Version::parse(bare) {
                Ok(version) => Ok(json!(version.to_string())),
                Err(error) => Err(format!("`{text}` is not a version: {error}")),
            }
        }
        InputKind::Duration => match Duration::parse(text) {
            Ok(_) => Ok(json!(text)),
            Err(error) => Err(error.to_string()),
        },
    }
}

/// `WINDLASS_*` of the release and the repository.
pub(super) fn environment(facts: &Facts) -> BTreeMap<String, String> {
    let mut environment = BTreeMap::new();
    let mut set = |name: &str, value: &str| {
        environment.insert(format!("WINDLASS_{name}"), value.to_owned());
    };
    if let Some(release) = &facts.release {
        set("VERSION", &release.version);
        set("TAG", &release.tag);
        // Empty rather than missing on a first release: scripts run with `set -u`.
        set("PREVIOUS_VERSION", release.previous.as_deref().unwrap_or_default());
        set("PREVIOUS_TAG", release.previous_tag.as_deref().unwrap_or_default());
        set("CHANNEL", &release.channel);
        set("BUMP", release.bump.as_deref().unwrap_or_default());
    }
    set("COMMIT", facts.head.as_deref().unwrap_or_default());
    set("BRANCH", facts.branch.as_deref().unwrap_or_default());
    environment
}

/// `WINDLASS_INPUT_NAME` of every input.
pub(super) fn input_environment(inputs: &BTreeMap<String, Value>) -> BTreeMap<String, String> {
    inputs
        .iter()
        .map(|(name, value)| {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            (format!("WINDLASS_INPUT_{}", variable(name)), text)
        })
        .collect()
}

/// The end of an environment variable's name: capital letters, digits and underscores.
pub(super) fn variable(name: &str) -> String {
    name.chars()
        .map(|character| match character {
            'a'..='z' | 'A'..='Z' | '0'..='9' => character.to_ascii_uppercase(),
            _ => '_',
        })
        .collect()
}

/// What templates may name, but for `env` and `matrix`.
pub(super) fn scope(facts: &Facts, inputs: &BTreeMap<String, Value>) -> Scope {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let mut scope = Scope::default()
        .with("commit", text(&facts.head))
        .with("branch", text(&facts.branch))
        .with("remote", text(&facts.remote))
        .with_group("inputs", inputs);
    if let Some(release) = &facts.release {
        scope = scope
            .with("version", release.version.clone())
            .with("tag", release.tag.clone())
            .with("previous", text(&release.previous))
            .with("previous_version", text(&release.previous))
            .with("previous_tag", text(&release.previous_tag))
            .with("channel", release.channel.clone())
            .with("bump", text(&release.bump))
            .with("date", release.date.clone());
    }
    scope
}
