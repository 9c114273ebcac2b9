//! `windlass plan`: shows exactly what a run would do; changes nothing.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use windlass_core::plan::Plan;

use crate::commands::VersionOptions;
use crate::error::{CommandError, Result};
use crate::exit::Exit;
use crate::planning::{PlanRequest, make_plan_with_warnings};
use crate::project::Project;
use crate::report;
use crate::session::Session;

/// Show exactly what a run would do
#[derive(Debug, Args)]
pub struct Arguments {
    /// What to plan and how.
    #[command(flatten)]
    pub options: PlanOptions,
    /// Write the plan to a file, for `windlass run FILE`
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// What to plan and how: shared with `run`.
#[derive(Debug, Clone, Default, Args)]
pub struct PlanOptions {
    /// A runbook's name or path; for `run` also a plan's file (.json) [default: release]
    #[arg(value_name = "RUNBOOK")]
    pub runbook: Option<String>,
    /// A value for an input of the runbook
    #[arg(short, long = "input", value_name = "NAME=VALUE")]
    pub inputs: Vec<String>,
    /// Which version.
    #[command(flatten)]
    pub version: VersionOptions,
}

impl PlanOptions {
    /// As a request to plan in the session's folder.
    ///
    /// # Errors
    /// When an input is not `NAME=VALUE`.
    pub fn request(&self, session: &Session) -> Result<PlanRequest> {
        let mut request = PlanRequest {
            runbook: self.runbook.clone(),
            directory: std::fs::canonicalize(&session.directory)
                .unwrap_or_else(|_| session.directory.clone()),
            version: self.version.request(),
            inputs: Default::default(),
        };
        for input in &self.inputs {
            let Some((name, value)) = input.split_once('=') else {
                return Err(CommandError::invalid(format!("`--input {input}` has no value"))
                    .hint("write it as --input NAME=VALUE"));
            };
            request.inputs.insert(name.trim().to_owned(), value.to_owned());
        }
        Ok(request)
    }
}

#[derive(Serialize)]
struct Output<'a> {
    digest: &'a str,
    plan: &'a Plan,
    diagnostics: Vec<serde_json::Value>,
}

/// Makes the plan and shows it.
///
/// # Errors
/// Everything that keeps a plan from being made.
pub fn run(arguments: &Arguments, session: &mut Session) -> Result<Exit> {
    let project = Project::find(session)?;
    let request = arguments.options.request(session)?;
    let (plan, warnings) = make_plan_with_warnings(&project, &request)?;
    let digest =
        plan.digest().map_err(|error| CommandError::failed(format!("the plan has no digest: {error}")))?;
    session.report.warnings(&warnings);
    if let Some(out) = &arguments.out {
        let path = session.directory.join(out);
        let text = serde_json::to_string_pretty(&plan)
            .map_err(|error| CommandError::failed(format!("the plan cannot be written: {error}")))?;
        std::fs::write(&path, text + "\n")
            .map_err(|error| CommandError::failed(format!("{} cannot be written: {error}", out.display())))?;
    }
    if session.report.is_json() {
        session.report.object(
            "plan",
            &Output {
                digest: &digest.0,
                plan: &plan,
                diagnostics: report::diagnostics_object(&warnings.located, &warnings.sources),
            },
        );
    } else {
        let text = report::plan::plan(&plan, &digest.0, session.report.out_paint);
        session.report.data(&text);
        if let Some(out) = &arguments.out {
            session.report.progress(&report::text::plan_written(out));
        }
    }
    Ok(Exit::Done)
}
