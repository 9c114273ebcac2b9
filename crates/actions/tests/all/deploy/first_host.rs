//! The first host, which keeps the lock, is gone: before a way back, and in the middle of a deployment.

use windlass_actions::adapters::remote::{Host, RemoteError};
use windlass_actions::adapters::ssh::Target;
use windlass_actions::deploy::{Site, lock};

use super::*;

const HOSTS: [&str; 3] = ["web1", "web2", "web3"];

impl Shop {
    /// 1.0.0 and then 1.1.0 on three hosts, of which one may fail.
    async fn with_two_versions() -> (Self, Value) {
        let shop = Self::new();
        let params = deploy(&HOSTS, json!({ "max_failures": 1 }));
        for (run, version) in [("one", "1.0.0"), ("two", "1.1.0")] {
            shop.rolling(run, version, &params).await.unwrap();
        }
        (shop, params)
    }

    fn host(&self, name: &str) -> Host {
        let ssh = Some(Target { host: name.into(), user: None, config: None });
        Host { name: name.into(), folder: "/srv/shop".into(), ssh }
    }

    /// The version that each host's record has, and how far it is.
    fn states(&self) -> Vec<String> {
        let state = |host: &&str| {
            let record = self.record(host).unwrap();
            format!("{} {}", record["version"].as_str().unwrap(), record["state"].as_str().unwrap())
        };
        HOSTS.iter().map(state).collect()
    }

    fn fence(&self, host: &str) -> u64 {
        let path = self.setting.repo.outside().join(host).join("shop/.windlass/fence");
        std::fs::read_to_string(path).unwrap().lines().next().unwrap().parse().unwrap()
    }

    /// How often ssh was to connect to a host.
    fn asked_of(&self, host: &str) -> usize {
        let log = std::fs::read_to_string(self.setting.repo.outside().join("ssh.log")).unwrap();
        log.split('\u{1e}').filter(|line| line.trim_start().starts_with(&format!("{host} "))).count()
    }

    /// The parameters of a way back to 1.0.0.
    fn previous(params: &Value) -> Value {
        json!({ "environment": "production", "version": "1.0.0", "ready": "2s", "target": params["target"] })
    }
}

#[tokio::test]
async fn the_others_go_back_without_it() {
    let (shop, params) = Shop::with_two_versions().await;
    shop.say("web1.down", "");
    let choose = json!({ "environment": "production", "target": params["target"], "cause": "outage" });
    let chosen = action("rollback.choose").run(&choose, &shop.context("three")).await.unwrap();
    assert_eq!(chosen["way"], "application");
    let back = action("deploy.previous");
    let output = back.run(&Shop::previous(&params), &shop.context("three")).await.unwrap();
    assert_eq!(output["unreachable"], json!(["web1"]));
    let done = output["done"].as_str().unwrap();
    assert!(done.contains("web2: back to 1.0.0; web3: back to 1.0.0"), "{done}");
    assert!(done.contains("web1 stays as it is") && done.contains("refuses connections"), "{done}");
    assert_eq!(shop.states(), ["1.1.0 live", "1.0.0 live", "1.0.0 live"]);
    assert!(!shop.is_locked("web2") && shop.fence("web2") > shop.fence("web1"));
    // Twice is once, also for another process.
    let probed = back.probe(&Shop::previous(&params), &shop.context("three")).await.unwrap();
    assert!(matches!(probed, Probe::Done(_)), "{probed:?}");
    // Nothing new begins without it.
    let told = shop.rolling("four", "1.2.0", &params).await.unwrap_err().to_string();
    for part in ["web1 refuses connections", "keeps the lock", "nothing was touched"] {
        assert!(told.contains(part), "{told}");
    }
    // It comes back with a lower fence and the version that it had, and goes back too.
    shop.forget("web1.down");
    let output = back.run(&Shop::previous(&params), &shop.context("five")).await.unwrap();
    assert_eq!((&output["done"], &output["unreachable"]), (&json!("web1: back to 1.0.0"), &json!([])));
    assert_eq!(shop.states(), ["1.0.0 live"; 3]);
    let fences = HOSTS.map(|host| shop.fence(host));
    assert!(fences.iter().all(|fence| *fence == fences[0]), "{fences:?}");
}

#[tokio::test]
async fn a_deployment_is_taken_back_without_it() {
    let (shop, mut params) = Shop::with_two_versions().await;
    (params["version"], params["tag"]) = (json!("1.1.0"), json!("v1.1.0"));
    shop.say("web1.down", "");
    let rolling = action("deploy.rolling");
    let back = shop.undoing("two");
    let Probe::Done(output) = rolling.probe(&params, &back).await.unwrap() else { panic!("there is much") };
    let Undone::NeedsHuman(told) = rolling.undo(&params, &output, &back).await.unwrap() else { panic!() };
    assert!(told.contains("web1 refuses connections"), "{told}");
    assert!(told.contains("web2: back to 1.0.0; web3: back to 1.0.0"), "{told}");
    assert_eq!(shop.states(), ["1.1.0 live", "1.0.0 live", "1.0.0 live"]);
    shop.forget("web1.down");
    let undone = rolling.undo(&params, &output, &back).await.unwrap();
    assert_eq!(undone, Undone::Reverted("web1: back to 1.0.0".into()));
}

/// Every question to a host that does not answer costs seconds: only the first one is waited for.
#[tokio::test]
async fn a_silent_host_is_waited_for_once() {
    let (shop, params) = Shop::with_two_versions().await;
    shop.say("web1.silent", "");
    let asked = shop.asked_of("web1");
    let output =
        action("deploy.previous").run(&Shop::previous(&params), &shop.context("three")).await.unwrap();
    assert_eq!(output["unreachable"], json!(["web1"]));
    assert_eq!(shop.asked_of("web1") - asked, 1);
    // Another run asks for itself.
    let told = shop.rolling("four", "1.2.0", &params).await.unwrap_err().to_string();
    assert!(told.contains("web1") && shop.asked_of("web1") - asked == 2, "{told}");
}

/// Whoever reaches the first host and has its lock is refused on the others, from the moment the way back began.
#[tokio::test]
async fn whoever_has_its_lock_is_overtaken_on_the_others() {
    let (shop, params) = Shop::with_two_versions().await;
    let theirs = shop.context("theirs");
    let fence = shop.host("web1").lock(&theirs, "bob", 60, shop.fence("web1")).await.unwrap();
    for host in ["web2", "web3"] {
        shop.host(host).raise(&theirs, fence).await.unwrap();
    }
    // From here the first host cannot be reached, and from there it can.
    shop.say("web1.down", "");
    action("deploy.previous").run(&Shop::previous(&params), &shop.context("ours")).await.unwrap();
    shop.forget("web1.down");
    for host in ["web2", "web3"] {
        let refused = shop.host(host).raise(&theirs, fence).await;
        assert!(matches!(refused, Err(RemoteError::Fenced { .. })), "{host}: {refused:?}");
    }
    // Its host is its own until somebody takes the lock there; nobody does while it is held.
    shop.host("web1").raise(&theirs, fence).await.unwrap();
    let told = shop.rolling("next", "1.2.0", &params).await.unwrap_err().to_string();
    assert!(told.contains("locked by theirs (bob)"), "{told}");
}

/// Who has the environment is told of every host, and taken away on every host.
#[tokio::test]
async fn locks_are_told_and_broken_wherever_they_are() {
    let (shop, params) = Shop::with_two_versions().await;
    let environment = serde_json::from_value(params["target"].clone()).unwrap();
    let context = shop.context("look");
    let site = Site::new("production", &environment, &context);
    let told = async || {
        let held = lock::held(&site, &site.look(&context).await);
        held.into_iter().map(|held| (held.lock.run, held.host, held.refused_on)).collect::<Vec<_>>()
    };
    assert_eq!(told().await, []);
    // One had the first host's lock when the other went back without it.
    let below = shop.fence("web1");
    shop.host("web1").lock(&shop.context("overtaken"), "bob", 60, below).await.unwrap();
    let fence = shop.host("web2").lock(&shop.context("back"), "ann", 60, below + 1).await.unwrap();
    shop.host("web3").raise(&context, fence).await.unwrap();
    let back = ("back".to_owned(), "web2".to_owned(), vec![]);
    let others = vec!["web2".to_owned(), "web3".to_owned()];
    let overtaken = ("overtaken".to_owned(), "web1".to_owned(), others);
    assert_eq!(told().await, [back.clone(), overtaken]);
    shop.say("web1.down", "");
    assert_eq!(told().await, std::slice::from_ref(&back));
    let (held, higher, missed) = lock::take_away(&site, &context, "carl", "gone").await.unwrap();
    assert_eq!((held.len(), higher, missed.len()), (1, fence + 1, 1));
    assert!(missed[0].to_string().contains("web1 refuses connections"), "{missed:?}");
    assert_eq!(["web2", "web3"].map(|host| shop.fence(host)), [higher; 2]);
    assert!(!shop.is_locked("web2") && shop.is_locked("web1"));
    shop.forget("web1.down");
    let (_, highest, missed) = lock::take_away(&site, &context, "carl", "gone").await.unwrap();
    assert_eq!((HOSTS.map(|host| shop.fence(host)), missed), ([highest; 3], vec![]));
    assert_eq!(told().await, []);
    shop.rolling("next", "1.2.0", &params).await.unwrap();
}

/// Two ways back at once, one of which cannot reach the first host: the one that reaches it sees the other's lock.
#[tokio::test]
async fn a_lock_on_another_host_is_respected_by_those_who_see_it() {
    let (shop, params) = Shop::with_two_versions().await;
    let theirs = shop.context("theirs");
    let fence = shop.host("web2").lock(&theirs, "bob", 60, shop.fence("web2")).await.unwrap();
    let before = HOSTS.map(|host| shop.fence(host));
    for refused in [
        action("deploy.previous").run(&Shop::previous(&params), &shop.context("ours")).await.map(drop),
        shop.rolling("next", "1.2.0", &params).await.map(drop),
    ] {
        let told = refused.unwrap_err().to_string();
        assert!(told.contains("locked by theirs (bob)") && told.contains("windlass lock break"), "{told}");
    }
    assert_eq!(HOSTS.map(|host| shop.fence(host)), before, "whoever has the lock was not fenced off");
    assert!(!shop.is_locked("web1"));
    shop.host("web2").raise(&theirs, fence).await.unwrap();
}

/// Killed after it took the lock there and raised the fences, the way back goes on in the next process, wherever the
/// lock is then, and leaves none behind.
#[tokio::test]
async fn a_way_back_that_was_killed_goes_on() {
    for is_back in [false, true] {
        let (shop, params) = Shop::with_two_versions().await;
        shop.say("web1.down", "");
        let killed = shop.context("three");
        let fence = shop.host("web2").lock(&killed, "ann", 60, shop.fence("web2")).await.unwrap();
        shop.host("web3").raise(&killed, fence).await.unwrap();
        if is_back {
            shop.forget("web1.down");
        }
        let mut again = shop.context("three");
        again.epoch += 1;
        action("deploy.previous").run(&Shop::previous(&params), &again).await.unwrap();
        let first = if is_back { "1.0.0 live" } else { "1.1.0 live" };
        assert_eq!(shop.states(), [first, "1.0.0 live", "1.0.0 live"]);
        assert!(!HOSTS.iter().any(|host| shop.is_locked(host)), "{is_back}");
        assert!(shop.fence("web2") > fence);
    }
}

/// Whoever reaches other hosts may be given the same number there at the same time: then another one is taken.
#[tokio::test]
async fn a_number_that_somebody_else_was_given_is_not_begun_under() {
    let (shop, params) = Shop::with_two_versions().await;
    let next = shop.fence("web2") + 1;
    shop.say("web3.fence", &format!("{next}\ntheirs 1\n"));
    action("deploy.previous").run(&Shop::previous(&params), &shop.context("ours")).await.unwrap();
    assert_eq!(shop.states(), ["1.0.0 live"; 3]);
    assert_eq!(HOSTS.map(|host| shop.fence(host)), [next + 1; 3]);
    assert!(!shop.is_locked("web1"));
}

#[tokio::test]
async fn it_dies_in_a_later_batch() {
    for (max_failures, expect) in [
        (1, ["1.1.0 updated", "1.1.0 live", "1.1.0 live"]),
        (0, ["1.1.0 updated", "1.0.0 live", "1.0.0 live"]),
    ] {
        for name in ["deploy.compose", "deploy.rolling"] {
            let shop = Shop::new();
            let more = json!({ "max_failures": max_failures, "batches": ["1"] });
            let mut params = deploy(&HOSTS, more);
            for (run, version) in [("one", "1.0.0"), ("two", "1.1.0")] {
                (params["version"], params["tag"]) = (json!(version), json!(format!("v{version}")));
                if run == "two" {
                    shop.say("dies", "1.1.0 web2 web1");
                }
                let ended = action(name).run(&params, &shop.context(run)).await;
                match (run, max_failures, ended) {
                    ("one", _, Ok(_)) => {}
                    ("two", 1, Ok(output)) => {
                        assert_eq!(output["hosts"], json!(["web2", "web3"]), "{name}");
                        assert_eq!(output["failed"], json!(["web1"]), "{name}");
                    }
                    ("two", 0, Err(error)) => {
                        let told = error.to_string();
                        for part in [
                            "the deployment was given up",
                            "web2: back to 1.0.0",
                            "web1 could not be put back",
                        ] {
                            assert!(told.contains(part), "{name}: {told}");
                        }
                    }
                    (_, _, ended) => panic!("{name} {max_failures} {run}: {ended:?}"),
                }
            }
            if max_failures == 0 {
                // The third host never had its turn.
                assert_eq!(shop.record("web3").unwrap()["run"], "one");
            }
            assert_eq!(shop.states(), expect, "{name}");
        }
    }
}
