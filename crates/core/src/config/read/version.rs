//! `[version]`, `[packages.NAME]` and the holders both list.

use std::collections::BTreeMap;

use toml_edit::Item;

use super::super::{Holder, HolderTable, Ordinals, Package, Version as VersionTable};
use super::{Entry, Reader, entries, span};
use crate::diagnostic::Diagnostic;
use crate::version::holder::{self, KINDS};
use crate::version::{Calendar, TagFormat, Version, parse_version};

impl Reader {
    pub(super) fn version(&mut self, entry: &Entry<'_>, version: &mut VersionTable) {
        const KEYS: &[&str] = &[
            "tag",
            "holders",
            "initial_development",
            "hotfix_suffix",
            "rules",
            "withdrawn",
            "labels",
            "ordinals",
            "calendar",
            "suffix_in_holders",
        ];
        for entry in self.table(entry) {
            match entry.key {
                "tag" => version.tag = self.tag(&entry).unwrap_or_else(|| version.tag.clone()),
                "holders" => version.holders = self.holders(&entry),
                "initial_development" => self.boolean(&entry, &mut version.initial_development),
                "hotfix_suffix" => self.boolean(&entry, &mut version.hotfix_suffix),
                "rules" => {
                    for entry in self.table(&entry) {
                        let bump = self.choice(&entry, &["major", "minor", "patch", "none"]);
                        version.rules.extend(bump.map(|bump| (entry.key.to_owned(), bump)));
                    }
                }
                "withdrawn" => version.withdrawn = self.versions(&entry),
                "labels" => version.labels = self.labels(&entry),
                "ordinals" => {
                    version.ordinals =
                        match self.choice(&entry, &["auto", "from-one", "from-zero", "none"]).as_deref() {
                            Some("from-one") => Ordinals::FromOne,
                            Some("from-zero") => Ordinals::FromZero,
                            Some("none") => Ordinals::None,
                            _ => Ordinals::Auto,
                        }
                }
                "calendar" => version.calendar = self.calendar(&entry),
                "suffix_in_holders" => self.boolean(&entry, &mut version.suffix_in_holders),
                _ => self.unknown(&entry, KEYS),
            }
        }
    }

    pub(super) fn package(&mut self, entry: &Entry<'_>) -> Option<Package> {
        const KEYS: &[&str] = &["path", "also", "tag", "holders", "changelog", "depends_on", "linked"];
        if !is_name(entry.key) {
            self.bad(
                entry,
                &format!("`{}` is not a name for a package", entry.key),
                "use letters, digits, - _ . @ /",
            );
        }
        let mut package = Package::default();
        for entry in self.table(entry) {
            match entry.key {
                "path" => package.path = self.path(&entry).unwrap_or_default(),
                "also" => package.also = self.paths(&entry),
                "tag" => package.tag = self.tag(&entry),
                "holders" => package.holders = self.holders(&entry),
                "changelog" => package.changelog = self.path(&entry),
                "depends_on" => package.depends_on = self.texts(&entry),
                "linked" => package.linked = self.text(&entry),
                _ => self.unknown(&entry, KEYS),
            }
        }
        if package.path.is_empty()
            && entry.item.as_table_like().is_some_and(|table| !table.contains_key("path"))
        {
            let message = format!("`{}` has no `path`", entry.path);
            self.push(
                Diagnostic::error("missing-key", message, entry.span()).help("such as path = \"crates/api\""),
            );
        }
        Some(package)
    }

    /// What one package says of others must be true of them.
    pub(super) fn packages(&mut self, entry: &Entry<'_>, packages: &BTreeMap<String, Package>) {
        self.tags_apart(entry, packages);
        for (name, package) in packages {
            for other in package.depends_on.iter().filter(|other| !packages.contains_key(*other)) {
                let message = format!("`{}.{name}` depends on `{other}`, which is no package", entry.path);
                self.push(
                    Diagnostic::error("unknown-package", message, entry.span())
                        .suggest(other, packages.keys().map(String::as_str)),
                );
            }
        }
    }

    /// A tag is of one package only, or of packages that share their versions.
    fn tags_apart(&mut self, entry: &Entry<'_>, packages: &BTreeMap<String, Package>) {
        let sample = Version::new(1, 2, 3);
        let mut seen: Vec<(&str, &Package, TagFormat)> = Vec::new();
        for one in entry.item.as_table_like().map(|table| entries(table, &entry.path)).unwrap_or_default() {
            let Some(package) = packages.get(one.key) else { continue };
            let format = package.tag_format(one.key);
            let reads = |by: &TagFormat, of: &TagFormat| by.version_of(&of.render(&sample)).is_some();
            let shared = |with: &Package, other: &TagFormat| {
                package.linked.is_some() && package.linked == with.linked && *other == format
            };
            let clash = seen.iter().find(|(_, with, other)| {
                (reads(other, &format) || reads(&format, other)) && !shared(with, other)
            });
            if let Some((name, _, other)) = clash {
                let written =
                    one.item.as_table_like().into_iter().flat_map(|table| entries(table, &one.path));
                let span = written.into_iter().find(|key| key.key == "tag").map(|key| key.span());
                let message = format!(
                    "tags of `{}` (`{format}`) and of `{}.{name}` (`{other}`) cannot be told apart",
                    one.path, entry.path
                );
                let help = format!(
                    "give each its own, such as tag = \"{}-v{{version}}\", or, where they share their versions, one tag \
                     and the same `linked`",
                    one.key
                );
                self.push(Diagnostic::error("same-tag", message, span.unwrap_or(one.key_span)).help(help));
            }
            seen.push((one.key, package, format));
        }
    }

    fn tag(&mut self, entry: &Entry<'_>) -> Option<String> {
        let tag = self.text(entry)?;
        match TagFormat::parse(&tag) {
            Ok(_) => Some(tag),
            Err(error) => {
                self.bad(entry, &format!("`{}`: {}", entry.path, error.problem), "such as \"v{version}\"");
                None
            }
        }
    }

    fn calendar(&mut self, entry: &Entry<'_>) -> Option<String> {
        let pattern = self.text(entry)?;
        match Calendar::parse(&pattern) {
            Ok(_) => Some(pattern),
            Err(error) => {
                self.bad(entry, &format!("`{}`: {}", entry.path, error.problem), "such as \"YYYY.0M.MICRO\"");
                None
            }
        }
    }

    /// Words of channels, by channel. A word must be a legal part of a version.
    fn labels(&mut self, entry: &Entry<'_>) -> BTreeMap<String, String> {
        let mut labels = BTreeMap::new();
        for entry in self.table(entry) {
            if !["alpha", "beta", "rc", "hotfix"].contains(&entry.key) {
                self.unknown(&entry, &["alpha", "beta", "rc", "hotfix"]);
                continue;
            }
            let Some(word) = self.text(&entry) else { continue };
            let letters = word.starts_with(|first: char| first.is_ascii_alphabetic());
            if letters && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
                labels.insert(entry.key.to_owned(), word);
            } else {
                self.bad(
                    &entry,
                    &format!("`{}` must be a word of letters, digits and -", entry.path),
                    "such as \"next\"",
                );
            }
        }
        labels
    }

    fn paths(&mut self, entry: &Entry<'_>) -> Vec<String> {
        let Some(array) = entry.item.as_array() else {
            self.wrong(entry, "a list of paths");
            return Vec::new();
        };
        let mut paths = Vec::new();
        for (index, value) in array.iter().enumerate() {
            let item = Item::Value(value.clone());
            let element = Entry {
                key: "",
                key_span: span(value.span()),
                item: &item,
                path: format!("{}[{index}]", entry.path),
            };
            paths.extend(self.path(&element));
        }
        paths
    }

    fn versions(&mut self, entry: &Entry<'_>) -> Vec<String> {
        let versions = self.texts(entry);
        versions
            .into_iter()
            .filter(|text| match parse_version(text) {
                Ok(_) => true,
                Err(error) => {
                    self.bad(entry, &format!("`{}`: {error}", entry.path), "such as [\"1.1.0\"]");
                    false
                }
            })
            .collect()
    }

    fn holders(&mut self, entry: &Entry<'_>) -> Vec<Holder> {
        let Some(array) = entry.item.as_array() else {
            self.wrong(entry, "a list of paths");
            return Vec::new();
        };
        let mut holders = Vec::new();
        for (index, value) in array.iter().enumerate() {
            let item = Item::Value(value.clone());
            let element = Entry {
                key: "",
                key_span: span(value.span()),
                item: &item,
                path: format!("{}[{index}]", entry.path),
            };
            if item.as_str().is_some() {
                holders.extend(self.path(&element).map(Holder::Path));
            } else if item.is_table_like() {
                holders.extend(self.holder_table(&element));
            } else {
                self.wrong(&element, "a path, or a table of a path and a pattern");
            }
        }
        holders
    }

    fn holder_table(&mut self, entry: &Entry<'_>) -> Option<Holder> {
        const KEYS: &[&str] = &["path", "pattern", "matches", "key", "format", "image", "kind"];
        let before = self.findings.len();
        let mut holder = HolderTable::default();
        for entry in self.table(entry) {
            match entry.key {
                "path" => holder.path = self.path(&entry).unwrap_or_default(),
                "pattern" => holder.pattern = self.pattern(&entry),
                "matches" => match entry.item.as_integer().map(usize::try_from) {
                    Some(Ok(matches)) if matches > 0 => holder.matches = Some(matches),
                    _ => self.wrong(&entry, "a number from 1"),
                },
                "key" => holder.key = self.text(&entry),
                "format" => {
                    holder.format = self.choice(&entry, &["json", "toml", "yaml", "xml", "properties"]);
                }
                "image" => holder.image = self.text(&entry),
                "kind" => holder.kind = self.choice(&entry, &KINDS),
                _ => self.unknown(&entry, KEYS),
            }
        }
        if self.findings.len() > before {
            return (!holder.path.is_empty()).then_some(Holder::Table(holder));
        }
        let ways = [&holder.pattern, &holder.key, &holder.image, &holder.kind];
        if ways.iter().filter(|way| way.is_some()).count() > 1 {
            let message =
                format!("`{}` may have only one of `pattern`, `key`, `image` and `kind`", entry.path);
            self.bad(entry, &message, "list the file twice, when it states the version in two ways");
        }
        if holder.path.is_empty() {
            self.push(
                Diagnostic::error("missing-key", format!("`{}` has no `path`", entry.path), entry.span())
                    .help("such as { path = \"README.md\", pattern = 'Version: (.*)' }"),
            );
            return None;
        }
        if let Err(error) = holder::kind(&holder, &[]) {
            self.bad(
                entry,
                &format!("`{}`: {error}", entry.path),
                "say how the version is found in this file",
            );
        }
        Some(Holder::Table(holder))
    }

    fn pattern(&mut self, entry: &Entry<'_>) -> Option<String> {
        let text = self.text(entry)?;
        // The expression is read from a repository: its size when compiled is bounded.
        let problem = match regex::RegexBuilder::new(&text).size_limit(1 << 20).build() {
            Ok(regex) if regex.captures_len() == 2 => return Some(text),
            Ok(_) => "must have exactly one group: the version",
            Err(_) => "is not a regular expression",
        };
        self.bad(entry, &format!("`{}` {problem}", entry.path), "such as 'Version: (.*)'");
        None
    }
}

/// Whether a package may be called this: names become parts of tags and of paths that are shown.
fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@/".contains(&byte);
    !name.is_empty() && name.len() <= 200 && name.bytes().all(plain) && !name.starts_with('-')
}
