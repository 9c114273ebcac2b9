//! `metrics.query` of central logs and through Grafana: emulators, but for the Prometheus behind Grafana's, which is real.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use windlass_core::verdict::{Answer, Reading};
use windlass_testkit::logs::Logs;
use windlass_testkit::prometheus::{Behaviour, Monitored};
use windlass_testkit::repo::RepoBuilder;
use windlass_testkit::{data_sources, serve};

use crate::world::{SECRET, Setting};

/// The newest look, which is no multiple of the step: a store that aligns its answers to steps has none for it.
const NOW: i64 = 1_700_000_003_217;
const ALL: &str = "sum(count_over_time({service=\"web\"} [$window]))";
const ERRORS: &str = "sum(count_over_time({service=\"web\"} |= \"ERROR\" [$window])) or vector(0)";

struct Asking {
    setting: Setting,
    store: Value,
}

impl Asking {
    fn new(store: Value) -> Self {
        Self { setting: Setting::new(RepoBuilder::new()), store }
    }

    fn params(&self, query: Value, looks: i64) -> Value {
        let at = |seconds: i64| Timestamp::from_millisecond(NOW + seconds * 1000).unwrap();
        let mut params = json!({ "from": at((1 - looks) * 10), "to": at(0), "step": "10s" });
        for part in [&self.store, &query] {
            params.as_object_mut().unwrap().extend(part.as_object().unwrap().clone());
        }
        params
    }

    /// What each of so many looks gave.
    async fn ask(&self, query: Value, looks: i64) -> Vec<Result<Reading, String>> {
        let output = self.setting.run("metrics.query", &self.params(query, looks)).await.unwrap();
        let answer: Answer = serde_json::from_value(output).unwrap();
        let points = answer.points.into_iter().enumerate();
        points
            .map(|(place, point)| {
                let expect = NOW + (place as i64 + 1 - looks) * 10_000;
                assert_eq!(point.at.as_millisecond(), expect, "of the moments that were asked for");
                point.reading.ok_or(point.why.unwrap_or_default())
            })
            .collect()
    }
}

fn number(number: f64) -> Result<Reading, String> {
    Ok(Reading::Number(number))
}

fn rate(bad: f64, total: f64) -> Result<Reading, String> {
    Ok(Reading::Rate { bad, total })
}

/// Lines of three looks: five seconds before each, its interval ends.
fn logs() -> Logs {
    let logs = Logs::start("logs-web");
    let log = |seconds: i64, service: &str, level: &str| {
        let text = if level == "error" { "ERROR no card" } else { "sold" };
        logs.log(NOW - 5000 + seconds * 1000, service, level, text);
    };
    // The first look: two lines, one of them an error.
    log(-21, "web", "error");
    log(-25, "web", "info");
    // The second one: another service only.
    log(-15, "mail", "error");
    // The third one: three lines.
    log(-1, "web", "info");
    log(-2, "web", "info");
    log(-9, "web", "error");
    // These are on their way still when they are asked about.
    log(1, "web", "error");
    log(2, "web", "error");
    logs
}

#[tokio::test]
async fn loki_counts_lines_at_the_moments_of_the_looks() {
    let logs = logs();
    let asking =
        Asking::new(json!({ "loki": { "url": logs.url(), "headers": { "X-Scope-OrgID": "secret:TOKEN" } } }));
    assert_eq!(
        asking.ask(json!({ "total": ALL, "bad": ERRORS }), 3).await,
        [
            rate(1.0, 2.0),
            Err("`total` gives nothing: no series matches it at this time".into()),
            rate(1.0, 3.0)
        ],
        "no line is silence, and silence is nothing"
    );
    assert_eq!(asking.ask(json!({ "query": ERRORS }), 3).await, [number(1.0), number(0.0), number(1.0)]);
    for asked in logs.requests() {
        assert_eq!(asked.headers["x-scope-orgid"], SECRET);
        assert!(!asked.parameter("query").unwrap().contains('$'), "{asked:?}");
    }
    assert!(!asking.setting.log.text().contains(SECRET));

    // A misspelt selector finds nothing, and nothing is no zero.
    let misspelt = ERRORS.replace("web", "wbe").replace(" or vector(0)", "");
    assert!(
        asking.ask(json!({ "query": misspelt }), 1).await[0].as_ref().unwrap_err().contains("gives nothing")
    );
    let several = "count_over_time({service=\"web\"} [$window])";
    let found = asking.ask(json!({ "query": several }), 1).await;
    assert!(found[0].as_ref().unwrap_err().contains("gives 2 series, such as {level="), "{found:?}");

    // Without a delay, what just came counts too.
    let mut store = asking.store.clone();
    store["loki"]["delay"] = json!("0s");
    assert_eq!(Asking::new(store).ask(json!({ "query": ERRORS }), 1).await, [number(2.0)]);

    for (query, why) in
        [("sum(", "Loki refuses the query: parse error"), ("{service=\"web\"}", "gives lines and no number")]
    {
        let refusal =
            asking.setting.final_refusal("metrics.query", &asking.params(json!({ "query": query }), 1)).await;
        assert!(refusal.contains(why), "{refusal}");
    }
}

#[tokio::test]
async fn elasticsearch_counts_documents_of_each_interval() {
    let logs = logs();
    let asking = Asking::new(json!({
        "elasticsearch": { "url": logs.url(), "index": "logs-web", "headers": { "Authorization": "secret:TOKEN" } },
    }));
    assert_eq!(
        asking.ask(json!({ "total": "service:web", "bad": "service:web AND level:error" }), 4).await,
        [
            Err("there is no document of that time: nothing is logged, or it does not arrive".into()),
            rate(1.0, 2.0),
            rate(0.0, 0.0),
            rate(1.0, 3.0)
        ],
        "the service said nothing in the second interval, and others did"
    );
    let asked = logs.requests();
    assert_eq!(asked.len(), 1, "all looks are one search");
    assert_eq!(
        (asked[0].path.as_str(), asked[0].headers["authorization"].as_str()),
        ("/logs-web/_search", SECRET)
    );
    assert_eq!(
        asking.ask(json!({ "query": "level:$side", "side": "error" }), 3).await,
        [number(1.0), number(1.0), number(1.0)]
    );
    assert_eq!(
        asking.ask(json!({ "total": "service:web", "good": "level:info" }), 1).await,
        [rate(1.0, 3.0)]
    );
    let more = asking.ask(json!({ "total": "level:error", "bad": "*" }), 1).await;
    assert!(more[0].as_ref().unwrap_err().contains("more than the whole"), "{more:?}");

    // A field for the time that no document has: nothing is there, rather than nothing bad.
    let mut store = asking.store.clone();
    store["elasticsearch"]["time"] = json!("timestamp");
    let found = Asking::new(store).ask(json!({ "query": "level:error" }), 1).await;
    assert!(found[0].as_ref().unwrap_err().contains("no document of that time"), "{found:?}");

    // A misspelt index is not an empty one, and stays one part of the path.
    for index in ["log-web", "../logs-web", "logs-web/_search?x="] {
        let mut store = asking.store.clone();
        store["elasticsearch"]["index"] = json!(index);
        let other = Asking::new(store);
        let params = other.params(json!({ "query": "level:error" }), 1);
        let refusal = other.setting.final_refusal("metrics.query", &params).await;
        assert!(
            refusal.contains(&format!("there is no index `{index}`: no such index [{index}]")),
            "{refusal}"
        );
    }
    let params = asking.params(json!({ "query": "level" }), 1);
    let refusal = asking.setting.final_refusal("metrics.query", &params).await;
    assert!(refusal.contains("Elasticsearch refuses the query: Failed to parse query [level]"), "{refusal}");
}

#[tokio::test]
async fn a_store_in_trouble_is_never_good() {
    let logs = logs();
    let whole = |timed_out: bool, total: u32, failed: u32, more: &str| {
        format!(
            "{{\"timed_out\":{timed_out},\"_shards\":{{\"total\":{total},\"failed\":{failed}}}{more},\
             \"aggregations\":{{\"intervals\":{{\"buckets\":[]}}}}}}"
        )
    };
    let loki = json!({ "loki": { "url": logs.url() }, "query": ERRORS });
    let search =
        json!({ "elasticsearch": { "url": logs.url(), "index": "logs-web" }, "query": "level:error" });
    let asking = Asking::new(json!({}));
    for (params, status, body, expect) in [
        (&loki, 429, "too many outstanding requests".to_owned(), "answered 429"),
        (&loki, 503, "no".into(), "answered 503"),
        (&loki, 401, "no org id".into(), "answered 401"),
        (&loki, 200, "<html>sign in</html>".into(), "not as a Loki does"),
        (
            &loki,
            200,
            r#"{"status":"success","data":{"resultType":"scalar","result":[1,"0"]}}"#.into(),
            "not as a Loki",
        ),
        (
            &loki,
            200,
            r#"{"status":"error","data":{"resultType":"vector","result":[]}}"#.into(),
            "not as a Loki",
        ),
        (&loki, 200, "x".repeat(2 << 20), "more than 1 MiB"),
        (&loki, 0, String::new(), "did not answer"),
        (&search, 429, r#"{"error":{"reason":"circuit_breaking"}}"#.into(), "answered 429: circuit_breaking"),
        (&search, 500, "no".into(), "answered 500"),
        (&search, 403, r#"{"error":"forbidden"}"#.into(), "answered 403: forbidden"),
        (&search, 302, String::new(), "answered 302"),
        (&search, 200, "<html>sign in</html>".into(), "not as an Elasticsearch does"),
        (&search, 200, "{}".into(), "not as an Elasticsearch does"),
        (&search, 200, "x".repeat(2 << 20), "more than 1 MiB"),
        (&search, 0, String::new(), "did not answer"),
        (&search, 200, whole(true, 2, 0, ""), "searched only a part: it ran out of time"),
        (&search, 200, whole(false, 2, 1, ""), "searched only a part: 1 of 2 shards failed"),
        (&search, 200, whole(false, 0, 0, ""), "no shard has that index"),
        (&search, 200, whole(false, 2, 0, r#","_clusters":{"skipped":1}"#), "1 clusters did not take part"),
    ] {
        logs.trouble(status, &body);
        let why = asking.setting.refusal("metrics.query", &asking.params(params.clone(), 1)).await;
        assert!(why.contains(expect), "{status} {why}, not {expect}");
    }
    // An interval that the answer does not have is nothing.
    logs.trouble(200, &whole(false, 2, 0, ""));
    let found = asking.ask(search.clone(), 1).await;
    assert!(found[0].as_ref().unwrap_err().contains("no document of that time"), "{found:?}");
    // The troubles are over.
    assert_eq!(asking.ask(search, 1).await, [number(1.0)]);
    assert_eq!(asking.ask(loki, 1).await, [number(1.0)]);

    for (params, why) in [
        (json!({ "loki": { "url": "loki:3100" }, "query": "x" }), "`loki:3100` is no address of a Loki"),
        (json!({ "elasticsearch": { "index": "x" }, "query": "x" }), "is no address of an Elasticsearch"),
        (json!({ "elasticsearch": { "url": "http://x" }, "query": "x" }), "needs the `index`"),
        (json!({ "elasticsearch": { "url": "http://x", "index": ".." }, "query": "x" }), "needs the `index`"),
        (
            json!({ "loki": { "url": "http://x" }, "prometheus": "http://x", "query": "x" }),
            "one of `prometheus`",
        ),
        (json!({ "loki": { "url": "http://x" }, "script": "echo 1" }), "has a `from`"),
    ] {
        assert!(asking.setting.final_refusal("metrics.query", &params).await.contains(why), "{params}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn grafana_is_asked_for_what_its_data_sources_know() {
    let monitored = Monitored::start(Behaviour::GOOD).unwrap();
    let upstream: u16 = monitored.url().rsplit(':').next().unwrap().parse().unwrap();
    let setting = Setting::new(RepoBuilder::new()).with_secret("GRAFANA", "Bearer glsa_token");
    let prometheus = data_sources::start(upstream, "shop-metrics", "glsa_token");
    let asked = |url: &str, header: &str, query: &str| json!({ "prometheus": url, "headers": { "Authorization": header }, "query": query, "step": "2s" });
    // A business metric, of a real Prometheus behind it.
    let orders = asked(&prometheus, "secret:GRAFANA", "sum(increase(http_requests_total[$window])) * 30");
    let begin = std::time::Instant::now();
    loop {
        let answer: Answer =
            serde_json::from_value(setting.run("metrics.query", &orders).await.unwrap()).unwrap();
        match answer.points[0].reading {
            Some(Reading::Number(number)) if (3000.0..12_000.0).contains(&number) => break,
            _ => assert!(begin.elapsed() < Duration::from_secs(60), "{answer:?}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(!setting.log.text().contains("glsa_token"));

    // Logs too.
    let logs = logs();
    let loki = data_sources::start(logs.port(), "shop-logs", "glsa_token");
    let to = Timestamp::from_millisecond(NOW).unwrap();
    let params = json!({
        "loki": { "url": loki, "headers": { "Authorization": "secret:GRAFANA" } }, "query": ERRORS, "step": "10s", "to": to,
        "from": to - SignedDuration::from_secs(10),
    });
    let answer: Answer =
        serde_json::from_value(setting.run("metrics.query", &params).await.unwrap()).unwrap();
    let read: Vec<Option<Reading>> = answer.points.into_iter().map(|point| point.reading).collect();
    assert_eq!(read, [Some(Reading::Number(0.0)), Some(Reading::Number(1.0))]);
    assert_eq!(serve::decoded(&logs.requests()[0].path), "/loki/api/v1/query");

    for (url, header, why) in [
        (prometheus.as_str(), "Bearer wrong", "answered 401"),
        (&prometheus.replace("shop-metrics", "other"), "secret:GRAFANA", "answered 404"),
    ] {
        let why_not = setting.refusal("metrics.query", &asked(url, header, "up")).await;
        assert!(why_not.contains(why) && !why_not.contains("glsa_token"), "{why_not}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_of_prometheus_are_counted() {
    let monitored = Monitored::start(Behaviour::GOOD).unwrap();
    let setting = Setting::new(RepoBuilder::new());
    let params = json!({
        "prometheus": monitored.url(),
        "query": "count(ALERTS{alertstate=\"firing\",severity=\"page\"}) or vector(0)",
    });
    let firing = async || {
        let answer: Answer =
            serde_json::from_value(setting.run("metrics.query", &params).await.unwrap()).unwrap();
        answer.points[0].reading.clone()
    };
    assert_eq!(firing().await, Some(Reading::Number(0.0)));
    monitored.behave(Behaviour { errors: 0.5, ..Behaviour::GOOD });
    let begin = std::time::Instant::now();
    while firing().await != Some(Reading::Number(1.0)) {
        assert!(begin.elapsed() < Duration::from_secs(60), "the alert never fired");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
