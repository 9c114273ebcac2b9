//! A version into the colour without traffic, proven there, and then the traffic to it, all at once or by shares; the
//! other colour stays as it is, so that the way back is one message.
//!
//! Until every host has the version and it was proven, no proxy is told anything. What is about to be done is in every
//! host's record before it is done, so that whoever comes after a crash goes on, or back to one colour.

use std::collections::BTreeMap;

use futures::future::join_all;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use windlass_core::config::{Colour, OnAbort};
use windlass_core::plan::Effect;
use windlass_engine::action::{ActionError, Probe, Result, Undone};
use windlass_engine::context::Context;

use super::doors::{self, Doors, Wish};
use super::drift::drift;
use super::lock::{is_undo, let_go, locked};
use super::release::Release;
use super::targets::{Targets, begun, own, targets};
use super::there::There;
use super::tool::{Scripts, Tool};
use super::work::Work;
use super::{Request, Site, Wanted, at_once, health, pause};
use crate::adapters::proxy::{Admission, Server, Status};
use crate::adapters::remote::{Idle, Kept, Record, State};

/// What is to be done, and how.
#[derive(Debug)]
pub(crate) struct Order<'a> {
    pub(crate) request: &'a Request,
    pub(crate) tool: &'a Tool,
    /// A script that must succeed before the version gets traffic.
    pub(crate) validate: Option<&'a Scripts>,
    /// The colour that had the traffic goes on running.
    pub(crate) keep: bool,
}

/// What a deployment by colours gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Switched {
    /// The environment.
    pub environment: String,
    /// The version that has the traffic now.
    pub version: String,
    /// The version that had it before.
    pub previous: Option<String>,
    /// The colour that has the traffic: `blue` or `green`.
    pub colour: Colour,
    /// The hosts that have the version.
    pub hosts: Vec<String>,
    /// The hosts that could not be reached and were let pass.
    pub unreachable: Vec<String>,
    /// The image of each service, by digest.
    pub images: BTreeMap<String, String>,
    /// Something was changed; nothing when this very version had the traffic already.
    pub changed: bool,
}

impl Order<'_> {
    /// Whether this very item has done it, by what the hosts and the proxies say.
    pub(crate) async fn probe(&self, context: &Context) -> Result<Probe<Switched>> {
        let wanted = self.request.wanted(context.world.release.as_deref())?;
        let site = Site::new(&self.request.environment, &self.request.target, context);
        if is_undo(context) {
            return self.half_way(&site, wanted, context).await;
        }
        let found = There::ask(self.request, self.tool, &site, &wanted, true, context).await?;
        let done = self.done(&found).await?;
        Ok(done.map_or(Probe::Absent, |output| Probe::Done(Switched { changed: true, ..output })))
    }

    /// What this very item has done to its end, if it has.
    async fn done(&self, found: &There<'_>) -> Result<Option<Switched>> {
        let is_whole = |record: &Record| self.keep || record.idle.as_ref().is_none_or(|idle| !idle.hot);
        let record = found.finished(is_whole);
        let Some((record, colour)) = record.and_then(|record| Some((record, record.colour?))) else {
            return Ok(None);
        };
        let is_there = |index: usize| found.kept(index).is_some();
        let doors = Doors::of(found.site, found.context, is_there).await?;
        let as_wanted = |(server, status): &(Server, Status)| {
            let gets = server.colour == Some(colour) && is_there(server.host);
            status.admission == if gets { Admission::Ready } else { Admission::Maintenance }
        };
        if !doors.look(found.context).await?.iter().all(as_wanted) {
            return Ok(None);
        }
        Ok(Some(Switched {
            environment: self.request.environment.clone(),
            version: found.wanted.version.clone(),
            previous: record.previous.as_ref().map(|previous| previous.version.clone()),
            colour,
            hosts: found.names(),
            unreachable: found.unreachable.clone(),
            images: record.images.clone(),
            changed: false,
        }))
    }

    /// What there is to take back, however far it came.
    async fn half_way(&self, site: &Site, wanted: Wanted, context: &Context) -> Result<Probe<Switched>> {
        let Some(records) = begun(site, &wanted.version, context).await? else { return Ok(Probe::Absent) };
        let previous = records.iter().find_map(|record| record.previous.as_ref());
        Ok(Probe::Done(Switched {
            environment: site.name.clone(),
            version: wanted.version,
            previous: previous.map(|previous| previous.version.clone()),
            // Without a record there is only a lock to give back, and no colour.
            colour: records.iter().find_map(|record| record.colour).unwrap_or(Colour::Blue),
            hosts: site.hosts.iter().map(|host| host.name.clone()).collect(),
            unreachable: Vec::new(),
            images: records.first().map(|record| record.images.clone()).unwrap_or_default(),
            changed: true,
        }))
    }

    /// Deploys.
    pub(crate) async fn run(&self, context: &Context, effect: Effect) -> Result<Switched> {
        let wanted = self.request.wanted(context.world.release.as_deref())?;
        let site = Site::new(&self.request.environment, &self.request.target, context);
        let found = There::ask(self.request, self.tool, &site, &wanted, true, context).await?;
        // Then there is nothing to lock.
        if let Some(output) = self.done(&found).await? {
            return Ok(output);
        }
        let (kept, unreachable) = found.into_kept();
        let (site, wanted) = (&site, wanted.clone());
        let work = |fence, kept: Vec<Option<Kept>>| async move {
            let doors = Doors::of(site, context, |index| kept[index].is_some()).await?;
            let (request, tool) = (self.request, self.tool);
            let work = Work { context, site, request, tool, wanted, fence, kept };
            let to = to(&work, &doors).await?;
            BlueGreen { work, doors, to, order: self }.forward(&unreachable).await
        };
        let output = locked(site, context, kept, work).await;
        if let Ok(output) = &output
            && output.changed
        {
            context.changed(effect);
        }
        output
    }

    /// Gives the traffic back to the colour that had it, on every host that still has what this item deployed.
    pub(crate) async fn undo(&self, output: &Switched, context: &Context) -> Result<Undone> {
        let site = Site::new(&self.request.environment, &self.request.target, context);
        let targets = targets(&site, &own(&output.version, context), context).await;
        self.put_back(&output.version, output.colour, &site, targets, context).await
    }

    /// Gives the traffic back to the colour that is not `from`, on every host of `targets`.
    pub(crate) async fn put_back(
        &self,
        version: &str,
        from: Colour,
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
        let lost = targets
            .iter()
            .find(|(_, record)| record.previous.as_ref().is_some_and(|previous| previous.colour.is_none()));
        if let Some((index, _)) = lost {
            let_go(site, kept.first().and_then(Option::as_ref), context).await?;
            return Ok(Undone::NeedsHuman(format!(
                "what {} had before was in no colour, so there is none to give the traffic back to: deploy it again",
                site.hosts[*index].name
            )));
        }
        let wanted = Wanted { version: version.to_owned(), tag: String::new() };
        let targets = &targets;
        let work = |fence, kept: Vec<Option<Kept>>| async move {
            let doors = Doors::of(site, context, |index| kept[index].is_some()).await?;
            let (request, tool) = (self.request, self.tool);
            let work = Work { context, site, request, tool, wanted, fence, kept };
            BlueGreen { work, doors, to: from, order: self }.undo(targets).await
        };
        let done = locked(site, context, kept, work).await?;
        Ok(match told.is_empty() {
            true => Undone::Reverted(done),
            false => Undone::NeedsHuman(format!("{}; {done}", told.join("; "))),
        })
    }
}

/// The colour that the version comes to: this item's own where it began, else the one without traffic.
async fn to(work: &Work<'_>, doors: &Doors) -> Result<Colour> {
    let hosts = work.reached();
    one_colour(work, &hosts)?;
    if let Some(colour) = hosts.iter().find_map(|index| work.ours(*index).and_then(|record| record.colour)) {
        return Ok(colour);
    }
    if let Some(colour) = hosts.iter().find_map(|index| work.before(*index).and_then(|record| record.colour))
    {
        return Ok(colour.other());
    }
    // Windlass never deployed here: who gets traffic is left alone.
    Ok(match doors::ready(&doors.look(work.context).await?).as_slice() {
        [colour] => colour.other(),
        _ => Colour::Blue,
    })
}

/// Refuses hosts whose versions have different colours: the new one would come to a colour that has traffic.
fn one_colour(work: &Work<'_>, hosts: &[usize]) -> Result<()> {
    let before: Vec<(usize, Colour, &Record)> = hosts
        .iter()
        .filter_map(|index| work.before(*index).and_then(|before| Some((*index, before.colour?, before))))
        .collect();
    if before.windows(2).all(|pair| pair[0].1 == pair[1].1) {
        return Ok(());
    }
    let told = before.iter().map(|(index, colour, before)| {
        format!("{} has {} in {}", work.host(*index).name, before.version, colour.as_str())
    });
    Err(ActionError::Final(format!(
        "the hosts of {} have different colours: {}; nothing was touched: bring them to one version first, with \
         `windlass rollback` of the run that left them so, or with deploy.previous",
        work.site.name,
        told.collect::<Vec<_>>().join(", ")
    )))
}

/// A version on its way to one colour.
struct BlueGreen<'a> {
    work: Work<'a>,
    doors: Doors,
    /// Its colour.
    to: Colour,
    order: &'a Order<'a>,
}

impl BlueGreen<'_> {
    async fn forward(&self, unreachable: &[String]) -> Result<Switched> {
        let work = &self.work;
        self.doors.check(work).await?;
        let release = work.ready_release(Some(self.to)).await?;
        let draft = work.draft(&release, Some(self.to));
        work.promoted().await?;
        let hosts = work.reached();
        let mut changed = !self.all_are(&hosts, &[State::Live]);
        match self.fill(&hosts, &release, &draft).await {
            Ok(this) => changed |= this,
            Err(error) => return Err(self.give_up(error, &hosts, &draft, false).await),
        }
        if let Err(error) = self.switch(&hosts, &draft).await {
            return Err(self.give_up(error, &hosts, &draft, true).await);
        }
        for index in &hosts {
            let idle = work.before(*index).filter(|before| before.colour == Some(self.to.other()));
            let idle = idle.map(|before| self.idle(self.to.other(), &before.version, true));
            work.live(&[(*index, Record { idle, ..draft.clone() })]).await?;
        }
        self.settle(self.to.other()).await?;
        if !self.order.keep {
            self.stop_the_other(&hosts, &draft).await?;
        }
        Ok(Switched {
            environment: work.request.environment.clone(),
            version: work.wanted.version.clone(),
            previous: work.previous().map(|record| record.version.clone()),
            colour: self.to,
            hosts: work.names(&hosts),
            unreachable: unreachable.to_vec(),
            images: release.images,
            changed,
        })
    }

    fn idle(&self, colour: Colour, version: &str, hot: bool) -> Idle {
        Idle { colour, version: version.to_owned(), hot }
    }

    /// Whether this very item got as far as one of these on every host.
    fn all_are(&self, hosts: &[usize], states: &[State]) -> bool {
        hosts.iter().all(|index| self.work.ours(*index).is_some_and(|record| states.contains(&record.state)))
    }

    /// Brings the version up in its colour on every host, without traffic, and proves it. Gives whether that changed
    /// anything.
    async fn fill(&self, hosts: &[usize], release: &Release, draft: &Record) -> Result<bool> {
        let work = &self.work;
        if self.all_are(hosts, &[State::Switching, State::Live]) {
            let mut all_up = true;
            for index in hosts {
                all_up &= work.is_up(*index, draft, release).await?;
            }
            // It was proven by a process that was killed, and may have traffic.
            if all_up {
                return Ok(false);
            }
        }
        if !self.all_are(hosts, &[State::Live]) {
            self.take_apart(hosts).await?;
        }
        let turns = work.site.environment.turns(hosts.len());
        let last = turns.len().saturating_sub(1);
        let mut changed = false;
        for (number, turn) in turns.into_iter().enumerate() {
            let turn = hosts.get(turn).unwrap_or_default();
            let results = at_once(turn.iter().map(|index| self.update(*index, release, draft))).await;
            work.still_ours().await?;
            changed |= together(results)?.into_iter().any(|changed| changed);
            if number < last {
                pause(work.context, work.site.environment.pause.to_std()).await?;
            }
        }
        if let (Some(scripts), Some(first)) = (self.order.validate, hosts.first()) {
            work.context.log(&format!("{} is validated before it gets traffic", work.wanted.version));
            let record = work.record(*first, draft, State::Updated);
            work.script(scripts, &scripts.run, None, &record).await?;
        }
        Ok(changed)
    }

    /// The colour that is about to be changed gets no traffic. Where somebody was interrupted while traffic may have been
    /// on its way there, the other one gets it back first.
    async fn take_apart(&self, hosts: &[usize]) -> Result<()> {
        let statuses = self.doors.look(self.work.context).await?;
        let has_traffic = |index: usize| {
            let own = |(server, status): &(Server, Status)| {
                let is_it = server.host == index && server.colour == Some(self.to);
                is_it && status.admission == Admission::Ready
            };
            statuses.iter().any(own)
        };
        let goes_back = |index: usize| {
            let is_between = self.work.found(index).is_some_and(|record| {
                record.colour == Some(self.to)
                    && matches!(record.state, State::Switching | State::Reverting | State::Withdrawn)
            });
            (is_between || has_traffic(index)) && self.has_other(index)
        };
        let back = hosts.iter().filter(|index| goes_back(**index));
        together(join_all(back.map(|index| self.other_is_hot(*index))).await)?;
        let full = self.full();
        let wish = |server: &Server| -> Wish {
            match server.colour == Some(self.to) {
                _ if !hosts.contains(&server.host) => None,
                true => Some((Admission::Maintenance, None)),
                false => goes_back(server.host).then_some((Admission::Ready, full)),
            }
        };
        self.doors.steer(&self.work, wish).await
    }

    /// Makes sure that what a host had before runs, so that traffic can be given to it.
    async fn other_is_hot(&self, index: usize) -> Result<()> {
        match self.work.before(index) {
            Some(before) => self.is_hot_again(index, before).await,
            None => Ok(()),
        }
    }

    /// Whether a host had a version in the other colour before.
    fn has_other(&self, index: usize) -> bool {
        self.work.before(index).is_some_and(|before| before.colour == Some(self.to.other()))
    }

    /// One host gets the version in its colour. Gives whether that changed anything.
    async fn update(&self, index: usize, release: &Release, draft: &Record) -> Result<bool> {
        let (work, name) = (&self.work, &self.work.host(index).name);
        let (version, colour) = (&work.wanted.version, self.to.as_str());
        let far = |record: &Record| matches!(record.state, State::Updated | State::Switching | State::Live);
        let is_far = work.ours(index).is_some_and(far);
        if is_far && work.is_up(index, draft, release).await? {
            work.context.log(&format!("{name} has {version} in {colour} already"));
            return Ok(false);
        }
        work.context.log(&format!("{name}: {version} comes up in {colour}"));
        let record = work.record(index, draft, State::Updating);
        // What is live already stays it while it is mended.
        let is_live = work.ours(index).is_some_and(|record| record.state == State::Live);
        let changed = work.bring_up(index, &record, release, !is_live).await?.changed;
        work.answers(index, &record).await?;
        if !is_live {
            work.write(index, draft, State::Updated).await?;
        }
        Ok(changed)
    }

    /// The weight of a colour that has all traffic: none is spoken of where all of it moves at once.
    fn full(&self) -> Option<u32> {
        self.doors.table().is_some_and(|table| table.shift.len() > 1).then_some(100)
    }

    /// The traffic to the new colour, by shares where the configuration says so, and proven through the front door.
    async fn switch(&self, hosts: &[usize], draft: &Record) -> Result<()> {
        let work = &self.work;
        for index in hosts {
            let has = |record: &Record| matches!(record.state, State::Switching | State::Live);
            if !work.ours(*index).is_some_and(has) {
                work.write(*index, draft, State::Switching).await?;
            }
        }
        let table = self.doors.table();
        let mut shares: Vec<u32> = table.map(|table| table.shift.clone()).unwrap_or_default();
        let has = self.share(hosts).await?;
        shares.retain(|share| *share > has && *share < 100);
        if !hosts.iter().any(|index| self.has_other(*index)) {
            shares.clear();
        }
        for share in shares {
            self.steer(hosts, share).await?;
            let every = table.map(|table| table.shift_every).unwrap_or_default();
            work.context.log(&format!("{share} % of the traffic to {} for {every}", self.to.as_str()));
            pause(work.context, every.to_std()).await?;
            work.still_ours().await?;
            let asked = hosts.iter().map(|index| async move {
                let record = work.record(*index, draft, State::Switching);
                work.answers(*index, &record).await
            });
            together(join_all(asked).await)?;
        }
        self.steer(hosts, 100).await?;
        work.context.log(&format!("the traffic to {}, {}", self.to.as_str(), work.wanted.version));
        work.serves(hosts, &work.wanted.version).await
    }

    /// The share that the new colour has already, in percent: from an earlier process of this item.
    async fn share(&self, hosts: &[usize]) -> Result<u32> {
        let statuses = self.doors.look(self.work.context).await?;
        let own =
            |(server, _): &&(Server, Status)| server.colour == Some(self.to) && hosts.contains(&server.host);
        let shares = statuses.iter().filter(own).map(|(_, status)| match status.admission {
            Admission::Ready => status.weight,
            Admission::Drain | Admission::Maintenance => 0,
        });
        Ok(if doors::ready(&statuses).len() == 2 { shares.min().unwrap_or_default() } else { 0 })
    }

    /// A share of the traffic to the new colour. With all of it, the other one gets no new requests, also on hosts that
    /// could not be reached: they may have anything.
    async fn steer(&self, hosts: &[usize], share: u32) -> Result<()> {
        let full = self.full();
        let part = |share: u32| full.map(|_| share.clamp(1, 100));
        let wish = |server: &Server| -> Wish {
            let (is_here, is_to) = (hosts.contains(&server.host), server.colour == Some(self.to));
            match (is_here, is_to) {
                (true, true) => Some((Admission::Ready, part(share))),
                (false, true) => Some((Admission::Maintenance, None)),
                (_, false) if share == 100 => Some((Admission::Drain, None)),
                (true, false) => Some((Admission::Ready, part(100 - share))),
                (false, false) => None,
            }
        };
        self.doors.steer(&self.work, wish).await
    }

    /// A colour that gets no new requests any more ends what it has, and then gets nothing at all.
    async fn settle(&self, colour: Colour) -> Result<()> {
        let is_it = |server: &Server| server.colour == Some(colour);
        self.doors.drained(&self.work, is_it).await?;
        self.doors.steer(&self.work, |server| is_it(server).then_some((Admission::Maintenance, None))).await
    }

    /// Stops what had the traffic before.
    async fn stop_the_other(&self, hosts: &[usize], draft: &Record) -> Result<()> {
        let work = &self.work;
        let stopped = hosts.iter().filter(|index| self.has_other(**index)).map(|index| async move {
            let Some(before) = work.before(*index) else { return Ok(()) };
            work.take_down(*index, before).await?;
            let idle = Some(self.idle(self.to.other(), &before.version, false));
            let live = work.record(*index, draft, State::Live);
            work.host(*index).write(work.context, &Record { idle, ..live }, false).await?;
            Ok(())
        });
        together(join_all(stopped).await).map(drop)
    }

    /// Gives the deployment up, the traffic where it was, and says so.
    async fn give_up(
        &self,
        error: ActionError,
        hosts: &[usize],
        draft: &Record,
        was_switching: bool,
    ) -> ActionError {
        let is_cancelled = error == ActionError::Cancelled;
        // What a cancelled run brought up stays to be looked at, but traffic never stays between the colours.
        if is_cancelled && !was_switching {
            return error;
        }
        if !was_switching && self.all_are(hosts, &[State::Live]) {
            return ActionError::Failed(format!("{error}; the version has the traffic, and stays as it is"));
        }
        let context = self.work.outside();
        let work = Work { context: &context, ..self.work.clone() };
        let again = BlueGreen { work, doors: self.doors.clone(), to: self.to, order: self.order };
        let holds = is_cancelled || self.work.site.environment.on_abort == OnAbort::Hold;
        let touched: Vec<usize> = hosts.to_vec();
        let back = again.back(&touched, draft, was_switching, holds).await;
        match back {
            _ if is_cancelled => {
                if let Err(also) = back {
                    context.log(&format!("the traffic could not be given back: {also}"));
                }
                error
            }
            Ok(what) => ActionError::Final(format!("{error}; the deployment was given up: {what}")),
            Err(also) => ActionError::Final(format!(
                "{error}; and it could not be taken back: {also}; both colours stay as they are: look with `windlass env \
                 {}`, and mend it with `windlass retry` or `windlass rollback`",
                self.work.site.name
            )),
        }
    }

    /// The traffic back to where it was, and, unless it is to be looked at, the new colour down.
    async fn back(
        &self,
        hosts: &[usize],
        draft: &Record,
        was_switching: bool,
        holds: bool,
    ) -> Result<String> {
        let (work, other) = (&self.work, self.to.other());
        let touched: Vec<usize> = match was_switching {
            true => hosts.to_vec(),
            // Those that had their turn.
            false => self.begun(hosts).await?,
        };
        if touched.is_empty() {
            return Ok("nothing was touched".to_owned());
        }
        for index in &touched {
            work.write(*index, draft, State::Reverting).await?;
        }
        if was_switching {
            let others = touched.iter().filter(|index| self.has_other(**index));
            together(join_all(others.map(|index| self.other_is_hot(*index))).await)?;
            let full = self.full();
            self.doors
                .steer(work, |server| match server.colour == Some(other) {
                    true if self.has_other(server.host) => Some((Admission::Ready, full)),
                    true => None,
                    false => Some((Admission::Drain, None)),
                })
                .await?;
            self.settle(self.to).await?;
        }
        if holds {
            for index in &touched {
                work.write(*index, draft, State::Failed).await?;
            }
            return Ok(format!("{} stays up without traffic, to be looked at", self.to.as_str()));
        }
        let ends = touched.iter().map(|index| async move {
            work.take_down(*index, draft).await?;
            let Some(before) = work.before(*index) else {
                work.host(*index).forget(work.context, work.fence).await?;
                return Ok(());
            };
            let whole = work.kept[*index].as_ref().map_or_else(|| before.alone(), |kept| kept.whole(before));
            let idle = Some(self.idle(self.to, &work.wanted.version, false));
            let record = Record { fence: work.fence, state: State::Live, idle, ..whole };
            Ok(work.host(*index).write(work.context, &record, false).await?)
        });
        together(join_all(ends).await)?;
        Ok(match work.previous() {
            Some(previous) => format!("{} stays in {}", previous.version, other.as_str()),
            None => "empty again, as before".to_owned(),
        })
    }

    /// The hosts whose record says that this item began there.
    async fn begun(&self, hosts: &[usize]) -> Result<Vec<usize>> {
        let work = &self.work;
        let mut begun = Vec::new();
        for index in hosts {
            let kept = work.host(*index).look(work.context).await?;
            if kept.record.as_ref().is_some_and(|record| work.is_ours(record)) {
                begun.push(*index);
            }
        }
        Ok(begun)
    }

    /// Gives the traffic back to what had it before `targets`; what is not hot any more is brought up first.
    async fn undo(&self, targets: &[(usize, Record)]) -> Result<String> {
        let (work, to) = (&self.work, self.to);
        for (index, record) in targets {
            // Everyone who asks whether it passed here must hear that it did not stay. Once.
            let host = work.host(*index);
            if record.state == State::Live {
                let withdrawn = Record { state: State::Withdrawn, fence: work.fence, ..record.clone() };
                host.write(work.context, &withdrawn, true).await?;
            }
        }
        let ready = targets.iter().map(|(index, record)| async move {
            match record.previous.as_deref() {
                Some(previous) => self.is_hot_again(*index, previous).await,
                None => Ok(()),
            }
        });
        together(join_all(ready).await)?;
        for (index, record) in targets {
            let at = work.now();
            let record = Record { state: State::Reverting, fence: work.fence, at, ..record.clone() };
            work.host(*index).write(work.context, &record, false).await?;
        }
        let full = self.full();
        let goes_back =
            |host: usize| targets.iter().any(|(index, record)| *index == host && record.previous.is_some());
        self.doors
            .steer(work, |server| match server.colour == Some(to) {
                true => Some((Admission::Drain, None)),
                false => goes_back(server.host).then_some((Admission::Ready, full)),
            })
            .await?;
        for (index, record) in targets {
            if let Some(previous) = &record.previous {
                work.serves(&[*index], &previous.version).await?;
            }
        }
        self.settle(to).await?;
        let mut told: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for (index, record) in targets {
            let host = work.host(*index);
            let what = match record.previous.as_deref() {
                Some(previous) => {
                    let whole = work.kept[*index]
                        .as_ref()
                        .map_or_else(|| previous.alone(), |kept| kept.whole(previous));
                    // What never came to its end is no place to go back to.
                    let is_whole = matches!(record.state, State::Live | State::Withdrawn);
                    if !is_whole {
                        work.take_down(*index, record).await?;
                    }
                    let idle = Some(self.idle(to, &record.version, is_whole));
                    let at = work.now();
                    let live = Record { state: State::Live, fence: work.fence, at, idle, ..whole };
                    host.write(work.context, &live, true).await?;
                    format!("the traffic back to {}, {}", to.other().as_str(), previous.version)
                }
                None => {
                    work.take_down(*index, record).await?;
                    host.forget(work.context, work.fence).await?;
                    "empty again, as before".to_owned()
                }
            };
            told.entry(what).or_default().push(&host.name);
        }
        let told: Vec<String> =
            told.iter().map(|(what, hosts)| format!("{}: {what}", hosts.join(", "))).collect();
        Ok(told.join("; "))
    }

    /// Whether the record says that a colour still runs this very version: it had the traffic when this item came, or
    /// was left running.
    fn is_kept_hot(&self, index: usize, previous: &Record) -> bool {
        let Some(found) = self.work.found(index) else { return false };
        let is_it = |record: &Record| record.version == previous.version && record.colour == previous.colour;
        let is_idle = |idle: &Idle| {
            idle.hot && idle.version == previous.version && Some(idle.colour) == previous.colour
        };
        (found.state == State::Live && is_it(found))
            || found.serving().is_some_and(is_it)
            || found.idle.as_ref().is_some_and(is_idle)
    }

    /// What was there before runs in its colour and answers; it is brought up where it does not.
    async fn is_hot_again(&self, index: usize, previous: &Record) -> Result<()> {
        let work = &self.work;
        let mut environment = work.site.environment.clone();
        let is_known = match previous.project.is_empty() {
            true => self.is_kept_hot(index, previous),
            false => {
                let found = work.host(index).containers(work.context, &previous.project).await?;
                drift(previous, &found).is_empty()
            }
        };
        // Where nobody knows what a script left there, only an answer with the version shows it.
        let may_answer = is_known || previous.project.is_empty();
        if !is_known {
            environment.version.get_or_insert_with(|| health::VERSION.to_owned());
        }
        let is_hot = match work.own_address(index, previous.colour).await? {
            Some(address) if may_answer => {
                health::ask(&environment, &address, &previous.version, work.context).await?.is_none()
            }
            _ => is_known,
        };
        if is_hot {
            return Ok(());
        }
        work.put_back(index, previous).await?;
        work.answers(index, previous).await
    }
}

/// All of them, or everything that went wrong. A run that was cancelled is cancelled, whatever else went wrong.
fn together<T>(results: Vec<Result<T>>) -> Result<Vec<T>> {
    let mut good = Vec::new();
    let mut bad: Vec<ActionError> = Vec::new();
    for result in results {
        match result {
            Ok(value) => good.push(value),
            Err(ActionError::Cancelled) => return Err(ActionError::Cancelled),
            Err(error) => bad.push(error),
        }
    }
    match bad.len() {
        0 => Ok(good),
        1 => Err(bad.remove(0)),
        _ => {
            let told: Vec<String> = bad.iter().map(ToString::to_string).collect();
            Err(ActionError::Failed(told.join("; ")))
        }
    }
}
