//! The configuration each tool needs in the copy: the least that makes all of them list every commit.

use std::fmt::Write as _;
use std::path::Path;

use crate::Result;
use crate::subject::Subject;

/// The files written into a copy; git is told to ignore them.
pub const FILES: [&str; 8] = [
    "windlass.toml",
    "windlass-template.md",
    "cliff.toml",
    "cog.toml",
    ".cz.toml",
    "conventional.config.mjs",
    ".releaserc.json",
    ".git-cliff",
];

/// What stands before each commit in every list: lines are counted by it.
pub const ITEM: &str = "~ ";

/// Writes every tool's configuration. `with_packages`: Windlass is told of the packages.
///
/// # Errors
/// When a file cannot be written.
pub fn write(subject: &Subject, with_packages: bool) -> Result<()> {
    let folder = &subject.folder;
    let prefix = &subject.prefix;
    std::fs::write(folder.join("windlass.toml"), windlass(subject, with_packages))?;
    let cliff = CLIFF.replace("ITEM", ITEM).replace("PATTERN", &pattern(prefix));
    std::fs::write(folder.join("cliff.toml"), cliff)?;
    std::fs::write(folder.join("cog.toml"), COG.replace("PREFIX", prefix))?;
    std::fs::write(folder.join(".cz.toml"), CZ.replace("PREFIX", prefix).replace("ITEM", ITEM))?;
    let conventional = CONVENTIONAL.replace("PREFIX", prefix).replace("ITEM", ITEM);
    std::fs::write(folder.join("conventional.config.mjs"), conventional)?;
    let semantic = SEMANTIC
        .replace("PREFIX", prefix)
        .replace("BRANCH", &subject.branch)
        .replace("FOLDER", &folder.to_string_lossy());
    std::fs::write(folder.join(".releaserc.json"), semantic)?;
    Ok(())
}

/// Removes what an earlier task left.
///
/// # Errors
/// When a file cannot be removed.
pub fn clear(folder: &Path, left: &str) -> Result<()> {
    let path = folder.join(left);
    if path.is_dir() {
        std::fs::remove_dir_all(&path)?;
    } else if path.exists() {
        std::fs::remove_file(&path)?;
    }
    Ok(())
}

/// A regular expression for tags that begin with a prefix and go on as a version does.
pub fn pattern(prefix: &str) -> String {
    let mut escaped = String::new();
    for letter in prefix.chars() {
        if !letter.is_ascii_alphanumeric() && !matches!(letter, '@' | '/' | '-' | '_') {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    format!("^{escaped}[0-9]+\\.[0-9]+\\.[0-9]+")
}

fn windlass(subject: &Subject, with_packages: bool) -> String {
    let mut text = WINDLASS.replace("PREFIX", &subject.prefix).replace("BRANCH", &subject.branch);
    text.push_str("\n[changelog.headings]\n");
    for kind in &subject.types {
        // What is written to a String cannot fail.
        let _ = writeln!(text, "\"{kind}\" = \"Changed\"");
    }
    if with_packages {
        for package in &subject.packages {
            let (name, path, prefix) = (&package.name, &package.path, &package.prefix);
            // What is written to a String cannot fail.
            let _ =
                write!(text, "\n[packages.\"{name}\"]\npath = \"{path}\"\ntag = \"{prefix}{{version}}\"\n");
            // Packages without tags of their own share the repository's, and so its versions.
            if *prefix == subject.prefix {
                text.push_str("linked = \"all\"\n");
            }
        }
    }
    text
}

const WINDLASS: &str = r#"[version]
tag = "PREFIX{version}"

[git]
branch = "BRANCH"

[changelog]
generated = true
placeholder = "There are no commits here"
"#;

const CLIFF: &str = r###"[changelog]
header = ""
body = """
## {{ version | default(value="Unreleased") }}
{% for group, commits in commits | group_by(attribute="group") %}
### {{ group }}
{% for commit in commits %}
ITEM{{ commit.message | split(pat="\n") | first }} ({{ commit.id | truncate(length=7, end="") }})
{%- endfor %}
{% endfor %}
"""
trim = true
footer = ""

[git]
conventional_commits = true
filter_unconventional = false
filter_commits = false
tag_pattern = '''PATTERN'''
commit_parsers = [
  { message = "^feat", group = "Features" },
  { message = "^fix", group = "Fixes" },
  { message = "^perf", group = "Performance" },
  { message = ".*", group = "Other" },
]
"###;

const COG: &str = r#"tag_prefix = "PREFIX"
ignore_merge_commits = true
branch_whitelist = []
skip_untracked = true

[commit_types]
chore = { changelog_title = "Chores" }
"#;

const CZ: &str = r#"[tool.commitizen]
name = "cz_customize"
version_provider = "scm"
version_scheme = "semver"
tag_format = "PREFIX$version"

[tool.commitizen.customize]
bump_pattern = "^(feat|fix|perf|refactor|BREAKING CHANGE)"
bump_map = { "BREAKING CHANGE" = "MAJOR", "feat" = "MINOR", "fix" = "PATCH", "perf" = "PATCH", "refactor" = "PATCH" }
schema_pattern = ".*"
commit_parser = '^(?P<change_type>\w+)(?:\((?P<scope>[^()\r\n]*)\))?!?: (?P<message>.+)'
changelog_pattern = ".*"
"#;

const CONVENTIONAL: &str = r#"export default {
  tags: { prefix: 'PREFIX' },
  parser: {
    headerPattern: /^(\w*)(?:\((.*)\))?!?: (.*)$/,
    headerCorrespondence: ['type', 'scope', 'subject'],
    noteKeywords: ['BREAKING CHANGE'],
  },
  writer: {
    groupBy: 'type',
    transform: (commit) => ({
      type: commit.type || 'Other',
      subject: commit.header,
      shortHash: (commit.hash || '').slice(0, 7),
    }),
    mainTemplate: '## {{version}}\n{{#each commitGroups}}\n### {{title}}\n{{#each commits}}\nITEM{{{subject}}} ({{shortHash}})\n{{/each}}\n{{/each}}\n',
    headerPartial: '',
    commitPartial: '',
    footerPartial: '',
  },
};
"#;

const SEMANTIC: &str = r#"{
  "repositoryUrl": "file://FOLDER",
  "branches": ["BRANCH"],
  "tagFormat": "PREFIX${version}",
  "plugins": ["@semantic-release/commit-analyzer", "@semantic-release/release-notes-generator"]
}
"#;

#[cfg(test)]
mod tests {
    use super::pattern;

    #[test]
    fn a_pattern_matches_its_prefix_only() {
        assert_eq!(pattern("v"), r"^v[0-9]+\.[0-9]+\.[0-9]+");
        assert_eq!(pattern("@a/b.c@"), r"^@a/b\.c@[0-9]+\.[0-9]+\.[0-9]+");
    }
}
