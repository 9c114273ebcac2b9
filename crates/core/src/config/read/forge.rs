//! Reads `[forge]`.

use super::{Entry, Reader};
use crate::config::Forge;
use crate::forge::Kind;

impl Reader {
    pub(super) fn forge(&mut self, entry: &Entry<'_>, forge: &mut Forge) {
        for entry in self.table(entry) {
            match entry.key {
                "kind" => forge.kind = self.choice(&entry, Kind::NAMES).as_deref().and_then(Kind::of),
                "url" => {
                    let Some(url) = self.text(&entry) else { continue };
                    match Forge::check_url(&url) {
                        Ok(()) => forge.url = Some(url),
                        Err(why) => {
                            let message = format!("`{}` {why}", entry.path);
                            self.bad(&entry, &message, "such as \"https://git.example.com\"");
                        }
                    }
                }
                "repository" => forge.repository = self.text(&entry),
                _ => self.unknown(&entry, &["kind", "url", "repository"]),
            }
        }
    }
}
