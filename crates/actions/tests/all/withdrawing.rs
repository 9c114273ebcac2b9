//! Releases that are withdrawn: marked and put back, deleted with their tags and made again, and never the wrong one.

use serde_json::{Value, json};
use windlass_core::forge::Kind;
use windlass_core::plan::{Reversibility, StepPath};
use windlass_engine::action::{Probe, Undone};
use windlass_engine::context::Context;
use windlass_testkit::forges::{ForgeEmulator, Trouble};
use windlass_testkit::repo::RepoBuilder;

use crate::world::{SECRET, Setting, action};

const KINDS: [Kind; 4] = [Kind::GitHub, Kind::Forgejo, Kind::Gitea, Kind::GitLab];
const NAME: &str = "forge.withdraw";

/// The bad release v0.2.0, whose annotated tag is pushed, and the forge that shows it.
fn scene(kind: Kind) -> (Setting, ForgeEmulator) {
    let repo = RepoBuilder::with_commit();
    repo.remote();
    repo.git(&["tag", "--annotate", "--message", "Release v0.2.0", "v0.2.0"]);
    repo.git(&["push", "--quiet", "origin", "v0.2.0"]);
    let repository = if kind == Kind::GitLab { "acme/team/app" } else { "acme/app" };
    let forge = ForgeEmulator::start(kind, repository, &repo.remote_path(), SECRET);
    forge.add("v0.2.0", "Sail 0.2", "# Notes\n\n- fly\n", false);
    (Setting::new(repo), forge)
}

fn params(forge: &ForgeEmulator, more: Value) -> Value {
    let mut params = json!({ "tag": "v0.2.0", "token": "TOKEN", "forge": forge.project() });
    params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    params
}

/// Title, mark and text of the only release.
fn shown(forge: &ForgeEmulator) -> (String, bool, String) {
    let releases = forge.releases();
    assert_eq!(releases.len(), 1, "{releases:?}");
    let one = &releases[0];
    let text = |value: &Value| value.as_str().unwrap_or_default().trim_end().to_owned();
    let body = if one["body"].is_null() { &one["description"] } else { &one["body"] };
    (text(&one["name"]), one["prerelease"] == true, text(body))
}

fn tags(setting: &Setting) -> (String, String) {
    let here = setting.repo.git(&["for-each-ref", "--format=%(objectname) %(refname)", "refs/tags"]);
    let there = setting.repo.remote_git(&["for-each-ref", "--format=%(objectname) %(refname)", "refs/tags"]);
    (here, there)
}

/// The door that an effect is taken back through.
fn undoing(setting: &Setting) -> Context {
    let mut context = setting.context();
    context.path = StepPath::new("undo/step/1");
    context
}

/// As the engine does it with a step that did not come to its end: what it began is asked for, and taken back.
async fn roll_back(setting: &Setting, params: &Value) -> Option<Undone> {
    match action(NAME).probe(params, &undoing(setting)).await.unwrap() {
        Probe::Done(output) => Some(action(NAME).undo(params, &output, &undoing(setting)).await.unwrap()),
        Probe::Absent => None,
        other => panic!("{other:?}"),
    }
}

const WARNED: &str = "<!-- windlass: withdrawn -->\n> [!WARNING]\n> **v0.2.0 was withdrawn.**\n> Go back to v0.1.0.\n\
                      <!-- windlass: end -->\n\n# Notes\n\n- fly";

#[tokio::test]
async fn a_release_is_marked_once_and_put_back_on_every_forge() {
    for kind in KINDS {
        let (setting, forge) = scene(kind);
        let before = shown(&forge);
        let params = params(&forge, json!({ "warning": "Go back to v0.1.0." }));
        assert_eq!(setting.probe(NAME, &params).await.unwrap(), Probe::Absent, "{kind}");
        let output = setting.run(NAME, &params).await.unwrap();
        let expect = match kind {
            // GitLab has no mark but what is written.
            Kind::GitLab => ("[Withdrawn] Sail 0.2".to_owned(), false, WARNED.to_owned()),
            _ => ("Sail 0.2".to_owned(), true, WARNED.to_owned()),
        };
        assert_eq!(shown(&forge), expect, "{kind}");
        assert_eq!(setting.probe(NAME, &params).await.unwrap(), Probe::Done(output.clone()), "{kind}");
        assert_eq!(setting.run(NAME, &params).await.unwrap(), output, "{kind}");
        assert_eq!(forge.writes(), 1, "{kind}: {:?}", forge.requests());

        let undone = setting.undo(NAME, &params, &output).await.unwrap();
        assert!(matches!(&undone, Undone::Reverted(told) if told.contains("put back")), "{undone:?}");
        assert_eq!(shown(&forge), before, "{kind}");
        assert_eq!(setting.undo(NAME, &params, &output).await.unwrap(), Undone::NothingToDo);
        assert_eq!((forge.writes(), forge.complaints()), (2, Vec::new()), "{kind}");
        assert!(!setting.log.text().contains(SECRET));
    }
}

#[tokio::test]
async fn the_mark_alone_leaves_the_text() {
    for kind in KINDS {
        let (setting, forge) = scene(kind);
        let asked = params(&forge, json!({}));
        setting.run(NAME, &asked).await.unwrap();
        let (title, marked, text) = shown(&forge);
        let says = text.contains("was withdrawn");
        assert_eq!(
            (marked, says, title.starts_with("[Withdrawn]")),
            match kind {
                Kind::GitLab => (false, true, true),
                _ => (true, false, false),
            }
        );
        // Another run says more: its warning takes the place of what is there.
        for warning in ["Go back to v0.1.0.", "Corrected in v0.2.1."] {
            let mut other = setting.context();
            other.run = windlass_core::run::RunId(warning.into());
            let asked = params(&forge, json!({ "warning": warning }));
            action(NAME).run(&asked, &other).await.unwrap();
            let (title, _, text) = shown(&forge);
            assert_eq!(text, WARNED.replace("Go back to v0.1.0.", warning), "{kind}");
            assert!(!title.contains("[Withdrawn] [Withdrawn]"), "{title}");
        }
    }
}

/// Forgejo and Gitea take an empty text for none.
#[tokio::test]
async fn a_text_that_was_empty_is_empty_again() {
    for kind in KINDS {
        let (setting, forge) = scene(kind);
        forge.edit("v0.2.0", "");
        let params = params(&forge, json!({ "warning": "Go back." }));
        let output = setting.run(NAME, &params).await.unwrap();
        assert!(shown(&forge).2.contains("Go back."));
        let undone = setting.undo(NAME, &params, &output).await.unwrap();
        assert!(matches!(undone, Undone::Reverted(_)), "{kind}: {undone:?}");
        assert_eq!(shown(&forge).2, "", "{kind}");
    }
}

/// The forge took the change, and nobody heard of it; or it never heard of it.
#[tokio::test]
async fn a_mark_that_a_crash_hid_is_known_and_put_back() {
    for kind in KINDS {
        let method = if kind == Kind::GitLab { "PUT" } else { "PATCH" };
        for (trouble, took) in [(Trouble::Lose, true), (Trouble::Answer(502, "", ""), false)] {
            let (setting, forge) = scene(kind);
            let before = shown(&forge);
            let params = params(&forge, json!({ "warning": "Go back to v0.1.0." }));
            forge.trouble(method, trouble);
            assert!(setting.run(NAME, &params).await.unwrap_err().is_retryable());
            assert_eq!(shown(&forge) != before, took);
            // Rolled back at once, without going on.
            let undone = roll_back(&setting, &params).await;
            assert_eq!(undone.is_some(), took, "{kind}: {undone:?}");
            assert_eq!(shown(&forge), before, "{kind}");

            forge.trouble(method, Trouble::Lose);
            assert!(setting.run(NAME, &params).await.is_err());
            let output = setting.run(NAME, &params).await.unwrap();
            assert_eq!(output["before"]["name"], "Sail 0.2");
            assert!(matches!(setting.undo(NAME, &params, &output).await.unwrap(), Undone::Reverted(_)));
            assert_eq!(shown(&forge), before, "{kind}");
        }
    }
}

#[tokio::test]
async fn what_somebody_wrote_since_is_not_taken_back() {
    for kind in KINDS {
        let (setting, forge) = scene(kind);
        let params = params(&forge, json!({ "warning": "Go back to v0.1.0." }));
        let output = setting.run(NAME, &params).await.unwrap();
        let more = format!("{WARNED}\n- and a line more");
        forge.edit("v0.2.0", &more);
        // It still is withdrawn as asked, also for a run that goes on only now.
        let Probe::Done(found) = setting.probe(NAME, &params).await.unwrap() else { panic!() };
        for output in [output, found] {
            let undone = setting.undo(NAME, &params, &output).await.unwrap();
            assert!(
                matches!(&undone, Undone::NeedsHuman(why) if why.contains("somebody changed")),
                "{undone:?}"
            );
        }
        assert_eq!(shown(&forge).2, more);
    }
}

#[tokio::test]
async fn a_release_that_was_withdrawn_already_is_nobodys_to_put_back() {
    let (setting, forge) = scene(Kind::GitHub);
    let params = params(&forge, json!({}));
    let mut other = setting.context();
    other.run = windlass_core::run::RunId("other".into());
    action(NAME).run(&params, &other).await.unwrap();
    let output = setting.run(NAME, &params).await.unwrap();
    assert_eq!(output["before"], Value::Null);
    assert_eq!(setting.undo(NAME, &params, &output).await.unwrap(), Undone::NothingToDo);
    assert!(shown(&forge).1);
}

#[tokio::test]
async fn a_release_is_deleted_with_its_tag_and_made_again_on_every_forge() {
    for kind in KINDS {
        let (setting, forge) = scene(kind);
        let (before, tags_before) = (shown(&forge), tags(&setting));
        let params = params(&forge, json!({ "how": "delete" }));
        assert_eq!(setting.probe(NAME, &params).await.unwrap(), Probe::Absent, "{kind}");
        let context = setting.context();
        let output = action(NAME).run(&params, &context).await.unwrap();
        assert!(forge.releases().is_empty());
        assert_eq!(tags(&setting), (String::new(), String::new()), "{kind}");
        assert_eq!(context.changes(), setting.effects(NAME, &params).unwrap());
        assert_eq!(setting.probe(NAME, &params).await.unwrap(), Probe::Done(output.clone()), "{kind}");
        assert_eq!(setting.run(NAME, &params).await.unwrap(), output, "{kind}");
        assert_eq!(forge.writes(), 1, "{kind}: {:?}", forge.requests());
        // Its commit and message are kept, whatever git clears away.
        setting.repo.git(&["gc", "--quiet", "--prune=now"]);
        assert!(setting.log.text().contains("[version] withdrawn"), "{}", setting.log.text());

        let undone = setting.undo(NAME, &params, &output).await.unwrap();
        assert!(
            matches!(&undone, Undone::Reverted(told) if told.contains("pushed it to origin")),
            "{undone:?}"
        );
        assert_eq!((shown(&forge), tags(&setting)), (before, tags_before), "{kind}");
        assert_eq!(setting.repo.git(&["for-each-ref", "refs/windlass"]), "");
        assert_eq!(setting.undo(NAME, &params, &output).await.unwrap(), Undone::NothingToDo);
        assert_eq!(setting.probe(NAME, &params).await.unwrap(), Probe::Absent, "{kind}");
        assert_eq!(forge.complaints(), Vec::<String>::new());
    }
}

/// What lets a deletion stop after a part of it; nothing is left of that when it goes on.
#[derive(Debug, Clone, Copy)]
enum Stop {
    BeforeTheRelease,
    AfterTheRelease,
    AtTheRemote,
    AtTheTagHere,
}

impl Stop {
    fn begin(self, setting: &Setting, forge: &ForgeEmulator) {
        let hook = setting.repo.remote_path().join("hooks/update");
        match self {
            Self::BeforeTheRelease => forge.trouble("DELETE", Trouble::Answer(502, "", "")),
            Self::AfterTheRelease => forge.trouble("DELETE", Trouble::Lose),
            Self::AtTheRemote => {
                std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
                std::fs::write(&hook, "#!/bin/sh\necho 'tags are protected here'\nexit 1\n").unwrap();
                let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
                std::fs::set_permissions(&hook, mode).unwrap();
            }
            Self::AtTheTagHere => std::fs::write(Self::lock(setting), "").unwrap(),
        }
    }

    fn end(self, setting: &Setting) {
        match self {
            Self::AtTheRemote => {
                std::fs::remove_file(setting.repo.remote_path().join("hooks/update")).unwrap();
            }
            Self::AtTheTagHere => std::fs::remove_file(Self::lock(setting)).unwrap(),
            _ => {}
        }
    }

    fn lock(setting: &Setting) -> std::path::PathBuf {
        setting.repo.path().join(".git/refs/tags/v0.2.0.lock")
    }
}

#[tokio::test]
async fn a_deletion_that_stopped_half_way_goes_on_or_is_taken_back() {
    for kind in [Kind::GitHub, Kind::GitLab] {
        for stop in [Stop::BeforeTheRelease, Stop::AfterTheRelease, Stop::AtTheRemote, Stop::AtTheTagHere] {
            for goes_on in [true, false] {
                let (setting, forge) = scene(kind);
                let before = (shown(&forge), tags(&setting));
                let params = params(&forge, json!({ "how": "delete" }));
                stop.begin(&setting, &forge);
                let error = setting.run(NAME, &params).await.unwrap_err();
                assert!(error.is_retryable(), "{kind} {stop:?}: {error}");
                if let Stop::AtTheRemote = stop {
                    let told = error.to_string();
                    for words in ["tags are protected here", "its release is deleted already", "origin"] {
                        assert!(told.contains(words), "{told}");
                    }
                }
                stop.end(&setting);
                if goes_on {
                    assert_eq!(setting.probe(NAME, &params).await.unwrap(), Probe::Absent, "{kind} {stop:?}");
                    let output = setting.run(NAME, &params).await.unwrap();
                    assert!(forge.releases().is_empty());
                    assert_eq!(tags(&setting), (String::new(), String::new()), "{kind} {stop:?}");
                    let undone = setting.undo(NAME, &params, &output).await.unwrap();
                    assert!(matches!(undone, Undone::Reverted(_)), "{kind} {stop:?}: {undone:?}");
                } else {
                    roll_back(&setting, &params).await;
                }
                assert_eq!((shown(&forge), tags(&setting)), before, "{kind} {stop:?}");
                assert_eq!(roll_back(&setting, &params).await, None);
                assert_eq!(forge.complaints(), Vec::<String>::new());
            }
        }
    }
}

#[tokio::test]
async fn a_tag_that_names_something_else_is_not_deleted() {
    type Prepare = fn(&Setting);
    let moved_there: Prepare = |setting| {
        setting.repo.file("x", "x").commit("feat: x");
        setting.repo.git(&["push", "--quiet", "--force", "origin", "HEAD:refs/tags/v0.2.0"]);
    };
    let moved_here: Prepare = |setting| {
        setting.repo.file("x", "x").commit("feat: x");
        setting.repo.git(&["tag", "--force", "v0.2.0"]);
    };
    let moved_everywhere: Prepare = |setting| {
        setting.repo.file("x", "x").commit("feat: x");
        setting.repo.git(&["tag", "--force", "v0.2.0"]);
        setting.repo.git(&["push", "--quiet", "--force", "origin", "v0.2.0"]);
    };
    let unknown_here: Prepare = |setting| drop(setting.repo.git(&["tag", "--delete", "v0.2.0"]));
    let unknown_there: Prepare = |setting| {
        // Another remote than the one that the forge shows.
        let other = setting.repo.outside().join("other.git");
        setting.repo.git(&["init", "--quiet", "--bare", other.to_str().unwrap()]);
        setting.repo.git(&["remote", "set-url", "origin", other.to_str().unwrap()]);
    };
    for (prepare, more, expect) in [
        (moved_there, json!({}), "v0.2.0 on origin names"),
        (moved_here, json!({}), "v0.2.0 on origin names"),
        (moved_everywhere, json!({ "commit": "HEAD~1" }), "v0.2.0 here names"),
        (unknown_here, json!({}), "git fetch origin tag v0.2.0"),
        (unknown_here, json!({ "commit": "nowhere" }), "no commit `nowhere`"),
        (unknown_there, json!({}), "is not the one on origin"),
    ] {
        for kind in KINDS {
            let (setting, forge) = scene(kind);
            prepare(&setting);
            let before = tags(&setting);
            let mut params = params(&forge, json!({ "how": "delete" }));
            params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let refusal = setting.final_refusal(NAME, &params).await;
            assert!(refusal.contains(expect), "{kind}: {refusal}");
            assert_eq!((forge.releases().len(), forge.writes()), (1, 0), "{kind} {expect}");
            assert_eq!(tags(&setting), before);
            assert_eq!(setting.repo.git(&["for-each-ref", "refs/windlass"]), "");
        }
    }
}

#[tokio::test]
async fn a_tag_that_is_not_here_is_deleted_when_its_commit_is_said() {
    let (setting, forge) = scene(Kind::GitHub);
    let before = tags(&setting).1;
    setting.repo.git(&["tag", "--delete", "v0.2.0"]);
    let params = params(&forge, json!({ "how": "delete", "commit": "HEAD" }));
    let output = setting.run(NAME, &params).await.unwrap();
    assert_eq!((tags(&setting).1.as_str(), &output["local"]), ("", &json!(false)));
    assert!(matches!(setting.undo(NAME, &params, &output).await.unwrap(), Undone::Reverted(_)));
    assert_eq!(tags(&setting), (String::new(), before));
}

/// Files cannot be had back: a person is told each command, and these work.
#[tokio::test]
async fn files_that_went_with_a_release_are_left_to_a_person() {
    for kind in KINDS {
        let (setting, forge) = scene(kind);
        forge.attach("v0.2.0", "app.tar.gz", 12);
        let before = tags(&setting);
        let params = params(&forge, json!({ "how": "delete" }));
        let output = setting.run(NAME, &params).await.unwrap();
        let undone = setting.undo(NAME, &params, &output).await.unwrap();
        let Undone::NeedsHuman(told) = &undone else { panic!("{undone:?}") };
        assert!(told.contains("(app.tar.gz)"), "{told}");
        assert_eq!(setting.undo(NAME, &params, &output).await.unwrap(), undone);
        let text = told.rsplit_once("kept in ").unwrap().1;
        assert_eq!(std::fs::read_to_string(text).unwrap(), "# Notes\n\n- fly\n");
        for command in told.split('`').filter(|part| part.starts_with("git ")) {
            setting.repo.git(&command.split(' ').skip(1).collect::<Vec<_>>());
        }
        assert_eq!(tags(&setting), before, "{told}");
        forge.add("v0.2.0", "Sail 0.2", "# Notes\n\n- fly\n", false);
        assert_eq!(setting.undo(NAME, &params, &output).await.unwrap(), Undone::NothingToDo);
        assert_eq!(setting.repo.git(&["for-each-ref", "refs/windlass"]), "");
    }
}

#[tokio::test]
async fn a_tag_that_somebody_made_again_is_theirs() {
    let (setting, forge) = scene(Kind::GitHub);
    let params = params(&forge, json!({ "how": "delete" }));
    let output = setting.run(NAME, &params).await.unwrap();
    setting.repo.file("x", "x").commit("feat: x");
    setting.repo.git(&["push", "--quiet", "origin", "HEAD:refs/tags/v0.2.0"]);
    let undone = setting.undo(NAME, &params, &output).await.unwrap();
    assert!(
        matches!(&undone, Undone::NeedsHuman(why) if why.contains("made the tag v0.2.0 again")),
        "{undone:?}"
    );
    assert!(forge.releases().is_empty());
}

#[tokio::test]
async fn a_tag_without_a_release_is_deleted_and_a_typing_error_is_told() {
    let (setting, forge) = scene(Kind::GitHub);
    setting.repo.tag("v0.3.0").git(&["push", "--quiet", "origin", "v0.3.0"]);
    let mut asked = params(&forge, json!({ "tag": "v0.3.0", "how": "delete" }));
    let output = setting.run(NAME, &asked).await.unwrap();
    assert!(!tags(&setting).1.contains("v0.3.0") && output["before"].is_null());
    assert!(matches!(setting.undo(NAME, &asked, &output).await.unwrap(), Undone::Reverted(_)));
    assert!(tags(&setting).1.contains("v0.3.0"));

    asked["tag"] = json!("v0.0.3");
    let refusal = setting.final_refusal(NAME, &asked).await;
    assert!(
        refusal.contains("neither a release of v0.0.3") && refusal.contains("here or on origin"),
        "{refusal}"
    );
    asked["how"] = json!("prerelease");
    let refusal = setting.final_refusal(NAME, &asked).await;
    assert!(refusal.contains("there is no release of v0.0.3 in acme/app"), "{refusal}");
}

#[tokio::test]
async fn refusals_say_what_to_do() {
    for (kind, how, expect) in [
        (Kind::GitHub, "prerelease", "does not let us change the release (403)"),
        (Kind::GitHub, "delete", "Contents: write"),
        (Kind::Forgejo, "prerelease", "`write:repository`"),
        (Kind::GitLab, "delete", "at least the role Developer"),
    ] {
        let (setting, forge) = scene(kind);
        let before = (shown(&forge), tags(&setting));
        forge.read_only();
        let params = params(&forge, json!({ "how": how }));
        let refusal = setting.final_refusal(NAME, &params).await;
        assert!(refusal.contains(expect), "{kind}: {refusal}");
        assert_eq!((shown(&forge), tags(&setting)), before);
        let undone = roll_back(&setting, &params).await;
        assert!(matches!(undone, None | Some(Undone::NothingToDo)), "{undone:?}");
    }
    let (setting, forge) = scene(Kind::GitHub);
    for (more, expect) in [
        (json!({ "how": "delete", "warning": "x" }), "shows no `warning`"),
        (json!({ "how": "hide" }), "unknown variant `hide`"),
        (json!({ "tag": "-x" }), "cannot be the name of a tag"),
        (json!({ "remote": "--exec=x" }), "cannot be the name of a remote"),
        (json!({ "commit": "--all" }), "like an option"),
        (json!({ "token": "NONE" }), "the secret `NONE` is not configured"),
    ] {
        let refusal = setting.final_refusal(NAME, &params(&forge, more)).await;
        assert!(refusal.contains(expect), "{refusal}");
    }
    let long = "x".repeat(125_000);
    let refusal = setting.final_refusal(NAME, &params(&forge, json!({ "warning": long }))).await;
    assert!(refusal.contains("GitHub takes 125000: say less in `warning`"), "{refusal}");
    assert_eq!(forge.writes(), 0);
}

#[test]
fn plans_tell_what_can_be_taken_back() {
    let (setting, forge) = scene(Kind::GitHub);
    let asked = |more| {
        let params = params(&forge, more);
        let effects = setting.effects(NAME, &params).unwrap();
        let told = effects.iter().map(|one| {
            format!(
                "{} {}",
                one.verb,
                one.target.rsplit_once(' ').map_or(one.target.as_str(), |(_, last)| last)
            )
        });
        let kinds = effects.iter().map(|one| one.reversibility).collect::<Vec<_>>();
        (action(NAME).label(&params, &setting.facts()), told.collect::<Vec<_>>(), kinds)
    };
    let (label, told, kinds) = asked(json!({ "tag": "v{{ outputs.choose.from }}" }));
    assert!(label.starts_with("mark the release v{{ outputs.choose.from }} on 127.0.0.1:"), "{label}");
    assert_eq!((told.len(), kinds), (1, vec![Reversibility::Reversible]));
    let (label, told, kinds) = asked(json!({ "how": "delete" }));
    assert!(
        label.starts_with("delete the release v0.2.0 on") && label.ends_with("its tag on origin"),
        "{label}"
    );
    assert_eq!(told, ["delete release v0.2.0", "delete tag refs/tags/v0.2.0", "delete tag refs/tags/v0.2.0"]);
    assert_eq!(kinds, [Reversibility::Permanent, Reversibility::Compensable, Reversibility::Reversible]);
}
