//! The journal in SQLite: WAL, `synchronous=FULL`, every write one immediate transaction.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};
use serde::Serialize;
use serde::de::DeserializeOwned;
use windlass_core::plan::StepPath;
use windlass_core::run::{Recorded, RunEvent, RunId, RunStatus, chain};

use super::{
    Batch, Committed, Entry, Journal, JournalError, LockAnswer, NewRun, Received, RunRecord, loses_lock,
    may_take,
};
use crate::durable::Signal;
use crate::owner::Owner;

/// The format this program writes, kept in SQLite's `user_version`.
const FORMAT: i64 = 2;

const SCHEMA: &str = "
CREATE TABLE runs (
    id TEXT PRIMARY KEY, runbook TEXT NOT NULL, package TEXT, version TEXT, plan TEXT NOT NULL, status TEXT NOT NULL,
    owner TEXT, lease TEXT, epoch INTEGER NOT NULL, created TEXT NOT NULL
) STRICT;
CREATE TABLE entries (
    run TEXT NOT NULL, key TEXT NOT NULL, state TEXT NOT NULL, attempt INTEGER NOT NULL, epoch INTEGER NOT NULL,
    at TEXT NOT NULL, PRIMARY KEY (run, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE events (
    run TEXT NOT NULL, sequence INTEGER NOT NULL, at TEXT NOT NULL, event TEXT NOT NULL, hash TEXT NOT NULL,
    PRIMARY KEY (run, sequence)
) STRICT, WITHOUT ROWID;
CREATE TABLE signals (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, run TEXT NOT NULL, key TEXT NOT NULL, signal TEXT NOT NULL,
    at TEXT NOT NULL
) STRICT;
CREATE INDEX signals_by_key ON signals (run, key, sequence);
CREATE TABLE locks (name TEXT PRIMARY KEY, run TEXT, token INTEGER NOT NULL, at TEXT NOT NULL) STRICT, WITHOUT ROWID;
";

/// From the first format to the second, which knows packages.
const TO_SECOND: &str = "ALTER TABLE runs ADD COLUMN package TEXT;";

/// A journal in an SQLite file.
#[derive(Debug)]
pub struct SqliteJournal {
    connection: Mutex<Connection>,
    path: PathBuf,
    /// SQLite's own counter does not see the writes of this very connection.
    own_writes: AtomicU64,
}

/// How long another process is waited for that is writing.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

impl SqliteJournal {
    /// Opens the journal at `path`, and makes it when there is none.
    ///
    /// # Errors
    /// [`JournalError::Newer`] for a journal of a newer Windlass; the store's otherwise.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|error| broken(path, "written", &error))?;
        }
        let connection = Connection::open(path).map_err(|error| broken(path, "read", &error))?;
        let journal =
            Self { connection: Mutex::new(connection), path: path.to_owned(), own_writes: AtomicU64::new(0) };
        journal.prepare()?;
        Ok(journal)
    }

    fn prepare(&self) -> Result<(), JournalError> {
        let mut connection = self.connection();
        connection.busy_timeout(PATIENCE).map_err(|error| self.cannot("read", &error))?;
        connection.set_prepared_statement_cache_capacity(32);
        let found: i64 = connection
            .query_row("PRAGMA user_version", [], |row| row.get(0))
            .map_err(|error| self.cannot("read", &error))?;
        if found > FORMAT {
            return Err(JournalError::Newer { found, known: FORMAT });
        }
        write_ahead(&connection)
            .and_then(|()| connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"))
            .map_err(|error| self.cannot("written", &error))?;
        if found < FORMAT {
            let transaction = connection
                .transaction_with_behavior(TransactionBehavior::Immediate)
                .map_err(|error| self.cannot("written", &error))?;
            // Two processes may have come here at once; the second one finds the work done.
            let found: i64 = transaction
                .query_row("PRAGMA user_version", [], |row| row.get(0))
                .map_err(|error| self.cannot("read", &error))?;
            let changes = match found {
                0 => SCHEMA,
                1 => TO_SECOND,
                _ => "",
            };
            transaction
                .execute_batch(&format!("{changes} PRAGMA user_version = {FORMAT};"))
                .map_err(|error| self.cannot("written", &error))?;
            transaction.commit().map_err(|error| self.cannot("written", &error))?;
        }
        Ok(())
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cannot(&self, doing: &'static str, why: &dyn std::fmt::Display) -> JournalError {
        broken(&self.path, doing, why)
    }

    fn read<T>(&self, work: impl FnOnce(&Connection) -> Result<T, Trouble>) -> Result<T, JournalError> {
        work(&self.connection()).map_err(|trouble| self.told(trouble, "read"))
    }

    fn write<T>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T, Trouble>) -> Result<T, JournalError> {
        let mut connection = self.connection();
        let result = (|| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let value = work(&transaction)?;
            transaction.commit()?;
            Ok(value)
        })();
        self.own_writes.fetch_add(1, Ordering::Relaxed);
        result.map_err(|trouble| self.told(trouble, "written"))
    }

    fn told(&self, trouble: Trouble, doing: &'static str) -> JournalError {
        match trouble {
            Trouble::Journal(error) => error,
            Trouble::Store(why) => self.cannot(doing, &why),
        }
    }
}

impl Journal for SqliteJournal {
    fn create(&self, run: &NewRun, at: Timestamp) -> Result<(), JournalError> {
        self.write(|transaction| {
            let added = transaction.execute(
                "INSERT INTO runs (id, runbook, package, version, plan, status, epoch, created)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, ?7) ON CONFLICT DO NOTHING",
                params![
                    run.id.0,
                    run.runbook,
                    run.package,
                    run.version,
                    run.plan,
                    json(&RunStatus::Suspended)?,
                    at.to_string()
                ],
            )?;
            if added == 0 {
                return Err(JournalError::Exists(run.id.clone()).into());
            }
            append(transaction, &run.id, std::slice::from_ref(&run.started), at)?;
            Ok(())
        })
    }

    fn plan(&self, run: &RunId) -> Result<String, JournalError> {
        self.read(|connection| {
            connection
                .query_row("SELECT plan FROM runs WHERE id = ?1", [&run.0], |row| row.get(0))
                .optional()?
                .ok_or_else(|| JournalError::NoSuchRun(run.clone()).into())
        })
    }

    fn run(&self, run: &RunId) -> Result<RunRecord, JournalError> {
        self.read(|connection| record(connection, run))
    }

    fn runs(&self) -> Result<Vec<RunRecord>, JournalError> {
        self.read(|connection| {
            let mut statement = connection.prepare(&format!("{RUN} ORDER BY created DESC, id"))?;
            let rows = statement.query_map([], raw_record)?;
            rows.map(|row| told_record(row?)).collect()
        })
    }

    fn acquire(
        &self,
        run: &RunId,
        owner: &Owner,
        now: Timestamp,
        lease: Timestamp,
    ) -> Result<u64, JournalError> {
        self.write(|transaction| {
            let known = record(transaction, run)?;
            may_take(&known, owner, now)?;
            let epoch = known.epoch + 1;
            transaction.execute(
                "UPDATE runs SET owner = ?2, lease = ?3, epoch = ?4, status = ?5 WHERE id = ?1",
                params![run.0, json(owner)?, lease.to_string(), number(epoch)?, json(&RunStatus::Running)?],
            )?;
            append(transaction, run, &[RunEvent::Taken { owner: owner.to_string(), epoch }], now)?;
            Ok(epoch)
        })
    }

    fn renew(&self, run: &RunId, epoch: u64, lease: Timestamp) -> Result<(), JournalError> {
        self.write(|transaction| {
            fence(transaction, run, epoch)?;
            transaction
                .execute("UPDATE runs SET lease = ?2 WHERE id = ?1", params![run.0, lease.to_string()])?;
            Ok(())
        })
    }

    fn release(&self, run: &RunId, epoch: u64) -> Result<(), JournalError> {
        self.write(|transaction| {
            transaction.execute(
                "UPDATE runs SET owner = NULL, lease = NULL WHERE id = ?1 AND epoch = ?2",
                params![run.0, number(epoch)?],
            )?;
            Ok(())
        })
    }

    fn entries(&self, run: &RunId) -> Result<Vec<Entry>, JournalError> {
        self.read(|connection| {
            let mut statement = connection
                .prepare_cached("SELECT key, state, attempt, epoch, at FROM entries WHERE run = ?1")?;
            let rows = statement.query_map([&run.0], raw_entry)?;
            rows.map(|row| told_entry(row?)).collect()
        })
    }

    fn entry(&self, run: &RunId, key: &StepPath) -> Result<Option<Entry>, JournalError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT key, state, attempt, epoch, at FROM entries WHERE run = ?1 AND key = ?2",
            )?;
            statement.query_row([&run.0, &key.0], raw_entry).optional()?.map(told_entry).transpose()
        })
    }

    fn commit(
        &self,
        run: &RunId,
        epoch: u64,
        batch: &Batch,
        at: Timestamp,
    ) -> Result<Committed, JournalError> {
        self.write(|transaction| {
            fence(transaction, run, epoch)?;
            if let Some((key, after)) = &batch.unless_signal {
                let waiting: Option<i64> = transaction
                    .prepare_cached("SELECT sequence FROM signals WHERE run = ?1 AND key = ?2 AND sequence > ?3")?
                    .query_row(params![run.0, key.0, number(*after)?], |row| row.get(0))
                    .optional()?;
                if waiting.is_some() {
                    return Ok(Committed::Preempted);
                }
            }
            for entry in &batch.entries {
                transaction
                    .prepare_cached(
                        "INSERT INTO entries (run, key, state, attempt, epoch, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                         ON CONFLICT (run, key) DO UPDATE SET state = excluded.state, attempt = excluded.attempt,
                         epoch = excluded.epoch, at = excluded.at",
                    )?
                    .execute(params![
                        run.0,
                        entry.key.0,
                        json(&entry.state)?,
                        entry.attempt,
                        number(epoch)?,
                        at.to_string()
                    ])?;
            }
            if let Some(status) = batch.status {
                transaction
                    .prepare_cached("UPDATE runs SET status = ?2 WHERE id = ?1")?
                    .execute(params![run.0, json(&status)?])?;
            }
            Ok(Committed::Written(append(transaction, run, &batch.events, at)?))
        })
    }

    fn post(
        &self,
        run: &RunId,
        key: Option<&StepPath>,
        signal: Option<&Signal>,
        event: &RunEvent,
        at: Timestamp,
    ) -> Result<Recorded, JournalError> {
        self.write(|transaction| {
            record(transaction, run)?;
            if let (Some(key), Some(signal)) = (key, signal) {
                transaction.execute(
                    "INSERT INTO signals (run, key, signal, at) VALUES (?1, ?2, ?3, ?4)",
                    params![run.0, key.0, json(signal)?, at.to_string()],
                )?;
            }
            append(transaction, run, std::slice::from_ref(event), at)?
                .pop()
                .ok_or_else(|| Trouble::Store("nothing was written".into()))
        })
    }

    fn signals(&self, run: &RunId, key: &StepPath, after: u64) -> Result<Vec<Received>, JournalError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT sequence, signal, at FROM signals WHERE run = ?1 AND key = ?2 AND sequence > ?3 ORDER BY sequence",
            )?;
            let rows = statement.query_map(params![run.0, key.0, number(after)?], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?))
            })?;
            rows.map(|row| {
                let (sequence, signal, at) = row?;
                Ok(Received { sequence: count(sequence)?, signal: from_json(&signal)?, at: time(&at)? })
            })
            .collect()
        })
    }

    fn history(&self, run: &RunId, from: u64) -> Result<Vec<Recorded>, JournalError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT sequence, at, event, hash FROM events WHERE run = ?1 AND sequence >= ?2 ORDER BY sequence",
            )?;
            let rows = statement.query_map(params![run.0, number(from)?], |row| {
                Ok((
                    row.get::<_, i64>(0)?,
                    row.get::<_, String>(1)?,
                    row.get::<_, String>(2)?,
                    row.get::<_, String>(3)?,
                ))
            })?;
            rows.map(|row| {
                let (sequence, at, event, hash) = row?;
                Ok(Recorded { sequence: count(sequence)?, at: time(&at)?, event: from_json(&event)?, hash })
            })
            .collect()
        })
    }

    fn lock(&self, name: &str, run: &RunId, epoch: u64, at: Timestamp) -> Result<LockAnswer, JournalError> {
        self.write(|transaction| {
            fence(transaction, run, epoch)?;
            let known: Option<(Option<String>, i64)> = transaction
                .query_row("SELECT run, token FROM locks WHERE name = ?1", [name], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            let last = known.as_ref().map_or(0, |(_, token)| *token);
            if let Some((Some(holder), token)) = known {
                if holder == run.0 {
                    return Ok(LockAnswer::Held(count(token)?));
                }
                let holder = record(transaction, &RunId(holder))?;
                if !loses_lock(holder.status) {
                    return Ok(LockAnswer::Busy(holder.id));
                }
            }
            transaction.execute(
                "INSERT INTO locks (name, run, token, at) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (name) DO UPDATE SET run = excluded.run, token = excluded.token, at = excluded.at",
                params![name, run.0, last + 1, at.to_string()],
            )?;
            Ok(LockAnswer::Held(count(last + 1)?))
        })
    }

    fn unlock(&self, name: &str, run: &RunId, token: u64) -> Result<(), JournalError> {
        self.write(|transaction| {
            transaction.execute(
                "UPDATE locks SET run = NULL WHERE name = ?1 AND run = ?2 AND token = ?3",
                params![name, run.0, number(token)?],
            )?;
            Ok(())
        })
    }

    fn generation(&self) -> Result<u64, JournalError> {
        let others: i64 = self.read(|connection| {
            Ok(connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?)
        })?;
        Ok(u64::try_from(others).unwrap_or_default().wrapping_mul(1 << 32)
            + self.own_writes.load(Ordering::Relaxed))
    }
}

/// What can go wrong within a statement.
enum Trouble {
    Journal(JournalError),
    Store(String),
}

impl From<JournalError> for Trouble {
    fn from(error: JournalError) -> Self {
        Self::Journal(error)
    }
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.to_string())
    }
}

/// Switches a new journal to write-ahead logging. SQLite's own patience does not cover this switch: where two processes
/// make the journal at once, one of them is told "locked" at once, and has only to ask again.
fn write_ahead(connection: &Connection) -> rusqlite::Result<()> {
    let begin = std::time::Instant::now();
    loop {
        match connection.execute_batch("PRAGMA journal_mode = WAL;") {
            Err(error)
                if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy)
                    && begin.elapsed() < PATIENCE =>
            {
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
            switched => return switched,
        }
    }
}

fn broken(path: &Path, doing: &'static str, why: &dyn std::fmt::Display) -> JournalError {
    JournalError::Store { place: path.display().to_string(), doing, why: why.to_string() }
}

const RUN: &str = "SELECT id, runbook, package, version, status, owner, lease, epoch, created FROM runs";

type RawRecord =
    (String, String, Option<String>, Option<String>, String, Option<String>, Option<String>, i64, String);

fn raw_record(row: &Row<'_>) -> rusqlite::Result<RawRecord> {
    Ok((
        row.get(0)?,
        row.get(1)?,
        row.get(2)?,
        row.get(3)?,
        row.get(4)?,
        row.get(5)?,
        row.get(6)?,
        row.get(7)?,
        row.get(8)?,
    ))
}

fn told_record(raw: RawRecord) -> Result<RunRecord, Trouble> {
    let (id, runbook, package, version, status, owner, lease, epoch, created) = raw;
    Ok(RunRecord {
        id: RunId(id),
        runbook,
        package,
        version,
        status: from_json(&status)?,
        owner: owner.map(|owner| from_json(&owner)).transpose()?,
        lease: lease.map(|lease| time(&lease)).transpose()?,
        epoch: count(epoch)?,
        created: time(&created)?,
    })
}

fn record(connection: &Connection, run: &RunId) -> Result<RunRecord, Trouble> {
    let raw = connection
        .prepare_cached(&format!("{RUN} WHERE id = ?1"))?
        .query_row([&run.0], raw_record)
        .optional()?
        .ok_or_else(|| JournalError::NoSuchRun(run.clone()))?;
    told_record(raw)
}

type RawEntry = (String, String, u32, i64, String);

fn raw_entry(row: &Row<'_>) -> rusqlite::Result<RawEntry> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
}

fn told_entry((key, state, attempt, epoch, at): RawEntry) -> Result<Entry, Trouble> {
    Ok(Entry { key: StepPath(key), state: from_json(&state)?, attempt, epoch: count(epoch)?, at: time(&at)? })
}

/// Refuses a writer that has been overtaken.
fn fence(transaction: &Transaction<'_>, run: &RunId, ours: u64) -> Result<(), Trouble> {
    let current: i64 = transaction
        .prepare_cached("SELECT epoch FROM runs WHERE id = ?1")?
        .query_row([&run.0], |row| row.get(0))
        .optional()?
        .ok_or_else(|| JournalError::NoSuchRun(run.clone()))?;
    let current = count(current)?;
    if current == ours { Ok(()) } else { Err(JournalError::Stale { ours, current }.into()) }
}

fn append(
    transaction: &Transaction<'_>,
    run: &RunId,
    events: &[RunEvent],
    at: Timestamp,
) -> Result<Vec<Recorded>, Trouble> {
    if events.is_empty() {
        return Ok(Vec::new());
    }
    let last: Option<(i64, String)> = transaction
        .prepare_cached("SELECT sequence, hash FROM events WHERE run = ?1 ORDER BY sequence DESC LIMIT 1")?
        .query_row([&run.0], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (mut sequence, mut previous) = match last {
        Some((sequence, hash)) => (count(sequence)?, hash),
        None => (0, String::new()),
    };
    let mut written = Vec::with_capacity(events.len());
    let mut statement = transaction
        .prepare_cached("INSERT INTO events (run, sequence, at, event, hash) VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for event in events {
        sequence += 1;
        let hash =
            chain(run, sequence, at, event, &previous).map_err(|error| Trouble::Store(error.to_string()))?;
        statement.execute(params![run.0, number(sequence)?, at.to_string(), json(event)?, hash])?;
        previous.clone_from(&hash);
        written.push(Recorded { sequence, at, event: event.clone(), hash });
    }
    Ok(written)
}

fn json<T: Serialize>(value: &T) -> Result<String, Trouble> {
    serde_json::to_string(value).map_err(|error| Trouble::Store(error.to_string()))
}

fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, Trouble> {
    serde_json::from_str(text)
        .map_err(|error| Trouble::Store(format!("what it holds is not understood: {error}")))
}

fn time(text: &str) -> Result<Timestamp, Trouble> {
    text.parse().map_err(|error| Trouble::Store(format!("what it holds is not understood: {error}")))
}

fn number(value: u64) -> Result<i64, Trouble> {
    i64::try_from(value).map_err(|error| Trouble::Store(error.to_string()))
}

fn count(value: i64) -> Result<u64, Trouble> {
    u64::try_from(value).map_err(|error| Trouble::Store(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqlite_is_new_enough_to_be_trusted() {
        // Before 3.51.3 a reset of the WAL could lose a committed write.
        assert!(rusqlite::version_number() >= 3_051_003, "{}", rusqlite::version());
    }

    #[test]
    fn a_newer_journal_is_refused_untouched() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        Connection::open(&path).unwrap().execute_batch("PRAGMA user_version = 99").unwrap();
        let before = std::fs::read(&path).unwrap();
        let error = SqliteJournal::open(&path).unwrap_err();
        assert_eq!(error, JournalError::Newer { found: 99, known: FORMAT });
        assert!(error.to_string().contains("upgrade Windlass"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }

    #[test]
    fn a_journal_of_the_first_format_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        let first = SCHEMA.replace(" package TEXT,", "");
        let run = "INSERT INTO runs (id, runbook, version, plan, status, epoch, created) VALUES \
                   ('release-1.0.0-ab', 'release', '1.0.0', '{}', '\"succeeded\"', 0, '2026-01-01T00:00:00Z');";
        let made = Connection::open(&path).unwrap();
        made.execute_batch(&format!("{first} {run} PRAGMA user_version = 1;")).unwrap();
        drop(made);
        for _ in 0..2 {
            let runs = SqliteJournal::open(&path).unwrap().runs().unwrap();
            let told: Vec<_> =
                runs.iter().map(|run| (&*run.id.0, &run.package, run.version.as_deref())).collect();
            assert_eq!(told, [("release-1.0.0-ab", &None, Some("1.0.0"))]);
        }
    }

    #[test]
    fn a_file_that_is_no_journal_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        std::fs::write(&path, "this is no database, it only looks long enough to be one".repeat(100))
            .unwrap();
        let error = SqliteJournal::open(&path).unwrap_err().to_string();
        assert!(error.contains("journal.db cannot be"), "{error}");
    }
}
