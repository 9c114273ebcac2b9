//! JSON holders: package.json and its lock file.

use jsonc_parser::ast::{Object, ObjectProp, Value};
use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

use super::{HolderError, line_of};
use crate::diagnostic::{Span, line_and_column};
use crate::text::sanitize_line;

pub(super) fn package(source: &str) -> Result<Vec<Span>, HolderError> {
    with_root(source, |root| Ok(vec![version_of(source, root, "package.json", "at its top level")?]))
}

pub(super) fn package_lock(source: &str) -> Result<Vec<Span>, HolderError> {
    with_root(source, |root| {
        let mut spans = vec![version_of(source, root, "package-lock.json", "at its top level")?];
        // The first lock file format has no `packages`.
        if let Some(Value::Object(packages)) = member(source, root, "packages")?.map(|found| &found.value)
            && let Some(Value::Object(own)) = member(source, packages, "")?.map(|found| &found.value)
        {
            spans.push(version_of(source, own, "package-lock.json", "in its root package")?);
        }
        Ok(spans)
    })
}

fn with_root(
    source: &str,
    find: impl FnOnce(&Object<'_>) -> Result<Vec<Span>, HolderError>,
) -> Result<Vec<Span>, HolderError> {
    let strict = ParseOptions {
        allow_comments: false,
        allow_loose_object_property_names: false,
        allow_trailing_commas: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    };
    let syntax = |offset: usize, problem: String| {
        let (line, column) = line_and_column(source, offset);
        HolderError::Syntax { format: "JSON", line, column, problem }
    };
    let parsed = parse_to_ast(source, &CollectOptions::default(), &strict)
        .map_err(|error| syntax(error.range().start, sanitize_line(&error.kind().to_string())))?;
    match &parsed.value {
        Some(Value::Object(root)) => find(root),
        _ => Err(syntax(0, "an object is expected".to_owned())),
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
