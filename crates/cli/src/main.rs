//! The `windlass` command.

fn main() -> std::process::ExitCode {
    windlass_cli::run(std::env::args_os(), windlass_cli::World::real())
}
