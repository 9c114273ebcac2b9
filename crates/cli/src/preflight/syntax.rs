//! Syntax of scripts, by the interpreters themselves: they read, and execute nothing.
//!
//! A thousand scripts would be a thousand processes. So all shell scripts are read by one process first, each inside a
//! function of its own; only when that finds an error is each read alone. A script whose quotes are not all closed
//! is read alone at once, because two of them could close each other's.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};

use super::{Script, shell};
use windlass_core::text::sanitize_line;

/// So many processes at a time.
const AT_ONCE: usize = 8;

/// Prints one JSON list per script that does not compile: its number, line and message.
const PYTHON: &str = "import sys, json
for number, text in enumerate(json.load(sys.stdin)):
    try:
        compile(text, 'script', 'exec', dont_inherit=True)
    except SyntaxError as error:
        print(json.dumps([number, error.lineno or 1, error.msg]))
    except Exception as error:
        print(json.dumps([number, 1, str(error)]))
";

/// For each wrong script its index, the line from 1, and what is wrong. An interpreter that is not there is found
/// as a missing command of its own.
pub fn errors(scripts: &[Script<'_>], environment: &BTreeMap<String, String>) -> Vec<(usize, usize, String)> {
    let mut errors = Vec::new();
    for language in ["bash", "sh"] {
        let mut texts: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (index, script) in scripts.iter().enumerate().filter(|(_, script)| script.language == language) {
            texts.entry(script.text).or_default().push(index);
        }
        if texts.is_empty() {
            continue;
        }
        if !super::is_installed(language, environment) {
            let first = texts.values().flatten().min().copied().unwrap_or_default();
            errors.push((first, 1, format!("`{language}` is not installed here")));
            continue;
        }
        let (together, alone): (Vec<&str>, Vec<&str>) =
            texts.keys().copied().partition(|text| shell::is_closed(text));
        let mut suspects = alone;
        if !together.is_empty() && (together.len() == 1 || !read_together(language, &together, environment)) {
            suspects.extend(together);
        }
        for batch in suspects.chunks(AT_ONCE) {
            let running: Vec<_> =
                batch.iter().map(|text| (text, start(language, text, environment))).collect();
            for (text, child) in running {
                if let Some((line, message)) = child.and_then(finished) {
                    errors.extend(texts[text].iter().map(|index| (*index, line, message.clone())));
                }
            }
        }
    }
    errors.extend(python(scripts, environment));
    errors.sort();
    errors
}

/// Whether one process finds nothing wrong with all of them.
fn read_together(language: &str, texts: &[&str], environment: &BTreeMap<String, String>) -> bool {
    let mut whole = String::new();
    for (number, text) in texts.iter().enumerate() {
        // The colon: a function of comments only is an error. The blank line: a last backslash joins lines.
        whole.push_str(&format!("script_{number}() {{\n:\n{text}\n\n}}\n"));
    }
    start(language, &whole, environment).is_some_and(|child| finished(child).is_none())
}

fn start(language: &str, text: &str, environment: &BTreeMap<String, String>) -> Option<std::process::Child> {
    let mut command = interpreter(language, environment);
    command.arg("-n").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().ok()?;
    if let Some(mut stdin) = child.stdin.take() {
        // It stops reading at a hopeless error; what it says then is what counts.
        let _ = stdin.write_all(text.as_bytes());
    }
    Some(child)
}

/// With nothing but a `PATH`: other variables make interpreters read files before they read the script.
fn interpreter(name: &str, environment: &BTreeMap<String, String>) -> Command {
    let mut command = Command::new(name);
    command.env_clear().env("LC_ALL", "C");
    if let Some(path) = environment.get("PATH") {
        command.env("PATH", path);
    }
    command
}

/// The line and message of the first error.
fn finished(child: std::process::Child) -> Option<(usize, String)> {
    let output = child.wait_with_output().ok()?;
    if output.status.success() {
        return None;
    }
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let first = sanitize_line(text.lines().next().unwrap_or("its syntax is wrong"));
    // `bash: line 3: syntax error ...`, `sh: 3: Syntax error: ...`
    let mut parts = first.splitn(3, ": ");
    let line = parts.nth(1).and_then(|part| part.trim_start_matches("line ").parse::<usize>().ok());
    let message = parts.next().filter(|_| line.is_some()).map_or(first.clone(), str::to_owned);
    Some((line.unwrap_or(1), message))
}

fn python(scripts: &[Script<'_>], environment: &BTreeMap<String, String>) -> Vec<(usize, usize, String)> {
    let all: Vec<(usize, &str)> = scripts
        .iter()
        .enumerate()
        .filter(|(_, script)| script.language == "python")
        .map(|(index, script)| (index, script.text))
        .collect();
    let Some((first, _)) = all.first() else { return Vec::new() };
    if !super::is_installed("python3", environment) {
        return vec![(*first, 1, "`python3` is not installed here".into())];
    }
    let texts: Vec<&str> = all.iter().map(|(_, text)| *text).collect();
    let Ok(input) = serde_json::to_vec(&texts) else { return Vec::new() };
    let spawned = interpreter("python3", environment)
        .args(["-I", "-S", "-c", PYTHON])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = spawned else { return Vec::new() };
    if let Some(mut stdin) = child.stdin.take() {
        let _ = stdin.write_all(&input);
    }
    let Ok(output) = child.wait_with_output() else { return Vec::new() };
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<(usize, usize, String)>(line).ok())
        .filter_map(|(number, line, message)| Some((all.get(number)?.0, line, sanitize_line(&message))))
        .collect()
}
