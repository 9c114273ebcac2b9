//! `notes.write`: writes the release notes to a file.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use windlass_core::plan::{Effect, Facts, ReleaseFact, Reversibility};
use windlass_engine::action::{Action, ActionError, Probe, Result, Undone};
use windlass_engine::context::Context;

use crate::adapters::files;
use crate::adapters::git::Git;

/// Writes the release notes to a file.
#[derive(Debug, Clone, Copy)]
pub struct WriteNotes;

/// What is done about a file with the notes of this release that somebody edited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Edited {
    /// Nothing is written, and the step fails.
    #[default]
    Refuse,
    /// The file stays: it is the notes.
    Keep,
    /// It is overwritten.
    Replace,
}

/// Parameters of `notes.write`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The file, from the repository's root.
    pub output: String,
    /// The version whose notes are meant: must be the release's. A guard against a stale value.
    #[serde(default)]
    pub version: Option<String>,
    /// What is done when the file is there and somebody may have edited it: it differs from what is committed, or it
    /// tells of this very release in other words. `refuse` fails, `keep` takes it as the notes, `replace` overwrites it.
    #[serde(default)]
    pub edited: Edited,
}

/// What `notes.write` gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// The file.
    pub path: String,
    /// SHA-256 of its text, in hexadecimal.
    pub digest: String,
    /// The file's text before; nothing when it was new.
    pub before: Option<String>,
    /// The file was somebody's work already, and stayed.
    #[serde(default)]
    pub kept: bool,
}

impl Action for WriteNotes {
    const NAME: &'static str = "notes.write";
    const SUMMARY: &'static str = "Writes the release notes to a file.";
    type Params = Params;
    type Output = Output;

    fn effects(&self, params: &Params, facts: &Facts) -> Result<Vec<Effect>> {
        files::check(&params.output)?;
        notes(params, facts.release.as_ref())?;
        Ok(vec![effect(params)])
    }

    fn label(&self, params: &Params, _: &Facts) -> String {
        format!("write the release notes to {}", params.output)
    }

    async fn probe(&self, params: &Params, context: &Context) -> Result<Probe<Output>> {
        let text = notes(params, context.world.release.as_deref())?;
        let found = files::read(&context.world.workspace, &params.output)?;
        Ok(match found {
            Some(found) if found == text => Probe::Done(output(params, &text, None)),
            Some(found) if is_edited(params, &found, context).await? => match params.edited {
                Edited::Refuse => Probe::Conflict(refusal(params)),
                Edited::Keep => Probe::Done(Output { kept: true, ..output(params, &found, None) }),
                Edited::Replace => Probe::Absent,
            },
            _ => Probe::Absent,
        })
    }

    async fn run(&self, params: &Params, context: &Context) -> Result<Output> {
        let text = notes(params, context.world.release.as_deref())?;
        let workspace = &context.world.workspace;
        let before = files::read(workspace, &params.output)?;
        if before.as_ref() == Some(&text) {
            return Ok(output(params, &text, None));
        }
        if let Some(found) = &before
            && params.edited != Edited::Replace
            && is_edited(params, found, context).await?
        {
            return match params.edited {
                Edited::Keep => Ok(Output { kept: true, ..output(params, found, None) }),
                _ => Err(ActionError::Final(refusal(params))),
            };
        }
        files::replace(workspace, &[(params.output.clone(), text.clone())])?;
        context.changed(effect(params));
        Ok(output(params, &text, before))
    }

    async fn undo(&self, _: &Params, output: &Output, context: &Context) -> Result<Undone> {
        let workspace = &context.world.workspace;
        let path = &output.path;
        let Some(found) = files::read(workspace, path)? else { return Ok(Undone::NothingToDo) };
        if output.kept || output.before.as_ref() == Some(&found) {
            return Ok(Undone::NothingToDo);
        }
        if windlass_core::plan::sha256_hex(found.as_bytes()) != output.digest {
            return Ok(Undone::NeedsHuman(format!("{path} was changed since: look at it yourself")));
        }
        Ok(match &output.before {
            Some(before) => {
                files::replace(workspace, &[(path.clone(), before.clone())])?;
                Undone::Reverted(format!("wrote back {path}"))
            }
            None => {
                std::fs::remove_file(files::inside(workspace, path)?)
                    .map_err(|error| ActionError::Failed(format!("{path} cannot be removed: {error}")))?;
                Undone::Reverted(format!("removed {path}"))
            }
        })
    }
}

/// Whether the file may hold somebody's work on the notes of this release. Those of an earlier one, as committed, do
/// not: git keeps them.
async fn is_edited(params: &Params, found: &str, context: &Context) -> Result<bool> {
    let version = context.release()?.version.clone();
    let version = version.split(['-', '+']).next().unwrap_or_default();
    Ok(names(found, version)
        || !Git::of(context).dirty_among(std::slice::from_ref(&params.output)).await?.is_empty())
}

/// Whether `text` names this very version, or a candidate for it.
fn names(text: &str, version: &str) -> bool {
    let part = |character: char| character.is_ascii_digit() || character == '.';
    text.match_indices(version).any(|(at, _)| {
        let after = &text[at + version.len()..];
        let ends = !after.starts_with(|next: char| next.is_ascii_digit())
            && !after
                .strip_prefix('.')
                .is_some_and(|rest| rest.starts_with(|next: char| next.is_ascii_digit()));
        !text[..at].ends_with(part) && ends
    })
}

fn refusal(params: &Params) -> String {
    format!(
        "{} has other notes of this release, which somebody may have edited: set `edited: keep` to release with them, \
         or `edited: replace` to overwrite them",
        windlass_core::text::sanitize_line(&params.output)
    )
}

fn effect(params: &Params) -> Effect {
    Effect::new("write", &params.output, Reversibility::Reversible)
}

fn output(params: &Params, text: &str, before: Option<String>) -> Output {
    let digest = windlass_core::plan::sha256_hex(text.as_bytes());
    Output { path: params.output.clone(), digest, before, kept: false }
}

fn notes(params: &Params, release: Option<&ReleaseFact>) -> Result<String> {
    let release = release.ok_or_else(|| {
        ActionError::Final("notes.write: this run releases no version, so there are no notes to write".into())
    })?;
    if let Some(version) = params.version.as_ref().filter(|version| **version != release.version) {
        return Err(ActionError::Final(format!(
            "notes.write: the notes are those of {}, not of {version}",
            release.version
        )));
    }
    Ok(format!("{}\n", release.notes.trim_end()))
}
