//! `windlass approve`, `reject` and `confirm`: what people say at gates.

use clap::Args;
use serde_json::json;
use windlass_core::gate::Choice;
use windlass_core::run::GateKind;
use windlass_core::text::sanitize_line;

use crate::commands::PersonOptions;
use crate::error::{CommandError, Result};
use crate::exit::Exit;
use crate::runner::gates::{self, Answer};
use crate::runner::person::person;
use crate::runner::{Runner, Several, items, worker};
use crate::session::Session;

/// What is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Yes to an approval.
    Approve,
    /// No.
    Reject,
    /// Yes, that is true.
    Confirm,
}

/// Answer a gate
#[derive(Debug, Args)]
pub struct Arguments {
    /// The run [default: the only unfinished one], then the items [default: the only open gate]
    #[arg(value_name = "RUN|ITEM")]
    pub target: Vec<String>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub comment: Option<String>,
    /// The digest of the plan that was looked at, or its start; refused for any other plan
    #[arg(long, value_name = "DIGEST")]
    pub digest: Option<String>,
    /// Who answers.
    #[command(flatten)]
    pub person: PersonOptions,
}

/// Keeps the answers.
///
/// # Errors
/// When there is no such gate, or the answer would not count.
pub fn run(arguments: &Arguments, verb: Verb, session: &mut Session) -> Result<Exit> {
    let runner = Runner::require(session)?;
    let (told, wanted) = runner.target(&arguments.target, Several::Ask)?;
    let by = person(&runner.project, arguments.person.person.as_deref())?;
    let given = Answer {
        person: by.clone(),
        choice: if verb == Verb::Reject { Choice::Reject } else { Choice::Approve },
        comment: arguments.comment.as_deref().map(sanitize_line).filter(|comment| !comment.is_empty()),
        digest: arguments.digest.clone(),
    };
    let paths = if wanted.is_empty() {
        vec![gates::find(&told, None)?]
    } else {
        wanted.iter().map(|item| gates::find(&told, Some(item))).collect::<Result<Vec<_>>>()?
    };
    let run = told.run();
    for path in &paths {
        let doubt = told.state.gates.iter().any(|gate| gate.path == *path && gate.kind == GateKind::Doubt);
        if doubt && verb == Verb::Approve {
            return Err(CommandError::invalid(format!("`{path}` was interrupted: it is not to be approved"))
                .hint(format!("if it took effect: `windlass confirm {run} {path}`"))
                .hint(format!("to run it again: `windlass retry {run} {path}`")));
        }
    }
    for path in &paths {
        if let Some(already) = gates::said_already(&told, path, &given) {
            if session.report.is_json() {
                let object = json!({
                    "run": run, "path": path, "person": by, "choice": given.choice, "comment": null,
                    "plan": told.digest, "missing": gates::missing(&told, path), "next": already,
                });
                session.report.object("decision", &object);
            } else {
                session.report.line(&format!("{already}: nothing was added"));
            }
            continue;
        }
        gates::answer(&runner, &told, path, &given)?;
        let now = runner.told(run)?;
        let missing = gates::missing(&now, path).filter(|_| given.choice == Choice::Approve);
        let reached = told.state.gates.iter().any(|gate| gate.path == *path);
        let next = match (&missing, reached, worker(&now.record)) {
            (Some(missing), true, _) => format!("still needed: {}", sanitize_line(missing)),
            (_, false, _) => "kept until the run gets there".to_owned(),
            (None, true, Some(worker)) => format!("{worker} goes on"),
            (None, true, None) => format!("go on with `windlass resume {run}`"),
        };
        if session.report.is_json() {
            let object = json!({
                "run": run, "path": path, "person": by, "choice": given.choice, "comment": given.comment,
                "plan": told.digest, "missing": missing, "next": next,
            });
            session.report.object("decision", &object);
        } else {
            let said = match verb {
                Verb::Approve => "approved",
                Verb::Reject => "rejected",
                Verb::Confirm => "confirmed",
            };
            let place = items::place(&told.plan, &told.state, path);
            session.report.line(&format!("{by} {said}: {place}"));
            session.report.line(&format!("in {run}, plan {}", told.digest.short()));
            session.report.line(&next);
        }
    }
    Ok(Exit::Done)
}
