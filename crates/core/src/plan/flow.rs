//! The parameters of the flow words: what a `yaml` fence says that is no action but a wait for people, time or a verdict.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::duration::Duration;
use crate::gate::Excluded;
use crate::runbook::Language;

/// The flow words, in the order of the reference.
pub const WORDS: [&str; 5] = ["approval", "confirm", "wait", "watch", "call"];

/// Whether `name` is a flow word and not an action.
pub fn is_word(name: &str) -> bool {
    WORDS.contains(&name)
}

/// `uses: approval`: people approve, or the run is refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApprovalParams {
    /// The role that approves; the step's owner when neither this nor `roles` is given.
    pub role: Option<String>,
    /// Several roles, each with its own number of people.
    #[serde(default)]
    pub roles: Vec<RoleParams>,
    /// How many different people of `role`.
    #[serde(default = "one")]
    pub count: u32,
    /// Not decided within this time, it is refused.
    pub within: Option<Duration>,
    /// Who may not approve: `author`, `starter`, or a list of them.
    #[serde(default)]
    pub not: OneOrMany,
    /// An approval without a comment is not taken.
    #[serde(default)]
    pub comment: bool,
    /// What a refusal leads to: words for people, or the name of a runbook.
    pub refused: Option<String>,
    /// What is approved, in a few words.
    pub label: Option<String>,
}

/// So many people of a role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RoleParams {
    /// The role, or a person's address.
    pub role: String,
    /// How many different people.
    #[serde(default = "one")]
    pub count: u32,
}

/// One exclusion, or a list of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct OneOrMany(pub Vec<Excluded>);

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Through a value rather than an untagged enum, whose errors name no field.
        let many = match Value::deserialize(deserializer)? {
            Value::Null => Vec::new(),
            Value::Array(values) => values,
            value => vec![value],
        };
        let read = |value| Excluded::deserialize(value).map_err(serde::de::Error::custom);
        many.into_iter().map(read).collect::<Result<_, _>>().map(Self)
    }
}

impl JsonSchema for OneOrMany {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "OneOrMany".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let one = generator.subschema_for::<Excluded>();
        schemars::json_schema!({ "anyOf": [one, { "type": "array", "items": one }] })
    }
}

/// `uses: confirm`: a person confirms that something is true.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfirmParams {
    /// What is confirmed.
    pub text: String,
    /// Not confirmed within this time, it is refused.
    pub within: Option<Duration>,
}

/// `uses: wait`: time passes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WaitParams {
    /// How long, from the moment it is reached.
    #[serde(rename = "for")]
    pub duration: Duration,
}

/// `uses: watch`: the outside is observed for a while and judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WatchParams {
    /// The whole window.
    #[serde(rename = "for")]
    pub window: Duration,
    /// The time between two samples.
    #[serde(default = "ten_seconds")]
    pub every: Duration,
    /// What takes a sample; each is judged alone and the worst verdict counts.
    #[serde(default)]
    pub probes: Vec<ProbeParams>,
    /// Failed samples of a probe that are still a pass.
    #[serde(default)]
    pub tolerate: u32,
    /// One failure too many ends the watch at once.
    #[serde(default = "yes")]
    pub early_stop: bool,
    /// The least share of planned samples, in percent, for a verdict.
    #[serde(default = "fifty")]
    pub coverage: u32,
    /// The longest one sample may take.
    #[serde(default = "ten_seconds")]
    pub timeout: Duration,
    /// Metric criteria, which need a source of metrics.
    #[serde(default)]
    pub criteria: Vec<Value>,
}

/// One thing a watch looks at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProbeParams {
    /// Its name in the verdict; `http-1`, `script-1` and so on when not given.
    pub name: Option<String>,
    /// Parameters of `http.check`.
    pub http: Option<Value>,
    /// A script whose success is a good sample.
    pub script: Option<String>,
    /// What interprets the script.
    #[serde(default = "bash")]
    pub language: Language,
}

/// `uses: call`: another runbook is run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CallParams {
    /// Its name; document 002 calls runbooks workflows.
    #[serde(alias = "workflow")]
    pub runbook: String,
}

fn one() -> u32 {
    1
}

fn yes() -> bool {
    true
}

fn fifty() -> u32 {
    50
}

fn ten_seconds() -> Duration {
    Duration::from_secs(10)
}

fn bash() -> Language {
    Language::Bash
}
