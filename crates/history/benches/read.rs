//! What reading a repository costs, each task in a process of its own, with git's own cost beside it.
//!
//! `cargo bench -p windlass-history --bench read -- REPOSITORY [PATH] [ROUNDS]`
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a bench prints, and stops at the first surprise"
)]

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use windlass_history::{History, Id, PathFilter, Range};

/// A task, and the command of git that is its floor.
const TASKS: &[(&str, &[&str])] = &[
    ("open", &["rev-parse", "HEAD"]),
    ("tags", &["for-each-ref", "--format=%(refname) %(*objectname)", "refs/tags"]),
    ("next", &["describe", "--tags", "--abbrev=0"]),
    ("walk", &["rev-list", "--count", "HEAD"]),
    ("messages", &["log", "--format=%H%n%an%n%B", "HEAD"]),
    ("releases", &["log", "--format=%H%n%an%n%B%d", "HEAD"]),
    ("path", &["log", "--oneline", "HEAD", "--"]),
    ("packages", &["log", "--format=%H", "--name-only", "HEAD", "--"]),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let texts: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match texts.as_slice() {
        ["task", task, repository, path] => measured(UsageWho::RUSAGE_SELF, || run(task, repository, path)),
        ["floor", task, repository, path] => {
            measured(UsageWho::RUSAGE_CHILDREN, || floor(task, repository, path))
        }
        [repository, rest @ ..] => {
            let path = rest.first().copied().unwrap_or("");
            let rounds = rest.get(1).and_then(|rounds| rounds.parse().ok()).unwrap_or(5);
            table(repository, path, rounds);
        }
        [] => panic!("say which repository"),
    }
}

fn table(repository: &str, path: &str, rounds: usize) {
    println!("{repository} {path}");
    println!(
        "{:<10} {:>9} {:>9} {:>7} | {:>9} {:>9} {:>7}",
        "task", "cpu ms", "wall ms", "MiB", "git cpu", "wall", "MiB"
    );
    for (task, _) in TASKS {
        let columns: Vec<String> = ["task", "floor"]
            .map(|kind| {
                let mut best: Option<Vec<f64>> = None;
                let mut note = String::new();
                for _ in 0..rounds {
                    let program = std::env::current_exe().unwrap();
                    let output = Command::new(program).args([kind, task, repository, path]).output().unwrap();
                    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
                    let text = String::from_utf8(output.stdout).unwrap();
                    let numbers: Vec<f64> = text.split(' ').filter_map(|word| word.parse().ok()).collect();
                    note = text.lines().nth(1).unwrap_or_default().to_owned();
                    if best.as_ref().is_none_or(|best| numbers[0] < best[0]) {
                        best = Some(numbers);
                    }
                }
                let best = best.unwrap();
                format!("{:>9.1} {:>9.1} {:>7.1} {note}", best[0], best[1], best[2])
            })
            .to_vec();
        println!("{task:<10} {}", columns.join(" | "));
    }
}

/// Tells processor time and wall time in ms and the greatest memory in MiB, then what was found.
fn measured(who: UsageWho, run: impl FnOnce() -> String) {
    let cpu = |usage: &Usage| (usage.user_time() + usage.system_time()).num_microseconds() as f64 / 1000.0;
    let before = cpu(&getrusage(who).unwrap());
    let begin = Instant::now();
    let found = run();
    let wall = begin.elapsed().as_secs_f64() * 1000.0;
    let after = getrusage(who).unwrap();
    println!("{} {wall} {} \n{found}", cpu(&after) - before, after.max_rss() as f64 / 1024.0);
}

fn floor(task: &str, repository: &str, path: &str) -> String {
    let (_, arguments) = TASKS.iter().find(|(name, _)| *name == task).unwrap();
    let mut command = Command::new("git");
    command.arg("-C").arg(repository).args(*arguments);
    if task == "path" && !path.is_empty() {
        command.arg(path);
    }
    let output = command.output().unwrap();
    // A partial clone has not all that git wants to show.
    if output.status.success() { String::new() } else { "(failed)".to_owned() }
}

fn run(task: &str, repository: &str, path: &str) -> String {
    let history = History::open(Path::new(repository)).unwrap();
    let head = history.head().unwrap().unwrap();
    let all = Range::all(head);
    match task {
        "open" => String::new(),
        "tags" => history.tags().unwrap().len().to_string(),
        "next" => next(&history, head),
        "walk" => history.count(&all).unwrap().to_string(),
        "messages" => {
            let ids = history.ids(&all, None).unwrap();
            history.read(ids).map(|commit| commit.unwrap().message.len()).sum::<usize>().to_string()
        }
        "releases" => {
            let mut tags = history.tags().unwrap();
            tags.sort_by_key(|tag| history.commit(tag.commit).unwrap().committed_at);
            let tags: Vec<(String, Id)> = tags.into_iter().map(|tag| (tag.name, tag.commit)).collect();
            let sections = history.releases(head, &tags, None).unwrap();
            let count: usize = sections.iter().map(|section| section.commits(&history).count()).sum();
            format!("{count} in {}", sections.len())
        }
        "path" => {
            let filter = PathFilter::new((!path.is_empty()).then_some(path));
            history.ids(&all, Some(&filter)).unwrap().len().to_string()
        }
        "packages" => {
            let packages: Vec<PathFilter> = (0..10)
                .map(|at| PathFilter::new([format!("packages/p{at}")]))
                .chain((!path.is_empty()).then(|| PathFilter::new([path])))
                .collect();
            let found = history.commits_by_package(&all, &packages).unwrap();
            found.filter(|found| !found.as_ref().unwrap().1.is_empty()).count().to_string()
        }
        _ => panic!("no task {task}"),
    }
}

/// The tags nearest to HEAD by name, highest first, until one is contained; then the commits since.
fn next(history: &History, head: Id) -> String {
    let mut tags = history.tags().unwrap();
    let numbers = |name: &str| -> Vec<u64> {
        name.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect()
    };
    tags.sort_by_key(|tag| std::cmp::Reverse(numbers(&tag.name)));
    let mut ancestry = history.ancestry(head);
    let baseline = tags.iter().find(|tag| ancestry.contains(tag.commit).unwrap());
    let Some(baseline) = baseline else { return "none".to_owned() };
    let commits = history.commits(&Range::since(baseline.commit, head), None).unwrap();
    format!("{} + {}", baseline.name, commits.len())
}
