//! Windlass with a switch to die by SIGKILL at a chosen write of its journal, and with bugs that can be planted.
//!
//! `WINDLASS_TEST_DIE=before:7` dies at the eighth write, not written; `after:7` when it has been written.
//! `WINDLASS_TEST_BUG` is `outcome-before-intent`, `no-fence` or `no-probe`.
//! `WINDLASS_TEST_COUNT` names a file that gets a line with the number of writes, from a process that lives to its end.
//! `WINDLASS_TEST_LEASE` is the owner's lease in milliseconds.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use windlass_cli::World;
use windlass_engine::action::ActionSet;
use windlass_engine::conformance::planted::{Bug, Planted, without_probes};
use windlass_engine::conformance::{FaultyJournal, Moment};
use windlass_engine::embedded::Settings;
use windlass_engine::journal::Journal;

fn main() -> ExitCode {
    let mut world = World::real();
    world.hooks.journal = Some(journal);
    world.hooks.actions = Some(actions);
    world.hooks.settings = Some(settings);
    let code = windlass_cli::run(std::env::args_os(), world);
    if let (Some(path), Some(mortal)) = (std::env::var_os("WINDLASS_TEST_COUNT"), MORTAL.get()) {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
        // A count that cannot be told is missed by the harness, which fails then.
        let _told = file.and_then(|mut file| writeln!(file, "{}", mortal.writes()));
    }
    code
}

/// The journal in use; hooks are plain functions and have nowhere else to leave it.
static MORTAL: OnceLock<Arc<FaultyJournal>> = OnceLock::new();

fn journal(inner: Arc<dyn Journal>) -> Arc<dyn Journal> {
    let inner = match bug().as_str() {
        "outcome-before-intent" => Arc::new(Planted { inner, bug: Bug::OutcomeBeforeIntent }),
        "no-fence" => Arc::new(Planted { inner, bug: Bug::NoFence }) as Arc<dyn Journal>,
        _ => inner,
    };
    let mortal = FaultyJournal::new(inner).with_fault(Arc::new(die));
    let die_at = std::env::var("WINDLASS_TEST_DIE").unwrap_or_default();
    if let Some((moment, point)) = die_at.split_once(':')
        && let Ok(point) = point.parse()
    {
        mortal.die_at(point, if moment == "after" { Moment::After } else { Moment::Before });
    }
    MORTAL.get_or_init(|| Arc::new(mortal)).clone()
}

fn actions(actions: ActionSet) -> ActionSet {
    if bug() == "no-probe" { without_probes(&actions) } else { actions }
}

fn settings(settings: Settings) -> Settings {
    match std::env::var("WINDLASS_TEST_LEASE").ok().and_then(|lease| lease.parse().ok()) {
        Some(lease) => Settings { lease: Duration::from_millis(lease), ..settings },
        None => settings,
    }
}

fn bug() -> String {
    std::env::var("WINDLASS_TEST_BUG").unwrap_or_default()
}

fn die() {
    // No destructor runs, no buffer is flushed, no child is told.
    let _sent = nix::sys::signal::kill(nix::unistd::getpid(), nix::sys::signal::Signal::SIGKILL);
    loop {
        std::thread::park();
    }
}
