//! Gates: when people's decisions let a run go on.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::Duration;
use crate::plan::Digest;

/// Who must approve, how many, by when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApprovalRule {
    /// Each must be met, by different people; a role named `anyone` takes everybody.
    pub need: Vec<RoleCount>,
    /// Not decided by then, it is refused.
    pub within: Option<Duration>,
    /// Who may not approve.
    pub not: Vec<Excluded>,
    /// An approval without a comment is not taken.
    pub comment: bool,
}

/// So many people of a role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RoleCount {
    /// The role, or a person's address.
    pub role: String,
    /// How many different people.
    pub count: u32,
}

/// Who may not approve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Excluded {
    /// Whoever wrote a commit of the release.
    Author,
    /// Whoever started the run.
    Starter,
}

/// What a person said at a gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Decision {
    /// Who.
    pub person: String,
    /// What they said.
    pub choice: Choice,
    /// Why.
    pub comment: Option<String>,
    /// The plan they had before them.
    pub plan: Digest,
    /// When.
    pub at: Timestamp,
}

/// Yes or no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Choice {
    /// Yes: an approval, or a confirmation.
    Approve,
    /// No. Final.
    Reject,
}

/// Where a gate stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GateState {
    /// Still needed: each role with the number of people missing.
    Open(Vec<RoleCount>),
    /// The run goes on; who let it.
    Granted(Vec<String>),
    /// Somebody said no.
    Refused(Decision),
}

/// Who is who, as the plan pinned it.
#[derive(Debug, Clone, Copy)]
pub struct People<'a> {
    /// Members of each role.
    pub roles: &'a BTreeMap<String, Vec<String>>,
    /// Authors of what is released.
    pub authors: &'a [String],
    /// Who started the run.
    pub starter: &'a str,
}

/// Why a decision is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Ineligible {
    /// The decision names another plan.
    #[error(
        "this decision was made for plan {given}, but the run executes plan {actual}: look at the run's plan and decide again"
    )]
    OtherPlan {
        /// The plan the person saw.
        given: String,
        /// The plan of the run.
        actual: String,
    },
    /// Not a member of a role that is asked.
    #[error(
        "{person} is not in {roles}: ask a member, or add them under [roles] in windlass.toml and plan again"
    )]
    NotAMember {
        /// Who.
        person: String,
        /// The roles that may.
        roles: String,
    },
    /// Excluded by the rule.
    #[error("{person} {why}, and this gate excludes them: ask somebody else")]
    Excluded {
        /// Who.
        person: String,
        /// `wrote a commit of this release` or `started the run`.
        why: &'static str,
    },
    /// The rule wants a comment.
    #[error("this gate wants a comment: add --comment \"...\"")]
    NoComment,
}

/// Whether `decision` counts under `rule`.
///
/// # Errors
/// Why it does not.
pub fn eligible(
    rule: &ApprovalRule,
    decision: &Decision,
    people: People<'_>,
    plan: &Digest,
) -> Result<(), Ineligible> {
    let person = decision.person.clone();
    if decision.plan != *plan {
        return Err(Ineligible::OtherPlan {
            given: decision.plan.short().into(),
            actual: plan.short().into(),
        });
    }
    if !rule.need.iter().any(|need| is_member(&person, &need.role, people)) {
        let roles = rule.need.iter().map(|need| need.role.as_str()).collect::<Vec<_>>().join(" or ");
        return Err(Ineligible::NotAMember { person, roles });
    }
    if decision.choice == Choice::Reject {
        // Anyone who may say yes may say no, whatever they wrote or started.
        return Ok(());
    }
    if rule.not.contains(&Excluded::Author) && people.authors.iter().any(|author| same(author, &person)) {
        return Err(Ineligible::Excluded { person, why: "wrote a commit of this release" });
    }
    if rule.not.contains(&Excluded::Starter) && same(people.starter, &person) {
        return Err(Ineligible::Excluded { person, why: "started the run" });
    }
    if rule.comment && decision.comment.as_deref().unwrap_or_default().trim().is_empty() {
        return Err(Ineligible::NoComment);
    }
    Ok(())
}

/// Where the gate stands after `decisions`, in the order they came. One rejection is final; one person counts once.
pub fn evaluate(rule: &ApprovalRule, decisions: &[Decision], people: People<'_>, plan: &Digest) -> GateState {
    let mut approvers: Vec<&str> = Vec::new();
    for decision in decisions {
        if eligible(rule, decision, people, plan).is_err() {
            continue;
        }
        if decision.choice == Choice::Reject {
            return GateState::Refused(decision.clone());
        }
        if !approvers.iter().any(|known| same(known, &decision.person)) {
            approvers.push(&decision.person);
        }
    }
    let missing = assign(&rule.need, &approvers, people);
    if missing.is_empty() {
        GateState::Granted(approvers.into_iter().map(str::to_owned).collect())
    } else {
        GateState::Open(missing)
    }
}

/// Whether `person` may act for any of `names` (roles or people).
pub fn may_act(person: &str, names: &[String], people: People<'_>) -> bool {
    names.is_empty() || names.iter().any(|name| is_member(person, name, people))
}

/// What is still missing when every approver stands in for the one need that uses them best.
/// Approvers are matched to seats by augmenting paths, so that a person of two roles never blocks the gate.
fn assign(need: &[RoleCount], approvers: &[&str], people: People<'_>) -> Vec<RoleCount> {
    let seats: Vec<usize> = need
        .iter()
        .enumerate()
        .flat_map(|(index, need)| std::iter::repeat_n(index, need.count as usize))
        .collect();
    let mut taken: Vec<Option<usize>> = vec![None; seats.len()];
    for approver in 0..approvers.len() {
        let mut seen = vec![false; seats.len()];
        seat(approver, approvers, need, &seats, &mut taken, &mut seen, people);
    }
    let mut missing: Vec<RoleCount> = Vec::new();
    for (seat, _) in taken.iter().enumerate().filter(|(_, taken)| taken.is_none()) {
        let role = &need[seats[seat]].role;
        match missing.iter_mut().find(|known| known.role == *role) {
            Some(known) => known.count += 1,
            None => missing.push(RoleCount { role: role.clone(), count: 1 }),
        }
    }
    missing
}

fn seat(
    approver: usize,
    approvers: &[&str],
    need: &[RoleCount],
    seats: &[usize],
    taken: &mut [Option<usize>],
    seen: &mut [bool],
    people: People<'_>,
) -> bool {
    for index in 0..seats.len() {
        if seen[index] || !is_member(approvers[approver], &need[seats[index]].role, people) {
            continue;
        }
        seen[index] = true;
        let free = match taken[index] {
            None => true,
            Some(other) => seat(other, approvers, need, seats, taken, seen, people),
        };
        if free {
            taken[index] = Some(approver);
            return true;
        }
    }
    false
}

fn is_member(person: &str, role: &str, people: People<'_>) -> bool {
    if role == "anyone" {
        return true;
    }
    match people.roles.get(role).map_or(&[][..], Vec::as_slice) {
        // Not a role but a person's own address.
        [] if role.contains('@') => same(role, person),
        // A role nobody was put in cannot be checked; refusing everybody would only teach people to lie.
        [] => true,
        // Nobody becomes a member by calling themselves as the role is called.
        members => members.iter().any(|member| same(member, person)),
    }
}

fn same(left: &str, right: &str) -> bool {
    left.trim().eq_ignore_ascii_case(right.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decision(person: &str, choice: Choice, plan: &str) -> Decision {
        Decision {
            person: person.into(),
            choice,
            comment: None,
            plan: Digest(plan.into()),
            at: Timestamp::UNIX_EPOCH,
        }
    }

    fn rule(need: &[(&str, u32)], not: &[Excluded]) -> ApprovalRule {
        let need =
            need.iter().map(|(role, count)| RoleCount { role: (*role).into(), count: *count }).collect();
        ApprovalRule { need, within: None, not: not.to_vec(), comment: false }
    }

    #[test]
    fn gates_open_only_for_the_right_people_and_the_right_plan() {
        let roles: BTreeMap<String, Vec<String>> = [
            ("release-manager".to_owned(), vec!["ann@x".to_owned(), "bob@x".to_owned()]),
            ("devops".to_owned(), vec!["bob@x".to_owned(), "cid@x".to_owned()]),
        ]
        .into();
        let authors = vec!["cid@x".to_owned()];
        let people = People { roles: &roles, authors: &authors, starter: "ann@x" };
        let plan = Digest("p1".into());
        let check = |rule: &ApprovalRule, who: &[(&str, Choice, &str)], expect: &str| {
            let decisions: Vec<Decision> = who.iter().map(|(p, c, d)| decision(p, *c, d)).collect();
            let shown = match evaluate(rule, &decisions, people, &plan) {
                GateState::Open(missing) => missing
                    .iter()
                    .map(|need| format!("{} {}", need.count, need.role))
                    .collect::<Vec<_>>()
                    .join(", "),
                GateState::Granted(_) => "granted".into(),
                GateState::Refused(decision) => format!("refused by {}", decision.person),
            };
            assert_eq!(shown, expect, "{who:?}");
        };
        use Choice::{Approve, Reject};
        let one = rule(&[("release-manager", 1)], &[]);
        check(&one, &[], "1 release-manager");
        check(&one, &[("ann@x", Approve, "p1")], "granted");
        check(&one, &[("ANN@x ", Approve, "p1")], "granted");
        check(&one, &[("ann@x", Approve, "p0")], "1 release-manager");
        check(&one, &[("release-manager", Approve, "p1")], "1 release-manager");
        check(&rule(&[("zoe@x", 1)], &[]), &[("ann@x", Approve, "p1")], "1 zoe@x");
        check(&rule(&[("zoe@x", 1)], &[]), &[("Zoe@x", Approve, "p1")], "granted");
        check(&one, &[("eve@x", Approve, "p1")], "1 release-manager");
        check(&one, &[("eve@x", Reject, "p1")], "1 release-manager");
        check(&one, &[("bob@x", Reject, "p1"), ("ann@x", Approve, "p1")], "refused by bob@x");
        let two = rule(&[("release-manager", 2)], &[]);
        check(&two, &[("ann@x", Approve, "p1"), ("ann@x", Approve, "p1")], "1 release-manager");
        let both = rule(&[("release-manager", 1), ("devops", 1)], &[]);
        check(&both, &[("bob@x", Approve, "p1")], "1 devops");
        check(&both, &[("bob@x", Approve, "p1"), ("ann@x", Approve, "p1")], "granted");
        check(&both, &[("bob@x", Approve, "p1"), ("cid@x", Approve, "p1")], "granted");
        let strict = rule(&[("devops", 1)], &[Excluded::Author]);
        check(&strict, &[("cid@x", Approve, "p1")], "1 devops");
        check(&strict, &[("cid@x", Reject, "p1")], "refused by cid@x");
        let starter = rule(&[("release-manager", 1)], &[Excluded::Starter]);
        check(&starter, &[("ann@x", Approve, "p1")], "1 release-manager");
        check(&rule(&[("nobody-in-it", 1)], &[]), &[("eve@x", Approve, "p1")], "granted");
    }
}
