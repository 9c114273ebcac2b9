//! Tags that look like releases and do not follow the format: a mistake in the configuration, or another package's.

use super::super::TagFormat;
use super::{TagFact, View};
use crate::text::sanitize_line;

/// What the tags follow, where none follows the format in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Foreign {
    /// A tag of the most frequent format.
    pub example: String,
    format: TagFormat,
    /// The names of packages whose tags these look like, where there are several.
    packages: Vec<String>,
    /// The table that the format in force stands in.
    table: String,
}

impl Foreign {
    /// What the tags that look like versions follow, when that tells of a mistake; where it is only another package's
    /// way, that is a reason.
    pub fn among(tags: &[TagFact], view: &View<'_>, reasons: &mut Vec<String>) -> Option<Self> {
        let is_known =
            |fact: &&TagFact| view.others.iter().any(|other| other.version_of(&fact.name).is_some());
        let unknown = tags.iter().filter(|fact| !is_known(fact));
        let found = TagFormat::guess_all(unknown.map(|fact| fact.name.as_str()));
        let own = &view.policy.tag_format;
        let known = tags.iter().find(is_known);
        // Beside packages that have releases, another format is one of a package that is not listed, or retired. Only
        // one with the name of this package is its own, written otherwise.
        let meant = match known {
            Some(_) => {
                found.iter().find(|(format, ..)| own.package().is_some() && format.package() == own.package())
            }
            None => found.first(),
        };
        let Some((format, _, example)) = meant else {
            let other = known.map(|fact| fact.name.as_str());
            if let Some(other) = other.or_else(|| found.first().map(|(_, _, example)| *example)) {
                let other = sanitize_line(other);
                reasons.push(format!("no tag follows `{own}` yet; `{other}` and its like are of others"));
            }
            return None;
        };
        let mut packages: Vec<String> =
            found.iter().filter_map(|(format, ..)| format.package().map(str::to_owned)).collect();
        // As many as look like one another's: a single name may be the project's own.
        if packages.len() < 2 || format.package().is_none() || own.package().is_some() {
            packages.clear();
        }
        let table = match own.package().filter(|_| !view.others.is_empty()) {
            Some(name) => format!("[packages.{}]", key(name)),
            None => "[version]".to_owned(),
        };
        Some(Self { example: (*example).to_owned(), format: format.clone(), packages, table })
    }

    /// What to write into the configuration.
    pub fn help(&self) -> String {
        let (format, name) = (&self.format, self.packages.first());
        match name {
            Some(name) => format!(
                "the tags are those of {} packages: list each with its `path`, such as [packages.{}] with \
                 `tag = \"{format}\"`",
                self.packages.len(),
                key(name)
            ),
            None => format!("set `tag = \"{format}\"` under {}", self.table),
        }
    }
}

/// A name as a key of TOML.
fn key(name: &str) -> String {
    let is_bare = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_');
    match name.chars().all(is_bare) {
        true => name.to_owned(),
        false => format!("\"{}\"", sanitize_line(name)),
    }
}
