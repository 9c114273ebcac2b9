//! Lines: what the name of a maintenance branch says about the versions made there.

use serde::{Deserialize, Serialize};
use std::fmt;

use super::super::Version;

/// The versions of a maintenance branch: all of one major number, or of one major and minor number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The major number.
    pub major: u64,
    /// The minor number, when the line is as narrow as that.
    pub minor: Option<u64>,
}

/// What such a branch may be called before its number.
const FOLDERS: [&str; 9] =
    ["release", "releases", "support", "maintenance", "maint", "stable", "lts", "branch", "backport"];
/// What it may be called after its number.
const ENDINGS: [&str; 4] = ["-stable", "-maintenance", "-maint", "-lts"];

impl Line {
    /// The line that a branch's name tells: `1.x`, `1.2.x`, `v1.x`, `v1`, `1.2`, `release/1.x`, `support/1.2`,
    /// `1.2-stable`. `None` for every other branch, such as `main`, `release/1.2.0` and `feat/2.x-docs`.
    pub fn of_branch(branch: &str) -> Option<Self> {
        if branch.len() > 100 {
            return None;
        }
        let (folder, name) = match branch.rsplit_once('/') {
            Some((folder, name)) => (folder, name),
            None => match branch.split_once(['-', '_']) {
                Some((folder, name)) if FOLDERS.contains(&folder) => (folder, name),
                _ => ("", branch),
            },
        };
        if !folder.is_empty() && !FOLDERS.contains(&folder) {
            return None;
        }
        let ending = ENDINGS.iter().find_map(|ending| name.strip_suffix(ending));
        let bare = ending.unwrap_or(name);
        let numbers = bare.strip_prefix(['v', 'V']).unwrap_or(bare);
        // A number alone may be anything, such as the number of an issue.
        if !numbers.contains('.') && numbers == bare && folder.is_empty() && ending.is_none() {
            return None;
        }
        let mut parts = numbers.split('.');
        let major = number(parts.next()?)?;
        let mut line = Self { major, minor: None };
        match (parts.next(), parts.next(), parts.next()) {
            (None, None, None) => {}
            (Some(minor), None, None) if is_any(minor) => {}
            (Some(minor), Some(patch), None) if is_any(minor) && is_any(patch) => {}
            (Some(minor), None, None) => line.minor = Some(number(minor)?),
            (Some(minor), Some(patch), None) if is_any(patch) => line.minor = Some(number(minor)?),
            _ => return None,
        }
        Some(line)
    }

    /// Whether `version` is of the line.
    pub fn contains(&self, version: &Version) -> bool {
        version.major == self.major && self.minor.is_none_or(|minor| version.minor == minor)
    }

    /// The lowest stable version of the line.
    pub fn floor(&self) -> Version {
        Version::new(self.major, self.minor.unwrap_or(0), 0)
    }
}

impl fmt::Display for Line {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.minor {
            Some(minor) => write!(formatter, "{}.{minor}.x", self.major),
            None => write!(formatter, "{}.x", self.major),
        }
    }
}

fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

fn is_any(text: &str) -> bool {
    matches!(text, "x" | "X" | "*")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_are_named_after_their_lines() {
        for (branch, expect) in [
            ("1.x", "1.x"),
            ("v1.x", "1.x"),
            ("1.x.x", "1.x"),
            ("v2", "2.x"),
            ("1.2", "1.2.x"),
            ("1.2.x", "1.2.x"),
            ("22.2.x", "22.2.x"),
            ("release/1.x", "1.x"),
            ("release/1", "1.x"),
            ("releases/v1.2", "1.2.x"),
            ("release-1.2", "1.2.x"),
            ("support/1.2.x", "1.2.x"),
            ("maintenance/1.x", "1.x"),
            ("1.2-stable", "1.2.x"),
            ("branch_1.2", "1.2.x"),
            ("stable/v3", "3.x"),
            ("main", ""),
            ("next", ""),
            ("release/1.2.0", ""),
            ("hotfix/1.2.x", ""),
            ("feat/2.x-docs", ""),
            ("feat/2.x", ""),
            ("topic/release/1", ""),
            ("1234", ""),
            ("release/next", ""),
            ("1.2.3.x", ""),
            ("1..x", ""),
            ("x", ""),
            ("", ""),
            ("99999999999999999999.x", ""),
            ("release/", ""),
        ] {
            let line = Line::of_branch(branch).map(|line| line.to_string()).unwrap_or_default();
            assert_eq!(line, expect, "{branch}");
        }
        let line = Line { major: 1, minor: Some(2) };
        assert!(line.contains(&Version::new(1, 2, 9)) && !line.contains(&Version::new(1, 3, 0)));
        assert_eq!(line.floor(), Version::new(1, 2, 0));
    }
}
