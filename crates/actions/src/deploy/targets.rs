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
    /// Which could not be asked, and why.
    pub(crate) errors: Vec<(usize, RemoteError)>,
}

impl Targets {
    /// Why some could not be asked, in sentences.
    pub(crate) fn told(&self) -> Vec<String> {
        self.errors.iter().map(|(_, error)| error.to_string()).collect()
    }

    /// Lets hosts pass that cannot be reached, unless they are more than may be away. Gives them.
    pub(crate) fn let_pass(&mut self, site: &Site) -> Vec<(usize, RemoteError)> {
        let may_be = self.errors.len() <= site.environment.max_failures as usize
            && self.kept.iter().any(Option::is_some)
            && self.errors.iter().all(|(_, error)| error.is_unreachable());
        if may_be { std::mem::take(&mut self.errors) } else { Vec::new() }
    }
}

/// Whether a record is what this item deployed.
pub(crate) fn own(version: &str, context: &Context) -> impl Fn(&Record) -> bool {
    let (version, run, item) = (version.to_owned(), context.run.0.clone(), item(context));
    move |record| record.version == version && record.is_of(&run, &item)
}

/// The hosts whose record is one to take back.
pub(crate) async fn targets(site: &Site, is_one: &impl Fn(&Record) -> bool, context: &Context) -> Targets {
    sorted(site.look(context).await, is_one)
}

/// The same of what the hosts were asked already.
pub(crate) fn sorted(
    looks: Vec<std::result::Result<Kept, RemoteError>>,
    is_one: &impl Fn(&Record) -> bool,
) -> Targets {
    let errors = looks.iter().enumerate();
    let errors = errors.filter_map(|(index, look)| Some((index, look.as_ref().err()?.clone()))).collect();
    let kept: Vec<Option<Kept>> = looks.iter().map(|look| look.as_ref().ok().cloned()).collect();
    let one = |kept: &Option<Kept>| kept.as_ref()?.record.clone().filter(is_one);
    let records = kept.iter().enumerate().filter_map(|(index, kept)| Some((index, one(kept)?))).collect();
    Targets { records, kept, errors }
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
    if !records.is_empty() || holds_lock(looks.iter().flatten(), context) {
        return Ok(Some(records));
    }
    let errors: Vec<&RemoteError> = looks.iter().filter_map(|look| look.as_ref().err()).collect();
    match errors.is_empty() {
        true => Ok(None),
        false => Err(ActionError::Failed(together(errors))),
    }
}
