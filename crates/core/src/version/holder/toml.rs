//! TOML documents: their values' bytes.

use std::ops::Range;
use toml_edit::{Document, Item, Value};

use super::tree::{Leaf, Tree};
use super::{HolderError, line_of};
use crate::diagnostic::{Span, line_and_column};
use crate::text::sanitize_line;

/// A TOML document as a tree.
pub(super) fn tree(source: &str) -> Result<Tree, HolderError> {
    let document = parse(source)?;
    Ok(part(source, document.as_item()))
}

fn part(source: &str, item: &Item) -> Tree {
    if let Some(table) = item.as_table_like() {
        return Tree::Map(table.iter().map(|(key, item)| (key.to_owned(), part(source, item))).collect());
    }
    if let Some(tables) = item.as_array_of_tables() {
        let entry = |table: &toml_edit::Table| {
            Tree::Map(table.iter().map(|(key, item)| (key.to_owned(), part(source, item))).collect())
        };
        return Tree::List(tables.iter().map(entry).collect());
    }
    match item.as_value() {
        Some(value) => value_part(source, value),
        None => Tree::List(Vec::new()),
    }
}

fn value_part(source: &str, value: &Value) -> Tree {
    match value {
        Value::Array(array) => Tree::List(array.iter().map(|value| value_part(source, value)).collect()),
        Value::InlineTable(table) => {
            Tree::Map(table.iter().map(|(key, value)| (key.to_owned(), value_part(source, value))).collect())
        }
        _ => {
            let range = value.span().unwrap_or(0..0);
            Tree::Leaf(Leaf { start: range.start, inner: inner(source, range, value.as_str()) })
        }
    }
}

pub(super) fn parse(source: &str) -> Result<Document<&str>, HolderError> {
    Document::parse(source).map_err(|error| {
        let (line, column) = line_and_column(source, error.span().map_or(0, |span| span.start));
        HolderError::Syntax { format: "TOML", line, column, problem: sanitize_line(error.message()) }
    })
}

pub(super) fn at<'a>(root: &'a Item, path: &[&str]) -> Option<&'a Item> {
    path.iter().try_fold(root, |item, key| item.as_table_like()?.get(key))
}

pub(super) fn string(source: &str, item: &Item) -> Result<Span, HolderError> {
    unquoted(source, item.span(), item.as_str())
}

/// The bytes between the quotes, when they are the value as it stands.
pub(super) fn unquoted(
    source: &str,
    range: Option<Range<usize>>,
    value: Option<&str>,
) -> Result<Span, HolderError> {
    let range = range.unwrap_or(0..0);
    let start = range.start;
    inner(source, range, value).map_err(|problem| HolderError::Unsupported {
        line: line_of(source, start),
        problem: problem.to_owned(),
    })
}

fn inner(source: &str, range: Range<usize>, value: Option<&str>) -> Result<Span, &'static str> {
    let value = value.ok_or("the version is not a string")?;
    let raw = source.get(range.clone()).unwrap_or("");
    let quotes = ["\"\"\"", "'''", "\"", "'"]
        .into_iter()
        .find(|quotes| raw.len() >= 2 * quotes.len() && raw.starts_with(quotes) && raw.ends_with(quotes));
    let width = quotes.map_or(0, str::len);
    if width == 0 || raw[width..raw.len() - width] != *value {
        return Err("the version is written with escapes");
    }
    Ok(Span::new(range.start + width, range.end - width))
}
