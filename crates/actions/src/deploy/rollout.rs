//! A version onto hosts with compose: prepared everywhere, then batch by batch, and back again when it must be.
//!
//! Every host's state is on the host before anything is done to it, so that whoever comes after a crash knows.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use windlass_core::config::OnAbort;
use windlass_core::plan::sha256_hex;
use windlass_engine::action::{ActionError, Result};
use windlass_engine::context::Context;

use super::drift::{self, Health, Service};
use super::{Site, Wanted, health, pause, promotion, together};
use crate::adapters::git::Git;
use crate::adapters::remote::{Compose, Host, Kept, Record, RemoteError, SCHEMA, State};
use crate::deploy_compose::{Output, Params};

/// The file that pins images, beside the compose files.
const PINS: &str = "windlass-pins.yml";
/// How often containers are looked at.
const LOOK: Duration = Duration::from_millis(500);
/// What must be free on a host, in mebibytes, beside what images take.
const SPACE: u32 = 32;

/// A version on its way to the hosts of an environment.
pub(crate) struct Rollout<'a> {
    pub(crate) context: &'a Context,
    pub(crate) site: &'a Site,
    pub(crate) params: &'a Params,
    pub(crate) wanted: Wanted,
    pub(crate) fence: u64,
    /// What each host kept before; nothing for one that cannot be reached.
    pub(crate) kept: Vec<Option<Kept>>,
}

/// What is put onto the hosts.
#[derive(Debug, Clone, Default)]
struct Release {
    /// Its folder's name.
    name: String,
    files: Vec<(String, Vec<u8>)>,
    project: String,
    services: BTreeMap<String, Service>,
    images: BTreeMap<String, String>,
}

impl Release {
    fn paths(&self) -> Vec<String> {
        self.files.iter().map(|(path, _)| path.clone()).collect()
    }
}

impl Rollout<'_> {
    /// Deploys.
    pub(crate) async fn forward(&self, unreachable: &[String]) -> Result<Output> {
        let release = self.prepare().await?;
        let Params { environment, target, after, .. } = self.params;
        // Now, not when it was planned: what is about to be touched must be what may be touched.
        promotion::check(environment, target, after, &self.wanted.version, self.context).await?;
        let (changed, failed) = self.batches(&release, unreachable.len()).await?;
        let now = self.context.world.clock.now();
        let mut deployed = self.reached();
        deployed.retain(|index| !failed.contains(index));
        let lives = join_all(deployed.iter().map(|index| async {
            let record = self.record(*index, &release, State::Live, now);
            let before = self.kept[*index].as_ref().and_then(|kept| kept.record.as_ref());
            let is_known = before.is_some_and(|before| self.is_ours(before) && before.state == State::Live);
            match is_known {
                true => Ok(()),
                false => self.site.hosts[*index].write(self.context, &record, true).await,
            }
        }))
        .await;
        if let Some(error) = lives.into_iter().find_map(std::result::Result::err) {
            return Err(error.into());
        }
        Ok(Output {
            environment: environment.clone(),
            version: self.wanted.version.clone(),
            previous: self.previous().map(|record| record.version.clone()),
            hosts: deployed.iter().map(|index| self.site.hosts[*index].name.clone()).collect(),
            failed: failed.iter().map(|index| self.site.hosts[*index].name.clone()).collect(),
            unreachable: unreachable.to_vec(),
            images: release.images,
            changed,
        })
    }

    /// Whether the record is what this very item wrote for this version.
    fn is_ours(&self, record: &Record) -> bool {
        record.is_of(&self.context.run.0, &self.context.path.0) && record.version == self.wanted.version
    }

    fn reached(&self) -> Vec<usize> {
        let reached = self.kept.iter().enumerate().filter(|(_, kept)| kept.is_some());
        reached.map(|(index, _)| index).collect()
    }

    fn previous(&self) -> Option<&Record> {
        let records = self.kept.iter().flatten().filter_map(|kept| kept.record.as_ref());
        records.filter_map(|record| self.before(record)).next()
    }

    /// What was on the host before this item came.
    fn before<'r>(&self, record: &'r Record) -> Option<&'r Record> {
        if self.is_ours(record) { record.previous.as_deref() } else { record.good() }
    }

    fn record(&self, index: usize, release: &Release, state: State, at: Timestamp) -> Record {
        let before = self.kept[index].as_ref().and_then(|kept| kept.record.as_ref());
        Record {
            schema: SCHEMA,
            environment: self.site.name.clone(),
            run: self.context.run.0.clone(),
            step: self.context.path.0.clone(),
            fence: self.fence,
            version: self.wanted.version.clone(),
            tag: self.wanted.tag.clone(),
            release: release.name.clone(),
            files: release.paths(),
            project: release.project.clone(),
            images: release.images.clone(),
            colour: None,
            state,
            at,
            previous: before.and_then(|record| self.before(record)).map(|record| Box::new(record.alone())),
        }
    }

    /// Everything that can be found out before anything is touched: files, space, images and their digests, everywhere.
    async fn prepare(&self) -> Result<Release> {
        let mut release = Release { files: self.files().await?, ..Release::default() };
        let mut text = Vec::new();
        for (path, bytes) in &release.files {
            text.extend_from_slice(path.as_bytes());
            text.extend_from_slice(bytes);
        }
        release.name = folder_name(&self.wanted.version, &sha256_hex(&text));
        let reached = self.reached();
        self.each(&reached, |host| async {
            host.check(self.context, SPACE).await?;
            for (path, bytes) in &release.files {
                host.put(self.context, self.fence, &release.name, path, bytes.clone()).await?;
            }
            Ok(())
        })
        .await?;
        let Some(first) = reached.first().and_then(|index| self.site.hosts.get(*index)) else {
            return Err(ActionError::Failed("no host can be reached".into()));
        };
        let paths = release.paths();
        let config = self
            .compose(first, &release.name, &paths, &["config", "--format", "json"], true)
            .await
            .map_err(ActionError::from)?;
        (release.project, release.services) = drift::services(&config).map_err(ActionError::Final)?;
        release.images = match self.pinned_before(&release) {
            Some(images) => images,
            None => self.resolve(first, &release).await?,
        };
        for (service, wanted) in &self.params.images {
            let found = release.images.get(service).map_or("nothing", String::as_str);
            let digest = wanted.rsplit('@').next().unwrap_or(wanted);
            if found.rsplit('@').next() != Some(digest) {
                return Err(ActionError::Final(format!(
                    "the image of {service} is {}, not {}: the registry has another image under this name than the one \
                     that was built; nothing was touched",
                    drift::short(found),
                    digest.chars().take(19).collect::<String>()
                )));
            }
        }
        let mut paths = paths;
        paths.push(PINS.to_owned());
        self.each(&reached, |host| async {
            host.put(self.context, self.fence, &release.name, PINS, pins(&release.images)).await?;
            self.context.log(&format!("{}: pulling images", host.name));
            self.compose(host, &release.name, &paths, &["pull"], false).await.map(drop)
        })
        .await?;
        Ok(release)
    }

    /// The images that this item pinned before it was interrupted: a tag may have moved since.
    fn pinned_before(&self, release: &Release) -> Option<BTreeMap<String, String>> {
        let records = self.kept.iter().flatten().filter_map(|kept| kept.record.as_ref());
        let mut ours = records.filter(|record| self.is_ours(record) && record.release == release.name);
        ours.next().map(|record| record.images.clone())
    }

    /// Pulls the images on one host and asks by which digest it got each.
    async fn resolve(&self, first: &Host, release: &Release) -> Result<BTreeMap<String, String>> {
        self.context.log(&format!("{}: resolving images", first.name));
        self.compose(first, &release.name, &release.paths(), &["pull"], false)
            .await
            .map_err(ActionError::from)?;
        let images: BTreeSet<&str> =
            release.services.values().map(|service| service.image.as_str()).collect();
        let images: Vec<&str> = images.into_iter().collect();
        let digests = first.digests(self.context, &images).await.map_err(ActionError::from)?;
        let known: BTreeMap<&str, String> = images
            .iter()
            .zip(digests)
            .filter_map(|(image, digests)| Some((*image, pinned(image, &digests)?)))
            .collect();
        release
            .services
            .iter()
            .map(|(name, service)| match known.get(service.image.as_str()) {
                Some(image) => Ok((name.clone(), image.clone())),
                None => Err(ActionError::Final(format!(
                    "the image {} of {name} has no digest: it is not from a registry; push it to one",
                    service.image
                ))),
            })
            .collect()
    }

    /// The compose files, from the tag; from the commit that is checked out while there is no tag yet.
    async fn files(&self) -> Result<Vec<(String, Vec<u8>)>> {
        let git = Git::of(self.context);
        let tag = format!("refs/tags/{}", self.wanted.tag);
        let has_tag =
            git.ask(["rev-parse", "--verify", "--quiet", &format!("{tag}^{{commit}}")]).await?.is_some();
        let revision = if has_tag { tag.as_str() } else { "HEAD" };
        let mut files = Vec::new();
        for path in &self.site.environment.compose {
            let text = git.read(["show", &format!("{revision}:{path}")]).await.map_err(|error| {
                ActionError::Final(format!("the compose file {path} cannot be read at {revision}: {error}"))
            })?;
            files.push((path.clone(), text.into_bytes()));
        }
        Ok(files)
    }

    /// The same on many hosts at once; what went wrong on any of them, in one error.
    async fn each<'h, F: Future<Output = std::result::Result<(), RemoteError>>>(
        &'h self,
        hosts: &[usize],
        work: impl Fn(&'h Host) -> F,
    ) -> Result<()> {
        let results = join_all(hosts.iter().map(|index| work(&self.site.hosts[*index]))).await;
        let mut errors: Vec<RemoteError> = results.into_iter().filter_map(std::result::Result::err).collect();
        match errors.len() {
            0 => Ok(()),
            1 => Err(errors.remove(0).into()),
            _ => Err(ActionError::Failed(together(&errors))),
        }
    }

    async fn compose(
        &self,
        host: &Host,
        release: &str,
        files: &[String],
        arguments: &[&str],
        quiet: bool,
    ) -> std::result::Result<String, RemoteError> {
        self.compose_of(host, release, files, arguments, quiet, &self.wanted.version, &self.wanted.tag).await
    }

    #[expect(clippy::too_many_arguments, reason = "each is one field of the call")]
    async fn compose_of(
        &self,
        host: &Host,
        release: &str,
        files: &[String],
        arguments: &[&str],
        quiet: bool,
        version: &str,
        tag: &str,
    ) -> std::result::Result<String, RemoteError> {
        let values = [
            ("VERSION", version),
            ("TAG", tag),
            ("WINDLASS_VERSION", version),
            ("WINDLASS_TAG", tag),
            ("WINDLASS_ENVIRONMENT", &self.site.name),
        ];
        let environment = values.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let call = Compose { release, files, arguments, environment: &environment, quiet };
        host.compose(self.context, self.fence, &call).await
    }

    /// Batch after batch. Gives whether anything changed, and the hosts that failed and were let pass.
    async fn batches(&self, release: &Release, unreachable: usize) -> Result<(bool, Vec<usize>)> {
        let reached = self.reached();
        let mut touched: Vec<usize> = Vec::new();
        let mut failures: Vec<(usize, ActionError)> = Vec::new();
        let mut changed = false;
        let turns = self.site.environment.turns(reached.len());
        let last = turns.len().saturating_sub(1);
        for (number, turn) in turns.into_iter().enumerate() {
            let hosts = reached.get(turn).unwrap_or_default();
            touched.extend(hosts);
            let results = join_all(hosts.iter().map(|index| self.update(*index, release))).await;
            for (index, result) in hosts.iter().zip(results) {
                match result {
                    Ok(this) => changed |= this,
                    Err(ActionError::Cancelled) => return Err(ActionError::Cancelled),
                    Err(error) => {
                        self.context.log(&format!("{}: {error}", self.site.hosts[*index].name));
                        failures.push((*index, error));
                    }
                }
            }
            // Whoever has the environment now decides what becomes of the hosts.
            self.still_ours().await?;
            if unreachable + failures.len() > self.site.environment.max_failures as usize {
                return Err(self.abort(release, &touched, &failures, None).await);
            }
            if number < last {
                pause(self.context, self.site.environment.pause.to_std()).await?;
            }
        }
        if let Some(address) = health::address(&self.site.environment) {
            let ready = self.params.ready.to_std();
            let asked =
                health::wait(&self.site.environment, &address, &self.wanted.version, ready, self.context)
                    .await;
            match asked {
                Ok(()) => {}
                Err(ActionError::Cancelled) => return Err(ActionError::Cancelled),
                Err(error) => return Err(self.abort(release, &touched, &failures, Some(&error)).await),
            }
        }
        // Those that failed and were let pass do not stay with what does not work.
        for (index, _) in &failures {
            let record = self.record(*index, release, State::Failed, self.now());
            match self.site.environment.on_abort {
                OnAbort::Revert => drop(self.revert(*index, &record).await?),
                OnAbort::Hold => self.site.hosts[*index].write(self.context, &record, false).await?,
            }
        }
        Ok((changed, failures.into_iter().map(|(index, _)| index).collect()))
    }

    fn now(&self) -> Timestamp {
        self.context.world.clock.now()
    }

    async fn still_ours(&self) -> Result<()> {
        match self.site.first() {
            Some(first) => Ok(first.raise(self.context, self.fence).await?),
            None => Ok(()),
        }
    }

    /// One host gets the version. Gives whether anything changed on it.
    async fn update(&self, index: usize, release: &Release) -> Result<bool> {
        let host = &self.site.hosts[index];
        let kept = self.kept[index].as_ref().and_then(|kept| kept.record.as_ref());
        let before = host.containers(self.context, &release.project).await?;
        if kept.is_some_and(|record| {
            self.is_ours(record) && matches!(record.state, State::Updated | State::Live)
        }) && matches!(drift::health(&release.services, &release.images, &before), Health::Good(_))
        {
            self.context.log(&format!("{} has {} already", host.name, self.wanted.version));
            return Ok(false);
        }
        self.context.log(&format!("{}: {} comes up", host.name, self.wanted.version));
        host.write(self.context, &self.record(index, release, State::Updating, self.now()), false).await?;
        let mut files = release.paths();
        files.push(PINS.to_owned());
        self.compose(host, &release.name, &files, &UP, false).await?;
        self.healthy(host, release).await?;
        if let Some(address) = health::address_of(&self.site.environment, host, self.context).await? {
            let ready = self.params.ready.to_std();
            health::wait(&self.site.environment, &address, &self.wanted.version, ready, self.context).await?;
        }
        host.write(self.context, &self.record(index, release, State::Updated, self.now()), false).await?;
        let after = host.containers(self.context, &release.project).await?;
        let ids = |containers: &[crate::adapters::remote::Container]| -> BTreeSet<String> {
            containers.iter().map(|container| container.id.clone()).collect()
        };
        Ok(ids(&before) != ids(&after))
    }

    /// Waits until every service has been healthy for as long as it must.
    async fn healthy(&self, host: &Host, release: &Release) -> Result<()> {
        let begin = tokio::time::Instant::now();
        let ready = self.params.ready.to_std();
        let wanted = self.site.environment.min_healthy.to_std();
        let mut good: Option<(tokio::time::Instant, u64)> = None;
        loop {
            let found = host.containers(self.context, &release.project).await?;
            let now = tokio::time::Instant::now();
            let why = match drift::health(&release.services, &release.images, &found) {
                Health::Good(restarts) => {
                    let since = match good {
                        Some((since, before)) if before == restarts => since,
                        _ => now,
                    };
                    good = Some((since, restarts));
                    if now.duration_since(since) >= wanted {
                        return Ok(());
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
                    host.name, self.params.ready
                )));
            }
            pause(self.context, LOOK).await?;
        }
    }

    /// Gives the deployment up: reverts or holds, and says so.
    async fn abort(
        &self,
        release: &Release,
        touched: &[usize],
        failures: &[(usize, ActionError)],
        check: Option<&ActionError>,
    ) -> ActionError {
        let mut told: Vec<String> = failures.iter().map(|(_, error)| error.to_string()).collect();
        told.extend(
            check.map(|error| format!("every host came up, but the health check did not pass: {error}")),
        );
        let told = told.join("; ");
        if self.site.environment.on_abort == OnAbort::Hold {
            for (index, _) in failures {
                let record = self.record(*index, release, State::Failed, self.now());
                if let Err(error) = self.site.hosts[*index].write(self.context, &record, false).await {
                    self.context.log(&error.to_string());
                }
            }
            return ActionError::Final(format!(
                "{told}; the deployment was given up, and every host stays as it is (on_abort = \"hold\"): look with \
                 `windlass env {}`",
                self.site.name
            ));
        }
        let reverts = join_all(touched.iter().map(|index| async {
            let record = self.record(*index, release, State::Reverting, self.now());
            self.revert(*index, &record).await
        }))
        .await;
        let mut back = BTreeMap::<String, Vec<&str>>::new();
        let mut stuck = Vec::new();
        for (index, result) in touched.iter().zip(reverts) {
            let name = self.site.hosts[*index].name.as_str();
            match result {
                Ok(what) => back.entry(what).or_default().push(name),
                Err(error) => stuck.push(format!("{name} could not be put back: {error}")),
            }
        }
        let back: Vec<String> =
            back.iter().map(|(what, hosts)| format!("{}: {what}", hosts.join(", "))).collect();
        let back = back.into_iter().chain(stuck).collect::<Vec<_>>().join("; ");
        ActionError::Final(format!("{told}; the deployment was given up: {back}"))
    }

    /// Puts back what was on the host before `ours`. Gives what was done, in words.
    pub(crate) async fn revert(&self, index: usize, ours: &Record) -> Result<String> {
        let host = &self.site.hosts[index];
        let mut ours = ours.clone();
        (ours.fence, ours.state, ours.at) = (self.fence, State::Reverting, self.now());
        host.write(self.context, &ours, false).await?;
        let Some(previous) = ours.previous.as_deref() else {
            let mut files = ours.files.clone();
            files.push(PINS.to_owned());
            let arguments = ["down", "--remove-orphans"];
            self.compose_of(host, &ours.release, &files, &arguments, false, &ours.version, &ours.tag).await?;
            host.forget(self.context, self.fence).await?;
            return Ok("empty again, as before".to_owned());
        };
        self.context.log(&format!("{}: {} comes back", host.name, previous.version));
        host.put(self.context, self.fence, &previous.release, PINS, pins(&previous.images)).await?;
        let mut files = previous.files.clone();
        files.push(PINS.to_owned());
        let (version, tag) = (previous.version.clone(), previous.tag.clone());
        let (version, tag) = (version.as_str(), tag.as_str());
        let config = ["config", "--format", "json"];
        let config = self.compose_of(host, &previous.release, &files, &config, true, version, tag).await?;
        self.compose_of(host, &previous.release, &files, &UP, false, version, tag).await?;
        let (project, services) = drift::services(&config).map_err(ActionError::Failed)?;
        let release = Release { project, services, images: previous.images.clone(), ..Release::default() };
        self.healthy(host, &release).await?;
        let previous =
            self.kept[index].as_ref().map_or_else(|| previous.alone(), |kept| kept.whole(previous));
        let record = Record { fence: self.fence, at: self.now(), state: State::Live, ..previous };
        host.write(self.context, &record, true).await?;
        Ok(format!("back to {version}"))
    }
}

const UP: [&str; 5] = ["up", "--detach", "--remove-orphans", "--no-build", "--quiet-pull"];

/// The compose file that puts each image's digest in the place of its tag. JSON is YAML.
fn pins(images: &BTreeMap<String, String>) -> Vec<u8> {
    let services: BTreeMap<&String, serde_json::Value> =
        images.iter().map(|(name, image)| (name, serde_json::json!({ "image": image }))).collect();
    serde_json::json!({ "services": services }).to_string().into_bytes()
}

/// An image by the digest that its own repository knows it by.
fn pinned(image: &str, digests: &[String]) -> Option<String> {
    if image.contains("@sha256:") {
        return Some(image.to_owned());
    }
    let repository = |name: &str| {
        let name = name.split('@').next().unwrap_or(name);
        // A colon before the last slash is a port's.
        let end = name.rfind('/').map_or(0, |slash| slash + 1);
        let tag = name.get(end..).and_then(|last| last.find(':')).map(|colon| end + colon);
        let name = name.get(..tag.unwrap_or(name.len())).unwrap_or(name);
        let name = name.strip_prefix("docker.io/").unwrap_or(name);
        name.strip_prefix("library/").unwrap_or(name).to_owned()
    };
    let wanted = repository(image);
    digests.iter().find(|digest| digest.contains("@sha256:") && repository(digest) == wanted).cloned()
}

/// A folder for a version's files: the same content gives the same one, and no other.
fn folder_name(version: &str, digest: &str) -> String {
    let plain =
        |letter: char| if letter.is_ascii_alphanumeric() || "._+-".contains(letter) { letter } else { '_' };
    let version: String = version.chars().take(80).map(plain).collect();
    format!("v{version}-{}", digest.get(..10).unwrap_or(digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_pinned_by_their_own_repository() {
        let digests = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        for (image, known, expect) in [
            (
                "10.0.0.1:5000/shop/web:1.0",
                &["10.0.0.1:5000/shop/web@sha256:aa"][..],
                Some("10.0.0.1:5000/shop/web@sha256:aa"),
            ),
            (
                "10.0.0.1:5000/web",
                &["other/web@sha256:bb", "10.0.0.1:5000/web@sha256:aa"],
                Some("10.0.0.1:5000/web@sha256:aa"),
            ),
            ("nginx:1.27", &["nginx@sha256:aa"], Some("nginx@sha256:aa")),
            ("docker.io/library/nginx", &["nginx@sha256:aa"], Some("nginx@sha256:aa")),
            ("r/web@sha256:cc", &[], Some("r/web@sha256:cc")),
            ("built-here:1", &[], None),
            ("web:1", &["other@sha256:aa"], None),
        ] {
            assert_eq!(pinned(image, &digests(known)).as_deref(), expect, "{image}");
        }
    }

    #[test]
    fn a_folder_is_a_folder_whatever_the_version() {
        for (version, expect) in
            [("1.2.0", "v1.2.0-0123456789"), ("1!2.0/../x", "v1_2.0_.._x-0123456789"), ("", "v-0123456789")]
        {
            assert_eq!(folder_name(version, "0123456789abcdef"), expect);
        }
    }
}
