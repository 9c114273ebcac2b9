//! The next version: chosen from tags, commits and what was asked, with its reasons.

mod baseline;
mod error;
mod tally;
#[cfg(test)]
mod tests;

pub use baseline::{Baseline, TagFact, Tagged, baseline};
pub use error::NextError;

use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

use self::tally::Tally;
use super::{Bump, Channel, Policy, Version, bump, core};
use crate::commit::Commit;
use crate::text::sanitize_line;

/// What a person or a runbook asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Request {
    /// What the commits call for.
    #[default]
    Auto,
    /// This step above the last release, whatever the commits say.
    Bump(Bump),
    /// This very version; its suffix decides the channel.
    Exact(Version),
    /// An urgent repair of the last release.
    Hotfix,
}

/// Everything the decision rests on.
#[derive(Debug, Clone, Copy)]
pub struct NextInput<'a> {
    /// The commits since [`Baseline::stable`] (all of them without one), newest first.
    pub commits: &'a [Commit],
    /// The version the holders state.
    pub stated: Option<&'a Version>,
    /// What was asked.
    pub request: &'a Request,
    /// The channel to release on. [`Channel::Hotfix`] with [`Request::Auto`] asks for a hotfix.
    pub channel: Channel,
    /// The project's rules.
    pub policy: &'a Policy,
    /// Versions withdrawn: their numbers are never used again.
    pub withdrawn: &'a [Version],
}

/// The version chosen, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// The version to release.
    pub version: Version,
    /// Its tag.
    pub tag: String,
    /// The last stable release that HEAD contains: where the commits are counted from.
    pub previous: Option<Version>,
    /// Its tag.
    pub previous_tag: Option<String>,
    /// The channel of `version`.
    pub channel: Channel,
    /// How far it rises above `previous`; `None` for a first release and an exact version.
    pub bump: Option<Bump>,
    /// Why, in sentences, most important first.
    pub reasons: Vec<String>,
    /// How many commits the release holds since `previous`, reverted ones included.
    pub commits: usize,
}

/// Chooses the next version above `baseline`.
pub fn decide(baseline: &Baseline, input: &NextInput<'_>) -> Result<Decision, NextError> {
    let hotfix = *input.request == Request::Hotfix
        || (*input.request == Request::Auto && input.channel == Channel::Hotfix);
    let mut reasons = baseline.reasons.clone();
    let (version, level) = match input.request {
        Request::Exact(version) => {
            if input.withdrawn.contains(version) {
                return Err(NextError::Withdrawn { version: version.clone() });
            }
            reasons.insert(0, format!("{version} was asked for"));
            (version.clone(), None)
        }
        _ => {
            require_known_history(baseline)?;
            if hotfix && baseline.stable.is_none() {
                return Err(nothing(None, input.commits.len(), "there is no release to repair".to_owned()));
            }
            let (target, level) = target(baseline, input, hotfix, &mut reasons)?;
            let target = skip_withdrawn(target, input.withdrawn, &mut reasons);
            (suffixed(target, baseline, input, hotfix, &mut reasons), level)
        }
    };
    let channel =
        Channel::of(&version).ok_or_else(|| NextError::UnknownSuffix { version: version.clone() })?;
    // A plain-patch hotfix is a hotfix to people even though its suffix does not say so; the channel
    // follows the suffix, because pre-release flags and `latest` are decided from it.
    refuse_taken(&version, baseline, input)?;
    Ok(Decision {
        tag: input.policy.tag_format.render(&version),
        previous: baseline.stable.as_ref().map(|stable| stable.version.clone()),
        previous_tag: baseline.stable.as_ref().map(|stable| stable.tag.clone()),
        channel,
        bump: level,
        reasons,
        commits: input.commits.len(),
        version,
    })
}

/// Without a release to count from, only an exact version is safe where history or format is in doubt.
fn require_known_history(baseline: &Baseline) -> Result<(), NextError> {
    if baseline.stable.is_some() || baseline.prerelease.is_some() {
        return Ok(());
    }
    if let Some(highest) = baseline.all.first() {
        return Err(NextError::NoReachableTag {
            count: baseline.all.len(),
            highest: sanitize_line(&highest.tag),
        });
    }
    match &baseline.foreign {
        Some((example, suggestion)) => Err(NextError::TagFormatMismatch {
            format: baseline.format.clone(),
            example: sanitize_line(example),
            suggestion: suggestion.clone(),
        }),
        None => Ok(()),
    }
}

/// The number without suffix that the release leads to.
fn target(
    baseline: &Baseline,
    input: &NextInput<'_>,
    hotfix: bool,
    reasons: &mut Vec<String>,
) -> Result<(Version, Option<Bump>), NextError> {
    let Some(stable) = &baseline.stable else {
        return first_release(baseline, input, reasons).map(|target| (target, None));
    };
    // A hotfix has shipped its number, so counting goes on from it, not back to it.
    let base = core(&stable.version);
    let tally = Tally::of(input);
    let level = match input.request {
        Request::Bump(level) => {
            reasons.insert(0, format!("a {level} release was asked for"));
            Some(*level)
        }
        _ if hotfix => {
            reasons.insert(0, format!("a hotfix of {} was asked for", stable.version));
            Some(Bump::Patch)
        }
        _ => tally.level.map(|level| {
            let tempered = input.policy.tempered(&base, level);
            if tempered != level {
                reasons.insert(
                    0,
                    format!("{base} is initial development, where a breaking change is a minor step"),
                );
            }
            reasons.insert(0, format!("{}: a {tempered} release", tally.told()));
            tempered
        }),
    };
    let mut target = level.map(|level| bump(&base, level));
    let automatic = *input.request == Request::Auto && !hotfix;
    if let Some(open) = &baseline.prerelease {
        let line = core(&open.version);
        let same_commit = open.commits_since == Some(0);
        if automatic && same_commit && Channel::of(&open.version) == Some(input.channel) {
            return Err(nothing(
                Some(&open.tag),
                0,
                format!("HEAD is `{}` itself", sanitize_line(&open.tag)),
            ));
        }
        if automatic && target.as_ref().is_none_or(|target| *target < line) {
            reasons.insert(0, format!("`{}` has opened the line of {line}", sanitize_line(&open.tag)));
            target = Some(line);
        }
    }
    if let Some(stated) = input.stated.filter(|_| automatic) {
        let raised = core(stated);
        let deliberate = stated.pre.is_empty() && !input.commits.is_empty();
        if raised > base && target.as_ref().map_or(deliberate, |target| *target < raised) {
            reasons.insert(
                0,
                format!("the project already states {stated}, above `{}`", sanitize_line(&stable.tag)),
            );
            target = Some(raised);
        } else if raised < base && raised != Version::new(0, 0, 0) {
            reasons.push(format!(
                "the project states {stated}, which is behind `{}`",
                sanitize_line(&stable.tag)
            ));
        }
    }
    match target {
        Some(target) => {
            let level = level.filter(|level| bump(&base, *level) == target).or_else(|| step(&base, &target));
            Ok((target, level))
        }
        None => Err(nothing(Some(&stable.tag), input.commits.len(), tally.nothing(&stable.tag))),
    }
}

/// The number of a first release: what the project states, or 0.1.0.
fn first_release(
    baseline: &Baseline,
    input: &NextInput<'_>,
    reasons: &mut Vec<String>,
) -> Result<Version, NextError> {
    if input.commits.is_empty() {
        return Err(nothing(None, 0, "there are no commits".to_owned()));
    }
    let stated = input.stated.map(core).filter(|stated| *stated != Version::new(0, 0, 0));
    let mut first = match &stated {
        Some(stated) => {
            reasons.insert(
                0,
                format!("nothing was released yet: the project states {stated}, so that is the first"),
            );
            stated.clone()
        }
        None => {
            reasons.insert(
                0,
                "nothing was released yet and no version is stated: 0.1.0 is the first".to_owned(),
            );
            Version::new(0, 1, 0)
        }
    };
    if let Some(open) = &baseline.prerelease {
        let same_commit = open.commits_since == Some(0) && Channel::of(&open.version) == Some(input.channel);
        if same_commit && *input.request == Request::Auto {
            return Err(nothing(
                Some(&open.tag),
                0,
                format!("HEAD is `{}` itself", sanitize_line(&open.tag)),
            ));
        }
        if first < core(&open.version) {
            first = core(&open.version);
            reasons.insert(0, format!("`{}` has opened the line of {first}", sanitize_line(&open.tag)));
        }
    } else if let Request::Bump(level) = input.request {
        first = bump(stated.as_ref().unwrap_or(&Version::new(0, 0, 0)), *level);
        reasons.insert(0, format!("a {level} release was asked for"));
    }
    Ok(first)
}

fn skip_withdrawn(target: Version, withdrawn: &[Version], reasons: &mut Vec<String>) -> Version {
    let mut free = target.clone();
    while withdrawn.contains(&free) && free.patch < u64::MAX {
        free.patch += 1;
    }
    if free != target {
        reasons.push(format!("{target} was withdrawn, so its number is skipped"));
    }
    free
}

/// `target` with the suffix of the channel asked for, on its next free ordinal.
fn suffixed(
    target: Version,
    baseline: &Baseline,
    input: &NextInput<'_>,
    hotfix: bool,
    reasons: &mut Vec<String>,
) -> Version {
    let with = |suffix: String| match semver::Prerelease::new(&suffix) {
        Ok(pre) => Version { pre, ..target.clone() },
        // Channel words and decimal ordinals are always legal identifiers.
        Err(_) => target.clone(),
    };
    if input.channel.is_prerelease() {
        let word = input.channel.as_str();
        // Tags that HEAD does not contain count too: their names are just as taken.
        let taken = baseline.all.iter().map(|tagged| &tagged.version).chain(input.withdrawn);
        let last = taken
            .filter(|version| core(version) == target && Channel::of(version) == Some(input.channel))
            .map(|version| {
                version.pre.split_once('.').map_or(1, |(_, number)| number.parse::<u64>().unwrap_or(u64::MAX))
            })
            .max();
        let ordinal = last.unwrap_or(0).saturating_add(1);
        reasons.push(match last {
            Some(last) => format!("{word}.{last} of {target} exists, so this is {word}.{ordinal}"),
            None => format!("this is the first {word} of {target}"),
        });
        return with(format!("{word}.{ordinal}"));
    }
    if hotfix && input.policy.hotfix_suffix {
        reasons.push("the policy marks hotfixes with a suffix".to_owned());
        return with("hotfix".to_owned());
    }
    if let Some(open) = baseline.prerelease.as_ref().filter(|open| core(&open.version) == target) {
        reasons.push(format!("it makes `{}` stable by dropping its suffix", sanitize_line(&open.tag)));
    }
    target
}

fn refuse_taken(version: &Version, baseline: &Baseline, input: &NextInput<'_>) -> Result<(), NextError> {
    let name = input.policy.tag_format.render(version);
    let exact = matches!(input.request, Request::Exact(_));
    if let Some(taken) = baseline
        .all
        .iter()
        .find(|tagged| tagged.tag == name || tagged.version.cmp_precedence(version) == Ordering::Equal)
    {
        let help = match (exact, taken.reachable) {
            (true, _) | (_, true) => "choose a higher version".to_owned(),
            (false, false) => {
                "HEAD does not contain it: merge the branch that does, or choose an exact version".to_owned()
            }
        };
        return Err(NextError::Exists { version: version.clone(), tag: sanitize_line(&taken.tag), help });
    }
    let below = |other: &Tagged, relation| NextError::Below {
        version: version.clone(),
        tag: sanitize_line(&other.tag),
        other: other.version.clone(),
        relation,
    };
    let contained = baseline.stable.iter().chain(&baseline.prerelease);
    if let Some(other) = contained.filter(|other| other.version > *version).max_by_key(|other| &other.version)
    {
        return Err(below(other, "which HEAD contains"));
    }
    // Of tags elsewhere only the same line matters: an old line may still get patches, and a hotfix may
    // come out while the next patch is in test.
    let same_line = |other: &Version| {
        let released = matches!(Channel::of(other), Some(Channel::Stable | Channel::Hotfix));
        (other.major, other.minor) == (version.major, version.minor)
            && (released || other.patch == version.patch)
    };
    match baseline.all.iter().find(|other| same_line(&other.version) && other.version > *version) {
        Some(other) => Err(below(other, "which is of the same line")),
        None => Ok(()),
    }
}

fn nothing(baseline: Option<&str>, commits: usize, what: String) -> NextError {
    NextError::NothingToRelease { baseline: baseline.map(sanitize_line), commits, what }
}

/// The plain step from `base` to `target`, when it is one.
fn step(base: &Version, target: &Version) -> Option<Bump> {
    [Bump::Patch, Bump::Minor, Bump::Major].into_iter().find(|level| bump(base, *level) == *target)
}
