//! The way to a value in a JSON, TOML, YAML, XML or properties file.

use super::tree::{Leaf, Tree, several};
use super::{HolderError, Place, Spelling, json, properties, toml, xml, yaml};
use crate::version::shown;

/// A format that a key leads through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// JSON, comments allowed.
    Json,
    /// TOML.
    Toml,
    /// YAML.
    Yaml,
    /// XML.
    Xml,
    /// Lines of `key=value`.
    Properties,
}

impl Format {
    /// The format of this name.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "json" => Self::Json,
            "toml" => Self::Toml,
            "yaml" => Self::Yaml,
            "xml" => Self::Xml,
            "properties" => Self::Properties,
            _ => return None,
        })
    }

    /// The format of files of this name.
    pub fn of_path(path: &str) -> Option<Self> {
        let name = path.rsplit('/').next().unwrap_or(path);
        let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending).to_ascii_lowercase();
        Some(match ending.as_str() {
            "json" | "jsonc" | "json5" | "webmanifest" => Self::Json,
            "toml" => Self::Toml,
            "yaml" | "yml" | "cff" => Self::Yaml,
            "xml" | "csproj" | "fsproj" | "vbproj" | "props" | "targets" | "nuspec" | "plist" | "config"
            | "pom" => Self::Xml,
            "properties" | "env" | "cfg" | "ini" | "conf" => Self::Properties,
            _ if matches!(name, "Cargo.lock" | "uv.lock" | "poetry.lock" | "Pipfile") => Self::Toml,
            _ => return None,
        })
    }
}

/// One step of the way.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Name(String),
    /// The element of a list of which this is true.
    With(String, String),
}

pub(super) fn find(
    source: &str,
    format: Format,
    key: &str,
    spelling: Spelling,
) -> Result<Vec<Place>, HolderError> {
    let steps = steps(key)?;
    let missing = || {
        HolderError::Missing {
        expected: format!("there is no `{}`", shown(key)),
        help: "write the way from the top, such as app.version, project/properties/revision or items[name=a].tag"
            .to_owned(),
    }
    };
    let documents = match format {
        Format::Json => vec![json::tree(source, true)?],
        Format::Toml => vec![toml::tree(source)?],
        Format::Yaml => yaml::documents(source)?,
        Format::Xml => vec![xml::tree(source)?],
        Format::Properties => {
            let span = properties::find(source, key)?.ok_or_else(missing)?;
            return Ok(vec![Place { span, spelling }]);
        }
    };
    let mut found: Vec<&Tree> = documents.iter().collect();
    for step in &steps {
        found = found.into_iter().flat_map(|tree| step.follow(source, tree)).collect();
    }
    match found.as_slice() {
        [] => Err(missing()),
        [one] => {
            let leaf: &Leaf = one.leaf().ok_or_else(|| HolderError::Unsupported {
                line: super::line_of(source, one.start()),
                problem: format!("`{}` is not a text", shown(key)),
            })?;
            Ok(vec![Place { span: leaf.span(source)?, spelling }])
        }
        more => Err(several(source, key, more)),
    }
}

impl Step {
    fn follow<'a>(&'a self, source: &str, tree: &'a Tree) -> Vec<&'a Tree> {
        match (self, tree) {
            (Self::Name(name), Tree::Map(_)) => tree.all(name).collect(),
            (Self::Name(name), Tree::List(items)) => {
                name.parse::<usize>().ok().and_then(|index| items.get(index)).into_iter().collect()
            }
            (Self::With(name, value), Tree::List(items)) => items
                .iter()
                .filter(|item| item.all(name).any(|part| part.text(source) == Some(value)))
                .collect(),
            (Self::With(name, value), Tree::Map(_)) => {
                // An XML element among others of its name.
                let is = tree.all(name).any(|part| part.text(source) == Some(value));
                is.then_some(tree).into_iter().collect()
            }
            (_, Tree::Leaf(_)) => Vec::new(),
        }
    }
}

/// `a.b`, `a/b` where there is a slash, `"a.b".c`, `a[0]`, `a[name=b]`.
fn steps(key: &str) -> Result<Vec<Step>, HolderError> {
    let refuse = |problem: &str| HolderError::UnknownKind {
        problem: format!("the key `{}` {problem}", shown(key)),
        help: "write the way from the top, such as app.version or project/properties/revision".to_owned(),
    };
    if key.len() > 1024 {
        return Err(refuse("is longer than 1024 bytes"));
    }
    let separator = if unquoted(key).contains('/') { '/' } else { '.' };
    let mut steps = Vec::new();
    let mut rest = key.strip_prefix('$').and_then(|rest| rest.strip_prefix('.')).unwrap_or(key);
    rest = rest.trim_start_matches('/');
    loop {
        if let Some(quoted) = rest.strip_prefix('"') {
            let (name, after) =
                quoted.split_once('"').ok_or_else(|| refuse("has a quote that does not end"))?;
            steps.push(Step::Name(name.to_owned()));
            rest = after;
        } else {
            let end = rest.find([separator, '[']).unwrap_or(rest.len());
            if end == 0 && !rest.starts_with('[') {
                return Err(refuse("has an empty part"));
            }
            if end > 0 {
                steps.push(Step::Name(rest[..end].to_owned()));
            }
            rest = &rest[end..];
        }
        while let Some(inside) = rest.strip_prefix('[') {
            let (inside, after) = inside.split_once(']').ok_or_else(|| refuse("has a `[` without `]`"))?;
            steps.push(match inside.split_once('=') {
                Some((name, value)) => {
                    Step::With(name.trim().to_owned(), value.trim().trim_matches(['"', '\'']).to_owned())
                }
                None => Step::Name(inside.trim().trim_matches(['"', '\'']).to_owned()),
            });
            rest = after;
        }
        match rest.strip_prefix(separator) {
            Some(after) => rest = after,
            None if rest.is_empty() => return Ok(steps),
            None => return Err(refuse("cannot be read")),
        }
    }
}

/// `key` without what stands in quotes or brackets.
fn unquoted(key: &str) -> String {
    let mut quoted = false;
    let mut depth = 0;
    key.chars()
        .filter(|character| {
            match character {
                '"' => quoted = !quoted,
                '[' if !quoted => depth += 1,
                ']' if !quoted => depth -= 1,
                _ => return !quoted && depth == 0,
            }
            false
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read() {
        let name = |text: &str| Step::Name(text.to_owned());
        for (key, expect) in [
            ("version", vec![name("version")]),
            ("app.version", vec![name("app"), name("version")]),
            ("project/properties/a.b", vec![name("project"), name("properties"), name("a.b")]),
            ("/widget/@version", vec![name("widget"), name("@version")]),
            ("packages.\"@a/b\".version", vec![name("packages"), name("@a/b"), name("version")]),
            ("a[0].b", vec![name("a"), name("0"), name("b")]),
            (
                "images[name=ghcr.io/a].newTag",
                vec![name("images"), Step::With("name".to_owned(), "ghcr.io/a".to_owned()), name("newTag")],
            ),
            ("$.info.version", vec![name("info"), name("version")]),
        ] {
            assert_eq!(steps(key).unwrap(), expect, "{key}");
        }
        for key in ["", "a..b", "a.", "\"a", "a[0", "a[0]b", "\"a\"b"] {
            assert!(steps(key).is_err(), "{key}");
        }
    }
}
