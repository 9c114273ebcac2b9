//! The flow words of a runbook: people, time, observation, other runbooks.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::items::is_deferred;
use super::{Binder, Frame, find};
use crate::diagnostic::{Diagnostic, Span};
use crate::gate::{ApprovalRule, RoleCount};
use crate::plan::flow::{ApprovalParams, CallParams, ConfirmParams, RoleParams, WaitParams};
use crate::plan::{ApprovalNode, CallNode, ConfirmNode, Node, StepPath, WaitNode};
use crate::runbook::{ActionUse, Owner};

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
        // Only what people are asked may hold what earlier steps found out; a rule must be known when it is planned.
        let asked = match name {
            "approval" => "label",
            "confirm" => "text",
            _ => "",
        };
        let others = params.as_object().into_iter().flatten().filter(|(key, _)| *key != asked);
        if others.into_iter().any(|(_, value)| is_deferred(value)) {
            let span = find(frame.document.source, Some(place), "outputs").unwrap_or(place);
            let message = format!("`{name}` cannot use outputs here: they are not known when it is planned");
            self.report(frame.document, Diagnostic::error("deferred-here", message, span));
            return None;
        }
        match name {
            "approval" => self.approval(frame, path, owner, params, place, deferred),
            "confirm" => {
                let params: ConfirmParams = self.read(frame, name, params, place)?;
                let owner = owner.cloned();
                let (text, within) = (params.text, params.within);
                Some(Node::Confirm(ConfirmNode { path, text, deferred, owner, within }))
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

    pub(super) fn read<T: DeserializeOwned>(
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
        deferred: bool,
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
            deferred,
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
}
