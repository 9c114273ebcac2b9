//! What was counted when releases were looked at last, kept in Windlass's own folder: forges tell how often a file was
//! downloaded all in all, and not since when.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use windlass_actions::adapters::files;
use windlass_actions::adapters::forge::Shown;
use windlass_core::forge::Project as Repository;
use windlass_core::plan::sha256_hex;

use crate::error::{CommandError, Result};
use crate::facts::failed;
use crate::project::Project;

/// What was counted of each release of a repository, by its tag.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Looks(BTreeMap<String, Look>);

/// What was counted of one release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// When.
    pub at: Timestamp,
    /// How often all of its files were downloaded.
    pub downloads: u64,
    /// How often each was, by its name.
    pub assets: BTreeMap<String, u64>,
}

impl Looks {
    /// What is kept.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(project: &Project, place: &Repository) -> Result<Self> {
        let path = path(place);
        let Some(text) = files::read(&project.state, &path).map_err(failed)? else {
            return Ok(Self::default());
        };
        serde_json::from_str(&text).map_err(|error| {
            CommandError::failed(format!("{} cannot be read: {error}", project.state.join(path).display()))
        })
    }

    /// Keeps it: all of it or none.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, project: &Project, place: &Repository) -> Result<()> {
        let text = serde_json::to_string(self).map_err(|error| CommandError::failed(error.to_string()))?;
        files::replace(&project.state, &[(path(place), text)]).map_err(failed)
    }

    /// What was counted of a release before, in exchange for what is counted now. What the forge does not count is not
    /// kept.
    pub fn exchange(&mut self, shown: &Shown, at: Timestamp) -> Option<Look> {
        let downloads = shown.downloads?;
        let counted = shown.assets.iter().filter_map(|asset| Some((asset.name.clone(), asset.downloads?)));
        self.0.insert(shown.tag.clone(), Look { at, downloads, assets: counted.collect() })
    }
}

fn path(place: &Repository) -> String {
    let key = format!("{}\n{}", place.url, place.repository);
    format!("adoption/{}.json", sha256_hex(key.as_bytes()))
}
