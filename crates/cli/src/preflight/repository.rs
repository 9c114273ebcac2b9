//! What of the repository keeps a plan from being executed as it is meant: changes that nobody committed, a remote that
//! is not there, a branch that releases do not come from.

use std::collections::BTreeSet;

use windlass_core::plan::{Facts, Finding, Node, Plan, PlannedStep, StepPath};
use windlass_core::text::sanitize_line;
use windlass_core::version::next::Line;
use windlass_core::version::{Channel, parse_version};

use crate::facts::{Repository, VersionRequest};
use crate::project::{Project, counted};

/// Actions that change the checkout or commit it.
const WRITERS: [&str; 4] = ["version.write", "changelog.promote", "git.commit", "git.merge"];

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
    findings.extend(promotion(facts, plan));
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
    let channel = parse_version(&release.version).map_or(Channel::Preview, |version| Channel::of(&version));
    let asked_hotfix = request.hotfix || request.channel.as_deref() == Some("hotfix");
    if asked_hotfix || channel != Channel::Stable || is_maintenance(branch) {
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

/// `release/*`, `hotfix/*` and the branches of lines: releases are made from them by their very name.
fn is_maintenance(branch: &str) -> bool {
    branch.starts_with("release/") || branch.starts_with("hotfix/") || Line::of_branch(branch).is_some()
}

/// What a promotion may not take in from HEAD, when HEAD is not the commit that is promoted.
fn promotion(facts: &Facts, plan: &Plan) -> Vec<Finding> {
    let Some(target) = plan.release.as_ref().and_then(|release| release.target.as_deref()) else {
        return Vec::new();
    };
    if facts.head.as_deref() == Some(target) {
        return Vec::new();
    }
    let short = target.get(..10).unwrap_or(target);
    let leak = |node: &Node| {
        let (path, what) = match node {
            Node::Action(node) if node.call.action == "script" => {
                (&node.path, "a script works on HEAD".to_owned())
            }
            Node::Action(node) if WRITERS.contains(&node.call.action.as_str()) => {
                (&node.path, format!("`{}` writes to HEAD", node.call.action))
            }
            _ => return None,
        };
        let message = format!(
            "{what}, which is not {short}, the commit that is promoted; check that out first with \
             `git switch --detach {short}`, or leave the step out"
        );
        Some(Finding { path: path.clone(), kind: "promotion".into(), message, place: String::new() })
    };
    let done = plan.steps.iter().filter(|step| step.skipped.is_none());
    done.flat_map(|step| step.nodes.iter().filter_map(leak)).collect()
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
            ("v1.x", true),
            (".x", false),
            ("x", false),
            ("topic/release/1", false),
            ("hotfix", false),
        ] {
            assert_eq!(is_maintenance(branch), expect, "{branch}");
        }
    }
}
