//! Watches of metrics as people see them: the verdict, why, the charts, and judging again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use windlass_testkit::data_sources;
use windlass_testkit::logs::Logs;
use windlass_testkit::prometheus::{Behaviour, Monitored};
use windlass_testkit::repo::RepoBuilder;

use crate::support::{expect, windlass, windlass_with};

const BACK: &str =
    "---\nname: back\n---\n# Back\n\n## Steps\n\n### Redeploy\n\n```sh\necho old version serves again\n```\n";

/// A runbook that watches, and a rollback for when that fails.
fn repo(with: &str, metrics: &str) -> RepoBuilder {
    let repo = RepoBuilder::new();
    let text = format!(
        "---\nname: ship\ncalls: [back]\n---\n# Ship\n\n## Steps\n\n### Watch\n- On failure: [back](back.md)\n\n\
         ```yaml\nuses: watch\nwith: {{ every: 1s, {with} }}\n```\n"
    );
    repo.file("runbooks/ship.md", &text)
        .file("runbooks/back.md", BACK)
        .file("windlass.toml", format!("[environments.production.metrics]\n{metrics}"))
        .commit("feat: begin");
    repo
}

fn service(monitored: &Monitored) -> String {
    format!(
        "prometheus = \"{}\"\n[environments.production.metrics.queries]\n\
         error_rate = {{ total = \"sum(increase(http_requests_total[$window]))\", good = \
         \"sum(increase(http_requests_total{{code!~'5..'}}[$window]))\" }}\n\
         misspelt = {{ total = \"sum(increase(http_reqests_total[$window]))\", good = \
         \"sum(increase(http_reqests_total{{code!~'5..'}}[$window]))\" }}\n\
         latency_p95 = {{ buckets = \"sum by (le) (increase(http_request_duration_seconds_bucket[$window]))\" }}\n",
        monitored.url()
    )
}

#[test]
fn a_watch_of_prometheus_passes_fails_and_asks() {
    let mut monitored = Monitored::start(Behaviour::GOOD).unwrap();
    monitored.wait_for_history(9).unwrap();
    let metrics = service(&monitored);
    let criteria =
        "environment: production, criteria: [{ error_rate: '> 1%' }, { latency_p95: '> 2x, at least 50ms' }]";

    let good = repo(&format!("for: 7s, {criteria}"), &metrics);
    let ran = windlass(&good, &["run", "ship"]);
    expect(
        &ran,
        0,
        &[
            ": Pass\n",
            "error_rate was 0 % (0 of ",
            "✓ error_rate > 1%  ▁▁▁▁▁▁▁ 0 % now, limit 1 %",
            "asked: 1 - (sum(",
        ],
    );
    expect(
        &windlass(&good, &["status"]),
        0,
        &["14 measured, 0 without data: Pass\n", "✓ latency_p95 > 2x, at least 50ms"],
    );
    let data = windlass(&good, &["status", "--json"]).json();
    let watch = &data["watches"][0];
    assert_eq!(watch["verdict"]["criteria"][0]["looks"], 7, "{watch}");
    assert!(watch["verdict"]["criteria"][0]["high"].as_f64().unwrap() < 0.01, "{watch}");
    assert!(watch["metrics"]["latency_p95"][0]["baseline"].as_bool().unwrap(), "{watch}");

    let lost = repo("for: 3s, environment: production, criteria: [{ misspelt: '> 1%' }]", &metrics);
    expect(&windlass(&lost, &["run", "ship"]), 4, &[": NoData\n", "`total` gives nothing", "go on?"]);

    monitored.behave(Behaviour { errors: 0.05, ..Behaviour::GOOD });
    std::thread::sleep(std::time::Duration::from_millis(1200));
    let bad = repo(&format!("for: 1m, {criteria}"), &metrics);
    let began = std::time::Instant::now();
    expect(
        &windlass(&bad, &["run", "ship"]),
        6,
        &[": Fail\n", "error_rate was ", "> 1% is bad", "✗ error_rate > 1%", "old version serves again"],
    );
    assert!(began.elapsed().as_secs() < 15, "caught after {:?}", began.elapsed());

    monitored.stop_prometheus().unwrap();
    let ran = windlass(&good, &["run", "ship"]);
    expect(
        &ran,
        4,
        &["the watch cannot tell", "error_rate saw nothing: http://127.0.0.1:", "did not answer"],
    );
    assert!(!ran.err.contains("old version"), "an outage of the metrics rolls nothing back: {}", ran.err);
}

#[test]
fn a_watch_of_central_logs_passes_fails_and_asks() {
    let logs = Arc::new(Logs::start("logs-shop"));
    let (is_bad, is_over) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let shop = (Arc::clone(&logs), Arc::clone(&is_bad), Arc::clone(&is_over));
    let shop = std::thread::spawn(move || {
        let (logs, is_bad, is_over) = shop;
        while !is_over.load(Ordering::SeqCst) {
            let now = jiff::Timestamp::now().as_millisecond();
            logs.log(now, "web", "info", "sold");
            if is_bad.load(Ordering::SeqCst) {
                logs.log(now, "web", "error", "ERROR no card");
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    });
    let metrics = format!(
        "loki = {{ url = \"{url}\", delay = \"100ms\" }}\n\
         elasticsearch = {{ url = \"{url}\", index = \"logs-shop\", delay = \"100ms\" }}\n\
         [environments.production.metrics.queries]\n\
         errors = {{ from = \"loki\", total = 'sum(count_over_time({{service=\"web\"}} [$window]))', bad = \
         'sum(count_over_time({{service=\"web\"}} |= \"ERROR\" [$window])) or vector(0)' }}\n\
         failures = {{ from = \"elasticsearch\", query = \"level:error\" }}\n",
        url = logs.url()
    );
    let criteria = "environment: production, criteria: [{ errors: '> 5%' }, { failures: '> 10' }]";
    let good = repo(&format!("for: 4s, {criteria}"), &metrics);
    expect(
        &windlass(&good, &["run", "ship"]),
        0,
        &[": Pass\n", "✓ errors > 5%", "✓ failures > 10", "asked: documents that match level:error"],
    );
    let misspelt = repo(
        "for: 3s, environment: production, criteria: [{ failures: '> 10' }]",
        &metrics.replace("logs-shop", "log-shop"),
    );
    expect(
        &windlass(&misspelt, &["run", "ship"]),
        4,
        &[": NoData\n", "failures saw nothing: there is no index `log-shop`: no such index", "go on?"],
    );
    is_bad.store(true, Ordering::SeqCst);
    let bad = repo(&format!("for: 1m, {criteria}"), &metrics);
    expect(&windlass(&bad, &["run", "ship"]), 6, &[": Fail\n", "✗ errors > 5%", "old version serves again"]);
    let replay = windlass(&bad, &["watch", "replay", "--criteria", "errors > 60%"]);
    expect(&replay, 0, &["would have stopped 0 of 1 (1 were stopped)"]);
    is_over.store(true, Ordering::SeqCst);
    shop.join().unwrap();
}

#[test]
fn a_business_metric_is_asked_of_grafana() {
    let monitored = Monitored::start(Behaviour::GOOD).unwrap();
    monitored.wait_for_history(11).unwrap();
    let upstream: u16 = monitored.url().rsplit(':').next().unwrap().parse().unwrap();
    let url = data_sources::start(upstream, "shop", "glsa_token");
    let metrics = format!(
        "prometheus = \"{url}\"\nheaders = {{ Authorization = \"secret:GRAFANA\" }}\n\
         [environments.production.metrics.queries]\n\
         orders = \"sum(increase(http_requests_total[$window]))\"\n\
         alerts = 'count(ALERTS{{alertstate=\"firing\",severity=\"page\"}}) or vector(0)'\n\
         [secrets]\nGRAFANA = {{ env = \"GRAFANA\" }}\n"
    );
    let with = "for: 8s, environment: production, criteria: [{ orders: '< 0.5x' }, { alerts: '> 0' }]";
    let repo = repo(with, &metrics);
    let secret = [("GRAFANA", "Bearer glsa_token")];
    let ran = windlass_with(&repo, &["run", "ship"], &secret);
    expect(&ran, 0, &[": Pass\n", "✓ orders < 0.5x", "✓ alerts > 0  ▁▁▁▁▁▁▁▁ 0 now, limit 0"]);
    assert!(!format!("{}{}", ran.out, ran.err).contains("glsa_token"));

    // Customers order a fifth of what they did: no request fails, and the release is bad.
    monitored.behave(Behaviour { requests: 20.0, ..Behaviour::GOOD });
    std::thread::sleep(std::time::Duration::from_millis(1200));
    let ran = windlass_with(&repo, &["run", "ship"], &secret);
    expect(&ran, 6, &[": Fail\n", "✗ orders < 0.5x", "old version serves again"]);
}

/// A repository that watches a script which gives nothing at its second and third look, and pages through `page`.
fn paging(page: &str) -> RepoBuilder {
    let script =
        "N=$(cat n 2>/dev/null || echo 0); echo $((N + 1)) > n; case $N in 1|2) exit 1;; esac; echo 1";
    let with = format!(
        "for: 6s, outage: 2, criteria: [{{ failures: '> 5' }}], queries: {{ failures: {{ script: \"{script}\" }} }}"
    );
    let repo = repo(&with, "");
    repo.file("page.sh", "#!/bin/sh\ncat >>pages; echo >>pages\n");
    repo.file("windlass.toml", format!("[notify]\npage = [{page}]\n")).commit("feat: page");
    repo
}

#[test]
fn people_are_paged_when_the_metrics_are_away() {
    let repo = paging("{ command = [\"false\"] }, { command = [\"sh\", \"page.sh\"] }");
    let ran = windlass(&repo, &["run", "ship"]);
    expect(
        &ran,
        0,
        &[
            "✉ paged through sh (false: it ended with exit code 1): the metrics of watch 6s, every 1s are away (failures gave \
             nothing at 2 looks: the script ended with exit code 1)",
            // Whoever was called hears first that it is over.
            "✉ paged through sh: the metrics of watch 6s, every 1s are back",
            "ship succeeded",
        ],
    );
    let pages: Vec<serde_json::Value> = std::fs::read_to_string(repo.path().join("pages"))
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let kinds: Vec<&str> = pages.iter().map(|page| page["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["page", "resolved"]);
    assert!(
        pages[0]["id"] == pages[1]["id"] && pages[0]["id"].as_str().unwrap().contains("/outage-1@"),
        "{pages:?}"
    );
    expect(&windlass(&repo, &["status"]), 0, &["paged through sh", "are back, "]);

    // Nobody can be reached: the release is what it is, and the exit code says that a message failed.
    let repo = paging("{ command = [\"false\"] }, { url = \"http://127.0.0.1:1/page\" }");
    let ran = windlass(&repo, &["run", "ship"]);
    expect(
        &ran,
        8,
        &["! nobody could be paged (no way took the message: false: ", "127.0.0.1: ", "ship succeeded"],
    );
    let data = windlass(&repo, &["status", "--json"]).json();
    assert_eq!((&data["exit"], &data["pages"][0]["by"]), (&8.into(), &serde_json::Value::Null), "{data}");
}

#[test]
fn a_verdict_that_only_people_can_give_pages_them() {
    let repo = paging("{ command = [\"sh\", \"page.sh\"] }");
    repo.file("n", "1");
    let text = std::fs::read_to_string(repo.path().join("runbooks/ship.md")).unwrap();
    repo.file("runbooks/ship.md", text.replace("for: 6s", "for: 2s").replace("outage: 2", "outage: 9"));
    let call =
        "\n### Tell\n\n```yaml\nuses: notify.page\nwith: { message: \"released; 'quoted' $(id)\" }\n```\n";
    let text = std::fs::read_to_string(repo.path().join("runbooks/ship.md")).unwrap() + call;
    repo.file("runbooks/ship.md", text).commit("feat: tell");
    expect(
        &windlass(&repo, &["run", "ship"]),
        4,
        &["✉ paged through sh: watch 2s, every 1s: NoData (failures saw nothing"],
    );
    let item = windlass(&repo, &["status", "--json"]).json()["gates"][0]["path"].as_str().unwrap().to_owned();
    expect(&windlass(&repo, &["confirm", &item]), 0, &[]);
    expect(&windlass(&repo, &["resume"]), 0, &["✓ page: released; 'quoted' $(id)", "ship succeeded"]);
    let pages = std::fs::read_to_string(repo.path().join("pages")).unwrap();
    assert_eq!(pages.lines().count(), 2, "one page for the verdict, one of the runbook's own: {pages}");
    assert!(pages.contains("\"message\":\"released; 'quoted' $(id)\""), "{pages}");

    repo.file("windlass.toml", "[notify]\npage = [{ command = [\"false\"] }]\n")
        .commit("fix: nobody listens");
    repo.file("runbooks/tell.md", format!("---\nname: tell\n---\n# Tell\n\n## Steps\n{call}"))
        .commit("feat: tell alone");
    expect(
        &windlass(&repo, &["run", "tell"]),
        8,
        &["failed, which is allowed: no way took the message: false:"],
    );
    repo.file("windlass.toml", "").commit("fix: no pager");
    expect(
        &windlass(&repo, &["plan", "tell"]),
        2,
        &["nobody says how people are paged: write [notify] page ="],
    );
}

#[test]
fn scripts_are_watched_and_judged_again() {
    // Fails at the third and the fourth look.
    let script = "N=$(cat n 2>/dev/null || echo 0); echo $((N + 1)) > n; test $N -ge 2 && echo 9 || echo 1";
    let with = format!(
        "for: 6s, criteria: [{{ checkout_failures: '> 5' }}], queries: {{ checkout_failures: {{ script: \"{script}\" }} }}"
    );
    let repo = repo(&with, "");
    expect(&windlass(&repo, &["plan", "ship"]), 0, &["fails when checkout_failures > 5"]);
    let ran = windlass(&repo, &["run", "ship"]);
    expect(&ran, 6, &["checkout_failures was 9, then 9, and > 5 is bad", "▂▂██"]);

    let replay = |args: &[&str]| windlass(&repo, &[&["watch", "replay"], args].concat());
    expect(&replay(&[]), 0, &["Fail after 4s (was Fail)", "would have stopped 1 of 1 (1 were stopped)"]);
    // A stopped watch has too few looks to pass what would have been let go on.
    expect(&replay(&["--criteria", "checkout_failures > 10"]), 0, &["would have stopped 0 of 1"]);
    expect(&replay(&["--criteria", "checkout_failures > 0"]), 0, &["Fail after 2s"]);
    expect(&replay(&["--criteria", "checkuot_failures > 0"]), 2, &["no watch measured `checkuot_failures`"]);
    expect(&replay(&["--persist", "3"]), 0, &["stopped 0 of 1", "left 1 to people"]);
    let data = replay(&["--json"]).json();
    assert_eq!((&data["stopped"], &data["watches"][0]["stopped_at"]), (&1.into(), &4.into()), "{data}");

    let events = windlass(&repo, &["audit", "show", "--json"]).out;
    repo.file("events.jsonl", &events);
    expect(&replay(&["events.jsonl"]), 0, &["events.jsonl › ", "Fail after 4s (was Fail)"]);
    repo.file("other.txt", "no events\n");
    expect(&replay(&["other.txt"]), 2, &["line 1 is no event of a run"]);
    expect(&replay(&["--criteria", "checkout_failures"]), 2, &["does not say of which metric"]);
    expect(&replay(&["--criteria", "x > many"]), 2, &["is not a criterion"]);
    expect(&replay(&["--confidence", "3"]), 2, &["is not from 50 to 99.99"]);
    expect(&replay(&["nothing"]), 2, &["there is no run `nothing`"]);
}
