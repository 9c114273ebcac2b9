//! `windlass adoption`: downloads, issues, what changed since the last look, and what is told when nobody can look.

use std::path::Path;

use windlass_core::forge::Kind;
use windlass_testkit::forges::{ForgeEmulator, Trouble};
use windlass_testkit::repo::RepoBuilder;

use crate::support::{Ran, windlass, windlass_answering, windlass_with};

const TOKEN: &str = "forge-token-5b1c9e7a";

/// A repository whose two releases its forge shows to everybody.
fn scene(kind: Kind) -> (RepoBuilder, ForgeEmulator) {
    let repo = RepoBuilder::new();
    repo.remote();
    let forge = ForgeEmulator::start(kind, "acme/app", &repo.remote_path(), TOKEN);
    let (kind, url) = (kind.key(), forge.url());
    let config = format!("[forge]\nkind = \"{kind}\"\nurl = \"{url}\"\nrepository = \"acme/app\"\n");
    repo.file("windlass.toml", config).commit("feat: begin");
    forge.add("v1.0.0", "v1.0.0", "Notes", false);
    forge.add("v1.1.0", "Sail 1.1", "Notes", false);
    forge.add("v2.0.0", "v2.0.0", "Nobody sees it yet", true);
    forge.attach("v1.0.0", "app.tar.gz", 12_345);
    forge.attach("v1.1.0", "app-linux.tar.gz", 1_204);
    forge.attach("v1.1.0", "app-mac.tar.gz", 31);
    forge.issue("It sinks", &["v1.1.0"], true, false);
    forge.issue("An old\u{1b}[31m leak", &["1.1.0", "bug"], false, false);
    forge.issue("Not about it", &["v1.0.0"], true, false);
    forge.issue("A correction", &["v1.1.0"], true, true);
    forge.public();
    (repo, forge)
}

/// Standard output, but for what differs from day to day.
fn shown(ran: &Ran) -> String {
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
    let (mut text, mut rest) = (String::new(), ran.out.as_str());
    while let Some((before, after)) = rest.split_once("since 2") {
        let end = [after.find(" ago").map(|at| at + 4), after.find("  "), after.find('\n')];
        let end = end.into_iter().flatten().min().unwrap();
        text += &format!("{before}since MOMENT");
        rest = &after[end..];
    }
    text + rest
}

#[test]
fn downloads_and_issues_are_shown_and_what_changed_since() {
    let (repo, forge) = scene(Kind::GitHub);
    insta::assert_snapshot!("adoption-first", shown(&windlass(&repo, &["adoption"])));
    // One file is downloaded more, one begun anew, one is new.
    forge.attach("v1.1.0", "app-linux.tar.gz", 1_291);
    forge.attach("v1.1.0", "app-mac.tar.gz", 3);
    forge.attach("v1.1.0", "app-windows.zip", 8);
    insta::assert_snapshot!(
        "adoption-again",
        shown(&windlass_answering(&repo, &["adoption", "1.1.0", "--label", "bug"], ""))
    );
    insta::assert_snapshot!("adoption-unchanged", shown(&windlass(&repo, &["adoption", "v1.1.0"])));
    assert_eq!((forge.writes(), forge.complaints()), (0, Vec::new()));
}

#[test]
fn releases_are_compared_line_by_line() {
    let (repo, forge) = scene(Kind::Gitea);
    forge.page(1);
    windlass(&repo, &["adoption"]);
    forge.attach("v1.1.0", "app-linux.tar.gz", 4);
    let all = windlass(&repo, &["adoption", "--all"]);
    insta::assert_snapshot!("adoption-all", shown(&all));
    let one = windlass(&repo, &["adoption", "--last", "1"]);
    assert!(one.out.starts_with("v1.1.0") && one.out.lines().count() == 1, "{}", one.out);
}

#[test]
fn what_is_not_counted_is_not_nothing() {
    let (repo, _forge) = scene(Kind::GitLab);
    insta::assert_snapshot!("adoption-gitlab", shown(&windlass(&repo, &["adoption", "v1.1.0"])));
    let told = windlass(&repo, &["adoption", "v1.1.0", "--json"]).json();
    assert!(told["releases"][0]["downloads"].is_null() && told["releases"][0]["before"].is_null());
}

#[test]
fn programs_read_the_same() {
    let (repo, forge) = scene(Kind::Forgejo);
    windlass(&repo, &["adoption"]);
    forge.attach("v1.1.0", "app-linux.tar.gz", 1_205);
    let mut told = windlass(&repo, &["adoption", "--json"]).json();
    assert_eq!(told["schema"], "windlass/adoption/1");
    told["forge"] = "HOST".into();
    told["releases"][0]["before"]["at"] = "MOMENT".into();
    insta::assert_json_snapshot!("adoption-json", told);
    let told = windlass(&repo, &["adoption", "--last", "2", "--json"]).json();
    let releases = told["releases"].as_array().unwrap();
    assert_eq!((releases.len(), releases[1]["downloads"].as_u64()), (2, Some(12_345)));
    assert!(releases[1]["issues"].is_null());
}

#[test]
fn a_token_is_used_where_there_is_one_and_never_told() {
    let (repo, forge) = scene(Kind::GitHub);
    let with = |token: &str| windlass_with(&repo, &["adoption"], &[("GITHUB_TOKEN", token)]);
    assert_eq!(with(TOKEN).code, 0);
    let wrong = with("another-token-1234");
    assert_eq!(wrong.code, 1);
    assert!(wrong.err.contains("(401)") && wrong.err.contains("the token is not valid"), "{}", wrong.err);
    forge.trouble("GET", Trouble::Answer(422, "", r#"{"message":"forge-token-5b1c9e7a"}"#));
    let told = with(TOKEN);
    assert!(told.code == 1 && !told.err.contains(TOKEN), "{}", told.err);
    let config = repo.read("windlass.toml") + "[secrets]\nforge = { env = \"OTHER_KEY\" }\n";
    repo.file("windlass.toml", config);
    let missing = with(TOKEN);
    assert_eq!(missing.code, 2);
    assert!(missing.err.contains("the environment variable OTHER_KEY is not set"), "{}", missing.err);
    assert_eq!(windlass_with(&repo, &["adoption"], &[("OTHER_KEY", TOKEN)]).code, 0);
    assert!(!is_kept(&repo.path().join(".git")));
}

fn is_kept(folder: &Path) -> bool {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).any(|path| match path.is_dir() {
        true => is_kept(&path),
        false => String::from_utf8_lossy(&std::fs::read(&path).unwrap()).contains(TOKEN),
    })
}

#[test]
fn what_cannot_be_shown_is_said() {
    let (repo, forge) = scene(Kind::GitHub);
    let check = |args: &[&str], code: u8, expect: &str| {
        let ran = windlass(&repo, args);
        assert_eq!(ran.code, code, "{args:?}: {}{}", ran.out, ran.err);
        assert!(ran.err.contains(expect), "{args:?}: {}", ran.err);
    };
    check(&["adoption", "9.9.9"], 2, "acme/app on 127.0.0.1");
    check(
        &["adoption", "9.9.9"],
        2,
        "has no release of v9.9.9 that is out\n  help: there is: v1.1.0, v1.0.0",
    );
    check(&["adoption", "v2.0.0"], 2, "has no release of v2.0.0 that is out");
    check(&["adoption", "../../user"], 2, "cannot be the name of a tag");
    check(&["adoption", "--label", "a,b"], 2, "cannot be a label: it holds a comma");
    check(&["adoption", "v1.1.0", "--all"], 2, "cannot be used with");
    check(&["adoption", "--last", "0"], 2, "0 is not in 1..");
    forge.trouble("GET", Trouble::Answer(429, "retry-after: 3000\r\n", "{}"));
    check(&["adoption"], 1, "answers again in 3000 s: try again then, or set GITHUB_TOKEN");
    // What was kept is no reason not to look.
    windlass(&repo, &["adoption"]);
    let kept =
        std::fs::read_dir(repo.path().join(".git/windlass/adoption")).unwrap().next().unwrap().unwrap();
    std::fs::write(kept.path(), "{").unwrap();
    check(&["adoption"], 0, "nothing is compared with the last look");
    check(&["adoption"], 0, "");

    let config = repo.read("windlass.toml");
    repo.file("windlass.toml", config.replace("acme/app", "acme/secret"));
    check(&["adoption"], 1, "not everybody may see it");
    // Nobody listens there.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    repo.file("windlass.toml", config.replace(&forge.url(), &format!("http://{closed}")));
    check(&["adoption"], 1, "did not answer");
    repo.file("windlass.toml", "");
    check(&["adoption"], 2, "names no forge");

    let empty = RepoBuilder::new();
    empty.remote();
    let forge = ForgeEmulator::start(Kind::GitHub, "acme/app", &empty.remote_path(), TOKEN);
    forge.public();
    empty.file("windlass.toml", config.replace(&scene_url(&config), &forge.url())).commit("feat: begin");
    let ran = windlass(&empty, &["adoption"]);
    assert!(ran.code == 0 && ran.err.contains("has no releases yet"), "{}", ran.err);
}

fn scene_url(config: &str) -> String {
    config.split('"').find(|part| part.starts_with("http")).unwrap().to_owned()
}
