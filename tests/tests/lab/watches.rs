//! Watches of what real containers do: lines in their logs, restarts, CPU and memory, and hosts that cannot be asked.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Setup, Shop, lab};
use crate::support::{Ran, newest, program};

/// A runbook that watches the service's logs and restarts.
fn watch(shop: &Shop, with: &str) {
    let queries = "begins: { logs: web, pattern: ' begins, ' }\n    restarts: { restarts: '*' }";
    runbook(shop, &format!("every: 1s\n  persist: 1\n  queries:\n    {queries}\n  {with}"));
}

fn runbook(shop: &Shop, with: &str) {
    shop.repo.file(
        "runbooks/watch.md",
        format!(
            "---\nname: watch\n---\n# Watch\n\n## Steps\n\n### Watch\n\n```yaml\nuses: watch\nwith:\n  environment: production\n  \
             {with}\n```\n"
        ),
    );
    shop.repo.git(&["add", "--all"]);
    shop.repo.git(&["commit", "--quiet", "--message", "feat: watch", "--allow-empty"]);
}

/// The service's process ends as by a fault of its own, so docker starts it again.
fn crash(shop: &Shop, host: &str, project: &str) {
    let pid = "docker inspect -f '{{.State.Pid}}'";
    let script = format!(
        "before=$({pid} {project}-web-1); kill -9 \"$before\"; \
         until now=$({pid} {project}-web-1) && [ \"$now\" != 0 ] && [ \"$now\" != \"$before\" ]; do sleep 0.1; done"
    );
    shop.lab.on(host, &script);
}

/// Starts the watch and waits until it has measured something.
fn begun(shop: &Shop, metric: &str) -> std::process::Child {
    let before = newest(&shop.repo).map(|(run, _)| run);
    let child = program(&shop.repo).args(["run", "watch", "--no-wait"]).spawn().unwrap();
    let begin = Instant::now();
    while newest(&shop.repo).map(|(run, _)| run) == before || looks(shop, metric).is_empty() {
        assert!(begin.elapsed() < Duration::from_secs(30), "it never looked");
        std::thread::sleep(Duration::from_millis(100));
    }
    child
}

fn looks(shop: &Shop, metric: &str) -> Vec<Value> {
    let ran = shop.windlass(&["status", "--json"]);
    let data: Value = serde_json::from_str(&ran.out).unwrap_or_default();
    data["watches"][0]["metrics"][metric].as_array().cloned().unwrap_or_default()
}

fn ended(child: std::process::Child) -> Ran {
    child.wait_with_output().unwrap().into()
}

#[test]
fn logs_and_restarts_are_watched_on_all_hosts() {
    let Some((lab, _turn)) = lab("logs_and_restarts_are_watched_on_all_hosts") else { return };
    let shop = Shop::new(lab, "watched", 8181, Setup::default());
    shop.deploy("0.1.0").expect(0, &[]);
    // A restart of before the watch is none of its own.
    crash(&shop, "lab1", "watched");
    std::thread::sleep(Duration::from_millis(2500));
    watch(&shop, "for: 5s\n  criteria: [{ begins: '> 0' }, { restarts: '> 0' }]");
    shop.windlass(&["run", "watch", "--no-wait"]).expect(0, &[": Pass", "✓ begins > 0", "✓ restarts > 0"]);

    // A crash loop on one of the hosts is enough, and at once.
    watch(&shop, "for: 60s\n  criteria: [{ begins: '> 100' }, { restarts: '> 100' }]");
    let child = begun(&shop, "restarts");
    (0..3).for_each(|_| crash(&shop, "lab2", "watched"));
    let begin = Instant::now();
    ended(child).expect(1, &[": Fail", "restarts was 3, and >= 3 is bad"]);
    assert!(begin.elapsed() < Duration::from_secs(15), "{:?}", begin.elapsed());
    shop.windlass(&["cancel", "--yes"]);

    // Lines are counted a second after they were written: the last ones are none of the next watch's.
    std::thread::sleep(Duration::from_millis(2500));
    watch(&shop, "for: 60s\n  criteria: [{ begins: '> 0' }]\n  at_once: []");
    let child = begun(&shop, "begins");
    crash(&shop, "lab1", "watched");
    ended(child).expect(1, &[": Fail", "begins was 1, and > 0 is bad"]);
    shop.windlass(&["cancel", "--yes"]);
}

#[test]
fn what_was_logged_while_nobody_watched_is_counted() {
    let Some((lab, _turn)) = lab("what_was_logged_while_nobody_watched_is_counted") else { return };
    let shop = Shop::new(lab, "unwatched", 8182, Setup::default());
    shop.deploy("0.1.0").expect(0, &[]);
    std::thread::sleep(Duration::from_millis(1500));
    watch(&shop, "for: 12s\n  coverage: 5\n  criteria: [{ begins: '> 100' }, { restarts: '> 100' }]");
    let mut child = begun(&shop, "restarts");
    child.kill().unwrap();
    child.wait().unwrap();
    crash(&shop, "lab1", "unwatched");
    crash(&shop, "lab2", "unwatched");
    std::thread::sleep(Duration::from_secs(5));
    shop.windlass(&["resume", "--no-wait"]).expect(0, &[": Pass"]);
    let begins = looks(&shop, "begins");
    let numbers: Vec<f64> = begins.iter().map(|look| look["reading"]["number"].as_f64().unwrap()).collect();
    assert_eq!((numbers.len(), numbers.iter().sum::<f64>()), (12, 2.0), "{begins:?}");
    // Restarts have no past of their own, but none is forgotten either.
    let restarts = looks(&shop, "restarts");
    assert_eq!(restarts.last().unwrap()["reading"]["number"], 2.0, "{restarts:?}");
}

#[test]
fn a_host_that_cannot_be_asked_is_never_good() {
    let Some((lab, _turn)) = lab("a_host_that_cannot_be_asked_is_never_good") else { return };
    let shop = Shop::new(lab, "unasked", 8183, Setup::default());
    shop.repo.file("page.sh", "cat >>pages; echo >>pages\n");
    let notify = "[notify]\npage = [{ command = [\"sh\", \"page.sh\"] }]\n";
    shop.configure(Setup { environment: notify, ..Setup::default() });
    shop.deploy("0.1.0").expect(0, &[]);
    let verify = "---\nname: verify\n---\n# Verify\n\n## Steps\n\n### Validate\n\n```yaml\nuses: deploy.verify\nwith: { environment: \
                  production, version: 0.1.0 }\n```\n";
    shop.repo.file("runbooks/verify.md", verify);
    watch(&shop, "for: 6s\n  criteria: [{ begins: '> 100' }, { restarts: '> 100' }]");
    shop.windlass(&["run", "verify", "--no-wait"]).expect(0, &["✓ verify 0.1.0 in production"]);

    lab.on("lab2", "docker stop -t 0 unasked-web-1");
    shop.windlass(&["run", "verify", "--no-wait"])
        .expect(1, &["lab2: web is exited (exit code 137)", "health did not answer"]);
    shop.windlass(&["cancel", "--yes"]);
    lab.on("lab2", "docker start unasked-web-1");

    let config = shop.repo.outside().join("ssh_config");
    let text = std::fs::read_to_string(&config).unwrap();
    // It answers at once that nobody listens, so that every look is made in its time.
    std::fs::write(&config, text.replace("HostName 10.231.7.12", "HostName 10.231.7.12\n  Port 23")).unwrap();
    let ran = shop.windlass(&["run", "watch", "--no-wait"]);
    ran.expect(
        4,
        &[
            "NoData",
            "begins saw nothing: lab2 refuses connections",
            "✉ paged through sh: the metrics of watch 6s",
        ],
    );
    let pages = std::fs::read_to_string(shop.repo.path().join("pages")).unwrap();
    assert_eq!(pages.lines().filter(|line| line.contains("\"kind\":\"page\"")).count(), 2, "{pages}");
}

#[test]
fn what_containers_use_is_watched_on_all_hosts() {
    let Some((lab, _turn)) = lab("what_containers_use_is_watched_on_all_hosts") else { return };
    let shop = Shop::new(lab, "used", 8184, Setup::default());
    let compose = std::fs::read_to_string(shop.repo.path().join("compose.yml")).unwrap();
    let limited = "restart: always\n    cpus: 0.25\n    mem_limit: 64m\n";
    shop.repo.file("compose.yml", compose.replace("restart: always\n", limited));
    shop.commit();
    shop.deploy("0.1.0").expect(0, &[]);
    let with = |criteria: &str| {
        let queries = "cpu: { cpu: web }\n    memory: { memory: '*' }";
        format!("for: 12s\n  every: 4s\n  queries:\n    {queries}\n  criteria: [{criteria}]")
    };
    // The host's own `/24` is what the tests reach it by.
    let ask = |host: &str, path: &str| {
        let mut stream = TcpStream::connect((host, 8184)).unwrap();
        // In one piece: the service answers, and closes, as soon as it has read a line.
        stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    };
    runbook(&shop, &with("{ cpu: '> 80%' }, { memory: '> 80%' }"));
    shop.windlass(&["run", "watch", "--no-wait"]).expect(
        0,
        &[
            ": Pass",
            "✓ cpu > 80%",
            "✓ memory > 80%",
            "limit 80 %",
            "asked: CPU of the busiest container of web",
        ],
    );

    // A quarter of a CPU is all that it may use, on one host of two: an average would be 50 %.
    ask("10.231.7.12", "/busy");
    runbook(&shop, &with("{ cpu: '> 80%' }"));
    let ran = shop.windlass(&["run", "watch", "--no-wait"]);
    ran.expect(1, &[": Fail", "✗ cpu > 80%", " %, and > 80% is bad"]);
    shop.windlass(&["cancel", "--yes"]);

    ask("10.231.7.11", "/full");
    runbook(&shop, &with("{ memory: '> 80%' }"));
    let ran = shop.windlass(&["run", "watch", "--no-wait"]);
    ran.expect(1, &[": Fail", "✗ memory > 80%", " %, and > 80% is bad"]);
    let numbers: Vec<f64> =
        looks(&shop, "memory").iter().map(|look| look["reading"]["number"].as_f64().unwrap()).collect();
    assert!(
        numbers.iter().all(|share| (0.85..1.0).contains(share)),
        "56 of 64 MiB and a little: {numbers:?}"
    );
    shop.windlass(&["cancel", "--yes"]);

    // Nothing runs there, so nothing is told of it.
    lab.on("lab2", "docker stop -t 0 used-web-1");
    runbook(&shop, &with("{ cpu: '> 80%' }"));
    shop.windlass(&["run", "watch", "--no-wait"])
        .expect(4, &["NoData", "cpu saw nothing: lab2: there is no running container of the service web"]);
    lab.on("lab2", "docker start used-web-1");
}
