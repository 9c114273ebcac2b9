//! `git.branch`: makes a branch.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use windlass_core::plan::{Effect, Facts, Reversibility};
use windlass_engine::action::{Action, ActionError, Probe, Result, Undone};
use windlass_engine::context::Context;

use crate::adapters::git::{Git, names};

/// Makes a branch.
#[derive(Debug, Clone, Copy)]
pub struct Branch;

/// Parameters of `git.branch`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The branch's name.
    pub name: String,
    /// The commit, branch or tag it starts from.
    #[serde(default = "head")]
    pub from: String,
    /// Whether it is checked out too.
    #[serde(default = "yes")]
    pub checkout: bool,
}

/// What `git.branch` gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// The branch's name.
    pub branch: String,
    /// The commit it starts from.
    pub commit: String,
    /// The branch that was checked out before, if any.
    pub previous: Option<String>,
}

impl Action for Branch {
    const NAME: &'static str = "git.branch";
    const SUMMARY: &'static str = "Makes a branch and checks it out.";
    type Params = Params;
    type Output = Output;

    fn effects(&self, params: &Params, _: &Facts) -> Result<Vec<Effect>> {
        names::revision(&params.from)?;
        let made = Effect::new("create branch", names::branch(&params.name)?, Reversibility::Reversible);
        let mut effects = vec![made];
        if params.checkout {
            effects.push(Effect::new("check out", &params.name, Reversibility::Reversible));
        }
        Ok(effects)
    }

    fn label(&self, params: &Params, _: &Facts) -> String {
        format!("make branch {} from {}", params.name, params.from)
    }

    async fn probe(&self, params: &Params, context: &Context) -> Result<Probe<Output>> {
        let git = Git::of(context);
        let full = names::branch(&params.name)?;
        let Some(tip) = git.commit(&full).await? else { return Ok(Probe::Absent) };
        let from = git.require_commit(&params.from).await?;
        if tip != from {
            return Ok(Probe::Conflict(format!(
                "the branch {} exists already at {}, not at {}",
                params.name,
                crate::short(&tip),
                crate::short(&from)
            )));
        }
        if params.checkout && git.branch().await?.as_deref() != Some(names::short(&full)) {
            return Ok(Probe::Absent);
        }
        let previous = git.previous_branch().await?.filter(|previous| previous != names::short(&full));
        Ok(Probe::Done(Output { branch: params.name.clone(), commit: tip, previous }))
    }

    async fn run(&self, params: &Params, context: &Context) -> Result<Output> {
        let git = Git::of(context);
        match self.probe(params, context).await? {
            Probe::Done(output) => return Ok(output),
            Probe::Conflict(why) => return Err(ActionError::Final(why)),
            Probe::Absent | Probe::Unknown => {}
        }
        let full = names::branch(&params.name)?;
        let commit = git.require_commit(&params.from).await?;
        let previous = git.branch().await?;
        if git.commit(&full).await?.is_none() {
            // The empty old value: it must not exist, even if somebody makes it right now.
            git.act(["update-ref", "-m", "windlass: git.branch", &full, &commit, ""], None).await?;
            context.changed(Effect::new("create branch", &full, Reversibility::Reversible));
        }
        if params.checkout {
            git.act(["switch", "--quiet", "--no-guess", names::short(&full)], None).await?;
            context.changed(Effect::new("check out", &params.name, Reversibility::Reversible));
        }
        Ok(Output { branch: params.name.clone(), commit, previous })
    }

    async fn undo(&self, params: &Params, output: &Output, context: &Context) -> Result<Undone> {
        let git = Git::of(context);
        let full = names::branch(&params.name)?;
        match git.commit(&full).await? {
            None => return Ok(Undone::NothingToDo),
            Some(tip) if tip != output.commit => {
                return Ok(Undone::NeedsHuman(format!(
                    "the branch {} has new commits: delete it yourself if they are not needed",
                    params.name
                )));
            }
            Some(_) => {}
        }
        if git.branch().await?.as_deref() == Some(names::short(&full)) {
            match &output.previous {
                Some(previous) => {
                    names::branch(previous)?;
                    git.act(["switch", "--quiet", "--no-guess", previous], None).await?;
                }
                None => drop(git.act(["switch", "--quiet", "--detach", &output.commit], None).await?),
            }
        }
        git.act(["update-ref", "-d", &full, &output.commit], None).await?;
        Ok(Undone::Reverted(format!("deleted the branch {}", params.name)))
    }
}

fn head() -> String {
    "HEAD".into()
}

fn yes() -> bool {
    true
}
