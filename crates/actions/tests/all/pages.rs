//! Pages: the ways in their order, what each gets, and that nothing is said twice.

use serde_json::{Value, json};
use windlass_engine::action::Probe;
use windlass_testkit::repo::RepoBuilder;

use crate::server::Server;
use crate::world::{SECRET, Setting};

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
    for (channels, expect) in
        [(json!([]), "[notify] page ="), (json!([{}]), "needs one of `command` and `url`")]
    {
        let error = setting.effects("notify.page", &page(channels, json!({}))).unwrap_err().to_string();
        assert!(error.contains(expect), "{error}");
    }
}
