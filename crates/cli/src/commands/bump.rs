//! `windlass bump`: writes the next version into every holder and commits.

use std::ffi::OsStr;

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::error::{ContextKind, ContextValue};
use serde::Serialize;
use windlass_actions::adapters::files as workspace;
use windlass_core::changelog::{self, Changelog};
use windlass_core::config::Unit;
use windlass_core::plan::HolderFact;
use windlass_core::text::sanitize_line;
use windlass_core::version::next::NextError;
use windlass_core::version::{Version, parse_version};

use crate::error::{CommandError, Result};
use crate::exit::Exit;
use crate::facts::{self, Repository, VersionRequest};
use crate::project::Project;
use crate::session::Session;
use crate::{files, holders, report, versions};

/// Write the next version into every file that states it, and commit
#[derive(Debug, Args)]
pub struct Arguments {
    /// `patch`, `minor`, `major` or `hotfix`; without it, what the commits call for
    #[arg(value_name = "KIND", value_parser = Kinds)]
    pub kind: Option<String>,
    /// This very version, with or without `v`
    #[arg(long, visible_alias = "set", value_name = "X.Y.Z", conflicts_with = "kind")]
    pub version: Option<String>,
    /// Release on this channel: alpha, beta, rc, stable or hotfix
    #[arg(long, value_name = "CHANNEL")]
    pub channel: Option<String>,
    /// This package; without it, in a repository with packages, each that has something to release
    #[arg(long, value_name = "NAME")]
    pub package: Option<String>,
    /// Print the current and the next version, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Write the files, and do not commit
    #[arg(long)]
    pub no_commit: bool,
}

/// The steps; a version in their place is told where it belongs.
#[derive(Debug, Clone, Copy)]
struct Kinds;

impl TypedValueParser for Kinds {
    type Value = String;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &OsStr,
    ) -> std::result::Result<String, clap::Error> {
        let known = PossibleValuesParser::new(KINDS).parse_ref(command, argument, value);
        known.map_err(|mut error| {
            if let Ok(version) = parse_version(&value.to_string_lossy()) {
                let tip = format!("to release this very version, use '--version {version}'").into();
                error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip]));
            }
            error
        })
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(KINDS.into_iter().map(PossibleValue::new)))
    }
}

const KINDS: [&str; 4] = ["patch", "minor", "major", "hotfix"];

/// What was done.
#[derive(Debug, Serialize)]
pub struct Output {
    /// The versions: one, or one for each package that is released.
    pub versions: Vec<Raised>,
    /// The files, or those that would be written.
    pub files: Vec<String>,
    /// The commit, when one was made.
    pub commit: Option<String>,
    /// Nothing was changed.
    pub dry_run: bool,
}

/// A version that rises.
#[derive(Debug, Serialize)]
pub struct Raised {
    /// The package, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// What the files stated before.
    pub current: Option<String>,
    /// The version they state now, or would.
    pub next: String,
}

/// A unit that is released, the files that state its version, and what they are to state.
struct Pick {
    unit: Unit,
    holders: Vec<HolderFact>,
    stated: Option<Version>,
    next: Version,
    written: Version,
}

/// Bumps.
///
/// # Errors
/// When there is no next version, when a file to be written has changes that nobody committed, and when one cannot
/// be written; then none was.
pub fn run(arguments: &Arguments, session: &mut Session) -> Result<Exit> {
    let project = Project::find(session)?;
    let repository = Repository::read(&project)?;
    let picks = picks(arguments, &project, &repository)?;
    let edits = edits(&project, &picks)?;
    let mut output = Output {
        versions: picks
            .iter()
            .map(|pick| Raised {
                package: pick.unit.package.clone(),
                current: pick.stated.as_ref().map(Version::to_string),
                next: pick.next.to_string(),
            })
            .collect(),
        files: edits.iter().map(|edit| edit.path.clone()).collect(),
        commit: None,
        dry_run: arguments.dry_run,
    };
    if !arguments.dry_run {
        refuse_dirty(&repository, &output.files, !arguments.no_commit)?;
        let texts: Vec<(String, String)> =
            edits.iter().map(|edit| (edit.path.clone(), edit.after.clone())).collect();
        workspace::replace(&project.root, &texts).map_err(facts::failed)?;
        for pick in &picks {
            holders::verify(&project, &pick.holders, &pick.written)?;
        }
        if !arguments.no_commit {
            let paths = match output.files.is_empty() {
                false => output.files.clone(),
                // What a bump wrote that was stopped before it committed.
                true => uncommitted(&project, &picks),
            };
            if !paths.is_empty() {
                let committed = crate::commit::paths(&project, &paths, &message(&picks));
                output.commit = Some(committed.map_err(|error| put_back(&project, &edits, error))?);
            }
        }
    }
    if session.report.is_json() {
        session.report.object("bump", &output);
    } else {
        let text = report::text::bump(&output, session.report.out_paint);
        session.report.data(&text);
    }
    Ok(Exit::Done)
}

/// Takes the written files back after the commit failed: the tree is as it was.
fn put_back(project: &Project, edits: &[Edit], error: CommandError) -> CommandError {
    let before: Vec<(String, String)> =
        edits.iter().map(|edit| (edit.path.clone(), edit.before.clone())).collect();
    let mut reset = vec!["--literal-pathspecs".to_owned(), "reset".into(), "--quiet".into(), "--".into()];
    reset.extend(before.iter().map(|(path, _)| path.clone()));
    let files = workspace::replace(&project.root, &before);
    let staged = project.block_on(project.git().act(reset, None));
    match (files, staged) {
        (Ok(()), Ok(Ok(_))) => error.hint("the files are as they were"),
        _ => error.hint("the files were written and may be staged: `git status` shows them"),
    }
}

/// Files of the picks that state already what they are to state, where the last commit states something else.
fn uncommitted(project: &Project, picks: &[Pick]) -> Vec<String> {
    let git = project.git();
    let mut paths = Vec::new();
    for pick in picks {
        for holder in &pick.holders {
            let committed = project.block_on(git.read(["show", &format!("HEAD:{}", holder.path)]));
            let Ok(Ok(text)) = committed else { continue };
            if !holders::states(holder, &text, &pick.written) && !paths.contains(&holder.path) {
                paths.push(holder.path.clone());
            }
        }
    }
    paths
}

/// A file whose text changes.
struct Edit {
    path: String,
    before: String,
    after: String,
}

/// What is raised: the unit asked for; without one in a repository with packages, each that has something to release.
fn picks(arguments: &Arguments, project: &Project, repository: &Repository) -> Result<Vec<Pick>> {
    let hotfix = arguments.kind.as_deref() == Some("hotfix");
    let request = VersionRequest {
        exact: arguments.version.clone(),
        bump: arguments.kind.clone().filter(|_| !hotfix),
        hotfix,
        channel: arguments.channel.clone(),
        package: arguments.package.clone(),
        ..VersionRequest::default()
    };
    let unit = request.unit(project)?;
    if unit.linked.is_none() && (project.config.packages.is_empty() || request.package.is_some()) {
        let (mut holders, stated) = stated(arguments, project, &unit)?;
        let next = facts::next(project, repository, stated.as_ref(), &request)?.decision.version;
        holders.extend(holders::following(project, &unit, &holders, &next)?);
        return Ok(vec![Pick { written: holders::to_state(project, &next), unit, holders, stated, next }]);
    }
    if request.package.is_none() {
        versions::require_one_package(project, &request)?;
    }
    let is_meant = |other: &Unit| request.package.is_none() || other.linked == unit.linked;
    for unit in project.config.units().into_iter().filter(is_meant) {
        // What a killed bump left is finished before anything is read.
        stated(arguments, project, &unit)?;
    }
    // The packages of a group share their version, so it is written for all of them.
    let all = match request.package {
        Some(_) => versions::weigh_group(project, repository, &request)?,
        None => versions::weigh_all(project, repository, &request)?,
    };
    let meant =
        all.iter().find(|weighed| request.package.is_some() && weighed.unit.package == request.package);
    let asked = meant.and_then(|weighed| Some(weighed.outcome.as_ref().ok()?.version.clone()));
    let mut picks = Vec::new();
    for weighed in all {
        let next = match &weighed.outcome {
            Ok(decision) => decision.version.clone(),
            Err(error) if request.package.is_some() && weighed.unit.package == request.package => {
                return Err(facts::no_version(project, &weighed, error)?);
            }
            Err(NextError::NothingToRelease { .. }) => continue,
            // It was released with that version before the one that is asked about.
            Err(NextError::Exists { version, .. }) if has_already(&weighed, version, asked.as_ref()) => {
                continue;
            }
            Err(error) => {
                let package = weighed.unit.package.as_deref().unwrap_or_default();
                return Err(CommandError::invalid(format!("{}: {error}", sanitize_line(package))));
            }
        };
        let (mut holders, stated) = stated(arguments, project, &weighed.unit)?;
        holders.extend(holders::following(project, &weighed.unit, &holders, &next)?);
        picks.push(Pick {
            written: holders::to_state(project, &next),
            unit: weighed.unit,
            holders,
            stated,
            next,
        });
    }
    if picks.is_empty() {
        return Err(CommandError::new(Exit::NothingToRelease, "no package has anything to release"));
    }
    Ok(picks)
}

/// Whether one of a group was released with the version that is asked for another of them.
fn has_already(weighed: &versions::Weighed, version: &Version, asked: Option<&Version>) -> bool {
    let current = weighed.baseline.current.as_ref().map(|current| &current.version);
    asked == Some(version) && current == Some(version)
}

/// The files that state the version of a unit, and what they state.
fn stated(
    arguments: &Arguments,
    project: &Project,
    unit: &Unit,
) -> Result<(Vec<HolderFact>, Option<Version>)> {
    let mut found = holders::of_unit(project, unit)?;
    if !arguments.dry_run && holders::finish(project, &found)? {
        found = holders::of_unit(project, unit)?;
    }
    if found.is_empty() {
        let (whose, table) = match &unit.package {
            Some(name) => {
                (format!(" of {}", sanitize_line(name)), format!("[packages.{}]", sanitize_line(name)))
            }
            None => (String::new(), "[version]".to_owned()),
        };
        return Err(CommandError::invalid(format!("no file here states a version{whose}"))
            .hint(format!("list them under {table} holders in windlass.toml")));
    }
    let stated = holders::agreed(&found)?;
    Ok((found, stated))
}

/// The message of the commit.
fn message(picks: &[Pick]) -> String {
    let named = |pick: &Pick| match &pick.unit.package {
        Some(package) => format!("{package} to {}", pick.next),
        None => format!("version to {}", pick.next),
    };
    format!("chore(release): bump {}", picks.iter().map(named).collect::<Vec<_>>().join(", "))
}

/// Each file with its new text; those that say it already are left out.
fn edits(project: &Project, picks: &[Pick]) -> Result<Vec<Edit>> {
    let mut texts: Vec<(String, String, String)> = Vec::new();
    for pick in picks {
        for holder in &pick.holders {
            // One file may state versions in several places, and those of several packages.
            let index = match texts.iter().position(|(path, ..)| *path == holder.path) {
                Some(index) => index,
                None => {
                    let place = project.root.join(&holder.path);
                    let source = files::read(&place, &holder.path, files::LARGEST_FILE)?;
                    texts.push((holder.path.clone(), source.clone(), source));
                    texts.len() - 1
                }
            };
            texts[index].2 = holders::written(holder, &texts[index].2, &pick.written)?;
        }
        let path = &pick.unit.changelog;
        let known = texts.iter().any(|(known, ..)| known == path);
        let changelog = files::read_if_there(&project.root.join(path), path, files::LARGEST_FILE)?;
        if let Some(source) = changelog.filter(|_| !known) {
            let generated = project.config.changelog.generated;
            let placed = if generated { source.clone() } else { with_unreleased(&source)? };
            texts.push((path.clone(), source, placed));
        }
    }
    let changed = texts.into_iter().filter(|(_, before, after)| before != after);
    Ok(changed.map(|(path, before, after)| Edit { path, before, after }).collect())
}

/// The changelog with a place for the entries of the release, when it has none.
fn with_unreleased(source: &str) -> Result<String> {
    let refused = |error: changelog::ChangelogError| CommandError::invalid(error.to_string());
    let read = Changelog::parse(source).map_err(refused)?;
    if read.unreleased().is_some() || !is_kept(&read, source) {
        return Ok(source.to_owned());
    }
    let newline = if source.contains("\r\n") { "\r\n" } else { "\n" };
    let heading = format!("## [Unreleased]{newline}{newline}");
    Ok(match read.latest() {
        Some((section, _)) => {
            let at = section.heading.start;
            format!("{}{heading}{}", &source[..at], &source[at..])
        }
        None => format!("{}{newline}{newline}{}", source.trim_end(), heading.trim_end()) + newline,
    })
}

/// Whether the file is in the form of Keep a Changelog, and people write it: what is generated, or has another place for
/// what comes next, is left as it is.
fn is_kept(read: &Changelog<'_>, source: &str) -> bool {
    let comes_next = |title: &str| {
        let title = title.to_lowercase();
        ["unreleased", "upcoming", "not released", "in development"].iter().any(|word| title.contains(word))
    };
    if read.sections().iter().any(|section| section.level <= 2 && comes_next(&section.title)) {
        return false;
    }
    match read.latest() {
        // `## [1.2.0](https://...) (2024-01-02)` is how tools write it, and people `## [1.2.0] - 2024-01-02`.
        Some((section, release)) => {
            let title = section.title.as_str();
            let is_linked = title.contains("](") || title.contains(" (");
            section.level == 2 && !is_linked && (title.starts_with('[') || release.date.is_some())
        }
        None => source.contains("keepachangelog.com"),
    }
}

fn refuse_dirty(repository: &Repository, paths: &[String], commits: bool) -> Result<()> {
    let dirty: Vec<&str> =
        repository.dirty.iter().filter(|path| paths.contains(path)).map(String::as_str).collect();
    if dirty.is_empty() || !commits {
        return Ok(());
    }
    Err(CommandError::invalid(format!(
        "these files have changes that are not committed: {}",
        dirty.join(", ")
    ))
    .hint("commit or stash them first, or use --no-commit"))
}
