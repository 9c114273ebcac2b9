//! Document 002 as a team wrote it: read whole, without an error.

use windlass_core::diagnostic::{Severity, line_and_column};
use windlass_core::duration::Duration;
use windlass_core::runbook::{Counts, Item, parse, print};

const SOURCE: &str = include_str!("fixtures/002-release-front-matter.md");

#[test]
fn everything_in_it_is_counted() {
    let parsed = parse(SOURCE);
    assert_eq!(
        parsed.runbook.counts(),
        Counts {
            steps: 8,
            items: 32,
            preconditions: 5,
            scripts: 6,
            actions: 0,
            calls: 1,
            criteria: 4,
            errors: 3,
            escalations: 3,
        }
    );
    let errors: Vec<_> = parsed.diagnostics.iter().filter(|d| d.severity == Severity::Error).collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

#[test]
fn its_front_matter_and_prose_are_read() {
    let runbook = parse(SOURCE).runbook;
    let values = |list: &[windlass_core::runbook::Spanned<String>]| {
        list.iter().map(|item| item.value.clone()).collect::<Vec<_>>()
    };
    assert_eq!(runbook.name, "release");
    assert_eq!(runbook.description, "Déployer une release en production");
    assert_eq!(values(&runbook.triggers), ["release", "déploiement", "mise en prod", "deploy"]);
    assert_eq!(values(runbook.skills.as_deref().unwrap()), ["git"]);
    assert_eq!(values(runbook.calls.as_deref().unwrap()), ["rollback"]);
    assert_eq!(values(runbook.roles.as_deref().unwrap()), ["devops-engineer", "tech-lead"]);
    let tech_lead = runbook.roles.as_ref().unwrap()[1].span;
    assert_eq!(&SOURCE[tech_lead.start..tech_lead.end], "tech-lead");
    assert_eq!(runbook.title, "Release en Production");
    assert!(runbook.objective.starts_with("Déployer une nouvelle version"));
    assert_eq!(runbook.outputs.len(), 4);
}

#[test]
fn its_steps_are_named_and_hold_what_they_hold() {
    let runbook = parse(SOURCE).runbook;
    let ids: Vec<&str> = runbook.steps.iter().map(|step| step.id.as_str()).collect();
    assert_eq!(
        ids,
        [
            "preparation",
            "creer-le-tag",
            "declencher-le-deploiement",
            "verification-staging",
            "deploiement-production",
            "validation-post-deploiement",
            "monitoring",
            "communication"
        ]
    );
    assert_eq!(runbook.steps[1].skills[0].value, "git");
    assert_eq!(runbook.steps[7].number, Some(8));
    let Item::Checklist(critical) = &runbook.steps[5].items[0] else {
        panic!("{:?}", runbook.steps[5].items)
    };
    assert_eq!(
        (critical.title.as_str(), critical.within),
        ("Checklist critique", Some(Duration::from_secs(300)))
    );
    assert_eq!(critical.checks[2].text, "API répond (health check)");
    assert_eq!(critical.checks[2].command, None);
    let Item::Script(script) = &runbook.steps[0].items[0] else { panic!() };
    assert!(script.text.starts_with("git checkout main\n"));
    assert_eq!(&SOURCE[script.span.start..script.span.end], script.text.trim_end_matches('\n'));
}

#[test]
fn its_rollback_errors_and_escalations_are_read() {
    let runbook = parse(SOURCE).runbook;
    let rollback = runbook.rollback.unwrap();
    let conditions: Vec<Option<(String, String)>> =
        rollback.criteria.iter().map(|c| c.condition.clone().map(|c| (c.metric, c.bound))).collect();
    assert_eq!(
        conditions,
        [Some(("error_rate".into(), "> 1%".into())), Some(("latency_p95".into(), "> 2x".into())), None, None]
    );
    let Item::Call(call) = &rollback.items[0] else { panic!() };
    assert_eq!((call.value.as_str(), &SOURCE[call.span.start..call.span.end]), ("rollback", "rollback"));
    assert_eq!(runbook.errors[2].solution, "Profiling + rollback si critique");
    let escalation = &runbook.escalations[1];
    assert_eq!(escalation.event, "Bug critique post-deploy");
    assert_eq!(escalation.to, ["tech-lead"]);
    assert_eq!(escalation.note, "+ rollback");
}

#[test]
fn every_warning_stands_at_its_place() {
    let found: Vec<String> = parse(SOURCE)
        .diagnostics
        .iter()
        .map(|d| {
            let span = d.span.unwrap();
            let (line, column) = line_and_column(SOURCE, span.start);
            format!("{line}:{column} {} {}", d.code, &SOURCE[span.start..span.end])
        })
        .collect();
    assert_eq!(
        found,
        [
            "48:12 literal-version v1.2.0",
            "48:31 literal-version v1.2.0",
            "62:17 literal-version v1.2.0",
            "72:34 literal-version v1.2.0",
            "92:44 literal-version v1.2.0",
            "93:1 alternatives # ou",
            "94:39 literal-version v1.2.0",
            "155:1 alternatives # ou",
            "156:1 destructive git revert v1.2.0",
            "156:12 literal-version v1.2.0",
        ]
    );
}

#[test]
fn printed_and_read_again_it_means_the_same() {
    let runbook = parse(SOURCE).runbook;
    let again = parse(&print(&runbook));
    assert_eq!(again.runbook.without_spans(), runbook.without_spans());
}
