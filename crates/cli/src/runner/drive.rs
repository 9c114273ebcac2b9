//! Works on a run until its next stop: takes it, walks it, shows it, and listens to the person at the terminal.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc::unbounded_channel;
use tokio_util::sync::CancellationToken;
use windlass_actions::adapters::ssh;
use windlass_core::plan::StepPath;
use windlass_core::run::{RunEvent, RunId, RunState, RunStatus};
use windlass_core::text::sanitize_line;
use windlass_engine::context::{SystemClock, World};
use windlass_engine::drive::drive as walk;
use windlass_engine::durable::{Stop, Suspension};
use windlass_engine::embedded::{Embedded, Session as Taking, Settings};
use windlass_engine::interpreter::{Direction, Ending};
use windlass_engine::journal::{Batch, JournalError};
use windlass_engine::logs::Tee;
use windlass_engine::owner::Owner;
use windlass_engine::process::stop_leftovers;
use windlass_engine::scratch;

use super::interrupts::{Interrupt, Listeners};
use super::keys::Keys;
use super::news::{Backlog, Events, Lines, News};
use super::{Runner, Told, journal_error, secrets, worker};
use crate::error::{CommandError, Result};
use crate::exit::Exit;
use crate::files;
use crate::report::view::{Asked, View};
use crate::report::words;
use crate::session::Session;

/// How often a live view is drawn.
const FRAME: Duration = Duration::from_millis(125);

/// How a run is worked on.
#[derive(Debug, Clone)]
pub struct How {
    /// Through its steps or its rollback.
    pub direction: Direction,
    /// Stay while people are waited for.
    pub stay: bool,
    /// An item that is made new first, and who asks for it.
    pub reopen: Vec<(StepPath, String)>,
    /// Show the events that were written before, too: whoever reads what follows must see how it began.
    pub from_start: bool,
    /// Who answers gates with keys; nobody can when it is not known.
    pub person: Option<String>,
}

/// Works on the run that `told` tells of; gives the exit code that its end leads to.
///
/// # Errors
/// When another process works on it, a secret is missing, or the journal cannot be used.
pub fn drive(session: &mut Session, runner: &Runner, told: &Told, how: &How) -> Result<Exit> {
    let secrets = secrets::read(&runner.project, &told.plan)?;
    if let (Some(missing), true) = (secrets.missing.first(), told.despite().is_empty()) {
        if how.direction == Direction::Forward {
            let hint = format!("set it, then `windlass resume {}`", told.run());
            return Err(CommandError::invalid(missing.clone()).hint(hint));
        }
        // The way back must not be barred by what only the way there needs.
        session.report.progress(missing);
    }
    stay_at_home(runner, told)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| CommandError::failed(format!("no event loop can be made: {error}")))?;
    let ending = runtime.block_on(work(session, runner, told, how, secrets));
    // Not waiting for threads that may still read a terminal or a pipe.
    runtime.shutdown_background();
    ssh::close(&runner.project.state, told.run());
    conclude(session, runner, told, &ending?)
}

/// A run goes on in the checkout it began in: another one has other files. One that is gone cannot be meant.
fn stay_at_home(runner: &Runner, told: &Told) -> Result<()> {
    let logs = runner.logs(told.run());
    let folder = logs.folder().parent().unwrap_or(logs.folder());
    let (file, here) = (folder.join("workspace"), runner.project.root.to_string_lossy().into_owned());
    match files::read_if_there(&file, "workspace", files::LARGEST_TEXT)? {
        Some(home) if home != here && Path::new(&home).join(".git").exists() => {
            let message = format!("{} works in another checkout: {}", told.run(), sanitize_line(&home));
            let command = format!("-C {}", words::argument(&home));
            Err(CommandError::invalid(message).hint(format!("go there, or say so with {command}")))
        }
        Some(home) if home == here => Ok(()),
        _ => std::fs::create_dir_all(folder)
            .and_then(|()| std::fs::write(&file, here))
            .map_err(|error| CommandError::failed(format!("{} cannot be written: {error}", file.display()))),
    }
}

async fn work(
    session: &mut Session,
    runner: &Runner,
    told: &Told,
    how: &How,
    secrets: secrets::Secrets,
) -> Result<Ending> {
    let (sender, mut news) = unbounded_channel();
    let backlog = Arc::new(Backlog::default());
    let detach = CancellationToken::new();
    let events = Events { sender: sender.clone(), after: if how.from_start { 0 } else { told.last() } };
    let lines = Lines { sender, backlog: backlog.clone() };
    let world = World {
        workspace: runner.project.root.clone(),
        state: runner.project.state.clone(),
        environment: Arc::new(told.plan.environment.clone()),
        release: told.plan.release.clone().map(Arc::new),
        secrets: Arc::new(secrets.values),
        masker: Arc::new(secrets.masker),
        log: Arc::new(Tee(vec![Arc::new(runner.logs(told.run())), Arc::new(lines)])),
        clock: Arc::new(SystemClock),
    };
    let taking = Taking {
        owner: Owner::current(),
        observer: Arc::new(events),
        detach: detach.clone(),
        settings: runner.settings(Settings { leave_for_people: !how.stay, ..Settings::default() }),
    };
    // Listened to before the run is taken, so that no signal can end the process half-way.
    let mut listeners = Listeners::new()?;
    let engine = Embedded::open(runner.journal.clone(), told.run().clone(), runner.actions(), world, taking)
        .map_err(|error| taken(told, error))?;
    // Nobody else owns the run now: what a dead owner left running must not act beside us.
    let (run, state) = (told.run().clone(), runner.project.state.clone());
    let clearing = tokio::task::spawn_blocking(move || {
        let stopped = stop_leftovers(&run);
        scratch::clear(&state, &run);
        stopped
    });
    let stopped = clearing.await.unwrap_or_default();
    if stopped > 0 {
        let what = if stopped == 1 { "process" } else { "processes" };
        session.report.progress(&format!("stopped {stopped} {what} that an interrupted run had left"));
    }
    if let Some(ending) = overtaken(&engine, told) {
        session.report.progress("somebody else worked on the run in the meantime; nothing was done");
        return Ok(ending);
    }
    for (path, by) in &how.reopen {
        if let Err(stop) = engine.reopen(path, by) {
            return Ok(Ending::from(stop));
        }
    }
    let (plan, digest, starter) = (told.plan.clone(), told.digest.clone(), told.state.by.clone());
    let direction = how.direction;
    let mut walking = tokio::spawn(async move { walk(&engine, &plan, &digest, &starter, direction).await });

    let mut view = View::new(session, told, how);
    let mut keys = (view.is_live() && session.is_interactive()).then(Keys::listen).flatten();
    let mut frames = tokio::time::interval(FRAME);
    let mut state = if how.from_start { RunState::default() } else { told.state.clone() };
    let ending = loop {
        tokio::select! {
            biased;
            // Before the news: a program that talks without end must not drown who wants it to stop.
            interrupt = listeners.next() => {
                leave(session, runner, told, &mut view, &detach, how, interrupt);
            }
            Some(key) = pressed(&mut keys) => {
                match view.key(key) {
                    Some(Asked::Interrupt) => {
                        leave(session, runner, told, &mut view, &detach, how, Interrupt::Person);
                    }
                    Some(Asked::Answer(answer)) => {
                        let said = super::gates::say(runner, told, how.person.as_deref(), &answer);
                        view.note(session, &said.unwrap_or_else(|error| error.message));
                    }
                    None => {}
                }
            }
            _ = frames.tick() => view.frame(session),
            ended = &mut walking => break ended,
            Some(message) = news.recv() => show(message, &mut view, session, &mut state, &backlog),
        }
    };
    drop(keys);
    while let Ok(message) = news.try_recv() {
        show(message, &mut view, session, &mut state, &backlog);
    }
    if let Some(missed) = backlog.missed() {
        view.line(session, &missed);
    }
    view.finish(session);
    Ok(ending.unwrap_or_else(|error| {
        Ending::from(Stop::Suspend(Suspension::Trouble(format!("Windlass itself failed: {error}"))))
    }))
}

/// How the run stands when others worked on it after we looked at it: what was asked for was asked of another state.
fn overtaken(engine: &Embedded, told: &Told) -> Option<Ending> {
    let history = match engine.history() {
        Ok(history) => history,
        Err(stop) => return Some(Ending::from(stop)),
    };
    let ours = |event: &RunEvent| matches!(event, RunEvent::Taken { epoch, .. } if *epoch == engine.epoch());
    let others = |event: &RunEvent| {
        matches!(
            event,
            RunEvent::Taken { .. } | RunEvent::Finished { .. } | RunEvent::RollbackRequested { .. }
        )
    };
    let mut since =
        history.iter().filter(|recorded| recorded.sequence > told.last() && !ours(&recorded.event));
    if !since.any(|recorded| others(&recorded.event)) {
        return None;
    }
    let state = RunState::fold(history.iter().filter(|recorded| !ours(&recorded.event)));
    // Left as it was found; one whose process died at work stays resumable.
    let status = if state.status == RunStatus::Running { RunStatus::Suspended } else { state.status };
    let finished = engine.finish(status, state.stopped_at.clone(), state.why.clone());
    Some(match finished {
        Ok(()) => Ending { status, path: state.stopped_at, why: state.why, stop: None },
        Err(stop) => Ending::from(stop),
    })
}

async fn pressed(keys: &mut Option<Keys>) -> Option<super::keys::Key> {
    match keys {
        Some(keys) => keys.pressed.recv().await,
        None => std::future::pending().await,
    }
}

fn show(message: News, view: &mut View, session: &mut Session, state: &mut RunState, backlog: &Backlog) {
    match message {
        News::Event(recorded) => {
            state.apply(&recorded);
            view.event(session, &recorded, state);
        }
        News::Line(text) => {
            backlog.waiting.fetch_sub(1, Ordering::Relaxed);
            view.line(session, &text);
        }
    }
}

/// Leaves at the next safe point; a person who asks again cancels the run.
fn leave(
    session: &mut Session,
    runner: &Runner,
    told: &Told,
    view: &mut View,
    detach: &CancellationToken,
    how: &How,
    interrupt: Interrupt,
) {
    let again = detach.is_cancelled();
    detach.cancel();
    let note = if !again {
        "leaving as soon as what runs now is done; press Ctrl-C again to cancel the run".to_owned()
    } else if interrupt == Interrupt::Person {
        let by = how.person.clone().unwrap_or_else(|| "the person at the terminal".into());
        let event = RunEvent::CancelRequested { by };
        match runner.journal.post(told.run(), None, None, &event, Timestamp::now()) {
            Ok(_) => "cancelling the run: what runs now is stopped".to_owned(),
            Err(error) => error.to_string(),
        }
    } else {
        return;
    };
    view.note(session, &note);
}

/// Waits until nobody works on the run any more, after somebody asked for its end.
///
/// # Errors
/// When the journal cannot be read.
pub fn wait_for_worker(session: &mut Session, runner: &Runner, run: &RunId) -> Result<()> {
    let mut told = false;
    loop {
        let record = runner.journal.run(run).map_err(journal_error)?;
        let Some(worker) = worker(&record) else { return Ok(()) };
        if !std::mem::replace(&mut told, true) {
            session.report.progress(&format!("{worker} works on {run}: waiting for it to stop"));
        }
        std::thread::sleep(FRAME);
    }
}

/// Ends a run that nobody works on as cancelled.
///
/// # Errors
/// When somebody works on it, or the journal cannot be written.
pub fn finish_cancelled(runner: &Runner, run: &RunId, why: String) -> Result<()> {
    let owner = Owner::current();
    let now = Timestamp::now();
    let lease = now + jiff::SignedDuration::from_secs(30);
    let epoch = runner.journal.acquire(run, &owner, now, lease).map_err(journal_error)?;
    stop_leftovers(run);
    scratch::clear(&runner.project.state, run);
    let batch = Batch {
        events: vec![RunEvent::Finished { status: RunStatus::Cancelled, path: None, why: Some(why) }],
        status: Some(RunStatus::Cancelled),
        ..Batch::default()
    };
    runner.journal.commit(run, epoch, &batch, Timestamp::now()).map_err(journal_error)?;
    runner.journal.release(run, epoch).map_err(journal_error)
}

/// Says how the run stands, and gives the exit code.
fn conclude(session: &mut Session, runner: &Runner, told: &Told, ending: &Ending) -> Result<Exit> {
    let told = match runner.told(told.run()) {
        Ok(now) => now,
        Err(error) => {
            // The journal is away: the run stands where it was last written, and can go on from there.
            let why = ending.why.clone().unwrap_or_default();
            return Err(CommandError::new(Exit::Resumable, format!("{}: {why}", error.message))
                .hint(format!("when that is mended: `windlass resume {}`", told.run())));
        }
    };
    match &ending.stop {
        Some(Stop::Suspend(Suspension::Superseded)) => {
            return Err(CommandError::new(
                Exit::Resumable,
                format!("another process took {} over; it goes on there", told.run()),
            )
            .hint(format!("look at it with `windlass status {}`", told.run())));
        }
        // What could not be written is not in the history, so the state there is older than the trouble.
        Some(Stop::Suspend(Suspension::Trouble(why))) => {
            return Err(CommandError::new(Exit::Resumable, why.clone())
                .hint(format!("when that is mended: `windlass resume {}`", told.run())));
        }
        _ => {}
    }
    let exit = words::exit(&told);
    session.report.run_ended(&told, &runner.logs(told.run()), exit);
    Ok(exit)
}

fn taken(told: &Told, error: JournalError) -> CommandError {
    match error {
        JournalError::Owned { owner, lease } => {
            CommandError::failed(format!("{owner} is working on {} already", told.run())).hint(format!(
                "follow it with `windlass logs {run} --follow`, answer it with `windlass approve {run}`, or stop that \
                 process; its claim holds until {lease} and is renewed while it lives",
                run = told.run()
            ))
        }
        // The run is as it was, and can be resumed when there is room or the file can be written again.
        error @ JournalError::Store { .. } => CommandError { exit: Exit::Resumable, ..journal_error(error) },
        error => journal_error(error),
    }
}
