//! The journal in SQLite.

/// A journal in an SQLite file.
#[derive(Debug)]
pub struct SqliteJournal {}
