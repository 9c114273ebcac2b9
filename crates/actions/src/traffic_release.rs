//! `traffic.release`: requests reach an environment again, after `traffic.hold`.

use windlass_core::plan::{Effect, Facts, Reversibility};
use windlass_engine::action::{Action, Probe, Result, Undone};
use windlass_engine::context::Context;

use crate::adapters::proxy::{Admission, Course, Proxy, Server};
use crate::adapters::remote::Kept;
use crate::deploy::Site;
use crate::deploy::lock::{locked, reach};
use crate::traffic_hold::{Output, Params, check, is_left_locked, told};

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
        let site = Site::new(&params.environment, &params.target, context);
        let proxies = Proxy::all(&site, context).await?;
        if is_left_locked(&site, context).await? {
            return Ok(Probe::Absent);
        }
        for proxy in &proxies {
            if proxy.held(context).await?.is_some() {
                return Ok(Probe::Absent);
            }
        }
        Ok(Probe::Done(told(params, &proxies)))
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
    let site = Site::new(&params.environment, &params.target, context);
    let proxies = Proxy::all(&site, context).await?;
    let (kept, _) = reach(&site, context).await?;
    let all = &proxies;
    let changed = locked(&site, context, kept, |fence, kept| async move {
        let mut changed = false;
        for proxy in all {
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
    Ok((told(params, &proxies), changed))
}

/// What is wanted of a server by what its host has; nothing where that says nothing about it.
fn course(server: &Server, kept: &[Option<Kept>]) -> Option<Course> {
    let record = kept.get(server.host)?.as_ref()?.record.as_ref()?;
    let (has, own) = (record.colour?, server.colour?);
    let admission = if own == has { Admission::Ready } else { Admission::Maintenance };
    Some(server.course(admission, None))
}
