//! `[environments.NAME]`: where a version lives, how it gets there, and what may go there.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Database, Metrics, Proxy};
use crate::duration::Duration;
use crate::version::Channel;

/// `[environments.NAME]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Environment {
    /// Where it answers.
    pub url: Option<String>,
    /// What it is for.
    pub purpose: Option<String>,
    /// What data it has.
    pub data: Option<String>,
    /// How much depends on it.
    pub monitoring: Option<Monitoring>,
    /// The address of its health check, from `url` when it is relative. `{host}` in it stands for each host's own
    /// address: then every host is asked, right after it got the version.
    pub health: Option<String>,
    /// Where in a health answer the version stands: a JSONPath such as `$.version`, `header:NAME`, or `none` where the
    /// service cannot tell it. It must be the one that was deployed. When not given, `$.version` of a JSON answer, else
    /// the header `X-Version`, where there is one.
    #[schemars(with = "Option<String>")]
    pub version: Option<VersionAt>,
    /// Environments where a version must have been deployed before it may come here.
    pub after: Vec<String>,
    /// The channels whose versions may come here, such as `["rc", "stable"]`; all of them when empty.
    pub channels: Vec<Channel>,
    /// Its hosts, by names that ssh knows. The first one gets a version first, and keeps the environment's lock.
    pub hosts: Vec<String>,
    /// The user on the hosts, where ssh's configuration does not say it.
    pub user: Option<String>,
    /// The ssh configuration, where it is not the user's own. A relative path starts at the repository's root.
    pub ssh_config: Option<String>,
    /// The service's folder on each host: absolute.
    pub folder: Option<String>,
    /// The compose files, from the repository's root, later ones over earlier ones.
    pub compose: Vec<String>,
    /// How many hosts get the version at a time: numbers, or parts of all hosts such as `30%`. The last one is
    /// repeated until every host had its turn.
    #[schemars(with = "Vec<String>")]
    pub batches: Vec<Batch>,
    /// How many hosts may fail or be unreachable before the deployment is given up.
    pub max_failures: u32,
    /// How long a host must have been healthy without a restart before the next one gets its turn.
    #[schemars(with = "String")]
    pub min_healthy: Duration,
    /// How long to wait between two batches.
    #[schemars(with = "String")]
    pub pause: Duration,
    /// What becomes of the hosts that have the version when a deployment is given up.
    pub on_abort: OnAbort,
    /// Where its metrics are asked for.
    pub metrics: Metrics,
    /// What stands in front of its servers.
    pub proxy: Option<Proxy>,
    /// Its database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<Database>,
}

impl Default for Environment {
    fn default() -> Self {
        Self {
            url: None,
            purpose: None,
            data: None,
            monitoring: None,
            health: None,
            version: None,
            after: Vec::new(),
            channels: Vec::new(),
            hosts: Vec::new(),
            user: None,
            ssh_config: None,
            folder: None,
            compose: Vec::new(),
            batches: vec![Batch::Count(1), Batch::Percent(100)],
            max_failures: 0,
            min_healthy: Duration::from_secs(10),
            pause: Duration::from_secs(0),
            on_abort: OnAbort::Revert,
            metrics: Metrics::default(),
            proxy: None,
            database: None,
        }
    }
}

/// How much depends on an environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Monitoring {
    /// Somebody looks at it when there is time.
    NonCritical,
    /// People are paged at any hour when a step on it fails.
    Critical,
}

/// What becomes of the hosts that have the version when a deployment is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnAbort {
    /// They get back what they had before.
    #[default]
    Revert,
    /// They stay as they are, for a person to look at.
    Hold,
}

/// How many hosts get a version at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Batch {
    /// So many.
    Count(u32),
    /// So many of a hundred, but one at the least.
    Percent(u32),
}

impl Batch {
    /// Reads `2` or `30%`.
    pub fn parse(text: &str) -> Option<Self> {
        let (digits, is_percent) = text.strip_suffix('%').map_or((text, false), |digits| (digits, true));
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let number: u32 = digits.parse().ok().filter(|number| plain && *number > 0)?;
        match is_percent {
            true => (number <= 100).then_some(Self::Percent(number)),
            false => Some(Self::Count(number)),
        }
    }

    fn of(self, hosts: usize) -> usize {
        match self {
            Self::Count(count) => count as usize,
            Self::Percent(percent) => (hosts * percent as usize / 100).max(1),
        }
    }
}

impl TryFrom<String> for Batch {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).ok_or_else(|| format!("`{text}` is no number of hosts: write it like 2 or 30%"))
    }
}

impl From<Batch> for String {
    fn from(batch: Batch) -> Self {
        match batch {
            Batch::Count(count) => count.to_string(),
            Batch::Percent(percent) => format!("{percent}%"),
        }
    }
}

/// Where in a health answer the version stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum VersionAt {
    /// At a JSONPath of its body.
    Path(String),
    /// In a header.
    Header(String),
    /// Nowhere: the service cannot tell it.
    Nowhere,
}

impl VersionAt {
    /// Reads `$.version`, `header:X-Version` or `none`. Whether a path is one, only who follows it knows.
    pub fn parse(text: &str) -> Option<Self> {
        // A token, by RFC 9110, section 5.6.2.
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        match (text, text.strip_prefix("header:")) {
            ("none", _) => Some(Self::Nowhere),
            (_, Some(name)) => {
                (!name.is_empty() && name.bytes().all(is_plain)).then(|| Self::Header(name.to_owned()))
            }
            _ => (text.starts_with('$') && !text.chars().any(char::is_control))
                .then(|| Self::Path(text.to_owned())),
        }
    }
}

impl TryFrom<String> for VersionAt {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).ok_or_else(|| {
            format!("`{text}` is no place of a version: write it like $.version, header:X-Version or none")
        })
    }
}

impl From<VersionAt> for String {
    fn from(at: VersionAt) -> Self {
        match at {
            VersionAt::Path(path) => path,
            VersionAt::Header(name) => format!("header:{name}"),
            VersionAt::Nowhere => "none".to_owned(),
        }
    }
}

impl Environment {
    /// Which of so many hosts get their turn together, in order.
    pub fn turns(&self, hosts: usize) -> Vec<Range<usize>> {
        let mut turns = Vec::new();
        let mut next = 0;
        let mut batches = self.batches.iter().copied();
        let mut size = Batch::Percent(100).of(hosts);
        while next < hosts {
            size = batches.next().map_or(size, |batch| batch.of(hosts));
            let end = next.saturating_add(size).min(hosts);
            turns.push(next..end);
            next = end;
        }
        turns
    }

    /// Whether versions of this channel may come here.
    pub fn takes(&self, channel: Channel) -> bool {
        self.channels.is_empty() || self.channels.contains(&channel)
    }

    /// The whole address of the health check; `{host}` is left in it.
    pub fn health_address(&self) -> Option<String> {
        let health = self.health.as_deref()?;
        if health.contains("://") {
            return Some(health.to_owned());
        }
        let url = self.url.as_deref()?;
        Some(format!("{}/{}", url.trim_end_matches('/'), health.trim_start_matches('/')))
    }
}

/// The first environment that comes after itself, through others, and the way round.
pub fn circle(environments: &BTreeMap<String, Environment>) -> Option<Vec<String>> {
    // Those from which every way was gone to its end.
    let mut ended: BTreeSet<&str> = BTreeSet::new();
    for begin in environments.keys() {
        // The way from `begin` to where we are, and at each place what is still to be looked at.
        let mut way: Vec<(&str, std::slice::Iter<'_, String>)> = Vec::new();
        let mut on_the_way: BTreeSet<&str> = BTreeSet::new();
        let mut next = Some(begin.as_str());
        while next.is_some() || !way.is_empty() {
            if let Some((name, environment)) = next.and_then(|name| environments.get_key_value(name))
                && !ended.contains(name.as_str())
            {
                if !on_the_way.insert(name) {
                    let round = way.iter().map(|(name, _)| *name).skip_while(|passed| passed != name);
                    return Some(round.chain([name.as_str()]).map(str::to_owned).collect());
                }
                way.push((name, environment.after.iter()));
            }
            next = None;
            if let Some((name, rest)) = way.last_mut() {
                match rest.next() {
                    Some(after) => next = Some(after),
                    None => {
                        ended.insert(name);
                        on_the_way.remove(name);
                        way.pop();
                    }
                }
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hosts_get_their_turns_in_order() {
        for (batches, hosts, expect) in [
            (&["1", "30%", "100%"][..], 10, &[(0, 1), (1, 4), (4, 10)][..]),
            (&["1", "100%"], 1, &[(0, 1)]),
            (&["1", "100%"], 3, &[(0, 1), (1, 3)]),
            (&["2"], 5, &[(0, 2), (2, 4), (4, 5)]),
            (&["10%"], 3, &[(0, 1), (1, 2), (2, 3)]),
            (&["100%"], 4, &[(0, 4)]),
            (&[], 2, &[(0, 2)]),
            (&["1"], 0, &[]),
        ] {
            let batches = batches.iter().map(|text| Batch::parse(text).unwrap()).collect();
            let environment = Environment { batches, ..Environment::default() };
            let turns: Vec<_> =
                environment.turns(hosts).into_iter().map(|turn| (turn.start, turn.end)).collect();
            assert_eq!(turns, expect, "{:?}", environment.batches);
        }
        for text in ["", "0", "0%", "101%", "-1", "+1", "1.5", "%", "30 %", "99999999999"] {
            assert_eq!(Batch::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_place_of_a_version_is_read_and_written() {
        for (text, expect) in [
            ("$.version", Some(VersionAt::Path("$.version".into()))),
            ("$['build.id']", Some(VersionAt::Path("$['build.id']".into()))),
            ("header:X-Version", Some(VersionAt::Header("X-Version".into()))),
            ("none", Some(VersionAt::Nowhere)),
            ("header:", None),
            ("header: X-Version", None),
            ("header:X\r\nHost", None),
            ("$.a\n", None),
            ("version", None),
            ("", None),
        ] {
            let found = VersionAt::parse(text);
            assert_eq!(found, expect, "{text:?}");
            assert!(found.is_none_or(|found| String::from(found) == text));
        }
    }

    #[test]
    fn a_health_address_is_whole() {
        for (url, health, expect) in [
            (Some("https://x.example/"), Some("/health"), Some("https://x.example/health")),
            (Some("https://x.example"), Some("health"), Some("https://x.example/health")),
            (None, Some("http://{host}:8080/h"), Some("http://{host}:8080/h")),
            (None, Some("/health"), None),
            (Some("https://x.example"), None, None),
        ] {
            let environment = Environment {
                url: url.map(str::to_owned),
                health: health.map(str::to_owned),
                ..Environment::default()
            };
            assert_eq!(environment.health_address().as_deref(), expect);
        }
    }

    #[test]
    fn a_long_way_is_gone_in_a_moment() {
        let named = |number: u32| format!("e{number:05}");
        let after = |names: Vec<String>| Environment { after: names, ..Environment::default() };
        let mut chain: BTreeMap<String, Environment> =
            (0..20_000).map(|number| (named(number), after(vec![named(number + 1)]))).collect();
        assert_eq!(circle(&chain), None);
        chain.insert(named(20_000), after(vec![named(19_999)]));
        assert_eq!(circle(&chain).unwrap(), [named(19_999), named(20_000), named(19_999)]);
    }

    proptest! {
        #[test]
        fn every_host_has_one_turn(batches in proptest::collection::vec(1u32..150, 0..6), hosts in 0usize..200) {
            let batches = batches.into_iter().map(|number| if number > 100 { Batch::Count(number) } else { Batch::Percent(number) });
            let environment = Environment { batches: batches.collect(), ..Environment::default() };
            let all: Vec<usize> = environment.turns(hosts).into_iter().flatten().collect();
            prop_assert_eq!(all, (0..hosts).collect::<Vec<_>>());
        }

        #[test]
        fn a_batch_is_read_back(text in "[0-9]{1,3}%?") {
            if let Some(batch) = Batch::parse(&text) {
                prop_assert_eq!(Batch::try_from(String::from(batch)), Ok(batch));
            }
        }
    }
}
