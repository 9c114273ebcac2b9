//! A file as it was at a commit.

use gix::objs::{Kind, TreeRefIter};

use crate::nodes::Nodes;
use crate::{History, HistoryError, Id, Result};

impl History {
    /// What stood in the file `path`, from the repository's root, at `commit`; nothing where no file was there.
    ///
    /// # Errors
    /// When an object on the way is missing, as the file itself may be in a partial clone.
    pub fn file(&self, commit: Id, path: &str) -> Result<Option<Vec<u8>>> {
        let mut objects = self.objects();
        let mut nodes = Nodes::new(self);
        let node = nodes.node(commit.0);
        let mut at = nodes.info(node)?.tree;
        let mut buffer = Vec::new();
        for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
            if self.find(&mut objects, at, "tree", &mut buffer)? != Kind::Tree {
                return Ok(None);
            }
            let mut found = None;
            for entry in TreeRefIter::from_bytes(&buffer, at.kind()) {
                let entry = entry.map_err(|_| HistoryError::OtherKind { kind: "tree", id: Id(at) })?;
                if entry.filename == part.as_bytes() {
                    // Neither a link nor a submodule is the file.
                    found = (entry.mode.is_tree() || entry.mode.is_blob()).then(|| entry.oid.to_owned());
                }
            }
            let Some(next) = found else { return Ok(None) };
            at = next;
        }
        match self.find(&mut objects, at, "file", &mut buffer)? {
            Kind::Blob => Ok(Some(buffer)),
            _ => Ok(None),
        }
    }
}
