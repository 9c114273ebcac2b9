//! Facts: what planning reads from the repository, read-only, and the version that follows from them.

use std::collections::BTreeMap;
use std::str::FromStr as _;

use windlass_actions::adapters::git::{Commits, Tag};
use windlass_core::commit::Commit;
use windlass_core::config::Sign;
use windlass_core::plan::{CommitFact, EntryFact, Facts, HolderFact, ReleaseFact};
use windlass_core::version::next::{
    Baseline, Decision, NextError, NextInput, Request, TagFact, baseline, decide,
};
use windlass_core::version::{Bump, Channel, Impact, Policy, TagFormat, Version, parse_version};

use crate::error::{CommandError, Result};
use crate::exit::Exit;
use crate::files;
use crate::half_done;
use crate::holders;
use crate::notes;
use crate::project::Project;
use crate::withdrawn;

/// More commits than this in one release are not read.
const MOST_COMMITS: usize = 5000;

/// Which version is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VersionRequest {
    /// This very version, with or without `v`.
    pub exact: Option<String>,
    /// `patch`, `minor` or `major`.
    pub bump: Option<String>,
    /// A hotfix.
    pub hotfix: bool,
    /// `alpha`, `beta`, `rc`, `stable` or `hotfix`.
    pub channel: Option<String>,
}

/// The repository as git tells it.
#[derive(Debug, Clone)]
pub struct Repository {
    /// The commit HEAD names; `None` before the first commit.
    pub head: Option<String>,
    /// The branch checked out; `None` when HEAD is detached.
    pub branch: Option<String>,
    /// All tags.
    pub tags: BTreeMap<String, Tag>,
    /// Tracked paths that differ from HEAD.
    pub dirty: Vec<String>,
    /// Only the newest part of the history is here.
    pub shallow: bool,
    /// Who works here.
    pub person: Option<String>,
    /// The remote that releases go to.
    pub remote: Option<String>,
    /// All remotes.
    pub remotes: Vec<String>,
}

impl Repository {
    /// Asks git.
    ///
    /// # Errors
    /// When git cannot be run or fails.
    pub fn read(project: &Project) -> Result<Self> {
        let git = project.git();
        project.block_on(async {
            let (head, branch, tags, dirty, shallow, person, remotes) = tokio::join!(
                git.head(),
                git.branch(),
                git.tags(),
                git.dirty(),
                git.is_shallow(),
                git.person(),
                git.remotes(),
            );
            let remotes = remotes.map_err(failed)?;
            let wanted = &project.config.git.remote;
            let remote = match remotes.as_slice() {
                _ if remotes.contains(wanted) => Some(wanted.clone()),
                // Nothing names another one, and there is only one to mean.
                [only] if !project.states("remote") => Some(only.clone()),
                _ => None,
            };
            let head = head.map_err(failed)?;
            Ok(Self {
                // Before the first commit there is nothing to differ from.
                dirty: if head.is_some() { dirty.map_err(failed)? } else { Vec::new() },
                head,
                branch: branch.map_err(failed)?,
                tags: tags.map_err(failed)?,
                shallow: shallow.map_err(failed)?,
                person: person.map_err(failed)?.map(|person| person.email),
                remote,
                remotes,
            })
        })?
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

/// The project's rules for versions.
///
/// # Errors
/// When the tag format cannot be used.
pub fn policy(project: &Project) -> Result<Policy> {
    let version = &project.config.version;
    let tag_format =
        TagFormat::parse(&version.tag).map_err(|error| CommandError::invalid(error.to_string()))?;
    let impact = |text: &String| match text.as_str() {
        "major" => Impact::Major,
        "minor" => Impact::Minor,
        "patch" => Impact::Patch,
        _ => Impact::None,
    };
    Ok(Policy {
        tag_format,
        initial_development: version.initial_development,
        bump_rules: version.rules.iter().map(|(kind, text)| (kind.clone(), impact(text))).collect(),
        hotfix_suffix: version.hotfix_suffix,
    })
}

/// The next version and what it rests on.
#[derive(Debug, Clone)]
pub struct Next {
    /// The decision.
    pub decision: Decision,
    /// What has been released so far.
    pub baseline: Baseline,
    /// The commits of the release, newest first.
    pub commits: Vec<CommitFact>,
    /// There are more commits than were read.
    pub truncated: bool,
}

/// Decides the next version.
///
/// # Errors
/// When there is none (exit code 3 when nothing calls for a release), and when the request is none.
pub fn next(
    project: &Project,
    repository: &Repository,
    stated: Option<&Version>,
    request: &VersionRequest,
) -> Result<Next> {
    repository.require_history()?;
    let policy = policy(project)?;
    let (asked, channel) = read_request(request)?;
    let withdrawn = withdrawn::read(project, repository, &policy)?;
    let versions = withdrawn::versions(&withdrawn);
    let baseline = released(repository, &policy, &versions);
    let read = read_commits(project, repository, &baseline)?;
    let commits: Vec<Commit> = read.commits.iter().map(commit).collect();
    let input = NextInput {
        commits: &commits,
        stated,
        request: &asked,
        channel,
        policy: &policy,
        withdrawn: &versions,
    };
    let mut decision = match decide(&baseline, &input) {
        Ok(decision) => decision,
        Err(error) => {
            let mut error = refused(error);
            if error.exit == Exit::NothingToRelease {
                let released = baseline.stable.as_ref().map(|stable| &stable.version);
                error.hints.extend(half_done::advice(project, released)?);
            }
            return Err(error);
        }
    };
    decision.reasons.extend(withdrawn::reasons(&withdrawn, &decision));
    if read.truncated {
        decision.reasons.push(format!("only the newest {MOST_COMMITS} commits were read"));
    }
    Ok(Next { decision, baseline, commits: read.commits, truncated: read.truncated })
}

/// The commits that no release contains, newest first.
///
/// # Errors
/// When git fails.
pub fn commits_since_release(
    project: &Project,
    repository: &Repository,
    policy: &Policy,
) -> Result<Vec<Commit>> {
    let withdrawn = withdrawn::versions(&withdrawn::read(project, repository, policy)?);
    let read = read_commits(project, repository, &released(repository, policy, &withdrawn))?;
    Ok(read.commits.iter().map(commit).collect())
}

fn released(repository: &Repository, policy: &Policy, withdrawn: &[Version]) -> Baseline {
    let tags: Vec<TagFact> = repository
        .tags
        .iter()
        .map(|(name, tag)| TagFact {
            name: name.clone(),
            reachable: tag.reachable,
            commits_since: (Some(&tag.commit) == repository.head.as_ref()).then_some(0),
        })
        .collect();
    baseline(&tags, policy, withdrawn)
}

fn read_commits(project: &Project, repository: &Repository, baseline: &Baseline) -> Result<Commits> {
    let from = baseline.stable.as_ref().and_then(|stable| repository.tags.get(&stable.tag));
    let git = project.git();
    let from = from.map(|tag| tag.commit.as_str());
    project.block_on(git.commits(from, "HEAD", MOST_COMMITS))?.map_err(failed)
}

fn commit(fact: &CommitFact) -> Commit {
    Commit {
        id: fact.id.clone(),
        author_name: fact.author_name.clone(),
        author_email: fact.author.clone(),
        message: fact.message.clone(),
        ..Commit::default()
    }
}

fn read_request(request: &VersionRequest) -> Result<(Request, Channel)> {
    let invalid = |error: String| CommandError::invalid(error);
    let channel = match &request.channel {
        Some(channel) => Channel::from_str(channel).map_err(|error| invalid(error.to_string()))?,
        None => Channel::Stable,
    };
    let asked = match request {
        VersionRequest { exact: Some(exact), .. } => {
            Request::Exact(parse_version(exact).map_err(|error| invalid(error.to_string()))?)
        }
        VersionRequest { hotfix: true, .. } => Request::Hotfix,
        VersionRequest { bump: Some(bump), .. } => {
            Request::Bump(Bump::from_str(bump).map_err(|error| invalid(error.to_string()))?)
        }
        _ => Request::Auto,
    };
    Ok((asked, channel))
}

fn refused(error: NextError) -> CommandError {
    let exit = match error {
        NextError::NothingToRelease { .. } => Exit::NothingToRelease,
        _ => Exit::Invalid,
    };
    // The error tells what to do after a semicolon; commands show that on a line of its own.
    let text = error.to_string();
    match text.rsplit_once("; ") {
        Some((what, help)) => CommandError::new(exit, what).hint(help),
        None => CommandError::new(exit, text),
    }
}

/// Everything that binding needs to know of the world. `release` is decided only when asked for.
///
/// # Errors
/// As [`next`], and when a holder or the changelog cannot be read.
pub fn facts(project: &Project, repository: &Repository, release: Option<&VersionRequest>) -> Result<Facts> {
    let holders = holders::read(project)?;
    let stated = holders.first().and_then(|holder| parse_version(&holder.version).ok());
    let changelog = changelog(project)?;
    let fact = match release {
        None => None,
        Some(request) => {
            let next = next(project, repository, stated.as_ref(), request)?;
            Some(release_fact(project, next, changelog.as_deref())?)
        }
    };
    Ok(Facts {
        head: repository.head.clone(),
        branch: repository.branch.clone(),
        remote: repository.remote.clone(),
        dirty: repository.dirty.clone(),
        tags: repository.tags.iter().map(|(name, tag)| (name.clone(), tag.commit.clone())).collect(),
        release: fact,
        holders,
        changelog: changelog.map(|_| project.config.changelog.path.clone()),
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
    })
}

/// The changelog's text, when there is one.
///
/// # Errors
/// When it cannot be read.
pub fn changelog(project: &Project) -> Result<Option<String>> {
    let path = &project.config.changelog.path;
    files::read_if_there(&project.root.join(path), path, files::LARGEST_FILE)
}

/// The configured branch; the one checked out where nothing is configured.
fn main_branch(project: &Project, repository: &Repository) -> String {
    match (&repository.branch, project.states("branch")) {
        (Some(branch), false) => branch.clone(),
        _ => project.config.git.branch.clone(),
    }
}

fn release_fact(project: &Project, next: Next, changelog: Option<&str>) -> Result<ReleaseFact> {
    let Next { decision, commits, .. } = next;
    let told: Vec<Commit> = commits.iter().map(commit).collect();
    let previous_tag = decision.previous_tag.as_deref();
    let notes = notes::planned(project, &decision.version, previous_tag, changelog, &told)?;
    Ok(ReleaseFact {
        version: decision.version.to_string(),
        tag: decision.tag,
        previous: decision.previous.map(|previous| previous.to_string()),
        previous_tag: decision.previous_tag,
        channel: decision.channel.as_str().to_owned(),
        bump: decision.bump.map(|bump| bump.to_string()),
        reasons: decision.reasons,
        commits,
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

/// What the holders state, when they agree.
///
/// # Errors
/// When they state different versions.
pub fn agreed(holders: &[HolderFact]) -> Result<Option<Version>> {
    let Some(first) = holders.first() else { return Ok(None) };
    if let Some(other) = holders.iter().find(|holder| holder.version != first.version) {
        return Err(CommandError::invalid(format!(
            "the files that state the version disagree: {} says {}, {} says {}",
            first.path, first.version, other.path, other.version
        ))
        .hint("make them say the same, or list the right ones under [version] holders in windlass.toml"));
    }
    parse_version(&first.version)
        .map(Some)
        .map_err(|error| CommandError::invalid(format!("{}: {error}", first.path)))
}
