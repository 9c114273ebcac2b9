//! Facts: what planning reads from the repository, read-only, and the version that follows from them.

use std::collections::BTreeMap;
use std::sync::Arc;

use windlass_core::commit::Commit;
use windlass_core::config::{Sign, Unit};
use windlass_core::plan::{EntryFact, Facts, ReleaseFact};
use windlass_core::version::next::{Decision, NextError};
use windlass_core::version::{Policy, Version, parse_version};
use windlass_history::History;

use crate::error::{CommandError, Result};
use crate::exit::Exit;
use crate::files;
use crate::half_done;
use crate::holders;
use crate::notes;
use crate::project::Project;
use crate::versions::{self, Weighed, unreadable};

pub use crate::versions::VersionRequest;

/// More commits than this are not listed in a plan.
const MOST_LISTED: usize = 5000;

/// The repository as git tells it.
#[derive(Debug, Clone)]
pub struct Repository {
    /// The commit HEAD names; `None` before the first commit.
    pub head: Option<String>,
    /// The branch checked out; `None` when HEAD is detached.
    pub branch: Option<String>,
    /// All tags, each with the id of its commit.
    pub tags: BTreeMap<String, String>,
    /// Tracked paths that differ from HEAD.
    pub dirty: Vec<String>,
    /// Only the newest part of the history is here.
    pub shallow: bool,
    /// Who works here.
    pub person: Option<String>,
    /// The remote that releases go to.
    pub remote: Option<String>,
    /// Where that remote is, without credentials.
    pub remote_url: Option<String>,
    /// All remotes.
    pub remotes: Vec<String>,
    /// Its commits.
    pub history: Arc<History>,
}

impl Repository {
    /// Reads everything; for what the history does not say, asks git.
    ///
    /// # Errors
    /// When git cannot be run or fails, and when the repository is damaged.
    pub fn read(project: &Project) -> Result<Self> {
        let read = Self::read_history(project)?;
        let git = project.git();
        project.block_on(async {
            let (dirty, person, remotes) = tokio::join!(git.dirty(), git.person(), git.remotes());
            let remotes = remotes.map_err(failed)?;
            let wanted = &project.config.git.remote;
            let remote = match remotes.as_slice() {
                _ if remotes.contains(wanted) => Some(wanted.clone()),
                // Nothing names another one, and there is only one to mean.
                [only] if !project.states("remote") => Some(only.clone()),
                _ => None,
            };
            let remote_url = match &remote {
                Some(remote) => git.remote_url(remote).await.map_err(failed)?,
                None => None,
            };
            Ok(Self {
                // Before the first commit there is nothing to differ from.
                dirty: if read.head.is_some() { dirty.map_err(failed)? } else { Vec::new() },
                person: person.map_err(failed)?.map(|person| person.email),
                remote,
                remote_url,
                remotes,
                ..read
            })
        })?
    }

    /// Reads what a version is decided from, and starts no process: changes in the checkout, people and remotes stay
    /// unknown.
    ///
    /// # Errors
    /// When the repository is damaged.
    pub fn read_history(project: &Project) -> Result<Self> {
        let history = History::open(&project.root).map_err(unreadable)?.keep_in(&project.state.join("paths"));
        let tags = history.tags().map_err(unreadable)?;
        Ok(Self {
            head: history.head().map_err(unreadable)?.map(|head| head.to_string()),
            branch: history.branch().map_err(unreadable)?,
            tags: tags.into_iter().map(|tag| (tag.name, tag.commit.to_string())).collect(),
            dirty: Vec::new(),
            shallow: history.is_shallow(),
            person: None,
            remote: None,
            remote_url: None,
            remotes: Vec::new(),
            history: Arc::new(history),
        })
    }

    /// Refuses a repository that no version can be decided in.
    ///
    /// # Errors
    /// Without a commit, and when the history is not all there.
    pub fn require_history(&self) -> Result<&str> {
        let Some(head) = &self.head else {
            return Err(CommandError::invalid(
                "this repository has no commit yet, so there is nothing to release",
            )
            .hint("commit something first"));
        };
        if self.shallow {
            return Err(CommandError::invalid(
                "this is a shallow clone: the commits since the last release cannot be counted",
            )
            .hint("fetch the rest with `git fetch --unshallow --tags`"));
        }
        Ok(head)
    }
}

/// An error of git as a command's error.
pub fn failed(error: windlass_engine::action::ActionError) -> CommandError {
    CommandError::failed(error.to_string())
}

/// The project's rules for versions of the whole repository.
///
/// # Errors
/// When the configuration's calendar is none.
pub fn policy(project: &Project) -> Result<Policy> {
    versions::policy(project, &VersionRequest::default().unit(project)?)
}

/// Decides the next version; what it rests on comes with it.
///
/// # Errors
/// When there is none (exit code 3 when nothing calls for a release), and when the request is none.
pub fn next(
    project: &Project,
    repository: &Repository,
    stated: Option<&Version>,
    request: &VersionRequest,
) -> Result<Next> {
    let weighed = versions::weigh(project, repository, stated, request)?;
    match &weighed.outcome {
        Ok(decision) => Ok(Next { decision: decision.clone(), weighed }),
        Err(error) => Err(no_version(project, &weighed, error)?),
    }
}

/// The next version and what it rests on.
#[derive(Debug, Clone)]
pub struct Next {
    /// The decision.
    pub decision: Decision,
    /// What it rests on.
    pub weighed: Weighed,
}

/// Why there is no version, with advice about a release that was left half-way.
///
/// # Errors
/// When the journal cannot be read.
pub fn no_version(project: &Project, weighed: &Weighed, error: &NextError) -> Result<CommandError> {
    let mut error = versions::refused(error);
    if error.exit == Exit::NothingToRelease {
        let released = weighed.baseline.stable.as_ref().map(|stable| &stable.version);
        error.hints.extend(half_done::advice(project, weighed.unit.package.as_deref(), released)?);
    }
    Ok(error)
}

/// The commits that no release contains, newest first.
///
/// # Errors
/// When history cannot be read.
pub fn commits_since_release(
    project: &Project,
    repository: &Repository,
    _policy: &Policy,
) -> Result<Vec<Commit>> {
    let weighed = versions::weigh(project, repository, None, &VersionRequest::default())?;
    weighed.release_commits(repository)
}

/// Everything that binding needs to know of the world. `release` is decided only when asked for.
///
/// # Errors
/// As [`next`], and when a holder or the changelog cannot be read.
pub fn facts(project: &Project, repository: &Repository, release: Option<&VersionRequest>) -> Result<Facts> {
    let unit = release.cloned().unwrap_or_default().unit(project)?;
    let mut holders = holders::of_unit(project, &unit)?;
    let stated = holders.first().and_then(|holder| parse_version(&holder.version).ok());
    let changelog = changelog_of(project, &unit)?;
    let fact = match release {
        None => None,
        Some(request) => {
            let next = next(project, repository, stated.as_ref(), request)?;
            holders.extend(holders::following(project, &unit, &holders, &next.decision.version)?);
            Some(release_fact(project, repository, next, changelog.as_deref())?)
        }
    };
    Ok(Facts {
        head: repository.head.clone(),
        branch: repository.branch.clone(),
        remote: repository.remote.clone(),
        dirty: repository.dirty.clone(),
        tags: repository.tags.clone(),
        release: fact,
        holders,
        // A package's entries go into its own file or none: never into the one at the root.
        changelog: (changelog.is_some() || unit.package.is_some()).then_some(unit.changelog),
        plain_holders: !project.config.version.suffix_in_holders,
        entries: EntryFact {
            generated: project.config.changelog.generated,
            template: project.config.changelog.template.clone(),
            headings: project.config.changelog.headings.clone(),
            placeholder: project.config.changelog.placeholder.clone(),
            url: project.config.notes.url.clone(),
        },
        person: repository.person.clone(),
        annotate: project.config.git.annotate,
        sign: match project.config.git.sign {
            Sign::None => "none",
            Sign::Gpg => "gpg",
            Sign::Ssh => "ssh",
        }
        .into(),
        main_branch: main_branch(project, repository),
        environments: project.config.environments.clone(),
        pages: project.config.notify.page.clone(),
        forge: crate::forge::fact(project, repository),
    })
}

/// The changelog's text, when there is one.
///
/// # Errors
/// When it cannot be read.
pub fn changelog(project: &Project) -> Result<Option<String>> {
    changelog_of(project, &VersionRequest::default().unit(project)?)
}

fn changelog_of(project: &Project, unit: &Unit) -> Result<Option<String>> {
    let path = &unit.changelog;
    files::read_if_there(&project.root.join(path), path, files::LARGEST_FILE)
}

/// The configured branch; the one checked out where nothing is configured.
fn main_branch(project: &Project, repository: &Repository) -> String {
    match (&repository.branch, project.states("branch")) {
        (Some(branch), false) => branch.clone(),
        _ => project.config.git.branch.clone(),
    }
}

fn release_fact(
    project: &Project,
    repository: &Repository,
    next: Next,
    changelog: Option<&str>,
) -> Result<ReleaseFact> {
    let Next { decision, weighed } = next;
    let mut commits = weighed.release_commits(repository)?;
    let notes = notes::planned(project, repository, &weighed, &decision, changelog, &commits)?;
    commits.truncate(MOST_LISTED);
    Ok(ReleaseFact {
        package: weighed.unit.package.clone(),
        version: decision.version.to_string(),
        tag: decision.tag,
        target: (!weighed.is_head).then(|| weighed.target.to_string()),
        previous: decision.previous.map(|previous| previous.to_string()),
        previous_tag: decision.previous_tag,
        channel: decision.channel.as_str().to_owned(),
        bump: decision.bump.map(|bump| bump.to_string()),
        reasons: decision.reasons,
        commits: commits.iter().map(versions::fact).collect(),
        date: today(project).to_string(),
        notes,
    })
}

/// The day it is here; the one of `SOURCE_DATE_EPOCH` when that is set, so that a plan can be made again.
pub fn today(project: &Project) -> jiff::civil::Date {
    let epoch = project.environment.get("SOURCE_DATE_EPOCH").and_then(|text| text.parse::<i64>().ok());
    match epoch.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok()) {
        Some(moment) => moment.to_zoned(jiff::tz::TimeZone::UTC).date(),
        None => jiff::Zoned::now().date(),
    }
}
