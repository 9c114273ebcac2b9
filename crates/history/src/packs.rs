//! Objects, read from packs that are opened anew before what is mapped of them takes much memory.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use gix::ObjectId;
use gix::objs::Kind;
use gix::odb::pack::cache::lru::MemoryCappedHashmap;

use crate::error::CHECK;
use crate::{HistoryError, Result};

/// How many KiB of packs and their indexes may be in memory before they are opened anew.
const MAPPED: u64 = 32 << 10;
/// After so many objects it is looked how much that is. A page read brings up to 15 around it.
const LOOK: usize = 128;
/// So many objects are worth opening the packs anew.
const LEAST: usize = 512;
/// Where the system does not tell what is mapped, the packs are opened anew after so many.
const MOST: usize = 16384;
/// How many bytes of objects are kept: packs have the difference of one object to another.
const BASES: usize = 4 << 20;

/// The packs of a repository, opened once for all that read at a time.
pub(crate) struct Packs {
    folder: PathBuf,
    hash: gix::hash::Kind,
    /// How many KiB of files were in memory before, such as the program.
    before: Option<u64>,
    now: Mutex<Option<Opened>>,
}

struct Opened {
    handle: gix::odb::Handle,
    /// Which opening this is.
    number: usize,
    reads: usize,
    /// After so many reads it is looked what is mapped.
    look: usize,
}

/// A reader of objects.
pub(crate) struct Objects<'packs> {
    packs: &'packs Packs,
    /// And the number of its opening.
    handle: Option<(gix::odb::Handle, usize)>,
    /// How many objects were read that the packs do not know of.
    reads: usize,
}

impl Packs {
    /// The packs in this `objects` folder, not opened yet.
    pub fn new(folder: &Path, hash: gix::hash::Kind) -> Self {
        Self { folder: folder.to_owned(), hash, before: mapped(), now: Mutex::default() }
    }

    /// Of which kind the ids are.
    pub fn hash(&self) -> gix::hash::Kind {
        self.hash
    }

    pub fn objects(&self) -> Objects<'_> {
        Objects { packs: self, handle: None, reads: 0 }
    }

    /// The packs as they are open, when that is another opening than this; so many objects were read meanwhile.
    fn handle(&self, number: Option<usize>, reads: usize) -> Result<Option<(gix::odb::Handle, usize)>> {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        let next = match &mut *now {
            Some(opened) => {
                opened.reads += reads;
                opened.is_full(self.before).then_some(opened.number + 1)
            }
            None => Some(0),
        };
        if let Some(next) = next {
            *now = Some(self.open(next)?);
        }
        let other = now.as_ref().filter(|opened| Some(opened.number) != number);
        Ok(other.map(|opened| (opened.handle.clone(), opened.number)))
    }

    fn open(&self, number: usize) -> Result<Opened> {
        let mut handle = gix::odb::at(self.folder.clone(), self.hash).map_err(|error| {
            HistoryError::damaged(format!("the folder `{}`", self.folder.display()), error, CHECK)
        })?;
        handle.refresh_never();
        handle.set_pack_cache(|| Box::new(MemoryCappedHashmap::new(BASES)));
        Ok(Opened { handle, number, reads: 0, look: LEAST })
    }
}

impl Opened {
    fn is_full(&mut self, before: Option<u64>) -> bool {
        if self.reads < self.look {
            return false;
        }
        self.look = self.reads + LOOK;
        match before.zip(mapped()) {
            Some((before, now)) => now > before + MAPPED,
            None => self.reads >= MOST,
        }
    }
}

impl Objects<'_> {
    /// Reads an object into `buffer`; nothing when it is not there.
    pub fn find(&mut self, id: ObjectId, buffer: &mut Vec<u8>) -> Result<Option<Kind>> {
        use gix::objs::Find as _;
        let found = self.handle()?.try_find(&id, buffer);
        found.map(|found| found.map(|data| data.kind)).map_err(|error| damaged(id, error))
    }

    /// The kind of an object; nothing when it is not there.
    pub fn kind(&mut self, id: ObjectId) -> Result<Option<Kind>> {
        use gix::prelude::Header as _;
        let header = self.handle()?.try_header(&id);
        header.map(|header| header.map(|header| header.kind())).map_err(|error| damaged(id, error))
    }

    fn handle(&mut self) -> Result<&gix::odb::Handle> {
        if self.handle.is_none() || self.reads >= LOOK {
            let number = self.handle.as_ref().map(|(_, number)| *number);
            if let Some(other) = self.packs.handle(number, std::mem::take(&mut self.reads))? {
                self.handle = Some(other);
            }
        }
        self.reads += 1;
        match &self.handle {
            Some((handle, _)) => Ok(handle),
            None => Err(HistoryError::damaged("the packs", "they are not open", CHECK)),
        }
    }
}

impl Drop for Objects<'_> {
    fn drop(&mut self) {
        let mut now = self.packs.now.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(opened) = &mut *now {
            opened.reads += self.reads;
        }
    }
}

fn damaged(id: ObjectId, error: impl std::fmt::Display) -> HistoryError {
    HistoryError::damaged(format!("the object {id}"), error, CHECK)
}

/// How many KiB of files this process has in memory: programs and whatever is mapped. Linux tells.
fn mapped() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssFile:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}
