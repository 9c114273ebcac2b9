//! The proxies of an environment: what they say of their servers, and how traffic is taken from one to another.
//!
//! HAProxy is told over its runtime socket, nginx by its configuration and a reload, Caddy over its admin interface;
//! each on this machine, or on a host by the fixed program there. Every change is refused under a lower fence than was
//! seen, and is written into the proxy's configuration too, so that a reload says the same.

use std::time::Duration;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use windlass_core::config::{Colour, Proxy as Table, ProxyKind};
use windlass_core::diagnostic::nearest;
use windlass_core::plan::sha256_hex;
use windlass_core::text::sanitize_line;
use windlass_engine::context::Context;

use super::remote::{Host, RemoteError, Result};
use super::ssh::{SshError, Trouble};
use crate::deploy::Site;

mod caddy;
mod haproxy;
mod nginx;

/// The time between two looks at the sessions.
const EVERY: Duration = Duration::from_millis(50);

/// One proxy of an environment, on a host or on this machine, and the servers of the environment behind it.
#[derive(Debug, Clone)]
pub struct Proxy {
    host: Host,
    table: Table,
    servers: Vec<Server>,
}

/// A server of the environment, as a proxy knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Which of [`Site::hosts`] it is on.
    pub host: usize,
    /// Its colour; `None` without colours.
    pub colour: Option<Colour>,
    /// How the proxy calls it.
    pub name: String,
    /// Where it answers, as `HOST:PORT`; `None` when the proxy alone knows.
    pub address: Option<String>,
}

/// Whether a server gets traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Admission {
    /// It does.
    Ready,
    /// It ends what it has, and gets nothing new.
    Drain,
    /// It gets nothing, and is not checked.
    Maintenance,
}

/// What is wanted of one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Course {
    /// Its name at the proxy.
    pub server: String,
    /// Where it answers; as it is when `None`.
    pub address: Option<String>,
    /// Whether it gets traffic.
    pub admission: Admission,
    /// Its share against the others, from 1 to 100, which is its usual one; as it is when `None`. It is written as the
    /// proxy's own weight, so that all servers that share traffic need one, once one of them was given one.
    pub weight: Option<u32>,
}

/// Traffic that [`Proxy::hold`] keeps away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Since when; not known of what an earlier Windlass held.
    pub since: Option<Timestamp>,
    /// What the servers had before.
    pub servers: Vec<Status>,
}

/// What the proxy says of one server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Its name; its address where the proxy has no names and nothing of the environment is there.
    pub server: String,
    /// Where it answers.
    pub address: String,
    /// Whether it gets traffic.
    pub admission: Admission,
    /// Its share against the others, as the proxy has it: 1 where nobody ever gave it one.
    pub weight: u32,
    /// How many requests and connections it has at the moment; `None` when the proxy does not tell by server.
    pub sessions: Option<u64>,
    /// Whether the proxy's own check finds it well; `None` when it is not checked.
    pub up: Option<bool>,
}

impl Server {
    /// A course for it.
    pub fn course(&self, admission: Admission, weight: Option<u32>) -> Course {
        Course { server: self.name.clone(), address: self.address.clone(), admission, weight }
    }
}

impl Proxy {
    /// The proxies of an environment; none when its configuration has none.
    ///
    /// # Errors
    /// When ssh does not know the address of a host.
    pub async fn all(site: &Site, context: &Context) -> Result<Vec<Self>> {
        let Some(table) = &site.environment.proxy else { return Ok(Vec::new()) };
        let mut servers = Vec::new();
        for (index, host) in site.hosts.iter().enumerate() {
            let address = match &host.ssh {
                Some(target) => target.address(context).await?,
                None => "127.0.0.1".to_owned(),
            };
            let name = if host.ssh.is_some() { host.name.as_str() } else { "local" };
            let colours = match table.ports {
                Some(_) => Colour::ALL.map(Some).to_vec(),
                None => vec![None],
            };
            servers.extend(colours.into_iter().map(|colour| Server {
                host: index,
                colour,
                name: table.server_of(name, colour),
                address: table.address_of(&address, colour),
            }));
        }
        let proxy = |host: Host, servers| Self { host, table: table.clone(), servers };
        if !table.hosts.is_empty() {
            let central = table.hosts.iter().map(|name| proxy(site.host(name, context), servers.clone()));
            return Ok(central.collect());
        }
        let each = site.hosts.iter().enumerate().map(|(index, host)| {
            proxy(host.clone(), servers.iter().filter(|server| server.host == index).cloned().collect())
        });
        Ok(each.collect())
    }

    /// Where it is, for people.
    pub fn name(&self) -> String {
        format!("{} on {}", self.table.kind.as_str(), self.host.name)
    }

    /// The host it runs on.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Its configuration.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// The servers of the environment behind it.
    pub fn servers(&self) -> &[Server] {
        &self.servers
    }

    /// The server on one of [`Site::hosts`], of a colour.
    pub fn server(&self, host: usize, colour: Option<Colour>) -> Option<&Server> {
        self.servers.iter().find(|server| server.host == host && server.colour == colour)
    }

    /// What it says of the servers of its backend, those of nobody here included.
    ///
    /// # Errors
    /// When it cannot be asked, or does not know the backend.
    pub async fn status(&self, context: &Context) -> Result<Vec<Status>> {
        match self.table.kind {
            ProxyKind::Haproxy => haproxy::status(self, context).await,
            ProxyKind::Nginx => nginx::status(self, context).await,
            ProxyKind::Caddy => caddy::status(self, context).await,
        }
    }

    /// Follows all courses at once: what becomes ready does so before anything is drained, and the configuration says
    /// the same afterwards. Twice is once. Servers without a course stay as they are.
    ///
    /// # Errors
    /// When the proxy cannot be asked, does not know the backend or a server, or refuses its configuration: then the
    /// traffic stays where it was. [`RemoteError::Fenced`] under a lower fence than was seen there.
    pub async fn steer(&self, context: &Context, fence: u64, courses: &[Course]) -> Result<()> {
        if let Some(weight) =
            courses.iter().filter_map(|course| course.weight).find(|weight| !(1..=100).contains(weight))
        {
            return Err(self.unfit(&format!("a weight of {weight} is not one of 1 to 100")));
        }
        match self.table.kind {
            ProxyKind::Haproxy => haproxy::steer(self, context, fence, courses).await,
            ProxyKind::Nginx => nginx::steer(self, context, fence, courses).await,
            ProxyKind::Caddy => caddy::steer(self, context, fence, courses).await,
        }
    }

    /// Whether all that [`Self::steer`] needs is there, without changing anything: the proxy answers and lets itself be
    /// changed, knows the backend and every server of the environment, and its configuration passes its test.
    ///
    /// # Errors
    /// What is missing.
    pub async fn check(&self, context: &Context, fence: u64) -> Result<()> {
        match self.table.kind {
            ProxyKind::Haproxy => haproxy::check(self, context, fence).await,
            ProxyKind::Nginx => nginx::check(self, context, fence).await,
            ProxyKind::Caddy => caddy::check(self, context, fence).await,
        }
    }

    /// Waits until none of the servers has a session, for `patience` at the most; gives the sessions that are left.
    ///
    /// # Errors
    /// When the proxy cannot be asked, does not know a server, or the run is cancelled.
    pub async fn drained(&self, context: &Context, servers: &[String], patience: Duration) -> Result<u64> {
        let begin = tokio::time::Instant::now();
        loop {
            let left = match self.table.kind {
                ProxyKind::Nginx => nginx::leaving(self, context).await?,
                ProxyKind::Haproxy | ProxyKind::Caddy => {
                    let statuses = self.status(context).await?;
                    let mut left = 0;
                    for server in servers {
                        left += self.find(&statuses, server)?.sessions.unwrap_or_default();
                    }
                    left
                }
            };
            if left == 0 || begin.elapsed() >= patience {
                return Ok(left);
            }
            tokio::select! {
                biased;
                () = context.cancel.cancelled() => {
                    let message = "cancelled".into();
                    return Err(RemoteError::Ssh(SshError { kind: Trouble::Cancelled, message }));
                }
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }

    /// Takes every server of the backend out of the traffic, those of nobody here included. What was is remembered on
    /// the proxy's host, once: holding twice is holding once.
    ///
    /// # Errors
    /// As [`Self::steer`].
    pub async fn hold(&self, context: &Context, fence: u64) -> Result<()> {
        let now = self.status(context).await?;
        let was = match self.held(context).await? {
            Some(held) => held.servers,
            None => {
                if self.table.kind == ProxyKind::Caddy {
                    caddy::found_again(self, context).await?;
                }
                let held = Held { since: Some(context.world.clock.now()), servers: now.clone() };
                self.remember(context, fence, "held", Some(&held)).await?;
                held.servers
            }
        };
        // A server that came meanwhile is held too.
        let new = now.into_iter().filter(|status| was.iter().all(|other| other.server != status.server));
        let all: Vec<Status> = was.iter().cloned().chain(new).collect();
        let course = |status: &Status| status.course(Admission::Maintenance);
        self.steer(context, fence, &all.iter().map(course).collect::<Vec<_>>()).await
    }

    /// Gives every server what it had before [`Self::hold`]; nothing when nothing is held.
    ///
    /// # Errors
    /// As [`Self::steer`].
    pub async fn release(&self, context: &Context, fence: u64) -> Result<()> {
        self.release_to(context, fence, &[]).await
    }

    /// The same, but the servers of `instead` get what that says: what is to be served may have changed meanwhile.
    ///
    /// # Errors
    /// As [`Self::steer`].
    pub async fn release_to(&self, context: &Context, fence: u64, instead: &[Course]) -> Result<()> {
        let Some(held) = self.held(context).await? else { return Ok(()) };
        let others =
            held.servers.iter().filter(|was| instead.iter().all(|course| course.server != was.server));
        let others = others.map(|status| status.course(status.admission));
        let courses: Vec<Course> = instead.iter().cloned().chain(others).collect();
        self.steer(context, fence, &courses).await?;
        self.remember::<Held>(context, fence, "held", None).await
    }

    /// Since when the servers are held, and what they had before; `None` when they are not.
    ///
    /// # Errors
    /// When the host cannot be asked.
    pub async fn held(&self, context: &Context) -> Result<Option<Held>> {
        // An earlier Windlass kept the servers alone.
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Kept {
            Held(Held),
            Servers(Vec<Status>),
        }
        Ok(self.recall(context, "held").await?.map(|kept| match kept {
            Kept::Held(held) => held,
            Kept::Servers(servers) => Held { since: None, servers },
        }))
    }

    /// Remembers something about the backend on the proxy's host, or forgets it.
    ///
    /// # Errors
    /// [`RemoteError::Fenced`] when the host has seen a higher fence.
    pub async fn remember<T: Serialize>(
        &self,
        context: &Context,
        fence: u64,
        what: &str,
        value: Option<&T>,
    ) -> Result<()> {
        let text = value.map(serde_json::to_vec).transpose();
        let text = text.map_err(|error| RemoteError::Failed(error.to_string()))?;
        self.host.keep(context, fence, &self.memory(what), text).await
    }

    /// What is remembered about the backend; `None` when nothing is.
    ///
    /// # Errors
    /// When the host cannot be asked, or what it has is damaged.
    pub async fn recall<T: DeserializeOwned>(&self, context: &Context, what: &str) -> Result<Option<T>> {
        let text = self.host.kept(context, &self.memory(what)).await?;
        if text.trim().is_empty() {
            return Ok(None);
        }
        let damaged = |why: serde_json::Error| {
            let file = format!("{}/.windlass/{}.json", self.host.folder, self.memory(what));
            RemoteError::Unfit(format!(
                "{}: {file} is damaged: {why}: look at it, and remove it",
                self.name()
            ))
        };
        serde_json::from_str(&text).map(Some).map_err(damaged)
    }

    /// The name under which something about the backend is remembered.
    fn memory(&self, what: &str) -> String {
        let digest = sha256_hex(format!("{}\n{}", self.table.socket(), self.table.backend).as_bytes());
        format!("{what}-{}", digest.get(..12).unwrap_or(&digest))
    }

    fn find<'a>(&self, statuses: &'a [Status], server: &str) -> Result<&'a Status> {
        statuses.iter().find(|status| status.server == server).ok_or_else(|| {
            self.unknown("", "server", server, statuses.iter().map(|status| status.server.as_str()))
        })
    }

    /// That the proxy, or a file of it, does not know a name, and which it knows.
    fn unknown<'a>(
        &self,
        file: &str,
        what: &str,
        name: &str,
        known: impl Iterator<Item = &'a str>,
    ) -> RemoteError {
        let known: Vec<&str> = known.collect();
        let help = match nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.is_empty() => "there is none at all".to_owned(),
            None => format!("there is {}", known.join(", ")),
        };
        let place = if what == "server" { format!(" in {}", self.table.backend) } else { String::new() };
        let file = if file.is_empty() { String::new() } else { format!("{file}: ") };
        self.unfit(&sanitize_line(&format!("{file}there is no {what} `{name}`{place}: {help}")))
    }

    /// The name of the server at an address; the address, when it is nobody's here.
    fn name_of(&self, address: &str) -> String {
        let server = self.servers.iter().find(|server| server.address.as_deref() == Some(address));
        server.map_or(address, |server| &server.name).to_owned()
    }

    /// The address of a server, by its name; the name, which may be an address.
    fn known_address(&self, name: &str) -> String {
        let server = self.servers.iter().find(|server| server.name == name);
        server.and_then(|server| server.address.as_deref()).unwrap_or(name).to_owned()
    }

    fn unfit(&self, why: &str) -> RemoteError {
        RemoteError::Unfit(format!("{}: {why}", self.name()))
    }
}

impl Status {
    fn course(&self, admission: Admission) -> Course {
        let address = (!self.address.is_empty()).then(|| self.address.clone());
        Course { server: self.server.clone(), address, admission, weight: None }
    }
}

/// A proxy that is never asked, for tests of what is written: blue on 127.0.0.1:8081, green on 127.0.0.1:8082.
#[cfg(test)]
fn unasked(kind: ProxyKind, backend: &str) -> Proxy {
    let table = Table { kind, backend: backend.to_owned(), ..Table::default() };
    let server = |(colour, port): (Colour, u16)| Server {
        host: 0,
        colour: Some(colour),
        name: colour.as_str().to_owned(),
        address: Some(format!("127.0.0.1:{port}")),
    };
    let servers = [(Colour::Blue, 8081), (Colour::Green, 8082)].map(server).to_vec();
    Proxy { host: Host::here(std::path::Path::new("/"), "production"), table, servers }
}
