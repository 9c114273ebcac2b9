//! Edits of a text: pieces of it replaced, every other byte kept.

/// Bytes `start..end` replaced by `text`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Edit {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) text: String,
}

impl Edit {
    pub(super) fn insert(at: usize, text: String) -> Self {
        Self { start: at, end: at, text }
    }

    pub(super) fn remove(start: usize, end: usize) -> Self {
        Self { start, end, text: String::new() }
    }
}

/// `source` after the edits, which do not overlap. Insertions at one place keep their order.
pub(super) fn apply(source: &str, mut edits: Vec<Edit>) -> String {
    edits.sort_by_key(|edit| edit.start);
    let mut result = String::with_capacity(source.len() + 256);
    let mut copied = 0;
    for edit in edits {
        result.push_str(&source[copied..edit.start]);
        result.push_str(&edit.text);
        copied = edit.end;
    }
    result.push_str(&source[copied..]);
    result
}
