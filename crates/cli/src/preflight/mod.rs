//! Preflight: what the scripts of a plan need that is not there, found before anything has been done.
//!
//! Nothing of the repository is executed: syntax is checked by interpreters that only read, and commands, files and
//! make targets by reading the scripts. Where a script cannot be understood, nothing is said about it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use windlass_core::diagnostic::line_and_column;
use windlass_core::plan::{Finding, Node, Plan, PlannedStep, SecretSource, StepPath};

use crate::error::Result;
use crate::project::Project;

mod lexer;
mod makefile;
pub mod messages;
pub mod promotion;
pub mod repository;
mod shell;
mod syntax;

/// A script of the plan.
struct Script<'a> {
    path: StepPath,
    language: &'a str,
    text: &'a str,
    /// The runbook's path.
    document: &'a str,
    /// The line of the runbook that it starts on, from 1, when it was found.
    start: Option<usize>,
    /// Names of the secrets it gets.
    secrets: Vec<&'a str>,
}

impl Script<'_> {
    /// `file:line` of a line of the script, from 1.
    fn place(&self, line: usize) -> String {
        match self.start {
            Some(start) => format!("{}:{}", self.document, start + line.saturating_sub(1)),
            None => self.document.to_owned(),
        }
    }

    fn finding(&self, kind: &str, message: String, line: usize) -> Finding {
        Finding { path: self.path.clone(), kind: kind.into(), message, place: self.place(line) }
    }
}

/// Everything missing, in the order of the plan.
///
/// # Errors
/// When the Makefile cannot be read.
pub fn findings(
    project: &Project,
    plan: &Plan,
    sources: &BTreeMap<String, Arc<str>>,
) -> Result<Vec<Finding>> {
    let scripts = scripts(plan, sources);
    let mut found: Vec<(usize, Finding)> = Vec::new();
    for (index, line, message) in syntax::errors(&scripts, &project.environment) {
        found.push((index, scripts[index].finding("syntax", message, line)));
    }
    let broken: BTreeSet<usize> = found.iter().map(|(index, _)| *index).collect();
    let mut commands = Commands::new(project);
    let makefile = makefile::Targets::read(&project.root)?;
    let mut told: BTreeSet<(String, String)> = BTreeSet::new();
    for (index, script) in scripts.iter().enumerate() {
        let mut tell =
            |kind: &str, what: &str, message: String, line: usize, found: &mut Vec<(usize, Finding)>| {
                if told.insert((kind.to_owned(), format!("{what} {}", script.path))) {
                    found.push((index, script.finding(kind, message, line)));
                }
            };
        for secret in &script.secrets {
            if let Some(message) = missing_secret(project, plan, secret) {
                tell("secret", secret, message, 1, &mut found);
            }
        }
        if script.language == "python" || broken.contains(&index) {
            continue;
        }
        for use_ in shell::uses(script.text) {
            match use_ {
                shell::Use::Command { name, line } => {
                    if !commands.exist(&name) {
                        let message = format!("the command `{name}` is not installed here");
                        tell("command", &name, message, line, &mut found);
                    }
                }
                shell::Use::File { path, line } => {
                    if !project.root.join(&path).exists() {
                        tell("file", &path, format!("there is no file `{path}`"), line, &mut found);
                    }
                }
                shell::Use::MakeTarget { target, line } => {
                    if let Some(message) = makefile.missing(&target) {
                        tell("make-target", &target, message, line, &mut found);
                    }
                }
            }
        }
    }
    found.sort_by_key(|(index, _)| *index);
    Ok(found.into_iter().map(|(_, finding)| finding).collect())
}

/// Names of the commands that a shell script starts, found or not.
pub fn commands(text: &str) -> BTreeSet<String> {
    shell::uses(text)
        .into_iter()
        .filter_map(|use_| match use_ {
            shell::Use::Command { name, .. } => Some(name),
            shell::Use::File { .. } | shell::Use::MakeTarget { .. } => None,
        })
        .collect()
}

/// Whether a command of that name is in the `PATH` of `environment`.
pub fn is_installed(name: &str, environment: &BTreeMap<String, String>) -> bool {
    let path = environment.get("PATH").map_or("", String::as_str);
    std::env::split_paths(path).any(|folder| is_executable(&folder.join(name)))
}

#[cfg(unix)]
fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(path: &Path) -> bool {
    path.is_file()
}

/// Commands looked up once.
struct Commands<'a> {
    project: &'a Project,
    known: BTreeMap<String, bool>,
}

impl<'a> Commands<'a> {
    fn new(project: &'a Project) -> Self {
        Self { project, known: BTreeMap::new() }
    }

    fn exist(&mut self, name: &str) -> bool {
        if let Some(known) = self.known.get(name) {
            return *known;
        }
        let exists = is_installed(name, &self.project.environment);
        self.known.insert(name.to_owned(), exists);
        exists
    }
}

/// Why a secret of the plan has no value, as a sentence; nothing when it has one.
pub fn missing_secret(project: &Project, plan: &Plan, name: &str) -> Option<String> {
    match plan.secrets.get(name)? {
        SecretSource::Env(variable) => {
            let has_value = project.environment.get(variable).is_some_and(|value| !value.is_empty());
            (!has_value).then(|| format!("the secret `{name}` has no value: set the variable {variable}"))
        }
        SecretSource::File(file) => {
            let place = match file.strip_prefix("~/").zip(project.environment.get("HOME")) {
                Some((rest, home)) => Path::new(home).join(rest),
                None => project.root.join(file),
            };
            (!place.is_file()).then(|| format!("the secret `{name}` has no value: there is no file {file}"))
        }
    }
}

fn scripts<'a>(plan: &'a Plan, sources: &'a BTreeMap<String, Arc<str>>) -> Vec<Script<'a>> {
    let mut scripts = Vec::new();
    let document =
        |path: &'a str| Document { path, source: sources.get(path).map_or("", AsRef::as_ref), at: 0 };
    let mut main = document(&plan.runbook.path);
    main.collect(&plan.steps, &mut scripts);
    main.collect(&plan.rollback, &mut scripts);
    for routine in plan.routines.values() {
        document(&routine.runbook.path).collect(&routine.steps, &mut scripts);
    }
    scripts
}

/// A runbook whose scripts are looked for in the order they are written.
struct Document<'a> {
    path: &'a str,
    source: &'a str,
    /// Where the last one was found: the next one is after it, also when it says the same.
    at: usize,
}

impl<'a> Document<'a> {
    fn collect(&mut self, steps: &'a [PlannedStep], scripts: &mut Vec<Script<'a>>) {
        for step in steps.iter().filter(|step| step.skipped.is_none()) {
            self.nodes(&step.nodes, scripts);
        }
    }

    fn nodes(&mut self, nodes: &'a [Node], scripts: &mut Vec<Script<'a>>) {
        for node in nodes {
            match node {
                Node::Action(node) if node.call.action == "script" => {
                    self.add(&node.path, &node.call.params, scripts);
                }
                Node::Watch(node) => {
                    for probe in node.probes.iter().filter(|probe| probe.call.action == "script") {
                        self.add(&node.path, &probe.call.params, scripts);
                    }
                    for source in node.metrics.iter().flat_map(|metrics| &metrics.sources) {
                        self.add(&node.path, &source.call.params, scripts);
                    }
                }
                Node::Checklist(list) => self.nodes(&list.nodes, scripts),
                Node::Action(_) | Node::Confirm(_) | Node::Approval(_) | Node::Wait(_) | Node::Call(_) => {}
            }
        }
    }

    fn add(&mut self, path: &StepPath, params: &'a Value, scripts: &mut Vec<Script<'a>>) {
        let language = params["language"].as_str().unwrap_or("bash");
        let secrets: Vec<&str> =
            params["secrets"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let keys = [("text", secrets), ("probe", Vec::new()), ("undo", Vec::new()), ("script", Vec::new())];
        for (key, secrets) in keys {
            let Some(text) = params[key].as_str() else { continue };
            let found = self.locate(text);
            if let Some(offset) = found.filter(|_| key == "text") {
                self.at = offset;
            }
            let start = found.map(|offset| line_and_column(self.source, offset).0);
            scripts.push(Script { path: path.clone(), language, text, document: self.path, start, secrets });
        }
    }

    fn locate(&self, text: &str) -> Option<usize> {
        let text = text.trim_end();
        let fenced = |from: usize| {
            let found = self.source.get(from..)?.match_indices(text).map(|(at, _)| from + at);
            found.into_iter().find(|at| opens(&self.source[..*at]))
        };
        // A fence in a list is indented in the source, and not in the script.
        let first = || self.source.find(text.lines().find(|line| !line.trim().is_empty())?.trim());
        fenced(self.at + 1).or_else(|| fenced(0)).or_else(|| self.source.find(text)).or_else(first)
    }
}

/// Whether what comes next is the text of a fence or of a code span.
fn opens(before: &str) -> bool {
    let line =
        before.strip_suffix('\n').map(|before| before.rsplit('\n').next().unwrap_or(before).trim_start());
    before.ends_with('`') || line.is_some_and(|line| line.starts_with("```") || line.starts_with("~~~"))
}
