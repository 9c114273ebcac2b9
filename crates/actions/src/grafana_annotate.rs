//! `grafana.annotate`: marks the release on Grafana's dashboards.
//!
//! A tag of the annotation names the run and the item, and is looked for before anything is made: what a killed run made
//! is found again. It only tells people something: where Grafana is away, that is told and the release goes on.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use windlass_core::config::Forge;
use windlass_core::plan::{Effect, Facts, ReleaseFact, Reversibility, sha256_hex};
use windlass_core::text::sanitize_line;
use windlass_engine::action::{Action, ActionError, Probe, Result, Undone};
use windlass_engine::context::Context;

use board::{Annotation, Board};

mod board;

/// The most characters of a tag: Grafana fails on longer ones (<https://github.com/grafana/grafana/issues/22424>).
const LONGEST_TAG: usize = 50;
/// The tag that all annotations of Windlass have.
const OURS: &str = "windlass";

/// Marks the release on Grafana's dashboards.
#[derive(Debug, Clone, Copy)]
pub struct Annotate;

/// Parameters of `grafana.annotate`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Grafana's address, such as `https://grafana.example.com`; `https://`, but for this very machine.
    pub url: String,
    /// The secret that holds the token of a service account which may read, make and delete annotations.
    pub token: String,
    /// What is shown; by default the version, and where it is.
    #[serde(default)]
    pub text: Option<String>,
    /// Where the version is: a tag of the annotation.
    #[serde(default)]
    pub environment: Option<String>,
    /// What is released: a tag of the annotation; by default the package, or the repository's name on its forge.
    #[serde(default)]
    pub service: Option<String>,
    /// Further tags, such as `["team:web"]`; 50 characters each at the most.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Where the marked time begins: `run`, `now`, or an instant such as `2026-03-01T12:00:00Z`. It ends now; `now` is a
    /// line instead of a region.
    #[serde(default = "from_run")]
    pub from: String,
    /// The dashboard's UID, where only one is to show it; by default every dashboard with a query for its tags.
    #[serde(default)]
    pub dashboard: Option<String>,
    /// The number of the dashboard's panel, where only one is to show it.
    #[serde(default)]
    pub panel: Option<u64>,
}

/// What `grafana.annotate` gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// What Grafana calls it.
    pub id: u64,
    /// Its tags.
    pub tags: Vec<String>,
}

impl Action for Annotate {
    const NAME: &'static str = "grafana.annotate";
    const SUMMARY: &'static str = "Marks the release on Grafana's dashboards, from the run's beginning until now. When that fails, it is told and the \
                                   release goes on.";
    const RETRIES: u32 = 2;
    const IS_MESSAGE: bool = true;
    type Params = Params;
    type Output = Output;

    fn effects(&self, params: &Params, _: &Facts) -> Result<Vec<Effect>> {
        let wrong = |why: String| ActionError::Final(format!("grafana.annotate: {why}"));
        Forge::check_url(&params.url)
            .map_err(|why| wrong(format!("the address `{}` {why}", sanitize_line(&params.url))))?;
        From::parse(&params.from)?;
        if params.panel.is_some() && params.dashboard.is_none() {
            return Err(wrong("a `panel` is one of a `dashboard`: say which".into()));
        }
        let is_tag = |tag: &&String| (1..=LONGEST_TAG).contains(&tag.chars().count());
        if let Some(odd) = params.tags.iter().find(|tag| !is_tag(tag)) {
            return Err(wrong(format!(
                "`{}` is no tag: one has 1 to {LONGEST_TAG} characters",
                sanitize_line(odd)
            )));
        }
        Ok(vec![effect(params)])
    }

    fn label(&self, params: &Params, facts: &Facts) -> String {
        let words = format!("mark \"{}\" on {}", text(params, facts.release.as_ref()), host(&params.url));
        sanitize_line(&words).chars().take(120).collect()
    }

    async fn probe(&self, params: &Params, context: &Context) -> Result<Probe<Output>> {
        match Board::new(params, context)?.find(&mark(context)).await {
            Ok(found) => Ok(found.map_or(Probe::Absent, |found| Probe::Done(found.output()))),
            Err(ActionError::Cancelled) => Err(ActionError::Cancelled),
            // A board that is away must not keep a run from going on: `run` looks again before it makes anything.
            Err(_) if !context.is_undo() => Ok(Probe::Absent),
            Err(error) => Err(error),
        }
    }

    async fn run(&self, params: &Params, context: &Context) -> Result<Output> {
        let (board, mark) = (Board::new(params, context)?, mark(context));
        // Looked for before it is made, so that one whose answer was lost is not made twice.
        if let Some(found) = board.find(&mark).await? {
            return Ok(found.output());
        }
        let release = context.world.release.as_deref();
        let now = context.world.clock.now();
        let begin = match From::parse(&params.from)? {
            From::Run => context.began,
            From::Now => now,
            From::At(instant) => instant,
        };
        let tags = tags(params, release, context, &mark);
        let mut sent = json!({
            "time": begin.min(now).as_millisecond(),
            "tags": tags,
            "text": context.world.masker.mask(&sanitize_line(&text(params, release))),
        });
        let more = [
            ("timeEnd", (begin < now).then(|| json!(now.as_millisecond()))),
            ("dashboardUID", params.dashboard.as_ref().map(|dashboard| json!(dashboard))),
            ("panelId", params.panel.map(|panel| json!(panel))),
        ];
        for (key, value) in more {
            if let Some(value) = value {
                sent[key] = value;
            }
        }
        let id = board.make(&sent).await?;
        context.changed(effect(params));
        Ok(Output { id, tags })
    }

    async fn undo(&self, params: &Params, output: &Output, context: &Context) -> Result<Undone> {
        let board = Board::new(params, context)?;
        // Only what still bears the mark of this item is this item's.
        let found = board.find(&mark(context)).await?.filter(|found| found.id == output.id);
        let Some(Annotation { id, .. }) = found else { return Ok(Undone::NothingToDo) };
        board.delete(id).await?;
        Ok(Undone::Reverted(format!("deleted the mark {id} on {}", host(&params.url))))
    }
}

/// Where the marked time begins.
enum From {
    Run,
    Now,
    At(Timestamp),
}

impl From {
    fn parse(text: &str) -> Result<Self> {
        match text {
            "run" => Ok(Self::Run),
            "now" => Ok(Self::Now),
            text => text.parse().map(Self::At).map_err(|_| {
                ActionError::Final(format!(
                    "grafana.annotate: `from` is `run`, `now` or an instant such as `2026-03-01T12:00:00Z`, not `{}`",
                    sanitize_line(text)
                ))
            }),
        }
    }
}

fn from_run() -> String {
    "run".into()
}

fn effect(params: &Params) -> Effect {
    let place = match (&params.dashboard, params.panel) {
        (Some(dashboard), Some(panel)) => {
            format!("{}, dashboard {dashboard}, panel {panel}", host(&params.url))
        }
        (Some(dashboard), None) => format!("{}, dashboard {dashboard}", host(&params.url)),
        (None, _) => host(&params.url),
    };
    Effect::new("mark", sanitize_line(&place), Reversibility::Compensable)
}

fn host(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    sanitize_line(rest.split('/').next().unwrap_or_default())
}

/// What is shown.
fn text(params: &Params, release: Option<&ReleaseFact>) -> String {
    if let Some(text) = &params.text {
        return text.clone();
    }
    let what = match (&params.service, release) {
        (Some(service), Some(release)) => format!("{service} {}", release.version),
        (None, Some(release)) => release.version.clone(),
        (Some(service), None) => service.clone(),
        (None, None) => "a run of Windlass".into(),
    };
    match &params.environment {
        Some(environment) => format!("{what} in {environment}"),
        None => what,
    }
}

/// The tag by which an item finds what it made.
fn mark(context: &Context) -> String {
    let name = sha256_hex(format!("{}\n{}", context.run, context.item()).as_bytes());
    format!("{OURS}-{}", name.get(..16).unwrap_or(&name))
}

fn tags(params: &Params, release: Option<&ReleaseFact>, context: &Context, mark: &str) -> Vec<String> {
    let version = release.map(|release| release.version.as_str());
    let named = [params.service.as_deref(), params.environment.as_deref(), version];
    let all = [OURS, mark, context.run.0.as_str()].into_iter().chain(named.into_iter().flatten());
    let mut tags: Vec<String> = Vec::new();
    for tag in all.chain(params.tags.iter().map(String::as_str)) {
        let tag: String = sanitize_line(tag).chars().take(LONGEST_TAG).collect();
        if !tag.is_empty() && !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    tags
}

impl Annotation {
    fn output(self) -> Output {
        Output { id: self.id, tags: self.tags }
    }
}

/// An annotation as Grafana tells it.
fn told(value: &Value) -> Option<Annotation> {
    let tags = value["tags"].as_array()?.iter().filter_map(Value::as_str).map(str::to_owned);
    Some(Annotation { id: value["id"].as_u64()?, tags: tags.collect() })
}
