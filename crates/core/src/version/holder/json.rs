//! JSON holders: package.json and its lock file, and others that state it at their top.

use jsonc_parser::ast::{Object, ObjectProp, Value};
use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

use super::tree::{Leaf, Tree};
use super::{HolderError, Place, Spelling, line_of};
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

/// What is required of `packages` in exactly the version that stands at `version`, its operator kept.
fn requirements(
    source: &str,
    object: &Object<'_>,
    packages: &[String],
    version: Span,
    spans: &mut Vec<Span>,
) -> Result<(), HolderError> {
    let Ok(current) = Version::parse(&source[version.start..version.end]) else { return Ok(()) };
    for field in DEPENDENCIES {
        let Some(Value::Object(dependencies)) = member(source, object, field)?.map(|found| &found.value)
        else {
            continue;
        };
        for dependency in &dependencies.properties {
            let Value::StringLit(text) = &dependency.value else { continue };
            if !packages.iter().any(|package| package == dependency.name.as_str()) {
                continue;
            }
            let bare = text.value.strip_prefix("workspace:").unwrap_or(&text.value);
            let bare = bare.trim_start_matches(['=', '^', '~']);
            if Version::parse(bare).is_ok_and(|required| required == current) {
                let end = text.range.end - 1;
                spans.push(Span::new(end - bare.len(), end));
            }
        }
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
