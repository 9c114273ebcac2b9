//! The number without suffix that a release leads to.

use std::collections::BTreeMap;

use super::super::{Bump, Suffix, Version, bump, core, order};
use super::tally::Tally;
use super::{Baseline, NextError, NextInput, Request, Tagged, nothing};
use crate::text::sanitize_line;

/// The number that the release leads to, and the step it is above the last stable release.
pub(super) fn target(
    baseline: &Baseline,
    input: &NextInput<'_>,
    reasons: &mut Vec<String>,
) -> Result<(Version, Option<Bump>), NextError> {
    if input.is_hotfix() {
        return hotfix(baseline, input, reasons).map(|target| (target, Some(Bump::Patch)));
    }
    refuse_again(baseline, input)?;
    let (Some(current), Some(stable)) = (&baseline.current, &baseline.stable) else {
        return first_release(baseline, input, reasons).map(|target| (target, None));
    };
    // A hotfix has shipped its number, so counting goes on from it, not back to it.
    let base = core(&stable.version);
    let tally = Tally::of(input.commits, input.policy);
    let asked = match input.request {
        Request::Bump(level) => Some(*level),
        _ => tally.level.max(input.at_least),
    };
    let nothing_asked = || nothing(Some(&current.tag), input.commits.len(), tally.nothing(&current.tag));
    let open = (current != stable).then(|| core(&current.version));
    let finished_elsewhere = open.as_ref().is_some_and(|open| base >= *open);
    if finished_elsewhere && input.channel.is_released() {
        return Err(NextError::Exists {
            version: open.unwrap_or(base),
            tag: sanitize_line(&stable.tag),
            help: "HEAD does not contain it: merge the branch that does, or choose an exact version"
                .to_owned(),
        });
    }
    let mut told = Vec::new();
    let mut level = asked.map(|level| step_asked(level, &base, &tally, input, &mut told));
    if finished_elsewhere && input.is_automatic() && level == Some(Bump::Patch) {
        told.insert(
            0,
            format!("the patches of `{}` belong to the branch it was made on", sanitize_line(&stable.tag)),
        );
        level = Some(Bump::Minor);
    }
    let mut target = level.map(|level| next(&base, level, input));
    if let Some(open) = open.filter(|_| !finished_elsewhere && input.is_automatic()) {
        // A pre-release of the same channel again needs a reason; a more mature one is reason enough.
        let again = Suffix::of(&current.version)
            .is_some_and(|suffix| suffix.label.eq_ignore_ascii_case(input.label()));
        if target.as_ref().is_none_or(|target| *target <= open) && (target.is_some() || !again) {
            let since = match tally.told().as_str() {
                "" => String::new(),
                told => format!(", and {told} since then called for no more"),
            };
            told = vec![format!("`{}` has opened the line of {open}{since}", sanitize_line(&current.tag))];
            target = Some(open);
        }
    }
    reasons.splice(0..0, told);
    if let Some(stated) = input.stated.filter(|_| input.is_automatic() && input.policy.calendar.is_none()) {
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
    let mut target = target.ok_or_else(nothing_asked)?;
    if input.is_automatic() && !input.channel.is_released() && input.line.is_none() {
        target = beside(target, baseline, input, reasons);
    }
    let target = in_line(target, &base, level, &tally, input, reasons)?;
    let level = level.filter(|level| next(&base, *level, input) == target).or_else(|| step(&base, &target));
    Ok((target, level))
}

/// The same commit is not released twice on one channel.
fn refuse_again(baseline: &Baseline, input: &NextInput<'_>) -> Result<(), NextError> {
    let Some(current) = baseline.current.as_ref().filter(|_| baseline.at_head && input.is_automatic()) else {
        return Ok(());
    };
    let label = Suffix::of(&current.version).map(|suffix| suffix.label);
    if label.is_some_and(|label| label.eq_ignore_ascii_case(input.label())) {
        let what = format!("HEAD is `{}` itself", sanitize_line(&current.tag));
        return Err(nothing(Some(&current.tag), 0, what));
    }
    Ok(())
}

/// The plain step from `base` to `target`, when it is one.
pub(super) fn step(base: &Version, target: &Version) -> Option<Bump> {
    [Bump::Patch, Bump::Minor, Bump::Major].into_iter().find(|level| bump(base, *level) == *target)
}

/// `target`, or the number that people may have already where that is above it: a withdrawn release that HEAD contains,
/// and for a step asked for also what the project states and a line that was opened and withdrawn. Versions only rise.
pub(super) fn skip_spent(
    target: Version,
    baseline: &Baseline,
    input: &NextInput<'_>,
    reasons: &mut Vec<String>,
) -> Version {
    let Some(current) = baseline.current.as_ref().filter(|_| input.policy.calendar.is_none()) else {
        return target;
    };
    let opened = Some(core(&current.version)).filter(|opened| input.withdrawn.contains(opened));
    let stated = input.stated.map(core).filter(|stated| {
        // A hotfix repairs what was released, so what is being worked on does not raise it.
        let asked = matches!(input.request, Request::Bump(_));
        input.withdrawn.contains(stated) || (asked && *stated > core(&current.version))
    });
    let in_line = |number: &Version| input.line.is_none_or(|line| line.contains(number));
    let floors = [
        (baseline.spent.clone(), "was withdrawn, and HEAD contains it"),
        (opened, "was withdrawn, and HEAD contains a pre-release of it"),
        (stated, "is what the project states"),
    ];
    let floors = floors.into_iter().filter_map(|(floor, why)| Some((floor?, why)));
    let highest = floors.filter(|(floor, _)| in_line(floor)).max_by(|(one, _), (other, _)| one.cmp(other));
    match highest {
        Some((floor, why)) if floor > target => {
            reasons.push(format!("{target} would go below {floor}, which {why}"));
            floor
        }
        _ => target,
    }
}

/// `target`, or the next number above it that was not withdrawn.
pub(super) fn skip_withdrawn(target: Version, withdrawn: &[Version], reasons: &mut Vec<String>) -> Version {
    let mut free = target.clone();
    while withdrawn.contains(&free) && free.patch < u64::MAX {
        free.patch += 1;
    }
    if free != target {
        reasons.push(format!("{target} was withdrawn, so its number is skipped"));
    }
    free
}

fn next(base: &Version, level: Bump, input: &NextInput<'_>) -> Version {
    match &input.policy.calendar {
        Some(calendar) => calendar.next(Some(base), level, input.today),
        None => bump(base, level),
    }
}

/// An urgent repair: a patch of the highest release for production that HEAD contains.
fn hotfix(
    baseline: &Baseline,
    input: &NextInput<'_>,
    reasons: &mut Vec<String>,
) -> Result<Version, NextError> {
    let Some(repaired) = &baseline.repaired else {
        let what = match &baseline.stable {
            Some(stable) => format!(
                "HEAD contains no release to repair: make the hotfix on a branch from `{}`",
                sanitize_line(&stable.tag)
            ),
            None => "there is no release to repair".to_owned(),
        };
        return Err(nothing(None, input.commits.len(), what));
    };
    reasons.insert(0, format!("a hotfix of {} was asked for", repaired.version));
    Ok(next(&core(&repaired.version), Bump::Patch, input))
}

/// What the step asked for amounts to here.
fn step_asked(
    level: Bump,
    base: &Version,
    tally: &Tally,
    input: &NextInput<'_>,
    reasons: &mut Vec<String>,
) -> Bump {
    if let Request::Bump(level) = input.request {
        reasons.insert(0, format!("a {level} release was asked for"));
        return *level;
    }
    if input.at_least == Some(level) && tally.level < input.at_least {
        return level;
    }
    let tempered = input.policy.tempered(base, level);
    if tempered != level {
        reasons.insert(0, format!("{base} is initial development, where a breaking change is a minor step"));
    }
    let narrow = input.line.filter(|line| line.minor.is_some() && line.contains(base));
    if let Some(line) = narrow.filter(|_| tempered == Bump::Minor && level == Bump::Minor) {
        reasons.insert(0, format!("{}: a patch, because the branch is the line {line}", tally.told()));
        return Bump::Patch;
    }
    reasons.insert(0, format!("{}: a {tempered} release", tally.told()));
    tempered
}

/// The number of a first release: what the project states, or 0.1.0.
fn first_release(
    baseline: &Baseline,
    input: &NextInput<'_>,
    reasons: &mut Vec<String>,
) -> Result<Version, NextError> {
    let open = baseline.current.as_ref();
    if input.commits.is_empty() && open.is_none() && input.at_least.is_none() {
        return Err(nothing(None, 0, "there are no commits".to_owned()));
    }
    if let Some(calendar) = &input.policy.calendar {
        reasons.insert(0, "nothing was released yet: the day gives the number".to_owned());
        let last = open.map(|open| core(&open.version));
        let dated = calendar.next(None, Bump::Patch, input.today);
        return Ok(last.filter(|last| *last > dated).unwrap_or(dated));
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
        None if open.is_some() => Version::new(0, 0, 0),
        None => {
            reasons.insert(
                0,
                "nothing was released yet and no version is stated: 0.1.0 is the first".to_owned(),
            );
            Version::new(0, 1, 0)
        }
    };
    if let Some(open) = open {
        let again =
            Suffix::of(&open.version).is_some_and(|suffix| suffix.label.eq_ignore_ascii_case(input.label()));
        let tally = Tally::of(input.commits, input.policy);
        if first <= core(&open.version) {
            if again && input.is_automatic() && tally.level.max(input.at_least).is_none() {
                return Err(nothing(Some(&open.tag), input.commits.len(), tally.nothing(&open.tag)));
            }
            first = core(&open.version);
            reasons.insert(0, format!("`{}` has opened the line of {first}", sanitize_line(&open.tag)));
        }
    } else if let Request::Bump(level) = input.request {
        first = bump(stated.as_ref().unwrap_or(&Version::new(0, 0, 0)), *level);
        reasons.insert(0, format!("a {level} release was asked for"));
    }
    Ok(first)
}

/// A pre-release keeps away from lines that go on elsewhere: when `1.3.1` was made on a branch of its own, the next
/// one here is of `1.4.0`, whatever its commits ask for.
fn beside(target: Version, baseline: &Baseline, input: &NextInput<'_>, reasons: &mut Vec<String>) -> Version {
    let Some(current) = &baseline.current else { return target };
    // Everything above the baseline is not contained, or withdrawn.
    let elsewhere = baseline
        .all
        .iter()
        .take_while(|tagged| order(&tagged.version, &current.version).is_gt())
        .filter(|tagged| !input.withdrawn.contains(&tagged.version));
    let mut lines: BTreeMap<(u64, u64), &Tagged> = BTreeMap::new();
    for tagged in elsewhere {
        let same_label = Suffix::of(&tagged.version)
            .is_some_and(|suffix| suffix.label.eq_ignore_ascii_case(input.label()));
        if !same_label {
            lines.entry((tagged.version.major, tagged.version.minor)).or_insert(tagged);
        }
    }
    let least = semver::Prerelease::new(input.label()).unwrap_or_default();
    let mut free = target.clone();
    while let Some(owner) = lines.get(&(free.major, free.minor)) {
        let wanted = Version { pre: least.clone(), ..free.clone() };
        if order(&owner.version, &wanted).is_lt() {
            break;
        }
        reasons.insert(
            0,
            format!(
                "`{}` was made on a branch of its own, so its line belongs there",
                sanitize_line(&owner.tag)
            ),
        );
        free = bump(&core(&free), Bump::Minor);
    }
    free
}

/// Keeps the number in the line of a maintenance branch, or says why that cannot be.
fn in_line(
    target: Version,
    base: &Version,
    level: Option<Bump>,
    tally: &Tally,
    input: &NextInput<'_>,
    reasons: &mut Vec<String>,
) -> Result<Version, NextError> {
    let Some(line) = input.line.filter(|line| !line.contains(&target)) else { return Ok(target) };
    if target < line.floor() && *base < line.floor() {
        let floor = line.floor();
        reasons.insert(0, format!("the branch is the line {line}, so its first release is {floor}"));
        return Ok(floor);
    }
    let what = match level {
        Some(level) if input.is_automatic() && next(base, level, input) == target => {
            let why = match tally.breaking() {
                0 => tally.told(),
                1 => "a breaking change".to_owned(),
                count => format!("{count} breaking changes"),
            };
            format!("{why} would make this {target}")
        }
        _ => format!("this would be {target}"),
    };
    Err(NextError::OutOfLine {
        what,
        line: line.clone(),
        help: "release it from another branch, or ask for a smaller step or an exact version".to_owned(),
    })
}
