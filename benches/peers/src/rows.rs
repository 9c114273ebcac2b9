//! What is timed: a row for each task and each tool that can do it.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::config::{ITEM, pattern};
use crate::subject::Subject;

/// What a release tool is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Task {
    /// The next version of the repository.
    Next,
    /// Notes of what is not released yet.
    Unreleased,
    /// The changelog of all releases.
    Full,
    /// The changelog of all releases of one package.
    Package,
    /// The changelogs of all packages.
    Packages,
    /// The next version of each package.
    NextPackages,
}

/// All of them.
pub const TASKS: [Task; 6] =
    [Task::Next, Task::Unreleased, Task::Full, Task::Package, Task::Packages, Task::NextPackages];

impl fmt::Display for Task {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Next => "next version",
            Self::Unreleased => "unreleased notes",
            Self::Full => "full changelog",
            Self::Package => "one package",
            Self::Packages => "all packages",
            Self::NextPackages => "next of all packages",
        })
    }
}

impl Task {
    /// Windlass is told of the packages for it.
    pub fn has_packages(self) -> bool {
        matches!(self, Self::Package | Self::Packages | Self::NextPackages)
    }
}

/// What a tool is to the goals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Ours.
    Windlass,
    /// Another release tool.
    Peer,
    /// What merely printing the commits costs: shown, and no goal.
    Floor,
}

/// How an answer is read from what a tool printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extract {
    /// The number of lines that begin so: commits.
    Lines(&'static str),
    /// A number of commits in JSON, by its pointer.
    Json(&'static str),
    /// A number of commits between two texts.
    Between(&'static str, &'static str),
    /// The next version, after a text; the last word printed when the text is empty.
    Version(&'static str),
    /// The sum of the number of commits of each package, in JSON.
    JsonPackages,
}

/// A task done by a tool.
#[derive(Debug, Clone)]
pub struct Row {
    /// The task.
    pub task: Task,
    /// The tool's name in the tables.
    pub tool: String,
    /// What it is.
    pub kind: Kind,
    /// The commands, one after another; their costs are added up.
    pub steps: Vec<Vec<String>>,
    /// How the answer is read; every one of them must be right. The outputs of all steps are one text.
    pub extracts: Vec<Extract>,
    /// Exit codes of success.
    pub codes: &'static [i32],
    /// A folder of the copy where it leaves a cache: it is timed cold and warm.
    pub cache: Option<&'static str>,
}

/// The programs that are there.
#[derive(Debug, Clone)]
pub struct Tools {
    /// Ours.
    pub windlass: Option<PathBuf>,
    /// The peers, by name.
    pub peers: Vec<(&'static str, PathBuf)>,
    /// Whether git's own log is timed.
    pub floor: bool,
}

/// Where git-cliff leaves its cache of changed paths.
const CLIFF_CACHE: &str = ".git/git-cliff-core";

/// Where Windlass keeps which commits change a package.
const WINDLASS_CACHE: &str = ".git/windlass/paths";

/// Every row of a repository.
pub fn rows(subject: &Subject, tools: &Tools) -> Vec<Row> {
    let mut rows = Vec::new();
    for task in TASKS {
        if task.has_packages() && subject.packages.is_empty() {
            continue;
        }
        if let Some(program) = &tools.windlass {
            rows.push(windlass(task, program, subject));
        }
        for (name, program) in &tools.peers {
            let found = match name.split(' ').next().unwrap_or_default() {
                "git-cliff" => Some(cliff(task, name, program, subject)),
                "cocogitto" => cocogitto(task, name, program, subject),
                "conventional-changelog" => conventional(task, name, program, subject),
                "commitizen" => commitizen(task, name, program, subject),
                "semantic-release" => semantic(task, name, program),
                _ => None,
            };
            rows.extend(found);
        }
        if tools.floor {
            rows.extend(floor(task, subject));
        }
    }
    rows
}

fn row(task: Task, tool: &str, kind: Kind, steps: Vec<Vec<String>>, extracts: Vec<Extract>) -> Row {
    Row { task, tool: tool.to_owned(), kind, steps, extracts, codes: &[0], cache: None }
}

fn argv(program: &Path, arguments: &[&str]) -> Vec<String> {
    let mut all = vec![program.to_string_lossy().into_owned()];
    all.extend(arguments.iter().map(|argument| (*argument).to_owned()));
    all
}

fn windlass(task: Task, program: &Path, subject: &Subject) -> Row {
    let changelog = |name: &str| argv(program, &["changelog", "generate", "--package", name]);
    let (steps, extract) = match task {
        Task::Next => {
            let step = argv(program, &["next", "--explain", "--json"]);
            (vec![step], Extract::Json("/baseline/commits_since"))
        }
        Task::Unreleased => {
            (vec![argv(program, &["changelog", "generate", "--unreleased"])], Extract::Lines("- "))
        }
        Task::Full => (vec![argv(program, &["changelog", "generate"])], Extract::Lines("- ")),
        Task::Package => {
            let one = subject.package().map(|package| changelog(&package.name));
            (one.into_iter().collect(), Extract::Lines("- "))
        }
        Task::Packages => {
            let all = subject.packages.iter().map(|package| changelog(&package.name));
            (all.collect(), Extract::Lines("- "))
        }
        Task::NextPackages => (vec![argv(program, &["next", "--json"])], Extract::JsonPackages),
    };
    let mut row = row(task, "windlass", Kind::Windlass, steps, vec![extract]);
    if matches!(task, Task::Next | Task::NextPackages) {
        // 3: nothing calls for a release. What it counted is printed all the same.
        row.codes = &[0, 3];
    }
    if matches!(task, Task::Package | Task::Packages) {
        row.cache = Some(WINDLASS_CACHE);
    }
    row
}

fn cliff(task: Task, name: &str, program: &Path, subject: &Subject) -> Row {
    let of = |path: &str, prefix: &str, last: &[&str]| {
        let (include, tags) = (format!("{path}/**"), pattern(prefix));
        let packages = ["--offline", "--include-path", include.as_str(), "--tag-pattern", tags.as_str()];
        argv(program, &[packages.as_slice(), last].concat())
    };
    let each = |last: &[&str]| -> Vec<Vec<String>> {
        subject.packages.iter().map(|package| of(&package.path, &package.prefix, last)).collect()
    };
    let (steps, extract) = match task {
        Task::Next => (vec![argv(program, &["--offline", "--bumped-version"])], Some(Extract::Version(""))),
        Task::Unreleased => (vec![argv(program, &["--offline", "--unreleased"])], Some(Extract::Lines(ITEM))),
        Task::Full => (vec![argv(program, &["--offline"])], Some(Extract::Lines(ITEM))),
        Task::Package => {
            let one = subject.package().map(|package| of(&package.path, &package.prefix, &[]));
            (one.into_iter().collect(), Some(Extract::Lines(ITEM)))
        }
        Task::Packages => (each(&[]), Some(Extract::Lines(ITEM))),
        Task::NextPackages => (each(&["--bumped-version"]), None),
    };
    let mut row = row(task, name, Kind::Peer, steps, extract.into_iter().collect());
    if task.has_packages() {
        row.cache = Some(CLIFF_CACHE);
    }
    row
}

fn cocogitto(task: Task, name: &str, program: &Path, subject: &Subject) -> Option<Row> {
    let baseline = subject.baseline.as_deref();
    let (step, extract) = match task {
        Task::Next => (argv(program, &["bump", "--auto", "--dry-run"]), Extract::Version("")),
        Task::Unreleased => {
            (argv(program, &["changelog", &format!("{}..HEAD", baseline?)]), Extract::Lines("- "))
        }
        Task::Full => (argv(program, &["changelog"]), Extract::Lines("- ")),
        _ => return None,
    };
    Some(row(task, name, Kind::Peer, vec![step], vec![extract]))
}

fn conventional(task: Task, name: &str, program: &Path, subject: &Subject) -> Option<Row> {
    // It would copy the changelog that is there behind its own text: it is given none.
    let common = ["-n", "conventional.config.mjs", "--stdout", "-i", "windlass-no-such-file.md", "-u", "-r"];
    let of = |rest: &[&str]| argv(program, &[common.as_slice(), rest].concat());
    let steps = match task {
        Task::Unreleased => vec![of(&["1"])],
        Task::Full => vec![of(&["0"])],
        Task::Package => {
            let package = subject.package()?;
            vec![of(&["0", "--commit-path", &package.path, "--tag-prefix", &package.prefix])]
        }
        Task::Packages => subject
            .packages
            .iter()
            .map(|package| of(&["0", "--commit-path", &package.path, "--tag-prefix", &package.prefix]))
            .collect(),
        _ => return None,
    };
    Some(row(task, name, Kind::Peer, steps, vec![Extract::Lines(ITEM)]))
}

fn commitizen(task: Task, name: &str, program: &Path, subject: &Subject) -> Option<Row> {
    let (step, extract) = match task {
        Task::Next => (argv(program, &["bump", "--dry-run", "--yes"]), Extract::Version("tag to create: ")),
        Task::Unreleased => {
            let baseline = subject.baseline.as_deref()?;
            (argv(program, &["changelog", "--dry-run", "--start-rev", baseline]), Extract::Lines("- "))
        }
        Task::Full => (argv(program, &["changelog", "--dry-run"]), Extract::Lines("- ")),
        _ => return None,
    };
    Some(row(task, name, Kind::Peer, vec![step], vec![extract]))
}

/// One command of semantic-release decides the version and writes its notes: there is nothing smaller to time.
fn semantic(task: Task, name: &str, program: &Path) -> Option<Row> {
    let extracts = vec![
        Extract::Between("Found ", " commits since last release"),
        Extract::Version("The next release version is "),
    ];
    let step = argv(program, &["--dry-run", "--no-ci"]);
    (task == Task::Next).then(|| row(task, name, Kind::Peer, vec![step], extracts))
}

/// What printing the messages alone costs, with the baseline known beforehand.
fn floor(task: Task, subject: &Subject) -> Vec<Row> {
    let git = Path::new("git");
    let range = subject.baseline.as_ref().map_or_else(|| "HEAD".to_owned(), |tag| format!("{tag}..HEAD"));
    let format = format!("--format={ITEM}%s");
    let log = |options: &[&str], rest: &[&str]| {
        argv(git, &[options, &["log", "--no-color", format.as_str()], rest].concat())
    };
    let single = |steps, name: &str| row(task, name, Kind::Floor, steps, vec![Extract::Lines(ITEM)]);
    match task {
        Task::Next | Task::Unreleased => vec![single(vec![log(&[], &[&range])], "git log")],
        Task::Full => vec![single(vec![log(&[], &["HEAD"])], "git log")],
        Task::Package | Task::Packages => {
            let of = |options: &[&str]| -> Vec<Vec<String>> {
                let one = subject.package().into_iter();
                let all = subject.packages.iter();
                let paths: Vec<&str> = match task {
                    Task::Package => one.map(|package| package.path.as_str()).collect(),
                    _ => all.map(|package| package.path.as_str()).collect(),
                };
                paths.into_iter().map(|path| log(options, &["HEAD", "--", path])).collect()
            };
            vec![
                single(of(&[]), "git log"),
                single(of(&["-c", "commitGraph.readChangedPaths=false"]), "git log, no Bloom filters"),
            ]
        }
        Task::NextPackages => Vec::new(),
    }
}
