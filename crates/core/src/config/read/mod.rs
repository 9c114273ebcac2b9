//! TOML into a [`Config`]: the document is walked against the known keys, so that every mistake is found
//! at once and at its place.

use toml_edit::{Document, Item, TableLike};

use super::{Config, EnvSecret, FileSecret, Git, Project, Secret, Sign};
use crate::diagnostic::{Diagnostic, Span};

mod database;
mod environment;
mod forge;
mod metrics;
mod notes;
mod notify;
mod proxy;
mod version;

/// A source longer than this many bytes is refused whole.
const LONGEST_SOURCE: usize = 1 << 20;

/// More findings than this say nothing more.
const MOST_FINDINGS: usize = 1000;

pub(super) fn read(source: &str) -> (Config, Vec<Diagnostic>) {
    let mut config = Config::default();
    if source.len() > LONGEST_SOURCE {
        let message = format!("windlass.toml has {} bytes; {LONGEST_SOURCE} is the most", source.len());
        return (config, vec![Diagnostic::error("too-large", message, None)]);
    }
    let document = match Document::parse(source) {
        Ok(document) => document,
        Err(error) => {
            let message = error.message();
            return (config, vec![Diagnostic::error("bad-toml", message, span(error.span())).showable()]);
        }
    };
    let mut reader = Reader { findings: Vec::new() };
    reader.config(document.as_table(), &mut config);
    let mut findings = reader.findings;
    findings.sort_by_key(|finding| finding.span.map_or((0, 0), |span| (span.start, span.end)));
    (config, findings)
}

fn span(range: Option<std::ops::Range<usize>>) -> Option<Span> {
    range.map(|range| Span::new(range.start, range.end))
}

/// A key, its place, and what it holds.
struct Entry<'a> {
    key: &'a str,
    key_span: Option<Span>,
    item: &'a Item,
    /// The whole key, such as `version.tag`.
    path: String,
}

impl Entry<'_> {
    fn span(&self) -> Option<Span> {
        span(self.item.span()).or(self.key_span)
    }
}

struct Reader {
    findings: Vec<Diagnostic>,
}

impl Reader {
    fn push(&mut self, finding: Diagnostic) {
        if self.findings.len() < MOST_FINDINGS {
            self.findings.push(finding.showable());
        }
    }

    fn config(&mut self, table: &dyn TableLike, config: &mut Config) {
        const KEYS: &[&str] = &[
            "project",
            "version",
            "git",
            "changelog",
            "notes",
            "packages",
            "roles",
            "environments",
            "forge",
            "notify",
            "secrets",
        ];
        let root = entries(table, "");
        self.nobody_is_paged(&root);
        for entry in root {
            match entry.key {
                "project" => self.project(&entry, &mut config.project),
                "version" => self.version(&entry, &mut config.version),
                "git" => self.git(&entry, &mut config.git),
                "changelog" => self.changelog(&entry, &mut config.changelog),
                "notes" => self.notes(&entry, &mut config.notes),
                "packages" => {
                    for entry in self.table(&entry) {
                        let package = self.package(&entry);
                        config.packages.extend(package.map(|package| (entry.key.to_owned(), package)));
                    }
                    self.packages(&entry, &config.packages);
                }
                "roles" => {
                    for entry in self.table(&entry) {
                        let names = self.texts(&entry);
                        config.roles.insert(entry.key.to_owned(), names);
                    }
                }
                "environments" => {
                    for entry in self.table(&entry) {
                        let environment = self.environment(&entry);
                        config.environments.insert(entry.key.to_owned(), environment);
                    }
                    self.environments(&entry, &config.environments);
                }
                "forge" => self.forge(&entry, &mut config.forge),
                "notify" => self.notify(&entry, &mut config.notify),
                "secrets" => {
                    for entry in self.table(&entry) {
                        let secret = self.secret(&entry);
                        config.secrets.extend(secret.map(|secret| (entry.key.to_owned(), secret)));
                    }
                }
                _ => self.unknown(&entry, KEYS),
            }
        }
    }

    fn project(&mut self, entry: &Entry<'_>, project: &mut Project) {
        for entry in self.table(entry) {
            match entry.key {
                "name" => project.name = self.text(&entry),
                _ => self.unknown(&entry, &["name"]),
            }
        }
    }

    fn git(&mut self, entry: &Entry<'_>, git: &mut Git) {
        for entry in self.table(entry) {
            match entry.key {
                "remote" => self.git_name(&entry, &mut git.remote),
                "branch" => self.git_name(&entry, &mut git.branch),
                "sign" => {
                    git.sign = match self.choice(&entry, &["none", "gpg", "ssh"]).as_deref() {
                        Some("gpg") => Sign::Gpg,
                        Some("ssh") => Sign::Ssh,
                        _ => Sign::None,
                    }
                }
                "annotate" => self.boolean(&entry, &mut git.annotate),
                _ => self.unknown(&entry, &["remote", "branch", "sign", "annotate"]),
            }
        }
    }

    fn secret(&mut self, entry: &Entry<'_>) -> Option<Secret> {
        const HELP: &str = "write where it is read from: { env = \"NAME\" } or { file = \"path\" }";
        let Some(table) = entry.item.as_table_like() else {
            // The value may be the secret: it is not repeated in the message.
            let message = format!("`{}` must be a reference, never the secret itself", entry.path);
            self.push(Diagnostic::error("wrong-type", message, entry.span()).help(HELP));
            return None;
        };
        let before = self.findings.len();
        let mut found = Vec::new();
        for entry in entries(table, &entry.path) {
            match entry.key {
                "env" => found.extend(self.text(&entry).map(|env| Secret::Env(EnvSecret { env }))),
                "file" => found.extend(self.text(&entry).map(|file| Secret::File(FileSecret { file }))),
                _ => self.unknown(&entry, &["env", "file"]),
            }
        }
        if self.findings.len() == before && found.len() != 1 {
            let message = format!("`{}` must have one of `env` and `file`", entry.path);
            self.push(Diagnostic::error("bad-value", message, entry.span()).help(HELP));
        }
        found.into_iter().next()
    }

    /// The entries of a table, none when it is not one.
    fn table<'a>(&mut self, entry: &Entry<'a>) -> Vec<Entry<'a>> {
        match entry.item.as_table_like() {
            Some(table) => entries(table, &entry.path),
            None => {
                self.wrong(entry, "a table");
                Vec::new()
            }
        }
    }

    fn text(&mut self, entry: &Entry<'_>) -> Option<String> {
        match entry.item.as_str() {
            Some("") => {
                self.bad(entry, &format!("`{}` is empty", entry.path), "give it a value, or leave it out");
                None
            }
            Some(text) => Some(text.to_owned()),
            None => {
                self.wrong(entry, "a text");
                None
            }
        }
    }

    fn texts(&mut self, entry: &Entry<'_>) -> Vec<String> {
        let texts: Option<Vec<String>> = entry
            .item
            .as_array()
            .and_then(|array| array.iter().map(|value| value.as_str().map(str::to_owned)).collect());
        texts.unwrap_or_else(|| {
            self.wrong(entry, "a list of texts");
            Vec::new()
        })
    }

    fn boolean(&mut self, entry: &Entry<'_>, value: &mut bool) {
        match entry.item.as_bool() {
            Some(boolean) => *value = boolean,
            None => self.wrong(entry, "true or false"),
        }
    }

    fn choice(&mut self, entry: &Entry<'_>, choices: &[&str]) -> Option<String> {
        let text = self.text(entry)?;
        if choices.contains(&text.as_str()) {
            return Some(text);
        }
        let message = format!("`{text}` is not a value of `{}`", entry.path);
        self.push(
            Diagnostic::error("bad-value", message, entry.span()).suggest(&text, choices.iter().copied()),
        );
        None
    }

    /// A path that stays in the repository.
    fn path(&mut self, entry: &Entry<'_>) -> Option<String> {
        let path = self.text(entry)?;
        let outside = path.starts_with(['/', '\\', '~', '-'])
            || path.contains(':')
            || path.chars().any(char::is_control)
            || path.split(['/', '\\']).any(|part| part == ".." || part.eq_ignore_ascii_case(".git"));
        if outside {
            let message = format!("`{}` must be a path inside the repository", entry.path);
            self.bad(entry, &message, "write it from the repository's root, such as \"docs/CHANGELOG.md\"");
            return None;
        }
        Some(path)
    }

    /// A remote or a branch that no command line can take for an option.
    fn git_name(&mut self, entry: &Entry<'_>, name: &mut String) {
        let Some(text) = self.text(entry) else { return };
        if text.starts_with('-') || has_space(&text) || text.contains("..") {
            self.bad(entry, &format!("`{}` is not a name git accepts", entry.path), "such as \"main\"");
        } else {
            *name = text;
        }
    }

    fn unknown(&mut self, entry: &Entry<'_>, valid: &[&str]) {
        let message = format!("unknown key `{}`", entry.path);
        self.push(
            Diagnostic::error("unknown-key", message, entry.key_span.or_else(|| entry.span()))
                .suggest(entry.key, valid.iter().copied()),
        );
    }

    fn wrong(&mut self, entry: &Entry<'_>, expected: &str) {
        let message = format!("`{}` must be {expected}, not {}", entry.path, kind(entry.item));
        self.push(Diagnostic::error("wrong-type", message, entry.span()));
    }

    fn bad(&mut self, entry: &Entry<'_>, message: &str, help: &str) {
        self.push(Diagnostic::error("bad-value", message, entry.span()).help(help));
    }
}

fn has_space(text: &str) -> bool {
    text.chars().any(|character| character.is_whitespace() || character.is_control())
}

fn entries<'a>(table: &'a dyn TableLike, path: &str) -> Vec<Entry<'a>> {
    let entry = |(key, item): (&'a str, &'a Item)| {
        let key_span = table.get_key_value(key).and_then(|(key, _)| span(key.span()));
        let path = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        Entry { key, key_span, item, path }
    };
    table.iter().map(entry).collect()
}

fn kind(item: &Item) -> &'static str {
    match item {
        Item::None => "nothing",
        Item::Table(_) => "a table",
        Item::ArrayOfTables(_) => "a list of tables",
        Item::Value(value) => match value.type_name() {
            "string" => "a text",
            "boolean" => "a boolean",
            "array" => "a list",
            "inline table" => "a table",
            "datetime" => "a date",
            _ => "a number",
        },
    }
}

#[cfg(test)]
mod tests;
