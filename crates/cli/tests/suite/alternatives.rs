//! Where teams work differently: what starts a deployment, which tool does it, and in which order it is tagged, tried and
//! approved. Each way is a runbook; the tools of others are stand-ins.

use std::os::unix::fs::PermissionsExt as _;

use windlass_testkit::repo::RepoBuilder;

use crate::support::{expect, runbook, windlass, windlass_with};

/// A repository with the release 1.2.0 and a feature since.
fn released() -> RepoBuilder {
    let repo = RepoBuilder::with_commit();
    repo.tag("v1.2.0");
    repo.file("sails", "").commit("feat: hoist sails");
    repo
}

/// A runbook that finds the programs of `path`, and takes the version from whoever runs it.
fn tooled(repo: &RepoBuilder, path: &str, steps: &str) {
    let front =
        format!("name: deploy\nenv: {{ PATH: \"{path}\" }}\ninputs:\n  version: {{ type: version }}\n");
    repo.file("runbooks/deploy.md", format!("---\n{front}---\n# Deploy\n\n## Steps\n\n{steps}"));
    repo.commit("docs: a runbook");
}

/// Puts programs in front of the others; gives the `PATH` that has them.
fn tools(repo: &RepoBuilder, programs: &[(&str, &str)]) -> String {
    let folder = repo.outside().join("tools");
    std::fs::create_dir_all(&folder).unwrap();
    for (name, text) in programs {
        let file = folder.join(name);
        std::fs::write(&file, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    format!("{}:{}", folder.display(), std::env::var("PATH").unwrap())
}

fn said(repo: &RepoBuilder, file: &str) -> String {
    std::fs::read_to_string(repo.outside().join(file)).unwrap_or_default()
}

#[test]
fn kubectl_deploys_and_takes_back() {
    let repo = released();
    repo.file("windlass.toml", "[environments.production]\n");
    // It keeps revisions as the real one does: going back makes the one before the newest one.
    let revisions = repo.outside().join("revisions");
    let kubectl = format!(
        "revisions='{}'\ncase \"$1 $2\" in\n'set image') test ! -e refuse && [ \"$(tail -n 1 $revisions)\" = \"${{4#app=}}\" ] \
         || {{ test ! -e refuse && echo \"${{4#app=}}\" >>$revisions; }} ;;\n'rollout undo') tail -n 2 $revisions | head -n 1 \
         >>$revisions ;;\nget*) tail -n 1 $revisions ;;\nesac",
        revisions.display()
    );
    std::fs::write(&revisions, "").unwrap();
    let path = tools(&repo, &[("kubectl", &kubectl)]);
    let deploy = "### Deploy\n\n```yaml\nuses: deploy.script\nwith:\n  environment: production\n  version: \"{{ \
                  inputs.version }}\"\n  tag: \"v{{ inputs.version }}\"\n  run: kubectl set image deployment/app \
                  app=\"myapp:$WINDLASS_TAG\"\n  undo: |\n    [ \"$(kubectl get deployment/app)\" != \"myapp:$WINDLASS_TAG\" ] \
                  || kubectl rollout undo deployment/app\n```\n";
    tooled(&repo, &path, deploy);
    let with = |args: &[&str]| windlass_with(&repo, args, &[("PATH", &path)]);
    expect(&with(&["run", "deploy", "--input", "version=1.2.0"]), 0, &["succeeded"]);
    expect(&with(&["run", "deploy", "--input", "version=1.3.0"]), 0, &["succeeded"]);
    expect(&with(&["env"]), 0, &["production  1.3.0"]);
    expect(&with(&["rollback", "--yes"]), 6, &["back to 1.2.0"]);
    expect(&with(&["env"]), 0, &["production  1.2.0"]);
    // One that fails is taken back in the same way, at once.
    repo.file("refuse", "");
    expect(&with(&["run", "deploy", "--input", "version=1.4.0"]), 1, &["the deployment was given up"]);
    expect(&with(&["env"]), 0, &["production  1.2.0"]);
    // What never came is not taken back: that would have brought 1.3.0 again.
    assert_eq!(said(&repo, "revisions"), "myapp:v1.2.0\nmyapp:v1.3.0\nmyapp:v1.2.0\n");
}

#[test]
fn a_pipeline_elsewhere_is_started_and_confirmed_three_times() {
    let repo = released();
    let log = repo.outside().join("gh.log");
    let gh = format!(
        "echo \"$*\" >>'{}'\ncase \"$*\" in *'--job build'*) test ! -e broken ;; *--json*) echo '[{{\"id\":7}}]' ;; esac",
        log.display()
    );
    let path = tools(&repo, &[("gh", &gh)]);
    let steps = "### Start\n\n```sh {in-doubt=rerun}\ngh workflow run deploy-prod.yml --ref \"v$WINDLASS_INPUT_VERSION\"\n```\n\n\
                 - [ ] Pipeline launched: `gh run list --workflow deploy-prod.yml --json id`\n- [ ] Build succeeded: `gh run view 7 \
                 --job build --exit-status`\n- [ ] Tests pass\n";
    tooled(&repo, &path, steps);
    let with = |args: &[&str]| windlass_with(&repo, args, &[("PATH", &path)]);
    repo.file("broken", "");
    expect(
        &with(&["run", "deploy", "--input", "version=1.3.0"]),
        1,
        &["✓ Pipeline launched", "✗", "Build succeeded"],
    );
    std::fs::remove_file(repo.path().join("broken")).unwrap();
    expect(&with(&["retry"]), 4, &["✓ Build succeeded", "Tests pass"]);
    let item = with(&["status", "--json"]).json()["gates"][0]["path"].as_str().unwrap().to_owned();
    expect(&with(&["confirm", &item]), 0, &[]);
    expect(&with(&["resume"]), 0, &["succeeded"]);
    let asked = said(&repo, "gh.log");
    assert_eq!(asked.matches("workflow run deploy-prod.yml --ref v1.3.0").count(), 1, "{asked}");
}

#[test]
fn a_push_to_main_brings_staging_up_to_date() {
    let repo = released();
    repo.file("windlass.toml", "[environments.staging]\n");
    repo.file("deploy.sh", "echo \"$WINDLASS_VERSION\" >>live\n");
    let steps = "### Staging\n- Lock: staging\n\n```yaml\nuses: deploy.script\nwith: { environment: staging, version: \"{{ commit }}\", \
                 tag: \"{{ commit }}\", run: sh deploy.sh }\n```\n";
    runbook(&repo, "staging", steps);
    // As the guide shows it: whoever receives the push checks it out and runs the runbook.
    let remote = repo.outside().join("remote.git");
    let site = repo.outside().join("site");
    repo.git(&["clone", "--quiet", "--bare", ".", &remote.display().to_string()]);
    repo.git(&["clone", "--quiet", &remote.display().to_string(), &site.display().to_string()]);
    repo.git(&["remote", "add", "origin", &remote.display().to_string()]);
    let hook = format!(
        "#!/bin/sh\nset -eu\nwhile read -r _ new ref; do\n  [ \"$ref\" = refs/heads/main ] || continue\n  unset GIT_DIR\n  cd '{}'\n  \
         git fetch --quiet\n  git checkout --quiet --detach \"$new\"\n  WINDLASS_PERSON=ci '{}' run staging >&2\ndone\n",
        site.display(),
        env!("CARGO_BIN_EXE_windlass")
    );
    std::fs::write(remote.join("hooks/post-receive"), hook).unwrap();
    std::fs::set_permissions(remote.join("hooks/post-receive"), std::fs::Permissions::from_mode(0o755))
        .unwrap();
    let live = || std::fs::read_to_string(site.join("live")).unwrap_or_default();
    let mut pushed = Vec::new();
    for text in ["one", "two"] {
        repo.file("sails", text).commit("feat: more");
        repo.git(&["push", "--quiet", "origin", "HEAD:main"]);
        pushed.push(repo.git(&["rev-parse", "HEAD"]).trim().to_owned());
        assert_eq!(live().lines().collect::<Vec<_>>(), pushed);
    }
    // Another branch brings nothing there.
    repo.git(&["push", "--quiet", "origin", "HEAD:topic"]);
    assert_eq!(live().lines().count(), 2);
}

const PRODUCTION: &str = "### Production\n- Lock: production\n\n```yaml\nuses: deploy.script\nwith: { environment: production, run: \
                          \"true\" }\n```\n\n";
const STAGING: &str = "### Staging\n- Lock: staging\n\n```yaml\nuses: deploy.script\nwith: { environment: staging, run: \"true\" }\n```\n\n";
const TAG: &str = "### Tag\n\n```yaml\nuses: git.tag\n```\n\n";

#[test]
fn production_comes_by_itself_after_an_approval_or_not_at_all() {
    let approval = "### Approve\n\n```yaml\nuses: approval\nwith: { role: qa }\n```\n\n";
    let draft = "### Draft\n\n```yaml\nuses: notes.write\nwith: { output: draft.md }\n```\n\n";
    for (steps, code) in [
        (format!("{TAG}{PRODUCTION}"), 0),
        (format!("{TAG}{approval}{PRODUCTION}"), 4),
        (format!("{TAG}{draft}"), 0),
    ] {
        let repo = released();
        repo.file(
            "windlass.toml",
            "[roles]\nqa = [\"ada@example.com\"]\n[environments.production]\nchannels = [\"stable\"]\n",
        );
        runbook(&repo, "release", &steps);
        let is_live = || windlass(&repo, &["env"]).out.contains("production  1.3.0");
        expect(&windlass(&repo, &["run"]), code, &[]);
        assert_eq!(is_live(), code == 0 && steps.contains("Production"), "{steps}");
        if code == 4 {
            expect(&windlass(&repo, &["approve", "--as", "ada@example.com"]), 0, &[]);
            expect(&windlass(&repo, &["resume"]), 0, &[]);
            assert!(is_live());
        }
        assert_eq!(repo.path().join("draft.md").exists(), steps.contains("draft"), "{steps}");
    }
    // Whatever a runbook says, a candidate does not get there.
    let repo = released();
    repo.file("windlass.toml", "[environments.production]\nchannels = [\"stable\"]\n");
    runbook(&repo, "release", &format!("{TAG}{PRODUCTION}"));
    let ran = windlass(&repo, &["run", "--channel", "rc"]);
    assert_ne!(ran.code, 0);
    assert!(ran.err.contains("production takes stable versions only, and 1.3.0-rc.1 is rc"), "{}", ran.err);
}

#[test]
fn staging_comes_before_the_tag_or_after_it_but_before_production() {
    for (steps, is_good) in [
        (format!("{STAGING}{TAG}{PRODUCTION}"), true),
        (format!("{TAG}{STAGING}{PRODUCTION}"), true),
        (format!("{TAG}{PRODUCTION}"), false),
        (format!("{TAG}{PRODUCTION}{STAGING}"), false),
    ] {
        let repo = released();
        repo.file(
            "windlass.toml",
            "[environments.staging]\n[environments.production]\nafter = [\"staging\"]\n",
        );
        runbook(&repo, "release", &steps);
        let ran = windlass(&repo, &["run"]);
        assert_eq!(ran.code == 0, is_good, "{steps}: {}", ran.err);
        let env = windlass(&repo, &["env"]).out;
        assert_eq!(env.contains("production  1.3.0"), is_good, "{steps}: {env}");
    }
}
