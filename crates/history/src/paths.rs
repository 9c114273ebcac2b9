//! Which commits change which paths, by comparing the ids of subtrees along the paths only.

use std::collections::HashMap;
use std::rc::Rc;

use crate::bloom::{Bloom, Key};

use gix::ObjectId;
use gix::objs::{Kind, TreeRefIter};

use crate::nodes::{Node, Nodes};
use crate::{History, HistoryError, Id, Result};

/// Files and folders whose changes count. Empty: every change counts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PathFilter {
    /// Parts of each path.
    paths: Vec<Vec<String>>,
}

impl PathFilter {
    /// These files and folders, from the repository's root; they are taken literally.
    pub fn new<T: AsRef<str>>(paths: impl IntoIterator<Item = T>) -> Self {
        let parts = |path: &str| -> Vec<String> {
            path.split('/').filter(|part| !part.is_empty() && *part != ".").map(str::to_owned).collect()
        };
        let paths: Vec<Vec<String>> = paths.into_iter().map(|path| parts(path.as_ref())).collect();
        // The root itself has every change.
        if paths.iter().any(Vec::is_empty) { Self::default() } else { Self { paths } }
    }

    /// The same text for the same paths in the same order.
    pub(crate) fn text(&self) -> String {
        self.paths.iter().map(|path| path.join("/") + "\0").collect()
    }

    /// Whether every commit counts.
    pub fn is_everything(&self) -> bool {
        self.paths.is_empty()
    }
}

/// A folder on the way to paths that count, or such a path itself.
#[derive(Debug, Default)]
struct Step {
    children: Vec<(String, usize)>,
    /// The package filters that end here.
    ends: Vec<usize>,
}

/// How many ids of subtrees are remembered, about: it is what bounds the memory.
const REMEMBERED: usize = 20_000;

/// Finds out which filters a commit touches.
pub(crate) struct Touch {
    filters: usize,
    bloom: Option<Bloom>,
    /// Every path, as the Bloom filters know it: it and the folders it is in.
    keys: Vec<Vec<Key>>,
    everything: Vec<usize>,
    /// All paths of all filters as one tree; the first is the root.
    steps: Vec<Step>,
    /// What is at the steps below one, by the id of the tree there.
    known: Known,
    /// The same of a while ago.
    old: Known,
    size: usize,
    buffer: Vec<u8>,
}

type Known = HashMap<(usize, ObjectId), Rc<[Option<ObjectId>]>>;

impl Touch {
    pub fn new(history: &History, filters: &[PathFilter]) -> Self {
        let mut steps = vec![Step::default()];
        let mut everything = Vec::new();
        for (index, filter) in filters.iter().enumerate() {
            if filter.is_everything() {
                everything.push(index);
            }
            for path in &filter.paths {
                let mut at = 0;
                for part in path {
                    let found =
                        steps.get(at).and_then(|step| step.children.iter().find(|(name, _)| name == part));
                    at = match found {
                        Some((_, next)) => *next,
                        None => {
                            let next = steps.len();
                            steps.push(Step::default());
                            if let Some(step) = steps.get_mut(at) {
                                step.children.push((part.clone(), next));
                            }
                            next
                        }
                    };
                }
                if let Some(step) = steps.get_mut(at)
                    && !step.ends.contains(&index)
                {
                    step.ends.push(index);
                }
            }
        }
        for step in &mut steps {
            step.children.sort();
        }
        let keys = filters.iter().flat_map(|filter| &filter.paths).map(|path| {
            (1..=path.len()).map(|parts| Key::of(&path.get(..parts).unwrap_or_default().join("/"))).collect()
        });
        Self {
            filters: filters.len(),
            bloom: history.bloom(),
            keys: keys.collect(),
            everything,
            steps,
            known: Known::new(),
            old: Known::new(),
            size: 0,
            buffer: Vec::new(),
        }
    }

    /// The filters whose paths this commit has otherwise than every parent of it.
    pub fn of(&mut self, nodes: &mut Nodes<'_>, node: Node) -> Result<Vec<usize>> {
        // A commit that is like its first parent at every path differs from it nowhere.
        if let Some(bloom) = &self.bloom
            && !self.keys.iter().any(|path| path.iter().all(|key| bloom.may_change(node, key)))
        {
            return Ok(self.everything.clone());
        }
        let mut parents = Vec::new();
        nodes.parents(node, &mut parents)?;
        let tree = nodes.info(node)?.tree;
        let mut touched = vec![true; self.filters];
        let mut others = Vec::with_capacity(parents.len());
        for parent in parents {
            others.push(Some(nodes.info(parent)?.tree));
        }
        if others.is_empty() {
            others.push(None);
        }
        for other in others {
            let mut differs = vec![false; self.filters];
            self.compare(nodes, 0, Some(tree), other, &mut differs)?;
            for (touched, differs) in touched.iter_mut().zip(differs) {
                *touched &= differs;
            }
        }
        for index in &self.everything {
            if let Some(touched) = touched.get_mut(*index) {
                *touched = true;
            }
        }
        Ok(touched.iter().enumerate().filter(|(_, touched)| **touched).map(|(index, _)| index).collect())
    }

    fn compare(
        &mut self,
        nodes: &mut Nodes<'_>,
        step: usize,
        one: Option<ObjectId>,
        other: Option<ObjectId>,
        differs: &mut [bool],
    ) -> Result<()> {
        if one == other {
            return Ok(());
        }
        let Some(Step { children, ends }) = self.steps.get(step) else { return Ok(()) };
        for index in ends {
            if let Some(differs) = differs.get_mut(*index) {
                *differs = true;
            }
        }
        if children.is_empty() {
            return Ok(());
        }
        let below: Vec<usize> = children.iter().map(|(_, below)| *below).collect();
        let ones = self.entries(nodes, step, one)?;
        let others = self.entries(nodes, step, other)?;
        for (at, below) in below.into_iter().enumerate() {
            let one = ones.get(at).copied().flatten();
            let other = others.get(at).copied().flatten();
            self.compare(nodes, below, one, other, differs)?;
        }
        Ok(())
    }

    /// The ids of what stands in this tree at the step's children.
    fn entries(
        &mut self,
        nodes: &mut Nodes<'_>,
        step: usize,
        tree: Option<ObjectId>,
    ) -> Result<Rc<[Option<ObjectId>]>> {
        let Some(tree) = tree else { return Ok(Rc::default()) };
        let key = (step, tree);
        if let Some(known) = self.known.get(&key) {
            return Ok(Rc::clone(known));
        }
        let found = match self.old.remove(&key) {
            Some(known) => known,
            None => self.read(nodes, step, tree)?,
        };
        self.size += found.len() + 1;
        if self.size > REMEMBERED {
            self.size = 0;
            self.old = std::mem::take(&mut self.known);
        }
        self.known.insert(key, Rc::clone(&found));
        Ok(found)
    }

    fn read(&mut self, nodes: &mut Nodes<'_>, step: usize, tree: ObjectId) -> Result<Rc<[Option<ObjectId>]>> {
        let kind = nodes.history.find(&mut nodes.objects, tree, "tree", &mut self.buffer)?;
        let Some(step) = self.steps.get(step).filter(|_| kind == Kind::Tree) else {
            return Ok(Rc::default());
        };
        let mut found = vec![None; step.children.len()];
        for entry in TreeRefIter::from_bytes(&self.buffer, tree.kind()) {
            let entry = entry.map_err(|_| HistoryError::OtherKind { kind: "tree", id: Id(tree) })?;
            let name: &[u8] = entry.filename.as_ref();
            if let Ok(at) = step.children.binary_search_by(|(child, _)| child.as_bytes().cmp(name))
                && let Some(slot) = found.get_mut(at)
            {
                *slot = Some(entry.oid.to_owned());
            }
        }
        Ok(found.into())
    }
}
