//! The verdict of a watch, from its samples. Silence never passes.
//!
//! A watch looks at probes, which are good or bad ([`probes`]), and at metrics, which are measured and held against
//! criteria ([`judge`]). What is concluded from how many samples is in [`bounds`], [`bootstrap`] and
//! [`mann_whitney`]; each formula names its source.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::Duration;

pub mod bootstrap;
pub mod bounds;
mod criterion;
pub mod judge;
pub mod mann_whitney;
pub mod probes;
mod reading;
pub mod replay;
#[cfg(test)]
mod tests;
pub mod words;

pub use criterion::{Comparison, Criterion, Limit, NotACriterion};
pub use judge::{Baseline, Judge, MetricRule, Moment, metrics};
pub use probes::{failed_early, judge};
pub use reading::{Answer, Histogram, NotAReading, Point, Reading};

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

/// What one probe or query saw at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sample {
    /// The probe or the query.
    pub probe: String,
    /// What it saw.
    pub seen: Seen,
    /// In a few words.
    pub detail: String,
    /// What it measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reading: Option<Reading>,
    /// The end of the interval it measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// It measured what the release is compared with.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub baseline: bool,
}

impl Sample {
    /// A sample of a probe.
    pub fn of_probe(probe: impl Into<String>, seen: Seen, detail: impl Into<String>) -> Self {
        let (probe, detail) = (probe.into(), detail.into());
        Self { probe, seen, detail, reading: None, at: None, baseline: false }
    }
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
    /// A number. Whether it is good is for the criteria to say, over all samples.
    Measured,
}

/// The verdict, the worst last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Verdict {
    /// Watched long enough, and good.
    Pass,
    /// Watched, but not enough to say.
    Inconclusive,
    /// Nothing was seen at all.
    NoData,
    /// Bad.
    Fail,
}

impl Verdict {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "Pass",
            Self::Inconclusive => "Inconclusive",
            Self::NoData => "NoData",
            Self::Fail => "Fail",
        }
    }
}

/// The verdict and why, in a sentence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// Why.
    pub why: String,
    /// What each criterion came to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub criteria: Vec<Finding>,
}

impl Judgement {
    /// A verdict that no criterion was asked for.
    pub fn new(verdict: Verdict, why: impl Into<String>) -> Self {
        Self { verdict, why: why.into(), criteria: Vec::new() }
    }
}

/// What one criterion came to, and from what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// The query's name.
    pub metric: String,
    /// The criterion as written, such as `> 1%`.
    pub criterion: String,
    /// The verdict.
    pub verdict: Verdict,
    /// Why, in a sentence.
    pub why: String,
    /// What was asked of the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// How many looks gave a number.
    pub looks: u64,
    /// How many requests were counted, where the query counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<f64>,
    /// What was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimate: Option<f64>,
    /// The lower confidence bound of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low: Option<f64>,
    /// The upper confidence bound of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
    /// What it was held against, in the same unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
    /// What the release was compared with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<f64>,
}

/// The verdict on everything that was watched: the worst one counts, so that what sees nothing is not outvoted by
/// what sees good.
pub fn combine(parts: Vec<Judgement>) -> Judgement {
    let criteria: Vec<Finding> = parts.iter().flat_map(|part| part.criteria.clone()).collect();
    let Some(verdict) = parts.iter().map(|part| part.verdict).max() else {
        return Judgement::new(Verdict::NoData, "nothing was watched");
    };
    let why: Vec<String> =
        parts.into_iter().filter(|part| part.verdict == verdict).map(|part| part.why).collect();
    Judgement { verdict, why: why.join("; "), criteria }
}

/// Where the bootstrap of a watch begins: the same at every look and in every replay of it (FNV-1a of its name).
pub fn seed(path: &str) -> u64 {
    path.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
