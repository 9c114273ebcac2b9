//! `metrics.query` and `http.traffic`: against a real Prometheus, scripts and commands.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use windlass_core::verdict::{Answer, Reading};
use windlass_engine::action::ActionError;
use windlass_testkit::prometheus::{Behaviour, Monitored};
use windlass_testkit::repo::RepoBuilder;

use crate::server::Server;
use crate::world::{SECRET, Setting};

const TOTAL: &str = "sum(increase(http_requests_total[$window]))";
const GOOD: &str = "sum(increase(http_requests_total{code!~\"5..\"}[$window]))";
const BUCKETS: &str = "sum by (le) (increase(http_request_duration_seconds_bucket[$window]))";

fn answer(output: Value) -> Answer {
    serde_json::from_value(output).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_is_asked_for_numbers_shares_and_histograms() {
    let behaviour = Behaviour { requests: 100.0, errors: 0.05, time: 0.2 };
    let mut monitored = Monitored::start(behaviour).unwrap();
    let setting = Setting::new(RepoBuilder::new());
    // Until it has scraped for long enough for three intervals of a second.
    let scraped =
        json!({ "prometheus": monitored.url(), "query": "min(count_over_time(http_requests_total[5s]))" });
    while !matches!(
        answer(setting.run("metrics.query", &scraped).await.unwrap()).points[0].reading,
        Some(Reading::Number(scrapes)) if scrapes > 20.0
    ) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let to = Timestamp::now();
    let from = to - SignedDuration::from_secs(2);
    let ask = async |query: Value| {
        let mut params = json!({ "prometheus": monitored.url(), "from": from, "to": to, "step": "1s" });
        params.as_object_mut().unwrap().extend(query.as_object().unwrap().clone());
        setting.run("metrics.query", &params).await.map(answer)
    };
    let read = ask(json!({ "total": TOTAL, "good": GOOD })).await.unwrap();
    assert_eq!(read.points.len(), 3);
    for point in &read.points {
        let Some(Reading::Rate { bad, total }) = point.reading else { panic!("{read:?}") };
        assert!((50.0..200.0).contains(&total) && (0.04..0.06).contains(&(bad / total)), "{read:?}");
    }
    assert_eq!(read.points[2].at.as_millisecond(), to.as_millisecond());

    let read = ask(json!({ "buckets": BUCKETS })).await.unwrap();
    let Some(reading) = &read.points[2].reading else { panic!("{read:?}") };
    let p95 = reading.value(0.95).unwrap();
    assert!((0.25..0.5).contains(&p95), "one in ten takes 0.3 s: {p95}");

    let read = ask(json!({ "query": "up{$side}", "side": "job=\"service\"" })).await.unwrap();
    assert_eq!(read.points[0].reading, Some(Reading::Number(1.0)));

    // What is no number is nothing, with the reason, and never zero.
    for (query, why) in [
        (json!({ "query": "no_such_metric" }), "gives nothing"),
        (json!({ "query": "http_requests_total" }), "gives 2 series, such as {"),
        (json!({ "query": "0 * up / (0 * up)" }), "gives NaN"),
        (json!({ "query": "1 / (0 * up)" }), "gives inf"),
        (json!({ "total": TOTAL, "good": "sum(http_reqests_total)" }), "`good` gives nothing"),
        (json!({ "total": "no_such_metric", "bad": GOOD }), "`total` gives nothing"),
        (json!({ "total": GOOD, "bad": TOTAL }), "more than the whole"),
        (json!({ "buckets": "http_requests_total" }), "without `le`"),
        (json!({ "buckets": "no_such_metric" }), "gives nothing"),
        (
            json!({ "buckets": "http_request_duration_seconds_bucket{le!=\"+Inf\"}" }),
            "no bucket `le=\"+Inf\"`",
        ),
    ] {
        let read = ask(query.clone()).await.unwrap();
        for point in &read.points {
            assert_eq!(point.reading, None, "{query}");
            assert!(point.why.as_ref().unwrap().contains(why), "{query}: {point:?}");
        }
    }
    match ask(json!({ "query": "sum(" })).await {
        Err(ActionError::Final(why)) => assert!(why.contains("Prometheus refuses the query: "), "{why}"),
        other => panic!("{other:?}"),
    }
    // An outage of the metrics is an error of its own, and what was stored is there after it.
    let url = monitored.url().to_owned();
    monitored.stop_prometheus().unwrap();
    let params = json!({ "prometheus": url, "query": "up" });
    assert!(setting.refusal("metrics.query", &params).await.contains("did not answer"));
    monitored.restart_prometheus().unwrap();
    let params =
        json!({ "prometheus": url, "from": from, "to": to, "step": "1s", "total": TOTAL, "good": GOOD });
    let again = answer(setting.run("metrics.query", &params).await.unwrap());
    assert!(again.points.iter().all(|point| point.reading.is_some()), "{again:?}");
}

#[tokio::test]
async fn scripts_and_commands_are_read() {
    let setting = Setting::new(RepoBuilder::new());
    let number = |number: f64| Ok(Reading::Number(number));
    for (params, expect) in [
        (json!({ "script": "echo 3" }), number(3.0)),
        (
            json!({ "script": "echo '{\"bad\": 1, \"total\": 4}'" }),
            Ok(Reading::Rate { bad: 1.0, total: 4.0 }),
        ),
        (json!({ "script": "print(2.5)", "language": "python" }), number(2.5)),
        (json!({ "script": "echo \"$WINDLASS_SIDE\"", "side": "7" }), number(7.0)),
        (json!({ "script": "echo \"$N\"", "env": { "N": "8" } }), number(8.0)),
        (json!({ "command": ["printf", "%s", "$side"], "side": "9" }), number(9.0)),
        (json!({ "script": "echo" }), Err("printed nothing")),
        (json!({ "script": "echo NaN" }), Err("neither a number nor JSON")),
        (json!({ "script": "echo many errors" }), Err("`many errors` is neither")),
        (json!({ "script": "echo '{\"bad\": 2, \"total\": 1}'" }), Err("more than the whole")),
        (json!({ "command": ["printf", "ok\nERROR a\nok\nERROR b\n"], "pattern": "^ERROR" }), number(2.0)),
        (
            json!({ "command": ["printf", "ok\nERROR a\nok\nERROR b\n"], "pattern": "^ERROR", "share": true }),
            Ok(Reading::Rate { bad: 2.0, total: 4.0 }),
        ),
        (json!({ "command": ["true"], "pattern": "ERROR" }), number(0.0)),
        // As docker logs does.
        (json!({ "command": ["sh", "-c", "echo ERROR >&2"], "pattern": "ERROR" }), number(1.0)),
    ] {
        let read = answer(setting.run("metrics.query", &params).await.unwrap());
        let point = &read.points[0];
        match expect {
            Ok(reading) => assert_eq!(point.reading, Some(reading), "{params}: {point:?}"),
            Err(why) => {
                assert!(point.why.as_ref().is_some_and(|told| told.contains(why)), "{params}: {point:?}");
                assert_eq!(point.reading, None);
            }
        }
    }
    let since = json!({ "command": ["printf", "%s", "$since"], "pattern": "1970-01-01T00:00:50Z", "to": "1970-01-01T00:01:00Z", "step": "10s" });
    assert_eq!(
        answer(setting.run("metrics.query", &since).await.unwrap()).points[0].reading,
        Some(Reading::Number(1.0))
    );
    // A source that fails is no number.
    let failed = setting.refusal("metrics.query", &json!({ "script": "echo 3; exit 2" })).await;
    assert!(failed.contains("the script ended with exit code 2"), "{failed}");
    for (params, why) in [
        (json!({}), "exactly one of"),
        (json!({ "query": "up" }), "no address of a Prometheus"),
        (json!({ "query": "up", "prometheus": "file:///etc" }), "no address of a Prometheus"),
        (json!({ "command": ["true"], "pattern": "(" }), "no regular expression"),
        (json!({ "script": "x", "language": "perl" }), "none of bash, sh and python"),
        (
            json!({ "script": "x", "from": "2020-01-01T00:00:00Z", "to": "2026-01-01T00:00:00Z", "step": "1s" }),
            "more than 20000 moments",
        ),
    ] {
        assert!(setting.final_refusal("metrics.query", &params).await.contains(why), "{params}");
    }
}

#[tokio::test]
async fn headers_keep_their_secrets() {
    let server = Server::start().await;
    let setting = Setting::new(RepoBuilder::new());
    let params =
        json!({ "prometheus": server.url("/ok"), "query": "up", "headers": { "X-Key": "secret:TOKEN" } });
    let why = setting.refusal("metrics.query", &params).await;
    assert!(why.contains("not as a Prometheus does"), "{why}");
    assert!(server.heads().contains(&format!("x-key: {SECRET}")), "{}", server.heads());
    assert!(server.heads().contains("/ok/api/v1/query_range?query=up&start="), "{}", server.heads());
    assert!(!setting.log.text().contains(SECRET));
}

#[tokio::test]
async fn traffic_is_made_and_looked_at() {
    let server = Server::start().await;
    let setting = Setting::new(RepoBuilder::new());
    let params = json!({ "requests": 5, "http": { "url": server.url("/ok") } });
    assert_eq!(setting.run("http.traffic", &params).await.unwrap(), json!({ "requests": 5 }));
    assert_eq!(server.asked(), 5);
    let params = json!({ "requests": 4, "http": { "url": server.url("/none") } });
    let why = setting.refusal("http.traffic", &params).await;
    assert!(why.starts_with("4 of 4 requests failed; the last answered 404"), "{why}");
    for (requests, http) in [(0, server.url("/ok")), (5000, server.url("/ok")), (1, "nowhere".to_owned())] {
        let params = json!({ "requests": requests, "http": { "url": http } });
        assert!(setting.effects("http.traffic", &params).is_err(), "{requests}");
    }
}
