//! Differential tests: random histories, read by git and by this crate.

use std::collections::BTreeSet;

use proptest::prelude::*;
use windlass_history::{History, Id, PathFilter, Range};
use windlass_testkit::repo::RepoBuilder;

use super::dag::{self, Node};

fn id(text: &str) -> Id {
    text.parse().unwrap()
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

fn texts(ids: &[Id]) -> Vec<String> {
    ids.iter().map(Id::to_string).collect()
}

/// The truth about ancestors, which no date can cloud.
fn ancestors(history: &[Node], of: usize) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    let mut todo = vec![of];
    while let Some(at) = todo.pop() {
        if found.insert(at) {
            todo.extend(history[at].parents.iter().map(|back| at - back));
        }
    }
    found
}

/// How the repository keeps what was built.
#[derive(Debug, Clone, Copy)]
enum Storage {
    Loose,
    Packed,
    Graph,
    /// Only the older half is in the commit-graph.
    HalfGraph,
    Bloom,
}

fn store(repo: &RepoBuilder, ids: &[String], storage: Storage) {
    match storage {
        Storage::Loose => {}
        Storage::Packed => {
            repo.git(&["repack", "-adq"]);
        }
        Storage::Graph => {
            repo.git(&["commit-graph", "write", "--reachable", "--no-progress"]);
        }
        Storage::Bloom => {
            repo.git(&["commit-graph", "write", "--reachable", "--changed-paths", "--no-progress"]);
        }
        Storage::HalfGraph => {
            let half = &ids[..ids.len().div_ceil(2)];
            let input = repo.outside().join("half");
            std::fs::write(&input, half.join("\n") + "\n").unwrap();
            let mut command = repo.command("git");
            command.args(["commit-graph", "write", "--stdin-commits", "--no-progress"]);
            assert!(command.stdin(std::fs::File::open(&input).unwrap()).status().unwrap().success());
        }
    }
}

fn storage() -> impl Strategy<Value = Storage> {
    prop_oneof![
        Just(Storage::Loose),
        Just(Storage::Packed),
        Just(Storage::Graph),
        Just(Storage::HalfGraph),
        Just(Storage::Bloom),
    ]
}

fn new_repo(sha256: bool) -> RepoBuilder {
    let repo = RepoBuilder::new();
    if sha256 {
        std::fs::remove_dir_all(repo.path().join(".git")).unwrap();
        repo.git(&["init", "--quiet", "--initial-branch=main", "--object-format=sha256", "."]);
    }
    repo.git(&["config", "core.commitGraph", "true"]);
    repo
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn ranges_ancestry_and_paths_agree_with_git(
        history in dag::histories(40),
        storage in storage(),
        sha256 in any::<bool>(),
        picks in prop::collection::vec((any::<prop::sample::Index>(), prop::collection::vec(any::<prop::sample::Index>(), 0..3)), 6),
    ) {
        let repo = new_repo(sha256);
        let ids = dag::build(&repo, &history);
        store(&repo, &ids, storage);
        let read = History::open(repo.path()).unwrap();
        let len = ids.len();

        for from in (0..len).step_by(3) {
            let truth = ancestors(&history, from);
            let mut ancestry = read.ancestry(id(&ids[from]));
            // Asked in an order in which the answers need ever longer walks, and back.
            for at in (0..len).rev().step_by(2).chain(0..len) {
                prop_assert_eq!(ancestry.contains(id(&ids[at])).unwrap(), truth.contains(&at), "{} in {}", at, from);
            }
        }

        for (to, hidden) in picks {
            let to = to.index(len);
            let hidden: Vec<usize> = hidden.iter().map(|index| index.index(len)).collect();
            let mut truth = ancestors(&history, to);
            for at in &hidden {
                truth.retain({ let gone = ancestors(&history, *at); move |at| !gone.contains(at) });
            }
            let range = Range { to: id(&ids[to]), hidden: hidden.iter().map(|at| id(&ids[*at])).collect(), most: None };
            let found = read.ids(&range, None).unwrap();
            prop_assert_eq!(read.count(&range).unwrap(), truth.len());
            let mut args = vec!["rev-list".to_owned(), ids[to].clone()];
            args.extend(hidden.iter().map(|at| format!("^{}", ids[*at])));
            let git: Vec<&str> = args.iter().map(String::as_str).collect();
            let by_git = lines(&repo.git(&git));
            // Git itself may be wrong where dates are: its walk is bounded by them when there is no commit-graph.
            if by_git.len() == truth.len() {
                prop_assert_eq!(texts(&found), by_git);
            } else {
                let mut sorted = texts(&found);
                sorted.sort();
                let mut expect: Vec<String> = truth.iter().map(|at| ids[*at].clone()).collect();
                expect.sort();
                prop_assert_eq!(sorted, expect);
            }
            let most = Range { most: Some(3), ..range.clone() };
            prop_assert_eq!(read.ids(&most, None).unwrap(), found.iter().copied().take(3).collect::<Vec<_>>());

            let sets: [&[&str]; 5] = [&["a"], &["a/b", "lib.rs"], &["lib/x"], &["nothing"], &["README"]];
            let filters: Vec<PathFilter> = sets.iter().map(|paths| PathFilter::new(*paths)).collect();
            let by_package: Vec<_> = read.commits_by_package(&range, &filters).unwrap().map(Result::unwrap).collect();
            prop_assert_eq!(by_package.len(), found.len());
            for (index, (paths, filter)) in sets.iter().zip(&filters).enumerate() {
                let mut args = vec!["rev-list", "--full-history", "--no-merges"];
                args.extend(git.iter().skip(1));
                args.push("--");
                args.extend(paths.iter());
                let plain = lines(&repo.git(&args));
                let mut expect = texts(&found);
                expect.retain(|commit| {
                    // A merge counts when it is like none of its parents.
                    let parents = history[ids.iter().position(|id| id == commit).unwrap()].parents.len();
                    let differs = |at: usize| {
                        let parent = format!("{commit}^{at}");
                        let args = ["diff", "--quiet", &parent, commit, "--"];
                        !repo.try_git(&[&args, *paths].concat()).status.success()
                    };
                    if parents < 2 { plain.contains(commit) } else { (1..=parents).all(differs) }
                });
                prop_assert_eq!(texts(&read.ids(&range, Some(filter)).unwrap()), expect.clone(), "{:?}", paths);
                let touched: Vec<String> = by_package.iter().filter(|(_, touched)| touched.contains(&index)).map(|(commit, _)| commit.id.clone()).collect();
                prop_assert_eq!(touched, expect);
            }
        }

        let newest = len - 1;
        let expect = repo.git(&["log", "-z", "--format=%H%n%an%n%ae%n%ct%n%B", &ids[newest]]);
        for (commit, expect) in read.commits(&Range::all(id(&ids[newest])), None).unwrap().iter().zip(expect.split('\0')) {
            let shown = format!("{}\n{}\n{}\n{}\n{}", commit.id, commit.author_name, commit.author_email, commit.committed_at, commit.message);
            prop_assert_eq!(shown.trim_end(), expect.trim_end());
        }
    }

    #[test]
    fn releases_agree_with_git(
        history in dag::histories(40),
        storage in storage(),
        picks in prop::collection::vec(any::<prop::sample::Index>(), 0..5),
    ) {
        let repo = new_repo(false);
        let ids = dag::build(&repo, &history);
        store(&repo, &ids, storage);
        let read = History::open(repo.path()).unwrap();
        let tags: Vec<(String, Id)> = picks.iter().enumerate().map(|(at, pick)| (format!("v{at}"), id(&ids[pick.index(ids.len())]))).collect();
        let head = id(&ids[ids.len() - 1]);
        let mut sections = read.releases(head, &tags, None).unwrap();
        let all: Vec<Id> = read.ids(&Range::all(head), None).unwrap();
        let contained = tags.iter().filter(|(_, commit)| all.contains(commit));
        prop_assert_eq!(sections.len(), contained.count() + 1);
        prop_assert_eq!(sections.iter().map(|section| section.ids.len()).sum::<usize>(), all.len());
        prop_assert_eq!(&sections[0].tag, &None);
        sections.reverse();
        let mut hidden: Vec<Id> = Vec::new();
        for section in sections {
            let range = Range { to: section.commit, hidden: hidden.clone(), most: None };
            prop_assert_eq!(&section.ids, &read.ids(&range, None).unwrap());
            hidden.push(section.commit);
        }
    }
}

#[test]
fn tags_agree_with_git() {
    for sha256 in [false, true] {
        let repo = new_repo(sha256);
        repo.file("README.md", "x");
        let first = repo.commit("feat: begin");
        repo.tag("v1.0.0").light_tag("light");
        repo.git(&["tag", "-a", "-m", "tag of a tag", "nested", "v1.0.0"]);
        repo.git(&["tag", "tree", "HEAD^{tree}"]);
        repo.git(&["tag", "-a", "-m", "of a blob", "blob", "HEAD:README.md"]);
        let second = repo.commit("feat: more");
        repo.tag("pkg/v2.0.0-rc.1");
        repo.git(&["symbolic-ref", "refs/tags/symbolic", "refs/tags/v1.0.0"]);
        let expect = |read: &History| {
            let tags = read.tags().unwrap();
            let shown: Vec<_> =
                tags.iter().map(|tag| (tag.name.as_str(), tag.commit.to_string(), tag.annotated)).collect();
            assert_eq!(
                shown,
                [
                    ("light", first.clone(), false),
                    ("nested", first.clone(), true),
                    ("pkg/v2.0.0-rc.1", second.clone(), true),
                    ("symbolic", first.clone(), true),
                    ("v1.0.0", first.clone(), true),
                ]
            );
            for tag in tags {
                assert_eq!(
                    tag.object.to_string(),
                    repo.git(&["rev-parse", &format!("refs/tags/{}", tag.name)])
                );
            }
        };
        expect(&History::open(repo.path()).unwrap());
        repo.git(&["pack-refs", "--all"]);
        expect(&History::open(repo.path()).unwrap());
        // A loose one wins over a packed one of the same name.
        repo.git(&["tag", "--force", "light", "HEAD"]);
        let tags = History::open(repo.path()).unwrap().tags().unwrap();
        assert_eq!(tags.iter().find(|tag| tag.name == "light").unwrap().commit.to_string(), second);
        repo.git(&["tag", "--force", "light", &first]);
        repo.git(&["commit-graph", "write", "--reachable"]);
        repo.git(&["gc", "--quiet"]);
        expect(&History::open(repo.path()).unwrap());
    }
}

#[test]
fn heads_and_revisions_are_told() {
    let repo = RepoBuilder::new();
    let read = History::open(repo.path()).unwrap();
    assert_eq!((read.head().unwrap(), read.branch().unwrap()), (None, Some("main".into())));
    assert_eq!((read.is_shallow(), read.is_partial(), read.tags().unwrap()), (false, false, vec![]));
    let first = repo.commit("one");
    let second = repo.commit("two");
    repo.tag("v1.0.0");
    let read = History::open(&repo.path().join(".git")).unwrap();
    assert_eq!(read.head().unwrap(), Some(id(&second)));
    for (revision, expect) in [
        ("HEAD", Some(&second)),
        ("HEAD~1", Some(&first)),
        ("v1.0.0", Some(&second)),
        ("v1.0.0^", Some(&first)),
        ("main", Some(&second)),
        (&first, Some(&first)),
        (&first[..9], Some(&first)),
        ("HEAD~7", None),
        ("nothing", None),
        ("--all", None),
        ("HEAD^{tree}", None),
        ("", None),
    ] {
        assert_eq!(read.resolve(revision).unwrap().map(|id| id.to_string()).as_ref(), expect, "{revision}");
    }
    repo.git(&["checkout", "--quiet", "--detach", &first]);
    assert_eq!((read.head().unwrap(), read.branch().unwrap()), (Some(id(&first)), None));
}

#[test]
fn a_repository_can_be_shared_by_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<History>();
}

#[test]
fn a_file_is_read_as_it_was_at_a_commit() {
    let repo = RepoBuilder::new();
    let before = repo.commit("nothing");
    let first = repo.file("docs/CHANGES.md", "one\n").file("a", "1").commit("one");
    let second = repo.file("docs/CHANGES.md", "two\n").commit("two");
    std::os::unix::fs::symlink("a", repo.path().join("link")).unwrap();
    let linked = repo.commit("a link");
    let read = History::open(repo.path()).unwrap();
    for (commit, path, expect) in [
        (&before, "docs/CHANGES.md", None),
        (&first, "docs/CHANGES.md", Some("one\n")),
        (&second, "./docs//CHANGES.md", Some("two\n")),
        (&second, "docs", None),
        (&second, "docs/CHANGES.md/x", None),
        (&second, "nothing", None),
        (&linked, "link", None),
    ] {
        let found = read.file(id(commit), path).unwrap();
        assert_eq!(found.as_deref(), expect.map(str::as_bytes), "{commit} {path}");
    }
    // A partial clone says what it has not.
    repo.remote();
    repo.remote_git(&["config", "uploadpack.allowFilter", "true"]);
    let folder = repo.outside().join("partial");
    let from = format!("file://{}", repo.remote_path().display());
    repo.git(&["clone", "-q", "--bare", "--filter", "blob:none", &from, &folder.to_string_lossy()]);
    let error = History::open(&folder).unwrap().file(id(&first), "docs/CHANGES.md").unwrap_err();
    let error = error.to_string();
    assert!(error.contains("this clone is partial and has not the file"), "{error}");
    assert!(error.ends_with("or clone without --filter"), "{error}");
}
