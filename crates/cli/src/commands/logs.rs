//! `windlass logs`: what the items of a run logged, also while it runs.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use clap::Args;
use serde_json::json;
use windlass_core::plan::StepPath;
use windlass_core::text::{sanitize, sanitize_line};
use windlass_engine::context::Stream;
use windlass_engine::logs::{LogFolder, LogLine};

use crate::error::{CommandError, Result};
use crate::exit::Exit;
use crate::runner::{Runner, Several, items, journal_error, worker};
use crate::session::Session;

/// How often a log is looked at again.
const PAUSE: Duration = Duration::from_millis(200);

/// Print what the items of a run logged
#[derive(Debug, Args)]
pub struct Arguments {
    /// The run [default: the only unfinished one, else the newest], then the item [default: all]
    #[arg(value_name = "RUN|ITEM", num_args = 0..=2)]
    pub target: Vec<String>,
    /// Go on while the run is worked on
    #[arg(short, long)]
    pub follow: bool,
    /// Only the last lines
    #[arg(long, value_name = "LINES")]
    pub tail: Option<usize>,
}

/// Prints the log.
///
/// # Errors
/// When there is no such run or item, or the log cannot be read.
pub fn run(arguments: &Arguments, session: &mut Session) -> Result<Exit> {
    let runner = Runner::require(session)?;
    let (told, wanted) = runner.target(&arguments.target, Several::Newest)?;
    let logs = runner.logs(told.run());
    let item = match wanted.first() {
        None => None,
        Some(wanted) => {
            let known: Vec<_> = items::items(&told.plan, &told.state, true)
                .into_iter()
                .map(|item| (item.path, item.title))
                .chain(listed(&logs)?.into_iter().map(|path| (path, String::new())))
                .collect();
            Some(items::find(&known, wanted, "item")?)
        }
    };
    let mut offsets: BTreeMap<StepPath, u64> = BTreeMap::new();
    let mut kept: Option<VecDeque<(StepPath, LogLine)>> = arguments.tail.map(|_| VecDeque::new());
    loop {
        // Asked before reading: what a process wrote before it left is read after this.
        let works = worker(&runner.journal.run(told.run()).map_err(journal_error)?).is_some();
        let lines = more(&logs, item.as_ref(), &mut offsets)?;
        let is_quiet = lines.is_empty();
        match (&mut kept, arguments.tail) {
            (Some(kept), Some(tail)) if !is_quiet => {
                kept.extend(lines);
                kept.drain(..kept.len().saturating_sub(tail));
            }
            (Some(_), _) => {
                for (path, line) in kept.take().unwrap_or_default() {
                    print(session, item.is_none(), &path, &line);
                }
            }
            (None, _) => lines.iter().for_each(|(path, line)| print(session, item.is_none(), path, line)),
        }
        if is_quiet {
            if !(arguments.follow && works) {
                return Ok(Exit::Done);
            }
            std::thread::sleep(PAUSE);
        }
    }
}

/// What came since, in the order of time.
fn more(
    logs: &LogFolder,
    item: Option<&StepPath>,
    offsets: &mut BTreeMap<StepPath, u64>,
) -> Result<Vec<(StepPath, LogLine)>> {
    let mut lines = Vec::new();
    let within = |path: &StepPath| item.is_none_or(|item| path.is_within(item));
    for path in listed(logs)?.into_iter().filter(within) {
        let offset = offsets.entry(path.clone()).or_default();
        let (read, next) = logs.follow(&path, *offset).map_err(unreadable)?;
        *offset = next;
        lines.extend(read.into_iter().map(|line| (path.clone(), line)));
    }
    lines.sort_by_key(|(_, line)| line.at);
    Ok(lines)
}

fn listed(logs: &LogFolder) -> Result<Vec<StepPath>> {
    logs.list().map_err(unreadable)
}

fn unreadable(error: std::io::Error) -> CommandError {
    CommandError::failed(format!("the logs cannot be read: {error}"))
}

fn print(session: &mut Session, with_path: bool, path: &StepPath, line: &LogLine) {
    let text = sanitize(&line.text);
    if session.report.is_json() {
        let stream = match line.stream {
            Stream::Out => "out",
            Stream::Err => "err",
            Stream::Note => "note",
        };
        let object = json!({
            "schema": "windlass/log-line/1", "path": path, "at": line.at, "stream": stream, "text": text,
        });
        session.report.line(&object.to_string());
    } else if with_path {
        let prefix = session.report.out_paint.dim(&format!("{} |", sanitize_line(&path.0)));
        session.report.line(&format!("{prefix} {text}"));
    } else {
        session.report.line(&text);
    }
}
