//! Workspaces of npm, yarn and pnpm: which packages share the version that the root states.

use std::path::Path;

use windlass_core::version::holder::{NpmManifest, npm_manifest, pnpm_workspace};
use windlass_core::version::{Version, parse_version};

use super::{folders, refused};
use crate::error::Result;

/// What a workspace's manifests say.
#[derive(Default)]
pub(super) struct Npm {
    /// The root and the members that state its version.
    pub packages: Vec<String>,
    /// The manifests of these members, from the repository's root.
    pub manifests: Vec<String>,
    /// Those of the other members: they may require these packages in their version.
    pub others: Vec<String>,
    /// The members that state a version, by folder.
    pub members: Vec<Member>,
}

/// A member of a workspace that states a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its folder, from the repository's root.
    pub folder: String,
    /// Its name, with its scope.
    pub name: Option<String>,
    /// Its version.
    pub version: Version,
}

/// The workspace whose root is in this folder.
pub(super) fn workspace(root: &Path, folder: &str) -> Result<Npm> {
    let mut found = Npm::default();
    let path = super::join(folder, "package.json");
    // What is wrong with the manifest is said when it is read as a holder.
    let Some(own) = manifest(root, &path)? else { return Ok(found) };
    let version = |manifest: &NpmManifest| parse_version(manifest.version.as_deref()?).ok();
    let lerna = manifest(root, &super::join(folder, "lerna.json"))?;
    // Where there is a lerna.json, the members' version is the one it says.
    let stated = lerna.as_ref().and_then(version).or_else(|| version(&own));
    found.packages.extend(own.name);
    let mut patterns = own.workspaces;
    let pnpm = super::join(folder, "pnpm-workspace.yaml");
    if let Some(text) = folders::text(root, &pnpm)? {
        patterns.extend(pnpm_workspace(&text).map_err(|error| refused(&pnpm, &error))?);
    }
    if let Some(lerna) = lerna.filter(|_| patterns.is_empty()) {
        patterns = lerna.packages;
        if patterns.is_empty() {
            patterns.push("packages/*".to_owned());
        }
    }
    let (excluded, named): (Vec<String>, Vec<String>) =
        patterns.into_iter().partition(|pattern| pattern.starts_with('!'));
    let excluded: Vec<String> =
        excluded.iter().map(|pattern| pattern.trim_start_matches('!').to_owned()).collect();
    for member in folders::named(&root.join(folder), &named, &excluded) {
        let folder = super::join(folder, &member);
        let path = super::join(&folder, "package.json");
        let Some(member) = manifest(root, &path)? else { continue };
        let version = version(&member);
        if let Some(version) = version.clone() {
            found.members.push(Member { folder, name: member.name.clone(), version });
        }
        if stated.is_some() && version == stated {
            found.packages.extend(member.name);
            found.manifests.push(path);
        } else {
            found.others.push(path);
        }
    }
    Ok(found)
}

fn manifest(root: &Path, path: &str) -> Result<Option<NpmManifest>> {
    let text = folders::text(root, path)?;
    Ok(text.and_then(|text| npm_manifest(&text).ok()))
}
