//! `image.tag`: another tag for an image that a registry has, such as `latest` for the version before.
//!
//! The registry gets the very bytes of the manifest under the other tag: nothing is pulled, and the digest stays. What the
//! tag named before is kept in Windlass's own folder before it is moved, so that also a run that was killed can move it back.

use std::fs::{self, File};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use windlass_core::plan::{Effect, Facts, ReleaseFact, Reversibility, sha256_hex};
use windlass_core::text::sanitize_line;
use windlass_engine::action::{Action, ActionError, Probe, Result, Undone};
use windlass_engine::context::Context;

use crate::adapters::files;
use crate::adapters::registry::{Manifest, Name, Registry, is_digest, is_tag};
use crate::image::{Access, action_error, digest_of, is_open, name, unless_cancelled};

/// Another tag for an image that a registry has.
#[derive(Debug, Clone, Copy)]
pub struct TagImage;

/// Parameters of `image.tag`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The image without a tag, such as `registry.example.com/shop`.
    pub image: String,
    /// The tag that is moved, such as `latest`; it is made when it is not there.
    pub tag: String,
    /// What it is to name: a tag such as `{{ outputs.choose.to }}`, or a digest, also as `{{ outputs.choose.images.web }}`.
    pub to: String,
    /// The digest that `to` must have. Another one changes nothing.
    #[serde(default)]
    pub digest: Option<String>,
    /// The account at the registry.
    #[serde(default)]
    pub user: Option<String>,
    /// The name of the secret that is its password or token.
    #[serde(default)]
    pub password: Option<String>,
    /// The registry is asked without encryption. On this machine it always is.
    #[serde(default)]
    pub insecure: bool,
}

/// What `image.tag` gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// The tag with its image.
    pub image: String,
    /// The digest it names.
    pub digest: String,
    /// The digest it named before; empty when it was not there.
    pub before: String,
}

impl Action for TagImage {
    const NAME: &'static str = "image.tag";
    const SUMMARY: &'static str = "Gives an image in a registry another tag by its digest, such as `latest` back to the version before.";
    type Params = Params;
    type Output = Output;

    fn effects(&self, params: &Params, facts: &Facts) -> Result<Vec<Effect>> {
        access(params).check()?;
        if !is_open(&params.image) {
            image(params)?;
        }
        for (text, known) in [(&params.tag, is_tag(&params.tag)), (&params.to, is_target(&params.to))] {
            if !known && !is_open(text) {
                return Err(ActionError::Final(format!(
                    "image.tag: `{}` is neither a tag nor a digest",
                    sanitize_line(text)
                )));
            }
        }
        let preview = preview(params, facts.release.as_ref());
        if preview.is_some_and(|release| params.to == release.version || params.to == release.tag) {
            return Err(not_latest(&params.to));
        }
        Ok(vec![effect(params)])
    }

    fn label(&self, params: &Params, _: &Facts) -> String {
        let to = if is_open(&params.to) { "the version before" } else { params.to.as_str() };
        sanitize_line(&format!("{}:{} names {to}", params.image, params.tag))
    }

    async fn probe(&self, params: &Params, context: &Context) -> Result<Probe<Output>> {
        let work = async {
            let (mut registry, wanted) = wanted(params, context).await?;
            let found = manifest(&mut registry, &params.tag, context).await?;
            Ok(match found {
                Some(found) if found.digest == wanted.digest => {
                    let before = kept(params, context)?.unwrap_or_else(|| found.digest.clone());
                    Probe::Done(output(params, &wanted, before))
                }
                _ => Probe::Absent,
            })
        };
        unless_cancelled(context, work).await
    }

    async fn run(&self, params: &Params, context: &Context) -> Result<Output> {
        let work = async {
            let (mut registry, wanted) = wanted(params, context).await?;
            let found = manifest(&mut registry, &params.tag, context).await?.map(|found| found.digest);
            if found.as_ref() == Some(&wanted.digest) {
                let before = kept(params, context)?.unwrap_or_else(|| wanted.digest.clone());
                return Ok(output(params, &wanted, before));
            }
            let before = found.unwrap_or_default();
            keep(params, &before, context)?;
            put(&mut registry, params, &wanted, context).await?;
            context.changed(effect(params));
            let was = if before.is_empty() { "nothing" } else { before.as_str() };
            context
                .log(&format!("{}:{} names {}, before that {was}", params.image, params.tag, wanted.digest));
            Ok(output(params, &wanted, before))
        };
        unless_cancelled(context, work).await
    }

    async fn undo(&self, params: &Params, output: &Output, context: &Context) -> Result<Undone> {
        let work = async {
            if output.before == output.digest {
                return Ok(Undone::NothingToDo);
            }
            let mut registry = access(params).registry(&image(params)?, context)?;
            let found = manifest(&mut registry, &params.tag, context).await?.map(|found| found.digest);
            let shown = &output.image;
            match found {
                Some(found) if found == output.before => {
                    forget(params, context);
                    return Ok(Undone::NothingToDo);
                }
                Some(found) if found == output.digest => {}
                _ => {
                    return Ok(Undone::NeedsHuman(format!(
                        "{shown} does not name {} any more: somebody has moved it since",
                        output.digest
                    )));
                }
            }
            if output.before.is_empty() {
                return Ok(Undone::NeedsHuman(format!(
                    "{shown} was not there before, and the registry can only delete the image with it: delete the tag \
                     yourself"
                )));
            }
            let Some(before) = manifest(&mut registry, &output.before, context).await? else {
                return Ok(Undone::NeedsHuman(format!(
                    "{shown} named {} before, which the registry does not have any more",
                    output.before
                )));
            };
            put(&mut registry, params, &before, context).await?;
            forget(params, context);
            Ok(Undone::Reverted(format!("{shown} names {} again", output.before)))
        };
        unless_cancelled(context, work).await
    }
}

/// What the tag is to name.
async fn wanted(params: &Params, context: &Context) -> Result<(Registry, Manifest)> {
    let image = image(params)?;
    let mut registry = access(params).registry(&image, context)?;
    let target = digest_of(&params.to);
    if !is_tag(&params.tag) || !is_target(&params.to) {
        return Err(ActionError::Final(format!(
            "image.tag: `{}` or `{}` is neither a tag nor a digest",
            sanitize_line(&params.tag),
            sanitize_line(&params.to)
        )));
    }
    let found = manifest(&mut registry, target, context).await?.ok_or_else(|| {
        ActionError::Final(format!("{image} has no {target}: nothing was changed, {} stays", params.tag))
    })?;
    not_a_preview(&mut registry, params, &found, context).await?;
    match params.digest.as_deref().map(digest_of) {
        Some(digest) if digest != found.digest => Err(ActionError::Final(format!(
            "{image}:{target} is {} and not {}: somebody has moved it, so {} stays as it is",
            found.digest,
            sanitize_line(digest),
            params.tag
        ))),
        _ => Ok((registry, found)),
    }
}

/// `latest` must not name the pre-release at hand, by whatever tag or digest of it that is asked for.
async fn not_a_preview(
    registry: &mut Registry,
    params: &Params,
    wanted: &Manifest,
    context: &Context,
) -> Result<()> {
    let Some(release) = preview(params, context.world.release.as_deref()) else { return Ok(()) };
    for tag in [&release.version, &release.tag].into_iter().filter(|tag| is_tag(tag)) {
        let found = manifest(registry, tag, context).await?;
        if found.is_some_and(|found| found.digest == wanted.digest) {
            return Err(not_latest(tag));
        }
    }
    Ok(())
}

/// The release, when it is one that the tag must not name.
fn preview<'a>(params: &Params, release: Option<&'a ReleaseFact>) -> Option<&'a ReleaseFact> {
    release
        .filter(|release| params.tag == "latest" && !matches!(release.channel.as_str(), "stable" | "hotfix"))
}

fn not_latest(preview: &str) -> ActionError {
    ActionError::Final(format!(
        "image.tag: {preview} is a pre-release, which `latest` must not name: guard the step with `When: channel == \
         \"stable\"`"
    ))
}

async fn manifest(registry: &mut Registry, reference: &str, context: &Context) -> Result<Option<Manifest>> {
    let found = registry.manifest(reference).await;
    found.map_err(|error| action_error(error, registry, context))
}

/// Moves the tag, and looks whether it did.
async fn put(registry: &mut Registry, params: &Params, to: &Manifest, context: &Context) -> Result<()> {
    let told = registry.tag(&params.tag, to).await;
    told.map_err(|error| action_error(error, registry, context))?;
    match manifest(registry, &params.tag, context).await? {
        Some(found) if found.digest == to.digest => Ok(()),
        _ => Err(ActionError::Failed(format!(
            "the registry took {}:{} for {} and still gives something else",
            params.image, params.tag, to.digest
        ))),
    }
}

fn image(params: &Params) -> Result<Name> {
    let name = name("image.tag", &params.image)?;
    match name.reference {
        None => Ok(name),
        Some(_) => Err(ActionError::Final(format!(
            "image.tag: write `image` without a tag or digest: `{}` has one",
            sanitize_line(&params.image)
        ))),
    }
}

fn access(params: &Params) -> Access<'_> {
    Access { insecure: params.insecure, user: params.user.as_deref(), password: params.password.as_deref() }
}

fn is_target(text: &str) -> bool {
    is_digest(digest_of(text)) || is_tag(text)
}

/// Where it is kept, in Windlass's own folder, what the tag named before this run moved it.
fn file(params: &Params, context: &Context) -> String {
    let name = format!("{} {} {}:{}", context.run, context.item(), params.image, params.tag);
    format!("images/{}", sha256_hex(name.as_bytes()))
}

fn kept(params: &Params, context: &Context) -> Result<Option<String>> {
    files::read(&context.world.state, &file(params, context))
}

fn keep(params: &Params, before: &str, context: &Context) -> Result<()> {
    let state = &context.world.state;
    files::replace(state, &[(file(params, context), before.to_owned())]).map_err(|error| {
        ActionError::Failed(format!(
            "what {} names now cannot be kept, so it is not moved: {error}",
            params.tag
        ))
    })?;
    // The folder of the file may be new.
    let _ = File::open(state).and_then(|state| state.sync_all());
    Ok(())
}

/// The tag is back. What cannot be removed is written over when the step moves the tag again.
fn forget(params: &Params, context: &Context) {
    let _ = fs::remove_file(context.world.state.join(file(params, context)));
}

fn output(params: &Params, wanted: &Manifest, before: String) -> Output {
    Output { image: format!("{}:{}", params.image, params.tag), digest: wanted.digest.clone(), before }
}

fn effect(params: &Params) -> Effect {
    Effect::new("move tag", format!("{}:{}", params.image, params.tag), Reversibility::Reversible)
}
