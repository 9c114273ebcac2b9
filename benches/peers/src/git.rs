//! Git, as the bench asks it for the truth and prepares repositories with it.

use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::Result;

/// A git command in a folder, with nobody's configuration but the repository's.
pub fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("git");
    command
        .args(arguments)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("LC_ALL", "C")
        .stdin(Stdio::null());
    command
}

/// What git printed, without the last line's end.
///
/// # Errors
/// When git fails.
pub fn output(folder: &Path, arguments: &[&str]) -> Result<String> {
    let output = command(folder, arguments).output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("git {} in {}: {}", arguments.join(" "), folder.display(), said.trim()).into());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

/// A number git printed.
///
/// # Errors
/// When git fails or prints something else.
pub fn count(folder: &Path, arguments: &[&str]) -> Result<u64> {
    Ok(output(folder, arguments)?.parse()?)
}

/// What git answers to lines on its standard input.
///
/// # Errors
/// When git fails.
pub fn answers(folder: &Path, arguments: &[&str], lines: &str) -> Result<String> {
    let mut child = command(folder, arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut stdin = child.stdin.take().ok_or("git without input")?;
    let lines = lines.to_owned();
    // From a thread of its own: git answers before it has read all.
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let output = child.wait_with_output()?;
    if !output.status.success() || !writer.join().is_ok_and(|written| written.is_ok()) {
        return Err(format!("git {} failed in {}", arguments.join(" "), folder.display()).into());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Hands over git's output line by line: the histories are large, and the bench stays small.
///
/// # Errors
/// When git fails.
pub fn lines(folder: &Path, arguments: &[&str], mut each: impl FnMut(&str)) -> Result<()> {
    let mut child = command(folder, arguments).stdout(Stdio::piped()).spawn()?;
    let stdout = child.stdout.take().ok_or("git without output")?;
    let mut reader = BufReader::new(stdout);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        each(String::from_utf8_lossy(&line).trim_end_matches('\n'));
        line.clear();
    }
    if !child.wait()?.success() {
        return Err(format!("git {} failed in {}", arguments.join(" "), folder.display()).into());
    }
    Ok(())
}
