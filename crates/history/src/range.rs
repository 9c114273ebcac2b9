//! Commits that one commit contains and others do not, in the order of `git log`.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use windlass_core::commit::Commit;

use crate::ancestry::Key;
use crate::nodes::{Flags, NO_GENERATION, Node, Nodes};
use crate::paths::Touch;
use crate::{History, HistoryError, Id, PathFilter, Result};

const SEEN: u8 = 1;
const HIDDEN: u8 = 2;
const WAITING: u8 = 4;

/// How much older than the oldest commit shown a hidden one may say it is, and still be followed: clocks differ.
const SKEW: i64 = 86_400;
/// How many hidden commits older than that are followed.
const SLACK: usize = 1024;

/// Which commits: those that `to` contains and none of `hidden` does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// The newest one.
    pub to: Id,
    /// These and their ancestors are left out.
    pub hidden: Vec<Id>,
    /// At most so many, the newest.
    pub most: Option<usize>,
}

impl Range {
    /// Everything that `to` contains.
    pub fn all(to: Id) -> Self {
        Self { to, hidden: Vec::new(), most: None }
    }

    /// What `to` contains since `from`: `git log from..to`.
    pub fn since(from: Id, to: Id) -> Self {
        Self { to, hidden: vec![from], most: None }
    }
}

impl History {
    /// The commits of a range, newest first as `git log` lists them. With a filter, those that change its paths
    /// compared with each of their parents.
    ///
    /// # Errors
    /// When an object on the way is missing, and when a shallow or partial clone ends before the answer.
    pub fn commits(&self, range: &Range, filter: Option<&PathFilter>) -> Result<Vec<Commit>> {
        self.read(self.ids(range, filter)?).collect()
    }

    /// As [`Self::commits`], but only their ids.
    ///
    /// # Errors
    /// As [`Self::commits`].
    pub fn ids(&self, range: &Range, filter: Option<&PathFilter>) -> Result<Vec<Id>> {
        let mut nodes = Nodes::new(self);
        let found = match filter.filter(|filter| !filter.is_everything()) {
            None => walk(&mut nodes, range, range.most)?,
            Some(filter) => {
                let all = walk(&mut nodes, range, None)?;
                let mut touch = Touch::new(self, std::slice::from_ref(filter));
                let mut found = Vec::new();
                for node in all {
                    if range.most.is_some_and(|most| found.len() >= most) {
                        break;
                    }
                    if !touch.of(&mut nodes, node)?.is_empty() {
                        found.push(node);
                    }
                }
                found
            }
        };
        Ok(found.into_iter().map(|node| Id(nodes.id(node))).collect())
    }

    /// How many commits a range has.
    ///
    /// # Errors
    /// As [`Self::commits`].
    pub fn count(&self, range: &Range) -> Result<usize> {
        Ok(walk(&mut Nodes::new(self), range, range.most)?.len())
    }
}

pub(crate) fn walk(nodes: &mut Nodes<'_>, range: &Range, most: Option<usize>) -> Result<Vec<Node>> {
    let mut hiding = Hiding::default();
    for hidden in &range.hidden {
        let node = nodes.node(hidden.0);
        hiding.hide(nodes, node)?;
    }
    let mut queue = ByDate::default();
    let to = nodes.node(range.to.0);
    queue.push(nodes, to)?;
    hiding.flags.set(to, SEEN);
    let mut shown = Vec::new();
    let mut parents = Vec::new();
    let mut boundary = None;
    while let Some(node) = queue.pop() {
        if most.is_some_and(|most| shown.len() >= most) {
            break;
        }
        if hiding.hides(nodes, node)? {
            continue;
        }
        shown.push(node);
        if nodes.info(node)?.boundary {
            boundary = boundary.or(Some(node));
        }
        nodes.parents(node, &mut parents)?;
        for parent in &parents {
            if hiding.flags.set(*parent, SEEN) {
                queue.push(nodes, *parent)?;
            }
        }
    }
    if !range.hidden.is_empty() {
        hiding.settle(nodes, &shown)?;
        let before = shown.len();
        shown.retain(|node| !hiding.flags.has(*node, HIDDEN));
        if let Some(most) = most.filter(|most| before >= *most && shown.len() < before) {
            // A wrong date took the place of others.
            let mut all = walk(nodes, range, None)?;
            all.truncate(most);
            return Ok(all);
        }
    }
    match boundary.filter(|node| shown.contains(node)) {
        Some(node) => Err(HistoryError::Shallow { at: Id(nodes.id(node)), what: "all commits asked for" }),
        None => Ok(shown),
    }
}

/// Commits waiting their turn, newest first; among equals, first come, first served.
#[derive(Default)]
pub(crate) struct ByDate {
    heap: BinaryHeap<(i64, Reverse<u32>, Node)>,
    count: u32,
}

impl ByDate {
    pub fn push(&mut self, nodes: &mut Nodes<'_>, node: Node) -> Result<()> {
        self.heap.push((nodes.info(node)?.time, Reverse(self.count), node));
        self.count += 1;
        Ok(())
    }

    pub fn pop(&mut self) -> Option<Node> {
        self.heap.pop().map(|(_, _, node)| node)
    }
}

/// The ancestors of what is hidden, as far as they are needed.
#[derive(Default)]
struct Hiding {
    flags: Flags,
    heap: BinaryHeap<Key>,
}

impl Hiding {
    fn hide(&mut self, nodes: &mut Nodes<'_>, node: Node) -> Result<()> {
        if self.flags.set(node, HIDDEN) {
            self.heap.push(Key::of(nodes, node)?);
            self.flags.set(node, WAITING);
        }
        Ok(())
    }

    /// Hides the parents, and tells them.
    fn expand(&mut self, nodes: &mut Nodes<'_>, node: Node, parents: &mut Vec<Node>) -> Result<()> {
        self.flags.clear(node, WAITING);
        nodes.parents(node, parents)?;
        parents.iter().try_for_each(|parent| self.hide(nodes, *parent))
    }

    /// Whether the commit is hidden: exact by generations, else as far as dates can be trusted.
    fn hides(&mut self, nodes: &mut Nodes<'_>, node: Node) -> Result<bool> {
        if self.heap.is_empty() || self.flags.has(node, HIDDEN) {
            return Ok(self.flags.has(node, HIDDEN));
        }
        let key = Key::of(nodes, node)?;
        let mut parents = Vec::new();
        while let Some(top) = self.heap.peek().filter(|top| top.may_contain(&key)).copied() {
            self.heap.pop();
            self.expand(nodes, top.node, &mut parents)?;
        }
        Ok(self.flags.has(node, HIDDEN))
    }

    /// Without generations a hidden commit with a wrong date may lead to one that was shown: goes on until all that
    /// waits comes before everything shown, which is at once in a plain history, or is too old to matter.
    fn settle(&mut self, nodes: &mut Nodes<'_>, shown: &[Node]) -> Result<()> {
        let Some((oldest, bottoms)) = self.bottoms(nodes, shown)? else { return Ok(()) };
        let every = u64::MAX.checked_shr(64_u32.saturating_sub(bottoms.len() as u32)).unwrap_or_default();
        let mut before = Before { every, bits: HashMap::new() };
        let mut parents = Vec::new();
        // With more of them than there are bits, only dates count.
        for (at, bottom) in bottoms.iter().enumerate().take(if bottoms.len() > 64 { 0 } else { 64 }) {
            nodes.parents(*bottom, &mut parents)?;
            for parent in &parents {
                before.mark(nodes, &self.flags, *parent, 1 << at)?;
            }
        }
        let mut slack = SLACK;
        loop {
            let is_open = |key: &Key| key.generation == NO_GENERATION && !before.has_every(key.node);
            if !self.heap.iter().any(is_open) {
                return Ok(());
            }
            // Looking at the whole heap each time would be quadratic.
            for _ in 0..self.heap.len().max(8) {
                let Some(top) = self.heap.pop() else { return Ok(()) };
                if top.time < oldest - SKEW || top.generation != NO_GENERATION {
                    if slack == 0 {
                        return Ok(());
                    }
                    slack -= 1;
                }
                self.expand(nodes, top.node, &mut parents)?;
                let bits = before.bits.get(&top.node).copied().unwrap_or_default();
                for parent in &parents {
                    before.mark(nodes, &self.flags, *parent, bits)?;
                }
            }
        }
    }

    /// Of the shown commits outside the commit-graph the oldest date, and those without such a parent.
    fn bottoms(&self, nodes: &mut Nodes<'_>, shown: &[Node]) -> Result<Option<(i64, Vec<Node>)>> {
        let mut oldest = None;
        let mut bottoms = Vec::new();
        let mut parents = Vec::new();
        for node in shown {
            let info = nodes.info(*node)?;
            if info.generation != NO_GENERATION || self.flags.has(*node, HIDDEN) {
                continue;
            }
            oldest = Some(oldest.map_or(info.time, |oldest: i64| oldest.min(info.time)));
            nodes.parents(*node, &mut parents)?;
            let mut is_bottom = true;
            for parent in &parents {
                let is_outside = nodes.info(*parent)?.generation == NO_GENERATION;
                is_bottom &= !is_outside || self.flags.has(*parent, HIDDEN);
            }
            if is_bottom {
                bottoms.push(*node);
            }
        }
        Ok(oldest.map(|oldest| (oldest, bottoms)))
    }
}

/// Which bottoms of what is shown a hidden commit comes before, as bits.
struct Before {
    every: u64,
    bits: HashMap<Node, u64>,
}

impl Before {
    fn has_every(&self, node: Node) -> bool {
        self.every != 0 && self.bits.get(&node).is_some_and(|bits| *bits == self.every)
    }

    fn mark(&mut self, nodes: &mut Nodes<'_>, flags: &Flags, node: Node, bits: u64) -> Result<()> {
        let mut todo = vec![node];
        let mut parents = Vec::new();
        while let Some(node) = todo.pop() {
            let known = self.bits.entry(node).or_default();
            if *known | bits == *known {
                continue;
            }
            *known |= bits;
            if flags.has(node, HIDDEN) && !flags.has(node, WAITING) {
                nodes.parents(node, &mut parents)?;
                todo.append(&mut parents);
            }
        }
        Ok(())
    }
}
