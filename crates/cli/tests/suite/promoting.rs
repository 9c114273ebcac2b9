//! A version from a candidate on staging to production, and what is refused on the way.

use windlass_testkit::repo::RepoBuilder;

use crate::support::{expect, runbook, windlass};

const CONFIGURATION: &str =
    "[environments.staging]\n[environments.production]\nafter = [\"staging\"]\nchannels = [\"stable\"]\n";

/// Tags the version, deploys it to staging, and to production when it is stable.
const RELEASE: &str = "### Tag\n\n```yaml\nuses: git.tag\n```\n### Staging\n\n```yaml\nuses: deploy.script\nwith: { environment: staging, \
                       run: 'echo \"$WINDLASS_VERSION\" >>../staging' }\n```\n### Production\n- When: channel == \"stable\"\n\n```yaml\nuses: \
                       deploy.script\nwith: { environment: production, run: 'echo \"$WINDLASS_VERSION\" >>../production' }\n```\n";

#[test]
fn a_candidate_is_tried_on_staging_and_only_what_passed_there_comes_to_production() {
    let repo = RepoBuilder::with_commit();
    repo.remote();
    repo.tag("v1.0.0");
    repo.file("windlass.toml", CONFIGURATION);
    runbook(&repo, "release", RELEASE);
    for (name, version) in [("candidate", "1.1.0-rc.1"), ("untried", "1.1.1"), ("tried", "1.1.0")] {
        let to_production = format!(
            "### Production\n\n```yaml\nuses: deploy.script\nwith: {{ environment: production, version: {version}, tag: v{version}, \
             run: 'echo again >>../production' }}\n```\n"
        );
        runbook(&repo, name, &to_production);
    }
    repo.commit("feat: add sails");
    let has = |environment: &str| {
        let path = repo.path().parent().unwrap().join(environment);
        std::fs::read_to_string(path).unwrap_or_default()
    };

    expect(&windlass(&repo, &["run", "release", "--channel", "rc"]), 0, &["1.1.0-rc.1"]);
    assert_eq!((has("staging").as_str(), has("production").as_str()), ("1.1.0-rc.1\n", ""));
    // Neither a candidate nor what staging never had, whoever asks for it.
    let refusal = "production takes stable versions only, and 1.1.0-rc.1 is rc";
    expect(&windlass(&repo, &["run", "candidate"]), 2, &[refusal]);
    let refusal = "1.1.1 may not come to production yet: it was not deployed to staging, where 1.1.0-rc.1 is";
    expect(&windlass(&repo, &["run", "untried"]), 2, &[refusal]);
    assert_eq!(has("production"), "");

    repo.commit("fix: mend the sails");
    expect(&windlass(&repo, &["run", "release", "--channel", "stable"]), 0, &["1.1.0"]);
    assert_eq!(has("staging"), "1.1.0-rc.1\n1.1.0\n");
    assert_eq!(has("production"), "1.1.0\n");
    expect(&windlass(&repo, &["run", "tried"]), 0, &[]);
    assert_eq!(has("production"), "1.1.0\nagain\n");
}
