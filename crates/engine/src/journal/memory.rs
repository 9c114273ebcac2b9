//! Placeholder.

/// A journal in memory.
#[derive(Debug)]
pub struct MemoryJournal {}
