//! What items of a run leave for later ones, and the templates and guards that read it.

use std::collections::BTreeMap;

use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior, Value as Dynamic};
use serde_json::{Map, Value};

use super::StepPath;

/// Outputs of items, by the name of the step and of the item.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outputs {
    fields: BTreeMap<String, Map<String, Value>>,
    environment: BTreeMap<String, String>,
}

impl Outputs {
    /// Keeps what the item at `path`, of the step at `step`, gave. A script's own outputs stand beside what every
    /// script gives.
    pub fn add(&mut self, step: &StepPath, path: &StepPath, output: &Value) {
        let Value::Object(fields) = output else { return };
        let mut flat = Map::new();
        for (key, value) in fields {
            match (key.as_str(), value) {
                ("outputs", Value::Object(inner)) => {
                    flat.extend(inner.iter().map(|(key, value)| (key.clone(), value.clone())));
                }
                _ => drop(flat.insert(key.clone(), value.clone())),
            }
        }
        let last = |path: &StepPath| path.0.rsplit('/').next().unwrap_or_default().to_owned();
        for name in [last(step), last(path)] {
            let texts = flat.iter().filter_map(|(key, value)| Some((key, as_text(value)?)));
            self.environment.extend(
                texts.map(|(key, text)| {
                    (format!("WINDLASS_OUTPUT_{}_{}", variable(&name), variable(key)), text)
                }),
            );
            self.fields.entry(name).or_default().extend(flat.clone());
        }
    }

    /// As environment variables: `WINDLASS_OUTPUT_STEP_KEY`, for values that are text, numbers or booleans.
    pub fn environment(&self) -> &BTreeMap<String, String> {
        &self.environment
    }
}

fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

/// Renders every string of `params` that reads outputs.
///
/// # Errors
/// What cannot be rendered, in words; an output nobody gave is an error.
pub fn render_deferred(params: &Value, outputs: &Outputs) -> Result<Value, String> {
    Ok(match params {
        Value::String(text) if text.contains("{{") => {
            let rendered = environment().render_str(text, context(outputs)).map_err(|error| {
                format!("`{text}` cannot be filled in: {error}; it must name an output of an earlier item")
            })?;
            Value::String(rendered)
        }
        Value::Array(items) => {
            Value::Array(items.iter().map(|item| render_deferred(item, outputs)).collect::<Result<_, _>>()?)
        }
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .map(|(key, value)| Ok((key.clone(), render_deferred(value, outputs)?)))
                .collect::<Result<_, String>>()?,
        ),
        other => other.clone(),
    })
}

/// Whether a guard holds, with what is known while running.
///
/// # Errors
/// When it cannot be evaluated.
pub fn evaluate_guard(
    when: &str,
    variables: &BTreeMap<String, String>,
    outputs: &Outputs,
) -> Result<bool, String> {
    let mut known: BTreeMap<String, Dynamic> = variables
        .iter()
        .filter_map(|(name, value)| {
            Some((name.strip_prefix("WINDLASS_")?.to_lowercase(), Dynamic::from(value.clone())))
        })
        .collect();
    known.insert("outputs".to_owned(), Dynamic::from(Serde(&outputs.fields)));
    let environment = environment();
    let expression = environment
        .compile_expression(when)
        .map_err(|error| format!("`{when}` is no expression: {error}"))?;
    let value = expression.eval(known).map_err(|error| format!("`{when}` cannot be decided: {error}"))?;
    Ok(value.is_true())
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::empty();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment
}

fn context(outputs: &Outputs) -> Dynamic {
    Dynamic::from(Serde(BTreeMap::from([("outputs", &outputs.fields)])))
}

fn variable(name: &str) -> String {
    name.chars()
        .map(|letter| if letter.is_ascii_alphanumeric() { letter.to_ascii_uppercase() } else { '_' })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn outputs() -> Outputs {
        let mut outputs = Outputs::default();
        let step = StepPath::new("build");
        outputs.add(&step, &step.child("image"), &json!({ "outputs": { "digest": "sha256:1" }, "code": 0 }));
        outputs
    }

    #[test]
    fn later_items_read_what_earlier_ones_gave() {
        let check = |template: &str, expect: Result<&str, &str>| match (
            render_deferred(&json!({ "a": [template] }), &outputs()),
            expect,
        ) {
            (Ok(value), Ok(expect)) => assert_eq!(value, json!({ "a": [expect] })),
            (Err(error), Err(expect)) => assert!(error.contains(expect), "{error}"),
            (result, _) => panic!("{template}: {result:?}"),
        };
        check("app@{{ outputs.build.digest }}", Ok("app@sha256:1"));
        check("{{ outputs.image.code }}", Ok("0"));
        check("{{ outputs.build.nothing }}", Err("must name an output"));
        check("{{ 'x' * 9 ", Err("cannot be filled in"));
    }

    #[test]
    fn outputs_reach_scripts_as_environment() {
        let outputs = outputs();
        let environment = outputs.environment();
        assert_eq!(environment.get("WINDLASS_OUTPUT_BUILD_DIGEST").map(String::as_str), Some("sha256:1"));
        assert_eq!(environment.get("WINDLASS_OUTPUT_IMAGE_CODE").map(String::as_str), Some("0"));
    }

    #[test]
    fn guards_read_facts_and_outputs() {
        let variables = BTreeMap::from([("WINDLASS_CHANNEL".to_owned(), "stable".to_owned())]);
        let check = |when: &str, expect: Option<bool>| {
            assert_eq!(evaluate_guard(when, &variables, &outputs()).ok(), expect, "{when}");
        };
        check("channel == 'stable' and outputs.build.code == 0", Some(true));
        check("outputs.build.digest == 'x'", Some(false));
        check("outputs.missing.x == 1", None);
        check("1 +", None);
    }
}
