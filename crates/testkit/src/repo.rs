//! Temporary git repositories with fixed people and dates, apart from the user's configuration.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// The date of the first commit, in seconds since 1970; each further one is a minute later.
const START: i64 = 1_767_225_600;

/// Variables of git that would lead it elsewhere.
const FOREIGN: &[&str] =
    &["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR"];

/// A temporary repository. Everything it does panics when it fails: a test must not go on from there.
pub struct RepoBuilder {
    folder: TempDir,
    work: PathBuf,
    minutes: Cell<i64>,
}

impl RepoBuilder {
    /// An empty repository on the branch `main`.
    pub fn new() -> Self {
        let builder = Self::in_folder("work");
        std::fs::create_dir(&builder.work).unwrap();
        builder.git(&["init", "--quiet", "--initial-branch=main", "."]);
        builder
    }

    /// A repository with one commit: `README.md`.
    pub fn with_commit() -> Self {
        let builder = Self::new();
        builder.file("README.md", "# Sample\n").commit("feat: begin");
        builder
    }

    fn in_folder(name: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("windlass-test-").tempdir().unwrap();
        std::fs::create_dir(folder.path().join("home")).unwrap();
        let work = folder.path().join(name);
        Self { folder, work, minutes: Cell::new(0) }
    }

    /// The checkout.
    pub fn path(&self) -> &Path {
        &self.work
    }

    /// A folder for anything else, outside the checkout and gone with it.
    pub fn outside(&self) -> &Path {
        self.folder.path()
    }

    /// Where [`Self::remote`] puts the bare repository.
    pub fn remote_path(&self) -> PathBuf {
        self.folder.path().join("remote.git")
    }

    /// The environment that every program of a test needs: fixed people and dates, nobody's configuration.
    pub fn environment(&self) -> BTreeMap<String, String> {
        let home = self.folder.path().join("home").display().to_string();
        let date = format!("{} +0000", START + self.minutes.get() * 60);
        [
            ("HOME", home.as_str()),
            ("XDG_CONFIG_HOME", &format!("{home}/.config")),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_AUTHOR_NAME", "Ada Author"),
            ("GIT_AUTHOR_EMAIL", "ada@example.com"),
            ("GIT_AUTHOR_DATE", &date),
            ("GIT_COMMITTER_NAME", "Carl Committer"),
            ("GIT_COMMITTER_EMAIL", "carl@example.com"),
            ("GIT_COMMITTER_DATE", &date),
            ("LC_ALL", "C.UTF-8"),
            ("TZ", "UTC"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    /// `program` in the checkout, with [`Self::environment`].
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.work).envs(self.environment());
        for name in FOREIGN {
            command.env_remove(name);
        }
        command
    }

    /// Runs git, whatever comes of it.
    pub fn try_git(&self, args: &[&str]) -> Output {
        self.command("git").args(args).output().expect("the tests need git")
    }

    /// Runs git; its standard output without the last newline.
    pub fn git(&self, args: &[&str]) -> String {
        let output = self.try_git(args);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {args:?}: {error}");
        String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned()
    }

    /// Writes a file of the checkout, with its folders.
    pub fn file(&self, path: &str, text: impl AsRef<[u8]>) -> &Self {
        let path = self.work.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    /// The text of a file of the checkout.
    pub fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.work.join(path)).unwrap()
    }

    /// Commits everything, new files included, even when nothing changed; the commit's id.
    pub fn commit(&self, message: &str) -> String {
        self.minutes.set(self.minutes.get() + 1);
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--cleanup=verbatim", "--message", message]);
        self.head()
    }

    /// A commit per message.
    pub fn commits(&self, messages: &[&str]) -> &Self {
        for message in messages {
            self.commit(message);
        }
        self
    }

    /// An annotated tag of HEAD.
    pub fn tag(&self, name: &str) -> &Self {
        self.git(&["tag", "--annotate", "--message", &format!("Release {name}"), "--end-of-options", name]);
        self
    }

    /// A tag of HEAD that is only a name.
    pub fn light_tag(&self, name: &str) -> &Self {
        self.git(&["tag", "--end-of-options", name]);
        self
    }

    /// A bare repository next to the checkout, as `origin`, with everything pushed to it.
    pub fn remote(&self) -> &Self {
        let remote = self.remote_path().display().to_string();
        self.git(&["init", "--quiet", "--bare", "--initial-branch=main", &remote]);
        self.git(&["remote", "add", "origin", &remote]);
        if self.try_git(&["rev-parse", "--verify", "--quiet", "HEAD"]).status.success() {
            self.git(&["push", "--quiet", "--set-upstream", "origin", "main"]);
            self.git(&["push", "--quiet", "--tags", "origin"]);
        }
        self
    }

    /// Runs git in the bare repository; its standard output without the last newline.
    pub fn remote_git(&self, args: &[&str]) -> String {
        let remote = self.remote_path().display().to_string();
        self.git(&[&["--git-dir", &remote], args].concat())
    }

    /// Makes the bare repository run `script` (`#!/bin/sh` is put before it) as its hook of this name.
    pub fn remote_hook(&self, name: &str, script: &str) -> &Self {
        use std::os::unix::fs::PermissionsExt as _;
        let hook = self.remote_path().join("hooks").join(name);
        std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
        std::fs::write(&hook, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    /// Another person's clone of the bare repository. It must not outlive this one.
    pub fn clone_of_remote(&self) -> Self {
        self.clone_with(&[])
    }

    /// A clone of the bare repository that has only its newest commit.
    pub fn shallow_clone(&self) -> Self {
        self.clone_with(&["--depth=1"])
    }

    fn clone_with(&self, args: &[&str]) -> Self {
        let clone = Self::in_folder("clone");
        let (from, to) =
            (format!("file://{}", self.remote_path().display()), clone.work.display().to_string());
        self.git(&[&["clone", "--quiet"], args, &[&from, &to]].concat());
        clone.minutes.set(self.minutes.get());
        clone
    }

    /// The id of the commit checked out.
    pub fn head(&self) -> String {
        self.git(&["rev-parse", "HEAD"])
    }
}

impl Default for RepoBuilder {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_are_the_same_each_time() {
        let build = || {
            let repo = RepoBuilder::with_commit();
            repo.tag("v0.1.0").remote();
            repo
        };
        let (one, two) = (build(), build());
        assert_eq!(one.head(), two.head());
        assert_eq!(one.git(&["rev-parse", "v0.1.0"]), two.remote_git(&["rev-parse", "v0.1.0"]));
        assert_eq!(one.clone_of_remote().head(), two.head());
        assert_eq!(
            one.git(&["config", "--list", "--show-scope"]).lines().find(|line| !line.starts_with("local")),
            None
        );
    }
}
