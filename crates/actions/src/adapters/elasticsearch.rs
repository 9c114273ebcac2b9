//! Elasticsearch and OpenSearch: how many documents of each interval match, by their search API,
//! <https://www.elastic.co/guide/en/elasticsearch/reference/current/search-search.html> and
//! <https://docs.opensearch.org/latest/api-reference/search-apis/search/>.

use std::collections::BTreeMap;

use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use serde::Deserialize;
use serde_json::{Value, json};
use windlass_core::duration::Duration;
use windlass_core::text::sanitize_line;

use super::http::{self, Answer, Endpoint, HttpError};
use super::prometheus::Range;

/// How many intervals one request asks for: what fits an answer that is read whole, and the 10,000 buckets that an
/// older server gives at the most.
const PART: usize = 1000;

/// An Elasticsearch or an OpenSearch, and where the logs are in it.
#[derive(Debug, Clone)]
pub struct Elasticsearch {
    /// The server.
    pub endpoint: Endpoint,
    /// The index, data stream or alias; it may be a pattern.
    pub index: String,
    /// The field with a document's time.
    pub time: String,
}

/// How many documents an interval has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Whatever they say.
    pub all: u64,
    /// Those that match each of the queries.
    pub matching: Vec<u64>,
}

#[derive(Debug, Deserialize)]
struct Body {
    timed_out: bool,
    #[serde(rename = "_shards")]
    shards: Shards,
    /// Of a search over several clusters.
    #[serde(default, rename = "_clusters")]
    clusters: Clusters,
    aggregations: Option<Aggregations>,
}

#[derive(Debug, Deserialize)]
struct Shards {
    total: u64,
    failed: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Clusters {
    skipped: u64,
    partial: u64,
    failed: u64,
}

#[derive(Debug, Deserialize)]
struct Aggregations {
    intervals: Intervals,
}

#[derive(Debug, Deserialize)]
struct Intervals {
    buckets: Vec<Interval>,
}

#[derive(Debug, Deserialize)]
struct Interval {
    key: String,
    doc_count: u64,
    queries: Queries,
}

#[derive(Debug, Deserialize)]
struct Queries {
    buckets: BTreeMap<String, Matching>,
}

#[derive(Debug, Deserialize)]
struct Matching {
    doc_count: u64,
}

impl Elasticsearch {
    /// How many documents there are in the interval that ends `delay` before each moment of `range`, and how many of them
    /// match each of `queries`, by those moments.
    ///
    /// # Errors
    /// When it does not answer, refuses a query, has no such index, or searched only a part.
    pub async fn count(
        &self,
        queries: &[&str],
        range: Range,
        delay: Duration,
    ) -> Result<BTreeMap<i64, Counts>, HttpError> {
        let moments: Vec<i64> = range.moments().collect();
        let mut found = BTreeMap::new();
        for chunk in moments.chunks(PART) {
            found.extend(self.ask(queries, chunk, range.step, delay).await?);
        }
        Ok(found)
    }

    async fn ask(
        &self,
        queries: &[&str],
        moments: &[i64],
        step: Duration,
        delay: Duration,
    ) -> Result<BTreeMap<i64, Counts>, HttpError> {
        let mut request = self.endpoint.request(Method::POST, "");
        if let Ok(mut path) = request.url.path_segments_mut() {
            path.pop_if_empty().push(&self.index).push("_search");
        }
        // An index that is not there is an error and no silence, and so is a shard that does not answer.
        request
            .url
            .query_pairs_mut()
            .append_pair("ignore_unavailable", "false")
            .append_pair("allow_no_indices", "false")
            .append_pair("allow_partial_search_results", "false");
        request.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let body = self.body(queries, moments, step, delay).to_string().into_bytes();
        let answer = http::post(&request, body).await?;
        let shown = http::shown(&request.url);
        let body = self.whole(&answer, &shown)?;
        let otherwise = || {
            let status = answer.status;
            HttpError::NoAnswer(format!("{shown} answered {status}, and not as an Elasticsearch does"))
        };
        let intervals = body.aggregations.ok_or_else(otherwise)?.intervals.buckets;
        intervals
            .into_iter()
            .map(|interval| {
                let count = |place: usize| {
                    interval.queries.buckets.get(&place.to_string()).map(|matching| matching.doc_count)
                };
                let matching: Option<Vec<u64>> = (0..queries.len()).map(count).collect();
                let at: Option<i64> = interval.key.parse().ok();
                let counts = Counts { all: interval.doc_count, matching: matching.ok_or_else(otherwise)? };
                Ok((at.ok_or_else(otherwise)?, counts))
            })
            .collect()
    }

    /// The search: a range for each interval, its start included and its end not, and in each a filter for each query,
    /// <https://www.elastic.co/guide/en/elasticsearch/reference/current/search-aggregations-bucket-daterange-aggregation.html>.
    fn body(&self, queries: &[&str], moments: &[i64], step: Duration, delay: Duration) -> Value {
        let length = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        let (step, delay) = (length(step), length(delay));
        let bounds = |at: i64| (at.saturating_sub(delay).saturating_sub(step), at.saturating_sub(delay));
        let first = moments.first().map_or(0, |at| bounds(*at).0);
        let last = moments.last().map_or(0, |at| bounds(*at).1);
        let ranges: Vec<Value> = moments
            .iter()
            .map(|at| {
                let (from, to) = bounds(*at);
                json!({ "key": at.to_string(), "from": from.to_string(), "to": to.to_string() })
            })
            .collect();
        let filters: BTreeMap<String, Value> = queries
            .iter()
            .enumerate()
            .map(|(place, query)| (place.to_string(), json!({ "query_string": { "query": query } })))
            .collect();
        let within = json!({ "gte": first.to_string(), "lt": last.to_string(), "format": "epoch_millis" });
        json!({
            "size": 0,
            "track_total_hits": false,
            "query": { "bool": { "filter": [{ "range": { &self.time: within } }] } },
            "aggs": {
                "intervals": {
                    "date_range": { "field": &self.time, "format": "epoch_millis", "ranges": ranges },
                    "aggs": { "queries": { "filters": { "filters": filters } } },
                },
            },
        })
    }

    /// The answer's body, when it is one of everything that was asked for.
    fn whole(&self, answer: &Answer, shown: &str) -> Result<Body, HttpError> {
        let Answer { status, body, truncated, .. } = answer;
        if *truncated {
            return Err(HttpError::NoAnswer(format!("{shown} answered with more than 1 MiB")));
        }
        let refusal = || reason(body).map(|why| format!(": {why}")).unwrap_or_default();
        match status {
            200 => {}
            404 => {
                let index = sanitize_line(&self.index);
                return Err(HttpError::Unable(format!("there is no index `{index}`{}", refusal())));
            }
            400 => {
                return Err(HttpError::Unable(format!("Elasticsearch refuses the query{}", refusal())));
            }
            _ => return Err(HttpError::NoAnswer(format!("{shown} answered {status}{}", refusal()))),
        }
        let body: Body = serde_json::from_slice(body).map_err(|_| {
            HttpError::NoAnswer(format!("{shown} answered {status}, and not as an Elasticsearch does"))
        })?;
        let Clusters { skipped, partial, failed } = body.clusters;
        let part = if body.timed_out {
            "it ran out of time".to_owned()
        } else if body.shards.failed > 0 {
            format!("{} of {} shards failed", body.shards.failed, body.shards.total)
        } else if skipped + partial + failed > 0 {
            format!("{} clusters did not take part", skipped + partial + failed)
        } else if body.shards.total == 0 {
            "no shard has that index".to_owned()
        } else {
            return Ok(body);
        };
        Err(HttpError::NoAnswer(format!("{shown} searched only a part: {part}")))
    }
}

/// Why a request was refused, as the innermost cause says.
fn reason(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let error = body.get("error")?;
    let told = error.pointer("/root_cause/0/reason").or_else(|| error.get("reason")).unwrap_or(error);
    let text = told.as_str().map_or_else(|| told.to_string(), str::to_owned);
    Some(sanitize_line(&text).chars().take(300).collect())
}
