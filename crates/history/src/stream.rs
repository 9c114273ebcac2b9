//! Reading many commits: decoded by several threads, a bounded number at a time.

use std::collections::VecDeque;

use windlass_core::commit::Commit;

use crate::message::Headers;
use crate::nodes::Nodes;
use crate::packs::Objects;
use crate::paths::Touch;
use crate::range::walk;
use crate::{History, Id, PathFilter, Range, Result};

/// How many commits are in memory at a time.
const CHUNK: usize = 1024;
/// So many commits are worth a thread.
const PER_THREAD: usize = 128;
const THREADS: usize = 8;

/// Commits, read as they are asked for.
pub struct Stream<'history> {
    history: &'history History,
    ids: std::vec::IntoIter<Id>,
    ready: VecDeque<Result<Commit>>,
}

impl History {
    /// The commits of these ids, in their order. Memory does not grow with their number.
    pub fn read(&self, ids: Vec<Id>) -> Stream<'_> {
        Stream { history: self, ids: ids.into_iter(), ready: VecDeque::new() }
    }

    /// One commit.
    ///
    /// # Errors
    /// When it is missing, or is no commit.
    pub fn commit(&self, id: Id) -> Result<Commit> {
        decode(self, &mut self.objects(), id, &mut Vec::new())
    }

    /// The commits of a range, newest first, each with the indexes of the packages it changes. One walk for all.
    ///
    /// # Errors
    /// As [`Self::commits`].
    pub fn commits_by_package(&self, range: &Range, packages: &[PathFilter]) -> Result<CommitsByPackage<'_>> {
        let mut nodes = Nodes::new(self);
        let mut touch = Touch::new(self, packages);
        let found = walk(&mut nodes, range, range.most)?;
        let mut ids = Vec::with_capacity(found.len());
        let mut touched = Vec::with_capacity(found.len());
        for node in found {
            touched.push(touch.of(&mut nodes, node)?);
            ids.push(Id(nodes.id(node)));
        }
        Ok(CommitsByPackage { commits: self.read(ids), touched: touched.into_iter() })
    }
}

impl Iterator for Stream<'_> {
    type Item = Result<Commit>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ready.is_empty() {
            let ids: Vec<Id> = self.ids.by_ref().take(CHUNK).collect();
            self.ready = decode_all(self.history, &ids);
        }
        self.ready.pop_front()
    }
}

/// What [`History::commits_by_package`] gives.
pub struct CommitsByPackage<'history> {
    commits: Stream<'history>,
    touched: std::vec::IntoIter<Vec<usize>>,
}

impl Iterator for CommitsByPackage<'_> {
    type Item = Result<(Commit, Vec<usize>)>;

    fn next(&mut self) -> Option<Self::Item> {
        let commit = self.commits.next()?;
        let touched = self.touched.next()?;
        Some(commit.map(|commit| (commit, touched)))
    }
}

fn decode_all(history: &History, ids: &[Id]) -> VecDeque<Result<Commit>> {
    let threads = match ids.len() / PER_THREAD {
        0 | 1 => 1,
        // Asking for the cores takes as long as reading some commits.
        wanted => std::thread::available_parallelism().map_or(1, usize::from).min(THREADS).min(wanted),
    };
    let one = |ids: &[Id]| {
        let mut objects = history.objects();
        let mut buffer = Vec::new();
        ids.iter().map(|id| decode(history, &mut objects, *id, &mut buffer)).collect::<Vec<_>>()
    };
    if threads == 1 {
        return one(ids).into();
    }
    std::thread::scope(|scope| {
        let size = ids.len().div_ceil(threads);
        let handles: Vec<_> = ids.chunks(size).map(|ids| scope.spawn(move || one(ids))).collect();
        let parts = handles.into_iter().map(|handle| match handle.join() {
            Ok(part) => part,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        parts.flatten().collect()
    })
}

fn decode(history: &History, objects: &mut Objects<'_>, id: Id, buffer: &mut Vec<u8>) -> Result<Commit> {
    if let Some(kept) = history.recent.get(&id.0) {
        return Ok(Headers::parse(&kept).commit(id.0));
    }
    match history.find(objects, id.0, "commit", buffer)? {
        gix::objs::Kind::Commit => Ok(Headers::parse(buffer).commit(id.0)),
        _ => Err(crate::HistoryError::OtherKind { kind: "commit", id }),
    }
}
