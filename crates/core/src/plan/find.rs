//! Finding an item of a plan by its name in the run.

use super::{Node, Plan, PlannedStep, StepPath};

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Found<'a> {
    /// A step.
    Step(&'a PlannedStep),
    /// An item of a step.
    Node(&'a PlannedStep, &'a Node),
}

impl Plan {
    /// What stands at `path`, inside called runbooks and lists too.
    pub fn find(&self, path: &StepPath) -> Option<Found<'_>> {
        self.within(&self.steps, None, path, 0).or_else(|| self.within(&self.rollback, None, path, 0))
    }

    fn within<'a>(
        &'a self,
        steps: &'a [PlannedStep],
        under: Option<&StepPath>,
        path: &StepPath,
        depth: usize,
    ) -> Option<Found<'a>> {
        // Pinned routines cannot call each other in a circle, but a plan from a file may claim that they do.
        if depth > 16 {
            return None;
        }
        steps.iter().find_map(|step| {
            let at = place(under, &step.path);
            if at == *path {
                return Some(Found::Step(step));
            }
            if !path.is_within(&at) {
                return None;
            }
            self.routed(&at.child("on-failure"), path, depth)
                .or_else(|| self.node(step, &step.nodes, under, path, depth))
        })
    }

    fn routed<'a>(&'a self, under: &StepPath, path: &StepPath, depth: usize) -> Option<Found<'a>> {
        self.routines.iter().find_map(|(name, routine)| {
            let under = under.child(name);
            if path.is_within(&under) {
                self.within(&routine.steps, Some(&under), path, depth + 1)
            } else {
                None
            }
        })
    }

    fn node<'a>(
        &'a self,
        step: &'a PlannedStep,
        nodes: &'a [Node],
        under: Option<&StepPath>,
        path: &StepPath,
        depth: usize,
    ) -> Option<Found<'a>> {
        nodes.iter().find_map(|node| {
            let at = place(under, node.path());
            if at == *path {
                return Some(Found::Node(step, node));
            }
            match node {
                Node::Checklist(list) => self.node(step, &list.nodes, under, path, depth),
                Node::Call(_) if path.is_within(&at) => self.routed(&at, path, depth),
                // A watch asks for its verdict and takes its samples under its own name.
                Node::Watch(_) if path.is_within(&at) => Some(Found::Node(step, node)),
                _ => None,
            }
        })
    }
}

fn place(under: Option<&StepPath>, path: &StepPath) -> StepPath {
    under.map_or_else(|| path.clone(), |under| under.child(path))
}
