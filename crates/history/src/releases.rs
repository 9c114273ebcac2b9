//! The whole history cut at tags.

use windlass_core::commit::Commit;

use crate::kept::Changes;
use crate::nodes::{Flags, Node, Nodes};
use crate::range::ByDate;
use crate::{History, HistoryError, Id, PathFilter, Result};

/// A release, and the commits that it is the first to contain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// Its tag; none for what is not released yet.
    pub tag: Option<String>,
    /// Its commit.
    pub commit: Id,
    /// When that was committed, in seconds since 1970.
    pub committed_at: i64,
    /// Its commits, newest first. [`History::read`] reads them.
    pub ids: Vec<Id>,
}

impl Section {
    /// The section's commits, read as they are asked for.
    pub fn commits<'history>(
        &self,
        history: &'history History,
    ) -> impl Iterator<Item = Result<Commit>> + use<'history> {
        history.read(self.ids.clone())
    }
}

impl History {
    /// The history of `head`, cut at those of `tags` that it contains. Tags stand in the order of their releases,
    /// oldest first: each commit belongs to the first release that contains it, what none contains to a last section
    /// without a tag. The newest section comes first. With a filter, only commits that change its paths are listed.
    ///
    /// Only ids are held; [`Section::commits`] reads the commits of one section, some at a time.
    ///
    /// # Errors
    /// When an object on the way is missing, and when the clone is shallow.
    pub fn releases(
        &self,
        head: Id,
        tags: &[(String, Id)],
        filter: Option<&PathFilter>,
    ) -> Result<Vec<Section>> {
        const SEEN: u8 = 1;
        const CONTAINED: u8 = 2;
        let mut nodes = Nodes::new(self);
        let mut seen = Flags::default();
        let mut sections = Vec::new();
        let mut parents: Vec<Node> = Vec::new();
        let top = nodes.node(head.0);
        seen.set(top, CONTAINED);
        let mut open = vec![top];
        while let Some(node) = open.pop() {
            if nodes.info(node)?.boundary {
                return Err(HistoryError::Shallow { at: Id(nodes.id(node)), what: "the whole history" });
            }
            nodes.parents(node, &mut parents)?;
            open.extend(parents.iter().copied().filter(|parent| seen.set(*parent, CONTAINED)));
        }
        let filter = filter.filter(|filter| !filter.is_everything());
        let mut changes = filter.map(|filter| Changes::new(self, filter, &mut nodes));
        let named = tags.iter().map(|(name, id)| (Some(name), *id));
        for (tag, commit) in named.chain([(None, head)]) {
            let mut queue = ByDate::default();
            let mut ids = Vec::new();
            let start = nodes.node(commit.0);
            if !seen.has(start, CONTAINED) {
                continue;
            }
            if seen.set(start, SEEN) {
                queue.push(&mut nodes, start)?;
            }
            while let Some(node) = queue.pop() {
                let is_listed = match &mut changes {
                    Some(changes) => changes.has(&mut nodes, node)?,
                    None => true,
                };
                if is_listed {
                    ids.push(Id(nodes.id(node)));
                }
                nodes.parents(node, &mut parents)?;
                for parent in &parents {
                    if seen.set(*parent, SEEN) {
                        queue.push(&mut nodes, *parent)?;
                    }
                }
            }
            let committed_at = nodes.info(start)?.time;
            sections.push(Section { tag: tag.cloned(), commit, committed_at, ids });
        }
        if let Some(changes) = changes {
            changes.keep(&mut nodes, top, |node| seen.has(node, CONTAINED));
        }
        sections.reverse();
        Ok(sections)
    }
}
