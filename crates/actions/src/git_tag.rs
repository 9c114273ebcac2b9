//! `git.tag`: tags the release.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use windlass_core::plan::{Effect, Facts, ReleaseFact, Reversibility};
use windlass_engine::action::{Action, ActionError, Probe, Result, Undone};
use windlass_engine::context::Context;

use crate::adapters::git::sign::Sign;
use crate::adapters::git::{Git, names};

/// Tags the release.
#[derive(Debug, Clone, Copy)]
pub struct CreateTag;

/// Parameters of `git.tag`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The tag's name; by default the release's.
    #[serde(default)]
    pub name: Option<String>,
    /// The commit, or what names it; by default the one that is released, which is HEAD but for a promotion.
    #[serde(default)]
    pub target: Option<String>,
    /// The tag's message; by default the release notes under the line `Release TAG`.
    #[serde(default)]
    pub message: Option<String>,
    /// Whether it is an object of its own, with author, date and message. A signed one always is.
    #[serde(default = "yes")]
    pub annotate: bool,
    /// How it is signed: `none`, `gpg` or `ssh`.
    #[serde(default)]
    pub sign: Sign,
}

/// What `git.tag` gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// The tag's name.
    pub tag: String,
    /// The commit it names.
    pub commit: String,
    /// The tag object's id; the commit's when the tag is no object of its own.
    pub object: String,
}

impl Action for CreateTag {
    const NAME: &'static str = "git.tag";
    const SUMMARY: &'static str = "Tags the release, annotated and on request signed, and checks the tag.";
    type Params = Params;
    type Output = Output;

    fn effects(&self, params: &Params, facts: &Facts) -> Result<Vec<Effect>> {
        names::revision(target(params, facts.release.as_ref()))?;
        Ok(vec![effect(&full_name(params, facts.release.as_ref())?)])
    }

    fn label(&self, params: &Params, facts: &Facts) -> String {
        // A name that earlier steps decide cannot be judged yet.
        let name = full_name(params, facts.release.as_ref())
            .unwrap_or_else(|_| params.name.clone().unwrap_or_default());
        let how = match (params.sign, params.annotate) {
            (Sign::Gpg, _) => ", signed with GPG",
            (Sign::Ssh, _) => ", signed with SSH",
            (Sign::None, true) => "",
            (Sign::None, false) => ", lightweight",
        };
        format!("tag {} as {}{how}", shown(target(params, facts.release.as_ref())), names::short(&name))
    }

    async fn probe(&self, params: &Params, context: &Context) -> Result<Probe<Output>> {
        let git = Git::of(context);
        let full = full_name(params, context.world.release.as_deref())?;
        let Some(object) = git.object(&full).await? else { return Ok(Probe::Absent) };
        let commit = git.require_commit(target(params, context.world.release.as_deref())).await?;
        Ok(match problem(&git, params, &full, &object, &commit).await? {
            Some(problem) => Probe::Conflict(problem),
            None => Probe::Done(Output { tag: names::short(&full).to_owned(), commit, object }),
        })
    }

    async fn run(&self, params: &Params, context: &Context) -> Result<Output> {
        let git = Git::of(context);
        match self.probe(params, context).await? {
            Probe::Done(output) => return Ok(output),
            Probe::Conflict(why) => return Err(ActionError::Final(why)),
            Probe::Absent | Probe::Unknown => {}
        }
        let full = full_name(params, context.world.release.as_deref())?;
        let name = names::short(&full);
        let commit = git.require_commit(target(params, context.world.release.as_deref())).await?;
        let mut args: Vec<&str> = params.sign.config().to_vec();
        args.push("tag");
        args.push(match params.sign {
            // The user's own `tag.gpgSign` must not make it another tag than the planned one.
            Sign::None => "--no-sign",
            Sign::Gpg | Sign::Ssh => "--sign",
        });
        let message = message(params, context.world.release.as_deref(), name);
        let annotated = is_annotated(params);
        if annotated {
            // Lines of the notes that start with `#` are headings, not comments.
            args.extend(["--annotate", "--cleanup=verbatim", "--file=-"]);
        }
        args.extend(["--end-of-options", name, &commit]);
        git.act(args, annotated.then_some(message.as_str())).await?;
        let object = git
            .object(&full)
            .await?
            .ok_or_else(|| ActionError::Failed(format!("git made the tag {name}, but it is not there")))?;
        if let Some(problem) = problem(&git, params, &full, &object, &commit).await? {
            // Nobody has seen it yet.
            git.act(["update-ref", "-d", &full, &object], None).await?;
            return Err(ActionError::Final(problem));
        }
        context.changed(effect(&full));
        Ok(Output { tag: name.to_owned(), commit, object })
    }

    async fn undo(&self, _: &Params, output: &Output, context: &Context) -> Result<Undone> {
        let git = Git::of(context);
        let full = names::tag(&output.tag)?;
        match git.object(&full).await? {
            None => return Ok(Undone::NothingToDo),
            Some(object) if object != output.object => {
                return Ok(Undone::NeedsHuman(format!(
                    "the tag {} is not the one this run made any more: somebody replaced it",
                    output.tag
                )));
            }
            Some(_) => {}
        }
        for remote in git.remotes().await? {
            if !git.remote_refs(&remote, std::slice::from_ref(&full)).await?.is_empty() {
                return Ok(Undone::NeedsHuman(format!(
                    "the tag {} is published on {remote} and stays: release a new version that repairs it",
                    output.tag
                )));
            }
        }
        git.act(["update-ref", "-d", &full, &output.object], None).await?;
        Ok(Undone::Reverted(format!("deleted the tag {}", output.tag)))
    }
}

/// What is tagged.
fn target<'a>(params: &'a Params, release: Option<&'a ReleaseFact>) -> &'a str {
    let released = || release.and_then(|release| release.target.as_deref());
    params.target.as_deref().or_else(released).unwrap_or("HEAD")
}

/// A full id shortened for people.
fn shown(target: &str) -> &str {
    let is_id = target.len() >= 40 && target.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_id { crate::short(target) } else { target }
}

fn yes() -> bool {
    true
}

fn is_annotated(params: &Params) -> bool {
    params.annotate || params.sign != Sign::None
}

fn effect(full: &str) -> Effect {
    Effect::new("create tag", full, Reversibility::Reversible)
}

fn full_name(params: &Params, release: Option<&ReleaseFact>) -> Result<String> {
    let name = params.name.as_deref().or(release.map(|release| release.tag.as_str()));
    names::tag(name.ok_or_else(|| {
        ActionError::Final(
            "git.tag: this run releases no version, so `name` must say which tag to make".into(),
        )
    })?)
}

fn message(params: &Params, release: Option<&ReleaseFact>, name: &str) -> String {
    let notes = release.filter(|release| release.tag == name).map(|release| release.notes.trim());
    match (&params.message, notes) {
        (Some(message), _) => format!("{}\n", message.trim_end()),
        (None, Some(notes)) if !notes.is_empty() => format!("Release {name}\n\n{notes}\n"),
        (None, _) => format!("Release {name}\n"),
    }
}

/// What is wrong with the tag that is there, if anything.
async fn problem(
    git: &Git,
    params: &Params,
    full: &str,
    object: &str,
    commit: &str,
) -> Result<Option<String>> {
    let name = names::short(full);
    let Some(named) = git.commit(full).await? else {
        return Ok(Some(format!("the tag {name} names no commit")));
    };
    if named != commit {
        let (named, commit) = (crate::short(&named), crate::short(commit));
        return Ok(Some(format!("the tag {name} exists already and names {named}, not {commit}")));
    }
    let annotated = git.read(["cat-file", "-t", object]).await?.trim() == "tag";
    match (annotated, is_annotated(params)) {
        (true, false) => return Ok(Some(format!("the tag {name} exists already and is annotated"))),
        (false, true) => return Ok(Some(format!("the tag {name} exists already and is not annotated"))),
        _ => {}
    }
    if params.sign == Sign::None {
        return Ok(None);
    }
    match git.verify_tag(full, params.sign).await {
        Ok(()) => Ok(None),
        Err(ActionError::Final(why)) => Ok(Some(format!("the tag {name} is not signed as asked: {why}"))),
        Err(other) => Err(other),
    }
}
