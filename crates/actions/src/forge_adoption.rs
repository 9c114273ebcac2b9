//! `forge.adoption`: how often the files of a release were downloaded, and which issues are about it.
//!
//! Looks only: a later step's `When:` decides by what was found.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use windlass_core::forge::Project;
use windlass_core::plan::{Effect, Facts, ReleaseFact};
use windlass_core::text::sanitize_line;
use windlass_engine::action::{Action, ActionError, Probe, Result, Undone};
use windlass_engine::context::Context;

use crate::adapters::forge::{Asset, Forge, Issue};
use crate::forge::{self, SECRET};

/// Counts what was downloaded of a release, and the issues about it.
#[derive(Debug, Clone, Copy)]
pub struct Adoption;

/// Parameters of `forge.adoption`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The tag of the release; by default the release's.
    #[serde(default)]
    pub tag: Option<String>,
    /// An issue with one of these labels is about the release; by default the tag, and the version where it is the
    /// release's.
    #[serde(default)]
    pub labels: Vec<String>,
    /// The secret that holds a token. Without, the one named `forge` where it has a value, else as everybody: for
    /// repositories that everybody may see.
    #[serde(default)]
    pub token: Option<String>,
    /// The repository on its forge.
    #[serde(default)]
    #[schemars(skip)]
    pub forge: Option<Project>,
}

/// What `forge.adoption` gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// The release's tag.
    pub tag: String,
    /// The release's page.
    pub url: String,
    /// How often its files were downloaded, all together; nothing where the forge does not count, as GitLab.
    pub downloads: Option<u64>,
    /// Its files.
    pub assets: Vec<Asset>,
    /// How many of the issues are open.
    pub open_issues: usize,
    /// The issues about it, newest first.
    pub issues: Vec<Issue>,
    /// There are more issues than could be looked through.
    pub truncated: bool,
}

impl Action for Adoption {
    const NAME: &'static str = "forge.adoption";
    const SUMMARY: &'static str =
        "Counts the downloads of a release's files and the issues about it on its forge; changes nothing.";
    const RETRIES: u32 = 2;
    type Params = Params;
    type Output = Output;

    fn effects(&self, params: &Params, facts: &Facts) -> Result<Vec<Effect>> {
        forge::require_known(Self::NAME, params.forge.as_ref(), facts)?;
        forge::project(Self::NAME, params.forge.as_ref())?;
        forge::tag(Self::NAME, params.tag.as_deref(), facts.release.as_ref())?;
        params.labels.iter().try_for_each(|label| check_label(label))?;
        Ok(Vec::new())
    }

    fn label(&self, params: &Params, facts: &Facts) -> String {
        let tag = forge::tag(Self::NAME, params.tag.as_deref(), facts.release.as_ref()).unwrap_or_default();
        sanitize_line(&format!("look at the downloads and issues of {tag}"))
    }

    async fn probe(&self, _: &Params, _: &Context) -> Result<Probe<Output>> {
        Ok(Probe::Unknown)
    }

    async fn run(&self, params: &Params, context: &Context) -> Result<Output> {
        let project = forge::project(Self::NAME, params.forge.as_ref())?;
        let release = context.world.release.as_deref();
        let tag = forge::tag(Self::NAME, params.tag.as_deref(), release)?;
        let token = match &params.token {
            Some(name) => Some(forge::token(Self::NAME, name, project, context)?),
            None => context.world.secrets.get(SECRET).map(String::as_str),
        };
        let forge = Forge::reader(project, token, context)?;
        let shown = forge.published_as(tag).await?.ok_or_else(|| {
            ActionError::Final(format!("there is no release of {} that is out", forge::place(project, tag)))
        })?;
        let (issues, truncated) = issues(&forge, &labels(params, tag, release)).await?.unwrap_or_default();
        let open_issues = issues.iter().filter(|issue| issue.open).count();
        let downloads = shown.downloads.map_or("downloads are not counted".to_owned(), |downloads| {
            format!("downloaded {downloads} times")
        });
        let more = if truncated { " at least: there are more than can be looked through" } else { "" };
        context.log(&format!("{}: {downloads}, {open_issues} open issues{more}", forge::place(project, tag)));
        Ok(Output {
            tag: shown.tag,
            url: shown.url,
            downloads: shown.downloads,
            assets: shown.assets,
            open_issues,
            issues,
            truncated,
        })
    }

    async fn undo(&self, _: &Params, _: &Output, _: &Context) -> Result<Undone> {
        Ok(Undone::NothingToDo)
    }
}

/// The issues that carry one of `labels`, newest first, and whether there are more than can be looked through; nothing
/// where the repository has no issues.
///
/// # Errors
/// When a label is none, the forge does not answer or does not let us in.
pub async fn issues(forge: &Forge, labels: &[String]) -> Result<Option<(Vec<Issue>, bool)>> {
    let (mut found, mut truncated) = (BTreeMap::new(), false);
    for label in labels {
        check_label(label)?;
        let Some(labelled) = forge.issues(label).await? else { return Ok(None) };
        truncated |= labelled.truncated;
        found.extend(labelled.issues.into_iter().map(|issue| ((issue.created, issue.number), issue)));
    }
    Ok(Some((found.into_values().rev().collect(), truncated)))
}

/// Whether `label` can be asked for: forges take several with commas between them, and show the issues that have all.
///
/// # Errors
/// [`ActionError::Final`] when it cannot.
pub fn check_label(label: &str) -> Result<()> {
    let problem = match label {
        _ if label.trim().is_empty() => "it is empty",
        _ if label.contains(',') => "it holds a comma",
        _ if label.contains(char::is_control) => "it holds control characters",
        _ => return Ok(()),
    };
    Err(ActionError::Final(format!("`{}` cannot be a label: {problem}", sanitize_line(label))))
}

fn labels(params: &Params, tag: &str, release: Option<&ReleaseFact>) -> Vec<String> {
    if !params.labels.is_empty() {
        return params.labels.clone();
    }
    let released = release.filter(|release| release.tag == tag);
    let mut labels = vec![tag.to_owned()];
    labels.extend(released.map(|release| release.version.clone()).filter(|version| version != tag));
    labels
}
