//! The forge that shows releases: which one it is, and where the token for it comes from.

use std::collections::BTreeSet;

use windlass_actions::forge::SECRET;
use windlass_core::forge::{Kind, Project as Repository};
use windlass_core::plan::{ActionNode, Finding, ForgeFact, Node, Plan, SecretSource};
use windlass_core::text::sanitize_line;

use crate::facts;
use crate::preflight;
use crate::project::Project;

/// The action that needs no token for what everybody may see.
const LOOKING: &str = "forge.adoption";

/// The forge, as the remote's address and `[forge]` name it.
pub fn fact(project: &Project, repository: &facts::Repository) -> ForgeFact {
    match Repository::of(&project.config.forge, repository.remote_url.as_deref()) {
        Ok(found) => ForgeFact { project: Some(found), unknown: None },
        Err(why) => ForgeFact { project: None, unknown: Some(why) },
    }
}

/// Where the plan's token comes from, when `[secrets]` does not say it: the variable that the forge's own tools use.
pub fn add_token(plan: &mut Plan) {
    let kind = uses(plan)
        .iter()
        .filter(|node| token(node) == SECRET)
        .find_map(|node| Kind::of(node.call.params["forge"]["kind"].as_str()?));
    if let Some(kind) = kind {
        let source = || SecretSource::Env(kind.variable().to_owned());
        plan.secrets.entry(SECRET.to_owned()).or_insert_with(source);
    }
}

/// The tokens that are not there.
pub fn findings(project: &Project, plan: &Plan) -> Vec<Finding> {
    let mut told = BTreeSet::new();
    uses(plan)
        .into_iter()
        .filter(|node| node.call.action != LOOKING || node.call.params["token"].is_string())
        .filter(|node| told.insert(token(node)))
        .filter_map(|node| {
            let name = token(node);
            let message = match plan.secrets.contains_key(name) {
                true => preflight::missing_secret(project, plan, name)?,
                false => format!(
                    "the secret `{0}` is not configured: write [secrets] {0} = {{ env = \"NAME\" }} in windlass.toml",
                    sanitize_line(name)
                ),
            };
            Some(Finding { path: node.path.clone(), kind: "secret".into(), message, place: String::new() })
        })
        .collect()
}

fn token(node: &ActionNode) -> &str {
    node.call.params["token"].as_str().unwrap_or(SECRET)
}

/// What the plan does on a forge.
fn uses(plan: &Plan) -> Vec<&ActionNode> {
    let routines = plan.routines.values().flat_map(|routine| &routine.steps);
    let steps = plan.steps.iter().chain(&plan.rollback).chain(routines);
    let nodes = steps.filter(|step| step.skipped.is_none()).flat_map(|step| &step.nodes);
    nodes
        .filter_map(|node| match node {
            Node::Action(node) if node.call.action.starts_with("forge.") => Some(node),
            _ => None,
        })
        .collect()
}
