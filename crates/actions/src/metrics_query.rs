//! `metrics.query`: asks Prometheus, central logs, a script, a command or hosts what was measured at each of some moments.
//!
//! What is not one finite number, a share or a histogram is nothing, with the reason: an empty answer, several series
//! where one is meant, NaN. A source that does not answer at all is an error of its own.

use std::collections::BTreeMap;

use jiff::Timestamp;
use regex::RegexBuilder;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use windlass_core::config::{Elasticsearch, Environment, Loki, QueryTable, Store};
use windlass_core::duration::Duration;
use windlass_core::plan::{Effect, Facts};
use windlass_core::text::sanitize_line;
use windlass_core::verdict::{Answer, Point, Reading};
use windlass_engine::action::{Action, ActionError, Probe, Result, Undone};
use windlass_engine::context::Context;

use crate::adapters::prometheus::Range;

mod documents;
mod hosts;
mod process;
mod series;
mod stores;

/// More moments than this are asked for by mistake.
const MOMENTS: usize = 20_000;

/// Asks Prometheus, central logs, a script, a command or hosts for numbers.
#[derive(Debug, Clone, Copy)]
pub struct QueryMetrics;

/// Parameters of `metrics.query`: one of `query`, `total` with `good` or `bad`, `buckets`, `script`, `command`, `logs`,
/// `restarts`, `cpu` and `memory`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// The address of the Prometheus.
    pub prometheus: Option<String>,
    /// Headers that Prometheus is asked with. `secret:NAME` stands for the value of a secret.
    pub headers: BTreeMap<String, String>,
    /// A Loki, which is asked instead.
    pub loki: Option<Loki>,
    /// An Elasticsearch or an OpenSearch, which is asked instead.
    pub elasticsearch: Option<Elasticsearch>,
    /// PromQL or LogQL that gives one number; of Elasticsearch a query string, and the number is how many documents of
    /// an interval match it. `$window` stands for `step`, `$side` for `side`.
    pub query: Option<String>,
    /// What counts all requests, or all lines, of an interval.
    pub total: Option<String>,
    /// What counts the good ones.
    pub good: Option<String>,
    /// What counts the bad ones.
    pub bad: Option<String>,
    /// PromQL that gives the buckets of a histogram of seconds, by `le`.
    pub buckets: Option<String>,
    /// A script that prints a number, or JSON: `{"bad": 1, "total": 10}`, `{"buckets": [[0.1, 20], [null, 1]]}`.
    pub script: Option<String>,
    /// What the script is written in: `bash` when not given, `sh` or `python`.
    pub language: Option<String>,
    /// A program and its arguments. It prints what a script would; with `pattern`, lines. `$since` and `$until` stand
    /// for the interval, `$side` for `side`.
    pub command: Vec<String>,
    /// A service of the environment's compose project (`*` for all of them): with `pattern`, the number is how many lines
    /// its containers logged, on all hosts.
    pub logs: Option<String>,
    /// A service of the environment's compose project (`*` for all of them): how often its containers were restarted
    /// since the watch began, on all hosts.
    pub restarts: Option<String>,
    /// A service of the environment's compose project (`*` for all of them): the share of the CPUs it may use that its
    /// busiest container uses, on all hosts.
    pub cpu: Option<String>,
    /// A service of the environment's compose project (`*` for all of them): the share of the memory it may use that its
    /// fullest container uses, on all hosts.
    pub memory: Option<String>,
    /// The environment whose hosts are asked for `logs`, `restarts`, `cpu` and `memory`.
    pub environment: Option<String>,
    /// How long a host may take to answer; 8s when not given.
    #[schemars(with = "Option<String>")]
    pub patience: Option<Duration>,
    /// A regular expression: the number is how many lines of the command or of the logs match it.
    pub pattern: Option<String>,
    /// With `pattern`: the share of the lines that match.
    pub share: bool,
    /// Environment variables of the script beside the run's.
    pub env: BTreeMap<String, String>,
    /// What stands for `$side`.
    pub side: Option<String>,
    /// The end of the first interval; now when not given.
    pub from: Option<Timestamp>,
    /// The end of the last interval; now when not given.
    pub to: Option<Timestamp>,
    /// The length of an interval.
    #[schemars(with = "Option<String>")]
    pub step: Option<Duration>,
    /// What `restarts` answered last, which it is counted from.
    #[schemars(skip)]
    pub remembered: Option<Value>,
    /// The environment's configuration, as it was when this was planned.
    #[schemars(skip)]
    pub target: Environment,
}

impl Action for QueryMetrics {
    const NAME: &'static str = "metrics.query";
    const SUMMARY: &'static str =
        "Asks Prometheus, central logs, a script, a command or hosts what was measured.";
    type Params = Params;
    type Output = Answer;

    fn effects(&self, params: &Params, facts: &Facts) -> Result<Vec<Effect>> {
        params.check()?;
        if params.table().service().is_some() {
            hosts::check(params, facts)?;
        }
        Ok(Vec::new())
    }

    fn label(&self, params: &Params, _: &Facts) -> String {
        sanitize_line(&params.table().shown()).chars().take(120).collect()
    }

    async fn probe(&self, _: &Params, _: &Context) -> Result<Probe<Answer>> {
        Ok(Probe::Unknown)
    }

    async fn run(&self, params: &Params, context: &Context) -> Result<Answer> {
        params.check()?;
        let now = context.world.clock.now();
        let step = params.step.filter(|step| step.as_millis() > 0).unwrap_or(Duration::from_secs(60));
        let to = params.to.unwrap_or(now);
        let range = Range { from: params.from.unwrap_or(to), to, step };
        if range.moments().take(MOMENTS + 1).count() > MOMENTS {
            return Err(ActionError::Final(format!(
                "metrics.query: more than {MOMENTS} moments are asked for"
            )));
        }
        let work = async {
            if params.elasticsearch.is_some() {
                documents::ask(params, range, context).await.map(measured)
            } else if params.table().store().is_some() {
                series::ask(params, range, context).await.map(measured)
            } else if let Some(service) = &params.logs {
                hosts::logs(params, service, range, context).await.map(measured)
            } else if let Some(service) = &params.restarts {
                hosts::restarts(params, service, range.to, context).await
            } else if let Some(service) = params.table().service() {
                hosts::usage(params, service, range.to, context).await.map(measured)
            } else {
                process::ask(params, range, context).await.map(measured)
            }
        };
        tokio::select! {
            biased;
            () = context.cancel.cancelled() => Err(ActionError::Cancelled),
            answer = work => answer,
        }
    }

    async fn undo(&self, _: &Params, _: &Answer, _: &Context) -> Result<Undone> {
        Ok(Undone::NothingToDo)
    }
}

impl Params {
    fn table(&self) -> QueryTable {
        QueryTable {
            from: match (&self.loki, &self.elasticsearch) {
                (_, Some(_)) => Some(Store::Elasticsearch),
                (Some(_), None) => Some(Store::Loki),
                (None, None) => None,
            },
            query: self.query.clone(),
            total: self.total.clone(),
            good: self.good.clone(),
            bad: self.bad.clone(),
            buckets: self.buckets.clone(),
            script: self.script.clone(),
            language: self.language.clone(),
            command: self.command.clone(),
            logs: self.logs.clone(),
            restarts: self.restarts.clone(),
            cpu: self.cpu.clone(),
            memory: self.memory.clone(),
            pattern: self.pattern.clone(),
            share: self.share,
        }
    }

    fn check(&self) -> Result<()> {
        let wrong = |why: String| ActionError::Final(format!("metrics.query: {why}"));
        let table = self.table();
        table.check().map_err(wrong)?;
        let named = [self.prometheus.is_some(), self.loki.is_some(), self.elasticsearch.is_some()];
        if named.iter().filter(|is_named| **is_named).count() > 1 {
            return Err(wrong("is asked of one of `prometheus`, `loki` and `elasticsearch`".into()));
        }
        if let Some(store) = table.store() {
            stores::url(self, store)?;
        }
        if let Some(table) = &self.elasticsearch {
            table.check().map_err(|why| wrong(format!("`elasticsearch` {why}")))?;
        }
        if let Some(language) = self.language.as_deref() {
            process::language_of(language).ok_or_else(|| {
                wrong(format!("`{}` is none of bash, sh and python", sanitize_line(language)))
            })?;
        }
        self.regex().map(drop)
    }

    fn regex(&self) -> Result<Option<regex::bytes::Regex>> {
        let Some(pattern) = &self.pattern else { return Ok(None) };
        let limited = RegexBuilder::new(pattern).size_limit(1 << 20).dfa_size_limit(1 << 20).build();
        let read = limited.map_err(|error| error.to_string()).and_then(|_| {
            regex::bytes::RegexBuilder::new(pattern)
                .size_limit(1 << 20)
                .dfa_size_limit(1 << 20)
                .build()
                .map_err(|error| error.to_string())
        });
        read.map(Some).map_err(|error| {
            let error = sanitize_line(&error);
            ActionError::Final(format!("metrics.query: `pattern` is no regular expression: {error}"))
        })
    }

    fn written(&self, query: &str, range: &Range) -> String {
        let side = self.side.as_deref().unwrap_or_default();
        query.replace("$window", &range.step.to_string()).replace("$side", side)
    }
}

fn measured(points: Vec<Point>) -> Answer {
    Answer { points, memory: None }
}

fn points(range: Range, read: impl Fn(i64) -> std::result::Result<Reading, String>) -> Vec<Point> {
    range
        .moments()
        .map(|moment| {
            let at = Timestamp::from_millisecond(moment).unwrap_or(range.to);
            match read(moment) {
                Ok(reading) => Point { at, reading: Some(reading), why: None },
                Err(why) => Point { at, reading: None, why: Some(why) },
            }
        })
        .collect()
}
