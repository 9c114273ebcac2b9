//! What is on the hosts before anything is locked, each asked once: whether this very item brought the version to its
//! end, or what another one brought is just what would be brought now.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use windlass_core::config::Colour;
use windlass_engine::action::{ActionError, Result};
use windlass_engine::context::Context;

use super::drift::{self, Health, drift};
use super::lock::{Away, holds_lock, item, reached};
use super::release::{Release, images, pinned_all, refuse_others};
use super::tool::{Tool, call, variables};
use super::work::Work;
use super::{Request, Site, Wanted, at_once, health};
use crate::adapters::remote::{Kept, Record, RemoteError, Running, State};

/// What the hosts of an environment told of themselves.
pub(crate) struct There<'a> {
    pub(crate) context: &'a Context,
    pub(crate) site: &'a Site,
    pub(crate) wanted: &'a Wanted,
    request: &'a Request,
    tool: &'a Tool,
    /// The files that would be deployed; nothing where a script does it all.
    release: Option<Release>,
    /// What each host keeps and runs; nothing for one that is let pass.
    hosts: Vec<Option<(Kept, Option<Running>)>>,
    /// The hosts that are let pass.
    pub(crate) unreachable: Vec<String>,
}

impl<'a> There<'a> {
    /// Asks every host, all at the same time. What compose makes of the files is asked only where there are no colours: it
    /// is another one for each.
    ///
    /// # Errors
    /// When more hosts than may cannot be reached.
    pub(crate) async fn ask(
        request: &'a Request,
        tool: &'a Tool,
        site: &'a Site,
        wanted: &'a Wanted,
        has_colours: bool,
        context: &'a Context,
    ) -> Result<Self> {
        let release = match tool {
            // Files that cannot be read are told where they are put.
            Tool::Compose(_) => Release::of(site, wanted, context).await.ok(),
            Tool::Script(_) => None,
        };
        let mut this = Self {
            context,
            site,
            wanted,
            request,
            tool,
            release,
            hosts: Vec::new(),
            unreachable: Vec::new(),
        };
        let looks = match &this.release {
            Some(release) => {
                let work = this.work(0);
                let draft = work.draft(release, None);
                let environment = variables(site, &draft);
                let paths = if has_colours { Vec::new() } else { release.paths() };
                let call = call(&draft, &paths, &environment);
                at_once(site.hosts.iter().map(|host| host.survey(context, &call))).await
            }
            None => {
                let looks = site.look(context).await;
                looks.into_iter().map(|look| look.map(|kept| (kept, None))).collect()
            }
        };
        (this.hosts, this.unreachable) = reached(site, Away::Forward, looks, context)?;
        Ok(this)
    }

    /// What a host keeps, without its history; nothing for one that is let pass.
    pub(crate) fn kept(&self, index: usize) -> Option<&Kept> {
        self.hosts.get(index)?.as_ref().map(|(kept, _)| kept)
    }

    /// The names of the hosts that are there.
    pub(crate) fn names(&self) -> Vec<String> {
        self.there().map(|(index, ..)| self.site.hosts[index].name.clone()).collect()
    }

    /// What every host keeps, and the names of those that are let pass.
    pub(crate) fn into_kept(self) -> (Vec<Option<Kept>>, Vec<String>) {
        (self.hosts.into_iter().map(|host| host.map(|(kept, _)| kept)).collect(), self.unreachable)
    }

    /// The last record, when this very item brought the version to its end on every host, `is_whole` says so too, and
    /// what runs has not drifted from it.
    pub(crate) fn finished(&self, is_whole: impl Fn(&Record) -> bool) -> Option<&Record> {
        // Killed between its last word and giving the lock back: it goes on, and does that.
        if holds_lock(self.there().map(|(_, kept, _)| kept), self.context) {
            return None;
        }
        let mut found = None;
        for (_, kept, running) in self.there() {
            let record = kept.record.as_ref()?;
            let is_ours = record.state == State::Live
                && record.version == self.wanted.version
                && record.is_of(&self.context.run.0, &item(self.context));
            let stands = match (record.project.is_empty(), running) {
                (true, _) => matches!(self.tool, Tool::Script(_)),
                (false, running) => {
                    running.is_some_and(|running| drift(record, &running.containers).is_empty())
                }
            };
            if !is_ours || !is_whole(record) || !stands {
                return None;
            }
            found = Some(record);
        }
        found
    }

    /// The record of the first host, when every host has the version just as a deployment would leave it: the same files,
    /// variables and images, and the very containers that were brought up of them, healthy for as long as they must be.
    /// Whether the registry and the health check agree is not asked yet.
    pub(crate) fn alike(&self) -> Option<&Record> {
        let (Tool::Compose(composing), Some(release)) = (self.tool, &self.release) else { return None };
        // Then it is another secret in a file that makes the difference, and nobody sees it.
        if composing.recreate {
            return None;
        }
        // Whoever has the lock, or left it, may be changing what was told.
        if self.there().any(|(_, kept, _)| kept.lock.is_some()) {
            return None;
        }
        let fence = self.kept(0)?.fence;
        let first = self.kept(0)?.record.as_ref()?;
        let is_demanded = refuse_others(&first.images, &composing.images).is_ok();
        let all = self.there().all(|(_, kept, running)| {
            let (Some(record), Some(running)) = (&kept.record, running) else { return false };
            let is_wanted = record.state == State::Live
                && record.environment == self.site.name
                && (&record.version, &record.tag) == (&self.wanted.version, &self.wanted.tag)
                && record.colour.is_none()
                && (&record.release, &record.files) == (&release.name, &release.paths())
                && record.images == first.images;
            // One that answered before somebody else had the environment knows of a lower fence.
            is_wanted && kept.fence == fence && self.stands(kept, record, running)
        });
        (is_demanded && all).then_some(first)
    }

    /// Whether what runs on a host is what was brought up there, and healthy for as long as it must be.
    fn stands(&self, kept: &Kept, record: &Record, running: &Running) -> bool {
        let Ok((project, services)) = drift::services(&running.config) else { return false };
        let least = SignedDuration::try_from(self.site.environment.min_healthy.to_std());
        let is_old = |started: &str| {
            let age = kept.now.zip(started.parse().ok()).map(|(now, started)| now.duration_since(started));
            age.zip(least.as_ref().ok()).is_some_and(|(age, least)| age >= *least)
        };
        record.project == project
            && services.keys().eq(record.images.keys())
            && record.made.as_ref() == Some(&Running::mark(&running.config, &running.containers))
            && drift(record, &running.containers).is_empty()
            && matches!(drift::health(&services, &record.images, &running.containers), Health::Good(_))
            // Compose would start one that has ended, however well it did.
            && running.containers.iter().all(|found| found.state == "running" && is_old(&found.started))
    }

    /// Whether the version may be here, every health check passes, the registry still has the images of `record`, and
    /// nobody has had the environment since the hosts were asked.
    ///
    /// # Errors
    /// When the version may not be here, and when the run is cancelled.
    pub(crate) async fn is_confirmed(&self, record: &Record) -> Result<bool> {
        let (Some(kept), Some(first), Some(release)) = (self.kept(0), self.site.first(), &self.release)
        else {
            return Ok(false);
        };
        let work = self.work(kept.fence);
        work.promoted().await?;
        let asked = at_once(self.there().map(|(index, ..)| self.is_healthy(&work, Some(index)))).await;
        let asked = asked.into_iter().collect::<Result<Vec<bool>>>()?;
        if asked.contains(&false) || !self.is_healthy(&work, None).await? {
            return Ok(false);
        }
        let Some(Some((_, Some(running)))) = self.hosts.first() else { return Ok(false) };
        let Ok((_, services)) = drift::services(&running.config) else { return Ok(false) };
        let tags: Vec<&str> = images(&services);
        // A digest stays what it is.
        let tags: Vec<&str> = tags.into_iter().filter(|image| !image.contains("@sha256:")).collect();
        let draft = work.draft(release, None);
        let (paths, environment) = (release.paths(), variables(self.site, &draft));
        let call = call(&draft, &paths, &environment);
        // Under the fence that was found: whoever came since has a higher one.
        let resolved = match first.resolve(self.context, kept.fence, &call, &tags).await {
            Ok(resolved) => resolved,
            Err(error) => return not_cancelled(error).map(|()| false),
        };
        let is_same = |(name, service): (&String, &drift::Service)| {
            let known = BTreeMap::from([(name.clone(), service.clone())]);
            let found = match service.image.contains("@sha256:") {
                true => Some(service.image.clone()),
                false => {
                    pinned_all(&known, &tags, &resolved.digests).ok().and_then(|mut all| all.remove(name))
                }
            };
            found.is_some() && found.as_ref() == record.images.get(name)
        };
        Ok(resolved.fence == kept.fence && resolved.lock.is_none() && services.iter().all(is_same))
    }

    /// Whether the health check passes, of a host or of the whole environment; it does where there is none.
    async fn is_healthy(&self, work: &Work<'_>, index: Option<usize>) -> Result<bool> {
        let environment = &self.site.environment;
        let address = match index {
            Some(index) => work.own_address(index, None::<Colour>).await?,
            None => health::address(environment),
        };
        match address {
            Some(address) => {
                let problem = health::ask(environment, &address, &self.wanted.version, self.context).await?;
                Ok(problem.is_none())
            }
            None => Ok(true),
        }
    }

    fn there(&self) -> impl Iterator<Item = (usize, &Kept, Option<&Running>)> {
        let hosts = self.hosts.iter().enumerate();
        hosts.filter_map(|(index, host)| host.as_ref().map(|(kept, running)| (index, kept, running.as_ref())))
    }

    /// What would be at work under a fence.
    fn work(&self, fence: u64) -> Work<'a> {
        Work {
            context: self.context,
            site: self.site,
            request: self.request,
            tool: self.tool,
            wanted: self.wanted.clone(),
            fence,
            kept: self.hosts.iter().map(|host| host.as_ref().map(|(kept, _)| kept.clone())).collect(),
        }
    }
}

/// Nothing, unless the run was cancelled: then that is it.
fn not_cancelled(error: RemoteError) -> Result<()> {
    match ActionError::from(error) {
        ActionError::Cancelled => Err(ActionError::Cancelled),
        _ => Ok(()),
    }
}
