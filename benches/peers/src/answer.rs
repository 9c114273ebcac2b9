//! Reads what a tool answered, and judges it by what git says.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use serde_json::Value;

use crate::Result;
use crate::rows::{Extract, Kind, Row, Task};
use crate::subject::{Counts, Subject};

/// What a tool said, and whether it is so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What it said, as the tables show it.
    pub shown: String,
    /// Why it is wrong; none when it is right.
    pub wrong: Option<String>,
}

/// JSON and logs are bounded: a tool that prints more than this in one value has no answer in it.
const MOST: u64 = 64 << 20;

/// Judges an output.
///
/// # Errors
/// When the output cannot be read.
pub fn judge(row: &Row, subject: &Subject, output: &Path) -> Result<Answer> {
    let (mut shown, mut wrong) = (Vec::new(), None);
    for extract in &row.extracts {
        let (said, complaint) = match extract {
            Extract::Lines(start) => {
                let (found, expect) = (lines(output, start)?, expected(row.task, subject));
                match by_choice(row, found, expect) {
                    Some(said) => (said, None),
                    None => number(Some(found), expect),
                }
            }
            Extract::Json(pointer) => {
                let value = serde_json::from_reader::<_, Value>(File::open(output)?).unwrap_or_default();
                let found = value.pointer(pointer).or_else(|| value.pointer(&format!("/next{pointer}")));
                number(found.and_then(Value::as_u64), expected(row.task, subject))
            }
            Extract::JsonPackages => {
                let value = serde_json::from_reader::<_, Value>(File::open(output)?).unwrap_or_default();
                let packages = value["packages"].as_array().map_or(0, Vec::len);
                let expect = subject.packages.len();
                let complaint = (packages != expect).then(|| format!("not {expect} packages"));
                (format!("{packages} packages"), complaint)
            }
            Extract::Between(before, after) => {
                let found = between(&text(output)?, before, after).and_then(|number| number.parse().ok());
                number(found, expected(row.task, subject))
            }
            Extract::Version(before) => version(&text(output)?, before, subject),
        };
        shown.push(said);
        wrong = wrong.or(complaint);
    }
    Ok(Answer { shown: shown.join(", "), wrong })
}

fn expected(task: Task, subject: &Subject) -> &Counts {
    match task {
        Task::Next | Task::Unreleased | Task::NextPackages => &subject.unreleased,
        Task::Full => &subject.full,
        Task::Package => subject.package().map_or(&subject.all_packages, |package| &package.commits),
        Task::Packages => &subject.all_packages,
    }
}

/// What is a matter of choice. Of a path's merges a peer may list some. Who tells changes tells the same change once in
/// a release; Windlass does, and without these two bounds its number could be anything.
fn by_choice(row: &Row, found: u64, expect: &Counts) -> Option<String> {
    if expect.rule(found).is_some() {
        return None;
    }
    if row.kind == Kind::Windlass {
        return expect.told_once.contains(&found).then(|| format!("{found} (each change once)"));
    }
    let least = expect.rules.iter().find(|(rule, _)| *rule == "no merges").map(|(_, count)| *count)?;
    let is_path = matches!(row.task, Task::Package | Task::Packages);
    let most = expect.rules.iter().map(|(_, count)| *count).max()?;
    (is_path && (least..=most).contains(&found)).then(|| format!("{found} (some merges)"))
}

fn number(found: Option<u64>, expect: &Counts) -> (String, Option<String>) {
    let Some(found) = found else { return ("nothing".to_owned(), Some("no number".to_owned())) };
    match expect.rule(found) {
        Some("all") => (found.to_string(), None),
        Some(rule) => (format!("{found} ({rule})"), None),
        None => (found.to_string(), Some(format!("git says {}", expect.all()))),
    }
}

/// The version must be above the baseline: a tool that counted from elsewhere announces one that is not, or too many
/// commits.
fn version(text: &str, before: &str, subject: &Subject) -> (String, Option<String>) {
    let word = match before {
        "" => text.split_whitespace().next_back(),
        _ => text.split_once(before).and_then(|(_, after)| after.split_whitespace().next()),
    };
    let Some(word) = word else { return ("no version".to_owned(), Some("no version".to_owned())) };
    let Some(said) = subject.version(word).or_else(|| semver::Version::parse(word).ok()) else {
        return ("no version".to_owned(), Some("no version".to_owned()));
    };
    let wrong = match &subject.baseline {
        Some(tag) if subject.version(tag).is_some_and(|baseline| said <= baseline) => {
            Some(format!("not above {tag}"))
        }
        _ => None,
    };
    (said.to_string(), wrong)
}

/// How the entry ends that Windlass writes where a release has none.
const NOTHING: &[u8] = b" no commits here\n";

fn lines(output: &Path, start: &str) -> Result<u64> {
    let mut reader = BufReader::new(File::open(output)?);
    let (mut line, mut count) = (Vec::new(), 0);
    while reader.read_until(b'\n', &mut line)? > 0 {
        count += u64::from(line.starts_with(start.as_bytes()) && !line.ends_with(NOTHING));
        line.clear();
    }
    Ok(count)
}

fn text(output: &Path) -> Result<String> {
    let mut bytes = Vec::new();
    File::open(output)?.take(MOST).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    text.match_indices(before).find_map(|(at, _)| {
        let rest = &text[at + before.len()..];
        let (found, _) = rest.split_once(after)?;
        (!found.is_empty() && found.bytes().all(|byte| byte.is_ascii_digit())).then_some(found)
    })
}

#[cfg(test)]
mod tests {
    use super::{between, number};
    use crate::subject::Counts;

    #[test]
    fn numbers_are_right_by_a_named_rule_only() {
        let counts = Counts { rules: vec![("all", 10), ("no merges", 8)], told_once: 3..=5 };
        assert_eq!(number(Some(10), &counts), ("10".to_owned(), None));
        assert_eq!(number(Some(8), &counts), ("8 (no merges)".to_owned(), None));
        assert_eq!(number(Some(9), &counts), ("9".to_owned(), Some("git says 10".to_owned())));
        assert!(number(None, &counts).1.is_some());
    }

    #[test]
    fn a_number_between_texts() {
        assert_eq!(between("Found git tag\nFound 12 commits since", "Found ", " commits"), Some("12"));
        assert_eq!(between("Found no commits", "Found ", " commits"), None);
    }
}
