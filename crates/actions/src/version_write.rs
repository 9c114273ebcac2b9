//! `version.write`: writes the version into every file that states it, all or none.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use windlass_core::config::HolderTable;
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
    /// How many places `pattern`, `image` or the kind `badge` must find; 1 when not given.
    #[serde(default)]
    pub matches: Option<usize>,
    /// The way to a value in JSON, TOML, YAML, XML or properties, such as `app.version`.
    #[serde(default)]
    pub key: Option<String>,
    /// `json`, `toml`, `yaml`, `xml` or `properties`, where the file's name does not say it.
    #[serde(default)]
    pub format: Option<String>,
    /// An image without its tag: the tag it carries in this file is the version.
    #[serde(default)]
    pub image: Option<String>,
    /// A known kind of file, where the name does not say it.
    #[serde(default)]
    pub kind: Option<String>,
    /// Names of the packages whose version it is, for files that state those of several.
    #[serde(default)]
    pub packages: Vec<String>,
    /// What it states before. By default the release's previous version; anything else is a conflict.
    #[serde(default)]
    pub version: Option<String>,
}

impl From<&HolderFact> for Holder {
    fn from(fact: &HolderFact) -> Self {
        let HolderFact { path, pattern, matches, key, format, image, kind, packages, version, .. } =
            fact.clone();
        Self { path, pattern, matches, key, format, image, kind, packages, version: Some(version) }
    }
}

impl Holder {
    fn kind(&self) -> Result<HolderKind> {
        let table = HolderTable {
            path: self.path.clone(),
            pattern: self.pattern.clone(),
            matches: self.matches,
            key: self.key.clone(),
            format: self.format.clone(),
            image: self.image.clone(),
            kind: self.kind.clone(),
        };
        holder::kind(&table, &self.packages).map_err(|error| told(&self.path, &error))
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
                holder.kind()?;
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
        let mut edits = Edits::default();
        for file in &todo {
            edits.write(&file.path, &file.kind, &file.text, &world.version)?;
        }
        files::replace(&context.world.workspace, &edits.0)?;
        for file in &todo {
            // Read again from the disk: another program may have written meanwhile.
            let text = files::require(&context.world.workspace, &file.path)?;
            let stated = holder::stated(&file.kind, &text).map_err(|error| told(&file.path, &error))?;
            if !holder::is_same(&stated, &world.version) {
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
        let mut edits = Edits::default();
        // One file may state the version in two ways: it is listed twice, in the output as in the parameters.
        for (given, file) in params.holders.iter().zip(&output.files) {
            if file.before == output.version || given.path != file.path {
                continue;
            }
            let kind = given.kind()?;
            let Some(text) = files::read(workspace, &file.path)? else { continue };
            let before = version(&file.before)?;
            let stated = holder::stated(&kind, &text).map_err(|error| told(&file.path, &error))?;
            if holder::is_same(&stated, &before) {
                continue;
            }
            if !holder::is_same(&stated, &now) {
                return Ok(Undone::NeedsHuman(format!(
                    "{} states {stated}, which this run did not write: set it to {before} yourself",
                    file.path
                )));
            }
            edits.write(&file.path, &kind, &text, &before)?;
        }
        let Edits(edits) = edits;
        if edits.is_empty() {
            return Ok(Undone::NothingToDo);
        }
        files::replace(workspace, &edits)?;
        let paths: Vec<&str> = edits.iter().map(|(path, _)| path.as_str()).collect();
        Ok(Undone::Reverted(format!("wrote the version before into {}", paths.join(", "))))
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
            let kind = given.kind()?;
            let text = files::require(&context.world.workspace, &given.path)?;
            let (stated, line) = holder::read(&kind, &text)
                .and_then(|places| holder::agreed(&places))
                .map_err(|error| told(&given.path, &error))?;
            let expected = given.version.as_ref().or(previous.as_ref()).map(|text| version(text)).transpose()?;
            let is_done = holder::is_same(&stated, &target);
            // Written already, perhaps by this run before a crash hid its output: the way back is the plan's.
            let before = expected.clone().filter(|_| is_done).unwrap_or_else(|| stated.clone());
            let is_other = |expected: &Version| !is_done && !holder::is_same(expected, &stated);
            let conflict = expected.filter(is_other).map(|expected| {
                format!(
                    "{} line {line} states {stated}, neither {expected} nor {target}: was it changed since the plan?",
                    given.path
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

/// Files with their new texts.
#[derive(Default)]
struct Edits(Vec<(String, String)>);

impl Edits {
    /// Writes `version` into `path`, whose text was `text` before anything was edited.
    fn write(&mut self, path: &str, kind: &HolderKind, text: &str, version: &Version) -> Result<()> {
        let edit = |text: &str| holder::write(kind, text, version).map_err(|error| told(path, &error));
        match self.0.iter_mut().find(|(known, _)| known == path) {
            Some((_, known)) => *known = edit(known)?,
            None => self.0.push((path.to_owned(), edit(text)?)),
        }
        Ok(())
    }
}

fn told(path: &str, error: &holder::HolderError) -> ActionError {
    ActionError::Final(format!("{}: {}", sanitize_line(path), sanitize_line(&error.to_string())))
}

fn effect(path: &str) -> Effect {
    Effect::new("write", path, Reversibility::Reversible)
}
