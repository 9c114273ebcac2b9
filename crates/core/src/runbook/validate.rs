//! A runbook against the world it runs in: the actions that exist and the other runbooks.

use std::collections::BTreeMap;

use super::{ActionUse, Item, OnFailure, Runbook};
use crate::diagnostic::{Diagnostic, Span};

/// What exists outside the runbook.
#[derive(Debug, Clone)]
pub struct World<'a> {
    /// Every action by name, flow words included, with the names of its parameters.
    pub actions: BTreeMap<&'a str, Vec<String>>,
    /// Every runbook by name, with the names of the runbooks it calls.
    pub runbooks: &'a BTreeMap<String, Vec<String>>,
}

/// More findings than this say nothing more.
const MOST_FINDINGS: usize = 1000;

/// Every name of `runbook` that `world` does not have, and every cycle of calls through it, in the order
/// of `source`, the text `runbook` was read from.
pub fn validate(runbook: &Runbook, source: &str, world: &World<'_>) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    for item in runbook.items() {
        if let Item::Action(action) = item
            && findings.len() < MOST_FINDINGS
        {
            check_action(action, source, world, &mut findings);
        }
    }
    let called = calls(runbook, source);
    for (name, span) in called.iter().take(MOST_FINDINGS) {
        check_call(&runbook.name, name, *span, world, &mut findings);
    }
    for call in runbook.calls.iter().flatten() {
        let known = world.runbooks.contains_key(&call.value) || call.value == runbook.name;
        // A name that is called too has been pointed at where it is called.
        if !known && !called.iter().any(|(name, _)| *name == call.value) {
            findings.push(unknown_runbook(&call.value, call.span, world));
        }
    }
    findings.sort_by_key(|finding| finding.span.map_or((0, 0), |span| (span.start, span.end)));
    findings.into_iter().map(Diagnostic::showable).collect()
}

/// Where the parameter `key` of an action stands in `source`, or the action's name when it is not found.
pub(crate) fn key_span(source: &str, action: &ActionUse, key: &str) -> Span {
    let text = source.get(action.span.start..action.span.end).unwrap_or_default();
    let after_with = text.find("with").map_or(0, |at| at + "with".len());
    text[after_with..]
        .match_indices(key)
        .map(|(at, _)| after_with + at)
        .find(|at| {
            let after = text[at + key.len()..].trim_start_matches(['"', '\'']).trim_start();
            let before = text[..*at].trim_end_matches(['"', '\'']).trim_end_matches([' ', '\t']);
            // A key opens a line or follows a brace or a comma; inside a value it is only text.
            let opens = before.is_empty() || before.ends_with(['\n', '{', ',']);
            !key.is_empty() && opens && after.starts_with(':')
        })
        .map_or(action.uses.span, |at| Span::new(action.span.start + at, action.span.start + at + key.len()))
}

fn check_action(action: &ActionUse, source: &str, world: &World<'_>, findings: &mut Vec<Diagnostic>) {
    let name = action.uses.value.as_str();
    let Some(parameters) = world.actions.get(name) else {
        findings.push(
            Diagnostic::error("unknown-action", format!("unknown action `{name}`"), action.uses.span)
                .suggest(name, world.actions.keys().copied()),
        );
        return;
    };
    for key in action.with.as_object().into_iter().flat_map(serde_json::Map::keys) {
        if findings.len() < MOST_FINDINGS && !parameters.iter().any(|parameter| parameter == key) {
            let finding = Diagnostic::error(
                "unknown-parameter",
                format!("`{name}` has no parameter `{key}`"),
                key_span(source, action, key),
            );
            findings.push(if parameters.is_empty() {
                finding.help("it takes no parameters")
            } else {
                finding.suggest(key, parameters.iter().map(String::as_str))
            });
        }
    }
}

/// Every runbook called, and where.
fn calls(runbook: &Runbook, source: &str) -> Vec<(String, Span)> {
    let mut calls = Vec::new();
    for step in &runbook.steps {
        if let Some(on_failure) = &step.settings.on_failure
            && let OnFailure::Call(name) = &on_failure.value
        {
            calls.push((name.clone(), on_failure.span));
        }
    }
    for item in runbook.items() {
        match item {
            Item::Call(call) => calls.push((call.value.clone(), call.span)),
            Item::Action(action) if action.uses.value == "call" => {
                for key in ["runbook", "workflow"] {
                    if let Some(name) = action.with.get(key).and_then(|name| name.as_str())
                        && !name.contains("{{")
                    {
                        calls.push((name.to_owned(), key_span(source, action, key)));
                    }
                }
            }
            _ => {}
        }
    }
    calls
}

fn check_call(caller: &str, name: &str, span: Span, world: &World<'_>, findings: &mut Vec<Diagnostic>) {
    if name != caller && !world.runbooks.contains_key(name) {
        findings.push(unknown_runbook(name, span, world));
    } else if let Some(path) = cycle(caller, name, world.runbooks) {
        findings.push(
            Diagnostic::error(
                "call-cycle",
                format!("runbooks call each other in a circle: {}", path.join(" → ")),
                span,
            )
            .help("take one of these calls out"),
        );
    }
}

fn unknown_runbook(name: &str, span: Span, world: &World<'_>) -> Diagnostic {
    let finding = Diagnostic::error("unknown-runbook", format!("there is no runbook `{name}`"), span);
    if world.runbooks.is_empty() {
        finding.help(format!("write it, with `name: {name}` in its front matter"))
    } else {
        finding.suggest(name, world.runbooks.keys().map(String::as_str))
    }
}

/// The path from `caller` through `name` back to a runbook already on it. Searched without recursion:
/// the runbooks of a repository are hostile input.
fn cycle(caller: &str, name: &str, runbooks: &BTreeMap<String, Vec<String>>) -> Option<Vec<String>> {
    let mut path: Vec<(&str, usize)> = vec![(name, 0)];
    let mut done = std::collections::BTreeSet::new();
    if name == caller {
        return Some(vec![caller.to_owned(), name.to_owned()]);
    }
    while let Some((current, next)) = path.last_mut() {
        let callee = runbooks.get(*current).and_then(|calls| calls.get(*next));
        *next += 1;
        let current = *current;
        let Some(callee) = callee else {
            done.insert(current);
            path.pop();
            continue;
        };
        if callee == caller || path.iter().any(|(on_path, _)| on_path == callee) {
            let mut names = vec![caller.to_owned()];
            names.extend(path.iter().map(|(name, _)| (*name).to_owned()));
            names.push(callee.clone());
            return Some(names);
        }
        if !done.contains(callee.as_str()) {
            path.push((callee.as_str(), 0));
        }
    }
    None
}
