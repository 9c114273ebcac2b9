//! Marks of releases on dashboards: planned, set, left alone when the board is away, and taken back.

use windlass_testkit::grafana::{GrafanaEmulator, Trouble};
use windlass_testkit::repo::RepoBuilder;

use crate::support::{Ran, runbook, windlass, windlass_with};

const TOKEN: &str = "glsa_0123456789abcdef";

fn repo(grafana: &GrafanaEmulator, fails: bool) -> RepoBuilder {
    let repo = RepoBuilder::with_commit();
    repo.tag("v1.2.0");
    repo.file("sails", "").commit("feat: hoist sails");
    repo.file(
        "windlass.toml",
        "[environments.production]\n[secrets]\ngrafana = { env = \"GRAFANA_TOKEN\" }\n",
    );
    let last = if fails { "### Look\n\n```sh {effects=none}\nexit 1\n```\n" } else { "" };
    let steps = format!(
        "### Tag\n\n```yaml\nuses: git.tag\n```\n\n### Mark\n\n```yaml\nuses: grafana.annotate\nwith:\n  url: {}\n  \
         token: grafana\n  service: shop\n  environment: production\n```\n\n{last}",
        grafana.url()
    );
    runbook(&repo, "release", &steps);
    repo
}

fn expect(repo: &RepoBuilder, args: &[&str], code: u8, texts: &[&str]) -> Ran {
    let ran = windlass_with(repo, args, &[("GRAFANA_TOKEN", TOKEN)]);
    let all = format!("{}{}", ran.out, ran.err);
    assert_eq!(ran.code, code, "{all}");
    assert!(!all.contains(TOKEN), "{all}");
    for text in texts {
        assert!(all.contains(text), "no `{text}` in:\n{all}");
    }
    ran
}

#[test]
fn a_release_is_marked_and_its_mark_taken_back() {
    let grafana = GrafanaEmulator::start(TOKEN);
    let somebodys = grafana.add(&["windlass", "production"]);
    let repo = repo(&grafana, true);
    expect(&repo, &["plan"], 0, &["mark \"shop 1.3.0 in production\" on 127.0.0.1"]);
    expect(&repo, &["run"], 1, &[]);
    let made = grafana.annotations().pop().unwrap();
    assert_eq!(made["text"], "shop 1.3.0 in production");
    assert!(made["timeEnd"].as_i64() > made["time"].as_i64(), "from the run's beginning: {made}");
    expect(&repo, &["rollback"], 6, &["deleted the mark 2 on 127.0.0.1"]);
    let left = grafana.annotations();
    assert!(left.len() == 1 && left[0]["id"] == somebodys, "{left:?}");
}

#[test]
fn a_board_that_is_away_is_no_failure() {
    let grafana = GrafanaEmulator::start(TOKEN);
    let away = repo(&grafana, false);
    // Not even its secret is there: that is told before anything begins.
    let ran = windlass(&away, &["run"]);
    assert_eq!(ran.code, 2, "{}{}", ran.out, ran.err);
    assert!(ran.err.contains("no mark could be set: the secret `grafana` has no value"), "{}", ran.err);
    grafana.trouble(Trouble::Answer(403));
    expect(&away, &["run"], 0, &["does not let us set the mark (403)", "succeeded"]);
    expect(&away, &["status"], 0, &["does not let us set the mark (403)"]);
    assert!(grafana.annotations().is_empty());

    // And it keeps nothing else from being taken back.
    let grafana = GrafanaEmulator::start(TOKEN);
    let back = repo(&grafana, true);
    expect(&back, &["run"], 1, &[]);
    grafana.trouble(Trouble::Answer(403));
    expect(&back, &["rollback"], 6, &["it could not be taken back", "does not let us delete the mark (403)"]);
    assert_eq!(grafana.annotations().len(), 1);
    assert!(
        !back.try_git(&["rev-parse", "--verify", "--quiet", "v1.3.0"]).status.success(),
        "the tag is gone"
    );
}
