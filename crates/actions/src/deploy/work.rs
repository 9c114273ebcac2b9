//! One deployment at work under the environment's lock: what is wanted, what every host kept before, and the records
//! that are written before and after each change, so that whoever comes after a crash knows.

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use windlass_core::config::{Colour, VersionAt};
use windlass_engine::action::{ActionError, Result};
use windlass_engine::context::Context;

use super::health::{Check, Told};
use super::lock::item;
use super::release::Release;
use super::tool::Tool;
use super::{Request, Site, Wanted, at_once, health, promotion, together};
use crate::adapters::remote::{Host, Kept, Record, RemoteError, SCHEMA, State};

/// A version on its way to the hosts of an environment.
#[derive(Clone)]
pub(crate) struct Work<'a> {
    pub(crate) context: &'a Context,
    pub(crate) site: &'a Site,
    pub(crate) request: &'a Request,
    pub(crate) tool: &'a Tool,
    pub(crate) wanted: Wanted,
    pub(crate) fence: u64,
    /// What each host kept before; nothing for one that cannot be reached.
    pub(crate) kept: Vec<Option<Kept>>,
}

impl Work<'_> {
    pub(crate) fn now(&self) -> Timestamp {
        self.context.world.clock.now()
    }

    pub(crate) fn host(&self, index: usize) -> &Host {
        &self.site.hosts[index]
    }

    /// The names of hosts.
    pub(crate) fn names(&self, hosts: &[usize]) -> Vec<String> {
        hosts.iter().map(|index| self.host(*index).name.clone()).collect()
    }

    /// The hosts that can be reached.
    pub(crate) fn reached(&self) -> Vec<usize> {
        let reached = self.kept.iter().enumerate().filter(|(_, kept)| kept.is_some());
        reached.map(|(index, _)| index).collect()
    }

    /// What a host kept before.
    pub(crate) fn found(&self, index: usize) -> Option<&Record> {
        self.kept[index].as_ref().and_then(|kept| kept.record.as_ref())
    }

    /// Whether the record is what this very item wrote for this version.
    pub(crate) fn is_ours(&self, record: &Record) -> bool {
        record.is_of(&self.context.run.0, &item(self.context)) && record.version == self.wanted.version
    }

    /// The record of this very item on a host.
    pub(crate) fn ours(&self, index: usize) -> Option<&Record> {
        self.found(index).filter(|record| self.is_ours(record))
    }

    /// What was on a host before this item came.
    pub(crate) fn before(&self, index: usize) -> Option<&Record> {
        let record = self.found(index)?;
        if self.is_ours(record) { record.previous.as_deref() } else { record.good() }
    }

    /// What somebody began on a host and did not bring to its end.
    pub(crate) fn unfinished(&self, index: usize) -> Option<&Record> {
        self.found(index).filter(|record| record.state != State::Live)
    }

    /// What was there before, on the first host that had something.
    pub(crate) fn previous(&self) -> Option<&Record> {
        self.reached().into_iter().find_map(|index| self.before(index))
    }

    /// What is written about the version, without what differs from host to host.
    pub(crate) fn draft(&self, release: &Release, colour: Option<Colour>) -> Record {
        Record {
            schema: SCHEMA,
            environment: self.site.name.clone(),
            run: self.context.run.0.clone(),
            step: item(self.context),
            fence: self.fence,
            version: self.wanted.version.clone(),
            tag: self.wanted.tag.clone(),
            release: release.name.clone(),
            files: release.paths(),
            project: release.project.clone(),
            images: release.images.clone(),
            colour,
            idle: None,
            made: None,
            state: State::Updating,
            at: self.now(),
            previous: None,
        }
    }

    /// What is written on a host about `draft`, and what was there before it.
    pub(crate) fn record(&self, index: usize, draft: &Record, state: State) -> Record {
        let previous = self.before(index).map(|record| Box::new(record.alone()));
        Record { state, at: self.now(), fence: self.fence, previous, ..draft.clone() }
    }

    /// Writes how far `draft` is on a host.
    pub(crate) async fn write(&self, index: usize, draft: &Record, state: State) -> Result<()> {
        Ok(self.host(index).write(self.context, &self.record(index, draft, state), false).await?)
    }

    /// The version is live on these hosts, on each by its own draft: each hears of it once.
    pub(crate) async fn live(&self, drafts: &[(usize, Record)]) -> Result<()> {
        let lives = self.lives(drafts).await.into_iter().map(|(_, told)| told);
        lives.collect::<std::result::Result<Vec<()>, RemoteError>>()?;
        Ok(())
    }

    /// The same, with which of them could not be told.
    pub(crate) async fn lives(
        &self,
        drafts: &[(usize, Record)],
    ) -> Vec<(usize, std::result::Result<(), RemoteError>)> {
        at_once(drafts.iter().map(|(index, draft)| async {
            let record = self.record(*index, draft, State::Live);
            let told = match self.ours(*index).is_some_and(|before| before.state == State::Live) {
                true => Ok(()),
                false => self.host(*index).write(self.context, &record, true).await,
            };
            (*index, told)
        }))
        .await
    }

    /// Refuses a version that may not come here. Asked now, not when it was planned.
    pub(crate) async fn promoted(&self) -> Result<()> {
        let Request { environment, target, after, .. } = self.request;
        promotion::check(environment, target, after, &self.wanted.version, self.context).await
    }

    /// Whoever has the environment now decides what becomes of the hosts. Asked where the lock is.
    pub(crate) async fn still_ours(&self) -> std::result::Result<(), RemoteError> {
        match self.reached().first() {
            Some(index) => self.host(*index).raise(self.context, self.fence).await,
            None => Ok(()),
        }
    }

    /// The same on many hosts at once; what went wrong on any of them, in one error.
    pub(crate) async fn each<'h, F: Future<Output = std::result::Result<(), RemoteError>>>(
        &'h self,
        hosts: &[usize],
        work: impl Fn(&'h Host) -> F,
    ) -> Result<()> {
        let results = at_once(hosts.iter().map(|index| work(self.host(*index)))).await;
        let mut errors: Vec<RemoteError> = results.into_iter().filter_map(std::result::Result::err).collect();
        match errors.len() {
            0 => Ok(()),
            1 => Err(errors.remove(0).into()),
            _ => Err(ActionError::Failed(together(&errors))),
        }
    }

    /// Where a host's own server answers its health check, past any proxy.
    pub(crate) async fn own_address(&self, index: usize, colour: Option<Colour>) -> Result<Option<String>> {
        let (environment, host) = (&self.site.environment, self.host(index));
        if colour.is_none()
            && let Some(address) = health::address_of(environment, host, self.context).await?
        {
            return Ok(Some(address));
        }
        let Some(table) = &environment.proxy else { return Ok(None) };
        let name = host.address(self.context).await?;
        let name = if name.contains(':') { format!("[{name}]") } else { name };
        let server = match (colour, table.ports, &table.address) {
            (Some(colour), Some(ports), _) => format!("{name}:{}", ports.of(colour)),
            (None, _, Some(address)) => address.replace("{host}", &name),
            _ => return Ok(None),
        };
        Ok(health::address_at(environment, &server))
    }

    /// Waits until a host's own server answers its health check with a version, where it can be asked.
    pub(crate) async fn answers(&self, index: usize, record: &Record) -> Result<()> {
        self.passes(index, record.colour, Check::new(&self.site.environment, &record.version)).await
    }

    /// Waits until a host's own server passes a check, where it can be asked.
    pub(crate) async fn passes(&self, index: usize, colour: Option<Colour>, check: Check<'_>) -> Result<()> {
        match self.own_address(index, colour).await? {
            Some(address) => check.wait(&address, self.request.ready.to_std(), self.context).await,
            None => Ok(()),
        }
    }

    /// What proves that a version answers: it tells itself, unless the configuration says that it cannot.
    pub(crate) fn proof<'v>(&'v self, version: &'v str) -> Check<'v> {
        match &self.site.environment {
            environment if environment.version == Some(VersionAt::Nowhere) => {
                Check::new(environment, version)
            }
            environment => Check::strict(environment, version),
        }
    }

    /// What a host's own server of a colour says of itself, where it can be asked.
    pub(crate) async fn told(&self, index: usize, colour: Colour) -> Result<Option<Told>> {
        match self.own_address(index, Some(colour)).await? {
            Some(address) => {
                health::told(&self.site.environment, &address, health::ONE, self.context).await.map(Some)
            }
            None => Ok(None),
        }
    }

    /// Waits until customers get what a check is for, by the health check through the front door, for as long as a proxy
    /// may take.
    pub(crate) async fn serves(&self, hosts: &[usize], check: Check<'_>) -> Result<()> {
        let limit = self.patience();
        let fronts = self.fronts(hosts).await?;
        let asked = fronts.iter().map(|address| check.wait(address, limit, self.context));
        at_once(asked).await.into_iter().collect()
    }

    /// Waits until some customers get what a check is for, and refuses answers that are neither its own nor of `others`.
    /// Gives whether any was seen.
    pub(crate) async fn shares(&self, hosts: &[usize], check: Check<'_>, others: &[&str]) -> Result<bool> {
        let limit = self.patience();
        let fronts = self.fronts(hosts).await?;
        let asked = fronts.iter().map(|address| check.shares(address, others, limit, self.context));
        let seen: Vec<bool> = at_once(asked).await.into_iter().collect::<Result<_>>()?;
        Ok(!seen.contains(&false))
    }

    /// The addresses of the front doors: one, or one on each of these hosts.
    async fn fronts(&self, hosts: &[usize]) -> Result<Vec<String>> {
        let environment = &self.site.environment;
        if let Some(address) = health::address(environment) {
            return Ok(vec![address]);
        }
        let asked =
            hosts.iter().map(|index| health::address_of(environment, self.host(*index), self.context));
        let found: Vec<Option<String>> = at_once(asked).await.into_iter().collect::<Result<_>>()?;
        Ok(found.into_iter().flatten().collect())
    }

    /// How long a front door may take to answer with what it was told to give traffic.
    fn patience(&self) -> std::time::Duration {
        self.site.environment.proxy.as_ref().map(|table| table.proof).unwrap_or_default().to_std()
    }

    /// A door outside that a cancelled run still has, for what must not be left half-done.
    pub(crate) fn outside(&self) -> Context {
        let mut outside = self.context.clone();
        if outside.cancel.is_cancelled() {
            outside.cancel = CancellationToken::new();
        }
        outside
    }
}
