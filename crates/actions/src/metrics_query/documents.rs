//! What Elasticsearch and OpenSearch answer: how many documents of each interval match.

use windlass_core::config::Store;
use windlass_core::verdict::{Point, Reading};
use windlass_engine::action::{ActionError, Result};
use windlass_engine::context::Context;

use super::{Params, points, stores};
use crate::adapters::elasticsearch::{Counts, Elasticsearch};
use crate::adapters::prometheus::Range;

/// How many documents match in each interval, or the share that does.
///
/// An interval without any document is nothing: as likely as a silent service is one whose logs do not arrive, or a
/// misspelt field of the time.
///
/// # Errors
/// When the store does not answer, refuses a query, or searched only a part.
pub(super) async fn ask(params: &Params, range: Range, context: &Context) -> Result<Vec<Point>> {
    let Some(table) = &params.elasticsearch else {
        return Err(ActionError::Final("metrics.query: nobody says where Elasticsearch is".into()));
    };
    let endpoint = stores::endpoint(params, Store::Elasticsearch, context)?;
    let store = Elasticsearch { endpoint, index: table.index.clone(), time: table.time.clone() };
    let part = [&params.query, &params.good, &params.bad].into_iter().find_map(Option::as_deref);
    let queries: Vec<String> =
        part.into_iter().chain(params.total.as_deref()).map(|query| params.written(query, &range)).collect();
    let queries: Vec<&str> = queries.iter().map(String::as_str).collect();
    let counted = store.count(&queries, range, table.delay).await;
    let counted = counted.map_err(|error| stores::failed(error, context))?;
    let none = || "there is no document of that time: nothing is logged, or it does not arrive".to_owned();
    Ok(points(range, |at| {
        let Some(Counts { all: 1.., matching }) = counted.get(&at) else { return Err(none()) };
        let matching: Vec<f64> = matching.iter().map(|count| *count as f64).collect();
        let reading = match matching.as_slice() {
            [number] => Reading::Number(*number),
            [good, total] if params.good.is_some() => Reading::Rate { bad: total - good, total: *total },
            [bad, total] => Reading::Rate { bad: *bad, total: *total },
            _ => return Err(none()),
        };
        reading.checked().map_err(|error| error.to_string())
    }))
}
