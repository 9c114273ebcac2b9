//! The next version: what history says of a unit, weighed as the core decides it.

use std::collections::BTreeMap;
use std::str::FromStr as _;

use windlass_core::changelog::Changelog;
use windlass_core::commit::Commit;
use windlass_core::config::Unit;
use windlass_core::plan::CommitFact;
use windlass_core::text::{sanitize, sanitize_line};
use windlass_core::version::next::{
    Baseline, Decision, Line, NextError, NextInput, Request, Tally, decide, find,
};
use windlass_core::version::package::{PackageInput, decide_all};
use windlass_core::version::{Bump, Channel, Policy, Version, parse_version};
use windlass_history::{Id, PathFilter, Range};

use crate::error::{CommandError, Result};
use crate::exit::Exit;
use crate::facts::{Repository, today};
use crate::files;
use crate::project::Project;
use crate::withdrawn::{self, Why};

mod look;
mod unit;

pub use unit::{meant, policy, require_one_package, require_package, stated, unit};

use look::{look, read_commits};

/// More commits than this since one release are not weighed.
const MOST_COMMITS: usize = 20_000;

/// Which version is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VersionRequest {
    /// This very version, with or without `v`.
    pub exact: Option<String>,
    /// `patch`, `minor` or `major`.
    pub bump: Option<String>,
    /// A hotfix.
    pub hotfix: bool,
    /// A channel, or the word of one.
    pub channel: Option<String>,
    /// The tag or version of a pre-release that is promoted on its own commit.
    pub promote: Option<String>,
    /// The package; the whole repository without one.
    pub package: Option<String>,
    /// What stands for HEAD.
    pub at: Option<String>,
}

impl VersionRequest {
    /// The unit that is versioned.
    ///
    /// # Errors
    /// When no package has the name.
    pub fn unit(&self, project: &Project) -> Result<Unit> {
        project.config.unit(self.package.as_deref()).map_err(|error| {
            CommandError::invalid(format!("there is no package `{}`", error.name)).hint(error.help)
        })
    }
}

/// Refuses the first release of a version that the changelog lists as released: then the tags were not fetched.
fn refuse_without_tags(
    project: &Project,
    repository: &Repository,
    weighed: &Weighed,
    asked: &Asked,
) -> Result<()> {
    if asked.request != Request::Auto || !repository.tags.is_empty() {
        return Ok(());
    }
    let path = &weighed.unit.changelog;
    let text = files::read_if_there(&project.root.join(path), path, files::LARGEST_FILE)?;
    let read = text.as_deref().and_then(|text| Changelog::parse(text).ok());
    let Some((_, release)) = read.as_ref().and_then(Changelog::latest) else { return Ok(()) };
    Err(CommandError::invalid(format!(
        "there is no tag here, but {} has the release {}: were the tags not fetched?",
        sanitize_line(path),
        release.version
    ))
    .hint("fetch them with `git fetch --tags`; where that release was never tagged, give the version with --version"))
}

/// A unit's releases and commits, and what follows from them.
#[derive(Debug, Clone)]
pub struct Weighed {
    /// The unit.
    pub unit: Unit,
    /// Its rules.
    pub policy: Policy,
    /// What of it has been released so far.
    pub baseline: Baseline,
    /// The commit that is to be released.
    pub target: Id,
    /// That commit is HEAD.
    pub is_head: bool,
    /// The commits since the baseline, newest first.
    pub commits: Vec<Commit>,
    /// There are more than were read.
    pub truncated: bool,
    /// What they amount to.
    pub tally: Tally,
    /// The version, or why there is none.
    pub outcome: std::result::Result<Decision, NextError>,
    withdrawn: BTreeMap<Version, Why>,
}

/// What of a unit has been released so far, seen from HEAD.
///
/// # Errors
/// When history cannot be read.
pub fn released(project: &Project, repository: &Repository, unit: Unit) -> Result<Baseline> {
    Ok(look(project, repository, unit, &VersionRequest::default())?.baseline)
}

/// Weighs one unit.
///
/// # Errors
/// When the request is none, and when history cannot be read.
pub fn weigh(
    project: &Project,
    repository: &Repository,
    stated: Option<&Version>,
    request: &VersionRequest,
) -> Result<Weighed> {
    let unit = request.unit(project)?;
    let is_auto = Asked::of(request)?.request == Request::Auto;
    if unit.linked.is_some() || (is_auto && !unit.depends_on.is_empty()) {
        let all = weigh_group(project, repository, request)?;
        let own = all.into_iter().find(|weighed| weighed.unit.package == unit.package);
        return own.ok_or_else(|| CommandError::failed("the package was lost while it was weighed"));
    }
    let mut weighed = look(project, repository, unit, request)?;
    let range = since(&weighed);
    let filter = PathFilter::new(&weighed.unit.paths);
    weighed.take(repository.history.commits(&range, Some(&filter)).map_err(unreadable)?);
    let asked = Asked::of(request)?;
    weighed.require_all_commits(&asked)?;
    refuse_without_tags(project, repository, &weighed, &asked)?;
    let prepared = weighed.prepare(project, repository, request, &asked)?;
    weighed.outcome = decide(&weighed.baseline, &prepared.input(&weighed, &asked, stated));
    weighed.add_reasons();
    Ok(weighed)
}

/// Weighs the package that is asked about and those that share its version: what is asked of one is asked of them all.
/// But a promotion is of one tag.
///
/// # Errors
/// As [`weigh`].
pub fn weigh_group(
    project: &Project,
    repository: &Repository,
    request: &VersionRequest,
) -> Result<Vec<Weighed>> {
    let asked = request.unit(project)?;
    let is_own = |unit: &Unit| match &asked.linked {
        Some(group) if request.promote.is_none() => unit.linked.as_ref() == Some(group),
        _ => unit.package == asked.package,
    };
    if Asked::of(request)?.request == Request::Auto {
        // What others call for counts, too.
        let mut all = weigh_all(project, repository, request)?;
        all.retain(|weighed| is_own(&weighed.unit));
        return Ok(all);
    }
    let units = project.config.units().into_iter().filter(is_own).collect();
    weigh_units(project, repository, request, units)
}

/// Weighs every package, in one walk through history.
///
/// # Errors
/// As [`weigh`].
pub fn weigh_all(
    project: &Project,
    repository: &Repository,
    request: &VersionRequest,
) -> Result<Vec<Weighed>> {
    weigh_units(project, repository, request, project.config.units())
}

fn weigh_units(
    project: &Project,
    repository: &Repository,
    request: &VersionRequest,
    units: Vec<Unit>,
) -> Result<Vec<Weighed>> {
    let mut all = Vec::new();
    for unit in units {
        all.push(look(project, repository, unit, request)?);
    }
    let outdated = read_commits(repository, &mut all)?;
    let asked = Asked::of(request)?;
    let mut prepared = Vec::new();
    for weighed in &all {
        weighed.require_all_commits(&asked)?;
        let stated = stated(project, &weighed.unit)?;
        prepared.push((weighed.prepare(project, repository, request, &asked)?, stated));
    }
    let inputs: Vec<PackageInput<'_>> = all
        .iter()
        .zip(&prepared)
        .zip(&outdated)
        .map(|((weighed, (prepared, stated)), outdated)| PackageInput {
            name: weighed.unit.package.as_deref().unwrap_or_default(),
            depends_on: &weighed.unit.depends_on,
            linked: weighed.unit.linked.as_deref(),
            outdated,
            baseline: &weighed.baseline,
            input: prepared.input(weighed, &asked, stated.as_ref()),
        })
        .collect();
    let decided = decide_all(&inputs);
    for (weighed, decided) in all.iter_mut().zip(decided) {
        weighed.outcome = decided.outcome;
        weighed.add_reasons();
    }
    Ok(all)
}

fn since(weighed: &Weighed) -> Range {
    Range { to: weighed.target, hidden: weighed.from().into_iter().collect(), most: Some(MOST_COMMITS + 1) }
}

/// A request as the core takes it.
struct Asked {
    request: Request,
}

impl Asked {
    fn of(request: &VersionRequest) -> Result<Self> {
        let invalid = |error: String| CommandError::invalid(error);
        let request = match request {
            VersionRequest { promote: Some(name), .. } => Request::Promote(name.clone()),
            VersionRequest { exact: Some(exact), .. } => {
                Request::Exact(parse_version(exact).map_err(|error| invalid(error.to_string()))?)
            }
            VersionRequest { hotfix: true, .. } => Request::Hotfix,
            VersionRequest { bump: Some(bump), .. } => {
                Request::Bump(Bump::from_str(bump).map_err(|error| invalid(error.to_string()))?)
            }
            _ => Request::Auto,
        };
        Ok(Self { request })
    }
}

/// What the input of a decision borrows from.
struct Prepared {
    channel: Channel,
    label: Option<String>,
    withdrawn: Vec<Version>,
    line: Option<Line>,
    today: jiff::civil::Date,
}

impl Prepared {
    fn input<'a>(
        &'a self,
        weighed: &'a Weighed,
        asked: &'a Asked,
        stated: Option<&'a Version>,
    ) -> NextInput<'a> {
        NextInput {
            commits: &weighed.commits,
            stated,
            request: &asked.request,
            channel: self.channel,
            label: self.label.as_deref(),
            policy: &weighed.policy,
            withdrawn: &self.withdrawn,
            line: self.line.as_ref(),
            at_least: None,
            today: self.today,
        }
    }
}

impl Weighed {
    /// The commit that commits are counted from.
    fn from(&self) -> Option<Id> {
        self.baseline.current.as_ref().and_then(|current| Id::from_str(&current.commit).ok())
    }

    fn take(&mut self, mut commits: Vec<Commit>) {
        self.truncated = commits.len() > MOST_COMMITS;
        commits.truncate(MOST_COMMITS);
        self.tally = Tally::of(&commits, &self.policy);
        self.commits = commits;
    }

    fn prepare(
        &self,
        project: &Project,
        repository: &Repository,
        request: &VersionRequest,
        asked: &Asked,
    ) -> Result<Prepared> {
        let (channel, label) = match &request.channel {
            Some(word) => {
                let released = self.baseline.all.iter().map(|tagged| &tagged.version);
                let named = self.policy.channel_named(word, released);
                named.map_err(|error| CommandError::invalid(error.to_string()))?
            }
            None => (Channel::Stable, None),
        };
        // The branch's name speaks of what is made there, not of another commit.
        let here = request.at.is_none() && !matches!(asked.request, Request::Promote(_));
        let branch = repository.branch.clone().or_else(|| built_branch(project));
        let line = branch.as_deref().filter(|_| here).and_then(Line::of_branch);
        let withdrawn = withdrawn::versions(&self.withdrawn);
        Ok(Prepared { channel, label, withdrawn, line, today: today(project) })
    }

    /// Refuses to weigh only the newest of the commits: the one that breaks something may be among the others.
    fn require_all_commits(&self, asked: &Asked) -> Result<()> {
        let Some(current) = self.baseline.current.as_ref().filter(|_| self.truncated) else { return Ok(()) };
        if asked.request != Request::Auto {
            return Ok(());
        }
        let tag = sanitize_line(&current.tag);
        let message = format!("there are more than {MOST_COMMITS} commits since `{tag}`: too many to weigh");
        Err(CommandError::invalid(message)
            .hint("say which step it is with --bump, or give the version with --version"))
    }

    /// What the core cannot know.
    fn add_reasons(&mut self) {
        if let Ok(decision) = &mut self.outcome {
            let reasons = withdrawn::reasons(&self.withdrawn, decision);
            decision.reasons.extend(reasons);
            if self.truncated {
                decision.reasons.push(format!("only the newest {MOST_COMMITS} commits were read"));
            }
        }
    }

    /// The commits of the release, newest first: those since the release it follows, which for a stable release
    /// after pre-releases are more than those since the baseline.
    ///
    /// # Errors
    /// When history cannot be read.
    pub fn release_commits(&self, repository: &Repository) -> Result<Vec<Commit>> {
        let Ok(decision) = &self.outcome else { return Ok(self.commits.clone()) };
        let previous = decision.previous_tag.as_deref().and_then(|tag| find(&self.baseline.all, tag));
        let hidden = previous.and_then(|previous| Id::from_str(&previous.commit).ok());
        if hidden == self.from() {
            return Ok(self.commits.clone());
        }
        let range = Range { to: self.target, hidden: hidden.into_iter().collect(), most: Some(MOST_COMMITS) };
        let filter = PathFilter::new(&self.unit.paths);
        repository.history.commits(&range, Some(&filter)).map_err(unreadable)
    }
}

/// The branch that a CI builds, which checks its commit out without it. Tags and merge requests are no branch.
fn built_branch(project: &Project) -> Option<String> {
    let variable = |name: &str| project.environment.get(name).filter(|value| !value.is_empty()).cloned();
    let github =
        || variable("GITHUB_REF_NAME").filter(|_| variable("GITHUB_REF_TYPE").as_deref() == Some("branch"));
    let azure = || variable("BUILD_SOURCEBRANCH")?.strip_prefix("refs/heads/").map(str::to_owned);
    variable("CI_COMMIT_BRANCH")
        .or_else(github)
        .or_else(azure)
        .or_else(|| variable("BITBUCKET_BRANCH"))
        .or_else(|| variable("CIRCLE_BRANCH"))
}

/// A commit as a fact that may be shown.
pub fn fact(commit: &Commit) -> CommitFact {
    CommitFact {
        id: commit.id.clone(),
        subject: sanitize_line(commit.subject()),
        author: sanitize_line(&commit.author_email),
        author_name: sanitize_line(&commit.author_name),
        message: sanitize(&commit.message),
    }
}

/// An error of history as a command's error.
pub fn unreadable(error: windlass_history::HistoryError) -> CommandError {
    told(Exit::Failed, &error.to_string())
}

/// Why there is no version, as a command's error.
pub fn refused(error: &NextError) -> CommandError {
    let exit = match error {
        NextError::NothingToRelease { .. } => Exit::NothingToRelease,
        _ => Exit::Invalid,
    };
    told(exit, &error.to_string())
}

/// These errors tell what to do after a semicolon; commands show that on a line of its own.
fn told(exit: Exit, text: &str) -> CommandError {
    match text.rsplit_once("; ") {
        Some((what, help)) => CommandError::new(exit, what).hint(help),
        None => CommandError::new(exit, text),
    }
}
