//! The parameters of the flow words: what a `yaml` fence says that is no action but a wait for people, time or a verdict.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::duration::Duration;
use crate::gate::Excluded;
use crate::runbook::Language;
use crate::verdict::Judge;

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
    /// What is approved, in a few words. It may hold what earlier steps found out: `{{ outputs.STEP.KEY }}`.
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
    /// What is confirmed. It may hold what earlier steps found out: `{{ outputs.STEP.KEY }}`.
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
    /// When the release is bad, each a metric and a limit: `{ error_rate: "> 1%" }`, `{ latency_p95: "> 2x, at least
    /// 50ms" }`, `{ checkout_failures: "> 5" }`. `2x` is against the baseline, of which it says more than that much.
    #[serde(default)]
    pub criteria: Vec<BTreeMap<String, String>>,
    /// When it is so bad that one look is enough; `{ error_rate: "> 20%" }` where that is a share of requests and
    /// `{ restarts: ">= 3" }` where there is such a query, when not given.
    pub at_once: Option<Vec<BTreeMap<String, String>>>,
    /// The environment whose `metrics` in windlass.toml answer.
    pub environment: Option<String>,
    /// The address of a Prometheus, over the environment's.
    pub prometheus: Option<String>,
    /// What is asked for a metric, over the environment's: PromQL that gives one number, or a table.
    #[serde(default)]
    pub queries: BTreeMap<String, Value>,
    /// What `2x` compares with: `before`, the window of the same length before the run first changed the `environment` (before
    /// the run, when none is named), or `{ release: TEXT,
    /// previous: TEXT }` where both versions serve: what stands for `$side` in the queries.
    #[serde(default = "before")]
    pub baseline: BaselineParams,
    /// How sure a verdict must be, such as `95%`.
    #[serde(default = "ninety_five")]
    pub confidence: String,
    /// How many looks one after another must be bad before the watch fails.
    #[serde(default = "two")]
    pub persist: u32,
    /// Fewer requests than this say nothing.
    #[serde(default = "hundred")]
    pub min_requests: u64,
    /// How `2x` is judged: `bounds`, by confidence bounds of the ratio, or `mann-whitney`, by the ranks of the looks as
    /// Kayenta does.
    #[serde(default)]
    pub judge: Judge,
    /// After how many looks one after another at which a metric's source gave nothing people are paged, where `[notify]`
    /// says how.
    #[serde(default = "three")]
    pub outage: u32,
    /// How much longer to watch when there is too little to tell.
    pub extend: Option<Duration>,
    /// Requests of our own at each look while there are too few: the parameters of `http.traffic`.
    pub traffic: Option<Value>,
}

/// What a release is compared with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum BaselineParams {
    /// `before`.
    Name(String),
    /// What stands for `$side` in the queries.
    Sides {
        /// For the release.
        release: String,
        /// For the version before.
        previous: String,
    },
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

fn two() -> u32 {
    2
}

fn three() -> u32 {
    3
}

fn hundred() -> u64 {
    100
}

fn before() -> BaselineParams {
    BaselineParams::Name("before".into())
}

fn ninety_five() -> String {
    "95%".into()
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
