//! `git.merge`: merges one branch into another.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use windlass_core::plan::{Effect, Facts, Reversibility};
use windlass_core::text::sanitize_line;
use windlass_engine::action::{Action, ActionError, Probe, Result, Undone};
use windlass_engine::context::Context;

use crate::adapters::git::{Git, git, names};

/// Merges one branch into another.
#[derive(Debug, Clone, Copy)]
pub struct Merge;

/// Parameters of `git.merge`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The branch, tag or commit that is merged.
    pub from: String,
    /// The branch it is merged into. It is checked out, and stays so.
    pub into: String,
    /// Whether a merge commit is made even where the branch could just move on.
    #[serde(default = "yes")]
    pub no_ff: bool,
    /// The merge commit's message; by default `Merge FROM into INTO`.
    #[serde(default)]
    pub message: Option<String>,
}

/// What `git.merge` gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// The commit that the branch names now.
    pub commit: String,
    /// The commit that it named before; the same when there was nothing to merge.
    pub before: String,
}

impl Action for Merge {
    const NAME: &'static str = "git.merge";
    const SUMMARY: &'static str = "Merges one branch into another; a conflict leaves everything as it was.";
    type Params = Params;
    type Output = Output;

    fn effects(&self, params: &Params, _: &Facts) -> Result<Vec<Effect>> {
        names::revision(&params.from)?;
        Ok(vec![effect(params)?])
    }

    fn label(&self, params: &Params, _: &Facts) -> String {
        format!("merge {} into {}", params.from, params.into)
    }

    async fn probe(&self, params: &Params, context: &Context) -> Result<Probe<Output>> {
        let git = Git::of(context);
        let (from, into) = tips(&git, params).await?;
        Ok(match git.is_ancestor(&from, &into).await? {
            true => Probe::Done(merged(&git, params, context, &from, into).await?),
            false => Probe::Absent,
        })
    }

    async fn run(&self, params: &Params, context: &Context) -> Result<Output> {
        let repository = Git::of(context);
        let full = names::branch(&params.into)?;
        let message = message(params);
        let (from, before) = tips(&repository, params).await?;
        let mark = Mark::new(context, &full, &from, &before);
        mark.settle(&repository, &full).await?;
        if repository.is_ancestor(&from, &before).await? {
            return merged(&repository, params, context, &from, before).await;
        }
        let dirty = repository.dirty().await?;
        if !dirty.is_empty() {
            return Err(ActionError::Final(format!(
                "there are changes that are not committed: {}",
                sanitize_line(&dirty.join(", "))
            )));
        }
        let (branch, head) = (repository.branch().await?, repository.require_commit("HEAD").await?);
        repository.act(["switch", "--quiet", "--no-guess", names::short(&full)], None).await?;
        mark.set()?;
        let fast = if params.no_ff { "--no-ff" } else { "--ff" };
        let command =
            git().args(["merge", "--quiet", "--no-edit", "--no-autostash", fast, "-m", &message, &from]);
        let finished = repository.finish(command.clone()).await?;
        if finished.success() {
            // The mark stays: it knows the way back if this process dies before it can tell.
            context.changed(effect(params)?);
            return Ok(Output { commit: repository.require_commit(&full).await?, before });
        }
        let conflicts = repository.read(["diff", "--name-only", "--diff-filter=U", "-z"]).await?;
        // Before a merge has started there is nothing to abort.
        if repository.object("MERGE_HEAD").await?.is_some() {
            repository.act(["merge", "--abort"], None).await?;
        }
        mark.clear();
        match &branch {
            Some(branch) => repository.act(["switch", "--quiet", "--no-guess", branch], None).await?,
            None => repository.act(["switch", "--quiet", "--detach", &head], None).await?,
        };
        let files: Vec<String> = conflicts.split_terminator('\0').map(sanitize_line).collect();
        if files.is_empty() {
            return Err(repository.failure(&command, &finished));
        }
        Err(ActionError::Final(format!(
            "{} and {} changed the same lines of {}: merge them by hand; everything is as it was",
            params.from,
            params.into,
            files.join(", ")
        )))
    }

    async fn undo(&self, params: &Params, output: &Output, context: &Context) -> Result<Undone> {
        let git = Git::of(context);
        let full = names::branch(&params.into)?;
        let Some(tip) = git.commit(&full).await? else { return Ok(Undone::NothingToDo) };
        if output.commit == output.before || tip == output.before {
            return Ok(Undone::NothingToDo);
        }
        let by_hand = |why: String| {
            let commit = crate::short(&output.commit);
            Ok(Undone::NeedsHuman(format!("{why}: take it back with `git revert -m 1 {commit}`")))
        };
        if let Some(remote) = git.published(&output.commit).await? {
            return by_hand(format!("the merge is published on {remote}"));
        }
        if tip != output.commit {
            return by_hand(format!("{} has moved on since the merge", params.into));
        }
        if git.branch().await?.as_deref() == Some(names::short(&full)) {
            if !git.dirty().await?.is_empty() {
                return by_hand("there are changes that are not committed, and they would be lost".into());
            }
            git.act(["reset", "--quiet", "--hard", &output.before], None).await?;
        } else {
            let reason = "windlass: undo git.merge";
            git.act(["update-ref", "-m", reason, &full, &output.before, &output.commit], None).await?;
        }
        // The same merge may be made again, and is then a new one.
        Mark::new(context, &full, "", "").clear();
        Ok(Undone::Reverted(format!("set {} back to {}", params.into, crate::short(&output.before))))
    }
}

fn yes() -> bool {
    true
}

fn effect(params: &Params) -> Result<Effect> {
    Ok(Effect::new("merge", names::branch(&params.into)?, Reversibility::Reversible))
}

fn message(params: &Params) -> String {
    params.message.clone().unwrap_or_else(|| format!("Merge {} into {}", params.from, params.into))
}

async fn tips(git: &Git, params: &Params) -> Result<(String, String)> {
    let full = names::branch(&params.into)?;
    Ok((git.require_commit(&params.from).await?, git.require_commit(&full).await?))
}

/// What a merge gave that is done already.
async fn merged(git: &Git, params: &Params, context: &Context, from: &str, tip: String) -> Result<Output> {
    let full = names::branch(&params.into)?;
    let before = match Mark::before(context, &full, from) {
        Some(before) if git.commit(&before).await?.is_some() && git.is_ancestor(&before, &tip).await? => {
            before
        }
        _ => tip.clone(),
    };
    Ok(Output { commit: tip, before })
}

/// The mark of a merge of ours that is under way: a killed one leaves its changes in the checkout, and without it
/// nobody could tell them from a person's.
struct Mark {
    file: PathBuf,
    text: String,
}

impl Mark {
    fn new(context: &Context, into: &str, from: &str, before: &str) -> Self {
        let text = format!("{}\n{into}\n{from}\n{before}\n", context.run);
        Self { file: context.world.state.join("merging"), text }
    }

    /// What `into` named before this run merged `from`, when the mark of that is there.
    fn before(context: &Context, into: &str, from: &str) -> Option<String> {
        let text = std::fs::read_to_string(context.world.state.join("merging")).ok()?;
        let before = text.strip_prefix(&format!("{}\n{into}\n{from}\n", context.run))?;
        Some(before.trim_end().to_owned())
    }

    fn set(&self) -> Result<()> {
        let folder = self.file.parent().map_or(Ok(()), std::fs::create_dir_all);
        folder.and_then(|()| std::fs::write(&self.file, &self.text)).map_err(|error| {
            ActionError::Final(format!("{} cannot be written: {error}", self.file.display()))
        })
    }

    fn clear(&self) {
        // One that stays only matters to this very merge, and that has been settled.
        let _ = std::fs::remove_file(&self.file);
    }

    /// Takes back a merge of this run that was killed before its commit. One that a person has begun is not touched.
    async fn settle(&self, git: &Git, into: &str) -> Result<()> {
        let is_ours = std::fs::read_to_string(&self.file).is_ok_and(|text| text == self.text);
        let merging = git.object("MERGE_HEAD").await?.is_some();
        if merging && !is_ours {
            return Err(ActionError::Final(
                "another merge is under way here: finish it with `git commit`, or drop it with `git merge --abort`"
                    .into(),
            ));
        }
        let on_it = git.branch().await?.as_deref() == Some(names::short(into));
        if merging || (is_ours && on_it && !git.dirty().await?.is_empty()) {
            git.log("took back a merge that was interrupted");
            // Drops what the merge has staged, and keeps what a person has changed since.
            git.act(["reset", "--quiet", "--merge"], None).await?;
        }
        Ok(())
    }
}
