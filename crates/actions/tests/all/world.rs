//! What every test here needs: a world around a repository, and short ways to call actions.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio_util::sync::CancellationToken;
use windlass_core::plan::{CommitFact, Effect, Facts, HolderFact, ReleaseFact, StepPath};
use windlass_core::run::RunId;
use windlass_engine::action::{ActionError, ErasedAction, Probe, Result, Undone};
use windlass_engine::context::{Context, LogSink, Stream, SystemClock, World};
use windlass_engine::mask::Masker;
use windlass_testkit::repo::RepoBuilder;

/// The secret that every world here knows.
pub const SECRET: &str = "correct-horse-battery";

#[derive(Default)]
pub struct Log(Mutex<Vec<String>>);

impl Log {
    pub fn text(&self) -> String {
        self.0.lock().unwrap().join("\n")
    }
}

impl LogSink for Log {
    fn line(&self, _: &StepPath, _: Stream, line: &str) {
        self.0.lock().unwrap().push(line.to_owned());
    }
}

/// A world around a repository.
pub struct Setting {
    pub repo: RepoBuilder,
    pub world: World,
    pub log: Arc<Log>,
    /// What else can be changed here, for snapshots.
    pub also: Option<Box<dyn Fn() -> String + Send + Sync>>,
}

impl Setting {
    /// Without a release.
    pub fn new(repo: RepoBuilder) -> Self {
        let log = Arc::new(Log::default());
        let secrets = BTreeMap::from([("TOKEN".to_owned(), SECRET.to_owned())]);
        let state = repo.outside().join("state");
        std::fs::create_dir(&state).unwrap();
        let world = World {
            workspace: repo.path().to_owned(),
            state,
            environment: Arc::new(repo.environment()),
            release: None,
            masker: Arc::new(Masker::new(&secrets).unwrap()),
            secrets: Arc::new(secrets),
            log: Arc::clone(&log) as Arc<dyn LogSink>,
            clock: Arc::new(SystemClock),
        };
        Self { repo, world, log, also: None }
    }

    /// With the release 0.2.0 after 0.1.0.
    pub fn releasing(repo: RepoBuilder) -> Self {
        let mut setting = Self::new(repo);
        setting.world.release = Some(Arc::new(release()));
        setting
    }

    /// With one more environment variable for every process.
    pub fn with_env(mut self, name: &str, value: impl AsRef<Path>) -> Self {
        let mut environment = (*self.world.environment).clone();
        environment.insert(name.into(), value.as_ref().display().to_string());
        self.world.environment = Arc::new(environment);
        self
    }

    /// With one more secret.
    pub fn with_secret(mut self, name: &str, value: &str) -> Self {
        let mut secrets = (*self.world.secrets).clone();
        secrets.insert(name.into(), value.into());
        self.world.masker = Arc::new(Masker::new(&secrets).unwrap());
        self.world.secrets = Arc::new(secrets);
        self
    }

    pub fn context(&self) -> Context {
        let run = RunId(format!("test-{}", std::process::id()));
        Context::new(self.world.clone(), run, StepPath::new("step/1"), 1, 1, CancellationToken::new())
    }

    /// What planning would have found.
    pub fn facts(&self) -> Facts {
        let release = self.world.release.as_deref().cloned();
        let holder =
            HolderFact { path: "Cargo.toml".into(), version: "0.1.0".into(), ..HolderFact::default() };
        Facts {
            branch: Some("main".into()),
            remote: Some("origin".into()),
            release,
            holders: vec![holder],
            changelog: Some("CHANGELOG.md".into()),
            annotate: true,
            sign: "none".into(),
            main_branch: "main".into(),
            environments: [("production".to_owned(), Default::default())].into(),
            ..Facts::default()
        }
    }

    pub fn effects(&self, name: &str, params: &Value) -> Result<Vec<Effect>> {
        action(name).effects(params, &self.facts())
    }

    pub async fn probe(&self, name: &str, params: &Value) -> Result<Probe<Value>> {
        action(name).probe(params, &self.context()).await
    }

    pub async fn run(&self, name: &str, params: &Value) -> Result<Value> {
        action(name).run(params, &self.context()).await
    }

    pub async fn undo(&self, name: &str, params: &Value, output: &Value) -> Result<Undone> {
        action(name).undo(params, output, &self.context()).await
    }

    /// The message of the error that running gives.
    pub async fn refusal(&self, name: &str, params: &Value) -> String {
        match self.run(name, params).await {
            Err(error) => error.to_string(),
            Ok(output) => panic!("{name} {params} gave {output}"),
        }
    }

    /// As [`Self::refusal`], of an error that no retry can help.
    pub async fn final_refusal(&self, name: &str, params: &Value) -> String {
        match self.run(name, params).await {
            Err(ActionError::Final(message)) => message,
            other => panic!("{name} {params} gave {other:?}"),
        }
    }

    /// All that actions can change here: refs, the index, the files; and the remote's refs.
    pub fn snapshot(&self) -> String {
        let mut text = self.repo.git(&["for-each-ref", "refs/heads", "refs/tags"]);
        text += &self.repo.git(&["status", "--porcelain=v1", "--branch", "--untracked-files=all"]);
        if self.repo.remote_path().exists() {
            text += &self.repo.remote_git(&["for-each-ref"]);
        }
        add_files(self.repo.path(), &mut text);
        text.extend(self.also.as_ref().map(|also| also()));
        text
    }
}

pub fn action(name: &str) -> Arc<dyn ErasedAction> {
    Arc::clone(windlass_actions::all().get(name).unwrap_or_else(|| panic!("no action {name}")))
}

pub fn release() -> ReleaseFact {
    let commit = |subject: &str| CommitFact {
        id: "0123456789012345678901234567890123456789".into(),
        subject: subject.into(),
        author: "ada@example.com".into(),
        message: subject.into(),
        author_name: "Ada Author".into(),
    };
    ReleaseFact {
        package: None,
        version: "0.2.0".into(),
        tag: "v0.2.0".into(),
        target: None,
        previous: Some("0.1.0".into()),
        previous_tag: Some("v0.1.0".into()),
        channel: "stable".into(),
        bump: Some("minor".into()),
        reasons: vec!["one feature".into()],
        commits: vec![commit("feat: fly"), commit("fix: land")],
        date: "2026-03-01".into(),
        notes: "# Notes\n\n- fly\n".into(),
    }
}

fn add_files(folder: &Path, text: &mut String) {
    let mut entries: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.ends_with(".git") {
            continue;
        }
        if path.is_dir() {
            add_files(&path, text);
        } else {
            *text += &format!(
                "\n== {}\n{}",
                path.display(),
                String::from_utf8_lossy(&std::fs::read(&path).unwrap())
            );
        }
    }
}
