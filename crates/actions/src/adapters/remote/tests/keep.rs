//! What is kept: records, the lock, fences.

use super::*;

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
        place.expect(&["break", "carl", "it was left `id`", "0"], 0, "fence 42");
        place.expect(&["renew", "run-2", "1", "60"], 74, "");
        place.expect(&["record", "41", "keep"], 75, "42");
        assert!(place.kept().contains("carl: it was left `id`"));
        // A lease that is over holds nobody off.
        place.expect(&["lock", "run-3", "1", "", "0", "0"], 0, "43");
        place.expect(&["lock", "run-4", "1", "", "60", "0"], 0, "44");
        place.expect(&["break", "carl", "other hosts have seen more", "90"], 0, "fence 91");
    });
}

#[test]
fn a_fence_is_begun_under_by_one_alone() {
    each_shell(|place| {
        place.expect(&["claim", "run-1", "1", "7"], 0, "fence 7");
        // Twice is once; anybody else, a later process of the run included, needs a number of their own.
        place.expect(&["claim", "run-1", "1", "7"], 0, "fence 7");
        for words in
            [&["claim", "run-2", "1", "7"][..], &["claim", "run-1", "2", "7"], &["claim", "run-1", "1", "6"]]
        {
            place.expect(words, 75, "7");
        }
        // One that was only seen is nobody's own.
        place.expect(&["raise", "8"], 0, "");
        place.expect(&["claim", "run-1", "1", "8"], 75, "8");
        place.expect(&["record", "7", ""], 75, "8");
        // A lock of another run here is respected, and fences nobody off; one that is over, or was left, is gone.
        place.expect(&["lock", "run-2", "1", "bob", "60", "0"], 0, "9");
        place.expect(&["claim", "run-1", "1", "12"], 76, "lock run-2");
        place.expect(&["raise", "9"], 0, "");
        place.expect(&["claim", "run-2", "0", "12"], 74, "");
        place.expect(&["claim", "run-2", "2", "12"], 0, "fence 12");
        assert!(!place.kept().contains("lock "), "{}", place.kept());
        place.expect(&["lock", "run-2", "2", "bob", "0", "0"], 0, "13");
        place.expect(&["claim", "run-1", "1", "14"], 0, "fence 14");
        assert!(!place.kept().contains("lock "), "{}", place.kept());
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
            &["break", "a", "b", "0"],
            &["claim", "r", "1", "9"],
            &["lock", "r", "1", "p", "60", "0"],
            &["record", "9", ""],
        ] {
            place.expect(words, 73, "");
        }
        std::fs::write(home.join("fence"), "3\n").unwrap();
        std::fs::write(home.join("lock"), "run-1\n").unwrap();
        place.expect(&["lock", "r", "1", "p", "60", "0"], 73, "");
        place.expect(&["claim", "r", "1", "9"], 73, "");
        place.expect(&["break", "a", "b", "0"], 0, "fence 4");
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
