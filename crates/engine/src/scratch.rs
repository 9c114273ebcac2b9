//! Folders for what an action needs for a moment: gone with the action, or, when its process was killed, cleared by whoever
//! takes the run over.

use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use windlass_core::plan::sha256_hex;
use windlass_core::run::RunId;

use crate::context::Context;

/// A folder that only this user sees, removed when it is dropped.
///
/// # Errors
/// When it cannot be made.
pub fn folder(context: &Context) -> io::Result<TempDir> {
    let place = place(&context.world.state, &context.run);
    std::fs::create_dir_all(&place)?;
    tempfile::tempdir_in(place)
}

/// Removes what killed processes of a run left. Nobody else may be at work on the run.
pub fn clear(state: &Path, run: &RunId) {
    // What cannot be removed stands in nobody's way: every folder has a name of its own.
    let _kept = std::fs::remove_dir_all(place(state, run));
}

fn place(state: &Path, run: &RunId) -> PathBuf {
    let mark = sha256_hex(run.0.as_bytes());
    state.join("scratch").join(mark.get(..16).unwrap_or(&mark))
}
