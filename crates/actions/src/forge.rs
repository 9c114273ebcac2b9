//! What the actions on forges have in common: which forge is meant, which tag, and the token for it.

use windlass_core::config;
use windlass_core::forge::Project;
use windlass_core::plan::{Facts, ReleaseFact};
use windlass_core::text::sanitize_line;
use windlass_engine::action::{ActionError, Result};
use windlass_engine::context::Context;

use crate::adapters::git::names;

/// The secret that holds the token where nothing else is said.
pub const SECRET: &str = "forge";

/// Why the forge is not known, where neither the parameters nor the facts name one.
pub(crate) fn require_known(action: &str, forge: Option<&Project>, facts: &Facts) -> Result<()> {
    match (forge, &facts.forge.unknown) {
        (None, Some(why)) => Err(ActionError::Final(format!("{action}: {why}"))),
        _ => Ok(()),
    }
}

/// The repository on its forge, when a token may be sent there.
pub(crate) fn project<'a>(action: &str, forge: Option<&'a Project>) -> Result<&'a Project> {
    let wrong = |why: String| ActionError::Final(format!("{action}: {why}"));
    let project = forge.ok_or_else(|| {
        wrong("nobody says which forge: write [forge] kind, url and repository in windlass.toml".into())
    })?;
    config::Forge::check_url(&project.url)
        .map_err(|why| wrong(format!("the forge's address `{}` {why}", sanitize_line(&project.url))))?;
    Ok(project)
}

/// The tag that is meant: the one that is said, else the release's.
pub(crate) fn tag<'a>(
    action: &str,
    said: Option<&'a str>,
    release: Option<&'a ReleaseFact>,
) -> Result<&'a str> {
    let tag = said.or(release.map(|release| release.tag.as_str())).ok_or_else(|| {
        ActionError::Final(format!(
            "{action}: this run releases no version, so `tag` must say which tag is meant"
        ))
    })?;
    // What earlier steps find is known only when it runs.
    if !tag.contains("{{") {
        names::tag(tag)?;
    }
    Ok(tag)
}

/// The token for the forge.
pub(crate) fn token<'a>(
    action: &str,
    name: &str,
    project: &Project,
    context: &'a Context,
) -> Result<&'a str> {
    context.world.secrets.get(name).map(String::as_str).ok_or_else(|| {
        let (host, shown) = (sanitize_line(project.host()), sanitize_line(name));
        let variable = project.kind.variable();
        ActionError::Final(match name == SECRET {
            true => format!(
                "{action}: there is no token for {host}: set the environment variable {variable}, or name another \
                 one in windlass.toml: [secrets] {SECRET} = {{ env = \"NAME\" }}"
            ),
            false => format!(
                "{action}: there is no token for {host}: the secret `{shown}` is not configured, write \
                 [secrets] {shown} = {{ env = \"{variable}\" }} in windlass.toml and set {variable}"
            ),
        })
    })
}

/// A tag and where it is, for people.
pub(crate) fn place(project: &Project, tag: &str) -> String {
    sanitize_line(&format!("{tag} in {} on {}", project.repository, project.host()))
}

/// A tag and where it is, as the target of an effect.
pub(crate) fn target(project: &Project, tag: &str) -> String {
    format!("{}/{} {tag}", project.host(), project.repository)
}
