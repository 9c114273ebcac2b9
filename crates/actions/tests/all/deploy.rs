//! Deployments on stand-ins for ssh and docker: order, failures, reverts, fences. The lab has the real ones.

use std::io::Write as _;
use std::os::unix::net::UnixStream;

use serde_json::{Value, json};
use windlass_core::plan::StepPath;
use windlass_core::run::RunId;
use windlass_engine::action::{ActionError, Probe, Undone};
use windlass_engine::context::Context;
use windlass_testkit::proxies::{Kind, Running, ask};
use windlass_testkit::repo::RepoBuilder;
use windlass_testkit::versions::{Customers, Versioned};

use crate::standin::{COMPOSE, deploy, with_standins};
use crate::world::{Setting, action};

struct Shop {
    setting: Setting,
}

impl Shop {
    fn new() -> Self {
        let repo = RepoBuilder::new();
        repo.file("compose.yml", COMPOSE).commit("feat: begin");
        Self { setting: with_standins(Setting::new(repo)) }
    }

    fn context(&self, run: &str) -> Context {
        let mut context = self.setting.context();
        context.run = RunId(run.into());
        context
    }

    async fn rolling(&self, run: &str, version: &str, params: &Value) -> Result<Value, ActionError> {
        let mut params = params.clone();
        (params["version"], params["tag"]) = (json!(version), json!(format!("v{version}")));
        action("deploy.rolling").run(&params, &self.context(run)).await
    }

    async fn release(&self, run: &str, version: &str, params: &Value) -> Result<Value, ActionError> {
        let mut params = params.clone();
        (params["version"], params["tag"]) = (json!(version), json!(format!("v{version}")));
        action("deploy.compose").run(&params, &self.context(run)).await
    }

    /// Which version each host runs.
    fn runs(&self, host: &str) -> Option<String> {
        let text = std::fs::read(self.setting.repo.path().join(format!("running/{host}.json"))).ok()?;
        let running: Value = serde_json::from_slice(&text).unwrap();
        Some(running["web"]["image"].as_str().unwrap().to_owned())
    }

    fn record(&self, host: &str) -> Option<Value> {
        let path = self.setting.repo.outside().join(host).join("shop/.windlass/record.json");
        Some(serde_json::from_slice(&std::fs::read(path).ok()?).unwrap())
    }

    /// The same item when it is taken back.
    fn undoing(&self, run: &str) -> Context {
        let mut context = self.context(run);
        context.path = StepPath::new(format!("undo/{}", context.path.0));
        context
    }

    /// As if the process had been killed there.
    fn set_state(&self, host: &str, state: &str) {
        let mut record = self.record(host).unwrap();
        record["state"] = json!(state);
        self.say(&format!("{host}/shop/.windlass/record.json"), &format!("{record}\n"));
    }

    /// As if a process of this run had been killed with the lock, after the last record was written.
    fn leave_lock(&self, host: &str, run: &str) {
        let fence = self.record(host).unwrap()["fence"].clone();
        let lock = format!("{run}\n1\n{fence}\n99999999999\n1\nprocess 1 on ci\n");
        self.say(&format!("{host}/shop/.windlass/lock"), &lock);
    }

    fn is_locked(&self, host: &str) -> bool {
        self.setting.repo.outside().join(host).join("shop/.windlass/lock").exists()
    }

    /// All that a host keeps: each file, when it was written, and what is in it.
    fn kept(&self, host: &str) -> Vec<(String, std::time::SystemTime, Vec<u8>)> {
        let folder = self.setting.repo.outside().join(host).join("shop/.windlass");
        let mut found: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .flatten()
            // Those that only locks are taken on are opened for writing.
            .filter(|entry| entry.path().is_file() && entry.metadata().unwrap().len() > 0)
            .map(|entry| {
                let name = entry.file_name().into_string().unwrap();
                (name, entry.metadata().unwrap().modified().unwrap(), std::fs::read(entry.path()).unwrap())
            })
            .collect();
        found.sort();
        found
    }

    /// Which operations were sent to which hosts, in their order.
    fn asked(&self) -> Vec<(String, String)> {
        let log = std::fs::read_to_string(self.setting.repo.outside().join("ssh.log")).unwrap();
        // The last line of the program, and what it is called with.
        let calls = log.split("\u{1e}").filter_map(|call| {
            let host = call.trim_start().split(' ').next()?;
            let what = call.rsplit_once(" windlass ")?.1.split(' ').next()?;
            Some((host.to_owned(), what.to_owned()))
        });
        calls.collect()
    }

    fn say(&self, file: &str, text: &str) {
        std::fs::write(self.setting.repo.outside().join(file), text).unwrap();
    }

    fn forget(&self, file: &str) {
        std::fs::remove_file(self.setting.repo.outside().join(file)).unwrap();
    }
}

#[tokio::test]
async fn what_is_there_is_held_against_what_was_deployed() {
    let shop = Shop::new();
    let params = deploy(&["web1", "web2"], json!({}));
    shop.release("one", "1.0.0", &params).await.unwrap();
    let server = crate::server::Server::start().await;
    let verify = |version: &str, more: Value| {
        let mut target = params["target"].clone();
        for (key, value) in more.as_object().unwrap() {
            target[key] = value.clone();
        }
        json!({ "environment": "production", "target": target, "version": version })
    };
    let refused = async |params: Value, expect: &[&str]| {
        let told =
            action("deploy.verify").run(&params, &shop.context("verify")).await.unwrap_err().to_string();
        assert!(expect.iter().all(|part| told.contains(part)), "{told}");
    };
    let before = (shop.record("web1"), shop.runs("web1"));
    let healthy = json!({ "health": server.url("/text") });
    let output =
        action("deploy.verify").run(&verify("1.0.0", healthy), &shop.context("verify")).await.unwrap();
    assert_eq!(output["hosts"], json!(["web1", "web2"]));
    assert_eq!(output["addresses"], json!([server.url("/text")]));

    refused(verify("1.1.0", json!({})), &["is not 1.1.0 as deployed: web1 has 1.0.0; web2 has 1.0.0"]).await;
    // Health that tells another version, or none where it must; through the front door and at each host.
    let other = json!({ "health": server.url("/ok"), "version": "$.status" });
    refused(verify("1.0.0", other), &["answered with the version \"healthy\", not 1.0.0"]).await;
    let silent =
        json!({ "health": server.url("/ok").replace("127.0.0.1", "{host}"), "version": "$.version" });
    refused(verify("1.0.0", silent), &["answered without its version; ", "/ok answered without"]).await;
    // Somebody stopped it, and a host is away: both are told.
    let running = shop.setting.repo.path().join("running/web2.json");
    let text = std::fs::read_to_string(&running).unwrap();
    std::fs::write(&running, text.replace("running", "exited").replace("\"exit\": 0", "\"exit\": 137"))
        .unwrap();
    shop.say("web1.down", "");
    refused(verify("1.0.0", json!({})), &["web1 refuses connections", "web2: web is exited (exit code 137)"])
        .await;
    shop.forget("web1.down");
    assert_eq!((shop.record("web1"), shop.runs("web1")), before, "it only looks");
    let alone = json!({ "hosts": [], "health": server.url("/ok") });
    refused(verify("1.0.0", alone), &["/ok answered without its version"]).await;
    let nothing = json!({ "environment": "production", "target": {}, "version": "1.0.0" });
    let error = shop.setting.effects("deploy.verify", &nothing).unwrap_err().to_string();
    assert!(error.contains("neither `hosts` nor `health`"), "{error}");
}

#[tokio::test]
async fn what_is_there_already_is_found_out_in_one_question_and_left_alone() {
    let shop = Shop::new();
    let params = deploy(&["web1", "web2", "web3"], json!({}));
    shop.release("one", "1.0.0", &params).await.unwrap();
    let before = ["web1", "web2", "web3"].map(|host| shop.kept(host));
    shop.say("ssh.log", "");
    let output = shop.release("two", "1.0.0", &params).await.unwrap();
    assert_eq!((&output["changed"], &output["previous"]), (&json!(false), &json!("1.0.0")));
    assert_eq!(output["hosts"], json!(["web1", "web2", "web3"]));
    let asked = shop.asked();
    assert_eq!(asked.iter().filter(|(host, _)| host == "web2").count(), 1, "{asked:?}");
    assert_eq!(asked.iter().filter(|(host, _)| host == "web3").count(), 1, "{asked:?}");
    let first: Vec<&str> =
        asked.iter().filter(|(host, _)| host == "web1").map(|(_, what)| what.as_str()).collect();
    assert_eq!(first, ["survey", "resolve"], "and the registry is asked, on the first host");
    assert!(["web1", "web2", "web3"].map(|host| shop.kept(host)) == before, "something was written");
    // There is nothing to take back.
    let mut own = params.clone();
    (own["version"], own["tag"]) = (json!("1.0.0"), json!("v1.0.0"));
    let undone = action("deploy.compose").undo(&own, &output, &shop.undoing("two")).await.unwrap();
    assert_eq!(undone, Undone::NothingToDo);
}

#[tokio::test]
async fn whatever_is_not_as_it_would_be_deployed_is_deployed() {
    let server = crate::server::Server::start().await;
    for what in [
        "nothing",
        "a container is made anew",
        "a container has ended",
        "a container is of another image",
        "a container was not deployed",
        "a container is young",
        "the variables on a host changed",
        "the files changed",
        "the tag in the registry moved",
        "a record is not at its end",
        "a record is of another tag",
        "the health check fails",
        "somebody left the lock",
        "it is not known what was made",
        "an image is demanded",
    ] {
        let shop = Shop::new();
        let mut params = deploy(&["web1", "web2"], json!({ "min_healthy": "1ms" }));
        shop.release("one", "1.0.0", &params).await.unwrap();
        let edit = |change: &dyn Fn(&mut Value)| {
            let path = shop.setting.repo.path().join("running/web2.json");
            let mut running: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            change(&mut running);
            std::fs::write(path, running.to_string()).unwrap();
        };
        let mend = |key: &str, value: Value| {
            let mut record = shop.record("web2").unwrap();
            record[key] = value;
            shop.say("web2/shop/.windlass/record.json", &format!("{record}\n"));
        };
        match what {
            "a container is made anew" => edit(&|running| running["web"]["id"] = json!("another")),
            "a container has ended" => edit(&|running| running["web"]["state"] = json!("exited")),
            "a container is of another image" => edit(&|running| running["web"]["image"] = json!("x:1")),
            "a container was not deployed" => edit(&|running| {
                running["miner"] = running["web"].clone();
                running["miner"]["service"] = json!("miner");
            }),
            "a container is young" => params["target"]["min_healthy"] = json!("1s"),
            "the variables on a host changed" => shop.say("web2.variables", "changed"),
            "the files changed" => {
                let text = COMPOSE.replace("\"image\"", "\"restart\": \"always\", \"image\"");
                shop.setting.repo.file("compose.yml", text).commit("fix: restart");
            }
            "the tag in the registry moved" => shop.say("moved", ""),
            "a record is not at its end" => mend("state", json!("updated")),
            "a record is of another tag" => mend("tag", json!("other")),
            "the health check fails" => params["target"]["health"] = json!(server.url("/ok")),
            "somebody left the lock" => shop.leave_lock("web1", "two"),
            "it is not known what was made" => mend("made", Value::Null),
            "an image is demanded" => params["images"] = json!({ "web": "r/shop@sha256:other" }),
            _ => {}
        }
        if what == "a container is young" {
            edit(&|running| running["web"]["started"] = json!("2999-01-01T00:00:00Z"));
        }
        if what == "the health check fails" {
            params["target"]["version"] = json!("$.status");
            params["ready"] = json!("1ms");
        }
        shop.say("ssh.log", "");
        let deployed = shop.release("two", "1.0.0", &params).await;
        let asked = shop.asked();
        let is_deployed = asked.iter().any(|(host, what)| host == "web1" && what == "lock");
        assert_eq!(is_deployed, what != "nothing", "{what}: {deployed:?} {asked:?}");
        let is_refused = matches!(what, "the health check fails" | "an image is demanded");
        assert_eq!(deployed.is_err(), is_refused, "{what}: {deployed:?}");
        if deployed.is_ok() && what != "nothing" {
            assert_eq!(shop.record("web2").unwrap()["run"], "two", "{what}");
        }
        if what == "the variables on a host changed" {
            // And that is known now.
            shop.say("ssh.log", "");
            let again = shop.release("three", "1.0.0", &params).await.unwrap();
            assert_eq!(again["changed"], false, "{what}");
            assert_eq!(shop.asked().len(), 3, "{what}: {:?}", shop.asked());
        }
    }
}

#[tokio::test]
async fn whoever_takes_the_environment_meanwhile_is_noticed() {
    let shop = Shop::new();
    let params = deploy(&["web1", "web2"], json!({}));
    shop.release("one", "1.0.0", &params).await.unwrap();
    for (run, taken, expect) in [("two", "fence", true), ("three", "lock", false)] {
        // Between what the hosts tell and what the registry tells, somebody has it.
        let fence = shop.record("web1").unwrap()["fence"].as_u64().unwrap() + 10;
        let text = match taken {
            "fence" => format!("{fence}\n"),
            _ => format!("other\n1\n{fence}\n99999999999\n1\nann\n"),
        };
        shop.say("meanwhile", &text);
        shop.say("meanwhile.file", &format!("web1/shop/.windlass/{taken}"));
        shop.say("ssh.log", "");
        let deployed = shop.release(run, "1.0.0", &params).await;
        assert_eq!(deployed.is_ok(), expect, "{deployed:?}");
        assert!(shop.asked().iter().any(|(_, what)| what == "lock"), "{:?}", shop.asked());
    }
}

#[tokio::test]
async fn what_fails_goes_back_everywhere() {
    let shop = Shop::new();
    let params = deploy(&["web1", "web2", "web3"], json!({}));
    shop.release("one", "1.0.0", &params).await.unwrap();
    let good = shop.runs("web1");
    assert!(good.is_some() && shop.runs("web3") == good);
    for (host, touched_others) in [("web1", false), ("web3", true)] {
        shop.say("broken", &format!("1.1.0 {host}"));
        let error = shop.release("two", "1.1.0", &params).await.unwrap_err();
        let told = error.to_string();
        assert!(matches!(error, ActionError::Final(_)), "{error:?}");
        assert!(
            told.contains(&format!("{host}: web ended with exit code 3; it said: the last words")),
            "{told}"
        );
        assert!(told.contains(": back to 1.0.0"), "{told}");
        assert_eq!(told.contains("web2"), touched_others, "the first host before the others: {told}");
        for host in ["web1", "web2", "web3"] {
            assert_eq!(shop.runs(host), good, "{host}");
            let record = shop.record(host).unwrap();
            assert_eq!(
                (&record["version"], &record["state"], &record["run"]),
                (&json!("1.0.0"), &json!("live"), &json!("one"))
            );
        }
        assert!(!shop.is_locked("web1"));
    }
    // Mended, the same run goes through.
    shop.forget("broken");
    let output = shop.release("two", "1.1.0", &params).await.unwrap();
    assert_eq!((&output["previous"], &output["changed"]), (&json!("1.0.0"), &json!(true)));
    assert_ne!(shop.runs("web2"), good);
    // A third one fails. The way back from the second still leads to the first, not to nothing.
    shop.say("broken", "1.2.0 web1");
    shop.release("three", "1.2.0", &params).await.unwrap_err();
    let mut second = params.clone();
    (second["version"], second["tag"]) = (json!("1.1.0"), json!("v1.1.0"));
    let undone = action("deploy.compose").undo(&second, &output, &shop.context("two")).await.unwrap();
    assert!(matches!(&undone, Undone::Reverted(what) if what.contains("web1: back to 1.0.0")), "{undone:?}");
    assert_eq!((shop.runs("web1"), shop.runs("web3")), (good.clone(), good));
}

#[tokio::test]
async fn a_first_deployment_that_fails_leaves_nothing_and_holding_leaves_it_all() {
    for (on_abort, expect) in [("revert", false), ("hold", true)] {
        let shop = Shop::new();
        shop.say("broken", "1.0.0 web2");
        let params = deploy(&["web1", "web2"], json!({ "on_abort": on_abort }));
        let told = shop.release("one", "1.0.0", &params).await.unwrap_err().to_string();
        assert!(told.contains(if expect { "stays as it is" } else { "empty again" }), "{told}");
        for host in ["web1", "web2"] {
            assert_eq!(
                (shop.runs(host).is_some(), shop.record(host).is_some()),
                (expect, expect),
                "{host}: {told}"
            );
        }
        assert!(!shop.is_locked("web1"));
        if expect {
            assert_eq!(shop.record("web2").unwrap()["state"], "failed");
        }
    }
}

#[tokio::test]
async fn unreachable_hosts_count_as_failures() {
    let shop = Shop::new();
    for (max_failures, down, expect) in [
        (0, "web3", Err("web3 refuses connections: sshd is not running there")),
        (1, "web3", Ok("web3")),
        (1, "web1", Err("web1 refuses connections")),
    ] {
        shop.say(&format!("{down}.down"), "");
        let params = deploy(&["web1", "web2", "web3"], json!({ "max_failures": max_failures }));
        match (shop.release(&format!("run-{max_failures}-{down}"), "1.0.0", &params).await, expect) {
            (Ok(output), Ok(host)) => {
                assert_eq!(output["unreachable"], json!([host]));
                assert_eq!(output["hosts"], json!(["web1", "web2"]));
            }
            (Err(error), Err(expect)) => {
                let told = error.to_string();
                assert!(told.contains(expect) && told.contains("nothing was touched"), "{told}");
                assert!(matches!(error, ActionError::Failed(_)), "another attempt may help");
            }
            (found, _) => panic!("{max_failures} {down}: {found:?}"),
        }
        shop.forget(&format!("{down}.down"));
    }
    // One is down and one fails: two failures.
    shop.say("web3.down", "");
    shop.say("broken", "1.1.0 web2");
    let params = deploy(&["web1", "web2", "web3"], json!({ "max_failures": 1 }));
    let told = shop.release("both", "1.1.0", &params).await.unwrap_err().to_string();
    assert!(told.contains("given up"), "{told}");
    let params = deploy(&["web1", "web2", "web3"], json!({ "max_failures": 2 }));
    shop.release("both", "1.1.0", &params).await.unwrap();
    assert_eq!(
        shop.record("web2").unwrap()["version"],
        "1.0.0",
        "what failed and was let pass runs what worked"
    );
}

#[tokio::test]
async fn nothing_is_touched_for_an_image_that_is_missing_or_another_one() {
    let shop = Shop::new();
    shop.say("no-image", "");
    let params = deploy(&["web1"], json!({}));
    let told = shop.release("one", "1.0.0", &params).await.unwrap_err().to_string();
    assert!(told.contains("docker compose pull failed (1) on web1: manifest unknown"), "{told}");
    shop.forget("no-image");
    let mut other = params.clone();
    other["images"] = json!({ "web": format!("sha256:{}", "0".repeat(64)) });
    let told = shop.release("one", "1.0.0", &other).await.unwrap_err().to_string();
    assert!(told.contains("another image under this name") && told.contains("nothing was touched"), "{told}");
    assert_eq!((shop.runs("web1"), shop.record("web1"), shop.is_locked("web1")), (None, None, false));
}

#[tokio::test]
async fn a_version_must_have_passed_where_it_comes_from() {
    let shop = Shop::new();
    let staging = deploy(&["stage"], json!({}))["target"].clone();
    let mut production = deploy(&["web1"], json!({ "after": ["staging"], "channels": ["rc", "stable"] }));
    production["after"] = json!({ "staging": staging });
    let refusal =
        async |version: &str| shop.release("up", version, &production).await.unwrap_err().to_string();
    assert!(refusal("1.0.0").await.contains("nothing was ever deployed to staging"));
    let mut staging = deploy(&["stage"], json!({}));
    staging["environment"] = json!("staging");
    shop.release("stage", "1.0.0-rc.1", &staging).await.unwrap();
    assert!(refusal("1.0.0").await.contains("it was not deployed to staging, where 1.0.0-rc.1 is"));
    assert!(refusal("1.0.0-beta.1").await.contains("rc and stable versions only"));
    assert_eq!(shop.runs("web1"), None, "nothing was touched");
    shop.release("stage-2", "1.0.0", &staging).await.unwrap();
    shop.release("stage-3", "1.1.0", &staging).await.unwrap();
    // It passed, whatever came there later.
    shop.release("up", "1.0.0", &production).await.unwrap();
    shop.say("stage.down", "");
    assert!(refusal("1.1.0").await.contains("cannot be found out"));
}

#[tokio::test]
async fn what_another_run_deployed_since_is_not_taken_back() {
    let shop = Shop::new();
    let params = |version: &str| {
        let mut params = deploy(&["web1", "web2"], json!({}));
        (params["version"], params["tag"]) = (json!(version), json!(format!("v{version}")));
        params
    };
    let deploy = action("deploy.compose");
    shop.release("one", "1.0.0", &params("1.0.0")).await.unwrap();
    let output = shop.release("two", "1.1.0", &params("1.1.0")).await.unwrap();
    assert!(matches!(deploy.probe(&params("1.1.0"), &shop.context("two")).await, Ok(Probe::Done(_))));
    shop.release("three", "1.2.0", &params("1.2.0")).await.unwrap();
    let newest = shop.runs("web1");
    assert!(matches!(deploy.probe(&params("1.1.0"), &shop.context("two")).await, Ok(Probe::Absent)));
    let undone = deploy.undo(&params("1.1.0"), &output, &shop.context("two")).await.unwrap();
    assert_eq!((undone, shop.runs("web1")), (Undone::NothingToDo, newest));
    // A host that cannot be reached is left to a person, and the other one goes back all the same.
    let output = deploy.run(&params("1.2.0"), &shop.context("three")).await.unwrap();
    assert_eq!(output["changed"], false);
    shop.say("web2.down", "");
    let undone = deploy.undo(&params("1.2.0"), &output, &shop.context("three")).await.unwrap();
    let Undone::NeedsHuman(told) = undone else { panic!("{undone:?}") };
    assert!(told.contains("web2 refuses connections") && told.contains("web1: back to 1.1.0"), "{told}");
    shop.forget("web2.down");
    let undone = deploy.undo(&params("1.2.0"), &output, &shop.context("three")).await.unwrap();
    assert!(matches!(&undone, Undone::Reverted(what) if what == "web2: back to 1.1.0"), "{undone:?}");
    assert_eq!(shop.runs("web1"), shop.runs("web2"));
}

#[tokio::test]
async fn a_script_deploys_under_the_same_record_and_goes_back_by_itself() {
    let shop = Shop::new();
    let deploy = action("deploy.script");
    let params = |version: &str, undo: Option<&str>| {
        json!({
            "environment": "production",
            "version": version,
            "tag": format!("v{version}"),
            "run": "echo \"$WINDLASS_VERSION after ${WINDLASS_PREVIOUS_VERSION:-nothing}\" >> log; test \"$WINDLASS_VERSION\" != 1.2.0",
            "undo": undo,
        })
    };
    let log = || shop.setting.repo.read("log");
    let one = deploy.run(&params("1.0.0", None), &shop.context("one")).await.unwrap();
    let two = deploy.run(&params("1.1.0", None), &shop.context("two")).await.unwrap();
    assert_eq!((&one["previous"], &two["previous"]), (&Value::Null, &json!("1.0.0")));
    // Done by this very item: not again. By another run: again, as asked.
    deploy.run(&params("1.1.0", None), &shop.context("two")).await.unwrap();
    assert_eq!(log(), "1.0.0 after nothing\n1.1.0 after 1.0.0\n");
    // What fails goes back to what was good.
    let told = deploy.run(&params("1.2.0", None), &shop.context("three")).await.unwrap_err().to_string();
    assert!(told.contains("exit code 1") && told.contains("production: back to 1.1.0"), "{told}");
    assert!(log().ends_with("1.2.0 after 1.1.0\n1.1.0 after nothing\n"), "{}", log());
    let undone = deploy.undo(&params("1.1.0", None), &two, &shop.context("two")).await.unwrap();
    assert!(matches!(&undone, Undone::Reverted(what) if what == "production: back to 1.0.0"), "{undone:?}");
    assert_eq!(
        deploy.undo(&params("1.1.0", None), &two, &shop.context("two")).await.unwrap(),
        Undone::NothingToDo
    );
    // With nothing before, only an undo of its own can take it away.
    let undone = deploy.undo(&params("1.0.0", None), &one, &shop.context("one")).await.unwrap();
    assert!(
        matches!(&undone, Undone::NeedsHuman(why) if why.contains("had no version before")),
        "{undone:?}"
    );
    let undone = deploy.undo(&params("1.0.0", Some("rm log")), &one, &shop.context("one")).await.unwrap();
    assert!(matches!(undone, Undone::Reverted(_)) && !shop.setting.repo.path().join("log").exists());
}

/// Killed after its last word to the hosts and before it gave the lock back, a step is not done: it goes on, does
/// nothing again but that.
#[tokio::test]
async fn a_lock_left_by_a_killed_process_is_given_back() {
    let shop = Shop::new();
    let mut params = deploy(&["web1", "web2"], json!({}));
    (params["version"], params["tag"]) = (json!("1.0.0"), json!("v1.0.0"));
    let deploy = action("deploy.compose");
    let leave = || shop.say("web1/shop/.windlass/lock", "one\n1\n1\n99999999999\n1\nprocess 1 on ci\n");
    let output = deploy.run(&params, &shop.context("one")).await.unwrap();
    leave();
    assert!(matches!(deploy.probe(&params, &shop.context("one")).await, Ok(Probe::Absent)));
    let again = deploy.run(&params, &shop.context("one")).await.unwrap();
    assert_eq!((shop.is_locked("web1"), &again["changed"]), (false, &json!(false)));
    assert!(matches!(deploy.probe(&params, &shop.context("one")).await, Ok(Probe::Done(_))));
    deploy.undo(&params, &output, &shop.context("one")).await.unwrap();
    leave();
    let undone = deploy.undo(&params, &output, &shop.context("one")).await.unwrap();
    assert_eq!((undone, shop.is_locked("web1")), (Undone::NothingToDo, false));
}

/// However far a deployment came when its process was killed, the way back finds it, and leaves one version and no lock.
#[tokio::test]
async fn a_deployment_that_stopped_half_way_is_taken_back() {
    let shop = Shop::new();
    let deploy = action("deploy.compose");
    let params = |version: &str| {
        let mut params = crate::standin::deploy(&["web1", "web2"], json!({}));
        (params["version"], params["tag"]) = (json!(version), json!(format!("v{version}")));
        params
    };
    let two = params("1.1.0");
    shop.release("one", "1.0.0", &params("1.0.0")).await.unwrap();
    let good = shop.runs("web1");
    let back = shop.undoing("two");
    assert_eq!(deploy.probe(&two, &back).await.unwrap(), Probe::Absent, "nothing was begun");
    for state in ["draining", "updating", "proven", "updated", "failed", "reverting", "withdrawn"] {
        shop.release("two", "1.1.0", &two).await.unwrap();
        assert_ne!(shop.runs("web1"), good);
        shop.set_state("web1", state);
        shop.leave_lock("web1", "two");
        let Probe::Done(output) = deploy.probe(&two, &back).await.unwrap() else { panic!("{state}") };
        let undone = deploy.undo(&two, &output, &back).await.unwrap();
        let told = Undone::Reverted("web1: back to 1.0.0; web2: back to 1.0.0".into());
        assert_eq!((undone, shop.is_locked("web1")), (told, false), "{state}");
        for host in ["web1", "web2"] {
            let record = shop.record(host).unwrap();
            assert_eq!((&record["run"], &record["state"]), (&json!("one"), &json!("live")), "{state}");
            assert_eq!(shop.runs(host), good, "{state}");
        }
        assert_eq!(deploy.probe(&two, &back).await.unwrap(), Probe::Absent, "{state}");
    }
    // Killed before its first word to the hosts, it left the lock alone.
    shop.leave_lock("web1", "two");
    let Probe::Done(output) = deploy.probe(&two, &back).await.unwrap() else { panic!("the lock is left") };
    let undone = deploy.undo(&two, &output, &back).await.unwrap();
    assert_eq!((undone, shop.is_locked("web1")), (Undone::NothingToDo, false));
    // Where nothing is known, nothing is claimed.
    shop.say("web2.down", "");
    let told = deploy.probe(&two, &back).await.unwrap_err().to_string();
    assert!(told.contains("web2 refuses connections"), "{told}");
}

#[tokio::test]
async fn a_script_that_stopped_half_way_is_taken_back() {
    let shop = Shop::new();
    let deploy = action("deploy.script");
    let params = |version: &str| {
        json!({
            "environment": "production", "version": version, "tag": format!("v{version}"),
            "run": "echo \"$WINDLASS_VERSION\" > live",
        })
    };
    let (two, back) = (params("1.1.0"), shop.undoing("two"));
    let record = shop.setting.repo.outside().join("state/environments/production/.windlass/record.json");
    deploy.run(&params("1.0.0"), &shop.context("one")).await.unwrap();
    assert_eq!(deploy.probe(&two, &back).await.unwrap(), Probe::Absent);
    for state in ["updating", "failed", "reverting", "withdrawn"] {
        deploy.run(&two, &shop.context("two")).await.unwrap();
        let text = std::fs::read_to_string(&record).unwrap();
        std::fs::write(&record, text.replacen("\"live\"", &format!("\"{state}\""), 1)).unwrap();
        let Probe::Done(output) = deploy.probe(&two, &back).await.unwrap() else { panic!("{state}") };
        let undone = deploy.undo(&two, &output, &back).await.unwrap();
        assert_eq!(undone, Undone::Reverted("production: back to 1.0.0".into()), "{state}");
        assert_eq!(shop.setting.repo.read("live"), "1.0.0\n", "{state}");
    }
}

/// The hosts are called as the servers of the test's HAProxy are.
#[tokio::test]
async fn a_way_back_never_takes_the_last_server_out() {
    let shop = Shop::new();
    let file = shop.setting.repo.outside().join("serves");
    std::fs::write(&file, "1.0.0").unwrap();
    let [blue, green] = [(); 2].map(|()| Versioned::start(&file).unwrap());
    let haproxy = Running::start(Kind::Haproxy, blue.port, green.port).unwrap();
    let (test, _) = haproxy.commands();
    let proxy = json!({
        "kind": "haproxy", "backend": "shop", "socket": haproxy.socket(), "config": haproxy.config(), "test": test,
        "drain": "1s", "hosts": ["blue"],
    });
    let params = deploy(&["blue", "green"], json!({ "proxy": proxy }));
    let is_out = |name: &str| {
        let text = std::fs::read_to_string(haproxy.config()).unwrap();
        let text = text.split("\nbackend shop").nth(1).unwrap().to_owned();
        text.lines().any(|line| line.contains(&format!("server {name}")) && line.contains("disabled"))
    };
    shop.rolling("one", "1.0.0", &params).await.unwrap();
    let good = shop.runs("green");
    // Killed while the second host was being changed: it is out, the first one has all the traffic.
    let two = shop.rolling("two", "1.1.0", &params).await.unwrap();
    shop.set_state("blue", "updated");
    shop.set_state("green", "updating");
    let config = std::fs::read_to_string(haproxy.config()).unwrap();
    let config: Vec<String> = config
        .lines()
        .map(|line| if line.contains("server green") { format!("{line} disabled") } else { line.to_owned() })
        .collect();
    std::fs::write(haproxy.config(), config.join("\n") + "\n").unwrap();
    let mut socket = UnixStream::connect(haproxy.socket()).unwrap();
    socket.write_all(b"set server shop/green state maint\n").unwrap();
    std::io::copy(&mut socket, &mut std::io::sink()).unwrap();
    assert!(is_out("green") && !is_out("blue"));
    let customers = Customers::begin(([127, 0, 0, 1], haproxy.front).into(), 4);
    let mut second = params.clone();
    (second["version"], second["tag"]) = (json!("1.1.0"), json!("v1.1.0"));
    let undone = action("deploy.rolling").undo(&second, &two, &shop.undoing("two")).await.unwrap();
    assert_eq!(undone, Undone::Reverted("green: back to 1.0.0; blue: back to 1.0.0".into()));
    let tally = customers.end();
    assert_eq!(tally.bad, Vec::<String>::new(), "of {} requests", tally.good);
    assert_eq!((shop.runs("blue"), shop.runs("green")), (good.clone(), good));
    assert!(!is_out("green") && !is_out("blue") && ask(haproxy.front, "/health").is_ok());
}

/// What a script deployed in a colour; nothing of it runs.
fn coloured(version: &str, colour: &str) -> Value {
    json!({
        "schema": 1, "environment": "production", "run": "r", "step": "s", "fence": 1, "version": version,
        "tag": format!("v{version}"), "release": "", "files": [], "project": "", "images": {}, "colour": colour,
        "state": "live", "at": "2026-01-01T00:00:00Z", "previous": null,
    })
}

#[tokio::test]
async fn hosts_of_different_colours_are_refused_before_anything_is_touched() {
    let shop = Shop::new();
    let proxy = json!({ "kind": "haproxy", "backend": "shop", "ports": { "blue": 1, "green": 2 } });
    let mut params = deploy(&["web1", "web2"], json!({ "proxy": proxy, "health": "http://{host}/health" }));
    (params["version"], params["tag"]) = (json!("1.2.0"), json!("v1.2.0"));
    params["run"] = json!("echo touched > touched");
    for (host, version, colour) in [("web1", "1.1.0", "green"), ("web2", "1.0.0", "blue")] {
        std::fs::create_dir_all(shop.setting.repo.outside().join(host).join("shop/.windlass")).unwrap();
        shop.say(&format!("{host}/shop/.windlass/record.json"), &format!("{}\n", coloured(version, colour)));
    }
    let error = action("deploy.blue_green").run(&params, &shop.context("three")).await.unwrap_err();
    let told = error.to_string();
    for part in ["web1 has 1.1.0 in green, web2 has 1.0.0 in blue", "nothing was touched", "deploy.previous"]
    {
        assert!(told.contains(part), "{told}");
    }
    assert!(matches!(error, ActionError::Final(_)), "{error:?}");
    assert_eq!(
        (shop.record("web1"), shop.record("web2")),
        (Some(coloured("1.1.0", "green")), Some(coloured("1.0.0", "blue")))
    );
    assert!(!shop.setting.repo.path().join("touched").exists() && !shop.is_locked("web1"));
}

#[tokio::test]
async fn a_way_back_is_proven_by_the_health_check() {
    let shop = Shop::new();
    let file = shop.setting.repo.outside().join("serves");
    let port = Versioned::start(&file).unwrap().port;
    let script = "test -e stuck || echo \"$WINDLASS_VERSION\" > ../serves";
    for (health, run) in [("{host}", Some(script)), ("127.0.0.1", None)] {
        let name = if run.is_some() { "deploy.rolling" } else { "deploy.compose" };
        let mut params = deploy(&["web1"], json!({ "health": format!("http://{health}:{port}/health") }));
        params["ready"] = json!("1s");
        if let Some(run) = run {
            params["run"] = json!(run);
        }
        for (was, version) in [("one", "1.0.0"), ("two", "1.1.0")] {
            (params["version"], params["tag"]) = (json!(version), json!(format!("v{version}")));
            std::fs::write(&file, version).unwrap();
            action(name).run(&params, &shop.context(&format!("{name}-{was}"))).await.unwrap();
        }
        shop.setting.repo.file("stuck", "");
        let back = shop.undoing(&format!("{name}-two"));
        let Probe::Done(output) = action(name).probe(&params, &back).await.unwrap() else { panic!("{name}") };
        let undone = action(name).undo(&params, &output, &back).await.unwrap();
        let Undone::NeedsHuman(told) = undone else { panic!("{name}: {undone:?}") };
        assert!(told.contains("answered with the version \"1.1.0\", not 1.0.0"), "{name}: {told}");
        std::fs::remove_file(shop.setting.repo.path().join("stuck")).unwrap();
    }
}

#[tokio::test]
async fn a_version_that_did_not_come_to_its_end_is_brought_back_too() {
    let shop = Shop::new();
    let params = deploy(&["web1", "web2"], json!({}));
    for (run, version) in [("one", "1.0.0"), ("two", "1.1.0"), ("three", "1.0.0")] {
        shop.release(run, version, &params).await.unwrap();
    }
    let good = shop.runs("web2");
    // It was killed there before its containers were up.
    shop.set_state("web1", "updating");
    std::fs::remove_file(shop.setting.repo.path().join("running/web1.json")).unwrap();
    let params = json!({
        "environment": "production", "version": "1.0.0", "ready": "2s", "target": params["target"],
    });
    let output = action("deploy.previous").run(&params, &shop.context("four")).await.unwrap();
    assert_eq!(output["done"], "web1: back to 1.0.0");
    assert_eq!((shop.runs("web1"), &shop.record("web1").unwrap()["state"]), (good, &json!("live")));
}

#[tokio::test]
async fn a_host_without_anything_is_named_when_the_way_back_is_chosen() {
    let shop = Shop::new();
    let one = deploy(&["web1"], json!({}));
    for (run, version) in [("one", "1.0.0"), ("two", "1.1.0")] {
        shop.release(run, version, &one).await.unwrap();
    }
    let choose = |target: &Value, cause: &str| json!({ "environment": "production", "target": target, "cause": cause });
    let both = deploy(&["web1", "web2"], json!({}));
    let params = choose(&both["target"], "outage");
    let output = action("rollback.choose").run(&params, &shop.context("three")).await.unwrap();
    assert_eq!((&output["way"], &output["to"]), (&json!("application"), &json!("1.0.0")), "{output}");
    let why = output["why"].as_str().unwrap();
    assert!(why.ends_with("; nothing is on web2, and that stays so"), "{why}");
    // The images that were there, by digest: what a registry's tag can be moved back to.
    let image = output["images"]["web"].as_str().unwrap();
    assert!(image.starts_with("registry.example/shop@sha256:"), "{image}");
    // What is no reason to go back leaves the version as it is.
    let params = choose(&one["target"], "minor");
    let output = action("rollback.choose").run(&params, &shop.context("three")).await.unwrap();
    assert_eq!((&output["way"], &output["to"]), (&json!("forward"), &json!("1.1.0")), "{output}");
    assert_ne!(output["images"]["web"], image, "the images of the version that stays");
}

#[tokio::test]
async fn a_colour_of_a_script_is_not_stopped_by_compose() {
    let shop = Shop::new();
    let proxy = json!({ "kind": "haproxy", "backend": "shop", "ports": { "blue": 1, "green": 2 } });
    let params = deploy(&["web1"], json!({ "proxy": proxy }));
    let params = json!({ "environment": "production", "target": params["target"] });
    std::fs::create_dir_all(shop.setting.repo.outside().join("web1/shop/.windlass")).unwrap();
    shop.say("web1/shop/.windlass/record.json", &format!("{}\n", coloured("1.0.0", "green")));
    let told = action("deploy.cleanup").run(&params, &shop.context("clean")).await.unwrap_err().to_string();
    assert!(told.contains("web1") && told.contains("give deploy.cleanup a `stop`"), "{told}");
    assert_eq!((shop.record("web1"), shop.is_locked("web1")), (Some(coloured("1.0.0", "green")), false));
}

/// `deploy.script` keeps its record on the first host alone.
#[tokio::test]
async fn what_a_script_deployed_to_many_hosts_is_verified() {
    let shop = Shop::new();
    let file = shop.setting.repo.outside().join("serves");
    std::fs::write(&file, "1.0.0").unwrap();
    let port = Versioned::start(&file).unwrap().port;
    let mut params = deploy(&["web1", "web2"], json!({ "health": format!("http://{{host}}:{port}/health") }));
    (params["version"], params["tag"], params["run"]) = (json!("1.0.0"), json!("v1.0.0"), json!("true"));
    action("deploy.script").run(&params, &shop.context("one")).await.unwrap();
    let verify = json!({ "environment": "production", "target": params["target"], "version": "1.0.0" });
    let output = action("deploy.verify").run(&verify, &shop.context("verify")).await.unwrap();
    assert_eq!(output["addresses"].as_array().unwrap().len(), 2, "every host's health");
    std::fs::write(&file, "0.9.0").unwrap();
    let told = action("deploy.verify").run(&verify, &shop.context("verify")).await.unwrap_err().to_string();
    assert_eq!(told.matches("\"0.9.0\", not 1.0.0").count(), 2, "{told}");
    // With compose every host has a record of its own.
    std::fs::write(&file, "1.0.0").unwrap();
    params.as_object_mut().unwrap().remove("run");
    shop.release("two", "1.0.0", &params).await.unwrap();
    std::fs::remove_file(shop.setting.repo.outside().join("web2/shop/.windlass/record.json")).unwrap();
    let told = action("deploy.verify").run(&verify, &shop.context("verify")).await.unwrap_err().to_string();
    assert!(told.contains("web2: nothing was deployed there"), "{told}");
}
