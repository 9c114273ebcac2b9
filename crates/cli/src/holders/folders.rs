//! Folders that a workspace's patterns name: `crates/*`, `packages/**`, `apps/web-*`.

use std::collections::BTreeSet;
use std::path::Path;

use crate::error::Result;
use crate::files;

/// More members of a workspace than this are not looked at.
const MOST_MEMBERS: usize = 1000;

/// More folders than this are not entered while patterns are followed.
const MOST_ENTERED: usize = 20_000;

/// `**` leads no deeper than this.
const DEEPEST: usize = 12;

/// The folders below `root` that one of `patterns` names and none of `excluded` does. What is no folder is skipped, as
/// Cargo and npm do: a README may lie beside the members.
pub(super) fn named(root: &Path, patterns: &[String], excluded: &[String]) -> BTreeSet<String> {
    let excluded: Vec<Vec<&str>> = excluded.iter().map(|pattern| parts(pattern)).collect();
    let mut walk = Walk { root, excluded, found: BTreeSet::new(), entered: 0 };
    for pattern in patterns {
        // Members outside the repository are not followed.
        if pattern.starts_with('/') || pattern.split('/').any(|part| part == "..") {
            continue;
        }
        walk.follow("", &parts(pattern), 0);
    }
    walk.found
}

/// The text of a file, where there is one; none where a part of its path is no folder.
pub(super) fn text(root: &Path, path: &str) -> Result<Option<String>> {
    let place = root.join(path);
    if !place.parent().is_some_and(Path::is_dir) {
        return Ok(None);
    }
    files::read_if_there(&place, path, files::LARGEST_FILE)
}

fn parts(pattern: &str) -> Vec<&str> {
    let mut parts: Vec<&str> = pattern.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    parts.dedup_by(|part, before| part == before && *part == "**");
    parts
}

struct Walk<'a> {
    root: &'a Path,
    excluded: Vec<Vec<&'a str>>,
    found: BTreeSet<String>,
    entered: usize,
}

impl Walk<'_> {
    fn follow(&mut self, folder: &str, pattern: &[&str], depth: usize) {
        if self.found.len() >= MOST_MEMBERS || self.entered >= MOST_ENTERED {
            return;
        }
        let below = |name: &str| if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
        match pattern {
            [] => {
                let parts: Vec<&str> = folder.split('/').collect();
                let is_excluded = self.excluded.iter().any(|excluded| matches(excluded, &parts));
                if !folder.is_empty() && !is_excluded && self.root.join(folder).is_dir() {
                    self.found.insert(folder.to_owned());
                }
            }
            [first, rest @ ..] if first.contains('*') => {
                let is_deep = *first == "**";
                if is_deep {
                    self.follow(folder, rest, depth);
                    if depth >= DEEPEST {
                        return;
                    }
                }
                for name in self.folders_in(folder, is_deep) {
                    if is_deep {
                        self.follow(&below(&name), pattern, depth + 1);
                    } else if is_like(first, &name) {
                        self.follow(&below(&name), rest, depth);
                    }
                }
            }
            [first, rest @ ..] => self.follow(&below(first), rest, depth),
        }
    }

    /// The folders in a folder, in order; neither git's own nor those of installed packages. On a way of any length
    /// symbolic links are left out: they could lead round in circles.
    fn folders_in(&mut self, folder: &str, is_deep: bool) -> BTreeSet<String> {
        self.entered += 1;
        let entries = std::fs::read_dir(self.root.join(folder)).into_iter().flatten().flatten();
        entries
            .filter(|entry| match entry.file_type() {
                Ok(kind) if kind.is_symlink() => !is_deep && entry.path().is_dir(),
                kind => kind.is_ok_and(|kind| kind.is_dir()),
            })
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| !matches!(name.as_str(), ".git" | "node_modules"))
            .collect()
    }
}

/// Whether a pattern names this path.
fn matches(pattern: &[&str], path: &[&str]) -> bool {
    // How many parts of the path the pattern so far may have named.
    let mut named = vec![false; path.len() + 1];
    named[0] = true;
    for part in pattern {
        if *part == "**" {
            let first = named.iter().position(|named| *named).unwrap_or(named.len());
            named[first..].fill(true);
        } else {
            for index in (0..path.len()).rev() {
                named[index + 1] = named[index] && is_like(part, path[index]);
            }
            named[0] = false;
        }
    }
    named[path.len()]
}

/// Whether a part of a pattern, maybe with `*`, names this part of a path.
fn is_like(pattern: &str, name: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut rest) = name.strip_prefix(head) else { return false };
    let mut pieces: Vec<&str> = tail.split('*').collect();
    let last = pieces.pop().unwrap_or("");
    for piece in pieces {
        match rest.split_once(piece) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_name_folders() {
        let root = tempfile::tempdir().unwrap();
        for folder in ["crates/a", "crates/b", "crates/b/fuzz", "node_modules/c", "web-app", "web", ".git/x"]
        {
            std::fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        std::fs::write(root.path().join("crates/README.md"), "").unwrap();
        for (patterns, excluded, expect) in [
            (&["crates/*"][..], &[][..], &["crates/a", "crates/b"][..]),
            (&["./crates/*/"], &["crates/b"], &["crates/a"]),
            (&["crates/**"], &["**/fuzz"], &["crates", "crates/a", "crates/b"]),
            (&["*/**"], &["web*"], &["crates", "crates/a", "crates/b", "crates/b/fuzz"]),
            (&["web-*", "w*b"], &[], &["web", "web-app"]),
            (&["crates/README.md", "none", "../x", "/etc", ".", ""], &[], &[]),
            (&["crates/b/*", "crates/a"], &[], &["crates/a", "crates/b/fuzz"]),
        ] {
            let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
            let found: Vec<String> =
                named(root.path(), &owned(patterns), &owned(excluded)).into_iter().collect();
            assert_eq!(found, owned(expect), "{patterns:?}");
        }
    }

    #[test]
    fn hostile_patterns_are_followed_in_time() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("a/".repeat(30))).unwrap();
        let patterns = vec!["**/".repeat(30)];
        assert!(named(root.path(), &patterns, &["**/".repeat(10)]).len() <= DEEPEST + 1);
        assert!(is_like("*a*", "bab") && !is_like("a*b*c", "acb"));
    }
}
