//! Hostile texts cost no time: commits and changelogs made to be slow are not.

use std::time::{Duration, Instant};

use windlass_core::changelog::{LintOptions, lint};
use windlass_core::commit::{Commit, parse, without_reverted};

/// Well above what a loaded machine needs without optimisation, well below what a quadratic reading takes.
const LONGEST: Duration = Duration::from_secs(20);

#[test]
fn messages() {
    for message in [
        format!("b{}b", "\r\n".repeat(1_000_000)),
        format!("feat: a\n\n{}", "#1 ".repeat(1_000_000)),
        format!("feat: a\n\n{}", "Closes #".repeat(1_000_000)),
        format!("feat: a\n\n{}", "A: b\n\n".repeat(1_000_000)),
        format!("feat{}", "(".repeat(1_000_000)),
        format!("a\n{}", "* fix: b\n".repeat(1_000_000)),
        "BREAKING CHANGE:\n".repeat(1_000_000),
        "é".repeat(10_000_000),
    ] {
        let start = Instant::now();
        assert!(parse(&message).references.len() <= 100);
        assert!(start.elapsed() < LONGEST, "{:?}", start.elapsed());
    }
}

#[test]
fn reverts_of_reverts() {
    let commits: Vec<Commit> = (0..20_000)
        .rev()
        .map(|at: usize| Commit {
            id: format!("{at:040x}"),
            message: format!("Revert \"x\"\n\nThis reverts commit {:040x}.", at.saturating_sub(1)),
            ..Commit::default()
        })
        .collect();
    let start = Instant::now();
    assert!(without_reverted(&commits).len() <= 1);
    assert!(start.elapsed() < LONGEST, "{:?}", start.elapsed());
}

#[test]
fn changelogs() {
    for source in [
        "[a]: https://e.org\n".repeat(200_000),
        "## 1.0.0\n".repeat(50_000),
        "[".repeat(2_000_000),
        format!("## 1.0.0\n{}", "### Added\n".repeat(100_000)),
        format!("## 1.0.0\n{}", "### a\n### b\n- c\n".repeat(50_000)),
    ] {
        let start = Instant::now();
        assert!(lint(&source, &LintOptions::default()).len() <= 500);
        assert!(start.elapsed() < LONGEST, "{:?}", start.elapsed());
    }
}
