//! Every kind of mistake in a runbook: its code, its exact place, and the advice that goes with it.

use std::collections::BTreeMap;

use windlass_core::diagnostic::{Diagnostic, Severity, line_and_column};
use windlass_core::runbook::{Item, OnFailure, Runbook, World, parse, validate};

/// `line:column code |the text pointed at| help`, one per finding.
fn shown(source: &str, findings: &[Diagnostic]) -> Vec<String> {
    findings
        .iter()
        .map(|finding| {
            let span = finding.span.unwrap_or_default();
            let (line, column) = line_and_column(source, span.start);
            let help = finding.help.as_deref().filter(|help| help.starts_with("did you")).unwrap_or_default();
            format!("{line}:{column} {} |{}| {help}", finding.code, &source[span.start..span.end])
                .trim_end()
                .to_owned()
        })
        .collect()
}

fn check(source: &str, expect: &[&str]) -> Runbook {
    let parsed = parse(source);
    assert_eq!(shown(source, &parsed.diagnostics), expect, "{source}\n{:#?}", parsed.diagnostics);
    parsed.runbook
}

/// `body` under the heading of a step; its first line is line 3.
fn check_step(body: &str, expect: &[&str]) -> Runbook {
    check(&format!("## Steps\n### One\n{body}"), expect)
}

const STEP: &str = "## Steps\n### One\n- [ ] a\n";

#[test]
fn front_matter() {
    let with = |yaml: &str, expect: &[&str]| check(&format!("---\n{yaml}\n---\n{STEP}"), expect);
    with("name: a", &[]);
    with("nam: a", &["2:1 unknown-key |nam| did you mean `name`?"]);
    with(
        "name: [a]\nskills: git\nroles: [1]",
        &["2:7 wrong-type |[|", "3:9 wrong-type |git|", "4:9 wrong-type |1|"],
    );
    with("name: a b", &["2:7 bad-name |a b|"]);
    with("name: &x a", &["2:10 bad-yaml |a|"]);
    with("name: *x", &["2:7 bad-yaml |*x|"]);
    with("name: \"a", &["2:7 bad-yaml |\"a|"]);
    with("env: { A: 1, B-C: x }", &["2:14 bad-name |B-C|"]);
    with(
        "inputs:\n  level: { type: strng, default: x }\n  n: { type: integer, default: x }\n  o: { options: [a, b], defalt: a }\n  p: { options: [minor, patch], default: pach }",
        &[
            "3:18 wrong-type |strng| did you mean `string`?",
            "4:32 bad-default |x|",
            "5:25 unknown-key |defalt| did you mean `default`?",
            "6:42 bad-default |pach| did you mean `patch`?",
        ],
    );
    check("---\nname: a\n## Steps\n### One\n→ **workflow**: `x`\n", &["1:1 unclosed-front-matter |---|"]);
    let runbook = with(
        "inputs: { dry: true, count: 3, level: patch, when: 1.10 }\nenv:\n  A: 1.10\nskills:\n  - git",
        &[],
    );
    assert_eq!(runbook.inputs["when"].default.as_deref(), Some("1.10"));
    assert_eq!(runbook.inputs["dry"].default.as_deref(), Some("true"));
    assert_eq!(runbook.env["A"], "1.10");
    assert_eq!(runbook.skills.unwrap()[0].value, "git");
}

#[test]
fn yaml_bombs_are_refused() {
    let bomb = "a: &a [x,x,x,x]\nb: &b [*a,*a,*a,*a]\nc: [*b,*b,*b,*b]";
    let deep = format!("name: {}", "[".repeat(100_000));
    let deep_blocks: String = (0..1000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    let wide = format!("triggers: [{}]", "a,".repeat(100_000));
    for yaml in [bomb, &deep, &deep_blocks, &wide] {
        let parsed = parse(&format!("---\n{yaml}\n---\n{STEP}"));
        let codes: Vec<_> = parsed.diagnostics.iter().map(|finding| finding.code.as_str()).collect();
        assert_eq!(codes, ["bad-yaml"]);
        let parsed = parse(&format!("{STEP}```yaml\nuses: a.b\nwith:\n  x: 1\n{yaml}\n```\n"));
        assert!(
            parsed.diagnostics.iter().any(|finding| finding.code == "bad-yaml"),
            "{:?}",
            parsed.diagnostics
        );
    }
}

#[test]
fn settings() {
    let runbook = check_step(
        "- Owner: a or b c\n- Si : channel == \"stable\"\n- **Délai**: 5 min\n- Verrou: production\n- En cas d’échec : stop\n- Parallel: g\n- Matrix: python = 3.8, 3.9; os = linux\n- Outputs: x, y\n\n- [ ] check\n- note: this\n",
        &[],
    );
    let settings = &runbook.steps[0].settings;
    let owner = settings.owner.as_ref().unwrap();
    assert_eq!((owner.names.clone(), owner.all), (vec!["a".to_owned(), "b c".to_owned()], false));
    assert_eq!(settings.when.as_ref().unwrap().value, "channel == \"stable\"");
    assert_eq!(settings.within.unwrap().to_string(), "5m");
    assert_eq!(settings.lock.as_deref(), Some("production"));
    assert_eq!(settings.on_failure.as_ref().unwrap().value, OnFailure::Stop);
    assert_eq!(settings.matrix[0], ("python".to_owned(), vec!["3.8".to_owned(), "3.9".to_owned()]));
    assert_eq!(settings.outputs, ["x", "y"]);
    assert_eq!(runbook.steps[0].items.len(), 1);

    check_step(
        "- Ownr: a\n- Within: soon\n",
        &["3:3 unknown-setting |Ownr| did you mean `Owner`?", "4:11 bad-setting |soon|"],
    );
    check_step("- Priority: high\n- Owner: a\n", &["3:3 unknown-setting |Priority|"]);
    check_step("- Owner: a\n- Owner: b\n", &["4:3 duplicate-setting |Owner|"]);
    check_step(
        "- Owner: a or b + c\n- On failure: give up\n- Matrix: x\n- Lock:\n- prose\n",
        &[
            "3:10 bad-setting |a or b + c|",
            "4:15 bad-setting |give up|",
            "5:11 bad-setting |x|",
            "6:3 bad-setting |Lock|",
            "7:1 bad-setting |- prose|",
        ],
    );
    check_step("- Lister les commits : git log\n- Lock: x\n", &[]);
    check_step("- Trigger : push\n- Output : E2E status\n", &[]);
    check_step("- When: channel ==\n", &["3:9 bad-setting |channel ==|"]);
    check_step("- Then: restart\n- Note: careful\n", &[]);
    check_step("Prose.\n\n- Owner: a\n", &["5:1 misplaced-setting |- Owner: a|"]);
    check_step("- On failure: [back](ops/rollback.md)\n", &["3:26 undeclared-call |rollback|"]);
    let source = format!("---\nroles: [devops, tech-lead]\n---\n{STEP}")
        .replace("- [ ] a", "- Owner: `devop` + Corentin");
    check(&source, &["6:11 unknown-role |devop| did you mean `devops`?", "6:20 unknown-role |Corentin|"]);
}

#[test]
fn steps_and_ids() {
    let runbook = check(
        "## Étapes\n### 12) Créer le Tag\n### Deploy {id=go}\n### Deploy\n### {{ version }} out\n#### detail\n",
        &[],
    );
    let steps: Vec<_> =
        runbook.steps.iter().map(|step| (step.id.as_str(), step.number, step.title.as_str())).collect();
    assert_eq!(
        steps,
        [
            ("creer-le-tag", Some(12), "Créer le Tag"),
            ("go", None, "Deploy"),
            ("deploy", None, "Deploy"),
            ("version-out", None, "{{ version }} out"),
        ]
    );
    let parsed = parse("## Steps\n### Build\n### 2. Build\n");
    assert_eq!(parsed.diagnostics[0].message, "step `build` has the id of the step on line 2");
    check("## Steps\n### Build\n### 2. Build\n", &["3:1 duplicate-id |### 2. Build|"]);
    check("## Steps\n### B {idd=x}\n", &["2:8 unknown-attribute |idd|"]);
    check("## Steps\n### B {id=\"x y\"}\n", &["2:11 bad-attribute |\"x y\"|"]);
    check("# Release\nText.\n", &["1:1 no-steps |# Release|"]);
    check("## Steps\nText.\n", &["1:1 no-steps |## Steps|"]);
    check("## Steps\n```sh\nmake\n```\n### One\n", &["3:1 outside-step |make|"]);
    let runbook = check("# Rollback\n## Steps\n- [ ] ready\n### One\n", &[]);
    assert_eq!(
        (runbook.title.as_str(), runbook.steps.len(), runbook.preconditions.len()),
        ("Rollback", 1, 1)
    );
    let runbook = check("# Steps\n## One\n# Rollback\n- [ ] a\n", &[]);
    assert_eq!((runbook.steps.len(), runbook.counts().items), (1, 1));
}

#[test]
fn scripts() {
    let runbook = check_step(
        "```Bash{id=build retry=2 timeout=10m env=\"A=b,C=d e\" secrets=\"T,U\" in-doubt=rerun probe='test -f \"x\"' undo=\"rm x\" effects=none optional}\nmake\n```\n```py {run=false}\nx\n```\n```console\n$ make\n```\n```sh title=x\nmake\n```\n",
        &[],
    );
    let Item::Script(script) = &runbook.steps[0].items[0] else { panic!() };
    assert_eq!(script.attributes.probe.as_deref(), Some("test -f \"x\""));
    assert_eq!(script.attributes.env["C"], "d e");
    assert_eq!(script.attributes.secrets, ["T", "U"]);
    assert!(script.attributes.read_only && script.attributes.optional);
    assert_eq!(runbook.counts().scripts, 2);
    check_step(
        "```sh {idd=x retry=lots}\n```\n",
        &["3:8 unknown-attribute |idd| did you mean `id`?", "3:20 bad-attribute |lots|"],
    );
    check_step("```sh {id=\"x timeout=5}\n```\n", &["3:11 bad-attribute |\"x timeout=5|"]);
    check_step("```sh title=x run=false\nx\n```\n", &["3:15 bad-attribute |run=false|"]);
    check_step("```sh {id=x\n```\n", &["3:7 bad-attribute |{id=x|"]);
    check_step(
        "```sh {id=x id=y effects=some in-doubt=maybe run=no env=A secrets=1}\n```\n",
        &[
            "3:13 bad-attribute |id|",
            "3:26 bad-attribute |some|",
            "3:40 bad-attribute |maybe|",
            "3:50 bad-attribute |no|",
            "3:57 bad-attribute |A|",
            "3:67 bad-attribute |1|",
        ],
    );
    check_step("```sh {id=x}\n```\n```sh {id=x}\n```\n", &["5:11 duplicate-id |x|"]);
    check_step("text\n```sh\nmake\n", &["4:1 unclosed-fence |```sh|"]);
    check_step("<!-- later\n### Two\n", &["3:1 unclosed-comment |<!-- later|"]);
    check_step("<!-- later -->\n", &[]);
    check("Intro\n\n1. a\n   ```sh\n   x\n\n## Steps\n### One\n", &["4:4 unclosed-fence |```sh|"]);
}

#[test]
fn actions() {
    let runbook = check_step(
        "```yaml {id=t optional}\n# why\nuses: git.tag\nwith: { message: \"v{{ version }}\", sign: true, n: 1 }\n```\n",
        &[],
    );
    let Item::Action(action) = &runbook.steps[0].items[0] else { panic!() };
    assert_eq!(action.uses.value, "git.tag");
    assert_eq!(action.with, serde_json::json!({ "message": "v{{ version }}", "sign": true, "n": 1 }));
    check_step("```yaml\nuses: git.tag\nwiht: {}\n```\n", &["5:1 unknown-key |wiht| did you mean `with`?"]);
    check_step("```yaml\nuses: 3\nwith: [a]\n```\n", &["4:1 wrong-type |uses|", "5:7 wrong-type |[|"]);
    check_step("```yaml {env=\"A=b\"}\nuses: a.b\n```\n", &["3:10 unknown-attribute |env|"]);
    check_step("```yaml\nother: 1\nuses: a.b\n```\n", &["5:1 not-an-action |uses|"]);
    check_step("```yaml\nother: 1\n```\n", &[]);
    for key in ["use", "user", "Uses", "USES", "usse", "uess"] {
        let expect = format!(
            "4:1 unknown-key |{key}| did you mean `uses`? For documentation write {{run=false}} after the language"
        );
        check_step(&format!("```yaml\n{key}: git.tag # why\n```\n"), &[&expect]);
        check_step(&format!("```yaml\n{key} : \"git.tag\"\nwith: {{}}\n```\n"), &[&expect]);
        check_step(&format!("```yaml {{run=false}}\n{key}: git.tag\n```\n"), &[]);
    }
    for documentation in
        ["users:\n  - ann", "rules: [a]", "- uses: actions/checkout@v4", "name: x", "url: x y"]
    {
        check_step(&format!("```yaml\n{documentation}\n```\n"), &[]);
    }
    check_step(
        "```yaml\nuses: git.tag\nwith: { a: [\"{{ version\"] }\n```\n",
        &["5:13 bad-template |\"{{ version\"|"],
    );
    // The place is right inside a list too, where the indentation is not part of the YAML.
    check_step("1. do\n\n   ```yaml\n   uses: a.b\n   é: \"x\n   ```\n", &["7:7 bad-yaml |\"x|"]);
    check_step(
        "1. do\n   ```yaml\n   uses: a.b\n   wit: 1\n   ```\n",
        &["6:4 unknown-key |wit| did you mean `with`?"],
    );
    let source = "---\nskills: [git]\nroles: [devops]\n---\n## Steps\n### One\n```yaml\nuses: gti.tag\n```\n```yaml\nuses: approval\nwith: { role: devps }\n```\n→ **skill**: `http`\n";
    check(
        source,
        &[
            "8:7 undeclared-skill |gti.tag| did you mean `git`? Otherwise add it to `skills`",
            "12:15 unknown-role |devps| did you mean `devops`?",
            "14:15 undeclared-skill |http|",
        ],
    );
}

#[test]
fn checks_and_checklists() {
    let runbook = check_step(
        "- [ ] Staging answers: `curl -fsS \"x\" | grep ok`\n- [x] The `e2e.yml` workflow is green\n  - [ ] nested: ``echo `a` ``\n    - [ ] deeper\n- [ ] run `make`\n\n**Checklist complète (30 min)** :\n- [ ] a\n\n**Phase checks:**\n\n- [ ] b\n",
        &[],
    );
    let items = &runbook.steps[0].items;
    let Item::Check(first) = &items[0] else { panic!() };
    assert_eq!(
        (first.text.as_str(), first.command.as_ref().unwrap().value.as_str()),
        ("Staging answers", "curl -fsS \"x\" | grep ok")
    );
    let Item::Check(second) = &items[1] else { panic!() };
    assert!(second.ticked && second.command.is_none());
    assert_eq!(second.text, "The e2e.yml workflow is green");
    assert_eq!(second.children[0].command.as_ref().unwrap().value, "echo `a`");
    assert_eq!(second.children[0].children[0].text, "deeper");
    let Item::Check(third) = &items[2] else { panic!() };
    assert_eq!((third.text.as_str(), &third.command), ("run make", &None));
    let Item::Checklist(list) = &items[3] else { panic!("{items:?}") };
    assert_eq!(
        (list.title.as_str(), list.within.unwrap().to_string().as_str()),
        ("Checklist complète", "30m")
    );
    let Item::Checklist(list) = &items[4] else { panic!() };
    assert_eq!((list.title.as_str(), list.within), ("Phase checks", None));
    assert_eq!(runbook.counts().items, 7);
    check_step("- [] a\n", &["3:1 not-a-check |- [] a|"]);
}

#[test]
fn calls() {
    check_step("→ **workflow**: `rollback`\n", &["3:18 undeclared-call |rollback|"]);
    let source = "---\ncalls: [rollback]\n---\n## Steps\n### One\n→ **workflow**: rolback\n-> **runbook**: [r](../rollback.md)\n→ **skil**: `git`\n→ **workflow**:\n";
    check(
        source,
        &[
            "6:17 undeclared-call |rolback| did you mean `rollback`?",
            "8:5 unknown-key |skil| did you mean `skill`?",
            "9:5 missing-name |workflow|",
        ],
    );
}

#[test]
fn sections_that_never_run_say_so() {
    let source = "# T\n- [ ] intro\n\n## Deployment\n```yaml\nuses: git.tag\n```\n## Background\n- [ ] idea\n## More\n```sh\nmake\n```\n## Steps\n### One\n";
    let runbook = check(
        source,
        &["2:1 never-runs |- [ ] intro|", "5:1 never-runs |```yaml|", "9:1 never-runs |- [ ] idea|"],
    );
    assert_eq!(runbook.notes.len(), 4);
}

#[test]
fn a_misspelt_section_is_pointed_at() {
    check(
        "## Stpes\n### One\n",
        &["1:1 unknown-section |## Stpes| did you mean `Steps`?", "1:1 no-steps |## Stpes|"],
    );
}

#[test]
fn the_example_of_the_guide_is_read_without_a_finding() {
    let runbook = check(include_str!("fixtures/release-example.md"), &[]);
    let counts = runbook.counts();
    assert_eq!((counts.steps, counts.items, counts.actions, counts.scripts), (5, 2, 5, 1));
    let settings = &runbook.steps[3].settings;
    assert_eq!(settings.lock.as_deref(), Some("production"));
    assert_eq!(settings.on_failure.as_ref().unwrap().value, OnFailure::Call("rollback".to_owned()));
    let Item::Action(watch) = &runbook.steps[4].items[0] else { panic!() };
    assert_eq!(watch.with["criteria"][1]["latency_p95"], "> 2x");
}

#[test]
fn what_a_script_does_not_mean() {
    check_step(
        "```python\ntag = 'v1.2.0'\n```\n- [ ] up: `curl x/1.2.0`\n",
        &["4:8 literal-version |v1.2.0|", "6:19 literal-version |1.2.0|"],
    );
    let parsed = parse("## Steps\n### One\n```sh\necho v1.2.0 1.2.0\n```\n");
    let help: Vec<_> = parsed.diagnostics.iter().flat_map(|finding| finding.help.clone()).collect();
    assert_eq!(help, ["use \"$WINDLASS_TAG\"", "use \"$WINDLASS_VERSION\""]);
    assert!(parsed.diagnostics.iter().all(|finding| finding.severity == Severity::Warning));
    check_step(
        "```sh\ncd x && git push --force origin\n```\n```sh {run=false}\ngit push -f\n```\n",
        &["4:9 destructive |git push --force origin|"],
    );
}

#[test]
fn too_large_is_refused_whole() {
    let parsed = parse(&"## Steps\n".repeat(200_000));
    assert_eq!(parsed.diagnostics.len(), 1);
    assert_eq!(parsed.diagnostics[0].code, "too-large");
    assert_eq!(parsed.runbook, Runbook::default());
}

#[test]
fn hostile_shapes_are_read_in_time() {
    let started = std::time::Instant::now();
    let deep_list: String = (0..1000).map(|depth| format!("{}- a\n", "  ".repeat(depth % 500))).collect();
    for source in [
        "> ".repeat(200_000),
        "- ".repeat(200_000),
        deep_list,
        "[".repeat(500_000),
        "*a ".repeat(200_000),
        "`".repeat(500_000),
        "<a ".repeat(200_000),
        "| a ".repeat(100_000) + "\n" + &"|-".repeat(100_000),
        "```sh\n1.2.3 ".repeat(50_000),
        format!("## Steps\n{}", "### a\n".repeat(20_000)),
        format!("## Steps\n### a\n{}", "- Owner: a\n".repeat(50_000)),
        "{".repeat(500_000),
        format!("## Steps\n### a {}", "{id=".repeat(100_000)),
        format!("## Steps\n{}", (0..60_000).map(|id| format!("### a{id}\n")).collect::<String>()),
        format!(
            "## Steps\n### a\n{}",
            (0..25_000).map(|id| format!("```sh {{id=a{id}}}\nx\n```\n")).collect::<String>()
        ),
        format!("## Steps\n### a\n```sh\n{}\n```\n", "# or\n".repeat(200_000)),
        format!(
            "---\ncalls: [{}]\n---\n## Steps\n### a\n{}",
            "abcdefgh, ".repeat(9_000),
            "→ **workflow**: `abcdefgi`\n\n".repeat(20_000)
        ),
        format!("---\ncalls: [{0}]\n---\n## Steps\n### a\n→ **workflow**: `{0}x`\n", "a".repeat(400_000)),
        format!("## Steps\n### a\n- {}: a\n", "Ownr".repeat(100_000)),
        format!("## Steps\n### a\n- When: 1{}\n", "+1".repeat(200_000)),
        format!("## Steps\n### a\n```sh {{{}\n```\n", "a=\"".repeat(100_000)),
    ] {
        let parsed = parse(&source);
        assert!(parsed.diagnostics.len() <= 1000);
        let seconds = started.elapsed().as_secs();
        assert!(seconds < 60, "{seconds} s after {:?}", &source[..20]);
    }
}

#[test]
fn names_that_do_not_exist() {
    let source = "---\nname: release\ncalls: [rollback, deploy, gone]\n---\n## Steps\n### One\n- On failure: rollback\n```yaml\nuses: git.tga\n```\n```yaml\nuses: git.tag\nwith:\n  message: \"mesage: x\"\n  mesage: x\n```\n→ **workflow**: `deploy`\n";
    let runbook = check(source, &[]);
    let runbooks: BTreeMap<String, Vec<String>> =
        [("rolback", vec![]), ("deploy", vec!["a"]), ("a", vec!["b", "release"]), ("b", vec![])]
            .into_iter()
            .map(|(name, calls)| (name.to_owned(), calls.into_iter().map(str::to_owned).collect()))
            .collect();
    let world = World { actions: [("git.tag", vec!["message".to_owned()])].into(), runbooks: &runbooks };
    let findings = validate(&runbook, source, &world);
    assert_eq!(
        shown(source, &findings),
        [
            "3:27 unknown-runbook |gone|",
            "7:15 unknown-runbook |rollback| did you mean `rolback`?",
            "9:7 unknown-action |git.tga| did you mean `git.tag`?",
            "15:3 unknown-parameter |mesage| did you mean `message`?",
            "17:18 call-cycle |deploy|",
        ]
    );
    assert_eq!(findings[4].message, "runbooks call each other in a circle: release → deploy → a → release");
}

#[test]
fn lines_may_end_as_on_windows() {
    let source = include_str!("fixtures/002-release-front-matter.md");
    let windows = source.replace('\n', "\r\n");
    let parsed = parse(&windows);
    assert_eq!(parsed.runbook.without_spans(), parse(source).runbook.without_spans());
    let places = |source: &str| shown(source, &parse(source).diagnostics);
    assert_eq!(places(&windows), places(source));
}

#[test]
fn findings_are_safe_to_show() {
    let source = format!(
        "## Steps\n### One\n- Owner\u{1b}[31m: {}\n```sh {{\u{1b}]0;x=1}}\n```\n",
        "a, ".repeat(9000)
    );
    for finding in parse(&source).diagnostics {
        assert!(!finding.message.contains('\u{1b}') && finding.message.len() < 1000, "{finding:?}");
    }
}
