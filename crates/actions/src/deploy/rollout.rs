//! A version onto hosts batch by batch, and back again when it must be; each host out of the traffic meanwhile, where
//! proxies stand in front of them.
//!
//! Every host's state is on the host before anything is done to it, so that whoever comes after a crash knows.

use std::collections::BTreeMap;

use futures::future::join_all;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use windlass_core::config::OnAbort;
use windlass_core::plan::Effect;
use windlass_engine::action::{ActionError, Probe, Result, Undone};
use windlass_engine::context::Context;

use super::doors::Doors;
use super::lock::{is_undo, let_go, locked};
use super::release::Release;
use super::targets::{Targets, begun, own, targets};
use super::there::There;
use super::tool::{Brought, Tool};
use super::work::Work;
use super::{Request, Site, Wanted, at_once, health, pause};
use crate::adapters::proxy::{Admission, Server, Status};
use crate::adapters::remote::{Kept, Record, State};

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
        let Targets { records: targets, kept, told } = targets;
        if targets.is_empty() {
            let_go(site, kept.first().and_then(Option::as_ref), context).await?;
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

/// A version on its way to the hosts of an environment, batch by batch.
struct Rollout<'a> {
    work: Work<'a>,
    doors: Doors,
}

impl Rollout<'_> {
    async fn forward(&self, unreachable: &[String]) -> Result<Rolled> {
        let work = &self.work;
        self.doors.check(work).await?;
        let release = work.ready_release(None).await?;
        let draft = work.draft(&release, None);
        // Now, not when it was planned: what is about to be touched must be what may be touched.
        work.promoted().await?;
        self.leaves_servers()?;
        let (brought, failed) = self.batches(&release, &draft, unreachable.len()).await?;
        let deployed: Vec<usize> = brought.keys().copied().collect();
        let own = |(index, brought): (&usize, &Brought)| {
            (*index, Record { made: brought.made.clone(), ..draft.clone() })
        };
        work.live(&brought.iter().map(own).collect::<Vec<_>>()).await?;
        Ok(Rolled {
            environment: work.request.environment.clone(),
            version: work.wanted.version.clone(),
            previous: work.previous().map(|record| record.version.clone()),
            hosts: work.names(&deployed),
            failed: work.names(&failed),
            unreachable: unreachable.to_vec(),
            images: release.images,
            changed: brought.values().any(|brought| brought.changed),
        })
    }

    /// Batch after batch. Gives what it came to by host, and the hosts that failed and were let pass.
    async fn batches(
        &self,
        release: &Release,
        draft: &Record,
        unreachable: usize,
    ) -> Result<(BTreeMap<usize, Brought>, Vec<usize>)> {
        let (work, environment) = (&self.work, &self.work.site.environment);
        let reached = work.reached();
        let mut touched: Vec<usize> = Vec::new();
        let mut failures: Vec<(usize, ActionError)> = Vec::new();
        let mut brought = BTreeMap::new();
        let turns = environment.turns(reached.len());
        let last = turns.len().saturating_sub(1);
        for (number, turn) in turns.into_iter().enumerate() {
            let hosts = reached.get(turn).unwrap_or_default();
            if let Err(error) = self.drain(hosts, release, draft).await {
                return Err(self.given_up(error, draft, &touched, &failures).await);
            }
            touched.extend(hosts);
            let results = at_once(hosts.iter().map(|index| self.update(*index, release, draft))).await;
            let mut good = Vec::new();
            for (index, result) in hosts.iter().zip(results) {
                match result {
                    Ok(this) => {
                        brought.insert(*index, this);
                        good.push(*index);
                    }
                    Err(ActionError::Cancelled) => return Err(ActionError::Cancelled),
                    Err(error) => {
                        work.context.log(&format!("{}: {error}", work.host(*index).name));
                        failures.push((*index, error));
                    }
                }
            }
            // Whoever has the environment now decides what becomes of the hosts.
            work.still_ours().await?;
            if let Err(error) = self.admit(&good, draft).await {
                return Err(self.given_up(error, draft, &touched, &failures).await);
            }
            if unreachable + failures.len() > environment.max_failures as usize {
                return Err(self.abort(draft, &touched, &failures, None).await);
            }
            if number < last {
                pause(work.context, environment.pause.to_std()).await?;
            }
        }
        if let Some(address) = health::address(environment) {
            let ready = work.request.ready.to_std();
            let asked = health::wait(environment, &address, &work.wanted.version, ready, work.context).await;
            if let Err(error) = asked {
                let error = match error {
                    ActionError::Cancelled => return Err(error),
                    error => ActionError::Failed(format!(
                        "every host came up, but the health check did not pass: {error}"
                    )),
                };
                return Err(self.given_up(error, draft, &touched, &failures).await);
            }
        }
        // Those that failed and were let pass do not stay with what does not work.
        for (index, _) in &failures {
            match environment.on_abort {
                OnAbort::Revert => {
                    let target = (*index, work.record(*index, draft, State::Failed));
                    for (_, result) in self.revert(&[&target], false).await {
                        result?;
                    }
                }
                OnAbort::Hold => work.write(*index, draft, State::Failed).await?,
            }
        }
        Ok((brought, failures.into_iter().map(|(index, _)| index).collect()))
    }

    /// Whether a host has the version already, by this very item.
    async fn has_it(&self, index: usize, release: &Release, draft: &Record) -> Result<bool> {
        let far = |record: &Record| matches!(record.state, State::Proven | State::Updated | State::Live);
        match self.work.ours(index).is_some_and(far) {
            true => self.work.is_up(index, draft, release).await,
            false => Ok(false),
        }
    }

    /// Takes hosts out of the traffic, those that are to be changed. When that fails, they get it back.
    async fn drain(&self, hosts: &[usize], release: &Release, draft: &Record) -> Result<()> {
        if self.doors.is_empty() {
            return Ok(());
        }
        let mut changing = Vec::new();
        for index in hosts {
            if !self.has_it(*index, release, draft).await? {
                changing.push(*index);
            }
        }
        if changing.is_empty() {
            return Ok(());
        }
        let drained = async {
            for index in &changing {
                self.work.write(*index, draft, State::Draining).await?;
            }
            self.work.context.log(&format!("{}: no new requests", self.work.names(&changing).join(", ")));
            self.out(&changing).await
        };
        let Err(error) = drained.await else { return Ok(()) };
        // Nothing was changed on them yet: they go on with what they have. What an earlier process of this run began
        // there is not known, though, and is left to the way back.
        let context = self.work.outside();
        let work = Work { context: &context, ..self.work.clone() };
        let again = Rollout { work, doors: self.doors.clone() };
        for index in changing.iter().filter(|index| self.work.ours(**index).is_none()) {
            if let Err(also) = again.goes_on(*index).await {
                context.log(&format!("{} is still out of the traffic: {also}", self.work.host(*index).name));
            }
        }
        Err(error)
    }

    /// A host that was drained and not changed gets its traffic and its record back.
    async fn goes_on(&self, index: usize) -> Result<()> {
        let work = &self.work;
        let Some(before) = work.before(index) else {
            return Ok(work.host(index).forget(work.context, work.fence).await?);
        };
        self.doors.steer(work, |server| (server.host == index).then_some((Admission::Ready, None))).await?;
        let before = work.kept[index].as_ref().map_or_else(|| before.alone(), |kept| kept.whole(before));
        let record = Record { fence: work.fence, ..before };
        Ok(work.host(index).write(work.context, &record, false).await?)
    }

    /// No traffic for these hosts: what they have ends, and nothing new comes.
    async fn out(&self, hosts: &[usize]) -> Result<()> {
        let is_one = |server: &Server| hosts.contains(&server.host);
        let to = |admission| move |server: &Server| hosts.contains(&server.host).then_some((admission, None));
        self.doors.steer(&self.work, to(Admission::Drain)).await?;
        self.doors.drained(&self.work, is_one).await?;
        self.doors.steer(&self.work, to(Admission::Maintenance)).await
    }

    /// Hosts that are healthy get traffic again.
    async fn admit(&self, hosts: &[usize], draft: &Record) -> Result<()> {
        if self.doors.is_empty() || hosts.is_empty() {
            return Ok(());
        }
        let wish = |server: &Server| hosts.contains(&server.host).then_some((Admission::Ready, None));
        self.doors.steer(&self.work, wish).await?;
        for index in hosts {
            let is_far = |record: &Record| matches!(record.state, State::Updated | State::Live);
            if !self.work.ours(*index).is_some_and(is_far) {
                self.work.write(*index, draft, State::Updated).await?;
            }
        }
        Ok(())
    }

    /// One host gets the version.
    async fn update(&self, index: usize, release: &Release, draft: &Record) -> Result<Brought> {
        let (work, host) = (&self.work, self.work.host(index));
        if self.has_it(index, release, draft).await? {
            work.context.log(&format!("{} has {} already", host.name, work.wanted.version));
            let made = work.ours(index).and_then(|record| record.made.clone());
            return Ok(Brought { changed: false, made });
        }
        work.context.log(&format!("{}: {} comes up", host.name, work.wanted.version));
        let record = work.record(index, draft, State::Updating);
        let brought = work.bring_up(index, &record, release, true).await?;
        work.answers(index, &record).await?;
        let state = if self.doors.is_empty() { State::Updated } else { State::Proven };
        work.write(index, &Record { made: brought.made.clone(), ..draft.clone() }, state).await?;
        Ok(brought)
    }

    /// Gives up for a reason that is no host's own.
    async fn given_up(
        &self,
        error: ActionError,
        draft: &Record,
        touched: &[usize],
        failures: &[(usize, ActionError)],
    ) -> ActionError {
        match error {
            ActionError::Cancelled => ActionError::Cancelled,
            error => self.abort(draft, touched, failures, Some(&error)).await,
        }
    }

    /// Gives the deployment up: reverts or holds, and says so.
    async fn abort(
        &self,
        draft: &Record,
        touched: &[usize],
        failures: &[(usize, ActionError)],
        other: Option<&ActionError>,
    ) -> ActionError {
        let work = &self.work;
        let mut told: Vec<String> = failures.iter().map(|(_, error)| error.to_string()).collect();
        told.extend(other.map(ToString::to_string));
        let told = told.join("; ");
        if work.site.environment.on_abort == OnAbort::Hold {
            for (index, _) in failures {
                if let Err(error) = work.write(*index, draft, State::Failed).await {
                    work.context.log(&error.to_string());
                }
            }
            return ActionError::Final(format!(
                "{told}; the deployment was given up, and every host stays as it is (on_abort = \"hold\"): look with \
                 `windlass env {}`",
                work.site.name
            ));
        }
        let targets: Vec<(usize, Record)> =
            touched.iter().map(|index| (*index, work.record(*index, draft, State::Reverting))).collect();
        let failed: Vec<usize> = failures.iter().map(|(index, _)| *index).collect();
        let mut back = BTreeMap::<String, Vec<&str>>::new();
        let mut stuck = Vec::new();
        for (index, result) in self.revert_all(&targets, &failed).await {
            let name = work.host(index).name.as_str();
            match result {
                Ok(what) => back.entry(what).or_default().push(name),
                Err(error) => stuck.push(format!("{name} could not be put back: {error}")),
            }
        }
        let back: Vec<String> =
            back.iter().map(|(what, hosts)| format!("{}: {what}", hosts.join(", "))).collect();
        let back = back.into_iter().chain(stuck).collect::<Vec<_>>().join("; ");
        let back = if back.is_empty() { "nothing was touched".to_owned() } else { back };
        ActionError::Final(format!("{told}; the deployment was given up: {back}"))
    }

    /// Waits until customers get what was put back, where there is one front door and one version behind it.
    async fn serves_again(&self, targets: &[(usize, Record)]) -> Result<()> {
        let work = &self.work;
        let Some(address) = health::address(&work.site.environment) else { return Ok(()) };
        let mut versions = targets.iter().map(|(_, record)| record.previous.as_ref().map(|had| &had.version));
        match versions.next() {
            Some(Some(version)) if versions.all(|other| other == Some(version)) => {
                let ready = work.request.ready.to_std();
                health::wait(&work.site.environment, &address, version, ready, work.context).await
            }
            _ => Ok(()),
        }
    }

    /// The hosts that no proxy gives traffic: a deployment that stopped half-way may have left some so.
    async fn without_traffic(&self) -> Result<Vec<usize>> {
        let statuses = self.doors.look(self.work.context).await?;
        let has_traffic = |index: usize| {
            let own = |(server, status): &(Server, Status)| {
                server.host == index && status.admission == Admission::Ready
            };
            statuses.iter().any(own)
        };
        Ok(self.work.reached().into_iter().filter(|index| !has_traffic(*index)).collect())
    }

    /// Puts back what was on these hosts. With proxies those without traffic come first, and the others by turns, so
    /// that some always have it.
    async fn revert_all(
        &self,
        targets: &[(usize, Record)],
        without_traffic: &[usize],
    ) -> Vec<(usize, Result<String>)> {
        let mut results = Vec::new();
        let (first, rest): (Vec<_>, Vec<_>) =
            targets.iter().partition(|(index, _)| self.doors.is_empty() || without_traffic.contains(index));
        let turns = self.work.site.environment.turns(rest.len());
        let turns = turns.into_iter().filter_map(|turn| Some((rest.get(turn)?, true)));
        for (hosts, drain) in std::iter::once((first.as_slice(), false)).chain(turns) {
            results.extend(self.revert(hosts, drain).await);
        }
        results
    }

    /// Puts back what was on these hosts before `ours`, at the same time. Gives what was done on each, in words.
    async fn revert(&self, targets: &[&(usize, Record)], drain: bool) -> Vec<(usize, Result<String>)> {
        let work = &self.work;
        let all = |error: &ActionError| -> Vec<(usize, Result<String>)> {
            targets.iter().map(|(index, _)| (*index, Err(error.clone()))).collect()
        };
        let hosts: Vec<usize> = targets.iter().map(|(index, _)| *index).collect();
        let begun = async {
            for (index, ours) in targets {
                let at = work.now();
                let ours = Record { fence: work.fence, state: State::Reverting, at, ..ours.clone() };
                work.host(*index).write(work.context, &ours, false).await?;
            }
            match drain && !self.doors.is_empty() {
                true => self.out(&hosts).await,
                false => Ok(()),
            }
        };
        if let Err(error) = begun.await {
            return all(&error);
        }
        let put: Vec<Result<Option<&Record>>> = join_all(targets.iter().map(|(index, ours)| async move {
            let Some(previous) = ours.previous.as_deref() else {
                work.take_down(*index, ours).await?;
                return Ok(None);
            };
            work.put_back(*index, previous).await?;
            work.answers(*index, previous).await?;
            Ok(Some(previous))
        }))
        .await;
        let good: Vec<usize> = hosts
            .iter()
            .zip(&put)
            .filter(|(_, put)| matches!(put, Ok(Some(_))))
            .map(|(index, _)| *index)
            .collect();
        let wish = |server: &Server| good.contains(&server.host).then_some((Admission::Ready, None));
        if let Err(error) = self.doors.steer(work, wish).await {
            return all(&error);
        }
        let ended = hosts.iter().zip(put).map(|(index, put)| async move {
            let host = work.host(*index);
            let Some(previous) = put? else {
                host.forget(work.context, work.fence).await?;
                return Ok("empty again, as before".to_owned());
            };
            let whole =
                work.kept[*index].as_ref().map_or_else(|| previous.alone(), |kept| kept.whole(previous));
            let record = Record { fence: work.fence, at: work.now(), state: State::Live, ..whole };
            host.write(work.context, &record, true).await?;
            Ok(format!("back to {}", previous.version))
        });
        let ended: Vec<Result<String>> = join_all(ended).await;
        hosts.into_iter().zip(ended).collect()
    }

    /// Refuses to take all servers of a proxy out of the traffic at once.
    fn leaves_servers(&self) -> Result<()> {
        let work = &self.work;
        if work.previous().is_none() {
            return Ok(());
        }
        let reached = work.reached();
        for turn in work.site.environment.turns(reached.len()) {
            let hosts = reached.get(turn).unwrap_or_default();
            for servers in self.doors.servers() {
                if servers.iter().all(|server| hosts.contains(&server.host)) {
                    return Err(ActionError::Final(format!(
                        "{} would be changed together, and a proxy has no other server meanwhile: make `batches` smaller, \
                         name one proxy for all hosts in `proxy.hosts`, or use deploy.blue_green; nothing was touched",
                        work.names(hosts).join(", ")
                    )));
                }
            }
        }
        Ok(())
    }
}
