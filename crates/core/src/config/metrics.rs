//! `[environments.NAME.metrics]`: where the numbers of an environment come from, and what is asked for each.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::Duration;

/// `[environments.NAME.metrics]`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    /// The address of its Prometheus, such as `http://prometheus:9090`.
    pub prometheus: Option<String>,
    /// Headers that Prometheus is asked with. `secret:NAME` stands for the value of a secret.
    pub headers: BTreeMap<String, String>,
    /// Its Loki, which queries with `from = "loki"` are asked of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loki: Option<Loki>,
    /// Its Elasticsearch or OpenSearch, which queries with `from = "elasticsearch"` are asked of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elasticsearch: Option<Elasticsearch>,
    /// What is asked for each metric, by the metric's name.
    pub queries: BTreeMap<String, Query>,
}

/// A Loki: central logs that are asked with LogQL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Loki {
    /// Its address, such as `http://loki:3100`.
    pub url: String,
    /// Headers that it is asked with. `secret:NAME` stands for the value of a secret.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// How long lines take to arrive there: what is counted ends so long before the look. 5s when not given.
    pub delay: Duration,
}

/// An Elasticsearch or an OpenSearch: central logs that are asked with query strings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Elasticsearch {
    /// Its address, such as `http://elasticsearch:9200`.
    pub url: String,
    /// The index, data stream or alias with the logs, such as `logs-*`.
    pub index: String,
    /// The field with a document's time; `@timestamp` when not given.
    pub time: String,
    /// Headers that it is asked with. `secret:NAME` stands for the value of a secret.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// How long documents take to arrive there and be found: what is counted ends so long before the look. 5s when not
    /// given.
    pub delay: Duration,
}

/// How long a line is on its way to central logs when nobody says: shippers send batches of about a second, and an
/// index shows what it got after another one.
const DELAY: Duration = Duration::from_secs(5);

impl Default for Loki {
    fn default() -> Self {
        Self { url: String::new(), headers: BTreeMap::new(), delay: DELAY }
    }
}

impl Default for Elasticsearch {
    fn default() -> Self {
        Self {
            url: String::new(),
            index: String::new(),
            time: "@timestamp".into(),
            headers: BTreeMap::new(),
            delay: DELAY,
        }
    }
}

impl Elasticsearch {
    /// Whether the index can be asked for.
    ///
    /// # Errors
    /// What is wrong with its name.
    pub fn check(&self) -> Result<(), String> {
        let is_odd = |letter: char| letter.is_whitespace() || letter.is_control();
        // A path without its index would search all of them.
        let is_none = self.index.is_empty() || self.index == "." || self.index == "..";
        if is_none || self.index.contains(is_odd) {
            return Err("needs the `index` with the logs, such as \"logs-*\"".into());
        }
        if self.time.is_empty() {
            return Err("needs the `time` field of its documents, such as \"@timestamp\"".into());
        }
        Ok(())
    }
}

/// What stores numbers or logs, and is asked for any moment of the past.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Store {
    /// Prometheus, with PromQL.
    Prometheus,
    /// Loki, with LogQL.
    Loki,
    /// Elasticsearch or OpenSearch, with query strings.
    Elasticsearch,
}

impl Store {
    /// As `from` writes it.
    pub fn key(self) -> &'static str {
        match self {
            Self::Prometheus => "prometheus",
            Self::Loki => "loki",
            Self::Elasticsearch => "elasticsearch",
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Prometheus => "Prometheus",
            Self::Loki => "Loki",
            Self::Elasticsearch => "Elasticsearch",
        }
    }
}

/// What is asked for one metric: PromQL that gives one number, or a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Query {
    /// PromQL that gives one number. `$window` stands for the time between two looks.
    Text(String),
    /// Counts, a histogram, a script, a command, or what the environment's hosts tell.
    Table(Box<QueryTable>),
}

/// What is asked for one metric: one of `query`, `total` with `good` or `bad`, `buckets`, `script`, `command`, `logs`,
/// `restarts`, `cpu` and `memory`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct QueryTable {
    /// Where `query`, `total`, `good` and `bad` are asked: `prometheus` when not given, `loki` or `elasticsearch`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Store>,
    /// PromQL or LogQL that gives one number; of Elasticsearch a query string, and the number is how many documents of
    /// an interval match it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// What counts all requests, or all lines, of an interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<String>,
    /// What counts the good ones: safer than `bad`, because a query that is misspelt finds nothing, and
    /// nothing good is no silence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub good: Option<String>,
    /// What counts the bad ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bad: Option<String>,
    /// PromQL that gives the buckets of a histogram of seconds, by `le`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buckets: Option<String>,
    /// A script that prints a number, or JSON: `{"bad": 1, "total": 10}`, `{"buckets": [[0.1, 20], [null, 1]]}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub script: Option<String>,
    /// What the script is written in: `bash` when not given, `sh` or `python`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// A program and its arguments. It prints what a script would; with `pattern`, lines. `$since` and `$until` stand
    /// for the interval.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// A service of the environment's compose project (`*` for all of them): with `pattern`, the number is how many lines
    /// its containers logged, on all hosts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logs: Option<String>,
    /// A service of the environment's compose project (`*` for all of them): how often its containers were restarted
    /// since the watch began, on all hosts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restarts: Option<String>,
    /// A service of the environment's compose project (`*` for all of them): the share of the CPUs it may use that its
    /// busiest container uses, on all hosts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<String>,
    /// A service of the environment's compose project (`*` for all of them): the share of the memory it may use that its
    /// fullest container uses, on all hosts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
    /// A regular expression: the number is how many lines of the command or of the logs match it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// With `pattern`: the share of the lines that match.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub share: bool,
}

impl Query {
    /// The same as a table.
    pub fn table(&self) -> QueryTable {
        match self {
            Self::Text(text) => QueryTable { query: Some(text.clone()), ..QueryTable::default() },
            Self::Table(table) => (**table).clone(),
        }
    }
}

impl QueryTable {
    /// Whether the parts go together.
    ///
    /// # Errors
    /// What is missing or too much.
    pub fn check(&self) -> Result<(), String> {
        let forms = [
            self.query.is_some(),
            self.total.is_some(),
            self.buckets.is_some(),
            self.script.is_some(),
            !self.command.is_empty(),
            self.logs.is_some(),
            self.restarts.is_some(),
            self.cpu.is_some(),
            self.memory.is_some(),
        ];
        let wrong = |why: &str| Err(why.to_owned());
        if forms.iter().filter(|form| **form).count() != 1 {
            return wrong(
                "needs exactly one of `query`, `total`, `buckets`, `script`, `command`, `logs`, `restarts`, `cpu` and \
                 `memory`",
            );
        }
        if self.from.is_some() && self.store().is_none() {
            return wrong("has a `from`, which is where a `query` or a `total` is asked");
        }
        if self.buckets.is_some() && self.store() != Some(Store::Prometheus) {
            return wrong("has `buckets`, which only Prometheus is asked for");
        }
        if self.total.is_some() == (self.good.is_some() == self.bad.is_some()) {
            return wrong("needs `total` together with one of `good` and `bad`");
        }
        if self.total.is_none() && (self.good.is_some() || self.bad.is_some()) {
            return wrong("needs `total` together with one of `good` and `bad`");
        }
        if self.pattern.is_some() && self.command.is_empty() && self.logs.is_none() {
            return wrong("has a `pattern`, which counts the lines of a `command` or of `logs`");
        }
        if self.logs.is_some() && self.pattern.is_none() {
            return wrong("needs a `pattern` beside `logs`: which of their lines count");
        }
        if let Some(service) = self.service()
            && !is_service(service)
        {
            return wrong(
                "names no service: a service of a compose file has letters, digits, `.`, `_` and `-`; `*` is all",
            );
        }
        if self.share && self.pattern.is_none() {
            return wrong("has `share`, which is the share of the lines that match a `pattern`");
        }
        if self.language.is_some() && self.script.is_none() {
            return wrong("has a `language`, which is what a `script` is written in");
        }
        Ok(())
    }

    /// The store that it asks, which knows any moment of the past.
    pub fn store(&self) -> Option<Store> {
        let is_asked = self.query.is_some() || self.total.is_some() || self.buckets.is_some();
        is_asked.then(|| self.from.unwrap_or(Store::Prometheus))
    }

    /// The service whose containers it asks the environment's hosts about; `*` for all of them.
    pub fn service(&self) -> Option<&str> {
        [&self.logs, &self.restarts, &self.cpu, &self.memory].into_iter().find_map(Option::as_deref)
    }

    /// Whether it measures how much containers use of what they may, from 0 to 1.
    pub fn is_usage(&self) -> bool {
        self.cpu.is_some() || self.memory.is_some()
    }

    /// Whether it counts a share of requests or lines.
    pub fn is_share(&self) -> bool {
        self.total.is_some() || self.share
    }

    /// The query as people read it.
    pub fn shown(&self) -> String {
        let service = self.service().unwrap_or_default();
        match (&self.total, &self.good, &self.bad) {
            (Some(total), Some(good), _) => return format!("1 - ({good}) / ({total})"),
            (Some(total), _, Some(bad)) => return format!("({bad}) / ({total})"),
            _ => {}
        }
        let text = [&self.query, &self.buckets, &self.script].into_iter().find_map(Option::as_ref);
        match (text, &self.pattern) {
            (Some(text), _) if self.from == Some(Store::Elasticsearch) => {
                format!("documents that match {text}")
            }
            (Some(text), _) => text.clone(),
            (None, Some(pattern)) if self.logs.is_some() => {
                format!("lines that match {pattern} in the logs of {service}")
            }
            (None, _) if self.restarts.is_some() => format!("restarts of {service} since the watch began"),
            (None, _) if self.cpu.is_some() => format!("CPU of the busiest container of {service}"),
            (None, _) if self.memory.is_some() => format!("memory of the fullest container of {service}"),
            (None, _) => self.command.join(" "),
        }
    }
}

/// Whether docker compose takes it as the name of a service, or it stands for all of them.
fn is_service(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    name == "*"
        || (!name.is_empty() && name.len() <= 100 && !name.starts_with('-') && name.bytes().all(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_query_go_together() {
        for (text, expect) in [
            (r#"{"query": "up"}"#, ""),
            (r#"{"total": "a", "good": "b"}"#, ""),
            (r#"{"total": "a", "bad": "b"}"#, ""),
            (r#"{"buckets": "a"}"#, ""),
            (r#"{"script": "echo 1", "language": "sh"}"#, ""),
            (r#"{"command": ["docker", "logs", "web"], "pattern": "ERROR", "share": true}"#, ""),
            (r#"{"logs": "web", "pattern": "ERROR", "share": true}"#, ""),
            (r#"{"restarts": "*"}"#, ""),
            (r#"{"cpu": "web"}"#, ""),
            (r#"{"memory": "*"}"#, ""),
            (r#"{"from": "loki", "query": "a"}"#, ""),
            (r#"{"from": "elasticsearch", "total": "a", "bad": "b"}"#, ""),
            (r#"{"from": "prometheus", "buckets": "a"}"#, ""),
            (r#"{"from": "loki", "buckets": "a"}"#, "only Prometheus"),
            (r#"{"from": "loki", "logs": "web", "pattern": "x"}"#, "has a `from`"),
            (r#"{"cpu": "web", "memory": "web"}"#, "exactly one of"),
            (r#"{"cpu": "web", "pattern": "x"}"#, "lines of a `command` or of `logs`"),
            (r#"{"memory": "-v"}"#, "names no service"),
            (r#"{"logs": "web"}"#, "needs a `pattern`"),
            (r#"{"logs": "web", "restarts": "web", "pattern": "x"}"#, "exactly one of"),
            (r#"{"restarts": "web", "pattern": "x"}"#, "lines of a `command` or of `logs`"),
            (r#"{"restarts": "$(id)"}"#, "names no service"),
            (r#"{"restarts": "--all"}"#, "names no service"),
            (r#"{"restarts": ""}"#, "names no service"),
            (r"{}", "exactly one of"),
            (r#"{"query": "up", "buckets": "a"}"#, "exactly one of"),
            (r#"{"total": "a"}"#, "one of `good` and `bad`"),
            (r#"{"total": "a", "good": "b", "bad": "c"}"#, "one of `good` and `bad`"),
            (r#"{"query": "a", "bad": "c"}"#, "needs `total`"),
            (r#"{"query": "a", "pattern": "c"}"#, "lines of a `command`"),
            (r#"{"command": ["a"], "share": true}"#, "match a `pattern`"),
            (r#"{"query": "a", "language": "sh"}"#, "a `script` is written in"),
        ] {
            let table: QueryTable = serde_json::from_str(text).unwrap();
            match table.check() {
                Ok(()) => assert_eq!(expect, "", "{text}"),
                Err(why) => assert!(!expect.is_empty() && why.contains(expect), "{text}: {why}"),
            }
        }
    }

    #[test]
    fn an_index_is_a_name() {
        for (index, is_good) in [
            ("logs-*", true),
            ("a,b", true),
            ("<logs-{now/d}>", true),
            (".ds-logs", true),
            ("", false),
            (".", false),
            ("..", false),
            ("a b", false),
            ("a\nb", false),
        ] {
            let table = Elasticsearch { index: index.into(), ..Elasticsearch::default() };
            assert_eq!(table.check().is_ok(), is_good, "{index}");
        }
        let table = Elasticsearch { index: "logs".into(), time: String::new(), ..Elasticsearch::default() };
        assert!(table.check().is_err());
    }
}
