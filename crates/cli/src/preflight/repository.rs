//! What of the repository keeps a plan from being executed as it is meant: changes that nobody committed, a remote that
//! is not there, a branch that releases do not come from.

use std::collections::BTreeSet;

use windlass_core::plan::{ActionNode, Facts, Finding, HolderFact, Node, Plan, PlannedStep, StepPath};
use windlass_core::text::sanitize_line;
use windlass_core::version::holder::is_same;
use windlass_core::version::next::Line;
use windlass_core::version::{Channel, parse_version};

use crate::facts::{Repository, VersionRequest};
use crate::holders;
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
    findings.extend(promotion(facts, request, plan));
    findings.extend(changelogs(project, facts, request, plan));
    findings.extend(unwritten(project, facts, request, plan));
    findings
}

/// The actions of the plan that are done, calls included, in order.
fn actions(plan: &Plan) -> Vec<&ActionNode> {
    let routines = plan.routines.values().flat_map(|routine| &routine.steps);
    let steps = plan.steps.iter().chain(routines).filter(|step| step.skipped.is_none());
    let nodes = steps.flat_map(|step| &step.nodes);
    nodes.filter_map(|node| if let Node::Action(node) = node { Some(node) } else { None }).collect()
}

fn is_script(node: &ActionNode) -> bool {
    node.call.action == "script"
}

/// The changelogs of packages that are to be promoted and are not there. A script before may make one.
fn changelogs(project: &Project, facts: &Facts, request: &VersionRequest, plan: &Plan) -> Vec<Finding> {
    let (Some(package), Some(own)) = (&request.package, &facts.changelog) else { return Vec::new() };
    let actions = actions(plan);
    let before = actions.iter().take_while(|node| !is_script(node));
    let promoted = before.filter(|node| node.call.action == "changelog.promote");
    promoted
        .filter(|node| node.call.params["path"].as_str() == Some(own) && !project.root.join(own).exists())
        .map(|node| {
            let (own, package) = (sanitize_line(own), sanitize_line(package));
            Finding {
                path: node.path.clone(),
                kind: "changelog".into(),
                message: format!(
                    "there is no {own}, the changelog of {package}; write one that begins with `## [Unreleased]`, or \
                     name it as `changelog` under [packages.{package}]"
                ),
                place: String::new(),
            }
        })
        .collect()
}

/// A version that is tagged while the files that state it say another, and no step writes them.
fn unwritten(project: &Project, facts: &Facts, request: &VersionRequest, plan: &Plan) -> Option<Finding> {
    let release = plan.release.as_ref().filter(|_| request.promote.is_none())?;
    let actions = actions(plan);
    let writes = |node: &&&ActionNode| is_script(node) || node.call.action == "version.write";
    let tag = actions.iter().find(|node| node.call.action == "git.tag")?;
    if actions.iter().any(|node| writes(&node)) {
        return None;
    }
    let version = holders::to_state(project, &parse_version(&release.version).ok()?);
    let is_other =
        |holder: &&HolderFact| parse_version(&holder.version).is_ok_and(|stated| !is_same(&stated, &version));
    let holder = facts.holders.iter().find(is_other)?;
    Some(Finding {
        path: tag.path.clone(),
        kind: "version".into(),
        message: format!(
            "{} states {}, and no step writes {version} before the tag; add a step with `uses: version.write`, or run \
             `windlass bump` first",
            sanitize_line(&holder.path),
            sanitize_line(&holder.version)
        ),
        place: String::new(),
    })
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

/// What a promotion may not take in beside the commit that is promoted: HEAD where that is another one, and what steps
/// commit before the tag where it is HEAD.
fn promotion(facts: &Facts, request: &VersionRequest, plan: &Plan) -> Vec<Finding> {
    let Some(release) = plan.release.as_ref().filter(|_| request.promote.is_some()) else {
        return Vec::new();
    };
    let Some(target) = release.target.as_deref().filter(|target| facts.head.as_deref() != Some(target))
    else {
        return commits_of_its_own(plan);
    };
    let short = target.get(..10).unwrap_or(target);
    let leak = |node: &Node| {
        let (path, what) = match node {
            Node::Action(node) if node.call.action == "script" => {
                (&node.path, "a script works on HEAD".to_owned())
            }
            Node::Action(node) if WRITERS.contains(&node.call.action.as_str()) => {
                (&node.path, format!("`{}` writes to HEAD", node.call.action))
            }
            Node::Action(node) if node.call.action == "git.push" => {
                let refs = node.call.params["refs"].as_array().filter(|refs| !refs.is_empty());
                let is_tag = |name: &serde_json::Value| {
                    let name = name.as_str().unwrap_or_default();
                    let name = name.strip_prefix("refs/tags/").unwrap_or(name);
                    name == release.tag || facts.tags.contains_key(name) || name.contains("{{")
                };
                if refs.is_some_and(|refs| refs.iter().all(is_tag)) {
                    return None;
                }
                let message = format!(
                    "the branch that is pushed is not at {short}, the commit that is promoted; push the tag alone with \
                     `refs: [\"{{{{ tag }}}}\"]`"
                );
                let path = node.path.clone();
                return Some(Finding { path, kind: "promotion".into(), message, place: String::new() });
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

/// What is written and committed before the tag: then another commit is tagged than the one that was tested.
fn commits_of_its_own(plan: &Plan) -> Vec<Finding> {
    let actions = actions(plan);
    let before = actions.iter().take_while(|node| node.call.action != "git.tag");
    let writers = before.filter(|node| WRITERS.contains(&node.call.action.as_str()));
    let told = writers.map(|node| Finding {
        path: node.path.clone(),
        kind: "promotion".into(),
        message: format!(
            "`{}` comes before the tag, so what is tagged would not be the commit that is promoted; leave the step out, \
             or promote with a runbook that only tags and pushes",
            node.call.action
        ),
        place: String::new(),
    });
    told.collect()
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
