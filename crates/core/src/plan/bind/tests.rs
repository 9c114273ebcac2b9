//! Tests of binding: tables of runbooks against what their plan says.

use serde_json::json;

use super::*;
use crate::plan::{CommitFact, Node, ReleaseFact, Reversibility};
use crate::runbook::parse;

/// Three actions, enough to see what binding makes of any.
struct Fakes;

impl Catalogue for Fakes {
    fn knows(&self, action: &str) -> bool {
        self.names().contains(&action)
    }

    fn names(&self) -> Vec<&str> {
        vec!["git.tag", "git.push", "http.check", "http.traffic", "metrics.query", "script"]
    }

    fn complete(&self, action: &str, params: Value, facts: &Facts) -> Value {
        let mut params = if params.is_null() { json!({}) } else { params };
        if action == "git.push" && params.get("remote").is_none() {
            params["remote"] = json!(facts.remote);
        }
        params
    }

    fn accepts(&self, action: &str, params: &Value) -> Result<(), String> {
        match (action, params.get("typo")) {
            (_, Some(_)) => Err("unknown field `typo`, expected `type` or `name`".into()),
            ("http.check", _) if params.get("url").is_none() => Err("missing field `url`".into()),
            _ => Ok(()),
        }
    }

    fn effects(&self, action: &str, params: &Value, facts: &Facts) -> Result<Vec<Effect>, String> {
        Ok(match action {
            "script" if params.get("read_only") == Some(&json!(true)) => Vec::new(),
            "script" => vec![Effect::new("run", self.label(action, params, facts), Reversibility::Unknown)],
            "git.push" if facts.remote.is_none() => return Err("there is no remote to push to".into()),
            "http.check" | "http.traffic" | "metrics.query" => Vec::new(),
            _ => {
                vec![Effect::new(action, params["name"].as_str().unwrap_or("it"), Reversibility::Reversible)]
            }
        })
    }

    fn label(&self, action: &str, params: &Value, _: &Facts) -> String {
        let first =
            params["text"].as_str().and_then(|text| text.lines().find(|line| !line.trim().is_empty()));
        first.unwrap_or(action).trim().to_owned()
    }
}

fn metrics() -> BTreeMap<String, Metrics> {
    let text = r#"
        [environments.production.metrics]
        prometheus = "http://prometheus:9090"
        headers = { Authorization = "secret:TOKEN" }
        [environments.production.metrics.queries]
        error_rate = { total = "all[$window]", good = "good[$window]" }
        latency_p95 = { buckets = "buckets[$window]" }
        load = "load"
        restarts = { command = ["docker", "inspect", "web"] }
        sided = "load{$side}"
        [environments.central.metrics]
        loki = { url = "http://loki:3100", headers = { X-Scope-OrgID = "secret:TENANT" } }
        elasticsearch = { url = "http://search:9200", index = "logs-*", delay = "10s" }
        [environments.central.metrics.queries]
        errors = { from = "loki", total = "all[$window]", bad = "bad[$window]" }
        failures = { from = "elasticsearch", query = "level:error" }
        [environments.staging]
        url = "https://staging.example.com"
    "#;
    let (config, findings) = crate::config::Config::parse(text);
    assert!(findings.is_empty(), "{findings:?}");
    config.environments.into_iter().map(|(name, environment)| (name, environment.metrics)).collect()
}

fn facts() -> Facts {
    Facts {
        head: Some("c0ffee".into()),
        branch: Some("main".into()),
        remote: Some("origin".into()),
        release: Some(ReleaseFact {
            version: "1.3.0-rc.1".into(),
            tag: "v1.3.0-rc.1".into(),
            previous: Some("1.2.0".into()),
            previous_tag: Some("v1.2.0".into()),
            channel: "rc".into(),
            bump: Some("minor".into()),
            date: "2026-01-02".into(),
            commits: vec![CommitFact {
                id: "c0ffee".into(),
                subject: "feat: x".into(),
                author: "ann@example.com".into(),
                message: "feat: x".into(),
                author_name: "Ann".into(),
            }],
            ..ReleaseFact::default()
        }),
        ..Facts::default()
    }
}

fn bind_text(source: &str, called: &[(&str, &str)], inputs: &[(&str, &str)]) -> Result<Plan, Vec<String>> {
    let parsed = parse(source);
    let called: Vec<(&str, &str, Runbook)> =
        called.iter().map(|(name, source)| (*name, *source, parse(source).runbook)).collect();
    let facts = facts();
    let input = BindInput {
        document: Document { runbook: &parsed.runbook, source, path: "runbooks/r.md" },
        called: called
            .iter()
            .map(|(name, source, runbook)| {
                ((*name).to_owned(), Document { runbook, source, path: "runbooks/called.md" })
            })
            .collect(),
        facts: &facts,
        roles: [("managers".to_owned(), vec!["ann@example.com".to_owned()])].into(),
        secrets: [("TOKEN".to_owned(), SecretSource::Env("TOKEN".into()))].into(),
        environments: vec!["production".into()],
        metrics: metrics(),
        inputs: inputs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        files: BTreeMap::new(),
        every_step: false,
    };
    bind(&input, &Fakes).map_err(|findings| {
        findings
            .into_iter()
            .map(|located| {
                let place = located.diagnostic.span.map_or_else(String::new, |span| {
                    let text = if located.path == "runbooks/r.md" { source } else { "" };
                    format!(" @{}", text.get(span.start..span.end).unwrap_or("elsewhere"))
                });
                let help = located.diagnostic.help.map_or_else(String::new, |help| format!(" ({help})"));
                format!("{}: {}{help}{place}", located.diagnostic.code, located.diagnostic.message)
            })
            .collect()
    })
}

fn outline(nodes: &[Node], indent: &str, lines: &mut Vec<String>) {
    for node in nodes {
        let detail = match node {
            Node::Action(node) => {
                let deferred = if node.call.deferred { " deferred" } else { "" };
                format!("{} {:?}{deferred}: {}", node.call.action, node.policy.in_doubt, node.label)
            }
            Node::Confirm(node) => format!("confirm: {}", node.text),
            Node::Approval(node) => format!("approval: {}", node.label),
            Node::Wait(node) => node.label.clone(),
            Node::Watch(node) => {
                format!(
                    "{}: {:?}",
                    node.label,
                    node.probes.iter().map(|probe| &probe.name).collect::<Vec<_>>()
                )
            }
            Node::Call(node) => format!("call: {}", node.runbook),
            Node::Checklist(node) => {
                format!("list: {} {:?}", node.title, node.within.map(|within| within.to_string()))
            }
        };
        lines.push(format!("{indent}{} {detail}", node.path()));
        if let Node::Checklist(list) = node {
            outline(&list.nodes, &format!("{indent}  "), lines);
        }
    }
}

fn shown(steps: &[PlannedStep]) -> String {
    let mut lines = Vec::new();
    for step in steps {
        let mut line = format!("# {} {}", step.path, step.title);
        for (name, value) in [("skipped", &step.skipped), ("when", &step.when)] {
            if let Some(value) = value {
                line.push_str(&format!(" {name}: {value}"));
            }
        }
        lines.push(line);
        outline(&step.nodes, "", &mut lines);
    }
    lines.join("\n")
}

fn runbook(body: &str) -> String {
    format!("---\nname: r\ncalls: [other, third]\n---\n# R\n\n## Steps\n\n{body}\n")
}

#[test]
fn items_get_stable_names_and_policies() {
    let check = |body: &str, expect: &str| {
        let plan = bind_text(&runbook(body), &[], &[]).unwrap_or_else(|findings| panic!("{findings:#?}"));
        assert_eq!(shown(&plan.steps), expect);
    };
    check(
        "### 1. Build\n\n```sh\nmake\n```\n```sh {id=pack}\nmake pack\n```\n```sh {effects=none}\nls\n```\n\
         ```sh {probe=\"test -e x\"}\ntouch x\n```\n",
        "# build Build\nbuild/script-1 script Ask: make\nbuild/pack script Ask: make pack\n\
         build/script-3 script Rerun: ls\nbuild/script-4 script Probe: touch x",
    );
    check(
        "### Tag {{ tag }}\n\n```yaml\nuses: git.tag\nwith: { name: \"{{ tag }}\" }\n```\n```yaml\nuses: git.tag\n```\n",
        "# tag-tag Tag v1.3.0-rc.1\ntag-tag/git.tag git.tag Probe: git.tag\ntag-tag/git.tag-2 git.tag Probe: git.tag",
    );
    check(
        "### A\n\n- [ ] parent: `make check`\n  - [ ] child\n  - [x] done\n- [ ] last\n",
        "# a A\na/check-1/check-1 confirm: child\na/check-1/check-2 confirm: done\n\
         a/check-1 script Rerun: parent\na/check-2 confirm: last",
    );
    check(
        "### A\n\n**Checks (5 min)**:\n\n- [ ] one\n- [ ] two: `true`\n",
        "# a A\na/checklist-1 list: Checks Some(\"5m\")\n  a/checklist-1/check-1 confirm: one\n  \
         a/checklist-1/check-2 script Rerun: two",
    );
    check(
        "### A\n\n```yaml\nuses: approval\nwith: { role: managers, not: author }\n```\n```yaml\nuses: wait\nwith: { for: 5m }\n```\n\
         ```yaml\nuses: watch\nwith: { for: 1m, probes: [{ script: \"true\" }, { http: { url: u } }, { name: n, script: x }] }\n```\n\
         ```yaml\nuses: confirm\nwith: { text: \"{{ version }} is fine\" }\n```\n",
        "# a A\na/approval approval: approval by 1 managers\na/wait wait 5m\n\
         a/watch watch 1m, every 10s: [\"script-1\", \"http-1\", \"n\"]\na/confirm confirm: 1.3.0-rc.1 is fine",
    );
    check(
        "### A\n- When: channel == \"stable\"\n\n```sh\nx\n```\n### B\n- When: outputs.a.b == \"1\"\n\n```sh\ny\n```\n",
        "# a A skipped: channel is rc\n# b B when: outputs.a.b == \"1\"\nb/script-1 script Ask: y",
    );
    check(
        "### T\n- Matrix: python = 3.8, 3.9; os = linux/amd64\n- When: matrix.python != \"3.8\"\n\n```sh\nx\n```\n",
        "# t[python=3.8,os=linux-amd64] T skipped: matrix.python is 3.8\n\
         # t[python=3.9,os=linux-amd64] T\nt[python=3.9,os=linux-amd64]/script-1 script Ask: x",
    );
}

#[test]
fn guards_name_what_was_left_before_them() {
    let third = "---\nname: third\n---\n# T\n\n## Steps\n\n### Look\n- When: outputs.NAME.x == \"1\"\n\n```sh\nx\n```\n";
    let other = "---\nname: other\ncalls: [third]\n---\n# O\n\n## Preconditions\n\n```sh {id=ready}\nx\n```\n\n## Steps\n\n\
                 ### Pack\n\n- [ ] parent: `true`\n  - [ ] one: `true`\n  - [ ] two: `true`\n\n### Go on\n→ **workflow**: `third`\n";
    let called = "### Build\n\n```sh {id=make}\nx\n```\n### Call\n→ **workflow**: `other`\n";
    let unknown = |text: &str| text.contains("unknown-output");
    for (guarded, name, is_known) in [
        // After a call, what the called runbook left is there, its preconditions too.
        ("after", "ready", true),
        ("after", "preconditions", true),
        ("after", "pack", true),
        ("after", "['check-2']", true),
        ("after", "look", true),
        ("after", "redy", false),
        // What calls through others counts as well, but nothing that only those leave whom nobody called.
        ("third", "make", true),
        ("third", "build", true),
        ("third", "ready", true),
        ("third", "look", false),
        ("third", "nothing", false),
    ] {
        let spelt = if name.starts_with('[') { format!("outputs{name}") } else { format!("outputs.{name}") };
        let (body, third) = match guarded {
            "after" => (
                format!("{called}### End\n- When: {spelt}.x == \"1\"\n\n```sh\nx\n```\n"),
                third.replace("outputs.NAME", "outputs.make"),
            ),
            _ => (called.to_owned(), third.replace("outputs.NAME", &spelt)),
        };
        let found = bind_text(&runbook(&body), &[("other", other), ("third", &third)], &[])
            .map_or_else(|findings| findings, |_| Vec::new());
        assert_eq!(found.is_empty(), is_known, "{guarded} {name}: {found:?}");
        assert!(found.iter().all(|found| unknown(found)), "{guarded} {name}: {found:?}");
    }
}

#[test]
fn what_cannot_be_bound_is_said_at_its_place() {
    let check = |body: &str, expect: &[&str]| {
        let findings = bind_text(
            &runbook(body),
            &[(
                "other",
                "---\nname: other\ncalls: [r]\n---\n# O\n\n## Steps\n\n### A\n→ **workflow**: `r`\n",
            )],
            &[],
        )
        .map(|plan| shown(&plan.steps))
        .expect_err(body);
        assert_eq!(findings, expect, "{body}");
    };
    check(
        "### A\n\n```yaml\nuses: git.tga\n```\n",
        &["unknown-action: unknown action `git.tga` (did you mean `git.tag`?) @git.tga"],
    );
    check(
        "### A\n\n```yaml\nuses: git.tag\nwith: { typo: 1 }\n```\n",
        &["wrong-parameters: unknown field `typo`, expected `type` or `name` (did you mean `type`?) @typo"],
    );
    check(
        "### A\n\n```yaml\nuses: git.tag\nwith: { name: \"{{ versoin }}\" }\n```\n",
        &["template: there is no value `versoin` here (did you mean `version`?) @versoin"],
    );
    check(
        "### A\n- When: chanel == \"rc\"\n\n```sh\nx\n```\n",
        &["template: there is no value `chanel` here (did you mean `channel`?) @chanel"],
    );
    check(
        "### A\n\n```yaml {id=choose}\nuses: git.tag\n```\n### B\n- When: outputs.chose.way == \"x\" and outputs.a.b\n\n```sh\nx\n```\n",
        &["unknown-output: no earlier step or item is called `chose` (did you mean `choose`?) @chose"],
    );
    check(
        "### A\n- When: outputs['b-c'].d == \"1\"\n\n```sh\nx\n```\n### B {id=b-c}\n\n```sh\ny\n```\n",
        &[
            "unknown-output: no earlier step or item is called `b-c` (`b-c` comes only now or later: move this step behind it) \
           @b-c",
        ],
    );
    check(
        "### A\n\n```sh {id=make}\nx\n```\n```yaml {id=use}\nuses: git.tag\nwith: { name: \"{{ outputs.mkae.x }}\", type: \"it's {{ outputs.use.x }}\" }\n```\n",
        &[
            "unknown-output: no earlier step or item is called `mkae` (did you mean `make`?) @mkae",
            "unknown-output: no earlier step or item is called `use` (`use` comes only now or later: move this step behind it) @use",
        ],
    );
    check(
        "### A\n\n```sh {secrets=TOKN}\nx\n```\n",
        &["unknown-secret: there is no secret `TOKN` (did you mean `TOKEN`?) @TOKN"],
    );
    check(
        "### A\n\n```yaml\nuses: approval\nwith: { role: managers, count: 2 }\n```\n",
        &["impossible-gate: 2 people of `managers` are asked for, but windlass.toml puts only 1 in it \
           (add members under [roles], or ask for fewer) @managers"],
    );
    check(
        "### A\n\n```yaml\nuses: approval\nwith: { role: manager }\n```\n",
        &["unknown-role: unknown role `manager` (did you mean `managers`?) @manager"],
    );
    check(
        "### A\n\n```yaml\nuses: wait\nwith: { for: \"{{ outputs.a.b }}\" }\n```\n",
        &["deferred-here: `wait` cannot use outputs here: they are not known when it is planned @outputs"],
    );
    check(
        "### A\n\n```yaml\nuses: approval\nwith: { role: \"{{ outputs.a.b }}\" }\n```\n",
        &[
            "deferred-here: `approval` cannot use outputs here: they are not known when it is planned @outputs",
        ],
    );
    check(
        "### A\n- Lock: prodution\n\n```sh\nx\n```\n",
        &[
            "unknown-environment: `prodution` is not an environment of windlass.toml (did you mean `production`?) @prodution",
        ],
    );
    check(
        "### A\n\n```yaml\nuses: git.tag\nwith: { environment: prodution }\n```\n",
        &[
            "unknown-environment: `prodution` is not an environment of windlass.toml (did you mean `production`?) @prodution",
        ],
    );
    check(
        "### A\n\n```sh {id=x}\na\n```\n```sh {id=x}\nb\n```\n",
        &[
            "duplicate-id: the id `x` is used twice in this step, or has a `/` (give every item of a step its own id) @x",
        ],
    );
    check(
        "### A\n→ **workflow**: `other`\n",
        &[
            "call-cycle: this call never ends: r → other → r (a runbook cannot call itself, not even through others) @elsewhere",
        ],
    );
    check(
        "### A\n→ **workflow**: `third`\n",
        &["unknown-runbook: there is no runbook `third` (write it as runbooks/third.md) @third"],
    );
}

#[test]
fn inputs_are_checked_and_reach_scripts_and_templates() {
    let source = "---\nname: r\nenv: { PLACE: \"{{ inputs.where }}/{{ version }}\" }\ninputs:\n  where: { options: [eu, us] }\n  \
                  fast: { type: boolean, default: \"false\" }\n---\n# R\n\n## Steps\n\n### A\n- When: not inputs.fast\n\n```sh\nx\n```\n";
    let plan = bind_text(source, &[], &[("where", "eu")]).unwrap();
    assert_eq!(plan.environment["WINDLASS_INPUT_WHERE"], "eu");
    assert_eq!(plan.environment["WINDLASS_INPUT_FAST"], "false");
    assert_eq!(plan.environment["PLACE"], "eu/1.3.0-rc.1");
    assert_eq!(plan.environment["WINDLASS_PREVIOUS_TAG"], "v1.2.0");
    assert_eq!(plan.steps[0].skipped, None);
    let plan = bind_text(source, &[], &[("where", "us"), ("fast", "true")]).unwrap();
    assert_eq!(plan.steps[0].skipped.as_deref(), Some("inputs.fast is true"));
    let check = |inputs: &[(&str, &str)], expect: &str| {
        let findings = bind_text(source, &[], inputs).expect_err(expect);
        assert!(findings.iter().any(|finding| finding.contains(expect)), "{expect}: {findings:?}");
    };
    check(&[], "`where` has no value (give it with --input where=VALUE");
    check(&[("where", "mars")], "`mars` is not one of eu, us");
    check(&[("where", "eu"), ("fast", "maybe")], "neither true nor false");
    check(&[("where", "eu"), ("fats", "true")], "has no input `fats` (did you mean `fast`?)");
}

#[test]
fn called_runbooks_are_pinned_with_their_own_environment() {
    let other =
        "---\nname: other\nenv: { DEPTH: \"2\" }\n---\n# Other\n\n## Steps\n\n### Undo\n\n```sh\nx\n```\n";
    let plan = bind_text(
        &runbook("### A\n- On failure: [other](other.md)\n\n```sh\nx\n```\n"),
        &[("other", other)],
        &[],
    )
    .unwrap();
    assert_eq!(plan.steps[0].on_failure, OnFailure::Call("other".into()));
    let routine = &plan.routines["other"];
    assert_eq!(routine.runbook.digest, sha256_hex(other.as_bytes()));
    assert_eq!(shown(&routine.steps), "# undo-step Undo\nundo-step/script-1 script Ask: x");
    let Node::Action(node) = &routine.steps[0].nodes[0] else { panic!("a script") };
    assert_eq!(node.call.params["env"], json!({ "DEPTH": "2" }));
    assert!(!plan.environment.contains_key("DEPTH"));
}

#[test]
fn outputs_are_left_for_the_run() {
    let body = "### B\n\n```sh\nx\n```\n### A\n\n```yaml\nuses: http.check\nwith: { url: \"{{ outputs.b.url }}/{{ version }}\" }\n```\n";
    let plan = bind_text(&runbook(body), &[], &[]).unwrap();
    let Node::Action(node) = &plan.steps[1].nodes[0] else { panic!("an action") };
    assert!(node.call.deferred);
    assert_eq!(node.call.params["url"], "{{ outputs.b.url }}/1.3.0-rc.1");
}

#[test]
fn runbooks_release_what_they_write_or_name() {
    let step = |uses: &str, with: &str| format!("### A\n\n```yaml\nuses: {uses}\nwith: {{ {with} }}\n```\n");
    for (body, expect) in [
        (step("git.tag", ""), true),
        (step("git.tag", "name: v1-rollback"), false),
        (step("http.check", "url: \"https://example.com/{{ version }}\""), true),
        (step("http.check", "url: \"https://example.com/{{ versions }}\""), false),
        ("### A\n\n```sh\ndeploy \"$WINDLASS_VERSION\"\n```\n".to_owned(), true),
        // The version there is the one that is brought back.
        (step("deploy.previous", "run: 'deploy \"$WINDLASS_VERSION\"'"), false),
        (step("rollback.choose", "") + &step("deploy.script", "run: 'deploy \"$WINDLASS_TAG\"'"), false),
        (step("deploy.previous", "") + &step("version.write", ""), true),
    ] {
        let source = runbook(&body);
        assert_eq!(releases(&parse(&source).runbook, &source), expect, "{body}");
    }
}

#[test]
fn a_digest_changes_with_what_is_planned_and_with_nothing_else() {
    let source = runbook("### A\n\n```sh\nx\n```\n");
    let digest = |source: &str| bind_text(source, &[], &[]).unwrap().digest().unwrap();
    assert_eq!(digest(&source), digest(&source));
    assert_ne!(digest(&source), digest(&source.replace("x\n", "y\n")));
}

#[test]
fn document_002_is_planned_as_it_stands() {
    let source = include_str!("../../../tests/fixtures/002-release-front-matter.md");
    let rollback = "---\nname: rollback\n---\n# Rollback\n\n## Steps\n\n### Back\n\n```sh\ntrue\n```\n";
    let plan =
        bind_text(source, &[("rollback", rollback)], &[]).unwrap_or_else(|findings| panic!("{findings:#?}"));
    assert_eq!(plan.criteria.len(), 4);
    insta::assert_snapshot!(format!("{}\n\n{}", shown(&plan.steps), shown(&plan.rollback)));
}

fn watching(with: &str) -> Result<crate::plan::WatchNode, Vec<String>> {
    let text = runbook(&format!("### A\n\n```yaml\nuses: watch\nwith: {{ for: 1m, {with} }}\n```\n"));
    bind_text(&text, &[], &[]).map(|plan| match plan.steps[0].nodes[0].clone() {
        Node::Watch(node) => node,
        other => panic!("{other:?}"),
    })
}

#[test]
fn criteria_find_what_answers_for_them() {
    let node = watching(
        "environment: production, confidence: 99%, extend: 30s, criteria: [{ error_rate: '> 1%' }, \
         { latency_p95: '> 2x, at least 50ms' }, { latency_p95: '> 1s' }], traffic: { url: u }",
    )
    .unwrap();
    let metrics = node.metrics.unwrap();
    let shown: Vec<String> = metrics.rule.criteria.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["error_rate > 1%", "latency_p95 > 2x, at least 50ms", "latency_p95 > 1s"]);
    let trips: Vec<String> = metrics.rule.trips.iter().map(ToString::to_string).collect();
    assert_eq!(trips, ["error_rate > 20%", "restarts >= 3"]);
    assert!((metrics.rule.confidence - 0.99).abs() < 1e-9);
    let sources: Vec<&str> = metrics.sources.iter().map(|source| source.name.as_str()).collect();
    assert_eq!(sources, ["error_rate", "latency_p95", "restarts"]);
    assert_eq!(
        metrics.sources[0].call.params,
        json!({
            "prometheus": "http://prometheus:9090", "headers": { "Authorization": "secret:TOKEN" },
            "total": "all[$window]", "good": "good[$window]",
        })
    );
    assert_eq!(metrics.sources[2].call.params, json!({ "command": ["docker", "inspect", "web"] }));
    assert_eq!(metrics.sources[0].query, "1 - (good[$window]) / (all[$window])");
    assert!(metrics.sources[2].is_present_only && !metrics.sources[0].is_present_only);
    assert_eq!(metrics.traffic.unwrap().call.action, "http.traffic");

    for (over, expect, seconds) in [("", "24s", 29), (", over: ~", "24s", 29), (", over: 12s", "12s", 17)] {
        let with = format!(
            "environment: production, every: 30s, timeout: 5s, criteria: [{{ error_rate: '> 1%' }}], \
             traffic: {{ url: u{over} }}"
        );
        let traffic = watching(&with).unwrap().metrics.unwrap().traffic.unwrap();
        assert_eq!(traffic.call.params["over"], expect, "{over}");
        assert_eq!(traffic.timeout, crate::duration::Duration::from_secs(seconds), "{over}");
    }

    let node = watching(
        "prometheus: http://p, queries: { error_rate: 'rate{$side}' }, at_once: [], \
         baseline: { release: new, previous: old }, criteria: [{ error_rate: '> 2x' }]",
    )
    .unwrap();
    let metrics = node.metrics.unwrap();
    assert_eq!(
        metrics.rule.baseline,
        crate::verdict::Baseline::Concurrent { release: "new".into(), previous: "old".into() }
    );
    assert!(metrics.rule.trips.is_empty() && node.probes.is_empty());
}

#[test]
fn hosts_are_asked_about_the_watchs_environment() {
    let node = watching(
        "environment: production, timeout: 5s, queries: { errors: { logs: web, pattern: ERROR, share: true }, \
         restarts: { restarts: '*' } }, criteria: [{ errors: '> 1%' }]",
    )
    .unwrap();
    let sources = &node.metrics.as_ref().unwrap().sources;
    assert_eq!(
        sources[0].call.params,
        json!({ "logs": "web", "pattern": "ERROR", "share": true, "environment": "production", "patience": "4s" })
    );
    assert_eq!(sources[0].query, "lines that match ERROR in the logs of web");
    // Logs have a past; restarts are counted from the beginning.
    assert!(!sources[0].is_present_only && !sources[0].remembers);
    assert!(
        sources[1].is_present_only && sources[1].remembers,
        "the hard trip on restarts is there by itself"
    );
    assert!(node.page.is_none(), "without [notify] nobody is paged");
}

#[test]
fn central_logs_have_a_past() {
    let node = watching("environment: central, criteria: [{ errors: '> 2x' }, { failures: '> 5' }]").unwrap();
    let sources = &node.metrics.as_ref().unwrap().sources;
    assert_eq!(
        sources[0].call.params,
        json!({
            "loki": { "url": "http://loki:3100", "headers": { "X-Scope-OrgID": "secret:TENANT" }, "delay": "5s" },
            "total": "all[$window]", "bad": "bad[$window]",
        })
    );
    assert_eq!(
        sources[1].call.params,
        json!({
            "elasticsearch": {
                "url": "http://search:9200", "index": "logs-*", "time": "@timestamp", "delay": "10s",
            },
            "query": "level:error",
        })
    );
    assert_eq!(sources[1].query, "documents that match level:error");
    assert!(sources.iter().all(|source| !source.is_present_only && !source.remembers));
}

#[test]
fn what_containers_use_is_known_of_the_present_only() {
    let node = watching(
        "environment: production, queries: { cpu: { cpu: web }, ram: { memory: '*' } }, at_once: [{ ram: '> 99%' }], \
         criteria: [{ cpu: '> 80%' }]",
    )
    .unwrap();
    let sources = &node.metrics.as_ref().unwrap().sources;
    assert_eq!(
        sources[1].call.params,
        json!({ "memory": "*", "environment": "production", "patience": "8s" })
    );
    assert_eq!(sources[0].query, "CPU of the busiest container of web");
    assert!(sources.iter().all(|source| source.is_present_only && !source.remembers));
}

#[test]
fn criteria_that_nothing_answers_are_found_when_planned() {
    for (with, expect) in [
        ("", "sees nothing, and silence never passes"),
        ("criteria: [{ error_rate: '> 1%' }]", "unknown-metric: there is no query `error_rate` (add it to"),
        ("environment: prod, criteria: [{ load: '> 1' }]", "`prod` is not an environment of windlass.toml"),
        ("environment: staging, criteria: [{ load: '> 1' }]", "there is no query `load` (add it to"),
        (
            "environment: production, criteria: [{ eror_rate: '> 1%' }]",
            "there is no query `eror_rate` (did you mean `error_rate`?)",
        ),
        ("environment: production, criteria: [{ load: 'high' }]", "`high` is not a criterion"),
        ("environment: production, criteria: [{ error_rate: '> 5' }]", "gives a share of requests"),
        ("environment: production, criteria: [{ latency_p95: '> 5%' }]", "buckets hold times"),
        ("environment: production, criteria: [{ restarts: '> 2x' }]", "does not know: write baseline"),
        ("environment: production, criteria: [{ sided: '> 2' }]", "has a `$side`"),
        (
            "environment: production, baseline: { release: a, previous: b }, criteria: [{ load: '> 2x' }]",
            "its query has no `$side`",
        ),
        ("environment: production, baseline: after, criteria: [{ load: '> 2' }]", "`after` is no baseline"),
        ("environment: production, confidence: sure, criteria: [{ load: '> 2' }]", "the confidence `sure`"),
        (
            "environment: production, every: 30s, criteria: [{ load: '> 2' }], traffic: { over: 30s }",
            "`over` of `traffic` is 30s, and the next look comes after 30s",
        ),
        ("environment: production, persist: 0, criteria: [{ load: '> 2' }]", "`persist` is from 1 to 20"),
        ("environment: production, outage: 0, criteria: [{ load: '> 2' }]", "`outage` is a number of looks"),
        (
            "queries: { crashes: { restarts: web } }, criteria: [{ crashes: '> 2' }]",
            "asks the hosts of an environment, and nobody says of which (write environment",
        ),
        (
            "environment: production, queries: { bad: { logs: web, pattern: x } }, criteria: [{ bad: '> 2x' }]",
            "of one version only",
        ),
        (
            "environment: production, queries: { bad: { logs: web } }, criteria: [{ bad: '> 2' }]",
            "needs a `pattern`",
        ),
        ("environment: production, every: 1ms, criteria: [{ load: '> 2' }]", "10000 are the most"),
        ("environment: production, every: 2m, criteria: [{ load: '> 2' }]", "must be at least as long"),
        ("queries: { load: up }, criteria: [{ load: '> 2' }]", "nobody says where that is"),
        (
            "environment: production, queries: { cpu: { cpu: web } }, criteria: [{ cpu: '> 2x' }]",
            "of one version only: write a limit such as `> 80%`",
        ),
        (
            "environment: production, queries: { ram: { memory: web } }, criteria: [{ ram: '> 80' }]",
            "write `> 80%`",
        ),
        ("queries: { cpu: { cpu: web } }, criteria: [{ cpu: '> 80%' }]", "nobody says of which"),
        (
            "environment: production, queries: { e: { from: loki, query: q } }, criteria: [{ e: '> 2' }]",
            "the query `e` asks Loki, and nobody says where that is (write loki = { url",
        ),
        (
            "environment: production, queries: { e: { from: lokki, query: q } }, criteria: [{ e: '> 2' }]",
            "unknown variant `lokki`",
        ),
        (
            "environment: central, baseline: { release: a, previous: b }, criteria: [{ errors: '> 2x' }]",
            "its query has no `$side`",
        ),
        ("queries: { load: { total: up } }, criteria: [{ load: '> 2' }]", "one of `good` and `bad`"),
        ("queries: { load: { qery: up } }, criteria: [{ load: '> 2' }]", "unknown field `qery`"),
        (
            "environment: production, probes: [{ name: load, script: x }], criteria: [{ load: '> 2' }]",
            "are both named `load`",
        ),
        (
            "environment: production, at_once: [{ load: '> 2x' }], criteria: [{ load: '> 2' }]",
            "`at_once` takes no",
        ),
    ] {
        let found = watching(with).map(|node| format!("{node:?}")).expect_err(with).join("; ");
        assert!(found.contains(expect), "{with}: {found}");
    }
}
