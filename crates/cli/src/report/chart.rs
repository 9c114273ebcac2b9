//! A watch's metrics as small charts: one line for each metric, and what each criterion came to.

use windlass_core::plan::{MetricWatch, WatchNode};
use windlass_core::text::sanitize_line;
use windlass_core::verdict::words::Unit;
use windlass_core::verdict::{Criterion, Finding, Judgement, Limit, Sample, Verdict};

use super::Paint;
use super::picture::{Line, Tone};

/// How many columns a chart has.
const WIDTH: usize = 40;
const STEPS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// A look that gave nothing.
const GAP: char = '·';

/// The values of a metric, look by look; nothing where a look gave none.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    values: Vec<Option<f64>>,
    unit: Unit,
    limit: Option<f64>,
    is_above: bool,
}

impl Chart {
    /// The release's side of the criterion's metric; nothing when it was never asked for.
    pub fn of(criterion: &Criterion, samples: &[Sample], baseline: Option<f64>) -> Option<Self> {
        let own = samples.iter().filter(|sample| sample.probe == criterion.metric && !sample.baseline);
        let own: Vec<&Sample> = own.collect();
        let first = own.iter().find_map(|sample| sample.reading.as_ref());
        let quantile = criterion.quantile();
        let values: Vec<Option<f64>> =
            own.iter().map(|sample| sample.reading.as_ref()?.value(quantile)).collect();
        let limit = match criterion.limit {
            Limit::Number(limit) | Limit::Share(limit) | Limit::Seconds(limit) => Some(limit),
            Limit::Times(times) => baseline.map(|baseline| baseline * times),
        };
        let unit = Unit::of(first, &criterion.metric).against(criterion.limit);
        let is_above = criterion.comparison.is_above();
        (!values.is_empty()).then_some(Self { values, unit, limit, is_above })
    }

    /// The chart: a column for each look or for several, the worst of them; scaled from zero to the highest value or
    /// the limit.
    pub fn bars(&self) -> Vec<(bool, char)> {
        let known = self.values.iter().flatten().copied();
        let top = known.chain(self.limit).fold(0.0_f64, f64::max);
        let join = self.values.len().div_ceil(WIDTH).max(1);
        let worst = |looks: &[Option<f64>]| {
            let looks = looks.iter().flatten().copied();
            if self.is_above { looks.reduce(f64::max) } else { looks.reduce(f64::min) }
        };
        self.values
            .chunks(join)
            .map(|looks| match worst(looks) {
                None => (false, GAP),
                Some(value) => {
                    let height = if top > 0.0 { (value / top).clamp(0.0, 1.0) } else { 0.0 };
                    let step = (height * (STEPS.len() - 1) as f64).round() as usize;
                    (self.is_bad(value), STEPS.get(step).copied().unwrap_or(GAP))
                }
            })
            .collect()
    }

    /// The newest value.
    pub fn last(&self) -> Option<String> {
        self.values.iter().rev().find_map(|value| *value).map(|value| self.unit.shown(value))
    }

    /// What is written behind the chart.
    pub fn words(&self) -> String {
        let last = self.last().map_or_else(|| "no data".into(), |last| format!("{last} now"));
        match self.limit {
            Some(limit) => format!("{last}, limit {}", self.unit.shown(limit)),
            None => last,
        }
    }

    fn is_bad(&self, value: f64) -> bool {
        self.limit.is_some_and(|limit| if self.is_above { value > limit } else { value < limit })
    }
}

/// The charts of a watch that goes on.
pub fn live(watch: &MetricWatch, samples: &[Sample]) -> Vec<Line> {
    let mut lines = Vec::new();
    for criterion in &watch.rule.criteria {
        let Some(chart) = Chart::of(criterion, samples, before(criterion, samples)) else { continue };
        let mut line = Line::of(Tone::Plain, format!("  {} ", sanitize_line(&criterion.metric)));
        for (bad, bar) in chart.bars() {
            line = line.with(if bad { Tone::Bad } else { Tone::Plain }, bar);
        }
        lines.push(line.with(Tone::Dim, format!(" {}", sanitize_line(&chart.words()))));
    }
    lines
}

/// The charts of a watch and what each criterion came to, as lines.
pub fn lines(
    node: &WatchNode,
    samples: &[Sample],
    judgement: Option<&Judgement>,
    paint: Paint,
) -> Vec<String> {
    let Some(watch) = &node.metrics else { return Vec::new() };
    let mut lines = Vec::new();
    let findings = judgement.map(|judgement| judgement.criteria.as_slice()).unwrap_or_default();
    for criterion in watch.rule.trips.iter().chain(&watch.rule.criteria) {
        let found = findings
            .iter()
            .find(|found| found.metric == criterion.metric && found.criterion == criterion.text);
        let is_trip = watch.rule.trips.contains(criterion);
        if is_trip && found.is_none() {
            continue;
        }
        lines.extend(criterion_lines(criterion, samples, found, paint));
    }
    lines
}

fn criterion_lines(
    criterion: &Criterion,
    samples: &[Sample],
    found: Option<&Finding>,
    paint: Paint,
) -> Vec<String> {
    let title = sanitize_line(&criterion.to_string());
    let mark = match found.map(|found| found.verdict) {
        None => paint.dim("·"),
        Some(Verdict::Pass) => paint.good("✓"),
        Some(Verdict::Fail) => paint.bad("✗"),
        Some(Verdict::Inconclusive | Verdict::NoData) => paint.warn("?"),
    };
    let baseline = found.and_then(|found| found.baseline).or_else(|| before(criterion, samples));
    let chart = Chart::of(criterion, samples, baseline);
    let drawn: String = chart
        .iter()
        .flat_map(Chart::bars)
        .map(|(bad, bar)| if bad { paint.bad(&bar.to_string()) } else { bar.to_string() })
        .collect();
    let words = chart.map(|chart| chart.words()).unwrap_or_default();
    let mut lines = vec![format!("  {mark} {title}  {drawn} {}", paint.dim(&sanitize_line(&words)))];
    if let Some(found) = found {
        lines.push(format!("      {}", sanitize_line(&found.why)));
        let query =
            found.query.as_deref().map(|query| sanitize_line(query).chars().take(200).collect::<String>());
        lines.extend(query.map(|query| format!("      {}", paint.dim(&format!("asked: {query}")))));
    }
    lines
}

/// What the metric was on the side it is compared with, as far as it is known yet.
fn before(criterion: &Criterion, samples: &[Sample]) -> Option<f64> {
    let side = samples.iter().filter(|sample| sample.probe == criterion.metric && sample.baseline);
    let values: Vec<f64> =
        side.filter_map(|sample| sample.reading.as_ref()?.value(criterion.quantile())).collect();
    windlass_core::verdict::bootstrap::median(&values)
}

#[cfg(test)]
mod tests {
    use windlass_core::verdict::{Reading, Seen};

    use super::*;

    #[test]
    fn a_chart_shows_the_worst_of_the_looks_it_joins_and_gaps_as_gaps() {
        let sample = |value: Option<f64>| Sample {
            reading: value.map(Reading::Number),
            ..Sample::of_probe("m", Seen::Measured, "")
        };
        let check = |text: &str, values: &[Option<f64>], expect: &str, words: &str| {
            let samples: Vec<Sample> = values.iter().map(|value| sample(*value)).collect();
            let chart = Chart::of(&Criterion::parse("m", text).unwrap(), &samples, Some(1.0)).unwrap();
            let drawn: String = chart.bars().iter().map(|(_, bar)| bar).collect();
            assert_eq!((drawn.as_str(), chart.words().as_str()), (expect, words), "{values:?}");
        };
        check("> 7", &[Some(0.0), Some(1.0), None, Some(7.0)], "▁▂·█", "7 now, limit 7");
        check("> 7", &[Some(14.0), Some(7.0), Some(0.0)], "█▅▁", "0 now, limit 7");
        check("> 2x", &[Some(1.0)], "▅", "1 now, limit 2");
        check("> 0", &[Some(0.0), None], "▁·", "0 now, limit 0");
        check("> 80%", &[Some(0.4), Some(0.825)], "▄█", "82.5 % now, limit 80 %");
        check("> 1", &[None], "·", "no data, limit 1");
        let mut many = vec![Some(0.0); 400];
        many[205] = Some(1.0);
        check("> 1", &many, &format!("{}█{}", "▁".repeat(20), "▁".repeat(19)), "0 now, limit 1");
        assert!(Chart::of(&Criterion::parse("other", "> 1").unwrap(), &[sample(Some(1.0))], None).is_none());
    }
}
