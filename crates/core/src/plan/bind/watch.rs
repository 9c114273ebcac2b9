//! The watch of a runbook: its probes, and its criteria with what answers for each metric.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::items::script_params;
use super::{Binder, Frame, find, source};
use crate::config::{Metrics, Query, QueryTable};
use crate::diagnostic::{Diagnostic, Span};
use crate::duration::Duration;
use crate::plan::flow::{BaselineParams, ProbeParams, WatchParams};
use crate::plan::{ActionCall, MetricSource, MetricWatch, Node, StepPath, WatchNode, WatchPage, WatchProbe};
use crate::runbook::Owner;
use crate::verdict::{Baseline, Criterion, MetricRule, WatchRule};

/// More samples of one probe than this are a mistake in `for` or `every`.
const MOST_SAMPLES: u64 = 100_000;
/// More looks at metrics than this are: all of them are judged again at each.
const MOST_LOOKS: u64 = 10_000;

impl Binder<'_> {
    /// The node of a watch.
    pub(super) fn watch(
        &mut self,
        frame: &Frame<'_>,
        path: StepPath,
        owner: Option<&Owner>,
        params: Value,
        place: Span,
    ) -> Option<Node> {
        let params: WatchParams = self.read(frame, "watch", params, place)?;
        let document = frame.document;
        let rule = WatchRule {
            window: params.window,
            every: params.every,
            tolerate: params.tolerate,
            early_stop: params.early_stop,
            coverage: params.coverage,
        };
        let extended = params.extend.map_or(0, |more| more.as_millis() / rule.every.as_millis().max(1));
        let samples = rule.planned().saturating_add(extended);
        let most = if params.criteria.is_empty() { MOST_SAMPLES } else { MOST_LOOKS };
        let wrong = if params.probes.is_empty() && params.criteria.is_empty() {
            Some("a watch without probes and criteria sees nothing, and silence never passes".to_owned())
        } else if rule.every.as_millis() == 0 || rule.window.as_millis() == 0 {
            Some("`for` and `every` must be longer than nothing".to_owned())
        } else if samples > most {
            Some(format!("this watch takes {samples} samples; {most} are the most"))
        } else if rule.coverage > 100 {
            Some("`coverage` is a percentage of at most 100".to_owned())
        } else if params.outage == 0 {
            Some("`outage` is a number of looks, one at least".to_owned())
        } else if !params.criteria.is_empty() && rule.planned() < 2 {
            Some("metrics are measured after each `every`, so `for` must be at least as long".to_owned())
        } else {
            None
        };
        if let Some(wrong) = wrong {
            let diagnostic = Diagnostic::error("wrong-parameters", wrong, place);
            let help = "write probes: [{ http: { url: ... } }, { script: ... }], or criteria: [{ error_rate: \"> 1%\" }]";
            self.report(document, diagnostic.help(help));
            return None;
        }
        let before = self.findings.len();
        let metrics = if params.criteria.is_empty() { None } else { self.metrics(frame, &params, place) };
        let mut probes: Vec<WatchProbe> = Vec::new();
        for probe in params.probes {
            if let Some(probe) = self.probe(frame, probe, &params.timeout, &probes, place) {
                probes.push(probe);
            }
        }
        let taken = |name: &str| probes.iter().any(|probe| probe.name == name);
        let source = metrics.iter().flat_map(|metrics| &metrics.sources).find(|source| taken(&source.name));
        if let Some(source) = source {
            let message = format!("a probe and a metric of this watch are both named `{}`", source.name);
            self.report(document, Diagnostic::error("wrong-parameters", message, place));
        }
        let page = if self.input.facts.pages.is_empty() {
            None
        } else {
            // What is said stands in the plan only once it is known.
            let call = self.checked(frame, "notify.page", json!({ "message": "" }), place);
            call.map(|call| WatchPage { call, outage: params.outage })
        };
        if self.findings.len() > before {
            return None;
        }
        let label = format!("watch {}, every {}", rule.window, rule.every);
        Some(Node::Watch(WatchNode {
            path,
            label,
            rule,
            probes,
            owner: owner.cloned(),
            metrics: metrics.map(Box::new),
            page,
        }))
    }

    /// Criteria and what answers for each of their metrics.
    fn metrics(&mut self, frame: &Frame<'_>, params: &WatchParams, place: Span) -> Option<MetricWatch> {
        let known = self.known_metrics(frame, params, place)?;
        let criteria = self.criteria(frame, &params.criteria, place);
        let trips = match &params.at_once {
            Some(trips) => self.criteria(frame, trips, place),
            None => source::usual_trips(&known, &criteria),
        };
        let mut problems: Vec<String> = Vec::new();
        let baseline = match &params.baseline {
            BaselineParams::Name(name) if name == "before" => Baseline::Before,
            BaselineParams::Name(name) => {
                problems.push(format!(
                    "`{name}` is no baseline: write before or {{ release: TEXT, previous: TEXT }}"
                ));
                Baseline::Before
            }
            BaselineParams::Sides { release, previous } => {
                Baseline::Concurrent { release: release.clone(), previous: previous.clone() }
            }
        };
        let percent =
            params.confidence.trim().strip_suffix('%').and_then(|number| number.trim().parse().ok());
        let confidence = percent.map_or(0.95, |percent: f64| percent / 100.0);
        if percent.is_none() || !(0.5..=0.9999).contains(&confidence) {
            problems.push(format!("the confidence `{}` is not from 50% to 99.99%", params.confidence));
        }
        if params.persist == 0 || params.persist > 20 {
            problems.push("`persist` is from 1 to 20 looks".into());
        }
        if let Some(trip) = trips.iter().find(|trip| trip.is_relative()) {
            problems.push(format!("`at_once` takes no comparison with a baseline, such as `{trip}`"));
        }
        let mut sources: Vec<MetricSource> = Vec::new();
        for criterion in criteria.iter().chain(&trips) {
            let Some(table) = known.queries.get(&criterion.metric).map(Query::table) else {
                let message = format!("there is no query `{}`", criterion.metric);
                let span = find(frame.document.source, Some(place), &criterion.metric).unwrap_or(place);
                let diagnostic = Diagnostic::error("unknown-metric", message, span)
                    .suggest(&criterion.metric, known.queries.keys().map(String::as_str));
                let help = "add it to [environments.NAME.metrics.queries] in windlass.toml and name the environment here";
                let diagnostic = if known.queries.is_empty() { diagnostic.help(help) } else { diagnostic };
                self.report(frame.document, diagnostic);
                continue;
            };
            problems.extend(source::misfit(criterion, &table, &baseline));
            if sources.iter().all(|source| source.name != criterion.metric)
                && let Some(source) = self.source(frame, &criterion.metric, &table, &known, params, place)
            {
                sources.push(source);
            }
        }
        let traffic = params.traffic.as_ref().and_then(|traffic| {
            let mut traffic = traffic.clone();
            // All at once, they might fall between two scrapes, and be in no interval.
            let mut over = Duration::from_millis(params.every.as_millis() * 4 / 5);
            if let Value::Object(fields) = &mut traffic {
                match fields.get("over").filter(|over| !over.is_null()) {
                    // One that is no time is refused with the other parameters.
                    Some(own) => over = serde_json::from_value(own.clone()).unwrap_or(over),
                    None => {
                        fields.insert("over".into(), json!(over));
                    }
                }
            }
            if over.as_millis() >= params.every.as_millis() {
                problems.push(format!(
                    "`over` of `traffic` is {over}, and the next look comes after {}: write a shorter time, or leave it \
                     out",
                    params.every
                ));
                return None;
            }
            let probe = self.checked(frame, "http.traffic", traffic, place)?;
            let timeout = Duration::from_millis(over.as_millis() + params.timeout.as_millis());
            Some(WatchProbe { name: "traffic".into(), call: probe, timeout })
        });
        for problem in problems {
            self.report(frame.document, Diagnostic::error("wrong-parameters", problem, place));
        }
        let rule = MetricRule {
            criteria,
            trips,
            baseline,
            confidence,
            persist: params.persist,
            min_requests: params.min_requests,
            judge: params.judge,
            extend: params.extend,
        };
        Some(MetricWatch { rule, environment: params.environment.clone(), sources, traffic })
    }

    /// The environment's metrics, with what the watch says over them.
    fn known_metrics(&mut self, frame: &Frame<'_>, params: &WatchParams, place: Span) -> Option<Metrics> {
        let mut known = match &params.environment {
            None => Metrics::default(),
            Some(name) => match self.input.metrics.get(name) {
                Some(metrics) => metrics.clone(),
                None => {
                    let span = find(frame.document.source, Some(place), name).unwrap_or(place);
                    let message = format!("`{name}` is not an environment of windlass.toml");
                    let diagnostic = Diagnostic::error("unknown-environment", message, span)
                        .suggest(name, self.input.metrics.keys().map(String::as_str));
                    self.report(frame.document, diagnostic);
                    return None;
                }
            },
        };
        if params.prometheus.is_some() {
            known.prometheus.clone_from(&params.prometheus);
        }
        for (name, query) in &params.queries {
            let read = match query {
                Value::String(text) => Ok(Query::Text(text.clone())),
                table => serde_json::from_value::<QueryTable>(table.clone())
                    .map_err(|error| format!("the query `{name}`: {error}"))
                    .and_then(|table| match table.check() {
                        Ok(()) => Ok(Query::Table(Box::new(table))),
                        Err(why) => Err(format!("the query `{name}` {why}")),
                    }),
            };
            match read {
                Ok(query) => {
                    known.queries.insert(name.clone(), query);
                }
                Err(why) => self.wrong_params(frame, &why, place),
            }
        }
        Some(known)
    }

    fn criteria(
        &mut self,
        frame: &Frame<'_>,
        written: &[BTreeMap<String, String>],
        place: Span,
    ) -> Vec<Criterion> {
        let mut criteria = Vec::new();
        for (metric, text) in written.iter().flatten() {
            match Criterion::parse(metric, text) {
                Ok(criterion) => criteria.push(criterion),
                Err(error) => {
                    let span = find(frame.document.source, Some(place), text).unwrap_or(place);
                    let diagnostic = Diagnostic::error("wrong-criterion", error.to_string(), span);
                    self.report(frame.document, diagnostic);
                }
            }
        }
        criteria
    }

    pub(super) fn checked(
        &mut self,
        frame: &Frame<'_>,
        action: &str,
        params: Value,
        place: Span,
    ) -> Option<ActionCall> {
        let params = self.catalogue.complete(action, params, self.input.facts);
        if let Err(why) = self.catalogue.accepts(action, &params) {
            self.wrong_params(frame, &why, place);
            return None;
        }
        if let Err(why) = self.catalogue.effects(action, &params, self.input.facts) {
            self.wrong_params(frame, &why, place);
            return None;
        }
        Some(ActionCall { action: action.into(), params, deferred: false })
    }

    fn probe(
        &mut self,
        frame: &Frame<'_>,
        probe: ProbeParams,
        timeout: &Duration,
        taken: &[WatchProbe],
        place: Span,
    ) -> Option<WatchProbe> {
        let (kind, action, params) = match (probe.http, probe.script) {
            (Some(http), None) => ("http", "http.check", http),
            (None, Some(script)) => {
                let mut params = script_params(probe.language, &script);
                params.insert("read_only".into(), true.into());
                if !frame.environment.is_empty() {
                    params.insert("env".into(), json!(frame.environment));
                }
                ("script", "script", Value::Object(params))
            }
            _ => {
                let message = "a probe is either `http` or `script`";
                self.report(frame.document, Diagnostic::error("wrong-parameters", message, place));
                return None;
            }
        };
        let params = self.catalogue.complete(action, params, self.input.facts);
        if let Err(why) = self.catalogue.accepts(action, &params) {
            self.wrong_params(frame, &why, place);
            return None;
        }
        let is_taken = |name: &str| taken.iter().any(|probe| probe.name == name);
        let name = match probe.name {
            Some(name) if is_taken(&name) => {
                let message = format!("two probes of this watch are named `{name}`");
                self.report(frame.document, Diagnostic::error("wrong-parameters", message, place));
                return None;
            }
            Some(name) => name,
            None => {
                let numbers = 1..=taken.len() + 1;
                let names = numbers.map(|number| format!("{kind}-{number}"));
                names.into_iter().find(|name| !is_taken(name)).unwrap_or_default()
            }
        };
        let call = ActionCall { action: action.into(), params, deferred: false };
        Some(WatchProbe { name, call, timeout: *timeout })
    }
}
