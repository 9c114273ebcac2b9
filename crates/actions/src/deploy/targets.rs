//! What there is to take back: the records of one item on the hosts of an environment, however far it came.

use windlass_engine::action::{ActionError, Result};
use windlass_engine::context::Context;

use super::lock::{holds_lock, item};
use super::{Site, together};
use crate::adapters::remote::{Kept, Record, RemoteError};

/// The hosts that something is taken back from.
#[derive(Debug)]
pub(crate) struct Targets {
    /// Which they are, and what each has.
    pub(crate) records: Vec<(usize, Record)>,
    /// What every host kept.
    pub(crate) kept: Vec<Option<Kept>>,
    /// Why some could not be asked.
    pub(crate) told: Vec<String>,
}

/// Whether a record is what this item deployed.
pub(crate) fn own(version: &str, context: &Context) -> impl Fn(&Record) -> bool {
    let (version, run, item) = (version.to_owned(), context.run.0.clone(), item(context));
    move |record| record.version == version && record.is_of(&run, &item)
}

/// The hosts whose record is one to take back.
pub(crate) async fn targets(site: &Site, is_one: &impl Fn(&Record) -> bool, context: &Context) -> Targets {
    let looks = site.look(context).await;
    let told: Vec<&RemoteError> = looks.iter().filter_map(|look| look.as_ref().err()).collect();
    let told = told.iter().map(ToString::to_string).collect();
    let kept: Vec<Option<Kept>> = looks.iter().map(|look| look.as_ref().ok().cloned()).collect();
    let one = |kept: &Option<Kept>| kept.as_ref()?.record.clone().filter(is_one);
    let records = kept.iter().enumerate().filter_map(|(index, kept)| Some((index, one(kept)?))).collect();
    Targets { records, kept, told }
}

/// What the hosts have of this item, in whatever state: nothing where it left neither a record nor the lock.
///
/// # Errors
/// When nothing was found, and some hosts could not be asked.
pub(crate) async fn begun(site: &Site, version: &str, context: &Context) -> Result<Option<Vec<Record>>> {
    let looks = site.look(context).await;
    let is_own = own(version, context);
    let records = looks.iter().flatten().filter_map(|kept| kept.record.clone());
    let records: Vec<Record> = records.filter(is_own).collect();
    let first = looks.first().and_then(|look| look.as_ref().ok());
    if !records.is_empty() || holds_lock(first, context) {
        return Ok(Some(records));
    }
    let errors: Vec<&RemoteError> = looks.iter().filter_map(|look| look.as_ref().err()).collect();
    match errors.is_empty() {
        true => Ok(None),
        false => Err(ActionError::Failed(together(errors))),
    }
}
