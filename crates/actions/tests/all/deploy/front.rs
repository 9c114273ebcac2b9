//! Deployments behind a real HAProxy on a host of its own: what it is told when the first host is gone, and what it tells.

use windlass_actions::deploy::{Site, Traffic, traffic};
use windlass_core::config::Environment;

use super::*;

struct Front {
    shop: Shop,
    proxy: Running,
    params: Value,
    _servers: [Versioned; 2],
}

impl Front {
    /// The hosts are called as the servers of the test's HAProxy are, and blue is the first.
    fn new(max_failures: u32) -> Self {
        let shop = Shop::new();
        let file = shop.setting.repo.outside().join("serves");
        std::fs::write(&file, "1.0.0").unwrap();
        let servers = [(); 2].map(|()| Versioned::start(&file).unwrap());
        let proxy = Running::start(Kind::Haproxy, servers[0].port, servers[1].port).unwrap();
        let (test, _) = proxy.commands();
        let table = json!({
            "kind": "haproxy", "backend": "shop", "socket": proxy.socket(), "config": proxy.config(), "test": test,
            "drain": "1s", "hosts": ["front"],
        });
        let more = json!({ "proxy": table, "max_failures": max_failures, "batches": ["1"] });
        let params = deploy(&["blue", "green"], more);
        Self { shop, proxy, params, _servers: servers }
    }

    /// The parameters of an action on the environment.
    fn on(&self, more: Value) -> Value {
        let mut params = json!({ "environment": "production", "target": self.params["target"] });
        params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        params
    }

    fn say(&self, words: &str) {
        let mut socket = UnixStream::connect(self.proxy.socket()).unwrap();
        socket.write_all(format!("{words}\n").as_bytes()).unwrap();
        std::io::copy(&mut socket, &mut std::io::sink()).unwrap();
    }

    async fn told(&self) -> Traffic {
        let environment: Environment = serde_json::from_value(self.params["target"].clone()).unwrap();
        let context = self.shop.context("look");
        let site = Site::new("production", &environment, &context);
        traffic(&site, &context, |index| {
            !self.shop.setting.repo.outside().join(format!("{}.down", site.hosts[index].name)).exists()
        })
        .await
        .unwrap()
    }
}

#[tokio::test]
async fn every_server_has_traffic_again_when_the_first_host_dies_in_a_later_batch() {
    for max_failures in [0, 1] {
        let front = Front::new(max_failures);
        front.shop.rolling("one", "1.0.0", &front.params).await.unwrap();
        let good = front.shop.runs("green");
        front.shop.say("dies", "1.1.0 green blue");
        let ended = front.shop.rolling("two", "1.1.0", &front.params).await;
        assert_eq!(front.told().await, Traffic::default(), "{max_failures}: {ended:?}");
        match ended {
            Err(error) => {
                let told = error.to_string();
                assert!(told.contains("green: back to 1.0.0") && max_failures == 0, "{told}");
                assert_eq!(front.shop.runs("green"), good);
            }
            Ok(output) => {
                assert_eq!((&output["hosts"], &output["failed"]), (&json!(["green"]), &json!(["blue"])));
                assert_eq!(max_failures, 1);
            }
        }
        assert!(ask(front.proxy.front, "/health").is_ok());
    }
}

#[tokio::test]
async fn a_host_without_traffic_and_held_traffic_are_told() {
    let front = Front::new(1);
    front.shop.rolling("one", "1.0.0", &front.params).await.unwrap();
    assert_eq!(front.told().await, Traffic::default());
    for (state, expect) in [("drain", "drained"), ("maint", "in maintenance")] {
        front.say(&format!("set server shop/green state {state}"));
        let out = vec![(1, format!("{expect} in haproxy on front"))];
        assert_eq!(front.told().await, Traffic { out, ..Traffic::default() });
    }
    front.say("set server shop/green state ready");
    // Traffic is held and let in again without the first host.
    front.shop.say("blue.down", "");
    let context = front.shop.context("two");
    let begin = jiff::Timestamp::now();
    let held = action("traffic.hold").run(&front.on(json!({})), &context).await.unwrap();
    assert_eq!(held["unreachable"], json!(["blue"]));
    let told = front.told().await;
    let [(proxy, Some(since))] = told.held.as_slice() else { panic!("{told:?}") };
    assert!(proxy == "haproxy on front" && (begin..=jiff::Timestamp::now()).contains(since), "{told:?}");
    assert_eq!(told.out, []);
    assert!(!ask(front.proxy.front, "/health").unwrap_or_default().contains("1.0.0"));
    // What an earlier Windlass held is told too, without a moment.
    let memory = std::fs::read_dir(front.shop.setting.repo.outside().join("front/shop/.windlass")).unwrap();
    let memory =
        memory.flatten().find(|entry| entry.file_name().to_string_lossy().starts_with("held-")).unwrap();
    let text: Value = serde_json::from_slice(&std::fs::read(memory.path()).unwrap()).unwrap();
    std::fs::write(memory.path(), text["servers"].to_string()).unwrap();
    assert_eq!(front.told().await.held, [("haproxy on front".to_owned(), None)]);
    let probed = action("traffic.hold").probe(&front.on(json!({})), &context).await.unwrap();
    assert!(matches!(probed, Probe::Done(_)), "{probed:?}");
    action("traffic.release").run(&front.on(json!({})), &context).await.unwrap();
    assert_eq!(front.told().await, Traffic::default());
    assert!(ask(front.proxy.front, "/health").is_ok());
    assert!(!front.shop.is_locked("green"));
}

/// The proxy has seen more than the hosts that are left: a way back is not refused there.
#[tokio::test]
async fn a_way_back_acts_above_what_the_proxy_has_seen() {
    let front = Front::new(1);
    for (run, version) in [("one", "1.0.0"), ("two", "1.1.0")] {
        front.shop.rolling(run, version, &front.params).await.unwrap();
    }
    // A deployment while green was away: the first host and the proxy have seen a higher fence.
    front.shop.say("green.down", "");
    front.shop.rolling("three", "1.2.0", &front.params).await.unwrap();
    front.shop.forget("green.down");
    front.shop.say("blue.down", "");
    let params = front.on(json!({ "version": "1.0.0", "ready": "2s" }));
    let output = action("deploy.previous").run(&params, &front.shop.context("four")).await.unwrap();
    assert!(
        output["done"].as_str().unwrap().starts_with("green: back to 1.0.0; blue stays as it is"),
        "{output}"
    );
    assert_eq!(front.told().await, Traffic::default());
}
