//! `forge.release`: shows the release on its forge, with its notes.
//!
//! The forge is asked what is there before anything is sent, and again after a crash, so that nothing is made twice. A
//! release that somebody else made is theirs: it is changed only where the runbook says `replace: true`. The tag must be
//! there: forges make a missing one silently, at the end of some branch.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use windlass_core::forge::{Kind, Project};
use windlass_core::plan::{Effect, Facts, ReleaseFact, Reversibility};
use windlass_core::text::sanitize_line;
use windlass_engine::action::{Action, ActionError, Probe, Result, Undone};
use windlass_engine::context::Context;

use crate::adapters::files;
use crate::adapters::forge::{Content, Forge, Release};
use crate::adapters::git::{Git, names};
use crate::forge::{self, SECRET};
use record::{Deed, Record};

mod record;

/// Shows the release on its forge.
#[derive(Debug, Clone, Copy)]
pub struct ForgeRelease;

/// Parameters of `forge.release`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The tag, which the forge must have already; by default the release's.
    #[serde(default)]
    pub tag: Option<String>,
    /// The release's title; by default the tag.
    #[serde(default)]
    pub name: Option<String>,
    /// A file with the text, from the repository's root, such as `RELEASE_NOTES.md`; by default the release notes as
    /// they are planned.
    #[serde(default)]
    pub notes: Option<String>,
    /// Only those who may write see it. GitLab has no drafts.
    #[serde(default)]
    pub draft: bool,
    /// Whether it is marked as a pre-release; by default as the version's channel is: not for `stable` and `hotfix`.
    /// GitLab has no such mark.
    #[serde(default)]
    pub prerelease: Option<bool>,
    /// A release of the tag that this run did not make is changed to what is asked. Without, that is an error.
    #[serde(default)]
    pub replace: bool,
    /// The secret that holds the token. `forge` needs not be declared: it is read from `GITHUB_TOKEN`, `FORGEJO_TOKEN`,
    /// `GITEA_TOKEN` or `GITLAB_TOKEN` then.
    #[serde(default = "secret")]
    pub token: String,
    /// The repository on its forge.
    #[serde(default)]
    #[schemars(skip)]
    pub forge: Option<Project>,
}

/// What `forge.release` gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// The release's page.
    pub url: String,
    /// Its tag.
    pub tag: String,
    /// What the forge calls it.
    pub id: String,
    /// This step made it.
    pub made: bool,
    /// What it says.
    pub content: Content,
    /// What it said before this step changed it.
    pub before: Option<Content>,
}

impl Action for ForgeRelease {
    const NAME: &'static str = "forge.release";
    const SUMMARY: &'static str =
        "Makes the tag's release on GitHub, Forgejo, Gitea or GitLab, with the release notes as its text.";
    const RETRIES: u32 = 2;
    type Params = Params;
    type Output = Output;

    fn effects(&self, params: &Params, facts: &Facts) -> Result<Vec<Effect>> {
        forge::require_known(Self::NAME, params.forge.as_ref(), facts)?;
        let asked = Asked::new(params, facts.release.as_ref())?;
        match &params.notes {
            Some(path) => files::check(path)?,
            None => drop(asked.content(planned_notes(params, facts.release.as_ref())?)?),
        }
        Ok(vec![asked.effect()])
    }

    fn label(&self, params: &Params, facts: &Facts) -> String {
        let Ok(asked) = Asked::new(params, facts.release.as_ref()) else { return Self::NAME.to_owned() };
        let what = match (asked.draft, asked.prerelease) {
            (true, _) => "draft the release of",
            (false, true) => "publish the pre-release",
            (false, false) => "publish the release",
        };
        let project = asked.project;
        let label = format!("{what} {} on {} ({})", asked.tag, project.host(), project.repository);
        sanitize_line(&label)
    }

    async fn probe(&self, params: &Params, context: &Context) -> Result<Probe<Output>> {
        let asked = Asked::new(params, context.world.release.as_deref())?;
        let content = asked.content(notes(params, context)?)?;
        let forge = door(&asked, params, context)?;
        let Some(found) = forge.find(&asked.tag).await? else { return Ok(Probe::Absent) };
        let record = Record::read(asked.project, &asked.tag, context)?;
        Ok(if found.content.same(&content) {
            Probe::Done(output(&asked, &found, record.deed(context, &found)))
        } else if params.replace || record.owns(&found) {
            Probe::Absent
        } else {
            Probe::Conflict(refusal(&asked, &found, &content))
        })
    }

    async fn run(&self, params: &Params, context: &Context) -> Result<Output> {
        let asked = Asked::new(params, context.world.release.as_deref())?;
        let content = asked.content(notes(params, context)?)?;
        let forge = door(&asked, params, context)?;
        let (project, tag) = (asked.project, asked.tag.as_str());
        require_tag(&forge, &asked, context).await?;
        let found = forge.find(tag).await?;
        let mut record = Record::read(project, tag, context)?;
        let changed = match found {
            Some(found) if found.content.same(&content) => {
                return Ok(output(&asked, &found, record.deed(context, &found)));
            }
            Some(found) if params.replace || record.owns(&found) => {
                if record.owns(&found) {
                    record.made(&found);
                }
                record.begin(context, Some(&found.content), &content);
                record.write(project, tag, context)?;
                forge.update(tag, &found, &content).await
            }
            Some(found) => return Err(ActionError::Final(refusal(&asked, &found, &content))),
            None => {
                record.begin(context, None, &content);
                record.write(project, tag, context)?;
                forge.create(tag, &content).await.inspect(|release| record.made(release))
            }
        };
        if matches!(changed, Err(ActionError::Final(_))) {
            record.forget(context);
        }
        record.write(project, tag, context)?;
        let release = changed?;
        context.changed(asked.effect());
        Ok(output(&asked, &release, record.deed(context, &release)))
    }

    async fn undo(&self, params: &Params, output: &Output, context: &Context) -> Result<Undone> {
        if !output.made && output.before.is_none() {
            return Ok(Undone::NothingToDo);
        }
        let asked = Asked::new(params, context.world.release.as_deref())?;
        let forge = door(&asked, params, context)?;
        let (project, tag) = (asked.project, asked.tag.as_str());
        let place = asked.place();
        let Some(found) = forge.find(tag).await? else { return Ok(Undone::NothingToDo) };
        if output.before.as_ref().is_some_and(|before| found.content.same(before)) {
            return Ok(Undone::NothingToDo);
        }
        if found.id != output.id || !found.content.same(&output.content) {
            return Ok(Undone::NeedsHuman(format!(
                "somebody changed the release of {place} after this run: look at {} yourself",
                found.url
            )));
        }
        let told = match &output.before {
            Some(before) => {
                forge.update(tag, &found, before).await?;
                format!("put back what the release of {place} said before")
            }
            None => {
                forge.delete(tag, &found).await?;
                format!("deleted the release of {place}; the tag stays")
            }
        };
        let mut record = Record::read(project, tag, context)?;
        record.forget(context);
        record.write(project, tag, context)?;
        Ok(Undone::Reverted(told))
    }
}

fn secret() -> String {
    SECRET.into()
}

/// What is asked for, but for the text.
struct Asked<'a> {
    project: &'a Project,
    tag: String,
    name: String,
    draft: bool,
    prerelease: bool,
}

impl<'a> Asked<'a> {
    fn new(params: &'a Params, release: Option<&ReleaseFact>) -> Result<Self> {
        let wrong = |why: String| ActionError::Final(format!("forge.release: {why}"));
        let project = forge::project(ForgeRelease::NAME, params.forge.as_ref())?;
        let tag = forge::tag(ForgeRelease::NAME, params.tag.as_deref(), release)?;
        if project.kind == Kind::GitLab && params.draft {
            return Err(wrong(
                "GitLab has no draft releases: leave `draft` out, and make the release later".into(),
            ));
        }
        if project.kind == Kind::GitLab && params.prerelease == Some(true) {
            return Err(wrong(
                "GitLab cannot mark a release as a pre-release: leave `prerelease` out".into(),
            ));
        }
        let channel = released(params, release).map(|release| release.channel.as_str());
        let by_channel = channel.is_some_and(|channel| !matches!(channel, "stable" | "hotfix"));
        Ok(Self {
            project,
            tag: tag.to_owned(),
            name: sanitize_line(params.name.as_deref().unwrap_or(tag)),
            draft: params.draft,
            prerelease: project.kind != Kind::GitLab && params.prerelease.unwrap_or(by_channel),
        })
    }

    /// What is asked for, with the text.
    fn content(&self, body: String) -> Result<Content> {
        let (length, kind) = (body.chars().count(), self.project.kind);
        if let Some(longest) = Forge::longest(kind).filter(|longest| length > *longest) {
            return Err(ActionError::Final(format!(
                "the notes of {} have {length} characters, and {kind} takes {longest}: let `notes` name a shorter file \
                 that links to the whole, such as one that `windlass notes --audience short --output FILE` writes",
                sanitize_line(&self.tag)
            )));
        }
        Ok(Content { name: self.name.clone(), body, draft: self.draft, prerelease: self.prerelease })
    }

    fn effect(&self) -> Effect {
        let target = forge::target(self.project, &self.tag);
        match self.draft {
            true => Effect::new("draft release", target, Reversibility::Reversible),
            // It can be deleted, but those who watch the repository were told.
            false => Effect::new("publish release", target, Reversibility::Compensable),
        }
    }

    /// The tag and where it is, for people.
    fn place(&self) -> String {
        forge::place(self.project, &self.tag)
    }
}

/// What is released, when it is what the tag names.
fn released<'a>(params: &Params, release: Option<&'a ReleaseFact>) -> Option<&'a ReleaseFact> {
    release.filter(|release| params.tag.as_ref().is_none_or(|tag| *tag == release.tag))
}

fn planned_notes(params: &Params, release: Option<&ReleaseFact>) -> Result<String> {
    let release = released(params, release).ok_or_else(|| {
        ActionError::Final(
            "forge.release: the tag is not the one this run releases, so `notes` must name a file with its notes".into(),
        )
    })?;
    Ok(format!("{}\n", release.notes.trim_end()))
}

fn notes(params: &Params, context: &Context) -> Result<String> {
    let Some(path) = &params.notes else {
        return planned_notes(params, context.world.release.as_deref());
    };
    files::read(&context.world.workspace, path)?.ok_or_else(|| {
        ActionError::Final(format!(
            "forge.release: there is no file {}: is a `notes.write` missing before this step?",
            sanitize_line(path)
        ))
    })
}

fn door(asked: &Asked<'_>, params: &Params, context: &Context) -> Result<Forge> {
    let token = forge::token(ForgeRelease::NAME, &params.token, asked.project, context)?;
    Forge::new(asked.project, token, context)
}

/// The tag must be on the forge, and be the one that is here.
async fn require_tag(forge: &Forge, asked: &Asked<'_>, context: &Context) -> Result<()> {
    let place = asked.place();
    let Some(there) = forge.tag(&asked.tag).await? else {
        return Err(ActionError::Final(format!(
            "there is no tag {place}, and a forge would make one somewhere: push the tag in a step before this one (`git.push`)"
        )));
    };
    let (git, full) = (Git::of(context), names::tag(&asked.tag)?);
    let here = [git.object(&full).await?, git.commit(&full).await?];
    // A clone that has no tags has nothing to say.
    let is_same = here.iter().flatten().any(|id| there.ids.contains(id));
    if here.iter().any(Option::is_some) && !is_same {
        return Err(ActionError::Final(format!(
            "the tag {place} names something else than the tag here: somebody moved one of them"
        )));
    }
    Ok(())
}

fn output(asked: &Asked<'_>, release: &Release, deed: Deed) -> Output {
    Output {
        url: release.url.clone(),
        tag: asked.tag.clone(),
        id: release.id.clone(),
        made: deed.made,
        content: release.content.clone(),
        before: deed.before,
    }
}

/// Why a release that this run did not make stays as it is.
fn refusal(asked: &Asked<'_>, found: &Release, content: &Content) -> String {
    let there = &found.content;
    let is = |flag: bool, yes: &'static str, no: &'static str| if flag { yes } else { no };
    let mut other = Vec::new();
    if there.draft != content.draft {
        other.push(is(there.draft, "it is a draft", "it is published"));
    }
    if there.prerelease != content.prerelease {
        other.push(is(
            there.prerelease,
            "it is marked as a pre-release",
            "it is not marked as a pre-release",
        ));
    }
    let plain = Content { draft: content.draft, prerelease: content.prerelease, ..there.clone() };
    if !(Content { body: content.body.clone(), ..plain.clone() }).same(content) {
        other.push("it has another title");
    }
    if !(Content { name: content.name.clone(), ..plain }).same(content) {
        other.push("it has another text");
    }
    format!(
        "there is a release of {} already that this run did not make ({}), see {}: set `replace: true` to change it to \
         what is asked",
        asked.place(),
        other.join(", "),
        found.url
    )
}
