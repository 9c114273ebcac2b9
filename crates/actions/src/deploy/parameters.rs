//! The parameters that every action has that deploys, and what it makes of them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use windlass_core::config::Environment;
use windlass_core::duration::Duration;
use windlass_core::plan::{Facts, ReleaseFact};
use windlass_engine::action::{Action as _, ActionError, Result};

use super::{Wanted, known, promotion};

/// Parameters of an action that deploys: its own, and those that all of them have. One flat table, so that a typo in any
/// of them is found with its place.
macro_rules! parameters {
    ($(#[$meta:meta])* pub struct Params { $($(#[$field:meta])* pub $name:ident : $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, ::serde::Serialize, ::serde::Deserialize, ::schemars::JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct Params {
            /// The environment, as under `[environments]` in windlass.toml.
            pub environment: String,
            $($(#[$field])* pub $name: $type,)*
            /// The version; the release's when not given.
            #[serde(default)]
            pub version: Option<String>,
            /// Its tag, whose files are deployed; the release's when not given.
            #[serde(default)]
            pub tag: Option<String>,
            /// How long a host, and the health check after all of them, may take to become healthy.
            #[serde(default = "crate::deploy::parameters::two_minutes")]
            #[schemars(with = "String")]
            pub ready: ::windlass_core::duration::Duration,
            /// The environment's configuration, as it was when this was planned.
            #[serde(default)]
            #[schemars(skip)]
            pub target: ::windlass_core::config::Environment,
            /// The configurations of the environments it comes after.
            #[serde(default)]
            #[schemars(skip)]
            pub after: ::std::collections::BTreeMap<String, ::windlass_core::config::Environment>,
        }

        impl Params {
            /// What is asked for, without how.
            pub(crate) fn request(&self) -> $crate::deploy::Request {
                $crate::deploy::Request {
                    environment: self.environment.clone(),
                    version: self.version.clone(),
                    tag: self.tag.clone(),
                    ready: self.ready,
                    target: self.target.clone(),
                    after: self.after.clone(),
                }
            }
        }
    };
}
pub(crate) use parameters;

/// What every action that deploys is told: the parameters that all of them have.
#[derive(Debug, Clone, Deserialize)]
pub struct Request {
    /// The environment.
    pub environment: String,
    /// The version, where it is not the release's.
    #[serde(default)]
    pub version: Option<String>,
    /// Its tag.
    #[serde(default)]
    pub tag: Option<String>,
    /// How long a host may take to become healthy.
    #[serde(default = "two_minutes")]
    pub ready: Duration,
    /// The environment's configuration.
    #[serde(default)]
    pub target: Environment,
    /// The configurations of those it comes after.
    #[serde(default)]
    pub after: BTreeMap<String, Environment>,
}

impl Request {
    /// What a call of an action deploys, when it is one that does.
    pub fn of_call(action: &str, params: &Value) -> Option<Self> {
        // A way back is barred by nothing, and the others bring no version anywhere.
        let others =
            [crate::deploy_cleanup::NAME, crate::deploy_previous::NAME, crate::deploy_verify::Verify::NAME];
        let deploys = action.starts_with("deploy.") && !others.contains(&action);
        deploys.then(|| Self::deserialize(params).ok()).flatten()
    }

    /// The version that is wanted, by these parameters or the release.
    ///
    /// # Errors
    /// When neither says it.
    pub fn wanted(&self, release: Option<&ReleaseFact>) -> Result<Wanted> {
        Wanted::of(self.version.as_ref(), self.tag.as_ref(), release)
    }

    /// Refuses what can be known to be wrong before anything is asked: an unknown environment, no version, a channel
    /// that may not come here.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self, facts: &Facts) -> Result<()> {
        known(facts, &self.environment)?;
        let wanted = self.wanted(facts.release.as_ref())?;
        match promotion::refused(&self.environment, &self.target, &wanted.version) {
            Some(why) => Err(ActionError::Final(why)),
            None => Ok(()),
        }
    }

    /// Refuses containers that are made anew where a script brings the version up.
    ///
    /// # Errors
    /// That it is not for scripts.
    pub fn recreates(&self, action: &str, recreate: bool, is_script: bool) -> Result<()> {
        match recreate && is_script {
            true => Err(ActionError::Final(format!(
                "`recreate` of {action} is for docker compose: a script is run every time, so let `run` make anew what must be"
            ))),
            false => Ok(()),
        }
    }

    /// Refuses an environment without one of these keys.
    ///
    /// # Errors
    /// Which one is missing.
    pub fn needs(&self, action: &str, keys: &[(&str, bool)]) -> Result<()> {
        let name = &self.environment;
        match keys.iter().find(|(_, has)| !has) {
            Some((key, _)) => Err(ActionError::Final(format!(
                "{action} needs `{key}` of the environment {name}: add it under [environments.{name}]"
            ))),
            None => Ok(()),
        }
    }

    /// What it does, in a few words.
    pub fn label(&self, facts: &Facts, how: &str) -> String {
        let wanted = self.wanted(facts.release.as_ref());
        let version = wanted.map_or_else(|_| "a version".to_owned(), |wanted| wanted.version);
        format!("deploy {version} to {}{how}", self.environment)
    }
}

pub(crate) fn two_minutes() -> Duration {
    Duration::from_secs(120)
}
