//! Releases on forges: made once, changed only when they are ours, taken back; and what is told when a forge refuses.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;
use serde_json::{Value, json};
use windlass_core::forge::Kind;
use windlass_core::plan::Reversibility;
use windlass_engine::action::{ActionError, Probe, Undone};
use windlass_engine::context::Clock;
use windlass_testkit::forges::{ForgeEmulator, Trouble};
use windlass_testkit::repo::RepoBuilder;

use crate::server::Server;
use crate::world::{SECRET, Setting, action};

const KINDS: [Kind; 4] = [Kind::GitHub, Kind::Forgejo, Kind::Gitea, Kind::GitLab];

/// The release 0.2.0, whose tag is pushed, and a forge that shows the remote.
fn scene(kind: Kind) -> (Setting, ForgeEmulator) {
    let repo = RepoBuilder::with_commit();
    repo.remote();
    repo.tag("v0.2.0").git(&["push", "--quiet", "origin", "v0.2.0"]);
    let repository = if kind == Kind::GitLab { "acme/team/app" } else { "acme/app" };
    let forge = ForgeEmulator::start(kind, repository, &repo.remote_path(), SECRET);
    (Setting::releasing(repo), forge)
}

fn params(forge: &ForgeEmulator, more: Value) -> Value {
    let mut params = json!({ "token": "TOKEN", "forge": forge.project() });
    params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    params
}

/// Title, text, and whether each is a draft and a pre-release, of all releases.
fn shown(forge: &ForgeEmulator) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or("").trim_end().to_owned();
    let flag = |value: &Value, name: &str| if *value == true { format!(" {name}") } else { String::new() };
    forge
        .releases()
        .iter()
        .map(|one| {
            let body = if one["body"].is_null() { &one["description"] } else { &one["body"] };
            let flags = flag(&one["draft"], "draft") + &flag(&one["prerelease"], "prerelease");
            format!("{} {:?} {:?}{flags}", text(&one["tag_name"]), text(&one["name"]), text(body))
        })
        .collect()
}

const PLANNED: &str = r##"v0.2.0 "v0.2.0" "# Notes\n\n- fly""##;

#[tokio::test]
async fn a_release_is_made_once_and_taken_back_on_every_forge() {
    for kind in KINDS {
        let (setting, forge) = scene(kind);
        let params = params(&forge, json!({}));
        assert_eq!(setting.probe("forge.release", &params).await.unwrap(), Probe::Absent, "{kind}");
        let output = setting.run("forge.release", &params).await.unwrap();
        assert_eq!(shown(&forge), [PLANNED], "{kind}");
        assert_eq!(output["made"], true, "{kind}: {output}");
        let page = output["url"].as_str().unwrap();
        assert!(page.starts_with("https://forge.example/acme/") && page.ends_with("/v0.2.0"), "{page}");
        assert_eq!(
            setting.probe("forge.release", &params).await.unwrap(),
            Probe::Done(output.clone()),
            "{kind}"
        );
        assert_eq!(setting.run("forge.release", &params).await.unwrap(), output, "{kind}");
        assert_eq!(forge.writes(), 1, "{kind}: {:?}", forge.requests());

        let undone = setting.undo("forge.release", &params, &output).await.unwrap();
        assert!(matches!(&undone, Undone::Reverted(told) if told.contains("the tag stays")), "{undone:?}");
        assert!(forge.releases().is_empty());
        assert!(setting.repo.remote_git(&["tag", "--list"]).contains("v0.2.0"));
        assert_eq!(setting.undo("forge.release", &params, &output).await.unwrap(), Undone::NothingToDo);
        assert_eq!((forge.writes(), forge.complaints()), (2, Vec::new()), "{kind}");
        assert!(!setting.log.text().contains(SECRET));
    }
}

#[tokio::test]
async fn what_is_asked_is_what_is_shown() {
    for (kind, channel, more, expect) in [
        (Kind::GitHub, "rc", json!({}), r##"v0.2.0 "v0.2.0" "# Notes\n\n- fly" prerelease"##),
        (Kind::GitHub, "hotfix", json!({}), PLANNED),
        (Kind::Forgejo, "beta", json!({ "prerelease": false }), PLANNED),
        (Kind::GitLab, "rc", json!({}), PLANNED),
        (
            Kind::GitHub,
            "stable",
            json!({ "name": "Flying", "draft": true, "prerelease": true }),
            r##"v0.2.0 "Flying" "# Notes\n\n- fly" draft prerelease"##,
        ),
        (Kind::Gitea, "stable", json!({ "notes": "RELEASE_NOTES.md" }), r#"v0.2.0 "v0.2.0" "Read me.""#),
    ] {
        let (mut setting, forge) = scene(kind);
        let mut release = crate::world::release();
        release.channel = channel.into();
        setting.world.release = Some(Arc::new(release));
        setting.repo.file("RELEASE_NOTES.md", "Read me.\n");
        setting.run("forge.release", &params(&forge, more)).await.unwrap();
        assert_eq!(shown(&forge), [expect], "{kind} {channel}");
    }
}

#[tokio::test]
async fn tags_with_slashes_are_found() {
    for kind in KINDS {
        let (mut setting, forge) = scene(kind);
        setting.repo.tag("api/v1.0.0+b%2F").git(&["push", "--quiet", "origin", "api/v1.0.0+b%2F"]);
        let mut release = crate::world::release();
        release.tag = "api/v1.0.0+b%2F".into();
        setting.world.release = Some(Arc::new(release));
        let params = params(&forge, json!({}));
        let output = setting.run("forge.release", &params).await.unwrap();
        assert_eq!(forge.releases()[0]["tag_name"], "api/v1.0.0+b%2F", "{kind}");
        assert_eq!(setting.probe("forge.release", &params).await.unwrap(), Probe::Done(output), "{kind}");
    }
}

/// The forge took the release, and nobody heard of it: the process died, or the connection broke.
#[tokio::test]
async fn a_release_whose_answer_was_lost_is_found_and_is_ours() {
    for kind in KINDS {
        for draft in [false, true] {
            if draft && kind == Kind::GitLab {
                continue;
            }
            let (setting, forge) = scene(kind);
            let params = params(&forge, json!({ "draft": draft }));
            forge.trouble("POST", Trouble::Lose);
            let error = setting.run("forge.release", &params).await.unwrap_err();
            assert!(error.is_retryable(), "{error}");
            let Probe::Done(output) = setting.probe("forge.release", &params).await.unwrap() else {
                panic!()
            };
            assert_eq!(output["made"], true);
            assert_eq!(setting.run("forge.release", &params).await.unwrap(), output);
            assert_eq!((forge.releases().len(), forge.writes()), (1, 1), "{kind}");
            let undone = setting.undo("forge.release", &params, &output).await.unwrap();
            assert!(
                matches!(undone, Undone::Reverted(_)) && forge.releases().is_empty(),
                "{kind}: {undone:?}"
            );
        }
    }
}

/// The engine takes back what a run began under a path of its own.
#[tokio::test]
async fn a_release_whose_answer_was_lost_is_taken_back_at_once() {
    for kind in KINDS {
        let (setting, forge) = scene(kind);
        let params = params(&forge, json!({}));
        forge.trouble("POST", Trouble::Lose);
        setting.run("forge.release", &params).await.unwrap_err();
        let mut back = setting.context();
        back.path = windlass_core::plan::StepPath::new("undo/step/1");
        let release = action("forge.release");
        let Probe::Done(output) = release.probe(&params, &back).await.unwrap() else { panic!() };
        let undone = release.undo(&params, &output, &back).await.unwrap();
        assert!(matches!(undone, Undone::Reverted(_)) && forge.releases().is_empty(), "{kind}: {undone:?}");
    }
}

/// It died before the forge heard of it, or the forge refused: nothing is ours.
#[tokio::test]
async fn a_release_that_was_never_made_is_not_claimed() {
    let (setting, forge) = scene(Kind::GitHub);
    let params = params(&forge, json!({}));
    forge.trouble("POST", Trouble::Answer(422, "", r#"{"message":"Validation Failed"}"#));
    setting.final_refusal("forge.release", &params).await;
    assert_eq!(setting.probe("forge.release", &params).await.unwrap(), Probe::Absent);
    // Somebody makes the very same.
    forge.add("v0.2.0", "v0.2.0", "# Notes\n\n- fly\n", false);
    let output = setting.run("forge.release", &params).await.unwrap();
    assert_eq!(output["made"], false);
    assert_eq!(setting.undo("forge.release", &params, &output).await.unwrap(), Undone::NothingToDo);
    assert_eq!(forge.releases().len(), 1);
}

#[tokio::test]
async fn a_release_of_somebody_else_is_refused_or_replaced_and_put_back() {
    for kind in KINDS {
        let (setting, forge) = scene(kind);
        forge.add("v0.2.0", "Flying", "Ours.", false);
        let asked = params(&forge, json!({}));
        let refusal = setting.final_refusal("forge.release", &asked).await;
        for words in
            ["did not make (it has another title, it has another text)", "`replace: true`", "forge.example"]
        {
            assert!(refusal.contains(words), "{kind}: {refusal}");
        }
        let Probe::Conflict(why) = setting.probe("forge.release", &asked).await.unwrap() else { panic!() };
        assert_eq!((why, forge.writes()), (refusal, 0));

        let asked = params(&forge, json!({ "replace": true }));
        assert_eq!(setting.probe("forge.release", &asked).await.unwrap(), Probe::Absent);
        let output = setting.run("forge.release", &asked).await.unwrap();
        assert_eq!(shown(&forge), [PLANNED], "{kind}");
        assert_eq!((&output["made"], &output["before"]["body"]), (&json!(false), &json!("Ours.")));
        assert_eq!(setting.probe("forge.release", &asked).await.unwrap(), Probe::Done(output.clone()));
        let undone = setting.undo("forge.release", &asked, &output).await.unwrap();
        assert!(matches!(&undone, Undone::Reverted(told) if told.contains("put back")), "{undone:?}");
        assert_eq!(shown(&forge), [r#"v0.2.0 "Flying" "Ours.""#], "{kind}");
        assert_eq!(setting.undo("forge.release", &asked, &output).await.unwrap(), Undone::NothingToDo);

        // The answer to the change is lost: what was there before is still known.
        forge.trouble(if kind == Kind::GitLab { "PUT" } else { "PATCH" }, Trouble::Lose);
        assert!(setting.run("forge.release", &asked).await.unwrap_err().is_retryable());
        let Probe::Done(output) = setting.probe("forge.release", &asked).await.unwrap() else { panic!() };
        assert_eq!(output["before"]["body"], "Ours.");
    }
}

#[tokio::test]
async fn a_release_that_this_run_made_may_be_changed_by_a_later_step() {
    let (setting, forge) = scene(Kind::GitHub);
    let draft = params(&forge, json!({ "draft": true }));
    let drafted = setting.run("forge.release", &draft).await.unwrap();
    let publish = params(&forge, json!({}));
    let mut later = setting.context();
    later.path = windlass_core::plan::StepPath::new("publish/1");
    let release = action("forge.release");
    assert_eq!(release.probe(&publish, &later).await.unwrap(), Probe::Absent);
    let published = release.run(&publish, &later).await.unwrap();
    assert_eq!(shown(&forge), [PLANNED]);
    assert_eq!((&published["made"], &published["id"]), (&json!(false), &drafted["id"]));
    // Another run has no say in it.
    let mut other = setting.context();
    other.run = windlass_core::run::RunId("other".into());
    assert!(
        matches!(release.probe(&draft, &other).await.unwrap(), Probe::Conflict(why) if why.contains("is published"))
    );

    assert!(matches!(release.undo(&publish, &published, &later).await.unwrap(), Undone::Reverted(_)));
    assert_eq!(forge.releases()[0]["draft"], true);
    assert!(matches!(setting.undo("forge.release", &draft, &drafted).await.unwrap(), Undone::Reverted(_)));
    assert!(forge.releases().is_empty());
}

#[tokio::test]
async fn what_somebody_changed_since_is_not_taken_back() {
    for kind in KINDS {
        let (setting, forge) = scene(kind);
        let params = params(&forge, json!({}));
        let output = setting.run("forge.release", &params).await.unwrap();
        forge.edit("v0.2.0", "Better words.");
        let undone = setting.undo("forge.release", &params, &output).await.unwrap();
        assert!(matches!(&undone, Undone::NeedsHuman(why) if why.contains("somebody changed")), "{undone:?}");
        assert_eq!(forge.releases().len(), 1);
        // Line ends and trailing space are the forge's business.
        forge.edit("v0.2.0", "# Notes\r\n\r\n- fly");
        assert!(matches!(
            setting.undo("forge.release", &params, &output).await.unwrap(),
            Undone::Reverted(_)
        ));
    }
}

#[tokio::test]
async fn drafts_are_found_behind_many_releases() {
    let (setting, forge) = scene(Kind::GitHub);
    forge.add("v0.2.0", "v0.2.0", "# Notes\n\n- fly\n", true);
    for number in 0..230 {
        forge.add(&format!("v0.1.{number}"), "x", "x", false);
    }
    let asked = params(&forge, json!({ "draft": true }));
    assert!(matches!(setting.probe("forge.release", &asked).await.unwrap(), Probe::Done(_)));
    let pages = forge.requests().iter().filter(|request| request.contains("per_page=100")).count();
    assert_eq!(pages, 3);
    forge.add("v0.2.0", "v0.2.0", "other", true);
    let refusal = setting.final_refusal("forge.release", &asked).await;
    assert!(
        refusal.contains("has 2 drafts of v0.2.0") && refusal.contains("/acme/app/releases"),
        "{refusal}"
    );
}

#[tokio::test]
async fn a_tag_that_the_forge_does_not_have_is_never_made_by_it() {
    for kind in KINDS {
        let (setting, forge) = scene(kind);
        setting.repo.remote_git(&["tag", "--delete", "v0.2.0"]);
        let refusal = setting.final_refusal("forge.release", &params(&forge, json!({}))).await;
        assert!(
            refusal.contains("no tag v0.2.0 in acme/") && refusal.contains("git.push"),
            "{kind}: {refusal}"
        );
        setting.repo.file("x", "x").commit("feat: x");
        setting.repo.git(&["push", "--quiet", "origin", "HEAD:refs/tags/v0.2.0"]);
        let refusal = setting.final_refusal("forge.release", &params(&forge, json!({}))).await;
        assert!(refusal.contains("names something else than the tag here"), "{kind}: {refusal}");
        assert_eq!((forge.writes(), forge.complaints()), (0, Vec::new()));
    }
}

#[tokio::test]
async fn refusals_say_what_to_do() {
    type Prepare = fn(&ForgeEmulator);
    let cases: &[(Kind, Prepare, bool, &[&str])] = &[
        (
            Kind::GitHub,
            |forge| forge.trouble("GET", Trouble::Answer(401, "", r#"{"message":"Bad credentials"}"#)),
            true,
            &["(401): Bad credentials", "not valid", "Contents: write"],
        ),
        (Kind::GitHub, |forge| forge.read_only(), true, &["(403)", "not accessible", "Contents: write"]),
        (Kind::Forgejo, |forge| forge.read_only(), true, &["(403)", "`write:repository`"]),
        (Kind::GitLab, |forge| forge.read_only(), true, &["(403)", "scope `api`", "Developer"]),
        (
            Kind::GitHub,
            |forge| {
                let said = r#"{"message":"Validation Failed","errors":[{"message":"no\u001b[31m\nway"}]}"#;
                forge.trouble("POST", Trouble::Answer(422, "", said));
            },
            true,
            &["(422): Validation Failed; no[31m way"],
        ),
        (
            Kind::GitLab,
            |forge| {
                forge.trouble("POST", Trouble::Answer(409, "", r#"{"message":"Release already exists"}"#))
            },
            false,
            &["(409): Release already exists"],
        ),
        (
            Kind::Forgejo,
            |forge| forge.trouble("POST", Trouble::Answer(307, "Location: http://127.0.0.1:1/\r\n", "")),
            true,
            &["has moved (307)", "[forge] repository"],
        ),
        (
            Kind::Forgejo,
            |forge| forge.trouble("GET", Trouble::Answer(302, "Location: http://127.0.0.1:1/\r\n", "")),
            false,
            &["redirects to another host"],
        ),
        (
            Kind::Gitea,
            |forge| forge.trouble("GET", Trouble::Answer(200, "", "<html>hello</html>")),
            false,
            &["answered with no JSON", "is it a Gitea?"],
        ),
        (
            Kind::GitHub,
            |forge| forge.trouble("POST", Trouble::Answer(502, "", "<html>bad gateway</html>")),
            false,
            &["failed to make the release (502)"],
        ),
        (
            Kind::GitHub,
            |forge| {
                let headers = "X-RateLimit-Remaining: 0\r\nRetry-After: 4000\r\n";
                forge.trouble(
                    "GET",
                    Trouble::Answer(403, headers, r#"{"message":"API rate limit exceeded"}"#),
                );
            },
            false,
            &["too many requests", "4000 s"],
        ),
    ];
    for (kind, prepare, is_final, expect) in cases {
        let (setting, forge) = scene(*kind);
        prepare(&forge);
        let error = setting.run("forge.release", &params(&forge, json!({}))).await.unwrap_err();
        assert_eq!(matches!(error, ActionError::Final(_)), *is_final, "{kind}: {error}");
        for words in *expect {
            assert!(error.to_string().contains(words), "{kind}: no `{words}` in {error}");
        }
        assert!(!error.to_string().contains(SECRET) && !error.to_string().contains(char::is_control));
        assert!(forge.releases().is_empty());
    }

    let (setting, forge) = scene(Kind::GitHub);
    let mut elsewhere = params(&forge, json!({}));
    elsewhere["forge"]["repository"] = json!("acme/secret");
    let refusal = setting.final_refusal("forge.release", &elsewhere).await;
    assert!(refusal.contains("acme/secret on 127.0.0.1") && refusal.contains("may not see it"), "{refusal}");
    // Nobody speaks TLS there.
    elsewhere["forge"]["url"] = json!(forge.url().replace("http:", "https:"));
    let error = setting.run("forge.release", &elsewhere).await.unwrap_err();
    assert!(error.is_retryable() && error.to_string().contains("did not answer"), "{error}");
}

#[tokio::test]
async fn a_forge_that_says_the_token_again_is_masked() {
    let (setting, forge) = scene(Kind::GitHub);
    forge.trouble("GET", Trouble::Answer(401, "", r#"{"message":"bad token correct-horse-battery"}"#));
    let refusal = setting.final_refusal("forge.release", &params(&forge, json!({}))).await;
    assert!(refusal.contains("bad token ***"), "{refusal}");
}

/// A token never goes to another host, also when the forge sends us there.
#[tokio::test]
async fn the_token_goes_to_no_other_host() {
    let other = Server::start().await;
    let location: &str = format!("Location: {}\r\n", other.url("/ok")).leak();
    for (method, status) in [("GET", 302), ("GET", 307), ("POST", 302), ("POST", 307), ("POST", 308)] {
        let (setting, forge) = scene(Kind::Forgejo);
        forge.trouble(method, Trouble::Answer(status, location, ""));
        let _error = setting.run("forge.release", &params(&forge, json!({}))).await.unwrap_err();
        assert_eq!((other.asked(), forge.releases().len()), (0, 0), "{method} {status}");
    }
}

#[tokio::test]
async fn a_token_that_is_missing_is_named_with_its_variable() {
    for (kind, variable) in KINDS.iter().zip(["GITHUB_TOKEN", "FORGEJO_TOKEN", "GITEA_TOKEN", "GITLAB_TOKEN"])
    {
        let (setting, forge) = scene(*kind);
        for token in ["forge", "NONE"] {
            let refusal =
                setting.final_refusal("forge.release", &params(&forge, json!({ "token": token }))).await;
            assert!(refusal.contains(variable) && refusal.contains("[secrets]"), "{refusal}");
        }
        assert!(forge.requests().is_empty());
    }
}

#[tokio::test]
async fn what_cannot_work_is_refused_before_anything_is_asked() {
    let long = "x".repeat(125_001);
    for (kind, more, notes, expect) in [
        (Kind::GitLab, json!({ "draft": true }), "x", "GitLab has no draft releases"),
        (Kind::GitLab, json!({ "prerelease": true }), "x", "GitLab cannot mark"),
        (Kind::GitHub, json!({}), long.as_str(), "125002 characters, and GitHub takes 125000"),
        (Kind::GitHub, json!({ "notes": "../x" }), "x", "no path inside the repository"),
        (Kind::GitHub, json!({ "tag": "v0.1.0" }), "x", "`notes` must name a file"),
        (Kind::GitHub, json!({ "tag": "-x" }), "x", "-x"),
    ] {
        let (mut setting, forge) = scene(kind);
        let mut release = crate::world::release();
        release.notes = notes.into();
        setting.world.release = Some(Arc::new(release));
        let error = setting.effects("forge.release", &params(&forge, more.clone())).unwrap_err().to_string();
        assert!(error.contains(expect), "{kind} {more}: {error}");
        assert_eq!(setting.final_refusal("forge.release", &params(&forge, more)).await, error);
        assert!(forge.requests().is_empty());
    }
    let (setting, forge) = scene(Kind::GitHub);
    setting.repo.file("BIG.md", &long);
    for (more, expect) in [
        (json!({ "notes": "NONE.md" }), "there is no file NONE.md"),
        (json!({ "notes": "BIG.md" }), "125001 characters"),
    ] {
        let refusal = setting.final_refusal("forge.release", &params(&forge, more)).await;
        assert!(refusal.contains(expect), "{refusal}");
    }
    assert!(forge.requests().is_empty());
    let mut open = params(&forge, json!({}));
    open["forge"]["url"] = json!("http://git.example.com");
    let refusal = setting.final_refusal("forge.release", &open).await;
    assert!(refusal.contains("for everybody to read"), "{refusal}");
    let refusal = setting.effects("forge.release", &json!({})).unwrap_err().to_string();
    assert!(refusal.contains("nobody says which forge"), "{refusal}");
}

#[test]
fn plans_tell_what_can_be_taken_back() {
    let (setting, forge) = scene(Kind::GitHub);
    for (more, verb, reversibility, label) in [
        (json!({}), "publish release", Reversibility::Compensable, "publish the release v0.2.0 on 127.0.0.1"),
        (json!({ "draft": true }), "draft release", Reversibility::Reversible, "draft the release of v0.2.0"),
        (
            json!({ "prerelease": true }),
            "publish release",
            Reversibility::Compensable,
            "publish the pre-release",
        ),
    ] {
        let params = params(&forge, more);
        let effects = setting.effects("forge.release", &params).unwrap();
        assert_eq!((effects.len(), effects[0].verb.as_str()), (1, verb));
        assert_eq!(effects[0].reversibility, reversibility);
        assert!(effects[0].target.ends_with("/acme/app v0.2.0"), "{effects:?}");
        let told = action("forge.release").label(&params, &setting.facts());
        assert!(told.contains(label), "{told}");
    }
}

/// A clock that goes on at once when somebody waits for it, and keeps how far.
struct Jumping(AtomicI64);

impl Clock for Jumping {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.0.load(Ordering::SeqCst)).unwrap()
    }

    fn sleep_until(&self, until: Timestamp) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.0.store(until.as_second(), Ordering::SeqCst);
        Box::pin(async {})
    }
}

#[tokio::test]
async fn a_forge_that_wants_to_be_left_alone_is_waited_for() {
    let (mut setting, forge) = scene(Kind::GitHub);
    let clock = Arc::new(Jumping(AtomicI64::new(1_000_000)));
    setting.world.clock = Arc::clone(&clock) as Arc<dyn Clock>;
    forge.trouble("GET", Trouble::Answer(429, "Retry-After: 50\r\n", ""));
    forge.trouble(
        "POST",
        Trouble::Answer(403, "X-RateLimit-Remaining: 0\r\nX-RateLimit-Reset: 1000090\r\n", ""),
    );
    setting.run("forge.release", &params(&forge, json!({}))).await.unwrap();
    assert_eq!((shown(&forge), clock.0.load(Ordering::SeqCst)), (vec![PLANNED.to_owned()], 1_000_090));
    assert!(setting.log.text().contains("make the release again in 40 s"), "{}", setting.log.text());
}

#[tokio::test]
async fn a_cancelled_run_waits_for_no_forge() {
    for trouble in [Trouble::Hang, Trouble::Answer(429, "Retry-After: 100\r\n", "")] {
        let (setting, forge) = scene(Kind::GitHub);
        forge.trouble("GET", trouble);
        let context = setting.context();
        let (release, params) = (action("forge.release"), params(&forge, json!({})));
        let run = release.run(&params, &context);
        let cancel = async {
            while forge.requests().is_empty() {
                tokio::task::yield_now().await;
            }
            context.cancel.cancel();
        };
        let (ended, ()) = tokio::join!(run, cancel);
        assert_eq!(ended.unwrap_err(), ActionError::Cancelled);
    }
}
