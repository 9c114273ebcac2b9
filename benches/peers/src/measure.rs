//! Runs one command and tells what it cost: CPU, wall and memory of it and of all it started.
//!
//! The command is started by a process of its own (`windlass-peers measure`) that starts nothing else: what the kernel
//! adds up for the children of that process is the command's, and no large parent counts into its memory.

use std::fs::File;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, killpg};
use nix::sys::time::TimeVal;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::Result;

/// What a command cost.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Seconds of CPU: user and system.
    pub cpu: f64,
    /// Seconds from start to end.
    pub wall: f64,
    /// Most resident memory of one of its processes, in MiB.
    pub memory: f64,
    /// Its exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// It was ended because it took longer than allowed: its figures are lower bounds.
    pub is_over_time: bool,
}

/// One command to measure.
#[derive(Debug, Clone)]
pub struct Invocation<'a> {
    /// The program and its arguments.
    pub argv: &'a [String],
    /// Where it runs.
    pub folder: &'a Path,
    /// Everything it finds in its environment.
    pub environment: &'a [(String, String)],
    /// How long it may take.
    pub limit: Duration,
    /// Where its standard output goes.
    pub stdout: &'a Path,
    /// Where its standard error goes.
    pub stderr: &'a Path,
}

/// Runs a command under `meter`, the path of `windlass-peers` itself.
///
/// # Errors
/// When the command cannot be started.
pub fn measure(meter: &Path, invocation: &Invocation) -> Result<Usage> {
    let answer = invocation.stderr.with_extension("usage");
    let status = Command::new(meter)
        .arg("measure")
        .arg(invocation.limit.as_millis().to_string())
        .arg(&answer)
        .args(invocation.argv)
        .current_dir(invocation.folder)
        .env_clear()
        .envs(invocation.environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(File::create(invocation.stdout)?)
        .stderr(File::create(invocation.stderr)?)
        .status()?;
    if !status.success() {
        let said = std::fs::read_to_string(invocation.stderr).unwrap_or_default();
        return Err(format!("cannot start {}: {}", invocation.argv.join(" "), said.trim()).into());
    }
    Ok(serde_json::from_str(&std::fs::read_to_string(&answer)?)?)
}

/// The other side of `measure`: `LIMIT-IN-MS USAGE-FILE PROGRAM ARGUMENTS...`.
///
/// # Errors
/// When the program cannot be started or its cost cannot be written down.
pub fn measured_process(arguments: &[String]) -> Result<()> {
    let [limit, answer, program, rest @ ..] = arguments else {
        return Err("measure LIMIT-IN-MS USAGE-FILE PROGRAM ARGUMENTS...".into());
    };
    let (limit, answer) = (Duration::from_millis(limit.parse()?), PathBuf::from(answer));
    let begin = Instant::now();
    let mut child = Command::new(program).args(rest).process_group(0).spawn()?;
    let group = Pid::from_raw(i32::try_from(child.id())?);
    let (ended, is_ended) = mpsc::channel::<()>();
    let guard = std::thread::spawn(move || {
        let is_over_time = is_ended.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout);
        if is_over_time {
            // A group that ended meanwhile cannot be killed, and need not be.
            let _ = killpg(group, Signal::SIGKILL);
        }
        is_over_time
    });
    let status = child.wait()?;
    let wall = begin.elapsed().as_secs_f64();
    drop(ended);
    let is_over_time = guard.join().unwrap_or_default();
    let used = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let usage = Usage {
        cpu: seconds(used.user_time()) + seconds(used.system_time()),
        wall,
        memory: used.max_rss() as f64 / 1024.0,
        code: status.code(),
        is_over_time,
    };
    File::create(answer)?.write_all(serde_json::to_string(&usage)?.as_bytes())?;
    Ok(())
}

fn seconds(time: TimeVal) -> f64 {
    time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6
}

/// The middle of some figures; the mean of the two middle ones when their number is even.
pub fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => sorted[length / 2],
        length => f64::midpoint(sorted[length / 2 - 1], sorted[length / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_median_is_the_middle() {
        for (figures, expect) in
            [(vec![3.0], 3.0), (vec![5.0, 1.0, 3.0], 3.0), (vec![4.0, 1.0, 3.0, 2.0], 2.5)]
        {
            assert!((median(&figures) - expect).abs() < 1e-9, "{figures:?}");
        }
        assert!(median(&[]).is_nan());
    }
}
