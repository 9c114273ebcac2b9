//! Gates of a run: which one a person means, whether they may answer it, and keeping what they say.

use jiff::Timestamp;
use windlass_core::gate::{self, Choice, Decision, GateState, People};
use windlass_core::plan::{Found, Node, StepPath};
use windlass_core::run::{GateKind, Outcome, RunEvent, StepStatus};
use windlass_core::runbook::Owner;
use windlass_core::text::sanitize_line;
use windlass_engine::durable::Signal;

use super::{Runner, Told, items, journal_error};
use crate::error::{CommandError, Result};
use crate::exit::Exit;
use crate::report::view::KeyAnswer;
use crate::report::words;

/// What a person says at a gate.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Who.
    pub person: String,
    /// Yes or no.
    pub choice: Choice,
    /// Why.
    pub comment: Option<String>,
    /// The start of the digest of the plan they looked at.
    pub digest: Option<String>,
}

/// The gate a person means: the only open one when they name none.
///
/// # Errors
/// When there is none, or more than one is meant.
pub fn find(told: &Told, wanted: Option<&str>) -> Result<StepPath> {
    let open: Vec<(StepPath, String)> =
        told.state.gates.iter().map(|gate| (gate.path.clone(), gate.question.clone())).collect();
    let Some(wanted) = wanted else {
        return match open.as_slice() {
            [(only, _)] => Ok(only.clone()),
            [] => Err(no_gate(told)),
            many => {
                let names: Vec<&str> = many.iter().map(|(path, _)| path.0.as_str()).collect();
                let run = told.run();
                Err(CommandError::invalid(format!("several items of {run} wait: {}", names.join(", ")))
                    .hint("name the one you mean"))
            }
        };
    };
    // An open gate goes before one that is not reached yet.
    if let Ok(path) = items::find(&open, wanted, "open gate") {
        return Ok(path);
    }
    let mut known = open;
    known.extend(future(told));
    items::find(&known, wanted, "gate")
}

/// Gates of the plan, reached or not.
fn future(told: &Told) -> Vec<(StepPath, String)> {
    items::items(&told.plan, &told.state, true)
        .into_iter()
        .filter(|item| matches!(item.node, Some(Node::Approval(_) | Node::Confirm(_))))
        .map(|item| (item.path, item.title))
        .collect()
}

fn no_gate(told: &Told) -> CommandError {
    let run = told.run();
    let error = CommandError::invalid(format!("nothing in {run} waits for an answer now"));
    let next = future(told).into_iter().find(|(path, _)| !told.state.steps.contains_key(path));
    match next.filter(|_| !told.state.status.is_final()) {
        Some((path, _)) => error.hint(format!("to answer early, name the item, such as `{path}`")),
        None => error,
    }
}

/// Why the answer needs not be kept: the gate at `path` was decided that way, or its person has said the same already.
pub fn said_already(told: &Told, path: &StepPath, given: &Answer) -> Option<String> {
    let is_other_plan =
        given.digest.as_ref().is_some_and(|start| !told.digest.0.starts_with(&start.to_ascii_lowercase()));
    if told.state.status.is_final() || is_other_plan {
        return None;
    }
    let word = if given.choice == Choice::Reject { "no" } else { "yes" };
    let is_open = told.state.gates.iter().any(|gate| gate.path == *path);
    let ended = told.state.steps.get(path).map(|step| &step.status);
    if let (false, Some(StepStatus::Ended(outcome))) = (is_open, ended) {
        // The other way round is no repetition but an answer that comes too late, which is refused.
        let is_so = match given.choice {
            Choice::Approve => matches!(outcome, Outcome::Done),
            Choice::Reject => matches!(outcome, Outcome::Failed(_)),
        };
        return is_so.then(|| format!("`{path}` is decided already, with {word}"));
    }
    // What was said before the item was tried again counts no more.
    let said = told.history.iter().rev().find_map(|recorded| match &recorded.event {
        RunEvent::Retried { path: at, .. } if path.is_within(at) => Some(None),
        RunEvent::StepFinished { path: at, .. } if at == path => Some(None),
        RunEvent::Decided { path: at, decision } if at == path && decision.person == given.person => {
            Some(Some(decision))
        }
        _ => None,
    })??;
    let is_same = said.choice == given.choice && said.plan == told.digest;
    let is_eligible = || match told.plan.find(path) {
        Some(Found::Node(_, Node::Approval(node))) => {
            gate::eligible(&node.rule, said, people(told), &told.digest).is_ok()
        }
        _ => true,
    };
    (is_same && is_eligible())
        .then(|| format!("{} has said {word} to `{path}` already", sanitize_line(&said.person)))
}

/// Keeps an answer to the gate at `path`, after checking that it counts; gives what it is an answer to.
///
/// # Errors
/// Why it would not count.
pub fn answer(runner: &Runner, told: &Told, path: &StepPath, answer: &Answer) -> Result<Decision> {
    let refused = |message: String| CommandError::new(Exit::Waiting, message);
    let run = told.run();
    if told.state.status.is_final() {
        return Err(refused(format!("{run} has ended, so nothing can be decided in it any more")));
    }
    if let Some(prefix) = &answer.digest
        && !(prefix.len() >= 6 && told.digest.0.starts_with(&prefix.to_ascii_lowercase()))
    {
        return Err(refused(format!(
            "this was decided for another plan ({}): {run} executes plan {}",
            sanitize_line(prefix),
            told.digest.short()
        ))
        .hint(format!("look at what the run does with `windlass status {run}`, and decide again")));
    }
    let decision = Decision {
        person: answer.person.clone(),
        choice: answer.choice,
        comment: answer.comment.clone(),
        plan: told.digest.clone(),
        at: Timestamp::now(),
    };
    check(told, path, &decision)?;
    let event = RunEvent::Decided { path: path.clone(), decision: decision.clone() };
    let signal = Signal::Decision(decision.clone());
    runner.journal.post(run, Some(path), Some(&signal), &event, decision.at).map_err(journal_error)?;
    Ok(decision)
}

/// Whether the decision counts at `path`.
fn check(told: &Told, path: &StepPath, decision: &Decision) -> Result<()> {
    let refused = |message: String| CommandError::new(Exit::Waiting, message);
    let open = told.state.gates.iter().find(|gate| gate.path == *path);
    let ended = told.state.steps.get(path).map(|step| &step.status);
    if let (None, Some(StepStatus::Ended(_))) = (open, ended) {
        return Err(refused(format!("`{path}` is decided already")));
    }
    if let Some(deadline) = open.and_then(|gate| gate.deadline).filter(|deadline| *deadline < decision.at) {
        let run = told.run();
        return Err(refused(format!(
            "`{path}` could be answered until {}",
            words::moment(deadline, decision.at)
        ))
        .hint(format!("nobody did in time, which `windlass resume {run}` finds")));
    }
    let people = people(told);
    if open.is_some_and(|gate| gate.kind == GateKind::Doubt) {
        return Ok(());
    }
    let owner = match told.plan.find(path) {
        Some(Found::Node(_, Node::Approval(node))) => {
            return gate::eligible(&node.rule, decision, people, &told.digest).map_err(|why| {
                let why = why.to_string();
                match why.split_once(": ") {
                    Some((what, help)) => refused(what.to_owned()).hint(help),
                    None => refused(why),
                }
            });
        }
        Some(Found::Node(_, Node::Confirm(node))) => node.owner.clone(),
        Some(Found::Node(_, Node::Watch(node))) if open.is_some() => node.owner.clone(),
        _ => return Err(CommandError::invalid(format!("`{path}` does not ask anybody anything"))),
    };
    let names = owner.map(|Owner { names, .. }| names).unwrap_or_default();
    if gate::may_act(&decision.person, &names, people) {
        return Ok(());
    }
    Err(refused(format!("{} is not in {}", decision.person, names.join(" or ")))
        .hint("ask a member, or add them under [roles] in windlass.toml and plan again"))
}

/// What an approval still needs after all that was decided so far; nothing when it is granted or is no approval.
pub fn missing(told: &Told, path: &StepPath) -> Option<String> {
    let Some(Found::Node(_, Node::Approval(node))) = told.plan.find(path) else { return None };
    let decisions: Vec<Decision> = told
        .history
        .iter()
        .filter_map(|recorded| match &recorded.event {
            RunEvent::Decided { path: at, decision } if at == path => Some(decision.clone()),
            _ => None,
        })
        .collect();
    match gate::evaluate(&node.rule, &decisions, people(told), &told.digest) {
        GateState::Open(need) => {
            let need: Vec<String> =
                need.iter().map(|need| format!("{} of {}", need.count, need.role)).collect();
            Some(need.join(", "))
        }
        GateState::Granted(_) | GateState::Refused(_) => None,
    }
}

/// Who is who in the run.
pub fn people(told: &Told) -> People<'_> {
    People { roles: &told.plan.roles, authors: &told.plan.authors, starter: &told.state.by }
}

/// Lets an item pass without doing it; the reason is kept.
///
/// # Errors
/// When the journal cannot be written.
pub fn waive(runner: &Runner, told: &Told, path: &StepPath, by: &str, reason: &str) -> Result<()> {
    let event = RunEvent::Waived { path: path.clone(), by: by.to_owned(), reason: reason.to_owned() };
    runner.journal.post(told.run(), None, None, &event, Timestamp::now()).map_err(journal_error)?;
    Ok(())
}

/// Asks for an item in doubt to be run again.
///
/// # Errors
/// When the journal cannot be written.
pub fn retry(runner: &Runner, told: &Told, path: &StepPath, by: &str) -> Result<()> {
    let event = RunEvent::Retried { path: path.clone(), by: by.to_owned() };
    let signal = Signal::Retry { by: by.to_owned() };
    runner
        .journal
        .post(told.run(), Some(path), Some(&signal), &event, Timestamp::now())
        .map_err(journal_error)?;
    Ok(())
}

/// Does what a person asked for with keys; gives what to tell them.
///
/// # Errors
/// Why it is not done.
pub fn say(runner: &Runner, told: &Told, person: Option<&str>, said: &KeyAnswer) -> Result<String> {
    let Some(person) = person else {
        return Err(CommandError::invalid(
            "nobody is known as the one who answers: start with --as PERSON, or set `git config user.email`",
        ));
    };
    let told = runner.told(told.run())?;
    let decide = |path: &StepPath, choice| {
        let given = Answer { person: person.to_owned(), choice, comment: None, digest: None };
        answer(runner, &told, path, &given)
    };
    match said {
        KeyAnswer::Yes(path) => decide(path, Choice::Approve).map(|_| format!("{person} says yes")),
        KeyAnswer::No(path) => decide(path, Choice::Reject).map(|_| format!("{person} says no")),
        KeyAnswer::Skip(path, reason) => {
            waive(runner, &told, path, person, reason).map(|()| format!("waived by {person}"))
        }
        KeyAnswer::Retry(path) => retry(runner, &told, path, person).map(|()| "running it again".to_owned()),
    }
}
