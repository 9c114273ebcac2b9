//! Chores of this repository: `cargo xtask check` runs every test there is, `cargo xtask generate` writes what is
//! generated.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a chore talks to whoever runs it")]

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

mod check;
mod generate;

fn main() -> ExitCode {
    let root = root();
    let result = match std::env::args().nth(1).as_deref() {
        Some("check") => check::everything(&root),
        Some("generate") => generate::write(&root),
        _ => Err("usage: cargo xtask check | generate".to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("xtask: {why}");
            ExitCode::FAILURE
        }
    }
}

/// The repository's root.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(|| PathBuf::from("."), Path::to_owned)
}

/// Runs a program in the repository and fails when it does.
fn run(root: &Path, program: &str, arguments: &[&str]) -> Result<(), String> {
    start(root, Command::new(program).args(arguments))
}

fn start(root: &Path, command: &mut Command) -> Result<(), String> {
    let words = [command.get_program()].into_iter().chain(command.get_args());
    let line = words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ");
    println!("$ {line}");
    let status =
        command.current_dir(root).status().map_err(|error| format!("{line} cannot be started: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{line} failed: {status}")) }
}
