//! Changed-path Bloom filters of the commit-graph: whether a commit may have changed a path, without reading a tree.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use crate::nodes::Node;

/// More than this is not read: the trees tell as well.
const MOST: u64 = 64 << 20;
const SEEDS: [u32; 2] = [0x293a_e76f, 0x7e64_6e2c];

/// The filters of every file of the commit-graph that has them.
pub(crate) struct Bloom {
    parts: Vec<Part>,
}

struct Part {
    /// The number of the file's first commit.
    first: u32,
    count: u32,
    filters: Option<Filters>,
}

struct Filters {
    /// Where each commit's filter ends, as big-endian numbers of 32 bits.
    ends: Vec<u8>,
    data: Vec<u8>,
    /// How the paths were hashed: the first version of git is wrong beyond ASCII.
    version: u32,
    hashes: u32,
}

/// A path as the filters know it.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    hashes: [u32; 2],
    is_ascii: bool,
}

impl Key {
    pub fn of(path: &str) -> Self {
        Self { hashes: SEEDS.map(|seed| murmur3(seed, path.as_bytes())), is_ascii: path.is_ascii() }
    }
}

impl Bloom {
    /// The filters of the graph in this `objects/info` folder, if it has any that can be read.
    pub fn open(info: &Path, commits: u32) -> Option<Self> {
        let mut parts = Vec::new();
        let mut first = 0;
        for path in files(info) {
            let (count, filters) = read(&path)?;
            parts.push(Part { first, count, filters });
            first += count;
        }
        let is_of_use = first == commits && parts.iter().any(|part| part.filters.is_some());
        is_of_use.then_some(Self { parts })
    }

    /// Whether the commit may differ from its first parent at this path. Only "no" is certain.
    pub fn may_change(&self, node: Node, path: &Key) -> bool {
        let part = self.parts.iter().find(|part| (part.first..part.first + part.count).contains(&node));
        let Some((part, filters)) = part.and_then(|part| Some((part, part.filters.as_ref()?))) else {
            return true;
        };
        match filters.of((node - part.first) as usize) {
            Some(filter) => !path.is_ascii && filters.version == 1 || has(filter, path, filters.hashes),
            None => true,
        }
    }
}

impl Filters {
    fn end(&self, at: usize) -> Option<usize> {
        let bytes = self.ends.get(at * 4..at * 4 + 4)?;
        Some(u32::from_be_bytes(bytes.try_into().ok()?) as usize)
    }

    /// The filter of a commit; nothing where git has computed none.
    fn of(&self, at: usize) -> Option<&[u8]> {
        let from = if at == 0 { 0 } else { self.end(at - 1)? };
        self.data.get(from..self.end(at)?).filter(|filter| !filter.is_empty())
    }
}

fn has(filter: &[u8], path: &Key, hashes: u32) -> bool {
    let [one, other] = path.hashes;
    (0..hashes).all(|at| {
        let bit = u64::from(one.wrapping_add(at.wrapping_mul(other))) % (filter.len() as u64 * 8);
        filter.get((bit / 8) as usize).is_some_and(|byte| byte & (1 << (bit % 8)) != 0)
    })
}

fn files(info: &Path) -> Vec<PathBuf> {
    let single = info.join("commit-graph");
    if single.exists() {
        return vec![single];
    }
    let folder = info.join("commit-graphs");
    let chain = std::fs::read_to_string(folder.join("commit-graph-chain")).unwrap_or_default();
    chain.lines().map(|line| folder.join(format!("graph-{}.graph", line.trim()))).collect()
}

/// How many commits the file has, and its filters.
fn read(path: &Path) -> Option<(u32, Option<Filters>)> {
    let mut file = File::open(path).ok()?;
    let mut header = [0; 8];
    file.read_exact(&mut header).ok()?;
    let [b'C', b'G', b'P', b'H', 1, _, chunks, _] = header else { return None };
    let mut table = vec![0; (usize::from(chunks) + 1) * 12];
    file.read_exact(&mut table).ok()?;
    let entries: Vec<(&[u8], u64)> = table
        .chunks_exact(12)
        .filter_map(|entry| Some((entry.get(..4)?, u64::from_be_bytes(entry.get(4..)?.try_into().ok()?))))
        .collect();
    let mut chunk = |id: &[u8]| {
        let pair = entries.windows(2).find(|pair| matches!(pair, [(name, _), _] if *name == id))?;
        let [(_, from), (_, to)] = pair else { return None };
        let size = to.checked_sub(*from).filter(|size| *size <= MOST)?;
        file.seek(SeekFrom::Start(*from)).ok()?;
        let mut bytes = vec![0; size as usize];
        file.read_exact(&mut bytes).ok()?;
        Some(bytes)
    };
    let fan = chunk(b"OIDF")?;
    let count = u32::from_be_bytes(fan.last_chunk::<4>().copied()?);
    let filters = chunk(b"BIDX").zip(chunk(b"BDAT")).and_then(|(ends, data)| {
        let number = |at: usize| Some(u32::from_be_bytes(data.get(at..at + 4)?.try_into().ok()?));
        let (version, hashes) = (number(0)?, number(4)?);
        let is_known =
            matches!(version, 1 | 2) && (1..=64).contains(&hashes) && ends.len() == count as usize * 4;
        is_known.then(|| Filters {
            ends,
            data: data.get(12..).unwrap_or_default().to_owned(),
            version,
            hashes,
        })
    });
    Some((count, filters))
}

fn murmur3(seed: u32, bytes: &[u8]) -> u32 {
    let mix = |word: u32| word.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
    let mut hash = seed;
    let mut words = bytes.chunks_exact(4);
    for word in &mut words {
        let word = word.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte));
        hash = (hash ^ mix(word)).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        hash ^= mix(rest.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte)));
    }
    hash ^= bytes.len() as u32;
    hash = (hash ^ hash >> 16).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ hash >> 13).wrapping_mul(0xc2b2_ae35);
    hash ^ hash >> 16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_git() {
        // From git's own test of its filters (t0095).
        for (text, expect) in [
            ("", 0),
            ("Hello world!", 0x627b_0c2c),
            ("The quick brown fox jumps over the lazy dog", 0x2e4f_f723),
        ] {
            assert_eq!(murmur3(0, text.as_bytes()), expect, "{text}");
        }
    }
}
