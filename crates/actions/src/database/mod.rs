//! What the actions on databases and backups share.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use windlass_core::config::{Database, Environment};
use windlass_core::plan::sha256_hex;
use windlass_engine::action::{ActionError, Result};
use windlass_engine::context::Context;

use crate::adapters::remote::Host;
use crate::deploy::Site;
use crate::deploy::lock::{holds_lock, item, locked};

pub(crate) mod catalogue;
pub(crate) mod ledger;
pub(crate) mod proof;
pub(crate) mod source;
pub(crate) mod swap;
pub(crate) mod tools;

pub use tools::known;

use tools::Tools;

/// A backup, as it is named in journals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BackupRef {
    /// Its name in its source's catalogue, as `database.restore` takes it.
    pub id: String,
    /// When it was begun: what it holds is as of then.
    pub taken: String,
}

/// What going back to a backup loses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Loss {
    /// When the backup was taken: whatever was written since is lost.
    pub since: String,
    /// How long ago that is, in seconds.
    pub seconds: u64,
    /// What the query `loss` of the configuration counts, when there is one.
    pub rows: Option<u64>,
    /// Why that query gave no number. A migration may have taken away what it asks for: no reason not to go back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown: Option<String>,
}

/// What going back to `backup` would lose now: looks only, and changes nothing.
///
/// # Errors
/// When the database cannot be asked.
pub async fn loss(
    environment: &str,
    target: &Environment,
    backup: &BackupRef,
    context: &Context,
) -> Result<Loss> {
    Tools::new(environment, target, context)?.loss(backup).await
}

impl Tools<'_> {
    /// What going back to `backup` would lose now.
    ///
    /// # Errors
    /// When the database's host cannot be asked for the time.
    pub async fn loss(&self, backup: &BackupRef) -> Result<Loss> {
        let wrong =
            |_| ActionError::Final(format!("`{}` is no time at which a backup was taken", backup.taken));
        let since: jiff::Timestamp = backup.taken.parse().map_err(wrong)?;
        let seconds = u64::try_from(self.now().await?.as_second() - since.as_second()).unwrap_or(0);
        let (rows, unknown) = match &self.database.backup.loss {
            Some(query) => match self.count(query, &since.to_string()).await {
                Ok(rows) => (Some(rows), None),
                Err(ActionError::Cancelled) => return Err(ActionError::Cancelled),
                Err(error) => (None, Some(error.to_string())),
            },
            None => (None, None),
        };
        Ok(Loss { since: since.to_string(), seconds, rows, unknown })
    }

    async fn count(&self, query: &str, since: &str) -> Result<u64> {
        // Bound by psql: the time is never part of the query's text.
        let query = query.replace("$since", ":'since'");
        let told = self.query(&self.database.name, &query, &[("since", since)]).await?;
        told.trim().parse().map_err(|_| {
            let told: String = windlass_core::text::sanitize_line(&told).chars().take(80).collect();
            ActionError::Final(format!(
                "the `loss` query of [environments.{}.database.backup] gave `{told}`, and must give a number",
                self.environment
            ))
        })
    }
}

/// The database of an environment, with backups that can be had.
///
/// # Errors
/// What the configuration lacks.
pub(crate) fn configured<'a>(environment: &str, target: &'a Environment) -> Result<&'a Database> {
    let database = known(environment, target)?;
    let table = format!("[environments.{environment}.database.backup]");
    database.backup.check().map_err(|why| ActionError::Final(format!("{table} {why}")))?;
    Ok(database)
}

/// A name that this item of this run always has.
pub(crate) fn key(context: &Context) -> String {
    let mark = sha256_hex(item(context).as_bytes());
    format!("{}-{}", context.run.0, mark.get(..6).unwrap_or(&mark))
}

/// Whether the environment's lock is this run's, left by a process that was killed.
pub(crate) async fn is_held(environment: &str, target: &Environment, context: &Context) -> Result<bool> {
    match Site::new(environment, target, context).first() {
        Some(host) => Ok(holds_lock(Some(&host.look(context).await?), context)),
        None => Ok(false),
    }
}

/// What a process does its work in an environment under. A process that was stopped for a while may have been overtaken.
#[derive(Debug)]
pub(crate) struct Fence {
    host: Host,
    fence: u64,
}

impl Fence {
    /// Makes sure, right before the database is changed, that nobody else has the environment by now.
    ///
    /// # Errors
    /// When another process has overtaken this one.
    pub async fn hold(&self, context: &Context) -> Result<()> {
        Ok(self.host.raise(context, self.fence).await?)
    }
}

/// Does `work` under the environment's lock.
pub(crate) async fn alone<T, F: Future<Output = Result<T>>>(
    environment: &str,
    target: &Environment,
    context: &Context,
    work: impl FnOnce(Fence) -> F,
) -> Result<T> {
    let mut site = Site::new(environment, target, context);
    site.hosts.truncate(1);
    let Some(host) = site.first().cloned() else {
        return Err(ActionError::Final(format!("the environment {environment} has no hosts")));
    };
    let kept = vec![Some(host.look(context).await?)];
    locked(&site, context, kept, |fence, _| work(Fence { host, fence })).await
}
