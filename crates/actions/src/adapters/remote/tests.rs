//! The program on a host, run for real by the shells it must work with.

use std::path::Path;
use std::process::{Command as Process, Output};

use super::record::Record;
use super::*;

/// dash or whatever `sh` is here, and busybox with nothing else to call but flock, which Debian builds it without.
fn shells(place: &Path) -> [(&'static str, Option<PathBuf>); 2] {
    let folder = place.join("busybox-only");
    std::fs::create_dir_all(&folder).unwrap();
    let find = |name: &str| {
        std::env::split_paths(&std::env::var_os("PATH").unwrap())
            .map(|folder| folder.join(name))
            .find(|path| path.is_file())
            .unwrap_or_else(|| panic!("the tests need {name}"))
    };
    let busybox = find("busybox");
    let _there = std::os::unix::fs::symlink(find("flock"), folder.join("flock"));
    for applet in [
        "sh",
        "cat",
        "mv",
        "rm",
        "mkdir",
        "sync",
        "date",
        "sed",
        "tail",
        "sleep",
        "df",
        "awk",
        "printf",
        "cp",
        "cmp",
        "readlink",
        "tr",
        "id",
        "sha256sum",
        "grep",
        "cut",
        "sort",
        "wc",
        "nc",
        "head",
    ] {
        let _there = std::os::unix::fs::symlink(&busybox, folder.join(applet));
    }
    [("sh", None), ("busybox", Some(folder))]
}

struct Place {
    folder: tempfile::TempDir,
    path: Option<PathBuf>,
}

impl Place {
    fn call(&self, words: &[&str], stdin: &str) -> Output {
        self.call_by(&["sh"], words, stdin)
    }

    /// In a group of its own, with `two` on its standard input.
    fn spawn(&self, words: &[String]) -> std::process::Child {
        use std::io::Write as _;
        use std::os::unix::process::CommandExt as _;
        let mut command = Process::new("sh");
        command.args(["-c", PROGRAM, "windlass", &words[0]]);
        command.arg(self.folder.path().join("a folder's")).arg("4").args(&words[1..]).process_group(0);
        if let Some(path) = &self.path {
            command.env("PATH", path);
        }
        let mut child = command.stdin(std::process::Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"two\n").unwrap();
        child
    }

    fn call_by(&self, shell: &[&str], words: &[&str], stdin: &str) -> Output {
        self.send(shell, words, stdin, stdin.len())
    }

    /// With `bytes` announced on standard input.
    fn send(&self, shell: &[&str], words: &[&str], stdin: &str, bytes: usize) -> Output {
        use std::io::Write as _;
        let mut command = Process::new(shell[0]);
        command.args(&shell[1..]).args(["-c", PROGRAM, "windlass", words[0]]);
        command.arg(self.folder.path().join("a folder's")).arg(bytes.to_string()).args(&words[1..]);
        if let Some(path) = &self.path {
            command.env("PATH", path);
        }
        command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
        let mut child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
        let _unread = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        child.wait_with_output().unwrap()
    }

    fn expect(&self, words: &[&str], code: i32, out: &str) {
        let output = self.call(words, "{}\n");
        let text = String::from_utf8_lossy(&output.stdout);
        let shown = format!("{words:?}: {output:?}");
        assert_eq!(output.status.code(), Some(code), "{shown}");
        assert!(text.contains(out), "{shown}");
    }

    fn kept(&self) -> String {
        String::from_utf8(self.call(&["look"], "").stdout).unwrap()
    }
}

fn each_shell(test: impl Fn(&Place)) {
    let place = tempfile::tempdir().unwrap();
    for (name, path) in shells(place.path()) {
        println!("by {name}");
        test(&Place { folder: tempfile::tempdir().unwrap(), path });
    }
}

#[test]
fn a_lock_is_taken_renewed_given_back_and_broken() {
    each_shell(|place| {
        place.expect(&["look"], 0, "now ");
        assert!(!place.folder.path().join("a folder's").exists(), "looking made something");
        place.expect(&["lock", "run-1", "1", "ann $(id) 'x'", "60", "0"], 0, "1");
        // The same process again: the same fence. A later process of the run: a higher one.
        place.expect(&["lock", "run-1", "1", "ann", "60", "0"], 0, "1");
        place.expect(&["lock", "run-1", "2", "ann", "60", "0"], 0, "2");
        place.expect(&["lock", "run-1", "1", "ann", "60", "0"], 74, "lock run-1");
        place.expect(&["renew", "run-1", "1", "60"], 74, "");
        place.expect(&["renew", "run-1", "2", "60"], 0, "");
        place.expect(&["lock", "run-2", "1", "bob", "60", "0"], 76, "lock ann");
        assert!(place.kept().contains("lock 2\n"), "{}", place.kept());
        // Only one's own lock is given back.
        place.expect(&["unlock", "run-2", "1"], 0, "");
        place.expect(&["unlock", "run-1", "1"], 0, "");
        place.expect(&["lock", "run-2", "1", "bob", "60", "0"], 76, "");
        place.expect(&["unlock", "run-1", "2"], 0, "");
        place.expect(&["unlock", "run-1", "2"], 0, "");
        // Above whatever the other hosts have seen.
        place.expect(&["lock", "run-2", "1", "bob", "60", "40"], 0, "41");
        place.expect(&["break", "carl", "it was left `id`"], 0, "fence 42");
        place.expect(&["renew", "run-2", "1", "60"], 74, "");
        place.expect(&["record", "41", "keep"], 75, "42");
        assert!(place.kept().contains("carl: it was left `id`"));
        // A lease that is over holds nobody off.
        place.expect(&["lock", "run-3", "1", "", "0", "0"], 0, "43");
        place.expect(&["lock", "run-4", "1", "", "60", "0"], 0, "44");
    });
}

#[test]
fn a_lower_fence_is_refused_by_every_step() {
    each_shell(|place| {
        place.expect(&["raise", "7"], 0, "");
        for words in [
            &["raise", "6"][..],
            &["record", "6", ""],
            &["forget", "6"],
            &["put", "6", "0", "1.0.0", "compose.yml", "3"],
            &["begin", "6", "shop", "1.0.0", "compose.yml"],
            &["resolve", "6", "1", "1", "1.0.0", "compose.yml", "r/web:1"],
            &["compose", "6", "1", "1.0.0", "compose.yml", "--", "up"],
        ] {
            place.expect(words, 75, "7");
        }
        assert_eq!(place.kept().lines().filter(|line| line.starts_with("record")).count(), 0);
        place.expect(&["record", "7", "keep"], 0, "");
        place.expect(&["record", "8", "keep"], 0, "");
        place.expect(&["put", "8", "0", "1.0.0", "deploy/compose.yml", "3"], 0, "");
        let put = place.folder.path().join("a folder's/.windlass/releases/1.0.0/deploy/compose.yml");
        assert_eq!(std::fs::read_to_string(put).unwrap(), "{}\n");
        let kept = place.kept();
        assert!(kept.contains("fence 8\n") && kept.contains("record {}"), "{kept}");
        assert_eq!(kept.matches("history {}").count(), 2);
        place.expect(&["forget", "8"], 0, "");
        assert!(!place.kept().contains("record"));
    });
}

#[test]
fn a_record_is_written_whole_or_not_at_all() {
    each_shell(|place| {
        place.expect(&["record", "1", "keep"], 0, "");
        // No file may grow any more, as on a full disk.
        let limited = "ulimit -f 0; trap '' XFSZ; exec \"$0\" \"$@\"";
        let full = place.call_by(&["sh", "-c", limited, "sh"], &["record", "1", "keep"], "{\"new\":1}\n");
        assert!(!full.status.success());
        assert!(place.kept().contains("record {}\n"), "{}", place.kept());
        let home = place.folder.path().join("a folder's/.windlass");
        let names: Vec<String> = std::fs::read_dir(home)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert!(names.iter().all(|name| !name.contains(".new.")), "{names:?}");
    });
}

/// A `mv` for a `PATH`, which kills its caller at its call number `at`, before or after it has moved.
fn deadly_move(folder: &Path, at: usize, after: bool) -> PathBuf {
    let path = folder.join("mv");
    let kill = format!("[ $moves -ne {at} ] || {{ kill -9 $PPID; exit; }}");
    let (before, after) = if after { ("", kill.as_str()) } else { (kill.as_str(), "") };
    let place = folder.display();
    let text = format!(
        "#!/bin/sh\necho >>'{place}/moves'\nmoves=$(wc -l <'{place}/moves')\n{before}\n/bin/mv \"$@\"\n{after}\n"
    );
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut folders = vec![folder.to_owned()];
    folders.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap()));
    std::env::join_paths(folders).unwrap().into()
}

#[test]
fn a_record_and_its_history_agree_wherever_the_writing_was_killed() {
    let mut killed = 0;
    for (at, after) in (1..=4).flat_map(|at| [(at, false), (at, true)]) {
        let (folder, moves) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut place = Place { folder, path: None };
        assert!(place.call(&["record", "1", "keep"], "old\n").status.success());
        place.path = Some(deadly_move(moves.path(), at, after));
        killed += usize::from(!place.call(&["record", "1", "keep"], "new\n").status.success());
        place.path = None;
        let told = |kept: &str| -> Vec<String> {
            let lines = kept.lines().filter(|line| line.starts_with("record") || line.starts_with("history"));
            lines.map(str::to_owned).collect()
        };
        let old = ["record old", "history old"].map(str::to_owned).to_vec();
        let new = ["record new", "history old", "history new"].map(str::to_owned).to_vec();
        let looked = told(&place.kept());
        assert_eq!(looked, if (at, after) == (1, false) { old } else { new }, "at {at}, after: {after}");
        // Whatever is done next completes it, and nothing is told otherwise than before.
        place.expect(&["raise", "2"], 0, "");
        assert_eq!(told(&place.kept()), looked, "at {at}, after: {after}");
        assert!(!place.folder.path().join("a folder's/.windlass/pending").exists());
    }
    assert_eq!(killed, 6, "a record takes three moves");
}

#[test]
fn what_did_not_come_whole_is_not_written() {
    each_shell(|place| {
        place.expect(&["record", "1", "keep"], 0, "");
        place.expect(&["put", "1", "0", "1.0.0", "compose.yml", "3"], 0, "");
        place.expect(&["keep", "1", "colours", "write"], 0, "");
        for words in [
            &["record", "1", "keep"][..],
            &["record", "1", ""],
            &["put", "1", "0", "1.0.0", "compose.yml", "3"],
            &["begin", "1", "shop", "1.0.0", "compose.yml"],
            &["compose", "1", "1", "1.0.0", "compose.yml", "--", "up"],
            &["keep", "1", "colours", "write"],
            &["tell", "1", "/nowhere"],
        ] {
            let cut = place.send(&["sh"], words, "", 20);
            assert_eq!(cut.status.code(), Some(79), "{words:?}: {cut:?}");
        }
        assert!(place.kept().contains("record {}\nhistory {}\n"), "{}", place.kept());
        let put = place.folder.path().join("a folder's/.windlass/releases/1.0.0/compose.yml");
        assert_eq!(std::fs::read_to_string(put).unwrap(), "{}\n");
        place.expect(&["kept", "colours"], 0, "{}\n");
    });
}

#[test]
fn damage_is_told_and_never_guessed_at() {
    each_shell(|place| {
        place.expect(&["raise", "3"], 0, "");
        let home = place.folder.path().join("a folder's/.windlass");
        std::fs::write(home.join("fence"), "three\n").unwrap();
        for words in [
            &["raise", "9"][..],
            &["break", "a", "b"],
            &["lock", "r", "1", "p", "60", "0"],
            &["record", "9", ""],
        ] {
            place.expect(words, 73, "");
        }
        std::fs::write(home.join("fence"), "3\n").unwrap();
        std::fs::write(home.join("lock"), "run-1\n").unwrap();
        place.expect(&["lock", "r", "1", "p", "60", "0"], 73, "");
        place.expect(&["break", "a", "b"], 0, "fence 4");
    });
}

#[test]
fn of_many_at_once_one_gets_the_lock() {
    each_shell(|place| {
        let codes: Vec<i32> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|number| {
                    scope.spawn(move || {
                        let run = format!("run-{number}");
                        place.call(&["lock", &run, "1", "x", "60", "0"], "").status.code().unwrap()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(codes.iter().filter(|code| **code == 0).count(), 1, "{codes:?}");
        assert_eq!(codes.iter().filter(|code| **code == 76).count(), 7, "{codes:?}");
    });
}

#[test]
fn compose_gets_its_files_before_its_arguments() {
    let place = Place { folder: tempfile::tempdir().unwrap(), path: None };
    let tools = place.folder.path().join("tools");
    std::fs::create_dir(&tools).unwrap();
    std::fs::create_dir(place.folder.path().join("a folder's")).unwrap();
    let docker = "#!/bin/sh\npwd\nprintf '<%s>' \"$@\"\n";
    std::fs::write(tools.join("docker"), docker).unwrap();
    std::fs::set_permissions(tools.join("docker"), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
    let place = Place { path: Some(path.into()), ..place };
    let output = place.call(&["compose", "1", "5", "1.0.0", "a.yml", "sub/b.yml", "--", "up", "-d"], "");
    let text = String::from_utf8(output.stdout).unwrap();
    let folder = place.folder.path().join("a folder's");
    let folder = folder.display();
    let release = format!("{folder}/.windlass/releases/1.0.0");
    assert_eq!(
        text,
        format!(
            "{folder}\n<compose><--ansi><never><--project-directory><{folder}><-f><{release}/a.yml><-f>\
             <{release}/sub/b.yml><up><-d>"
        )
    );
}

/// A `docker` of one container, which says what it is called with, before the other programs of each shell.
fn each_docker(test: impl Fn(&Place)) {
    const DOCKER: &str = r#"#!/bin/sh
printf '<%s>' "$@" >>"$0.asked"
echo >>"$0.asked"
[ ! -e "$0.gone" ] || { echo "it is not running" >&2; exit 1; }
case "$*" in
    *" config "*) printf '{\n  "name": "shop"\n}\n' ;;
    "ps "*) echo one ;;
    "inspect "*) echo '{"id":"one","service":"web","state":"running"}' ;;
    "image inspect"*) echo '["r/web@sha256:aa"]' ;;
esac
"#;
    let place = tempfile::tempdir().unwrap();
    for (name, path) in shells(place.path()) {
        println!("by {name}");
        let tools = place.path().join(format!("docker-{name}"));
        std::fs::create_dir_all(&tools).unwrap();
        std::fs::write(tools.join("docker"), DOCKER).unwrap();
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(tools.join("docker"), executable).unwrap();
        let rest = path.map_or_else(|| std::env::var_os("PATH").unwrap(), Into::into);
        let mut all = vec![tools];
        all.extend(std::env::split_paths(&rest));
        let path = Some(PathBuf::from(std::env::join_paths(all).unwrap()));
        test(&Place { folder: tempfile::tempdir().unwrap(), path });
    }
}

/// The tool that [`each_docker`] has put there.
fn docker(place: &Place, end: &str) -> PathBuf {
    let first = std::env::split_paths(place.path.as_ref().unwrap()).next().unwrap();
    first.join(format!("docker{end}"))
}

const RECORD: &str = r#"{"version":"\"project\":\"no\"","project":"shop","previous":{"project":"old"}}"#;

#[test]
fn one_question_tells_what_is_kept_and_what_runs_and_changes_nothing() {
    each_docker(|place| {
        let survey = || {
            let output = place.call(&["survey", "1.0.0", "compose.yml"], "");
            assert!(output.status.success(), "{output:?}");
            let text = String::from_utf8(output.stdout).unwrap();
            (Running::parse(&text), text)
        };
        assert!(
            survey().0.is_none() && !place.folder.path().join("a folder's").exists(),
            "it made something"
        );
        place.expect(&["record", "3", "keep"], 0, "");
        let home = place.folder.path().join("a folder's/.windlass");
        std::fs::write(home.join("record.json"), format!("{RECORD}\n")).unwrap();
        // Another release is there: nothing of docker is asked.
        assert!(survey().0.is_none() && !docker(place, ".asked").exists());
        place.expect(&["put", "3", "0", "1.0.0", "compose.yml", "3"], 0, "");
        let (running, text) = survey();
        let running = running.unwrap();
        assert_eq!(running.config, "{\n  \"name\": \"shop\"\n}\n");
        assert_eq!(running.containers[0].id, "one");
        assert!(
            text.contains("fence 3\n") && text.contains("record {\"version\"") && !text.contains("history"),
            "{text}"
        );
        let asked = std::fs::read_to_string(docker(place, ".asked")).unwrap();
        assert!(asked.contains("/releases/1.0.0/compose.yml><config><--format><json>"), "{asked}");
        assert!(asked.contains("<label=com.docker.compose.project=shop>"), "{asked}");
        // While a record is on its way, and where docker does not tell, nothing is told of what runs, and the rest is.
        std::fs::write(home.join("pending"), "{}\n").unwrap();
        assert!(survey().0.is_none());
        std::fs::remove_file(home.join("pending")).unwrap();
        std::fs::write(docker(place, ".gone"), "").unwrap();
        let (running, text) = survey();
        assert!(running.is_none() && text.contains("fence 3\n"), "{text}");
    });
}

#[test]
fn what_is_sent_together_is_done_in_its_order() {
    each_docker(|place| {
        let home = place.folder.path().join("a folder's/.windlass");
        let reads = |file: &str| std::fs::read_to_string(home.join(file)).unwrap();
        // Many files in one, empty ones too, and what a deployment needs is looked at first.
        let put = ["put", "1", "1", "1.0.0", "a.yml", "2", "empty", "0", "sub folder/b.yml", "1"];
        place.expect(&put, 0, "");
        assert_eq!(reads("releases/1.0.0/a.yml"), "{}");
        assert_eq!(
            (reads("releases/1.0.0/empty"), reads("releases/1.0.0/sub folder/b.yml")),
            ("".into(), "\n".into())
        );
        let too_much = place.call(&["put", "1", "999999999", "1.0.0", "a.yml", "3"], "{}\n");
        assert_eq!(too_much.status.code(), Some(71), "{too_much:?}");
        // The record is there before anything is asked of docker.
        place.expect(&["begin", "2", "shop", "1.0.0", "a.yml"], 0, "container {\"id\":\"one\"");
        assert_eq!(reads("record.json"), "{}\n");
        let told = place.call(&["begin", "2", "shop", "1.0.0", "a.yml"], "");
        assert!(Running::parse(&String::from_utf8(told.stdout).unwrap()).is_some());
        assert_eq!(reads("record.json"), "{}\n", "without one, it stays");
        // The pins are there before compose reads them, and nothing is left of how they came.
        place.expect(&["compose", "2", "5", "1.0.0", "a.yml", "--", "pull"], 0, "");
        assert_eq!(reads("releases/1.0.0/windlass-pins.yml"), "{}\n");
        let names = std::fs::read_dir(&home).unwrap().flatten().map(|entry| entry.file_name());
        let left: Vec<_> = names.filter(|name| name.to_string_lossy().contains(".new.")).collect();
        assert!(left.is_empty(), "{left:?}");
        // What the registry tells, and then who has the environment.
        place.expect(&["lock", "run-1", "1", "ann", "60", "0"], 0, "3");
        let words = ["resolve", "3", "5", "1", "1.0.0", "a.yml", "r/web:1"];
        let output = place.call(&words, "");
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.starts_with("digests [\"r/web@sha256:aa\"]\nfence 3\nlock run-1\n"), "{text}");
        let asked = std::fs::read_to_string(docker(place, ".asked")).unwrap();
        assert_eq!(asked.matches("<pull><--quiet>").count(), 1, "{asked}");
        // Nothing to pull, and it is still told.
        place.expect(&["resolve", "3", "5", "1", "1.0.0", "a.yml"], 0, "fence 3\nlock run-1");
        place.expect(&["resolve", "2", "5", "1", "1.0.0", "a.yml", "r/web:1"], 75, "3");
        place.expect(&["raise", "4", "look"], 0, "fence 4\nlock run-1");
        std::fs::write(docker(place, ".gone"), "").unwrap();
        for words in [
            &["begin", "4", "shop", "1.0.0", "a.yml"][..],
            &["resolve", "4", "5", "1", "1.0.0", "a.yml", "r/web:1"],
        ] {
            let output = place.call(words, "");
            assert!(!output.status.success(), "{words:?}: {output:?}");
        }
    });
}

#[tokio::test]
async fn the_types_say_what_the_program_does() {
    let folder = tempfile::tempdir().unwrap();
    let mut context = looking(folder.path().to_owned(), folder.path().to_owned(), Default::default());
    let host = Host::here(folder.path(), "production");
    assert_eq!(host.look(&context).await.unwrap().record, None);
    (context.run, context.epoch) = (RunId("run-1".into()), 1);
    assert_eq!(host.lock(&context, "ann", 60, 4).await.unwrap(), 5);
    let mut other = context.clone();
    other.run = RunId("run-2".into());
    let Err(RemoteError::Locked(lock)) = host.lock(&other, "bob", 60, 0).await else {
        panic!("two have the lock")
    };
    assert_eq!((lock.run.as_str(), lock.person.as_str(), lock.fence), ("run-1", "ann", 5));
    assert_eq!(host.renew(&other, 60).await, Err(RemoteError::NotOurs));
    let record = Record {
        schema: SCHEMA,
        environment: "production".into(),
        run: "run-1".into(),
        step: "deploy/1".into(),
        fence: 5,
        version: "1.0.0".into(),
        tag: "v1.0.0".into(),
        release: "1.0.0".into(),
        files: Vec::new(),
        project: String::new(),
        images: Default::default(),
        colour: None,
        idle: None,
        made: None,
        state: State::Live,
        at: jiff::Timestamp::UNIX_EPOCH,
        previous: None,
    };
    host.write(&context, &record, true).await.unwrap();
    let kept = host.look(&context).await.unwrap();
    assert_eq!((kept.record.as_ref(), kept.fence), (Some(&record), 5));
    assert!(kept.has_passed("1.0.0") && kept.held().is_some());
    let (broken, fence) = host.break_lock(&context, "carl", "gone").await.unwrap();
    assert_eq!((broken.unwrap().run.as_str(), fence), ("run-1", 6));
    let refused = host.write(&context, &record, false).await.unwrap_err();
    assert!(matches!(refused, RemoteError::Fenced { given: 5, highest: 6, .. }), "{refused}");
    assert!(matches!(ActionError::from(refused), ActionError::Final(_)));
}

#[test]
fn lines_of_a_service_end_where_all_was_told() {
    let place = tempfile::tempdir().unwrap();
    for (name, path) in shells(place.path()) {
        let tools = place.path().join(format!("docker-{name}"));
        std::fs::create_dir_all(&tools).unwrap();
        let docker = tools.join("docker");
        let say = |logs: &str| {
            let text = format!(
                "#!/bin/sh\ncase $1 in\nps) echo one; echo two ;;\ninspect) echo made ;;\nlogs) {logs} ;;\nesac\n"
            );
            std::fs::write(&docker, text).unwrap();
            std::fs::set_permissions(&docker, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        };
        let rest = path.map_or_else(|| std::env::var_os("PATH").unwrap(), Into::into);
        let mut all = vec![tools.clone()];
        all.extend(std::env::split_paths(&rest));
        let path = Some(PathBuf::from(std::env::join_paths(all).unwrap()));
        let place = Place { folder: tempfile::tempdir().unwrap(), path };
        let lines = |bytes: &str| {
            let output = place.call(&["lines", "shop", "web", "60", bytes], "");
            assert!(output.status.success(), "{name}: {output:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        say("echo \"$5 $4\"; echo to the other stream >&2");
        let whole = lines("1000");
        let rest = whole.split_once('\n').unwrap().1;
        assert_eq!(
            rest, "made\none 60s\nto the other stream\ntwo 60s\nto the other stream\n\nend\n",
            "{name}"
        );
        assert!(whole.starts_with("now 1") && !whole.contains('N'), "{name}: {whole}");
        assert!(!lines("20").contains("end"), "{name}");
        say("echo first; [ \"$5\" = one ] || exit 1");
        assert!(!lines("1000").contains("end"), "{name}: one of them could not be asked");
    }
}
/// What a rendering is called with, for a file that holds `before`.
fn render<'a>(file: &'a str, sum: &'a str, test: &'a [&'a str], reload: &'a [&'a str]) -> Vec<&'a str> {
    const COUNTS: [&str; 4] = ["0", "1", "2", "3"];
    let mut words = vec!["render", "1", file, sum, COUNTS[test.len()]];
    words.extend(test.iter().chain(reload));
    words
}

#[test]
fn a_file_is_rendered_whole_or_not_at_all() {
    use std::os::unix::fs::PermissionsExt as _;
    each_shell(|place| {
        let folder = place.folder.path().join("etc of it's");
        std::fs::create_dir(&folder).unwrap();
        let (real, link) = (folder.join("real.cfg"), folder.join("link.cfg"));
        std::fs::write(&real, "one\n").unwrap();
        std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let file = link.display().to_string();
        let says = |expect: &str| {
            assert_eq!(std::fs::read_to_string(&real).unwrap(), expect);
            assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
            assert_eq!(std::fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
            let names: Vec<_> =
                std::fs::read_dir(&folder).unwrap().flatten().map(|entry| entry.file_name()).collect();
            assert_eq!(names.len(), 2, "{names:?}");
        };
        let one = windlass_core::plan::sha256_hex(b"one\n");
        let run = |words: &[&str], code: i32, told: &str| {
            let output = place.call(words, "two\n");
            let shown = format!("{words:?}: {output:?}");
            assert_eq!(output.status.code(), Some(code), "{shown}");
            assert!(String::from_utf8_lossy(&output.stderr).contains(told), "{shown}");
        };
        place.expect(&["show", &file], 0, "one");
        place.expect(&["settle", "1", &file], 0, "one");
        // Refused by the test, by the reload, and because it is not what was looked at.
        let fails = ["sh", "-c", "echo 'no $(id) good' >&2; exit 3"];
        run(&render(&file, &one, &fails, &[]), 77, "no $(id) good");
        says("one\n");
        run(&render(&file, &one, &[], &fails), 77, "no $(id) good");
        says("one\n");
        run(&render(&file, "0", &[], &[]), 78, "changed meanwhile");
        says("one\n");
        // The test sees the new file, each word as it is; the reload comes after it.
        let mark = place.folder.path().join("a mark");
        let mark = mark.display().to_string();
        let test = ["grep", "two", &file];
        run(&render(&file, &one, &test, &["cp", &file, &mark]), 0, "");
        says("two\n");
        assert_eq!(std::fs::read_to_string(&mark).unwrap(), "two\n");
        place.expect(&["render", "0", &file, "x", "0"], 75, "1");
        run(&["show", "/nowhere/at all"], 71, "there is no file /nowhere/at all");
        run(&["settle", "1", "/nowhere/at all"], 71, "there is no file");
    });
}

#[test]
fn an_interrupted_rendering_goes_back_unless_somebody_wrote_since() {
    each_shell(|place| {
        for (since, expect) in [(None, "one\n"), (Some("three\n"), "three\n")] {
            let file = place.folder.path().join("file.cfg");
            std::fs::write(&file, "one\n").unwrap();
            let name = file.display().to_string();
            let one = windlass_core::plan::sha256_hex(b"one\n");
            // The program is ended while it waits for the test, by the process that is its parent's leader here.
            let test =
                ["sh", "-c", "echo >\"$0\"; exec sleep 60", &format!("{name}.begun")].map(str::to_owned);
            let mut words = vec!["render".to_owned(), "1".into(), name.clone(), one, "4".into()];
            words.extend(test);
            let mut child = place.spawn(&words);
            let begun = format!("{name}.begun");
            while !Path::new(&begun).exists() {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            let group = format!("-{}", child.id());
            let killed = Process::new("kill").args(["-KILL", "--", &group]).status().unwrap();
            assert!(killed.success());
            child.wait().unwrap();
            assert_eq!(std::fs::read_to_string(&file).unwrap(), "two\n");
            if let Some(since) = since {
                std::fs::write(&file, since).unwrap();
            }
            place.expect(&["settle", "1", &name], 0, expect.trim());
            assert_eq!(std::fs::read_to_string(&file).unwrap(), expect);
            std::fs::remove_file(begun).unwrap();
        }
    });
}

#[test]
fn a_socket_is_talked_to_with_whatever_is_there() {
    use std::io::{Read as _, Write as _};
    let python = Process::new("python3").args(["-c", "import sys; print(sys.executable)"]).output().unwrap();
    let python = PathBuf::from(String::from_utf8(python.stdout).unwrap().trim());
    for (name, program) in
        [("perl", PathBuf::from("/usr/bin/perl")), ("python3", python), ("nothing", PathBuf::new())]
    {
        println!("with {name}");
        let tools = tempfile::tempdir().unwrap();
        for tool in ["sh", "cat", "id", "mkdir", "grep", "flock", "date", "rm", "sync", "mv", "wc"] {
            let found = ["/usr/bin", "/bin"].map(|folder| Path::new(folder).join(tool));
            let found = found.iter().find(|path| path.exists()).unwrap();
            std::os::unix::fs::symlink(found, tools.path().join(tool)).unwrap();
        }
        if program.is_file() {
            std::os::unix::fs::symlink(program, tools.path().join(name)).unwrap();
        }
        let place = Place { folder: tempfile::tempdir().unwrap(), path: Some(tools.path().to_owned()) };
        let socket = place.folder.path().join("a socket");
        let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let address = socket.display().to_string();
        if name == "nothing" {
            let output = place.call(&["ask", &address], "how are you\n");
            assert_eq!(output.status.code(), Some(71));
            assert!(String::from_utf8_lossy(&output.stderr).contains("install socat"), "{output:?}");
            continue;
        }
        let server = std::thread::spawn(move || {
            for mut stream in listener.incoming().take(2).flatten() {
                let mut read = [0; 64];
                let length = stream.read(&mut read).unwrap();
                stream.write_all(b"you said: ").unwrap();
                stream.write_all(&read[..length]).unwrap();
            }
        });
        place.expect(&["ask", &address], 0, "you said: {}\n");
        place.expect(&["tell", "3", &address], 0, "you said: {}\n");
        server.join().unwrap();
        // A lower fence is not even heard; nobody answers any more, and then there is no socket.
        place.expect(&["tell", "2", &address], 75, "3");
        let refused = place.call(&["ask", &address], "");
        assert!(String::from_utf8_lossy(&refused.stderr).contains("nobody answers"), "{refused:?}");
        std::fs::remove_file(&socket).unwrap();
        let missing = place.call(&["ask", &address], "");
        assert!(String::from_utf8_lossy(&missing.stderr).contains("there is no socket"), "{missing:?}");
        assert_eq!((refused.status.code(), missing.status.code()), (Some(71), Some(71)));
    }
}

#[test]
fn a_text_is_kept_under_its_name() {
    each_shell(|place| {
        place.expect(&["kept", "held"], 0, "");
        place.expect(&["keep", "4", "held", "write"], 0, "");
        place.expect(&["kept", "held"], 0, "{}\n");
        place.expect(&["keep", "3", "held", "forget"], 75, "4");
        place.expect(&["keep", "4", "held", "forget"], 0, "");
        assert_eq!(place.call(&["kept", "held"], "").stdout, b"");
    });
}
