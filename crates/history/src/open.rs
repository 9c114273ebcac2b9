//! Finding a repository, and what its refs say.

use std::path::{Path, PathBuf};

use gix::ObjectId;
use gix::bstr::ByteSlice as _;
use gix::discover::upwards;
use gix::objs::Kind;
use gix::sec::{Trust, trust::Mapping};
use windlass_core::text::sanitize_line;

use crate::bloom::Bloom;
use crate::error::{CHECK, REFS};
use crate::packs::{Objects, Packs};
use crate::recent::Recent;
use crate::{HistoryError, Id, Result};

/// A repository, opened for reading.
pub struct History {
    repository: gix::ThreadSafeRepository,
    packs: Packs,
    graph: Option<gix::commitgraph::Graph>,
    /// Commits whose parents a shallow clone left out, sorted.
    boundary: Vec<ObjectId>,
    partial: bool,
    /// Where answers are kept between runs.
    keeping: Option<PathBuf>,
    pub(crate) recent: Recent,
}

impl std::fmt::Debug for History {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("History").field("git_dir", &self.repository.git_dir()).finish_non_exhaustive()
    }
}

impl History {
    /// The repository that `folder` is in. Variables such as `GIT_DIR` and the user's configuration do not count.
    ///
    /// # Errors
    /// When there is none, and when its configuration cannot be read.
    pub fn open(folder: &Path) -> Result<Self> {
        let options = options();
        // Nothing that a configuration names is ever run, so whose folder it is does not matter.
        let found = upwards::Options {
            trust: upwards::TrustPolicy::Assume(Trust::Full),
            ..upwards::Options::default()
        };
        let map = Mapping { full: options.clone(), reduced: options };
        let repository = gix::ThreadSafeRepository::discover_opts(folder, found, map).map_err(|error| {
            if has_git(folder) {
                let what = format!("the repository of `{}`", folder.display());
                return HistoryError::damaged(what, error, CHECK);
            }
            HistoryError::NoRepository(folder.to_owned())
        })?;
        let local = repository.to_thread_local();
        let mut boundary: Vec<ObjectId> = local
            .shallow_commits()
            .map_err(|error| HistoryError::damaged("the file `shallow` of the git folder", error, CHECK))?
            .map(|commits| commits.iter().copied().collect())
            .unwrap_or_default();
        boundary.sort_unstable();
        let partial = is_partial(&local);
        // A graph says nothing about where a shallow clone ends.
        let graph = if boundary.is_empty() { graph(&local)? } else { None };
        let packs = Packs::new(repository.objects_dir(), local.object_hash());
        Ok(Self { repository, packs, graph, boundary, partial, keeping: None, recent: Recent::default() })
    }

    /// Keeps in `folder`, which is made when it is needed, what takes long to find out about a long history. Whatever is
    /// there, answers are the same; nothing is kept when it cannot be written.
    #[must_use]
    pub fn keep_in(self, folder: &Path) -> Self {
        Self { keeping: Some(folder.to_owned()), ..self }
    }

    /// The commit HEAD names; nothing before the first commit.
    ///
    /// # Errors
    /// When HEAD cannot be read.
    pub fn head(&self) -> Result<Option<Id>> {
        let local = self.local();
        let mut head = local.head().map_err(head_error)?;
        if head.is_unborn() {
            return Ok(None);
        }
        let id = head.try_peel_to_id().map_err(head_error)?;
        Ok(id.map(|id| Id(id.detach())))
    }

    /// The branch checked out, without `refs/heads/`; nothing when HEAD is detached.
    ///
    /// # Errors
    /// When HEAD cannot be read.
    pub fn branch(&self) -> Result<Option<String>> {
        let name = self.local().head_name().map_err(head_error)?;
        Ok(name.map(|name| {
            let full = name.as_bstr().to_str_lossy().into_owned();
            full.strip_prefix("refs/heads/").map(str::to_owned).unwrap_or(full)
        }))
    }

    /// Whether this clone has only the newest part of the history.
    pub fn is_shallow(&self) -> bool {
        !self.boundary.is_empty()
    }

    /// Whether a remote promised objects that this clone may not have.
    pub fn is_partial(&self) -> bool {
        self.partial
    }

    /// Whether git has written a commit-graph, which makes walks several times faster.
    pub fn has_commit_graph(&self) -> bool {
        self.graph.is_some()
    }

    /// The commit that a revision such as `HEAD~2`, `main` or an id names; nothing when there is none.
    ///
    /// # Errors
    /// When refs cannot be read.
    pub fn resolve(&self, revision: &str) -> Result<Option<Id>> {
        let local = self.local();
        let Ok(id) = local.rev_parse_single(revision.as_bytes().as_bstr()) else {
            return Ok(None);
        };
        let mut id = id.detach();
        let mut objects = self.objects();
        let mut buffer = Vec::new();
        // A tag of a tag of a tag ... ends somewhere.
        for _ in 0..64 {
            match self.find(&mut objects, id, "object", &mut buffer)? {
                Kind::Commit => return Ok(Some(Id(id))),
                Kind::Tag => match crate::tags::target(&buffer) {
                    Some(target) => id = target,
                    None => break,
                },
                Kind::Tree | Kind::Blob => break,
            }
        }
        Ok(None)
    }

    pub(crate) fn local(&self) -> gix::Repository {
        let mut local = self.repository.to_thread_local();
        local.objects.ignore_replacements = true;
        local.objects.refresh_never();
        local
    }

    pub(crate) fn keeping(&self) -> Option<&Path> {
        self.keeping.as_deref()
    }

    pub(crate) fn hash(&self) -> gix::hash::Kind {
        self.packs.hash()
    }

    /// A reader of objects.
    pub(crate) fn objects(&self) -> Objects<'_> {
        self.packs.objects()
    }

    pub(crate) fn graph(&self) -> Option<&gix::commitgraph::Graph> {
        self.graph.as_ref()
    }

    pub(crate) fn ends_at(&self, commit: &ObjectId) -> bool {
        !self.boundary.is_empty() && self.boundary.binary_search(commit).is_ok()
    }

    /// The changed-path filters of the commit-graph.
    pub(crate) fn bloom(&self) -> Option<Bloom> {
        let graph = self.graph.as_ref()?;
        Bloom::open(&self.repository.objects_dir().join("info"), graph.num_commits())
    }

    /// Reads an object into `buffer`.
    pub(crate) fn find(
        &self,
        objects: &mut Objects<'_>,
        id: ObjectId,
        kind: &'static str,
        buffer: &mut Vec<u8>,
    ) -> Result<Kind> {
        objects.find(id, buffer)?.ok_or_else(|| self.missing(kind, id))
    }

    pub(crate) fn missing(&self, kind: &'static str, id: ObjectId) -> HistoryError {
        let id = Id(id);
        if self.partial { HistoryError::Partial { kind, id } } else { HistoryError::Missing { kind, id } }
    }
}

/// Nothing counts but the repository itself.
fn options() -> gix::open::Options {
    gix::open::Options::isolated().with(Trust::Full)
}

fn head_error(error: impl std::fmt::Display) -> HistoryError {
    HistoryError::damaged("HEAD", error, REFS)
}

fn has_git(folder: &Path) -> bool {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    folder.ancestors().any(|folder| folder.join(".git").exists())
}

fn is_partial(local: &gix::Repository) -> bool {
    let config = local.config_snapshot();
    let file = config.plumbing();
    if file.string("extensions.partialClone").is_some() {
        return true;
    }
    let Some(remotes) = file.sections_by_name("remote") else { return false };
    remotes
        .into_iter()
        .any(|remote| remote.value("partialclonefilter").is_some() || remote.value("promisor").is_some())
}

fn graph(local: &gix::Repository) -> Result<Option<gix::commitgraph::Graph>> {
    match local.commit_graph() {
        Ok(graph) if graph.object_hash() == local.object_hash() => Ok(Some(graph)),
        Ok(_) => Ok(None),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(HistoryError::damaged(
            "the commit-graph",
            sanitize_line(&error.to_string()),
            "run `git commit-graph write --reachable`, which writes it anew",
        )),
    }
}
