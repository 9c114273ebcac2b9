//! JSON holders: package.json and its lock file, and others that state it at their top.

use jsonc_parser::ast::{Object, ObjectProp, Value};
use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

use super::tree::{Leaf, Tree};
use super::{HolderError, Place, Spelling, Unmet, line_of};
use crate::diagnostic::{Span, line_and_column};
use crate::text::sanitize_line;
use crate::version::Version;

/// The fields of a package.json that name packages with versions.
const DEPENDENCIES: [&str; 4] =
    ["dependencies", "devDependencies", "peerDependencies", "optionalDependencies"];

/// The `name` of a package.json and its like.
///
/// # Errors
/// When it is no JSON.
pub fn json_package_name(source: &str) -> Result<Option<String>, HolderError> {
    let source = source.strip_prefix('\u{feff}').unwrap_or(source);
    with_root(source, false, |root| {
        Ok(match member(source, root, "name")?.map(|name| &name.value) {
            Some(Value::StringLit(name)) => Some(name.value.to_string()),
            _ => None,
        })
    })
}

/// What a package.json says about packages, for finding those that share a version.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NpmManifest {
    /// `name`.
    pub name: Option<String>,
    /// `version`.
    pub version: Option<String>,
    /// `workspaces`, also under `packages`: folders, maybe with `*`; with `!` before it one that is left out.
    pub workspaces: Vec<String>,
    /// `packages` of a lerna.json, in the same form.
    pub packages: Vec<String>,
}

/// Reads what a package.json, or a lerna.json, says about packages.
///
/// # Errors
/// When it is no JSON.
pub fn npm_manifest(source: &str) -> Result<NpmManifest, HolderError> {
    let source = source.strip_prefix('\u{feff}').unwrap_or(source);
    if source.len() > super::LARGEST {
        return Err(HolderError::TooLarge { size: source.len() });
    }
    with_root(source, false, |root| {
        let text = |name| {
            Ok(match member(source, root, name)?.map(|found| &found.value) {
                Some(Value::StringLit(text)) => Some(text.value.to_string()),
                _ => None,
            })
        };
        let listed = match member(source, root, "workspaces")?.map(|found| &found.value) {
            Some(Value::Object(object)) => member(source, object, "packages")?.map(|found| &found.value),
            other => other,
        };
        let packages = member(source, root, "packages")?.map(|found| &found.value);
        let (workspaces, packages) = (texts(listed), texts(packages));
        Ok(NpmManifest { name: text("name")?, version: text("version")?, workspaces, packages })
    })
}

/// The texts of a list; none where it is none.
fn texts(list: Option<&Value<'_>>) -> Vec<String> {
    let elements = if let Some(Value::Array(array)) = list { array.elements.as_slice() } else { &[] };
    let texts = elements.iter().filter_map(|element| match element {
        Value::StringLit(text) => Some(text.value.to_string()),
        _ => None,
    });
    texts.collect()
}

/// The version that a lerna.json gives all its packages. Where it says `independent`, each has its own.
pub(super) fn lerna(source: &str) -> Result<Vec<Place>, HolderError> {
    if npm_manifest(source)?.version.as_deref() == Some("independent") {
        return Err(HolderError::Missing {
            expected: "lerna.json says that each package has a version of its own".to_owned(),
            help: "list them as packages".to_owned(),
        });
    }
    top(source, false, "lerna.json")
}

/// The top-level `version`.
pub(super) fn top(source: &str, comments: bool, file: &str) -> Result<Vec<Place>, HolderError> {
    with_root(source, comments, |root| Ok(vec![place(version_of(source, root, file, "at its top level")?)]))
}

/// The top-level `version` of a package.json, and what it requires of packages of the same version.
pub(super) fn package(source: &str, packages: &[String]) -> Result<Vec<Place>, HolderError> {
    with_root(source, false, |root| {
        let version = version_of(source, root, "package.json", "at its top level")?;
        let mut spans = vec![version];
        requirements(source, root, packages, version, &mut spans)?;
        Ok(spans.into_iter().map(place).collect())
    })
}

/// The version of a tauri.conf.json: at its top, or under `package` as Tauri 1 has it.
pub(super) fn tauri(source: &str) -> Result<Vec<Place>, HolderError> {
    with_root(source, true, |root| {
        let object = match member(source, root, "version")? {
            Some(_) => root,
            None => match member(source, root, "package")?.map(|found| &found.value) {
                Some(Value::Object(package)) => package,
                _ => root,
            },
        };
        let span = version_of(source, object, "tauri.conf.json", "at its top level or under `package`")?;
        if source[span.start..span.end].contains(['/', '\\'])
            || source[span.start..span.end].ends_with(".json")
        {
            return Err(HolderError::Dynamic {
                line: line_of(source, span.start),
                help: "it is read from the file named there: name that file as the holder".to_owned(),
            });
        }
        Ok(vec![place(span)])
    })
}

/// The top-level `version`, that of the root package, and those of packages beside it that share it.
pub(super) fn package_lock(source: &str, packages: &[String]) -> Result<Vec<Place>, HolderError> {
    with_root(source, false, |root| {
        // The lock of a whole workspace states the versions of packages that have their own.
        let is_ours = match member(source, root, "name")?.map(|name| &name.value) {
            Some(Value::StringLit(name)) => {
                packages.is_empty() || packages.iter().any(|own| *own == name.value)
            }
            _ => true,
        };
        let top = match is_ours {
            true => Some(version_of(source, root, "package-lock.json", "at its top level")?),
            false => None,
        };
        let mut spans: Vec<Span> = top.into_iter().collect();
        // The first lock file format has no `packages`.
        if let Some(Value::Object(entries)) = member(source, root, "packages")?.map(|found| &found.value) {
            if let (Some(version), Some(Value::Object(own))) =
                (top, member(source, entries, "")?.map(|found| &found.value))
            {
                spans.push(version_of(source, own, "package-lock.json", "in its root package")?);
                requirements(source, own, packages, version, &mut spans)?;
            }
            for entry in &entries.properties {
                let folder = entry.name.as_str();
                let Value::Object(object) = &entry.value else { continue };
                if folder.is_empty()
                    || packages.is_empty()
                    || folder.split('/').any(|part| part == "node_modules")
                {
                    continue;
                }
                let name = match member(source, object, "name")?.map(|name| &name.value) {
                    Some(Value::StringLit(name)) => name.value.to_string(),
                    _ => folder_name(folder),
                };
                if packages.contains(&name) && member(source, object, "version")?.is_some() {
                    let version = version_of(source, object, "package-lock.json", "in a package")?;
                    spans.push(version);
                    requirements(source, object, packages, version, &mut spans)?;
                }
            }
        }
        if spans.is_empty() {
            return Err(HolderError::Missing {
                expected: "package-lock.json has no package of this name that states its version".to_owned(),
                help: "run `npm install` if the file is old".to_owned(),
            });
        }
        Ok(spans.into_iter().map(place).collect())
    })
}

/// The name npm gives a package that has none: its folder's, with the scope's folder before it.
fn folder_name(folder: &str) -> String {
    let mut parts = folder.rsplit('/');
    let last = parts.next().unwrap_or(folder);
    match parts.next().filter(|scope| scope.starts_with('@')) {
        Some(scope) => format!("{scope}/{last}"),
        None => last.to_owned(),
    }
}

/// What a package.json requires of `packages`, and not its own version: the highest that is stated whole.
pub(super) fn required(source: &str, packages: &[String]) -> Result<Vec<Place>, HolderError> {
    with_root(source, false, |root| {
        let required = demands(source, root, packages)?;
        let stated: Vec<(Span, Version)> =
            required.iter().filter_map(|demand| demand.stated(source)).collect();
        let highest = stated.iter().map(|(_, version)| version).max();
        let places = stated.iter().filter(|(_, version)| Some(version) == highest);
        let places: Vec<Place> = places.map(|(span, _)| place(*span)).collect();
        if places.is_empty() {
            return Err(HolderError::Missing {
                expected: "package.json requires none of these packages in a whole version".to_owned(),
                help: "state it such as `^1.2.3`".to_owned(),
            });
        }
        Ok(places)
    })
}

/// The requirements on `packages` that do not admit `version`.
pub(super) fn unmet(source: &str, packages: &[String], version: &Version) -> Result<Vec<Unmet>, HolderError> {
    with_root(source, false, |root| {
        let demands = demands(source, root, packages)?;
        let unmet = demands.into_iter().filter(|demand| admits(demand.range(), version) == Some(false));
        Ok(unmet
            .map(|demand| Unmet {
                line: line_of(source, demand.end),
                text: demand.range().to_owned(),
                is_whole: demand.stated(source).is_some(),
                package: demand.package,
            })
            .collect())
    })
}

/// Whether a range of npm admits a version; nothing where it is none, such as a tag or an address.
fn admits(range: &str, version: &Version) -> Option<bool> {
    let mut any = false;
    for part in range.split("||") {
        any |= comparators(part.trim())?.matches(version);
    }
    Some(any)
}

/// One alternative of a range, as Cargo would write it.
fn comparators(range: &str) -> Option<semver::VersionReq> {
    if range.is_empty() {
        return Some(semver::VersionReq::STAR);
    }
    let bare = |text: &str| match text.starts_with(|first: char| first.is_ascii_digit()) {
        // A number alone is that version here, and every compatible one for Cargo.
        true => format!("={text}"),
        false => text.to_owned(),
    };
    let text = match range.split_once(" - ") {
        Some((low, high)) => format!(">={}, <={}", low.trim(), high.trim()),
        None => {
            let mut parts: Vec<String> = Vec::new();
            for part in range.split_whitespace() {
                match parts.last_mut().filter(|last| last.ends_with(['<', '>', '=', '^', '~'])) {
                    Some(operator) => operator.push_str(part),
                    None => parts.push(bare(part)),
                }
            }
            parts.join(", ")
        }
    };
    semver::VersionReq::parse(&text.replace(['v', 'V'], "")).ok()
}

/// What a dependency demands of a package's version.
struct Demand<'a> {
    package: String,
    text: &'a str,
    /// Where it ends, before the quote.
    end: usize,
}

impl Demand<'_> {
    /// Without `workspace:`.
    fn range(&self) -> &str {
        self.text.strip_prefix("workspace:").unwrap_or(self.text)
    }

    /// The version it states whole behind an operator that stays, and where.
    fn stated(&self, source: &str) -> Option<(Span, Version)> {
        let bare = self.range().trim_start_matches(['=', '^', '~']);
        let span = Span::new(self.end.checked_sub(bare.len())?, self.end);
        let version = Version::parse(source.get(span.start..span.end)?).ok()?;
        Some((span, version))
    }
}

fn demands<'a>(
    source: &'a str,
    object: &Object<'_>,
    packages: &[String],
) -> Result<Vec<Demand<'a>>, HolderError> {
    let mut found = Vec::new();
    for field in DEPENDENCIES {
        let Some(Value::Object(dependencies)) = member(source, object, field)?.map(|found| &found.value)
        else {
            continue;
        };
        for dependency in &dependencies.properties {
            let package = dependency.name.as_str();
            let Value::StringLit(text) = &dependency.value else { continue };
            let (start, end) = (text.range.start + 1, text.range.end - 1);
            // One that is written with escapes is nobody's plain range.
            let plain = source.get(start..end).filter(|plain| *plain == text.value);
            if let Some(text) = plain.filter(|_| packages.iter().any(|own| own == package)) {
                found.push(Demand { package: package.to_owned(), text, end });
            }
        }
    }
    Ok(found)
}

/// What is required of `packages` in exactly the version that stands at `version`, its operator kept.
fn requirements(
    source: &str,
    object: &Object<'_>,
    packages: &[String],
    version: Span,
    spans: &mut Vec<Span>,
) -> Result<(), HolderError> {
    let Ok(current) = Version::parse(&source[version.start..version.end]) else { return Ok(()) };
    for demand in demands(source, object, packages)? {
        spans
            .extend(demand.stated(source).filter(|(_, required)| *required == current).map(|(span, _)| span));
    }
    Ok(())
}

fn place(span: Span) -> Place {
    Place { span, spelling: Spelling::SemVer }
}

/// A JSON document as a tree.
pub(super) fn tree(source: &str, comments: bool) -> Result<Tree, HolderError> {
    match parsed(source, comments)?.value {
        Some(value) => Ok(part(source, &value)),
        None => Ok(Tree::Map(Vec::new())),
    }
}

fn part(source: &str, value: &Value<'_>) -> Tree {
    match value {
        Value::Object(object) => Tree::Map(
            object
                .properties
                .iter()
                .map(|property| (property.name.as_str().to_owned(), part(source, &property.value)))
                .collect(),
        ),
        Value::Array(array) => Tree::List(array.elements.iter().map(|value| part(source, value)).collect()),
        other => {
            let range = other.range();
            let inner = match other {
                Value::StringLit(text)
                    if source.get(range.start + 1..range.end - 1) == Some(text.value.as_ref()) =>
                {
                    Ok(Span::new(range.start + 1, range.end - 1))
                }
                Value::StringLit(_) => Err("the version is written with escapes"),
                _ => Err("the version is not a string"),
            };
            Tree::Leaf(Leaf { start: range.start, inner })
        }
    }
}

fn parsed(source: &str, comments: bool) -> Result<jsonc_parser::ParseResult<'_>, HolderError> {
    let options = ParseOptions {
        allow_comments: comments,
        allow_loose_object_property_names: false,
        allow_trailing_commas: comments,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    };
    parse_to_ast(source, &CollectOptions::default(), &options)
        .map_err(|error| syntax(source, error.range().start, sanitize_line(&error.kind().to_string())))
}

fn syntax(source: &str, offset: usize, problem: String) -> HolderError {
    let (line, column) = line_and_column(source, offset);
    HolderError::Syntax { format: "JSON", line, column, problem }
}

fn with_root<T>(
    source: &str,
    comments: bool,
    find: impl FnOnce(&Object<'_>) -> Result<T, HolderError>,
) -> Result<T, HolderError> {
    match &parsed(source, comments)?.value {
        Some(Value::Object(root)) => find(root),
        _ => Err(syntax(source, 0, "an object is expected".to_owned())),
    }
}

/// The member `name`; two of the same name are refused, because readers differ on which one counts.
fn member<'a, 'b>(
    source: &str,
    object: &'b Object<'a>,
    name: &str,
) -> Result<Option<&'b ObjectProp<'a>>, HolderError> {
    let mut found = object.properties.iter().filter(|property| property.name.as_str() == name);
    let first = found.next();
    match found.next() {
        None => Ok(first),
        Some(second) => Err(HolderError::Unsupported {
            line: line_of(source, second.range().start),
            problem: format!("`{name}` is stated a second time"),
        }),
    }
}

fn version_of(source: &str, object: &Object<'_>, file: &str, place: &str) -> Result<Span, HolderError> {
    let Some(property) = member(source, object, "version")? else {
        return Err(HolderError::Missing {
            expected: format!("{file} has no `version` {place}"),
            help: "add `\"version\": \"0.1.0\"`".to_owned(),
        });
    };
    let range = property.value.range();
    let refuse = |problem: &str| HolderError::Unsupported {
        line: line_of(source, range.start),
        problem: problem.to_owned(),
    };
    let Value::StringLit(text) = &property.value else { return Err(refuse("the version is not a string")) };
    match source.get(range.start + 1..range.end - 1) {
        Some(raw) if raw == text.value => Ok(Span::new(range.start + 1, range.end - 1)),
        _ => Err(refuse("the version is written with escapes")),
    }
}
