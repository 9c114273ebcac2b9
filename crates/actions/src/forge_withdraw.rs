//! `forge.withdraw`: a release that people should not take any more is marked as such on its forge, or deleted with its
//! tag.
//!
//! What was there is written down before anything is sent (`forge_withdraw/record.rs`), so that a run that was killed at
//! any point goes on, or puts back what it changed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use windlass_core::forge::Project;
use windlass_core::plan::{Effect, Facts, ReleaseFact, Reversibility};
use windlass_core::text::sanitize_line;
use windlass_engine::action::{Action, ActionError, Probe, Result, Undone};
use windlass_engine::context::Context;

use crate::adapters::forge::{Content, Forge};
use crate::adapters::git::names;
use crate::forge::{self, SECRET};

mod delete;
mod mark;
mod record;

/// Marks a release as withdrawn on its forge, or deletes it with its tag.
#[derive(Debug, Clone, Copy)]
pub struct WithdrawRelease;

/// How a release is withdrawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum How {
    /// It stays with its files, and is marked as a pre-release. GitLab has no such mark: there its title and text say it.
    #[default]
    Prerelease,
    /// The release is deleted, then its tag on the remote and here.
    Delete,
}

/// Parameters of `forge.withdraw`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The tag of the release, such as `v{{ outputs.choose.from }}`; by default the release's.
    #[serde(default)]
    pub tag: Option<String>,
    /// `prerelease`: the release stays with its files and is marked as a pre-release; on GitLab, which has no such mark,
    /// its title and text say that it was withdrawn. `delete`: the release is deleted, then its tag on the remote and here.
    #[serde(default)]
    pub how: How,
    /// What is said at the top of the release's text, in a block of its own, such as which version to go back to.
    /// Markdown.
    #[serde(default)]
    pub warning: Option<String>,
    /// With `delete`: the commit that the tag must name; by default what the tag here names.
    #[serde(default)]
    pub commit: Option<String>,
    /// With `delete`: the remote that the tag is deleted on.
    #[serde(default = "origin")]
    pub remote: String,
    /// The secret that holds the token. `forge` needs not be declared: it is read from `GITHUB_TOKEN`, `FORGEJO_TOKEN`,
    /// `GITEA_TOKEN` or `GITLAB_TOKEN` then.
    #[serde(default = "secret")]
    pub token: String,
    /// The repository on its forge.
    #[serde(default)]
    #[schemars(skip)]
    pub forge: Option<Project>,
}

/// What `forge.withdraw` gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// The tag.
    pub tag: String,
    /// How it was withdrawn.
    pub how: How,
    /// The release's page; empty where there was no release.
    pub url: String,
    /// What the forge calls the release.
    pub id: String,
    /// What the release says now; nothing when it was deleted.
    pub content: Option<Content>,
    /// What it said before this step; nothing when this step did not change it.
    pub before: Option<Content>,
    /// The files that were deleted with the release.
    pub files: Vec<String>,
    /// The object of the deleted tag.
    pub object: Option<String>,
    /// The tag was deleted on this remote.
    pub remote: Option<String>,
    /// The tag was deleted here.
    pub local: bool,
}

impl Action for WithdrawRelease {
    const NAME: &'static str = "forge.withdraw";
    const SUMMARY: &'static str =
        "Marks a release as a pre-release with a warning on its forge, or deletes it with its tag.";
    const RETRIES: u32 = 2;
    type Params = Params;
    type Output = Output;

    fn effects(&self, params: &Params, facts: &Facts) -> Result<Vec<Effect>> {
        forge::require_known(Self::NAME, params.forge.as_ref(), facts)?;
        let asked = Asked::new(params, facts.release.as_ref())?;
        Ok(match params.how {
            How::Prerelease => vec![asked.marked()],
            How::Delete => vec![asked.deleted(), asked.deleted_there(), asked.deleted_here()],
        })
    }

    fn label(&self, params: &Params, facts: &Facts) -> String {
        let Ok(asked) = Asked::new(params, facts.release.as_ref()) else { return Self::NAME.to_owned() };
        let (tag, host) = (&asked.tag, asked.project.host());
        sanitize_line(&match params.how {
            How::Prerelease => format!("mark the release {tag} on {host} as withdrawn"),
            How::Delete => format!("delete the release {tag} on {host}, and its tag on {}", params.remote),
        })
    }

    async fn probe(&self, params: &Params, context: &Context) -> Result<Probe<Output>> {
        let asked = Asked::new(params, context.world.release.as_deref())?;
        let forge = asked.door(context)?;
        match params.how {
            How::Prerelease => mark::probe(&asked, &forge, context).await,
            How::Delete => delete::probe(&asked, &forge, context).await,
        }
    }

    async fn run(&self, params: &Params, context: &Context) -> Result<Output> {
        let asked = Asked::new(params, context.world.release.as_deref())?;
        let forge = asked.door(context)?;
        match params.how {
            How::Prerelease => mark::run(&asked, &forge, context).await,
            How::Delete => delete::run(&asked, &forge, context).await,
        }
    }

    async fn undo(&self, params: &Params, output: &Output, context: &Context) -> Result<Undone> {
        if output.before.is_none() && output.object.is_none() {
            return Ok(Undone::NothingToDo);
        }
        let asked = Asked::new(params, context.world.release.as_deref())?;
        let forge = asked.door(context)?;
        match output.how {
            How::Prerelease => mark::undo(&asked, &forge, output, context).await,
            How::Delete => delete::undo(&asked, &forge, output, context).await,
        }
    }
}

fn origin() -> String {
    "origin".into()
}

fn secret() -> String {
    SECRET.into()
}

/// What is asked for.
struct Asked<'a> {
    project: &'a Project,
    params: &'a Params,
    tag: String,
    /// The tag's full name.
    full: String,
}

impl<'a> Asked<'a> {
    fn new(params: &'a Params, release: Option<&'a ReleaseFact>) -> Result<Self> {
        let name = WithdrawRelease::NAME;
        let project = forge::project(name, params.forge.as_ref())?;
        let tag = forge::tag(name, params.tag.as_deref(), release)?;
        names::remote(&params.remote)?;
        if params.how == How::Delete && params.warning.is_some() {
            return Err(ActionError::Final(format!(
                "{name}: a release that is deleted shows no `warning`: leave it out, or leave out `how: delete`"
            )));
        }
        if let Some(commit) = params.commit.as_deref().filter(|commit| !commit.contains("{{")) {
            names::revision(commit)?;
        }
        Ok(Self { project, params, tag: tag.to_owned(), full: format!("refs/tags/{tag}") })
    }

    fn door(&self, context: &Context) -> Result<Forge> {
        names::tag(&self.tag)?;
        let token = forge::token(WithdrawRelease::NAME, &self.params.token, self.project, context)?;
        Forge::new(self.project, token, context)
    }

    fn marked(&self) -> Effect {
        Effect::new("withdraw release", forge::target(self.project, &self.tag), Reversibility::Reversible)
    }

    /// Its files, their counts and its date are gone for good, whatever is made in its place.
    fn deleted(&self) -> Effect {
        Effect::new("delete release", forge::target(self.project, &self.tag), Reversibility::Permanent)
    }

    /// It can be pushed again, but whoever fetched meanwhile saw it go.
    fn deleted_there(&self) -> Effect {
        let target = format!("{} {}", self.params.remote, self.full);
        Effect::new("delete tag", target, Reversibility::Compensable)
    }

    fn deleted_here(&self) -> Effect {
        Effect::new("delete tag", &self.full, Reversibility::Reversible)
    }

    /// The tag and where it is, for people.
    fn place(&self) -> String {
        forge::place(self.project, &self.tag)
    }
}
