//! Pages: the ways in their order, what each gets, and that nothing is said twice.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use windlass_engine::action::Probe;
use windlass_engine::mask::Masker;
use windlass_testkit::pagers::PagerEmulator;
use windlass_testkit::repo::RepoBuilder;

use crate::server::Server;
use crate::world::{SECRET, Setting};

/// A key as long as PagerDuty's are.
const KEY: &str = "0123456789abcdef0123456789abcdef";

fn page(channels: Value, more: Value) -> Value {
    let mut params = json!({ "message": "lost\u{1b}[31m $(touch broken)", "channels": channels });
    for (key, value) in more.as_object().unwrap() {
        params[key] = value.clone();
    }
    params
}

#[tokio::test]
async fn the_first_way_that_takes_the_message_gets_it() {
    let setting = Setting::releasing(RepoBuilder::new());
    let script = "cat >page.json; printf '%s\\n%s\\n' \"$WINDLASS_MESSAGE\" \"$WINDLASS_MESSAGE_KIND\" >page.txt; echo >>count";
    let channels = json!([
        { "command": ["false"] },
        { "command": ["no-such-program"] },
        { "command": ["sh", "-c", script] },
        { "command": ["sh", "-c", "touch not-asked"] },
    ]);
    let params = page(channels, json!({}));
    assert_eq!(setting.probe("notify.page", &params).await.unwrap(), Probe::Absent);
    let output = setting.run("notify.page", &params).await.unwrap();
    assert_eq!(output["by"], "sh", "{output}");
    let refused = output["refused"].as_str().unwrap();
    assert!(refused.contains("false: it ended with exit code 1; no-such-program: "), "{refused}");
    let read = |name: &str| std::fs::read_to_string(setting.repo.path().join(name)).unwrap();
    assert_eq!(read("page.txt"), "lost[31m $(touch broken)\npage\n");
    let told: Value = serde_json::from_str(&read("page.json")).unwrap();
    assert_eq!(
        (&told["kind"], &told["version"], &told["schema"]),
        (&"page".into(), &"0.2.0".into(), &1.into())
    );
    assert!(told["id"].as_str().unwrap().ends_with("/step/1"), "{told}");
    assert!(!setting.repo.path().join("broken").exists() && !setting.repo.path().join("not-asked").exists());

    // A run that was killed and comes back says nothing twice; that it is over is another message of the same name.
    assert_eq!(setting.run("notify.page", &params).await.unwrap(), output);
    assert_eq!(setting.probe("notify.page", &params).await.unwrap(), Probe::Done(output));
    assert_eq!(read("count").len(), 1);
    let over = page(json!([{ "command": ["sh", "-c", script] }]), json!({ "resolved": true }));
    setting.run("notify.page", &over).await.unwrap();
    let resolved: Value = serde_json::from_str(&read("page.json")).unwrap();
    assert_eq!((&resolved["kind"], &resolved["id"]), (&"resolved".into(), &told["id"]));
}

#[tokio::test]
async fn addresses_are_posted_to() {
    let server = Server::start().await;
    let setting = Setting::new(RepoBuilder::new());
    server.redirect_to(server.url("/ok"));
    let way = |path: &str| json!({ "url": server.url(path), "headers": { "Authorization": "secret:TOKEN" } });
    // Following a redirect would ask instead of tell.
    let output = setting
        .run("notify.page", &page(json!([way("/elsewhere"), way("/none"), way("/ok")]), json!({})))
        .await
        .unwrap();
    assert_eq!(output["by"], "127.0.0.1");
    assert_eq!(output["refused"], "127.0.0.1: it answered 302; 127.0.0.1: it answered 404");
    let heads = server.heads();
    assert!(heads.contains("POST /ok ") && heads.contains(&format!("authorization: {SECRET}")), "{heads}");
    assert!(heads.contains(r#""message":"lost[31m $(touch broken)""#), "{heads}");

    let nobody = page(
        json!([way("/none"), { "command": ["sh", "-c", "echo $$; exit 3"] }]),
        json!({ "occasion": "x" }),
    );
    let why = setting.refusal("notify.page", &nobody).await;
    assert!(why.contains("no way took the message: 127.0.0.1: it answered 404; sh: it ended with"), "{why}");
    assert_eq!(setting.probe("notify.page", &nobody).await.unwrap(), Probe::Absent);
    for (channels, expect) in [(json!([]), "[notify] page ="), (json!([{}]), "needs one of `command`, `url`")]
    {
        let error = setting.effects("notify.page", &page(channels, json!({}))).unwrap_err().to_string();
        assert!(error.contains(expect), "{error}");
    }
}

/// A world whose secrets hold the services' key, and another one.
fn on_call(wrong: &str) -> Setting {
    let mut setting = Setting::releasing(RepoBuilder::new());
    let values = [("PAGER", KEY), ("WRONG", wrong)];
    let secrets: BTreeMap<String, String> =
        values.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    setting.world.masker = Arc::new(Masker::new(&secrets).unwrap());
    setting.world.secrets = Arc::new(secrets);
    setting
}

/// The services as ways, each with the path that its API is below.
fn services(pagers: &PagerEmulator, secret: &str) -> [Value; 3] {
    let key = format!("secret:{secret}");
    [
        json!({ "pagerduty": key, "url": pagers.url() }),
        json!({ "opsgenie": key, "url": pagers.url() }),
        json!({ "opsgenie": key, "url": format!("{}/jsm/ops/integration/", pagers.url()) }),
    ]
}

#[tokio::test]
async fn services_open_one_incident_and_close_it() {
    let long = ["x".repeat(3000), "é".repeat(3000)];
    for (index, occasion) in ["deploy/one@2026-03-01T00:00:00Z", &long[0], &long[1]].into_iter().enumerate() {
        let pagers = PagerEmulator::start(KEY);
        let setting = on_call(&"x".repeat(32));
        for way in services(&pagers, "PAGER") {
            let before = pagers.incidents().len();
            let said = format!("{} {index}", if index == 0 { "lost" } else { occasion });
            let told = json!({ "message": said, "channels": [way], "occasion": format!("{occasion} {way}") });
            let output = setting.run("notify.page", &told).await.unwrap();
            assert_eq!(output["refused"], Value::Null);
            // The state folder is gone, as when a run was killed before it could keep anything.
            std::fs::remove_dir_all(setting.world.state.join("pages")).unwrap();
            setting.run("notify.page", &told).await.unwrap();
            let incidents = pagers.incidents().split_off(before);
            assert_eq!(incidents.len(), 1, "the same incident: {incidents:?}");
            assert!(incidents[0].open && incidents[0].asked == 2, "{incidents:?}");
            let mut over = told.clone();
            over["resolved"] = json!(true);
            setting.run("notify.page", &over).await.unwrap();
            let closed = pagers.incidents().split_off(before);
            assert!(closed.len() == 1 && !closed[0].open, "{closed:?}");
            assert_eq!(closed[0].key, incidents[0].key);
        }
        assert!(!setting.log.text().contains(KEY));
    }
}

#[tokio::test]
async fn services_are_told_what_people_need() {
    let pagers = PagerEmulator::start(KEY);
    let setting = on_call(&"x".repeat(32));
    let [mut pagerduty, mut opsgenie, _] = services(&pagers, "PAGER");
    pagerduty["severity"] = json!("warning");
    opsgenie["priority"] = json!("P2");
    for way in [pagerduty, opsgenie] {
        setting
            .run("notify.page", &page(json!([way]), json!({ "occasion": way.to_string() })))
            .await
            .unwrap();
    }
    let sent: Vec<Value> = pagers.incidents().into_iter().map(|incident| incident.sent).collect();
    let payload = &sent[0]["payload"];
    assert_eq!((&payload["severity"], &sent[1]["priority"]), (&json!("warning"), &json!("P2")));
    assert_eq!(
        (&payload["summary"], &sent[1]["message"]),
        (&json!("lost[31m $(touch broken)"), &payload["summary"])
    );
    for details in [&payload["custom_details"], &sent[1]["details"]] {
        assert_eq!((&details["version"], &details["tag"]), (&json!("0.2.0"), &json!("v0.2.0")));
        assert!(details["run"].as_str().is_some_and(|run| run.starts_with("test-")), "{details}");
    }
    assert_eq!(sent[1]["tags"], json!(["windlass", "v0.2.0"]));
}

#[tokio::test]
async fn what_a_service_refuses_goes_to_the_next_way() {
    let pagers = PagerEmulator::start(KEY);
    // A key of another length, and one of the right length.
    for (wrong, said) in
        [("too-short-a-key", "Length of 'routing_key'"), (&"w".repeat(32)[..], "Invalid routing key")]
    {
        let setting = on_call(wrong);
        let [pagerduty, opsgenie, _] = services(&pagers, "WRONG");
        let channels = json!([pagerduty, opsgenie, { "command": ["true"] }]);
        let params = page(channels, json!({ "occasion": wrong }));
        let output = setting.run("notify.page", &params).await.unwrap();
        let refused = output["refused"].as_str().unwrap();
        for part in [
            "PagerDuty at 127.0.0.1: it refused the message or the key (400): Event object is invalid: ",
            said,
            "the secret `WRONG` must hold the key of an integration with the Events API v2",
            "Opsgenie at 127.0.0.1: it refused the message or the key (401): Could not authenticate; the secret `WRONG`",
        ] {
            assert!(refused.contains(part), "no `{part}` in {refused}");
        }
        assert!(!format!("{refused}{}", setting.log.text()).contains(wrong), "{refused}");
        assert_eq!(output["by"], "true");
    }
    assert_eq!(pagers.incidents(), []);

    // Whoever took the page hears that it is over, also when a way before it is back.
    let setting = on_call(&"x".repeat(32));
    let [pagerduty, opsgenie, _] = services(&pagers, "PAGER");
    pagers.trouble(503);
    let params = page(json!([pagerduty, opsgenie]), json!({}));
    let output = setting.run("notify.page", &params).await.unwrap();
    assert_eq!(output["by"], "Opsgenie at 127.0.0.1");
    assert_eq!(output["refused"], "PagerDuty at 127.0.0.1: it is in trouble (503): not now");
    let mut over = params.clone();
    over["resolved"] = json!(true);
    assert_eq!(setting.run("notify.page", &over).await.unwrap()["by"], "Opsgenie at 127.0.0.1");
    assert!(!pagers.incidents()[0].open);

    for (status, why) in [
        (429, "it has had too many messages (429)"),
        (500, "it is in trouble (500)"),
        (200, "it answered 200 and not 202"),
        (302, "it answered 302, which leads elsewhere and is not followed"),
        (404, "nobody takes alerts at that address (404)"),
    ] {
        for way in services(&pagers, "PAGER") {
            pagers.trouble(status);
            let asked = pagers.requests();
            let params = page(json!([way]), json!({ "occasion": format!("{status} {way}") }));
            let refusal = setting.refusal("notify.page", &params).await;
            assert!(refusal.contains(why), "{refusal}");
            assert_eq!(pagers.requests(), asked + 1, "asked once");
        }
    }
    assert_eq!(pagers.incidents().len(), 1);

    let missing = page(json!([{ "pagerduty": "secret:NONE" }]), json!({ "occasion": "none" }));
    let refusal = setting.refusal("notify.page", &missing).await;
    assert!(refusal.contains("PagerDuty: the secret `NONE` is not configured"), "{refusal}");
}
