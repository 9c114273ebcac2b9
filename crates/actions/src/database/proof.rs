//! Whether a backup is good: what its catalogue says, whether it is whole, and whether a database comes out of it.

use windlass_core::config::{BackupSource, Scratch};
use windlass_core::duration::Duration;
use windlass_core::text::sanitize_line;
use windlass_engine::action::{ActionError, Result};
use windlass_engine::context::Context;

use super::catalogue::{Catalogue, Entry, Proven};
use super::tools::{Tools, Trouble};
use crate::backup_verify::Restore;

/// A backup of a database without tables is well-formed, and restores in a moment.
const HAS_TABLES: &str = "select exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace where \
    c.relkind in ('r', 'p') and n.nspname not in ('pg_catalog', 'information_schema'))";

/// A backup that is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The newest one.
    pub entry: Entry,
    /// How old it is, in seconds.
    pub age: u64,
    /// The median size of those before it.
    pub median: Option<u64>,
    /// The restore that proves it.
    pub proof: Option<Proven>,
}

/// Verifies the newest backup.
///
/// # Errors
/// What is wrong with it, where it is, and what to do.
pub async fn verify(tools: &Tools<'_>, restore: Restore, context: &Context) -> Result<Verified> {
    let catalogue = tools.catalogue().await?;
    let rules = &tools.database.backup;
    let (entry, median) = catalogue.judge(rules, &tools.store()).map_err(ActionError::Final)?;
    let proof = known_proof(&catalogue, entry, restore, rules.proven_within);
    let proof = match (restore, proof) {
        (Restore::Never, _) | (_, Some(_)) => {
            // Cheap where the files are ours: what has rotted since is found without a restore.
            if rules.source == BackupSource::PgDump {
                tools.fetch(entry).await?;
            }
            proof.cloned()
        }
        _ => Some(prove(tools, entry, context).await?),
    };
    Ok(Verified { entry: entry.clone(), age: catalogue.age(entry.taken), median, proof })
}

/// The proof that makes another one unnecessary.
fn known_proof<'a>(
    catalogue: &'a Catalogue,
    entry: &Entry,
    restore: Restore,
    within: Duration,
) -> Option<&'a Proven> {
    let of_this = catalogue.proof(Some(&entry.id));
    match restore {
        Restore::Always => of_this,
        Restore::Never => of_this.or_else(|| catalogue.proof(None)),
        Restore::WhenDue => {
            let is_young = |proof: &&Proven| Duration::from_secs(catalogue.age(proof.at)) <= within;
            of_this.or_else(|| catalogue.proof(None)).filter(is_young)
        }
    }
}

/// Restores a backup apart from the database, asks whether it is right, and records how long that took.
///
/// # Errors
/// Why it is no good.
pub async fn prove(tools: &Tools<'_>, entry: &Entry, context: &Context) -> Result<Proven> {
    let (rules, name) = (&tools.database.backup, tools.database.name.as_str());
    let schema = tools.database.schema.as_deref().filter(|_| entry.schema.is_some());
    let mut queries = vec![HAS_TABLES];
    queries.extend(schema);
    queries.extend(rules.check.iter().map(String::as_str));
    context.log(&format!("{}: restoring the backup {} to prove it", tools.place(), entry.id));
    let begin = context.world.clock.now();
    let unfit = |trouble: Trouble| match trouble {
        Trouble::Unfit(why) => ActionError::Final(format!(
            "the backup {} in {} cannot be restored: {why}; make a new one with backup.create, and keep older ones \
             until it is proven",
            entry.id,
            tools.store()
        )),
        Trouble::Other(error) => error,
    };
    let text = if rules.source == BackupSource::PgBackRest {
        let mut words = vec![rules.stanza.as_deref().unwrap_or_default(), &entry.id, name];
        words.extend(&queries);
        tools.call("prove-copy", &words, &[], "").await.map_err(unfit)?
    } else {
        let dump = tools.fetch(entry).await.map_err(unfit)?;
        let scratch = match rules.scratch {
            Scratch::Server => "server".to_owned(),
            Scratch::Database => format!("{name}_windlass_proof"),
        };
        let path = format!("{}/{}", tools.folder()?, dump.file);
        let bytes = entry.bytes.max(entry.size).to_string();
        let mut words = vec![scratch.as_str(), path.as_str(), name, bytes.as_str()];
        words.extend(&queries);
        let text = tools.call("prove", &words, &[], "").await.map_err(unfit);
        tools.release(&dump).await?;
        text?
    };
    let answers: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("check ")).map(str::trim).collect();
    judge(entry, schema.is_some(), &queries, &answers)
        .map_err(|why| ActionError::Final(format!("the backup {} in {}: {why}", entry.id, tools.store())))?;
    let end = context.world.clock.now();
    let recovery = u64::try_from(end.as_millisecond() - begin.as_millisecond()).unwrap_or(0);
    let checks = queries.len() as u64;
    let proof = Proven { id: entry.id.clone(), at: tools.now().await?, recovery, checks };
    tools.keep("proofs.jsonl", &proof).await?;
    Ok(proof)
}

/// Whether the restored database gave the answers it should.
fn judge(
    entry: &Entry,
    has_schema: bool,
    queries: &[&str],
    answers: &[&str],
) -> std::result::Result<(), String> {
    if answers.len() != queries.len() {
        return Err(format!(
            "only {} of {} queries were answered after it was restored",
            answers.len(),
            queries.len()
        ));
    }
    for (index, (query, answer)) in queries.iter().zip(answers).enumerate() {
        let query = sanitize_line(query);
        let shown: String = sanitize_line(answer).chars().take(200).collect();
        match index {
            0 if *answer == "t" => {}
            0 => return Err("what was restored of it has no tables: an empty database was backed up".into()),
            1 if has_schema => {
                let expect = entry.schema.as_deref().unwrap_or_default();
                if *answer != expect {
                    return Err(format!("its schema was {expect} when it was made, and is {shown} restored"));
                }
            }
            _ if *answer == "t" => {}
            _ => {
                return Err(format!(
                    "it was restored, and the check `{query}` gave `{shown}`, not true: look at what it holds before \
                     you rely on it"
                ));
            }
        }
    }
    Ok(())
}

/// Whether each check is true in a database on the real server.
///
/// # Errors
/// The one that is not.
pub async fn check(tools: &Tools<'_>, database: &str, entry: &Entry) -> Result<()> {
    for query in std::iter::once(HAS_TABLES).chain(tools.database.backup.check.iter().map(String::as_str)) {
        let told = tools.query(database, query, &[]).await?;
        if told.trim() != "t" {
            let shown: String = sanitize_line(&told).chars().take(200).collect();
            return Err(ActionError::Final(format!(
                "the backup {} was restored to {database}, and the check `{}` gave `{shown}` there, not true; the database \
                 {} was not touched",
                entry.id,
                sanitize_line(query),
                tools.database.name
            )));
        }
    }
    Ok(())
}
