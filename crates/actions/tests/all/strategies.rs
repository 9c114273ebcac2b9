//! Deployments by colours and host by host behind the real HAProxy, nginx and Caddy, there and back, while customers ask.

use serde_json::{Value, json};
use windlass_core::run::RunId;
use windlass_engine::action::Undone;
use windlass_engine::context::Context;
use windlass_testkit::proxies::{Kind, Running, ask};
use windlass_testkit::repo::RepoBuilder;
use windlass_testkit::versions::{Customers, Versioned};

use crate::colours::Place;
use crate::standin::with_standins;
use crate::world::{Setting, action};

const CUSTOMERS: usize = 4;

/// HAProxy keeps customers' connections through a switch.
fn customers(kind: Kind, front: u16) -> Customers {
    let front = ([127, 0, 0, 1], front).into();
    match kind {
        Kind::Haproxy => Customers::begin(front, CUSTOMERS),
        Kind::Nginx | Kind::Caddy => Customers::begin_anew(front, CUSTOMERS),
    }
}

/// No request failed, and customers saw these versions only.
///
/// Caddy listens anew with each change of its configuration, and the kernel resets what waits to be accepted by the socket
/// before, one connection of each customer at the most, unless it is told to hand it on.
fn judge(kind: Kind, customers: Customers, changes: usize, versions: &[&str]) {
    let mut tally = customers.end();
    let migrates = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_migrate_req");
    if kind == Kind::Caddy && migrates.is_ok_and(|told| told.trim() == "0") {
        let all = tally.bad.len();
        tally.bad.retain(|bad| !bad.contains("Connection reset by peer"));
        let reset = all - tally.bad.len();
        assert!(reset <= CUSTOMERS * changes, "{reset} connections were reset by {changes} changes");
    }
    assert_eq!(tally.bad, Vec::<String>::new(), "{kind:?}: of {} requests", tally.good);
    assert!(tally.good > 100, "{kind:?}: only {} requests", tally.good);
    assert_eq!(tally.versions.keys().collect::<Vec<_>>(), versions, "{kind:?}");
}

/// There, not there because it is broken, there again, and back.
async fn colours(kind: Kind) {
    let place = Place::behind(kind);
    place.by_hand("blue", "0.9.0");
    let customers = customers(kind, place.shop.proxy.front);
    let one = place.deploy("one", "1.0.0", json!({})).await.unwrap();
    assert_eq!(one["colour"], "green");
    assert!(place.shop.answers().contains("1.0.0"));
    let told = place.deploy("two", "1.1.0-broken", json!({})).await.unwrap_err().to_string();
    assert!(told.contains("given up: 1.0.0 stays in green"), "{told}");
    assert!(place.shop.answers().contains("1.0.0"));
    let three = place.deploy("three", "1.2.0", json!({})).await.unwrap();
    assert_eq!((&three["colour"], &three["previous"]), (&json!("blue"), &json!("1.0.0")));
    assert!(place.shop.answers().contains("1.2.0"));
    let undone = place.undo("three", "1.2.0", &three).await;
    assert_eq!(undone, Undone::Reverted("this machine: the traffic back to green, 1.0.0".into()));
    assert!(place.shop.answers().contains("1.0.0"));
    // Three switches.
    judge(kind, customers, 3, &["0.9.0", "1.0.0", "1.2.0"]);
}

#[tokio::test]
async fn colours_change_behind_nginx() {
    colours(Kind::Nginx).await;
}

#[tokio::test]
async fn colours_change_behind_caddy() {
    colours(Kind::Caddy).await;
}

/// Two hosts, at addresses of their own on this machine, behind one proxy.
struct Hosts {
    proxy: Running,
    setting: Setting,
    port: u16,
}

impl Hosts {
    fn new(kind: Kind) -> Self {
        let setting = with_standins(Setting::new(RepoBuilder::new()));
        setting.repo.file("README.md", "x").commit("feat: begin");
        let place = setting.repo.outside().to_owned();
        for (host, address) in [("web1", "127.0.0.1"), ("web2", "127.0.0.2")] {
            std::fs::write(place.join(format!("{host}.address")), address).unwrap();
            std::fs::write(place.join(format!("{host}.version")), "0.9.0").unwrap();
        }
        let port = Versioned::start(&place.join("web1.version")).unwrap().port;
        Versioned::at(([127, 0, 0, 2], port).into(), &place.join("web2.version")).unwrap();
        let unused = windlass_testkit::ports::free().unwrap();
        let mut proxy = Running::start(kind, port, unused).unwrap();
        proxy.down();
        let text = std::fs::read_to_string(proxy.config()).unwrap();
        let text = match kind {
            Kind::Haproxy => text
                .replace(
                    &format!("server green 127.0.0.1:{unused}"),
                    &format!("server web2 127.0.0.2:{port}"),
                )
                .replace("server blue ", "server web1 ")
                .replace(" disabled", ""),
            Kind::Nginx => text.replace(&format!("127.0.0.1:{unused} down"), &format!("127.0.0.2:{port}")),
            Kind::Caddy => {
                let first = format!("{{\"dial\":\"127.0.0.1:{port}\"}}");
                text.replace(&first, &format!("{first},{{\"dial\":\"127.0.0.2:{port}\"}}"))
            }
        };
        assert!(text.contains(&format!("127.0.0.2:{port}")), "{text}");
        std::fs::write(proxy.config(), text).unwrap();
        proxy.up().unwrap();
        Self { proxy, setting, port }
    }

    fn params(&self, version: &str) -> Value {
        let (test, reload) = self.proxy.commands();
        let mut proxy = json!({
            "kind": self.proxy.kind.name(), "backend": "shop", "config": self.proxy.config(), "hosts": ["lb1"],
            "address": format!("{{host}}:{}", self.port), "test": test, "reload": reload, "drain": "2s",
        });
        if self.proxy.kind != Kind::Nginx {
            proxy["socket"] = self.proxy.socket().into();
        }
        let version_of = self.setting.repo.outside().display().to_string() + "/$WINDLASS_HOST.version";
        json!({
            "environment": "production", "version": version, "tag": format!("v{version}"), "ready": "2s",
            "run": format!("echo \"$WINDLASS_VERSION\" >\"{version_of}.new\"; mv \"{version_of}.new\" \"{version_of}\""),
            "target": {
                "hosts": ["web1", "web2"], "folder": "/srv/shop", "min_healthy": "1ms", "proxy": proxy,
                "health": format!("http://127.0.0.1:{}/health", self.proxy.front),
            },
        })
    }

    fn context(&self, run: &str) -> Context {
        let mut context = self.setting.context();
        context.run = RunId(run.into());
        context
    }

    /// Every customer gets this version.
    fn expect(&self, version: &str) {
        for _ in 0..20 {
            let answer = ask(self.proxy.front, "/health").unwrap();
            assert!(answer.contains(version), "{answer}");
        }
    }
}

/// There, not there because it is broken, there again, and back.
async fn host_by_host(kind: Kind) {
    let shop = Hosts::new(kind);
    let customers = customers(kind, shop.proxy.front);
    let rolling = action("deploy.rolling");
    rolling.run(&shop.params("1.0.0"), &shop.context("one")).await.unwrap();
    shop.expect("1.0.0");
    let broken = shop.params("1.1.0-broken");
    let told = rolling.run(&broken, &shop.context("two")).await.unwrap_err().to_string();
    assert!(told.contains("given up: web1: back to 1.0.0"), "{told}");
    shop.expect("1.0.0");
    let three = rolling.run(&shop.params("1.2.0"), &shop.context("three")).await.unwrap();
    assert_eq!((&three["previous"], &three["hosts"]), (&json!("1.0.0"), &json!(["web1", "web2"])));
    shop.expect("1.2.0");
    let undone = rolling.undo(&shop.params("1.2.0"), &three, &shop.context("three")).await.unwrap();
    assert_eq!(undone, Undone::Reverted("web1: back to 1.0.0; web2: back to 1.0.0".into()));
    shop.expect("1.0.0");
    // Two hosts out and in again, three times, and one of them where it was broken.
    judge(kind, customers, 14, &["0.9.0", "1.0.0", "1.2.0"]);
}

#[tokio::test]
async fn hosts_change_one_by_one_behind_nginx() {
    host_by_host(Kind::Nginx).await;
}

#[tokio::test]
async fn hosts_change_one_by_one_behind_caddy() {
    host_by_host(Kind::Caddy).await;
}

#[tokio::test]
async fn hosts_change_one_by_one_behind_haproxy() {
    host_by_host(Kind::Haproxy).await;
}
