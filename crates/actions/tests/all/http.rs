//! `http.check`: what passes, what fails and what cannot be asked.

use std::time::Instant;

use serde_json::{Value, json};
use windlass_engine::action::ActionError;
use windlass_testkit::repo::RepoBuilder;

use crate::server::Server;
use crate::world::{SECRET, Setting, action};

#[tokio::test]
async fn answers_are_judged() {
    let server = Server::start().await;
    let setting = Setting::new(RepoBuilder::new());
    let check = async |path: &str, expect: Value, why: &str| {
        let params = json!({ "url": server.url(path), "expect": expect });
        match setting.run("http.check", &params).await {
            Ok(output) => {
                assert_eq!((why, &output["status"]), ("", &expect["status"].as_u64().unwrap_or(200).into()))
            }
            Err(ActionError::Failed(message)) => {
                assert!(!why.is_empty() && message.contains(why), "{path} {expect}: {message}");
                assert!(!message.contains('\u{1b}'));
            }
            Err(other) => panic!("{other:?}"),
        }
    };
    check("/ok", json!({}), "").await;
    check("/ok", json!({ "json": { "$.status": "healthy", "$.n": 1, "$.parts[*].up": true } }), "").await;
    check("/ok", json!({ "status": 404 }), "answered 200, not 404").await;
    check("/none", json!({ "status": 404 }), "").await;
    check("/none", json!({}), "/none answered 404, not 200").await;
    check(
        "/sick",
        json!({ "json": { "$.status": "healthy" } }),
        "answered with \"si\\u001b[31mck\" at $.status, not \"healthy\"",
    )
    .await;
    check(
        "/sick",
        json!({ "json": { "$.parts[*].up": true } }),
        "answered with false at $.parts[*].up, not true",
    )
    .await;
    check("/ok", json!({ "json": { "$.missing": 1 } }), "answered with nothing at $.missing").await;
    check("/text", json!({ "json": { "$.a": 1 } }), "answered with no JSON").await;
    check("/text", json!({ "body": "version 0\\.2\\.\\d" }), "").await;
    check("/text", json!({ "body": "version 0\\.3" }), "answered without a match of").await;
    check("/big", json!({ "body": "^x+$" }), "").await;
    check("/big", json!({ "json": { "$": 1 } }), "more than 1 MiB").await;
    check("/broken", json!({}), "did not answer").await;
    check("/loop", json!({}), "too many redirects").await;
}

#[tokio::test]
async fn what_cannot_be_asked_is_final() {
    let setting = Setting::new(RepoBuilder::new());
    for (params, why) in [
        (json!({ "url": "not a url" }), "is no address"),
        (json!({ "url": "file:///etc/passwd" }), "write http:// or https://"),
        (json!({ "url": "http://localhost:1", "headers": { "a b": "x" } }), "is no name of a header"),
        (json!({ "url": "http://localhost:1", "headers": { "a": "x\ny" } }), "cannot be sent"),
        (
            json!({ "url": "http://localhost:1", "headers": { "a": "secret:NONE" } }),
            "`NONE` is not configured",
        ),
        (json!({ "url": "http://localhost:1", "expect": { "json": { "status": 1 } } }), "is no JSONPath"),
        (json!({ "url": "http://localhost:1", "expect": { "body": "(" } }), "no regular expression"),
        (
            json!({ "url": "http://localhost:1", "expect": { "body": "(\\w{1000}){1000}" } }),
            "no regular expression",
        ),
        (json!({ "url": "http://localhost:1", "method": "POST" }), "parameters do not fit"),
        (json!({ "url": "http://localhost:1", "retries": 1000 }), "use a watch"),
    ] {
        assert!(setting.final_refusal("http.check", &params).await.contains(why), "{params}");
    }
    let closed = json!({ "url": "http://user:pass@127.0.0.1:1/x?key=1" });
    let why = setting.refusal("http.check", &closed).await;
    assert!(why.starts_with("http://127.0.0.1:1/x did not answer: ") && why.contains("refused"), "{why}");
}

#[tokio::test]
async fn it_tries_again_and_takes_no_longer_than_told() {
    let server = Server::start().await;
    let setting = Setting::new(RepoBuilder::new());
    let params = json!({ "url": server.url("/flaky"), "retries": 5, "delay": "10ms" });
    assert_eq!(setting.run("http.check", &params).await.unwrap(), json!({ "status": 200, "attempts": 3 }));
    assert_eq!(server.asked(), 3);
    let params = json!({ "url": server.url("/slow"), "timeout": "100ms" });
    assert!(setting.refusal("http.check", &params).await.contains("no answer within 100 ms"));

    let context = setting.context();
    let params = json!({ "url": server.url("/slow") });
    let start = Instant::now();
    let action = action("http.check");
    let cancel = async { context.cancel.cancel() };
    let (result, ()) = tokio::join!(action.run(&params, &context), cancel);
    assert_eq!(result, Err(ActionError::Cancelled));
    assert!(start.elapsed().as_secs() < 5);
}

#[tokio::test]
async fn secret_headers_stay_with_their_host() {
    let (server, other) = (Server::start().await, Server::start().await);
    let setting = Setting::new(RepoBuilder::new());
    server.redirect_to(other.url("/ok"));
    let open = json!({ "url": server.url("/elsewhere") });
    setting.run("http.check", &open).await.unwrap();
    assert_eq!(other.asked(), 1);
    let params =
        json!({ "url": server.url("/elsewhere"), "headers": { "X-Key": "secret:TOKEN", "accept": "a/b" } });
    let why = setting.refusal("http.check", &params).await;
    assert!(why.contains("another host"), "{why}");
    assert_eq!(other.asked(), 1);
    assert!(server.heads().contains(&format!("x-key: {SECRET}")) && server.heads().contains("accept: a/b"));
    assert!(!setting.log.text().contains(SECRET));
}
