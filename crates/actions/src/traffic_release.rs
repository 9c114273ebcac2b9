//! `traffic.release`: requests reach an environment again, after `traffic.hold`.

use windlass_core::plan::{Effect, Facts, Reversibility};
use windlass_engine::action::{Action, ActionError, Probe, Result, Undone};
use windlass_engine::context::Context;

use crate::adapters::proxy::{Admission, Course, Server};
use crate::adapters::remote::{Kept, State};
use crate::deploy::lock::{Away, locked};
use crate::traffic_hold::{Found, Output, Params, check};

/// Requests reach an environment again, after `traffic.hold`.
#[derive(Debug, Clone, Copy)]
pub struct ReleaseTraffic;

impl Action for ReleaseTraffic {
    const NAME: &'static str = "traffic.release";
    const SUMMARY: &'static str = "Lets requests through to an environment again: to the colour its hosts' records name, else as it was before `traffic.hold`.";
    type Params = Params;
    type Output = Output;

    fn effects(&self, params: &Params, facts: &Facts) -> Result<Vec<Effect>> {
        check(params, facts)?;
        Ok(vec![Effect::new("release the traffic of", &params.environment, Reversibility::Compensable)])
    }

    fn label(&self, params: &Params, _: &Facts) -> String {
        format!("let traffic in to {}", params.environment)
    }

    async fn probe(&self, params: &Params, context: &Context) -> Result<Probe<Output>> {
        let found = Found::of(params, Away::Most, context).await?;
        if found.is_left_locked(context) {
            return Ok(Probe::Absent);
        }
        for proxy in found.doors.proxies() {
            if proxy.held(context).await?.is_some() {
                return Ok(Probe::Absent);
            }
        }
        Ok(Probe::Done(found.told()))
    }

    async fn run(&self, params: &Params, context: &Context) -> Result<Output> {
        if let Probe::Done(output) = self.probe(params, context).await? {
            return Ok(output);
        }
        let (output, changed) = let_in(params, context).await?;
        if changed {
            let name = &params.environment;
            context.changed(Effect::new("release the traffic of", name, Reversibility::Compensable));
        }
        Ok(output)
    }

    async fn undo(&self, _: &Params, _: &Output, _: &Context) -> Result<Undone> {
        Ok(Undone::NothingToDo)
    }
}

/// Lets requests through again. Gives whether anything was held.
pub(crate) async fn let_in(params: &Params, context: &Context) -> Result<(Output, bool)> {
    let found = Found::of(params, Away::Most, context).await?;
    let (doors, hosts) = (&found.doors, &found.site.hosts);
    let changed = locked(&found.site, context, found.kept.clone(), |fence, kept| async move {
        settled(hosts.iter().map(|host| host.name.as_str()), &kept)?;
        let mut changed = false;
        for proxy in doors.proxies() {
            if proxy.held(context).await?.is_none() {
                continue;
            }
            // A version may have changed its colour since: what the hosts have counts, not what the proxy had then.
            let courses: Vec<Course> =
                proxy.servers().iter().filter_map(|server| course(server, &kept)).collect();
            proxy.release_to(context, fence, &courses).await?;
            context.log(&format!("{} lets requests through to {} again", proxy.name(), params.environment));
            changed = true;
        }
        Ok(changed)
    })
    .await?;
    Ok((found.told(), changed))
}

/// Refuses while it is not known which colour is to be served: the traffic stays held.
fn settled<'a>(names: impl Iterator<Item = &'a str>, kept: &[Option<Kept>]) -> Result<()> {
    for (name, kept) in names.zip(kept) {
        let Some(record) = kept.as_ref().and_then(|kept| kept.record.as_ref()) else { continue };
        let what = match record.state {
            State::Switching => "the traffic was being given to",
            State::Reverting => "the version before was being put back for",
            _ => continue,
        };
        return Err(ActionError::Failed(format!(
            "{name}: {what} {} and that has not ended: resume or abort the run {}, or deploy again; the traffic stays held",
            record.version, record.run
        )));
    }
    Ok(())
}

/// What is wanted of a server by what its host has; nothing where that says nothing about it, so that it gets what it
/// had. A version that was not deployed to its end never gets traffic by this.
fn course(server: &Server, kept: &[Option<Kept>]) -> Option<Course> {
    let record = kept.get(server.host)?.as_ref()?.record.as_ref()?;
    let served = if record.state == State::Live { record } else { record.serving()? };
    let is_ready = match (served.colour, server.colour) {
        (Some(has), Some(own)) => has == own,
        (None, None) => true,
        _ => return None,
    };
    let admission = if is_ready { Admission::Ready } else { Admission::Maintenance };
    Some(server.course(admission, None))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::Timestamp;
    use windlass_core::config::Colour::{self, Blue, Green};

    use super::*;
    use crate::adapters::remote::{Record, SCHEMA};

    fn record(state: State, colour: Option<Colour>, previous: Option<Record>) -> Record {
        Record {
            schema: SCHEMA,
            environment: "production".into(),
            run: "release-1".into(),
            step: "deploy/1".into(),
            fence: 1,
            version: "1.1.0".into(),
            tag: "v1.1.0".into(),
            release: String::new(),
            files: Vec::new(),
            project: String::new(),
            images: BTreeMap::new(),
            colour,
            idle: None,
            made: None,
            state,
            at: Timestamp::UNIX_EPOCH,
            previous: previous.map(Box::new),
        }
    }

    fn kept(record: Record) -> Vec<Option<Kept>> {
        vec![Some(Kept { record: Some(record), ..Kept::default() })]
    }

    #[test]
    fn only_what_was_deployed_to_its_end_gets_traffic() {
        let (ready, none) = (Some(Admission::Ready), Some(Admission::Maintenance));
        let before = || Some(record(State::Live, Some(Blue), None));
        for (state, colour, previous, blue, green, plain) in [
            (State::Live, Some(Green), before(), none, ready, None),
            (State::Live, Some(Green), None, none, ready, None),
            // The new colour is not proven: what customers had is what they get.
            (State::Updating, Some(Green), before(), ready, none, None),
            (State::Failed, Some(Green), before(), ready, none, None),
            (State::Updated, Some(Green), before(), ready, none, None),
            // Nothing was there before: as it was.
            (State::Updating, Some(Green), None, None, None, None),
            (State::Live, None, None, None, None, ready),
            (State::Updating, None, None, None, None, None),
            (State::Failed, None, Some(record(State::Live, None, None)), None, None, None),
        ] {
            let kept = kept(record(state, colour, previous));
            for (own, expect) in [(Some(Blue), blue), (Some(Green), green), (None, plain)] {
                let server = Server { host: 0, colour: own, name: "web1".into(), address: None };
                let course = course(&server, &kept);
                assert_eq!(course.map(|course| course.admission), expect, "{state:?} {colour:?} {own:?}");
            }
        }
    }

    #[test]
    fn traffic_stays_held_while_it_is_being_given_elsewhere() {
        for (state, expect) in [
            (State::Live, ""),
            (State::Updating, ""),
            (State::Failed, ""),
            (State::Switching, "web1: the traffic was being given to 1.1.0 and that has not ended"),
            (
                State::Reverting,
                "web1: the version before was being put back for 1.1.0 and that has not ended",
            ),
        ] {
            let told = settled(["web1"].into_iter(), &kept(record(state, Some(Green), None)));
            let told = told.err().map(|error| error.to_string()).unwrap_or_default();
            assert!(told.contains(expect) && told.is_empty() == expect.is_empty(), "{state:?}: {told}");
        }
        assert!(settled(["web1"].into_iter(), &[None]).is_ok());
    }
}
