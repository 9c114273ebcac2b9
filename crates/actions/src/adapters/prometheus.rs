//! Prometheus: range queries of its HTTP API.

use std::collections::BTreeMap;

use jiff::Timestamp;
use reqwest::Method;
use serde::Deserialize;
use windlass_core::text::sanitize_line;

use super::http::{self, Endpoint, HttpError};

/// The most series that an answer is read of.
pub(super) const SERIES: usize = 1000;

/// A Prometheus.
#[derive(Debug, Clone)]
pub struct Prometheus(pub Endpoint);

/// One series of an answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Series {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its values by milliseconds since 1970.
    pub values: BTreeMap<i64, f64>,
}

/// The moments a query is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Range {
    /// The first.
    pub from: Timestamp,
    /// The last.
    pub to: Timestamp,
    /// The time between two.
    pub step: windlass_core::duration::Duration,
}

impl Range {
    /// The moments, in milliseconds since 1970.
    pub fn moments(&self) -> impl Iterator<Item = i64> + use<> {
        let step = i64::try_from(self.step.as_millis()).unwrap_or(i64::MAX).max(1);
        let (from, to) = (self.from.as_millisecond(), self.to.as_millisecond());
        (0..)
            .map(move |place: i64| from.saturating_add(step.saturating_mul(place)))
            .take_while(move |at| *at <= to)
    }
}

#[derive(Debug, Deserialize)]
struct Body {
    status: String,
    #[serde(default)]
    error: String,
    data: Option<Data>,
}

#[derive(Debug, Deserialize)]
struct Data {
    result: Vec<Row>,
}

#[derive(Debug, Deserialize)]
struct Row {
    metric: BTreeMap<String, String>,
    values: Vec<(f64, String)>,
}

impl Prometheus {
    /// Asks `query` for every moment of `range`, in parts of `part` moments.
    ///
    /// # Errors
    /// When it does not answer, or refuses the query.
    pub async fn range(&self, query: &str, range: Range, part: usize) -> Result<Vec<Series>, HttpError> {
        let moments: Vec<i64> = range.moments().collect();
        let mut found: BTreeMap<BTreeMap<String, String>, Series> = BTreeMap::new();
        for chunk in moments.chunks(part.max(1)) {
            let (Some(first), Some(last)) = (chunk.first(), chunk.last()) else { continue };
            for row in self.ask(query, *first, *last, range.step).await? {
                let series = found
                    .entry(row.metric.clone())
                    .or_insert_with(|| Series { labels: row.metric, values: BTreeMap::new() });
                for (at, value) in row.values {
                    // What is no number stays none: it must not be taken for silence.
                    let value = value.parse().unwrap_or(f64::NAN);
                    series.values.insert((at * 1000.0).round() as i64, value);
                }
            }
            if found.len() > SERIES {
                return Err(HttpError::Unable(format!("the query gives more than {SERIES} series")));
            }
        }
        Ok(found.into_values().collect())
    }

    async fn ask(
        &self,
        query: &str,
        from: i64,
        to: i64,
        step: windlass_core::duration::Duration,
    ) -> Result<Vec<Row>, HttpError> {
        let seconds = |milliseconds: i64| format!("{:.3}", milliseconds as f64 / 1000.0);
        let mut request = self.0.request(Method::GET, "api/v1/query_range");
        request
            .url
            .query_pairs_mut()
            .append_pair("query", query)
            .append_pair("start", &seconds(from))
            .append_pair("end", &seconds(to))
            .append_pair("step", &format!("{:.3}", step.as_millis().max(1) as f64 / 1000.0));
        let answer = http::send(&request).await?;
        let shown = http::shown(&request.url);
        if answer.truncated {
            return Err(HttpError::NoAnswer(format!("{shown} answered with more than 1 MiB")));
        }
        let body: Option<Body> = serde_json::from_slice(&answer.body).ok();
        match body {
            Some(Body { status, data: Some(data), .. }) if status == "success" => Ok(data.result),
            Some(Body { error, .. }) if !error.is_empty() => {
                let error: String = sanitize_line(&error).chars().take(300).collect();
                Err(HttpError::Unable(format!("Prometheus refuses the query: {error}")))
            }
            _ => Err(HttpError::NoAnswer(format!(
                "{shown} answered {}, and not as a Prometheus does",
                answer.status
            ))),
        }
    }
}
