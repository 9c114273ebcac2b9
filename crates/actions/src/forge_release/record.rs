//! What this run did to a release on a forge, kept in Windlass's own folder: a forge tells what is there, and not who
//! made it or what was there before.

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use windlass_core::forge::Project;
use windlass_core::plan::sha256_hex;
use windlass_engine::action::{ActionError, Result};
use windlass_engine::context::Context;

use crate::adapters::forge::{Content, Release};

/// What this run did to the release of one tag.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Record {
    /// What the forge calls the release that this run made.
    made: Option<String>,
    /// What each step began, by its path.
    begun: BTreeMap<String, Begun>,
}

/// A change, written down before it was asked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Begun {
    /// What the release said before; nothing when there was none.
    before: Option<Content>,
    /// What it should say.
    asked: Content,
}

/// How a step stands to the release that is there.
pub(super) struct Deed {
    /// The step made it.
    pub made: bool,
    /// What it said before the step changed it.
    pub before: Option<Content>,
}

impl Record {
    /// What is kept.
    ///
    /// # Errors
    /// When it cannot be read: without it, a release of others could be taken for ours.
    pub(super) fn read(project: &Project, tag: &str, context: &Context) -> Result<Self> {
        let file = file(project, tag, context);
        match fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| failed("read", &file, &error)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(failed("read", &file, &error)),
        }
    }

    /// Keeps it: all of it or none, also when the power fails.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn write(&self, project: &Project, tag: &str, context: &Context) -> Result<()> {
        let file = file(project, tag, context);
        let new = file.with_extension("new");
        let bytes = serde_json::to_vec(self).map_err(|error| failed("written", &file, &error))?;
        let written = file.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| {
            let mut opened = fs::File::create(&new)?;
            opened.write_all(&bytes)?;
            opened.sync_all()?;
            fs::rename(&new, &file)
        });
        written.map_err(|error| failed("written", &file, &error))
    }

    /// Whether this run made the release that is there.
    pub(super) fn owns(&self, found: &Release) -> bool {
        match &self.made {
            Some(made) => *made == found.id,
            // Asked for, and what came of it was not heard.
            None => {
                let mut begun = self.begun.values().filter(|begun| begun.before.is_none());
                begun.any(|begun| begun.asked.same(&found.content))
            }
        }
    }

    /// What the step did to the release that is there.
    pub(super) fn deed(&self, context: &Context, found: &Release) -> Deed {
        let Some(begun) = self.begun.get(context.item()) else {
            return Deed { made: false, before: None };
        };
        Deed { made: begun.before.is_none() && self.owns(found), before: begun.before.clone() }
    }

    /// The step is about to make the release, or to change what it says.
    pub(super) fn begin(&mut self, context: &Context, before: Option<&Content>, asked: &Content) {
        let earlier = self.begun.remove(context.item());
        let before = match earlier {
            // What an earlier attempt found, or made, is how it was before the step.
            Some(Begun { before: Some(before), .. }) => Some(before),
            Some(Begun { before: None, .. }) if self.made.is_some() => None,
            _ => before.cloned(),
        };
        self.begun.insert(context.item().to_owned(), Begun { before, asked: asked.clone() });
    }

    /// The forge told that the release is made.
    pub(super) fn made(&mut self, release: &Release) {
        self.made = Some(release.id.clone());
    }

    /// What the step began came to nothing, or was taken back.
    pub(super) fn forget(&mut self, context: &Context) {
        let begun = self.begun.remove(context.item());
        if begun.is_some_and(|begun| begun.before.is_none()) {
            self.made = None;
        }
    }
}

fn file(project: &Project, tag: &str, context: &Context) -> PathBuf {
    let key = format!("{}\n{}\n{}\n{tag}", context.run, project.url, project.repository);
    context.world.state.join("releases").join(sha256_hex(key.as_bytes()))
}

fn failed(what: &str, file: &Path, error: &dyn std::fmt::Display) -> ActionError {
    ActionError::Failed(format!("{} cannot be {what}: {error}", file.display()))
}
