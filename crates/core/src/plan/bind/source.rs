//! What answers for a metric of a watch: who is asked, and whether that goes with its criterion.

use serde_json::{Value, json};

use super::{Binder, Frame};
use crate::config::{Metrics, QueryTable, Store};
use crate::diagnostic::{Diagnostic, Span};
use crate::duration::Duration;
use crate::plan::MetricSource;
use crate::plan::flow::WatchParams;
use crate::verdict::{Baseline, Criterion, Limit};

impl Binder<'_> {
    /// The question for a metric, with the address and the headers of whoever is asked.
    pub(super) fn source(
        &mut self,
        frame: &Frame<'_>,
        name: &str,
        table: &QueryTable,
        known: &Metrics,
        params: &WatchParams,
        place: Span,
    ) -> Option<MetricSource> {
        let mut call = serde_json::to_value(table).unwrap_or_default();
        if let Some(store) = table.store() {
            if let Value::Object(params) = &mut call {
                // Whose address stands there is who is asked.
                params.remove("from");
            }
            let Some(address) = address(store, known) else {
                let (key, store) = (store.key(), store.name());
                let message = format!("the query `{name}` asks {store}, and nobody says where that is");
                let diagnostic = Diagnostic::error("no-metrics-source", message, place);
                let help = match key {
                    "prometheus" => {
                        "write prometheus: http://HOST:9090 here or under [environments.NAME.metrics]"
                            .to_owned()
                    }
                    _ => format!(
                        "write {key} = {{ url = \"...\" }} under [environments.NAME.metrics], and name the environment here"
                    ),
                };
                self.report(frame.document, diagnostic.help(help));
                return None;
            };
            call[store.key()] = address;
            if store == Store::Prometheus && !known.headers.is_empty() {
                call["headers"] = json!(known.headers);
            }
        } else if table.service().is_some() {
            let Some(environment) = &params.environment else {
                let message =
                    format!("the query `{name}` asks the hosts of an environment, and nobody says of which");
                let diagnostic = Diagnostic::error("no-metrics-source", message, place);
                self.report(frame.document, diagnostic.help("write environment: NAME beside `criteria`"));
                return None;
            };
            call["environment"] = json!(environment);
            // A host that does not answer is named, before the look as a whole is given up.
            call["patience"] = json!(Duration::from_millis(params.timeout.as_millis() / 5 * 4));
        } else if !frame.environment.is_empty() {
            call["env"] = json!(frame.environment);
        }
        let call = self.checked(frame, "metrics.query", call, place)?;
        Some(MetricSource {
            name: name.to_owned(),
            call,
            timeout: params.timeout,
            query: table.shown(),
            is_present_only: table.store().is_none() && table.logs.is_none(),
            remembers: table.restarts.is_some(),
        })
    }
}

/// What acts at once when nobody says: every fifth request an error, and a container that starts again and again.
pub(super) fn usual_trips(known: &Metrics, criteria: &[Criterion]) -> Vec<Criterion> {
    let is_share = |name: &str| known.queries.get(name).is_some_and(|query| query.table().is_share());
    let mut trips = Vec::new();
    let is_watched = criteria.iter().any(|criterion| criterion.metric == "error_rate");
    if is_watched && is_share("error_rate") {
        trips.extend(Criterion::parse("error_rate", "> 20%"));
    }
    if known.queries.contains_key("restarts") {
        trips.extend(Criterion::parse("restarts", ">= 3"));
    }
    trips
}

/// Where the store is, as `metrics.query` takes it.
fn address(store: Store, known: &Metrics) -> Option<Value> {
    match store {
        Store::Prometheus => known.prometheus.as_ref().map(|url| json!(url)),
        Store::Loki => known.loki.as_ref().map(|loki| json!(loki)),
        Store::Elasticsearch => known.elasticsearch.as_ref().map(|table| json!(table)),
    }
}

/// Why a criterion and what answers for it do not go together.
pub(super) fn misfit(criterion: &Criterion, table: &QueryTable, baseline: &Baseline) -> Option<String> {
    let is_before = *baseline == Baseline::Before;
    let texts = [&table.query, &table.total, &table.good, &table.bad, &table.buckets];
    let has_side = texts.into_iter().flatten().any(|text| text.contains("$side"));
    match criterion.limit {
        Limit::Times(_) if table.service().is_some() => Some(format!(
            "`{criterion}` compares, and what hosts tell is of one version only: write a limit such as {}",
            if table.is_usage() { "`> 80%`" } else { "`> 5` or `> 1%`" }
        )),
        Limit::Times(_) if is_before && table.store().is_none() => Some(format!(
            "`{criterion}` compares with the time before the run, which a script or a command does not know: \
             write baseline: {{ release: TEXT, previous: TEXT }}"
        )),
        Limit::Times(_) if !is_before && table.store().is_some() && !has_side => {
            Some(format!("`{criterion}` compares two sides, and its query has no `$side`"))
        }
        Limit::Share(_) if table.buckets.is_some() => {
            Some(format!("`{criterion}`: buckets hold times: write `> 500ms` or `> 2x`"))
        }
        Limit::Number(_) | Limit::Seconds(_) if table.is_usage() => {
            Some(format!("`{criterion}`: its query gives a share of what containers may use: write `> 80%`"))
        }
        Limit::Number(_) | Limit::Seconds(_) if table.is_share() => {
            Some(format!("`{criterion}`: its query gives a share of requests: write `> 1%` or `> 2x`"))
        }
        _ if is_before && has_side => Some(format!(
            "the query of `{criterion}` has a `$side`: write baseline: {{ release: TEXT, previous: TEXT }}"
        )),
        _ => None,
    }
}
