//! `windlass.toml`: what a repository says about its releases. Sensible without the file.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Diagnostic;

mod read;

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
    /// Who has each role: names or e-mail addresses by role.
    pub roles: BTreeMap<String, Vec<String>>,
    /// Where versions live, by name.
    pub environments: BTreeMap<String, Environment>,
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
        }
    }
}

/// A file that states the version: its path, or its path and the pattern that finds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Holder {
    /// A file whose format is known by its name, such as `Cargo.toml`.
    Path(String),
    /// Any file.
    Pattern(PatternHolder),
}

/// A file and the regular expression whose first group is the version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PatternHolder {
    /// Its path from the repository's root.
    pub path: String,
    /// A regular expression with one group, such as `Version: (.*)`; without one, the format is known by name.
    pub pattern: Option<String>,
}

impl Holder {
    /// Its path from the repository's root.
    pub fn path(&self) -> &str {
        match self {
            Self::Path(path) => path,
            Self::Pattern(holder) => &holder.path,
        }
    }

    /// The regular expression that finds the version, when the file's name does not say its format.
    pub fn pattern(&self) -> Option<&str> {
        match self {
            Self::Path(_) => None,
            Self::Pattern(holder) => holder.pattern.as_deref(),
        }
    }
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
}

impl Default for Changelog {
    fn default() -> Self {
        Self { path: "CHANGELOG.md".to_owned() }
    }
}

/// `[environments.NAME]`: every line is for people, but for `url` and `health`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Environment {
    /// Where it answers.
    pub url: Option<String>,
    /// What it is for.
    pub purpose: Option<String>,
    /// What data it has.
    pub data: Option<String>,
    /// How closely it is watched.
    pub monitoring: Option<String>,
    /// The address of its health check, from `url` when it is relative.
    pub health: Option<String>,
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
