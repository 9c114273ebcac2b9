//! The demo's sample project: its files, its history, its remote and the folder of its service.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use windlass_core::text::sanitize;

use super::colours;
use super::service::{ADDRESS, CURRENT, RELEASES, replace};
use crate::error::{CommandError, Result};

/// What stands for the service's address in the sample's files.
const SHOP: &str = "@SHOP@";

/// The files of the first commit: path, text, whether it can be executed.
const FILES: [(&str, &str, bool); 9] = [
    ("README.md", include_str!("sample/README.md"), false),
    ("CHANGELOG.md", include_str!("sample/CHANGELOG.md"), false),
    ("app.json", include_str!("sample/app.json"), false),
    ("package.json", include_str!("sample/package.json"), false),
    ("windlass.toml", include_str!("sample/windlass.toml"), false),
    ("deploy.sh", include_str!("sample/deploy.sh"), true),
    ("test.sh", include_str!("sample/test.sh"), true),
    ("runbooks/release.md", include_str!("sample/runbooks/release.md"), false),
    ("runbooks/rollback.md", include_str!("sample/runbooks/rollback.md"), false),
];

/// What differs in the files where versions come up beside each other: the file, a text, and what stands in its place.
const BESIDE: [(&str, &str, &str); 5] = [
    (
        "windlass.toml",
        "purpose = \"Where customers buy\"\n",
        "purpose = \"Where customers buy\"\n\n[environments.production.proxy]\nkind = \"haproxy\"\nbackend = \"shop\"\n\
         socket = \"@SOCKET@\"\nconfig = \"@CONFIG@\"\nports = { blue = @BLUE@, green = @GREEN@ }\ndrain = \"5s\"\n",
    ),
    (
        "runbooks/release.md",
        "skills: [version, changelog, git, http]",
        "skills: [version, changelog, git, http, deploy]",
    ),
    (
        "runbooks/release.md",
        "After a crash, `probe` tells whether this was done already; `undo` takes it back.\n\n```bash {id=deploy \
         probe=\"./deploy.sh --is-live $WINDLASS_VERSION\" undo=\"./deploy.sh $WINDLASS_PREVIOUS_VERSION\"}\n./deploy.sh \
         \"$WINDLASS_VERSION\"\n```",
        "It comes up beside the version that customers use, is proven there, and then gets the traffic.\n\n```yaml\n\
         uses: deploy.blue_green\nwith:\n  environment: production\n  run: ./deploy.sh \"$WINDLASS_VERSION\"\n```",
    ),
    ("runbooks/rollback.md", "skills: [http]", "skills: [http, deploy]"),
    (
        "runbooks/rollback.md",
        "```bash {id=deploy probe=\"./deploy.sh --is-live $WINDLASS_PREVIOUS_VERSION\"}\n./deploy.sh \
         \"$WINDLASS_PREVIOUS_VERSION\"\n```",
        "It still runs, so this gives it the traffic.\n\n```yaml\nuses: deploy.previous\nwith:\n  environment: production\n  \
         version: \"{{ previous_version }}\"\n  run: ./deploy.sh \"$WINDLASS_VERSION\"\n```",
    ),
];

const ADA: Author = Author { name: "Ada", email: "ada@demo.example" };
const BEN: Author = Author { name: "Ben", email: "ben@demo.example" };

/// Somebody who commits to the sample.
#[derive(Debug, Clone, Copy)]
struct Author {
    name: &'static str,
    email: &'static str,
}

/// A commit of the sample's history: what the shop sells and whether its checkout works from then on.
#[derive(Debug, Clone, Copy)]
pub struct Change {
    author: Author,
    date: &'static str,
    message: &'static str,
    catalogue: &'static str,
    checkout: &'static str,
}

/// What 0.2.0 is made of.
pub const GOOD: [Change; 2] = [
    Change {
        author: BEN,
        date: "2026-01-12T10:12:00Z",
        message: "feat: sell apples",
        catalogue: "bread, milk and aples",
        checkout: "works",
    },
    Change {
        author: ADA,
        date: "2026-01-14T15:40:00Z",
        message: "fix: spell apples right",
        catalogue: "bread, milk and apples",
        checkout: "works",
    },
];

/// What 0.3.0 is made of. Its checkout is broken, and no test of the sample notices.
pub const BAD: [Change; 1] = [Change {
    author: BEN,
    date: "2026-01-19T09:05:00Z",
    message: "feat: pay with one tap",
    catalogue: "bread, milk and apples",
    checkout: "one tap",
}];

/// What repairs 0.3.0.
pub const FIX: [Change; 1] = [Change {
    author: BEN,
    date: "2026-01-19T11:30:00Z",
    message: "fix: let one tap open the till",
    catalogue: "bread, milk and apples",
    checkout: "works",
}];

/// The places of the sample.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The folder of it all.
    pub folder: PathBuf,
    /// The checkout that is worked in.
    pub project: PathBuf,
    /// The bare repository that is pushed to.
    pub remote: PathBuf,
    /// The service's folder.
    pub service: PathBuf,
    /// Versions come up beside each other, in colours behind a proxy.
    pub colours: bool,
}

impl Sample {
    /// Makes the folders in `folder`, with version 0.1.0 live.
    ///
    /// # Errors
    /// When they cannot be made.
    pub fn create(folder: &Path) -> Result<Self> {
        Self::make(folder, false)
    }

    /// The same with two colours, of which blue has version 0.1.0.
    ///
    /// # Errors
    /// When they cannot be made.
    pub fn with_colours(folder: &Path) -> Result<Self> {
        Self::make(folder, true)
    }

    fn make(folder: &Path, colours: bool) -> Result<Self> {
        let sample = Self {
            colours,
            folder: folder.to_owned(),
            project: folder.join("shop"),
            remote: folder.join("remote.git"),
            service: folder.join("service"),
        };
        let places = if colours { &["blue", "green"][..] } else { &[""] };
        let first = sample.service.join(places[0]);
        let live = first.join(RELEASES).join("0.1.0");
        for place in places {
            let path = sample.service.join(place);
            std::fs::create_dir_all(&path).map_err(|error| unwritable(&path, &error))?;
        }
        for path in [&sample.project.join("runbooks"), &sample.remote, &live] {
            std::fs::create_dir_all(path).map_err(|error| unwritable(path, &error))?;
        }
        write(&live.join("app.json"), include_str!("sample/app.json"))?;
        let current = first.join(CURRENT);
        replace(&current, "0.1.0\n").map_err(|error| unwritable(&current, &error))?;
        Ok(sample)
    }

    /// Makes the repository with release 0.1.0 and the commits after it, and pushes all to the remote.
    ///
    /// # Errors
    /// When git fails or a file cannot be written.
    pub fn commit_history(&self, shop: &str) -> Result<()> {
        // `--template=`: hooks that this computer gives every new repository are none of the demo's.
        git(&self.remote, &["init", "--quiet", "--bare", "--template="], None)?;
        git(&self.project, &["init", "--quiet", "--template="], None)?;
        // Not `init -b`, which git has only since 2.28.
        for folder in [&self.remote, &self.project] {
            git(folder, &["symbolic-ref", "HEAD", "refs/heads/main"], None)?;
        }
        let settings = [
            ("user.name", ADA.name),
            ("user.email", ADA.email),
            // What a person set up for their own work would ask for a key or run a hook here.
            ("commit.gpgsign", "false"),
            ("tag.gpgsign", "false"),
            ("push.gpgsign", "false"),
            ("core.hooksPath", ".git/hooks"),
            ("core.autocrlf", "false"),
            ("core.fsmonitor", "false"),
        ];
        for (key, value) in settings {
            git(&self.project, &["config", key, value], None)?;
        }
        git(&self.remote, &["config", "core.hooksPath", "hooks"], None)?;
        git(&self.project, &["remote", "add", "origin", "../remote.git"], None)?;
        for (path, text, executable) in FILES {
            let text = self.text(path, text)?.replace(SHOP, shop);
            let path = self.project.join(path);
            write(&path, &text)?;
            if executable {
                let mode = std::fs::Permissions::from_mode(0o755);
                std::fs::set_permissions(&path, mode).map_err(|error| unwritable(&path, &error))?;
            }
        }
        let first = Some((ADA, "2026-01-05T09:00:00Z"));
        git(&self.project, &["add", "--all"], None)?;
        git(&self.project, &["commit", "--quiet", "--message", "feat: a shop for bread and milk"], first)?;
        git(&self.project, &["tag", "--annotate", "--message", "Release v0.1.0", "v0.1.0"], first)?;
        git(&self.project, &["push", "--quiet", "--set-upstream", "origin", "main", "v0.1.0"], None)
    }

    /// A file of the sample, as it is with or without colours.
    fn text(&self, path: &str, text: &str) -> Result<String> {
        let mut text = text.to_owned();
        if !self.colours {
            return Ok(text);
        }
        for (_, from, to) in BESIDE.iter().filter(|(file, ..)| *file == path) {
            text = text.replace(from, to);
        }
        if path == "windlass.toml" {
            for (colour, mark) in [("blue", "@BLUE@"), ("green", "@GREEN@")] {
                let file = self.service.join(colour).join(ADDRESS);
                let address = std::fs::read_to_string(&file).map_err(|error| unwritable(&file, &error))?;
                let port = address.trim().rsplit(':').next().unwrap_or_default();
                text = text.replace(mark, port);
            }
            for (name, mark) in [(colours::SOCKET, "@SOCKET@"), (colours::CONFIG, "@CONFIG@")] {
                let path =
                    self.service.join(name).to_string_lossy().replace('\\', "\\\\").replace('"', "\\\"");
                text = text.replace(mark, &path);
            }
        }
        Ok(text)
    }

    /// Commits changes to the shop and pushes them.
    ///
    /// # Errors
    /// When git fails or a file cannot be written.
    pub fn commit(&self, changes: &[Change]) -> Result<()> {
        for change in changes {
            let app = format!(
                "{{\n  \"catalogue\": \"{}\",\n  \"checkout\": \"{}\"\n}}\n",
                change.catalogue, change.checkout
            );
            write(&self.project.join("app.json"), &app)?;
            let who = Some((change.author, change.date));
            git(&self.project, &["commit", "--quiet", "--all", "--message", change.message], who)?;
        }
        git(&self.project, &["push", "--quiet", "origin", "main"], None)
    }

    /// The names of the tags on the remote.
    ///
    /// # Errors
    /// When git fails.
    pub fn remote_tags(&self) -> Result<Vec<String>> {
        let told = output(&self.remote, &["tag", "--list"], None)?;
        Ok(told.lines().map(str::to_owned).collect())
    }
}

/// Refuses a computer without the programs that the sample needs.
///
/// # Errors
/// Which one is missing.
pub fn require_programs() -> Result<()> {
    for name in ["git", "bash"] {
        let mut command = Command::new(name);
        command.arg("--version").stdin(Stdio::null());
        command.output().map_err(|error| unrunnable(name, &error))?;
    }
    Ok(())
}

/// A program that cannot be run.
pub(super) fn unrunnable(name: &str, error: &std::io::Error) -> CommandError {
    match error.kind() {
        std::io::ErrorKind::NotFound => {
            CommandError::failed(format!("the demo needs {name}, and there is none"))
                .hint(format!("install {name} and try again"))
        }
        _ => CommandError::failed(format!("{name} cannot be run: {error}")),
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).map_err(|error| unwritable(path, &error))
}

/// A file or folder of the demo that cannot be written.
pub(super) fn unwritable(path: &Path, error: &std::io::Error) -> CommandError {
    CommandError::failed(format!("{} cannot be written: {error}", path.display()))
}

fn git(folder: &Path, args: &[&str], who: Option<(Author, &str)>) -> Result<()> {
    output(folder, args, who).map(drop)
}

fn output(folder: &Path, args: &[&str], who: Option<(Author, &str)>) -> Result<String> {
    let mut command = Command::new("git");
    command.args(args).current_dir(folder).stdin(Stdio::null());
    seclude(&mut command);
    if let Some((author, date)) = who {
        for role in ["AUTHOR", "COMMITTER"] {
            command
                .env(format!("GIT_{role}_NAME"), author.name)
                .env(format!("GIT_{role}_EMAIL"), author.email)
                .env(format!("GIT_{role}_DATE"), date);
        }
    }
    let finished = command.output().map_err(|error| unrunnable("git", &error))?;
    if !finished.status.success() {
        let told = sanitize(String::from_utf8_lossy(&finished.stderr).trim());
        return Err(CommandError::failed(format!("git {} failed: {told}", args.first().unwrap_or(&""))));
    }
    Ok(String::from_utf8_lossy(&finished.stdout).into_owned())
}

/// Keeps what this computer and shell say about git and Windlass out of a command of the demo: a `GIT_DIR` of the
/// shell would even lead it to another repository.
pub(super) fn seclude(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("GIT_") || text.starts_with("WINDLASS_") || text == "SOURCE_DATE_EPOCH" {
            command.env_remove(&name);
        }
    }
    command
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_history_is_the_same_on_every_computer() {
        let heads: Vec<String> = (0..2)
            .map(|_| {
                let folder = tempfile::tempdir().unwrap();
                let sample = Sample::create(folder.path()).unwrap();
                sample.commit_history("http://127.0.0.1:1").unwrap();
                sample.commit(&GOOD).unwrap();
                assert_eq!(sample.remote_tags().unwrap(), ["v0.1.0"]);
                let head = output(&sample.remote, &["rev-parse", "main"], None).unwrap();
                assert_eq!(output(&sample.project, &["rev-parse", "HEAD"], None).unwrap(), head);
                assert_eq!(output(&sample.project, &["status", "--porcelain"], None).unwrap(), "");
                head
            })
            .collect();
        assert_eq!(heads[0], heads[1]);
    }

    #[test]
    fn the_runbooks_are_without_a_finding() {
        for (path, text, _) in FILES.iter().filter(|(path, ..)| path.starts_with("runbooks/")) {
            let read = windlass_core::runbook::parse(&text.replace(SHOP, "http://127.0.0.1:1"));
            assert_eq!(read.diagnostics, [], "{path}");
        }
    }

    #[test]
    fn what_differs_with_colours_is_found_in_the_files() {
        for (file, from, _) in BESIDE {
            let (_, text, _) = FILES.iter().find(|(path, ..)| *path == file).unwrap();
            assert_eq!(text.matches(from).count(), 1, "{file}: {from}");
        }
        let folder = tempfile::tempdir().unwrap();
        let sample = Sample::with_colours(folder.path()).unwrap();
        for (colour, port) in [("blue", 8081), ("green", 8082)] {
            write(&sample.service.join(colour).join(ADDRESS), &format!("127.0.0.1:{port}\n")).unwrap();
        }
        sample.commit_history("http://127.0.0.1:1").unwrap();
        sample.commit(&GOOD).unwrap();
        assert_eq!(plan(&sample).preflight, []);
    }

    #[test]
    fn the_configuration_is_without_a_finding() {
        let text = include_str!("sample/windlass.toml").replace(SHOP, "http://127.0.0.1:1");
        assert_eq!(windlass_core::config::Config::parse(&text).1, []);
    }

    #[test]
    fn both_releases_are_planned_without_a_finding() {
        let folder = tempfile::tempdir().unwrap();
        let sample = Sample::create(folder.path()).unwrap();
        sample.commit_history("http://127.0.0.1:1").unwrap();
        sample.commit(&GOOD).unwrap();
        let planned = plan(&sample);
        let release = planned.release.unwrap();
        assert_eq!((release.version.as_str(), release.previous.as_deref()), ("0.2.0", Some("0.1.0")));
        assert_eq!(planned.preflight, []);
        assert_eq!(planned.routines.keys().collect::<Vec<_>>(), ["rollback"]);
        output(&sample.project, &["tag", "v0.2.0"], None).unwrap();
        sample.commit(&BAD).unwrap();
        assert_eq!(plan(&sample).release.unwrap().version, "0.3.0");
    }

    fn plan(sample: &Sample) -> windlass_core::plan::Plan {
        let world = crate::World { directory: sample.project.clone(), ..crate::World::real() };
        let session = crate::Session::new(crate::cli::Global::default(), world);
        let project = crate::project::Project::find(&session).unwrap();
        let request =
            crate::planning::PlanRequest { directory: sample.project.clone(), ..Default::default() };
        crate::planning::make_plan(&project, &request).unwrap_or_else(|error| panic!("{error:#?}"))
    }
}
