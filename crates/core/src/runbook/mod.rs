//! A runbook: the Markdown document of a release process, read into what can be planned and run.
//!
//! [`parse`] reads the Markdown; every name keeps its place in the source so that a finding can point at it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::diagnostic::Span;
use crate::duration::Duration;

mod counts;
pub mod parse;
pub mod print;
pub mod validate;

pub use counts::Counts;
pub use parse::{Parsed, parse};
pub use print::print;
pub use validate::{World, validate};

/// A value and where it stands in the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Its place.
    pub span: Span,
}

/// A whole runbook.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Runbook {
    /// The name it is called by.
    pub name: String,
    /// One line on what it is for.
    pub description: String,
    /// Words, tag patterns (`tag v*`) and events that start it.
    pub triggers: Vec<Spanned<String>>,
    /// The skills (groups of actions) it may use; `None` when the front matter does not say: then every skill.
    pub skills: Option<Vec<Spanned<String>>>,
    /// The runbooks it may call; `None` when the front matter does not say: then none.
    pub calls: Option<Vec<Spanned<String>>>,
    /// The roles it names; `None` when the front matter does not say: then any.
    pub roles: Option<Vec<Spanned<String>>>,
    /// Environment of every script; values may be templates.
    pub env: BTreeMap<String, String>,
    /// What a person gives when starting it.
    pub inputs: BTreeMap<String, Input>,
    /// The top heading.
    pub title: String,
    /// Prose of the objective section.
    pub objective: String,
    /// Items under the preconditions heading, in order.
    pub preconditions: Vec<Item>,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// Declared outputs, one line each.
    pub outputs: Vec<String>,
    /// The rollback section, when there is one.
    pub rollback: Option<Rollback>,
    /// The table of common errors.
    pub errors: Vec<CommonError>,
    /// Who is called when.
    pub escalations: Vec<Escalation>,
    /// Sections that are documentation only: title and Markdown.
    pub notes: Vec<(String, String)>,
}

/// An input of a runbook.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Input {
    /// What kind of value it takes.
    #[serde(rename = "type", default)]
    pub kind: InputKind,
    /// One line on what it is for.
    #[serde(default)]
    pub description: String,
    /// Its value when none is given, as text; `None` makes it required.
    pub default: Option<String>,
    /// The only values allowed, as text, when not empty.
    #[serde(default)]
    pub options: Vec<String>,
}

/// The type of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum InputKind {
    /// Any text.
    #[default]
    String,
    /// `true` or `false`.
    Boolean,
    /// A whole number.
    Integer,
    /// A SemVer version.
    Version,
    /// A duration such as `30m`.
    Duration,
}

/// A heading under the steps section.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The heading's slug, or the `{id=...}` pinned on it. Unique in the runbook.
    pub id: String,
    /// The number written before the title, if any.
    pub number: Option<u32>,
    /// The title without its number and attributes.
    pub title: String,
    /// Where the heading stands.
    pub span: Span,
    /// What the list right under the heading sets.
    pub settings: Settings,
    /// Skills declared by `→ **skill**: ...` lines.
    pub skills: Vec<Spanned<String>>,
    /// What it does, in the order written.
    pub items: Vec<Item>,
}

/// The settings of a step.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Settings {
    /// `Owner:` who answers for it.
    pub owner: Option<Owner>,
    /// `When:` an expression; the step is left out when it is false.
    pub when: Option<Spanned<String>>,
    /// `Within:` the step fails when it takes longer.
    pub within: Option<Duration>,
    /// `Lock:` the environment it must hold alone.
    pub lock: Option<String>,
    /// `On failure:` what follows when it fails.
    pub on_failure: Option<Spanned<OnFailure>>,
    /// `Parallel:` consecutive steps with the same group name run at the same time.
    pub parallel: Option<String>,
    /// `Matrix:` the step runs once for every combination, in the order written.
    pub matrix: Vec<(String, Vec<String>)>,
    /// `Output:` what it leaves, named by people.
    pub outputs: Vec<String>,
}

/// Who answers for a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Owner {
    /// Roles or people.
    pub names: Vec<String>,
    /// Every one of them (`a + b`), not one of them (`a or b`).
    pub all: bool,
}

/// What follows a failed step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// The run stops; nothing else happens by itself.
    Stop,
    /// The failure is recorded and the run goes on.
    Continue,
    /// The named runbook is run, and the run ends rolled back.
    Call(String),
}

/// One thing a step does.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// A script fence.
    Script(Script),
    /// A `yaml` fence whose first key is `uses`.
    Action(ActionUse),
    /// A `- [ ]` item.
    Check(Check),
    /// A `→ **workflow**: name` line.
    Call(Spanned<String>),
    /// A titled, time-boxed list of checks.
    Checklist(Checklist),
}

/// A script fence that runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Script {
    /// What interprets it.
    pub language: Language,
    /// Its text.
    pub text: String,
    /// Where the text stands.
    pub span: Span,
    /// What the braces after the language set.
    pub attributes: Attributes,
}

/// What interprets a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// POSIX shell.
    Sh,
    /// Bash.
    Bash,
    /// Python 3.
    Python,
}

/// The attributes of a fence or an action.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Attributes {
    /// `id`: pins the item's name in its step.
    pub id: Option<Spanned<String>>,
    /// `timeout`: the longest one attempt may take.
    pub timeout: Option<Duration>,
    /// `retry`: how many further attempts a failure gets.
    pub retry: u32,
    /// `env`: extra environment, `NAME=value` pairs separated by commas.
    pub env: BTreeMap<String, String>,
    /// `secrets`: names of secrets given as environment variables and masked.
    pub secrets: Vec<String>,
    /// `in-doubt`: what to do when a crash hides whether it ran.
    pub in_doubt: Option<InDoubt>,
    /// `probe`: a command whose success says that it has already been done.
    pub probe: Option<String>,
    /// `undo`: a command that takes it back.
    pub undo: Option<String>,
    /// `effects=none`: it only reads, so running it again is always safe.
    pub read_only: bool,
    /// `optional`: a failure is a warning (R54).
    pub optional: bool,
    /// `run=false`: documentation, not run.
    pub skip: bool,
}

/// What to do with an intent whose outcome a crash swallowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum InDoubt {
    /// Ask the action's probe; a person when the probe does not know.
    Probe,
    /// Run it again.
    Rerun,
    /// Ask a person.
    Ask,
}

/// A typed action of a `yaml` fence.
#[derive(Debug, Clone, PartialEq)]
pub struct ActionUse {
    /// The action's name, such as `git.tag`.
    pub uses: Spanned<String>,
    /// Its parameters as written; strings may be templates.
    pub with: serde_json::Value,
    /// Where the fence's text stands.
    pub span: Span,
    /// `id`, `timeout`, `retry`, `in-doubt`, `optional` of the fence.
    pub attributes: Attributes,
}

/// A `- [ ]` item.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// What is to be true, as plain text.
    pub text: String,
    /// The command whose success ticks it; a person does when there is none.
    pub command: Option<Spanned<String>>,
    /// Items nested under it; all must hold first.
    pub children: Vec<Check>,
    /// Written ticked (`- [x]`).
    pub ticked: bool,
    /// Where it stands.
    pub span: Span,
}

/// A titled list of checks with a time box.
#[derive(Debug, Clone, PartialEq)]
pub struct Checklist {
    /// Its title, without the time box.
    pub title: String,
    /// The list must be done within this time of its start.
    pub within: Option<Duration>,
    /// Its items.
    pub checks: Vec<Check>,
    /// Where its title stands.
    pub span: Span,
}

/// The rollback section.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rollback {
    /// What it does: calls, scripts, actions, checks.
    pub items: Vec<Item>,
    /// When to roll back.
    pub criteria: Vec<Criterion>,
}

/// One criterion of rollback.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Criterion {
    /// As written.
    pub text: String,
    /// As a measurable condition, where it parses; a person's judgement otherwise.
    pub condition: Option<Condition>,
}

/// A measurable condition, such as `error_rate > 1%` or `latency_p95 > 2x`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Condition {
    /// `error_rate`, `latency_p95`, ...
    pub metric: String,
    /// The bound as written in canonical form: `> 1%`, `> 2x`.
    pub bound: String,
}

/// A row of the common errors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CommonError {
    /// What is seen.
    pub error: String,
    /// Why.
    pub cause: String,
    /// What to do.
    pub solution: String,
}

/// A line of the escalation section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Escalation {
    /// What happened.
    pub event: String,
    /// Roles or people to call, named in code spans.
    pub to: Vec<String>,
    /// The rest of the line, such as `+ rollback`.
    pub note: String,
    /// How soon, when the line says so (`< 15 min`).
    pub within: Option<Duration>,
}
