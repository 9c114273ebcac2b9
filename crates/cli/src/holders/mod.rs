//! Holders: which files state the version here, and what they state.

mod cargo;
mod folders;
mod found;
mod npm;

pub use npm::Member;

use windlass_actions::adapters::files as workspace;
use windlass_core::config::Unit;
use windlass_core::plan::HolderFact;
use windlass_core::text::sanitize_line;
use windlass_core::version::holder::{self, HolderError};
use windlass_core::version::{Version, core, parse_version};

use crate::error::{CommandError, Result};
use crate::project::Project;
use crate::{facts, files};

/// Every holder of the whole repository with the version it states: those of the configuration, else those that are
/// found.
///
/// # Errors
/// When a configured holder cannot be read, and when a found one breaks its own format.
pub fn read(project: &Project) -> Result<Vec<HolderFact>> {
    let unit = project.config.unit(None).map_err(|error| CommandError::invalid(error.to_string()))?;
    of_unit(project, &unit)
}

/// As [`read`], of one package or the whole repository.
///
/// # Errors
/// As [`read`].
pub fn of_unit(project: &Project, unit: &Unit) -> Result<Vec<HolderFact>> {
    if unit.holders.is_empty() {
        return found::find(&project.root, &unit.folder);
    }
    let packages = found::packages(&project.root, unit)?;
    let mut facts = Vec::new();
    for holder in &unit.holders {
        let fact = HolderFact::new(holder, packages.clone());
        let path = fact.path.clone();
        let text = files::read(&project.root.join(&path), &path, files::LARGEST_FILE)?;
        facts.push(stating(fact, &text).map_err(|error| refused(&path, &error))?);
    }
    Ok(facts)
}

/// What other manifests require of the unit's packages in ranges that do not admit `next`: it follows as well, though
/// it need not state what the holders do. Where the holders are listed, only these count.
///
/// # Errors
/// When a range cannot follow, because it states no whole version.
pub fn following(
    project: &Project,
    unit: &Unit,
    holders: &[HolderFact],
    next: &Version,
) -> Result<Vec<HolderFact>> {
    if !unit.holders.is_empty() {
        return Ok(Vec::new());
    }
    let others: Vec<String> = match unit.package {
        Some(_) => {
            let folders = project.config.units().into_iter().map(|unit| unit.folder);
            // The repository's own manifest at its root as well.
            folders.chain([String::new()]).collect()
        }
        None => Vec::new(),
    };
    let others: Vec<String> = others.into_iter().filter(|folder| *folder != unit.folder).collect();
    let mut found = found::following(&project.root, &unit.folder, &others, &to_state(project, next))?;
    // What states the version whole is among the holders already.
    found.retain(|fact| !holders.iter().any(|known| known.path == fact.path && known.kind == fact.kind));
    Ok(found)
}

/// As [`read`], of every package where there are packages.
///
/// # Errors
/// As [`read`].
pub fn of_all(project: &Project) -> Result<Vec<HolderFact>> {
    let mut all = Vec::new();
    for unit in project.config.units() {
        all.extend(of_unit(project, &unit)?);
    }
    Ok(all)
}

/// The members of the workspace at the repository's root that state a version, where it is one of npm, yarn or pnpm.
///
/// # Errors
/// When a manifest cannot be read.
pub fn members(project: &Project) -> Result<Vec<Member>> {
    Ok(npm::workspace(&project.root, "")?.members)
}

/// What the holders state, when they agree.
///
/// # Errors
/// When they state different versions: each is named with its line.
pub fn agreed(holders: &[HolderFact]) -> Result<Option<Version>> {
    let mut first: Option<Version> = None;
    for holder in holders {
        let version = parse_version(&holder.version)
            .map_err(|error| CommandError::invalid(format!("{}: {error}", sanitize_line(&holder.path))))?;
        match &first {
            None => first = Some(version),
            Some(first) if holder::is_same(first, &version) => {}
            Some(_) => return Err(disagreement(holders)),
        }
    }
    Ok(first)
}

fn disagreement(holders: &[HolderFact]) -> CommandError {
    let told: Vec<String> = holders
        .iter()
        .map(|holder| {
            let path = sanitize_line(&holder.path);
            format!("{path} line {} says {}", holder.line.max(1), sanitize_line(&holder.version))
        })
        .collect();
    CommandError::invalid(format!("the files that state the version disagree: {}", told.join(", ")))
        .hint("make them say the same, or list the right ones under [version] holders in windlass.toml")
}

/// What the holders are to state for a release of `version`.
pub fn to_state(project: &Project, version: &Version) -> Version {
    if project.config.version.suffix_in_holders { version.clone() } else { core(version) }
}

/// The text of a holder's file with another version.
///
/// # Errors
/// When the file cannot be edited.
pub fn written(fact: &HolderFact, source: &str, version: &Version) -> Result<String> {
    let written = fact.kind().and_then(|kind| holder::write(&kind, source, version));
    written.map_err(|error| refused(&fact.path, &error))
}

/// Finishes what a killed write left: some files state a version, and beside each of the others lies its whole new
/// text that states the same. Whether there was something to finish.
///
/// # Errors
/// When a file cannot be read or written.
pub fn finish(project: &Project, holders: &[HolderFact]) -> Result<bool> {
    if agreed(holders).is_ok() {
        return Ok(false);
    }
    let mut waiting = Vec::new();
    for holder in holders {
        let left = workspace::left(&project.root, &holder.path).map_err(facts::failed)?;
        let states = left.as_deref().and_then(|text| stating(holder.clone(), text).ok());
        waiting.push(left.zip(states));
    }
    for new in holders.iter().map(|holder| &holder.version) {
        let complete = holders.iter().zip(&waiting).all(|(holder, waiting)| {
            holder.version == *new || waiting.as_ref().is_some_and(|(_, waiting)| waiting.version == *new)
        });
        if complete {
            let rest = holders.iter().zip(waiting).filter(|(holder, _)| holder.version != *new);
            let edits: Vec<(String, String)> =
                rest.filter_map(|(holder, waiting)| Some((holder.path.clone(), waiting?.0))).collect();
            workspace::replace(&project.root, &edits).map_err(facts::failed)?;
            return Ok(true);
        }
    }
    Ok(false)
}

/// Reads every holder again from the disk, and refuses unless each states `version`.
///
/// # Errors
/// When one does not: another program wrote it meanwhile.
pub fn verify(project: &Project, holders: &[HolderFact], version: &Version) -> Result<()> {
    for holder in holders {
        let text = files::read(&project.root.join(&holder.path), &holder.path, files::LARGEST_FILE)?;
        let fact = stating(holder.clone(), &text).map_err(|error| refused(&holder.path, &error))?;
        if !parse_version(&fact.version).is_ok_and(|stated| holder::is_same(&stated, version)) {
            return Err(CommandError::failed(format!(
                "{} states {} right after {version} was written to it: is another program writing it?",
                sanitize_line(&holder.path),
                sanitize_line(&fact.version)
            )));
        }
    }
    Ok(())
}

/// Whether this text of a holder's file states `version`.
pub fn states(fact: &HolderFact, text: &str, version: &Version) -> bool {
    stating(fact.clone(), text)
        .ok()
        .and_then(|fact| parse_version(&fact.version).ok())
        .is_some_and(|stated| holder::is_same(&stated, version))
}

/// The fact of a holder whose file has this text.
fn stating(mut fact: HolderFact, text: &str) -> std::result::Result<HolderFact, HolderError> {
    let places = holder::read(&fact.kind()?, text)?;
    let (version, line) = holder::agreed(&places)?;
    fact.version = version.to_string();
    fact.line = line;
    Ok(fact)
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

fn refused(path: &str, error: &HolderError) -> CommandError {
    let text = error.to_string();
    let path = sanitize_line(path);
    // The error tells what to do after its last semicolon; commands show that on a line of its own.
    match text.rsplit_once("; ") {
        Some((what, help)) => CommandError::invalid(format!("{path}: {what}")).hint(help),
        None => CommandError::invalid(format!("{path}: {text}")),
    }
}
