//! Tags and the commits they name, in one pass over the refs.

use std::collections::BTreeMap;

use gix::ObjectId;
use gix::objs::Kind;
use gix::refs::TargetRef;

use crate::error::REFS;
use crate::packs::Objects;
use crate::{History, HistoryError, Id, Result};

/// How many tags of tags are followed.
const DEPTH: usize = 64;

/// A tag that names a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// Without `refs/tags/`.
    pub name: String,
    /// The tag object, or the commit when the tag is a plain name for it.
    pub object: Id,
    /// The commit it names in the end.
    pub commit: Id,
    /// It is an object of its own, with author, date and message.
    pub annotated: bool,
}

impl History {
    /// All tags that name a commit, by name. Names that are not UTF-8 are left out: no version is written so.
    ///
    /// # Errors
    /// When refs cannot be read, and when a tag leads to an object that is missing.
    pub fn tags(&self) -> Result<Vec<Tag>> {
        let local = self.local();
        let mut objects = self.objects();
        let unreadable = |error: gix::Error| HistoryError::damaged("the list of tags", error, REFS);
        let platform = local.references().map_err(unreadable)?;
        let mut tags = BTreeMap::new();
        let mut buffer = Vec::new();
        for reference in platform.tags().map_err(unreadable)? {
            let reference = reference.map_err(unreadable)?;
            let Ok(full) = std::str::from_utf8(reference.name().as_bstr()) else { continue };
            let Some(name) = full.strip_prefix("refs/tags/").map(str::to_owned) else { continue };
            let object = match reference.target() {
                TargetRef::Object(id) => id.to_owned(),
                TargetRef::Symbolic(to) => {
                    let followed = local.find_reference(to).map_err(unreadable)?.follow_to_object();
                    match followed.map_err(unreadable) {
                        Ok(id) => id.detach(),
                        Err(error) => return Err(error),
                    }
                }
            };
            let packed = reference.inner.peeled.filter(|peeled| *peeled != object);
            let commit = match packed {
                Some(peeled) => self.commit_of(&mut objects, &name, peeled, &mut buffer)?,
                None => self.commit_of(&mut objects, &name, object, &mut buffer)?,
            };
            if let Some(commit) = commit {
                let tag = Tag {
                    name: name.clone(),
                    object: Id(object),
                    commit: Id(commit),
                    annotated: object != commit,
                };
                tags.insert(name, tag);
            }
        }
        Ok(tags.into_values().collect())
    }

    /// The commit that `id` is or leads to; nothing for trees and blobs.
    fn commit_of(
        &self,
        objects: &mut Objects<'_>,
        name: &str,
        mut id: ObjectId,
        buffer: &mut Vec<u8>,
    ) -> Result<Option<ObjectId>> {
        for _ in 0..DEPTH {
            if self.graph().is_some_and(|graph| graph.lookup(id).is_some()) {
                return Ok(Some(id));
            }
            match objects.kind(id)? {
                Some(Kind::Commit) => return Ok(Some(id)),
                Some(Kind::Tag) => {
                    self.find(objects, id, "tag", buffer)?;
                    let Some(next) = target(buffer) else { return Ok(None) };
                    id = next;
                }
                Some(Kind::Tree | Kind::Blob) => return Ok(None),
                // A partial clone has every commit: what it lacks is a tree or a blob.
                None if self.is_partial() => return Ok(None),
                None => {
                    return Err(HistoryError::BrokenTag {
                        name: windlass_core::text::sanitize_line(name),
                        id: Id(id),
                    });
                }
            }
        }
        Ok(None)
    }
}

/// What a tag object names.
pub(crate) fn target(tag: &[u8]) -> Option<ObjectId> {
    let line = tag.split(|byte| *byte == b'\n').next()?;
    ObjectId::from_hex(line.strip_prefix(b"object ")?).ok()
}
