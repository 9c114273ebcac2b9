//! `windlass bump`: writes the next version into every holder and commits.

use clap::Args;
use serde::Serialize;
use windlass_actions::adapters::files as workspace;
use windlass_core::changelog::{self, Changelog};
use windlass_core::version::Version;

use crate::error::{CommandError, Result};
use crate::exit::Exit;
use crate::facts::{self, Repository, VersionRequest};
use crate::project::Project;
use crate::session::Session;
use crate::{files, holders, report};

/// Write the next version into every file that states it, and commit
#[derive(Debug, Args)]
pub struct Arguments {
    /// `patch`, `minor`, `major` or `hotfix`; without it, what the commits call for
    #[arg(value_name = "KIND", value_parser = ["patch", "minor", "major", "hotfix"])]
    pub kind: Option<String>,
    /// This very version, with or without `v`
    #[arg(long, visible_alias = "set", value_name = "X.Y.Z", conflicts_with = "kind")]
    pub version: Option<String>,
    /// Release on this channel: alpha, beta, rc, stable or hotfix
    #[arg(long, value_name = "CHANNEL")]
    pub channel: Option<String>,
    /// Print the current and the next version, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Write the files, and do not commit
    #[arg(long)]
    pub no_commit: bool,
}

/// What was done.
#[derive(Debug, Serialize)]
pub struct Output {
    /// What the files stated before.
    pub current: Option<String>,
    /// The version they state now, or would.
    pub next: String,
    /// The files, or those that would be written.
    pub files: Vec<String>,
    /// The commit, when one was made.
    pub commit: Option<String>,
    /// Nothing was changed.
    pub dry_run: bool,
}

/// Bumps.
///
/// # Errors
/// When there is no next version, when a file to be written has changes that nobody committed, and when one cannot
/// be written; then none was.
pub fn run(arguments: &Arguments, session: &mut Session) -> Result<Exit> {
    let project = Project::find(session)?;
    let repository = Repository::read(&project)?;
    let mut found = holders::read(&project)?;
    if !arguments.dry_run && holders::finish(&project, &found)? {
        found = holders::read(&project)?;
    }
    if found.is_empty() {
        return Err(CommandError::invalid("no file here states a version")
            .hint("list them under [version] holders in windlass.toml"));
    }
    let stated = holders::agreed(&found)?;
    let hotfix = arguments.kind.as_deref() == Some("hotfix");
    let request = VersionRequest {
        exact: arguments.version.clone(),
        bump: arguments.kind.clone().filter(|_| !hotfix),
        hotfix,
        channel: arguments.channel.clone(),
        ..VersionRequest::default()
    };
    let next = facts::next(&project, &repository, stated.as_ref(), &request)?.decision;
    let written = holders::to_state(&project, &next.version);
    let edits = edits(&project, &found, &written)?;
    let mut output = Output {
        current: stated.map(|version| version.to_string()),
        next: next.version.to_string(),
        files: edits.iter().map(|(path, _)| path.clone()).collect(),
        commit: None,
        dry_run: arguments.dry_run,
    };
    if !arguments.dry_run {
        refuse_dirty(&repository, &output.files, !arguments.no_commit)?;
        workspace::replace(&project.root, &edits).map_err(facts::failed)?;
        holders::verify(&project, &found, &written)?;
        if !arguments.no_commit && !edits.is_empty() {
            let message = format!("chore(release): bump version to {}", next.version);
            output.commit = Some(crate::commit::paths(&project, &output.files, &message)?);
        }
    }
    if session.report.is_json() {
        session.report.object("bump", &output);
    } else {
        let text = report::text::bump(&output, session.report.out_paint);
        session.report.data(&text);
    }
    Ok(Exit::Done)
}

/// Each file with its new text; those that say it already are left out.
fn edits(
    project: &Project,
    holders: &[windlass_core::plan::HolderFact],
    version: &Version,
) -> Result<Vec<(String, String)>> {
    let mut edits: Vec<(String, String)> = Vec::new();
    for holder in holders {
        // One file may state the version in several places, each found in its own way.
        let known = edits.iter().position(|(path, _)| *path == holder.path);
        let source = match known {
            Some(index) => edits[index].1.clone(),
            None => files::read(&project.root.join(&holder.path), &holder.path, files::LARGEST_FILE)?,
        };
        let text = holders::written(holder, &source, version)?;
        match known {
            Some(index) => edits[index].1 = text,
            None if text != source => edits.push((holder.path.clone(), text)),
            None => {}
        }
    }
    if let Some(source) = facts::changelog(project)? {
        let placed = with_unreleased(&source)?;
        if placed != source {
            edits.push((project.config.changelog.path.clone(), placed));
        }
    }
    Ok(edits)
}

/// The changelog with a place for the entries of the release, when it has none.
fn with_unreleased(source: &str) -> Result<String> {
    let refused = |error: changelog::ChangelogError| CommandError::invalid(error.to_string());
    let read = Changelog::parse(source).map_err(refused)?;
    if read.unreleased().is_some() {
        return Ok(source.to_owned());
    }
    let newline = if source.contains("\r\n") { "\r\n" } else { "\n" };
    let heading = format!("## [Unreleased]{newline}{newline}");
    Ok(match read.latest() {
        Some((section, _)) => {
            let at = section.heading.start;
            format!("{}{heading}{}", &source[..at], &source[at..])
        }
        None => format!("{}{newline}{newline}{}", source.trim_end(), heading.trim_end()) + newline,
    })
}

fn refuse_dirty(repository: &Repository, paths: &[String], commits: bool) -> Result<()> {
    let dirty: Vec<&str> =
        repository.dirty.iter().filter(|path| paths.contains(path)).map(String::as_str).collect();
    if dirty.is_empty() || !commits {
        return Ok(());
    }
    Err(CommandError::invalid(format!(
        "these files have changes that are not committed: {}",
        dirty.join(", ")
    ))
    .hint("commit or stash them first, or use --no-commit"))
}
