//! The suffix of a release: the word of its channel, and the next free ordinal in the project's own manner.

use super::super::{Suffix, Version, core};
use super::{Baseline, NextInput, Tagged};
use crate::config::Ordinals;
use crate::text::sanitize_line;

/// `target` with the suffix of the channel asked for.
pub(super) fn suffixed(
    target: Version,
    baseline: &Baseline,
    input: &NextInput<'_>,
    reasons: &mut Vec<String>,
) -> Version {
    let with = |suffix: String| match semver::Prerelease::new(&suffix) {
        Ok(pre) => Version { pre, ..target.clone() },
        // Labels are checked where they are read, so the suffix is always legal.
        Err(_) => target.clone(),
    };
    if !input.channel.is_released() {
        let suffix = prerelease(&target, baseline, input, reasons);
        return with(suffix);
    }
    if input.is_hotfix() && input.policy.hotfix_suffix {
        reasons.push("the policy marks hotfixes with a suffix".to_owned());
        return with(input.label.unwrap_or(input.policy.label(super::Channel::Hotfix)).to_owned());
    }
    if let Some(open) = baseline.current.as_ref().filter(|open| !open.version.pre.is_empty())
        && core(&open.version) == target
    {
        reasons.push(format!("it makes `{}` stable by dropping its suffix", sanitize_line(&open.tag)));
    }
    target
}

fn prerelease(
    target: &Version,
    baseline: &Baseline,
    input: &NextInput<'_>,
    reasons: &mut Vec<String>,
) -> String {
    let manner = Manner::of(&baseline.all, input);
    let Manner { label, separator, .. } = manner;
    // Tags that HEAD does not contain count too: their names are just as taken.
    let taken = baseline.all.iter().map(|tagged| &tagged.version).chain(input.withdrawn);
    let last = taken
        .filter(|version| core(version) == *target)
        .filter_map(Suffix::of)
        .filter(|suffix| suffix.label.eq_ignore_ascii_case(label))
        .map(|suffix| suffix.ordinal.unwrap_or(manner.first.unwrap_or(1)))
        .max();
    let told = |ordinal: u64| format!("{label}{separator}{ordinal}");
    match (last, manner.first) {
        (None, None) => {
            reasons.push(format!("this is the {label} of {target}"));
            label.to_owned()
        }
        // One for each number: the name is taken, and the check that follows says so.
        (Some(_), None) if input.policy.ordinals == Ordinals::None => label.to_owned(),
        (None, Some(first)) => {
            reasons.push(format!("this is the first {label} of {target}"));
            told(first)
        }
        (Some(last), _) => {
            let next = told(last.saturating_add(1));
            reasons.push(format!("{} of {target} exists, so this is {next}", told(last)));
            next
        }
    }
}

/// How a project writes its suffixes.
struct Manner<'a> {
    label: &'a str,
    separator: &'a str,
    /// The ordinal of the first release of a number; `None` when that has none.
    first: Option<u64>,
}

impl<'a> Manner<'a> {
    /// As the policy says, and where it leaves that open, as the tags that are there do it.
    fn of(all: &'a [Tagged], input: &NextInput<'a>) -> Self {
        let wanted = input.label.unwrap_or_else(|| input.policy.label(input.channel));
        let suffixes = || {
            let pre = all.iter().filter(|tagged| !input.policy.channel(&tagged.version).is_released());
            pre.filter_map(|tagged| Some((core(&tagged.version), Suffix::of(&tagged.version)?)))
        };
        let own = || suffixes().filter(|(_, suffix)| suffix.label.eq_ignore_ascii_case(wanted));
        let numbered = || own().find(|(_, suffix)| suffix.ordinal.is_some());
        let model = numbered().or_else(|| match own().next() {
            Some(_) => None,
            None => suffixes().find(|(_, suffix)| suffix.ordinal.is_some()),
        });
        let as_written = own().next().map(|(_, suffix)| suffix.label);
        let from_model = || {
            let Some((number, model)) = &model else {
                // Its releases are there and none is numbered; or there is nothing to go by.
                return if as_written.is_some() { None } else { Some(1) };
            };
            let siblings = suffixes()
                .filter(|(other, suffix)| other == number && suffix.label.eq_ignore_ascii_case(model.label));
            let lowest = siblings.filter_map(|(_, suffix)| suffix.ordinal).min();
            Some(if lowest == Some(0) { 0 } else { 1 })
        };
        Self {
            label: as_written.unwrap_or(wanted),
            separator: model.as_ref().map_or(".", |(_, model)| model.separator),
            first: match input.policy.ordinals {
                Ordinals::Auto => from_model(),
                Ordinals::FromOne => Some(1),
                Ordinals::FromZero => Some(0),
                Ordinals::None => None,
            },
        }
    }
}
