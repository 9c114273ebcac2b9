//! `version.write`, `changelog.promote`, `notes.write`: all or none, and conflicts named.

use std::sync::Arc;

use serde_json::json;
use windlass_core::plan::ReleaseFact;
use windlass_engine::action::{Probe, Undone};
use windlass_testkit::repo::RepoBuilder;

use crate::world::{Setting, release};

const CARGO: &str =
    "[package]\r\nname = \"sample\"\r\nversion = \"0.1.0\" # kept\r\n\r\n[dependencies]\r\nother = \"0.1.0\"";
const LOCK: &str = "version = 4\n\n[[package]]\nname = \"sample\"\nversion = \"0.1.0\"\n";

fn sample() -> Setting {
    let repo = RepoBuilder::new();
    repo.file("Cargo.toml", CARGO).file("Cargo.lock", LOCK).file("src/ui.js", "const VERSION = '0.1.0';\n");
    repo.file("app.json", "{\"app\": {\"version\": \"0.1.0\"}, \"of\": \"app@0.1.0\"}");
    repo.file("deploy.txt", "acme/app:0.1.0 acme/app:0.1.0\n");
    repo.commit("feat: begin");
    Setting::releasing(repo)
}

#[tokio::test]
async fn every_holder_is_written_and_written_back() {
    let setting = sample();
    let before = setting.snapshot();
    let params = json!({ "holders": [
        { "path": "Cargo.toml", "version": "0.1.0" },
        { "path": "Cargo.lock", "packages": ["sample"], "version": "0.1.0" },
        { "path": "src/ui.js", "pattern": "VERSION = '([^']+)'" },
        { "path": "app.json", "key": "app.version" },
        { "path": "app.json", "pattern": "app@(\\S+)\"" },
        { "path": "deploy.txt", "image": "acme/app", "matches": 2 },
    ] });
    assert_eq!(setting.effects("version.write", &params).unwrap().len(), 6);
    let output = setting.run("version.write", &params).await.unwrap();
    assert_eq!(setting.repo.read("Cargo.toml"), CARGO.replacen("0.1.0", "0.2.0", 1));
    assert_eq!(setting.repo.read("Cargo.lock"), LOCK.replace("0.1.0", "0.2.0"));
    assert_eq!(setting.repo.read("src/ui.js"), "const VERSION = '0.2.0';\n");
    let app = "{\"app\": {\"version\": \"0.2.0\"}, \"of\": \"app@0.2.0\"}";
    assert_eq!(setting.repo.read("app.json"), app);
    assert_eq!(setting.repo.read("deploy.txt"), "acme/app:0.2.0 acme/app:0.2.0\n");
    assert_eq!(output["files"][2], json!({ "path": "src/ui.js", "before": "0.1.0" }));
    // A crash hid the output: what is there says how to go back.
    let Ok(Probe::Done(found)) = setting.probe("version.write", &params).await else { panic!("it is done") };
    assert_eq!(found, output);
    assert!(matches!(setting.undo("version.write", &params, &found).await, Ok(Undone::Reverted(_))));
    assert_eq!(setting.snapshot(), before);
}

#[tokio::test]
async fn nothing_is_written_when_something_is_wrong() {
    let setting = sample();
    setting
        .repo
        .file("package.json", "{\n  \"version\": \"9.9.9\"\n}\n")
        .file("broken/Cargo.toml", "[package\n");
    std::os::unix::fs::symlink("/etc/hostname", setting.repo.path().join("VERSION")).unwrap();
    let before = setting.snapshot();
    let cargo = json!({ "path": "Cargo.toml" });
    for (second, why) in [
        (json!({ "path": "package.json" }), "package.json line 2 states 9.9.9, neither 0.1.0 nor 0.2.0"),
        (json!({ "path": "broken/Cargo.toml" }), "broken/Cargo.toml: line 1"),
        (json!({ "path": "missing/Cargo.toml" }), "there is no file missing/Cargo.toml"),
        (json!({ "path": "VERSION" }), "symbolic link"),
        (json!({ "path": "../Cargo.toml" }), "no path inside the repository"),
        (json!({ "path": "src/ui.js" }), "give a `pattern`"),
        (json!({ "path": "src/ui.js", "kind": "cargo-tom" }), "did you mean `cargo-toml`?"),
        (json!({ "path": "src/ui.js", "pattern": "nowhere" }), "src/ui.js: "),
    ] {
        let params = json!({ "holders": [cargo, second] });
        let message = setting.final_refusal("version.write", &params).await;
        assert!(message.contains(why), "{second}: {message}");
        assert_eq!(setting.snapshot(), before, "{second}");
    }
    let conflict = json!({ "holders": [{ "path": "package.json" }] });
    assert!(matches!(setting.probe("version.write", &conflict).await, Ok(Probe::Conflict(_))));
    assert!(setting.final_refusal("version.write", &json!({})).await.contains("name them in `holders`"));
    let odd = json!({ "version": "1.2", "holders": [cargo] });
    assert!(setting.final_refusal("version.write", &odd).await.contains("`1.2` is not a version"));
}

#[tokio::test]
async fn a_half_written_set_is_finished() {
    let setting = sample();
    setting.repo.file("Cargo.lock", LOCK.replace("0.1.0", "0.2.0"));
    let params =
        json!({ "holders": [{ "path": "Cargo.toml" }, { "path": "Cargo.lock", "packages": ["sample"] }] });
    assert_eq!(setting.probe("version.write", &params).await, Ok(Probe::Absent));
    setting.run("version.write", &params).await.unwrap();
    assert!(matches!(setting.probe("version.write", &params).await, Ok(Probe::Done(_))));
}

#[tokio::test]
async fn a_version_somebody_wrote_since_is_left_to_people() {
    let setting = sample();
    let params = json!({ "holders": [{ "path": "Cargo.toml" }] });
    let output = setting.run("version.write", &params).await.unwrap();
    setting.repo.file("Cargo.toml", CARGO.replacen("0.1.0", "0.3.0", 1));
    match setting.undo("version.write", &params, &output).await.unwrap() {
        Undone::NeedsHuman(why) => assert!(why.contains("states 0.3.0"), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_generated_section_is_put_in_and_taken_out() {
    for text in [
        "# Changelog\n\n## 0.1.0 - 2026-01-01\n\n- Begin\n",
        "# Changelog\n\n## Unreleased\n\n- Generated\n\n## 0.1.0 - 2026-01-01\n\n- Begin\n",
        "# Changelog",
        "# Changelog\r\n\r\n## Unreleased\r\n\r\n## 0.1.0\r\n",
    ] {
        let repo = RepoBuilder::new();
        repo.file("CHANGELOG.md", text)
            .file("section.j2", "## {{ version }}\n\n{% for group in groups %}{{ group.title }} {{ group.entries | length }}{% endfor %}\n");
        repo.commit("feat: begin");
        let setting = Setting::releasing(repo);
        let before = setting.snapshot();
        for (params, has) in [
            (
                json!({ "generated": true, "url": "https://github.com/acme/app" }),
                "## [0.2.0](https://github.com/acme/app/compare/v0.1.0...v0.2.0) - 2026-03-01",
            ),
            (json!({ "generated": true, "headings": { "feat": "New" } }), "### New"),
            (json!({ "generated": true, "template": "section.j2" }), "Added 1"),
        ] {
            let output = setting.run("changelog.promote", &params).await.unwrap();
            let promoted = setting.repo.read("CHANGELOG.md");
            assert!(promoted.contains(has), "{has}: {promoted}");
            assert!(
                text.contains("## 0.1.0") == promoted.contains("## 0.1.0"),
                "earlier releases stay: {promoted}"
            );
            let Ok(Probe::Done(found)) = setting.probe("changelog.promote", &params).await else {
                panic!("done")
            };
            assert!(found["inserted"].as_str().unwrap().contains(has));
            assert!(matches!(
                setting.undo("changelog.promote", &params, &output).await,
                Ok(Undone::Reverted(_))
            ));
            assert_eq!(setting.snapshot(), before);
            // After a crash between writing and noting it, what is found is enough to go back.
            setting.run("changelog.promote", &params).await.unwrap();
            assert!(matches!(
                setting.undo("changelog.promote", &params, &found).await,
                Ok(Undone::Reverted(_))
            ));
            let unknown = text.contains("- Generated") || !text.ends_with('\n');
            assert!(unknown || setting.snapshot() == before);
            setting.repo.file("CHANGELOG.md", text);
        }
        let missing = json!({ "generated": true, "template": "nowhere.j2" });
        assert!(
            setting.final_refusal("changelog.promote", &missing).await.contains("no template nowhere.j2")
        );
    }
}

#[tokio::test]
async fn a_package_without_commits_of_its_own_gets_no_generated_section() {
    let repo = RepoBuilder::new();
    repo.file("CHANGELOG.md", "# Changelog\n\n## 0.1.0 - 2026-01-01\n\n- Begin\n").commit("feat: begin");
    let mut setting = Setting::releasing(repo);
    let release = (**setting.world.release.as_ref().unwrap()).clone();
    let called_for = ReleaseFact { package: Some("api".into()), commits: Vec::new(), ..release };
    setting.world.release = Some(Arc::new(called_for));
    let before = setting.snapshot();
    let params = json!({ "generated": true });
    assert_eq!(setting.effects("changelog.promote", &params).unwrap(), []);
    let output = setting.run("changelog.promote", &params).await.unwrap();
    assert_eq!(setting.snapshot(), before);
    let undone = setting.undo("changelog.promote", &params, &output).await;
    assert!(matches!(undone, Ok(Undone::NothingToDo)), "{undone:?}");
}

#[tokio::test]
async fn the_unreleased_section_becomes_the_release() {
    let repo = RepoBuilder::new();
    let text =
        "# Changelog\n\n## [Unreleased]\n\n<!-- write here -->\n\n## [0.1.0] - 2026-01-01\n\n- Begin\n";
    repo.file("CHANGELOG.md", text)
        .file("written.md", text.replace("<!-- write here -->", "### Added\n\n- By hand"));
    repo.commit("feat: begin");
    let setting = Setting::releasing(repo);
    let before = setting.snapshot();
    let output = setting.run("changelog.promote", &json!({})).await.unwrap();
    let promoted = setting.repo.read("CHANGELOG.md");
    assert!(
        promoted.contains("## [0.2.0] - 2026-03-01\n") && promoted.contains("\n### Added\n"),
        "{promoted}"
    );
    assert!(promoted.contains("- Fly") || promoted.contains("- fly"), "{promoted}");
    assert!(matches!(setting.undo("changelog.promote", &json!({}), &output).await, Ok(Undone::Reverted(_))));
    assert_eq!(setting.snapshot(), before);

    let by_hand = json!({ "path": "written.md", "fill": "none", "version": "1.0.0", "date": "2026-04-01" });
    setting.run("changelog.promote", &by_hand).await.unwrap();
    assert!(setting.repo.read("written.md").contains("## [1.0.0] - 2026-04-01\n\n### Added\n\n- By hand\n"));
    for (params, why) in [
        (json!({ "fill": "none" }), "holds no entry"),
        (json!({ "path": "none.md" }), "there is no none.md"),
        (json!({ "date": "yesterday" }), "`yesterday` is no date"),
        (json!({ "path": "/etc/passwd" }), "no path inside"),
    ] {
        let message = setting.final_refusal("changelog.promote", &params).await;
        assert!(message.contains(why), "{message}");
    }
}

#[tokio::test]
async fn notes_go_to_a_file() {
    let mut setting = sample();
    let params = json!({ "output": "dist/NOTES.md", "version": "0.2.0" });
    let output = setting.run("notes.write", &params).await.unwrap();
    assert_eq!(setting.repo.read("dist/NOTES.md"), "# Notes\n\n- fly\n");
    setting.repo.file("dist/NOTES.md", "edited");
    assert!(matches!(setting.undo("notes.write", &params, &output).await, Ok(Undone::NeedsHuman(_))));
    // What somebody edited is never overwritten unasked.
    assert!(setting.final_refusal("notes.write", &params).await.contains("`edited: keep`"));
    assert!(matches!(setting.probe("notes.write", &params).await, Ok(Probe::Conflict(_))));
    let keep = json!({ "output": "dist/NOTES.md", "edited": "keep" });
    let kept = setting.run("notes.write", &keep).await.unwrap();
    assert_eq!(setting.probe("notes.write", &keep).await, Ok(Probe::Done(kept.clone())));
    assert!(matches!(setting.undo("notes.write", &keep, &kept).await, Ok(Undone::NothingToDo)));
    assert_eq!(setting.repo.read("dist/NOTES.md"), "edited");
    let replace = json!({ "output": "dist/NOTES.md", "edited": "replace" });
    let again = setting.run("notes.write", &replace).await.unwrap();
    assert!(matches!(setting.undo("notes.write", &replace, &again).await, Ok(Undone::Reverted(_))));
    assert_eq!(setting.repo.read("dist/NOTES.md"), "edited");
    // Committed notes of an earlier release give way, those of this one do not.
    for (text, gives_way) in
        [("Notes of 0.1.0 and 10.2.0\n", true), ("# 0.2.0-rc.1\n\nBetter words\n", false)]
    {
        setting.repo.file("dist/NOTES.md", text);
        setting.repo.commit("docs: notes");
        assert_eq!(setting.run("notes.write", &params).await.is_ok(), gives_way, "{text}");
    }
    let stale = json!({ "output": "x", "version": "0.3.0" });
    assert!(setting.final_refusal("notes.write", &stale).await.contains("those of 0.2.0, not of 0.3.0"));
    setting.world.release = None;
    assert!(setting.final_refusal("notes.write", &params).await.contains("releases no version"));
    setting.world.release = Some(Arc::new(release()));
    let outside = json!({ "output": "../x" });
    assert!(setting.final_refusal("notes.write", &outside).await.contains("no path inside"));
}
