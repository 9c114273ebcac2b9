//! Bad input, met by a real run: one clear message, the right exit code, nothing half-written.

use std::path::Path;
use std::process::Stdio;

use windlass_core::run::RunStatus;
use windlass_testkit::repo::RepoBuilder;

use crate::support::{Ran, files, newest, program, windlass};

const FRONT: &str =
    "---\nname: release\nskills: [git]\ncalls: [other]\nroles: [qa]\n---\n# Release\n\n## Steps\n\n";
const OTHER: &str = "---\nname: other\n---\n# Other\n\n## Steps\n\n### A\n\n```sh\ntrue\n```\n";
const SHIP: &str = "### Ship\n\n```sh\necho x >> ../shipped.txt\n```\n";

/// A released repository whose runbook is `runbook`.
fn repository(runbook: &str) -> RepoBuilder {
    let repo = RepoBuilder::new();
    repo.file("runbooks/release.md", runbook)
        .file("runbooks/other.md", OTHER)
        .file("windlass.toml", "[roles]\nqa = [\"rita@example.com\"]\n")
        .commit("feat: begin");
    repo.tag("v1.0.0");
    repo.file("more.txt", "more\n").commit("feat: more");
    repo.remote();
    repo
}

/// Runs and expects the code, exactly one error that holds the texts, and that nothing was changed by it.
fn refused(repo: &RepoBuilder, args: &[&str], code: i32, texts: &[&str]) {
    let before = (files(repo), repo.git(&["status", "--porcelain"]), repo.remote_git(&["for-each-ref"]));
    let ran = windlass(repo, args).expect(code, texts);
    // What is found in a file is followed by how much it was.
    let (found, said) = (ran.err.matches("error[").count(), ran.err.matches("error: ").count());
    assert!((found, said) == (1, 1) || (found, said) == (0, 1), "{args:?}: {}", ran.shown());
    assert!(!ran.err.contains('\u{1b}') && !ran.out.contains('\u{1b}'), "{}", ran.shown());
    let after = (files(repo), repo.git(&["status", "--porcelain"]), repo.remote_git(&["for-each-ref"]));
    let (names, left): (Vec<_>, Vec<_>) = (before.0.keys().collect(), after.0.keys().collect());
    assert_eq!(names, left, "{args:?} left or took files");
    assert!(before == after, "{args:?} changed something: {}", ran.shown());
    assert!(!repo.outside().join("shipped.txt").exists(), "{args:?} ran a script");
}

#[test]
fn runbooks_that_are_not_valid_are_refused_before_anything_runs() {
    let bomb: String =
        std::iter::once("---\nname: release\na0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned())
            .chain((1..12).map(|n| format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 9].join(", "))))
            .chain(std::iter::once(format!("---\n# Release\n\n## Steps\n\n{SHIP}")))
            .collect();
    let action = |text: &str| format!("{FRONT}{SHIP}\n### B\n\n```yaml\n{text}\n```\n");
    for (what, runbook, texts) in [
        (
            "front matter",
            FRONT.replace("roles", "rols") + SHIP,
            &["release.md:5:1", "did you mean `roles`?"][..],
        ),
        (
            "setting",
            format!("{FRONT}{SHIP}\n### B\n- Onwer: qa\n\n```sh\ntrue\n```\n"),
            &["Onwer", "`Owner`"],
        ),
        ("parameter", action("uses: git.tag\nwith: { mesage: x }"), &["mesage", "`message`"]),
        ("action", action("uses: git.tga"), &["git.tga", "`git.tag`"]),
        ("skill", action("uses: version.write"), &["version", "skills"]),
        ("no such skill", FRONT.replace("[git]", "[git, gti]") + SHIP, &["gti", "`git`"]),
        ("role", format!("{FRONT}{SHIP}\n### B\n- Owner: qaa\n\n- [ ] Fine\n"), &["qaa", "`qa`"]),
        ("call", format!("{FRONT}{SHIP}\n### B\n\n→ **workflow**: `othre`\n"), &["othre", "`other`"]),
        (
            "step ids",
            format!("{FRONT}{SHIP}\n### B {{id=ship}}\n\n```sh\ntrue\n```\n"),
            &["ship", "release.md:17"],
        ),
        (
            "open fence",
            format!("{FRONT}{SHIP}\n### B\n\n```sh\ntrue\n"),
            &["release.md:19:1", "never closed"],
        ),
        ("bomb", bomb, &["release.md"]),
        ("bomb in an action", action("uses: git.tag\nwith: &a { message: *a }"), &["release.md"]),
        ("template", action("uses: git.tag\nwith: { message: \"{{ verion }}\" }"), &["verion"]),
    ] {
        println!("{what}");
        let repo = repository(&runbook);
        for args in [&["check"][..], &["plan"], &["run"]] {
            refused(&repo, args, 2, texts);
        }
    }
}

#[test]
fn runbooks_that_call_each_other_in_a_circle_are_refused() {
    let repo = repository(&format!("{FRONT}{SHIP}\n### B\n\n→ **workflow**: `other`\n"));
    let back = OTHER.replace("name: other", "name: other\ncalls: [release]");
    repo.file("runbooks/other.md", back.replace("```sh\ntrue\n```", "→ **workflow**: `release`"))
        .commit("feat: x");
    for args in [&["plan"][..], &["run"]] {
        refused(&repo, args, 2, &["release → other → release"]);
    }
    windlass(&repo, &["check"]).expect(2, &["release → other → release"]);
}

#[test]
fn files_too_large_to_be_read_are_refused() {
    let repo = repository(&format!("{FRONT}{SHIP}"));
    for name in ["runbooks/release.md", "windlass.toml", "CHANGELOG.md", "package.json"] {
        let path = repo.path().join(name);
        let old = std::fs::read(&path).ok();
        // 100 MB that take no room on the disk.
        std::fs::File::create(&path).unwrap().set_len(100_000_000).unwrap();
        let texts = [&format!("{name} has 100000000 bytes")[..]];
        let ran = windlass(&repo, &["run"]).expect(2, &texts);
        assert_eq!(ran.err.matches("error: ").count(), 1, "{}", ran.shown());
        match old {
            Some(old) => std::fs::write(&path, old).unwrap(),
            None => std::fs::remove_file(&path).unwrap(),
        }
    }
    assert!(newest(&repo).is_none() && !repo.path().join(".git/windlass").exists());
    assert_eq!(repo.git(&["status", "--porcelain"]), "");
}

const TAG: &str = "### Tag\n\n```yaml\nuses: git.tag\n```\n```yaml\nuses: git.push\n```\n";

#[test]
fn repositories_that_cannot_be_released_are_left_as_they_are() {
    let runbook = format!("{FRONT}{SHIP}{TAG}");
    let repo = repository(&runbook);
    for version in ["1.2", "$(id)", "1.2.3;id", "--upload-pack=x", "\u{1b}[31m1.0.0", "01.2.3"] {
        let version = format!("--version={version}");
        refused(&repo, &["run", &version], 2, &["is not a version"]);
    }
    refused(&repo, &["run", "--version", "1.0.0"], 2, &["`v1.0.0`"]);

    repo.file("more.txt", "changed\n");
    refused(&repo, &["run"], 2, &["not committed: more.txt", "nothing was started"]);
    repo.git(&["checkout", "--", "more.txt"]);

    repo.git(&["switch", "--quiet", "--detach"]);
    refused(&repo, &["run"], 2, &["HEAD is detached", "git switch main"]);
    repo.git(&["switch", "--quiet", "main"]);

    let shallow = repo.shallow_clone();
    windlass(&shallow, &["run"]).expect(2, &["git fetch --unshallow --tags"]);
    assert!(!shallow.path().join(".git/windlass").exists());

    let empty = RepoBuilder::new();
    empty.file("runbooks/release.md", &runbook).file("runbooks/other.md", OTHER);
    windlass(&empty, &["run"]).expect(2, &["no commit yet", "commit something first"]);
    assert!(!empty.path().join(".git/windlass").exists());
}

#[test]
fn a_tag_that_only_the_remote_has_is_not_replaced() {
    let repo = repository(&format!("{FRONT}{TAG}"));
    repo.remote_git(&["tag", "v1.1.0", "v1.0.0"]);
    let before = repo.remote_git(&["for-each-ref"]);
    repo.file("more.txt", "even more\n").commit("feat: even more");
    windlass(&repo, &["run"]).expect(1, &["origin has another tag v1.1.0 already", "is not replaced"]);
    // Branch and tag, both or none.
    assert_eq!(repo.remote_git(&["for-each-ref"]), before);
    // The rollback leaves the other's tag and takes ours away.
    windlass(&repo, &["rollback"]);
    assert_eq!(repo.remote_git(&["for-each-ref"]), before);
}

#[test]
fn hostile_names_are_released_as_text_and_never_executed() {
    let repo = repository(&format!(
        "{FRONT}### Tell\n\n```sh\nprintf '%s\\n' \"$WINDLASS_BRANCH\" \"$WINDLASS_PREVIOUS_TAG\"\n```\n\n{TAG}"
    ));
    let branch = "$(touch${IFS}pwned);id`id`";
    repo.git(&["switch", "--quiet", "-c", branch]);
    repo.git(&["push", "--quiet", "--set-upstream", "origin", &format!("HEAD:refs/heads/{branch}")]);
    repo.file("windlass.toml", format!("[roles]\nqa = []\n[git]\nbranch = '{branch}'\n"));
    repo.commit(
        "feat: $(touch pwned) `touch pwned` ; touch pwned \u{1b}[31m\u{202e} --upload-pack=touch\u{7}",
    );
    repo.light_tag("v0.9.0;touch${IFS}pwned");
    repo.file("--output=pwned", "x")
        .commit("fix!: \u{9b}31m${IFS}\n\nBREAKING CHANGE: $(touch pwned)\u{1b}]0;x\u{7}");
    for args in [&["check"][..], &["next", "--explain"], &["plan"], &["run"], &["status"], &["logs"]] {
        let ran = windlass(&repo, args).expect(0, &[]);
        let unsafe_letter =
            |letter: char| letter.is_control() && letter != '\n' && letter != '\t' || letter == '\u{202e}';
        let found = ran.out.chars().chain(ran.err.chars()).find(|&letter| unsafe_letter(letter));
        assert_eq!(found, None, "{args:?}: {}", ran.shown());
    }
    let message = repo.remote_git(&["cat-file", "tag", "v2.0.0"]);
    assert!(message.contains("$(touch pwned)"), "{message}");
    assert_eq!(repo.remote_git(&["rev-parse", &format!("refs/heads/{branch}")]), repo.head());
    for folder in [repo.path(), repo.outside(), &repo.remote_path()] {
        assert!(!folder.join("pwned").exists(), "{} was written to", folder.display());
    }
}

#[test]
fn a_journal_of_a_newer_windlass_is_left_alone() {
    let repo = repository(&format!("{FRONT}### Look\n\n- [ ] Fine\n\n{SHIP}"));
    windlass(&repo, &["run"]).expect(4, &[]);
    let (run, _) = newest(&repo).unwrap();
    let path = repo.path().join(".git/windlass/journal.db");
    // SQLite's `user_version`, at byte 60 of the file's head.
    let journal = rusqlite::Connection::open(&path).unwrap();
    journal.execute_batch("PRAGMA user_version = 99; PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    drop(journal);
    let kept = std::fs::read(&path).unwrap();
    for args in [
        &["run"][..],
        &["resume", &run.0],
        &["confirm"],
        &["cancel"],
        &["runs"],
        &["status"],
        &["audit", "verify"],
    ] {
        let ran = windlass(&repo, args).expect(1, &["newer Windlass"]);
        assert_eq!(ran.err.matches("error: ").count(), 1, "{}", ran.shown());
        assert!(std::fs::read(&path).unwrap() == kept, "{args:?} wrote to it");
    }
    assert!(!repo.outside().join("shipped.txt").exists());
}

/// Runs a script of Bash with `$WINDLASS` and mounts of its own, seen by nobody else.
fn with_mounts(repo: &RepoBuilder, script: &str) -> Ran {
    let mut unshare = repo.command("unshare");
    // Only root may mount; anybody else is root in a namespace of users of their own.
    if !nix::unistd::geteuid().is_root() {
        unshare.arg("--map-root-user");
    }
    let script = format!("set -euo pipefail\n{script}");
    let ran: Ran = unshare
        .args(["--mount", "bash", "-c", &script])
        .env("WINDLASS", program(repo).get_program())
        .stdin(Stdio::null())
        .output()
        .expect("the tests need unshare, of util-linux")
        .into();
    assert!(ran.code == Some(0), "mounts of its own cannot be made, or the script failed: {}", ran.shown());
    ran
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn a_full_disk_suspends_the_run_and_room_lets_it_finish() {
    let fill = "### Fill\n\n```sh {in-doubt=rerun}\ntest -e ../room || dd if=/dev/zero of=../filler bs=4k 2>/dev/null || true\n```\n\n";
    let repo = repository(&format!("{FRONT}{fill}{SHIP}{TAG}"));
    let ran = with_mounts(
        &repo,
        "disk=\"$PWD/../disk\"; mkdir \"$disk\"; mount -t tmpfs -o size=4m tmpfs \"$disk\"
        cp -a . \"$disk/work\"; cd \"$disk/work\"
        code=0; \"$WINDLASS\" run || code=$?; echo \"run $code\"
        # Still full: the same again, and nothing lost.
        code=0; \"$WINDLASS\" resume || code=$?; echo \"full $code\"
        rm ../filler; touch ../room
        code=0; \"$WINDLASS\" resume || code=$?; echo \"resume $code\"
        \"$WINDLASS\" audit verify
        cp -a .git/windlass ../../kept; cp ../shipped.txt ../..; git tag --list; git status --porcelain",
    );
    let codes: Vec<&str> = ran
        .out
        .lines()
        .filter(|line| ["run ", "full ", "resume "].iter().any(|word| line.starts_with(word)))
        .collect();
    assert_eq!(codes, ["run 7", "full 7", "resume 0"], "{}", ran.shown());
    assert!(ran.err.contains("when that is mended: `windlass resume"), "{}", ran.shown());
    assert_eq!(read(&repo.outside().join("shipped.txt")), "x\n");
    assert_eq!(repo.remote_git(&["tag", "--list"]), "v1.0.0\nv1.1.0");
    let kept = repo.outside().join("kept/journal.db");
    let journal = windlass_engine::journal::SqliteJournal::open(&kept).unwrap();
    let runs = windlass_engine::journal::Journal::runs(&journal).unwrap();
    assert_eq!(runs.iter().map(|run| run.status).collect::<Vec<_>>(), [RunStatus::Succeeded]);
}

#[test]
fn a_git_directory_that_is_read_only_is_planned_from_and_not_run_in() {
    let repo = repository(&format!("{FRONT}{SHIP}{TAG}"));
    for begun in [false, true] {
        if begun {
            repo.file("runbooks/release.md", format!("{FRONT}### Look\n\n- [ ] Fine\n\n{SHIP}"))
                .commit("feat: x");
            windlass(&repo, &["run"]).expect(4, &[]);
        }
        let before = files(&repo);
        let ran = with_mounts(
            &repo,
            "cp -a .git ../copy; mount -t tmpfs tmpfs .git; cp -a ../copy/. .git; rm -r ../copy
            mount -o remount,ro .git
            for command in check plan run resume runs status; do
                code=0; \"$WINDLASS\" \"$command\" >../out 2>../err || code=$?
                echo \"$command $code $(grep -c '^error' ../err || true)\"; cat ../err >&2
            done",
        );
        let runs = if begun {
            ["run 7 1", "resume 7 1", "runs 0 0", "status 0 0"]
        } else {
            ["run 1 1", "resume 2 1", "runs 0 0", "status 2 1"]
        };
        let expected: Vec<&str> = ["check 0 0", "plan 0 0"].into_iter().chain(runs).collect();
        assert_eq!(ran.out.lines().collect::<Vec<_>>(), expected, "{}", ran.shown());
        assert!(ran.err.contains("cannot be written") || ran.err.contains("read-only"), "{}", ran.shown());
        assert!(files(&repo) == before, "something was written: {}", ran.shown());
        assert!(!repo.outside().join("shipped.txt").exists());
    }
}
