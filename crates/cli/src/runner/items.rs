//! The items of a plan in the order they are walked, and finding one by what a person calls it.

use windlass_core::plan::{Node, Plan, PlannedStep, StepPath};
use windlass_core::run::{Outcome, RunState, StepStatus};
use windlass_core::text::sanitize_line;

use crate::error::{CommandError, Result};

/// Pinned routines cannot call each other in a circle, but a plan from a file may claim that they do.
const DEEPEST: usize = 16;

/// A step or an item of one.
#[derive(Debug, Clone)]
pub struct Item<'a> {
    /// Its name in the run.
    pub path: StepPath,
    /// Its title, made safe to show.
    pub title: String,
    /// How deep it stands; steps of the runbook itself are 0.
    pub depth: usize,
    /// The step it is, when it is one.
    pub step: Option<&'a PlannedStep>,
    /// What it is, when it is no step.
    pub node: Option<&'a Node>,
}

/// The items of the plan that a run with this state walks, routes it took included.
pub fn items<'a>(plan: &'a Plan, state: &RunState, rollback: bool) -> Vec<Item<'a>> {
    let mut walk = Walk { plan, state, items: Vec::new() };
    walk.steps(&plan.steps, None, 0);
    if rollback {
        walk.steps(&plan.rollback, None, 0);
    }
    walk.items
}

/// The item that `wanted` names: its path, the end of its path, or its title.
///
/// # Errors
/// When there is none, or more than one is meant.
pub fn find(items: &[(StepPath, String)], wanted: &str, what: &str) -> Result<StepPath> {
    if let Some((path, _)) = items.iter().find(|(path, _)| path.0 == wanted) {
        return Ok(path.clone());
    }
    let end = format!("/{wanted}");
    let mut found: Vec<&StepPath> = items
        .iter()
        .filter(|(path, title)| path.0.ends_with(&end) || title.eq_ignore_ascii_case(wanted))
        .map(|(path, _)| path)
        .collect();
    found.dedup();
    let listed = |paths: &[&StepPath]| {
        let names: Vec<&str> = paths.iter().map(|path| path.0.as_str()).take(20).collect();
        names.join(", ")
    };
    match found.as_slice() {
        [only] => Ok((*only).clone()),
        [] => {
            let error = CommandError::invalid(format!("there is no {what} `{wanted}` in this run"));
            let known: Vec<&StepPath> = items.iter().map(|(path, _)| path).collect();
            Err(if known.is_empty() { error } else { error.hint(format!("there is: {}", listed(&known))) })
        }
        many => Err(CommandError::invalid(format!("`{wanted}` may mean {}", listed(many)))
            .hint("give the whole path")),
    }
}

/// Whether an item failed on its own in the parallel group that the run stopped in: within another step of the group.
pub fn beside(plan: &Plan, state: &RunState, stopped: &StepPath) -> impl Fn(&StepPath) -> bool {
    let all = items(plan, state, true);
    let own = all.iter().rposition(|item| item.step.is_some() && stopped.is_within(&item.path));
    let mut group = Vec::new();
    if let Some(own) = own
        && let Some(parallel) = all[own].step.and_then(|step| step.parallel.as_ref())
    {
        let depth = all[own].depth;
        let in_group = |item: &&Item<'_>| {
            item.depth > depth || item.step.is_some_and(|step| step.parallel.as_ref() == Some(parallel))
        };
        let before = all[..own].iter().rev().take_while(|item| item.depth >= depth).take_while(in_group);
        let after = all[own + 1..].iter().take_while(|item| item.depth >= depth).take_while(in_group);
        let steps = before.chain(after).filter(|item| item.depth == depth && item.step.is_some());
        group.extend(steps.map(|item| item.path.clone()));
    }
    // Of a failed call only what failed in it: the rest of it is done, and stays so.
    let failed: Vec<StepPath> = state
        .steps
        .iter()
        .filter(|(_, step)| matches!(step.status, StepStatus::Ended(Outcome::Failed(_))))
        .map(|(path, _)| path.clone())
        .collect();
    let steps: Vec<StepPath> =
        all.iter().filter(|item| item.step.is_some()).map(|item| item.path.clone()).collect();
    move |path| {
        let within = |step: &StepPath| path.is_within(step) && path != step;
        group.iter().any(within)
            && !steps.contains(path)
            && !failed.iter().any(|other| other != path && other.is_within(path))
    }
}

/// The step and the item at `path` in words, such as `Deploy › copy the files`; the path where the plan has none.
pub fn place(plan: &Plan, state: &RunState, path: &StepPath) -> String {
    let all = items(plan, state, true);
    let Some(at) = all.iter().position(|item| item.path == *path) else { return sanitize_line(&path.0) };
    let item = &all[at];
    // The same text twice tells nothing: an item that is all of its step has its words.
    let step = all[..at].iter().rev().find(|other| other.step.is_some() && other.depth < item.depth);
    match step.filter(|step| item.step.is_none() && step.title != item.title) {
        Some(step) => format!("{} › {}", step.title, item.title),
        None => item.title.clone(),
    }
}

struct Walk<'a, 'b> {
    plan: &'a Plan,
    state: &'b RunState,
    items: Vec<Item<'a>>,
}

impl<'a> Walk<'a, '_> {
    fn steps(&mut self, steps: &'a [PlannedStep], under: Option<&StepPath>, depth: usize) {
        if depth > DEEPEST {
            return;
        }
        for step in steps {
            let path = under_path(under, &step.path);
            self.items.push(Item {
                path: path.clone(),
                title: sanitize_line(&step.title),
                depth,
                step: Some(step),
                node: None,
            });
            self.nodes(&step.nodes, under, depth + 1);
            let plan = self.plan;
            for name in plan.routines.keys().filter(|name| self.went(&path, name)).collect::<Vec<_>>() {
                self.routine(&path.child("on-failure"), name, depth + 1);
            }
        }
    }

    /// Whether the run took this route.
    fn went(&self, step: &StepPath, name: &str) -> bool {
        let under = step.child("on-failure").child(name);
        self.state.steps.keys().any(|path| path.is_within(&under))
    }

    fn routine(&mut self, under: &StepPath, name: &str, depth: usize) {
        if let Some(routine) = self.plan.routines.get(name) {
            self.steps(&routine.steps, Some(&under.child(name)), depth);
        }
    }

    fn nodes(&mut self, nodes: &'a [Node], under: Option<&StepPath>, depth: usize) {
        for node in nodes {
            let path = under_path(under, node.path());
            self.items.push(Item {
                path: path.clone(),
                title: sanitize_line(&node.label()),
                depth,
                step: None,
                node: Some(node),
            });
            match node {
                Node::Checklist(list) => self.nodes(&list.nodes, under, depth + 1),
                Node::Call(call) => self.routine(&path, &call.runbook, depth + 1),
                _ => {}
            }
        }
    }
}

fn under_path(under: Option<&StepPath>, path: &StepPath) -> StepPath {
    under.map_or_else(|| path.clone(), |under| under.child(path))
}
