//! `git.push`: publishes branch and tag, both or none.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use windlass_core::plan::{Effect, Facts, Reversibility};
use windlass_engine::action::{Action, ActionError, Probe, Result, Undone};
use windlass_engine::context::Context;
use windlass_engine::process::Finished;

use crate::adapters::git::{Git, git, names};

/// Publishes branch and tag.
#[derive(Debug, Clone, Copy)]
pub struct Push;

/// Parameters of `git.push`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The remote.
    #[serde(default = "origin")]
    pub remote: String,
    /// Branches and tags to push, by name. By default the branch checked out and the release's tag.
    #[serde(default)]
    pub refs: Vec<String>,
    /// Whether the tags among them must be annotated. Unsaid, either kind will do.
    #[serde(default)]
    pub annotate: Option<bool>,
}

/// What `git.push` gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// The remote.
    pub remote: String,
    /// What each ref of the remote holds now, by full name.
    pub refs: BTreeMap<String, String>,
    /// What each held before; without those that are new.
    pub before: BTreeMap<String, String>,
    /// Those that the remote had already: put there by somebody else, or by this run before it was interrupted.
    pub found: Vec<String>,
}

impl Action for Push {
    const NAME: &'static str = "git.push";
    const SUMMARY: &'static str = "Pushes branch and tag by name, both or none, never over anybody's work.";
    const RETRIES: u32 = 2;
    type Params = Params;
    type Output = Output;

    fn effects(&self, params: &Params, facts: &Facts) -> Result<Vec<Effect>> {
        names::remote(&params.remote)?;
        let release = facts.release.as_ref().map(|release| release.tag.as_str());
        let is_tag = |name: &str| facts.tags.contains_key(name) || release == Some(name);
        let refs = match params.refs.as_slice() {
            [] => defaults(facts.branch.as_deref(), release)?,
            refs => refs.iter().map(|name| full_name(name, is_tag(name), false)).collect::<Result<_>>()?,
        };
        Ok(refs.iter().map(|full| effect(&params.remote, full)).collect())
    }

    fn label(&self, params: &Params, facts: &Facts) -> String {
        let effects = self.effects(params, facts).unwrap_or_default();
        let mut refs: Vec<&str> = effects
            .iter()
            .filter_map(|effect| effect.target.split_once(' '))
            .map(|(_, full)| names::short(full))
            .collect();
        if refs.is_empty() {
            // What earlier steps decide cannot be judged yet.
            refs = params.refs.iter().map(String::as_str).collect();
        }
        format!("push {} to {}", refs.join(" and "), params.remote)
    }

    async fn probe(&self, params: &Params, context: &Context) -> Result<Probe<Output>> {
        let git = Git::of(context);
        let state = State::read(&git, params, context).await?;
        if let Some(conflict) = state.conflict() {
            return Ok(Probe::Conflict(conflict));
        }
        Ok(match state.refs.iter().all(|one| one.standing == Standing::Contained) {
            true => Probe::Done(state.output()),
            false => Probe::Absent,
        })
    }

    async fn run(&self, params: &Params, context: &Context) -> Result<Output> {
        let repository = Git::of(context);
        let state = State::read(&repository, params, context).await?;
        if let Some(conflict) = state.conflict() {
            return Err(ActionError::Final(conflict));
        }
        state.check_tags(&repository, params.annotate).await?;
        let wanted: Vec<&Pushed> =
            state.refs.iter().filter(|one| one.standing != Standing::Contained).collect();
        if wanted.is_empty() {
            return Ok(state.output());
        }
        let mut command = repository.to_remote(git()).await?.args([
            "push",
            "--porcelain",
            "--atomic",
            "--no-follow-tags",
            "--no-signed",
        ]);
        for one in &wanted {
            // The lease says what must be there still; empty, that nothing is.
            let expected = one.remote.as_deref().unwrap_or_default();
            command = command.arg(format!("--force-with-lease={}:{expected}", one.full));
        }
        command = command.arg("--end-of-options").arg(&params.remote);
        command = command.args(wanted.iter().map(|one| format!("{0}:{0}", one.full)));
        let finished = repository.finish(command).await?;
        // Asked again even after a failure: the connection may have broken after the push was taken.
        let after = repository.remote_refs(&params.remote, &state.names()).await;
        let arrived = |after: &BTreeMap<String, String>| {
            wanted.iter().all(|one| after.get(&one.full) == Some(&one.local))
        };
        match (finished.success(), after) {
            (_, Ok(after)) if arrived(&after) => {}
            (false, after) => {
                // What the remote holds tells it surely; its words differ between versions and hosts of git.
                let changed = after
                    .is_ok_and(|after| wanted.iter().any(|one| after.get(&one.full) != one.remote.as_ref()));
                let refusal = refusal(&repository, &params.remote, &finished, changed);
                return Err(ActionError::Failed(refusal));
            }
            (true, Err(error)) => return Err(error),
            (true, Ok(_)) => {
                return Err(ActionError::Failed(format!(
                    "{} took the push, but does not hold what was pushed",
                    params.remote
                )));
            }
        }
        for one in &wanted {
            context.changed(effect(&params.remote, &one.full));
        }
        Ok(state.output())
    }

    async fn undo(&self, _: &Params, output: &Output, _: &Context) -> Result<Undone> {
        let mut todo = Vec::new();
        for (full, now) in &output.refs {
            let name = names::short(full);
            let remote = &output.remote;
            match output.before.get(full) {
                _ if full.starts_with("refs/tags/") => todo.push(format!(
                    "the tag {name} is published on {remote} and stays: release a new version that repairs it"
                )),
                Some(_) if output.found.contains(full) => todo.push(format!(
                    "{name} was on {remote} already: if this run put it there, take it back with `git revert`, up to {}",
                    crate::short(now)
                )),
                Some(before) => todo.push(format!(
                    "{name} is published on {remote}: take it back with `git revert {}..{} && git push {remote} {name}`",
                    crate::short(before),
                    crate::short(now)
                )),
                None => todo.push(format!(
                    "the branch {name} is published on {remote}: if nobody uses it, delete it with `git push {remote} --delete {name}`"
                )),
            }
        }
        Ok(match todo.is_empty() {
            true => Undone::NothingToDo,
            false => Undone::NeedsHuman(todo.join("; ")),
        })
    }
}

fn origin() -> String {
    "origin".into()
}

/// A tag that others have seen is theirs too (C9); a branch can be answered by a commit that reverts.
fn effect(remote: &str, full: &str) -> Effect {
    let reversibility = match full.starts_with("refs/tags/") {
        true => Reversibility::Permanent,
        false => Reversibility::Compensable,
    };
    Effect::new("push", format!("{remote} {full}"), reversibility)
}

fn defaults(branch: Option<&str>, tag: Option<&str>) -> Result<Vec<String>> {
    let branch = branch.ok_or_else(|| {
        ActionError::Final(
            "no branch is checked out: say in `refs` what to push, such as `refs: [main]`".into(),
        )
    })?;
    let mut refs = vec![names::branch(branch)?];
    if let Some(tag) = tag {
        refs.push(names::tag(tag)?);
    }
    Ok(refs)
}

fn full_name(name: &str, is_tag: bool, is_branch: bool) -> Result<String> {
    if name.starts_with("refs/heads/") {
        return names::branch(name);
    }
    match (name.starts_with("refs/tags/") || is_tag, is_branch) {
        (true, true) if !name.starts_with("refs/") => Err(ActionError::Final(format!(
            "`{name}` is a branch and a tag: write `refs/heads/{name}` or `refs/tags/{name}`"
        ))),
        (true, _) => names::tag(name),
        (false, _) => names::branch(name),
    }
}

/// How a ref of ours stands to the remote's.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Standing {
    /// The remote has it already, perhaps with more on top.
    Contained,
    /// It can be pushed.
    Ahead,
    /// Something else is there.
    Conflict(String),
}

struct Pushed {
    full: String,
    local: String,
    remote: Option<String>,
    standing: Standing,
}

struct State {
    remote: String,
    refs: Vec<Pushed>,
}

impl State {
    async fn read(git: &Git, params: &Params, context: &Context) -> Result<Self> {
        names::remote(&params.remote)?;
        let mut names = Vec::new();
        for name in &params.refs {
            let tag = git.object(&names::tag(name)?).await?;
            let branch = git.object(&names::branch(name)?).await?;
            names.push(full_name(name, tag.is_some(), branch.is_some())?);
        }
        if names.is_empty() {
            let release = context.world.release.as_deref().map(|release| release.tag.as_str());
            names = defaults(git.branch().await?.as_deref(), release)?;
        }
        let held = git.remote_refs(&params.remote, &names).await?;
        let mut refs = Vec::new();
        for full in names {
            let local = git.object(&full).await?.ok_or_else(|| {
                ActionError::Final(format!(
                    "there is no {full} here to push: is a step before this one missing?"
                ))
            })?;
            let remote = held.get(&full).cloned();
            let standing = standing(git, &params.remote, &full, &local, remote.as_deref()).await?;
            refs.push(Pushed { full, local, remote, standing });
        }
        Ok(Self { remote: params.remote.clone(), refs })
    }

    fn names(&self) -> Vec<String> {
        self.refs.iter().map(|one| one.full.clone()).collect()
    }

    fn conflict(&self) -> Option<String> {
        self.refs.iter().find_map(|one| match &one.standing {
            Standing::Conflict(why) => Some(why.clone()),
            _ => None,
        })
    }

    fn output(&self) -> Output {
        let before = self.refs.iter().filter_map(|one| Some((one.full.clone(), one.remote.clone()?)));
        Output {
            remote: self.remote.clone(),
            refs: self.refs.iter().map(|one| (one.full.clone(), one.local.clone())).collect(),
            before: before.collect(),
            found: self
                .refs
                .iter()
                .filter(|one| one.standing == Standing::Contained)
                .map(|one| one.full.clone())
                .collect(),
        }
    }

    /// A tag must be of the kind asked for, and name a commit that the remote has or gets now.
    async fn check_tags(&self, git: &Git, annotate: Option<bool>) -> Result<()> {
        for tag in self.refs.iter().filter(|one| one.full.starts_with("refs/tags/")) {
            let name = names::short(&tag.full);
            let annotated = git.read(["cat-file", "-t", &tag.local]).await?.trim() == "tag";
            if annotate.is_some_and(|wanted| wanted != annotated) {
                let not = if annotated { "" } else { "not " };
                return Err(ActionError::Final(format!(
                    "the tag {name} is {not}annotated: it was not made by this plan"
                )));
            }
            let commit = git.require_commit(&tag.full).await?;
            let is_branch = |full: &str| full.starts_with("refs/heads/");
            let pushed = self.refs.iter().filter(|one| is_branch(&one.full)).map(|one| one.local.clone());
            if git.contained(&commit, &pushed.collect()).await? {
                continue;
            }
            let held = git.remote_refs(&self.remote, &[]).await?;
            let held = held.iter().filter(|(full, _)| is_branch(full)).map(|(_, id)| id.as_str());
            if !git.contained(&commit, &git.known_commits(held).await?).await? {
                return Err(ActionError::Final(format!(
                    "the tag {name} names {}, which no branch of {} has: push its branch too",
                    crate::short(&commit),
                    self.remote
                )));
            }
        }
        Ok(())
    }
}

async fn standing(git: &Git, remote: &str, full: &str, local: &str, held: Option<&str>) -> Result<Standing> {
    let name = names::short(full);
    let Some(held) = held else { return Ok(Standing::Ahead) };
    if held == local {
        return Ok(Standing::Contained);
    }
    if full.starts_with("refs/tags/") {
        return Ok(Standing::Conflict(format!(
            "{remote} has another tag {name} already ({} there, {} here): a published tag is not replaced",
            crate::short(held),
            crate::short(local)
        )));
    }
    if git.commit(held).await?.is_none() {
        // Brings the commits and moves no ref of ours.
        let fetch = crate::adapters::git::git();
        let fetch = git.to_remote(fetch).await?.args([
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            "--refmap=",
            "--end-of-options",
            remote,
            full,
        ]);
        let finished = git.finish(fetch.clone()).await?;
        if !finished.success() {
            return Err(git.failure(&fetch, &finished));
        }
    }
    if git.commit(held).await?.is_some() {
        if git.is_ancestor(held, local).await? {
            return Ok(Standing::Ahead);
        }
        if git.is_ancestor(local, held).await? {
            return Ok(Standing::Contained);
        }
    }
    Ok(Standing::Conflict(format!(
        "{name} on {remote} has commits that we do not have ({}): pull them first",
        crate::short(held)
    )))
}

/// Why the remote did not take it: its own words.
fn refusal(git: &Git, remote: &str, finished: &Finished, changed: bool) -> String {
    let stdout = String::from_utf8_lossy(&finished.stdout);
    // `!<TAB>FROM:TO<TAB>[remote rejected] (why)`, git-push(1). The others of an atomic push only follow the first.
    let mut refused: Vec<String> = stdout
        .lines()
        .filter_map(|line| line.strip_prefix("!\t")?.split_once('\t'))
        .filter(|(_, why)| !why.contains("(atomic"))
        .map(|(refs, why)| format!("{} {why}", names::short(refs.rsplit(':').next().unwrap_or(refs))))
        .collect();
    refused.truncate(3);
    let said = String::from_utf8_lossy(&finished.stderr);
    let hook: Vec<&str> = said
        .lines()
        .filter_map(|line| line.strip_prefix("remote:"))
        .filter(|line| !line.contains("error: hook declined"))
        .collect();
    let mut told = git.words(refused.join("\n").as_bytes());
    let words = git.words(
        if hook.is_empty() { said.as_bytes().to_vec() } else { hook.join("\n").into_bytes() }.as_slice(),
    );
    if !words.is_empty() {
        told = if told.is_empty() { words } else { format!("{told}: {words}") };
    }
    if changed || told.contains("stale info") || told.contains("cannot lock ref") {
        return format!("{remote} changed while we were pushing: {told}");
    }
    format!("{remote} refused the push, and took nothing: {told}")
}
