//! A version onto hosts batch by batch, and back again when it must be; each host out of the traffic meanwhile, where
//! proxies stand in front of them.
//!
//! Every host's state is on the host before anything is done to it, so that whoever comes after a crash knows.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use windlass_core::plan::Effect;
use windlass_engine::action::{ActionError, Probe, Result, Undone};
use windlass_engine::context::Context;

use super::doors::Doors;
use super::lock::{is_undo, let_go, locked};
use super::targets::{Targets, begun, own, targets};
use super::there::There;
use super::tool::Tool;
use super::work::Work;
use super::{Request, Site, Wanted};
use crate::adapters::proxy::{Admission, Server, Status};
use crate::adapters::remote::{Kept, Record, State};

mod back;
mod batches;

/// What is to be done, how, and whether the proxies are told.
#[derive(Debug)]
pub(crate) struct Order<'a> {
    pub(crate) request: &'a Request,
    pub(crate) tool: &'a Tool,
    /// A host gets no requests while it is changed.
    pub(crate) through_proxies: bool,
}

/// What a deployment batch by batch gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rolled {
    /// The environment.
    pub environment: String,
    /// The version that it has now.
    pub version: String,
    /// The version it had before.
    pub previous: Option<String>,
    /// The hosts that have the version.
    pub hosts: Vec<String>,
    /// The hosts where it did not come up and that were let pass.
    #[serde(default)]
    pub failed: Vec<String>,
    /// The hosts that could not be reached and were let pass.
    pub unreachable: Vec<String>,
    /// The image of each service, by digest.
    pub images: BTreeMap<String, String>,
    /// Something was changed; nothing when every host ran this very version already.
    pub changed: bool,
}

impl Order<'_> {
    /// Whether this very item has done it, by what the hosts say.
    pub(crate) async fn probe(&self, context: &Context) -> Result<Probe<Rolled>> {
        let wanted = self.request.wanted(context.world.release.as_deref())?;
        let site = Site::new(&self.request.environment, &self.request.target, context);
        if is_undo(context) {
            return self.half_way(&site, wanted, context).await;
        }
        let found = There::ask(self.request, self.tool, &site, &wanted, false, context).await?;
        let done = self.done(&found).await?;
        Ok(done.map_or(Probe::Absent, |output| Probe::Done(Rolled { changed: true, ..output })))
    }

    /// What this very item has done to its end, if it has.
    async fn done(&self, found: &There<'_>) -> Result<Option<Rolled>> {
        let Some(record) = found.finished(|_| true) else { return Ok(None) };
        let previous = record.previous.as_ref().map(|previous| previous.version.clone());
        Ok(self.all_get_requests(found).await?.then(|| self.rolled(found, previous, &record.images)))
    }

    /// What there is, when a deployment would change nothing of it.
    async fn nothing_to_do(&self, found: &There<'_>) -> Result<Option<Rolled>> {
        let Some(record) = found.alike() else { return Ok(None) };
        if !self.all_get_requests(found).await? || !found.is_confirmed(record).await? {
            return Ok(None);
        }
        found.context.log(&format!("every host has {} as it would be deployed", record.version));
        Ok(Some(self.rolled(found, Some(record.version.clone()), &record.images)))
    }

    /// Whether the proxies give every host requests, where they are told about hosts.
    async fn all_get_requests(&self, found: &There<'_>) -> Result<bool> {
        let is_there = |index: usize| found.kept(index).is_some();
        let doors = self.doors(found.site, found.context, is_there).await?;
        let out = |(server, status): &(Server, Status)| {
            is_there(server.host) && status.admission != Admission::Ready
        };
        Ok(!doors.look(found.context).await?.iter().any(out))
    }

    fn rolled(
        &self,
        found: &There<'_>,
        previous: Option<String>,
        images: &BTreeMap<String, String>,
    ) -> Rolled {
        Rolled {
            environment: self.request.environment.clone(),
            version: found.wanted.version.clone(),
            previous,
            hosts: found.names(),
            failed: Vec::new(),
            unreachable: found.unreachable.clone(),
            images: images.clone(),
            changed: false,
        }
    }

    /// What there is to take back, however far it came.
    async fn half_way(&self, site: &Site, wanted: Wanted, context: &Context) -> Result<Probe<Rolled>> {
        let Some(records) = begun(site, &wanted.version, context).await? else { return Ok(Probe::Absent) };
        let previous = records.iter().find_map(|record| record.previous.as_ref());
        Ok(Probe::Done(Rolled {
            environment: site.name.clone(),
            version: wanted.version,
            previous: previous.map(|previous| previous.version.clone()),
            hosts: site.hosts.iter().map(|host| host.name.clone()).collect(),
            failed: Vec::new(),
            unreachable: Vec::new(),
            images: records.first().map(|record| record.images.clone()).unwrap_or_default(),
            changed: true,
        }))
    }

    /// Deploys.
    pub(crate) async fn run(&self, context: &Context, effect: Effect) -> Result<Rolled> {
        let wanted = self.request.wanted(context.world.release.as_deref())?;
        let site = Site::new(&self.request.environment, &self.request.target, context);
        let found = There::ask(self.request, self.tool, &site, &wanted, false, context).await?;
        // Then there is nothing to lock.
        if let Some(output) = self.done(&found).await? {
            return Ok(output);
        }
        if let Some(output) = self.nothing_to_do(&found).await? {
            return Ok(output);
        }
        let (kept, unreachable) = found.into_kept();
        let (site, wanted) = (&site, wanted.clone());
        let work = |fence, kept: Vec<Option<Kept>>| async move {
            let doors = self.doors(site, context, |index| kept[index].is_some()).await?;
            if self.through_proxies && doors.is_empty() {
                context.log("no proxy is configured: hosts get requests also while they are changed");
            }
            let (request, tool) = (self.request, self.tool);
            let work = Work { context, site, request, tool, wanted, fence, kept };
            Rollout { work, doors }.forward(&unreachable).await
        };
        let output = locked(site, context, kept, work).await;
        if let Ok(output) = &output
            && output.changed
        {
            context.changed(effect);
        }
        output
    }

    /// Puts back what was there before, on every host that still has what this item deployed.
    pub(crate) async fn undo(&self, version: &str, context: &Context) -> Result<Undone> {
        let site = Site::new(&self.request.environment, &self.request.target, context);
        self.put_back(version, &site, targets(&site, &own(version, context), context).await, context).await
    }

    /// Puts back what was there before, on every host of `targets`.
    pub(crate) async fn put_back(
        &self,
        version: &str,
        site: &Site,
        targets: Targets,
        context: &Context,
    ) -> Result<Undone> {
        let told = targets.told();
        let Targets { records: targets, kept, .. } = targets;
        if targets.is_empty() {
            let_go(site, kept.iter().map(Option::as_ref), context).await?;
            return Ok(match told.is_empty() {
                true => Undone::NothingToDo,
                false => Undone::NeedsHuman(format!("it is not known what runs: {}", told.join("; "))),
            });
        }
        let wanted = Wanted { version: version.to_owned(), tag: String::new() };
        let targets = &targets;
        let work = |fence, kept: Vec<Option<Kept>>| async move {
            let doors = self.doors(site, context, |index| kept[index].is_some()).await?;
            let (request, tool) = (self.request, self.tool);
            let work = Work { context, site, request, tool, wanted, fence, kept };
            let rollout = Rollout { work, doors };
            let without_traffic = rollout.without_traffic().await?;
            // Everyone who asks whether it passed here must hear that it did not stay. Once.
            for (index, record) in targets.iter().filter(|(_, record)| record.state == State::Live) {
                let withdrawn = Record { state: State::Withdrawn, fence, ..record.clone() };
                rollout.work.host(*index).write(context, &withdrawn, true).await?;
            }
            let back = rollout.revert_all(targets, &without_traffic).await;
            let served = match back.iter().all(|(_, result)| result.is_ok()) {
                true => rollout.serves_again(targets).await,
                // Nobody knows what customers should get then.
                false => Ok(()),
            };
            Ok((back, served))
        };
        let (back, served) = locked(site, context, kept, work).await?;
        let mut reverted = Vec::new();
        let mut stuck = told;
        for (index, result) in back {
            match result {
                Ok(what) => reverted.push(format!("{}: {what}", site.hosts[index].name)),
                Err(ActionError::Cancelled) => return Err(ActionError::Cancelled),
                Err(error) => {
                    stuck.push(format!("{} could not be put back: {error}", site.hosts[index].name))
                }
            }
        }
        match served {
            Ok(()) => {}
            Err(ActionError::Cancelled) => return Err(ActionError::Cancelled),
            Err(error) => stuck.push(format!("customers do not get it: {error}")),
        }
        let done = reverted.join("; ");
        Ok(match stuck.is_empty() {
            true => Undone::Reverted(done),
            false if done.is_empty() => Undone::NeedsHuman(stuck.join("; ")),
            false => Undone::NeedsHuman(format!("{}; {done}", stuck.join("; "))),
        })
    }

    async fn doors(&self, site: &Site, context: &Context, is_there: impl Fn(usize) -> bool) -> Result<Doors> {
        match self.through_proxies {
            true => Doors::of(site, context, is_there).await,
            false => Ok(Doors::default()),
        }
    }
}

/// A host where a deployment failed.
#[derive(Debug)]
struct Failure {
    index: usize,
    error: ActionError,
    /// It had the version, and may have traffic: it does not answer any more.
    is_lost: bool,
}

/// A version on its way to the hosts of an environment, batch by batch.
struct Rollout<'a> {
    work: Work<'a>,
    doors: Doors,
}
