//! Reads `[environments.NAME.metrics]`.

use std::collections::BTreeMap;

use super::{Entry, Reader};
use crate::config::{Elasticsearch, Loki, Metrics, Query, QueryTable, Store};

impl Reader {
    pub(super) fn metrics(&mut self, entry: &Entry<'_>) -> Metrics {
        let mut metrics = Metrics::default();
        for entry in self.table(entry) {
            match entry.key {
                "prometheus" => metrics.prometheus = self.address(&entry, "http://prometheus:9090"),
                "headers" => metrics.headers = self.headers(&entry),
                "loki" => metrics.loki = self.loki(&entry),
                "elasticsearch" => metrics.elasticsearch = self.elasticsearch(&entry),
                "queries" => {
                    for entry in self.table(&entry) {
                        let query = self.query(&entry);
                        metrics.queries.extend(query.map(|query| (entry.key.to_owned(), query)));
                    }
                }
                _ => {
                    let keys = ["prometheus", "headers", "loki", "elasticsearch", "queries"];
                    self.unknown(&entry, &keys);
                }
            }
        }
        metrics
    }

    fn loki(&mut self, entry: &Entry<'_>) -> Option<Loki> {
        let before = self.findings.len();
        let mut loki = Loki::default();
        for entry in self.table(entry) {
            match entry.key {
                "url" => loki.url = self.address(&entry, "http://loki:3100").unwrap_or_default(),
                "headers" => loki.headers = self.headers(&entry),
                "delay" => self.duration(&entry, &mut loki.delay),
                _ => self.unknown(&entry, &["url", "headers", "delay"]),
            }
        }
        if self.findings.len() == before && loki.url.is_empty() {
            let message = format!("`{}` has no address", entry.path);
            self.bad(entry, &message, "write { url = \"http://loki:3100\" }");
        }
        (self.findings.len() == before).then_some(loki)
    }

    fn elasticsearch(&mut self, entry: &Entry<'_>) -> Option<Elasticsearch> {
        let before = self.findings.len();
        let mut table = Elasticsearch::default();
        for entry in self.table(entry) {
            match entry.key {
                "url" => table.url = self.address(&entry, "http://elasticsearch:9200").unwrap_or_default(),
                "index" => table.index = self.text(&entry).unwrap_or_default(),
                "time" => table.time = self.text(&entry).unwrap_or_default(),
                "headers" => table.headers = self.headers(&entry),
                "delay" => self.duration(&entry, &mut table.delay),
                _ => self.unknown(&entry, &["url", "index", "time", "headers", "delay"]),
            }
        }
        let wrong = match table.check() {
            _ if table.url.is_empty() => Some("has no address".to_owned()),
            checked => checked.err(),
        };
        if let Some(wrong) = wrong.filter(|_| self.findings.len() == before) {
            let message = format!("`{}` {wrong}", entry.path);
            self.bad(entry, &message, "write { url = \"http://elasticsearch:9200\", index = \"logs-*\" }");
        }
        (self.findings.len() == before).then_some(table)
    }

    fn address(&mut self, entry: &Entry<'_>, example: &str) -> Option<String> {
        self.text(entry).filter(|url| {
            let is_address = url.starts_with("http://") || url.starts_with("https://");
            if !is_address {
                let message = format!("`{}` is no address", entry.path);
                self.bad(entry, &message, &format!("such as \"{example}\""));
            }
            is_address
        })
    }

    fn headers(&mut self, entry: &Entry<'_>) -> BTreeMap<String, String> {
        let mut headers = BTreeMap::new();
        for entry in self.table(entry) {
            let value = self.text(&entry);
            headers.extend(value.map(|value| (entry.key.to_owned(), value)));
        }
        headers
    }

    fn query(&mut self, entry: &Entry<'_>) -> Option<Query> {
        const KEYS: &[&str] = &[
            "from", "query", "total", "good", "bad", "buckets", "script", "language", "command", "logs",
            "restarts", "cpu", "memory", "pattern", "share",
        ];
        if entry.item.as_table_like().is_none() {
            return self.text(entry).map(Query::Text);
        }
        let before = self.findings.len();
        let mut table = QueryTable::default();
        for entry in self.table(entry) {
            match entry.key {
                "from" => {
                    let stores = [Store::Prometheus, Store::Loki, Store::Elasticsearch];
                    let named = self.choice(&entry, &stores.map(Store::key));
                    table.from = stores.into_iter().find(|store| named.as_deref() == Some(store.key()));
                }
                "query" => table.query = self.text(&entry),
                "total" => table.total = self.text(&entry),
                "good" => table.good = self.text(&entry),
                "bad" => table.bad = self.text(&entry),
                "buckets" => table.buckets = self.text(&entry),
                "script" => table.script = self.text(&entry),
                "language" => table.language = self.choice(&entry, &["bash", "sh", "python"]),
                "command" => table.command = self.texts(&entry),
                "logs" => table.logs = self.text(&entry),
                "restarts" => table.restarts = self.text(&entry),
                "cpu" => table.cpu = self.text(&entry),
                "memory" => table.memory = self.text(&entry),
                "pattern" => table.pattern = self.text(&entry),
                "share" => self.boolean(&entry, &mut table.share),
                _ => self.unknown(&entry, KEYS),
            }
        }
        if self.findings.len() > before {
            return None;
        }
        if let Err(why) = table.check() {
            let message = format!("`{}` {why}", entry.path);
            self.bad(entry, &message, "a text is PromQL that gives one number");
            return None;
        }
        Some(Query::Table(Box::new(table)))
    }
}
