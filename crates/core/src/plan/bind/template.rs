//! Templates in settings and parameters: `{{ expression }}` and nothing else, so no loops and no code.

use std::collections::BTreeMap;

use minijinja::value::ValueKind;
use minijinja::{Environment, UndefinedBehavior};
use serde_json::{Map, Value};

use crate::diagnostic::nearest;

/// More than this many steps of evaluation is no value but a program.
const FUEL: u64 = 10_000;

/// What a rendered text may have in bytes.
const LONGEST: usize = 64 * 1024;

/// Names that only a runbook that releases something has.
const RELEASE: [&str; 8] =
    ["version", "tag", "previous", "previous_version", "previous_tag", "channel", "bump", "date"];

/// The values templates may name.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope {
    values: Map<String, Value>,
}

/// A text after rendering.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rendered {
    /// The text; a number or a truth value when the whole text was one expression that gave one.
    pub value: Value,
    /// It names outputs of earlier items, and those parts are left for the run.
    pub deferred: bool,
}

/// Why a template cannot be rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TemplateError {
    /// What is wrong.
    pub message: String,
    /// The part of the source it is about.
    pub needle: String,
    /// What to do.
    pub help: Option<String>,
}

/// A `When:` expression after planning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Guard {
    /// It holds.
    Holds,
    /// It does not, and why.
    Fails(String),
    /// Only the run can tell.
    Later,
}

impl Scope {
    /// The same scope with a value.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.values.insert(name.into(), value.into());
        self
    }

    /// The same scope with a group of values, such as `matrix`.
    #[must_use]
    pub fn with_group(self, name: &str, group: &BTreeMap<String, impl Into<Value> + Clone>) -> Self {
        let group: Map<String, Value> =
            group.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
        self.with(name, Value::Object(group))
    }

    /// Renders every `{{ ... }}` of `text`.
    pub fn render(&self, text: &str) -> Result<Rendered, TemplateError> {
        let parts = split(text)?;
        let deferred =
            parts.iter().any(|part| matches!(part, Part::Expression(code, _) if is_deferred(code)));
        if let [Part::Expression(code, _)] = parts.as_slice()
            && !deferred
        {
            return Ok(Rendered { value: self.evaluate(code)?, deferred });
        }
        let mut rendered = String::with_capacity(text.len());
        for part in parts {
            match part {
                Part::Text(text) => rendered.push_str(text),
                Part::Expression(code, whole) if is_deferred(code) => rendered.push_str(whole),
                Part::Expression(code, _) => {
                    let value = shown(&self.evaluate(code)?);
                    // Rendered a second time while running: a value must not become a template then.
                    match deferred && (value.contains("{{") || value.contains("{%") || value.contains("{#")) {
                        true => rendered.push_str(&format!("{{{{ {} }}}}", Value::String(value))),
                        false => rendered.push_str(&value),
                    }
                }
            }
            if rendered.len() > LONGEST {
                return Err(TemplateError {
                    message: format!("the rendered text is longer than {LONGEST} bytes"),
                    needle: String::new(),
                    help: None,
                });
            }
        }
        Ok(Rendered { value: Value::String(rendered), deferred })
    }

    /// Decides a `When:` expression.
    pub fn guard(&self, code: &str) -> Result<Guard, TemplateError> {
        let code = code.trim();
        let code = code.strip_prefix("{{").and_then(|code| code.strip_suffix("}}")).unwrap_or(code).trim();
        if is_deferred(code) {
            let environment = environment();
            let expression = environment.compile_expression(code).map_err(|error| syntax(code, &error))?;
            for name in expression.undeclared_variables(false) {
                self.require_later(&name)?;
            }
            return Ok(Guard::Later);
        }
        let (value, names) = self.value_and_names(code)?;
        if value.is_true() {
            return Ok(Guard::Holds);
        }
        let mut because: Vec<String> =
            names.iter().map(|name| format!("{name} is {}", self.shown(name))).collect();
        because.sort();
        Ok(Guard::Fails(if because.is_empty() { format!("`{code}` is false") } else { because.join(", ") }))
    }

    fn evaluate(&self, code: &str) -> Result<Value, TemplateError> {
        let (value, _) = self.value_and_names(code)?;
        Ok(match value.kind() {
            ValueKind::Bool => Value::Bool(value.is_true()),
            ValueKind::Number => match i64::try_from(value.clone()) {
                Ok(number) => number.into(),
                Err(_) => f64::try_from(value.clone()).map_or_else(|_| value.to_string().into(), Value::from),
            },
            _ => Value::String(value.to_string()),
        })
    }

    fn value_and_names(&self, code: &str) -> Result<(minijinja::Value, Vec<String>), TemplateError> {
        let environment = environment();
        let expression = environment.compile_expression(code).map_err(|error| syntax(code, &error))?;
        let names: Vec<String> = expression.undeclared_variables(true).into_iter().collect();
        for name in &names {
            self.require(name)?;
        }
        let value = expression
            .eval(minijinja::Value::from_pairs(
                self.values.iter().map(|(name, value)| (name.as_str(), given(value))),
            ))
            .map_err(|error| syntax(code, &error))?;
        Ok((value, names))
    }

    /// Whether the dotted `name` is there.
    fn require(&self, name: &str) -> Result<(), TemplateError> {
        let (group, rest) = name.split_once('.').map_or((name, None), |(group, rest)| (group, Some(rest)));
        let unknown = |name: &str, valid: Vec<&str>| TemplateError {
            message: format!("there is no value `{name}` here"),
            needle: name.to_owned(),
            help: help(name, &valid),
        };
        let Some(value) = self.values.get(group) else {
            if RELEASE.contains(&group) {
                return Err(TemplateError {
                    message: format!("`{group}` is not known: this runbook releases no version"),
                    needle: group.to_owned(),
                    help: Some("plan it with --version X.Y.Z, or leave the value out".into()),
                });
            }
            let mut valid: Vec<&str> = self.values.keys().map(String::as_str).collect();
            valid.push("outputs");
            return Err(unknown(group, valid));
        };
        match (value, rest) {
            (Value::Object(fields), Some(rest)) => {
                let field = rest.split('.').next().unwrap_or(rest);
                match fields.contains_key(field) {
                    true => Ok(()),
                    false => {
                        let full: Vec<String> = fields.keys().map(|key| format!("{group}.{key}")).collect();
                        Err(unknown(&format!("{group}.{field}"), full.iter().map(String::as_str).collect()))
                    }
                }
            }
            _ => Ok(()),
        }
    }

    /// A guard that waits for outputs is decided with the outputs and the release, and nothing else.
    fn require_later(&self, name: &str) -> Result<(), TemplateError> {
        const LATER: [&str; 2] = ["commit", "branch"];
        if name == "outputs"
            || LATER.contains(&name)
            || (RELEASE.contains(&name) && name != "date" && name != "previous")
        {
            return Ok(());
        }
        if self.values.contains_key(name) {
            return Err(TemplateError {
                message: format!("`{name}` cannot be used together with outputs"),
                needle: name.to_owned(),
                help: Some("decide on outputs in a step of its own".into()),
            });
        }
        self.require(name)
    }

    fn shown(&self, name: &str) -> String {
        let (group, field) = name.split_once('.').unwrap_or((name, ""));
        let value = match self.values.get(group) {
            Some(Value::Object(fields)) => fields.get(field),
            value => value,
        };
        match value.map(shown).unwrap_or_default() {
            text if text.is_empty() => "empty".into(),
            text => text,
        }
    }
}

/// Whether a text holds anything to render.
pub(super) fn is_template(text: &str) -> bool {
    text.contains("{{")
}

/// The code of every expression in the strings of `value`.
pub(super) fn expressions(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => split(text)
            .into_iter()
            .flatten()
            .filter_map(|part| match part {
                Part::Expression(code, _) => Some(code),
                Part::Text(_) => None,
            })
            .collect(),
        Value::Array(values) => values.iter().flat_map(expressions).collect(),
        Value::Object(fields) => fields.values().flat_map(expressions).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
    }
}

fn is_deferred(code: &str) -> bool {
    code.match_indices("outputs").any(|(at, word)| {
        let before = code[..at].chars().next_back();
        let after = code[at + word.len()..].trim_start();
        before.is_none_or(|before| !before.is_alphanumeric() && !matches!(before, '_' | '.' | '"' | '\''))
            && after.starts_with(['.', '['])
    })
}

enum Part<'a> {
    Text(&'a str),
    /// The code, and the whole with its braces.
    Expression(&'a str, &'a str),
}

fn split(text: &str) -> Result<Vec<Part<'_>>, TemplateError> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("{{") {
        if start > 0 {
            parts.push(Part::Text(&rest[..start]));
        }
        let inside = &rest[start + 2..];
        let Some(end) = closing(inside) else {
            return Err(TemplateError {
                message: "a `{{` is never closed".into(),
                needle: rest[start..].lines().next().unwrap_or_default().to_owned(),
                help: Some("close it with }}".into()),
            });
        };
        parts.push(Part::Expression(inside[..end].trim(), &rest[start..start + 2 + end + 2]));
        rest = &inside[end + 2..];
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest));
    }
    Ok(parts)
}

/// Where the expression's `}}` is, texts in quotes passed over.
fn closing(inside: &str) -> Option<usize> {
    let mut quote = None;
    let mut escaped = false;
    for (at, character) in inside.char_indices() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if character == '\\' => escaped = true,
            Some(open) if character == open => quote = None,
            Some(_) => {}
            None if matches!(character, '"' | '\'') => quote = Some(character),
            None if inside[at..].starts_with("}}") => return Some(at),
            None => {}
        }
    }
    None
}

fn environment<'a>() -> Environment<'a> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment
}

fn syntax(code: &str, error: &minijinja::Error) -> TemplateError {
    let detail = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    TemplateError {
        message: format!("`{code}` cannot be read: {detail}"),
        needle: code.to_owned(),
        help: Some("write a value such as {{ version }}, {{ inputs.name }} or channel == \"stable\"".into()),
    }
}

fn help(name: &str, valid: &[&str]) -> Option<String> {
    match nearest(name, valid.iter().copied()) {
        Some(near) => Some(format!("did you mean `{near}`?")),
        None if valid.is_empty() => None,
        None => Some(format!("there is: {}", valid.join(", "))),
    }
}

/// A value as the template engine takes it.
fn given(value: &Value) -> minijinja::Value {
    match value {
        Value::Null => ().into(),
        Value::Bool(value) => (*value).into(),
        Value::Number(number) => match number.as_i64() {
            Some(number) => number.into(),
            None => number.as_f64().unwrap_or_default().into(),
        },
        Value::String(text) => text.as_str().into(),
        Value::Array(values) => values.iter().map(given).collect(),
        Value::Object(fields) => {
            minijinja::Value::from_pairs(fields.iter().map(|(name, value)| (name.as_str(), given(value))))
        }
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn scope() -> Scope {
        Scope::default()
            .with("version", "1.2.3")
            .with("tag", "v1.2.3")
            .with("channel", "rc")
            .with("previous_tag", "")
            .with("inputs", json!({ "fast": true, "count": 3, "name": "{{ version }}" }))
            .with("env", json!({ "A_B": "x" }))
    }

    #[test]
    fn expressions_become_values_and_outputs_wait() {
        let check = |text: &str, value: Value, deferred: bool| {
            assert_eq!(scope().render(text), Ok(Rendered { value, deferred }), "{text}");
        };
        check("plain", json!("plain"), false);
        check("{{ version }}", json!("1.2.3"), false);
        check("a {{version}} b {{ env.A_B }}", json!("a 1.2.3 b x"), false);
        check("{{ inputs.count }}", json!(3), false);
        check("n={{ inputs.count }}", json!("n=3"), false);
        check("{{ inputs.fast }}", json!(true), false);
        check("{{ tag | upper }}", json!("V1.2.3"), false);
        check("{{ '}}' }}", json!("}}"), false);
        check("${#a[@]} {% x %}", json!("${#a[@]} {% x %}"), false);
        check("{{ outputs.build.url }}", json!("{{ outputs.build.url }}"), true);
        check("{{ tag }} {{ outputs['b-c'].url }}", json!("v1.2.3 {{ outputs['b-c'].url }}"), true);
        check("{{ inputs.name }}", json!("{{ version }}"), false);
        check("{{ inputs.name }} {{outputs.a.b}}", json!("{{ \"{{ version }}\" }} {{outputs.a.b}}"), true);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let check = |text: &str, message: &str, help: &str| {
            let error = scope().render(text).unwrap_err();
            assert!(error.message.contains(message), "{text}: {}", error.message);
            assert!(error.help.clone().unwrap_or_default().contains(help), "{text}: {:?}", error.help);
        };
        check("{{ versoin }}", "no value `versoin`", "did you mean `version`?");
        check("{{ inputs.fats }}", "no value `inputs.fats`", "did you mean `inputs.fast`?");
        check("{{ bump }}", "releases no version", "--version");
        check("{{ version", "never closed", "}}");
        check("{{ 1 + }}", "cannot be read", "write a value");
        check("{{ 'x' * 1000000000 }}", "cannot be read", "");
    }

    #[test]
    fn guards_tell_why_they_fail() {
        let check = |code: &str, expect: Guard| assert_eq!(scope().guard(code), Ok(expect), "{code}");
        check("channel == \"rc\"", Guard::Holds);
        check("channel == \"stable\"", Guard::Fails("channel is rc".into()));
        check("{{ channel == 'stable' }}", Guard::Fails("channel is rc".into()));
        check("not inputs.fast", Guard::Fails("inputs.fast is true".into()));
        check("previous_tag", Guard::Fails("previous_tag is empty".into()));
        check("false", Guard::Fails("`false` is false".into()));
        check("outputs.build.ok == \"yes\"", Guard::Later);
        check("outputs.build.ok and channel == 'rc'", Guard::Later);
        assert!(scope().guard("outputs.build.ok and inputs.fast").is_err());
        assert!(scope().guard("outputs.build.ok and chanel").is_err());
        assert!(scope().guard("chanel == 1").is_err());
        assert!(scope().guard("channel ==").is_err());
    }
}
