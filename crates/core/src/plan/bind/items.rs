//! Items: what a step does, each with its name, its call, its effects and its policy.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::steps::free;
use super::{Binder, Frame, find, template};
use crate::diagnostic::{Diagnostic, Span};
use crate::plan::flow;
use crate::plan::{
    ActionCall, ActionNode, CallNode, ChecklistNode, ConfirmNode, Effect, Node, Policy, Reversibility,
    StepPath,
};
use crate::runbook::{
    ActionUse, Attributes, Check, Checklist, InDoubt, Item, Language, Owner, Script, Spanned,
};

/// The action that runs scripts.
const SCRIPT: &str = "script";

/// Names given within one step or list.
pub(super) struct Names {
    base: StepPath,
    taken: BTreeSet<String>,
    scripts: usize,
    checks: usize,
    checklists: usize,
}

impl Names {
    /// Names pinned by the author are reserved first, so that none given by counting takes one.
    pub(super) fn new(base: &StepPath, items: &[Item]) -> Self {
        let pinned = items.iter().filter_map(|item| attributes(item)?.id.as_ref()).map(|id| id.value.clone());
        Self { base: base.clone(), taken: pinned.collect(), scripts: 0, checks: 0, checklists: 0 }
    }

    pub(super) fn pinned_or(&mut self, id: Option<&Spanned<String>>, kind: &str) -> StepPath {
        match id {
            Some(id) => self.base.child(&id.value),
            None => self.give(kind),
        }
    }

    fn give(&mut self, kind: &str) -> StepPath {
        // A name is part of a path: what came from a runbook may not add a level.
        let name = free(&kind.replace('/', "-"), |name| self.taken.contains(name));
        self.taken.insert(name.clone());
        self.base.child(name)
    }

    pub(super) fn script(&mut self, id: Option<&Spanned<String>>) -> StepPath {
        self.scripts += 1;
        self.pinned_or(id, &format!("script-{}", self.scripts))
    }

    pub(super) fn check(&mut self) -> StepPath {
        self.checks += 1;
        self.give(&format!("check-{}", self.checks))
    }

    pub(super) fn checklist(&mut self) -> StepPath {
        self.checklists += 1;
        self.give(&format!("checklist-{}", self.checklists))
    }
}

impl Binder<'_> {
    /// The nodes of `items`, in order.
    pub(super) fn nodes(
        &mut self,
        frame: &Frame<'_>,
        base: &StepPath,
        owner: Option<&Owner>,
        items: &[Item],
    ) -> Vec<Node> {
        self.pinned_twice(frame, items);
        let mut names = Names::new(base, items);
        let mut nodes = Vec::new();
        for item in items {
            match item {
                Item::Script(script) if script.attributes.skip => {}
                Item::Action(action) if action.attributes.skip => {}
                Item::Script(script) => {
                    let path = names.script(script.attributes.id.as_ref());
                    nodes.extend(self.script(frame, path, script));
                }
                Item::Action(action) => {
                    let path = names.pinned_or(action.attributes.id.as_ref(), &action.uses.value);
                    nodes.extend(self.action(frame, path, owner, action));
                }
                Item::Check(check) => {
                    let path = names.check();
                    self.check(frame, path, owner, check, &mut nodes);
                }
                Item::Call(call) => {
                    self.routine(frame.document, &call.value, call.span);
                    let path = names.give(&format!("call-{}", call.value));
                    nodes.push(Node::Call(CallNode { path, runbook: call.value.clone() }));
                }
                Item::Checklist(list) => {
                    let path = names.checklist();
                    nodes.push(self.checklist(frame, path, owner, list));
                }
            }
        }
        nodes
    }

    fn pinned_twice(&mut self, frame: &Frame<'_>, items: &[Item]) {
        let mut seen = BTreeSet::new();
        for id in items.iter().filter_map(|item| attributes(item)?.id.as_ref()) {
            if !seen.insert(id.value.as_str()) || id.value.contains('/') {
                let diagnostic = Diagnostic::error(
                    "duplicate-id",
                    format!("the id `{}` is used twice in this step, or has a `/`", id.value),
                    id.span,
                );
                self.report(frame.document, diagnostic.help("give every item of a step its own id"));
            }
        }
    }

    fn script(&mut self, frame: &Frame<'_>, path: StepPath, script: &Script) -> Option<Node> {
        let attributes = &script.attributes;
        let mut params = script_params(script.language, &script.text);
        let mut environment: Map<String, Value> =
            frame.environment.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        // Attributes stand on the fence's first line, just before the text.
        let fence =
            Span::new(frame.document.source[..script.span.start].rfind("```").unwrap_or(0), script.span.end);
        for (name, text) in &attributes.env {
            environment.insert(name.clone(), json!(self.render_text(frame, text, fence)));
        }
        if !environment.is_empty() {
            params.insert("env".into(), Value::Object(environment));
        }
        if !attributes.secrets.is_empty() {
            params.insert("secrets".into(), json!(attributes.secrets));
            self.secrets(frame, &attributes.secrets, fence);
        }
        for (key, value) in [("probe", &attributes.probe), ("undo", &attributes.undo)] {
            if let Some(value) = value {
                params.insert(key.into(), json!(value));
            }
        }
        if attributes.read_only {
            params.insert("read_only".into(), json!(true));
        }
        let in_doubt = match attributes {
            Attributes { probe: Some(_), .. } => InDoubt::Probe,
            Attributes { read_only: true, .. } => InDoubt::Rerun,
            _ => InDoubt::Ask,
        };
        let policy = policy(attributes, in_doubt);
        self.call(frame, path, SCRIPT, Value::Object(params), script.span, policy, None)
    }

    fn secrets(&mut self, frame: &Frame<'_>, names: &[String], place: Span) {
        for name in names.iter().filter(|name| !self.input.secrets.contains_key(*name)) {
            let span = find(frame.document.source, Some(place), name).unwrap_or(place);
            let mut diagnostic =
                Diagnostic::error("unknown-secret", format!("there is no secret `{name}`"), span)
                    .help(format!("add it to windlass.toml: [secrets] {name} = {{ env = \"{name}\" }}"));
            let known = self.input.secrets.keys().map(String::as_str);
            if let Some(near) = crate::diagnostic::nearest(name, known) {
                diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
            }
            self.report(frame.document, diagnostic);
        }
    }

    fn action(
        &mut self,
        frame: &Frame<'_>,
        path: StepPath,
        owner: Option<&Owner>,
        action: &ActionUse,
    ) -> Option<Node> {
        let name = action.uses.value.as_str();
        let before = self.findings.len();
        let mut deferred = false;
        let params = self.render_value(frame, &action.with, action.span, &mut deferred);
        if self.findings.len() > before {
            return None;
        }
        if flow::is_word(name) {
            let node = self.word(frame, path, owner, action, params, deferred)?;
            self.outputs_of_parameters_exist(frame, action);
            return Some(node);
        }
        self.outputs_of_parameters_exist(frame, action);
        if name == SCRIPT || !self.catalogue.knows(name) {
            let mut valid: Vec<&str> = self.catalogue.names();
            valid.retain(|name| *name != SCRIPT);
            valid.extend(flow::WORDS);
            let diagnostic =
                Diagnostic::error("unknown-action", format!("unknown action `{name}`"), action.uses.span)
                    .suggest(name, valid);
            self.report(frame.document, diagnostic);
            return None;
        }
        let params = self.catalogue.complete(name, params, self.input.facts);
        let mut policy = policy(&action.attributes, InDoubt::Probe);
        policy.optional = policy.optional || self.catalogue.is_message(name);
        policy.retry = policy.retry.max(self.catalogue.retries(&action.uses.value));
        self.call(frame, path, name, params, action.span, policy, None)
    }

    fn outputs_of_parameters_exist(&mut self, frame: &Frame<'_>, action: &ActionUse) {
        for code in template::expressions(&action.with) {
            self.outputs_exist(frame, code, action.span);
        }
    }

    /// The node of a call, its parameters checked and its effects asked for.
    #[expect(clippy::too_many_arguments, reason = "each is one field of the node")]
    fn call(
        &mut self,
        frame: &Frame<'_>,
        path: StepPath,
        name: &str,
        params: Value,
        place: Span,
        policy: Policy,
        label: Option<String>,
    ) -> Option<Node> {
        let deferred = name != SCRIPT && is_deferred(&params);
        let params = if deferred { protected(params) } else { params };
        if let Err(why) = self.catalogue.accepts(name, &params) {
            self.wrong_params(frame, &why, place);
            return None;
        }
        if let Some(environment) = params.get("environment").and_then(Value::as_str)
            && !self.is_environment(frame, environment, place, place)
        {
            return None;
        }
        let effects = match self.catalogue.effects(name, &params, self.input.facts) {
            Ok(effects) => effects,
            // Only the run knows the values, so only the run can say; it must not look like a read-only call.
            Err(_) if deferred => {
                vec![Effect::new(name, "what earlier steps decide", Reversibility::Unknown)]
            }
            Err(why) => {
                let diagnostic = Diagnostic::error("cannot-work", why, place);
                self.report(frame.document, diagnostic);
                return None;
            }
        };
        let label = label.unwrap_or_else(|| self.catalogue.label(name, &params, self.input.facts));
        let label = if deferred { crate::plan::without_templates(&label) } else { label };
        let call = ActionCall { action: name.into(), params, deferred };
        Some(Node::Action(ActionNode { path, label, call, effects, policy }))
    }

    /// Parameters that do not fit: the error names the field, and the field has a place.
    pub(super) fn wrong_params(&mut self, frame: &Frame<'_>, why: &str, place: Span) {
        let quoted: Vec<&str> = why.split('`').skip(1).step_by(2).collect();
        let unknown = why.contains("unknown field") || why.contains("unknown variant");
        let named = quoted.first().copied().unwrap_or_default();
        // The value that does not fit is quoted too; a field that is missing has no place.
        let key = find(frame.document.source, Some(place), &format!("{named}:"))
            .filter(|_| unknown)
            .map(|span| Span::new(span.start, span.end - 1))
            .or_else(|| find(frame.document.source, Some(place), named))
            .filter(|_| !why.contains("missing field"));
        let diagnostic = Diagnostic::error("wrong-parameters", why, key.unwrap_or(place));
        let diagnostic = match unknown {
            true => diagnostic.suggest(named, quoted.iter().skip(1).copied()),
            false => diagnostic,
        };
        self.report(frame.document, diagnostic);
    }

    /// Renders every string of `value`.
    fn render_value(&mut self, frame: &Frame<'_>, value: &Value, place: Span, deferred: &mut bool) -> Value {
        match value {
            Value::String(text) => match self.render(frame, text, place) {
                Some(rendered) => {
                    *deferred |= rendered.deferred;
                    rendered.value
                }
                None => Value::Null,
            },
            Value::Array(values) => Value::Array(
                values.iter().map(|value| self.render_value(frame, value, place, deferred)).collect(),
            ),
            Value::Object(fields) => Value::Object(
                fields
                    .iter()
                    .map(|(name, value)| (name.clone(), self.render_value(frame, value, place, deferred)))
                    .collect(),
            ),
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }

    /// Children first: they are how the parent becomes true. A ticked box is asked again, because runbooks are used again.
    fn check(
        &mut self,
        frame: &Frame<'_>,
        path: StepPath,
        owner: Option<&Owner>,
        check: &Check,
        nodes: &mut Vec<Node>,
    ) {
        let mut names = Names::new(&path, &[]);
        for child in &check.children {
            let child_path = names.check();
            self.check(frame, child_path, owner, child, nodes);
        }
        let text = self.render_text(frame, &check.text, check.span);
        match &check.command {
            None => nodes.push(Node::Confirm(ConfirmNode {
                path,
                text,
                deferred: false,
                owner: owner.cloned(),
                within: None,
            })),
            Some(command) => {
                let mut params = script_params(Language::Bash, &command.value);
                params.insert("read_only".into(), json!(true));
                if !frame.environment.is_empty() {
                    params.insert("env".into(), json!(frame.environment));
                }
                let policy = Policy { in_doubt: InDoubt::Rerun, ..Policy::default() };
                let label = Some(text).filter(|text| !text.is_empty());
                nodes.extend(self.call(
                    frame,
                    path,
                    SCRIPT,
                    Value::Object(params),
                    command.span,
                    policy,
                    label,
                ));
            }
        }
    }

    fn checklist(
        &mut self,
        frame: &Frame<'_>,
        path: StepPath,
        owner: Option<&Owner>,
        list: &Checklist,
    ) -> Node {
        let mut names = Names::new(&path, &[]);
        let mut nodes = Vec::new();
        for check in &list.checks {
            let path = names.check();
            self.check(frame, path, owner, check, &mut nodes);
        }
        let title = self.render_text(frame, &list.title, list.span);
        Node::Checklist(ChecklistNode { path, title, within: list.within, nodes })
    }
}

/// Parameters of the script action.
pub(super) fn script_params(language: Language, text: &str) -> Map<String, Value> {
    let mut params = Map::new();
    params.insert("language".into(), json!(language));
    params.insert("text".into(), json!(text));
    params
}

fn attributes(item: &Item) -> Option<&Attributes> {
    match item {
        Item::Script(script) => Some(&script.attributes),
        Item::Action(action) => Some(&action.attributes),
        Item::Check(_) | Item::Call(_) | Item::Checklist(_) => None,
    }
}

fn policy(attributes: &Attributes, in_doubt: InDoubt) -> Policy {
    Policy {
        retry: attributes.retry,
        timeout: attributes.timeout,
        in_doubt: attributes.in_doubt.unwrap_or(in_doubt),
        optional: attributes.optional,
    }
}

/// The strings of a deferred call that are values already, written so that rendering gives them back.
fn protected(value: Value) -> Value {
    match value {
        Value::String(text) if text.contains("{{") && !text.contains("outputs") => {
            Value::String(format!("{{{{ {} }}}}", Value::String(text)))
        }
        Value::Array(values) => Value::Array(values.into_iter().map(protected).collect()),
        Value::Object(fields) => {
            Value::Object(fields.into_iter().map(|(name, value)| (name, protected(value))).collect())
        }
        value => value,
    }
}

/// Whether any string is left to be rendered while running.
pub(super) fn is_deferred(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains("{{") && text.contains("outputs"),
        Value::Array(values) => values.iter().any(is_deferred),
        Value::Object(fields) => fields.values().any(is_deferred),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}
