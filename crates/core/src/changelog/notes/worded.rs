//! The changelog's own words as notes, and around them what only the commits know.

use super::written::Written;
use super::{Breaking, bare};
use crate::text::sanitize;

/// What the commits tell and a section does not.
#[derive(Debug, Default)]
pub(super) struct Beside {
    /// What breaks.
    pub(super) breaking: Vec<Breaking>,
    /// How to upgrade, beside what is told for each breaking change.
    pub(super) upgrade: Vec<String>,
    /// What does not work yet.
    pub(super) known_issues: Vec<String>,
    /// The section tells of these itself, so nothing is put beside it.
    told: (bool, bool),
    level: Option<u8>,
}

impl Beside {
    /// The breaking changes of commits that the section says too little of.
    pub(super) fn of(written: &Written, breaking: &[Breaking]) -> Self {
        let says = |one: &Breaking| {
            let words = bare(&one.text);
            written.breaking.iter().any(|known| bare(&known.text).contains(&words))
        };
        // An entry that is marked as breaking says what breaks, but not how to get over it.
        let lacks = |one: &&Breaking| !says(one) || one.details.is_some() || one.guide.is_some();
        Self {
            breaking: match written.tells_of_breaking {
                true => Vec::new(),
                false => breaking.iter().filter(lacks).cloned().collect(),
            },
            told: (written.tells_of_upgrade, !written.known_issues.is_empty()),
            level: written.level,
            ..Self::default()
        }
    }
}

/// `section` as it stands, with what is beside it: what breaks and how to upgrade above, after an opening paragraph,
/// and what does not work yet below.
pub(super) fn around(section: &str, opening: Option<&str>, beside: &Beside) -> String {
    let clean = sanitize(section);
    let section = clean.trim();
    let mark = "#".repeat(usize::from(beside.level.unwrap_or(3)));
    let mut above = String::new();
    if !beside.breaking.is_empty() {
        above.push_str(&format!("{mark} Breaking Changes\n\n"));
    }
    let mut apart = true;
    for one in &beside.breaking {
        let details = one.details.as_ref().map(|details| format!("\n\n  {details}"));
        let guide = one.guide.as_ref().map(|guide| format!("\n\n  **Migration:** {guide}"));
        let more = details.is_some() || guide.is_some();
        // Items of paragraphs stand apart from one another.
        if more && !apart {
            above.push('\n');
        }
        above.push_str(&format!(
            "- {}{}{}\n",
            one.text,
            details.unwrap_or_default(),
            guide.unwrap_or_default()
        ));
        if more {
            above.push('\n');
        }
        apart = more;
    }
    let (upgrade_told, issues_told) = beside.told;
    if !beside.upgrade.is_empty() && !upgrade_told {
        above.truncate(above.trim_end().len());
        let blank = if above.is_empty() { "" } else { "\n\n" };
        above.push_str(&format!("{blank}{mark} Upgrade Instructions\n\n{}", beside.upgrade.join("\n\n")));
    }
    let opened = opening.map(str::trim).and_then(|opening| Some((opening, section.strip_prefix(opening)?)));
    let mut parts = match opened {
        Some((opening, rest)) if !above.is_empty() => vec![opening, above.trim(), rest.trim()],
        _ => vec![above.trim(), section],
    };
    let below = format!("{mark} Known Issues\n\n{}", beside.known_issues.join("\n"));
    if !beside.known_issues.is_empty() && !issues_told {
        parts.push(&below);
    }
    parts.retain(|part| !part.is_empty());
    parts.join("\n\n")
}
