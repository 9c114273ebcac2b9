//! The invariants of absence that ARCHITECTURE.md states: which crate may know which, and that the core does no I/O.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is the report")]
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, MetadataCommand};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

#[test]
fn crates_depend_in_one_direction() {
    let metadata = MetadataCommand::new().manifest_path(root().join("Cargo.toml")).no_deps().exec().unwrap();
    let allowed: &[(&str, &[&str])] = &[
        ("windlass-core", &[]),
        ("windlass-engine", &["windlass-core"]),
        ("windlass-history", &["windlass-core"]),
        ("windlass-actions", &["windlass-core", "windlass-engine", "windlass-history"]),
        ("windlass-cli", &["windlass-core", "windlass-engine", "windlass-actions", "windlass-history"]),
        ("windlass-testkit", &["windlass-core", "windlass-engine", "windlass-actions", "windlass-cli"]),
        ("windlass-e2e", &["windlass-core", "windlass-engine", "windlass-actions", "windlass-cli"]),
        ("windlass-peers", &[]),
        ("windlass-switch", &["windlass-core", "windlass-engine", "windlass-actions", "windlass-testkit"]),
        ("xtask", &["windlass-core", "windlass-engine", "windlass-actions", "windlass-cli"]),
    ];
    for package in &metadata.packages {
        let Some((_, allowed)) = allowed.iter().find(|(name, _)| *name == package.name.as_str()) else {
            panic!("{} is not in the table of crates: add it with what it may know", package.name);
        };
        let known: BTreeSet<&str> = package
            .dependencies
            .iter()
            .filter(|dependency| dependency.kind == DependencyKind::Normal)
            .map(|dependency| dependency.name.as_str())
            .filter(|name| name.starts_with("windlass-"))
            .collect();
        let allowed: BTreeSet<&str> = allowed.iter().copied().collect();
        assert!(known.is_subset(&allowed), "{} may not know {:?}", package.name, known.difference(&allowed));
    }
}

#[test]
fn core_depends_on_nothing_that_reaches_outside() {
    let metadata = MetadataCommand::new().manifest_path(root().join("Cargo.toml")).no_deps().exec().unwrap();
    let core = metadata.packages.iter().find(|package| package.name.as_str() == "windlass-core").unwrap();
    let outside = ["tokio", "reqwest", "rusqlite", "nix", "fastrand", "rand", "tempfile", "futures"];
    for dependency in core.dependencies.iter().filter(|dependency| dependency.kind == DependencyKind::Normal)
    {
        assert!(!outside.contains(&dependency.name.as_str()), "core may not use {}", dependency.name);
    }
}

#[test]
fn core_does_no_io_and_asks_no_clock() {
    let banned = [
        "std::fs",
        "std::net",
        "std::process",
        "std::env",
        "std::io",
        "std::thread",
        "SystemTime",
        "Instant::now",
        "Timestamp::now",
        "Zoned::now",
        "async fn",
        ".await",
    ];
    let mut found = Vec::new();
    visit(&root().join("crates/core/src"), &mut |path, text| {
        // What stands in test modules may read fixtures.
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (number, line) in
            code.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"))
        {
            found.extend(
                banned
                    .iter()
                    .filter(|word| line.contains(*word))
                    .map(|word| format!("{}:{}: {word}", path.display(), number + 1)),
            );
        }
    });
    assert!(found.is_empty(), "the core does no I/O and knows no time:\n{}", found.join("\n"));
}

#[test]
fn only_report_writes_to_the_terminal() {
    let banned = ["std::io::stdout", "std::io::stderr", "io::stdout()", "io::stderr()"];
    let mut found = Vec::new();
    for folder in ["crates/engine/src", "crates/actions/src", "crates/cli/src"] {
        visit(&root().join(folder), &mut |path, text| {
            let shown = path.to_string_lossy();
            // `world.rs` hands the streams to `report/` and writes nothing itself.
            if shown.contains("/report/") || shown.ends_with("/world.rs") {
                return;
            }
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            found.extend(
                banned.iter().filter(|word| code.contains(*word)).map(|word| format!("{shown}: {word}")),
            );
        });
    }
    assert!(found.is_empty(), "only report/ writes to the terminal:\n{}", found.join("\n"));
}

#[test]
fn every_file_says_its_purpose() {
    let mut silent = Vec::new();
    for folder in ["crates", "xtask"] {
        visit(&root().join(folder), &mut |path, text| {
            if !text.starts_with("//!") {
                silent.push(path.display().to_string());
            }
        });
    }
    assert!(
        silent.is_empty(),
        "these files begin without a sentence on their purpose:\n{}",
        silent.join("\n")
    );
}

fn visit(folder: &Path, look: &mut dyn FnMut(&Path, &str)) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if !path.ends_with("target") {
                visit(&path, look);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            look(&path, &std::fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn requirements_name_tests_that_exist() {
    let page = std::fs::read_to_string(root().join("docs/requirements.md")).unwrap();
    let mut count = 0;
    for row in page.lines().filter(|line| line.starts_with("| R") || line.starts_with("| C")) {
        for shown in row.split(['|', ';']).filter(|part| part.contains("` in ")) {
            let (test, file) = shown.trim().trim_start_matches('`').split_once("` in ").unwrap();
            let text = std::fs::read_to_string(root().join(file)).unwrap_or_default();
            assert!(text.contains(&format!("fn {test}(")), "{file} has no test {test}: {row}");
            count += 1;
        }
    }
    assert!(count > 60, "only {count} tests are named");
}
