//! Where backups come from: `pg_dump` with a catalogue of our own, restic, pgBackRest, or scripts. Each lists what there
//! is, makes one more, and gives one as a file for `pg_restore`.

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use windlass_core::config::BackupSource;
use windlass_core::text::sanitize_line;
use windlass_engine::action::{ActionError, Result};

use super::catalogue::{BEFORE, Catalogue, Entry, amount, is_plain};
use super::tools::{Tools, Trouble, moment, value};

/// A backup as a file on the database's host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dump {
    /// Its name in the folder.
    pub file: String,
    /// It was only fetched, and is to be removed.
    pub is_copy: bool,
}

impl Tools<'_> {
    /// Where the backups are, for people.
    pub fn store(&self) -> String {
        let backup = &self.database.backup;
        let folder = backup.folder.as_deref().unwrap_or_default();
        let what = match backup.source {
            BackupSource::PgDump => folder.to_owned(),
            BackupSource::Restic => format!("restic's {}", backup.repository.as_deref().unwrap_or_default()),
            BackupSource::PgBackRest => {
                format!("pgBackRest's stanza {}", backup.stanza.as_deref().unwrap_or_default())
            }
            BackupSource::Script => "what the script `list` lists".to_owned(),
        };
        format!("{what} on {} (database {})", self.place(), self.database.name)
    }

    /// The backups that there are.
    ///
    /// # Errors
    /// When the source cannot be asked.
    pub async fn catalogue(&self) -> Result<Catalogue> {
        self.folder()?;
        let text = self.call("look", &[], &[], "").await?;
        let mut catalogue = Catalogue::parse(&text).map_err(|why| {
            let folder = self.database.backup.folder.as_deref().unwrap_or_default();
            ActionError::Final(format!("{}:{folder}: {why}", self.place()))
        })?;
        match self.database.backup.source {
            BackupSource::PgDump => {}
            BackupSource::Restic => catalogue.entries = self.restic().await?,
            BackupSource::PgBackRest => catalogue.entries = self.pgbackrest().await?,
            BackupSource::Script => catalogue.entries = self.listed().await?,
        }
        Ok(catalogue.sorted())
    }

    /// Makes a backup of this name.
    ///
    /// # Errors
    /// When it cannot be made; then there is none of that name.
    pub async fn make(&self, id: &str, version: Option<&str>, run: &str) -> Result<Entry> {
        let before = self.catalogue().await?;
        if let Some(entry) = before.made(id) {
            return Ok(entry.clone());
        }
        let schema = self.schema().await?;
        let needed = before.entries.last().map_or(0, |entry| entry.size + entry.size / 5).to_string();
        let backup = &self.database.backup;
        match backup.source {
            BackupSource::PgDump => {
                let entry = self.dump(id, &needed).await?;
                let entry =
                    Entry { schema, version: version.map(str::to_owned), run: Some(run.to_owned()), ..entry };
                self.keep("catalogue.jsonl", &entry).await?;
                return Ok(entry);
            }
            BackupSource::Restic => {
                let entry = self.dump(id, &needed).await?;
                let (file, name) = (file_of(id), self.inside());
                let taken = entry.taken.as_second().to_string();
                self.call("store", &[&file, &name, &format!("id={id}"), &taken], &[], "").await?;
            }
            BackupSource::PgBackRest => {
                let stanza = format!("--stanza={}", backup.stanza.as_deref().unwrap_or_default());
                let note = format!("--annotation=windlass={id}");
                let words = ["pgbackrest", &stanza, &note, "--log-level-console=error", "backup"];
                self.call("call", &words, &[], "").await?;
            }
            BackupSource::Script => {
                let Some(create) = &backup.create else {
                    return Err(ActionError::Final(format!(
                        "[environments.{}.database.backup] has no `create`, the script that makes a backup",
                        self.environment
                    )));
                };
                self.call("script", &[create], &[("WINDLASS_BACKUP", id)], "").await?;
            }
        }
        let after = self.catalogue().await?;
        let new = after.entries.iter().rev().find(|entry| is_named(entry, id)).or_else(|| {
            // A script may call it as it likes.
            let is_new = |entry: &&Entry| before.find(&entry.id).is_none();
            after.entries.iter().rev().find(is_new)
        });
        new.cloned().ok_or_else(|| {
            ActionError::Failed(format!(
                "the backup ended well, and {} does not list it: see why before you rely on it",
                self.store()
            ))
        })
    }

    async fn dump(&self, id: &str, needed: &str) -> Result<Entry> {
        let file = file_of(id);
        let text = self.call("dump", &[&self.database.name, &file, needed], &[], "").await?;
        Ok(Entry {
            id: id.to_owned(),
            taken: moment(&value(&text, "taken")?)?,
            size: number(&value(&text, "size")?)?,
            sha256: Some(value(&text, "sha256")?),
            bytes: number(&value(&text, "bytes")?)?,
            schema: None,
            version: None,
            run: None,
            broken: None,
        })
    }

    /// Keeps one more line in a file beside the backups.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn keep(&self, file: &str, line: &impl serde::Serialize) -> Result<()> {
        let line = serde_json::to_string(line).map_err(|error| ActionError::Final(error.to_string()))?;
        self.call("keep", &[file], &[], &format!("{line}\n")).await.map(drop).map_err(ActionError::from)
    }

    /// The backup as a file, whole: a checksum that is known is held against it.
    ///
    /// # Errors
    /// [`Trouble::Unfit`] when it is not there, not whole, or not the same any more.
    pub async fn fetch(&self, entry: &Entry) -> std::result::Result<Dump, Trouble> {
        let backup = &self.database.backup;
        let copy = Dump { file: format!("fetched-{}", file_of(&entry.id)), is_copy: true };
        let text = match backup.source {
            BackupSource::PgDump => {
                let dump = Dump { file: file_of(&entry.id), is_copy: false };
                let text = self.call("weigh", &[&dump.file], &[], "").await?;
                self.whole(entry, &dump.file, &text)?;
                return Ok(dump);
            }
            BackupSource::Restic => {
                self.call("fetch", &[&copy.file, &self.inside(), &entry.id], &[], "").await?
            }
            BackupSource::PgBackRest => {
                let stanza = backup.stanza.as_deref().unwrap_or_default();
                let words = [stanza, &entry.id, &self.database.name, &copy.file];
                self.call("dump-copy", &words, &[], "").await?;
                return Ok(copy);
            }
            BackupSource::Script => {
                let fetch = backup.fetch.as_deref().unwrap_or_default();
                let path = format!("{}/{}", backup.folder.as_deref().unwrap_or_default(), copy.file);
                let values =
                    [("WINDLASS_BACKUP", entry.id.as_str()), ("WINDLASS_BACKUP_FILE", path.as_str())];
                self.call("script", &[fetch], &values, "").await?;
                self.call("weigh", &[&copy.file], &[], "").await?
            }
        };
        self.whole(entry, &copy.file, &text)?;
        Ok(copy)
    }

    /// Removes what was only fetched.
    ///
    /// # Errors
    /// When the host cannot be asked.
    pub async fn release(&self, dump: &Dump) -> Result<()> {
        match dump.is_copy {
            true => self.call("forget", &[&dump.file], &[], "").await.map(drop).map_err(ActionError::from),
            false => Ok(()),
        }
    }

    fn whole(&self, entry: &Entry, file: &str, weighed: &str) -> std::result::Result<(), Trouble> {
        let folder = self.database.backup.folder.as_deref().unwrap_or_default();
        let path = format!("{folder}/{file} on {}", self.place());
        let unfit = |why: String| Err(Trouble::Unfit(why));
        let again = "make a new one with backup.create, and see what happened to the disk";
        let Ok(size) = value(weighed, "size") else {
            return unfit(format!(
                "the backup {} is in the catalogue, and its file {path} is gone: {again}",
                entry.id
            ));
        };
        let size = number(&size)?;
        if size == 0 {
            return unfit(format!("the backup {path} is empty: {again}"));
        }
        // Others than `pg_dump` count the size by themselves.
        let is_counted = self.database.backup.source == BackupSource::PgDump;
        if is_counted && size < entry.size {
            let (has, had) = (amount(size), amount(entry.size));
            return unfit(format!("the backup {path} is truncated: it has {has} of {had}; {again}"));
        }
        let sum = value(weighed, "sha256")?;
        match &entry.sha256 {
            Some(expect) if *expect != sum => {
                let (expect, sum) = (short(expect), short(&sum));
                unfit(format!(
                    "the backup {path} is not what was written: its SHA-256 begins with {sum}, and the catalogue says \
                     {expect}; {again}"
                ))
            }
            _ => Ok(()),
        }
    }

    /// The name of the dump in restic's repository.
    fn inside(&self) -> String {
        let plain = |letter: char| {
            if letter.is_ascii_alphanumeric() || "._-".contains(letter) { letter } else { '_' }
        };
        format!("{}.dump", self.database.name.chars().map(plain).collect::<String>())
    }

    async fn restic(&self) -> Result<Vec<Entry>> {
        #[derive(Deserialize)]
        struct Snapshot {
            id: String,
            time: String,
            #[serde(default)]
            tags: Vec<String>,
        }
        let path = format!("/{}", self.inside());
        let words = ["restic", "--no-lock", "snapshots", "--json", "--path", &path];
        let snapshots: Vec<Snapshot> = self.json("restic snapshots", &words).await?;
        let mut entries = Vec::new();
        for snapshot in snapshots {
            let taken: Timestamp =
                snapshot.time.parse().map_err(|_| odd("restic snapshots", &snapshot.time))?;
            let tagged =
                |key: &str| snapshot.tags.iter().find_map(|tag| tag.strip_prefix(key)).map(str::to_owned);
            entries.push(Entry {
                id: snapshot.id,
                taken,
                size: 0,
                sha256: tagged("sha256="),
                bytes: 0,
                schema: None,
                version: None,
                run: tagged("id="),
                broken: None,
            });
        }
        entries.retain(|entry| is_plain(&entry.id));
        entries.sort_by_key(|entry| entry.taken);
        // It is asked for the size of each; only those that are looked at are asked for.
        for entry in entries.iter_mut().rev().take(BEFORE + 1) {
            let words = ["restic", "--no-lock", "stats", "--json", "--mode", "restore-size", &entry.id];
            let stats: Value = self.json("restic stats", &words).await?;
            entry.size =
                stats["total_size"].as_u64().ok_or_else(|| odd("restic stats", &stats.to_string()))?;
        }
        Ok(entries)
    }

    async fn pgbackrest(&self) -> Result<Vec<Entry>> {
        let stanza = format!("--stanza={}", self.database.backup.stanza.as_deref().unwrap_or_default());
        let words = ["pgbackrest", &stanza, "--output=json", "info"];
        let info: Vec<Value> = self.json("pgbackrest info", &words).await?;
        let Some(found) = info.first() else { return Err(odd("pgbackrest info", "no stanza")) };
        let mut entries = Vec::new();
        for backup in found["backup"].as_array().into_iter().flatten() {
            let wrong = || odd("pgbackrest info", &backup.to_string());
            let second = backup["timestamp"]["start"].as_i64().ok_or_else(wrong)?;
            let is_broken = backup["error"].as_bool() == Some(true);
            entries.push(Entry {
                id: backup["label"].as_str().map(sanitize_line).ok_or_else(wrong)?,
                taken: Timestamp::from_second(second).map_err(|_| wrong())?,
                size: backup["info"]["size"].as_u64().ok_or_else(wrong)?,
                sha256: None,
                bytes: backup["info"]["size"].as_u64().unwrap_or_default(),
                schema: None,
                version: None,
                run: backup["annotation"]["windlass"].as_str().map(sanitize_line),
                broken: is_broken.then(|| "pgBackRest found pages with a wrong checksum in it".to_owned()),
            });
        }
        // 0 is well, 2 is a stanza without backups.
        let code = found["status"]["code"].as_i64().unwrap_or(-1);
        if code != 0 && code != 2 {
            let message = sanitize_line(found["status"]["message"].as_str().unwrap_or("no reason"));
            return Err(ActionError::Final(format!("{}: pgBackRest says: {message}", self.store())));
        }
        Ok(entries)
    }

    async fn listed(&self) -> Result<Vec<Entry>> {
        let list = self.database.backup.list.as_deref().unwrap_or_default();
        let text = self.call("script", &[list], &[], "").await?;
        let mut entries = Vec::new();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let entry: Entry = serde_json::from_str(line).map_err(|error| {
                odd(
                    "the script `list`",
                    &format!("{line} ({error}); it must print JSON with id, taken and size"),
                )
            })?;
            if !is_plain(&entry.id) {
                return Err(odd("the script `list`", &format!("the id {}", entry.id)));
            }
            entries.push(entry);
        }
        Ok(entries)
    }

    async fn json<T: DeserializeOwned>(&self, what: &str, words: &[&str]) -> Result<T> {
        let text = self.call("call", words, &[], "").await?;
        serde_json::from_str(&text).map_err(|_| odd(what, &text))
    }
}

/// Whether it is the backup that was made under this name.
fn is_named(entry: &Entry, id: &str) -> bool {
    entry.id == id || entry.run.as_deref() == Some(id)
}

impl Catalogue {
    /// The backup that was made under this name: a source may call it by one of its own.
    pub fn made(&self, id: &str) -> Option<&Entry> {
        self.entries.iter().rev().find(|entry| is_named(entry, id))
    }
}

fn file_of(id: &str) -> String {
    format!("{id}.dump")
}

fn short(sum: &str) -> String {
    sanitize_line(sum).chars().take(12).collect()
}

fn number(text: &str) -> Result<u64> {
    text.trim().parse().map_err(|_| odd("the database's host", text))
}

fn odd(what: &str, told: &str) -> ActionError {
    let told: String = sanitize_line(told).chars().take(200).collect();
    ActionError::Failed(format!("{what} gave what cannot be understood: {told}"))
}
