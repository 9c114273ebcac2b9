//! `windlass.toml`: what a repository says about its releases. Sensible without the file.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Diagnostic;

mod database;
mod environment;
mod forge;
mod metrics;
mod notify;
mod proxy;
mod read;
mod unit;

pub use database::{Backup, BackupSource, Database, DatabaseKind, Scratch};
pub use environment::{Batch, Environment, Monitoring, OnAbort, VersionAt};
pub use forge::Forge;
pub use metrics::{Elasticsearch, Loki, Metrics, Query, QueryTable, Store};
pub use notify::{Notify, PageChannel, PageWay, Priority, Severity};
pub use proxy::{Colour, Ports, Proxy, ProxyKind};
pub use unit::{Unit, UnknownPackage};

/// A whole `windlass.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The project.
    pub project: Project,
    /// How versions are numbered and where they are written.
    pub version: Version,
    /// The repository.
    pub git: Git,
    /// The changelog.
    pub changelog: Changelog,
    /// The release notes.
    pub notes: Notes,
    /// Parts of the repository with versions of their own, by name.
    pub packages: BTreeMap<String, Package>,
    /// Who has each role: names or e-mail addresses by role.
    pub roles: BTreeMap<String, Vec<String>>,
    /// Where versions live, by name.
    pub environments: BTreeMap<String, Environment>,
    /// Where releases are shown.
    pub forge: Forge,
    /// How people are told what they must know at once.
    pub notify: Notify,
    /// Where each secret is read from, by name. Never the secret itself.
    pub secrets: BTreeMap<String, Secret>,
}

impl Config {
    /// Reads the text of a `windlass.toml`: the configuration as far as it could be read, and every
    /// finding in the order of the source. What is wrong keeps its default.
    pub fn parse(source: &str) -> (Self, Vec<Diagnostic>) {
        read::read(source)
    }
}

/// `[project]`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Project {
    /// Its name, where it is not the one in the package's manifest.
    pub name: Option<String>,
}

/// `[version]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Version {
    /// How a version is written as a tag: a text with `{version}` in it.
    pub tag: String,
    /// The files that state the version; when empty, the manifests that are found.
    pub holders: Vec<Holder>,
    /// Below 1.0.0 a breaking change raises the minor number, not the major one.
    pub initial_development: bool,
    /// A hotfix is numbered `X.Y.Z-hotfix` instead of the next patch. It sorts below its patch.
    pub hotfix_suffix: bool,
    /// What each type of commit raises: `major`, `minor`, `patch` or `none`, over the built-in rules.
    pub rules: BTreeMap<String, String>,
    /// Versions taken back: nothing counts from them, and their numbers are never used again. Those that Windlass
    /// itself rolled back here need not be listed.
    pub withdrawn: Vec<String>,
    /// The word of a channel's suffix, by channel, where it is not the channel's own: `{ alpha = "next" }`.
    pub labels: BTreeMap<String, String>,
    /// How the releases of a pre-release channel are counted.
    pub ordinals: Ordinals,
    /// The calendar a version is taken from, such as `YYYY.0M.MICRO`; Semantic Versioning when not given.
    pub calendar: Option<String>,
    /// A pre-release writes its suffix into the holders. Without, they state the number alone, so that a release
    /// candidate becomes stable on the very commit that was tested.
    pub suffix_in_holders: bool,
}

impl Default for Version {
    fn default() -> Self {
        Self {
            tag: "v{version}".to_owned(),
            holders: Vec::new(),
            initial_development: true,
            hotfix_suffix: false,
            rules: BTreeMap::new(),
            withdrawn: Vec::new(),
            labels: BTreeMap::new(),
            ordinals: Ordinals::Auto,
            calendar: None,
            suffix_in_holders: true,
        }
    }
}

/// How the releases of a pre-release channel are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Ordinals {
    /// As the tags that are there do; from 1 when there is none.
    #[default]
    Auto,
    /// `-rc.1`, `-rc.2`.
    FromOne,
    /// `-rc.0`, `-rc.1`.
    FromZero,
    /// `-rc`, once for each number.
    None,
}

/// A file that states the version: its path, or its path and where in it the version stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Holder {
    /// A file whose format is known by its name, such as `Cargo.toml`.
    Path(String),
    /// Any file.
    Table(HolderTable),
}

/// A file, and where in it the version stands: by at most one of `pattern`, `key`, `image` and `kind`; else by its name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HolderTable {
    /// Its path from the repository's root.
    pub path: String,
    /// A regular expression with one group, such as `Version: (.*)`.
    pub pattern: Option<String>,
    /// How many places `pattern`, `image` or the kind `badge` must find; 1 when not given.
    pub matches: Option<usize>,
    /// The way to a value in JSON, TOML, YAML, XML or properties, such as `app.version`, `images[name=app].newTag` or
    /// `project/properties/revision`.
    pub key: Option<String>,
    /// `json`, `toml`, `yaml`, `xml` or `properties`, where the file's name does not say it.
    pub format: Option<String>,
    /// An image without its tag, such as `ghcr.io/acme/app`: the tag it carries in this file is the version.
    pub image: Option<String>,
    /// A known kind of file, such as `helm-chart`, where the name does not say it.
    pub kind: Option<String>,
}

impl Holder {
    /// Its path from the repository's root.
    pub fn path(&self) -> &str {
        match self {
            Self::Path(path) => path,
            Self::Table(holder) => &holder.path,
        }
    }

    /// The regular expression that finds the version, when the file's name does not say its format.
    pub fn pattern(&self) -> Option<&str> {
        match self {
            Self::Path(_) => None,
            Self::Table(holder) => holder.pattern.as_deref(),
        }
    }
}

/// `[packages.NAME]`: a part of the repository with versions of its own.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Package {
    /// Its folder from the repository's root.
    pub path: String,
    /// Further files and folders whose changes are changes of the package.
    pub also: Vec<String>,
    /// How its versions are written as tags; `NAME-v{version}` when not given.
    pub tag: Option<String>,
    /// The files that state its version; when empty, the manifests found in its folder.
    pub holders: Vec<Holder>,
    /// Its changelog from the repository's root; `CHANGELOG.md` in its folder when not given.
    pub changelog: Option<String>,
    /// Packages it is built from: when one of them is released, so is it, by a patch at least.
    pub depends_on: Vec<String>,
    /// Packages of the same group share their version; one that a release left behind catches up.
    pub linked: Option<String>,
}

/// `[git]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Git {
    /// The remote that is pushed to.
    pub remote: String,
    /// The branch that is released.
    pub branch: String,
    /// How tags are signed.
    pub sign: Sign,
    /// Tags are annotated; lightweight otherwise.
    pub annotate: bool,
}

impl Default for Git {
    fn default() -> Self {
        Self { remote: "origin".to_owned(), branch: "main".to_owned(), sign: Sign::None, annotate: true }
    }
}

/// How tags are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Sign {
    /// Not at all.
    #[default]
    None,
    /// With GPG.
    Gpg,
    /// With an SSH key.
    Ssh,
}

/// `[changelog]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Changelog {
    /// Its path from the repository's root.
    pub path: String,
    /// Nobody writes it: every release's section is made from its commits.
    pub generated: bool,
    /// A minijinja template of one generated section, by its path from the repository's root.
    pub template: Option<String>,
    /// The heading a type of commit goes under, or `none` to leave it out, over the built-in ones:
    /// `{ perf = "Changed", chore = "none" }`.
    pub headings: BTreeMap<String, String>,
    /// The entry that stands in a section nobody has written yet.
    pub placeholder: Option<String>,
}

impl Default for Changelog {
    fn default() -> Self {
        Self {
            path: "CHANGELOG.md".to_owned(),
            generated: false,
            template: None,
            headings: BTreeMap::new(),
            placeholder: None,
        }
    }
}

/// `[notes]`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Notes {
    /// A minijinja template of the release notes, by its path from the repository's root; the built-in one when
    /// not given.
    pub template: Option<String>,
    /// Further templates, by who reads what they make: `{ support = "docs/notes-support.md.j2" }`.
    pub audiences: BTreeMap<String, String>,
    /// The address of the project's page on its forge, for links; from the remote when not given.
    pub url: Option<String>,
}

/// Where a secret is read from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Secret {
    /// An environment variable.
    Env(EnvSecret),
    /// A file.
    File(FileSecret),
}

/// `{ env = "NAME" }`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EnvSecret {
    /// The variable's name.
    pub env: String,
}

/// `{ file = "path" }`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileSecret {
    /// The file's path; `~` is the home directory.
    pub file: String,
}
