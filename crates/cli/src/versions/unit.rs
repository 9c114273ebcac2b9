//! What is versioned, by which rules, and what its files state.

use std::collections::BTreeMap;
use std::str::FromStr as _;

use windlass_core::commit::Types;
use windlass_core::config::Unit;
use windlass_core::text::sanitize_line;
use windlass_core::version::{Calendar, Channel, Impact, Policy, Version};

use super::VersionRequest;
use crate::error::{CommandError, Result};
use crate::holders;
use crate::project::Project;

/// The unit of this package; the whole repository without one.
///
/// # Errors
/// When no package has the name.
pub fn unit(project: &Project, package: Option<&str>) -> Result<Unit> {
    project.config.unit(package).map_err(|error| CommandError::invalid(error.to_string()))
}

/// The unit and the version that somebody means by a tag or a version. A package's tag names its package, too.
///
/// # Errors
/// When no package has the name, when the text is no version, and when several packages share the tag.
pub fn meant(project: &Project, package: Option<&str>, text: &str) -> Result<(Unit, Version)> {
    let mut found: Vec<(Unit, Version)> = Vec::new();
    for name in project.config.packages.keys().filter(|_| package.is_none()) {
        let unit = unit(project, Some(name))?;
        if let Some(version) = policy(project, &unit)?.version_of(text.trim()) {
            found.push((unit, version));
        }
    }
    if found.len() > 1 {
        let names: Vec<&str> = found.iter().filter_map(|(unit, _)| unit.package.as_deref()).collect();
        let (text, names) = (sanitize_line(text.trim()), sanitize_line(&names.join(", ")));
        return Err(CommandError::invalid(format!("`{text}` is the tag of {names}"))
            .hint("name the one that is meant with --package"));
    }
    if let Some(found) = found.pop() {
        return Ok(found);
    }
    let unit = unit(project, package)?;
    let meant = policy(project, &unit)?.version_meant(text);
    Ok((unit, meant.map_err(|error| CommandError::invalid(error.to_string()))?))
}

/// The project's rules for the versions of a unit.
///
/// # Errors
/// When the configuration's calendar or tag format is none.
pub fn policy(project: &Project, unit: &Unit) -> Result<Policy> {
    let version = &project.config.version;
    let impact = |text: &String| match text.as_str() {
        "major" => Impact::Major,
        "minor" => Impact::Minor,
        "patch" => Impact::Patch,
        _ => Impact::None,
    };
    let calendar = match &version.calendar {
        Some(pattern) => {
            Some(Calendar::parse(pattern).map_err(|error| CommandError::invalid(error.to_string()))?)
        }
        None => None,
    };
    let mut bump_rules: BTreeMap<String, Impact> =
        version.rules.iter().map(|(kind, text)| (kind.clone(), impact(text))).collect();
    // A type with a heading is one, and asks for nothing but by a rule.
    for kind in project.config.changelog.headings.keys().filter_map(|key| key.split('(').next()) {
        let kind = kind.trim().to_lowercase();
        if !Types::default().knows(&kind) {
            bump_rules.entry(kind).or_insert(Impact::None);
        }
    }
    // The configuration was checked when it was read: every channel that has a label is one.
    let label = |(channel, word): (&String, &String)| Some((Channel::from_str(channel).ok()?, word.clone()));
    Ok(Policy {
        tag_format: unit.tag.clone(),
        initial_development: version.initial_development,
        bump_rules,
        hotfix_suffix: version.hotfix_suffix,
        labels: version.labels.iter().filter_map(label).collect(),
        ordinals: version.ordinals,
        calendar,
    })
}

/// The version that the files of a unit state, when they state one and agree.
///
/// # Errors
/// When one cannot be read, and when they disagree.
pub fn stated(project: &Project, unit: &Unit) -> Result<Option<Version>> {
    holders::agreed(&holders::of_unit(project, unit)?)
}

/// Refuses a request for one version in a repository whose packages each have their own.
///
/// # Errors
/// When the request is for an exact version, a step, a hotfix or a promotion.
pub fn require_one_package(project: &Project, request: &VersionRequest) -> Result<()> {
    if request.exact.is_none() && request.bump.is_none() && !request.hotfix && request.promote.is_none() {
        return Ok(());
    }
    Err(no_package(project))
}

/// A release without the package that it is of.
///
/// # Errors
/// When there are packages and the request names none.
pub fn require_package(project: &Project, request: &VersionRequest) -> Result<()> {
    match request.package.is_none() && !project.config.packages.is_empty() {
        true => Err(no_package(project)),
        false => Ok(()),
    }
}

fn no_package(project: &Project) -> CommandError {
    let names: Vec<&str> = project.config.packages.keys().map(String::as_str).collect();
    CommandError::invalid("this repository has packages, and the version is one package's")
        .hint(format!("name it with --package: {}", sanitize_line(&names.join(", "))))
}
