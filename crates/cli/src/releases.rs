//! The releases of a unit as its history tells them, for changelogs and notes.

use std::collections::BTreeMap;
use std::str::FromStr as _;

use windlass_core::changelog::{EntryOptions, GeneratedRelease, Headings, Site, Template};
use windlass_core::commit::{Commit, Types};
use windlass_core::config::Unit;
use windlass_core::version::holder::{json_package_name, python_project};
use windlass_core::version::next::Baseline;
use windlass_core::version::{Policy, Version, core, next, order};
use windlass_history::{HistoryError, Id, PathFilter, Range};

use crate::error::{CommandError, Result};
use crate::facts::Repository;
use crate::project::Project;
use crate::versions::unreadable;
use crate::{files, versions, withdrawn};

/// A release that has a tag.
#[derive(Debug, Clone)]
pub struct Tagged {
    /// Its version.
    pub version: Version,
    /// Its tag.
    pub tag: String,
    /// Its commit.
    pub commit: Id,
}

/// The releases that HEAD follows.
#[derive(Debug, Clone, Copy)]
pub struct Released<'a> {
    /// The last one of any channel: what came after it is in no release.
    pub last: Option<&'a Tagged>,
    /// The stable one that the next stable one follows.
    pub stable: Option<&'a Tagged>,
}

/// A unit's history.
#[derive(Debug)]
pub struct Releases {
    repository: Repository,
    unit: Unit,
    policy: Policy,
    head: Id,
    filter: PathFilter,
    /// The lowest version first; what was withdrawn is not among them.
    tagged: Vec<Tagged>,
}

impl Releases {
    /// Reads the tags of the unit.
    ///
    /// # Errors
    /// When the repository cannot be read, has no commit, or is not all there.
    pub fn open(project: &Project, unit: &Unit) -> Result<Self> {
        Self::here(project, unit)?.whole()
    }

    /// As [`Self::open`], also in a clone that is not all there: what stands at the tagged commits themselves can be
    /// asked all the same.
    ///
    /// # Errors
    /// When the repository cannot be read, or has no commit.
    pub fn here(project: &Project, unit: &Unit) -> Result<Self> {
        let repository = Repository::read_history(project)?;
        let head = match &repository.head {
            Some(head) => head.as_str(),
            None => repository.require_history()?,
        };
        let head = Id::from_str(head).map_err(|_| CommandError::failed("HEAD names no commit"))?;
        Self::at(project, repository, unit, head)
    }

    /// These, when the history is all there.
    ///
    /// # Errors
    /// When it is not.
    pub fn whole(self) -> Result<Self> {
        self.repository.require_history()?;
        Ok(self)
    }

    /// As [`Self::open`], of a repository that was read already, and with `head` standing for HEAD.
    ///
    /// # Errors
    /// When what was withdrawn cannot be read.
    pub fn at(project: &Project, repository: Repository, unit: &Unit, head: Id) -> Result<Self> {
        let policy = versions::policy(project, unit)?;
        let withdrawn = withdrawn::read(project, &repository, unit, &policy)?;
        let mut tagged: Vec<Tagged> = repository
            .tags
            .iter()
            .filter_map(|(tag, commit)| {
                let version = policy.version_of(tag).filter(|version| !withdrawn.contains_key(version))?;
                Some(Tagged { version, tag: tag.clone(), commit: Id::from_str(commit).ok()? })
            })
            .collect();
        tagged.sort_by(|a, b| order(&a.version, &b.version));
        let filter = PathFilter::new(&unit.paths);
        Ok(Self { repository, unit: unit.clone(), policy, head, filter, tagged })
    }

    /// The release of this version.
    pub fn of(&self, version: &Version) -> Option<&Tagged> {
        self.tagged.iter().find(|tagged| tagged.version == *version)
    }

    /// The release for production that the notes of `version` count from.
    pub fn before(&self, version: &Version) -> Option<&Tagged> {
        let is_lower = |tagged: &&Tagged| order(&tagged.version, version).is_lt();
        self.tagged.iter().rev().filter(is_lower).find(|tagged| self.is_released(&tagged.version))
    }

    /// The tag that this version has, or would have.
    pub fn tag(&self, version: &Version) -> String {
        self.policy.tag(version)
    }

    /// Whether this version is for production: one without suffix, or a hotfix.
    pub fn is_released(&self, version: &Version) -> bool {
        self.policy.channel(version).is_released()
    }

    /// The changelog as it was at a release; nothing where there was none, or none that can be read as text.
    ///
    /// # Errors
    /// When the history cannot be read.
    pub fn changelog(&self, commit: Id) -> Result<Option<String>, HistoryError> {
        let file = self.repository.history.file(commit, &self.unit.changelog)?;
        Ok(file.and_then(|bytes| String::from_utf8(bytes).ok()))
    }

    /// Whether this release is a candidate for the same number that was promoted on its commit.
    pub fn is_promoted(&self, release: &Tagged) -> bool {
        let is_its_candidate = |other: &&Tagged| {
            other.commit == release.commit
                && core(&other.version) == core(&release.version)
                && !self.is_released(&other.version)
        };
        self.tagged.iter().any(|other| is_its_candidate(&other))
    }

    /// Whether a higher version than this has been released.
    pub fn has_higher(&self, version: &Version) -> bool {
        self.tagged.last().is_some_and(|last| order(&last.version, version).is_gt())
    }

    /// Whether `commit` did nothing but make the release: it is tagged, and says so. Notes made before it was there
    /// do not know of it, so those made later leave it out too.
    pub fn made(tagged: &Tagged, commit: &Commit) -> bool {
        let subject = commit.subject().to_lowercase();
        let version = tagged.version.to_string();
        let plain = subject.strip_prefix('v').unwrap_or(&subject);
        let telling = ["chore", "build", "release"].iter().any(|word| subject.starts_with(word))
            && (subject.contains("release") || subject.contains(&version));
        commit.id == tagged.commit.to_string() && (telling || plain.starts_with(&version))
    }

    /// The day of a release: that of its commit.
    ///
    /// # Errors
    /// When the history cannot be read.
    pub fn day(&self, tagged: &Tagged) -> Result<Option<jiff::civil::Date>> {
        let commit = self.repository.history.commit(tagged.commit).map_err(unreadable)?;
        Ok(Some(commit.committed_at).filter(|moment| *moment > 0).and_then(day))
    }

    /// What has been released, as the next version is decided from it.
    ///
    /// # Errors
    /// When the history cannot be read, and where the next version would be refused because it is not clear which
    /// release HEAD follows.
    pub fn released(&self, project: &Project) -> Result<Released<'_>> {
        let baseline = versions::released(project, &self.repository, self.unit.clone())?;
        baseline.require_known().map_err(|error| versions::refused(&error))?;
        Ok(self.following(&baseline))
    }

    /// As [`Self::released`], for a release whose version somebody gave: nothing is refused.
    ///
    /// # Errors
    /// When the history cannot be read.
    pub fn released_so_far(&self, project: &Project) -> Result<Released<'_>> {
        Ok(self.following(&versions::released(project, &self.repository, self.unit.clone())?))
    }

    fn following(&self, baseline: &Baseline) -> Released<'_> {
        let find = |release: Option<&next::Tagged>| {
            release.and_then(|release| self.tagged.iter().find(|tagged| tagged.tag == release.tag))
        };
        Released { last: find(baseline.current.as_ref()), stable: find(baseline.stable.as_ref()) }
    }

    /// The unit's commits after `from` up to `to`, HEAD when not given; newest first.
    ///
    /// # Errors
    /// When the history cannot be read.
    pub fn commits(&self, from: Option<&Tagged>, to: Option<&Tagged>) -> Result<Vec<Commit>> {
        let to = to.map_or(self.head, |tagged| tagged.commit);
        let range = match from {
            Some(from) => Range::since(from.commit, to),
            None => Range::all(to),
        };
        self.repository.history.commits(&range, Some(&self.filter)).map_err(unreadable)
    }

    /// Every release that HEAD contains with its commits, newest first; what is not released yet before them. A
    /// package's releases without commits of its own, which others called for, tell nothing and are left out.
    ///
    /// # Errors
    /// When the history cannot be read, so may each release; and where tags look like releases in another format.
    pub fn all(&self, project: &Project) -> Result<impl Iterator<Item = Result<GeneratedRelease>> + '_> {
        let baseline = versions::released(project, &self.repository, self.unit.clone())?;
        baseline.require_format().map_err(|error| versions::refused(&error))?;
        let tags: Vec<(String, Id)> =
            self.tagged.iter().map(|tagged| (tagged.tag.clone(), tagged.commit)).collect();
        let sections =
            self.repository.history.releases(self.head, &tags, Some(&self.filter)).map_err(unreadable)?;
        let versions: BTreeMap<&str, &Version> =
            self.tagged.iter().map(|tagged| (tagged.tag.as_str(), &tagged.version)).collect();
        let names: Vec<Option<String>> = sections.iter().map(|section| section.tag.clone()).collect();
        let all = self.unit.package.is_none();
        let told =
            sections.into_iter().enumerate().filter(move |(_, section)| all || !section.ids.is_empty());
        Ok(told.map(move |(at, section)| {
            let date = section.tag.as_ref().and_then(|_| day(section.committed_at));
            let tag = section.tag.clone();
            let version = tag.as_deref().and_then(|tag| versions.get(tag).map(|version| (*version).clone()));
            let commits: std::result::Result<Vec<Commit>, HistoryError> =
                section.commits(&self.repository.history).collect();
            Ok(GeneratedRelease {
                version,
                tag,
                previous_tag: names[at + 1..].iter().flatten().next().cloned(),
                date,
                commits: commits.map_err(unreadable)?,
            })
        }))
    }
}

/// How the configuration has entries made from commits. Links to issues are made where a page is configured.
pub fn entry_options(project: &Project) -> EntryOptions {
    let changelog = &project.config.changelog;
    EntryOptions {
        headings: Headings::new(&changelog.headings),
        placeholder: changelog.placeholder.clone(),
        site: project.config.notes.url.as_deref().and_then(Site::new),
        hotfix: false,
    }
}

/// The types of commits: the known ones, and those that the configuration names.
pub fn types(project: &Project) -> Types {
    let (headings, rules) = (&project.config.changelog.headings, &project.config.version.rules);
    Types::with(headings.keys().chain(rules.keys()).map(String::as_str))
}

/// The project's page: the configured one, else that of its remote.
///
/// # Errors
/// When git cannot be asked.
pub fn site(project: &Project) -> Result<Option<Site>> {
    if let Some(url) = &project.config.notes.url {
        return Ok(Site::new(url));
    }
    let key = format!("remote.{}.url", project.config.git.remote);
    let address = project.block_on(project.git().config(&key))?.map_err(crate::facts::failed)?;
    Ok(address.as_deref().and_then(Site::new))
}

/// What is released: a package by its name, a project by the configured one, else by what its manifest says.
///
/// # Errors
/// When a manifest is there and cannot be read.
pub fn name(project: &Project, unit: &Unit) -> Result<Option<String>> {
    if let Some(name) = unit.package.as_ref().or(project.config.project.name.as_ref()) {
        return Ok(Some(name.clone()));
    }
    let table = |text: &str, key: &str| {
        let document = text.parse::<toml::Table>().ok()?;
        Some(document.get(key)?.get("name")?.as_str()?.to_owned())
    };
    let of = |path: &str, text: &str| match path {
        "Cargo.toml" => table(text, "package"),
        "pyproject.toml" => python_project(text).ok().and_then(|project| project.name),
        _ => json_package_name(text).ok().flatten(),
    };
    for path in ["Cargo.toml", "pyproject.toml", "package.json"] {
        let text = files::read_if_there(&project.root.join(path), path, files::LARGEST_FILE)?;
        // What is wrong with the file is said when its version is read.
        if let Some(name) = text.and_then(|text| of(path, &text)) {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// The template at this path.
///
/// # Errors
/// When it cannot be read.
pub fn template(project: &Project, path: &str) -> Result<Template> {
    let text = files::read(&project.root.join(path), path, files::LARGEST_TEXT)?;
    Template::new(path, &text).map_err(|error| CommandError::invalid(error.to_string()))
}

fn day(seconds: i64) -> Option<jiff::civil::Date> {
    let moment = jiff::Timestamp::from_second(seconds).ok()?;
    Some(moment.to_zoned(jiff::tz::TimeZone::UTC).date())
}
