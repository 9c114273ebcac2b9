//! Times all rows of a repository: a warm-up, then rounds in which every tool has its turn, so that drift hits all
//! alike.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::answer::{Answer, judge};
use crate::measure::{Invocation, Usage, measure, median};
use crate::rows::{Kind, Row, TASKS, Task};
use crate::subject::{Subject, Variant};
use crate::{Result, config, subject};

/// How long and how often.
#[derive(Debug, Clone)]
pub struct Plan {
    /// This program, which measures when it is called `measure`.
    pub meter: PathBuf,
    /// Rounds after the warm-up.
    pub rounds: usize,
    /// A command that takes longer is ended.
    pub limit: Duration,
    /// What takes longer than this in the warm-up is not repeated.
    pub slow: Duration,
    /// Where outputs and caches go meanwhile.
    pub scratch: PathBuf,
}

/// Whether a tool found its own cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cache {
    /// It keeps none.
    None,
    /// It had to make it.
    Cold,
    /// It found it.
    Warm,
}

/// What a row came to.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The task.
    pub task: Task,
    /// The tool.
    pub tool: String,
    /// What the tool is to the goals.
    pub kind: Kind,
    /// Whether it found its cache.
    pub cache: Cache,
    /// Medians; the memory is the most of all rounds.
    pub usage: Usage,
    /// How many rounds there were.
    pub rounds: usize,
    /// What it answered; an error when it did not end well.
    pub answer: std::result::Result<Answer, String>,
}

impl Outcome {
    /// Whether these are in the same state: cold with cold, warm with warm, and without a cache with both.
    pub fn is_as_warm_as(&self, other: &Self) -> bool {
        self.cache == other.cache || self.cache == Cache::None || other.cache == Cache::None
    }
}

/// The outcomes of one repository in one variant.
#[derive(Debug, Clone)]
pub struct Sheet {
    /// The repository.
    pub subject: Subject,
    /// How its commits could be read.
    pub variant: Variant,
    /// What each row came to.
    pub outcomes: Vec<Outcome>,
}

/// Measures every row.
///
/// # Errors
/// When the bench itself fails: a tool that fails is an outcome.
pub fn run(plan: &Plan, subject: &Subject, variant: Variant, rows: &[Row]) -> Result<Sheet> {
    std::fs::create_dir_all(plan.scratch.join("home"))?;
    subject::prepare(&subject.folder, variant)?;
    let mut outcomes = Vec::new();
    for task in TASKS {
        let rows: Vec<&Row> = rows.iter().filter(|row| row.task == task).collect();
        if rows.is_empty() {
            continue;
        }
        config::write(subject, task.has_packages())?;
        outcomes.extend(run_task(plan, subject, &rows)?);
    }
    Ok(Sheet { subject: subject.clone(), variant, outcomes })
}

/// One row with one state of its cache, and its figures so far.
struct Series<'a> {
    row: &'a Row,
    cache: Cache,
    warm_up: Usage,
    usages: Vec<Usage>,
    answer: std::result::Result<Answer, String>,
}

fn run_task(plan: &Plan, subject: &Subject, rows: &[&Row]) -> Result<Vec<Outcome>> {
    let mut all: Vec<Series> = Vec::new();
    for row in rows {
        let caches: &[Cache] = if row.cache.is_some() { &[Cache::Cold, Cache::Warm] } else { &[Cache::None] };
        for cache in caches {
            progress(&format!("{}: {}: {} {}", subject.name, row.task, row.tool, shown(*cache)));
            let (warm_up, answer) = once(plan, subject, row, *cache)?;
            all.push(Series { row, cache: *cache, warm_up, usages: Vec::new(), answer });
        }
    }
    for round in 0..plan.rounds {
        // Nobody is always first, or always after the same one.
        for turn in 0..all.len() {
            let index = (turn + round) % all.len();
            let series = &mut all[index];
            let is_slow = series.warm_up.wall > plan.slow.as_secs_f64();
            if is_slow || series.answer.is_err() {
                continue;
            }
            let (usage, answer) = once(plan, subject, series.row, series.cache)?;
            series.usages.push(usage);
            if answer != series.answer {
                let (first, now) = (format!("{:?}", series.answer), format!("{answer:?}"));
                series.answer = Err(format!("answered {first} first and {now} later"));
            }
        }
    }
    Ok(all.into_iter().map(outcome).collect())
}

fn outcome(series: Series) -> Outcome {
    let usages = if series.usages.is_empty() { vec![series.warm_up] } else { series.usages };
    let of = |figure: fn(&Usage) -> f64| usages.iter().map(figure).collect::<Vec<f64>>();
    let usage = Usage {
        cpu: median(&of(|usage| usage.cpu)),
        wall: median(&of(|usage| usage.wall)),
        memory: of(|usage| usage.memory).into_iter().fold(0.0, f64::max),
        ..usages[0]
    };
    Outcome {
        task: series.row.task,
        tool: series.row.tool.clone(),
        kind: series.row.kind,
        cache: series.cache,
        usage,
        rounds: usages.len(),
        answer: series.answer,
    }
}

/// A row's steps, once: their costs added up, and the answer.
fn once(
    plan: &Plan,
    subject: &Subject,
    row: &Row,
    cache: Cache,
) -> Result<(Usage, std::result::Result<Answer, String>)> {
    let kept = row.cache.map(|path| Kept::new(plan, subject, row, path));
    if let Some(kept) = &kept {
        kept.bring(cache)?;
    }
    let (all, errors) = (plan.scratch.join("out"), plan.scratch.join("errors"));
    let one = plan.scratch.join("step");
    File::create(&all)?;
    let environment = environment(plan);
    let (mut sum, mut failure) = (Usage { code: Some(0), ..Usage::default() }, None);
    for argv in &row.steps {
        let invocation = Invocation {
            argv,
            folder: &subject.folder,
            environment: &environment,
            limit: plan.limit,
            stdout: &one,
            stderr: &errors,
        };
        let usage = measure(&plan.meter, &invocation)?;
        sum.cpu += usage.cpu;
        sum.wall += usage.wall;
        sum.memory = sum.memory.max(usage.memory);
        io::copy(&mut File::open(&one)?, &mut OpenOptions::new().append(true).open(&all)?)?;
        if usage.is_over_time || !usage.code.is_some_and(|code| row.codes.contains(&code)) {
            sum.is_over_time = usage.is_over_time;
            sum.code = usage.code;
            failure = Some(why(plan, &usage, &errors));
            break;
        }
    }
    if let Some(kept) = &kept {
        kept.keep()?;
    }
    let answer = match failure {
        Some(why) => Err(why),
        None => Ok(judge(row, subject, &all)?),
    };
    Ok((sum, answer))
}

fn why(plan: &Plan, usage: &Usage, errors: &Path) -> String {
    if usage.is_over_time {
        return format!("not done after {} s", plan.limit.as_secs());
    }
    let said =
        std::fs::read(errors).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("nothing on standard error");
    let short: String = last.trim().chars().take(120).collect();
    let code = usage.code.map_or_else(|| "a signal".to_owned(), |code| format!("exit {code}"));
    format!("{code}: {short}")
}

/// What the tools find in their environment: the programs, and a home without anybody's settings.
fn environment(plan: &Plan) -> Vec<(String, String)> {
    let mut environment = vec![
        ("HOME".to_owned(), plan.scratch.join("home").to_string_lossy().into_owned()),
        ("GIT_CONFIG_NOSYSTEM".to_owned(), "1".to_owned()),
        ("GIT_PAGER".to_owned(), "cat".to_owned()),
        ("LC_ALL".to_owned(), "C.UTF-8".to_owned()),
        ("NO_COLOR".to_owned(), "1".to_owned()),
    ];
    environment.extend(std::env::var("PATH").map(|path| ("PATH".to_owned(), path)));
    environment
}

/// A tool's cache, put aside between its turns: two versions of a tool would find each other's.
struct Kept {
    place: PathBuf,
    aside: PathBuf,
}

impl Kept {
    fn new(plan: &Plan, subject: &Subject, row: &Row, path: &str) -> Self {
        let name = format!("cache-{}-{}", row.tool, row.task).replace(' ', "-");
        Self { place: subject.folder.join(path), aside: plan.scratch.join(name) }
    }

    fn bring(&self, cache: Cache) -> Result<()> {
        remove(&self.place)?;
        if cache == Cache::Warm && self.aside.exists() {
            std::fs::rename(&self.aside, &self.place)?;
        }
        Ok(())
    }

    fn keep(&self) -> Result<()> {
        remove(&self.aside)?;
        if self.place.exists() {
            std::fs::rename(&self.place, &self.aside)?;
        }
        Ok(())
    }
}

fn remove(folder: &Path) -> Result<()> {
    if folder.exists() { Ok(std::fs::remove_dir_all(folder)?) } else { Ok(()) }
}

/// What the tables call a state of the cache.
pub fn shown(cache: Cache) -> &'static str {
    match cache {
        Cache::None => "",
        Cache::Cold => "cold",
        Cache::Warm => "warm",
    }
}

/// Says on standard error what is being done.
pub fn progress(text: &str) {
    // Nobody reads it when it cannot be written.
    let _ = writeln!(io::stderr(), "{text}");
}
