//! TOML holders: Cargo.toml, Cargo.lock and pyproject.toml.

use std::ops::Range;
use toml_edit::{Document, Item, TableLike};

use super::super::{Channel, Version};
use super::{HolderError, line_of};
use crate::diagnostic::{Span, line_and_column};
use crate::text::sanitize_line;

/// What a Cargo.toml says about packages, for finding those that share a version.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CargoManifest {
    /// `[package] name`.
    pub package: Option<String>,
    /// `[package] version`, when stated there.
    pub version: Option<String>,
    /// Whether `[package] version.workspace = true`.
    pub inherits_version: bool,
    /// Whether `[workspace.package] version` is stated.
    pub shares_version: bool,
    /// `[workspace] members`: folders, maybe with `*`.
    pub members: Vec<String>,
    /// `[workspace] exclude`.
    pub exclude: Vec<String>,
}

/// Reads what a Cargo.toml says about packages.
pub fn cargo_manifest(source: &str) -> Result<CargoManifest, HolderError> {
    let source = source.strip_prefix('\u{feff}').unwrap_or(source);
    if source.len() > super::LARGEST {
        return Err(HolderError::TooLarge { size: source.len() });
    }
    let document = parse(source)?;
    let root = document.as_item();
    let text = |path: &[&str]| at(root, path).and_then(Item::as_str).map(str::to_owned);
    let list = |path: &[&str]| {
        let array = at(root, path).and_then(Item::as_array);
        array.into_iter().flatten().filter_map(|value| value.as_str().map(str::to_owned)).collect()
    };
    Ok(CargoManifest {
        package: text(&["package", "name"]),
        version: text(&["package", "version"]),
        inherits_version: inherits(root),
        shares_version: text(&["workspace", "package", "version"]).is_some(),
        members: list(&["workspace", "members"]),
        exclude: list(&["workspace", "exclude"]),
    })
}

pub(super) fn cargo_toml(source: &str) -> Result<Vec<Span>, HolderError> {
    let document = parse(source)?;
    let root = document.as_item();
    if let Some(item) = at(root, &["package", "version"]).filter(|_| !inherits(root)) {
        return Ok(vec![string(source, item)?]);
    }
    if let Some(item) = at(root, &["workspace", "package", "version"]) {
        return Ok(vec![string(source, item)?]);
    }
    let expected = "Cargo.toml has neither `[package] version` nor `[workspace.package] version`".to_owned();
    let help = if inherits(root) {
        "this package inherits it, so name the workspace's Cargo.toml as the holder"
    } else {
        "add `version = \"0.1.0\"` under [package]"
    };
    Err(HolderError::Missing { expected, help: help.to_owned() })
}

pub(super) fn cargo_lock(source: &str, packages: &[String]) -> Result<Vec<Span>, HolderError> {
    let document = parse(source)?;
    let missing = |expected: String| HolderError::Missing {
        expected,
        help: "name the workspace's own packages and run `cargo update --workspace` if the lock file is old"
            .to_owned(),
    };
    if packages.is_empty() {
        return Err(missing("no package is named for Cargo.lock".to_owned()));
    }
    let entries: Vec<&dyn TableLike> = match document.get("package") {
        Some(Item::ArrayOfTables(tables)) => tables.iter().map(|table| table as &dyn TableLike).collect(),
        _ => Vec::new(),
    };
    let field = |entry: &dyn TableLike, key: &str| entry.get(key).and_then(Item::as_str).map(str::to_owned);
    let ours = |entry: &dyn TableLike| {
        let name = field(entry, "name").filter(|name| packages.contains(name))?;
        // Entries with a source come from a registry or git, even under the same name.
        entry.get("source").is_none().then_some(name)
    };
    let mut spans = Vec::new();
    // Where a name is ambiguous, dependents say "name version"; from elsewhere they say "name version (source)".
    let mut mentions = Vec::new();
    for entry in &entries {
        let (Some(name), Some(version)) = (ours(*entry), entry.get("version")) else { continue };
        spans.push(string(source, version)?);
        mentions.push((format!("{name} {}", version.as_str().unwrap_or("")), name));
    }
    if let Some(absent) = packages.iter().find(|package| !mentions.iter().any(|(_, name)| name == *package)) {
        return Err(missing(format!("Cargo.lock has no local package `{}`", sanitize_line(absent))));
    }
    for entry in &entries {
        let dependencies = entry.get("dependencies").and_then(Item::as_array);
        for dependency in dependencies.into_iter().flatten() {
            let Some((_, name)) = mentions.iter().find(|(mention, _)| dependency.as_str() == Some(mention))
            else {
                continue;
            };
            let whole = unquoted(source, dependency.span(), dependency.as_str())?;
            spans.push(Span::new(whole.start + name.len() + 1, whole.end));
        }
    }
    Ok(spans)
}

pub(super) fn pyproject(source: &str) -> Result<Vec<Span>, HolderError> {
    let document = parse(source)?;
    let root = document.as_item();
    let project = at(root, &["project", "version"]);
    let poetry = at(root, &["tool", "poetry", "version"]);
    let dynamic = at(root, &["project", "dynamic"]);
    let is_dynamic = dynamic
        .and_then(Item::as_array)
        .is_some_and(|fields| fields.iter().any(|field| field.as_str() == Some("version")));
    match (project, poetry) {
        (Some(item), _) => Ok(vec![string(source, item)?]),
        // Poetry 2 lists `version` as dynamic and keeps it in its own table.
        (None, Some(item)) => Ok(vec![string(source, item)?]),
        (None, None) if is_dynamic => Err(HolderError::Dynamic {
            line: line_of(source, dynamic.and_then(Item::span).map_or(0, |span| span.start)),
            help: "name the file that states it as the holder, or let the tag be its only statement"
                .to_owned(),
        }),
        (None, None) => Err(HolderError::Missing {
            expected: "pyproject.toml has neither `[project] version` nor `[tool.poetry] version`".to_owned(),
            help: "add `version = \"0.1.0\"` under [project]".to_owned(),
        }),
    }
}

/// Python's tools read SemVer suffixes alpha, beta and rc as their own; any other one breaks the build.
pub(super) fn require_python_version(version: &Version) -> Result<(), HolderError> {
    match Channel::of(version) {
        Channel::Alpha | Channel::Beta | Channel::Rc | Channel::Stable => Ok(()),
        _ => Err(HolderError::Unsuitable {
            version: version.clone(),
            format: "pyproject.toml",
            problem:
                "Python knows the suffixes -alpha.N, -beta.N and -rc.N only; choose one of these or none"
                    .to_owned(),
        }),
    }
}

fn parse(source: &str) -> Result<Document<&str>, HolderError> {
    Document::parse(source).map_err(|error| {
        let (line, column) = line_and_column(source, error.span().map_or(0, |span| span.start));
        HolderError::Syntax { format: "TOML", line, column, problem: sanitize_line(error.message()) }
    })
}

fn at<'a>(root: &'a Item, path: &[&str]) -> Option<&'a Item> {
    path.iter().try_fold(root, |item, key| item.as_table_like()?.get(key))
}

fn inherits(root: &Item) -> bool {
    at(root, &["package", "version", "workspace"]).and_then(Item::as_bool) == Some(true)
}

fn string(source: &str, item: &Item) -> Result<Span, HolderError> {
    unquoted(source, item.span(), item.as_str())
}

/// The bytes between the quotes, when they are the value as it stands.
fn unquoted(source: &str, range: Option<Range<usize>>, value: Option<&str>) -> Result<Span, HolderError> {
    let range = range.unwrap_or(0..0);
    let refuse = |problem: &str| HolderError::Unsupported {
        line: line_of(source, range.start),
        problem: problem.to_owned(),
    };
    let value = value.ok_or_else(|| refuse("the version is not a string"))?;
    let raw = source.get(range.clone()).unwrap_or("");
    let quotes = ["\"\"\"", "'''", "\"", "'"]
        .into_iter()
        .find(|quotes| raw.len() >= 2 * quotes.len() && raw.starts_with(quotes) && raw.ends_with(quotes));
    let width = quotes.map_or(0, str::len);
    if width == 0 || raw[width..raw.len() - width] != *value {
        return Err(refuse("the version is written with escapes"));
    }
    Ok(Span::new(range.start + width, range.end - width))
}
