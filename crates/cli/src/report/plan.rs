//! A plan for people: what it will do, who decides, what changes, what cannot be taken back, what is missing.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use windlass_core::plan::{ActionNode, Effect, Node, Plan, PlannedStep, Reversibility};
use windlass_core::runbook::{OnFailure, Owner};
use windlass_core::text::{sanitize, sanitize_line};

use super::Paint;
use crate::project::counted;

/// The whole plan.
pub fn plan(plan: &Plan, digest: &str, paint: Paint) -> String {
    let mut text = String::new();
    head(plan, paint, &mut text);
    let _ = writeln!(text, "\n{}", paint.bold("Steps"));
    steps(&plan.steps, paint, &mut text);
    if !plan.rollback.is_empty() || !plan.criteria.is_empty() {
        let _ = writeln!(text, "\n{}", paint.bold("Rollback"));
        for criterion in &plan.criteria {
            let judged = match &criterion.condition {
                Some(condition) => format!("{} {}", condition.metric, condition.bound),
                None => "a person judges".into(),
            };
            let _ = writeln!(
                text,
                "  when {} {}",
                sanitize_line(&criterion.text),
                paint.dim(&format!("({judged})"))
            );
        }
        for step in &plan.rollback {
            nodes(&step.nodes, "  ", paint, &mut text);
        }
    }
    for (name, routine) in &plan.routines {
        let title = format!("Runbook {} ({})", sanitize_line(name), sanitize_line(&routine.runbook.path));
        let _ = writeln!(text, "\n{}", paint.bold(&title));
        steps(&routine.steps, paint, &mut text);
    }
    people(plan, paint, &mut text);
    effects(plan, paint, &mut text);
    section(
        "Common errors",
        plan.errors.iter().map(|error| format!("{}: {} → {}", error.error, error.cause, error.solution)),
        paint,
        &mut text,
    );
    section(
        "Escalation",
        plan.escalations.iter().map(|line| {
            let note = if line.note.is_empty() { String::new() } else { format!(" {}", line.note) };
            format!("{} → {}{note}", line.event, line.to.join(", "))
        }),
        paint,
        &mut text,
    );
    missing(plan, paint, &mut text);
    let _ = writeln!(text, "\n{} {}", paint.bold("Plan"), digest);
    text
}

fn head(plan: &Plan, paint: Paint, text: &mut String) {
    let title = if plan.runbook.title.is_empty() { &plan.runbook.name } else { &plan.runbook.title };
    let _ = writeln!(
        text,
        "{} {}",
        paint.bold(&sanitize_line(title)),
        paint.dim(&sanitize_line(&plan.runbook.path))
    );
    let row = |text: &mut String, name: &str, value: &str| {
        let _ = writeln!(text, "  {} {}", paint.dim(&format!("{name:<9}")), sanitize_line(value));
    };
    if let Some(release) = &plan.release {
        let over = match (&release.bump, &release.previous) {
            (Some(bump), Some(previous)) => format!(", {bump} over {previous}"),
            (None, Some(previous)) => format!(", after {previous}"),
            (_, None) => ", the first release".into(),
        };
        row(text, "version", &format!("{}{over}", release.version));
        row(text, "tag", &release.tag);
        row(text, "channel", &release.channel);
        row(text, "commits", &release.commits.len().to_string());
        for reason in release.reasons.iter().take(6) {
            row(text, "because", reason);
        }
    }
    let commit = plan.pins.head.as_deref().map_or("no commit", |head| head.get(..10).unwrap_or(head));
    row(text, "from", &format!("{} at {commit}", plan.pins.branch.as_deref().unwrap_or("a detached HEAD")));
}

fn steps(steps: &[PlannedStep], paint: Paint, text: &mut String) {
    // Preconditions are no step of the document, and what follows them has the numbers that it has there.
    let before = usize::from(steps.first().is_some_and(is_preconditions));
    for (index, step) in steps.iter().enumerate() {
        let mut facts = Vec::new();
        if let Some(owner) = &step.owner {
            facts.push(format!("owner {}", owners(owner)));
        }
        facts.extend(step.within.map(|within| format!("within {within}")));
        facts.extend(step.lock.as_ref().map(|lock| format!("holds {lock} alone")));
        facts.extend(step.parallel.as_ref().map(|group| format!("in parallel with {group}")));
        facts.extend(step.when.as_ref().map(|when| format!("when {when}")));
        match &step.on_failure {
            OnFailure::Stop => {}
            OnFailure::Continue => facts.push("goes on when it fails".into()),
            OnFailure::Call(name) => facts.push(format!("runs {name} when it fails")),
        }
        let matrix: Vec<String> = step.matrix.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let title = match matrix.is_empty() {
            true => sanitize_line(&step.title),
            false => format!("{} [{}]", sanitize_line(&step.title), sanitize_line(&matrix.join(", "))),
        };
        let facts = sanitize_line(&facts.join(", "));
        let number = match (index + 1).checked_sub(before) {
            Some(number) if number > 0 => format!("{number:>3}."),
            _ => " ".repeat(4),
        };
        match &step.skipped {
            Some(why) => {
                let why = format!("left out: {}", sanitize_line(why));
                let _ = writeln!(text, "{} {}  {}", paint.dim(&number), paint.dim(&title), paint.dim(&why));
            }
            None if facts.is_empty() => {
                let _ = writeln!(text, "{} {}", paint.dim(&number), paint.bold(&title));
            }
            None => {
                let _ =
                    writeln!(text, "{} {}  {}", paint.dim(&number), paint.bold(&title), paint.dim(&facts));
            }
        }
        nodes(&step.nodes, "     ", paint, text);
    }
}

/// Binding puts them first, under this title, whatever the document's language.
fn is_preconditions(step: &PlannedStep) -> bool {
    step.title == "Preconditions" && step.path.0.starts_with("preconditions")
}

fn nodes(nodes: &[Node], indent: &str, paint: Paint, text: &mut String) {
    for node in nodes {
        match node {
            Node::Action(node) => action(node, indent, paint, text),
            Node::Confirm(node) => {
                let by = node.owner.as_ref().map_or("anyone".into(), owners);
                let within = node.within.map(|within| format!(" within {within}")).unwrap_or_default();
                let by = paint.dim(&sanitize_line(&format!("({by} confirms{within})")));
                let _ = writeln!(text, "{indent}[ ] {} {by}", sanitize_line(&node.text));
            }
            Node::Approval(node) => {
                let mut facts: Vec<String> = Vec::new();
                facts.extend(node.rule.within.map(|within| format!("within {within}")));
                facts.extend(
                    node.rule.not.iter().map(|not| format!("not the {}", format!("{not:?}").to_lowercase())),
                );
                if node.rule.comment {
                    facts.push("with a comment".into());
                }
                facts.extend(node.refused.as_ref().map(|refused| format!("refused: {refused}")));
                let facts = if facts.is_empty() { String::new() } else { format!(" ({})", facts.join(", ")) };
                let line = format!("gate: {}", sanitize_line(&node.label));
                let _ = writeln!(text, "{indent}{} {}", paint.warn(&line), paint.dim(&sanitize_line(&facts)));
            }
            Node::Wait(node) => {
                let _ = writeln!(text, "{indent}{}", sanitize_line(&node.label));
            }
            Node::Watch(node) => {
                let names: Vec<&str> = node.probes.iter().map(|probe| probe.name.as_str()).collect();
                let mut facts = Vec::new();
                if !names.is_empty() {
                    facts.push(format!("{}; {} bad tolerated", names.join(", "), node.rule.tolerate));
                }
                let criteria = node.metrics.iter().flat_map(|metrics| &metrics.rule.criteria);
                let criteria: Vec<String> = criteria.map(ToString::to_string).collect();
                if !criteria.is_empty() {
                    facts.push(format!("fails when {}", criteria.join(" or ")));
                }
                let facts = format!("({})", facts.join("; "));
                let _ = writeln!(
                    text,
                    "{indent}{} {}",
                    sanitize_line(&node.label),
                    paint.dim(&sanitize_line(&facts))
                );
            }
            Node::Call(node) => {
                let _ = writeln!(text, "{indent}run the runbook {}", sanitize_line(&node.runbook));
            }
            Node::Checklist(list) => {
                let within = list.within.map(|within| format!(" (within {within})")).unwrap_or_default();
                let _ = writeln!(text, "{indent}{}{within}", sanitize_line(&list.title));
                self::nodes(&list.nodes, &format!("{indent}  "), paint, text);
            }
        }
    }
}

fn action(node: &ActionNode, indent: &str, paint: Paint, text: &mut String) {
    let mut facts = Vec::new();
    facts.extend(node.policy.timeout.map(|timeout| format!("timeout {timeout}")));
    if node.policy.retry > 0 {
        facts.push(counted(node.policy.retry as usize, "retry", "retries"));
    }
    if node.policy.optional {
        facts.push("may fail".into());
    }
    let facts = if facts.is_empty() { String::new() } else { paint.dim(&format!(" ({})", facts.join(", "))) };
    if node.call.action == "script" {
        let script = node.call.params["text"].as_str().unwrap_or_default();
        let lines: Vec<&str> = script.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
        // A check is told by its words first; the command follows.
        if !lines.iter().any(|line| line.trim() == node.label) && !node.label.is_empty() {
            let _ = writeln!(text, "{indent}[ ] {}{facts}", sanitize_line(&node.label));
        }
        // All of them: what is not shown is not approved. A shell goes on with `>` where a command goes on.
        for (number, line) in lines.iter().enumerate() {
            let mark = if number == 0 { "$" } else { ">" };
            let _ = writeln!(text, "{indent}{} {}", paint.dim(mark), sanitize(line));
        }
        return;
    }
    let _ = writeln!(text, "{indent}{} {}{facts}", node.call.action, paint.dim(&sanitize_line(&node.label)));
    for effect in &node.effects {
        let _ = writeln!(text, "{indent}  {} {}", self::effect(effect), paint.dim(reversibility(effect)));
    }
}

fn effect(effect: &Effect) -> String {
    format!("{} {}", sanitize_line(&effect.verb), sanitize_line(&effect.target))
}

fn reversibility(effect: &Effect) -> &'static str {
    match effect.reversibility {
        Reversibility::Reversible => "(can be taken back)",
        Reversibility::Compensable => "(can be made up for)",
        Reversibility::Permanent => "(cannot be taken back)",
        Reversibility::Unknown => "(nobody said whether it can be taken back)",
    }
}

fn owners(owner: &Owner) -> String {
    owner.names.join(if owner.all { " and " } else { " or " })
}

/// Walks every node, lists included.
fn every<'a>(nodes: &'a [Node], visit: &mut impl FnMut(&'a Node)) {
    for node in nodes {
        visit(node);
        if let Node::Checklist(list) = node {
            every(&list.nodes, visit);
        }
    }
}

fn people(plan: &Plan, paint: Paint, text: &mut String) {
    let (mut gates, mut confirmations, mut waits, mut watches) = (0, 0, 0u64, 0u64);
    for step in plan.steps.iter().filter(|step| step.skipped.is_none()) {
        every(&step.nodes, &mut |node| match node {
            Node::Approval(_) => gates += 1,
            Node::Confirm(_) => confirmations += 1,
            Node::Wait(node) => waits += node.duration.as_millis(),
            Node::Watch(node) => watches += node.rule.window.as_millis(),
            _ => {}
        });
    }
    let mut parts = Vec::new();
    if gates > 0 {
        parts.push(counted(gates, "approval", "approvals"));
    }
    if confirmations > 0 {
        parts.push(counted(confirmations, "confirmation", "confirmations"));
    }
    for (name, length) in [("waits", waits), ("watches", watches)] {
        if length > 0 {
            parts.push(format!("{name} {}", windlass_core::duration::Duration::from_millis(length)));
        }
    }
    if !parts.is_empty() {
        let _ = writeln!(text, "\n{} {}", paint.bold("Waits for"), parts.join(", "));
    }
}

fn effects(plan: &Plan, paint: Paint, text: &mut String) {
    let (mut permanent, mut unknown) = (BTreeSet::new(), 0);
    for step in plan.steps.iter().filter(|step| step.skipped.is_none()) {
        every(&step.nodes, &mut |node| {
            let Node::Action(node) = node else { return };
            for effect in &node.effects {
                match effect.reversibility {
                    Reversibility::Permanent => drop(permanent.insert(self::effect(effect))),
                    Reversibility::Unknown => unknown += 1,
                    Reversibility::Reversible | Reversibility::Compensable => {}
                }
            }
        });
    }
    section("Cannot be taken back", permanent.into_iter(), paint, text);
    if unknown > 0 {
        let scripts = counted(unknown, "script changes", "scripts change");
        let _ = writeln!(
            text,
            "\n{}",
            paint.dim(&format!(
                "{scripts} something that only the author knows; say how to take it back with {{undo=...}}"
            ))
        );
    }
}

fn missing(plan: &Plan, paint: Paint, text: &mut String) {
    if plan.preflight.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n{}", paint.bad("Missing"));
    for finding in &plan.preflight {
        let place =
            if finding.place.is_empty() { String::new() } else { format!("  {}", paint.dim(&finding.place)) };
        let _ = writeln!(text, "  {}{place}", sanitize_line(&finding.message));
    }
}

fn section(title: &str, lines: impl Iterator<Item = String>, paint: Paint, text: &mut String) {
    let mut lines = lines.peekable();
    if lines.peek().is_none() {
        return;
    }
    let _ = writeln!(text, "\n{}", paint.bold(title));
    for line in lines {
        let _ = writeln!(text, "  {}", sanitize_line(&line));
    }
}
