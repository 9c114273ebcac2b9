//! The names under which steps and items leave outputs, so that a guard that names none of them is told before the run.

use std::collections::BTreeSet;

use super::items::Names;
use super::{Binder, Frame, find};
use crate::diagnostic::{Diagnostic, Span};
use crate::plan::StepPath;
use crate::runbook::{Item, Runbook, Step};

impl Binder<'_> {
    /// Whether every `outputs.NAME` of the guard of `step` names an earlier step or item.
    pub(super) fn outputs_exist(&mut self, frame: &Frame<'_>, step: &Step, guard: &str, place: Span) {
        let runbook = frame.document.runbook;
        let mut known = BTreeSet::new();
        // What a caller's steps left is there too, whichever of them calls.
        let callers = self.stack.iter().take(self.stack.len().saturating_sub(1));
        for name in callers {
            let own = Some(self.input.document.runbook).filter(|runbook| runbook.name == *name);
            let called = self.input.called.get(name).map(|document| document.runbook);
            known.extend(own.or(called).map(|caller| self.names(caller)).unwrap_or_default());
        }
        let before = |other: &&Step| other.span.start < step.span.start;
        self.preconditions_of(runbook, &mut known);
        for step in runbook.steps.iter().filter(before) {
            self.add(&step.items, &step.id, &mut known, &mut BTreeSet::new());
        }
        for name in named(guard) {
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
            let diagnostic = match self.names(runbook).contains(name) {
                true => {
                    diagnostic.help(format!("`{name}` comes only now or later: move this step behind it"))
                }
                false => diagnostic.suggest(name, known.iter().map(String::as_str)),
            };
            self.report(frame.document, diagnostic);
        }
    }

    /// All names of a runbook.
    fn names(&self, runbook: &Runbook) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        self.preconditions_of(runbook, &mut names);
        for step in &runbook.steps {
            self.add(&step.items, &step.id, &mut names, &mut BTreeSet::new());
        }
        names
    }

    fn preconditions_of(&self, runbook: &Runbook, names: &mut BTreeSet<String>) {
        if !runbook.preconditions.is_empty() {
            self.add(&runbook.preconditions, "preconditions", names, &mut BTreeSet::new());
        }
    }

    /// The names of one step, and of the runbooks it calls that were not `seen` yet.
    fn add(&self, items: &[Item], step: &str, names: &mut BTreeSet<String>, seen: &mut BTreeSet<String>) {
        let last = |path: StepPath| path.0.rsplit('/').next().unwrap_or_default().to_owned();
        names.insert(step.to_owned());
        let mut given = Names::new(&StepPath::new(step), items);
        for item in items {
            match item {
                Item::Script(script) if script.attributes.skip => {}
                Item::Action(action) if action.attributes.skip => {}
                Item::Script(script) => {
                    names.insert(last(given.script(script.attributes.id.as_ref())));
                }
                Item::Action(action) => {
                    names.insert(last(given.pinned_or(action.attributes.id.as_ref(), &action.uses.value)));
                }
                Item::Check(_) => drop(names.insert(last(given.check()))),
                Item::Checklist(list) => {
                    drop(given.checklist());
                    names.extend((1..=list.checks.len()).map(|number| format!("check-{number}")));
                }
                Item::Call(call) => {
                    let is_new = seen.insert(call.value.clone());
                    let called = self.input.called.get(&call.value).filter(|_| is_new);
                    for step in called.into_iter().flat_map(|document| &document.runbook.steps) {
                        self.add(&step.items, &step.id, names, seen);
                    }
                }
            }
        }
    }
}

/// A step with a matrix leaves its outputs once for every combination, as `build[python=3.9]`.
fn is_copy(known: &str, name: &str) -> bool {
    known == name || name.strip_prefix(known).is_some_and(|rest| rest.starts_with('['))
}

/// Whether some step or item of the runbook itself leaves outputs under `name`.
pub fn gives(runbook: &Runbook, name: &str) -> bool {
    runbook.steps.iter().any(|step| {
        let named = |item: &Item| match item {
            Item::Script(script) => script.attributes.id.as_ref().is_some_and(|id| id.value == name),
            Item::Action(action) => {
                action.uses.value == name || action.attributes.id.as_ref().is_some_and(|id| id.value == name)
            }
            _ => false,
        };
        is_copy(&step.id, name) || step.items.iter().any(named)
    })
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
