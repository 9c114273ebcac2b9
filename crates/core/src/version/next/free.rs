//! Whether a version may be given: it is new, and above what it must be above.

use std::cmp::Ordering;

use super::super::{Version, core, order};
use super::{Baseline, NextError, NextInput, Request, Tagged};
use crate::text::sanitize_line;

/// Whether a maintenance branch would leave the numbers it has to itself: merging what took this one would bring the main
/// branch's work along.
fn is_full(version: &Version, baseline: &Baseline, input: &NextInput<'_>) -> bool {
    let number = |version: &Version| (version.major, version.minor);
    input.line.is_some()
        && baseline.current.as_ref().is_some_and(|current| number(&current.version) != number(version))
}

/// Refuses a version that is taken, withdrawn, or not above the tags of its line.
pub(super) fn check(
    version: &Version,
    baseline: &Baseline,
    input: &NextInput<'_>,
    reasons: &mut Vec<String>,
) -> Result<(), NextError> {
    if input.withdrawn.contains(version) {
        return Err(NextError::Withdrawn { version: version.clone() });
    }
    let exact = matches!(input.request, Request::Exact(_));
    let current = baseline.current.as_ref();
    let name = input.policy.tag(version);
    let is_taken =
        |tagged: &&Tagged| tagged.tag == name || tagged.version.cmp_precedence(version) == Ordering::Equal;
    if let Some(taken) = baseline.all.iter().find(is_taken) {
        let elsewhere = current.is_some_and(|current| order(&taken.version, &current.version).is_gt());
        let dated = input.policy.calendar.as_ref().is_some_and(|calendar| !calendar.counts());
        let help = match (exact, elsewhere) {
            (false, _) if dated => "the calendar has no counter, so there is one release for each date",
            _ if matches!(input.request, Request::Promote(_)) => {
                "it was promoted or released already: name a newer pre-release, or choose a higher version"
            }
            (false, true) if input.withdrawn.contains(&taken.version) => "choose a higher version",
            (false, true) if is_full(version, baseline, input) => {
                "it is taken on another branch, so this line has no room for it: release a patch with an explicit \
                 step, or name a version"
            }
            (false, true) => {
                "HEAD does not contain it: merge the branch that does, or choose an exact version"
            }
            _ => "choose a higher version",
        };
        let (tag, help) = (sanitize_line(&taken.tag), help.to_owned());
        return Err(NextError::Exists { version: version.clone(), tag, help });
    }
    let is_above = |tagged: &Tagged| order(&tagged.version, version).is_gt();
    let below = |other: &Tagged, relation| NextError::Below {
        version: version.clone(),
        tag: sanitize_line(&other.tag),
        other: other.version.clone(),
        relation,
    };
    if let Some(other) = current.filter(|current| is_above(current)) {
        return Err(match input.is_hotfix() {
            true => {
                below(other, "which HEAD contains: make the hotfix on a branch from the release it repairs")
            }
            false => below(other, "which HEAD contains"),
        });
    }
    // Of tags elsewhere only the same line matters: an old line may still get patches, and a hotfix may
    // come out while the next patch is in test.
    let same_line = |other: &Version| {
        let of_line = match input.line {
            Some(line) if line.contains(version) => line.contains(other),
            _ => (other.major, other.minor) == (version.major, version.minor),
        };
        let released = input.policy.channel(other).is_released();
        of_line && (released || core(other) == core(version))
    };
    if let Some(other) = baseline.all.iter().find(|other| is_above(other) && same_line(&other.version)) {
        return Err(below(other, "which is of the same line"));
    }
    if let Some(line) = input.line.filter(|line| exact && !line.contains(version)) {
        reasons.push(format!("it is outside the line {line} of the branch, as was asked for"));
    }
    if let Some(current) = current.filter(|current| current.version > *version) {
        reasons.push(format!(
            "Semantic Versioning sorts {version} below `{}`, because a number that follows a word directly is text; \
             write it after a dot",
            sanitize_line(&current.tag)
        ));
    }
    Ok(())
}
