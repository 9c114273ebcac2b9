//! `windlass adoption`: how often releases were downloaded, since when they are out, and the issues about them.

use std::collections::BTreeMap;
use std::sync::Arc;

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use windlass_actions::adapters::forge::{Forge, Issue, Shown};
use windlass_actions::adapters::git::names;
use windlass_actions::adapters::remote;
use windlass_actions::forge::SECRET;
use windlass_actions::forge_adoption;
use windlass_core::forge::Project as Repository;
use windlass_core::plan::SecretSource;
use windlass_core::text::sanitize_line;
use windlass_core::version::Policy;
use windlass_engine::action::ActionError;
use windlass_engine::context::Context;
use windlass_engine::mask::{Masker, SHORTEST};

use crate::error::{CommandError, Result};
use crate::exit::Exit;
use crate::facts::failed;
use crate::looks::{Look, Looks};
use crate::project::Project;
use crate::runner::secrets;
use crate::session::Session;
use crate::{facts, forge, planning, report};

/// How many releases the newest is looked for among.
const RECENT: usize = 50;

/// Show how often releases were downloaded, and the issues about them
#[derive(Debug, Args)]
pub struct Arguments {
    /// The version or the tag of the release; the newest on the forge when not given
    #[arg(value_name = "VERSION|TAG", conflicts_with_all = ["all", "last"])]
    pub release: Option<String>,
    /// An issue with this label is about the release; may be given several times [default: its tag and its version]
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["all", "last"])]
    pub label: Vec<String>,
    /// A line for every release, without issues
    #[arg(long)]
    pub all: bool,
    /// A line for each of so many newest releases, without issues
    #[arg(long, value_name = "N", conflicts_with = "all", value_parser = clap::value_parser!(u32).range(1..))]
    pub last: Option<u32>,
}

/// What was found.
#[derive(Debug, Serialize)]
pub struct Output {
    /// The forge's host.
    pub forge: String,
    /// The repository on it.
    pub repository: String,
    /// The releases, newest first: one, unless several were asked for.
    pub releases: Vec<Told>,
}

/// What is known of a release.
#[derive(Debug, Serialize)]
pub struct Told {
    /// The release, with what was downloaded of it.
    #[serde(flatten)]
    pub shown: Shown,
    /// What was counted when it was looked at last.
    pub before: Option<Look>,
    /// The issues about it; nothing where they were not asked for, or the repository has none.
    pub issues: Option<Issues>,
}

/// The issues about a release.
#[derive(Debug, Serialize)]
pub struct Issues {
    /// They carry one of these.
    pub labels: Vec<String>,
    /// How many are open.
    pub open: usize,
    /// How many are closed.
    pub closed: usize,
    /// There are more than could be looked through.
    pub truncated: bool,
    /// The issues, newest first.
    pub issues: Vec<Issue>,
}

/// Asks the forge and tells.
///
/// # Errors
/// Where no forge is known, it does not answer or does not let us in, and where it has no such release.
pub fn run(arguments: &Arguments, session: &mut Session) -> Result<Exit> {
    for label in &arguments.label {
        forge_adoption::check_label(label).map_err(invalid)?;
    }
    let project = Project::find(session)?;
    let repository = facts::Repository::read(&project)?;
    let fact = forge::fact(&project, &repository);
    let Some(place) = fact.project else {
        return Err(CommandError::invalid(fact.unknown.unwrap_or_default()));
    };
    let policy = facts::policy(&project)?;
    let token = token(&project, &place)?;
    let context = context(&project, token.as_deref())?;
    let door = Forge::reader(&place, token.as_deref(), &context).map_err(failed)?;
    let most = match (arguments.all, arguments.last) {
        (true, _) => Some(usize::MAX),
        (_, last) => last.and_then(|last| usize::try_from(last).ok()),
    };
    let asked = async {
        match most {
            Some(most) => several(&door, most).await,
            None => one(arguments, &door, &place, &policy).await,
        }
    };
    let mut releases = project.block_on(asked)??;
    compare(&mut releases, &project, &place, session);
    let output =
        Output { forge: place.host().to_owned(), repository: sanitize_line(&place.repository), releases };
    if session.report.is_json() {
        session.report.object("adoption", &output);
    } else if output.releases.is_empty() {
        let Output { forge, repository, .. } = &output;
        session.report.progress(&format!("{repository} on {forge} has no releases yet"));
    } else {
        let (paint, now) = (session.report.out_paint, Timestamp::now());
        let text = match most {
            Some(_) => report::adoption::lines(&output.releases, paint, now),
            None => report::adoption::text(&output.releases, paint, now),
        };
        session.report.data(&text);
    }
    Ok(Exit::Done)
}

async fn several(door: &Forge, most: usize) -> Result<Vec<Told>> {
    let (shown, _) = door.published(most).await.map_err(failed)?;
    Ok(shown.into_iter().map(|shown| Told { shown, before: None, issues: None }).collect())
}

async fn one(arguments: &Arguments, door: &Forge, place: &Repository, policy: &Policy) -> Result<Vec<Told>> {
    let shown = match &arguments.release {
        Some(text) => named(text, door, place, policy).await?,
        // Some forges list by the dates of commits.
        None => match door.published(RECENT).await.map_err(failed)?.0.into_iter().next() {
            Some(newest) => newest,
            None => return Ok(Vec::new()),
        },
    };
    let mut labels = arguments.label.clone();
    if labels.is_empty() {
        let version = policy.version_of(&shown.tag).map(|version| version.to_string());
        labels.push(shown.tag.clone());
        labels.extend(version.filter(|version| *version != shown.tag));
    }
    let found = forge_adoption::issues(door, &labels).await.map_err(failed)?;
    let issues = found.map(|(issues, truncated)| {
        let open = issues.iter().filter(|issue| issue.open).count();
        Issues { labels, open, closed: issues.len() - open, truncated, issues }
    });
    Ok(vec![Told { shown, before: None, issues }])
}

/// The release that `text` names: by its tag, or by its version.
async fn named(text: &str, door: &Forge, place: &Repository, policy: &Policy) -> Result<Shown> {
    let mut tags = vec![text.to_owned()];
    tags.extend(policy.version_meant(text).ok().map(|version| policy.tag(&version)));
    // What is no tag of the project's form is tried as it is written.
    if policy.version_of(text).is_none() {
        tags.reverse();
    }
    tags.dedup();
    for tag in &tags {
        names::tag(tag).map_err(invalid)?;
        if let Some(shown) = door.published_as(tag).await.map_err(failed)? {
            return Ok(shown);
        }
    }
    let (host, repository) = (sanitize_line(place.host()), sanitize_line(&place.repository));
    let tag = sanitize_line(tags.first().map_or(text, String::as_str));
    let error = CommandError::invalid(format!("{repository} on {host} has no release of {tag} that is out"));
    let (newest, more) = door.published(5).await.map_err(failed)?;
    let newest: Vec<&str> = newest.iter().map(|shown| shown.tag.as_str()).collect();
    Err(match newest.as_slice() {
        [] => error.hint("it has no releases yet: `forge.release` makes one"),
        newest if more => error.hint(format!("the newest are: {}", newest.join(", "))),
        newest => error.hint(format!("there is: {}", newest.join(", "))),
    })
}

/// Gives each release what was counted last, and keeps what is counted now.
fn compare(releases: &mut [Told], project: &Project, place: &Repository, session: &mut Session) {
    let mut looks = Looks::read(project, place).unwrap_or_else(|why| {
        session.report.progress(&format!("nothing is compared with the last look: {}", why.message));
        Looks::default()
    });
    let now = Timestamp::now();
    for told in &mut *releases {
        told.before = looks.exchange(&told.shown, now);
    }
    if let Err(why) = looks.write(project, place) {
        session.report.progress(&format!("the next look has nothing to compare with: {}", why.message));
    }
}

/// The token, where there is one: everybody may look at what is public.
fn token(project: &Project, place: &Repository) -> Result<Option<String>> {
    match planning::secrets(project).get(SECRET) {
        Some(source) => secrets::value(project, source).map(Some).map_err(|why| {
            CommandError::invalid(format!("the secret `{SECRET}` is missing: {why}"))
                .hint("take it out of [secrets] to look as everybody")
        }),
        None => Ok(secrets::value(project, &SecretSource::Env(place.kind.variable().to_owned())).ok()),
    }
}

fn context(project: &Project, token: Option<&str>) -> Result<Context> {
    let mut context = remote::looking(project.root.clone(), project.state.clone(), BTreeMap::new());
    let token = token.filter(|token| token.trim().chars().count() >= SHORTEST);
    let values = token.map(|token| (SECRET.to_owned(), token.to_owned())).into_iter().collect();
    let masker = Masker::new(&values).map_err(|error| CommandError::invalid(error.to_string()))?;
    context.world.masker = Arc::new(masker);
    Ok(context)
}

fn invalid(error: ActionError) -> CommandError {
    CommandError::invalid(error.to_string())
}
