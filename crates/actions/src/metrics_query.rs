//! `metrics.query`: asks Prometheus, a script, a command or hosts what was measured at each of some moments.
//!
//! What is not one finite number, a share or a histogram is nothing, with the reason: an empty answer, several series
//! where one is meant, NaN. A source that does not answer at all is an error of its own.

use std::collections::BTreeMap;

use jiff::Timestamp;
use regex::RegexBuilder;
use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use windlass_core::config::{Environment, QueryTable};
use windlass_core::duration::Duration;
use windlass_core::plan::{Effect, Facts};
use windlass_core::text::sanitize_line;
use windlass_core::verdict::{Answer, Histogram, Point, Reading};
use windlass_engine::action::{Action, ActionError, Probe, Result, Undone};
use windlass_engine::context::Context;
use windlass_engine::process::{Command, Finished};

use crate::adapters::http::HttpError;
use crate::adapters::prometheus::{Prometheus, Range, Series};
use crate::script::{self, Language};

mod hosts;

/// More moments than this are asked for by mistake.
const MOMENTS: usize = 20_000;
/// How many moments one request asks for: what fits an answer that is read whole.
const PART: usize = 5000;
/// The same for histograms, which have a series for each bucket.
const PART_OF_BUCKETS: usize = 400;
/// How much a command may print.
const PRINTED: usize = 8 << 20;

/// Asks Prometheus, a script, a command or hosts for numbers.
#[derive(Debug, Clone, Copy)]
pub struct QueryMetrics;

/// Parameters of `metrics.query`: one of `query`, `total` with `good` or `bad`, `buckets`, `script`, `command`, `logs` and
/// `restarts`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// The address of the Prometheus.
    pub prometheus: Option<String>,
    /// Headers that Prometheus is asked with. `secret:NAME` stands for the value of a secret.
    pub headers: BTreeMap<String, String>,
    /// PromQL that gives one number. `$window` stands for `step`, `$side` for `side`.
    pub query: Option<String>,
    /// PromQL that counts all requests of an interval.
    pub total: Option<String>,
    /// PromQL that counts the good ones.
    pub good: Option<String>,
    /// PromQL that counts the bad ones.
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
    /// The environment whose hosts are asked for `logs` and `restarts`.
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
    pub memory: Option<Value>,
    /// The environment's configuration, as it was when this was planned.
    #[schemars(skip)]
    pub target: Environment,
}

impl Action for QueryMetrics {
    const NAME: &'static str = "metrics.query";
    const SUMMARY: &'static str = "Asks Prometheus, a script, a command or hosts what was measured.";
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
            if params.table().is_promql() {
                params.ask_prometheus(range, context).await.map(measured)
            } else if let Some(service) = &params.logs {
                hosts::logs(params, service, range, context).await.map(measured)
            } else if let Some(service) = &params.restarts {
                hosts::restarts(params, service, range.to, context).await
            } else {
                params.ask_process(range, context).await.map(measured)
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
            pattern: self.pattern.clone(),
            share: self.share,
        }
    }

    fn check(&self) -> Result<()> {
        let wrong = |why: String| ActionError::Final(format!("metrics.query: {why}"));
        let table = self.table();
        table.check().map_err(wrong)?;
        if table.is_promql() {
            self.url()?;
        }
        if let Some(language) = self.language.as_deref() {
            language_of(language).ok_or_else(|| {
                wrong(format!("`{}` is none of bash, sh and python", sanitize_line(language)))
            })?;
        }
        self.regex().map(drop)
    }

    fn url(&self) -> Result<Url> {
        let text = self.prometheus.as_deref().unwrap_or_default();
        let wrong = || {
            let text = sanitize_line(text);
            ActionError::Final(format!("metrics.query: `{text}` is no address of a Prometheus"))
        };
        let url = Url::parse(text).map_err(|_| wrong())?;
        let is_http =
            matches!(url.scheme(), "http" | "https") && url.host_str().is_some_and(|host| !host.is_empty());
        if is_http { Ok(url) } else { Err(wrong()) }
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

    async fn ask_prometheus(&self, range: Range, context: &Context) -> Result<Vec<Point>> {
        let prometheus = self.prometheus(context)?;
        let ask = async |query: &str, part: usize| {
            let query = self.written(query, &range);
            prometheus.range(&query, range, part).await.map_err(|error| match error {
                HttpError::Unable(why) => ActionError::Final(why),
                HttpError::NoAnswer(why) => ActionError::Failed(context.world.masker.mask(&why)),
            })
        };
        if let Some(query) = &self.buckets {
            let series = ask(query, PART_OF_BUCKETS).await?;
            return Ok(points(range, |at| histogram(&series, at)));
        }
        let Some(total) = &self.total else {
            let series = ask(self.query.as_deref().unwrap_or_default(), PART).await?;
            return Ok(points(range, |at| {
                let number = one(&series, at, "the query")?;
                Reading::Number(number).checked().map_err(|error| error.to_string())
            }));
        };
        let part = self.good.as_deref().or(self.bad.as_deref()).unwrap_or_default();
        let (total, part) = (ask(total, PART).await?, ask(part, PART).await?);
        let name = if self.good.is_some() { "`good`" } else { "`bad`" };
        Ok(points(range, |at| {
            let total = one(&total, at, "`total`")?;
            if total == 0.0 {
                return Ok(Reading::Rate { bad: 0.0, total });
            }
            let part = one(&part, at, name)?;
            // The two are extrapolated apart, so the part may come out a little above the whole.
            let bad = if self.good.is_some() { (total - part).max(0.0) } else { part };
            Reading::Rate { bad, total }.checked().map_err(|error| error.to_string())
        }))
    }

    fn prometheus(&self, context: &Context) -> Result<Prometheus> {
        let mut headers = HeaderMap::new();
        let mut is_secret = false;
        for (name, value) in &self.headers {
            let wrong = || {
                let name = sanitize_line(name);
                ActionError::Final(format!("metrics.query: the header `{name}` cannot be sent"))
            };
            let secret = value.strip_prefix("secret:").map(|name| context.secret(name.trim())).transpose()?;
            let mut sent =
                HeaderValue::from_str(secret.map_or(value.as_str(), str::trim)).map_err(|_| wrong())?;
            sent.set_sensitive(secret.is_some());
            is_secret = is_secret || secret.is_some();
            headers.insert(HeaderName::try_from(name.as_str()).map_err(|_| wrong())?, sent);
        }
        // The watch's own time limit ends it sooner.
        let timeout = std::time::Duration::from_secs(60);
        Ok(Prometheus { url: self.url()?, headers, is_secret, timeout })
    }

    /// Asks a program. It has no past: only the last moment can be asked for.
    async fn ask_process(&self, range: Range, context: &Context) -> Result<Vec<Point>> {
        let at = range.to;
        let finished = match &self.script {
            Some(text) => self.run_script(text, context).await?,
            None => self.run_command(range, context).await?,
        };
        let name = if self.script.is_some() { "the script" } else { "the command" };
        if !finished.success() {
            return Err(script::failure(name, &finished, context));
        }
        let read = match self.regex()? {
            Some(pattern) => self.lines(&finished, &pattern),
            None => printed(&finished.stdout).map_err(|why| format!("{name} printed no reading: {why}")),
        };
        Ok(vec![match read {
            Ok(reading) => Point { at, reading: Some(reading), why: None },
            Err(why) => Point { at, reading: None, why: Some(context.world.masker.mask(&why)) },
        }])
    }

    async fn run_script(&self, text: &str, context: &Context) -> Result<Finished> {
        let language = self.language.as_deref().and_then(language_of).unwrap_or(Language::Bash);
        let mut env = self.env.clone();
        env.extend(self.side.iter().map(|side| ("WINDLASS_SIDE".to_owned(), side.clone())));
        let params = script::Params {
            language,
            text: text.to_owned(),
            env,
            secrets: Vec::new(),
            probe: None,
            undo: None,
            read_only: true,
            label: None,
        };
        script::execute(&params, text, context).await.map(|(finished, _)| finished)
    }

    async fn run_command(&self, range: Range, context: &Context) -> Result<Finished> {
        let step =
            jiff::SignedDuration::from_millis(i64::try_from(range.step.as_millis()).unwrap_or(i64::MAX));
        let since = range.to.saturating_sub(step).unwrap_or(Timestamp::MIN).to_string();
        let until = range.to.to_string();
        let side = self.side.as_deref().unwrap_or_default();
        let mut words = self
            .command
            .iter()
            .map(|word| word.replace("$since", &since).replace("$until", &until).replace("$side", side));
        let program = words.next().unwrap_or_default();
        let mut command = Command::new(program).args(words).keep(PRINTED);
        if self.pattern.is_some() {
            // Logs of a service are no log of ours.
            command = command.quiet();
        }
        for (name, value) in &self.env {
            command = command.env(name, value);
        }
        context.process(&command).await
    }

    /// How many lines match. `docker logs` prints on both streams.
    fn lines(
        &self,
        finished: &Finished,
        pattern: &regex::bytes::Regex,
    ) -> std::result::Result<Reading, String> {
        if finished.stdout.len() >= PRINTED {
            return Err("the command printed more than 8 MiB: ask for less, such as with --since".into());
        }
        let lines = [&finished.stdout, &finished.stderr];
        let lines =
            lines.iter().flat_map(|text| text.split(|byte| *byte == b'\n')).filter(|line| !line.is_empty());
        let (mut total, mut matching) = (0u64, 0u64);
        for line in lines {
            total += 1;
            matching += u64::from(pattern.is_match(line));
        }
        let (bad, total) = (matching as f64, total as f64);
        Ok(if self.share { Reading::Rate { bad, total } } else { Reading::Number(bad) })
    }
}

fn measured(points: Vec<Point>) -> Answer {
    Answer { points, memory: None }
}

fn language_of(name: &str) -> Option<Language> {
    match name {
        "bash" => Some(Language::Bash),
        "sh" => Some(Language::Sh),
        "python" => Some(Language::Python),
        _ => None,
    }
}

fn printed(stdout: &[u8]) -> std::result::Result<Reading, String> {
    let text = String::from_utf8_lossy(stdout);
    let shown = || sanitize_line(text.trim()).chars().take(80).collect::<String>();
    if text.trim().is_empty() {
        return Err("it printed nothing".into());
    }
    match serde_json::from_str::<Value>(text.trim()) {
        Ok(value) => Reading::from_value(&value).map_err(|error| format!("{error}: `{}`", shown())),
        Err(_) => Err(format!("`{}` is neither a number nor JSON", shown())),
    }
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

/// The one number that a query gives at a moment.
fn one(series: &[Series], at: i64, what: &str) -> std::result::Result<f64, String> {
    let mut found = series.iter().filter_map(|series| series.values.get(&at).map(|value| (series, *value)));
    let Some((first, value)) = found.next() else {
        return Err(format!("{what} gives nothing: no series matches it at this time"));
    };
    let others = found.count();
    if others > 0 {
        let labels = sanitize_line(&labels(first));
        return Err(format!("{what} gives {} series, such as {labels}: sum them", others + 1));
    }
    if value.is_nan() {
        return Err(format!("{what} gives NaN, which a division by nothing does"));
    }
    if value.is_finite() { Ok(value) } else { Err(format!("{what} gives {value}, which is no number")) }
}

fn histogram(series: &[Series], at: i64) -> std::result::Result<Reading, String> {
    let mut rows: Vec<(f64, f64)> = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    for series in series {
        let Some(value) = series.values.get(&at) else { continue };
        let Some(bound) = series.labels.get("le") else {
            return Err("`buckets` gives a series without `le`: sum by (le)".into());
        };
        if seen.contains(&bound.as_str()) {
            return Err(format!(
                "`buckets` gives several series of le=\"{}\": sum by (le)",
                sanitize_line(bound)
            ));
        }
        seen.push(bound);
        let number: f64 = bound.trim_start_matches('+').parse().map_err(|_| {
            format!("`buckets` has a bound that is no number: le=\"{}\"", sanitize_line(bound))
        })?;
        rows.push((number, *value));
    }
    if rows.is_empty() {
        return Err("`buckets` gives nothing: no series matches it at this time".into());
    }
    Histogram::from_cumulative(rows).map(Reading::Buckets).map_err(|error| error.to_string())
}

fn labels(series: &Series) -> String {
    let shown: Vec<String> =
        series.labels.iter().take(5).map(|(name, value)| format!("{name}=\"{value}\"")).collect();
    format!("{{{}}}", shown.join(", "))
}
