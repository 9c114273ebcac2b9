//! Whether the version may come to the environments the plan deploys to: it must have passed those they come after,
//! by this very plan or before it.

use std::collections::BTreeSet;

use windlass_actions::adapters::ssh;
use windlass_actions::deploy::{Request, promotion};
use windlass_core::plan::{Finding, Node, Plan, PlannedStep, StepPath};
use windlass_core::text::sanitize_line;

use crate::commands::env::context;
use crate::error::Result;
use crate::project::Project;

/// Everything that stands against the plan's deployments.
///
/// # Errors
/// When the machine gives no event loop.
pub fn findings(project: &Project, plan: &Plan) -> Result<Vec<Finding>> {
    let mut requests = Vec::new();
    for step in &plan.steps {
        collect(plan, step, &mut requests);
    }
    if requests.is_empty() {
        return Ok(Vec::new());
    }
    let context = context(project);
    let found = project.block_on(async {
        let mut findings = Vec::new();
        let mut passed: BTreeSet<(String, String)> = BTreeSet::new();
        for (path, request) in requests {
            let released = plan.release.as_ref().map(|release| release.version.clone());
            let Some(version) = request.version.clone().or(released) else { continue };
            for before in &request.target.after {
                if passed.contains(&(before.clone(), version.clone())) {
                    continue;
                }
                let Some(environment) = request.after.get(before) else { continue };
                let asked = promotion::has_not_passed(before, environment, &version, &context).await;
                let why = match asked {
                    Ok(None) => continue,
                    Ok(Some(why)) => why,
                    Err(error) => error.to_string(),
                };
                let message = format!("{version} may not come to {} yet: {why}", request.environment);
                findings.push(Finding {
                    path: path.clone(),
                    kind: "promotion".into(),
                    message: sanitize_line(&message),
                    place: String::new(),
                });
            }
            passed.insert((request.environment, version));
        }
        findings
    })?;
    ssh::close(&context.world.state, &context.run);
    Ok(found)
}

/// The deployments of a step, in order, those of the runbooks it calls included.
fn collect(plan: &Plan, step: &PlannedStep, requests: &mut Vec<(StepPath, Request)>) {
    if step.skipped.is_none() {
        nodes(plan, &step.nodes, requests);
    }
}

fn nodes(plan: &Plan, nodes: &[Node], requests: &mut Vec<(StepPath, Request)>) {
    for node in nodes {
        match node {
            Node::Action(node) => {
                // What is decided while running is checked then.
                let request = Request::of_call(&node.call.action, &node.call.params);
                requests.extend(
                    request.filter(|_| !node.call.deferred).map(|request| (node.path.clone(), request)),
                );
            }
            Node::Checklist(list) => self::nodes(plan, &list.nodes, requests),
            Node::Call(call) => {
                for step in plan.routines.get(&call.runbook).into_iter().flat_map(|routine| &routine.steps) {
                    collect(plan, step, requests);
                }
            }
            Node::Confirm(_) | Node::Approval(_) | Node::Wait(_) | Node::Watch(_) => {}
        }
    }
}
