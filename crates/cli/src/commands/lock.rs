//! `windlass lock`: who holds an environment, and how it is taken away from whoever will not come back.

use clap::{Args, Subcommand};
use futures::future::join_all;
use jiff::Timestamp;
use serde_json::json;
use windlass_actions::adapters::ssh;
use windlass_actions::deploy::Site;
use windlass_actions::deploy::lock::{self, held};
use windlass_core::text::sanitize_line;

use super::PersonOptions;
use super::env::{chosen, context};
use crate::error::{CommandError, Result};
use crate::exit::Exit;
use crate::project::Project;
use crate::report;
use crate::runner::person::person;
use crate::session::Session;

/// Show or break the lock of an environment
#[derive(Debug, Args)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Verb,
}

/// What to do with a lock.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Show who holds it
    Status {
        /// The environment; every one when not given
        #[arg(value_name = "NAME")]
        name: Option<String>,
    },
    /// Take it away: whoever has it can change nothing there any more
    Break {
        /// The environment
        #[arg(value_name = "NAME")]
        name: String,
        /// Why; it is kept
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// Who acts.
        #[command(flatten)]
        person: PersonOptions,
    },
}

/// Shows or breaks.
///
/// # Errors
/// For an environment that is not there, or that no host can be asked about.
pub fn run(arguments: &Arguments, session: &mut Session) -> Result<Exit> {
    let project = Project::find(session)?;
    match &arguments.command {
        Verb::Status { name } => status(&project, name.as_deref(), session),
        Verb::Break { name, reason, person: options } => {
            let by = person(&project, options.person.as_deref())?;
            let reason = sanitize_line(reason);
            if reason.is_empty() {
                return Err(
                    CommandError::invalid("breaking a lock needs a reason").hint("say why with --reason")
                );
            }
            take_away(&project, name, &by, &reason, session)
        }
    }
}

fn status(project: &Project, name: Option<&str>, session: &mut Session) -> Result<Exit> {
    let chosen = chosen(project, name)?;
    let context = context(project);
    let looks = project.block_on(join_all(chosen.iter().map(|(name, environment)| {
        let site = Site::new(name, environment, &context);
        let context = &context;
        async move {
            let looks = site.look(context).await;
            (held(&site, &looks), looks)
        }
    })))?;
    ssh::close(&context.world.state, &context.run);
    let mut exit = Exit::Done;
    let mut data = Vec::new();
    for ((name, _), (held, looks)) in chosen.iter().zip(looks) {
        // The lock is where everybody who can takes it: without that host nobody knows that it is free.
        let first = looks.first().and_then(|look| look.as_ref().err()).map(ToString::to_string);
        let mut lines: Vec<String> =
            held.iter().map(|held| report::environments::lock(held, Timestamp::now())).collect();
        if let Some(why) = &first {
            exit = Exit::Failed;
            lines.push(format!("not known: {}", sanitize_line(why)));
        } else if lines.is_empty() {
            lines.push("free".to_owned());
        }
        let mut breaks: Vec<String> = looks.into_iter().flatten().flat_map(|kept| kept.breaks).collect();
        breaks.sort();
        breaks.dedup();
        if !session.report.is_json() {
            for line in &lines {
                session.report.line(&format!("{name}  {line}"));
            }
            for broken in &breaks {
                session.report.line(&format!("  broken {broken}"));
            }
        }
        let lock = held.first();
        data.push(json!({
            "environment": name, "lock": lock, "locks": held, "breaks": breaks, "unreachable": first,
        }));
    }
    if session.report.is_json() {
        session.report.object("lock", &json!({ "locks": data }));
    }
    Ok(exit)
}

fn take_away(project: &Project, name: &str, by: &str, reason: &str, session: &mut Session) -> Result<Exit> {
    let chosen = chosen(project, Some(name))?;
    let Some((name, environment)) = chosen.first() else { return Ok(Exit::Done) };
    let context = context(project);
    let site = Site::new(name, environment, &context);
    let broken = project.block_on(lock::take_away(&site, &context, by, reason))?;
    ssh::close(&context.world.state, &context.run);
    let (held, fence, missed) = broken.map_err(|error| CommandError::failed(error.to_string()))?;
    let missed: Vec<String> = missed.iter().map(ToString::to_string).collect();
    if session.report.is_json() {
        session.report.object(
            "lock",
            &json!({
                "environment": name, "broken": held.first(), "locks": held, "fence": fence, "not_told": missed,
            }),
        );
    } else {
        for held in &held {
            let (run, person) = (&held.lock.run, &held.lock.person);
            session.report.line(&format!("{name}: took the lock away from {run} ({person})"));
        }
        if held.is_empty() {
            session.report.line(&format!("{name}: nobody had the lock"));
        }
        session.report.line(&format!("steps under a fence below {fence} are refused there from now on"));
        for why in &missed {
            session.report.progress(&format!("not told: {}", sanitize_line(why)));
        }
    }
    Ok(if missed.is_empty() { Exit::Done } else { Exit::Failed })
}
