//! What is there already, and what is held against it.

use super::*;

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
    refused(verify("1.0.0", silent), &["/ok answered without its version: let it answer"]).await;
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

/// A secret in a file that a container mounts is nothing that a deployment sees: containers are made anew when that is
/// said, once for each run.
#[tokio::test]
async fn containers_are_made_anew_where_that_is_asked_for() {
    for name in ["deploy.compose", "deploy.rolling"] {
        let shop = Shop::new();
        let mut params = deploy(&["web1", "web2"], json!({}));
        (params["version"], params["tag"]) = (json!("1.0.0"), json!("v1.0.0"));
        let secret = |host: &str| {
            let text = std::fs::read(shop.setting.repo.path().join(format!("running/{host}.json"))).unwrap();
            let running: Value = serde_json::from_slice(&text).unwrap();
            (running["web"]["secret"].as_str().unwrap().to_owned(), running["web"]["id"].clone())
        };
        let secrets = || ["web1", "web2"].map(|host| secret(host).0);
        let rotate = |to: &str| ["web1", "web2"].map(|host| shop.say(&format!("{host}.secret"), to));
        rotate("old");
        action(name).run(&params, &shop.context("one")).await.unwrap();
        rotate("new");
        let output = action(name).run(&params, &shop.context("two")).await.unwrap();
        assert_eq!(
            (&output["changed"], secrets()),
            (&json!(false), ["old", "old"].map(str::to_owned)),
            "{name}"
        );
        params["recreate"] = json!(true);
        let output = action(name).run(&params, &shop.context("three")).await.unwrap();
        assert_eq!(
            (&output["changed"], secrets()),
            (&json!(true), ["new", "new"].map(str::to_owned)),
            "{name}"
        );
        // Twice is once, also when the process was killed while the second host was at it.
        let first = secret("web1");
        action(name).run(&params, &shop.context("three")).await.unwrap();
        shop.set_state("web1", "updated");
        shop.set_state("web2", "updating");
        assert_eq!(action(name).probe(&params, &shop.context("three")).await.unwrap(), Probe::Absent);
        action(name).run(&params, &shop.context("three")).await.unwrap();
        assert_eq!(secret("web1"), first, "{name}");
        assert_eq!(shop.record("web2").unwrap()["state"], "live");
        // Another run means it anew.
        action(name).run(&params, &shop.context("four")).await.unwrap();
        assert_ne!(secret("web1"), first, "{name}");
    }
    let shop = Shop::new();
    let mut params = deploy(&["web1"], json!({ "health": "http://{host}:1/" }));
    (params["version"], params["tag"], params["run"]) = (json!("1.0.0"), json!("v1.0.0"), json!("true"));
    params["recreate"] = json!(true);
    let told = action("deploy.rolling").run(&params, &shop.context("one")).await.unwrap_err().to_string();
    assert!(told.contains("`recreate` of deploy.rolling is for docker compose"), "{told}");
}
