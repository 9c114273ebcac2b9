//! `script`: runs a script of the runbook. Its text is the author's program and reaches the interpreter as one
//! argument; values reach it as environment variables only.

use std::collections::BTreeMap;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use windlass_core::plan::{Effect, Facts, Reversibility};
use windlass_core::text::sanitize_line;
use windlass_engine::action::{Action, ActionError, Probe, Result, Undone};
use windlass_engine::context::Context;
use windlass_engine::process::{Command, Finished};
use windlass_engine::scratch;

use crate::adapters::files;
use crate::adapters::git::without_credentials;

/// The most outputs a script may have, and the most bytes of them all.
const OUTPUTS: usize = 100;
const OUTPUT_BYTES: u64 = 64 << 10;
/// What Linux takes as one argument, less a margin.
const LONGEST: usize = 120 << 10;

/// Runs a script of the runbook.
#[derive(Debug, Clone, Copy)]
pub struct Script;

/// What a script is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// `bash -euo pipefail`.
    Bash,
    /// `sh -eu`.
    Sh,
    /// `python3`.
    Python,
}

/// What a script is written in unless it is said.
pub(crate) fn bash() -> Language {
    Language::Bash
}

/// Parameters of `script`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// What it is written in: `bash`, `sh` or `python`.
    pub language: Language,
    /// The script.
    pub text: String,
    /// Environment variables beside the run's.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Names of secrets that it gets as environment variables.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// A script in the same language that tells whether this one's work is done: exit code 0 for yes, 1 for no,
    /// anything else for "cannot say".
    #[serde(default)]
    pub probe: Option<String>,
    /// A script in the same language that takes this one's work back.
    #[serde(default)]
    pub undo: Option<String>,
    /// It only looks and changes nothing, so that it may be run again at any time.
    #[serde(default)]
    pub read_only: bool,
    /// What it does, in a few words.
    #[serde(default)]
    pub label: Option<String>,
}

/// What `script` gives.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Output {
    /// What it wrote as lines `KEY=value` to the file that `WINDLASS_OUTPUT` names.
    pub outputs: BTreeMap<String, String>,
    /// Its exit code.
    pub code: i32,
}

impl<'de> Deserialize<'de> for Output {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Kept {
            outputs: BTreeMap<String, String>,
            code: i32,
        }
        // Null is what a person's word "it was done" leaves: its undo must be callable still.
        let kept = Option::<Kept>::deserialize(deserializer)?;
        Ok(kept.map(|Kept { outputs, code }| Self { outputs, code }).unwrap_or_default())
    }
}

impl Action for Script {
    const NAME: &'static str = "script";
    const SUMMARY: &'static str = "Runs a script in a process group of its own.";
    type Params = Params;
    type Output = Output;

    fn effects(&self, params: &Params, _: &Facts) -> Result<Vec<Effect>> {
        for text in [Some(&params.text), params.probe.as_ref(), params.undo.as_ref()].into_iter().flatten() {
            check(text)?;
        }
        Ok(if params.read_only { Vec::new() } else { vec![effect(params)] })
    }

    fn label(&self, params: &Params, _: &Facts) -> String {
        label(params)
    }

    async fn probe(&self, params: &Params, context: &Context) -> Result<Probe<Output>> {
        let Some(text) = &params.probe else { return Ok(Probe::Unknown) };
        let (finished, outputs) = execute(params, text, context).await?;
        Ok(match finished.code {
            Some(0) => Probe::Done(Output { outputs: outputs?, code: 0 }),
            Some(1) => Probe::Absent,
            _ => Probe::Unknown,
        })
    }

    async fn run(&self, params: &Params, context: &Context) -> Result<Output> {
        let (finished, outputs) = execute(params, &params.text, context).await.inspect_err(|error| {
            // Stopped in the middle, it may have done its work.
            if *error == ActionError::Cancelled {
                note(params, context);
            }
        })?;
        note(params, context);
        match finished.code {
            Some(0) => Ok(Output { outputs: outputs?, code: 0 }),
            _ => Err(failure("the script", &finished, context)),
        }
    }

    async fn undo(&self, params: &Params, _: &Output, context: &Context) -> Result<Undone> {
        if params.read_only {
            return Ok(Undone::NothingToDo);
        }
        let Some(text) = &params.undo else {
            return Ok(Undone::NeedsHuman(format!(
                "only its author knows how to take `{}` back: give the script an `undo`",
                label(params)
            )));
        };
        let (finished, _) = execute(params, text, context).await?;
        match finished.code {
            Some(0) => Ok(Undone::Reverted(format!("ran the undo of `{}`", label(params)))),
            _ => Err(failure("the script's undo", &finished, context)),
        }
    }
}

fn effect(params: &Params) -> Effect {
    // Without an undo only its author knows whether it can be taken back.
    let reversibility =
        if params.undo.is_some() { Reversibility::Compensable } else { Reversibility::Unknown };
    Effect::new("run script", label(params), reversibility)
}

fn note(params: &Params, context: &Context) {
    if !params.read_only {
        context.changed(effect(params));
    }
}

fn label(params: &Params) -> String {
    let first = params.text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
    let label = params.label.as_deref().or(first).unwrap_or("an empty script");
    sanitize_line(label).chars().take(120).collect()
}

fn check(text: &str) -> Result<()> {
    if text.len() > LONGEST || text.contains('\0') {
        return Err(ActionError::Final(
            "the script is longer than 120 KiB or holds a zero byte: put it into a file and call that".into(),
        ));
    }
    Ok(())
}

pub(crate) async fn execute(
    params: &Params,
    text: &str,
    context: &Context,
) -> Result<(Finished, Result<BTreeMap<String, String>>)> {
    check(text)?;
    let folder = scratch::folder(context).map_err(|error| {
        ActionError::Failed(format!("no folder for the script's outputs can be made: {error}"))
    })?;
    let file = folder.path().join("output");
    std::fs::write(&file, "").map_err(|error| {
        ActionError::Failed(format!("no file for the script's outputs can be made: {error}"))
    })?;
    let mut command = match params.language {
        // The last one is `$0`, the name in bash's own messages.
        Language::Bash => Command::new("bash").args(["-euo", "pipefail", "-c", text, "windlass"]),
        Language::Sh => Command::new("sh").args(["-eu", "-c", text, "windlass"]),
        Language::Python => Command::new("python3").args(["-u", "-c", text]),
    };
    for (name, value) in &params.env {
        command = command.env(name, value);
    }
    for name in &params.secrets {
        command = command.env(name, context.secret(name)?);
    }
    let command = command.env("WINDLASS_OUTPUT", file.to_string_lossy());
    let finished = context.process(&command).await?;
    Ok((finished, read_outputs(&file, context)))
}

/// The outputs, masked: they are kept in the journal.
fn read_outputs(file: &Path, context: &Context) -> Result<BTreeMap<String, String>> {
    let size = std::fs::symlink_metadata(file).map(|data| if data.is_file() { data.len() } else { u64::MAX });
    let wrong = |why: &str| ActionError::Final(format!("the script's outputs (WINDLASS_OUTPUT) {why}"));
    match size {
        Ok(0..=OUTPUT_BYTES) => {}
        Ok(_) => return Err(wrong("are more than 64 KiB, or no file")),
        Err(_) => return Err(wrong("are gone: the script removed the file")),
    }
    let folder = file.parent().unwrap_or(file);
    let text = files::require(folder, "output")?;
    let mut outputs = BTreeMap::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let (key, value) = line
            .split_once('=')
            .filter(|(key, _)| is_key(key))
            .ok_or_else(|| wrong(&format!("are wrong in line {}: write KEY=value", at + 1)))?;
        let value = windlass_core::text::sanitize(&context.world.masker.mask(value));
        outputs.insert(key.to_owned(), value);
    }
    if outputs.len() > OUTPUTS {
        return Err(wrong("are more than 100"));
    }
    Ok(outputs)
}

fn is_key(key: &str) -> bool {
    key.len() <= 64
        && key.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_')
        && key.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

pub(crate) fn failure(what: &str, finished: &Finished, context: &Context) -> ActionError {
    let text = String::from_utf8_lossy(&finished.stderr);
    let lines: Vec<String> = text.lines().map(sanitize_line).filter(|line| !line.is_empty()).collect();
    let last = lines.get(lines.len().saturating_sub(3)..).unwrap_or_default().join("; ");
    let last: String = context.world.masker.mask(&without_credentials(&last)).chars().take(600).collect();
    let told = if last.is_empty() { String::new() } else { format!(": {last}") };
    match finished.code {
        Some(127) => {
            let missing = lines.iter().rev().find_map(|line| missing_command(line));
            match missing {
                Some(command) => ActionError::Final(format!(
                    "{what} ended with exit code 127: the command `{command}` is not installed or not in PATH"
                )),
                None => {
                    ActionError::Final(format!("{what} ended with exit code 127, a command is missing{told}"))
                }
            }
        }
        Some(126) => {
            ActionError::Final(format!("{what} ended with exit code 126, a command cannot be executed{told}"))
        }
        Some(code) => ActionError::Failed(format!("{what} ended with exit code {code}{told}")),
        None => ActionError::Failed(format!("{what} was ended by a signal{told}")),
    }
}

/// `bash: line 3: gh: command not found`, `sh: 1: gh: not found`.
fn missing_command(line: &str) -> Option<&str> {
    let before = line.strip_suffix(": command not found").or_else(|| line.strip_suffix(": not found"))?;
    before.rsplit(": ").next().filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_missing_command_is_found_in_the_shells_words() {
        for (line, expect) in [
            ("windlass: line 2: gh: command not found", Some("gh")),
            ("windlass: 1: kubectl: not found", Some("kubectl")),
            ("curl: (22) The requested URL returned error: 404", None),
        ] {
            assert_eq!(missing_command(line), expect);
        }
    }

    #[test]
    fn keys_are_names_of_variables() {
        for (key, expect) in
            [("URL", true), ("_a1", true), ("1a", false), ("a-b", false), ("", false), ("a b", false)]
        {
            assert_eq!(is_key(key), expect, "{key}");
        }
    }
}
