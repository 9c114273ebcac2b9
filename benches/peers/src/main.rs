//! `cargo run --release -p windlass-peers -- [OPTIONS] [REPOSITORY...]`

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use windlass_peers::generate::{Scale, generate};
use windlass_peers::peers::{PEERS, install, is_wanted};
use windlass_peers::rows::{Tools, rows};
use windlass_peers::session::{self, Plan, progress};
use windlass_peers::subject::{self, Subject, Variant};
use windlass_peers::{Result, goals, measure, report};

const HELP: &str = "\
Times the next version, notes and changelogs of Windlass against its peers, and checks that all count alike.

cargo build --release && cargo run --release -p windlass-peers -- [OPTIONS] [[NAME=]REPOSITORY...]

Repositories are copied to target/peers/repos and never written to; NAME=PATH says what one is called. Peers are installed to target/peers. Without a
repository, or with --generated, a generated one of 100,000 commits and 2,000 tags is measured.

  --only NAMES     only these tools, by commas: windlass, git, git-cliff, cocogitto, conventional-changelog,
                   commitizen, semantic-release; with a version (\"git-cliff 2.12.0\") only that one
  --variants V     plain, graph or both by a comma (default): without and with a commit-graph
  --rounds N       rounds after the warm-up (5)
  --limit S        a command that takes longer is ended (600)
  --slow S         what takes longer in the warm-up is not repeated (20)
  --packages N     at most so many packages (8)
  --generated      measure the generated repository besides those given
  --commits N      its commits (100000)
  --tags N         its tags (2000)
  --seed N         its seed (1)
  --windlass PATH  the binary (target/release/windlass, which must be built before)
  --folder PATH    where peers and copies are (target/peers)
  --markdown       begin with the machine and the command, ready for benches/README.md
  --no-goals       print only; a missed goal is no failure

Exit code 1: a goal was missed, windlass was wrong, or a peer could not be installed. 2: the bench itself failed.
";

#[derive(Debug)]
struct Options {
    repositories: Vec<PathBuf>,
    only: Vec<String>,
    variants: Vec<Variant>,
    rounds: usize,
    limit: u64,
    slow: u64,
    packages: usize,
    is_generated: bool,
    scale: Scale,
    windlass: PathBuf,
    folder: PathBuf,
    markdown: bool,
    goals: bool,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.first().map(String::as_str) {
        Some("measure") => measure::measured_process(&arguments[1..]).map(|()| true),
        Some("--help" | "-h") => print(HELP).map(|()| true),
        _ => options(&arguments).and_then(|options| bench(&options, &arguments)),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            progress(&format!("error: {error}"));
            ExitCode::from(2)
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap_or(Path::new(".")).to_owned()
}

fn options(arguments: &[String]) -> Result<Options> {
    let target = root().join("target");
    let mut options = Options {
        repositories: Vec::new(),
        only: Vec::new(),
        variants: vec![Variant::Plain, Variant::Graph],
        rounds: 5,
        limit: 600,
        slow: 20,
        packages: 8,
        is_generated: false,
        scale: Scale { commits: 100_000, tags: 2_000, seed: 1 },
        windlass: target.join("release/windlass"),
        folder: target.join("peers"),
        markdown: false,
        goals: true,
    };
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let mut value = || rest.next().ok_or_else(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--only" => options.only = value()?.split(',').map(|name| name.trim().to_owned()).collect(),
            "--variants" => options.variants = value()?.split(',').map(variant).collect::<Result<_>>()?,
            "--rounds" => options.rounds = value()?.parse()?,
            "--limit" => options.limit = value()?.parse()?,
            "--slow" => options.slow = value()?.parse()?,
            "--packages" => options.packages = value()?.parse()?,
            "--generated" => options.is_generated = true,
            "--commits" => options.scale.commits = value()?.parse()?,
            "--tags" => options.scale.tags = value()?.parse()?,
            "--seed" => options.scale.seed = value()?.parse()?,
            "--windlass" => options.windlass = PathBuf::from(value()?),
            "--folder" => options.folder = PathBuf::from(value()?),
            "--markdown" => options.markdown = true,
            "--no-goals" => options.goals = false,
            flag if flag.starts_with('-') => return Err(format!("unknown option {flag}; see --help").into()),
            path => options.repositories.push(PathBuf::from(path)),
        }
    }
    options.is_generated |= options.repositories.is_empty();
    Ok(options)
}

fn variant(name: &str) -> Result<Variant> {
    match name.trim() {
        "plain" => Ok(Variant::Plain),
        "graph" => Ok(Variant::Graph),
        other => Err(format!("unknown variant {other}: plain or graph").into()),
    }
}

/// True when nothing was missed.
fn bench(options: &Options, arguments: &[String]) -> Result<bool> {
    std::fs::create_dir_all(&options.folder)?;
    let folder = options.folder.canonicalize()?;
    let (tools, mut problems) = tools(options, &folder)?;
    let plan = Plan {
        meter: std::env::current_exe()?,
        rounds: options.rounds,
        limit: Duration::from_secs(options.limit),
        slow: Duration::from_secs(options.slow),
        scratch: folder.join("scratch"),
    };
    if options.markdown {
        let command = format!("cargo run --release -p windlass-peers -- {}", shown(arguments));
        print(&report::heading(&command, options.rounds))?;
    }
    for (name, copy) in copies(options, &folder)? {
        let subject = Subject::read(&name, &copy, options.packages)?;
        let rows = rows(&subject, &tools);
        for variant in &options.variants {
            let sheet = session::run(&plan, &subject, *variant, &rows)?;
            print(&report::table(&sheet))?;
            problems.extend(if options.goals { goals::missed(&sheet) } else { Vec::new() });
        }
    }
    for problem in &problems {
        progress(&format!("MISSED: {problem}"));
    }
    Ok(problems.is_empty())
}

/// The command without the paths of this machine.
fn shown(arguments: &[String]) -> String {
    let short = |argument: &String| {
        let (name, path) = argument.split_once('=').unwrap_or(("", argument));
        let last = Path::new(path).file_name().filter(|_| path.starts_with('/'));
        match (name, last) {
            (_, None) => argument.clone(),
            ("", Some(last)) => last.to_string_lossy().into_owned(),
            (name, Some(_)) => name.to_owned(),
        }
    };
    arguments.iter().map(short).collect::<Vec<_>>().join(" ")
}

/// Every tool that is wanted, and a problem for each that cannot be had.
fn tools(options: &Options, folder: &Path) -> Result<(Tools, Vec<String>)> {
    let (mut tools, mut problems) = (Tools { windlass: None, peers: Vec::new(), floor: false }, Vec::new());
    if is_wanted("windlass", &options.only) {
        let windlass = options.windlass.canonicalize().map_err(|error| {
            format!("{}: {error}; build it with `cargo build --release`", options.windlass.display())
        })?;
        tools.windlass = Some(windlass);
    }
    tools.floor = is_wanted("git log", &options.only);
    for peer in PEERS.iter().filter(|peer| is_wanted(peer.name, &options.only)) {
        match install(peer, folder) {
            Ok(program) => tools.peers.push((peer.name, program)),
            Err(error) => {
                let problem = format!("{} could not be installed: {error}", peer.name);
                progress(&problem);
                problems.push(problem);
            }
        }
    }
    let git = Command::new("git").arg("--version").output()?;
    progress(&format!("measuring with {}", String::from_utf8_lossy(&git.stdout).trim()));
    Ok((tools, problems))
}

/// The copies to measure, by name.
fn copies(options: &Options, folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let under = folder.join("repos");
    let mut copies = Vec::new();
    for repository in &options.repositories {
        progress(&format!("copying {}", repository.display()));
        let text = repository.to_string_lossy();
        let (called, path) =
            text.split_once('=').map_or((None, text.as_ref()), |(name, path)| (Some(name.to_owned()), path));
        let path = Path::new(path).canonicalize().map_err(|error| format!("{path}: {error}"))?;
        let copy = subject::copy(&path, &under)?;
        let last = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let name = called.or(last).unwrap_or_default();
        copies.push((name.trim_end_matches(".git").to_owned(), copy));
    }
    if options.is_generated {
        let Scale { commits, tags, seed } = options.scale;
        let copy = under.join(format!("generated-{commits}-{tags}-{seed}"));
        let finished = copy.join(".git/windlass-peers-generated");
        if !finished.exists() {
            progress(&format!("generating {commits} commits and {tags} tags from seed {seed}"));
            if copy.exists() {
                std::fs::remove_dir_all(&copy)?;
            }
            generate(&copy, options.scale)?;
            subject::pack(&copy)?;
            std::fs::write(finished, "")?;
        }
        copies.push((format!("generated from seed {seed}"), copy));
    }
    Ok(copies)
}

fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}
