//! An emulator of central logs: neither Loki nor Elasticsearch, but what their documentation says of the few requests
//! that a watch needs, over the same lines. LogQL and query strings are understood as far as tests write them.
//!
//! Strict: what either would refuse is refused as they do, and a search that would take a missing index or a failed shard
//! for silence is not answered at all.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use crate::serve::{Asked, decoded, serve};

/// Central logs of one index.
pub struct Logs {
    port: u16,
    shared: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    index: String,
    lines: Vec<Line>,
    requests: Vec<Asked>,
    troubles: Vec<(u16, String)>,
}

struct Line {
    /// Milliseconds since 1970.
    at: i64,
    fields: BTreeMap<String, String>,
    text: String,
}

impl Logs {
    /// Without a line. It ends with the process.
    pub fn start(index: &str) -> Self {
        let shared = Arc::new(Mutex::new(State { index: index.into(), ..State::default() }));
        let served = Arc::clone(&shared);
        let port = serve(move |asked| {
            let mut state = served.lock().unwrap_or_else(PoisonError::into_inner);
            state.requests.push(asked.clone());
            match state.troubles.pop() {
                Some((0, _)) => None,
                Some(trouble) => Some(trouble),
                None if asked.path.ends_with("/_search") => Some(state.search(&asked)),
                None => Some(state.loki(&asked)),
            }
        });
        Self { port, shared }
    }

    /// The port that it answers on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// A line arrives, of a service and with a level.
    pub fn log(&self, at: i64, service: &str, level: &str, text: &str) {
        let fields = [("service", service), ("level", level)];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        self.state().lines.push(Line { at, fields, text: text.into() });
    }

    /// The next request is answered so instead; without a status its connection is closed.
    pub fn trouble(&self, status: u16, body: &str) {
        self.state().troubles.push((status, body.into()));
    }

    /// What it was asked.
    pub fn requests(&self) -> Vec<Asked> {
        self.state().requests.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// `sum(count_over_time({service="web"} |= "text" [10s])) or vector(0)`, its filter, `sum` and `or` left out or not.
    fn loki(&self, asked: &Asked) -> (u16, String) {
        if asked.path != "/loki/api/v1/query" {
            return (404, "404 page not found\n".into());
        }
        let query = asked.parameter("query").unwrap_or_default();
        let time: Option<i64> = asked.parameter("time").and_then(|time| time.parse().ok());
        let parsed = (|| {
            let (query, fallback) = match query.strip_suffix(" or vector(0)") {
                Some(query) => (query, true),
                None => (query.as_str(), false),
            };
            let is_sum = query.strip_prefix("sum(").and_then(|query| query.strip_suffix(')'));
            let inner = is_sum.unwrap_or(query).strip_prefix("count_over_time(")?.strip_suffix(')')?;
            let (selector, rest) = inner.strip_prefix("{service=\"")?.split_once("\"}")?;
            let (filter, window) = rest.split_once('[')?;
            let filter = match filter.trim() {
                "" => "",
                filter => filter.strip_prefix("|= \"")?.strip_suffix('"')?,
            };
            let window: i64 = window.strip_suffix("s]")?.parse().ok()?;
            Some((selector.to_owned(), filter.to_owned(), window * 1000, is_sum.is_some(), fallback))
        })();
        if query.starts_with('{') {
            return (200, r#"{"status":"success","data":{"resultType":"streams","result":[]}}"#.into());
        }
        let (Some((service, filter, window, is_sum, fallback)), Some(time)) = (parsed, time) else {
            return (400, "parse error at line 1, col 5: syntax error: unexpected IDENTIFIER".into());
        };
        let at = time / 1_000_000;
        let mut counts: BTreeMap<Labels, u64> = BTreeMap::new();
        for line in &self.lines {
            let is_meant = line.fields["service"] == service && line.text.contains(&filter);
            // A range of LogQL leaves its beginning out.
            if is_meant && line.at > at - window && line.at <= at {
                let labels = if is_sum { BTreeMap::new() } else { line.fields.clone() };
                *counts.entry(labels).or_default() += 1;
            }
        }
        if counts.is_empty() && fallback {
            counts.insert(BTreeMap::new(), 0);
        }
        let rows: Vec<Value> = counts
            .iter()
            .map(|(labels, count)| {
                json!({ "metric": labels, "value": [at as f64 / 1000.0, count.to_string()] })
            })
            .collect();
        let data = json!({ "resultType": "vector", "result": rows, "stats": { "summary": {} } });
        (200, json!({ "status": "success", "data": data }).to_string())
    }

    /// A search for counts in ranges of time, and in each by query strings such as `service:web AND level:error`.
    fn search(&self, asked: &Asked) -> (u16, String) {
        let is_strict = asked.parameter("allow_partial_search_results").as_deref() == Some("false")
            && asked.parameter("allow_no_indices").as_deref() == Some("false")
            && asked.headers.get("content-type").is_some_and(|kind| kind == "application/json");
        if asked.method != "POST" || !is_strict {
            return (500, "{}".into());
        }
        let index = decoded(asked.path.trim_matches('/').trim_end_matches("/_search"));
        if index != self.index {
            return refused(404, "index_not_found_exception", &format!("no such index [{index}]"));
        }
        let Ok(body) = serde_json::from_str::<Value>(&asked.body) else {
            return refused(400, "parsing_exception", "Unexpected character");
        };
        let ranges = &body["aggs"]["intervals"]["date_range"];
        let filters = body["aggs"]["intervals"]["aggs"]["queries"]["filters"]["filters"].as_object();
        let within = &body["query"]["bool"]["filter"][0]["range"][ranges["field"].as_str().unwrap_or("")];
        let number = |value: &Value| value.as_str().and_then(|text| text.parse::<i64>().ok());
        let (Some(list), Some(filters), Some(from), Some(to)) =
            (ranges["ranges"].as_array(), filters, number(&within["gte"]), number(&within["lt"]))
        else {
            return refused(400, "parsing_exception", "Unknown key for a START_OBJECT");
        };
        // Documents without the field are in no range.
        let has_time = ranges["field"] == "@timestamp";
        let mut buckets = Vec::new();
        for range in list {
            let (Some(begin), Some(end)) = (number(&range["from"]), number(&range["to"])) else {
                return refused(400, "parse_exception", "failed to parse date field");
            };
            let lines: Vec<&Line> = self
                .lines
                .iter()
                .filter(|line| has_time && (from..to).contains(&line.at) && (begin..end).contains(&line.at))
                .collect();
            let mut counts = serde_json::Map::new();
            for (name, filter) in filters {
                let query = filter["query_string"]["query"].as_str().unwrap_or_default();
                let terms: Option<Vec<(&str, &str)>> = match query {
                    "*" => Some(Vec::new()),
                    query => query.split(" AND ").map(|term| term.split_once(':')).collect(),
                };
                let Some(terms) = terms else {
                    let why = format!("Failed to parse query [{query}]");
                    return refused(400, "query_shard_exception", &why);
                };
                let is_match = |line: &&&Line| {
                    terms
                        .iter()
                        .all(|(field, value)| line.fields.get(*field).is_some_and(|found| found == value))
                };
                counts.insert(name.clone(), json!({ "doc_count": lines.iter().filter(is_match).count() }));
            }
            buckets.push(json!({
                "key": range["key"], "from": begin as f64, "from_as_string": begin.to_string(), "to": end as f64,
                "to_as_string": end.to_string(), "doc_count": lines.len(), "queries": { "buckets": counts },
            }));
        }
        let shards = json!({ "total": 2, "successful": 2, "skipped": 0, "failed": 0 });
        let answer = json!({
            "took": 3, "timed_out": false, "_shards": shards, "hits": { "max_score": null, "hits": [] },
            "aggregations": { "intervals": { "buckets": buckets } },
        });
        (200, answer.to_string())
    }
}

/// The labels of a series.
type Labels = BTreeMap<String, String>;

fn refused(status: u16, kind: &str, reason: &str) -> (u16, String) {
    let cause = json!({ "type": kind, "reason": reason });
    let error = json!({ "root_cause": [cause], "type": "search_phase_execution_exception", "reason": "all shards failed" });
    (status, json!({ "error": error, "status": status }).to_string())
}
