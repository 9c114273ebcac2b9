//! Deployments by a script.

use super::*;

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

#[tokio::test]
async fn a_way_back_that_only_a_script_has_is_not_planned_without_it() {
    let shop = Shop::new();
    let planned = |environment: Value, run: Option<&str>| {
        let mut facts = shop.setting.facts();
        facts.environments.insert("production".to_owned(), serde_json::from_value(environment).unwrap());
        let params = json!({ "environment": "production", "version": "{{ outputs.choose.to }}", "run": run });
        action("deploy.previous").effects(&params, &facts).map(drop).map_err(|error| error.to_string())
    };
    let proxy = json!({ "kind": "haproxy", "backend": "shop", "ports": { "blue": 1, "green": 2 } });
    let told = planned(json!({}), None).unwrap_err();
    assert!(told.contains("only a script leads back") && told.contains("`run`"), "{told}");
    assert_eq!(planned(json!({}), Some("./deploy.sh")), Ok(()));
    assert_eq!(planned(json!({ "compose": ["compose.yml"] }), None), Ok(()));
    // The colour that had the traffic may still run.
    assert_eq!(planned(json!({ "proxy": proxy }), None), Ok(()));
}
