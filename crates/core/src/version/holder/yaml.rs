//! YAML holders: Chart.yaml, pubspec.yaml, and images that compose files and manifests name.

use granit_parser::{Event, Parser, ScalarStyle};

use super::tree::{Leaf, Tree, several};
use super::{HolderError, Place, Spelling};
use crate::diagnostic::{Span, line_and_column};
use crate::text::sanitize_line;

/// Deeper documents are refused.
const DEEPEST: usize = 128;

/// `packages` of a pnpm-workspace.yaml: folders, maybe with `*`; with `!` before it one that is left out.
///
/// # Errors
/// When it is no YAML.
pub fn pnpm_workspace(source: &str) -> Result<Vec<String>, HolderError> {
    let source = source.strip_prefix('\u{feff}').unwrap_or(source);
    if source.len() > super::LARGEST {
        return Err(HolderError::TooLarge { size: source.len() });
    }
    let mut patterns = Vec::new();
    for document in documents(source)? {
        if let Some(Tree::List(items)) = document.get(source, "packages")? {
            patterns.extend(items.iter().filter_map(|item| item.text(source)).map(str::to_owned));
        }
    }
    Ok(patterns)
}

/// `version`, and `appVersion` where it says the same.
pub(super) fn chart(source: &str) -> Result<Vec<Place>, HolderError> {
    let document = single(source)?;
    let version = required(source, &document, "Chart.yaml")?;
    let mut places = vec![place(version)];
    if let Some(app) = document.get(source, "appVersion")?.and_then(Tree::leaf)
        && let Ok(span) = app.span(source)
        && super::says_same(source, version, span)
    {
        places.push(place(span));
    }
    Ok(places)
}

/// `version` without the build number that stores count by.
pub(super) fn pubspec(source: &str) -> Result<Vec<Place>, HolderError> {
    let document = single(source)?;
    let span = required(source, &document, "pubspec.yaml")?;
    let text = &source[span.start..span.end];
    let end = text.find('+').map_or(span.end, |plus| span.start + plus);
    Ok(vec![place(Span::new(span.start, end))])
}

/// The tags of `image`: in `IMAGE:TAG`, and as `tag` or `newTag` beside its `repository` or `name`.
pub(super) fn images(source: &str, image: &str) -> Result<Vec<Span>, HolderError> {
    let mut spans = Vec::new();
    for document in documents(source)? {
        image_tags(source, &document, image, &mut spans)?;
    }
    Ok(spans)
}

fn image_tags(source: &str, tree: &Tree, image: &str, spans: &mut Vec<Span>) -> Result<(), HolderError> {
    match tree {
        Tree::Leaf(leaf) => {
            if let Some(text) = leaf.text(source)
                && let Some(tag) = text.strip_prefix(image).and_then(|rest| rest.strip_prefix(':'))
            {
                let end = leaf.span(source)?.end;
                spans.push(super::text::image_tag(source, end - tag.len(), tag)?);
            }
        }
        Tree::List(items) => {
            for item in items {
                image_tags(source, item, image, spans)?;
            }
        }
        Tree::Map(entries) => {
            let named = ["repository", "name", "newName", "image"]
                .iter()
                .any(|key| tree.all(key).any(|part| part.text(source) == Some(image)));
            for (key, part) in entries {
                match part.leaf() {
                    Some(leaf) if named && (key == "tag" || key == "newTag") => {
                        let span = leaf.span(source)?;
                        spans.push(super::text::image_tag(
                            source,
                            span.start,
                            &source[span.start..span.end],
                        )?);
                    }
                    _ => image_tags(source, part, image, spans)?,
                }
            }
        }
    }
    Ok(())
}

fn place(span: Span) -> Place {
    Place { span, spelling: Spelling::SemVer }
}

fn required(source: &str, document: &Tree, file: &str) -> Result<Span, HolderError> {
    let missing = || HolderError::Missing {
        expected: format!("{file} has no `version` at its top level"),
        help: "add `version: 0.1.0`".to_owned(),
    };
    let version = document.get(source, "version")?.ok_or_else(missing)?;
    version.leaf().ok_or_else(missing)?.span(source)
}

fn single(source: &str) -> Result<Tree, HolderError> {
    let mut documents = documents(source)?;
    match (documents.pop(), documents.as_slice()) {
        (Some(only), []) => Ok(only),
        (None, _) => Ok(Tree::Map(Vec::new())),
        (Some(last), [.., before]) => Err(several(source, "a document", &[before, &last])),
    }
}

/// A collection that is not closed yet.
enum Open {
    Map { entries: Vec<(String, Tree)>, key: Option<String> },
    List(Vec<Tree>),
}

/// The documents of a YAML stream.
pub(super) fn documents(source: &str) -> Result<Vec<Tree>, HolderError> {
    let mut documents = Vec::new();
    let mut open: Vec<Open> = Vec::new();
    let refuse = |offset: usize, problem: &str| {
        let (line, column) = line_and_column(source, offset);
        HolderError::Syntax { format: "YAML", line, column, problem: sanitize_line(problem) }
    };
    let mut parser = Parser::new_from_str(source);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| {
            let marker = error.marker();
            let offset = marker.byte_offset().unwrap_or(0);
            let problem = error.to_string();
            // The parser names the place again, in its own way.
            refuse(offset, problem.split(" at char ").next().unwrap_or(&problem))
        })?;
        let range = span.byte_range().unwrap_or(0..0);
        let start = range.start;
        let done = match event {
            Event::Scalar(value, style, ..) => {
                Some((leaf(source, range, &value, style), Some(value.into_owned())))
            }
            Event::Alias(_) => Some((
                Tree::Leaf(Leaf { start, inner: Err("the version is an alias of another place") }),
                None,
            )),
            Event::MappingStart(..) => {
                open.push(Open::Map { entries: Vec::new(), key: None });
                None
            }
            Event::SequenceStart(..) => {
                open.push(Open::List(Vec::new()));
                None
            }
            Event::MappingEnd | Event::SequenceEnd => open.pop().map(|closed| match closed {
                Open::Map { entries, .. } => (Tree::Map(entries), None),
                Open::List(items) => (Tree::List(items), None),
            }),
            _ => None,
        };
        if open.len() > DEEPEST {
            return Err(refuse(start, "it is nested too deeply"));
        }
        let Some((tree, text)) = done else { continue };
        match open.last_mut() {
            None => documents.push(tree),
            Some(Open::List(items)) => items.push(tree),
            Some(Open::Map { entries, key }) => match key.take() {
                // A key that is no text leads nowhere.
                None => *key = Some(text.unwrap_or_default()),
                Some(name) => entries.push((name, tree)),
            },
        }
    }
    Ok(documents)
}

fn leaf(source: &str, range: std::ops::Range<usize>, value: &str, style: ScalarStyle) -> Tree {
    let raw = source.get(range.clone()).unwrap_or("");
    let trimmed = raw.trim_end();
    let width = match style {
        ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => 1,
        _ => 0,
    };
    let inner = match trimmed.len().checked_sub(width).and_then(|end| trimmed.get(width..end)) {
        Some(text) if text == value => Ok(Span::new(range.start + width, range.start + width + text.len())),
        _ => Err("the version is written with escapes or over several lines"),
    };
    Tree::Leaf(Leaf { start: range.start, inner })
}
