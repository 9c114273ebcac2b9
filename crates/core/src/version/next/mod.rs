//! The next version: chosen from tags, commits and what was asked, with its reasons.

mod baseline;
mod error;
mod foreign;
mod free;
mod line;
mod number;
mod release_as;
mod suffix;
mod tally;
#[cfg(test)]
mod tests;

pub use baseline::{Baseline, RunnerUp, TagFact, Tagged, View, WhyNot, baseline};
pub use error::NextError;
pub use line::Line;
pub use tally::Tally;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::{Bump, Channel, Policy, Version, core};
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
    /// This pre-release, by its tag or version, made stable on its own commit. HEAD is that commit.
    Promote(String),
}

/// Everything the decision rests on, next to the baseline.
#[derive(Debug, Clone, Copy)]
pub struct NextInput<'a> {
    /// The commits since [`Baseline::current`] (all of them without one), newest first.
    pub commits: &'a [Commit],
    /// The version the holders state.
    pub stated: Option<&'a Version>,
    /// What was asked.
    pub request: &'a Request,
    /// The channel to release on. [`Channel::Hotfix`] with [`Request::Auto`] asks for a hotfix.
    pub channel: Channel,
    /// The word of the suffix, where it is not the channel's.
    pub label: Option<&'a str>,
    /// The project's rules.
    pub policy: &'a Policy,
    /// Versions withdrawn: their numbers are never used again.
    pub withdrawn: &'a [Version],
    /// The line of the branch that is released, when it is a maintenance branch.
    pub line: Option<&'a Line>,
    /// The step that the release is at least, whatever the commits say, because of what it is released with.
    pub at_least: Option<Bump>,
    /// The day of the release, for calendar versions.
    pub today: Date,
}

impl NextInput<'_> {
    /// Whether a hotfix is asked for, in either way.
    pub fn is_hotfix(&self) -> bool {
        *self.request == Request::Hotfix
            || (*self.request == Request::Auto && self.channel == Channel::Hotfix)
    }

    /// Whether the commits decide.
    fn is_automatic(&self) -> bool {
        *self.request == Request::Auto && !self.is_hotfix()
    }

    fn label(&self) -> &str {
        self.label.unwrap_or_else(|| self.policy.label(self.channel))
    }
}

/// The version chosen, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// The version to release.
    pub version: Version,
    /// Its tag.
    pub tag: String,
    /// The release it follows, which its notes count from: for a stable one the last stable one, for a pre-release
    /// the last of any channel.
    pub previous: Option<Version>,
    /// Its tag.
    pub previous_tag: Option<String>,
    /// The channel of `version`.
    pub channel: Channel,
    /// How far it rises above the last stable release; `None` for a first release and an exact version.
    pub bump: Option<Bump>,
    /// Why, in sentences, most important first.
    pub reasons: Vec<String>,
    /// How many commits there are since the baseline, reverted ones included.
    pub commits: usize,
}

/// Chooses the next version above `baseline`.
///
/// # Errors
/// When there is none, with what to do.
pub fn decide(baseline: &Baseline, input: &NextInput<'_>) -> Result<Decision, NextError> {
    let mut reasons = baseline.reasons.clone();
    let (version, level) = match input.request {
        Request::Exact(version) => {
            reasons.insert(0, format!("{version} was asked for"));
            (version.clone(), None)
        }
        Request::Promote(name) => {
            let version = promoted(name, baseline, input, &mut reasons)?;
            let stable = baseline.stable.as_ref();
            let level = stable.and_then(|stable| number::step(&core(&stable.version), &core(&version)));
            (version, level)
        }
        Request::Auto | Request::Bump(_) | Request::Hotfix => {
            baseline.require_known()?;
            let asked = if input.is_automatic() { release_as::asked(input)? } else { None };
            match asked {
                Some((version, commit)) => {
                    reasons.insert(0, format!("{commit} asks for {version} in its footer Release-As"));
                    let suffixed = !version.pre.is_empty() || input.channel.is_released();
                    match suffixed {
                        true => (version, None),
                        false => (suffix::suffixed(version, baseline, input, &mut reasons), None),
                    }
                }
                None => {
                    let (target, level) = number::target(baseline, input, &mut reasons)?;
                    let target = number::skip_spent(target, baseline, input, &mut reasons);
                    let target = number::skip_withdrawn(target, input.withdrawn, &mut reasons);
                    (suffix::suffixed(target, baseline, input, &mut reasons), level)
                }
            }
        }
    };
    free::check(&version, baseline, input, &mut reasons)?;
    // A plain-patch hotfix is a hotfix to people even though its suffix does not say so; the channel
    // follows the suffix, because pre-release flags and `latest` are decided from it.
    let channel = input.policy.channel(&version);
    let previous = if channel.is_released() { &baseline.stable } else { &baseline.current };
    Ok(Decision {
        tag: input.policy.tag(&version),
        previous: previous.as_ref().map(|previous| previous.version.clone()),
        previous_tag: previous.as_ref().map(|previous| previous.tag.clone()),
        channel,
        bump: level,
        reasons,
        commits: input.commits.len(),
        version,
    })
}

/// The number of the pre-release that is promoted, with the suffix of the channel asked for.
fn promoted(
    name: &str,
    baseline: &Baseline,
    input: &NextInput<'_>,
    reasons: &mut Vec<String>,
) -> Result<Version, NextError> {
    let refuse = |problem: &str, help: &str| {
        let (tag, problem, help) = (sanitize_line(name), problem.to_owned(), help.to_owned());
        Err(NextError::Promote { tag, problem, help })
    };
    let Some(tagged) = find(&baseline.all, name) else {
        return refuse("there is no such release", "name the tag of a pre-release");
    };
    if input.policy.channel(&tagged.version).is_released() {
        return refuse("it is stable already", "name the tag of a pre-release");
    }
    if input.withdrawn.contains(&tagged.version) {
        return refuse("it was withdrawn", "name another pre-release");
    }
    let here =
        baseline.at_head && baseline.current.as_ref().is_some_and(|current| current.commit == tagged.commit);
    if !here {
        return refuse(
            "HEAD is not its commit, so HEAD would leak into the release",
            "promote it on the commit that was tested",
        );
    }
    reasons.insert(0, format!("`{}` is promoted on the commit that was tested", sanitize_line(&tagged.tag)));
    let newest = baseline.all.iter().find(|other| core(&other.version) == core(&tagged.version));
    if let Some(newer) = newest.filter(|newest| newest.tag != tagged.tag) {
        reasons.push(format!("`{}` is newer, and is not what is promoted", sanitize_line(&newer.tag)));
    }
    let target = core(&tagged.version);
    if input.withdrawn.contains(&target) {
        return Err(NextError::Withdrawn { version: target });
    }
    Ok(suffix::suffixed(target, baseline, input, reasons))
}

/// The release that is meant by the name of its tag or by its version.
pub fn find<'a>(all: &'a [Tagged], name: &str) -> Option<&'a Tagged> {
    let version = super::parse_version(name).ok();
    all.iter()
        .find(|tagged| tagged.tag == name)
        .or_else(|| all.iter().find(|tagged| version.as_ref() == Some(&tagged.version)))
}

fn nothing(baseline: Option<&str>, commits: usize, what: String) -> NextError {
    NextError::NothingToRelease { baseline: baseline.map(sanitize_line), commits, what }
}
