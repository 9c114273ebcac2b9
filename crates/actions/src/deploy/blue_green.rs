//! A version into the colour without traffic, proven there, and then the traffic to it, all at once or by shares; the
//! other colour stays as it is, so that the way back is one message.
//!
//! Until every host has the version and it was proven, no proxy is told anything. What is about to be done is in every
//! host's record before it is done, so that whoever comes after a crash goes on, or back to one colour.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use windlass_core::config::Colour;
use windlass_core::plan::Effect;
use windlass_engine::action::{ActionError, Probe, Result, Undone};
use windlass_engine::context::Context;

use super::doors::{self, Doors};
use super::lock::{is_undo, let_go, locked};
use super::targets::{Targets, begun, own, targets};
use super::there::There;
use super::tool::{Scripts, Tool};
use super::work::Work;
use super::{Request, Site, Wanted};
use crate::adapters::proxy::{Admission, Server, Status};
use crate::adapters::remote::{Kept, Record};

mod back;
mod before;
mod forward;

use before::Before;

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
            doors.check(&work).await?;
            let before = Before::find(&work, &doors, to).await?;
            BlueGreen { work, doors, to, before, order: self }.forward(&unreachable).await
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
        let told = targets.told();
        let Targets { records: targets, kept, .. } = targets;
        if targets.is_empty() {
            let_go(site, kept.iter().map(Option::as_ref), context).await?;
            return Ok(match told.is_empty() {
                true => Undone::NothingToDo,
                false => Undone::NeedsHuman(format!("it is not known what runs: {}", told.join("; "))),
            });
        }
        let lost = targets
            .iter()
            .find(|(_, record)| record.previous.as_ref().is_some_and(|previous| previous.colour.is_none()));
        if let Some((index, _)) = lost {
            let_go(site, kept.iter().map(Option::as_ref), context).await?;
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
            let before = Before::recall(&work, &doors, targets.iter().map(|(_, record)| record)).await?;
            BlueGreen { work, doors, to: from, before, order: self }.undo(targets).await
        };
        let done = locked(site, context, kept, work).await?;
        Ok(match done {
            Undone::Reverted(done) if !told.is_empty() => {
                Undone::NeedsHuman(format!("{}; {done}", told.join("; ")))
            }
            done => done,
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
    // What was begun and did not come to its end is not what customers had.
    if let Some(colour) =
        hosts.iter().find_map(|index| work.unfinished(*index).and_then(|record| record.colour))
    {
        return Ok(colour);
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
#[derive(Clone)]
struct BlueGreen<'a> {
    work: Work<'a>,
    doors: Doors,
    /// Its colour.
    to: Colour,
    /// What had the traffic before.
    before: Before,
    order: &'a Order<'a>,
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
