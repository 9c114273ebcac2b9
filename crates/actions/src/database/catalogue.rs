//! The backups that there are, as their source tells it, and what was proven of them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use windlass_core::config::Backup;
use windlass_core::duration::Duration;
use windlass_core::text::sanitize_line;

use super::BackupRef;

/// So many backups before the newest one say what size is likely.
pub const BEFORE: usize = 10;
/// Seconds that the clock of whoever takes backups may be ahead.
const AHEAD: i64 = 300;

/// A backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name in its source's catalogue.
    pub id: String,
    /// When it was begun.
    pub taken: Timestamp,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256.
    #[serde(default)]
    pub sha256: Option<String>,
    /// How many bytes the database had.
    #[serde(default)]
    pub bytes: u64,
    /// The schema's newest migration.
    #[serde(default)]
    pub schema: Option<String>,
    /// The version that was being released.
    #[serde(default)]
    pub version: Option<String>,
    /// The run that made it.
    #[serde(default)]
    pub run: Option<String>,
    /// What its source says is wrong with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<String>,
}

impl Entry {
    /// How it is named in journals.
    pub fn reference(&self) -> BackupRef {
        BackupRef { id: self.id.clone(), taken: self.taken.to_string() }
    }
}

/// That a backup was restored and found right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proven {
    /// The backup.
    pub id: String,
    /// When.
    pub at: Timestamp,
    /// How long it took, in milliseconds.
    pub recovery: u64,
    /// How many queries were true in it.
    pub checks: u64,
}

/// The backups of a database.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Catalogue {
    /// What the clock there says.
    pub now: Timestamp,
    /// The backups, oldest first.
    pub entries: Vec<Entry>,
    /// What was proven, oldest first.
    pub proofs: Vec<Proven>,
}

impl Catalogue {
    /// Reads the operation `look`.
    ///
    /// # Errors
    /// The line that is damaged.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut catalogue = Self::default();
        for line in text.lines() {
            let Some((key, rest)) = line.split_once(' ') else { continue };
            let damaged = |file: &str| {
                let shown: String = sanitize_line(rest).chars().take(80).collect();
                format!("a line of {file} is damaged: `{shown}`; look at it, and take the line away")
            };
            match key {
                "now" => {
                    let second = rest.trim().parse().ok().and_then(|now| Timestamp::from_second(now).ok());
                    catalogue.now = second.ok_or_else(|| format!("`{}` is no time", sanitize_line(rest)))?;
                }
                "entry" => {
                    let entry: Entry = serde_json::from_str(rest).map_err(|_| damaged("catalogue.jsonl"))?;
                    if !is_plain(&entry.id) {
                        return Err(damaged("catalogue.jsonl"));
                    }
                    // A backup that was made again after a crash is told again.
                    catalogue.entries.retain(|known| known.id != entry.id);
                    catalogue.entries.push(entry);
                }
                "proof" => {
                    let proof = serde_json::from_str(rest).map_err(|_| damaged("proofs.jsonl"))?;
                    catalogue.proofs.push(proof);
                }
                _ => {}
            }
        }
        Ok(catalogue.sorted())
    }

    /// The same with the backups in the order they were taken.
    pub fn sorted(mut self) -> Self {
        self.entries.sort_by_key(|entry| entry.taken);
        self
    }

    /// The backup of that name.
    pub fn find(&self, id: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.id == id)
    }

    /// The backup that leads back to a moment: the one that was made for it, else the newest good one from before it. A
    /// source may not tell the size of old ones: those are good when they were proven, or made for it.
    pub fn before(&self, moment: Timestamp, made: Option<&str>) -> Option<&Entry> {
        let own = made.and_then(|id| self.find(id)).filter(|entry| entry.broken.is_none());
        let is_good = |entry: &&Entry| {
            entry.taken <= moment
                && entry.broken.is_none()
                && (entry.size > 0 || self.proof(Some(&entry.id)).is_some())
        };
        own.or_else(|| self.entries.iter().rev().find(is_good))
    }

    /// The newest proof of this backup, or of any.
    pub fn proof(&self, id: Option<&str>) -> Option<&Proven> {
        self.proofs.iter().rev().find(|proof| id.is_none_or(|id| proof.id == id))
    }

    /// How old something is, in seconds; 0 for what is just being made.
    pub fn age(&self, moment: Timestamp) -> u64 {
        u64::try_from(self.now.as_second() - moment.as_second()).unwrap_or(0)
    }

    /// The newest backup, and the median size of those before it, when the catalogue speaks for it.
    ///
    /// # Errors
    /// What is wrong, and what to do. `place` says where the backups are.
    pub fn judge(&self, rules: &Backup, place: &str) -> Result<(&Entry, Option<u64>), String> {
        let Some((entry, before)) = self.entries.split_last() else {
            return Err(format!(
                "there is no backup in {place}: make one with backup.create, or see why whatever makes them did not"
            ));
        };
        let (id, age) = (sanitize_line(&entry.id), Duration::from_secs(self.age(entry.taken)));
        if entry.taken.as_second() > self.now.as_second() + AHEAD {
            return Err(format!(
                "the newest backup in {place}, {id}, is of {}, which is still to come: one of the clocks is wrong; \
                 set it, and make a new backup",
                entry.taken
            ));
        }
        if age > rules.max_age {
            return Err(format!(
                "the newest backup in {place}, {id}, is {age} old (of {}), and {} is the most: make a new one with \
                 backup.create, and see why none was made since",
                entry.taken, rules.max_age
            ));
        }
        if let Some(broken) = &entry.broken {
            return Err(format!("the newest backup in {place}, {id}, is broken: {}", sanitize_line(broken)));
        }
        if entry.size == 0 {
            return Err(format!(
                "the newest backup in {place}, {id}, is empty: see why, and make a new one with backup.create"
            ));
        }
        let median = median(before.iter().rev().take(BEFORE).map(|entry| entry.size).collect());
        if let Some(median) = median {
            let (size, within) = (u128::from(entry.size) * 100, u128::from(rules.size_within));
            let (least, most) =
                (u128::from(median) * 100_u128.saturating_sub(within), u128::from(median) * (100 + within));
            if size < least || size > most {
                return Err(format!(
                    "the newest backup in {place}, {id}, has {}, and the {} before it {} in the median; {} % off is the \
                     most (`size_within`): see whether data is missing, or make a new one with backup.create",
                    amount(entry.size),
                    before.len().min(BEFORE),
                    amount(median),
                    rules.size_within
                ));
            }
        }
        Ok((entry, median))
    }
}

/// Whether an id is one that no program takes for an option or another path.
pub fn is_plain(id: &str) -> bool {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    !id.is_empty() && id.len() <= 128 && !id.starts_with(['-', '.']) && id.chars().all(plain)
}

fn median(mut sizes: Vec<u64>) -> Option<u64> {
    sizes.sort_unstable();
    let middle = sizes.len() / 2;
    let upper = *sizes.get(middle)?;
    match sizes.len() % 2 {
        1 => Some(upper),
        _ => sizes.get(middle.checked_sub(1)?).map(|lower| lower.midpoint(upper)),
    }
}

/// A number of bytes for people.
pub fn amount(bytes: u64) -> String {
    let mut size = bytes;
    let mut tenth = 0;
    for unit in ["bytes", "KiB", "MiB", "GiB"] {
        if size < 1024 {
            return if unit == "bytes" { format!("{size} {unit}") } else { format!("{size}.{tenth} {unit}") };
        }
        tenth = size % 1024 * 10 / 1024;
        size /= 1024;
    }
    format!("{size}.{tenth} TiB")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: i64 = 3600;

    fn entry(hours: i64, size: u64) -> Entry {
        Entry {
            id: format!("b{hours}"),
            taken: Timestamp::from_second(1_000_000_000 - hours * HOUR).unwrap(),
            size,
            sha256: None,
            bytes: 0,
            schema: None,
            version: None,
            run: None,
            broken: None,
        }
    }

    fn catalogue(entries: &[(i64, u64)]) -> Catalogue {
        Catalogue {
            now: Timestamp::from_second(1_000_000_000).unwrap(),
            entries: entries.iter().map(|(hours, size)| entry(*hours, *size)).collect(),
            proofs: Vec::new(),
        }
        .sorted()
    }

    #[test]
    fn the_newest_backup_is_judged_by_the_catalogue() {
        for (entries, expect) in [
            (&[][..], Err("there is no backup in db1:/b")),
            (&[(1, 100)], Ok(("b1", None))),
            (&[(24, 100)], Ok(("b24", None))),
            (&[(25, 100)], Err("b25, is 1d1h old (of 2001-09-08T00:46:40Z), and 1d is the most")),
            (&[(-1, 100)], Err("still to come")),
            (&[(1, 0)], Err("is empty")),
            (&[(1, 150), (9, 100)], Ok(("b1", Some(100)))),
            (&[(1, 50), (9, 100)], Ok(("b1", Some(100)))),
            (
                &[(1, 151), (9, 100)],
                Err("has 151 bytes, and the 1 before it 100 bytes in the median; 50 % off"),
            ),
            (&[(1, 49), (9, 100)], Err("has 49 bytes")),
            // What a single odd one does to a mean, it does not do to the median.
            (&[(1, 100), (9, 100), (19, 100_000), (29, 110)], Ok(("b1", Some(110)))),
            (&[(1, 100), (9, 100), (19, 120)], Ok(("b1", Some(110)))),
            // Order is by when they were taken, not by how they are listed.
            (&[(30, 1), (1, 100)], Err("has 100 bytes")),
        ] {
            let catalogue = catalogue(entries);
            match (catalogue.judge(&Backup::default(), "db1:/b"), expect) {
                (Ok((entry, median)), Ok(expect)) => assert_eq!((entry.id.as_str(), median), expect),
                (Err(told), Err(expect)) => assert!(told.contains(expect), "{told}"),
                (judged, _) => panic!("{entries:?}: {judged:?}"),
            }
        }
        let mut broken = catalogue(&[(1, 100)]);
        broken.entries[0].broken = Some("bad pages".into());
        assert!(broken.judge(&Backup::default(), "x").unwrap_err().contains("broken: bad pages"));
    }

    #[test]
    fn an_older_backup_leads_back_where_the_newest_is_not_good() {
        // The moment is 10 hours ago; a size of 0 is one that is not known, or of an empty backup.
        for (entries, proven, broken, made, expect) in [
            (&[][..], "", "", None, None),
            (&[(9, 1)], "", "", None, None),
            (&[(9, 1), (11, 1), (12, 1)], "", "", None, Some("b11")),
            (&[(11, 0), (12, 1)], "", "", None, Some("b12")),
            (&[(11, 1), (12, 1)], "", "b11", None, Some("b12")),
            (&[(11, 0), (12, 0)], "b12", "", None, Some("b12")),
            (&[(11, 0), (12, 0)], "", "", None, None),
            (&[(11, 1), (12, 0)], "", "", Some("b12"), Some("b12")),
            (&[(11, 1), (12, 1)], "", "b12", Some("b12"), Some("b11")),
            (&[(11, 1)], "", "", Some("gone"), Some("b11")),
        ] {
            let mut catalogue = catalogue(entries);
            let moment = entry(10, 1).taken;
            let proof = Proven { id: proven.to_owned(), at: moment, recovery: 1, checks: 1 };
            catalogue.proofs.push(proof);
            for entry in catalogue.entries.iter_mut().filter(|entry| entry.id == broken) {
                entry.broken = Some("bad pages".into());
            }
            let found = catalogue.before(moment, made).map(|entry| entry.id.as_str());
            assert_eq!(found, expect, "{entries:?} {proven} {broken} {made:?}");
        }
    }

    #[test]
    fn a_catalogue_is_read_and_damage_is_told() {
        let line = serde_json::to_string(&entry(1, 7)).unwrap();
        let text = format!(
            "now 1000000000\nentry {line}\nentry {line}\nproof {{\"id\":\"b1\",\"at\":\"2001-01-01T00:00:00Z\",\"recovery\":5,\"checks\":1}}\n"
        );
        let read = Catalogue::parse(&text).unwrap();
        assert_eq!((read.entries.len(), read.age(read.entries[0].taken)), (1, 3600));
        assert_eq!(read.proof(Some("b1")).map(|proof| proof.recovery), Some(5));
        assert_eq!(read.proof(Some("b2")), None);
        for (text, expect) in [
            ("entry {\"id\":\"a\"\n", "catalogue.jsonl is damaged"),
            (
                "entry {\"id\":\"../a\",\"taken\":\"2001-01-01T00:00:00Z\",\"size\":1}\n",
                "catalogue.jsonl is damaged",
            ),
            ("proof {}\n", "proofs.jsonl is damaged"),
            ("now x\n", "is no time"),
        ] {
            let told = Catalogue::parse(text).unwrap_err();
            assert!(told.contains(expect), "{told}");
        }
    }

    #[test]
    fn amounts_are_short() {
        for (bytes, expect) in [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (1536, "1.5 KiB"),
            (5 << 20, "5.0 MiB"),
            (3 << 40, "3.0 TiB"),
        ] {
            assert_eq!(amount(bytes), expect);
        }
    }

    proptest! {
        #[test]
        fn the_median_has_as_many_above_as_below(sizes in proptest::collection::vec(0u64..1000, 1..20)) {
            let found = median(sizes.clone()).unwrap();
            let half = sizes.len() / 2 + sizes.len() % 2;
            prop_assert!(sizes.iter().filter(|size| **size <= found).count() >= sizes.len() - half);
            prop_assert!(sizes.iter().filter(|size| **size >= found).count() >= sizes.len() - half);
        }
    }
}
