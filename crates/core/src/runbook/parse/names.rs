//! Names used against names declared in the front matter: calls, skills, roles.

use super::{Findings, Mentions};
use crate::diagnostic::{Diagnostic, Span, nearest};
use crate::runbook::{ActionUse, Item, OnFailure, Runbook, Spanned};

/// Actions that steer the run and belong to no skill.
const FLOW: &[&str] = &["approval", "confirm", "wait", "watch", "call"];

/// Checks every call, skill and role of `runbook`.
pub(super) fn check(source: &str, runbook: &Runbook, mentions: &Mentions, findings: &mut Findings) {
    let calls = runbook.calls.as_deref().unwrap_or_default();
    for step in &runbook.steps {
        if let Some(Spanned { value: OnFailure::Call(name), span }) = &step.settings.on_failure {
            check_call(name, *span, calls, &["stop", "continue"], findings);
        }
        for skill in &step.skills {
            check_skill(runbook, &skill.value, skill.span, findings);
        }
    }
    for item in runbook.items() {
        match item {
            Item::Call(call) => check_call(&call.value, call.span, calls, &[], findings),
            Item::Action(action) => check_action(source, runbook, action, calls, findings),
            _ => {}
        }
    }
    for skill in &mentions.skills {
        check_skill(runbook, &skill.value, skill.span, findings);
    }
    for (name, span) in &mentions.owners {
        check_role(runbook, name, *span, false, findings);
    }
}

fn check_action(
    source: &str,
    runbook: &Runbook,
    action: &ActionUse,
    calls: &[Spanned<String>],
    findings: &mut Findings,
) {
    let name = action.uses.value.as_str();
    if !FLOW.contains(&name)
        && let Some((skill, _)) = name.split_once('.')
    {
        check_skill(runbook, skill, action.uses.span, findings);
    }
    let parameter = |key: &str| action.with.get(key).and_then(|value| value.as_str());
    if name == "approval"
        && let Some(role) = parameter("role")
        && !role.contains("{{")
    {
        check_role(runbook, role, value_span(source, action, "role", role), true, findings);
    }
    for key in ["runbook", "workflow"] {
        if name == "call"
            && let Some(called) = parameter(key)
            && !called.contains("{{")
        {
            check_call(called, value_span(source, action, key, called), calls, &[], findings);
        }
    }
}

/// Where the value of a parameter stands in the action's fence.
fn value_span(source: &str, action: &ActionUse, key: &str, value: &str) -> Span {
    let key = crate::runbook::validate::key_span(source, action, key);
    let found = source.get(key.end..action.span.end).and_then(|rest| rest.find(value));
    found.map_or(key, |at| Span::new(key.end + at, key.end + at + value.len()))
}

fn check_call(name: &str, span: Span, calls: &[Spanned<String>], words: &[&str], findings: &mut Findings) {
    if findings.is_full() || calls.iter().any(|call| call.value == name) {
        return;
    }
    let declared = calls.iter().map(|call| call.value.as_str());
    let finding = Diagnostic::error(
        "undeclared-call",
        format!("runbook `{name}` is not in the front matter's `calls`"),
        span,
    );
    findings.push(match nearest(name, declared.chain(words.iter().copied())) {
        Some(near) => finding.help(format!("did you mean `{near}`?")),
        None => finding.help(format!("add it at the top: {}", with_added("calls", calls, name))),
    });
}

fn check_skill(runbook: &Runbook, skill: &str, span: Span, findings: &mut Findings) {
    let Some(skills) = &runbook.skills else { return };
    if findings.is_full() || skills.iter().any(|declared| declared.value == skill) {
        return;
    }
    let finding = Diagnostic::error(
        "undeclared-skill",
        format!("skill `{skill}` is not in the front matter's `skills`"),
        span,
    );
    findings.push(match nearest(skill, skills.iter().map(|declared| declared.value.as_str())) {
        Some(near) => finding.help(format!("did you mean `{near}`? Otherwise add it to `skills`")),
        None => finding.help(format!("add it at the top: {}", with_added("skills", skills, skill))),
    });
}

/// `must` for what can only be a role; an owner may be a person.
fn check_role(runbook: &Runbook, name: &str, span: Span, must: bool, findings: &mut Findings) {
    let Some(roles) = &runbook.roles else { return };
    let declared = || roles.iter().map(|role| role.value.as_str());
    if findings.is_full() || name.contains("{{") || declared().any(|role| role == name) {
        return;
    }
    let message = format!("`{name}` is not in the front matter's `roles`");
    findings.push(match nearest(name, declared()) {
        Some(near) => {
            Diagnostic::error("unknown-role", message, span).help(format!("did you mean `{near}`?"))
        }
        None if must => Diagnostic::error("unknown-role", message, span).suggest(name, declared()),
        None => Diagnostic::warning("unknown-role", message, span)
            .help("add it to `roles`; leave it when it is a person's name"),
    });
}

fn with_added(key: &str, declared: &[Spanned<String>], name: &str) -> String {
    let mut names: Vec<&str> = declared.iter().map(|declared| declared.value.as_str()).collect();
    names.push(name);
    format!("{key}: [{}]", names.join(", "))
}
