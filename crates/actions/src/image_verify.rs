//! `image.verify`: whether an image can really be had from each registry it is in: all of it, undamaged, in the version.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use windlass_core::duration::Duration;
use windlass_core::plan::{Effect, Facts};
use windlass_core::text::sanitize_line;
use windlass_engine::action::{Action, ActionError, Probe, Result, Undone};
use windlass_engine::context::Context;

use crate::adapters::registry::{Manifest, Name, Registry, is_digest};
use crate::image::{Access, action_error, digest_of, is_open, name, unless_cancelled};

/// The label that says an image's version (<https://specs.opencontainers.org/image-spec/annotations/>).
const LABEL: &str = "org.opencontainers.image.version";
/// More manifests than this in one image are no image.
const MANIFESTS: usize = 200;

/// Whether an image can be had.
#[derive(Debug, Clone, Copy)]
pub struct VerifyImage;

/// Parameters of `image.verify`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The images with their tags or digests, in one registry or several, such as
    /// `registry.example.com/shop:{{ version }}`.
    pub images: Vec<String>,
    /// The digest that all of them must have, also as `registry.example.com/shop@sha256:...`.
    #[serde(default)]
    pub digest: Option<String>,
    /// The version that the label `org.opencontainers.image.version` of all of them must say.
    #[serde(default)]
    pub version: Option<String>,
    /// Everything is read through and held against its digest, as when it is pulled. Without, it is only asked whether it
    /// is there.
    #[serde(default = "yes")]
    pub pull: bool,
    /// The longest that reading one layer may take.
    #[serde(default = "ten_minutes")]
    #[schemars(with = "String")]
    pub timeout: Duration,
    /// The account at the registry. Then all images must be in the same one: write one step per registry.
    #[serde(default)]
    pub user: Option<String>,
    /// The name of the secret that is its password or token.
    #[serde(default)]
    pub password: Option<String>,
    /// The registries are asked without encryption. On this machine they always are.
    #[serde(default)]
    pub insecure: bool,
}

/// What `image.verify` gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// The digest of each image.
    pub digests: BTreeMap<String, String>,
    /// How many bytes they have together.
    pub bytes: u64,
}

impl Action for VerifyImage {
    const NAME: &'static str = "image.verify";
    const SUMMARY: &'static str =
        "Checks that images can be had from their registries: every part, by its digest, in the version.";
    type Params = Params;
    type Output = Output;

    fn effects(&self, params: &Params, _: &Facts) -> Result<Vec<Effect>> {
        access(params).check()?;
        if params.images.is_empty() {
            return Err(ActionError::Final("image.verify: `images` names none".into()));
        }
        for text in params.images.iter().filter(|text| !is_open(text)) {
            image(text)?;
        }
        one_registry(params)?;
        Ok(Vec::new())
    }

    fn label(&self, params: &Params, _: &Facts) -> String {
        sanitize_line(&format!("verify {}", params.images.join(", ")))
    }

    async fn probe(&self, _: &Params, _: &Context) -> Result<Probe<Output>> {
        // What was there then may be gone now.
        Ok(Probe::Unknown)
    }

    async fn run(&self, params: &Params, context: &Context) -> Result<Output> {
        one_registry(params)?;
        let mut output = Output { digests: BTreeMap::new(), bytes: 0 };
        let mut problems = Vec::new();
        for text in &params.images {
            match unless_cancelled(context, verified(text, params, context)).await {
                Ok((digest, bytes)) => {
                    let how = if params.pull { "read through" } else { "there" };
                    context.log(&format!("{text} is {digest}: {bytes} bytes, {how}"));
                    output.bytes = output.bytes.saturating_add(bytes);
                    output.digests.insert(text.clone(), digest);
                }
                Err(ActionError::Cancelled) => return Err(ActionError::Cancelled),
                Err(error) => problems.push(error),
            }
        }
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        match problems.iter().all(ActionError::is_retryable) {
            _ if problems.is_empty() => Ok(output),
            true => Err(ActionError::Failed(told.join("; "))),
            false => Err(ActionError::Final(told.join("; "))),
        }
    }

    async fn undo(&self, _: &Params, _: &Output, _: &Context) -> Result<Undone> {
        Ok(Undone::NothingToDo)
    }
}

/// The image's digest and size, when nothing is wrong with it.
async fn verified(text: &str, params: &Params, context: &Context) -> Result<(String, u64)> {
    let name = image(text)?;
    let reference = name.reference.clone().unwrap_or_default();
    let registry = access(params).registry(&name, context)?;
    let mut walk = Walk { name, registry, params, context, seen: BTreeSet::new(), bytes: 0 };
    // What was just pushed may take a moment to be seen, so another attempt may help.
    let found = walk.manifest(&reference).await?;
    let found = found.ok_or_else(|| ActionError::Failed(format!("{} is not there", walk.name)))?;
    match params.digest.as_deref().map(digest_of) {
        Some(digest) if digest != found.digest => {
            return Err(ActionError::Final(format!(
                "{} is {} and not {}",
                walk.name,
                found.digest,
                sanitize_line(digest)
            )));
        }
        _ => {}
    }
    let digest = found.digest.clone();
    walk.all(found).await?;
    Ok((digest, walk.bytes))
}

/// The way through an image's parts.
struct Walk<'a> {
    name: Name,
    registry: Registry,
    params: &'a Params,
    context: &'a Context,
    seen: BTreeSet<String>,
    bytes: u64,
}

impl Walk<'_> {
    async fn manifest(&mut self, reference: &str) -> Result<Option<Manifest>> {
        let found = self.registry.manifest(reference).await;
        found.map_err(|error| action_error(error, &self.registry, self.context))
    }

    /// Every manifest under this one, and what each names.
    async fn all(&mut self, first: Manifest) -> Result<()> {
        // Only digests wait, because manifests may be large; and they are counted before any is asked for.
        let mut open = Vec::new();
        let mut manifests = 1;
        let mut next = Some(first);
        while let Some(manifest) = next {
            self.bytes += manifest.bytes.len() as u64;
            let body: Value = serde_json::from_slice(&manifest.bytes)
                .map_err(|_| self.wrong(&format!("has a manifest that is no JSON: {}", manifest.digest)))?;
            for inner in body["manifests"].as_array().into_iter().flatten() {
                let digest = self.digest(inner)?;
                if self.seen.insert(digest.clone()) {
                    manifests += 1;
                    if manifests > MANIFESTS {
                        return Err(self.wrong(&format!("has more than {MANIFESTS} manifests")));
                    }
                    open.push(digest);
                }
            }
            if !body["manifests"].is_array() {
                self.parts(&body).await?;
            }
            next = match open.pop() {
                Some(digest) => {
                    let found = self.manifest(&digest).await?;
                    Some(found.ok_or_else(|| self.wrong(&format!("has no {digest}, which it names")))?)
                }
                None => None,
            };
        }
        Ok(())
    }

    /// What a manifest for one platform names.
    async fn parts(&mut self, manifest: &Value) -> Result<()> {
        self.config(&manifest["config"]).await?;
        for layer in manifest["layers"].as_array().into_iter().flatten() {
            // Such layers may only be had from their makers, and registries do not have them.
            let kind = layer["mediaType"].as_str().unwrap_or_default();
            if !kind.contains("foreign") && !kind.contains("nondistributable") {
                self.blob(layer, self.params.pull).await?;
            }
        }
        Ok(())
    }

    /// What the image says of itself. It is small, so it is always read where a version is asked for.
    async fn config(&mut self, descriptor: &Value) -> Result<()> {
        let Some(version) = self.params.version.clone() else {
            return self.blob(descriptor, self.params.pull).await.map(drop);
        };
        let Some(bytes) = self.blob(descriptor, true).await? else { return Ok(()) };
        let config: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        // What is no image, such as an attestation beside one, has no labels to be right or wrong.
        if config.get("rootfs").is_none() || config["os"] == "unknown" {
            return Ok(());
        }
        match config["config"]["Labels"][LABEL].as_str() {
            Some(found) if found == version => Ok(()),
            Some(found) => Err(self.wrong(&format!("says that it is {found}, not {version}"))),
            None => Err(self.wrong(&format!("does not say its version: build it with the label {LABEL}"))),
        }
    }

    /// A part, once: its bytes when it was read.
    async fn blob(&mut self, descriptor: &Value, pull: bool) -> Result<Option<Vec<u8>>> {
        let digest = self.digest(descriptor)?;
        if !self.seen.insert(digest.clone()) {
            return Ok(None);
        }
        let size = descriptor["size"].as_u64();
        let size = size.ok_or_else(|| self.wrong(&format!("does not say how long {digest} is")))?;
        self.bytes = self.bytes.saturating_add(size);
        if !pull {
            let found = self.registry.has_blob(&digest).await;
            return match found.map_err(|error| action_error(error, &self.registry, self.context))? {
                true => Ok(None),
                false => Err(self.wrong(&format!("has no {digest}, which it names"))),
            };
        }
        let read = self.registry.blob(&digest, size, self.params.timeout.to_std()).await;
        read.map(Some).map_err(|error| action_error(error, &self.registry, self.context))
    }

    fn digest(&self, descriptor: &Value) -> Result<String> {
        let digest = descriptor["digest"].as_str().unwrap_or_default();
        match is_digest(digest) {
            true => Ok(digest.to_owned()),
            false => {
                Err(self.wrong(&format!("names `{}`, which is no digest of SHA-256", sanitize_line(digest))))
            }
        }
    }

    fn wrong(&self, what: &str) -> ActionError {
        ActionError::Final(self.registry.mask(&sanitize_line(&format!("{} {what}", self.name))))
    }
}

fn image(text: &str) -> Result<Name> {
    let name = name("image.verify", text)?;
    match name.reference {
        Some(_) => Ok(name),
        None => Err(ActionError::Final(format!(
            "image.verify: say which one is meant: `{}:VERSION`",
            sanitize_line(text)
        ))),
    }
}

/// A password is for one registry: the others must not be told it.
fn one_registry(params: &Params) -> Result<()> {
    if params.user.is_none() && params.password.is_none() {
        return Ok(());
    }
    // What is no name yet, or none at all, is not asked anywhere.
    let names = params.images.iter().filter(|text| !is_open(text)).filter_map(|text| Name::parse(text).ok());
    let registries: BTreeSet<String> = names.map(|name| name.registry).collect();
    if registries.len() < 2 {
        return Ok(());
    }
    let listed: Vec<String> = registries.into_iter().collect();
    Err(ActionError::Final(format!(
        "image.verify: `user` and `password` would be sent to {}: write one step per registry, each with its own",
        listed.join(" and ")
    )))
}

fn access(params: &Params) -> Access<'_> {
    Access { insecure: params.insecure, user: params.user.as_deref(), password: params.password.as_deref() }
}

fn yes() -> bool {
    true
}

fn ten_minutes() -> Duration {
    Duration::from_secs(600)
}
