//! Whether a commit contains another, walking no further than it must.

use std::collections::BinaryHeap;

use crate::nodes::{Flags, NO_GENERATION, Node, Nodes};
use crate::{History, HistoryError, Id, Result};

const REACHED: u8 = 1;
const WAITING: u8 = 2;

/// How many commits are read to prove that old commits are *not* contained, before simply all ancestors are.
const PATIENCE: usize = 4096;

/// The commits that one commit contains, found out as they are asked for.
///
/// With a commit-graph the walk ends at the generation of what is looked for. Without one it goes by dates, and
/// believes no date that says "not contained": it goes on until the rest is known to be older than the commit
/// asked for. The answer is exact either way.
pub struct Ancestry<'history> {
    nodes: Nodes<'history>,
    from: Id,
    started: bool,
    flags: Flags,
    heap: BinaryHeap<Key>,
    /// The newest commit whose parents a shallow clone left out.
    cut: Option<(i64, Node)>,
    proof: usize,
}

/// Newest first: by generation, where there are any, then by date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub generation: u32,
    pub time: i64,
    pub node: Node,
}

impl Key {
    pub fn of(nodes: &mut Nodes<'_>, node: Node) -> Result<Self> {
        let info = nodes.info(node)?;
        Ok(Self { generation: info.generation, time: info.time, node })
    }

    /// Whether this one may have `other` as an ancestor, as far as dates and generations tell.
    pub fn may_contain(&self, other: &Self) -> bool {
        match (self.generation, other.generation) {
            (NO_GENERATION, NO_GENERATION) => self.time >= other.time,
            (mine, theirs) => mine > theirs,
        }
    }
}

impl History {
    /// What `from` contains. Nothing is read before the first question.
    pub fn ancestry(&self, from: Id) -> Ancestry<'_> {
        Ancestry {
            nodes: Nodes::new(self),
            from,
            started: false,
            flags: Flags::default(),
            heap: BinaryHeap::new(),
            cut: None,
            proof: 0,
        }
    }
}

impl Ancestry<'_> {
    /// Whether `commit` is the commit itself or an ancestor of it.
    ///
    /// # Errors
    /// When a commit on the way is missing, and when a shallow clone ends before the answer.
    pub fn contains(&mut self, commit: Id) -> Result<bool> {
        if !self.started {
            self.started = true;
            let from = self.nodes.node(self.from.0);
            self.reach(from)?;
        }
        let target = self.nodes.node(commit.0);
        if self.flags.has(target, REACHED) {
            return Ok(true);
        }
        let key = Key::of(&mut self.nodes, target)?;
        while let Some(top) = self.heap.peek().filter(|top| top.may_contain(&key)).copied() {
            self.heap.pop();
            self.expand(top.node)?;
            if self.flags.has(target, REACHED) {
                return Ok(true);
            }
        }
        // The commit-graph has the ancestors of what it has, so nothing of it leads to a commit outside.
        let found = key.generation == NO_GENERATION && self.search(target)?;
        match self.cut {
            Some((time, at)) if !found && time >= key.time => {
                let at = Id(self.nodes.id(at));
                Err(HistoryError::Shallow { at, what: "which tags it contains" })
            }
            _ => Ok(found),
        }
    }

    fn reach(&mut self, node: Node) -> Result<Option<Key>> {
        if !self.flags.set(node, REACHED) {
            return Ok(None);
        }
        let key = Key::of(&mut self.nodes, node)?;
        self.flags.set(node, WAITING);
        self.heap.push(key);
        Ok(Some(key))
    }

    /// Reaches the parents; those that were not reached before.
    fn expand(&mut self, node: Node) -> Result<Vec<Key>> {
        self.flags.clear(node, WAITING);
        let info = self.nodes.info(node)?;
        if info.boundary {
            self.cut = self.cut.max(Some((info.time, node)));
        }
        let mut parents = Vec::new();
        self.nodes.parents(node, &mut parents)?;
        let mut reached = Vec::new();
        for parent in parents {
            reached.extend(self.reach(parent)?);
        }
        Ok(reached)
    }

    /// Goes on until `target` is reached, or all that waits is known to come before it.
    fn search(&mut self, target: Node) -> Result<bool> {
        let mut below = Flags::default();
        let mut queue = BinaryHeap::from([Key::of(&mut self.nodes, target)?]);
        below.set(target, REACHED);
        let mut aside = Vec::new();
        let mut open = self.heap.iter().filter(|key| key.generation == NO_GENERATION).count();
        while open > 0 && !self.flags.has(target, REACHED) {
            let Some(top) = self.heap.peek().copied() else { break };
            if below.has(top.node, REACHED) {
                // An ancestor of the target does not contain it.
                aside.extend(self.heap.pop());
                continue;
            }
            let older = queue.peek().filter(|old| old.time >= top.time && self.proof < PATIENCE).copied();
            if let Some(old) = older {
                self.proof += 1;
                queue.pop();
                let mut parents = Vec::new();
                self.nodes.parents(old.node, &mut parents)?;
                for parent in parents {
                    if below.set(parent, REACHED) {
                        let key = Key::of(&mut self.nodes, parent)?;
                        if key.generation == NO_GENERATION {
                            queue.push(key);
                            open -= usize::from(self.flags.has(parent, WAITING));
                        }
                    }
                }
                continue;
            }
            self.heap.pop();
            open -= 1;
            for key in self.expand(top.node)? {
                let is_open = key.generation == NO_GENERATION && !below.has(key.node, REACHED);
                open += usize::from(is_open);
            }
        }
        self.heap.extend(aside);
        Ok(self.flags.has(target, REACHED))
    }
}
