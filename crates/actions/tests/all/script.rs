//! `script`: languages, outputs, secrets, failures.

use serde_json::{Value, json};
use windlass_engine::action::{ActionError, Probe, Undone};
use windlass_testkit::repo::RepoBuilder;

use crate::world::{SECRET, Setting, action};

fn script(language: &str, text: &str) -> Value {
    json!({ "language": language, "text": text })
}

#[tokio::test]
async fn languages_and_outputs() {
    let setting = Setting::new(RepoBuilder::new());
    for (language, text) in [
        (
            "bash",
            "[[ $0 == windlass ]]; echo \"A=$HOSTILE\" >> \"$WINDLASS_OUTPUT\"; echo B=2=3 >> \"$WINDLASS_OUTPUT\"",
        ),
        ("sh", "echo \"A=$HOSTILE\" >> \"$WINDLASS_OUTPUT\"\necho B=2=3 >> \"$WINDLASS_OUTPUT\""),
        (
            "python",
            "import os\nopen(os.environ['WINDLASS_OUTPUT'], 'w').write('A=' + os.environ['HOSTILE'] + '\\n\\nB=2=3')",
        ),
    ] {
        let hostile = "$(touch pwned); `id`";
        let params = json!({ "language": language, "text": text, "env": { "HOSTILE": hostile } });
        let output = setting.run("script", &params).await.unwrap();
        assert_eq!(output, json!({ "code": 0, "outputs": { "A": hostile, "B": "2=3" } }), "{language}");
        assert!(!setting.repo.path().join("pwned").exists());
    }
}

#[tokio::test]
async fn failures_say_what_happened() {
    let setting = Setting::new(RepoBuilder::new());
    for (language, text, retryable, why) in [
        (
            "bash",
            "echo first >&2; echo $'bad \\e[31mthing' >&2; exit 3",
            true,
            "ended with exit code 3: first; bad [31mthing",
        ),
        ("bash", "false | true; echo not reached", true, "ended with exit code 1"),
        ("sh", "false; echo not reached", true, "ended with exit code 1"),
        ("bash", "echo $UNSET_THING", true, "UNSET_THING: unbound variable"),
        ("bash", "no-such-command --x", false, "the command `no-such-command` is not installed"),
        ("sh", "no-such-command --x", false, "the command `no-such-command` is not installed"),
        ("bash", "kill -9 $$", true, "was ended by a signal"),
        ("python", "import sys; sys.exit('no luck')", true, "exit code 1: no luck"),
        ("bash", "echo 1A=x >> $WINDLASS_OUTPUT", false, "wrong in line 1"),
        ("bash", "rm $WINDLASS_OUTPUT", false, "are gone"),
        ("bash", "ln -sf /etc/passwd $WINDLASS_OUTPUT", false, "no file"),
        ("bash", "head -c 70000 /dev/zero > $WINDLASS_OUTPUT", false, "more than 64 KiB"),
        ("bash", "for i in {1..101}; do echo K$i=x; done >> $WINDLASS_OUTPUT", false, "more than 100"),
    ] {
        let error = setting.run("script", &script(language, text)).await.unwrap_err();
        assert!(error.to_string().contains(why), "{text}: {error}");
        assert_eq!(error.is_retryable(), retryable, "{text}: {error}");
    }
    let long = script("bash", &"true\n".repeat(50_000));
    assert!(setting.final_refusal("script", &long).await.contains("120 KiB"));
}

#[tokio::test]
async fn secrets_come_by_name_and_are_masked() {
    let setting = Setting::new(RepoBuilder::new());
    let text =
        "test ${#TOKEN} = 21; echo \"got $TOKEN\"; echo \"T=$TOKEN\" >> $WINDLASS_OUTPUT; echo $TOKEN >&2";
    let params = json!({ "language": "bash", "text": text, "secrets": ["TOKEN"] });
    assert_eq!(setting.run("script", &params).await.unwrap()["outputs"]["T"], "***");
    let params = json!({ "language": "bash", "text": "echo $TOKEN >&2; exit 1", "secrets": ["TOKEN"] });
    assert!(setting.refusal("script", &params).await.ends_with("exit code 1: ***"));
    assert!(setting.log.text().contains("got ***") && !setting.log.text().contains(SECRET));
    let without = script("bash", "test -z ${TOKEN:-}");
    setting.run("script", &without).await.unwrap();
    let unknown = json!({ "language": "bash", "text": "true", "secrets": ["NONE"] });
    assert!(setting.final_refusal("script", &unknown).await.contains("`NONE` is not configured"));
}

#[tokio::test]
async fn only_its_author_can_probe_and_undo_it() {
    let setting = Setting::new(RepoBuilder::new());
    let plain = script("bash", "make release");
    assert_eq!(setting.probe("script", &plain).await, Ok(Probe::Unknown));
    match setting.undo("script", &plain, &json!({ "outputs": {}, "code": 0 })).await.unwrap() {
        Undone::NeedsHuman(why) => assert!(why.contains("`make release`"), "{why}"),
        other => panic!("{other:?}"),
    }
    for (probe, expect) in
        [("exit 1", Probe::Absent), ("exit 2", Probe::Unknown), ("nothing-here", Probe::Unknown)]
    {
        let params = json!({ "language": "bash", "text": "true", "probe": probe });
        assert_eq!(setting.probe("script", &params).await, Ok(expect), "{probe}");
    }
    let looks = json!({ "language": "bash", "text": "true", "read_only": true });
    assert_eq!(setting.effects("script", &looks), Ok(Vec::new()));
    let output = setting.run("script", &looks).await.unwrap();
    assert_eq!(setting.undo("script", &looks, &output).await, Ok(Undone::NothingToDo));
    let undo = json!({ "language": "bash", "text": "true", "undo": "true" });
    assert!(matches!(setting.undo("script", &undo, &Value::Null).await, Ok(Undone::Reverted(_))));
    let unknown = setting.undo("git.tag", &json!({}), &Value::Null).await;
    assert!(matches!(unknown, Ok(Undone::NeedsHuman(why)) if why.contains("git.tag")));
    let fails = json!({ "language": "bash", "text": "true", "undo": "echo cannot >&2; exit 1" });
    let error = setting.undo("script", &fails, &output).await.unwrap_err();
    assert_eq!(error, ActionError::Failed("the script's undo ended with exit code 1: cannot".into()));
}

#[tokio::test]
async fn a_cancelled_script_is_told_as_an_effect() {
    let setting = Setting::new(RepoBuilder::new());
    let context = setting.context();
    let params = script("bash", "echo started; sleep 100");
    let started = async {
        while setting.log.text().is_empty() {
            tokio::task::yield_now().await;
        }
        context.cancel.cancel();
    };
    let action = action("script");
    let (result, ()) = tokio::join!(action.run(&params, &context), started);
    assert_eq!(result, Err(ActionError::Cancelled));
    assert_eq!(context.changes(), setting.effects("script", &params).unwrap());
}
