//! The way back: the traffic to the colour that had it, which is brought up first where it does not run any more.

use std::collections::BTreeMap;

use windlass_core::config::OnAbort;
use windlass_engine::action::{ActionError, Result};

use super::{BlueGreen, together};
use crate::adapters::proxy::Admission;
use crate::adapters::remote::{Idle, Record, State};
use crate::deploy::drift::drift;
use crate::deploy::work::Work;
use crate::deploy::{at_once, health};

impl BlueGreen<'_> {
    /// Gives the deployment up, the traffic where it was, and says so.
    pub(super) async fn give_up(
        &self,
        error: ActionError,
        hosts: &[usize],
        draft: &Record,
        was_switching: bool,
    ) -> ActionError {
        let is_cancelled = error == ActionError::Cancelled;
        // What a cancelled run brought up stays to be looked at, but traffic never stays between the colours.
        if is_cancelled && !was_switching {
            return error;
        }
        if !was_switching && self.all_are(hosts, &[State::Live]) {
            return ActionError::Failed(format!("{error}; the version has the traffic, and stays as it is"));
        }
        let context = self.work.outside();
        let work = Work { context: &context, ..self.work.clone() };
        let again = BlueGreen { work, doors: self.doors.clone(), to: self.to, order: self.order };
        let holds = is_cancelled || self.work.site.environment.on_abort == OnAbort::Hold;
        let touched: Vec<usize> = hosts.to_vec();
        let back = again.back(&touched, draft, was_switching, holds).await;
        match back {
            _ if is_cancelled => {
                if let Err(also) = back {
                    context.log(&format!("the traffic could not be given back: {also}"));
                }
                error
            }
            Ok(what) => ActionError::Final(format!("{error}; the deployment was given up: {what}")),
            Err(also) => ActionError::Final(format!(
                "{error}; and it could not be taken back: {also}; both colours stay as they are: look with `windlass env \
                 {}`, and mend it with `windlass retry` or `windlass rollback`",
                self.work.site.name
            )),
        }
    }

    /// The traffic back to where it was, and, unless it is to be looked at, the new colour down.
    async fn back(
        &self,
        hosts: &[usize],
        draft: &Record,
        was_switching: bool,
        holds: bool,
    ) -> Result<String> {
        let (work, other) = (&self.work, self.to.other());
        let touched: Vec<usize> = match was_switching {
            true => hosts.to_vec(),
            // Those that had their turn.
            false => self.begun(hosts).await?,
        };
        if touched.is_empty() {
            return Ok("nothing was touched".to_owned());
        }
        for index in &touched {
            work.write(*index, draft, State::Reverting).await?;
        }
        if was_switching {
            let others = touched.iter().filter(|index| self.has_other(**index));
            together(at_once(others.map(|index| self.other_is_hot(*index))).await)?;
            let full = self.full();
            self.doors
                .steer(work, |server| match server.colour == Some(other) {
                    true if self.has_other(server.host) => Some((Admission::Ready, full)),
                    true => None,
                    false => Some((Admission::Drain, None)),
                })
                .await?;
            self.settle(self.to).await?;
        }
        if holds {
            for index in &touched {
                work.write(*index, draft, State::Failed).await?;
            }
            return Ok(format!("{} stays up without traffic, to be looked at", self.to.as_str()));
        }
        let ends = touched.iter().map(|index| async move {
            work.take_down(*index, draft).await?;
            let Some(before) = work.before(*index) else {
                work.host(*index).forget(work.context, work.fence).await?;
                return Ok(());
            };
            let whole = work.kept[*index].as_ref().map_or_else(|| before.alone(), |kept| kept.whole(before));
            let idle = Some(self.idle(self.to, &work.wanted.version, false));
            let record = Record { fence: work.fence, state: State::Live, idle, ..whole };
            Ok(work.host(*index).write(work.context, &record, false).await?)
        });
        together(at_once(ends).await)?;
        Ok(match work.previous() {
            Some(previous) => format!("{} stays in {}", previous.version, other.as_str()),
            None => "empty again, as before".to_owned(),
        })
    }

    /// The hosts whose record says that this item began there.
    async fn begun(&self, hosts: &[usize]) -> Result<Vec<usize>> {
        let work = &self.work;
        let mut begun = Vec::new();
        for index in hosts {
            let kept = work.host(*index).look(work.context).await?;
            if kept.record.as_ref().is_some_and(|record| work.is_ours(record)) {
                begun.push(*index);
            }
        }
        Ok(begun)
    }

    /// Gives the traffic back to what had it before `targets`; what is not hot any more is brought up first.
    pub(super) async fn undo(&self, targets: &[(usize, Record)]) -> Result<String> {
        let (work, to) = (&self.work, self.to);
        for (index, record) in targets {
            // Everyone who asks whether it passed here must hear that it did not stay. Once.
            let host = work.host(*index);
            if record.state == State::Live {
                let withdrawn = Record { state: State::Withdrawn, fence: work.fence, ..record.clone() };
                host.write(work.context, &withdrawn, true).await?;
            }
        }
        let ready = targets.iter().map(|(index, record)| async move {
            match record.previous.as_deref() {
                Some(previous) => self.is_hot_again(*index, previous).await,
                None => Ok(()),
            }
        });
        together(at_once(ready).await)?;
        for (index, record) in targets {
            let at = work.now();
            let record = Record { state: State::Reverting, fence: work.fence, at, ..record.clone() };
            work.host(*index).write(work.context, &record, false).await?;
        }
        let full = self.full();
        let goes_back =
            |host: usize| targets.iter().any(|(index, record)| *index == host && record.previous.is_some());
        self.doors
            .steer(work, |server| match server.colour == Some(to) {
                true => Some((Admission::Drain, None)),
                false => goes_back(server.host).then_some((Admission::Ready, full)),
            })
            .await?;
        for (index, record) in targets {
            if let Some(previous) = &record.previous {
                work.serves(&[*index], &previous.version).await?;
            }
        }
        self.settle(to).await?;
        let mut told: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for (index, record) in targets {
            let host = work.host(*index);
            let what = match record.previous.as_deref() {
                Some(previous) => {
                    let whole = work.kept[*index]
                        .as_ref()
                        .map_or_else(|| previous.alone(), |kept| kept.whole(previous));
                    // What never came to its end is no place to go back to.
                    let is_whole = matches!(record.state, State::Live | State::Withdrawn);
                    if !is_whole {
                        work.take_down(*index, record).await?;
                    }
                    let idle = Some(self.idle(to, &record.version, is_whole));
                    let at = work.now();
                    let live = Record { state: State::Live, fence: work.fence, at, idle, ..whole };
                    host.write(work.context, &live, true).await?;
                    format!("the traffic back to {}, {}", to.other().as_str(), previous.version)
                }
                None => {
                    work.take_down(*index, record).await?;
                    host.forget(work.context, work.fence).await?;
                    "empty again, as before".to_owned()
                }
            };
            told.entry(what).or_default().push(&host.name);
        }
        let told: Vec<String> =
            told.iter().map(|(what, hosts)| format!("{}: {what}", hosts.join(", "))).collect();
        Ok(told.join("; "))
    }

    /// Whether the record says that a colour still runs this very version: it had the traffic when this item came, or
    /// was left running.
    fn is_kept_hot(&self, index: usize, previous: &Record) -> bool {
        let Some(found) = self.work.found(index) else { return false };
        let is_it = |record: &Record| record.version == previous.version && record.colour == previous.colour;
        let is_idle = |idle: &Idle| {
            idle.hot && idle.version == previous.version && Some(idle.colour) == previous.colour
        };
        (found.state == State::Live && is_it(found))
            || found.serving().is_some_and(is_it)
            || found.idle.as_ref().is_some_and(is_idle)
    }

    /// What was there before runs in its colour and answers; it is brought up where it does not.
    pub(super) async fn is_hot_again(&self, index: usize, previous: &Record) -> Result<()> {
        let work = &self.work;
        let mut environment = work.site.environment.clone();
        let is_known = match previous.project.is_empty() {
            true => self.is_kept_hot(index, previous),
            false => {
                let found = work.host(index).containers(work.context, &previous.project).await?;
                drift(previous, &found).is_empty()
            }
        };
        // Where nobody knows what a script left there, only an answer with the version shows it.
        let may_answer = is_known || previous.project.is_empty();
        if !is_known {
            environment.version.get_or_insert_with(|| health::VERSION.to_owned());
        }
        let is_hot = match work.own_address(index, previous.colour).await? {
            Some(address) if may_answer => {
                health::ask(&environment, &address, &previous.version, work.context).await?.is_none()
            }
            _ => is_known,
        };
        if is_hot {
            return Ok(());
        }
        work.put_back(index, previous).await?;
        work.answers(index, previous).await
    }
}
