//! What is wrong with a changelog: order, dates, links, groups, what is missing and what is there twice.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::civil::Date;

use super::heading::{self, Dated};
use super::links::Compare;
use super::parse::conflict;
use super::{Changelog, Group, Link, Release, Section, SectionKind};
use crate::diagnostic::{Diagnostic, Span};
use crate::version::{TagFormat, Version};

/// More findings than this help nobody.
const MOST: usize = 500;

/// What a changelog is checked against.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LintOptions {
    /// The day it is: a release dated after it is a finding.
    pub today: Option<Date>,
    /// How tags are named.
    pub tag_format: TagFormat,
    /// Windlass writes the changelog: it needs no unreleased section.
    pub generated: bool,
}

/// Every finding about a changelog, in the order of its text. Errors mislead its readers or keep a release from being
/// promoted or found; warnings are departures in style.
pub fn lint(source: &str, options: &LintOptions) -> Vec<Diagnostic> {
    let changelog = match Changelog::read(source) {
        Ok(changelog) => changelog,
        Err(error) => return vec![Diagnostic::error("unreadable", error.to_string(), None)],
    };
    let mut findings = Findings::default();
    conflicts(source, &mut findings);
    unreleased(&changelog, options, &mut findings);
    duplicates(&changelog, &mut findings);
    let releases: Vec<(&Section, &Release)> = changelog.releases().collect();
    let any_date = releases.iter().any(|(section, _)| heading::dated(&section.title) != Dated::Never);
    if let Some((first, _)) = releases.first().filter(|_| !any_date) {
        let message = "no release has a date".to_owned();
        findings.error("no-date", message, first.heading, "write them as `## [1.2.3] - 2026-01-31`");
    }
    for (section, _) in &releases {
        if any_date {
            date(source, section, options.today, &mut findings);
        }
        if !section.has_content {
            let message = format!("{} has no entry", shown(section));
            findings.error("no-entry", message, section.heading, "write one, or remove the heading");
        }
    }
    for pair in releases.windows(2) {
        order(pair[0], pair[1], &mut findings);
    }
    let mut unknown: BTreeMap<&str, (Span, usize)> = BTreeMap::new();
    for section in changelog.sections() {
        match section.kind {
            SectionKind::Other => {
                if let Some(label) = heading::unread_version(&section.title) {
                    let message = format!("`{label}` is not a version, so this is not read as a release");
                    let help = "versions have three numbers, such as 1.2.0: https://semver.org";
                    findings.warning("not-a-version", message, section.heading, help);
                }
            }
            _ => groups(section, &mut unknown, &mut findings),
        }
    }
    // A project with groups of its own throughout means them.
    let follows = changelog
        .sections()
        .iter()
        .flat_map(|section| &section.groups)
        .any(|it| Group::of_title(&it.title).is_some());
    for (title, (span, count)) in unknown.into_iter().filter(|_| follows) {
        let times = if count > 1 { format!(" ({count} times)") } else { String::new() };
        let message = format!("`{title}` is none of Keep a Changelog's groups{times}");
        let meant = Group::meant_by(title).map_or_else(
            || format!("there are {}", Group::ALL.map(Group::as_str).join(", ")),
            |group| format!("did you mean `{}`?", group.as_str()),
        );
        findings.warning("unknown-group", message, span, &meant);
    }
    links(&changelog, &releases, options, &mut findings);
    findings.sorted()
}

/// `findings` with no more than `most` of one kind: instead of the rest, one that says on which lines they are.
pub fn grouped(source: &str, findings: Vec<Diagnostic>, most: usize) -> Vec<Diagnostic> {
    /// More lines than this are not listed.
    const LINES: usize = 12;
    let mut kept = Vec::new();
    let mut rest: Vec<(Diagnostic, Vec<usize>)> = Vec::new();
    let mut counts: HashMap<String, usize> = HashMap::new();
    let (mut line, mut counted) = (1, 0);
    for finding in findings {
        let count = counts.entry(finding.code.clone()).or_default();
        *count += 1;
        if *count <= most {
            kept.push(finding);
            continue;
        }
        // They come in the order of the text, so its lines are counted once.
        let at = finding.span.map_or(counted, |span| span.start).min(source.len()).max(counted);
        line += source.as_bytes()[counted..at].iter().filter(|byte| **byte == b'\n').count();
        counted = at;
        match rest.iter_mut().find(|(first, _)| first.code == finding.code) {
            Some((_, lines)) => lines.push(line),
            None => rest.push((finding, vec![line])),
        }
    }
    for (first, lines) in rest {
        let shown: Vec<String> = lines.iter().take(LINES).map(usize::to_string).collect();
        let more = if lines.len() > LINES { ", and further down" } else { "" };
        let word = if lines.len() == 1 { "line" } else { "lines" };
        let message = format!("{} more of this kind, on {word} {}{more}", lines.len(), shown.join(", "));
        kept.push(Diagnostic { message, span: None, help: None, ..first });
    }
    kept
}

#[derive(Default)]
struct Findings(Vec<Diagnostic>);

impl Findings {
    fn error(&mut self, code: &str, message: String, span: impl Into<Option<Span>>, help: &str) {
        self.add(Diagnostic::error(code, message, span).help(help));
    }

    fn warning(&mut self, code: &str, message: String, span: impl Into<Option<Span>>, help: &str) {
        self.add(Diagnostic::warning(code, message, span).help(help));
    }

    fn add(&mut self, finding: Diagnostic) {
        if self.0.len() < MOST {
            self.0.push(finding.showable());
        }
    }

    fn sorted(mut self) -> Vec<Diagnostic> {
        self.0.sort_by_key(|finding| finding.span.map_or(0, |span| span.start));
        self.0
    }
}

fn shown(section: &Section) -> String {
    match &section.kind {
        SectionKind::Release(release) => format!("the release {}", release.version),
        _ => format!("`{}`", section.title),
    }
}

fn conflicts(source: &str, findings: &mut Findings) {
    let marks = |line: &str| ["<<<<<<< ", ">>>>>>> "].iter().any(|mark| line.starts_with(mark));
    if !source.lines().any(marks) {
        return;
    }
    // One end alone may be an example, when it stands in code.
    let code = match conflict(source) {
        Some(_) => Vec::new(),
        None => super::blocks::code(source),
    };
    let mut at = 0;
    for line in source.split_inclusive('\n') {
        if marks(line) && !code.iter().any(|span| (span.start..span.end).contains(&at)) {
            let span = Span::new(at, at + line.trim_end().len());
            let message = "a merge was left unfinished here".to_owned();
            findings.error("conflict", message, span, "resolve the conflict and remove the marker");
        }
        at += line.len();
    }
}

fn unreleased(changelog: &Changelog<'_>, options: &LintOptions, findings: &mut Findings) {
    let Some(section) = changelog.unreleased() else {
        if !options.generated {
            let message = "there is no section for what is not released yet".to_owned();
            let help = "add `## [Unreleased]` above the latest release";
            findings.warning("no-unreleased", message, None, help);
        }
        return;
    };
    if let Some((first, _)) = changelog.latest()
        && first.heading.start < section.heading.start
    {
        let message = "`Unreleased` stands below a release".to_owned();
        findings.error("order", message, section.heading, "what comes next stands above what was released");
    }
}

fn duplicates(changelog: &Changelog<'_>, findings: &mut Findings) {
    let mut seen: HashMap<String, usize> = HashMap::new();
    for section in changelog.sections() {
        let name = match &section.kind {
            SectionKind::Unreleased => "Unreleased".to_owned(),
            SectionKind::Release(release) => release.version.to_string(),
            SectionKind::Other => continue,
        };
        if let Some(line) = seen.get(&name) {
            let message = format!("`{name}` is here again: line {line} has it already");
            findings.error("duplicate-heading", message, section.heading, "join the two sections");
        } else {
            seen.insert(name, section.line);
        }
    }
}

fn date(source: &str, section: &Section, today: Option<Date>, findings: &mut Findings) {
    let help = "write it as `## [1.2.3] - 2026-01-31`";
    let place = |text: &str| {
        let written = &source[section.heading.start..section.heading.end];
        written.find(text).map_or(section.heading, |at| {
            let start = section.heading.start + at;
            Span::new(start, start + text.len())
        })
    };
    match heading::dated(&section.title) {
        Dated::On(date) if today.is_some_and(|today| date > today) => {
            let text = date.to_string();
            let message = format!("{} is dated {text}, which is yet to come", shown(section));
            findings.warning("future-date", message, place(&text), "give it the day it was released");
        }
        Dated::On(_) => {}
        Dated::Impossible(text) => {
            let message = format!("there is no day {text}");
            findings.error("impossible-date", message, place(text), "give the day it was released");
        }
        Dated::Otherwise(text) => {
            let message = format!("`{text}` is not read as a date");
            findings.warning("date-format", message, place(text), help);
        }
        Dated::Never => {
            let message = format!("{} has no date", shown(section));
            findings.error("no-date", message, section.heading, help);
        }
    }
}

/// Highest first; a file may also be in the order of its dates, when older lines are maintained.
fn order(upper: (&Section, &Release), lower: (&Section, &Release), findings: &mut Findings) {
    let ((above, a), (below, b)) = (upper, lower);
    let dates = a.date.zip(b.date);
    let line = |version: &Version| (version.major, version.minor);
    // Releases of one day may stand in any order, unless they are of one line.
    let explained = dates.is_some_and(|(above, below)| {
        above > below || (above == below && line(&a.version) != line(&b.version))
    });
    if b.version > a.version && !explained {
        let message = format!("{} stands below {}", b.version, a.version);
        findings.error("order", message, below.heading, "the highest version, or the newest, comes first");
    } else if a.version > b.version
        && line(&a.version) == line(&b.version)
        && let Some((earlier, later)) = dates.filter(|(a, b)| a < b)
    {
        let message =
            format!("{} is dated {earlier}, before {} below it, which is of {later}", a.version, b.version);
        findings.warning("date-order", message, above.heading, "one of the two dates is wrong");
    }
}

fn groups<'c>(section: &'c Section, unknown: &mut BTreeMap<&'c str, (Span, usize)>, findings: &mut Findings) {
    let mut last: Option<Group> = None;
    let mut seen: Vec<Group> = Vec::new();
    let Some(level) = section.groups.iter().map(|group| group.level).min() else { return };
    let nested = section.groups.iter().any(|group| group.level > level);
    for heading in section.groups.iter().filter(|group| group.level == level) {
        let Some(group) = Group::of_title(&heading.title) else {
            unknown.entry(&heading.title).or_insert((heading.span, 0)).1 += 1;
            continue;
        };
        let name = group.as_str();
        if !heading.has_content && !nested {
            let message = format!("`{name}` has no entry");
            findings.warning("empty-group", message, heading.span, "write one, or remove the heading");
        }
        if seen.contains(&group) {
            let message = format!("{} has `{name}` twice", shown(section));
            findings.warning("duplicate-group", message, heading.span, "join the two groups");
        } else if let Some(before) = last.filter(|before| *before > group) {
            let message = format!("`{name}` stands after `{}`", before.as_str());
            let help = format!("the order is {}", Group::ALL.map(Group::as_str).join(", "));
            findings.warning("group-order", message, heading.span, &help);
        }
        if !seen.contains(&group) {
            seen.push(group);
        }
        last = last.max(Some(group));
    }
}

fn links(
    changelog: &Changelog<'_>,
    releases: &[(&Section, &Release)],
    options: &LintOptions,
    findings: &mut Findings,
) {
    let mut defined: HashMap<String, &Link> = HashMap::new();
    for link in changelog.links() {
        if let Some(first) = defined.get(&link.label.to_lowercase()) {
            let message = format!("the link `[{}]` is defined on line {} already", link.label, first.line);
            findings.warning(
                "duplicate-link",
                message,
                link.span,
                "only the first one counts: remove this one",
            );
        } else {
            defined.insert(link.label.to_lowercase(), link);
        }
    }
    let used = bracketed(changelog.source());
    for link in changelog.links() {
        if used.get(&link.label.to_lowercase()).is_none_or(|count| *count <= 1) {
            let message = format!("nothing uses the link `[{}]`", link.label);
            findings.warning("unused-link", message, link.span, "remove the line, or give it its heading");
        }
    }
    let of = |section: &Section| defined.get(&heading::label(&section.title).to_lowercase()).copied();
    let bracketed =
        |section: &&Section| section.title.trim().starts_with('[') && !section.title.contains("](");
    let linked = changelog.sections().iter().filter(|section| section.kind != SectionKind::Other);
    let any = linked.clone().any(|section| of(section).is_some());
    for section in linked.filter(bracketed).filter(|section| any && of(section).is_none()) {
        let message = format!("the link of `[{}]` is not defined", heading::label(&section.title));
        findings.warning("missing-link", message, section.heading, "define it at the end of the file");
    }
    let known: HashSet<&Version> = releases.iter().map(|(_, release)| &release.version).collect();
    let highest = known.iter().max();
    if let Some((link, parts)) =
        changelog.unreleased().and_then(of).and_then(|link| Some((link, Compare::of(&link.url)?)))
        && let (Some(version), Some(highest)) = (version_of(parts.older(), options), highest)
        && version != **highest
    {
        let message =
            format!("the link of `Unreleased` compares from {version}, but {highest} is the last release");
        let help = format!("compare from {}", options.tag_format.render(highest));
        findings.error("link-range", message, link.url_span, &help);
    }
    for (at, (section, release)) in releases.iter().enumerate() {
        let Some((link, parts)) = of(section).and_then(|link| Some((link, Compare::of(&link.url)?))) else {
            continue;
        };
        let below = releases.get(at + 1).map(|(_, below)| &below.version);
        let (old, new) = (version_of(parts.older(), options), version_of(parts.newer(), options));
        let wrong = match (&new, &old) {
            (Some(new), _) if *new != release.version => Some(format!("compares to {new}")),
            (None, _) => Some("compares to something that is no version".to_owned()),
            // A release of another line may be what it follows: any lower one of the file will do.
            (_, Some(old)) if *old >= release.version => Some(format!("compares from {old}")),
            (_, Some(old)) if !known.contains(old) && below.is_some() => {
                Some(format!("compares from {old}, which has no section"))
            }
            _ => None,
        };
        if let Some(wrong) = wrong {
            let message = format!("the link of {} {wrong}", release.version);
            let new = options.tag_format.render(&release.version);
            let help = match below {
                Some(below) => format!("compare {} with {new}", options.tag_format.render(below)),
                None => format!("compare with {new}"),
            };
            findings.error("link-range", message, link.url_span, &help);
        }
    }
}

/// The version a tag in an address stands for, whatever comes before it.
fn version_of(tag: &str, options: &LintOptions) -> Option<Version> {
    let tag = tag.split(['?', '#']).next().unwrap_or(tag);
    options.tag_format.version_of(tag).or_else(|| TagFormat::guess(tag)?.version_of(tag))
}

/// How often each text stands in brackets, in lower case.
fn bracketed(source: &str) -> HashMap<String, usize> {
    const LONGEST: usize = 200;
    let mut found = HashMap::new();
    for (at, _) in source.match_indices('[') {
        let inside = &source[at + 1..];
        let close =
            inside.as_bytes().iter().take(LONGEST).position(|byte| matches!(byte, b']' | b'[' | b'\n'));
        if let Some(close) = close.filter(|close| inside.as_bytes()[*close] == b']') {
            *found.entry(inside[..close].trim().to_lowercase()).or_insert(0) += 1;
        }
    }
    found
}
