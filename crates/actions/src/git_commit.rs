//! `git.commit`: commits what earlier steps wrote.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use windlass_core::plan::{Effect, Facts, Reversibility};
use windlass_core::text::sanitize_line;
use windlass_engine::action::{Action, ActionError, Probe, Result, Undone};
use windlass_engine::context::Context;

use crate::adapters::files;
use crate::adapters::git::Git;
use crate::adapters::git::sign::Sign;

/// Commits what earlier steps wrote.
#[derive(Debug, Clone, Copy)]
pub struct Commit;

/// Parameters of `git.commit`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The commit's message.
    pub message: String,
    /// The files to commit, new ones included, from the repository's root. By default every tracked file that was
    /// changed, and never a new one.
    #[serde(default)]
    pub paths: Vec<String>,
    /// How it is signed: `none`, `gpg` or `ssh`. By default as git is configured.
    #[serde(default)]
    pub sign: Option<Sign>,
}

/// What `git.commit` gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// The commit's id.
    pub commit: String,
}

impl Action for Commit {
    const NAME: &'static str = "git.commit";
    const SUMMARY: &'static str = "Commits what earlier steps wrote.";
    type Params = Params;
    type Output = Output;

    fn effects(&self, params: &Params, _: &Facts) -> Result<Vec<Effect>> {
        check(params)?;
        Ok(vec![effect()])
    }

    fn label(&self, params: &Params, _: &Facts) -> String {
        format!("commit: {}", sanitize_line(params.message.lines().next().unwrap_or_default()))
    }

    async fn probe(&self, params: &Params, context: &Context) -> Result<Probe<Output>> {
        check(params)?;
        let git = Git::of(context);
        if !changed(&git, params).await?.is_empty() {
            return Ok(Probe::Absent);
        }
        let Some(commit) = git.head().await? else { return Ok(Probe::Absent) };
        let release = context.world.release.as_deref();
        if release.is_some_and(|release| release.commits.iter().any(|known| known.id == commit)) {
            // It was there when the release was planned, whatever its message: it is not this run's to take back.
            return Ok(Probe::Absent);
        }
        Ok(match normal(&git.message(&commit).await?) == normal(&params.message) {
            true => Probe::Done(Output { commit }),
            false => Probe::Absent,
        })
    }

    async fn run(&self, params: &Params, context: &Context) -> Result<Output> {
        let git = Git::of(context);
        if let Probe::Done(output) = self.probe(params, context).await? {
            return Ok(output);
        }
        let paths = changed(&git, params).await?;
        if paths.is_empty() {
            return Err(ActionError::Final(match params.paths.is_empty() {
                true => "there is nothing to commit: no tracked file was changed".into(),
                false => format!(
                    "there is nothing to commit: unchanged: {}",
                    sanitize_line(&params.paths.join(", "))
                ),
            }));
        }
        let mut args: Vec<&str> = params.sign.map(Sign::config).unwrap_or_default().to_vec();
        args.extend(["--literal-pathspecs", "commit", "--quiet", "--cleanup=whitespace", "--file=-"]);
        match params.sign {
            None => {}
            Some(Sign::None) => args.push("--no-gpg-sign"),
            Some(Sign::Gpg | Sign::Ssh) => args.push("--gpg-sign"),
        }
        if params.paths.is_empty() {
            args.push("--all");
        } else {
            // New files must be known first; what is gone `commit` finds out itself.
            let here = |path: &&String| git.workspace().join(path).symlink_metadata().is_ok();
            let mut stage = vec!["--literal-pathspecs", "add", "--"];
            let fixed = stage.len();
            stage.extend(paths.iter().filter(here).map(String::as_str));
            if stage.len() > fixed {
                git.act(stage, None).await?;
            }
            // Only these, whatever else somebody has staged.
            args.extend(["--only", "--"]);
            args.extend(paths.iter().map(String::as_str));
        }
        git.act(args, Some(&params.message)).await?;
        context.changed(effect());
        let commit = git.require_commit("HEAD").await?;
        let files = if paths.len() == 1 { "file" } else { "files" };
        git.log(&format!("committed {} with {} {files}", crate::short(&commit), paths.len()));
        Ok(Output { commit })
    }

    async fn undo(&self, _: &Params, output: &Output, context: &Context) -> Result<Undone> {
        let git = Git::of(context);
        let Some(head) = git.head().await? else { return Ok(Undone::NothingToDo) };
        if git.commit(&output.commit).await?.is_none() || !git.is_ancestor(&output.commit, &head).await? {
            return Ok(Undone::NothingToDo);
        }
        let shown = crate::short(&output.commit);
        let by_hand =
            |why: &str| Ok(Undone::NeedsHuman(format!("{why}: take it back with `git revert {shown}`")));
        if let Some(remote) = git.published(&output.commit).await? {
            return by_hand(&format!("the commit {shown} is published on {remote}"));
        }
        if head != output.commit {
            return by_hand(&format!("there are commits after {shown}"));
        }
        if !git.dirty().await?.is_empty() {
            return by_hand("there are changes that are not committed, and they would be lost");
        }
        let Some(parent) = git.commit(&format!("{}^", output.commit)).await? else {
            return by_hand(&format!("{shown} is the first commit"));
        };
        git.act(["reset", "--quiet", "--hard", &parent], None).await?;
        Ok(Undone::Reverted(format!("took the commit {shown} off the branch")))
    }
}

fn effect() -> Effect {
    Effect::new("commit", "HEAD", Reversibility::Reversible)
}

fn check(params: &Params) -> Result<()> {
    if params.message.trim().is_empty() || params.message.contains('\0') {
        return Err(ActionError::Final("git.commit: `message` is empty or holds a zero byte".into()));
    }
    params.paths.iter().try_for_each(|path| files::check(path))
}

async fn changed(git: &Git, params: &Params) -> Result<Vec<String>> {
    match params.paths.as_slice() {
        [] => git.dirty().await,
        paths => git.dirty_among(paths).await,
    }
}

/// The message as git keeps it: no white space at the ends of lines, no empty lines at its ends or in a row.
fn normal(message: &str) -> String {
    let mut lines: Vec<&str> = message.lines().map(str::trim_end).collect();
    lines.dedup_by(|one, other| one.is_empty() && other.is_empty());
    lines.join("\n").trim_matches('\n').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_compared_as_git_keeps_them() {
        assert_eq!(normal("\n\nRelease 1.0.0  \n\n\n\n# body\n\n"), "Release 1.0.0\n\n# body");
        assert_ne!(normal("a\n\nb"), normal("a\nb"));
    }
}
