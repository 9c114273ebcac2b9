//! Cargo's holders: Cargo.toml and Cargo.lock.

use std::collections::{HashMap, HashSet};

use toml_edit::{Item, TableLike};

use super::toml::{at, parse, string, unquoted};
use super::{HolderError, Place, Spelling, Unmet, line_of};
use crate::diagnostic::Span;
use crate::text::sanitize_line;
use crate::version::Version;

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

/// `[package] version`, else `[workspace.package] version`, and the requirements on packages of the same version that
/// state it whole. Without `own` these alone.
pub(super) fn manifest(source: &str, packages: &[String], own: bool) -> Result<Vec<Place>, HolderError> {
    let document = parse(source)?;
    let root = document.as_item();
    let stated = || match at(root, &["package", "version"]).filter(|_| !inherits(root)) {
        Some(item) => Some(item),
        None => at(root, &["workspace", "package", "version"]),
    };
    let own = own.then(stated).flatten().map(|item| string(source, item)).transpose()?;
    let requirements = requirements(source, root, packages)?;
    let whole = |requirement: &Requirement| {
        let (text, span) = (&source[requirement.span.start..requirement.span.end], requirement.span);
        let operator = text.len() - text.trim_start_matches(['=', '^', '~', ' ']).len();
        let span = Span::new(span.start + operator, span.end);
        Version::parse(&source[span.start..span.end]).ok().map(|version| (span, version))
    };
    let stated: Vec<(Span, Version)> = requirements.iter().filter_map(whole).collect();
    // A manifest that inherits the version may still require the packages beside it in that version.
    let current = match own {
        Some(span) => Version::parse(&source[span.start..span.end]).ok(),
        None => stated.iter().map(|(_, version)| version.clone()).max(),
    };
    let mut places: Vec<Span> = own.into_iter().collect();
    places.extend(
        stated.iter().filter(|(_, version)| Some(version) == current.as_ref()).map(|(span, _)| *span),
    );
    if !places.is_empty() {
        return Ok(places.into_iter().map(|span| Place { span, spelling: Spelling::SemVer }).collect());
    }
    let expected = "Cargo.toml has neither `[package] version` nor `[workspace.package] version`".to_owned();
    let help = if inherits(root) {
        "this package inherits it, so name the workspace's Cargo.toml as the holder"
    } else {
        "add `version = \"0.1.0\"` under [package]"
    };
    Err(HolderError::Missing { expected, help: help.to_owned() })
}

/// The requirements on `packages` that do not admit `version`: Cargo would not build it.
pub(super) fn unmet(source: &str, packages: &[String], version: &Version) -> Result<Vec<Unmet>, HolderError> {
    let document = parse(source)?;
    let mut unmet = Vec::new();
    for requirement in requirements(source, document.as_item(), packages)? {
        let text = &source[requirement.span.start..requirement.span.end];
        if !semver::VersionReq::parse(text).is_ok_and(|range| range.matches(version)) {
            unmet.push(Unmet {
                line: line_of(source, requirement.span.start),
                text: text.to_owned(),
                is_whole: Version::parse(text.trim_start_matches(['=', '^', '~', ' '])).is_ok(),
                package: requirement.package,
            });
        }
    }
    Ok(unmet)
}

/// What a dependency in a folder demands of its version.
struct Requirement {
    package: String,
    span: Span,
}

fn requirements(source: &str, root: &Item, packages: &[String]) -> Result<Vec<Requirement>, HolderError> {
    const TABLES: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];
    let mut tables: Vec<&Item> = TABLES.iter().filter_map(|name| at(root, &[name])).collect();
    tables.extend(at(root, &["workspace", "dependencies"]));
    if let Some(targets) = at(root, &["target"]).and_then(Item::as_table_like) {
        for (_, target) in targets.iter() {
            tables.extend(TABLES.iter().filter_map(|name| at(target, &[name])));
        }
    }
    let mut found = Vec::new();
    for (name, item) in tables.into_iter().filter_map(Item::as_table_like).flat_map(|table| table.iter()) {
        let Some(dependency) = item.as_table_like() else { continue };
        let package = dependency.get("package").and_then(Item::as_str).unwrap_or(name);
        let local = dependency.contains_key("path") && packages.iter().any(|own| own == package);
        if let (true, Some(version)) = (local, dependency.get("version")) {
            found.push(Requirement { package: package.to_owned(), span: string(source, version)? });
        }
    }
    Ok(found)
}

/// The entries that come from no registry, and mentions of them with their version.
pub(super) fn lock(source: &str, packages: &[String]) -> Result<Vec<Place>, HolderError> {
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
    let mut mentions: HashMap<String, usize> = HashMap::new();
    let mut found: HashSet<String> = HashSet::new();
    for entry in &entries {
        let (Some(name), Some(version)) = (ours(*entry), entry.get("version")) else { continue };
        spans.push(string(source, version)?);
        mentions.insert(format!("{name} {}", version.as_str().unwrap_or("")), name.len() + 1);
        found.insert(name);
    }
    if let Some(absent) = packages.iter().find(|package| !found.contains(*package)) {
        return Err(missing(format!("Cargo.lock has no local package `{}`", sanitize_line(absent))));
    }
    for entry in &entries {
        let dependencies = entry.get("dependencies").and_then(Item::as_array);
        for dependency in dependencies.into_iter().flatten() {
            let Some(skip) = dependency.as_str().and_then(|mention| mentions.get(mention)) else { continue };
            let whole = unquoted(source, dependency.span(), dependency.as_str())?;
            spans.push(Span::new(whole.start + skip, whole.end));
        }
    }
    Ok(spans.into_iter().map(|span| Place { span, spelling: Spelling::SemVer }).collect())
}

fn inherits(root: &Item) -> bool {
    at(root, &["package", "version", "workspace"]).and_then(Item::as_bool) == Some(true)
}
