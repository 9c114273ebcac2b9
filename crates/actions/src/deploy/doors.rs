//! The proxies in front of an environment's servers, told all together.

use serde::Serialize;
use serde::de::DeserializeOwned;
use windlass_core::config::{Colour, Proxy as Table};
use windlass_engine::action::{ActionError, Result};
use windlass_engine::context::Context;

use super::work::Work;
use super::{Site, at_once, together};
use crate::adapters::proxy::{Admission, Course, Proxy, Server, Status};
use crate::adapters::remote::RemoteError;
use crate::adapters::ssh::Trouble;

/// Every proxy of an environment that can be reached.
#[derive(Debug, Clone, Default)]
pub(crate) struct Doors {
    proxies: Vec<Proxy>,
    /// The hosts that died meanwhile: a proxy there is told nothing, and keeps its place.
    gone: Vec<String>,
}

/// What is wanted of a server: whether it gets traffic, and its share.
pub(crate) type Wish = Option<(Admission, Option<u32>)>;

impl Doors {
    /// The proxies of an environment. One on a host that is let pass is let pass with it.
    ///
    /// # Errors
    /// When none is left of those that it has.
    pub(crate) async fn of(site: &Site, context: &Context, is_there: impl Fn(usize) -> bool) -> Result<Self> {
        let all = Proxy::all(site, context).await?;
        let is_let_pass = |proxy: &&Proxy| {
            let index = site.hosts.iter().position(|host| host.name == proxy.host().name);
            index.is_some_and(|index| !is_there(index))
        };
        let proxies: Vec<Proxy> = all.iter().filter(|proxy| !is_let_pass(proxy)).cloned().collect();
        match (all.first(), proxies.is_empty()) {
            (Some(first), true) => Err(none_left(first, site)),
            _ => Ok(Self { proxies, gone: Vec::new() }),
        }
    }

    /// The same, and nothing is told to proxies on these hosts.
    ///
    /// # Errors
    /// When no other is left.
    pub(crate) fn without(&self, site: &Site, hosts: &[usize]) -> Result<Self> {
        let gone = hosts.iter().filter_map(|index| site.hosts.get(*index)).map(|host| host.name.clone());
        let doors = Self { proxies: self.proxies.clone(), gone: gone.collect() };
        if let Some(first) = doors.proxies.first()
            && doors.here().next().is_none()
        {
            return Err(none_left(first, site));
        }
        Ok(doors)
    }

    /// The proxies that can be told something, each with its place.
    fn here(&self) -> impl Iterator<Item = (usize, &Proxy)> {
        let is_here = |(_, proxy): &(usize, &Proxy)| !self.gone.contains(&proxy.host().name);
        self.proxies.iter().enumerate().filter(is_here)
    }

    pub(crate) fn proxies(&self) -> &[Proxy] {
        &self.proxies
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.proxies.is_empty()
    }

    pub(crate) fn table(&self) -> Option<&Table> {
        self.proxies.first().map(Proxy::table)
    }

    /// Refuses what would fail later, before anything is touched: a proxy that does not answer or cannot be changed, a
    /// server that it does not know, a configuration that does not pass its test.
    pub(crate) async fn check(&self, work: &Work<'_>) -> Result<()> {
        let asked = self.proxies.iter().map(|proxy| proxy.check(work.context, work.fence));
        all(asked).await.map(drop).map_err(|error| match error {
            ActionError::Failed(why) => ActionError::Failed(format!("{why}; nothing was touched")),
            ActionError::Final(why) => ActionError::Final(format!("{why}; nothing was touched")),
            other => other,
        })
    }

    /// The servers behind each proxy.
    pub(crate) fn servers(&self) -> impl Iterator<Item = &[Server]> {
        self.proxies.iter().map(Proxy::servers)
    }

    /// What the proxies say of the environment's own servers.
    pub(crate) async fn look(&self, context: &Context) -> Result<Vec<(Server, Status)>> {
        Ok(self.look_at_each(context).await?.into_iter().flatten().collect())
    }

    /// The same, apart for each proxy.
    pub(crate) async fn look_at_each(&self, context: &Context) -> Result<Vec<Vec<(Server, Status)>>> {
        let statuses = all(self.proxies.iter().map(|proxy| proxy.status(context))).await?;
        let known = |(proxy, statuses): (&Proxy, Vec<Status>)| {
            let status = |server: &Server| {
                let status = statuses.iter().find(|status| status.server == server.name);
                status.map(|status| (server.clone(), status.clone()))
            };
            proxy.servers().iter().filter_map(status).collect()
        };
        Ok(self.proxies.iter().zip(statuses).map(known).collect())
    }

    /// Every proxy's host remembers something, each its own, or forgets it.
    pub(crate) async fn remember<T: Serialize>(
        &self,
        work: &Work<'_>,
        what: &str,
        values: &[Option<T>],
    ) -> Result<()> {
        let told = self
            .proxies
            .iter()
            .zip(values)
            .map(|(proxy, value)| proxy.remember(work.context, work.fence, what, value.as_ref()));
        all(told).await.map(drop)
    }

    /// What each proxy's host remembers.
    pub(crate) async fn recall<T: DeserializeOwned>(
        &self,
        context: &Context,
        what: &str,
    ) -> Result<Vec<Option<T>>> {
        let asked = self.proxies.iter().map(|proxy| async move {
            match proxy.recall(context, what).await {
                // What cannot be read is not known, and must bar no way back.
                Err(RemoteError::Unfit(why)) => {
                    context.log(&why);
                    Ok(None)
                }
                recalled => recalled,
            }
        });
        all(asked).await
    }

    /// Every server follows its wish, on every proxy at the same time. Twice is once.
    pub(crate) async fn steer(&self, work: &Work<'_>, wish: impl Fn(&Server) -> Wish) -> Result<()> {
        self.steer_each(work, |_, server| wish(server)).await
    }

    /// The same with a wish for each server at each proxy, by the proxy's place.
    pub(crate) async fn steer_each(
        &self,
        work: &Work<'_>,
        wish: impl Fn(usize, &Server) -> Wish,
    ) -> Result<()> {
        let courses = self.here().map(|(place, proxy)| {
            let course = |server: &Server| {
                wish(place, server).map(|(admission, weight)| server.course(admission, weight))
            };
            (proxy, proxy.servers().iter().filter_map(course).collect::<Vec<Course>>())
        });
        let courses: Vec<_> = courses.filter(|(_, courses)| !courses.is_empty()).collect();
        all(courses.iter().map(|(proxy, courses)| proxy.steer(work.context, work.fence, courses)))
            .await
            .map(drop)
    }

    /// The servers of these hosts get traffic. Gives the hosts of which a proxy could not be told, and why: the others'
    /// servers have it all the same.
    pub(crate) async fn admit(&self, work: &Work<'_>, hosts: &[usize]) -> Vec<(usize, RemoteError)> {
        let told = at_once(self.proxies.iter().map(|proxy| async move {
            let servers = proxy.servers().iter().filter(|server| hosts.contains(&server.host));
            let courses: Vec<Course> = servers.map(|server| server.course(Admission::Ready, None)).collect();
            match courses.is_empty() {
                true => Ok(()),
                false => proxy.steer(work.context, work.fence, &courses).await,
            }
        }))
        .await;
        let mut shut = Vec::new();
        for (proxy, error) in
            self.proxies.iter().zip(told).filter_map(|(proxy, told)| Some((proxy, told.err()?)))
        {
            let behind = |host: &&usize| proxy.servers().iter().any(|server| server.host == **host);
            shut.extend(hosts.iter().filter(behind).map(|host| (*host, error.clone())));
        }
        shut
    }

    /// Waits until these servers have no session, for as long as the configuration says.
    pub(crate) async fn drained(&self, work: &Work<'_>, which: impl Fn(&Server) -> bool) -> Result<()> {
        let Some(table) = self.table() else { return Ok(()) };
        let left = all(self.here().map(|(_, proxy)| {
            let names = proxy.servers().iter().filter(|server| which(server));
            let names: Vec<String> = names.map(|server| server.name.clone()).collect();
            async move {
                match names.is_empty() {
                    true => Ok(0),
                    false => proxy.drained(work.context, &names, table.drain.to_std()).await,
                }
            }
        }))
        .await?;
        let left: u64 = left.into_iter().sum();
        if left > 0 {
            work.context.log(&format!("{left} sessions did not end within {}, and are cut", table.drain));
        }
        Ok(())
    }
}

fn none_left(first: &Proxy, site: &Site) -> ActionError {
    ActionError::Failed(format!(
        "{} cannot be reached, and {} has no other proxy that could be told",
        first.name(),
        site.name
    ))
}

/// The colours that get traffic, by what the proxies say.
pub(crate) fn ready(statuses: &[(Server, Status)]) -> Vec<Colour> {
    let ready = |colour: &Colour| {
        let own = |(server, status): &(Server, Status)| {
            server.colour == Some(*colour) && status.admission == Admission::Ready
        };
        statuses.iter().any(own)
    };
    Colour::ALL.into_iter().filter(ready).collect()
}

/// All of them, or what went wrong with any.
async fn all<T, F: Future<Output = std::result::Result<T, RemoteError>>>(
    asked: impl Iterator<Item = F>,
) -> Result<Vec<T>> {
    let mut good = Vec::new();
    let mut bad = Vec::new();
    for result in at_once(asked).await {
        match result {
            Ok(value) => good.push(value),
            Err(RemoteError::Ssh(error)) if error.kind == Trouble::Cancelled => {
                return Err(ActionError::Cancelled);
            }
            Err(error) => bad.push(error),
        }
    }
    match bad.len() {
        0 => Ok(good),
        1 => Err(bad.remove(0).into()),
        _ => Err(ActionError::Failed(together(&bad))),
    }
}
