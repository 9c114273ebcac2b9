//! Members of a workspace whose root states no version: proposed as packages, or as holders of one version.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use windlass_core::plan::HolderFact;
use windlass_core::text::sanitize_line;
use windlass_core::version::{TagFormat, Version};

use super::quoted;
use crate::error::Result;
use crate::facts::Repository;
use crate::holders::{self, Member};
use crate::project::Project;

/// What the members of a workspace are.
pub(super) enum Members {
    /// They share one version.
    Together(Vec<Member>),
    /// Each has its own.
    Apart(Vec<Package>),
}

/// A member as a package.
pub(super) struct Package {
    name: String,
    pub(super) folder: String,
    version: Version,
    /// How its tags are written, where there are some.
    tag: Option<TagFormat>,
}

/// The members that state a version, where nothing at the root does. Those that were tagged apart are apart.
///
/// # Errors
/// When a manifest cannot be read.
pub(super) fn proposed(
    project: &Project,
    repository: &Repository,
    holders: &[HolderFact],
) -> Result<Option<Members>> {
    if !holders.is_empty() || !project.config.packages.is_empty() {
        return Ok(None);
    }
    let members = holders::members(project)?;
    let bare = |member: &Member| {
        let last = member.folder.rsplit('/').next().unwrap_or(&member.folder).to_owned();
        let name = member.name.as_deref().map(|name| name.rsplit('/').next().unwrap_or(name).to_owned());
        name.filter(|name| is_name(name)).unwrap_or(last)
    };
    let names: BTreeSet<String> = members.iter().map(bare).collect();
    let is_clear = names.len() == members.len();
    let found = TagFormat::guess_all(repository.tags.keys().map(String::as_str));
    let packages: Vec<Package> = members
        .iter()
        .map(|member| {
            let name = if is_clear { bare(member) } else { member.folder.clone() };
            let is_own = |format: &TagFormat| {
                let of = format.package();
                of.is_some() && (of == Some(name.as_str()) || of == member.name.as_deref())
            };
            let tag = found.iter().map(|(format, ..)| format).find(|format| is_own(format)).cloned();
            Package { name, folder: member.folder.clone(), version: member.version.clone(), tag }
        })
        .collect();
    let is_one = members.windows(2).all(|two| two[0].version == two[1].version);
    Ok(match (members.is_empty(), is_one && packages.iter().all(|package| package.tag.is_none())) {
        (true, _) => None,
        (false, true) => Some(Members::Together(members)),
        (false, false) => Some(Members::Apart(packages)),
    })
}

/// Whether a package may be called this without quotes.
fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !name.is_empty() && name.bytes().all(plain) && !name.starts_with('-')
}

impl Members {
    /// What was found, in a sentence.
    pub(super) fn told(&self) -> String {
        match self {
            Self::Together(members) => {
                let version = members.first().map(|member| member.version.to_string()).unwrap_or_default();
                let paths: Vec<String> = members.iter().map(manifest).collect();
                format!("found version {version} in {}", sanitize_line(&paths.join(", ")))
            }
            Self::Apart(packages) => {
                let told: Vec<String> =
                    packages.iter().map(|package| format!("{} {}", package.name, package.version)).collect();
                format!("found the packages {}", sanitize_line(&told.join(", ")))
            }
        }
    }
}

fn manifest(member: &Member) -> String {
    format!("{}/package.json", member.folder)
}

/// The members as holders of one version.
pub(super) fn holders(members: &[Member]) -> String {
    let paths: String =
        members.iter().map(|member| format!("    {},\n", quoted(&manifest(member)))).collect();
    format!(
        "# The members of the workspace state the same version, so it is one. Where each is to have its own, list them \
         as\n# packages instead: [packages.NAME] with its `path`.\nholders = [\n{paths}]"
    )
}

/// The members as packages.
pub(super) fn tables(packages: &[Package]) -> String {
    let mut text = String::from(
        "\n# Each member of the workspace is released by itself: `windlass run --package NAME`. With `linked = \"GROUP\"` \
         some\n# share their version; `depends_on = [\"NAME\"]` releases one together with what it is built from.\n",
    );
    for Package { name, folder, tag, .. } in packages {
        let key = if name.contains('.') || !is_name(name) { quoted(name) } else { name.clone() };
        let _ = writeln!(text, "[packages.{key}]\npath = {}", quoted(folder));
        if let Some(tag) = tag {
            let _ = writeln!(text, "tag = {}", quoted(&tag.to_string()));
        }
    }
    text
}
