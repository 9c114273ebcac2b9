//! Names of refs, remotes and revisions: hostile until checked.

use windlass_core::text::{sanitize, sanitize_line};
use windlass_engine::action::{ActionError, Result};

/// The longest name, in bytes: a loose ref is a file.
const LONGEST: usize = 200;

/// `refs/heads/NAME`.
///
/// # Errors
/// [`ActionError::Final`] when `name` cannot be a branch.
pub fn branch(name: &str) -> Result<String> {
    let short = name.strip_prefix("refs/heads/").unwrap_or(name);
    if short == "HEAD" {
        return Err(refused("branch", name, "`HEAD` is the commit checked out, not a branch"));
    }
    check("branch", short).map(|()| format!("refs/heads/{short}"))
}

/// `refs/tags/NAME`.
///
/// # Errors
/// [`ActionError::Final`] when `name` cannot be a tag.
pub fn tag(name: &str) -> Result<String> {
    let short = name.strip_prefix("refs/tags/").unwrap_or(name);
    check("tag", short).map(|()| format!("refs/tags/{short}"))
}

/// The name of a remote.
///
/// # Errors
/// [`ActionError::Final`] when `name` cannot be one. A URL is none: a remote of that URL is to be added first.
pub fn remote(name: &str) -> Result<()> {
    check("remote", name)
}

/// A revision as git reads it (`HEAD`, `main~2`, `v1.0.0`, a commit's id), safe as an argument.
///
/// # Errors
/// [`ActionError::Final`] when it could be taken for something else.
pub fn revision(text: &str) -> Result<()> {
    let problem = if text.is_empty() {
        "it is empty"
    } else if text.len() > 2 * LONGEST {
        "it is too long"
    } else if text.starts_with('-') {
        "it starts with `-`, like an option"
    } else if sanitize(text) != text || text.contains(char::is_whitespace) {
        "it holds white space or control characters"
    } else {
        return Ok(());
    };
    Err(refused("revision", text, problem))
}

/// The name without `refs/heads/` or `refs/tags/`.
pub fn short(full: &str) -> &str {
    full.strip_prefix("refs/heads/").or_else(|| full.strip_prefix("refs/tags/")).unwrap_or(full)
}

/// The rules of git-check-ref-format(1), and two of ours: no leading `-`, nothing invisible.
fn check(kind: &str, name: &str) -> Result<()> {
    let part = |test: fn(&str) -> bool| name.split('/').any(test);
    let problem = if name.is_empty() {
        "it is empty"
    } else if name.len() > LONGEST {
        "it is too long"
    } else if name.starts_with('-') {
        "it starts with `-`, like an option"
    } else if sanitize(name) != name || name.contains(char::is_whitespace) {
        "it holds white space or control characters"
    } else if name.contains(['~', '^', ':', '?', '*', '[', '\\']) {
        "it holds one of ~ ^ : ? * [ \\"
    } else if name.contains("..") || name.contains("@{") || name == "@" {
        "it holds `..` or `@{`, which git reads as something else"
    } else if part(str::is_empty) || part(|part| part.starts_with('.')) || name.ends_with('.') {
        "a part of it is empty, starts with a dot, or it ends with one"
    } else if part(|part| part.ends_with(".lock")) {
        "a part of it ends with `.lock`"
    } else {
        return Ok(());
    };
    Err(refused(kind, name, problem))
}

fn refused(kind: &str, name: &str, problem: &str) -> ActionError {
    let shown: String = sanitize_line(name).chars().take(80).collect();
    ActionError::Final(format!("`{shown}` cannot be the name of a {kind}: {problem}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rules_of_git_and_two_of_ours() {
        let cases = [
            ("main", true),
            ("feature/a-b_c", true),
            ("v1.2.3-rc.1+build", true),
            ("$(id)", true),
            ("a;b|c", true),
            ("`id`", true),
            ("é", true),
            ("a@b", true),
            ("--upload-pack=x", false),
            ("-x", false),
            ("", false),
            ("/a", false),
            ("a/", false),
            ("a//b", false),
            (".a", false),
            ("a/.b", false),
            ("a.lock", false),
            ("a.lock/b", false),
            ("a.", false),
            ("a..b", false),
            ("a@{b", false),
            ("@", false),
            ("a b", false),
            ("a\tb", false),
            ("a\nb", false),
            ("a\u{1b}[31m", false),
            ("a~1", false),
            ("a^", false),
            ("a:b", false),
            ("a?", false),
            ("a*", false),
            ("a[", false),
            ("a\\b", false),
            ("a\u{202e}b", false),
            ("a\u{9b}b", false),
        ];
        for (name, expect) in cases {
            assert_eq!(tag(name).is_ok(), expect, "tag {name:?}");
            assert_eq!(branch(name).is_ok(), expect, "branch {name:?}");
            let git = std::process::Command::new("git")
                .args(["check-ref-format", &format!("refs/tags/{name}")])
                .status()
                .unwrap();
            // Where we allow a name, git does too.
            assert!(git.success() || !expect, "git on {name:?}");
        }
        assert_eq!(branch("refs/heads/main").unwrap(), "refs/heads/main");
        assert!(branch("HEAD").is_err() && tag(&"x".repeat(300)).is_err());
        let message = tag("--upload-pack=\u{1b}x").unwrap_err().to_string();
        assert_eq!(
            message,
            "`--upload-pack=x` cannot be the name of a tag: it starts with `-`, like an option"
        );
    }

    #[test]
    fn revisions_are_no_options() {
        for (text, expect) in
            [("HEAD~2", true), ("main^{commit}", true), ("--all", false), ("a b", false), ("", false)]
        {
            assert_eq!(revision(text).is_ok(), expect, "{text}");
        }
    }
}
