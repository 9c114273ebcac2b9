//! The way back: a deployment is given up, or taken back, and hosts get what they had.

use std::collections::BTreeMap;

use windlass_core::config::OnAbort;
use windlass_engine::action::{ActionError, Result};

use super::{Failure, Rollout};
use crate::adapters::proxy::{Admission, Server, Status};
use crate::adapters::remote::{Record, State};
use crate::deploy::{at_once, health};

impl Rollout<'_> {
    /// Gives up for a reason that is no host's own.
    pub(super) async fn given_up(
        &self,
        error: ActionError,
        draft: &Record,
        touched: &[usize],
        failures: &[Failure],
    ) -> ActionError {
        match error {
            ActionError::Cancelled => ActionError::Cancelled,
            error => self.abort(draft, touched, failures, Some(&error)).await,
        }
    }

    /// Gives the deployment up: reverts or holds, and says so.
    pub(super) async fn abort(
        &self,
        draft: &Record,
        touched: &[usize],
        failures: &[Failure],
        other: Option<&ActionError>,
    ) -> ActionError {
        let work = &self.work;
        let mut told: Vec<String> = failures.iter().map(|failure| failure.error.to_string()).collect();
        told.extend(other.map(ToString::to_string));
        let told = told.join("; ");
        if work.site.environment.on_abort == OnAbort::Hold {
            for failure in failures {
                if let Err(error) = work.write(failure.index, draft, State::Failed).await {
                    work.context.log(&error.to_string());
                }
            }
            return ActionError::Final(format!(
                "{told}; the deployment was given up, and every host stays as it is (on_abort = \"hold\"): look with \
                 `windlass env {}`",
                work.site.name
            ));
        }
        let targets: Vec<(usize, Record)> =
            touched.iter().map(|index| (*index, work.record(*index, draft, State::Reverting))).collect();
        let failed = failures.iter().filter(|failure| !failure.is_lost);
        let failed: Vec<usize> = failed.map(|failure| failure.index).collect();
        let mut back = BTreeMap::<String, Vec<&str>>::new();
        let mut stuck = Vec::new();
        for (index, result) in self.revert_all(&targets, &failed).await {
            let name = work.host(index).name.as_str();
            match result {
                Ok(what) => back.entry(what).or_default().push(name),
                Err(error) => stuck.push(format!("{name} could not be put back: {error}")),
            }
        }
        let back: Vec<String> =
            back.iter().map(|(what, hosts)| format!("{}: {what}", hosts.join(", "))).collect();
        let back = back.into_iter().chain(stuck).collect::<Vec<_>>().join("; ");
        let back = if back.is_empty() { "nothing was touched".to_owned() } else { back };
        ActionError::Final(format!("{told}; the deployment was given up: {back}"))
    }

    /// Waits until customers get what was put back, where there is one front door and one version behind it.
    pub(super) async fn serves_again(&self, targets: &[(usize, Record)]) -> Result<()> {
        let work = &self.work;
        let Some(address) = health::address(&work.site.environment) else { return Ok(()) };
        let mut versions = targets.iter().map(|(_, record)| record.previous.as_ref().map(|had| &had.version));
        match versions.next() {
            Some(Some(version)) if versions.all(|other| other == Some(version)) => {
                let ready = work.request.ready.to_std();
                health::wait(&work.site.environment, &address, version, ready, work.context).await
            }
            _ => Ok(()),
        }
    }

    /// The hosts that no proxy gives traffic: a deployment that stopped half-way may have left some so.
    pub(super) async fn without_traffic(&self) -> Result<Vec<usize>> {
        let statuses = self.doors.look(self.work.context).await?;
        let has_traffic = |index: usize| {
            let own = |(server, status): &(Server, Status)| {
                server.host == index && status.admission == Admission::Ready
            };
            statuses.iter().any(own)
        };
        Ok(self.work.reached().into_iter().filter(|index| !has_traffic(*index)).collect())
    }

    /// Puts back what was on these hosts. With proxies those without traffic come first, and the others by turns, so
    /// that some always have it.
    pub(super) async fn revert_all(
        &self,
        targets: &[(usize, Record)],
        without_traffic: &[usize],
    ) -> Vec<(usize, Result<String>)> {
        let mut results = Vec::new();
        let (first, rest): (Vec<_>, Vec<_>) =
            targets.iter().partition(|(index, _)| self.doors.is_empty() || without_traffic.contains(index));
        let turns = self.work.site.environment.turns(rest.len());
        let turns = turns.into_iter().filter_map(|turn| Some((rest.get(turn)?, true)));
        for (hosts, drain) in std::iter::once((first.as_slice(), false)).chain(turns) {
            results.extend(self.revert(hosts, drain).await);
        }
        results
    }

    /// Puts back what was on these hosts before `ours`, at the same time. Gives what was done on each, in words. What goes
    /// wrong on one of them leaves the others alone.
    pub(super) async fn revert(
        &self,
        targets: &[&(usize, Record)],
        drain: bool,
    ) -> Vec<(usize, Result<String>)> {
        let work = &self.work;
        let begun = at_once(targets.iter().map(|(index, ours)| async move {
            let at = work.now();
            let ours = Record { fence: work.fence, state: State::Reverting, at, ..ours.clone() };
            work.host(*index).write(work.context, &ours, false).await
        }))
        .await;
        let mut results: Vec<(usize, Result<String>)> = Vec::new();
        let mut there = Vec::new();
        for (target, begun) in targets.iter().zip(begun) {
            match begun {
                Ok(()) => there.push(*target),
                Err(error) => results.push((target.0, Err(error.into()))),
            }
        }
        let (targets, hosts): (_, Vec<usize>) = (&there, there.iter().map(|(index, _)| *index).collect());
        if drain
            && !self.doors.is_empty()
            && let Err(error) = self.out(&hosts).await
        {
            // Nothing was changed on them yet: they go on with what they have.
            for (index, also) in self.doors.admit(work, &hosts).await {
                work.context.log(&format!("{} is still out of the traffic: {also}", work.host(index).name));
            }
            results.extend(hosts.into_iter().map(|index| (index, Err(error.clone()))));
            return results;
        }
        let put: Vec<Result<Option<&Record>>> = at_once(targets.iter().map(|(index, ours)| async move {
            let Some(previous) = ours.previous.as_deref() else {
                work.take_down(*index, ours).await?;
                return Ok(None);
            };
            work.put_back(*index, previous).await?;
            work.answers(*index, previous).await?;
            Ok(Some(previous))
        }))
        .await;
        let good: Vec<usize> = hosts
            .iter()
            .zip(&put)
            .filter(|(_, put)| matches!(put, Ok(Some(_))))
            .map(|(index, _)| *index)
            .collect();
        let shut = &self.doors.admit(work, &good).await;
        let ended = hosts.iter().zip(put).map(|(index, put)| async move {
            let host = work.host(*index);
            let previous = put?;
            if let Some((_, error)) = shut.iter().find(|(shut, _)| shut == index) {
                return Err(error.clone().into());
            }
            let Some(previous) = previous else {
                host.forget(work.context, work.fence).await?;
                return Ok("empty again, as before".to_owned());
            };
            let whole =
                work.kept[*index].as_ref().map_or_else(|| previous.alone(), |kept| kept.whole(previous));
            let record = Record { fence: work.fence, at: work.now(), state: State::Live, ..whole };
            host.write(work.context, &record, true).await?;
            Ok(format!("back to {}", previous.version))
        });
        let ended: Vec<Result<String>> = at_once(ended).await;
        results.extend(hosts.iter().copied().zip(ended));
        results
    }
}
