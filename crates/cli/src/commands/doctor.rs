//! `windlass doctor`: looks for what could keep a release from working.

use std::collections::BTreeSet;

use clap::Args;
use serde::Serialize;
use windlass_core::diagnostic::Severity;
use windlass_core::runbook::{Check as RunbookCheck, Item, Language};
use windlass_core::text::sanitize_line;
use windlass_history::Range;

use crate::error::Result;
use crate::exit::Exit;
use crate::facts::Repository;
use crate::preflight;
use crate::project::{Project, counted};
use crate::session::Session;
use crate::{holders, report};

/// With so many commits a commit-graph is worth having.
const LONG: usize = 5000;

/// Look for what could keep a release from working
#[derive(Debug, Args)]
pub struct Arguments {
    /// Do not ask the remote
    #[arg(long)]
    pub offline: bool,
}

/// What was found.
#[derive(Debug, Serialize)]
pub struct Output {
    /// One line per thing looked at.
    pub checks: Vec<Check>,
}

/// One thing looked at.
#[derive(Debug, Serialize)]
pub struct Check {
    /// Its name.
    pub name: &'static str,
    /// How it is.
    pub state: State,
    /// What was found.
    pub found: String,
    /// What to do.
    pub help: Option<String>,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As it should be.
    Good,
    /// A release works, maybe not as meant.
    Warning,
    /// A release does not work.
    Bad,
}

/// Looks at everything.
///
/// # Errors
/// Outside a repository.
pub fn run(arguments: &Arguments, session: &mut Session) -> Result<Exit> {
    let project = Project::open(session)?;
    let mut checks = vec![git_version(&project)?];
    match Repository::read(&project) {
        Ok(repository) => {
            checks.push(identity(&repository));
            checks.push(history(&repository));
            checks.extend(speed(&repository));
            checks.extend(remote(&project, &repository, arguments.offline)?);
        }
        Err(error) => checks.push(bad("repository", error.message, None)),
    }
    checks.push(journal(&project));
    checks.push(configuration(&project));
    checks.push(versions(&project));
    checks.extend(runbooks(&project));
    let exit = match checks.iter().any(|check| check.state == State::Bad) {
        true => Exit::Failed,
        false => Exit::Done,
    };
    let output = Output { checks };
    if session.report.is_json() {
        session.report.object("doctor", &output);
    } else {
        let text = report::text::doctor(&output, session.report.out_paint);
        session.report.data(&text);
    }
    Ok(exit)
}

fn good(name: &'static str, found: impl Into<String>) -> Check {
    Check { name, state: State::Good, found: found.into(), help: None }
}

fn warning(name: &'static str, found: impl Into<String>, help: &str) -> Check {
    Check { name, state: State::Warning, found: found.into(), help: Some(help.into()) }
}

fn bad(name: &'static str, found: impl Into<String>, help: Option<&str>) -> Check {
    Check { name, state: State::Bad, found: found.into(), help: help.map(str::to_owned) }
}

fn git_version(project: &Project) -> Result<Check> {
    let told = project.block_on(project.git().read(["--version"]))?;
    Ok(match told {
        Ok(told) => {
            let text = told.trim().trim_start_matches("git version ").to_owned();
            let mut numbers = text.split('.').map(|part| part.parse::<u32>().unwrap_or_default());
            let version = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
            match version < (2, 31) {
                true => bad("git", text, Some("git 2.31 or later is needed")),
                false => good("git", text),
            }
        }
        Err(error) => bad("git", error.to_string(), Some("install git")),
    })
}

fn identity(repository: &Repository) -> Check {
    match &repository.person {
        Some(person) => good("identity", person.clone()),
        None => bad(
            "identity",
            "git knows no name and address for commits and tags",
            Some("set them: git config user.name NAME; git config user.email ADDRESS"),
        ),
    }
}

fn history(repository: &Repository) -> Check {
    match repository.require_history() {
        Err(error) => Check {
            name: "history",
            state: State::Bad,
            help: error.hints.first().cloned(),
            found: error.message,
        },
        Ok(_) => match &repository.branch {
            None => warning("history", "HEAD is detached", "releases need a branch: git switch main"),
            Some(branch) => {
                let tags = counted(repository.tags.len(), "tag", "tags");
                match repository.dirty.len() {
                    0 => good("history", format!("on {branch}, {tags}, nothing uncommitted")),
                    count => warning(
                        "history",
                        format!("on {branch}, {tags}, {} uncommitted", counted(count, "change", "changes")),
                        "commit or stash them before a release",
                    ),
                }
            }
        },
    }
}

/// Whether git could tell of a long history faster than it does.
fn speed(repository: &Repository) -> Option<Check> {
    let history = &repository.history;
    if history.has_commit_graph() || history.is_shallow() {
        return None;
    }
    let head = history.head().ok().flatten()?;
    // What keeps it from being counted is said elsewhere.
    let count = history.count(&Range { most: Some(LONG), ..Range::all(head) }).ok()?;
    (count >= LONG).then(|| {
        warning(
            "speed",
            format!("there are {LONG} commits or more and no commit-graph, so that each of them is read"),
            "have git write one: git commit-graph write --reachable --changed-paths",
        )
    })
}

fn remote(project: &Project, repository: &Repository, offline: bool) -> Result<Option<Check>> {
    let Some(remote) = &repository.remote else {
        let wanted = sanitize_line(&project.config.git.remote);
        let help = format!("add it: git remote add {wanted} URL");
        return Ok(Some(warning("remote", format!("there is no remote `{wanted}`"), &help)));
    };
    if offline {
        return Ok(None);
    }
    let git = project.git();
    let answer = project.block_on(async {
        let limit = std::time::Duration::from_secs(15);
        tokio::time::timeout(limit, git.remote_refs(remote, &["HEAD".to_owned()])).await
    })?;
    Ok(Some(match answer {
        Ok(Ok(_)) => good("remote", format!("{remote} answers")),
        Ok(Err(error)) => bad("remote", error.to_string(), Some("check its address and your access to it")),
        Err(_) => bad("remote", format!("{remote} did not answer within 15 s"), None),
    }))
}

/// Tried for real: permissions alone do not tell of a read-only or full disk.
fn journal(project: &Project) -> Check {
    let folder =
        if project.state.is_dir() { &project.state } else { project.state.parent().unwrap_or(&project.root) };
    match tempfile::tempfile_in(folder) {
        Ok(_) => good("journal", "the git directory can be written"),
        Err(error) => bad("journal", format!("the git directory cannot be written: {error}"), None),
    }
}

fn configuration(project: &Project) -> Check {
    let errors = project.config_findings.iter().filter(|finding| finding.severity == Severity::Error).count();
    match (&project.config_file, errors) {
        (None, _) => good("configuration", "there is no windlass.toml; the defaults hold"),
        (Some((path, _)), 0) => good("configuration", path.clone()),
        (Some((path, _)), count) => {
            let found = format!("{} in {path}", counted(count, "error", "errors"));
            bad("configuration", found, Some("see them with `windlass check`"))
        }
    }
}

fn versions(project: &Project) -> Check {
    if !project.config.packages.is_empty() {
        return packages(project);
    }
    let read = holders::read(project);
    match read.and_then(|holders| holders::agreed(&holders).map(|version| (holders, version))) {
        Ok((holders, Some(version))) => {
            let paths: Vec<&str> = holders.iter().map(|holder| holder.path.as_str()).collect();
            good("version", format!("{version} in {}", paths.join(", ")))
        }
        Ok((_, None)) => warning(
            "version",
            "no file states the version",
            "list them under [version] holders in windlass.toml; without one the tags say it all",
        ),
        Err(error) => bad("version", error.message, error.hints.first().map(String::as_str)),
    }
}

/// What the files of each package state.
fn packages(project: &Project) -> Check {
    let mut told = Vec::new();
    for unit in project.config.units() {
        let name = sanitize_line(unit.package.as_deref().unwrap_or_default());
        match holders::of_unit(project, &unit).and_then(|holders| holders::agreed(&holders)) {
            Ok(Some(version)) => told.push(format!("{name} {version}")),
            Ok(None) => told.push(format!("{name} in no file")),
            Err(error) => {
                let message = format!("{name}: {}", error.message);
                return bad("version", message, error.hints.first().map(String::as_str));
            }
        }
    }
    good("version", told.join(", "))
}

fn runbooks(project: &Project) -> Vec<Check> {
    let files = match project.runbooks() {
        Ok(files) => files,
        Err(error) => return vec![bad("runbooks", error.message, None)],
    };
    if files.is_empty() {
        return vec![warning("runbooks", "there is none", "write one with `windlass init`")];
    }
    let is_error = |severity| severity == Severity::Error;
    let wrong: Vec<&str> = files
        .iter()
        .filter(|file| file.diagnostics.iter().any(|finding| is_error(finding.severity)))
        .map(|file| file.path.as_str())
        .collect();
    let mut checks = vec![match wrong.is_empty() {
        true => good("runbooks", counted(files.len(), "runbook", "runbooks")),
        false => {
            bad("runbooks", format!("errors in {}", wrong.join(", ")), Some("see them with `windlass check`"))
        }
    }];
    let mut used = BTreeSet::new();
    for item in files.iter().flat_map(|file| file.runbook.items()) {
        tools(item, &mut used);
    }
    let missing: Vec<&str> = used
        .iter()
        .map(String::as_str)
        .filter(|name| !preflight::is_installed(name, &project.environment))
        .collect();
    if !used.is_empty() {
        checks.push(match missing.is_empty() {
            true => good("tools", used.iter().map(String::as_str).collect::<Vec<_>>().join(", ")),
            false => bad("tools", format!("not installed: {}", missing.join(", ")), Some("install them")),
        });
    }
    checks
}

/// What the scripts of an item start.
fn tools(item: &Item, used: &mut BTreeSet<String>) {
    match item {
        Item::Script(script) if script.attributes.skip => {}
        Item::Script(script) => match script.language {
            Language::Python => drop(used.insert("python3".into())),
            Language::Sh | Language::Bash => used.extend(preflight::commands(&script.text)),
        },
        Item::Check(check) => check_tools(check, used),
        Item::Checklist(list) => list.checks.iter().for_each(|check| check_tools(check, used)),
        Item::Action(_) | Item::Call(_) => {}
    }
}

fn check_tools(check: &RunbookCheck, used: &mut BTreeSet<String>) {
    used.extend(check.command.iter().flat_map(|command| preflight::commands(&command.value)));
    check.children.iter().for_each(|child| check_tools(child, used));
}
