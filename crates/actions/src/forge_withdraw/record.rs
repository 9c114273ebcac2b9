//! What this step found before it withdrew a release, kept in Windlass's own folder before anything is sent.

use std::fs;

use serde::{Deserialize, Serialize};
use windlass_core::plan::sha256_hex;
use windlass_engine::action::{ActionError, Result};
use windlass_engine::context::Context;

use super::Asked;
use crate::adapters::files;
use crate::adapters::forge::{Content, Release};

/// What was there.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Record {
    /// The release.
    pub(super) release: Option<Kept>,
    /// What it should say; nothing where it is deleted.
    pub(super) asked: Option<Content>,
    /// The object of its tag.
    pub(super) object: Option<String>,
    /// The remote had the tag.
    pub(super) remote: bool,
    /// The tag was here.
    pub(super) local: bool,
}

/// A release as it was.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Kept {
    /// What the forge calls it.
    pub(super) id: String,
    /// Its page.
    pub(super) url: String,
    /// What it said.
    pub(super) content: Content,
    /// The files that were added to it.
    pub(super) files: Vec<String>,
}

impl From<&Release> for Kept {
    fn from(release: &Release) -> Self {
        let Release { id, url, content, files } = release.clone();
        Self { id, url, content, files }
    }
}

impl Record {
    /// What is kept of this step.
    ///
    /// # Errors
    /// When it cannot be read: without it, nobody knows what was there.
    pub(super) fn read(asked: &Asked<'_>, context: &Context) -> Result<Option<Self>> {
        let path = path(asked, context);
        let text = files::read(&context.world.state, &path)?;
        text.map(|text| serde_json::from_str(&text)).transpose().map_err(|error| {
            ActionError::Failed(format!(
                "{} cannot be read: {error}",
                context.world.state.join(path).display()
            ))
        })
    }

    /// Keeps it, all of it or none; and the text of a release beside it, for people.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn write(&self, asked: &Asked<'_>, context: &Context) -> Result<()> {
        let text = serde_json::to_string(self).map_err(|error| ActionError::Failed(error.to_string()))?;
        let path = path(asked, context);
        let mut edits = vec![(path.clone(), text)];
        edits.extend(self.release.as_ref().map(|kept| (format!("{path}.md"), kept.content.body.clone())));
        let state = &context.world.state;
        files::replace(state, &edits).map_err(|error| {
            ActionError::Failed(format!(
                "what is there of {} cannot be kept, so nothing is changed: {error}",
                asked.place()
            ))
        })?;
        // The folder of the files may be new.
        let _ = fs::File::open(state).and_then(|state| state.sync_all());
        Ok(())
    }

    /// It came to nothing, or was taken back. What cannot be removed is written over by the next try.
    pub(super) fn forget(asked: &Asked<'_>, context: &Context) {
        let path = context.world.state.join(path(asked, context));
        let _ = fs::remove_file(path.with_extension("md"));
        let _ = fs::remove_file(path);
    }
}

/// Where the text that the release had is kept.
pub(super) fn text(asked: &Asked<'_>, context: &Context) -> String {
    context.world.state.join(format!("{}.md", path(asked, context))).display().to_string()
}

fn path(asked: &Asked<'_>, context: &Context) -> String {
    let project = asked.project;
    let key = format!(
        "{}\n{}\n{}\n{}\n{}",
        context.run,
        context.item(),
        project.url,
        project.repository,
        asked.tag
    );
    format!("withdrawn/{}", sha256_hex(key.as_bytes()))
}
