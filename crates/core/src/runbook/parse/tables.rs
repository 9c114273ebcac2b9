//! The sections people consult: common errors, escalation, and the criteria of a rollback.

use super::Findings;
use super::document::{Block, Kind, Segment, SegmentKind, plain};
use super::words;
use crate::diagnostic::Diagnostic;
use crate::duration::Duration;
use crate::runbook::{CommonError, Condition, Criterion, Escalation};

/// The rows of every table under the heading of common errors.
pub(super) fn errors(blocks: &[Block], errors: &mut Vec<CommonError>, findings: &mut Findings) {
    for block in blocks {
        let Kind::Table(rows) = &block.kind else { continue };
        let Some((header, rows)) = rows.split_first() else { continue };
        let mut columns: Vec<Option<usize>> =
            header.iter().map(|cell| words::error_column(&plain(cell))).collect();
        let recognised = columns.contains(&Some(0)) && columns.iter().flatten().count() > 1;
        if !recognised {
            if header.len() != 3 {
                findings.push(
                    Diagnostic::warning(
                        "unread-table",
                        "this table is not read as common errors",
                        block.span,
                    )
                    .help("give it the columns Error, Cause and Solution"),
                );
                continue;
            }
            columns = vec![Some(0), Some(1), Some(2)];
        }
        for row in rows {
            let mut cells = [String::new(), String::new(), String::new()];
            for (cell, column) in row.iter().zip(&columns) {
                if let Some(place) = column.and_then(|column| cells.get_mut(column)) {
                    *place = plain(cell);
                }
            }
            let [error, cause, solution] = cells;
            errors.push(CommonError { error, cause, solution });
        }
    }
}

/// The items of every list under the heading of escalation.
pub(super) fn escalations(blocks: &[Block], escalations: &mut Vec<Escalation>) {
    for block in blocks {
        let Kind::List(items) = &block.kind else { continue };
        for item in items {
            if let Some(Block { kind: Kind::Paragraph(segments), .. }) = item.blocks.first() {
                escalations.push(escalation(segments));
            }
        }
    }
}

/// `**Event** → `role` + note (< 15 min)`; a colon after the bold event serves as the arrow.
fn escalation(segments: &[Segment]) -> Escalation {
    let mut bold = String::new();
    let mut event = String::new();
    let mut to = Vec::new();
    let mut note = String::new();
    let mut after_arrow = false;
    for segment in segments {
        let text = segment.text.as_str();
        let arrow = match segment.kind {
            SegmentKind::Text if !after_arrow => {
                ["→", "->"].iter().find_map(|arrow| text.split_once(arrow)).or_else(|| {
                    text.split_once(':').filter(|(before, _)| !bold.is_empty() && before.trim().is_empty())
                })
            }
            _ => None,
        };
        if let Some((before, after)) = arrow {
            event.push_str(before);
            note.push_str(after);
            after_arrow = true;
        } else if segment.kind == SegmentKind::Code && after_arrow {
            // What only joins two names is no note.
            if matches!(note.trim(), "" | "," | "+" | "or" | "ou" | "and" | "et" | "puis" | "then") {
                note.clear();
            }
            to.push(crate::text::sanitize_line(text));
        } else if after_arrow {
            note.push_str(text);
        } else if segment.kind == SegmentKind::Strong {
            bold.push_str(text);
        } else {
            event.push_str(text);
        }
    }
    let (event, within_event) = split_within(&crate::text::sanitize_line(&event));
    let (note, within_note) = split_within(&crate::text::sanitize_line(&note));
    let event = crate::text::sanitize_line(&format!("{bold} {event}"));
    let mut note = note.trim_start_matches(',').trim().to_owned();
    if to.is_empty() && !note.is_empty() {
        // A name without backticks ends where the remark begins.
        let end = [" + ", ",", " ("].iter().filter_map(|joint| note.find(joint)).min().unwrap_or(note.len());
        to.push(note[..end].trim().to_owned());
        note = note[end..].trim_start_matches(',').trim().to_owned();
    }
    let event = event.trim_end_matches([':', ' ']).to_owned();
    Escalation { event, to, note, within: within_note.or(within_event) }
}

/// `text` without its `(< 15 min)`, and the duration of it.
fn split_within(text: &str) -> (String, Option<Duration>) {
    for (at, _) in text.match_indices('<') {
        let after = &text[at + 1..];
        let end = after.find([')', ',', '+', ';']).unwrap_or(after.len());
        let Ok(within) = Duration::parse(&after[..end]) else { continue };
        let mut before = text[..at].trim_end();
        let mut rest = after[end..].trim_start();
        if let (Some(opened), Some(closed)) = (before.strip_suffix('('), rest.strip_prefix(')')) {
            before = opened.trim_end();
            rest = closed.trim_start();
        }
        let joint = if before.is_empty() || rest.is_empty() { "" } else { " " };
        return (format!("{before}{joint}{rest}").trim_end_matches([':', ' ']).to_owned(), Some(within));
    }
    (text.to_owned(), None)
}

/// A criterion, with its condition where the text is one.
pub(super) fn criterion(text: String) -> Criterion {
    let condition = condition(&text);
    Criterion { text, condition }
}

fn condition(text: &str) -> Option<Condition> {
    let folded = words::fold(text).replace(['"', '`'], "");
    let split = folded.find(['<', '>', '×']).or_else(|| multiplier(&folded))?;
    let (name, bound) = folded.split_at(split);
    let metric = metric(name.trim().trim_end_matches(':').trim())?;
    let bound = bound.trim();
    if let Some(factor) = bound.strip_prefix(['x', '×']) {
        return number(factor).map(|factor| Condition { metric, bound: format!("> {factor}x") });
    }
    let operator = [">=", "<=", ">", "<"].into_iter().find(|operator| bound.starts_with(operator))?;
    let value = bound[operator.len()..].trim();
    let digits =
        value.trim_end_matches(|character: char| character.is_alphabetic() || "%×".contains(character));
    let unit = match value[digits.len()..].trim() {
        "×" => "x",
        unit @ ("" | "%" | "x" | "ms" | "s" | "/s" | "/min") => unit,
        _ => return None,
    };
    number(digits).map(|number| Condition { metric, bound: format!("{operator} {number}{unit}") })
}

/// Where ` x2` starts.
fn multiplier(text: &str) -> Option<usize> {
    text.match_indices(" x").map(|(at, _)| at + 1).find(|at| number(&text[at + 1..]).is_some())
}

/// `text` as a plain number, with a decimal point.
fn number(text: &str) -> Option<String> {
    let number = text.trim().replace(',', ".");
    let plain = !number.is_empty()
        && number.len() <= 12
        && number.starts_with(|first: char| first.is_ascii_digit())
        && number.ends_with(|last: char| last.is_ascii_digit())
        && number.chars().all(|character| character.is_ascii_digit() || character == '.')
        && number.matches('.').count() <= 1;
    plain.then_some(number)
}

/// The metric people call by `name`; an identifier such as `queue_depth` is itself.
fn metric(name: &str) -> Option<String> {
    let known = match name {
        "taux d'erreur" | "taux d'erreurs" | "error rate" | "errors rate" | "taux erreur" | "erreurs 5xx" => {
            "error_rate"
        }
        "latence" | "latency" | "latence p95" | "latency p95" | "p95" => "latency_p95",
        "latence p99" | "latency p99" | "p99" => "latency_p99",
        identifier
            if identifier.contains('_')
                && identifier.starts_with(|first: char| first.is_ascii_lowercase())
                && identifier
                    .chars()
                    .all(|character| character.is_ascii_alphanumeric() || character == '_') =>
        {
            identifier
        }
        _ => return None,
    };
    Some(known.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_read_where_they_measure() {
        let check = |text: &str, expect: Option<(&str, &str)>| {
            let found = criterion(text.to_owned()).condition;
            let found = found.as_ref().map(|found| (found.metric.as_str(), found.bound.as_str()));
            assert_eq!(found, expect, "{text}");
        };
        check("Taux d'erreur > 1%", Some(("error_rate", "> 1%")));
        check("Taux d’erreur >1,5 %", Some(("error_rate", "> 1.5%")));
        check("Latence x2", Some(("latency_p95", "> 2x")));
        check("Latency ×2", Some(("latency_p95", "> 2x")));
        check("latency_p95: \"> 2x\"", Some(("latency_p95", "> 2x")));
        check("Latency > 2x", Some(("latency_p95", "> 2x")));
        check("queue_depth >= 100", Some(("queue_depth", ">= 100")));
        check("latency_p99 > 250 ms", Some(("latency_p99", "> 250ms")));
        check("Fonctionnalité critique cassée", None);
        check("Bug sécurité", None);
        check("5 people > 1", None);
        check("error rate > lots", None);
    }

    #[test]
    fn a_time_limit_leaves_the_text() {
        let check = |text: &str, rest: &str, within: Option<&str>| {
            let found = split_within(text);
            assert_eq!(
                (found.0.as_str(), found.1.map(|within| within.to_string()).as_deref()),
                (rest, within)
            );
        };
        check("(< 15 min)", "", Some("15m"));
        check("+ rollback (< 1h)", "+ rollback", Some("1h"));
        check("On-call < 30 min", "On-call", Some("30m"));
        check("a < b", "a < b", None);
    }
}
