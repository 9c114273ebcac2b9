//! The way back, also from the middle.

use super::*;

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
