//! Marks on dashboards: what stands there, that a lost answer makes no second one, and that only our own is deleted.

use std::sync::Arc;

use serde_json::{Value, json};
use windlass_core::plan::StepPath;
use windlass_engine::action::{ActionError, Probe, Undone};
use windlass_testkit::grafana::{GrafanaEmulator, Trouble};
use windlass_testkit::repo::RepoBuilder;

use crate::world::{SECRET, Setting, action};

const NAME: &str = "grafana.annotate";

fn marks(more: Value) -> (Setting, GrafanaEmulator, Value) {
    let grafana = GrafanaEmulator::start(SECRET);
    let mut params = json!({ "url": grafana.url(), "token": "TOKEN" });
    for (key, value) in more.as_object().unwrap() {
        params[key] = value.clone();
    }
    (Setting::releasing(RepoBuilder::new()), grafana, params)
}

#[tokio::test]
async fn a_release_is_a_region_with_its_names() {
    let (setting, grafana, params) = marks(json!({
        "service": "shop", "environment": "production", "tags": ["team:web"], "dashboard": "abc", "panel": 2,
    }));
    let mut context = setting.context();
    context.began = "2026-03-01T12:00:00Z".parse().unwrap();
    let output = action(NAME).run(&params, &context).await.unwrap();
    let made = grafana.annotations().remove(0);
    assert_eq!(made["time"], 1_772_366_400_000_i64);
    assert!(made["timeEnd"].as_i64() > made["time"].as_i64());
    assert_eq!(made["text"], "shop 0.2.0 in production");
    assert_eq!((&made["dashboardUID"], &made["panelId"]), (&json!("abc"), &json!(2)));
    let tags: Vec<&str> = made["tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap()).collect();
    assert!(tags[1].starts_with("windlass-") && tags[1].len() == 25, "{tags:?}");
    let run = context.run.to_string();
    assert_eq!(
        (tags[0], &tags[2..]),
        ("windlass", &[run.as_str(), "shop", "production", "0.2.0", "team:web"][..])
    );
    assert_eq!((&output["id"], &output["tags"]), (&made["id"], &made["tags"]));
}

#[tokio::test]
async fn where_it_begins_is_said() {
    for (from, expect) in [("now", None), ("2026-03-01T12:00:00Z", Some(1_772_366_400_000_i64))] {
        let (setting, grafana, params) = marks(json!({ "from": from, "text": "hello \u{1b}[31m" }));
        setting.run(NAME, &params).await.unwrap();
        let made = grafana.annotations().remove(0);
        assert_eq!(
            (made["text"].as_str(), made["timeEnd"].is_null()),
            (Some("hello [31m"), expect.is_none())
        );
        if let Some(expect) = expect {
            assert_eq!(made["time"], expect);
        }
    }
}

#[tokio::test]
async fn what_a_killed_run_made_is_found_again() {
    let (setting, grafana, params) = marks(json!({}));
    let before = grafana.add(&["windlass", "production"]);
    // It is made, and nobody hears of it.
    grafana.trouble(Trouble::Lose);
    assert!(matches!(setting.run(NAME, &params).await, Err(ActionError::Failed(_))));
    let Probe::Done(found) = setting.probe(NAME, &params).await.unwrap() else { panic!("not found") };
    assert_eq!(setting.run(NAME, &params).await.unwrap(), found);
    assert_eq!(grafana.annotations().len(), 2, "twice is once");
    // Another item marks for itself.
    let mut other = setting.context();
    other.path = StepPath::new("step/2");
    action(NAME).run(&params, &other).await.unwrap();
    assert_eq!(grafana.annotations().len(), 3);
    // Taken back from where an undo stands, exactly what was made is gone.
    let mut undo = setting.context();
    undo.path = StepPath::new("undo/step/1");
    let undone = action(NAME).undo(&params, &found, &undo).await.unwrap();
    assert!(
        matches!(&undone, Undone::Reverted(told) if told.contains("deleted the mark 2 on 127.0.0.1")),
        "{undone:?}"
    );
    let left: Vec<Value> = grafana.annotations().iter().map(|one| one["id"].clone()).collect();
    assert_eq!(left, [json!(before), json!(3)]);
}

#[tokio::test]
async fn what_somebody_made_theirs_stays() {
    let (setting, grafana, params) = marks(json!({}));
    let output = setting.run(NAME, &params).await.unwrap();
    grafana.retag(output["id"].as_u64().unwrap(), &["kept"]);
    assert_eq!(setting.undo(NAME, &params, &output).await.unwrap(), Undone::NothingToDo);
    assert_eq!(grafana.annotations().len(), 1);
}

#[tokio::test]
async fn what_goes_wrong_is_told_in_words() {
    let (mut setting, grafana, params) = marks(json!({}));
    for (trouble, retryable, expect) in [
        (
            403,
            false,
            "does not let us set the mark (403): not now; the service account of the secret `TOKEN` needs",
        ),
        (302, false, "has moved (302): write its address as `url`"),
        (400, false, "does not let us set the mark (400): not now"),
        (503, true, "failed to set the mark (503): not now"),
        (429, true, "failed to set the mark (429)"),
    ] {
        grafana.trouble(Trouble::Answer(trouble));
        let error = setting.run(NAME, &params).await.unwrap_err();
        assert!(error.is_retryable() == retryable && error.to_string().contains(expect), "{error}");
        assert!(!error.to_string().contains(SECRET));
    }
    assert!(grafana.annotations().is_empty());
    // Nobody answers: a run that goes on is not kept by it, and one that is taken back says so.
    let away = json!({ "url": "http://127.0.0.1:9", "token": "TOKEN" });
    assert_eq!(setting.probe(NAME, &away).await.unwrap(), Probe::Absent);
    assert!(setting.refusal(NAME, &away).await.contains("127.0.0.1:9/api/annotations did not answer"));
    let mut undo = setting.context();
    undo.path = StepPath::new("undo/step/1");
    assert!(action(NAME).probe(&away, &undo).await.is_err());
    // Not Grafana at all.
    let server = crate::server::Server::start().await;
    let other = json!({ "url": server.url(""), "token": "TOKEN" });
    assert!(setting.final_refusal(NAME, &other).await.contains("does not let us look for the mark (404)"));
    // Another token.
    setting.world.secrets = Arc::new([("TOKEN".to_owned(), "another-token".to_owned())].into());
    let why = setting.final_refusal(NAME, &params).await;
    assert!(why.contains("(401): Invalid API key; the token in the secret `TOKEN` is not valid"), "{why}");
    assert!(grafana.requests().iter().all(|asked| asked.ends_with(" /api/annotations")));
}

#[test]
fn parameters_that_cannot_work_are_refused_when_planned() {
    let setting = Setting::releasing(RepoBuilder::new());
    for (more, expect) in [
        (json!({ "url": "http://grafana.example" }), "would send the token for everybody to read"),
        (json!({ "url": "grafana" }), "is no address"),
        (json!({ "from": "yesterday" }), "`from` is `run`, `now` or an instant"),
        (json!({ "panel": 3 }), "a `panel` is one of a `dashboard`"),
        (json!({ "tags": ["x".repeat(51)] }), "is no tag"),
        (json!({ "tags": [""] }), "is no tag"),
    ] {
        let mut params = json!({ "url": "https://grafana.example", "token": "TOKEN" });
        for (key, value) in more.as_object().unwrap() {
            params[key] = value.clone();
        }
        let error = setting.effects(NAME, &params).unwrap_err().to_string();
        assert!(error.contains(expect), "{error}");
    }
}
