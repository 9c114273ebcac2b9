//! A watch of central logs that is killed: what arrived meanwhile is counted when it goes on. The store is an emulator.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use windlass_testkit::logs::Logs;
use windlass_testkit::repo::RepoBuilder;

use crate::support::{Ran, program};

fn looks(repo: &RepoBuilder, metric: &str) -> Vec<Value> {
    let ran: Ran = program(repo).args(["status", "--json"]).output().unwrap().into();
    let data: Value = serde_json::from_str(&ran.out).unwrap_or_default();
    data["watches"][0]["metrics"][metric].as_array().cloned().unwrap_or_default()
}

#[test]
fn what_arrived_in_central_logs_while_nobody_watched_is_counted() {
    let logs = Arc::new(Logs::start("logs-web"));
    let is_over = Arc::new(AtomicBool::new(false));
    let shop = (Arc::clone(&logs), Arc::clone(&is_over));
    let now = || jiff::Timestamp::now().as_millisecond();
    let shop = std::thread::spawn(move || {
        let (logs, is_over) = shop;
        while !is_over.load(Ordering::SeqCst) {
            logs.log(now(), "web", "info", "sold");
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let repo = RepoBuilder::new();
    repo.file(
        "windlass.toml",
        format!(
            "[environments.production.metrics]\nloki = {{ url = \"{url}\", delay = \"100ms\" }}\n\
             elasticsearch = {{ url = \"{url}\", index = \"logs-web\", delay = \"100ms\" }}\n\
             [environments.production.metrics.queries]\n\
             lines = {{ from = \"loki\", query = 'sum(count_over_time({{service=\"web\"}} |= \"ERROR\" [$window])) or vector(0)' }}\n\
             documents = {{ from = \"elasticsearch\", query = \"level:error\" }}\n",
            url = logs.url()
        ),
    )
    .file(
        "runbooks/watch.md",
        "---\nname: watch\n---\n# Watch\n\n## Steps\n\n### Watch\n\n```yaml\nuses: watch\nwith: { environment: production, for: 10s, \
         every: 1s, criteria: [{ lines: '> 100' }, { documents: '> 100' }] }\n```\n",
    )
    .commit("feat: begin");

    let mut child = program(&repo).args(["run", "watch", "--no-wait"]).spawn().unwrap();
    let begin = Instant::now();
    while looks(&repo, "documents").is_empty() {
        assert!(begin.elapsed() < Duration::from_secs(30), "it never looked");
        std::thread::sleep(Duration::from_millis(50));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    for _ in 0..3 {
        logs.log(now(), "web", "error", "ERROR no card");
        std::thread::sleep(Duration::from_millis(1000));
    }
    let ran: Ran = program(&repo).args(["resume", "--no-wait"]).output().unwrap().into();
    ran.expect(0, &[": Pass"]);
    for metric in ["lines", "documents"] {
        let looks = looks(&repo, metric);
        let numbers: Vec<f64> =
            looks.iter().map(|look| look["reading"]["number"].as_f64().unwrap()).collect();
        assert_eq!((numbers.len(), numbers.iter().sum::<f64>()), (10, 3.0), "{metric}: {looks:?}");
    }
    is_over.store(true, Ordering::SeqCst);
    shop.join().unwrap();
}
