//! Secrets that messages need: when somebody must be called it is too late to find out that one is missing.

use std::collections::BTreeSet;

use serde_json::Value;
use windlass_core::plan::{ActionCall, Finding, Node, Plan, PlannedStep, StepPath};
use windlass_core::text::sanitize_line;

use crate::preflight;
use crate::project::Project;

/// Actions that send one.
const MESSAGES: [&str; 2] = ["notify.page", "grafana.annotate"];

/// The secrets that are not there, each once.
pub fn findings(project: &Project, plan: &Plan) -> Vec<Finding> {
    let routines = plan.routines.values().flat_map(|routine| &routine.steps);
    let steps = plan.steps.iter().chain(&plan.rollback).chain(routines);
    let mut told = BTreeSet::new();
    let mut found = Vec::new();
    for (path, call) in steps.filter(|step| step.skipped.is_none()).flat_map(calls) {
        let (what, names) = match call.action.as_str() {
            "grafana.annotate" => {
                ("no mark could be set", call.params["token"].as_str().into_iter().collect())
            }
            _ => ("people could not be paged", secrets(&call.params["channels"])),
        };
        for name in names {
            if !told.insert(name) {
                continue;
            }
            let message = match plan.secrets.contains_key(name) {
                true => preflight::missing_secret(project, plan, name),
                false => Some(format!(
                    "the secret `{0}` is not configured: write [secrets] {0} = {{ env = \"NAME\" }} in windlass.toml",
                    sanitize_line(name)
                )),
            };
            let finding = |message| Finding {
                path: path.clone(),
                kind: "secret".into(),
                message: format!("{what}: {message}"),
                place: String::new(),
            };
            found.extend(message.map(finding));
        }
    }
    found
}

/// The messages that a step can send, each with the item it is about.
fn calls(step: &PlannedStep) -> Vec<(&StepPath, &ActionCall)> {
    let own = step.page.iter().map(|call| (&step.path, call));
    let items = step.nodes.iter().filter_map(|node| match node {
        Node::Watch(node) => Some((&node.path, &node.page.as_ref()?.call)),
        Node::Action(node) if MESSAGES.contains(&node.call.action.as_str()) => Some((&node.path, &node.call)),
        _ => None,
    });
    own.chain(items).collect()
}

/// The secrets that ways name: keys of services and headers.
fn secrets(channels: &Value) -> Vec<&str> {
    match channels {
        Value::String(text) => text.strip_prefix("secret:").map(str::trim).into_iter().collect(),
        Value::Array(items) => items.iter().flat_map(secrets).collect(),
        Value::Object(fields) => fields.values().flat_map(secrets).collect(),
        _ => Vec::new(),
    }
}
