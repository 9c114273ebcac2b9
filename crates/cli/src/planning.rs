//! Planning: from a project and a request to a plan, and from a plan back to what has changed since.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use windlass_core::config::{Metrics, Secret};
use windlass_core::diagnostic::{Severity, nearest};
use windlass_core::plan::bind::{self, BindInput, Document};
use windlass_core::plan::{Facts, Plan, SecretSource, sha256_hex};

use crate::catalogue::Actions;
use crate::error::{CommandError, Located, Result};
use crate::facts::{self, Repository, VersionRequest};
use crate::files;
use crate::forge;
use crate::preflight;
use crate::project::{Project, RunbookFile, counted};
use crate::versions;

/// The runbook that is planned when none is named.
pub const DEFAULT_RUNBOOK: &str = "release";

/// What is to be planned.
#[derive(Debug, Clone, Default)]
pub struct PlanRequest {
    /// The runbook's name or path; [`DEFAULT_RUNBOOK`] when not given.
    pub runbook: Option<String>,
    /// The folder that a relative path starts from.
    pub directory: PathBuf,
    /// The version asked for.
    pub version: VersionRequest,
    /// Values of inputs, by name.
    pub inputs: BTreeMap<String, String>,
}

/// Makes the plan, preflight included.
///
/// # Errors
/// Everything that keeps it from being made: findings in the runbook, no version to release, a repository that is
/// not fit.
pub fn make_plan(project: &Project, request: &PlanRequest) -> Result<Plan> {
    let (plan, _) = make_plan_with_warnings(project, request)?;
    Ok(plan)
}

/// As [`make_plan`], with the warnings about the runbooks and the texts they are about.
///
/// # Errors
/// As [`make_plan`].
pub fn make_plan_with_warnings(project: &Project, request: &PlanRequest) -> Result<(Plan, Warnings)> {
    let mut runbooks = project.runbooks()?;
    let chosen = choose(project, &mut runbooks, request)?;
    let actions = Actions::shipped();
    let main = &runbooks[chosen];
    let involved = involved(&runbooks, chosen);
    let mut diagnostics = Vec::new();
    for runbook in &involved {
        let located =
            |diagnostic: &_| Located { path: runbook.path.clone(), diagnostic: Clone::clone(diagnostic) };
        diagnostics.extend(runbook.diagnostics.iter().map(located));
    }
    let sources: BTreeMap<String, Arc<str>> =
        involved.iter().map(|runbook| (runbook.path.clone(), runbook.source.clone())).collect();
    let (errors, mut warnings): (Vec<Located>, Vec<Located>) =
        diagnostics.into_iter().partition(|located| located.diagnostic.severity == Severity::Error);
    if !errors.is_empty() {
        let message =
            format!("{} of the runbook cannot be understood", counted(errors.len(), "part", "parts"));
        return Err(CommandError::invalid(message).with_diagnostics(errors, sources));
    }

    let repository = Repository::read(project)?;
    let asked = request.version != VersionRequest::default();
    let releases = asked || bind::releases(&main.runbook, &main.source);
    if releases {
        versions::require_package(project, &request.version)?;
        repository.require_history()?;
        if repository.branch.is_none() && request.version.promote.is_none() {
            return Err(CommandError::invalid("HEAD is detached, so there is no branch to release from")
                .hint("check out the branch that releases come from, such as `git switch main`"));
        }
    }
    let facts = facts::facts(project, &repository, releases.then_some(&request.version))?;
    let input = BindInput {
        document: document(main),
        called: runbooks
            .iter()
            .enumerate()
            .filter(|(index, _)| *index != chosen)
            .map(|(_, runbook)| (runbook.name.clone(), document(runbook)))
            .collect(),
        facts: &facts,
        roles: project.config.roles.clone(),
        secrets: secrets(project),
        environments: project.config.environments.keys().cloned().collect(),
        metrics: metrics(project),
        inputs: request.inputs.clone(),
        files: pinned_files(project, &facts, &involved)?,
        every_step: false,
    };
    let mut plan = bind::bind(&input, &actions).map_err(|findings| {
        let message = counted(findings.len(), "finding keeps", "findings keep");
        CommandError::invalid(format!("{message} this runbook from being planned"))
            .with_diagnostics(findings, sources.clone())
    })?;
    forge::add_token(&mut plan);
    plan.preflight = preflight::findings(project, &plan, &sources)?;
    plan.preflight.extend(forge::findings(project, &plan));
    plan.preflight.extend(preflight::messages::findings(project, &plan));
    plan.preflight.extend(preflight::repository::findings(
        project,
        &repository,
        &facts,
        &request.version,
        &plan,
    ));
    plan.preflight.extend(preflight::promotion::findings(project, &plan)?);
    // What is wrong with the configuration came up before; what is left are warnings.
    warnings.extend(project.config_diagnostics());
    let sources = sources.into_iter().chain(project.config_sources()).collect();
    Ok((plan, Warnings { located: warnings, sources }))
}

/// Findings that do not keep a plan from being made.
#[derive(Debug, Clone, Default)]
pub struct Warnings {
    /// The findings.
    pub located: Vec<Located>,
    /// Texts of the files they are about.
    pub sources: BTreeMap<String, Arc<str>>,
}

/// What has changed since the plan was made, a sentence each; nothing when it can be executed as it was approved.
pub fn drift(project: &Project, plan: &Plan) -> Vec<String> {
    let mut changes = Vec::new();
    match Repository::read(project) {
        Err(error) => changes.push(format!("the repository cannot be read any more: {}", error.message)),
        Ok(repository) => {
            let short = |id: &Option<String>| {
                id.as_deref().map_or("nothing", |id| id.get(..10).unwrap_or(id)).to_owned()
            };
            if repository.head != plan.pins.head {
                let (was, is) = (short(&plan.pins.head), short(&repository.head));
                changes.push(format!("HEAD moved from {was} to {is}"));
            }
            if repository.branch != plan.pins.branch {
                let name = |branch: &Option<String>| {
                    branch.as_ref().map_or("no branch".to_owned(), |branch| format!("branch {branch}"))
                };
                let (was, is) = (name(&plan.pins.branch), name(&repository.branch));
                changes.push(format!("the checkout went from {was} to {is}"));
            }
            if let Some(tag) = &plan.pins.absent_tag
                && repository.tags.contains_key(tag)
            {
                changes.push(format!("the tag {tag} exists now"));
            }
        }
    }
    for (path, digest) in &plan.pins.files {
        match hash(project, path) {
            Ok(Some(now)) if now == *digest => {}
            Ok(Some(_)) => changes.push(format!("{path} has changed")),
            Ok(None) => changes.push(format!("{path} is gone")),
            Err(error) => changes.push(error.message),
        }
    }
    changes
}

/// Finds the runbook that is asked for, and adds it when it stands outside the folder of runbooks.
fn choose(project: &Project, runbooks: &mut Vec<RunbookFile>, request: &PlanRequest) -> Result<usize> {
    let wanted = request.runbook.as_deref().unwrap_or(DEFAULT_RUNBOOK);
    if let Some(twice) = twice(runbooks) {
        return Err(twice);
    }
    if Path::new(wanted).extension().is_some_and(|extension| extension == "md") || wanted.contains('/') {
        let file = project.runbook_at(&request.directory, Path::new(wanted))?;
        if let Some(index) = runbooks.iter().position(|runbook| runbook.path == file.path) {
            return Ok(index);
        }
        // A copy of a runbook takes its place: a runbook never means two texts.
        runbooks.retain(|runbook| runbook.name != file.name);
        runbooks.push(file);
        return Ok(runbooks.len() - 1);
    }
    if let Some(index) = runbooks.iter().position(|runbook| runbook.name == wanted) {
        return Ok(index);
    }
    let by_file =
        |runbook: &RunbookFile| Path::new(&runbook.path).file_stem().is_some_and(|stem| stem == wanted);
    if let Some(index) = runbooks.iter().position(by_file) {
        return Ok(index);
    }
    let names: Vec<&str> = runbooks.iter().map(|runbook| runbook.name.as_str()).collect();
    let error = CommandError::invalid(format!("there is no runbook `{wanted}`"));
    Err(match nearest(wanted, names.iter().copied()) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None if names.is_empty() => error.hint("write one with `windlass init`"),
        None => error.hint(format!("there is: {}", names.join(", "))),
    })
}

fn twice(runbooks: &[RunbookFile]) -> Option<CommandError> {
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    for runbook in runbooks {
        if let Some(first) = seen.insert(&runbook.name, &runbook.path) {
            return Some(
                CommandError::invalid(format!(
                    "{first} and {} have the same name `{}`",
                    runbook.path, runbook.name
                ))
                .hint("give each runbook its own `name:`"),
            );
        }
    }
    None
}

/// The chosen runbook and those it may call, directly or not.
fn involved(runbooks: &[RunbookFile], chosen: usize) -> Vec<&RunbookFile> {
    let mut found = vec![&runbooks[chosen]];
    let mut next = 0;
    while let Some(runbook) = found.get(next).copied() {
        for call in runbook.runbook.calls.iter().flatten() {
            let called = runbooks.iter().find(|other| other.name == call.value);
            if let Some(called) = called.filter(|called| !found.iter().any(|known| known.path == called.path))
            {
                found.push(called);
            }
        }
        next += 1;
    }
    found
}

/// A runbook as binding takes it.
pub fn document(file: &RunbookFile) -> Document<'_> {
    Document { runbook: &file.runbook, source: &file.source, path: &file.path }
}

/// Where the numbers of each environment come from.
pub fn metrics(project: &Project) -> BTreeMap<String, Metrics> {
    let environments = project.config.environments.iter();
    environments.map(|(name, environment)| (name.clone(), environment.metrics.clone())).collect()
}

/// Where the secrets of the configuration come from.
pub fn secrets(project: &Project) -> BTreeMap<String, SecretSource> {
    project
        .config
        .secrets
        .iter()
        .map(|(name, secret)| {
            let source = match secret {
                Secret::Env(secret) => SecretSource::Env(secret.env.clone()),
                Secret::File(secret) => SecretSource::File(secret.file.clone()),
            };
            (name.clone(), source)
        })
        .collect()
}

/// SHA-256 of everything that planning read, so that a run can tell whether it still says the same.
fn pinned_files(
    project: &Project,
    facts: &Facts,
    runbooks: &[&RunbookFile],
) -> Result<BTreeMap<String, String>> {
    let mut pinned: BTreeMap<String, String> = runbooks
        .iter()
        .map(|runbook| (runbook.path.clone(), sha256_hex(runbook.source.as_bytes())))
        .collect();
    if let Some((path, text)) = &project.config_file {
        pinned.insert(path.clone(), sha256_hex(text.as_bytes()));
    }
    let others = facts.holders.iter().map(|holder| &holder.path).chain(&facts.changelog);
    for path in others {
        if let Some(digest) = hash(project, path)? {
            pinned.insert(path.clone(), digest);
        }
    }
    Ok(pinned)
}

fn hash(project: &Project, path: &str) -> Result<Option<String>> {
    let text = files::read_if_there(&project.root.join(path), path, files::LARGEST_FILE)?;
    Ok(text.map(|text| sha256_hex(text.as_bytes())))
}
