//! Reads `[environments.NAME.database]`.

use super::{Entry, Reader};
use crate::config::{Backup, BackupSource, Database, Scratch};
use crate::text::sanitize_line;

/// The longest name of a database that leaves room for the names Windlass makes of it.
const LONGEST_NAME: usize = 40;

impl Reader {
    pub(super) fn database(&mut self, entry: &Entry<'_>) -> Option<Database> {
        const KEYS: &[&str] = &[
            "kind",
            "host",
            "account",
            "address",
            "port",
            "name",
            "user",
            "password",
            "maintenance",
            "programs",
            "schema",
            "backup",
        ];
        let table = entry.item.as_table_like().is_some();
        let mut database = Database::default();
        for entry in self.table(entry) {
            match entry.key {
                "kind" => drop(self.choice(&entry, &["postgres"])),
                "host" => database.host = self.text(&entry).filter(|host| self.is_plain(&entry, host)),
                "account" => {
                    database.account = self.text(&entry).filter(|account| self.is_plain(&entry, account));
                }
                "address" => database.address = self.argument(&entry),
                "port" => {
                    match entry
                        .item
                        .as_integer()
                        .and_then(|port| u16::try_from(port).ok())
                        .filter(|port| *port > 0)
                    {
                        Some(port) => database.port = Some(port),
                        None => self.wrong(&entry, "a port"),
                    }
                }
                "name" => {
                    if let Some(name) = self.argument(&entry) {
                        if name.len() > LONGEST_NAME {
                            let message = format!(
                                "`{}` has {} bytes; {LONGEST_NAME} are the most",
                                entry.path,
                                name.len()
                            );
                            self.bad(&entry, &message, "names such as NAME_before_RUN are made of it");
                        }
                        database.name = name;
                    }
                }
                "user" => database.user = self.argument(&entry),
                "password" => database.password = self.secret_name(&entry),
                "maintenance" => {
                    if let Some(name) = self.argument(&entry) {
                        database.maintenance = name;
                    }
                }
                "programs" => database.programs = self.folder(&entry),
                "schema" => database.schema = self.text(&entry),
                "backup" => database.backup = self.backup(&entry),
                _ => self.unknown(&entry, KEYS),
            }
        }
        if table && database.name.is_empty() {
            self.bad(entry, &format!("`{}` has no `name`", entry.path), "give the database's name");
        }
        (!database.name.is_empty()).then_some(database)
    }

    fn backup(&mut self, entry: &Entry<'_>) -> Backup {
        const KEYS: &[&str] = &[
            "source",
            "folder",
            "repository",
            "stanza",
            "password",
            "secrets",
            "create",
            "list",
            "fetch",
            "max_age",
            "size_within",
            "proven_within",
            "check",
            "loss",
            "scratch",
        ];
        let before = self.findings.len();
        let mut backup = Backup::default();
        for entry in self.table(entry) {
            match entry.key {
                "source" => {
                    let sources = ["pg_dump", "restic", "pgbackrest", "script"];
                    backup.source = match self.choice(&entry, &sources).as_deref() {
                        Some("restic") => BackupSource::Restic,
                        Some("pgbackrest") => BackupSource::PgBackRest,
                        Some("script") => BackupSource::Script,
                        _ => BackupSource::PgDump,
                    }
                }
                "folder" => backup.folder = self.folder(&entry),
                "repository" => backup.repository = self.argument(&entry),
                "stanza" => backup.stanza = self.argument(&entry),
                "password" => backup.password = self.secret_name(&entry),
                "secrets" => backup.secrets = self.texts(&entry),
                "create" => backup.create = self.text(&entry),
                "list" => backup.list = self.text(&entry),
                "fetch" => backup.fetch = self.text(&entry),
                "max_age" => self.duration(&entry, &mut backup.max_age),
                "size_within" => {
                    match entry.item.as_integer().and_then(|number| u32::try_from(number).ok()) {
                        Some(number) if (1..=1000).contains(&number) => backup.size_within = number,
                        _ => self.wrong(&entry, "a number of percent from 1 to 1000"),
                    }
                }
                "proven_within" => self.duration(&entry, &mut backup.proven_within),
                "check" => backup.check = self.texts(&entry),
                "loss" => {
                    backup.loss = self.text(&entry);
                    if backup.loss.as_ref().is_some_and(|query| !query.contains("$since")) {
                        let message = format!("`{}` does not say since when", entry.path);
                        self.bad(
                            &entry,
                            &message,
                            "such as \"select count(*) from orders where created_at > $since\"",
                        );
                    }
                }
                "scratch" => {
                    backup.scratch = match self.choice(&entry, &["server", "database"]).as_deref() {
                        Some("database") => Scratch::Database,
                        _ => Scratch::Server,
                    }
                }
                _ => self.unknown(&entry, KEYS),
            }
        }
        if self.findings.len() == before
            && let Err(why) = backup.check()
        {
            let message = format!("`{}` {why}", entry.path);
            self.bad(entry, &message, "the keys of each `source` are in docs/guide/data.md");
        }
        backup
    }

    /// A text that no program takes for an option.
    fn argument(&mut self, entry: &Entry<'_>) -> Option<String> {
        let text = self.text(entry)?;
        // PostgreSQL's programs read `=` and `://` in a name as a whole way to connect.
        let is_database = matches!(entry.key, "name" | "maintenance");
        let is_way = is_database && (text.contains('=') || text.contains("://"));
        if text.starts_with('-') || text.chars().any(char::is_control) || is_way {
            let message = format!("`{}` begins with `-`, or holds what no name holds", entry.path);
            self.bad(entry, &message, "write its plain name");
            return None;
        }
        Some(text)
    }

    /// The name of a secret, which must be a name of a variable too. A password written here instead is not repeated.
    fn secret_name(&mut self, entry: &Entry<'_>) -> Option<String> {
        let text = self.text(entry)?;
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "_-.".contains(letter);
        if text.chars().all(plain) {
            return Some(sanitize_line(&text));
        }
        let message = format!("`{}` must be the name of a secret, never the secret itself", entry.path);
        self.bad(entry, &message, "write the name it has under [secrets]");
        None
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{BackupSource, Config, Scratch};
    use crate::duration::Duration;

    #[test]
    fn a_whole_database_is_read() {
        let (config, findings) = Config::parse(
            "[environments.production.database]\nkind = \"postgres\"\nhost = \"db1\"\naccount = \"postgres\"\n\
             address = \"/var/run/postgresql\"\nport = 5433\nname = \"shop\"\nuser = \"windlass\"\n\
             password = \"DB_PASSWORD\"\nmaintenance = \"template1\"\nprograms = \"/opt/pg/bin\"\n\
             schema = \"select version_num from alembic_version\"\n[environments.production.database.backup]\n\
             source = \"restic\"\nfolder = \"/var/backups/shop\"\nrepository = \"s3:host/bucket\"\n\
             password = \"RESTIC\"\nsecrets = [\"AWS_SECRET_ACCESS_KEY\"]\nmax_age = \"12h\"\nsize_within = 30\n\
             proven_within = \"2d\"\ncheck = [\"select true\"]\nscratch = \"database\"\n\
             loss = \"select count(*) from orders where at > $since\"\n",
        );
        assert_eq!(findings, []);
        let database = config.environments["production"].database.as_ref().unwrap();
        assert_eq!((database.port, database.host.as_deref()), (Some(5433), Some("db1")));
        let backup = &database.backup;
        assert_eq!((backup.source, backup.scratch), (BackupSource::Restic, Scratch::Database));
        assert_eq!((backup.max_age, backup.size_within), (Duration::from_secs(12 * 3600), 30));
        // What a plan keeps is what was read.
        let kept = serde_json::to_string(database).unwrap();
        assert_eq!(&serde_json::from_str::<crate::config::Database>(&kept).unwrap(), database);
    }

    #[test]
    fn databases_that_cannot_be_are_found() {
        let backup = |text: &str| {
            format!("[environments.a.database]\nname = \"x\"\n[environments.a.database.backup]\n{text}\n")
        };
        for (source, expect) in [
            ("[environments.a]\ndatabase = 1\n".to_owned(), "must be a table"),
            ("[environments.a.database]\nuser = \"x\"\n".to_owned(), "has no `name`"),
            ("[environments.a.database]\nname = \"-c\"\n".to_owned(), "begins with `-`"),
            ("[environments.a.database]\nname = \"host=evil\"\n".to_owned(), "no name holds"),
            (format!("[environments.a.database]\nname = \"{}\"\n", "n".repeat(41)), "41 bytes"),
            ("[environments.a.database]\nname = \"x\"\nkind = \"mysql\"\n".to_owned(), "is not a value"),
            ("[environments.a.database]\nname = \"x\"\nport = 70000\n".to_owned(), "must be a port"),
            ("[environments.a.database]\nname = \"x\"\nport = 0\n".to_owned(), "must be a port"),
            ("[environments.a.database]\nname = \"x\"\nhost = \"-oX\"\n".to_owned(), "no name that ssh"),
            (
                "[environments.a.database]\nname = \"x\"\npassword = \"p@ss w\"\n".to_owned(),
                "never the secret",
            ),
            ("[environments.a.database]\nname = \"x\"\nbackups = 1\n".to_owned(), "did you mean `backup`?"),
            (backup("source = \"rsync\""), "is not a value"),
            (backup("source = \"pg_dump\""), "needs `folder`"),
            (backup("source = \"restic\"\nfolder = \"/b\""), "needs `repository`"),
            (backup("source = \"pgbackrest\"\nfolder = \"/b\""), "needs `stanza`"),
            (backup("source = \"script\"\nfolder = \"/b\""), "needs `list`"),
            (backup("folder = \"b\""), "absolute folder"),
            (backup("folder = \"/b\"\nsize_within = 0"), "percent from 1"),
            (backup("folder = \"/b\"\nmax_age = \"often\""), "not a duration"),
            (backup("folder = \"/b\"\nloss = \"select 1\""), "since when"),
            (backup("folder = \"/b\"\nscratch = \"disk\""), "is not a value"),
            (backup("folder = \"/b\"\nmaxage = \"1h\""), "did you mean `max_age`?"),
        ] {
            let (_, findings) = Config::parse(&source);
            let told = |finding: &crate::diagnostic::Diagnostic| {
                finding.message.contains(expect) || finding.help.iter().any(|help| help.contains(expect))
            };
            assert!(findings.iter().any(told), "{source}: {findings:?}");
            assert!(findings.iter().all(|finding| finding.span.is_some()), "{source}: {findings:?}");
            assert!(!format!("{findings:?}").contains("p@ss w"), "{findings:?}");
        }
    }
}
