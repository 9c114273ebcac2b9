//! What commands that touch runs need: the journal, the runs in it, and what is known of one.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use windlass_core::plan::{Digest, Plan, sha256_hex};
use windlass_core::run::{Recorded, RunEvent, RunId, RunState};
use windlass_core::text::sanitize_line;
use windlass_engine::action::ActionSet;
use windlass_engine::embedded::Settings;
use windlass_engine::interpreter::Direction;
use windlass_engine::journal::{Journal, JournalError, RunRecord, SqliteJournal};
use windlass_engine::logs::LogFolder;

use crate::error::{CommandError, Result};
use crate::exit::Exit;
use crate::project::Project;
use crate::session::Session;
use crate::world::Hooks;

pub mod drive;
pub mod gates;
mod interrupts;
pub mod items;
pub mod keys;
mod news;
pub mod person;
pub mod secrets;

/// The journal of a repository and what is needed to work on its runs.
pub struct Runner {
    /// The project.
    pub project: Project,
    /// The journal.
    pub journal: Arc<dyn Journal>,
    hooks: Hooks,
}

/// All that is known of a run.
#[derive(Debug, Clone)]
pub struct Told {
    /// The run as the journal lists it.
    pub record: RunRecord,
    /// What it executes.
    pub plan: Arc<Plan>,
    /// The digest of that.
    pub digest: Digest,
    /// What happened.
    pub history: Vec<Recorded>,
    /// How it stands.
    pub state: RunState,
}

/// Which run is meant when none is named and several are unfinished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Several {
    /// The newest: looking does no harm.
    Newest,
    /// None: the person must say.
    Ask,
}

impl Runner {
    /// Opens the repository's journal, and makes it when there is none.
    ///
    /// # Errors
    /// Outside a repository, and when the journal cannot be used.
    pub fn open(session: &Session) -> Result<Self> {
        Self::of(Project::open(session)?, session.hooks)
    }

    /// As [`Self::open`], for a project that is known already.
    ///
    /// # Errors
    /// When the journal cannot be used.
    pub fn of(project: Project, hooks: Hooks) -> Result<Self> {
        let opened = SqliteJournal::open(&project.state.join("journal.db")).map_err(journal_error)?;
        let journal: Arc<dyn Journal> = Arc::new(opened);
        let journal = hooks.journal.map_or(journal.clone(), |wrap| wrap(journal));
        Ok(Self { project, journal, hooks })
    }

    /// As [`Self::open`], but nothing is made: `None` when nothing was ever run here.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn existing(session: &Session) -> Result<Option<Self>> {
        let project = Project::open(session)?;
        if project.state.join("journal.db").exists() {
            Self::of(project, session.hooks).map(Some)
        } else {
            Ok(None)
        }
    }

    /// As [`Self::existing`], when there must be a run.
    ///
    /// # Errors
    /// Also when nothing was ever run here.
    pub fn require(session: &Session) -> Result<Self> {
        Self::existing(session)?.ok_or_else(no_runs)
    }

    /// The actions this program can call.
    pub fn actions(&self) -> ActionSet {
        let actions = windlass_actions::all();
        self.hooks.actions.map_or(actions.clone(), |wrap| wrap(actions))
    }

    /// How the engine behaves.
    pub fn settings(&self, settings: Settings) -> Settings {
        self.hooks.settings.map_or(settings.clone(), |change| change(settings))
    }

    /// The logs of a run.
    pub fn logs(&self, run: &RunId) -> LogFolder {
        LogFolder::new(&self.project.state, run)
    }

    /// The run that `named` names or starts the name of; without a name the only unfinished one, else the newest.
    ///
    /// # Errors
    /// When there is none, or more than one is meant.
    pub fn find(&self, named: Option<&str>, several: Several) -> Result<RunRecord> {
        let runs = self.journal.runs().map_err(journal_error)?;
        let ambiguous = |what: &str, runs: &[&RunRecord]| {
            let names: Vec<String> = runs.iter().map(|run| run.id.to_string()).collect();
            CommandError::invalid(format!("{what}: {}", names.join(", "))).hint("name one of them")
        };
        let Some(named) = named else {
            let unfinished: Vec<&RunRecord> = runs.iter().filter(|run| !run.status.is_final()).collect();
            return match (unfinished.as_slice(), runs.first()) {
                ([only], _) => Ok((*only).clone()),
                ([], Some(newest)) => Ok(newest.clone()),
                ([], None) => Err(no_runs()),
                ([newest, ..], _) if several == Several::Newest => Ok((*newest).clone()),
                (many, _) => Err(ambiguous("several runs are unfinished", many)),
            };
        };
        if let Some(run) = runs.iter().find(|run| run.id.0 == named) {
            return Ok(run.clone());
        }
        let matching: Vec<&RunRecord> = runs.iter().filter(|run| run.id.0.starts_with(named)).collect();
        let unfinished: Vec<&&RunRecord> = matching.iter().filter(|run| !run.status.is_final()).collect();
        match (matching.as_slice(), unfinished.as_slice()) {
            ([only], _) => Ok((*only).clone()),
            // Of several attempts at a version, the one that goes on is meant.
            (_, [only]) => Ok((**only).clone()),
            ([], _) => Err(CommandError::invalid(format!("there is no run `{named}`"))
                .hint("`windlass runs --all` lists them")),
            (many, _) => Err(ambiguous(&format!("several runs start with `{named}`"), many)),
        }
    }

    /// The run and the items that `words` name: the first word is a run when there is one of that name, else the run
    /// that is meant without a name.
    ///
    /// # Errors
    /// As [`Self::find`].
    pub fn target(&self, words: &[String], several: Several) -> Result<(Told, Vec<String>)> {
        let Some((first, rest)) = words.split_first() else {
            return Ok((self.told(&self.find(None, several)?.id)?, Vec::new()));
        };
        match self.find(Some(first), several) {
            Ok(run) => Ok((self.told(&run.id)?, rest.to_vec())),
            // Not a run: then it must be an item of the one that is meant.
            Err(error) => {
                let Ok(run) = self.find(None, several) else { return Err(error) };
                let told = self.told(&run.id)?;
                if is_item(&told, first) {
                    return Ok((told, words.to_vec()));
                }
                let word = sanitize_line(first);
                Err(CommandError::invalid(format!("`{word}` is neither a run nor an item of {}", run.id))
                    .hint(format!(
                        "`windlass status {}` lists its items, `windlass runs --all` lists runs",
                        run.id
                    )))
            }
        }
    }

    /// All that is known of a run.
    ///
    /// # Errors
    /// When the journal cannot be read, or holds a plan that this Windlass does not understand.
    pub fn told(&self, run: &RunId) -> Result<Told> {
        let record = self.journal.run(run).map_err(journal_error)?;
        let text = self.journal.plan(run).map_err(journal_error)?;
        let plan: Plan = serde_json::from_str(&text).map_err(|error| {
            CommandError::failed(format!("the plan of {run} is not understood: {error}"))
                .hint("a newer Windlass may have made it: upgrade")
        })?;
        let history = self.journal.history(run, 1).map_err(journal_error)?;
        Ok(Told {
            record,
            plan: Arc::new(plan),
            // The bytes that were approved, whatever this program would write for them today.
            digest: Digest(sha256_hex(text.as_bytes())),
            state: RunState::fold(&history),
            history,
        })
    }
}

impl std::fmt::Debug for Runner {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Runner").field("project", &self.project).finish_non_exhaustive()
    }
}

impl Told {
    /// The run.
    pub fn run(&self) -> &RunId {
        &self.record.id
    }

    /// Which way the run goes: a rollback that was asked for is never turned round.
    pub fn direction(&self) -> Direction {
        let asked = |recorded: &Recorded| matches!(recorded.event, RunEvent::RollbackRequested { .. });
        if self.history.iter().any(asked) { Direction::Rollback } else { Direction::Forward }
    }

    /// The number of its last event.
    pub fn last(&self) -> u64 {
        self.history.last().map_or(0, |recorded| recorded.sequence)
    }

    /// What it was told to ignore when it was started.
    pub fn despite(&self) -> &[String] {
        match self.history.first().map(|recorded| &recorded.event) {
            Some(RunEvent::Started { despite, .. }) => despite,
            _ => &[],
        }
    }
}

fn is_item(told: &Told, word: &str) -> bool {
    let gates = told.state.gates.iter().map(|gate| (gate.path.clone(), gate.question.clone()));
    let known: Vec<_> = items::items(&told.plan, &told.state, true)
        .into_iter()
        .map(|item| (item.path, item.title))
        .chain(gates)
        .collect();
    let end = format!("/{word}");
    known
        .iter()
        .any(|(path, title)| path.0 == word || path.0.ends_with(&end) || title.eq_ignore_ascii_case(word))
}

/// Who works on the run now, as far as can be told from here.
pub fn worker(record: &RunRecord) -> Option<String> {
    let lives = record.lease.is_some_and(|lease| lease > Timestamp::now());
    record.owner.as_ref().filter(|owner| lives && !owner.is_dead()).map(ToString::to_string)
}

/// An error of the journal as a command's error.
pub fn journal_error(error: JournalError) -> CommandError {
    let message = error.to_string();
    match error {
        JournalError::NoSuchRun(_) => CommandError::invalid(message),
        JournalError::Stale { .. } => CommandError::new(Exit::Resumable, message),
        JournalError::Store { ref why, ref place, .. } => {
            let full = why.contains("full");
            let error = CommandError::failed(message);
            if full {
                error.hint("make room on the disk; what was journaled so far is safe")
            } else {
                let folder = Path::new(place).parent().unwrap_or(Path::new("."));
                error.hint(format!("check that {} can be written", folder.display()))
            }
        }
        _ => CommandError::failed(message),
    }
}

fn no_runs() -> CommandError {
    CommandError::invalid("nothing has been run in this repository yet").hint("start with `windlass run`")
}
