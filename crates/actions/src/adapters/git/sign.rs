//! Signatures of tags and commits, made and checked by the user's own tools.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use windlass_engine::action::{ActionError, Result};

use super::{Git, git};

/// How something is signed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Sign {
    /// Not at all.
    #[default]
    None,
    /// With GnuPG, by the key that `user.signingKey` names or that fits the committer.
    Gpg,
    /// With SSH, by the key that `user.signingKey` names.
    Ssh,
}

impl Sign {
    /// The configuration that makes git sign this way, as options before the subcommand.
    pub fn config(self) -> &'static [&'static str] {
        match self {
            Self::None => &[],
            Self::Gpg => &["-c", "gpg.format=openpgp"],
            Self::Ssh => &["-c", "gpg.format=ssh"],
        }
    }
}

impl Git {
    /// Checks the signature of the tag of this full name.
    ///
    /// # Errors
    /// [`ActionError::Final`] when it is not signed, or not by a known key.
    pub async fn verify_tag(&self, full_ref: &str, sign: Sign) -> Result<()> {
        let mut command = git().args(sign.config().iter().copied());
        // Held until git has read it.
        let signers;
        if sign == Sign::Ssh && self.config("gpg.ssh.allowedSignersFile").await?.is_none() {
            // Nobody said whose keys count, so it must be the one we sign with.
            signers = self.own_signer().await?;
            command =
                command.arg("-c").arg(format!("gpg.ssh.allowedSignersFile={}", signers.path().display()));
        }
        let command = command.args(["verify-tag", full_ref]);
        let finished = self.finish(command).await?;
        if finished.success() {
            return Ok(());
        }
        Err(ActionError::Final(format!("its signature does not hold: {}", self.words(&finished.stderr))))
    }

    /// A file of allowed signers (ssh-keygen(1)) with the key of `user.signingKey`.
    async fn own_signer(&self) -> Result<tempfile::NamedTempFile> {
        let failed = |why: String| ActionError::Final(format!("the signature cannot be checked: {why}"));
        let key = self
            .config("user.signingKey")
            .await?
            .ok_or_else(|| failed("`user.signingKey` is not set in git's configuration".into()))?;
        let literal = key.strip_prefix("key::").unwrap_or(&key);
        let public =
            if literal.starts_with("ssh-") || literal.starts_with("ecdsa-") || literal.starts_with("sk-") {
                literal.to_owned()
            } else {
                let path = match (key.strip_prefix("~/"), std::env::var_os("HOME")) {
                    (Some(rest), Some(home)) => std::path::Path::new(&home).join(rest),
                    _ => self.workspace().join(&key),
                };
                let path = if path.extension().is_some_and(|extension| extension == "pub") {
                    path
                } else {
                    let mut name = path.into_os_string();
                    name.push(".pub");
                    name.into()
                };
                std::fs::read_to_string(&path)
                    .map_err(|error| failed(format!("{}: {error}", path.display())))?
            };
        let file = tempfile::NamedTempFile::new().map_err(|error| failed(error.to_string()))?;
        std::fs::write(file.path(), format!("* {}\n", public.lines().next().unwrap_or_default()))
            .map_err(|error| failed(error.to_string()))?;
        Ok(file)
    }
}
