//! Binding: a runbook and facts into a plan. Pure: the world comes in as arguments.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Effect, Facts, Pins, Plan, PlannedStep, Routine, RunbookPin, SCHEMA, SecretSource, sha256_hex};
use crate::config::Metrics;
use crate::diagnostic::{Diagnostic, Span};
use crate::runbook::{ActionUse, Item, OnFailure, Runbook};

mod given;
mod inputs;
mod items;
mod source;
mod steps;
mod template;
#[cfg(test)]
mod tests;
mod watch;
mod words;

use template::{Rendered, Scope, TemplateError};

/// Calls within calls deeper than this are a mistake.
const DEEPEST: usize = 32;

/// What binding needs to know of actions.
pub trait Catalogue {
    /// Whether there is an action of that name.
    fn knows(&self, action: &str) -> bool;

    /// The names of all actions.
    fn names(&self) -> Vec<&str>;

    /// `params` with what the project's facts say where they say nothing.
    fn complete(&self, action: &str, params: Value, facts: &Facts) -> Value;

    /// Whether `params` are parameters of the action.
    ///
    /// # Errors
    /// What is wrong with them.
    fn accepts(&self, action: &str, params: &Value) -> Result<(), String>;

    /// What the action will change.
    ///
    /// # Errors
    /// Why the parameters cannot work in this world.
    fn effects(&self, action: &str, params: &Value, facts: &Facts) -> Result<Vec<Effect>, String>;

    /// A few words on what the action will do.
    fn label(&self, action: &str, params: &Value, facts: &Facts) -> String;

    /// Whether the action only tells people something: then its failure is told, and is no failure of the release.
    fn is_message(&self, action: &str) -> bool {
        let _ = action;
        false
    }

    /// How many further attempts a failure of the action gets when the runbook does not ask for more.
    fn retries(&self, action: &str) -> u32 {
        let _ = action;
        0
    }
}

/// A runbook as it was read.
#[derive(Debug, Clone, Copy)]
pub struct Document<'a> {
    /// What it says.
    pub runbook: &'a Runbook,
    /// Its text.
    pub source: &'a str,
    /// Its path in the repository.
    pub path: &'a str,
}

/// Everything a plan is made from.
#[derive(Debug, Clone)]
pub struct BindInput<'a> {
    /// The runbook that is planned.
    pub document: Document<'a>,
    /// Runbooks that may be called, by name.
    pub called: BTreeMap<String, Document<'a>>,
    /// The world as planning found it.
    pub facts: &'a Facts,
    /// Members of each role.
    pub roles: BTreeMap<String, Vec<String>>,
    /// Where secrets come from.
    pub secrets: BTreeMap<String, SecretSource>,
    /// Names of the environments that steps may lock; any name when there are none.
    pub environments: Vec<String>,
    /// Where the numbers of each environment come from.
    pub metrics: BTreeMap<String, Metrics>,
    /// Values given for the runbook's inputs, as text.
    pub inputs: BTreeMap<String, String>,
    /// SHA-256 by path of the files that planning read.
    pub files: BTreeMap<String, String>,
    /// Binds what a guard leaves out too: for checking a runbook rather than running it.
    pub every_step: bool,
}

/// A finding and the file it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// The file's path.
    pub path: String,
    /// What is wrong.
    pub diagnostic: Diagnostic,
}

/// Binds a runbook to facts. `preflight` of the plan is empty: only a look at the machine can fill it.
///
/// # Errors
/// Every reason why it cannot be, in the order of the runbook.
pub fn bind(input: &BindInput<'_>, catalogue: &dyn Catalogue) -> Result<Plan, Vec<Located>> {
    let mut binder = Binder {
        input,
        catalogue,
        findings: Vec::new(),
        routines: BTreeMap::new(),
        stack: vec![input.document.runbook.name.clone()],
        roles: input.roles.clone(),
    };
    let document = input.document;
    let runbook = document.runbook;
    let values = inputs::values(document, &input.inputs, &mut binder.findings);
    let mut environment = inputs::environment(input.facts);
    environment.extend(inputs::input_environment(&values));
    let scope = inputs::scope(input.facts, &values);
    let own = binder.front_environment(document, &scope, &environment);
    environment.extend(own);
    let scope = scope.with_group("env", &environment);
    let frame = Frame { document, scope, environment: BTreeMap::new() };

    let steps = binder.steps(&frame);
    let rollback = binder.rollback(&frame, &steps);
    binder.declared_roles(runbook);
    binder.declared_skills(document);
    if !binder.findings.is_empty() {
        return Err(binder.findings);
    }
    let mut authors: Vec<String> = Vec::new();
    for commit in input.facts.release.iter().flat_map(|release| &release.commits) {
        if !authors.contains(&commit.author) {
            authors.push(commit.author.clone());
        }
    }
    Ok(Plan {
        schema: SCHEMA,
        runbook: pin(document),
        release: input.facts.release.clone(),
        pins: Pins {
            head: input.facts.head.clone(),
            branch: input.facts.branch.clone(),
            absent_tag: input.facts.release.as_ref().map(|release| release.tag.clone()),
            files: input.files.clone(),
        },
        environment,
        secrets: input.secrets.clone(),
        roles: binder.roles,
        authors,
        steps,
        rollback,
        criteria: runbook.rollback.as_ref().map(|rollback| rollback.criteria.clone()).unwrap_or_default(),
        routines: binder.routines,
        outputs: runbook.outputs.clone(),
        errors: runbook.errors.clone(),
        escalations: runbook.escalations.clone(),
        preflight: Vec::new(),
    })
}

/// Whether a runbook releases a version: it is named so, or it writes or uses the version. One whose steps bring a version
/// back that was there may name `WINDLASS_VERSION`, which is that version then: it releases only what it writes.
pub fn releases(runbook: &Runbook, source: &str) -> bool {
    const WRITING: [&str; 4] = ["version.write", "changelog.promote", "notes.write", "git.tag"];
    const GOING_BACK: [&str; 2] = ["rollback.choose", "deploy.previous"];
    let actions = || {
        runbook.steps.iter().flat_map(|step| &step.items).filter_map(|item| match item {
            Item::Action(action) => Some(action),
            Item::Script(_) | Item::Check(_) | Item::Call(_) | Item::Checklist(_) => None,
        })
    };
    let writes = |action: &ActionUse| {
        // A tag with a name of its own, such as one that marks a way back, is no version's.
        let is_own = action.uses.value == "git.tag" && action.with.get("name").is_some();
        WRITING.contains(&action.uses.value.as_str()) && !is_own
    };
    let goes_back = || actions().any(|action| GOING_BACK.contains(&action.uses.value.as_str()));
    runbook.name == "release"
        || runbook.triggers.iter().any(|trigger| trigger.value.starts_with("tag "))
        || actions().any(writes)
        || (mentions_release(source) && !goes_back())
}

fn mentions_release(text: &str) -> bool {
    let variable = text.contains("WINDLASS_VERSION") || text.contains("WINDLASS_TAG");
    variable
        || ["version", "tag"].iter().any(|name| {
            text.match_indices("{{").any(|(at, _)| {
                let inside = text[at + 2..].trim_start();
                inside.strip_prefix(name).is_some_and(|rest| rest.trim_start().starts_with(['}', '|']))
            })
        })
}

fn pin(document: Document<'_>) -> RunbookPin {
    RunbookPin {
        name: document.runbook.name.clone(),
        title: document.runbook.title.clone(),
        path: document.path.into(),
        digest: sha256_hex(document.source.as_bytes()),
    }
}

/// What is being bound, and what came of it so far.
struct Binder<'a> {
    input: &'a BindInput<'a>,
    catalogue: &'a dyn Catalogue,
    findings: Vec<Located>,
    routines: BTreeMap<String, Routine>,
    /// Names of the runbooks being bound, outermost first.
    stack: Vec<String>,
    roles: BTreeMap<String, Vec<String>>,
}

/// The runbook that is being bound, and what its templates may name.
struct Frame<'a> {
    document: Document<'a>,
    scope: Scope,
    /// What its scripts need beside the plan's environment.
    environment: BTreeMap<String, String>,
}

impl<'a> Binder<'a> {
    fn report(&mut self, document: Document<'_>, diagnostic: Diagnostic) {
        self.findings.push(Located { path: document.path.into(), diagnostic });
    }

    /// Renders one text; what is wrong is found within `place`.
    fn render(&mut self, frame: &Frame<'_>, text: &str, place: Span) -> Option<Rendered> {
        if !template::is_template(text) {
            return Some(Rendered { value: Value::String(text.into()), deferred: false });
        }
        match frame.scope.render(text) {
            Ok(rendered) => Some(rendered),
            Err(error) => {
                self.template_error(frame.document, error, place);
                None
            }
        }
    }

    /// Renders a text that must be known now.
    fn render_text(&mut self, frame: &Frame<'_>, text: &str, place: Span) -> String {
        match self.render(frame, text, place) {
            Some(rendered) if rendered.deferred => {
                let diagnostic = Diagnostic::error(
                    "deferred-here",
                    "outputs of earlier steps are not known when this is planned",
                    find(frame.document.source, Some(place), "outputs").or(Some(place)),
                );
                self.report(frame.document, diagnostic.help("use outputs in the parameters of actions"));
                String::new()
            }
            Some(rendered) => match rendered.value {
                Value::String(text) => text,
                other => other.to_string(),
            },
            None => String::new(),
        }
    }

    fn template_error(&mut self, document: Document<'_>, error: TemplateError, place: Span) {
        let span = find(document.source, Some(place), &error.needle).unwrap_or(place);
        let diagnostic = Diagnostic::error("template", error.message, span);
        self.report(
            document,
            match error.help {
                Some(help) => diagnostic.help(help),
                None => diagnostic,
            },
        );
    }

    /// The front matter's `env`, rendered.
    fn front_environment(
        &mut self,
        document: Document<'a>,
        scope: &Scope,
        known: &BTreeMap<String, String>,
    ) -> BTreeMap<String, String> {
        let scope = scope.clone().with_group("env", known);
        let frame = Frame { document, scope, environment: BTreeMap::new() };
        let mut environment = BTreeMap::new();
        for (name, text) in &document.runbook.env {
            let place = find(document.source, None, &format!("{name}:")).unwrap_or_default();
            let line = document.source[place.start..].find('\n').map_or(place.end, |end| place.start + end);
            let value = self.render_text(&frame, text, Span::new(place.start, line.max(place.end)));
            environment.insert(name.clone(), value);
        }
        environment
    }

    /// Pins the runbook `name` and all that it calls.
    fn routine(&mut self, document: Document<'_>, name: &str, span: Span) {
        if self.routines.contains_key(name) {
            return;
        }
        if self.stack.iter().any(|open| open == name) {
            let circle = self.stack.iter().skip_while(|open| *open != name).cloned().collect::<Vec<_>>();
            let diagnostic = Diagnostic::error(
                "call-cycle",
                format!("this call never ends: {} → {name}", circle.join(" → ")),
                span,
            );
            return self
                .report(document, diagnostic.help("a runbook cannot call itself, not even through others"));
        }
        let Some(called) = self.input.called.get(name).copied() else {
            let diagnostic =
                Diagnostic::error("unknown-runbook", format!("there is no runbook `{name}`"), span);
            let known: Vec<&str> = self.input.called.keys().map(String::as_str).collect();
            let near = crate::diagnostic::nearest(name, known.iter().copied());
            return self.report(
                document,
                match near {
                    Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
                    None => diagnostic.help(format!("write it as runbooks/{name}.md")),
                },
            );
        };
        if self.stack.len() >= DEEPEST {
            let message = format!("runbooks call each other {DEEPEST} deep, which is too deep to follow");
            return self.report(document, Diagnostic::error("deep-calls", message, span));
        }
        self.stack.push(name.to_owned());
        let values = inputs::values(called, &BTreeMap::new(), &mut self.findings);
        let scope = inputs::scope(self.input.facts, &values);
        let mut known = inputs::environment(self.input.facts);
        let mut environment = inputs::input_environment(&values);
        known.extend(environment.clone());
        let own = self.front_environment(called, &scope, &known);
        known.extend(own.clone());
        environment.extend(own);
        let frame = Frame { document: called, scope: scope.with_group("env", &known), environment };
        let steps = self.steps(&frame);
        self.declared_roles(called.runbook);
        self.declared_skills(called);
        self.stack.pop();
        self.routines.insert(name.to_owned(), Routine { runbook: pin(called), steps });
    }

    fn steps(&mut self, frame: &Frame<'_>) -> Vec<PlannedStep> {
        let mut steps = Vec::new();
        self.preconditions(frame, &mut steps);
        for step in &frame.document.runbook.steps {
            self.step(frame, step, &mut steps);
        }
        steps
    }

    fn on_failure(&mut self, frame: &Frame<'_>, step: &crate::runbook::Step) -> OnFailure {
        let Some(on_failure) = &step.settings.on_failure else { return OnFailure::Stop };
        if let OnFailure::Call(name) = &on_failure.value {
            self.routine(frame.document, name, on_failure.span);
        }
        on_failure.value.clone()
    }

    /// A skill is what actions' names have before the dot; one without any action is a mistake.
    fn declared_skills(&mut self, document: Document<'_>) {
        let names = self.catalogue.names();
        let known: std::collections::BTreeSet<&str> =
            names.iter().filter_map(|name| name.split_once('.')).map(|(skill, _)| skill).collect();
        for skill in document.runbook.skills.iter().flatten() {
            if !known.contains(skill.value.as_str()) {
                let message = format!("there is no skill `{}`", skill.value);
                let finding = Diagnostic::error("unknown-skill", message, skill.span);
                self.report(document, finding.suggest(&skill.value, known.iter().copied()));
            }
        }
    }

    /// Roles that the runbook names and nobody was put in: anyone may take them, and the plan shows so.
    fn declared_roles(&mut self, runbook: &Runbook) {
        for role in runbook.roles.iter().flatten() {
            self.roles.entry(role.value.clone()).or_default();
        }
    }
}

/// The first place of `needle` in `source`, within `place` when given.
fn find(source: &str, place: Option<Span>, needle: &str) -> Option<Span> {
    if needle.is_empty() {
        return None;
    }
    let place = place.unwrap_or(Span::new(0, source.len()));
    let start = source.get(place.start..place.end)?.find(needle)? + place.start;
    Some(Span::new(start, start + needle.len()))
}
