//! The baseline: the release that the next one is counted from, and why that one.

use super::super::{Policy, TagFormat, Version, core, order};
use super::NextError;
use super::foreign::Foreign;
use crate::text::sanitize_line;

/// How far below the baseline the one before it is looked for.
const MOST_ASKED_BELOW: usize = 16;

/// A tag as git has it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TagFact {
    /// The tag's short name.
    pub name: String,
    /// The id of the commit it names.
    pub commit: String,
}

/// A tag that stands for a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tagged {
    /// The version.
    pub version: Version,
    /// The tag's name.
    pub tag: String,
    /// The id of the commit it names.
    pub commit: String,
}

/// Where releases are looked at from.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// The id of the commit that is to be released, called HEAD here.
    pub head: &'a str,
    /// The project's rules.
    pub policy: &'a Policy,
    /// Versions withdrawn: nothing counts from them.
    pub withdrawn: &'a [Version],
    /// How the repository's other packages write their tags: those are no mistake.
    pub others: &'a [TagFormat],
    /// A hotfix is asked for: then the release it repairs is looked for as well.
    pub hotfix: bool,
}

/// What has been released so far, seen from HEAD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Baseline {
    /// The highest release, of any channel, that HEAD contains. Commits are counted from here.
    pub current: Option<Tagged>,
    /// HEAD is the commit of `current`.
    pub at_head: bool,
    /// The stable release that the next stable one follows: `current`, or the highest one below the line that
    /// `current` has opened, whether HEAD contains it or it was made on a branch of its own.
    pub stable: Option<Tagged>,
    /// The release that was nearly chosen, and why it was not.
    pub runner_up: Option<RunnerUp>,
    /// Where a hotfix is asked for: the highest release for production that HEAD contains.
    pub repaired: Option<Tagged>,
    /// The highest withdrawn release above `current` that HEAD contains and that shares its major number: people may
    /// have it, so what follows is above it. A major that was a mistake is none to go on from.
    pub(super) spent: Option<Version>,
    /// Every tag that follows the format, highest first.
    pub all: Vec<Tagged>,
    /// Why these were chosen, in sentences.
    pub reasons: Vec<String>,
    /// Where no tag follows the format: what the tags that look like versions all the same follow.
    pub(super) foreign: Option<Foreign>,
    /// A tag above `current` that HEAD contains and that is a version in another spelling, and its format.
    pub(super) higher: Option<(String, TagFormat)>,
    /// The format in force.
    pub(super) format: TagFormat,
}

impl Baseline {
    /// Refuses to count where history or format is in doubt: without a release to count from, only an exact version is
    /// safe.
    ///
    /// # Errors
    /// Where releases are there, and which of them HEAD follows is not clear.
    pub fn require_known(&self) -> Result<(), NextError> {
        self.require_format()?;
        let Some(highest) = self.all.first().filter(|_| self.current.is_none()) else { return Ok(()) };
        // What was withdrawn is no release any more; when nothing else is there, the project starts anew.
        if self.runner_up.as_ref().is_some_and(|runner_up| runner_up.why == WhyNot::Withdrawn) {
            return Ok(());
        }
        Err(NextError::NoReachableTag { count: self.all.len(), highest: sanitize_line(&highest.tag) })
    }

    /// Refuses tags that look like releases and do not follow the format.
    ///
    /// # Errors
    /// Where there are some, and what they are is not clear.
    pub fn require_format(&self) -> Result<(), NextError> {
        match (&self.current, &self.higher, &self.foreign) {
            (Some(current), Some((example, suggestion)), _) => Err(NextError::HigherForeign {
                format: self.format.to_string(),
                current: sanitize_line(&current.tag),
                example: sanitize_line(example),
                suggestion: suggestion.to_string(),
            }),
            (None, _, Some(foreign)) => Err(NextError::TagFormatMismatch {
                format: self.format.clone(),
                example: sanitize_line(&foreign.example),
                help: foreign.help(),
            }),
            _ => Ok(()),
        }
    }
}

/// A release that was nearly the baseline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunnerUp {
    /// The release.
    pub release: Tagged,
    /// Why it is not the baseline.
    pub why: WhyNot,
}

/// Why a release is not the baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhyNot {
    /// It is higher, but HEAD does not contain it.
    NotContained,
    /// It is higher, but it was withdrawn.
    Withdrawn,
    /// HEAD contains it, but it is lower.
    Lower,
}

impl WhyNot {
    /// In words that follow the tag.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotContained => "is higher, but HEAD does not contain it",
            Self::Withdrawn => "is higher, but was withdrawn",
            Self::Lower => "is lower",
        }
    }
}

/// Chooses the release to count from among `tags`.
///
/// Highest, not nearest: merging a hotfix of an old line back makes its tag nearer than the last release. `contains`
/// is asked only about the tags that can still matter, highest first, so that it need not know all of the history.
///
/// # Errors
/// When `contains` fails.
pub fn baseline<E>(
    tags: &[TagFact],
    view: &View<'_>,
    mut contains: impl FnMut(&Tagged) -> Result<bool, E>,
) -> Result<Baseline, E> {
    let policy = view.policy;
    let mut all: Vec<Tagged> = tags
        .iter()
        .filter_map(|fact| {
            let version = policy.version_of(&fact.name)?;
            Some(Tagged { version, tag: fact.name.clone(), commit: fact.commit.clone() })
        })
        .collect();
    all.sort_by(|one, other| order(&other.version, &one.version).then_with(|| one.tag.cmp(&other.tag)));
    let is_withdrawn = |tagged: &Tagged| view.withdrawn.contains(&tagged.version);
    let is_released = |tagged: &Tagged| policy.channel(&tagged.version).is_released();

    let mut found = None;
    let mut passed_over = None;
    for (at, tagged) in all.iter().enumerate() {
        if is_withdrawn(tagged) {
            passed_over.get_or_insert((tagged, WhyNot::Withdrawn));
        } else if contains(tagged)? {
            found = Some(at);
            break;
        } else {
            passed_over.get_or_insert((tagged, WhyNot::NotContained));
        }
    }
    let mut reasons = Vec::new();
    let foreign = match all.is_empty() {
        true => Foreign::among(tags, view, &mut reasons),
        false => None,
    };
    let mut result = Baseline {
        current: None,
        at_head: false,
        stable: None,
        runner_up: None,
        repaired: None,
        reasons: Vec::new(),
        foreign,
        higher: None,
        spent: None,
        format: policy.tag_format.clone(),
        all: Vec::new(),
    };
    if let Some(at) = found {
        let (current, below) = (&all[at], &all[at + 1..]);
        let mut runner_up = passed_over;
        if runner_up.is_none() {
            for tagged in below.iter().filter(|tagged| !is_withdrawn(tagged)).take(MOST_ASKED_BELOW) {
                if contains(tagged)? {
                    runner_up = Some((tagged, WhyNot::Lower));
                    break;
                }
            }
        }
        reasons.push(chosen(current, runner_up));
        result.stable = if is_released(current) {
            Some(current.clone())
        } else {
            // The line that is open may have been finished on a branch of its own: then it is the one to follow.
            let line = |tagged: &Tagged| (tagged.version.major, tagged.version.minor);
            let finished = |tagged: &&Tagged| line(tagged) == line(current);
            let above = all[..at].iter().filter(finished);
            let opened = core(&current.version);
            let lower = below.iter().filter(|tagged| tagged.version < opened);
            above.chain(lower).find(|tagged| is_released(tagged) && !is_withdrawn(tagged)).cloned()
        };
        if let Some(stable) = result.stable.as_ref().filter(|stable| *stable != current) {
            let tag = sanitize_line(&stable.tag);
            reasons.push(match contains(stable)? {
                true => format!("`{tag}` is the last stable release before it"),
                false => format!("`{tag}` is the last stable release; it was made on a branch of its own"),
            });
        }
        if view.hotfix {
            for tagged in all[at..].iter().filter(|tagged| is_released(tagged) && !is_withdrawn(tagged)) {
                if contains(tagged)? {
                    result.repaired = Some(tagged.clone());
                    break;
                }
            }
        }
        // `1.3.0` beside `v1.2.0` is most likely a release in another spelling, and then the last one.
        if let Some(twin) = policy.tag_format.twin() {
            let mut higher: Vec<Tagged> = tags
                .iter()
                .filter_map(|fact| {
                    let version = twin.version_of(&fact.name).filter(|version| *version > current.version)?;
                    Some(Tagged { version, tag: fact.name.clone(), commit: fact.commit.clone() })
                })
                .filter(|tagged| !is_withdrawn(tagged))
                .filter(|tagged| view.others.iter().all(|other| other.version_of(&tagged.tag).is_none()))
                .collect();
            higher.sort_by(|one, other| order(&other.version, &one.version));
            for tagged in higher {
                if contains(&tagged)? {
                    result.higher = Some((tagged.tag, twin.clone()));
                    break;
                }
            }
        }
        for tagged in all[..at].iter().filter(|tagged| is_withdrawn(tagged)) {
            if tagged.version.major == current.version.major && contains(tagged)? {
                result.spent = Some(core(&tagged.version));
                break;
            }
        }
        result.at_head = current.commit == view.head;
        result.current = Some(current.clone());
        result.runner_up = runner_up.map(|(release, why)| RunnerUp { release: release.clone(), why });
    } else {
        result.runner_up = passed_over.map(|(release, why)| RunnerUp { release: release.clone(), why });
    }
    Ok(Baseline { all, reasons, ..result })
}

fn chosen(current: &Tagged, runner_up: Option<(&Tagged, WhyNot)>) -> String {
    let what = format!("`{}` is the highest release that HEAD contains", sanitize_line(&current.tag));
    match runner_up {
        Some((tagged, WhyNot::Lower)) => {
            format!("{what}; the one before is `{}`", sanitize_line(&tagged.tag))
        }
        Some((tagged, why)) => format!("{what}; `{}` {}", sanitize_line(&tagged.tag), why.as_str()),
        None => what,
    }
}
