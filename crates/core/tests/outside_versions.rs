//! Facts from outside: the examples of Semantic Versioning's own grammar, and node-semver's comparisons and steps.

use windlass_core::commit::Commit;
use windlass_core::config::Ordinals;
use windlass_core::version::next::{NextInput, Request, TagFact, View, baseline, decide};
use windlass_core::version::{Bump, Channel, Policy, Suffix, Version, bump, core, parse_version};

/// The texts that semver.org lists as versions.
const VALID: [&str; 31] = [
    "0.0.4",
    "1.2.3",
    "10.20.30",
    "1.1.2-prerelease+meta",
    "1.1.2+meta",
    "1.1.2+meta-valid",
    "1.0.0-alpha",
    "1.0.0-beta",
    "1.0.0-alpha.beta",
    "1.0.0-alpha.beta.1",
    "1.0.0-alpha.1",
    "1.0.0-alpha0.valid",
    "1.0.0-alpha.0valid",
    "1.0.0-alpha-a.b-c-somethinglong+build.1-aef.1-its-okay",
    "1.0.0-rc.1+build.1",
    "2.0.0-rc.1+build.123",
    "1.2.3-beta",
    "10.2.3-DEV-SNAPSHOT",
    "1.2.3-SNAPSHOT-123",
    "1.0.0",
    "2.0.0",
    "1.1.7",
    "2.0.0+build.1848",
    "2.0.1-alpha.1227",
    "1.0.0-alpha+beta",
    "1.2.3----RC-SNAPSHOT.12.9.1--.12+788",
    "1.2.3----R-S.12.9.1--.12+meta",
    "1.2.3----RC-SNAPSHOT.12.9.1--.12",
    "1.0.0+0.build.1-rc.10000aaa-kk-0.1",
    "99999999999999999999999.999999999999999999.99999999999999999",
    "1.0.0-0A.is.legal",
];

/// The texts that semver.org lists as none.
const INVALID: [&str; 39] = [
    "1",
    "1.2",
    "1.2.3-0123",
    "1.2.3-0123.0123",
    "1.1.2+.123",
    "+invalid",
    "-invalid",
    "-invalid+invalid",
    "-invalid.01",
    "alpha",
    "alpha.beta",
    "alpha.beta.1",
    "alpha.1",
    "alpha+beta",
    "alpha_beta",
    "alpha.",
    "alpha..",
    "beta",
    "1.0.0-alpha_beta",
    "-alpha.",
    "1.0.0-alpha..",
    "1.0.0-alpha..1",
    "1.0.0-alpha...1",
    "1.0.0-alpha....1",
    "1.0.0-alpha.....1",
    "1.0.0-alpha......1",
    "1.0.0-alpha.......1",
    "01.1.1",
    "1.01.1",
    "1.1.01",
    "1.2.3.DEV",
    "1.2-SNAPSHOT",
    "1.2.31.2.3----RC-SNAPSHOT.12.09.1--..12+788",
    "1.2-RC-SNAPSHOT",
    "-1.0.3-gamma+b7718",
    "+justmeta",
    "9.8.7+meta+meta",
    "9.8.7-whatever+meta+meta",
    "99999999999999999999999.999999999999999999.99999999999999999----RC-SNAPSHOT.12.09.1--------------------------------..12",
];

#[test]
fn the_examples_of_semantic_versioning_are_told_apart() {
    for text in VALID {
        // Numbers are 64 bits wide here; the grammar sets no bound. No release ever had such a number.
        let too_large = text.starts_with("99999999999999999999999");
        assert_eq!(parse_version(text).is_err(), too_large, "{text}");
        if !too_large {
            assert_eq!(parse_version(text).unwrap().to_string(), text);
        }
    }
    for text in INVALID {
        assert!(parse_version(text).is_err(), "{text}");
    }
}

#[test]
fn versions_sort_as_in_node_semver() {
    let rows = [
        ("0.0.0", "0.0.0-foo"),
        ("0.0.1", "0.0.0"),
        ("1.0.0", "0.9.9"),
        ("0.10.0", "0.9.0"),
        ("0.99.0", "0.10.0"),
        ("2.0.0", "1.2.3"),
        ("v0.0.0", "0.0.0-foo"),
        ("v0.0.1", "0.0.0"),
        ("v1.0.0", "0.9.9"),
        ("v0.10.0", "0.9.0"),
        ("v0.99.0", "0.10.0"),
        ("v2.0.0", "1.2.3"),
        ("0.0.0", "v0.0.0-foo"),
        ("0.0.1", "v0.0.0"),
        ("1.0.0", "v0.9.9"),
        ("0.10.0", "v0.9.0"),
        ("0.99.0", "v0.10.0"),
        ("2.0.0", "v1.2.3"),
        ("1.2.3", "1.2.3-asdf"),
        ("1.2.3", "1.2.3-4"),
        ("1.2.3", "1.2.3-4-foo"),
        ("1.2.3-5-foo", "1.2.3-5"),
        ("1.2.3-5", "1.2.3-4"),
        ("1.2.3-5-foo", "1.2.3-5-Foo"),
        ("3.0.0", "2.7.2+asdf"),
        ("1.2.3-a.10", "1.2.3-a.5"),
        ("1.2.3-a.b", "1.2.3-a.5"),
        ("1.2.3-a.b", "1.2.3-a"),
        ("1.2.3-a.b.c.10.d.5", "1.2.3-a.b.c.5.d.100"),
        ("1.2.3-r2", "1.2.3-r100"),
        ("1.2.3-r100", "1.2.3-R2"),
    ];
    for (higher, lower) in rows {
        let (higher, lower) = (parse_version(higher).unwrap(), parse_version(lower).unwrap());
        assert!(higher.cmp_precedence(&lower).is_gt(), "{higher} {lower}");
    }
}

/// node-semver's `inc(version, step, identifier, base)` and what Windlass makes of the same. `=` agrees; otherwise the
/// letter names the difference, which docs/decisions/0008-versions.md explains.
fn steps() -> Vec<(&'static str, &'static str, &'static str, &'static str, &'static str)> {
    include_str!("outside_versions/steps.txt")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            (fields[0], fields[1], fields[2], fields[3], fields[4])
        })
        .collect()
}

#[test]
fn steps_are_those_of_node_semver_or_the_difference_is_explained() {
    let decision = include_str!("../../../docs/decisions/0008-versions.md");
    let (mut rows, mut agreed) = (0, 0);
    for (from, step, identifier, theirs, verdict) in steps() {
        rows += 1;
        let ours = ours(from, step, identifier);
        if verdict == "=" {
            agreed += 1;
            assert_eq!(ours.as_deref().unwrap_or("null"), theirs, "{from} {step} {identifier}");
        } else {
            assert_ne!(ours.as_deref().unwrap_or("null"), theirs, "{from} {step} {identifier} agrees by now");
            assert!(decision.contains(&format!("({verdict})")), "({verdict}) is not explained");
        }
    }
    assert_eq!(rows, 133);
    assert!(agreed >= 80, "{agreed}");
}

/// The version that follows the tag of `from`.
fn ours(from: &str, step: &str, identifier: &str) -> Option<String> {
    let version = parse_version(from).ok()?;
    let (label, base) = identifier.split_once(':').unwrap_or((identifier, "0"));
    // Without an identifier the one that is there goes on.
    let label = match Suffix::of(&version) {
        Some(suffix) if label == "-" => suffix.label,
        _ => label,
    };
    let (request, channel) = match step {
        "major" => return Some(bump(&version, Bump::Major).to_string()),
        "minor" => return Some(bump(&version, Bump::Minor).to_string()),
        "patch" => return Some(bump(&version, Bump::Patch).to_string()),
        "release" if version.pre.is_empty() => return None,
        "release" => (Request::Auto, Channel::Stable),
        "prerelease" => (Request::Auto, Channel::Preview),
        "prepatch" => (Request::Bump(Bump::Patch), Channel::Preview),
        "preminor" => (Request::Bump(Bump::Minor), Channel::Preview),
        "premajor" => (Request::Bump(Bump::Major), Channel::Preview),
        _ => return None,
    };
    if channel == Channel::Preview && (label == "-" || semver_label(label).is_none()) {
        return None;
    }
    let policy = Policy {
        ordinals: match base {
            "0" => Ordinals::FromZero,
            "1" => Ordinals::FromOne,
            _ => Ordinals::None,
        },
        ..Policy::default()
    };
    // A pre-release stands over the stable release that it is a step above.
    let mut tags = vec![TagFact { name: format!("v{version}"), commit: "1".to_owned() }];
    if !version.pre.is_empty() {
        tags.push(TagFact { name: format!("v{}", below(&core(&version))?), commit: "0".to_owned() });
    }
    let view = View { head: "2", policy: &policy, withdrawn: &[], others: &[], hotfix: false };
    let Ok(baseline) = baseline(&tags, &view, |_| Ok::<_, std::convert::Infallible>(true));
    let commits = [Commit { message: "fix: a".to_owned(), ..Commit::default() }];
    let input = NextInput {
        commits: &commits,
        stated: None,
        request: &request,
        channel,
        label: (channel == Channel::Preview).then_some(label),
        policy: &policy,
        withdrawn: &[],
        line: None,
        at_least: None,
        today: Default::default(),
    };
    decide(&baseline, &input).ok().map(|decision| decision.version.to_string())
}

fn semver_label(label: &str) -> Option<Version> {
    Version::parse(&format!("1.0.0-{label}")).ok().filter(|version| version.build.is_empty())
}

fn below(version: &Version) -> Option<Version> {
    match (version.major, version.minor, version.patch) {
        (0, 0, 0) => None,
        (major, 0, 0) => Some(Version::new(major - 1, 0, 0)),
        (major, minor, 0) => Some(Version::new(major, minor - 1, 0)),
        (major, minor, patch) => Some(Version::new(major, minor, patch - 1)),
    }
}
