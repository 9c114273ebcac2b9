//! Promotion: which versions may come to an environment, and where they must have been before.

use std::collections::BTreeMap;

use windlass_core::config::Environment;
use windlass_core::version::{Channel, parse_version};
use windlass_engine::action::{ActionError, Result};
use windlass_engine::context::Context;

use super::{Site, health};
use crate::adapters::remote::Kept;

/// Why a version of this channel may not come to the environment, if so.
pub fn refused(name: &str, environment: &Environment, version: &str) -> Option<String> {
    if environment.channels.is_empty() {
        return None;
    }
    let takes: Vec<&str> = environment.channels.iter().map(|channel| channel.as_str()).collect();
    let takes = takes.join(" and ");
    match parse_version(version).ok().map(|version| Channel::of(&version)) {
        Some(channel) if environment.takes(channel) => None,
        Some(channel) => Some(format!("{name} takes {takes} versions only, and {version} is {channel}")),
        None => Some(format!("{name} takes {takes} versions only, and {version} is of no channel")),
    }
}

/// Refuses a version that has not been deployed to every environment that this one comes after.
///
/// # Errors
/// Where it has not been, or where that cannot be found out.
pub async fn check(
    name: &str,
    environment: &Environment,
    after: &BTreeMap<String, Environment>,
    version: &str,
    context: &Context,
) -> Result<()> {
    if let Some(why) = refused(name, environment, version) {
        return Err(ActionError::Final(why));
    }
    for before in &environment.after {
        let Some(configured) = after.get(before) else {
            return Err(ActionError::Final(format!("{name} comes after {before}, which is no environment")));
        };
        if let Some(why) = has_not_passed(before, configured, version, context).await? {
            return Err(ActionError::Final(format!("{version} may not come to {name} yet: {why}")));
        }
    }
    Ok(())
}

/// Why the version has not passed an environment, if so. Its hosts are asked; where Windlass never deployed, its health
/// check is.
///
/// # Errors
/// When nobody there can be asked.
pub async fn has_not_passed(
    name: &str,
    environment: &Environment,
    version: &str,
    context: &Context,
) -> Result<Option<String>> {
    let site = Site::new(name, environment, context);
    let kept = site.look(context).await;
    let known: Vec<&Kept> = kept.iter().flatten().collect();
    if known.is_empty() {
        let why = super::together(kept.iter().filter_map(|kept| kept.as_ref().err()));
        return Err(ActionError::Failed(format!(
            "whether {version} has passed {name} cannot be found out: {why}"
        )));
    }
    if known.iter().all(|kept| kept.has_passed(version)) {
        return Ok(None);
    }
    let help = format!("deploy it to {name} first");
    if known.iter().all(|kept| kept.record.is_none() && kept.history.is_empty()) {
        let address = health::address(environment);
        if let Some(address) = address {
            let check = health::Check::strict(environment, version);
            let problem = check.ask(&address, context).await?;
            return Ok(problem.map(|why| format!("{why}; {help}")));
        }
        return Ok(Some(format!("nothing was ever deployed to {name}; {help}")));
    }
    let now = known.iter().find_map(|kept| kept.record.as_ref());
    let now = now.map_or("nothing".to_owned(), |record| record.version.clone());
    Ok(Some(format!("it was not deployed to {name}, where {now} is; {help}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_kept() {
        use Channel::{Rc, Stable};
        for (channels, version, expect) in [
            (&[][..], "1.0.0-alpha.1", None),
            (&[Stable], "1.0.0", None),
            (&[Rc, Stable], "1.0.0-rc.1", None),
            (&[Stable], "1.0.0-rc.1", Some("production takes stable versions only, and 1.0.0-rc.1 is rc")),
            (&[Rc, Stable], "1.0.0-beta.2", Some("rc and stable versions only")),
            (&[Stable], "not a version", Some("of no channel")),
            (&[Stable], "1.0.0-nightly", Some("1.0.0-nightly is preview")),
        ] {
            let environment = Environment { channels: channels.into(), ..Environment::default() };
            let found = refused("production", &environment, version);
            match (expect, &found) {
                (None, None) => {}
                (Some(expect), Some(found)) if found.contains(expect) => {}
                _ => panic!("{channels:?} {version}: {found:?}"),
            }
        }
    }
}
