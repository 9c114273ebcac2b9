//! The way back: the traffic to the colour that had it, which is brought up first where it does not run any more.

use std::collections::BTreeMap;
use std::time::Duration;

use windlass_core::config::OnAbort;
use windlass_core::text::sanitize_line;
use windlass_engine::action::{ActionError, Result, Undone};

use super::{Before, BlueGreen, together};
use crate::adapters::proxy::Admission;
use crate::adapters::remote::{Idle, Record, RemoteError, State};
use crate::deploy::drift::drift;
use crate::deploy::health::{Check, Told};
use crate::deploy::work::Work;
use crate::deploy::{at_once, health, pause};

/// How often, and how long after the last time, what does not answer well is asked again.
const AGAIN: u32 = 4;
const PAUSE: Duration = Duration::from_millis(500);

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
        let again = BlueGreen { work: Work { context: &context, ..self.work.clone() }, ..self.clone() };
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
        // A host that died meanwhile must not keep the traffic of all between the colours.
        let (here, gone) = self.reverting(&touched, draft).await?;
        let rest = self.without(&gone)?;
        if !was_switching {
            rest.spare(&touched).await?;
        }
        if touched.is_empty() {
            return Ok("nothing was touched".to_owned());
        }
        let (touched, gone) = (here, self.kept_by(&gone));
        if was_switching {
            let others = touched.iter().filter(|index| self.has_other(**index));
            together(at_once(others.map(|index| self.other_is_hot(*index))).await)?;
            rest.doors
                .steer_each(work, |place, server| match server.colour == Some(other) {
                    true => self.again(place, server),
                    false => Some((Admission::Drain, None)),
                })
                .await?;
            rest.settle(self.to).await?;
        }
        if holds {
            for index in &touched {
                work.write(*index, draft, State::Failed).await?;
            }
            Before::forget(work, &self.doors).await;
            return Ok(format!("{} stays up without traffic, to be looked at{gone}", self.to.as_str()));
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
        // Who cannot be reached may need to know it still.
        if gone.is_empty() {
            Before::forget(work, &self.doors).await;
        }
        if let Some(previous) = work.previous().filter(|previous| previous.colour == Some(other)) {
            return Ok(format!("{} stays in {}{gone}", previous.version, other.as_str()));
        }
        if touched.is_empty() {
            return Ok(format!("no host can be told{gone}"));
        }
        let what = match touched.iter().find(|index| self.has_other(**index)) {
            Some(index) => format!("the traffic stays in {}", self.unrecorded(*index).await?.0),
            None => "empty again, as before".to_owned(),
        };
        Ok(what + &gone)
    }

    /// The same without the proxies on hosts that died.
    fn without(&self, gone: &[usize]) -> Result<Self> {
        Ok(Self { doors: self.doors.without(self.work.site, gone)?, ..self.clone() })
    }

    /// Writes on these hosts that they go back. Gives those that could be reached, and the others.
    async fn reverting(&self, hosts: &[usize], draft: &Record) -> Result<(Vec<usize>, Vec<usize>)> {
        let work = &self.work;
        let written = at_once(hosts.iter().map(|index| async move {
            let record = work.record(*index, draft, State::Reverting);
            (*index, work.host(*index).write(work.context, &record, false).await)
        }))
        .await;
        parted(written)
    }

    /// The colour that was to be changed gets back what it had, on the hosts where it was not.
    async fn spare(&self, touched: &[usize]) -> Result<()> {
        self.doors
            .steer_each(&self.work, |place, server| {
                let is_spared = server.colour == Some(self.to) && !touched.contains(&server.host);
                let had = self.before.of(place, server).filter(|_| is_spared)?;
                (had.admission == Admission::Ready).then_some((Admission::Ready, None))
            })
            .await
    }

    /// What the other colour of a host holds that no record tells of, in words, and what is wrong with it, if anything.
    async fn unrecorded(&self, index: usize) -> Result<(String, Option<String>)> {
        let (work, colour) = (&self.work, self.to.other());
        let whose = match work.before(index) {
            Some(_) => "",
            None => ", which Windlass did not deploy",
        };
        let colour_name = colour.as_str();
        let mut told = work.told(index, colour).await?;
        // One answer that fails says little.
        for _ in 0..AGAIN {
            if !matches!(told, Some(Told::Bad(_))) {
                break;
            }
            pause(work.context, PAUSE).await?;
            told = work.told(index, colour).await?;
        }
        Ok(match told {
            Some(Told::Version(version)) => {
                let version = version.as_str().map_or_else(|| health::short(&version), sanitize_line);
                (format!("{colour_name}, where {version} answers{whose}"), None)
            }
            Some(Told::Silent) => (format!("{colour_name}, which answers{whose}"), None),
            Some(Told::Bad(why)) => {
                (format!("{colour_name}, which does not answer well ({why}){whose}"), Some(why))
            }
            None => (format!("{colour_name}{whose}"), None),
        })
    }

    /// The hosts whose record says that this item began there.
    async fn begun(&self, hosts: &[usize]) -> Result<Vec<usize>> {
        let work = &self.work;
        let mut begun = Vec::new();
        for index in hosts {
            let is_ours = match work.host(*index).look(work.context).await {
                Ok(kept) => kept.record.as_ref().is_some_and(|record| work.is_ours(record)),
                // Whether it came that far is not known, and it is told with those that cannot be reached.
                Err(error) if error.is_unreachable() => true,
                Err(error) => return Err(error.into()),
            };
            if is_ours {
                begun.push(*index);
            }
        }
        Ok(begun)
    }

    /// Gives the traffic back to what had it before `targets`; what is not hot any more is brought up first.
    pub(super) async fn undo(&self, targets: &[(usize, Record)]) -> Result<Undone> {
        let (work, to) = (&self.work, self.to);
        let other = to.other();
        // What the other colour holds where no record tells of it.
        let mut unrecorded: BTreeMap<usize, String> = BTreeMap::new();
        for (index, record) in targets.iter().filter(|(_, record)| record.previous.is_none()) {
            let served = self.before.served(&self.doors, *index, other);
            let (words, wrong) = self.unrecorded(*index).await?;
            let lost = match (served, &record.idle, wrong) {
                (None, Some(idle), _) => Some(format!("made room for {}", idle.version)),
                (Some(true), _, Some(why)) => Some(format!("does not answer well any more ({why})")),
                (Some(false), ..) | (None, None, Some(_)) => None,
                (_, _, None) => {
                    unrecorded.insert(*index, words);
                    None
                }
            };
            if let Some(lost) = lost {
                return Ok(Undone::NeedsHuman(format!(
                    "what {} had in {}, which Windlass did not deploy, {lost}, so {} keeps the traffic: bring it up there and \
                     roll back again, or deploy another version",
                    work.host(*index).name,
                    other.as_str(),
                    work.wanted.version
                )));
            }
        }
        let (targets, gone) = self.withdrawing(targets).await?;
        let (rest, gone) = (self.without(&gone)?, self.kept_by(&gone));
        let ready = targets.iter().map(|(index, record)| async move {
            match record.previous.as_deref() {
                Some(previous) => self.is_hot_again(*index, previous).await,
                None => Ok(()),
            }
        });
        together(at_once(ready).await)?;
        let full = self.full();
        let goes_back = |host: usize| {
            let has = |record: &Record| record.previous.is_some() || unrecorded.contains_key(&host);
            targets.iter().any(|(index, record)| *index == host && has(record))
        };
        let otherwise = |host: usize| goes_back(host).then_some((Admission::Ready, full));
        rest.doors
            .steer_each(work, |place, server| match server.colour == Some(to) {
                true => Some((Admission::Drain, None)),
                false => self.again(place, server).or_else(|| otherwise(server.host)),
            })
            .await?;
        for (index, record) in &targets {
            if let Some(previous) = &record.previous {
                let check = Check::new(&work.site.environment, &previous.version);
                work.serves(&[*index], check).await?;
            }
        }
        rest.settle(to).await?;
        let mut told: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for (index, record) in &targets {
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
                    match unrecorded.get(index) {
                        Some(words) => format!("the traffic back to {words}"),
                        None => "empty again, as before".to_owned(),
                    }
                }
            };
            told.entry(what).or_default().push(&host.name);
        }
        if gone.is_empty() {
            Before::forget(work, &self.doors).await;
        }
        let told: Vec<String> =
            told.iter().map(|(what, hosts)| format!("{}: {what}", hosts.join(", "))).collect();
        Ok(match gone.is_empty() {
            true => Undone::Reverted(told.join("; ")),
            false => Undone::NeedsHuman(told.join("; ") + &gone),
        })
    }

    /// Writes on the targets' hosts that the version is withdrawn, where it was live, and that they go back. Gives those
    /// that could be reached, and the others: one that dies now must not keep the others' customers waiting.
    async fn withdrawing(&self, targets: &[(usize, Record)]) -> Result<(Vec<(usize, Record)>, Vec<usize>)> {
        let work = &self.work;
        let written = at_once(targets.iter().map(|(index, record)| async move {
            let host = work.host(*index);
            // Everyone who asks whether it passed here must hear that it did not stay. Once.
            if record.state == State::Live {
                let withdrawn = Record { state: State::Withdrawn, fence: work.fence, ..record.clone() };
                host.write(work.context, &withdrawn, true).await?;
            }
            let at = work.now();
            let reverting = Record { state: State::Reverting, fence: work.fence, at, ..record.clone() };
            host.write(work.context, &reverting, false).await
        }))
        .await;
        let told = targets.iter().zip(written).map(|(target, result)| (target.0, result));
        let (here, gone) = parted(told)?;
        let here = targets.iter().filter(|(index, _)| here.contains(index)).cloned().collect();
        Ok((here, gone))
    }

    /// What is to be said of hosts that cannot be reached.
    fn kept_by(&self, gone: &[usize]) -> String {
        match gone.is_empty() {
            true => String::new(),
            false => {
                format!("; {} cannot be reached, and keeps what it has", self.work.names(gone).join(", "))
            }
        }
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
        let environment = &work.site.environment;
        let is_known = match previous.project.is_empty() {
            true => self.is_kept_hot(index, previous),
            false => {
                let found = work.host(index).containers(work.context, &previous.project).await?;
                drift(previous, &found).is_empty()
            }
        };
        // Where nobody knows what a script left there, only an answer with the version shows it.
        let may_answer = is_known || previous.project.is_empty();
        let check = match is_known {
            true => Check::new(environment, &previous.version),
            false => Check::strict(environment, &previous.version),
        };
        let is_hot = match work.own_address(index, previous.colour).await? {
            Some(address) if may_answer => check.ask(&address, work.context).await?.is_none(),
            _ => is_known,
        };
        if is_hot {
            return Ok(());
        }
        work.put_back(index, previous).await?;
        work.answers(index, previous).await
    }
}

/// The hosts that could be told, and those that cannot be reached.
fn parted(
    told: impl IntoIterator<Item = (usize, std::result::Result<(), RemoteError>)>,
) -> Result<(Vec<usize>, Vec<usize>)> {
    let (mut here, mut gone) = (Vec::new(), Vec::new());
    for (index, result) in told {
        match result {
            Ok(()) => here.push(index),
            Err(error) if error.is_unreachable() => gone.push(index),
            Err(error) => return Err(error.into()),
        }
    }
    Ok((here, gone))
}
