//! Whether a watch makes requests of its own, for want of those of customers.

use std::collections::BTreeMap;

use windlass_core::verdict::{Reading, Sample};

/// Whether the customers' requests will not come to `enough` in a watch of that many `rounds`. `now` are the samples of
/// this round, `earlier` those before it, and `own` is the name of the samples of requests of our own.
///
/// Several criteria see the same requests, so they are counted for each source by itself, and the one that has seen the
/// fewest decides: its criterion too must come to a verdict.
pub(super) fn is_wanted(earlier: &[Sample], now: &[Sample], own: &str, enough: f64, rounds: u64) -> bool {
    let so_far = fewest(earlier.iter().chain(now), |sum, requests| sum + requests);
    // What our own requests left says nothing about how many customers there are.
    let was_ours = earlier.last().is_some_and(|sample| sample.probe == own);
    let promised = fewest(now.iter(), f64::max) * rounds.max(1) as f64;
    so_far < enough && (was_ours || promised < enough)
}

/// The requests of the source that counts the fewest, of those that count any; 0 when none does.
fn fewest<'a>(samples: impl Iterator<Item = &'a Sample>, together: fn(f64, f64) -> f64) -> f64 {
    let mut sources: BTreeMap<&str, f64> = BTreeMap::new();
    for sample in samples.filter(|sample| !sample.baseline) {
        if let Some(requests) = sample.reading.as_ref().and_then(Reading::requests) {
            let known = sources.entry(&sample.probe).or_default();
            *known = together(*known, requests);
        }
    }
    sources.into_values().reduce(f64::min).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_core::verdict::Seen;

    /// Samples such as `errors=40`, `load` for a number that counts no requests, `-errors=40` for the version before.
    fn samples(text: &str) -> Vec<Sample> {
        let sample = |word: &str| {
            let (name, total) = word.split_once('=').unwrap_or((word, ""));
            let reading = match total.parse() {
                Ok(total) => Reading::Rate { bad: 0.0, total },
                Err(_) => Reading::Number(1.0),
            };
            let reading = Some(reading).filter(|_| name != "traffic");
            let baseline = name.starts_with('-');
            let name = name.trim_start_matches('-');
            Sample { reading, baseline, ..Sample::of_probe(name, Seen::Measured, "") }
        };
        text.split_whitespace().map(sample).collect()
    }

    #[test]
    fn requests_of_our_own_are_made_while_any_source_sees_too_few() {
        for (earlier, now, expect) in [
            ("", "", true),
            ("", "errors=9", true),
            ("", "errors=10", false),
            ("errors=60", "errors=0", true),
            ("errors=60 errors=40", "errors=0", false),
            // The same requests, seen by two criteria.
            ("errors=60 latency=60", "errors=0 latency=0", true),
            ("", "errors=9 latency=9", true),
            ("", "errors=20 latency=9", true),
            ("errors=100 latency=90", "errors=0 latency=0", true),
            ("errors=100 latency=100", "errors=0 latency=0", false),
            // What counts no requests has no say, and the version before has other customers.
            ("errors=100 load", "errors=0 load", false),
            ("load", "load", true),
            ("-errors=100", "errors=0 -errors=100", true),
            // After requests of our own only what was counted says anything.
            ("errors=10 traffic", "errors=20", true),
            ("errors=10 traffic", "errors=90", false),
        ] {
            let wanted = is_wanted(&samples(earlier), &samples(now), "traffic", 100.0, 10);
            assert_eq!(wanted, expect, "{earlier} | {now}");
        }
    }
}
