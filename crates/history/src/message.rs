//! Commit objects, read leniently: whatever a tool wrote, something is understood.

use std::borrow::Cow;

use gix::ObjectId;
use windlass_core::commit::Commit;

/// The longest message that is read, in bytes.
const MESSAGE: usize = 64 << 10;
/// How much of that is the end of a longer one.
const FOOT: usize = 16 << 10;
/// What stands for what was left out: the end of a paragraph.
const BREAK: &[u8] = b"\n\n";
/// The longest name or address that is read, in bytes.
const PERSON: usize = 1 << 10;

/// The headers of a commit, as they stand.
#[derive(Debug, Default)]
pub(crate) struct Headers<'a> {
    pub tree: Option<ObjectId>,
    pub parents: Vec<ObjectId>,
    author: &'a [u8],
    committer: &'a [u8],
    encoding: &'a [u8],
    message: &'a [u8],
}

impl<'a> Headers<'a> {
    pub fn parse(mut text: &'a [u8]) -> Self {
        let mut headers = Self::default();
        loop {
            let end = text.iter().position(|byte| *byte == b'\n').unwrap_or(text.len());
            let (line, rest) = text.split_at(end);
            text = rest.get(1..).unwrap_or_default();
            if line.is_empty() {
                break;
            }
            let space = line.iter().position(|byte| *byte == b' ').unwrap_or(line.len());
            let value = line.get(space + 1..).unwrap_or_default();
            match line.get(..space).unwrap_or_default() {
                b"tree" => headers.tree = headers.tree.or(ObjectId::from_hex(value).ok()),
                b"parent" => headers.parents.extend(ObjectId::from_hex(value)),
                b"author" if headers.author.is_empty() => headers.author = value,
                b"committer" if headers.committer.is_empty() => headers.committer = value,
                b"encoding" if headers.encoding.is_empty() => headers.encoding = value,
                _ => {}
            }
        }
        headers.message = text;
        headers
    }

    /// The commit again, without signatures and all else that is not read.
    pub fn write(&self, into: &mut Vec<u8>) {
        into.clear();
        let id = |into: &mut Vec<u8>, name: &[u8], id: &ObjectId| {
            let mut hex = gix::hash::Kind::hex_buf();
            into.extend_from_slice(name);
            into.extend_from_slice(id.hex_to_buf(&mut hex).as_bytes());
            into.push(b'\n');
        };
        self.tree.iter().for_each(|tree| id(into, b"tree ", tree));
        self.parents.iter().for_each(|parent| id(into, b"parent ", parent));
        let lines: [(&[u8], &[u8]); 3] =
            [(b"author ", self.author), (b"committer ", self.committer), (b"encoding ", self.encoding)];
        for (name, value) in lines.into_iter().filter(|(_, value)| !value.is_empty()) {
            into.extend_from_slice(name);
            into.extend_from_slice(value);
            into.push(b'\n');
        }
        into.push(b'\n');
        into.extend_from_slice(&shortened(self.message));
    }

    /// When it was committed, in seconds since 1970; 0 where that cannot be read.
    pub fn time(&self) -> i64 {
        let after = self.committer.iter().rposition(|byte| *byte == b'>').map_or(0, |at| at + 1);
        let rest = self.committer.get(after..).unwrap_or_default();
        let word = rest.split(|byte| *byte == b' ').find(|word| !word.is_empty());
        word.and_then(|word| std::str::from_utf8(word).ok())
            .and_then(|word| word.parse().ok())
            // What git cannot hold it takes for the beginning of time.
            .filter(|time: &i64| *time >= 0)
            .unwrap_or_default()
    }

    pub fn commit(&self, id: ObjectId) -> Commit {
        let encoding = Encoding::of(self.encoding);
        let (name, email) = person(self.author);
        Commit {
            id: id.to_string(),
            author_name: encoding.decode(cut(name, PERSON)).into_owned(),
            author_email: encoding.decode(cut(email, PERSON)).into_owned(),
            message: message(encoding, self.message),
            committed_at: self.time(),
        }
    }
}

fn message(encoding: Encoding, bytes: &[u8]) -> String {
    let bytes = shortened(bytes);
    // Git's own messages end at a NUL.
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let text = encoding.decode(bytes.get(..end).unwrap_or_default());
    text.trim_end().to_owned()
}

/// A message as it is read: the middle of a long one is left out, since its subject is at the beginning, and what it
/// breaks is told in footers at its end. What was shortened once stays as it is.
fn shortened(message: &[u8]) -> Cow<'_, [u8]> {
    if message.len() <= MESSAGE {
        return message.into();
    }
    let head = cut(message, MESSAGE - FOOT);
    let mut foot = message.get(message.len() - FOOT + BREAK.len()..).unwrap_or_default();
    let is_inside = |byte: &u8| byte & 0xc0 == 0x80;
    foot = foot.get(foot.iter().take(3).take_while(|byte| is_inside(byte)).count()..).unwrap_or_default();
    // Whole lines, where there are any: half a line could be taken for something else.
    if let Some(end) = foot.iter().position(|byte| *byte == b'\n') {
        foot = foot.get(end + 1..).unwrap_or_default();
    }
    [head, BREAK, foot].concat().into()
}

fn person(line: &[u8]) -> (&[u8], &[u8]) {
    let Some(open) = line.iter().position(|byte| *byte == b'<') else { return (line, b"") };
    let (name, rest) = line.split_at(open);
    let rest = rest.get(1..).unwrap_or_default();
    let close = rest.iter().position(|byte| *byte == b'>').unwrap_or(rest.len());
    (name.trim_ascii(), rest.get(..close).unwrap_or_default().trim_ascii())
}

/// At most `most` bytes, not ending within a character of UTF-8.
fn cut(bytes: &[u8], most: usize) -> &[u8] {
    if bytes.len() <= most {
        return bytes;
    }
    let is_start = |at: &usize| bytes.get(*at).is_none_or(|byte| byte & 0xc0 != 0x80);
    let end = (most.saturating_sub(3)..=most).rev().find(is_start).unwrap_or(most);
    bytes.get(..end).unwrap_or_default()
}

#[derive(Clone, Copy)]
enum Encoding {
    Utf8,
    Latin1,
    Other(&'static encoding_rs::Encoding),
}

impl Encoding {
    fn of(label: &[u8]) -> Self {
        let label = label.trim_ascii();
        if label.is_empty() {
            return Self::Utf8;
        }
        let lower = label.to_ascii_lowercase();
        if let b"iso-8859-1" | b"iso8859-1" | b"iso_8859-1" | b"latin1" | b"latin-1" | b"l1" =
            lower.as_slice()
        {
            return Self::Latin1;
        }
        encoding_rs::Encoding::for_label(&lower).map_or(Self::Utf8, Self::Other)
    }

    fn decode(self, bytes: &[u8]) -> Cow<'_, str> {
        match self {
            Self::Utf8 => String::from_utf8_lossy(bytes),
            Self::Latin1 if bytes.is_ascii() => String::from_utf8_lossy(bytes),
            Self::Latin1 => bytes.iter().map(|byte| char::from(*byte)).collect::<String>().into(),
            Self::Other(encoding) => encoding.decode_without_bom_handling(bytes).0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(headers: &str, message: &[u8]) -> Commit {
        let text = [headers.as_bytes(), b"\n", message].concat();
        Headers::parse(&text).commit(ObjectId::null(gix::hash::Kind::Sha1))
    }

    #[test]
    fn people_and_dates_are_read_however_they_are_written() {
        for (author, committer, expect) in [
            ("A B <a@b> 1 +0000", "C <c@d> 7 +0100", ("A B", "a@b", 7)),
            ("  A   <a@b>", "C <c@d>", ("A", "a@b", 0)),
            ("A a@b", "C", ("A a@b", "", 0)),
            ("<a@b> 1 +0000", "C <c> d> 9 -0800", ("", "a@b", 9)),
            ("A <a", "C <c@d> -5 +0000", ("A", "a", 0)),
            ("", "C <c@d> 99999999999999999999 +0000", ("", "", 0)),
        ] {
            let commit = read(&format!("tree 0\nauthor {author}\ncommitter {committer}\n"), b"m");
            let found = (commit.author_name.as_str(), commit.author_email.as_str(), commit.committed_at);
            assert_eq!(found, expect, "{author} / {committer}");
        }
    }

    #[test]
    fn the_footers_of_a_long_message_are_read() {
        let body = "a line of a squashed list\n".repeat(8 << 10);
        let commit = read("tree 0\n", format!("feat: a\n\n{body}\nBREAKING CHANGE: everything\n").as_bytes());
        assert!(commit.message.len() <= MESSAGE && commit.message.starts_with("feat: a\n\na line"));
        assert!(commit.message.ends_with("list\n\nBREAKING CHANGE: everything"));
        let mut written = Vec::new();
        let text = format!("tree 0\n\nfeat: {}", "é".repeat(MESSAGE));
        Headers::parse(text.as_bytes()).write(&mut written);
        let mut again = Vec::new();
        Headers::parse(&written).write(&mut again);
        assert_eq!(written, again);
    }

    #[test]
    fn messages_are_decoded_by_their_encoding() {
        for (encoding, message, expect) in [
            ("", "feat: caf\u{e9}\n\n".as_bytes(), "feat: caf\u{e9}"),
            ("", b"feat: caf\xe9", "feat: caf\u{fffd}"),
            ("encoding ISO-8859-1\n", b"feat: caf\xe9 \x80", "feat: caf\u{e9} \u{80}"),
            ("encoding latin1\n", b"caf\xe9", "caf\u{e9}"),
            ("encoding windows-1252\n", b"\x80", "\u{20ac}"),
            ("encoding Shift_JIS\n", b"\x83\x65", "\u{30c6}"),
            ("encoding nonsense\n", b"caf\xe9", "caf\u{fffd}"),
            ("", b"one\0two", "one"),
            ("gpgsig -----BEGIN\n more\n\n", b"m", "m"),
        ] {
            let found = read(&format!("author A <a> 1 +0\n{encoding}"), message).message;
            assert_eq!(found.trim_start_matches('\n'), expect, "{encoding}");
        }
    }

    #[test]
    fn a_commit_written_again_is_the_same() {
        let id = ObjectId::null(gix::hash::Kind::Sha1);
        let tree = "1".repeat(40);
        for (headers, message) in [
            (
                format!(
                    "tree {tree}\nparent {tree}\nparent {tree}\nauthor A <a> 1 +0\ncommitter C <c> 2 +0\n"
                ),
                "m".to_owned(),
            ),
            ("author A <a> 1 +0\nencoding latin1\ngpgsig x\n y\n".to_owned(), String::new()),
            (String::new(), "\u{20ac}".repeat(MESSAGE)),
        ] {
            let text = format!("{headers}\n{message}");
            let one = Headers::parse(text.as_bytes());
            let mut again = Vec::new();
            one.write(&mut again);
            let other = Headers::parse(&again);
            assert_eq!(
                (one.tree, &one.parents, one.commit(id)),
                (other.tree, &other.parents, other.commit(id))
            );
        }
    }

    #[test]
    fn a_huge_message_is_cut_between_characters() {
        let message = "\u{20ac}".repeat(5 << 20);
        let found = read("author A <a> 1 +0\n", message.as_bytes()).message;
        assert!((MESSAGE - 8..=MESSAGE).contains(&found.len()), "{}", found.len());
        assert!(found.chars().all(|character| character == '\u{20ac}' || character == '\n'));
    }
}
