//! Deployments that fail, or that must not begin.

use super::*;

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
