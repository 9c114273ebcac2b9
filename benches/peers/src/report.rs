//! The tables, as Markdown.

use std::fmt::Write as _;

use crate::rows::{Kind, TASKS};
use crate::session::{Outcome, Sheet, shown};

/// The machine and the command, as they head the section of `benches/README.md`.
pub fn heading(command: &str, rounds: usize) -> String {
    let model = read("/proc/cpuinfo", "model name");
    let memory =
        read("/proc/meminfo", "MemTotal").trim_end_matches(" kB").trim().parse::<u64>().unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let system = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let system = system
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))
        .unwrap_or("")
        .trim_matches('"')
        .to_owned();
    format!(
        "`{command}`\n\n{cores} cores ({model}), {} GiB, {system}. Medians of {rounds} rounds after a warm-up, every tool in turn; memory is the most of all rounds. Seconds of CPU are user and system, of the tool and all it starts.\n",
        memory.div_ceil(1 << 20)
    )
}

fn read(path: &str, key: &str) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(key)).unwrap_or_default();
    line.split_once(':').map_or("", |(_, value)| value.trim()).to_owned()
}

/// The table of one repository in one variant.
pub fn table(sheet: &Sheet) -> String {
    let subject = &sheet.subject;
    let mut text = String::new();
    // What is written to a String cannot fail.
    let _ = writeln!(text, "\n### {}, {}\n", subject.name, sheet.variant);
    let _ = writeln!(
        text,
        "{} commits, {} tags ({} versions in `{}`), baseline `{}` with {} commits since{}.\n",
        grouped(subject.full.all()),
        grouped(subject.tags.1 as u64),
        grouped(subject.tags.0 as u64),
        subject.branch,
        subject.baseline.as_deref().unwrap_or("none"),
        grouped(subject.unreleased.all()),
        subject.package().map_or_else(String::new, |package| format!(
            "; {} packages, the one is `{}` with {} commits",
            subject.packages.len(),
            package.path,
            grouped(package.commits.all())
        ))
    );
    text.push_str("| task | tool | CPU s | wall s | MiB | CPU | wall | memory | says |\n");
    text.push_str("|---|---|---:|---:|---:|---:|---:|---:|---|\n");
    for task in TASKS {
        let of: Vec<&Outcome> = sheet.outcomes.iter().filter(|outcome| outcome.task == task).collect();
        let done = |outcome: &&&Outcome| outcome.kind == Kind::Windlass && outcome.answer.is_ok();
        for (index, outcome) in of.iter().enumerate() {
            let name = if index == 0 { task.to_string() } else { String::new() };
            let tool = format!("{} {}", outcome.tool, shown(outcome.cache));
            let tool = if outcome.kind == Kind::Windlass { format!("**{}**", tool.trim()) } else { tool };
            let usage = &outcome.usage;
            let ours = of.iter().filter(done).find(|ours| ours.is_as_warm_as(outcome));
            let times = |figure: f64, own: f64| match ours {
                Some(_) if outcome.kind != Kind::Windlass && own > 0.0 => {
                    format!("{}{:.1}x", if usage.is_over_time { "> " } else { "" }, figure / own)
                }
                _ => String::new(),
            };
            let own = ours.map(|ours| ours.usage).unwrap_or_default();
            let _ = writeln!(
                text,
                "| {name} | {} | {:.3} | {:.3} | {:.0} | {} | {} | {} | {} |",
                tool.trim(),
                usage.cpu,
                usage.wall,
                usage.memory,
                times(usage.cpu, own.cpu),
                times(usage.wall, own.wall),
                times(usage.memory, own.memory),
                said(outcome)
            );
        }
    }
    text
}

fn said(outcome: &Outcome) -> String {
    let mut said = match &outcome.answer {
        Ok(answer) => match &answer.wrong {
            None => answer.shown.clone(),
            Some(why) => format!("**wrong: {}**, {why}", answer.shown),
        },
        Err(why) => format!("**failed**: {}", why.replace('|', "/").replace('\n', " ")),
    };
    if outcome.rounds == 1 {
        said.push_str(" (once)");
    }
    said
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn thousands_are_grouped() {
        for (number, expect) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), expect);
        }
    }
}
