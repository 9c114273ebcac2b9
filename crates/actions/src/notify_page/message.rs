//! What people are told, and that somebody took it: kept in Windlass's own folder, so that a run that was killed does not
//! page again.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use windlass_core::plan::sha256_hex;
use windlass_core::text::sanitize_line;
use windlass_engine::context::Context;

use super::{Output, Params};

/// The version of the message's JSON.
const SCHEMA: u32 = 1;
/// The kind of a message that calls people.
const PAGE: &str = "page";

/// What is kept of a message that was taken.
#[derive(Serialize, Deserialize)]
struct Kept {
    #[serde(flatten)]
    output: Output,
    /// Which way took it, from 0.
    #[serde(default)]
    way: usize,
}

/// What people are told.
pub(super) struct Message {
    /// What it is about: the same for a page and the message that it is over.
    pub id: String,
    /// It is over.
    pub resolved: bool,
    /// In words, on one line.
    pub text: String,
    pub run: String,
    pub version: Option<String>,
    pub tag: Option<String>,
    pub at: Timestamp,
    /// The repository's folder, for services that want to know where it comes from.
    pub project: String,
}

impl Message {
    pub(super) fn of(params: &Params, context: &Context) -> Self {
        let occasion = params.occasion.clone().unwrap_or_else(|| context.path.to_string());
        let release = context.world.release.as_deref();
        let folder = context.world.workspace.file_name().unwrap_or_default().to_string_lossy();
        Self {
            id: sanitize_line(&format!("{}/{occasion}", context.run)),
            resolved: params.resolved,
            text: context.world.masker.mask(&sanitize_line(&params.message)),
            run: context.run.0.clone(),
            version: release.map(|release| release.version.clone()),
            tag: release.map(|release| release.tag.clone()),
            at: context.world.clock.now(),
            project: sanitize_line(&folder),
        }
    }

    /// `page` or `resolved`.
    pub(super) fn kind(&self) -> &'static str {
        if self.resolved { "resolved" } else { PAGE }
    }

    /// As programs and addresses get it.
    pub(super) fn json(&self) -> Value {
        json!({
            "schema": SCHEMA,
            "id": self.id,
            "kind": self.kind(),
            "message": self.text,
            "run": self.run,
            "version": self.version,
            "tag": self.tag,
            "at": self.at,
        })
    }

    /// Who took it, when somebody did before.
    pub(super) fn taken(&self, context: &Context) -> Option<Output> {
        kept(&file(self.kind(), &self.id, context)).map(|kept| kept.output)
    }

    /// The way that took the page which this message says is over: whoever was called is told first.
    pub(super) fn opened_by(&self, context: &Context) -> Option<usize> {
        if !self.resolved {
            return None;
        }
        kept(&file(PAGE, &self.id, context)).map(|kept| kept.way)
    }

    /// Keeps that it was taken. Where that cannot be written it was taken all the same.
    pub(super) fn keep(&self, output: &Output, way: usize, context: &Context) {
        let file = file(self.kind(), &self.id, context);
        let kept = Kept { output: output.clone(), way };
        let written = file.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| {
            let new = file.with_extension("new");
            std::fs::write(&new, serde_json::to_vec(&kept).unwrap_or_default())?;
            std::fs::rename(&new, &file)
        });
        if let Err(error) = written {
            context.log(&format!("that people were paged cannot be kept: {error}"));
        }
    }
}

/// Where it is kept that a message was taken.
fn file(kind: &str, id: &str, context: &Context) -> PathBuf {
    context.world.state.join("pages").join(sha256_hex(format!("{kind} {id}").as_bytes()))
}

fn kept(file: &Path) -> Option<Kept> {
    serde_json::from_slice(&std::fs::read(file).ok()?).ok()
}
