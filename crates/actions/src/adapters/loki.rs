//! Loki: metric queries of its HTTP API, <https://grafana.com/docs/loki/latest/reference/loki-http-api/>.

use std::collections::BTreeMap;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use reqwest::Method;
use serde::Deserialize;
use serde_json::Value;
use windlass_core::duration::Duration;
use windlass_core::text::sanitize_line;

use super::http::{self, Answer, Endpoint, HttpError};
use super::prometheus::{Range, SERIES, Series};

/// How many moments are asked for at the same time.
const AT_ONCE: usize = 8;

/// A Loki.
#[derive(Debug, Clone)]
pub struct Loki(pub Endpoint);

#[derive(Debug, Deserialize)]
struct Body {
    status: String,
    data: Data,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    result_type: String,
    result: Value,
}

#[derive(Debug, Deserialize)]
struct Row {
    metric: BTreeMap<String, String>,
    value: (f64, String),
}

impl Loki {
    /// What `query` gives `delay` before every moment of `range`, by those moments.
    ///
    /// Each moment is an instant query of its own, because a range query is answered for other moments: Loki's frontend
    /// moves its start and end to multiples of the step before it cuts the range into pieces (`alignStartEnd` in
    /// <https://github.com/grafana/loki/blob/main/pkg/querier/queryrange/splitters.go>), so lines of before the release
    /// would be counted as the release's.
    ///
    /// # Errors
    /// When it does not answer, or refuses the query.
    pub async fn moments(
        &self,
        query: &str,
        range: Range,
        delay: Duration,
    ) -> Result<Vec<Series>, HttpError> {
        let delay = i64::try_from(delay.as_millis()).unwrap_or(i64::MAX);
        let questions = range.moments().map(|at| async move {
            let rows = self.ask(query, at.saturating_sub(delay)).await?;
            Ok::<_, HttpError>((at, rows))
        });
        let mut answers = stream::iter(questions).buffered(AT_ONCE);
        let mut found: BTreeMap<BTreeMap<String, String>, Series> = BTreeMap::new();
        while let Some((at, rows)) = answers.try_next().await? {
            for Row { metric, value: (_, value) } in rows {
                let series = found
                    .entry(metric.clone())
                    .or_insert_with(|| Series { labels: metric, values: BTreeMap::new() });
                // What is no number stays none: it must not be taken for silence.
                series.values.insert(at, value.parse().unwrap_or(f64::NAN));
            }
            if found.len() > SERIES {
                return Err(HttpError::Unable(format!("the query gives more than {SERIES} series")));
            }
        }
        Ok(found.into_values().collect())
    }

    async fn ask(&self, query: &str, at: i64) -> Result<Vec<Row>, HttpError> {
        let mut request = self.0.request(Method::GET, "loki/api/v1/query");
        // Nanoseconds since 1970.
        request.url.query_pairs_mut().append_pair("query", query).append_pair("time", &format!("{at}000000"));
        let Answer { status, body, truncated, .. } = http::send(&request).await?;
        let shown = http::shown(&request.url);
        if truncated {
            return Err(HttpError::NoAnswer(format!("{shown} answered with more than 1 MiB")));
        }
        if status == 400 {
            // The reason is plain text: <https://github.com/grafana/loki/blob/main/pkg/util/server/error.go>.
            let why: String =
                sanitize_line(String::from_utf8_lossy(&body).trim()).chars().take(300).collect();
            return Err(HttpError::Unable(format!("Loki refuses the query: {why}")));
        }
        let otherwise = || HttpError::NoAnswer(format!("{shown} answered {status}, and not as a Loki does"));
        let body: Body = match serde_json::from_slice(&body) {
            Ok(body) if status == 200 => body,
            _ => return Err(otherwise()),
        };
        match (body.status.as_str(), body.data.result_type.as_str()) {
            ("success", "vector") => serde_json::from_value(body.data.result).map_err(|_| otherwise()),
            ("success", "streams") => Err(HttpError::Unable(
                "the query gives lines and no number: count them, such as with sum(count_over_time(... [$window]))"
                    .into(),
            )),
            _ => Err(otherwise()),
        }
    }
}
