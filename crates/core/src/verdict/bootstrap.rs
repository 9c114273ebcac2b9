//! The bootstrap: how far a ratio of two quantiles may be off, found by drawing looks again.

use super::Reading;
use super::reading::Histogram;

/// How often looks are drawn again.
pub const REPLICAS: usize = 500;

/// More looks than this are joined with their neighbours first.
const MOST_LOOKS: usize = 400;

/// A small generator of numbers that look random: SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom
/// number generators", OOPSLA 2014). The core draws nothing by itself: the seed is an argument.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The sequence that begins at `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to below 1.
    pub fn share(&mut self) -> f64 {
        (self.draw() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        // The bias of a 64-bit product is far below what any sample shows.
        usize::try_from((u128::from(self.draw()) * end as u128) >> 64).unwrap_or(0)
    }
}

/// A ratio and how far it may be off.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ratio {
    /// The release's number.
    pub release: f64,
    /// The baseline's number.
    pub baseline: f64,
    /// The one by the other.
    pub estimate: f64,
    /// The lower bound of the ratio, one-sided, for one look.
    pub low: f64,
    /// The upper bound of the ratio, one-sided, for one look.
    pub high: f64,
    /// The standard error of the ratio's logarithm.
    pub error: f64,
}

/// The ratio of the release's number to the baseline's: of the `quantile` of all requests where looks are
/// histograms, of the median look where they are numbers. Nothing when either side has no looks or is not above zero.
///
/// B. Efron, "Bootstrap methods: another look at the jackknife", Ann. Statist. 7 (1979) 1-26; percentile bounds.
/// Whole looks are drawn, not requests, because requests of one moment are alike (a cluster bootstrap: Davison and
/// Hinkley, "Bootstrap Methods and their Application", 1997, 3.8).
pub fn ratio(
    release: &[Reading],
    baseline: &[Reading],
    quantile: f64,
    confidence: f64,
    seed: u64,
) -> Option<Ratio> {
    let sides = [Side::new(release, quantile)?, Side::new(baseline, quantile)?];
    let mut random = Random::new(seed);
    let [own, other] = [sides[0].whole()?, sides[1].whole()?];
    let estimate = divide(own, other)?;
    let mut drawn: Vec<f64> = (0..REPLICAS)
        .filter_map(|_| divide(sides[0].draw(&mut random)?, sides[1].draw(&mut random)?))
        .collect();
    if drawn.len() < REPLICAS / 2 {
        return None;
    }
    drawn.sort_by(f64::total_cmp);
    let mean = drawn.iter().map(|ratio| ratio.ln()).sum::<f64>() / drawn.len() as f64;
    let spread: f64 = drawn.iter().map(|ratio| (ratio.ln() - mean).powi(2)).sum();
    let at = |share: f64| {
        let place = ((drawn.len() - 1) as f64 * share).round();
        drawn.get(place as usize).copied().unwrap_or(estimate)
    };
    let looks = sides[0].len().min(sides[1].len()) as f64;
    // Drawing n looks again shows a variance that is too small by (n - 1) / n.
    let error = (spread / (drawn.len() - 1).max(1) as f64 * looks / (looks - 1.0).max(1.0)).sqrt();
    let (low, high) = (at(1.0 - confidence).min(estimate), at(confidence).max(estimate));
    Some(Ratio { release: own, baseline: other, estimate, low, high, error })
}

/// The release's or the baseline's number alone, as [`ratio`] takes it.
pub fn point(looks: &[Reading], quantile: f64) -> Option<f64> {
    Side::new(looks, quantile)?.whole()
}

/// The median; nothing of nothing.
pub fn median(numbers: &[f64]) -> Option<f64> {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = *sorted.get((sorted.len() - 1) / 2)?;
    Some(f64::midpoint(lower, upper))
}

fn divide(own: f64, other: f64) -> Option<f64> {
    (own > 0.0 && other > 0.0).then(|| own / other).filter(|ratio| ratio.is_finite())
}

/// One side's looks.
enum Side {
    Numbers(Vec<f64>),
    Histograms(Vec<Histogram>, f64),
}

impl Side {
    fn new(looks: &[Reading], quantile: f64) -> Option<Self> {
        let join = looks.len().div_ceil(MOST_LOOKS).max(1);
        let histograms: Vec<&Histogram> = looks
            .iter()
            .filter_map(|look| match look {
                Reading::Buckets(histogram) if histogram.total() > 0.0 => Some(histogram),
                _ => None,
            })
            .collect();
        let side = if histograms.is_empty() {
            let numbers: Vec<f64> = looks.iter().filter_map(|look| look.value(quantile)).collect();
            Self::Numbers(numbers.chunks(join).filter_map(median).collect())
        } else {
            let merged = histograms.chunks(join).map(|chunk| {
                let mut whole = Histogram::default();
                // Other bounds than those of the first look cannot be added to them.
                for look in chunk {
                    let _ = whole.add(look);
                }
                whole
            });
            let merged: Vec<Histogram> = merged.collect();
            let bounds = merged.first()?.bounds.clone();
            Self::Histograms(merged.into_iter().filter(|look| look.bounds == bounds).collect(), quantile)
        };
        (side.len() > 0).then_some(side)
    }

    fn len(&self) -> usize {
        match self {
            Self::Numbers(numbers) => numbers.len(),
            Self::Histograms(histograms, _) => histograms.len(),
        }
    }

    fn whole(&self) -> Option<f64> {
        match self {
            Self::Numbers(numbers) => median(numbers),
            Self::Histograms(histograms, quantile) => merged(histograms.iter(), *quantile),
        }
    }

    fn draw(&self, random: &mut Random) -> Option<f64> {
        let end = self.len();
        match self {
            Self::Numbers(numbers) => {
                let drawn: Vec<f64> =
                    (0..end).filter_map(|_| numbers.get(random.below(end)).copied()).collect();
                median(&drawn)
            }
            Self::Histograms(histograms, quantile) => {
                let drawn = (0..end).filter_map(|_| histograms.get(random.below(end)));
                merged(drawn, *quantile)
            }
        }
    }
}

fn merged<'a>(looks: impl Iterator<Item = &'a Histogram>, quantile: f64) -> Option<f64> {
    let mut whole = Histogram::default();
    for look in looks {
        let _ = whole.add(look);
    }
    whole.quantile(quantile)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(count: usize, scale: f64, seed: u64) -> Vec<Reading> {
        let mut random = Random::new(seed);
        (0..count).map(|_| Reading::Number(scale * (0.8 + 0.4 * random.share()))).collect()
    }

    fn histograms(count: usize, scale: f64, seed: u64) -> Vec<Reading> {
        let mut random = Random::new(seed);
        let bounds = vec![0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];
        (0..count)
            .map(|_| {
                let mut counts = vec![0.0; bounds.len() + 1];
                for _ in 0..200 {
                    // An exponential distribution: its p95 is three times its mean.
                    let time = -scale * (1.0 - random.share()).ln();
                    let place = bounds.iter().position(|bound| time <= *bound).unwrap_or(bounds.len());
                    counts[place] += 1.0;
                }
                Reading::Buckets(Histogram { bounds: bounds.clone(), counts })
            })
            .collect()
    }

    #[test]
    fn the_bounds_hold_the_true_ratio_about_as_often_as_told() {
        for make in [looks, histograms] {
            let below = (0..200)
                .filter(|seed| {
                    let (own, other) = (make(30, 0.1, seed * 2), make(30, 0.05, seed * 2 + 1));
                    let ratio = ratio(&own, &other, 0.95, 0.95, *seed).unwrap();
                    assert!((ratio.estimate - 2.0).abs() < 0.5, "{ratio:?}");
                    assert!(ratio.low <= ratio.estimate && ratio.estimate <= ratio.high);
                    ratio.low > 2.0
                })
                .count();
            assert!(below <= 30, "{below} of 200 one-sided bounds at 95 % missed");
        }
        let (own, other) = (looks(20, 1.0, 1), looks(20, 1.0, 2));
        assert_eq!(ratio(&own, &other, 0.95, 0.95, 7), ratio(&own, &other, 0.95, 0.95, 7));
    }

    #[test]
    fn nothing_cannot_be_divided() {
        let some = looks(5, 1.0, 1);
        for (own, other) in [
            (Vec::new(), some.clone()),
            (some.clone(), Vec::new()),
            (some.clone(), vec![Reading::Number(0.0); 5]),
            (some.clone(), vec![Reading::Rate { bad: 0.0, total: 0.0 }; 5]),
        ] {
            assert_eq!(ratio(&own, &other, 0.95, 0.95, 1), None);
        }
    }
}
