//! The way forward: batch after batch gets the version, each host out of the traffic meanwhile where there are proxies.

use std::collections::BTreeMap;

use windlass_core::config::OnAbort;
use windlass_engine::action::{ActionError, Result};

use super::{Failure, Rolled, Rollout};
use crate::adapters::proxy::{Admission, Server};
use crate::adapters::remote::{Record, RemoteError, State};
use crate::deploy::release::Release;
use crate::deploy::tool::Brought;
use crate::deploy::work::Work;
use crate::deploy::{at_once, health, pause};

impl Rollout<'_> {
    pub(super) async fn forward(&self, unreachable: &[String]) -> Result<Rolled> {
        let work = &self.work;
        self.doors.check(work).await?;
        let release = work.ready_release(None).await?;
        let draft = work.draft(&release, None);
        // Now, not when it was planned: what is about to be touched must be what may be touched.
        work.promoted().await?;
        self.leaves_servers()?;
        let (mut brought, mut failed) = self.batches(&release, &draft, unreachable.len()).await?;
        let own = |(index, brought): (&usize, &Brought)| {
            (*index, Record { made: brought.made.clone(), ..draft.clone() })
        };
        let drafts: Vec<(usize, Record)> = brought.iter().map(own).collect();
        let most = work.site.environment.max_failures as usize;
        for (index, told) in work.lives(&drafts).await {
            match told {
                Err(error) if error.is_unreachable() && unreachable.len() + failed.len() < most => {
                    work.context.log(&format!("{}: {error}", work.host(index).name));
                    brought.remove(&index);
                    failed.push(index);
                }
                told => told?,
            }
        }
        let deployed: Vec<usize> = brought.keys().copied().collect();
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
        let mut failures: Vec<Failure> = Vec::new();
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
                        failures.push(Failure { index: *index, error, is_lost: false });
                    }
                }
            }
            let guarded = match self.is_still_ours(&mut failures).await {
                // Whoever has the environment now decides what becomes of the hosts.
                Err(error @ (RemoteError::Fenced { .. } | RemoteError::NotOurs)) => return Err(error.into()),
                guarded => guarded.map_err(ActionError::from),
            };
            brought.retain(|index, _| failures.iter().all(|failure| failure.index != *index));
            good.retain(|index| brought.contains_key(index));
            let admitted = self.admit(&good, draft).await;
            if let Err(error) = guarded.and(admitted) {
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
        for Failure { index, is_lost, .. } in &failures {
            let ended = match environment.on_abort {
                OnAbort::Revert => {
                    let target = (*index, work.record(*index, draft, State::Failed));
                    let ended = self.revert(&[&target], *is_lost).await;
                    ended.into_iter().try_for_each(|(_, result)| result.map(drop))
                }
                OnAbort::Hold => work.write(*index, draft, State::Failed).await,
            };
            match ended {
                Err(ActionError::Cancelled) => return Err(ActionError::Cancelled),
                Err(error) => {
                    work.context.log(&format!("{} stays as it is: {error}", work.host(*index).name));
                }
                Ok(()) => {}
            }
        }
        Ok((brought, failures.into_iter().map(|failure| failure.index).collect()))
    }

    /// Asks whether the environment is still this run's, where the lock is, or else of the next host that answers: whoever
    /// takes it over is seen on all of them. A host that does not answer has failed.
    async fn is_still_ours(&self, failures: &mut Vec<Failure>) -> std::result::Result<(), RemoteError> {
        let work = &self.work;
        for index in work.reached() {
            match work.host(index).raise(work.context, work.fence).await {
                Err(error) if error.is_unreachable() => {
                    if failures.iter().all(|failure| failure.index != index) {
                        work.context.log(&format!("{}: {error}", work.host(index).name));
                        failures.push(Failure { index, error: error.into(), is_lost: true });
                    }
                }
                told => return told,
            }
        }
        Ok(())
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
    pub(super) async fn out(&self, hosts: &[usize]) -> Result<()> {
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
