//! What JSON, TOML, YAML and XML documents have in common: names, lists and texts, with their bytes.

use super::{HolderError, line_of};
use crate::diagnostic::Span;
use crate::version::shown;

/// A part of a document.
#[derive(Debug)]
pub(super) enum Tree {
    /// Named parts in the order of the source; a name may come twice.
    Map(Vec<(String, Tree)>),
    /// Parts without names.
    List(Vec<Tree>),
    /// A value.
    Leaf(Leaf),
}

/// A value.
#[derive(Debug)]
pub(super) struct Leaf {
    /// Where it begins.
    pub start: usize,
    /// Its bytes without quotes, or why they are not what the value is.
    pub inner: Result<Span, &'static str>,
}

impl Leaf {
    /// The bytes to splice.
    pub fn span(&self, source: &str) -> Result<Span, HolderError> {
        self.inner.map_err(|problem| HolderError::Unsupported {
            line: line_of(source, self.start),
            problem: problem.to_owned(),
        })
    }

    /// The value, where it stands in the source as it is.
    pub fn text<'a>(&self, source: &'a str) -> Option<&'a str> {
        self.inner.ok().and_then(|span| source.get(span.start..span.end))
    }
}

impl Tree {
    /// The parts called `name`.
    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a Tree> {
        let entries = if let Self::Map(entries) = self { entries.as_slice() } else { &[] };
        entries.iter().filter(move |(key, _)| key.as_str() == name).map(|(_, part)| part)
    }

    /// The part called `name`.
    ///
    /// # Errors
    /// When there are two: readers differ on which one counts.
    pub fn get(&self, source: &str, name: &str) -> Result<Option<&Tree>, HolderError> {
        let found: Vec<&Tree> = self.all(name).take(11).collect();
        if found.len() > 1 {
            return Err(several(source, name, &found));
        }
        Ok(found.first().copied())
    }

    /// As [`Tree::get`], one name after the other.
    pub fn at(&self, source: &str, names: &[&str]) -> Result<Option<&Tree>, HolderError> {
        let mut tree = self;
        for name in names {
            match tree.get(source, name)? {
                Some(part) => tree = part,
                None => return Ok(None),
            }
        }
        Ok(Some(tree))
    }

    /// The value this is, an element's text included.
    pub fn leaf(&self) -> Option<&Leaf> {
        match self {
            Self::Leaf(leaf) => Some(leaf),
            Self::Map(_) => match self.all(TEXT).next() {
                Some(Self::Leaf(leaf)) => Some(leaf),
                _ => None,
            },
            Self::List(_) => None,
        }
    }

    /// The value's text, where there is one.
    pub fn text<'a>(&self, source: &'a str) -> Option<&'a str> {
        self.leaf()?.text(source)
    }

    /// Its first byte, as far as it is known.
    pub fn start(&self) -> usize {
        let mut tree = self;
        loop {
            tree = match tree {
                Self::Leaf(leaf) => return leaf.start,
                Self::Map(entries) => match entries.first() {
                    Some((_, first)) => first,
                    None => return 0,
                },
                Self::List(items) => match items.first() {
                    Some(first) => first,
                    None => return 0,
                },
            };
        }
    }
}

/// The name of an XML element's own text among its parts.
pub(super) const TEXT: &str = "#text";

/// Refuses what is there more than once.
pub(super) fn several(source: &str, what: &str, found: &[&Tree]) -> HolderError {
    let lines: Vec<String> =
        found.iter().take(10).map(|tree| line_of(source, tree.start()).to_string()).collect();
    HolderError::Several { what: format!("`{}`", shown(what)), found: found.len(), lines: lines.join(", ") }
}
