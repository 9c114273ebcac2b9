//! Hostile texts cost no time: commits and changelogs made to be slow are not.

use std::time::{Duration, Instant};

use jiff::civil::date;
use windlass_core::changelog::{EntryOptions, LintOptions, PromoteOptions, append_unreleased, lint, promote};
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

/// So many that comparing each with each would take minutes.
const MANY: usize = 60_000;

#[test]
fn entries_beyond_number_are_promoted_and_appended() {
    let entries: String = (0..MANY).map(|at| format!("- Entry {at} (#{at})\n")).collect();
    let source = format!("## [Unreleased]\n\n### Added\n\n{entries}\n## [1.0.0] - 2025-01-01\n\n- A\n");
    let version = "2.0.0".parse().unwrap();
    let start = Instant::now();
    let promoted = promote(&source, &version, date(2026, 1, 1), &PromoteOptions::default()).unwrap();
    assert!(promoted.contains(&format!("## [2.0.0] - 2026-01-01\n\n### Added\n\n{entries}")));
    assert!(start.elapsed() < LONGEST, "promoted in {:?}", start.elapsed());

    // Half of them are there by their issue.
    let commits: Vec<Commit> = (MANY / 2..MANY + MANY / 2)
        .rev()
        .map(|at| Commit { message: format!("feat: thing {at} (#{at})"), ..Commit::default() })
        .collect();
    let start = Instant::now();
    let appended = append_unreleased(&source, &commits, &EntryOptions::default()).unwrap();
    assert_eq!(appended.matches("\n- Thing ").count(), MANY / 2);
    assert!(start.elapsed() < LONGEST, "appended in {:?}", start.elapsed());
}
