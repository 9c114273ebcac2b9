//! What a repository says of a unit: its releases, seen from the commit that is asked about, and the commits since.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::str::FromStr as _;

use windlass_core::commit::Commit;
use windlass_core::config::Unit;
use windlass_core::text::sanitize_line;
use windlass_core::version::next::{NextError, Request, TagFact, Tally, View, baseline};
use windlass_core::version::{Policy, TagFormat, Version, parse_version};
use windlass_history::{Id, PathFilter, Range};

use super::{Asked, MOST_COMMITS, VersionRequest, Weighed, policy, unreadable};
use crate::error::{CommandError, Result};
use crate::facts::Repository;
use crate::project::Project;
use crate::withdrawn;

/// What has been released of a unit, seen from the commit that is asked about.
pub(super) fn look(
    project: &Project,
    repository: &Repository,
    unit: Unit,
    request: &VersionRequest,
) -> Result<Weighed> {
    let head = repository.require_history()?;
    let policy = policy(project, &unit)?;
    let withdrawn = withdrawn::read(project, repository, &unit, &policy)?;
    let versions = withdrawn::versions(&withdrawn);
    let target = target(repository, &policy, request, head)?;
    let tags = tags(repository, request, target)?;
    if let Some(package) = unit.package.as_deref().filter(|_| request.at.is_none()) {
        require_folder(project, package, &unit.folder)?;
    }
    let packages = project.config.packages.keys().map(|name| Some(name.as_str()));
    let others: Vec<TagFormat> = packages
        .chain([None])
        .filter_map(|name| project.config.unit(name).ok())
        .filter(|other| other.package != unit.package)
        .map(|other| other.tag)
        .collect();
    let id = target.to_string();
    let asked = Asked::of(request)?;
    let view = View {
        head: &id,
        policy: &policy,
        withdrawn: &versions,
        others: &others,
        hotfix: asked.request == Request::Hotfix || request.channel.as_deref() == Some("hotfix"),
    };
    let mut ancestry = repository.history.ancestry(target);
    let baseline = baseline(&tags, &view, |tagged| match Id::from_str(&tagged.commit) {
        Ok(commit) => ancestry.contains(commit).map_err(unreadable),
        Err(_) => Ok(false),
    })?;
    Ok(Weighed {
        unit,
        policy,
        baseline,
        is_head: id == head,
        target,
        commits: Vec::new(),
        truncated: false,
        tally: Tally::default(),
        outcome: Err(NextError::NothingToRelease { baseline: None, commits: 0, what: String::new() }),
        withdrawn,
    })
}

/// Refuses a package whose folder is not there: it would never have anything to release.
fn require_folder(project: &Project, package: &str, folder: &str) -> Result<()> {
    if project.root.join(folder).is_dir() {
        return Ok(());
    }
    let (package, folder) = (sanitize_line(package), sanitize_line(folder));
    Err(CommandError::invalid(format!("the package {package} has no folder: there is no {folder} here"))
        .hint(format!("say where it lies as `path` under [packages.{package}] in windlass.toml")))
}

/// The commit that stands for HEAD.
fn target(repository: &Repository, policy: &Policy, request: &VersionRequest, head: &str) -> Result<Id> {
    if let Some(name) = &request.promote {
        let tag = promoted(repository, policy, name);
        return tag.and_then(|commit| Id::from_str(commit).ok()).ok_or_else(|| {
            CommandError::invalid(format!("there is no release `{}` to promote", sanitize_line(name)))
                .hint("name the tag of a pre-release, such as v1.2.0-rc.1")
        });
    }
    let Some(revision) = &request.at else {
        return Id::from_str(head).map_err(|_| CommandError::failed("HEAD names no commit"));
    };
    repository.history.resolve(revision).map_err(unreadable)?.ok_or_else(|| {
        CommandError::invalid(format!("`{}` names no commit", sanitize_line(revision)))
            .hint("name a commit, a tag or a branch")
    })
}

/// The commit of the release that is meant by a tag's name or by its version.
fn promoted<'a>(repository: &'a Repository, policy: &Policy, name: &str) -> Option<&'a String> {
    repository.tags.get(name).or_else(|| {
        let version = parse_version(name).ok()?;
        repository.tags.get(&policy.tag(&version))
    })
}

/// The tags that can matter. Where another commit stands for HEAD, later ones are not there yet.
fn tags(repository: &Repository, request: &VersionRequest, target: Id) -> Result<Vec<TagFact>> {
    let fact = |(name, commit): (&String, &String)| TagFact { name: name.clone(), commit: commit.clone() };
    let all = repository.tags.iter().map(fact);
    if request.at.is_none() {
        return Ok(all.collect());
    }
    let history = &repository.history;
    let now = history.commit(target).map_err(unreadable)?.committed_at;
    let mut ancestry = history.ancestry(target);
    let mut known = Vec::new();
    for tag in all {
        let Ok(commit) = Id::from_str(&tag.commit) else { continue };
        let later = history.commit(commit).map_err(unreadable)?.committed_at >= now;
        if !later || ancestry.contains(commit).map_err(unreadable)? {
            known.push(tag);
        }
    }
    Ok(known)
}

/// Reads the commits of each package since its own baseline, in one walk. Gives, for each, what it depends on and was
/// released since that baseline.
pub(super) fn read_commits(
    repository: &Repository,
    all: &mut [Weighed],
) -> Result<Vec<Vec<(String, Version)>>> {
    let Some(target) = all.first().map(|weighed| weighed.target) else { return Ok(Vec::new()) };
    // What is since each baseline, by the baseline's commit: ids alone cost little.
    let mut since_each: HashMap<Option<Id>, HashSet<Id>> = HashMap::new();
    for weighed in all.iter() {
        let from = weighed.from();
        if let Entry::Vacant(entry) = since_each.entry(from) {
            let range = Range { to: target, hidden: from.into_iter().collect(), most: None };
            entry.insert(repository.history.ids(&range, None).map_err(unreadable)?.into_iter().collect());
        }
    }
    // The longest of them has all the others in it, or else the walk goes all the way.
    let longest = since_each.iter().max_by_key(|(_, ids)| ids.len());
    let hidden = longest
        .filter(|(_, longest)| since_each.values().all(|ids| ids.is_subset(longest)))
        .and_then(|(from, _)| *from);
    let range = Range { to: target, hidden: hidden.into_iter().collect(), most: None };
    let filters: Vec<PathFilter> = all.iter().map(|weighed| PathFilter::new(&weighed.unit.paths)).collect();
    let mut commits: Vec<Vec<Commit>> = vec![Vec::new(); all.len()];
    for read in repository.history.commits_by_package(&range, &filters).map_err(unreadable)? {
        let (commit, touched) = read.map_err(unreadable)?;
        let Ok(id) = Id::from_str(&commit.id) else { continue };
        for at in touched {
            let is_new = since_each.get(&all[at].from()).is_some_and(|ids| ids.contains(&id));
            if is_new && commits[at].len() <= MOST_COMMITS {
                commits[at].push(commit.clone());
            }
        }
    }
    for (weighed, commits) in all.iter_mut().zip(commits) {
        weighed.take(commits);
    }
    let outdated = |weighed: &Weighed| -> Vec<(String, Version)> {
        let Some(since) = weighed.from().and_then(|from| since_each.get(&Some(from))) else {
            return Vec::new();
        };
        all.iter()
            .filter_map(|other| Some((other.unit.package.as_ref()?, other.baseline.current.as_ref()?)))
            .filter(|(name, _)| weighed.unit.depends_on.contains(name))
            .filter(|(_, current)| Id::from_str(&current.commit).is_ok_and(|commit| since.contains(&commit)))
            .map(|(name, current)| (name.clone(), current.version.clone()))
            .collect()
    };
    Ok(all.iter().map(outdated).collect())
}
