//! Pages: people are called when the sources of a watch are silent, when they speak again, when only people can say how the
//! run goes on, and when a step fails that much depends on.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use futures::future::join_all;
use jiff::Timestamp;
use serde_json::{Value, json};
use windlass_core::plan::{ActionCall, PlannedStep, Policy, StepPath, WatchNode};
use windlass_core::run::RunEvent;
use windlass_core::verdict::{Judgement, Sample, Seen};

use super::watch::Watching;
use super::{Interpreter, Scope, worst};
use crate::durable::{Completion, Durable, EffectRequest, Stop, Trace};

/// What is known of a watch's sources, and what people were told about them.
#[derive(Debug, Default)]
pub(super) struct Silence {
    /// In how many rounds one after another a source gave nothing, and why in the last.
    looks: BTreeMap<String, (u32, String)>,
    /// The item and the occasion of the outage that people were paged for and that is not over.
    open: Option<(StepPath, String)>,
    /// How many outages there were.
    count: u32,
}

/// What is said of a failure that no step answers.
pub(super) const NOTHING: &str = "nothing is done about it: a person must look";

/// A step that failed, and how people are told.
#[derive(Debug)]
pub(super) struct Failure {
    /// The item that failed.
    at: StepPath,
    /// The step's title.
    title: String,
    why: String,
    call: ActionCall,
}

/// What people are told.
struct Message<'a> {
    /// The page's item.
    path: StepPath,
    /// What it is about: the same for the page and for the message that it is over.
    occasion: &'a str,
    text: String,
    resolved: bool,
}

impl<D: Durable> Interpreter<'_, D> {
    /// Pages people once when a source gave nothing at so many looks one after another, and once more when all speak
    /// again. Nothing is rolled back for an outage: it says nothing about the release.
    pub(super) async fn outage(&self, watching: &mut Watching<'_>, samples: &[Sample]) -> Result<(), Stop> {
        let Watching { node, path, scope, began, outage: silence, .. } = watching;
        let Some(page) = &node.page else { return Ok(()) };
        silence.take(node, samples);
        let lost: Vec<String> = silence
            .looks
            .iter()
            .filter(|(_, (looks, _))| *looks >= page.outage)
            .map(|(name, (looks, why))| format!("{name} gave nothing at {looks} looks: {why}"))
            .collect();
        match silence.open.take() {
            None if !lost.is_empty() => {
                silence.count += 1;
                let path = path.child(format_args!("outage-{}", silence.count));
                let occasion = occasion(&path, *began);
                let text = format!(
                    "the metrics of {} are away ({}); the watch goes on, and nothing is rolled back for it",
                    node.label,
                    lost.join("; ")
                );
                let page = Message { path: path.clone(), occasion: &occasion, text, resolved: false };
                self.page(node, scope, page).await?;
                silence.open = Some((path, occasion));
            }
            Some((path, occasion)) if silence.looks.values().all(|(looks, _)| *looks == 0) => {
                let text = format!("the metrics of {} are back", node.label);
                let path = path.child("resolved");
                self.page(node, scope, Message { path, occasion: &occasion, text, resolved: true }).await?;
            }
            open => silence.open = open,
        }
        Ok(())
    }

    /// Pages people about a verdict that only they can give.
    pub(super) async fn page_verdict(
        &self,
        node: &WatchNode,
        path: &StepPath,
        scope: &Scope,
        began: Timestamp,
        judgement: &Judgement,
    ) -> Result<(), Stop> {
        let path = path.child("page");
        let occasion = occasion(&path, began);
        let text = format!(
            "{}: {} ({}); a person must say whether the run goes on",
            node.label,
            judgement.verdict.name(),
            judgement.why
        );
        self.page(node, scope, Message { path, occasion: &occasion, text, resolved: false }).await
    }

    /// Remembers that `step` failed at the item `at`, if people are to be told. The innermost step that names a way to
    /// them is the one they are told of.
    pub(super) fn failed(&self, step: &PlannedStep, at: &StepPath, why: &str) {
        let Some(call) = &step.page else { return };
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if !failures.iter().any(|known| known.at == *at) {
            let (title, why) = (step.title.clone(), why.to_owned());
            failures.push(Failure { at: at.clone(), title, why, call: call.clone() });
        }
    }

    /// Takes the failures of items within a step that people were not told of yet.
    pub(super) fn failures_within(&self, step: &StepPath) -> Vec<Failure> {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let (own, others) = failures.drain(..).partition(|failure| failure.at.is_within(step));
        *failures = others;
        own
    }

    /// Pages people about failures, and tells them what is done `then`.
    pub(super) async fn page_failures(
        &self,
        failures: &[Failure],
        scope: &Scope,
        then: &str,
    ) -> Result<(), Stop> {
        let plan = &self.plan.runbook.name;
        let pages = failures.iter().map(|failure| {
            let Failure { title, why, .. } = failure;
            self.page_failure(failure, scope, format!("{title} failed in {plan}: {why}; {then}"), false)
        });
        worst(join_all(pages).await)
    }

    /// Tells those who were paged about failures that the runbook which answered them has come to its end.
    pub(super) async fn page_answered(
        &self,
        failures: &[Failure],
        scope: &Scope,
        answer: &str,
    ) -> Result<(), Stop> {
        let plan = &self.plan.runbook.name;
        let pages = failures.iter().map(|failure| {
            let text = format!("{} failed in {plan}, and `{answer}` was run to its end", failure.title);
            self.page_failure(failure, scope, text, true)
        });
        worst(join_all(pages).await)
    }

    /// One page of a failure. The item made again is another occasion.
    async fn page_failure(
        &self,
        failure: &Failure,
        scope: &Scope,
        text: String,
        resolved: bool,
    ) -> Result<(), Stop> {
        let path = failure.at.child("failed");
        let occasion = occasion(&path, self.engine.now(&path).await?);
        let path = if resolved { path.child("resolved") } else { path };
        self.call_people(&failure.call, scope, Message { path, occasion: &occasion, text, resolved }).await
    }

    async fn page(&self, node: &WatchNode, scope: &Scope, message: Message<'_>) -> Result<(), Stop> {
        match &node.page {
            Some(page) => self.call_people(&page.call, scope, message).await,
            None => Ok(()),
        }
    }

    async fn call_people(&self, call: &ActionCall, scope: &Scope, message: Message<'_>) -> Result<(), Stop> {
        let Message { path, occasion, text, resolved } = message;
        let mut call = call.clone();
        if let Value::Object(params) = &mut call.params {
            params.insert("message".into(), json!(text));
            params.insert("occasion".into(), json!(occasion));
            params.insert("resolved".into(), json!(resolved));
        }
        // Nobody being reached is told, and is no failure of the release.
        let policy = Policy { optional: true, ..Policy::default() };
        let outputs = self.outputs();
        let request = EffectRequest {
            key: &path,
            call: &call,
            policy: &policy,
            effects: &[],
            deadline: None,
            fence: scope.fence.as_ref(),
            outputs: outputs.environment(),
            matrix: &scope.environment,
            trace: Trace::Message,
        };
        let (by, why) = match self.engine.effect(request).await? {
            Completion::Output(output) => {
                let text = |key: &str| output.get(key).and_then(Value::as_str).map(str::to_owned);
                (text("by"), text("refused"))
            }
            Completion::Waived(why) | Completion::FailedOptional(why) => (None, Some(why)),
        };
        self.engine.record(RunEvent::Paged { path, message: text, resolved, by, why }).await
    }
}

impl Silence {
    /// Takes a round into account. One that makes up for several looks counts once, and as its last one: what was
    /// missed while no process was there is no outage that anybody waited out.
    fn take(&mut self, node: &WatchNode, samples: &[Sample]) {
        for source in node.metrics.iter().flat_map(|metrics| &metrics.sources) {
            let mut own = samples.iter().filter(|sample| !sample.baseline && sample.probe == source.name);
            let Some(last) = own.next_back() else { continue };
            let spoke = own.any(|sample| sample.seen != Seen::Nothing);
            let looks = self.looks.entry(source.name.clone()).or_default();
            *looks = match last.seen {
                Seen::Nothing if spoke => (1, last.detail.clone()),
                Seen::Nothing => (looks.0.saturating_add(1), last.detail.clone()),
                Seen::Good | Seen::Bad | Seen::Measured => (0, String::new()),
            };
        }
    }
}

/// What a page is about. A watch that is made again is another one, of which nobody was told yet.
fn occasion(path: &StepPath, began: Timestamp) -> String {
    format!("{path}@{began}")
}
