//! The table `windlass_migrations`, in the database itself: what was migrated by which run. It goes back with the
//! database when that is restored, so that it always tells of the database it is in.

use jiff::Timestamp;
use serde::Deserialize;
use windlass_core::rollback::Class;
use windlass_core::text::sanitize_line;
use windlass_engine::action::{ActionError, Result};

use super::tools::Tools;

const TABLE: &str = "set client_min_messages = warning;
create table if not exists windlass_migrations (
    run text not null, step text not null, class text not null, version text, state text not null,
    began timestamptz not null default now(), ended timestamptz,
    schema_before text, schema_after text, backup text, backup_taken text, primary key (run, step));
";
const READ: &str = "select to_regclass('windlass_migrations') is not null as is_there \\gset
\\if :is_there
select row_to_json(known) from windlass_migrations known where run = :'run' and step = :'step';
\\endif
";
const SINCE: &str = "select to_regclass('windlass_migrations') is not null as is_there \\gset
\\if :is_there
select row_to_json(known) from windlass_migrations known
    where state <> 'undone' and began > :'since'::timestamptz and version is distinct from :'version' order by began;
\\endif
";
const BEGIN: &str =
    "insert into windlass_migrations (run, step, class, version, state, schema_before, backup, backup_taken)
    values (:'run', :'step', :'class', nullif(:'version', ''), 'running', nullif(:'before', ''), nullif(:'backup', ''),
        nullif(:'taken', ''))
    on conflict (run, step) do update set state = 'running', began = now(), ended = null;
";
const END: &str = "update windlass_migrations
    set state = :'state', schema_after = nullif(:'after', ''), ended = now()
    where run = :'run' and step = :'step';
";

/// How far a migration came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It was begun, and has not ended.
    Running,
    /// It ended well.
    Done,
    /// It failed.
    Failed,
    /// It was taken back.
    Undone,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Undone => "undone",
        }
    }
}

/// What the table says of one step of a run.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Row {
    /// How far it came.
    pub state: State,
    /// The version it came with.
    pub version: Option<String>,
    /// When it ended.
    pub ended: Option<String>,
    /// The schema's newest migration before.
    pub schema_before: Option<String>,
    /// The same after.
    pub schema_after: Option<String>,
    /// The backup that leads back.
    pub backup: Option<String>,
    /// When that was taken.
    pub backup_taken: Option<String>,
}

/// A migration that is in the database, whole or half.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Applied {
    /// The run that applied it.
    pub run: String,
    /// Its class.
    pub class: Class,
    /// The version it came with.
    pub version: Option<String>,
    /// When it was begun.
    pub began: Timestamp,
    /// The schema's newest migration after it.
    #[serde(rename = "schema_after")]
    pub schema: Option<String>,
    /// The backup that leads back.
    pub backup: Option<String>,
}

/// What was migrated after a moment, oldest first, but for what came with `version`.
///
/// # Errors
/// When the database cannot be asked.
pub async fn since(tools: &Tools<'_>, moment: &str, version: &str) -> Result<Vec<Applied>> {
    let values = [("since", moment), ("version", version)];
    let told = tools.query(&tools.database.name, SINCE, &values).await?;
    let read = |line: &str| {
        serde_json::from_str(line).map_err(|error| {
            let (line, name) = (sanitize_line(line), &tools.database.name);
            let line: String = line.chars().take(200).collect();
            ActionError::Final(format!(
                "the table windlass_migrations in {name} has a row that cannot be understood ({error}): {line}"
            ))
        })
    };
    told.lines().filter(|line| !line.trim().is_empty()).map(read).collect()
}

/// What is written when a migration begins.
#[derive(Debug, Clone, Copy)]
pub struct Begun<'a> {
    /// The class.
    pub class: &'a str,
    /// The version.
    pub version: &'a str,
    /// The schema's newest migration.
    pub before: &'a str,
    /// The backup that leads back, and when it was taken.
    pub backup: (&'a str, &'a str),
}

/// The table, for one step of a run.
#[derive(Debug)]
pub struct Ledger<'a> {
    /// Where the database is.
    pub tools: &'a Tools<'a>,
    /// The run.
    pub run: String,
    /// The step.
    pub step: String,
}

impl Ledger<'_> {
    /// What the table says.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn read(&self) -> Result<Option<Row>> {
        let told = self.query(READ, &[]).await?;
        if told.is_empty() {
            return Ok(None);
        }
        serde_json::from_str(&told).map(Some).map_err(|error| {
            let told: String = sanitize_line(&told).chars().take(200).collect();
            let name = &self.tools.database.name;
            ActionError::Final(format!(
                "the table windlass_migrations in {name} has a row that cannot be understood ({error}): {told}"
            ))
        })
    }

    /// Writes that it is begun.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn begin(&self, begun: Begun<'_>) -> Result<()> {
        let values = [
            ("class", begun.class),
            ("version", begun.version),
            ("before", begun.before),
            ("backup", begun.backup.0),
            ("taken", begun.backup.1),
        ];
        self.query(&format!("{TABLE}{BEGIN}"), &values).await.map(drop)
    }

    /// Writes how it ended.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn end(&self, state: State, after: Option<&str>) -> Result<()> {
        let values = [("state", state.word()), ("after", after.unwrap_or_default())];
        self.query(END, &values).await.map(drop)
    }

    async fn query(&self, sql: &str, more: &[(&str, &str)]) -> Result<String> {
        let mut values = vec![("run", self.run.as_str()), ("step", self.step.as_str())];
        values.extend(more);
        self.tools.query(&self.tools.database.name, sql, &values).await
    }
}
