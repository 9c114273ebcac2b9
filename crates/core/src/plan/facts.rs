//! What planning reads from the world, read-only.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::{Environment, Holder, HolderTable, PageChannel};
use crate::forge::Project;
use crate::version::holder::{self, HolderError, HolderKind};

/// The world as planning found it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Facts {
    /// The commit HEAD names; `None` before the first commit.
    pub head: Option<String>,
    /// The branch checked out; `None` when HEAD is detached.
    pub branch: Option<String>,
    /// The remote that releases go to; `None` when the repository has none.
    pub remote: Option<String>,
    /// Paths that differ from HEAD, untracked ones excluded.
    pub dirty: Vec<String>,
    /// All tags with the commit each names.
    pub tags: BTreeMap<String, String>,
    /// What is released.
    pub release: Option<ReleaseFact>,
    /// Files that state the version, and what each states.
    pub holders: Vec<HolderFact>,
    /// `[version]` of the configuration: the holders state the number without its suffix.
    pub plain_holders: bool,
    /// The changelog's path, when there is one.
    pub changelog: Option<String>,
    /// How the configuration has entries and sections of the changelog made.
    #[serde(default)]
    pub entries: EntryFact,
    /// Who plans.
    pub person: Option<String>,
    /// `[git]` of the configuration: tags are annotated.
    pub annotate: bool,
    /// `[git]` of the configuration: `none`, `gpg` or `ssh`.
    pub sign: String,
    /// The branch that releases come from.
    pub main_branch: String,
    /// Where versions live, by name, as configured.
    pub environments: BTreeMap<String, Environment>,
    /// `[notify]` of the configuration: how people are paged, in the order it is tried.
    #[serde(default)]
    pub pages: Vec<PageChannel>,
    /// The forge that shows releases.
    #[serde(default)]
    pub forge: ForgeFact,
}

/// The forge that shows releases, as the remote's address and `[forge]` name it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ForgeFact {
    /// The repository on it.
    pub project: Option<Project>,
    /// Why there is none, as a sentence.
    pub unknown: Option<String>,
}

/// How entries and sections of the changelog are made: `[changelog]`, and the page of `[notes]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EntryFact {
    /// Nobody writes it: every release's section is made from its commits.
    pub generated: bool,
    /// A template of one generated section, by its path.
    pub template: Option<String>,
    /// The heading of each type of commit, over the built-in ones.
    pub headings: BTreeMap<String, String>,
    /// The entry where the commits hold nothing for users.
    pub placeholder: Option<String>,
    /// The project's page.
    pub url: Option<String>,
}

/// What is released.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReleaseFact {
    /// The package, where the repository has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// The version, without prefix.
    pub version: String,
    /// Its tag.
    pub tag: String,
    /// The commit that is released, where that is not HEAD: a pre-release's, which is promoted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The version before it, if any.
    pub previous: Option<String>,
    /// The tag before it, if any.
    pub previous_tag: Option<String>,
    /// `alpha`, `beta`, `rc`, `stable` or `hotfix`; `preview` for a pre-release under any other word.
    pub channel: String,
    /// `major`, `minor`, `patch`, when one was derived.
    pub bump: Option<String>,
    /// Why this version, one sentence each.
    pub reasons: Vec<String>,
    /// What it contains, newest first.
    pub commits: Vec<CommitFact>,
    /// The date it carries, `YYYY-MM-DD`.
    pub date: String,
    /// The rendered release notes.
    pub notes: String,
}

/// A commit of the release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CommitFact {
    /// Its id.
    pub id: String,
    /// Its subject, made safe to show.
    pub subject: String,
    /// Its author's e-mail address.
    pub author: String,
    /// The whole message, made safe to show.
    pub message: String,
    /// Its author's name.
    pub author_name: String,
}

/// A file that states the version: its path, where in it the version stands, and what it states.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HolderFact {
    /// Its path in the repository.
    pub path: String,
    /// The pattern of a holder that is found by a regular expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// How many places the pattern, the image or the badge has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matches: Option<usize>,
    /// The way to the value of a holder that is found by a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The format that the key leads through, where the file's name does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// The image whose tag is the version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The kind of file, where its name does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Names of the packages that share the version, for files that state those of several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<String>,
    /// What it states.
    pub version: String,
    /// The line that states it, for messages.
    #[serde(skip)]
    pub line: usize,
}

impl HolderFact {
    /// A holder as the configuration lists it, before it is read.
    pub fn new(holder: &Holder, packages: Vec<String>) -> Self {
        let table = match holder {
            Holder::Path(path) => HolderTable { path: path.clone(), ..HolderTable::default() },
            Holder::Table(table) => table.clone(),
        };
        let HolderTable { path, pattern, matches, key, format, image, kind } = table;
        Self { path, pattern, matches, key, format, image, kind, packages, version: String::new(), line: 0 }
    }

    /// Where in the file the version stands.
    ///
    /// # Errors
    /// When nothing says it.
    pub fn kind(&self) -> Result<HolderKind, HolderError> {
        let table = HolderTable {
            path: self.path.clone(),
            pattern: self.pattern.clone(),
            matches: self.matches,
            key: self.key.clone(),
            format: self.format.clone(),
            image: self.image.clone(),
            kind: self.kind.clone(),
        };
        holder::kind(&table, &self.packages)
    }
}
