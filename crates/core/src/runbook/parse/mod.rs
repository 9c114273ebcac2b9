//! Markdown into a [`Runbook`].

use super::{Runbook, Spanned};
use crate::diagnostic::{Diagnostic, Span};

mod attributes;
mod document;
mod fences;
mod front_matter;
mod images;
mod items;
mod lint;
mod names;
mod sections;
mod sequence;
mod settings;
mod steps;
mod tables;
mod templates;
mod words;
mod yaml;

pub(in crate::runbook) use words::slug;

/// A source longer than this many bytes is refused whole.
pub const LONGEST_SOURCE: usize = 1 << 20;

/// More findings than this say nothing more.
const MOST_FINDINGS: usize = 1000;

/// What reading gave: a runbook as far as it could be read, and every finding.
#[derive(Debug)]
pub struct Parsed {
    /// The runbook.
    pub runbook: Runbook,
    /// Every finding, in the order of the source.
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads a runbook. Never fails: what cannot be read is a finding.
pub fn parse(source: &str) -> Parsed {
    let mut findings = Findings::default();
    let mut runbook = Runbook::default();
    if source.len() > LONGEST_SOURCE {
        findings.push(
            Diagnostic::error(
                "too-large",
                format!("the runbook has {} bytes; {LONGEST_SOURCE} is the most", source.len()),
                None,
            )
            .help("call other runbooks for parts of it, and keep data out of it"),
        );
        return Parsed { runbook, diagnostics: findings.0 };
    }
    let split = front_matter::split(source);
    if let Some(place) = split.yaml {
        front_matter::read(source, place, &mut runbook, &mut findings);
    }
    if let Some(place) = split.unclosed {
        findings.push(
            Diagnostic::error("unclosed-front-matter", "the front matter is never closed", place)
                .help("end it with a line of three hyphens: ---"),
        );
    }
    let blocks = document::read(source, split.body);
    let mentions = sections::read(source, split.body, &blocks, &mut runbook, &mut findings);
    steps::check_ids(source, &runbook, &mut findings);
    lint::scripts(source, &runbook, &mut findings);
    images::scripts(source, &runbook, &mut findings);
    // Without its front matter every call and skill would look undeclared: one mistake, one finding.
    if split.unclosed.is_none() {
        names::check(source, &runbook, &mentions, &mut findings);
    }
    let mut diagnostics = findings.0;
    diagnostics.sort_by_key(|finding| finding.span.map_or((0, 0), |span| (span.start, span.end)));
    Parsed { runbook, diagnostics }
}

/// The findings so far, bounded.
#[derive(Debug, Default)]
struct Findings(Vec<Diagnostic>);

impl Findings {
    fn push(&mut self, finding: Diagnostic) {
        if !self.is_full() {
            self.0.push(finding.showable());
        }
    }

    /// Whether a further finding would be left out: looking for what to advise would be wasted.
    fn is_full(&self) -> bool {
        self.0.len() >= MOST_FINDINGS
    }
}

/// Names mentioned that the front matter must know, where the model keeps no place of them.
#[derive(Debug, Default)]
struct Mentions {
    owners: Owners,
    /// Skills named outside of the steps.
    skills: Vec<Spanned<String>>,
}

/// The names of owners and their places.
type Owners = Vec<(String, Span)>;
