//! Document 001, whose sequence is a plain fence of `[n] Title (owner, duration)` lines.

use windlass_core::diagnostic::Severity;
use windlass_core::runbook::{Item, Step, parse, print};

const FLATTENED: &str = include_str!("fixtures/001-acadenice-release-prod.md");

/// The document came to us on one line: its line breaks are put back where its marks are.
fn restored() -> String {
    let mut source = FLATTENED.trim().replace(" ## ", "\n\n## ").replacen("``` [1]", "```\n[1]", 1);
    source = source.replace(" - ", "\n- ").replace(" * ", "\n  * ").replacen(" ```\n", "\n```\n", 2);
    for number in 2..=12 {
        source = source.replacen(&format!(" [{number}] "), &format!("\n\n[{number}] "), 1);
    }
    // Prose after a title, and the rows of the tables.
    source = source.replacen("PROD Process", "PROD\n\nProcess", 1).replace("| |", "|\n|");
    source
        .replace("bloquants |", "bloquants\n\n|")
        .replace("(rappel) |", "(rappel)\n\n|")
        .replace("`incident.md` : |", "`incident.md` :\n\n|")
}

fn texts(step: &Step) -> Vec<&str> {
    step.items
        .iter()
        .filter_map(|item| match item {
            Item::Check(check) => Some(check.text.as_str()),
            _ => None,
        })
        .collect()
}

#[test]
fn its_sequence_becomes_twelve_steps() {
    let source = restored();
    let parsed = parse(&source);
    let errors: Vec<_> = parsed.diagnostics.iter().filter(|d| d.severity == Severity::Error).collect();
    assert!(errors.is_empty(), "{errors:#?}\n{source}");
    let steps = &parsed.runbook.steps;
    let numbers: Vec<Option<u32>> = steps.iter().map(|step| step.number).collect();
    assert_eq!(numbers, (1..=12).map(Some).collect::<Vec<_>>());
    let owners: Vec<String> = steps
        .iter()
        .map(|step| match &step.settings.owner {
            Some(owner) => owner.names.join(if owner.all { " + " } else { " or " }),
            None => String::new(),
        })
        .collect();
    assert_eq!(
        owners,
        [
            "Corentin",
            "Corentin or bridge-dev assist",
            "bridge-tester",
            "Corentin",
            "acadenice-devops",
            "Corentin",
            "Yan or Corentin",
            "acadenice-devops",
            "acadenice-devops + script",
            "Corentin + acadenice-devops",
            "Corentin",
            "",
        ]
    );
    assert_eq!(steps[9].settings.within.unwrap().to_string(), "30m");
    assert_eq!(steps[9].title, "Watch period");
    assert_eq!(steps[1].id, "update-changelog-md");
    let outputs: usize = steps.iter().map(|step| step.settings.outputs.len()).sum();
    assert_eq!(outputs, 11, "every step but the last has one");
    assert_eq!(steps[0].settings.outputs, ["decision + version cible"]);
    assert_eq!(
        texts(&steps[2]),
        [
            "Trigger : push sur main fait deja le deploy staging auto",
            "Verifier : workflow e2e.yml passe (Playwright sur staging URL)",
            "Si fail : retour fix avant release",
        ]
    );
    let Item::Check(flows) = &steps[3].items[0] else { panic!() };
    assert_eq!(flows.children.len(), 4);
    assert_eq!(flows.children[1].text, "Creation page + share link");
    let place = steps[5].span;
    assert_eq!(&source[place.start..place.end], "[6] Tag semver + push (Corentin)");
}

#[test]
fn its_other_sections_are_known() {
    let parsed = parse(&restored());
    let runbook = parsed.runbook;
    assert_eq!(runbook.title, "Workflow : RELEASE PROD");
    assert_eq!(runbook.outputs.len(), 6);
    // Its preconditions are plain points: said so, not silently passed over.
    assert!(parsed.diagnostics.iter().any(|finding| finding.code == "not-a-check"));
    assert!(runbook.rollback.is_some());
    let notes: Vec<&str> = runbook.notes.iter().map(|(title, _)| title.as_str()).collect();
    assert_eq!(
        notes,
        [
            "",
            "Trigger",
            "Acteurs",
            "Gates humains bloquants",
            "Convention semver (rappel)",
            "Frequence de release",
            "Notes"
        ]
    );
}

#[test]
fn flattened_it_has_no_steps_and_says_so() {
    let parsed = parse(FLATTENED);
    assert!(parsed.diagnostics.iter().any(|finding| finding.code == "no-steps"));
}

#[test]
fn printed_and_read_again_it_means_the_same() {
    let runbook = parse(&restored()).runbook;
    let again = parse(&print(&runbook));
    assert_eq!(again.runbook.without_spans(), runbook.without_spans());
}
