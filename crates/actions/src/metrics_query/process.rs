//! What a script or a command prints: a number, JSON, or lines that are counted.

use jiff::Timestamp;
use serde_json::Value;
use windlass_core::text::sanitize_line;
use windlass_core::verdict::{Point, Reading};
use windlass_engine::action::Result;
use windlass_engine::context::Context;
use windlass_engine::process::{Command, Finished};

use super::Params;
use crate::adapters::prometheus::Range;
use crate::script::{self, Language};

/// How much a command may print.
const PRINTED: usize = 8 << 20;

/// What the program prints now. It has no past: only the last moment can be asked for.
///
/// # Errors
/// When it cannot be started, fails, or is stopped.
pub(super) async fn ask(params: &Params, range: Range, context: &Context) -> Result<Vec<Point>> {
    let at = range.to;
    let finished = match &params.script {
        Some(text) => run_script(params, text, context).await?,
        None => run_command(params, range, context).await?,
    };
    let name = if params.script.is_some() { "the script" } else { "the command" };
    if !finished.success() {
        return Err(script::failure(name, &finished, context));
    }
    let read = match params.regex()? {
        Some(pattern) => lines(params, &finished, &pattern),
        None => printed(&finished.stdout).map_err(|why| format!("{name} printed no reading: {why}")),
    };
    Ok(vec![match read {
        Ok(reading) => Point { at, reading: Some(reading), why: None },
        Err(why) => Point { at, reading: None, why: Some(context.world.masker.mask(&why)) },
    }])
}

/// The language of a script, by its name.
pub(super) fn language_of(name: &str) -> Option<Language> {
    match name {
        "bash" => Some(Language::Bash),
        "sh" => Some(Language::Sh),
        "python" => Some(Language::Python),
        _ => None,
    }
}

async fn run_script(params: &Params, text: &str, context: &Context) -> Result<Finished> {
    let language = params.language.as_deref().and_then(language_of).unwrap_or(Language::Bash);
    let mut env = params.env.clone();
    env.extend(params.side.iter().map(|side| ("WINDLASS_SIDE".to_owned(), side.clone())));
    let script = script::Params {
        language,
        text: text.to_owned(),
        env,
        secrets: Vec::new(),
        probe: None,
        undo: None,
        read_only: true,
        label: None,
    };
    script::execute(&script, text, context).await.map(|(finished, _)| finished)
}

async fn run_command(params: &Params, range: Range, context: &Context) -> Result<Finished> {
    let step = jiff::SignedDuration::from_millis(i64::try_from(range.step.as_millis()).unwrap_or(i64::MAX));
    let since = range.to.saturating_sub(step).unwrap_or(Timestamp::MIN).to_string();
    let until = range.to.to_string();
    let side = params.side.as_deref().unwrap_or_default();
    let mut words = params
        .command
        .iter()
        .map(|word| word.replace("$since", &since).replace("$until", &until).replace("$side", side));
    let program = words.next().unwrap_or_default();
    let mut command = Command::new(program).args(words).keep(PRINTED);
    if params.pattern.is_some() {
        // Logs of a service are no log of ours.
        command = command.quiet();
    }
    for (name, value) in &params.env {
        command = command.env(name, value);
    }
    context.process(&command).await
}

/// How many lines match. `docker logs` prints on both streams.
fn lines(
    params: &Params,
    finished: &Finished,
    pattern: &regex::bytes::Regex,
) -> std::result::Result<Reading, String> {
    if finished.stdout.len() >= PRINTED {
        return Err("the command printed more than 8 MiB: ask for less, such as with --since".into());
    }
    let lines = [&finished.stdout, &finished.stderr];
    let lines =
        lines.iter().flat_map(|text| text.split(|byte| *byte == b'\n')).filter(|line| !line.is_empty());
    let (mut total, mut matching) = (0u64, 0u64);
    for line in lines {
        total += 1;
        matching += u64::from(pattern.is_match(line));
    }
    let (bad, total) = (matching as f64, total as f64);
    Ok(if params.share { Reading::Rate { bad, total } } else { Reading::Number(bad) })
}

fn printed(stdout: &[u8]) -> std::result::Result<Reading, String> {
    let text = String::from_utf8_lossy(stdout);
    let shown = || sanitize_line(text.trim()).chars().take(80).collect::<String>();
    if text.trim().is_empty() {
        return Err("it printed nothing".into());
    }
    match serde_json::from_str::<Value>(text.trim()) {
        Ok(value) => Reading::from_value(&value).map_err(|error| format!("{error}: `{}`", shown())),
        Err(_) => Err(format!("`{}` is neither a number nor JSON", shown())),
    }
}
