//! `[environments.NAME.metrics]`: where the numbers of an environment come from, and what is asked for each.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[environments.NAME.metrics]`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    /// The address of its Prometheus, such as `http://prometheus:9090`.
    pub prometheus: Option<String>,
    /// Headers that Prometheus is asked with. `secret:NAME` stands for the value of a secret.
    pub headers: BTreeMap<String, String>,
    /// What is asked for each metric, by the metric's name.
    pub queries: BTreeMap<String, Query>,
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

/// What is asked for one metric: one of `query`, `total` with `good` or `bad`, `buckets`, `script`, `command`, `logs` and
/// `restarts`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct QueryTable {
    /// PromQL that gives one number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// PromQL that counts all requests of an interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<String>,
    /// PromQL that counts the good ones: safer than `bad`, because a query that is misspelt finds nothing, and
    /// nothing good is no silence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub good: Option<String>,
    /// PromQL that counts the bad ones.
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
        ];
        let wrong = |why: &str| Err(why.to_owned());
        if forms.iter().filter(|form| **form).count() != 1 {
            return wrong(
                "needs exactly one of `query`, `total`, `buckets`, `script`, `command`, `logs` and `restarts`",
            );
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

    /// Whether it asks Prometheus.
    pub fn is_promql(&self) -> bool {
        self.query.is_some() || self.total.is_some() || self.buckets.is_some()
    }

    /// The service whose containers it asks the environment's hosts about; `*` for all of them.
    pub fn service(&self) -> Option<&str> {
        self.logs.as_deref().or(self.restarts.as_deref())
    }

    /// Whether it counts a share of requests or lines.
    pub fn is_share(&self) -> bool {
        self.total.is_some() || self.share
    }

    /// The query as people read it.
    pub fn shown(&self) -> String {
        let texts = [&self.query, &self.buckets, &self.script];
        match (&self.total, &self.good, &self.bad) {
            (Some(total), Some(good), _) => format!("1 - ({good}) / ({total})"),
            (Some(total), _, Some(bad)) => format!("({bad}) / ({total})"),
            _ => match (texts.into_iter().flatten().next(), &self.pattern) {
                (Some(text), _) => text.clone(),
                (None, Some(pattern)) if self.logs.is_some() => {
                    format!(
                        "lines that match {pattern} in the logs of {}",
                        self.service().unwrap_or_default()
                    )
                }
                (None, _) if self.restarts.is_some() => {
                    format!("restarts of {} since the watch began", self.service().unwrap_or_default())
                }
                (None, _) => self.command.join(" "),
            },
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
}
