//! The verdict on probes, which are good or bad at each sample.

use super::{Judgement, Sample, Seen, Verdict, WatchRule};

/// So many failures of a probe one after another are never tolerated.
const IN_A_ROW: usize = 3;

/// Whether the samples so far already say Fail.
pub fn failed_early(rule: &WatchRule, samples: &[Sample]) -> bool {
    rule.early_stop && failure(rule, samples).is_some()
}

/// The verdict over a finished window. Each probe is judged alone and the worst verdict counts,
/// so that a probe that sees nothing is not outvoted by one that sees good.
pub fn judge(rule: &WatchRule, probes: &[String], samples: &[Sample]) -> Judgement {
    let planned = rule.planned();
    if let Some(why) = failure(rule, samples) {
        return Judgement::new(Verdict::Fail, why);
    }
    let samples: Vec<&Sample> = samples.iter().filter(|sample| probes.contains(&sample.probe)).collect();
    let mut open: Option<Judgement> = None;
    for probe in probes {
        let of_probe = samples.iter().filter(|sample| sample.probe == *probe);
        let seen = of_probe.filter(|sample| sample.seen != Seen::Nothing).count() as u64;
        if seen == 0 {
            return Judgement::new(Verdict::NoData, format!("{probe} saw nothing in {}", rule.window));
        }
        if seen * 100 < planned * u64::from(rule.coverage) && open.is_none() {
            let why = format!(
                "{probe} took {seen} of {planned} planned samples; at least {} % are needed for a verdict",
                rule.coverage
            );
            open = Some(Judgement::new(Verdict::Inconclusive, why));
        }
    }
    if probes.is_empty() {
        return Judgement::new(Verdict::NoData, "nothing was watched");
    }
    open.unwrap_or_else(|| {
        let bad = samples.iter().filter(|sample| sample.seen == Seen::Bad).count();
        let good = samples.iter().filter(|sample| sample.seen == Seen::Good).count();
        let (window, tolerate) = (rule.window, rule.tolerate);
        let why = format!("{good} good and {bad} bad samples in {window}, {tolerate} bad tolerated");
        Judgement::new(Verdict::Pass, why)
    })
}

/// Why a probe failed: more often than tolerated, or too often one after another.
fn failure(rule: &WatchRule, samples: &[Sample]) -> Option<String> {
    let mut tallies: Vec<Tally<'_>> = Vec::new();
    for sample in samples {
        let tally = match tallies.iter_mut().position(|tally| tally.probe == sample.probe) {
            Some(at) => tallies.get_mut(at),
            None => {
                tallies.push(Tally { probe: &sample.probe, ..Tally::default() });
                tallies.last_mut()
            }
        };
        if let Some(tally) = tally {
            tally.count(sample);
        }
    }
    let is_failed = |tally: &&Tally<'_>| tally.bad > u64::from(rule.tolerate) || tally.longest >= IN_A_ROW;
    let worst = tallies.iter().filter(is_failed).max_by_key(|tally| tally.bad)?;
    let Tally { probe, bad, taken, longest, last, .. } = worst;
    let last = if last.is_empty() { String::new() } else { format!("; the last: {last}") };
    Some(if *bad > u64::from(rule.tolerate) {
        format!("{probe} failed {bad} of {taken} samples, {} tolerated{last}", rule.tolerate)
    } else {
        format!("{probe} failed {longest} times one after another, which is never tolerated{last}")
    })
}

/// What one probe saw so far.
#[derive(Debug, Default)]
struct Tally<'a> {
    probe: &'a str,
    taken: u64,
    bad: u64,
    row: usize,
    longest: usize,
    last: &'a str,
}

impl<'a> Tally<'a> {
    fn count(&mut self, sample: &'a Sample) {
        match sample.seen {
            // A probe that did not work says nothing, and does not end a row of failures either.
            Seen::Nothing => return,
            Seen::Bad => {
                self.bad += 1;
                self.row += 1;
                self.longest = self.longest.max(self.row);
                self.last = &sample.detail;
            }
            Seen::Good | Seen::Measured => self.row = 0,
        }
        self.taken += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::duration::Duration;

    #[test]
    fn verdicts_follow_what_was_seen_and_silence_never_passes() {
        let rule = WatchRule {
            window: Duration::from_secs(10),
            every: Duration::from_secs(1),
            tolerate: 1,
            early_stop: true,
            coverage: 50,
        };
        let check = |probes: &[(&str, &str)], expect: Verdict, early: bool| {
            let names: Vec<String> = probes.iter().map(|(name, _)| (*name).to_owned()).collect();
            let samples: Vec<Sample> = probes
                .iter()
                .flat_map(|(name, seen)| {
                    seen.chars().map(|letter| {
                        let seen = match letter {
                            '+' => Seen::Good,
                            '-' => Seen::Bad,
                            _ => Seen::Nothing,
                        };
                        Sample::of_probe(*name, seen, "500")
                    })
                })
                .collect();
            let judgement = judge(&rule, &names, &samples);
            assert_eq!(judgement.verdict, expect, "{probes:?}: {}", judgement.why);
            assert_eq!(failed_early(&rule, &samples), early, "{probes:?}");
        };
        check(&[("a", "+++++++++++")], Verdict::Pass, false);
        check(&[("a", "++++-++++++")], Verdict::Pass, false);
        check(&[("a", "++-+-++++++")], Verdict::Fail, true);
        check(&[("a", "--")], Verdict::Fail, true);
        check(&[("a", "+++")], Verdict::Inconclusive, false);
        check(&[("a", "++++++")], Verdict::Pass, false);
        check(&[("a", "")], Verdict::NoData, false);
        check(&[("a", "???????????")], Verdict::NoData, false);
        check(&[("a", "+++++++++++"), ("b", "")], Verdict::NoData, false);
        check(&[("a", "+++++++++++"), ("b", "??+????????")], Verdict::Inconclusive, false);
        check(&[("a", "-++++++++++"), ("b", "-++++++++++")], Verdict::Pass, false);
        check(&[], Verdict::NoData, false);
    }

    #[test]
    fn three_failures_one_after_another_are_never_tolerated() {
        let rule = WatchRule {
            window: Duration::from_secs(10),
            every: Duration::from_secs(1),
            tolerate: 5,
            early_stop: true,
            coverage: 50,
        };
        for (seen, expect) in
            [("--+--+-", false), ("---", true), ("--?-", true), ("+--+---", true), ("--+", false)]
        {
            let samples: Vec<Sample> = seen
                .chars()
                .map(|letter| match letter {
                    '+' => Sample::of_probe("a", Seen::Good, ""),
                    '-' => Sample::of_probe("a", Seen::Bad, "500"),
                    _ => Sample::of_probe("a", Seen::Nothing, ""),
                })
                .collect();
            assert_eq!(failed_early(&rule, &samples), expect, "{seen}");
            let other = [Sample::of_probe("b", Seen::Good, "")];
            let mixed: Vec<Sample> =
                samples.iter().flat_map(|sample| [sample.clone(), other[0].clone()]).collect();
            assert_eq!(failed_early(&rule, &mixed), expect, "{seen} beside another probe");
        }
    }
}
