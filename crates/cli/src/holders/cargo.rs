//! Cargo's workspaces: which manifests state a version, and which packages share it.

use std::path::Path;

use windlass_core::version::holder::{CargoManifest, cargo_manifest};

use super::{folders, refused};
use crate::error::Result;

/// What Cargo's manifests say.
#[derive(Default)]
pub(super) struct Cargo {
    /// Manifests that state a version, from the root.
    pub manifests: Vec<String>,
    /// Packages that share it.
    pub packages: Vec<String>,
    /// The other manifests of the workspace: they may require these packages in their version.
    pub others: Vec<String>,
}

/// The workspace as one: what its root states, else what its members do.
pub(super) fn workspace(root: &Path) -> Result<Cargo> {
    let mut found = Cargo::default();
    let Some(manifest) = manifest(root, "Cargo.toml")? else { return Ok(found) };
    let shares = manifest.shares_version;
    if manifest.version.is_some() || shares {
        found.manifests.push("Cargo.toml".into());
    } else {
        found.others.push("Cargo.toml".into());
    }
    if let Some(name) = &manifest.package
        && (manifest.version.is_some() || manifest.inherits_version)
    {
        found.packages.push(name.clone());
    }
    let root_states = !found.manifests.is_empty();
    for (path, member) in member_manifests(root, &manifest)? {
        let Some(name) = member.package else { continue };
        if member.inherits_version && shares {
            found.packages.push(name);
            found.others.push(path);
        } else if member.version.is_some() && !root_states {
            // A workspace whose root states no version: its members do, each its own.
            found.manifests.push(path);
            found.packages.push(name);
        } else {
            found.others.push(path);
        }
    }
    Ok(found)
}

/// One package in a folder of its own, with the rest of the workspace at the root.
pub(super) fn package(root: &Path, folder: &str) -> Result<Cargo> {
    let mut found = Cargo::default();
    let own = format!("{folder}/Cargo.toml");
    let Some(manifest) = manifest(root, &own)? else { return Ok(found) };
    let shares = manifest.shares_version;
    let stated = manifest.version.is_some();
    if let Some(name) = manifest.package.clone().filter(|_| stated) {
        found.packages.push(name);
    }
    if shares {
        // A workspace of its own inside the repository.
        for (path, member) in member_manifests(&root.join(folder), &manifest)? {
            found.packages.extend(member.package.filter(|_| member.inherits_version));
            found.others.push(format!("{folder}/{path}"));
        }
    }
    if stated || shares {
        found.manifests.push(own.clone());
    }
    if let Some(workspace) = self::manifest(root, "Cargo.toml")? {
        found.others.push("Cargo.toml".into());
        let members = member_manifests(root, &workspace)?.into_iter().map(|(path, _)| path);
        found.others.extend(members.filter(|path| *path != own));
    }
    Ok(found)
}

fn manifest(root: &Path, path: &str) -> Result<Option<CargoManifest>> {
    let Some(text) = folders::text(root, path)? else { return Ok(None) };
    cargo_manifest(&text).map(Some).map_err(|error| refused(path, &error))
}

fn member_manifests(root: &Path, workspace: &CargoManifest) -> Result<Vec<(String, CargoManifest)>> {
    let mut manifests = Vec::new();
    for folder in folders::named(root, &workspace.members, &workspace.exclude) {
        let path = format!("{folder}/Cargo.toml");
        if let Some(member) = manifest(root, &path)? {
            manifests.push((path, member));
        }
    }
    Ok(manifests)
}
