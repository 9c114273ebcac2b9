//! What a forge counts of a release: downloads, and the issues about it; page after page, also for everybody.

use serde_json::{Value, json};
use windlass_core::forge::Kind;
use windlass_engine::action::Undone;
use windlass_testkit::forges::{ForgeEmulator, Trouble};
use windlass_testkit::repo::RepoBuilder;

use crate::world::{SECRET, Setting};

const KINDS: [Kind; 4] = [Kind::GitHub, Kind::Forgejo, Kind::Gitea, Kind::GitLab];
const NAME: &str = "forge.adoption";

/// The release v0.2.0 with two files, and a repository that everybody may see.
fn scene(kind: Kind) -> (Setting, ForgeEmulator) {
    let repo = RepoBuilder::with_commit();
    repo.remote();
    let repository = if kind == Kind::GitLab { "acme/team/app" } else { "acme/app" };
    let forge = ForgeEmulator::start(kind, repository, &repo.remote_path(), SECRET);
    forge.add("v0.2.0", "Sail 0.2", "Notes", false);
    forge.attach("v0.2.0", "linux.tar.gz", 40);
    forge.attach("v0.2.0", "mac.tar.gz", 2);
    forge.public();
    (Setting::releasing(repo), forge)
}

fn params(forge: &ForgeEmulator, more: Value) -> Value {
    let mut params = json!({ "forge": forge.project() });
    params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    params
}

fn titles(output: &Value) -> Vec<&str> {
    output["issues"].as_array().unwrap().iter().map(|issue| issue["title"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn downloads_and_issues_are_counted_on_every_forge() {
    for kind in KINDS {
        let (setting, forge) = scene(kind);
        forge.issue("It sinks", &["v0.2.0", "bug"], true, false);
        forge.issue("Another release", &["v0.1.0"], true, false);
        forge.issue("A typing error", &["0.2.0"], false, false);
        forge.issue("A correction of it", &["v0.2.0"], true, true);
        forge.issue("Both\u{1b}[31m\nlabels", &["v0.2.0", "0.2.0"], true, false);
        let output = setting.run(NAME, &params(&forge, json!({}))).await.unwrap();
        assert_eq!(titles(&output), ["Both[31m labels", "A typing error", "It sinks"], "{kind}");
        assert_eq!(output["open_issues"], 2);
        let counted = if kind == Kind::GitLab { json!(null) } else { json!(42) };
        assert_eq!(output["downloads"], counted, "{kind}: nobody counts on GitLab, which is not none");
        assert_eq!(output["assets"][0]["name"], "linux.tar.gz");
        assert_eq!((forge.writes(), forge.complaints()), (0, Vec::new()));
        assert_eq!(
            setting.undo(NAME, &params(&forge, json!({})), &output).await.unwrap(),
            Undone::NothingToDo
        );

        let output = setting.run(NAME, &params(&forge, json!({ "labels": ["bug"] }))).await.unwrap();
        assert_eq!(titles(&output), ["It sinks"]);
        // Forgejo and Gitea pass over a label that is not there, and list all.
        let output = setting.run(NAME, &params(&forge, json!({ "labels": ["nowhere"] }))).await.unwrap();
        assert_eq!((titles(&output).len(), &output["open_issues"]), (0, &json!(0)), "{kind}");
    }
}

#[tokio::test]
async fn issues_are_found_on_all_pages() {
    for (kind, most) in [(Kind::GitHub, 100), (Kind::GitLab, 100), (Kind::Forgejo, 50), (Kind::Gitea, 7)] {
        let (setting, forge) = scene(kind);
        forge.page(most);
        for number in 0..2 * most {
            forge.issue(&number.to_string(), &["v0.2.0"], true, false);
        }
        let output = setting.run(NAME, &params(&forge, json!({ "labels": ["v0.2.0"] }))).await.unwrap();
        assert_eq!((titles(&output).len(), &output["open_issues"]), (2 * most, &json!(2 * most)), "{kind}");
        assert_eq!(output["truncated"], false, "{kind}");
    }
    // A hundred pages are looked through.
    let (setting, forge) = scene(Kind::Gitea);
    forge.page(1);
    for number in 0..101 {
        forge.issue(&number.to_string(), &["v0.2.0"], true, false);
    }
    let output = setting.run(NAME, &params(&forge, json!({ "labels": ["v0.2.0"] }))).await.unwrap();
    assert_eq!((titles(&output).len(), &output["truncated"]), (100, &json!(true)));
}

#[tokio::test]
async fn who_may_look_is_told() {
    let (setting, forge) = scene(Kind::GitHub);
    // The token is taken where there is one.
    let asked = params(&forge, json!({ "token": "TOKEN" }));
    assert_eq!(setting.run(NAME, &asked).await.unwrap()["downloads"], 42);
    let refusal = setting.final_refusal(NAME, &params(&forge, json!({ "token": "NONE" }))).await;
    assert!(refusal.contains("the secret `NONE` is not configured"), "{refusal}");
    for (status, headers, expect) in [
        (401, "", "set GITHUB_TOKEN to a token that may read"),
        (403, "", "set GITHUB_TOKEN to a token that may read"),
        (429, "retry-after: 3000\r\n", "answers again in 3000 s: try again then, or set GITHUB_TOKEN"),
    ] {
        forge.trouble("GET", Trouble::Answer(status, headers, "{}"));
        let refusal = setting.refusal(NAME, &params(&forge, json!({}))).await;
        assert!(refusal.contains(expect), "{refusal}");
    }
    for (more, expect) in [
        (json!({ "tag": "v9.0.0" }), "there is no release of v9.0.0 in acme/app"),
        (json!({ "labels": ["a,b"] }), "`a,b` cannot be a label: it holds a comma"),
        (json!({ "labels": [" "] }), "it is empty"),
    ] {
        let refusal = setting.final_refusal(NAME, &params(&forge, more)).await;
        assert!(refusal.contains(expect), "{refusal}");
    }
    // Nothing is told of what only some may see but how to see it.
    let mut asked = params(&forge, json!({}));
    asked["forge"]["repository"] = json!("acme/secret");
    let refusal = setting.final_refusal(NAME, &asked).await;
    assert!(refusal.contains("not everybody may see it") && refusal.contains("GITHUB_TOKEN"), "{refusal}");
}

#[tokio::test]
async fn a_repository_without_issues_has_none() {
    let (setting, forge) = scene(Kind::GitHub);
    forge.trouble_at(
        "/issues",
        Trouble::Answer(410, "", r#"{"message":"Issues are disabled for this repo"}"#),
    );
    let output = setting.run(NAME, &params(&forge, json!({}))).await.unwrap();
    assert_eq!((&output["open_issues"], &output["downloads"]), (&json!(0), &json!(42)));
}
