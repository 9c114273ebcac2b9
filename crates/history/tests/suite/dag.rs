//! Random histories, written by `git fast-import`.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::Stdio;

use proptest::prelude::*;
use windlass_testkit::repo::RepoBuilder;

/// A commit to be made.
#[derive(Debug, Clone)]
pub struct Node {
    /// Earlier commits, by how far back they are from this one; none for a root.
    pub parents: Vec<usize>,
    /// Seconds by which its date is off.
    pub skew: i64,
    /// The file it changes, if any.
    pub file: Option<usize>,
}

/// Files that commits change.
pub const FILES: [&str; 6] = ["README", "a/one", "a/b/two", "a/bc/three", "lib/x/y/four", "lib.rs"];

/// Histories of up to `most` commits.
pub fn histories(most: usize) -> impl Strategy<Value = Vec<Node>> {
    let node = (
        prop::collection::vec(1usize..12, 0..4),
        any::<u8>(),
        prop_oneof![
            6 => Just(0i64), 2 => -100i64..100, 1 => -100_000i64..100_000, 1 => Just(-1_700_000_000i64),
        ],
        prop::option::weighted(0.8, 0..FILES.len()),
    );
    prop::collection::vec(node, 1..most).prop_map(|nodes| {
        let nodes = nodes.into_iter().enumerate();
        nodes
            .map(|(index, (mut parents, kind, skew, file))| {
                // Most commits have one parent, some are roots.
                if kind > 8 && parents.is_empty() {
                    parents.push(1);
                }
                if kind > 60 {
                    parents.truncate(1);
                }
                parents.retain(|back| *back <= index);
                parents.sort_unstable();
                parents.dedup();
                Node { parents, skew, file }
            })
            .collect()
    })
}

/// The repository with these commits as branches `c0`, `c1`, ...; the ids in their order.
pub fn build(repo: &RepoBuilder, history: &[Node]) -> Vec<String> {
    let mut stream = String::new();
    for (index, node) in history.iter().enumerate() {
        let time = 1_700_000_000 + index as i64 / 2 * 50 + node.skew;
        let message = format!("feat: commit {index}\n\nBody of {index}.");
        write!(
            stream,
            "reset refs/heads/c{index}\ncommit refs/heads/c{index}\nmark :{}\nauthor Ann <ann@x> {time} +0000\n\
             committer Carl <carl@x> {time} +0000\ndata {}\n{message}\n",
            index + 1,
            message.len()
        )
        .unwrap();
        for (at, back) in node.parents.iter().enumerate() {
            let word = if at == 0 { "from" } else { "merge" };
            writeln!(stream, "{word} :{}", index + 1 - back).unwrap();
        }
        if let Some(file) = node.file {
            let text = format!("{}", index % 7);
            write!(stream, "M 100644 inline {}\ndata {}\n{text}\n", FILES[file], text.len()).unwrap();
        }
        stream.push('\n');
    }
    let mut import = repo
        .command("git")
        .args(["fast-import", "--quiet", "--force"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    import.stdin.take().unwrap().write_all(stream.as_bytes()).unwrap();
    assert!(import.wait().unwrap().success());
    let names: Vec<String> = (0..history.len()).map(|index| format!("c{index}")).collect();
    let mut args = vec!["rev-parse"];
    args.extend(names.iter().map(String::as_str));
    repo.git(&args).lines().map(str::to_owned).collect()
}
