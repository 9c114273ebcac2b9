//! Judges the samples of a watch again, look by look, as if it were watched with other criteria.

use jiff::Timestamp;

use super::judge::{Moment, metrics};
use super::{Judgement, MetricRule, Sample, Verdict, WatchRule};

/// What came of watching again.
#[derive(Debug, Clone, PartialEq)]
pub struct Replayed {
    /// The verdict.
    pub judgement: Judgement,
    /// The look at which it would have been stopped, from 0, when that is before the end.
    pub stopped_at: Option<usize>,
}

/// Watches `rounds` again: the samples of each look in order, each with the time it was taken at.
pub fn replay(
    rule: &MetricRule,
    watch: &WatchRule,
    rounds: &[(Timestamp, Vec<Sample>)],
    planned: u64,
    seed: u64,
) -> Replayed {
    let mut samples: Vec<Sample> = Vec::new();
    let mut last = Timestamp::UNIX_EPOCH;
    for (index, (at, taken)) in rounds.iter().enumerate() {
        last = *at;
        samples.extend(taken.iter().cloned());
        if !watch.early_stop || taken.is_empty() {
            continue;
        }
        let judgement = metrics(rule, watch, &samples, Moment::Look, seed);
        if judgement.verdict == Verdict::Fail {
            return Replayed { judgement, stopped_at: Some(index) };
        }
    }
    let judgement = metrics(rule, watch, &samples, Moment::End { planned, at: last }, seed);
    Replayed { judgement, stopped_at: None }
}
