//! What hosts tell a watch of a service's logs, restarts, CPU and memory, with stand-ins for ssh and docker. The lab has the real ones.

use std::os::unix::fs::PermissionsExt as _;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use windlass_core::verdict::{Answer, Reading};
use windlass_testkit::repo::RepoBuilder;

use crate::standin::with_standins;
use crate::world::Setting;

/// Tells what the test wrote into files, and keeps how it was asked.
const DOCKER: &str = r#"#!/bin/sh
printf '%s\n' "$@" >>"$STANDIN/$HOST.asked"
case "$1 $3" in
    "ps "*) cat "$STANDIN/$HOST.ids" ;;
    "info "*) echo 4 ;;
    "stats "*) cat "$STANDIN/$HOST.used" ;;
    "inspect container {{.Id}}"*) cat "$STANDIN/$HOST.limits" ;;
    "inspect container"*) cat "$STANDIN/$HOST.made" ;;
    "inspect "*) cat "$STANDIN/$HOST.restarts" ;;
    "logs "*) [ ! -e "$STANDIN/$HOST.slow" ] || exec sleep 60; cat "$STANDIN/$HOST.log" ;;
esac
"#;

struct Hosts {
    setting: Setting,
    now: Timestamp,
}

impl Hosts {
    fn new(names: &[&str]) -> Self {
        let setting = with_standins(Setting::new(RepoBuilder::new()));
        let docker = setting.repo.outside().join("tools/docker");
        std::fs::write(&docker, DOCKER).unwrap();
        std::fs::set_permissions(&docker, std::fs::Permissions::from_mode(0o755)).unwrap();
        // Moments are whole milliseconds.
        let now = Timestamp::from_millisecond(Timestamp::now().as_millisecond()).unwrap();
        let hosts = Self { setting, now };
        for name in names {
            hosts.deploy(name, "shop-green");
            hosts.say(&format!("{name}.ids"), "one\n");
            hosts.say(&format!("{name}.made"), &format!("container {}\n", hosts.at(-600)));
        }
        hosts
    }

    fn at(&self, seconds: i64) -> Timestamp {
        self.now + SignedDuration::from_secs(seconds)
    }

    fn say(&self, file: &str, text: &str) {
        std::fs::write(self.setting.repo.outside().join(file), text).unwrap();
    }

    fn deploy(&self, host: &str, project: &str) {
        let record = json!({
            "schema": 1, "environment": "production", "run": "r", "step": "s", "fence": 1, "version": "1.0.0",
            "tag": "v1.0.0", "release": "x", "files": [], "project": project, "images": {}, "colour": "green",
            "state": "live", "at": "2026-01-01T00:00:00Z", "previous": null,
        });
        std::fs::create_dir_all(self.setting.repo.outside().join(host).join("shop/.windlass")).unwrap();
        self.say(&format!("{host}/shop/.windlass/record.json"), &format!("{record}\n"));
    }

    fn params(&self, hosts: &[&str], more: Value) -> Value {
        let mut params = json!({
            "environment": "production", "target": { "hosts": hosts, "folder": "/srv/shop" }, "step": "10s",
        });
        for (key, value) in more.as_object().unwrap() {
            params[key] = value.clone();
        }
        params
    }

    async fn ask(&self, params: &Value) -> Answer {
        serde_json::from_value(self.setting.run("metrics.query", params).await.unwrap()).unwrap()
    }
}

fn number(number: f64) -> Result<Reading, String> {
    Ok(Reading::Number(number))
}

fn readings(answer: &Answer) -> Vec<Result<Reading, String>> {
    let read = |point: &windlass_core::verdict::Point| {
        point.reading.clone().ok_or_else(|| point.why.clone().unwrap_or_default())
    };
    answer.points.iter().map(read).collect()
}

#[tokio::test]
async fn log_lines_are_counted_by_interval_on_all_hosts() {
    let hosts = Hosts::new(&["web1", "web2"]);
    let both = ["web1", "web2"];
    // Lines count a second after they were written.
    let line = |seconds: i64, text: &str| format!("{} {text}\n", hosts.at(seconds));
    hosts.say(
        "web1.log",
        &[line(-25, "ERROR a"), line(-15, "ERROR b"), line(-14, "fine"), line(-3, "x")].concat(),
    );
    hosts.say(
        "web2.log",
        &[line(-12, "ERROR c"), line(-95, "ERROR long ago"), line(5, "ERROR later")].concat(),
    );
    let ask = |more: Value| {
        let mut all = json!({ "logs": "web", "pattern": "^ERROR", "from": hosts.at(-20), "to": hosts.at(0) });
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        hosts.params(&both, all)
    };
    let answer = hosts.ask(&ask(json!({}))).await;
    assert_eq!(readings(&answer), [number(1.0), number(2.0), number(0.0)]);
    assert_eq!(answer.points[1].at, hosts.at(-10));
    let share = hosts.ask(&ask(json!({ "share": true, "from": hosts.at(-10) }))).await;
    assert_eq!(readings(&share)[0], Ok(Reading::Rate { bad: 2.0, total: 3.0 }));
    let asked = std::fs::read_to_string(hosts.setting.repo.outside().join("web1.asked")).unwrap();
    assert!(asked.contains("label=com.docker.compose.project=shop-green\n"), "{asked}");
    assert!(asked.contains("label=com.docker.compose.service=web\n"), "{asked}");
    assert!(asked.contains("--since\n"), "{asked}");

    // What was before its containers is not remembered, and not good.
    hosts.say("web2.made", &format!("container {}\n", hosts.at(-15)));
    let answer = readings(&hosts.ask(&ask(json!({}))).await);
    assert!(answer[0].as_ref().unwrap_err().contains("web2 had none of its containers of web"), "{answer:?}");
    assert_eq!(answer[1..], [number(2.0), number(0.0)]);

    // A host that does not tell everything makes it nothing, and is named.
    let check = async |file: &str, text: &str, more: Value, expect: &str| {
        hosts.say(file, text);
        for reading in readings(&hosts.ask(&ask(more)).await) {
            let why = reading.unwrap_err();
            assert!(why.contains(expect) && !why.contains("web1"), "{why}, not {expect}");
        }
        std::fs::remove_file(hosts.setting.repo.outside().join(file)).unwrap();
    };
    check("web2.slow", "", json!({ "patience": "500ms" }), "web2 did not answer within 500ms").await;
    check("web2.down", "", json!({}), "web2 refuses connections").await;
    check("web2.ids", "", json!({}), "web2: there is no container of the service web").await;
    check("web2/shop/.windlass/record.json", "", json!({}), "web2: nothing was deployed there").await;
}

#[tokio::test]
async fn restarts_are_counted_since_the_first_question() {
    let hosts = Hosts::new(&["web1", "web2"]);
    let say = |host: &str, container: &str, made: i64, started: i64, restarts: u32| {
        let line = format!("{container} {} {} {restarts}\n", hosts.at(made), hosts.at(started));
        hosts.say(&format!("{host}.restarts"), &line);
    };
    let ask = async |seconds: i64, memory: Option<Value>| {
        let mut params = hosts.params(&["web1", "web2"], json!({ "restarts": "*", "to": hosts.at(seconds) }));
        params["remembered"] = memory.unwrap_or(Value::Null);
        let answer = hosts.ask(&params).await;
        (readings(&answer)[0].clone(), answer.memory)
    };
    say("web1", "a", -9000, -9000, 5);
    say("web2", "b", -60, -60, 0);
    let (reading, memory) = ask(0, None).await;
    assert_eq!(reading, number(0.0));
    say("web1", "a", -9000, 4, 6);
    say("web2", "c", 5, 7, 2);
    let (reading, memory) = ask(10, memory).await;
    assert_eq!(reading, number(3.0));
    hosts.say("web1.down", "");
    say("web2", "c", 5, 9, 3);
    let (reading, memory) = ask(20, memory).await;
    assert!(reading.unwrap_err().contains("web1 refuses connections"));
    std::fs::remove_file(hosts.setting.repo.outside().join("web1.down")).unwrap();
    assert_eq!(ask(30, memory).await.0, number(4.0), "nothing is forgotten, and nothing counted twice");
    let asked = std::fs::read_to_string(hosts.setting.repo.outside().join("web1.asked")).unwrap();
    assert!(!asked.contains("compose.service"), "{asked}");
}

#[tokio::test]
async fn what_containers_use_is_the_share_of_what_they_may() {
    let hosts = Hosts::new(&["web1", "web2"]);
    // Half a CPU for one, two of four for the other; docker knows the limits of the memory.
    hosts.say("web1.limits", "container one running 500000000 0 0 \ncontainer two exited 0 0 0 \n");
    hosts.say("web1.used", "used one 45.00% 60.00% 60MiB / 100MiB\n");
    hosts.say("web2.limits", "container one running 0 0 0 0-1\ncontainer two running 0 0 0 0-1\n");
    hosts.say("web2.used", "used one 20.00% 82.50% 1GiB / 2GiB\nused two 0.10% 1.00% 1MiB / 2GiB\n");
    let ask = async |more: Value| {
        let mut params = hosts.params(&["web1", "web2"], more);
        params["to"] = json!(hosts.at(0));
        let answer = hosts.ask(&params).await;
        assert_eq!(answer.points.iter().map(|point| point.at).collect::<Vec<_>>(), [hosts.at(0)]);
        readings(&answer)[0].clone()
    };
    // The highest among all containers: an average would hide it.
    assert_eq!(ask(json!({ "cpu": "web" })).await, number(0.9));
    assert_eq!(ask(json!({ "memory": "*" })).await, number(0.825));
    let asked = std::fs::read_to_string(hosts.setting.repo.outside().join("web1.asked")).unwrap();
    assert!(asked.contains("{{.MemUsage}}\none\n"), "only what runs is measured: {asked}");

    // What docker does not tell, of any container of any host, is nothing, and the host is named.
    let check = async |file: &str, text: &str, expect: &str| {
        let file = hosts.setting.repo.outside().join(file);
        let before = std::fs::read_to_string(&file).unwrap_or_default();
        std::fs::write(&file, text).unwrap();
        for more in [json!({ "cpu": "web" }), json!({ "memory": "web" })] {
            let why = ask(more).await.unwrap_err();
            assert!(why.contains(expect) && !why.contains("web1"), "{why}, not {expect}");
        }
        if before.is_empty() {
            std::fs::remove_file(&file).unwrap()
        } else {
            std::fs::write(&file, before).unwrap()
        }
    };
    check("web2.used", "used one -- -- -- / --\n", "web2: docker told of its containers what is not").await;
    check("web2.used", "used one 0.00% 0.00% 0B / 0B\n", "web2: there is no running container of the").await;
    check("web2.limits", "container one exited 0 0 0 \n", "web2: there is no running container").await;
    check("web2.ids", "", "web2: there is no running container of the service web").await;
    check("web2.down", "", "web2 refuses connections").await;
    check("web2/shop/.windlass/record.json", "", "web2: nothing was deployed there").await;
}

#[tokio::test]
async fn hostile_names_stay_names() {
    let hosts = Hosts::new(&["web1"]);
    hosts.deploy("web1", "$(touch $STANDIN/broken) '; touch $STANDIN/broken #");
    hosts.say("web1.log", &format!("{} \u{1b}]0;x`touch broken` ERROR\nend\n", hosts.at(-5)));
    let params = hosts.params(&["web1"], json!({ "logs": "*", "pattern": "ERROR$", "to": hosts.at(0) }));
    assert_eq!(readings(&hosts.ask(&params).await), [number(1.0)]);
    assert!(!hosts.setting.repo.outside().join("broken").exists());
    let asked = std::fs::read_to_string(hosts.setting.repo.outside().join("web1.asked")).unwrap();
    assert!(asked.contains("project=$(touch $STANDIN/broken) '; touch"), "{asked}");
    for (more, expect) in [
        (json!({ "logs": "a b", "pattern": "x" }), "names no service"),
        (json!({ "restarts": "-x" }), "names no service"),
        (json!({ "cpu": "$(id)" }), "names no service"),
        (json!({ "memory": "web", "environment": null }), "name their `environment`"),
        (json!({ "restarts": "web", "environment": "nowhere" }), "there is no environment `nowhere`"),
        (json!({ "restarts": "web", "environment": null }), "name their `environment`"),
        (json!({ "restarts": "web", "target": {} }), "has no `hosts`"),
    ] {
        let error = hosts.setting.effects("metrics.query", &hosts.params(&["web1"], more)).unwrap_err();
        assert!(error.to_string().contains(expect), "{error}");
    }
}
