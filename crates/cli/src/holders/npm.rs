//! Workspaces of npm, yarn and pnpm: which packages share the version that the root states.

use std::path::Path;

use windlass_core::version::holder::{NpmManifest, npm_manifest, pnpm_workspace};
use windlass_core::version::parse_version;

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
}

/// The workspace whose root is in this folder.
pub(super) fn workspace(root: &Path, folder: &str) -> Result<Npm> {
    let mut found = Npm::default();
    let path = super::join(folder, "package.json");
    // What is wrong with the manifest is said when it is read as a holder.
    let Some(own) = manifest(root, &path)? else { return Ok(found) };
    let stated = own.version.as_deref().and_then(|text| parse_version(text).ok());
    found.packages.extend(own.name);
    let mut patterns = own.workspaces;
    let pnpm = super::join(folder, "pnpm-workspace.yaml");
    if let Some(text) = folders::text(root, &pnpm)? {
        patterns.extend(pnpm_workspace(&text).map_err(|error| refused(&pnpm, &error))?);
    }
    let (excluded, named): (Vec<String>, Vec<String>) =
        patterns.into_iter().partition(|pattern| pattern.starts_with('!'));
    let excluded: Vec<String> =
        excluded.iter().map(|pattern| pattern.trim_start_matches('!').to_owned()).collect();
    for member in folders::named(&root.join(folder), &named, &excluded) {
        let path = super::join(folder, &format!("{member}/package.json"));
        let Some(member) = manifest(root, &path)? else { continue };
        let version = member.version.as_deref().and_then(|text| parse_version(text).ok());
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
