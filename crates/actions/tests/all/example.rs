//! `file.stamp`: writes the release's tag into a file.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use windlass_actions::adapters::files;
use windlass_core::plan::{Effect, Facts, Reversibility};
use windlass_engine::action::{Action, Probe, Result, Undone};
use windlass_engine::context::Context;

/// Writes the release's tag into a file.
#[derive(Debug, Clone, Copy)]
pub struct Stamp;

/// Parameters of `file.stamp`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The file, from the repository's root.
    path: String,
}

/// What `file.stamp` gives.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// The file's text before; empty when it was new.
    before: String,
}

impl Action for Stamp {
    const NAME: &'static str = "file.stamp";
    const SUMMARY: &'static str = "Writes the release's tag into a file.";
    type Params = Params;
    type Output = Output;

    fn effects(&self, params: &Params, _: &Facts) -> Result<Vec<Effect>> {
        files::check(&params.path)?;
        Ok(vec![effect(params)])
    }

    async fn probe(&self, params: &Params, context: &Context) -> Result<Probe<Output>> {
        let found = files::read(&context.world.workspace, &params.path)?;
        let is_done = found == Some(context.release()?.tag.clone());
        Ok(if is_done { Probe::Done(Output { before: String::new() }) } else { Probe::Absent })
    }

    async fn run(&self, params: &Params, context: &Context) -> Result<Output> {
        let (workspace, tag) = (&context.world.workspace, context.release()?.tag.clone());
        let before = files::read(workspace, &params.path)?.unwrap_or_default();
        if before != tag {
            files::replace(workspace, &[(params.path.clone(), tag)])?;
            context.changed(effect(params));
        }
        Ok(Output { before })
    }

    async fn undo(&self, params: &Params, output: &Output, context: &Context) -> Result<Undone> {
        let workspace = &context.world.workspace;
        if files::read(workspace, &params.path)?.as_deref() == Some(&output.before) {
            return Ok(Undone::NothingToDo);
        }
        files::replace(workspace, &[(params.path.clone(), output.before.clone())])?;
        Ok(Undone::Reverted(format!("wrote back {}", params.path)))
    }
}

fn effect(params: &Params) -> Effect {
    Effect::new("write", &params.path, Reversibility::Reversible)
}
