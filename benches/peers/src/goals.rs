//! What Windlass has to reach, and what was missed.

use crate::peers::GOAL;
use crate::rows::{Kind, Task};
use crate::session::{Cache, Outcome, Sheet, shown};

/// How many times less CPU than the git-cliff of the goals.
fn times_less(task: Task) -> Option<f64> {
    match task {
        Task::Next => Some(5.0),
        Task::Full => Some(8.0),
        Task::Package => Some(10.0),
        _ => None,
    }
}

/// The most resident memory, in MiB.
const MEMORY: f64 = 100.0;

/// Everything missed, in sentences.
pub fn missed(sheet: &Sheet) -> Vec<String> {
    let mut missed = Vec::new();
    let place = format!("{}, {}", sheet.subject.name, sheet.variant);
    for ours in sheet.outcomes.iter().filter(|outcome| outcome.kind == Kind::Windlass) {
        let own = state(ours.cache);
        let mut miss = |text: String| missed.push(format!("{place}: {}{own}: {text}", ours.task));
        match &ours.answer {
            Err(why) => {
                miss(format!("windlass failed: {why}"));
                continue;
            }
            Ok(answer) => {
                if let Some(wrong) = &answer.wrong {
                    miss(format!("windlass is wrong: it says {}, {wrong}", answer.shown));
                }
            }
        }
        if ours.usage.memory > MEMORY {
            miss(format!("windlass takes {:.0} MiB; the goal is {MEMORY:.0}", ours.usage.memory));
        }
        let peers: Vec<&Outcome> = sheet
            .outcomes
            .iter()
            .filter(|other| other.task == ours.task && other.kind == Kind::Peer && other.is_as_warm_as(ours))
            .collect();
        if let Some(goal) = times_less(ours.task) {
            for peer in peers.iter().filter(|peer| peer.tool == GOAL && is_comparable(peer)) {
                let ratio = peer.usage.cpu / ours.usage.cpu;
                if ratio < goal {
                    let state = state(peer.cache);
                    miss(format!("{ratio:.1}x less CPU than {GOAL}{state}; the goal is {goal:.0}x"));
                }
            }
        }
        let done = peers.iter().filter(|peer| peer.answer.is_ok());
        if let Some(fastest) = done.min_by(|left, right| left.usage.wall.total_cmp(&right.usage.wall))
            && fastest.usage.wall < ours.usage.wall
        {
            miss(format!(
                "slower than {}{}: {:.3} s, and windlass {:.3} s",
                fastest.tool,
                state(fastest.cache),
                fastest.usage.wall,
                ours.usage.wall
            ));
        }
    }
    missed
}

/// A peer that was ended for taking too long has cost that much at least.
fn is_comparable(peer: &Outcome) -> bool {
    peer.answer.is_ok() || peer.usage.is_over_time
}

fn state(cache: Cache) -> String {
    if cache == Cache::None { String::new() } else { format!(" ({})", shown(cache)) }
}
