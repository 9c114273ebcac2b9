//! `windlass next`: the next version, and why.

use clap::Args;
use serde::Serialize;
use windlass_core::version::next::Decision;

use crate::commands::VersionOptions;
use crate::error::Result;
use crate::exit::Exit;
use crate::facts::{self, Repository};
use crate::project::Project;
use crate::session::Session;
use crate::{holders, report};

/// Print the next version
#[derive(Debug, Args)]
pub struct Arguments {
    /// Say why
    #[arg(long)]
    pub explain: bool,
    /// Which version.
    #[command(flatten)]
    pub version: VersionOptions,
}

#[derive(Serialize)]
struct Output<'a> {
    #[serde(rename = "next")]
    decision: &'a Decision,
}

/// Decides the version and prints it.
///
/// # Errors
/// When there is none: exit code 3 when nothing calls for a release.
pub fn run(arguments: &Arguments, session: &mut Session) -> Result<Exit> {
    let project = Project::find(session)?;
    let repository = Repository::read(&project)?;
    let holders = holders::read(&project)?;
    let stated = facts::agreed(&holders)?;
    let next = facts::next(&project, &repository, stated.as_ref(), &arguments.version.request())?;
    if session.report.is_json() {
        session.report.object("next", &Output { decision: &next.decision });
    } else {
        let text = report::text::next(&next.decision, arguments.explain, session.report.out_paint);
        session.report.data(&text);
    }
    Ok(Exit::Done)
}
