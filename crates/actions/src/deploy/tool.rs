//! What brings a version up on one host and takes it away again: docker compose, or a script of the runbook's author.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use windlass_engine::action::{Action as _, ActionError, Result};

use super::drift::{self, Health, Service};
use super::health::Check;
use super::release::Release;
use super::work::Work;
use super::{Site, pause};
use crate::adapters::remote::{Compose, Container, Host, Record, RemoteError, Running};
use crate::script::{self, Language, Script};

/// The file that pins images, beside the compose files.
pub(crate) const PINS: &str = "windlass-pins.yml";
/// How often containers are looked at.
const LOOK: Duration = Duration::from_millis(500);
/// What compose makes of its files.
pub(crate) const CONFIG: [&str; 3] = ["config", "--format", "json"];
const UP: [&str; 5] = ["up", "--detach", "--remove-orphans", "--no-build", "--quiet-pull"];
const UP_ANEW: [&str; 6] =
    ["up", "--detach", "--remove-orphans", "--no-build", "--quiet-pull", "--force-recreate"];
const DOWN: [&str; 2] = ["down", "--remove-orphans"];

/// What brings versions up.
#[derive(Debug, Clone)]
pub(crate) enum Tool {
    /// Docker compose over SSH.
    Compose(Composing),
    /// A script on this machine, run for each host.
    Script(Scripts),
}

/// How compose brings a version up.
#[derive(Debug, Clone, Default)]
pub(crate) struct Composing {
    /// The images that are demanded, by service.
    pub(crate) images: BTreeMap<String, String>,
    /// Containers are made anew although nothing differs.
    pub(crate) recreate: bool,
}

/// What bringing a version up on a host came to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Brought {
    /// Something was changed there.
    pub(crate) changed: bool,
    /// [`Record::made`].
    pub(crate) made: Option<String>,
}

/// The scripts of an action.
#[derive(Debug, Clone)]
pub(crate) struct Scripts {
    /// Brings a version up.
    pub(crate) run: String,
    /// Stops what `run` brought up.
    pub(crate) stop: Option<String>,
    pub(crate) language: Language,
    pub(crate) secrets: Vec<String>,
}

impl Scripts {
    /// A call of one of the scripts.
    pub(crate) fn call(&self, text: &str, env: BTreeMap<String, String>) -> script::Params {
        script::Params {
            language: self.language,
            text: text.to_owned(),
            env,
            secrets: self.secrets.clone(),
            probe: None,
            undo: None,
            read_only: false,
            label: None,
        }
    }
}

impl Work<'_> {
    /// What is to be brought up: with compose its files and images, checked on every host before any is touched.
    pub(crate) async fn ready_release(
        &self,
        colour: Option<windlass_core::config::Colour>,
    ) -> Result<Release> {
        match self.tool {
            Tool::Compose(composing) => self.prepare(colour, &composing.images).await,
            Tool::Script(_) => Ok(Release::default()),
        }
    }

    /// Brings a version up on a host and waits until it is healthy. The record is written first, when it is to be told.
    pub(crate) async fn bring_up(
        &self,
        index: usize,
        record: &Record,
        release: &Release,
        is_told: bool,
    ) -> Result<Brought> {
        let (context, host) = (self.context, self.host(index));
        match self.tool {
            Tool::Compose(composing) => {
                let up = if composing.recreate { UP_ANEW.as_slice() } else { UP.as_slice() };
                let environment = variables(self.site, record);
                let call = call(record, &record.files, &environment);
                let told = is_told.then_some(record);
                let before = host.begin(context, self.fence, told, &record.project, &call).await?;
                self.compose(host, record, &pinned_files(record), up, None).await?;
                let after = self.healthy(host, &record.project, &release.services, &record.images).await?;
                let ids = |containers: &[Container]| -> BTreeSet<String> {
                    containers.iter().map(|container| container.id.clone()).collect()
                };
                let changed = ids(&before.containers) != ids(&after);
                Ok(Brought { changed, made: Some(Running::mark(&before.config, &after)) })
            }
            Tool::Script(scripts) => {
                if is_told {
                    host.write(context, record, false).await?;
                }
                self.script(scripts, &scripts.run, Some(index), record).await?;
                Ok(Brought { changed: true, made: None })
            }
        }
    }

    /// Whether a version runs on a host as it should.
    pub(crate) async fn is_up(&self, index: usize, record: &Record, release: &Release) -> Result<bool> {
        if matches!(self.tool, Tool::Compose(_)) {
            let found = self.host(index).containers(self.context, &record.project).await?;
            let is_good = matches!(drift::health(&release.services, &record.images, &found), Health::Good(_));
            if !is_good || record.colour.is_none() {
                return Ok(is_good);
            }
        }
        let check = match record.colour {
            Some(_) => self.proof(&record.version),
            None => Check::new(&self.site.environment, &record.version),
        };
        match self.own_address(index, record.colour).await? {
            Some(address) => Ok(check.ask(&address, self.context).await?.is_none()),
            // It cannot be asked, and a script may be run again.
            None => Ok(false),
        }
    }

    /// Brings up what was there before, by the very images it had.
    pub(crate) async fn put_back(&self, index: usize, previous: &Record) -> Result<()> {
        let host = self.host(index);
        self.context.log(&format!("{}: {} comes back", host.name, previous.version));
        match self.tool {
            Tool::Compose(_) => {
                let pins = pins(&previous.images);
                let files = pinned_files(previous);
                let config = self.compose(host, previous, &files, &CONFIG, Some(pins)).await?;
                self.compose(host, previous, &files, &UP, None).await?;
                let (project, services) = drift::services(&config).map_err(ActionError::Failed)?;
                let project = if previous.colour.is_some() { &previous.project } else { &project };
                self.healthy(host, project, &services, &previous.images).await.map(drop)
            }
            Tool::Script(scripts) => self.script(scripts, &scripts.run, Some(index), previous).await,
        }
    }

    /// Stops what `record` says was brought up on a host.
    pub(crate) async fn take_down(&self, index: usize, record: &Record) -> Result<()> {
        match self.tool {
            Tool::Compose(_) => {
                // By the project alone where its files are not told any more.
                let files = if record.files.is_empty() { Vec::new() } else { pinned_files(record) };
                self.compose(self.host(index), record, &files, &DOWN, None).await?;
                Ok(())
            }
            Tool::Script(scripts) => match &scripts.stop {
                Some(stop) => self.script(scripts, stop, Some(index), record).await,
                None => Ok(()),
            },
        }
    }

    /// Runs `docker compose` with what `record` says, with the file that pins images written first where it is given.
    pub(crate) async fn compose(
        &self,
        host: &Host,
        record: &Record,
        files: &[String],
        arguments: &[&str],
        pins: Option<Vec<u8>>,
    ) -> std::result::Result<String, RemoteError> {
        let environment = variables(self.site, record);
        // The configuration tells what is put in for variables.
        let quiet = arguments == CONFIG.as_slice();
        let call = Compose { arguments, pins, quiet, ..call(record, files, &environment) };
        host.compose(self.context, self.fence, &call).await
    }

    /// Runs a script about `record`, for one host or for all of them.
    pub(crate) async fn script(
        &self,
        scripts: &Scripts,
        text: &str,
        host: Option<usize>,
        record: &Record,
    ) -> Result<()> {
        let mut env = values(self.site, record);
        let previous = record.previous.as_ref().map(|previous| previous.version.clone());
        env.insert("WINDLASS_PREVIOUS_VERSION".into(), previous.unwrap_or_default());
        env.insert("WINDLASS_HOSTS".into(), self.site.environment.hosts.join(" "));
        env.insert("WINDLASS_FENCE".into(), self.fence.to_string());
        if let Some(index) = host {
            let is_here = self.host(index).ssh.is_none();
            let name = if is_here { String::new() } else { self.host(index).name.clone() };
            env.insert("WINDLASS_HOST".into(), name);
        }
        // Its effect is this action's, which tells it itself.
        let mut apart = self.context.clone();
        apart.forget_changes();
        Script.run(&scripts.call(text, env), &apart).await.map(drop)
    }

    /// Waits until every service has been healthy for as long as it must. Gives the containers.
    async fn healthy(
        &self,
        host: &Host,
        project: &str,
        services: &BTreeMap<String, Service>,
        images: &BTreeMap<String, String>,
    ) -> Result<Vec<Container>> {
        let begin = tokio::time::Instant::now();
        let ready = self.request.ready.to_std();
        let wanted = self.site.environment.min_healthy.to_std();
        let mut good: Option<(tokio::time::Instant, u64)> = None;
        loop {
            let found = host.containers(self.context, project).await?;
            let now = tokio::time::Instant::now();
            let why = match drift::health(services, images, &found) {
                Health::Good(restarts) => {
                    let since = match good {
                        Some((since, before)) if before == restarts => since,
                        _ => now,
                    };
                    good = Some((since, restarts));
                    if now.duration_since(since) >= wanted {
                        return Ok(found);
                    }
                    "it was not healthy for long enough".to_owned()
                }
                Health::Waiting(why) => {
                    good = None;
                    why
                }
                Health::Broken(container, why) => {
                    let words = host.last_words(self.context, &container).await;
                    let words = if words.is_empty() { String::new() } else { format!("; it said: {words}") };
                    return Err(ActionError::Failed(format!("{}: {why}{words}", host.name)));
                }
            };
            if now.duration_since(begin) >= ready + wanted {
                return Err(ActionError::Failed(format!(
                    "{} did not become healthy within {}: {why}",
                    host.name, self.request.ready
                )));
            }
            pause(self.context, LOOK).await?;
        }
    }
}

/// What a deployment tells about `record` to scripts and compose files.
fn values(site: &Site, record: &Record) -> BTreeMap<String, String> {
    let mut values = BTreeMap::from([
        ("WINDLASS_VERSION".to_owned(), record.version.clone()),
        ("WINDLASS_TAG".to_owned(), record.tag.clone()),
        ("WINDLASS_ENVIRONMENT".to_owned(), site.name.clone()),
    ]);
    let ports = site.environment.proxy.as_ref().and_then(|proxy| proxy.ports);
    if let (Some(colour), Some(ports)) = (record.colour, ports) {
        values.insert("WINDLASS_COLOUR".into(), colour.as_str().into());
        values.insert("WINDLASS_PORT".into(), ports.of(colour).to_string());
    }
    values
}

/// The variables that compose files may refer to.
pub(crate) fn variables(site: &Site, record: &Record) -> Vec<(String, String)> {
    let mut environment: Vec<(String, String)> = values(site, record).into_iter().collect();
    for (short, long) in [("VERSION", "WINDLASS_VERSION"), ("TAG", "WINDLASS_TAG")] {
        environment.extend(value_of(&environment, long).map(|value| (short.to_owned(), value)));
    }
    if record.colour.is_some() {
        for (short, long) in [("COLOUR", "WINDLASS_COLOUR"), ("PORT", "WINDLASS_PORT")] {
            environment.extend(value_of(&environment, long).map(|value| (short.to_owned(), value)));
        }
        if !record.project.is_empty() {
            environment.push(("COMPOSE_PROJECT_NAME".into(), record.project.clone()));
        }
    }
    environment
}

/// A call about files of what `record` says, without anything to do.
pub(crate) fn call<'a>(
    record: &'a Record,
    files: &'a [String],
    environment: &'a [(String, String)],
) -> Compose<'a> {
    Compose { release: &record.release, files, environment, arguments: &[], pins: None, quiet: true }
}

fn value_of(values: &[(String, String)], name: &str) -> Option<String> {
    values.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
}

fn pinned_files(record: &Record) -> Vec<String> {
    record.files.iter().cloned().chain([PINS.to_owned()]).collect()
}

/// The compose file that puts each image's digest in the place of its tag. JSON is YAML.
pub(crate) fn pins(images: &BTreeMap<String, String>) -> Vec<u8> {
    let services: BTreeMap<&String, serde_json::Value> =
        images.iter().map(|(name, image)| (name, serde_json::json!({ "image": image }))).collect();
    serde_json::json!({ "services": services }).to_string().into_bytes()
}
