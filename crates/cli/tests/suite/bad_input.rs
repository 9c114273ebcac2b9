//! Bad input: one clear message, the right exit code, nothing half-written.

use windlass_testkit::repo::RepoBuilder;

use crate::support::{package, runbook, windlass};

/// Runs and expects the exit code, one `error:` line with the message, and the hint.
fn check(repo: &RepoBuilder, args: &[&str], code: u8, message: &str, hint: &str) {
    let ran = windlass(repo, args);
    assert_eq!(ran.code, code, "{args:?}: {}{}", ran.out, ran.err);
    assert_eq!(ran.err.matches("error: ").count(), 1, "{args:?}: {}", ran.err);
    assert!(ran.err.contains(message), "{args:?}: {}", ran.err);
    assert!(ran.err.contains(hint), "{args:?}: {}", ran.err);
    assert!(!ran.err.contains('\u{1b}'), "{:?}", ran.err);
}

#[test]
fn repositories_that_nothing_can_be_released_from() {
    let repo = RepoBuilder::new();
    let outside = repo.outside().display().to_string();
    check(&repo, &["-C", &outside, "plan"], 2, "this folder is not in a git repository", "git init");
    check(&repo, &["-C", "/nowhere/at/all", "check"], 2, "cannot be used", "");
    let bare = format!("{outside}/bare.git");
    repo.git(&["init", "--quiet", "--bare", &bare]);
    check(&repo, &["-C", &bare, "next"], 2, "this is a bare repository", "git clone");
    check(&repo, &["next"], 2, "no commit yet", "commit something first");
    check(&repo, &["plan"], 2, "there is no runbook `release`", "windlass init");
    check(&repo, &["bump"], 2, "no file here states a version", "holders");
    check(&repo, &["changelog"], 2, "there is no changelog CHANGELOG.md", "windlass init");
    check(&repo, &["init"], 2, "nobody can be asked here", "--yes");
    assert!(!repo.path().join("windlass.toml").exists());

    let repo = package();
    runbook(&repo, "release", "### A\n\n```sh\ntrue\n```");
    repo.remote();
    let shallow = repo.shallow_clone();
    check(&shallow, &["next"], 2, "shallow clone", "git fetch --unshallow --tags");
    check(&shallow, &["plan"], 2, "shallow clone", "git fetch --unshallow --tags");
    repo.git(&["switch", "--quiet", "--detach"]);
    check(&repo, &["plan"], 2, "HEAD is detached", "git switch main");
}

#[test]
fn versions_that_cannot_be_released() {
    let repo = package();
    check(&repo, &["next", "--version", "1.2"], 2, "`1.2` is not a version", "");
    check(&repo, &["next", "--version", "v1.2.0"], 2, "already exists as the tag `v1.2.0`", "");
    check(&repo, &["next", "--channel", "rcc"], 2, "rcc", "");
    check(&repo, &["bump", "--version", "$(id)"], 2, "`$(id)` is not a version", "");
    repo.file("README.md", "x").commit("docs: a word");
    repo.git(&["tag", "v1.3.0", "HEAD"]);
    check(&repo, &["next"], 3, "nothing to release", "explicit bump");
    check(&repo, &["bump", "--dry-run"], 3, "nothing to release", "");
    repo.file("package.json", "{ \"version\": \"9.0.0\" }").commit("feat: more");
    check(
        &repo,
        &["next"],
        2,
        "disagree: Cargo.toml line 3 says 1.2.0, package.json line 1 says 9.0.0",
        "windlass.toml",
    );
    repo.file("Cargo.toml", "[package\n").commit("fix: break");
    check(&repo, &["next"], 2, "Cargo.toml: line 1", "");
}

#[test]
fn files_that_cannot_be_read() {
    let repo = package();
    let huge = repo.path().join("runbooks");
    std::fs::create_dir(&huge).unwrap();
    let file = std::fs::File::create(huge.join("release.md")).unwrap();
    // 100 MB that take no room on the disk.
    file.set_len(100_000_000).unwrap();
    check(&repo, &["check"], 2, "runbooks/release.md has 100000000 bytes", "");
    check(&repo, &["plan"], 2, "runbooks/release.md has 100000000 bytes", "");
    std::fs::write(huge.join("release.md"), [0xff, 0xfe, 0x00]).unwrap();
    check(&repo, &["check"], 2, "not UTF-8", "");
    std::fs::remove_file(huge.join("release.md")).unwrap();
    std::fs::create_dir(huge.join("release.md")).unwrap();
    check(&repo, &["check"], 2, "is not a file", "");
    std::fs::remove_dir(huge.join("release.md")).unwrap();
    check(&repo, &["check", "nope.md"], 2, "there is no file nope.md", "");
    std::fs::File::create(repo.path().join("windlass.toml")).unwrap().set_len(100_000_000).unwrap();
    check(&repo, &["next"], 2, "windlass.toml has 100000000 bytes", "");
}

#[test]
fn every_error_at_once_with_its_place() {
    let repo = package();
    repo.file("windlass.toml", "[versoin]\n[git]\nsign = \"pgp\"\n");
    repo.file(
        "runbooks/release.md",
        "---\nname: release\nskills: [git]\ncalls: [rolback]\n---\n# R\n\n## Steps\n\n### A\n- Ownr: x\n\n```yaml\nuses: git.tga\n```\n\
         ```yaml\nuses: git.tag\nwith: { mesage: x }\n```\n→ **workflow**: `rolback`\n",
    );
    repo.file(
        "runbooks/rollback.md",
        "---\nname: rollback\n---\n# R\n\n## Steps\n\n### A\n\n```sh\ntrue\n```\n",
    );
    let ran = windlass(&repo, &["check"]);
    insta::assert_snapshot!("every-error-at-once", ran.shown(&repo));
    let json = windlass(&repo, &["check", "--json"]).json();
    let places: Vec<String> = json["diagnostics"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| {
            format!(
                "{}:{}:{} {}",
                finding["file"].as_str().unwrap(),
                finding["line"],
                finding["column"],
                finding["code"].as_str().unwrap()
            )
        })
        .collect();
    insta::assert_snapshot!("every-error-at-once-json", places.join("\n"));
    check(&repo, &["next"], 2, "2 errors in the configuration", "did you mean `version`?");
}

#[test]
fn hostile_names_are_shown_without_their_teeth() {
    let repo = package();
    repo.git(&["switch", "--quiet", "-c", "$(id);x"]);
    repo.file("x", "y").commit("feat: \u{1b}[31m$(id) `id`; --upload-pack=x\u{202e}");
    repo.git(&["tag", "v1.2.3;$(touch$IFS'pwned')", "HEAD~1"]);
    runbook(&repo, "release", "### Tag\n\n```yaml\nuses: git.tag\n```");
    let ran = windlass(&repo, &["plan"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(!ran.out.contains('\u{1b}') && !ran.out.contains('\u{202e}'));
    assert!(!repo.path().join("pwned").exists());
    let escape = windlass(&repo, &["plan", "\u{1b}[31m"]);
    assert!(!escape.err.contains('\u{1b}'), "{:?}", escape.err);
}

#[test]
fn parameters_that_cannot_work_are_found_without_planning() {
    let repo = RepoBuilder::new();
    repo.file(
        "runbooks/r.md",
        "---\nname: r\ninputs:\n  long: { description: How long }\n---\n# R\n\n## Steps\n\n### A\n- When: channel == \"rc\"\n\n\
         ```yaml\nuses: wait\nwith: { for: soon }\n```\n```yaml\nuses: wait\nwith: { for: \"{{ inputs.long }}\" }\n```\n\
         ```yaml\nuses: watch\nwith: { for: 5m }\n```\n```yaml\nuses: http.check\n```\n```sh {secrets=NOPE}\ntrue\n```\n",
    );
    let json = windlass(&repo, &["check", "--json"]).json();
    let told: Vec<String> = json["diagnostics"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| {
            format!(
                "{}:{} {}",
                finding["line"],
                finding["code"].as_str().unwrap(),
                finding["message"].as_str().unwrap()
            )
        })
        .collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn guards_may_name_what_any_caller_left() {
    let file = |repo: &RepoBuilder, name: &str, calls: &str, body: &str| {
        repo.file(
            &format!("runbooks/{name}.md"),
            format!("---\nname: {name}\ncalls: [{calls}]\n---\n# R\n\n{body}"),
        );
    };
    let release = "## Preconditions\n\n```sh {id=ready}\ntrue\n```\n\n## Steps\n\n### Build\n\n```sh\ntrue\n```\n\n- [ ] tested: `true`\n\n\
                   ### Ship\n→ **workflow**: `deploy`\n";
    let deploy = "## Steps\n\n### Bring\n- On failure: [back](back.md)\n\n→ **workflow**: `verify`\n";
    for (guard, expect) in [
        ("outputs.build.x", &[][..]),
        ("outputs.ready.x", &[]),
        ("outputs.preconditions.x", &[]),
        ("outputs['script-1'].x", &[]),
        ("outputs['check-1'].x", &[]),
        ("outputs.bild.x", &["no earlier step or item is called `bild`"]),
        // Its own steps come no earlier because somebody calls it.
        ("outputs.later.x", &["no earlier step or item is called `later`"]),
    ] {
        // Called as an item, and when something fails.
        for name in ["verify", "back"] {
            let repo = RepoBuilder::new();
            file(&repo, "release", "deploy", release);
            file(&repo, "deploy", "verify, back", deploy);
            for plain in ["verify", "back"] {
                file(&repo, plain, "", "## Steps\n\n### Nothing\n\nNothing is done.\n");
            }
            let looks = format!("### Look\n- When: {guard} == \"1\"\n\n```sh\ntrue\n```\n");
            file(&repo, name, "", &format!("## Steps\n\n{looks}\n### Later\n\n```sh\ntrue\n```\n"));
            let path = format!("runbooks/{name}.md");
            let json = windlass(&repo, &["check", "--json", &path]).json();
            let told: Vec<&str> = json["diagnostics"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|finding| finding["severity"] == "error")
                .map(|finding| finding["message"].as_str().unwrap())
                .collect();
            assert_eq!(told, expect, "{name}: {guard}");
        }
    }
    // Runbooks that call each other in a circle are told so, and the search for callers ends.
    let repo = RepoBuilder::new();
    let looks = "### Look\n- When: outputs.nobody.x == \"1\"\n\n```sh\ntrue\n```\n";
    for (name, other) in [("one", "two"), ("two", "one")] {
        file(&repo, name, other, &format!("## Steps\n\n{looks}\n### Call\n→ **workflow**: `{other}`\n"));
    }
    let ran = windlass(&repo, &["check"]);
    let all = format!("{}{}", ran.out, ran.err);
    assert!(all.contains("in a circle") && all.contains("`nobody`"), "{all}");
}
