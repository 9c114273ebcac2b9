//! Runs the command in this process, with a repository of its own around it.

use std::io::Write;
use std::sync::{Arc, Mutex};

use windlass_cli::World;
use windlass_testkit::repo::RepoBuilder;

/// What a command did.
pub struct Ran {
    pub code: u8,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// Both streams and the exit code, what differs from one machine to the next replaced.
    pub fn shown(&self, repo: &RepoBuilder) -> String {
        let text = format!("exit {}\n--- stdout\n{}--- stderr\n{}", self.code, self.out, self.err);
        text.replace(&repo.outside().display().to_string(), "TEMP")
    }

    /// Standard output as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}{}", self.out, self.err))
    }
}

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// It ended with this code, and said these texts.
pub fn expect(ran: &Ran, code: u8, texts: &[&str]) {
    let all = format!("{}{}", ran.out, ran.err);
    assert_eq!(ran.code, code, "{all}");
    for text in texts {
        assert!(all.contains(text), "no `{text}` in:\n{all}");
    }
}

/// Runs `windlass ARGS` in the repository.
pub fn windlass(repo: &RepoBuilder, args: &[&str]) -> Ran {
    windlass_with(repo, args, &[])
}

/// As [`windlass`], with more environment.
pub fn windlass_with(repo: &RepoBuilder, args: &[&str], more: &[(&str, &str)]) -> Ran {
    started(repo, repo.path(), args, more, None)
}

/// As [`windlass`] on a terminal, where somebody types `answer`.
pub fn windlass_answering(repo: &RepoBuilder, args: &[&str], answer: &str) -> Ran {
    started(repo, repo.path(), args, &[("NO_COLOR", "1")], Some(answer))
}

/// As [`windlass`], in another folder.
pub fn windlass_in(repo: &RepoBuilder, directory: &std::path::Path, args: &[&str]) -> Ran {
    started(repo, directory, args, &[], None)
}

fn started(
    repo: &RepoBuilder,
    directory: &std::path::Path,
    args: &[&str],
    more: &[(&str, &str)],
    answer: Option<&str>,
) -> Ran {
    let (out, err) = (Kept::default(), Kept::default());
    let mut environment = repo.environment();
    environment.insert("PATH".into(), std::env::var("PATH").unwrap());
    environment.insert("SOURCE_DATE_EPOCH".into(), "1767225600".into());
    environment.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let world = World {
        directory: directory.to_owned(),
        environment,
        stdout: Box::new(out.clone()),
        stderr: Box::new(err.clone()),
        stdin: Box::new(std::io::Cursor::new(answer.unwrap_or_default().to_owned())),
        stdout_is_terminal: answer.is_some(),
        stderr_is_terminal: answer.is_some(),
        stdin_is_terminal: answer.is_some(),
        hooks: Default::default(),
    };
    let args = std::iter::once("windlass").chain(args.iter().copied()).map(std::ffi::OsString::from);
    let code = windlass_cli::run_to_exit(args, world).code();
    let text = |kept: &Kept| String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
    Ran { code, out: text(&out), err: text(&err) }
}

/// A Cargo package with a release, and commits since.
pub fn package() -> RepoBuilder {
    let repo = RepoBuilder::new();
    repo.file("Cargo.toml", "[package]\nname = \"demo\"\nversion = \"1.2.0\"\nedition = \"2024\"\n")
        .file("Cargo.lock", "version = 4\n\n[[package]]\nname = \"demo\"\nversion = \"1.2.0\"\n")
        .file("src/lib.rs", "")
        .file(
            "CHANGELOG.md",
            "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- Sails\n\n## [1.2.0] - 2025-12-01\n\n### Fixed\n\n- A leak\n",
        );
    repo.commit("feat: begin");
    repo.tag("v1.2.0");
    repo.file("src/lib.rs", "//! Sails.\n").commit("feat: hoist sails");
    repo
}

/// Writes `runbooks/NAME.md` and commits it.
pub fn runbook(repo: &RepoBuilder, name: &str, steps: &str) {
    repo.file(
        &format!("runbooks/{name}.md"),
        format!("---\nname: {name}\n---\n# {name}\n\n## Steps\n\n{steps}\n"),
    );
    repo.commit("docs: a runbook");
}
