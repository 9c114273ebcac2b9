//! `windlass check`: every mistake in the runbooks and the configuration, at once.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;
use windlass_core::diagnostic::{Diagnostic, Severity};
use windlass_core::runbook::validate::{World, validate};

use crate::catalogue::Actions;
use crate::checking;
use crate::error::{CommandError, Located, Result};
use crate::exit::Exit;
use crate::planning::Warnings;
use crate::project::{Project, RunbookFile};
use crate::report;
use crate::session::Session;

/// Check runbooks and configuration
#[derive(Debug, Args)]
pub struct Arguments {
    /// Runbooks to check; all of `runbooks/` when not given
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// What was checked.
#[derive(Debug, Serialize)]
pub struct Output {
    /// The runbooks' paths, with how much each holds.
    pub runbooks: Vec<Checked>,
    /// The configuration's path, when there is one.
    pub config: Option<String>,
    /// Findings that are no errors.
    pub diagnostics: Vec<serde_json::Value>,
}

/// A runbook that was checked.
#[derive(Debug, Serialize)]
pub struct Checked {
    /// Its path.
    pub path: String,
    /// Its name.
    pub name: String,
    /// How much it holds, in words.
    pub summary: String,
}

/// Checks.
///
/// # Errors
/// When anything is wrong.
pub fn run(arguments: &Arguments, session: &mut Session) -> Result<Exit> {
    let project = Project::open(session)?;
    let mut all = project.runbooks()?;
    let mut chosen: Vec<RunbookFile> = Vec::new();
    for path in &arguments.files {
        let directory =
            std::fs::canonicalize(&session.directory).unwrap_or_else(|_| session.directory.clone());
        chosen.push(project.runbook_at(&directory, path)?);
    }
    if arguments.files.is_empty() {
        chosen = all.clone();
    }
    for file in &chosen {
        if !all.iter().any(|known| known.path == file.path) {
            all.push(file.clone());
        }
    }
    let calls: BTreeMap<String, Vec<String>> = all
        .iter()
        .map(|file| {
            let calls = file.runbook.calls.iter().flatten().map(|call| call.value.clone());
            (file.name.clone(), calls.collect())
        })
        .collect();
    let actions = Actions::shipped();
    let world = World { actions: actions.parameters(), runbooks: &calls };
    let mut located = match arguments.files.is_empty() {
        true => project.config_diagnostics(),
        false => Vec::new(),
    };
    let mut sources: BTreeMap<String, Arc<str>> = project.config_sources();
    let mut names: BTreeMap<&str, &str> = BTreeMap::new();
    for file in &chosen {
        sources.insert(file.path.clone(), file.source.clone());
        let mut findings: Vec<Diagnostic> = file.diagnostics.clone();
        let told: Vec<_> = findings.iter().map(|finding| finding.span).collect();
        // A name that was misspelt is one mistake, though neither the front matter nor the world has it.
        let more = validate(&file.runbook, &file.source, &world).into_iter();
        findings.extend(more.filter(|finding| !told.contains(&finding.span)));
        checking::add_findings(&project, file, &all, &actions, &mut findings);
        findings.sort_by_key(|finding| finding.span.map_or((0, 0), |span| (span.start, span.end)));
        if let Some(first) = names.insert(&file.name, &file.path) {
            let message = format!("{first} is named `{}` too", file.name);
            findings
                .push(Diagnostic::error("duplicate-name", message, None).help("give each its own `name:`"));
        }
        located
            .extend(findings.into_iter().map(|diagnostic| Located { path: file.path.clone(), diagnostic }));
    }
    let errors = located.iter().filter(|located| located.diagnostic.severity == Severity::Error).count();
    if errors > 0 {
        let message = report::text::check_failed(errors, located.len() - errors);
        return Err(CommandError::invalid(message).with_diagnostics(located, sources));
    }
    let warnings = Warnings { located, sources };
    let output = Output {
        runbooks: chosen
            .iter()
            .map(|file| Checked {
                path: file.path.clone(),
                name: file.name.clone(),
                summary: report::text::counts(&file.runbook),
            })
            .collect(),
        config: project.config_file.as_ref().map(|(path, _)| path.clone()),
        diagnostics: report::diagnostics_object(&warnings.located, &warnings.sources),
    };
    session.report.warnings(&warnings);
    if session.report.is_json() {
        session.report.object("check", &output);
    } else {
        let text = report::text::checked(&output, warnings.located.len(), session.report.out_paint);
        session.report.data(&text);
    }
    Ok(Exit::Done)
}
