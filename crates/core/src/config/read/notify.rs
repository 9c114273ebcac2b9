//! Reads `[notify]`.

use toml_edit::Item;

use super::{Entry, Reader, span};
use crate::config::{Notify, PageChannel, Priority, Severity};
use crate::diagnostic::Diagnostic;
use crate::text::sanitize_line;

/// What `monitoring` says where much depends on an environment.
const CRITICAL: &str = "critical";

impl Reader {
    pub(super) fn notify(&mut self, entry: &Entry<'_>, notify: &mut Notify) {
        for entry in self.table(entry) {
            match entry.key {
                "page" => notify.page = self.page_channels(&entry),
                _ => self.unknown(&entry, &["page"]),
            }
        }
    }

    /// Environments whose failures should call people, where nothing says how. `root` is the whole file.
    pub(super) fn nobody_is_paged(&mut self, root: &[Entry<'_>]) {
        let table = |key: &str| root.iter().find(|entry| entry.key == key).map(|entry| entry.item);
        let page = table("notify").and_then(|notify| notify.get("page"));
        // A way that is written and wrong is told as that.
        if page.is_some_and(|page| page.as_array().is_none_or(|ways| !ways.is_empty())) {
            return;
        }
        let environments = table("environments").and_then(Item::as_table_like);
        for (name, item) in environments.into_iter().flat_map(|environments| environments.iter()) {
            let Some(monitoring) = item.get("monitoring").filter(|value| value.as_str() == Some(CRITICAL))
            else {
                continue;
            };
            let name = sanitize_line(name);
            let message = format!(
                "`{name}` is critical, and nothing says how people are paged when a step on it fails"
            );
            let finding = Diagnostic::warning("nobody-paged", message, span(monitoring.span()));
            let help = "write [notify] page = [{ pagerduty = \"secret:PAGERDUTY\" }] or another way, or monitoring = \"non-critical\"";
            self.push(finding.help(help));
        }
    }

    /// A list of channels, written in either of TOML's ways.
    fn page_channels(&mut self, entry: &Entry<'_>) -> Vec<PageChannel> {
        let items: Vec<Item> = match entry.item {
            Item::ArrayOfTables(tables) => tables.iter().cloned().map(Item::Table).collect(),
            item => match item.as_array() {
                Some(array) => array.iter().cloned().map(Item::Value).collect(),
                None => {
                    self.wrong(entry, "a list of tables");
                    Vec::new()
                }
            },
        };
        let mut channels = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let path = format!("{}[{index}]", entry.path);
            let element = Entry { key: "", key_span: span(item.span()), item, path };
            channels.extend(self.page_channel(&element));
        }
        channels
    }

    fn page_channel(&mut self, entry: &Entry<'_>) -> Option<PageChannel> {
        const KEYS: &[&str] = &["command", "url", "headers", "pagerduty", "severity", "opsgenie", "priority"];
        let before = self.findings.len();
        let mut channel = PageChannel::default();
        for entry in self.table(entry) {
            match entry.key {
                "command" => channel.command = self.texts(&entry),
                "url" => channel.url = self.text(&entry),
                "pagerduty" => channel.pagerduty = self.text(&entry),
                "severity" => {
                    channel.severity =
                        match self.choice(&entry, &["critical", "error", "warning", "info"]).as_deref() {
                            Some("critical") => Some(Severity::Critical),
                            Some("error") => Some(Severity::Error),
                            Some("warning") => Some(Severity::Warning),
                            Some(_) => Some(Severity::Info),
                            None => None,
                        }
                }
                "opsgenie" => channel.opsgenie = self.text(&entry),
                "priority" => {
                    channel.priority = match self.choice(&entry, &["P1", "P2", "P3", "P4", "P5"]).as_deref() {
                        Some("P1") => Some(Priority::P1),
                        Some("P2") => Some(Priority::P2),
                        Some("P3") => Some(Priority::P3),
                        Some("P4") => Some(Priority::P4),
                        Some(_) => Some(Priority::P5),
                        None => None,
                    }
                }
                "headers" => {
                    for entry in self.table(&entry) {
                        let value = self.text(&entry);
                        channel.headers.extend(value.map(|value| (entry.key.to_owned(), value)));
                    }
                }
                _ => self.unknown(&entry, KEYS),
            }
        }
        if self.findings.len() > before {
            return None;
        }
        if let Err(why) = channel.way() {
            let message = format!("`{}` {why}", entry.path);
            self.bad(
                entry,
                &message,
                "such as { pagerduty = \"secret:PAGERDUTY\" }, { command = [\"./page.sh\"] } or { url = \"https://example.com/page\" }",
            );
            return None;
        }
        Some(channel)
    }
}
