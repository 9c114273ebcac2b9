//! A plan: a runbook bound to facts. The one object that a dry run shows, people approve and a run executes.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::duration::Duration;
use crate::gate::ApprovalRule;
use crate::runbook::{CommonError, Criterion, Escalation, InDoubt, OnFailure, Owner};
use crate::verdict::{MetricRule, WatchRule};

pub mod bind;
mod digest;
mod facts;
mod find;
pub mod flow;
mod outputs;

pub use digest::{Digest, canonical, sha256_hex};
pub use facts::{CommitFact, EntryFact, Facts, ForgeFact, HolderFact, ReleaseFact};
pub use find::Found;
pub use outputs::{Outputs, evaluate_guard, render_deferred};

/// The version of the plan's JSON.
pub const SCHEMA: u32 = 1;

/// The name of an item within a run: the step's id, then the item's, separated by `/`.
/// A called runbook's items stand under `ITEM/NAME/`. Journal entries are keyed by it, never by position.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct StepPath(pub String);

impl StepPath {
    /// The path of a top-level step.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The path of something under this one.
    #[must_use]
    pub fn child(&self, name: impl fmt::Display) -> Self {
        Self(format!("{}/{name}", self.0))
    }

    /// Whether `self` is `other` or stands under it.
    pub fn is_within(&self, other: &Self) -> bool {
        self.0 == other.0
            || (self.0.starts_with(&other.0) && self.0.as_bytes().get(other.0.len()) == Some(&b'/'))
    }
}

impl fmt::Display for StepPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A runbook bound to facts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Which runbook, at which content.
    pub runbook: RunbookPin,
    /// What is released; `None` for a runbook that releases nothing.
    pub release: Option<ReleaseFact>,
    /// What the world must still be when the plan is executed.
    pub pins: Pins,
    /// Environment of every script: `WINDLASS_*`, the front matter's `env` and the inputs.
    pub environment: BTreeMap<String, String>,
    /// Where secrets come from, by name; never their values.
    pub secrets: BTreeMap<String, SecretSource>,
    /// Members of each role, as the configuration had them. A role without members may be taken by anyone.
    pub roles: BTreeMap<String, Vec<String>>,
    /// E-mail addresses of the authors of what is released, for gates that exclude them.
    pub authors: Vec<String>,
    /// What to do, in order. Preconditions come first, as a step of their own.
    pub steps: Vec<PlannedStep>,
    /// The rollback section, bound.
    pub rollback: Vec<PlannedStep>,
    /// When to roll back.
    pub criteria: Vec<Criterion>,
    /// Called runbooks, pinned, by name.
    pub routines: BTreeMap<String, Routine>,
    /// What the runbook says it leaves behind.
    pub outputs: Vec<String>,
    /// Known errors with cause and solution.
    pub errors: Vec<CommonError>,
    /// Who is called when.
    pub escalations: Vec<Escalation>,
    /// What preflight found missing. A run refuses to start on any, unless told.
    pub preflight: Vec<Finding>,
}

/// Which runbook, at which content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunbookPin {
    /// Its name.
    pub name: String,
    /// Its title.
    pub title: String,
    /// Its path in the repository.
    pub path: String,
    /// SHA-256 of its text, in hexadecimal.
    pub digest: String,
}

/// A called runbook, pinned and bound.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Routine {
    /// Which runbook, at which content.
    pub runbook: RunbookPin,
    /// What it does. Paths are relative: the caller's path is put before them.
    pub steps: Vec<PlannedStep>,
}

/// What the world must still be when the plan is executed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Pins {
    /// The commit HEAD named.
    pub head: Option<String>,
    /// The branch that was checked out.
    pub branch: Option<String>,
    /// A tag that must not exist yet.
    pub absent_tag: Option<String>,
    /// SHA-256 by path of files that planning read: holders, changelog, configuration.
    pub files: BTreeMap<String, String>,
}

/// Where a secret's value comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SecretSource {
    /// An environment variable.
    Env(String),
    /// A file.
    File(String),
}

/// Something a script or an action needs that is not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// The item that needs it.
    pub path: StepPath,
    /// `syntax`, `command`, `file`, `make-target`, `secret`, `remote`, `branch`, `dirty`.
    pub kind: String,
    /// What is missing, in a sentence.
    pub message: String,
    /// `file:line` of the runbook.
    pub place: String,
}

/// A step of the plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedStep {
    /// Its name in the run.
    pub path: StepPath,
    /// Its title.
    pub title: String,
    /// Who answers for it.
    pub owner: Option<Owner>,
    /// A guard that can only be decided while running, as written.
    pub when: Option<String>,
    /// Why it is left out, when planning could decide that.
    pub skipped: Option<String>,
    /// The longest it may take.
    pub within: Option<Duration>,
    /// The environment it holds alone.
    pub lock: Option<String>,
    /// What follows when it fails.
    pub on_failure: OnFailure,
    /// Consecutive steps with the same group run at the same time.
    pub parallel: Option<String>,
    /// The matrix values of this copy of the step.
    pub matrix: BTreeMap<String, String>,
    /// What it does, in order.
    pub nodes: Vec<Node>,
    /// What it leaves, named by people.
    pub outputs: Vec<String>,
    /// How people are paged when it fails; the message is filled in then. Only where much depends on what it works on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<ActionCall>,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Node {
    /// An action, a script included.
    Action(ActionNode),
    /// A person confirms that something is true.
    Confirm(ConfirmNode),
    /// People approve.
    Approval(ApprovalNode),
    /// Time passes.
    Wait(WaitNode),
    /// The outside is observed for a while and judged.
    Watch(WatchNode),
    /// A pinned runbook.
    Call(CallNode),
    /// A time-boxed list.
    Checklist(ChecklistNode),
}

impl Node {
    /// Its name in the run.
    pub fn path(&self) -> &StepPath {
        match self {
            Self::Action(node) => &node.path,
            Self::Confirm(node) => &node.path,
            Self::Approval(node) => &node.path,
            Self::Wait(node) => &node.path,
            Self::Watch(node) => &node.path,
            Self::Call(node) => &node.path,
            Self::Checklist(node) => &node.path,
        }
    }

    /// What it does, in a few words, as far as that is known before it runs.
    pub fn label(&self) -> Cow<'_, str> {
        let label = match self {
            Self::Confirm(ConfirmNode { text, deferred: true, .. })
            | Self::Approval(ApprovalNode { label: text, deferred: true, .. }) => {
                return Cow::Owned(without_templates(text));
            }
            Self::Action(node) => &node.label,
            Self::Confirm(node) => &node.text,
            Self::Approval(node) => &node.label,
            Self::Wait(node) => &node.label,
            Self::Watch(node) => &node.label,
            Self::Call(node) => &node.runbook,
            Self::Checklist(node) => &node.title,
        };
        Cow::Borrowed(label)
    }
}

/// A label with `…` where something stands that only the run will know.
fn without_templates(label: &str) -> String {
    let mut shown = String::with_capacity(label.len());
    let mut rest = label;
    while let Some((before, template)) = rest.split_once("{{")
        && let Some((_, after)) = template.split_once("}}")
    {
        shown.push_str(before);
        shown.push('…');
        rest = after;
    }
    shown + rest
}

/// An action with its parameters, and what to do when it fails or its outcome is unknown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ActionNode {
    /// Its name in the run.
    pub path: StepPath,
    /// What it does, in a few words.
    pub label: String,
    /// What to call.
    pub call: ActionCall,
    /// What it will change outside.
    pub effects: Vec<Effect>,
    /// Retries, timeout, doubt.
    pub policy: Policy,
}

/// An action and its parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ActionCall {
    /// The action's name, such as `git.tag`.
    pub action: String,
    /// Its parameters. Strings may hold `{{ outputs.STEP.KEY }}` when `deferred`.
    pub params: Value,
    /// Some string of the parameters is rendered while running, from the outputs of earlier items.
    pub deferred: bool,
}

/// How an action is run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Policy {
    /// Further attempts after a failure, with backoff and jitter.
    pub retry: u32,
    /// The longest one attempt may take.
    pub timeout: Option<Duration>,
    /// What to do with an intent whose outcome a crash swallowed.
    pub in_doubt: InDoubt,
    /// A failure is a warning.
    pub optional: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self { retry: 0, timeout: None, in_doubt: InDoubt::Probe, optional: false }
    }
}

/// A change outside.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Effect {
    /// What changes, in a few words: `create tag`, `push`, `write`.
    pub verb: String,
    /// On what: `refs/tags/v1.2.0`, `origin main`, `Cargo.toml`.
    pub target: String,
    /// Whether it can be taken back.
    pub reversibility: Reversibility,
}

impl Effect {
    /// A change of `target`.
    pub fn new(verb: &str, target: impl Into<String>, reversibility: Reversibility) -> Self {
        Self { verb: verb.into(), target: target.into(), reversibility }
    }
}

/// Whether a change can be taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Reversibility {
    /// Taken back exactly.
    Reversible,
    /// Answered by a second change that makes up for it.
    Compensable,
    /// Never.
    Permanent,
    /// A script did it: only its author knows.
    Unknown,
}

/// A person confirms that something is true.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConfirmNode {
    /// Its name in the run.
    pub path: StepPath,
    /// What is confirmed.
    pub text: String,
    /// The text is finished while running, with outputs of earlier steps.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deferred: bool,
    /// Who may confirm.
    pub owner: Option<Owner>,
    /// Not confirmed by then, it is refused.
    pub within: Option<Duration>,
}

/// People approve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ApprovalNode {
    /// Its name in the run.
    pub path: StepPath,
    /// What is approved, in a few words.
    pub label: String,
    /// The label is finished while running, with outputs of earlier steps.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deferred: bool,
    /// Who, how many, by when.
    pub rule: ApprovalRule,
    /// What a refusal leads to: words for people, or the name of a pinned runbook.
    pub refused: Option<String>,
}

/// Time passes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WaitNode {
    /// Its name in the run.
    pub path: StepPath,
    /// What is waited for, in a few words.
    pub label: String,
    /// How long, from the moment it is reached.
    pub duration: Duration,
}

/// The outside is observed for a while and judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WatchNode {
    /// Its name in the run.
    pub path: StepPath,
    /// What is watched, in a few words.
    pub label: String,
    /// How long, how often, how strict.
    pub rule: WatchRule,
    /// What takes one sample of each probe: `(probe's name, action)`.
    pub probes: Vec<WatchProbe>,
    /// Who is asked when the verdict is open.
    pub owner: Option<Owner>,
    /// What is measured, and when that is bad.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<Box<MetricWatch>>,
    /// How people are called when sources are silent and when the verdict is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<WatchPage>,
}

/// What a watch measures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MetricWatch {
    /// When it is bad.
    pub rule: MetricRule,
    /// The environment that is watched, where one is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// What answers, one for each metric of a criterion.
    pub sources: Vec<MetricSource>,
    /// What makes requests while there are too few.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic: Option<WatchProbe>,
}

/// What answers for one metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MetricSource {
    /// The metric.
    pub name: String,
    /// What asks for it. While running it gets `from`, `to` and `step`, and `side` where two versions serve; it gives
    /// a [`crate::verdict::Answer`].
    pub call: ActionCall,
    /// The longest one answer may take.
    pub timeout: Duration,
    /// What is asked, as people read it.
    pub query: String,
    /// It has no past, so only its newest moment can be asked for.
    pub is_present_only: bool,
    /// It counts from the watch's beginning: it is asked then too, and told each time what it answered last.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub remembers: bool,
}

/// How people are called while a watch goes on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WatchPage {
    /// What calls them. While running it gets `message`, `occasion` and `resolved`.
    pub call: ActionCall,
    /// After so many looks one after another at which a source gave nothing.
    pub outage: u32,
}

/// One thing a watch looks at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WatchProbe {
    /// Its name in the verdict.
    pub name: String,
    /// What takes a sample: success is good, failure is bad.
    pub call: ActionCall,
    /// The longest one sample may take.
    pub timeout: Duration,
}

/// A pinned runbook.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CallNode {
    /// Its name in the run.
    pub path: StepPath,
    /// The routine's name in [`Plan::routines`].
    pub runbook: String,
}

/// A time-boxed list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ChecklistNode {
    /// Its name in the run.
    pub path: StepPath,
    /// Its title.
    pub title: String,
    /// The whole list must be done within this.
    pub within: Option<Duration>,
    /// Its items.
    pub nodes: Vec<Node>,
}
