//! Small plans for the stage: one of each kind of node, and one of all.

use std::collections::BTreeMap;

use serde_json::json;
use windlass_core::duration::Duration;
use windlass_core::gate::{ApprovalRule, RoleCount};
use windlass_core::plan::{
    ActionCall, ActionNode, ApprovalNode, CallNode, ChecklistNode, ConfirmNode, Effect, Node, Plan,
    PlannedStep, Policy, Reversibility, Routine, RunbookPin, SCHEMA, StepPath, WaitNode, WatchNode,
    WatchProbe,
};
use windlass_core::runbook::{InDoubt, OnFailure, Owner};
use windlass_core::verdict::WatchRule;

/// The names that [`everything`] writes to the ledger.
pub const EVERYTHING: [&str; 9] =
    ["called", "deferred", "first", "left", "listed", "locked", "m1", "m2", "right"];

/// A plan of steps.
pub fn plan(steps: Vec<PlannedStep>) -> Plan {
    Plan {
        schema: SCHEMA,
        runbook: pin("test"),
        release: None,
        pins: windlass_core::plan::Pins::default(),
        environment: BTreeMap::new(),
        secrets: BTreeMap::new(),
        roles: BTreeMap::from([("manager".to_owned(), vec!["ann".to_owned(), "bob".to_owned()])]),
        authors: Vec::new(),
        steps,
        rollback: Vec::new(),
        criteria: Vec::new(),
        routines: BTreeMap::new(),
        outputs: Vec::new(),
        errors: Vec::new(),
        escalations: Vec::new(),
        preflight: Vec::new(),
    }
}

/// A step of items.
pub fn step(id: &str, nodes: Vec<Node>) -> PlannedStep {
    PlannedStep {
        path: StepPath::new(id),
        title: id.to_owned(),
        owner: None,
        when: None,
        skipped: None,
        within: None,
        lock: None,
        on_failure: OnFailure::Stop,
        parallel: None,
        matrix: BTreeMap::new(),
        nodes,
        outputs: Vec::new(),
        page: None,
    }
}

/// Writes `name` to the ledger once.
pub fn append(step: &str, name: &str) -> ActionNode {
    ActionNode {
        path: StepPath::new(step).child(name),
        label: name.to_owned(),
        call: call("test.append", json!({ "name": name })),
        effects: vec![Effect::new("append", name, Reversibility::Reversible)],
        policy: Policy::default(),
    }
}

/// An action that never ends by itself.
pub fn sleep(step: &str, name: &str) -> ActionNode {
    ActionNode { call: call("test.sleep", json!({ "name": name })), ..append(step, name) }
}

/// A call of an action.
pub fn call(action: &str, params: serde_json::Value) -> ActionCall {
    ActionCall { action: action.into(), deferred: params.to_string().contains("{{"), params }
}

/// A watch that looks for `name` in the ledger every second for ten.
pub fn watch(step: &str, name: &str, tolerate: u32) -> Node {
    Node::Watch(WatchNode {
        page: None,
        path: StepPath::new(step).child("watch"),
        label: "watch".into(),
        rule: WatchRule {
            window: Duration::from_secs(10),
            every: Duration::from_secs(1),
            tolerate,
            early_stop: true,
            coverage: 50,
        },
        probes: vec![WatchProbe {
            name: name.into(),
            call: call("test.look", json!({ "name": name })),
            timeout: Duration::from_secs(1),
        }],
        owner: None,
        metrics: None,
    })
}

/// An approval by one manager.
pub fn gate(step: &str, within: Option<Duration>, refused: Option<&str>) -> Node {
    Node::Approval(ApprovalNode {
        path: StepPath::new(step).child("approval"),
        label: "approve".into(),
        deferred: false,
        rule: ApprovalRule {
            need: vec![RoleCount { role: "manager".into(), count: 1 }],
            within,
            not: Vec::new(),
            comment: false,
        },
        refused: refused.map(str::to_owned),
    })
}

/// A confirmation by an owner.
pub fn confirm(step: &str, name: &str, owner: Option<Owner>) -> Node {
    Node::Confirm(ConfirmNode {
        path: StepPath::new(step).child(name),
        text: "it is true".into(),
        deferred: false,
        owner,
        within: None,
    })
}

/// A pinned runbook that writes `name`.
pub fn routine(name: &str, step_id: &str, line: &str) -> (String, Routine) {
    let steps = vec![step(step_id, vec![Node::Action(append(step_id, line))])];
    (name.to_owned(), Routine { runbook: pin(name), steps })
}

/// A plan with every kind of node.
pub fn everything() -> Plan {
    let mut deferred = append("last", "deferred");
    deferred.call = call("test.append", json!({ "name": "deferred", "text": "{{ outputs.one.text }}" }));
    let parallel = |id: &str| PlannedStep {
        parallel: Some("both".into()),
        ..step(id, vec![Node::Action(append(id, id))])
    };
    let matrix = |name: &str| PlannedStep {
        path: StepPath::new(format!("matrix[{name}]")),
        matrix: BTreeMap::from([("os".to_owned(), name.to_owned())]),
        ..step("matrix", vec![Node::Action(append(&format!("matrix[{name}]"), name))])
    };
    let list = ChecklistNode {
        path: StepPath::new("list").child("checklist"),
        title: "list".into(),
        within: Some(Duration::from_secs(300)),
        nodes: vec![Node::Action(append("list", "listed"))],
    };
    let pause = WaitNode {
        path: StepPath::new("list").child("wait"),
        label: "wait".into(),
        duration: Duration::from_secs(5),
    };
    let called = CallNode { path: StepPath::new("call").child("call-other"), runbook: "other".into() };
    let mut plan = plan(vec![
        step("one", vec![Node::Action(append("one", "first"))]),
        parallel("left"),
        parallel("right"),
        matrix("m1"),
        matrix("m2"),
        step("gate", vec![gate("gate", None, None), confirm("gate", "check-1", None)]),
        PlannedStep {
            lock: Some("production".into()),
            within: Some(Duration::from_secs(600)),
            ..step("deploy", vec![Node::Action(append("deploy", "locked"))])
        },
        step("list", vec![Node::Checklist(list), Node::Wait(pause), watch("list", "first", 0)]),
        step("call", vec![Node::Call(called)]),
        PlannedStep {
            when: Some("outputs.first.text == 'from first'".into()),
            ..step("last", vec![Node::Action(deferred)])
        },
        PlannedStep { when: Some("outputs.first.text == 'no'".into()), ..step("never", vec![]) },
    ]);
    plan.routines.extend([routine("other", "inner", "called")]);
    plan
}

/// A gate, then an effect.
pub fn approval(within: Option<Duration>) -> Plan {
    plan(vec![
        step("gate", vec![gate("gate", within, None)]),
        step("after", vec![Node::Action(append("after", "after"))]),
    ])
}

/// An effect under a lock, then a gate.
pub fn locked_then_asked() -> Plan {
    let deploy = step("deploy", vec![Node::Action(append("deploy", "locked"))]);
    plan(vec![
        PlannedStep { lock: Some("production".into()), ..deploy },
        step("gate", vec![gate("gate", None, None)]),
    ])
}

/// A watch of ten seconds that sees good.
pub fn long_watch() -> Plan {
    plan(vec![
        step("one", vec![Node::Action(append("one", "first"))]),
        step("watch", vec![watch("watch", "first", 0)]),
    ])
}

/// An action that goes on.
pub fn slow() -> Plan {
    plan(vec![step("one", vec![Node::Action(sleep("one", "slow"))])])
}

/// One effect whose probe is blind, with a policy.
pub fn blind(in_doubt: InDoubt) -> Plan {
    let mut node = append("one", "first");
    node.call = call("test.append", json!({ "name": "first", "blind": true }));
    node.policy = Policy { in_doubt, ..Policy::default() };
    plan(vec![step("one", vec![Node::Action(node)])])
}

/// One effect that fails so many times, with so many retries.
pub fn flaky(failures: u32, retry: u32) -> ActionNode {
    ActionNode {
        call: call("test.append", json!({ "name": "first", "failures": failures })),
        policy: Policy { retry, ..Policy::default() },
        ..append("one", "first")
    }
}

fn pin(name: &str) -> RunbookPin {
    RunbookPin { name: name.into(), title: name.into(), path: format!("{name}.md"), digest: String::new() }
}
