//! How much a runbook holds, and the walks over its parts.

use serde::{Deserialize, Serialize};

use super::{Check, Item, Runbook};
use crate::diagnostic::Span;

/// How many of each thing a runbook holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Counts {
    /// Steps.
    pub steps: usize,
    /// `- [ ]` items anywhere, nested ones and preconditions included.
    pub items: usize,
    /// `- [ ]` items that are preconditions.
    pub preconditions: usize,
    /// Script fences that run, the rollback section's included.
    pub scripts: usize,
    /// Action fences that run.
    pub actions: usize,
    /// `→ **workflow**` calls.
    pub calls: usize,
    /// Criteria of rollback.
    pub criteria: usize,
    /// Rows of common errors.
    pub errors: usize,
    /// Lines of escalation.
    pub escalations: usize,
}

impl Runbook {
    /// Every item in the order they run: preconditions, steps, then the rollback section.
    pub fn items(&self) -> impl Iterator<Item = &Item> {
        let steps = self.steps.iter().flat_map(|step| &step.items);
        let rollback = self.rollback.iter().flat_map(|rollback| &rollback.items);
        self.preconditions.iter().chain(steps).chain(rollback)
    }

    /// How much it holds.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts {
            steps: self.steps.len(),
            preconditions: self.preconditions.iter().map(checks_of).sum(),
            criteria: self.rollback.as_ref().map_or(0, |rollback| rollback.criteria.len()),
            errors: self.errors.len(),
            escalations: self.escalations.len(),
            ..Counts::default()
        };
        for item in self.items() {
            counts.items += checks_of(item);
            match item {
                Item::Script(script) => counts.scripts += usize::from(!script.attributes.skip),
                Item::Action(action) => counts.actions += usize::from(!action.attributes.skip),
                Item::Call(_) => counts.calls += 1,
                Item::Check(_) | Item::Checklist(_) => {}
            }
        }
        counts
    }

    /// The same runbook with every place forgotten, to compare what two sources mean.
    #[must_use]
    pub fn without_spans(mut self) -> Self {
        let lists =
            [Some(&mut self.triggers), self.skills.as_mut(), self.calls.as_mut(), self.roles.as_mut()];
        for name in lists.into_iter().flatten().flatten() {
            name.span = Span::default();
        }
        self.preconditions.iter_mut().for_each(forget_item);
        for step in &mut self.steps {
            step.span = Span::default();
            step.skills.iter_mut().for_each(|skill| skill.span = Span::default());
            if let Some(when) = &mut step.settings.when {
                when.span = Span::default();
            }
            if let Some(on_failure) = &mut step.settings.on_failure {
                on_failure.span = Span::default();
            }
            step.items.iter_mut().for_each(forget_item);
        }
        if let Some(rollback) = &mut self.rollback {
            rollback.items.iter_mut().for_each(forget_item);
        }
        self
    }
}

fn checks_of(item: &Item) -> usize {
    fn count(check: &Check) -> usize {
        1 + check.children.iter().map(count).sum::<usize>()
    }
    match item {
        Item::Check(check) => count(check),
        Item::Checklist(list) => list.checks.iter().map(count).sum(),
        Item::Script(_) | Item::Action(_) | Item::Call(_) => 0,
    }
}

fn forget_item(item: &mut Item) {
    let attributes = match item {
        Item::Script(script) => {
            script.span = Span::default();
            &mut script.attributes
        }
        Item::Action(action) => {
            action.span = Span::default();
            action.uses.span = Span::default();
            &mut action.attributes
        }
        Item::Check(check) => return forget_check(check),
        Item::Call(call) => {
            call.span = Span::default();
            return;
        }
        Item::Checklist(list) => {
            list.span = Span::default();
            return list.checks.iter_mut().for_each(forget_check);
        }
    };
    if let Some(id) = &mut attributes.id {
        id.span = Span::default();
    }
}

fn forget_check(check: &mut Check) {
    check.span = Span::default();
    if let Some(command) = &mut check.command {
        command.span = Span::default();
    }
    check.children.iter_mut().for_each(forget_check);
}
