//! Predicts a real history: for every version tag, whether `windlass next --at TAG^` counts from the right release.
//!
//! `windlass-predict REPOSITORY [TAG-FORMAT]`. What is right is asked of git itself: of the tags that `git tag
//! --merged TAG^` lists, the one with the highest version. How often the version itself is foretold is told as well;
//! people are free to choose another one than their commits call for, so that is no failure.

use std::collections::BTreeMap;
use std::io::{Error, Result, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use serde_json::Value;
use windlass_core::version::{Suffix, TagFormat, Version, order};

/// Disagreements of one kind that are listed.
const MOST_LISTED: usize = 40;

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<bool> {
    let mut arguments = std::env::args_os().skip(1);
    let repository = arguments
        .next()
        .map(PathBuf::from)
        .ok_or_else(|| Error::other("usage: windlass-predict REPOSITORY [TAG-FORMAT]"))?;
    let format = arguments.next().map_or(Ok("v{version}".to_owned()), |text| {
        text.into_string().map_err(|_| Error::other("the tag format is no text"))
    })?;
    let format = TagFormat::parse(&format).map_err(|error| Error::other(error.to_string()))?;
    let windlass = std::env::current_exe()?.with_file_name("windlass");
    let tags: BTreeMap<String, Version> = git(&repository, &["tag", "--list"])?
        .lines()
        .filter_map(|tag| Some((tag.to_owned(), format.version_of(tag)?)))
        .collect();
    let mut told = Told::default();
    for (tag, version) in &tags {
        let parent = format!("{tag}^");
        if git(&repository, &["rev-parse", "--verify", "--quiet", &format!("{parent}^{{commit}}")]).is_err() {
            told.roots += 1;
            continue;
        }
        let merged = git(&repository, &["tag", "--merged", &parent])?;
        let right = merged
            .lines()
            .filter_map(|tag| tags.get_key_value(tag))
            .max_by(|one, other| order(one.1, other.1).then_with(|| other.0.cmp(one.0)))
            .map(|(tag, _)| tag.clone());
        let found = next(&windlass, &repository, &format, &parent, version)?;
        told.add(tag, version, right, &found);
    }
    told.print(tags.len())
}

/// What `next` says at a commit, decision or error.
fn next(
    windlass: &Path,
    repository: &Path,
    format: &TagFormat,
    at: &str,
    version: &Version,
) -> Result<Value> {
    let mut command = Command::new(windlass);
    command.arg("-C").arg(repository).args(["next", "--json", "--at", at]);
    let config = std::env::temp_dir().join(format!("windlass-predict-{}.toml", std::process::id()));
    std::fs::write(&config, format!("[version]\ntag = \"{format}\"\n"))?;
    command.arg("--config").arg(&config);
    let label = Suffix::of(version).map(|suffix| suffix.label.to_owned());
    if let Some(label) = label {
        command.args(["--channel", &label]);
    }
    let output = command.output()?;
    std::fs::remove_file(&config)?;
    let value: Value = serde_json::from_slice(&output.stdout).map_err(|error| {
        Error::other(format!("{at}: {error}: {}", String::from_utf8_lossy(&output.stderr)))
    })?;
    // A word that no release carries yet: the channel says nothing about the baseline.
    let unknown = value["message"].as_str().is_some_and(|message| message.contains("is not a channel"));
    if !unknown {
        return Ok(value);
    }
    let output = Command::new(windlass)
        .arg("-C")
        .arg(repository)
        .args(["next", "--json", "--at", at, "--channel", "alpha"])
        .output()?;
    serde_json::from_slice(&output.stdout).map_err(Error::other)
}

/// How the predictions went.
#[derive(Default)]
struct Told {
    roots: usize,
    checked: usize,
    baseline_right: usize,
    version_right: usize,
    /// The tag is not above the release before it, so no tool that goes up can foretell it.
    below: usize,
    wrong: Vec<String>,
    others: Vec<String>,
}

impl Told {
    fn add(&mut self, tag: &str, version: &Version, right: Option<String>, found: &Value) {
        self.checked += 1;
        let baseline = found["next"]["baseline"]["tag"].as_str().map(str::to_owned);
        if baseline == right {
            self.baseline_right += 1;
        } else {
            self.wrong.push(format!("{tag}: counted from {baseline:?}, right is {right:?}"));
        }
        let before = found["next"]["baseline"]["version"].as_str().and_then(|text| Version::parse(text).ok());
        if before.is_some_and(|before| order(&before, version).is_ge()) {
            self.below += 1;
            return;
        }
        let foretold = found["next"]["version"].as_str();
        if foretold == Some(version.to_string().as_str()) {
            self.version_right += 1;
        } else {
            let said = foretold.or(found["message"].as_str()).unwrap_or("nothing");
            self.others.push(format!("{tag}: from {}: {said}", baseline.unwrap_or_default()));
        }
    }

    fn print(&self, tags: usize) -> Result<bool> {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{tags} version tags, {} of them first commits", self.roots)?;
        writeln!(out, "baseline right: {} of {}", self.baseline_right, self.checked)?;
        for wrong in self.wrong.iter().take(MOST_LISTED) {
            writeln!(out, "  {wrong}")?;
        }
        writeln!(
            out,
            "version foretold: {} of {} ({} are not above their baseline)",
            self.version_right,
            self.checked - self.below,
            self.below
        )?;
        for other in self.others.iter().take(MOST_LISTED) {
            writeln!(out, "  {other}")?;
        }
        Ok(self.wrong.is_empty() && self.checked > 0)
    }
}

fn git(repository: &Path, args: &[&str]) -> Result<String> {
    let output = Command::new("git").arg("-C").arg(repository).args(args).output()?;
    if !output.status.success() {
        return Err(Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
