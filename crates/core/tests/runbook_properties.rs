//! Properties of the runbook's reader and printer: no input panics, and printing loses nothing.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use windlass_core::diagnostic::{Severity, Span};
use windlass_core::duration::Duration;
use windlass_core::runbook::{
    ActionUse, Attributes, Check, Checklist, CommonError, Condition, Criterion, Escalation, InDoubt, Input,
    InputKind, Item, Language, OnFailure, Owner, Rollback, Runbook, Script, Settings, Spanned, Step, parse,
    print,
};

const DOCUMENT: &str = include_str!("fixtures/002-release-front-matter.md");

/// Every finding must be showable: its place is in the source, between characters.
fn check_readable(source: &str) {
    let parsed = parse(source);
    for finding in &parsed.diagnostics {
        if let Some(Span { start, end }) = finding.span {
            assert!(source.get(start..end).is_some(), "{finding:?} is outside of {source:?}");
        }
    }
    let _ = (parsed.runbook.counts(), print(&parsed.runbook));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, max_local_rejects: 10_000_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_without_a_panic(source in "\\PC*|(?s:.{0,200})") {
        check_readable(&source);
    }

    #[test]
    fn any_heap_of_dialect_pieces_is_read_without_a_panic(
        pieces in vec(prop::sample::select(PIECES), 0..40)
    ) {
        check_readable(&pieces.concat());
    }

    #[test]
    fn any_damage_to_document_002_is_read_without_a_panic(
        damage in vec((0usize..DOCUMENT.len(), 0usize..30, prop::sample::select(PIECES)), 1..6)
    ) {
        let mut source = DOCUMENT.to_owned();
        for (at, cut, piece) in damage {
            let floor = |mut at: usize| {
                at = at.min(source.len());
                while !source.is_char_boundary(at) {
                    at -= 1;
                }
                at
            };
            let (start, end) = (floor(at), floor(at + cut));
            source.replace_range(start..end, piece);
        }
        check_readable(&source);
    }

    #[test]
    fn printing_then_reading_gives_the_same_runbook(runbook in runbook()) {
        let printed = print(&runbook);
        let parsed = parse(&printed);
        let errors: Vec<_> =
            parsed.diagnostics.iter().filter(|finding| finding.severity == Severity::Error).collect();
        prop_assert!(errors.is_empty(), "{errors:#?}\n{printed}");
        prop_assert_eq!(parsed.runbook.clone().without_spans(), runbook, "{}", printed);
        prop_assert_eq!(print(&parsed.runbook), printed, "printing is canonical");
    }
}

const PIECES: &[&str] = &[
    "---\n",
    "name: x\n",
    "skills: [",
    "calls: [rollback]\n",
    "&a [*a]",
    "\n",
    "\r\n",
    "\r",
    "\u{0}",
    "é",
    "\u{feff}",
    "# T\n",
    "## Steps\n",
    "## Étapes\r\n",
    "## Rollback\n",
    "## Escalade\n",
    "## Erreurs courantes\n",
    "### 1. A {id=a}\n",
    "### {",
    "}\n",
    "- Owner: a or b\n",
    "- Within: 5 min\n",
    "- Ownr :",
    "- [ ] item: `true`\n",
    "  - [x] ",
    "    ",
    "\t",
    "> ",
    "1. ",
    "```sh {id=",
    "\"",
    "```\n",
    "~~~\n",
    "```yaml\nuses: git.tag\nwith: { a: 1 }\n```\n",
    "uses:",
    "→ **skill**: `git`\n",
    "→ **workflow**: [r](r.md)\n",
    "**Critères de rollback** :\n",
    "- Taux d'erreur > 1%\n",
    "| a | b | c |\n|---|---|---|\n| 1 | 2 | 3 |\n",
    "- **E** → `x` (< 5 min)\n",
    "[1] T (o, 5 min)\n- a\n",
    "v1.2.3 ",
    "# ou\n",
    "git push -f\n",
    "<!-- ",
    "-->\n",
    "{{ x }}",
    "\\",
    "`",
    "**",
    "x",
];

fn spanned<T>(value: T) -> Spanned<T> {
    Spanned { value, span: Span::default() }
}

fn name() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9]{0,6}(-[a-z0-9]{1,4})?".prop_filter("a word of the dialect", |name| {
        !["or", "ou", "and", "et", "stop", "continue", "arret"].contains(&name.as_str())
    })
}

/// One line of text with every character that means something to Markdown.
fn text() -> impl Strategy<Value = String> {
    "[A-Za-zéÀ0-9*_~<>#|\\[{(!&:.=+$-][A-Za-zéç0-9 `*_~<>#|\\[\\]{}()!&;:\"'./\\\\=+→$-]{0,20}[a-zé0-9]"
        .prop_map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "))
        .prop_filter("read as something else on purpose", |text| {
            !text.ends_with(')') && !text.contains("&#") && !text.contains("→") && !text.contains("->")
        })
}

fn prose() -> impl Strategy<Value = String> {
    vec("[A-Z][a-z ]{0,20}[a-z]\\.", 1..3).prop_map(|paragraphs| paragraphs.join("\n\n"))
}

fn duration() -> impl Strategy<Value = Duration> {
    (1u64..100_000).prop_map(Duration::from_secs)
}

fn variables() -> impl Strategy<Value = BTreeMap<String, String>> {
    btree_map("[A-Z][A-Z0-9_]{0,5}", "[a-zA-Z0-9 \"'\\\\{}=$é`]{0,10}", 0..3)
}

fn attributes() -> impl Strategy<Value = Attributes> {
    let command = || option::of("[a-z][a-z \"'\\\\`$;|{}]{0,12}[a-z]");
    let in_doubt = prop::sample::select(&[InDoubt::Probe, InDoubt::Rerun, InDoubt::Ask][..]);
    (
        (option::of(duration()), 0u32..5, variables(), vec("[A-Z][A-Z_]{0,5}", 0..3)),
        (option::of(in_doubt), command(), command(), any::<bool>(), any::<bool>(), any::<bool>()),
    )
        .prop_map(
            |((timeout, retry, env, secrets), (in_doubt, probe, undo, read_only, optional, skip))| {
                Attributes {
                    id: None,
                    timeout,
                    retry,
                    env,
                    secrets,
                    in_doubt,
                    probe,
                    undo,
                    read_only,
                    optional,
                    skip,
                }
            },
        )
}

fn check() -> impl Strategy<Value = Check> {
    let leaf = (text(), option::of("[a-z][a-z `$\"|]{0,12}[a-z]"), any::<bool>()).prop_map(
        |(text, command, ticked)| Check {
            text,
            command: command.map(spanned),
            children: Vec::new(),
            ticked,
            span: Span::default(),
        },
    );
    leaf.prop_recursive(3, 8, 3, |inner| {
        (inner.clone(), vec(inner, 0..3)).prop_map(|(check, children)| Check { children, ..check })
    })
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Into::into),
        any::<i32>().prop_map(Into::into),
        "[ -z|-~é]{0,12}".prop_map(Into::into),
        Just("true".into()),
        Just("1.10".into()),
        Just("> 1%".into()),
        Just("{{ version }}".into()),
        Just(serde_json::Value::Null),
    ];
    leaf.prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Into::into),
            btree_map("[a-z_]{1,5}", inner, 0..3)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

fn item() -> impl Strategy<Value = Item> {
    let language = prop::sample::select(&[Language::Sh, Language::Bash, Language::Python][..]);
    let line = "[a-z #`~\"$-]{0,12}";
    let script = (language, vec(line, 0..4), attributes()).prop_map(|(language, lines, attributes)| {
        let text = lines.iter().map(|line| format!("{line}\n")).collect();
        Item::Script(Script { language, text, span: Span::default(), attributes })
    });
    let action = (name(), name(), btree_map("[a-z_]{1,6}", json(), 0..3), attributes()).prop_map(
        |(skill, verb, with, attributes)| {
            Item::Action(ActionUse {
                uses: spanned(format!("{skill}.{verb}")),
                with: serde_json::Value::Object(with.into_iter().collect()),
                span: Span::default(),
                attributes: Attributes {
                    env: BTreeMap::new(),
                    secrets: Vec::new(),
                    probe: None,
                    undo: None,
                    read_only: false,
                    ..attributes
                },
            })
        },
    );
    let checklist =
        (text(), option::of(duration()), vec(check(), 1..4)).prop_map(|(title, within, checks)| {
            Item::Checklist(Checklist { title, within, checks, span: Span::default() })
        });
    prop_oneof![
        script,
        action,
        check().prop_map(Item::Check),
        name().prop_map(|name| Item::Call(spanned(name))),
        checklist,
    ]
}

fn settings() -> impl Strategy<Value = Settings> {
    let owner = vec(name(), 1..3).prop_flat_map(|names| {
        let several = names.len() > 1;
        any::<bool>().prop_map(move |all| Owner { names: names.clone(), all: all && several })
    });
    let on_failure =
        prop_oneof![Just(OnFailure::Stop), Just(OnFailure::Continue), name().prop_map(OnFailure::Call)];
    let matrix = btree_map("[a-z]{1,5}", vec("[a-z0-9.]{1,5}", 1..3), 0..3);
    (
        (
            option::of(owner),
            option::of("[b-d]{1,5} (==|<|>) (\"[a-z]{1,5}\"|[0-9]{1,3})"),
            option::of(duration()),
            option::of(name()),
        ),
        (option::of(on_failure), option::of(name()), matrix, vec("[a-z][a-z +]{0,8}[a-z]", 0..3)),
    )
        .prop_map(|((owner, when, within, lock), (on_failure, parallel, matrix, outputs))| Settings {
            owner,
            when: when.map(spanned),
            within,
            lock,
            on_failure: on_failure.map(spanned),
            parallel,
            matrix: matrix.into_iter().collect(),
            outputs: outputs
                .iter()
                .map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "))
                .collect(),
        })
}

fn step() -> impl Strategy<Value = Step> {
    (option::of(1u32..100), text(), settings(), vec(name(), 0..2), vec(item(), 0..5)).prop_map(
        |(number, title, settings, skills, items)| Step {
            id: String::new(),
            number,
            title,
            span: Span::default(),
            settings,
            skills: skills.into_iter().map(spanned).collect(),
            items,
        },
    )
}

fn rollback() -> impl Strategy<Value = Rollback> {
    let criteria = [
        ("Taux d'erreur > 1%", Some(("error_rate", "> 1%"))),
        ("latency_p95: \"> 2x\"", Some(("latency_p95", "> 2x"))),
        ("Bug sécurité", None),
    ];
    let criteria = criteria.map(|(text, condition)| Criterion {
        text: text.to_owned(),
        condition: condition
            .map(|(metric, bound)| Condition { metric: metric.to_owned(), bound: bound.to_owned() }),
    });
    (vec(item(), 0..4), proptest::sample::subsequence(criteria.to_vec(), 0..=3))
        .prop_map(|(items, criteria)| Rollback { items, criteria })
}

fn input() -> impl Strategy<Value = Input> {
    prop_oneof![
        (text(), option::of("[ -~é]{0,10}"), Just(InputKind::String)),
        (text(), option::of("true|false"), Just(InputKind::Boolean)),
        (text(), option::of("-?[0-9]{1,4}"), Just(InputKind::Integer)),
        (text(), option::of("[0-9]\\.[1-9]0\\.[0-9]"), Just(InputKind::Version)),
        (text(), option::of("[1-9][0-9]?[smhd]"), Just(InputKind::Duration)),
    ]
    .prop_flat_map(|(description, default, kind)| {
        vec("[ -~]{1,6}", 0..3).prop_map(move |mut options| {
            // A default is one of the options.
            if !options.is_empty() {
                options.extend(default.clone());
            }
            Input { kind, description: description.clone(), default: default.clone(), options }
        })
    })
}

fn runbook() -> impl Strategy<Value = Runbook> {
    let front = (
        name(),
        option::of(text()),
        vec(text(), 0..3),
        btree_map("[A-Z][A-Z_]{0,4}", "[ -z|-~é]{0,10}", 0..3),
        btree_map("[a-z]{1,5}", input(), 0..3),
        any::<bool>(),
    );
    let body = (text(), option::of(prose()), vec(item(), 0..4), vec(step(), 1..4), option::of(rollback()));
    let tail = (
        vec(text(), 0..3),
        vec((text(), text(), text()), 0..3),
        vec(
            (
                text(),
                vec("[a-z]{1,5}([ -][a-z]{1,4})?", 1..3),
                option::of("\\+ [a-z]{1,8}"),
                option::of(duration()),
            ),
            0..3,
        ),
        option::of(prose()),
        vec(("Remarks [a-z]{1,5}", prose()), 0..3),
    );
    (front, body, tail).prop_map(|(front, body, tail)| {
        let (name, description, triggers, env, inputs, declares) = front;
        let (title, objective, preconditions, mut steps, rollback) = body;
        let (outputs, errors, escalations, introduction, notes) = tail;
        for (index, step) in steps.iter_mut().enumerate() {
            step.id = format!("step-{index}");
        }
        let mut runbook = Runbook {
            name,
            description: description.unwrap_or_default(),
            triggers: triggers.into_iter().map(spanned).collect(),
            env,
            inputs,
            title,
            objective: objective.unwrap_or_default(),
            preconditions,
            steps,
            outputs,
            rollback,
            errors: errors
                .into_iter()
                .map(|(error, cause, solution)| CommonError { error, cause, solution })
                .collect(),
            escalations: escalations
                .into_iter()
                .map(|(event, to, note, within)| Escalation {
                    event,
                    to,
                    note: note.unwrap_or_default(),
                    within,
                })
                .collect(),
            notes: introduction.map(|text| (String::new(), text)).into_iter().chain(notes).collect(),
            ..Runbook::default()
        };
        declare(&mut runbook, declares);
        runbook
    })
}

/// The front matter that makes every name used a declared one.
fn declare(runbook: &mut Runbook, declares: bool) {
    let mut calls: Vec<String> = Vec::new();
    let mut skills: Vec<String> = Vec::new();
    for item in runbook.items() {
        match item {
            Item::Call(call) => calls.push(call.value.clone()),
            Item::Action(action) => skills.extend(action.uses.value.split('.').next().map(str::to_owned)),
            _ => {}
        }
    }
    for step in &runbook.steps {
        skills.extend(step.skills.iter().map(|skill| skill.value.clone()));
        if let Some(Spanned { value: OnFailure::Call(name), .. }) = &step.settings.on_failure {
            calls.push(name.clone());
        }
    }
    runbook.calls = (declares || !calls.is_empty()).then(|| calls.into_iter().map(spanned).collect());
    runbook.skills = declares.then(|| skills.into_iter().map(spanned).collect());
}
