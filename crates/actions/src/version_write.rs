//! `version.write`: writes the version into every file that states it, all or none.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use windlass_core::plan::{Effect, Facts, HolderFact, ReleaseFact, Reversibility};
use windlass_core::text::sanitize_line;
use windlass_core::version::holder::{self, HolderKind};
use windlass_core::version::{Version, parse_version};
use windlass_engine::action::{Action, ActionError, Probe, Result, Undone};
use windlass_engine::context::Context;

use crate::adapters::files;

/// Writes the version into the files that state it.
#[derive(Debug, Clone, Copy)]
pub struct WriteVersion;

/// Parameters of `version.write`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The version; by default the release's.
    #[serde(default)]
    pub version: Option<String>,
    /// The files that state it; by default those that planning found.
    #[serde(default)]
    pub holders: Vec<Holder>,
}

/// A file that states the version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Holder {
    /// Its path, from the repository's root.
    pub path: String,
    /// A regular expression that finds the version, for a file whose kind is not known by its name.
    #[serde(default)]
    pub pattern: Option<String>,
    /// Names of the packages whose version it is, for a lock file.
    #[serde(default)]
    pub packages: Vec<String>,
    /// What it states before. By default the release's previous version; anything else is a conflict.
    #[serde(default)]
    pub version: Option<String>,
}

impl From<&HolderFact> for Holder {
    fn from(fact: &HolderFact) -> Self {
        Self {
            path: fact.path.clone(),
            pattern: fact.pattern.clone(),
            packages: fact.packages.clone(),
            version: Some(fact.version.clone()),
        }
    }
}

/// What `version.write` gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// The version that every file states now.
    pub version: String,
    /// The files, and what each stated before.
    pub files: Vec<Written>,
}

/// A file that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Written {
    /// Its path.
    pub path: String,
    /// The version it stated before.
    pub before: String,
}

impl Action for WriteVersion {
    const NAME: &'static str = "version.write";
    const SUMMARY: &'static str =
        "Writes the version into every file that states it, all or none, and reads them back.";
    type Params = Params;
    type Output = Output;

    fn effects(&self, params: &Params, facts: &Facts) -> Result<Vec<Effect>> {
        target(params, facts.release.as_ref())?;
        let found: Vec<Holder> = match params.holders.as_slice() {
            [] => facts.holders.iter().map(Holder::from).collect(),
            given => given.to_vec(),
        };
        found
            .iter()
            .map(|holder| {
                files::check(&holder.path)?;
                kind(&holder.path, holder.pattern.as_deref(), &holder.packages)?;
                Ok(effect(&holder.path))
            })
            .collect()
    }

    fn label(&self, params: &Params, facts: &Facts) -> String {
        let version = params.version.as_ref().or(facts.release.as_ref().map(|release| &release.version));
        let paths: Vec<&str> = match params.holders.as_slice() {
            [] => facts.holders.iter().map(|holder| holder.path.as_str()).collect(),
            given => given.iter().map(|holder| holder.path.as_str()).collect(),
        };
        format!(
            "write version {} to {}",
            version.map_or("?", String::as_str),
            sanitize_line(&paths.join(", "))
        )
    }

    async fn probe(&self, params: &Params, context: &Context) -> Result<Probe<Output>> {
        let world = look(params, context)?;
        if let Some(conflict) = world.conflict() {
            return Ok(Probe::Conflict(conflict));
        }
        Ok(match world.files.iter().all(|file| file.is_done) {
            true => Probe::Done(world.output()),
            false => Probe::Absent,
        })
    }

    async fn run(&self, params: &Params, context: &Context) -> Result<Output> {
        let world = look(params, context)?;
        if let Some(conflict) = world.conflict() {
            return Err(ActionError::Final(conflict));
        }
        let todo: Vec<&Looked> = world.files.iter().filter(|file| !file.is_done).collect();
        let edits: Vec<(String, String)> = todo
            .iter()
            .map(|file| Ok((file.path.clone(), edit(&file.path, &file.kind, &file.text, &world.version)?)))
            .collect::<Result<_>>()?;
        files::replace(&context.world.workspace, &edits)?;
        for file in &todo {
            // Read again from the disk: another program may have written meanwhile.
            let text = files::require(&context.world.workspace, &file.path)?;
            let stated = holder::stated(&file.kind, &text).map_err(|error| told(&file.path, &error))?;
            if stated != world.version {
                return Err(ActionError::Failed(format!(
                    "{} states {stated} right after {} was written to it: is another program writing it?",
                    file.path, world.version
                )));
            }
            context.changed(effect(&file.path));
        }
        Ok(world.output())
    }

    async fn undo(&self, params: &Params, output: &Output, context: &Context) -> Result<Undone> {
        let workspace = &context.world.workspace;
        let now = version(&output.version)?;
        let mut edits = Vec::new();
        for file in output.files.iter().filter(|file| file.before != output.version) {
            let given = params.holders.iter().find(|holder| holder.path == file.path);
            let kind = kind(
                &file.path,
                given.and_then(|holder| holder.pattern.as_deref()),
                given.map(|holder| holder.packages.as_slice()).unwrap_or_default(),
            )?;
            let Some(text) = files::read(workspace, &file.path)? else { continue };
            let before = version(&file.before)?;
            let stated = holder::stated(&kind, &text).map_err(|error| told(&file.path, &error))?;
            if stated == before {
                continue;
            }
            if stated != now {
                return Ok(Undone::NeedsHuman(format!(
                    "{} states {stated}, which this run did not write: set it to {before} yourself",
                    file.path
                )));
            }
            edits.push((file.path.clone(), edit(&file.path, &kind, &text, &before)?));
        }
        if edits.is_empty() {
            return Ok(Undone::NothingToDo);
        }
        files::replace(workspace, &edits)?;
        let paths: Vec<&str> = edits.iter().map(|(path, _)| path.as_str()).collect();
        Ok(Undone::Reverted(format!("wrote the version before into {}", paths.join(", "))))
    }
}

/// Where in a file the version stands: by `pattern` when there is one, else by the file's name.
///
/// # Errors
/// [`ActionError::Final`] when neither tells.
pub fn kind(path: &str, pattern: Option<&str>, packages: &[String]) -> Result<HolderKind> {
    if let Some(pattern) = pattern {
        return Ok(HolderKind::Regex { pattern: pattern.to_owned(), matches: 1 });
    }
    match holder::detect(path.rsplit('/').next().unwrap_or(path)) {
        Some(HolderKind::CargoLock { .. }) => Ok(HolderKind::CargoLock { packages: packages.to_vec() }),
        Some(kind) => Ok(kind),
        None => Err(ActionError::Final(format!(
            "where {} states the version is not known: give a `pattern` that finds it",
            sanitize_line(path)
        ))),
    }
}

struct Looked {
    path: String,
    kind: HolderKind,
    text: String,
    before: Version,
    is_done: bool,
    conflict: Option<String>,
}

struct World {
    version: Version,
    files: Vec<Looked>,
}

impl World {
    fn conflict(&self) -> Option<String> {
        self.files.iter().find_map(|file| file.conflict.clone())
    }

    fn output(&self) -> Output {
        let written = |file: &Looked| Written { path: file.path.clone(), before: file.before.to_string() };
        Output { version: self.version.to_string(), files: self.files.iter().map(written).collect() }
    }
}

fn look(params: &Params, context: &Context) -> Result<World> {
    let release = context.world.release.as_deref();
    let target = target(params, release)?;
    if params.holders.is_empty() {
        return Err(ActionError::Final(
            "version.write: no file is known to state the version: name them in `holders`, or under [version] in windlass.toml".into(),
        ));
    }
    let previous = release.and_then(|release| release.previous.clone());
    let files = params
        .holders
        .iter()
        .map(|given| {
            let kind = kind(&given.path, given.pattern.as_deref(), &given.packages)?;
            let text = files::require(&context.world.workspace, &given.path)?;
            let stated = holder::stated(&kind, &text).map_err(|error| told(&given.path, &error))?;
            let expected = given.version.as_ref().or(previous.as_ref()).map(|text| version(text)).transpose()?;
            let is_done = stated == target;
            // Written already, perhaps by this run before a crash hid its output: the way back is the plan's.
            let before = expected.clone().filter(|_| is_done).unwrap_or_else(|| stated.clone());
            let conflict = expected.filter(|expected| !is_done && *expected != stated).map(|expected| {
                let line = holder::read(&kind, &text).ok().and_then(|found| found.first().map(|found| found.line));
                format!(
                    "{} line {} states {stated}, neither {expected} nor {target}: was it changed since the plan?",
                    given.path,
                    line.unwrap_or(1)
                )
            });
            Ok(Looked { path: given.path.clone(), kind, text, before, is_done, conflict })
        })
        .collect::<Result<_>>()?;
    Ok(World { version: target, files })
}

fn target(params: &Params, release: Option<&ReleaseFact>) -> Result<Version> {
    let text = params.version.as_ref().or(release.map(|release| &release.version)).ok_or_else(|| {
        ActionError::Final(
            "version.write: this run releases no version, so `version` must say which to write".into(),
        )
    })?;
    version(text)
}

fn version(text: &str) -> Result<Version> {
    parse_version(text).map_err(|error| ActionError::Final(error.to_string()))
}

fn edit(path: &str, kind: &HolderKind, text: &str, version: &Version) -> Result<String> {
    holder::write(kind, text, version).map_err(|error| told(path, &error))
}

fn told(path: &str, error: &holder::HolderError) -> ActionError {
    ActionError::Final(format!("{}: {}", sanitize_line(path), sanitize_line(&error.to_string())))
}

fn effect(path: &str) -> Effect {
    Effect::new("write", path, Reversibility::Reversible)
}
