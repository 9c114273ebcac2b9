//! Histories and the versions they lead to.

use super::*;
use proptest::prelude::*;

/// A history in words: tags (`~v1.0.0` is not contained in HEAD, `=v1.0.0` is HEAD itself), commit
/// subjects newest first, the stated version, the request, the channel.
#[derive(Default)]
struct Case {
    tags: &'static str,
    commits: Vec<&'static str>,
    stated: &'static str,
    request: Request,
    channel: Channel,
    label: &'static str,
    branch: &'static str,
    today: &'static str,
    policy: Policy,
    withdrawn: &'static str,
}

fn v(text: &str) -> Version {
    Version::parse(text).unwrap()
}

/// The tags of a case, each on a commit named after what HEAD knows of it.
fn facts(tags: &str) -> Vec<TagFact> {
    let commit = |tag: &str| match tag.chars().next() {
        Some('=') => "HEAD".to_owned(),
        Some('~') => format!("beside {tag}"),
        _ => format!("in {tag}"),
    };
    tags.split_whitespace()
        .map(|tag| TagFact { name: tag.trim_start_matches(['~', '=']).to_owned(), commit: commit(tag) })
        .collect()
}

fn contains(tagged: &Tagged) -> Result<bool, std::convert::Infallible> {
    Ok(!tagged.commit.starts_with("beside"))
}

fn commits(messages: &[&str]) -> Vec<Commit> {
    let commit = |(at, message): (usize, &&str)| Commit {
        id: format!("{at:040}"),
        message: (*message).to_owned(),
        ..Commit::default()
    };
    messages.iter().enumerate().map(commit).collect()
}

fn run(case: &Case) -> Result<Decision, NextError> {
    let commits = commits(&case.commits);
    let withdrawn: Vec<Version> = case.withdrawn.split_whitespace().map(v).collect();
    let stated = Some(case.stated).filter(|stated| !stated.is_empty()).map(v);
    let line = Line::of_branch(case.branch);
    let input = NextInput {
        commits: &commits,
        stated: stated.as_ref(),
        request: &case.request,
        channel: case.channel,
        label: Some(case.label).filter(|label| !label.is_empty()),
        policy: &case.policy,
        withdrawn: &withdrawn,
        line: line.as_ref(),
        at_least: None,
        today: case.today.parse().unwrap_or_default(),
    };
    let view = View {
        head: "HEAD",
        policy: &case.policy,
        withdrawn: &withdrawn,
        others: &[],
        hotfix: input.is_hotfix(),
    };
    let Ok(baseline) = baseline(&facts(case.tags), &view, contains);
    decide(&baseline, &input)
}

fn check(case: Case, expect: &str) {
    let outcome = match run(&case) {
        Ok(decision) => {
            assert!(!decision.reasons.is_empty());
            assert_eq!(decision.tag, case.policy.tag(&decision.version));
            decision.version.to_string()
        }
        Err(error) => error.to_string(),
    };
    let same = if expect.starts_with(|c: char| c.is_ascii_digit()) && !expect.contains(' ') {
        outcome == expect
    } else {
        outcome.contains(expect)
    };
    assert!(same, "tags {:?}, commits {:?}: {outcome}\nexpected: {expect}", case.tags, case.commits);
}

#[test]
fn commits_choose_the_step() {
    for (tags, commits, expect) in [
        ("v1.2.3", vec!["fix: a"], "1.2.4"),
        ("v1.2.3", vec!["fix: a", "feat: b", "docs: c"], "1.3.0"),
        ("v1.2.3", vec!["feat!: a"], "2.0.0"),
        ("v1.2.3", vec!["chore: a\n\nBREAKING CHANGE: b"], "2.0.0"),
        ("v0.3.1", vec!["feat!: a"], "0.4.0"),
        ("v0.3.1", vec!["feat: a"], "0.4.0"),
        ("v0.3.1", vec!["fix: a"], "0.3.2"),
        ("v1.2.3", vec!["Squash (#4)\n\n* feat: a\n* fix: b"], "1.3.0"),
        ("v1.2.3", vec!["docs: a", "Tidy"], "the 2 commits since `v1.2.3` ask for no release (1 of types"),
        ("v1.2.3", vec![], "no commits since `v1.2.3`"),
        ("v1.2.3", vec!["Merge pull request #1 from a/b\n\nfeat: a"], "merges or changes taken back"),
        (
            "v1.2.3",
            vec![
                "Revert \"feat: a\"\n\nThis reverts commit 0000000000000000000000000000000000000001.",
                "feat: a",
                "fix: b",
            ],
            "1.2.4",
        ),
    ] {
        check(Case { tags, commits, ..Case::default() }, expect);
    }
}

#[test]
fn the_baseline_is_the_highest_release_head_contains() {
    for (tags, expect) in [
        ("v1.2.3 v1.10.0 v1.9.0", "1.10.1"),
        ("v1.2.3 ~v2.0.0", "1.2.4"),
        ("v1.2.3 v2 vnext nightly latest", "1.2.4"),
        ("v1.2.3 web-v9.0.0", "1.2.4"),
        ("~v1.0.0 ~v1.1.0", "none of the 2 release tags (the highest is `v1.1.0`)"),
        ("1.2.0 1.3.0", "set `tag = \"{version}\"` under [version]"),
        ("a/-1.0.0 a-1.0.0 a-1.1.0", "set `tag = \"a-{version}\"` under [version]"),
        ("a-1.0.0 b-v1.0.0 a-1.1.0", "such as [packages.a] with `tag = \"a-{version}\"`"),
        ("nightly v2", "0.1.0"),
        ("v22.1.0 v22.2.0-next.4 v12.1.0", "22.2.0"),
        ("v1.2.3 v1.2.4-hotfix", "1.2.5"),
        ("v0.1.0 1.0.0 3.0.0", "`3.0.0` is above `v0.1.0` and HEAD contains it"),
        ("1.0.0 1.1.0 v1.2.0 ~2.0.0", "1.2.1"),
    ] {
        check(Case { tags, commits: vec!["fix: a"], ..Case::default() }, expect);
    }
}

#[test]
fn a_first_release_is_what_the_project_states() {
    for (stated, request, channel, expect) in [
        ("", Request::Auto, Channel::Stable, "0.1.0"),
        ("0.0.0", Request::Auto, Channel::Stable, "0.1.0"),
        ("1.4.0", Request::Auto, Channel::Stable, "1.4.0"),
        ("1.0.0-rc.1", Request::Auto, Channel::Stable, "1.0.0"),
        ("1.0.0", Request::Auto, Channel::Alpha, "1.0.0-alpha.1"),
        ("1.0.0", Request::Bump(Bump::Minor), Channel::Stable, "1.1.0"),
        ("", Request::Bump(Bump::Major), Channel::Stable, "1.0.0"),
        ("0.3.0", Request::Exact(v("2.0.0")), Channel::Stable, "2.0.0"),
    ] {
        check(Case { commits: vec!["Begin"], stated, request, channel, ..Case::default() }, expect);
    }
    check(Case { stated: "1.0.0", ..Case::default() }, "there are no commits");
}

#[test]
fn channels_climb_and_end_without_a_suffix() {
    for (tags, channel, expect) in [
        ("v1.2.0", Channel::Alpha, "1.3.0-alpha.1"),
        ("v1.2.0 v1.3.0-alpha.1", Channel::Alpha, "1.3.0-alpha.2"),
        ("v1.2.0 v1.3.0-alpha.9 v1.3.0-alpha.10", Channel::Alpha, "1.3.0-alpha.11"),
        ("v1.2.0 v1.3.0-alpha.2", Channel::Beta, "1.3.0-beta.1"),
        ("v1.2.0 v1.3.0-beta", Channel::Beta, "1.3.0-beta.2"),
        ("v1.2.0 v1.3.0-beta.2", Channel::Rc, "1.3.0-rc.1"),
        ("v1.2.0 v1.3.0-rc.1", Channel::Rc, "1.3.0-rc.2"),
        ("v1.2.0 v1.3.0-rc.1 ~v1.3.0-rc.2", Channel::Rc, "1.3.0-rc.3"),
        ("v1.2.0 v1.3.0-rc.1", Channel::Stable, "1.3.0"),
        ("v1.2.0 =v1.3.0-rc.1", Channel::Stable, "1.3.0"),
        ("v1.2.0 =v1.3.0-rc.1", Channel::Rc, "HEAD is `v1.3.0-rc.1` itself"),
        ("v1.2.0 =v1.3.0-beta.1", Channel::Rc, "1.3.0-rc.1"),
        ("v1.2.0 v1.3.0-rc.1", Channel::Beta, "would not be above `v1.3.0-rc.1`, which HEAD contains"),
        ("v1.2.0 v2.0.0-rc.1", Channel::Rc, "2.0.0-rc.2"),
        ("v1.0.0-rc.1", Channel::Rc, "1.0.0-rc.2"),
        ("v1.0.0-rc.1", Channel::Stable, "1.0.0"),
        ("v1.3.0 v1.3.0-rc.1", Channel::Rc, "1.4.0-rc.1"),
    ] {
        check(Case { tags, commits: vec!["feat: a"], channel, ..Case::default() }, expect);
    }
    // A pre-release of a bigger step than the open line's starts a line of its own.
    check(
        Case {
            tags: "v1.2.0 v1.3.0-rc.1",
            commits: vec!["feat!: a"],
            channel: Channel::Rc,
            ..Case::default()
        },
        "2.0.0-rc.1",
    );
    // Making a tested candidate stable needs no releasable commit.
    check(Case { tags: "v1.2.0 v1.3.0-rc.1", commits: vec!["docs: a"], ..Case::default() }, "1.3.0");
}

#[test]
fn explicit_requests_are_obeyed_or_refused() {
    for (tags, request, expect) in [
        ("v1.2.3", Request::Bump(Bump::Major), "2.0.0"),
        ("v0.2.3", Request::Bump(Bump::Major), "1.0.0"),
        ("v1.2.3", Request::Bump(Bump::Patch), "1.2.4"),
        (
            "v1.2.3 ~v1.2.4",
            Request::Bump(Bump::Patch),
            "already exists as the tag `v1.2.4`; HEAD does not contain it",
        ),
        (
            "v1.2.3 ~v1.2.5",
            Request::Bump(Bump::Patch),
            "would not be above `v1.2.5`, which is of the same line",
        ),
        ("v1.2.3 ~v1.2.5-rc.1", Request::Bump(Bump::Patch), "1.2.4"),
        ("v1.2.0 v1.3.0-rc.1", Request::Bump(Bump::Patch), "would not be above `v1.3.0-rc.1`"),
        ("v1.2.3", Request::Exact(v("1.2.3")), "already exists as the tag `v1.2.3`; choose a higher"),
        ("v1.2.3+a", Request::Exact(v("1.2.3+b")), "already exists as the tag `v1.2.3+a`"),
        ("v1.2.3", Request::Exact(v("1.2.2")), "would not be above `v1.2.3`"),
        ("v1.1.4 ~v1.2.0", Request::Exact(v("1.1.5")), "1.1.5"),
        ("v1.2.3", Request::Exact(v("4.0.0-rc.1")), "4.0.0-rc.1"),
        ("v1.2.3", Request::Exact(v("4.0.0-next.1")), "4.0.0-next.1"),
        ("~v1.2.3", Request::Exact(v("2.0.0")), "2.0.0"),
        ("v18446744073709551615.0.0", Request::Bump(Bump::Major), "already exists"),
    ] {
        check(Case { tags, request, ..Case::default() }, expect);
    }
}

/// Decision 8: only the same major and minor number is a line, unless the branch's name tells a wider one.
#[test]
fn a_stable_release_beside_higher_ones_is_above_all_of_its_line() {
    for (tags, subject, branch, expect) in [
        ("v1.0.0 ~v1.1.0", "fix: a", "", "1.0.1"),
        ("v1.0.0 ~v1.2.0", "feat: a", "", "1.1.0"),
        ("v1.0.0 ~v1.2.0", "feat!: a", "", "2.0.0"),
        ("v1.0.0 ~v2.0.0-rc.1", "feat: a", "", "1.1.0"),
        ("v1.0.0 ~v1.0.5", "fix: a", "", "1.0.1 would not be above `v1.0.5`, which is of the same line"),
        ("v1.0.0 ~v1.1.1", "feat: a", "", "1.1.0 would not be above `v1.1.1`, which is of the same line"),
        ("v1.0.0 ~v1.1.0", "feat: a", "", "already exists as the tag `v1.1.0`; HEAD does not contain it"),
        (
            "v1.0.0 ~v1.1.0 ~v1.2.0",
            "fix: a",
            "1.x",
            "1.0.1 would not be above `v1.2.0`, which is of the same line",
        ),
        ("v1.0.0 ~v1.2.0", "feat: a", "1.x", "1.1.0 would not be above `v1.2.0`, which is of the same line"),
        ("v1.0.0 ~v1.2.0", "fix: a", "1.0.x", "1.0.1"),
    ] {
        let case = Case { tags, commits: vec![subject], branch, ..Case::default() };
        let decided = run(&case);
        check(case, expect);
        let Ok(decision) = decided else { continue };
        let beside =
            decision.reasons.iter().any(|reason| reason.ends_with("is higher, but HEAD does not contain it"));
        assert!(beside, "{tags} {subject}: {:?}", decision.reasons);
    }
}

#[test]
fn a_number_that_is_taken_comes_with_advice_that_fits() {
    for (tags, commits, request, branch, expect) in [
        ("v1.1.0 ~v1.2.0", vec!["feat: a"], Request::Auto, "1.x", "release a patch with an explicit step"),
        ("v1.1.0 ~v1.2.0", vec!["feat: a"], Request::Auto, "", "merge the branch that does"),
        ("v1.1.0 ~v1.1.1", vec!["fix: a"], Request::Auto, "1.x", "merge the branch that does"),
        (
            "=v1.1.0-rc.1 ~v1.1.0",
            vec![],
            Request::Promote("v1.1.0-rc.1".to_owned()),
            "",
            "it was promoted or released already",
        ),
    ] {
        check(Case { tags, commits, request, branch, ..Case::default() }, expect);
    }
}

#[test]
fn a_hotfix_is_a_patch_or_marked_as_the_policy_says() {
    let marked = || Policy { hotfix_suffix: true, ..Policy::default() };
    for (tags, policy, expect) in [
        ("v1.0.0", Policy::default(), "1.0.1"),
        ("v1.0.0", marked(), "1.0.1-hotfix"),
        ("v0.0.0", marked(), "0.0.1-hotfix"),
        ("v1.0.0 v1.0.1-hotfix", marked(), "1.0.2-hotfix"),
        ("v1.0.0 ~v1.1.0", Policy::default(), "1.0.1"),
        ("v1.0.0 ~v1.0.1", marked(), "would not be above `v1.0.1`"),
    ] {
        let request = Request::Hotfix;
        check(
            Case { tags, commits: vec!["fix: a"], policy: policy.clone(), request, ..Case::default() },
            expect,
        );
        check(
            Case { tags, commits: vec!["fix: a"], policy, channel: Channel::Hotfix, ..Case::default() },
            expect,
        );
    }
}

#[test]
fn a_hotfix_needs_a_release_to_repair() {
    for tags in ["", "v1.0.0-rc.1"] {
        let request = Request::Hotfix;
        check(Case { tags, commits: vec!["fix: a"], request, ..Case::default() }, "no release to repair");
    }
}

#[test]
fn withdrawn_numbers_are_skipped() {
    for (tags, withdrawn, channel, expect) in [
        ("v1.0.0 v1.1.0", "1.1.0", Channel::Stable, "1.1.1"),
        ("v1.0.0", "1.1.0", Channel::Stable, "1.1.1"),
        ("v1.0.0", "1.1.0 1.1.1", Channel::Stable, "1.1.2"),
        ("v1.0.0", "1.1.0-rc.1", Channel::Rc, "1.1.0-rc.2"),
        ("v1.0.0", "1.1.0", Channel::Rc, "1.1.1-rc.1"),
    ] {
        check(Case { tags, commits: vec!["feat: a"], withdrawn, channel, ..Case::default() }, expect);
    }
    check(
        Case { tags: "v1.0.0", withdrawn: "1.1.0", request: Request::Exact(v("1.1.0")), ..Case::default() },
        "was withdrawn",
    );
}

#[test]
fn a_step_never_goes_below_what_was_withdrawn_or_is_stated() {
    let (patch, minor) = (|| Request::Bump(Bump::Patch), || Request::Bump(Bump::Minor));
    for (tags, withdrawn, stated, request, branch, expect) in [
        ("v1.1.0 v1.2.0", "1.2.0", "1.2.0", patch(), "", "1.2.1"),
        ("v1.1.0 v1.2.0", "1.2.0", "", patch(), "", "1.2.1"),
        ("v1.1.0 v1.2.0", "1.2.0", "1.2.0", Request::Hotfix, "", "1.2.1"),
        ("v1.1.0 v1.2.0", "1.2.0", "1.2.0", Request::Auto, "", "1.2.1"),
        ("v1.1.0 v1.2.0-rc.1 v1.2.0", "1.2.0", "1.2.0", patch(), "", "1.2.1"),
        ("v1.1.0 v1.2.0-rc.1 v1.2.0", "1.2.0", "", minor(), "", "1.2.1"),
        ("v1.1.0 v1.2.0-rc.1 v1.2.0", "1.2.0", "", Request::Hotfix, "", "1.2.1"),
        ("v1.1.0 v1.2.0-rc.1", "1.2.0", "", patch(), "", "1.2.1"),
        ("v1.1.0", "", "1.3.0", patch(), "", "1.3.0"),
        ("v1.1.0", "", "1.3.0", Request::Hotfix, "", "1.1.1"),
        // Made elsewhere, of another major number, or outside the line of the branch.
        ("v1.1.0 ~v1.2.0", "1.2.0", "1.1.0", patch(), "", "1.1.1"),
        ("v1.1.0 v20.0.0", "20.0.0", "1.1.0", patch(), "", "1.1.1"),
        ("v1.1.0 v1.2.0", "1.2.0", "1.1.0", patch(), "1.1.x", "1.1.1"),
    ] {
        let commits = vec!["fix: a"];
        check(Case { tags, withdrawn, stated, request, branch, commits, ..Case::default() }, expect);
    }
}

#[test]
fn the_stated_version_is_heard() {
    for (stated, commits, expect) in [
        ("1.4.0", vec!["fix: a"], "1.4.0"),
        ("1.2.4", vec!["feat: a"], "1.3.0"),
        ("1.4.0", vec!["chore: raise by hand"], "1.4.0"),
        ("1.4.0-dev", vec!["chore: open"], "ask for no release"),
        ("1.4.0-dev", vec!["fix: a"], "1.4.0"),
        ("1.1.0", vec!["fix: a"], "1.2.4"),
    ] {
        check(Case { tags: "v1.2.3", stated, commits, ..Case::default() }, expect);
    }
}

#[test]
fn the_decision_explains_itself() {
    let case =
        Case { tags: "v1.2.0 v1.1.0", commits: vec!["feat: a", "fix: b", "fix: c"], ..Case::default() };
    let decision = run(&case).unwrap();
    assert_eq!(
        decision.reasons,
        [
            "1 feature, 2 fixes: a minor release",
            "`v1.2.0` is the highest release that HEAD contains; the one before is `v1.1.0`",
        ]
    );
    assert_eq!(
        serde_json::to_value(&decision).unwrap(),
        serde_json::json!({
            "version": "1.3.0", "tag": "v1.3.0", "previous": "1.2.0", "previous_tag": "v1.2.0",
            "channel": "stable", "bump": "minor", "reasons": decision.reasons, "commits": 3,
        })
    );
    let nothing = run(&Case { tags: "v1.2.0", commits: vec!["docs: a"], ..Case::default() }).unwrap_err();
    assert!(matches!(
        nothing,
        NextError::NothingToRelease { baseline: Some(tag), commits: 1, .. } if tag == "v1.2.0"
    ));
}

proptest! {
    /// Whatever is released so far, an answer is above everything HEAD contains and taken by no tag.
    #[test]
    fn a_decision_is_new_and_above(
        tags in prop::collection::vec(("[0-3]\\.[0-3]\\.[0-3](-(alpha|beta|rc|hotfix)(\\.[1-3])?)?", any::<bool>()), 0..8),
        level in 0usize..3,
        channel in 0usize..6,
    ) {
        let names: Vec<String> =
            tags.iter().map(|(version, contained)| format!("{}v{version}", if *contained { "" } else { "~" })).collect();
        let policy = Policy::default();
        let commits = commits(&[["fix: a", "feat: a", "feat!: a"][level]]);
        let channel = Channel::ALL[channel];
        let input = NextInput {
            commits: &commits, stated: None, request: &Request::Auto, channel, label: None, policy: &policy,
            withdrawn: &[], line: None, at_least: None, today: Date::default(),
        };
        let view = View { head: "HEAD", policy: &policy, withdrawn: &[], others: &[], hotfix: input.is_hotfix() };
        let Ok(base) = baseline(&facts(&names.join(" ")), &view, contains);
        if let Ok(decision) = decide(&base, &input) {
            for (version, reachable) in &tags {
                let version = v(version);
                prop_assert!(version != decision.version);
                prop_assert!(!reachable || version < decision.version, "{version} {}", decision.version);
            }
        }
    }
}
