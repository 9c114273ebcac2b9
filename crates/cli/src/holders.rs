//! Holders: which files state the version here, and what they state.

use std::collections::BTreeSet;
use std::path::Path;

use windlass_core::plan::HolderFact;
use windlass_core::version::holder::{self, CargoManifest, HolderError, HolderKind, cargo_manifest, detect};
use windlass_core::version::{Version, parse_version};

use crate::error::{CommandError, Result};
use crate::files;
use crate::project::Project;

/// More members of a workspace than this are not looked at.
const MOST_MEMBERS: usize = 1000;

/// Every holder with the version it states: those of the configuration, else those that are found.
///
/// # Errors
/// When a configured holder cannot be read, and when a found one breaks its own format.
pub fn read(project: &Project) -> Result<Vec<HolderFact>> {
    let configured = &project.config.version.holders;
    if configured.is_empty() {
        return found(&project.root);
    }
    let mut facts = Vec::new();
    for holder in configured {
        let path = holder.path();
        let text = files::read(&project.root.join(path), path, files::LARGEST_FILE)?;
        let packages = if path.ends_with("Cargo.lock") { cargo(&project.root)?.packages } else { Vec::new() };
        let mut fact = HolderFact {
            path: path.to_owned(),
            pattern: holder.pattern().map(str::to_owned),
            packages,
            version: String::new(),
        };
        let kind = kind(&fact).ok_or_else(|| {
            CommandError::invalid(format!("{path} is no kind of file whose version Windlass can find"))
                .hint(format!("say how: holders = [{{ path = \"{path}\", pattern = 'Version: (.*)' }}]"))
        })?;
        fact.version = version(&kind, &text).map_err(|error| refused(path, &error))?;
        facts.push(fact);
    }
    Ok(facts)
}

/// The kind of file a holder is.
pub fn kind(fact: &HolderFact) -> Option<HolderKind> {
    if let Some(pattern) = &fact.pattern {
        return Some(HolderKind::Regex { pattern: pattern.clone(), matches: 1 });
    }
    let name = fact.path.rsplit('/').next().unwrap_or(&fact.path);
    match detect(name)? {
        HolderKind::CargoLock { .. } => Some(HolderKind::CargoLock { packages: fact.packages.clone() }),
        kind => Some(kind),
    }
}

/// The text of a holder's file with another version.
///
/// # Errors
/// When the file cannot be edited.
pub fn written(fact: &HolderFact, source: &str, version: &Version) -> Result<String> {
    let kind = kind(fact).ok_or_else(|| CommandError::invalid(format!("{} states no version", fact.path)))?;
    holder::write(&kind, source, version).map_err(|error| refused(&fact.path, &error))
}

/// Found without configuration: the manifests at the root, with their lock files.
fn found(root: &Path) -> Result<Vec<HolderFact>> {
    let mut facts = Vec::new();
    let cargo = cargo(root)?;
    let mut candidates: Vec<(String, Vec<String>)> =
        cargo.manifests.iter().map(|path| (path.clone(), Vec::new())).collect();
    if !cargo.packages.is_empty() {
        candidates.push(("Cargo.lock".into(), cargo.packages));
    }
    for name in ["pyproject.toml", "package.json", "package-lock.json", "npm-shrinkwrap.json"] {
        candidates.push((name.into(), Vec::new()));
    }
    for (path, packages) in candidates {
        let Some(text) = files::read_if_there(&root.join(&path), &path, files::LARGEST_FILE)? else {
            continue;
        };
        let mut fact = HolderFact { path, pattern: None, packages, version: String::new() };
        let Some(kind) = kind(&fact) else { continue };
        match version(&kind, &text) {
            Ok(version) => {
                fact.version = version;
                facts.push(fact);
            }
            // A manifest need not state a version: then it is no holder.
            Err(HolderError::Missing { .. } | HolderError::Dynamic { .. }) => {}
            Err(error) => return Err(refused(&fact.path, &error)),
        }
    }
    Ok(facts)
}

fn version(kind: &HolderKind, text: &str) -> std::result::Result<String, HolderError> {
    let places = holder::read(kind, text)?;
    let text = places.into_iter().next().map(|place| place.text).unwrap_or_default();
    // Written with a `v` or not, it is the same version.
    Ok(parse_version(&text).map_or(text, |version| version.to_string()))
}

fn refused(path: &str, error: &HolderError) -> CommandError {
    CommandError::invalid(format!("{path}: {error}"))
}

/// What Cargo's manifests say.
struct Cargo {
    /// Manifests that state a version, from the root.
    manifests: Vec<String>,
    /// Packages that share it.
    packages: Vec<String>,
}

fn cargo(root: &Path) -> Result<Cargo> {
    let mut found = Cargo { manifests: Vec::new(), packages: Vec::new() };
    let Some(manifest) = manifest(root, "Cargo.toml")? else { return Ok(found) };
    let shares = manifest.shares_version;
    if manifest.version.is_some() || shares {
        found.manifests.push("Cargo.toml".into());
    }
    if let Some(name) = &manifest.package
        && (manifest.version.is_some() || manifest.inherits_version)
    {
        found.packages.push(name.clone());
    }
    let root_states = !found.manifests.is_empty();
    for folder in members(root, &manifest) {
        let path = format!("{folder}/Cargo.toml");
        let Some(member) = self::manifest(root, &path)? else { continue };
        let Some(name) = member.package else { continue };
        if member.inherits_version && shares {
            found.packages.push(name);
        } else if member.version.is_some() && !root_states {
            // A workspace whose root states no version: its members do, each its own.
            found.manifests.push(path);
            found.packages.push(name);
        }
    }
    Ok(found)
}

fn manifest(root: &Path, path: &str) -> Result<Option<CargoManifest>> {
    let Some(text) = files::read_if_there(&root.join(path), path, files::LARGEST_FILE)? else {
        return Ok(None);
    };
    cargo_manifest(&text).map(Some).map_err(|error| refused(path, &error))
}

/// Folders of the members, `*` in the last part filled in.
fn members(root: &Path, manifest: &CargoManifest) -> BTreeSet<String> {
    let mut folders = BTreeSet::new();
    for pattern in &manifest.members {
        // Members outside the repository, or named by control characters, are not followed.
        if pattern.starts_with('/') || pattern.split('/').any(|part| part == "..") {
            continue;
        }
        let pattern = pattern.trim_end_matches('/');
        match pattern.strip_suffix("/*").or_else(|| (pattern == "*").then_some("")) {
            None => drop(folders.insert(pattern.to_owned())),
            Some(parent) => {
                let entries = std::fs::read_dir(root.join(parent)).into_iter().flatten().flatten();
                let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
                let prefix = if parent.is_empty() { String::new() } else { format!("{parent}/") };
                folders.extend(names.take(MOST_MEMBERS).map(|name| format!("{prefix}{name}")));
            }
        }
    }
    folders.retain(|folder| !manifest.exclude.contains(folder));
    folders
}
