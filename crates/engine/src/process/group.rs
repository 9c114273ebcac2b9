//! Stops processes together with all that they started.

use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::Child;
use windlass_core::run::RunId;

const POLL: Duration = Duration::from_millis(20);

/// The process group of a child. Killed when dropped before [`Group::leave`]: a step whose future is dropped (a
/// timeout, a panic) must not live on.
pub(super) struct Group(Option<Pid>);

impl Group {
    /// The group that the child of this number leads.
    pub(super) fn of(child: Option<u32>) -> Self {
        Self(child.and_then(|number| i32::try_from(number).ok()).map(Pid::from_raw))
    }

    /// The child ended by itself: what it left in the background is none of our business.
    pub(super) fn leave(mut self) {
        self.0 = None;
    }

    /// Asks the group to end and, after `grace`, ends it.
    pub(super) async fn stop(mut self, child: &mut Child, grace: Duration) {
        let Some(group) = self.0 else { return };
        let _ = killpg(group, Signal::SIGTERM);
        // A stopped process hears nothing before it continues.
        let _ = killpg(group, Signal::SIGCONT);
        let ended = async {
            let _ = child.wait().await;
            while is_alive(group) {
                tokio::time::sleep(POLL).await;
            }
        };
        if tokio::time::timeout(grace, ended).await.is_err() {
            let _ = killpg(group, Signal::SIGKILL);
            let _ = child.wait().await;
        }
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            let _ = killpg(group, Signal::SIGKILL);
        }
    }
}

/// Stops what a killed windlass left running for `run`, and waits until it is gone, so that nobody acts beside the
/// process that takes the run over. Asks first: git removes its lock files then. Gives how many there were.
///
/// A process that was moved to a session of its own within the run (`setsid`) was meant to stay, and does. To be
/// called before the run starts processes of its own. Only Linux tells what it needs; elsewhere it finds nothing.
pub fn stop_leftovers(run: &RunId) -> usize {
    #[cfg(target_os = "linux")]
    return leftovers::stop(run, leftovers::GRACE);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = run;
        0
    }
}

/// Whether the group has a member that is not a zombie: in a container nobody may collect those.
#[cfg(target_os = "linux")]
fn is_alive(group: Pid) -> bool {
    leftovers::processes().any(|process| process.group == group.as_raw())
}

#[cfg(not(target_os = "linux"))]
fn is_alive(group: Pid) -> bool {
    killpg(group, None).is_ok()
}

#[cfg(target_os = "linux")]
pub(super) mod leftovers {
    //! What `/proc` tells, proc(5).

    use std::collections::BTreeSet;
    use std::os::unix::fs::MetadataExt as _;
    use std::time::{Duration, Instant};

    use nix::sys::signal::{Signal, kill};
    use nix::unistd::{Pid, Uid};
    use windlass_core::run::RunId;

    use super::POLL;

    /// How long a process may take to end by itself.
    pub(super) const GRACE: Duration = Duration::from_secs(3);
    /// How long a killed process is waited for: one in an uninterruptible state may stay.
    const PATIENCE: Duration = Duration::from_secs(5);

    pub(in super::super) fn stop(run: &RunId, grace: Duration) -> usize {
        let mark = format!("WINDLASS_RUN_ID={run}").into_bytes();
        let mut seen = BTreeSet::new();
        let start = Instant::now();
        loop {
            let found = find(&mark);
            if found.is_empty() || start.elapsed() > grace + PATIENCE {
                return seen.len();
            }
            let kill_now = start.elapsed() > grace;
            for process in found {
                // Asked once, however long it takes: a second SIGTERM makes some programs leave in a hurry.
                if seen.insert((process.number, process.started)) && !kill_now {
                    let _ = kill(Pid::from_raw(process.number), Signal::SIGTERM);
                    let _ = kill(Pid::from_raw(process.number), Signal::SIGCONT);
                } else if kill_now {
                    let _ = kill(Pid::from_raw(process.number), Signal::SIGKILL);
                }
            }
            std::thread::sleep(POLL);
        }
    }

    pub(super) struct Process {
        number: i32,
        parent: i32,
        pub(super) group: i32,
        session: i32,
        started: u64,
    }

    /// Every process that is not a zombie.
    pub(super) fn processes() -> impl Iterator<Item = Process> {
        std::fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter_map(process)
    }

    fn process(number: i32) -> Option<Process> {
        let stat = std::fs::read_to_string(format!("/proc/{number}/stat")).ok()?;
        // The name in the second field may hold anything, so count from its end.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        if matches!(fields.next(), None | Some("Z" | "X")) {
            return None;
        }
        let mut next = || fields.next()?.parse().ok();
        let (parent, group, session) = (next()?, next()?, next()?);
        let started = fields.nth(15)?.parse().ok()?;
        Some(Process { number, parent, group, session, started })
    }

    fn find(mark: &[u8]) -> Vec<Process> {
        let mut spared = BTreeSet::new();
        let mut next = i32::try_from(std::process::id()).ok();
        while let Some(number) = next.filter(|number| *number > 0 && spared.insert(*number)) {
            next = process(number).map(|process| process.parent);
        }
        processes()
            .filter(|process| !spared.contains(&process.number))
            .filter(|process| carries(process.number, mark))
            .filter(|process| !carries(process.session, mark))
            .collect()
    }

    /// Whether the process is ours and was started with `mark` in its environment.
    fn carries(number: i32, mark: &[u8]) -> bool {
        let owner = std::fs::metadata(format!("/proc/{number}")).map(|folder| folder.uid());
        owner.is_ok_and(|owner| owner == Uid::current().as_raw())
            && std::fs::read(format!("/proc/{number}/environ"))
                .is_ok_and(|environment| environment.split(|byte| *byte == 0).any(|entry| entry == mark))
    }
}
