//! Headings of changelogs: what they announce, and how a new one is written to match.

use jiff::civil::Date;

use super::links::Compare;
use super::parse::{Release, SectionKind};
use crate::version::Version;

/// What `title`, a heading without its marks, announces.
pub(super) fn kind(title: &str) -> SectionKind {
    let title = title.trim();
    let (label, rest) = label_and_rest(title);
    if is_unreleased(label) || is_unreleased(title) {
        return SectionKind::Unreleased;
    }
    let Some((start, version)) = version_in(label) else { return SectionKind::Other };
    SectionKind::Release(Release {
        version,
        date: date_in(rest).map(|(_, date)| date),
        yanked: rest.to_ascii_uppercase().contains("[YANKED]"),
        label: label.to_owned(),
        prefix: label[..start].to_owned(),
    })
}

/// How a file writes the headings of its releases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Style {
    bracketed: bool,
    /// An inline link's address that compares the release before the last with the last.
    link: Option<String>,
    prefix: String,
    before_date: String,
    after_date: String,
}

impl Style {
    /// The style of the release heading `title`, else of the Unreleased one.
    pub(super) fn of(release: Option<(&str, &Release)>, unreleased: &str) -> Self {
        let Some((title, release)) = release else {
            return Self {
                bracketed: unreleased.trim_start().starts_with('['),
                link: None,
                prefix: String::new(),
                before_date: " - ".to_owned(),
                after_date: String::new(),
            };
        };
        let (_, rest) = label_and_rest(title.trim());
        let before = date_in(rest).map(|(at, _)| rest[..at].to_owned());
        // Only separators known to be safe are copied; anything else gives the standard one.
        let known = [" - ", " – ", " — ", " ", ", ", " (", ": "];
        let before_date =
            before.filter(|text| known.contains(&text.as_str())).unwrap_or_else(|| " - ".to_owned());
        let inline = inline_link(title);
        // An address that compares tags goes on from the last one; of any other kind a new one cannot be known.
        let link = inline.map(str::to_owned).filter(|url| Compare::of(url).is_some());
        Self {
            bracketed: title.trim().starts_with('[') && (inline.is_none() || link.is_some()),
            link,
            prefix: release.prefix.clone(),
            after_date: if before_date.ends_with('(') { ")".to_owned() } else { String::new() },
            before_date,
        }
    }

    /// The name of `version`, as the heading and its link write it.
    pub(super) fn label(&self, version: &Version) -> String {
        format!("{}{version}", self.prefix)
    }

    /// The heading's title for `version`, whose tag is `tag`.
    pub(super) fn title(&self, version: &Version, date: Date, tag: &str) -> String {
        let mut label = self.label(version);
        if self.bracketed {
            label = format!("[{label}]");
        }
        if let Some(parts) = self.link.as_deref().and_then(Compare::of) {
            label.push_str(&format!("({})", parts.with(parts.newer(), tag)));
        }
        format!("{label}{}{date}{}", self.before_date, self.after_date)
    }
}

/// What the brackets of a heading hold, or the whole heading without brackets.
pub(super) fn label(title: &str) -> &str {
    let title = title.trim();
    title.strip_prefix('[').and_then(|rest| rest.split_once(']')).map_or(title, |(label, _)| label)
}

/// How a text ends its lines.
pub(super) fn newline(source: &str) -> &'static str {
    match source.find(['\r', '\n']).map(|at| &source[at..]) {
        Some(rest) if rest.starts_with("\r\n") => "\r\n",
        Some(rest) if rest.starts_with('\r') => "\r",
        _ => "\n",
    }
}

fn label_and_rest(title: &str) -> (&str, &str) {
    if let Some((label, rest)) = title.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
        let after_link = rest.strip_prefix('(').and_then(|inner| inner.split_once(')'));
        return (label.trim(), after_link.map_or(rest, |(_, after)| after));
    }
    let word_end = |text: &str| text.find(|c: char| c.is_whitespace() || c == ',').unwrap_or(text.len());
    let mut end = word_end(title);
    if ["version", "release"].contains(&title[..end].to_ascii_lowercase().as_str()) {
        let blank = title[end..].len() - title[end..].trim_start().len();
        end += blank + word_end(&title[end + blank..]);
    }
    let label = title[..end].trim_end_matches(':');
    (label, &title[label.len()..])
}

/// The address in `[1.2.0](https://...)`.
fn inline_link(title: &str) -> Option<&str> {
    let rest = title.trim().strip_prefix('[')?.split_once(']')?.1.strip_prefix('(')?;
    Some(rest.split_once(')')?.0)
}

fn is_unreleased(text: &str) -> bool {
    ["unreleased", "non publié", "à paraître"].contains(&text.to_lowercase().as_str())
}

/// The version that `label` ends in, and where it starts.
fn version_in(label: &str) -> Option<(usize, Version)> {
    if label.len() > 256 {
        return None;
    }
    let lower = label.to_ascii_lowercase();
    let word =
        ["version", "release"].into_iter().find(|word| lower.starts_with(word)).map_or("", |word| word);
    let bare = label[word.len()..].trim_start();
    let bare = bare.strip_prefix(['v', 'V']).unwrap_or(bare);
    // A name may follow: `[3.4.0 Slam Dunk]`.
    let number = bare.split_whitespace().next().unwrap_or(bare);
    Some((label.len() - bare.len(), Version::parse(number).ok()?))
}

/// The first `YYYY-MM-DD` in `text`, and where it starts.
fn date_in(text: &str) -> Option<(usize, Date)> {
    text.char_indices()
        .filter(|(_, character)| character.is_ascii_digit())
        .find_map(|(at, _)| Some((at, text.get(at..at + 10)?.parse::<Date>().ok()?)))
}

/// How a release's heading tells its date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dated<'a> {
    /// As it should be.
    On(Date),
    /// Written like a date, of a day that no calendar has.
    Impossible(&'a str),
    /// Written in another way.
    Otherwise(&'a str),
    /// Not at all.
    Never,
}

/// How the heading `title` of a release tells its date.
pub(super) fn dated(title: &str) -> Dated<'_> {
    let (_, rest) = label_and_rest(title.trim());
    if let Some((_, date)) = date_in(rest) {
        return Dated::On(date);
    }
    let like_a_date = |text: &str| {
        text.len() == 10
            && text.bytes().enumerate().all(|(at, byte)| match at {
                4 | 7 => byte == b'-',
                _ => byte.is_ascii_digit(),
            })
    };
    if let Some(text) =
        rest.char_indices().find_map(|(at, _)| rest.get(at..at + 10).filter(|text| like_a_date(text)))
    {
        return Dated::Impossible(text);
    }
    let yanked = rest.to_ascii_uppercase().find("[YANKED]").unwrap_or(rest.len());
    let rest = rest[..yanked].trim_matches(|character: char| {
        character.is_whitespace() || ['-', '–', '—', ':', '(', ')', ',', '/'].contains(&character)
    });
    match rest.contains(|character: char| character.is_ascii_digit()) {
        true => Dated::Otherwise(rest),
        false => Dated::Never,
    }
}

/// What stands where a version should, when it begins like one: `1.2` in `## [1.2] - 2026-01-01`.
pub(super) fn unread_version(title: &str) -> Option<&str> {
    let label = label_and_rest(title.trim()).0.trim();
    let bare = label.strip_prefix(['v', 'V']).unwrap_or(label);
    let numbers = bare.split_whitespace().next().unwrap_or(bare);
    let template = numbers.split('.').any(|part| part.eq_ignore_ascii_case("x"));
    (bare.starts_with(|character: char| character.is_ascii_digit()) && bare.contains('.') && !template)
        .then_some(label)
}
