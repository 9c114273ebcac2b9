//! Commits that a walk has read already, so that their messages need not be read again.

use std::sync::{Arc, Mutex, PoisonError};

use gix::ObjectId;
use gix::hashtable::HashMap;

/// How many bytes of commits are kept.
const MOST: usize = 12 << 20;
/// What a commit costs besides its text, about.
const EACH: usize = 80;

/// Commits without what nobody asks for, the first to come.
#[derive(Default)]
pub(crate) struct Recent {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    commits: HashMap<ObjectId, Arc<[u8]>>,
    size: usize,
}

impl Recent {
    pub fn get(&self, id: &ObjectId) -> Option<Arc<[u8]>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).commits.get(id).cloned()
    }

    pub fn keep(&self, id: ObjectId, commit: &[u8]) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let size = commit.len() + EACH;
        if kept.size + size <= MOST && kept.commits.insert(id, commit.into()).is_none() {
            kept.size += size;
        }
    }
}
