//! `[environments.NAME.proxy]`: what stands in front of the servers, and how traffic is taken from one to another.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::Duration;

/// `[environments.NAME.proxy]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Proxy {
    /// What it is.
    pub kind: ProxyKind,
    /// Where it runs. When empty: on each of the environment's own hosts, each in front of that host's servers only;
    /// on this machine for an environment without hosts.
    pub hosts: Vec<String>,
    /// HAProxy's runtime socket on the proxy's host (`/run/haproxy/admin.sock` when not given), or the address of
    /// Caddy's admin interface as seen from there (`localhost:2019`).
    pub socket: Option<String>,
    /// The backend of HAProxy, the upstream of nginx, the `@id` of Caddy's `reverse_proxy` handler.
    pub backend: String,
    /// How a server is called there, with `{host}` and `{colour}`. When not given: `{colour}` for a proxy on each host,
    /// `{host}-{colour}` for one in front of all of them, `{host}` without `ports`.
    pub server: Option<String>,
    /// Where a server answers, as seen from the proxy, with `{host}`, the address that ssh reaches, and `{port}`. When
    /// not given, but `ports` are: `127.0.0.1:{port}` for a proxy on each host, `{host}:{port}` for one in front of all.
    /// HAProxy is told an address only when it is given here.
    pub address: Option<String>,
    /// The port of each colour, for blue-green deployments.
    pub ports: Option<Ports>,
    /// The file that is written too, so that a reload or a restart keeps what was switched: HAProxy's configuration,
    /// the file of nginx with the upstream, for Caddy the JSON it is started with.
    pub config: Option<String>,
    /// The command that checks the configuration. When not given: `haproxy -c -f CONFIG`, `nginx -t`, and
    /// `caddy validate --config CONFIG`.
    pub test: Vec<String>,
    /// The command that makes nginx read its configuration: `nginx -s reload` when not given.
    pub reload: Vec<String>,
    /// How long requests on the old server may last before it goes to maintenance.
    #[schemars(with = "String")]
    pub drain: Duration,
    /// How long the front door may take, after each switch of traffic, to answer with the version: it was proven past the
    /// proxy already, so this is for the proxy's own checks and reloads. Then the traffic goes back.
    #[schemars(with = "String")]
    pub proof: Duration,
    /// The share of the traffic, in percent, that the new servers get: ascending, to 100 at last.
    pub shift: Vec<u32>,
    /// How long each share but the last one stays.
    #[schemars(with = "String")]
    pub shift_every: Duration,
}

impl Default for Proxy {
    fn default() -> Self {
        Self {
            kind: ProxyKind::Haproxy,
            hosts: Vec::new(),
            socket: None,
            backend: String::new(),
            server: None,
            address: None,
            ports: None,
            config: None,
            test: Vec::new(),
            reload: Vec::new(),
            drain: Duration::from_secs(30),
            proof: Duration::from_secs(5),
            shift: vec![100],
            shift_every: Duration::from_secs(30),
        }
    }
}

/// What a proxy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ProxyKind {
    /// HAProxy, by its runtime socket.
    #[default]
    Haproxy,
    /// nginx, by its configuration and a reload.
    Nginx,
    /// Caddy, by its admin interface.
    Caddy,
}

impl ProxyKind {
    /// Its name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Haproxy => "haproxy",
            Self::Nginx => "nginx",
            Self::Caddy => "caddy",
        }
    }
}

/// One of the two sides of a blue-green deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Colour {
    /// The one that is deployed first.
    Blue,
    /// The other one.
    Green,
}

impl Colour {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Blue, Self::Green];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Blue => "blue",
            Self::Green => "green",
        }
    }

    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Self::Blue => Self::Green,
            Self::Green => Self::Blue,
        }
    }

    /// The one of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|colour| colour.as_str() == text)
    }
}

/// The port of each colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ports {
    /// The blue one's.
    pub blue: u16,
    /// The green one's.
    pub green: u16,
}

impl Ports {
    /// The port of a colour.
    pub fn of(self, colour: Colour) -> u16 {
        match colour {
            Colour::Blue => self.blue,
            Colour::Green => self.green,
        }
    }
}

impl Proxy {
    /// HAProxy's socket or Caddy's address, as given or by default.
    pub fn socket(&self) -> &str {
        self.socket.as_deref().unwrap_or(match self.kind {
            ProxyKind::Caddy => "localhost:2019",
            ProxyKind::Haproxy | ProxyKind::Nginx => "/run/haproxy/admin.sock",
        })
    }

    /// The name of a server, by the name of its host and its colour.
    pub fn server_of(&self, host: &str, colour: Option<Colour>) -> String {
        let form = self.server.as_deref().unwrap_or(match (colour, self.hosts.is_empty()) {
            (Some(_), true) => "{colour}",
            (Some(_), false) => "{host}-{colour}",
            (None, _) => "{host}",
        });
        form.replace("{colour}", colour.map_or("", Colour::as_str)).replace("{host}", host)
    }

    /// Where a server answers, by the address of its host and its colour; `None` when the proxy alone knows.
    pub fn address_of(&self, host: &str, colour: Option<Colour>) -> Option<String> {
        let otherwise = match (self.ports, self.hosts.is_empty()) {
            (None, _) => None,
            (Some(_), true) => Some("127.0.0.1:{port}"),
            (Some(_), false) => Some("{host}:{port}"),
        };
        let form = self.address.as_deref().or(otherwise)?;
        let host = match host.contains(':') && !form.contains("[{host}]") {
            true => &format!("[{host}]"),
            false => host,
        };
        let port = self.ports.zip(colour).map(|(ports, colour)| ports.of(colour).to_string());
        Some(form.replace("{port}", &port.unwrap_or_default()).replace("{host}", host))
    }

    /// The command that checks the configuration, as given or by default.
    pub fn test_command(&self) -> Vec<String> {
        let words: &[&str] = match (self.kind, self.config.as_deref()) {
            _ if !self.test.is_empty() => return self.test.clone(),
            (ProxyKind::Haproxy, Some(config)) => &["haproxy", "-c", "-f", config],
            (ProxyKind::Nginx, _) => &["nginx", "-t"],
            (ProxyKind::Caddy, Some(config)) => &["caddy", "validate", "--config", config],
            (ProxyKind::Haproxy | ProxyKind::Caddy, None) => &[],
        };
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    /// The command that makes nginx read its configuration, as given or by default.
    pub fn reload_command(&self) -> Vec<String> {
        match self.reload.as_slice() {
            [] => ["nginx", "-s", "reload"].map(str::to_owned).to_vec(),
            words => words.to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_have_their_names_and_addresses() {
        let ports = Some(Ports { blue: 8081, green: 8082 });
        let each = Proxy { ports, ..Proxy::default() };
        let central = Proxy { hosts: vec!["lb1".into()], ..each.clone() };
        let own = Proxy {
            server: Some("s_{host}_{colour}".into()),
            address: Some("[{host}]:{port}".into()),
            ..central.clone()
        };
        let rolling = Proxy { hosts: vec!["lb1".into()], ..Proxy::default() };
        let with_address = Proxy { address: Some("{host}:80".into()), ..rolling.clone() };
        for (proxy, colour, name, address) in [
            (&each, Some(Colour::Blue), "blue", Some("127.0.0.1:8081")),
            (&each, Some(Colour::Green), "green", Some("127.0.0.1:8082")),
            (&central, Some(Colour::Green), "web1-green", Some("10.0.0.1:8082")),
            (&own, Some(Colour::Blue), "s_web1_blue", Some("[10.0.0.1]:8081")),
            (&rolling, None, "web1", None),
            (&with_address, None, "web1", Some("10.0.0.1:80")),
        ] {
            assert_eq!(proxy.server_of("web1", colour), name);
            assert_eq!(proxy.address_of("10.0.0.1", colour).as_deref(), address);
        }
    }

    #[test]
    fn an_address_of_ipv6_has_its_brackets_once() {
        let ports = Some(Ports { blue: 8081, green: 8082 });
        for form in ["{host}:{port}", "[{host}]:{port}"] {
            let proxy = Proxy { ports, address: Some(form.into()), ..Proxy::default() };
            assert_eq!(proxy.address_of("fd00::1", Some(Colour::Blue)).as_deref(), Some("[fd00::1]:8081"));
        }
    }

    #[test]
    fn commands_have_their_defaults() {
        let config = Some("/etc/x.cfg".to_owned());
        for (kind, config, expect) in [
            (ProxyKind::Haproxy, &config, "haproxy -c -f /etc/x.cfg"),
            (ProxyKind::Haproxy, &None, ""),
            (ProxyKind::Nginx, &config, "nginx -t"),
            (ProxyKind::Caddy, &config, "caddy validate --config /etc/x.cfg"),
        ] {
            let mut proxy = Proxy { kind, config: config.clone(), ..Proxy::default() };
            assert_eq!(proxy.test_command().join(" "), expect);
            proxy.test = vec!["true".into()];
            assert_eq!(proxy.test_command(), ["true"]);
        }
        assert_eq!(Proxy::default().reload_command().join(" "), "nginx -s reload");
    }
}
