//! Commits as small numbers: those of the commit-graph are read from it, others from their objects, once each.

use gix::ObjectId;
use gix::commitgraph::{GENERATION_NUMBER_INFINITY, Graph, Position};
use gix::hashtable::HashMap;
use gix::objs::Kind;

use crate::error::HistoryError;
use crate::message::Headers;
use crate::packs::Objects;
use crate::{History, Id, Result};

/// A commit in [`Nodes`].
pub(crate) type Node = u32;

/// The generation of commits that are not in the commit-graph.
pub(crate) const NO_GENERATION: u32 = GENERATION_NUMBER_INFINITY;

/// What a walk needs of a commit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Info {
    pub time: i64,
    pub generation: u32,
    pub tree: ObjectId,
    /// The clone ends here: the commit has parents, but not in this clone.
    pub boundary: bool,
}

/// The commits that a walk has met.
pub(crate) struct Nodes<'history> {
    pub history: &'history History,
    /// What reads the objects of this walk, and all that goes with it.
    pub objects: Objects<'history>,
    graph: Option<&'history Graph>,
    /// How many numbers the commit-graph has taken.
    base: u32,
    ids: Vec<ObjectId>,
    infos: Vec<Option<Info>>,
    parents: Vec<(u32, u32)>,
    edges: Vec<Node>,
    numbers: HashMap<ObjectId, Node>,
    buffer: Vec<u8>,
    text: Vec<u8>,
}

impl<'history> Nodes<'history> {
    pub fn new(history: &'history History) -> Self {
        let graph = history.graph();
        Self {
            history,
            objects: history.objects(),
            graph,
            base: graph.map_or(0, Graph::num_commits),
            ids: Vec::new(),
            infos: Vec::new(),
            parents: Vec::new(),
            edges: Vec::new(),
            numbers: HashMap::default(),
            buffer: Vec::new(),
            text: Vec::new(),
        }
    }

    /// The number of a commit, met or not.
    pub fn node(&mut self, id: ObjectId) -> Node {
        if let Some(position) = self.graph.and_then(|graph| graph.lookup(id)) {
            return position.0;
        }
        if let Some(node) = self.numbers.get(&id) {
            return *node;
        }
        let node = self.base + self.ids.len() as u32;
        self.ids.push(id);
        self.infos.push(None);
        self.parents.push((0, 0));
        self.numbers.insert(id, node);
        node
    }

    pub fn id(&self, node: Node) -> ObjectId {
        match self.graph.filter(|_| node < self.base) {
            Some(graph) => graph.id_at(Position(node)).to_owned(),
            None => self
                .ids
                .get((node - self.base) as usize)
                .copied()
                .unwrap_or(ObjectId::null(gix::hash::Kind::Sha1)),
        }
    }

    pub fn info(&mut self, node: Node) -> Result<Info> {
        if let Some(graph) = self.graph.filter(|_| node < self.base) {
            let commit = graph.commit_at(Position(node));
            return Ok(Info {
                time: commit.committer_timestamp() as i64,
                generation: commit.generation(),
                tree: commit.root_tree_id().to_owned(),
                boundary: false,
            });
        }
        let at = (node - self.base) as usize;
        if let Some(Some(info)) = self.infos.get(at) {
            return Ok(*info);
        }
        let id = self.id(node);
        let kept = self.history.recent.get(&id);
        let mut buffer = std::mem::take(&mut self.buffer);
        let headers = match &kept {
            Some(kept) => Headers::parse(kept),
            None => {
                let kind = self.history.find(&mut self.objects, id, "commit", &mut buffer)?;
                let headers = Headers::parse(&buffer);
                if kind != Kind::Commit || headers.tree.is_none() {
                    return Err(HistoryError::OtherKind { kind: "commit", id: Id(id) });
                }
                headers.write(&mut self.text);
                self.history.recent.keep(id, &self.text);
                headers
            }
        };
        let Some(tree) = headers.tree else {
            return Err(HistoryError::OtherKind { kind: "commit", id: Id(id) });
        };
        let boundary = self.history.ends_at(&id);
        let info = Info { time: headers.time(), generation: NO_GENERATION, tree, boundary };
        if !boundary {
            let parents: Vec<Node> = headers.parents.iter().map(|parent| self.node(*parent)).collect();
            if let Some(range) = self.parents.get_mut(at) {
                *range = (self.edges.len() as u32, parents.len() as u32);
            }
            self.edges.extend(parents);
        }
        if let Some(slot) = self.infos.get_mut(at) {
            *slot = Some(info);
        }
        self.buffer = buffer;
        Ok(info)
    }

    /// Writes the parents of a commit into `into`, in their order.
    pub fn parents(&mut self, node: Node, into: &mut Vec<Node>) -> Result<()> {
        into.clear();
        if let Some(graph) = self.graph.filter(|_| node < self.base) {
            for parent in graph.commit_at(Position(node)).iter_parents() {
                into.push(
                    parent.map_err(|error| HistoryError::damaged("the commit-graph", error, REWRITE))?.0,
                );
            }
            return Ok(());
        }
        self.info(node)?;
        if let Some((from, count)) = self.parents.get((node - self.base) as usize) {
            let range = *from as usize..(*from + *count) as usize;
            into.extend(self.edges.get(range).unwrap_or_default());
        }
        Ok(())
    }
}

/// What to do about a commit-graph that is damaged.
pub(crate) const REWRITE: &str = "run `git commit-graph write --reachable`, which writes it anew";

/// A set of small numbers, or rather several: a byte of flags each.
#[derive(Debug, Default)]
pub(crate) struct Flags(Vec<u8>);

impl Flags {
    pub fn has(&self, node: Node, flag: u8) -> bool {
        self.0.get(node as usize).is_some_and(|flags| flags & flag != 0)
    }

    /// Sets the flag; whether it was new.
    pub fn set(&mut self, node: Node, flag: u8) -> bool {
        let at = node as usize;
        if at >= self.0.len() {
            self.0.resize((at + 1).max(self.0.len() * 2), 0);
        }
        self.0.get_mut(at).is_some_and(|flags| {
            let is_new = *flags & flag == 0;
            *flags |= flag;
            is_new
        })
    }

    pub fn clear(&mut self, node: Node, flag: u8) {
        if let Some(flags) = self.0.get_mut(node as usize) {
            *flags &= !flag;
        }
    }
}
