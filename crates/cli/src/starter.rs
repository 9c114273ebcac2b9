//! The first files of a project: what `init` writes, from what it finds.

mod members;

use std::fmt::Write as _;
use std::path::Path;

use windlass_core::changelog;
use windlass_core::version::TagFormat;

use self::members::Members;
use crate::error::Result;
use crate::facts::Repository;
use crate::files;
use crate::holders;
use crate::preflight::is_installed;
use crate::project::{CONFIG, Project, RUNBOOKS};

/// More packages than these are not proposed.
const MOST_PACKAGES: usize = 20;

/// Files to begin with.
pub struct Starter {
    /// What was found, in a sentence.
    pub found: String,
    /// Each file's path and text.
    pub files: Vec<(String, String)>,
}

/// Looks at the project and makes its first files.
///
/// # Errors
/// When a manifest cannot be read.
pub fn files(project: &Project, repository: &Repository) -> Result<Starter> {
    let holders = holders::of_all(project)?;
    let members = members::proposed(project, repository, &holders)?;
    let test = test_command(project)?;
    let remote = repository.remote.as_deref();
    let mut found = match holders.as_slice() {
        [] => match members.as_ref().map(Members::told) {
            Some(told) => told,
            None => "found no file that states a version".to_owned(),
        },
        holders if holders.iter().any(|holder| holder.version != holders[0].version) => {
            let told: Vec<String> =
                holders.iter().map(|holder| format!("{} in {}", holder.version, holder.path)).collect();
            format!("found versions {}", told.join(", "))
        }
        holders => {
            let paths: Vec<&str> = holders.iter().map(|holder| holder.path.as_str()).collect();
            format!("found version {} in {}", holders[0].version, paths.join(", "))
        }
    };
    found.push_str(&match &test {
        Some(test) => format!("; tests run with `{}`", test.lines().last().unwrap_or_default()),
        None => "; no test command is known to work".into(),
    });
    found.push_str(&match remote {
        Some(remote) => format!("; the remote is {remote}"),
        None => "; there is no remote, so nothing is pushed".into(),
    });
    let mut changelogs = vec![project.config.changelog.path.clone()];
    if let Some(Members::Apart(packages)) = &members {
        changelogs = packages.iter().map(|package| format!("{}/CHANGELOG.md", package.folder)).collect();
    }
    let writes = !holders.is_empty() || members.is_some();
    let is_many = !project.config.packages.is_empty() || matches!(members, Some(Members::Apart(_)));
    let runbook = runbook(writes, is_many, test.as_deref(), remote.is_some());
    let mut files = vec![
        (CONFIG.into(), config(repository, members.as_ref())),
        (format!("{RUNBOOKS}/release.md"), runbook),
    ];
    files.extend(changelogs.into_iter().map(|path| (path, changelog::NEW_FILE.to_owned())));
    Ok(Starter { found, files })
}

fn config(repository: &Repository, members: Option<&Members>) -> String {
    let found = TagFormat::guess_all(repository.tags.keys().map(String::as_str));
    let packages: Vec<(&str, &TagFormat)> = found
        .iter()
        .filter_map(|(format, ..)| Some((format.package()?, format)))
        .take(MOST_PACKAGES)
        .collect();
    // One name may be the project's own; several are packages, and then the root's tags are what is left.
    let is_packages = packages.len() > 1 || matches!(members, Some(Members::Apart(_)));
    let own = found.iter().find(|(format, ..)| !is_packages || format.package().is_none());
    let tag = own.map(|(format, ..)| format.clone()).unwrap_or_default();
    let mut listed = String::new();
    if let Some(Members::Apart(packages)) = members {
        listed.push_str(&members::tables(packages));
    } else if is_packages {
        listed.push_str("\n# The tags look like those of packages. Say in which folder each one lies:\n");
        for (name, format) in packages {
            let (name, format) = (quoted(name), quoted(&format.to_string()));
            let _ = writeln!(listed, "# [packages.{name}]\n# path = \"FOLDER\"\n# tag = {format}");
        }
    }
    let holders = match members {
        Some(Members::Together(members)) => members::holders(members),
        _ => "# Files that state the version, when they are not found by themselves:\n\
              # holders = [\"Cargo.toml\", { path = \"docs/index.md\", pattern = 'Version: (.*)' }]"
            .to_owned(),
    };
    let branch = repository.branch.as_deref().unwrap_or("main");
    let remote = repository.remote.as_deref().unwrap_or("origin");
    format!(
        "# How this project is released. Every key may be left out.

[version]
# How a version is written as a tag.
tag = {tag}
{holders}

[git]
remote = {remote}
branch = {branch}
# Sign tags: \"gpg\" or \"ssh\".
# sign = \"gpg\"

# Who may approve and confirm, by e-mail address.
# [roles]
# release-manager = [\"alice@example.com\", \"bob@example.com\"]
{listed}",
        tag = quoted(&tag.to_string()),
        remote = quoted(remote),
        branch = quoted(branch),
    )
}

/// A text as TOML: names come from the repository and may hold quotes.
pub(crate) fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn runbook(writes: bool, is_many: bool, test: Option<&str>, pushes: bool) -> String {
    let mut steps: Vec<(&str, String)> = Vec::new();
    if let Some(test) = test {
        steps.push(("Check", format!("```sh {{id=test effects=none}}\n{test}\n```\n")));
    }
    let write = if writes { "```yaml\nuses: version.write\n```\n" } else { "" };
    // A version alone does not say whose it is where packages have one each; their tags do.
    let message = match is_many {
        false => "chore(release): bump version to {{ version }}",
        true => "chore(release): {{ tag }}",
    };
    steps.push((
        "Prepare the version",
        format!(
            "{write}```yaml\nuses: changelog.promote\n```\n```yaml\nuses: git.commit\n\
             with: {{ message: \"{message}\" }}\n```\n"
        ),
    ));
    steps.push(("Tag", "```yaml\nuses: git.tag\n```\n".into()));
    if pushes {
        steps.push((
            "Publish",
            "Branch and tag, both or none. To ask somebody first, put this before it, as `yaml`:\n\n\
             ```text\nuses: approval\nwith: { role: release-manager, count: 1, within: 24h, not: author }\n```\n\n\
             ```yaml\nuses: git.push\n```\n"
                .into(),
        ));
    }
    steps.push((
        "Write the notes",
        "For an announcement; the file is not committed.\n\n```yaml\nuses: notes.write\n\
         with: { output: \".release_notes_{{ tag }}.md\" }\n```\n"
            .into(),
    ));
    let mut text = String::from(
        "---
name: release
description: Release a new version
triggers: [release]
skills: [git, version, changelog, notes]
---
# Release

## Objective

Release what was committed since the last tag: version, changelog, tag.

## Steps
",
    );
    for (number, (title, body)) in steps.iter().enumerate() {
        text.push_str(&format!("\n### {}. {title}\n\n{body}", number + 1));
    }
    text.push_str("\n## Outputs\n\n- The version in every file that states it\n- Its section in the changelog\n- Its tag");
    text.push_str(if pushes { ", pushed\n" } else { "\n" });
    text.push_str("- Its notes in a file\n");
    text
}

/// The command that runs the tests, when everything it needs is here.
fn test_command(project: &Project) -> Result<Option<String>> {
    let root = &project.root;
    let has = |name: &str| is_installed(name, &project.environment);
    if root.join("Cargo.toml").is_file() && has("cargo") {
        return Ok(Some("cargo test".into()));
    }
    if let Some(text) = files::read_if_there(&root.join("package.json"), "package.json", files::LARGEST_FILE)?
        && has("npm")
    {
        let package: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        let test = package["scripts"]["test"].as_str().unwrap_or_default();
        if !test.is_empty() && !test.contains("no test specified") {
            let needs = |key: &str| package[key].as_object().is_some_and(|packages| !packages.is_empty());
            let needs = needs("dependencies") || needs("devDependencies");
            let install = if root.join("package-lock.json").is_file() { "npm ci" } else { "npm install" };
            return Ok(Some(if needs { format!("{install}\nnpm test") } else { "npm test".into() }));
        }
    }
    if root.join("pyproject.toml").is_file() && has("python3") {
        return Ok(python_tests(project, root));
    }
    Ok(None)
}

fn python_tests(project: &Project, root: &Path) -> Option<String> {
    let tests: Vec<std::path::PathBuf> = ["tests", "test", "."]
        .iter()
        .filter_map(|folder| std::fs::read_dir(root.join(folder)).ok())
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            name.ends_with(".py") && (name.starts_with("test_") || name.ends_with("_test.py"))
        })
        .take(200)
        .collect();
    if tests.is_empty() {
        return None;
    }
    if runs(project, &["-c", "import pytest"]) {
        return Some("python3 -m pytest".into());
    }
    // Without pytest, only tests of the standard library can run.
    let standard = |path: &std::path::PathBuf| {
        let shown = path.to_string_lossy();
        let text = files::read_if_there(path, &shown, files::LARGEST_TEXT).ok().flatten().unwrap_or_default();
        text.contains("unittest") && !text.contains("pytest")
    };
    if !tests.iter().all(standard) {
        return None;
    }
    let folder = tests[0].parent().filter(|parent| *parent != root).and_then(Path::file_name);
    Some(match folder {
        Some(folder) => format!("python3 -m unittest discover -s {}", folder.to_string_lossy()),
        None => "python3 -m unittest discover".into(),
    })
}

fn runs(project: &Project, args: &[&str]) -> bool {
    let mut command = std::process::Command::new("python3");
    command.args(args).current_dir(&project.root).env_clear().envs(&project.environment);
    command
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
