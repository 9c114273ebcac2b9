//! The names under which steps and items leave outputs, so that a guard or a parameter that names none of them is told before
//! the run.

use std::collections::{BTreeMap, BTreeSet};

use super::items::Names;
use super::steps::preconditions_name;
use super::{Binder, Document, Frame, find};
use crate::diagnostic::{Diagnostic, Span};
use crate::plan::StepPath;
use crate::runbook::{Check, Item, OnFailure, Runbook};

impl Binder<'_> {
    /// Whether every `outputs.NAME` of an expression at `place` names a step or an item before it.
    pub(super) fn outputs_exist(&mut self, frame: &Frame<'_>, code: &str, place: Span) {
        let runbook = frame.document.runbook;
        let own = self.stack.last().map_or(runbook.name.as_str(), String::as_str);
        let mut given = Given::new(&self.input.called, own);
        for caller in self.callers(own) {
            given.add(caller, None);
            if let Some(rollback) = &caller.rollback {
                given.step("rollback", &rollback.items, None);
            }
        }
        let rollback = runbook.rollback.as_ref().filter(|rollback| holds(&rollback.items, place));
        given.add(runbook, rollback.is_none().then_some(place));
        if let Some(rollback) = rollback {
            given.step("rollback", &rollback.items, Some(place));
        }
        let known = given.names;
        let mut all = Given::new(&self.input.called, own);
        all.add(runbook, None);
        for name in named(code) {
            if known.iter().any(|known| is_copy(known, name)) {
                continue;
            }
            let span = find(frame.document.source, Some(place), &format!("outputs.{name}"))
                .map(|span| Span::new(span.start + "outputs.".len(), span.end))
                .or_else(|| find(frame.document.source, Some(place), name))
                .unwrap_or(place);
            let diagnostic = Diagnostic::error(
                "unknown-output",
                format!("no earlier step or item is called `{name}`"),
                span,
            );
            let diagnostic = match all.names.contains(name) {
                true => {
                    diagnostic.help(format!("`{name}` comes only now or later: move this step behind it"))
                }
                false => diagnostic.suggest(name, known.iter().map(String::as_str)),
            };
            self.report(frame.document, diagnostic);
        }
    }

    /// The runbooks from which `name` is called, also through others: those that this plan runs, or when a runbook is
    /// checked rather than run, any. What their steps left is there too, whichever of them calls.
    fn callers(&self, name: &str) -> Vec<&Runbook> {
        let root = self.input.document.runbook;
        let is_run =
            |caller: &str| self.input.every_step || caller == root.name || self.leads(&root.name, caller);
        let own = std::iter::once((&root.name, root));
        let called = self.input.called.iter().map(|(name, document)| (name, document.runbook));
        own.chain(called)
            .filter(|(caller, _)| *caller != name && self.leads(caller, name) && is_run(caller))
            .map(|(_, runbook)| runbook)
            .collect()
    }

    /// Whether the runbook `from` calls `to`, itself or through others; circles end at what was seen.
    fn leads(&self, from: &str, to: &str) -> bool {
        let root = self.input.document.runbook;
        let mut seen = BTreeSet::new();
        let mut open = vec![from];
        while let Some(name) = open.pop() {
            let called = || self.input.called.get(name).map(|document| document.runbook);
            let Some(runbook) = (if name == root.name { Some(root) } else { called() }) else { continue };
            for next in callees(runbook) {
                if next == to {
                    return true;
                }
                if seen.insert(next) {
                    open.push(next);
                }
            }
        }
        false
    }
}

/// The runbooks that `runbook` calls: declared, as an item, or when something fails.
fn callees(runbook: &Runbook) -> impl Iterator<Item = &str> {
    let declared = runbook.calls.iter().flatten().map(|call| call.value.as_str());
    let items = runbook.items().filter_map(|item| match item {
        Item::Call(call) => Some(call.value.as_str()),
        _ => None,
    });
    let routes = runbook.steps.iter().filter_map(|step| match &step.settings.on_failure.as_ref()?.value {
        OnFailure::Call(name) => Some(name.as_str()),
        _ => None,
    });
    declared.chain(items).chain(routes)
}

/// Collects the names under which steps and items leave outputs.
struct Given<'a> {
    called: &'a BTreeMap<String, Document<'a>>,
    /// Runbooks whose names are there already, or are not to be added by who calls them.
    seen: BTreeSet<String>,
    names: BTreeSet<String>,
}

impl<'a> Given<'a> {
    /// Nothing yet; what calls `own` adds none of its names, because they come with the run of `own` itself.
    fn new(called: &'a BTreeMap<String, Document<'a>>, own: &str) -> Self {
        Self { called, seen: BTreeSet::from([own.to_owned()]), names: BTreeSet::new() }
    }

    /// The names of a runbook's preconditions and steps; only of what stands before a place, when there is one.
    fn add(&mut self, runbook: &Runbook, before: Option<Span>) {
        self.step(&preconditions_name(runbook), &runbook.preconditions, before);
        for step in &runbook.steps {
            self.step(&step.id, &step.items, before);
        }
    }

    /// The names of one step, and of the runbooks it calls. A step whose items all come later has left nothing yet.
    fn step(&mut self, step: &str, items: &[Item], before: Option<Span>) {
        let last = |path: StepPath| path.0.rsplit('/').next().unwrap_or_default().to_owned();
        let mut given = Names::new(&StepPath::new(step), items);
        for item in items.iter().filter(|item| before.is_none_or(|place| span(item).start < place.start)) {
            self.names.insert(step.to_owned());
            match item {
                Item::Script(script) if script.attributes.skip => {}
                Item::Action(action) if action.attributes.skip => {}
                Item::Script(script) => {
                    self.names.insert(last(given.script(script.attributes.id.as_ref())));
                }
                Item::Action(action) => {
                    let path = given.pinned_or(action.attributes.id.as_ref(), &action.uses.value);
                    self.names.insert(last(path));
                }
                Item::Check(check) => {
                    self.names.insert(last(given.check()));
                    self.checks(&check.children);
                }
                Item::Checklist(list) => {
                    drop(given.checklist());
                    self.checks(&list.checks);
                }
                Item::Call(call) => {
                    let is_new = self.seen.insert(call.value.clone());
                    if let Some(called) = self.called.get(&call.value).filter(|_| is_new) {
                        self.add(called.runbook, None);
                    }
                }
            }
        }
    }

    /// The names of a list of checks and of those nested under them.
    fn checks(&mut self, checks: &[Check]) {
        self.names.extend((1..=checks.len()).map(|number| format!("check-{number}")));
        for check in checks {
            self.checks(&check.children);
        }
    }
}

/// Whether the place is one of the items, or within one.
fn holds(items: &[Item], place: Span) -> bool {
    items.iter().any(|item| (span(item).start..=span(item).end).contains(&place.start))
}

fn span(item: &Item) -> Span {
    match item {
        Item::Script(script) => script.span,
        Item::Action(action) => action.span,
        Item::Check(check) => check.span,
        Item::Call(call) => call.span,
        Item::Checklist(list) => list.span,
    }
}

/// A step with a matrix leaves its outputs once for every combination, as `build[python=3.9]`.
fn is_copy(known: &str, name: &str) -> bool {
    known == name || name.strip_prefix(known).is_some_and(|rest| rest.starts_with('['))
}

/// What stands behind `outputs.` in an expression, texts in quotes passed over; `outputs['a-b']` names `a-b`.
fn named(code: &str) -> Vec<&str> {
    let mut names = Vec::new();
    for (at, word) in code.match_indices("outputs") {
        let is_inside = code[..at].matches('"').count() % 2 == 1 || code[..at].matches('\'').count() % 2 == 1;
        let before = code[..at].chars().next_back();
        if is_inside || before.is_some_and(|before| before.is_alphanumeric() || matches!(before, '_' | '.')) {
            continue;
        }
        let rest = code[at + word.len()..].trim_start();
        let name = match rest.strip_prefix('.') {
            Some(rest) => {
                let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
                rest.find(|letter| !is_word(letter)).map_or(rest, |end| &rest[..end])
            }
            None => {
                let inside = rest.strip_prefix('[').map(str::trim_start).unwrap_or_default();
                let quote = inside.chars().next().filter(|quote| matches!(quote, '"' | '\''));
                quote.and_then(|quote| inside[1..].split(quote).next()).unwrap_or_default()
            }
        };
        if !name.is_empty() && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_expressions() {
        for (code, expect) in [
            ("outputs.choose.way == \"database\"", &["choose"][..]),
            ("outputs.a.b == 1 or outputs['b-c'].d and outputs[ \"e\" ].f", &["a", "b-c", "e"]),
            ("channel == 'outputs.x' or outputs.y", &["y"]),
            ("my_outputs.x or x.outputs.y or outputs", &[]),
            ("outputs.a.x and outputs.a.y", &["a"]),
            ("outputs[name].x", &[]),
        ] {
            assert_eq!(named(code), expect, "{code}");
        }
    }
}
