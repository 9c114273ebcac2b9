//! Runs the commands that the demo shows, as a person would type them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::sample::{seclude, unrunnable};
use crate::cli::ColorChoice;
use crate::error::{CommandError, Result};
use crate::exit::Exit;
use crate::report::Report;

/// Where the demo's commands are run.
#[derive(Debug)]
pub struct Shell {
    program: PathBuf,
    folder: PathBuf,
    color: ColorChoice,
    runtime: Runtime,
    interrupts: Signal,
}

impl Shell {
    /// Runs commands in `folder`, and `program` as `windlass`.
    ///
    /// # Errors
    /// When the machine gives no event loop.
    pub fn new(program: PathBuf, folder: PathBuf, color: ColorChoice) -> Result<Self> {
        let failed = |error| CommandError::failed(format!("no event loop can be made: {error}"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let guard = runtime.enter();
        // From here on Ctrl-C ends the command that is shown, and the demo after it: the other way round, the
        // command would write over the next prompt.
        let interrupts = signal(SignalKind::interrupt()).map_err(failed)?;
        drop(guard);
        Ok(Self { program, folder, color, runtime, interrupts })
    }

    /// Shows a `windlass` command and runs it on the same terminal, refusing another exit code than `expect`.
    ///
    /// # Errors
    /// When it cannot be run, is interrupted, or ends with another exit code.
    pub fn expect(&mut self, report: &mut Report, args: &[&str], expect: Exit) -> Result<()> {
        let mut command = self.prepare(report, "windlass", &self.program, args);
        match self.color {
            ColorChoice::Auto => {}
            ColorChoice::Always => drop(command.args(["--color", "always"])),
            ColorChoice::Never => drop(command.args(["--color", "never"])),
        }
        if report.is_json() {
            command.stdout(Stdio::null()).stderr(Stdio::null());
        }
        let code = self.wait(command)?;
        if !report.is_json() {
            report.line("");
        }
        let expect = i32::from(expect.code());
        // Ended by a signal it has no code.
        if code == Some(expect) {
            return Ok(());
        }
        let shown = shown("windlass", args);
        let ended = code.map_or_else(|| "by a signal".to_owned(), |code| format!("with exit code {code}"));
        Err(CommandError::failed(format!("`{shown}` ended {ended} where {expect} was expected")))
    }

    fn wait(&mut self, command: Command) -> Result<Option<i32>> {
        let interrupts = &mut self.interrupts;
        let mut interrupted = false;
        let ended = self.runtime.block_on(async {
            let mut child = tokio::process::Command::from(command).spawn()?;
            loop {
                tokio::select! {
                    biased;
                    Some(()) = interrupts.recv() => interrupted = true,
                    status = child.wait() => break status,
                }
            }
        });
        let status = ended.map_err(|error| unrunnable("windlass", &error))?;
        if interrupted {
            return Err(CommandError::failed("the demo was interrupted"));
        }
        Ok(status.code())
    }

    /// What a `windlass` command prints as JSON; not shown.
    ///
    /// # Errors
    /// When it cannot be run or prints no JSON.
    pub fn ask(&self, args: &[&str]) -> Result<serde_json::Value> {
        let mut command = Command::new(&self.program);
        command.args(args).arg("--json").current_dir(&self.folder).stdin(Stdio::null());
        seclude(&mut command);
        let finished = command.output().map_err(|error| unrunnable("windlass", &error))?;
        serde_json::from_slice(&finished.stdout).map_err(|error| {
            CommandError::failed(format!("`{}` printed no JSON: {error}", shown("windlass", args)))
        })
    }

    /// Shows a `git` command and what it prints.
    ///
    /// # Errors
    /// When it cannot be run or fails.
    pub fn git(&self, report: &mut Report, args: &[&str]) -> Result<()> {
        let mut command = self.prepare(report, "git", Path::new("git"), args);
        let finished = command.output().map_err(|error| unrunnable("git", &error))?;
        if !finished.status.success() {
            return Err(CommandError::failed(format!("`{}` failed", shown("git", args))));
        }
        if !report.is_json() {
            report.line(&windlass_core::text::sanitize(&String::from_utf8_lossy(&finished.stdout)));
        }
        Ok(())
    }

    fn prepare(&self, report: &mut Report, name: &str, program: &Path, args: &[&str]) -> Command {
        let prompt = report.out_paint.dim("$");
        let text = report.out_paint.bold(&shown(name, args));
        if !report.is_json() {
            report.line(&format!("{prompt} {text}"));
        }
        let mut command = Command::new(program);
        // Nothing is asked: the demo goes through by itself.
        command.args(args).current_dir(&self.folder).stdin(Stdio::null());
        seclude(&mut command);
        command
    }
}

/// A command as a person types it.
pub fn shown(name: &str, args: &[&str]) -> String {
    std::iter::once(name).chain(args.iter().copied()).map(quoted).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./=@:,".contains(letter);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_shown_as_they_can_be_typed() {
        for (args, expect) in [
            (&["run"][..], "windlass run"),
            (&["run", "--input", "watch=3s"], "windlass run --input watch=3s"),
            (&["approve", "--comment", "it's fine"], r"windlass approve --comment 'it'\''s fine'"),
            (&[""], "windlass ''"),
        ] {
            assert_eq!(shown("windlass", args), expect);
        }
    }
}
