//! Packages: a version each, but some are released because others are.

use std::collections::BTreeMap;

use super::next::{Baseline, Decision, NextError, NextInput, Request, Tally, decide};
use super::{Bump, Version, order};
use crate::text::sanitize_line;

/// One package, and everything its own decision rests on.
#[derive(Debug, Clone, Copy)]
pub struct PackageInput<'a> {
    /// Its name.
    pub name: &'a str,
    /// Packages it is built from.
    pub depends_on: &'a [String],
    /// The group it shares its version with.
    pub linked: Option<&'a str>,
    /// Those of them that were released since it was, with the version it has not yet.
    pub outdated: &'a [(String, Version)],
    /// What of it has been released so far.
    pub baseline: &'a Baseline,
    /// The rest; its commits are those that touch the package.
    pub input: NextInput<'a>,
}

/// What becomes of one package.
#[derive(Debug, Clone)]
pub struct PackageDecision {
    /// Its name.
    pub name: String,
    /// Its version, or why it has none.
    pub outcome: Result<Decision, NextError>,
}

/// Decides for all packages at once: each by its own commits; then those that are built from a released one are
/// released too, by a patch at least; and all of a group with the same version, the highest that any of them needs, or
/// none of it, and then nothing is released because of it. One of a group that was left behind by the last release
/// catches up.
pub fn decide_all(packages: &[PackageInput<'_>]) -> Vec<PackageDecision> {
    let groups = groups(packages);
    let mut refused: BTreeMap<&str, NextError> = BTreeMap::new();
    let (calls, mut outcomes) = loop {
        let mut calls: Vec<Call> = packages.iter().map(Call::own).collect();
        spread(packages, &groups, &refused, &mut calls);
        let mut outcomes: Vec<Result<Decision, NextError>> =
            packages.iter().zip(&calls).map(|(package, call)| call.decide(package)).collect();
        let mut refusals = Vec::new();
        for (group, members) in &groups {
            if let Some(error) = refused.get(group) {
                members.iter().for_each(|at| outcomes[*at] = Err(error.clone()));
            } else if let Err(error) = share(packages, group, members, &mut outcomes) {
                members.iter().for_each(|at| outcomes[*at] = Err(error.clone()));
                refusals.push((*group, error));
            }
        }
        // One that only follows another that is refused may be fine without it.
        let follows = |(group, _): &(&str, NextError)| {
            let because = groups[group].iter().map(|at| calls[*at].because);
            because
                .flatten()
                .any(|because| matches!(because, Because::Dependency(at) if outcomes[at].is_err()))
        };
        let first = refusals.iter().position(|refusal| !follows(refusal)).unwrap_or(0);
        if refusals.is_empty() {
            break (calls, outcomes);
        }
        refused.extend([refusals.swap_remove(first)]);
    };
    for (at, call) in calls.iter().enumerate() {
        let built = sanitize_line(packages[at].name);
        let reason = match (call.because, packages[at].outdated.first()) {
            (Some(Because::Dependency(dependency)), _) => match &outcomes[dependency] {
                Ok(released) => {
                    let name = sanitize_line(packages[dependency].name);
                    format!("{name} {} is released, which {built} is built from", released.version)
                }
                Err(_) => continue,
            },
            (Some(Because::Outdated), Some((name, version))) => {
                let name = sanitize_line(name);
                format!("{name} {version} was released since, which {built} is built from")
            }
            _ => continue,
        };
        if let Ok(decision) = &mut outcomes[at] {
            decision.reasons.insert(0, reason);
        }
    }
    let named = packages.iter().map(|package| package.name.to_owned());
    named.zip(outcomes).map(|(name, outcome)| PackageDecision { name, outcome }).collect()
}

/// Gives all of a group the same version; fails when one of them cannot have it.
fn share(
    packages: &[PackageInput<'_>],
    group: &str,
    members: &[usize],
    outcomes: &mut [Result<Decision, NextError>],
) -> Result<(), NextError> {
    let Some(version) = highest(members, outcomes).or_else(|| ahead(packages, members)) else {
        return Ok(());
    };
    let group = sanitize_line(group);
    for &at in members {
        let has = packages[at].baseline.current.as_ref().map(|current| &current.version);
        if has == Some(&version) {
            continue;
        }
        if outcomes[at].as_ref().is_ok_and(|decision| decision.version == version) {
            continue;
        }
        let request = Request::Exact(version.clone());
        let input = NextInput { request: &request, ..packages[at].input };
        let mut decision = decide(packages[at].baseline, &input).map_err(|error| NextError::Group {
            group: group.clone(),
            package: sanitize_line(packages[at].name),
            problem: error.to_string(),
        })?;
        decision.reasons.retain(|reason| !reason.ends_with("was asked for"));
        decision.reasons.insert(0, format!("the packages of the group {group} share the version {version}"));
        outcomes[at] = Ok(decision);
    }
    Ok(())
}

/// Why a package is released, and how far it rises at least.
struct Call {
    released: bool,
    level: Option<Bump>,
    because: Option<Because>,
}

#[derive(Clone, Copy)]
enum Because {
    Own,
    Dependency(usize),
    Outdated,
    Group,
}

impl Call {
    /// What the package's own commits call for.
    fn own(package: &PackageInput<'_>) -> Self {
        let released = decide(package.baseline, &package.input).is_ok();
        let level = Tally::of(package.input.commits, package.input.policy).level.filter(|_| released);
        let own = Self { released, level, because: released.then_some(Because::Own) };
        match !released && !package.outdated.is_empty() {
            true => Self { released: true, level: Some(Bump::Patch), because: Some(Because::Outdated) },
            false => own,
        }
    }

    /// Raises it; whether that changed anything.
    fn raise(&mut self, level: Option<Bump>, because: Because) -> bool {
        let changed = !self.released || self.level < level;
        self.because = self.because.or(Some(because));
        self.released = true;
        self.level = self.level.max(level);
        changed
    }

    fn decide(&self, package: &PackageInput<'_>) -> Result<Decision, NextError> {
        let at_least = match self.because {
            Some(Because::Dependency(_) | Because::Outdated | Because::Group) => self.level,
            // Its own commits have their say, and are explained; the group may ask for more.
            _ => self.level.filter(|_| package.linked.is_some()),
        };
        decide(package.baseline, &NextInput { at_least, ..package.input })
    }
}

/// Lets every release call for those that follow from it, until no further one does. Nothing follows from a group that
/// is refused.
fn spread(
    packages: &[PackageInput<'_>],
    groups: &BTreeMap<&str, Vec<usize>>,
    refused: &BTreeMap<&str, NextError>,
    calls: &mut [Call],
) {
    let mut by_name: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, package) in packages.iter().enumerate() {
        for dependency in package.depends_on {
            by_name.entry(dependency).or_default().push(at);
        }
    }
    let is_refused = |at: usize| packages[at].linked.is_some_and(|group| refused.contains_key(group));
    let mut waiting: Vec<usize> = (0..packages.len()).filter(|at| calls[*at].released).collect();
    while let Some(at) = waiting.pop() {
        if is_refused(at) {
            continue;
        }
        for &dependent in by_name.get(packages[at].name).into_iter().flatten() {
            if !calls[dependent].released
                && calls[dependent].raise(Some(Bump::Patch), Because::Dependency(at))
            {
                waiting.push(dependent);
            }
        }
        let level = calls[at].level;
        for &member in packages[at].linked.and_then(|group| groups.get(group)).into_iter().flatten() {
            if calls[member].raise(level, Because::Group) {
                waiting.push(member);
            }
        }
    }
}

fn groups<'a>(packages: &[PackageInput<'a>]) -> BTreeMap<&'a str, Vec<usize>> {
    let mut groups: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, package) in packages.iter().enumerate() {
        if let Some(group) = package.linked {
            groups.entry(group).or_default().push(at);
        }
    }
    groups
}

fn highest(members: &[usize], outcomes: &[Result<Decision, NextError>]) -> Option<Version> {
    let decided = members.iter().filter_map(|at| outcomes[*at].as_ref().ok());
    decided.map(|decision| &decision.version).max_by(|one, other| order(one, other)).cloned()
}

/// The version that one of a group was released with and another was not yet, where nothing else calls for a release.
fn ahead(packages: &[PackageInput<'_>], members: &[usize]) -> Option<Version> {
    let current = |at: &usize| packages[*at].baseline.current.as_ref().map(|current| &current.version);
    let highest = members.iter().filter_map(current).max_by(|one, other| order(one, other))?;
    let input = packages[*members.first()?].input;
    let channel = input.policy.channel(highest);
    let fits = channel == input.channel || (channel.is_released() && input.channel.is_released());
    let is_behind = members.iter().any(|at| current(at) != Some(highest));
    (fits && is_behind && *input.request == Request::Auto).then(|| highest.clone())
}

#[cfg(test)]
mod tests {
    use super::super::next::{TagFact, Tagged, View, baseline};
    use super::super::{Channel, Policy};
    use super::*;
    use crate::commit::Commit;
    use jiff::civil::Date;

    /// `name: tag commit... <- dependencies @group`, a tag being `~v1.0.0` where HEAD does not contain it and a commit being `fix`, `feat` or `feat!`; a dependency with its
    /// version, such as `lib=1.2.0`, was released since.
    fn check(lines: &[&str], channel: Channel, expect: &str) {
        check_request(lines, channel, &Request::Auto, expect);
    }

    fn check_request(lines: &[&str], channel: Channel, request: &Request, expect: &str) {
        struct Read {
            name: String,
            depends_on: Vec<String>,
            linked: Option<String>,
            baseline: Baseline,
            commits: Vec<Commit>,
            outdated: Vec<(String, Version)>,
        }
        let policy = Policy::default();
        let read: Vec<Read> = lines
            .iter()
            .map(|line| {
                let (line, linked) = match line.split_once(" @") {
                    Some((line, group)) => (line, Some(group.to_owned())),
                    None => (*line, None),
                };
                let (line, depends_on) = line.split_once(" <- ").unwrap_or((line, ""));
                let (name, rest) = line.split_once(':').unwrap();
                let (tags, commits): (Vec<&str>, Vec<&str>) =
                    rest.split_whitespace().partition(|word| word.starts_with(['v', '~']));
                let facts: Vec<TagFact> = tags
                    .iter()
                    .map(|tag| TagFact {
                        name: tag.trim_start_matches('~').to_owned(),
                        commit: if tag.starts_with('~') { "aside".to_owned() } else { String::new() },
                    })
                    .collect();
                let view = View { head: "HEAD", policy: &policy, withdrawn: &[], others: &[], hotfix: false };
                let contains = |tagged: &Tagged| Ok::<_, std::convert::Infallible>(tagged.commit != "aside");
                let Ok(baseline) = baseline(&facts, &view, contains);
                let commit = |kind: &&str| Commit { message: format!("{kind}: a"), ..Commit::default() };
                Read {
                    name: name.to_owned(),
                    depends_on: depends_on
                        .split_whitespace()
                        .map(|name| name.split('=').next().unwrap().to_owned())
                        .collect(),
                    outdated: depends_on
                        .split_whitespace()
                        .filter_map(|name| name.split_once('='))
                        .map(|(name, version)| (name.to_owned(), version.parse().unwrap()))
                        .collect(),
                    linked,
                    baseline,
                    commits: commits.iter().map(commit).collect(),
                }
            })
            .collect();
        let inputs: Vec<PackageInput<'_>> = read
            .iter()
            .map(|read| PackageInput {
                name: &read.name,
                depends_on: &read.depends_on,
                linked: read.linked.as_deref(),
                outdated: &read.outdated,
                baseline: &read.baseline,
                input: NextInput {
                    commits: &read.commits,
                    stated: None,
                    request,
                    channel,
                    label: None,
                    policy: &policy,
                    withdrawn: &[],
                    line: None,
                    at_least: None,
                    today: Date::default(),
                },
            })
            .collect();
        let told: Vec<String> = decide_all(&inputs)
            .into_iter()
            .map(|package| match package.outcome {
                Ok(decision) => format!("{} {} ({})", package.name, decision.version, decision.reasons[0]),
                Err(NextError::NothingToRelease { .. }) => format!("{} -", package.name),
                Err(error) => format!("{} {error}", package.name),
            })
            .collect();
        assert_eq!(told.join("\n"), expect, "{lines:?}");
    }

    #[test]
    fn packages_are_released_with_what_they_are_built_from() {
        for (lines, expect) in [
            (vec!["api: v1.0.0 fix", "web: v2.0.0"], "api 1.0.1 (1 fix: a patch release)\nweb -"),
            (
                vec!["api: v1.0.0 <- lib", "lib: v1.2.0 feat", "web: v0.1.0 <- api", "other: v1.0.0"],
                "api 1.0.1 (lib 1.3.0 is released, which api is built from)\n\
                 lib 1.3.0 (1 feature: a minor release)\n\
                 web 0.1.1 (api 1.0.1 is released, which web is built from)\nother -",
            ),
            (
                vec!["api: v1.0.0 feat <- lib", "lib: v1.2.0 fix"],
                "api 1.1.0 (1 feature: a minor release)\nlib 1.2.1 (1 fix: a patch release)",
            ),
            (
                vec!["api: v1.0.0 <- lib=1.2.0", "lib: v1.2.0", "web: v3.0.0 <- api"],
                "api 1.0.1 (lib 1.2.0 was released since, which api is built from)\nlib -\n\
                 web 3.0.1 (api 1.0.1 is released, which web is built from)",
            ),
            // Two that need each other do not go round for ever.
            (
                vec!["a: v1.0.0 fix <- b", "b: v1.0.0 <- a"],
                "a 1.0.1 (1 fix: a patch release)\nb 1.0.1 (a 1.0.1 is released, which b is built from)",
            ),
        ] {
            check(&lines, Channel::Stable, expect);
        }
        check(
            &["api: v1.0.0 v1.1.0-rc.1 <- lib", "lib: v1.2.0 v1.3.0-rc.1 fix"],
            Channel::Rc,
            "api 1.1.0-rc.2 (lib 1.3.0-rc.2 is released, which api is built from)\n\
             lib 1.3.0-rc.2 (`v1.3.0-rc.1` has opened the line of 1.3.0, and 1 fix since then called for no more)",
        );
    }

    #[test]
    fn a_group_shares_its_version() {
        for (lines, expect) in [
            (vec!["a: v1.0.0 @g", "b: v1.0.0 @g"], "a -\nb -"),
            (
                vec!["a: v1.0.0 feat @g", "b: v1.0.0 @g"],
                "a 1.1.0 (1 feature: a minor release)\nb 1.1.0 (`v1.0.0` is the highest release that HEAD contains)",
            ),
            // One that was behind catches up; one that was ahead leads.
            (
                vec!["a: v1.5.0 @g", "b: v1.2.0 feat @g", "c: @g"],
                "a 1.6.0 (`v1.5.0` is the highest release that HEAD contains)\n\
                 b 1.6.0 (the packages of the group g share the version 1.6.0)\n\
                 c 1.6.0 (the packages of the group g share the version 1.6.0)",
            ),
            (
                vec!["a: v1.0.0 feat! @g", "b: v1.0.0 fix @g", "web: v3.0.0 <- b"],
                "a 2.0.0 (1 breaking change: a major release)\n\
                 b 2.0.0 (`v1.0.0` is the highest release that HEAD contains)\n\
                 web 3.0.1 (b 2.0.0 is released, which web is built from)",
            ),
            // One of them was released first, so the other one follows, and no further.
            (
                vec!["a: v1.0.0 v1.1.0 @g", "b: v1.0.0 @g", "other: v3.0.0"],
                "a -\nb 1.1.0 (the packages of the group g share the version 1.1.0)\nother -",
            ),
            // With commits of its own the one behind leads them all on.
            (
                vec!["a: v1.0.0 v1.1.0 @g", "b: v1.0.0 fix @g"],
                "a 1.1.1 (`v1.1.0` is the highest release that HEAD contains; the one before is `v1.0.0`)\n\
                 b 1.1.1 (the packages of the group g share the version 1.1.1)",
            ),
            (vec!["a: v1.0.0 v1.1.0 @g", "b: v1.0.0 v1.1.0 @g"], "a -\nb -"),
            // A pre-release of one is none to follow with a stable one.
            (
                vec!["a: v1.0.0 v1.1.0-rc.1 @g", "b: v1.0.0 @g"],
                "a 1.1.0 (`v1.1.0-rc.1` has opened the line of 1.1.0)\n\
                 b 1.1.0 (the packages of the group g share the version 1.1.0)",
            ),
        ] {
            check(&lines, Channel::Stable, expect);
        }
        check(
            &["a: v1.0.0 v1.1.0-rc.1 @g", "b: v1.0.0 @g"],
            Channel::Rc,
            "a -\nb 1.1.0-rc.1 (the packages of the group g share the version 1.1.0-rc.1)",
        );
    }

    #[test]
    fn nothing_follows_from_a_group_that_is_refused() {
        let refused = "the packages of the group `g` share their version, and `b` cannot have this one: 1.1.0 already \
                       exists as the tag `v1.1.0`; choose a higher version";
        for (others, expect) in [
            (["web: v2.0.0 <- a", "top: v3.0.0 <- web"], "web -\ntop -"),
            (
                ["web: v2.0.0 feat <- b", "top: v3.0.0 <- web"],
                "web 2.1.0 (1 feature: a minor release)\n\
                 top 3.0.1 (web 2.1.0 is released, which top is built from)",
            ),
            // Neither does the refusal of another group.
            (["c: v1.0.0 @a-group <- a", "d: v1.0.0 ~v1.0.1 @a-group"], "c -\nd -"),
        ] {
            let lines = [&["a: v1.0.0 feat @g", "b: v1.0.0 ~v1.1.0 @g"][..], &others].concat();
            check(&lines, Channel::Stable, &format!("a {refused}\nb {refused}\n{expect}"));
        }
    }

    #[test]
    fn what_is_asked_of_one_is_asked_of_its_group() {
        let exact = |text: &str| Request::Exact(text.parse().unwrap());
        let two = ["a: v1.4.0 feat @g", "b: v1.2.0 @g"];
        for (request, expect) in [
            (
                Request::Bump(Bump::Patch),
                "a 1.4.1 (a patch release was asked for)\n\
                 b 1.4.1 (the packages of the group g share the version 1.4.1)",
            ),
            (exact("3.0.0"), "a 3.0.0 (3.0.0 was asked for)\nb 3.0.0 (3.0.0 was asked for)"),
            (
                exact("1.3.0"),
                "a the packages of the group `g` share their version, and `a` cannot have this one: 1.3.0 would not be \
                 above `v1.4.0`, which HEAD contains; choose a version above 1.4.0\n\
                 b the packages of the group `g` share their version, and `a` cannot have this one: 1.3.0 would not be \
                 above `v1.4.0`, which HEAD contains; choose a version above 1.4.0",
            ),
            // The one that has it already is left alone.
            (
                exact("1.4.0"),
                "a 1.4.0 already exists as the tag `v1.4.0`; choose a higher version\nb 1.4.0 (1.4.0 was asked for)",
            ),
        ] {
            check_request(&two, Channel::Stable, &request, expect);
        }
    }
}
