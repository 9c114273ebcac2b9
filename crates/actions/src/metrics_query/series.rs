//! What Prometheus and Loki answer: series of numbers, of which one is meant, or the buckets of a histogram.

use windlass_core::config::Store;
use windlass_core::text::sanitize_line;
use windlass_core::verdict::{Histogram, Point, Reading};
use windlass_engine::action::Result;
use windlass_engine::context::Context;

use super::{Params, points, stores};
use crate::adapters::loki::Loki;
use crate::adapters::prometheus::{Prometheus, Range, Series};

/// How many moments one request asks Prometheus for: what fits an answer that is read whole.
const PART: usize = 5000;
/// The same for histograms, which have a series for each bucket.
const PART_OF_BUCKETS: usize = 400;

/// What the queries give at each moment.
///
/// # Errors
/// When the store does not answer, or refuses a query.
pub(super) async fn ask(params: &Params, range: Range, context: &Context) -> Result<Vec<Point>> {
    let ask = async |query: &str, part: usize| {
        let query = params.written(query, &range);
        let series = match &params.loki {
            Some(loki) => {
                let endpoint = stores::endpoint(params, Store::Loki, context)?;
                Loki(endpoint).moments(&query, range, loki.delay).await
            }
            None => {
                let endpoint = stores::endpoint(params, Store::Prometheus, context)?;
                Prometheus(endpoint).range(&query, range, part).await
            }
        };
        series.map_err(|error| stores::failed(error, context))
    };
    if let Some(query) = &params.buckets {
        let series = ask(query, PART_OF_BUCKETS).await?;
        return Ok(points(range, |at| histogram(&series, at)));
    }
    let Some(total) = &params.total else {
        let series = ask(params.query.as_deref().unwrap_or_default(), PART).await?;
        return Ok(points(range, |at| {
            let number = one(&series, at, "the query")?;
            Reading::Number(number).checked().map_err(|error| error.to_string())
        }));
    };
    let part = params.good.as_deref().or(params.bad.as_deref()).unwrap_or_default();
    let (total, part) = (ask(total, PART).await?, ask(part, PART).await?);
    let name = if params.good.is_some() { "`good`" } else { "`bad`" };
    Ok(points(range, |at| {
        let total = one(&total, at, "`total`")?;
        if total == 0.0 {
            return Ok(Reading::Rate { bad: 0.0, total });
        }
        let part = one(&part, at, name)?;
        // The two are extrapolated apart, so the part may come out a little above the whole.
        let bad = if params.good.is_some() { (total - part).max(0.0) } else { part };
        Reading::Rate { bad, total }.checked().map_err(|error| error.to_string())
    }))
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
