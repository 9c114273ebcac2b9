//! What is kept of a history between runs: which commits change the paths of a filter.
//!
//! A commit never changes, so what is kept never gets wrong. A file that is not as it was written is not used, and one
//! that cannot be written is not: the trees tell the same, only later.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use gix::ObjectId;
use gix::hash::Kind;

use crate::nodes::{Flags, Node, Nodes};
use crate::paths::Touch;
use crate::{History, PathFilter, Result};

const MAGIC: &[u8] = b"windlass paths 1\n";
/// The greatest file that is read, in bytes.
const LARGEST: u64 = 64 << 20;
/// So many commits have to be compared for the answers to be worth a file.
const WORTH: usize = 1000;
/// The heads of so many branches are kept.
const TIPS: usize = 8;

const KNOWN: u8 = 1;
const TOUCHES: u8 = 2;

/// What was found out about the commits that the tips contain.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Kept {
    tips: Vec<ObjectId>,
    /// Those that change the paths, sorted. No other commit of the tips does.
    touched: Vec<ObjectId>,
}

/// Which commits of a whole history change the paths of a filter.
pub(crate) struct Changes<'history> {
    history: &'history History,
    filter: &'history PathFilter,
    kept: Kept,
    flags: Flags,
    touch: Option<Touch>,
    compared: usize,
    found: Vec<ObjectId>,
}

impl<'history> Changes<'history> {
    pub fn new(
        history: &'history History,
        filter: &'history PathFilter,
        nodes: &mut Nodes<'history>,
    ) -> Self {
        let kept = file(history, filter).and_then(|path| read(&path, filter, history.hash()));
        let mut changes = Self {
            history,
            filter,
            kept: kept.unwrap_or_default(),
            flags: Flags::default(),
            touch: None,
            compared: 0,
            found: Vec::new(),
        };
        // What was kept is of no use where a commit it knows is gone, such as one that was amended.
        if changes.recall(nodes).is_err() {
            changes.flags = Flags::default();
            changes.kept = Kept::default();
        }
        changes
    }

    fn recall(&mut self, nodes: &mut Nodes<'_>) -> Result<()> {
        let mut open = Vec::new();
        let mut parents = Vec::new();
        for tip in &self.kept.tips {
            let tip = nodes.node(*tip);
            if self.flags.set(tip, KNOWN) {
                open.push(tip);
            }
        }
        while let Some(node) = open.pop() {
            nodes.parents(node, &mut parents)?;
            open.extend(parents.iter().copied().filter(|parent| self.flags.set(*parent, KNOWN)));
        }
        for touched in &self.kept.touched {
            self.flags.set(nodes.node(*touched), TOUCHES);
        }
        Ok(())
    }

    /// Whether the commit has the paths otherwise than every parent of it.
    pub fn has(&mut self, nodes: &mut Nodes<'_>, node: Node) -> Result<bool> {
        if self.flags.has(node, KNOWN) {
            return Ok(self.flags.has(node, TOUCHES));
        }
        let touch =
            self.touch.get_or_insert_with(|| Touch::new(self.history, std::slice::from_ref(self.filter)));
        self.compared += 1;
        let touches = !touch.of(nodes, node)?.is_empty();
        if touches {
            self.found.push(nodes.id(node));
        }
        Ok(touches)
    }

    /// Keeps what was found, when every commit of `head` was asked about; `contains` tells which these are.
    pub fn keep(mut self, nodes: &mut Nodes<'_>, head: Node, contains: impl Fn(Node) -> bool) {
        let Some(path) = file(self.history, self.filter).filter(|_| self.compared >= WORTH) else { return };
        self.kept.tips.retain(|tip| !contains(nodes.node(*tip)));
        self.kept.tips.push(nodes.id(head));
        let before = self.kept.tips.len().saturating_sub(TIPS);
        self.kept.tips.drain(..before);
        self.kept.touched.append(&mut self.found);
        self.kept.touched.sort_unstable();
        self.kept.touched.dedup();
        write(&path, self.filter, self.history.hash(), &self.kept);
    }
}

/// Where it is kept. A shallow clone lacks parents, so that its answers are others.
fn file(history: &History, filter: &PathFilter) -> Option<PathBuf> {
    let folder = history.keeping().filter(|_| !history.is_shallow())?;
    let name = checksum(history.hash(), filter.text().as_bytes())?.to_hex_with_len(16).to_string();
    Some(folder.join(name))
}

fn read(path: &Path, filter: &PathFilter, hash: Kind) -> Option<Kept> {
    let mut text = Vec::new();
    File::open(path).ok()?.take(LARGEST).read_to_end(&mut text).ok()?;
    parse(&text, filter, hash)
}

fn parse(text: &[u8], filter: &PathFilter, hash: Kind) -> Option<Kept> {
    let size = hash.len_in_bytes();
    let (text, sum) = text.split_at_checked(text.len().checked_sub(size)?)?;
    let rest = text.strip_prefix(head(filter).as_slice())?;
    let (tips, rest) = ids(rest, hash)?;
    let (touched, rest) = ids(rest, hash)?;
    let is_whole = rest.is_empty() && checksum(hash, text)?.as_slice() == sum;
    is_whole.then_some(Kept { tips, touched })
}

fn ids(text: &[u8], hash: Kind) -> Option<(Vec<ObjectId>, &[u8])> {
    let (count, rest) = text.split_first_chunk::<4>()?;
    let size = hash.len_in_bytes();
    let (ids, rest) = rest.split_at_checked((u32::from_be_bytes(*count) as usize).checked_mul(size)?)?;
    let ids = ids.chunks_exact(size).map(|id| ObjectId::try_from(id).ok()).collect::<Option<_>>()?;
    Some((ids, rest))
}

fn bytes(filter: &PathFilter, hash: Kind, kept: &Kept) -> Option<Vec<u8>> {
    let mut text = head(filter);
    for ids in [&kept.tips, &kept.touched] {
        text.extend_from_slice(&u32::try_from(ids.len()).ok()?.to_be_bytes());
        ids.iter().for_each(|id| text.extend_from_slice(id.as_slice()));
    }
    text.extend_from_slice(checksum(hash, &text)?.as_slice());
    Some(text)
}

/// Written beside it first, so that whoever reads at the same time reads the old or the new one.
fn write(path: &Path, filter: &PathFilter, hash: Kind, kept: &Kept) -> Option<()> {
    let text = bytes(filter, hash, kept)?;
    let folder = path.parent()?;
    std::fs::create_dir_all(folder).ok()?;
    let mut file = tempfile::NamedTempFile::new_in(folder).ok()?;
    file.write_all(&text).ok()?;
    file.persist(path).ok()?;
    Some(())
}

fn head(filter: &PathFilter) -> Vec<u8> {
    [MAGIC, filter.text().as_bytes(), b"\n"].concat()
}

fn checksum(hash: Kind, text: &[u8]) -> Option<ObjectId> {
    let mut hasher = gix::hash::hasher(hash);
    hasher.update(text);
    hasher.try_finalize().ok()
}

#[cfg(test)]
mod tests {
    use windlass_testkit::repo::RepoBuilder;

    use super::*;

    #[test]
    fn what_is_kept_is_used() {
        let repo = RepoBuilder::new();
        repo.file("a/one", "1");
        repo.commit("feat: one");
        let folder = repo.outside().join("kept");
        let filter = PathFilter::new(["a"]);
        let open = || History::open(repo.path()).unwrap().keep_in(&folder);
        let count = || {
            let history = open();
            let head = history.head().unwrap().unwrap();
            history.releases(head, &[], Some(&filter)).unwrap()[0].ids.len()
        };
        assert_eq!(count(), 1);
        let history = open();
        let head = history.head().unwrap().unwrap().0;
        let path = file(&history, &filter).unwrap();
        write(&path, &filter, Kind::Sha1, &Kept { tips: vec![head], touched: vec![] }).unwrap();
        assert_eq!(count(), 0);
        // For other paths it says nothing.
        std::fs::rename(&path, file(&history, &PathFilter::new(["a/one"])).unwrap()).unwrap();
        assert_eq!(count(), 1);
    }

    #[test]
    fn only_the_very_bytes_are_read_again() {
        let filter = PathFilter::new(["a", "b/c"]);
        for (hash, size) in [(Kind::Sha1, 20), (Kind::Sha256, 32)] {
            let id = |byte: u8| ObjectId::try_from(vec![byte; size].as_slice()).unwrap();
            let kept = Kept { tips: vec![id(1)], touched: vec![id(2), id(3)] };
            let text = bytes(&filter, hash, &kept).unwrap();
            assert_eq!(parse(&text, &filter, hash), Some(kept));
            assert_eq!(parse(&text, &PathFilter::new(["a"]), hash), None);
            for at in 0..text.len() {
                let mut other = text.clone();
                other[at] ^= 0x11;
                assert_eq!(parse(&other, &filter, hash), None, "{at}");
                assert_eq!(parse(&text[..at], &filter, hash), None, "{at}");
            }
        }
    }
}
