//! `windlass run`: executes a runbook, or a plan that was reviewed as a file.

use std::path::Path;

use clap::Args;
use jiff::Timestamp;
use windlass_core::plan::{Digest, Plan, SCHEMA, StepPath, canonical};
use windlass_core::run::{RunEvent, RunId, RunState, RunStatus};
use windlass_core::text::sanitize_line;
use windlass_engine::interpreter::Direction;
use windlass_engine::journal::{NewRun, RunRecord};

use crate::commands::plan::PlanOptions;
use crate::commands::{PersonOptions, WaitOptions};
use crate::error::{CommandError, Result};
use crate::exit::Exit;
use crate::files;
use crate::planning::{DEFAULT_RUNBOOK, drift, make_plan_with_warnings};
use crate::project::{Project, counted};
use crate::report::words;
use crate::runner::drive::{How, drive};
use crate::runner::person::person;
use crate::runner::{Runner, gates, items, journal_error};
use crate::session::Session;

/// Letters and digits that tell runs of one version apart.
const NONCE: usize = 4;

/// Execute a runbook, or a plan that was written to a file
#[derive(Debug, Args)]
pub struct Arguments {
    /// What to plan and how.
    #[command(flatten)]
    pub options: PlanOptions,
    /// Start although preflight found something missing; that is kept
    #[arg(long)]
    pub despite_preflight: bool,
    /// Let a step or item pass without doing it; needs --reason, which is kept
    #[arg(long, value_name = "ITEM", requires = "reason")]
    pub skip: Vec<String>,
    /// Why something is skipped
    #[arg(long, value_name = "TEXT", requires = "skip")]
    pub reason: Option<String>,
    /// Whether to stay at gates.
    #[command(flatten)]
    pub wait: WaitOptions,
    /// Who starts the run.
    #[command(flatten)]
    pub person: PersonOptions,
}

/// Starts a run and works on it until its next stop.
///
/// # Errors
/// When it cannot be planned or started.
pub fn run(arguments: &Arguments, session: &mut Session) -> Result<Exit> {
    let project = Project::find(session)?;
    let by = person(&project, arguments.person.person.as_deref())?;
    let reason = arguments.reason.as_deref().map(sanitize_line);
    if !arguments.skip.is_empty() && reason.as_deref().unwrap_or_default().is_empty() {
        return Err(CommandError::invalid("a skip needs a reason").hint("say why with --reason"));
    }
    let file = arguments.options.runbook.clone().filter(|name| is_plan_file(name));
    let plan = match &file {
        Some(file) => {
            let plan = read_plan(arguments, session, file)?;
            refuse_unfinished(session, |run| same(run, &plan))?;
            let changes = drift(&project, &plan);
            if !changes.is_empty() {
                let mut error = CommandError::invalid(format!(
                    "the world has changed since {} was planned, so it is not what was reviewed",
                    sanitize_line(file)
                ));
                error.hints = changes;
                return Err(error.hint("plan again, and review that"));
            }
            plan
        }
        None => planned(arguments, session, &project)?,
    };
    let skipped = skipped(&plan, &arguments.skip)?;
    let despite = despite(arguments, &plan)?;
    let text = canonical(&plan)
        .map_err(|error| CommandError::failed(format!("the plan cannot be written: {error}")))?;
    let digest =
        plan.digest().map_err(|error| CommandError::failed(format!("the plan has no digest: {error}")))?;
    let runner = Runner::of(project, session.hooks)?;
    let id = create(&runner, session, &plan, text, digest, &by, despite)?;
    let told = runner.told(&id)?;
    for path in &skipped {
        gates::waive(&runner, &told, path, &by, reason.as_deref().unwrap_or_default())?;
    }
    if !session.report.is_json() {
        session.report.progress(&format!("run {id}"));
    }
    let told = runner.told(&id)?;
    let how = How {
        direction: Direction::Forward,
        stay: arguments.wait.stay(session),
        reopen: Vec::new(),
        from_start: true,
        person: Some(by),
    };
    drive(session, &runner, &told, &how)
}

fn is_plan_file(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"))
}

fn planned(arguments: &Arguments, session: &mut Session, project: &Project) -> Result<Plan> {
    let request = arguments.options.request(session)?;
    let wanted = request.runbook.clone().unwrap_or_else(|| DEFAULT_RUNBOOK.to_owned());
    match make_plan_with_warnings(project, &request) {
        Ok((plan, warnings)) => {
            session.report.warnings(&warnings);
            refuse_unfinished(session, |run| same(run, &plan))?;
            Ok(plan)
        }
        Err(error) => {
            // A release that is half-done may leave nothing to plan; what is needed then is to finish it.
            let stem = Path::new(&wanted).file_stem().map(|stem| stem.to_string_lossy().into_owned());
            let package = arguments.options.version.request().package;
            refuse_unfinished(session, |run| {
                let is_wanted = run.runbook == wanted || Some(&run.runbook) == stem.as_ref();
                is_wanted && (run.package.is_none() || run.package == package)
            })?;
            Err(error)
        }
    }
}

fn same(run: &RunRecord, plan: &Plan) -> bool {
    let is_same = run.runbook == plan.runbook.name && run.version.as_ref() == version(plan);
    // Old journals name no package.
    is_same && (run.package.is_none() || run.package.as_ref() == package(plan))
}

fn version(plan: &Plan) -> Option<&String> {
    plan.release.as_ref().map(|release| &release.version)
}

fn package(plan: &Plan) -> Option<&String> {
    plan.release.as_ref().and_then(|release| release.package.as_ref())
}

/// Never starts a second run beside one that is half-done.
fn refuse_unfinished(session: &Session, is_same: impl Fn(&RunRecord) -> bool) -> Result<()> {
    let Some(runner) = Runner::existing(session)? else { return Ok(()) };
    let runs = runner.journal.runs().map_err(journal_error)?;
    match runs.iter().find(|run| !run.status.is_final() && is_same(run)) {
        Some(run) => Err(unfinished(run)),
        None => Ok(()),
    }
}

fn unfinished(run: &RunRecord) -> CommandError {
    let what = words::what(run);
    let error = CommandError::new(
        Exit::Resumable,
        format!("{what} is under way already and not finished: {} is {}", run.id, words::status(run.status)),
    );
    let error = match run.status {
        RunStatus::Failed => error
            .hint(format!("try what failed again with `windlass retry {}`", run.id))
            .hint(format!("take it back with `windlass rollback {}`", run.id)),
        _ => error.hint(format!("go on with `windlass resume {}`", run.id)),
    };
    error.hint(format!("give it up with `windlass cancel {}`", run.id))
}

/// Reads the plan that was written by `plan --out`, or by `plan --json`.
fn read_plan(arguments: &Arguments, session: &Session, file: &str) -> Result<Plan> {
    let shown = sanitize_line(file);
    if arguments.options.version.request() != Default::default() || !arguments.options.inputs.is_empty() {
        return Err(CommandError::invalid(format!(
            "{shown} is planned already: it takes no version and no inputs"
        ))
        .hint("leave these options away, or plan again with them"));
    }
    let text = files::read(&session.directory.join(file), file, files::LARGEST_FILE)?;
    let refused = |why: String| CommandError::invalid(format!("{shown} is no plan: {}", sanitize_line(&why)));
    let mut value: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| refused(error.to_string()))?;
    let mut stated = None;
    if let Some(inner) = value.get_mut("plan").map(serde_json::Value::take) {
        stated = value.get("digest").and_then(serde_json::Value::as_str).map(str::to_owned);
        value = inner;
    }
    match value.get("schema").and_then(serde_json::Value::as_u64) {
        Some(schema) if schema == u64::from(SCHEMA) => {}
        Some(schema) => {
            return Err(refused(format!("it has schema {schema}, and this Windlass reads {SCHEMA}"))
                .hint("plan again with this Windlass"));
        }
        None => return Err(refused("it states no schema".into())),
    }
    if let Some(path) = unsafe_path(&value) {
        return Err(refused(format!("`{}` is no name of a step or item", sanitize_line(path))));
    }
    let plan: Plan = serde_json::from_value(value).map_err(|error| refused(error.to_string()))?;
    let digest = plan.digest().map_err(|error| refused(error.to_string()))?;
    match stated {
        Some(stated) if stated != digest.0 => {
            Err(refused(format!("its digest is {}, not {stated} as it states", digest.0))
                .hint("it was changed after it was planned: plan again"))
        }
        _ => Ok(plan),
    }
}

/// A name of a step or item that could not be shown as it is: names are printed, typed and compared.
fn unsafe_path(value: &serde_json::Value) -> Option<&str> {
    match value {
        serde_json::Value::Array(items) => items.iter().find_map(unsafe_path),
        serde_json::Value::Object(fields) => fields.iter().find_map(|(key, value)| match value.as_str() {
            Some(path) if key == "path" && sanitize_line(path) != path => Some(path),
            _ => unsafe_path(value),
        }),
        _ => None,
    }
}

/// What preflight found, when it is to be ignored.
fn despite(arguments: &Arguments, plan: &Plan) -> Result<Vec<String>> {
    let found: Vec<String> = plan
        .preflight
        .iter()
        .map(|finding| {
            let place = if finding.place.is_empty() { String::new() } else { format!("{}: ", finding.place) };
            sanitize_line(&format!("{place}{}", finding.message))
        })
        .collect();
    if found.is_empty() || arguments.despite_preflight {
        return Ok(found);
    }
    let mut error = CommandError::invalid(format!(
        "preflight found {}; nothing was started",
        counted(found.len(), "thing that would stop the run", "things that would stop the run")
    ));
    error.hints = found;
    Err(error.hint("mend it, or start all the same with --despite-preflight, which is kept in the record"))
}

fn skipped(plan: &Plan, wanted: &[String]) -> Result<Vec<StepPath>> {
    let state = RunState::default();
    let known: Vec<(StepPath, String)> =
        items::items(plan, &state, false).into_iter().map(|item| (item.path, item.title)).collect();
    wanted.iter().map(|name| items::find(&known, name, "step or item")).collect()
}

fn create(
    runner: &Runner,
    session: &Session,
    plan: &Plan,
    text: String,
    digest: Digest,
    by: &str,
    despite: Vec<String>,
) -> Result<RunId> {
    // Between looking for an unfinished run and creating this one no other process may do the same.
    let _only = only_one(runner)?;
    refuse_unfinished(session, |run| same(run, plan))?;
    let (package, version) = (package(plan).cloned(), version(plan).cloned());
    let nonce: String =
        std::iter::repeat_with(|| fastrand::alphanumeric().to_ascii_lowercase()).take(NONCE).collect();
    let id = RunId::compose(&plan.runbook.name, package.as_deref(), version.as_deref(), &nonce);
    let new = NewRun {
        id: id.clone(),
        plan: text,
        runbook: plan.runbook.name.clone(),
        package,
        version,
        started: RunEvent::Started { plan: digest, by: by.to_owned(), despite },
    };
    runner.journal.create(&new, Timestamp::now()).map_err(journal_error)?;
    Ok(id)
}

fn only_one(runner: &Runner) -> Result<std::fs::File> {
    let path = runner.project.state.join("create.lock");
    let failed =
        |error: std::io::Error| CommandError::failed(format!("{} cannot be locked: {error}", path.display()));
    let file =
        std::fs::File::options().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
    file.lock().map_err(failed)?;
    Ok(file)
}
