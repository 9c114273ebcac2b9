//! `windlass lock`: who holds an environment, and how it is taken away from whoever will not come back.

use clap::{Args, Subcommand};
use futures::future::join_all;
use jiff::Timestamp;
use serde_json::json;
use windlass_actions::adapters::ssh;
use windlass_actions::deploy::Site;
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
/// For an environment that is not there, or whose first host cannot be asked.
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
            match site.first() {
                Some(first) => first.look(context).await.map_err(|error| error.to_string()),
                None => Err("it has no hosts".to_owned()),
            }
        }
    })))?;
    ssh::close(&context.world.state, &context.run);
    let mut exit = Exit::Done;
    let mut data = Vec::new();
    for ((name, _), look) in chosen.iter().zip(looks) {
        let line = match &look {
            Ok(kept) => match kept.held() {
                Some(lock) => report::environments::lock(lock, Timestamp::now()),
                None => "free".to_owned(),
            },
            Err(why) => {
                exit = Exit::Failed;
                format!("not known: {}", sanitize_line(why))
            }
        };
        let lock = look.as_ref().ok().and_then(|kept| kept.held().cloned());
        let breaks = look.as_ref().map(|kept| kept.breaks.clone()).unwrap_or_default();
        if !session.report.is_json() {
            session.report.line(&format!("{name}  {line}"));
            for broken in &breaks {
                session.report.line(&format!("  broken {broken}"));
            }
        }
        data.push(json!({ "environment": name, "lock": lock, "breaks": breaks, "unreachable": look.err() }));
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
    let (first, rest) = site
        .hosts
        .split_first()
        .ok_or_else(|| CommandError::invalid(format!("the environment {name} has no hosts")))?;
    let broken = project.block_on(async {
        let (lock, fence) = first.break_lock(&context, by, reason, 0).await?;
        // Whoever had the lock acts on these hosts too.
        let raised = join_all(rest.iter().map(|host| host.raise(&context, fence))).await;
        Ok::<_, windlass_actions::adapters::remote::RemoteError>((lock, fence, raised))
    })?;
    ssh::close(&context.world.state, &context.run);
    let (lock, fence, raised) = broken.map_err(|error| CommandError::failed(error.to_string()))?;
    let missed: Vec<String> =
        raised.into_iter().filter_map(std::result::Result::err).map(|error| error.to_string()).collect();
    if session.report.is_json() {
        session.report.object(
            "lock",
            &json!({ "environment": name, "broken": lock, "fence": fence, "not_told": missed }),
        );
    } else {
        session.report.line(&match &lock {
            Some(lock) => format!("{name}: took the lock away from {} ({})", lock.run, lock.person),
            None => format!("{name}: nobody had the lock"),
        });
        session.report.line(&format!("steps under a fence below {fence} are refused there from now on"));
        for why in &missed {
            session.report.progress(&format!("not told: {}", sanitize_line(why)));
        }
    }
    Ok(if missed.is_empty() { Exit::Done } else { Exit::Failed })
}
