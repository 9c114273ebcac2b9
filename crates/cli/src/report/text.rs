//! The words of the commands, one function per message.

use std::fmt::Write as _;
use std::path::Path;

use windlass_core::runbook::Runbook;
use windlass_core::text::{sanitize, sanitize_line};
use windlass_core::version::next::Decision;

use super::Paint;
use crate::commands::{bump, check, doctor, init};
use crate::project::counted;

/// `windlass next`.
pub fn next(decision: &Decision, explain: bool, paint: Paint) -> String {
    let mut text = format!("{}\n", decision.version);
    if explain {
        let previous = decision.previous_tag.as_deref().map_or("none".into(), sanitize_line);
        let _ = writeln!(text, "{} {}", paint.dim("tag     "), sanitize_line(&decision.tag));
        let _ = writeln!(text, "{} {}", paint.dim("previous"), previous);
        let _ = writeln!(text, "{} {}", paint.dim("channel "), decision.channel);
        let _ = writeln!(text, "{} {}", paint.dim("commits "), decision.commits);
        for reason in &decision.reasons {
            let _ = writeln!(text, "- {}", sanitize_line(reason));
        }
    }
    text
}

/// `windlass bump`.
pub fn bump(output: &bump::Output, paint: Paint) -> String {
    let current = output.current.as_deref().unwrap_or("none");
    let mut text = format!("{current} -> {}\n", paint.bold(&output.next));
    for path in &output.files {
        let verb = if output.dry_run { "would write" } else { "wrote" };
        let _ = writeln!(text, "  {verb} {}", sanitize_line(path));
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
