//! What belongs to going back beside the deployment: people who are paged, told and asked in an order, a tag that marks it,
//! a record of it, and the release that corrects it.

use windlass_testkit::repo::RepoBuilder;

use crate::support::{expect, runbook, windlass, windlass_with};

const CONFIGURATION: &str = "[notify]\npage = [{ command = [\"sh\", \"page.sh\"] }]\n[environments.staging]\nmonitoring = \
                             \"non-critical\"\n[environments.production]\nmonitoring = \"critical\"\n";

/// A repository with the release 1.2.0 and a feature since.
fn released() -> RepoBuilder {
    let repo = RepoBuilder::with_commit();
    repo.tag("v1.2.0");
    repo.file("sails", "").commit("feat: hoist sails");
    repo
}

/// A repository whose pages end up in the file `pages`.
fn paging() -> RepoBuilder {
    let repo = released();
    repo.file("page.sh", "cat >>pages; echo >>pages\n").file("windlass.toml", CONFIGURATION);
    repo
}

/// Kind and message of each page.
fn pages(repo: &RepoBuilder) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(repo.path().join("pages")).unwrap_or_default();
    let page = |line: &str| {
        let page: serde_json::Value = serde_json::from_str(line).unwrap();
        let part = |key: &str| page[key].as_str().unwrap().to_owned();
        (part("kind"), part("message"))
    };
    text.lines().map(page).collect()
}

fn deploys(environment: &str, run: &str, version: &str) -> String {
    format!(
        "### Deploy\n\n```yaml\nuses: deploy.script\nwith: {{ environment: {environment}, version: {version}, tag: v{version}, \
         run: \"{run}\" }}\n```\n\n"
    )
}

#[test]
fn people_are_paged_where_much_depends_on_what_failed() {
    let repo = paging();
    runbook(&repo, "staging", &deploys("staging", "exit 3", "1.3.0"));
    runbook(&repo, "production", &deploys("production", "test -e good", "1.3.0"));
    let watch = "### Watch\n- Lock: production\n- On failure: [back](back.md)\n\n```yaml\nuses: watch\nwith: { for: 1s, every: 1s, probes: \
                 [{ name: errors, script: \"echo 5 %; exit 1\" }] }\n```\n";
    repo.file(
        "runbooks/watch.md",
        format!("---\nname: watch\ncalls: [back]\n---\n# Watch\n\n## Steps\n\n{watch}"),
    );
    runbook(&repo, "back", "### Redeploy\n\n```sh {effects=none}\ntrue\n```\n");

    expect(&windlass(&repo, &["run", "staging"]), 1, &["exit code 3"]);
    assert_eq!(pages(&repo), [], "nobody is called for staging");
    // A deployment that failed, and again when it is tried again: another occasion.
    expect(
        &windlass(&repo, &["run", "production"]),
        1,
        &["✉ paged through sh: Deploy failed in production: "],
    );
    expect(&windlass(&repo, &["resume", "production"]), 1, &[]);
    assert_eq!(pages(&repo).len(), 1, "once: {:?}", pages(&repo));
    expect(&windlass(&repo, &["retry", "production"]), 1, &[]);
    let told = pages(&repo);
    assert_eq!(told.len(), 2, "{told:?}");
    let (kind, message) = &told[1];
    assert!(kind == "page" && message.contains("exit code 1"), "{told:?}");
    assert!(message.ends_with("nothing is done about it: a person must look"), "{told:?}");
    // Errors after the release, which are answered.
    expect(&windlass(&repo, &["run", "watch"]), 6, &["rolled back"]);
    let told = pages(&repo).split_off(2);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[0].0 == "page" && told[0].1.starts_with("Watch failed in watch: the watch failed: errors"),
        "{told:?}"
    );
    assert!(told[0].1.ends_with("`back` is run in answer to it"), "{told:?}");
    assert_eq!(told[1], ("resolved".into(), "Watch failed in watch, and `back` was run to its end".into()));
    // A scan that finds something leads to a runbook that calls people.
    let scan =
        "### Scan\n- On failure: [alarm](alarm.md)\n\n```sh {effects=none}\necho CVE-2026-1; exit 1\n```\n";
    repo.file(
        "runbooks/scan.md",
        format!("---\nname: scan\ncalls: [alarm]\n---\n# Scan\n\n## Steps\n\n{scan}"),
    );
    runbook(
        &repo,
        "alarm",
        "### Call\n\n```yaml\nuses: notify.page\nwith: { message: a vulnerability was found }\n```\n",
    );
    expect(&windlass(&repo, &["run", "scan"]), 6, &[]);
    assert_eq!(pages(&repo).last().unwrap().1, "a vulnerability was found");
}

#[test]
fn a_page_that_kills_us_is_the_same_page_again() {
    let repo = paging();
    // The pager has it, and nobody hears that it has: not even the journal.
    repo.file(
        "page.sh",
        "cat >>pages; echo >>pages\ntest -e killed || { touch killed; kill -9 $PPID; while kill -0 $PPID 2>/dev/null; do :; done; }\n",
    );
    runbook(&repo, "production", &deploys("production", "test -e good", "1.3.0"));
    let killed = repo.command(env!("CARGO_BIN_EXE_windlass")).args(["run", "production"]).output().unwrap();
    assert_eq!(killed.status.code(), None, "{}", String::from_utf8_lossy(&killed.stderr));
    assert_eq!(pages(&repo).len(), 1);
    expect(&windlass(&repo, &["resume"]), 1, &["✉ paged through sh: Deploy failed in production: "]);
    expect(&windlass(&repo, &["resume"]), 1, &[]);
    let text = std::fs::read_to_string(repo.path().join("pages")).unwrap();
    let ids: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["id"].clone())
        .collect();
    assert!(ids.len() == 2 && ids[0] == ids[1], "{ids:?}");
}

#[test]
fn what_is_critical_is_planned_with_somebody_to_call() {
    let repo = paging();
    runbook(&repo, "production", &deploys("production", "true", "1.3.0"));
    for args in [&["check"][..], &["plan", "production"]] {
        let ran = windlass(&repo, args);
        assert!(ran.code == 0 && !ran.err.contains("critical"), "{}", ran.err);
    }
    // Nobody to call.
    repo.file("windlass.toml", "[environments.production]\nmonitoring = \"critical\"\n")
        .commit("chore: nobody");
    for args in [&["check"][..], &["plan", "production"]] {
        expect(
            &windlass(&repo, args),
            0,
            &["`production` is critical, and nothing says how people are paged", "windlass.toml:2:14"],
        );
    }
    // Somebody, and not the key.
    let page = "[notify]\npage = [{ pagerduty = \"secret:PAGER\" }]\n[environments.production]\nmonitoring = \"critical\"\n";
    repo.file("windlass.toml", page).commit("chore: somebody");
    expect(
        &windlass(&repo, &["run", "production"]),
        2,
        &["people could not be paged: the secret `PAGER` is not configured"],
    );
    repo.file("windlass.toml", format!("{page}[secrets]\nPAGER = {{ env = \"PAGER_KEY\" }}\n"))
        .commit("chore: a key");
    expect(
        &windlass(&repo, &["run", "production"]),
        2,
        &["people could not be paged: the secret `PAGER` has no value: set the variable PAGER_KEY"],
    );
    let ran = windlass_with(&repo, &["run", "production"], &[("PAGER_KEY", "0123456789abcdef")]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
}

/// The runbook of a way back: who is told in which order, what marks it, and what is written down.
const BACK: &str = "---
name: rollback
inputs:
  fixed_in: { type: string, default: the next patch }
  expected: { type: string, default: tomorrow }
---
# Back

## Steps

### Choose
```yaml {id=choose}
uses: rollback.choose
with: { environment: production }
```

### Tell the team
```yaml
uses: notify.page
with: { message: \"Do not upgrade to {{ outputs.choose.from }}: go back to {{ outputs.choose.to }}. It is corrected in {{ inputs.fixed_in }}, expected {{ inputs.expected }}.\" }
```

### Go back
- Lock: production
- When: outputs.choose.way == \"application\"

```yaml
uses: deploy.previous
with: { environment: production, version: \"{{ outputs.choose.to }}\", run: 'sh deploy.sh \"$WINDLASS_VERSION\"' }
```

### Mark it
```yaml
uses: git.tag
with: { name: \"v{{ outputs.choose.to }}-rollback\", target: \"v{{ outputs.choose.to }}\", message: \"Back from {{ outputs.choose.from }}\" }
```
```yaml
uses: git.push
with: { refs: [\"v{{ outputs.choose.to }}-rollback\"] }
```

### Write it down
```sh {in-doubt=rerun}
mkdir -p docs/post-mortems
file=docs/post-mortems/$(date -u +%F)-back-from-$WINDLASS_OUTPUT_CHOOSE_FROM.md
printf '# Back from %s to %s\\n\\n%s\\n' \"$WINDLASS_OUTPUT_CHOOSE_FROM\" \"$WINDLASS_OUTPUT_CHOOSE_TO\" \"$WINDLASS_OUTPUT_CHOOSE_WHY\" >\"$file\"
```

### Tell the others
**Management (1 h)**:

- [ ] Management has an e-mail

**Users (2 h)**:

- [ ] The status page says so: `touch status-page`

**Post-mortem (24 h)**:

- [ ] The post-mortem is planned
";

#[test]
fn a_way_back_is_told_in_order_marked_and_written_down() {
    let repo = paging();
    repo.remote();
    repo.file("deploy.sh", "echo \"$WINDLASS_VERSION\" >>live\n");
    for version in ["1.2.0", "1.3.0"] {
        runbook(&repo, &format!("deploy-{version}"), &deploys("production", "sh deploy.sh", version));
    }
    repo.file("runbooks/rollback.md", BACK).commit("docs: back");
    expect(&windlass(&repo, &["run", "deploy-1.2.0"]), 0, &[]);
    repo.tag("v1.3.0");
    expect(&windlass(&repo, &["run", "deploy-1.3.0"]), 0, &[]);
    // What receives the push deploys what the tag says.
    let hook = repo.remote_path().join("hooks/post-receive");
    let triggered = repo.outside().join("triggered");
    std::fs::write(
        &hook,
        format!("#!/bin/sh\nwhile read -r _ _ ref; do echo \"$ref\" >>'{}'; done\n", triggered.display()),
    )
    .unwrap();
    std::fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();

    // What was committed since is no part of it.
    repo.commit("feat: more");
    let ran = windlass(&repo, &["run", "rollback"]);
    expect(&ran, 4, &["waits for anyone: Management has an e-mail", "until "]);
    let live = std::fs::read_to_string(repo.path().join("live")).unwrap();
    assert_eq!(live, "1.2.0\n1.3.0\n1.2.0\n");
    let told: Vec<String> = pages(&repo).into_iter().map(|(_, message)| message).collect();
    let notice =
        "Do not upgrade to 1.3.0: go back to 1.2.0. It is corrected in the next patch, expected tomorrow.";
    assert_eq!(told, [notice]);
    // The tag is of the version that is there again, and no version is counted from it.
    let commit = |name: &str| repo.git(&["rev-parse", &format!("{name}^{{commit}}")]);
    assert_eq!(commit("v1.2.0-rollback"), commit("v1.2.0"));
    assert_eq!(std::fs::read_to_string(&triggered).unwrap(), "refs/tags/v1.2.0-rollback\n");
    repo.git(&["tag", "v1.3.1-rollback"]);
    expect(&windlass(&repo, &["next"]), 0, &["1.4.0\n"]);
    let mut files = std::fs::read_dir(repo.path().join("docs/post-mortems")).unwrap();
    let file = files.next().unwrap().unwrap().path();
    assert!(file.to_string_lossy().ends_with("-back-from-1.3.0.md"), "{file:?}");
    let written = std::fs::read_to_string(file).unwrap();
    assert!(
        written.starts_with("# Back from 1.3.0 to 1.2.0\n\nnothing was migrated since 1.2.0"),
        "{written}"
    );

    // One after the other, each in its time.
    let mut boxes = Vec::new();
    loop {
        let status = windlass(&repo, &["status", "--json"]).json();
        let Some(gate) = status["gates"].get(0).cloned() else { break };
        let at = |key: &str| gate[key].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        let hours = at("deadline").duration_since(at("opened")).as_secs_f64() / 3600.0;
        boxes.push((gate["question"].as_str().unwrap().to_owned(), hours.round()));
        let users_know = repo.path().join("status-page").exists();
        assert_eq!(users_know, boxes.len() > 1, "users hear of it after the management");
        expect(&windlass(&repo, &["confirm", gate["path"].as_str().unwrap()]), 0, &[]);
        windlass(&repo, &["resume"]);
    }
    assert_eq!(
        boxes,
        [("Management has an e-mail".to_owned(), 1.0), ("The post-mortem is planned".to_owned(), 24.0)]
    );
    expect(&windlass(&repo, &["status"]), 0, &["succeeded"]);
}

#[test]
fn the_correction_is_the_next_patch_from_the_good_tag() {
    let repo = released();
    repo.tag("v1.3.0");
    repo.file("windlass.toml", "[version]\nwithdrawn = [\"1.3.0\"]\n").commit("chore: 1.3.0 is withdrawn");
    // Where the bad release is in the way, its number is passed over.
    repo.commit("fix: a leak");
    expect(&windlass(&repo, &["next"]), 0, &["1.3.1\n"]);
    // From the last good tag, without what was bad.
    repo.git(&["switch", "--quiet", "--create", "hotfix/1.3.1", "v1.2.0"]);
    repo.file("windlass.toml", "[version]\nwithdrawn = [\"1.3.0\"]\n").commit("fix: the same leak");
    expect(&windlass(&repo, &["next", "--version", "1.3.1"]), 0, &["1.3.1\n"]);
    expect(&windlass(&repo, &["next", "--hotfix"]), 0, &["1.2.1\n"]);
    let ran = windlass(&repo, &["next", "--version", "1.3.0"]);
    assert_ne!(ran.code, 0, "a number that was given away is not given again: {}", ran.out);
}
