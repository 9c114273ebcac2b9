//! Clones that lack something, damaged repositories, odd commits: a clear error with the command that helps, or the truth.

use std::path::Path;

use windlass_history::{History, HistoryError, Id, PathFilter, Range};
use windlass_testkit::repo::RepoBuilder;

fn id(text: &str) -> Id {
    text.parse().unwrap()
}

fn head(history: &History) -> Id {
    history.head().unwrap().unwrap()
}

/// `count` commits, each tagged; a remote has them all.
fn tagged(count: usize) -> (RepoBuilder, Vec<String>) {
    let repo = RepoBuilder::new();
    let ids = (0..count)
        .map(|at| {
            repo.file("src/lib.rs", format!("{at}"));
            let id = repo.commit(&format!("feat: number {at}"));
            repo.tag(&format!("v0.{at}.0"));
            id
        })
        .collect();
    repo.remote();
    repo.remote_git(&["config", "uploadpack.allowFilter", "true"]);
    (repo, ids)
}

fn clone(repo: &RepoBuilder, args: &[&str]) -> (std::path::PathBuf, History) {
    let to = repo.outside().join("other");
    let from = format!("file://{}", repo.remote_path().display());
    repo.git(&[&["clone", "--quiet"], args, &[&from, &to.display().to_string()]].concat());
    let history = History::open(&to).unwrap();
    (to, history)
}

fn git_in(repo: &RepoBuilder, folder: &Path, args: &[&str]) -> String {
    repo.git(&[&["-C", &folder.display().to_string()], args].concat())
}

/// Runs the command that an error gives between backticks.
fn follow(repo: &RepoBuilder, folder: &Path, error: &HistoryError) {
    let text = error.to_string();
    let command = text.split('`').find(|part| part.starts_with("git ")).unwrap();
    git_in(repo, folder, &command.split(' ').skip(1).collect::<Vec<_>>());
}

fn remove_object(repo: &RepoBuilder, id: &str) {
    let path = repo.path().join(".git/objects").join(&id[..2]).join(&id[2..]);
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_folder_outside_any_repository_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let error = History::open(folder.path()).unwrap_err();
    assert_eq!(error, HistoryError::NoRepository(folder.path().to_owned()));
    assert!(error.to_string().contains("git init"));
    assert!(matches!(
        History::open(&folder.path().join("nothing")).unwrap_err(),
        HistoryError::NoRepository(_)
    ));
    std::fs::create_dir(folder.path().join(".git")).unwrap();
    let error = History::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("cannot be read") || error.contains("git init"), "{error}");
}

#[test]
fn an_empty_repository_has_nothing() {
    let repo = RepoBuilder::new();
    repo.remote();
    let (_, history) = clone(&repo, &[]);
    assert_eq!((history.head().unwrap(), history.tags().unwrap()), (None, vec![]));
    assert_eq!(history.resolve("HEAD").unwrap(), None);
}

#[test]
fn a_shallow_clone_answers_what_it_can_and_says_how_to_get_the_rest() {
    let (repo, ids) = tagged(8);
    let (folder, history) = clone(&repo, &["--depth=3"]);
    assert!(history.is_shallow() && !history.is_partial());
    let tip = head(&history);
    let mut ancestry = history.ancestry(tip);
    assert!(ancestry.contains(id(&ids[6])).unwrap());
    assert_eq!(history.commits(&Range::since(id(&ids[6]), tip), None).unwrap().len(), 1);
    // The commit at the boundary is here, its parents are not.
    assert_eq!(history.count(&Range::since(id(&ids[5]), tip)).unwrap(), 2);
    let all = history.commits(&Range::all(tip), None).unwrap_err();
    assert_eq!(all, HistoryError::Shallow { at: id(&ids[5]), what: "all commits asked for" });
    assert!(matches!(history.releases(tip, &[], None), Err(HistoryError::Shallow { .. })));
    // The newest commits are known, however short the clone is.
    let newest = Range { most: Some(2), ..Range::all(tip) };
    assert_eq!(history.commits(&newest, None).unwrap().len(), 2);
    follow(&repo, &folder, &all);
    let history = History::open(&folder).unwrap();
    assert_eq!((history.is_shallow(), history.count(&Range::all(tip)).unwrap()), (false, 8));
    assert_eq!(history.tags().unwrap().len(), 8);
}

#[test]
fn a_shallow_clone_does_not_say_that_a_tag_is_not_contained() {
    let (repo, ids) = tagged(3);
    // A branch from the first commit, made later than all.
    repo.git(&["checkout", "--quiet", "-b", "side", &ids[0]]);
    let side = repo.commit("fix: beside");
    repo.tag("v0.0.1");
    repo.git(&["push", "--quiet", "--tags", "origin", "side"]);
    repo.git(&["checkout", "--quiet", "main"]);
    repo.commit("feat: newest");
    repo.git(&["push", "--quiet", "origin", "main"]);
    for (depth, expect) in [("1", None), ("9", Some(false))] {
        let _ = std::fs::remove_dir_all(repo.outside().join("other"));
        let (_, history) = clone(&repo, &[&format!("--depth={depth}"), "--no-single-branch"]);
        let mut ancestry = history.ancestry(head(&history));
        match expect {
            None => assert!(matches!(ancestry.contains(id(&side)), Err(HistoryError::Shallow { .. }))),
            Some(expect) => assert_eq!(ancestry.contains(id(&side)), Ok(expect)),
        }
    }
}

#[test]
fn partial_clones_are_read_without_what_they_left_out() {
    for (filter, has_trees) in [("blob:none", true), ("tree:0", false)] {
        let (repo, _) = tagged(4);
        let blob = repo.git(&["rev-parse", "HEAD:src/lib.rs"]);
        repo.git(&["tag", "-a", "-m", "a blob", "blob", &blob]);
        repo.git(&["push", "--quiet", "origin", "blob"]);
        let (folder, history) = clone(&repo, &["--bare", "--filter", filter]);
        assert!(history.is_partial() && !history.is_shallow(), "{filter}");
        let tip = head(&history);
        assert_eq!(history.tags().unwrap().len(), 4, "{filter}");
        assert_eq!(history.commits(&Range::all(tip), None).unwrap().len(), 4);
        let paths = PathFilter::new(["src"]);
        let by_path = history.ids(&Range::all(tip), Some(&paths));
        if has_trees {
            assert_eq!(by_path.unwrap().len(), 4);
            continue;
        }
        let error = by_path.unwrap_err();
        assert!(matches!(error, HistoryError::Partial { kind: "tree", .. }), "{error}");
        follow(&repo, &folder, &error);
        let history = History::open(&folder).unwrap();
        assert_eq!(history.ids(&Range::all(tip), Some(&paths)).unwrap().len(), 4);
    }
}

#[test]
fn missing_objects_are_told() {
    let (repo, ids) = tagged(5);
    let history = History::open(repo.path()).unwrap();
    remove_object(&repo, &ids[1]);
    let tip = head(&history);
    assert_eq!(history.count(&Range::since(id(&ids[2]), tip)).unwrap(), 2);
    let missing = HistoryError::Missing { kind: "commit", id: id(&ids[1]) };
    assert_eq!(history.commits(&Range::all(tip), None), Err(missing.clone()));
    assert_eq!(history.ancestry(tip).contains(id(&ids[0])), Err(missing.clone()));
    assert_eq!(history.releases(tip, &[], None), Err(missing));
    // Its tag leads nowhere.
    let error = history.tags().unwrap_err();
    assert_eq!(error, HistoryError::BrokenTag { name: "v0.1.0".into(), id: id(&ids[1]) });
    repo.git(&["tag", "--delete", "v0.1.0"]);
    assert_eq!(History::open(repo.path()).unwrap().tags().unwrap().len(), 4);
    // So is a tree, when it is needed.
    let tree = repo.git(&["rev-parse", &format!("{}^{{tree}}", ids[3])]);
    remove_object(&repo, &tree);
    let range = Range::since(id(&ids[2]), tip);
    assert_eq!(history.count(&range).unwrap(), 2);
    let error = history.ids(&range, Some(&PathFilter::new(["src"]))).unwrap_err();
    assert_eq!(error, HistoryError::Missing { kind: "tree", id: id(&tree) });
    assert!(matches!(history.commit(id(&tree)), Err(HistoryError::Missing { .. })));
    let tree = repo.git(&["rev-parse", "HEAD^{tree}"]);
    assert_eq!(history.commit(id(&tree)), Err(HistoryError::OtherKind { kind: "commit", id: id(&tree) }));
    assert!(history.count(&Range::all(id(&tree))).is_err());
}

#[test]
fn damaged_files_of_git_are_told() {
    let damage = |path: &str, bytes: &[u8]| {
        let (repo, _) = tagged(3);
        repo.git(&["commit-graph", "write", "--reachable"]);
        repo.git(&["pack-refs", "--all"]);
        let path = repo.path().join(".git").join(path);
        let _ = std::fs::remove_file(&path);
        std::fs::write(path, bytes).unwrap();
        let history = History::open(repo.path())?;
        let tip = history.head()?;
        let tags = history.tags()?;
        let count = tip.map_or(Ok(0), |tip| history.count(&Range::all(tip)))?;
        Ok::<_, HistoryError>((tags.len(), count))
    };
    for (path, bytes, expect) in [
        ("packed-refs", &b"what is this\n"[..], "git for-each-ref"),
        (
            "packed-refs",
            b"# pack-refs with: peeled fully-peeled sorted \n0000 refs/tags/x\n",
            "git for-each-ref",
        ),
        ("HEAD", b"nonsense", "git for-each-ref"),
        ("config", b"[core\n", "git fsck"),
        ("objects/info/commit-graph", b"CGPH\x01\x01", "git commit-graph write --reachable"),
        ("objects/info/commit-graph", b"", "git commit-graph write --reachable"),
        ("shallow", b"nonsense\n", "git"),
        ("refs/tags/v9.9.9", b"nonsense\n", "git for-each-ref"),
    ] {
        let error = damage(path, bytes).expect_err(path).to_string();
        assert!(error.contains(expect), "{path}: {error}");
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn a_truncated_object_is_told() {
    let (repo, ids) = tagged(3);
    let path = repo.path().join(".git/objects").join(&ids[1][..2]).join(&ids[1][2..]);
    let bytes = std::fs::read(&path).unwrap();
    let history = History::open(repo.path()).unwrap();
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let error = history.commits(&Range::all(head(&history)), None).unwrap_err().to_string();
    assert!(error.contains(&ids[1]) && error.contains("git fsck"), "{error}");
}

#[test]
fn odd_commits_are_read() {
    let repo = RepoBuilder::with_commit();
    let tree = repo.git(&["rev-parse", "HEAD^{tree}"]);
    let write = |headers: &str, message: &[u8]| {
        let file = repo.outside().join("object");
        let text = [format!("tree {tree}\n{headers}\n").as_bytes(), message].concat();
        std::fs::write(&file, text).unwrap();
        repo.git(&["hash-object", "-t", "commit", "-w", "--literally", &file.display().to_string()])
    };
    let people = "author A <a@x> 1700000000 +0000\ncommitter C <c@x> 1700000001 +0000\n";
    let history = History::open(repo.path()).unwrap();
    let huge = "feat: huge\n\n".to_owned() + &"x".repeat(10 << 20);
    let shortened = format!("{}\n\n{}", &huge[..48 << 10], "x".repeat((16 << 10) - 2));
    for (headers, message, expect) in [
        (format!("{people}encoding ISO-8859-1\n"), &b"feat: caf\xe9"[..], "feat: caf\u{e9}"),
        (people.to_owned(), b"feat: caf\xe9", "feat: caf\u{fffd}"),
        (people.to_owned(), b"", ""),
        (people.to_owned(), b"\n\n\n", ""),
        (people.to_owned(), huge.as_bytes(), &shortened),
        ("author\ncommitter\n".to_owned(), b"feat: nobody", "feat: nobody"),
        (String::new(), b"feat: no people", "feat: no people"),
    ] {
        let commit = history.commit(id(&write(&headers, message))).unwrap();
        assert_eq!(commit.message, expect);
    }
}

#[test]
fn replacements_and_grafts_do_not_count() {
    let (repo, ids) = tagged(5);
    repo.git(&["replace", "--graft", &ids[3], &ids[0]]);
    assert_eq!(repo.git(&["rev-list", "--count", "HEAD"]), "3");
    let history = History::open(repo.path()).unwrap();
    assert_eq!(history.count(&Range::all(head(&history))).unwrap(), 5);
    repo.git(&["replace", "--delete", &ids[3]]);
    std::fs::create_dir_all(repo.path().join(".git/info")).unwrap();
    std::fs::write(repo.path().join(".git/info/grafts"), format!("{} {}\n", ids[3], ids[0])).unwrap();
    assert_eq!(History::open(repo.path()).unwrap().count(&Range::all(head(&history))).unwrap(), 5);
}

#[test]
fn worktrees_bare_repositories_and_git_files_are_read_alike() {
    let (repo, ids) = tagged(3);
    let other = repo.outside().join("tree");
    repo.git(&["worktree", "add", "--quiet", "-b", "other", &other.display().to_string(), &ids[1]]);
    std::fs::create_dir_all(other.join("a/b")).unwrap();
    let worktree = History::open(&other.join("a/b")).unwrap();
    assert_eq!((head(&worktree), worktree.branch().unwrap()), (id(&ids[1]), Some("other".into())));
    assert_eq!(
        (worktree.tags().unwrap().len(), worktree.count(&Range::all(head(&worktree))).unwrap()),
        (3, 2)
    );

    let bare = History::open(&repo.remote_path()).unwrap();
    assert_eq!((head(&bare), bare.tags().unwrap().len()), (id(&ids[2]), 3));

    let moved = repo.outside().join("elsewhere.git");
    repo.git(&["worktree", "remove", &other.display().to_string()]);
    std::fs::rename(repo.path().join(".git"), &moved).unwrap();
    std::fs::write(repo.path().join(".git"), format!("gitdir: {}\n", moved.display())).unwrap();
    let by_file = History::open(repo.path()).unwrap();
    assert_eq!((head(&by_file), by_file.branch().unwrap()), (id(&ids[2]), Some("main".into())));
}

#[test]
fn a_wrong_date_does_not_cut_the_history() {
    // Between HEAD and the tag stands a commit of 1970, and beside them a long branch of today.
    let repo = RepoBuilder::with_commit();
    let commit = |message: &str, parents: &[&str], date: i64| {
        let tree = repo.git(&["rev-parse", "HEAD^{tree}"]);
        let mut command = repo.command("git");
        command.env("GIT_COMMITTER_DATE", format!("@{date} +0000"));
        command.args(["commit-tree", "-m", message, &tree]);
        for parent in parents {
            command.args(["-p", parent]);
        }
        String::from_utf8(command.output().unwrap().stdout).unwrap().trim().to_owned()
    };
    let base = commit("base", &[], 1_700_000_000);
    let tag = commit("tag", &[&base], 1_700_000_100);
    let old = commit("1970", &[&tag], 0);
    let mut side = base.clone();
    for at in 0..100 {
        side = commit("side", &[&side], 1_700_000_001 + at / 2);
    }
    let tip = commit("tip", &[&old, &side], 1_700_000_200);
    let beside = commit("beside", &[&base], 1_700_000_150);
    let history = History::open(repo.path()).unwrap();
    let mut ancestry = history.ancestry(id(&tip));
    assert!(ancestry.contains(id(&tag)).unwrap());
    assert!(!ancestry.contains(id(&beside)).unwrap());
    // Hidden behind the commit of 1970: the tag and its base, not the side branch.
    let range = Range::since(id(&old), id(&tip));
    assert_eq!(history.count(&range).unwrap(), 101);
    let range = Range::since(id(&old), id(&tag));
    assert_eq!(history.count(&range).unwrap(), 0);
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 32, ..Default::default() })]

    #[test]
    fn no_damage_to_any_file_makes_it_panic_or_hang(
        file in 0..6usize,
        holes in proptest::collection::vec((proptest::prelude::any::<proptest::sample::Index>(), proptest::prelude::any::<u8>()), 1..12),
        cut in proptest::option::weighted(0.2, proptest::prelude::any::<proptest::sample::Index>()),
    ) {
        static SOUND: std::sync::LazyLock<std::sync::Mutex<(RepoBuilder, Vec<String>)>> = std::sync::LazyLock::new(|| {
            let (repo, ids) = tagged(6);
            repo.git(&["gc", "--quiet"]);
            repo.git(&["commit-graph", "write", "--reachable", "--changed-paths", "--no-progress"]);
            (repo, ids).into()
        });
        let lock = SOUND.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (sound, ids) = &*lock;
        let copy = tempfile::tempdir().unwrap();
        let git = copy.path().join("repository.git");
        sound.git(&["clone", "--quiet", "--mirror", &sound.path().display().to_string(), &git.display().to_string()]);
        let pack = |ending: &str| {
            let files = std::fs::read_dir(git.join("objects/pack")).unwrap();
            files.map(|file| file.unwrap().path()).find(|path| path.extension().is_some_and(|found| found == ending)).unwrap()
        };
        let path = match file {
            0 => git.join("objects/info/commit-graph"),
            1 => git.join("packed-refs"),
            2 => pack("pack"),
            3 => pack("idx"),
            4 => git.join("config"),
            _ => git.join("HEAD"),
        };
        let mut bytes = std::fs::read(&path).unwrap();
        for (at, byte) in holes {
            let at = at.index(bytes.len());
            bytes[at] ^= byte;
        }
        bytes.truncate(cut.map_or(bytes.len(), |cut| cut.index(bytes.len())));
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, bytes).unwrap();
        let Ok(history) = History::open(&git) else { return Ok(()) };
        let (to, from) = (id(&ids[5]), id(&ids[1]));
        let paths = PathFilter::new(["src"]);
        let _ = (history.head(), history.branch(), history.tags(), history.resolve("HEAD~1"));
        let _ = (history.ancestry(to).contains(from), history.ancestry(from).contains(to));
        let _ = (history.commits(&Range::since(from, to), None), history.ids(&Range::all(to), Some(&paths)));
        let _ = history.releases(to, &[("a".into(), from)], Some(&paths));
    }
}
