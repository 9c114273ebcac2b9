//! What entries tell already, so that none is told twice.

use std::collections::{HashMap, HashSet};

use super::entry;

/// What the entries of a section tell. Asking costs the same however many there are.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// The words of each.
    words: HashSet<String>,
    /// What stands before each `#12`, by the number.
    before: HashMap<String, HashSet<String>>,
}

impl Known {
    /// What these entries tell.
    pub(super) fn of<'a>(entries: impl IntoIterator<Item = &'a str>) -> Self {
        let mut known = Self::default();
        for entry in entries {
            let words = plain(entry);
            for (at, _) in words.match_indices('#') {
                let number = number(&words[at + 1..]);
                if !number.is_empty() {
                    let before = words[..at].rsplit([' ', '(']).next().unwrap_or_default();
                    known.before.entry(number.to_owned()).or_default().insert(before.to_owned());
                }
            }
            known.words.insert(words);
        }
        known
    }

    /// Whether one of them says this in the same words, or names one of these issues.
    pub(super) fn tells(&self, text: &str, names: &[String]) -> bool {
        self.words.contains(&plain(text)) || names.iter().any(|name| self.names(name))
    }

    fn names(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        match name.rsplit_once('#') {
            Some((place, issue)) if !issue.is_empty() && number(issue) == issue => self
                .before
                .get(issue)
                .is_some_and(|before| place.is_empty() || before.iter().any(|text| text.ends_with(place))),
            _ => self.words.iter().any(|words| entry::mentions(words, &name)),
        }
    }
}

/// The digits that a text begins with.
fn number(text: &str) -> &str {
    &text[..text.len() - text.trim_start_matches(|next: char| next.is_ascii_digit()).len()]
}

/// An entry's words, without its mark, its links' addresses and its case.
fn plain(text: &str) -> String {
    let mut words = String::with_capacity(text.len());
    let mut rest = text.trim_start().trim_start_matches(['-', '*', '+']);
    while let Some((before, after)) = rest.split_once("](") {
        words.push_str(before);
        rest = after.split_once(')').map_or("", |(_, rest)| rest);
    }
    words.push_str(rest);
    let kept = words.replace(['[', ']', '\\', '*'], "").to_lowercase();
    kept.split_whitespace().collect::<Vec<_>>().join(" ").trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_known_by_its_words_or_its_issue() {
        let known = Known::of([
            "- **api:** Doors ([#12](https://e.org/12)).",
            "* See Acme/lib#7 and #120",
            "+ Odd #a1",
        ]);
        for (text, names, expect) in [
            ("api: doors (#12)", &[][..], true),
            ("Other words", &["#12"], true),
            ("Other words", &["#1"], false),
            ("Other words", &["#120"], true),
            ("Other words", &["acme/lib#7"], true),
            ("Other words", &["lib#7"], true),
            ("Other words", &["other#7"], false),
            ("Other words", &["#7"], true),
            ("Other words", &["#a1"], true),
            ("Other words", &["#3", "#12"], true),
            ("Other words", &[], false),
        ] {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(known.tells(text, &names), expect, "{text} {names:?}");
        }
    }
}
