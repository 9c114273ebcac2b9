//! `deploy.script`: a version into an environment with any other tool, under the same record, lock and way back.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use windlass_core::config::OnAbort;
use windlass_core::plan::{Effect, Facts, Reversibility};
use windlass_engine::action::{Action, ActionError, Probe, Result, Undone};
use windlass_engine::context::Context;

use crate::adapters::remote::{Host, Kept, Record, SCHEMA, State};
use crate::deploy::lock::{holds_lock, is_undo, item, let_go, locked};
use crate::deploy::parameters::parameters;
use crate::deploy::targets::begun;
use crate::deploy::{Site, Wanted, health, promotion};
use crate::script::{self, Language, Script};

/// A version into an environment with any other tool.
#[derive(Debug, Clone, Copy)]
pub struct DeployScript;

parameters! {
    /// Parameters of `deploy.script`.
    pub struct Params {
        /// What deploys `$WINDLASS_VERSION` (`$WINDLASS_TAG`) to `$WINDLASS_ENVIRONMENT`, whose hosts are
        /// `$WINDLASS_HOSTS`. It is run again after a crash, and with the version before to go back: deploying twice must
        /// be deploying once.
        pub run: String,
        /// What goes back from `$WINDLASS_VERSION` to `$WINDLASS_PREVIOUS_VERSION`, where `run` with the version before is
        /// not the way. It is run again after a crash, and when `run` failed before it changed anything: it must look first,
        /// and do nothing where `$WINDLASS_VERSION` is not there.
        #[serde(default)]
        pub undo: Option<String>,
        /// What the scripts are written in.
        #[serde(default = "crate::script::bash")]
        pub language: Language,
        /// Names of secrets that the scripts get as environment variables.
        #[serde(default)]
        pub secrets: Vec<String>,
    }
}

/// What `deploy.script` gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// The environment.
    pub environment: String,
    /// The version that it has now.
    pub version: String,
    /// The version it had before.
    pub previous: Option<String>,
}

impl Action for DeployScript {
    const NAME: &'static str = "deploy.script";
    const SUMMARY: &'static str = "Brings a version to an environment with a script, under the same record, lock and way back as the others.";
    type Params = Params;
    type Output = Output;

    fn effects(&self, params: &Params, facts: &Facts) -> Result<Vec<Effect>> {
        params.request().check(facts)?;
        if !params.target.hosts.is_empty() && params.target.folder.is_none() {
            return Err(ActionError::Final(format!(
                "the environment {} has hosts and no `folder`, where its record could be kept",
                params.environment
            )));
        }
        for text in [Some(&params.run), params.undo.as_ref()].into_iter().flatten() {
            Script.effects(&call(params, text, BTreeMap::new()), facts)?;
        }
        Ok(vec![effect(params)])
    }

    fn label(&self, params: &Params, facts: &Facts) -> String {
        params.request().label(facts, " by a script")
    }

    async fn probe(&self, params: &Params, context: &Context) -> Result<Probe<Output>> {
        let at = Place::new(params, context)?;
        if is_undo(context) {
            return at.half_way(context).await;
        }
        let kept = at.host.look(context).await?;
        if holds_lock(Some(&kept), context) {
            return Ok(Probe::Absent);
        }
        Ok(match kept.record.filter(|record| at.is_ours(record, context)) {
            // A script may be run again, so what did not come to its end is.
            Some(record) if record.state == State::Live => Probe::Done(at.output(&record)),
            _ => Probe::Absent,
        })
    }

    async fn run(&self, params: &Params, context: &Context) -> Result<Output> {
        if let Probe::Done(output) = self.probe(params, context).await? {
            return Ok(output);
        }
        let at = Place::new(params, context)?;
        let kept = at.host.look(context).await?;
        let (site, at) = (&at.site, &at);
        let work = |fence, kept: Vec<Option<Kept>>| async move {
            promotion::check(&params.environment, &params.target, &params.after, &at.wanted.version, context)
                .await?;
            let kept = kept.into_iter().flatten().next().unwrap_or_default();
            at.forward(fence, &kept, context).await
        };
        let output = locked(site, context, vec![Some(kept)], work).await?;
        context.changed(effect(params));
        Ok(output)
    }

    async fn undo(&self, params: &Params, output: &Output, context: &Context) -> Result<Undone> {
        let at = Place::new(params, context)?;
        let kept = at.host.look(context).await?;
        let ours = |record: &Record| {
            record.is_of(&context.run.0, &item(context)) && record.version == output.version
        };
        let Some(record) = kept.record.clone().filter(ours) else {
            let_go(&at.site, [Some(&kept)], context).await?;
            return Ok(Undone::NothingToDo);
        };
        if record.previous.is_none() && params.undo.is_none() {
            let_go(&at.site, [Some(&kept)], context).await?;
            return Ok(Undone::NeedsHuman(format!(
                "{} had no version before {}: take it away yourself, or give the step an `undo`",
                params.environment, output.version
            )));
        }
        let (site, at) = (&at.site, &at);
        let work = |fence, kept: Vec<Option<Kept>>| async move {
            let kept = kept.into_iter().flatten().next().unwrap_or_default();
            if record.state == State::Live {
                let withdrawn = Record { state: State::Withdrawn, fence, ..record.clone() };
                at.host.write(context, &withdrawn, true).await?;
            }
            at.back(fence, &record, &kept, context).await
        };
        locked(site, context, vec![Some(kept)], work).await.map(Undone::Reverted)
    }
}

/// Where the record is, and what is deployed.
struct Place<'a> {
    params: &'a Params,
    /// The first host alone: the script knows the others.
    site: Site,
    host: Host,
    wanted: Wanted,
}

impl<'a> Place<'a> {
    fn new(params: &'a Params, context: &Context) -> Result<Self> {
        let mut site = Site::new(&params.environment, &params.target, context);
        site.hosts.truncate(1);
        let host = site.hosts.first().cloned().ok_or_else(|| {
            ActionError::Final(format!("the environment {} has no place for its record", params.environment))
        })?;
        let wanted = params.request().wanted(context.world.release.as_deref())?;
        Ok(Self { params, site, host, wanted })
    }

    fn is_ours(&self, record: &Record, context: &Context) -> bool {
        record.is_of(&context.run.0, &item(context)) && record.version == self.wanted.version
    }

    fn output(&self, record: &Record) -> Output {
        Output {
            environment: self.params.environment.clone(),
            version: record.version.clone(),
            previous: record.previous.as_ref().map(|previous| previous.version.clone()),
        }
    }

    /// What there is to take back, however far it came.
    async fn half_way(&self, context: &Context) -> Result<Probe<Output>> {
        let Some(records) = begun(&self.site, &self.wanted.version, context).await? else {
            return Ok(Probe::Absent);
        };
        let nothing = Output {
            environment: self.params.environment.clone(),
            version: self.wanted.version.clone(),
            previous: None,
        };
        Ok(Probe::Done(records.first().map_or(nothing, |record| self.output(record))))
    }

    async fn forward(&self, fence: u64, kept: &Kept, context: &Context) -> Result<Output> {
        let done = kept
            .record
            .as_ref()
            .filter(|record| self.is_ours(record, context) && record.state == State::Live);
        if let Some(record) = done {
            return Ok(self.output(record));
        }
        let previous = match &kept.record {
            Some(record) if self.is_ours(record, context) => record.previous.as_deref(),
            record => record.as_ref().and_then(Record::good),
        };
        let mut record = Record {
            schema: SCHEMA,
            environment: self.params.environment.clone(),
            run: context.run.0.clone(),
            step: context.path.0.clone(),
            fence,
            version: self.wanted.version.clone(),
            tag: self.wanted.tag.clone(),
            release: String::new(),
            files: Vec::new(),
            project: String::new(),
            images: BTreeMap::new(),
            colour: None,
            idle: None,
            made: None,
            state: State::Updating,
            at: now(context),
            previous: previous.map(|previous| Box::new(previous.alone())),
        };
        self.host.write(context, &record, false).await?;
        let deployed = match self.script(&self.params.run, &record, fence, context).await {
            Ok(()) => self.healthy(&record.version, context).await,
            Err(error) => Err(error),
        };
        match deployed {
            Ok(()) => {
                // Whoever was overtaken hears of it here, before it says that it is done.
                (record.state, record.at) = (State::Live, now(context));
                self.host.write(context, &record, true).await?;
                Ok(self.output(&record))
            }
            Err(ActionError::Cancelled) => Err(ActionError::Cancelled),
            Err(error) => Err(self.abort(fence, record, kept, &error, context).await),
        }
    }

    async fn abort(
        &self,
        fence: u64,
        mut record: Record,
        kept: &Kept,
        error: &ActionError,
        context: &Context,
    ) -> ActionError {
        let can_go_back = record.previous.is_some() || self.params.undo.is_some();
        if self.params.target.on_abort == OnAbort::Revert && can_go_back {
            return match self.back(fence, &record, kept, context).await {
                Ok(what) => ActionError::Final(format!("{error}; the deployment was given up: {what}")),
                Err(again) => ActionError::Final(format!("{error}; and it could not be taken back: {again}")),
            };
        }
        (record.state, record.at) = (State::Failed, now(context));
        let written = self.host.write(context, &record, false).await;
        let why = written.err().map(|error| format!("; {error}")).unwrap_or_default();
        ActionError::Final(format!("{error}; {} stays as it is{why}", self.params.environment))
    }

    /// Back from `ours` to what was before.
    async fn back(&self, fence: u64, ours: &Record, kept: &Kept, context: &Context) -> Result<String> {
        let reverting = Record { state: State::Reverting, fence, at: now(context), ..ours.clone() };
        self.host.write(context, &reverting, false).await?;
        match (&self.params.undo, ours.previous.as_deref()) {
            (Some(undo), _) => self.script(undo, ours, fence, context).await?,
            (None, Some(previous)) => self.script(&self.params.run, previous, fence, context).await?,
            (None, None) => {}
        }
        let Some(previous) = ours.previous.as_deref() else {
            self.host.forget(context, fence).await?;
            return Ok(format!("{}: empty again, as before", self.params.environment));
        };
        self.healthy(&previous.version, context).await?;
        let record = Record { fence, at: now(context), state: State::Live, ..kept.whole(previous) };
        self.host.write(context, &record, true).await?;
        Ok(format!("{}: back to {}", self.params.environment, previous.version))
    }

    async fn healthy(&self, version: &str, context: &Context) -> Result<()> {
        let environment = &self.params.target;
        let ready = self.params.ready.to_std();
        if let Some(address) = health::address(environment) {
            return health::wait(environment, &address, version, ready, context).await;
        }
        for host in Site::new(&self.params.environment, environment, context).hosts {
            if let Some(address) = health::address_of(environment, &host, context).await? {
                health::wait(environment, &address, version, ready, context).await?;
            }
        }
        Ok(())
    }

    async fn script(&self, text: &str, record: &Record, fence: u64, context: &Context) -> Result<()> {
        let previous = record.previous.as_ref().map(|previous| previous.version.clone());
        let values = [
            ("WINDLASS_ENVIRONMENT", self.params.environment.clone()),
            ("WINDLASS_HOSTS", self.params.target.hosts.join(" ")),
            ("WINDLASS_VERSION", record.version.clone()),
            ("WINDLASS_TAG", record.tag.clone()),
            ("WINDLASS_PREVIOUS_VERSION", previous.unwrap_or_default()),
            ("WINDLASS_FENCE", fence.to_string()),
        ];
        let env = values.map(|(name, value)| (name.to_owned(), value)).into();
        // Its effect is this action's, which tells it itself.
        let mut apart = context.clone();
        apart.forget_changes();
        Script.run(&call(self.params, text, env), &apart).await.map(drop)
    }
}

fn now(context: &Context) -> Timestamp {
    context.world.clock.now()
}

fn effect(params: &Params) -> Effect {
    Effect::new("deploy to", &params.environment, Reversibility::Compensable)
}

fn call(params: &Params, text: &str, env: BTreeMap<String, String>) -> script::Params {
    script::Params {
        language: params.language,
        text: text.to_owned(),
        env,
        secrets: params.secrets.clone(),
        probe: None,
        undo: None,
        read_only: false,
        label: None,
    }
}
