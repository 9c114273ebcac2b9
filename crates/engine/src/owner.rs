//! Who works on a run, and whether they still live.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A process, named so that another process on the same host can tell whether it still lives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The host's name and the boot it is in: a process of an earlier boot is dead.
    pub host: String,
    /// The boot's id; empty where the system tells none.
    pub boot: String,
    /// The process's number.
    pub pid: u32,
    /// When the process started, in clock ticks since boot: numbers are used again, this is not.
    pub started: u64,
}

impl Owner {
    /// This process.
    pub fn current() -> Self {
        let pid = std::process::id();
        Self { host: host_name(), boot: boot_id(), pid, started: start_ticks(pid).unwrap_or_default() }
    }

    /// Whether it is certain that the process is gone: only a process on this host can be known to be.
    pub fn is_dead(&self) -> bool {
        if self.host != host_name() {
            return false;
        }
        if self.boot != boot_id() {
            return true;
        }
        match start_ticks(self.pid) {
            Some(started) => started != self.started,
            None => !exists(self.pid),
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "process {} on {}", self.pid, self.host)
    }
}

fn host_name() -> String {
    nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|id| id.trim().to_owned())
        .unwrap_or_default()
}

/// Field 22 of `/proc/PID/stat`, proc_pid_stat(5). The name in field 2 may hold anything, so count from its end.
/// A zombie is as good as gone: it cannot write any more.
fn start_ticks(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    if matches!(fields.next(), Some("Z" | "X")) {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

fn exists(pid: u32) -> bool {
    if std::path::Path::new("/proc/self/stat").exists() {
        return false;
    }
    // Without /proc, ask by signal 0: a number used again looks alive, and the lease decides then.
    let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap_or(i32::MAX));
    !matches!(nix::sys::signal::kill(pid, None), Err(nix::errno::Errno::ESRCH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_lives_and_an_ended_one_does_not() {
        let me = Owner::current();
        assert!(!me.is_dead());
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let ended = Owner { pid: child.id(), ..me.clone() };
        child.wait().unwrap();
        assert!(ended.is_dead());
        assert!(Owner { started: me.started + 1, ..me.clone() }.is_dead(), "a number used again");
        assert!(Owner { boot: "earlier".into(), ..me.clone() }.is_dead(), "another boot");
        assert!(!Owner { host: "elsewhere".into(), boot: "x".into(), ..me }.is_dead(), "who knows");
    }
}
