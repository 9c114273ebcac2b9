//! The flow words of a runbook: people, time, observation, other runbooks.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::items::script_params;
use super::{Binder, Frame, find};
use crate::diagnostic::{Diagnostic, Span};
use crate::gate::{ApprovalRule, RoleCount};
use crate::plan::flow::{
    ApprovalParams, CallParams, ConfirmParams, ProbeParams, RoleParams, WaitParams, WatchParams,
};
use crate::plan::{
    ActionCall, ApprovalNode, CallNode, ConfirmNode, Node, StepPath, WaitNode, WatchNode, WatchProbe,
};
use crate::runbook::{ActionUse, Owner};
use crate::verdict::WatchRule;

/// More samples of one probe than this are a mistake in `for` or `every`.
const MOST_SAMPLES: u64 = 100_000;

impl Binder<'_> {
    /// The node of a flow word.
    pub(super) fn word(
        &mut self,
        frame: &Frame<'_>,
        path: StepPath,
        owner: Option<&Owner>,
        action: &ActionUse,
        params: Value,
        deferred: bool,
    ) -> Option<Node> {
        let place = action.span;
        let name = action.uses.value.as_str();
        if deferred {
            let span = find(frame.document.source, Some(place), "outputs").unwrap_or(place);
            let message = format!("`{name}` cannot use outputs: they are not known when it is planned");
            self.report(frame.document, Diagnostic::error("deferred-here", message, span));
            return None;
        }
        match name {
            "approval" => self.approval(frame, path, owner, params, place),
            "confirm" => {
                let params: ConfirmParams = self.read(frame, name, params, place)?;
                let owner = owner.cloned();
                Some(Node::Confirm(ConfirmNode { path, text: params.text, owner, within: params.within }))
            }
            "wait" => {
                let params: WaitParams = self.read(frame, name, params, place)?;
                let label = format!("wait {}", params.duration);
                Some(Node::Wait(WaitNode { path, label, duration: params.duration }))
            }
            "watch" => self.watch(frame, path, owner, params, place),
            _ => {
                let params: CallParams = self.read(frame, name, params, place)?;
                let span = find(frame.document.source, Some(place), &params.runbook).unwrap_or(place);
                self.routine(frame.document, &params.runbook, span);
                Some(Node::Call(CallNode { path, runbook: params.runbook }))
            }
        }
    }

    fn read<T: DeserializeOwned>(
        &mut self,
        frame: &Frame<'_>,
        name: &str,
        params: Value,
        place: Span,
    ) -> Option<T> {
        let params = if params.is_null() { Value::Object(serde_json::Map::new()) } else { params };
        match serde_json::from_value(params) {
            Ok(params) => Some(params),
            Err(error) => {
                self.wrong_params(frame, &format!("{name}: {error}"), place);
                None
            }
        }
    }

    fn approval(
        &mut self,
        frame: &Frame<'_>,
        path: StepPath,
        owner: Option<&Owner>,
        params: Value,
        place: Span,
    ) -> Option<Node> {
        let params: ApprovalParams = self.read(frame, "approval", params, place)?;
        let document = frame.document;
        if params.role.is_some() && !params.roles.is_empty() {
            let message = "an approval takes `role` or `roles`, not both";
            self.report(document, Diagnostic::error("wrong-parameters", message, place));
            return None;
        }
        let mut need: Vec<RoleParams> = params.roles;
        match (&params.role, owner) {
            (Some(role), _) => need.push(RoleParams { role: role.clone(), count: params.count }),
            (None, Some(owner)) if need.is_empty() => {
                // One of several owners may approve only when the rule can say so: a gate has no "or" between roles.
                if owner.names.len() > 1 && !owner.all {
                    let message = "this approval names no role, and its step has several owners";
                    let diagnostic = Diagnostic::error("wrong-parameters", message, place);
                    self.report(document, diagnostic.help("say who approves: with: { role: NAME }"));
                    return None;
                }
                let each = |role: &String| RoleParams { role: role.clone(), count: params.count };
                need.extend(owner.names.iter().map(each));
            }
            (None, _) => {}
        }
        if need.is_empty() {
            need.push(RoleParams { role: "anyone".into(), count: params.count });
        }
        for need in &need {
            self.role(frame, &need.role, place);
            if need.count == 0 || need.count > 100 {
                let message = format!("{} people cannot approve: give a count from 1 to 100", need.count);
                self.report(document, Diagnostic::error("wrong-parameters", message, place));
            }
            self.enough_members(frame, need, place);
        }
        if let Some(refused) = &params.refused
            && document.runbook.calls.iter().flatten().any(|call| call.value == *refused)
        {
            let span = find(document.source, Some(place), refused).unwrap_or(place);
            self.routine(document, refused, span);
        }
        let shown: Vec<String> = need.iter().map(|need| format!("{} {}", need.count, need.role)).collect();
        let need = need.into_iter().map(|need| RoleCount { role: need.role, count: need.count }).collect();
        Some(Node::Approval(ApprovalNode {
            path,
            label: params.label.unwrap_or_else(|| format!("approval by {}", shown.join(" and "))),
            rule: ApprovalRule { need, within: params.within, not: params.not.0, comment: params.comment },
            refused: params.refused,
        }))
    }

    /// A role that the project knows, in a project that says which it knows.
    fn role(&mut self, frame: &Frame<'_>, role: &str, place: Span) {
        let declared = frame.document.runbook.roles.as_ref();
        let known: Vec<&str> = declared
            .into_iter()
            .flatten()
            .map(|role| role.value.as_str())
            .chain(self.input.roles.keys().map(String::as_str))
            .collect();
        if (declared.is_none() && self.input.roles.is_empty())
            || role == "anyone"
            || role.contains('@')
            || known.contains(&role)
        {
            return;
        }
        let span = find(frame.document.source, Some(place), role).unwrap_or(place);
        let diagnostic = Diagnostic::error("unknown-role", format!("unknown role `{role}`"), span)
            .suggest(role, known.iter().copied());
        self.report(frame.document, diagnostic);
    }

    /// A gate that can never open is found now, not in the middle of a release.
    fn enough_members(&mut self, frame: &Frame<'_>, need: &RoleParams, place: Span) {
        let Some(members) = self.input.roles.get(&need.role) else { return };
        if !members.is_empty() && members.len() < need.count as usize {
            let message = format!(
                "{} people of `{}` are asked for, but windlass.toml puts only {} in it",
                need.count,
                need.role,
                members.len()
            );
            let span = find(frame.document.source, Some(place), &need.role).unwrap_or(place);
            let diagnostic = Diagnostic::error("impossible-gate", message, span);
            self.report(frame.document, diagnostic.help("add members under [roles], or ask for fewer"));
        }
    }

    fn watch(
        &mut self,
        frame: &Frame<'_>,
        path: StepPath,
        owner: Option<&Owner>,
        params: Value,
        place: Span,
    ) -> Option<Node> {
        let params: WatchParams = self.read(frame, "watch", params, place)?;
        let document = frame.document;
        if !params.criteria.is_empty() {
            let span = find(document.source, Some(place), "criteria").unwrap_or(place);
            let diagnostic = Diagnostic::error(
                "no-metrics-source",
                "metric criteria need a source of metrics, which this version of Windlass does not have",
                span,
            );
            self.report(document, diagnostic.help("watch with `probes:` of `http` and `script` instead"));
            return None;
        }
        let rule = WatchRule {
            window: params.window,
            every: params.every,
            tolerate: params.tolerate,
            early_stop: params.early_stop,
            coverage: params.coverage,
        };
        let wrong = if params.probes.is_empty() {
            Some("a watch without probes sees nothing, and silence never passes".to_owned())
        } else if rule.every.as_millis() == 0 || rule.window.as_millis() == 0 {
            Some("`for` and `every` must be longer than nothing".to_owned())
        } else if rule.planned() > MOST_SAMPLES {
            Some(format!("this watch takes {} samples; {MOST_SAMPLES} are the most", rule.planned()))
        } else if rule.coverage > 100 {
            Some("`coverage` is a percentage of at most 100".to_owned())
        } else {
            None
        };
        if let Some(wrong) = wrong {
            let diagnostic = Diagnostic::error("wrong-parameters", wrong, place);
            self.report(document, diagnostic.help("write probes: [{ http: { url: ... } }, { script: ... }]"));
            return None;
        }
        let before = self.findings.len();
        let mut probes: Vec<WatchProbe> = Vec::new();
        for probe in params.probes {
            if let Some(probe) = self.probe(frame, probe, &params.timeout, &probes, place) {
                probes.push(probe);
            }
        }
        if self.findings.len() > before {
            return None;
        }
        let label = format!("watch {}, every {}", rule.window, rule.every);
        Some(Node::Watch(WatchNode { path, label, rule, probes, owner: owner.cloned() }))
    }

    fn probe(
        &mut self,
        frame: &Frame<'_>,
        probe: ProbeParams,
        timeout: &crate::duration::Duration,
        taken: &[WatchProbe],
        place: Span,
    ) -> Option<WatchProbe> {
        let (kind, action, params) = match (probe.http, probe.script) {
            (Some(http), None) => ("http", "http.check", http),
            (None, Some(script)) => {
                let mut params = script_params(probe.language, &script);
                params.insert("read_only".into(), true.into());
                if !frame.environment.is_empty() {
                    params.insert("env".into(), serde_json::json!(frame.environment));
                }
                ("script", "script", Value::Object(params))
            }
            _ => {
                let message = "a probe is either `http` or `script`";
                self.report(frame.document, Diagnostic::error("wrong-parameters", message, place));
                return None;
            }
        };
        let params = self.catalogue.complete(action, params, self.input.facts);
        if let Err(why) = self.catalogue.accepts(action, &params) {
            self.wrong_params(frame, &why, place);
            return None;
        }
        let is_taken = |name: &str| taken.iter().any(|probe| probe.name == name);
        let name = match probe.name {
            Some(name) if is_taken(&name) => {
                let message = format!("two probes of this watch are named `{name}`");
                self.report(frame.document, Diagnostic::error("wrong-parameters", message, place));
                return None;
            }
            Some(name) => name,
            None => {
                let numbers = 1..=taken.len() + 1;
                let names = numbers.map(|number| format!("{kind}-{number}"));
                names.into_iter().find(|name| !is_taken(name)).unwrap_or_default()
            }
        };
        let call = ActionCall { action: action.into(), params, deferred: false };
        Some(WatchProbe { name, call, timeout: *timeout })
    }
}
