//! The way forward: the version into its colour, proven there, and then the traffic to it.

use windlass_core::config::{Colour, VersionAt};
use windlass_engine::action::{ActionError, Result};

use super::{BlueGreen, Switched, together};
use crate::adapters::proxy::{Admission, Server, Status};
use crate::adapters::remote::{Idle, Record, State};
use crate::deploy::doors::Wish;
use crate::deploy::health::Check;
use crate::deploy::release::Release;
use crate::deploy::{at_once, doors, pause};

impl BlueGreen<'_> {
    pub(super) async fn forward(&self, unreachable: &[String]) -> Result<Switched> {
        let work = &self.work;
        let release = work.ready_release(Some(self.to)).await?;
        let draft = work.draft(&release, Some(self.to));
        work.promoted().await?;
        let hosts = work.reached();
        let mut changed = !self.all_are(&hosts, &[State::Live]);
        if work.site.environment.version == Some(VersionAt::Nowhere) {
            work.context.log(
                "the service cannot tell its version (`version = \"none\"`): that the health check passes is all that is \
                 proven",
            );
        }
        self.before.keep(work, &self.doors).await?;
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

    pub(super) fn idle(&self, colour: Colour, version: &str, hot: bool) -> Idle {
        Idle { colour, version: version.to_owned(), hot }
    }

    /// Whether this very item got as far as one of these on every host.
    pub(super) fn all_are(&self, hosts: &[usize], states: &[State]) -> bool {
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

    /// The colour that is about to be changed gets no traffic, and ends what it has. Where somebody was interrupted while
    /// traffic may have been on its way there, the other one gets it back first.
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
        together(at_once(back.map(|index| self.other_is_hot(*index))).await)?;
        let is_to = |server: &Server| server.colour == Some(self.to) && hosts.contains(&server.host);
        let out = match hosts.iter().any(|index| has_traffic(*index)) {
            true => Admission::Drain,
            false => Admission::Maintenance,
        };
        let wish = |place: usize, server: &Server| -> Wish {
            match is_to(server) {
                true => Some((out, None)),
                false if goes_back(server.host) => self.again(place, server),
                false => None,
            }
        };
        self.doors.steer_each(&self.work, wish).await?;
        if out == Admission::Drain {
            self.doors.drained(&self.work, is_to).await?;
            self.doors
                .steer(&self.work, |server| is_to(server).then_some((Admission::Maintenance, None)))
                .await?;
        }
        Ok(())
    }

    /// Makes sure that what a host had before runs, so that traffic can be given to it. What Windlass did not deploy runs,
    /// or does not.
    pub(super) async fn other_is_hot(&self, index: usize) -> Result<()> {
        match self.work.before(index).filter(|before| before.colour == Some(self.to.other())) {
            Some(before) => self.is_hot_again(index, before).await,
            None => Ok(()),
        }
    }

    /// Whether a host had a version in the other colour before, by its record.
    pub(super) fn has_record(&self, index: usize) -> bool {
        self.work.before(index).is_some_and(|before| before.colour == Some(self.to.other()))
    }

    /// Whether the other colour of a host served before: by its record, or by what the proxies said then.
    pub(super) fn has_other(&self, index: usize) -> bool {
        let served = || self.before.served(&self.doors, index, self.to.other());
        self.has_record(index) || served().unwrap_or_default()
    }

    /// What a server of the other colour gets when it gets back what it had, at the proxy of this place. Where no proxy
    /// gave that colour anything, it is what the records say.
    pub(super) fn again(&self, place: usize, server: &Server) -> Wish {
        let other = self.to.other();
        // Nobody brought that colour up again on a host that cannot be reached.
        if server.colour != Some(other) || self.work.kept[server.host].is_none() {
            return None;
        }
        let full = self.full();
        match self.before.of(place, server).filter(|_| self.before.any(&self.doors, other)) {
            Some(had) => Some((had.admission, full.map(|_| had.weight.clamp(1, 100)))),
            None => self.has_record(server.host).then_some((Admission::Ready, full)),
        }
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
        work.passes(index, record.colour, work.proof(&record.version)).await?;
        if !is_live {
            work.write(index, draft, State::Updated).await?;
        }
        Ok(changed)
    }

    /// The weight of a colour that has all traffic: none is spoken of where all of it moves at once.
    pub(super) fn full(&self) -> Option<u32> {
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
        let proof = work.proof(&work.wanted.version);
        // Where Windlass did not deploy, nobody knows which version is right.
        let others: Vec<&str> = match hosts.iter().all(|index| self.has_record(*index)) {
            true => hosts
                .iter()
                .filter_map(|index| work.before(*index))
                .map(|before| before.version.as_str())
                .collect(),
            false => Vec::new(),
        };
        for share in shares {
            self.steer(hosts, share).await?;
            let every = table.map(|table| table.shift_every).unwrap_or_default();
            work.context.log(&format!("{share} % of the traffic to {} for {every}", self.to.as_str()));
            self.shared(hosts, proof, &others, share).await?;
            pause(work.context, every.to_std()).await?;
            work.still_ours().await?;
            let asked = hosts.iter().map(|index| work.passes(*index, Some(self.to), proof));
            together(at_once(asked).await)?;
            self.shared(hosts, proof, &others, share).await?;
        }
        self.steer(hosts, 100).await?;
        work.context.log(&format!("the traffic to {}, {}", self.to.as_str(), work.wanted.version));
        work.serves(hosts, proof).await
    }

    /// Proves a share of the traffic through the front door. Where no answer of the new colour was seen, no proxy may have
    /// found it down.
    async fn shared(&self, hosts: &[usize], proof: Check<'_>, others: &[&str], share: u32) -> Result<()> {
        let work = &self.work;
        if work.shares(hosts, proof, others).await? {
            return Ok(());
        }
        let is_down = |(server, status): &&(Server, Status)| {
            server.colour == Some(self.to) && status.up == Some(false) && hosts.contains(&server.host)
        };
        if let Some((server, status)) = self.doors.look(work.context).await?.iter().find(is_down) {
            return Err(ActionError::Failed(format!(
                "{} is down by the proxy's own check ({})",
                server.name, status.address
            )));
        }
        work.context.log(&format!(
            "the front door gave no answer with the version while {share} % of the traffic went to it"
        ));
        Ok(())
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
    pub(super) async fn steer(&self, hosts: &[usize], share: u32) -> Result<()> {
        let full = self.full();
        let part = |share: u32| full.map(|_| share.clamp(1, 100));
        let wish = |place: usize, server: &Server| -> Wish {
            let (is_here, is_to) = (hosts.contains(&server.host), server.colour == Some(self.to));
            match (is_here, is_to) {
                (true, true) => Some((Admission::Ready, part(share))),
                (false, true) => Some((Admission::Maintenance, None)),
                (_, false) if share == 100 => Some((Admission::Drain, None)),
                // Somebody else may have taken it out of the traffic.
                (true, false) => match self.again(place, server) {
                    Some((Admission::Ready, _)) => Some((Admission::Ready, part(100 - share))),
                    _ => None,
                },
                (false, false) => None,
            }
        };
        self.doors.steer_each(&self.work, wish).await
    }

    /// A colour that gets no new requests any more ends what it has, and then gets nothing at all.
    pub(super) async fn settle(&self, colour: Colour) -> Result<()> {
        let is_it = |server: &Server| server.colour == Some(colour);
        self.doors.drained(&self.work, is_it).await?;
        self.doors.steer(&self.work, |server| is_it(server).then_some((Admission::Maintenance, None))).await
    }

    /// Stops what had the traffic before.
    async fn stop_the_other(&self, hosts: &[usize], draft: &Record) -> Result<()> {
        let work = &self.work;
        let stopped = hosts.iter().filter(|index| self.has_record(**index)).map(|index| async move {
            let Some(before) = work.before(*index) else { return Ok(()) };
            work.take_down(*index, before).await?;
            let idle = Some(self.idle(self.to.other(), &before.version, false));
            let live = work.record(*index, draft, State::Live);
            work.host(*index).write(work.context, &Record { idle, ..live }, false).await?;
            Ok(())
        });
        together(at_once(stopped).await).map(drop)
    }
}
