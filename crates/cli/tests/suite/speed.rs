//! A plan of a thousand steps is made without a thousand processes. The time itself is measured by the benches.

use std::time::{Duration, Instant};

use windlass_testkit::repo::RepoBuilder;

use crate::support::{runbook, windlass};

#[test]
fn a_thousand_steps_are_planned_at_once() {
    let repo = RepoBuilder::with_commit();
    let steps: Vec<String> =
        (0..1000).map(|number| format!("### Step {number}\n\n```sh\necho {number}\n```\n")).collect();
    runbook(&repo, "r", &steps.join("\n"));
    let start = Instant::now();
    let ran = windlass(&repo, &["plan", "r"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(ran.out.matches("$ echo").count(), 1000);
    // A thousand processes take longer than this even on a fast machine; debug builds on slow ones do not.
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}
