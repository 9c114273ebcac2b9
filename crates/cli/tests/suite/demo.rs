//! The demo on the real binary, judged by what the service, the remote and the journal say.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use windlass_core::run::RunStatus;
use windlass_engine::journal::{Journal as _, SqliteJournal};

/// A computer with nothing on it but git, bash and the two tools that the sample's `deploy.sh` moves files with.
struct Computer {
    folder: tempfile::TempDir,
}

impl Computer {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["bin", "home", "tmp"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let computer = Self { folder };
        for tool in ["git", "bash", "mkdir", "mv"] {
            computer.install(tool, tool);
        }
        computer
    }

    /// Gives `tool` the name `name` here.
    fn install(&self, tool: &str, name: &str) {
        let path = std::env::var_os("PATH").unwrap();
        let found = std::env::split_paths(&path).map(|folder| folder.join(tool)).find(|file| file.is_file());
        symlink(found.unwrap_or_else(|| panic!("{tool} is needed")), self.at("bin").join(name)).unwrap();
    }

    fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn windlass(&self, args: &[&str]) -> Output {
        self.command().args(args).output().unwrap()
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_windlass"));
        command
            .env_clear()
            .env("PATH", self.at("bin"))
            .env("HOME", self.at("home"))
            .env("TMPDIR", self.at("tmp"))
            .current_dir(self.folder.path());
        command
    }
}

fn text(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn ledger(service: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(service.join("ledger.log")).unwrap();
    text.lines().map(|line| line.split_once(' ').unwrap().1.to_owned()).collect()
}

fn tags(remote: &Path) -> Vec<String> {
    let told = Command::new("git").arg("--git-dir").arg(remote).args(["tag", "--list"]).output().unwrap();
    String::from_utf8(told.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn runs(project: &Path) -> Vec<(Option<String>, RunStatus)> {
    let journal = SqliteJournal::open(&project.join(".git/windlass/journal.db")).unwrap();
    let mut runs: Vec<_> = journal.runs().unwrap().into_iter().map(|run| (run.version, run.status)).collect();
    runs.sort_by(|left, right| left.0.cmp(&right.0));
    runs
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn two_releases_are_shown_and_the_bad_one_is_rolled_back() {
    let computer = Computer::new();
    let output = computer
        .command()
        // What a shell and a person's own settings may hold.
        .env("GIT_DIR", "/nowhere")
        .env("GIT_AUTHOR_NAME", "Somebody else")
        .args(["demo", "--fast", "--directory", "shown"])
        .output()
        .unwrap();
    let told = text(&output);
    assert_eq!(output.status.code(), Some(0), "{told}");

    let demo = computer.at("shown");
    assert_eq!(ledger(&demo.join("service")), ["0.1.0", "0.2.0", "0.3.0", "0.2.0"], "{told}");
    assert_eq!(std::fs::read_to_string(demo.join("service/current")).unwrap().trim(), "0.2.0");
    assert_eq!(tags(&demo.join("remote.git")), ["v0.1.0", "v0.2.0", "v0.3.0"], "{told}");
    assert_eq!(
        runs(&demo.join("shop")),
        [(Some("0.2.0".into()), RunStatus::Succeeded), (Some("0.3.0".into()), RunStatus::RolledBack)],
        "{told}"
    );

    let alias = format!("alias windlass={}", env!("CARGO_BIN_EXE_windlass"));
    for said in [
        "approved by the demo",
        "cd ",
        "windlass runs",
        "windlass audit verify",
        "windlass plan",
        "Production ended with the demo; `windlass demo --keep` keeps it running.",
        "windlass approve --as rita@demo.example",
        &alias,
    ] {
        assert!(told.contains(said), "{said} is not in {told}");
    }
    let log =
        Command::new("git").current_dir(demo.join("shop")).args(["log", "--format=%ae"]).output().unwrap();
    let authors = String::from_utf8(log.stdout).unwrap();
    assert!(authors.lines().all(|author| author.ends_with("@demo.example")), "{authors}");

    // Nothing outside the folder, and no service left behind.
    assert_eq!(names(computer.folder.path()), ["bin", "home", "shown", "tmp"]);
    assert_eq!(names(&computer.at("home")), Vec::<String>::new());
    assert_eq!(names(&computer.at("tmp")), Vec::<String>::new());
    let address = std::fs::read_to_string(demo.join("service/address")).unwrap();
    assert!(std::net::TcpStream::connect(address.trim()).is_err(), "the service still answers");
}

#[test]
fn as_data_it_is_one_object() {
    let computer = Computer::new();
    let output = computer.windlass(&["demo", "--fast", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["schema"], "windlass/demo/1");
    assert_eq!(told["ending"]["runs"], serde_json::json!(["succeeded", "rolled-back"]));
    assert_eq!(told["differences"], serde_json::json!([]));
    // Kept to be explored, where temporary files go.
    let folder = Path::new(told["folder"].as_str().unwrap());
    assert!(folder.join("shop/runbooks/release.md").is_file());
    assert_eq!(names(&computer.at("tmp")).len(), 1);
}

#[test]
fn a_demo_that_does_not_go_as_told_fails_and_leaves_everything() {
    let computer = Computer::new();
    std::fs::remove_file(computer.at("bin/mv")).unwrap();
    computer.install("false", "mv");
    let output = computer.windlass(&["demo", "--fast", "--directory", "shown"]);
    let told = text(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("`windlass resume` ended with exit code 1 where 0 was expected"), "{told}");
    assert!(told.contains("everything is still in"), "{told}");
    assert_eq!(ledger(&computer.at("shown/service")), ["0.1.0"], "{told}");
    assert_eq!(runs(&computer.at("shown/shop")), [(Some("0.2.0".into()), RunStatus::Failed)], "{told}");
}

#[test]
fn a_folder_with_something_in_it_is_refused_and_left_alone() {
    let computer = Computer::new();
    let output = computer.windlass(&["demo", "--directory", "home/.."]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("is not empty"), "{}", text(&output));
    assert_eq!(names(computer.folder.path()), ["bin", "home", "tmp"]);
}

#[test]
fn what_is_missing_is_told_before_anything_is_made() {
    for tool in ["git", "bash"] {
        let computer = Computer::new();
        std::fs::remove_file(computer.at("bin").join(tool)).unwrap();
        let output = computer.windlass(&["demo", "--fast"]);
        assert_eq!(output.status.code(), Some(1), "{}", text(&output));
        assert!(text(&output).contains(&format!("the demo needs {tool}")), "{}", text(&output));
        assert_eq!(names(&computer.at("tmp")), Vec::<String>::new());
    }
}

#[test]
fn the_service_ends_with_its_standard_input() {
    let computer = Computer::new();
    let output = computer.windlass(&["demo-service", "--root", "tmp"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let address = std::fs::read_to_string(computer.at("tmp/address")).unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), address);
}

#[test]
fn a_kept_service_ends_with_its_folder() {
    let computer = Computer::new();
    let mut child = computer
        .command()
        .args(["demo-service", "--keep", "--root", "tmp"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut address = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
    let mut stream = std::net::TcpStream::connect(address.trim()).unwrap();
    stream.write_all(b"GET /health HTTP/1.1\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    std::fs::remove_dir_all(computer.at("tmp")).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
