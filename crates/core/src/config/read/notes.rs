//! `[changelog]` and `[notes]`.

use super::super::{Changelog, Notes};
use super::{Entry, Reader};

impl Reader {
    pub(super) fn changelog(&mut self, entry: &Entry<'_>, changelog: &mut Changelog) {
        for entry in self.table(entry) {
            match entry.key {
                "path" => {
                    if let Some(path) = self.path(&entry) {
                        changelog.path = path;
                    }
                }
                "generated" => self.boolean(&entry, &mut changelog.generated),
                "template" => changelog.template = self.path(&entry),
                "headings" => {
                    for entry in self.table(&entry) {
                        let heading = self.text(&entry);
                        changelog.headings.extend(heading.map(|heading| (entry.key.to_owned(), heading)));
                    }
                }
                "placeholder" => changelog.placeholder = self.text(&entry),
                _ => self.unknown(&entry, &["path", "generated", "template", "headings", "placeholder"]),
            }
        }
    }

    pub(super) fn notes(&mut self, entry: &Entry<'_>, notes: &mut Notes) {
        for entry in self.table(entry) {
            match entry.key {
                "template" => notes.template = self.path(&entry),
                "audiences" => {
                    for entry in self.table(&entry) {
                        let path = self.path(&entry);
                        notes.audiences.extend(path.map(|path| (entry.key.to_owned(), path)));
                    }
                }
                "url" => notes.url = self.text(&entry),
                _ => self.unknown(&entry, &["template", "audiences", "url"]),
            }
        }
    }
}
