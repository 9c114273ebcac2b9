//! Approvals: void for any other plan, final when refused, refused when nobody answers, kept when they come early.

use windlass_core::run::{RunEvent, RunStatus};
use windlass_testkit::repo::RepoBuilder;

use crate::support::{history, newest, windlass};

const QA: &str = "rita@example.com";

/// Ada commits and starts; Rita and Ruth approve. `before` are steps before the approval, `then` are its further
/// settings.
fn repository(before: &str, then: &str) -> RepoBuilder {
    let repo = RepoBuilder::new();
    repo.file("windlass.toml", format!("[roles]\nqa = [\"{QA}\", \"ruth@example.com\"]\n"))
        .file(
            "runbooks/release.md",
            format!(
                "---\nname: release\ncalls: [back]\nroles: [qa]\ninputs:\n  note: {{ default: none, description: Why }}\n---\n\
                 # Release\n\n## Steps\n\n{before}### Sign\n\n```yaml\nuses: approval\n\
                 with: {{ role: qa, count: 1, not: author{then} }}\n```\n\n### Ship\n\n\
                 ```sh\necho \"$WINDLASS_VERSION\" >> ../shipped.txt\n```\n"
            ),
        )
        .file(
            "runbooks/back.md",
            "---\nname: back\n---\n# Back\n\n## Steps\n\n### Tell everybody\n\n\
             ```sh\necho \"$WINDLASS_VERSION\" >> ../told.txt\n```\n",
        )
        .commit("feat: begin");
    repo
}

fn outside(repo: &RepoBuilder, name: &str) -> String {
    std::fs::read_to_string(repo.outside().join(name)).unwrap_or_default()
}

#[test]
fn an_approval_of_one_plan_is_void_for_another() {
    let repo = repository("", "");
    let plan = |name: &str, args: &[&str]| {
        let file = repo.outside().join(name).display().to_string();
        let planned = windlass(&repo, &[&["plan", "--out", &file], args].concat()).expect(0, &[]);
        let digest = planned.out.lines().find_map(|line| line.strip_prefix("Plan ")).unwrap().to_owned();
        (file, digest)
    };
    let (a, digest_a) = plan("a.json", &["--version", "1.0.0"]);
    let (b, digest_b) = plan("b.json", &["--version", "1.0.0", "--input", "note=urgent"]);
    assert_ne!(digest_a, digest_b);

    // The same release, planned otherwise: what was approved of A says nothing about B.
    windlass(&repo, &["run", &a]).expect(4, &["waits for qa"]);
    let (run_a, _) = newest(&repo).unwrap();
    windlass(&repo, &["approve", &run_a.0, "--as", QA, "--digest", &digest_a]).expect(0, &["approved"]);
    windlass(&repo, &["cancel", &run_a.0]).expect(0, &[]);
    windlass(&repo, &["run", &b]).expect(4, &["waits for qa", "still needed: 1 of qa"]);
    let (run_b, state) = newest(&repo).unwrap();
    assert_ne!(run_a, run_b);
    assert_eq!((state.status, state.gates.len()), (RunStatus::Waiting, 1));
    for digest in [digest_a.as_str(), &digest_a[..12]] {
        let shown = format!("{run_b} executes plan {}", &digest_b[..12]);
        windlass(&repo, &["approve", &run_b.0, "--as", QA, "--digest", digest])
            .expect(4, &["decided for another plan", &shown]);
    }
    windlass(&repo, &["resume", &run_b.0]).expect(4, &["still needed: 1 of qa"]);
    assert_eq!(outside(&repo, "shipped.txt"), "");
    windlass(&repo, &["approve", &run_b.0, "--as", QA, "--digest", &digest_b[..8]]).expect(0, &["approved"]);
    windlass(&repo, &["resume", &run_b.0]).expect(0, &["succeeded"]);
    assert_eq!(outside(&repo, "shipped.txt"), "1.0.0\n");
}

#[test]
fn a_plan_that_was_changed_after_its_approval_is_not_run() {
    let repo = repository("", "");
    let planned = windlass(&repo, &["plan", "--version", "1.0.0", "--json"]).expect(0, &[]);
    let file = repo.outside().join("plan.json").display().to_string();
    std::fs::write(&file, planned.out.replace("shipped.txt", "stolen.txt")).unwrap();
    windlass(&repo, &["run", &file]).expect(2, &["its digest is", "plan again"]);
    assert!(newest(&repo).is_none());
}

#[test]
fn a_refusal_stops_the_run_and_takes_its_route() {
    let repo = repository("", ", refused: back");
    windlass(&repo, &["run", "--version", "1.0.0"]).expect(4, &["waits for qa"]);
    windlass(&repo, &["reject", "--as", QA, "--comment", "not on a Friday"]).expect(0, &["rejected"]);
    windlass(&repo, &["approve", "--as", "ruth@example.com"]).expect(0, &[]);
    let texts = [
        &format!("{QA} refused: not on a Friday"),
        "Sign leads to `back`",
        "Tell everybody",
        "`back` was run",
    ];
    windlass(&repo, &["resume"]).expect(4, &texts);
    let (run, state) = newest(&repo).unwrap();
    assert_eq!(state.status, RunStatus::Refused);
    assert_eq!(
        (outside(&repo, "shipped.txt"), outside(&repo, "told.txt")),
        (String::new(), "1.0.0\n".into())
    );
    // It stays refused, and its route is not taken again.
    windlass(&repo, &["resume", &run.0]).expect(4, &["not on a Friday", "`back` was run"]);
    windlass(&repo, &["approve", &run.0, "sign/approval", "--as", QA]).expect(4, &["has ended"]);
    assert_eq!(outside(&repo, "told.txt"), "1.0.0\n");
    let (_, history) = history(&repo);
    let routed =
        history.iter().filter(|event| matches!(&event.event, RunEvent::Routed { to, .. } if to == "back"));
    assert_eq!(routed.count(), 1);
    windlass(&repo, &["audit", "verify"]).expect(0, &[]);
}

#[test]
fn silence_is_a_refusal_whoever_was_running() {
    // The deadline passes while a process waits, and while none does.
    for stays in [true, false] {
        let repo = repository("", ", within: 1s, refused: ask Zoe");
        let told = ["silence is a refusal", "what now: ask Zoe"];
        if stays {
            windlass(&repo, &["run", "--version", "1.0.0", "--wait"]).expect(4, &told);
        } else {
            windlass(&repo, &["run", "--version", "1.0.0"]).expect(4, &["waits for qa"]);
            let deadline = newest(&repo).unwrap().1.gates[0].deadline.unwrap();
            let left = deadline.duration_since(jiff::Timestamp::now());
            std::thread::sleep(left.try_into().unwrap_or_default());
            windlass(&repo, &["resume"]).expect(4, &told);
        }
        assert_eq!(newest(&repo).unwrap().1.status, RunStatus::Refused);
        assert_eq!(outside(&repo, "shipped.txt"), "");
    }
}

#[test]
fn an_early_approval_is_kept_until_the_run_gets_there() {
    let repo = repository("### Look\n\n- [ ] It looks good\n\n", "");
    windlass(&repo, &["run", "--version", "1.0.0"]).expect(4, &["It looks good"]);
    let approve = ["approve", "sign/approval", "--as", QA];
    windlass(&repo, &approve).expect(0, &["kept until the run gets there"]);
    windlass(&repo, &["resume"]).expect(4, &["It looks good"]);
    windlass(&repo, &["confirm"]).expect(0, &[]);
    windlass(&repo, &["resume"]).expect(0, &["approved by rita@example.com", "succeeded"]);
    assert_eq!(outside(&repo, "shipped.txt"), "1.0.0\n");
}

#[test]
fn who_may_not_approve_is_refused_before_and_after() {
    let repo = repository("### Look\n\n- [ ] It looks good\n\n", "");
    // An author who is in the role is still an author.
    repo.file("windlass.toml", "[roles]\nqa = [\"ada@example.com\", \"rita@example.com\"]\n")
        .commit("feat: us");
    windlass(&repo, &["run", "--version", "1.0.0"]).expect(4, &["It looks good"]);
    for early in [true, false] {
        for who in ["ada@example.com", "eve@example.com"] {
            windlass(&repo, &["approve", "sign/approval", "--as", who]).expect(4, &[who]);
        }
        if early {
            windlass(&repo, &["confirm"]).expect(0, &[]);
            windlass(&repo, &["resume"]).expect(4, &["waits for qa"]);
        }
    }
    let (_, history) = history(&repo);
    let decided = history.iter().filter(|event| matches!(event.event, RunEvent::Decided { .. }));
    assert_eq!(decided.count(), 1, "only the confirmation");
}
