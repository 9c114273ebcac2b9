//! Confidence bounds of a share: for one look, and for looking as often as one likes.

use std::f64::consts::PI;

/// The lower and upper Wilson bounds of a share of `bad` in `total`, each one-sided at `confidence`. For one look.
///
/// E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927) 209-212.
/// `(0, 1)`, which says nothing, without a total.
pub fn wilson(bad: f64, total: f64, confidence: f64) -> (f64, f64) {
    if total.is_nan() || total <= 0.0 {
        return (0.0, 1.0);
    }
    let z = normal_quantile(confidence);
    let share = (bad / total).clamp(0.0, 1.0);
    let squared = z * z;
    let scale = 1.0 + squared / total;
    let centre = (share + squared / (2.0 * total)) / scale;
    let half = z / scale * (share * (1.0 - share) / total + squared / (4.0 * total * total)).sqrt();
    let low = if bad <= 0.0 { 0.0 } else { (centre - half).clamp(0.0, 1.0) };
    let high = if bad >= total { 1.0 } else { (centre + half).clamp(0.0, 1.0) };
    (low, high)
}

/// Whether `bad` of `total` show that the true share is above `limit`, at level `alpha`, however often one looks.
///
/// The beta-binomial mixture of H. Robbins, "Statistical methods related to the law of the iterated logarithm", Ann.
/// Math. Statist. 41 (1970) 1397-1409, with the Beta(1/2, 1/2) weights of Krichevsky and Trofimov: the mixture's
/// likelihood over that of `limit` is a martingale whose chance of ever reaching `1/alpha` is at most `alpha`
/// (J. Ville, 1939), so a release at its limit is stopped by mistake with probability `alpha` over all looks
/// together. Bounds of this kind are surveyed in Howard, Ramdas, McAuliffe, Sekhon, "Time-uniform, nonparametric,
/// nonasymptotic confidence sequences", Ann. Statist. 49 (2021) 1055-1080, and used for counts of errors in releases
/// by Lindon and Malek, "Anytime-valid inference for multinomial count data", NeurIPS 2022.
pub fn is_above(bad: f64, total: f64, limit: f64, alpha: f64) -> bool {
    evidence(bad, total, limit) >= -alpha.ln()
}

/// The logarithm of [`is_above`]'s martingale: how much speaks for a share above `limit`; nothing when the share seen
/// is not above it.
pub fn evidence(bad: f64, total: f64, limit: f64) -> f64 {
    if total > 0.0 && bad / total > limit { log_evidence(bad, total, limit) } else { f64::NEG_INFINITY }
}

/// The interval of shares that `bad` of `total` do not rule out at level `alpha`, however often one looks: the
/// shares against which [`is_above`]'s martingale stays below `1/alpha`.
pub fn sequence(bad: f64, total: f64, alpha: f64) -> (f64, f64) {
    if total.is_nan() || total <= 0.0 {
        return (0.0, 1.0);
    }
    let share = (bad / total).clamp(0.0, 1.0);
    let is_ruled_out = |limit: f64| log_evidence(bad, total, limit) >= -alpha.ln();
    // The evidence is convex in the limit and least at the share itself, so each side has one crossing.
    let crossing = |outside: f64| {
        let (mut outside, mut inside) = (outside, share);
        for _ in 0..60 {
            let middle = f64::midpoint(outside, inside);
            if is_ruled_out(middle) { outside = middle } else { inside = middle }
        }
        outside
    };
    let low = if bad <= 0.0 { 0.0 } else { crossing(0.0) };
    let high = if bad >= total { 1.0 } else { crossing(1.0) };
    (low, high)
}

/// The part of `alpha` that the `index`-th of endlessly many tests may use, from 0, so that they use it up together.
/// Half is for the first, as most is asked of it; the rest falls with the square (the sum of 1/k² is π²/6).
pub fn share_of_level(alpha: f64, index: usize) -> f64 {
    if index == 0 {
        return alpha / 2.0;
    }
    let place = index as f64;
    alpha / 2.0 * 6.0 / (PI * PI * place * place)
}

/// How many standard errors an estimate may be off at level `alpha`, however often one looks, after `looks` looks.
///
/// The normal mixture of Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas, "Time-uniform central limit theory and
/// asymptotic confidence sequences", Ann. Statist. 52 (2024), tuned to be tightest at 20 looks. Asymptotic: it takes
/// the standard error as known.
pub fn standard_errors(looks: f64, alpha: f64) -> f64 {
    const TIGHTEST: f64 = 20.0;
    let spent = -2.0 * alpha.ln();
    let scaled = looks.max(1.0) * (spent + (spent + 1.0).ln()) / TIGHTEST;
    (2.0 * (scaled + 1.0) / scaled * ((scaled + 1.0).sqrt() / alpha).ln()).sqrt()
}

/// The number that a standard normal variable stays below with probability `share`.
///
/// P. J. Acklam's rational approximation (relative error below 1.15e-9).
pub fn normal_quantile(share: f64) -> f64 {
    const A: [f64; 6] = [
        -39.696_830_286_653_76,
        220.946_098_424_520_5,
        -275.928_510_446_968_7,
        138.357_751_867_269,
        -30.664_798_066_147_16,
        2.506_628_277_459_239,
    ];
    const B: [f64; 6] = [
        -54.476_098_798_224_06,
        161.585_836_858_040_9,
        -155.698_979_859_886_6,
        66.801_311_887_719_72,
        -13.280_681_552_885_72,
        1.0,
    ];
    const C: [f64; 6] = [
        -0.007_784_894_002_430_293,
        -0.322_396_458_041_136_5,
        -2.400_758_277_161_838,
        -2.549_732_539_343_734,
        4.374_664_141_464_968,
        2.938_163_982_698_783,
    ];
    const D: [f64; 5] = [
        0.007_784_695_709_041_462,
        0.322_467_129_070_039_8,
        2.445_134_137_142_996,
        3.754_408_661_907_416,
        1.0,
    ];
    let horner = |factors: &[f64], at: f64| factors.iter().fold(0.0, |sum, factor| sum * at + factor);
    let share = share.clamp(1e-300, 1.0 - 1e-16);
    if share < 0.024_25 {
        let q = (-2.0 * share.ln()).sqrt();
        horner(&C, q) / horner(&D, q)
    } else if share > 0.975_75 {
        let q = (-2.0 * (1.0 - share).ln()).sqrt();
        -horner(&C, q) / horner(&D, q)
    } else {
        let q = share - 0.5;
        q * horner(&A, q * q) / horner(&B, q * q)
    }
}

/// The logarithm of the mixture's likelihood over that of the share `limit`.
fn log_evidence(bad: f64, total: f64, limit: f64) -> f64 {
    let good = (total - bad).max(0.0);
    let against = |count: f64, share: f64| if count <= 0.0 { 0.0 } else { count * share.ln() };
    let mixture = ln_gamma(bad + 0.5) + ln_gamma(good + 0.5) - ln_gamma(total + 1.0) - PI.ln();
    mixture - against(bad, limit) - against(good, 1.0 - limit)
}

/// The logarithm of the gamma function for positive numbers: Lanczos's approximation, SIAM J. Numer. Anal. B 1 (1964)
/// 86-96, with g = 7 and nine terms.
fn ln_gamma(number: f64) -> f64 {
    const TERMS: [f64; 8] = [
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_572e-6,
        1.505_632_735_149_311_6e-7,
    ];
    if number < 0.5 {
        return (PI / (PI * number).sin()).ln() - ln_gamma(1.0 - number);
    }
    let number = number - 1.0;
    let base = number + 7.5;
    let sum = TERMS
        .iter()
        .zip(1..)
        .fold(0.999_999_999_999_809_9, |sum, (term, place)| sum + term / (number + f64::from(place)));
    0.5 * (2.0 * PI).ln() + (number + 0.5) * base.ln() - base + sum.ln()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::verdict::bootstrap::Random;

    #[test]
    fn one_look_at_an_error_rate_of_one_percent() {
        // The least number of errors that fails, by the number of requests.
        for (bad, total) in [(2.0, 50.0), (3.0, 100.0), (6.0, 300.0), (16.0, 1000.0), (117.0, 10_000.0)] {
            assert!(wilson(bad, total, 0.95).0 > 0.01, "{bad}/{total}");
            assert!(wilson(bad - 1.0, total, 0.95).0 <= 0.01, "one less than {bad}/{total}");
        }
        assert!(wilson(0.0, 268.0, 0.95).1 <= 0.01);
        assert!(wilson(0.0, 267.0, 0.95).1 > 0.01);
        assert_eq!(wilson(0.0, 0.0, 0.95), (0.0, 1.0));
    }

    #[test]
    fn special_functions_have_their_known_values() {
        for (share, expect) in [
            (0.5, 0.0),
            (0.95, 1.644_853_627),
            (0.975, 1.959_963_985),
            (0.01, -2.326_347_874),
            (0.999, 3.090_232_306),
        ] {
            assert!((normal_quantile(share) - expect).abs() < 1e-8, "{share}");
        }
        for (number, expect) in
            [(1.0, 0.0), (5.0, 24f64.ln()), (0.5, PI.sqrt().ln()), (171.0, 706.573_062_245_787_5)]
        {
            assert!((ln_gamma(number) - expect).abs() < 1e-9, "{number}: {}", ln_gamma(number));
        }
        let spent: f64 = (0..100_000).map(|index| share_of_level(0.05, index)).sum();
        assert!(spent <= 0.05 && spent > 0.0499, "{spent}");
    }

    #[test]
    fn looking_at_every_request_stops_a_release_at_its_limit_no_more_often_than_told() {
        let stopped = |alpha: f64, wilson_instead: bool| {
            (0..400u64)
                .filter(|seed| {
                    let mut random = Random::new(*seed);
                    let mut bad = 0.0;
                    (1..3000).any(|total| {
                        bad += f64::from(u8::from(random.share() < 0.01));
                        let total = f64::from(total);
                        if wilson_instead {
                            wilson(bad, total, 1.0 - alpha).0 > 0.01
                        } else {
                            is_above(bad, total, 0.01, alpha)
                        }
                    })
                })
                .count()
        };
        let ours = stopped(0.05, false);
        assert!(ours <= 20, "{ours} of 400 at a level of 5 %");
        // What the correction is for.
        let uncorrected = stopped(0.05, true);
        assert!(uncorrected > 100, "{uncorrected} of 400 uncorrected");
    }

    proptest! {
        #[test]
        fn bounds_hold_the_share_and_agree(total in 1.0f64..1e6, part in 0.0f64..=1.0, alpha in 0.001f64..0.3) {
            let bad = total * part;
            for (low, high) in [wilson(bad, total, 1.0 - alpha), sequence(bad, total, alpha)] {
                prop_assert!(0.0 <= low && low <= part + 1e-9 && part <= high + 1e-9 && high <= 1.0, "{low} {part} {high}");
            }
            let (low, _) = sequence(bad, total, alpha);
            if low > 1e-6 && low < part - 1e-9 {
                prop_assert!(is_above(bad, total, low * 0.999, alpha));
                prop_assert!(!is_above(bad, total, (low * 1.001).min(part), alpha));
            }
        }
    }
}
