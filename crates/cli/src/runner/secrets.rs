//! The values of secrets, read from where the plan says they are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;
use windlass_core::plan::{Node, Plan, SecretSource};
use windlass_engine::mask::{Masker, SHORTEST};

use crate::error::{CommandError, Result};
use crate::files;
use crate::project::Project;

/// Secrets and what hides them.
#[derive(Debug)]
pub struct Secrets {
    /// Values by name.
    pub values: BTreeMap<String, String>,
    /// Hides them.
    pub masker: Masker,
    /// Those that the plan uses and that are not there, a sentence each.
    pub missing: Vec<String>,
}

/// Reads the plan's secrets.
///
/// # Errors
/// When one that the plan uses cannot be hidden in logs.
pub fn read(project: &Project, plan: &Plan) -> Result<Secrets> {
    let used = used(plan);
    let mut values = BTreeMap::new();
    let mut missing = Vec::new();
    for (name, source) in &plan.secrets {
        match value(project, source) {
            // One that no step is given is only looked for in logs, where one too short to hide is not.
            Ok(value) if used.contains(name) || value.trim().chars().count() >= SHORTEST => {
                values.insert(name.clone(), value);
            }
            Err(why) if used.contains(name) => missing.push(format!("the secret `{name}` is missing: {why}")),
            _ => {}
        }
    }
    let hidden: BTreeMap<String, String> = credentials(project)
        .map(|(name, value)| (format!("${name}"), value.clone()))
        .chain(values.clone())
        .collect();
    let masker = Masker::new(&hidden).map_err(|error| CommandError::invalid(error.to_string()))?;
    Ok(Secrets { values, masker, missing })
}

/// What tools take from the environment by themselves (`GITHUB_TOKEN`, `CARGO_REGISTRY_TOKEN`): processes may see it,
/// logs must not.
fn credentials(project: &Project) -> impl Iterator<Item = (&String, &String)> {
    const ENDS: [&str; 4] = ["TOKEN", "PASSWORD", "PASSWD", "SECRET"];
    project.environment.iter().filter(|(name, value)| {
        ENDS.iter().any(|end| name.ends_with(end)) && value.trim().chars().count() >= SHORTEST
    })
}

/// The value of a secret.
///
/// # Errors
/// Why there is none, as the end of a sentence.
pub fn value(project: &Project, source: &SecretSource) -> std::result::Result<String, String> {
    match source {
        SecretSource::Env(name) => match project.environment.get(name) {
            Some(value) if !value.is_empty() => Ok(value.clone()),
            _ => Err(format!("the environment variable {name} is not set")),
        },
        SecretSource::File(path) => {
            let text = files::read(&expand(project, path), path, files::LARGEST_TEXT)
                .map_err(|error| error.message)?;
            let value = text.trim_end_matches(['\r', '\n']);
            if value.is_empty() { Err(format!("{path} is empty")) } else { Ok(value.to_owned()) }
        }
    }
}

fn expand(project: &Project, path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), project.environment.get("HOME")) {
        (Some(rest), Some(home)) => Path::new(home).join(rest),
        _ => project.root.join(path),
    }
}

/// The secrets that some item names.
fn used(plan: &Plan) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    let routines = plan.routines.values().flat_map(|routine| &routine.steps);
    for step in plan.steps.iter().chain(&plan.rollback).chain(routines) {
        in_nodes(&step.nodes, &mut used);
    }
    used.retain(|name| plan.secrets.contains_key(name));
    used
}

fn in_nodes(nodes: &[Node], used: &mut BTreeSet<String>) {
    for node in nodes {
        match node {
            Node::Action(node) => in_params(&node.call.params, used),
            Node::Watch(node) => {
                node.probes.iter().for_each(|probe| in_params(&probe.call.params, used));
                if let Some(metrics) = &node.metrics {
                    metrics.sources.iter().for_each(|source| in_params(&source.call.params, used));
                    metrics.traffic.iter().for_each(|probe| in_params(&probe.call.params, used));
                }
            }
            Node::Checklist(node) => in_nodes(&node.nodes, used),
            _ => {}
        }
    }
}

/// Any parameter may be the name of a secret: the engine knows no concrete action, and neither do we.
fn in_params(params: &Value, used: &mut BTreeSet<String>) {
    match params {
        Value::String(text) => {
            let name = text.strip_prefix("secret:").unwrap_or(text);
            used.insert(name.trim().to_owned());
        }
        Value::Array(items) => items.iter().for_each(|item| in_params(item, used)),
        Value::Object(fields) => fields.values().for_each(|field| in_params(field, used)),
        _ => {}
    }
}
