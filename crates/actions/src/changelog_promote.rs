//! `changelog.promote`: turns the changelog's unreleased section into the release's.

use std::collections::BTreeMap;

use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use windlass_core::changelog::{
    self, Changelog, ChangelogError, EntryOptions, GenerateOptions, GeneratedRelease, Headings,
    PromoteOptions, Site, Template, TemplateError,
};
use windlass_core::commit::Commit;
use windlass_core::plan::{Effect, Facts, ReleaseFact, Reversibility};
use windlass_core::text::sanitize_line;
use windlass_core::version::{TagFormat, Version, parse_version};
use windlass_engine::action::{Action, ActionError, Probe, Result, Undone};
use windlass_engine::context::Context;

use crate::adapters::files;

/// Turns the changelog's unreleased section into the release's.
#[derive(Debug, Clone, Copy)]
pub struct Promote;

/// Where the entries of an empty unreleased section come from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Fill {
    /// From the release's commits.
    #[default]
    Commits,
    /// From nowhere: an empty section is an error.
    None,
}

/// Parameters of `changelog.promote`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The changelog, from the repository's root.
    #[serde(default = "changelog")]
    pub path: String,
    /// The version; by default the release's.
    #[serde(default)]
    pub version: Option<String>,
    /// The date, `YYYY-MM-DD`; by default the release's.
    #[serde(default)]
    pub date: Option<String>,
    /// What is done about an unreleased section without entries: `commits` makes them from the commits, `none`
    /// refuses.
    #[serde(default)]
    pub fill: Fill,
    /// Nobody writes the changelog: the release's section is made from its commits, and those of earlier releases
    /// stay as they are. By default as `[changelog]` says.
    #[serde(default)]
    pub generated: bool,
    /// A minijinja template of a generated section, from the repository's root; by default as `[changelog]` says.
    #[serde(default)]
    pub template: Option<String>,
    /// The heading of each type of commit, or `none`, over the built-in ones; by default as `[changelog]` says.
    #[serde(default)]
    pub headings: BTreeMap<String, String>,
    /// The entry where the commits hold nothing for users; by default as `[changelog]` says.
    #[serde(default)]
    pub placeholder: Option<String>,
    /// The project's page, for links; by default as `[notes]` says.
    #[serde(default)]
    pub url: Option<String>,
}

/// What `changelog.promote` gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// The changelog.
    pub path: String,
    /// The version whose section it has now.
    pub version: String,
    /// What stood under the unreleased heading before entries were made from commits; nothing when none were made.
    pub unfilled: Option<String>,
    /// The text of a generated section, as it stands in the file; nothing when the section was promoted.
    #[serde(default)]
    pub inserted: Option<String>,
}

impl Action for Promote {
    const NAME: &'static str = "changelog.promote";
    const SUMMARY: &'static str =
        "Turns the changelog's unreleased section into the release's, with version and date.";
    type Params = Params;
    type Output = Output;

    fn effects(&self, params: &Params, facts: &Facts) -> Result<Vec<Effect>> {
        files::check(&params.path)?;
        params.template.as_deref().map_or(Ok(()), files::check)?;
        version(params, facts.release.as_ref())?;
        date(params, facts.release.as_ref())?;
        Ok(if tells_nothing(params, facts.release.as_ref()) { Vec::new() } else { vec![effect(params)] })
    }

    fn label(&self, params: &Params, facts: &Facts) -> String {
        let version =
            version(params, facts.release.as_ref()).map_or("?".into(), |version| version.to_string());
        match params.generated {
            true if tells_nothing(params, facts.release.as_ref()) => {
                format!("leave {} as it is: no commit of {version} is the package's own", params.path)
            }
            true => format!("write the changes of {version} into {}", params.path),
            false => format!("promote the unreleased changes to {version} in {}", params.path),
        }
    }

    async fn probe(&self, params: &Params, context: &Context) -> Result<Probe<Output>> {
        let version = version(params, context.world.release.as_deref())?;
        if tells_nothing(params, context.world.release.as_deref()) {
            return Ok(Probe::Done(output(params, &version, None)));
        }
        let Some(text) = files::read(&context.world.workspace, &params.path)? else {
            return Ok(Probe::Absent);
        };
        let changelog = Changelog::parse(&text).map_err(|error| told(params, &error))?;
        if changelog.release(&version).is_none() {
            return Ok(Probe::Absent);
        }
        // What it was filled from is not known any more; taking it back then keeps the entries.
        let mut output = output(params, &version, None);
        if params.generated {
            let section = section(params, &version, context)?;
            if let Some((inserted, stays)) = changelog::inserted_section(&text, &version, &section) {
                (output.inserted, output.unfilled) = (Some(inserted), Some(stays));
            }
        }
        Ok(Probe::Done(output))
    }

    async fn run(&self, params: &Params, context: &Context) -> Result<Output> {
        if let Probe::Done(output) = self.probe(params, context).await? {
            return Ok(output);
        }
        let release = context.world.release.as_deref();
        let (version, date) = (version(params, release)?, date(params, release)?);
        let text = files::read(&context.world.workspace, &params.path)?.ok_or_else(|| {
            ActionError::Final(format!("there is no {}: make one with `windlass init`", params.path))
        })?;
        let told = |error: ChangelogError| told(params, &error);
        if params.generated {
            let section = section(params, &version, context)?;
            let (promoted, inserted) = changelog::insert_section(&text, &version, &section).map_err(told)?;
            let unfilled = unreleased(&text).map_err(told)?;
            files::replace(&context.world.workspace, &[(params.path.clone(), promoted)])?;
            context.changed(effect(params));
            return Ok(Output { inserted: Some(inserted), ..output(params, &version, unfilled) });
        }
        let options = entries(params, release);
        let filled = match params.fill {
            Fill::Commits => changelog::fill_unreleased(&text, &commits(release), &options).map_err(told)?,
            Fill::None => text.clone(),
        };
        let unfilled = if filled == text { None } else { unreleased(&text).map_err(told)? };
        let tag_format = release.and_then(|release| TagFormat::guess(&release.tag)).unwrap_or_default();
        let options = PromoteOptions { tag_format, site: options.site, allow_empty: false };
        let promoted = changelog::promote(&filled, &version, date, &options).map_err(told)?;
        files::replace(&context.world.workspace, &[(params.path.clone(), promoted)])?;
        context.changed(effect(params));
        Ok(output(params, &version, unfilled))
    }

    async fn undo(&self, params: &Params, output: &Output, context: &Context) -> Result<Undone> {
        let workspace = &context.world.workspace;
        let version =
            parse_version(&output.version).map_err(|error| ActionError::Final(error.to_string()))?;
        let Some(text) = files::read(workspace, &output.path)? else { return Ok(Undone::NothingToDo) };
        let changelog = Changelog::parse(&text).map_err(|error| told(params, &error))?;
        if changelog.release(&version).is_none() {
            return Ok(Undone::NothingToDo);
        }
        if tells_nothing(params, context.world.release.as_deref()) {
            return Ok(Undone::NothingToDo);
        }
        if params.generated {
            let Some(inserted) = output.inserted.as_ref().filter(|it| text.matches(it.as_str()).count() == 1)
            else {
                let why = format!("the section of {version} was changed since: remove it yourself");
                return Ok(Undone::NeedsHuman(format!("{}: {why}", output.path)));
            };
            let text = text.replacen(inserted, output.unfilled.as_deref().unwrap_or_default(), 1);
            files::replace(workspace, &[(output.path.clone(), text)])?;
            return Ok(Undone::Reverted(format!("removed the section of {version} from {}", output.path)));
        }
        let mut demoted = match changelog::demote(&text, &version) {
            Ok(demoted) => demoted,
            Err(error) => return Ok(Undone::NeedsHuman(format!("{}: {error}", output.path))),
        };
        if let Some(unfilled) = &output.unfilled {
            let changelog = Changelog::parse(&demoted).map_err(|error| told(params, &error))?;
            if let Some(section) = changelog.unreleased() {
                let (start, end) = (section.heading.end, section.body.end);
                let around = demoted.get(..start).zip(demoted.get(end..));
                demoted =
                    around.map(|(before, after)| format!("{before}{unfilled}{after}")).unwrap_or(demoted);
            }
        }
        files::replace(workspace, &[(output.path.clone(), demoted)])?;
        Ok(Undone::Reverted(format!("moved the changes of {version} back to unreleased in {}", output.path)))
    }
}

fn changelog() -> String {
    "CHANGELOG.md".into()
}

fn effect(params: &Params) -> Effect {
    Effect::new("write", &params.path, Reversibility::Reversible)
}

fn output(params: &Params, version: &Version, unfilled: Option<String>) -> Output {
    Output { path: params.path.clone(), version: version.to_string(), unfilled, inserted: None }
}

/// Whether a section made from commits would have none: the package is released because of others.
fn tells_nothing(params: &Params, release: Option<&ReleaseFact>) -> bool {
    params.generated && release.is_some_and(|release| release.package.is_some() && release.commits.is_empty())
}

fn version(params: &Params, release: Option<&ReleaseFact>) -> Result<Version> {
    let text = params.version.as_ref().or(release.map(|release| &release.version)).ok_or_else(|| {
        ActionError::Final(
            "changelog.promote: this run releases no version, so `version` must say which".into(),
        )
    })?;
    parse_version(text).map_err(|error| ActionError::Final(error.to_string()))
}

fn date(params: &Params, release: Option<&ReleaseFact>) -> Result<Date> {
    let text = params.date.as_ref().or(release.map(|release| &release.date)).ok_or_else(|| {
        ActionError::Final("changelog.promote: this run releases no version, so `date` must be given".into())
    })?;
    text.parse().map_err(|_| {
        let shown = sanitize_line(text);
        ActionError::Final(format!("changelog.promote: `{shown}` is no date: write YYYY-MM-DD"))
    })
}

fn entries(params: &Params, release: Option<&ReleaseFact>) -> EntryOptions {
    EntryOptions {
        headings: Headings::new(&params.headings),
        placeholder: params.placeholder.clone(),
        site: params.url.as_deref().and_then(Site::new),
        hotfix: release.is_some_and(|release| release.channel == "hotfix"),
    }
}

/// The release's section, made from its commits.
fn section(params: &Params, version: &Version, context: &Context) -> Result<String> {
    let release = context.world.release.as_deref();
    let told = |error: TemplateError| ActionError::Final(format!("{}: {error}", params.path));
    let template = match &params.template {
        None => None,
        Some(path) => {
            let text = files::read(&context.world.workspace, path)?
                .ok_or_else(|| ActionError::Final(format!("there is no template {}", sanitize_line(path))))?;
            Some(Template::new(path, &text).map_err(told)?)
        }
    };
    let generated = GeneratedRelease {
        version: Some(version.clone()),
        tag: release.map(|release| release.tag.clone()),
        previous_tag: release.and_then(|release| release.previous_tag.clone()),
        date: Some(date(params, release)?),
        commits: commits(release),
    };
    changelog::section(&generated, &GenerateOptions { entries: entries(params, release), template })
        .map_err(told)
}

fn commits(release: Option<&ReleaseFact>) -> Vec<Commit> {
    let commits = release.map(|release| release.commits.as_slice()).unwrap_or_default();
    commits
        .iter()
        .map(|fact| Commit {
            id: fact.id.clone(),
            author_name: fact.author_name.clone(),
            author_email: fact.author.clone(),
            message: fact.message.clone(),
            ..Commit::default()
        })
        .collect()
}

/// What stands between the unreleased heading and the next one.
fn unreleased(text: &str) -> std::result::Result<Option<String>, ChangelogError> {
    let changelog = Changelog::parse(text)?;
    Ok(changelog
        .unreleased()
        .and_then(|section| text.get(section.heading.end..section.body.end))
        .map(str::to_owned))
}

fn told(params: &Params, error: &ChangelogError) -> ActionError {
    ActionError::Final(format!("{}: {}", params.path, sanitize_line(&error.to_string())))
}
