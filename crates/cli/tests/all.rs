//! Every test of the command line, as one program. Each file of `suite/` is a module here.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests must fail where they stand; clippy only knows functions marked as tests"
)]

#[path = "suite/adoption.rs"]
mod adoption;
#[path = "suite/alternatives.rs"]
mod alternatives;
#[path = "suite/bad_input.rs"]
mod bad_input;
#[path = "suite/changelogs.rs"]
mod changelogs;
#[path = "suite/demo.rs"]
mod demo;
#[path = "suite/five_teams.rs"]
mod five_teams;
#[path = "suite/help.rs"]
mod help;
#[path = "suite/holders.rs"]
mod holders;
#[path = "suite/marks.rs"]
mod marks;
#[path = "suite/next.rs"]
mod next;
#[path = "suite/planning.rs"]
mod planning;
#[path = "suite/preflight.rs"]
mod preflight;
#[path = "suite/promoting.rs"]
mod promoting;
#[path = "suite/rolling_back.rs"]
mod rolling_back;
#[path = "suite/running.rs"]
mod running;
#[path = "suite/running_processes.rs"]
mod running_processes;
#[path = "suite/setup.rs"]
mod setup;
#[path = "suite/speed.rs"]
mod speed;
#[path = "suite/support.rs"]
mod support;
#[path = "suite/verifying.rs"]
mod verifying;
#[path = "suite/versions.rs"]
mod versions;

/// A file that no `mod` names would never run.
#[test]
fn no_file_is_forgotten() {
    let this = include_str!("all.rs");
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite");
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".rs") {
            assert!(this.contains(&format!("suite/{name}")), "{name} is not in tests/all.rs");
        }
    }
}
#[path = "suite/watching.rs"]
mod watching;
