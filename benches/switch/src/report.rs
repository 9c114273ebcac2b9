//! The figures as a table.

use std::fmt::Write as _;

use crate::load::Failure;
use crate::round::{Plan, Round};

/// The table; with the machine before it when `markdown`.
pub fn text(plan: &Plan, rounds: &[Round], markdown: bool) -> String {
    let mut text = String::new();
    if markdown {
        let _ok = writeln!(
            text,
            "{}. {} connections, {}, seed {}.\n",
            machine(),
            plan.connections,
            if plan.rate == 0 {
                "as many requests as go".into()
            } else {
                format!("{} requests a second", plan.rate)
            },
            plan.seed
        );
    }
    text.push_str(
        "| way | requests | switches | killed in the middle | failed | failed a switch | last request on the old: median | p99 | max | took |\n\
         |---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for round in rounds {
        let failures = round.counts.failures();
        let failed: u64 = failures.iter().map(|(_, count)| count).sum();
        let mut times = round.last_on_old.clone();
        times.sort_by(f64::total_cmp);
        let _ok = writeln!(
            text,
            "| {} | {} | {} | {} | {}{} | {:.1} | {} | {} | {} | {:.0} s |",
            round.name,
            round.counts.all(),
            round.switches,
            round.killed,
            failed,
            kinds(&failures),
            failed as f64 / round.switches.max(1) as f64,
            milliseconds(&times, 50),
            milliseconds(&times, 99),
            milliseconds(&times, 100),
            round.took.as_secs_f64()
        );
    }
    text
}

fn kinds(failures: &[(Failure, u64)]) -> String {
    let told: Vec<String> = failures
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(why, count)| {
            let why = match why {
                Failure::Connect => "not connected",
                Failure::Reset => "connection ended",
                Failure::Status => "not 200",
                Failure::Body => "wrong answer",
                Failure::Time => "no answer in 10 s",
            };
            format!("{count} {why}")
        })
        .collect();
    if told.is_empty() { String::new() } else { format!(" ({})", told.join(", ")) }
}

/// The smallest of sorted numbers that so many percent do not exceed.
fn percentile(sorted: &[f64], percent: usize) -> Option<f64> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

fn milliseconds(sorted: &[f64], percent: usize) -> String {
    percentile(sorted, percent).map_or("-".into(), |value| format!("{value:.2} ms"))
}

fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split(':').nth(1)).map(|value| value.trim().to_owned()).unwrap_or_default()
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let load = read("/proc/loadavg");
    format!(
        "{cores} cores ({}), load {} at the end",
        field(&read("/proc/cpuinfo"), "model name"),
        load.split(' ').next().unwrap_or("?")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_numbers() {
        let numbers: Vec<f64> = (1..=200).map(f64::from).collect();
        for (percent, expect) in [(50, 100.0), (99, 198.0), (100, 200.0)] {
            assert_eq!(percentile(&numbers, percent), Some(expect));
        }
        assert_eq!(percentile(&[3.0], 99), Some(3.0));
        assert_eq!(percentile(&[], 50), None);
    }
}
