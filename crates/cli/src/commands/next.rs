//! `windlass next`: the next version, and why.

use std::collections::BTreeMap;

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use windlass_core::text::sanitize_line;
use windlass_core::version::next::{Decision, NextError};

use crate::commands::VersionOptions;
use crate::error::Result;
use crate::exit::Exit;
use crate::facts::{self, Repository, VersionRequest};
use crate::project::Project;
use crate::report;
use crate::session::Session;
use crate::versions::{self, Weighed};

/// Print the next version
#[derive(Debug, Args)]
pub struct Arguments {
    /// Say why
    #[arg(long)]
    pub explain: bool,
    /// Decide as if this commit were HEAD, and nothing newer were released
    #[arg(long, value_name = "REV", conflicts_with = "promote")]
    pub at: Option<String>,
    /// Which version.
    #[command(flatten)]
    pub version: VersionOptions,
}

/// What is said of one unit.
#[derive(Debug, Serialize)]
pub struct Explained {
    /// The package, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// The decision, when there is one.
    #[serde(flatten)]
    pub decision: Option<Decision>,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// The release that is counted from.
    pub baseline: Option<Counted>,
    /// The release that was nearly counted from.
    pub runner_up: Option<RunnerUp>,
    /// Why these, when there is no decision that says so.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub found: Vec<String>,
    /// How many changes of each type there are since the baseline.
    pub commits_by_type: BTreeMap<String, usize>,
    /// The commit that is released.
    pub target: String,
    /// When work on the release began.
    pub lead_time: Option<LeadTime>,
}

/// The release that is counted from.
#[derive(Debug, Serialize)]
pub struct Counted {
    /// Its tag.
    pub tag: String,
    /// Its version.
    pub version: String,
    /// Its commit.
    pub commit: String,
    /// How many commits there are since.
    pub commits_since: usize,
}

/// The release that was nearly counted from.
#[derive(Debug, Serialize)]
pub struct RunnerUp {
    /// Its tag.
    pub tag: String,
    /// Its version.
    pub version: String,
    /// Why it was not chosen.
    pub why: &'static str,
}

/// When work on a release began.
#[derive(Debug, Serialize)]
pub struct LeadTime {
    /// The oldest commit of the release.
    pub first_commit: String,
    /// When it was made.
    pub first_commit_at: String,
}

#[derive(Serialize)]
struct Output<'a> {
    next: &'a Explained,
}

#[derive(Serialize)]
struct AllOutput<'a> {
    packages: &'a [Explained],
}

/// Decides the version and prints it.
///
/// # Errors
/// When there is none: exit code 3 when nothing calls for a release. Why is printed all the same.
pub fn run(arguments: &Arguments, session: &mut Session) -> Result<Exit> {
    let project = Project::find(session)?;
    let repository = Repository::read_history(&project)?;
    let request = VersionRequest { at: arguments.at.clone(), ..arguments.version.request() };
    if !project.config.packages.is_empty() && request.package.is_none() {
        return all(arguments, &project, &repository, &request, session);
    }
    let stated = versions::stated(&project, &request.unit(&project)?)?;
    let weighed = versions::weigh(&project, &repository, stated.as_ref(), &request)?;
    let explained = explain(&repository, &weighed)?;
    if let Err(error) = &weighed.outcome {
        let mut error = facts::no_version(&project, &weighed, error)?;
        let value = serde_json::to_value(&explained).unwrap_or_default();
        error.found = Some(Box::new([("next".to_owned(), value)].into_iter().collect()));
        if arguments.explain && !session.report.is_json() {
            let text = report::text::next(&explained, true, session.report.out_paint);
            session.report.data(&text);
        }
        return Err(error);
    }
    if session.report.is_json() {
        session.report.object("next", &Output { next: &explained });
    } else {
        let text = report::text::next(&explained, arguments.explain, session.report.out_paint);
        session.report.data(&text);
    }
    Ok(Exit::Done)
}

/// Every package with its version.
fn all(
    arguments: &Arguments,
    project: &Project,
    repository: &Repository,
    request: &VersionRequest,
    session: &mut Session,
) -> Result<Exit> {
    versions::require_one_package(project, request)?;
    let all = versions::weigh_all(project, repository, request)?;
    let mut packages = Vec::new();
    for weighed in &all {
        packages.push(explain(repository, weighed)?);
    }
    if session.report.is_json() {
        session.report.object("next", &AllOutput { packages: &packages });
    } else {
        let text = report::text::packages(&packages, arguments.explain, session.report.out_paint);
        session.report.data(&text);
    }
    let is_wrong = |weighed: &&Weighed| {
        weighed.outcome.as_ref().is_err_and(|error| !matches!(error, NextError::NothingToRelease { .. }))
    };
    Ok(match (all.iter().find(is_wrong), all.iter().any(|weighed| weighed.outcome.is_ok())) {
        (Some(_), _) => Exit::Invalid,
        (None, true) => Exit::Done,
        (None, false) => Exit::NothingToRelease,
    })
}

fn explain(repository: &Repository, weighed: &Weighed) -> Result<Explained> {
    let baseline = &weighed.baseline;
    let decision = weighed.outcome.as_ref().ok().cloned();
    let commits = weighed.release_commits(repository)?;
    let first =
        commits.iter().filter(|commit| commit.committed_at > 0).min_by_key(|commit| commit.committed_at);
    Ok(Explained {
        package: weighed.unit.package.clone(),
        problem: weighed.outcome.as_ref().err().map(|error| sanitize_line(&error.to_string())),
        baseline: baseline.current.as_ref().map(|current| Counted {
            tag: sanitize_line(&current.tag),
            version: current.version.to_string(),
            commit: current.commit.clone(),
            commits_since: weighed.commits.len(),
        }),
        runner_up: baseline.runner_up.as_ref().map(|runner_up| RunnerUp {
            tag: sanitize_line(&runner_up.release.tag),
            version: runner_up.release.version.to_string(),
            why: runner_up.why.as_str(),
        }),
        found: if decision.is_none() { baseline.reasons.clone() } else { Vec::new() },
        commits_by_type: weighed.tally.by_type.clone(),
        target: weighed.target.to_string(),
        lead_time: first.map(|first| LeadTime {
            first_commit: first.id.clone(),
            first_commit_at: Timestamp::from_second(first.committed_at)
                .map_or_else(|_| first.committed_at.to_string(), |moment| moment.to_string()),
        }),
        decision,
    })
}
