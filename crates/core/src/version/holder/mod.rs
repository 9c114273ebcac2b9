//! Holders: the files that state the version, and edits that change its bytes and no others.

mod json;
mod pattern;
#[cfg(test)]
mod tests;
mod toml;

pub use toml::{CargoManifest, cargo_manifest};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Version, VersionError, parse_version, shown};
use crate::diagnostic::{Span, line_and_column};

/// The largest file read as a holder, in bytes.
pub const LARGEST: usize = 16 * 1024 * 1024;

/// The kind of file a holder is: where in it the version stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum HolderKind {
    /// `[package] version`, else `[workspace.package] version`.
    CargoToml {},
    /// The entries of `packages` that come from no registry, and mentions of them with their version.
    CargoLock {
        /// The names of the packages that share the version.
        packages: Vec<String>,
    },
    /// `[project] version`, else `[tool.poetry] version`.
    PyprojectToml {},
    /// The top-level `version`.
    PackageJson {},
    /// The top-level `version` and that of the root package.
    PackageLockJson {},
    /// A file that holds the version and nothing else.
    PlainText {},
    /// Any text: what `pattern` finds must hold the version.
    Regex {
        /// A regular expression. Its capture group, named `version` or the only one, is the version;
        /// without a group, the version inside the whole match is.
        pattern: String,
        /// How many matches the file must have.
        #[serde(default = "one")]
        matches: usize,
    },
}

/// A version found in a holder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Found {
    /// The bytes of the version, quotes excluded.
    pub span: Span,
    /// Its line, from 1.
    pub line: usize,
    /// Its text.
    pub text: String,
}

impl Found {
    /// The text read as a version.
    pub fn version(&self) -> Result<Version, VersionError> {
        parse_version(&self.text)
    }
}

/// Why a holder cannot be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HolderError {
    /// Too much to read.
    #[error("the file has {size} bytes, the most for a version holder is {LARGEST}")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
    },
    /// It does not follow its format.
    #[error("line {line}, column {column}: this is not valid {format}: {problem}")]
    Syntax {
        /// The format's name.
        format: &'static str,
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// The parser's words.
        problem: String,
    },
    /// It states no version where one belongs.
    #[error("no version is stated: {expected}; {help}")]
    Missing {
        /// Where it was looked for.
        expected: String,
        /// What to do.
        help: String,
    },
    /// The version is made by a tool, not stated.
    #[error("line {line}: the version is dynamic, made by the build tool; {help}")]
    Dynamic {
        /// From 1.
        line: usize,
        /// What to do.
        help: String,
    },
    /// The version is written in a way that cannot be spliced.
    #[error("line {line}: {problem}; write it as a plain string such as \"1.2.3\"")]
    Unsupported {
        /// From 1.
        line: usize,
        /// What is odd about it.
        problem: String,
    },
    /// Which one is meant is not clear.
    #[error(
        "the pattern matches {found} times (lines {lines}) where {expected} was stated; \
         narrow the pattern or state `matches`"
    )]
    Ambiguous {
        /// How often it matches.
        found: usize,
        /// How often it should.
        expected: usize,
        /// The lines of the first matches.
        lines: String,
    },
    /// The pattern itself is wrong.
    #[error("the pattern `{pattern}` cannot be used: {problem}")]
    Pattern {
        /// The pattern, shortened.
        pattern: String,
        /// What is wrong.
        problem: String,
    },
    /// The version is legal, but not in this kind of file.
    #[error("{version} cannot be written to {format}: {problem}")]
    Unsuitable {
        /// The version to write.
        version: Version,
        /// The kind of file.
        format: &'static str,
        /// Why not.
        problem: String,
    },
    /// One file states several versions.
    #[error("line {line} states {text}, but line {first} states {other}; make them agree")]
    Disagree {
        /// The line of the one that differs, from 1.
        line: usize,
        /// What it states.
        text: String,
        /// The first one's line, from 1.
        first: usize,
        /// What that states.
        other: String,
    },
    /// What is stated is no version.
    #[error("line {line}: {error}")]
    NotAVersion {
        /// From 1.
        line: usize,
        /// What is wrong with it.
        error: VersionError,
    },
    /// Read back, the edited text does not state the new version.
    #[error("after the edit line {line} states `{text}` instead of {version}; nothing was kept, {help}")]
    NotWritten {
        /// The version to write.
        version: Version,
        /// From 1.
        line: usize,
        /// What was read back.
        text: String,
        /// What to do.
        help: String,
    },
}

/// The pattern of Python's `__version__ = "1.2.3"`.
const PYTHON_MODULE: &str = r#"(?m)^__version__[ \t]*(?::[ \t]*str[ \t]*)?=[ \t]*["']([^"'\r\n]+)["']"#;

/// The kind of holder a file of this name (without folders) usually is. For `Cargo.lock` the package
/// names are left for the caller to fill in.
pub fn detect(file_name: &str) -> Option<HolderKind> {
    match file_name {
        "Cargo.toml" => Some(HolderKind::CargoToml {}),
        "Cargo.lock" => Some(HolderKind::CargoLock { packages: Vec::new() }),
        "pyproject.toml" => Some(HolderKind::PyprojectToml {}),
        "package.json" => Some(HolderKind::PackageJson {}),
        "package-lock.json" | "npm-shrinkwrap.json" => Some(HolderKind::PackageLockJson {}),
        "VERSION" | "VERSION.txt" | "version.txt" => Some(HolderKind::PlainText {}),
        "__init__.py" | "__about__.py" | "__version__.py" | "_version.py" | "version.py" => {
            Some(HolderKind::Regex { pattern: PYTHON_MODULE.to_owned(), matches: 1 })
        }
        _ => None,
    }
}

/// Every place where `source` states the version: at least one, in order.
pub fn read(kind: &HolderKind, source: &str) -> Result<Vec<Found>, HolderError> {
    if source.len() > LARGEST {
        return Err(HolderError::TooLarge { size: source.len() });
    }
    // Parsers differ on the byte order mark, so none sees it.
    let bare = source.strip_prefix('\u{feff}').unwrap_or(source);
    let mark = source.len() - bare.len();
    let mut spans = match kind {
        HolderKind::CargoToml {} => toml::cargo_toml(bare)?,
        HolderKind::CargoLock { packages } => toml::cargo_lock(bare, packages)?,
        HolderKind::PyprojectToml {} => toml::pyproject(bare)?,
        HolderKind::PackageJson {} => json::package(bare)?,
        HolderKind::PackageLockJson {} => json::package_lock(bare)?,
        HolderKind::PlainText {} => pattern::plain_text(bare)?,
        HolderKind::Regex { pattern, matches } => pattern::find(bare, pattern, *matches)?,
    };
    spans.sort();
    Ok(spans
        .into_iter()
        .map(|span| Found {
            line: line_of(bare, span.start),
            text: bare[span.start..span.end].to_owned(),
            span: Span::new(span.start + mark, span.end + mark),
        })
        .collect())
}

/// The one version that `source` states, in every place [`read`] finds.
pub fn stated(kind: &HolderKind, source: &str) -> Result<Version, HolderError> {
    let places = read(kind, source)?;
    let Some(first) = places.first() else {
        return Err(HolderError::Missing {
            expected: "the file was searched".to_owned(),
            help: "state one such as 0.1.0 there".to_owned(),
        });
    };
    if let Some(other) = places.iter().find(|place| place.text != first.text) {
        return Err(HolderError::Disagree {
            line: other.line,
            text: shown(&other.text),
            first: first.line,
            other: shown(&first.text),
        });
    }
    first.version().map_err(|error| HolderError::NotAVersion { line: first.line, error })
}

/// `source` stating `version` in every place [`read`] finds; no other byte differs.
///
/// The edited text is read again, and refused unless it states `version` everywhere.
pub fn write(kind: &HolderKind, source: &str, version: &Version) -> Result<String, HolderError> {
    if *kind == (HolderKind::PyprojectToml {}) {
        toml::require_python_version(version)?;
    }
    let places = read(kind, source)?;
    let text = version.to_string();
    let mut edited = String::with_capacity(source.len() + places.len() * text.len());
    let mut copied = 0;
    for place in &places {
        edited.push_str(&source[copied..place.span.start]);
        edited.push_str(&text);
        copied = place.span.end;
    }
    edited.push_str(&source[copied..]);
    let again = read(kind, &edited)?;
    let failed = |line, text: String| HolderError::NotWritten {
        version: version.clone(),
        line,
        text,
        help: match kind {
            HolderKind::Regex { .. } => "widen the pattern so that it matches this version whole".to_owned(),
            _ => "please report this with the file".to_owned(),
        },
    };
    if let Some(place) = again.iter().find(|place| place.text != text) {
        return Err(failed(place.line, crate::text::sanitize_line(&place.text)));
    }
    if again.len() != places.len() {
        return Err(failed(again.first().map_or(1, |place| place.line), format!("{} places", again.len())));
    }
    Ok(edited)
}

fn one() -> usize {
    1
}

fn line_of(source: &str, offset: usize) -> usize {
    line_and_column(source, offset).0
}
