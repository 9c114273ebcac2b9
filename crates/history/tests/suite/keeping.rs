//! What is kept between runs changes no answer.

use std::path::{Path, PathBuf};

use windlass_history::{History, Id, PathFilter};
use windlass_testkit::repo::RepoBuilder;

use super::dag::{self, FILES, Node};

/// A history long enough to be kept: side branches, merges, a path that comes and goes.
fn long() -> Vec<Node> {
    (0..1500)
        .map(|at: usize| {
            let parents = match at {
                0 => vec![],
                _ if at % 7 == 3 => vec![2],
                _ if at % 7 == 4 => vec![1, 2],
                _ => vec![1],
            };
            Node { parents, skew: 0, file: (at % 5 != 1).then_some(at % 11 % FILES.len()) }
        })
        .collect()
}

fn sections(repo: &RepoBuilder, keep: Option<&Path>, head: &str, tag: &str) -> Vec<Vec<Id>> {
    let history = History::open(repo.path()).unwrap();
    let history = match keep {
        Some(folder) => history.keep_in(folder),
        None => history,
    };
    let filter = PathFilter::new(["a/b", "lib.rs"]);
    let tags = [("v1".to_owned(), tag.parse().unwrap())];
    let found = history.releases(head.parse().unwrap(), &tags, Some(&filter)).unwrap();
    found.into_iter().map(|section| section.ids).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn what_is_kept_changes_no_answer() {
    for has_graph in [false, true] {
        let repo = RepoBuilder::new();
        let ids = dag::build(&repo, &long());
        if has_graph {
            repo.git(&["commit-graph", "write", "--reachable", "--changed-paths", "--no-progress"]);
        }
        let folder = repo.outside().join("kept/paths");
        let last = ids.len() - 1;
        let check = |head: usize| {
            let plain = sections(&repo, None, &ids[head], &ids[700]);
            assert!(plain.iter().map(Vec::len).sum::<usize>() > 100);
            assert_eq!(sections(&repo, Some(&folder), &ids[head], &ids[700]), plain, "at {head}");
        };
        // Too short to be worth a file.
        check(800);
        assert!(files(&folder).is_empty());
        // Kept, found again, gone on from, gone back from, and on a side branch that was never asked about.
        for head in [1200, 1200, last, 1200, 703] {
            check(head);
        }
        let [file] = files(&folder).try_into().unwrap();
        let text = std::fs::read(&file).unwrap();
        // Damaged, cut short, longer, empty, of something else.
        let middle = text.len() / 2;
        let mut other = text.clone();
        other[middle] ^= 1;
        for bad in [other, text[..middle].to_vec(), [&text[..], b"x"].concat(), vec![], b"[]".to_vec()] {
            std::fs::write(&file, bad).unwrap();
            check(last);
            assert!(std::fs::read(&file).unwrap().len() >= middle, "written anew");
        }
        // Nowhere to write.
        std::fs::remove_dir_all(&folder).unwrap();
        std::fs::write(&folder, "a file").unwrap();
        check(last);
    }
}

#[test]
fn a_head_that_is_gone_is_forgotten() {
    let repo = RepoBuilder::new();
    let ids = dag::build(&repo, &long());
    let folder = repo.outside().join("kept");
    let last = ids.len() - 1;
    let before = sections(&repo, Some(&folder), &ids[last], &ids[700]);
    // The newest commit goes, with its object.
    repo.git(&["update-ref", "-d", &format!("refs/heads/c{last}")]);
    repo.git(&["reflog", "expire", "--expire=now", "--all"]);
    repo.git(&["repack", "-adq"]);
    repo.git(&["prune", "--expire=now"]);
    assert!(History::open(repo.path()).unwrap().commit(ids[last].parse().unwrap()).is_err());
    let plain = sections(&repo, None, &ids[last - 1], &ids[700]);
    assert_eq!(sections(&repo, Some(&folder), &ids[last - 1], &ids[700]), plain);
    assert!(before.concat().len() >= plain.concat().len());
}

#[test]
fn a_shallow_clone_keeps_nothing() {
    let repo = RepoBuilder::new();
    let ids = dag::build(&repo, &long());
    let last = ids.len() - 1;
    let clone = repo.outside().join("shallow");
    let from = format!("file://{}", repo.path().display());
    let branch = format!("--branch=c{last}");
    repo.git(&["clone", "--quiet", "--bare", "--depth=1200", &branch, &from, clone.to_str().unwrap()]);
    let folder = repo.outside().join("kept");
    let history = History::open(&clone).unwrap().keep_in(&folder);
    assert!(history.is_shallow());
    let filter = PathFilter::new(["lib.rs"]);
    history.releases(ids[last].parse().unwrap(), &[], Some(&filter)).unwrap_err();
    assert!(files(&folder).is_empty());
}
