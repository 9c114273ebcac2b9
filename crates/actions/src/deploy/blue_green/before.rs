//! What had the traffic before it is switched: remembered beside each proxy before that is told anything, so that it gets
//! the traffic back after a crash too, and where no record tells of it.

use serde::{Deserialize, Serialize};
use windlass_core::config::Colour;
use windlass_engine::action::Result;

use crate::adapters::proxy::{Admission, Server};
use crate::adapters::remote::{Record, State};
use crate::deploy::at_once;
use crate::deploy::doors::Doors;
use crate::deploy::health::Told;
use crate::deploy::lock::item;
use crate::deploy::work::Work;

/// Under which name it is remembered.
const NAME: &str = "before";

/// What the environment's servers had at each proxy.
#[derive(Debug, Clone, Default)]
pub(super) struct Before {
    /// Nothing for a proxy of which it is not known.
    doors: Vec<Option<Memory>>,
}

/// What one proxy gave its servers before an item switched them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Memory {
    run: String,
    step: String,
    servers: Vec<Had>,
}

/// What a server had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Had {
    server: String,
    /// Whether it got traffic.
    pub(super) admission: Admission,
    /// Its share, as the proxy had it.
    pub(super) weight: u32,
    /// It answered its health check. Asked only where no record tells of what runs there.
    answers: bool,
}

impl Before {
    /// What is remembered of these items, and of those of `records` that did not come to their end: their traffic is still
    /// on its way.
    pub(super) async fn recall<'r>(
        work: &Work<'_>,
        doors: &Doors,
        records: impl Iterator<Item = &'r Record>,
    ) -> Result<Self> {
        let mut items: Vec<(&str, &str)> =
            records.map(|record| (record.run.as_str(), record.step.as_str())).collect();
        let own = item(work.context);
        items.push((&work.context.run.0, &own));
        let mut recalled: Vec<Option<Memory>> = doors.recall(work.context, NAME).await?;
        for memory in &mut recalled {
            *memory = memory.take().filter(|memory| items.contains(&(&memory.run, &memory.step)));
        }
        Ok(Self { doors: recalled })
    }

    /// What is remembered where somebody was interrupted, and elsewhere what the proxies say now, before `to` gets the
    /// traffic.
    pub(super) async fn find(work: &Work<'_>, doors: &Doors, to: Colour) -> Result<Self> {
        let found: Vec<&Record> = work.reached().iter().filter_map(|index| work.found(*index)).collect();
        let unfinished = found.iter().filter(|record| record.state != State::Live).copied();
        let mut before = Self::recall(work, doors, unfinished).await?;
        let is_between =
            found.iter().any(|record| matches!(record.state, State::Switching | State::Reverting));
        // What proxies say in the middle of a switch is not what was before it.
        if before.doors.iter().all(Option::is_some) || is_between {
            return Ok(before);
        }
        let (run, step) = (work.context.run.0.clone(), item(work.context));
        let answers = at_once((0..work.site.hosts.len()).map(|index| async move {
            let is_known = work.before(index).is_some_and(|record| record.colour == Some(to.other()));
            match is_known || work.kept[index].is_none() {
                true => Ok(true),
                false => Ok(!matches!(work.told(index, to.other()).await?, Some(Told::Bad(_)))),
            }
        }))
        .await;
        let answers = answers.into_iter().collect::<Result<Vec<bool>>>()?;
        before.doors = doors
            .look_at_each(work.context)
            .await?
            .into_iter()
            .map(|statuses| {
                let had = statuses.into_iter().map(|(server, status)| Had {
                    answers: server.colour == Some(to) || answers.get(server.host).copied().unwrap_or(true),
                    server: server.name,
                    admission: status.admission,
                    weight: status.weight,
                });
                Some(Memory { run: run.clone(), step: step.clone(), servers: had.collect() })
            })
            .collect();
        Ok(before)
    }

    /// Remembers it as this item's.
    pub(super) async fn keep(&self, work: &Work<'_>, doors: &Doors) -> Result<()> {
        let (run, step) = (&work.context.run.0, item(work.context));
        let own = |memory: &Memory| Memory { run: run.clone(), step: step.clone(), ..memory.clone() };
        let own: Vec<Option<Memory>> = self.doors.iter().map(|memory| memory.as_ref().map(own)).collect();
        doors.remember(work, NAME, &own).await
    }

    /// Forgets it: it has its traffic back. What stays harms nobody, because it is known whose it was.
    pub(super) async fn forget(work: &Work<'_>, doors: &Doors) {
        let none: Vec<Option<Memory>> = doors.servers().map(|_| None).collect();
        if let Err(error) = doors.remember(work, NAME, &none).await {
            work.context.log(&format!("what had the traffic before stays remembered: {error}"));
        }
    }

    /// What a server had at the proxy of this place.
    pub(super) fn of(&self, place: usize, server: &Server) -> Option<&Had> {
        let memory = self.doors.get(place)?.as_ref()?;
        memory.servers.iter().find(|had| had.server == server.name)
    }

    /// Whether the servers of a host and a colour had traffic and answered; nothing where that is not known.
    pub(super) fn served(&self, doors: &Doors, host: usize, colour: Colour) -> Option<bool> {
        let mut known = None;
        for (place, servers) in doors.servers().enumerate() {
            let own = servers.iter().filter(|server| server.host == host && server.colour == Some(colour));
            for had in own.filter_map(|server| self.of(place, server)) {
                let served = had.admission == Admission::Ready && had.answers;
                known = Some(known.unwrap_or(false) || served);
            }
        }
        known
    }

    /// Whether any server of a colour had traffic.
    pub(super) fn any(&self, doors: &Doors, colour: Colour) -> bool {
        doors.servers().enumerate().any(|(place, servers)| {
            let own = servers.iter().filter(|server| server.colour == Some(colour));
            own.filter_map(|server| self.of(place, server)).any(|had| had.admission == Admission::Ready)
        })
    }
}
