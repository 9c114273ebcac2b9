//! Under the environment's lock: who has it, what every host keeps, and work with a fence that every host has seen.

use windlass_engine::action::{ActionError, Result};
use windlass_engine::context::Context;
use windlass_engine::owner::Owner;

use super::{Site, at_once, together};
use crate::adapters::remote::{Kept, Lease, RemoteError};

/// The item whose records these are: an undo is done under a path of its own.
pub(crate) fn item(context: &Context) -> String {
    context.item().to_owned()
}

/// Whether what the item did is being taken back.
pub(crate) fn is_undo(context: &Context) -> bool {
    context.is_undo()
}

/// Whether the lock is this run's, left by a process that was killed.
pub(crate) fn holds_lock(first: Option<&Kept>, context: &Context) -> bool {
    first.and_then(|kept| kept.lock.as_ref()).is_some_and(|lock| lock.run == context.run.0)
}

/// Gives back a lock that a killed process of this run left, when nothing else is to be done under it.
pub(crate) async fn let_go(site: &Site, first: Option<&Kept>, context: &Context) -> Result<()> {
    if let Some(host) = site.first()
        && holds_lock(first, context)
    {
        let above = first.map_or(0, |kept| kept.fence);
        host.lock(context, &Owner::current().to_string(), 10, above).await?;
        host.unlock(context).await?;
    }
    Ok(())
}

/// What every host keeps, and the names of those that cannot be reached: more than may fail is an error, and so is
/// anything else than a host that does not answer.
pub(crate) async fn reach(site: &Site, context: &Context) -> Result<(Vec<Option<Kept>>, Vec<String>)> {
    reached(site, site.look(context).await, context)
}

/// The same of what they were asked already.
pub(crate) fn reached<T>(
    site: &Site,
    looks: Vec<std::result::Result<T, RemoteError>>,
    context: &Context,
) -> Result<(Vec<Option<T>>, Vec<String>)> {
    let mut unreachable = Vec::new();
    let mut kept = Vec::new();
    let errors: Vec<&RemoteError> = looks.iter().filter_map(|look| look.as_ref().err()).collect();
    let all_silent = errors.iter().all(|error| error.is_unreachable());
    let first_is_there = looks.first().is_none_or(std::result::Result::is_ok);
    if !all_silent || !first_is_there || errors.len() > site.environment.max_failures as usize {
        let told = together(errors.iter().copied());
        return match errors.first() {
            Some(error) if errors.len() == 1 => {
                let error = ActionError::from((*error).clone());
                Err(match error {
                    ActionError::Failed(why) => ActionError::Failed(format!("{why}; nothing was touched")),
                    ActionError::Final(why) => ActionError::Final(format!("{why}; nothing was touched")),
                    other => other,
                })
            }
            _ => Err(ActionError::Failed(format!("{told}; nothing was touched"))),
        };
    }
    for (host, look) in site.hosts.iter().zip(looks) {
        match look {
            Ok(look) => kept.push(Some(look)),
            Err(error) => {
                context.log(&format!("{} is let pass: {error}", host.name));
                unreachable.push(host.name.clone());
                kept.push(None);
            }
        }
    }
    Ok((kept, unreachable))
}

/// Does `work` under the environment's lock, with a fence that every reachable host has seen before it begins.
pub(crate) async fn locked<T, F: Future<Output = Result<T>>>(
    site: &Site,
    context: &Context,
    kept: Vec<Option<Kept>>,
    work: impl FnOnce(u64, Vec<Option<Kept>>) -> F,
) -> Result<T> {
    let Some(first) = site.first() else {
        return Err(ActionError::Final(format!("the environment {} has no hosts", site.name)));
    };
    let above = kept.iter().flatten().map(|kept| kept.fence).max().unwrap_or_default();
    let lease = Lease::take(context, first, &Owner::current().to_string(), above).await?;
    let fence = lease.fence;
    lease
        .around(context, async move {
            // Looked at again, now that nobody else changes it, and fenced, so that nobody overtaken changes it later.
            let again = at_once(site.hosts.iter().zip(&kept).map(|(host, before)| async move {
                match before {
                    Some(_) => host.raise_and_look(context, fence).await.map(Some),
                    None => Ok(None),
                }
            }))
            .await;
            let kept: std::result::Result<Vec<Option<Kept>>, RemoteError> = again.into_iter().collect();
            work(fence, kept?).await
        })
        .await
}
