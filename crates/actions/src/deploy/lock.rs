//! Under the environment's lock: who has it, what every host keeps, and work with a fence that every host has seen.
//!
//! The lock is on the first host. What goes forward needs that one. A way back goes on without it, under a lock on the
//! next host that can be reached.

use serde::Serialize;
use windlass_engine::action::{ActionError, Result};
use windlass_engine::context::Context;
use windlass_engine::owner::Owner;

use super::{Site, at_once, together};
use crate::adapters::remote::{Host, Kept, Lease, Lock, RemoteError};

/// How often the lock is taken anew because a host has seen a higher fence meanwhile.
const ATTEMPTS: usize = 4;

/// The item whose records these are: an undo is done under a path of its own.
pub(crate) fn item(context: &Context) -> String {
    context.item().to_owned()
}

/// Whether what the item did is being taken back.
pub(crate) fn is_undo(context: &Context) -> bool {
    context.is_undo()
}

/// A lock on a host of an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Held {
    /// The host.
    pub host: String,
    /// Who has it.
    #[serde(flatten)]
    pub lock: Lock,
    /// The hosts that have seen a higher fence, and refuse the steps of whoever has it.
    pub refused_on: Vec<String>,
}

/// The locks that are on the hosts of an environment, the one with the highest fence first. There is more than one when
/// somebody could not reach the first host, and went back without it.
pub fn held(site: &Site, looks: &[std::result::Result<Kept, RemoteError>]) -> Vec<Held> {
    let there = || site.hosts.iter().zip(looks).filter_map(|(host, look)| Some((host, look.as_ref().ok()?)));
    let mut held: Vec<Held> = there()
        .filter_map(|(host, kept)| {
            let lock = kept.held()?.clone();
            let refuse = there().filter(|(_, kept)| kept.fence > lock.fence);
            let refused_on = refuse.map(|(host, _)| host.name.clone()).collect();
            Some(Held { host: host.name.clone(), lock, refused_on })
        })
        .collect();
    held.sort_by_key(|held| std::cmp::Reverse(held.lock.fence));
    held
}

/// Takes the lock of an environment away from whoever has it, on every host that can be reached, with one fence above
/// all that were seen. Gives who had it, the fence, and why some hosts were not told.
///
/// # Errors
/// When no host can be asked.
pub async fn take_away(
    site: &Site,
    context: &Context,
    person: &str,
    reason: &str,
) -> std::result::Result<(Vec<Held>, u64, Vec<RemoteError>), RemoteError> {
    let looks = site.look(context).await;
    let found = held(site, &looks);
    let highest = looks.iter().flatten().map(|kept| kept.fence).max().unwrap_or_default();
    let mut hosts = site.hosts.iter().zip(&looks);
    let mut missed = Vec::new();
    let fence = loop {
        match hosts.next() {
            // Where the next one would take it.
            Some((host, Ok(_))) => break host.break_lock(context, person, reason, highest).await?.1,
            Some((_, Err(error))) => missed.push(error.clone()),
            None => {
                let nobody = || RemoteError::Failed(format!("the environment {} has no hosts", site.name));
                return Err(missed.into_iter().next().unwrap_or_else(nobody));
            }
        }
    };
    // Whoever had the lock acts on these hosts too.
    let rest: Vec<_> = hosts.collect();
    let told = at_once(rest.into_iter().map(|(host, look)| async move {
        match look {
            Ok(kept) if kept.lock.is_some() => {
                host.break_lock(context, person, reason, fence.saturating_sub(1)).await.map(drop)
            }
            Ok(_) => host.raise(context, fence).await,
            Err(error) => Err(error.clone()),
        }
    }))
    .await;
    missed.extend(told.into_iter().filter_map(std::result::Result::err));
    let beside = beside_hosts(site, context);
    let told = at_once(beside.iter().map(|host| host.raise(context, fence))).await;
    missed.extend(told.into_iter().filter_map(std::result::Result::err));
    Ok((found, fence, missed))
}

/// Whether a lock on any of these hosts is this run's, left by a process that was killed.
pub(crate) fn holds_lock<'a>(kept: impl IntoIterator<Item = &'a Kept>, context: &Context) -> bool {
    kept.into_iter().any(|kept| is_own(kept, context))
}

fn is_own(kept: &Kept, context: &Context) -> bool {
    kept.lock.as_ref().is_some_and(|lock| lock.run == context.run.0)
}

/// Gives back the locks that a killed process of this run left, when nothing else is to be done under them.
pub(crate) async fn let_go<'a>(
    site: &Site,
    kept: impl IntoIterator<Item = Option<&'a Kept>>,
    context: &Context,
) -> Result<()> {
    for (host, kept) in site.hosts.iter().zip(kept) {
        if let Some(kept) = kept.filter(|kept| is_own(kept, context)) {
            host.lock(context, &Owner::current().to_string(), 10, kept.fence).await?;
            host.unlock(context).await?;
        }
    }
    Ok(())
}

/// Which hosts may be away when something begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Away {
    /// `max_failures` of them, and never the first.
    Forward,
    /// `max_failures` of them, whichever.
    Back,
    /// All but one.
    Most,
}

/// What every host keeps, and the names of those that cannot be reached: more than may be away is an error, and so is
/// anything else than a host that does not answer.
pub(crate) async fn reach(
    site: &Site,
    away: Away,
    context: &Context,
) -> Result<(Vec<Option<Kept>>, Vec<String>)> {
    reached(site, away, site.look(context).await, context)
}

/// The same of what they were asked already.
pub(crate) fn reached<T>(
    site: &Site,
    away: Away,
    looks: Vec<std::result::Result<T, RemoteError>>,
    context: &Context,
) -> Result<(Vec<Option<T>>, Vec<String>)> {
    let mut unreachable = Vec::new();
    let mut kept = Vec::new();
    let errors: Vec<&RemoteError> = looks.iter().filter_map(|look| look.as_ref().err()).collect();
    let all_silent = errors.iter().all(|error| error.is_unreachable());
    let is_begun_by_first = away != Away::Forward || looks.first().is_none_or(std::result::Result::is_ok);
    let most = match away {
        Away::Forward | Away::Back => site.environment.max_failures as usize,
        Away::Most => looks.len().saturating_sub(1),
    };
    if !all_silent || !is_begun_by_first || errors.len() > most {
        let told = together(errors.iter().copied());
        let told = match site.first() {
            Some(first) if !is_begun_by_first && all_silent && errors.len() <= most => format!(
                "{told}; {} keeps the lock of {}, so nothing new begins without it, whatever `max_failures` says: bring it \
                 back, or, when it will not come back, take it out of `hosts`; `windlass rollback` and the way back of a \
                 runbook go on without it",
                first.name, site.name
            ),
            _ => told,
        };
        return match errors.first() {
            Some(error) if errors.len() == 1 => Err(match ActionError::from((*error).clone()) {
                ActionError::Failed(_) => ActionError::Failed(format!("{told}; nothing was touched")),
                ActionError::Final(_) => ActionError::Final(format!("{told}; nothing was touched")),
                other => other,
            }),
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

/// Does `work` under the environment's lock, with a fence that every reachable host has seen before it begins. The lock
/// is on the first host that `kept` knows of.
pub(crate) async fn locked<T, F: Future<Output = Result<T>>>(
    site: &Site,
    context: &Context,
    kept: Vec<Option<Kept>>,
    work: impl FnOnce(u64, Vec<Option<Kept>>) -> F,
) -> Result<T> {
    let (lease, kept) = begin(site, context, &kept).await?;
    let fence = lease.fence;
    lease.around(context, work(fence, kept)).await
}

/// Takes the lock, and lets every other host that can be reached see its fence. What they keep is looked at again, now
/// that nobody else changes it.
///
/// A fence must be new to each of these hosts: whoever cannot reach the same hosts takes the lock on another one, and may
/// be given the same number there.
async fn begin(
    site: &Site,
    context: &Context,
    before: &[Option<Kept>],
) -> Result<(Lease, Vec<Option<Kept>>)> {
    let there = || site.hosts.iter().zip(before).filter_map(|(host, kept)| Some((host, kept.as_ref()?)));
    let Some((keeper, _)) = there().next() else {
        return Err(ActionError::Final(format!("the environment {} has no hosts", site.name)));
    };
    // Whoever could not reach the first host has it elsewhere, and is not fenced off for it.
    let other = |(_, kept): (&Host, &Kept)| kept.held().filter(|_| !is_own(kept, context)).cloned();
    if let Some(lock) = there().skip(1).find_map(other) {
        return Err(RemoteError::Locked(Box::new(lock)).into());
    }
    let mut above = there().map(|(_, kept)| kept.fence).max().unwrap_or_default();
    let mut beside = Vec::new();
    let away: Vec<&str> =
        site.hosts.iter().zip(before).filter(|(_, kept)| kept.is_none()).map(name).collect();
    if !away.is_empty() {
        // Hosts that were away may have seen less than the proxies did.
        let proxies = beside_hosts(site, context);
        let looks = at_once(proxies.iter().map(|host| host.look(context))).await;
        for (host, look) in proxies.into_iter().zip(looks) {
            if let Ok(kept) = look {
                above = above.max(kept.fence);
                beside.push(host);
            }
        }
    }
    if site.first().is_some_and(|first| first.name != keeper.name) {
        let away = away.join(", ");
        context.log(&format!("{away} cannot be reached: the lock is on {} meanwhile", keeper.name));
    }
    let mut behind_at_last = None;
    for _ in 0..ATTEMPTS {
        let lease = Lease::take(context, keeper, &Owner::current().to_string(), above).await?;
        let fence = lease.fence;
        let looks = at_once(site.hosts.iter().zip(before).map(|(host, before)| async move {
            match before {
                None => Ok(None),
                Some(_) if host.name == keeper.name => host.raise_and_look(context, fence).await.map(Some),
                Some(_) => host.claim(context, fence).await.map(Some),
            }
        }))
        .await;
        let claims = at_once(beside.iter().map(|host| host.claim(context, fence))).await;
        let behind = |error: &RemoteError| match error {
            RemoteError::Fenced { highest, .. } => Some(*highest),
            _ => None,
        };
        let errors: Vec<&RemoteError> = looks.iter().filter_map(|look| look.as_ref().err()).collect();
        // What else is wrong with a proxy, whoever tells it something hears.
        let proxies =
            claims.iter().filter_map(|claim| claim.as_ref().err()).filter(|error| behind(error).is_some());
        let fenced: Vec<&RemoteError> = errors.iter().copied().chain(proxies).collect();
        let Some(error) = fenced.iter().find(|error| behind(error).is_none()).or(fenced.first()) else {
            let kept: std::result::Result<Vec<Option<Kept>>, RemoteError> = looks.into_iter().collect();
            return Ok((lease, kept?));
        };
        let error = (*error).clone();
        above = fenced.iter().filter_map(|error| behind(error)).max().unwrap_or(above);
        lease.give_back(context).await;
        if behind(&error).is_none() {
            return Err(error.into());
        }
        behind_at_last = Some(error);
    }
    let error = behind_at_last.map(ActionError::from);
    Err(error.unwrap_or_else(|| ActionError::Failed(format!("the lock of {} could not be taken", site.name))))
}

fn name<'a>((host, _): (&'a Host, &Option<Kept>)) -> &'a str {
    &host.name
}

/// The hosts of proxies that are none of the environment's own.
fn beside_hosts(site: &Site, context: &Context) -> Vec<Host> {
    let names = site.environment.proxy.iter().flat_map(|proxy| &proxy.hosts);
    let names = names.filter(|name| site.hosts.iter().all(|host| host.name != **name));
    names.map(|name| site.host(name, context)).collect()
}
