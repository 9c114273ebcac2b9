//! The verdict of a watch, from its samples. Silence never passes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::Duration;

/// How long, how often and how strictly to watch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WatchRule {
    /// The whole window.
    pub window: Duration,
    /// The time between two samples.
    pub every: Duration,
    /// Failed samples that are still a pass.
    pub tolerate: u32,
    /// One failure too many ends the watch at once.
    pub early_stop: bool,
    /// The least share of planned samples, in percent, for a verdict; fewer is inconclusive.
    pub coverage: u32,
}

impl WatchRule {
    /// How many samples the window has room for: one at its start and one after every interval.
    pub fn planned(&self) -> u64 {
        self.window.as_millis() / self.every.as_millis().max(1) + 1
    }
}

/// What one probe saw at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sample {
    /// The probe.
    pub probe: String,
    /// What it saw.
    pub seen: Seen,
    /// In a few words.
    pub detail: String,
}

/// What a probe saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Seen {
    /// As it should be.
    Good,
    /// Not as it should be.
    Bad,
    /// The probe itself did not work: it says nothing about the release.
    Nothing,
}

/// The verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Verdict {
    /// Watched long enough, and good.
    Pass,
    /// Bad.
    Fail,
    /// Watched, but not enough to say.
    Inconclusive,
    /// Nothing was seen at all.
    NoData,
}

/// The verdict and why, in a sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// Why.
    pub why: String,
}

/// Whether the samples so far already say Fail.
pub fn failed_early(rule: &WatchRule, samples: &[Sample]) -> bool {
    rule.early_stop && worst(samples).is_some_and(|(_, bad)| bad > u64::from(rule.tolerate))
}

/// The verdict over a finished window. Each probe is judged alone and the worst verdict counts,
/// so that a probe that sees nothing is not outvoted by one that sees good.
pub fn judge(rule: &WatchRule, probes: &[String], samples: &[Sample]) -> Judgement {
    let planned = rule.planned();
    if let Some((probe, bad)) = worst(samples).filter(|(_, bad)| *bad > u64::from(rule.tolerate)) {
        let taken =
            samples.iter().filter(|sample| sample.probe == probe && sample.seen != Seen::Nothing).count();
        let last = samples.iter().rev().find(|sample| sample.probe == probe && sample.seen == Seen::Bad);
        let detail = last.map(|sample| format!("; the last: {}", sample.detail)).unwrap_or_default();
        return Judgement {
            verdict: Verdict::Fail,
            why: format!("{probe} failed {bad} of {taken} samples, {} tolerated{detail}", rule.tolerate),
        };
    }
    let mut open: Option<Judgement> = None;
    for probe in probes {
        let seen =
            samples.iter().filter(|sample| sample.probe == *probe && sample.seen != Seen::Nothing).count()
                as u64;
        if seen == 0 {
            return Judgement {
                verdict: Verdict::NoData,
                why: format!("{probe} saw nothing in {}", rule.window),
            };
        }
        if seen * 100 < planned * u64::from(rule.coverage) && open.is_none() {
            open = Some(Judgement {
                verdict: Verdict::Inconclusive,
                why: format!(
                    "{probe} took {seen} of {planned} planned samples; at least {} % are needed for a verdict",
                    rule.coverage
                ),
            });
        }
    }
    if probes.is_empty() {
        return Judgement { verdict: Verdict::NoData, why: "nothing was watched".into() };
    }
    open.unwrap_or_else(|| {
        let bad = samples.iter().filter(|sample| sample.seen == Seen::Bad).count();
        let good = samples.iter().filter(|sample| sample.seen == Seen::Good).count();
        Judgement {
            verdict: Verdict::Pass,
            why: format!(
                "{good} good and {bad} bad samples in {}, {} bad tolerated",
                rule.window, rule.tolerate
            ),
        }
    })
}

fn worst(samples: &[Sample]) -> Option<(String, u64)> {
    let mut counts: Vec<(String, u64)> = Vec::new();
    for sample in samples.iter().filter(|sample| sample.seen == Seen::Bad) {
        match counts.iter_mut().find(|(probe, _)| *probe == sample.probe) {
            Some((_, count)) => *count += 1,
            None => counts.push((sample.probe.clone(), 1)),
        }
    }
    counts.into_iter().max_by_key(|(_, count)| *count)
}

#[cfg(test)]
mod tests {
    use super::*;

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
                    seen.chars().map(|letter| Sample {
                        probe: (*name).to_owned(),
                        seen: match letter {
                            '+' => Seen::Good,
                            '-' => Seen::Bad,
                            _ => Seen::Nothing,
                        },
                        detail: "500".into(),
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
}
