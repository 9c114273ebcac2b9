//! The Mann-Whitney judge: whether the release's looks lie higher or lower than the baseline's.

use super::bootstrap::median;
use super::bounds::normal_quantile;

/// The confidence of Kayenta's judge.
pub const CONFIDENCE: f64 = 0.98;
/// The tolerance of Kayenta's judge: the part of the shift that counts as none.
pub const TOLERANCE: f64 = 0.25;

/// More looks of a side than this are thinned out: pairs grow with the square.
const MOST_LOOKS: usize = 400;

/// By how much the release lies higher.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shift {
    /// The Hodges-Lehmann estimate: the median of all differences between a look of the release and one of the
    /// baseline.
    pub estimate: f64,
    /// The lower confidence bound.
    pub low: f64,
    /// The upper confidence bound.
    pub high: f64,
}

/// The shift between two groups of looks with its two-sided confidence interval, by the normal approximation; nothing
/// without looks.
///
/// H. B. Mann and D. R. Whitney, Ann. Math. Statist. 18 (1947) 50-60; J. L. Hodges and E. L. Lehmann, Ann. Math.
/// Statist. 34 (1963) 598-611; the interval from ordered differences is that of Hollander and Wolfe, "Nonparametric
/// Statistical Methods", 4.3.
pub fn shift(release: &[f64], baseline: &[f64], confidence: f64) -> Option<Shift> {
    let (own, other) = (thinned(release), thinned(baseline));
    let mut differences: Vec<f64> =
        own.iter().flat_map(|own| other.iter().map(move |other| own - other)).collect();
    let estimate = median(&differences)?;
    differences.sort_by(f64::total_cmp);
    let (many, others) = (own.len() as f64, other.len() as f64);
    let spread = (many * others * (many + others + 1.0) / 12.0).sqrt();
    let z = normal_quantile(f64::midpoint(1.0, confidence));
    // Too few looks leave no difference outside: the interval is all of them.
    let outside = (many * others / 2.0 - z * spread - 0.5).max(0.0).floor() as usize;
    let low = *differences.get(outside.min(differences.len() - 1))?;
    let high = *differences.get(differences.len() - 1 - outside.min(differences.len() - 1))?;
    Some(Shift { estimate, low: low.min(estimate), high: high.max(estimate) })
}

/// What Kayenta's judge says of a shift: higher (`Some(true)`) when its lower bound is above `tolerance` of the
/// estimate, lower (`Some(false)`) likewise, else alike.
///
/// Written anew from its description: kayenta-judge, classifiers/metric, and <https://spinnaker.io/docs/guides/user/canary/>.
pub fn classify(shift: Shift, tolerance: f64) -> Option<bool> {
    let critical = tolerance * shift.estimate.abs();
    if shift.low > critical {
        Some(true)
    } else if shift.high < -critical {
        Some(false)
    } else {
        None
    }
}

fn thinned(looks: &[f64]) -> Vec<f64> {
    let step = looks.len().div_ceil(MOST_LOOKS).max(1);
    looks.iter().copied().step_by(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::bootstrap::Random;

    #[test]
    fn shifts_are_told_from_noise() {
        let looks = |middle: f64, seed: u64| -> Vec<f64> {
            let mut random = Random::new(seed);
            (0..40).map(|_| middle + random.share() - 0.5).collect()
        };
        for (own, other, expect) in [(10.0, 10.0, None), (12.0, 10.0, Some(true)), (8.0, 10.0, Some(false))] {
            let shift = shift(&looks(own, 1), &looks(other, 2), CONFIDENCE).unwrap();
            assert!((shift.estimate - (own - other)).abs() < 0.3, "{shift:?}");
            assert_eq!(classify(shift, TOLERANCE), expect, "{shift:?}");
        }
        assert_eq!(shift(&[], &[1.0], CONFIDENCE), None);
        assert_eq!(shift(&[1.0], &[], CONFIDENCE), None);
        // The example of R's documentation of wilcox.test: the Hodges-Lehmann estimate is 0.305 there.
        let own = [0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46];
        let shift = shift(&own, &[1.15, 0.88, 0.90, 0.74, 1.21], 0.95).unwrap();
        assert!((shift.estimate - 0.305).abs() < 1e-9, "{shift:?}");
    }
}
