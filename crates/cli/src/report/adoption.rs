//! The words of `windlass adoption`.

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use unicode_width::UnicodeWidthStr as _;
use windlass_core::text::sanitize_line;
use windlass_core::verdict::words::count;

use super::{Paint, words};
use crate::commands::adoption::{Issues, Told};

/// Releases with their files and issues.
pub fn text(releases: &[Told], paint: Paint, now: Timestamp) -> String {
    let mut text = String::new();
    releases.iter().for_each(|told| release(&mut text, told, paint, now));
    text
}

/// A line for each release.
pub fn lines(releases: &[Told], paint: Paint, now: Timestamp) -> String {
    let rows = releases.iter().map(|told| {
        let shown = &told.shown;
        let out = shown.published.map_or("not known since when".to_owned(), |at| {
            let day = at.to_zoned(TimeZone::system()).strftime("%Y-%m-%d").to_string();
            format!("since {day}, {}", words::span(at, now))
        });
        let mut about = growth(told);
        about.extend(
            told.before
                .as_ref()
                .filter(|_| !about.is_empty())
                .map(|look| format!(" since {}", words::moment(look.at, now))),
        );
        about.extend(shown.prerelease.then(|| "  pre-release".to_owned()));
        [shown.tag.clone(), out, counted(shown.downloads), about]
    });
    let rows: Vec<[String; 4]> = rows.collect();
    let width = |column: usize| rows.iter().map(|row| row[column].width()).max().unwrap_or_default();
    let (tag, out, downloads) = (width(0), width(1), width(2));
    let mut text = String::new();
    for row in &rows {
        let line = format!(
            "{}  {}  {}  {}",
            paint.bold(&left(&row[0], tag)),
            left(&row[1], out),
            right(&row[2], downloads),
            paint.dim(row[3].trim_start())
        );
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

fn release(text: &mut String, told: &Told, paint: Paint, now: Timestamp) {
    let shown = &told.shown;
    let name = if shown.name == shown.tag { "" } else { shown.name.as_str() };
    let mark = if shown.prerelease { paint.warn("pre-release") } else { String::new() };
    let title = [paint.bold(&shown.tag), name.to_owned(), mark];
    let title: Vec<&str> = title.iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
    let _ = writeln!(text, "{}", title.join("  "));
    let _ = writeln!(text, "  {}", paint.dim(&shown.url));
    if let Some(at) = shown.published {
        let _ = writeln!(text, "  out since {}", words::moment(at, now));
    }
    downloads(text, told, paint, now);
    match &told.issues {
        Some(issues) => self::issues(text, issues, paint),
        None => drop(writeln!(text, "  issues: the repository has none, or does not show them")),
    }
}

fn downloads(text: &mut String, told: &Told, paint: Paint, now: Timestamp) {
    const ALL: &str = "all together";
    let (shown, before) = (&told.shown, told.before.as_ref());
    if shown.assets.is_empty() {
        let _ = writeln!(text, "  downloads: no files were added to it");
        return;
    }
    let since = before.map(|look| format!(", and what changed since {}", words::moment(look.at, now)));
    let _ = writeln!(text, "  downloads{}", since.filter(|_| shown.downloads.is_some()).unwrap_or_default());
    let mut rows: Vec<(&str, Option<u64>, String)> = shown
        .assets
        .iter()
        .map(|asset| {
            let known = before.map(|look| look.assets.get(&asset.name).copied());
            let change = match known {
                Some(None) => "new".to_owned(),
                known => change(known.flatten(), asset.downloads),
            };
            (asset.name.as_str(), asset.downloads, change)
        })
        .collect();
    if shown.downloads.is_some() {
        rows.push((ALL, shown.downloads, growth(told)));
    }
    let name = rows.iter().map(|row| row.0.width()).max().unwrap_or_default();
    let number = rows.iter().map(|row| counted(row.1).width()).max().unwrap_or_default();
    for (at, (file, downloads, change)) in rows.iter().enumerate() {
        let line = format!("{}  {}  {change}", left(file, name), right(&counted(*downloads), number));
        let line = line.trim_end();
        let is_all = at == shown.assets.len();
        let _ = writeln!(text, "    {}", if is_all { paint.bold(line) } else { line.to_owned() });
    }
}

fn issues(text: &mut String, issues: &Issues, paint: Paint) {
    let labels = issues.labels.join(" or ");
    let more = if issues.truncated { ", and more than can be looked through" } else { "" };
    let _ = writeln!(
        text,
        "  issues with the label {}: {} open, {} closed{more}",
        sanitize_line(&labels),
        issues.open,
        issues.closed
    );
    let width = issues.issues.iter().map(|issue| issue.number.to_string().len()).max().unwrap_or_default();
    for issue in &issues.issues {
        let state = if issue.open { paint.warn("open  ") } else { paint.dim("closed") };
        let number = left(&format!("#{}", issue.number), width + 1);
        let _ = writeln!(text, "    {number}  {state}  {}  {}", issue.title, paint.dim(&issue.url));
    }
}

/// How a count changed: these are counts of all times, so one that fell was begun anew, such as for a file that was
/// replaced.
fn change(before: Option<u64>, now: Option<u64>) -> String {
    match before.zip(now) {
        None => String::new(),
        Some((before, now)) if now < before => format!("fell from {}", number(before)),
        Some((before, now)) if now == before => "as before".to_owned(),
        Some((before, now)) => format!("+{}", number(now - before)),
    }
}

/// How often a release was downloaded since the last look. Where a count was begun anew, or its file is gone, nobody
/// knows how often it was before that.
fn growth(told: &Told) -> String {
    let (Some(look), Some(downloads)) = (&told.before, told.shown.downloads) else { return String::new() };
    let before = |name: &str| look.assets.get(name).copied().unwrap_or_default();
    let counts =
        || told.shown.assets.iter().filter_map(|asset| Some((before(&asset.name), asset.downloads?)));
    let kept: u64 = told.shown.assets.iter().map(|asset| before(&asset.name)).sum();
    if kept == look.downloads && counts().all(|(before, now)| now >= before) {
        return change(Some(look.downloads), Some(downloads));
    }
    let grown = counts().map(|(before, now)| if now < before { now } else { now - before }).sum();
    format!("+{} at least", number(grown))
}

fn counted(downloads: Option<u64>) -> String {
    downloads.map_or("not counted".to_owned(), number)
}

#[allow(clippy::cast_precision_loss, reason = "no file was downloaded so often")]
fn number(number: u64) -> String {
    count(number as f64)
}

fn left(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.width())))
}

fn right(text: &str, width: usize) -> String {
    format!("{}{text}", " ".repeat(width.saturating_sub(text.width())))
}
