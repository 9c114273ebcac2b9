//! TOML into a [`Config`]: the document is walked against the known keys, so that every mistake is found
//! at once and at its place.

use toml_edit::{Document, Item, TableLike};

use super::{
    Changelog, Config, EnvSecret, Environment, FileSecret, Git, Holder, PatternHolder, Project, Secret, Sign,
    Version,
};
use crate::diagnostic::{Diagnostic, Span};
use crate::version::parse_version;

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
        const KEYS: &[&str] = &["project", "version", "git", "changelog", "roles", "environments", "secrets"];
        for entry in entries(table, "") {
            match entry.key {
                "project" => self.project(&entry, &mut config.project),
                "version" => self.version(&entry, &mut config.version),
                "git" => self.git(&entry, &mut config.git),
                "changelog" => self.changelog(&entry, &mut config.changelog),
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
                }
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

    fn version(&mut self, entry: &Entry<'_>, version: &mut Version) {
        const KEYS: &[&str] =
            &["tag", "holders", "initial_development", "hotfix_suffix", "rules", "withdrawn"];
        for entry in self.table(entry) {
            match entry.key {
                "tag" => {
                    let Some(tag) = self.text(&entry) else { continue };
                    if tag.matches("{version}").count() == 1 && !tag.starts_with('-') && !has_space(&tag) {
                        version.tag = tag;
                    } else {
                        self.bad(
                            &entry,
                            "`version.tag` must hold `{version}` once",
                            "such as \"v{version}\"",
                        );
                    }
                }
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
                _ => self.unknown(&entry, KEYS),
            }
        }
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
                holders.extend(self.pattern_holder(&element));
            } else {
                self.wrong(&element, "a path, or a table of a path and a pattern");
            }
        }
        holders
    }

    fn pattern_holder(&mut self, entry: &Entry<'_>) -> Option<Holder> {
        let mut path = None;
        let mut pattern = None;
        let before = self.findings.len();
        for entry in self.table(entry) {
            match entry.key {
                "path" => path = self.path(&entry),
                "pattern" => {
                    let Some(text) = self.text(&entry) else { continue };
                    // The expression is read from a repository: its size when compiled is bounded.
                    match regex::RegexBuilder::new(&text).size_limit(1 << 20).build() {
                        Ok(regex) if regex.captures_len() == 2 => pattern = Some(text),
                        Ok(_) => self.bad(
                            &entry,
                            &format!("`{}` must have exactly one group: the version", entry.path),
                            "such as 'Version: (.*)'",
                        ),
                        Err(_) => self.bad(
                            &entry,
                            &format!("`{}` is not a regular expression", entry.path),
                            "such as 'Version: (.*)'",
                        ),
                    }
                }
                _ => self.unknown(&entry, &["path", "pattern"]),
            }
        }
        if path.is_none() && self.findings.len() == before {
            self.push(
                Diagnostic::error("missing-key", format!("`{}` has no `path`", entry.path), entry.span())
                    .help("such as { path = \"README.md\", pattern = 'Version: (.*)' }"),
            );
        }
        path.map(|path| Holder::Pattern(PatternHolder { path, pattern }))
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

    fn changelog(&mut self, entry: &Entry<'_>, changelog: &mut Changelog) {
        for entry in self.table(entry) {
            match entry.key {
                "path" => {
                    if let Some(path) = self.path(&entry) {
                        changelog.path = path;
                    }
                }
                _ => self.unknown(&entry, &["path"]),
            }
        }
    }

    fn environment(&mut self, entry: &Entry<'_>) -> Environment {
        let mut environment = Environment::default();
        for entry in self.table(entry) {
            match entry.key {
                "url" => environment.url = self.text(&entry),
                "purpose" => environment.purpose = self.text(&entry),
                "data" => environment.data = self.text(&entry),
                "monitoring" => environment.monitoring = self.text(&entry),
                "health" => environment.health = self.text(&entry),
                _ => self.unknown(&entry, &["url", "purpose", "data", "monitoring", "health"]),
            }
        }
        environment
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
mod tests {
    use super::*;
    use crate::diagnostic::line_and_column;

    #[test]
    fn a_whole_configuration_is_read() {
        let (config, findings) = Config::parse(
            r#"
[project]
name = "demo"
[version]
tag = "release-{version}"
holders = ["Cargo.toml", { path = "doc/x.md", pattern = 'Version: (.*)' }]
initial_development = false
hotfix_suffix = true
rules = { feat = "minor", docs = "none" }
withdrawn = ["v1.1.0", "1.2.0-rc.1"]
[git]
remote = "upstream"
branch = "trunk"
sign = "ssh"
annotate = false
[changelog]
path = "docs/CHANGELOG.md"
[roles]
release-manager = ["alice@example.com", "bob"]
[environments.production]
url = "https://example.com"
health = "/health"
[secrets]
TOKEN = { env = "CI_TOKEN" }
KEY = { file = "~/.keys/release" }
"#,
        );
        assert_eq!(findings, []);
        assert_eq!(config.project.name.as_deref(), Some("demo"));
        assert_eq!(config.version.tag, "release-{version}");
        let holders: Vec<_> =
            config.version.holders.iter().map(|holder| (holder.path(), holder.pattern())).collect();
        assert_eq!(holders, [("Cargo.toml", None), ("doc/x.md", Some("Version: (.*)"))]);
        assert!(!config.version.initial_development && config.version.hotfix_suffix && !config.git.annotate);
        assert_eq!(config.version.rules["docs"], "none");
        assert_eq!(config.version.withdrawn, ["v1.1.0", "1.2.0-rc.1"]);
        assert_eq!((config.git.remote.as_str(), config.git.sign), ("upstream", Sign::Ssh));
        assert_eq!(config.changelog.path, "docs/CHANGELOG.md");
        assert_eq!(config.roles["release-manager"], ["alice@example.com", "bob"]);
        assert_eq!(config.environments["production"].health.as_deref(), Some("/health"));
        assert_eq!(config.secrets["TOKEN"], Secret::Env(EnvSecret { env: "CI_TOKEN".into() }));
    }

    #[test]
    fn nothing_written_is_sensible() {
        let (config, findings) = Config::parse("");
        assert_eq!((config, findings), (Config::default(), Vec::new()));
        assert_eq!(Config::default().version.tag, "v{version}");
        assert_eq!(Config::default().git.branch, "main");
    }

    #[test]
    fn every_mistake_is_found_at_its_place() {
        let source = r#"[versoin]
[version]
tagg = "v"
tag = 3
holders = ["/etc/passwd", 4, { pattern = "(" }, { path = "a", patern = "x" }]
rules = { feat = "minr" }
initial_development = "yes"
withdrawn = ["1.1"]
[git]
sign = "gpgg"
remote = "--upload-pack=x"
[roles]
devops = "alice"
[environments.prod]
urll = "x"
[secrets]
TOKEN = "hunter2"
OTHER = {}
"#;
        let (config, findings) = Config::parse(source);
        let shown: Vec<String> = findings
            .iter()
            .map(|finding| {
                let span = finding.span.unwrap();
                let (line, column) = line_and_column(source, span.start);
                let help = finding.help.as_deref().filter(|help| help.starts_with("did")).unwrap_or("");
                format!("{line}:{column} {} {} {help}", finding.code, &source[span.start..span.end])
            })
            .collect();
        assert_eq!(
            shown,
            [
                "1:2 unknown-key versoin did you mean `version`?",
                "3:1 unknown-key tagg did you mean `tag`?",
                "4:7 wrong-type 3 ",
                "5:12 bad-value \"/etc/passwd\" ",
                "5:27 wrong-type 4 ",
                "5:42 bad-value \"(\" ",
                "5:63 unknown-key patern did you mean `pattern`?",
                "6:18 bad-value \"minr\" did you mean `minor`?",
                "7:23 wrong-type \"yes\" ",
                "8:13 bad-value [\"1.1\"] ",
                "10:8 bad-value \"gpgg\" did you mean `gpg`?",
                "11:10 bad-value \"--upload-pack=x\" ",
                "13:10 wrong-type \"alice\" ",
                "15:1 unknown-key urll did you mean `url`?",
                "17:9 wrong-type \"hunter2\" ",
                "18:9 bad-value {} ",
            ]
        );
        assert!(findings.iter().all(|finding| !finding.message.contains("hunter2")));
        assert_eq!(config.git, Git::default());
    }

    #[test]
    fn broken_toml_has_its_place() {
        let (config, findings) = Config::parse("[git]\nremote = \n");
        assert_eq!(config, Config::default());
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].code, "bad-toml");
        assert!(findings[0].span.is_some());
        let (_, findings) = Config::parse(&"#".repeat(LONGEST_SOURCE + 1));
        assert_eq!(findings[0].code, "too-large");
    }

    #[test]
    fn the_schema_and_the_reader_agree_with_serde() {
        let (config, _) = Config::parse("[version]\nholders = [\"a\"]\n[secrets]\nT = { env = \"T\" }\n");
        let json = serde_json::to_value(&config).unwrap();
        assert_eq!(serde_json::from_value::<Config>(json).unwrap(), config);
        let schema = serde_json::to_value(schemars::schema_for!(Config)).unwrap();
        assert!(schema["properties"]["version"].is_object());
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(source in "(?s)[\\[\\]{}=\"'a-z.,\n #0-9é-]{0,80}") {
            let _ = Config::parse(&source);
            let _ = Config::parse(&format!("[version]\n{source}"));
        }
    }
}
