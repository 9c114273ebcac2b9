//! Reads `[environments.NAME.metrics]`.

use super::{Entry, Reader};
use crate::config::{Metrics, Query, QueryTable};

impl Reader {
    pub(super) fn metrics(&mut self, entry: &Entry<'_>) -> Metrics {
        let mut metrics = Metrics::default();
        for entry in self.table(entry) {
            match entry.key {
                "prometheus" => {
                    metrics.prometheus = self.text(&entry).filter(|url| {
                        let is_address = url.starts_with("http://") || url.starts_with("https://");
                        if !is_address {
                            let message = format!("`{}` is no address", entry.path);
                            self.bad(&entry, &message, "such as \"http://prometheus:9090\"");
                        }
                        is_address
                    });
                }
                "headers" => {
                    for entry in self.table(&entry) {
                        let value = self.text(&entry);
                        metrics.headers.extend(value.map(|value| (entry.key.to_owned(), value)));
                    }
                }
                "queries" => {
                    for entry in self.table(&entry) {
                        let query = self.query(&entry);
                        metrics.queries.extend(query.map(|query| (entry.key.to_owned(), query)));
                    }
                }
                _ => self.unknown(&entry, &["prometheus", "headers", "queries"]),
            }
        }
        metrics
    }

    fn query(&mut self, entry: &Entry<'_>) -> Option<Query> {
        const KEYS: &[&str] = &[
            "query", "total", "good", "bad", "buckets", "script", "language", "command", "logs", "restarts",
            "pattern", "share",
        ];
        if entry.item.as_table_like().is_none() {
            return self.text(entry).map(Query::Text);
        }
        let before = self.findings.len();
        let mut table = QueryTable::default();
        for entry in self.table(entry) {
            match entry.key {
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
