//! What the actions on databases and backups share.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
}
