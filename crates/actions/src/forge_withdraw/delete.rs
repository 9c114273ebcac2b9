//! A release that is deleted, then its tag on the remote and here.
//!
//! In this order: of a tag that goes first, GitHub makes the release a draft, and GitLab keeps it without one
//! (<https://gitlab.com/gitlab-org/gitlab/-/issues/350097>). The tag's object stays here under `refs/windlass/withdrawn/`,
//! so that git does not forget it. Nothing is deleted while the tag names something else than it should anywhere.

use windlass_engine::action::{ActionError, Probe, Result, Undone};
use windlass_engine::context::Context;

use super::record::{self, Kept, Record};
use super::{Asked, How, Output};
use crate::adapters::forge::{Forge, Release};
use crate::adapters::git::{Git, git};

/// What is there of a release and its tag.
struct There {
    release: Option<Release>,
    /// The object that the remote's tag names.
    remote: Option<String>,
    /// The commit that it names in the end.
    remote_commit: Option<String>,
    /// The object that the tag here names.
    local: Option<String>,
}

pub(super) async fn probe(asked: &Asked<'_>, forge: &Forge, context: &Context) -> Result<Probe<Output>> {
    let there = There::look(asked, forge, context).await?;
    let record = Record::read(asked, context)?;
    // Taken back is also what came only half-way.
    let is_begun = context.is_undo() && record.is_some();
    Ok(match there.is_nothing() || is_begun {
        true if record.is_some() || is_kept(asked, context).await? => {
            Probe::Done(output(asked, record.unwrap_or_default()))
        }
        true => Probe::Conflict(nothing(asked)),
        false => Probe::Absent,
    })
}

pub(super) async fn run(asked: &Asked<'_>, forge: &Forge, context: &Context) -> Result<Output> {
    let repository = Git::of(context);
    let there = There::look(asked, forge, context).await?;
    let known = Record::read(asked, context)?;
    if there.is_nothing() {
        return match known.is_some() || is_kept(asked, context).await? {
            true => Ok(output(asked, known.unwrap_or_default())),
            false => Err(ActionError::Final(nothing(asked))),
        };
    }
    let mut record = known.unwrap_or_default();
    there.check(asked, forge, &record, &repository).await?;
    if let (Some(kept), Some(found)) = (&record.release, &there.release)
        && kept.id != found.id
    {
        return Err(ActionError::Final(format!(
            "somebody made the release of {} again, see {}: look yourself whether it is to go, too",
            asked.place(),
            found.url
        )));
    }
    record.release = record.release.or(there.release.as_ref().map(Kept::from));
    record.object = record.object.or(there.local.clone()).or(there.remote.clone());
    record.remote |= there.remote.is_some();
    record.local |= there.local.is_some();
    record.write(asked, context)?;
    if let Some(object) = there.local.as_ref().or(there.remote.as_ref()) {
        keep(asked, object, there.local.is_none(), &repository).await?;
    }

    if let Some(found) = &there.release {
        forge.delete(&asked.tag, found).await?;
        context.changed(asked.deleted());
        context.log(&format!("deleted the release of {}", asked.place()));
    }
    if let Some(object) = &there.remote {
        delete_there(asked, object, &repository).await?;
        context.changed(asked.deleted_there());
    }
    if let Some(object) = &there.local {
        repository.act(["update-ref", "-d", &asked.full, object], None).await?;
        context.changed(asked.deleted_here());
    }
    context.log(&format!(
        "the tag {0} is deleted, and kept here as {1}; so that its version is never used again, list it in windlass.toml \
         under [version] withdrawn",
        asked.tag,
        kept_as(asked)
    ));
    Ok(output(asked, record))
}

pub(super) async fn undo(
    asked: &Asked<'_>,
    forge: &Forge,
    output: &Output,
    context: &Context,
) -> Result<Undone> {
    let repository = Git::of(context);
    let there = There::look(asked, forge, context).await?;
    let object = output.object.as_deref();
    let is_other = |found: &Option<String>| found.is_some() && found.as_deref() != object;
    if is_other(&there.local) || is_other(&there.remote) {
        return Ok(Undone::NeedsHuman(format!(
            "somebody made the tag {} again, and it names something else now: look yourself what is meant",
            asked.tag
        )));
    }
    let local = output.local && there.local.is_none();
    let remote = output.remote.as_ref().filter(|_| there.remote.is_none());
    let release = output.before.as_ref().filter(|_| there.release.is_none());
    if !local && remote.is_none() && release.is_none() {
        forget(asked, &repository, context).await?;
        return Ok(Undone::NothingToDo);
    }
    let Some(object) = object.filter(|_| release.is_none() || output.files.is_empty()) else {
        return Ok(Undone::NeedsHuman(by_hand(asked, output, context)));
    };
    if repository.object(&kept_as(asked)).await?.as_deref() != Some(object) {
        return Ok(Undone::NeedsHuman(format!(
            "the tag {} cannot be put back, because {} is gone; its object was {object}",
            asked.tag,
            kept_as(asked)
        )));
    }
    let mut told = Vec::new();
    if local {
        // Nothing there before, or it is somebody's.
        repository.act(["update-ref", &asked.full, object, ""], None).await?;
        told.push(format!("made the tag {} again", asked.tag));
    }
    if let Some(remote) = remote {
        put_there(asked, object, remote, &repository).await?;
        told.push(format!("pushed it to {remote}"));
    }
    if let Some(content) = release {
        forge.create(&asked.tag, content).await?;
        told.push("made its release again, which has today's date".to_owned());
    }
    forget(asked, &repository, context).await?;
    Ok(Undone::Reverted(told.join(", ")))
}

impl There {
    async fn look(asked: &Asked<'_>, forge: &Forge, context: &Context) -> Result<Self> {
        let (repository, full) = (Git::of(context), &asked.full);
        let refs = repository.remote_refs(&asked.params.remote, std::slice::from_ref(full)).await?;
        let remote = refs.get(full).cloned();
        Ok(Self {
            release: forge.find(&asked.tag).await?,
            remote_commit: refs.get(&format!("{full}^{{}}")).or(remote.as_ref()).cloned(),
            remote,
            local: repository.object(full).await?,
        })
    }

    fn is_nothing(&self) -> bool {
        self.release.is_none() && self.remote.is_none() && self.local.is_none()
    }

    /// The tag must name everywhere what it should.
    async fn check(&self, asked: &Asked<'_>, forge: &Forge, record: &Record, repository: &Git) -> Result<()> {
        let (tag, remote) = (&asked.tag, &asked.params.remote);
        let refuse = |place: &str, found: &str, meant: &str| {
            let (found, meant) = (crate::short(found), crate::short(meant));
            Err(ActionError::Final(format!(
                "the tag {tag} {place} names {found} and not {meant}: nothing is deleted, look yourself which is meant"
            )))
        };
        if let Some(commit) = &asked.params.commit {
            let meant = repository.require_commit(commit).await?;
            let here = repository.commit(&asked.full).await?;
            for (place, found) in
                [("here".to_owned(), here), (format!("on {remote}"), self.remote_commit.clone())]
            {
                if let Some(found) = found.filter(|found| *found != meant) {
                    return refuse(&place, &found, &meant);
                }
            }
        }
        match (&self.remote, self.local.as_ref().or(record.object.as_ref())) {
            (Some(there), Some(meant)) if there != meant => {
                return refuse(&format!("on {remote}"), there, meant);
            }
            (Some(_), None) if asked.params.commit.is_none() => {
                return Err(ActionError::Final(format!(
                    "there is no tag {tag} here that could say what it must name on {remote}: fetch it with `git fetch \
                     {remote} tag {tag}`, or say it in `commit`"
                )));
            }
            _ => {}
        }
        if let Some(known) = forge.tag(tag).await? {
            let ours = [&self.remote, &self.remote_commit];
            if !ours.into_iter().flatten().any(|id| known.ids.contains(id)) {
                return Err(ActionError::Final(format!(
                    "the tag {} is not the one on {remote}: nothing is deleted, check [forge] and the remote's address",
                    asked.place()
                )));
            }
        }
        Ok(())
    }
}

/// Where the tag is kept after it was deleted.
fn kept_as(asked: &Asked<'_>) -> String {
    format!("refs/windlass/withdrawn/{}", asked.tag)
}

async fn is_kept(asked: &Asked<'_>, context: &Context) -> Result<bool> {
    Ok(Git::of(context).object(&kept_as(asked)).await?.is_some())
}

/// Keeps the tag's object from being forgotten.
async fn keep(asked: &Asked<'_>, object: &str, is_there_only: bool, repository: &Git) -> Result<()> {
    let kept = kept_as(asked);
    if is_there_only {
        let remote = &asked.params.remote;
        let command = repository.to_remote(git()).await?.args([
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            "--end-of-options",
            remote,
        ]);
        let command = command.arg(format!("+{}:{kept}", asked.full));
        let finished = repository.finish(command.clone()).await?;
        if !finished.success() {
            return Err(repository.failure(&command, &finished));
        }
        return Ok(());
    }
    repository.act(["update-ref", &kept, object], None).await.map(drop)
}

/// Deletes the tag on the remote, when it still names `object`.
async fn delete_there(asked: &Asked<'_>, object: &str, repository: &Git) -> Result<()> {
    let (full, remote) = (&asked.full, &asked.params.remote);
    let lease = format!("--force-with-lease={full}:{object}");
    let told = push(&lease, remote, &format!(":{full}"), repository).await?;
    // Asked even after a failure: the connection may have broken after it was done.
    match repository.remote_refs(remote, std::slice::from_ref(full)).await {
        Ok(refs) if !refs.contains_key(full) => Ok(()),
        _ => Err(ActionError::Failed(format!(
            "{remote} does not delete the tag {}: {told}; its release is deleted already. A rule on the forge may protect \
             such tags: allow it there, and retry",
            asked.tag
        ))),
    }
}

/// Pushes the tag to the remote again, when it has none.
async fn put_there(asked: &Asked<'_>, object: &str, remote: &str, repository: &Git) -> Result<()> {
    let full = &asked.full;
    let told =
        push(&format!("--force-with-lease={full}:"), remote, &format!("{object}:{full}"), repository).await?;
    match repository.remote_refs(remote, std::slice::from_ref(full)).await {
        Ok(refs) if refs.get(full).is_some_and(|there| there == object) => Ok(()),
        _ => Err(ActionError::Failed(format!("{remote} does not take the tag {} again: {told}", asked.tag))),
    }
}

/// Pushes one ref, and gives what git said about it.
async fn push(lease: &str, remote: &str, refs: &str, repository: &Git) -> Result<String> {
    let command = repository.to_remote(git()).await?.args(["push", "--no-follow-tags", "--no-signed"]);
    let command = command.args([lease, "--end-of-options", remote, refs]);
    let finished = repository.finish(command).await?;
    Ok(repository.words(&finished.stderr))
}

/// All is as it was.
async fn forget(asked: &Asked<'_>, repository: &Git, context: &Context) -> Result<()> {
    let kept = kept_as(asked);
    if repository.object(&kept).await?.is_some() {
        repository.act(["update-ref", "-d", &kept], None).await?;
    }
    Record::forget(asked, context);
    Ok(())
}

fn nothing(asked: &Asked<'_>) -> String {
    format!(
        "there is neither a release of {} nor a tag {}, here or on {}: there is nothing to withdraw",
        asked.place(),
        asked.tag,
        asked.params.remote
    )
}

fn output(asked: &Asked<'_>, record: Record) -> Output {
    let (before, id, url, files) = match record.release {
        Some(Kept { id, url, content, files }) => (Some(content), id, url, files),
        None => (None, String::new(), String::new(), Vec::new()),
    };
    Output {
        tag: asked.tag.clone(),
        how: How::Delete,
        url,
        id,
        content: None,
        before,
        files,
        object: record.object,
        remote: record.remote.then(|| asked.params.remote.clone()),
        local: record.local,
    }
}

/// What a person does where the release had files, which went with it.
fn by_hand(asked: &Asked<'_>, output: &Output, context: &Context) -> String {
    let (tag, full, kept) = (&asked.tag, &asked.full, kept_as(asked));
    let mut commands = vec![format!("`git update-ref {full} {kept}`")];
    commands.extend(output.remote.as_ref().map(|remote| format!("`git push {remote} {kept}:{full}`")));
    format!(
        "the release of {} had files that went with it ({}): put the tag {tag} back with {}, then make the release again \
         with its files; its text is kept in {}",
        asked.place(),
        output.files.join(", "),
        commands.join(" and "),
        record::text(asked, context)
    )
}
