//! What of the repository keeps a plan from being executed as it is meant: changes that nobody committed, a remote that
//! is not there, a branch that releases do not come from.

use std::collections::BTreeSet;

use windlass_core::plan::{Facts, Finding, Node, Plan, PlannedStep, StepPath};
use windlass_core::text::sanitize_line;
use windlass_core::version::{Channel, parse_version};

use crate::facts::{Repository, VersionRequest};
use crate::project::{Project, counted};

/// Everything found.
pub fn findings(
    project: &Project,
    repository: &Repository,
    facts: &Facts,
    request: &VersionRequest,
    plan: &Plan,
) -> Vec<Finding> {
    let mut findings = remotes(project, repository, plan);
    findings.extend(branch(facts, request, plan));
    findings.extend(dirty(facts, plan));
    findings
}

/// The remotes that are pushed to and are not there.
fn remotes(project: &Project, repository: &Repository, plan: &Plan) -> Vec<Finding> {
    let mut pushes = Vec::new();
    let routines = plan.routines.values().flat_map(|routine| &routine.steps);
    for step in plan.steps.iter().chain(&plan.rollback).chain(routines) {
        collect(step, &mut pushes);
    }
    let mut told = BTreeSet::new();
    pushes
        .into_iter()
        .map(|(path, remote)| (path, remote.unwrap_or(&project.config.git.remote)))
        // What is rendered while running is known only then.
        .filter(|(_, remote)| {
            !remote.contains("{{") && !repository.remotes.iter().any(|known| known == remote)
        })
        .filter(|(_, remote)| told.insert(*remote))
        .map(|(path, remote)| {
            let remote = sanitize_line(remote);
            Finding {
                path: path.clone(),
                kind: "remote".into(),
                message: format!("there is no remote `{remote}`; add it with `git remote add {remote} URL`"),
                place: String::new(),
            }
        })
        .collect()
}

/// The pushes of a step, each with the remote it names.
fn collect<'a>(step: &'a PlannedStep, pushes: &mut Vec<(&'a StepPath, Option<&'a str>)>) {
    if step.skipped.is_some() {
        return;
    }
    for node in &step.nodes {
        if let Node::Action(node) = node
            && node.call.action == "git.push"
        {
            pushes.push((&node.path, node.call.params["remote"].as_str()));
        }
    }
}

/// A release comes from the branch that is configured, unless its version or the branch says why not.
fn branch(facts: &Facts, request: &VersionRequest, plan: &Plan) -> Option<Finding> {
    let release = plan.release.as_ref()?;
    let branch = facts.branch.as_deref().filter(|branch| *branch != facts.main_branch)?;
    let channel = parse_version(&release.version).ok().and_then(|version| Channel::of(&version));
    let asked_hotfix = request.hotfix || request.channel.as_deref() == Some("hotfix");
    if asked_hotfix || channel != Some(Channel::Stable) || is_maintenance(branch) {
        return None;
    }
    let (branch, main) = (sanitize_line(branch), sanitize_line(&facts.main_branch));
    Some(Finding {
        path: first(plan),
        kind: "branch".into(),
        message: format!(
            "{} would be released from the branch {branch}, not from {main}; switch with `git switch {main}`",
            release.version
        ),
        place: String::new(),
    })
}

/// `release/*`, `hotfix/*`, `N.x` and `N.N.x`: branches that releases are made from by their very name.
fn is_maintenance(branch: &str) -> bool {
    if branch.starts_with("release/") || branch.starts_with("hotfix/") {
        return true;
    }
    let Some(line) = branch.strip_suffix(".x") else { return false };
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    line.split('.').count() <= 2 && line.split('.').all(is_number)
}

/// Changes that nobody committed would ride along, or stop the release half-way.
fn dirty(facts: &Facts, plan: &Plan) -> Option<Finding> {
    if facts.dirty.is_empty() || plan.release.is_none() {
        return None;
    }
    let shown: Vec<&str> = facts.dirty.iter().take(5).map(String::as_str).collect();
    let more = facts.dirty.len().saturating_sub(shown.len());
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Some(Finding {
        path: first(plan),
        kind: "dirty".into(),
        message: format!(
            "{} not committed: {}{more}; commit or stash them",
            counted(facts.dirty.len(), "change is", "changes are"),
            shown.join(", ")
        ),
        place: String::new(),
    })
}

fn first(plan: &Plan) -> StepPath {
    plan.steps.first().map_or_else(|| StepPath::new("release"), |step| step.path.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maintenance_branches_are_known_by_name() {
        for (branch, expect) in [
            ("release/1.2", true),
            ("hotfix/leak", true),
            ("1.x", true),
            ("1.2.x", true),
            ("1.2.3.x", false),
            ("v1.x", false),
            (".x", false),
            ("x", false),
            ("topic/release/1", false),
            ("hotfix", false),
        ] {
            assert_eq!(is_maintenance(branch), expect, "{branch}");
        }
    }
}
