//! The git actions on a real repository with a bare remote.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};
use windlass_engine::action::{ActionError, Probe, Undone};
use windlass_testkit::repo::RepoBuilder;

use crate::world::{Setting, action};

fn published() -> Setting {
    let repo = RepoBuilder::with_commit();
    repo.tag("v0.1.0").remote();
    Setting::releasing(repo)
}

fn needs_human(undone: Undone) -> String {
    match undone {
        Undone::NeedsHuman(why) => why,
        other => panic!("{other:?}"),
    }
}

fn hook(repo: &RepoBuilder, name: &str, script: &str) {
    let hook = repo.path().join(".git/hooks").join(name);
    std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
    std::fs::write(&hook, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).unwrap();
}

async fn conflict(setting: &Setting, name: &str, params: &Value) -> String {
    let why = match setting.probe(name, params).await {
        Ok(Probe::Conflict(why)) => why,
        other => panic!("{other:?}"),
    };
    assert_eq!(setting.final_refusal(name, params).await, why);
    why
}

#[tokio::test]
async fn a_commit_of_the_release_is_not_taken_for_the_runs_own() {
    let mut setting = published();
    setting.repo.file("a", "1").commit("chore: release");
    let params = json!({ "message": "chore: release" });
    assert!(matches!(setting.probe("git.commit", &params).await, Ok(Probe::Done(_))));
    let mut release = setting.world.release.as_deref().cloned().unwrap();
    let id = setting.repo.git(&["rev-parse", "HEAD"]).trim().to_owned();
    release.commits = vec![
        serde_json::from_value(json!({
            "id": id, "subject": "", "author": "", "message": "", "author_name": ""
        }))
        .unwrap(),
    ];
    setting.world.release = Some(std::sync::Arc::new(release));
    assert!(matches!(setting.probe("git.commit", &params).await, Ok(Probe::Absent)));
    assert!(setting.final_refusal("git.commit", &params).await.contains("nothing to commit"));
}

#[tokio::test]
async fn hostile_names_are_data_or_refused() {
    let setting = published();
    let before = setting.snapshot();
    for name in ["--upload-pack=x", "-d", "a\u{1b}[31mb", "a b", "a..b", "", "a\nb", "\u{202e}x", "x.lock"] {
        for (action, params) in [
            ("git.tag", json!({ "name": name })),
            ("git.branch", json!({ "name": name })),
            ("git.merge", json!({ "from": "main", "into": name })),
            ("git.push", json!({ "refs": [name] })),
            ("git.push", json!({ "remote": name })),
        ] {
            let message = setting.final_refusal(action, &params).await;
            assert!(message.contains("cannot be"), "{action} {name:?}: {message}");
            assert!(!message.contains(['\u{1b}', '\u{202e}', '\n']), "{message:?}");
            assert!(setting.effects(action, &params).is_err(), "{action} {name:?} could be planned");
        }
    }
    for revision in ["--all", "HEAD --exec=x", ""] {
        assert!(setting.final_refusal("git.tag", &json!({ "target": revision })).await.contains("revision"));
        let params = json!({ "name": "x", "from": revision });
        assert!(setting.final_refusal("git.branch", &params).await.contains("revision"));
    }
    assert_eq!(setting.snapshot(), before);
    // Legal in git, and harmless where nothing is spliced into a shell.
    for name in ["$(touch pwned)".replace(' ', "${IFS}").as_str(), "a;id|b", "`id`", "'\"", "é"] {
        let name = name.replace("${IFS}", "$IFS");
        setting.run("git.tag", &json!({ "name": name, "message": "$(id)" })).await.unwrap();
        setting.run("git.branch", &json!({ "name": format!("b/{name}"), "checkout": false })).await.unwrap();
        setting.run("git.push", &json!({ "refs": [name, format!("b/{name}")] })).await.unwrap();
        assert_eq!(setting.repo.remote_git(&["cat-file", "-t", &format!("refs/tags/{name}")]), "tag");
    }
    assert!(!setting.repo.path().join("pwned").exists());
}

#[tokio::test]
async fn a_branch_is_made_once() {
    let setting = published();
    let (first, params) = (setting.repo.head(), json!({ "name": "release/0.2", "from": "v0.1.0" }));
    setting.repo.commit("feat: more");
    let output = setting.run("git.branch", &params).await.unwrap();
    assert_eq!(output, json!({ "branch": "release/0.2", "commit": first, "previous": "main" }));
    assert_eq!(setting.repo.git(&["symbolic-ref", "--short", "HEAD"]), "release/0.2");
    // A crash hid the output: the way back is still known.
    assert_eq!(setting.probe("git.branch", &params).await, Ok(Probe::Done(output.clone())));
    let elsewhere = json!({ "name": "release/0.2", "from": "main" });
    assert!(conflict(&setting, "git.branch", &elsewhere).await.contains("exists already at"));
    setting.repo.commit("fix: on it");
    let why = needs_human(setting.undo("git.branch", &params, &output).await.unwrap());
    assert!(why.contains("new commits"), "{why}");
    // A branch that is there but not checked out is checked out.
    setting.repo.git(&["switch", "--quiet", "main"]);
    let same = json!({ "name": "release/0.2", "from": "release/0.2" });
    assert_eq!(setting.probe("git.branch", &same).await, Ok(Probe::Absent));
    setting.run("git.branch", &same).await.unwrap();
    assert_eq!(setting.repo.git(&["symbolic-ref", "--short", "HEAD"]), "release/0.2");
}

#[tokio::test]
async fn a_commit_takes_what_it_is_told_and_no_more() {
    let setting = published();
    let repo = &setting.repo;
    repo.file("a", "1").file("b", "1").commit("feat: a and b");
    repo.file("a", "2").file("b", "2").file("new", "1").file("odd [x]*", "1");
    let nothing = json!({ "message": "x", "paths": ["README.md"] });
    assert!(setting.final_refusal("git.commit", &nothing).await.contains("nothing to commit"));
    let message = "release: 0.2.0\n\n# Heading\n\nBody  \n";
    let listed = json!({ "message": message, "paths": ["a", "odd [x]*"] });
    let output = setting.run("git.commit", &listed).await.unwrap();
    assert_eq!(output["commit"], repo.head());
    assert_eq!(repo.git(&["show", "--name-only", "--format=", "HEAD"]), "a\nodd [x]*");
    assert_eq!(repo.git(&["log", "-1", "--format=%B"]).trim(), "release: 0.2.0\n\n# Heading\n\nBody");
    assert!(matches!(setting.probe("git.commit", &listed).await, Ok(Probe::Done(_))));

    // Others' changes would be lost, so a person takes it back.
    let why = needs_human(setting.undo("git.commit", &listed, &output).await.unwrap());
    assert!(why.contains("would be lost"), "{why}");
    let rest = setting.run("git.commit", &json!({ "message": "rest" })).await.unwrap();
    assert_eq!(repo.git(&["show", "--name-only", "--format=", "HEAD"]), "b");
    assert_eq!(repo.git(&["status", "--porcelain"]), "?? new");
    let why = needs_human(setting.undo("git.commit", &listed, &output).await.unwrap());
    assert!(why.contains("there are commits after"), "{why}");
    repo.git(&["push", "--quiet", "origin", "main"]);
    let why = needs_human(setting.undo("git.commit", &json!({ "message": "rest" }), &rest).await.unwrap());
    assert!(why.contains("published on origin") && why.contains("git revert"), "{why}");

    for (params, why) in [
        (json!({ "message": " " }), "is empty"),
        (json!({ "message": "x", "paths": ["../x"] }), "no path inside"),
        (json!({ "message": "rest of it" }), "nothing to commit"),
    ] {
        assert!(setting.final_refusal("git.commit", &params).await.contains(why), "{params}");
    }
}

#[tokio::test]
async fn what_was_deleted_or_renamed_is_committed_too() {
    let setting = published();
    let repo = &setting.repo;
    for paths in [json!([]), json!(["gone", "moved", "here"])] {
        repo.file("gone", "1")
            .file("moved", "text\nof some\nlength\n")
            .file("other", "1")
            .commit("feat: files");
        std::fs::remove_file(repo.path().join("gone")).unwrap();
        repo.git(&["mv", "moved", "here"]);
        let params = json!({ "message": format!("chore: tidy {paths}"), "paths": paths });
        setting.run("git.commit", &params).await.unwrap();
        assert_eq!(repo.git(&["status", "--porcelain"]), "");
        assert_eq!(repo.git(&["ls-tree", "--name-only", "HEAD"]), "README.md\nhere\nother");
        assert!(matches!(setting.probe("git.commit", &params).await, Ok(Probe::Done(_))));
        repo.git(&["rm", "--quiet", "here"]);
    }
}

#[tokio::test]
async fn a_refusing_hook_fails_the_commit() {
    let setting = published();
    hook(&setting.repo, "pre-commit", "echo 'lint: not like this' >&2\nexit 1");
    setting.repo.file("README.md", "2");
    let message = setting.refusal("git.commit", &json!({ "message": "x" })).await;
    assert_eq!(message, "git commit failed: lint: not like this");
}

#[tokio::test]
async fn a_merge_that_conflicts_leaves_everything_as_it_was() {
    let setting = published();
    let repo = &setting.repo;
    repo.git(&["switch", "--quiet", "--create", "topic"]);
    repo.file("README.md", "topic\n").commit("feat: topic");
    repo.git(&["switch", "--quiet", "main"]);
    repo.file("README.md", "main\n").commit("feat: main");
    repo.git(&["switch", "--quiet", "--create", "third"]);
    let before = setting.snapshot();
    let params = json!({ "from": "topic", "into": "main" });
    let message = setting.final_refusal("git.merge", &params).await;
    assert!(message.contains("README.md") && message.contains("by hand"), "{message}");
    assert_eq!(setting.snapshot(), before);
    setting.repo.file("README.md", "dirty");
    assert!(setting.final_refusal("git.merge", &params).await.contains("not committed: README.md"));
}

#[tokio::test]
async fn a_persons_merge_is_not_touched_and_a_published_one_stays() {
    let setting = published();
    let repo = &setting.repo;
    repo.git(&["switch", "--quiet", "--create", "topic"]);
    repo.file("topic", "1").commit("feat: topic");
    repo.git(&["switch", "--quiet", "main"]);
    let params = json!({ "from": "topic", "into": "main" });
    repo.git(&["merge", "--quiet", "--no-ff", "--no-commit", "topic"]);
    assert!(setting.final_refusal("git.merge", &params).await.contains("another merge is under way"));
    repo.git(&["merge", "--abort"]);
    let fast = json!({ "from": "topic", "into": "main", "no_ff": false });
    let output = setting.run("git.merge", &fast).await.unwrap();
    assert_eq!(repo.head(), repo.git(&["rev-parse", "topic"]));
    repo.git(&["push", "--quiet", "origin", "main"]);
    assert!(needs_human(setting.undo("git.merge", &fast, &output).await.unwrap()).contains("published"));
}

#[tokio::test]
async fn tags_carry_the_notes_and_are_never_moved() {
    let setting = published();
    let output = setting.run("git.tag", &json!({})).await.unwrap();
    assert_eq!((&output["tag"], &output["commit"]), (&json!("v0.2.0"), &json!(setting.repo.head())));
    let message = setting.repo.git(&["tag", "--list", "--format=%(contents)", "v0.2.0"]);
    assert_eq!(message, "Release v0.2.0\n\n# Notes\n\n- fly");
    let light = json!({ "annotate": false });
    assert!(conflict(&setting, "git.tag", &light).await.contains("is annotated"));
    setting.repo.commit("feat: more");
    assert!(conflict(&setting, "git.tag", &json!({})).await.contains("exists already and names"));

    let light = json!({ "name": "light", "annotate": false });
    setting.run("git.tag", &light).await.unwrap();
    assert_eq!(setting.repo.git(&["cat-file", "-t", "light"]), "commit");
    assert!(conflict(&setting, "git.tag", &json!({ "name": "light" })).await.contains("not annotated"));
    assert!(
        setting
            .final_refusal("git.tag", &json!({ "name": "x", "target": "nowhere" }))
            .await
            .contains("no commit `nowhere`")
    );

    // Replaced by somebody, and published: both are left alone.
    setting.repo.git(&["tag", "--annotate", "--force", "--message=mine", "v0.2.0"]);
    assert!(needs_human(setting.undo("git.tag", &json!({}), &output).await.unwrap()).contains("replaced"));
    let output = setting.run("git.tag", &json!({ "name": "v0.3.0" })).await.unwrap();
    setting.repo.git(&["push", "--quiet", "origin", "v0.3.0"]);
    let why = needs_human(setting.undo("git.tag", &json!({}), &output).await.unwrap());
    assert!(why.contains("published on origin and stays"), "{why}");
}

#[tokio::test]
async fn branch_and_tag_are_pushed_together_or_not_at_all() {
    let setting = published();
    let repo = &setting.repo;
    repo.file("x", "1").commit("feat: x");
    repo.tag("v0.2.0");
    let before = repo.remote_git(&["for-each-ref"]);
    repo.remote_hook("update", "case $1 in refs/tags/*) echo 'tags are protected' >&2; exit 1;; esac");
    let message = setting.refusal("git.push", &json!({})).await;
    assert!(message.starts_with("origin refused the push, and took nothing: "), "{message}");
    assert!(message.contains("tags are protected"), "{message}");
    assert_eq!(repo.remote_git(&["for-each-ref"]), before);

    repo.remote_hook("update", "exit 0");
    let output = setting.run("git.push", &json!({})).await.unwrap();
    assert_eq!(repo.remote_git(&["rev-parse", "main"]), repo.head());
    assert_eq!(repo.remote_git(&["rev-parse", "v0.2.0"]), repo.git(&["rev-parse", "v0.2.0"]));
    let why = needs_human(setting.undo("git.push", &json!({}), &output).await.unwrap());
    assert!(why.contains("the tag v0.2.0 is published") && why.contains("git revert"), "{why}");

    // A crash hid the output: that it is published is said all the same.
    let Ok(Probe::Done(found)) = setting.probe("git.push", &json!({})).await else { panic!("it is done") };
    let why = needs_human(setting.undo("git.push", &json!({}), &found).await.unwrap());
    assert!(
        why.contains("the tag v0.2.0 is published") && why.contains("main was on origin already"),
        "{why}"
    );

    // A colleague goes on: what we pushed is still there.
    let clone = repo.clone_of_remote();
    clone.file("y", "1").commit("feat: y");
    clone.git(&["push", "--quiet", "origin", "main"]);
    assert!(matches!(setting.probe("git.push", &json!({})).await, Ok(Probe::Done(_))));
    setting.run("git.push", &json!({})).await.unwrap();
    assert_eq!(repo.remote_git(&["rev-parse", "main"]), clone.head());
    assert_eq!(repo.git(&["rev-parse", "origin/main"]), repo.head(), "no ref of ours was moved");

    // And both went on.
    repo.file("z", "1").commit("feat: z");
    let why = conflict(&setting, "git.push", &json!({})).await;
    assert!(why.contains("main on origin has commits that we do not have"), "{why}");
    assert_eq!(repo.remote_git(&["rev-parse", "main"]), clone.head());
}

#[tokio::test]
async fn tags_are_pushed_right_or_not_at_all() {
    let setting = published();
    let repo = &setting.repo;
    repo.file("x", "1").commit("feat: x");
    repo.light_tag("v0.2.0");
    let only_tag = json!({ "refs": ["v0.2.0"] });
    assert!(setting.final_refusal("git.push", &only_tag).await.contains("push its branch too"));
    let annotated = json!({ "annotate": true });
    assert!(setting.final_refusal("git.push", &annotated).await.contains("not annotated"));
    assert!(
        setting
            .final_refusal("git.push", &json!({ "refs": ["v9.9.9"] }))
            .await
            .contains("there is no refs/heads/v9.9.9")
    );
    repo.git(&["branch", "v0.2.0"]);
    assert!(setting.final_refusal("git.push", &only_tag).await.contains("is a branch and a tag"));
    let full = json!({ "refs": ["refs/heads/main", "refs/tags/v0.2.0"] });
    setting.run("git.push", &full).await.unwrap();

    // Another tag of the same name is there already.
    repo.git(&["tag", "--force", "v0.2.0", "v0.1.0^{commit}"]);
    let why = conflict(&setting, "git.push", &full).await;
    assert!(why.contains("another tag v0.2.0"), "{why}");
    repo.git(&["switch", "--quiet", "--detach"]);
    assert!(setting.final_refusal("git.push", &json!({})).await.contains("no branch is checked out"));
}

#[tokio::test]
async fn somebody_elses_push_in_between_wins() {
    for after_looking in [true, false] {
        let setting = published();
        let repo = &setting.repo;
        repo.file("x", "1").commit("feat: x");
        repo.tag("v0.2.0");
        let clone = repo.clone_of_remote();
        clone.file("y", "1").commit("feat: y");
        let theirs =
            format!("unset GIT_DIR\ngit -C '{}' push --quiet origin main >&2", clone.path().display());
        if after_looking {
            // Between our look and our push: when the remote has told its refs, the colleague pushes.
            let program = repo.outside().join("upload-pack");
            std::fs::write(&program, format!("#!/bin/sh\ngit-upload-pack \"$@\"\n{theirs}\n")).unwrap();
            std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
            repo.git(&["config", "remote.origin.uploadpack", &program.display().to_string()]);
        } else {
            // In the midst of our push.
            hook(repo, "pre-push", &theirs);
        }
        let message = setting.refusal("git.push", &json!({})).await;
        assert!(message.contains("changed while we were pushing"), "{message}");
        assert_eq!(repo.remote_git(&["rev-parse", "main"]), clone.head());
        assert!(repo.remote_git(&["tag", "--list", "v0.2.0"]).is_empty());
    }
}

#[tokio::test]
async fn a_remote_that_changed_is_told_whatever_words_it_refuses_with() {
    let setting = published();
    let repo = &setting.repo;
    repo.file("x", "1").commit("feat: x");
    repo.tag("v0.2.0");
    let clone = repo.clone_of_remote();
    clone.file("y", "1").commit("feat: y");
    clone.git(&["push", "--quiet", "origin", "main:theirs"]);
    repo.remote_hook(
        "update",
        "git update-ref refs/heads/main refs/heads/theirs\necho 'not today' >&2\nexit 1",
    );
    let message = setting.refusal("git.push", &json!({})).await;
    assert!(message.starts_with("origin changed while we were pushing: "), "{message}");
    assert!(message.contains("not today"), "{message}");
    assert_eq!(repo.remote_git(&["rev-parse", "main"]), clone.head());
}

#[tokio::test]
async fn what_was_stopped_in_the_middle_is_done_the_next_time() {
    let setting = published();
    let repo = &setting.repo;
    for (name, hooked, params) in [
        ("git.commit", "pre-commit", json!({ "message": "feat: x" })),
        ("git.push", "pre-push", json!({ "refs": ["main"] })),
        ("git.merge", "pre-merge-commit", json!({ "from": "topic", "into": "main" })),
    ] {
        match name {
            "git.commit" => drop(repo.file("README.md", "2")),
            "git.merge" => {
                repo.git(&["switch", "--quiet", "--create", "topic", "v0.1.0"]);
                repo.file("topic", "1").commit("feat: topic");
                repo.git(&["switch", "--quiet", "main"]);
            }
            _ => {}
        }
        let started = repo.outside().join(name);
        hook(repo, hooked, &format!("touch '{}'\nsleep 100", started.display()));
        let (context, action) = (setting.context(), action(name));
        let stop = async {
            while !started.exists() {
                tokio::task::yield_now().await;
            }
            context.cancel.cancel();
        };
        let (result, ()) = tokio::join!(action.run(&params, &context), stop);
        assert_eq!(result, Err(ActionError::Cancelled), "{name}");
        assert_eq!(setting.probe(name, &params).await, Ok(Probe::Absent), "{name}");
        hook(repo, hooked, "exit 0");
        setting.run(name, &params).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(matches!(setting.probe(name, &params).await, Ok(Probe::Done(_))), "{name}");
        assert_eq!(repo.git(&["status", "--porcelain"]), "", "{name}");
    }
    // A crash hid the merge's output: it is taken back all the same.
    let params = json!({ "from": "topic", "into": "main" });
    let Ok(Probe::Done(found)) = setting.probe("git.merge", &params).await else { panic!("it is done") };
    assert!(matches!(setting.undo("git.merge", &params, &found).await, Ok(Undone::Reverted(_))));
    assert_eq!(repo.head(), repo.remote_git(&["rev-parse", "main"]));
}
