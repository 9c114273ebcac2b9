//! A release on a forge, by the program: tagged, pushed, shown with its notes, killed in between, taken back.

use std::path::Path;
use std::time::{Duration, Instant};

use windlass_core::forge::Kind;
use windlass_core::run::RunStatus;
use windlass_testkit::forges::{ForgeEmulator, Trouble};
use windlass_testkit::repo::RepoBuilder;

use crate::support::{Ran, newest, program};

const TOKEN: &str = "forge-token-5b1c9e7a";

const RUNBOOK: &str = "---\nname: release\nskills: [git, forge]\n---\n# Release\n\n## Steps\n\n\
    ### Tag\n\n```yaml\nuses: git.tag\n```\n\n### Publish\n\n```yaml\nuses: git.push\n```\n\n\
    ### Announce\n\n```yaml\nuses: forge.release\n```\n";

/// A repository whose remote is shown by a forge.
fn scene(kind: Kind) -> (RepoBuilder, ForgeEmulator) {
    let repo = RepoBuilder::new();
    repo.remote();
    let forge = ForgeEmulator::start(kind, "acme/app", &repo.remote_path(), TOKEN);
    let (kind, url) = (kind.key(), forge.url());
    repo.file(
        "windlass.toml",
        format!("[forge]\nkind = \"{kind}\"\nurl = \"{url}\"\nrepository = \"acme/app\"\n"),
    )
    .file("CHANGELOG.md", "# Changelog\n\n## [1.0.0] - 2026-01-01\n\n### Added\n\n- Fly\n")
    .file("runbooks/release.md", RUNBOOK)
    .commit("feat: begin");
    (repo, forge)
}

fn windlass(repo: &RepoBuilder, kind: Kind, args: &[&str]) -> Ran {
    program(repo).env(kind.variable(), TOKEN).args(args).output().unwrap().into()
}

/// Whether any file under `folder` holds the token.
fn is_kept(folder: &Path) -> bool {
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => is_kept(&path),
            false => String::from_utf8_lossy(&std::fs::read(&path).unwrap()).contains(TOKEN),
        }
    })
}

#[test]
fn a_release_is_shown_on_its_forge_and_taken_back() {
    for kind in [Kind::GitHub, Kind::Forgejo, Kind::GitLab] {
        let (repo, forge) = scene(kind);
        let place = format!("{}/acme/app v1.0.0", forge.url().replace("http://", ""));
        let planned = windlass(&repo, kind, &["plan", "--version", "1.0.0"]);
        let planned = planned.expect(0, &["publish the release v1.0.0 on", "publish release", &place]);
        assert_eq!(forge.requests().len(), 0, "planning asks no forge");
        let ran =
            windlass(&repo, kind, &["run", "--version", "1.0.0"]).expect(0, &["release 1.0.0 succeeded"]);
        let shown = forge.releases();
        assert_eq!((shown.len(), &shown[0]["tag_name"]), (1, &"v1.0.0".into()));
        let body = if kind == Kind::GitLab { &shown[0]["description"] } else { &shown[0]["body"] };
        let notes = windlass(&repo, kind, &["notes", "v1.0.0"]).expect(0, &["- Fly"]);
        assert_eq!(body.as_str().unwrap().trim_end(), notes.out.trim_end());
        assert_eq!(forge.complaints(), Vec::<String>::new());

        // The tag is published and stays; the release that shows it goes.
        let back = windlass(&repo, kind, &["rollback", "--yes"]);
        assert!(back.shown().contains("deleted the release of v1.0.0"), "{}", back.shown());
        assert!(forge.releases().is_empty());
        assert_eq!(repo.remote_git(&["tag", "--list"]), "v1.0.0");

        for text in [planned, ran, back] {
            assert!(!text.shown().contains(TOKEN));
        }
        assert!(!is_kept(&repo.path().join(".git/windlass")));
    }
}

/// As teams do it whose notes are edited before they are published.
#[test]
fn the_text_is_a_file_that_an_earlier_step_wrote() {
    let (repo, forge) = scene(Kind::GitHub);
    let write = "### Write\n\n```yaml\nuses: notes.write\nwith: { output: RELEASE_NOTES.md }\n```\n\n\
                 ```sh\necho 'Edited by Rita.' >> RELEASE_NOTES.md\n```\n\n### Tag";
    let with = "uses: forge.release\nwith: { notes: RELEASE_NOTES.md, name: \"Sail {{ version }}\" }";
    let runbook = RUNBOOK.replace("### Tag", write).replace("uses: forge.release", with);
    repo.file("runbooks/release.md", runbook.replace("[git, forge]", "[git, forge, notes]"))
        .commit("docs: notes");
    windlass(&repo, Kind::GitHub, &["run", "--version", "1.0.0-rc.1"]).expect(0, &["succeeded"]);
    let shown = &forge.releases()[0];
    assert_eq!((&shown["name"], &shown["prerelease"]), (&"Sail 1.0.0-rc.1".into(), &true.into()));
    let body = shown["body"].as_str().unwrap();
    assert!(body.ends_with("Edited by Rita.\n") && body == repo.read("RELEASE_NOTES.md"), "{body}");
}

#[test]
fn the_forge_is_known_by_the_remote() {
    let (repo, _) = scene(Kind::GitHub);
    repo.file("windlass.toml", "").commit("chore: say nothing");
    for (remote, code, expect) in [
        ("git@github.com:acme/app.git", 0, "publish release github.com/acme/app v1.0.0"),
        (
            "https://ada:hunter2-hunter2@codeberg.org/acme/app",
            0,
            "publish release codeberg.org/acme/app v1.0.0",
        ),
        ("git@git.example.com:acme/app.git", 2, "nobody knows what forge is at https://git.example.com"),
    ] {
        repo.git(&["remote", "set-url", "origin", remote]);
        let planned = program(&repo).args(["plan", "--version", "1.0.0"]).output().unwrap();
        let planned = Ran::from(planned).expect(code, &[expect]);
        assert!(!planned.shown().contains("hunter2"));
    }
}

#[test]
fn the_token_comes_from_where_the_configuration_says() {
    let (repo, forge) = scene(Kind::GitLab);
    let config = repo.read("windlass.toml") + "[secrets]\nforge = { env = \"RELEASE_KEY\" }\n";
    repo.file("windlass.toml", config).commit("chore: name the key");
    let run = |variable: &str| -> Ran {
        program(&repo).env(variable, TOKEN).args(["run", "--version", "1.0.0"]).output().unwrap().into()
    };
    run("GITLAB_TOKEN").expect(2, &["set the variable RELEASE_KEY"]);
    assert!(!run("RELEASE_KEY").expect(0, &["succeeded"]).shown().contains(TOKEN));
    assert_eq!(forge.releases().len(), 1);
}

#[test]
fn a_run_without_a_token_does_not_begin() {
    let (repo, forge) = scene(Kind::Forgejo);
    let refused = crate::support::windlass(&repo, &["run", "--version", "1.0.0"]);
    let refused = refused.expect(2, &["the secret `forge` has no value", "FORGEJO_TOKEN"]);
    assert_eq!(repo.git(&["tag", "--list"]), "", "{}", refused.shown());
    assert_eq!(forge.requests().len(), 0);
    let with = RUNBOOK.replace("uses: forge.release", "uses: forge.release\nwith: { token: OTHER }");
    repo.file("runbooks/release.md", with).commit("chore: another token");
    crate::support::windlass(&repo, &["run", "--version", "1.0.0"])
        .expect(2, &["the secret `OTHER` is not configured", "[secrets] OTHER"]);
}

#[test]
fn killed_while_the_forge_answers_it_is_resumed_and_nothing_is_doubled() {
    for kind in [Kind::GitHub, Kind::Forgejo, Kind::GitLab] {
        for trouble in [Trouble::Hang, Trouble::Silence] {
            let (repo, forge) = scene(kind);
            forge.trouble("POST", trouble.clone());
            let mut child = program(&repo)
                .env(kind.variable(), TOKEN)
                .args(["run", "--version", "1.0.0"])
                .spawn()
                .unwrap();
            let until = Instant::now() + Duration::from_secs(60);
            // The emulator takes the request down before it does anything about it, and then holds its state.
            while forge.writes() == 0 || (forge.releases().is_empty() && matches!(trouble, Trouble::Silence))
            {
                assert!(Instant::now() < until, "no release was asked for: {:?}", forge.requests());
                std::thread::yield_now();
            }
            child.kill().unwrap();
            assert!(Ran::from(child.wait_with_output().unwrap()).killed);
            let made = forge.releases().len();
            assert_eq!(made, usize::from(matches!(trouble, Trouble::Silence)), "{kind}");

            let (run, _) = newest(&repo).unwrap();
            windlass(&repo, kind, &["resume", &run.0]).expect(0, &["succeeded"]);
            assert_eq!(newest(&repo).unwrap().1.status, RunStatus::Succeeded);
            assert_eq!(
                (forge.releases().len(), forge.writes()),
                (1, 2 - made),
                "{kind}: {:?}",
                forge.requests()
            );
            assert_eq!(forge.complaints(), Vec::<String>::new());
            // What was made is known to be ours.
            windlass(&repo, kind, &["rollback", "--yes"]);
            assert!(forge.releases().is_empty(), "{kind} {trouble:?}");
        }
    }
}

const BACK: &str = "---\nname: rollback\nskills: [forge, git]\ninputs:\n  how: { type: string, default: prerelease, options: [prerelease, delete] }\n---\n# Back\n\n## Steps\n\n\
    ### Look\n\n```yaml {id=look}\nuses: forge.adoption\nwith: { tag: v1.0.0 }\n```\n\n\
    ### Withdraw\n- When: outputs.look.open_issues > 0\n\n```yaml\nuses: forge.withdraw\nwith: { tag: v1.0.0, how: \"{{ inputs.how }}\" }\n```\n";

/// A release that is out, and a runbook that leads back when somebody told that it is bad.
fn released(kind: Kind) -> (RepoBuilder, ForgeEmulator) {
    let (repo, forge) = scene(kind);
    repo.file("runbooks/rollback.md", BACK).commit("docs: the way back");
    windlass(&repo, kind, &["run", "--version", "1.0.0"]).expect(0, &["succeeded"]);
    (repo, forge)
}

#[test]
fn a_release_is_withdrawn_when_issues_are_about_it_and_taken_back() {
    for kind in [Kind::GitHub, Kind::Forgejo, Kind::GitLab] {
        for how in ["prerelease", "delete"] {
            let (repo, forge) = released(kind);
            let how = format!("how={how}");
            let run = ["run", "rollback", "--input", &how];
            // Nobody complained.
            windlass(&repo, kind, &run).expect(0, &["succeeded"]);
            let (before, tags) = (forge.releases(), repo.remote_git(&["show-ref"]));
            forge.issue("It sinks", &["v1.0.0"], true, false);
            let ran = windlass(&repo, kind, &run).expect(0, &["succeeded"]);
            let is_deleted = how.ends_with("delete");
            assert_eq!(forge.releases().is_empty(), is_deleted, "{kind}: {}", ran.shown());
            assert_ne!((forge.releases(), repo.remote_git(&["tag"])), (before.clone(), String::new()));
            assert_eq!(repo.remote_git(&["tag"]).is_empty(), is_deleted);

            let back = windlass(&repo, kind, &["rollback", "--yes"]);
            let text = |releases: &[serde_json::Value]| {
                let fields = ["name", "body", "description", "prerelease"];
                fields.map(|field| releases[0][field].to_string().trim_end_matches("\\n\"").to_owned())
            };
            assert_eq!(text(&forge.releases()), text(&before), "{kind} {how}: {}", back.shown());
            assert_eq!(repo.remote_git(&["show-ref"]), tags, "{kind} {how}");
            assert_eq!(forge.complaints(), Vec::<String>::new());
            assert!(!ran.shown().contains(TOKEN) && !back.shown().contains(TOKEN));
            assert!(!is_kept(&repo.path().join(".git/windlass")));
        }
    }
}

#[test]
fn killed_while_a_release_is_withdrawn_it_goes_on_or_back() {
    for (kind, how, method) in [
        (Kind::GitHub, "prerelease", "PATCH"),
        (Kind::GitLab, "prerelease", "PUT"),
        (Kind::Gitea, "delete", "DELETE"),
    ] {
        for next in ["resume", "rollback"] {
            let (repo, forge) = released(kind);
            forge.issue("It sinks", &["v1.0.0"], true, false);
            let (releases, tags) = (forge.releases(), repo.remote_git(&["show-ref"]));
            forge.trouble(method, Trouble::Silence);
            let mut child = program(&repo)
                .env(kind.variable(), TOKEN)
                .args(["run", "rollback", "--input", &format!("how={how}")])
                .spawn()
                .unwrap();
            let until = Instant::now() + Duration::from_secs(60);
            while forge.releases() == releases {
                assert!(Instant::now() < until, "nothing was withdrawn: {:?}", forge.requests());
                std::thread::yield_now();
            }
            child.kill().unwrap();
            assert!(Ran::from(child.wait_with_output().unwrap()).killed);
            let (run, _) = newest(&repo).unwrap();
            if next == "resume" {
                windlass(&repo, kind, &["resume", &run.0]).expect(0, &["succeeded"]);
                assert_eq!(repo.remote_git(&["tag"]).is_empty(), how == "delete", "{kind}");
            }
            let back = windlass(&repo, kind, &["rollback", &run.0, "--yes"]);
            let text = |releases: &[serde_json::Value]| {
                (releases[0]["name"].clone(), releases[0]["prerelease"].clone())
            };
            assert_eq!(text(&forge.releases()), text(&releases), "{kind} {next}: {}", back.shown());
            assert_eq!(repo.remote_git(&["show-ref"]), tags, "{kind} {next}: {}", back.shown());
            assert_eq!(forge.complaints(), Vec::<String>::new());
        }
    }
}

#[test]
fn a_runbook_that_only_looks_needs_no_token() {
    let (repo, forge) = released(Kind::GitHub);
    forge.public();
    let look = &BACK[..BACK.find("### Withdraw").unwrap()];
    repo.file("runbooks/look.md", look.replace("name: rollback", "name: look")).commit("docs: look");
    crate::support::windlass(&repo, &["run", "look"]).expect(0, &["succeeded"]);
    crate::support::windlass(&repo, &["run", "rollback"]).expect(2, &["the secret `forge` has no value"]);
}
