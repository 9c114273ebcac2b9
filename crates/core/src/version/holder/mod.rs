//! Holders: the files that state the version, and edits that change its bytes and no others.

mod cargo;
mod code;
mod error;
mod json;
mod key;
mod kind;
mod lexer;
mod pattern;
mod properties;
mod python;
mod spelling;
#[cfg(test)]
mod tests;
mod text;
mod toml;
mod tree;
mod xml;
mod yaml;

pub use cargo::{CargoManifest, cargo_manifest};
pub use error::HolderError;
pub use json::{NpmManifest, json_package_name, npm_manifest};
pub use key::Format;
pub use kind::{HolderKind, KINDS, detect, kind};
pub use python::{PythonProject, python_modules, python_project};
pub use spelling::{Spelling, is_same};
pub use xml::{MavenProject, maven_project};
pub use yaml::pnpm_workspace;

use serde::Serialize;

use super::{Version, VersionError, shown};
use crate::diagnostic::{Span, line_and_column};

/// The largest file read as a holder, in bytes.
pub const LARGEST: usize = 16 * 1024 * 1024;

/// Where a version stands, and how it is spelled there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    span: Span,
    spelling: Spelling,
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
    /// How it is spelled there.
    #[serde(skip)]
    pub spelling: Spelling,
}

impl Found {
    /// The text read as a version.
    ///
    /// # Errors
    /// When it is none.
    pub fn version(&self) -> Result<Version, VersionError> {
        self.spelling.read(&self.text)
    }

    /// Whether it states `version`, as far as its spelling can tell.
    pub fn states(&self, version: &Version) -> bool {
        self.spelling.write(version).is_ok_and(|text| text == self.text)
            || self.version().is_ok_and(|stated| is_same(&stated, version))
    }
}

/// Every place where `source` states the version: at least one, in order.
///
/// # Errors
/// When there is none, when it is not clear which one is meant, and when it cannot be spliced.
pub fn read(kind: &HolderKind, source: &str) -> Result<Vec<Found>, HolderError> {
    if source.len() > LARGEST {
        return Err(HolderError::TooLarge { size: source.len() });
    }
    // Parsers differ on the byte order mark, so none sees it.
    let bare = source.strip_prefix('\u{feff}').unwrap_or(source);
    let mark = source.len() - bare.len();
    refuse_conflict(bare)?;
    let mut places = kind.places(bare)?;
    places.sort();
    places.dedup_by_key(|place| place.span);
    let (mut line, mut counted) = (1, 0);
    let mut found = Vec::with_capacity(places.len());
    let mut end = 0;
    for Place { mut span, spelling } in places {
        if span.start < end {
            return Err(HolderError::Unsupported {
                line: line_of(bare, span.start),
                problem: "the version stands inside of another one".to_owned(),
            });
        }
        end = span.end;
        let text = &bare[span.start..span.end];
        // `v1.2.3` is the version 1.2.3 with a letter that stays.
        if text.starts_with(['v', 'V']) && text[1..].starts_with(|next: char| next.is_ascii_digit()) {
            span.start += 1;
        }
        line += bare[counted..span.start].bytes().filter(|byte| *byte == b'\n').count();
        counted = span.start;
        found.push(Found {
            line,
            text: bare[span.start..span.end].to_owned(),
            span: Span::new(span.start + mark, span.end + mark),
            spelling,
        });
    }
    Ok(found)
}

/// The one version that `source` states, in every place [`read`] finds.
///
/// # Errors
/// As [`read`], when the places disagree, and when what is stated is no version.
pub fn stated(kind: &HolderKind, source: &str) -> Result<Version, HolderError> {
    agreed(&read(kind, source)?).map(|(version, _)| version)
}

/// The version that all places state, and the line of the one that says it whole.
///
/// # Errors
/// When they disagree, and when what is stated is no version.
pub fn agreed(places: &[Found]) -> Result<(Version, usize), HolderError> {
    let whole = |place: &&Found| place.spelling != Spelling::Number;
    let Some(first) = places.iter().find(whole).or(places.first()) else {
        return Err(HolderError::Missing {
            expected: "the file was searched".to_owned(),
            help: "state one such as 0.1.0 there".to_owned(),
        });
    };
    let version = first.version().map_err(|error| HolderError::NotAVersion { line: first.line, error })?;
    if let Some(other) = places.iter().find(|place| !place.states(&version)) {
        return Err(HolderError::Disagree {
            line: other.line,
            text: shown(&other.text),
            first: first.line,
            other: shown(&first.text),
        });
    }
    Ok((version, first.line))
}

/// `source` stating `version` in every place [`read`] finds; no other byte differs.
///
/// The edited text is read again, and refused unless it states `version` in the same places and in no other.
///
/// # Errors
/// As [`read`], and when the version has no spelling there.
pub fn write(kind: &HolderKind, source: &str, version: &Version) -> Result<String, HolderError> {
    let places = read(kind, source)?;
    // What is no version now could not be put back.
    agreed(&places)?;
    let mut edited = String::with_capacity(source.len() + places.len() * 16);
    let mut copied = 0;
    for place in &places {
        let text = place.spelling.write(version).map_err(|problem| HolderError::Unsuitable {
            version: version.clone(),
            problem: format!("line {}: {problem}", place.line),
        })?;
        edited.push_str(&source[copied..place.span.start]);
        edited.push_str(&text);
        copied = place.span.end;
    }
    edited.push_str(&source[copied..]);
    // Members of a workspace of npm may require an older release on purpose, so only those who follow must admit it.
    if !matches!(kind, HolderKind::PackageJson { .. })
        && let Some(unmet) = unmet(kind, &edited, version)?.first()
    {
        return Err(unmet.refusal(version));
    }
    let again = read(kind, &edited)?;
    let other = again.iter().find(|place| place.spelling.write(version).as_deref() != Ok(&place.text));
    if let Some(place) = other {
        return Err(HolderError::NotWritten {
            version: version.clone(),
            line: place.line,
            text: crate::text::sanitize_line(&place.text),
            help: match kind {
                HolderKind::Regex { .. } => {
                    "widen the pattern so that it matches this version whole".to_owned()
                }
                _ => "please report this with the file".to_owned(),
            },
        });
    }
    if again.len() != places.len() {
        return Err(HolderError::Blurred {
            version: version.clone(),
            found: again.len(),
            expected: places.len(),
        });
    }
    Ok(edited)
}

/// A requirement on a package that does not admit the version it is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmet {
    /// The package it is about.
    pub package: String,
    /// Its line, from 1.
    pub line: usize,
    /// The range.
    pub text: String,
    /// It states one whole version, operator aside, so that it can follow.
    pub is_whole: bool,
}

impl Unmet {
    /// What is said where it cannot follow.
    pub fn refusal(&self, version: &Version) -> HolderError {
        let Self { package, line, text, .. } = self;
        HolderError::Unsuitable {
            version: version.clone(),
            problem: format!(
                "line {line} requires `{}` of {}, which does not admit it; state the whole version there, then it follows",
                shown(text),
                shown(package)
            ),
        }
    }
}

/// What a manifest requires of the packages of `kind` that does not admit `version`. Other kinds require nothing.
///
/// # Errors
/// When the manifest breaks its format.
pub fn unmet(kind: &HolderKind, source: &str, version: &Version) -> Result<Vec<Unmet>, HolderError> {
    let bare = source.strip_prefix('\u{feff}').unwrap_or(source);
    match kind {
        HolderKind::CargoToml { packages } | HolderKind::CargoRequirements { packages } => {
            cargo::unmet(bare, packages, version)
        }
        HolderKind::PackageJson { packages } | HolderKind::PackageRequirements { packages } => {
            json::unmet(bare, packages, version)
        }
        _ => Ok(Vec::new()),
    }
}

/// Whether the text at `other` says the version that the one at `span` says.
fn says_same(source: &str, span: Span, other: Span) -> bool {
    let read = |span: Span| Spelling::SemVer.read(&source[span.start..span.end]);
    matches!((read(span), read(other)), (Ok(one), Ok(other)) if one == other)
}

/// Refuses a file in which git left both sides of a merge: formats without syntax of their own would not notice.
fn refuse_conflict(source: &str) -> Result<(), HolderError> {
    let Some(begin) = line_start(source, "<<<<<<< ") else { return Ok(()) };
    match line_start(&source[begin..], ">>>>>>> ") {
        Some(_) => Err(HolderError::Conflict { line: line_of(source, begin) }),
        None => Ok(()),
    }
}

fn line_start(source: &str, marker: &str) -> Option<usize> {
    source.match_indices(marker).map(|(at, _)| at).find(|at| *at == 0 || source[..*at].ends_with('\n'))
}

/// The lines of the first of these, for messages.
fn lines(source: &str, spans: &[Span]) -> String {
    let lines: Vec<String> =
        spans.iter().take(10).map(|span| line_of(source, span.start).to_string()).collect();
    lines.join(", ")
}

fn line_of(source: &str, offset: usize) -> usize {
    line_and_column(source, offset).0
}
