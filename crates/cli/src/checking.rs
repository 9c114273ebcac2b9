//! What only binding finds, without a repository to bind to: a runbook is bound to an invented release, and findings
//! that the invention may have caused are left out.

use std::collections::BTreeMap;

use windlass_core::diagnostic::{Diagnostic, Span};
use windlass_core::plan::bind::{BindInput, bind};
use windlass_core::plan::{Facts, HolderFact, ReleaseFact};
use windlass_core::runbook::{Input, InputKind, Item};

use crate::catalogue::Actions;
use crate::planning::{document, metrics, secrets};
use crate::project::{Project, RunbookFile};

/// Adds to `findings` what binding `file` finds and they do not tell yet.
pub fn add_findings(
    project: &Project,
    file: &RunbookFile,
    all: &[RunbookFile],
    actions: &Actions,
    findings: &mut Vec<Diagnostic>,
) {
    let facts = Facts { environments: project.config.environments.clone(), ..invented() };
    let input = BindInput {
        document: document(file),
        called: all
            .iter()
            .filter(|other| other.name != file.name)
            .map(|other| (other.name.clone(), document(other)))
            .collect(),
        facts: &facts,
        roles: project.config.roles.clone(),
        secrets: secrets(project),
        environments: project.config.environments.keys().cloned().collect(),
        metrics: metrics(project),
        inputs: file
            .runbook
            .inputs
            .iter()
            .filter(|(_, input)| input.default.is_none())
            .map(|(name, input)| (name.clone(), sample(input)))
            .collect(),
        files: BTreeMap::new(),
        every_step: true,
    };
    let Err(found) = bind(&input, actions) else { return };
    for located in found.into_iter().filter(|located| located.path == file.path) {
        let finding = located.diagnostic;
        let told = findings.iter().any(|known| overlap(known.span, finding.span));
        if !told && finding.code != "cannot-work" && !depends_on_inputs(file, finding.span) {
            findings.push(finding);
        }
    }
}

/// Whether two findings are about the same place, so that one mistake is told once.
fn overlap(one: Option<Span>, other: Option<Span>) -> bool {
    one.zip(other).is_some_and(|(one, other)| one.start < other.end && other.start < one.end)
}

/// Whether the finding is in an action that takes values nobody has given yet.
fn depends_on_inputs(file: &RunbookFile, span: Option<Span>) -> bool {
    let Some(span) = span else { return false };
    file.runbook.items().any(|item| match item {
        Item::Action(action) => {
            overlap(Some(action.span), Some(span)) && action.with.to_string().contains("inputs")
        }
        _ => false,
    })
}

fn sample(input: &Input) -> String {
    let sample = match input.kind {
        InputKind::String => "text",
        InputKind::Boolean => "true",
        InputKind::Integer => "1",
        InputKind::Version => "1.2.3",
        InputKind::Duration => "1m",
    };
    input.options.first().cloned().unwrap_or_else(|| sample.into())
}

fn invented() -> Facts {
    Facts {
        head: Some("0".repeat(40)),
        branch: Some("main".into()),
        remote: Some("origin".into()),
        release: Some(ReleaseFact {
            version: "1.2.3".into(),
            tag: "v1.2.3".into(),
            previous: Some("1.2.2".into()),
            previous_tag: Some("v1.2.2".into()),
            channel: "stable".into(),
            bump: Some("patch".into()),
            date: "2026-01-01".into(),
            ..ReleaseFact::default()
        }),
        holders: vec![HolderFact {
            path: "VERSION".into(),
            version: "1.2.2".into(),
            ..HolderFact::default()
        }],
        changelog: Some("CHANGELOG.md".into()),
        annotate: true,
        sign: "none".into(),
        main_branch: "main".into(),
        ..Facts::default()
    }
}
