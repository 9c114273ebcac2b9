//! What the actions on images have in common: the way to a registry, and what its errors mean for a run.

use windlass_core::text::sanitize_line;
use windlass_engine::action::{ActionError, Result};
use windlass_engine::context::Context;

use crate::adapters::registry::{Credentials, Name, Registry, RegistryError};

/// How a registry is reached.
pub(crate) struct Access<'a> {
    /// Without encryption, also on another machine.
    pub(crate) insecure: bool,
    /// The account there.
    pub(crate) user: Option<&'a str>,
    /// The name of the secret that is its password.
    pub(crate) password: Option<&'a str>,
}

impl Access<'_> {
    /// Whether the parts go together.
    pub(crate) fn check(&self) -> Result<()> {
        match (self.user, self.password) {
            (Some(_), Some(_)) | (None, None) => Ok(()),
            _ => Err(ActionError::Final("`user` and `password` belong together".into())),
        }
    }

    /// The repository of `name`.
    pub(crate) fn registry(&self, name: &Name, context: &Context) -> Result<Registry> {
        self.check()?;
        let credentials = match (self.user, self.password) {
            (Some(user), Some(password)) => Some(Credentials {
                user: user.to_owned(),
                password: context.secret(password)?.trim().to_owned(),
            }),
            _ => None,
        };
        Registry::new(name, self.insecure, credentials)
            .map_err(|error| ActionError::Final(context.world.masker.mask(&error.to_string())))
    }
}

/// An image's name, when it is known at planning already.
pub(crate) fn name(action: &str, text: &str) -> Result<Name> {
    Name::parse(text).map_err(|why| ActionError::Final(format!("{action}: `{}` {why}", sanitize_line(text))))
}

/// It names an output that only the run knows.
pub(crate) fn is_open(text: &str) -> bool {
    text.contains("{{")
}

/// A digest may stand behind an image's name, as deployments keep it.
pub(crate) fn digest_of(text: &str) -> &str {
    text.rsplit('@').next().unwrap_or(text)
}

/// What an error of `registry` means for a run.
pub(crate) fn action_error(error: RegistryError, registry: &Registry, context: &Context) -> ActionError {
    let told = context.world.masker.mask(&registry.mask(&error.to_string()));
    match error {
        RegistryError::Refused(_) => ActionError::Final(told),
        RegistryError::Away(_) => ActionError::Failed(told),
    }
}

/// `work`, unless the run is cancelled first.
pub(crate) async fn unless_cancelled<T>(
    context: &Context,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    tokio::select! {
        biased;
        () = context.cancel.cancelled() => Err(ActionError::Cancelled),
        done = work => done,
    }
}
