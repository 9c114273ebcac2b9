//! How the demo ended: read from the service, the remote and the journal, and held against how it should.

use serde::Serialize;

use super::production::Production;
use super::sample::Sample;
use super::service::LEDGER;
use super::shell::Shell;
use crate::error::Result;

/// What the demo left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ending {
    /// What `/health` said.
    pub health: String,
    /// The status of `/checkout`.
    pub checkout: u16,
    /// The tags on the remote.
    pub tags: Vec<String>,
    /// How the runs ended, oldest first.
    pub runs: Vec<String>,
    /// The versions that went live, oldest first.
    pub deployed: Vec<String>,
}

impl Ending {
    /// Looks.
    ///
    /// # Errors
    /// When something cannot be asked.
    pub fn read(sample: &Sample, production: &Production, shell: &Shell) -> Result<Self> {
        let (_, health) = production.get("/health").unwrap_or_else(|error| (0, error.to_string()));
        let checkout = production.get("/checkout").map_or(0, |(status, _)| status);
        Ok(Self {
            health,
            checkout,
            tags: sample.remote_tags()?,
            runs: statuses(&shell.ask(&["runs", "--all"])?),
            deployed: deployed(sample),
        })
    }

    /// How it should be.
    pub fn expected(colours: bool) -> Self {
        let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        Self {
            health: r#"{"status":"healthy","version":"0.2.0"}"#.into(),
            checkout: 200,
            tags: texts(&["v0.1.0", "v0.2.0", "v0.3.0"]),
            runs: texts(&["succeeded", "rolled-back"]),
            deployed: match colours {
                // The way back deploys nothing: the version before still runs.
                true => texts(&["0.1.0", "0.2.0", "0.3.0"]),
                false => texts(&["0.1.0", "0.2.0", "0.3.0", "0.2.0"]),
            },
        }
    }

    /// What differs from how it should be, a sentence each.
    pub fn differences(&self, colours: bool) -> Vec<String> {
        let expected = Self::expected(colours);
        let list = |texts: &[String]| if texts.is_empty() { "none".into() } else { texts.join(", ") };
        [
            ("/health", self.health.clone(), expected.health),
            ("the status of /checkout", self.checkout.to_string(), expected.checkout.to_string()),
            ("the tags on the remote", list(&self.tags), list(&expected.tags)),
            ("the runs", list(&self.runs), list(&expected.runs)),
            ("the deployments", list(&self.deployed), list(&expected.deployed)),
        ]
        .into_iter()
        .filter(|(_, is, should)| is != should)
        .map(|(what, is, should)| format!("{what}: {is}, and not {should}"))
        .collect()
    }
}

/// The statuses of `windlass runs --json`, oldest first.
fn statuses(told: &serde_json::Value) -> Vec<String> {
    let runs = told["runs"].as_array().map(Vec::as_slice).unwrap_or_default();
    runs.iter().rev().map(|run| run["status"].as_str().unwrap_or("unknown").to_owned()).collect()
}

/// The versions in the service's ledger, or in those of both colours.
fn deployed(sample: &Sample) -> Vec<String> {
    let places = if sample.colours { &["blue", "green"][..] } else { &[""] };
    let read =
        |place: &&str| std::fs::read_to_string(sample.service.join(place).join(LEDGER)).unwrap_or_default();
    let text: String = places.iter().map(read).collect();
    let mut lines: Vec<&str> = text.lines().collect();
    // Each begins with its moment.
    lines.sort_unstable();
    lines.into_iter().filter_map(|line| line.split_once(' ')).map(|(_, version)| version.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_expected_ending_has_no_differences() {
        for colours in [false, true] {
            assert_eq!(Ending::expected(colours).differences(colours), Vec::<String>::new());
        }
        let other = Ending { tags: vec!["v0.1.0".into()], runs: Vec::new(), ..Ending::expected(false) };
        assert_eq!(
            other.differences(false),
            [
                "the tags on the remote: v0.1.0, and not v0.1.0, v0.2.0, v0.3.0",
                "the runs: none, and not succeeded, rolled-back"
            ]
        );
    }
}
