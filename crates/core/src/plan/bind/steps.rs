//! Steps: guards decided, matrices expanded, settings rendered.

use std::collections::BTreeMap;

use serde_json::json;

use super::template::Guard;
use super::{Binder, Frame};
use crate::config::Monitoring;
use crate::diagnostic::{Diagnostic, Span};
use crate::plan::{ActionCall, PlannedStep, StepPath};
use crate::runbook::{Item, OnFailure, Owner, Runbook, Step};

/// More copies of a step than this are a mistake.
const MOST_COPIES: usize = 256;

impl Binder<'_> {
    /// The preconditions, as a first step of their own.
    pub(super) fn preconditions(&mut self, frame: &Frame<'_>, steps: &mut Vec<PlannedStep>) {
        let runbook = frame.document.runbook;
        if runbook.preconditions.is_empty() {
            return;
        }
        let mut step = PlannedStep {
            path: StepPath::new(preconditions_name(runbook)),
            title: "Preconditions".into(),
            ..blank()
        };
        step.nodes = self.nodes(frame, &step.path, None, &runbook.preconditions);
        steps.push(step);
    }

    /// The rollback section, as one step.
    pub(super) fn rollback(&mut self, frame: &Frame<'_>, steps: &[PlannedStep]) -> Vec<PlannedStep> {
        let items: &[Item] =
            frame.document.runbook.rollback.as_ref().map_or(&[], |rollback| rollback.items.as_slice());
        if items.is_empty() {
            return Vec::new();
        }
        let taken = |name: &str| steps.iter().any(|step| step.path.0 == name);
        let mut step =
            PlannedStep { path: StepPath::new(free("rollback", taken)), title: "Rollback".into(), ..blank() };
        step.nodes = self.nodes(frame, &step.path, None, items);
        vec![step]
    }

    /// A step, once for every combination of its matrix.
    pub(super) fn step(&mut self, frame: &Frame<'_>, step: &Step, steps: &mut Vec<PlannedStep>) {
        let copies = step.settings.matrix.iter().map(|(_, values)| values.len()).product::<usize>();
        if copies > MOST_COPIES {
            let diagnostic = Diagnostic::error(
                "large-matrix",
                format!("this matrix has {copies} combinations; {MOST_COPIES} are the most"),
                step.span,
            );
            return self.report(frame.document, diagnostic.help("split the step"));
        }
        if step.settings.matrix.is_empty() {
            let planned = self.copy(frame, step, StepPath::new(&step.id), BTreeMap::new());
            return steps.push(planned);
        }
        for combination in combinations(&step.settings.matrix) {
            let shown: Vec<String> = combination
                .iter()
                .map(|(name, value)| format!("{name}={}", value.replace('/', "-")))
                .collect();
            let path = format!("{}[{}]", step.id, shown.join(","));
            let path = free(&path, |name| steps.iter().any(|step| step.path.0 == name));
            let matrix: BTreeMap<String, String> = combination.into_iter().collect();
            let mut environment = frame.environment.clone();
            environment.extend(matrix.iter().map(|(name, value)| {
                (format!("WINDLASS_MATRIX_{}", super::inputs::variable(name)), value.clone())
            }));
            let frame = Frame {
                document: frame.document,
                scope: frame.scope.clone().with_group("matrix", &matrix),
                environment,
            };
            let planned = self.copy(&frame, step, StepPath::new(path), matrix);
            steps.push(planned);
        }
    }

    fn copy(
        &mut self,
        frame: &Frame<'_>,
        step: &Step,
        path: StepPath,
        matrix: BTreeMap<String, String>,
    ) -> PlannedStep {
        let settings = &step.settings;
        let mut planned = PlannedStep {
            path,
            title: self.render_text(frame, &step.title, step.span),
            within: settings.within,
            parallel: settings.parallel.clone(),
            matrix,
            ..blank()
        };
        if let Some(when) = &settings.when {
            match frame.scope.guard(&when.value) {
                Ok(Guard::Holds) => {}
                Ok(Guard::Fails(why)) => planned.skipped = Some(why),
                Ok(Guard::Later) => {
                    self.outputs_exist(frame, &when.value, when.span);
                    planned.when = Some(when.value.clone());
                }
                Err(error) => self.template_error(frame.document, error, when.span),
            }
        }
        let rest = Span::new(step.span.start, frame.document.source.len());
        planned.owner = settings.owner.as_ref().map(|owner| Owner {
            names: owner.names.iter().map(|name| self.render_text(frame, name, rest)).collect(),
            all: owner.all,
        });
        planned.outputs = settings.outputs.iter().map(|text| self.render_text(frame, text, rest)).collect();
        planned.lock = settings.lock.as_ref().map(|lock| self.lock(frame, step, lock));
        // What is left out needs nothing, so nothing of it can be wrong in this release.
        if planned.skipped.is_none() || self.input.every_step {
            planned.on_failure = self.on_failure(frame, step);
            planned.nodes = self.nodes(frame, &planned.path, planned.owner.as_ref(), &step.items);
            planned.page = self.page(frame, step, planned.lock.as_deref());
        }
        planned
    }

    /// How people are paged when the step fails: where it locks a critical environment, or an item of it names one.
    fn page(&mut self, frame: &Frame<'_>, step: &Step, lock: Option<&str>) -> Option<ActionCall> {
        let named = step.items.iter().filter_map(|item| match item {
            Item::Action(action) => action.with.get("environment")?.as_str(),
            _ => None,
        });
        let known = &self.input.facts.environments;
        let is_critical = |name: &str| {
            let name = frame.scope.render(name).map(|rendered| rendered.value);
            let name = name.ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default();
            known.get(&name).is_some_and(|known| known.monitoring == Some(Monitoring::Critical))
        };
        if self.input.facts.pages.is_empty() || !lock.into_iter().chain(named).any(is_critical) {
            return None;
        }
        self.checked(frame, "notify.page", json!({ "message": "" }), step.span)
    }

    fn lock(&mut self, frame: &Frame<'_>, step: &Step, lock: &str) -> String {
        let rest = Span::new(step.span.start, frame.document.source.len());
        let lock = self.render_text(frame, lock, rest);
        self.is_environment(frame, &lock, rest, step.span);
        lock
    }

    /// Whether the configuration has this environment, which is named within `place`; reported where it has not, there or
    /// else at `otherwise`. Where it has none at all, or only the run knows the name, nobody can say.
    pub(super) fn is_environment(
        &mut self,
        frame: &Frame<'_>,
        name: &str,
        place: Span,
        otherwise: Span,
    ) -> bool {
        let environments = &self.input.environments;
        if environments.is_empty() || environments.iter().any(|known| known == name) || name.contains("{{") {
            return true;
        }
        let span = super::find(frame.document.source, Some(place), name);
        let diagnostic = Diagnostic::error(
            "unknown-environment",
            format!("`{name}` is not an environment of windlass.toml"),
            span.unwrap_or(otherwise),
        )
        .suggest(name, environments.iter().map(String::as_str));
        self.report(frame.document, diagnostic);
        false
    }
}

fn blank() -> PlannedStep {
    PlannedStep {
        path: StepPath::new(""),
        title: String::new(),
        owner: None,
        when: None,
        skipped: None,
        within: None,
        lock: None,
        on_failure: OnFailure::Stop,
        parallel: None,
        matrix: BTreeMap::new(),
        nodes: Vec::new(),
        outputs: Vec::new(),
        page: None,
    }
}

/// Every combination, the last name turning fastest.
fn combinations(matrix: &[(String, Vec<String>)]) -> Vec<Vec<(String, String)>> {
    matrix.iter().fold(vec![Vec::new()], |made, (name, values)| {
        made.iter()
            .flat_map(|start| {
                values.iter().map(move |value| {
                    let mut combination = start.clone();
                    combination.push((name.clone(), value.clone()));
                    combination
                })
            })
            .collect()
    })
}

/// The name of the step that a runbook's preconditions are.
pub(super) fn preconditions_name(runbook: &Runbook) -> String {
    free("preconditions", |name| runbook.steps.iter().any(|step| step.id == name))
}

/// `name`, or `name-2` and so on when it is taken.
pub(super) fn free(name: &str, taken: impl Fn(&str) -> bool) -> String {
    if !taken(name) {
        return name.to_owned();
    }
    let mut number = 2;
    loop {
        let candidate = format!("{name}-{number}");
        if !taken(&candidate) {
            return candidate;
        }
        number += 1;
    }
}
