//! The project a command works on: its repository, configuration and runbooks. Reading it starts no process.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use windlass_actions::adapters::git::Git;
use windlass_core::config::Config;
use windlass_core::diagnostic::{Diagnostic, Severity};
use windlass_core::runbook::{Parsed, Runbook};
use windlass_core::text::sanitize_line;

use crate::error::{CommandError, Located, Result};
use crate::files;
use crate::session::Session;

/// The folder of runbooks.
pub const RUNBOOKS: &str = "runbooks";

/// The configuration's name.
pub const CONFIG: &str = "windlass.toml";

/// More runbooks than this are not read.
const MOST_RUNBOOKS: usize = 500;

/// Variables that would lead git to another repository than the one found here; a git hook sets them.
const LEADING_AWAY: [&str; 6] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
];

/// The project a command works on.
pub struct Project {
    /// The root of the checkout.
    pub root: PathBuf,
    /// Windlass's own folder in the git directory, where runs are journaled. It may not exist yet.
    pub state: PathBuf,
    /// The configuration; the defaults when there is no file.
    pub config: Config,
    /// The configuration's path and text, when there is a file.
    pub config_file: Option<(String, Arc<str>)>,
    /// What is wrong with the configuration.
    pub config_findings: Vec<Diagnostic>,
    /// The environment variables of this process that are text.
    pub environment: BTreeMap<String, String>,
}

/// A runbook as it was read.
#[derive(Debug, Clone)]
pub struct RunbookFile {
    /// The name it is called by.
    pub name: String,
    /// Its path in the repository, or as it was given when it is outside.
    pub path: String,
    /// Its text.
    pub source: Arc<str>,
    /// What it says.
    pub runbook: Arc<Runbook>,
    /// What is wrong with it.
    pub diagnostics: Vec<Diagnostic>,
}

impl Project {
    /// The project that the session's folder is in, whatever is wrong with its configuration.
    ///
    /// # Errors
    /// Outside a repository, and when the configuration cannot be read at all.
    pub fn open(session: &Session) -> Result<Self> {
        let (root, git_directory) = find_root(&session.directory)?;
        let (path, shown) = match &session.global.config {
            Some(path) => {
                // Pinned by this name, so it must mean the same file from wherever a run is started.
                let start =
                    std::fs::canonicalize(&session.directory).unwrap_or_else(|_| session.directory.clone());
                let full = normal(&start.join(path));
                let shown = full.strip_prefix(&root).unwrap_or(&full).to_string_lossy().into_owned();
                (full, shown)
            }
            None => (root.join(CONFIG), CONFIG.to_owned()),
        };
        let text = match session.global.config {
            Some(_) => Some(files::read(&path, &shown, files::LARGEST_TEXT)?),
            None => files::read_if_there(&path, &shown, files::LARGEST_TEXT)?,
        };
        let (config, config_findings) = text.as_deref().map_or_else(Default::default, Config::parse);
        Ok(Self {
            state: git_directory.join("windlass"),
            root,
            config,
            config_file: text.map(|text| (shown, text.into())),
            config_findings,
            environment: session
                .environment
                .iter()
                .filter(|(name, _)| !LEADING_AWAY.contains(&name.as_str()))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
        })
    }

    /// As [`Self::open`], refusing a configuration with errors.
    ///
    /// # Errors
    /// Also every error of the configuration.
    pub fn find(session: &Session) -> Result<Self> {
        let project = Self::open(session)?;
        let errors: Vec<Located> = project
            .config_diagnostics()
            .into_iter()
            .filter(|located| located.diagnostic.severity == Severity::Error)
            .collect();
        if errors.is_empty() {
            return Ok(project);
        }
        Err(CommandError::invalid(counted(
            errors.len(),
            "error in the configuration",
            "errors in the configuration",
        ))
        .with_diagnostics(errors, project.config_sources()))
    }

    /// What is wrong with the configuration, and where.
    pub fn config_diagnostics(&self) -> Vec<Located> {
        let path = self.config_file.as_ref().map_or(CONFIG, |(path, _)| path.as_str());
        let located = |diagnostic: &Diagnostic| Located { path: path.into(), diagnostic: diagnostic.clone() };
        self.config_findings.iter().map(located).collect()
    }

    /// The configuration's text by its path.
    pub fn config_sources(&self) -> BTreeMap<String, Arc<str>> {
        self.config_file.clone().into_iter().collect()
    }

    /// Whether the configuration itself says something for `key` of `[git]`, rather than leaving the default.
    pub fn states(&self, key: &str) -> bool {
        let document = self.config_file.as_ref().and_then(|(_, text)| text.parse::<toml::Table>().ok());
        document.is_some_and(|document| document.get("git").and_then(|git| git.get(key)).is_some())
    }

    /// The repository, for reading.
    pub fn git(&self) -> Git {
        Git::at(&self.root, self.environment.clone())
    }

    /// Runs a future of the planning kind to its end.
    ///
    /// # Errors
    /// When the machine gives no event loop.
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> Result<T> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| CommandError::failed(format!("no event loop can be made: {error}")))?;
        Ok(runtime.block_on(future))
    }

    /// Every runbook of the `runbooks` folder, by path.
    ///
    /// # Errors
    /// When the folder or a file in it cannot be read.
    pub fn runbooks(&self) -> Result<Vec<RunbookFile>> {
        let folder = self.root.join(RUNBOOKS);
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(CommandError::invalid(format!("{RUNBOOKS} cannot be read: {error}"))),
        };
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| name.ends_with(".md") && !name.starts_with('.') && name != "README.md")
            .collect();
        names.sort();
        if names.len() > MOST_RUNBOOKS {
            let message = format!("{RUNBOOKS} holds {} files; {MOST_RUNBOOKS} are the most", names.len());
            return Err(CommandError::invalid(message));
        }
        names
            .iter()
            .map(|name| self.read_runbook(&folder.join(name), &format!("{RUNBOOKS}/{name}")))
            .collect()
    }

    /// The runbook at a path given on the command line.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn runbook_at(&self, directory: &Path, path: &Path) -> Result<RunbookFile> {
        let full = normal(&directory.join(path));
        let shown = full.strip_prefix(&self.root).unwrap_or(path).to_string_lossy().into_owned();
        self.read_runbook(&full, &shown)
    }

    fn read_runbook(&self, path: &Path, shown: &str) -> Result<RunbookFile> {
        let source = files::read(path, shown, files::LARGEST_TEXT)?;
        let Parsed { mut runbook, diagnostics } = windlass_core::runbook::parse(&source);
        if runbook.name.is_empty() {
            let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
            runbook.name = stem.unwrap_or_else(|| "runbook".into());
        }
        Ok(RunbookFile {
            name: runbook.name.clone(),
            path: shown.to_owned(),
            source: source.into(),
            runbook: Arc::new(runbook),
            diagnostics,
        })
    }
}

impl std::fmt::Debug for Project {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Project").field("root", &self.root).finish_non_exhaustive()
    }
}

/// `1 error`, `2 errors`.
pub fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// The checkout's root above `directory`, and the git directory that all its checkouts share.
fn find_root(directory: &Path) -> Result<(PathBuf, PathBuf)> {
    let start = std::fs::canonicalize(directory).map_err(|error| {
        let shown = sanitize_line(&directory.to_string_lossy());
        CommandError::invalid(format!("the folder {shown} cannot be used: {error}"))
    })?;
    for folder in start.ancestors() {
        let git = folder.join(".git");
        let Ok(metadata) = std::fs::metadata(&git) else {
            if folder.join("HEAD").is_file() && ["objects", "refs"].iter().all(|it| folder.join(it).is_dir())
            {
                return Err(CommandError::invalid(
                    "this is a bare repository, without files to release from",
                )
                .hint("clone it with `git clone`, and go there"));
            }
            continue;
        };
        if metadata.is_dir() {
            return Ok((folder.to_owned(), git));
        }
        // A linked checkout or a submodule: `.git` is a file that names its git directory, gitrepository-layout(5).
        let text = files::read(&git, ".git", 4096)?;
        let Some(named) = text.strip_prefix("gitdir:") else { continue };
        let own = normal(&folder.join(named.trim()));
        let common = match files::read_if_there(&own.join("commondir"), "commondir", 4096)? {
            Some(common) => normal(&own.join(common.trim())),
            None => own,
        };
        return Ok((folder.to_owned(), common));
    }
    Err(CommandError::invalid("this folder is not in a git repository")
        .hint("go to a repository, name one with -C, or make one with `git init`"))
}

/// `path` without `.` and `..`, without asking the file system.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            part => normal.push(part),
        }
    }
    normal
}
