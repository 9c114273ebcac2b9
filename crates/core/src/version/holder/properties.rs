//! Holders of lines `key = value`: gradle.properties, setup.cfg and their like.

use super::{HolderError, Place, Spelling, line_of};
use crate::diagnostic::Span;
use crate::version::shown;

/// `version`, else `VERSION_NAME`.
pub(super) fn gradle(source: &str) -> Result<Vec<Place>, HolderError> {
    for key in ["version", "VERSION_NAME", "projectVersion"] {
        if let Some(span) = find(source, key)? {
            return Ok(vec![Place { span, spelling: Spelling::SemVer }]);
        }
    }
    Err(HolderError::Missing {
        expected: "gradle.properties has neither `version` nor `VERSION_NAME`".to_owned(),
        help: "add `version=0.1.0`, or name its property by `key`".to_owned(),
    })
}

/// `[metadata] version` of a setup.cfg.
pub(super) fn setup_cfg(source: &str) -> Result<Vec<Place>, HolderError> {
    let Some(span) = find(source, "metadata.version")? else {
        return Err(HolderError::Missing {
            expected: "setup.cfg has no `version` under [metadata]".to_owned(),
            help: "add `version = 0.1.0` there, or name the file that states it".to_owned(),
        });
    };
    let text = &source[span.start..span.end];
    for (prefix, what) in [("attr:", "it is read from"), ("file:", "it is read from the file")] {
        if let Some(target) = text.strip_prefix(prefix) {
            return Err(HolderError::Dynamic {
                line: line_of(source, span.start),
                help: format!("{what} {}: name that file as the holder", shown(target.trim())),
            });
        }
    }
    Ok(vec![Place { span, spelling: Spelling::Pep440 }])
}

/// The value of `key`, or of `section.key` under `[section]`.
///
/// # Errors
/// When it is stated more than once.
pub(super) fn find(source: &str, key: &str) -> Result<Option<Span>, HolderError> {
    let mut section = "";
    let mut found: Vec<Span> = Vec::new();
    let mut start = 0;
    let mut continued = false;
    for line in source.split_inclusive('\n') {
        let begin = start;
        start += line.len();
        let text = line.trim_end_matches(['\r', '\n']);
        if continued {
            continued = text.ends_with('\\');
            continue;
        }
        let bare = text.trim_start();
        if bare.starts_with(['#', '!', ';']) {
            continue;
        }
        continued = text.ends_with('\\');
        if let Some(name) = bare.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(name, _)| name)
        {
            section = name.trim();
            continue;
        }
        // A file of environment variables that a shell reads.
        let bare = bare.strip_prefix("export ").unwrap_or(bare);
        let end =
            bare.find(|end: char| end == '=' || end == ':' || end.is_whitespace()).unwrap_or(bare.len());
        let (name, rest) = bare.split_at(end);
        let is_it = name == key
            || key
                .strip_prefix(section)
                .and_then(|rest| rest.strip_prefix('.'))
                .is_some_and(|key| !section.is_empty() && key == name);
        if !is_it || name.is_empty() {
            continue;
        }
        let value = rest.trim_start();
        let value = value.strip_prefix(['=', ':']).unwrap_or(value).trim();
        let quoted = ["\"", "'"].into_iter().find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote));
        let value = quoted.unwrap_or(value);
        let at = begin + (value.as_ptr() as usize - line.as_ptr() as usize);
        found.push(Span::new(at, at + value.len()));
    }
    match found.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(*one)),
        more => Err(HolderError::Several {
            what: format!("`{}`", shown(key)),
            found: more.len(),
            lines: super::lines(source, more),
        }),
    }
}
