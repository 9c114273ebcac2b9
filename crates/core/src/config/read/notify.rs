//! Reads `[notify]`.

use toml_edit::Item;

use super::{Entry, Reader, span};
use crate::config::{Notify, PageChannel};

impl Reader {
    pub(super) fn notify(&mut self, entry: &Entry<'_>, notify: &mut Notify) {
        for entry in self.table(entry) {
            match entry.key {
                "page" => notify.page = self.page_channels(&entry),
                _ => self.unknown(&entry, &["page"]),
            }
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
        let before = self.findings.len();
        let mut channel = PageChannel::default();
        for entry in self.table(entry) {
            match entry.key {
                "command" => channel.command = self.texts(&entry),
                "url" => channel.url = self.text(&entry),
                "headers" => {
                    for entry in self.table(&entry) {
                        let value = self.text(&entry);
                        channel.headers.extend(value.map(|value| (entry.key.to_owned(), value)));
                    }
                }
                _ => self.unknown(&entry, &["command", "url", "headers"]),
            }
        }
        if self.findings.len() > before {
            return None;
        }
        if let Err(why) = channel.check() {
            let message = format!("`{}` {why}", entry.path);
            self.bad(
                entry,
                &message,
                "such as { command = [\"./page.sh\"] } or { url = \"https://example.com/page\" }",
            );
            return None;
        }
        Some(channel)
    }
}
