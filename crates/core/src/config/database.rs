//! `[environments.NAME.database]`: the database of an environment, and its backups.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::Duration;

/// `[environments.NAME.database]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// What it is.
    pub kind: DatabaseKind,
    /// The host where its programs run, by a name that ssh knows; this machine when not given.
    pub host: Option<String>,
    /// The account its programs run under there, where it is not the one ssh logs in as: `postgres`, for instance. Root
    /// becomes it with `runuser`, others with `sudo -n`.
    pub account: Option<String>,
    /// Where the server answers, as seen from there: a host, or the folder of its socket (`PGHOST`).
    pub address: Option<String>,
    /// Its port (`PGPORT`).
    pub port: Option<u16>,
    /// The database's name.
    pub name: String,
    /// The user of the database (`PGUSER`). It must be able to make databases.
    pub user: Option<String>,
    /// The name of the secret that is its password (`PGPASSWORD`).
    pub password: Option<String>,
    /// The database to be connected to while databases are made and renamed.
    pub maintenance: String,
    /// The folder of PostgreSQL's programs, where they are neither in `PATH` nor under `/usr/lib/postgresql`.
    pub programs: Option<String>,
    /// A query that gives the schema's newest migration, such as `select version_num from alembic_version`.
    pub schema: Option<String>,
    /// Its backups.
    pub backup: Backup,
}

impl Default for Database {
    fn default() -> Self {
        Self {
            kind: DatabaseKind::Postgres,
            host: None,
            account: None,
            address: None,
            port: None,
            name: String::new(),
            user: None,
            password: None,
            maintenance: "postgres".into(),
            programs: None,
            schema: None,
            backup: Backup::default(),
        }
    }
}

/// What a database is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DatabaseKind {
    /// PostgreSQL.
    #[default]
    Postgres,
}

/// `[environments.NAME.database.backup]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Backup {
    /// What makes and keeps the backups.
    pub source: BackupSource,
    /// A folder on the database's host: `pg_dump` keeps the backups there, the others what is proven of them, and all
    /// of them what is restored for a proof.
    pub folder: Option<String>,
    /// restic's repository (`RESTIC_REPOSITORY`).
    pub repository: Option<String>,
    /// pgBackRest's stanza.
    pub stanza: Option<String>,
    /// The name of the secret that is restic's password (`RESTIC_PASSWORD`).
    pub password: Option<String>,
    /// Names of secrets that the programs get as environment variables, such as `AWS_SECRET_ACCESS_KEY`.
    pub secrets: Vec<String>,
    /// `script`: makes a backup, on the database's host, and is run again after a crash.
    pub create: Option<String>,
    /// `script`: prints the backups that there are, a line of JSON each: `{"id": "7", "taken": "2026-01-01T02:00:00Z",
    /// "size": 1048576}`, the size in bytes.
    pub list: Option<String>,
    /// `script`: writes the backup `$WINDLASS_BACKUP` as an archive of `pg_dump -Fc` to `$WINDLASS_BACKUP_FILE`.
    pub fetch: Option<String>,
    /// How old the newest backup may be.
    #[schemars(with = "String")]
    pub max_age: Duration,
    /// By how many percent its size may differ from the median of those before it.
    pub size_within: u32,
    /// How long a proof by restoring is good for.
    #[schemars(with = "String")]
    pub proven_within: Duration,
    /// Queries that must each give true in the restored database.
    pub check: Vec<String>,
    /// A query that counts what would be lost by going back to a backup: `select count(*) from orders where created_at >
    /// $since`. `$since` stands for when the backup was taken.
    pub loss: Option<String>,
    /// Where a backup is restored to be proven.
    pub scratch: Scratch,
}

impl Default for Backup {
    fn default() -> Self {
        Self {
            source: BackupSource::PgDump,
            folder: None,
            repository: None,
            stanza: None,
            password: None,
            secrets: Vec::new(),
            create: None,
            list: None,
            fetch: None,
            max_age: Duration::from_secs(24 * 3600),
            size_within: 50,
            proven_within: Duration::from_secs(7 * 24 * 3600),
            check: Vec::new(),
            loss: None,
            scratch: Scratch::Server,
        }
    }
}

/// What makes and keeps backups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum BackupSource {
    /// `pg_dump`, into a folder with a catalogue of Windlass's own.
    #[default]
    #[serde(rename = "pg_dump")]
    PgDump,
    /// restic, which gets what `pg_dump` gives.
    #[serde(rename = "restic")]
    Restic,
    /// pgBackRest.
    #[serde(rename = "pgbackrest")]
    PgBackRest,
    /// Scripts.
    #[serde(rename = "script")]
    Script,
}

/// Where a backup is restored to be proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scratch {
    /// To a server of its own, made for it on the database's host and removed after it. It cannot reach the real one:
    /// nothing that a dump or a query holds can touch it, its disk and its replicas get no load.
    #[default]
    Server,
    /// To a database of another name on the same server: where no server can be started.
    Database,
}

impl Backup {
    /// Whether what its source needs is there.
    ///
    /// # Errors
    /// The key that is missing, and what for.
    pub fn check(&self) -> Result<(), String> {
        let needed = match self.source {
            BackupSource::PgDump => vec![],
            BackupSource::Restic => {
                vec![("repository", self.repository.is_some()), ("password", self.password.is_some())]
            }
            BackupSource::PgBackRest => vec![("stanza", self.stanza.is_some())],
            BackupSource::Script => vec![("list", self.list.is_some()), ("fetch", self.fetch.is_some())],
        };
        let needed = needed.into_iter().chain([("folder", self.folder.is_some())]);
        match needed.into_iter().find(|(_, is_there)| !is_there) {
            Some((key, _)) => Err(format!("needs `{key}`")),
            None => Ok(()),
        }
    }
}
