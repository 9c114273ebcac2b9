//! Commits read as Conventional Commits, leniently: whatever people wrote, something is understood.

mod header;
mod reference;
mod reverts;
#[cfg(test)]
mod tests;
mod trailer;
mod types;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

pub use reference::{Reference, mentions};
pub use reverts::without_reverted;
pub use types::Types;

/// Past this a message says nothing more about the release, and hostile ones stop costing time.
const LONGEST: usize = 64 * 1024;

/// A commit as git gives it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Commit {
    /// The full hexadecimal object id.
    pub id: String,
    /// The author's name.
    pub author_name: String,
    /// The author's address. Never shown in notes.
    pub author_email: String,
    /// The whole message: subject, blank line, body.
    pub message: String,
    /// When it was committed, in seconds since 1970; 0 where nobody said.
    #[serde(default)]
    pub committed_at: i64,
}

impl Commit {
    /// The first line of the message.
    pub fn subject(&self) -> &str {
        self.message.trim_start().lines().next().unwrap_or("").trim_end()
    }

    /// The message understood.
    pub fn parse(&self) -> Conventional<'_> {
        parse(&self.message)
    }
}

/// A commit message understood. Texts are borrowed from the message wherever they stand in it as they are.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Conventional<'a> {
    /// The type in lower case (`feat`); `None` where the message does not follow the convention.
    pub kind: Option<Cow<'a, str>>,
    /// The scope: `api` in `feat(api): ...`.
    pub scope: Option<Cow<'a, str>>,
    /// What breaks, when something does: the footers' texts, else the description.
    pub breaking: Option<Cow<'a, str>>,
    /// The subject without type and scope.
    pub description: Cow<'a, str>,
    /// The text between subject and footers.
    pub body: Option<Cow<'a, str>>,
    /// The trailers, such as `Reviewed-by: Ann`.
    pub footers: Vec<Footer<'a>>,
    /// Issues and pull requests named, without repeats.
    pub references: Vec<Reference<'a>>,
    /// The id, maybe abbreviated, of the commit that this one takes back.
    pub reverts: Option<Cow<'a, str>>,
    /// Whether it joins branches. Its content is in the commits it joins, so it asks for nothing itself.
    pub merge: bool,
    /// The conventional items of a squashed list, where the subject itself is not conventional.
    pub squashed: Vec<Self>,
}

impl Conventional<'_> {
    /// The changes told: the squashed ones, or this one.
    pub fn changes(&self) -> &[Self] {
        if self.squashed.is_empty() { std::slice::from_ref(self) } else { &self.squashed }
    }

    /// How to come to the version with this change: the texts of its `Migration:` and `Upgrade:` footers.
    pub fn guides(&self) -> impl Iterator<Item = &str> {
        self.footers
            .iter()
            .filter(|footer| trailer::is_guide(&footer.token) && !footer.value.is_empty())
            .map(|footer| footer.value.as_ref())
    }

    /// The same with its own text.
    pub fn into_owned(self) -> Conventional<'static> {
        let own = |text: Option<Cow<'_, str>>| text.map(|text| Cow::Owned(text.into_owned()));
        Conventional {
            kind: own(self.kind),
            scope: own(self.scope),
            breaking: own(self.breaking),
            description: self.description.into_owned().into(),
            body: own(self.body),
            footers: self.footers.into_iter().map(Footer::into_owned).collect(),
            references: self.references.into_iter().map(Reference::into_owned).collect(),
            reverts: own(self.reverts),
            merge: self.merge,
            squashed: self.squashed.into_iter().map(Conventional::into_owned).collect(),
        }
    }
}

/// A trailer of a commit message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Footer<'a> {
    /// The word before the separator; `BREAKING CHANGE` for every spelling of it.
    pub token: Cow<'a, str>,
    /// The text after it.
    pub value: Cow<'a, str>,
}

impl Footer<'_> {
    fn into_owned(self) -> Footer<'static> {
        Footer { token: self.token.into_owned().into(), value: self.value.into_owned().into() }
    }
}

/// Reads a commit message. Never fails: an unconventional one has no `kind`.
pub fn parse(message: &str) -> Conventional<'_> {
    match plain(message) {
        Cow::Borrowed(text) => read(text),
        Cow::Owned(text) => read(&text).into_owned(),
    }
}

/// The conventional items of a squashed list under the subject, whatever the subject says.
fn listed(message: &str) -> Vec<Conventional<'_>> {
    match plain(message) {
        Cow::Borrowed(text) => squashed(parts(text).1),
        Cow::Owned(text) => squashed(parts(&text).1).into_iter().map(Conventional::into_owned).collect(),
    }
}

/// The message with one kind of line ending, as far as it is read.
fn plain(message: &str) -> Cow<'_, str> {
    let mut end = message.len().min(LONGEST);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    let message = &message[..end];
    match message.bytes().any(|byte| byte == b'\r' || byte == 0) {
        true => message.replace("\r\n", "\n").replace(['\r', '\0'], "\n").into(),
        false => message.into(),
    }
}

/// The subject, and what stands under it.
fn parts(text: &str) -> (&str, &str) {
    let text = text.trim_matches(|character: char| character.is_whitespace() || character == '\u{feff}');
    let (subject, rest) = text.split_once('\n').unwrap_or((text, ""));
    (subject.trim_end(), rest)
}

fn read(text: &str) -> Conventional<'_> {
    let (subject, rest) = parts(text);
    let plain = || Conventional { description: subject.into(), ..Conventional::default() };
    let merge = header::is_merge(subject);
    let mut commit = match merge {
        true => Conventional { merge, ..plain() },
        false => header::git_revert(subject)
            .or_else(|| header::conventional(subject))
            .unwrap_or_else(|| Conventional { squashed: squashed(rest), ..plain() }),
    };
    under_subject(&mut commit, rest);
    if subject.starts_with("Re") || commit.kind.as_deref() == Some("revert") {
        commit.reverts = reverted_id(text).map(Cow::from);
    }
    commit.references = reference::references(text);
    commit
}

/// Adds what stands under the subject: text, trailers, and what breaks.
fn under_subject<'a>(commit: &mut Conventional<'a>, rest: &'a str) {
    if rest.is_empty() {
        return;
    }
    let (body, footers) = trailer::read(rest);
    commit.body = body.map(Cow::from);
    commit.footers = footers;
    if commit.merge {
        return;
    }
    let mut notes =
        commit.footers.iter().filter(|footer| footer.token == trailer::BREAKING).map(|footer| &footer.value);
    if let Some(first) = notes.next() {
        let more: Vec<&str> = notes.map(AsRef::as_ref).filter(|note| !note.is_empty()).collect();
        commit.breaking = Some(match (first.is_empty(), more.as_slice()) {
            (false, []) => first.clone(),
            (true, []) => commit.description.clone(),
            (_, more) => [&[first.as_ref()], more].concat().join("\n\n").trim().to_owned().into(),
        });
    }
}

/// The conventional items of the list that a host made of squashed commits, each with the lines up to the next.
fn squashed(rest: &str) -> Vec<Conventional<'_>> {
    let mut items: Vec<(Conventional<'_>, usize, usize)> = Vec::new();
    let mut at = 0;
    for line in rest.split_inclusive('\n') {
        let start = at;
        at += line.len();
        let Some(item) = line.strip_prefix("* ").or_else(|| line.strip_prefix("- ")) else { continue };
        if trailer::is_breaking(line) {
            continue;
        }
        if let Some(last) = items.last_mut().filter(|last| last.2 == usize::MAX) {
            last.2 = start;
        }
        if let Some(commit) = header::known_header(item.trim()) {
            items.push((commit, at, usize::MAX));
        }
    }
    items
        .into_iter()
        .map(|(mut commit, from, to)| {
            under_subject(&mut commit, rest.get(from..to.min(rest.len())).unwrap_or_default());
            commit
        })
        .collect()
}

/// The id after "This reverts commit", or in a `Refs:` footer.
fn reverted_id(text: &str) -> Option<String> {
    let after = text
        .split_once("This reverts commit ")
        .map(|(_, after)| after)
        .or_else(|| text.lines().skip(1).find_map(|line| line.strip_prefix("Refs: ")))?;
    let id: String = after.chars().take_while(char::is_ascii_hexdigit).take(65).collect();
    (7..=64).contains(&id.len()).then(|| id.to_ascii_lowercase())
}
