//! The words of the commands, one function per message.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use windlass_core::runbook::Runbook;
use windlass_core::text::{sanitize, sanitize_line};

use super::Paint;
use crate::commands::next::Explained;
use crate::commands::{bump, check, doctor, init};
use crate::project::counted;

/// The types of commits that are shown however few there are.
const KNOWN_TYPES: [&str; 12] =
    ["feat", "fix", "perf", "revert", "docs", "style", "refactor", "test", "build", "ci", "chore", "other"];
/// So many further types are shown.
const MOST_TYPES: usize = 6;

/// `windlass next`.
pub fn next(explained: &Explained, explain: bool, paint: Paint) -> String {
    let decision = explained.decision.as_ref();
    let mut text = decision.map_or_else(String::new, |decision| format!("{}\n", decision.version));
    if !explain {
        return text;
    }
    let mut row = |name: &str, value: &str| {
        let _ = writeln!(text, "{} {}", paint.dim(&format!("{name:<8}")), value);
    };
    if let Some(decision) = decision {
        row("tag", &sanitize_line(&decision.tag));
        row("channel", decision.channel.as_str());
    }
    match &explained.baseline {
        None => row("baseline", "none"),
        Some(baseline) => {
            row(
                "baseline",
                &format!("{}, at {}", baseline.tag, baseline.commit.get(..10).unwrap_or_default()),
            );
            let kinds = kinds(&explained.commits_by_type);
            row("since", &format!("{}{kinds}", counted(baseline.commits_since, "commit", "commits")));
        }
    }
    if let Some(runner_up) = &explained.runner_up {
        row("not", &format!("{}, which {}", runner_up.tag, runner_up.why));
    }
    if let Some(decision) = decision {
        row("previous", &decision.previous_tag.as_deref().map_or("none".into(), sanitize_line));
    }
    if let Some(lead_time) = &explained.lead_time {
        row("begun", &lead_time.first_commit_at);
    }
    for reason in decision.map_or(&explained.found, |decision| &decision.reasons) {
        let _ = writeln!(text, "- {}", sanitize_line(reason));
    }
    text
}

/// How many changes there are of each type: of those that are known and of the most frequent others. Where commits have
/// no types, any word before a colon looks like one.
fn kinds(by_type: &BTreeMap<String, usize>) -> String {
    let is_known = |kind: &str| KNOWN_TYPES.contains(&kind);
    let mut shown: Vec<(&String, usize)> = by_type.iter().map(|(kind, count)| (kind, *count)).collect();
    shown.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let (known, mut rest): (Vec<_>, Vec<_>) = shown.into_iter().partition(|(kind, _)| is_known(kind));
    let others: usize = rest.split_off(MOST_TYPES.min(rest.len())).iter().map(|(_, count)| count).sum();
    let mut all: Vec<(&str, usize)> =
        known.into_iter().chain(rest).map(|(kind, count)| (kind.as_str(), count)).collect();
    all.sort_unstable();
    let mut told: Vec<String> =
        all.into_iter().map(|(kind, count)| format!("{count} {}", sanitize_line(kind))).collect();
    if others > 0 {
        told.push(format!("{others} others"));
    }
    if told.is_empty() { String::new() } else { format!(": {}", told.join(", ")) }
}

/// `windlass next` of a repository with packages.
pub fn packages(packages: &[Explained], explain: bool, paint: Paint) -> String {
    let width =
        packages.iter().filter_map(|package| package.package.as_deref()).map(str::len).max().unwrap_or(0);
    let mut text = String::new();
    let mut hints: Vec<String> = Vec::new();
    for package in packages {
        let name = sanitize_line(package.package.as_deref().unwrap_or_default());
        let version =
            package.decision.as_ref().map_or("-".to_owned(), |decision| decision.version.to_string());
        let why = match (&package.decision, &package.problem) {
            (Some(decision), _) => decision.reasons.first().map(|reason| sanitize_line(reason)),
            (None, problem) => problem.clone(),
        };
        let mut why = why.unwrap_or_default();
        // What to do is the same for many: it is said once, below them.
        if let (None, Some((what, hint))) = (&package.decision, why.rsplit_once("; ")) {
            let hint = hint.to_owned();
            why = what.to_owned();
            if !hints.contains(&hint) {
                hints.push(hint);
            }
        }
        let _ =
            writeln!(text, "{name:<width$} {} {}", paint.bold(&format!("{version:<12}")), paint.dim(&why));
        if explain {
            for line in next(package, true, paint).lines().filter(|line| *line != version) {
                let _ = writeln!(text, "  {line}");
            }
        }
    }
    for hint in hints {
        let _ = writeln!(text, "{}", paint.dim(&format!("{:<width$} {hint}", "")));
    }
    text
}

/// `windlass bump`.
pub fn bump(output: &bump::Output, paint: Paint) -> String {
    let mut text = String::new();
    for raised in &output.versions {
        let package = raised.package.as_deref().map(|name| format!("{} ", sanitize_line(name)));
        let current = raised.current.as_deref().unwrap_or("none");
        let _ = writeln!(text, "{}{current} -> {}", package.unwrap_or_default(), paint.bold(&raised.next));
    }
    for path in &output.files {
        let verb = if output.dry_run { "would write" } else { "wrote" };
        let _ = writeln!(text, "  {verb} {}", sanitize_line(path));
    }
    if output.files.is_empty() && !output.dry_run {
        let _ = writeln!(text, "  every file states that already, so nothing was done");
    }
    if let Some(commit) = &output.commit {
        let _ = writeln!(text, "  committed {}", commit.get(..10).unwrap_or(commit));
    }
    text
}

/// A changelog was written, or was as it should be already.
pub fn changelog_written(path: &str, changed: bool) -> String {
    let path = sanitize_line(path);
    if changed { format!("wrote {path}") } else { format!("{path} is as it should be already") }
}

/// A changelog that is generated is not filled.
pub fn changelog_is_generated(path: &str) -> String {
    format!(
        "{} is generated, so there is nothing to fill: `windlass changelog` shows what comes next, and \
         `windlass changelog promote` writes it",
        sanitize_line(path)
    )
}

/// There are no commits to fill a changelog from.
pub fn nothing_to_fill(path: &str) -> String {
    format!("nothing came since the last release, so there is nothing to fill {} with", sanitize_line(path))
}

/// There are no commits to tell of.
pub fn nothing_unreleased(path: &str) -> String {
    format!("nothing came since the last release that {} would tell", sanitize_line(path))
}

/// A changelog was generated into a file.
pub fn changelog_generated(path: &Path) -> String {
    format!("wrote {}", sanitize_line(&path.to_string_lossy()))
}

/// A changelog has nothing wrong.
pub fn changelog_clean(path: &str) -> String {
    format!("{} is in order", sanitize_line(path))
}

/// So many findings.
pub fn findings(count: usize) -> String {
    counted(count, "finding", "findings")
}

/// Notes were written to a file.
pub fn notes_written(version: &str, path: &Path) -> String {
    format!("wrote the notes of {version} to {}", sanitize_line(&path.to_string_lossy()))
}

/// The commits cannot be asked what the changelog leaves out.
pub fn notes_without_commits(why: &str) -> String {
    format!("these are the changelog's words alone, without what the commits know: {}", sanitize_line(why))
}

/// The changelog of then cannot be asked for its words.
pub fn notes_without_words(why: &str) -> String {
    format!(
        "these are told from the commits, without the words of the changelog of then: {}",
        sanitize_line(why)
    )
}

/// A package is released because of others.
pub fn nothing_to_tell(path: &str) -> String {
    format!("no commit of this release is the package's own, so {} stays as it is", sanitize_line(path))
}

/// HEAD is a pre-release, and nothing came after it.
pub fn nothing_since(tag: &str) -> String {
    format!("nothing came since {}: this is what the next stable release would hold", sanitize_line(tag))
}

/// A plan was written to a file.
pub fn plan_written(path: &Path) -> String {
    let path = sanitize_line(&path.to_string_lossy());
    format!("wrote {path}; run it with `windlass run {path}`")
}

/// The manual was written.
pub fn manual_written(path: &Path) -> String {
    format!("wrote the manual pages to {}", sanitize_line(&path.to_string_lossy()))
}

/// How much a runbook holds.
pub fn counts(runbook: &Runbook) -> String {
    let counts = runbook.counts();
    let parts = [
        (counts.steps, "step", "steps"),
        (counts.items, "item", "items"),
        (counts.preconditions, "precondition", "preconditions"),
        (counts.scripts, "script", "scripts"),
        (counts.actions, "action", "actions"),
        (counts.calls, "call", "calls"),
        (counts.criteria, "criterion of rollback", "criteria of rollback"),
        (counts.errors, "common error", "common errors"),
        (counts.escalations, "escalation", "escalations"),
    ];
    let shown: Vec<String> = parts
        .iter()
        .filter(|(count, _, _)| *count > 0)
        .map(|(count, one, many)| counted(*count, one, many))
        .collect();
    shown.join(", ")
}

/// `windlass check` found errors.
pub fn check_failed(errors: usize, warnings: usize) -> String {
    let errors = counted(errors, "error", "errors");
    match warnings {
        0 => errors,
        warnings => format!("{errors}, {}", counted(warnings, "warning", "warnings")),
    }
}

/// `windlass check` found no error.
pub fn checked(output: &check::Output, warnings: usize, paint: Paint) -> String {
    let mut text = String::new();
    for runbook in &output.runbooks {
        let path = sanitize_line(&runbook.path);
        let _ = writeln!(text, "{} {path}  {}", paint.good("ok"), paint.dim(&runbook.summary));
    }
    if let Some(config) = &output.config {
        let _ = writeln!(text, "{} {}", paint.good("ok"), sanitize_line(config));
    }
    if output.runbooks.is_empty() {
        let _ = writeln!(text, "there is no runbook yet: write one with `windlass init`");
    }
    if warnings > 0 {
        let _ = writeln!(text, "{}", counted(warnings, "warning", "warnings"));
    }
    text
}

/// What `windlass init` is about to write.
pub fn init_plan(output: &init::Output, texts: &[(String, String)], paint: Paint) -> String {
    let mut text = format!("{}\n", sanitize_line(&output.found));
    for (path, content) in texts {
        let _ = writeln!(text, "\n{}", paint.bold(&format!("+ {}", sanitize_line(path))));
        for line in content.lines() {
            let _ = writeln!(text, "  {}", sanitize(line));
        }
    }
    for path in &output.kept {
        let _ = writeln!(
            text,
            "\n{}",
            paint.dim(&format!("= {} is there and stays as it is", sanitize_line(path)))
        );
    }
    text
}

/// The question of `windlass init`.
pub fn init_question(commits: bool) -> &'static str {
    if commits { "Write and commit these files?" } else { "Write these files?" }
}

/// What `windlass init` did.
pub fn init_done(output: &init::Output) -> String {
    let mut text = String::new();
    for path in &output.written {
        let _ = writeln!(text, "wrote {}", sanitize_line(path));
    }
    if let Some(commit) = &output.commit {
        let _ = writeln!(text, "committed {}", commit.get(..10).unwrap_or(commit));
    }
    if output.written.is_empty() {
        let _ = writeln!(text, "everything is there already");
    }
    text.push_str("next: `windlass plan` shows what a release would do, `windlass run` does it\n");
    text
}

/// `windlass doctor`.
pub fn doctor(output: &doctor::Output, paint: Paint) -> String {
    let mut text = String::new();
    for check in &output.checks {
        let mark = match check.state {
            doctor::State::Good => paint.good("ok  "),
            doctor::State::Warning => paint.warn("warn"),
            doctor::State::Bad => paint.bad("bad "),
        };
        let _ = writeln!(text, "{mark} {:<14} {}", check.name, sanitize_line(&check.found));
        if let Some(help) = &check.help {
            let _ = writeln!(text, "{:20}{}", "", paint.dim(&sanitize_line(help)));
        }
    }
    text
}
