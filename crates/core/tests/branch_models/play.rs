//! Evaluates histories that are written as text, on a repository in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use windlass_core::commit::Commit;
use windlass_core::version::next::{Line, NextInput, Request, TagFact, Tagged, View, baseline, decide};
use windlass_core::version::{Channel, Policy, TagFormat, Version, parse_version};

/// A repository in memory.
#[derive(Default)]
struct Repository {
    commits: Vec<Made>,
    branches: BTreeMap<String, usize>,
    branch: String,
    tags: BTreeMap<String, usize>,
    states: Option<Version>,
    policy: Policy,
    withdrawn: Vec<Version>,
}

struct Made {
    message: String,
    /// The package it touches; every one without.
    package: Option<String>,
    /// Every commit it contains, itself included.
    contains: BTreeSet<usize>,
}

impl Repository {
    fn head(&self) -> Option<usize> {
        self.branches.get(&self.branch).copied()
    }

    fn contained(&self, at: Option<usize>) -> BTreeSet<usize> {
        at.map(|at| self.commits[at].contains.clone()).unwrap_or_default()
    }

    fn commit(&mut self, message: &str, package: Option<&str>, merged: Option<usize>) {
        let at = self.commits.len();
        let mut contains = self.contained(self.head());
        contains.extend(self.contained(merged));
        contains.insert(at);
        let message = message.replace("\\n", "\n");
        self.commits.push(Made { message, package: package.map(str::to_owned), contains });
        self.branches.insert(self.branch.clone(), at);
    }

    /// What would be released now: a version, or the sentence that says why not.
    fn decide(&self, package: Option<&str>, request: &Request, word: &str) -> String {
        let mut policy = self.policy.clone();
        if let Some(package) = package {
            policy.tag_format = TagFormat::parse(&format!("{package}-v{{version}}")).unwrap();
        }
        let facts: Vec<TagFact> = self
            .tags
            .iter()
            .map(|(name, at)| TagFact { name: name.clone(), commit: at.to_string() })
            .collect();
        let released: Vec<Version> = facts.iter().filter_map(|fact| policy.version_of(&fact.name)).collect();
        let (channel, label) = match policy.channel_named(word, &released) {
            Ok(named) => named,
            Err(error) => return error.to_string(),
        };
        let here = match request {
            Request::Promote(tag) => self.tags.get(tag).copied(),
            _ => self.head(),
        };
        let contained = self.contained(here);
        let head = here.map(|at| at.to_string()).unwrap_or_default();
        let others = if package.is_some() { vec!["pkg1-v{version}".parse().unwrap()] } else { Vec::new() };
        let hotfix = channel == Channel::Hotfix || *request == Request::Hotfix;
        let view = View { head: &head, policy: &policy, withdrawn: &self.withdrawn, others: &others, hotfix };
        let contains =
            |tagged: &Tagged| Ok::<_, Infallible>(contained.contains(&tagged.commit.parse().unwrap()));
        let Ok(baseline) = baseline(&facts, &view, contains);
        let hidden = self.contained(baseline.current.as_ref().map(|current| current.commit.parse().unwrap()));
        let commits: Vec<Commit> = contained
            .iter()
            .rev()
            .filter(|at| !hidden.contains(at))
            .map(|at| (at, &self.commits[*at]))
            .filter(|(_, made)| {
                package.is_none() || made.package.is_none() || made.package.as_deref() == package
            })
            .map(|(at, made)| Commit {
                id: format!("{at:040x}"),
                message: made.message.clone(),
                ..Commit::default()
            })
            .collect();
        let line = Line::of_branch(&self.branch).filter(|_| !matches!(request, Request::Promote(_)));
        let decision = decide(
            &baseline,
            &NextInput {
                commits: &commits,
                stated: self.states.as_ref(),
                request,
                channel,
                label: label.as_deref(),
                policy: &policy,
                withdrawn: &self.withdrawn,
                line: line.as_ref(),
                at_least: None,
                today: "2026-11-21".parse().unwrap(),
            },
        );
        match decision {
            Ok(decision) => decision.version.to_string(),
            Err(error) => error.to_string(),
        }
    }
}

/// Works through the models of a text; every line that does not hold is a line of the answer.
pub fn play(text: &str, explained: Option<&str>) -> (usize, Vec<String>) {
    let (mut checked, mut wrong) = (0, Vec::new());
    let mut repository = Repository::default();
    let mut model = "";
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let (package, rest) = match rest.strip_prefix('@').and_then(|rest| rest.split_once(' ')) {
            Some((package, rest)) => (Some(package), rest),
            None => (None, rest),
        };
        match verb {
            "" | "#" => {}
            "model" => {
                model = rest;
                repository = Repository { branch: "main".to_owned(), ..Repository::default() };
            }
            "zero-is-strict" => repository.policy.initial_development = false,
            "marks-hotfixes" => repository.policy.hotfix_suffix = true,
            "label" => {
                let (channel, word) = rest.split_once(' ').unwrap();
                repository.policy.labels.insert(channel.parse().unwrap(), word.to_owned());
            }
            "calendar" => repository.policy.calendar = Some(rest.parse().unwrap()),
            "states" => repository.states = Some(parse_version(rest).unwrap()),
            "withdraw" => repository.withdrawn.push(parse_version(rest).unwrap()),
            "branch" => {
                let head = repository.head().unwrap();
                repository.branches.insert(rest.to_owned(), head);
                repository.branch = rest.to_owned();
            }
            "branch-at" => {
                let (name, tag) = rest.split_once(' ').unwrap();
                let at = repository.tags[tag];
                repository.branches.insert(name.to_owned(), at);
                repository.branch = name.to_owned();
            }
            "switch" => {
                assert!(repository.branches.contains_key(rest), "{model}: {line}");
                repository.branch = rest.to_owned();
            }
            "commit" => repository.commit(rest, package, None),
            "merge" => {
                let merged = repository.branches[rest];
                let message = format!("Merge branch '{rest}' into {}", repository.branch);
                repository.commit(&message, None, Some(merged));
            }
            "forward" => {
                let to = repository.branches[rest];
                let head = repository.head().unwrap();
                assert!(
                    repository.commits[to].contains.contains(&head),
                    "{model}: {line} is no fast-forward"
                );
                repository.branches.insert(repository.branch.clone(), to);
            }
            "tag" => {
                let head = repository.head().unwrap();
                repository.tags.insert(rest.to_owned(), head);
            }
            "untag" => drop(repository.tags.remove(rest).unwrap()),
            "next" | "release" => {
                let (rest, differs) = match rest.split_once(" differs: ") {
                    Some((rest, text)) => (rest, Some(text)),
                    None => (rest, None),
                };
                let (expect, how) = match rest.strip_prefix('"') {
                    Some(quoted) => quoted.split_once('"').unwrap(),
                    None => rest.split_once(' ').unwrap_or((rest, "")),
                };
                let version = parse_version(expect).ok();
                let own =
                    version.as_ref().map_or(Channel::Stable, |version| repository.policy.channel(version));
                let own = if own == Channel::Hotfix { Channel::Stable } else { own };
                let mut word = repository.policy.label(own).to_owned();
                let mut request = Request::Auto;
                match how.trim().split_once(' ').unwrap_or((how.trim(), "")) {
                    ("", _) => {}
                    ("on", channel) => word = channel.to_owned(),
                    ("by", bump) => request = Request::Bump(bump.parse().unwrap()),
                    ("hotfix", _) => request = Request::Hotfix,
                    ("exactly", _) => request = Request::Exact(version.clone().unwrap()),
                    ("promoting", tag) => request = Request::Promote(tag.to_owned()),
                    _ => panic!("{model}: {line}"),
                }
                let outcome = repository.decide(package, &request, &word);
                checked += 1;
                let holds = match (&version, differs) {
                    (_, Some(text)) => {
                        assert!(
                            explained
                                .is_some_and(|explained| explained.contains(&format!("{model}: {expect}"))),
                            "{model}: {expect} is not explained"
                        );
                        outcome.contains(text)
                    }
                    (Some(version), None) => outcome == version.to_string(),
                    (None, None) => outcome.contains(expect),
                };
                if !holds {
                    wrong.push(format!("{model}, line {}: {line}\n    {outcome}", number + 1));
                }
                if verb == "release" {
                    if !matches!(request, Request::Promote(_)) {
                        repository.commit(&format!("chore(release): {expect}"), package, None);
                    }
                    let tag = match package {
                        Some(package) => format!("{package}-v{expect}"),
                        None => format!("v{expect}"),
                    };
                    let at = match &request {
                        Request::Promote(promoted) => repository.tags[promoted],
                        _ => repository.head().unwrap(),
                    };
                    repository.tags.insert(tag, at);
                    repository.states = None;
                }
            }
            _ => panic!("{model}: `{line}` is no step of a history"),
        }
    }
    (checked, wrong)
}
