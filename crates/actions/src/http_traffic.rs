//! `http.traffic`: makes requests where customers make too few to say anything.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use windlass_core::duration::Duration;
use windlass_core::plan::{Effect, Facts};
use windlass_engine::action::{Action, ActionError, Probe, Result, Undone};
use windlass_engine::context::Context;

use crate::adapters::http::{self, HttpError};
use crate::http_check::{self, Prepared};

/// More requests at once than this are a load test.
const MOST: u32 = 1000;

/// Makes requests where customers make too few.
#[derive(Debug, Clone, Copy)]
pub struct HttpTraffic;

/// Parameters of `http.traffic`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// How many requests.
    #[serde(default = "twenty")]
    pub requests: u32,
    /// Over which time they are spread; most of the time until the next look in a watch, one right after another
    /// elsewhere.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub over: Option<Duration>,
    /// How many of a hundred may fail: what is measured says more than they do, but for a service that is down.
    #[serde(default = "twenty")]
    pub tolerate: u32,
    /// What each asks, and what its answer must be: parameters of `http.check`.
    pub http: http_check::Params,
}

/// What `http.traffic` gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// How many requests were made.
    pub requests: u32,
}

impl Action for HttpTraffic {
    const NAME: &'static str = "http.traffic";
    const SUMMARY: &'static str = "Makes requests, one after another, and looks at the answers.";
    type Params = Params;
    type Output = Output;

    fn effects(&self, params: &Params, _: &Facts) -> Result<Vec<Effect>> {
        if params.requests == 0 || params.requests > MOST {
            return Err(ActionError::Final(format!("http.traffic: `requests` is from 1 to {MOST}")));
        }
        Prepared::new(&params.http).map(|_| Vec::new())
    }

    async fn probe(&self, _: &Params, _: &Context) -> Result<Probe<Output>> {
        Ok(Probe::Unknown)
    }

    async fn run(&self, params: &Params, context: &Context) -> Result<Output> {
        let prepared = Prepared::new(&params.http)?;
        let request = prepared.request(&params.http, context)?;
        let (mut failed, mut last) = (0u32, String::new());
        let pause =
            params.over.map_or(std::time::Duration::ZERO, |over| over.to_std() / params.requests.max(1));
        let mut turns = tokio::time::interval(pause.max(std::time::Duration::from_nanos(1)));
        turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        for _ in 0..params.requests.min(MOST) {
            tokio::select! {
                biased;
                () = context.cancel.cancelled() => return Err(ActionError::Cancelled),
                _ = turns.tick() => {}
            }
            let answer = tokio::select! {
                biased;
                () = context.cancel.cancelled() => return Err(ActionError::Cancelled),
                answer = http::send(&request) => answer,
            };
            let problem = match answer {
                Ok(answer) => prepared.problem(&answer, &params.http),
                Err(HttpError::NoAnswer(why)) => Some(why),
                Err(HttpError::Unable(why)) => return Err(ActionError::Final(why)),
            };
            if let Some(problem) = problem {
                failed += 1;
                last = context.world.masker.mask(&problem);
            }
        }
        if u64::from(failed) * 100 > u64::from(params.requests) * u64::from(params.tolerate) {
            let why = format!("{failed} of {} requests failed; the last {last}", params.requests);
            return Err(ActionError::Failed(why));
        }
        Ok(Output { requests: params.requests })
    }

    async fn undo(&self, _: &Params, _: &Output, _: &Context) -> Result<Undone> {
        Ok(Undone::NothingToDo)
    }
}

fn twenty() -> u32 {
    20
}
